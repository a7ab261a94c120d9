//! Removal by pattern, over the index of arguments and over account and tool; never over all entries.

use rusqlite::Row;

use super::{
    Sqlcipher, StoreError,
    db::Db,
    entries::{INDEXED, remove},
    pack::Head,
};
use crate::{
    cache::{Glob, KeyPattern, REST_OF},
    clock::Timestamp,
    ids::AccountId,
    store::{
        Invalidation,
        rules::{KEPT_ROWS, arg_text},
    },
};

const OWNERS: &str = "SELECT id, account FROM data_keys";
const BY_TOOL: &str = "SELECT id, tool FROM cache_entries WHERE owner = ?1 AND tool >= ?2 AND tool < ?3";
const BY_ARG: &str = "SELECT a.entry, a.value, a.whole, e.owner, e.tool FROM entry_args a CROSS JOIN cache_entries e ON e.id = a.entry
    WHERE a.name = ?1 AND a.value >= ?2 AND a.value < ?3";
const HEAD: &str = "SELECT head FROM cache_bodies WHERE id = ?1";
const RECORD: &str = "INSERT INTO cache_invalidation (pattern, account, reason, asked_by, asked_at, removed)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6) RETURNING id";
const PRUNE: &str = "DELETE FROM cache_invalidation WHERE id <= ?1";
const LATEST: &str = "SELECT pattern, account, reason, asked_by, asked_at, removed FROM cache_invalidation WHERE id > 0 ORDER BY id";
#[cfg(test)]
pub(super) const SQL: &[&str] = &[OWNERS, BY_TOOL, BY_ARG, HEAD, RECORD, PRUNE, LATEST];

/// Entries removed in one transaction, so that reads come in between.
const AT_A_TIME: usize = 256;

/// The texts that begin with `prefix` lie from it up to this. U+10FFFF is no character and stands in no text.
fn end_of(prefix: &str) -> String {
    format!("{prefix}\u{10FFFF}\u{10FFFF}")
}

/// The entries a pattern names.
fn find(db: &mut Db, what: &Invalidation) -> Result<Vec<i64>, StoreError> {
    let named = |account: &str| what.pattern.account.matches(account) && what.account.as_ref().is_none_or(|only| only.as_str() == account);
    let mut owners = db.all(OWNERS, (), |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)))?;
    owners.retain(|(_, account)| named(account));
    let mut ids = Vec::new();
    match &what.pattern.arg {
        None => {
            let prefix = what.pattern.tool.prefix();
            // Those of an empty prefix are all.
            let rests = Some(format!("{REST_OF}{prefix}")).filter(|rests| !rests.starts_with(prefix));
            for from in [Some(prefix.to_owned()), rests].into_iter().flatten() {
                let to = end_of(&from);
                for (owner, _) in &owners {
                    let rows = db.all(BY_TOOL, (owner, &from, &to), |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)))?;
                    ids.extend(rows.into_iter().filter(|(_, name)| what.pattern.names_type(name)).map(|(id, _)| id));
                }
            }
        }
        Some((name, value)) => {
            let prefix: String = value.prefix().chars().take(INDEXED).collect();
            for row in db.all(BY_ARG, (name, &prefix, end_of(&prefix)), ByArg::read)? {
                let wanted = owners.iter().any(|(owner, _)| *owner == row.owner) && what.pattern.names_type(&row.tool);
                if wanted && row.matches(db, name, value)? {
                    ids.push(row.entry);
                }
            }
        }
    }
    Ok(ids)
}

struct ByArg {
    entry: i64,
    value: String,
    whole: bool,
    owner: i64,
    tool: String,
}

impl ByArg {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self { entry: row.get(0)?, value: row.get(1)?, whole: row.get(2)?, owner: row.get(3)?, tool: row.get(4)? })
    }

    /// Whether the argument matches; one that was cut for the index is looked up whole.
    fn matches(&self, db: &Db, name: &str, glob: &Glob) -> Result<bool, StoreError> {
        if self.whole {
            return Ok(glob.matches(&self.value));
        }
        let head = db.one(HEAD, [self.entry], |row| row.get::<_, Vec<u8>>(0))?;
        let args = head.and_then(|head| Head::unpack(&head)).map(|head| head.args).unwrap_or_default();
        Ok(args.get(name).is_some_and(|value| glob.matches(&arg_text(value))))
    }
}

/// Keeps who asked, why, and how many there were.
pub(super) fn record(db: &mut Db, what: &Invalidation, removed: u64) -> Result<(), StoreError> {
    let account = what.account.as_ref().map_or("", AccountId::as_str);
    let row = (what.pattern.to_string(), account, &what.reason, &what.by, what.at.0, removed.cast_signed());
    if let Some(id) = db.one(RECORD, row, |row| row.get::<_, i64>(0))? {
        db.run(PRUNE, [id - i64::try_from(KEPT_ROWS).unwrap_or(i64::MAX)])?;
    }
    Ok(())
}

impl Sqlcipher {
    /// Removes what the pattern names, some at a time, and records it with the last of them.
    pub(super) async fn invalidate_entries(&self, what: Invalidation) -> Result<u64, StoreError> {
        let wanted = what.clone();
        let ids = self.thread.read(move |db| find(db, &wanted)).await?;
        let mut removed = 0;
        let mut left = ids.as_slice();
        loop {
            let (now, rest) = left.split_at(left.len().min(AT_A_TIME));
            left = rest;
            let (now, last, what) = (now.to_vec(), rest.is_empty(), what.clone());
            removed = self
                .thread
                .cache(now.len() * 4096, move |db| {
                    let mut sum = removed;
                    for id in &now {
                        sum += u64::from(remove(db, *id)?);
                    }
                    if last {
                        record(db, &what, sum)?;
                    }
                    Ok(sum)
                })
                .await?;
            if last {
                return Ok(removed);
            }
        }
    }

    /// The latest invalidations, oldest first, with the number of entries each removed.
    pub async fn invalidations(&self) -> Result<Vec<(Invalidation, u64)>, StoreError> {
        self.thread.read(latest).await
    }
}

fn latest(db: &mut Db) -> Result<Vec<(Invalidation, u64)>, StoreError> {
    let rows = db.all(LATEST, (), |row| {
        let account = Some(row.get::<_, String>(1)?).filter(|account| !account.is_empty()).map(AccountId::new);
        let pattern = KeyPattern::parse(&row.get::<_, String>(0)?).ok();
        let invalidation = |pattern| -> rusqlite::Result<Invalidation> {
            Ok(Invalidation { pattern, account, reason: row.get(2)?, by: row.get(3)?, at: Timestamp(row.get(4)?) })
        };
        Ok((pattern.map(invalidation).transpose()?, row.get::<_, i64>(5)?.cast_unsigned()))
    })?;
    let damaged = || StoreError::Damaged("a record of an invalidation does not read".into());
    rows.into_iter().map(|(what, removed)| Ok((what.ok_or_else(damaged)?, removed))).collect()
}
