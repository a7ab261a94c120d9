//! The switch that keeps everything from asking Microsoft: sign-in, Graph and files, while a person wants it so.
//!
//! It stands where the connections come from, so that nothing can be forgotten: whoever has no client sends nothing. What was sent before it
//! was thrown comes to its end.
//!
//! A pause for some time ends by that time: a clock that is set back prolongs it by its own length at most.

use std::sync::{Arc, Mutex, PoisonError};

use crate::clock::{Clock, Countdown, Timestamp};

/// The switch. Shared by all connections of a daemon.
pub struct Pause {
    clock: Arc<dyn Clock>,
    held: Mutex<Option<Held>>,
}

/// How long it is thrown.
#[derive(Debug, Clone, Copy)]
enum Held {
    UntilResumed,
    For(Countdown),
}

/// A pause that only a person ends.
pub const UNTIL_RESUMED: Timestamp = Timestamp(i64::MAX);

impl Pause {
    /// Not paused.
    pub fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self { clock, held: Mutex::new(None) })
    }

    /// What its clock shows.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Nothing is asked until then, as was said at `since`; [`UNTIL_RESUMED`] for no end by itself, `None` to go on.
    pub fn set(&self, since: Timestamp, until: Option<Timestamp>) {
        let held = until.map(|until| match until {
            UNTIL_RESUMED => Held::UntilResumed,
            until => Held::For(Countdown::new(since, until.since(since))),
        });
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = held;
    }

    /// Until when nothing is asked; `None` when asking is allowed.
    pub fn until(&self) -> Option<Timestamp> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        match held.as_mut()? {
            Held::UntilResumed => Some(UNTIL_RESUMED),
            Held::For(countdown) => {
                let left = countdown.left(now);
                if left.is_zero() {
                    // What has ended does not begin anew when the clock is set back.
                    *held = None;
                    return None;
                }
                Some(now.plus(left))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::ManualClock;

    #[test]
    fn it_ends_at_its_time_or_when_somebody_says_so() {
        let clock = Arc::new(ManualClock::at(Timestamp(1000)));
        let pause = Pause::new(clock.clone());
        assert_eq!(pause.until(), None);
        pause.set(clock.now(), Some(Timestamp(2000)));
        assert_eq!(pause.until(), Some(Timestamp(2000)));
        clock.advance(Duration::from_secs(1));
        assert_eq!(pause.until(), None);
        pause.set(clock.now(), Some(UNTIL_RESUMED));
        clock.advance(Duration::from_secs(1_000_000));
        assert!(pause.until().is_some());
        pause.set(clock.now(), None);
        assert_eq!(pause.until(), None);
    }

    #[test]
    fn one_for_an_hour_is_over_after_an_hour_of_a_clock_that_was_set_back() {
        let clock = Arc::new(ManualClock::at(Timestamp(1_763_629_200_000)));
        let hour = Duration::from_secs(3600);
        let pause = Pause::new(clock.clone());
        pause.set(clock.now(), Some(clock.now().plus(hour)));
        clock.set(clock.now().minus(400 * 24 * hour));
        assert_eq!(pause.until(), Some(clock.now().plus(hour)));
        clock.advance(hour);
        assert_eq!(pause.until(), None);
        clock.set(clock.now().minus(400 * 24 * hour));
        assert_eq!(pause.until(), None, "what is over is over");
    }
}
