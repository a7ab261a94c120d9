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
async fn what_was_under_way_names_nobody_afterwards() {
    let (memory, store) = store();
    let engine = used(&memory, &store).await;
    engine.erase(testing::ACCOUNT, &caller()).await.unwrap();
    let late = engine.event(crate::audit::Kind::Read, &caller()).of(&AccountId::new(testing::ACCOUNT));
    engine.record(late).await;
    let names: Vec<String> = memory.subjects().await.unwrap().into_values().collect();
    assert_eq!(names, ["erased-1"]);
}
