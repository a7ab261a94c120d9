//! Under a service manager: the socket is there before the daemon, readiness means that it serves, signs of life stop when it does no work, one daemon for all of it.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command, time::Duration};

use m365_cached_checks::support::{
    PATIENCE,
    bins::{For, bins},
    ctl::Said,
    manager::Manager,
    mcp::{Era, Mcp},
    process::{self, Running},
    stopwatch,
    world::{ALEX, Setup, World},
};
use rustix::process::Signal;
use serde_json::{Value, json};

/// A world whose daemon a manager starts.
fn managed() -> (World, Manager) {
    let mut world = World::start().unwrap();
    world.stop_daemon().unwrap();
    let manager = Manager::of(&world.home).unwrap();
    (world, manager)
}

fn list(world: &World, client: &mut Mcp) -> String {
    client.call("email_list", &json!({"account_id": world.ids[0]})).unwrap().cache_status().unwrap()
}

fn end(mut daemon: Running) {
    daemon.signal(Signal::TERM).unwrap();
    assert!(daemon.wait(PATIENCE).unwrap().success());
}

/// The daemons of a world's profile.
fn daemons(world: &World) -> Vec<u32> {
    let found = process::of_profile(world.home.path()).unwrap();
    found
        .into_iter()
        .filter(|(_, command)| command.contains("m365-cached ") || command.ends_with("m365-cached"))
        .map(|(pid, _)| pid)
        .collect()
}

#[test]
fn the_first_client_is_served_by_the_daemon_that_it_wakes() {
    let (world, manager) = managed();
    let mut client = Mcp::open_greeting(&world);
    manager.knock().unwrap();
    let daemon = manager.start(world.bins, &world.home, &world.words).unwrap();
    let ready = manager.hear_of("READY=1").unwrap();
    assert_eq!(ready, "READY=1\nSTATUS=ready");
    client.greeted();
    let mut client = client.0;
    assert_eq!(list(&world, &mut client), "miss");
    assert_eq!(list(&world, &mut client), "fresh");
    let status = world.ctl_json(&["status"]).unwrap();
    assert_eq!(status["pid"], daemon.pid());
    let mode = fs::metadata(world.home.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "also where the manager has made it otherwise");

    // A daemon that a person starts beside it is told so.
    let said = world.home.command(world.bins, &world.bins.daemon).output().unwrap();
    assert_eq!(said.status.code(), Some(9), "{said:?}");
    assert_eq!(daemons(&world), [daemon.pid()]);

    // Stopped on request, the socket stays for the next client; nobody knocks meanwhile.
    client.hang_up();
    client.wait(PATIENCE).unwrap();
    let stopped = world.ctl_json(&["stop"]).unwrap();
    assert_eq!(stopped, json!({"stopped": true, "pid": daemon.pid(), "socket_stays": true}));
    manager.hear_of("STOPPING=1").unwrap();
    assert!(world.home.socket().exists());
    let mut daemon = daemon;
    assert!(daemon.wait(PATIENCE).unwrap().success());
    let said = world.home.command(world.bins, &world.bins.daemon).output().unwrap();
    assert_eq!(said.status.code(), Some(9), "the manager starts it, and nobody else: {said:?}");
    assert!(String::from_utf8_lossy(&said.stderr).contains("service manager"), "{said:?}");
    let again = manager.start(world.bins, &world.home, &world.words).unwrap();
    manager.hear_of("READY=1").unwrap();
    assert_eq!(list(&world, &mut world.client(Era::Modern).unwrap()), "fresh");
    end(again);
}

