//! The sealed copies of another program's cache: an erasure removes them whole, for they hold what every account of it had, and nothing can
//! be taken out of one.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::StoreError;

/// The folder of the sealed copies.
#[derive(Debug, Clone)]
pub struct Copies {
    folder: PathBuf,
}

impl Copies {
    /// The copies in `folder`, which need not be there.
    pub fn at(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// How many there are.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn count(&self) -> Result<u64, StoreError> {
        Ok(u64::try_from(self.files()?.len()).unwrap_or(u64::MAX))
    }

    /// Removes all of them, and what is left of one that was cut short; tells how many there were.
    ///
    /// # Errors
    /// When one cannot be removed; those before it have gone.
    pub fn remove(&self) -> Result<u64, StoreError> {
        let files = self.files()?;
        for file in &files {
            fs::remove_file(file).map_err(|error| failed("removed", &error))?;
        }
        #[cfg(unix)]
        if !files.is_empty() {
            fs::File::open(&self.folder).and_then(|folder| folder.sync_all()).map_err(|error| failed("removed", &error))?;
        }
        Ok(u64::try_from(files.len()).unwrap_or(u64::MAX))
    }

    fn files(&self) -> Result<Vec<PathBuf>, StoreError> {
        match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            found => found
                .and_then(|found| found.map(|entry| entry.map(|entry| entry.path())).collect())
                .map_err(|error| failed("listed", &error)),
        }
    }
}

fn failed(what: &str, error: &io::Error) -> StoreError {
    StoreError::Failed(format!("the sealed copies of an import cannot be {what}: {}", error.kind()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_them_go_and_are_counted() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("imported");
        let copies = Copies::at(&folder);
        assert_eq!((copies.count().unwrap(), copies.remove().unwrap()), (0, 0), "there need not be a folder");
        fs::create_dir(&folder).unwrap();
        for name in ["a.sealed", "b.sealed", "b.sealed.part"] {
            fs::write(folder.join(name), "sealed").unwrap();
        }
        assert_eq!(copies.count().unwrap(), 3);
        assert_eq!((copies.remove().unwrap(), copies.count().unwrap()), (3, 0));
        fs::create_dir(folder.join("not a file")).unwrap();
        assert!(copies.remove().is_err(), "what cannot be removed is told");
    }
}
