//! The budget under a clock that stands still.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::task::JoinHandle;

use super::*;
use crate::{
    auth::testing::{until, within},
    clock::ManualClock,
};

const LATE: Timestamp = Timestamp(1_000_000_000);

struct World {
    budget: Arc<Budget>,
    clock: Arc<ManualClock>,
    /// Names of those who got a place, in order.
    order: Arc<Mutex<Vec<String>>>,
}

impl World {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::at(Timestamp(0)));
        Self { budget: Budget::new(clock.clone(), OUTLOOK_LIMIT), clock, order: Arc::default() }
    }

    fn gauges(&self) -> (usize, usize) {
        let gauges = self.budget.gauges();
        (gauges.in_flight, gauges.waiting)
    }

    fn ask(&self, name: &str, urgency: impl Into<Hurry>, places: usize, deadline: Timestamp) -> JoinHandle<Result<Permit, Full>> {
        let (budget, order, name, urgency) = (self.budget.clone(), self.order.clone(), name.to_owned(), urgency.into());
        tokio::spawn(async move {
            let permit = budget.acquire("box", &urgency, places, deadline).await?;
            order.lock().unwrap().push(name);
            Ok(permit)
        })
    }

    /// Asks, and comes back once the request stands in the queue or has its place.
    async fn queue(&self, name: &str, urgency: Urgency, places: usize) -> JoinHandle<Result<Permit, Full>> {
        self.queue_for(name, &urgency.into(), places).await
    }

    async fn queue_for(&self, name: &str, urgency: &Hurry, places: usize) -> JoinHandle<Result<Permit, Full>> {
        let (used, waiting) = self.gauges();
        let asked = self.ask(name, urgency.clone(), places, LATE);
        until(|| {
            let (now_used, now_waiting) = self.gauges();
            now_used + now_waiting > used + waiting
        })
        .await;
        asked
    }

    async fn take(&self, urgency: Urgency, places: usize) -> Permit {
        within(self.budget.acquire("box", &urgency.into(), places, LATE)).await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn never_more_than_four_at_once_and_of_those_three_in_the_background() {
    let world = World::new();
    let counters: Arc<[AtomicUsize; 4]> = Arc::default();
    let tasks: Vec<_> = (0..400)
        .map(|number| {
            let (budget, counters) = (world.budget.clone(), counters.clone());
            tokio::spawn(async move {
                let background = number % 3 != 0;
                let urgency = if background { Urgency::Background } else { Urgency::Foreground };
                let permit = budget.acquire("box", &urgency.into(), 1 + number % 2, LATE).await.unwrap();
                let used = counters[0].fetch_add(permit.places, Ordering::SeqCst) + permit.places;
                counters[1].fetch_max(used, Ordering::SeqCst);
                if background {
                    let used = counters[2].fetch_add(permit.places, Ordering::SeqCst) + permit.places;
                    counters[3].fetch_max(used, Ordering::SeqCst);
                }
                for _ in 0..number % 7 {
                    tokio::task::yield_now().await;
                }
                counters[0].fetch_sub(permit.places, Ordering::SeqCst);
                if background {
                    counters[2].fetch_sub(permit.places, Ordering::SeqCst);
                }
            })
        })
        .collect();
    for task in tasks {
        within(task).await.unwrap();
    }
    // That all are used is shown where they are held; here it is for the scheduler to say whether they are at one moment.
    assert!(counters[1].load(Ordering::SeqCst) <= 4);
    assert!(counters[3].load(Ordering::SeqCst) <= 3);
    assert_eq!(world.gauges(), (0, 0));
    assert!(world.budget.lock().is_empty(), "nothing is left behind");
}

#[tokio::test]
async fn a_batch_does_not_wait_for_content_that_is_being_read() {
    let world = World::new();
    let download = world.take(Urgency::Foreground, 1).await;
    let batch = world.queue("batch", Urgency::Foreground, 4).await;
    let after = world.queue("after", Urgency::Foreground, 1).await;
    assert_eq!(world.gauges(), (1, 2), "it waits for an answer that will come soon");
    let download = download.streams();
    let batch = within(batch).await.unwrap().unwrap();
    assert_eq!((batch.places, world.gauges()), (3, (4, 1)), "those that are left");
    drop(batch);
    let after = within(after).await.unwrap().unwrap();
    drop((after, download));
    assert!(world.budget.lock().is_empty(), "nothing is left behind");
}

#[tokio::test]
async fn somebody_who_waits_goes_before_background_work() {
    let world = World::new();
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(world.take(Urgency::Foreground, 1).await);
    }
    let late: Vec<_> = [
        world.queue("background 1", Urgency::Background, 1).await,
        world.queue("background 2", Urgency::Background, 1).await,
        world.queue("foreground 1", Urgency::Foreground, 1).await,
        world.queue("foreground 2", Urgency::Foreground, 1).await,
    ]
    .into();
    assert_eq!(world.gauges(), (4, 4));
    for count in 1..=4 {
        held.pop();
        until(|| world.order.lock().unwrap().len() == count).await;
    }
    assert_eq!(*world.order.lock().unwrap(), ["foreground 1", "foreground 2", "background 1", "background 2"]);
    for task in late {
        within(task).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn background_work_that_somebody_begins_to_wait_for_goes_next() {
    let world = World::new();
    let mut held = vec![world.take(Urgency::Background, 1).await, world.take(Urgency::Background, 1).await];
    held.push(world.take(Urgency::Background, 1).await);
    let hurry = Hurry::from(Urgency::Background);
    let mut late = vec![world.queue("background 1", Urgency::Background, 1).await];
    late.push(world.queue_for("joined", &hurry, 1).await);
    late.push(world.queue("background 2", Urgency::Background, 1).await);
    assert_eq!(world.gauges(), (3, 3), "the fourth place is not for background work");
    hurry.raise();
    until(|| world.order.lock().unwrap().len() == 1).await;
    assert_eq!(world.gauges(), (3 + 1, 2), "it has the place that is kept for those who wait");
    held.clear();
    for task in late {
        within(task).await.unwrap().unwrap();
    }
    assert_eq!(world.order.lock().unwrap()[0], "joined");
}

#[tokio::test]
async fn who_is_raised_in_a_full_budget_goes_when_the_next_place_is_free() {
    let world = World::new();
    let mut held = vec![world.take(Urgency::Foreground, 2).await, world.take(Urgency::Foreground, 2).await];
    let hurry = Hurry::from(Urgency::Background);
    let mut late = vec![world.queue("background", Urgency::Background, 1).await, world.queue_for("joined", &hurry, 1).await];
    late.push(world.queue("foreground", Urgency::Foreground, 1).await);
    hurry.raise();
    for count in [2, 3] {
        held.pop();
        until(|| world.order.lock().unwrap().len() == count).await;
    }
    let order = world.order.lock().unwrap().clone();
    assert_eq!((order[..2].contains(&"joined".to_owned()), order[2].as_str()), (true, "background"), "{order:?}");
    for task in late {
        within(task).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn one_place_is_kept_for_somebody_who_waits() {
    let world = World::new();
    let _held = world.take(Urgency::Background, 20).await;
    assert_eq!(world.gauges(), (3, 0), "a batch in the background takes three");
    let more = world.queue("background", Urgency::Background, 1).await;
    let _now = world.take(Urgency::Foreground, 1).await;
    assert_eq!(world.gauges(), (4, 1));
    more.abort();
}

#[tokio::test]
async fn a_batch_that_waits_is_not_overtaken_for_ever() {
    let world = World::new();
    let first = world.take(Urgency::Foreground, 1).await;
    let batch = world.queue("batch", Urgency::Foreground, 20).await;
    let small = world.queue("small", Urgency::Foreground, 1).await;
    assert_eq!(world.gauges(), (1, 2));
    drop(first);
    let batch = within(batch).await.unwrap().unwrap();
    assert_eq!(batch.places, 4);
    drop(batch);
    within(small).await.unwrap().unwrap();
    assert_eq!(*world.order.lock().unwrap(), ["batch", "small"]);
}

#[tokio::test]
async fn a_pause_holds_everybody_and_ends_by_itself() {
    let world = World::new();
    world.budget.pause("box", Duration::from_secs(10));
    let waiting = [world.queue("one", Urgency::Foreground, 1).await, world.queue("two", Urgency::Background, 1).await];
    let other = within(world.budget.acquire("another box", &Urgency::Foreground.into(), 1, LATE)).await;
    assert!(other.is_ok(), "another mailbox is not held");
    drop(other);
    world.clock.advance(Duration::from_secs(9));
    tokio::task::yield_now().await;
    assert_eq!(world.gauges(), (0, 2));
    // Made longer while they wait.
    world.budget.pause("box", Duration::from_secs(5));
    world.clock.advance(Duration::from_secs(2));
    tokio::task::yield_now().await;
    assert_eq!(world.gauges(), (0, 2));
    world.clock.advance(Duration::from_secs(3));
    for task in waiting {
        within(task).await.unwrap().unwrap();
    }
    assert!(world.budget.lock().is_empty());
}

#[tokio::test]
async fn a_clock_set_back_does_not_prolong_the_pause() {
    let world = World::new();
    world.clock.set(Timestamp(500_000_000));
    world.budget.pause("box", Duration::from_secs(10));
    world.clock.set(Timestamp(0));
    assert_eq!(world.budget.lanes()[0].paused, Duration::from_secs(10));
    let waiting = world.queue("one", Urgency::Foreground, 1).await;
    // A shorter one does not end it early.
    world.budget.pause("box", Duration::from_secs(1));
    world.clock.advance(Duration::from_secs(9));
    tokio::task::yield_now().await;
    assert_eq!(world.gauges(), (0, 1));
    world.clock.advance(Duration::from_secs(1));
    within(waiting).await.unwrap().unwrap();
}

#[tokio::test]
async fn nobody_waits_for_what_comes_too_late() {
    let world = World::new();
    world.budget.pause("box", Duration::from_secs(60));
    let refused = within(world.budget.acquire("box", &Urgency::Foreground.into(), 1, Timestamp(30_000))).await.map(drop);
    assert_eq!(refused, Err(Full { paused: Some(Duration::from_secs(60)) }));
    world.clock.advance(Duration::from_secs(60));

    let held = world.take(Urgency::Foreground, 4).await;
    let waiting = world.ask("late", Urgency::Foreground, 1, Timestamp(70_000));
    until(|| world.gauges() == (4, 1)).await;
    // A pause beyond its deadline, begun while it waits, tells it at once.
    world.budget.pause("box", Duration::from_secs(600));
    assert_eq!(within(waiting).await.unwrap().map(drop), Err(Full { paused: Some(Duration::from_secs(600)) }));
    drop(held);
    world.clock.advance(Duration::from_secs(600));
    let held = world.take(Urgency::Foreground, 4).await;
    let deadline = world.clock.now().plus(Duration::from_secs(5));
    let waiting = world.ask("late", Urgency::Foreground, 1, deadline);
    until(|| world.gauges() == (4, 1)).await;
    world.clock.advance(Duration::from_secs(5));
    assert_eq!(within(waiting).await.unwrap().map(drop), Err(Full { paused: None }));
    drop(held);
    assert_eq!(world.gauges(), (0, 0));
}

#[tokio::test]
async fn who_goes_away_gives_up_the_place_in_the_queue() {
    let world = World::new();
    let held = world.take(Urgency::Foreground, 4).await;
    let gone = world.queue("gone", Urgency::Foreground, 4).await;
    let next = world.queue("next", Urgency::Foreground, 1).await;
    gone.abort();
    until(|| gone.is_finished()).await;
    assert_eq!(world.gauges(), (4, 1));
    drop(held);
    within(next).await.unwrap().unwrap();
    assert_eq!(*world.order.lock().unwrap(), ["next"]);
    assert_eq!(world.gauges(), (0, 0));
}

#[test]
fn a_smaller_budget_still_serves_everybody() {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(Timestamp(0)));
    for (asked, foreground, background) in [(0, 1, 1), (1, 1, 1), (2, 2, 1), (4, 4, 3), (100, 4, 3)] {
        let budget = Budget::new(clock.clone(), asked);
        assert_eq!((budget.places(20, Urgency::Foreground), budget.places(20, Urgency::Background)), (foreground, background));
    }
}
