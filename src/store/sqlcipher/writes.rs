//! The journal of our own writes: opened before sending, closed with the bumps in one transaction, only then answered (`truth.md`, *Writes*).

use std::collections::{BTreeMap, BTreeSet};

use super::{
    StoreError, audit,
    db::Db,
    items,
    pack::{pack_scopes, pack_touched, unpack_scopes, unpack_touched},
    scopes::{self, Mark},
};
use crate::{
    audit::Event,
    cache::{Bumped, Learned, Scope, SourceId, Touched},
    clock::Timestamp,
    ids::AccountId,
    store::{
        NewWrite, OpenWrite, Outcome, WriteId,
        rules::{KEPT_ROWS, Unsettled, set_back},
        trail,
    },
};

const OPEN: &str = "INSERT INTO writes (call_key, account, tool, args_hash, touched, opened_at, client, audited)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (call_key) DO NOTHING RETURNING id";
const PRUNE: &str = "DELETE FROM writes WHERE id <= ?1 AND state > 0 AND unsettled_until = 0";
const TOUCHED: &str = "SELECT touched, account, tool, client, audited FROM writes WHERE id = ?1 AND state = 0";
const CLOSE: &str = "UPDATE writes SET state = ?2, closed_at = ?3, unsettled_until = ?4, bumped = ?5 WHERE id = ?1";
const STILL_OPEN: &str =
    "SELECT id, call_key, account, tool, args_hash, touched, opened_at, client FROM writes WHERE state = 0 ORDER BY id";
const DUE: &str = "SELECT id, bumped FROM writes WHERE unsettled_until > 0 AND unsettled_until <= ?1";
/// Written before the clock was set back.
const AHEAD: &str = "SELECT id, bumped, unsettled_until - closed_at FROM writes WHERE unsettled_until > 0 AND closed_at > ?1";
const BEGIN_ANEW: &str = "UPDATE writes SET closed_at = ?2, unsettled_until = ?3 WHERE id = ?1";
const SETTLED: &str = "UPDATE writes SET unsettled_until = 0, bumped = x'' WHERE id = ?1";
const NEXT_DUE: &str = "SELECT unsettled_until FROM writes WHERE unsettled_until > 0 ORDER BY unsettled_until LIMIT 1";
#[cfg(test)]
pub(super) const SQL: &[&str] = &[OPEN, PRUNE, TOUCHED, CLOSE, STILL_OPEN, DUE, AHEAD, BEGIN_ANEW, SETTLED, NEXT_DUE];

/// What is known when a write is closed.
pub(super) struct Closing {
    pub(super) outcome: Outcome,
    pub(super) extra: Vec<Touched>,
    pub(super) learned: Vec<Learned>,
    pub(super) unsettled_until: Timestamp,
    pub(super) now: Timestamp,
}

fn damaged() -> StoreError {
    StoreError::Damaged("a row of the journal does not read".into())
}

/// Journals a write that is about to be sent.
pub(super) fn open(db: &mut Db, write: &NewWrite) -> Result<WriteId, StoreError> {
    // Before the row that refers to it; both or neither.
    let audited = audit::append(db, &[trail::begun(write)])?.cast_signed();
    let touched = pack_touched(&write.touched);
    let row = (&write.call_key, write.account.as_str(), &write.tool, write.args_hash, touched, write.at.0, &write.client, audited);
    let Some(id) = db.one(OPEN, row, |row| row.get::<_, i64>(0))? else {
        return Err(StoreError::Journalled);
    };
    db.run(PRUNE, [id - i64::try_from(KEPT_ROWS).unwrap_or(i64::MAX)])?;
    Ok(WriteId(id))
}

