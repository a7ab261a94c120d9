//! A store that breaks while the engine runs: writes go out, nothing from before them is served, and all is trusted again in time.

use std::sync::{Arc, Mutex, atomic::Ordering::SeqCst};

use serde_json::{Value, json};

use crate::{
    chance::SeededDice,
    clock::{Clock as _, ManualClock, Timestamp},
    engine::{
        CallError, Engine,
        faulty::Faulty,
        testing::{self, Scripted, call, failure, reply},
    },
    graph::Method,
    store::{DoubtMark, Ledger as _, Limits, Memory},
};

struct World {
    store: Arc<Faulty>,
    graph: Arc<Scripted>,
    engine: Arc<Engine>,
    clock: Arc<ManualClock>,
    mark: DoubtMark,
    /// What the message is: read or not; and whether the reply to a write gets lost.
    message: Arc<Mutex<(bool, bool)>>,
    folder: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        let store = Faulty::over(Arc::new(Memory::new(Arc::new(SeededDice::new(1)), Limits::default())));
        store.save_account(testing::account()).await.unwrap();
        let message = Arc::new(Mutex::new((false, false)));
        let state = message.clone();
        let graph = Scripted::new(move |request| {
            let mut state = state.lock().unwrap();
            if request.method == Method::Patch {
                state.0 = request.body.as_ref().unwrap()["isRead"].as_bool().unwrap();
                if state.1 {
                    return Err(failure(None, true));
                }
            }
            reply(json!({ "id": "M", "subject": "s", "isRead": state.0, "parentFolderId": "F" }))
        });
        let clock = Arc::new(ManualClock::at(Timestamp(1_763_629_200_000)));
        let folder = tempfile::tempdir().unwrap();
        let mark = DoubtMark::at(&folder.path().join("unrecorded"));
        let engine = start(&store, &graph, &clock, &mark).await;
        Self { store, graph, engine, clock, mark, message, folder }
    }

    async fn get(&self) -> Value {
        call(&self.engine, "email_get", json!({ "email_id": "M", "include_attachments": false })).await.unwrap()
    }

    async fn mark_read(&self, read: bool) -> Result<Value, CallError> {
        call(&self.engine, "email_mark_read", json!({ "email_id": "M", "is_read": read })).await
    }

    fn broken(&self, broken: bool) {
        self.store.broken.store(broken, SeqCst);
    }

    /// The daemon is killed, and starts again.
    async fn restart(&mut self) {
        self.engine = start(&self.store, &self.graph, &self.clock, &self.mark).await;
    }
}

async fn start(store: &Arc<Faulty>, graph: &Arc<Scripted>, clock: &Arc<ManualClock>, mark: &DoubtMark) -> Arc<Engine> {
    let (dice, mark) = (Arc::new(SeededDice::new(7)), mark.clone());
    testing::engine_with(store.clone(), store.clone(), graph.remote(), clock.clone(), dice, |parts| parts.doubt = Some(mark)).await
}

#[tokio::test]
async fn a_write_goes_out_past_a_broken_store_and_nothing_older_is_served() {
    let world = World::new().await;
    assert_eq!(world.get().await["_cache_status"], "miss");
    assert_eq!(world.get().await["_cache_status"], "fresh");
    world.broken(true);
    assert_eq!(world.get().await["_cache_status"], "fresh", "what is known true is served from memory");
    let written = world.mark_read(true).await.unwrap();
    assert_eq!(written["_cache_status"], "bypass", "{written}");
    assert!(world.mark.raised());
    assert_eq!(world.engine.in_doubt().await, 1);
    for _ in 0..2 {
        let seen = world.get().await;
        assert_eq!((&seen["_cache_status"], &seen["isRead"]), (&json!("bypass"), &json!(true)));
    }
    world.broken(false);
    let seen = world.get().await;
    assert_eq!((&seen["_cache_status"], &seen["isRead"]), (&json!("miss"), &json!(true)));
    // Its effects may show late, so nothing is stored before that time has ended; then all is as ever.
    assert_eq!(world.get().await["_cache_status"], "miss");
    assert_eq!(world.engine.heal(world.clock.now()).await, Some(world.clock.now().plus(std::time::Duration::from_secs(60))));
    world.clock.advance(std::time::Duration::from_secs(60));
    assert_eq!(world.engine.heal(world.clock.now()).await, None);
    assert!(!world.mark.raised());
    assert_eq!(world.engine.in_doubt().await, 0);
    assert_eq!(world.get().await["_cache_status"], "miss");
    assert_eq!(world.get().await["_cache_status"], "fresh");
    assert!(world.mark_read(false).await.unwrap().get("_cache_status").is_none(), "journalled again");
}

