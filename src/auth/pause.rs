//! The switch that keeps everything from asking Microsoft: sign-in, Graph and files, while a person wants it so.
//!
//! It stands where the connections come from, so that nothing can be forgotten: whoever has no client sends nothing. What was sent before it
//! was thrown comes to its end.

use std::sync::{Arc, Mutex, PoisonError};

use crate::clock::{Clock, Timestamp};

/// The switch. Shared by all connections of a daemon.
pub struct Pause {
    clock: Arc<dyn Clock>,
    until: Mutex<Option<Timestamp>>,
}

/// A pause that only a person ends.
pub const UNTIL_RESUMED: Timestamp = Timestamp(i64::MAX);

impl Pause {
    /// Not paused.
    pub fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self { clock, until: Mutex::new(None) })
    }

    /// Nothing is asked until then; [`UNTIL_RESUMED`] for no end by itself, `None` to go on.
    pub fn set(&self, until: Option<Timestamp>) {
        *self.until.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }

    /// Until when nothing is asked; `None` when asking is allowed.
    pub fn until(&self) -> Option<Timestamp> {
        let until = *self.until.lock().unwrap_or_else(PoisonError::into_inner);
        until.filter(|until| *until > self.clock.now())
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
        pause.set(Some(Timestamp(2000)));
        assert_eq!(pause.until(), Some(Timestamp(2000)));
        clock.advance(Duration::from_secs(1));
        assert_eq!(pause.until(), None);
        pause.set(Some(UNTIL_RESUMED));
        clock.advance(Duration::from_secs(1_000_000));
        assert!(pause.until().is_some());
        pause.set(None);
        assert_eq!(pause.until(), None);
    }
}
