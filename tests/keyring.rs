//! The master key in the keyring of the desktop session, with the real daemon and a Secret Service on a bus of its own.

use m365_cached_checks::support::{
    PATIENCE,
    home::key,
    mcp::Era,
    stopwatch,
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

/// As after a login: the service is there before the keyring is open. Nobody types `stop`, and nobody is asked a second time.
#[test]
fn a_daemon_opens_when_its_keyring_was_unlocked() {
    let Some(keyring) = SecretService::start() else { return };
    let mut world = session(&keyring);
    world.start_daemon().unwrap();
    world.sign_in(ALEX).unwrap();
    world.stop_daemon().unwrap();
    for mood in [Mood::Dismissed, Mood::Waiting] {
        keyring.feels(mood);
        let before = keyring.asked().1;
        world.start_daemon().unwrap();
        assert_eq!(keyring.asked().1, before + 1, "a start asks a person once");
        let mut client = world.client(Era::Legacy).unwrap();
        let mut ask = || client.call("email_list", &json!({"account_id": ALEX, "limit": 4})).unwrap();
        let deadline = stopwatch::now() + PATIENCE;
        let (looks, prompts) = keyring.asked();
        while keyring.asked().0 < looks + 3 {
            assert!(ask().fault().is_ok() && stopwatch::now() < deadline, "it does not look");
        }
        assert_eq!(keyring.asked().1, prompts, "a look asks nobody");
        keyring.feels(Mood::Open);
        while ask().cache_status().is_err() {
            assert!(stopwatch::now() < deadline, "it stays locked");
        }
        assert_eq!(world.ctl_json(&["status"]).unwrap()["pid"], world.daemon().pid(), "a service manager sees none of it");
        drop(client);
        world.stop_daemon().unwrap();
    }
}

/// The first start, in a session whose keyring comes late.
#[test]
fn a_keyring_that_comes_late_is_given_the_first_key() {
    let Some(keyring) = SecretService::start() else { return };
    let mut world = session(&keyring);
    keyring.feels(Mood::Dismissed);
    world.start_daemon().unwrap();
    assert_locked(&world, "keyring_locked");
    keyring.feels(Mood::Open);
    let (mut client, deadline) = (world.client(Era::Modern).unwrap(), stopwatch::now() + PATIENCE);
    let mut state = || {
        // Whoever asks has the daemon look.
        client.request("tools/list", json!({})).unwrap();
        world.ctl(&["--json", "status"]).unwrap().json().unwrap()["state"].clone()
    };
    while state() != "ready" {
        assert!(stopwatch::now() < deadline, "it stays locked");
    }
    assert_eq!(keyring.items().len(), 1);
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
