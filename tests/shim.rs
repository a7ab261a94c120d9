//! `m365-mcp` as its client sees it: ends when it should, outlives the daemon, and never lies about a write.

use std::{
    fs::{self, File, Permissions},
    mem::MaybeUninit,
    os::{fd::OwnedFd, unix::fs::PermissionsExt as _},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use m365_cached_checks::{
    campaign::{
        Run,
        shim::{self, Size},
    },
    support::{
        PATIENCE,
        mcp::{ERAS, Era, open},
        process::{Running, spawn},
        stopwatch,
        world::World,
    },
};
use m365_cached_tenant::{At, Effect, Fault, Wait};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::inotify,
    process::Signal,
};
use serde_json::{Value, json};

const LIST: &str = "GET /me/mailFolders/{id}/messages";

/// What SDKs give a server to end in before they kill it.
const TWO_SECONDS: Duration = Duration::from_secs(2);

#[test]
fn it_ends_when_its_client_hangs_up() {
    let world = World::start().unwrap();
    for era in ERAS {
        let mut client = world.client(era).unwrap();
        client.call("server_get_version", &json!({})).unwrap();
        client.hang_up();
        assert!(client.wait(TWO_SECONDS).unwrap().success());
        let mut client = world.client(era).unwrap();
        client.signal(Signal::TERM).unwrap();
        client.wait(TWO_SECONDS).unwrap();
    }
}

#[test]
fn what_was_asked_before_hanging_up_is_answered() {
    let world = World::start().unwrap();
    let mut client = world.client(Era::Legacy).unwrap();
    let (id, line) = client.line("tools/call", json!({"name": "email_list", "arguments": {"account_id": world.ids[0]}}));
    client.send(&line).unwrap();
    client.hang_up();
    assert!(client.reply_to(id).unwrap()["result"]["isError"] != true);
    assert!(client.wait(TWO_SECONDS).unwrap().success());
}

#[test]
fn a_read_survives_the_death_of_the_daemon() {
    let mut world = World::start().unwrap();
    for (nth, era) in ERAS.into_iter().enumerate() {
        let mut client = world.client(era).unwrap();
        let hold = world.control().fault(Fault::always(LIST, Effect::Hold { at: At::Before }));
        let arguments = json!({"account_id": world.ids[0], "limit": 11 + nth});
        let (id, line) = client.line("tools/call", json!({"name": "email_list", "arguments": arguments}));
        client.send(&line).unwrap();
        assert!(world.block_on(world.control().wait(&Wait { route: LIST.into(), concurrent: 1, ..Wait::default() })).reached);
        world.kill_daemon().unwrap();
        world.control().release(Some(hold));
        // Somebody has to bring the daemon back; the shim does it by itself.
        let reply = client.reply_to(id).unwrap();
        assert!(reply["result"]["isError"] != true, "{reply}");
        world.ctl(&["stop"]).unwrap().ok().unwrap();
        world.start_daemon().unwrap();
    }
}

#[test]
fn a_write_that_the_daemon_died_of_is_not_repeated_and_not_claimed() {
    let mut world = World::start().unwrap();
    world.expect_log("its outcome is unknown");
    let mut client = world.client(Era::Legacy).unwrap();
    let inbox = json!({"account_id": world.ids[0], "folder": "inbox"});
    let list = client.call("email_list", &inbox).unwrap().json().unwrap();
    let message = list["messages"][0]["id"].as_str().unwrap();
    let hold = world.control().fault(Fault::always("/move", Effect::Hold { at: At::After }));
    let arguments = json!({"account_id": world.ids[0], "email_id": message, "destination_folder": "archive"});
    let (id, line) = client.line("tools/call", json!({"name": "email_move", "arguments": arguments}));
    client.send(&line).unwrap();
    assert!(world.block_on(world.control().wait(&Wait { route: "/move".into(), concurrent: 1, ..Wait::default() })).reached);
    world.kill_daemon().unwrap();
    world.control().release(Some(hold));
    let reply = client.reply_to(id).unwrap();
    assert_eq!(reply["result"]["isError"], true, "{reply}");
    assert!(reply["result"]["content"][0]["text"].as_str().unwrap().contains("unknown"), "{reply}");
    assert_eq!(world.control().stats().count("/move"), 1);
    // The new daemon found the open write: it does not serve the old list.
    let list = client.call("email_list", &inbox).unwrap().json().unwrap();
    let ids: Vec<&Value> = list["messages"].as_array().unwrap().iter().map(|message| &message["id"]).collect();
    assert!(!ids.contains(&&json!(message)));
}

