//! Somebody who waits for what was begun in the background is served like somebody who waits.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::SeqCst},
};

use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::{
    testing::{self, REPLIES, Scripted, call, engine, failure, reply},
    *,
};
use crate::{
    auth::testing::within,
    chance::SeededDice,
    clock::ManualClock,
    graph::GraphRequest,
    queue::TaskKind,
    store::{Limits, Memory},
    tools::StepError,
};

struct World {
    engine: Arc<Engine>,
    clock: Arc<ManualClock>,
    graph: Arc<Scripted>,
}

impl World {
    async fn new(graph: Arc<Scripted>) -> Self {
        let (memory, clock) = (
            Arc::new(Memory::new(Arc::new(SeededDice::new(4)), Limits::default())),
            Arc::new(ManualClock::at(Timestamp(1_763_629_200_000))),
        );
        Ledger::save_account(&*memory, testing::account()).await.unwrap();
        let engine = engine(memory.clone(), memory, graph.remote(), clock.clone(), Arc::new(SeededDice::new(5))).await;
        Self { engine, clock, graph }
    }

    /// Begins a task for the answer of `tool` as a worker does.
    async fn background(&self, tool: &str) -> JoinHandle<()> {
        let (account, tool) = (testing::ACCOUNT.to_owned(), tool.to_owned());
        let ask = Ask { kind: TaskKind::Refresh, account, tool, args: Map::new(), priority: 5, not_before: None };
        assert!(self.engine.enqueue_task(ask).await.unwrap());
        let Next::Run(run) = self.engine.next_task().await else { panic!("no task") };
        let engine = self.engine.clone();
        tokio::spawn(async move {
            let result = engine.refresh(&run).await;
            engine.settle(run, result).await;
        })
    }

    fn foreground(&self, tool: &'static str) -> JoinHandle<Result<Value, CallError>> {
        let engine = self.engine.clone();
        tokio::spawn(async move { call(&engine, tool, json!({})).await })
    }
}

#[tokio::test]
async fn a_call_that_joins_a_flight_of_the_background_makes_it_urgent() {
    let world = World::new(Scripted::new(|_| reply(json!({ "id": "F", "value": [] })))).await;
    let held = world.graph.replies.acquire_many(REPLIES).await.unwrap();
    let task = world.background("email_list").await;
    world.graph.until_asked(1).await;
    let urgency = world.graph.urgency(0);
    assert_eq!(urgency.now(), Urgency::Background);
    let joined = world.foreground("email_list");
    within(urgency.raised()).await;
    drop(held);
    assert_eq!(within(joined).await.unwrap().unwrap()["_cache_status"], "miss");
    within(task).await.unwrap();
    let mut paths: Vec<String> = world.graph.asked().iter().map(GraphRequest::target).collect();
    let asked = paths.len();
    paths.sort();
    paths.dedup();
    assert_eq!(paths.len(), asked, "one flight: nothing was asked twice");
}

#[tokio::test]
async fn a_flight_whose_time_had_run_before_somebody_waited_is_no_answer_to_them() {
    let late = Arc::new(AtomicBool::new(true));
    let graph = Scripted::new(move |_| {
        if late.swap(false, SeqCst) {
            return Err(StepError { code: graph::TIMEOUT, ..failure(None, false) });
        }
        reply(json!({ "id": "F", "value": [] }))
    });
    let world = World::new(graph).await;
    let held = world.graph.replies.acquire_many(REPLIES).await.unwrap();
    let task = world.background("email_list").await;
    world.graph.until_asked(1).await;
    let joined = world.foreground("email_list");
    within(world.graph.urgency(0).raised()).await;
    drop(held);
    assert_eq!(within(joined).await.unwrap().unwrap()["_cache_status"], "miss");
    within(task).await.unwrap();
}

