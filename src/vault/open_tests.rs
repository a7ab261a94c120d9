//! Tests of the rules: every way to open, and that whatever is refused leaves the disk as it was.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, mpsc},
};

use tempfile::TempDir;

use super::*;
use crate::{
    chance::{OsDice, SeededDice},
    clock::{ManualClock, SystemClock, Timestamp},
    secret::Secret,
};

/// What the fake keyring does when it is asked.
#[derive(Default)]
pub(super) enum Mood {
    #[default]
    Works,
    Unavailable,
    Locked,
    /// Takes a key and loses it.
    Forgets,
    /// Asks a person before it deletes, who does not answer.
    Keeps,
    /// Says that it was asked, then waits until the test ends.
    Hangs {
        asked: mpsc::Sender<()>,
        until: mpsc::Receiver<()>,
    },
}

#[derive(Default)]
pub(super) struct FakeKeyring {
    pub(super) entries: Mutex<HashMap<String, Vec<u8>>>,
    pub(super) mood: Mutex<Mood>,
    pub(super) asked: Mutex<u32>,
}

impl FakeKeyring {
    pub(super) fn feel(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    fn enter(&self) -> Result<bool, KeyringError> {
        *self.asked.lock().unwrap() += 1;
        match &*self.mood.lock().unwrap() {
            Mood::Works | Mood::Keeps => Ok(true),
            Mood::Forgets => Ok(false),
            Mood::Unavailable => Err(KeyringError::Unavailable("no bus".into())),
            Mood::Locked => Err(KeyringError::Locked("prompt dismissed".into())),
            Mood::Hangs { asked, until } => {
                asked.send(()).unwrap();
                let _ = until.recv();
                Err(KeyringError::Failed("too late".into()))
            }
        }
    }
}

impl Keyring for FakeKeyring {
    fn get(&self, entry: &str) -> Result<Option<Secret<Vec<u8>>>, KeyringError> {
        self.enter()?;
        Ok(self.entries.lock().unwrap().get(entry).cloned().map(Secret::new))
    }

    fn set(&self, entry: &str, key: &[u8]) -> Result<(), KeyringError> {
        if self.enter()? {
            self.entries.lock().unwrap().insert(entry.into(), key.into());
        }
        Ok(())
    }

    fn delete(&self, entry: &str) -> Result<(), KeyringError> {
        if matches!(&*self.mood.lock().unwrap(), Mood::Keeps) {
            return Err(KeyringError::Late(5));
        }
        if self.enter()? {
            self.entries.lock().unwrap().remove(entry);
        }
        Ok(())
    }
}

/// A profile's folder, a folder for key files, and a keyring.
pub(super) struct Home {
    pub(super) dir: TempDir,
    pub(super) keys: TempDir,
    pub(super) keyring: Arc<FakeKeyring>,
    pub(super) environment: Option<String>,
    pub(super) only: Option<SourceKind>,
    pub(super) file: Option<PathBuf>,
    pub(super) entry: String,
}

impl Home {
    pub(super) fn new(mood: Mood) -> Self {
        let keyring = Arc::new(FakeKeyring::default());
        keyring.feel(mood);
        let (dir, keys) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        Self { dir, keys, keyring, environment: None, only: None, file: None, entry: "test".into() }
    }

    /// One that was not named, with the keyring of `other`.
    pub(super) fn beside(other: &Self) -> Self {
        let mut home = Self { keyring: Arc::clone(&other.keyring), ..Self::new(Mood::Works) };
        home.entry = home.name();
        home
    }

    /// What the daemon calls a profile in the keyring that was not named and lies here.
    pub(super) fn name(&self) -> String {
        entry_name(self.dir.path(), false)
    }

    pub(super) fn key_file(&self) -> PathBuf {
        self.keys.path().join("cache.key")
    }

    pub(super) fn envelope(&self) -> PathBuf {
        self.dir.path().join("cache.keys")
    }

    /// What `reset` does with the envelope; where it is.
    pub(super) fn reset(&self) -> PathBuf {
        let folder = self.dir.path().join("quarantine").join("2026-11-22");
        fs::create_dir_all(&folder).unwrap();
        fs::rename(self.envelope(), folder.join("cache.keys")).unwrap();
        folder.join("cache.keys")
    }

