//! A new local file while it is written: under no name or a hidden one in its folder, published whole under its own, and never over another.
//!
//! Decision: on Linux it has no name at all until it is whole (`O_TMPFILE`), where the file system can do that. So a process that is killed, or a power cut,
//! leaves nothing of somebody's mail in clear text. Elsewhere it has a hidden name, which only this process takes away; what one that was killed has left
//! there goes when the next download into the folder begins, once it is older than any transfer may take. Two profiles may share a folder, so that nothing
//! else tells whose it is. The time is told by the file system itself, whose clock (a share's) need not be ours.

use std::{
    io::{self, SeekFrom},
    path::PathBuf,
    time::{Duration, SystemTime},
};

use cap_fs_ext::{FollowSymlinks, OpenOptionsFollowExt as _};
use cap_std::fs::{Dir, File as Begun, Metadata, OpenOptions};
use tokio::{
    fs::File,
    io::{AsyncSeekExt as _, AsyncWriteExt as _},
};

use super::{
    error::{Cause, TransferError},
    roots::{blocking, content_type, disk},
};
use crate::chance::Dice;

/// How a hidden name begins and ends; between them stand [`DIGITS`] hexadecimal digits.
const HIDDEN: (&str, &str) = (".m365-", ".part");
const DIGITS: usize = 16;

/// A new local file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    /// Where it lies, absolute.
    pub path: PathBuf,
    /// Its size in bytes.
    pub size: u64,
    /// Its media type: as the server said, else by its name's ending.
    pub content_type: String,
}

/// A file that is being written. Dropped before it is published, it leaves nothing.
pub(super) struct Draft {
    part: Part,
    name: String,
    shown: PathBuf,
    file: File,
    written: u64,
}

/// Where the bytes are until they have their name.
enum Part {
    /// In the file system of that folder, under no name; with a hidden one for where it can be given none later.
    Nameless(Dir, String),
    Hidden(Hidden),
}

/// The hidden name, which goes when this does.
struct Hidden {
    dir: Dir,
    name: String,
}

impl Hidden {
    fn create(dir: Dir, name: String) -> io::Result<(Self, Begun)> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).follow(FollowSymlinks::No);
        #[cfg(unix)]
        cap_std::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = dir.open_with(&name, &options)?;
        Ok((Self { dir, name }, file))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // Best effort: there is nobody to tell, and what is left is hidden and only its owner's.
        let _ = self.dir.remove_file(&self.name);
    }
}

impl Draft {
    /// Begins `name` in `dir`, which people know as `shown`. Parts that were left there longer ago than `old` go.
    pub(super) fn begin(dir: Dir, name: String, shown: PathBuf, dice: &dyn Dice, old: Duration) -> Result<Self, TransferError> {
        // Said before anything is fetched; what decides is the publishing.
        if dir.symlink_metadata(&name).is_ok() {
            return Err(Cause::Exists.into());
        }
        let hidden = format!("{}{}{}", HIDDEN.0, dice.hex(DIGITS / 2), HIDDEN.1);
        let (part, file) = match nameless(&dir) {
            Some(file) => (Part::Nameless(dir, hidden), file),
            None => {
                let (hidden, file) = Hidden::create(dir, hidden).map_err(disk)?;
                (Part::Hidden(hidden), file)
            }
        };
        if let Some((now, mine)) = file.metadata().ok().and_then(|mine| Some((mine.modified().ok()?.into_std(), mine))) {
            remove_left(part.dir(), owner(&mine), now, old);
        }
        Ok(Self { part, name, shown, file: File::from_std(file.into_std()), written: 0 })
    }

    /// Bytes written so far.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// Adds `bytes`.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<(), TransferError> {
        self.file.write_all(bytes).await.map_err(disk)?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    /// Begins again from nothing.
    pub(super) async fn restart(&mut self) -> Result<(), TransferError> {
        self.file.flush().await.map_err(disk)?;
        self.file.set_len(0).await.map_err(disk)?;
        self.file.seek(SeekFrom::Start(0)).await.map_err(disk)?;
        self.written = 0;
        Ok(())
    }

    /// Gives the whole file its name. Fails when the name was taken meanwhile.
    pub(super) async fn publish(mut self, content_type: Option<&str>) -> Result<Saved, TransferError> {
        self.file.flush().await.map_err(disk)?;
        self.file.sync_all().await.map_err(disk)?;
        let Self { part, name, shown, written, file } = self;
        let file = file.into_std().await;
        let saved = Saved {
            path: shown.join(&name),
            size: written,
            content_type: content_type.map_or_else(|| self::content_type(&name), str::to_owned),
        };
        blocking(move || match part.publish(file, &name) {
            Ok(()) => Ok(saved),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(Cause::Exists.into()),
            Err(error) => Err(disk(error)),
        })
        .await
    }
}

