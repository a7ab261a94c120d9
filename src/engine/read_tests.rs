//! Answers from memory while the truth changes under them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::Duration,
};

use serde_json::{Map, Value, json};

use super::super::testing::{self, Scripted, call, engine, reply};
use crate::{
    chance::SeededDice,
    clock::{ManualClock, Timestamp},
    ids::Caller,
    store::{Ledger, Limits, Memory},
};

/// Looks of each reader: tens of thousands, so that a reader that looks twice meets a change in between.
const LOOKS: usize = 50_000;

#[tokio::test]
async fn readers_and_changes_never_wait_for_each_other_in_a_circle() {
    let (memory, clock) =
        (Arc::new(Memory::new(Arc::new(SeededDice::new(1)), Limits::default())), Arc::new(ManualClock::at(Timestamp(1_763_629_200_000))));
    Ledger::save_account(&*memory, testing::account()).await.unwrap();
    let graph = Scripted::new(|_| reply(json!({ "id": "F", "value": [] })));
    let engine = engine(memory.clone(), memory, graph.remote(), clock, Arc::new(SeededDice::new(2))).await;
    call(&engine, "email_list", json!({})).await.unwrap();
    let Value::Object(given) = json!({ "account_id": testing::ACCOUNT }) else { unreachable!() };
    let given: Arc<Map<String, Value>> = Arc::new(given);
    let ended = Arc::new(AtomicBool::new(false));
    // Threads of their own, which a test that fails leaves behind; those of the runtime it would wait for.
    let (done, is_done) = mpsc::channel();
    for _ in 0..2 {
        let (engine, given, done) = (engine.clone(), given.clone(), done.clone());
        std::thread::spawn(move || {
            let missed = (0..LOOKS).filter(|_| engine.peek(&Caller::default(), "email_list", &given).is_none()).count();
            done.send(missed)
        });
    }
    std::thread::spawn({
        let (engine, ended) = (engine.clone(), ended.clone());
        move || {
            while !ended.load(Ordering::Relaxed) {
                engine.truth.apply(&[]);
            }
        }
    });
    for _ in 0..2 {
        assert_eq!(is_done.recv_timeout(Duration::from_secs(60)), Ok(0), "a reader waits for a change that waits for it");
    }
    ended.store(true, Ordering::Relaxed);
}