/// No client and no request to Microsoft is left.
fn quiet(status: &Value) -> bool {
    status["clients"] == json!([]) && status["graph"]["in_flight"] == 0 && status["graph"]["waiting"] == 0
}

#[test]
fn a_client_that_ends_in_the_middle_of_a_read_leaves_nothing_behind() {
    let world = World::start().unwrap();
    let ends = [(Era::Legacy, Signal::TERM), (Era::Modern, Signal::TERM), (Era::Legacy, Signal::KILL), (Era::Modern, Signal::KILL)];
    for (nth, (era, signal)) in ends.into_iter().enumerate() {
        let mut client = world.client(era).unwrap();
        let hold = world.control().fault(Fault::always(LIST, Effect::Hold { at: At::Before }));
        // Without bodies: one entry, and no messages that come along.
        let arguments = json!({"account_id": world.ids[0], "limit": 21 + nth, "include_body": false});
        let (_, line) = client.line("tools/call", json!({"name": "email_list", "arguments": arguments}));
        client.send(&line).unwrap();
        assert!(world.block_on(world.control().wait(&Wait { route: LIST.into(), concurrent: 1, ..Wait::default() })).reached);
        let (_, took) = stopwatch::timed(|| {
            client.signal(signal).unwrap();
            client.wait(TWO_SECONDS).unwrap();
        });
        assert!(took < TWO_SECONDS, "{signal:?} took {took:?}");
        // Its seat is free at once, while Microsoft has not answered.
        let status = world.until(|status| status["clients"] == json!([])).unwrap();
        assert_eq!(status["graph"]["in_flight"], 1, "{status}");
        let kept = status["store"]["entries"].as_u64().unwrap();
        let before = world.control().stats().count(LIST);
        world.control().release(Some(hold));
        // What the list leaves out, for its cursor, and then the list itself.
        world.until(|status| quiet(status) && status["store"]["entries"].as_u64() == Some(kept + 2)).unwrap();
        // What was asked for lands in the cache, for whoever asks next.
        let answer = world.client(era).unwrap().call("email_list", &arguments).unwrap();
        assert_eq!(answer.cache_status().unwrap(), "fresh");
        assert_eq!(world.control().stats().count(LIST), before);
    }
}

#[test]
fn a_write_outlives_the_client_that_asked_for_it() {
    let world = World::start().unwrap();
    for era in ERAS {
        let inbox = json!({"account_id": world.ids[0], "folder": "inbox"});
        let mut client = world.client(era).unwrap();
        let list = client.call("email_list", &inbox).unwrap().json().unwrap();
        let message = list["messages"][0]["id"].as_str().unwrap();
        let hold = world.control().fault(Fault::always("/move", Effect::Hold { at: At::Before }));
        let arguments = json!({"account_id": world.ids[0], "email_id": message, "destination_folder": "archive"});
        let (_, line) = client.line("tools/call", json!({"name": "email_move", "arguments": arguments}));
        client.send(&line).unwrap();
        assert!(world.block_on(world.control().wait(&Wait { route: "/move".into(), concurrent: 1, ..Wait::default() })).reached);
        client.signal(Signal::KILL).unwrap();
        client.wait(TWO_SECONDS).unwrap();
        world.until(|status| status["clients"] == json!([])).unwrap();
        world.control().release(Some(hold));
        world.until(quiet).unwrap();
        // It was done once, and its outcome is known: the next read is kept, which an unsettled folder would not be.
        let mut client = world.client(era).unwrap();
        let list = client.call("email_list", &inbox).unwrap();
        assert!(!list.text.contains(message), "the list from before the write");
        assert_eq!(client.call("email_list", &inbox).unwrap().cache_status().unwrap(), "fresh");
    }
    assert_eq!(world.control().stats().count("/move"), 2);
}

