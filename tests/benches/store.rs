//! The encrypted store: get, put, seal, unseal, zstd, hot tier, tracking; encrypted beside plain, one connection beside a pool, large
//! beside small. Contestants run in turn, figures are medians of the rounds' medians.

#[path = "store/bodies.rs"]
mod bodies;
#[path = "store/entries.rs"]
mod entries;
#[path = "store/parts.rs"]
mod parts;
#[path = "store/pool.rs"]
mod pool;

use std::{fmt::Write as _, io::Write as _};

use serde::Serialize;

/// One figure.
#[derive(Debug, Serialize)]
struct Figure {
    /// What was measured, such as `get cipher`.
    name: String,
    /// At which size or load, such as `20 KB`.
    at: String,
    value: f64,
    unit: &'static str,
}

impl Figure {
    fn new(name: impl Into<String>, at: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self { name: name.into(), at: at.into(), value: (value * 1000.0).round() / 1000.0, unit }
    }
}

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    // `--bench` is Cargo's own word.
    let known = ["--json", "--quick", "--bench"];
    if let Some(strange) = words.iter().find(|word| !known.contains(&word.as_str())) {
        anyhow::bail!("unknown word {strange}; there are --json and --quick");
    }
    let has = |word: &str| words.iter().any(|one| one == word);
    let quick = has("--quick");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut figures = parts::run(quick)?;
    figures.extend(runtime.block_on(entries::run(quick))?);
    figures.extend(pool::run(quick)?);
    figures.extend(runtime.block_on(entries::opening(quick))?);
    let text = if has("--json") { serde_json::to_string(&serde_json::json!({"figures": figures}))? } else { table(&figures)? };
    writeln!(std::io::stdout(), "{text}")?;
    Ok(())
}

fn table(figures: &[Figure]) -> anyhow::Result<String> {
    let mut out = String::new();
    for figure in figures {
        writeln!(out, "{:<44} {:>22} {:>12} {}", figure.name, figure.at, figure.value, figure.unit)?;
    }
    write!(out, "goals: get cipher/plain <= 1.1; tracking <= 5 % of a hit; open to first hit, large/small <= 2")?;
    Ok(out)
}
