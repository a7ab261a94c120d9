//! `m365-cachectl pause`: nothing goes to Microsoft until `resume`, whatever is asked and however often the daemon starts.

use std::time::Duration;

use m365_cached_checks::support::{
    mcp::Era,
    world::{ALEX, Setup, World},
};
use serde_json::{Value, json};

/// Requests of every kind that the tenant has seen.
fn asked(world: &World) -> Value {
    let stats = serde_json::to_value(world.control().stats()).unwrap();
    json!([stats["requests"], stats["identity"], stats["downloads"]])
}

#[test]
fn what_is_stored_is_served_and_nothing_is_asked() {
    let mut world = World::with(Setup { accounts: &[ALEX], stopped_clock: true, ..Setup::default() }).unwrap();
    let list = json!({"account_id": ALEX, "limit": 4});
    let mut client = world.client(Era::Legacy).unwrap();
    assert_eq!(client.call("email_list", &list).unwrap().cache_status().unwrap(), "miss");
    let paused = world.ctl_json(&["pause"]).unwrap();
    assert_eq!(paused, json!({"paused": true, "until_ms": null}));
    let before = asked(&world);
    assert_eq!(world.ctl_json(&["status"]).unwrap()["paused"], json!({"until_ms": null}));
    // Past every age at which it would be fetched anew.
    world.advance(Duration::from_secs(30 * 24 * 3600)).unwrap();
    let answer = client.call("email_list", &list).unwrap();
    assert_eq!(answer.cache_status().unwrap(), "stale_if_error", "{}", answer.text);
    assert!(answer.json().unwrap()["_warning"].as_str().unwrap().contains("paused"), "{}", answer.text);
    let other = client.call("email_list", &json!({"account_id": ALEX, "limit": 3, "folder": "drafts"})).unwrap();
    assert_eq!(other.fault().unwrap().0, "paused", "{}", other.text);
    let write = json!({"account_id": ALEX, "subject": "s", "body": "b", "to": [ALEX]});
    let refused = client.call("email_create_draft", &write).unwrap();
    let (code, _, hint) = refused.fault().unwrap();
    assert!(code == "paused" && hint.contains("resume"), "{}", refused.text);
    let login = world.ctl(&["login", "--device"]).unwrap();
    assert!(login.code == Some(4) && login.stderr.contains("paused"), "{login:?}");
    assert_eq!(asked(&world), before, "nothing was asked");

    world.stop_daemon().unwrap();
    world.start_daemon().unwrap();
    assert!(world.ctl_json(&["status"]).unwrap()["paused"].is_object(), "a new daemon is as quiet");
    assert_eq!(asked(&world), before);
    assert_eq!(world.ctl_json(&["resume"]).unwrap(), json!({"paused": false, "until_ms": null}));
    let mut client = world.client(Era::Legacy).unwrap();
    assert_ne!(client.call("email_list", &list).unwrap().cache_status().unwrap(), "stale_if_error");
    assert_ne!(asked(&world), before);
}

#[test]
fn tasks_wait_and_a_pause_with_a_time_ends_by_itself() {
    let world = World::with(Setup { accounts: &[ALEX], stopped_clock: true, ..Setup::default() }).unwrap();
    let paused = world.ctl_json(&["pause", "--for", "2h"]).unwrap();
    assert!(paused["until_ms"].as_u64().is_some(), "{paused}");
    let before = asked(&world);
    world.ctl_json(&["warm"]).unwrap();
    assert!(world.ctl_json(&["status"]).unwrap()["queue"]["queued"].as_u64() > Some(0));
    assert_eq!(asked(&world), before);
    world.advance(Duration::from_secs(2 * 3600 + 1)).unwrap();
    world.until_idle().unwrap();
    assert_eq!(world.ctl_json(&["status"]).unwrap()["paused"], Value::Null);
    assert_ne!(asked(&world), before, "what waited was done");
}
