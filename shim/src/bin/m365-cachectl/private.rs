//! Files with people's data: for their owner alone, never over one that is there, and gone again when they could not be finished.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use m365_cached_proto::v1::{Fault, Kind};

/// A file that is being written. Unless it is finished, dropping it removes it.
pub(crate) struct PrivateFile {
    path: PathBuf,
    out: Option<BufWriter<File>>,
}

impl PrivateFile {
    /// Makes it (0600); in `path` itself, or under `name` when that is a folder.
    pub(crate) fn create(path: &Path, name: &str) -> Result<Self, Fault> {
        let path = if path.is_dir() { path.join(name) } else { path.to_owned() };
        let mut options = File::options();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        match options.open(&path) {
            Ok(file) => Ok(Self { path, out: Some(BufWriter::new(file)) }),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                let message = format!("`{}` is there already; nothing was written", path.display());
                Err(Fault::new(Kind::User, "file_exists", message, "Give another name, or move that file away."))
            }
            Err(error) => Err(Self::failed(&path, &error)),
        }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes some of it.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        match &mut self.out {
            Some(out) => out.write_all(bytes).map_err(|error| Self::failed(&self.path, &error)),
            None => Ok(()),
        }
    }

    /// On the disk when this returns.
    pub(crate) fn finish(mut self) -> Result<(), Fault> {
        let Some(out) = &mut self.out else { return Ok(()) };
        out.flush().and_then(|()| out.get_ref().sync_all()).map_err(|error| Self::failed(&self.path, &error))?;
        self.out = None;
        Ok(())
    }

    fn failed(path: &Path, error: &std::io::Error) -> Fault {
        let message = format!("`{}` cannot be written: {error}", path.display());
        Fault::new(Kind::User, "file_not_written", message, "Look at the folder and at the room on its disk.")
    }
}

impl Drop for PrivateFile {
    fn drop(&mut self) {
        if self.out.take().is_some() {
            // Half of somebody's data is worth nothing and still theirs.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_overwritten_and_nothing_half_written_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.json");
        let mut file = PrivateFile::create(folder.path(), "out.json").unwrap();
        assert_eq!(file.path(), path);
        file.write(b"half").unwrap();
        drop(file);
        assert!(!path.exists());
        let mut file = PrivateFile::create(&path, "unused").unwrap();
        file.write(b"whole").unwrap();
        file.finish().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"whole");
        assert_eq!(PrivateFile::create(&path, "").err().unwrap().code, "file_exists");
        assert_eq!(std::fs::read(&path).unwrap(), b"whole");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(PrivateFile::create(&folder.path().join("none/x"), "").err().unwrap().code, "file_not_written");
    }
}
