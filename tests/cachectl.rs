//! `m365-cachectl` as scripts use it: what it prints, and the exit codes that are promised.

use std::{
    fs::{self, OpenOptions},
    io::BufRead as _,
    os::unix::fs::PermissionsExt as _,
    process::Stdio,
};

use m365_cached_checks::support::{
    ctl,
    mcp::Era,
    terminal::Terminal,
    world::{ALEX, World},
};
use serde_json::{Value, json};

#[test]
fn status_says_what_a_person_wants_to_know() {
    let mut world = World::start().unwrap();
    let mut client = world.client(Era::Legacy).unwrap();
    assert_eq!(world.ctl_json(&["status"]).unwrap()["hits"]["hit_rate"], Value::Null, "nothing has been asked for");
    for _ in 0..4 {
        client.call("email_list", &json!({"account_id": world.ids[0]})).unwrap().json().unwrap();
    }
    let status = world.ctl_json(&["status"]).unwrap();
    assert_eq!(status["state"], "ready", "{status}");
    assert_eq!(status["pid"], world.daemon().pid(), "{status}");
    assert_eq!(status["profile"]["demo"], true, "{status}");
    assert_eq!(status["store"]["backend"], "sqlcipher", "{status}");
    assert_eq!(status["store"]["healthy"], true, "{status}");
    assert_eq!(status["key"]["source"], "environment", "{status}");
    assert_eq!(status["accounts"][0]["username"], ALEX, "{status}");
    assert_eq!(status["clients"].as_array().unwrap().len(), 1, "{status}");
    assert_eq!(status["graph"]["breaker"], "closed", "{status}");
    assert_eq!((&status["graph"]["per_mailbox"], status["graph"]["lanes"].is_array()), (&json!(4), true), "{status}");
    let stats = world.ctl_json(&["stats"]).unwrap();
    assert_eq!(status["hits"], json!({"period": "day", "hit_rate": 0.75, "hits": 3, "stale_hits": 0, "misses": 1}), "{status}");
    assert_eq!(status["hits"]["hit_rate"], stats["hit_rate"], "the same as there: {stats}");
    let said = world.ctl(&["status"]).unwrap().ok().unwrap();
    assert!(said.stdout.contains("ready") && said.stdout.contains(ALEX), "{}", said.stdout);
    assert!(said.stdout.contains("\nhits      75.0 % of the last 24 hours") && said.stdout.contains("\nbudget    "), "{}", said.stdout);
    assert!(said.stdout.lines().count() <= 24, "more than a screen: {}", said.stdout);
    assert!(!said.stdout.contains('\u{1b}'), "no colours outside a terminal");
}

#[test]
fn without_a_daemon_status_starts_none() {
    let mut world = World::start().unwrap();
    world.stop_daemon().unwrap();
    let said = world.ctl(&["status"]).unwrap();
    assert_eq!(said.code, Some(8), "{said:?}");
    assert!(said.stderr.contains("hint:") || said.stdout.contains("not running"), "{said:?}");
    let said = world.ctl(&["--json", "status"]).unwrap();
    assert_eq!(said.code, Some(8), "{said:?}");
    assert!(m365_cached_checks::support::process::of_profile(world.home.path()).unwrap().is_empty());
}

#[test]
fn other_verbs_start_the_daemon() {
    let mut world = World::start().unwrap();
    world.stop_daemon().unwrap();
    assert_eq!(world.ctl_json(&["accounts"]).unwrap()["accounts"][0]["username"], ALEX);
    world.ctl(&["stop"]).unwrap().ok().unwrap();
}

#[test]
fn calls_answer_as_a_model_would_see_it() {
    let world = World::start().unwrap();
    let account = format!("account_id={}", world.ids[0]);
    let called = world.ctl_json(&["call", "email_list", "--arg", &account, "--arg", "limit=2"]).unwrap();
    assert_eq!(called["messages"].as_array().unwrap().len(), 2, "{called}");
    let arguments = json!({"account_id": world.ids[0], "limit": 2}).to_string();
    let again = world.ctl_json(&["call", "email_list", &arguments]).unwrap();
    assert_eq!(again["_cache_status"], "fresh");
    assert_eq!(again["messages"], called["messages"]);
}

