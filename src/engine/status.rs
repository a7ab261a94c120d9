//! What a person may want to know about the engine now.

use std::time::Duration;

use serde_json::json;

use super::{Answer, Asked, CallError, Engine, Period, RoomStatus, warm::WarmingNow};
use crate::{
    graph::{ClientGauges, LaneGauges},
    ids::AccountId,
    store::{Health, StoreStats, TaskCounts},
    tools::Args,
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
    /// What is kept and what may be; `None` for entries that nobody cleans up.
    pub room: Option<RoomStatus>,
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
    /// Mailboxes and drives that are asked now.
    pub lanes: Vec<Lane>,
    /// Requests at a time for one of them.
    pub per_mailbox: usize,
}

/// The budget of one mailbox or drive now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lane {
    /// The account whose own it is; `None` for a shared one.
    pub account: Option<AccountId>,
    /// Requests under way.
    pub used: usize,
    /// Requests that wait.
    pub waiting: usize,
    /// How long nobody is let in.
    pub paused: Duration,
}

impl Engine {
    /// The engine's state now.
    pub async fn status(&self) -> Status {
        let trouble = self.store_trouble.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        Status {
            caching: self.policy().caching,
            health: self.entries.health_check().await,
            store: self.entries.stats().await.ok(),
            room: self.room_status().await,
            tasks: self.ledger.task_counts().await.unwrap_or_default(),
            warming: self.warming_now(),
            hot_entries: self.hot.len(),
            hot_bytes: self.hot.bytes(),
            store_trouble: trouble,
            totals_corrected: self.chores.corrected(),
            in_doubt: self.in_doubt().await,
            graph: self.graph.as_ref().map(|client| client.gauges()),
            lanes: self.lanes(),
            per_mailbox: self.graph.as_ref().map_or(0, |client| client.budget().limit()),
        }
    }

    /// The budget of every mailbox and drive that is asked now.
    fn lanes(&self) -> Vec<Lane> {
        let lanes = self.graph.as_ref().map(|client| client.budget().lanes()).unwrap_or_default();
        let rows = self.accounts.all();
        let owner = |key: &str| rows.iter().find(|row| row.object_id == key).map(|row| row.id.clone());
        let lane = |lane: LaneGauges| Lane { account: owner(&lane.key), used: lane.used, waiting: lane.waiting, paused: lane.paused };
        lanes.into_iter().map(lane).collect()
    }

    /// The answer of `cache_get_stats`: the original's fields, filled in truth. With an account nothing of another one is in it.
    pub(super) async fn cache_stats(&self, args: &Args) -> Result<Answer, CallError> {
        let account = args.text("account_id").map(|name| self.accounts.find(name)).transpose()?.map(|row| row.id.clone());
        let period = args.text("period").and_then(Period::named).unwrap_or_default();
        let statistics = self.statistics(&Asked { period, account: account.clone() }).await?;
        let held = self.holdings(account.as_ref()).await?;
        let room = self.room_status().await;
        let most = room.as_ref().map(|room| room.limits.bytes);
        // Of one account: what its answers take of what all may.
        let bytes = if account.is_none() { room.as_ref().map(|room| room.bytes) } else { Some(held.stored_bytes) };
        let usage = bytes.zip(most).map(|(bytes, most)| percent(bytes, most));
        let mut answer = json!({
            "entry_count": held.entries,
            "total_bytes": held.stored_bytes,
            "raw_bytes": held.raw_bytes,
            "max_bytes": most,
            "usage_percent": usage,
            "total_size_bytes": held.stored_bytes,
            "total_size_mb": megabytes(held.stored_bytes),
            "size_percentage": usage,
            "cleanup_triggered": room.as_ref().is_some_and(|room| room.cleaned.is_some()),
            "avg_bytes": held.stored_bytes.checked_div(held.entries).unwrap_or(0),
        });
        if account.is_none() {
            answer["swept_count"] = room.map_or(0, |room| room.swept).into();
            answer["hot_entries"] = self.hot.len().into();
            answer["hot_bytes"] = self.hot.bytes().into();
        }
        super::stats::tell(&mut answer, &statistics, &held);
        Ok(Answer::plain(&answer))
    }
}

/// For people: with two places.
fn percent(part: u64, whole: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "rounded to hundredths of a percent anyway")]
    let hundredths = (part as f64 * 10_000.0 / whole.max(1) as f64).round();
    hundredths / 100.0
}

/// For people: with two places.
fn megabytes(bytes: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "rounded to hundredths of a megabyte anyway")]
    let hundredths = (bytes as f64 / f64::from(1 << 20) * 100.0).round();
    hundredths / 100.0
}
