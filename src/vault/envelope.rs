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

/// The one version there is.
const VERSION: u32 = 1;
/// Bytes of a GCM nonce.
const NONCE: usize = 12;

/// The file, as it stands on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Envelope {
    version: u32,
    /// Tells which master key opens this envelope: an HMAC of it, from which 256 random bits cannot be guessed. So a wrong key and a
    /// damaged file are told apart.
    key_id: String,
    /// What holds the master key.
    pub(super) source: Source,
    /// When it was made, RFC 3339.
    made_at: String,
    /// Nonce and sealed keys, base64.
    sealed: String,
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
        let keys = Keys { database: random_key(dice), wrapping: random_key(dice) };
        let mut nonce = [0; NONCE];
        dice.fill(&mut nonce);
        let key_id = key_id(master);
        // Room for the tag at once, since a growing buffer leaves copies behind.
        let mut sealed = Zeroizing::new(Vec::with_capacity(64 + AES_256_GCM.tag_len()));
        sealed.extend_from_slice(keys.database.expose());
        sealed.extend_from_slice(keys.wrapping.expose());
        cipher(master)?
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), bound(VERSION, &key_id), &mut *sealed)
            .map_err(|_| Shut::Damaged)?;
        let sealed = STANDARD.encode([nonce.as_slice(), &sealed].concat());
        Ok((Self { version: VERSION, key_id, source, made_at: now.rfc3339(), sealed }, keys))
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
        if self.key_id != key_id(master) {
            return Err(Shut::WrongKey);
        }
        let mut sealed = Zeroizing::new(STANDARD.decode(&self.sealed).map_err(|_| Shut::Damaged)?);
        let (nonce, sealed) = sealed.split_at_mut_checked(NONCE).ok_or(Shut::Damaged)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| Shut::Damaged)?;
        let opened = cipher(master)?.open_in_place(nonce, bound(self.version, &self.key_id), sealed).map_err(|_| Shut::Damaged)?;
        let (database, wrapping) = opened.split_at_checked(32).ok_or(Shut::Damaged)?;
        Ok(Keys { database: key_from(database).ok_or(Shut::Damaged)?, wrapping: key_from(wrapping).ok_or(Shut::Damaged)? })
    }
}

fn key_id(master: &Key) -> String {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, master.expose()), b"m365-cached master key id");
    tag.as_ref()[..8].iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

fn cipher(master: &Key) -> Result<LessSafeKey, Shut> {
    UnboundKey::new(&AES_256_GCM, master.expose()).map(LessSafeKey::new).map_err(|_| Shut::Damaged)
}

/// What the seal is bound to besides the key.
fn bound(version: u32, key_id: &str) -> Aad<Vec<u8>> {
    Aad::from(format!("m365-cached envelope {version} {key_id}").into_bytes())
}
