//! Tests of the keeper with a vault of the environment and a store that waits where it is told to.

use std::{
    fs,
    path::Path,
    sync::{Arc, Mutex, mpsc},
};

use async_trait::async_trait;
use futures_util::FutureExt as _;
use m365_cached::{
    chance::OsDice,
    clock::SystemClock,
    secret::{Key, Secret},
    store::{Contents, Reencryption, Sealed, StoreError, StoreKeys},
    vault::{OsKeyring, Places, Settings, SourceKind, Vault},
};

use crate::{backup, keys::KeyKeeper};

/// A store that says when a copy begins, and goes on with it when it is told to.
struct Slow {
    wrapping: Mutex<Key>,
    copying: mpsc::Sender<()>,
    go_on: Mutex<mpsc::Receiver<()>>,
}

const BEGUN: Reencryption = Reencryption { done: 0, total: 0, ended: false };

#[async_trait]
impl Sealed for Slow {
    async fn rewrap(&self, next: Key) -> Result<(), StoreError> {
        *self.wrapping.lock().unwrap() = next;
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
    fn copy_to(&self, to: &Path, _: &StoreKeys) -> Result<Contents, StoreError> {
        self.copying.send(()).unwrap();
        self.go_on.lock().unwrap().recv().unwrap();
        // What the file would be sealed under.
        fs::write(to, self.wrapping.lock().unwrap().expose()).unwrap();
        Ok(Contents { schema: 1, accounts: 0, entries: 0 })
    }
}

#[tokio::test]
async fn a_backup_and_a_new_wrapping_key_wait_for_each_other() {
    let dir = tempfile::tempdir().unwrap();
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
    let store = Arc::new(Slow { wrapping: Mutex::new(keys.wrapping.clone()), copying, go_on: Mutex::new(go_on) });
    let keeper = Arc::new(KeyKeeper::new(vault, None, Arc::new(SystemClock), Box::new(|_| ())));
    keeper.serve(store, keys.wrapping);

    let (words, file) = (|| Secret::new("five words of no sense".to_owned()), place("m365.backup"));
    let backup = tokio::spawn({
        let (keeper, file) = (Arc::clone(&keeper), file.clone());
        async move { keeper.backup(file, words()).await.map(drop) }
    });
    tokio::task::spawn_blocking(move || copies.recv().unwrap()).await.unwrap();
    // Nothing on its way takes time of its own, so it would be done at once.
    let mut reencryption = Box::pin(keeper.reencrypt());
    assert!(reencryption.as_mut().now_or_never().is_none(), "the wrapping key changed under a backup");
    release.send(()).unwrap();
    backup.await.unwrap().unwrap();
    assert_eq!(reencryption.await.unwrap(), BEGUN);

    let (head, mut reader) = backup::open(&file).unwrap();
    let copy = place("copy");
    backup::extract(&head, &mut reader, &copy).unwrap();
    let recovered = head.recovery.open(&words()).unwrap();
    assert!(fs::read(copy).unwrap() == recovered.wrapping.expose(), "the backup does not open with its own keys");
}
