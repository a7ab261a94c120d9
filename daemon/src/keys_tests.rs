//! Tests of the keeper with a vault of the environment and a store that waits where it is told to.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
        mpsc,
    },
    time::Duration,
};

use async_trait::async_trait;
use futures_util::FutureExt as _;
use m365_cached::{
    chance::OsDice,
    clock::{ManualClock, SystemClock, Timestamp},
    secret::{Key, Secret},
    store::{Contents, Reencryption, Sealed, StoreError, StoreKeys},
    vault::{Keys, OsKeyring, Places, Settings, SourceKind, Vault},
};
use tempfile::TempDir;
use tokio::{sync::Notify, task::JoinHandle};

use crate::{
    backup::{self, BackedUp},
    core::{Core, Problem},
    keys::KeyKeeper,
    parts::Parts,
    testing::{FakeCore, Running, parts, soon},
};

/// A store that says when a copy begins, and goes on with it when it is told to; with a new wrapping key where it is told to wait.
struct Slow {
    wrapping: Mutex<Key>,
    copying: mpsc::Sender<()>,
    go_on: Mutex<mpsc::Receiver<()>>,
    /// Has the new wrapping key and has not said so yet.
    waits: AtomicBool,
    rewrapped: Notify,
    says_so: Notify,
}

const BEGUN: Reencryption = Reencryption { done: 0, total: 0, ended: false };

#[async_trait]
impl Sealed for Slow {
    async fn rewrap(&self, next: Key) -> Result<(), StoreError> {
        *self.wrapping.lock().unwrap() = next;
        if self.waits.load(SeqCst) {
            self.rewrapped.notify_one();
            self.says_so.notified().await;
        }
        Ok(())
    }
    async fn begin_reencryption(&self) -> Result<Reencryption, StoreError> {
        Ok(BEGUN)
    }
    async fn reencrypt_some(&self) -> Result<Option<Reencryption>, StoreError> {
        Ok(None)
    }
    async fn reencryption(&self) -> Result<(Option<Reencryption>, u64), StoreError> {
        Ok((None, 1))
    }
    fn copy_to(&self, to: &Path, keys: &StoreKeys) -> Result<Contents, StoreError> {
        self.copying.send(()).unwrap();
        self.go_on.lock().unwrap().recv().unwrap();
        let wrapping = self.wrapping.lock().unwrap();
        if wrapping.expose() != keys.wrapping.expose() {
            return Err(StoreError::WrongKey("its wrapping key is another one".into()));
        }
        // What the file would be sealed under.
        fs::write(to, wrapping.expose()).unwrap();
        Ok(Contents { schema: 1, accounts: 0, entries: 0 })
    }
}

/// A keeper over such a store, and a folder for its backups.
pub(crate) struct Kept {
    pub(crate) keeper: Arc<KeyKeeper>,
    store: Arc<Slow>,
    copies: Arc<Mutex<mpsc::Receiver<()>>>,
    release: mpsc::Sender<()>,
    dir: TempDir,
}

fn words() -> Secret<String> {
    Secret::new("five words of no sense".to_owned())
}

impl Kept {
    pub(crate) async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("backups")).unwrap();
        let place = |name: &str| dir.path().join(name);
        let vault = Vault {
            places: Places { envelope: place("cache.keys"), database: place("cache.db"), quarantine: place("quarantine") },
            settings: Settings { only: Some(SourceKind::Environment), file: None, entry: "no entry".into() },
            environment: Mutex::new(Some(Secret::new("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=".into()))),
            keyring: Arc::new(OsKeyring),
            clock: Arc::new(SystemClock),
            dates: Arc::new(SystemClock),
            dice: Arc::new(OsDice),
        };
        let keys = vault.open_or_create().await.map_err(|locked| locked.code).unwrap().keys;
        let (copying, copies) = mpsc::channel();
        let (release, go_on) = mpsc::channel();
        let store = Arc::new(Slow {
            wrapping: Mutex::new(keys.wrapping.clone()),
            copying,
            go_on: Mutex::new(go_on),
            waits: AtomicBool::new(false),
            rewrapped: Notify::new(),
            says_so: Notify::new(),
        });
        let keeper = Arc::new(KeyKeeper::new(vault, None, Arc::new(SystemClock), Box::new(|_| ())));
        keeper.serve(store.clone(), keys.wrapping);
        Self { keeper, store, copies: Arc::new(Mutex::new(copies)), release, dir }
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("backups/m365.backup")
    }

    /// Somebody asks for a backup.
    pub(crate) fn back_up(&self) -> JoinHandle<Result<BackedUp, Problem>> {
        let (keeper, file) = (Arc::clone(&self.keeper), self.file());
        tokio::spawn(async move { keeper.backup(file, words()).await })
    }

    /// Ends when a copy has begun.
    pub(crate) async fn copying(&self) {
        let copies = Arc::clone(&self.copies);
        soon(tokio::task::spawn_blocking(move || copies.lock().unwrap().recv().unwrap())).await.unwrap();
    }

    /// Lets one copy go on.
    pub(crate) fn release(&self) {
        self.release.send(()).unwrap();
    }

    /// What lies where backups go.
    fn listing(&self) -> Vec<String> {
        let names = fs::read_dir(self.dir.path().join("backups")).unwrap();
        names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    /// The keys in the backup, which is whole and alone.
    fn keys_in_the_backup(&self) -> (Keys, Vec<u8>) {
        assert_eq!(self.listing(), ["m365.backup"]);
        let (head, mut reader) = backup::open(&self.file()).unwrap();
        let copy = self.dir.path().join("copy");
        backup::extract(&head, &mut reader, &copy).unwrap();
        (head.recovery.open(&words()).unwrap(), fs::read(copy).unwrap())
    }
}

