//! Unit files: written whole, told from those of other people by the mark in them, removed only with it.

use std::io;
use std::path::{Path, PathBuf};

use m365_cached_proto::v1::{Fault, Kind};
use serde::Serialize;

/// Stands in a comment of every file that we write. Files without it are left alone.
pub(super) const MARK: &str = "Written by `m365-cachectl service install`; `m365-cachectl service uninstall` removes it.";

/// A file and what it should hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct File {
    pub(super) path: PathBuf,
    pub(super) text: String,
}

/// What lies there now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    /// Nothing.
    Missing,
    /// What it should hold.
    Same,
    /// Ours, and otherwise: of another version, or changed by hand.
    Ours,
    /// Somebody else's.
    Foreign,
    /// Ours, in front of one that a package has brought since.
    Hiding,
}

impl File {
    /// What lies there now.
    pub(super) fn state(&self) -> Result<State, Fault> {
        match std::fs::read_to_string(&self.path) {
            Ok(text) if text == self.text => Ok(State::Same),
            Ok(text) if text.contains(MARK) => Ok(State::Ours),
            Ok(_) => Ok(State::Foreign),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(State::Missing),
            Err(error) => Err(self.cannot("read", &error)),
        }
    }

    /// Puts it there, whole or not at all.
    pub(super) fn write(&self) -> Result<(), Fault> {
        let put = |folder: &Path| {
            std::fs::create_dir_all(folder)?;
            let new = self.path.with_extension("new");
            std::fs::write(&new, &self.text)?;
            std::fs::rename(&new, &self.path)
        };
        let folder = self.path.parent().unwrap_or(&self.path);
        put(folder).map_err(|error| self.cannot("written", &error))
    }

    /// Removes it, and its folder when that is one of ours and empty.
    pub(super) fn remove(&self) -> Result<(), Fault> {
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(self.cannot("removed", &error)),
            _ => {}
        }
        if let Some(folder) = self.path.parent().filter(|folder| folder.extension().is_some_and(|ending| ending == "d")) {
            // Somebody else's drop-in lies there too.
            let _ = std::fs::remove_dir(folder);
        }
        Ok(())
    }

    /// Why a file of somebody else's is in the way.
    pub(super) fn foreign(&self) -> Fault {
        let message = format!("`{}` was not written by m365-cachectl", self.path.display());
        Fault::new(
            Kind::User,
            "unit_not_ours",
            message,
            "Move it away; changes of your own belong into a drop-in (`systemctl --user edit`).",
        )
    }

    fn cannot(&self, what: &str, error: &io::Error) -> Fault {
        let message = format!("`{}` cannot be {what}: {error}", self.path.display());
        Fault::new(Kind::Config, "unit_unusable", message, "Check the rights of that folder.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_carries_our_mark_is_touched() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("unit.service.d");
        let file = File { path: folder.join("a.conf"), text: format!("# {MARK}\nx=1\n") };
        assert_eq!(file.state().unwrap(), State::Missing);
        file.write().unwrap();
        assert_eq!(file.state().unwrap(), State::Same);
        std::fs::write(&file.path, format!("# {MARK}\nx=2\n")).unwrap();
        assert_eq!(file.state().unwrap(), State::Ours);
        std::fs::write(&file.path, "x=1\n").unwrap();
        assert_eq!(file.state().unwrap(), State::Foreign);
        assert_eq!(file.foreign().code, "unit_not_ours");
        file.write().unwrap();
        std::fs::write(folder.join("theirs.conf"), "").unwrap();
        file.remove().unwrap();
        file.remove().unwrap();
        assert!(folder.exists() && !file.path.exists());
        std::fs::remove_file(folder.join("theirs.conf")).unwrap();
        file.write().unwrap();
        file.remove().unwrap();
        assert!(!folder.exists() && dir.path().exists());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
