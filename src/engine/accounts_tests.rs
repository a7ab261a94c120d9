//! Signing out when the store can, and when it cannot.

use std::sync::Arc;

use serde_json::json;

use crate::{
    cache::{Service, Touch, Touched},
    chance::SeededDice,
    clock::{ManualClock, Timestamp},
    engine::{
        CallError,
        accounts::{AccountNames, Accounts},
        faulty::Faulty,
        testing::{self, Scripted, call, mailbox, reply},
    },
    hint::Hint as _,
    ids::{AccountId, Caller, Fence, PERSONAL_TENANT},
    store::{AccountRow, Entries as _, Ledger as _, Limits, Memory},
};

#[tokio::test]
async fn a_sign_out_that_fails_leaves_everything_as_it_was() {
    let store = Faulty::over(Arc::new(Memory::new(Arc::new(SeededDice::new(1)), Limits::default())));
    store.save_account(testing::account()).await.unwrap();
    let graph = Scripted::new(|_| reply(json!({ "id": "M", "subject": "s", "isRead": false, "parentFolderId": "F" })));
    let clock = Arc::new(ManualClock::at(Timestamp(1_763_629_200_000)));
    let engine = testing::engine(store.clone(), store.clone(), graph.remote(), clock, Arc::new(SeededDice::new(7))).await;
    let get = || call(&engine, "email_get", json!({ "email_id": "M", "include_attachments": false }));
    get().await.unwrap();
    let before = engine.accounts();
    *store.failing.lock().unwrap() = "remove_account";
    assert_eq!(
        engine.logout(testing::ACCOUNT, &Caller::default()).await.unwrap_err().to_string(),
        "the database failed: as the test asked for"
    );
    assert_eq!(engine.accounts(), before, "account and tokens");
    assert_eq!(get().await.unwrap()["_cache_status"], "fresh");

    // What was remembered of its mailbox goes with it, once it is settled.
    let touched = Touched { source: mailbox(), service: Service::Mail, touches: vec![Touch::Item("M".into())] };
    engine.truth.apply(&store.changed(vec![touched], Timestamp(0)).await.unwrap());
    assert!(engine.truth.rows() > 0);
    *store.failing.lock().unwrap() = "";
    assert_eq!(engine.logout(testing::ACCOUNT, &Caller::default()).await.unwrap().1, 1);
    assert!(engine.accounts().is_empty() && store.stats().await.unwrap().entries == 0);
    assert!(get().await.is_err());
    engine.tidy().await;
    assert_eq!((store.sources().await.unwrap(), engine.truth.rows()), (vec![], 0));
}

/// A personal account under the address of the one that is there already. Its id comes first.
fn namesake() -> AccountRow {
    let id = AccountId::new(format!("00000000-0000-0000-1234-56789abcdef0.{PERSONAL_TENANT}"));
    AccountRow { id, tenant_id: PERSONAL_TENANT.into(), ..testing::account() }
}

#[test]
fn a_name_that_two_accounts_have_stands_for_neither() {
    let named = |alias: &str, behind: &str| (alias.to_owned(), behind.to_owned());
    let aliases = [named("home", namesake().id.as_str()), named("alex", "alex@contoso.example")].into();
    let accounts = Accounts::new(vec![testing::account()], AccountNames { aliases, default: None });
    let found = |name: &str| accounts.find(name).map(|row| row.id.clone()).map_err(|error| error.code());
    assert_eq!(found("ALEX@contoso.example"), Ok(testing::account().id));
    assert_eq!(found("alex"), Ok(testing::account().id));
    assert_eq!(accounts.alias(&testing::account()).as_deref(), Some("alex"));

    accounts.add(namesake());
    for both in ["Alex@contoso.example", "alex"] {
        let error = accounts.find(both).unwrap_err();
        assert_eq!(error.code(), "ambiguous_account", "{both}");
        let hint = error.hint().unwrap();
        assert!(hint.contains(&format!("{} (personal), {} (work/school)", namesake().id.as_str(), testing::ACCOUNT)), "{hint}");
    }
    assert_eq!(found(testing::ACCOUNT), Ok(testing::account().id));
    assert_eq!(found("home"), Ok(namesake().id));
    assert_eq!((accounts.alias(&testing::account()), accounts.alias(&namesake()).as_deref()), (None, Some("home")));
    assert_eq!(found("nobody"), Err("unknown_account"));
}

