//! Entries: read by key, stored unless overtaken, removed. Bodies are compressed and opened on the caller's side, so that the store's
//! thread is not held up by them.

use std::sync::{Arc, atomic::Ordering};

use bytes::Bytes;

use super::{
    Sqlcipher, StoreError,
    codec::{self, Codec, MOST_RAW},
    db::{Db, Owner},
    items,
    pack::{Head, pack_places, unpack_places},
    scopes::{self, Ask},
    seal::{BodyIdentity, OVERHEAD},
    stats::{self, Change},
};
use crate::{
    cache::{Body, CacheKey, Entry, EntryMeta, Escaped, KeyHash, Shown},
    clock::Timestamp,
    store::{
        Guard, Put,
        rules::{arg_text, is_newer, may_store, same_sources},
    },
};

const GET: &str = "SELECT e.owner, e.tool, e.codec, e.raw_len, e.fetch_started, e.revision, b.head,
    CASE WHEN e.stored_len <= ?2 THEN b.body END
    FROM cache_entries e CROSS JOIN cache_bodies b ON b.id = e.id WHERE e.key_hash = ?1";
const OLD: &str = "SELECT id, owner, tool, revision, raw_len, stored_len, fetch_started FROM cache_entries WHERE key_hash = ?1";
const HEAD: &str = "SELECT head FROM cache_bodies WHERE id = ?1";
const INSERT: &str = "INSERT INTO cache_entries
    (id, key_hash, owner, tool, codec, raw_len, stored_len, fetch_started, created, last_used, revision)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9, ?10)";
const REPLACE: &str =
    "UPDATE cache_entries SET codec = ?2, raw_len = ?3, stored_len = ?4, fetch_started = ?5, revision = ?6, last_used = ?7
    WHERE id = ?1";
const NEW_BODY: &str = "INSERT INTO cache_bodies (head, body) VALUES (?1, ?2) RETURNING id";
const REPLACE_BODY: &str = "UPDATE cache_bodies SET head = ?2, body = ?3 WHERE id = ?1";
const ARG: &str = "INSERT INTO entry_args (entry, name, value, whole) VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT (entry, name) DO UPDATE SET value = excluded.value, whole = excluded.whole";
const REMOVED: &str = "DELETE FROM cache_entries WHERE id = ?1 RETURNING owner, tool, raw_len, stored_len, hits";
const REMOVE_BODY: &str = "DELETE FROM cache_bodies WHERE id = ?1";
const REMOVE_ARGS: &str = "DELETE FROM entry_args WHERE entry = ?1";
#[cfg(test)]
pub(super) const SQL: &[&str] = &[GET, OLD, HEAD, INSERT, REPLACE, NEW_BODY, REPLACE_BODY, ARG, REMOVED, REMOVE_BODY, REMOVE_ARGS];

/// Bodies up to this size are compressed and opened where they are asked for; larger ones on a thread for blocking work.
const ON_THE_SPOT: usize = 256 * 1024;
/// Stored bodies up to this size are read where they are asked for while the store's thread has nothing to do: about 16 pages, so that
/// even with none of them in the pager's cache it takes a quarter of a millisecond.
pub(super) const SMALL: i64 = 64 * 1024;
/// Most characters of an argument that are indexed.
pub(super) const INDEXED: usize = 512;

/// An entry as it was read, still sealed.
pub(super) struct Row {
    owner: Owner,
    tool: String,
    codec: u8,
    raw_len: i64,
    fetch_started: i64,
    revision: i64,
    head: Vec<u8>,
    body: Vec<u8>,
}

/// What was found under a key.
pub(super) enum Found {
    Nothing,
    Row(Row),
    /// A body over the limit, which was not read.
    Larger,
}

pub(super) fn fetch(db: &mut Db, key: KeyHash, most: i64) -> Result<Found, StoreError> {
    let row = db.one(GET, (key.0, most), |row| {
        let rest = (row.get::<_, u8>(2)?, row.get(3)?, row.get(4)?, row.get(5)?, row.get(6)?, row.get::<_, Option<_>>(7)?);
        Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, rest))
    })?;
    let Some((owner, tool, (codec, raw_len, fetch_started, revision, head, body))) = row else { return Ok(Found::Nothing) };
    let Some(body) = body else { return Ok(Found::Larger) };
    // Rows of an account whose key is gone can never be opened again.
    let Some(owner) = db.owner_by_id(owner)? else { return Ok(Found::Nothing) };
    Ok(Found::Row(Row { owner, tool, codec, raw_len, fetch_started, revision, head, body }))
}

