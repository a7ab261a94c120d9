//! Whether a failed attempt is made again, and after how long. Pure: no clock, no network.
//!
//! A request that is not idempotent is repeated only when it certainly did nothing: it never left this machine, or Graph said 429, which it
//! says before acting. Anything else might do the thing twice.

use std::time::Duration;

use crate::chance::Dice;

/// Attempts in all.
pub(super) const ATTEMPTS: u32 = 4;
/// Longest wait of the first repetition; doubles with each.
const FIRST: Duration = Duration::from_millis(500);
/// Longest wait of any.
const LONGEST: Duration = Duration::from_secs(30);

/// How an attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failed {
    /// No connection was made: nothing was sent.
    NeverSent,
    /// It was sent, or may have been, and no whole answer came.
    Lost,
    /// Graph answered with a failure.
    Status {
        /// HTTP status.
        status: u16,
        /// What Graph asked to wait.
        retry_after: Option<Duration>,
    },
}

/// Whether a request that failed so may have taken effect.
pub(super) fn may_have_happened(failed: Failed) -> bool {
    match failed {
        Failed::NeverSent => false,
        Failed::Lost => true,
        Failed::Status { status, .. } => status >= 500,
    }
}

/// How long to wait before attempt `attempt + 1` (`attempt` counts from 1), or `None` when there shall be none.
pub(super) fn wait(idempotent: bool, failed: Failed, attempt: u32, remaining: Duration, dice: &dyn Dice) -> Option<Duration> {
    let passing = match failed {
        Failed::NeverSent | Failed::Lost => true,
        Failed::Status { status, .. } => matches!(status, 408 | 429 | 500 | 502 | 503 | 504 | 509),
    };
    let safe = idempotent || !may_have_happened(failed);
    if !passing || !safe || attempt >= ATTEMPTS {
        return None;
    }
    let wait = match failed {
        Failed::Status { retry_after: Some(asked), .. } => asked,
        // Full jitter: spreads those who failed together.
        _ => dice.jitter(FIRST.saturating_mul(1 << (attempt - 1).min(8)).min(LONGEST)),
    };
    (wait < remaining).then_some(wait)
}

/// Reads `Retry-After`: seconds, or an HTTP date (RFC 9110, 10.2.3). `now` in seconds since 1970.
pub(super) fn retry_after(value: &str, now: i64) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(value).ok()?.timestamp().as_second();
    Some(Duration::from_secs(u64::try_from(date - now).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chance::SeededDice;
    use proptest::prelude::*;

    fn failed() -> impl Strategy<Value = Failed> {
        prop_oneof![
            Just(Failed::NeverSent),
            Just(Failed::Lost),
            (400_u16..600, prop::option::of(0_u64..100))
                .prop_map(|(status, wait)| Failed::Status { status, retry_after: wait.map(Duration::from_secs) }),
        ]
    }

    proptest! {
        #[test]
        fn what_may_have_happened_is_never_repeated(failed in failed(), attempt in 1_u32..6, remaining in 0_u64..200, seed: u64) {
            let dice = SeededDice::new(seed);
            let remaining = Duration::from_secs(remaining);
            let again = wait(false, failed, attempt, remaining, &dice);
            prop_assert!(again.is_none() || !may_have_happened(failed));
            for idempotent in [true, false] {
                if let Some(pause) = wait(idempotent, failed, attempt, remaining, &dice) {
                    prop_assert!(pause < remaining && attempt < ATTEMPTS);
                    if let Failed::Status { retry_after: Some(asked), .. } = failed {
                        prop_assert!(pause >= asked);
                    }
                }
            }
        }
    }

    #[test]
    fn a_refusal_is_final_and_a_429_is_not() {
        let dice = SeededDice::new(1);
        let status = |status| Failed::Status { status, retry_after: None };
        let minute = Duration::from_secs(60);
        for code in [400, 401, 403, 404, 409, 412] {
            assert_eq!(wait(true, status(code), 1, minute, &dice), None, "{code}");
        }
        assert!(wait(false, status(429), 1, minute, &dice).is_some());
        assert!(wait(false, status(503), 1, minute, &dice).is_none());
        assert!(wait(true, status(503), 1, minute, &dice).is_some());
    }

    #[test]
    fn both_forms_of_retry_after_are_read() {
        assert_eq!(retry_after(" 7 ", 0), Some(Duration::from_secs(7)));
        assert_eq!(retry_after("Fri, 20 Nov 2026 09:00:10 GMT", 1_795_165_200), Some(Duration::from_secs(10)));
        assert_eq!(retry_after("Fri, 20 Nov 2020 09:00:10 GMT", 1_795_165_200), Some(Duration::ZERO));
        assert_eq!(retry_after("soon", 0), None);
    }
}
