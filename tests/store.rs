//! What lies on the disk: no plain text, no file that others may read, and it survives being killed.

use std::os::unix::fs::PermissionsExt as _;

use m365_cached_checks::support::{
    mcp::Era,
    scan::Needles,
    world::{ALEX, BEA, Setup, World},
};
use serde_json::{Value, json};

/// Asks everything that can be read, so that it is stored.
fn read_everything(world: &World) -> Vec<Value> {
    let mut client = world.client(Era::Legacy).unwrap();
    let mut answers = Vec::new();
    for account in &world.ids {
        for (tool, more) in [
            ("email_list", json!({"limit": 200})),
            ("emailfolders_list", json!({})),
            ("contact_list", json!({"limit": 100})),
            ("calendar_list_events", json!({"days_ahead": 30})),
            ("file_list", json!({"limit": 100})),
            ("folder_list", json!({})),
            ("folder_get_tree", json!({})),
        ] {
            let mut arguments = more;
            arguments["account_id"] = json!(account);
            answers.push(client.call(tool, &arguments).unwrap().json().unwrap());
        }
    }
    answers
}

/// Texts of two words and more from the answers: subjects, names, bodies' beginnings.
fn texts(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::String(text) if text.contains(' ') && text.is_ascii() => into.push(text.chars().take(40).collect()),
        Value::String(text) if text.contains('@') => into.push(text.clone()),
        Value::Array(list) => list.iter().for_each(|value| texts(value, into)),
        Value::Object(object) => object.values().for_each(|value| texts(value, into)),
        _ => {}
    }
}

#[test]
fn no_plain_text_reaches_the_disk() {
    let mut world = World::with(Setup { accounts: &[ALEX, BEA], ..Setup::default() }).unwrap();
    let answers = read_everything(&world);
    let mut planted = vec![m365_cached_tenant::seed::CANARY.to_owned(), ALEX.to_owned(), BEA.to_owned()];
    answers.iter().for_each(|answer| texts(answer, &mut planted));
    planted.sort();
    planted.dedup();
    assert!(answers.iter().any(|answer| answer.to_string().contains(m365_cached_tenant::seed::CANARY)), "the canary was never asked for");
    assert!(planted.len() > 100, "too little to look for: {}", planted.len());
    let needles = Needles::new(planted.iter().map(String::as_str));
    let (hits, bytes) = needles.scan(world.home.path()).unwrap();
    assert_eq!(hits, [], "while it runs");
    assert!(bytes > 100_000, "only {bytes} bytes were looked at");
    world.stop_daemon().unwrap();
    assert_eq!(needles.scan(world.home.path()).unwrap().0, [], "after it has stopped");
}

#[test]
fn files_and_socket_are_for_their_owner_alone() {
    let world = World::start().unwrap();
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(world.home.path()), 0o700);
    assert_eq!(mode(&world.home.socket()), 0o600);
    let mut seen = 0;
    for file in world.home.files().unwrap() {
        let name = file.file_name().unwrap().to_str().unwrap();
        if name.starts_with("cache.") {
            assert_eq!(mode(&file), 0o600, "{name}");
            seen += 1;
        }
    }
    assert!(seen >= 2, "database and envelope");
}

#[test]
fn a_killed_daemon_finds_everything_again() {
    let mut world = World::start().unwrap();
    let asked = read_everything(&world);
    world.kill_daemon().unwrap();
    world.start_daemon().unwrap();
    let before = world.control().stats().requests;
    let again = read_everything(&world);
    let plain = |answers: Vec<Value>| -> Vec<Value> {
        let strip = |mut answer: Value| {
            answer.as_object_mut().unwrap().retain(|name, _| !name.starts_with('_'));
            answer
        };
        answers.into_iter().map(strip).collect()
    };
    assert!(again.iter().all(|answer| answer["_cache_status"] == "fresh"));
    assert_eq!(plain(again), plain(asked));
    assert_eq!(world.control().stats().requests, before);
}

#[test]
fn caching_can_be_switched_off() {
    let world = World::with(Setup { accounts: &[ALEX], config: "[cache]\nenabled = false\n", ..Setup::default() }).unwrap();
    let mut client = world.client(Era::Legacy).unwrap();
    for _ in 0..2 {
        let answer = client.call("email_list", &json!({"account_id": world.ids[0]})).unwrap();
        assert_eq!(answer.cache_status().unwrap(), "bypass");
    }
    assert_eq!(world.ctl_json(&["stats"]).unwrap()["entries"], 0);
}

#[test]
fn caching_can_be_switched_off_for_one_tool() {
    let config = "[cache.tools.email_list]\nenabled = false\n";
    let world = World::with(Setup { accounts: &[ALEX], config, ..Setup::default() }).unwrap();
    let mut client = world.client(Era::Legacy).unwrap();
    let account = json!({"account_id": world.ids[0]});
    for (tool, expected) in [("email_list", "bypass"), ("emailfolders_list", "fresh")] {
        client.call(tool, &account).unwrap().json().unwrap();
        assert_eq!(client.call(tool, &account).unwrap().cache_status().unwrap(), expected, "{tool}");
    }
}
