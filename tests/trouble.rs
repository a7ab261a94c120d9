//! Bad input and trouble with Microsoft: each gets a clear, typed error with a hint, nothing hangs, the daemon stays up.

use m365_cached_checks::support::{
    mcp::{ERAS, Era, Mcp},
    world::{ALEX, Setup, World},
};
use m365_cached_tenant::{At, Effect, Fault, GarbageKind, RetryAfter};
use serde_json::{Value, json};

const LIST: &str = "GET /me/mailFolders/{id}/messages";

/// Short deadlines, so that giving up is quick.
fn impatient() -> World {
    let config = "[graph]\nrequest_timeout_s = 1\ncall_deadline_s = 3\nconnect_timeout_s = 1\n";
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
        let strange: Vec<&String> = stats.routes.keys().filter(|route| !route.contains("/me/messages/{id}")).collect();
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
        fine(&mut client);
    }
    assert!(world.daemon().alive());
}
