//! The keys that may open the original's encrypted cache: they stand where it left them, and are only read.

use super::{KeyringError, open::Vault, source::key_from_text};
use crate::secret::{Key, Secret};

/// Where the original keeps its key. Source: the tool catalogue, 14.
const SERVICE: &str = "m365-mcp-cache";
const ENTRY: &str = "encryption-key";

impl Vault {
    /// The keys at hand, the environment's first, and why the keyring gave none when it is in trouble. What is no key is left out.
    pub async fn original_keys(&self) -> (Vec<Key>, Option<KeyringError>) {
        let mut keys: Vec<Key> = self.environment().iter().filter_map(|text| key_from_text(text.expose().as_bytes())).collect();
        let trouble = match self.ask(|_| entry()).await {
            Ok(kept) => {
                keys.extend(kept.and_then(|text| key_from_text(text.expose())));
                None
            }
            Err(trouble) => Some(trouble),
        };
        (keys, trouble)
    }
}

fn entry() -> Result<Option<Secret<Vec<u8>>>, KeyringError> {
    super::keyring::read(SERVICE, ENTRY)
}
