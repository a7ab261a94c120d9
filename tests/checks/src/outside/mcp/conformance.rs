//! The protocol's own conformance suite: exactly what a revision requires of a server, through the relay.
//!
//! It knows HTTP only, so the relay stands between it and the shim. A baseline for each revision names what stdio cannot do, with the reason;
//! an entry that passes is as wrong as a failure without one, and the suite says so itself.

use std::{collections::BTreeSet, process::Stdio, time::Duration};

use anyhow::{Context as _, bail};
use serde::Serialize;
use tokio::io::{AsyncBufReadExt as _, BufReader};

use super::{environment, node, scripts};
use crate::{outside::program, support::world::World};

/// How long the suite may take for one revision.
const PATIENCE: Duration = Duration::from_secs(540);

/// How a revision's scenarios fared.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Fared {
    /// Scenarios without a failed check.
    pub(super) passed: usize,
    /// Scenarios with one.
    pub(super) failed: Vec<String>,
    /// Scenarios that ran though the revision does not require them: extensions, and what came after it. They count for nothing.
    pub(super) not_required: usize,
    /// What is known to fail, and why.
    pub(super) baseline: Vec<String>,
    /// Why it could not be run; empty when it was.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) skipped: String,
    /// What the suite itself makes of it.
    pub(super) agrees: bool,
}

/// Runs what `revision` requires.
pub(super) fn run(world: &World, revision: &str) -> anyhow::Result<Fared> {
    world.block_on(async {
        let place = match node().await? {
            Ok(place) => place,
            Err(why) => return Ok(Fared { skipped: why.into(), ..Fared::default() }),
        };
        if !program::can("python3", &["--version"]).await {
            return Ok(Fared { skipped: "no python3".into(), ..Fared::default() });
        }
        let mut relay = program::on_loopback("python3".as_ref());
        relay.arg(scripts().join("relay.py")).arg(&world.bins.shim).envs(environment(world));
        let mut relay = relay.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn().context("starting the relay")?;
        let mut said = BufReader::new(relay.stdout.take().context("the relay's stdout")?).lines();
        let address = said.next_line().await?.context("the relay says no address")?;

        let baseline = scripts().join(format!("baseline-{revision}.yml"));
        let mut suite = program::on_loopback(&place.program);
        let results = tempfile::tempdir()?;
        suite.current_dir(results.path()).arg(place.folder.join("node_modules/@modelcontextprotocol/conformance/dist/index.js"));
        suite.args(["server", "--url", &address, "--requirements", revision, "--expected-failures"]).arg(&baseline);
        let said = program::hear(&mut suite, PATIENCE).await?;
        relay.kill().await.context("ending the relay")?;
        let list = place.folder.join("node_modules/@modelcontextprotocol/conformance/requirements").join(format!("{revision}.yaml"));
        let list = std::fs::read_to_string(list).context("reading what the revision requires")?;
        let mut fared = read(&said.out, &not_required(&list));
        fared.baseline = entries(&std::fs::read_to_string(&baseline).context("reading the baseline")?);
        fared.agrees = said.good;
        if fared.passed == 0 {
            bail!("the suite says nothing that can be read: {}", said.tail());
        }
        Ok(fared)
    })
}

/// The scenarios that run and count for nothing, from the suite's own list of what a revision requires.
fn not_required(requirements: &str) -> BTreeSet<&str> {
    requirements.lines().filter_map(|line| line.trim().strip_prefix("- scenario: ")).map(str::trim).collect()
}

/// What the suite printed of each scenario: `✓ name: 3 passed, 0 failed`.
fn read(text: &str, not_required: &BTreeSet<&str>) -> Fared {
    let mut fared = Fared::default();
    for line in text.lines() {
        let line = line.trim();
        let (good, rest) = match (line.strip_prefix('✓'), line.strip_prefix('✗')) {
            (Some(rest), _) => (true, rest),
            (_, Some(rest)) => (false, rest),
            _ => continue,
        };
        let Some((name, counts)) = rest.trim().split_once(": ") else { continue };
        if !counts.contains("passed") {
            continue;
        }
        if not_required.contains(name) {
            fared.not_required += 1;
            continue;
        }
        if good { fared.passed += 1 } else { fared.failed.push(format!("{name}: {counts}")) }
    }
    fared
}

/// The entries of a baseline: lines that begin with a dash.
fn entries(text: &str) -> Vec<String> {
    text.lines().filter_map(|line| line.trim().strip_prefix("- ")).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scenarios_are_counted_by_their_mark() {
        let said = "Running 3 scenarios\n\n✓ tools-list: 3 passed, 0 failed\n✗ ping: 1 passed, 1 failed\n✗ tasks: 0 passed, 2 failed\n\
                    ✓ Baseline check passed";
        let list = "server:\n  - tools-list\nnot_scored:\n  - scenario: tasks\n    reason: extension\n";
        let fared = read(said, &not_required(list));
        assert_eq!((fared.passed, fared.failed, fared.not_required), (1, vec!["ping: 1 passed, 1 failed".to_owned()], 1));
        assert_eq!(entries("# why\nserver:\n  - a\n  - b:c\n"), ["a", "b:c"]);
    }
}
