//! Handles through a whole engine: what answers show, what calls take, and what is asked of Microsoft.

use std::sync::{Arc, atomic::Ordering};

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::{
    chance::SeededDice,
    clock::{ManualClock, Timestamp},
    engine::{
        CallError, Engine,
        faulty::Faulty,
        testing::{self, ACCOUNT, Scripted, call, reply},
    },
    graph::{GraphRequest, Method},
    hint::Hint,
    ids::{AccountId, Caller},
    store::{AccountRow, Entries, Handle, Handles, Ledger, Limits, Memory, Privacy},
};

const OTHER: &str = "oid2.tid";
const NOW: Timestamp = Timestamp(1_763_629_200_000);

fn id(number: usize) -> String {
    format!("AAkALgAAAAAAHYQDEapmEc2byACqAC-EWg0A{number:04}=")
}

/// Three messages in a folder; a moved one keeps its id.
fn mailbox(request: &GraphRequest) -> Value {
    let message = |at: usize| {
        json!({ "id": id(at), "subject": id(at), "parentFolderId": id(900), "conversationId": id(800),
            "body": { "contentType": "text", "content": format!("see {}", id(at)) } })
    };
    let path = request.path.as_str();
    if path.ends_with("/move") {
        return message(path.split('/').nth(3).and_then(|id| id[36..40].parse().ok()).unwrap());
    }
    if request.method == Method::Get && path.starts_with("/me/messages/") {
        let at = percent(path.split('/').nth(3).unwrap())[36..40].parse().unwrap();
        return message(at);
    }
    if path == "/me/mailFolders/inbox" {
        return json!({ "id": id(900) });
    }
    json!({ "value": (1..4).map(message).collect::<Vec<_>>() })
}

fn percent(text: &str) -> String {
    text.replace("%3D", "=")
}

struct World {
    engine: Arc<Engine>,
    graph: Arc<Scripted>,
    store: Arc<Memory>,
}

async fn start(store: Arc<Memory>, short: bool) -> World {
    let graph = Scripted::new(|request| reply(mailbox(request)));
    let clock = Arc::new(ManualClock::at(NOW));
    let make = testing::engine_with(store.clone(), store.clone(), graph.remote(), clock, Arc::new(SeededDice::new(7)), |parts| {
        parts.policy.short_ids = short;
    });
    World { engine: make.await, graph, store }
}

async fn world() -> World {
    let store = Arc::new(Memory::new(Arc::new(SeededDice::new(3)), Limits::default()));
    store.save_account(testing::account()).await.unwrap();
    let other =
        AccountRow { id: AccountId::new(OTHER), username: "Bea@contoso.example".into(), object_id: "oid2".into(), ..testing::account() };
    store.save_account(other).await.unwrap();
    start(store, true).await
}

impl World {
    async fn list(&self) -> Value {
        call(&self.engine, "email_list", json!({})).await.unwrap()
    }

    /// The handles of the three messages.
    async fn handles(&self) -> Vec<String> {
        let list = self.list().await;
        list["messages"].as_array().unwrap().iter().map(|message| message["id"].as_str().unwrap().to_owned()).collect()
    }

    async fn get(&self, name: &str) -> Result<Value, CallError> {
        call(&self.engine, "email_get", json!({ "email_id": name, "include_attachments": false })).await
    }
}

fn given(arguments: Value) -> Map<String, Value> {
    let Value::Object(mut given) = arguments else { unreachable!() };
    given.insert("account_id".into(), ACCOUNT.into());
    given
}

#[tokio::test]
async fn answers_show_handles_and_texts_as_they_are() {
    let world = world().await;
    let list = world.list().await;
    let first = &list["messages"][0];
    let handle = Handle::read(first["id"].as_str().unwrap()).unwrap();
    assert_eq!(handle.letter(), 'm');
    assert_eq!(first["subject"], id(1), "a text that looks like an id is a text");
    let thread = first["conversationId"].as_str().unwrap();
    assert!(thread.starts_with('t') && Handle::read(thread).is_some());
    assert_eq!(list["messages"][1]["conversationId"], thread, "one thing has one handle");
    assert_ne!(list["messages"][1]["id"], first["id"]);
    let got = world.get(first["id"].as_str().unwrap()).await.unwrap();
    assert_eq!(got["id"], first["id"]);
    assert!(got["body"]["content"].as_str().unwrap().contains(&id(1)));
}

