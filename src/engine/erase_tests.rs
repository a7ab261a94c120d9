//! An erasure that fails at any step is completed by the next start, and nothing of the account is served meanwhile.

use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::{
    chance::SeededDice,
    clock::ManualClock,
    engine::{
        faulty::Faulty,
        testing::{self, Scripted, call, reply},
    },
    hint::Hint as _,
    store::{Limits, Memory, Privacy as _, Trail as _},
};

fn caller() -> Caller {
    Caller { client: "cachectl".into(), ..Caller::default() }
}

/// A store with an answer, a write and records of one account; and its engine.
async fn used(memory: &Arc<Memory>, store: &Arc<Faulty>) -> Arc<Engine> {
    memory.save_account(testing::account()).await.unwrap();
    let engine = started(memory, store).await;
    call(&engine, "email_get", json!({ "email_id": "M", "include_attachments": false })).await.unwrap();
    call(&engine, "email_mark_read", json!({ "email_id": "M" })).await.unwrap();
    engine
}

async fn started(memory: &Arc<Memory>, store: &Arc<Faulty>) -> Arc<Engine> {
    let graph = Scripted::new(|_| reply(json!({ "id": "M", "subject": "s", "isRead": false, "parentFolderId": "F" })));
    let clock = Arc::new(ManualClock::at(Timestamp(1_763_629_200_000)));
    let records = memory.clone();
    let dice = Arc::new(SeededDice::new(7));
    testing::engine_with(store.clone(), store.clone(), graph.remote(), clock, dice, |parts| parts.records = records).await
}

fn store() -> (Arc<Memory>, Arc<Faulty>) {
    let memory = Arc::new(Memory::new(Arc::new(SeededDice::new(1)), Limits::default()));
    (memory.clone(), Faulty::over(memory))
}

#[tokio::test]
async fn nothing_is_left_and_the_trail_holds() {
    let (memory, store) = store();
    let engine = used(&memory, &store).await;
    let erased = engine.erase("alex@CONTOSO.example", &caller()).await.unwrap();
    assert!(erased.is_complete() && erased.entries > 0, "{erased:?}");
    assert!(engine.accounts().is_empty() && memory.erasures().await.unwrap().is_empty());
    assert_eq!(memory.subjects().await.unwrap().into_values().collect::<Vec<_>>(), ["erased-1"]);
    assert!(engine.verify_trail(None).await.unwrap().holds());
    assert!(engine.hot.is_empty() && engine.stats().by_account.is_empty());
    assert!(call(&engine, "email_get", json!({ "email_id": "M" })).await.is_err());
    assert_eq!(memory.subjects().await.unwrap().len(), 1, "a call that is refused names nobody");
    assert!(engine.erase(testing::ACCOUNT, &caller()).await.is_err(), "nothing is known of it any more");
}

#[tokio::test]
async fn one_that_fails_is_completed_by_the_next_start() {
    for step in ["remove_account", "entries_of"] {
        let (memory, store) = store();
        let engine = used(&memory, &store).await;
        *store.failing.lock().unwrap() = step;
        assert!(engine.erase(testing::ACCOUNT, &caller()).await.is_err(), "{step}");
        let begun = !memory.erasures().await.unwrap().is_empty();
        *store.failing.lock().unwrap() = "";
        let again = started(&memory, &store).await;
        // What had begun is complete; what had not is as it was.
        assert_eq!(again.accounts().is_empty(), begun, "{step}");
        assert!(memory.erasures().await.unwrap().is_empty(), "{step}");
        let names: Vec<String> = memory.subjects().await.unwrap().into_values().collect();
        assert_eq!(names == ["erased-1"], begun, "{step}: {names:?}");
        assert!(again.verify_trail(None).await.unwrap().holds());
    }
}

#[tokio::test]
async fn one_that_fails_half_way_has_signed_out_and_goes_on_when_the_store_works() {
    let (memory, store) = store();
    let engine = used(&memory, &store).await;
    *store.failing.lock().unwrap() = "remove_account";
    let failed = engine.erase(testing::ACCOUNT, &caller()).await.unwrap_err();
    assert!(matches!(failed, CallError::Erasing(_)) && failed.hint().is_some(), "{failed:?}");
    assert!(engine.accounts().is_empty(), "nobody is served for it any more");
    let refused = call(&engine, "email_get", json!({ "email_id": "M" })).await.unwrap_err();
    assert!(matches!(refused, CallError::UnknownAccount { .. }), "{refused:?}");
    assert!(engine.hot.is_empty(), "nor is anything of it in memory");
    // Whoever signs in meanwhile would be erased afterwards.
    assert!(engine.complete_erasures().await.is_err());
    engine.tidy().await;
    assert_eq!(memory.erasures().await.unwrap().len(), 1, "not yet");
    *store.failing.lock().unwrap() = "";
    engine.tidy().await;
    assert!(memory.erasures().await.unwrap().is_empty() && memory.accounts().await.unwrap().is_empty());
    assert_eq!(memory.subjects().await.unwrap().into_values().collect::<Vec<_>>(), ["erased-1"]);
    assert!(engine.verify_trail(None).await.unwrap().holds());
}

