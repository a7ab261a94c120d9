//! Salvage: what still opens of a damaged file goes into a new one. Answers are not taken along, since they can be fetched again, and neither is
//! what was known of mailboxes and drives, since half of it would call an old answer true.
//!
//! A damaged page may come back as zeroes in a good row (design: reliability, 0.1), so a row is taken only if it makes sense: a data key that
//! opens, tokens that open, texts without zeroes. What is read in order up to the damage and in reverse order down to it is taken.
//!
//! **Numbers.** Rows name accounts by numbers, and the row that says whose a number is may be among those that are gone. So what is numbered
//! for nobody goes too, and every number that was seen anywhere is used up: no account is ever given one of another's.

use std::{path::Path, sync::Arc};

use rusqlite::{Connection, OptionalExtension as _, types::Value};

use super::{
    StoreError, audit,
    db::Db,
    handles,
    open::Place,
    seal::{SealKey, unwrap_data_key},
};
use crate::{chance::OsDice, ids::AccountId, store::StoreKeys};

/// What is taken along of the facts about the file: where the audit trail ends, and which handles were given.
const FACTS: [&str; 5] = ["audit_key", "audit_ends", "restored", "handle_numbers", "handles_shown"];
const FACT: &str = "SELECT value FROM meta WHERE name = ?1";
const SET_FACT: &str = "INSERT INTO meta (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO NOTHING";
/// The last number of each table that never gives one twice.
const LAST_NUMBERS: &str = "SELECT name, seq FROM sqlite_sequence";

/// What is left behind: answers, what they are judged by, and what the next start finds out again.
const LEFT: &[&str] = &[
    "meta",
    "cache_entries",
    "cache_bodies",
    "entry_args",
    "cache_stats",
    "cache_tasks",
    "task_counts",
    "sources",
    "scopes",
    "items",
    "delta_tokens",
];

const OWNERS: &str = "SELECT id, account, wrapped FROM data_keys";
const DROP_OWNER: &str = "DELETE FROM data_keys WHERE id = ?1";
/// One that a re-encryption was about to destroy: tokens were sealed anew at its beginning, and answers are left behind.
const FORGET_OLD: &str = "UPDATE data_keys SET old_wrapped = x'' WHERE old_wrapped <> x''";
const LAST_OWNER: &str = "SELECT max(coalesce((SELECT max(owner) FROM tokens), 0), coalesce((SELECT max(owner) FROM handles), 0),
    coalesce((SELECT max(owner) FROM statistics), 0))";
const LAST_SUBJECT: &str = "SELECT coalesce(max(subject), 0) FROM audit";
const USED_UP: &str = "UPDATE sqlite_sequence SET seq = max(seq, ?2) WHERE name = ?1";
const FIRST_USED_UP: &str = "INSERT INTO sqlite_sequence (name, seq) VALUES (?1, ?2)";
const ACCOUNTS: &str = "SELECT id FROM accounts";
const DROP_OWN_TOKENS: &str = "DELETE FROM tokens WHERE owner = ?1";
#[cfg(test)]
pub(super) const SQL: &[&str] = &[
    FACT,
    SET_FACT,
    LAST_NUMBERS,
    OWNERS,
    DROP_OWNER,
    FORGET_OLD,
    LAST_OWNER,
    LAST_SUBJECT,
    USED_UP,
    FIRST_USED_UP,
    ACCOUNTS,
    DROP_OWN_TOKENS,
];

/// What was saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Salvaged {
    /// Accounts.
    pub accounts: u64,
    /// Accounts that need not sign in again.
    pub signed_in: u64,
    /// Rows of all tables.
    pub rows: u64,
    /// Tables of which a part could not be read.
    pub torn: u64,
}

/// Makes a new file at `to`, where nothing may stand, from what opens of the one at `from`.
///
/// # Errors
/// When the first page of `from` does not open, or `to` cannot be written to its end: it is then worth nothing.
pub fn salvage(from: &Path, to: &Path, keys: &StoreKeys) -> Result<Salvaged, StoreError> {
    let source = Place { path: from.to_owned(), key: Some(keys.database.clone()) };
    let target = Place { path: to.to_owned(), key: Some(keys.database.clone()) };
    let mut reader = source.open_as_it_is()?;
    let mut new = target.open()?;
    let mut saved = Salvaged::default();
    let writing = new.transaction()?;
    for table in names(&writing, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name")? {
        if LEFT.contains(&table.as_str()) {
            continue;
        }
        let (rows, whole) = copy_table(&source, &mut reader, &writing, &table)?;
        saved.rows += rows;
        saved.torn += u64::from(!whole);
    }
    copy_facts(&source, &mut reader, &writing)?;
    let given = last_numbers(&reader).unwrap_or_default();
    writing.commit()?;
    let mut db = Db::new(new, target, &keys.wrapping, Arc::new(OsDice));
    db.check_wrapping_key()?;
    (saved.accounts, saved.signed_in) = db.transact(true, |db| {
        use_up(db, &given)?;
        handles::saved(db)?;
        audit::saved(db)?;
        sort_out(db, &SealKey::new(&keys.wrapping))
    })?;
    // Only the file is put in the place of the damaged one.
    db.close_whole()?;
    Ok(saved)
}

