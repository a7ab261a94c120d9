//! The rules: which source is asked for the master key, and what happens when there is no answer.

use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{
    Keyring, KeyringError, Keys, Locked, Places, Settings, Source, SourceKind, Unlocked, aside, disk,
    envelope::{Change, Envelope, Shut},
    keyring,
    source::{self, from_environment, from_file, key_from, make_file, malformed, random_key},
};
use crate::{
    chance::Dice,
    clock::Clock,
    secret::{Key, Secret},
};

/// How long the keyring may take to answer one question.
pub const KEYRING_PATIENCE: Duration = Duration::from_secs(5);

/// Everything the rules need.
pub struct Vault {
    /// Where the files lie.
    pub places: Places,
    /// What the operator decided.
    pub settings: Settings,
    /// The value of [`super::KEY_VARIABLE`], where it is set; after a rotation the key that was given for it, which the variable of this process
    /// does not have.
    pub environment: Mutex<Option<Secret<String>>>,
    /// The platform's keyring.
    pub keyring: Arc<dyn Keyring>,
    /// For the keyring's deadline.
    pub clock: Arc<dyn Clock>,
    /// For the dates in the envelope.
    pub dates: Arc<dyn Clock>,
    /// Where keys come from.
    pub dice: Arc<dyn Dice>,
}

impl Vault {
    /// Opens the envelope, or makes it when there is neither an envelope nor a database yet and a safe place for a new key is found.
    pub async fn open_or_create(&self) -> Result<Unlocked, Locked> {
        match self.read_envelope()? {
            Some(_) => {
                let (mut envelope, source, master, keys) = self.unseal().await?;
                // Nothing depends on it now: it is tried again by the next opening, and until then the state tells of it.
                let _ = self.settle(&mut envelope, &master, &keys).await;
                Ok(Unlocked { keys, source, created: false })
            }
            None => self.create().await,
        }
    }

    /// Whether the master key is to come from the keyring, and that would give or keep it without asking a person. Asks nobody.
    pub async fn keyring_is_open(&self) -> bool {
        let source = match self.read_envelope() {
            Ok(Some(envelope)) => self.source_to_ask(&envelope.facts.source),
            Ok(None) if self.settings.only.is_none_or(|only| only == SourceKind::Keyring) => Ok(Source::keyring(&self.settings.entry)),
            Ok(None) => return false,
            Err(locked) => Err(locked),
        };
        match source {
            Ok(Source { kind: SourceKind::Keyring, location, .. }) => {
                self.ask(move |keyring| keyring.is_open(&location)).await.unwrap_or(false)
            }
            _ => false,
        }
    }

    /// The envelope, or `None` when there is none.
    pub(super) fn read_envelope(&self) -> Result<Option<Envelope>, Locked> {
        match disk::read(&self.places.envelope) {
            Ok(bytes) => Envelope::parse(&bytes).map(Some).map_err(|shut| self.shut(&shut, None)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Locked::new(
                "envelope_failed",
                format!("the key envelope `{}` cannot be read: {error}", self.places.envelope.display()),
                "Check the rights of that file.",
            )),
        }
    }

    /// Opens the envelope: asks the recorded source, or the one the operator forces, and no other.
    pub(super) async fn unseal(&self) -> Result<(Envelope, Source, Key, Keys), Locked> {
        let envelope = self.read_envelope()?.ok_or_else(|| {
            let message = format!("the key envelope `{}` is gone", self.places.envelope.display());
            Locked::new("envelope_failed", message, "Restore it from a backup, or run `m365-cachectl keys import`.")
        })?;
        let source = self.source_to_ask(&envelope.facts.source)?;
        let master = match source.kind {
            SourceKind::Keyring => self.ask_keyring(&source).await?,
            SourceKind::Environment => self.key_of_environment()?,
            SourceKind::File => match self.key_file_beside(&envelope)? {
                Some(master) => master,
                None => {
                    let found = from_file(Path::new(&source.location), self.data())?;
                    found.ok_or_else(|| missing(&source, "Put the file back, or set `keys.file` to where it is now. If it is lost: `m365-cachectl keys import` with a recovery file."))?
                }
            },
        };
        let keys = envelope.open(&master).map_err(|shut| self.shut(&shut, Some(&source)))?;
        Ok((envelope, source, master, keys))
    }

    /// The key file that a rotation cut short has not yet given its name.
    fn key_file_beside(&self, envelope: &Envelope) -> Result<Option<Key>, Locked> {
        let Some(Change::Retiring { new: Some(new), .. }) = &envelope.facts.change else { return Ok(None) };
        Ok(from_file(Path::new(&new.location), self.data())?.filter(|key| envelope.is_of(key)))
    }

