//! What sign-in needs from others and what it gives: a place for tokens, and a bearer for each request.

use async_trait::async_trait;

use super::AuthError;
use crate::{ids::AccountId, secret::Secret};

/// Where token records sleep, sealed. The engine puts its ledger behind this.
#[async_trait]
pub trait TokenPort: Send + Sync {
    /// The account's record, or `None` when there is none.
    ///
    /// # Errors
    ///
    /// [`AuthError::Store`], through [`AuthError::not_loaded`], when it cannot be read.
    async fn load(&self, account: &AccountId) -> Result<Option<Secret<Vec<u8>>>, AuthError>;

    /// Keeps the account's record; durable when this returns.
    ///
    /// # Errors
    ///
    /// [`AuthError::Store`], through [`AuthError::not_saved`], when it cannot be kept; the record must then not be used.
    async fn save(&self, account: &AccountId, record: Secret<Vec<u8>>) -> Result<(), AuthError>;
}

/// A token that Graph did not accept.
pub struct Refused {
    /// The token that was sent: when the keeper holds another one by now, that one is handed out without asking again.
    pub token: Secret<String>,
    /// The claims Graph asked for (continuous access evaluation), as JSON text.
    pub claims: Option<String>,
}

/// Gives the token for a request.
#[async_trait]
pub trait Bearer: Send + Sync {
    /// The account's access token; a new one when `refused` names the current one.
    ///
    /// # Errors
    ///
    /// When somebody has to sign in, or no token is to be had for the moment.
    async fn bearer(&self, account: &AccountId, refused: Option<&Refused>) -> Result<Secret<String>, AuthError>;
}
