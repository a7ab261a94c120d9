//! Who holds a profile: the lock that its daemon keeps for life, and what stands in that file of the process that keeps it.
//!
//! The lock alone decides; the words say whose it is and where that process listens. A daemon that drains has stopped listening and holds the lock until its
//! last write has ended, so that whoever waits for its end waits for the lock. The words are written into the locked file itself, since then
//! there is nothing beside it that could be left over or lag behind; on Windows nobody else can read a locked file, and the holder is unknown there.

use std::fs::{File, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use crate::dirs::{Profile, is_private};

/// More than a path can be long.
const WORDS_MAX: u64 = 8 * 1024;

/// A process that holds a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its process id.
    pub pid: u32,
    /// Where it listens, or did until it began to end; `None` for one that works on the profile's files alone.
    pub socket: Option<PathBuf>,
}

/// Whether a profile is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    /// By nobody.
    Free,
    /// By a process; `None` where it has not said which.
    By(Option<Holder>),
}

impl Holder {
    /// Writes into the lock `file` who holds it.
    ///
    /// # Errors
    /// When the file cannot be written, as on a full disk; then it holds no words.
    pub fn write(&self, mut file: &File) -> io::Result<()> {
        // First away with those of the holder before: none are better than its.
        file.set_len(0)?;
        file.seek(SeekFrom::Start(0))?;
        let socket = self.socket.as_ref().map(|socket| socket.as_os_str().as_encoded_bytes()).unwrap_or_default();
        let written = file.write_all(&[self.pid.to_string().as_bytes(), b"\n", socket].concat());
        if written.is_err() {
            file.set_len(0)?;
        }
        written
    }

    fn read(file: &File) -> Option<Self> {
        let mut words = Vec::new();
        file.take(WORDS_MAX).read_to_end(&mut words).ok()?;
        let end = words.iter().position(|byte| *byte == b'\n')?;
        let (pid, socket) = (&words[..end], &words[end + 1..]);
        let pid = std::str::from_utf8(pid).ok()?.parse().ok()?;
        Some(Self { pid, socket: (!socket.is_empty()).then(|| path(socket)) })
    }
}

#[cfg(unix)]
fn path(bytes: &[u8]) -> PathBuf {
    <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(bytes).into()
}

#[cfg(not(unix))]
fn path(bytes: &[u8]) -> PathBuf {
    String::from_utf8_lossy(bytes).into_owned().into()
}

/// Whether `profile` is held, and by whom. To look takes the lock for a moment, beside others who look: a daemon that starts in that very moment finds
/// it taken, gives way, and is started again.
///
/// # Errors
/// When the lock cannot be read.
pub fn look(profile: &Profile) -> io::Result<Held> {
    let file = match File::open(profile.lock_file()) {
        Ok(file) => file,
        // No daemon has been there yet.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Held::Free),
        Err(error) => return Err(error),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(Held::Free),
        Err(TryLockError::WouldBlock) => Ok(Held::By(Holder::read(&file))),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Where the daemon of `profile` listens when that is not where this process would look: it was started in a session that has another place for sockets,
/// or none. Only a socket in a folder that is this user's alone counts, as the word of a folder that is.
#[must_use]
pub fn elsewhere(profile: &Profile) -> Option<PathBuf> {
    let alone = |dir: Option<&Path>| dir.is_some_and(|dir| is_private(dir).is_ok());
    let words = || Holder::read(&File::open(profile.lock_file()).ok()?)?.socket;
    // Most who find nobody find no other place either, and need not touch the lock.
    let other = |socket: &PathBuf| socket.is_absolute() && socket != profile.socket();
    words().filter(other).filter(|_| alone(Some(&profile.dir)))?;
    match look(profile) {
        Ok(Held::By(Some(Holder { socket: Some(socket), .. }))) => Some(socket).filter(other).filter(|socket| alone(socket.parent())),
        _ => None,
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn profile() -> (tempfile::TempDir, Profile, File) {
        let home = tempfile::tempdir().unwrap();
        let profile = Profile::at(&home.path().join("profile")).unwrap();
        crate::dirs::private_dir(&profile.dir).unwrap();
        let lock = File::options().create(true).truncate(false).read(true).write(true).open(profile.lock_file()).unwrap();
        (home, profile, lock)
    }

    #[test]
    fn the_lock_decides_and_the_words_say_whose_it_is() {
        let (_home, profile, lock) = profile();
        assert_eq!(look(&profile).unwrap(), Held::Free);
        lock.lock().unwrap();
        assert_eq!(look(&profile).unwrap(), Held::By(None), "one that says nothing holds it all the same");
        let long = Holder { pid: 4_000_000, socket: Some("/run/a line\nand another/s".into()) };
        let short = Holder { pid: 7, socket: None };
        for holder in [long, short] {
            holder.write(&lock).unwrap();
            assert_eq!(look(&profile).unwrap(), Held::By(Some(holder)));
        }
        lock.unlock().unwrap();
        assert_eq!(look(&profile).unwrap(), Held::Free, "words that were left over mean nothing");
        std::fs::remove_file(profile.lock_file()).unwrap();
        assert_eq!(look(&profile).unwrap(), Held::Free);
    }

    #[test]
    fn another_place_is_believed_only_of_a_holder_and_in_a_folder_of_its_own() {
        let (home, profile, lock) = profile();
        let folder = home.path().join("run");
        let socket = folder.join("s");
        let says = |socket: &Path| Holder { pid: 7, socket: Some(socket.to_owned()) }.write(&lock).unwrap();
        let mode = |dir: &Path, mode| std::fs::set_permissions(dir, std::fs::Permissions::from_mode(mode)).unwrap();
        lock.lock().unwrap();
        says(&socket);
        assert_eq!(elsewhere(&profile), None, "there is no such folder");
        crate::dirs::private_dir(&folder).unwrap();
        assert_eq!(elsewhere(&profile), Some(socket.clone()));
        for wide in [0o701, 0o750, 0o777] {
            mode(&folder, wide);
            assert_eq!(elsewhere(&profile), None, "{wide:o}");
        }
        mode(&folder, 0o700);
        mode(&profile.dir, 0o770);
        assert_eq!(elsewhere(&profile), None, "somebody else may have written that");
        mode(&profile.dir, 0o700);
        for nowhere in [profile.socket(), Path::new("s")] {
            says(nowhere);
            assert_eq!(elsewhere(&profile), None);
        }
        says(&socket);
        lock.unlock().unwrap();
        assert_eq!(elsewhere(&profile), None, "of one that has gone");
    }
}
