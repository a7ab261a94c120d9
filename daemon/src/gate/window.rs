//! A sliding window: how many calls there were within the last minute, in steps of a second. Pure.
//!
//! The count covers the running second and the sixty before it, so that no sixty seconds, wherever they begin, ever hold more calls than
//! the limit; a call counts against its client for sixty to sixty-one seconds.

use std::time::Duration;

use m365_cached::clock::Timestamp;

/// The running second and the minute before it.
const STEPS: usize = 61;

/// The calls of the last minute.
#[derive(Debug, Clone)]
pub(super) struct Window {
    /// The running second, in seconds since 1970.
    second: i64,
    /// By second modulo [`STEPS`].
    counts: [u32; STEPS],
    sum: u64,
}

impl Default for Window {
    fn default() -> Self {
        Self { second: 0, counts: [0; STEPS], sum: 0 }
    }
}

impl Window {
    /// Forgets what is too long ago.
    fn roll(&mut self, now: Timestamp) {
        let second = now.0.div_euclid(1000);
        let passed = second.saturating_sub(self.second);
        // A clock that was set back would count old calls for as long as that.
        if passed < -1 || passed >= STEPS as i64 {
            *self = Self { second, ..Self::default() };
            return;
        }
        for _ in 0..passed.max(0) {
            self.second += 1;
            let place = self.place(self.second);
            self.sum -= u64::from(std::mem::take(&mut self.counts[place]));
        }
    }

    fn place(&self, second: i64) -> usize {
        usize::try_from(second.rem_euclid(STEPS as i64)).unwrap_or(0)
    }

    /// How many more there may be now.
    pub(super) fn remaining(&mut self, now: Timestamp, limit: u64) -> u64 {
        self.roll(now);
        limit.saturating_sub(self.sum)
    }

    /// Counts a call.
    pub(super) fn count(&mut self, now: Timestamp) {
        self.roll(now);
        let place = self.place(self.second);
        self.counts[place] = self.counts[place].saturating_add(1);
        self.sum += 1;
    }

    /// How long until there may be one more, when there may be none now.
    pub(super) fn reset(&self, now: Timestamp, limit: u64) -> Duration {
        let mut left = self.sum;
        for back in (0..STEPS as i64).rev() {
            let second = self.second - back;
            left -= u64::from(self.counts[self.place(second)]);
            if left < limit {
                let at = second.saturating_add(STEPS as i64).saturating_mul(1000);
                return Timestamp(at).since(now);
            }
        }
        Duration::from_secs(60)
    }

    /// Whether nothing is counted any more.
    pub(super) fn is_empty(&mut self, now: Timestamp) -> bool {
        self.roll(now);
        self.sum == 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_minute_holds_more_than_the_limit(limit in 1u64..20, steps in prop::collection::vec(0i64..5_000, 1..400)) {
            let (mut window, mut now, mut admitted) = (Window::default(), 1_795_165_200_123, Vec::new());
            for step in steps {
                now += step;
                if window.remaining(Timestamp(now), limit) > 0 {
                    window.count(Timestamp(now));
                    admitted.push(now);
                } else {
                    let reset = window.reset(Timestamp(now), limit);
                    prop_assert!(!reset.is_zero() && reset <= Duration::from_secs(61));
                    let (mut later, mut before) = (window.clone(), window.clone());
                    let at = Timestamp(now).plus(reset);
                    prop_assert!(later.remaining(at, limit) > 0, "it is over when it was said to be");
                    prop_assert_eq!(before.remaining(at.minus(Duration::from_millis(1)), limit), 0, "and not before");
                }
            }
            for (nth, first) in admitted.iter().enumerate() {
                let within = admitted[nth..].iter().take_while(|at| **at < first + 60_000).count();
                prop_assert!(within as u64 <= limit, "{within} in a minute");
                // It is no stricter than a minute and a second.
                let _ = within;
            }
        }
    }

    #[test]
    fn a_minute_later_it_is_as_new_and_a_clock_set_back_locks_nobody_out() {
        let (mut window, now) = (Window::default(), Timestamp(1_795_165_200_000));
        (0..10).for_each(|_| window.count(now));
        assert_eq!(window.remaining(now, 10), 0);
        assert_eq!(window.remaining(now.plus(Duration::from_millis(60_999)), 10), 0);
        assert_eq!(window.clone().remaining(now.plus(Duration::from_secs(61)), 10), 10);
        assert_eq!(window.remaining(now.minus(Duration::from_secs(3600)), 10), 10);
        assert!(window.is_empty(now.minus(Duration::from_secs(3600))));
    }
}