impl Part {
    fn dir(&self) -> &Dir {
        match self {
            Self::Nameless(dir, _) | Self::Hidden(Hidden { dir, .. }) => dir,
        }
    }

    /// Gives the bytes, which are those of `file`, their name.
    fn publish(self, file: std::fs::File, name: &str) -> io::Result<()> {
        match self {
            Self::Nameless(dir, spare) => match give_name(&file, &dir, name) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => by_copy(file, dir, spare, name),
                named => named,
            },
            Self::Hidden(hidden) => {
                drop(file);
                rename(&hidden.dir, &hidden.name, name)
            }
        }
    }
}

/// A file in `dir` that has no name; `None` where there is no such thing.
#[cfg(target_os = "linux")]
fn nameless(dir: &Dir) -> Option<Begun> {
    use rustix::fs::{Mode, OFlags};
    let file = rustix::fs::openat(dir, ".", OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC, Mode::RUSR | Mode::WUSR).ok()?;
    let file = std::fs::File::from(file);
    // The way to its name later.
    std::fs::metadata(opened_as(&file)).is_ok().then(|| Begun::from_std(file))
}

#[cfg(not(target_os = "linux"))]
fn nameless(_dir: &Dir) -> Option<Begun> {
    None
}

/// Gives a file that has no name the one in `dir`, and fails when that is taken.
#[cfg(target_os = "linux")]
fn give_name(file: &std::fs::File, dir: &Dir, name: &str) -> io::Result<()> {
    use rustix::fs::{AtFlags, CWD, linkat};
    Ok(linkat(CWD, opened_as(file), dir, name, AtFlags::SYMLINK_FOLLOW)?)
}

#[cfg(not(target_os = "linux"))]
fn give_name(_file: &std::fs::File, _dir: &Dir, _name: &str) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// The name of an open file of this process. To name one by its number alone takes a capability.
#[cfg(target_os = "linux")]
fn opened_as(file: &std::fs::File) -> String {
    format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(file))
}

/// By way of the hidden name `spare`, for a file system (a share, FUSE) that makes files without a name and cannot give them one.
fn by_copy(mut file: std::fs::File, dir: Dir, spare: String, name: &str) -> io::Result<()> {
    let (hidden, copy) = Hidden::create(dir, spare)?;
    let mut copy = copy.into_std();
    io::Seek::rewind(&mut file)?;
    io::copy(&mut file, &mut copy)?;
    copy.sync_all()?;
    drop(copy);
    rename(&hidden.dir, &hidden.name, name)
}

/// A second name for the file: the one step that every system does without replacing. The first name goes with its [`Hidden`].
fn rename(dir: &Dir, hidden: &str, name: &str) -> io::Result<()> {
    match dir.hard_link(hidden, dir, name) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            // A file system without second names (FAT, some network shares) may still rename without replacing.
            rename_new(dir, hidden, name).map_err(|_| error)
        }
        linked => linked,
    }
}

/// Renames, and fails when the new name is taken.
#[cfg(any(target_os = "linux", target_os = "android", target_os = "macos"))]
fn rename_new(dir: &Dir, from: &str, to: &str) -> io::Result<()> {
    Ok(rustix::fs::renameat_with(dir, from, dir, to, rustix::fs::RenameFlags::NOREPLACE)?)
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "macos")))]
fn rename_new(_dir: &Dir, _from: &str, _to: &str) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Removes what transfers that were killed have left in `dir`: files of `user` under a hidden name, which at `now` were not written to for longer than
/// `old`. Best effort, as the next download tries again.
fn remove_left(dir: &Dir, user: u32, now: SystemTime, old: Duration) {
    let is_left = |found: &Metadata| {
        let age = found.modified().ok().and_then(|at| now.duration_since(at.into_std()).ok());
        found.is_file() && owner(found) == user && age.is_some_and(|age| age > old)
    };
    let Ok(entries) = dir.entries() else { return };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    for name in names.filter(|name| is_hidden(name)) {
        if dir.symlink_metadata(&name).is_ok_and(|found| is_left(&found)) {
            let _ = dir.remove_file(&name);
        }
    }
}

/// Whether `name` is one of the hidden names.
fn is_hidden(name: &str) -> bool {
    let digits = name.strip_prefix(HIDDEN.0).and_then(|rest| rest.strip_suffix(HIDDEN.1)).unwrap_or_default();
    digits.len() == DIGITS && digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(unix)]
fn owner(file: &Metadata) -> u32 {
    cap_std::fs::MetadataExt::uid(file)
}

/// Others have no business in a folder of this user's.
#[cfg(not(unix))]
fn owner(_file: &Metadata) -> u32 {
    0
}

#[cfg(test)]
#[path = "draft_tests.rs"]
mod tests;
