//! The sealed copy: a SQLCipher file under our database key, in which every row of the original stands as it was.
//!
//! It is made under another name and takes its own only when it has been read again and is equal, so that a kill leaves no copy or a whole
//! one. Its name is the original's fingerprint: the same file is never copied twice, and a changed one never passes for copied.

use std::{
    fs::{self, File},
    io::ErrorKind,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, OpenFlags, Statement, params_from_iter, types::ToSqlOutput};

use super::{
    OriginalError, Progress, Tally,
    read::{Original, beside, is_plain, list, quoted, read_all, tables},
};
use crate::{
    secret::Key,
    store::sqlcipher::open::{key_pragma, new_private, sync_folder},
};

/// Marks the file (`PRAGMA application_id`): "M36I". Never taken for the database itself.
const APPLICATION_ID: i32 = 0x4D33_3649;
/// Digits of the fingerprint in a name.
const DIGITS: usize = 32;

/// The name of the sealed copy in `folder` of the original with that fingerprint.
pub fn sealed(folder: &Path, fingerprint: &str) -> PathBuf {
    folder.join(format!("{}.sealed", fingerprint.get(..DIGITS).unwrap_or(fingerprint)))
}

/// Makes the sealed copy of the original at `path` in `folder`, which is there and its owner's alone, or checks the one that is there. Gives
/// what is in it, where it is, and whether it was made now.
///
/// # Errors
/// Whatever keeps it from being taken over; then there is no new copy.
pub fn seal(
    path: &Path,
    keys: &[Key],
    folder: &Path,
    database: &Key,
    progress: Progress<'_>,
) -> Result<(Tally, PathBuf, bool), OriginalError> {
    let original = Original::open(path, keys)?;
    let to = sealed(folder, original.fingerprint());
    if to.symlink_metadata().is_ok() {
        let tally = original.read(progress, &mut |_, _, _| Ok(()))?;
        return same(tally, contents(&to, database)?).map(|tally| (tally, to, false));
    }
    let draft = Draft(beside(&to, ".part"));
    draft.remove()?;
    new_private(&draft.0)?;
    let tally = {
        let conn = connect(&draft.0, database, true)?;
        conn.execute_batch("PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF; BEGIN")?;
        conn.pragma_update(None, "application_id", APPLICATION_ID)?;
        let tally = copy(&original, &conn, progress)?;
        conn.execute_batch("COMMIT")?;
        tally
    };
    let tally = same(tally, contents(&draft.0, database)?)?;
    File::open(&draft.0)?.sync_all()?;
    fs::rename(&draft.0, &to)?;
    sync_folder(&to)?;
    Ok((tally, to, true))
}

/// What the sealed copy at `path` holds, each page and row of it read.
///
/// # Errors
/// When it is none, or does not open with this key.
pub fn contents(path: &Path, database: &Key) -> Result<Tally, OriginalError> {
    if is_plain(path) {
        return Err(OriginalError::Foreign("it is no sealed copy".into()));
    }
    let conn = connect(path, database, false)?;
    let application: i32 = conn.pragma_query_value(None, "application_id", |row| row.get(0)).map_err(|_| OriginalError::NoKey(1))?;
    if application != APPLICATION_ID {
        return Err(OriginalError::Foreign("it is no sealed copy".into()));
    }
    let pages = {
        let mut statement = conn.prepare("PRAGMA cipher_integrity_check")?;
        statement.query(())?.next()?.is_some()
    };
    if pages {
        return Err(OriginalError::Damaged("pages of the sealed copy are not as they were written".into()));
    }
    read_all(&conn, &tables(&conn)?, &mut |_, _| (), &mut |_, _, _| Ok(()))
}

