//! Re-encryption: every account gets a new data key, tokens are sealed under it at once and answers some at a time, so that reads and writes
//! come in between. Until the end an answer may be sealed under the old key or the new one; the seal itself tells which. A kill loses at most
//! one step: how far it is stands in the file, beside the keys.
//!
//! When nothing is left under the old keys the file of before an upgrade goes, their wrapped form is overwritten, and the log that still holds
//! older pages is emptied. The note that it is under way goes last.

use std::path::Path;

use async_trait::async_trait;

use super::{Sqlcipher, StoreError, accounts, copy, db::Db, delta, entries, seal::new_data_key, thread::pragma, upgrade};
use crate::{
    cache::KeyHash,
    ids::AccountId,
    secret::Key,
    store::{Contents, Reencryption, Sealed, StoreKeys},
};

const PROGRESS: &str = "SELECT value FROM meta WHERE name = 'reencryption'";
const SET_PROGRESS: &str =
    "INSERT INTO meta (name, value) VALUES ('reencryption', ?1) ON CONFLICT (name) DO UPDATE SET value = excluded.value";
const END: &str = "DELETE FROM meta WHERE name = 'reencryption'";
const KEYS: &str = "SELECT id, account FROM data_keys ORDER BY id";
const REPLACE: &str = "UPDATE data_keys SET old_wrapped = wrapped, wrapped = ?2, generation = generation + 1 WHERE id = ?1";
const FORGET_OLD: &str = "UPDATE data_keys SET old_wrapped = x'' WHERE old_wrapped <> x''";
const GENERATION: &str = "SELECT coalesce(max(generation), 0) FROM data_keys";
const LAST: &str = "SELECT coalesce(max(id), 0) FROM cache_entries";
const TOTAL: &str = "SELECT coalesce(sum(entries), 0) FROM cache_stats";
const NEXT: &str = "SELECT key_hash, id, stored_len FROM cache_entries WHERE id > ?1 AND id <= ?2 ORDER BY id LIMIT ?3";
const RESEALED: &str = "UPDATE cache_bodies SET body = ?2 WHERE id = ?1";
#[cfg(test)]
pub(super) const SQL: &[&str] = &[PROGRESS, SET_PROGRESS, END, KEYS, REPLACE, FORGET_OLD, GENERATION, LAST, TOTAL, NEXT, RESEALED];

/// Answers, and bytes of them, sealed anew in one transaction: about 2 ms of the store's thread.
const AT_A_TIME: i64 = 64;
const BYTES_AT_A_TIME: i64 = 256 * 1024;

/// How far it is, as the file keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cursor {
    /// Everything up to this row is sealed under the new keys.
    after: i64,
    /// Rows behind this one were stored since it began.
    last: i64,
    done: u64,
    total: u64,
}

impl Cursor {
    fn pack(self) -> Vec<u8> {
        [self.after.to_le_bytes(), self.last.to_le_bytes(), self.done.to_le_bytes(), self.total.to_le_bytes()].concat()
    }

    fn unpack(bytes: &[u8]) -> Option<Self> {
        let (parts, []) = bytes.as_chunks::<8>() else { return None };
        let [after, last, done, total] = <[[u8; 8]; 4]>::try_from(parts).ok()?;
        Some(Self {
            after: i64::from_le_bytes(after),
            last: i64::from_le_bytes(last),
            done: u64::from_le_bytes(done),
            total: u64::from_le_bytes(total),
        })
    }

    fn told(self, ended: bool) -> Reencryption {
        Reencryption { done: self.done, total: self.total.max(self.done), ended }
    }
}

fn cursor(db: &Db) -> Result<Option<Cursor>, StoreError> {
    let kept = db.one(PROGRESS, (), |row| row.get::<_, Vec<u8>>(0))?;
    // Read from its beginning again, a row that is sealed anew already is left as it is.
    Ok(kept.map(|bytes| Cursor::unpack(&bytes).unwrap_or(Cursor { after: 0, last: i64::MAX, done: 0, total: 0 })))
}

fn number(db: &Db, sql: &str) -> Result<i64, StoreError> {
    Ok(db.one(sql, (), |row| row.get(0))?.unwrap_or(0))
}

