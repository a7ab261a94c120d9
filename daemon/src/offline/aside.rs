//! Putting files aside: nothing is ever overwritten; what has to go lies under `quarantine/` in a folder named by the date.
//!
//! **Cut short.** A database and its log belong together: without the log old answers would be taken for true and those who have signed out
//! would be signed in, and another's log would destroy it. They have two names and cannot move at once. So it is noted beside them where they
//! go before the first of them moves, and whoever opens the profile's files next, a daemon or a verb, puts them back, unless the new database
//! stands in its place already. What fails is put back at once.
//!
//! Rejected: a mark by which every source begins anew, since tokens, sign-outs and records of the log would be lost all the same; a placeholder
//! that does not open, which `repair` would put aside in its turn.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use m365_cached::{
    clock::{Clock as _, SystemClock},
    hint::Kind,
    store::sqlcipher,
};
use m365_cached_proto::dirs::{Profile, private_dir};
use serde_json::{Value, json};

use super::Bench;
use crate::{core::Problem, daemon::QUARANTINE};

/// What belongs to a database and to nothing else.
const BESIDE: [&str; 3] = ["-wal", "-shm", "-journal"];
/// Where the end of the audit trail is kept outside the database: it is about that database and no other.
const ANCHOR: &str = "audit.head";

/// What stands behind the database's name while its files move: the folder they go to, and the name of the new database, one a line.
const NOTE: &str = ".moving";

/// `reset`: database and keys aside.
pub(super) fn reset(bench: &Bench) -> Result<Value, Problem> {
    let profile = &bench.profile;
    let mut files = with_its_log(profile);
    // Those of before an upgrade, which belong to the database that goes.
    files.extend(sqlcipher::all_kept(&profile.database()));
    files.extend([profile.imported(), profile.database().with_file_name(ANCHOR), profile.keys_file()]);
    if !files.iter().any(|file| file.symlink_metadata().is_ok()) {
        return Ok(json!({ "quarantine": null }));
    }
    let folder = moved(profile, &files, None)?;
    Ok(json!({ "quarantine": folder.display().to_string() }))
}

/// Puts the file `new` in the place of the database; where the old one is now.
pub(super) fn replace(profile: &Profile, new: &Path) -> Result<Option<PathBuf>, Problem> {
    let (database, files) = (profile.database(), with_its_log(profile));
    if !files.iter().any(|file| file.symlink_metadata().is_ok()) {
        fs::rename(new, &database).map_err(|error| give_up(new, cannot(&database, &error)))?;
        return Ok(None);
    }
    moved(profile, &files, Some(new)).map(Some).map_err(|why| {
        // While files are still to be put back it says that they are.
        if with(&database, NOTE).symlink_metadata().is_ok() { why } else { give_up(new, why) }
    })
}

/// Puts the database aside and nothing in its place.
pub(super) fn set_aside(profile: &Profile) -> Result<PathBuf, Problem> {
    let mut files = with_its_log(profile);
    files.push(profile.database().with_file_name(ANCHOR));
    moved(profile, &files, None)
}

/// Puts back what was about to move when a verb was cut short. Only for one who has claimed the profile's files, before any of them is opened.
///
/// # Errors
/// When it cannot be done; then the database must not be opened.
pub(crate) fn put_back(profile: &Profile) -> Result<(), Problem> {
    let note = with(&profile.database(), NOTE);
    let noted = match fs::read_to_string(&note) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        noted => noted.map_err(|error| cannot(&note, &error))?,
    };
    let mut lines = noted.lines();
    let folder = profile.dir.join(QUARANTINE).join(lines.next().unwrap_or_default());
    // It is there until it has taken the database's place.
    let replaced = lines.next().is_some_and(|new| profile.dir.join(new).symlink_metadata().is_err());
    if !replaced {
        if folder.symlink_metadata().is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
            return Err(is_gone(&note, &folder));
        }
        out_of(profile, &folder)?;
    }
    forget(profile)?;
    tidy(&folder);
    Ok(())
}