/// Writes what the sealed copy at `path` holds to the plain SQLite file `to`, where nothing may stand.
///
/// # Errors
/// When the copy does not open with this key, or the file cannot be written.
pub fn put_back(path: &Path, database: &Key, to: &Path) -> Result<Tally, OriginalError> {
    let kept = contents(path, database)?;
    new_private(to)?;
    let written = (|| {
        let from = connect(path, database, false)?;
        let conn = Connection::open_with_flags(to, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        conn.execute_batch("PRAGMA journal_mode = MEMORY; BEGIN")?;
        let mut into = Target::new(&conn);
        let tables = tables(&from)?;
        into.make(tables.iter())?;
        read_all(&from, &tables, &mut |_, _| (), &mut |table, columns, row| into.add(table, columns, row))?;
        drop(into);
        conn.execute_batch("COMMIT")?;
        same(kept, read_all(&conn, &tables, &mut |_, _| (), &mut |_, _, _| Ok(()))?)
    })();
    if written.is_err() {
        // Half a file is worse than none.
        let _ = fs::remove_file(to);
    }
    written
}

fn copy(original: &Original, conn: &Connection, progress: Progress<'_>) -> Result<Tally, OriginalError> {
    let mut into = Target::new(conn);
    into.make(original.tables()?.iter())?;
    original.read(progress, &mut |table, columns, row| into.add(table, columns, row))
}

/// `one`, when `other` holds the same.
fn same(one: Tally, other: Tally) -> Result<Tally, OriginalError> {
    if one == other {
        return Ok(one);
    }
    let names = one.tables.keys().chain(other.tables.keys());
    let table = names.into_iter().find(|name| one.tables.get(*name) != other.tables.get(*name)).cloned();
    Err(OriginalError::Differs(table.unwrap_or_default()))
}

/// Takes rows in: the same columns without types, so that every value stays what it is.
struct Target<'c> {
    conn: &'c Connection,
    /// The table rows come from now; they come table by table.
    now: Option<(String, Statement<'c>)>,
}

impl<'c> Target<'c> {
    fn new(conn: &'c Connection) -> Self {
        Self { conn, now: None }
    }

    fn make<'t>(&self, tables: impl Iterator<Item = (&'t String, &'t Vec<String>)>) -> Result<(), OriginalError> {
        for (table, columns) in tables {
            self.conn.execute_batch(&format!("CREATE TABLE {} ({})", quoted(table), list(columns)))?;
        }
        Ok(())
    }

    fn add(&mut self, table: &str, columns: &[String], row: &rusqlite::Row<'_>) -> Result<(), OriginalError> {
        if self.now.as_ref().is_none_or(|(now, _)| now != table) {
            let places: Vec<String> = (1..=columns.len()).map(|place| format!("?{place}")).collect();
            let sql = format!("INSERT INTO {} ({}) VALUES ({})", quoted(table), list(columns), places.join(", "));
            self.now = Some((table.to_owned(), self.conn.prepare(&sql)?));
        }
        if let Some((_, insert)) = &mut self.now {
            let values = (0..columns.len()).map(|place| row.get_ref(place)).collect::<rusqlite::Result<Vec<_>>>()?;
            insert.execute(params_from_iter(values.into_iter().map(ToSqlOutput::Borrowed)))?;
        }
        Ok(())
    }
}

fn connect(path: &Path, key: &Key, write: bool) -> Result<Connection, OriginalError> {
    let rights = if write { OpenFlags::SQLITE_OPEN_READ_WRITE } else { OpenFlags::SQLITE_OPEN_READ_ONLY };
    let conn = Connection::open_with_flags(path, rights | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    conn.execute_batch("PRAGMA cipher_log_level = NONE;")?;
    conn.execute_batch(&key_pragma(key))?;
    conn.execute_batch("PRAGMA temp_store = MEMORY;")?;
    Ok(conn)
}

/// A copy that is being made, until it has its name.
struct Draft(PathBuf);

impl Draft {
    /// What a copy that was cut short has left goes.
    fn remove(&self) -> Result<(), OriginalError> {
        match fs::remove_file(&self.0) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // There is none when it has got its name.
        let _ = self.remove();
    }
}
