//! Without a usable key or store the daemon listens, says why, and leaves every file as it is.

use std::{collections::BTreeMap, path::PathBuf};

use m365_cached_checks::support::{
    home::key,
    mcp::ERAS,
    world::{Setup, World},
};
use serde_json::{Value, json};

/// Every file of the profile that holds data, and its bytes. What verbs note for the audit trail is not of them: that they were tried counts.
pub(crate) fn data(world: &World) -> BTreeMap<PathBuf, Vec<u8>> {
    let passing = |name: &str| {
        name == "audit.pending"
            || name.ends_with(".log")
            || name.ends_with(".lock")
            || name.ends_with(".sock")
            || name.ends_with(".starting")
            || name.ends_with(".settings")
    };
    let files = world.home.files().unwrap().into_iter().filter(|file| !passing(file.file_name().unwrap().to_str().unwrap()));
    files.map(|file| (file.clone(), std::fs::read(file).unwrap())).collect()
}

/// Status, tools and verbs of a locked daemon; why it is locked.
pub(crate) fn assert_locked(world: &World, code: &str) -> Value {
    let said = world.ctl(&["--json", "status"]).unwrap();
    assert_eq!(said.code, Some(7), "{said:?}");
    let status = said.json().unwrap();
    assert_eq!(status["state"], "locked", "{status}");
    assert_eq!(status["locked"]["code"], code, "{status}");
    for word in ["message", "hint"] {
        assert!(!status["locked"][word].as_str().unwrap().is_empty(), "{status}");
    }
    for era in ERAS {
        let mut client = world.client(era).unwrap();
        let tools = client.request("tools/list", json!({})).unwrap();
        assert!(tools["result"]["tools"].as_array().unwrap().len() >= 17, "the catalogue is told all the same: {tools}");
        let (_, message, hint) = client.call("email_list", &json!({"account_id": "somebody"})).unwrap().fault().unwrap();
        assert_eq!(Some(hint.as_str()), status["locked"]["hint"].as_str(), "{message}");
    }
    let said = world.ctl(&["--json", "stats"]).unwrap();
    assert_eq!(said.code, Some(7), "{said:?}");
    status["locked"].clone()
}

#[test]
fn no_safe_place_for_a_key_means_that_nothing_is_made() {
    let mut world = World::with(Setup { keyless: true, ..Setup::default() }).unwrap();
    world.expect_log("locked");
    assert_locked(&world, "no_safe_place");
    let made: Vec<PathBuf> = data(&world).into_keys().collect();
    let expected = ["config.toml", "demo-ca.pem"].map(|name| world.home.path().join(name));
    assert_eq!(made, expected);
}

#[test]
fn a_wrong_key_changes_nothing_and_the_right_one_opens_again() {
    let mut world = World::start().unwrap();
    world.expect_log("locked");
    let list = json!({"account_id": world.ids[0], "limit": 3});
    world.client(ERAS[0]).unwrap().call("email_list", &list).unwrap().json().unwrap();
    world.stop_daemon().unwrap();
    let before = data(&world);
    world.home.key = Some(key(99));
    world.start_daemon().unwrap();
    assert_locked(&world, "wrong_key");
    world.stop_daemon().unwrap();
    assert_eq!(data(&world), before);
    world.home.key = Some(key(1));
    world.start_daemon().unwrap();
    assert_eq!(world.client(ERAS[1]).unwrap().call("email_list", &list).unwrap().cache_status().unwrap(), "fresh");
}

#[test]
fn a_key_that_is_gone_is_not_replaced_by_another() {
    let mut world = World::start().unwrap();
    world.expect_log("locked");
    world.stop_daemon().unwrap();
    let before = data(&world);
    world.home.key = None;
    world.start_daemon().unwrap();
    assert_locked(&world, "key_missing");
    world.stop_daemon().unwrap();
    assert_eq!(data(&world), before);
}

#[test]
fn a_foreign_file_in_our_place_is_left_alone() {
    let mut world = World::with(Setup { keyless: true, ..Setup::default() }).unwrap();
    world.expect_log("locked");
    world.stop_daemon().unwrap();
    std::fs::write(world.home.database(), "somebody else's notes, longer than a header of SQLite would be").unwrap();
    let before = data(&world);
    world.home.key = Some(key(1));
    world.start_daemon().unwrap();
    assert_locked(&world, "foreign_database");
    world.stop_daemon().unwrap();
    assert_eq!(data(&world), before);
}

#[test]
fn a_damaged_envelope_is_left_alone() {
    let mut world = World::start().unwrap();
    world.expect_log("locked");
    world.stop_daemon().unwrap();
    let envelope = world.home.path().join("cache.keys");
    let mut text = std::fs::read(&envelope).unwrap();
    let middle = text.len() / 2;
    text.truncate(middle);
    std::fs::write(&envelope, &text).unwrap();
    let before = data(&world);
    world.start_daemon().unwrap();
    assert_locked(&world, "damaged_envelope");
    world.stop_daemon().unwrap();
    assert_eq!(data(&world), before);
}
