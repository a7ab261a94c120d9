//! Delta tokens and the checks made with them (`truth.md`, *Checks*). Everything here runs inside the caller's transaction.

use std::collections::BTreeMap;

use super::{
    StoreError,
    db::{Db, Owner},
    items,
    scopes::{self, Mark, Source},
};
use crate::{
    cache::{Check, Feed, SourceId},
    clock::Timestamp,
    ids::AccountId,
    secret::Secret,
    store::{
        Based, Baseline, CheckNoted, Checked, DeltaToken, FeedKey,
        rules::{spread_changes, unmoved},
    },
};

const CHECKS: &str = "SELECT k.account, d.feed, d.checked_at, d.from_seq FROM delta_tokens d JOIN data_keys k ON k.id = d.owner
    WHERE d.source = ?1";
const TOKEN: &str = "SELECT token, from_seq FROM delta_tokens WHERE source = ?1 AND owner = ?2 AND feed = ?3";
const KEEP: &str = "INSERT INTO delta_tokens (source, owner, feed, token, from_seq, checked_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
    ON CONFLICT (source, owner, feed) DO UPDATE SET token = excluded.token, checked_at = excluded.checked_at";
const DISCARD: &str = "DELETE FROM delta_tokens WHERE source = ?1 AND owner = ?2 AND feed = ?3";
const OF_OWNER: &str = "SELECT s.name, d.feed, d.token, d.source FROM delta_tokens d JOIN sources s ON s.id = d.source WHERE d.owner = ?1";
const RESEALED: &str = "UPDATE delta_tokens SET token = ?4 WHERE source = ?1 AND owner = ?2 AND feed = ?3";
const FORGET_OWNER: &str = "DELETE FROM delta_tokens WHERE owner = ?1";
#[cfg(test)]
pub(super) const SQL: &[&str] = &[CHECKS, TOKEN, KEEP, DISCARD, OF_OWNER, RESEALED, FORGET_OWNER];

fn aad(feed: &FeedKey) -> Vec<u8> {
    // None of the parts can hold a zero byte: ids are checked where they come in.
    ["m365-cached delta v1", feed.account.as_str(), feed.source.as_str(), feed.feed.as_str()].join("\0").into_bytes()
}

/// The last check of each feed of a source.
pub(super) fn checks(db: &Db, source: i64) -> Result<BTreeMap<(AccountId, Feed), Check>, StoreError> {
    let rows = db.all(CHECKS, [source], |row| {
        let key = (AccountId::new(row.get::<_, String>(0)?), Feed::from_text(&row.get::<_, String>(1)?));
        Ok((key, Check { at: Timestamp(row.get(2)?), from: row.get::<_, i64>(3)?.cast_unsigned() }))
    })?;
    Ok(rows.into_iter().collect())
}

/// Source and owner of a feed, when both have a row.
fn place(db: &mut Db, feed: &FeedKey) -> Result<Option<(Source, Owner)>, StoreError> {
    Ok(scopes::find(db, &feed.source)?.zip(db.owner(&feed.account)?))
}

/// The token kept for a feed, opened.
pub(super) fn token(db: &mut Db, feed: &FeedKey) -> Result<Option<DeltaToken>, StoreError> {
    let Some((source, owner)) = place(db, feed)? else { return Ok(None) };
    let row = db.one(TOKEN, (source.id, owner.id, feed.feed.as_str()), |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, i64>(1)?)))?;
    let Some((mut sealed, from)) = row else { return Ok(None) };
    let link = owner.open(&aad(feed), &mut sealed).and_then(|plain| std::str::from_utf8(plain).ok()).map(str::to_owned);
    let link = link.ok_or_else(|| StoreError::Damaged("a delta token does not open".into()))?;
    Ok(Some(DeltaToken { link: Secret::new(link), from: from.cast_unsigned() }))
}

