//! Statistics of a period put together: what calls came to beside what is held now.

use std::{collections::BTreeMap, sync::Arc};

use m365_cached::{
    engine::{Asked, CallError, Engine, Statistics},
    store::{Counts, GroupStats, StoreStats},
};

use crate::core::{CacheStats, StatsQuestion, StatsRow};

/// Reads what was asked for.
pub(crate) async fn read(engine: &Arc<Engine>, question: StatsQuestion) -> Result<CacheStats, CallError> {
    let account = question.account.as_deref().map(|name| engine.account_id(name)).transpose()?;
    let statistics = engine.statistics(&Asked { period: question.period, account: account.clone() }).await?;
    let held = engine.holdings(account.as_ref()).await?;
    let names = engine.accounts().into_iter().map(|known| (known.row.id.to_string(), known.row.username.clone())).collect();
    Ok(together(statistics, &held, &names))
}

/// `names` are usernames by account id.
fn together(statistics: Statistics, held: &StoreStats, names: &BTreeMap<String, String>) -> CacheStats {
    let stats = statistics.stats;
    let by_tool = held.by_tool.iter().map(|(tool, group)| (tool.clone(), *group)).collect();
    let by_account = held.by_account.iter().map(|(account, group)| (account.to_string(), *group)).collect();
    let accounts = stats.by_account.into_iter().map(|(account, counts)| (account.to_string(), counts)).collect();
    let labelled = |mut row: StatsRow| {
        row.label = names.get(&row.name).cloned().unwrap_or_default();
        row
    };
    CacheStats {
        period: statistics.period,
        since: statistics.since,
        counts: stats.total,
        held: GroupStats { entries: held.entries, raw_bytes: held.raw_bytes, stored_bytes: held.stored_bytes, hits: held.hits },
        by_tool: rows(stats.by_tool, by_tool),
        by_account: rows(accounts, by_account).into_iter().map(labelled).collect(),
        by_client: rows(stats.by_client, BTreeMap::new()),
        series: statistics.series,
    }
}

/// One row for each name in either, the most used first.
fn rows(counts: BTreeMap<String, Counts>, held: BTreeMap<String, GroupStats>) -> Vec<StatsRow> {
    let mut rows: BTreeMap<String, StatsRow> =
        counts.into_iter().map(|(name, counts)| (name.clone(), StatsRow { name, counts, ..StatsRow::default() })).collect();
    for (name, group) in held {
        rows.entry(name.clone()).or_insert_with(|| StatsRow { name, ..StatsRow::default() }).held = group;
    }
    let mut rows: Vec<StatsRow> = rows.into_values().collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.counts.hits + row.counts.stale_hits + row.counts.misses));
    rows
}
