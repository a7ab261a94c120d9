//! The switch of `m365-cachectl pause`, kept beside the database: a daemon that starts anew is as quiet as the one before it.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use m365_cached::{
    auth::{Pause, UNTIL_RESUMED},
    clock::{Clock, Timestamp},
    hint::Kind,
};

use crate::core::Problem;

/// What stands in the file when only a person ends the pause.
const BY_HAND: &str = "until resumed";

/// The switch and the file that remembers it.
pub struct Switch {
    file: PathBuf,
    pause: Arc<Pause>,
}

impl Switch {
    /// The switch of the profile whose data lies in `dir`, as it was left.
    pub fn of(dir: &Path, clock: Arc<dyn Clock>) -> Self {
        let (file, pause) = (dir.join("paused"), Pause::new(clock));
        match fs::read_to_string(&file) {
            // What cannot be understood was meant to keep us quiet.
            Ok(text) => {
                let (since, until) = read(&text).unwrap_or((pause.now(), UNTIL_RESUMED));
                pause.set(since, Some(until));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(_) => pause.set(pause.now(), Some(UNTIL_RESUMED)),
        }
        Self { file, pause }
    }

    /// What connections look at.
    pub fn pause(&self) -> &Arc<Pause> {
        &self.pause
    }

    /// Until when nothing is asked; `None` when it may be.
    pub fn until(&self) -> Option<Timestamp> {
        self.pause.until()
    }

    /// Throws it: remembered first, so that no restart undoes what was agreed to.
    ///
    /// # Errors
    /// When the file cannot be written; all is then as before.
    pub fn set(&self, until: Option<Timestamp>) -> Result<(), Problem> {
        let since = self.pause.now();
        let kept = match until {
            Some(UNTIL_RESUMED) => write(&self.file, BY_HAND),
            Some(until) => write(&self.file, &format!("{} {}", since.0, until.0)),
            None => match fs::remove_file(&self.file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            },
        };
        kept.map_err(|error| {
            let message = format!("`{}` cannot be written: {error}", self.file.display());
            Problem::new(Kind::Config, "not_paused", message, "Look at the rights of that folder and the space on its disk.")
        })?;
        self.pause.set(since, until);
        Ok(())
    }
}

/// When a pause began, and when it ends.
fn read(text: &str) -> Option<(Timestamp, Timestamp)> {
    let (since, until) = text.trim().split_once(' ')?;
    Some((Timestamp(since.parse().ok()?), Timestamp(until.parse().ok()?)))
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    use io::Write as _;
    let beside = path.with_extension("new");
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&beside, path)
}

#[cfg(test)]
mod tests {

    use m365_cached::clock::ManualClock;

    use super::*;

    #[test]
    fn it_is_as_it_was_left() {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(Timestamp(1000)));
        let again = || Switch::of(dir.path(), clock.clone());
        assert_eq!(again().until(), None);
        again().set(Some(Timestamp(5000))).unwrap();
        assert_eq!(again().until(), Some(Timestamp(5000)));
        clock.set(Timestamp(-3_600_000));
        assert_eq!(again().until(), Some(Timestamp(-3_596_000)), "no longer than it was to be, by a clock that was set back");
        clock.set(Timestamp(11_000));
        assert_eq!(again().until(), None);
        again().set(Some(UNTIL_RESUMED)).unwrap();
        assert_eq!(again().until(), Some(UNTIL_RESUMED));
        again().set(None).unwrap();
        assert_eq!(again().until(), None);
        again().set(None).unwrap();
        fs::write(dir.path().join("paused"), "garbage").unwrap();
        assert_eq!(again().until(), Some(UNTIL_RESUMED), "rather too quiet than too loud");
    }
}
