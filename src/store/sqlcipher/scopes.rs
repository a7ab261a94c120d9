//! Sources and scopes: the marks by which entries are known to be true (`truth.md`). Everything here runs inside the caller's transaction.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::Row;

use super::{Missing, StoreError, db::Db, delta, items};
use crate::{
    cache::{Bumped, Epoch, Marks, Scope, Seq, Service, SourceId, SourceState, Touched},
    clock::Timestamp,
    store::rules::{Absent, Known, SOURCE_USED_GRAIN_MS, Unsettled, spread_all},
};

const SOURCE: &str = "SELECT id, epoch, seq, written_floor, changed_floor FROM sources WHERE name = ?1";
const NEW_SOURCE: &str = "INSERT INTO sources (name, epoch) VALUES (?1, ?2) RETURNING id, epoch, seq, written_floor, changed_floor";
const SOURCE_IDS: &str = "SELECT id FROM sources";
const RENEW: &str = "UPDATE sources SET epoch = ?2 WHERE id = ?1";
const NEXT_SEQ: &str = "UPDATE sources SET seq = seq + 1 WHERE id = ?1 RETURNING seq";
const USED: &str = "UPDATE sources SET used = ?2 WHERE name = ?1 AND ?2 - used > ?3";
const SCOPES: &str = "SELECT written_at, changed_at, unsettled_until, scope FROM scopes WHERE source = ?1";
const SCOPE: &str = "SELECT written_at, changed_at, unsettled_until FROM scopes WHERE source = ?1 AND scope = ?2";
const WRITTEN: &str = "INSERT INTO scopes (source, scope, written_at, changed_at, unsettled_until) VALUES (?1, ?2, ?3, ?4, ?5)
    ON CONFLICT (source, scope) DO UPDATE SET written_at = excluded.written_at, unsettled_until = max(unsettled_until, excluded.unsettled_until)
    RETURNING written_at, changed_at, unsettled_until";
const CHANGED: &str = "INSERT INTO scopes (source, scope, written_at, changed_at) VALUES (?1, ?2, ?4, ?3)
    ON CONFLICT (source, scope) DO UPDATE SET changed_at = excluded.changed_at
    RETURNING written_at, changed_at, unsettled_until";
const SETTLED: &str = "UPDATE scopes SET unsettled_until = 0 WHERE source = ?1 AND scope = ?2 AND unsettled_until <= ?3";
const SETTLES_BY: &str = "UPDATE scopes SET unsettled_until = ?3 WHERE source = ?1 AND scope = ?2 AND unsettled_until > ?3";
#[cfg(test)]
pub(super) const SQL: &[&str] =
    &[SOURCE, NEW_SOURCE, SOURCE_IDS, RENEW, NEXT_SEQ, USED, SCOPES, SCOPE, WRITTEN, CHANGED, SETTLED, SETTLES_BY];

/// A source's own row.
#[derive(Clone, Copy)]
pub(super) struct Source {
    /// Its number.
    pub(super) id: i64,
    pub(super) epoch: Epoch,
    seq: Seq,
    pub(super) floors: Marks,
}

fn read_source(row: &Row<'_>) -> rusqlite::Result<Source> {
    let floors = Marks { written_at: seq(row, 3)?, changed_at: seq(row, 4)?, unsettled_until: None };
    Ok(Source { id: row.get(0)?, epoch: Epoch(row.get::<_, i64>(1)?.cast_unsigned()), seq: seq(row, 2)?, floors })
}

fn seq(row: &Row<'_>, at: usize) -> rusqlite::Result<Seq> {
    Ok(row.get::<_, i64>(at)?.cast_unsigned())
}

pub(super) fn read_marks(row: &Row<'_>) -> rusqlite::Result<Marks> {
    let until: i64 = row.get(2)?;
    Ok(Marks { written_at: seq(row, 0)?, changed_at: seq(row, 1)?, unsettled_until: (until != 0).then_some(Timestamp(until)) })
}

pub(super) fn find(db: &Db, id: &SourceId) -> Result<Option<Source>, StoreError> {
    db.one(SOURCE, [id.as_str()], read_source)
}

