//! When a daemon ends by itself: when nobody needs it, and when another version of its program lies in its place. Clients notice neither.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    time::Duration,
};

use m365_cached_checks::support::{
    PATIENCE,
    bins::{Bins, For, bins},
    mcp::{ERAS, Era},
    process, stopwatch,
    world::{ALEX, Setup, World},
};
use m365_cached_tenant::{At, Effect, Fault, Wait};
use rustix::process::Signal;
use serde_json::{Value, json};

const LIST: &str = "GET /me/mailFolders/{id}/messages";
/// Between two looks of the daemon.
const LOOK: Duration = Duration::from_secs(10);

/// A world whose time stands still and whose daemon is started from a file that can be replaced.
struct House {
    world: World,
    program: PathBuf,
    _dir: tempfile::TempDir,
}

impl House {
    fn new(words: &[&str]) -> Self {
        let config = "[daemon]\nidle_s = 600\n";
        let mut world = World::with(Setup { accounts: &[ALEX], config, stopped_clock: true, ..Setup::default() }).unwrap();
        world.stop_daemon().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("m365-cached");
        world.bins = Box::leak(Box::new(Bins { daemon: program.clone(), ..world.bins.clone() }));
        world.words.extend(words.iter().map(ToString::to_string));
        symlink(&bins(For::Tests).unwrap().daemon, &program).unwrap();
        Self { world, program, _dir: dir }
    }

    /// Puts another file in the place of the daemon's program.
    fn replace(&self, with: impl FnOnce(&Path)) {
        let draft = self.program.with_extension("draft");
        with(&draft);
        if draft.is_symlink() {
            return fs::rename(draft, &self.program).unwrap();
        }
        process::replace(&self.program, &draft).unwrap();
        fs::remove_file(draft).unwrap();
    }

    fn status(&self) -> Value {
        self.world.ctl_json(&["status"]).unwrap()
    }

    /// Lets time pass, look by look, until the status is as it must become.
    fn until(&self, becomes: impl Fn(&Value) -> bool) -> Value {
        let deadline = stopwatch::now() + PATIENCE;
        loop {
            self.world.advance(LOOK).unwrap();
            let said = self.world.ctl(&["--json", "status"]).unwrap();
            // While one takes the other's place there is none for a moment.
            let status = if said.code == Some(0) { said.json().unwrap() } else { json!({}) };
            if becomes(&status) {
                return status;
            }
            assert!(stopwatch::now() < deadline, "it stays so: {status}");
        }
    }
}

fn warned(status: &Value, code: &str) -> bool {
    status["warnings"].as_array().is_some_and(|warnings| warnings.iter().any(|warning| warning["code"] == code))
}

#[test]
fn one_that_a_client_started_ends_when_nobody_needs_it() {
    let mut house = House::new(&["--on-demand"]);
    house.world.start_daemon().unwrap();
    let mut client = house.world.client(Era::Legacy).unwrap();
    for _ in 0..100 {
        house.world.advance(LOOK).unwrap();
    }
    client.call("server_get_version", &json!({})).unwrap();
    assert_eq!(house.status()["clients"].as_array().unwrap().len(), 1, "it stays for a client that says nothing");
    client.hang_up();
    client.wait(PATIENCE).unwrap();
    house.world.until(|status| status["clients"] == json!([])).unwrap();
    let (pid, deadline) = (house.world.daemon().pid(), stopwatch::now() + PATIENCE);
    while process::wait_for_stranger(pid, Duration::from_millis(200)).is_err() {
        assert!(stopwatch::now() < deadline, "it stays");
        // Not waiting until it has seen that: it may have ended a moment ago.
        house.world.control().advance(Duration::from_secs(700));
    }
    assert!(house.world.daemon().wait().unwrap().success());
}

#[test]
fn one_that_a_person_started_stays() {
    let mut house = House::new(&[]);
    house.world.start_daemon().unwrap();
    for _ in 0..200 {
        house.world.advance(LOOK).unwrap();
    }
    assert_eq!(house.status()["state"], "ready");
}

#[test]
fn it_gives_way_to_another_version_and_no_client_notices() {
    let mut house = House::new(&[]);
    house.world.start_daemon().unwrap();
    let mut clients: Vec<_> = ERAS.into_iter().map(|era| house.world.client(era).unwrap()).collect();
    let before = house.status();
    let hold = house.world.control().fault(Fault::always(LIST, Effect::Hold { at: At::Before }));
    let (id, line) = clients[0].line("tools/call", json!({"name": "email_list", "arguments": {"account_id": house.world.ids[0]}}));
    clients[0].send(&line).unwrap();
    assert!(house.world.block_on(house.world.control().wait(&Wait { route: LIST.into(), concurrent: 1, ..Wait::default() })).reached);

    // The same program in another file: what is told apart is the file.
    house.replace(|new| {
        fs::copy(&house.world.bins.daemon, new).unwrap();
    });
    let waiting = house.until(|status| warned(status, "other_version_installed"));
    assert_eq!(waiting["instance"], before["instance"], "a call is under way");
    house.world.control().release(Some(hold));
    assert!(clients[0].reply_to(id).unwrap()["result"]["isError"] != true);
    let after = house.until(|status| status["state"] == "ready" && status["instance"] != before["instance"]);
    assert_eq!(after["pid"], before["pid"], "a service manager sees none of it");
    assert!(!warned(&after, "other_version_installed"));
    for client in &mut clients {
        let answer = client.call("email_list", &json!({"account_id": house.world.ids[0]})).unwrap();
        // Of what the one before had stored; how old that is by now depends on how often the clock was moved meanwhile.
        assert!(["fresh", "stale"].contains(&answer.cache_status().unwrap().as_str()), "{answer:?}");
    }
}

