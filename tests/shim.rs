//! `m365-mcp` as its client sees it: ends when it should, outlives the daemon, and never lies about a write.

use std::{process::Command, sync::Arc, time::Duration};

use m365_cached_checks::{
    campaign::{
        Run,
        shim::{self, Size},
    },
    support::{
        PATIENCE,
        mcp::{ERAS, Era, open},
        world::World,
    },
};
use m365_cached_tenant::{At, Effect, Fault, Wait};
use rustix::process::Signal;
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
        let (_, took) = m365_cached_checks::support::stopwatch::timed(|| {
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
        world.until(|status| quiet(status) && status["store"]["entries"].as_u64() > Some(kept)).unwrap();
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
    let (reply, took) = m365_cached_checks::support::stopwatch::timed(|| client.request("tools/list", json!({})).unwrap());
    assert!(reply["error"]["message"].as_str().unwrap().len() > 20, "{reply}");
    assert!(took < Duration::from_secs(12), "{took:?}");
    world.start_daemon().unwrap();
    assert!(client.request("tools/list", json!({})).unwrap()["result"]["tools"].is_array());
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