/// Moves `files` to a new folder and `new` into the place of the database: all of it or nothing.
fn moved(profile: &Profile, files: &[PathBuf], new: Option<&Path>) -> Result<PathBuf, Problem> {
    let folder = folder(profile)?;
    note(profile, &folder, new).map_err(|error| cannot(&profile.database(), &error))?;
    let database = profile.database();
    let renamed = files.iter().try_for_each(|file| put_aside(file, &folder)).and_then(|()| match new {
        Some(new) => fs::rename(new, &database).map_err(|error| cannot(&database, &error)),
        None => Ok(()),
    });
    if let Err(why) = renamed {
        // What cannot be put back now is by whoever comes next.
        out_of(profile, &folder)?;
        forget(profile)?;
        tidy(&folder);
        return Err(why);
    }
    flush(&profile.dir).map_err(|error| cannot(&database, &error))?;
    forget(profile)?;
    Ok(folder)
}

fn note(profile: &Profile, folder: &Path, new: Option<&Path>) -> io::Result<()> {
    let (note, draft) = (with(&profile.database(), NOTE), with(&profile.database(), ".moving.new"));
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let lines: Vec<String> = std::iter::once(folder).chain(new).map(name).collect();
    let mut file = fs::File::create(&draft)?;
    file.write_all(lines.join("\n").as_bytes())?;
    file.sync_all()?;
    fs::rename(draft, note)?;
    flush(&profile.dir)
}

fn forget(profile: &Profile) -> Result<(), Problem> {
    let note = with(&profile.database(), NOTE);
    fs::remove_file(&note).and_then(|()| flush(&profile.dir)).map_err(|error| cannot(&note, &error))
}

/// Moves everything out of the folder to where it was; what stands there already stays in the folder.
fn out_of(profile: &Profile, folder: &Path) -> Result<(), Problem> {
    let failed = |error: io::Error| cannot(folder, &error);
    for file in fs::read_dir(folder).map_err(failed)? {
        let file = file.map_err(failed)?;
        let place = profile.dir.join(file.file_name());
        if place.symlink_metadata().is_err() {
            fs::rename(file.path(), &place).map_err(|error| cannot(&file.path(), &error))?;
        }
    }
    flush(&profile.dir).map_err(failed)
}

/// Removes a folder that nothing went to, once the note does not speak of it any more. One that is not empty has something in it that is not ours to
/// remove.
fn tidy(folder: &Path) {
    let _ = fs::remove_dir(folder);
}

/// The database and what belongs to it, the log first.
fn with_its_log(profile: &Profile) -> Vec<PathBuf> {
    let database = profile.database();
    BESIDE.iter().map(|ending| with(&database, ending)).chain([database.clone()]).collect()
}

/// A name beside the database for one that is being made; what a kill has left there goes.
pub(super) fn draft(profile: &Profile) -> Result<PathBuf, Problem> {
    let draft = with(&profile.database(), ".new");
    remove(&draft)?;
    Ok(draft)
}

/// Removes a draft that came to nothing, so that it takes no room on a disk that may have none; the next one needs it gone as well.
pub(super) fn give_up(draft: &Path, why: Problem) -> Problem {
    // Why it came to nothing is what counts.
    let _ = remove(draft);
    why
}

fn remove(draft: &Path) -> Result<(), Problem> {
    for ending in ["", "-wal", "-shm", ".creating", ".creating-journal"] {
        let file = with(draft, ending);
        match fs::remove_file(&file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(cannot(&file, &error)),
            _ => {}
        }
    }
    Ok(())
}

