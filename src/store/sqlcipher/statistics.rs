//! Statistics in stretches of time: added to at a flush, read by stretch, dropped when they are too old or their account is forgotten.
//!
//! A row that does not read, which only a damaged page can bring, counts as nothing and is written anew: statistics may err.

use super::{
    StoreError,
    db::Db,
    pack::{pack_counts, unpack_counts},
};
use crate::{
    clock::Timestamp,
    ids::AccountId,
    store::{About, Counted, CountedIn, CountsQuery, Span},
};

/// Rows that are too old and go with one flush.
pub(in crate::store) const PRUNED_AT_ONCE: usize = 256;

const KEPT: &str = "SELECT counts FROM statistics WHERE span = ?1 AND at = ?2 AND owner = ?3 AND kind = ?4 AND name = ?5";
const KEEP: &str = "INSERT INTO statistics (span, at, owner, kind, name, counts) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
    ON CONFLICT (span, at, owner, kind, name) DO UPDATE SET counts = excluded.counts";
const OF_ALL: &str = "SELECT n.at, k.account, n.kind, n.name, n.counts FROM statistics n JOIN data_keys k ON k.id = n.owner
    WHERE n.span = ?1 AND n.at >= ?2 AND n.at < ?3";
const OF_ONE: &str = "SELECT n.at, k.account, n.kind, n.name, n.counts FROM statistics n JOIN data_keys k ON k.id = n.owner
    WHERE n.span = ?1 AND n.at >= ?2 AND n.at < ?3 AND n.owner = ?4";
const FIRST: &str = "SELECT min(at) FROM statistics WHERE span = ?1";
const PRUNE: &str = "DELETE FROM statistics WHERE (span, at, owner, kind, name) IN
    (SELECT span, at, owner, kind, name FROM statistics WHERE span = ?1 AND at < ?2 LIMIT ?3)";
const FORGET_SOME: &str = "DELETE FROM statistics WHERE (span, at, owner, kind, name) IN
    (SELECT span, at, owner, kind, name FROM statistics WHERE owner = ?1 LIMIT ?2)";
#[cfg(test)]
pub(super) const SQL: &[&str] = &[KEPT, KEEP, OF_ALL, OF_ONE, FIRST, PRUNE, FORGET_SOME];

/// Kind and name, as they are kept.
fn parts(about: &About) -> (i64, &str) {
    match about {
        About::Tool(name) => (0, name),
        About::Client(name) => (1, name),
    }
}

/// The reverse of [`parts`]; `None` for a kind that does not exist.
fn about(kind: i64, name: String) -> Option<About> {
    match kind {
        0 => Some(About::Tool(name)),
        1 => Some(About::Client(name)),
        _ => None,
    }
}

/// Adds what was counted until `now` to the stretches that `now` lies in, and drops some of what is too old. An account without a data key
/// has left: what was counted for it is dropped, for a key is not made anew for that.
pub(super) fn add(db: &mut Db, now: Timestamp, counted: &[Counted]) -> Result<(), StoreError> {
    for one in counted {
        let Some(owner) = db.owner(&one.account)? else { continue };
        let (kind, name) = parts(&one.about);
        for span in Span::ALL {
            let place = (span.millis(), span.start(now).0, owner.id, kind, name);
            let kept = db.one(KEPT, place, |row| row.get::<_, Vec<u8>>(0))?;
            let mut counts = kept.and_then(|bytes| unpack_counts(&bytes)).unwrap_or_default();
            counts.add(&one.counts);
            db.run(KEEP, (place.0, place.1, place.2, place.3, place.4, pack_counts(&counts)))?;
        }
    }
    let mut left = PRUNED_AT_ONCE;
    for span in Span::ALL {
        let most = i64::try_from(left).unwrap_or(i64::MAX);
        left = left.saturating_sub(db.run(PRUNE, (span.millis(), span.oldest(now).0, most))?);
    }
    Ok(())
}

/// The rows that `query` names.
pub(super) fn read(db: &mut Db, query: &CountsQuery) -> Result<Vec<CountedIn>, StoreError> {
    let (span, from, until) = (query.span.millis(), query.from.0, query.until.0);
    let read = |row: &rusqlite::Row<'_>| {
        let (account, kind, name, counts): (String, i64, String, Vec<u8>) = (row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?);
        let found = about(kind, name).zip(unpack_counts(&counts));
        let found = found.map(|(about, counts)| Counted { account: AccountId::new(account), about, counts });
        Ok(found.zip(Some(Timestamp(row.get(0)?))).map(|(counted, at)| CountedIn { at, counted }))
    };
    let rows = match &query.account {
        None => db.all(OF_ALL, (span, from, until), read)?,
        Some(account) => match db.owner(account)? {
            Some(owner) => db.all(OF_ONE, (span, from, until, owner.id), read)?,
            None => Vec::new(),
        },
    };
    Ok(rows.into_iter().flatten().collect())
}

/// When the first stretch of that length began.
pub(super) fn first(db: &mut Db, span: Span) -> Result<Option<Timestamp>, StoreError> {
    Ok(db.one(FIRST, [span.millis()], |row| row.get::<_, Option<i64>>(0))?.flatten().map(Timestamp))
}

/// Drops some rows of an account that is being forgotten, and tells how many.
pub(super) fn forget_some(db: &mut Db, owner: i64, most: i64) -> Result<usize, StoreError> {
    db.run(FORGET_SOME, (owner, most))
}