#[test]
fn what_is_invalidated_is_asked_again() {
    let world = World::start().unwrap();
    let mut client = world.client(Era::Legacy).unwrap();
    for limit in 1..4 {
        client.call("email_list", &json!({"account_id": world.ids[0], "limit": limit, "include_body": false})).unwrap().json().unwrap();
    }
    client.call("emailfolders_list", &json!({"account_id": world.ids[0]})).unwrap().json().unwrap();
    let gone = world.ctl_json(&["invalidate", "email_list:*:limit=2", "--reason", "a test"]).unwrap();
    assert_eq!(gone["entries_deleted"], 2, "the list, and what it has left out: {gone}");
    let gone = world.ctl_json(&["invalidate", "email_*"]).unwrap();
    assert_eq!(gone["entries_deleted"], 4, "two lists, and what they have left out: {gone}");
    let status = |client: &mut m365_cached_checks::support::mcp::Mcp, tool: &str, more: Value| {
        let mut arguments = more;
        arguments["account_id"] = json!(world.ids[0]);
        client.call(tool, &arguments).unwrap().cache_status().unwrap()
    };
    assert_eq!(status(&mut client, "emailfolders_list", json!({})), "fresh");
    assert_eq!(status(&mut client, "email_list", json!({"limit": 1, "include_body": false})), "miss");
}

#[test]
fn stats_count_what_happened() {
    let world = World::start().unwrap();
    let mut client = world.client(Era::Legacy).unwrap();
    for _ in 0..5 {
        client.call("email_list", &json!({"account_id": world.ids[0]})).unwrap().json().unwrap();
    }
    let stats = world.ctl_json(&["stats"]).unwrap();
    assert_eq!((&stats["misses"], &stats["hits"]), (&json!(1), &json!(4)), "{stats}");
    assert!(stats["raw_bytes"].as_u64().unwrap() > stats["stored_bytes"].as_u64().unwrap(), "{stats}");
}