/// A new folder, named by the date. It is on the disk before the note speaks of it.
fn folder(profile: &Profile) -> Result<PathBuf, Problem> {
    let stamp = SystemClock.now().rfc3339().replace([':', '.'], "-");
    let quarantine = profile.dir.join(QUARANTINE);
    let folder = quarantine.join(stamp);
    for (dir, parent) in [(&quarantine, &profile.dir), (&folder, &quarantine)] {
        private_dir(dir).map_err(|error| Problem::of_folder("cannot_put_aside", &error))?;
        flush(parent).map_err(|error| cannot(dir, &error))?;
    }
    Ok(folder)
}

fn put_aside(file: &Path, folder: &Path) -> Result<(), Problem> {
    if file.symlink_metadata().is_err() {
        return Ok(());
    }
    fs::rename(file, folder.join(file.file_name().unwrap_or_default())).map_err(|error| cannot(file, &error))
}

fn with(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.to_owned().into_os_string();
    name.push(ending);
    name.into()
}

fn cannot(file: &Path, error: &io::Error) -> Problem {
    let message = format!("`{}` cannot be moved: {error}", file.display());
    Problem::new(Kind::Config, "cannot_put_aside", message, "Look at the rights of that folder and the space on its disk.")
}

/// Only somebody else can have removed it.
fn is_gone(note: &Path, folder: &Path) -> Problem {
    let message = format!(
        "files of the database were on their way to `{}` when that was cut short, and the folder is gone: without them the database might bring back what was signed out or deleted",
        folder.display()
    );
    let hint = format!(
        "Put that folder back where it was. If you have it no more, remove `{}` and bring a backup back with `m365-cachectl restore FILE`, or begin anew with `m365-cachectl reset`.",
        note.display()
    );
    Problem::new(Kind::Config, "put_aside_lost", message, hint)
}