/// The body of an entry that is still sealed under the account's old key, sealed under the new one; `None` for any other.
pub(super) fn reseal(db: &mut Db, key: KeyHash) -> Result<Option<Vec<u8>>, StoreError> {
    let Found::Row(mut row) = fetch(db, key, i64::MAX)? else { return Ok(None) };
    let aad = row.aad(key);
    let plain = row.owner.open_old(&aad, &mut row.body);
    Ok(plain.map(|plain| row.owner.key.seal(&*db.dice, &aad, &[plain])))
}

impl Row {
    /// What its seal is bound to.
    fn aad(&self, key: KeyHash) -> Vec<u8> {
        BodyIdentity {
            account: self.owner.account.as_str(),
            tool: &self.tool,
            key_hash: key.0,
            revision: self.revision.cast_unsigned(),
            fetch_started: self.fetch_started,
            codec: self.codec,
            raw_len: self.raw_len.cast_unsigned(),
            head: &self.head,
        }
        .aad()
    }

    /// Opens the entry; `None` when anything of it is not as it was stored.
    fn open(mut self, key: KeyHash) -> Option<Entry> {
        let raw_len = usize::try_from(self.raw_len).ok().filter(|length| *length <= MOST_RAW)?;
        let aad = self.aad(key);
        let plain = self.owner.open(&aad, &mut self.body)?;
        let (items, places) = unpack_places(plain)?;
        let text = match Codec::from_number(self.codec)? {
            Codec::Plain if plain.len() - places == raw_len => {
                // Behind the nonce and the places; the tag is cut off. Not copied.
                let begin = self.body.len() - 16 - raw_len;
                Bytes::from(self.body).slice(begin..begin + raw_len)
            }
            Codec::Plain => return None,
            codec => codec::decompress(codec, &plain[places..], raw_len)?.into(),
        };
        let head = Head::unpack(&self.head)?;
        let key = CacheKey { hash: key, tool: self.tool.into(), account: self.owner.account, args: head.args };
        let meta = EntryMeta {
            key,
            readings: head.readings,
            fetch_started: Timestamp(self.fetch_started),
            etag: head.etag,
            revision: self.revision.cast_unsigned(),
        };
        Some(Entry { meta, body: Body { text: Escaped(text), items } })
    }
}

/// An answer made ready for the store's thread.
struct Prepared {
    meta: EntryMeta,
    head: Vec<u8>,
    places: Vec<u8>,
    codec: Codec,
    packed: Bytes,
    raw_len: i64,
}

fn prepare(entry: Entry) -> Prepared {
    let text = entry.body.text.0;
    let (codec, packed) = match codec::compress(&text) {
        (codec, std::borrow::Cow::Owned(packed)) => (codec, packed.into()),
        (codec, std::borrow::Cow::Borrowed(_)) => (codec, text.clone()),
    };
    Prepared {
        head: Head::pack(&entry.meta.key.args, entry.meta.etag.as_deref(), &entry.meta.readings),
        places: pack_places(&entry.body.items),
        meta: entry.meta,
        codec,
        packed,
        raw_len: i64::try_from(text.len()).unwrap_or(i64::MAX),
    }
}