    /// The recorded source, unless the operator forces another or has moved the key file.
    fn source_to_ask(&self, recorded: &Source) -> Result<Source, Locked> {
        let kind = self.settings.only.unwrap_or(recorded.kind);
        Ok(match (kind, &self.settings.file) {
            (SourceKind::File, Some(path)) => Source::file(path),
            _ if kind == recorded.kind => recorded.clone(),
            (SourceKind::Keyring, _) => Source::keyring(&self.settings.entry),
            (SourceKind::Environment, _) => Source::environment(),
            (SourceKind::File, None) => return Err(no_file_configured()),
        })
    }

    pub(super) async fn ask_keyring(&self, source: &Source) -> Result<Key, Locked> {
        let entry = source.location.clone();
        match self.ask(move |keyring| keyring.get(&entry)).await {
            Ok(Some(key)) => key_from(key.expose()).ok_or_else(|| malformed(source)),
            Ok(None) => Err(missing(
                source,
                "Start in the desktop session it belongs to, or restore the entry. If it is lost: `m365-cachectl keys import` with a recovery file.",
            )),
            Err(error) => Err(keyring_trouble(&error)),
        }
    }

    /// First start: a new key needs a safe place before anything is written.
    async fn create(&self) -> Result<Unlocked, Locked> {
        if self.places.database.symlink_metadata().is_ok() {
            return Err(Locked::new(
                "foreign_database",
                format!(
                    "there is a database at `{}` but no key envelope `{}` that belongs to it",
                    self.places.database.display(),
                    self.places.envelope.display()
                ),
                "Restore the envelope, or run `m365-cachectl keys import` with a recovery file; `m365-cachectl reset` puts the database aside.",
            ));
        }
        let (master, source, _) = self.master(false).await?;
        let (envelope, keys) =
            Envelope::make(&master, source.clone(), self.dice.as_ref(), self.dates.now()).map_err(|shut| self.shut(&shut, None))?;
        let written = envelope.to_json().map_err(std::io::Error::from).and_then(|json| disk::replace(&self.places.envelope, &json));
        written.map_err(|error| {
            Locked::new(
                "envelope_failed",
                format!("the key envelope `{}` cannot be written: {error}", self.places.envelope.display()),
                "Check the rights of that folder and the space on its disk, then restart the daemon.",
            )
        })?;
        Ok(Unlocked { keys, source, created: true })
    }

    /// A new master key beside those there are, where it is, and how many there have been.
    pub(super) async fn new_master(&self) -> Result<(Key, Source, u64), Locked> {
        self.master(true).await
    }

    /// A master key in a safe place. `beside` leaves a key alone that the keyring has under our name already.
    async fn master(&self, beside: bool) -> Result<(Key, Source, u64), Locked> {
        let (master, source) = match self.settings.only {
            None => return self.safe_place(beside).await,
            Some(SourceKind::Keyring) => return self.keep_in_keyring(beside).await.map_err(|error| keyring_trouble(&error))?,
            Some(SourceKind::Environment) => (self.key_of_environment()?, Source::environment()),
            Some(SourceKind::File) => self.keep_in_file(self.settings.file.as_deref().ok_or_else(no_file_configured)?)?,
        };
        Ok((master, source, 1))
    }

    /// The usual order: keyring, environment, key file.
    async fn safe_place(&self, beside: bool) -> Result<(Key, Source, u64), Locked> {
        let trouble = match self.keep_in_keyring(beside).await {
            Ok(kept) => return kept,
            Err(trouble) => trouble,
        };
        if self.environment().is_some() {
            return Ok((self.key_of_environment()?, Source::environment(), 1));
        }
        if let Some(path) = &self.settings.file {
            return self.keep_in_file(path).map(|(master, source)| (master, source, 1));
        }
        if matches!(trouble, KeyringError::Locked(_) | KeyringError::Late(_)) {
            return Err(keyring_trouble(&trouble));
        }
        Err(Locked::new(
            "no_safe_place",
            format!("there is no safe place for a new key: {trouble}, and neither `{}` nor `keys.file` is set", source::KEY_VARIABLE),
            format!(
                "`m365-cachectl setup` offers a key file. Or start a keyring, or set `{}` to the output of `openssl rand -base64 32`.",
                source::KEY_VARIABLE
            ),
        ))
    }

    /// Uses the entry that is there (a first start that broke off left it), or makes one and reads it back. `beside` takes the first name that
    /// is free.
    async fn keep_in_keyring(&self, beside: bool) -> Result<Result<(Key, Source, u64), Locked>, KeyringError> {
        if !beside {
            let source = Source::keyring(&self.settings.entry);
            let entry = source.location.clone();
            if let Some(found) = self.ask(move |keyring| keyring.get(&entry)).await? {
                return Ok(key_from(found.expose()).ok_or_else(|| malformed(&source)).map(|key| (key, source, 1)));
            }
        }
        let (source, generation) = self.free_entry(1).await?;
        let master = random_key(self.dice.as_ref());
        let (entry, key) = (source.location.clone(), master.clone());
        let kept = self
            .ask(move |keyring| {
                keyring.set(&entry, key.expose())?;
                keyring.get(&entry)
            })
            .await?;
        if kept.is_some_and(|kept| kept.expose() == master.expose()) {
            Ok(Ok((master, source, generation)))
        } else {
            Err(KeyringError::Failed("it did not give back the key it was given".into()))
        }
    }

