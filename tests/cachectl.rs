//! `m365-cachectl` as scripts use it: what it prints, and the exit codes that are promised.

use m365_cached_checks::support::{
    mcp::Era,
    world::{ALEX, World},
};
use serde_json::json;

#[test]
fn status_says_what_a_person_wants_to_know() {
    let mut world = World::start().unwrap();
    let _client = world.client(Era::Legacy).unwrap();
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
    let said = world.ctl(&["status"]).unwrap().ok().unwrap();
    assert!(said.stdout.contains("ready") && said.stdout.contains(ALEX), "{}", said.stdout);
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
    assert_eq!(gone["entries_deleted"], 1, "{gone}");
    let gone = world.ctl_json(&["invalidate", "email_*"]).unwrap();
    assert_eq!(gone["entries_deleted"], 2, "{gone}");
    let status = |client: &mut m365_cached_checks::support::mcp::Mcp, tool: &str, more: serde_json::Value| {
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
        (vec!["logout", "nobody@contoso.example"], 3),
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
    std::fs::write(&file, "From a file").unwrap();
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
fn stop_ends_the_daemon_and_says_so() {
    let mut world = World::start().unwrap();
    let pid = world.daemon().pid();
    assert_eq!(world.ctl_json(&["stop"]).unwrap()["pid"], pid);
    assert!(world.daemon().wait().unwrap().success());
}

#[test]
fn every_verb_explains_itself() {
    let world = World::start().unwrap();
    for verb in ["status", "login", "logout", "accounts", "call", "tools", "stats", "invalidate", "tasks", "warm", "stop"] {
        let said = world.ctl(&[verb, "--help"]).unwrap().ok().unwrap();
        assert!(said.stdout.contains("Usage:"), "{verb}: {}", said.stdout);
    }
}
