//! `m365-cachectl service` with a real systemd user manager, where one can be had.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use m365_cached_checks::support::{
    bins::Bins,
    ctl::{self, Said},
    home::key,
    mcp::{Era, Mcp},
    process, signin, stopwatch,
    user_manager::{UID, UserManager},
    world::{ALEX, Setup, World},
};
use rustix::process::Signal;
use serde_json::{Value, json};

/// A world whose profile belongs to another user, who has a user manager.
struct House {
    world: World,
    bins: &'static Bins,
    manager: UserManager,
    _keys: tempfile::TempDir,
}

impl House {
    /// `None` where this machine lets nobody have one.
    #[expect(clippy::print_stderr, reason = "a test that was passed over says so")]
    fn new(namespaces: bool) -> Option<Self> {
        let mut world = World::with(Setup { keyless: true, ..Setup::default() }).unwrap();
        world.expect_log("locked");
        world.stop_daemon().unwrap();
        // Not beside the data that it opens.
        let keys = tempfile::Builder::new().prefix("m365-key-").tempdir().unwrap();
        fs::set_permissions(keys.path(), fs::Permissions::from_mode(0o711)).unwrap();
        let file = keys.path().join("master.key");
        fs::write(&file, key(7)).unwrap();
        std::os::unix::fs::chown(&file, Some(UID), Some(UID)).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        // What a service is to know stands in the settings, not in a terminal's environment.
        let config = format!("[keys]\nsource = \"file\"\nfile = \"{}\"\n[warming]\nenabled = false\n", file.display());
        world.home.configure(&config).unwrap();
        fs::remove_file(world.home.log()).unwrap();
        let manager = match UserManager::start(world.home.path(), namespaces).unwrap() {
            Ok(manager) => manager,
            Err(why) => {
                eprintln!("passed over: {why}");
                return None;
            }
        };
        let bins = Box::leak(Box::new(manager.programs(world.bins).unwrap()));
        world.home.rates = true;
        Some(Self { world, bins, manager, _keys: keys })
    }

    fn ctl(&self, words: &[&str]) -> Said {
        ctl::run(self.bins, &self.world.home, words).unwrap()
    }

    fn json(&self, words: &[&str]) -> Value {
        let words: Vec<&str> = ["--json"].into_iter().chain(words.iter().copied()).collect();
        let said = self.ctl(&words);
        assert_eq!(said.code, Some(0), "{said:?}\n{}", self.manager.log());
        said.json().unwrap()
    }

    fn client(&self) -> Mcp {
        Mcp::start(self.bins, &self.world.home, Era::Modern).unwrap()
    }

    fn pid(&self) -> u64 {
        self.json(&["status"])["pid"].as_u64().unwrap()
    }
}

fn list(client: &mut Mcp, account: &str) -> String {
    client.call("email_list", &json!({"account_id": account, "limit": 5})).unwrap().cache_status().unwrap()
}

/// `setup` on such a machine: the service is installed once, by the one who agreed, and stands the second time.
#[test]
fn setup_has_the_user_manager_look_after_the_daemon() {
    let Some(house) = House::new(true) else { return };
    let words = ["--json", "setup", "--yes", "--no-login", "--no-clients"];
    let step = |words: &[&str]| -> Value {
        let said = house.ctl(words);
        assert_eq!(said.code, Some(0), "{said:?}\n{}", house.manager.log());
        let lines: Vec<Value> = said.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        lines.into_iter().find(|line| line["step"] == "service").unwrap()
    };
    assert_eq!(step(&["--json", "setup", "--dry-run", "--no-login", "--no-clients"])["state"], "would");
    assert_eq!(step(&[words.as_slice(), &["--no-service"]].concat())["state"], "skipped");
    assert_eq!(house.ctl(&["service", "status"]).code, Some(8), "nothing is installed yet");
    let done = step(&words);
    assert!(done["state"] == "done" && done["message"].as_str().unwrap().contains("systemd"), "{done}");
    let status = house.json(&["service", "status"]);
    assert_eq!((&status["installed"], &status["running"], &status["says"]), (&true.into(), &true.into(), &"ready".into()), "{status}");
    assert_eq!(step(&words)["state"], "unchanged");
    house.json(&["service", "uninstall"]);
}

