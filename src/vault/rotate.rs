//! Rotation: a new master key takes the place of the old one, and whoever is killed meanwhile leaves something that opens.
//!
//! The order of events: the envelope notes where the new key goes; the new key is kept there and read back; the envelope is sealed under
//! it and replaced at once; envelope and key are read from their places again; only then is the old key deleted, unless an envelope that was put
//! aside needs it ([`super::aside`]), and the note removed. A
//! note that is found later tells what to finish or to undo ([`Vault::settle`]). The database is not touched: its own keys lie inside the
//! envelope and stay the same, so calls go on, and it takes as long as two questions to the keyring.
//!
//! From the moment that both were read again the new key is in force, and a rotation has been done whatever becomes of the old key: told of a failure, a
//! person would drop the key that opens the profile. An old one that cannot be deleted is told of, and its note stays for the next opening. In the keyring
//! only what is called by this profile's name is deleted: under any other, such as the `default` that profiles in the system's places once had in
//! common, there may be the key of a profile that nothing here knows of.
//!
//! A key of the environment is its owner's: the new one is given, and the old one cannot be deleted from here. The vault that was given it goes on
//! with it, since a process cannot be shown another variable.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    Keys, Locked, Rotate, Rotated, Source, SourceKind, VaultState, aside, disk,
    envelope::{Change, Envelope, Facts, Shut},
    keyring::{self, KeyringError},
    open::{Vault, keyring_trouble, no_file_configured},
    source::{KEY_VARIABLE, NEW_KEY_VARIABLE, from_file, key_from, key_from_text, make_file, random_key},
};
use crate::secret::Key;

/// What has been done, in this order. Tests end a rotation behind each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The envelope says where the new key goes.
    Noted,
    /// The new key is in its place.
    Kept,
    /// The envelope is sealed under it.
    Sealed,
    /// Both were read again.
    Verified,
    /// The old key is gone.
    Deleted,
}

/// What became of an old key.
enum Retired {
    Deleted,
    /// It is its owner's to delete.
    Owners,
    /// An envelope that was put aside is sealed under it, or a note says that others may use it.
    Kept {
        place: Source,
        needed_by: PathBuf,
    },
    /// Its name in the keyring is not this profile's, and another one may need it.
    Others,
    /// It could not be deleted, and the note of it stays.
    Still(Locked),
}

/// Told of each step; an error ends the rotation there, as a kill would.
type At<'a> = &'a mut (dyn FnMut(Step) -> Result<(), Locked> + Send);

impl Vault {
    /// Puts a new master key in the place of the old one.
    ///
    /// # Errors
    /// What is wrong, with the old key in its place and in force; unless the message says otherwise.
    pub async fn rotate(&self, wanted: Rotate) -> Result<Rotated, Locked> {
        self.rotate_by_steps(wanted, &mut |_| Ok(())).await
    }

