//! When to try the daemon again, and when to start one.

use std::time::Duration;

/// At most one start of a daemon in this time.
const START_EVERY: Duration = Duration::from_secs(2);
/// First wait after a failure while somebody waits for an answer; a daemon is ready within milliseconds.
const URGENT_FIRST: Duration = Duration::from_millis(5);
/// An attempt at a socket where nobody listens costs microseconds, and whoever waits here waits on top of a daemon's start, half of this on average.
const URGENT_LONGEST: Duration = Duration::from_millis(100);
/// The same while nobody waits.
const IDLE_FIRST: Duration = Duration::from_millis(100);
const IDLE_LONGEST: Duration = Duration::from_secs(10);

/// Failures so far, and a source of jitter.
#[derive(Debug)]
pub(super) struct Retry {
    failures: u32,
    last_start: Option<Duration>,
    dice: u64,
}

impl Retry {
    pub(super) fn new(seed: u64) -> Self {
        Self { failures: 0, last_start: None, dice: seed | 1 }
    }

    /// Things work again.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    /// Counts a failure and says how long to wait: doubling, half of it random, so that many shims do not come at once.
    pub(super) fn wait(&mut self, urgent: bool) -> Duration {
        let (first, longest) = if urgent { (URGENT_FIRST, URGENT_LONGEST) } else { (IDLE_FIRST, IDLE_LONGEST) };
        let full = first.saturating_mul(1 << self.failures.min(16)).min(longest);
        self.failures = self.failures.saturating_add(1);
        full / 2 + self.random(full / 2)
    }

    /// True when a daemon may be started now; counts as the start.
    pub(super) fn may_start(&mut self, now: Duration) -> bool {
        let may = self.last_start.is_none_or(|last| now.saturating_sub(last) >= START_EVERY);
        if may {
            self.last_start = Some(now);
            self.failures = 0;
        }
        may
    }

    /// Xorshift: spreads, keeps no secret.
    fn random(&mut self, below: Duration) -> Duration {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        let nanos = u64::try_from(below.as_nanos()).unwrap_or(u64::MAX).max(1);
        Duration::from_nanos(self.dice % nanos)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_their_limit_and_start_over() {
        let mut retry = Retry::new(42);
        let waits: Vec<Duration> = (0..40).map(|_| retry.wait(true)).collect();
        assert!(waits[0] <= URGENT_FIRST && waits[0] >= URGENT_FIRST / 2);
        assert!(waits.iter().all(|wait| *wait <= URGENT_LONGEST));
        assert!(waits[39] >= URGENT_LONGEST / 2);
        assert!(retry.wait(false) >= IDLE_LONGEST / 2);
        retry.reset();
        assert!(retry.wait(false) <= IDLE_FIRST);
    }

    #[test]
    fn a_daemon_is_started_at_most_every_two_seconds() {
        let mut retry = Retry::new(1);
        let starts = (0..100).filter(|tenth| retry.may_start(Duration::from_millis(tenth * 100))).count();
        assert_eq!(starts, 5, "ten seconds");
    }
}
