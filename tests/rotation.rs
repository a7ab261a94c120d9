//! Rotation, export and import of keys with the real daemon: calls go on, a kill at any step leaves something that opens, and the old key
//! opens nothing.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use m365_cached_checks::support::{
    figure,
    home::key,
    mcp::Era,
    world::{ALEX, Setup, World},
};
use serde_json::{Value, json};

use crate::{
    locked::{assert_locked, data},
    secret_service::SecretService,
};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// A world whose master key is in a file, named by the configuration, and Alex signed in.
pub(crate) fn with_key_file(setup: Setup) -> (World, PathBuf, tempfile::TempDir) {
    let mut world = World::with(Setup { keyless: true, ..setup }).unwrap();
    world.expect_log("locked");
    world.stop_daemon().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("master.key");
    world.home.configure(&format!("[keys]\nsource = \"file\"\nfile = \"{}\"\n", file.display())).unwrap();
    world.start_daemon().unwrap();
    world.sign_in(ALEX).unwrap();
    (world, file, folder)
}

pub(crate) fn ask(world: &World) -> String {
    let list = json!({"account_id": ALEX, "limit": 4});
    world.client(Era::Modern).unwrap().call("email_list", &list).unwrap().cache_status().unwrap()
}

pub(crate) fn keys(world: &World) -> Value {
    world.ctl_json(&["keys", "status"]).unwrap()
}

pub(crate) fn passphrase(folder: &Path, text: &str) -> String {
    let file = folder.join("passphrase");
    fs::write(&file, text).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    file.display().to_string()
}

#[test]
fn calls_go_on_while_the_key_is_rotated_and_the_old_one_opens_nothing() {
    let (mut world, file, _folder) = with_key_file(Setup::default());
    assert_eq!(ask(&world), "miss");
    let old = fs::read(&file).unwrap();
    let done = AtomicBool::new(false);
    let mut client = world.client(Era::Legacy).unwrap();
    let ended = &done;
    thread::scope(|scope| {
        let caller = scope.spawn(move || {
            let mut calls = 0;
            while !ended.load(Ordering::Relaxed) {
                let answer = client.call("email_list", &json!({"account_id": ALEX, "limit": 4})).unwrap();
                assert_eq!(answer.cache_status().unwrap(), "fresh");
                calls += 1;
            }
            calls
        });
        for generation in 2..=6 {
            let rotated = world.ctl_json(&["keys", "rotate"]).unwrap();
            assert_eq!((&rotated["generation"], &rotated["old_deleted"]), (&json!(generation), &json!(true)), "{rotated}");
            assert!(rotated["took_us"].as_u64().unwrap() < 1_000_000, "it takes milliseconds: {rotated}");
        }
        done.store(true, Ordering::Relaxed);
        assert!(caller.join().unwrap() > 10);
    });
    assert_eq!(keys(&world)["generation"], 6);
    let trail = world.ctl(&["--json", "audit", "--kind", "key"]).unwrap().ok().unwrap().stdout;
    assert_eq!(trail.matches("\"outcome\":\"rotated\"").count(), 5, "{trail}");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let new = fs::read(&file).unwrap();
    assert!(new != old);
    world.stop_daemon().unwrap();
    fs::write(&file, &old).unwrap();
    let before = data(&world);
    world.start_daemon().unwrap();
    assert_locked(&world, "wrong_key");
    world.stop_daemon().unwrap();
    assert_eq!(data(&world), before);
    fs::write(&file, &new).unwrap();
    world.start_daemon().unwrap();
    assert_eq!(ask(&world), "fresh");
}

#[test]
fn the_keyring_holds_one_key_before_and_after() {
    let Some(keyring) = SecretService::start() else { return };
    let mut world = World::with(Setup { keyless: true, ..Setup::default() }).unwrap();
    world.expect_log("locked");
    world.stop_daemon().unwrap();
    world.home.variables.push(("DBUS_SESSION_BUS_ADDRESS".into(), keyring.address.clone()));
    world.start_daemon().unwrap();
    let entry = |world: &World| world.ctl_json(&["status"]).unwrap()["key"]["location"].as_str().unwrap().to_owned();
    let first = entry(&world);
    world.ctl_json(&["keys", "rotate"]).unwrap();
    let second = entry(&world);
    assert_ne!(first, second);
    let names =
        |keyring: &SecretService| -> Vec<String> { keyring.items().iter().map(|(attributes, _)| attributes["username"].clone()).collect() };
    assert_eq!(names(&keyring), std::slice::from_ref(&second), "the old key is gone, and the new one is there");
    world.stop_daemon().unwrap();
    world.start_daemon().unwrap();
    assert_eq!((entry(&world), keys(&world)["generation"].clone()), (second, json!(2)));
}