    pub(super) async fn rotate_by_steps(&self, wanted: Rotate, at: At<'_>) -> Result<Rotated, Locked> {
        let (mut envelope, old, master, keys) = self.unseal().await?;
        let earlier = self.settle(&mut envelope, &master, &keys).await?;
        let kind = wanted.to.unwrap_or(old.kind);
        if self.settings.only.is_some_and(|only| only != kind) {
            return Err(Locked::new(
                "source_is_set",
                format!("the configuration says where the key comes from, and that is not the {}", kind.as_str()),
                "Set `keys.source` to `auto`, restart the daemon, then rotate: with another place set it would look where no key is yet.",
            ));
        }
        let next = envelope.facts.generation + 1;
        // Where the new key is put, and where it is in the end.
        let (place, end, generation) = match kind {
            SourceKind::Environment => (Source::environment(), Source::environment(), next),
            SourceKind::Keyring => {
                // An envelope that was put aside may have its key under the name that comes next.
                let (entry, generation) = self.free_entry(next).await.map_err(|error| keyring_trouble(&error))?;
                (entry.clone(), entry, generation)
            }
            SourceKind::File => {
                let (place, end) = self.file_places(&old)?;
                (place, end, next)
            }
        };
        let new = if kind == SourceKind::Environment {
            given(wanted.given.as_ref().map(|given| given.expose().as_str()), &envelope)?
        } else {
            let noted = Facts { change: Some(Change::Making(place.clone())), ..envelope.facts.clone() };
            envelope = self.write(&master, &keys, noted)?;
            at(Step::Noted)?;
            match self.keep(&place).await {
                Ok(new) => new,
                Err(locked) => {
                    // The old key is in force; what was kept of the new one is removed by the next one who opens.
                    let _ = self.settle(&mut envelope, &master, &keys).await;
                    return Err(locked);
                }
            }
        };
        at(Step::Kept)?;
        let now = self.dates.now();
        let facts = Facts {
            source: end.clone(),
            made_at: envelope.facts.made_at.clone(),
            generation,
            rotated_at: Some(now.rfc3339()),
            change: Some(Change::Retiring { old: old.clone(), new: (place != end).then(|| place.clone()) }),
        };
        self.write(&new, &keys, facts)?;
        at(Step::Sealed)?;
        let (mut again, new) = match self.verify(&place, &new, &keys).await {
            Ok(verified) => verified,
            Err(locked) => {
                // The old key is still in its place, so the old envelope is good.
                self.write(&master, &keys, envelope.facts)?;
                return Err(locked);
            }
        };
        if kind == SourceKind::Environment {
            // What this process read at its start opens nothing from here on.
            *self.environment() = wanted.given;
        }
        at(Step::Verified)?;
        let retired = self.retire(&mut again, &new, &keys, at).await?;
        // Its note has given way to that of this rotation.
        let mut left: Vec<String> =
            earlier.into_iter().map(|(place, why)| still_there("one of an earlier rotation", &place, &why, YOURS)).collect();
        let (old_deleted, old, kept_for) = match retired {
            Retired::Deleted => (true, old, None),
            Retired::Owners => (false, old, None),
            Retired::Kept { place, needed_by } => (false, place, Some(needed_by)),
            Retired::Others => {
                left.push(of_others(&old));
                (false, old, None)
            }
            Retired::Still(why) => {
                left.push(still_there("the old one", &old, &why, TRIED_AGAIN));
                (false, old, None)
            }
        };
        Ok(Rotated { generation, source: end, old, old_deleted, kept_for, left, at: now })
    }

    /// The keys of the store, for a copy of it.
    ///
    /// # Errors
    /// Why the vault does not open.
    pub async fn keys(&self) -> Result<Keys, Locked> {
        Ok(self.unseal().await?.3)
    }

    /// Makes a new wrapping key and notes it in the envelope beside the one in force. The store decides which of the two it is: it is told of the
    /// new one next, and [`Vault::settle_wrapping`] of the outcome.
    ///
    /// # Errors
    /// With the old key in force.
    pub async fn offer_wrapping(&self) -> Result<Key, Locked> {
        let (envelope, _, master, keys) = self.unseal().await?;
        if keys.next_wrapping.is_some() {
            let message = "a change of the wrapping key was cut short, and which of the two is in force is not settled yet";
            return Err(Locked::new("unsettled_wrapping", message, "`m365-cachectl stop`; the next start of the daemon settles it."));
        }
        let next = random_key(self.dice.as_ref());
        self.write(&master, &Keys { next_wrapping: Some(next.clone()), ..keys }, envelope.facts)?;
        Ok(next)
    }

    /// Keeps `wrapping`, with which the store opens, and forgets the other one.
    ///
    /// # Errors
    /// With both still noted.
    pub async fn settle_wrapping(&self, wrapping: &Key) -> Result<(), Locked> {
        let (envelope, _, master, keys) = self.unseal().await?;
        self.write(&master, &Keys { wrapping: wrapping.clone(), next_wrapping: None, ..keys }, envelope.facts).map(drop)
    }

    /// How the master key stands, as the envelope says.
    ///
    /// # Errors
    /// As for opening; the key itself is not asked for.
    pub fn state(&self) -> Result<VaultState, Locked> {
        let envelope = self
            .read_envelope()?
            .ok_or_else(|| Locked::new("no_envelope", "there is no key envelope yet", "Start the daemon: the first start makes one."))?;
        let Facts { source, generation, change, .. } = &envelope.facts;
        let owners = match source.kind {
            SourceKind::Environment => true,
            SourceKind::File => {
                let path = Path::new(&source.location);
                aside::noted_as_shared(path).is_some() || !aside::replaceable(path)
            }
            SourceKind::Keyring => false,
        };
        Ok(VaultState { source: source.clone(), generation: *generation, since: envelope.since(), owners, unfinished: change.is_some() })
    }

