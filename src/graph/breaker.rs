//! The circuit breaker towards Graph: after several failures in a row nobody waits for the next one; one probe at a time finds out when it is over.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use crate::clock::Timestamp;

/// Failures in a row that open it.
const OPENS_AFTER: u32 = 5;
/// How long it stays open before a probe.
const COOL_DOWN: Duration = Duration::from_secs(15);

/// Where the breaker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// Requests go through.
    Closed,
    /// Requests fail at once.
    Open,
    /// One request is finding out.
    HalfOpen,
}

impl BreakerState {
    /// The word in status.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

/// One for the whole cloud: a mailbox's throttling is not a failure.
pub(super) struct Breaker(Mutex<Inner>);

struct Inner {
    failures: u32,
    opened: Option<Timestamp>,
    /// When the probe left; one that never came back is given up after another cool-down.
    probe: Option<Timestamp>,
}

impl Breaker {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Inner { failures: 0, opened: None, probe: None }))
    }

    /// Whether a request may go out now. In the half-open state the first to ask is the probe.
    pub(super) fn admits(&self, now: Timestamp) -> bool {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(opened) = inner.opened else { return true };
        if now.since(opened) < COOL_DOWN && now >= opened {
            return false;
        }
        let free = inner.probe.is_none_or(|left| now.since(left) >= COOL_DOWN || left > now);
        if free {
            inner.probe = Some(now);
        }
        free
    }

    /// Graph answered, whatever it said.
    pub(super) fn answered(&self) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.opened.is_some() {
            tracing::info!("Microsoft Graph answers again");
        }
        *inner = Inner { failures: 0, opened: None, probe: None };
    }

    /// Graph did not answer, or answered with a failure of its own.
    pub(super) fn failed(&self, now: Timestamp) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.failures = inner.failures.saturating_add(1);
        if inner.failures >= OPENS_AFTER {
            if inner.opened.is_none() {
                tracing::warn!(failures = inner.failures, "Microsoft Graph does not answer: requests fail at once until it does");
            }
            inner.opened = Some(now);
            inner.probe = None;
        }
    }

    pub(super) fn state(&self, now: Timestamp) -> BreakerState {
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match inner.opened {
            None => BreakerState::Closed,
            Some(opened) if now.since(opened) < COOL_DOWN => BreakerState::Open,
            Some(_) => BreakerState::HalfOpen,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_probes_once_and_closes() {
        let breaker = Breaker::new();
        let at = |seconds: i64| Timestamp(seconds * 1000);
        for _ in 0..4 {
            breaker.failed(at(0));
        }
        assert!(breaker.admits(at(0)), "four failures are not five");
        breaker.failed(at(0));
        assert_eq!((breaker.admits(at(1)), breaker.state(at(1))), (false, BreakerState::Open));
        assert!(breaker.admits(at(15)), "the probe");
        assert!(!breaker.admits(at(16)), "one probe at a time");
        breaker.failed(at(16));
        assert!(!breaker.admits(at(20)), "a failed probe opens it again");
        assert!(breaker.admits(at(31)));
        breaker.answered();
        assert!(breaker.admits(at(31)) && breaker.state(at(31)) == BreakerState::Closed);
    }

    #[test]
    fn a_probe_that_never_came_back_does_not_hold_it_shut() {
        let breaker = Breaker::new();
        (0..5).for_each(|_| breaker.failed(Timestamp(0)));
        assert!(breaker.admits(Timestamp(15_000)));
        assert!(breaker.admits(Timestamp(30_000)));
    }
}
