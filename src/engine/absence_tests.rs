//! What Microsoft no longer has: what was kept of it is not taken for true any more.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU16, Ordering::SeqCst},
};

use serde_json::{Value, json};

use crate::{
    chance::SeededDice,
    clock::{ManualClock, Timestamp},
    engine::{
        CallError,
        testing::{self, Scripted, call, failure, memory, reply},
    },
};

/// Nobody answers.
const UNREACHABLE: u16 = 0;

#[tokio::test]
async fn a_message_that_is_not_there_any_more_is_not_served_from_before() {
    for gone in [404, 410] {
        let store = memory(testing::account()).await;
        let status = Arc::new(AtomicU16::new(200));
        let now = status.clone();
        let graph = Scripted::new(move |request| match now.load(SeqCst) {
            _ if request.path.ends_with("/messages/other") => reply(json!({ "id": "other", "subject": "o", "parentFolderId": "F" })),
            200 => reply(json!({ "id": "M", "subject": "s", "isRead": false, "parentFolderId": "F" })),
            UNREACHABLE => Err(failure(None, false)),
            status => Err(failure(Some(status), false)),
        });
        let clock = Arc::new(ManualClock::at(Timestamp(1_763_629_200_000)));
        let engine = testing::engine(store.clone(), store, graph.remote(), clock, Arc::new(SeededDice::new(7))).await;
        let get = async |id: &str, force: bool| -> Result<Value, CallError> {
            call(&engine, "email_get", json!({ "email_id": id, "include_attachments": false, "force_refresh": force })).await
        };
        get("M", false).await.unwrap();
        get("other", false).await.unwrap();
        assert_eq!(get("M", false).await.unwrap()["_cache_status"], "fresh");
        // Another refusal says nothing about whether the message is there.
        status.store(403, SeqCst);
        assert!(get("M", true).await.is_err());
        assert_eq!(get("M", false).await.unwrap()["_cache_status"], "fresh");

        status.store(gone, SeqCst);
        assert!(get("M", true).await.is_err(), "{gone}");
        assert!(get("M", false).await.is_err(), "{gone}: it is served from before");
        status.store(UNREACHABLE, SeqCst);
        assert!(get("M", false).await.is_err(), "{gone}: what is known to be gone stands in where nobody can be asked");
        assert_eq!(get("other", false).await.unwrap()["_cache_status"], "fresh", "what is still there is kept");
    }
}

#[tokio::test]
async fn a_list_that_shows_what_is_not_there_any_more_is_asked_anew_and_lends_it_to_nobody() {
    let store = memory(testing::account()).await;
    let there = Arc::new(AtomicBool::new(true));
    let now = there.clone();
    let message = |id: &str| json!({ "id": id, "subject": "s", "isRead": false, "parentFolderId": "F", "body": { "content": "b" } });
    let graph = Scripted::new(move |request| match now.load(SeqCst) {
        there if request.path.ends_with("/messages") => {
            reply(json!({ "value": if there { vec![message("M"), message("N")] } else { vec![message("N")] } }))
        }
        true => reply(message("M")),
        false => Err(failure(Some(404), false)),
    });
    let clock = Arc::new(ManualClock::at(Timestamp(1_763_629_200_000)));
    let engine = testing::engine(store.clone(), store, graph.remote(), clock, Arc::new(SeededDice::new(7))).await;
    let list = async || call(&engine, "email_list", json!({ "include_body": true })).await.unwrap();
    let get = async |force: bool| call(&engine, "email_get", json!({ "email_id": "M", "force_refresh": force })).await;
    list().await;
    assert_eq!(get(false).await.unwrap()["_cache_status"], "fresh", "the list holds it");
    get(true).await.unwrap();
    assert_eq!(list().await["_cache_status"], "fresh");

    there.store(false, SeqCst);
    assert!(get(true).await.is_err());
    assert!(get(false).await.is_err(), "the list lends it");
    let list = list().await;
    assert_eq!(list["_cache_status"], "miss");
    assert!(!list.to_string().contains(r#""id":"M""#), "{list}");
}
