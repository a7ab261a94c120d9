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
    ///
    /// A token that was given is looked at even where the arguments need none: some tools see only at Microsoft whether they reach
    /// others (see [`StepError::unconfirmed`](crate::tools::StepError::unconfirmed)), and take a token as agreed.
    pub(super) fn consented(&self, call: &mut Call) -> Result<(), CallError> {
        let [flag, token] = CONSENTS;
        // The original's own answers: it asked only where it had a parameter for it.
        if self.policy.compat && !call.takes(flag) {
            if call.takes(token) {
                call.args.set(token, "not asked for");
            }
            return Ok(());
        }
        let given = call.args.text(token);
        if (!call.tool.asks_for(&call.args) && given.is_none()) || call.args.flag(flag) {
            return Ok(());
        }
        if given.is_some_and(|given| self.consents.close(given, self.agreement(call).1, call.now)) { Ok(()) } else { Err(self.ask(call)) }
    }

    /// Asks for consent to a call.
    pub(super) fn ask(&self, call: &Call) -> CallError {
        let [flag, token] = CONSENTS;
        let (arguments, digest) = self.agreement(call);
        let preview = json!({ "tool": call.tool.name, "title": call.tool.title, "risk": call.tool.risk.level(), "arguments": arguments });
        let consent = if call.takes(flag) {
            Consent { preview, argument: flag, value: true.into() }
        } else {
            let fresh = self.uuid();
            self.consents.open(fresh.clone(), digest, call.now);
            Consent { preview, argument: token, value: fresh.into() }
        };
        CallError::Unconfirmed(Box::new(consent))
    }

    /// What is agreed to: the arguments as they were understood, and a digest of the whole call.
    fn agreement(&self, call: &Call) -> (Map<String, Value>, [u8; 32]) {
        let agreed: BTreeMap<&String, &Value> =
            call.args.all().iter().filter(|(name, value)| !CONSENTS.contains(&name.as_str()) && !value.is_null()).collect();
        let named = json!([call.tool.name, call.account.id.as_str(), agreed]).to_string();
        let digest: [u8; 32] = Sha256::digest(named.as_bytes()).into();
        (agreed.into_iter().map(|(name, value)| (name.clone(), value.clone())).collect(), digest)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::testing;
    use super::*;
    use crate::{
        chance::SeededDice,
        clock::ManualClock,
        store::{AccountRow, Ledger as _, Limits, Memory},
        tools::{Args, Steps, find},
    };

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

    /// No call of these tests gets as far as Microsoft.
    struct Nowhere;

    impl super::super::Remote for Nowhere {
        fn steps(&self, _: &AccountRow, _: Option<&str>, _: &crate::graph::Hurry, _: Timestamp, _: Timestamp) -> Box<dyn Steps> {
            unreachable!("nothing is sent")
        }
    }

    async fn engine() -> Arc<Engine> {
        let memory = Arc::new(Memory::new(Arc::new(SeededDice::new(3)), Limits::default()));
        memory.save_account(testing::account()).await.unwrap();
        let clock = Arc::new(ManualClock::at(Timestamp(1_000_000)));
        testing::engine(memory.clone(), memory, Arc::new(Nowhere), clock, Arc::new(SeededDice::new(7))).await
    }

    /// An update of an event: with attendees it asks by its arguments, otherwise only once Microsoft was looked at.
    fn update(engine: &Engine, updates: Value, token: Option<&str>) -> Call {
        let tool = find("calendar_update_event").unwrap();
        let given = json!({"account_id": testing::ACCOUNT, "event_id": "e", "updates": updates, "confirm_token": token});
        let args = Args::check(tool, given.as_object().unwrap()).unwrap();
        engine.begin(tool, args, engine.accounts.find(testing::ACCOUNT).unwrap())
    }

    #[tokio::test]
    async fn a_token_is_looked_at_even_where_the_arguments_ask_for_none() {
        let engine = engine().await;
        let quiet = |token| update(&engine, json!({"subject": "s"}), token);
        assert!(engine.consented(&mut quiet(None)).is_ok());
        let Err(CallError::Unconfirmed(_)) = engine.consented(&mut quiet(Some("made up"))) else { panic!("a forged token passed") };
        let CallError::Unconfirmed(consent) = engine.ask(&quiet(None)) else { panic!() };
        assert_eq!((consent.argument, &consent.preview["arguments"]["updates"]["subject"]), ("confirm_token", &json!("s")));
        let token = consent.value.as_str().unwrap().to_owned();
        let Err(CallError::Unconfirmed(_)) = engine.consented(&mut update(&engine, json!({"subject": "t"}), Some(&token))) else {
            panic!("a token for one call passed with another")
        };
        assert!(engine.consented(&mut quiet(Some(&token))).is_ok());
        assert!(engine.consented(&mut quiet(Some(&token))).is_err(), "it is good once");
        assert!(engine.consented(&mut update(&engine, json!({"attendees": []}), None)).is_err());
    }

    /// Who wants the original's answers is asked where the original asked, and the tool that looks has to know.
    #[tokio::test]
    async fn in_the_originals_manner_nobody_is_asked_where_it_had_no_parameter_for_it() {
        let mut engine = engine().await;
        Arc::get_mut(&mut engine).unwrap().policy.compat = true;
        let mut call = update(&engine, json!({"attendees": []}), None);
        engine.consented(&mut call).unwrap();
        assert!(call.args.text(CONSENTS[1]).is_some());
    }
}