#[tokio::test]
async fn a_call_that_waits_for_a_check_of_the_background_makes_it_urgent() {
    let link = "https://graph/delta/1";
    let graph = Scripted::new(move |request| match request.path.as_str() {
        "/me/drive" => reply(json!({ "id": "D" })),
        "/me/drive/root" => reply(json!({ "id": "R", "root": {}, "folder": { "childCount": 0 } })),
        _ => reply(json!({ "value": [{ "id": "R", "root": {}, "folder": { "childCount": 0 } }], "@odata.deltaLink": link })),
    });
    let world = World::new(graph).await;
    call(&world.engine, "folder_get_tree", json!({})).await.unwrap();
    world.clock.advance(Duration::from_secs(3 * 3600));
    let before = world.graph.count();
    let held = world.graph.replies.acquire_many(REPLIES).await.unwrap();
    let task = world.background("folder_get_tree").await;
    world.graph.until_asked(before + 1).await;
    let urgency = world.graph.urgency(before);
    assert_eq!((urgency.now(), world.graph.asked()[before].path.as_str()), (Urgency::Background, link));
    let waits = world.foreground("folder_get_tree");
    within(urgency.raised()).await;
    drop(held);
    assert_eq!(within(waits).await.unwrap().unwrap()["_cache_status"], "fresh");
    within(task).await.unwrap();
    assert_eq!(world.graph.count(), before + 1, "both are told by one small request");
}

#[tokio::test]
async fn a_flight_is_joined_only_while_what_it_brings_is_young_enough() {
    let world = World::new(Scripted::new(|_| reply(json!({ "id": "F", "value": [] })))).await;
    let fresh = world.engine.ttl_named("email_list").fresh;
    let held = world.graph.replies.acquire_many(REPLIES).await.unwrap();
    let first = world.foreground("email_list");
    world.graph.until_asked(1).await;
    world.clock.advance(fresh);
    let second = world.foreground("email_list");
    // On a runtime of one thread: it has had its turns.
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.graph.count(), 1, "the second joins the first");
    world.clock.advance(Duration::from_millis(1));
    let third = world.foreground("email_list");
    within(world.graph.until_asked(2)).await;
    drop(held);
    for call in [first, second, third] {
        assert_eq!(within(call).await.unwrap().unwrap()["_cache_status"], "miss");
    }
    let paths: Vec<String> = world.graph.asked().iter().map(GraphRequest::target).collect();
    let again = paths.iter().filter(|path| **path == paths[0]).count();
    assert_eq!(again, 2, "{paths:?}");
}

#[tokio::test]
async fn who_wants_microsoft_asked_now_joins_no_flight_that_began_before() {
    let world = World::new(Scripted::new(|_| reply(json!({ "id": "F", "value": [] })))).await;
    let forced = || {
        let engine = world.engine.clone();
        tokio::spawn(async move { call(&engine, "email_list", json!({ "force_refresh": true })).await })
    };
    let held = world.graph.replies.acquire_many(REPLIES).await.unwrap();
    let first = world.foreground("email_list");
    world.graph.until_asked(1).await;
    world.clock.advance(Duration::from_secs(5));
    let second = forced();
    within(world.graph.until_asked(2)).await;
    let third = forced();
    // On a runtime of one thread: it has had its turns.
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.graph.count(), 2, "who wants it at the same moment joins");
    drop(held);
    for call in [first, second, third] {
        assert_eq!(within(call).await.unwrap().unwrap()["_cache_status"], "miss");
    }
    let paths: Vec<String> = world.graph.asked().iter().map(GraphRequest::target).collect();
    assert_eq!(paths.iter().filter(|path| **path == paths[0]).count(), 2, "{paths:?}");
}

/// The table has room for one task of a key, and the one that brought the last answer is in it until it is settled.
#[tokio::test]
async fn an_answer_that_grows_old_before_its_refresh_is_settled_is_refreshed_again() {
    let world = World::new(Scripted::new(|_| reply(json!({ "id": "F", "value": [] })))).await;
    let (old, ask) = (Duration::from_secs(121), || call(&world.engine, "email_list", json!({})));
    let next = || async {
        // What puts it into the queue was spawned: it has its turn.
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        world.engine.next_task().await
    };
    ask().await.unwrap();
    world.clock.advance(old);
    assert_eq!(ask().await.unwrap()["_cache_status"], "stale");
    let Next::Run(run) = next().await else { panic!("no task") };
    let result = world.engine.refresh(&run).await;
    world.clock.advance(old);
    assert_eq!(ask().await.unwrap()["_cache_status"], "stale");
    world.engine.settle(run, result).await;
    let Next::Run(run) = next().await else { panic!("the second stale answer is refreshed by nobody") };
    // One that was stale before the answer came asks for nothing more.
    assert_eq!(ask().await.unwrap()["_cache_status"], "stale");
    let result = world.engine.refresh(&run).await;
    world.engine.settle(run, result).await;
    assert!(matches!(next().await, Next::Wait(_)), "an answer that is fresh is asked for again");
}
