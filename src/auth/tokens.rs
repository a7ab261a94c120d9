//! The tokens of one account, in memory and as the record that is kept sealed.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use super::identity::TokenReply;
use crate::{chance::Dice, clock::Timestamp, secret::Secret};

/// A token is not handed out when less than this is left of it.
pub(super) const MARGIN: Duration = Duration::from_secs(120);

/// The tokens of one account and how to renew them.
#[derive(Clone)]
pub struct TokenRecord {
    pub(super) access: Secret<String>,
    pub(super) refresh: Secret<String>,
    /// When the access token ends.
    pub(super) expires: Timestamp,
    /// When it is time for the next one: somewhere between half and three quarters of its life, so that many accounts do not ask at once.
    pub(super) refresh_at: Timestamp,
    /// The cloud that issued them; no other one's hosts are ever shown them.
    pub(super) cloud: String,
    /// Tenant part of the identity service's address that renews them: `consumers` for personal accounts.
    pub(super) authority: String,
    /// The application they were issued to; they work with no other.
    pub(super) client_id: String,
    /// What was asked for at the sign-in. Later defaults do not reach back: they would ask for consent nobody gave.
    pub(super) scopes: Vec<String>,
    /// What was granted of it, as the service said with the access token; `None` in a record from before that was kept.
    pub(super) granted: Option<Vec<String>>,
}

impl fmt::Debug for TokenRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenRecord").field("expires", &self.expires).finish_non_exhaustive()
    }
}

#[derive(Serialize, Deserialize)]
struct Kept<'a> {
    version: u32,
    access: &'a str,
    refresh: &'a str,
    expires: Timestamp,
    refresh_at: Timestamp,
    /// Records from before there was a choice are of the public cloud.
    #[serde(default = "public")]
    cloud: &'a str,
    authority: &'a str,
    client_id: &'a str,
    scopes: Vec<&'a str>,
    #[serde(default)]
    granted: Option<Vec<&'a str>>,
}

const VERSION: u32 = 1;

fn public() -> &'static str {
    "global"
}

/// Who issued tokens, and to whom.
#[derive(Debug, Clone, Copy)]
pub(super) struct Issuer<'a> {
    /// Name of the cloud.
    pub(super) cloud: &'a str,
    /// Tenant part of the identity service's address.
    pub(super) authority: &'a str,
    /// Id of the application.
    pub(super) client_id: &'a str,
}

impl TokenRecord {
    /// What a first sign-in brought. `None` without a refresh token: such a sign-in would end after an hour.
    pub(super) fn first(reply: &TokenReply, issuer: Issuer<'_>, scopes: &[String], now: Timestamp, dice: &dyn Dice) -> Option<Self> {
        let refresh = reply.refresh.clone()?;
        Some(Self {
            access: reply.access.clone(),
            refresh,
            expires: now.plus(reply.expires_in),
            refresh_at: refresh_at(now, reply.expires_in, dice),
            cloud: issuer.cloud.to_owned(),
            authority: issuer.authority.to_owned(),
            client_id: issuer.client_id.to_owned(),
            scopes: scopes.to_vec(),
            granted: Some(granted(reply, scopes)),
        })
    }

    /// This record after a refresh. A reply without a new refresh token leaves the old one in use.
    pub(super) fn renewed(&self, reply: &TokenReply, now: Timestamp, dice: &dyn Dice) -> Self {
        Self {
            access: reply.access.clone(),
            refresh: reply.refresh.clone().unwrap_or_else(|| self.refresh.clone()),
            expires: now.plus(reply.expires_in),
            refresh_at: refresh_at(now, reply.expires_in, dice),
            granted: Some(granted(reply, &self.scopes)),
            ..self.clone()
        }
    }

    /// Whether the access token can still be handed out.
    pub(super) fn usable(&self, now: Timestamp) -> bool {
        now.plus(MARGIN) < self.expires
    }

    /// The record to be sealed.
    pub(super) fn to_bytes(&self) -> Secret<Vec<u8>> {
        let kept = Kept {
            version: VERSION,
            access: self.access.expose(),
            refresh: self.refresh.expose(),
            expires: self.expires,
            refresh_at: self.refresh_at,
            cloud: &self.cloud,
            authority: &self.authority,
            client_id: &self.client_id,
            scopes: self.scopes.iter().map(String::as_str).collect(),
            granted: self.granted.as_ref().map(|granted| granted.iter().map(String::as_str).collect()),
        };
        // Room from the start: growing would leave copies behind that nobody wipes.
        let mut bytes = Vec::with_capacity(1024 + 2 * (kept.access.len() + kept.refresh.len()));
        let written = serde_json::to_writer(&mut bytes, &kept);
        debug_assert!(written.is_ok(), "strings and numbers always serialise");
        Secret::new(bytes)
    }