/// Keeps the token of a walk, unless there is one or the source has begun anew.
pub(super) fn base(db: &mut Db, new: &Baseline) -> Result<Based, StoreError> {
    let source = match scopes::find(db, &new.feed.source)? {
        Some(source) if source.epoch == new.epoch => source,
        _ => return Ok(Based::No),
    };
    let owner = db.owner_or_make(&new.feed.account)?;
    if db.one(TOKEN, (source.id, owner.id, new.feed.feed.as_str()), |_| Ok(()))?.is_some() {
        return Ok(Based::No);
    }
    let mut clean = true;
    for scope in &new.depends {
        clean &= unmoved(scopes::marks(db, &source, scope)?, new.read_seq);
    }
    let from = scopes::next_seq(db, &source)?;
    keep(db, &source, &owner, &new.feed, &new.link, Check { at: new.started, from })?;
    Ok(Based::Yes { from, clean })
}

fn keep(db: &Db, source: &Source, owner: &Owner, feed: &FeedKey, link: &Secret<String>, check: Check) -> Result<(), StoreError> {
    let sealed = owner.key.seal(&*db.dice, &aad(feed), &[link.expose().as_bytes()]);
    db.run(KEEP, (source.id, owner.id, feed.feed.as_str(), sealed, check.from.cast_signed(), check.at.0)).map(drop)
}

/// Records a check: the bumps of what it found, and its token or the end of it.
pub(super) fn check(db: &mut Db, done: &Checked) -> Result<CheckNoted, StoreError> {
    let known = scopes::find(db, &done.feed.source)?;
    let scopes = spread_changes(&done.feed.feed, &done.changes, |item| match known {
        Some(source) => items::containers(db, source.id, item),
        None => Ok(Vec::new()),
    })?;
    let due: BTreeMap<SourceId, _> = if scopes.is_empty() { BTreeMap::new() } else { BTreeMap::from([(done.feed.source.clone(), scopes)]) };
    let bumped = scopes::bump(db, &due, Mark::Changed)?;
    // An account that has signed out, or a source dropped meanwhile, has no token that could be replaced.
    let Some((source, owner)) = place(db, &done.feed)? else { return Ok(CheckNoted { bumped, check: None }) };
    let name = done.feed.feed.as_str();
    let same = db.one(TOKEN, (source.id, owner.id, name), |row| row.get::<_, i64>(1))? == Some(done.from.cast_signed());
    let check = Check { at: done.started, from: done.from };
    match &done.next {
        _ if !same => Ok(CheckNoted { bumped, check: None }),
        Some(link) => {
            keep(db, &source, &owner, &done.feed, link, check)?;
            Ok(CheckNoted { bumped, check: Some(check) })
        }
        None => {
            db.run(DISCARD, (source.id, owner.id, name))?;
            Ok(CheckNoted { bumped, check: None })
        }
    }
}

/// Seals the tokens of an owner under its new key. One that does not open is dropped: a new walk replaces it.
pub(super) fn reseal(db: &mut Db, owner: i64) -> Result<(), StoreError> {
    let Some(owner) = db.owner_by_id(owner)? else { return Ok(()) };
    let rows = db.all(OF_OWNER, [owner.id], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, Vec<u8>>(2)?, row.get::<_, i64>(3)?))
    })?;
    for (source, name, mut sealed, source_id) in rows {
        let feed = FeedKey { account: owner.account.clone(), source: SourceId::from_text(&source), feed: Feed::from_text(&name) };
        match owner.open(&aad(&feed), &mut sealed) {
            Some(link) => {
                let sealed = owner.key.seal(&*db.dice, &aad(&feed), &[link]);
                db.run(RESEALED, (source_id, owner.id, &name, sealed))?;
            }
            None => drop(db.run(DISCARD, (source_id, owner.id, &name))?),
        }
    }
    Ok(())
}

/// Drops the tokens of an account that is forgotten.
pub(super) fn forget_owner(db: &mut Db, owner: i64) -> Result<(), StoreError> {
    db.run(FORGET_OWNER, [owner]).map(drop)
}
