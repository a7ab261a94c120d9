//! The time of day and waiting: the only caller of the system clock.
//!
//! An operation reads the clock once, at its start, and hands `now` on as a parameter, so that every rule about age is
//! a pure function. Freshness is judged by wall time (it must survive a restart); waits use the runtime's timer.

use std::{
    future::Future,
    pin::Pin,
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};
use tokio::{sync::Notify, time::Instant};

/// A moment in wall time, in milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// How long ago `earlier` was; zero when it lies in the future.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// This moment, `by` later.
    #[must_use]
    pub fn plus(self, by: Duration) -> Timestamp {
        Timestamp(self.0.saturating_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
    }

    /// This moment, `by` earlier.
    #[must_use]
    pub fn minus(self, by: Duration) -> Timestamp {
        Timestamp(self.0.saturating_sub(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
    }

    /// RFC 3339 in UTC with milliseconds: `2026-11-20T09:00:00.000Z`.
    pub fn rfc3339(self) -> String {
        jiff::Timestamp::from_millisecond(self.0).unwrap_or_default().strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
    }
}

/// A pause that has begun and ends by the clock, but for one that is set back: that prolongs it by its own length at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Countdown {
    began: Timestamp,
    length: Duration,
}

impl Countdown {
    /// One that begins `now`.
    pub fn new(now: Timestamp, length: Duration) -> Self {
        Self { began: now, length }
    }

    /// How long it is as a whole.
    pub fn length(&self) -> Duration {
        self.length
    }

    /// What is left of it. Before its beginning nobody knows how much of it has passed, so it begins anew.
    pub fn left(&mut self, now: Timestamp) -> Duration {
        self.began = self.began.min(now);
        self.length.saturating_sub(now.since(self.began))
    }
}

/// A wait that ends by itself.
pub type Sleep<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Where time comes from.
pub trait Clock: Send + Sync {
    /// Wall time now.
    fn now(&self) -> Timestamp;
    /// Ends after `wait` of this clock's time.
    fn sleep(&self, wait: Duration) -> Sleep<'_>;
}

/// How long something takes in reality, for statistics: nothing is decided by it.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// A watch that runs from now on.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Microseconds since it was started.
    pub fn micros(self) -> u64 {
        u64::try_from(self.0.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

/// A moment at which the machine was awake. Wall time goes on while it sleeps and the runtime's timers stand still, on Linux and macOS;
/// on Windows they go on, and see such a time pass themselves.
#[derive(Debug, Clone, Copy)]
pub struct Awake {
    wall: Timestamp,
    timers: Instant,
}

impl Awake {
    /// This moment, at which the clock shows `now`.
    pub fn at(now: Timestamp) -> Self {
        Self { wall: now, timers: Instant::now() }
    }

    /// For how long it has slept until `now`: what wall time has moved and the timers have not. A clock that is set forward looks the same.
    pub fn slept(self, now: Timestamp) -> Duration {
        now.since(self.wall).saturating_sub(self.timers.elapsed())
    }
}

/// The machine's clock and the runtime's timer.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the system clock")]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    fn sleep(&self, wait: Duration) -> Sleep<'_> {
        Box::pin(tokio::time::sleep(wait))
    }
}

/// A clock that moves only when told to, for tests.
#[derive(Debug)]
pub struct ManualClock {
    now: Mutex<Timestamp>,
    moved: Notify,
}

impl ManualClock {
    /// A clock that stands at `now`.
    pub fn at(now: Timestamp) -> Self {
        Self { now: Mutex::new(now), moved: Notify::new() }
    }

    /// Moves the clock forward and wakes the sleepers whose time has come.
    pub fn advance(&self, by: Duration) {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        *now = now.plus(by);
        drop(now);
        self.moved.notify_waiters();
    }

    /// Sets the clock, backwards too, as a person or a time server may.
    pub fn set(&self, to: Timestamp) {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = to;
        self.moved.notify_waiters();
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sleep(&self, wait: Duration) -> Sleep<'_> {
        let until = self.now().plus(wait);
        Box::pin(async move {
            loop {
                // Registered before the clock is read, so that no move is missed.
                let moved = self.moved.notified();
                if self.now() >= until {
                    return;
                }
                moved.await;
            }
        })
    }
}

/// A clock that shows what another one was last heard to show: a demo follows its tenant's, which people and tests move.
#[derive(Debug)]
pub struct FollowedClock {
    heard: Mutex<Heard>,
    moved: Notify,
}

#[derive(Debug, Clone, Copy)]
struct Heard {
    showed: Timestamp,
    /// When it showed that; `None` while the other one stands still.
    since: Option<Instant>,
}

impl Heard {
    fn new(showed: Timestamp, frozen: bool) -> Self {
        Self { showed, since: (!frozen).then(Instant::now) }
    }
}

impl FollowedClock {
    /// A clock that goes on from `showed`, or stands there when `frozen`.
    pub fn at(showed: Timestamp, frozen: bool) -> Self {
        Self { heard: Mutex::new(Heard::new(showed, frozen)), moved: Notify::new() }
    }

    /// The other clock was moved, stopped or started: sleepers whose time has come are woken.
    pub fn hear(&self, showed: Timestamp, frozen: bool) {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Heard::new(showed, frozen);
        self.moved.notify_waiters();
    }

    fn runs(&self) -> bool {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).since.is_some()
    }
}

