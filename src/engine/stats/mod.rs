//! What calls came to: counted in memory without a lock, written to the ledger now and then, read back by period.
//!
//! * `cells.rs` counts. Figures since the start come from there alone (Prometheus wants them so).
//! * `flush.rs` writes what is new every [`FLUSH`]: what a `kill -9` loses at most. A proper end writes everything.
//! * `period.rs` reads a period back, after a flush.
//!
//! A saved Graph request is one that a hit, or a call that shared another's fetch, did not make. Each such call counts as many as the tool's
//! fetches for that account took in the mean, because entries do not carry what they cost, less what the call asked all the same to learn
//! that the entry is still true. Retries are not counted, neither here nor there.

mod cells;
mod flush;
mod period;
mod tell;

#[cfg(test)]
mod stats_tests;

use std::{
    collections::BTreeMap,
    sync::atomic::{
        AtomicBool, AtomicU64,
        Ordering::{AcqRel, Relaxed},
    },
    time::Duration,
};

use tokio::sync::Notify;

use super::{Call, CallError, Engine};
use crate::{
    clock::Stopwatch,
    ids::AccountId,
    store::{About, Counts, StoreStats},
};

pub use period::{Asked, Period, Point, Statistics};

pub(super) use tell::tell;

pub(super) use cells::ClientPlace;
use cells::{Cell, Cells};

/// How long counts are gathered before they are written.
pub(super) const FLUSH: Duration = Duration::from_secs(15);

/// Who calls, and since when it waits.
#[derive(Clone, Copy)]
pub(super) struct Who {
    pub(super) client: ClientPlace,
    watch: Stopwatch,
}

impl Who {
    /// Somebody without a name, who waits from now on.
    pub(super) fn nobody() -> Self {
        Self { client: ClientPlace::OTHER, watch: Stopwatch::start() }
    }
}

/// What calls came to since the start.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stats {
    /// The sum over all tools.
    pub total: Counts,
    /// By tool, those that were called.
    pub by_tool: BTreeMap<String, Counts>,
    /// By account.
    pub by_account: BTreeMap<AccountId, Counts>,
    /// By client.
    pub by_client: BTreeMap<String, Counts>,
    /// Answers that were not kept because a write had overtaken them.
    pub overtaken: u64,
}

impl Stats {
    /// Adds what one cell or row counted. Totals come from tools, so that nothing is summed up twice.
    fn add(&mut self, account: &AccountId, about: &About, counts: &Counts) {
        match about {
            About::Tool(tool) => {
                self.total.add(counts);
                self.by_tool.entry(tool.clone()).or_default().add(counts);
                self.by_account.entry(account.clone()).or_default().add(counts);
            }
            About::Client(client) => self.by_client.entry(client.clone()).or_default().add(counts),
        }
    }
}

/// What is counted.
#[derive(Default)]
pub(super) struct Counters {
    cells: Cells,
    overtaken: AtomicU64,
    /// Something was counted since the last flush.
    stirred: AtomicBool,
    /// Wakes the flusher.
    counted: Notify,
    /// What the ledger has of the cells.
    flushed: tokio::sync::Mutex<BTreeMap<(AccountId, About), Counts>>,
}

impl Counters {
    /// The client that calls itself `name`.
    pub(super) fn client(&self, name: &str) -> ClientPlace {
        self.cells.client(name)
    }

    /// What the client at that place calls itself.
    pub(super) fn client_name(&self, place: ClientPlace) -> String {
        self.cells.client_name(place).to_owned()
    }

    /// The background worker.
    pub(super) fn worker(&self) -> Who {
        Who { client: self.cells.worker(), ..Who::nobody() }
    }

    fn note(&self, call: &Call, count: impl Fn(&Cell)) {
        let cells = self.cells.of(&call.account.id, call.tool.name, call.who.client);
        cells.into_iter().flatten().for_each(count);
        self.stir();
    }

    fn stir(&self) {
        if !self.stirred.load(Relaxed) && !self.stirred.swap(true, AcqRel) {
            self.counted.notify_one();
        }
    }

    /// What a call saves that is answered without a fetch of its own, in thousandths of a request.
    fn saving(&self, call: &Call) -> u64 {
        self.cells.tool(&call.account.id, call.tool.name).map_or(0, Cell::cost)
    }

