//! Making room in the file: entries found by index in the order in which they go, removed a few at a time, and their pages given back.
//!
//! What counts for the whole is the pages in use, the ledger's too, which SQLite knows without counting: the file's size once free pages
//! have been given back. What counts for an account is its bodies as stored and [`PER_ENTRY`] for each: the test below holds that against the file.

use async_trait::async_trait;
use rusqlite::Row;

use super::{Sqlcipher, StoreError, db::Db, entries::remove, stats, thread::pragma};
use crate::{
    cache::{Group, Held, KeyHash, Order, Place, Share},
    clock::Timestamp,
    ids::AccountId,
    store::{Evicted, Room},
};

const GROUPS: &str = "SELECT k.account, s.tool FROM cache_stats s JOIN data_keys k ON k.id = s.owner WHERE s.entries > 0";
const FIRST: &str = "SELECT fetch_started FROM cache_entries WHERE owner = ?1 AND tool = ?2 ORDER BY fetch_started LIMIT 1";
const LAST: &str = "SELECT fetch_started FROM cache_entries WHERE owner = ?1 AND tool = ?2 ORDER BY fetch_started DESC LIMIT 1";
const BY_FETCH: &str = "SELECT fetch_started, id FROM cache_entries WHERE owner = ?1 AND tool = ?2 AND (fetch_started, id) > (?3, ?4)
    ORDER BY fetch_started, id LIMIT ?5";
const BY_USE: &str = "SELECT last_used, id FROM cache_entries WHERE owner = ?1 AND tool = ?2 AND (last_used, id) > (?3, ?4)
    ORDER BY last_used, id LIMIT ?5";
const FETCHED_THEN: &str = "SELECT e.key_hash, e.stored_len, k.account, e.tool FROM cache_entries e JOIN data_keys k ON k.id = e.owner
    WHERE e.id = ?1 AND e.fetch_started = ?2";
const USED_THEN: &str = "SELECT e.key_hash, e.stored_len, k.account, e.tool FROM cache_entries e JOIN data_keys k ON k.id = e.owner
    WHERE e.id = ?1 AND e.last_used = ?2";
#[cfg(test)]
pub(super) const SQL: &[&str] = &[GROUPS, FIRST, LAST, BY_FETCH, BY_USE, FETCHED_THEN, USED_THEN];

/// Bytes on the disk that an entry takes besides its body, over all sizes: head, row, indexes, arguments, and what is left over of its
/// last page, which is next to nothing for bodies up to 1.8 KB and half a page for those just above.
const PER_ENTRY: u64 = 1_000;
/// The same without what is left over.
const BESIDES: u64 = 300;
/// Bodies up to this size share a page; larger ones fill one at least.
const SHARES_A_PAGE: u64 = 1_850;

/// About the bytes on the disk that an entry takes whose body takes `stored`.
fn on_disk(stored: u64) -> u64 {
    if stored <= SHARES_A_PAGE { stored + BESIDES } else { (stored + PER_ENTRY).max(PAGE.cast_unsigned() + BESIDES) }
}

/// Free pages given back in one step: what half a millisecond moves.
const GIVEN_BACK: u32 = 16;

/// Bytes of a page; SQLCipher's and ours (design: performance, 2b).
const PAGE: i64 = 4096;

/// Bytes of the pages in use.
fn file_bytes(db: &Db) -> Result<u64, StoreError> {
    let number = |name: &str| db.conn().pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    Ok(u64::try_from((number("page_count")? - number("freelist_count")?) * PAGE).unwrap_or(0))
}

fn held(db: &mut Db) -> Result<Held, StoreError> {
    let bytes = file_bytes(db)?;
    let accounts = stats::totals(db)?.by_account.into_iter().map(|(account, group)| {
        let share = Share { entries: group.entries, bytes: group.stored_bytes + group.entries * PER_ENTRY };
        (account, share)
    });
    Ok(Held { bytes, accounts: accounts.collect() })
}

fn places(db: &mut Db, group: &Group, order: Order, after: Option<Place>, most: usize) -> Result<Vec<Place>, StoreError> {
    let Some(owner) = db.owner(&group.account)? else { return Ok(Vec::new()) };
    let after = after.map_or((i64::MIN, i64::MIN), |after| (after.at.0, after.id));
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let params = (owner.id, &group.tool, after.0, after.1, most);
    let read = |row: &Row<'_>| Ok(Place { at: Timestamp(row.get(0)?), id: row.get(1)? });
    match order {
        Order::Fetched => db.all(BY_FETCH, params, read),
        Order::Used => db.all(BY_USE, params, read),
    }
}

fn evict(db: &mut Db, order: Order, places: &[Place]) -> Result<Evicted, StoreError> {
    let mut evicted = Evicted::default();
    for place in places {
        let then = match order {
            Order::Fetched => FETCHED_THEN,
            Order::Used => USED_THEN,
        };
        let read = |row: &Row<'_>| {
            let group = Group { account: AccountId::new(row.get::<_, String>(2)?), tool: row.get(3)? };
            Ok((row.get::<_, [u8; 16]>(0)?, row.get::<_, i64>(1)?, group))
        };
        if let Some((key, stored, group)) = db.one(then, (place.id, place.at.0), read)?
            && remove(db, place.id)?
        {
            evicted.add(KeyHash(key), group, on_disk(u64::try_from(stored).unwrap_or(0)));
        }
    }
    Ok(evicted)
}

#[async_trait]
impl Room for Sqlcipher {
    async fn held(&self) -> Result<Held, StoreError> {
        self.thread.read(held).await
    }

    async fn groups(&self) -> Result<Vec<Group>, StoreError> {
        let read = |row: &Row<'_>| Ok(Group { account: AccountId::new(row.get::<_, String>(0)?), tool: row.get(1)? });
        self.thread.read(move |db| db.all(GROUPS, (), read)).await
    }

    async fn fetched(&self, group: &Group) -> Result<Option<(Timestamp, Timestamp)>, StoreError> {
        let group = group.clone();
        self.thread
            .read(move |db| {
                let Some(owner) = db.owner(&group.account)? else { return Ok(None) };
                let one = |sql| db.one(sql, (owner.id, &group.tool), |row| row.get(0).map(Timestamp));
                Ok(one(FIRST)?.zip(one(LAST)?))
            })
            .await
    }

    async fn places(&self, group: &Group, order: Order, after: Option<Place>, most: usize) -> Result<Vec<Place>, StoreError> {
        let group = group.clone();
        self.thread.read(move |db| places(db, &group, order, after, most)).await
    }

    async fn evict(&self, order: Order, wanted: Vec<Place>) -> Result<Evicted, StoreError> {
        self.thread.cache(wanted.len() * 4096, move |db| evict(db, order, &wanted)).await
    }

    async fn give_back(&self) -> Result<bool, StoreError> {
        self.thread
            .read(|db| {
                let free = |db: &Db| db.conn().pragma_query_value(None, "freelist_count", |row| row.get::<_, i64>(0));
                let before = free(db)?;
                if before > 0 {
                    pragma(db, &format!("PRAGMA incremental_vacuum({GIVEN_BACK})"))?;
                }
                let after = free(db)?;
                Ok(after > 0 && after < before)
            })
            .await
    }
}