    pub(super) fn vault(&self) -> Vault {
        Vault {
            places: Places {
                envelope: self.envelope(),
                database: self.dir.path().join("cache.db"),
                quarantine: self.dir.path().join("quarantine"),
            },
            settings: Settings { only: self.only, file: self.file.clone(), entry: self.entry.clone() },
            environment: Mutex::new(self.environment.clone().map(Secret::new)),
            keyring: Arc::clone(&self.keyring) as Arc<dyn Keyring>,
            // Never moves, so no deadline passes by itself.
            clock: Arc::new(ManualClock::at(Timestamp(0))),
            dates: Arc::new(ManualClock::at(Timestamp(0))),
            dice: Arc::new(OsDice),
        }
    }

    pub(super) async fn unlocked(&self) -> Unlocked {
        match self.vault().open_or_create().await {
            Ok(unlocked) => unlocked,
            Err(locked) => panic!("{locked:?}"),
        }
    }

    /// The refusal's code; checks that nothing was made or changed.
    pub(super) async fn refused(&self) -> &'static str {
        let before = (listing(self.dir.path()), listing(self.keys.path()), self.keyring.entries.lock().unwrap().clone());
        let Err(locked) = self.vault().open_or_create().await else { panic!("it opened") };
        let after = (listing(self.dir.path()), listing(self.keys.path()), self.keyring.entries.lock().unwrap().clone());
        assert_eq!(before, after, "a refusal changed something");
        assert!(!locked.message.is_empty() && !locked.hint.is_empty());
        locked.code
    }
}