/// Closes an open write and bumps what it touched.
pub(super) fn close(db: &mut Db, id: WriteId, closing: &Closing) -> Result<Vec<Bumped>, StoreError> {
    let row = db.one(TOUCHED, [id.0], |row| {
        let (account, tool, client) = (AccountId::new(row.get::<_, String>(1)?), row.get::<_, String>(2)?, row.get::<_, String>(3)?);
        let ended = trail::ended(&account, &tool, &client, &closing.outcome, closing.now);
        Ok((row.get::<_, Vec<u8>>(0)?, Event { refers: row.get::<_, i64>(4)?.cast_unsigned(), ..ended }))
    })?;
    let Some((packed, ended)) = row else {
        return Err(StoreError::Failed("the write is not open".into()));
    };
    audit::append(db, &[ended])?;
    let mut touched = vec![unpack_touched(&packed).ok_or_else(damaged)?];
    touched.extend(closing.extra.iter().cloned());
    // The items are asked before the reply's lesson replaces them: what was shown in the old container is overtaken, too.
    let (state, scopes) = match closing.outcome {
        Outcome::Refused => (2, BTreeMap::new()),
        Outcome::Done { .. } => (1, scopes::spread(db, &touched)?),
        Outcome::Unknown => (3, scopes::spread(db, &touched)?),
    };
    let unsettled = Unsettled::after(&closing.outcome, closing.unsettled_until);
    let bumped = scopes::bump(db, &scopes, Mark::Written { unsettled })?;
    if closing.outcome != Outcome::Refused {
        items::reset(db, &closing.learned, closing.now)?;
    }
    // Only what has to be bumped again is kept.
    let again = unsettled.map_or_else(Vec::new, |unsettled| pack_scopes(&unsettled.of(&scopes)));
    db.run(CLOSE, (id.0, state, closing.now.0, unsettled.map_or(0, |_| closing.unsettled_until.0), again))?;
    Ok(bumped)
}

/// Closes every open row as of unknown outcome, and returns them.
pub(super) fn recover(db: &mut Db, unsettled_until: Timestamp, now: Timestamp) -> Result<Vec<OpenWrite>, StoreError> {
    let rows = db.all(STILL_OPEN, (), |row| {
        let touched: Vec<u8> = row.get(5)?;
        let write = unpack_touched(&touched).map(|touched| -> rusqlite::Result<NewWrite> {
            Ok(NewWrite {
                call_key: row.get(1)?,
                account: AccountId::new(row.get::<_, String>(2)?),
                tool: row.get(3)?,
                args_hash: row.get(4)?,
                touched,
                at: Timestamp(row.get(6)?),
                client: row.get(7)?,
                targets: Vec::new(),
            })
        });
        Ok((WriteId(row.get(0)?), write.transpose()?))
    })?;
    let mut open = Vec::with_capacity(rows.len());
    for (id, write) in rows {
        let write = write.ok_or_else(damaged)?;
        let closing = Closing { outcome: Outcome::Unknown, extra: Vec::new(), learned: Vec::new(), unsettled_until, now };
        close(db, id, &closing)?;
        open.push(OpenWrite { id, write });
    }
    Ok(open)
}

/// Begins the unsettled time of writes anew that were closed before the clock was set back.
fn begin_anew(db: &mut Db, now: Timestamp) -> Result<(), StoreError> {
    let mut latest: BTreeMap<(SourceId, Scope), i64> = BTreeMap::new();
    for (id, packed, length) in
        db.all(AHEAD, [set_back(now).0], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?, row.get::<_, i64>(2)?)))?
    {
        let until = now.0.saturating_add(length.max(0));
        for (source, scopes) in unpack_scopes(&packed).ok_or_else(damaged)? {
            for scope in scopes {
                let known = latest.entry((source.clone(), scope)).or_insert(until);
                *known = until.max(*known);
            }
        }
        db.run(BEGIN_ANEW, (id, now.0, until))?;
    }
    for ((source, scope), until) in latest {
        scopes::unsettled_no_longer_than(db, &source, &scope, Timestamp(until))?;
    }
    Ok(())
}

/// Bumps again what the writes touched whose unsettled time has ended, and tells when the next one ends.
pub(super) fn settle(db: &mut Db, now: Timestamp) -> Result<(Vec<Bumped>, Option<Timestamp>), StoreError> {
    begin_anew(db, now)?;
    let mut due: BTreeMap<SourceId, BTreeSet<Scope>> = BTreeMap::new();
    for (id, packed) in db.all(DUE, [now.0], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?)))? {
        for (source, scopes) in unpack_scopes(&packed).ok_or_else(damaged)? {
            due.entry(source).or_default().extend(scopes);
        }
        db.run(SETTLED, [id])?;
    }
    scopes::settled(db, &due, now)?;
    let bumped = scopes::bump(db, &due, Mark::Written { unsettled: None })?;
    let next = db.one(NEXT_DUE, (), |row| row.get(0))?.map(Timestamp);
    Ok((bumped, next))
}
