//! A mark on the disk, beside the database, that a write was sent although the database could not record it first.
//!
//! It is on the disk before the write is sent, so that a crash cannot hide it: the next start begins every source anew before anything is
//! served. It is one byte of a file that is made while all is well, so that setting it needs no space on a full disk.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

/// The mark.
#[derive(Debug, Clone)]
pub struct DoubtMark {
    path: PathBuf,
}

impl DoubtMark {
    /// The mark at `path`, in a directory that only its owner may enter.
    pub fn at(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// Makes the file when there is none.
    ///
    /// # Errors
    /// When it cannot be made. Raising the mark then has to make it.
    pub fn prepare(&self) -> io::Result<()> {
        if self.path.exists() { Ok(()) } else { self.set(b'0') }
    }

    /// Whether it is set. A file that does not read counts as set.
    pub fn raised(&self) -> bool {
        let mut byte = [0];
        match File::open(&self.path) {
            Ok(mut file) => file.read_exact(&mut byte).is_err() || byte != *b"0",
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        }
    }

    /// Sets it; on the disk when this returns.
    ///
    /// # Errors
    /// When it is not certain to be on the disk: then nothing may be sent.
    pub fn raise(&self) -> io::Result<()> {
        self.set(b'1')
    }

    /// Takes it back.
    ///
    /// # Errors
    /// When it may still be set, which costs the next start all that is stored, and no truth.
    pub fn clear(&self) -> io::Result<()> {
        self.set(b'0')
    }

    fn set(&self, byte: u8) -> io::Result<()> {
        let made = !self.path.exists();
        // Overwritten in place: shortening it first would leave a moment, and a crash, with no byte in it.
        let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(&self.path)?;
        file.write_all(&[byte])?;
        file.sync_all()?;
        if made
            && cfg!(unix)
            && let Some(folder) = self.path.parent()
        {
            File::open(folder)?.sync_all()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_what_it_was_set_to_and_in_doubt_it_is_set() {
        let folder = tempfile::tempdir().unwrap();
        let mark = DoubtMark::at(&folder.path().join("mark"));
        assert!(!mark.raised(), "no file, no doubt");
        mark.prepare().unwrap();
        assert!(!mark.raised());
        mark.raise().unwrap();
        mark.prepare().unwrap();
        assert!(mark.raised() && DoubtMark::at(&folder.path().join("mark")).raised());
        mark.clear().unwrap();
        assert!(!mark.raised());
        std::fs::write(folder.path().join("mark"), "").unwrap();
        assert!(mark.raised(), "a file that was cut");
        let nowhere = DoubtMark::at(&folder.path().join("no folder/mark"));
        assert!(nowhere.raise().is_err() && nowhere.prepare().is_err());
    }
}
