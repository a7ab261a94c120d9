//! A new local file while it is written: under a hidden name in its folder, published whole under its own, and never over another.

use std::{
    io::{self, SeekFrom},
    path::PathBuf,
};

use cap_fs_ext::{FollowSymlinks, OpenOptionsFollowExt as _};
use cap_std::fs::{Dir, OpenOptions};
use tokio::{
    fs::File,
    io::{AsyncSeekExt as _, AsyncWriteExt as _},
};

use super::{
    error::{Cause, TransferError},
    roots::{blocking, content_type, disk},
};
use crate::chance::Dice;

/// A new local file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    /// Where it lies, absolute.
    pub path: PathBuf,
    /// Its size in bytes.
    pub size: u64,
    /// Its media type: as the server said, else by its name's ending.
    pub content_type: String,
}

/// A file that is being written. Dropped before it is published, it leaves nothing.
pub(super) struct Draft {
    hidden: Hidden,
    name: String,
    shown: PathBuf,
    file: File,
    written: u64,
}

/// The hidden name, which goes when this does.
struct Hidden {
    dir: Dir,
    name: String,
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // Best effort: there is nobody to tell, and what is left is hidden and only its owner's.
        let _ = self.dir.remove_file(&self.name);
    }
}

impl Draft {
    /// Begins `name` in `dir`, which people know as `shown`.
    pub(super) fn begin(dir: Dir, name: String, shown: PathBuf, dice: &dyn Dice) -> Result<Self, TransferError> {
        // Said before anything is fetched; what decides is the publishing.
        if dir.symlink_metadata(&name).is_ok() {
            return Err(Cause::Exists.into());
        }
        let hidden = format!(".m365-{}.part", dice.hex(8));
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).follow(FollowSymlinks::No);
        #[cfg(unix)]
        cap_std::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = dir.open_with(&hidden, &options).map_err(disk)?.into_std();
        Ok(Self { hidden: Hidden { dir, name: hidden }, name, shown, file: File::from_std(file), written: 0 })
    }

    /// Bytes written so far.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// Adds `bytes`.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<(), TransferError> {
        self.file.write_all(bytes).await.map_err(disk)?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    /// Begins again from nothing.
    pub(super) async fn restart(&mut self) -> Result<(), TransferError> {
        self.file.flush().await.map_err(disk)?;
        self.file.set_len(0).await.map_err(disk)?;
        self.file.seek(SeekFrom::Start(0)).await.map_err(disk)?;
        self.written = 0;
        Ok(())
    }

    /// Gives the whole file its name. Fails when the name was taken meanwhile.
    pub(super) async fn publish(mut self, content_type: Option<&str>) -> Result<Saved, TransferError> {
        self.file.flush().await.map_err(disk)?;
        self.file.sync_all().await.map_err(disk)?;
        let Self { hidden, name, shown, written, file } = self;
        drop(file);
        let saved = Saved {
            path: shown.join(&name),
            size: written,
            content_type: content_type.map_or_else(|| self::content_type(&name), str::to_owned),
        };
        blocking(move || match publish(&hidden.dir, &hidden.name, &name) {
            Ok(()) => Ok(saved),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(Cause::Exists.into()),
            Err(error) => Err(disk(error)),
        })
        .await
    }
}

/// A second name for the file: the one step that every system does without replacing. The first name goes with its [`Hidden`].
fn publish(dir: &Dir, hidden: &str, name: &str) -> io::Result<()> {
    match dir.hard_link(hidden, dir, name) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            // A file system without second names (FAT, some network shares) may still rename without replacing.
            rename_new(dir, hidden, name).map_err(|_| error)
        }
        linked => linked,
    }
}

/// Renames, and fails when the new name is taken.
#[cfg(any(target_os = "linux", target_os = "android", target_os = "macos"))]
fn rename_new(dir: &Dir, from: &str, to: &str) -> io::Result<()> {
    Ok(rustix::fs::renameat_with(dir, from, dir, to, rustix::fs::RenameFlags::NOREPLACE)?)
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "macos")))]
fn rename_new(_dir: &Dir, _from: &str, _to: &str) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use cap_std::ambient_authority;

    use super::*;
    use crate::chance::SeededDice;

    fn begun() -> (tempfile::TempDir, Draft) {
        let home = tempfile::tempdir().unwrap();
        let dir = Dir::open_ambient_dir(home.path(), ambient_authority()).unwrap();
        let draft = Draft::begin(dir, "a.pdf".into(), home.path().to_owned(), &SeededDice::new(1)).unwrap();
        (home, draft)
    }

    fn names(home: &tempfile::TempDir) -> Vec<String> {
        std::fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[tokio::test]
    async fn a_file_appears_whole_and_alone() {
        let (home, mut draft) = begun();
        draft.write(b"lost").await.unwrap();
        draft.restart().await.unwrap();
        draft.write(b"kept").await.unwrap();
        assert!(names(&home)[0].starts_with(".m365-"), "hidden until it is whole");
        let saved = draft.publish(None).await.unwrap();
        assert_eq!(saved, Saved { path: home.path().join("a.pdf"), size: 4, content_type: "application/pdf".into() });
        assert_eq!((names(&home), std::fs::read(&saved.path).unwrap()), (vec!["a.pdf".to_owned()], b"kept".to_vec()));
        #[cfg(unix)]
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&saved.path).unwrap().permissions()) & 0o777, 0o600);
    }

    #[tokio::test]
    async fn what_is_given_up_leaves_nothing() {
        let (home, mut draft) = begun();
        draft.write(b"half").await.unwrap();
        drop(draft);
        assert_eq!(names(&home), Vec::<String>::new());
    }

    #[tokio::test]
    async fn a_name_taken_meanwhile_is_left_alone() {
        let (home, mut draft) = begun();
        draft.write(b"new").await.unwrap();
        std::fs::write(home.path().join("a.pdf"), b"theirs").unwrap();
        let error = draft.publish(None).await.unwrap_err();
        assert!(matches!(error.cause, Cause::Exists), "{error:?}");
        assert_eq!((names(&home), std::fs::read(home.path().join("a.pdf")).unwrap()), (vec!["a.pdf".to_owned()], b"theirs".to_vec()));
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_link_planted_under_the_name_is_left_alone() {
        let (home, mut draft) = begun();
        draft.write(b"new").await.unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(elsewhere.path().join("x"), home.path().join("a.pdf")).unwrap();
        assert!(matches!(draft.publish(None).await.unwrap_err().cause, Cause::Exists));
        assert!(!elsewhere.path().join("x").exists());
    }

    #[cfg(any(target_os = "linux", target_os = "macos"))]
    #[test]
    fn renaming_where_there_are_no_second_names_replaces_nothing() {
        let home = tempfile::tempdir().unwrap();
        let dir = Dir::open_ambient_dir(home.path(), ambient_authority()).unwrap();
        dir.write("from", b"new").unwrap();
        dir.write("taken", b"theirs").unwrap();
        assert!(rename_new(&dir, "from", "taken").is_err());
        assert_eq!(dir.read("taken").unwrap(), b"theirs");
        rename_new(&dir, "from", "to").unwrap();
        assert_eq!(dir.read("to").unwrap(), b"new");
    }
}