    /// A kept record; `None` when it is not one.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let kept: Kept<'_> = serde_json::from_slice(bytes).ok()?;
        (kept.version == VERSION).then(|| Self {
            access: Secret::new(kept.access.to_owned()),
            refresh: Secret::new(kept.refresh.to_owned()),
            expires: kept.expires,
            refresh_at: kept.refresh_at,
            cloud: kept.cloud.to_owned(),
            authority: kept.authority.to_owned(),
            client_id: kept.client_id.to_owned(),
            scopes: kept.scopes.into_iter().map(str::to_owned).collect(),
            granted: kept.granted.map(|granted| granted.into_iter().map(str::to_owned).collect()),
        })
    }
}

/// What a reply granted: all that was `asked` for when it says nothing (RFC 6749, 5.1).
fn granted(reply: &TokenReply, asked: &[String]) -> Vec<String> {
    reply.granted.clone().unwrap_or_else(|| asked.to_vec())
}

fn refresh_at(now: Timestamp, life: Duration, dice: &dyn Dice) -> Timestamp {
    now.plus(life / 2 + dice.jitter(life / 4))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chance::SeededDice;

    fn reply(refresh: Option<&str>) -> TokenReply {
        TokenReply {
            access: Secret::new("new-access".into()),
            refresh: refresh.map(|token| Secret::new(token.to_owned())),
            id_token: None,
            client_info: None,
            expires_in: Duration::from_secs(3600),
            granted: None,
        }
    }

    const ISSUER: Issuer<'_> = Issuer { cloud: "usgov", authority: "consumers", client_id: "app" };

    fn record() -> TokenRecord {
        let scopes = ["User.Read".to_owned(), "offline_access".to_owned()];
        TokenRecord::first(&reply(Some("r1")), ISSUER, &scopes, Timestamp(0), &SeededDice::new(1)).unwrap()
    }

    #[test]
    fn a_kept_record_comes_back_whole() {
        let back = TokenRecord::from_bytes(record().to_bytes().expose()).unwrap();
        assert_eq!(back.access.expose(), "new-access");
        assert_eq!(back.refresh.expose(), "r1");
        assert_eq!(
            (back.cloud.as_str(), back.authority.as_str(), back.client_id.as_str(), back.scopes, back.expires),
            ("usgov", "consumers", "app", record().scopes, Timestamp(3_600_000))
        );
        let text = String::from_utf8(record().to_bytes().expose().clone()).unwrap();
        let older = text.replace("\"cloud\":\"usgov\",", "");
        assert_ne!(text, older);
        assert_eq!(TokenRecord::from_bytes(older.as_bytes()).unwrap().cloud, "global", "there was no other");
        assert_eq!(back.granted, Some(record().scopes), "a reply that says nothing grants what was asked for");
        let older = text.replace(",\"granted\":[\"User.Read\",\"offline_access\"]", "");
        assert_ne!(text, older);
        assert_eq!(TokenRecord::from_bytes(older.as_bytes()).unwrap().granted, None, "it was not kept");
        assert!(TokenRecord::from_bytes(b"{}").is_none());
        assert!(TokenRecord::from_bytes(b"\xff").is_none());
    }

    #[test]
    fn the_next_refresh_lies_between_half_and_three_quarters() {
        for seed in 0..200 {
            let at = refresh_at(Timestamp(0), Duration::from_secs(3600), &SeededDice::new(seed)).0;
            assert!((1_800_000..=2_700_000).contains(&at), "{at}");
        }
    }

    #[test]
    fn a_refresh_without_a_new_refresh_token_keeps_the_old_one() {
        let dice = SeededDice::new(2);
        assert_eq!(record().renewed(&reply(None), Timestamp(5), &dice).refresh.expose(), "r1");
        assert_eq!(record().renewed(&reply(Some("r2")), Timestamp(5), &dice).refresh.expose(), "r2");
        assert!(TokenRecord::first(&reply(None), ISSUER, &[], Timestamp(0), &dice).is_none());
    }

    #[test]
    fn a_record_shows_no_token() {
        let shown = format!("{:?}", record());
        assert!(!shown.contains("new-access") && !shown.contains("r1"), "{shown}");
    }
}
