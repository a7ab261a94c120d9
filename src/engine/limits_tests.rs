//! Limits by their own triggers: too many entries, too many bytes, answers past their use, a clock that jumps.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};

use super::*;
use crate::{
    audit::{Event, Kind},
    cache::Held,
    chance::SeededDice,
    clock::{Clock as _, ManualClock},
    engine::testing::{self, Scripted, call, reply},
    store::{Entries as _, Evicted, Ledger as _, Limits as StoreLimits, Memory, Trail as _},
};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
const START: Timestamp = Timestamp(1_763_629_200_000);

struct World {
    memory: Arc<Memory>,
    clock: Arc<ManualClock>,
    graph: Arc<Scripted>,
    engine: Arc<Engine>,
}

impl World {
    async fn new(limits: RoomLimits) -> Self {
        Self::over(Arc::new(Memory::new(Arc::new(SeededDice::new(1)), StoreLimits { entry_bytes: 100_000 })), limits, START).await
    }

    async fn over(memory: Arc<Memory>, limits: RoomLimits, at: Timestamp) -> Self {
        let room = memory.clone();
        Self::within(memory, room, limits, at).await
    }

    async fn within(memory: Arc<Memory>, room: Arc<dyn Room>, limits: RoomLimits, at: Timestamp) -> Self {
        let clock = Arc::new(ManualClock::at(at));
        let graph = Scripted::new(|request| {
            let folder = request.path.trim_start_matches('/').split('/').nth(2).unwrap().to_owned();
            let subject = if folder == "large" { "x".repeat(200_000) } else { "s".into() };
            let message = json!({ "id": format!("{folder}-1"), "subject": subject, "isRead": false, "parentFolderId": folder });
            reply(json!({ "value": [message] }))
        });
        memory.save_account(testing::account()).await.unwrap();
        let dice = Arc::new(SeededDice::new(7));
        let records = memory.clone();
        let engine = testing::engine_with(memory.clone(), memory.clone(), graph.remote(), clock.clone(), dice, |parts| {
            parts.policy.room = limits;
            parts.room = Some(room);
            parts.records = records;
        })
        .await;
        Self { memory, clock, graph, engine }
    }

    async fn list(&self, folder: &str) -> Value {
        call(&self.engine, "email_list", json!({ "folder_id": folder, "include_body": false })).await.unwrap()
    }

    async fn entries(&self) -> u64 {
        self.memory.stats().await.unwrap().entries
    }

    /// Whether the answer for `folder` is still stored.
    async fn keeps(&self, folder: &str) -> bool {
        let before = self.graph.count();
        self.list(folder).await;
        self.graph.count() == before
    }

