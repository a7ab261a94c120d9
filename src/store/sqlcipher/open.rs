//! Opening the file: never one that is not ours, never a byte changed in one that cannot be used, never a new one over an old one.

use std::{
    fs::{self, File},
    io::{ErrorKind, Read as _},
    path::{Path, PathBuf},
};

use rusqlite::{Connection, OpenFlags, config::DbConfig};
use zeroize::Zeroizing;

use super::{
    StoreError,
    migrations::{self, STEPS},
    upgrade,
};
use crate::secret::Key;

/// Marks the file as ours (`PRAGMA application_id`): "M365".
const APPLICATION_ID: i32 = 0x4D33_3635;
/// Prepared statements kept; more than there are SQL texts.
const STATEMENTS_KEPT: usize = 128;
/// What a file of plain SQLite begins with. An encrypted one begins with its salt.
const PLAIN_MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// Settings of every connection (design: performance, 4). Keying a connection turns `secure_delete` fully on, which makes removals
/// nine times as dear and protects nothing in a file of ciphertext; FAST overwrites what costs no further writes.
const SETTINGS: &str = "PRAGMA synchronous = NORMAL;
PRAGMA secure_delete = FAST;
PRAGMA cache_size = -65536;
PRAGMA temp_store = MEMORY;
PRAGMA mmap_size = 0;
PRAGMA journal_size_limit = 4194304;
PRAGMA foreign_keys = OFF;";

/// Where the file is and how it is keyed. `None`, a plain file, exists for benchmarks alone.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) path: PathBuf,
    pub(super) key: Option<Key>,
}

impl Place {
    /// The file's name with `ending` behind it, such as `-wal`.
    pub(super) fn beside(&self, ending: &str) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(ending);
        name.into()
    }

    /// Opens the file, or makes it when there is none.
    pub(super) fn open(&self) -> Result<Connection, StoreError> {
        match fs::symlink_metadata(&self.path) {
            Ok(_) => self.open_existing(),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.create()?;
                self.open_existing()
            }
            Err(error) => Err(StoreError::Failed(format!("cannot look at the database file: {}", error.kind()))),
        }
    }

    /// Opens the file that is there; it is not created and, unless it proves to be ours, not changed.
    pub(super) fn open_existing(&self) -> Result<Connection, StoreError> {
        let mut conn = self.open_as_it_is()?;
        // The first read has made the log and its index with the rights the file had.
        for path in [self.path.clone(), self.beside("-wal"), self.beside("-shm")] {
            own_only(&path)?;
        }
        conn.execute_batch(SETTINGS)?;
        upgrade::keep(self, &conn)?;
        migrations::migrate(&mut conn, STEPS)?;
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
        conn.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
        Ok(conn)
    }

    /// Opens the file that is there and proves to be ours, whatever its version up to our own; nothing of it is changed.
    pub(super) fn open_as_it_is(&self) -> Result<Connection, StoreError> {
        self.look()?;
        let conn = self.connect(&self.path, OpenFlags::empty())?;
        // Until it is known to be ours, closing must not move a log that lies there into the file.
        let has_log = fs::metadata(self.beside("-wal")).is_ok_and(|facts| facts.len() > 0);
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, has_log)?;
        // On the first page alone; the list of tables has further ones, which may be damaged under the right key.
        let application: i32 = conn.pragma_query_value(None, "application_id", |row| row.get(0)).map_err(wrong_key)?;
        if application != APPLICATION_ID {
            return Err(StoreError::WrongKey("it is another program's database".into()));
        }
        conn.query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get::<_, i64>(0))?;
        let found = migrations::version(&conn)?;
        if found > migrations::latest(STEPS) {
            return Err(StoreError::Newer { found, known: migrations::latest(STEPS) });
        }
        Ok(conn)
    }

    /// Moves all of the log into the file and closes it, so that the file alone is what is in it. Closing does the same by itself, and says
    /// nothing when it could not, as on a full disk.
    ///
    /// # Errors
    /// When the log could not be moved; it is still beside the file.
    pub(super) fn close_whole(&self, conn: Connection) -> Result<(), StoreError> {
        let in_use = || StoreError::Failed("the file is in use, and its log cannot be moved into it".into());
        let busy: i64 = conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |row| row.get(0))?;
        if busy != 0 {
            return Err(in_use());
        }
        conn.close().map_err(|(_, error)| StoreError::from(error))?;
        match fs::metadata(self.beside("-wal")) {
            Ok(facts) if facts.len() > 0 => Err(in_use()),
            _ => Ok(()),
        }
    }

    /// What can be told without SQLite, which would take an empty file for a new database and play a foreign journal back.
    fn look(&self) -> Result<(), StoreError> {
        let cannot = |error: std::io::Error| StoreError::Failed(format!("cannot read the database file: {}", error.kind()));
        let facts = fs::symlink_metadata(&self.path).map_err(cannot)?;
        if !facts.is_file() {
            return Err(StoreError::WrongKey("it is not a regular file".into()));
        }
        if facts.len() == 0 {
            return Err(StoreError::Damaged("the file is empty".into()));
        }
        let mut begin = [0; 16];
        match File::open(&self.path).map_err(cannot)?.read_exact(&mut begin) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Err(StoreError::Damaged("the file is too short".into())),
            Err(error) => return Err(cannot(error)),
        }
        if (begin == *PLAIN_MAGIC) != self.key.is_none() {
            return Err(StoreError::WrongKey("it is not an encrypted database".into()));
        }
        if fs::metadata(self.beside("-journal")).is_ok_and(|facts| facts.len() > 0) {
            return Err(StoreError::Damaged("a rollback journal of another program lies beside the file".into()));
        }
        Ok(())
    }

    /// Makes the file under another name and links it to its own only when it is whole, so that a crash leaves no half database,
    /// and a file that appeared meanwhile is not replaced.
    fn create(&self) -> Result<(), StoreError> {
        let cannot = |error: std::io::Error| match error.kind() {
            ErrorKind::StorageFull => StoreError::Full,
            kind => StoreError::Failed(format!("cannot create the database file: {kind}")),
        };
        let draft = self.beside(".creating");
        // What a creation that was cut short left behind holds nothing.
        match fs::remove_file(&draft) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(cannot(error)),
            _ => {}
        }
        new_private(&draft).map_err(cannot)?;
        let mut conn = self.connect(&draft, OpenFlags::empty())?;
        // Before the first table, or it would take a VACUUM of everything.
        conn.execute_batch("PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = DELETE; PRAGMA synchronous = FULL;")?;
        conn.pragma_update(None, "application_id", APPLICATION_ID)?;
        migrations::migrate(&mut conn, STEPS)?;
        let mode: String = conn.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
        if mode != "wal" {
            return Err(StoreError::Failed("the file system does not allow a write-ahead log".into()));
        }
        conn.close().map_err(|(_, error)| StoreError::from(error))?;
        fs::hard_link(&draft, &self.path).map_err(cannot)?;
        fs::remove_file(&draft).map_err(cannot)?;
        sync_folder(&self.path).map_err(cannot)
    }

    fn connect(&self, path: &Path, more: OpenFlags) -> Result<Connection, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | more;
        let conn = Connection::open_with_flags(path, flags)?;
        if let Some(key) = &self.key {
            // Before the key: SQLCipher writes to standard error otherwise.
            conn.execute_batch("PRAGMA cipher_log_level = NONE;")?;
            conn.execute_batch(&key_pragma(key))?;
        }
        Ok(conn)
    }
}

