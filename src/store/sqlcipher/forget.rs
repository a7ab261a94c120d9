//! Forgetting: rows of items and scopes beyond what may be kept, a step at a time, and sources of which nothing is left.
//!
//! Dropping an item's row bumps its container as written first, for a later write by that id would no longer know that it touches the
//! container. Dropping a scope's row raises the source's floors to its marks first. Both err towards asking again (`truth.md`).

use std::collections::{BTreeMap, BTreeSet};

use super::{
    StoreError,
    db::Db,
    items,
    scopes::{self, Mark, read_marks},
};
use crate::{
    cache::{Keep, Marks, Scope, SourceId, SourceSize},
    clock::Timestamp,
    store::{Forgotten, rules::any_of},
};

const SIZES: &str = "SELECT name, scope_rows, item_rows, used FROM sources ORDER BY name";
const ROWS: &str = "SELECT scope_rows, item_rows FROM sources WHERE id = ?1";
const OLDEST: &str = "SELECT written_at, changed_at, unsettled_until, scope FROM scopes WHERE source = ?1 AND unsettled_until = 0
    ORDER BY max(written_at, changed_at), scope LIMIT ?2";
const DROP: &str = "DELETE FROM scopes WHERE source = ?1 AND scope = ?2";
const RAISE_FLOORS: &str = "UPDATE sources SET written_floor = max(written_floor, ?2), changed_floor = max(changed_floor, ?3)
    WHERE id = ?1";
const DROP_SOURCE: &str = "DELETE FROM sources WHERE id = ?1 AND scope_rows = 0 AND item_rows = 0";
const DROP_TOKENS: &str = "DELETE FROM delta_tokens WHERE source = ?1";
#[cfg(test)]
pub(super) const SQL: &[&str] = &[SIZES, ROWS, OLDEST, DROP, RAISE_FLOORS, DROP_SOURCE, DROP_TOKENS];

/// Every source with what is remembered of it.
pub(super) fn sizes(db: &mut Db) -> Result<Vec<SourceSize>, StoreError> {
    db.all(SIZES, (), |row| {
        let count = |at| row.get::<_, i64>(at).map(|count| u64::try_from(count).unwrap_or(0));
        let id = SourceId::from_text(&row.get::<_, String>(0)?);
        Ok(SourceSize { id, scopes: count(1)?, items: count(2)?, used: Timestamp(row.get(3)?) })
    })
}

/// Rows beyond `keep`.
fn over(db: &Db, source: i64, keep: Keep) -> Result<(i64, i64), StoreError> {
    let (scopes, items) = db.one(ROWS, [source], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))?.unwrap_or_default();
    let beyond = |rows: i64, keep: u64| (rows - i64::try_from(keep).unwrap_or(i64::MAX)).max(0);
    Ok((beyond(scopes, keep.scopes), beyond(items, keep.items)))
}

/// Drops at most `most` rows of items and `most` of scopes, those not used for longest.
pub(super) fn step(db: &mut Db, id: &SourceId, keep: Keep, most: usize) -> Result<Forgotten, StoreError> {
    let Some(source) = scopes::find(db, id)? else { return Ok(Forgotten::default()) };
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let (_, items_over) = over(db, source.id, keep)?;
    let mut containers = BTreeSet::new();
    for container in items::drop_oldest(db, source.id, items_over.min(most))? {
        containers.extend(any_of(&container));
        containers.insert(container);
    }
    let due = if containers.is_empty() { BTreeMap::new() } else { BTreeMap::from([(id.clone(), containers)]) };
    let bumped = scopes::bump(db, &due, Mark::Written { unsettled: None })?;

    // Counted now, since the bumps may have made rows.
    let (scopes_over, _) = over(db, source.id, keep)?;
    let oldest = db.all(OLDEST, (source.id, scopes_over.min(most)), |row| Ok((row.get::<_, String>(3)?, read_marks(row)?)))?;
    let mut floors = source.floors;
    let mut dropped = Vec::with_capacity(oldest.len());
    for (scope, marks) in oldest {
        floors = raised(floors, marks);
        db.run(DROP, (source.id, &scope))?;
        dropped.push(Scope::from_text(&scope));
    }
    if !dropped.is_empty() {
        db.run(RAISE_FLOORS, (source.id, floors.written_at.cast_signed(), floors.changed_at.cast_signed()))?;
    }
    let more = items_over > most || (scopes_over > most && i64::try_from(dropped.len()) == Ok(most));
    Ok(Forgotten { bumped, floors, dropped, more })
}

fn raised(floors: Marks, marks: Marks) -> Marks {
    Marks {
        written_at: floors.written_at.max(marks.written_at),
        changed_at: floors.changed_at.max(marks.changed_at),
        unsettled_until: None,
    }
}

/// Drops a source of which no row is left.
pub(super) fn drop_source(db: &mut Db, id: &SourceId) -> Result<bool, StoreError> {
    let Some(source) = scopes::find(db, id)? else { return Ok(true) };
    let gone = db.run(DROP_SOURCE, [source.id])? > 0;
    if gone {
        db.run(DROP_TOKENS, [source.id])?;
    }
    Ok(gone)
}
