//! Reading a file of the original, plain or encrypted, without changing a byte of it.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{ErrorKind, Read},
    path::{Path, PathBuf},
};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rusqlite::{Connection, OpenFlags, Row, config::DbConfig, types::ValueRef};
use sha2::{Digest as _, Sha256};

use super::{OriginalError, Progress, Table, Tally};
use crate::{secret::Key, store::sqlcipher::open::key_pragma};

const PLAIN_MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// What SQLite's smallest page is long.
const SHORTEST: u64 = 512;
/// The columns without which a table of answers is not the original's. Source: the tool catalogue, 14.
const WANTED: [&str; 5] = ["cache_key", "account_id", "resource_type", "data_json", "created_at"];
/// The table of answers.
const ANSWERS: &str = "cache_entries";
/// Names of types and accounts kept apart in a tally; a file made to be large must not fill the memory.
const NAMES: usize = 256;
/// Rows between two words on the progress.
const STEP: u64 = 500;
/// What stays as it is in the path of an SQLite URI.
const IN_A_PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Whether the file at `path` is one of plain SQLite, readable by whoever has it.
pub(super) fn is_plain(path: &Path) -> bool {
    let mut begin = [0; 16];
    File::open(path).and_then(|mut file| file.read_exact(&mut begin)).is_ok() && begin == *PLAIN_MAGIC
}

