//! A client's file on the disk: read whole, copied aside under a dated name, replaced in one step.
//!
//! A link stays a link: what it points to is replaced. The new file has the rights of the old one. Somebody who writes at the same moment is not
//! overwritten unseen: the file is read again right before the step, and a change in between is refused.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// A client's list of servers is some kilobytes; Claude Code keeps more in the same file, and has been seen with tens of megabytes.
const LARGEST: u64 = 256 * 1024 * 1024;
const BOM: &str = "\u{feff}";

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Held {
    /// The file itself, behind all links.
    path: PathBuf,
    /// `None` when there is none.
    bytes: Option<Vec<u8>>,
}

/// Why a file is left as it is.
#[derive(Debug)]
pub(super) enum FileError {
    NotText,
    TooLarge,
    Changed,
    Io(io::Error),
}

impl std::fmt::Display for FileError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotText => f.write_str("it is not UTF-8 text"),
            Self::TooLarge => write!(f, "it is larger than {} MB", LARGEST / 1024 / 1024),
            Self::Changed => f.write_str("somebody else has changed it in this moment"),
            Self::Io(error) => write!(f, "{error}"),
        }
    }
}

impl From<io::Error> for FileError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Held {
    /// Reads the file that `path` names; none is no error.
    pub(super) fn read(path: &Path) -> Result<Self, FileError> {
        let path = behind(path)?;
        let bytes = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error.into()),
            Ok(file) => {
                let mut bytes = Vec::new();
                file.take(LARGEST + 1).read_to_end(&mut bytes)?;
                if bytes.len() as u64 > LARGEST {
                    return Err(FileError::TooLarge);
                }
                Some(bytes)
            }
        };
        let held = Self { path, bytes };
        match &held.bytes {
            Some(bytes) if std::str::from_utf8(bytes).is_err() => Err(FileError::NotText),
            _ => Ok(held),
        }
    }

    /// Its text without a byte order mark; empty when there is no file.
    pub(super) fn text(&self) -> &str {
        let text = self.bytes.as_deref().and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default();
        text.strip_prefix(BOM).unwrap_or(text)
    }

    /// Puts `text` in its place; where the copy of what was there lies.
    pub(super) fn replace(&self, text: &str) -> Result<Option<PathBuf>, FileError> {
        let marked = self.bytes.as_deref().is_some_and(|bytes| bytes.starts_with(BOM.as_bytes()));
        let folder = self.path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)?;
        let rights = match std::fs::metadata(&self.path) {
            Ok(meta) => Some(meta.permissions()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error.into()),
        };
        let backup = match &self.bytes {
            None => None,
            Some(bytes) => Some(self.aside(bytes, rights.clone())?),
        };
        let (mut file, new) = beside(&self.path, &format!("m365-{}.tmp", std::process::id()))?;
        let written = write(&mut file, &[if marked { BOM } else { "" }.as_bytes(), text.as_bytes()], rights).and_then(|()| {
            if Self::read(&self.path)? != *self {
                return Err(FileError::Changed);
            }
            std::fs::rename(&new, &self.path)?;
            Ok(())
        });
        if let Err(error) = written {
            // What was begun is worth nothing.
            let _ = std::fs::remove_file(&new);
            if let (FileError::Changed, Some(backup)) = (&error, &backup) {
                let _ = std::fs::remove_file(backup);
            }
            return Err(error);
        }
        settle(folder);
        Ok(backup)
    }

    fn aside(&self, bytes: &[u8], rights: Option<Permissions>) -> Result<PathBuf, FileError> {
        let (mut file, path) = beside(&self.path, &format!("m365-backup-{}", stamp(now())))?;
        write(&mut file, &[bytes], rights)?;
        Ok(path)
    }
}

/// Where a chain of links ends, also when nothing is there.
fn behind(path: &Path) -> io::Result<PathBuf> {
    const LINKS: usize = 32;
    let mut path = std::path::absolute(path)?;
    for _ in 0..LINKS {
        match std::fs::read_link(&path) {
            // A link is relative to the folder it lies in.
            Ok(to) => path = path.parent().unwrap_or(Path::new(".")).join(to),
            Err(_) => return Ok(path),
        }
    }
    Err(io::Error::other("it is a link that leads nowhere"))
}

