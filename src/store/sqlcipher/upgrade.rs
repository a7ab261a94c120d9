//! The way back from an upgrade: before the tables of an older file are changed, the file as it was is kept beside it under the number of its
//! version. One is kept, that of the last upgrade. It holds keys of then, so whatever destroys a key removes it: a re-encryption, a sign-out, an
//! erasure.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use rusqlite::Connection;

use super::{
    StoreError, audit,
    db::Db,
    handles,
    migrations::{self, STEPS},
    open::{Place, sync_folder},
    scopes,
};
use crate::{chance::OsDice, store::StoreKeys};

/// What stands between the file's name and the number.
const KEPT: &str = ".schema-";
/// How one ends that is not whole yet.
const PART: &str = ".part";

/// Keeps the file as it is, when it is about to be upgraded.
pub(super) fn keep(place: &Place, conn: &Connection) -> Result<(), StoreError> {
    let found = migrations::version(conn)?;
    if found == 0 || found >= migrations::latest(STEPS) {
        return Ok(());
    }
    let busy: i64 = conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |row| row.get(0))?;
    if busy != 0 {
        return Err(StoreError::Failed("the file is in use, and no copy of it can be kept before the upgrade".into()));
    }
    let cannot = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::StorageFull => StoreError::Full,
        kind => StoreError::Failed(format!("no copy of the database can be kept before the upgrade: {kind}")),
    };
    let (part, whole) = (place.beside(&format!("{KEPT}{found}{PART}")), place.beside(&format!("{KEPT}{found}")));
    // With the rights of the file; a file system that can makes it share the blocks.
    fs::copy(&place.path, &part).and_then(|_| fs::File::open(&part)?.sync_all()).map_err(cannot)?;
    for (_, older) in all(&place.path, "") {
        fs::remove_file(older).map_err(cannot)?;
    }
    fs::rename(&part, &whole).and_then(|()| sync_folder(&place.path)).map_err(cannot)
}

/// Version and place of the file that was kept at the last upgrade of the one at `path`.
pub fn kept(path: &Path) -> Option<(u32, PathBuf)> {
    all(path, "").into_iter().max()
}

/// The same for every one that was kept.
pub fn all_kept(path: &Path) -> Vec<PathBuf> {
    all(path, "").into_iter().map(|(_, kept)| kept).collect()
}

/// Removes what was kept, whole or not, since it has what is gone from the file at `path`. It is gone from the disk when this returns.
pub(super) fn forget(path: &Path) -> Result<(), StoreError> {
    let kept: Vec<_> = ["", PART].into_iter().flat_map(|ending| all(path, ending)).collect();
    if kept.is_empty() {
        return Ok(());
    }
    let gone = kept.into_iter().try_for_each(|(_, kept)| fs::remove_file(kept)).and_then(|()| sync_folder(path));
    gone.map_err(|error| StoreError::Failed(format!("the file before the upgrade cannot be removed: {}", error.kind())))
}

fn all(path: &Path, ending: &str) -> Vec<(u32, PathBuf)> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else { return Vec::new() };
    let Ok(files) = fs::read_dir(folder) else { return Vec::new() };
    let number = |file: &Path| file.file_name()?.to_str()?.strip_prefix(name)?.strip_prefix(KEPT)?.strip_suffix(ending)?.parse().ok();
    files.flatten().filter_map(|file| number(&file.path()).map(|number| (number, file.path()))).collect()
}

/// Gives every source of the file at `path` a new epoch, so that no answer in it is served: it knows nothing of what was written since. Its
/// tables are left as they are, and its audit trail will say that it was put back.
///
/// # Errors
/// As for opening; and when it cannot be written to its end.
pub fn new_epochs(path: &Path, keys: &StoreKeys) -> Result<(), StoreError> {
    let place = Place { path: path.to_owned(), key: Some(keys.database.clone()) };
    let mut db = Db::new(place.open_as_it_is()?, place, &keys.wrapping, Arc::new(OsDice));
    db.wrapping_key_fits()?;
    db.transact(true, |db| {
        scopes::renew_epochs(db)?;
        handles::pass_over(db)?;
        audit::put_back(db, audit::PutBack::Restored)
    })?;
    // Only the file is put in the place of another; without what is in its log, old answers would be served.
    db.close_whole()
}
