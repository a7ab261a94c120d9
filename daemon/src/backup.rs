//! Backups: one file with a line that says what it is, the keys sealed under a passphrase, and the database as encrypted as it was.
//!
//! The line is JSON and holds the recovery file, so that a backup opens on another machine with the passphrase and with nothing less.
//!
//! It is written beside the file that was asked for and takes that name when it is whole, so that what a kill leaves is not taken for a backup and the next
//! one may have the name. An empty file takes the name first, which fails where something stands, and the whole one replaces that: a hard link would do it
//! in one step, and the file systems of most sticks have none.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
};

use m365_cached::{
    chance::{Dice as _, OsDice},
    clock::Timestamp,
    hint::Kind,
    secret::Key,
    store::{Sealed, StoreError, StoreKeys},
    vault::{Keys, Recovery},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::core::Problem;

/// What the first line says it is.
const FORMAT: &str = "m365-cached backup 1";
/// No first line is longer.
const LONGEST_LINE: u64 = 64 * 1024;

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackedUp {
    /// Bytes of the file.
    pub bytes: u64,
    /// Answers in it.
    pub entries: u64,
    /// Accounts in it.
    pub accounts: u64,
}

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Head {
    format: String,
    /// When it was made, RFC 3339.
    pub(crate) made_at: String,
    /// Version of the tables.
    pub(crate) schema: u32,
    pub(crate) entries: u64,
    pub(crate) accounts: u64,
    /// Bytes of the database behind the line, and their SHA-256.
    bytes: u64,
    sha256: String,
    pub(crate) recovery: Recovery,
}

/// Writes a backup of `store` to `file`, where nothing may stand.
pub(crate) fn write(store: &dyn Sealed, keys: &Keys, recovery: &Recovery, now: Timestamp, file: &Path) -> Result<BackedUp, Problem> {
    let cannot = |error: io::Error| {
        let message = format!("the backup `{}` cannot be written: {error}", file.display());
        Problem::new(Kind::User, "cannot_write", message, "Name a file that is not there yet, in a folder the daemon may write to.")
    };
    // Before it takes minutes.
    if file.symlink_metadata().is_ok() {
        return Err(cannot(io::ErrorKind::AlreadyExists.into()));
    }
    let (part, mut out) = Part::create(file).map_err(cannot)?;
    let place = beside(file);
    let copied = |wrapping: &Key| store.copy_to(&place, &StoreKeys { database: keys.database.clone(), wrapping: wrapping.clone() });
    let contents = match (copied(&keys.wrapping), &keys.next_wrapping) {
        // A change of the wrapping key was cut short, and the store has the new one already. The recovery file has both.
        (Err(StoreError::WrongKey(_)), Some(next)) => copied(next),
        (done, _) => done,
    };
    let contents = contents.map_err(|error| Problem::of(&error))?;
    // Ours from here on: when the copying fails nothing of ours is there.
    let copy = Part(place);
    let mut source = File::open(&copy.0).map_err(cannot)?;
    let (bytes, sha256) = digest(&mut source, u64::MAX, &mut io::sink()).map_err(cannot)?;
    let head = Head {
        format: FORMAT.into(),
        made_at: now.rfc3339(),
        schema: contents.schema,
        entries: contents.entries,
        accounts: contents.accounts,
        bytes,
        sha256,
        recovery: recovery.clone(),
    };
    let line = serde_json::to_string(&head).map_err(|error| cannot(error.into()))?;
    writeln!(out, "{line}").map_err(cannot)?;
    let mut source = File::open(&copy.0).map_err(cannot)?;
    io::copy(&mut source, &mut out).and_then(|_| out.sync_all()).map_err(cannot)?;
    let bytes = out.metadata().map_err(cannot)?.len();
    drop(out);
    part.becomes(file).map_err(cannot)?;
    Ok(BackedUp { bytes, entries: contents.entries, accounts: contents.accounts })
}

/// Reads the first line of the backup `file`; the reader stands at the database.
#[cfg_attr(not(feature = "sqlcipher"), expect(dead_code, reason = "the offline verbs read it"))]
pub(crate) fn open(file: &Path) -> Result<(Head, BufReader<File>), Problem> {
    let foreign = || {
        let message = format!("`{}` is no backup of m365-cached, or it is damaged", file.display());
        Problem::new(Kind::User, "no_backup", message, "Name a file that `m365-cachectl backup` has written.")
    };
    let mut reader = BufReader::new(File::open(file).map_err(|error| {
        let message = format!("the backup `{}` cannot be read: {error}", file.display());
        Problem::new(Kind::User, "no_backup", message, "Name a file that `m365-cachectl backup` has written.")
    })?);
    let mut line = Vec::new();
    reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line).map_err(|_| foreign())?;
    let head: Head = serde_json::from_slice(&line).map_err(|_| foreign())?;
    if head.format == FORMAT { Ok((head, reader)) } else { Err(foreign()) }
}

/// Writes the database of a backup to `to`, where nothing may stand.
#[cfg_attr(not(feature = "sqlcipher"), expect(dead_code, reason = "the offline verbs read it"))]
pub(crate) fn extract(head: &Head, reader: &mut impl Read, to: &Path) -> Result<(), Problem> {
    let cannot = |error: io::Error| {
        let message = format!("the database `{}` cannot be written: {error}", to.display());
        Problem::new(Kind::Config, "cannot_write", message, "Look at the rights of that folder and the space on its disk.")
    };
    let mut out = private(to).map_err(cannot)?;
    let (bytes, sha256) = digest(reader, head.bytes, &mut out).map_err(cannot)?;
    out.sync_all().map_err(cannot)?;
    if bytes == head.bytes && sha256 == head.sha256 {
        return Ok(());
    }
    Err(Problem::new(
        Kind::User,
        "damaged_backup",
        "the backup is not as it was written: its sum differs",
        "Take another copy of the file.",
    ))
}

/// Copies at most `most` bytes; how many there were, and their SHA-256.
fn digest(from: &mut impl Read, most: u64, to: &mut impl Write) -> io::Result<(u64, String)> {
    let (mut sum, mut bytes, mut buffer) = (Sha256::new(), 0, vec![0; 256 * 1024]);
    let mut from = from.take(most);
    loop {
        let read = from.read(&mut buffer)?;
        if read == 0 {
            let hex = sum.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
            return Ok((bytes, hex));
        }
        sum.update(&buffer[..read]);
        to.write_all(&buffer[..read])?;
        bytes += read as u64;
    }
}

fn private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// A name that nothing has, whatever the names of other people's files are.
fn beside(file: &Path) -> PathBuf {
    let mut name = file.to_owned().into_os_string();
    name.push(format!(".{}.part", OsDice.hex(8)));
    name.into()
}

/// A file under a name of its own that is gone when this is, unless it has become another: half a backup is worse than none.
struct Part(PathBuf);

impl Part {
    /// An empty one beside `file`.
    fn create(file: &Path) -> io::Result<(Self, File)> {
        let place = beside(file);
        let out = private(&place)?;
        Ok((Self(place), out))
    }

    /// Gives it the name `file`, where nothing may stand; durable when this returns.
    fn becomes(self, file: &Path) -> io::Result<()> {
        private(file)?;
        let named = fs::rename(&self.0, file).and_then(|()| flush_folder(file));
        if named.is_err() {
            let _ = fs::remove_file(file);
        }
        named
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// A new name is durable once its folder has been flushed. Windows has no such call and needs none.
fn flush_folder(file: &Path) -> io::Result<()> {
    match file.parent() {
        Some(folder) if cfg!(unix) && !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
}