#[tokio::test]
async fn a_source_that_cannot_begin_anew_stays_in_doubt_and_is_tried_again() {
    let world = World::new().await;
    world.get().await;
    world.broken(true);
    world.mark_read(true).await.unwrap();
    world.broken(false);
    *world.store.failing.lock().unwrap() = "renew";
    world.clock.advance(std::time::Duration::from_secs(60));
    let again = world.engine.heal(world.clock.now()).await.unwrap();
    assert!(again > world.clock.now(), "it is tried again without a pause");
    assert_eq!(world.engine.in_doubt().await, 1);
    assert!(world.mark.raised(), "the next start must know of it as well");
    let seen = world.get().await;
    assert_eq!((&seen["_cache_status"], &seen["isRead"]), (&json!("miss"), &json!(true)), "what may be older is served");
    *world.store.failing.lock().unwrap() = "";
    world.clock.advance(again.since(world.clock.now()));
    assert_eq!(world.engine.heal(world.clock.now()).await, None);
    assert_eq!((world.engine.in_doubt().await, world.mark.raised()), (0, false));
}

#[tokio::test]
async fn a_crash_hides_no_unrecorded_write() {
    for lost in [false, true] {
        let mut world = World::new().await;
        world.get().await;
        world.broken(true);
        world.message.lock().unwrap().1 = lost;
        match world.mark_read(true).await {
            Ok(_) => assert!(!lost),
            Err(CallError::UnknownOutcome(_)) => assert!(lost),
            Err(other) => panic!("{other}"),
        }
        // The crash comes before the store works again; the next start finds it working.
        world.broken(false);
        assert!(world.mark.raised());
        world.restart().await;
        assert!(!world.mark.raised());
        let seen = world.get().await;
        assert_eq!((&seen["_cache_status"], &seen["isRead"]), (&json!("miss"), &json!(true)), "lost: {lost}");
        assert_eq!(world.get().await["_cache_status"], "fresh");
    }
}

#[tokio::test]
async fn a_crash_while_an_unrecorded_write_is_under_way_hides_nothing_either() {
    let mut world = World::new().await;
    world.get().await;
    world.broken(true);
    let held = world.graph.replies.acquire_many(testing::REPLIES).await.unwrap();
    let asked = world.graph.count();
    let engine = world.engine.clone();
    let writing = tokio::spawn(async move { call(&engine, "email_mark_read", json!({ "email_id": "M", "is_read": true })).await });
    // The mark is there before Graph hears of it; the time in which effects show does not begin while it is under way.
    world.graph.until_asked(asked + 1).await;
    assert!(world.mark.raised());
    world.broken(false);
    world.clock.advance(std::time::Duration::from_secs(600));
    assert_eq!(world.engine.heal(world.clock.now()).await, None);
    assert!(world.mark.raised() && world.engine.in_doubt().await == 1);
    writing.abort();
    drop(held);
    world.restart().await;
    let seen = world.get().await;
    assert_eq!((&seen["_cache_status"], &seen["isRead"]), (&json!("miss"), &json!(true)));
}

#[tokio::test]
async fn without_the_mark_the_write_is_refused() {
    let world = World::new().await;
    world.get().await;
    world.broken(true);
    std::fs::remove_dir_all(world.folder.path()).unwrap();
    let asked = world.graph.count();
    let error = world.mark_read(true).await.unwrap_err();
    assert!(matches!(error, CallError::NotJournalled(_)), "{error}");
    assert_eq!(world.graph.count(), asked, "nothing was sent");
    // Nothing happened, so the source is trusted again as soon as the store works.
    world.broken(false);
    std::fs::create_dir(world.folder.path()).unwrap();
    world.engine.heal(world.clock.now()).await;
    assert_eq!(world.engine.in_doubt().await, 0);
    world.get().await;
    assert_eq!(world.get().await["_cache_status"], "fresh");
}

#[tokio::test]
async fn a_row_that_cannot_be_closed_is_dealt_with_alike() {
    let mut world = World::new().await;
    world.get().await;
    *world.store.failing.lock().unwrap() = "close_write";
    world.mark_read(true).await.unwrap();
    assert!(!world.mark.raised(), "the open row stands for it");
    *world.store.failing.lock().unwrap() = "";
    assert_eq!(world.get().await["isRead"], true);
    world.clock.advance(std::time::Duration::from_secs(60));
    world.engine.heal(world.clock.now()).await;
    world.get().await;
    assert_eq!(world.get().await["_cache_status"], "fresh");
    world.restart().await;
    let seen = world.get().await;
    assert_eq!((&seen["_cache_status"], &seen["isRead"]), (&json!("miss"), &json!(true)), "the row was closed as unknown");
}

#[tokio::test]
async fn a_clock_that_is_set_back_prolongs_a_doubt_by_its_own_length_at_most() {
    let world = World::new().await;
    world.get().await;
    world.store.broken.store(true, SeqCst);
    world.mark_read(true).await.unwrap();
    world.store.broken.store(false, SeqCst);
    world.clock.set(Timestamp(1_000_000));
    let unsettled = world.engine.policy().unsettled;
    assert_eq!(world.engine.heal(world.clock.now()).await, Some(world.clock.now().plus(unsettled)));
    world.clock.advance(unsettled);
    assert_eq!(world.engine.heal(world.clock.now()).await, None);
    assert_eq!(world.engine.in_doubt().await, 0);
}
