//! Figures that tests of the suite and of the library find at full size: each is run as Cargo runs it, in a group of processes and a folder
//! of its own, and tells what it has tried in lines of JSON (`support::figure`). What it has told counts also when it is cut short.
//!
//! A test stops at the first case that gets through; that is one found. `M365_SIZE=N` makes all of them try N cases at most.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read},
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Command, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};

use super::{Run, found};
use crate::{
    demo::say,
    support::{PATIENCE, bins, process::Running},
};

/// How often it is looked whether the campaign has to end.
const TURN: Duration = Duration::from_millis(200);

/// Where a test is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Home {
    /// Inside the library, whose insides it needs.
    Library,
    /// In the integration binary, with real programs.
    Suite,
}

/// A figure and the tests that find it.
pub(super) struct Part {
    pub(super) name: &'static str,
    tests: &'static [(Home, &'static str)],
}

/// The figures that are found so.
pub(super) const TESTED: &[Part] = &[
    Part { name: "rows", tests: &[(Home::Library, "store::sqlcipher::figure_tests::rows_that_were_changed_or_swapped")] },
    Part { name: "pages", tests: &[(Home::Library, "store::sqlcipher::damage_tests::flipped_bits_in_five_hundred_pages")] },
    Part { name: "files", tests: &[(Home::Suite, "safekeeping::five_hundred_damaged_files")] },
    Part {
        name: "keys",
        tests: &[
            (Home::Suite, "safekeeping::a_hundred_starts_each_without_the_key"),
            (Home::Suite, "gnome_keyring::a_hundred_starts_each_with_a_keyring_that_does_not_help"),
        ],
    },
    Part {
        name: "kills",
        tests: &[
            (Home::Library, "store::sqlcipher::figure_tests::kills_while_answers_are_stored"),
            (Home::Library, "store::sqlcipher::figure_tests::kills_while_the_schema_is_upgraded"),
            (Home::Suite, "rotation::two_hundred_kills_in_rotations"),
            (Home::Suite, "safekeeping::kills_in_reencryptions"),
            (Home::Suite, "privacy::two_hundred_kills_in_erasures"),
            (Home::Suite, "import::two_hundred_kills_in_imports"),
        ],
    },
    Part { name: "full_disk", tests: &[(Home::Suite, "full_disk::six_megabytes_that_are_full")] },
    Part { name: "crossings", tests: &[(Home::Library, "engine::crossing_tests::no_account_is_shown_another_s_in_a_million_steps")] },
    Part { name: "trail", tests: &[(Home::Library, "store::sqlcipher::audit_tests::a_thousand_tamperings_are_found")] },
    Part { name: "arguments", tests: &[(Home::Suite, "fuzzing::a_million_changed_inputs")] },
];

/// Runs the tests of a part.
pub(super) fn run(run: &mut Run, part: &Part) -> anyhow::Result<()> {
    let mut told = BTreeMap::new();
    let mut failed = 0;
    for (home, test) in part.tests {
        if run.leaves() {
            break;
        }
        say(&format!("{}: {test}", part.name));
        let seen = watched(run, *home, test, &mut told)?;
        if let Seen::Failed(words) = &seen {
            failed += 1;
            run.must(false, &format!("{}: {test} failed: {words}", part.name));
        }
    }
    let sum = |what: &str| told.values().map(|figure: &Value| usize::try_from(figure[what].as_u64().unwrap_or(0)).unwrap_or(0)).sum();
    let (tried, got_through): (usize, usize) = (sum("tried"), sum("found"));
    let left = run.leaves();
    run.must(tried > 0 || left, &format!("{}: nothing was tried", part.name));
    let each = told.iter().map(|(name, figure)| (name.clone(), figure["tried"].clone())).collect::<serde_json::Map<_, _>>();
    found(run, part.name, tried, got_through.max(failed), if each.len() > 1 { json!({ "each": each }) } else { json!({}) });
    Ok(())
}

/// How a test ended.
enum Seen {
    Passed,
    /// With the last words it said.
    Failed(String),
    /// The campaign has to end.
    Left,
}

/// Runs one test and notes what it tells, until it or the campaign ends.
fn watched(run: &mut Run, home: Home, test: &str, told: &mut BTreeMap<String, Value>) -> anyhow::Result<Seen> {
    // What it leaves when it is cut short goes with this folder.
    let folder = tempfile::Builder::new().prefix("m365-fig-").tempdir()?;
    let mut command = command(home, test)?;
    command.env("TMPDIR", folder.path()).process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = crate::support::process::spawn(&mut command)?;
    let (tell, heard) = mpsc::channel();
    let pipes: [Option<Box<dyn Read + Send>>; 2] =
        [child.stdout.take().map(|pipe| Box::new(pipe) as _), child.stderr.take().map(|pipe| Box::new(pipe) as _)];
    for pipe in pipes.into_iter().flatten() {
        let tell = tell.clone();
        std::thread::spawn(move || BufReader::new(pipe).lines().map_while(Result::ok).try_for_each(|line| tell.send(line)));
    }
    drop(tell);
    let mut running = Running::new("cargo test", child);
    let group = i32::try_from(running.pid()).ok().and_then(Pid::from_raw);
    let mut last = Vec::new();
    let mut passed = 0;
    loop {
        match heard.recv_timeout(TURN) {
            Ok(line) => {
                if let Some(figure) = figure(&line) {
                    told.insert(figure["figure"].as_str().unwrap_or_default().to_owned(), figure);
                } else if let Some(why) = line.find("skipped: ").map(|at| &line[at..]) {
                    say(why);
                    told.insert(test.rsplit("::").next().unwrap_or(test).to_owned(), json!({ "tried": why, "found": 0 }));
                } else if !line.trim().is_empty() {
                    passed += usize::from(line.contains("test result: ok. 1 passed"));
                    last.push(line);
                }
            }
            Err(RecvTimeoutError::Timeout) if run.leaves() => {
                if let Some(group) = group {
                    // Its programs are in its group.
                    let _ = kill_process_group(group, Signal::KILL);
                }
                running.wait(PATIENCE)?;
                unmount(folder.path());
                return Ok(Seen::Left);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    if running.wait(PATIENCE)?.success() && passed == 1 {
        return Ok(Seen::Passed);
    }
    unmount(folder.path());
    let words = last.iter().position(|line| line.contains("panicked at")).unwrap_or(last.len().saturating_sub(5));
    Ok(Seen::Failed(last[words..].iter().take(5).cloned().collect::<Vec<_>>().join(" | ")))
}

/// The figure in a line; the harness may have written before it.
fn figure(line: &str) -> Option<Value> {
    let at = line.find("{\"figure\"")?;
    serde_json::from_str(&line[at..]).ok()
}

fn command(home: Home, test: &str) -> anyhow::Result<Command> {
    let mut command = bins::cargo_command()?;
    command.args(["test", "--locked", "--quiet"]);
    match home {
        Home::Library => command.args(["-p", "m365-cached", "--lib"]),
        Home::Suite => command.args(["-p", "m365-cached-checks", "--test", "main"]),
    };
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    command.args([test, "--", "--ignored", "--exact", "--nocapture"]);
    Ok(command)
}

/// Small disks that a test had no time to take away.
fn unmount(folder: &Path) {
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    for at in mounts.lines().filter_map(|line| line.split(' ').nth(1)).filter(|at| Path::new(at).starts_with(folder)) {
        let _ = Command::new("umount").arg("--lazy").arg(at).status();
    }
}
