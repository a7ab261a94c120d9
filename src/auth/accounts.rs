//! Who signed in, read from what the token endpoint said.
//!
//! The id token's signature is not checked: it came straight from the token endpoint over TLS (OpenID Connect Core, 3.1.3.7, point 6).

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;

use super::{AuthError, identity::TokenReply};
use crate::ids::{AccountId, PERSONAL_TENANT};

/// Who signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedIn {
    /// `<object id>.<tenant id>` of the account's home.
    pub account_id: AccountId,
    /// The name it signs in with; may change.
    pub username: String,
    /// For people.
    pub display_name: String,
    /// The directory signed in to.
    pub tenant_id: String,
    /// The user's object id in it.
    pub object_id: String,
    /// Whether it is a personal account: decided by the tenant, never by the name.
    pub personal: bool,
}

#[derive(Deserialize)]
struct Claims {
    aud: String,
    tid: String,
    oid: String,
    #[serde(default)]
    nonce: Option<String>,
    #[serde(default)]
    preferred_username: Option<String>,
    #[serde(default)]
    name: Option<String>,
}

#[derive(Deserialize)]
struct ClientInfo {
    uid: String,
    utid: String,
}

impl SignedIn {
    /// Reads a sign-in's reply; it must be meant for `client_id` and, when there was a question, answer `nonce`.
    pub(super) fn from_reply(reply: &TokenReply, client_id: &str, nonce: Option<&str>) -> Result<Self, AuthError> {
        let token = reply.id_token.as_ref().ok_or(AuthError::Unexpected("an id token"))?;
        let claims: Claims = token.expose().split('.').nth(1).and_then(decode).ok_or(AuthError::Unexpected("a readable id token"))?;
        if claims.aud != client_id {
            return Err(AuthError::Unexpected("an id token for this application"));
        }
        if nonce.is_some() && claims.nonce.as_deref() != nonce {
            return Err(AuthError::Unexpected("an id token for this sign-in"));
        }
        // Both become part of addresses and keys.
        if !is_id(&claims.tid) || !is_id(&claims.oid) {
            return Err(AuthError::Unexpected("usable ids"));
        }
        // The home account, as MSAL names it; for a guest it differs from the directory that was signed in to.
        let home = reply.client_info.as_deref().and_then(decode::<ClientInfo>).filter(|info| is_id(&info.uid) && is_id(&info.utid));
        let account_id = match home {
            Some(info) => format!("{}.{}", info.uid, info.utid),
            None => format!("{}.{}", claims.oid, claims.tid),
        };
        let username = claims.preferred_username.unwrap_or_default();
        Ok(Self {
            account_id: AccountId::new(account_id),
            display_name: claims.name.unwrap_or_else(|| username.clone()),
            username,
            personal: claims.tid == PERSONAL_TENANT,
            tenant_id: claims.tid,
            object_id: claims.oid,
        })
    }
}

fn decode<T: for<'a> Deserialize<'a>>(part: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part.trim_end_matches('=')).ok()?).ok()
}

/// A GUID, or close enough to be harmless in an address.
fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}
