//! A look at a file that no daemon serves: whether it opens with these keys, and what is in it. Changes nothing.

use std::{path::Path, sync::Arc};

use super::{StoreError, db::Db, migrations, open::Place};
use crate::{
    chance::OsDice,
    secret::Key,
    store::{Contents, StoreKeys},
};

const ACCOUNTS: &str = "SELECT count(*) FROM accounts";
const ENTRIES: &str = "SELECT coalesce(sum(entries), 0) FROM cache_stats";
#[cfg(test)]
pub(super) const SQL: &[&str] = &[ACCOUNTS, ENTRIES];

/// Opens the file at `path` with `keys` and counts what is in it. Nothing is migrated.
///
/// # Errors
/// As for opening; [`StoreError::WrongKey`] also when one of the two keys alone is another.
pub fn inspect(path: &Path, keys: &StoreKeys) -> Result<Contents, StoreError> {
    let place = Place { path: path.to_owned(), key: Some(keys.database.clone()) };
    let conn = place.open_as_it_is()?;
    let schema = migrations::version(&conn)?;
    let db = Db::new(conn, place, &keys.wrapping, Arc::new(OsDice));
    db.wrapping_key_fits()?;
    let count = |sql| -> Result<u64, StoreError> {
        let found: Option<i64> = db.one(sql, (), |row| row.get(0))?;
        Ok(found.and_then(|count| u64::try_from(count).ok()).unwrap_or(0))
    };
    Ok(Contents { schema, accounts: count(ACCOUNTS)?, entries: count(ENTRIES)? })
}

/// Reads every page of the file and of its indexes. Takes about a second for 60 MB.
///
/// # Errors
/// [`StoreError::Damaged`] with what was found.
pub fn check_pages(path: &Path, database: &Key) -> Result<(), StoreError> {
    let place = Place { path: path.to_owned(), key: Some(database.clone()) };
    let conn = place.open_as_it_is()?;
    let said = |pragma: &str| -> Result<Vec<String>, StoreError> {
        let mut statement = conn.prepare(pragma)?;
        let rows = statement.query_map((), |row| row.get::<_, String>(0))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    };
    // One row for each page whose HMAC does not fit; none when all is well.
    let pages = said("PRAGMA cipher_integrity_check")?;
    if !pages.is_empty() {
        return Err(StoreError::Damaged(format!("{} of its pages are not as they were written", pages.len())));
    }
    let structure = said("PRAGMA quick_check(10)")?;
    if structure.iter().any(|line| line != "ok") {
        return Err(StoreError::Damaged("its tables and indexes do not fit together".into()));
    }
    Ok(())
}
