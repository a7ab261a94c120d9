//! `stats`: what the cache has done since the daemon started, and what it holds.

use m365_cached_proto::v1::{Fault, StatsReply, StatsRequest};
use serde::Serialize;

use crate::context::{Context, promptly};
use crate::output::{Paint, View, bytes, table};

/// Counters since the daemon started; entries and bytes as they are now. `hit_rate` is `null` before the first cached call.
#[derive(Debug, Serialize)]
struct Stats {
    hits: u64,
    stale_hits: u64,
    misses: u64,
    bypassed: u64,
    coalesced: u64,
    stale_if_error: u64,
    refreshes: u64,
    graph_requests: u64,
    /// Share of cached calls answered without waiting for Microsoft, 0 to 1.
    hit_rate: Option<f64>,
    entries: u64,
    raw_bytes: u64,
    stored_bytes: u64,
    by_tool: Vec<ToolView>,
    by_account: Vec<AccountBytes>,
}

#[derive(Debug, Serialize)]
struct ToolView {
    tool: String,
    entries: u64,
    hits: u64,
    misses: u64,
    raw_bytes: u64,
    stored_bytes: u64,
}

#[derive(Debug, Serialize)]
struct AccountBytes {
    account: String,
    entries: u64,
    stored_bytes: u64,
}

pub(super) async fn run(context: &Context) -> Result<(), Fault> {
    let reply = promptly(context.admin().await?.stats(StatsRequest {})).await?;
    context.output.show(&Stats::from(reply));
    Ok(())
}

impl From<StatsReply> for Stats {
    fn from(reply: StatsReply) -> Self {
        let quick = reply.hits + reply.stale_hits;
        let all = quick + reply.misses;
        #[expect(clippy::cast_precision_loss, reason = "a share for people; counters stay far below 2^52")]
        let hit_rate = (all > 0).then(|| (quick as f64 / all as f64 * 1000.0).round() / 1000.0);
        Self {
            hits: reply.hits,
            stale_hits: reply.stale_hits,
            misses: reply.misses,
            bypassed: reply.bypassed,
            coalesced: reply.coalesced,
            stale_if_error: reply.stale_if_error,
            refreshes: reply.refreshes,
            graph_requests: reply.graph_requests,
            hit_rate,
            entries: reply.entries,
            raw_bytes: reply.raw_bytes,
            stored_bytes: reply.stored_bytes,
            by_tool: reply
                .by_tool
                .into_iter()
                .map(|tool| ToolView {
                    tool: tool.tool,
                    entries: tool.entries,
                    hits: tool.hits,
                    misses: tool.misses,
                    raw_bytes: tool.raw_bytes,
                    stored_bytes: tool.stored_bytes,
                })
                .collect(),
            by_account: reply
                .by_account
                .into_iter()
                .map(|account| AccountBytes { account: account.account, entries: account.entries, stored_bytes: account.stored_bytes })
                .collect(),
        }
    }
}

impl View for Stats {
    fn text(&self, paint: Paint) -> String {
        let rate = self.hit_rate.map_or_else(|| "no cached calls yet".to_owned(), |rate| format!("{:.1} % without waiting", rate * 100.0));
        let (fresh, stale, missed, coalesced) = (self.hits, self.stale_hits, self.misses, self.coalesced);
        let mut rows = vec![
            vec!["answers".to_owned(), rate],
            vec![
                String::new(),
                format!("{fresh} fresh, {stale} stale, {missed} fetched, {coalesced} shared a fetch, {} bypassed", self.bypassed),
            ],
            vec!["graph".to_owned(), format!("{} requests, {} refreshes", self.graph_requests, self.refreshes)],
        ];
        if self.stale_if_error > 0 {
            rows.push(vec![String::new(), paint.warn(&format!("{} answered stale because Microsoft failed", self.stale_if_error))]);
        }
        rows.push(vec![
            "holds".to_owned(),
            format!("{} entries, {} stored in {}", self.entries, bytes(self.raw_bytes), bytes(self.stored_bytes)),
        ]);
        let mut text = table(&rows);
        if !self.by_tool.is_empty() {
            let header = ["tool", "entries", "hits", "misses", "stored"].map(str::to_owned).to_vec();
            let row = |tool: &ToolView| {
                vec![tool.tool.clone(), tool.entries.to_string(), tool.hits.to_string(), tool.misses.to_string(), bytes(tool.stored_bytes)]
            };
            text.push('\n');
            text.push_str(&table(&std::iter::once(header).chain(self.by_tool.iter().map(row)).collect::<Vec<_>>()));
        }
        if !self.by_account.is_empty() {
            let header = ["account", "entries", "stored"].map(str::to_owned).to_vec();
            let row = |account: &AccountBytes| vec![account.account.clone(), account.entries.to_string(), bytes(account.stored_bytes)];
            text.push('\n');
            text.push_str(&table(&std::iter::once(header).chain(self.by_account.iter().map(row)).collect::<Vec<_>>()));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use m365_cached_proto::v1::{AccountStats, ToolStats};

    use super::*;

    #[test]
    fn stats_read_well() {
        let view = Stats::from(StatsReply {
            hits: 900,
            stale_hits: 50,
            misses: 50,
            bypassed: 2,
            coalesced: 7,
            stale_if_error: 1,
            refreshes: 40,
            graph_requests: 133,
            entries: 120,
            raw_bytes: 2_400_000,
            stored_bytes: 610_000,
            by_tool: vec![ToolStats {
                tool: "email_list".into(),
                entries: 20,
                hits: 500,
                misses: 20,
                stored_bytes: 200_000,
                raw_bytes: 900_000,
            }],
            by_account: vec![AccountStats { account: "work-1".into(), entries: 120, stored_bytes: 610_000 }],
        });
        insta::assert_snapshot!("stats_text", view.text(Paint::OFF));
        insta::assert_json_snapshot!("stats_json", view);
    }

    #[test]
    fn a_new_cache_has_no_rate() {
        let view = Stats::from(StatsReply::default());
        assert_eq!(view.hit_rate, None);
        assert!(view.text(Paint::OFF).contains("no cached calls yet"));
    }
}