impl Clock for FollowedClock {
    fn now(&self) -> Timestamp {
        let heard = *self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.showed.plus(heard.since.map_or(Duration::ZERO, |since| since.elapsed()))
    }

    fn sleep(&self, wait: Duration) -> Sleep<'_> {
        // Whoever sleeps by the machine's clock is not kept asleep by its being set back either.
        let mut countdown = Countdown::new(self.now(), wait);
        Box::pin(async move {
            loop {
                // Registered before the clock is read, so that no move is missed.
                let mut moved = std::pin::pin!(self.moved.notified());
                moved.as_mut().enable();
                let left = countdown.left(self.now());
                if left.is_zero() {
                    return;
                }
                if self.runs() {
                    tokio::select! {
                        () = moved => {}
                        () = tokio::time::sleep(left) => {}
                    }
                } else {
                    moved.await;
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_countdown_outlasts_a_clock_that_is_set_back_by_its_length_at_most() {
        let mut pause = Countdown::new(Timestamp(1_000_000), Duration::from_secs(10));
        assert_eq!(pause.left(Timestamp(1_004_000)), Duration::from_secs(6));
        assert_eq!(pause.left(Timestamp(5000)), Duration::from_secs(10), "begun anew");
        assert_eq!(pause.left(Timestamp(9000)), Duration::from_secs(6));
        assert_eq!((pause.left(Timestamp(15_000)), pause.left(Timestamp(1_004_000))), (Duration::ZERO, Duration::ZERO));
        assert_eq!(Countdown::default().left(Timestamp(0)), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_the_timers_have_not_seen_was_slept() {
        let began = Awake::at(Timestamp(0));
        tokio::time::advance(Duration::from_secs(600)).await;
        assert_eq!(began.slept(Timestamp(600_000)), Duration::ZERO);
        assert_eq!(began.slept(Timestamp(630_000)), Duration::from_secs(30));
        assert_eq!(began.slept(Timestamp(-5000)), Duration::ZERO, "set back");
    }

    /// Fails a test whose sleeper is never woken; paused time jumps there when nothing else is left to do.
    async fn woken(sleeper: tokio::task::JoinHandle<()>) {
        tokio::time::timeout(Duration::from_secs(1_000_000), sleeper).await.expect("it sleeps on").unwrap();
    }

    /// A sleeper on `clock`, asleep when this returns.
    async fn sleeper(clock: &Arc<FollowedClock>, wait: Duration) -> tokio::task::JoinHandle<()> {
        let clock = Arc::clone(clock);
        let (tell, told) = tokio::sync::oneshot::channel();
        let sleeper = tokio::spawn(async move {
            let sleep = clock.sleep(wait);
            tell.send(()).unwrap();
            sleep.await;
        });
        told.await.unwrap();
        tokio::task::yield_now().await;
        sleeper
    }

    #[tokio::test(start_paused = true)]
    async fn a_followed_clock_that_stands_still_moves_only_when_it_hears_so() {
        let clock = Arc::new(FollowedClock::at(Timestamp(1000), true));
        let sleeper = sleeper(&clock, Duration::from_secs(60)).await;
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert_eq!(clock.now(), Timestamp(1000));
        clock.hear(Timestamp(60_999), true);
        tokio::task::yield_now().await;
        assert!(!sleeper.is_finished());
        clock.hear(Timestamp(61_000), true);
        woken(sleeper).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_followed_clock_that_runs_wakes_by_itself_or_by_a_move() {
        let clock = Arc::new(FollowedClock::at(Timestamp(0), false));
        let began = Instant::now();
        clock.sleep(Duration::from_secs(5)).await;
        assert_eq!((clock.now(), began.elapsed()), (Timestamp(5000), Duration::from_secs(5)));
        let sleeper = sleeper(&clock, Duration::from_secs(3600)).await;
        clock.hear(Timestamp(3_605_000), false);
        woken(sleeper).await;
        assert_eq!(began.elapsed(), Duration::from_secs(5));
    }

    #[tokio::test(start_paused = true)]
    async fn a_followed_clock_that_is_set_back_keeps_nobody_asleep_for_longer_than_they_wanted_to_sleep() {
        let clock = Arc::new(FollowedClock::at(Timestamp(1_000_000_000), true));
        let sleeper = sleeper(&clock, Duration::from_secs(60)).await;
        clock.hear(Timestamp(5000), true);
        tokio::task::yield_now().await;
        assert!(!sleeper.is_finished());
        clock.hear(Timestamp(65_000), true);
        woken(sleeper).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_followed_clock_that_starts_again_wakes_those_who_slept_while_it_stood() {
        let clock = Arc::new(FollowedClock::at(Timestamp(0), true));
        let sleeper = sleeper(&clock, Duration::from_secs(2)).await;
        clock.hear(Timestamp(1500), false);
        let began = Instant::now();
        woken(sleeper).await;
        assert_eq!(began.elapsed(), Duration::from_millis(500));
    }
}