/// At a socket that the manager keeps, to connect is to start a daemon: whoever is only connected does not, and comes back when another one serves.
#[test]
fn a_client_that_asks_for_nothing_wakes_no_daemon_that_was_stopped() {
    let (world, manager) = managed();
    let mut daemon = manager.start(world.bins, &world.home, &world.words).unwrap();
    manager.hear_of("READY=1").unwrap();
    let mut client = world.client(Era::Modern).unwrap();
    assert_eq!(list(&world, &mut client), "miss");
    let stopped = world.ctl(&["stop"]).unwrap().ok().unwrap().stdout;
    assert!(stopped.contains("the service manager starts the next"), "{stopped}");
    assert!(daemon.wait(PATIENCE).unwrap().success());
    // Its first attempts would come within a tenth of a second.
    assert!(!manager.knocked(Duration::from_secs(1)).unwrap(), "it knocks");

    let again = manager.start(world.bins, &world.home, &world.words).unwrap();
    manager.hear_of("READY=1").unwrap();
    let deadline = stopwatch::now() + PATIENCE;
    while world.ctl_json(&["status"]).unwrap()["clients"].as_array().unwrap().is_empty() {
        assert!(stopwatch::now() < deadline, "it does not come back");
    }
    let stopped = world.ctl_json(&["stop"]).unwrap();
    assert_eq!(stopped["pid"], again.pid());
    let mut again = again;
    assert!(again.wait(PATIENCE).unwrap().success());
    // Who asks wakes it.
    let (id, line) = client.line("tools/call", json!({"name": "email_list", "arguments": {"account_id": world.ids[0]}}));
    client.send(&line).unwrap();
    manager.knock().unwrap();
    let last = manager.start(world.bins, &world.home, &world.words).unwrap();
    let reply = client.reply_to(id).unwrap();
    assert!(reply["result"]["isError"] != true, "{reply}");
    end(last);
}

/// A client whose greeting is under way: nobody answers yet.
struct Greeting(Mcp, Option<u64>);

trait OpenGreeting {
    fn open_greeting(world: &World) -> Greeting;
}

impl OpenGreeting for Mcp {
    fn open_greeting(world: &World) -> Greeting {
        let mut client = m365_cached_checks::support::mcp::open(world.bins, &world.home, &world.bins.shim, Era::Modern).unwrap();
        let (id, line) = client.line("tools/call", json!({"name": "server_get_version", "arguments": {}}));
        client.send(&line).unwrap();
        Greeting(client, Some(id))
    }
}

impl Greeting {
    fn greeted(&mut self) {
        let id = self.1.take().unwrap();
        let reply = self.0.reply_to(id).unwrap();
        assert!(reply["result"]["isError"] != true, "{reply}");
    }
}

#[test]
fn a_socket_that_clients_do_not_find_is_refused() {
    let (world, mut manager) = managed();
    let elsewhere = tempfile::tempdir().unwrap();
    let strange = Manager::at(&elsewhere.path().join("s")).unwrap();
    let mut daemon = strange.start(world.bins, &world.home, &[]).unwrap();
    assert_eq!(daemon.wait(PATIENCE).unwrap().code(), Some(7));
    manager.count = "2";
    let mut daemon = manager.start(world.bins, &world.home, &[]).unwrap();
    assert_eq!(daemon.wait(PATIENCE).unwrap().code(), Some(7));
    let log = fs::read_to_string(world.home.log()).unwrap();
    for part in ["the clients of this profile look at", "passes 2 sockets", "m365-cachectl service install"] {
        assert!(log.contains(part), "{log}");
    }
}

#[test]
fn signs_of_life_come_while_it_works_and_stop_when_it_does_not() {
    let (world, mut manager) = managed();
    manager.watchdog = Some(Duration::from_millis(300));
    let mut daemon = manager.start(world.bins, &world.home, &world.words).unwrap();
    manager.hear_of("READY=1").unwrap();
    for _ in 0..5 {
        manager.hear_of("WATCHDOG=1").unwrap();
    }
    daemon.signal(Signal::STOP).unwrap();
    let silent = || manager.hear(Duration::from_secs(1)).unwrap().is_none();
    // Those that were sent before it stopped are heard first.
    assert!((0..20).any(|_| silent()), "a daemon that stands still gives signs of life");
    daemon.signal(Signal::CONT).unwrap();
    manager.hear_of("WATCHDOG=1").unwrap();
    end(daemon);
}

