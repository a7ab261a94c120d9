//! Where secrets sleep: finds the master key and opens the envelope that holds the two keys of the database. Never makes up a key in silence.
//!
//! Decision: the database is opened with a random key that lies in `cache.keys`, sealed under the master key; the master key lies in the
//! operating system's keyring, an environment variable or a key file. Rotating the master rewrites a file of 400 bytes in place of the
//! database (`PRAGMA rekey` needs the size of the database again). Which source held the master at the first start is written in the
//! envelope and that one is asked ever after: Signal Desktop's users lost their data when a changed desktop meant another keyring.
//! Whatever does not fit ends in [`Locked`], with nothing on disk created or changed.

mod disk;
mod envelope;
mod keyring;
mod locked;
mod open;
mod source;

use std::path::PathBuf;

use crate::secret::Key;

pub use self::{
    keyring::{Keyring, KeyringError, OsKeyring, SERVICE, entry_name},
    locked::Locked,
    open::{KEYRING_PATIENCE, Vault},
    source::{KEY_VARIABLE, Source, SourceKind},
};

/// Where the vault's files lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// `cache.keys`: the envelope.
    pub envelope: PathBuf,
    /// `cache.db`: only looked at, to notice a database without its envelope.
    pub database: PathBuf,
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
pub struct Keys {
    /// SQLCipher's raw key.
    pub database: Key,
    /// Wraps the data key of each account.
    pub wrapping: Key,
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