#[tokio::test]
async fn a_call_by_handle_and_the_same_by_id_are_one() {
    let world = world().await;
    let handles = world.handles().await;
    let before = world.graph.count();
    let first = world.get(&handles[1]).await.unwrap();
    let asked = world.graph.count();
    assert!(world.graph.asked()[before..].iter().all(|request| !request.target().contains(&handles[1])), "Microsoft knows no handles");
    let again = world.get(&id(2)).await.unwrap();
    assert_eq!((again["_cache_status"].as_str(), &again["id"]), (Some("fresh"), &first["id"]));
    let by_id = world.engine.peek(&Caller::default(), "email_get", &given(json!({ "email_id": id(2), "include_attachments": false })));
    let by_handle =
        world.engine.peek(&Caller::default(), "email_get", &given(json!({ "email_id": handles[1], "include_attachments": false })));
    assert!(by_id.is_some() && by_handle.is_some(), "both from memory");
    assert_eq!(world.graph.count(), asked);
}

#[tokio::test]
async fn what_needs_consent_is_shown_by_handle_however_it_was_named() {
    let world = world().await;
    let handles = world.handles().await;
    for name in [id(1), handles[0].clone()] {
        let Err(CallError::Unconfirmed(consent)) = call(&world.engine, "email_delete", json!({ "email_id": name })).await else {
            panic!("nobody was asked");
        };
        assert_eq!(consent.preview["arguments"]["email_id"], json!(handles[0]), "{name}");
    }
}

#[tokio::test]
async fn a_handle_stays_through_refreshes_and_restarts() {
    let world = world().await;
    let handles = world.handles().await;
    call(&world.engine, "email_list", json!({ "force_refresh": true })).await.unwrap();
    assert_eq!(world.handles().await, handles);
    let again = start(world.store.clone(), true).await;
    assert_eq!(again.get(&handles[2]).await.unwrap()["id"], handles[2]);
    let list = call(&again.engine, "email_list", json!({ "use_cache": false })).await.unwrap();
    assert_eq!(list["messages"][2]["id"], handles[2], "also in an answer that is not kept");
}

#[tokio::test]
async fn a_moved_message_keeps_its_handle() {
    let world = world().await;
    let handles = world.handles().await;
    let moved = call(&world.engine, "email_move", json!({ "email_id": handles[0], "destination_folder": "archive" })).await.unwrap();
    assert_eq!(moved["new_id"], handles[0]);
    assert!(world.graph.asked().iter().any(|request| percent(&request.target()).contains(&format!("{}/move", id(1)))));
    assert_eq!(world.get(&handles[0]).await.unwrap()["id"], handles[0]);
}

#[tokio::test]
async fn what_is_not_known_is_refused_and_nothing_is_asked() {
    let world = world().await;
    let handles = world.handles().await;
    let asked = world.graph.count();
    let unknown = world.get("m999999999").await.unwrap_err();
    assert_eq!((unknown.code(), world.graph.count()), ("unknown_handle", asked));
    assert!(unknown.to_string().contains("m999999999") && unknown.hint().unwrap().contains("List"));
    let others = json!({ "account_id": OTHER, "email_id": handles[0], "include_attachments": false });
    assert_eq!(call(&world.engine, "email_get", others).await.unwrap_err().code(), "unknown_handle");
    let another_kind = format!("e{}", &handles[0][1..]);
    assert_eq!(world.get(&another_kind).await.unwrap_err().code(), "unknown_handle");
    let write = call(&world.engine, "email_move", json!({ "email_id": "m999999999", "destination_folder": "archive" })).await;
    assert_eq!(write.unwrap_err().code(), "unknown_handle");
    assert_eq!(world.graph.count(), asked);
    assert_eq!(world.engine.graph_id(ACCOUNT, &handles[0]).await.unwrap(), id(1));
    assert_eq!(world.engine.graph_id(OTHER, &handles[0]).await.unwrap_err().code(), "unknown_handle");
    assert_eq!(world.engine.graph_id(ACCOUNT, "inbox").await.unwrap(), "inbox");
}

#[tokio::test]
async fn a_handle_of_somebody_who_has_signed_out_names_nothing() {
    let world = world().await;
    let handles = world.handles().await;
    world.engine.logout(ACCOUNT, &Caller::default()).await.unwrap();
    world.store.save_account(testing::account()).await.unwrap();
    let again = start(world.store.clone(), true).await;
    assert_eq!(again.get(&handles[0]).await.unwrap_err().code(), "unknown_handle");
    let new = again.handles().await;
    assert!(new.iter().all(|handle| !handles.contains(handle)), "{new:?} {handles:?}");
}

