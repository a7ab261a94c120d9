//! The figures of a period as `cache_get_stats` tells them: short, because a model reads them.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{Statistics, cells::OTHER};
use crate::store::{Counts, GroupStats, StoreStats, Times};

/// Rows of a table; the rest is one row more, `other`.
const ROWS: usize = 12;

/// Adds the figures of `statistics`, and those of what is held by account and tool, to `answer`.
pub(in crate::engine) fn tell(answer: &mut Value, statistics: &Statistics, held: &StoreStats) {
    let (stats, total) = (&statistics.stats, &statistics.stats.total);
    let by_tool = held.by_tool.iter().map(|(tool, group)| (tool.clone(), *group)).collect();
    let by_account = held.by_account.iter().map(|(account, group)| (account.to_string(), *group)).collect();
    let accounts = stats.by_account.iter().map(|(account, counts)| (account.to_string(), counts.clone())).collect();
    let figures = json!({
        "period": statistics.period.as_str(),
        "since": statistics.since.rfc3339(),
        "total_hits": total.hits + total.stale_hits,
        "hit_count": total.hits,
        "stale_count": total.stale_hits,
        "miss_count": total.misses,
        "bypass_count": total.bypassed,
        "coalesced_count": total.coalesced,
        "stale_if_error_count": total.stale_if_error,
        "refresh_count": total.refreshes,
        "evicted_count": total.evicted,
        "evicted_bytes": total.evicted_bytes,
        "hit_rate": total.hit_rate().map(thousandths),
        "graph_requests": total.made(),
        "saved_graph_calls": total.saved_milli / 1000,
        "hit_ms": quantiles(&total.hit_times),
        "fetch_ms": quantiles(&total.fetch_times),
        "by_account": table(&accounts, &by_account, true),
        "by_resource": table(&stats.by_tool, &by_tool, true),
        "by_client": table(&stats.by_client, &BTreeMap::new(), false),
    });
    if let (Some(answer), Value::Object(figures)) = (answer.as_object_mut(), figures) {
        answer.extend(figures);
    }
}

/// A share with three places.
fn thousandths(share: f64) -> f64 {
    (share * 1000.0).round() / 1000.0
}

/// Half, nineteen in twenty and ninety-nine in a hundred stayed below these, in milliseconds.
fn quantiles(times: &Times) -> Value {
    #[expect(clippy::cast_precision_loss, reason = "times of calls, for people")]
    let ms = |share| times.quantile(share).map(|micros| micros as f64 / 1000.0);
    json!({ "p50": ms(0.5), "p95": ms(0.95), "p99": ms(0.99) })
}

/// The rows with the most hits and misses, each with what it holds now where that is known; those behind them in one row.
fn table(counts: &BTreeMap<String, Counts>, held: &BTreeMap<String, GroupStats>, holds: bool) -> Value {
    let mut rows: BTreeMap<&str, (Counts, GroupStats)> = BTreeMap::new();
    for (name, counts) in counts {
        rows.entry(name).or_default().0.add(counts);
    }
    for (name, group) in held {
        rows.entry(name).or_default().1.add(group);
    }
    let mut rows: Vec<(&str, (Counts, GroupStats))> = rows.into_iter().collect();
    rows.sort_by_key(|(_, (counts, group))| std::cmp::Reverse((counts.hits + counts.stale_hits + counts.misses, group.entries)));
    let rest = rows.split_off(rows.len().min(ROWS));
    if !rest.is_empty() {
        let mut sum = <(Counts, GroupStats)>::default();
        for (_, (counts, group)) in &rest {
            sum.0.add(counts);
            sum.1.add(group);
        }
        match rows.iter_mut().find(|(name, _)| *name == OTHER) {
            Some((_, other)) => {
                other.0.add(&sum.0);
                other.1.add(&sum.1);
            }
            None => rows.push((OTHER, sum)),
        }
    }
    let row = |(name, (counts, group)): (&str, (Counts, GroupStats))| {
        let mut row = Map::new();
        if holds {
            row.insert("entry_count".into(), group.entries.into());
            row.insert("total_bytes".into(), group.stored_bytes.into());
        }
        row.insert("hits".into(), (counts.hits + counts.stale_hits).into());
        row.insert("misses".into(), counts.misses.into());
        row.insert("saved".into(), (counts.saved_milli / 1000).into());
        (name.to_owned(), Value::Object(row))
    };
    Value::Object(rows.into_iter().map(row).collect())
}