#[test]
fn a_locked_daemon_is_ready_to_say_so() {
    let mut world = World::with(Setup { keyless: true, ..Setup::default() }).unwrap();
    world.expect_log("locked");
    world.stop_daemon().unwrap();
    let mut manager = Manager::of(&world.home).unwrap();
    manager.watchdog = Some(Duration::from_millis(300));
    let daemon = manager.start(world.bins, &world.home, &[]).unwrap();
    assert!(manager.hear_of("READY=1").unwrap().contains("\nSTATUS=locked: "));
    manager.hear_of("WATCHDOG=1").unwrap();
    end(daemon);
}

#[test]
fn one_that_a_client_started_gives_way_to_the_managers() {
    let setup = Setup { accounts: &[ALEX], stopped_clock: true, ..Setup::default() };
    let mut world = World::with(setup).unwrap();
    let mut client = world.client(Era::Modern).unwrap();
    assert_eq!([list(&world, &mut client), list(&world, &mut client)], ["miss", "fresh"]);
    let old = world.daemon().pid();
    // Enabled by hand while a daemon runs: systemd puts its socket in the place of the other one.
    let manager = Manager::of(&world.home).unwrap();
    let daemon = manager.start(world.bins, &world.home, &world.words).unwrap();
    manager.hear_of("STATUS=waiting").unwrap();
    let deadline = stopwatch::now() + PATIENCE;
    while process::wait_for_stranger(old, Duration::from_millis(200)).is_err() {
        assert!(stopwatch::now() < deadline, "it stays");
        world.control().advance(Duration::from_secs(10));
    }
    manager.hear_of("READY=1").unwrap();
    assert!(world.daemon().wait().unwrap().success());
    assert!(world.home.socket().exists(), "its end leaves the manager's socket alone");
    assert_eq!(list(&world, &mut client), "fresh", "the client notices nothing");
    assert_eq!(world.ctl_json(&["status"]).unwrap()["pid"], daemon.pid());
    end(daemon);
}

#[test]
fn the_socket_goes_on_to_the_program_that_takes_its_place() {
    let setup = Setup { accounts: &[ALEX], stopped_clock: true, ..Setup::default() };
    let mut world = World::with(setup).unwrap();
    world.stop_daemon().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("m365-cached");
    std::os::unix::fs::symlink(&bins(For::Tests).unwrap().daemon, &program).unwrap();
    let bins = m365_cached_checks::support::bins::Bins { daemon: program.clone(), ..world.bins.clone() };
    let manager = Manager::of(&world.home).unwrap();
    let daemon = manager.start(&bins, &world.home, &world.words).unwrap();
    manager.hear_of("READY=1").unwrap();
    let mut client = world.client(Era::Modern).unwrap();
    list(&world, &mut client);
    let before = world.ctl_json(&["status"]).unwrap();
    process::replace(&program, &world.bins.daemon).unwrap();
    let deadline = stopwatch::now() + PATIENCE;
    loop {
        world.advance(Duration::from_secs(10)).unwrap();
        // Answered at any moment: the socket is always there.
        let status = world.ctl_json(&["status"]).unwrap();
        if status["instance"] != before["instance"] {
            assert_eq!((&status["pid"], &before["pid"]), (&daemon.pid().into(), &daemon.pid().into()));
            break;
        }
        assert!(stopwatch::now() < deadline, "it stays so: {status}");
    }
    manager.hear_of("RELOADING=1").unwrap();
    manager.hear_of("READY=1").unwrap();
    assert_eq!(list(&world, &mut client), "fresh");
    end(daemon);
}

/// systemd's own program that hands sockets over, where it is installed.
#[test]
fn systemds_own_hand_is_understood() {
    let tool = Path::new("/usr/bin/systemd-socket-activate");
    if !tool.exists() {
        return skipped("systemd-socket-activate is not installed");
    }
    let mut world = World::start().unwrap();
    world.stop_daemon().unwrap();
    let log = fs::OpenOptions::new().append(true).open(world.home.log()).unwrap();
    let mut command = world.home.command(world.bins, tool);
    command.arg("--listen").arg(world.home.socket());
    for (name, _) in command.get_envs().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned()))).collect::<Vec<_>>() {
        // It passes on what it is told to.
        command.arg("--setenv").arg(name);
    }
    command.arg(&world.bins.daemon).stderr(log).stdin(std::process::Stdio::null());
    let daemon = Running::new("systemd-socket-activate", process::spawn(&mut command).unwrap());
    let deadline = stopwatch::now() + PATIENCE;
    while !world.home.socket().exists() {
        assert!(stopwatch::now() < deadline, "it does not listen");
        std::thread::yield_now();
    }
    assert_eq!(list(&world, &mut world.client(Era::Modern).unwrap()), "miss");
    assert_eq!(world.ctl_json(&["status"]).unwrap()["pid"], daemon.pid(), "it became the daemon");
    end(daemon);
    // Nobody keeps it any more.
    fs::remove_file(world.home.socket()).unwrap();
}

