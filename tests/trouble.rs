//! Bad input and trouble with Microsoft: each gets a clear, typed error with a hint, nothing hangs, the daemon stays up.

use std::time::Duration;

use m365_cached_checks::support::{
    mcp::{ERAS, Era, Mcp},
    world::{ALEX, BEA, Setup, World},
};
use m365_cached_tenant::{At, Effect, Fault, GarbageKind, RetryAfter};
use serde_json::{Value, json};

const LIST: &str = "GET /me/mailFolders/{id}/messages";

/// Short deadlines, so that giving up is quick.
fn impatient() -> World {
    let config = "[graph]\nrequest_timeout_s = 3\ncall_deadline_s = 4\nconnect_timeout_s = 1\n";
    World::with(Setup { accounts: &[ALEX], config, ..Setup::default() }).unwrap()
}

fn list(account: &str, limit: usize) -> Value {
    json!({"account_id": account, "folder": "inbox", "limit": limit})
}

fn status(status: u16, code: &str) -> Effect {
    Effect::Status { status, code: code.into(), message: None, retry_after: None }
}

#[test]
fn trouble_that_lasts_is_a_typed_error_and_passes() {
    let mut world = impatient();
    world.expect_log("Graph");
    let mut client = world.client(Era::Legacy).unwrap();
    let troubles = [
        (
            "throttled",
            Effect::Status { status: 429, code: "TooManyRequests".into(), message: None, retry_after: Some(RetryAfter::Seconds(30)) },
        ),
        ("unavailable", status(503, "serviceNotAvailable")),
        ("gateway page", Effect::HtmlPage { status: 502 }),
        ("forbidden", status(403, "ErrorAccessDenied")),
        ("not found", status(404, "ErrorItemNotFound")),
        ("not JSON", Effect::Garbage { how: GarbageKind::NotJson }),
        ("half JSON", Effect::Garbage { how: GarbageKind::TruncatedJson }),
        ("wrong length", Effect::Garbage { how: GarbageKind::WrongLength }),
        ("empty", Effect::EmptyBody),
        ("reset", Effect::Reset { at: At::Before }),
        ("hang", Effect::Hang { ms: 20_000 }),
    ];
    for (nth, (name, effect)) in troubles.into_iter().enumerate() {
        // A question of its own each time, of more than one page, so that nothing is in the cache.
        let question = list(&world.ids[0], 100 + nth);
        world.control().fault(Fault::always(LIST, effect));
        let (answer, took) = m365_cached_checks::support::stopwatch::timed(|| client.call("email_list", &question).unwrap());
        let (code, message, hint) = answer.fault().unwrap_or_else(|error| panic!("{name}: {error:#}"));
        assert!(code.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'), "{name}: {code}");
        assert!(message.len() > 10 && hint.len() > 10, "{name}: {message} {hint}");
        assert_ne!(code, "internal", "{name}: {message}");
        assert!(took.as_secs() < 15, "{name} took {took:?}");
        world.control().clear_faults(None);
        // What was learned about Microsoft (a pause, an open breaker) belongs to the daemon's run.
        world.stop_daemon().unwrap();
        world.start_daemon().unwrap();
        client.call("email_list", &question).unwrap().json().unwrap_or_else(|error| panic!("after {name}: {error:#}"));
    }
}

#[test]
fn trouble_that_passes_is_not_noticed() {
    let mut world = World::start().unwrap();
    world.expect_log("Graph");
    let mut client = world.client(Era::Legacy).unwrap();
    for (nth, effect) in [
        Effect::Status { status: 429, code: "TooManyRequests".into(), message: None, retry_after: Some(RetryAfter::Seconds(1)) },
        status(503, "serviceNotAvailable"),
        Effect::Reset { at: At::Before },
        Effect::Unauthorized,
    ]
    .into_iter()
    .enumerate()
    {
        world.control().fault(Fault::once(LIST, effect.clone()));
        client.call("email_list", &list(&world.ids[0], 10 + nth)).unwrap().json().unwrap_or_else(|error| panic!("{effect:?}: {error:#}"));
    }
}

#[test]
fn an_old_answer_stands_in_when_microsoft_cannot_be_asked() {
    let mut world = impatient();
    world.expect_log("Graph");
    let mut client = world.client(Era::Modern).unwrap();
    let mut question = list(&world.ids[0], 7);
    let asked = client.call("email_list", &question).unwrap().plain().unwrap();
    world.control().fault(Fault::always(LIST, status(503, "serviceNotAvailable")));
    question["force_refresh"] = json!(true);
    let answer = client.call("email_list", &question).unwrap();
    assert_eq!(answer.cache_status().unwrap(), "stale_if_error");
    assert_eq!(answer.plain().unwrap(), asked);
}

#[test]
fn without_the_tenant_cached_answers_go_on_and_others_say_so() {
    let mut world = impatient();
    world.expect_log("Graph");
    let mut client = world.client(Era::Legacy).unwrap();
    client.call("email_list", &list(&world.ids[0], 5)).unwrap().json().unwrap();
    world.stop_tenant();
    assert_eq!(client.call("email_list", &list(&world.ids[0], 5)).unwrap().cache_status().unwrap(), "fresh");
    let (code, _, hint) = client.call("email_list", &list(&world.ids[0], 6)).unwrap().fault().unwrap();
    assert_ne!(code, "internal");
    assert!(!hint.is_empty());
    assert_eq!(world.ctl_json(&["status"]).unwrap()["state"], "ready");
}

#[test]
fn a_link_that_leads_elsewhere_or_in_a_circle_is_not_followed() {
    let mut world = World::start().unwrap();
    world.expect_log("Graph");
    let mut client = world.client(Era::Legacy).unwrap();
    // The whole drive is more than one page.
    let question = json!({"account_id": world.ids[0]});
    for effect in [Effect::ForeignNextLink, Effect::LoopNextLink] {
        world.control().fault(Fault::always("delta", effect.clone()));
        let (answer, took) = m365_cached_checks::support::stopwatch::timed(|| client.call("folder_get_tree", &question).unwrap());
        let (code, message, _) = answer.fault().unwrap_or_else(|error| panic!("{effect:?}: {error:.300}"));
        assert_ne!(code, "internal", "{effect:?}: {message}");
        assert!(took.as_secs() < 30, "{effect:?} took {took:?}");
        assert!(world.control().clear_faults(None) == 1, "the fault was there");
    }
    client.call("folder_get_tree", &question).unwrap().json().unwrap();
}

#[test]
fn wrong_arguments_are_named_with_what_would_be_right() {
    let world = World::start().unwrap();
    let account = world.ids[0].clone();
    let long = "x".repeat(20_000);
    for era in ERAS {
        let mut client = world.client(era).unwrap();
        let before = world.control().stats().requests;
        for (tool, arguments, expected) in [
            ("email_list", json!({"account_id": account, "limt": 3}), "unknown_argument"),
            ("email_list", json!({"account_id": account, "limit": "three"}), "invalid_argument"),
            ("email_list", json!({"account_id": account, "limit": 0}), "invalid_argument"),
            ("email_list", json!({"account_id": account, "limit": 1.5}), "invalid_argument"),
            ("email_list", json!({"account_id": account, "folder": "attic"}), "invalid_argument"),
            ("email_list", json!({"account_id": 7}), "invalid_argument"),
            ("email_list", json!({"account_id": account, "folder_id": long}), "invalid_argument"),
            ("email_get", json!({"account_id": account}), "missing_argument"),
            ("email_get", json!({"account_id": account, "email_id": ""}), "invalid_argument"),
            ("email_get", json!({"account_id": account, "email_id": ["a"]}), "invalid_argument"),
            ("folder_list", json!({"account_id": account, "path": "no/slash/first"}), "invalid_argument"),
            ("email_list", json!({"account_id": "nobody@contoso.example"}), "unknown_account"),
        ] {
            let answer = client.call(tool, &arguments).unwrap();
            let (code, message, hint) = answer.fault().unwrap_or_else(|error| panic!("{tool} {arguments:.100}: {error:#}"));
            assert_eq!(code, expected, "{tool}: {message}");
            assert!(message.len() < 500 && hint.len() < 500, "{tool}: {message} {hint}");
        }
        assert_eq!(world.control().stats().requests, before, "wrong arguments never reach Graph");
        let unknown = client.request("tools/call", json!({"name": "email_lst", "arguments": {}})).unwrap();
        assert_eq!(unknown["error"]["code"], -32602, "{unknown}");
        assert!(unknown["error"]["message"].as_str().unwrap().contains("email_list"), "the nearest tool is named: {unknown}");
    }
}

#[test]
fn strange_ids_stay_ids() {
    let world = World::start().unwrap();
    let mut client = world.client(Era::Legacy).unwrap();
    for id in ["../../users", "a/b", "a?$select=id", "a#b", "%2e%2e%2fme", "ä ö", "AAMk+/=="] {
        world.control().reset_stats();
        let answer = client.call("email_get", &json!({"account_id": world.ids[0], "email_id": id})).unwrap();
        let (code, ..) = answer.fault().unwrap_or_else(|error| panic!("{id}: {error:#}"));
        assert_ne!(code, "internal", "{id}");
        let stats = world.control().stats();
        let strange: Vec<&String> =
            stats.routes.keys().filter(|route| !route.contains("/me/messages/{id}") && !route.contains("/me/mailboxSettings/")).collect();
        assert!(strange.is_empty(), "{id} reached {strange:?}");
    }
}

#[test]
fn lines_that_are_no_requests_get_an_answer_and_do_no_harm() {
    let mut world = World::start().unwrap();
    for era in ERAS {
        let mut client = world.client(era).unwrap();
        let fine = |client: &mut Mcp| assert!(!client.call("server_get_version", &json!({})).unwrap().is_error);
        client.send("this is not JSON").unwrap();
        let error = client.message().unwrap();
        assert_eq!((&error["error"]["code"], &error["id"]), (&json!(-32700), &Value::Null), "{error}");
        fine(&mut client);
        for blank in ["", "   ", "\r"] {
            client.send(blank).unwrap();
        }
        fine(&mut client);
        let over = format!(
            r#"{{"jsonrpc":"2.0","id":4711,"method":"tools/call","params":{{"name":"email_list","arguments":{{"folder_id":"{}"}}}}}}"#,
            "x".repeat(5 << 20)
        );
        client.send(&over).unwrap();
        let error = client.message().unwrap();
        assert!(error["error"]["message"].is_string(), "{error}");
        assert!(error["id"] == 4711 || error["id"].is_null(), "{error}");
        fine(&mut client);
        let unknown = client.request("no/such/method", json!({})).unwrap();
        assert_eq!(unknown["error"]["code"], -32601, "{unknown}");
        let long = client.request(&"x".repeat(50_000), json!({})).unwrap();
        assert!(long["error"]["code"] == -32601 && !long.to_string().contains(&"x".repeat(65)), "{long}");
        fine(&mut client);
    }
    assert!(world.daemon().alive());
}

/// Asks; the status, and since when the answer is true.
fn age(client: &mut Mcp, tool: &str, question: &Value) -> (String, Value) {
    let answer = client.call(tool, question).unwrap().json().unwrap_or_else(|error| panic!("{tool} {question}: {error:#}"));
    (answer["_cache_status"].as_str().unwrap().to_owned(), answer["_cached_at"].clone())
}

#[test]
fn throttled_for_minutes_it_says_until_when_serves_what_it_has_and_goes_on_by_itself() {
    let mut world = World::with(Setup { accounts: &[ALEX, BEA], stopped_clock: true, ..Setup::default() }).unwrap();
    world.expect_log("Graph");
    let (alex, bea) = (world.ids[0].clone(), world.ids[1].clone());
    let mut clients = [world.client(Era::Legacy).unwrap(), world.client(Era::Modern).unwrap()];
    let [client, other] = &mut clients;
    let (old, aging) = (list(&alex, 5), json!({"account_id": alex, "folder": "sent", "limit": 5}));
    let folders = json!({"account_id": alex});
    let at_first = age(client, "email_list", &old).1;
    world.advance(Duration::from_secs(500)).unwrap();
    let then = age(client, "email_list", &aging).1;
    assert_eq!(age(client, "emailfolders_list", &folders).0, "miss");
    world.advance(Duration::from_secs(130)).unwrap();
    // Ten and a half minutes after the first answer Microsoft has enough, of this mailbox.
    let retry_after = Some(RetryAfter::Seconds(300));
    let throttled = Effect::Status { status: 429, code: "ApplicationThrottled".into(), message: None, retry_after };
    world.control().fault(Fault::always("/me/mailFolders", throttled));
    // What is stale is served with its age and asked for again in the background, which learns of it first.
    assert_eq!(age(client, "email_list", &aging), ("stale".into(), then.clone()));
    let queued = |status: &Value| status["queue"]["queued"] == 1 && status["queue"]["running"] == 0;
    world.until(|status| queued(status) && status["graph"]["throttled"].as_u64() >= Some(1)).unwrap();
    let before = world.control().stats().requests;
    for (nth, client) in [client, other].into_iter().enumerate() {
        assert_eq!(age(client, "emailfolders_list", &folders).0, "fresh");
        assert_eq!(age(client, "email_list", &aging), ("stale".into(), then.clone()));
        // Too old to be served, but for this.
        let (answer, took) = m365_cached_checks::support::stopwatch::timed(|| client.call("email_list", &old).unwrap().json().unwrap());
        assert_eq!((&answer["_cache_status"], &answer["_cached_at"]), (&json!("stale_if_error"), &at_first), "{answer}");
        assert!(answer["_warning"].as_str().unwrap().contains("300 s") && took.as_secs() < 5, "{} {took:?}", answer["_warning"]);
        // Nothing to serve: it says until when, and does not wait for it.
        let (answer, took) = m365_cached_checks::support::stopwatch::timed(|| client.call("email_list", &list(&alex, 50 + nth)).unwrap());
        let (code, _, hint) = answer.fault().unwrap();
        assert_eq!((code.as_str(), hint.as_str()), ("throttled", "Try again in 300 s."), "after {took:?}");
        assert!(took.as_secs() < 5, "{took:?}");
    }
    assert_eq!(world.control().stats().requests, before, "nobody asks meanwhile");
    let status = world.ctl_json(&["status"]).unwrap();
    let lane = status["graph"]["lanes"].as_array().unwrap().iter().find(|lane| lane["account_id"] == alex).cloned().unwrap_or_default();
    assert!(lane["held_back_ms"].as_u64() > Some(299_000), "{status}");
    let said = world.ctl(&["status"]).unwrap().ok().unwrap().stdout;
    assert!(said.contains(&format!("\nbudget    {ALEX} 0 of 4, held back 5 min")), "{said}");
    // Two minutes later there are three left, and another mailbox is as it was.
    world.advance(Duration::from_secs(120)).unwrap();
    let (_, _, hint) = clients[0].call("email_list", &list(&alex, 60)).unwrap().fault().unwrap();
    assert_eq!(hint, "Try again in 180 s.");
    world.control().clear_faults(None);
    assert_eq!(age(&mut clients[0], "email_list", &list(&bea, 5)).0, "miss");
    assert_eq!(world.control().stats().requests, before + 2, "the list, and the zone of its times");
    // Time is up: what was asked for in the background comes by itself, and everything is as ever.
    world.advance(Duration::from_secs(200)).unwrap();
    world.until(|status| status["queue"]["queued"] == 0 && status["queue"]["running"] == 0).unwrap();
    let (status, since) = age(&mut clients[0], "email_list", &aging);
    assert!(status == "fresh" && since != then, "{status} of {since}");
    assert_eq!(age(&mut clients[1], "email_list", &list(&alex, 60)).0, "miss");
}

#[test]
fn patterns_name_what_they_say_and_nothing_else() {
    let world = World::with(Setup { accounts: &[ALEX, BEA], graph_ids: true, ..Setup::default() }).unwrap();
    let mut client = world.client(Era::Legacy).unwrap();
    let alex = &world.ids[0];
    let message = client.call("email_list", &json!({"account_id": alex, "use_cache": false})).unwrap().json().unwrap();
    let message = &message["messages"][0]["id"];
    let tree = client.call("folder_get_tree", &json!({"account_id": alex, "use_cache": false})).unwrap().json().unwrap();
    let folder = tree["folders"][0]["id"].as_str().unwrap();
    let (start, end) = (&folder[..folder.len() - 2], &message.as_str().unwrap()[..8]);
    let stored = [
        ("email_get", json!({"account_id": alex, "email_id": message})),
        ("email_list", json!({"account_id": alex, "folder": "sent", "limit": 3})),
        ("email_list", json!({"account_id": alex, "folder": "archive", "limit": 3})),
        ("file_list", json!({"account_id": alex, "folder_id": folder})),
        ("file_list", json!({"account_id": alex})),
        ("folder_get_tree", json!({"account_id": alex})),
        ("folder_get_tree", json!({"account_id": world.ids[1]})),
    ];
    let whole = format!("email_get:*:email_id={}", message.as_str().unwrap());
    let begun = format!("file_list:*:folder_id={start}*");
    // Each with what it removes of those, by number.
    let patterns: [(&str, &[usize]); 12] = [
        (&whole, &[0]),
        ("email_list:*:folder=sent*", &[1]),
        (&begun, &[3]),
        ("folder_get_tree:*", &[5, 6]),
        ("folder_get_tree", &[5, 6]),
        (&format!("folder_get_tree:{}", world.ids[1]), &[6]),
        ("*_list", &[1, 2, 3, 4]),
        ("*", &[0, 1, 2, 3, 4, 5, 6]),
        (&format!("email_get:*:email_id={end}"), &[]),
        ("email_list:nobody@contoso.example", &[]),
        ("no_such_tool:*", &[]),
        ("email_list:*:folder=%", &[]),
    ];
    for (pattern, gone) in patterns {
        for (tool, question) in &stored {
            client.call(tool, question).unwrap().json().unwrap();
        }
        // What a list has left out is an entry of its own, and goes with it.
        let said = client.call("cache_invalidate", &json!({"pattern": pattern})).unwrap().json().unwrap();
        let count = usize::try_from(said["entries_deleted"].as_u64().unwrap()).unwrap();
        assert!(count >= gone.len() && (count <= 2 * gone.len() || pattern == "*"), "{said}");
        assert_eq!(
            (&said["pattern"], &said["reason"], &said["account_id"]),
            (&json!(pattern), &json!("manual_invalidation"), &Value::Null)
        );
        for (nth, (tool, question)) in stored.iter().enumerate() {
            let expected = if gone.contains(&nth) { "miss" } else { "fresh" };
            assert_eq!(client.call(tool, question).unwrap().cache_status().unwrap(), expected, "{pattern}: {tool} {question}");
        }
    }
    for (pattern, account, code) in [
        ("email_list:*", "nobody@contoso.example", "unknown_account"),
        ("a:b:c:d", ALEX, "invalid_pattern"),
        ("email_list:*:folder", ALEX, "invalid_pattern"),
    ] {
        let answer = client.call("cache_invalidate", &json!({"pattern": pattern, "account_id": account})).unwrap();
        assert_eq!(answer.fault().unwrap().0, code, "{pattern}");
    }
    // Of one account, whatever the pattern says of others.
    let said = client.call("cache_invalidate", &json!({"pattern": "*", "account_id": BEA})).unwrap().json().unwrap();
    assert_eq!((&said["entries_deleted"], &said["account_id"]), (&json!(1), &json!(world.ids[1])));
}

#[test]
fn a_task_that_is_not_known_is_said_to_be_none() {
    let world = World::start().unwrap();
    let mut client = world.client(Era::Modern).unwrap();
    for id in ["none", "00000000-0000-4000-8000-000000000000", "' OR 1=1 --", &"x".repeat(300)] {
        let answer = client.call("cache_task_get_status", &json!({"task_id": id})).unwrap();
        let (code, ..) = answer.fault().unwrap();
        assert!(code == "unknown_task" || (id.len() > 255 && code == "invalid_argument"), "{id}: {code}");
        for verb in ["show", "cancel"] {
            let said = world.ctl(&["tasks", verb, id]).unwrap();
            assert!(said.code == Some(2) && said.stderr.contains("error:") && said.stdout.is_empty(), "{verb} {id}: {said:?}");
        }
    }
    assert_eq!(client.call("cache_task_list", &json!({})).unwrap().json().unwrap()["tasks"], json!([]));
}
