//! The tenant's clock: runs with real time from a given start, can be stopped, moved and watched.

use std::sync::Mutex;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::options::ClockStart;
use crate::state::lock;

/// The instant all seeded dates are relative to: 2026-11-20T09:00:00Z.
pub const SEED_INSTANT: i64 = 1_795_165_200;

/// What the clock shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockReading {
    /// The tenant's time.
    pub now: Timestamp,
    /// The same in milliseconds since 1970.
    pub ms: i64,
    /// Whether it stands still.
    pub frozen: bool,
    /// Rises with every setting of the clock.
    pub revision: u64,
}

/// A setting of the clock, as the body of `POST /clock`. Parts that are given are applied in this order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClockSetting {
    /// Go to this instant.
    pub set: Option<Timestamp>,
    /// Go this many milliseconds on (negative: back).
    pub advance_ms: Option<i64>,
    /// Stand still from now on.
    pub freeze: bool,
    /// Run with real time from now on.
    pub run: bool,
}

struct Hands {
    shows: Timestamp,
    /// When `shows` was true; `None` while the clock stands still.
    since: Option<Instant>,
}

impl Hands {
    fn now(&self) -> Timestamp {
        let gone = self.since.map_or(Duration::ZERO, |since| since.elapsed());
        later(self.shows, SignedDuration::try_from(gone).unwrap_or(SignedDuration::MAX))
    }
}

/// The tenant's clock.
pub(crate) struct Clock {
    hands: Mutex<Hands>,
    revision: watch::Sender<u64>,
    /// The highest revision that a follower has seen: it asked what comes after it.
    followed: watch::Sender<Option<u64>>,
}

impl Clock {
    pub(crate) fn new(start: ClockStart) -> Self {
        let shows = match start {
            ClockStart::Fixed => Timestamp::constant(SEED_INSTANT, 0),
            ClockStart::At(at) => at,
            ClockStart::Now => Timestamp::now(),
        };
        let hands = Hands { shows, since: Some(Instant::now()) };
        Self { hands: Mutex::new(hands), revision: watch::Sender::new(0), followed: watch::Sender::new(None) }
    }

    /// The tenant's time.
    pub(crate) fn now(&self) -> Timestamp {
        lock(&self.hands).now()
    }

    /// Seconds since 1970, as tokens carry them.
    pub(crate) fn seconds(&self) -> i64 {
        self.now().as_second()
    }

    pub(crate) fn reading(&self) -> ClockReading {
        let revision = *self.revision.borrow();
        let hands = lock(&self.hands);
        let now = hands.now();
        ClockReading { now, ms: now.as_millisecond(), frozen: hands.since.is_none(), revision }
    }

    /// Applies a setting and wakes everyone who watches.
    pub(crate) fn apply(&self, setting: &ClockSetting) {
        {
            let mut hands = lock(&self.hands);
            hands.shows = setting.set.unwrap_or_else(|| hands.now());
            if let Some(ms) = setting.advance_ms {
                hands.shows = later(hands.shows, SignedDuration::from_millis(ms));
            }
            let runs = (hands.since.is_some() || setting.run) && !setting.freeze;
            hands.since = runs.then(Instant::now);
        }
        self.revision.send_modify(|revision| *revision += 1);
    }

    /// Waits until the clock was set more often than `revision` says.
    pub(crate) async fn changed_after(&self, revision: u64) {
        self.followed.send_modify(|seen| *seen = (*seen).max(Some(revision)));
        let mut watching = self.revision.subscribe();
        // The sender lives as long as `self`, so this cannot fail.
        let _ = watching.wait_for(|now| *now > revision).await;
    }

    /// Waits until a follower has seen the clock as it is since `revision`.
    pub(crate) async fn followed_to(&self, revision: u64) {
        // As above.
        let _ = self.followed.subscribe().wait_for(|seen| *seen >= Some(revision)).await;
    }
}

/// `at` plus `by`, held inside what a timestamp can say.
fn later(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.saturating_add(by).unwrap_or(at)
}

/// `Fri, 20 Nov 2026 09:00:00 GMT`, as HTTP writes dates.
pub(crate) fn http_date(at: Timestamp) -> String {
    at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_stands_still_and_moves() {
        let clock = Clock::new(ClockStart::Fixed);
        let start = Timestamp::constant(SEED_INSTANT, 0);
        assert_eq!(start.to_string(), "2026-11-20T09:00:00Z");
        let first = clock.now();
        assert!(first >= start);
        while clock.now() == first {
            std::hint::spin_loop();
        }
        clock.apply(&ClockSetting { set: Some(start), freeze: true, ..ClockSetting::default() });
        assert_eq!(clock.now(), start);
        clock.apply(&ClockSetting { advance_ms: Some(1500), ..ClockSetting::default() });
        assert_eq!(clock.now(), start + Duration::from_millis(1500));
        assert!(clock.reading().frozen);
        clock.apply(&ClockSetting { run: true, ..ClockSetting::default() });
        let running = clock.now();
        while clock.now() == running {
            std::hint::spin_loop();
        }
        assert_eq!(clock.reading().revision, 3);
    }

    #[test]
    fn dates_are_written_as_http_writes_them() {
        assert_eq!(http_date(Timestamp::constant(SEED_INSTANT, 0)), "Fri, 20 Nov 2026 09:00:00 GMT");
    }
}