    fn served(&self, call: &Call, hits: impl Fn(&Cell) -> &AtomicU64) {
        let micros = call.who.watch.micros();
        let Some(cells) = self.cells.of(&call.account.id, call.tool.name, call.who.client) else { return };
        let saved = cells[0].cost().saturating_sub(call.checks.saturating_mul(1000));
        for cell in cells {
            hits(cell).fetch_add(1, Relaxed);
            cell.saved_milli.fetch_add(saved, Relaxed);
            cell.hit_in(micros);
        }
        self.stir();
    }

    /// Served from the cache within the fresh time.
    pub(super) fn hit(&self, call: &Call) {
        self.served(call, |cell| &cell.hits);
    }

    /// Served from the cache past the fresh time.
    pub(super) fn hit_stale(&self, call: &Call) {
        self.served(call, |cell| &cell.stale_hits);
    }

    /// The cache has no answer.
    pub(super) fn missed(&self, call: &Call) {
        self.note(call, |cell| _ = cell.misses.fetch_add(1, Relaxed));
    }

    /// The call goes past the cache.
    pub(super) fn bypassed(&self, call: &Call) {
        self.note(call, |cell| _ = cell.bypassed.fetch_add(1, Relaxed));
    }

    /// The call shares another's fetch.
    pub(super) fn coalesced(&self, call: &Call) {
        let saved = self.saving(call);
        self.note(call, |cell| {
            cell.coalesced.fetch_add(1, Relaxed);
            cell.saved_milli.fetch_add(saved, Relaxed);
        });
    }

    /// An old answer stands in for a failed fetch.
    pub(super) fn stood_in(&self, call: &Call) {
        self.note(call, |cell| _ = cell.stale_if_error.fetch_add(1, Relaxed));
    }

    /// A refresh begins in the background.
    pub(super) fn refreshed(&self, call: &Call) {
        self.note(call, |cell| _ = cell.refreshes.fetch_add(1, Relaxed));
    }

    /// A fetch made so many Graph requests; one that came to an answer says what fetches of the tool cost.
    pub(super) fn asked(&self, call: &Call, requests: u64, answered: bool) {
        self.note(call, |cell| cell.asked(requests));
        if answered && let Some(cell) = self.cells.tool(&call.account.id, call.tool.name) {
            cell.learn_cost(requests);
        }
    }

    /// So many Graph requests were made beside those of fetches.
    pub(super) fn checked(&self, call: &Call, requests: u64) {
        self.note(call, |cell| _ = cell.checks.fetch_add(requests, Relaxed));
    }

    /// Microsoft has answered the call.
    pub(super) fn fetched(&self, call: &Call) {
        let micros = call.who.watch.micros();
        self.note(call, |cell| cell.fetched_in(micros));
    }

    /// An answer was not kept because a write had overtaken it.
    pub(super) fn overtaken(&self) {
        self.overtaken.fetch_add(1, Relaxed);
    }

    /// Entries were thrown out for lack of room.
    pub(super) fn evicted(&self, account: &AccountId, tool: &str, entries: u64, bytes: u64) {
        if let Some(cell) = self.cells.tool(account, tool) {
            cell.evicted.fetch_add(entries, Relaxed);
            cell.evicted_bytes.fetch_add(bytes, Relaxed);
            self.stir();
        }
    }

    /// Everything since the start.
    pub(super) fn read(&self) -> Stats {
        let mut stats = Stats { overtaken: self.overtaken.load(Relaxed), ..Stats::default() };
        for ((account, about), counts) in self.cells.read() {
            if counts != Counts::default() {
                stats.add(&account, &about, &counts);
            }
        }
        stats
    }
}

impl Engine {
    /// What calls came to since the start.
    pub fn stats(&self) -> Stats {
        self.counters.read()
    }

    /// What the store holds now, of one account or of all.
    ///
    /// # Errors
    ///
    /// When it cannot tell.
    pub async fn holdings(&self, account: Option<&AccountId>) -> Result<StoreStats, CallError> {
        Ok(self.entries.stats().await?.of(account))
    }
}