#[tokio::test]
async fn what_is_asked_by_a_name_of_two_is_refused_wherever_it_is_said() {
    let store = testing::memory(testing::account()).await;
    store.save_account(namesake()).await.unwrap();
    let graph = Scripted::new(|_| reply(json!({ "id": "M", "subject": "s", "isRead": false, "parentFolderId": "F" })));
    let clock = Arc::new(ManualClock::at(Timestamp(1_763_629_200_000)));
    let engine = testing::engine(store.clone(), store, graph.remote(), clock, Arc::new(SeededDice::new(7))).await;
    let name = testing::account().username;
    let fence = Fence { accounts: vec![vec![name.to_lowercase()]], ..Fence::default() };
    let (open, fenced) = (Caller::default(), Caller { fence: Some(Arc::new(fence)), ..Caller::default() });
    let args = |name: &str| json!({ "email_id": "M", "account_id": name }).as_object().unwrap().clone();
    for caller in [&open, &fenced] {
        let refused = engine.call(caller, "email_get", &args(&name)).await.unwrap_err();
        assert!(matches!(refused, CallError::AmbiguousAccount(_)), "{refused:?}");
        let refused = engine.call(caller, "email_delete", &args(&name)).await.unwrap_err();
        assert!(matches!(refused, CallError::AmbiguousAccount(_)), "{refused:?}");
    }
    let other = Fence { accounts: vec![vec!["bea@contoso.example".into()]], ..Fence::default() };
    let other = Caller { fence: Some(Arc::new(other)), ..Caller::default() };
    assert!(
        matches!(engine.call(&other, "email_get", &args(&name)).await, Err(CallError::Fenced { .. })),
        "who is there is not theirs to know"
    );
    assert!(matches!(engine.logout(&name, &open).await, Err(CallError::AmbiguousAccount(_))));
    assert!(matches!(engine.erase(&name, &open).await, Err(CallError::AmbiguousAccount(_))));
    assert_eq!(graph.asked().len(), 0);
    assert!(engine.call(&open, "email_get", &args(testing::ACCOUNT)).await.is_ok());
}

#[tokio::test]
async fn nobody_signs_in_while_somebody_signs_out_nor_the_other_way_round() {
    let store = Faulty::over(Arc::new(Memory::new(Arc::new(SeededDice::new(1)), Limits::default())));
    store.save_account(testing::account()).await.unwrap();
    let graph = Scripted::new(|_| reply(json!({})));
    let clock = Arc::new(ManualClock::at(Timestamp(1_763_629_200_000)));
    let engine = testing::engine(store.clone(), store.clone(), graph.remote(), clock, Arc::new(SeededDice::new(7))).await;
    let sign_out = || {
        let engine = engine.clone();
        tokio::spawn(async move { engine.logout(testing::ACCOUNT, &Caller::default()).await })
    };
    // A sign-in that is being kept.
    let signing_in = engine.erasing.lock().await;
    let waiting = sign_out();
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    assert_eq!(engine.accounts().len(), 1, "half of it would be forgotten");
    drop(signing_in);
    *store.held.lock().unwrap() = "remove_account";
    store.waiting.subscribe().wait_for(|waiting| *waiting == 1).await.unwrap();
    assert!(engine.erasing.try_lock().is_err(), "half of it would be kept");
    store.gate.add_permits(1);
    waiting.await.unwrap().unwrap();
    assert!(engine.accounts().is_empty());
    assert!(sign_out().await.unwrap().is_err(), "there is nobody any more");
}