/// `PRAGMA key` with the raw key, in memory that is wiped.
pub(super) fn key_pragma(key: &Key) -> Zeroizing<String> {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    // Long enough from the start, so that no copy is left behind by growing.
    let mut text = Zeroizing::new(String::with_capacity(96));
    text.push_str("PRAGMA key = \"x'");
    for byte in key.expose() {
        text.push(char::from(HEX[usize::from(byte >> 4)]));
        text.push(char::from(HEX[usize::from(byte & 15)]));
    }
    text.push_str("'\";");
    text
}

/// The first page could not be read: another key, or not a database at all; from outside they look the same.
fn wrong_key(error: rusqlite::Error) -> StoreError {
    match StoreError::from(error) {
        StoreError::Damaged(_) => StoreError::WrongKey("its first page does not open".into()),
        other => other,
    }
}

#[cfg(unix)]
pub(super) fn new_private(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map(drop)
}

#[cfg(not(unix))]
pub(super) fn new_private(path: &Path) -> std::io::Result<()> {
    // The profile's directory admits its owner alone.
    fs::OpenOptions::new().write(true).create_new(true).open(path).map(drop)
}

/// Takes other people's rights away from a file, when it is there. SQLite gives a new `-wal` or `-shm` the rights of the database.
#[cfg(unix)]
fn own_only(path: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::PermissionsExt as _;
    let cannot = |error: std::io::Error| StoreError::Failed(format!("cannot set the rights of the database file: {}", error.kind()));
    match fs::metadata(path) {
        Ok(facts) if facts.permissions().mode() & 0o077 != 0 => {
            fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(cannot)
        }
        Err(error) if error.kind() != ErrorKind::NotFound => Err(cannot(error)),
        _ => Ok(()),
    }
}

#[cfg(not(unix))]
fn own_only(_path: &Path) -> Result<(), StoreError> {
    Ok(())
}

#[cfg(unix)]
pub(super) fn sync_folder(path: &Path) -> std::io::Result<()> {
    match path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(not(unix))]
pub(super) fn sync_folder(_path: &Path) -> std::io::Result<()> {
    Ok(())
}
