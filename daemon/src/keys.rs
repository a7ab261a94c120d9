//! The keeper of the master key: rotates it on request and when it is due, and says how it stands. One thing at a time.
//!
//! A rotation that fails is tried again after an hour, and `status` says why; a key of the environment, or of a file that others may use, is changed
//! by its owner, who is told when it is time.
//!
//! A rotation, the begin of a re-encryption and a backup are tasks of their own: cut short in the middle, as by Ctrl-C at whoever asked, they would leave
//! two keys in the envelope, half a backup, or no word in the audit trail. Once begun they go on to their end, and the daemon waits for that.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, OnceLock, PoisonError, Weak},
    time::Duration,
};

use m365_cached::{
    clock::{Clock, Stopwatch, Timestamp},
    hint::Kind,
    secret::{Key, Secret},
    store::{Reencryption, Sealed, StoreError},
    vault::{Rotate, Rotated, Source, Vault, VaultState},
};

use tokio::sync::{Notify, OwnedMutexGuard, watch};

use crate::{
    backup::{self, BackedUp},
    core::{Core, Problem, Warning},
    in_flight::InFlight,
};

/// Pause after a rotation that failed.
const AGAIN: Duration = Duration::from_secs(3600);
/// Longest sleep between two looks at the date: the date may be set meanwhile.
const LOOK: Duration = Duration::from_secs(3600);
/// Pause of a re-encryption after the store has failed: the disk may be full.
const AFTER_TROUBLE: Duration = Duration::from_secs(60);

/// Something that happened to the keys, for the log and the audit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyEvent {
    /// A new master key is in force.
    Rotated(Rotated),
    /// A rotation failed; the old key is in force.
    RotationFailed(Problem),
    /// The keys left the vault, sealed under a passphrase.
    Exported,
    /// Everything is sealed under new data keys, and the old ones are destroyed.
    Reencrypted(Reencryption),
    /// A backup was written.
    BackedUp(BackedUp),
}

impl KeyEvent {
    /// What the audit trail calls it.
    fn outcome(&self) -> &'static str {
        match self {
            Self::Rotated(_) => "rotated",
            Self::RotationFailed(_) => "rotation_failed",
            Self::Exported => "exported",
            Self::Reencrypted(_) => "reencrypted",
            Self::BackedUp(_) => "backed_up",
        }
    }
}

/// Who is told.
pub type Told = Box<dyn Fn(&KeyEvent) + Send + Sync>;

/// Writes an event to the log.
pub(crate) fn log(event: &KeyEvent) {
    match event {
        KeyEvent::Rotated(rotated) => {
            tracing::info!(
                generation = rotated.generation,
                source = rotated.source.kind.as_str(),
                from = rotated.old.kind.as_str(),
                old_deleted = rotated.old_deleted,
                kept_for = rotated.kept_for.as_ref().map(|path| path.display().to_string()),
                "the master key was rotated"
            );
            rotated.left.iter().for_each(|left| tracing::warn!(left, "an old master key was not deleted"));
        }
        KeyEvent::RotationFailed(problem) => {
            tracing::warn!(code = problem.code, reason = problem.message, "the master key was not rotated")
        }
        KeyEvent::Reencrypted(progress) => tracing::info!(answers = progress.done, "everything is sealed under new data keys"),
        KeyEvent::BackedUp(done) => tracing::info!(bytes = done.bytes, entries = done.entries, "a backup was written"),
        KeyEvent::Exported => tracing::info!("the keys were exported under a passphrase"),
    }
}

/// How the master key stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeysState {
    /// What the envelope says.
    pub vault: VaultState,
    /// When the next rotation is due; `None` for never.
    pub due: Option<Timestamp>,
    /// Whether the daemon does it by itself.
    pub automatic: bool,
    /// Why the last one by itself failed.
    pub trouble: Option<Problem>,
}

