//! The recovery file: the keys of the store sealed under a passphrase, for the day on which the master key is lost.
//!
//! Argon2id with the second recommended choice of RFC 9106: 64 MiB, 3 passes, 4 lanes. The passphrase is the only thing that keeps a copy of
//! this file and of the database apart from the mail inside, so a short one is refused.

use argon2::{Algorithm, Argon2, Params, Version};
use base64::{Engine, engine::general_purpose::STANDARD};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{Keys, Locked};
use crate::{chance::Dice, clock::Timestamp, secret::Secret};

/// The one version there is.
const VERSION: u32 = 1;
const NONCE: usize = 12;
/// KiB of memory that a guess costs.
const MEMORY: u32 = 64 * 1024;
const PASSES: u32 = 3;
const LANES: u32 = 4;
/// What a file may ask for at most, so that a foreign one cannot take the machine's memory.
const MOST_MEMORY: u32 = 1024 * 1024;
const MOST_PASSES: u32 = 16;
const MOST_LANES: u32 = 16;
/// Characters of a passphrase at least.
pub const SHORTEST_PASSPHRASE: usize = 12;

/// The file, as it stands on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovery {
    version: u32,
    /// Says what it is to who finds it.
    what: String,
    /// When it was made, RFC 3339.
    made_at: String,
    kdf: Kdf,
    /// Nonce and sealed keys, base64.
    sealed: String,
}

/// How the passphrase becomes a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Kdf {
    name: String,
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    salt: String,
}

impl Recovery {
    /// Seals `keys`. Takes a part of a second and 64 MiB: not for an async thread.
    ///
    /// # Errors
    /// `weak_passphrase`.
    pub fn seal(keys: &Keys, passphrase: &Secret<String>, dice: &dyn Dice, now: Timestamp) -> Result<Self, Locked> {
        if passphrase.expose().chars().count() < SHORTEST_PASSPHRASE {
            return Err(Locked::new(
                "weak_passphrase",
                format!("the passphrase has fewer than {SHORTEST_PASSPHRASE} characters, and it alone protects the keys in that file"),
                "Take a longer one, such as five words that have nothing to do with each other.",
            ));
        }
        let (mut salt, mut nonce) = ([0; 16], [0; NONCE]);
        dice.fill(&mut salt);
        dice.fill(&mut nonce);
        let kdf = Kdf { name: "argon2id".into(), memory_kib: MEMORY, passes: PASSES, lanes: LANES, salt: STANDARD.encode(salt) };
        let what = "Keys of m365-cached, sealed under a passphrase. `m365-cachectl keys import` reads it.".to_owned();
        let mut recovery = Self { version: VERSION, what, made_at: now.rfc3339(), kdf, sealed: String::new() };
        let mut sealed = Zeroizing::new(Vec::with_capacity(64 + AES_256_GCM.tag_len()));
        // Which of two wrapping keys is in force the store decides by trying; see `Keys`.
        for key in [Some(&keys.database), Some(&keys.wrapping), keys.next_wrapping.as_ref()].into_iter().flatten() {
            sealed.extend_from_slice(key.expose());
        }
        recovery
            .cipher(passphrase)
            .and_then(|cipher| cipher.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), recovery.bound(), &mut *sealed).ok())
            .ok_or_else(damaged)?;
        recovery.sealed = STANDARD.encode([nonce.as_slice(), &sealed].concat());
        Ok(recovery)
    }

    /// The recovery file in `bytes`.
    ///
    /// # Errors
    /// `damaged_recovery` or `newer_recovery`.
    pub fn parse(bytes: &[u8]) -> Result<Self, Locked> {
        #[derive(Deserialize)]
        struct Begin {
            version: u32,
        }
        let Begin { version } = serde_json::from_slice(bytes).map_err(|_| damaged())?;
        if version > VERSION {
            let message = format!("the recovery file has version {version}, which this program does not know");
            return Err(Locked::new("newer_recovery", message, "Use the version of m365-cached that made it."));
        }
        serde_json::from_slice(bytes).map_err(|_| damaged())
    }

    /// As it stands on disk.
    ///
    /// # Errors
    /// Never in practice: texts and numbers always serialize.
    pub fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        Ok(text)
    }

    /// The keys inside. Takes as long as [`Recovery::seal`].
    ///
    /// # Errors
    /// `wrong_passphrase`, also for a file whose seal was changed: the two look the same.
    pub fn open(&self, passphrase: &Secret<String>) -> Result<Keys, Locked> {
        let mut sealed = Zeroizing::new(STANDARD.decode(&self.sealed).map_err(|_| damaged())?);
        let (nonce, sealed) = sealed.split_at_mut_checked(NONCE).ok_or_else(damaged)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| damaged())?;
        let opened = self.cipher(passphrase).ok_or_else(damaged)?.open_in_place(nonce, self.bound(), sealed).map_err(|_| {
            Locked::new(
                "wrong_passphrase",
                "the passphrase does not open the recovery file, or the file was changed",
                "Try the passphrase again; upper and lower case, spaces and accents count.",
            )
        })?;
        Keys::from_bytes(opened).ok_or_else(damaged)
    }

    /// The key that the passphrase gives; `None` for figures that no file of ours has.
    fn cipher(&self, passphrase: &Secret<String>) -> Option<LessSafeKey> {
        let Kdf { name, memory_kib, passes, lanes, salt } = &self.kdf;
        if name != "argon2id" || *memory_kib > MOST_MEMORY || *passes > MOST_PASSES || *lanes > MOST_LANES {
            return None;
        }
        let salt = STANDARD.decode(salt).ok()?;
        let params = Params::new(*memory_kib, *passes, *lanes, Some(32)).ok()?;
        let mut key = Zeroizing::new([0; 32]);
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        argon2.hash_password_into(passphrase.expose().as_bytes(), &salt, key.as_mut_slice()).ok()?;
        UnboundKey::new(&AES_256_GCM, key.as_slice()).ok().map(LessSafeKey::new)
    }

    /// What the seal is bound to besides the key.
    fn bound(&self) -> Aad<Vec<u8>> {
        let Kdf { name, memory_kib, passes, lanes, salt } = &self.kdf;
        Aad::from(
            format!("m365-cached recovery {} {} {name} {memory_kib} {passes} {lanes} {salt}", self.version, self.made_at).into_bytes(),
        )
    }
}

