//! The files of the log: the end of them, and what is added. A log that is put aside in the meantime is read to its end first.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use m365_cached_proto::logs::old_logs;

use super::entry::{Entry, Filter};

/// How often a log is looked at for new lines. No system tells of them in a way that all have.
const LOOK: Duration = Duration::from_millis(200);

/// The last `lines` (0: all) that are wanted, the oldest first; `None` when there is no log at all.
pub(super) fn read(log: &Path, filter: &Filter, lines: usize) -> io::Result<Option<Vec<Entry>>> {
    let (mut found, mut any) = (VecDeque::new(), false);
    for path in std::iter::once(log.to_owned()).chain(old_logs(log)) {
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        any = true;
        let text = String::from_utf8_lossy(&bytes);
        let entries: Vec<Entry> = text.lines().map(Entry::of).collect();
        let mut wanted = filter.clone();
        let kept: Vec<Entry> = entries.iter().filter(|entry| wanted.wants(entry)).cloned().collect();
        kept.into_iter().rev().for_each(|entry| found.push_front(entry));
        if (lines > 0 && found.len() >= lines) || filter.is_enough(entries.iter().find(|entry| entry.has_time())) {
            break;
        }
    }
    let surplus = if lines > 0 { found.len().saturating_sub(lines) } else { 0 };
    Ok(any.then(|| found.into_iter().skip(surplus).collect()))
}

/// Reads what is added to a log.
pub(super) struct Follower {
    path: PathBuf,
    /// None until there is one.
    file: Option<File>,
    /// The beginning of a line that has no end yet.
    begun: Vec<u8>,
}

impl Follower {
    /// From the end of what is there.
    pub(super) fn at_the_end(path: &Path) -> Self {
        let file = File::open(path).and_then(|mut file| file.seek(SeekFrom::End(0)).map(|_| file)).ok();
        Self { path: path.to_owned(), file, begun: Vec::new() }
    }

    /// Waits for the next lines.
    pub(super) async fn next(&mut self) -> io::Result<Vec<String>> {
        loop {
            let lines = self.added()?;
            if !lines.is_empty() {
                return Ok(lines);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// What was added since the last look.
    fn added(&mut self) -> io::Result<Vec<String>> {
        // Looked at before the last read: what is written to the old one after it was put aside is not lost.
        let another = self.is_another();
        if let Some(file) = &mut self.file {
            file.read_to_end(&mut self.begun)?;
        }
        if another {
            match File::open(&self.path) {
                Ok(mut file) => {
                    file.read_to_end(&mut self.begun)?;
                    self.file = Some(file);
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        let end = self.begun.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let rest = self.begun.split_off(end);
        let whole = std::mem::replace(&mut self.begun, rest);
        Ok(String::from_utf8_lossy(&whole).lines().map(str::to_owned).collect())
    }

    /// Whether another file than the one that is read lies where the log is.
    fn is_another(&self) -> bool {
        match (&self.file, std::fs::metadata(&self.path)) {
            (None, there) => there.is_ok(),
            (Some(file), Ok(there)) => file.metadata().is_ok_and(|ours| is_other(&ours, &there)),
            (Some(_), Err(_)) => false,
        }
    }
}

#[cfg(unix)]
fn is_other(ours: &std::fs::Metadata, there: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    (ours.dev(), ours.ino()) != (there.dev(), there.ino())
}

#[cfg(not(unix))]
fn is_other(ours: &std::fs::Metadata, there: &std::fs::Metadata) -> bool {
    ours.created().ok() != there.created().ok() || there.len() < ours.len()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use m365_cached_proto::logs::put_aside;

    use super::*;

    fn line(minute: u32) -> String {
        format!("2026-11-22T08:{minute:02}:00.000Z INFO  x: minute {minute}\n")
    }

    fn shown(entries: Option<Vec<Entry>>) -> Vec<String> {
        entries.unwrap().iter().map(|entry| entry.painted(crate::output::Paint::OFF)).collect()
    }

    #[test]
    fn the_end_is_found_across_files() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("m365-cached.log");
        let all = Filter::new(None, None);
        assert!(read(&log, &all, 5).unwrap().is_none());
        for file in 0..3 {
            put_aside(&log).unwrap();
            std::fs::write(&log, (0..3).map(|at| line(file * 3 + at)).collect::<String>()).unwrap();
        }
        assert_eq!(shown(read(&log, &all, 4).unwrap()), [5, 6, 7, 8].map(line));
        assert_eq!(shown(read(&log, &all, 0).unwrap()), (0..9).map(line).collect::<Vec<_>>());
        let late = Filter::new(Some("2026-11-22T08:04:00Z".parse().unwrap()), None);
        assert_eq!(shown(read(&log, &late, 0).unwrap()), (4..9).map(line).collect::<Vec<_>>());
        std::fs::remove_file(&log).unwrap();
        assert_eq!(shown(read(&log, &all, 1).unwrap()), [line(5)], "just put aside, and nothing written yet");
    }

    #[test]
    fn what_is_added_is_seen_once_and_whole() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("m365-cached.log");
        let mut early = Follower::at_the_end(&log);
        assert!(early.added().unwrap().is_empty());
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&log).unwrap();
        file.write_all(b"one\ntw").unwrap();
        let mut follower = Follower::at_the_end(&log);
        assert_eq!(early.added().unwrap(), ["one"]);
        file.write_all(b"o\n").unwrap();
        assert_eq!((early.added().unwrap(), follower.added().unwrap()), (vec!["two".to_owned()], vec!["o".to_owned()]));
        // Put aside, and written to once more before and after.
        put_aside(&log).unwrap();
        file.write_all(b"the last of the old\n").unwrap();
        std::fs::write(&log, "the first of the new\n").unwrap();
        assert_eq!(early.added().unwrap(), ["the last of the old", "the first of the new"]);
        assert!(early.added().unwrap().is_empty());
    }
}