/// The source's row, made when there is none.
pub(super) fn find_or_make(db: &mut Db, id: &SourceId) -> Result<Source, StoreError> {
    if let Some(source) = find(db, id)? {
        return Ok(source);
    }
    let epoch = db.dice.number().cast_signed();
    db.one(NEW_SOURCE, (id.as_str(), epoch), read_source)?.ok_or_else(|| StoreError::Damaged("a source was not kept".into()))
}

/// Everything known of a source.
pub(super) fn load(db: &mut Db, id: &SourceId) -> Result<Option<SourceState>, StoreError> {
    find(db, id)?.map(|source| state(db, source)).transpose()
}

/// The same, with a new record when there is none.
pub(super) fn load_or_make(db: &mut Db, id: &SourceId) -> Result<SourceState, StoreError> {
    let source = find_or_make(db, id)?;
    state(db, source)
}

fn state(db: &Db, source: Source) -> Result<SourceState, StoreError> {
    let rows = db.all(SCOPES, [source.id], |row| Ok((Scope::from_text(&row.get::<_, String>(3)?), read_marks(row)?)))?;
    let mut state = SourceState::new(source.epoch);
    state.seq = source.seq;
    state.floors = source.floors;
    state.scopes = rows.into_iter().collect();
    state.checked = delta::checks(db, source.id)?;
    Ok(state)
}

/// Gives a source a new epoch.
pub(super) fn renew(db: &mut Db, id: &SourceId) -> Result<SourceState, StoreError> {
    let source = find_or_make(db, id)?;
    db.run(RENEW, (source.id, db.dice.number().cast_signed()))?;
    load_or_make(db, id)
}

/// Raises a source's `seq`.
pub(super) fn next_seq(db: &mut Db, source: &Source) -> Result<Seq, StoreError> {
    let seq = db.one(NEXT_SEQ, [source.id], |row| row.get::<_, i64>(0))?;
    seq.map(i64::cast_unsigned).ok_or_else(|| StoreError::Damaged("a source was not kept".into()))
}

/// Notes that an answer drawn from the source was stored.
pub(super) fn used(db: &mut Db, id: &SourceId, now: Timestamp) -> Result<(), StoreError> {
    db.run(USED, (id.as_str(), now.0, SOURCE_USED_GRAIN_MS)).map(drop)
}

/// The marks of one scope of a source.
pub(super) fn marks(db: &Db, source: &Source, scope: &Scope) -> Result<Marks, StoreError> {
    Ok(db.one(SCOPE, (source.id, scope.as_str()), read_marks)?.unwrap_or(source.floors))
}

/// Gives every source a new epoch.
pub(super) fn renew_epochs(db: &mut Db) -> Result<(), StoreError> {
    for id in db.all(SOURCE_IDS, (), |row| row.get::<_, i64>(0))? {
        db.run(RENEW, (id, db.dice.number().cast_signed()))?;
    }
    Ok(())
}

/// Which mark a bump raises.
#[derive(Clone, Copy)]
pub(super) enum Mark {
    /// By our own write, some effects of which may show late.
    Written { unsettled: Option<Unsettled> },
    /// By somebody else.
    Changed,
}

/// Bumps scopes: one step of `seq` for each source, the same for all its scopes.
pub(super) fn bump(db: &mut Db, by_source: &BTreeMap<SourceId, BTreeSet<Scope>>, mark: Mark) -> Result<Vec<Bumped>, StoreError> {
    let lost = || StoreError::Damaged("a scope was not kept".into());
    let mut all = Vec::new();
    for (id, scopes) in by_source {
        let source = find_or_make(db, id)?;
        let seq = next_seq(db, &source)?.cast_signed();
        let mut marked = Vec::with_capacity(scopes.len());
        for scope in scopes {
            // A scope without a row begins with the source's floors.
            let marks = match mark {
                Mark::Written { unsettled } => {
                    let until = unsettled.and_then(|unsettled| unsettled.until_of(scope)).map_or(0, |until| until.0);
                    let floor = source.floors.changed_at.cast_signed();
                    db.one(WRITTEN, (source.id, scope.as_str(), seq, floor, until), read_marks)?
                }
                Mark::Changed => db.one(CHANGED, (source.id, scope.as_str(), seq, source.floors.written_at.cast_signed()), read_marks)?,
            };
            marked.push((scope.clone(), marks.ok_or_else(lost)?));
        }
        all.push(Bumped { source: id.clone(), epoch: source.epoch, seq: seq.cast_unsigned(), scopes: marked });
    }
    Ok(all)
}