/// SHA-256 of the file at `path` and of the log beside it: what an original is known by.
///
/// # Errors
/// When one of them cannot be read.
pub fn fingerprint(path: &Path) -> Result<String, OriginalError> {
    let mut sum = Sha256::new();
    let mut buffer = vec![0; 256 * 1024];
    for file in [path.to_owned(), beside(path, "-wal")] {
        let mut length = 0_u64;
        match File::open(&file) {
            Ok(mut file) => loop {
                match file.read(&mut buffer)? {
                    0 => break,
                    read => {
                        sum.update(&buffer[..read]);
                        length += read as u64;
                    }
                }
            },
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
        sum.update(length.to_le_bytes());
    }
    Ok(hex(&sum.finalize()))
}

/// What the file at `path` holds; `keys` are tried on an encrypted one. Writes nothing.
///
/// # Errors
/// Whatever keeps it from being taken over.
pub fn survey(path: &Path, keys: &[Key], progress: Progress<'_>) -> Result<Tally, OriginalError> {
    Original::open(path, keys)?.read(progress, &mut |_, _, _| Ok(()))
}

/// What is done with every row: the name of its table, its columns, its values.
pub(super) type Each<'a> = &'a mut dyn FnMut(&str, &[String], &Row<'_>) -> Result<(), OriginalError>;

/// An opened original.
pub(super) struct Original {
    /// `None` only while it is dropped.
    conn: Option<Connection>,
    path: PathBuf,
    before: String,
    /// Whether an index of the log was there before us.
    had_index: bool,
}

impl Original {
    pub(super) fn open(path: &Path, keys: &[Key]) -> Result<Self, OriginalError> {
        look(path)?;
        let before = fingerprint(path)?;
        let had_index = beside(path, "-shm").symlink_metadata().is_ok();
        let mut original = Self { conn: None, path: path.to_owned(), before, had_index };
        let with_log = fs::metadata(beside(path, "-wal")).is_ok_and(|facts| facts.len() > 0);
        if is_plain(path) {
            original.conn = Some(connect(path, None, with_log)?);
        } else {
            for key in keys {
                original.conn = connect(path, Some(key), with_log).ok();
                if original.conn.is_some() {
                    break;
                }
            }
        }
        if original.conn.is_none() { Err(OriginalError::NoKey(keys.len())) } else { Ok(original) }
    }

    /// The file as it was when it was opened; see [`fingerprint`].
    pub(super) fn fingerprint(&self) -> &str {
        &self.before
    }

    /// Every table with its columns.
    pub(super) fn tables(&self) -> Result<BTreeMap<String, Vec<String>>, OriginalError> {
        self.conn.as_ref().map_or(Err(OriginalError::NoKey(0)), tables)
    }

    /// Reads every row, gives each to `each`, and counts. Fails when the file is not the original's or changed meanwhile.
    pub(super) fn read(&self, progress: Progress<'_>, each: Each<'_>) -> Result<Tally, OriginalError> {
        let Some(conn) = &self.conn else { return Err(OriginalError::NoKey(0)) };
        let structure: String = conn.query_row("PRAGMA quick_check(1)", (), |row| row.get(0))?;
        if structure != "ok" {
            return Err(OriginalError::Damaged("its pages do not fit together".into()));
        }
        let tables = tables(conn)?;
        let answers = tables.get(ANSWERS).ok_or_else(|| OriginalError::Foreign("it has no table of answers".into()))?;
        if let Some(missing) = WANTED.iter().find(|wanted| !answers.iter().any(|column| column == *wanted)) {
            return Err(OriginalError::Foreign(format!("its answers have no `{missing}`")));
        }
        let tally = read_all(conn, &tables, progress, each)?;
        if fingerprint(&self.path)? == self.before { Ok(tally) } else { Err(OriginalError::Changed) }
    }
}

impl Drop for Original {
    fn drop(&mut self) {
        self.conn = None;
        let index = beside(&self.path, "-shm");
        // The index that reading a log has made. One that was there belongs to whoever uses the file.
        if !self.had_index && index.symlink_metadata().is_ok() && fingerprint(&self.path).is_ok_and(|now| now == self.before) {
            let _ = fs::remove_file(index);
        }
    }
}

/// Reads all `tables` of a connection in the order of their rows.
pub(super) fn read_all(
    conn: &Connection,
    tables: &BTreeMap<String, Vec<String>>,
    progress: Progress<'_>,
    each: Each<'_>,
) -> Result<Tally, OriginalError> {
    let mut total = 0_u64;
    for table in tables.keys() {
        let rows: i64 = conn.query_row(&format!("SELECT count(*) FROM {}", quoted(table)), (), |row| row.get(0))?;
        total += u64::try_from(rows).unwrap_or(0);
    }
    let (mut tally, mut done) = (Tally::default(), 0);
    progress(0, total);
    for (table, columns) in tables {
        let (mut sum, mut rows) = (Sha256::new(), 0);
        let places =
            (table == ANSWERS).then(|| ["resource_type", "account_id"].map(|name| columns.iter().position(|column| column == name)));
        let mut statement = conn.prepare(&format!("SELECT {} FROM {} NOT INDEXED", list(columns), quoted(table)))?;
        let mut found = statement.query(())?;
        while let Some(row) = found.next()? {
            for place in 0..columns.len() {
                add(&mut sum, row.get_ref(place)?);
            }
            if let Some([Some(kind), Some(account)]) = places {
                count(&mut tally, row.get_ref(kind)?, row.get_ref(account)?);
            }
            each(table, columns, row)?;
            rows += 1;
            done += 1;
            if done % STEP == 0 {
                progress(done, total);
            }
        }
        tally.tables.insert(table.clone(), Table { rows, sha256: hex(&sum.finalize()) });
    }
    progress(done, total);
    Ok(tally)
}

/// Every table with its columns.
pub(super) fn tables(conn: &Connection) -> Result<BTreeMap<String, Vec<String>>, OriginalError> {
    let mut statement =
        conn.prepare("SELECT name, coalesce(sql, '') FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'")?;
    let named = statement.query_map((), |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
    let mut tables = BTreeMap::new();
    for table in named {
        let (name, sql) = table?;
        if sql.trim_start().get(..14).is_some_and(|begin| begin.eq_ignore_ascii_case("CREATE VIRTUAL")) {
            return Err(OriginalError::Foreign("it has virtual tables".into()));
        }
        let mut columns = conn.prepare("SELECT name FROM pragma_table_info(?1) ORDER BY cid")?;
        let columns = columns.query_map([&name], |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>()?;
        if columns.is_empty() {
            return Err(OriginalError::Damaged("a table has no columns".into()));
        }
        tables.insert(name, columns);
    }
    Ok(tables)
}

/// Columns by name, as SQL.
pub(super) fn list(columns: &[String]) -> String {
    columns.iter().map(|column| quoted(column)).collect::<Vec<_>>().join(", ")
}

/// A name, as SQL.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// What can be told without SQLite, which would play a foreign journal back.
fn look(path: &Path) -> Result<(), OriginalError> {
    let facts = fs::symlink_metadata(path).map_err(|error| OriginalError::Failed(format!("the file cannot be read: {}", error.kind())))?;
    if !facts.is_file() {
        return Err(OriginalError::Foreign("it is not a regular file".into()));
    }
    if facts.len() < SHORTEST {
        return Err(OriginalError::Foreign("it is too short".into()));
    }
    if fs::metadata(beside(path, "-journal")).is_ok_and(|facts| facts.len() > 0) {
        return Err(OriginalError::Damaged("a write to it was cut short; start m365-mcp once more and stop it".into()));
    }
    Ok(())
}

/// Opens the file for reading alone. With a log beside it SQLite has to make an index of the log; without one the file is immutable to it.
fn connect(path: &Path, key: Option<&Key>, with_log: bool) -> Result<Connection, OriginalError> {
    let absolute = std::path::absolute(path)?;
    let text = absolute.to_str().ok_or_else(|| OriginalError::Failed("its path is not text".into()))?;
    let slashed = if cfg!(windows) { format!("/{}", text.replace('\\', "/")) } else { text.to_owned() };
    let how = if with_log { "mode=ro" } else { "immutable=1" };
    let uri = format!("file://{}?{how}", utf8_percent_encode(&slashed, IN_A_PATH));
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(uri, flags)?;
    if let Some(key) = key {
        // Before the key: SQLCipher writes to standard error otherwise.
        conn.execute_batch("PRAGMA cipher_log_level = NONE;")?;
        conn.execute_batch(&key_pragma(key))?;
    }
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    // Nothing that stands in its schema is run.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    conn.execute_batch("PRAGMA cell_size_check = ON; PRAGMA temp_store = MEMORY; PRAGMA mmap_size = 0;")?;
    conn.query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get::<_, i64>(0))?;
    Ok(conn)
}

fn count(tally: &mut Tally, kind: ValueRef<'_>, account: ValueRef<'_>) {
    let name = |value| match value {
        ValueRef::Text(text) => std::str::from_utf8(text).ok().filter(|text| !text.is_empty() && text.len() <= 256),
        _ => None,
    };
    let known = |text: &&str| text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    let kind = name(kind).filter(known).filter(|kind| tally.answers.contains_key(*kind) || tally.answers.len() < NAMES).unwrap_or("other");
    *tally.answers.entry(kind.to_owned()).or_default() += 1;
    if let Some(account) = name(account)
        && tally.accounts.len() < NAMES
        && !tally.accounts.contains(account)
    {
        tally.accounts.insert(account.to_owned());
    }
}

/// Adds a value with its type and length, so that no two different rows run into the same bytes.
fn add(sum: &mut Sha256, value: ValueRef<'_>) {
    let mut bytes = |kind: u8, bytes: &[u8]| {
        sum.update([kind]);
        sum.update((bytes.len() as u64).to_le_bytes());
        sum.update(bytes);
    };
    match value {
        ValueRef::Null => bytes(0, &[]),
        ValueRef::Integer(number) => bytes(1, &number.to_le_bytes()),
        ValueRef::Real(number) => bytes(2, &number.to_bits().to_le_bytes()),
        ValueRef::Text(text) => bytes(3, text),
        ValueRef::Blob(blob) => bytes(4, blob),
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.to_owned().into_os_string();
    name.push(ending);
    name.into()
}