/// Copies what can be read of a table; how many rows, and whether that was all.
fn copy_table(source: &Place, reader: &mut Connection, writing: &Connection, table: &str) -> Result<(u64, bool), StoreError> {
    let columns = |conn: &Connection| names(conn, &format!("SELECT name FROM pragma_table_info('{table}') ORDER BY cid"));
    // An older file has fewer columns; a page of the schema that is gone has none.
    let known = columns(reader).unwrap_or_default();
    let shared: Vec<String> = columns(writing)?.into_iter().filter(|column| known.contains(column)).collect();
    if shared.is_empty() {
        return Ok((0, known.is_empty()));
    }
    let keys = names(writing, &format!("SELECT name FROM pragma_table_info('{table}') WHERE pk > 0 ORDER BY pk"))?;
    let list = shared.join(", ");
    let places: Vec<String> = (1..=shared.len()).map(|place| format!("?{place}")).collect();
    let mut insert = writing.prepare(&format!("INSERT OR IGNORE INTO {table} ({list}) VALUES ({})", places.join(", ")))?;
    let mut rows = 0;
    for direction in ["ASC", "DESC"] {
        let order: Vec<String> = keys.iter().map(|key| format!("{key} {direction}")).collect();
        let read = read_rows(reader, &format!("SELECT {list} FROM {table} ORDER BY {}", order.join(", ")), shared.len(), |values| {
            if makes_sense(&values) {
                // A value that its column does not take came from a damaged page.
                rows += insert.execute(rusqlite::params_from_iter(values)).unwrap_or(0) as u64;
            }
        });
        match read {
            Ok(()) => return Ok((rows, direction == "ASC")),
            // A connection that has seen a bad page stays poisoned.
            Err(_) => *reader = source.open_as_it_is()?,
        }
    }
    Ok((rows, false))
}

/// Copies what can be read of the facts about the file.
fn copy_facts(source: &Place, reader: &mut Connection, writing: &Connection) -> Result<(), StoreError> {
    for name in FACTS {
        match reader.query_row(FACT, [name], |row| row.get::<_, Vec<u8>>(0)).optional() {
            Ok(value) => _ = value.map(|value| writing.execute(SET_FACT, (name, value))).transpose()?,
            Err(_) => *reader = source.open_as_it_is()?,
        }
    }
    Ok(())
}

fn last_numbers(conn: &Connection) -> rusqlite::Result<Vec<(String, i64)>> {
    let mut statement = conn.prepare(LAST_NUMBERS)?;
    let rows = statement.query_map((), |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}

/// Has no number given again that the damaged file has given, as far as that is known: by its own count, or by rows that have it.
fn use_up(db: &Db, given: &[(String, i64)]) -> Result<(), StoreError> {
    let last = |sql| Ok::<_, StoreError>(db.one(sql, (), |row| row.get::<_, i64>(0))?.unwrap_or(0));
    let seen = [("data_keys", last(LAST_OWNER)?), ("audit_subjects", last(LAST_SUBJECT)?)];
    let given = given.iter().map(|(table, number)| (table.as_str(), *number));
    for (table, number) in given.chain(seen).filter(|(_, number)| *number > 0) {
        if db.run(USED_UP, (table, number))? == 0 {
            db.run(FIRST_USED_UP, (table, number))?;
        }
    }
    Ok(())
}

fn read_rows(conn: &Connection, sql: &str, columns: usize, mut each: impl FnMut(Vec<Value>)) -> Result<(), StoreError> {
    let mut statement = conn.prepare(sql)?;
    let mut rows = statement.query(())?;
    while let Some(row) = rows.next()? {
        each((0..columns).map(|column| row.get(column)).collect::<rusqlite::Result<_>>()?);
    }
    Ok(())
}

/// Whether a row may have been written by us: no text has a zero in it.
fn makes_sense(values: &[Value]) -> bool {
    values.iter().all(|value| !matches!(value, Value::Text(text) if text.contains('\0')))
}

/// Drops keys and tokens that do not open, and what belongs to nobody; how many accounts are left, and how many of them have tokens.
fn sort_out(db: &mut Db, wrapping: &SealKey) -> Result<(u64, u64), StoreError> {
    let owners = db.all(OWNERS, (), |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get::<_, Vec<u8>>(2)?)))?;
    for (id, account, wrapped) in owners {
        if unwrap_data_key(wrapping, &account, wrapped).is_none() {
            db.run(DROP_OWNER, [id])?;
        }
    }
    db.run(FORGET_OLD, ())?;
    for table in ["tokens", "handles", "statistics"] {
        db.run(&format!("DELETE FROM {table} WHERE owner NOT IN (SELECT id FROM data_keys)"), ())?;
    }
    let accounts = db.all(ACCOUNTS, (), |row| row.get::<_, String>(0))?;
    let mut signed_in = 0;
    for account in &accounts {
        let account = AccountId::new(account.clone());
        match super::accounts::tokens(db, &account) {
            Ok(Some(_)) => signed_in += 1,
            Ok(None) => {}
            Err(_) => {
                if let Some(owner) = db.owner(&account)? {
                    db.run(DROP_OWN_TOKENS, [owner.id])?;
                }
            }
        }
    }
    Ok((accounts.len() as u64, signed_in))
}

fn names(conn: &Connection, sql: &str) -> Result<Vec<String>, StoreError> {
    let mut statement = conn.prepare(sql)?;
    let rows = statement.query_map((), |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}
