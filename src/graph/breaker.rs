//! The circuit breaker towards Graph: when Microsoft cannot be reached, nobody waits to find that out again.
//!
//! Failures of the transport and 5xx answers in a row open it. After a pause one request probes; its success closes the breaker, its
//! failure opens it for twice as long. Any other answer, refusals and throttling too, shows that Graph is there.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use crate::clock::{Countdown, Timestamp};

/// Failures in a row that open it.
const MOST: u32 = 5;
/// The first pause.
const PAUSE: Duration = Duration::from_secs(5);
/// The longest.
const LONGEST: Duration = Duration::from_secs(60);

/// What the breaker does with requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// Lets them through.
    Closed,
    /// Refuses them at once.
    Open,
    /// Lets one through to see, and refuses the others.
    HalfOpen,
}

impl BreakerState {
    /// `closed`, `open` or `half_open`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

#[derive(Default)]
pub(super) struct Breaker(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    /// Failures in a row.
    failures: u32,
    /// While open: its pause.
    open: Option<Countdown>,
    probing: bool,
}

impl Inner {
    fn refuses(&mut self, now: Timestamp) -> Option<Duration> {
        let left = self.open.as_mut()?.left(now);
        (self.probing || !left.is_zero()).then_some(left)
    }
}

/// Leave to send one request; must be told how it went. Dropped untold, as when a caller goes away, it counts for nothing.
pub(super) struct Pass<'a> {
    breaker: &'a Breaker,
    probe: bool,
    told: bool,
}

impl Breaker {
    fn with<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Leave to send, or how long nobody gets any.
    pub(super) fn pass(&self, now: Timestamp) -> Result<Pass<'_>, Duration> {
        self.with(|inner| match inner.refuses(now) {
            Some(left) => Err(left),
            None => {
                inner.probing = inner.open.is_some();
                Ok(inner.probing)
            }
        })
        .map(|probe| Pass { breaker: self, probe, told: false })
    }

    /// How long nobody gets leave, when that is so; takes nothing.
    pub(super) fn refuses(&self, now: Timestamp) -> Option<Duration> {
        self.with(|inner| inner.refuses(now))
    }

    pub(super) fn state(&self, now: Timestamp) -> BreakerState {
        self.with(|inner| match inner.refuses(now) {
            _ if inner.open.is_none() => BreakerState::Closed,
            _ if inner.probing => BreakerState::HalfOpen,
            Some(_) => BreakerState::Open,
            None => BreakerState::HalfOpen,
        })
    }
}

impl Pass<'_> {
    /// Graph answered.
    pub(super) fn succeeded(mut self) {
        self.told = true;
        let was_open = self.breaker.with(|inner| std::mem::take(inner).open.is_some());
        if was_open {
            tracing::info!("Microsoft Graph answers again");
        }
    }

    /// Graph could not be reached, or answered as if it were not there.
    pub(super) fn failed(mut self, now: Timestamp) {
        self.told = true;
        let opened = self.breaker.with(|inner| {
            inner.failures = inner.failures.saturating_add(1);
            match inner.open {
                Some(pause) if self.probe => {
                    let pause = (pause.length() * 2).min(LONGEST);
                    (inner.open, inner.probing) = (Some(Countdown::new(now, pause)), false);
                    Some(pause)
                }
                None if inner.failures >= MOST => {
                    inner.open = Some(Countdown::new(now, PAUSE));
                    Some(PAUSE)
                }
                _ => None,
            }
        });
        if let Some(pause) = opened {
            tracing::warn!(
                wait_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX),
                "Microsoft Graph does not answer: requests fail at once until it does"
            );
        }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if self.probe && !self.told {
            self.breaker.with(|inner| inner.probing = false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp(seconds * 1000)
    }

    fn fail(breaker: &Breaker, times: u32, now: Timestamp) {
        for _ in 0..times {
            breaker.pass(now).ok().unwrap().failed(now);
        }
    }

    #[test]
    fn failures_in_a_row_open_it_and_one_success_between_them_does_not() {
        let breaker = Breaker::default();
        fail(&breaker, MOST - 1, at(0));
        breaker.pass(at(0)).ok().unwrap().succeeded();
        fail(&breaker, MOST - 1, at(0));
        assert_eq!(breaker.state(at(0)), BreakerState::Closed);
        fail(&breaker, 1, at(0));
        assert_eq!(breaker.state(at(0)), BreakerState::Open);
        assert_eq!(breaker.pass(at(1)).map(drop), Err(Duration::from_secs(4)));
    }

    #[test]
    fn one_probe_decides() {
        let breaker = Breaker::default();
        fail(&breaker, MOST, at(0));
        let probe = breaker.pass(at(5)).ok().unwrap();
        assert_eq!(breaker.state(at(5)), BreakerState::HalfOpen);
        assert!(breaker.pass(at(6)).is_err(), "one probe at a time");
        probe.failed(at(6));
        assert_eq!(breaker.pass(at(6)).map(drop), Err(Duration::from_secs(10)), "twice as long");
        breaker.pass(at(16)).ok().unwrap().succeeded();
        assert_eq!(breaker.state(at(16)), BreakerState::Closed);
        fail(&breaker, 1, at(17));
        assert_eq!(breaker.state(at(17)), BreakerState::Closed, "counted from the beginning");
    }

    #[test]
    fn a_probe_that_goes_away_lets_the_next_one_try() {
        let breaker = Breaker::default();
        fail(&breaker, MOST, at(0));
        drop(breaker.pass(at(5)).ok().unwrap());
        assert!(breaker.pass(at(5)).is_ok());
    }

    #[test]
    fn a_clock_set_back_does_not_prolong_the_pause() {
        let breaker = Breaker::default();
        fail(&breaker, MOST, at(1_000_000));
        assert_eq!(breaker.pass(at(0)).map(drop), Err(PAUSE));
        assert!(breaker.pass(at(5)).is_ok(), "it ends after its length");
    }

    #[test]
    fn the_pause_has_an_end() {
        let breaker = Breaker::default();
        fail(&breaker, MOST, at(0));
        for probe in 1..20 {
            let now = at(probe * 100);
            breaker.pass(now).ok().unwrap().failed(now);
        }
        assert_eq!(breaker.pass(at(1900)).map(drop), Err(LONGEST));
    }
}
