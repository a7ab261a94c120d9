//! Items and the containers they were seen in, so that a write by id knows what it touches.

use std::collections::BTreeMap;

use super::{StoreError, db::Db, scopes};
use crate::{
    cache::{Learned, Scope, Shown, SourceId},
    clock::Timestamp,
    store::rules::USED_GRAIN_MS,
};

const CONTAINERS: &str = "SELECT container FROM items WHERE source = ?1 AND item = ?2";
const SEEN: &str = "INSERT INTO items (source, item, container, used) VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT (source, item, container) DO UPDATE SET used = excluded.used WHERE excluded.used - used > ?5";
const FORGET_ITEM: &str = "DELETE FROM items WHERE source = ?1 AND item = ?2";
const OLDEST: &str = "SELECT item, container FROM items WHERE source = ?1 ORDER BY used, item, container LIMIT ?2";
const DROP: &str = "DELETE FROM items WHERE source = ?1 AND item = ?2 AND container = ?3";
#[cfg(test)]
pub(super) const SQL: &[&str] = &[CONTAINERS, SEEN, FORGET_ITEM, OLDEST, DROP];

/// The containers an item was seen in.
pub(super) fn containers(db: &Db, source: i64, item: &str) -> Result<Vec<Scope>, StoreError> {
    db.all(CONTAINERS, (source, item), |row| Ok(Scope::from_text(&row.get::<_, String>(0)?)))
}

/// Forgets where an item was seen.
pub(super) fn forget(db: &mut Db, source: i64, item: &str) -> Result<(), StoreError> {
    db.run(FORGET_ITEM, (source, item)).map(drop)
}

/// Adds what an answer shows; never takes away.
pub(super) fn add(db: &mut Db, shown: &[Shown], now: Timestamp) -> Result<(), StoreError> {
    let mut ids: BTreeMap<&SourceId, i64> = BTreeMap::new();
    for item in shown {
        let source = match ids.get(&item.source) {
            Some(id) => *id,
            None => {
                let id = scopes::find_or_make(db, &item.source)?.id;
                ids.insert(&item.source, id);
                id
            }
        };
        for container in &item.containers {
            db.run(SEEN, (source, &item.item, container.as_str(), now.0, USED_GRAIN_MS))?;
        }
    }
    Ok(())
}

/// Replaces what is known of items by what the reply to our own write taught.
pub(super) fn reset(db: &mut Db, learned: &[Learned], now: Timestamp) -> Result<(), StoreError> {
    for one in learned {
        let source = scopes::find_or_make(db, &one.source)?.id;
        forget(db, source, &one.item)?;
        for container in &one.containers {
            db.run(SEEN, (source, &one.item, container.as_str(), now.0, USED_GRAIN_MS))?;
        }
    }
    Ok(())
}

/// Drops so many rows, those not used for longest, and tells their containers.
pub(super) fn drop_oldest(db: &mut Db, source: i64, most: i64) -> Result<Vec<Scope>, StoreError> {
    let rows = db.all(OLDEST, (source, most), |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
    for (item, container) in &rows {
        db.run(DROP, (source, item, container))?;
    }
    Ok(rows.into_iter().map(|(_, container)| Scope::from_text(&container)).collect())
}
