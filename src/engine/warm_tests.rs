//! What is fetched ahead of use after a write, through a whole engine.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};

use super::Warming;
use crate::{
    chance::SeededDice,
    clock::{Clock as _, ManualClock, Timestamp},
    engine::{
        Engine,
        testing::{self, Scripted, call, reply, run_queue},
    },
    graph::{GraphRequest, Method},
    store::{Ledger as _, Memory},
};

fn graph(request: &GraphRequest) -> Value {
    let message = json!({ "id": "m", "isRead": true, "parentFolderId": "F", "body": { "contentType": "text", "content": "" } });
    match (request.method, request.path.as_str()) {
        (Method::Get, "/me/mailFolders/inbox/messages") => json!({ "value": [message] }),
        (Method::Post, "/me/messages/m/reply") => Value::Null,
        _ => message,
    }
}

struct World {
    engine: Arc<Engine>,
    memory: Arc<Memory>,
    graph: Arc<Scripted>,
    clock: Arc<ManualClock>,
}

impl World {
    async fn new() -> Self {
        let graph = Scripted::new(|request| reply(graph(request)));
        let clock = Arc::new(ManualClock::at(Timestamp(1_000_000_000)));
        let memory = testing::memory(testing::account()).await;
        let (remote, dice) = (graph.remote(), Arc::new(SeededDice::new(7)));
        let warming = Warming { enabled: true, operations: Vec::new(), renewals: 100 };
        let change = |parts: &mut crate::engine::Parts| parts.policy.warming = warming;
        let engine = testing::engine_with(memory.clone(), memory.clone(), remote, clock.clone(), dice, change).await;
        Self { engine, memory, graph, clock }
    }

    async fn list(&self) -> String {
        let answer = call(&self.engine, "email_list", json!({})).await.unwrap();
        answer["_cache_status"].as_str().unwrap().to_owned()
    }

    async fn reply(&self) {
        call(&self.engine, "email_reply", json!({ "email_id": "m", "body": "x", "confirm": true })).await.unwrap();
    }

    async fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
        let (bumps, _) = self.memory.settle(self.clock.now()).await.unwrap();
        self.engine.truth.apply(&bumps);
    }

    /// Requests for what is due ahead of use.
    async fn ahead(&self) -> usize {
        let before = self.graph.count();
        self.engine.warm().await;
        run_queue(&self.engine).await;
        self.graph.count() - before
    }
}

#[tokio::test]
async fn what_a_write_has_overtaken_is_fetched_once_it_can_be_kept() {
    let world = World::new().await;
    assert_eq!(world.list().await, "miss");
    assert_eq!(world.ahead().await, 0);
    world.reply().await;
    assert_eq!(world.ahead().await, 0, "what Graph shows late is unsettled: the answer would not be kept");
    world.pass(61).await;
    assert_eq!(world.ahead().await, 1);
    assert_eq!(world.list().await, "fresh");
}

#[tokio::test]
async fn what_was_fetched_ahead_for_nobody_is_not_fetched_again_after_the_next_write() {
    let world = World::new().await;
    world.list().await;
    for fetched in [1, 0, 0] {
        world.clock.advance(Duration::from_secs(61));
        call(&world.engine, "email_mark_read", json!({ "email_id": "m" })).await.unwrap();
        assert_eq!(world.ahead().await, fetched);
    }
    world.list().await;
    call(&world.engine, "email_mark_read", json!({ "email_id": "m" })).await.unwrap();
    assert_eq!(world.ahead().await, 1, "somebody has looked at it");
}
