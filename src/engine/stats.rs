//! What calls came to, counted in memory without a lock on the hot path.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

/// Counts of one tool since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ToolStats {
    /// Served from the cache within the fresh time.
    pub hits: u64,
    /// Served from the cache past the fresh time.
    pub stale_hits: u64,
    /// Asked from Microsoft because the cache had no answer.
    pub misses: u64,
    /// Asked from Microsoft because caching was off for the call.
    pub bypassed: u64,
    /// Misses that shared another's request.
    pub coalesced: u64,
    /// Old answers given because Microsoft could not be asked.
    pub stale_if_error: u64,
    /// Background refreshes.
    pub refreshes: u64,
}

/// Counts of every tool.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stats {
    /// The sum over all tools.
    pub total: ToolStats,
    /// By tool, those that were called.
    pub by_tool: BTreeMap<&'static str, ToolStats>,
    /// Answers that were not kept because a write had overtaken them.
    pub overtaken: u64,
}

impl Stats {
    /// The share of cached reads that were served from the cache, 0 to 1; `None` before the first.
    pub fn hit_rate(&self) -> Option<f64> {
        let hits = self.total.hits + self.total.stale_hits;
        let reads = hits + self.total.misses;
        #[expect(clippy::cast_precision_loss, reason = "a share, for people")]
        (reads > 0).then(|| hits as f64 / reads as f64)
    }
}

#[derive(Debug, Default)]
pub(super) struct Counter {
    hits: AtomicU64,
    stale_hits: AtomicU64,
    misses: AtomicU64,
    bypassed: AtomicU64,
    coalesced: AtomicU64,
    stale_if_error: AtomicU64,
    refreshes: AtomicU64,
}

impl Counter {
    pub(super) fn hit(&self) {
        self.hits.fetch_add(1, Relaxed);
    }
    pub(super) fn hit_stale(&self) {
        self.stale_hits.fetch_add(1, Relaxed);
    }
    pub(super) fn missed(&self) {
        self.misses.fetch_add(1, Relaxed);
    }
    pub(super) fn bypassed(&self) {
        self.bypassed.fetch_add(1, Relaxed);
    }
    pub(super) fn coalesced(&self) {
        self.coalesced.fetch_add(1, Relaxed);
    }
    pub(super) fn stood_in(&self) {
        self.stale_if_error.fetch_add(1, Relaxed);
    }
    pub(super) fn refreshed(&self) {
        self.refreshes.fetch_add(1, Relaxed);
    }

    fn read(&self) -> ToolStats {
        ToolStats {
            hits: self.hits.load(Relaxed),
            stale_hits: self.stale_hits.load(Relaxed),
            misses: self.misses.load(Relaxed),
            bypassed: self.bypassed.load(Relaxed),
            coalesced: self.coalesced.load(Relaxed),
            stale_if_error: self.stale_if_error.load(Relaxed),
            refreshes: self.refreshes.load(Relaxed),
        }
    }
}

/// One counter for every tool of the catalogue, made once.
pub(super) struct Counters {
    by_tool: BTreeMap<&'static str, Counter>,
    /// For a name that is not in the catalogue, which cannot happen for a call that found its tool.
    other: Counter,
    overtaken: AtomicU64,
}

impl Default for Counters {
    fn default() -> Self {
        let by_tool = crate::tools::all().map(|tool| (tool.name, Counter::default())).collect();
        Self { by_tool, other: Counter::default(), overtaken: AtomicU64::new(0) }
    }
}

impl Counters {
    pub(super) fn of(&self, tool: &str) -> &Counter {
        self.by_tool.get(tool).unwrap_or(&self.other)
    }

    pub(super) fn overtaken(&self) {
        self.overtaken.fetch_add(1, Relaxed);
    }

    pub(super) fn read(&self) -> Stats {
        let by_tool: BTreeMap<_, _> = self
            .by_tool
            .iter()
            .map(|(name, counter)| (*name, counter.read()))
            .filter(|(_, stats)| *stats != ToolStats::default())
            .collect();
        let mut total = ToolStats::default();
        for stats in by_tool.values() {
            total.hits += stats.hits;
            total.stale_hits += stats.stale_hits;
            total.misses += stats.misses;
            total.bypassed += stats.bypassed;
            total.coalesced += stats.coalesced;
            total.stale_if_error += stats.stale_if_error;
            total.refreshes += stats.refreshes;
        }
        Stats { total, by_tool, overtaken: self.overtaken.load(Relaxed) }
    }
}
