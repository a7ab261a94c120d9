//! `starts`: many daemons of one profile at once. One serves; each of the others ends by itself and says that there is one.

use std::process::Stdio;

use anyhow::Context as _;
use rustix::process::Signal;
use serde_json::json;

use super::{Run, found};
use crate::support::{
    PATIENCE,
    process::{Running, spawn},
    stopwatch,
    world::{Setup, World},
};

/// The exit code of a daemon that found another (`m365-cached --help`).
const ALREADY_RUNNING: i32 = 9;

pub(super) fn run(run: &mut Run, (at_once, rounds): (usize, usize)) -> anyhow::Result<()> {
    let mut world = World::with(Setup::default())?;
    world.stop_daemon()?;
    let (mut tried, mut wrong) = (0, 0);
    for _ in 0..rounds {
        if run.leaves() {
            break;
        }
        let mut daemons = Vec::new();
        for _ in 0..at_once {
            let mut command = world.home.command(world.bins, &world.bins.daemon);
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            daemons.push(Running::new("m365-cached", spawn(&mut command)?));
        }
        let deadline = stopwatch::now() + PATIENCE;
        let mut codes = Vec::new();
        while codes.len() + 1 < at_once {
            daemons.retain_mut(|daemon| match daemon.ended() {
                Some(status) => {
                    codes.push(status.code());
                    false
                }
                None => true,
            });
            anyhow::ensure!(stopwatch::now() < deadline, "{} daemons run after {PATIENCE:?}", daemons.len());
        }
        // Whoever is left serves, and is the only one.
        let status = world.until(|status| status["state"] == "ready")?;
        let left = daemons.first_mut().context("no daemon is left")?;
        let good = status["pid"] == left.pid() && left.ended().is_none() && codes.iter().all(|code| *code == Some(ALREADY_RUNNING));
        wrong += usize::from(!good);
        tried += at_once;
        left.signal(Signal::TERM)?;
        left.wait(PATIENCE)?;
    }
    found(run, "starts", tried, wrong, json!({ "at_once": at_once, "rounds": tried / at_once.max(1) }));
    Ok(())
}