    /// Replaces the envelope, having opened what is to be written. Returns it as it was read back from the disk.
    pub(super) fn write(&self, master: &Key, keys: &Keys, facts: Facts) -> Result<Envelope, Locked> {
        let envelope = Envelope::seal(master, keys, facts, self.dice.as_ref()).map_err(|shut| self.shut(&shut, None))?;
        let json = envelope.to_json().map_err(|error| self.not_written(&error.into()))?;
        let opens = |bytes: &[u8]| Envelope::parse(bytes).and_then(|envelope| Ok((envelope.open(master)?, envelope)));
        let same = |found: &Keys| found.same(keys);
        if !opens(&json).is_ok_and(|(found, _)| same(&found)) {
            return Err(self.shut(&Shut::Damaged, None));
        }
        disk::replace(&self.places.envelope, &json).map_err(|error| self.not_written(&error))?;
        let bytes = disk::read(&self.places.envelope).map_err(|error| self.not_written(&error))?;
        match opens(&bytes) {
            Ok((found, envelope)) if same(&found) => Ok(envelope),
            Ok(_) => Err(self.shut(&Shut::Damaged, None)),
            Err(shut) => Err(self.shut(&shut, None)),
        }
    }

    /// Reads key and envelope from their places and holds them against what they should be.
    async fn verify(&self, place: &Source, expected: &Key, keys: &Keys) -> Result<(Envelope, Key), Locked> {
        let new = match place.kind {
            // Its place is another process.
            SourceKind::Environment => expected.clone(),
            SourceKind::Keyring => self.ask_keyring(place).await?,
            SourceKind::File => from_file(Path::new(&place.location), self.data())?.ok_or_else(|| not_kept(place))?,
        };
        Ok((self.reread(place, &new, keys)?, new))
    }

    /// The envelope as it is on the disk, which opens with the key in `place` and holds `keys`.
    fn reread(&self, place: &Source, master: &Key, keys: &Keys) -> Result<Envelope, Locked> {
        let envelope = self.read_envelope()?.ok_or_else(|| self.shut(&Shut::Damaged, None))?;
        let found = envelope.open(master).map_err(|shut| self.shut(&shut, Some(place)))?;
        if found.same(keys) { Ok(envelope) } else { Err(self.shut(&Shut::Damaged, None)) }
    }

    /// Finishes or undoes what a rotation cut short has left. Nothing is left to do in most cases. An old key that cannot be deleted keeps nobody from going
    /// on: where it is, and why.
    pub(super) async fn settle(&self, envelope: &mut Envelope, master: &Key, keys: &Keys) -> Result<Option<(Source, Locked)>, Locked> {
        match envelope.facts.change.clone() {
            None => Ok(None),
            Some(Change::Making(place)) => {
                // A key that opens something is not deleted, whatever the note says.
                if place != envelope.facts.source {
                    self.delete(&place).await?;
                }
                *envelope = self.write(master, keys, Facts { change: None, ..envelope.facts.clone() })?;
                Ok(None)
            }
            Some(Change::Retiring { old, new }) => match self.retire(envelope, master, keys, &mut |_| Ok(())).await? {
                // Without its note nobody would look for the new key beside the old one.
                Retired::Still(why) if new.is_some() => Err(why),
                Retired::Still(why) => Ok(Some((old, why))),
                _ => Ok(None),
            },
        }
    }

    /// Deletes the old key, unless it is needed, and removes the note. The new one is in force whatever comes of it: what fails is done by the next opening.
    async fn retire(&self, envelope: &mut Envelope, master: &Key, keys: &Keys, at: At<'_>) -> Result<Retired, Locked> {
        let Some(Change::Retiring { old, new }) = envelope.facts.change.clone() else { return Ok(Retired::Owners) };
        let retired = match &new {
            // Only a file has its new key elsewhere first: beside it.
            Some(new) => self.take_place(new, &old),
            None if old == envelope.facts.source => Ok(Retired::Owners),
            None => self.delete(&old).await,
        };
        let retired = match retired {
            Ok(retired) => retired,
            Err(why) => return Ok(Retired::Still(why)),
        };
        at(Step::Deleted)?;
        let source = envelope.facts.source.clone();
        *envelope = match self.write(master, keys, Facts { change: None, ..envelope.facts.clone() }) {
            Ok(written) => written,
            // A note of what is done already does no harm; an envelope that does not open is told of.
            Err(_) => self.reread(&source, master, keys)?,
        };
        Ok(retired)
    }

