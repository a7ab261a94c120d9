//! Where secrets sleep: finds the master key and opens the envelope that holds the two keys of the database. Never makes up a key in silence.
//!
//! Decision: the database is opened with a random key that lies in `cache.keys`, sealed under the master key; the master key lies in the
//! operating system's keyring, an environment variable or a key file. Rotating the master rewrites a file of 400 bytes in place of the
//! database (`PRAGMA rekey` needs the size of the database again). Which source held the master at the first start is written in the
//! envelope and that one is asked ever after: Signal Desktop's users lost their data when a changed desktop meant another keyring.
//! Whatever does not fit ends in [`Locked`], with nothing on disk created or changed.

mod adopt;
mod aside;
mod disk;
mod envelope;
mod keyring;
mod locked;
mod open;
mod original;
mod recovery;
mod reference;
mod rotate;
#[cfg(target_os = "linux")]
mod secret_service;
mod source;

use std::{path::PathBuf, time::Duration};

use crate::{
    clock::Timestamp,
    secret::{Key, Secret},
};

pub use self::{
    adopt::Adopted,
    keyring::{Keyring, KeyringError, OsKeyring, SERVICE, entry_name},
    locked::Locked,
    open::{KEYRING_PATIENCE, Vault},
    recovery::{Recovery, SHORTEST_PASSPHRASE},
    reference::kept_at,
    source::{KEY_VARIABLE, NEW_KEY_VARIABLE, Source, SourceKind},
};

/// Where the vault's files lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// `cache.keys`: the envelope.
    pub envelope: PathBuf,
    /// `cache.db`: only looked at, to notice a database without its envelope.
    pub database: PathBuf,
    /// The folder in whose folders envelopes lie that were put aside.
    pub quarantine: PathBuf,
}

/// What the operator decided about the master key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Ask this source and no other; `None` for the usual order: keyring, environment, file.
    pub only: Option<SourceKind>,
    /// The key file, where one is configured. Absolute, and outside the folder of the database.
    pub file: Option<PathBuf>,
    /// This profile's name in the keyring; see [`entry_name`].
    pub entry: String,
}

/// The keys of the store. The daemon hands them on; nothing else keeps them.
#[derive(Clone)]
pub struct Keys {
    /// SQLCipher's raw key.
    pub database: Key,
    /// Wraps the data key of each account.
    pub wrapping: Key,
    /// Takes over from `wrapping`: whether it has, the store knows. Only while that is under way.
    pub next_wrapping: Option<Key>,
}

impl Keys {
    /// Whether these are the same keys.
    fn same(&self, other: &Self) -> bool {
        let next = |keys: &Self| keys.next_wrapping.as_ref().map(|key| *key.expose());
        self.database.expose() == other.database.expose() && self.wrapping.expose() == other.wrapping.expose() && next(self) == next(other)
    }
}

/// How to rotate.
#[derive(Default)]
pub struct Rotate {
    /// Where the new master key goes; `None` leaves it in the same kind of place.
    pub to: Option<SourceKind>,
    /// The new key in base64, for the environment alone; see [`NEW_KEY_VARIABLE`].
    pub given: Option<Secret<String>>,
}

/// What a rotation did: for people and for the audit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotated {
    /// How many master keys there have been, this one included.
    pub generation: u64,
    /// Where the new one is.
    pub source: Source,
    /// Where the old one was, and is when it was kept.
    pub old: Source,
    /// Whether the old one was deleted; a key of the environment is its owner's.
    pub old_deleted: bool,
    /// What needs the old one, which was kept for it: an envelope that was put aside, or the note of a key file that others may use.
    pub kept_for: Option<PathBuf>,
    /// Which old keys are still there otherwise, why, and what comes of it.
    pub left: Vec<String>,
    /// When.
    pub at: Timestamp,
}

/// How the master key stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaultState {
    /// Where it is.
    pub source: Source,
    /// How many there have been.
    pub generation: u64,
    /// When it was made or took over.
    pub since: Timestamp,
    /// Whether its owner changes it, and no rotation by itself: a key of the environment, and a file that others may use or that cannot
    /// be replaced from here.
    pub owners: bool,
    /// Whether a rotation was cut short and waits to be finished by the next opening.
    pub unfinished: bool,
}

impl VaultState {
    /// When the next rotation is due.
    pub fn due(&self, every: Duration) -> Timestamp {
        self.since.plus(every)
    }
}

/// An opened vault.
pub struct Unlocked {
    /// The keys of the store.
    pub keys: Keys,
    /// What held the master key.
    pub source: Source,
    /// Whether the keys were made just now.
    pub created: bool,
}

#[cfg(test)]
mod envelope_tests;
#[cfg(test)]
mod open_tests;
#[cfg(test)]
mod rotate_tests;
