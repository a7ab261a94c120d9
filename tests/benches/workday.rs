//! A working day of four agents: how much of it the cache answers, what it spares Graph, and whether a single answer was wrong.
//!
//! `cargo bench --bench workday -- --json`; `--seed N` for another day, `--pace X` for conversations that come X times as often, `--quick` for
//! the first two hours. How it is made up stands in `tests/support/workday/mod.rs`.

use std::{io::Write as _, time::Duration};

use anyhow::Context as _;
use m365_cached_checks::support::{
    bins::{For, bins},
    workday::{Plan, run},
};

fn main() -> anyhow::Result<()> {
    let (mut plan, mut json) = (Plan::default(), false);
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().with_context(|| format!("{word} needs a value"));
        match word.as_str() {
            "--json" => json = true,
            "--quick" => plan.length = Duration::from_secs(2 * 3600),
            "--seed" => plan.seed = value()?.parse()?,
            "--pace" => plan.pace = value()?.parse()?,
            // Cargo's own word.
            "--bench" => {}
            strange => anyhow::bail!("unknown word {strange}; there are --json, --quick, --seed and --pace"),
        }
    }
    anyhow::ensure!(plan.pace > 0.0, "--pace is more than nothing");
    // The first who asks for the programs says how they are built.
    bins(if cfg!(debug_assertions) { For::Tests } else { For::Bench("workday") })?;
    let figures = run(plan)?;
    let text = if json { serde_json::to_string(&figures)? } else { figures.table()? };
    writeln!(std::io::stdout(), "{text}")?;
    Ok(())
}
