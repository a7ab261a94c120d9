//! Signing out when the store can, and when it cannot.

use std::sync::Arc;

use serde_json::json;

use crate::{
    cache::{Service, Touch, Touched},
    chance::SeededDice,
    clock::{ManualClock, Timestamp},
    engine::{
        faulty::Faulty,
        testing::{self, Scripted, call, mailbox, reply},
    },
    ids::Caller,
    store::{Entries as _, Ledger as _, Limits, Memory},
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
