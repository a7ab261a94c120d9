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
        CallError, Engine,
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

/// Microsoft with the messages M and N in the folder F until `gone`, then without M.
async fn mail(gone: Arc<AtomicBool>) -> Arc<Engine> {
    let message = |id: &str| json!({ "id": id, "subject": "s", "isRead": false, "parentFolderId": "F", "body": { "content": "b" } });
    let graph = Scripted::new(move |request| {
        let all = if gone.load(SeqCst) { vec![message("N")] } else { vec![message("M"), message("N")] };
        match () {
            () if request.path.ends_with("/messages") => reply(json!({ "value": all })),
            () if gone.load(SeqCst) && request.path.contains("/messages/M") => Err(failure(Some(404), false)),
            () if request.path.contains("/messages/M") => reply(message("M")),
            () => reply(message("N")),
        }
    });
    let store = memory(testing::account()).await;
    let clock = Arc::new(ManualClock::at(Timestamp(1_763_629_200_000)));
    testing::engine(store.clone(), store, graph.remote(), clock, Arc::new(SeededDice::new(7))).await
}

#[tokio::test]
async fn whatever_call_is_told_so_what_is_not_there_is_not_served_and_lists_are_asked_anew() {
    for (tool, args) in [
        ("email_delete", json!({ "email_id": "M", "confirm": true })),
        ("email_mark_read", json!({ "email_id": "M" })),
        ("email_get", json!({ "email_id": "M", "body_format": "html" })),
        ("email_get", json!({ "email_id": "M", "use_cache": false })),
    ] {
        let gone = Arc::new(AtomicBool::new(false));
        let engine = mail(gone.clone()).await;
        let status = async |tool: &str, args: Value| call(&engine, tool, args).await.map(|answer| answer["_cache_status"].clone()).ok();
        let (get, other) = (json!({ "email_id": "M" }), json!({ "email_id": "N" }));
        for _ in 0..2 {
            call(&engine, "email_list", json!({})).await.unwrap();
            call(&engine, "email_get", get.clone()).await.unwrap();
            call(&engine, "email_get", other.clone()).await.unwrap();
        }
        gone.store(true, SeqCst);
        assert!(call(&engine, tool, args.clone()).await.is_err());
        assert_eq!(status("email_get", get.clone()).await, None, "{tool} {args}: it is served from before");
        assert_eq!(status("email_list", json!({})).await, Some(json!("miss")), "{tool} {args}");
        assert_eq!(status("email_get", other).await, Some(json!("fresh")), "{tool} {args}: what is still there is kept");
        assert!(call(&engine, tool, args.clone()).await.is_err());
        assert_eq!(status("email_list", json!({})).await, Some(json!("fresh")), "{tool} {args}: asking again overtakes nothing more");
    }
}

#[tokio::test]
async fn an_id_that_nobody_has_heard_of_overtakes_nothing() {
    let engine = mail(Arc::new(AtomicBool::new(true))).await;
    call(&engine, "email_list", json!({})).await.unwrap();
    assert!(call(&engine, "email_mark_read", json!({ "email_id": "M" })).await.is_err());
    assert_eq!(call(&engine, "email_list", json!({})).await.unwrap()["_cache_status"], "fresh");
}

#[tokio::test]
async fn one_occurrence_that_is_gone_leaves_the_others_of_its_series() {
    let status = Arc::new(AtomicU16::new(200));
    let now = status.clone();
    let event = |id: &str, kind: &str| {
        let at = json!({ "dateTime": "2025-11-20T10:00:00.0000000", "timeZone": "UTC" });
        json!({ "id": id, "subject": "s", "type": kind, "seriesMasterId": "S", "start": at, "end": at })
    };
    let graph = Scripted::new(move |request| match now.load(SeqCst) {
        UNREACHABLE => Err(failure(None, false)),
        404 if request.path.ends_with("/events/O1") => Err(failure(Some(404), false)),
        _ if request.path.ends_with("/events/O1") => reply(event("O1", "occurrence")),
        _ if request.path.ends_with("/events/O2") => reply(event("O2", "occurrence")),
        _ => reply(event("S", "seriesMaster")),
    });
    let store = memory(testing::account()).await;
    let clock = Arc::new(ManualClock::at(Timestamp(1_763_629_200_000)));
    let engine = testing::engine(store.clone(), store, graph.remote(), clock, Arc::new(SeededDice::new(7))).await;
    let get = async |id: &str, force: bool| call(&engine, "calendar_get_event", json!({ "event_id": id, "force_refresh": force })).await;
    get("O1", false).await.unwrap();
    get("O2", false).await.unwrap();
    status.store(404, SeqCst);
    assert!(get("O1", true).await.is_err());
    status.store(UNREACHABLE, SeqCst);
    assert!(get("O1", false).await.is_err(), "it is known to be gone");
    assert!(get("O2", false).await.is_ok(), "nothing was said of the other");
}

/// Microsoft with one inbox rule until `gone`.
async fn rules(gone: Arc<AtomicBool>) -> Arc<Engine> {
    let rule = || json!({ "id": "R", "displayName": "r", "sequence": 1, "isEnabled": true, "conditions": {}, "actions": {} });
    let graph = Scripted::new(move |request| match gone.load(SeqCst) {
        gone if request.path.ends_with("/messageRules") => reply(json!({ "value": if gone { vec![] } else { vec![rule()] } })),
        true => Err(failure(Some(404), false)),
        false => reply(rule()),
    });
    let store = memory(testing::account()).await;
    let clock = Arc::new(ManualClock::at(Timestamp(1_763_629_200_000)));
    testing::engine(store.clone(), store, graph.remote(), clock, Arc::new(SeededDice::new(7))).await
}

#[tokio::test]
async fn what_no_entry_shows_by_its_id_is_asked_anew_when_it_is_not_there() {
    for (tool, args) in [
        ("emailrules_get", json!({ "rule_id": "R", "force_refresh": true })),
        ("emailrules_get", json!({ "rule_id": "R", "use_cache": false })),
        ("emailrules_delete", json!({ "rule_id": "R", "confirm": true })),
    ] {
        let gone = Arc::new(AtomicBool::new(false));
        let engine = rules(gone.clone()).await;
        let status = async |tool: &str, args: Value| call(&engine, tool, args).await.map(|answer| answer["_cache_status"].clone()).ok();
        let get = json!({ "rule_id": "R" });
        for known in ["miss", "fresh"] {
            assert_eq!(status("emailrules_get", get.clone()).await, Some(json!(known)));
            assert_eq!(status("emailrules_list", json!({})).await, Some(json!(known)));
        }
        gone.store(true, SeqCst);
        assert!(call(&engine, tool, args.clone()).await.is_err());
        assert_ne!(status("emailrules_get", get).await, Some(json!("fresh")), "{tool} {args}");
        assert_eq!(status("emailrules_list", json!({})).await, Some(json!("miss")), "{tool} {args}");
        assert!(call(&engine, "emailrules_get", json!({ "rule_id": "R", "force_refresh": true })).await.is_err());
        assert_eq!(status("emailrules_list", json!({})).await, Some(json!("fresh")), "{tool} {args}: asking again overtakes nothing more");
    }
}
