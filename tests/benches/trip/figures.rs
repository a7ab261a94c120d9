//! What the trips came to, beside the goals.

use std::fmt::Write as _;

use serde::Serialize;

/// Everything the bench found.
#[derive(Debug, Serialize)]
pub(crate) struct Figures {
    /// Clients in the crowd.
    pub(crate) clients: usize,
    pub(crate) trips: Vec<Trip>,
    pub(crate) crowd: Crowd,
    pub(crate) start: Start,
}

/// One client, one size. Times in microseconds.
#[derive(Debug, Serialize)]
pub(crate) struct Trip {
    bytes: usize,
    floor_us: f64,
    raw_us: f64,
    hot_p50_us: f64,
    hot_p99_us: f64,
    cold_p50_us: f64,
    cold_p99_us: f64,
    hot_over_raw: f64,
    hot_over_floor: f64,
    cold_over_hot: f64,
}

/// Many clients at once.
#[derive(Debug, Serialize)]
pub(crate) struct Crowd {
    raw_calls_per_s: f64,
    hot_calls_per_s: f64,
    cold_calls_per_s: f64,
    hot_over_raw: f64,
}

/// Starting a shim, and what it weighs.
#[derive(Debug, Serialize)]
pub(crate) struct Start {
    /// Spawn of `cat` to its first line.
    pub(crate) trivial_ms: f64,
    /// Spawn of `m365-mcp` over `initialize` to the first cached answer.
    pub(crate) shim_ms: f64,
    pub(crate) ratio: f64,
    pub(crate) shim_bytes: u64,
    pub(crate) shim_rss_kb: u64,
    pub(crate) shim_pss_kb: u64,
    /// Missing where the system hides it: the daemon is not dumpable.
    pub(crate) daemon_rss_kb: Option<u64>,
}

impl Trip {
    pub(crate) fn new(bytes: usize, floor_us: f64, raw_us: f64, hot: [f64; 2], cold: [f64; 2]) -> Self {
        Self {
            bytes,
            floor_us,
            raw_us,
            hot_p50_us: hot[0],
            hot_p99_us: hot[1],
            cold_p50_us: cold[0],
            cold_p99_us: cold[1],
            hot_over_raw: ratio(hot[0], raw_us),
            hot_over_floor: ratio(hot[0], floor_us),
            cold_over_hot: ratio(cold[0], hot[0]),
        }
    }
}

impl Crowd {
    pub(crate) fn new(raw: f64, hot: f64, cold: f64) -> Self {
        Self { raw_calls_per_s: raw, hot_calls_per_s: hot, cold_calls_per_s: cold, hot_over_raw: ratio(hot, raw) }
    }
}

fn ratio(a: f64, b: f64) -> f64 {
    if b > 0.0 { (a / b * 100.0).round() / 100.0 } else { 0.0 }
}

impl Figures {
    pub(crate) fn table(&self) -> anyhow::Result<String> {
        let mut out = String::new();
        writeln!(out, "one client, microseconds (medians of medians; F floor, R raw frames)\n")?;
        writeln!(
            out,
            "{:>9} {:>8} {:>8} {:>9} {:>9} {:>9} {:>9} {:>7} {:>7} {:>9}",
            "bytes", "F", "R", "hot p50", "hot p99", "cold p50", "cold p99", "hot/R", "hot/F", "cold/hot"
        )?;
        for trip in &self.trips {
            writeln!(
                out,
                "{:>9} {:>8.1} {:>8.1} {:>9.1} {:>9.1} {:>9.1} {:>9.1} {:>7.2} {:>7.2} {:>9.2}",
                trip.bytes,
                trip.floor_us,
                trip.raw_us,
                trip.hot_p50_us,
                trip.hot_p99_us,
                trip.cold_p50_us,
                trip.cold_p99_us,
                trip.hot_over_raw,
                trip.hot_over_floor,
                trip.cold_over_hot
            )?;
        }
        writeln!(out, "goals: at 20 KB hot <= 2.4 R and 5 F, cold <= 1.5 hot; at 500 KB hot <= 2 R\n")?;
        let crowd = &self.crowd;
        writeln!(
            out,
            "{} clients, calls/s at 20 KB: raw {:.0}, hot {:.0}, cold {:.0}; hot is {:.2} of raw (goal >= 0.35)",
            self.clients, crowd.raw_calls_per_s, crowd.hot_calls_per_s, crowd.cold_calls_per_s, crowd.hot_over_raw
        )?;
        let start = &self.start;
        writeln!(
            out,
            "start: cat {} ms, shim with its first cached answer {} ms: {} times (goal <= 3)",
            start.trivial_ms, start.shim_ms, start.ratio
        )?;
        write!(
            out,
            "shim: {:.2} MB on disk (goal <= 1.5), {:.1} MB resident (goal <= 4), {:.1} MB its own share",
            start.shim_bytes as f64 / 1e6,
            start.shim_rss_kb as f64 / 1000.0,
            start.shim_pss_kb as f64 / 1000.0
        )?;
        if let Some(daemon) = start.daemon_rss_kb {
            write!(out, "; daemon {:.1} MB resident", daemon as f64 / 1000.0)?;
        }
        Ok(out)
    }
}
