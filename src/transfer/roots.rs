//! The allowed local folders, and how a file below one is opened or begun without following a link.
//!
//! Each folder on the way is opened from the one before it (`openat`, no link followed), and the file from the last: there is no moment
//! between a check and a use in which a link could be planted. The allowed folder itself is the person's own choice and may be a link.
//! Rejected: comparing resolved paths, as the original does; what was resolved before it is looked at is no link any more (W65).

use std::{
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use cap_fs_ext::{DirExt as _, FollowSymlinks, OpenOptionsFollowExt as _};
use cap_std::{
    ambient_authority,
    fs::{Dir, OpenOptions},
};

use super::{
    draft::Draft,
    error::{Cause, TransferError},
    path::{self, HERE, Place},
};
use crate::chance::Dice;

/// The folders that files may come from and go to.
pub struct Roots {
    folders: Vec<PathBuf>,
    dice: Arc<dyn Dice>,
}

/// A local file, open for reading. What it is was asked of the open file, not of its name.
#[derive(Debug, Clone)]
pub struct Opened {
    /// Its name without folders.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its media type, by its name's ending.
    pub content_type: String,
    file: Arc<Mutex<std::fs::File>>,
}

impl Roots {
    /// Allows `folders`, absolute paths; relative ones that callers give start in the first.
    pub fn new(folders: Vec<PathBuf>, dice: Arc<dyn Dice>) -> Self {
        Self { folders, dice }
    }

    fn names(&self) -> Vec<String> {
        self.folders.iter().map(|folder| folder.to_string_lossy().into_owned()).collect()
    }

    fn place(&self, given: &str) -> Result<Place, TransferError> {
        let names = self.names();
        path::place(given, &names, HERE).map_err(|fault| Cause::Path(fault, names).into())
    }

    /// The folder in which the file of `place` lies.
    fn folder(&self, place: &Place, make: bool) -> Result<Dir, TransferError> {
        let root = &self.folders[place.root];
        if make {
            std::fs::create_dir_all(root).map_err(disk)?;
        }
        let open = Dir::open_ambient_dir(root, ambient_authority()).map_err(on_the_way)?;
        place.folders.iter().try_fold(open, |dir, name| dir.open_dir_nofollow(name).map_err(on_the_way))
    }

    /// Opens a file for reading, of at most `most` bytes.
    pub(super) fn open(&self, given: &str, most: u64) -> Result<Opened, TransferError> {
        let place = self.place(given)?;
        let dir = self.folder(&place, false)?;
        let mut options = OpenOptions::new();
        options.read(true).follow(FollowSymlinks::No);
        // A pipe would wait for its writer for ever.
        #[cfg(unix)]
        cap_std::fs::OpenOptionsExt::custom_flags(&mut options, rustix::fs::OFlags::NONBLOCK.bits().cast_signed());
        let file = dir.open_with(&place.name, &options).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Cause::NoFile.into(),
            // A link fails as a loop, a folder on Windows as denied.
            _ if dir.symlink_metadata(&place.name).is_ok_and(|found| !found.is_file()) => Cause::NotAFile.into(),
            _ => disk(error),
        })?;
        let found = file.metadata().map_err(disk)?;
        if !found.is_file() {
            return Err(Cause::NotAFile.into());
        }
        if found.len() > most {
            return Err(Cause::TooLarge(most).into());
        }
        let content_type = content_type(&place.name);
        Ok(Opened { name: place.name, size: found.len(), content_type, file: Arc::new(Mutex::new(file.into_std())) })
    }

    /// Begins a new file. Nothing of its name is seen until it is published. What was left in its folder longer ago than `old` goes.
    pub(super) fn create(&self, given: &str, old: Duration) -> Result<Draft, TransferError> {
        let place = self.place(given)?;
        let dir = self.folder(&place, true)?;
        let mut shown = self.folders[place.root].clone();
        shown.extend(&place.folders);
        Draft::begin(dir, place.name, shown, self.dice.as_ref(), old)
    }
}

impl Opened {
    /// `length` bytes from `at`.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or has become shorter.
    pub async fn read(&self, at: u64, length: u64) -> Result<Bytes, TransferError> {
        let file = Arc::clone(&self.file);
        blocking(move || {
            let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
            let mut bytes = Vec::new();
            file.seek(SeekFrom::Start(at)).map_err(disk)?;
            file.by_ref().take(length).read_to_end(&mut bytes).map_err(disk)?;
            if bytes.len() as u64 == length { Ok(Bytes::from(bytes)) } else { Err(Cause::Changed.into()) }
        })
        .await
    }
}

/// The media type that goes with a name's ending.
pub(super) fn content_type(name: &str) -> String {
    mime_guess::from_path(Path::new(name)).first_or_octet_stream().essence_str().to_owned()
}

/// Runs what may wait for a disk where it holds nobody up.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, TransferError> + Send + 'static,
) -> Result<T, TransferError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| Err(Cause::Disk("the work on it was broken off".into()).into()))
}

/// The system's words without the path that some of them carry.
pub(super) fn disk(error: io::Error) -> TransferError {
    let what = match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code).to_string(),
        None => error.kind().to_string(),
    };
    Cause::Disk(what).into()
}

fn on_the_way(error: io::Error) -> TransferError {
    if error.kind() == io::ErrorKind::PermissionDenied { disk(error) } else { Cause::NoFolder.into() }
}

#[cfg(test)]
#[path = "roots_tests.rs"]
mod tests;