#[test]
fn a_user_manager_looks_after_the_daemon() {
    let Some(house) = House::new(true) else { return };
    // A client has started a daemon, and goes on asking while the service takes over.
    let mut client = house.client();
    let account = house.world.block_on(signin::sign_in(house.bins, &house.world.home, ALEX)).unwrap();
    let id = account["id"].as_str().unwrap().to_owned();
    assert_eq!(list(&mut client, &id), "miss");
    let before = house.pid();
    let (over, calls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let asking = {
        let (over, calls, id) = (Arc::clone(&over), Arc::clone(&calls), id.clone());
        let mut client = house.client();
        std::thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                list(&mut client, &id);
                calls.fetch_add(1, Ordering::Relaxed);
            }
        })
    };
    let installed = house.json(&["service", "install"]);
    assert_eq!(
        (&installed["state"], &installed["manager"], &installed["daemon"]),
        (&"installed".into(), &"systemd".into(), &"ready".into())
    );
    let (seen, deadline) = (calls.load(Ordering::Relaxed), stopwatch::now() + m365_cached_checks::support::PATIENCE);
    while calls.load(Ordering::Relaxed) < seen + 3 {
        assert!(stopwatch::now() < deadline && !asking.is_finished(), "the client's calls have stopped");
        std::thread::yield_now();
    }
    over.store(true, Ordering::Relaxed);
    asking.join().unwrap();
    let pid = house.pid();
    assert!(pid != before && installed["pid"] == pid, "{installed}");
    assert_eq!(list(&mut client, &id), "fresh");
    let status = house.json(&["service", "status"]);
    for yes in ["installed", "answers", "enabled", "listening", "running"] {
        assert_eq!(status[yes], true, "{yes}: {status}");
    }
    assert_eq!((&status["pid"], &status["says"]), (&pid.into(), &"ready".into()));
    assert_eq!(house.json(&["service", "install"])["state"], "unchanged");
    assert_eq!(house.pid(), pid);

    // What the unit asks for holds: no privileges to be had, system calls filtered.
    let kept = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let field = |name: &str| kept.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
    assert_eq!((field("NoNewPrivs:"), field("Seccomp:"), field("CapBnd:")), ("1".into(), "2".into(), "0000000000000000".into()));

    // Killed, it is started anew; stopped on request, by the next client.
    process::send(u32::try_from(pid).unwrap(), Signal::KILL).unwrap();
    assert_eq!(list(&mut client, &id), "fresh");
    let second = house.pid();
    assert_ne!(second, pid);
    assert_eq!(house.json(&["stop"])["pid"], second);
    assert_eq!(list(&mut client, &id), "fresh");
    let third = house.pid();
    assert_ne!(third, second);
    let status = house.json(&["service", "status"]);
    assert_eq!(status["pid"], third, "{status}");
    let restarted = house.json(&["restart"]);
    assert_eq!(restarted["was"], third);
    assert_eq!(house.json(&["service", "status"])["pid"], restarted["pid"]);

    // A verb that needs the profile for itself gets it, and the service goes on afterwards.
    house.json(&["repair"]);
    assert_eq!(list(&mut client, &id), "fresh");
    assert_eq!(house.json(&["service", "status"])["running"], true);

    let removed = house.json(&["service", "uninstall"]);
    assert_eq!(removed["state"], "uninstalled");
    let units = house.world.home.path().join(".config/systemd/user");
    let left: Vec<_> = fs::read_dir(&units).unwrap().flatten().map(|entry| entry.path()).filter(|path| !path.is_dir()).collect();
    assert_eq!(left, Vec::<std::path::PathBuf>::new());
    assert_eq!(list(&mut client, &id), "fresh", "a client has started a daemon again");
    assert_eq!(house.ctl(&["service", "status"]).code, Some(8));
    client.hang_up();
    house.json(&["stop"]);
}

#[test]
fn where_no_namespaces_are_granted_less_is_asked_for() {
    let Some(house) = House::new(false) else { return };
    let installed = house.json(&["service", "install"]);
    assert_eq!(installed["daemon"], "ready", "{installed}");
    let files: Vec<&str> = installed["files"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(files.len() == 3 && files[2].ends_with(".service.d/no-user-namespaces.conf"), "{files:?}");
    assert_eq!(house.json(&["service", "install"])["state"], "unchanged");
    let kept = fs::read_to_string(format!("/proc/{}/status", installed["pid"])).unwrap();
    assert!(kept.contains("NoNewPrivs:\t1") && kept.contains("Seccomp:\t2"), "the rest holds: {kept}");
    house.json(&["service", "uninstall"]);
    assert!(files.iter().all(|file| !std::path::Path::new(file).exists()));
}
