//! Answers that come along with the fetch for another call, through a whole engine.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};

use crate::{
    chance::SeededDice,
    clock::{ManualClock, Timestamp},
    engine::{
        Engine,
        testing::{self, REPLIES, Scripted, call, reply},
    },
    graph::{GraphRequest, Method},
    ids::AccountId,
    store::AccountRow,
};

/// Thirty messages and a file hold any words; no event does.
fn graph(request: &GraphRequest) -> Value {
    if request.method == Method::Patch {
        return json!({ "id": request.path.rsplit('/').next().unwrap(), "isRead": true, "parentFolderId": "F" });
    }
    match request.path.as_str() {
        "/me/mailboxSettings/timeZone" => json!({ "value": "UTC" }),
        "/me/events" => json!({ "id": "new", "subject": "s" }),
        "/me/messages" => {
            let top: usize = request.query.iter().find(|(name, _)| *name == "$top").unwrap().1.parse().unwrap();
            let found: Vec<Value> = (0..top.min(30)).map(|at| json!({ "id": format!("m{at}"), "parentFolderId": "F" })).collect();
            json!({ "value": found, "@odata.nextLink": "/more" })
        }
        "/search/query" if request.body.as_ref().unwrap()["requests"][0]["entityTypes"][0] == "driveItem" => {
            json!({ "value": [{ "hitsContainers": [{ "hits": [{ "hitId": "f", "resource": { "name": "n" } }], "moreResultsAvailable": false }] }] })
        }
        "/search/query" => json!({ "value": [{ "hitsContainers": [{ "total": 0, "moreResultsAvailable": false }] }] }),
        other => panic!("{other}"),
    }
}

struct World {
    engine: Arc<Engine>,
    graph: Arc<Scripted>,
    clock: Arc<ManualClock>,
}

impl World {
    async fn new() -> Self {
        let graph = Scripted::new(|request| reply(graph(request)));
        let clock = Arc::new(ManualClock::at(Timestamp(1_000_000_000)));
        let row = AccountRow { drive_id: Some("D".into()), id: AccountId::new(testing::ACCOUNT), ..testing::account() };
        let memory = testing::memory(row).await;
        let engine = testing::engine(memory.clone(), memory, graph.remote(), clock.clone(), Arc::new(SeededDice::new(7))).await;
        Self { engine, graph, clock }
    }

    /// How it came about, and how many messages or files it has.
    async fn ask(&self, tool: &str, args: Value) -> (String, usize) {
        let answer = call(&self.engine, tool, args).await.unwrap();
        let list = ["messages", "files", "message"].into_iter().find_map(|name| answer[name].as_array()).unwrap();
        (answer["_cache_status"].as_str().unwrap().to_owned(), list.len())
    }
}

#[tokio::test]
async fn a_search_of_everything_brings_the_answers_of_its_parts_along() {
    let world = World::new().await;
    let words = json!({ "query": "plan" });
    assert_eq!(world.ask("search_unified", words.clone()).await, ("miss".into(), 10));
    let asked = world.graph.count();
    assert_eq!(world.ask("search_emails", words.clone()).await, ("fresh".into(), 25), "of its own length");
    assert_eq!(world.ask("search_emails", json!({ "query": "plan", "limit": 7 })).await, ("fresh".into(), 7));
    assert_eq!(world.ask("search_files", words.clone()).await, ("fresh".into(), 1));
    assert_eq!(world.graph.count(), asked);
    let other = call(&world.engine, "search_emails", json!({ "query": "plan" })).await.unwrap();
    assert!(other["next_cursor"].is_string() && other["complete"] == false, "it goes on like one that was asked for");
    // Each is of its own source: what is written to the mailbox does not overtake the files.
    call(&world.engine, "email_mark_read", json!({ "email_id": "m1" })).await.unwrap();
    assert_eq!(world.ask("search_files", words.clone()).await.0, "fresh");
    assert_eq!(world.ask("search_emails", words).await.0, "miss");
}

#[tokio::test]
async fn what_came_along_is_as_old_as_what_it_came_with() {
    let world = World::new().await;
    world.ask("search_unified", json!({ "query": "plan" })).await;
    world.clock.advance(Duration::from_secs(61));
    assert_eq!(world.ask("search_files", json!({ "query": "plan" })).await.0, "stale");
    world.clock.advance(Duration::from_secs(240));
    assert_eq!(world.ask("search_emails", json!({ "query": "plan" })).await.0, "miss");
}

#[tokio::test]
async fn only_what_was_asked_for_comes_along() {
    let world = World::new().await;
    let args = json!({ "query": "plan", "entity_types": ["message"] });
    assert_eq!(world.ask("search_unified", args).await.0, "miss");
    assert_eq!(world.ask("search_files", json!({ "query": "plan" })).await.0, "miss");
}

/// Graph may leave a message out of searches while it takes in a change of it.
#[tokio::test]
async fn a_search_that_lands_while_a_message_is_being_marked_is_not_kept() {
    let world = World::new().await;
    // So that it is known where the message is.
    world.ask("search_emails", json!({ "query": "other" })).await;
    world.graph.replies.acquire_many(REPLIES).await.unwrap().forget();
    let asked = world.graph.count();
    let spawn = |tool: &'static str, args: Value| {
        let engine = world.engine.clone();
        tokio::spawn(async move { call(&engine, tool, args).await.unwrap() })
    };
    let words = json!({ "query": "plan", "limit": 5 });
    let search = spawn("search_emails", words.clone());
    world.graph.until_asked(asked + 1).await;
    let mark = spawn("email_mark_read", json!({ "email_id": "m20" }));
    world.graph.until_asked(asked + 2).await;
    world.graph.replies.add_permits(1);
    assert_eq!(search.await.unwrap()["_cache_status"], "miss");
    mark.await.unwrap();
    world.graph.replies.add_permits(REPLIES as usize);
    assert_eq!(world.ask("search_emails", words).await.0, "miss", "it does not show the message, and may have missed it");
}
