//! What is taken for changed when a write was done: what was named, and what only its reply tells.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::{
    chance::SeededDice,
    clock::{ManualClock, Timestamp},
    engine::{
        Engine,
        testing::{self, Scripted, call, memory, reply},
    },
    graph::Method,
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
