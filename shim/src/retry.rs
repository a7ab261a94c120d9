//! When to try the daemon again, and when to start one.
//!
//! A start that came to nothing is made again after two seconds: what keeps a daemon from starting seldom passes by itself. One whose daemon found
//! another and ended is made again soon, for the other may have been on its way out; while that goes on, the waits double. Who only found that
//! somebody else is starting one has made no start, and looks again after the next attempt to connect.

use std::time::Duration;

use m365_cached_proto::turn::START_EVERY;

/// First wait before another start when the daemon that was started has found another: that one may have been ending.
const GAVE_WAY_FIRST: Duration = Duration::from_millis(25);
/// First wait after a failure while somebody waits for an answer; a daemon is ready within milliseconds.
const URGENT_FIRST: Duration = Duration::from_millis(5);
/// An attempt at a socket where nobody listens costs microseconds, and whoever waits here waits on top of a daemon's start, half of this on average.
const URGENT_LONGEST: Duration = Duration::from_millis(100);
/// The same while nobody waits.
const IDLE_FIRST: Duration = Duration::from_millis(100);
const IDLE_LONGEST: Duration = Duration::from_secs(10);

/// Failures so far, and a source of jitter. Times are durations since any fixed moment.
#[derive(Debug)]
pub(crate) struct Retry {
    failures: u32,
    next_start: Duration,
    /// Starts in a row that gave way.
    given_way: u32,
    dice: u64,
}

impl Retry {
    pub(crate) fn new(seed: u64) -> Self {
        Self { failures: 0, next_start: Duration::ZERO, given_way: 0, dice: seed | 1 }
    }

    /// Things work again.
    pub(crate) fn works(&mut self) {
        self.failures = 0;
        self.given_way = 0;
    }

    /// Somebody waits from now on: the waits begin anew.
    pub(crate) fn hurry(&mut self) {
        self.failures = 0;
    }

    /// Counts a failure and says how long to wait: doubling, half of it random, so that many shims do not come at once.
    pub(crate) fn wait(&mut self, urgent: bool) -> Duration {
        let (first, longest) = if urgent { (URGENT_FIRST, URGENT_LONGEST) } else { (IDLE_FIRST, IDLE_LONGEST) };
        let full = first.saturating_mul(1 << self.failures.min(16)).min(longest);
        self.failures = self.failures.saturating_add(1);
        full / 2 + self.random(full / 2)
    }

    /// Whether a daemon may be started now.
    pub(crate) fn may_start(&self, now: Duration) -> bool {
        now >= self.next_start
    }

    /// A daemon was started, or could not be.
    pub(crate) fn started(&mut self, now: Duration) {
        self.next_start = now + START_EVERY;
        self.failures = 0;
    }

    /// The daemon that was started has found another and ended.
    pub(crate) fn gave_way(&mut self, now: Duration) {
        self.next_start = now + GAVE_WAY_FIRST.saturating_mul(1 << self.given_way.min(16)).min(START_EVERY);
        self.given_way = self.given_way.saturating_add(1);
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
        retry.works();
        assert!(retry.wait(false) <= IDLE_FIRST);
    }

    /// How often a daemon is started in so many tenths of a second, by who asks each tenth.
    fn starts(tenths: u64, after_start: impl Fn(&mut Retry, Duration)) -> usize {
        let mut retry = Retry::new(1);
        let tried = (0..tenths).map(|tenth| Duration::from_millis(tenth * 100)).filter(|now| {
            let may = retry.may_start(*now);
            if may {
                retry.started(*now);
                after_start(&mut retry, *now);
            }
            may
        });
        tried.count()
    }

    #[test]
    fn a_daemon_is_started_at_most_every_two_seconds() {
        assert_eq!(starts(100, |_, _| {}), 5, "ten seconds");
    }

    #[test]
    fn who_gave_way_starts_again_soon_and_then_seldom() {
        let mut retry = Retry::new(1);
        let mut now = Duration::from_secs(9);
        retry.started(now);
        retry.gave_way(now);
        now += GAVE_WAY_FIRST;
        assert!(retry.may_start(now));
        assert_eq!(starts(100, Retry::gave_way), 11, "ten seconds");
        assert_eq!(starts(1000, Retry::gave_way) - starts(900, Retry::gave_way), 5, "another ten, later");
        for _ in 0..40 {
            retry.gave_way(now);
        }
        retry.works();
        retry.gave_way(now);
        assert!(retry.may_start(now + GAVE_WAY_FIRST), "a daemon that answered ends the row");
    }
}
