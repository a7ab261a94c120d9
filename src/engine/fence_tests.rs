//! What policies keep from clients: each rule against every tool, and that nothing of Microsoft is asked.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::super::{AccountNames, Policy, testing};
use super::*;
use crate::{
    chance::SeededDice,
    clock::{ManualClock, Timestamp},
    hint::{Hint as _, Kind},
    store::{AccountRow, Ledger as _, Limits, Memory},
    tools::{self, Steps},
};

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

fn kept_by(fence: Fence) -> Caller {
    let fence = Fence { policies: vec!["default".into()], ..fence };
    Caller { client: "one".into(), session: 1, fence: Some(Arc::new(fence)), ..Caller::default() }
}

fn object(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

#[tokio::test]
async fn who_may_only_read_changes_nothing_with_any_tool() {
    let engine = engine().await;
    let caller = kept_by(Fence { read_only: true, ..Fence::default() });
    for tool in tools::all() {
        let verdict = engine.fenced(&caller, tool, &mut Args::default());
        assert_eq!(verdict.is_err(), tool.risk != Risk::Safe, "{}", tool.name);
    }
    let error =
        engine.call(&caller, "email_mark_read", &object(json!({"account_id": testing::ACCOUNT, "email_id": "e", "is_read": true}))).await;
    let error = error.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Denied, "policy"));
    assert_eq!(error.to_string(), "everything that changes something is kept from this client by the policy `default`; nothing was done");
    assert!(error.hint().unwrap().contains("`read_only`"));
}

#[tokio::test]
async fn who_may_not_send_reaches_nobody() {
    let engine = engine().await;
    let caller = kept_by(Fence { no_send: true, ..Fence::default() });
    for tool in
        ["email_send", "email_reply", "email_forward", "file_share", "calendar_respond_event", "calendar_delete_event", "emailrules_delete"]
    {
        let Ok(tool) = tools::find(tool) else { continue };
        assert!(engine.fenced(&caller, tool, &mut Args::default()).is_err(), "{}", tool.name);
    }
    for tool in tools::all().filter(|tool| tool.risk == Risk::Dangerous) {
        assert!(engine.fenced(&caller, tool, &mut Args::default()).is_err(), "{}", tool.name);
    }
    let args = |tool: &str, given: Value| Args::check(tools::find(tool).unwrap(), &object(given)).unwrap();
    let event = |attendees: Value| {
        let given = json!({"account_id": testing::ACCOUNT, "subject": "s", "start": "2027-06-08T09:00Z", "end": "2027-06-08T09:30Z", "attendees": attendees});
        engine.fenced(&caller, tools::find("calendar_create_event").unwrap(), &mut args("calendar_create_event", given))
    };
    assert!(event(json!([])).is_ok() && event(json!(["bea@contoso.example"])).is_err());
    let draft = json!({"account_id": testing::ACCOUNT, "to": ["b@c.example"], "subject": "s", "body": "b"});
    assert!(engine.fenced(&caller, tools::find("email_create_draft").unwrap(), &mut args("email_create_draft", draft)).is_ok());

    // One that sees only at Microsoft that it tells others: consent is taken away from it, and its question is a refusal.
    let tool = tools::find("calendar_update_event").unwrap();
    let given = json!({"account_id": testing::ACCOUNT, "event_id": "e", "updates": {"subject": "s"}, "confirm_token": "t"});
    let mut call = engine.begin(tool, args(tool.name, given), engine.accounts.find(testing::ACCOUNT).unwrap()).asked_by(&caller);
    engine.fence_act(&mut call);
    assert_eq!(call.args.text("confirm_token"), None);
    assert!(matches!(engine.fenced_from_others(&call), Some(CallError::Fenced { setting: "no_send", .. })));
}

/// Between the look at the fence and the look for the account a reload may exchange what an alias stands for.
#[tokio::test]
async fn the_account_that_was_admitted_is_the_one_that_is_meant() {
    let engine = engine().await;
    let called = |behind: &str| {
        let accounts = AccountNames { aliases: [("work".to_owned(), behind.to_owned())].into(), default: None };
        engine.reconfigure(Policy { accounts, ..Policy::default() });
    };
    called("alex@contoso.example");
    let caller = kept_by(Fence { accounts: vec![vec!["alex@contoso.example".into()]], ..Fence::default() });
    let mut args = Args::from_canonical([("account_id".to_owned(), "Work".into())].into());
    engine.fenced(&caller, tools::find("email_list").unwrap(), &mut args).unwrap();
    called("bea@contoso.example");
    assert_eq!(args.text("account_id"), Some(testing::ACCOUNT));
}

#[tokio::test]
async fn who_has_some_accounts_sees_no_others() {
    let engine = engine().await;
    let fence =
        |names: &[&str]| kept_by(Fence { accounts: vec![names.iter().map(|name| (*name).to_owned()).collect()], ..Fence::default() });
    let (within, outside) = (fence(&["alex@contoso.example"]), fence(&["bea@contoso.example"]));
    for tool in tools::all() {
        let about = |account: Value| Args::from_canonical([("account_id".to_owned(), account)].into());
        let verdict = |caller: &Caller, account: Value| engine.fenced(caller, tool, &mut about(account));
        let harmless = HARMLESS.contains(&tool.name);
        assert!(
            verdict(&within, testing::ACCOUNT.into()).is_ok() && verdict(&within, "ALEX@contoso.example".into()).is_ok(),
            "{}",
            tool.name
        );
        assert_eq!(verdict(&outside, testing::ACCOUNT.into()).is_ok(), harmless, "{}", tool.name);
        assert_eq!(verdict(&outside, "nobody@x.example".into()).is_ok(), harmless, "{}: who is signed in is not told", tool.name);
        assert_eq!(verdict(&within, Value::Null).is_ok(), harmless, "{}: what is about all accounts", tool.name);
    }
    let list = |caller: Caller| {
        let engine = engine.clone();
        async move { engine.call(&caller, "account_list", &Map::new()).await.unwrap().text().contains("lex@contoso") }
    };
    assert!(list(within).await && !list(outside.clone()).await);
    let args = object(json!({"account_id": testing::ACCOUNT}));
    assert!(engine.peek(&outside, "email_list", &args).is_none() && engine.lookup(&outside, "email_list", &args).await.is_none());
    assert_eq!(engine.call(&outside, "email_list", &args).await.unwrap_err().code(), "policy");
}