/// Its client is gone, so that no call is under way; a daemon that gave way would serve nobody until the write has ended.
#[test]
fn it_gives_way_only_when_a_write_that_nobody_waits_for_has_ended() {
    let mut house = House::new(&[]);
    house.world.start_daemon().unwrap();
    let account = &house.world.ids[0];
    let mut client = house.world.client(Era::Modern).unwrap();
    let list = client.call("email_list", &json!({"account_id": account})).unwrap().json().unwrap();
    let before = house.status();
    let hold = house.world.control().fault(Fault::always("/move", Effect::Hold { at: At::Before }));
    let arguments = json!({"account_id": account, "email_id": list["messages"][0]["id"], "destination_folder": "archive"});
    let (_, line) = client.line("tools/call", json!({"name": "email_move", "arguments": arguments}));
    client.send(&line).unwrap();
    assert!(house.world.block_on(house.world.control().wait(&Wait { route: "/move".into(), concurrent: 1, ..Wait::default() })).reached);
    client.signal(Signal::KILL).unwrap();
    client.wait(PATIENCE).unwrap();
    house.world.until(|status| status["clients"] == json!([])).unwrap();

    house.replace(|new| {
        fs::copy(&house.world.bins.daemon, new).unwrap();
    });
    house.until(|status| warned(status, "other_version_installed"));
    for _ in 0..3 {
        house.world.advance(LOOK).unwrap();
        assert_eq!(house.status()["instance"], before["instance"], "a write is under way");
    }
    house.world.control().release(Some(hold));
    house.until(|status| status["state"] == "ready" && status["instance"] != before["instance"]);
    assert_eq!(house.world.control().stats().count("/move"), 1);
}

/// A daemon whose stderr is its log, as a client starts one: a new log takes both, also of the program that takes its place.
#[test]
fn a_log_that_is_full_is_left_behind_by_stderr_too() {
    let mut house = House::new(&[]);
    let log = house.world.home.path().join("m365-cached.log");
    let line = "2026-11-22T08:00:00.000Z INFO  m365_cached_daemon: an old line\n";
    fs::write(&log, line.repeat(4 * 1024 * 1024 / line.len())).unwrap();
    fs::remove_file(house.world.home.log()).unwrap();
    symlink(&log, house.world.home.log()).unwrap();
    house.world.start_daemon().unwrap();
    let before = house.status();
    house.replace(|new| {
        fs::copy(&house.world.bins.daemon, new).unwrap();
    });
    house.until(|status| status["state"] == "ready" && status["instance"] != before["instance"]);
    let ready = |path: &Path| fs::read_to_string(path).unwrap().matches("m365_cached_daemon: ready").count();
    assert_eq!((ready(&log), ready(&log.with_extension("log.1"))), (2, 0), "each says it once, and in the new one");
}

#[test]
fn another_version_that_does_not_start_changes_nothing() {
    let mut house = House::new(&[]);
    house.world.start_daemon().unwrap();
    let before = house.status();
    house.replace(|new| {
        fs::write(new, "#!/bin/sh\nexit 1\n").unwrap();
        fs::set_permissions(new, fs::Permissions::from_mode(0o700)).unwrap();
    });
    house.until(|status| warned(status, "other_version_broken"));
    for _ in 0..100 {
        house.world.advance(LOOK).unwrap();
    }
    assert_eq!(house.status()["instance"], before["instance"]);
    // What was said of it is taken back with it.
    house.replace(|new| symlink(&bins(For::Tests).unwrap().daemon, new).unwrap());
    house.until(|status| !warned(status, "other_version_broken"));
    assert_eq!(house.status()["instance"], before["instance"]);
}

#[test]
fn a_restart_on_request_is_not_noticed_either() {
    let mut world = World::start().unwrap();
    let mut client = world.client(Era::Modern).unwrap();
    let question = json!({"account_id": world.ids[0]});
    client.call("email_list", &question).unwrap().json().unwrap();
    let was = world.daemon().pid();
    let said = world.ctl_json(&["restart"]).unwrap();
    assert!(said["was"] == was && said["pid"].as_u64() != Some(was.into()), "{said}");
    assert!(world.daemon().wait().unwrap().success());
    assert_eq!(client.call("email_list", &question).unwrap().cache_status().unwrap(), "fresh");
    assert_eq!(world.ctl_json(&["status"]).unwrap()["pid"], said["pid"]);
}
