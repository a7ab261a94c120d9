//! Ids and tokens: unguessable without the seed, the same again with it.

use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

/// A source of ids. Each is a hash of seed, purpose and a running number.
pub(crate) struct Ids {
    seed: u64,
    next: AtomicU64,
}

impl Ids {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, next: AtomicU64::new(0) }
    }

    /// A number that was not given before; rises.
    pub(crate) fn serial(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    fn hash(&self, purpose: &str, number: u64) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(self.seed.to_le_bytes());
        hash.update(number.to_le_bytes());
        hash.update(purpose.as_bytes());
        hash.finalize().into()
    }

    /// A lower-case GUID.
    pub(crate) fn guid(&self) -> String {
        let bytes = self.hash("guid", self.serial());
        let hex: String = bytes[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{}-{}-4{}-a{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..])
    }

    /// An opaque token, e.g. a refresh token: the prefix and 43 url-safe characters.
    pub(crate) fn token(&self, prefix: &str) -> String {
        format!("{prefix}{}", URL_SAFE_NO_PAD.encode(self.hash(prefix, self.serial())))
    }

    /// A code a person types: nine characters without the ones that are easily mixed up.
    pub(crate) fn user_code(&self) -> String {
        const LETTERS: &[u8] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
        let bytes = self.hash("user code", self.serial());
        bytes[..9].iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect()
    }

    /// The key access tokens are signed with.
    pub(crate) fn signing_key(&self) -> [u8; 32] {
        self.hash("signing key", u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_seed_same_ids_and_no_id_twice() {
        let (one, two, other) = (Ids::new(7), Ids::new(7), Ids::new(8));
        let first: Vec<String> = (0..50).map(|_| one.guid()).collect();
        assert_eq!(first, (0..50).map(|_| two.guid()).collect::<Vec<_>>());
        assert_ne!(first[0], other.guid());
        assert_eq!(first.iter().collect::<std::collections::BTreeSet<_>>().len(), 50);
        assert_eq!(first[0].len(), 36);
        assert_eq!(one.user_code().len(), 9);
    }
}