impl Sqlcipher {
    /// Reads and opens an entry. A damaged one is a miss: it is counted, the connection that met it is replaced, the row removed.
    pub(super) async fn get_entry(&self, key: KeyHash) -> Result<Option<Entry>, StoreError> {
        let found = match self.thread.read_now(|db| fetch(db, key, SMALL)) {
            None | Some(Ok(Found::Larger)) => self.thread.read(move |db| fetch(db, key, i64::MAX)).await,
            Some(found) => found,
        };
        let row = match found {
            Ok(Found::Row(row)) => row,
            // Nothing is larger than the second limit.
            Ok(Found::Nothing | Found::Larger) => return Ok(None),
            Err(StoreError::Damaged(_)) => return Ok(self.lost(key, None).await),
            Err(error) => return Err(error),
        };
        let revision = row.revision;
        let opened = if row.body.len() + usize::try_from(row.raw_len).unwrap_or(0) > ON_THE_SPOT {
            tokio::task::spawn_blocking(move || row.open(key)).await.map_err(|_| StoreError::Closed)?
        } else {
            row.open(key)
        };
        match opened {
            Some(entry) => Ok(Some(entry)),
            None => Ok(self.lost(key, Some(revision)).await),
        }
    }

    /// Deals with a damaged row. Its caller has a miss, whatever becomes of the row: it is met again or overwritten by the next `put`.
    async fn lost(&self, key: KeyHash, revision: Option<i64>) -> Option<Entry> {
        self.damaged.fetch_add(1, Ordering::Relaxed);
        if revision.is_some() {
            // The bad page was handed out as a good one, so the connection does not know yet, but it is poisoned.
            let _ = self.thread.read(|db| db.reopen()).await;
        }
        // The name goes first and by itself, so that the key can be stored again under a new number even when the page of the body
        // is past deleting; such a body stays behind, and nothing names it.
        let named = self.thread.cache(0, move |db| match old(db, key)? {
            // Not one that has been replaced since.
            Some(old) if revision.is_none_or(|revision| revision == old.revision) => unname(db, old.id).map(|_| Some(old.id)),
            _ => Ok(None),
        });
        if let Ok(Some(id)) = named.await {
            let _ = self.thread.cache(0, move |db| db.run(REMOVE_BODY, [id]).map(drop)).await;
        }
        None
    }

    /// Stores an answer.
    pub(super) async fn put_entry(&self, entry: Entry, shown: Vec<Shown>, now: Timestamp) -> Result<Put, StoreError> {
        let bytes = entry.body.text.0.len();
        if bytes > self.limits.entry_bytes {
            return Ok(Put::TooLarge);
        }
        if self.guard.get().is_some_and(Guard::low) {
            return Ok(Put::NoRoom);
        }
        let prepared = if bytes > ON_THE_SPOT {
            tokio::task::spawn_blocking(move || prepare(entry)).await.map_err(|_| StoreError::Closed)?
        } else {
            prepare(entry)
        };
        let weight = prepared.packed.len() + prepared.head.len() + OVERHEAD;
        let key = prepared.meta.key.hash;
        let ready = Arc::new((prepared, shown));
        let again = ready.clone();
        match self.thread.cache(weight, move |db| put(db, &ready.0, &ready.1, now)).await {
            // What stands in the way is most likely the damaged row that was to be replaced.
            Err(StoreError::Damaged(_)) => {
                self.lost(key, None).await;
                self.thread.cache(weight, move |db| put(db, &again.0, &again.1, now)).await
            }
            done => done,
        }
    }
}

/// A stored entry that may be replaced.
struct Old {
    id: i64,
    owner: i64,
    tool: String,
    revision: i64,
    raw_len: i64,
    stored_len: i64,
    fetch_started: i64,
}

fn old(db: &Db, key: KeyHash) -> Result<Option<Old>, StoreError> {
    db.one(OLD, [key.0], |row| {
        Ok(Old {
            id: row.get(0)?,
            owner: row.get(1)?,
            tool: row.get(2)?,
            revision: row.get(3)?,
            raw_len: row.get(4)?,
            stored_len: row.get(5)?,
            fetch_started: row.get(6)?,
        })
    })
}

/// Whether `old` was asked for later than `new` and stays. One that cannot be read does not.
fn stays(db: &Db, old: &Old, new: &EntryMeta, now: Timestamp) -> Result<bool, StoreError> {
    if !is_newer(Timestamp(old.fetch_started), new.fetch_started, now) {
        return Ok(false);
    }
    let head = db.one(HEAD, [old.id], |row| row.get::<_, Vec<u8>>(0))?.and_then(|head| Head::unpack(&head));
    Ok(head.is_some_and(|head| same_sources(&head.readings, &new.readings)))
}

