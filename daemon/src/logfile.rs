//! The daemon's own log file: there whoever started it, the owner's alone, and bounded.
//!
//! Decision: always, and beside stderr rather than in its place. A journal is asked by those who have one; a daemon that a client started has none, and
//! one file for all of them is what `m365-cachectl logs` can show without knowing who started what. A shim makes this very file the daemon's stderr for
//! its first words; then it alone is written, not twice. Four files of 4 MB at most; what comes through the redactor holds nobody's content.
//!
//! A new file is made before the old ones are moved, so that a folder that takes none costs no old one. Where stderr was the old one it becomes the new one: else
//! what goes there past this file (a panic of the runtime's) would end in a file that is put aside, and the program that takes our place, which
//! inherits stderr, would take it for another one and write each line twice, one of them without bound. Windows has no such exchange in
//! safe code; there stderr stays with the file that was put aside until the next start.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use m365_cached_proto::logs::{LOG_MAX, put_aside};
use same_file::Handle;

/// A log file. Clones are one.
#[derive(Debug, Clone)]
pub struct LogFile(Arc<Mutex<Log>>);

#[derive(Debug)]
struct Log {
    path: PathBuf,
    file: File,
    size: u64,
    max: u64,
    /// Lines that could not be written.
    lost: u64,
}

impl LogFile {
    /// Opens the log at `path` for appending; one that is full is put aside.
    ///
    /// # Errors
    /// When the folder or the file cannot be written.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::of_size(path, LOG_MAX)
    }

    fn of_size(path: &Path, max: u64) -> io::Result<Self> {
        let file = appended(path)?;
        let size = file.metadata()?.len();
        Ok(Self(Arc::new(Mutex::new(Log { path: path.to_owned(), file, size, max, lost: 0 }))))
    }

    /// Whether stderr is this very file, so that what is written here need not be written there.
    #[must_use]
    pub fn is_stderr(&self) -> bool {
        is_stderr(&self.0.lock().unwrap_or_else(PoisonError::into_inner).file)
    }
}

/// A line arrives as one write. One that cannot be written is counted and told later: nothing else can be done about it, and the daemon goes on.
impl Write for LogFile {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).add(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn add(&mut self, line: &[u8]) {
        if self.size > 0 && self.size.saturating_add(count(line)) > self.max {
            // A folder that takes no new file: the old one goes on, and grows past its size rather than losing what is said.
            if let Ok(file) = self.next() {
                #[cfg(unix)]
                if is_stderr(&self.file) {
                    // Without it the words of others go where they went.
                    let _ = rustix::stdio::dup2_stderr(&file);
                }
                (self.file, self.size) = (file, 0);
            }
        }
        let missing = if self.lost > 0 { format!("{} lines could not be written here\n", self.lost) } else { String::new() };
        match self.file.write_all(&[missing.as_bytes(), line].concat()) {
            Ok(()) => (self.lost, self.size) = (0, self.size.saturating_add(count(line))),
            Err(_) => self.lost += 1,
        }
    }
}

impl Log {
    /// A new file in the place of this one, which is put aside.
    fn next(&self) -> io::Result<File> {
        let new = self.path.with_extension("log.new");
        let file = appended(&new)?;
        let moved = file.set_len(0).and_then(|()| put_aside(&self.path)).and_then(|()| std::fs::rename(&new, &self.path));
        if moved.is_err() {
            // One that stays is taken the next time.
            let _ = std::fs::remove_file(&new);
        }
        moved.map(|()| file)
    }
}

/// Whether stderr is that very file.
fn is_stderr(file: &File) -> bool {
    file.try_clone().and_then(Handle::from_file).is_ok_and(|file| Handle::stderr().is_ok_and(|stderr| stderr == file))
}

fn count(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

fn appended(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(test)]
mod tests {
    use m365_cached_proto::logs::old_logs;

    use super::*;

    #[test]
    fn it_is_bounded_and_loses_nothing_of_what_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m365-cached.log");
        std::fs::write(&path, "line 0\n").unwrap();
        let mut log = LogFile::of_size(&path, 28).unwrap();
        for number in 1..10 {
            log.write_all(format!("line {number}\n").as_bytes()).unwrap();
        }
        let old = old_logs(&path);
        let read = |path: &Path| std::fs::read_to_string(path).unwrap();
        assert_eq!(read(&path), "line 8\nline 9\n");
        assert_eq!((read(&old[0]), read(&old[1])), ("line 4\nline 5\nline 6\nline 7\n".into(), "line 0\nline 1\nline 2\nline 3\n".into()));
        assert!(!log.is_stderr());
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_reads_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m365-cached.log");
        let mut log = LogFile::of_size(&path, 8).unwrap();
        (0..3).for_each(|_| log.write_all(b"a line\n").unwrap());
        for path in [&path, &old_logs(&path)[0]] {
            assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600, "{}", path.display());
        }
    }

    #[test]
    fn a_folder_that_takes_no_new_file_loses_no_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m365-cached.log");
        let mut log = LogFile::of_size(&path, 8).unwrap();
        // Folders in the places of the logs that are put aside cannot be replaced.
        old_logs(&path).iter().for_each(|old| std::fs::create_dir_all(old.join("not empty")).unwrap());
        (0..3).for_each(|_| log.write_all(b"a line\n").unwrap());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "a line\n".repeat(3));
    }

    #[test]
    fn a_folder_that_takes_no_new_file_costs_no_old_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m365-cached.log");
        for (at, old) in old_logs(&path).iter().enumerate() {
            std::fs::write(old, at.to_string()).unwrap();
        }
        let mut log = LogFile::of_size(&path, 8).unwrap();
        // A folder where the new one would be made.
        std::fs::create_dir(path.with_extension("log.new")).unwrap();
        (0..5).for_each(|_| log.write_all(b"a line\n").unwrap());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "a line\n".repeat(5));
        let texts: Vec<String> = old_logs(&path).iter().map(|old| std::fs::read_to_string(old).unwrap()).collect();
        assert_eq!(texts, ["0", "1", "2"]);
    }
}