/// Keeps the master key of a running daemon.
pub struct KeyKeeper {
    vault: Vault,
    every: Option<Duration>,
    clock: Arc<dyn Clock>,
    told: Told,
    turn: Arc<tokio::sync::Mutex<()>>,
    /// What has begun and is to come to its end.
    work: InFlight,
    trouble: Mutex<Option<Problem>>,
    store: OnceLock<Arc<dyn Sealed>>,
    wrapping: OnceLock<Key>,
    /// Keeps the audit trail.
    trail: OnceLock<Weak<dyn Core>>,
    /// Rings when a re-encryption has begun.
    begun: Notify,
    moves: watch::Sender<Option<Reencryption>>,
}

/// Ends the waiting for the next rotation with the daemon.
pub(crate) struct Ended(pub(crate) tokio::task::AbortHandle);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl KeyKeeper {
    /// The keeper of an opened vault.
    pub fn new(vault: Vault, every: Option<Duration>, clock: Arc<dyn Clock>, told: Told) -> Self {
        let (turn, trouble, moves) = (Arc::default(), Mutex::default(), watch::Sender::new(None));
        let (store, wrapping, trail) = (OnceLock::new(), OnceLock::new(), OnceLock::new());
        let work = InFlight::default();
        Self { vault, every, clock, told, turn, work, trouble, store, wrapping, trail, begun: Notify::new(), moves }
    }

    /// Tells it of the store, once that is open, and of the wrapping key it opened with.
    #[cfg_attr(not(feature = "sqlcipher"), expect(dead_code, reason = "no other store is sealed"))]
    pub(crate) fn serve(&self, store: Arc<dyn Sealed>, wrapping: Key) {
        // A second one would be a fault of ours and changes nothing.
        let _ = self.store.set(store);
        let _ = self.wrapping.set(wrapping);
    }

    /// Has the envelope forget the wrapping key that the store does not open with: a change of it was cut short.
    pub(crate) async fn settle(&self) {
        let Some(wrapping) = self.wrapping.get() else { return };
        if let Err(locked) = self.vault.settle_wrapping(wrapping).await {
            tracing::warn!(code = locked.code, "the next start settles which wrapping key is in force");
        }
    }

    /// Tells it who keeps the audit trail, once that is there.
    pub(crate) fn recorded_by(&self, core: &Arc<dyn Core>) {
        let _ = self.trail.set(Arc::downgrade(core));
    }

    /// Tells of an event; it is in the audit trail when this returns.
    async fn tell(&self, event: &KeyEvent) {
        (self.told)(event);
        if let Some(core) = self.trail.get().and_then(Weak::upgrade) {
            core.record_key(event.outcome()).await;
        }
    }

    fn store(&self) -> Result<&Arc<dyn Sealed>, Problem> {
        let none = || {
            Problem::new(
                Kind::Config,
                "no_sealed_store",
                "there is no open store whose rows are sealed",
                "`m365-cachectl status` says why.",
            )
        };
        self.store.get().ok_or_else(none)
    }

    /// Whether a backup or a change of keys is under way.
    pub(crate) fn is_at_work(&self) -> bool {
        self.work.count() > 0
    }

    /// Ends when none is.
    pub(crate) async fn at_rest(&self) {
        self.work.landed().await;
    }

