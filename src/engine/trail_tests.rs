//! What is recorded of calls: every read with its outcome, gathered; every write with its target; nothing of content.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::*;
use crate::{
    chance::SeededDice,
    clock::{Clock as _, ManualClock},
    engine::{
        faulty::Faulty,
        testing::{self, Scripted, failure, reply},
    },
    store::{Ledger as _, Limits, Memory, Trail as _},
};

const CANARY: &str = "canary-4711";

struct World {
    engine: Arc<Engine>,
    memory: Arc<Memory>,
    clock: Arc<ManualClock>,
    store: Arc<Faulty>,
}

async fn world_with(policy: AuditPolicy) -> World {
    world_where(policy, false).await
}

/// With a trail that breaks along with the store, where `breaks`.
async fn world_where(policy: AuditPolicy, breaks: bool) -> World {
    let memory = Arc::new(Memory::new(Arc::new(SeededDice::new(1)), Limits::default()));
    memory.save_account(testing::account()).await.unwrap();
    let store = Faulty::over(memory.clone());
    let graph = Scripted::new(|request| match format!("{request:?}") {
        gone if gone.contains("gone") => Err(failure(Some(404), false)),
        _ => reply(json!({ "id": "M", "subject": CANARY, "isRead": false, "parentFolderId": "F", "value": [] })),
    });
    let clock = Arc::new(ManualClock::at(Timestamp(1_763_629_200_000)));
    let dice = Arc::new(SeededDice::new(7));
    let records: Arc<dyn Records> = if breaks { store.clone() } else { memory.clone() };
    let engine = testing::engine_with(store.clone(), store.clone(), graph.remote(), clock.clone(), dice, |parts| {
        parts.records = records;
        parts.policy.audit = policy;
    });
    World { engine: engine.await, memory, clock, store }
}

impl World {
    async fn call(&self, tool: &str, args: Value) -> Result<Answer, CallError> {
        let Value::Object(mut args) = args else { unreachable!() };
        args.insert("account_id".into(), testing::ACCOUNT.into());
        self.engine.call(&Caller { client: "claude".into(), session: 1, ..Caller::default() }, tool, &args).await
    }

    fn peek(&self, tool: &str, args: &Map<String, Value>) -> Option<Answer> {
        self.engine.peek(&Caller { client: "claude".into(), session: 1, ..Caller::default() }, tool, args)
    }

    async fn records(&self) -> Vec<Shown> {
        self.engine.trail_tail(&Wanted::default(), 1000).await.unwrap()
    }
}

