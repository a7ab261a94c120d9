//! What is taken for changed when a write was done: what was named, and what only its reply tells.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::SeqCst},
};

use serde_json::{Value, json};

use crate::{
    chance::SeededDice,
    clock::{ManualClock, Timestamp},
    engine::{
        Engine,
        testing::{self, REPLIES, Scripted, call, failure, memory, reply},
    },
    graph::{GraphRequest, Method},
    tools::{Reply, StepError},
};

/// Microsoft with a message, M, in the folder F, which it knows by another id, too; `moved` is what it says to a move.
async fn engine(moved: Value) -> Arc<Engine> {
    let answer = move |method: &Method, path: &str| -> Result<Reply, StepError> {
        match method {
            Method::Post => reply(moved.clone()),
            _ if path.ends_with("/messages") => reply(json!({ "value": [] })),
            _ => reply(json!({ "id": "M", "subject": "s", "isRead": true, "parentFolderId": "F" })),
        }
    };
    let graph = Scripted::new(move |request| answer(&request.method, &request.path));
    let store = memory(testing::account()).await;
    let clock = Arc::new(ManualClock::at(Timestamp(1_763_629_200_000)));
    testing::engine(store.clone(), store, graph.remote(), clock, Arc::new(SeededDice::new(5))).await
}

async fn status(engine: &Arc<Engine>, tool: &str, args: Value) -> Value {
    call(engine, tool, args).await.unwrap()["_cache_status"].clone()
}

#[tokio::test]
async fn a_message_that_answers_show_by_another_id_is_the_one_that_was_changed() {
    let engine = engine(Value::Null).await;
    let mark = json!({ "email_id": "M-by-another-id", "is_read": true });
    // The first reply teaches where it is; from then on not all of the mailbox is taken for changed.
    call(&engine, "email_mark_read", mark.clone()).await.unwrap();
    let get = json!({ "email_id": "M", "include_attachments": false });
    let elsewhere = json!({ "folder": "drafts" });
    assert_eq!(status(&engine, "email_get", get.clone()).await, "miss");
    assert_eq!(status(&engine, "email_list", elsewhere.clone()).await, "miss");
    call(&engine, "email_mark_read", mark).await.unwrap();
    assert_eq!(status(&engine, "email_list", elsewhere).await, "fresh");
    assert_eq!(status(&engine, "email_get", get).await, "miss");
}

#[tokio::test]
async fn a_move_that_does_not_say_where_to_may_have_gone_anywhere() {
    for (moved, elsewhere) in [(json!({ "id": "M2", "parentFolderId": "G" }), "fresh"), (json!({}), "miss")] {
        let engine = engine(moved.clone()).await;
        call(&engine, "email_get", json!({ "email_id": "M" })).await.unwrap();
        let list = json!({ "folder": "drafts" });
        assert_eq!(status(&engine, "email_list", list.clone()).await, "miss");
        call(&engine, "email_move", json!({ "email_id": "M", "destination_folder": "G" })).await.unwrap();
        assert_eq!(status(&engine, "email_list", list).await, elsewhere, "{moved}");
    }
}

/// A draft that a call makes on its way is looked at before the call sends it, and again when that has ended; its reply may be `lost`.
async fn look_while_a_draft_is_sent(lost: bool) {
    let sent = AtomicBool::new(false);
    let answer = move |request: &GraphRequest| match (request.method, request.path.as_str()) {
        (Method::Post, "/me/messages/d/send") => {
            sent.store(true, SeqCst);
            if lost { Err(failure(None, true)) } else { reply(Value::Null) }
        }
        (Method::Get, "/me/messages/M") => reply(json!({ "id": "M", "parentFolderId": "IN" })),
        (_, path) if path.ends_with("/attachments") => reply(json!({ "value": [] })),
        _ => reply(
            json!({ "id": "d", "parentFolderId": "DR", "isDraft": !sent.load(SeqCst), "body": { "contentType": "html", "content": "" } }),
        ),
    };
    let graph = Scripted::new(answer);
    let store = memory(testing::account()).await;
    let clock = Arc::new(ManualClock::at(Timestamp(1_763_629_200_000)));
    let engine = testing::engine(store.clone(), store, graph.remote(), clock, Arc::new(SeededDice::new(5))).await;
    // Where the message is that is answered is known, so that not all of the mailbox is taken for changed.
    let answered = json!({ "email_id": "M", "include_body": false });
    call(&engine, "email_get", answered).await.unwrap();
    // The draft is there from here on; what the call goes on to do with it waits.
    *graph.waiting.lock().unwrap() = "/createReply";
    let held = graph.replies.acquire_many(REPLIES).await.unwrap();
    let (sending, given) = (engine.clone(), json!({ "email_id": "M", "body": "<b>Yes</b>", "body_type": "html", "confirm": true }));
    let sending = tokio::spawn(async move { call(&sending, "email_reply", given).await });
    graph.until_asked(2).await;
    let draft = json!({ "email_id": "d" });
    for expected in ["miss", "fresh"] {
        let shown = call(&engine, "email_get", draft.clone()).await.unwrap();
        assert_eq!((&shown["_cache_status"], &shown["isDraft"]), (&json!(expected), &json!(true)));
        assert_eq!(status(&engine, "email_list_attachments", draft.clone()).await, expected);
    }
    drop(held);
    assert_eq!(sending.await.unwrap().is_err(), lost);
    let shown = call(&engine, "email_get", draft.clone()).await.unwrap();
    assert_eq!((&shown["_cache_status"], &shown["isDraft"]), (&json!("miss"), &json!(false)));
    assert_eq!(status(&engine, "email_list_attachments", draft).await, "miss");
}

#[tokio::test]
async fn a_draft_that_was_looked_at_before_it_was_sent_is_asked_for_again() {
    look_while_a_draft_is_sent(false).await;
}

#[tokio::test]
async fn a_draft_of_which_nobody_knows_whether_it_was_sent_is_asked_for_again() {
    look_while_a_draft_is_sent(true).await;
}
