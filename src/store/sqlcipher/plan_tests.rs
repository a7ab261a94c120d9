//! Every statement's plan: none walks all entries, bodies, arguments, scopes, items, writes or tasks.

use super::{
    accounts, audit, db, delta, entries, forget, handles, inspect, invalidate, items, privacy, reencrypt, room, salvage, scopes,
    statistics, stats, tasks, tests::Profile, totals, writes,
};

/// Tables that grow with use. The others hold a few rows: accounts, sources, totals by tool.
const LARGE: &[&str] = &[
    "cache_entries",
    "cache_bodies",
    "entry_args",
    "cache_invalidation",
    "cache_tasks",
    "scopes",
    "items",
    "writes",
    "statistics",
    "audit",
    "handles",
    "n",
    "e",
    "b",
    "a",
];

const FILES: &[(&str, &[&str])] = &[
    (include_str!("accounts.rs"), accounts::SQL),
    (include_str!("audit.rs"), audit::SQL),
    (include_str!("db.rs"), db::SQL),
    (include_str!("delta.rs"), delta::SQL),
    (include_str!("entries.rs"), entries::SQL),
    (include_str!("forget.rs"), forget::SQL),
    (include_str!("handles.rs"), handles::SQL),
    (include_str!("inspect.rs"), inspect::SQL),
    (include_str!("invalidate.rs"), invalidate::SQL),
    (include_str!("items.rs"), items::SQL),
    (include_str!("reencrypt.rs"), reencrypt::SQL),
    (include_str!("privacy.rs"), privacy::SQL),
    (include_str!("room.rs"), room::SQL),
    (include_str!("salvage.rs"), salvage::SQL),
    (include_str!("scopes.rs"), scopes::SQL),
    (include_str!("statistics.rs"), statistics::SQL),
    (include_str!("stats.rs"), stats::SQL),
    (include_str!("tasks.rs"), tasks::SQL),
    (include_str!("totals.rs"), totals::SQL),
    (include_str!("writes.rs"), writes::SQL),
];

#[test]
fn every_statement_is_listed() {
    for (text, listed) in FILES {
        assert_eq!(text.matches(": &str =").count(), listed.len(), "{}", text.lines().next().unwrap());
    }
    // SQL anywhere else in this room would escape the check below.
    for text in
        [include_str!("mod.rs"), include_str!("thread.rs"), include_str!("pack.rs"), include_str!("codec.rs"), include_str!("seal.rs")]
    {
        assert!(!["SELECT ", "INSERT ", "UPDATE ", "DELETE "].iter().any(|word| text.contains(word)));
    }
}

#[test]
fn no_statement_walks_a_table_that_grows() {
    let profile = Profile::new();
    drop(profile.open().unwrap());
    let conn = profile.place().open().unwrap();
    for sql in FILES.iter().flat_map(|(_, listed)| *listed) {
        let mut statement = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        for place in 1..=statement.parameter_count() {
            statement.raw_bind_parameter(place, 1).unwrap();
        }
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next().unwrap() {
            let step: String = row.get(3).unwrap();
            let walks = LARGE.iter().any(|table| step == format!("SCAN {table}") || step.starts_with(&format!("SCAN {table} ")));
            // A partial index holds only the few rows that are open or unsettled.
            let few = step.contains("INDEX writes_open") || step.contains("INDEX writes_unsettled");
            assert!(!walks || few, "{step}: {sql}");
        }
    }
}
