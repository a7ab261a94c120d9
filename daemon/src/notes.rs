//! What the offline verbs do, noted until the audit trail can take it: they work while nobody serves the profile, often on a database that
//! does not open, or that is about to be another one.
//!
//! A line for each beginning and each end, in a file beside the database, on the disk before the verb goes on. The next daemon appends them to
//! the trail and then removes the file; killed in between, it knows by time, verb and outcome what the trail has already. The file has no
//! seal: whoever can write the profile can run the verbs too, or delete the files without them.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use m365_cached::{
    audit::{Event, Kind},
    clock::{Clock as _, SystemClock, Timestamp},
    engine::Engine,
};
use serde::{Deserialize, Serialize};

/// Its name, beside the database.
const FILE: &str = "audit.pending";
/// Who asks for what is done so: a person at the shell.
const WHO: &str = "cachectl";
/// What can be noted. Nothing else is taken in, so that nobody's text comes into the trail through the file.
const VERBS: [(&str, Kind); 8] = [
    ("import", Kind::Import),
    ("import --remove", Kind::Import),
    ("import --put-back", Kind::Import),
    ("keys import", Kind::Key),
    ("repair", Kind::Repair),
    ("repair --rollback", Kind::Repair),
    ("reset", Kind::Repair),
    ("restore", Kind::Repair),
];
/// How far a verb had come.
const OUTCOMES: [&str; 3] = [BEGUN, DONE, FAILED];
/// Before anything is done.
pub(crate) const BEGUN: &str = "begun";
/// It was done.
pub(crate) const DONE: &str = "done";
/// It was refused, or could not be done to its end.
pub(crate) const FAILED: &str = "failed";

#[derive(Debug, Serialize, Deserialize)]
struct Note {
    at: i64,
    verb: String,
    outcome: String,
}

/// What is noted beside one database.
pub(crate) struct Notes {
    file: PathBuf,
}

impl Notes {
    /// Those beside the database at `path`.
    pub(crate) fn beside(path: &Path) -> Self {
        Self { file: path.with_file_name(FILE) }
    }

    /// Notes how far `verb` has come; on the disk when this returns.
    pub(crate) fn add(&self, verb: &str, outcome: &str) -> io::Result<()> {
        let note = Note { at: SystemClock.now().0, verb: verb.to_owned(), outcome: outcome.to_owned() };
        let mut line = serde_json::to_vec(&note)?;
        line.push(b'\n');
        let mut options = OpenOptions::new();
        options.create(true).append(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&self.file)?;
        file.write_all(&line)?;
        file.sync_all()?;
        self.flush_folder()
    }

    /// What was noted, and how many lines were none of ours.
    fn events(&self) -> io::Result<(Vec<Event>, usize)> {
        let text = match fs::read(&self.file) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), 0)),
            Err(error) => return Err(error),
        };
        let events: Vec<Event> = text.lines().filter_map(event).collect();
        let strange = text.lines().count() - events.len();
        Ok((events, strange))
    }

    fn clear(&self) -> io::Result<()> {
        fs::remove_file(&self.file)?;
        self.flush_folder()
    }

    #[cfg(unix)]
    fn flush_folder(&self) -> io::Result<()> {
        self.file.parent().map_or(Ok(()), |folder| fs::File::open(folder)?.sync_all())
    }

    #[cfg(not(unix))]
    fn flush_folder(&self) -> io::Result<()> {
        Ok(())
    }
}

fn event(line: &str) -> Option<Event> {
    let note: Note = serde_json::from_str(line).ok()?;
    let (verb, kind) = VERBS.into_iter().find(|(verb, _)| *verb == note.verb)?;
    let outcome = OUTCOMES.into_iter().find(|outcome| *outcome == note.outcome)?;
    Some(Event::new(kind, Timestamp(note.at)).with(verb).by(WHO).ended(outcome))
}

/// Has the trail take in what was noted beside the database at `path`. What it cannot take now waits for the next start.
pub(crate) async fn take_in(engine: &Arc<Engine>, path: &Path) {
    let notes = Notes::beside(path);
    let (events, strange) = match notes.events() {
        Ok((events, 0)) if events.is_empty() => return,
        Ok(found) => found,
        Err(error) => {
            return tracing::warn!(kind = %error.kind(), "what was done while no daemon ran cannot be read; it is not in the audit trail yet");
        }
    };
    if strange > 0 {
        tracing::warn!(count = strange, "lines of the notes for the audit trail are none of ours; they are left out");
    }
    if let Err(error) = engine.take_in(events).await {
        return tracing::warn!(%error, "what was done while no daemon ran is not in the audit trail yet");
    }
    if let Err(error) = notes.clear() {
        tracing::warn!(kind = %error.kind(), "the notes that the audit trail has taken in cannot be removed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_verb_can_have_noted_is_taken_in() {
        let dir = tempfile::tempdir().unwrap();
        let notes = Notes::beside(&dir.path().join("cache.db"));
        assert_eq!(notes.events().unwrap(), (vec![], 0), "nothing was done");
        for (verb, _) in VERBS {
            notes.add(verb, BEGUN).unwrap();
        }
        notes.add("reset", DONE).unwrap();
        let file = dir.path().join(FILE);
        let forged = [r#"{"at":1,"verb":"reset","outcome":"somebody's words"}"#, r#"{"at":1,"verb":"erase","outcome":"done"}"#, "no JSON"];
        fs::write(&file, fs::read_to_string(&file).unwrap() + &forged.join("\n")).unwrap();
        let (events, strange) = notes.events().unwrap();
        assert_eq!((events.len(), strange), (VERBS.len() + 1, forged.len()));
        let last = events.last().unwrap();
        assert_eq!((last.kind, last.tool.as_str(), last.outcome, last.client.as_str()), (Kind::Repair, "reset", DONE, WHO));
        notes.clear().unwrap();
        assert_eq!(notes.events().unwrap(), (vec![], 0));
    }

    #[test]
    fn what_cannot_be_noted_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let notes = Notes::beside(&dir.path().join("no folder/cache.db"));
        assert!(notes.add("reset", BEGUN).is_err());
    }
}
