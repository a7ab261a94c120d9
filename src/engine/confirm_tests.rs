//! Consent: a token is good once, for one call of one client, for a while; and strict consent takes nothing else.

use std::sync::Arc;

use proptest::prelude::*;

use super::super::testing;
use super::*;
use crate::{
    chance::SeededDice,
    clock::ManualClock,
    engine::Policy,
    ids::{AccountId, Caller},
    store::{AccountRow, Ledger as _, Limits, Memory},
    tools::{Param, ParamType, Steps, find},
};

const NOW: Timestamp = Timestamp(1_000_000);

#[test]
fn a_token_is_good_once_for_one_call_and_not_for_ever() {
    let (consents, dice) = (Consents::default(), SeededDice::new(1));
    let token = consents.open(&dice, [1; 32], NOW.plus(GOOD_FOR));
    assert!(token.len() <= 64, "{token}");
    let close = |token: &str, digest, now| consents.close(&dice, token, digest, now, GOOD_FOR);
    assert!(!close(&token, [2; 32], NOW), "another call");
    assert!(!close(&token, [1; 32], NOW.plus(GOOD_FOR)), "too late");
    assert!(!close(&token, [1; 32], NOW.minus(Duration::from_millis(1))), "before it was made");
    assert!(!Consents::default().close(&SeededDice::new(2), &token, [1; 32], NOW, GOOD_FOR), "another daemon");
    assert!(close(&token, [1; 32], NOW));
    assert!(!close(&token, [1; 32], NOW), "used up");
    let next = consents.open(&dice, [1; 32], NOW.plus(GOOD_FOR));
    assert!(next != token && close(&next, [1; 32], NOW));
}

#[test]
fn numbers_of_used_tokens_are_forgotten_with_their_end() {
    let (consents, dice) = (Consents::default(), SeededDice::new(1));
    for nth in 0..50 {
        let now = NOW.plus(GOOD_FOR * nth);
        let token = consents.open(&dice, [1; 32], now.plus(GOOD_FOR));
        assert!(consents.close(&dice, &token, [1; 32], now, GOOD_FOR));
    }
    assert_eq!(consents.used.lock().unwrap().len(), 1);
}

proptest! {
    #[test]
    fn an_altered_token_is_none(at in 0usize..62, letter in "[A-Za-z0-9_=+/-]|.", cut in 0usize..62) {
        let (consents, dice) = (Consents::default(), SeededDice::new(1));
        let token = consents.open(&dice, [1; 32], NOW.plus(GOOD_FOR));
        let mut altered: Vec<String> = token.chars().map(String::from).collect();
        altered[at] = letter;
        let altered = altered.concat();
        prop_assume!(altered != token);
        prop_assert!(!consents.close(&dice, &altered, [1; 32], NOW, GOOD_FOR));
        prop_assert!(!consents.close(&dice, &token[..cut], [1; 32], NOW, GOOD_FOR));
    }
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
    let clock = Arc::new(ManualClock::at(NOW));
    testing::engine(memory.clone(), memory, Arc::new(Nowhere), clock, Arc::new(SeededDice::new(7))).await
}

fn caller(client: &str, session: u64) -> Caller {
    Caller { client: client.into(), session, ..Caller::default() }
}

/// An update of an event: with attendees it asks by its arguments, otherwise only once Microsoft was looked at.
fn update(engine: &Engine, updates: Value, token: Option<&str>) -> Call {
    let tool = find("calendar_update_event").unwrap();
    let given = json!({"account_id": testing::ACCOUNT, "event_id": "e", "updates": updates, "confirm_token": token});
    let args = Args::check(tool, given.as_object().unwrap()).unwrap();
    engine.begin(tool, args, engine.accounts.find(testing::ACCOUNT).unwrap()).asked_by(&caller("one", 1))
}