#[expect(clippy::print_stderr, reason = "a test that was passed over says so")]
fn skipped(why: &str) {
    eprintln!("passed over: {why}");
}

/// systemd's judgement of the units, where it is installed.
#[test]
fn systemd_finds_nothing_in_the_units() {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        return skipped("systemd-analyze is not installed");
    }
    let bins = bins(For::Tests).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/systemd");
    for unit in ["m365-cached.service", "m365-cached.socket"] {
        let text = fs::read_to_string(folder.join(unit)).unwrap();
        fs::write(dir.path().join(unit), text.replace("/usr/bin/m365-cached", bins.daemon.to_str().unwrap())).unwrap();
    }
    let analyze = |words: &[&str]| {
        let mut command = Command::new("systemd-analyze");
        let done = command.args(words).current_dir(dir.path()).env("XDG_RUNTIME_DIR", dir.path()).output().unwrap();
        let said = String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
        (done.status.success(), said)
    };
    let (fine, said) = analyze(&["--user", "verify", "./m365-cached.service", "./m365-cached.socket"]);
    assert!(fine && said.trim().is_empty(), "{said}");
    let (fine, said) = analyze(&["security", "--offline=true", "--threshold=25", "--no-pager", "./m365-cached.service"]);
    assert!(fine, "{said}");
    assert!(said.contains("Overall exposure level for m365-cached.service: 2.0"), "the head of the unit says 2.0: {said}");
}

fn install(world: &World, path: &Path, words: &[&str]) -> Said {
    let mut home = m365_cached_checks::support::home::Home::new(1).unwrap();
    home.key = None;
    home.variables = vec![("PATH".into(), path.display().to_string()), ("HOME".into(), world.home.path().display().to_string())];
    home.variables.push(("M365_CACHED_DIR".into(), world.home.path().display().to_string()));
    m365_cached_checks::support::ctl::run(world.bins, &home, words).unwrap()
}

/// A unit outlives an upgrade that exchanges what is behind a link, and leads to the profile that whoever installs it sees.
#[test]
fn a_unit_names_the_program_as_it_is_reached_and_the_places_of_the_profile() {
    let mut home = m365_cached_checks::support::home::Home::new(1).unwrap();
    let programs = bins(For::Tests).unwrap();
    let folder = home.path().join("bin");
    fs::create_dir(&folder).unwrap();
    for (name, program) in [("m365-cached", &programs.daemon), ("m365-cachectl", &programs.cachectl)] {
        std::os::unix::fs::symlink(program, folder.join(name)).unwrap();
    }
    let linked = m365_cached_checks::support::bins::Bins { cachectl: folder.join("m365-cachectl"), ..programs.clone() };
    let mut print = |variables: &[(&str, &str)]| {
        home.variables = [("M365_CACHED_DAEMON", ""), ("M365_CACHED_DIR", "")]
            .iter()
            .chain(variables)
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect();
        let said = m365_cached_checks::support::ctl::run(&linked, &home, &["--json", "service", "install", "--print"]).unwrap();
        let printed = said.ok().unwrap().json().unwrap();
        (printed["files"][1]["path"].as_str().unwrap().to_owned(), printed["files"][1]["text"].as_str().unwrap().to_owned())
    };
    let started = format!("\nExecStart={}\n", folder.join("m365-cached").display());
    // Started by its whole path, with a bare PATH, as applications do.
    let (_, unit) = print(&[("PATH", "/nowhere")]);
    assert!(unit.contains(&started) && !unit.contains("\nEnvironment="), "{unit}");
    let (path, unit) =
        print(&[("PATH", folder.to_str().unwrap()), ("XDG_DATA_HOME", "/srv/data of ada"), ("XDG_CONFIG_HOME", "/srv/settings")]);
    assert!(unit.contains(&started), "{unit}");
    for line in ["Environment=\"XDG_DATA_HOME=/srv/data of ada\"", "Environment=\"XDG_CONFIG_HOME=/srv/settings\""] {
        assert!(unit.lines().any(|found| found == line), "{unit}");
    }
    assert_eq!(path, "/srv/settings/systemd/user/m365-cached.service", "no manager says that it looks elsewhere");
}

