//! What a person may want to know about the engine now.

use serde_json::{Value, json};

use super::{Answer, CallError, Engine, Stats, warm::WarmingNow};
use crate::{
    graph::ClientGauges,
    store::{Health, StoreStats, TaskCounts},
};

/// The engine's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Whether caching is on at all.
    pub caching: bool,
    /// The store's own word.
    pub health: Health,
    /// Sizes and counts; `None` when the store cannot tell.
    pub store: Option<StoreStats>,
    /// Tasks by state.
    pub tasks: TaskCounts,
    /// What is fetched ahead of use.
    pub warming: WarmingNow,
    /// Opened answers in memory.
    pub hot_entries: usize,
    /// Bytes they take.
    pub hot_bytes: u64,
    /// Why the store did not do its work, as last seen.
    pub store_trouble: Option<String>,
    /// Groups of running totals that did not match their entries and were corrected since the start.
    pub totals_corrected: u64,
    /// Sources of which nothing stored is served, because a write to them could not be recorded.
    pub in_doubt: usize,
    /// The Graph client's numbers; `None` without one.
    pub graph: Option<ClientGauges>,
}

impl Engine {
    /// The engine's state now.
    pub async fn status(&self) -> Status {
        let trouble = self.store_trouble.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        Status {
            caching: self.policy.caching,
            health: self.entries.health_check().await,
            store: self.entries.stats().await.ok(),
            tasks: self.ledger.task_counts().await.unwrap_or_default(),
            warming: self.warming_now(),
            hot_entries: self.hot.len(),
            hot_bytes: self.hot.bytes(),
            store_trouble: trouble,
            totals_corrected: self.chores.corrected(),
            in_doubt: self.in_doubt().await,
            graph: self.graph.as_ref().map(|client| client.gauges()),
        }
    }

    /// What calls came to since the start.
    pub fn stats(&self) -> Stats {
        self.counters.read()
    }

    /// The answer of `cache_get_stats`: the original's fields, filled in truth.
    pub(super) async fn cache_stats(&self) -> Result<Answer, CallError> {
        let store = self.entries.stats().await?;
        let stats = self.counters.read();
        let hits = stats.total.hits + stats.total.stale_hits;
        let groups = |name: String, group: crate::store::GroupStats| {
            (name, json!({ "entry_count": group.entries, "total_bytes": group.stored_bytes, "hits": group.hits }))
        };
        let by_account: serde_json::Map<String, Value> =
            store.by_account.iter().map(|(account, group)| groups(account.to_string(), *group)).collect();
        let by_resource: serde_json::Map<String, Value> = store.by_tool.iter().map(|(tool, group)| groups(tool.clone(), *group)).collect();
        Ok(Answer::plain(&json!({
            "entry_count": store.entries,
            "total_bytes": store.stored_bytes,
            "raw_bytes": store.raw_bytes,
            // Nothing is thrown out for its size.
            "max_bytes": null,
            "usage_percent": null,
            "total_size_bytes": store.stored_bytes,
            "total_size_mb": megabytes(store.stored_bytes),
            "size_percentage": null,
            "cleanup_triggered": false,
            "avg_bytes": store.stored_bytes.checked_div(store.entries).unwrap_or(0),
            "total_hits": hits,
            "hit_count": stats.total.hits,
            "stale_count": stats.total.stale_hits,
            "miss_count": stats.total.misses,
            "bypass_count": stats.total.bypassed,
            "coalesced_count": stats.total.coalesced,
            "stale_if_error_count": stats.total.stale_if_error,
            "refresh_count": stats.total.refreshes,
            "hit_rate": stats.hit_rate(),
            "hot_entries": self.hot.len(),
            "hot_bytes": self.hot.bytes(),
            "by_account": by_account,
            "by_resource": by_resource,
        })))
    }
}

/// For people: with two places.
fn megabytes(bytes: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "rounded to hundredths of a megabyte anyway")]
    let hundredths = (bytes as f64 / f64::from(1 << 20) * 100.0).round();
    hundredths / 100.0
}
