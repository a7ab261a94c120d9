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
pub(super) fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{auth::testing::reply, secret::Secret};

    fn with(claims: &Value, client_info: Option<Value>) -> TokenReply {
        let mut reply = reply("access", Some("refresh"));
        reply.id_token = Some(Secret::new(format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(claims.to_string()))));
        reply.client_info = client_info.map(|info| URL_SAFE_NO_PAD.encode(info.to_string()));
        reply
    }

    fn claims() -> Value {
        json!({"aud": "app", "tid": PERSONAL_TENANT, "oid": "00000000-0000-0000-1111-222222222222", "nonce": "n", "preferred_username": "ada@fabrikam.example", "name": "Ada"})
    }

    #[test]
    fn the_tenant_makes_an_account_personal_not_its_domain() {
        let who = SignedIn::from_reply(&with(&claims(), None), "app", Some("n")).unwrap();
        assert!(who.personal);
        assert_eq!(who.account_id.as_str(), format!("00000000-0000-0000-1111-222222222222.{PERSONAL_TENANT}"));
        let mut work = claims();
        work["tid"] = json!("72f988bf-86f1-41af-91ab-2d7cd011db47");
        work["preferred_username"] = json!("ada@outlook.com");
        assert!(!SignedIn::from_reply(&with(&work, None), "app", Some("n")).unwrap().personal);
    }

    #[test]
    fn a_guest_is_named_by_its_home() {
        let who = SignedIn::from_reply(&with(&claims(), Some(json!({"uid": "home-user", "utid": "home-tenant"}))), "app", None).unwrap();
        assert_eq!(who.account_id.as_str(), "home-user.home-tenant");
        assert_eq!(who.tenant_id, PERSONAL_TENANT);
    }

    #[test]
    fn a_token_for_somebody_else_is_refused() {
        let refused = |reply: &TokenReply, app: &str, nonce: &str| SignedIn::from_reply(reply, app, Some(nonce)).is_err();
        assert!(refused(&with(&claims(), None), "other", "n"));
        assert!(refused(&with(&claims(), None), "app", "replayed"));
        let mut path = claims();
        path["tid"] = json!("../common");
        assert!(refused(&with(&path, None), "app", "n"));
        assert!(refused(&reply("a", None), "app", "n"));
    }
}