/// Makes the new keys and seals tokens under them, unless one is under way.
fn begin(db: &mut Db) -> Result<Reencryption, StoreError> {
    if let Some(cursor) = cursor(db)? {
        return Ok(cursor.told(false));
    }
    for (id, account) in db.all(KEYS, (), |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)))? {
        // One that does not open any more would be lost with its answers unnoticed.
        db.owner_by_id(id)?;
        let (_, wrapped) = new_data_key(db.wrapping_in_force()?, &*db.dice, &account);
        db.run(REPLACE, (id, wrapped))?;
        db.drop_owner(id);
        let account = AccountId::new(account);
        if let Some(record) = accounts::tokens(db, &account)? {
            accounts::save_tokens(db, &account, &record)?;
        }
        delta::reseal(db, id)?;
    }
    let total = u64::try_from(number(db, TOTAL)?).unwrap_or(0);
    let cursor = Cursor { after: 0, last: number(db, LAST)?, done: 0, total };
    db.run(SET_PROGRESS, [cursor.pack()])?;
    Ok(cursor.told(false))
}

/// Seals at most `most` answers anew. `None` when there is nothing to do.
fn step(db: &mut Db, most: i64) -> Result<Option<Reencryption>, StoreError> {
    let Some(mut cursor) = cursor(db)? else { return Ok(None) };
    let rows = next(db, cursor, most)?;
    if rows.is_empty() {
        return Ok(Some(cursor.told(true)));
    }
    let mut bytes = 0;
    for (key, id, length) in rows {
        if let Some(sealed) = entries::reseal(db, KeyHash(key))? {
            db.run(RESEALED, (id, sealed))?;
        }
        cursor.after = id;
        cursor.done += 1;
        bytes += length;
        if bytes >= BYTES_AT_A_TIME {
            break;
        }
    }
    db.run(SET_PROGRESS, [cursor.pack()])?;
    Ok(Some(cursor.told(false)))
}

/// Goes on behind an answer whose page is damaged: nobody can open it under any key, and whoever asks for it has it removed.
fn skip(db: &mut Db) -> Result<Option<Reencryption>, StoreError> {
    let Some(mut cursor) = cursor(db)? else { return Ok(None) };
    if let Some((_, id, _)) = next(db, cursor, 1)?.first() {
        cursor.after = *id;
        cursor.done += 1;
        db.run(SET_PROGRESS, [cursor.pack()])?;
    }
    Ok(Some(cursor.told(false)))
}

/// Names, numbers and lengths of the answers that come next.
fn next(db: &Db, cursor: Cursor, most: i64) -> Result<Vec<([u8; 16], i64, i64)>, StoreError> {
    db.all(NEXT, (cursor.after, cursor.last, most), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
}

/// Destroys the old keys.
fn destroy(db: &mut Db) -> Result<(), StoreError> {
    pragma(db, "PRAGMA secure_delete = ON")?;
    let gone = db.run(FORGET_OLD, ());
    pragma(db, "PRAGMA secure_delete = FAST")?;
    gone?;
    db.forget_owners();
    Ok(())
}

#[async_trait]
impl Sealed for Sqlcipher {
    async fn rewrap(&self, next: Key) -> Result<(), StoreError> {
        let done = self.thread.ledger(move |db| db.rewrap(&next)).await;
        self.thread.read(Db::settle_wrapping).await?;
        done
    }

    async fn begin_reencryption(&self) -> Result<Reencryption, StoreError> {
        self.thread.ledger(begin).await
    }

    async fn reencrypt_some(&self) -> Result<Option<Reencryption>, StoreError> {
        let weight = usize::try_from(BYTES_AT_A_TIME).unwrap_or(0);
        let mut progress = self.thread.cache(weight, |db| step(db, AT_A_TIME)).await;
        // One of them lies on a damaged page: it is found by going on alone.
        if matches!(progress, Err(StoreError::Damaged(_))) {
            progress = self.thread.cache(weight, |db| step(db, 1)).await;
        }
        if matches!(progress, Err(StoreError::Damaged(_))) {
            progress = self.thread.cache(0, skip).await;
        }
        let Some(progress) = progress? else { return Ok(None) };
        if progress.ended {
            // It holds the old keys.
            upgrade::forget(&self.place.path)?;
            self.thread.ledger(destroy).await?;
            if !self.thread.read(Db::empty_log).await? {
                return Err(StoreError::Failed("the file is being copied, and the old keys are destroyed when that has ended".into()));
            }
            // Only now, so that whatever cuts it short is made up for.
            self.thread.ledger(|db| db.run(END, ()).map(drop)).await?;
        }
        Ok(Some(progress))
    }

    async fn reencryption(&self) -> Result<(Option<Reencryption>, u64), StoreError> {
        let look = |db: &mut Db| {
            let under_way = cursor(db)?.map(|cursor| cursor.told(false));
            Ok((under_way, u64::try_from(number(db, GENERATION)?).unwrap_or(0)))
        };
        self.thread.read(look).await
    }

    fn copy_to(&self, to: &Path, keys: &StoreKeys) -> Result<Contents, StoreError> {
        copy::copy_to(&self.place, to, keys)
    }
}
