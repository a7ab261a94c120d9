//! `cache.keys`: the two keys of the database, sealed under the master key with AES-256-GCM.

use base64::{Engine, engine::general_purpose::STANDARD};
use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    hmac,
};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{
    Keys, Source,
    source::{key_from, random_key},
};
use crate::{chance::Dice, clock::Timestamp, secret::Key};

/// The version that is written. Version 1 had no generation and is still read.
const VERSION: u32 = 2;
/// Bytes of a GCM nonce.
const NONCE: usize = 12;

/// The file, as it stands on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Envelope {
    version: u32,
    /// Tells which master key opens this envelope: an HMAC of it, from which 256 random bits cannot be guessed. So a wrong key and a
    /// damaged file are told apart.
    key_id: String,
    #[serde(flatten)]
    pub(super) facts: Facts,
    /// Nonce and sealed keys, base64.
    sealed: String,
}

/// What an envelope says in the clear.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Facts {
    /// What holds the master key.
    pub(super) source: Source,
    /// When the first one was made, RFC 3339.
    pub(super) made_at: String,
    /// How many master keys there have been.
    #[serde(default = "first")]
    pub(super) generation: u64,
    /// When the last one took over, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) rotated_at: Option<String>,
    /// A rotation that has not ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) change: Option<Change>,
}

fn first() -> u64 {
    1
}

/// How far a rotation is, so that one cut short is finished or undone by whoever opens the envelope next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Change {
    /// A new master key is put in this place; nothing is sealed under it yet.
    Making(Source),
    /// The envelope is sealed under the new one; the old one is to be deleted.
    Retiring {
        /// Where the old one is.
        old: Source,
        /// Where the new one is until it takes the old one's place: the file beside a key file.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        new: Option<Source>,
    },
}

/// Why an envelope was not opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shut {
    /// It was sealed under another master key.
    WrongKey,
    /// It is not as it was written.
    Damaged,
    /// A newer version of the program wrote it.
    Newer(u32),
}

impl Envelope {
    /// Two new keys, and the envelope that holds them.
    pub(super) fn make(master: &Key, source: Source, dice: &dyn Dice, now: Timestamp) -> Result<(Self, Keys), Shut> {
        let keys = Keys { database: random_key(dice), wrapping: random_key(dice), next_wrapping: None };
        let facts = Facts { source, made_at: now.rfc3339(), generation: first(), rotated_at: None, change: None };
        Ok((Self::seal(master, &keys, facts, dice)?, keys))
    }

    /// The envelope that holds `keys`.
    pub(super) fn seal(master: &Key, keys: &Keys, facts: Facts, dice: &dyn Dice) -> Result<Self, Shut> {
        let mut nonce = [0; NONCE];
        dice.fill(&mut nonce);
        let key_id = key_id(master);
        // Room for the tag at once, since a growing buffer leaves copies behind.
        let mut sealed = Zeroizing::new(Vec::with_capacity(96 + AES_256_GCM.tag_len()));
        for key in [Some(&keys.database), Some(&keys.wrapping), keys.next_wrapping.as_ref()].into_iter().flatten() {
            sealed.extend_from_slice(key.expose());
        }
        cipher(master)?
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), bound(VERSION, &key_id, &facts), &mut *sealed)
            .map_err(|_| Shut::Damaged)?;
        let sealed = STANDARD.encode([nonce.as_slice(), &sealed].concat());
        Ok(Self { version: VERSION, key_id, facts, sealed })
    }

    /// Whether `master` is the key it was sealed with.
    pub(super) fn is_of(&self, master: &Key) -> bool {
        self.key_id == key_id(master)
    }

    /// When the master key in use was made or took over.
    pub(super) fn since(&self) -> Timestamp {
        let text = self.facts.rotated_at.as_ref().unwrap_or(&self.facts.made_at);
        text.parse::<jiff::Timestamp>().map_or(Timestamp(0), |at| Timestamp(at.as_millisecond()))
    }

    /// The envelope in `bytes`.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Shut> {
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let Version { version } = serde_json::from_slice(bytes).map_err(|_| Shut::Damaged)?;
        if version > VERSION {
            return Err(Shut::Newer(version));
        }
        serde_json::from_slice(bytes).map_err(|_| Shut::Damaged)
    }

    /// As it stands on disk.
    pub(super) fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        Ok(text)
    }

    /// The keys inside.
    pub(super) fn open(&self, master: &Key) -> Result<Keys, Shut> {
        if !self.is_of(master) {
            return Err(Shut::WrongKey);
        }
        let mut sealed = Zeroizing::new(STANDARD.decode(&self.sealed).map_err(|_| Shut::Damaged)?);
        let (nonce, sealed) = sealed.split_at_mut_checked(NONCE).ok_or(Shut::Damaged)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| Shut::Damaged)?;
        let bound = bound(self.version, &self.key_id, &self.facts);
        let opened = cipher(master)?.open_in_place(nonce, bound, sealed).map_err(|_| Shut::Damaged)?;
        Keys::from_bytes(opened).ok_or(Shut::Damaged)
    }
}

impl Keys {
    /// Two or three keys, one behind the other.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut keys = bytes.chunks(32).map(key_from);
        let (database, wrapping) = (keys.next()??, keys.next()??);
        let next_wrapping = match keys.next() {
            Some(key) => Some(key?),
            None => None,
        };
        keys.next().is_none().then_some(Self { database, wrapping, next_wrapping })
    }
}

/// Whether the envelope in `bytes` is sealed under `master`, of whatever version it is. What is no envelope opens with no key.
pub(super) fn is_sealed_under(bytes: &[u8], master: &Key) -> bool {
    #[derive(Deserialize)]
    struct Sealed {
        key_id: String,
    }
    serde_json::from_slice::<Sealed>(bytes).is_ok_and(|sealed| sealed.key_id == key_id(master))
}

pub(super) fn key_id(master: &Key) -> String {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, master.expose()), b"m365-cached master key id");
    tag.as_ref()[..8].iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

fn cipher(master: &Key) -> Result<LessSafeKey, Shut> {
    UnboundKey::new(&AES_256_GCM, master.expose()).map(LessSafeKey::new).map_err(|_| Shut::Damaged)
}

/// What the seal is bound to besides the key: all that the file says in the clear, so that nobody has another key deleted by writing its
/// name into it. Version 1 was bound to the key's id alone.
fn bound(version: u32, key_id: &str, facts: &Facts) -> Aad<Vec<u8>> {
    let mut text = format!("m365-cached envelope {version} {key_id}");
    if version > 1 {
        // Texts and numbers always serialize.
        text.push_str(&serde_json::to_string(facts).unwrap_or_default());
    }
    Aad::from(text.into_bytes())
}