#[test]
fn without_a_daemon_to_start_it_says_what_to_do_and_goes_on_trying() {
    let mut world = World::start().unwrap();
    world.stop_daemon().unwrap();
    let mut bins = world.bins.clone();
    bins.daemon = "/nonexistent/m365-cached".into();
    let mut client = open(&bins, &world.home, &bins.shim, Era::Modern).unwrap();
    let (reply, took) = stopwatch::timed(|| client.request("tools/list", json!({})).unwrap());
    assert!(reply["error"]["message"].as_str().unwrap().len() > 20, "{reply}");
    assert!(took < Duration::from_secs(12), "{took:?}");
    world.start_daemon().unwrap();
    assert!(client.request("tools/list", json!({})).unwrap()["result"]["tools"].is_array());
}

/// How often a file is opened.
struct Looks(OwnedFd);

impl Looks {
    fn at(file: &Path) -> Self {
        let fd = inotify::init(inotify::CreateFlags::NONBLOCK).unwrap();
        inotify::add_watch(&fd, file, inotify::WatchFlags::OPEN).unwrap();
        Self(fd)
    }

    /// Waits until it was opened so often.
    fn wait(&self, times: usize) {
        let deadline = stopwatch::now() + PATIENCE;
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut looks = inotify::Reader::new(&self.0, &mut buffer);
        for nth in 0..times {
            while looks.next().is_err() {
                assert!(stopwatch::now() < deadline, "it was opened {nth} times");
                poll(&mut [PollFd::new(&self.0, PollFlags::IN)], Some(&Timespec { tv_sec: 1, tv_nsec: 0 })).unwrap();
            }
        }
    }
}

/// More often than once in two seconds within the eight that a request waits for a daemon.
const OFTEN: usize = 6;

/// Somebody else is starting a daemon, and ends without having done so: whoever waits for it has not started one and does so now.
#[test]
fn who_waits_for_somebody_elses_daemon_starts_one_when_that_came_to_nothing() {
    let mut world = World::start().unwrap();
    world.stop_daemon().unwrap();
    let path = world.home.path().join("m365-cached.starting");
    let turn = || {
        let turn = File::create(&path).unwrap();
        turn.lock().unwrap();
        (turn, Looks::at(&path))
    };

    let (held, looks) = turn();
    let mut client = open(world.bins, &world.home, &world.bins.shim, Era::Modern).unwrap();
    let (id, line) = client.line("tools/list", json!({}));
    client.send(&line).unwrap();
    looks.wait(OFTEN);
    drop(held);
    assert!(client.reply_to(id).unwrap()["result"]["tools"].is_array());
    client.hang_up();
    client.wait(PATIENCE).unwrap();
    world.ctl(&["stop"]).unwrap().ok().unwrap();

    let (held, looks) = turn();
    let mut command = world.home.command(world.bins, &world.bins.cachectl);
    let mut person = Running::new("m365-cachectl", spawn(command.args(["tools"]).stdout(Stdio::null())).unwrap());
    looks.wait(OFTEN);
    drop(held);
    assert!(person.wait(PATIENCE).unwrap().success());
}

