//! Counts on their way to the ledger: what is new since the last time, in one transaction, for accounts that are signed in.

use std::sync::{Arc, atomic::Ordering::Release};

use super::{Counters, Engine, FLUSH};
use crate::{
    ids::AccountId,
    store::{About, Counted, CountsQuery, Span},
};

/// How far back the cost of fetches is looked up at the start.
const COSTS_OF: Span = Span::Day;
/// Days of it.
const COST_DAYS: u32 = 7;

impl Counters {
    /// Forgets what was counted for an account, so that it is not written any more.
    pub(in crate::engine) async fn forget(&self, account: &AccountId) {
        let mut flushed = self.flushed.lock().await;
        self.cells.clear(account);
        flushed.retain(|(whose, _), _| whose != account);
    }
}

impl Engine {
    /// Waits for the first call to be counted, gathers for `FLUSH`, then writes what was counted.
    pub async fn count_on(self: &Arc<Self>) {
        self.counters.counted.notified().await;
        self.clock.sleep(FLUSH).await;
        self.flush_counts().await;
    }

    /// Writes what was counted since the last time. What cannot be written now is written with the next.
    pub(in crate::engine) async fn flush_counts(&self) {
        // In this order everywhere: an account that leaves holds this one before it forgets its counts.
        let _staying = self.leaving.read().await;
        let mut flushed = self.counters.flushed.lock().await;
        // Before the cells are read: what is counted meanwhile wakes the flusher again.
        self.counters.stirred.store(false, Release);
        let mut now = self.counters.cells.read();
        now.retain(|(account, _), _| self.accounts.find(account.as_str()).is_ok());
        let mut new = Vec::new();
        for ((account, about), counts) in &now {
            let counts = flushed.get(&(account.clone(), about.clone())).map_or_else(|| counts.clone(), |before| counts.since(before));
            if counts != crate::store::Counts::default() {
                new.push(Counted { account: account.clone(), about: about.clone(), counts });
            }
        }
        if new.is_empty() {
            return;
        }
        match self.ledger.add_counts(new, self.clock.now()).await {
            Ok(()) => *flushed = now,
            Err(error) => {
                self.note_store(Some(&error));
                self.counters.stir();
            }
        }
    }

    /// Looks up what fetches cost in the last days, so that the first hits after a start are counted at their worth.
    pub async fn recall_costs(&self) {
        let today = COSTS_OF.start(self.clock.now());
        // The latest day first: what is known already is kept.
        for day in 0..COST_DAYS {
            let from = today.minus(COSTS_OF.length() * day);
            let query = CountsQuery { span: COSTS_OF, from, until: from.plus(COSTS_OF.length()), account: None };
            let rows = match self.ledger.counts(query).await {
                Ok(rows) => rows,
                // Until they are fetched again, hits count as one request each.
                Err(error) => return self.note_store(Some(&error)),
            };
            for row in rows {
                let About::Tool(tool) = &row.counted.about else { continue };
                let mean = row.counted.counts.requests.saturating_mul(1000).checked_div(row.counted.counts.fetches);
                if let (Some(cell), Some(mean @ 1..)) = (self.counters.cells.tool(&row.counted.account, tool), mean) {
                    cell.remember_cost(mean);
                }
            }
        }
    }
}
