//! The master key in the keyring of the desktop session, with the real daemon and a Secret Service on a bus of its own.

use m365_cached_checks::support::{
    home::key,
    mcp::Era,
    world::{ALEX, Setup, World},
};
use serde_json::json;

use crate::{
    locked::{assert_locked, data},
    secret_service::{Mood, SecretService},
};

/// A stopped world in a session with this keyring and no other place for a key.
fn session(keyring: &SecretService) -> World {
    let mut world = World::with(Setup { keyless: true, ..Setup::default() }).unwrap();
    world.expect_log("locked");
    world.stop_daemon().unwrap();
    world.home.variables.push(("DBUS_SESSION_BUS_ADDRESS".into(), keyring.address.clone()));
    world
}

#[test]
fn the_keyring_keeps_the_key_and_gives_it_back() {
    let Some(keyring) = SecretService::start() else { return };
    let mut world = session(&keyring);
    // A keyring comes before a variable.
    world.home.key = Some(key(1));
    world.start_daemon().unwrap();
    let status = world.ctl_json(&["status"]).unwrap();
    assert_eq!((&status["state"], &status["key"]["source"]), (&json!("ready"), &json!("keyring")), "{status}");
    let entry = status["key"]["location"].as_str().unwrap();
    assert!(entry.starts_with("profile-"), "a demo never meets the entry `default`: {entry}");
    let items = keyring.items();
    assert_eq!(items.len(), 1);
    let (attributes, sealed) = &items[0];
    assert_eq!((attributes["service"].as_str(), attributes["username"].as_str()), ("m365-cached", entry));
    assert_eq!(*sealed, 48, "32 bytes, padded by the session's cipher");

    world.sign_in(ALEX).unwrap();
    let list = json!({"account_id": ALEX, "limit": 4});
    let ask = |world: &World| world.client(Era::Modern).unwrap().call("email_list", &list).unwrap().cache_status().unwrap();
    assert_eq!(ask(&world), "miss");
    world.stop_daemon().unwrap();
    world.home.key = None;
    world.start_daemon().unwrap();
    assert_eq!(ask(&world), "fresh");
    assert_eq!(keyring.items(), items);
}

#[test]
fn a_keyring_that_lost_the_key_is_given_no_other() {
    let Some(keyring) = SecretService::start() else { return };
    let mut world = session(&keyring);
    world.start_daemon().unwrap();
    world.stop_daemon().unwrap();
    let before = data(&world);
    let kept = keyring.forget();
    world.start_daemon().unwrap();
    assert_locked(&world, "key_missing");
    world.stop_daemon().unwrap();
    assert_eq!(keyring.items(), []);
    assert_eq!(data(&world), before);
    keyring.restore(kept);
    world.start_daemon().unwrap();
    assert_eq!(world.ctl_json(&["status"]).unwrap()["state"], "ready");
}

#[test]
fn a_keyring_that_stays_locked_locks_the_daemon() {
    let Some(keyring) = SecretService::start() else { return };
    let mut world = session(&keyring);
    world.start_daemon().unwrap();
    world.stop_daemon().unwrap();
    let before = data(&world);
    for (mood, code) in [(Mood::Dismissed, "keyring_locked"), (Mood::Waiting, "keyring_timeout")] {
        keyring.feels(mood);
        world.start_daemon().unwrap();
        let locked = assert_locked(&world, code);
        assert!(locked["hint"].as_str().unwrap().to_lowercase().contains("unlock"), "{locked}");
        world.stop_daemon().unwrap();
        assert_eq!(data(&world), before);
    }
    keyring.feels(Mood::Open);
    world.start_daemon().unwrap();
    assert_eq!(world.ctl_json(&["status"]).unwrap()["state"], "ready");
    // The session ends, and its keyring with it.
    world.stop_daemon().unwrap();
    drop(keyring);
    world.start_daemon().unwrap();
    assert_locked(&world, "keyring_unavailable");
    world.stop_daemon().unwrap();
    assert_eq!(data(&world), before);
}

#[test]
fn a_locked_keyring_is_no_reason_to_make_a_key_elsewhere() {
    let Some(keyring) = SecretService::start() else { return };
    let mut world = session(&keyring);
    let before = data(&world);
    keyring.feels(Mood::Dismissed);
    world.start_daemon().unwrap();
    assert_locked(&world, "keyring_locked");
    world.stop_daemon().unwrap();
    assert_eq!((data(&world), keyring.items()), (before, vec![]));
}