fn token_of(asked: CallError) -> String {
    let CallError::Unconfirmed(consent) = asked else { panic!("{asked}") };
    assert_eq!(consent.argument, "confirm_token");
    consent.value.as_str().unwrap().to_owned()
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
    for other in [caller("two", 1), caller("one", 2)] {
        assert!(engine.consented(&mut quiet(Some(&token)).asked_by(&other)).is_err(), "a token of another client passed");
    }
    // A reload may have given the alias that stands in the arguments to another account.
    let mut elsewhere = quiet(Some(&token));
    elsewhere.account = Arc::new(AccountRow { id: AccountId::new("bea.tid"), ..testing::account() });
    assert!(engine.consented(&mut elsewhere).is_err(), "a token for one account passed for another");
    assert!(engine.consented(&mut quiet(Some(&token))).is_ok());
    assert!(engine.consented(&mut quiet(Some(&token))).is_err(), "it is good once");
    assert!(engine.consented(&mut update(&engine, json!({"attendees": []}), None)).is_err());
}

/// Who wants the original's answers is asked where the original asked, and the tool that looks has to know.
#[tokio::test]
async fn in_the_originals_manner_nobody_is_asked_where_it_had_no_parameter_for_it() {
    let engine = engine().await;
    engine.policy.set(Policy { compat: true, ..Policy::clone(&engine.policy()) });
    let mut call = update(&engine, json!({"attendees": []}), None);
    engine.consented(&mut call).unwrap();
    assert!(call.args.text(CONSENTS[1]).is_some());
    engine.policy.set(Policy { strict: true, ..Policy::clone(&engine.policy()) });
    assert!(engine.consented(&mut update(&engine, json!({"attendees": []}), None)).is_err(), "strict is strict all the same");
}

/// The least that parameters take.
fn sample(params: &[Param]) -> Map<String, Value> {
    let value = |kind: &ParamType| match kind {
        ParamType::Choice(words) => words[0].into(),
        ParamType::Int { min, .. } => (*min).into(),
        ParamType::Bool => true.into(),
        ParamType::Addresses { .. } | ParamType::People { .. } => json!(["a@b.example"]),
        ParamType::Texts { least, .. } => (0..(*least).max(1)).map(|nth| format!("t{nth}")).collect(),
        ParamType::Choices(words) => json!([words[0]]),
        ParamType::Object(members) => sample(members).into(),
        ParamType::Objects(members) => json!([sample(members)]),
        ParamType::Time => "2027-06-08T09:00Z".into(),
        ParamType::Zone => "UTC".into(),
        ParamType::Date => "2027-06-08".into(),
        ParamType::DrivePath => "/x".into(),
        ParamType::Mailbox => "a@b.example".into(),
        _ => "x".into(),
    };
    params.iter().filter(|param| param.default.is_none()).map(|param| (param.name.to_owned(), value(&param.kind))).collect()
}

#[tokio::test]
async fn strict_consent_is_a_token_for_every_tool_that_asks() {
    let engine = engine().await;
    engine.policy.set(Policy { strict: true, ..Policy::clone(&engine.policy()) });
    let mut asked = 0;
    for tool in crate::tools::all().filter(|tool| matches!(tool.asks, Asks::Always)) {
        let args = |token: &Value| {
            let mut given = sample(tool.params);
            given.insert("account_id".into(), testing::ACCOUNT.into());
            if tool.params.iter().any(|param| param.name == CONSENTS[0]) {
                given.insert(CONSENTS[0].into(), true.into());
            }
            given.insert(CONSENTS[1].into(), token.clone());
            engine.checked(tool, &given).unwrap()
        };
        let call = |token: Value, now: Timestamp| {
            let call = engine.begin(tool, args(&token), engine.accounts.find(testing::ACCOUNT).unwrap());
            Call { now, ..call }.asked_by(&caller("one", 1))
        };
        let token = token_of(engine.consented(&mut call(Value::Null, NOW)).unwrap_err());
        assert!(engine.consented(&mut call(token.as_str().into(), NOW.plus(STRICTLY_GOOD_FOR))).is_err(), "{}: too late", tool.name);
        assert!(engine.consented(&mut call(token.as_str().into(), NOW)).is_ok(), "{}", tool.name);
        assert!(engine.consented(&mut call(token.as_str().into(), NOW)).is_err(), "{}: used up", tool.name);
        let wrong = Map::from_iter([(CONSENTS[1].to_owned(), json!(7))]);
        assert!(engine.checked(tool, &wrong).is_err());
        asked += 1;
    }
    assert!(asked > 10, "{asked}");
}
