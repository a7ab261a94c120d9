//! Settings that are exchanged while the engine works.

use serde_json::{Map, json};

use super::{
    testing::{self, Scripted, call, engine_with, reply},
    *,
};
use crate::{
    chance::SeededDice,
    clock::ManualClock,
    graph::GraphRequest,
    store::{Limits, Memory},
};

async fn engine(policy: Policy) -> (Arc<Engine>, Arc<Scripted>) {
    let memory = Arc::new(Memory::new(Arc::new(SeededDice::new(4)), Limits::default()));
    Ledger::save_account(&*memory, testing::account()).await.unwrap();
    let clock = Arc::new(ManualClock::at(Timestamp(1_763_629_200_000)));
    let graph = Scripted::new(|_: &GraphRequest| reply(json!({ "id": "F", "value": [] })));
    let engine =
        engine_with(memory.clone(), memory, graph.remote(), clock, Arc::new(SeededDice::new(5)), |parts| parts.policy = policy).await;
    (engine, graph)
}

fn operation(tool: &str) -> Operation {
    Operation { tool: tool.into(), args: Map::new(), priority: 5, throttle: Duration::ZERO }
}

fn other() -> Policy {
    Policy {
        caching: false,
        tools: [("email_list".to_owned(), ToolPolicy { caching: false, ttl: None })].into(),
        uncached_accounts: vec!["ada".into()],
        deadline: Duration::from_secs(7),
        unsettled: Duration::from_secs(8),
        bounds: Bounds { per_source: 9, total: 10 },
        room: RoomLimits { bytes: 11, ..RoomLimits::default() },
        cloud: "usgov".into(),
        device: true,
        compat: true,
        short_ids: false,
        strict: true,
        warming: Warming { enabled: true, operations: vec![operation("email_list")], renewals: 12 },
        audit: AuditPolicy { reads: false, keep: Duration::from_secs(13) },
        exclude: Exclusions { folders: vec!["drafts".into()], senders: Vec::new() },
        accounts: AccountNames::default(),
    }
}

#[tokio::test]
async fn everything_is_taken_but_what_answers_are_made_of() {
    let (engine, _) = engine(Policy::default()).await;
    engine.reconfigure(other());
    let expected = Policy { cloud: "global".into(), compat: false, short_ids: true, ..other() };
    assert_eq!(format!("{:?}", engine.policy()), format!("{expected:?}"));
}

#[tokio::test]
async fn the_next_call_goes_by_the_new_settings() {
    let (engine, graph) = engine(Policy::default()).await;
    let ask = || call(&engine, "email_list", json!({}));
    ask().await.unwrap();
    let first = graph.asked().len();
    ask().await.unwrap();
    assert_eq!(graph.asked().len(), first, "the second is from the cache");
    engine.reconfigure(Policy { caching: false, ..Policy::default() });
    ask().await.unwrap();
    let uncached = graph.asked().len();
    assert!(uncached > first, "nothing is cached any more");
    engine.reconfigure(Policy::default());
    ask().await.unwrap();
    assert_eq!(graph.asked().len(), uncached, "what was kept is there again");
}

/// Steps know their operation by its number.
#[tokio::test]
async fn other_operations_begin_a_new_warm_up_and_no_step_of_the_old_one_is_made() {
    let warming = |tools: &[&str]| Warming { enabled: true, operations: tools.iter().map(|tool| operation(tool)).collect(), renewals: 0 };
    let (engine, _) = engine(Policy { warming: warming(&["folder_get_tree", "contact_list", "email_list"]), ..Policy::default() }).await;
    engine.warm().await;
    assert_eq!(engine.warming_now().total, 3);
    engine.reconfigure(Policy { warming: warming(&["email_list"]), ..Policy::default() });
    engine.warm().await;
    let now = engine.warming_now();
    assert_eq!((now.total, now.running), (1, true), "{now:?}");
    engine.reconfigure(Policy { warming: Warming::default(), ..Policy::default() });
    assert!(!engine.warming_now().enabled);
}
