//! The turn to start the daemon of a profile: one process has it at a time, and a mark in its file says that a daemon was started lately which has not answered
//! yet. Who finds the turn taken or marked waits for the socket.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::time::Duration;

use crate::dirs::{Profile, private_dir};

/// At most one start of a daemon in this time, of those that come to nothing.
pub const START_EVERY: Duration = Duration::from_secs(2);

/// The turn of one process. Given back when dropped; a mark stays.
#[derive(Debug)]
pub struct Turn(File);

impl Turn {
    /// Takes the turn; `None` while somebody else has it.
    ///
    /// # Errors
    /// When the profile's folder is not private, or cannot be written.
    pub fn take(profile: &Profile) -> io::Result<Option<Self>> {
        private_dir(&profile.dir).map_err(io::Error::other)?;
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(profile.starter_file())?;
        Ok(file.try_lock().is_ok().then_some(Self(file)))
    }

    /// Marks it: a daemon was started. On a full disk there is no mark, and each client is held back by itself alone.
    pub fn mark(&self) {
        let _ = (&self.0).write_all(b".");
    }

    /// Whether a daemon was started within the last two seconds that has neither answered nor given way. A mark of the future, left by a clock that was set
    /// back since, is none.
    #[must_use]
    pub fn is_marked(&self) -> bool {
        let Ok(facts) = self.0.metadata() else { return false };
        facts.len() > 0 && facts.modified().is_ok_and(|at| at.elapsed().is_ok_and(|age| age < START_EVERY))
    }

    /// Removes the mark. One that cannot be removed keeps others waiting for two seconds.
    pub fn clear(&self) {
        let _ = self.0.set_len(0);
    }
}
