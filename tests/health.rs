//! `m365-cachectl health` tells by its exit code a daemon that lives from one whose tools can be called.

use m365_cached_checks::support::world::{Setup, World};
use rustix::process::Signal;

#[test]
fn live_and_ready_are_told_apart() {
    let mut world = World::start().unwrap();
    for words in [&["health"][..], &["health", "--live"], &["health", "--ready"]] {
        let said = world.ctl(words).unwrap();
        assert_eq!((said.code, said.stdout.as_str()), (Some(0), "ready\n"), "{words:?}");
    }
    world.stop_daemon().unwrap();
    let said = world.ctl(&["--json", "health", "--live"]).unwrap();
    assert_eq!(said.code, Some(8), "{said:?}");
    let health = said.json().unwrap();
    assert_eq!((&health["live"], &health["reason"]["code"]), (&false.into(), &"daemon_not_running".into()), "{health}");
    assert!(!world.home.socket().exists(), "to ask starts nothing");
}

#[test]
fn a_locked_daemon_is_alive_and_not_ready() {
    let mut world = World::with(Setup { keyless: true, ..Setup::default() }).unwrap();
    world.expect_log("locked");
    assert_eq!(world.ctl(&["health", "--live"]).unwrap().code, Some(0));
    let said = world.ctl(&["--json", "health"]).unwrap();
    assert_eq!(said.code, Some(7), "{said:?}");
    let health = said.json().unwrap();
    assert_eq!((&health["live"], &health["ready"], &health["reason"]["code"]), (&true.into(), &false.into(), &"no_safe_place".into()));
    let text = world.ctl(&["health"]).unwrap().stdout;
    assert!(text.starts_with("live, not ready: ") && text.contains("\nhint: "), "{text}");
}

#[test]
fn a_script_can_wait_for_it() {
    let mut world = World::start().unwrap();
    world.stop_daemon().unwrap();
    assert_eq!(world.ctl(&["health", "--wait", "1"]).unwrap().code, Some(8), "nobody starts one");
    let waiting = m365_cached_checks::support::ctl::start(world.bins, &world.home, &["health", "--wait", "50"]).unwrap();
    world.start_daemon().unwrap();
    assert_eq!(waiting.finish(String::new()).unwrap().code, Some(0));
}

#[test]
fn one_that_does_nothing_is_not_alive() {
    let mut world = World::start().unwrap();
    world.daemon().signal(Signal::STOP).unwrap();
    let said = world.ctl(&["--json", "health", "--live"]).unwrap();
    world.daemon().signal(Signal::CONT).unwrap();
    assert_eq!((said.code, &said.json().unwrap()["reason"]["code"]), (Some(1), &"daemon_stuck".into()), "{said:?}");
}
