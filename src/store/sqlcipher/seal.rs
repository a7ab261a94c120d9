//! Sealing: AES-256-GCM under a key of the account, so that a body is read back as it was written or not at all.
//!
//! SQLCipher alone is not enough: a page that fails its HMAC may come back as zeroes in a good row (design: reliability, 0.1), and
//! its pages say nothing of rows that were swapped. The seal is bound to account, key, revision and readings by the associated
//! data, and destroying an account's wrapped key makes whatever is left of it on disk unreadable.
//!
//! A nonce is random: at 2^32 seals under one key the chance that two collide is 2^-33, and no account writes that many answers.

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use zeroize::Zeroize;

use crate::{chance::Dice, secret::Key};

/// A key ready for use.
pub struct SealKey(LessSafeKey);

/// Bytes a seal adds: nonce in front, tag behind.
pub const OVERHEAD: usize = NONCE_LEN + 16;

impl SealKey {
    /// Prepares `key`.
    pub fn new(key: &Key) -> Self {
        Self::from_bytes(key.expose())
    }

    fn from_bytes(bytes: &[u8; 32]) -> Self {
        match UnboundKey::new(&AES_256_GCM, bytes) {
            Ok(key) => Self(LessSafeKey::new(key)),
            // The length is the only thing ring checks, and the type fixes it.
            Err(ring::error::Unspecified) => unreachable!("a key of 32 bytes is one for AES-256"),
        }
    }

    /// Seals the concatenation of `parts`, bound to `aad`.
    pub fn seal(&self, dice: &dyn Dice, aad: &[u8], parts: &[&[u8]]) -> Vec<u8> {
        let mut nonce = [0; NONCE_LEN];
        dice.fill(&mut nonce);
        self.seal_with(nonce, aad, parts)
    }

    fn seal_with(&self, nonce: [u8; NONCE_LEN], aad: &[u8], parts: &[&[u8]]) -> Vec<u8> {
        let plain: usize = parts.iter().map(|part| part.len()).sum();
        let mut out = Vec::with_capacity(plain + OVERHEAD);
        out.extend_from_slice(&nonce);
        for part in parts {
            out.extend_from_slice(part);
        }
        let tag = self.0.seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(aad), &mut out[NONCE_LEN..]);
        match tag {
            Ok(tag) => out.extend_from_slice(tag.as_ref()),
            // ring refuses only above 64 GiB.
            Err(ring::error::Unspecified) => unreachable!("an entry is shorter than AES-GCM's limit"),
        }
        out
    }

    /// Opens what [`SealKey::seal`] made; `None` when anything differs from how it was sealed. Works in `sealed`'s own memory.
    pub fn open<'a>(&self, aad: &[u8], sealed: &'a mut [u8]) -> Option<&'a mut [u8]> {
        let (nonce, rest) = sealed.split_first_chunk_mut::<NONCE_LEN>()?;
        self.0.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(aad), rest).ok()
    }
}

/// Makes a data key for `account` and wraps it under `wrapping`. Returns the key and its wrapped form.
pub fn new_data_key(wrapping: &SealKey, dice: &dyn Dice, account: &str) -> (SealKey, Vec<u8>) {
    let mut bytes = [0; 32];
    dice.fill(&mut bytes);
    let wrapped = wrapping.seal(dice, &wrap_aad(account), &[&bytes]);
    let key = SealKey::from_bytes(&bytes);
    bytes.zeroize();
    (key, wrapped)
}

/// Unwraps a data key; `None` when it was wrapped under another key or for another account.
pub fn unwrap_data_key(wrapping: &SealKey, account: &str, mut wrapped: Vec<u8>) -> Option<SealKey> {
    let bytes = wrapping.open(&wrap_aad(account), &mut wrapped)?;
    let key = <&[u8; 32]>::try_from(&*bytes).ok().map(SealKey::from_bytes);
    wrapped.zeroize();
    key
}

/// Wraps a data key under another wrapping key; `None` when it was wrapped under another key than `from`, or for another account.
pub fn rewrap_data_key(from: &SealKey, to: &SealKey, dice: &dyn Dice, account: &str, mut wrapped: Vec<u8>) -> Option<Vec<u8>> {
    let bytes = from.open(&wrap_aad(account), &mut wrapped)?;
    let again = to.seal(dice, &wrap_aad(account), &[bytes]);
    wrapped.zeroize();
    Some(again)
}