    /// The first entry of the keyring whose name is free, from that of `generation` on, and the generation it is named by.
    pub(super) async fn free_entry(&self, mut generation: u64) -> Result<(Source, u64), KeyringError> {
        loop {
            let entry = keyring::numbered(&self.settings.entry, generation);
            let source = Source::keyring(&entry);
            if self.ask(move |keyring| keyring.get(&entry)).await?.is_none() {
                return Ok((source, generation));
            }
            generation += 1;
        }
    }

    /// Uses the configured file, or makes it. One that this profile has not used before may be somebody else's, too.
    fn keep_in_file(&self, path: &Path) -> Result<(Key, Source), Locked> {
        let source = Source::file(path);
        let failed = |error| {
            Locked::new(
                "key_file_failed",
                format!("{} cannot be made: {error}", source.describe()),
                "Make its folder, or check the path `keys.file`.",
            )
        };
        if let Some(master) = from_file(path, self.data())? {
            let in_force = self.read_envelope().is_ok_and(|envelope| envelope.is_some_and(|envelope| envelope.is_of(&master)));
            if !in_force && self.needed_by(&master).is_none() {
                aside::note_as_shared(path).map_err(failed)?;
            }
            return Ok((master, source));
        }
        let master = make_file(path, self.dice.as_ref()).map_err(failed)?;
        Ok((master, source))
    }

    pub(super) async fn ask<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&dyn Keyring) -> Result<T, KeyringError> + Send + 'static,
    ) -> Result<T, KeyringError> {
        keyring::ask(&self.keyring, self.clock.as_ref(), KEYRING_PATIENCE, ask).await
    }

    pub(super) fn environment(&self) -> MutexGuard<'_, Option<Secret<String>>> {
        self.environment.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn key_of_environment(&self) -> Result<Key, Locked> {
        from_environment(self.environment().as_ref().map(|value| value.expose().as_str()))
    }

    /// The folder of the data: a key file must lie elsewhere, and its owner must be this folder's.
    pub(super) fn data(&self) -> &Path {
        self.places.database.parent().unwrap_or(Path::new("."))
    }

    pub(super) fn shut(&self, shut: &Shut, source: Option<&Source>) -> Locked {
        let file = self.places.envelope.display();
        match shut {
            Shut::WrongKey => Locked::new(
                "wrong_key",
                format!("the key in {} is not the one that `{file}` was sealed with", source.map_or("use".into(), Source::describe)),
                "Give the daemon the key this profile was made with. If it is lost: `m365-cachectl keys import` with a recovery file, else `m365-cachectl reset`.",
            ),
            Shut::Damaged => Locked::new(
                "damaged_envelope",
                format!("the key envelope `{file}` is damaged"),
                "Restore it, or run `m365-cachectl keys import` with a recovery file; without either only `m365-cachectl reset` is left.",
            ),
            Shut::Newer(version) => Locked::new(
                "newer_envelope",
                format!("the key envelope `{file}` has version {version}, which this program does not know"),
                "Start the newer version of m365-cached again.",
            ),
        }
    }
}

pub(super) fn no_file_configured() -> Locked {
    Locked::new(
        "key_missing",
        "the master key is to come from a file, and none is configured",
        "Set `keys.file` to the path of the key file.",
    )
}

fn missing(source: &Source, hint: &str) -> Locked {
    Locked::new("key_missing", format!("there is no key in {}, where this profile's master key is kept", source.describe()), hint)
}

pub(super) fn keyring_trouble(error: &KeyringError) -> Locked {
    let (code, hint) = match error {
        KeyringError::Locked(_) => (
            "keyring_locked",
            "Unlock the keyring. On Linux the daemon sees that; elsewhere run `m365-cachectl stop`, and the next call starts it again.",
        ),
        KeyringError::Late(_) => (
            "keyring_timeout",
            "Answer the keyring's prompt or unlock it. On Linux the daemon sees that; elsewhere run `m365-cachectl stop`, and the next call starts it again.",
        ),
        KeyringError::Unavailable(_) => {
            ("keyring_unavailable", "Start the daemon in the session whose keyring holds the key, or start that keyring.")
        }
        KeyringError::Failed(_) => ("keyring_unavailable", "Look at the entries of `m365-cached` with the keyring's own program."),
    };
    Locked::new(code, error.to_string(), hint)
}
