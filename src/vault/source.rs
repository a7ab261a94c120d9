//! The sources a master key may come from besides the keyring, and the one spelling it has there: 32 bytes in base64.

use std::path::{Path, PathBuf};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{
    Locked,
    disk::{self, Unread},
};
use crate::{chance::Dice, secret::Key};

/// The environment variable that may hold the master key.
pub const KEY_VARIABLE: &str = "M365_MCP_CACHE_KEY";

/// The environment variable of `m365-cachectl keys rotate` that holds the key to rotate to.
pub const NEW_KEY_VARIABLE: &str = "M365_MCP_CACHE_KEY_NEW";

/// The kinds of place for a master key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceKind {
    /// The operating system's keyring.
    Keyring,
    /// The environment variable [`KEY_VARIABLE`].
    Environment,
    /// A file that only its owner can read.
    File,
}

impl SourceKind {
    /// As settings, status and the envelope spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Keyring => "keyring",
            Self::Environment => "environment",
            Self::File => "file",
        }
    }
}

/// What holds the master key, without the key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Which kind of place.
    pub kind: SourceKind,
    /// Where in it: an entry's name, a variable, a path.
    pub location: String,
}

impl Source {
    pub(super) fn keyring(entry: &str) -> Self {
        Self { kind: SourceKind::Keyring, location: entry.into() }
    }

    pub(super) fn environment() -> Self {
        Self { kind: SourceKind::Environment, location: KEY_VARIABLE.into() }
    }

    pub(super) fn file(path: &Path) -> Self {
        Self { kind: SourceKind::File, location: path.to_string_lossy().into_owned() }
    }

    /// For messages.
    pub(super) fn describe(&self) -> String {
        match self.kind {
            SourceKind::Keyring => format!("the keyring entry `{}` of `{}`", self.location, super::SERVICE),
            SourceKind::Environment => format!("the environment variable `{}`", self.location),
            SourceKind::File => format!("the key file `{}`", self.location),
        }
    }
}

/// 32 random bytes.
pub(super) fn random_key(dice: &dyn Dice) -> Key {
    let mut bytes = Zeroizing::new([0; 32]);
    dice.fill(bytes.as_mut_slice());
    Key::new(*bytes)
}

/// A key from its raw bytes.
pub(super) fn key_from(bytes: &[u8]) -> Option<Key> {
    let array = Zeroizing::new(<[u8; 32]>::try_from(bytes).ok()?);
    Some(Key::new(*array))
}

/// A key from base64, with or without white space around it.
pub(super) fn key_from_text(text: &[u8]) -> Option<Key> {
    // One byte longer than a key, so that a longer one is noticed.
    let mut bytes = Zeroizing::new([0; 36]);
    let length = STANDARD.decode_slice(text.trim_ascii(), bytes.as_mut_slice()).ok()?;
    key_from(&bytes[..length])
}

/// The key in the environment variable.
pub(super) fn from_environment(value: Option<&str>) -> Result<Key, Locked> {
    let Some(value) = value else {
        return Err(Locked::new(
            "key_missing",
            format!("the master key is expected in the environment variable `{KEY_VARIABLE}`, which is not set"),
            format!("Start the daemon with the same `{KEY_VARIABLE}` as before."),
        ));
    };
    key_from_text(value.as_bytes()).ok_or_else(|| malformed(&Source::environment()))
}

/// The key in the file `path`, which lies outside `data`, the folder of the database.
pub(super) fn from_file(path: &Path, data: &Path) -> Result<Option<Key>, Locked> {
    let place = Source::file(path).describe();
    if inside(path, data) {
        return Err(Locked::new(
            "insecure_key_file",
            format!("{place} lies beside the data it protects"),
            "Move it to another folder, such as one on another disk, and set `keys.file` to its new place.",
        ));
    }
    match disk::read_secret(path, disk::owner(data)) {
        Ok(text) => key_from_text(&text).map(Some).ok_or_else(|| malformed(&Source::file(path))),
        Err(Unread::Missing) => Ok(None),
        Err(Unread::Insecure(why)) => Err(Locked::new(
            "insecure_key_file",
            format!("{place} is not used, since {why}"),
            format!("Give the file to the user who runs the daemon and run `chmod 600 '{}'`.", path.display()),
        )),
        Err(Unread::Failed(error)) => {
            Err(Locked::new("key_file_failed", format!("{place} cannot be read: {error}"), "Check the path `keys.file` and its rights."))
        }
    }
}

/// A new key in a new file.
pub(super) fn make_file(path: &Path, dice: &dyn Dice) -> Result<Key, std::io::Error> {
    let key = random_key(dice);
    let mut text = Zeroizing::new(String::with_capacity(64));
    STANDARD.encode_string(key.expose(), &mut text);
    text.push('\n');
    disk::create(path, text.as_bytes())?;
    Ok(key)
}

/// Whether `path` lies somewhere under `folder`, also by way of links.
fn inside(path: &Path, folder: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    // The file itself may not exist yet, and may be a link to elsewhere.
    let parent: PathBuf = path.parent().map(real).unwrap_or_default();
    parent.starts_with(real(folder)) || real(path).starts_with(real(folder))
}

pub(super) fn malformed(source: &Source) -> Locked {
    Locked::new(
        "malformed_key",
        format!("what stands in {} is not a key of 32 bytes", source.describe()),
        match source.kind {
            SourceKind::Keyring => "Look at that entry with the keyring's own program; it was not made by this daemon.",
            _ => "A key is 32 random bytes in base64: `openssl rand -base64 32` makes one.",
        },
    )
}
