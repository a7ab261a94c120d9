//! Consent: what reaches other people or destroys is done only when a person has agreed to exactly that call.
//!
//! Tools for which the original asked take `confirm=true`, as before. Tools it did not ask for, although they reach others, give a token
//! with the preview of the call; a second call with the token and the same arguments is done. With `confirm = "strict"` every tool that
//! asks does so, `confirm=true` alone agrees to nothing, and a token is good for a minute in place of ten.
//!
//! A token is made here and kept nowhere: a number, its end, and an HMAC over both and a digest of the tool, the arguments as they were
//! understood, the account, the client and its session, under a key that lives in this process's memory. So it is good for one call of one
//! client of one daemon; numbers of tokens that were used are remembered until their end. What is asked again after a restart or on a new
//! connection is asked once too often, never once too rarely.

use std::{
    collections::BTreeMap,
    sync::{Mutex, OnceLock, PoisonError},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::hmac;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::{Call, CallError, Engine};
use crate::{
    chance::Dice,
    clock::Timestamp,
    tools::{ArgError, Args, Asks, CONSENTS, Tool},
};

/// How long a token is good for.
const GOOD_FOR: Duration = Duration::from_secs(600);
/// The same where consent is strict.
const STRICTLY_GOOD_FOR: Duration = Duration::from_secs(60);
/// A token's number, its end in milliseconds, and its code: 62 characters as text, and a parameter takes 64.
const NUMBER: usize = 8;
const END: usize = 6;
const CODE: usize = 32;

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

/// What tokens are made and judged with.
#[derive(Default)]
pub(super) struct Consents {
    key: OnceLock<hmac::Key>,
    /// Numbers of tokens that were used, and until when those tokens would have been good.
    used: Mutex<BTreeMap<[u8; NUMBER], Timestamp>>,
}

impl Consents {
    fn key(&self, dice: &dyn Dice) -> &hmac::Key {
        self.key.get_or_init(|| {
            let mut bytes = zeroize::Zeroizing::new([0; 32]);
            dice.fill(&mut *bytes);
            hmac::Key::new(hmac::HMAC_SHA256, &*bytes)
        })
    }

    /// A token for the call with this digest.
    fn open(&self, dice: &dyn Dice, digest: [u8; 32], until: Timestamp) -> String {
        let mut token = Vec::with_capacity(NUMBER + END + CODE);
        token.extend(dice.number().to_be_bytes());
        token.extend(&until.0.to_be_bytes()[8 - END..]);
        let code = hmac::sign(self.key(dice), &signed(&token, digest));
        token.extend(code.as_ref());
        URL_SAFE_NO_PAD.encode(token)
    }

    /// Whether `token` stands for this call; it does so once, and for no longer than `good_for`.
    fn close(&self, dice: &dyn Dice, token: &str, digest: [u8; 32], now: Timestamp, good_for: Duration) -> bool {
        let Ok(token) = URL_SAFE_NO_PAD.decode(token) else { return false };
        let Some((head, code)) = token.split_at_checked(NUMBER + END) else { return false };
        if hmac::verify(self.key(dice), &signed(head, digest), code).is_err() {
            return false;
        }
        let (mut number, mut end) = ([0; NUMBER], [0; 8]);
        number.copy_from_slice(&head[..NUMBER]);
        end[8 - END..].copy_from_slice(&head[NUMBER..]);
        let until = Timestamp(i64::from_be_bytes(end));
        // One that ends later than any made now was made before the clock was set back.
        if until <= now || until > now.plus(good_for) {
            return false;
        }
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.retain(|_, until| *until > now);
        used.insert(number, until).is_none()
    }
}

/// What a token's code is over.
fn signed(head: &[u8], digest: [u8; 32]) -> Vec<u8> {
    [head, digest.as_slice()].concat()
}

impl Engine {
    /// Whether the call may be done: nobody has to agree, or somebody has.
    ///
    /// A token that was given is looked at even where the arguments need none: some tools see only at Microsoft whether they reach
    /// others (see [`StepError::unconfirmed`](crate::tools::StepError::unconfirmed)), and take a token as agreed.
    pub(super) fn consented(&self, call: &mut Call) -> Result<(), CallError> {
        let [flag, token] = CONSENTS;
        let strict = self.policy().strict;
        // The original's own answers: it asked only where it had a parameter for it.
        if self.policy().compat && !strict && !call.takes(flag) {
            if call.takes(token) {
                call.args.set(token, "not asked for");
            }
            return Ok(());
        }
        let given = call.args.text(token);
        if (!call.tool.asks_for(&call.args) && given.is_none()) || (call.args.flag(flag) && !strict) {
            return Ok(());
        }
        let good = |given| self.consents.close(&*self.dice, given, agreement(call), call.now, self.good_for());
        if given.is_some_and(good) { Ok(()) } else { Err(self.ask(call)) }
    }

    /// Asks for consent to a call.
    pub(super) fn ask(&self, call: &Call) -> CallError {
        let [flag, token] = CONSENTS;
        let shown = self.with_handles(call);
        let preview =
            json!({ "tool": call.tool.name, "title": call.tool.title, "risk": call.tool.risk.level(), "arguments": agreed(&shown) });
        let consent = if call.takes(flag) && !self.policy().strict {
            Consent { preview, argument: flag, value: true.into() }
        } else {
            let fresh = self.consents.open(&*self.dice, agreement(call), call.now.plus(self.good_for()));
            Consent { preview, argument: token, value: fresh.into() }
        };
        CallError::Unconfirmed(Box::new(consent))
    }

    fn good_for(&self) -> Duration {
        if self.policy().strict { STRICTLY_GOOD_FOR } else { GOOD_FOR }
    }

    /// The checked arguments of a call. Where consent is strict, a token goes with every tool that asks, whether its row has the parameter
    /// or not.
    pub(super) fn checked(&self, tool: &'static Tool, given: &Map<String, Value>) -> Result<Args, ArgError> {
        let [_, token] = CONSENTS;
        let extra = self.policy().strict && !matches!(tool.asks, Asks::Never) && !tool.params.iter().any(|param| param.name == token);
        let Some(value) = given.get(token).filter(|_| extra) else { return Args::check(tool, given) };
        let mut rest = given.clone();
        rest.shift_remove(token);
        let mut args = Args::check(tool, &rest)?;
        match value {
            Value::Null => {}
            Value::String(text) => args.set(token, text.as_str()),
            _ => {
                let expected = "the `confirm_token` of the preview".to_owned();
                return Err(ArgError::Invalid { name: token.into(), reason: "it is no text".into(), expected });
            }
        }
        Ok(args)
    }
}

/// The arguments that are agreed to, as they were understood.
fn agreed(args: &Args) -> BTreeMap<&String, &Value> {
    args.all().iter().filter(|(name, value)| !CONSENTS.contains(&name.as_str()) && !value.is_null()).collect()
}

/// What is agreed to: a digest of the whole call and of who makes it.
fn agreement(call: &Call) -> [u8; 32] {
    let who = call.caller.as_ref().map(|caller| (caller.client.as_str(), caller.session));
    let named = json!([call.tool.name, call.account.id.as_str(), who, agreed(&call.args)]).to_string();
    Sha256::digest(named.as_bytes()).into()
}

#[cfg(test)]
#[path = "confirm_tests.rs"]
mod tests;
