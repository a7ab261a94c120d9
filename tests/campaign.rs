//! Campaigns that are cut short, as processes: they print what they have, leave nobody behind, and their exit code tells.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    os::unix::process::CommandExt as _,
    process::{Command, Stdio},
};

use m365_cached_checks::support::{
    PATIENCE,
    process::{self, Running},
};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;

/// Runs a campaign in a group of its own, as a terminal does; presses Ctrl-C once it has said `said`. Its exit code and JSON.
fn campaign(words: &[&str], said: Option<&str>) -> (Option<i32>, Value) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_m365-checks"));
    command.arg("campaign").args(words).arg("--json").process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = process::spawn(&mut command).unwrap();
    let (mut out, err) = (child.stdout.take().unwrap(), BufReader::new(child.stderr.take().unwrap()));
    let mut running = Running::new("m365-checks", child);
    let mut told = String::new();
    let mut lines = err.lines();
    if let Some(said) = said {
        while !told.contains(said) {
            let line = lines.next().unwrap_or_else(|| panic!("it ended without {said:?}:\n{told}")).unwrap();
            told.push_str(&line);
            told.push('\n');
        }
        let group = Pid::from_raw(i32::try_from(running.pid()).unwrap()).unwrap();
        kill_process_group(group, Signal::INT).unwrap();
    }
    told.extend(lines.map(|line| line.unwrap() + "\n"));
    let mut text = String::new();
    out.read_to_string(&mut text).unwrap();
    let code = running.wait(PATIENCE).unwrap().code();
    let figures = serde_json::from_str(&text).unwrap_or_else(|error| panic!("no JSON ({error}): {text:?}, and it said\n{told}"));
    (code, figures)
}

#[test]
fn ctrl_c_ends_one_and_it_prints_what_it_has() {
    let (code, figures) = campaign(&["soak"], Some("soak: 0 s"));
    assert_eq!((code, &figures["ended"], &figures["complete"]), (Some(3), &"interrupted".into(), &false.into()), "{figures}");
    assert!(figures["samples"][0]["rss_mb"].as_f64().is_some_and(|most| most > 1.0), "{figures}");
    assert_eq!(figures["wrong"], serde_json::json!([]));
}

#[test]
fn the_end_of_its_time_ends_one_and_a_part_that_is_none_is_refused() {
    let (code, figures) = campaign(&["queue", "--only", "kills", "--budget-s", "4"], None);
    assert_eq!((code, &figures["ended"], &figures["complete"]), (Some(3), &"budget".into(), &false.into()), "{figures}");
    let said = Command::new(env!("CARGO_BIN_EXE_m365-checks")).args(["campaign", "queue", "--only", "nothing"]).output().unwrap();
    let text = String::from_utf8(said.stderr).unwrap();
    assert!(said.status.code() == Some(2) && text.contains("there are kills, foreground, clients"), "{text}");
}
