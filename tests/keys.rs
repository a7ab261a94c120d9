//! The master key from a file or the environment, with the real daemon: used when it is safe and right, else nothing is touched.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use m365_cached_checks::support::{
    home::key,
    mcp::Era,
    world::{ALEX, Setup, World},
};
use serde_json::{Value, json};

use crate::locked::{assert_locked, data};

/// A stopped world whose key is to come from the file that is returned, in a folder of its own. The file is not there yet.
fn with_key_file() -> (World, PathBuf, tempfile::TempDir) {
    let mut world = World::with(Setup { keyless: true, ..Setup::default() }).unwrap();
    world.expect_log("locked");
    world.stop_daemon().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("master.key");
    world.words = vec!["--set".into(), "keys.source=file".into(), "--set".into(), format!("keys.file={}", file.display())];
    (world, file, folder)
}

fn write(file: &Path, text: &str, mode: u32) {
    fs::write(file, text).unwrap();
    fs::set_permissions(file, Permissions::from_mode(mode)).unwrap();
}

/// How the daemon says that it got its key.
fn source(world: &World) -> Value {
    let status = world.ctl_json(&["status"]).unwrap();
    assert_eq!(status["state"], "ready", "{status}");
    status["key"].clone()
}

/// A list that was asked for before is served from the cache: the store is the one of before.
fn assert_cached(world: &World, expected: &str) {
    let list = json!({"account_id": ALEX, "limit": 4});
    let answer = world.client(Era::Legacy).unwrap().call("email_list", &list).unwrap();
    assert_eq!(answer.cache_status().unwrap(), expected);
}

#[test]
fn a_key_file_of_its_owner_alone_opens_the_store() {
    let (mut world, file, _folder) = with_key_file();
    write(&file, &key(5), 0o600);
    world.start_daemon().unwrap();
    assert_eq!(source(&world), json!({"source": "file", "location": file.to_str().unwrap()}));
    world.sign_in(ALEX).unwrap();
    assert_cached(&world, "miss");
    // The envelope knows the place: the settings need not name it again.
    world.stop_daemon().unwrap();
    world.words.clear();
    world.start_daemon().unwrap();
    assert_cached(&world, "fresh");
    assert_eq!(fs::read_to_string(&file).unwrap(), key(5), "the file is as its owner made it");
}

#[test]
fn a_key_file_that_is_not_there_is_made_once_and_never_again() {
    let (mut world, file, _folder) = with_key_file();
    world.start_daemon().unwrap();
    assert_eq!(source(&world)["source"], "file");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let kept = fs::read_to_string(&file).unwrap();
    world.stop_daemon().unwrap();
    fs::remove_file(&file).unwrap();
    let before = data(&world);
    world.start_daemon().unwrap();
    let locked = assert_locked(&world, "key_missing");
    assert!(locked["message"].as_str().unwrap().contains(file.to_str().unwrap()), "{locked}");
    world.stop_daemon().unwrap();
    assert_eq!(data(&world), before);
    assert!(!file.exists(), "a new key would not open the old store");
    write(&file, &kept, 0o600);
    world.start_daemon().unwrap();
    source(&world);
}

#[test]
fn a_key_file_that_others_may_read_is_refused() {
    for mode in [0o644, 0o604, 0o666, 0o660] {
        let (mut world, file, _folder) = with_key_file();
        write(&file, &key(5), mode);
        let before = data(&world);
        world.start_daemon().unwrap();
        let locked = assert_locked(&world, "insecure_key_file");
        let hint = locked["hint"].as_str().unwrap();
        assert!(hint.contains("chmod 600") && hint.contains(file.to_str().unwrap()), "{locked}");
        world.stop_daemon().unwrap();
        assert_eq!(data(&world), before, "{mode:o}");
    }
}

#[test]
fn a_key_file_that_holds_no_key_is_refused() {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    for text in [STANDARD.encode([7; 31]), STANDARD.encode([7; 33]), "x".repeat(44), "0".repeat(64), String::new()] {
        let (mut world, file, _folder) = with_key_file();
        write(&file, &text, 0o600);
        let before = data(&world);
        world.start_daemon().unwrap();
        let locked = assert_locked(&world, "malformed_key");
        assert!(locked["hint"].as_str().unwrap().contains("openssl rand -base64 32"), "{locked}");
        assert!(text.is_empty() || !locked.to_string().contains(&text), "what stands there may be a secret: {locked}");
        world.stop_daemon().unwrap();
        assert_eq!(data(&world), before);
    }
}

#[test]
fn a_key_file_beside_what_it_protects_is_refused() {
    let (mut world, _, _folder) = with_key_file();
    let file = world.home.path().join("master.key");
    write(&file, &key(5), 0o600);
    world.words = vec!["--set".into(), "keys.source=file".into(), "--set".into(), format!("keys.file={}", file.display())];
    let before = data(&world);
    world.start_daemon().unwrap();
    assert_locked(&world, "insecure_key_file");
    world.stop_daemon().unwrap();
    assert_eq!(data(&world), before);
}

#[test]
fn another_key_in_the_file_is_told_from_the_right_one() {
    let (mut world, file, _folder) = with_key_file();
    write(&file, &key(5), 0o600);
    world.start_daemon().unwrap();
    world.stop_daemon().unwrap();
    write(&file, &key(6), 0o600);
    let before = data(&world);
    world.start_daemon().unwrap();
    assert_locked(&world, "wrong_key");
    world.stop_daemon().unwrap();
    assert_eq!(data(&world), before);
}

/// A wrong one and one that is gone are in `locked.rs`.
#[test]
fn a_variable_that_holds_no_key_is_refused_and_a_good_one_is_named() {
    let mut world = World::with(Setup { keyless: true, ..Setup::default() }).unwrap();
    world.expect_log("locked");
    world.stop_daemon().unwrap();
    let before = data(&world);
    for text in ["not base64 at all!", "c2hvcnQ=", "", " "] {
        world.home.key = Some(text.into());
        world.start_daemon().unwrap();
        let locked = assert_locked(&world, "malformed_key");
        assert!(locked["message"].as_str().unwrap().contains("M365_MCP_CACHE_KEY"), "{locked}");
        assert!(locked["hint"].as_str().unwrap().contains("openssl rand -base64 32"), "{locked}");
        world.stop_daemon().unwrap();
        assert_eq!(data(&world), before, "{text:?}");
    }
    world.home.key = Some(format!(" {}\n", key(1)));
    world.start_daemon().unwrap();
    assert_eq!(source(&world), json!({"source": "environment", "location": "M365_MCP_CACHE_KEY"}));
}
