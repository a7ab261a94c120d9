//! Why the vault stays closed, in words that say what to do.

use crate::hint::{Hint, Kind};

/// The vault could not be opened. Nothing was created or changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Locked {
    /// Stable: `no_safe_place`, `keyring_locked`, `keyring_unavailable`, `keyring_timeout`, `key_missing`, `wrong_key`, `malformed_key`,
    /// `insecure_key_file`, `key_file_failed`, `damaged_envelope`, `newer_envelope`, `foreign_database`, `envelope_failed`.
    pub code: &'static str,
    /// What happened.
    pub message: String,
    /// One thing to do.
    pub hint: String,
}

impl Locked {
    pub(super) fn new(code: &'static str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: hint.into() }
    }

    /// Whether it may open by itself: when the keyring is unlocked, or there is one at last.
    #[must_use]
    pub fn waits_for_keyring(&self) -> bool {
        ["keyring_locked", "keyring_timeout", "keyring_unavailable", "no_safe_place"].contains(&self.code)
    }
}

impl Hint for Locked {
    fn kind(&self) -> Kind {
        Kind::Config
    }

    fn code(&self) -> &'static str {
        self.code
    }

    fn hint(&self) -> Option<String> {
        Some(self.hint.clone())
    }
}