    /// Gives the key file `new` the name of `old`, unless that has been done already.
    fn take_place(&self, new: &Source, old: &Source) -> Result<Retired, Locked> {
        let (from, to) = (Path::new(&new.location), Path::new(&old.location));
        if from.symlink_metadata().is_err() {
            return Ok(Retired::Deleted);
        }
        let failed = |error: std::io::Error| file_failed(new, &error);
        let needed = key_in(old)?.and_then(|key| Some((aside::kept_file(old, &key), self.needed_by(&key)?)));
        let retired = match needed {
            Some((kept, needed_by)) => {
                // Cut short here the new key is found beside the name that is free, as the envelope says.
                fs::rename(to, &kept).map_err(failed)?;
                Retired::Kept { place: Source::file(&kept), needed_by }
            }
            None => disk::overwrite(to).map(|()| Retired::Deleted).map_err(failed)?,
        };
        fs::rename(from, to).and_then(|()| disk::flush_folder(to)).map_err(failed)?;
        Ok(retired)
    }

    /// Makes a key and keeps it in `place`; the key as it was read back.
    pub(super) async fn keep(&self, place: &Source) -> Result<Key, Locked> {
        match place.kind {
            SourceKind::Environment => Err(new_key_missing()),
            SourceKind::File => {
                let path = Path::new(&place.location);
                // Left by a rotation that was cut short; nothing is sealed under it.
                wipe(path).map_err(|error| file_failed(place, &error))?;
                make_file(path, self.dice.as_ref()).map_err(|error| file_failed(place, &error))?;
                from_file(path, self.data())?.ok_or_else(|| not_kept(place))
            }
            SourceKind::Keyring => {
                let (entry, key) = (place.location.clone(), random_key(self.dice.as_ref()));
                let given = key.clone();
                let kept = self.ask(move |keyring| {
                    keyring.set(&entry, given.expose())?;
                    keyring.get(&entry)
                });
                let kept = kept.await.map_err(|error| keyring_trouble(&error))?;
                let kept = kept.and_then(|kept| key_from(kept.expose())).ok_or_else(|| not_kept(place))?;
                if kept.expose() == key.expose() { Ok(kept) } else { Err(not_kept(place)) }
            }
        }
    }

    /// Deletes a key of ours, unless an envelope that was put aside needs it, or another profile may.
    async fn delete(&self, place: &Source) -> Result<Retired, Locked> {
        let key = match place.kind {
            SourceKind::Environment => return Ok(Retired::Owners),
            SourceKind::File => key_in(place)?,
            SourceKind::Keyring => {
                let entry = place.location.clone();
                let found = self.ask(move |keyring| keyring.get(&entry)).await.map_err(|error| keyring_trouble(&error))?;
                found.and_then(|found| key_from(found.expose()))
            }
        };
        if let Some(needed_by) = key.and_then(|key| self.needed_by(&key)) {
            return Ok(Retired::Kept { place: place.clone(), needed_by });
        }
        if place.kind == SourceKind::File {
            if let Some(needed_by) = aside::noted_as_shared(Path::new(&place.location)) {
                return Ok(Retired::Kept { place: place.clone(), needed_by });
            }
            wipe(Path::new(&place.location)).map_err(|error| file_failed(place, &error))?;
            return Ok(Retired::Deleted);
        }
        if !keyring::is_called_by(&place.location, &self.settings.entry) {
            return Ok(Retired::Others);
        }
        let entry = place.location.clone();
        let gone = self.ask(move |keyring| {
            keyring.delete(&entry)?;
            keyring.get(&entry).map(|left| left.is_none())
        });
        match gone.await {
            Ok(true) => Ok(Retired::Deleted),
            Ok(false) => Err(keyring_trouble(&KeyringError::Failed("it still has the key it was to delete".into()))),
            Err(error) => Err(keyring_trouble(&error)),
        }
    }