fn wrap_aad(account: &str) -> Vec<u8> {
    [b"m365-cached data key v1\0".as_slice(), account.as_bytes()].concat()
}

/// What a body is bound to. All of it is also stored in the clear of the encrypted file; any difference makes the body unreadable.
pub struct BodyIdentity<'a> {
    /// Whose.
    pub account: &'a str,
    /// Which tool's answer.
    pub tool: &'a str,
    /// The entry's name.
    pub key_hash: [u8; 16],
    /// How often it was replaced.
    pub revision: u64,
    /// When the fetch began, in ms.
    pub fetch_started: i64,
    /// How it is compressed.
    pub codec: u8,
    /// Bytes when opened.
    pub raw_len: u64,
    /// Arguments, tag, epochs, read_seqs and scopes, packed.
    pub head: &'a [u8],
}

impl BodyIdentity<'_> {
    /// The associated data. Every part of variable length is preceded by its length.
    pub fn aad(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(128 + self.head.len());
        out.extend_from_slice(b"m365-cached entry v1\0");
        for part in [self.account.as_bytes(), self.tool.as_bytes(), self.head] {
            out.extend_from_slice(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
            out.extend_from_slice(part);
        }
        out.extend_from_slice(&self.key_hash);
        out.extend_from_slice(&self.revision.to_le_bytes());
        out.extend_from_slice(&self.fetch_started.to_le_bytes());
        out.push(self.codec);
        out.extend_from_slice(&self.raw_len.to_le_bytes());
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{chance::SeededDice, secret::Secret};
    use proptest::prelude::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Test case 14 of the GCM specification (McGrew and Viega): key, nonce and plain text of zeroes.
    #[test]
    fn the_known_answer_of_the_specification_comes_out() {
        let key = SealKey::new(&Secret::new([0; 32]));
        let sealed = key.seal_with([0; 12], b"", &[&[0; 9], &[0; 7]]);
        assert_eq!(hex(&sealed[12..]), "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919");
    }

    #[test]
    fn a_data_key_opens_for_its_account_under_its_wrapping_key_only() {
        let dice = SeededDice::new(1);
        let (wrapping, other) = (SealKey::new(&Secret::new([7; 32])), SealKey::new(&Secret::new([8; 32])));
        let (key, wrapped) = new_data_key(&wrapping, &dice, "a.t");
        let mut sealed = key.seal(&dice, b"x", &[b"secret"]);
        assert!(unwrap_data_key(&wrapping, "b.t", wrapped.clone()).is_none());
        assert!(unwrap_data_key(&other, "a.t", wrapped.clone()).is_none());
        let again = unwrap_data_key(&wrapping, "a.t", wrapped).unwrap();
        assert_eq!(again.open(b"x", &mut sealed).as_deref(), Some(b"secret".as_slice()));
    }

    proptest! {
        #[test]
        fn any_flipped_bit_is_noticed(plain in prop::collection::vec(any::<u8>(), 0..300), at in any::<prop::sample::Index>(), bit in 0..8u8) {
            let (key, dice) = (SealKey::new(&Secret::new([3; 32])), SeededDice::new(5));
            let sealed = key.seal(&dice, b"aad", &[&plain]);
            let mut good = sealed.clone();
            let opened = key.open(b"aad", &mut good);
            prop_assert_eq!(opened.as_deref(), Some(plain.as_slice()));
            let mut bad = sealed.clone();
            let at = at.index(bad.len());
            bad[at] ^= 1 << bit;
            prop_assert!(key.open(b"aad", &mut bad).is_none());
            let mut moved = sealed;
            prop_assert!(key.open(b"aae", &mut moved).is_none());
        }

        #[test]
        fn every_part_of_the_identity_shows_in_the_associated_data(part in 0..8usize) {
            let one = BodyIdentity { account: "a", tool: "t", key_hash: [0; 16], revision: 1, fetch_started: 2, codec: 1, raw_len: 3, head: b"h" };
            let mut two = BodyIdentity { ..one };
            match part {
                0 => two.account = "b",
                1 => two.tool = "u",
                2 => two.key_hash[15] = 1,
                3 => two.revision = 2,
                4 => two.fetch_started = 3,
                5 => two.codec = 2,
                6 => two.raw_len = 4,
                _ => two.head = b"i",
            }
            let base = BodyIdentity { account: "a", tool: "t", key_hash: [0; 16], revision: 1, fetch_started: 2, codec: 1, raw_len: 3, head: b"h" };
            prop_assert_ne!(base.aad(), two.aad());
        }
    }
}
