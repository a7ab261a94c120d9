//! Handles in the file: numbers reserved durably before they are given, rows beside the entries that show them.

use async_trait::async_trait;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Sqlcipher, StoreError, db::Db};
use crate::{
    clock::Timestamp,
    ids::AccountId,
    store::handles::{BLOCK, Handle, Handles, SHOWN_GRAIN_MS, Thing, first_number, jump},
};

const FIND: &str = "SELECT number, letter, id, shown FROM handles WHERE owner = ?1 AND mark = ?2";
const GIVE: &str = "INSERT INTO handles (number, owner, letter, mark, id, shown) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
const SHOWN: &str = "UPDATE handles SET shown = ?2 WHERE number = ?1";
const NAMED: &str = "SELECT handles.letter, data_keys.account, handles.id FROM handles JOIN data_keys ON data_keys.id = handles.owner
    WHERE handles.number = ?1";
const COUNT: &str = "SELECT count(*) FROM handles WHERE owner = ?1";
const FORGET: &str = "DELETE FROM handles WHERE number IN (SELECT number FROM handles WHERE owner = ?1 ORDER BY shown LIMIT ?2)";
const LAST: &str = "SELECT max(number) FROM handles";
const ALL: &str = "SELECT number, letter, id, shown FROM handles WHERE owner = ?1 ORDER BY shown";
const NUMBERS: &str = "SELECT value FROM meta WHERE name = 'handle_numbers'";
const SET_NUMBERS: &str =
    "INSERT INTO meta (name, value) VALUES ('handle_numbers', ?1) ON CONFLICT (name) DO UPDATE SET value = excluded.value";
const FORGET_NUMBERS: &str = "DELETE FROM meta WHERE name = 'handle_numbers'";
const SHOWS: &str = "SELECT value FROM meta WHERE name = 'handles_shown'";
const SET_SHOWS: &str =
    "INSERT INTO meta (name, value) VALUES ('handles_shown', ?1) ON CONFLICT (name) DO UPDATE SET value = excluded.value";
#[cfg(test)]
pub(super) const SQL: &[&str] =
    &[FIND, GIVE, SHOWN, NAMED, COUNT, FORGET, ALL, LAST, NUMBERS, SET_NUMBERS, FORGET_NUMBERS, SHOWS, SET_SHOWS];

/// Things named in one step, so that others' reads come in between.
const AT_A_TIME: usize = 256;
/// Bytes that a row writes, about.
const ROW: usize = 256;

fn mark(id: &str) -> i64 {
    let digest = Sha256::digest(id.as_bytes());
    digest.first_chunk().map_or(0, |half| i64::from_le_bytes(*half))
}

fn handle(letter: &str, number: i64) -> Handle {
    Handle::new(letter.chars().next().unwrap_or('x'), number.cast_unsigned())
}

/// The handle of a thing, and when that was last shown.
fn find(db: &Db, owner: i64, id: &str) -> Result<Option<(Handle, i64)>, StoreError> {
    let rows = db.all(FIND, (owner, mark(id)), |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?, row.get::<_, i64>(3)?))
    })?;
    Ok(rows.into_iter().find(|(_, _, known, _)| known == id).map(|(number, letter, _, shown)| (handle(&letter, number), shown)))
}

fn is_old(shown: i64, now: Timestamp) -> bool {
    now.0.saturating_sub(shown) > SHOWN_GRAIN_MS
}

/// The handles of things that all have one and were shown lately; `None` when something is to be written.
fn known(db: &mut Db, account: &AccountId, things: &[Thing], now: Timestamp) -> Result<Option<Vec<Handle>>, StoreError> {
    let Some(owner) = db.owner(account)? else { return Ok(None) };
    let mut handles = Vec::with_capacity(things.len());
    for thing in things {
        match find(db, owner.id, &thing.id)? {
            Some((handle, shown)) if !is_old(shown, now) => handles.push(handle),
            _ => return Ok(None),
        }
    }
    Ok(Some(handles))
}

/// The same, with new ones for things that have none; `None` when too few numbers are reserved.
fn give(db: &mut Db, account: &AccountId, things: &[Thing], now: Timestamp) -> Result<Option<Vec<Handle>>, StoreError> {
    let owner = db.owner_or_make(account)?.id;
    let mut handles = Vec::with_capacity(things.len());
    for thing in things {
        if let Some((handle, shown)) = find(db, owner, &thing.id)? {
            if is_old(shown, now) {
                db.run(SHOWN, (handle.number().cast_signed(), now.0))?;
            }
            handles.push(handle);
            continue;
        }
        let Some(number) = db.numbers.next() else { return Ok(None) };
        db.run(GIVE, (number, owner, thing.letter.to_string(), mark(&thing.id), &thing.id, now.0))?;
        handles.push(Handle::new(thing.letter, number.cast_unsigned()));
    }
    Ok(Some(handles))
}

fn reserved(db: &Db) -> Result<Option<i64>, StoreError> {
    let value = db.one(NUMBERS, (), |row| row.get::<_, Vec<u8>>(0))?;
    let read = |value: Vec<u8>| value.try_into().map(i64::from_le_bytes);
    value.map(read).transpose().map_err(|_| StoreError::Damaged("the numbers of handles do not read".into()))
}

