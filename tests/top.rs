//! `m365-cachectl top` on a real terminal: it shows what happens and nothing of what is in it, does what the keys say, and gives the terminal back.

use m365_cached_checks::support::{
    mcp::Era,
    terminal::Terminal,
    world::{ALEX, World},
};
use rustix::process::Signal;
use serde_json::json;

fn top(world: &World, words: &[&str], size: (u16, u16)) -> Terminal {
    let words: Vec<&str> = ["top", "--every", "0.1"].into_iter().chain(words.iter().copied()).collect();
    Terminal::start(world.bins, &world.home, &world.bins.cachectl, &words, size).unwrap()
}

#[test]
fn calls_are_seen_as_they_come_and_the_terminal_is_given_back() {
    let world = World::start().unwrap();
    let mut client = world.client(Era::Legacy).unwrap();
    let list = client.call("email_list", &json!({"account_id": ALEX, "limit": 3})).unwrap().json().unwrap();
    let mut top = top(&world, &[], (80, 24));
    top.until(|text| text.contains("ready") && text.contains("email_list") && text.contains("miss")).unwrap();
    client.call("email_list", &json!({"account_id": ALEX, "limit": 3})).unwrap().json().unwrap();
    client.call("search_emails", &json!({"account_id": ALEX, "query": "canary-51c0"})).unwrap().json().unwrap();
    client.call("email_get", &json!({"account_id": "nobody", "email_id": "x"})).unwrap().fault().unwrap();
    let text = top.until(|text| text.contains("fresh ") && text.contains("search_emails") && text.contains("email_get")).unwrap();
    let subject = list["messages"][0]["subject"].as_str().unwrap();
    assert!(!text.contains("canary-51c0") && !text.contains(subject), "{text}");
    assert!(text.contains(&world.ids[0][..8]) && text.contains("checks"), "whose calls these are: {text}");

    top.press("?").unwrap();
    top.until(|text| text.contains("hold the picture")).unwrap();
    top.press("?").unwrap();
    top.until(|text| !text.contains("hold the picture")).unwrap();
    top.press("\t").unwrap();
    top.until(|text| text.contains("protocol") && text.contains("2025-11-25")).unwrap();
    top.press("\t").unwrap();
    top.until(|text| text.contains(ALEX) && text.contains("/4")).unwrap();
    top.press(" ").unwrap();
    top.until(|text| text.contains("HELD")).unwrap();
    top.resize((120, 40)).unwrap();
    top.until(|text| text.contains("calls, newest first") && text.contains("clients, oldest first") && text.contains("accounts, by name"))
        .unwrap();
    top.resize((20, 5)).unwrap();
    top.until(|text| text.contains("q ends it") && !text.contains("newest")).unwrap();

    top.press("q").unwrap();
    assert_eq!(top.wait().unwrap().code(), Some(0));
    top.until_given_back().unwrap();
}

#[test]
fn a_signal_and_ctrl_c_give_the_terminal_back_too() {
    let world = World::start().unwrap();
    for (signal, code) in [(Some(Signal::TERM), 143), (Some(Signal::INT), 130), (Some(Signal::HUP), 129), (None, 0)] {
        let mut top = top(&world, &[], (80, 24));
        top.until(|text| text.contains("ready")).unwrap();
        assert!(top.picture().alternate_screen() && !top.is_given_back().unwrap(), "it was taken");
        match signal {
            Some(signal) => top.signal(signal).unwrap(),
            None => top.press("\u{3}").unwrap(),
        }
        assert_eq!(top.wait().unwrap().code(), Some(code), "{signal:?}");
        top.until_given_back().unwrap();
    }
}

#[test]
fn a_daemon_that_goes_and_comes_is_waited_for() {
    let mut world = World::start().unwrap();
    let mut top = top(&world, &[], (80, 24));
    top.until(|text| text.contains("ready")).unwrap();
    world.stop_daemon().unwrap();
    top.until(|text| text.contains("waiting: no daemon runs")).unwrap();
    world.start_daemon().unwrap();
    top.until(|text| text.contains("ready") && !text.contains("waiting:")).unwrap();
    top.press("q").unwrap();
    assert_eq!(top.wait().unwrap().code(), Some(0));
}

#[test]
fn elsewhere_it_says_so_and_prints_lines_when_asked() {
    let mut world = World::start().unwrap();
    let said = world.ctl(&["top"]).unwrap();
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(said.stderr.contains("no terminal") || said.stderr.contains("this is none"), "{said:?}");
    assert!(said.stderr.contains("stats --json"), "{said:?}");

    let mut lines =
        m365_cached_checks::support::ctl::start(world.bins, &world.home, &["--json", "top", "--every", "0.1", "--samples", "600"]).unwrap();
    let first = lines.event().unwrap().unwrap();
    assert_eq!((first["state"].as_str(), first["accounts"][0]["limit"].as_u64()), (Some("ready"), Some(4)), "{first}");
    let mut client = world.client(Era::Modern).unwrap();
    client.call("email_list", &json!({"account_id": ALEX})).unwrap().json().unwrap();
    let seen = std::iter::from_fn(|| lines.event().unwrap())
        .find(|line| line["recent"].as_array().is_some_and(|calls| !calls.is_empty()))
        .unwrap();
    let call = &seen["recent"][0];
    assert_eq!(
        (call["tool"].as_str(), call["status"].as_str(), call["account"].as_str()),
        (Some("email_list"), Some("miss"), Some(&*world.ids[0])),
        "{seen}"
    );
    assert!(seen["calls_per_second"]["miss"].as_f64().unwrap() > 0.0 && seen["hit_rate"].as_f64() == Some(0.0), "{seen}");
    drop((lines, client));

    let two = world.ctl(&["--json", "top", "--every", "0.1", "--samples", "2"]).unwrap().ok().unwrap();
    assert_eq!(two.stdout.lines().count(), 2, "{two:?}");
    world.stop_daemon().unwrap();
    assert_eq!(world.ctl(&["--json", "top"]).unwrap().code, Some(8));
    assert!(m365_cached_checks::support::process::of_profile(world.home.path()).unwrap().is_empty(), "it starts none");
}
