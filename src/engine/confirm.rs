//! Consent: what reaches other people or destroys is done only when a person has agreed to exactly that call.
//!
//! Tools for which the original asked take `confirm=true`, as before. Tools it did not ask for, although they reach others, give a token
//! with the preview of the call; a second call with the token and the same arguments is done. A token is good for one call, for ten
//! minutes and for one daemon: what is asked again after a restart is asked once too often, never once too rarely.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::{Call, CallError, Engine};
use crate::{clock::Timestamp, tools::CONSENTS};

/// How long a token is good for.
const GOOD_FOR: Duration = Duration::from_secs(600);
/// Tokens that are remembered; the oldest goes first.
const OPEN_MAX: usize = 256;

/// What a person is asked to agree to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consent {
    /// What would be done: tool, title, risk and the arguments as they were understood.
    pub preview: Value,
    /// The argument that gives consent: `confirm` or `confirm_token`.
    pub argument: &'static str,
    /// What to put there.
    pub value: Value,
}

/// Tokens that were given out and not used.
#[derive(Default)]
pub(super) struct Consents(Mutex<BTreeMap<String, Open>>);

struct Open {
    digest: [u8; 32],
    until: Timestamp,
}

impl Consents {
    fn open(&self, token: String, digest: [u8; 32], now: Timestamp) {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|_, open| open.until > now);
        if open.len() >= OPEN_MAX {
            let oldest = open.iter().min_by_key(|(_, open)| open.until).map(|(token, _)| token.clone());
            oldest.map(|token| open.remove(&token));
        }
        open.insert(token, Open { digest, until: now.plus(GOOD_FOR) });
    }

    /// Whether `token` stands for this call; it does so once.
    fn close(&self, token: &str, digest: [u8; 32], now: Timestamp) -> bool {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let good = open.get(token).is_some_and(|open| open.digest == digest && open.until > now);
        if good {
            open.remove(token);
        }
        good
    }
}

impl Engine {
    /// Whether the call may be done: nobody has to agree, or somebody has.
    pub(super) fn consented(&self, call: &Call) -> Result<(), CallError> {
        let takes = |name: &str| call.tool.params.iter().any(|param| param.name == name);
        let [flag, token] = CONSENTS;
        // The original's own answers: it asked only where it had a parameter for it.
        let unasked = self.policy.compat && !takes(flag);
        if !call.tool.asks_for(&call.args) || unasked || call.args.flag(flag) {
            return Ok(());
        }
        let agreed: BTreeMap<&String, &Value> =
            call.args.all().iter().filter(|(name, value)| !CONSENTS.contains(&name.as_str()) && !value.is_null()).collect();
        let named = json!([call.tool.name, call.account.id.as_str(), agreed]).to_string();
        let digest: [u8; 32] = Sha256::digest(named.as_bytes()).into();
        if call.args.text(token).is_some_and(|given| self.consents.close(given, digest, call.now)) {
            return Ok(());
        }
        let arguments: Map<String, Value> = agreed.into_iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        let preview = json!({ "tool": call.tool.name, "title": call.tool.title, "risk": call.tool.risk.level(), "arguments": arguments });
        let consent = if takes(flag) {
            Consent { preview, argument: flag, value: true.into() }
        } else {
            let fresh = self.uuid();
            self.consents.open(fresh.clone(), digest, call.now);
            Consent { preview, argument: token, value: fresh.into() }
        };
        Err(CallError::Unconfirmed(Box::new(consent)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_once_for_one_call_and_not_for_ever() {
        let (consents, now) = (Consents::default(), Timestamp(1_000_000));
        consents.open("t".into(), [1; 32], now);
        assert!(!consents.close("t", [2; 32], now), "another call");
        assert!(!consents.close("u", [1; 32], now), "another token");
        assert!(!consents.close("t", [1; 32], now.plus(GOOD_FOR)), "too late");
        assert!(consents.close("t", [1; 32], now));
        assert!(!consents.close("t", [1; 32], now), "used up");
    }

    #[test]
    fn the_oldest_goes_first_when_there_are_too_many() {
        let consents = Consents::default();
        for at in 0..=OPEN_MAX {
            consents.open(format!("{at}"), [0; 32], Timestamp(i64::try_from(at).unwrap()));
        }
        assert!(!consents.close("0", [0; 32], Timestamp(300)));
        assert!(consents.close("1", [0; 32], Timestamp(300)) && consents.close("256", [0; 32], Timestamp(300)));
    }
}
