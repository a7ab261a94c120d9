//! What size costs: get, put, evict and opening at 1,000, 100,000 and 1,000,000 entries, and how each compares with the smallest.
//!
//! Sizes take turns, figures are medians of the rounds' medians. Entries are small, so that rows are what grows. With `--quick`: 1,000 and
//! 20,000.

#[path = "store/bodies.rs"]
#[expect(dead_code, reason = "the other bench uses the rest")]
mod bodies;
#[path = "scale/shelf.rs"]
mod shelf;

use std::{fmt::Write as _, io::Write as _, time::Duration};

use m365_cached_checks::support::stopwatch::{micros, percentile};
use serde::Serialize;
use shelf::Shelf;

/// Figures of one size, in microseconds.
#[derive(Debug, Clone, Serialize)]
struct Size {
    entries: usize,
    file_mb: f64,
    /// A read of one of 200 entries that are in use.
    get_us: f64,
    /// A new entry, by itself.
    put_us: f64,
    /// An entry removed by a clean-up, its pauses left out.
    evict_us: f64,
    /// From opening the file to the first answer.
    open_us: f64,
}

/// A size's figures over the smallest size's.
#[derive(Debug, Serialize)]
struct Ratios {
    entries: usize,
    get: f64,
    put: f64,
    evict: f64,
    open: f64,
}

/// What may be at most: get, put, evict, open.
const GOALS: [f64; 4] = [1.5, 2.5, 5.0, 2.0];

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    // `--bench` is Cargo's own word.
    if let Some(strange) = words.iter().find(|word| !["--json", "--quick", "--bench"].contains(&word.as_str())) {
        anyhow::bail!("unknown word {strange}; there are --json and --quick");
    }
    let has = |word: &str| words.iter().any(|one| one == word);
    let sizes: &[usize] = if has("--quick") { &[1_000, 20_000] } else { &[1_000, 100_000, 1_000_000] };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let sizes = runtime.block_on(run(sizes, if has("--quick") { 3 } else { 5 }))?;
    let ratios: Vec<Ratios> = sizes.iter().map(|size| over(size, &sizes[0])).collect();
    let good = ratios.iter().all(|one| [one.get, one.put, one.evict, one.open].iter().zip(GOALS).all(|(ratio, goal)| *ratio <= goal));
    let text = if has("--json") {
        let goals = serde_json::json!({ "get": GOALS[0], "put": GOALS[1], "evict": GOALS[2], "open": GOALS[3] });
        serde_json::to_string(&serde_json::json!({ "sizes": sizes, "ratios": ratios, "goals": goals, "good": good }))?
    } else {
        table(&sizes, &ratios)?
    };
    writeln!(std::io::stdout(), "{text}")?;
    Ok(())
}

async fn run(sizes: &[usize], rounds: usize) -> anyhow::Result<Vec<Size>> {
    let mut shelves = Vec::new();
    for entries in sizes {
        writeln!(std::io::stderr(), "filling a store with {entries} entries")?;
        shelves.push(Shelf::fill(*entries).await?);
    }
    let mut samples = vec![[const { Vec::<Duration>::new() }; 4]; sizes.len()];
    for _ in 0..rounds {
        for (shelf, samples) in shelves.iter_mut().zip(&mut samples) {
            for (figure, time) in samples.iter_mut().zip(shelf.round().await?) {
                figure.push(time);
            }
        }
    }
    let figures = shelves.iter().zip(&mut samples).map(|(shelf, samples)| {
        let middle = samples.each_mut().map(|times| micros(percentile(times, 0.5)));
        let [get_us, put_us, evict_us, open_us] = middle;
        Ok(Size { entries: shelf.entries, file_mb: (shelf.file_bytes()? as f64 / 1e5).round() / 10.0, get_us, put_us, evict_us, open_us })
    });
    figures.collect()
}

fn over(size: &Size, least: &Size) -> Ratios {
    let ratio = |one: f64, other: f64| (one / other.max(0.001) * 100.0).round() / 100.0;
    Ratios {
        entries: size.entries,
        get: ratio(size.get_us, least.get_us),
        put: ratio(size.put_us, least.put_us),
        evict: ratio(size.evict_us, least.evict_us),
        open: ratio(size.open_us, least.open_us),
    }
}

fn table(sizes: &[Size], ratios: &[Ratios]) -> anyhow::Result<String> {
    let mut out = format!("{:>10} {:>9} {:>17} {:>17} {:>17} {:>17}\n", "entries", "file MB", "get us", "put us", "evict us", "open us");
    for (size, ratio) in sizes.iter().zip(ratios) {
        write!(out, "{:>10} {:>9}", size.entries, size.file_mb)?;
        for (figure, ratio) in
            [(size.get_us, ratio.get), (size.put_us, ratio.put), (size.evict_us, ratio.evict), (size.open_us, ratio.open)]
        {
            write!(out, " {:>17}", format!("{figure} (x {ratio})"))?;
        }
        writeln!(out)?;
    }
    write!(out, "goals: get <= x {}, put <= x {}, evict <= x {}, open <= x {}", GOALS[0], GOALS[1], GOALS[2], GOALS[3])?;
    Ok(out)
}