    /// A new key file is written beside the old one and takes its name in the end.
    fn file_places(&self, old: &Source) -> Result<(Source, Source), Locked> {
        let path = match (&self.settings.file, old.kind) {
            (Some(path), _) => path.clone(),
            (None, SourceKind::File) => Path::new(&old.location).to_owned(),
            (None, _) => return Err(no_file_configured()),
        };
        let end = Source::file(&path);
        if end == *old {
            if let Some(note) = aside::noted_as_shared(&path) {
                return Err(Locked::new(
                    "key_file_shared",
                    format!("{} was there before this profile, so others may use it: `{}`", old.describe(), note.display()),
                    "`m365-cachectl keys rotate --to keyring`; or remove that note, when this profile alone uses the file.",
                ));
            }
            let mut beside = path.into_os_string();
            beside.push(".new");
            return Ok((Source::file(Path::new(&beside)), end));
        }
        if path.symlink_metadata().is_ok() {
            return Err(Locked::new(
                "key_file_exists",
                format!("there is a file at `{}` already, and it is not overwritten", path.display()),
                "Move it away, or set `keys.file` to another path.",
            ));
        }
        Ok((end.clone(), end))
    }

    fn not_written(&self, error: &std::io::Error) -> Locked {
        Locked::new(
            "envelope_failed",
            format!("the key envelope `{}` cannot be written: {error}", self.places.envelope.display()),
            "Check the rights of that folder and the space on its disk; the keys are as they were.",
        )
    }
}

/// What comes of a key that could not be deleted.
const TRIED_AGAIN: &str = "the next start of the daemon tries again";
const YOURS: &str = "nobody tries again: take it out of there yourself, unless an envelope that was put aside needs it";

fn still_there(which: &str, place: &Source, why: &Locked, then: &str) -> String {
    format!("{which} is still in {}, since {why}; it opens nothing that is in use, and {then}", place.describe())
}

fn of_others(place: &Source) -> String {
    format!(
        "the old one stays in {}, since that name is not this profile's alone and another profile may open with it; when none does, remove it with the \
         keyring's own program",
        place.describe()
    )
}

/// The key that its owner has given for the environment.
fn given(text: Option<&str>, envelope: &Envelope) -> Result<Key, Locked> {
    let new = key_from_text(text.ok_or_else(new_key_missing)?.as_bytes()).ok_or_else(|| {
        Locked::new(
            "malformed_key",
            format!("what stands in the environment variable `{NEW_KEY_VARIABLE}` is not a key of 32 bytes"),
            "A key is 32 random bytes in base64: `openssl rand -base64 32` makes one.",
        )
    })?;
    if envelope.is_of(&new) {
        let hint = "Make another one: `openssl rand -base64 32`.";
        return Err(Locked::new("same_key", format!("the key in `{NEW_KEY_VARIABLE}` is the one in use"), hint));
    }
    Ok(new)
}

fn new_key_missing() -> Locked {
    Locked::new(
        "new_key_missing",
        format!("a key of the environment is changed by its owner, and no new one was given in `{NEW_KEY_VARIABLE}`"),
        format!(
            "`export {NEW_KEY_VARIABLE}=\"$(openssl rand -base64 32)\"`, rotate, then start the daemon with that key as `{KEY_VARIABLE}`."
        ),
    )
}

fn not_kept(place: &Source) -> Locked {
    let message = format!("{} did not give back the key that was put there", place.describe());
    Locked::new("key_not_kept", message, "Look at that place; the old key is still in force.")
}

fn file_failed(place: &Source, error: &std::io::Error) -> Locked {
    let message = format!("{} cannot be written: {error}", place.describe());
    Locked::new(
        "key_file_failed",
        message,
        "Check the rights of its folder. A key that is only shown to the daemon: `m365-cachectl keys export FILE`, put another in its place, `m365-cachectl keys import FILE`.",
    )
}

/// The key in a key file of ours, whoever may read it. `None` when there is none.
fn key_in(file: &Source) -> Result<Option<Key>, Locked> {
    match disk::read(Path::new(&file.location)) {
        Ok(text) => Ok(key_from_text(&text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(file_failed(file, &error)),
    }
}

/// Overwrites and removes a key file, when it is there.
fn wipe(path: &Path) -> std::io::Result<()> {
    if path.symlink_metadata().is_err() {
        return Ok(());
    }
    disk::overwrite(path)?;
    fs::remove_file(path)?;
    disk::flush_folder(path)
}