#[tokio::test]
async fn reads_are_gathered_and_none_is_left_out() {
    let world = world_with(AuditPolicy::default()).await;
    let get = json!({ "email_id": "M", "include_attachments": false });
    world.call("email_get", get.clone()).await.unwrap();
    let mut args = get.as_object().unwrap().clone();
    args.insert("account_id".into(), testing::ACCOUNT.into());
    for _ in 0..40 {
        world.clock.advance(Duration::from_millis(10));
        assert!(world.peek("email_get", &args).is_some());
    }
    assert!(world.call("email_get", json!({ "email_id": "gone", "include_attachments": false })).await.is_err());
    world.call("email_get", json!({ "email_id": "M", "include_attachments": false, "use_cache": false })).await.unwrap();
    assert_eq!(world.memory.ends().await.unwrap().head.seq, 0, "nothing is written while calls are answered");
    let records = world.records().await;
    let seen: Vec<_> = records
        .iter()
        .map(|shown| (&*shown.record.outcome, shown.record.times, shown.record.targets, &*shown.account, &*shown.record.client))
        .collect();
    let of = |how, times| (how, times, 1, testing::ACCOUNT, "claude");
    assert_eq!(seen.len(), 4, "{seen:?}");
    for expected in [of("miss", 1), of("fresh", 40), of("failed", 1), of("bypass", 1)] {
        assert!(seen.contains(&expected), "{expected:?}: {seen:?}");
    }
    let hit = records.iter().find(|shown| shown.record.outcome == "fresh").unwrap();
    assert_eq!(hit.record.until.since(hit.record.at), Duration::from_millis(390));
    assert!(world.engine.verify_trail(None).await.unwrap().holds());
    // By target, and by nobody's.
    let asked = |target: &str| Wanted { target: Some(target.into()), ..Wanted::default() };
    assert_eq!(world.engine.trail_tail(&asked("M"), 10).await.unwrap().len(), 3);
    assert!(world.engine.trail_tail(&asked("N"), 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn writes_are_recorded_twice_and_refusals_too() {
    let world = world_with(AuditPolicy::default()).await;
    world.call("email_mark_read", json!({ "email_id": "M" })).await.unwrap();
    assert!(world.call("email_delete", json!({ "email_id": "M" })).await.is_err(), "nobody has agreed");
    let records = world.records().await;
    let seen: Vec<_> =
        records.iter().map(|shown| (&*shown.record.kind, &*shown.record.tool, &*shown.record.outcome, shown.record.refers)).collect();
    let begun = records[0].record.seq;
    let expected =
        [("write", "email_mark_read", "", 0), ("written", "email_mark_read", "done", begun), ("write", "email_delete", "not_confirmed", 0)];
    assert_eq!(seen, expected);
    assert_eq!(records[0].record.marks.len(), 1);
}

#[tokio::test]
async fn nothing_of_content_is_in_it() {
    let world = world_with(AuditPolicy::default()).await;
    world.call("email_get", json!({ "email_id": CANARY, "include_attachments": false })).await.unwrap();
    world.call("search_emails", json!({ "query": CANARY })).await.ok();
    world.call("email_mark_read", json!({ "email_id": CANARY })).await.unwrap();
    let caller = Caller { client: "claude".into(), session: 1, ..Caller::default() };
    world.engine.invalidate(&format!("email_get:*:email_id={CANARY}"), None, CANARY.into(), &caller).await.unwrap();
    world.engine.invalidate(&format!("{CANARY}*"), None, CANARY.into(), &caller).await.unwrap();
    let records = world.records().await;
    assert!(records.len() >= 5, "{records:?}");
    assert!(!format!("{records:?}").contains(CANARY), "{records:?}");
    assert_eq!(records.iter().filter(|shown| shown.record.tool == "email_get").count(), 2, "the tools of a pattern are no content");
}

#[tokio::test]
async fn what_the_store_cannot_take_waits_and_is_written_once_and_in_order() {
    let world = world_where(AuditPolicy::default(), true).await;
    let event = |outcome| Event::new(Kind::SignIn, world.clock.now()).ended(outcome);
    *world.store.failing.lock().unwrap() = "append";
    world.engine.record(event("first")).await;
    world.engine.record(event("second")).await;
    assert_eq!(world.memory.ends().await.unwrap().head.seq, 0);
    *world.store.failing.lock().unwrap() = "";
    world.engine.record(event("third")).await;
    let outcomes: Vec<String> = world.records().await.into_iter().map(|shown| shown.record.outcome).collect();
    assert_eq!(outcomes, ["first", "second", "third"]);
}

#[tokio::test]
async fn what_is_too_much_to_wait_is_told_by_its_number() {
    let world = world_where(AuditPolicy::default(), true).await;
    let event = |outcome| Event::new(Kind::Read, world.clock.now()).ended(outcome);
    *world.store.failing.lock().unwrap() = "append";
    // The oldest go: one that stands for three reads, and one more.
    world.engine.record_later(event("oldest").times(3));
    for _ in 0..WAITING {
        world.engine.record_later(event("kept"));
    }
    world.engine.record(event("newest")).await;
    *world.store.failing.lock().unwrap() = "";
    world.engine.flush_trail().await;
    let first = &world.memory.records(Range::After(0), 1).await.unwrap()[0];
    assert_eq!((&*first.outcome, first.times), ("lost", 4));
    let last = &world.memory.records(Range::Before(u64::MAX), 1).await.unwrap()[0];
    assert_eq!((&*last.outcome, last.seq), ("newest", 1 + WAITING as u64));
}

#[tokio::test]
async fn reads_can_be_left_out_and_writes_cannot() {
    let world = world_with(AuditPolicy { reads: false, ..AuditPolicy::default() }).await;
    world.call("email_get", json!({ "email_id": "M", "include_attachments": false })).await.unwrap();
    world.call("email_mark_read", json!({ "email_id": "M" })).await.unwrap();
    let kinds: Vec<String> = world.records().await.into_iter().map(|shown| shown.record.kind).collect();
    assert_eq!(kinds, ["write", "written"]);
}

#[tokio::test]
async fn signing_out_and_invalidations_are_recorded_with_who_asked() {
    let world = world_with(AuditPolicy::default()).await;
    world.call("email_get", json!({ "email_id": "M", "include_attachments": false })).await.unwrap();
    let caller = Caller { client: "cachectl".into(), session: 0, ..Caller::default() };
    world.engine.invalidate("email_*", None, String::new(), &caller).await.unwrap();
    world.engine.logout(testing::ACCOUNT, &caller).await.unwrap();
    let records = world.records().await;
    let last: Vec<_> = records[1..].iter().map(|shown| (&*shown.record.kind, &*shown.record.client, shown.record.times)).collect();
    assert_eq!(last, [("invalidation", "cachectl", 1), ("sign_out", "cachectl", 0)]);
}

#[tokio::test]
async fn what_is_old_goes() {
    let world = world_with(AuditPolicy { keep: Duration::from_secs(3600), ..AuditPolicy::default() }).await;
    world.call("email_mark_read", json!({ "email_id": "M" })).await.unwrap();
    world.clock.advance(Duration::from_secs(7200));
    world.engine.prune_trail(world.clock.now()).await;
    let kinds: Vec<String> = world.records().await.into_iter().map(|shown| shown.record.kind).collect();
    assert_eq!(kinds, ["prune"]);
    assert!(world.engine.verify_trail(None).await.unwrap().holds());
    drop(world.store);
}

/// What recording adds to a hot hit.
#[tokio::test]
#[ignore = "a measurement of an optimised build: cargo test --release -p m365-cached --lib what_recording_costs -- --ignored --nocapture"]
async fn what_recording_costs() {
    const TIMES: u32 = 200_000;
    let mut hits = Vec::new();
    for reads in [false, true] {
        let world = world_with(AuditPolicy { reads, ..AuditPolicy::default() }).await;
        world.call("email_get", json!({ "email_id": "M", "include_attachments": false })).await.unwrap();
        let args = json!({ "account_id": testing::ACCOUNT, "email_id": "M", "include_attachments": false });
        let args = args.as_object().unwrap();
        let best = (0..7).map(|_| {
            let watch = crate::clock::Stopwatch::start();
            (0..TIMES).for_each(|_| drop(std::hint::black_box(world.peek("email_get", args).unwrap())));
            watch.micros() * 1000 / u64::from(TIMES)
        });
        hits.push(best.min().unwrap());
    }
    let _ = std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("a hot hit {} ns, recorded {} ns\n", hits[0], hits[1]));
}

#[tokio::test]
async fn nothing_is_dropped_while_all_of_it_is_gone_through() {
    let world = world_where(AuditPolicy { keep: Duration::from_secs(60), ..AuditPolicy::default() }, true).await;
    let old = Event::new(Kind::Key, world.clock.now()).ended("rotated");
    world.engine.record(old).await;
    world.clock.advance(Duration::from_secs(3600));
    *world.store.held.lock().unwrap() = "verify";
    let engine = world.engine.clone();
    let verifying = tokio::spawn(async move { engine.verify_trail(None).await.unwrap() });
    world.store.waiting.subscribe().wait_for(|waiting| *waiting == 1).await.unwrap();
    let engine = world.engine.clone();
    let now = world.clock.now();
    let pruning = tokio::spawn(async move { engine.prune_trail(now).await });
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.memory.ends().await.unwrap().floor.seq, 0, "records are missing that it is about to look for");
    world.store.gate.add_permits(1);
    assert!(verifying.await.unwrap().holds());
    pruning.await.unwrap();
    assert_eq!(world.memory.ends().await.unwrap().floor.seq, 1);
}
