//! Putting files aside: nothing is ever overwritten; what has to go lies under `quarantine/` in a folder named by the date.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use m365_cached::{
    clock::{Clock as _, SystemClock},
    hint::Kind,
};
use m365_cached_proto::dirs::{Profile, private_dir};
use serde_json::{Value, json};

use super::Bench;
use crate::{core::Problem, daemon::QUARANTINE};

/// What belongs to a database and to nothing else.
const BESIDE: [&str; 3] = ["-wal", "-shm", "-journal"];
/// Where the end of the audit trail is kept outside the database: it is about that database and no other.
const ANCHOR: &str = "audit.head";

/// `reset`: database and keys aside.
pub(super) fn reset(bench: &Bench) -> Result<Value, Problem> {
    let profile = &bench.profile;
    let database = profile.database();
    let mut files: Vec<PathBuf> = BESIDE.iter().map(|ending| with(&database, ending)).collect();
    files.extend([profile.imported(), database.with_file_name(ANCHOR), database, profile.keys_file()]);
    if !files.iter().any(|file| file.symlink_metadata().is_ok()) {
        return Ok(json!({ "quarantine": null }));
    }
    let folder = folder(profile)?;
    // The keys go last: until then the database still opens.
    for file in files {
        put_aside(&file, &folder)?;
    }
    Ok(json!({ "quarantine": folder.display().to_string() }))
}

/// Puts the file `new` in the place of the database; where the old one is now. At no moment is there no database.
pub(super) fn replace(profile: &Profile, new: &Path) -> Result<Option<PathBuf>, Problem> {
    let database = profile.database();
    if database.symlink_metadata().is_err() {
        fs::rename(new, &database).map_err(|error| cannot(&database, &error))?;
        return Ok(None);
    }
    let folder = folder(profile).map_err(|why| give_up(new, why))?;
    for ending in BESIDE {
        put_aside(&with(&database, ending), &folder)?;
    }
    let name = database.file_name().unwrap_or_default();
    if database.symlink_metadata().is_ok_and(|facts| facts.is_file()) {
        fs::hard_link(&database, folder.join(name)).map_err(|error| cannot(&database, &error))?;
    } else {
        put_aside(&database, &folder)?;
    }
    fs::rename(new, &database).map_err(|error| cannot(&database, &error))?;
    flush(&profile.dir).map_err(|error| cannot(&profile.dir, &error))?;
    Ok(Some(folder))
}

/// Puts the database aside and nothing in its place.
pub(super) fn set_aside(profile: &Profile) -> Result<PathBuf, Problem> {
    let (database, folder) = (profile.database(), folder(profile)?);
    for ending in BESIDE {
        put_aside(&with(&database, ending), &folder)?;
    }
    put_aside(&database.with_file_name(ANCHOR), &folder)?;
    put_aside(&database, &folder)?;
    flush(&profile.dir).map_err(|error| cannot(&profile.dir, &error))?;
    Ok(folder)
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

/// A new folder, named by the date.
fn folder(profile: &Profile) -> Result<PathBuf, Problem> {
    let stamp = SystemClock.now().rfc3339().replace([':', '.'], "-");
    let folder = profile.dir.join(QUARANTINE).join(stamp);
    for dir in [profile.dir.join(QUARANTINE), folder.clone()] {
        private_dir(&dir).map_err(|error| Problem::of_folder("cannot_put_aside", &error))?;
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

#[cfg(unix)]
fn flush(folder: &Path) -> io::Result<()> {
    fs::File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn flush(_folder: &Path) -> io::Result<()> {
    Ok(())
}