    /// Half an hour passes and the sweeper looks.
    async fn half_an_hour(&self) {
        self.clock.advance(LOOK);
        self.engine.look().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_account_over_its_limit_loses_what_was_used_longest_ago() {
    let world = World::new(RoomLimits { account_entries: 40, ..RoomLimits::default() }).await;
    let cleaning = tokio::spawn(crate::worker::clean(world.engine.clone()));
    for folder in 0..40 {
        world.list(&format!("F{folder}")).await;
        world.clock.advance(Duration::from_secs(1));
    }
    world.list("F0").await;
    world.list("F40").await;
    assert_eq!(world.entries().await, 41);
    // The cleaner's own pause; it is woken by what was stored.
    let gone = async {
        while world.entries().await > 36 {
            world.clock.advance(Duration::from_secs(1));
            sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), gone).await.expect("nothing is cleaned up");
    cleaning.abort();
    let group = world.memory.groups().await.unwrap().remove(0);
    let left = world.memory.places(&group, Order::Used, None, 100).await.unwrap();
    let left: Vec<u64> = left.iter().map(|place| place.at.since(START).as_secs()).collect();
    // The first was used again when the last was stored.
    let expected: Vec<u64> = (6..=40).chain([40]).collect();
    assert_eq!(left, expected);
    assert!(world.keeps("F0").await && world.keeps("F40").await);
}

#[tokio::test(start_paused = true)]
async fn a_clean_up_goes_from_one_share_to_the_other_and_memory_forgets_too() {
    let world = World::new(RoomLimits::default()).await;
    world.list("F0").await;
    let each = world.memory.held().await.unwrap().bytes;
    for folder in 1..100 {
        world.clock.advance(Duration::from_secs(1));
        world.list(&format!("F{folder}")).await;
    }
    let held = world.memory.held().await.unwrap().bytes;
    // 100 entries are 80 %, a little more than allowed.
    let tight = World::over(world.memory.clone(), RoomLimits { bytes: held * 100 / 81, ..RoomLimits::default() }, world.clock.now()).await;
    assert!(tight.keeps("F0").await, "it is opened in memory now");
    let gone = tight.engine.clean().await.unwrap();
    let left = tight.memory.held().await.unwrap().bytes;
    assert!(left * 100 <= held * 100 / 81 * 60 && left + 2 * each > held * 60 / 81, "{left} of {held}");
    assert_eq!(gone.entries, 100 - tight.entries().await);
    assert_eq!(tight.engine.clean().await.unwrap(), Share::default(), "once is enough");
    let status = tight.engine.room_status().await.unwrap();
    assert_eq!((status.evicted, status.cleaned.map(|cleaned| cleaned.gone)), (gone.entries, Some(gone)));
    let hot = tight.engine.hot.len();
    assert!(hot as u64 <= tight.entries().await, "{hot} opened answers");
}

/// A store in whose file the ledger takes so many bytes.
struct Beside {
    answers: Arc<Memory>,
    ledger: u64,
}

#[async_trait]
impl Room for Beside {
    async fn held(&self) -> Result<Held, StoreError> {
        let held = self.answers.held().await?;
        Ok(Held { bytes: held.bytes + self.ledger, ..held })
    }

    async fn groups(&self) -> Result<Vec<Group>, StoreError> {
        self.answers.groups().await
    }

    async fn fetched(&self, group: &Group) -> Result<Option<(Timestamp, Timestamp)>, StoreError> {
        self.answers.fetched(group).await
    }

    async fn places(&self, group: &Group, order: Order, after: Option<Place>, most: usize) -> Result<Vec<Place>, StoreError> {
        self.answers.places(group, order, after, most).await
    }

    async fn evict(&self, order: Order, places: Vec<Place>) -> Result<Evicted, StoreError> {
        self.answers.evict(order, places).await
    }

    async fn give_back(&self) -> Result<bool, StoreError> {
        self.answers.give_back().await
    }
}

#[tokio::test(start_paused = true)]
async fn answers_are_kept_however_large_the_ledger_is_and_that_is_told() {
    for (percent, told) in [(40, false), (65, true), (85, true), (200, true)] {
        let limits = RoomLimits { bytes: 400_000, ..RoomLimits::default() };
        let answers = Arc::new(Memory::new(Arc::new(SeededDice::new(1)), StoreLimits { entry_bytes: 100_000 }));
        let ledger = limits.bytes * percent / 100;
        let room = Arc::new(Beside { answers: answers.clone(), ledger });
        let world = World::within(answers, room, limits, START).await;
        for folder in 0..5 {
            world.list(&format!("F{folder}")).await;
            world.clock.advance(Duration::from_secs(1));
            assert_eq!(world.engine.clean().await.unwrap(), Share::default(), "{percent} %");
        }
        assert!(world.keeps("F0").await && world.keeps("F4").await, "{percent} %");
        assert_eq!(world.engine.room_status().await.unwrap().ledger, Some(ledger).filter(|_| told), "{percent} %");
        // They keep to their own share all the same.
        let mut gone = 0;
        for folder in 5..200 {
            world.list(&format!("F{folder}")).await;
            world.clock.advance(Duration::from_secs(1));
            gone += world.engine.clean().await.unwrap().entries;
        }
        let kept = world.memory.held().await.unwrap().bytes;
        assert!(gone > 0 && kept <= limits.bytes * 40 / 100 && kept >= limits.bytes * 14 / 100, "{percent} %: {kept}");
        assert!(world.keeps("F199").await, "{percent} %");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_past_use_goes_first_and_what_may_stand_in_goes_before_what_is_served() {
    let world = World::new(RoomLimits { account_entries: 3, ..RoomLimits::default() }).await;
    world.list("past").await;
    world.clock.advance(8 * DAY);
    world.list("expired").await;
    world.clock.advance(2 * DAY);
    world.list("served").await;
    // Used last, and past use all the same: nobody may be served it.
    let past = world.memory.places(&world.memory.groups().await.unwrap()[0], Order::Fetched, None, 1).await.unwrap();
    assert_eq!(past[0].at, START);
    world.list("more").await;
    assert_eq!(world.engine.clean().await.unwrap().entries, 2);
    assert!(world.keeps("served").await && world.keeps("more").await);
}

#[tokio::test(start_paused = true)]
async fn an_answer_past_its_use_is_gone_within_the_hour_and_an_idle_sweeper_asks_nobody() {
    let world = World::new(RoomLimits::default()).await;
    let started = world.clock.now();
    world.half_an_hour().await;
    world.list("F0").await;
    let fetched = world.clock.now();
    let sweeping = tokio::spawn(crate::worker::sweep(world.engine.clone()));
    let mut last_seen = fetched;
    while world.entries().await == 1 {
        last_seen = world.clock.now();
        assert!(world.clock.now().since(fetched) < Ttl::IF_ERROR + HOUR, "it is still there");
        world.clock.advance(Duration::from_secs(300));
        for _ in 0..3 {
            sleep(Duration::from_millis(1)).await;
        }
    }
    sweeping.abort();
    assert!(last_seen.since(fetched) >= Ttl::IF_ERROR, "too early: {:?}", last_seen.since(fetched));
    assert!(world.engine.hot.is_empty());
    assert_eq!(world.engine.room_status().await.unwrap().swept, 1);
    assert!(started < fetched);
}

#[tokio::test(start_paused = true)]
async fn a_short_window_is_swept_when_it_ends_not_when_the_long_ones_do() {
    let memory = Arc::new(Memory::new(Arc::new(SeededDice::new(1)), StoreLimits::default()));
    let world = World::over(memory, RoomLimits::default(), START).await;
    world.list("F0").await;
    world.half_an_hour().await;
    assert_eq!(world.engine.limits.known().due, Some(START.plus(Ttl::IF_ERROR)));
    world.engine.limits.stored(world.clock.now(), Ttl { fresh: Duration::ZERO, stale: HOUR, if_error: Duration::ZERO });
    assert_eq!(world.engine.limits.known().due, Some(world.clock.now().plus(HOUR)));
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_jumps_removes_nothing_until_it_has_gone_on_evenly() {
    for jump in [1, -1] {
        let world = World::new(RoomLimits::default()).await;
        world.half_an_hour().await;
        world.list("F0").await;
        world.half_an_hour().await;
        let right = world.clock.now();
        let wrong = Timestamp(right.0 + jump * 400 * i64::try_from(DAY.as_millis()).unwrap());
        world.clock.set(wrong);
        world.engine.look().await;
        world.engine.look().await;
        assert_eq!(world.entries().await, 1, "{jump}: swept by a clock that has just jumped");
        world.clock.set(right);
        world.engine.look().await;
        world.half_an_hour().await;
        assert_eq!(world.entries().await, 1, "{jump}: a jump there and back costs nothing");
        // One that stays is the time: nothing is kept for ever.
        world.clock.set(wrong);
        world.engine.look().await;
        world.half_an_hour().await;
        world.half_an_hour().await;
        assert_eq!(world.entries().await, 0, "{jump}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_daemon_that_starts_with_a_wrong_clock_waits_and_one_that_was_away_for_a_fortnight_does_not() {
    for (days, left) in [(400, 1), (-400, 1), (14, 0), (3, 1)] {
        let world = World::new(RoomLimits::default()).await;
        world.list("F0").await;
        let at = Timestamp(START.0 + days * i64::try_from(DAY.as_millis()).unwrap());
        let again = World::over(world.memory.clone(), RoomLimits::default(), at).await;
        again.engine.look().await;
        assert_eq!(again.entries().await, left, "{days} days");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_over_the_limit_is_given_not_kept_and_says_so() {
    let world = World::new(RoomLimits::default()).await;
    for _ in 0..2 {
        let answer = world.list("large").await;
        assert_eq!(answer["_cache_status"], "bypass");
        assert!(answer["_warning"].as_str().unwrap().contains("larger than the cache keeps"), "{answer}");
        assert_eq!(answer["messages"][0]["subject"].as_str().unwrap().len(), 200_000);
    }
    assert_eq!(world.entries().await, 0);
}

#[tokio::test(start_paused = true)]
async fn what_a_wrong_clock_has_stamped_since_the_start_does_not_speak_for_it() {
    for days in [800, -800] {
        let world = World::new(RoomLimits::default()).await;
        world.list("F0").await;
        world.engine.record(Event::new(Kind::Key, START).ended("rotated")).await;
        let at = Timestamp(START.0 + days * i64::try_from(DAY.as_millis()).unwrap());
        let again = World::over(world.memory.clone(), RoomLimits::default(), at).await;
        again.list("F1").await;
        again.engine.record(Event::new(Kind::Key, at).ended("exported")).await;
        again.engine.look().await;
        let first = async || again.memory.records(Range::After(0), 1).await.unwrap()[0].seq;
        assert_eq!((again.entries().await, first().await), (2, 1), "{days} days");
        // It goes on so: then it is the time.
        again.half_an_hour().await;
        assert_eq!(again.entries().await, 1, "{days} days");
        assert_eq!(first().await == 1, days < 0, "{days} days: of what is ahead nobody knows the age");
    }
}
