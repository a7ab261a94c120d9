//! A copy of the file while it is in use: a second connection reads one state of it, so calls go on and nothing is read twice.

use std::{path::Path, time::Duration};

use rusqlite::{Connection, OpenFlags, backup::Backup};

use super::{
    StoreError, inspect,
    open::{Place, key_pragma, new_private},
};
use crate::store::{Contents, StoreKeys};

/// Pages copied without a pause: about 1 ms.
const PAGES: i32 = 256;

/// See [`crate::store::Sealed::copy_to`].
pub(super) fn copy_to(from: &Place, to: &Path, keys: &StoreKeys) -> Result<Contents, StoreError> {
    new_private(to).map_err(|error| match error.kind() {
        std::io::ErrorKind::StorageFull => StoreError::Full,
        kind => StoreError::Failed(format!("cannot create the copy: {kind}")),
    })?;
    let done = copy(from, to).and_then(|()| {
        let contents = inspect(to, keys)?;
        super::check_pages(to, &keys.database)?;
        Ok(contents)
    });
    // What reading it has left beside it.
    let beside = Place { path: to.to_owned(), key: None };
    for ending in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(beside.beside(ending));
    }
    if done.is_err() {
        let _ = std::fs::remove_file(to);
    }
    done
}

fn copy(from: &Place, to: &Path) -> Result<(), StoreError> {
    let source = from.open_as_it_is()?;
    // One state for the whole copy, whatever is written meanwhile; otherwise it would begin again with each write.
    source.execute_batch("BEGIN")?;
    source.query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get::<_, i64>(0))?;
    let mut copy = Connection::open_with_flags(to, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    if let Some(key) = &from.key {
        copy.execute_batch("PRAGMA cipher_log_level = NONE;")?;
        copy.execute_batch(&key_pragma(key))?;
    }
    Backup::new(&source, &mut copy)?.run_to_completion(PAGES, Duration::ZERO, None)?;
    // Its log moves into it.
    copy.close().map_err(|(_, error)| StoreError::from(error))?;
    source.execute_batch("COMMIT")?;
    std::fs::File::open(to)
        .and_then(|file| file.sync_all())
        .map_err(|error| StoreError::Failed(format!("cannot flush the copy: {}", error.kind())))
}