fn damaged() -> Locked {
    Locked::new("damaged_recovery", "this is no recovery file of m365-cached, or it is damaged", "Take another copy of the file.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chance::SeededDice;

    fn passphrase(text: &str) -> Secret<String> {
        Secret::new(text.to_owned())
    }

    /// RFC 9106, 5.3: the known answer of Argon2id, so that files of today open tomorrow.
    #[test]
    fn the_known_answer_of_argon2id_comes_out() {
        let params = argon2::ParamsBuilder::new()
            .m_cost(32)
            .t_cost(3)
            .p_cost(4)
            .data(argon2::AssociatedData::new(&[4; 12]).unwrap())
            .output_len(32)
            .build()
            .unwrap();
        let argon2 = Argon2::new_with_secret(&[3; 8], Algorithm::Argon2id, Version::V0x13, params).unwrap();
        let mut out = [0; 32];
        argon2.hash_password_into(&[1; 32], &[2; 16], &mut out).unwrap();
        let hex: String = out.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659");
    }

    #[test]
    fn only_the_passphrase_opens_it_and_nothing_of_a_key_is_in_it() {
        let dice = SeededDice::new(1);
        let keys = Keys { database: Secret::new([5; 32]), wrapping: Secret::new([6; 32]), next_wrapping: None };
        let good = passphrase("five words of no sense");
        let recovery = Recovery::seal(&keys, &good, &dice, Timestamp(0)).unwrap();
        let json = recovery.to_json().unwrap();
        let again = Recovery::parse(&json).unwrap();
        assert!(again.open(&good).unwrap().same(&keys));
        assert_eq!(again.open(&passphrase("five words of no sensE")).err().unwrap().code, "wrong_passphrase");
        let text = String::from_utf8(json).unwrap();
        assert!(text.contains("\"memory_kib\": 65536") && !text.contains("no sense"));
        assert!(!text.contains(STANDARD.encode([5; 32]).trim_end_matches('=')));
        for (from, to, code) in [
            ("\"version\": 1", "\"version\": 2", "newer_recovery"),
            ("argon2id", "argon2i", "damaged_recovery"),
            ("65536", "4294967295", "damaged_recovery"),
            ("65536", "65535", "wrong_passphrase"),
            ("1970", "1971", "wrong_passphrase"),
        ] {
            let changed = text.replacen(from, to, 1);
            assert_ne!(changed, text);
            let error = Recovery::parse(changed.as_bytes()).and_then(|recovery| recovery.open(&good)).err().unwrap();
            assert_eq!(error.code, code, "{from} -> {to}");
        }
        assert_eq!(Recovery::parse(b"{}").unwrap_err().code, "damaged_recovery");
        assert_eq!(Recovery::seal(&keys, &passphrase("too short"), &dice, Timestamp(0)).unwrap_err().code, "weak_passphrase");
    }
}