#[tokio::test]
async fn a_backup_and_a_new_wrapping_key_wait_for_each_other() {
    let kept = Kept::new().await;
    let backup = kept.back_up();
    kept.copying().await;
    // Nothing on its way takes time of its own, so it would be done at once.
    let mut reencryption = Box::pin(kept.keeper.reencrypt());
    assert!(reencryption.as_mut().now_or_never().is_none(), "the wrapping key changed under a backup");
    kept.release();
    backup.await.unwrap().unwrap();
    assert_eq!(reencryption.await.unwrap(), BEGUN);
    let (recovered, copy) = kept.keys_in_the_backup();
    assert!(copy == recovered.wrapping.expose(), "the backup does not open with its own keys");
}

#[tokio::test]
async fn a_backup_that_nobody_waits_for_is_finished_before_the_daemon_ends() {
    let kept = Kept::new().await;
    let core = Arc::new(FakeCore::default());
    let parts = parts(Ok(core.clone() as Arc<dyn Core>), Duration::ZERO, Arc::new(ManualClock::at(Timestamp(1_000))));
    let mut running = Running::start_of(Parts { keys: Some(Arc::clone(&kept.keeper)), ..parts }).await;
    let asked = kept.back_up();
    kept.copying().await;
    asked.abort();
    running.signal.send(()).unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(300), &mut running.task).await.is_err(), "half a backup is left behind");
    assert!(!core.shut.load(SeqCst), "the store is closed under it");
    assert!(!kept.file().exists(), "half a backup has the name of a whole one");
    kept.release();
    soon(running.task).await.unwrap();
    kept.keys_in_the_backup();
}

#[cfg(unix)]
#[tokio::test]
async fn the_manager_is_asked_to_wait_for_a_backup() {
    let kept = Kept::new().await;
    let (manager, ear, _dir) = crate::tests::manager(Duration::from_secs(3600));
    let parts = parts(Ok(Arc::new(FakeCore::default())), Duration::ZERO, Arc::new(ManualClock::at(Timestamp(1_000))));
    let running = Running::start_of(Parts { keys: Some(Arc::clone(&kept.keeper)), manager, ..parts }).await;
    let backup = kept.back_up();
    kept.copying().await;
    running.signal.send(()).unwrap();
    soon(async { while !crate::tests::next(&ear).await.starts_with("STOPPING=1") {} }).await;
    assert_eq!(soon(crate::tests::next(&ear)).await, "EXTEND_TIMEOUT_USEC=60000000");
    kept.release();
    backup.await.unwrap().unwrap();
    soon(running.task).await.unwrap();
}

#[tokio::test]
async fn a_backup_that_fails_leaves_nothing_and_takes_no_name_that_is_taken() {
    let kept = Kept::new().await;
    *kept.store.wrapping.lock().unwrap() = Secret::new([9; 32]);
    kept.release();
    assert_eq!(soon(kept.back_up()).await.unwrap().unwrap_err().code, "wrong_key");
    assert_eq!(kept.listing(), [""; 0]);
    fs::write(kept.file(), "somebody's").unwrap();
    assert_eq!(soon(kept.back_up()).await.unwrap().unwrap_err().code, "cannot_write");
    assert_eq!((kept.listing(), fs::read(kept.file()).unwrap()), (vec!["m365.backup".to_owned()], b"somebody's".to_vec()));
}

#[tokio::test]
async fn who_goes_away_while_the_wrapping_key_changes_leaves_one_key_behind() {
    let kept = Kept::new().await;
    kept.store.waits.store(true, SeqCst);
    let mut asked = Box::pin(kept.keeper.reencrypt());
    tokio::select! {
        _ = &mut asked => panic!("it does not wait"),
        () = soon(kept.store.rewrapped.notified()) => {}
    }
    // As by Ctrl-C.
    drop(asked);
    kept.store.says_so.notify_one();
    kept.release();
    soon(kept.back_up()).await.unwrap().unwrap();
    let (recovered, copy) = kept.keys_in_the_backup();
    assert!(copy == recovered.wrapping.expose() && recovered.next_wrapping.is_none(), "both keys are left");
}

#[tokio::test]
async fn a_backup_has_the_wrapping_key_in_force_while_that_is_not_settled() {
    let kept = Kept::new().await;
    kept.store.waits.store(true, SeqCst);
    let asked = tokio::spawn({
        let keeper = Arc::clone(&kept.keeper);
        async move { keeper.reencrypt().await }
    });
    soon(kept.store.rewrapped.notified()).await;
    let (envelope, away) = (kept.dir.path().join("cache.keys"), kept.dir.path().join("away"));
    fs::rename(&envelope, &away).unwrap();
    kept.store.says_so.notify_one();
    assert!(soon(asked).await.unwrap().is_err());
    fs::rename(&away, &envelope).unwrap();
    // Of the old key and of the new one.
    kept.release();
    kept.release();
    soon(kept.back_up()).await.unwrap().unwrap();
    let (recovered, copy) = kept.keys_in_the_backup();
    assert!(copy == recovered.next_wrapping.unwrap().expose(), "the backup does not open with its own keys");
}