#[test]
fn mistakes_have_their_exit_codes_and_hints() {
    let world = World::start().unwrap();
    for (words, code) in [
        (vec!["call", "email_lst"], 2),
        (vec!["call", "email_list", "--arg", "limit"], 2),
        (vec!["call", "email_list", "{not json"], 2),
        (vec!["call", "email_get", "{}"], 2),
        (vec!["call", "email_list", r#"{"account_id":"nobody"}"#], 3),
        (vec!["logout", "nobody@contoso.example", "--yes"], 3),
        (vec!["invalidate", "a:b:c:d:e:f"], 2),
        (vec!["frobnicate"], 2),
    ] {
        let said = world.ctl(&words).unwrap();
        assert_eq!(said.code, Some(code), "{words:?}: {said:?}");
        assert!(said.stderr.contains("error:"), "{words:?}: {said:?}");
        if words[0] == "frobnicate" {
            continue;
        }
        let json: Vec<&str> = ["--json"].into_iter().chain(words.iter().copied()).collect();
        let said = world.ctl(&json).unwrap();
        assert_eq!(said.code, Some(code), "{words:?}: {said:?}");
        let error = said.json().unwrap_or_else(|error| panic!("{words:?}: {error:#}"));
        assert!(error["error"]["code"].is_string() && error["error"]["message"].is_string(), "{words:?}: {error}");
    }
}

#[test]
fn arguments_are_typed_and_files_are_read() {
    let world = World::start().unwrap();
    let account = format!("account_id={}", world.ids[0]);
    let called = world.ctl_json(&["call", "email_list", &account, "limit=2", "include_body=false"]).unwrap();
    assert_eq!(called["messages"].as_array().unwrap().len(), 2, "{called}");
    let file = world.home.path().join("subject.txt");
    fs::write(&file, "From a file").unwrap();
    let subject = format!("subject=@{}", file.display());
    let made = ["call", "calendar_create_event", &account, &subject, "start=2027-06-08T09:00Z", "end=2027-06-08T09:30Z"];
    assert_eq!(world.ctl_json(&made).unwrap()["subject"], "From a file");
}

#[test]
fn a_dry_run_shows_the_requests_and_sends_none() {
    let world = World::start().unwrap();
    let account = format!("account_id={}", world.ids[0]);
    let list = world.ctl_json(&["call", "email_list", &account, "limit=1"]).unwrap();
    let id = format!("email_id={}", list["messages"][0]["id"].as_str().unwrap());
    let (state, changes) = (world.control().stats(), |stats: &m365_cached_tenant::Stats| {
        ["PATCH ", "POST /me", "DELETE ", "PUT "].iter().map(|method| stats.count(method)).sum::<u64>()
    });
    let marked = world.ctl_json(&["call", "email_mark_read", &account, &id, "--dry-run"]).unwrap();
    assert_eq!((&marked["requests"][0]["method"], &marked["requests"][0]["body"]), (&json!("PATCH"), &json!({"isRead": true})), "{marked}");
    let meeting = [
        "call",
        "calendar_create_event",
        &account,
        "subject=s",
        "start=2027-06-08T09:00Z",
        "end=2027-06-08T09:30Z",
        "attendees=bea@contoso.example",
        "--dry-run",
    ];
    let meeting = world.ctl_json(&meeting).unwrap();
    assert_eq!((&meeting["asks"], &meeting["requests"][0]["path"]), (&json!(true), &json!("/me/events")), "{meeting}");
    let removed = world.ctl_json(&["call", "account_remove", &account, "--dry-run"]).unwrap();
    assert_eq!((&removed["asks"], &removed["requests"]), (&json!(true), &json!([])));
    assert_eq!(changes(&world.control().stats()), changes(&state), "something was sent");
    assert_eq!(world.ctl_json(&["call", "email_list", &account, "limit=1"]).unwrap()["_cache_status"], "fresh", "nothing was made untrue");
    assert_eq!(world.ctl(&["call", "email_mark_read", &account, "--dry-run"]).unwrap().code, Some(2), "mistakes are told as ever");
}

#[test]
fn tools_are_listed_and_described() {
    let world = World::start().unwrap();
    let all = world.ctl_json(&["tools"]).unwrap();
    let row = |name: &str| all["tools"].as_array().unwrap().iter().find(|tool| tool["name"] == name).unwrap().clone();
    let remove = row("account_remove");
    assert_eq!((&remove["safety_level"], &remove["asks"], &remove["category"]), (&json!("critical"), &json!("always"), &json!("account")));
    assert!(all["schemas"]["tokens"].as_u64().unwrap() > 1_000, "{}", all["schemas"]);
    let listed = world.ctl(&["tools"]).unwrap().ok().unwrap().stdout;
    assert!(listed.contains("account_remove") && listed.contains("tokens"), "{listed}");
    let one = world.ctl(&["tools", "email_list"]).unwrap().ok().unwrap().stdout;
    assert!(one.contains("fresh for 120 s") && one.contains("integer 1..200"), "{one}");
    assert_eq!(world.ctl(&["tools", "email_lst"]).unwrap().code, Some(2));
}

#[test]
fn clients_are_listed_with_what_they_have_called() {
    let mut world = World::start().unwrap();
    let mut old = world.client(Era::Legacy).unwrap();
    let mut new = world.client_of(Era::Modern, "mail").unwrap();
    old.call("account_list", &json!({})).unwrap().json().unwrap();
    old.call("email_list", &json!({"account_id": world.ids[0]})).unwrap().json().unwrap();
    new.call("account_list", &json!({})).unwrap().json().unwrap();
    let listed = world.ctl_json(&["clients"]).unwrap();
    let [first, second] = listed["clients"].as_array().unwrap().as_slice() else { panic!("{listed}") };
    assert_eq!(
        (&first["era"], &first["protocol"], &first["calls"], &first["under_way"]),
        (&json!("legacy"), &json!("2025-11-25"), &json!(2), &json!(0))
    );
    assert_eq!((&second["era"], &second["tools"], &second["calls"]), (&json!("modern"), &json!("mail"), &json!(1)), "{second}");
    assert_eq!((&first["name"], &first["tools"]), (&json!("checks"), &json!("essential")), "{first}");
    let text = world.ctl(&["clients"]).unwrap().ok().unwrap().stdout;
    assert!(text.contains("2025-11-25") && text.contains("2026-07-28") && text.contains("mail"), "{text}");
    drop((old, new));
    world.until(|status| status["clients"] == json!([])).unwrap();
    assert_eq!(world.ctl_json(&["clients"]).unwrap(), json!({"clients": []}));
    world.stop_daemon().unwrap();
    assert_eq!(world.ctl(&["clients"]).unwrap().code, Some(8));
    assert!(m365_cached_checks::support::process::of_profile(world.home.path()).unwrap().is_empty());
}

#[test]
fn a_bench_calls_reads_alone_and_asks_microsoft_no_more_than_once() {
    let world = World::start().unwrap();
    let asked = || serde_json::to_value(world.control().stats()).unwrap()["requests"].clone();
    let before = asked();
    let own = world.ctl_json(&["bench", "--calls", "64"]).unwrap();
    assert_eq!((&own["tool"], &own["cache"], &own["asked_microsoft"]), (&json!("account_list"), &json!(null), &json!(0)), "{own}");
    assert_eq!((&own["one"]["calls"], &own["eight"]["calls"]), (&json!(64), &json!(64)), "{own}");
    for time in [&own["connect_us"]["p50"], &own["ping_us"]["p50"], &own["one"]["p50_us"], &own["eight"]["per_second"], &own["ratio"]] {
        assert!(time.as_f64().unwrap() > 0.0, "{own}");
    }
    assert_eq!(asked(), before, "Microsoft was not asked");
    let arguments = json!({"account_id": ALEX, "limit": 3}).to_string();
    let words = ["bench", "--calls", "64", "--tool", "email_list", "--args", &arguments];
    let read = world.ctl_json(&words).unwrap();
    assert_eq!((&read["cache"], &read["asked_microsoft"]), (&json!("fresh"), &json!(1)), "{read}");
    let after = asked();
    assert_eq!(world.ctl_json(&words).unwrap()["asked_microsoft"], 0);
    assert_eq!(asked(), after, "what is stored is enough");
    let text = world.ctl(&words).unwrap().ok().unwrap().stdout;
    assert!(text.contains("times as long as a ping") && text.contains("8 connections"), "{text}");
    let write = json!({"account_id": ALEX, "to": [ALEX], "subject": "s", "body": "b"}).to_string();
    let past = json!({"account_id": ALEX, "force_refresh": true}).to_string();
    for (tool, arguments, code) in [
        ("email_send", &write, "not_read_only"),
        ("email_list", &past, "not_cached"),
        ("email_lst", &arguments, "unknown_tool"),
        ("email_list", &"{}".to_owned(), "invalid_arguments"),
    ] {
        let said = world.ctl(&["--json", "bench", "--tool", tool, "--args", arguments]).unwrap();
        let error = said.json().unwrap()["error"].clone();
        assert!(said.code == Some(2) && !error["message"].as_str().unwrap().is_empty(), "{tool}: {said:?}");
        assert!(error["code"] == code || code == "invalid_arguments", "{tool}: {error}");
    }
    assert_eq!(asked(), after, "nothing of these was called");
}

#[test]
fn a_bench_that_runs_into_a_limit_says_so() {
    let world = World::with(m365_cached_checks::support::world::Setup {
        accounts: &[ALEX],
        config: "[limits]\nreads_per_minute = 20\n",
        ..m365_cached_checks::support::world::Setup::limited()
    })
    .unwrap();
    let said = world.ctl(&["--json", "bench", "--calls", "64"]).unwrap();
    assert_eq!((said.code, said.json().unwrap()["error"]["code"].as_str()), (Some(5), Some("busy")), "{said:?}");
}

#[test]
fn stop_ends_the_daemon_and_says_so() {
    let mut world = World::start().unwrap();
    let pid = world.daemon().pid();
    assert_eq!(world.ctl_json(&["stop"]).unwrap()["pid"], pid);
    assert!(world.daemon().wait().unwrap().success());
}

#[test]
fn every_verb_explains_itself() {
    let world = World::start().unwrap();
    for verb in [
        "status",
        "login",
        "logout",
        "accounts",
        "call",
        "tools",
        "stats",
        "invalidate",
        "tasks",
        "warm",
        "stop",
        "top",
        "clients",
        "logs",
        "bench",
    ] {
        let said = world.ctl(&[verb, "--help"]).unwrap().ok().unwrap();
        assert!(said.stdout.contains("Usage:"), "{verb}: {}", said.stdout);
    }
}

/// On a full disk half an answer is no answer.
#[test]
fn output_that_is_not_taken_is_no_success() {
    let world = World::start().unwrap();
    let account = format!("account_id={ALEX}");
    for words in [["status", "--json"].as_slice(), &["call", "email_list", &account], &["audit", "export", "-"], &["config", "show"]] {
        let mut command = world.home.command(world.bins, &world.bins.cachectl);
        command.args(words).stdin(Stdio::null()).stdout(OpenOptions::new().write(true).open("/dev/full").unwrap());
        let done = command.output().unwrap();
        let told = String::from_utf8(done.stderr).unwrap();
        assert!(done.status.code() == Some(2) && told.contains("the output was not written"), "{words:?}: {:?} {told}", done.status);
    }
}

#[test]
fn one_who_follows_ends_with_the_reader() {
    let world = World::start().unwrap();
    let mut talk = ctl::start(world.bins, &world.home, &["audit", "--follow", "-n", "1"]).unwrap();
    let mut line = String::new();
    talk.lines.read_line(&mut line).unwrap();
    assert!(!line.is_empty());
    let ended = std::thread::spawn(move || talk.hang_up());
    // It learns of it with the next record.
    while !ended.is_finished() {
        world.ctl(&["invalidate", "email_*"]).unwrap().ok().unwrap();
    }
    assert_eq!(ended.join().unwrap().unwrap().code, Some(0));
}

#[test]
fn ctrl_c_at_a_passphrase_gives_the_terminal_back() {
    let world = World::start().unwrap();
    let file = world.home.path().join("x.recovery");
    for (key, code) in [("\u{3}", 130), ("a passphrase\r", 2)] {
        let words = ["keys", "export", file.to_str().unwrap()];
        let mut asked = Terminal::start(world.bins, &world.home, &world.bins.cachectl, &words, (80, 24)).unwrap();
        asked.until(|text| text.contains("Passphrase:")).unwrap();
        assert!(!asked.is_given_back().unwrap(), "what is typed is not shown");
        asked.press(key).unwrap();
        if code == 2 {
            asked.until(|text| text.contains("The same again:")).unwrap();
            asked.press("another one\r").unwrap();
        }
        assert_eq!(asked.wait().unwrap().code(), Some(code));
        asked.until_given_back().unwrap();
        assert!(!file.exists());
    }
}

/// What is missing or mistyped is said before anybody is asked for anything.
#[test]
fn a_slip_of_the_pen_is_told_before_anything_is_done() {
    let world = World::start().unwrap();
    let none = world.home.path().join("none");
    let none = none.to_str().unwrap();
    for (words, code, error) in [
        (["restore", none].as_slice(), 2, "no_backup"),
        (&["keys", "import", none], 2, "no_recovery_file"),
        (&["audit", "--account", "nobody@contoso.example"], 3, "unknown_account"),
        (&["tools", "--profile", "esential"], 2, "usage"),
    ] {
        let said = world.ctl(&[["--json"].as_slice(), words].concat()).unwrap();
        assert_eq!((said.code, said.json().unwrap()["error"]["code"].as_str()), (Some(code), Some(error)), "{words:?}: {said:?}");
    }
    let slip = world.ctl(&["config", "set", "cache.max_byte", "5"]).unwrap();
    assert!(slip.stderr.contains("did you mean `cache.max_bytes`?\n"), "{slip:?}");
    // A folder of others is told, and nothing is put into it.
    let open = world.home.path().join("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o755)).unwrap();
    let refused = world.ctl(&["--profile", open.to_str().unwrap(), "accounts"]).unwrap();
    let told = ["others must have no access", "A profile wants a folder of its own."].iter().all(|part| refused.stderr.contains(part));
    assert!(refused.code == Some(8) && told && fs::read_dir(&open).unwrap().count() == 0, "{refused:?}");
    // An account of which nothing was recorded by that client is no slip.
    let nothing = world.ctl(&["audit", "--account", ALEX, "--client", "nobody"]).unwrap();
    assert!(nothing.code == Some(0) && nothing.stderr.contains("there is no such record"), "{nothing:?}");
}