/// Where no manager answers, the files are written and what is left to type is said; only what was written goes again.
#[test]
fn without_a_manager_the_files_are_written_and_the_rest_is_said() {
    let world = World::start().unwrap();
    let none = tempfile::tempdir().unwrap();
    let json = |words: &[&str]| -> (Option<i32>, Value) {
        let said = install(&world, none.path(), words);
        (said.code, said.json().unwrap())
    };
    let (code, printed) = json(&["--json", "service", "install", "--print"]);
    assert_eq!(code, Some(0));
    let file = |at: usize| world.home.path().join(Path::new(printed["files"][at]["path"].as_str().unwrap()));
    assert!(!file(0).exists() && !file(1).exists());
    let (code, status) = json(&["--json", "service", "status"]);
    assert_eq!((code, &status["installed"]), (Some(8), &false.into()), "{status}");
    let (code, written) = json(&["--json", "service", "install"]);
    assert_eq!((code, &written["state"]), (Some(7), &"written".into()), "{written}");
    assert!(written["why"].as_str().unwrap().contains("systemctl") && written["next"][1].as_str().unwrap().contains("enable --now"));
    for at in [0, 1] {
        assert_eq!(fs::read_to_string(file(at)).unwrap(), printed["files"][at]["text"].as_str().unwrap());
    }
    let start = fs::read_to_string(file(1)).unwrap();
    let start = start.lines().find(|line| line.starts_with("ExecStart=")).unwrap().to_owned();
    assert!(start.contains(world.bins.daemon.to_str().unwrap()) && start.contains(world.home.path().to_str().unwrap()), "{start}");
    assert_eq!(json(&["--json", "service", "install", "--no-start"]).0, Some(0));
    let (code, status) = json(&["--json", "service", "status"]);
    assert_eq!((code, &status["installed"], &status["answers"]), (Some(0), &true.into(), &false.into()), "{status}");

    fs::write(file(0), "[Socket]\nListenStream=/mine\n").unwrap();
    for verb in ["install", "uninstall"] {
        let (code, refused) = json(&["--json", "service", verb]);
        assert_eq!((code, &refused["error"]["code"]), (Some(2), &"unit_not_ours".into()), "{refused}");
    }
    assert!(file(1).exists(), "nothing was done");
    fs::remove_file(file(0)).unwrap();
    let (code, removed) = json(&["--json", "service", "uninstall"]);
    assert_eq!((code, &removed["state"]), (Some(0), &"uninstalled".into()), "{removed}");
    assert!(!file(1).exists());
    assert_eq!(json(&["--json", "service", "uninstall"]).1["state"], "not_installed");
    let own = install(&world, none.path(), &["service", "logs"]);
    assert!(
        own.code == Some(0) && own.stdout.contains("m365_cached_daemon: ready"),
        "without a journal the daemon's own file is shown: {own:?}"
    );
    let (code, followed) = json(&["--json", "service", "logs", "--follow"]);
    assert_eq!((code, &followed["error"]["code"]), (Some(2), &"no_journal".into()), "{followed}");
    fs::remove_file(world.home.path().join("m365-cached.log")).unwrap();
    let (code, logs) = json(&["--json", "service", "logs"]);
    assert_eq!((code, &logs["error"]["code"]), (Some(7), &"no_log".into()), "{logs}");
}