#[tokio::test]
async fn microsofts_ids_are_shown_where_they_are_asked_for() {
    let world = world().await;
    let handles = world.handles().await;
    let plain = start(world.store.clone(), false).await;
    assert_eq!(plain.store.stats().await.unwrap().entries, 0, "what shows handles is gone");
    let list = plain.list().await;
    assert_eq!((&list["messages"][0]["id"], &list["messages"][0]["parentFolderId"]), (&json!(id(1)), &Value::Null));
    assert_eq!(list["messages"][0]["conversationId"], id(800));
    assert_eq!(plain.get(&handles[0]).await.unwrap()["id"], id(1), "handles are taken all the same");
    let kept = plain.store.stats().await.unwrap().entries;
    let again = start(world.store.clone(), false).await;
    assert_eq!(again.store.stats().await.unwrap().entries, kept, "once is enough");
    // And back: what shows ids is good until it is refreshed.
    let short = start(world.store.clone(), true).await;
    assert_eq!(short.list().await["messages"][0]["id"], id(1));
    let fresh = call(&short.engine, "email_list", json!({ "force_refresh": true })).await.unwrap();
    assert_eq!(fresh["messages"][0]["id"], handles[0]);
}

#[tokio::test]
async fn a_store_that_does_not_work_leaves_ids_as_they_are() {
    let memory = testing::memory(testing::account()).await;
    let store = Faulty::over(memory);
    let graph = Scripted::new(|request| reply(mailbox(request)));
    let clock = Arc::new(ManualClock::at(NOW));
    let engine = testing::engine(store.clone(), store.clone(), graph.remote(), clock, Arc::new(SeededDice::new(7))).await;
    *store.failing.lock().unwrap() = "name";
    let list = call(&engine, "email_list", json!({})).await.unwrap();
    assert_eq!(list["messages"][0]["id"], id(1));
    *store.failing.lock().unwrap() = "";
    let list = call(&engine, "email_list", json!({ "force_refresh": true })).await.unwrap();
    assert!(Handle::read(list["messages"][0]["id"].as_str().unwrap()).is_some());
    store.broken.store(true, Ordering::SeqCst);
}

#[tokio::test]
async fn what_is_never_kept_has_no_handles() {
    let store = testing::memory(testing::account()).await;
    let graph = Scripted::new(|request| reply(mailbox(request)));
    let clock = Arc::new(ManualClock::at(NOW));
    let make = testing::engine_with(store.clone(), store.clone(), graph.remote(), clock, Arc::new(SeededDice::new(7)), |parts| {
        parts.policy.exclude.folders = vec![id(900)];
    });
    let engine = make.await;
    for more in [json!({}), json!({ "use_cache": false })] {
        let list = call(&engine, "email_list", more).await.unwrap();
        assert_eq!(list["messages"][0]["id"], id(1));
    }
    assert!(store.held_beside(&AccountId::new(ACCOUNT), &[]).await.unwrap()["handles"].is_empty());
}

#[tokio::test]
async fn what_is_forgotten_in_idle_time_names_nothing_and_leaves_memory() {
    let world = world().await;
    let handles = world.handles().await;
    let account = AccountId::new(ACCOUNT);
    while world.store.forget_handles(&account, 0, 100).await.unwrap() > 0 {}
    world.engine.names.clear();
    assert_eq!(world.get(&handles[0]).await.unwrap_err().code(), "unknown_handle");
    let list = call(&world.engine, "email_list", json!({ "force_refresh": true })).await.unwrap();
    assert_ne!(list["messages"][0]["id"], handles[0]);
}

#[tokio::test]
async fn entries_are_named_by_handle_when_they_are_removed() {
    let world = world().await;
    let handles = world.handles().await;
    world.get(&handles[0]).await.unwrap();
    world.get(&handles[1]).await.unwrap();
    let pattern = format!("email_get:*:email_id={}", handles[0]);
    let of_bea = call(&world.engine, "cache_invalidate", json!({ "account_id": OTHER, "pattern": pattern })).await;
    assert_eq!(of_bea.unwrap_err().code(), "unknown_handle", "it names nothing of hers");
    let removed = call(&world.engine, "cache_invalidate", json!({ "pattern": pattern })).await.unwrap();
    // Its own, and the one that came along with the list.
    assert_eq!(removed["entries_deleted"], 2, "{removed}");
}

proptest! {
    #![proptest_config(crate::chance::cases(32))]
    /// Whatever others wrote: what is not an id comes out as it went in, and each id comes back from its handle.
    #[test]
    fn nothing_but_ids_changes(subject in ".{0,40}", number in 0usize..9999) {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
            let world = world().await;
            let account = AccountId::new(ACCOUNT);
            let before = json!({ "messages": [{ "id": id(number), "subject": subject, "from": { "name": id(number) } }], "complete": true });
            let mut after = before.clone();
            world.engine.shorten("email_list", &account, &mut after).await;
            let handle = after["messages"][0]["id"].as_str().unwrap().to_owned();
            assert_eq!(world.engine.id_of(&account, &handle).await.unwrap(), id(number));
            after["messages"][0]["id"] = id(number).into();
            assert_eq!(after, before);
        });
    }
}
