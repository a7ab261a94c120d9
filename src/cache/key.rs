//! The name of an entry: tool, account and canonical arguments.
//!
//! Defaults are filled in and spelling is normalised before a key is made, so that two spellings of one question share
//! one entry. The arguments themselves are kept beside the entry (as sealed or indexed columns), never inside the key:
//! the hash is what every tier looks up.

use std::{collections::BTreeMap, fmt, sync::Arc};

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::ids::AccountId;

/// The first 128 bits of SHA-256 over tool, account and canonical arguments.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyHash(pub [u8; 16]);

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The whole name of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheKey {
    /// What tiers look up.
    pub hash: KeyHash,
    /// The tool, which is also the type of the entry.
    pub tool: Arc<str>,
    /// Whose answer it is.
    pub account: AccountId,
    /// Canonical arguments without account and cache controls: every parameter of the tool that shapes the answer, defaults filled in.
    pub args: BTreeMap<String, Value>,
}

impl CacheKey {
    /// Names the entry for `tool` asked by `account` with `args`. Deterministic: the order in which arguments were given plays no part.
    pub fn new(tool: impl Into<Arc<str>>, account: AccountId, args: BTreeMap<String, Value>) -> Self {
        let tool = tool.into();
        let mut digest = Sha256::new();
        // Each part is preceded by its length, so that no two different keys can run into the same bytes.
        let mut part = |bytes: &[u8]| {
            digest.update(u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_le_bytes());
            digest.update(bytes);
        };
        part(tool.as_bytes());
        part(account.as_str().as_bytes());
        for (name, value) in &args {
            part(name.as_bytes());
            part(value.to_string().as_bytes());
        }
        let full = digest.finalize();
        let mut hash = [0; 16];
        hash.copy_from_slice(&full[..16]);
        Self { hash: KeyHash(hash), tool, account, args }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn key(pairs: &[(&str, Value)]) -> CacheKey {
        let args = pairs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        CacheKey::new("email_list", AccountId::new("a.t"), args)
    }

    #[test]
    fn order_plays_no_part_and_every_difference_does() {
        let one = key(&[("limit", json!(10)), ("folder", json!("inbox"))]);
        assert_eq!(one.hash, key(&[("folder", json!("inbox")), ("limit", json!(10))]).hash);
        assert_ne!(one.hash, key(&[("folder", json!("inbox")), ("limit", json!("10"))]).hash);
        assert_ne!(one.hash, key(&[("folder", json!("inbox"))]).hash);
        let other = CacheKey::new("email_list", AccountId::new("b.t"), one.args.clone());
        assert_ne!(one.hash, other.hash);
    }
}