/// Judges an answer; what one that may be kept shows is known from then on.
pub(super) fn admit(db: &mut Db, meta: &EntryMeta, shown: &[Shown], now: Timestamp) -> Result<bool, StoreError> {
    let admitted = may_store(meta, shown, now, &mut Ask::new(db))?;
    if admitted {
        items::add(db, shown, now)?;
        for reading in &meta.readings {
            scopes::used(db, &reading.source, now)?;
        }
    }
    Ok(admitted)
}

fn put(db: &mut Db, new: &Prepared, shown: &[Shown], now: Timestamp) -> Result<Put, StoreError> {
    if !admit(db, &new.meta, shown, now)? {
        return Ok(Put::Overtaken);
    }
    let key = &new.meta.key;
    let owner = db.owner_or_make(&key.account)?;
    let mut old = old(db, key.hash)?;
    // The hash is made of account and tool, so another one's row under it is damaged or was moved there.
    if let Some(other) = old.take_if(|old| old.owner != owner.id || old.tool != *key.tool) {
        remove(db, other.id)?;
    }
    if let Some(old) = &old
        && stays(db, old, &new.meta, now)?
    {
        return Ok(Put::Older);
    }
    let revision = old.as_ref().map_or(1, |old| old.revision + 1);
    let aad = BodyIdentity {
        account: key.account.as_str(),
        tool: &key.tool,
        key_hash: key.hash.0,
        revision: revision.cast_unsigned(),
        fetch_started: new.meta.fetch_started.0,
        codec: new.codec as u8,
        raw_len: new.raw_len.cast_unsigned(),
        head: &new.head,
    }
    .aad();
    let sealed = owner.key.seal(&*db.dice, &aad, &[&new.places, &new.packed]);
    let stored_len = i64::try_from(sealed.len()).unwrap_or(i64::MAX);
    let started = new.meta.fetch_started.0;
    // An entry whose body is gone begins anew.
    if let Some(bare) = old.as_ref().map(|old| old.id)
        && db.run(REPLACE_BODY, (bare, &new.head, &sealed))? == 0
    {
        unname(db, bare)?;
        old = None;
    }
    let change = match old {
        Some(old) => {
            db.run(REPLACE, (old.id, new.codec as u8, new.raw_len, stored_len, started, revision, now.0))?;
            Change { raw: new.raw_len - old.raw_len, stored: stored_len - old.stored_len, ..Change::default() }
        }
        None => {
            // The body gives the number, because one that could not be deleted may outlive its entry.
            let id: i64 =
                db.one(NEW_BODY, (&new.head, sealed), |row| row.get(0))?.ok_or_else(|| StoreError::Damaged("a row was not kept".into()))?;
            db.run(INSERT, (id, key.hash.0, owner.id, &*key.tool, new.codec as u8, new.raw_len, stored_len, started, now.0, revision))?;
            for (name, value) in &key.args {
                let text = arg_text(value);
                let cut = text.char_indices().nth(INDEXED).map(|(at, _)| at);
                db.run(ARG, (id, name, &text[..cut.unwrap_or(text.len())], cut.is_none()))?;
            }
            Change { entries: 1, raw: new.raw_len, stored: stored_len, hits: 0 }
        }
    };
    stats::add(db, owner.id, &key.tool, change)?;
    Ok(Put::Stored { revision: revision.cast_unsigned() })
}

/// Removes an entry with all that belongs to it. Returns whether there was one.
pub(super) fn remove(db: &mut Db, id: i64) -> Result<bool, StoreError> {
    db.run(REMOVE_BODY, [id])?;
    unname(db, id)
}

/// Removes an entry but for its body. Returns whether there was one.
fn unname(db: &mut Db, id: i64) -> Result<bool, StoreError> {
    let row = db.one(REMOVED, [id], |row| {
        let change = Change { entries: -1, raw: -row.get::<_, i64>(2)?, stored: -row.get::<_, i64>(3)?, hits: -row.get::<_, i64>(4)? };
        Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, change))
    })?;
    db.run(REMOVE_ARGS, [id])?;
    let Some((owner, tool, change)) = row else { return Ok(false) };
    stats::add(db, owner, &tool, change)?;
    Ok(true)
}