/// A new file beside `path`, for its owner alone until it gets other rights.
fn beside(path: &Path, ending: &str) -> io::Result<(File, PathBuf)> {
    let name = path.file_name().unwrap_or_default();
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut attempt = 1;
    loop {
        let mut other = name.to_owned();
        other.push(format!(".{ending}"));
        if attempt > 1 {
            other.push(format!("-{attempt}"));
        }
        let other = path.with_file_name(other);
        match options.open(&other) {
            Ok(file) => return Ok((file, other)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && attempt < 100 => attempt += 1,
            Err(error) => return Err(error),
        }
    }
}

fn write(file: &mut File, parts: &[&[u8]], rights: Option<Permissions>) -> Result<(), FileError> {
    for part in parts {
        file.write_all(part)?;
    }
    if let Some(rights) = rights {
        file.set_permissions(rights)?;
    }
    file.sync_all()?;
    Ok(())
}

/// The new name survives a loss of power.
fn settle(folder: &Path) {
    #[cfg(unix)]
    if let Ok(folder) = File::open(folder) {
        // The content is on the disk already; without this the old one may come back.
        let _ = folder.sync_all();
    }
    #[cfg(not(unix))]
    let _ = folder;
}

#[expect(clippy::disallowed_methods, reason = "the name of a copy carries the time of day; nothing is decided by it")]
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// `20261121T233012Z`: seconds since 1970 as a name (days to civil date after Howard Hinnant).
fn stamp(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let shifted = days + 719_468;
    let (era, day) = (shifted / 146_097, shifted % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let (date, month) = (of_year - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
    let year = era * 400 + year + u64::from(month <= 2);
    format!("{year:04}{month:02}{date:02}T{:02}{:02}{:02}Z", rest / 3600, rest % 3600 / 60, rest % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_have_names() {
        assert_eq!(stamp(0), "19700101T000000Z");
        assert_eq!(stamp(951_782_400), "20000229T000000Z");
        assert_eq!(stamp(1_795_303_812), "20261121T233012Z");
        assert_eq!(stamp(4_107_542_399), "21000228T235959Z");
    }

    #[test]
    fn what_was_there_is_kept_aside() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("mcp.json");
        std::fs::write(&path, "\u{feff}{}").unwrap();
        let held = Held::read(&path).unwrap();
        assert_eq!(held.text(), "{}");
        let backup = held.replace("{\"a\":1}").unwrap().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "\u{feff}{\"a\":1}");
        assert_eq!(std::fs::read_to_string(&backup).unwrap(), "\u{feff}{}");
        let second = Held::read(&path).unwrap().replace("{}").unwrap().unwrap();
        assert_ne!(backup, second);
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 3, "nothing else is left");
    }

    #[test]
    fn what_changed_meanwhile_is_not_overwritten() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("deep/mcp.json");
        let held = Held::read(&path).unwrap();
        assert!(held.bytes.is_none() && held.text().is_empty());
        assert_eq!(held.replace("{}").unwrap(), None);
        assert!(matches!(held.replace("{\"mine\":1}"), Err(FileError::Changed)));
        let held = Held::read(&path).unwrap();
        std::fs::write(&path, "theirs").unwrap();
        assert!(matches!(held.replace("{\"mine\":1}"), Err(FileError::Changed)));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "theirs");
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing else is left");
    }

    #[cfg(unix)]
    #[test]
    fn links_and_rights_stay() {
        use std::os::unix::fs::{PermissionsExt as _, symlink};
        let home = tempfile::tempdir().unwrap();
        let (real, link) = (home.path().join("dotfiles/real.json"), home.path().join("link.json"));
        symlink("dotfiles/real.json", &link).unwrap();
        // A link to nothing yet.
        Held::read(&link).unwrap().replace("{}").unwrap();
        assert_eq!(std::fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::set_permissions(&real, Permissions::from_mode(0o640)).unwrap();
        let backup = Held::read(&link).unwrap().replace("{\"a\":1}").unwrap().unwrap();
        assert!(link.is_symlink());
        assert_eq!(std::fs::read_to_string(&real).unwrap(), "{\"a\":1}");
        for path in [&real, &backup] {
            assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o640, "{}", path.display());
        }
        symlink("round.json", home.path().join("round.json")).unwrap();
        assert!(Held::read(&home.path().join("round.json")).is_err());
        std::fs::write(&real, b"\xff").unwrap();
        assert!(matches!(Held::read(&link), Err(FileError::NotText)));
    }
}