    /// The right to do something; whoever goes away before it is their turn has begun nothing.
    async fn turn(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.turn).lock_owned().await
    }

    /// Does `work` to its end, also when whoever asked for it has gone.
    async fn to_its_end<T: Send + 'static>(
        &self,
        turn: OwnedMutexGuard<()>,
        work: impl Future<Output = Result<T, Problem>> + Send + 'static,
    ) -> Result<T, Problem> {
        let flight = self.work.begin();
        let done = tokio::spawn(async move {
            let _until_then = (turn, flight);
            work.await
        });
        done.await.unwrap_or_else(|_| {
            let hint = "Look at the daemon's log: `m365-cachectl logs`.";
            Err(Problem::new(Kind::Internal, "keys_failed", "the work on the keys broke off", hint))
        })
    }

    /// Where the master key is.
    pub fn source(&self) -> Option<Source> {
        self.vault.state().ok().map(|state| state.source)
    }

    /// How it stands.
    ///
    /// # Errors
    /// When the envelope cannot be read any more.
    pub fn state(&self) -> Result<KeysState, Problem> {
        let vault = self.vault.state().map_err(|locked| Problem::of(&locked))?;
        let due = self.every.map(|every| vault.due(every));
        let automatic = due.is_some() && !vault.owners;
        Ok(KeysState { vault, due, automatic, trouble: self.trouble().clone() })
    }

    /// Puts a new master key in the place of the old one; how long it took, in microseconds, is for people. Once begun it goes on to its end.
    ///
    /// # Errors
    /// With the old key in force.
    pub async fn rotate(self: &Arc<Self>, wanted: Rotate) -> Result<(Rotated, u64), Problem> {
        let (turn, keeper) = (self.turn().await, Arc::clone(self));
        self.to_its_end(turn, async move { keeper.rotate_now(wanted).await }).await
    }

    async fn rotate_now(&self, wanted: Rotate) -> Result<(Rotated, u64), Problem> {
        let watch = Stopwatch::start();
        let done = self.vault.rotate(wanted).await.map_err(|locked| Problem::of(&locked));
        let took = watch.micros();
        match done {
            Ok(rotated) => {
                *self.trouble() = None;
                self.tell(&KeyEvent::Rotated(rotated.clone())).await;
                Ok((rotated, took))
            }
            Err(problem) => {
                self.tell(&KeyEvent::RotationFailed(problem.clone())).await;
                Err(problem)
            }
        }
    }

    /// Begins to seal everything under new data keys; one that is under way goes on. Once begun this goes on to its end.
    ///
    /// # Errors
    /// When the store fails, or there is none.
    pub async fn reencrypt(self: &Arc<Self>) -> Result<Reencryption, Problem> {
        let (turn, keeper) = (self.turn().await, Arc::clone(self));
        self.to_its_end(turn, async move { keeper.reencrypt_now().await }).await
    }

    async fn reencrypt_now(&self) -> Result<Reencryption, Problem> {
        let store = self.store()?;
        // One that is under way has a new wrapping key already.
        if matches!(store.reencryption().await, Ok((None, _))) {
            let next = self.vault.offer_wrapping().await.map_err(|locked| Problem::of(&locked))?;
            // After a failure the envelope has both keys, and the next start finds out which one opens.
            store.rewrap(next.clone()).await.map_err(|error| Problem::of(&error))?;
            self.vault.settle_wrapping(&next).await.map_err(|locked| Problem::of(&locked))?;
        }
        let begun = store.begin_reencryption().await.map_err(|error| Problem::of(&error))?;
        self.moves.send_replace(Some(begun));
        self.begun.notify_one();
        Ok(begun)
    }

    /// How far the re-encryption is, each time that changes.
    pub fn moves(&self) -> watch::Receiver<Option<Reencryption>> {
        self.moves.subscribe()
    }

    /// How far it is, when one is under way, and the generation of the data keys; `None` without a store.
    pub async fn reencryption(&self) -> Option<(Option<Reencryption>, u64)> {
        self.store.get()?.reencryption().await.ok()
    }

    /// Does what [`KeyKeeper::reencrypt`] begins, and what an earlier daemon has left of it.
    pub async fn reencrypt_for_ever(self: Arc<Self>) {
        let Some(store) = self.store.get() else { return };
        loop {
            match store.reencrypt_some().await {
                Ok(None) => self.begun.notified().await,
                Ok(Some(progress)) => {
                    self.moves.send_replace(Some(progress));
                    if progress.ended {
                        self.tell(&KeyEvent::Reencrypted(progress)).await;
                    }
                }
                Err(StoreError::Closed) => return,
                Err(error) => {
                    tracing::warn!(%error, "the re-encryption is tried again");
                    self.clock.sleep(AFTER_TROUBLE).await;
                }
            }
        }
    }

    /// Writes a backup to `file`. No other verb of the keys goes on meanwhile, also when whoever asked for it has gone: the keys in the backup are
    /// those that its copy of the store is sealed under.
    ///
    /// # Errors
    /// When the passphrase is too short, or the file cannot be written or is there already.
    pub async fn backup(self: &Arc<Self>, file: PathBuf, passphrase: Secret<String>) -> Result<BackedUp, Problem> {
        let store = Arc::clone(self.store()?);
        let (turn, keeper) = (self.turn().await, Arc::clone(self));
        self.to_its_end(turn, async move { keeper.backup_now(store, file, passphrase).await }).await
    }

    async fn backup_now(&self, store: Arc<dyn Sealed>, file: PathBuf, passphrase: Secret<String>) -> Result<BackedUp, Problem> {
        let recovery = self.vault.export(passphrase).await.map_err(|locked| Problem::of(&locked))?;
        let keys = self.vault.keys().await.map_err(|locked| Problem::of(&locked))?;
        let now = self.clock.now();
        // Seconds of copying.
        let written = tokio::task::spawn_blocking(move || backup::write(store.as_ref(), &keys, &recovery, now, &file)).await;
        let done = written.unwrap_or_else(|_| Err(Problem::new(Kind::Internal, "backup_failed", "the backup broke off", "Try again.")))?;
        self.tell(&KeyEvent::BackedUp(done)).await;
        Ok(done)
    }

    /// The recovery file for `passphrase`.
    ///
    /// # Errors
    /// A passphrase that is too short, or a vault that does not open any more.
    pub async fn export(&self, passphrase: Secret<String>) -> Result<Vec<u8>, Problem> {
        let _turn = self.turn.lock().await;
        let recovery = self.vault.export(passphrase).await.map_err(|locked| Problem::of(&locked))?;
        self.tell(&KeyEvent::Exported).await;
        recovery.to_json().map_err(|error| {
            Problem::new(
                Kind::Internal,
                "export_failed",
                error.to_string(),
                "Run `m365-cachectl keys export` again; if it stays, report it.",
            )
        })
    }

    /// Rotates whenever it is due.
    pub async fn rotate_for_ever(self: Arc<Self>) {
        loop {
            let now = self.clock.now();
            let wait = match self.state() {
                Ok(KeysState { automatic: true, due: Some(due), .. }) if due <= now => match self.rotate(Rotate::default()).await {
                    Ok(_) => continue,
                    Err(problem) => {
                        *self.trouble() = Some(problem);
                        AGAIN
                    }
                },
                Ok(KeysState { due: Some(due), .. }) if due > now => due.since(now).min(LOOK),
                _ => LOOK,
            };
            self.clock.sleep(wait).await;
        }
    }

    /// What a person should know about the keys.
    pub fn warnings(&self) -> Vec<Warning> {
        let Ok(state) = self.state() else {
            let message = "the key envelope can no longer be read; the daemon would not start again".into();
            let hint = "Restore `cache.keys`, or make a recovery file with `m365-cachectl keys export` while the daemon runs.".into();
            return vec![Warning { code: "envelope_unreadable".into(), message, hint }];
        };
        let mut warnings = Vec::new();
        if let Some(problem) = state.trouble {
            warnings.push(Warning {
                code: "rotation_failed".into(),
                message: format!("the master key is due for rotation, and that failed: {}", problem.message),
                hint: problem.hint,
            });
        } else if !state.automatic && state.due.is_some_and(|due| due <= self.clock.now()) {
            warnings.push(Warning {
                code: "rotation_due".into(),
                message: "the master key is older than `keys.rotate_every`, and it is changed by its owner".into(),
                hint: "`m365-cachectl keys rotate --help` says how.".into(),
            });
        }
        warnings
    }

    fn trouble(&self) -> std::sync::MutexGuard<'_, Option<Problem>> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