#[test]
fn a_key_of_the_environment_is_changed_by_its_owner() {
    let mut world = World::start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    world.expect_log("locked");
    world.expect_log("not rotated");
    assert_eq!(ask(&world), "miss");
    let state = keys(&world);
    assert_eq!((&state["source"], &state["automatic"]), (&json!("environment"), &json!(false)), "{state}");
    let said = world.ctl(&["--json", "keys", "rotate"]).unwrap();
    assert_eq!(said.code, Some(7), "{said:?}");
    let error = said.json().unwrap()["error"].clone();
    assert_eq!(error["code"], "new_key_missing");
    assert!(error["hint"].as_str().unwrap().contains("M365_MCP_CACHE_KEY_NEW"), "{error}");
    world.home.variables.push(("M365_MCP_CACHE_KEY_NEW".into(), key(2)));
    let rotated = world.ctl_json(&["keys", "rotate", "--reencrypt", "--wait"]).unwrap();
    assert_eq!((&rotated["old_deleted"], &rotated["reencryption"]["ended"]), (&json!(false), &json!(true)), "{rotated}");
    assert_eq!(ask(&world), "fresh");
    // The daemon that was given it goes on with it.
    let words = passphrase(folder.path(), "five words of no sense\n");
    let recovery = folder.path().join("keys.recovery").display().to_string();
    world.ctl_json(&["keys", "export", &recovery, "--passphrase-file", &words]).unwrap();
    world.stop_daemon().unwrap();
    world.start_daemon().unwrap();
    assert_locked(&world, "wrong_key");
    world.stop_daemon().unwrap();
    world.home.key = Some(key(2));
    world.start_daemon().unwrap();
    assert_eq!(ask(&world), "fresh");
}

#[test]
fn a_rotation_is_told_also_when_what_was_to_follow_it_fails() {
    let (mut world, file, _folder) = with_key_file(Setup::default());
    world.stop_daemon().unwrap();
    fs::write(world.home.database(), "no database").unwrap();
    world.start_daemon().unwrap();
    assert_locked(&world, "damaged_store");
    let old = fs::read(&file).unwrap();
    let said = world.ctl(&["--json", "keys", "rotate", "--reencrypt"]).unwrap();
    let told = said.json().unwrap();
    assert_eq!((said.code, &told["generation"], &told["old_deleted"]), (Some(7), &json!(2), &json!(true)), "{told}");
    assert_eq!((&told["error"]["code"], &told["reencryption"]), (&json!("no_sealed_store"), &Value::Null), "{told}");
    assert!(fs::read(&file).unwrap() != old);
    let said = world.ctl(&["keys", "rotate", "--reencrypt"]).unwrap();
    assert!(said.code == Some(7) && said.stdout.contains("master key 3") && said.stderr.contains("error: "), "{said:?}");
}

#[test]
fn the_key_is_rotated_when_it_is_due() {
    let (world, file, _folder) = with_key_file(Setup { stopped_clock: true, ..Setup::default() });
    let old = fs::read(&file).unwrap();
    let state = keys(&world);
    let (since, due) = (state["since_ms"].as_u64().unwrap(), state["due_ms"].as_u64().unwrap());
    assert_eq!((due - since, &state["automatic"]), (90 * 24 * 3600 * 1000, &json!(true)), "{state}");
    world.advance(89 * DAY).unwrap();
    assert_eq!(keys(&world)["generation"], 1);
    world.advance(2 * DAY).unwrap();
    // Each look is a program that runs, so this is a deadline.
    let state = (0..3000).map(|_| keys(&world)).find(|state| state["generation"] == 2 && state["unfinished"] == false).unwrap();
    assert_eq!((&state["generation"], state["due_ms"].as_u64()), (&json!(2), Some(due + 91 * 24 * 3600 * 1000)), "{state}");
    assert!(fs::read(&file).unwrap() != old);
}

/// What is seen on the disk behind each step of a rotation in a key file; see `src/vault/rotate.rs`.
fn behind(step: usize, envelope: &Path, file: &Path) -> bool {
    let text = fs::read_to_string(envelope).unwrap_or_default();
    let beside = file.with_file_name("master.key.new").exists();
    match step {
        0 => text.contains("\"making\""),
        1 => text.contains("\"making\"") && beside,
        2 => text.contains("\"retiring\""),
        3 => text.contains("\"retiring\"") && !beside,
        _ => text.contains("\"retiring\"") && beside,
    }
}