#[tokio::test]
async fn asked_again_by_name_it_goes_on_at_once() {
    let (memory, store) = store();
    let engine = used(&memory, &store).await;
    *store.failing.lock().unwrap() = "remove_account";
    engine.erase(testing::ACCOUNT, &caller()).await.unwrap_err();
    *store.failing.lock().unwrap() = "";
    let erased = engine.erase("alex@CONTOSO.example", &caller()).await.unwrap();
    assert!(erased.is_complete() && memory.erasures().await.unwrap().is_empty(), "{erased:?}");
    assert!(engine.erase("alex@CONTOSO.example", &caller()).await.is_err(), "nothing is known of it any more");
}

#[tokio::test]
async fn one_that_succeeds_does_not_let_another_be_forgotten() {
    let (memory, store) = store();
    let engine = used(&memory, &store).await;
    let other = Erasure { account: AccountId::new("o9.t"), names: vec![], sources: vec![], by: "cachectl".into(), at: Timestamp(0) };
    memory.begin_erasure(other).await.unwrap();
    assert!(engine.erase(testing::ACCOUNT, &caller()).await.unwrap().is_complete());
    assert_eq!(memory.erasures().await.unwrap().len(), 1);
    engine.tidy().await;
    assert!(memory.erasures().await.unwrap().is_empty());
}

#[tokio::test]
async fn sealed_copies_of_an_import_go_whole_and_it_is_recorded() {
    let (memory, store) = store();
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("0123.sealed");
    std::fs::write(&copy, "what every account had").unwrap();
    let _ = used(&memory, &store).await;
    let (records, copies) = (memory.clone(), Copies::at(folder.path()));
    let graph = Scripted::new(|_| reply(json!({})));
    let clock = Arc::new(ManualClock::at(Timestamp(1_763_629_200_000)));
    let engine = testing::engine_with(store.clone(), store.clone(), graph.remote(), clock, Arc::new(SeededDice::new(7)), |parts| {
        (parts.records, parts.copies) = (records, Some(copies));
    })
    .await;
    let erased = engine.erase(testing::ACCOUNT, &caller()).await.unwrap();
    assert_eq!((erased.copies, erased.left["imported_copies"], copy.exists()), (1, 0, false), "{erased:?}");
    let trail = engine.trail_tail(&super::super::Wanted::default(), 50).await.unwrap();
    let told = trail.iter().find(|shown| shown.record.kind == "import").unwrap();
    assert_eq!((told.record.outcome.as_str(), told.record.times, told.account.as_str()), ("copies_removed", 1, ""));
}

#[tokio::test]
async fn what_was_under_way_names_nobody_afterwards() {
    let (memory, store) = store();
    let engine = used(&memory, &store).await;
    engine.erase(testing::ACCOUNT, &caller()).await.unwrap();
    let late = engine.event(Kind::Read, &caller()).of(&AccountId::new(testing::ACCOUNT));
    engine.record(late).await;
    let names: Vec<String> = memory.subjects().await.unwrap().into_values().collect();
    assert_eq!(names, ["erased-1"]);
}

#[tokio::test]
async fn of_one_that_has_signed_out_nothing_is_left_and_nobody_else_loses_anything() {
    let (memory, store) = store();
    let engine = used(&memory, &store).await;
    // Somebody else's mailbox that it has read, one of somebody who is signed in, and one that no answer is left of.
    let other = AccountRow { id: AccountId::new("o2.tid"), username: "bea@contoso.example".into(), ..testing::account() };
    let other = AccountRow { object_id: "o2".into(), ..other };
    memory.save_account(other.clone()).await.unwrap();
    engine.accounts.add(other.clone());
    let args = json!({ "account_id": other.id.as_str(), "email_id": "M", "include_attachments": false });
    call(&engine, "email_get", args).await.unwrap();
    let shared = SourceId::mailbox("global", "tid", "shared");
    memory.source(&shared).await.unwrap();
    let what = crate::store::Invalidation {
        pattern: crate::cache::KeyPattern::everything(),
        account: None,
        reason: "for alex@contoso.example".into(),
        by: "cachectl".into(),
        at: Timestamp(1),
    };
    memory.record_invalidation(what, 1).await.unwrap();
    engine.logout(testing::ACCOUNT, &caller()).await.unwrap();
    let known = |sources: Vec<crate::cache::SourceSize>| sources.into_iter().map(|size| size.id).collect::<BTreeSet<_>>();
    let its = SourceId::mailbox("global", "tid", "o2");
    assert_eq!(known(memory.sources().await.unwrap()), [testing::mailbox(), shared, its.clone()].into());

    let erased = engine.erase(testing::ACCOUNT, &caller()).await.unwrap();
    assert!(erased.is_complete(), "{erased:?}");
    assert_eq!(known(memory.sources().await.unwrap()), [its].into());
    assert!(memory.invalidations().is_empty(), "a reason that names it");
    let args = json!({ "account_id": other.id.as_str(), "email_id": "M", "include_attachments": false });
    assert_eq!(call(&engine, "email_get", args).await.unwrap()["_cache_status"], "fresh", "nobody else's");
}
