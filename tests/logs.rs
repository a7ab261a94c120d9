//! `m365-cachectl logs`: what the daemon said, whoever started it; as many lines as are wanted, as they come, and never anybody's content.

use std::{fs, os::unix::fs::PermissionsExt as _};

use m365_cached_checks::support::{
    bins::{For, bins},
    ctl,
    home::Home,
    mcp::Era,
    world::{ALEX, World},
};
use serde_json::{Value, json};

fn lines(world: &World, words: &[&str]) -> Vec<Value> {
    let words: Vec<&str> = ["--json", "logs"].into_iter().chain(words.iter().copied()).collect();
    let said = world.ctl(&words).unwrap().ok().unwrap();
    said.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// How often a line with that text stands there.
fn count(lines: &[Value], text: &str) -> usize {
    lines.iter().filter(|line| line["text"].as_str().is_some_and(|words| words.starts_with(text))).count()
}

#[test]
fn the_log_of_a_daemon_is_shown_whoever_started_it() {
    let mut world = World::start().unwrap();
    let mut client = world.client(Era::Legacy).unwrap();
    client.call("search_emails", &json!({"account_id": ALEX, "query": "canary-2d71"})).unwrap().json().unwrap();
    let all = lines(&world, &[]);
    assert_eq!(count(&all, "ready"), 1, "one that was started by hand: {all:#?}");
    let ready = all.iter().find(|line| line["text"].as_str().unwrap().starts_with("ready")).unwrap();
    assert!(ready["at"].as_str().unwrap().ends_with('Z') && ready["level"] == "INFO" && ready["target"] == "m365_cached_daemon", "{ready}");
    world.stop_daemon().unwrap();
    // The next call starts one through the shim, whose stderr is the log.
    client.call("email_list", &json!({"account_id": ALEX})).unwrap().json().unwrap();
    assert_eq!(count(&lines(&world, &["-n", "0"]), "ready"), 2, "said once by each");
    let log = world.home.path().join("m365-cached.log");
    assert_eq!(fs::metadata(&log).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!fs::read_to_string(&log).unwrap().contains("canary-2d71"));
    assert!(world.ctl(&["logs"]).unwrap().ok().unwrap().stdout.contains(" INFO  m365_cached_daemon: ready"));
    drop(client);
    world.ctl(&["stop"]).unwrap().ok().unwrap();
    assert!(count(&lines(&world, &[]), "stopped") > 0, "no daemon is needed");
}

#[test]
fn lines_are_chosen_by_number_time_and_level() {
    let world = World::start().unwrap();
    assert_eq!(lines(&world, &["-n", "1"]).len(), 1);
    assert!(lines(&world, &["--since", "1h"]).len() > 1);
    assert!(lines(&world, &["--since", "2999-01-01"]).is_empty());
    assert!(lines(&world, &["--level", "warn"]).is_empty(), "all is well");
    let said = world.ctl(&["logs", "--since", "yesterday"]).unwrap();
    assert!(said.code == Some(2) && said.stderr.contains("2h"), "{said:?}");
}

#[test]
fn what_comes_is_shown_as_it_comes_also_from_the_next_daemon() {
    let mut world = World::start().unwrap();
    let mut follow = ctl::start(world.bins, &world.home, &["--json", "logs", "-f", "-n", "1"]).unwrap();
    assert!(follow.event().unwrap().is_some(), "the last line that is there");
    world.stop_daemon().unwrap();
    let mut until = |text: &str| loop {
        let line = follow.event().unwrap().unwrap();
        if line["text"].as_str().unwrap().starts_with(text) {
            break;
        }
    };
    until("stopped");
    world.start_daemon().unwrap();
    until("ready");
}

#[test]
fn a_full_log_is_put_aside_and_read_on_in() {
    let mut world = World::start().unwrap();
    world.stop_daemon().unwrap();
    let log = world.home.path().join("m365-cached.log");
    let old = "2026-11-22T08:00:00.000Z INFO  m365_cached_daemon: an old line\n";
    fs::write(&log, old.repeat(5 * 1024 * 1024 / old.len())).unwrap();
    world.start_daemon().unwrap();
    assert!(fs::metadata(&log).unwrap().len() < 1024 * 1024);
    assert!(fs::metadata(world.home.path().join("m365-cached.log.1")).unwrap().len() > 4 * 1024 * 1024);
    let last = lines(&world, &["-n", "50"]);
    assert_eq!((last.len(), count(&last, "ready")), (50, 1));
    assert!(count(&last, "an old line") > 30, "the rest is from the one before");
}

#[test]
fn where_no_daemon_ever_ran_it_says_so() {
    let home = Home::new(1).unwrap();
    let said = ctl::run(bins(For::Tests).unwrap(), &home, &["--json", "logs"]).unwrap();
    assert_eq!((said.code, said.json().unwrap()["error"]["code"].as_str()), (Some(7), Some("no_log")));
}