/// Kills the daemon `kills` times in the midst of a rotation; how often behind each step.
fn kill_in_rotations(kills: usize) -> [usize; 5] {
    let (mut world, file, _folder) = with_key_file(Setup::default());
    world.expect_log("locked");
    assert_eq!(ask(&world), "miss");
    let envelope = world.home.path().join("cache.keys");
    let mut hit = [0; 5];
    for kill in 0..kills {
        let step = kill % 5;
        let pid = rustix::process::Pid::from_raw(i32::try_from(world.daemon().pid()).unwrap()).unwrap();
        let ended = AtomicBool::new(false);
        thread::scope(|scope| {
            let killer = scope.spawn(|| {
                while !ended.load(Ordering::Relaxed) {
                    if behind(step, &envelope, &file) {
                        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
                        return true;
                    }
                    thread::yield_now();
                }
                false
            });
            world.ctl(&["--json", "keys", "rotate"]).unwrap();
            ended.store(true, Ordering::Relaxed);
            hit[step] += usize::from(killer.join().unwrap());
        });
        world.kill_daemon().unwrap();
        world.start_daemon().unwrap();
        let state = keys(&world);
        assert_eq!(state["unfinished"], false, "kill {kill}: {state}");
        assert_eq!(ask(&world), "fresh", "kill {kill}");
        let folder: Vec<_> = fs::read_dir(file.parent().unwrap()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(folder, ["master.key"], "kill {kill}");
        figure::tell("rotate", kill + 1, 0);
    }
    hit
}

#[test]
fn killed_in_the_midst_of_a_rotation_it_opens_again() {
    let hit = kill_in_rotations(10);
    assert!(hit.iter().sum::<usize>() >= 3, "the kills came too late: {hit:?}");
}

#[test]
#[ignore = "minutes: cargo campaign safety --only kills"]
fn two_hundred_kills_in_rotations() {
    let kills = figure::size(200);
    let hit = kill_in_rotations(kills);
    assert!(hit.iter().sum::<usize>() * 4 >= kills, "the kills came too late: {hit:?}");
}

#[test]
fn a_lost_key_is_no_lost_data_with_a_recovery_file() {
    let (mut world, file, folder) = with_key_file(Setup::default());
    assert_eq!(ask(&world), "miss");
    let words = passphrase(folder.path(), "five words of no sense\n");
    let recovery = folder.path().join("keys.recovery").display().to_string();
    let exported = world.ctl_json(&["keys", "export", &recovery, "--passphrase-file", &words]).unwrap();
    assert!(exported["bytes"].as_u64().unwrap() > 200, "{exported}");
    assert_eq!(fs::metadata(&recovery).unwrap().permissions().mode() & 0o777, 0o600);
    let text = fs::read_to_string(&recovery).unwrap();
    assert!(text.contains("argon2id") && text.contains("\"memory_kib\": 65536"), "{text}");
    let again = world.ctl(&["--json", "keys", "export", &recovery, "--passphrase-file", &words]).unwrap();
    assert_eq!(again.json().unwrap()["error"]["code"], "file_exists");
    assert_eq!(fs::read_to_string(&recovery).unwrap(), text);

    world.stop_daemon().unwrap();
    fs::remove_file(&file).unwrap();
    world.start_daemon().unwrap();
    assert_locked(&world, "key_missing");
    world.stop_daemon().unwrap();
    let before = data(&world);
    let wrong = passphrase(folder.path(), "five words of no sensE\n");
    let said = world.ctl(&["--json", "keys", "import", &recovery, "--passphrase-file", &wrong]).unwrap();
    assert_eq!((said.code, &said.json().unwrap()["error"]["code"]), (Some(7), &json!("wrong_passphrase")));
    assert_eq!(data(&world), before);

    let words = passphrase(folder.path(), "five words of no sense\n");
    let imported = world.ctl_json(&["keys", "import", &recovery, "--passphrase-file", &words]).unwrap();
    assert_eq!(imported["source"], "file");
    assert!(Path::new(imported["set_aside"].as_str().unwrap()).exists(), "{imported}");
    world.start_daemon().unwrap();
    assert_eq!(ask(&world), "fresh");
}

#[test]
fn keys_of_another_store_are_not_imported() {
    let (mut world, _file, folder) = with_key_file(Setup::default());
    let (other, _other_file, other_folder) = with_key_file(Setup::default());
    let words = passphrase(other_folder.path(), "five words of no sense\n");
    let recovery = folder.path().join("other.recovery").display().to_string();
    other.ctl_json(&["keys", "export", &recovery, "--passphrase-file", &words]).unwrap();
    world.stop_daemon().unwrap();
    let before = data(&world);
    let said = world.ctl(&["--json", "keys", "import", &recovery, "--passphrase-file", &words]).unwrap();
    assert_eq!(said.code, Some(7), "{said:?}");
    assert_eq!(data(&world), before);
    world.start_daemon().unwrap();
}