/// Takes the unsettled mark off scopes whose time has ended.
pub(super) fn settled(db: &mut Db, by_source: &BTreeMap<SourceId, BTreeSet<Scope>>, now: Timestamp) -> Result<(), StoreError> {
    for (id, scopes) in by_source {
        let source = find_or_make(db, id)?;
        for scope in scopes {
            db.run(SETTLED, (source.id, scope.as_str(), now.0))?;
        }
    }
    Ok(())
}

/// Brings the end of a scope's unsettled time forward to `until`, where it lies behind it.
pub(super) fn unsettled_no_longer_than(db: &Db, source: &SourceId, scope: &Scope, until: Timestamp) -> Result<(), StoreError> {
    let Some(source) = find(db, source)? else { return Ok(()) };
    db.run(SETTLES_BY, (source.id, scope.as_str(), until.0)).map(drop)
}

/// The scopes that touches spread to, ids looked up in `items`.
pub(super) fn spread(db: &Db, touched: &[Touched]) -> Result<BTreeMap<SourceId, BTreeSet<Scope>>, StoreError> {
    spread_all(touched, |source, item| match find(db, source)? {
        Some(source) => items::containers(db, source.id, item),
        None => Ok(Vec::new()),
    })
}

/// Marks what somebody else changed.
pub(super) fn changed(db: &mut Db, touched: &[Touched]) -> Result<Vec<Bumped>, StoreError> {
    let scopes = spread(db, touched)?;
    bump(db, &scopes, Mark::Changed)
}

/// Marks what Microsoft says is not there.
pub(super) fn absent(db: &mut Db, source: &SourceId, service: Service, missing: &[Missing]) -> Result<Vec<Bumped>, StoreError> {
    let number = find_or_make(db, source)?.id;
    let mut known = BTreeSet::new();
    for one in missing {
        if !items::containers(db, number, &one.id)?.is_empty() {
            known.insert(one.id.clone());
        }
    }
    let Some(absent) = Absent::new(source, service, missing, |id| known.contains(id)) else { return Ok(Vec::new()) };
    let mut bumped = changed(db, std::slice::from_ref(&absent.touched))?;
    for id in &known {
        items::forget(db, number, id)?;
    }
    bumped.extend(bump(db, &absent.themselves, Mark::Written { unsettled: None })?);
    Ok(bumped)
}

/// Scopes as [`crate::store::rules::may_store`] asks for them; each source's row is read once.
pub(super) struct Ask<'a> {
    db: &'a Db,
    met: BTreeMap<SourceId, Option<Source>>,
}

impl<'a> Ask<'a> {
    pub(super) fn new(db: &'a Db) -> Self {
        Self { db, met: BTreeMap::new() }
    }

    fn source(&mut self, id: &SourceId) -> Result<Option<Source>, StoreError> {
        if let Some(source) = self.met.get(id) {
            return Ok(*source);
        }
        let source = find(self.db, id)?;
        self.met.insert(id.clone(), source);
        Ok(source)
    }
}

impl Known for Ask<'_> {
    fn epoch(&mut self, source: &SourceId) -> Result<Option<Epoch>, StoreError> {
        Ok(self.source(source)?.map(|source| source.epoch))
    }

    fn marks(&mut self, source: &SourceId, scope: &Scope) -> Result<Marks, StoreError> {
        let Some(source) = self.source(source)? else { return Ok(Marks::default()) };
        marks(self.db, &source, scope)
    }
}
