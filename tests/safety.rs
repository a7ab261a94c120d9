//! Safety at the sizes of the suite: the drivers of `cargo campaign safety`, one test for each of its parts.

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use m365_cached_checks::campaign::{
    Run,
    safety::{self, PARTS, QUICK},
};
use serde_json::Value;

/// Runs one part; its figure.
fn part(name: &str) -> Value {
    assert!(PARTS.contains(&name));
    let mut run = Run::new(&[name.to_owned()], Duration::from_secs(600), Arc::new(AtomicBool::new(false)));
    safety::run(&mut run, &QUICK);
    let figures = run.end("safety");
    assert!(run.wrong().is_empty() && figures["complete"] == true, "{:#}", figures);
    figures[name].clone()
}

#[test]
fn strangers_are_not_served() {
    let figure = part("strangers");
    if figure.get("skipped").is_none() {
        assert_eq!((&figure["tried"], &figure["told_in_status"]), (&50.into(), &true.into()), "{figure}");
    }
}

#[test]
fn of_many_starts_at_once_one_serves() {
    assert_eq!(part("starts")["rounds"], 2);
}

#[test]
fn hostile_confirmations_do_nothing() {
    assert_eq!(part("confirmations")["tried"], 300);
}

#[test]
fn hostile_addresses_are_not_asked() {
    assert_eq!(part("urls")["asked_foreign"], 0);
}

#[test]
fn hostile_paths_stay_inside() {
    assert_eq!(part("names")["tried"], 60);
}

#[test]
fn frames_that_are_none_break_nothing() {
    assert_eq!(part("frames")["alive"], true);
}

#[test]
fn a_noisy_client_is_told_so() {
    // How little the others feel of it is judged in the campaign, on a machine with nothing else to do.
    let mut run = Run::new(&["noisy".to_owned()], Duration::from_secs(600), Arc::new(AtomicBool::new(false)));
    safety::run(&mut run, &QUICK);
    let figures = run.end("safety");
    let unfelt: Vec<&String> = run.wrong().iter().filter(|wrong| !wrong.contains("times as slow")).collect();
    assert!(unfelt.is_empty() && figures["noisy"]["busy"].as_u64() > Some(0), "{figures:#}");
}

#[test]
fn planted_texts_are_found_nowhere() {
    assert_eq!(part("canaries")["core_files"], 0);
}

#[test]
fn every_part_stands_in_the_guide() {
    let guide = include_str!("../packaging/manual/security.md");
    for part in PARTS {
        assert!(guide.contains(&format!("\n| `{part}` | ")), "{part} has no line in the table of figures");
    }
    for word in guide.split("--only ").skip(1) {
        let part: String = word.chars().take_while(|letter| letter.is_alphabetic() || *letter == '_').collect();
        assert!(part == "PART" || PARTS.contains(&part.as_str()), "there is no part {part:?}");
    }
}