/// The daemon that a client starts may meet one that has not quite ended, and then again.
#[test]
fn a_daemon_that_meets_one_that_is_ending_is_started_again_before_anybody_gives_up() {
    let mut world = World::start().unwrap();
    world.stop_daemon().unwrap();
    let (script, starts) = (world.home.path().join("daemon.sh"), world.home.path().join("starts"));
    let (real, counted) = (world.bins.daemon.display(), starts.display());
    let text = format!("#!/bin/sh\necho >> '{counted}'\n[ $(wc -l < '{counted}') -ge {OFTEN} ] || exit 9\nexec '{real}' \"$@\"\n");
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, Permissions::from_mode(0o700)).unwrap();
    world.home.variables.push(("M365_CACHED_DAEMON".into(), script.display().to_string()));

    let mut client = open(world.bins, &world.home, &world.bins.shim, Era::Modern).unwrap();
    assert!(client.request("tools/list", json!({})).unwrap()["result"]["tools"].is_array());
    client.hang_up();
    client.wait(PATIENCE).unwrap();
    world.ctl(&["stop"]).unwrap().ok().unwrap();
    fs::remove_file(&starts).unwrap();
    world.ctl(&["tools"]).unwrap().ok().unwrap();
    assert_eq!(fs::read_to_string(&starts).unwrap().lines().count(), OFTEN);
}

#[test]
fn it_tells_who_it_is_and_takes_nothing_else() {
    let world = World::start().unwrap();
    let run = |words: &[&str]| Command::new(&world.bins.shim).args(words).output().unwrap();
    let version = run(&["--version"]);
    assert!(version.status.success() && String::from_utf8_lossy(&version.stdout).contains(env!("CARGO_PKG_VERSION")));
    let help = run(&["--help"]);
    assert!(help.status.success() && String::from_utf8_lossy(&help.stdout).contains("m365-mcp"));
    let strange = run(&["--frobnicate"]);
    assert!(!strange.status.success() && !strange.stderr.is_empty() && strange.stdout.is_empty());
}

#[test]
fn the_catalogue_is_the_same_for_everybody() {
    let world = World::start().unwrap();
    let lists: Vec<Value> = ERAS
        .into_iter()
        .map(|era| world.client(era).unwrap().request("tools/list", json!({})).unwrap()["result"]["tools"].clone())
        .collect();
    assert_eq!(lists[0], lists[1]);
    let names: Vec<&str> = lists[0].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    let known = world.ctl_json(&["tools", "--profile", "essential"]).unwrap();
    let known: Vec<&str> = known["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    assert_eq!(names, known, "people see what models see");
    assert!(names.len() >= 17);
    for tool in lists[0].as_array().unwrap() {
        assert_eq!(tool["inputSchema"]["type"], "object", "{tool}");
    }
    let mut client = world.client(Era::Modern).unwrap();
    let discovered = client.request("server/discover", json!({})).unwrap();
    assert!(discovered["result"]["supportedVersions"].as_array().unwrap().contains(&json!("2026-07-28")), "{discovered}");
    client.hang_up();
    client.wait(PATIENCE).unwrap();
}

/// The short version of a part of `cargo campaign shim`; its figures.
fn campaign(part: &str) -> Value {
    let mut run = Run::new(&[part.to_owned()], Duration::from_secs(600), Arc::default());
    shim::run(&mut run, &Size { shims: 6, kills: 4, restarts: 3, at_once: 24 });
    let figures = run.end("shim");
    assert!(run.wrong().is_empty() && figures["complete"] == true, "{figures:#}");
    figures
}

#[test]
fn clients_do_not_notice_that_their_daemon_is_killed() {
    let figures = campaign("kills");
    assert_eq!((&figures["kills"], &figures["disconnects"]), (&json!(4), &json!(0)));
    assert!(figures["writes"].as_u64() > Some(0), "{figures:#}");
}

#[test]
fn an_orderly_restart_loses_nothing_at_all() {
    assert_eq!(campaign("restarts")["restarts"], 3);
}

#[test]
fn clients_that_come_at_once_start_one_daemon() {
    assert_eq!(campaign("starts")["served"], 24);
}