/// Reserves the next block. In a durable transaction.
fn reserve(db: &mut Db) -> Result<(), StoreError> {
    let from = match reserved(db)? {
        Some(end) => end,
        None => first_number(&*db.dice),
    };
    db.run(SET_NUMBERS, [(from + BLOCK).to_le_bytes()])?;
    // Rolled back with the transaction: see `Db::transact`.
    db.numbers = from..from + BLOCK;
    Ok(())
}

/// The file was put back: it does not know which numbers were given after it was kept. A file from before there were any has nothing to pass over.
pub(super) fn pass_over(db: &mut Db) -> Result<(), StoreError> {
    if let Some(end) = reserved(db)? {
        db.run(SET_NUMBERS, [(end + jump(&*db.dice)).to_le_bytes()])?;
        db.numbers = 0..0;
    }
    Ok(())
}

/// Forgets some things of an owner, those not shown for longest first.
pub(super) fn forget_some(db: &mut Db, owner: i64, most: i64) -> Result<usize, StoreError> {
    db.run(FORGET, (owner, most))
}

fn forget_beyond(db: &mut Db, account: &AccountId, keep: i64, most: i64) -> Result<usize, StoreError> {
    let Some(owner) = db.owner(account)? else { return Ok(0) };
    let held = db.one(COUNT, [owner.id], |row| row.get::<_, i64>(0))?.unwrap_or_default();
    let over = (held - keep).clamp(0, most);
    if over == 0 { Ok(0) } else { forget_some(db, owner.id, over) }
}

/// The file was saved from damage: what it knows of the numbers that were given may be too little, or nothing.
pub(super) fn saved(db: &mut Db) -> Result<(), StoreError> {
    let last = db.one(LAST, (), |row| row.get::<_, Option<i64>>(0))?.flatten();
    // A damaged page may come back as zeroes; no file begins there.
    let end = reserved(db).ok().flatten().filter(|end| *end > 0).max(last.map(|last| last + BLOCK));
    match end {
        Some(end) => db.run(SET_NUMBERS, [end.to_le_bytes()]).and_then(|_| pass_over(db)),
        None => db.run(FORGET_NUMBERS, ()).map(drop),
    }
}

/// What an owner's handles name, for the person whose data it is.
pub(super) fn shown_of(db: &Db, owner: i64) -> Result<Vec<Value>, StoreError> {
    db.all(ALL, [owner], |row| {
        let handle = handle(&row.get::<_, String>(1)?, row.get(0)?);
        Ok(json!({ "handle": handle.to_string(), "id": row.get::<_, String>(2)?, "shown_at": Timestamp(row.get(3)?).rfc3339() }))
    })
}

fn show(db: &mut Db, shows: bool) -> Result<bool, StoreError> {
    let showed = db.one(SHOWS, (), |row| row.get::<_, Vec<u8>>(0))?.is_some_and(|value| value == [1]);
    db.run(SET_SHOWS, [[u8::from(shows)]])?;
    Ok(showed)
}

#[async_trait]
impl Handles for Sqlcipher {
    async fn name(&self, account: &AccountId, things: Vec<Thing>, now: Timestamp) -> Result<Vec<Handle>, StoreError> {
        let mut handles = Vec::with_capacity(things.len());
        for some in things.chunks(AT_A_TIME) {
            let (whose, wanted) = (account.clone(), some.to_vec());
            let mut named = self.thread.read(move |db| known(db, &whose, &wanted, now)).await?;
            while named.is_none() {
                let (whose, wanted) = (account.clone(), some.to_vec());
                named = self.thread.cache(some.len() * ROW, move |db| give(db, &whose, &wanted, now)).await?;
                if named.is_none() {
                    self.thread.ledger(reserve).await?;
                }
            }
            handles.extend(named.unwrap_or_default());
        }
        Ok(handles)
    }

    async fn named(&self, handle: Handle) -> Result<Option<(AccountId, String)>, StoreError> {
        let row = self.thread.read(move |db| {
            db.one(NAMED, [handle.number().cast_signed()], |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?))
            })
        });
        let same =
            |(letter, account, id): (String, String, String)| letter.starts_with(handle.letter()).then(|| (AccountId::new(account), id));
        Ok(row.await?.and_then(same))
    }

    async fn forget_handles(&self, account: &AccountId, keep: u64, most: usize) -> Result<usize, StoreError> {
        let (account, keep) = (account.clone(), i64::try_from(keep).unwrap_or(i64::MAX));
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let wanted = account.clone();
        // Asked first: nothing is written where nothing is over.
        let over = self.thread.read(move |db| match db.owner(&wanted)? {
            Some(owner) => Ok(db.one(COUNT, [owner.id], |row| row.get::<_, i64>(0))?.unwrap_or_default() > keep),
            None => Ok(false),
        });
        if !over.await? {
            return Ok(0);
        }
        self.thread.cache(ROW, move |db| forget_beyond(db, &account, keep, most)).await
    }

    async fn show_handles(&self, shows: bool) -> Result<bool, StoreError> {
        self.thread.ledger(move |db| show(db, shows)).await
    }
}