#[cfg(unix)]
fn flush(folder: &Path) -> io::Result<()> {
    fs::File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn flush(_folder: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn profile() -> (tempfile::TempDir, Profile) {
        let dir = tempfile::tempdir().unwrap();
        let profile = Profile::at(&dir.path().join("profile")).unwrap();
        private_dir(&profile.dir).unwrap();
        for (name, text) in [("cache.db", "old"), ("cache.db-wal", "its log"), ("cache.keys", "keys"), ("cache.db.new", "new")] {
            fs::write(profile.dir.join(name), text).unwrap();
        }
        (dir, profile)
    }

    /// The files of a profile, those that were put aside left out.
    fn standing(profile: &Profile) -> BTreeMap<String, String> {
        let files = fs::read_dir(&profile.dir).unwrap().map(|file| file.unwrap().path()).filter(|file| file.is_file());
        files.map(|file| (file.file_name().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(&file).unwrap())).collect()
    }

    /// The log has moved, and nothing else yet: what stood there before, and where it is.
    fn begun(profile: &Profile) -> (BTreeMap<String, String>, PathBuf) {
        let (before, folder) = (standing(profile), folder(profile).unwrap());
        note(profile, &folder, None).unwrap();
        put_aside(&profile.dir.join("cache.db-wal"), &folder).unwrap();
        (before, folder)
    }

    fn put_aside_folders(profile: &Profile) -> usize {
        fs::read_dir(profile.dir.join(QUARANTINE)).map_or(0, Iterator::count)
    }

    #[test]
    fn a_new_database_takes_the_place_of_the_old_one_and_its_log() {
        let (_dir, profile) = profile();
        let folder = replace(&profile, &profile.dir.join("cache.db.new")).unwrap().unwrap();
        let expected = [("cache.db", "new"), ("cache.keys", "keys")].map(|(name, text)| (name.to_owned(), text.to_owned()));
        assert_eq!(standing(&profile), expected.into());
        assert_eq!(fs::read_to_string(folder.join("cache.db")).unwrap(), "old");
        assert_eq!(fs::read_to_string(folder.join("cache.db-wal")).unwrap(), "its log");
        // A log that nobody knows the database of.
        fs::rename(folder.join("cache.db-wal"), profile.dir.join("cache.db-wal")).unwrap();
        fs::rename(profile.database(), profile.dir.join("cache.db.new")).unwrap();
        assert!(replace(&profile, &profile.dir.join("cache.db.new")).unwrap().unwrap().join("cache.db-wal").exists());
    }

    #[test]
    fn what_cannot_take_its_place_leaves_the_database_with_its_log() {
        let (_dir, profile) = profile();
        fs::remove_file(profile.dir.join("cache.db.new")).unwrap();
        let before = standing(&profile);
        assert_eq!(replace(&profile, &profile.dir.join("cache.db.new")).unwrap_err().code, "cannot_put_aside");
        assert_eq!((standing(&profile), put_aside_folders(&profile)), (before, 0));
    }

    #[test]
    fn one_that_is_killed_at_any_step_leaves_all_as_it_was_or_all_as_it_shall_be() {
        let new = |profile: &Profile| profile.dir.join("cache.db.new");
        for steps in 0..=5usize {
            let (_dir, profile) = profile();
            let before = standing(&profile);
            let folder = folder(&profile).unwrap();
            // As `moved` does it.
            let files = with_its_log(&profile);
            if steps > 0 {
                note(&profile, &folder, Some(&new(&profile))).unwrap();
            }
            files.iter().take(steps.saturating_sub(1)).for_each(|file| put_aside(file, &folder).unwrap());
            if steps == 5 {
                fs::rename(new(&profile), profile.database()).unwrap();
            }
            for _ in 0..2 {
                put_back(&profile).unwrap();
                if steps < 5 {
                    assert_eq!(standing(&profile), before, "{steps} steps");
                } else {
                    assert_eq!(standing(&profile)["cache.db"], "new");
                    assert!(!profile.dir.join("cache.db-wal").exists() && folder.join("cache.db-wal").exists());
                }
            }
        }
    }

    #[test]
    fn a_folder_that_somebody_has_removed_is_asked_for_and_nothing_is_opened_without_it() {
        let (_dir, profile) = profile();
        let (before, folder) = begun(&profile);
        let elsewhere = profile.dir.join("elsewhere");
        fs::rename(&folder, &elsewhere).unwrap();
        for _ in 0..2 {
            let problem = put_back(&profile).unwrap_err();
            assert_eq!(problem.code, "put_aside_lost");
            assert!(problem.hint.contains("cache.db.moving"), "{}", problem.hint);
        }
        fs::rename(&elsewhere, &folder).unwrap();
        put_back(&profile).unwrap();
        assert_eq!((standing(&profile), put_aside_folders(&profile)), (before, 0));
    }

    #[test]
    fn one_that_is_killed_when_all_is_back_has_only_its_note_left() {
        let (_dir, profile) = profile();
        let (before, folder) = begun(&profile);
        out_of(&profile, &folder).unwrap();
        put_back(&profile).unwrap();
        assert_eq!((standing(&profile), put_aside_folders(&profile)), (before, 0));
    }

    #[test]
    fn one_that_puts_nothing_in_its_place_is_taken_back_as_long_as_it_has_not_ended() {
        let (_dir, profile) = profile();
        let before = standing(&profile);
        let folder = folder(&profile).unwrap();
        note(&profile, &folder, None).unwrap();
        for name in ["cache.db-wal", "cache.db", "cache.keys"] {
            put_aside(&profile.dir.join(name), &folder).unwrap();
        }
        // Somebody has made one of them anew: nothing is overwritten.
        fs::write(profile.dir.join("cache.keys"), "others").unwrap();
        put_back(&profile).unwrap();
        assert_eq!(
            (&standing(&profile)["cache.db-wal"], &standing(&profile)["cache.keys"]),
            (&before["cache.db-wal"], &"others".to_owned())
        );
        assert_eq!(fs::read_to_string(folder.join("cache.keys")).unwrap(), "keys");
        set_aside(&profile).unwrap();
        put_back(&profile).unwrap();
        assert!(!profile.database().exists(), "that one had ended");
    }
}
