//! Master keys that are still needed: by envelopes that were put aside, and by others.
//!
//! Decision: a rotation destroys the old master key, except where an envelope that was put aside is sealed under it: `reset`, `restore` and
//! `keys import` promise that what they replace can be put back, and without its master key it opens with nothing. Rejected: to destroy it all
//! the same, which loses data without a word; and to keep every old key, with which a rotation would protect from nothing.
//!
//! A key file that a profile finds and does not make is its owner's, as the environment is: another profile may open with it. It stays usable, since
//! service managers and people hand keys over so; a note beside it, which every profile sees that uses it, keeps it from being replaced and deleted.
//! Rejected: to refuse it; and to note it in the envelope, which the profile that has made the file does not see.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{Locked, Source, disk, envelope, open::Vault};
use crate::{clock::Timestamp, secret::Key};

/// What follows the envelope's name in that of one that was replaced; behind it comes the date.
const REPLACED: &str = ".replaced-";

/// What the note says.
const SHARED: &str =
    "A profile of m365-cached has found the key file beside this note and not made it, so others may use it: no profile replaces or
deletes it. Remove this note when one profile alone uses that key.
";

impl Vault {
    /// Gives the envelope that is there a dated name besides its own: the next one takes its place in one step, so that there always is one.
    pub(super) fn set_aside(&self, now: Timestamp) -> Result<Option<PathBuf>, Locked> {
        let envelope = &self.places.envelope;
        let Ok(facts) = envelope.symlink_metadata() else { return Ok(None) };
        let to = with(envelope, &format!("{REPLACED}{}", now.rfc3339().replace([':', '.'], "-")));
        // What is no file is no envelope either, and has no second name.
        let named = if facts.is_file() { fs::hard_link(envelope, &to) } else { fs::rename(envelope, &to) };
        named.map_err(|error| {
            let message = format!("the key envelope `{}` cannot be set aside: {error}", envelope.display());
            Locked::new("envelope_failed", message, "Check the rights of that folder.")
        })?;
        Ok(Some(to))
    }

    /// Takes a dated name away again while the envelope still is the one that was given it.
    pub(super) fn take_back(&self, name: &Path) {
        let same = disk::read(name).is_ok_and(|aside| disk::read(&self.places.envelope).is_ok_and(|envelope| aside == envelope));
        if same {
            // A second name that stays is in nobody's way.
            let _ = fs::remove_file(name);
        }
    }

    /// The envelope that was put aside and is sealed under `master`. What cannot be looked at may be.
    pub(super) fn needed_by(&self, master: &Key) -> Option<PathBuf> {
        let sealed = |path: &PathBuf| match disk::read(path) {
            Ok(bytes) => envelope::is_sealed_under(&bytes, master),
            Err(error) => !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory),
        };
        match self.put_aside() {
            Ok(envelopes) => envelopes.into_iter().find(sealed),
            Err(folder) => Some(folder),
        }
    }

    /// Where envelopes that were put aside may be, or the folder that cannot be read.
    fn put_aside(&self) -> Result<Vec<PathBuf>, PathBuf> {
        let name = self.places.envelope.file_name().unwrap_or_default();
        let replaced = with(Path::new(name), REPLACED);
        let beside = self.places.envelope.parent().unwrap_or(Path::new("."));
        let mut found = within(beside)?;
        found.retain(|path| path.file_name().is_some_and(|name| starts_with(name, replaced.as_os_str())));
        found.extend(within(&self.places.quarantine)?.into_iter().map(|folder| folder.join(name)));
        Ok(found)
    }
}

/// The note beside a key file that a profile has found there already: others may use it.
pub(super) fn shared_note(file: &Path) -> PathBuf {
    with(file, ".shared")
}

/// The note, where there is one. One that cannot be looked at may be there.
pub(super) fn noted_as_shared(file: &Path) -> Option<PathBuf> {
    let note = shared_note(file);
    let none = matches!(note.symlink_metadata(), Err(error) if error.kind() == io::ErrorKind::NotFound);
    (!none).then_some(note)
}

/// Notes that `file` may be used by others. Where nothing can be written, no key can be replaced either.
pub(super) fn note_as_shared(file: &Path) -> io::Result<()> {
    match disk::create(&shared_note(file), SHARED.as_bytes()) {
        Err(error)
            if !matches!(
                error.kind(),
                io::ErrorKind::AlreadyExists | io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
            ) =>
        {
            Err(error)
        }
        _ => Ok(()),
    }
}

/// Whether a new key file can be put in the place of `file`: not from where it is only shown to the daemon (a credential of the service manager, a
/// secret of a container, `/etc` under `ProtectSystem=`), and there its owner changes it. Nothing is written to find out.
pub(super) fn replaceable(file: &Path) -> bool {
    #[cfg(unix)]
    {
        use rustix::fs::Access;
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        rustix::fs::access(folder, Access::WRITE_OK | Access::EXEC_OK).is_ok()
    }
    #[cfg(not(unix))]
    file.parent().and_then(|folder| folder.metadata().ok()).is_some_and(|facts| facts.is_dir())
}

/// Where a key file is kept that gives its name to a new one and is still needed: named by its key, so that doing it again changes nothing.
pub(super) fn kept_file(file: &Source, master: &Key) -> PathBuf {
    with(Path::new(&file.location), &format!(".kept-{}", envelope::key_id(master)))
}

fn within(folder: &Path) -> Result<Vec<PathBuf>, PathBuf> {
    match fs::read_dir(folder).and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        found => found.map_err(|_| folder.to_owned()),
    }
}

fn starts_with(name: &std::ffi::OsStr, start: &std::ffi::OsStr) -> bool {
    name.as_encoded_bytes().starts_with(start.as_encoded_bytes())
}

fn with(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.to_owned().into_os_string();
    name.push(ending);
    name.into()
}
