//! One profile, and sessions that have different places for sockets: a desktop, `ssh` after a logout, `cron`, `su`. There is one daemon, and all find it. And one place for
//! sockets with several profiles, where a variable leads to other folders for data: there is a daemon for each, and nobody finds another's.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf};

use m365_cached_checks::support::{
    PATIENCE,
    bins::{Bins, For, bins},
    ctl,
    daemon::Daemon,
    home::Home,
    manager::Manager,
};
use rustix::process::Signal;
use serde_json::{Value, json};

/// The usual profile of somebody, whose home is a folder of ours.
struct House {
    bins: &'static Bins,
    home: Home,
}

impl House {
    fn new() -> Self {
        let mut home = Home::new(1).unwrap();
        home.variables.push(("M365_CACHED_DIR".into(), String::new()));
        Self { bins: bins(For::Tests).unwrap(), home }
    }

    /// A run-time folder, as a session gets one.
    fn session(&self, name: &str) -> PathBuf {
        let dir = self.home.path().join(name);
        let _ = fs::create_dir(&dir);
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).unwrap();
        dir
    }

    /// From now on programs run in a session with that run-time folder.
    fn enter(&mut self, dir: &str) {
        self.home.variables.truncate(1);
        self.home.variables.push(("XDG_RUNTIME_DIR".into(), dir.into()));
    }

    /// From now on programs run in that session, and keep their data in another folder than the usual one where `data` names it.
    fn keep_in(&mut self, session: &str, data: Option<&str>) {
        self.enter(session);
        self.home.variables.extend(data.map(|data| ("XDG_DATA_HOME".into(), data.into())));
    }

    fn json(&self, words: &[&str]) -> Value {
        let words: Vec<&str> = ["--json"].into_iter().chain(words.iter().copied()).collect();
        ctl::run(self.bins, &self.home, &words).unwrap().ok().unwrap().json().unwrap()
    }
}

#[test]
fn a_daemon_is_found_from_every_session() {
    let mut house = House::new();
    let (one, other) = (house.session("one"), house.session("other"));
    // The last was removed at a logout, and its variable has stayed.
    let sessions = [one.to_str().unwrap(), other.to_str().unwrap(), "/dev/null/gone"];
    for from in sessions {
        house.enter(from);
        let mut daemon = Daemon::start(house.bins, &house.home).unwrap();
        for to in sessions {
            house.enter(to);
            assert_eq!(house.json(&["status"])["pid"], daemon.pid(), "started in {from}, looked for in {to}");
        }
        assert_eq!(house.json(&["stop"]), json!({"stopped": true, "pid": daemon.pid(), "socket_stays": false}));
        assert!(daemon.wait().unwrap().success());
    }
}

#[test]
fn a_folder_that_others_may_enter_is_not_believed() {
    let mut house = House::new();
    let (one, other) = (house.session("one"), house.session("other"));
    house.enter(one.to_str().unwrap());
    let daemon = Daemon::start(house.bins, &house.home).unwrap();
    fs::set_permissions(one.join("m365-cached"), fs::Permissions::from_mode(0o755)).unwrap();
    house.enter(other.to_str().unwrap());
    let said = ctl::run(house.bins, &house.home, &["--json", "status"]).unwrap();
    assert_eq!(said.code, Some(8), "{said:?}");
    daemon.stop().unwrap();
}

#[test]
fn a_verb_reaches_the_daemon_of_its_own_folder_for_data_and_no_other() {
    let mut house = House::new();
    let session = house.session("run").to_str().unwrap().to_owned();
    let (sandbox, shell) = (house.home.path().join("sandbox/share"), house.home.path().join("shell"));
    let folders = [None, sandbox.to_str(), shell.to_str()];
    let mut daemons = Vec::new();
    for folder in folders {
        house.keep_in(&session, folder);
        let said = ctl::run(house.bins, &house.home, &["--json", "status"]).unwrap();
        assert_eq!(said.code, Some(8), "somebody else's daemon answers in {folder:?}: {said:?}");
        daemons.push(Daemon::start(house.bins, &house.home).unwrap());
    }
    for (folder, daemon) in folders.iter().zip(&daemons) {
        house.keep_in(&session, *folder);
        let status = house.json(&["status"]);
        assert_eq!(status["pid"], daemon.pid(), "{folder:?}");
        // And a service of that folder would listen there.
        let units = house.json(&["service", "install", "--print"]);
        let unit = units["files"][0]["text"].as_str().unwrap();
        let name = unit.lines().find_map(|line| line.strip_prefix("ListenStream=%t/m365-cached/")).unwrap();
        assert!(house.home.path().join("run/m365-cached").join(name).exists(), "{folder:?}: {name}");
    }
    // What a snap names for itself is the choice of nobody.
    let snap = house.home.path().join("snap/code/7/.local/share");
    house.keep_in(&session, snap.to_str());
    assert_eq!(house.json(&["status"])["pid"], daemons[0].pid());
    // What ends one to work on its files ends no other.
    for at in (0..folders.len()).rev() {
        house.keep_in(&session, folders[at]);
        assert_eq!(house.json(&["stop"]), json!({"stopped": true, "pid": daemons[at].pid(), "socket_stays": false}));
        assert!(daemons.pop().unwrap().wait().unwrap().success());
        assert!(daemons.iter_mut().all(Daemon::alive));
        assert_eq!(house.json(&["stop"])["stopped"], false);
        assert!(daemons.iter_mut().all(Daemon::alive), "one that is not its own was stopped");
    }
}

/// It cannot see that clients find the manager's socket and not its own.
#[test]
fn one_of_another_session_gives_way_to_the_managers() {
    let mut house = House::new();
    let (one, other) = (house.session("one"), house.session("other"));
    house.enter(one.to_str().unwrap());
    let mut old = Daemon::start(house.bins, &house.home).unwrap();
    house.enter(other.to_str().unwrap());
    fs::create_dir(other.join("m365-cached")).unwrap();
    fs::set_permissions(other.join("m365-cached"), fs::Permissions::from_mode(0o700)).unwrap();
    let manager = Manager::at(&other.join("m365-cached/m365-cached.sock")).unwrap();
    let mut daemon = manager.start(house.bins, &house.home, &[]).unwrap();
    manager.hear_of("READY=1").unwrap();
    assert!(old.wait().unwrap().success());
    for session in [one, other] {
        house.enter(session.to_str().unwrap());
        assert_eq!(house.json(&["status"])["pid"], daemon.pid());
    }
    daemon.signal(Signal::TERM).unwrap();
    assert!(daemon.wait(PATIENCE).unwrap().success());
}