/// Every file and its bytes.
pub(super) fn listing(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

pub(super) fn key_text(seed: u64) -> String {
    use crate::chance::Dice;
    let mut key = [0; 32];
    SeededDice::new(seed).fill(&mut key);
    base64::Engine::encode(&base64::engine::general_purpose::STANDARD, key)
}

pub(super) fn same(one: &Unlocked, other: &Unlocked) -> bool {
    one.keys.database.expose() == other.keys.database.expose() && one.keys.wrapping.expose() == other.keys.wrapping.expose()
}

#[tokio::test]
async fn the_keyring_comes_first_and_holds_32_bytes_and_opens_again() {
    let mut home = Home::new(Mood::Works);
    home.environment = Some(key_text(1));
    let first = home.unlocked().await;
    assert!(first.created);
    assert_eq!(first.source, Source { kind: SourceKind::Keyring, location: "test".into() });
    assert_eq!(home.keyring.entries.lock().unwrap()["test"].len(), 32);
    assert_eq!(listing(home.dir.path()).len(), 1, "only the envelope was written");
    let again = home.unlocked().await;
    assert!(!again.created && same(&first, &again));
}

#[tokio::test]
async fn an_orphan_in_the_keyring_is_used_and_not_replaced() {
    let home = Home::new(Mood::Works);
    home.keyring.entries.lock().unwrap().insert("test".into(), vec![7; 32]);
    home.unlocked().await;
    assert_eq!(home.keyring.entries.lock().unwrap()["test"], vec![7; 32]);
}

#[tokio::test]
async fn somebody_elses_entry_is_refused() {
    let home = Home::new(Mood::Works);
    home.keyring.entries.lock().unwrap().insert("test".into(), b"a password".to_vec());
    assert_eq!(home.refused().await, "malformed_key");
}

#[tokio::test]
async fn without_a_keyring_the_variable_then_the_file_serves() {
    for mood in [|| Mood::Unavailable, || Mood::Locked, || Mood::Forgets] {
        let mut home = Home::new(mood());
        home.file = Some(home.key_file());
        home.environment = Some(format!(" {}\n", key_text(1)));
        assert_eq!(home.unlocked().await.source.kind, SourceKind::Environment);
        assert!(!home.key_file().exists());

        let mut home = Home::new(mood());
        home.file = Some(home.key_file());
        let first = home.unlocked().await;
        assert_eq!(first.source.kind, SourceKind::File);
        let again = home.unlocked().await;
        assert!(same(&first, &again));
    }
}

#[tokio::test]
async fn no_safe_place_makes_nothing() {
    assert_eq!(Home::new(Mood::Unavailable).refused().await, "no_safe_place");
    assert_eq!(Home::new(Mood::Forgets).refused().await, "no_safe_place");
    assert_eq!(Home::new(Mood::Locked).refused().await, "keyring_locked");
}

#[tokio::test]
async fn a_keyring_that_never_answers_is_given_up_at_the_deadline() {
    let (asked, was_asked) = mpsc::channel();
    let (_end, until) = mpsc::channel();
    let home = Home::new(Mood::Hangs { asked, until });
    let clock = Arc::new(ManualClock::at(Timestamp(0)));
    let vault = Vault { clock: Arc::clone(&clock) as _, ..home.vault() };
    let opening = tokio::spawn(async move { vault.open_or_create().await.err().map(|locked| locked.code) });
    tokio::task::spawn_blocking(move || was_asked.recv().unwrap()).await.unwrap();
    clock.advance(KEYRING_PATIENCE);
    assert_eq!(opening.await.unwrap(), Some("keyring_timeout"));
    assert!(listing(home.dir.path()).is_empty());
}

#[tokio::test]
async fn the_recorded_source_is_asked_and_no_other() {
    // Made with the variable, since there was no keyring. Then the desktop gains one.
    let mut home = Home::new(Mood::Unavailable);
    home.environment = Some(key_text(1));
    let first = home.unlocked().await;
    home.keyring.feel(Mood::Works);
    *home.keyring.asked.lock().unwrap() = 0;
    let again = home.unlocked().await;
    assert!(same(&first, &again));
    assert_eq!(*home.keyring.asked.lock().unwrap(), 0);
    home.environment = None;
    assert_eq!(home.refused().await, "key_missing");
    home.environment = Some(key_text(2));
    assert_eq!(home.refused().await, "wrong_key");
    home.environment = Some("not a key".into());
    assert_eq!(home.refused().await, "malformed_key");
}

#[tokio::test]
async fn a_profile_of_the_keyring_never_falls_back() {
    let mut home = Home::new(Mood::Works);
    home.unlocked().await;
    home.environment = Some(key_text(1));
    home.file = Some(home.key_file());
    home.keyring.feel(Mood::Unavailable);
    assert_eq!(home.refused().await, "keyring_unavailable");
    home.keyring.feel(Mood::Locked);
    assert_eq!(home.refused().await, "keyring_locked");
    home.keyring.feel(Mood::Works);
    home.keyring.entries.lock().unwrap().clear();
    assert_eq!(home.refused().await, "key_missing");
    home.keyring.entries.lock().unwrap().insert("test".into(), vec![1; 32]);
    assert_eq!(home.refused().await, "wrong_key");
}

#[tokio::test]
async fn the_operator_can_force_one_source() {
    let mut home = Home::new(Mood::Works);
    home.only = Some(SourceKind::Environment);
    assert_eq!(home.refused().await, "key_missing");
    home.environment = Some(key_text(1));
    let first = home.unlocked().await;
    assert_eq!(first.source.kind, SourceKind::Environment);
    // The same key, moved to a file: forcing it opens, and the record stays.
    fs::write(home.key_file(), key_text(1)).unwrap();
    secure(&home.key_file(), 0o600);
    home.only = Some(SourceKind::File);
    assert_eq!(home.refused().await, "key_missing");
    home.file = Some(home.key_file());
    let before = listing(home.dir.path());
    let moved = home.unlocked().await;
    assert!(same(&first, &moved));
    assert_eq!(moved.source.kind, SourceKind::File);
    assert_eq!(listing(home.dir.path()), before);

    let mut home = Home::new(Mood::Unavailable);
    home.only = Some(SourceKind::Keyring);
    home.environment = Some(key_text(1));
    assert_eq!(home.refused().await, "keyring_unavailable");
}

#[tokio::test]
async fn a_damaged_a_newer_and_a_missing_envelope_are_left_alone() {
    let home = Home::new(Mood::Works);
    home.unlocked().await;
    let envelope = home.dir.path().join("cache.keys");
    let whole = fs::read_to_string(&envelope).unwrap();
    for (text, code) in [
        (String::new(), "damaged_envelope"),
        (whole[..whole.len() / 2].to_owned(), "damaged_envelope"),
        (whole.replace("\"sealed\": \"", "\"sealed\": \"AAAA"), "damaged_envelope"),
        (whole.replace("\"version\": 2", "\"version\": 9"), "newer_envelope"),
    ] {
        fs::write(&envelope, text).unwrap();
        assert_eq!(home.refused().await, code);
    }
    fs::remove_file(&envelope).unwrap();
    fs::write(home.dir.path().join("cache.db"), b"somebody's data").unwrap();
    assert_eq!(home.refused().await, "foreign_database");
}

#[tokio::test]
async fn what_a_crash_left_behind_does_not_stop_a_first_start() {
    let home = Home::new(Mood::Works);
    fs::write(home.dir.path().join("cache.new"), b"half an envelo").unwrap();
    home.unlocked().await;
    assert_eq!(listing(home.dir.path()).len(), 1);
}

#[tokio::test]
async fn a_key_file_beside_the_data_is_refused() {
    let mut home = Home::new(Mood::Unavailable);
    home.file = Some(home.dir.path().join("cache.key"));
    assert_eq!(home.refused().await, "insecure_key_file");
}

#[tokio::test]
async fn a_key_file_that_cannot_be_made_is_said() {
    let mut home = Home::new(Mood::Unavailable);
    home.file = Some(home.keys.path().join("no such folder").join("cache.key"));
    assert_eq!(home.refused().await, "key_file_failed");
}

#[cfg(unix)]
fn secure(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[cfg(not(unix))]
fn secure(_: &Path, _: u32) {}

#[cfg(unix)]
#[tokio::test]
async fn files_are_private_and_loose_key_files_are_refused() {
    use std::os::unix::fs::PermissionsExt;
    let mut home = Home::new(Mood::Unavailable);
    home.file = Some(home.key_file());
    home.unlocked().await;
    for path in [home.key_file(), home.dir.path().join("cache.keys")] {
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600, "{}", path.display());
    }
    let as_root = fs::metadata(home.key_file()).map(|metadata| std::os::unix::fs::MetadataExt::uid(&metadata) == 0).unwrap();
    for mode in [0o620, 0o604, 0o666] {
        secure(&home.key_file(), mode);
        assert_eq!(home.refused().await, "insecure_key_file", "{mode:o}");
    }
    secure(&home.key_file(), 0o640);
    if as_root {
        home.unlocked().await;
    } else {
        assert_eq!(home.refused().await, "insecure_key_file");
    }
    secure(&home.key_file(), 0o400);
    home.unlocked().await;
    fs::remove_file(home.key_file()).unwrap();
    assert_eq!(home.refused().await, "key_missing");
}

#[tokio::test]
async fn the_real_keyring_answers_or_refuses_in_time() {
    // Whatever this machine has: no panic, and an answer before the deadline.
    let home = Home::new(Mood::Works);
    let vault = Vault { keyring: Arc::new(OsKeyring), clock: Arc::new(SystemClock), ..home.vault() };
    let entry = "no such entry of the tests".to_owned();
    let answer = keyring::ask(&vault.keyring, vault.clock.as_ref(), KEYRING_PATIENCE, move |keyring| keyring.get(&entry)).await;
    assert!(!matches!(answer, Ok(Some(_))));
}

#[test]
fn every_profile_has_its_own_entry() {
    let one = entry_name(Path::new("/a/profile"), true);
    assert_eq!(one, "profile-41eb8db297f0ef1f", "it must stay the same in every version");
    assert_ne!(one, entry_name(Path::new("/another"), true));
    // Two places of the system for one user: his desktop's, and that of an application in a sandbox.
    let usual = entry_name(Path::new("/home/ada/.local/share/m365-cached"), false);
    assert_ne!(usual, entry_name(Path::new("/home/ada/snap/code/7/.local/share/m365-cached"), false));
    assert_ne!(usual, entry_name(Path::new("/home/ada/.local/share/m365-cached"), true), "a demo in that folder");
    assert!(usual.starts_with("data-") && usual.len() == 21);
}

#[test]
fn an_entry_is_told_from_those_of_other_profiles() {
    for (entry, own) in [
        ("data-1", true),
        ("data-1-g2", true),
        ("data-1-g17", true),
        ("data-12", false),
        ("data-1-g", false),
        ("data-1-g1", false),
        ("data-1-g02", false),
        ("data-1-g2x", false),
        ("default", false),
        ("default-g2", false),
    ] {
        assert_eq!(keyring::is_called_by(entry, "data-1"), own, "{entry}");
    }
}
