//! The daemon's log: which files, and how large they grow. Whoever starts a daemon writes its first words there, the daemon itself the rest, and
//! `m365-cachectl logs` reads it.

use std::io;
use std::path::{Path, PathBuf};

/// A log of this size is put aside.
pub const LOG_MAX: u64 = 4 * 1024 * 1024;
/// Logs that were put aside and are kept.
pub const LOGS_KEPT: usize = 3;

/// The logs that were put aside of the one at `log`, the newest first: `m365-cached.log.1` and so on. Not all of them need to be there.
#[must_use]
pub fn old_logs(log: &Path) -> Vec<PathBuf> {
    (1..=LOGS_KEPT).map(|number| log.with_extension(format!("log.{number}"))).collect()
}

/// Puts the log aside, so that a new one can begin. The oldest goes.
///
/// # Errors
/// When the folder cannot be written.
pub fn put_aside(log: &Path) -> io::Result<()> {
    let old = old_logs(log);
    let places: Vec<&Path> = std::iter::once(log).chain(old.iter().map(PathBuf::as_path)).collect();
    // From the oldest on, so that none is lost when this ends in the middle.
    for pair in places.windows(2).rev() {
        if let [from, to] = pair {
            match std::fs::rename(from, to) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_kept_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("m365-cached.log");
        for number in 0..6 {
            std::fs::write(&log, number.to_string()).unwrap();
            put_aside(&log).unwrap();
        }
        let texts: Vec<String> = old_logs(&log).iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
        assert_eq!(texts, ["5", "4", "3"]);
        assert!(!log.exists() && std::fs::read_dir(dir.path()).unwrap().count() == LOGS_KEPT);
        put_aside(&log).unwrap();
        assert!(!old_logs(&log)[0].exists(), "none to put aside is no trouble");
    }
}
