//! Running totals, uses of entries, and health. Totals are rows kept by the transactions that change entries: nothing is ever summed.

use std::{collections::BTreeMap, sync::atomic::Ordering};

use super::{Sqlcipher, StoreError, db::Db, migrations};
use crate::{
    ids::AccountId,
    store::{EntryUse, GroupStats, Health, StoreStats},
};

const ADD: &str = "INSERT INTO cache_stats (owner, tool, entries, raw_bytes, stored_bytes, hits) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
    ON CONFLICT (owner, tool) DO UPDATE SET entries = entries + excluded.entries, raw_bytes = raw_bytes + excluded.raw_bytes,
    stored_bytes = stored_bytes + excluded.stored_bytes, hits = hits + excluded.hits";
const USED: &str = "UPDATE cache_entries SET hits = hits + ?2, last_used = ?3 WHERE key_hash = ?1 RETURNING owner, tool";
const TOTALS: &str = "SELECT k.account, s.tool, s.entries, s.raw_bytes, s.stored_bytes, s.hits
    FROM cache_stats s JOIN data_keys k ON k.id = s.owner WHERE s.entries > 0";
const FORGET_OWNER: &str = "DELETE FROM cache_stats WHERE owner = ?1";
const PROBE: &str = "UPDATE meta SET value = value WHERE name = 'wrapping_check'";
#[cfg(test)]
pub(super) const SQL: &[&str] = &[ADD, USED, TOTALS, FORGET_OWNER, PROBE];

/// A change of the totals of one account and tool.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Change {
    pub(super) entries: i64,
    pub(super) raw: i64,
    pub(super) stored: i64,
    pub(super) hits: i64,
}

/// Adds to the totals.
pub(super) fn add(db: &mut Db, owner: i64, tool: &str, change: Change) -> Result<(), StoreError> {
    db.run(ADD, (owner, tool, change.entries, change.raw, change.stored, change.hits)).map(drop)
}

/// Drops the totals of an account that is forgotten.
pub(super) fn forget_owner(db: &mut Db, owner: i64) -> Result<(), StoreError> {
    db.run(FORGET_OWNER, [owner]).map(drop)
}

/// Adds uses to their entries.
pub(super) fn touch(db: &mut Db, uses: &[EntryUse]) -> Result<(), StoreError> {
    let mut hits: BTreeMap<(i64, String), i64> = BTreeMap::new();
    for one in uses {
        let group = db.one(USED, (one.key.0, one.hits, one.at.0), |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)))?;
        if let Some(group) = group {
            *hits.entry(group).or_default() += i64::from(one.hits);
        }
    }
    for ((owner, tool), hits) in hits {
        add(db, owner, &tool, Change { hits, ..Change::default() })?;
    }
    Ok(())
}

/// The totals, in all and by group.
pub(super) fn totals(db: &mut Db) -> Result<StoreStats, StoreError> {
    let number = |value: i64| u64::try_from(value).unwrap_or(0);
    let groups = db.all(TOTALS, (), |row| {
        let group = GroupStats {
            entries: number(row.get(2)?),
            raw_bytes: number(row.get(3)?),
            stored_bytes: number(row.get(4)?),
            hits: number(row.get(5)?),
        };
        Ok((AccountId::new(row.get::<_, String>(0)?), row.get::<_, String>(1)?, group))
    })?;
    Ok(StoreStats::of_groups(groups))
}

impl Sqlcipher {
    /// Reads and writes something, and looks at the files.
    pub(super) async fn look_at_health(&self) -> Health {
        let probe = self.thread.cache(0, |db| {
            db.run(PROBE, ())?;
            migrations::version(db.conn())
        });
        let (healthy, detail, schema) = match probe.await {
            Ok(schema) => (true, None, schema),
            Err(error) => (false, Some(error.to_string()), 0),
        };
        let files = [self.place.path.clone(), self.place.beside("-wal"), self.place.beside("-shm")];
        let file_bytes = files.iter().filter_map(|file| std::fs::metadata(file).ok()).map(|facts| facts.len()).sum();
        let (free_bytes, low_disk) = self.guard.get().map_or((None, false), |guard| (guard.free(), guard.low()));
        Health { healthy, detail, schema, file_bytes, damaged: self.damaged.load(Ordering::Relaxed), free_bytes, low_disk }
    }
}
