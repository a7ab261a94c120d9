//! Whether a task that failed is tried again, and when: a pure rule.
//!
//! Decided here: what needs a person (sign-in, a refusal, a wrong argument) is not repeated. Trouble that may pass is, three times, each
//! after full jitter on a doubling bound: 10 s, 20 s, 40 s. To be asked to slow down is no failure of the task: what Microsoft asked for is
//! waited in full, a little more so that not all come back at once, and counts for nothing but the attempts that a task has in all.

use std::time::Duration;

use super::TaskEnd;
use crate::{
    chance::Dice,
    clock::Timestamp,
    hint::Kind,
    store::{LONGEST_WAIT, MOST_ATTEMPTS},
};

/// How often a task that failed is tried again.
pub const MOST_RETRIES: u32 = 3;

/// The bound of the first wait; it doubles.
const BASE: Duration = Duration::from_secs(10);

/// The bound of any wait that nobody asked for.
const CAP: Duration = Duration::from_secs(600);

/// Why a run failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Stable and without content: a code of ours.
    pub code: String,
    /// Who would have to act.
    pub kind: Kind,
    /// How long Microsoft, or what keeps us from it, asked to wait.
    pub retry_after: Option<Duration>,
}

/// How the run ends that failed so; it was the `attempt`th that counts, and `retries` were made before.
pub fn after(failure: &Failure, attempt: u32, retries: u32, now: Timestamp, dice: &dyn Dice) -> TaskEnd {
    let text = failure.code.clone();
    let counted = match failure.kind {
        Kind::SignIn => return TaskEnd::Cancelled { failure: text },
        Kind::User | Kind::Denied | Kind::Config | Kind::Internal => return TaskEnd::Failed { failure: text },
        Kind::Offline => true,
        Kind::Throttled => false,
    };
    if attempt >= MOST_ATTEMPTS || (counted && retries >= MOST_RETRIES) {
        return TaskEnd::Failed { failure: text };
    }
    let doublings = if counted { retries } else { attempt.saturating_sub(1) };
    let bound = BASE.saturating_mul(1 << doublings.min(16)).min(CAP);
    let asked = failure.retry_after.unwrap_or(Duration::ZERO);
    let wait = asked.saturating_add(dice.jitter(bound)).min(LONGEST_WAIT);
    TaskEnd::Again { failure: text, not_before: now.plus(wait), counted }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::chance::SeededDice;

    const NOW: Timestamp = Timestamp(1_000_000);

    fn failure(kind: Kind, retry_after: Option<u64>) -> Failure {
        Failure { code: "why".into(), kind, retry_after: retry_after.map(Duration::from_millis) }
    }

    #[test]
    fn what_needs_a_person_is_not_tried_again() {
        for kind in [Kind::User, Kind::Denied, Kind::Config, Kind::Internal] {
            assert_eq!(after(&failure(kind, Some(1)), 1, 0, NOW, &SeededDice::new(1)), TaskEnd::Failed { failure: "why".into() });
        }
        assert_eq!(after(&failure(Kind::SignIn, None), 1, 0, NOW, &SeededDice::new(1)), TaskEnd::Cancelled { failure: "why".into() });
    }

    #[test]
    fn trouble_is_tried_three_times_more() {
        let (mut attempt, mut retries) = (1, 0);
        while let TaskEnd::Again { counted: true, .. } = after(&failure(Kind::Offline, None), attempt, retries, NOW, &SeededDice::new(1)) {
            (attempt, retries) = (attempt + 1, retries + 1);
        }
        assert_eq!((attempt, retries), (4, 3));
    }

    proptest! {
        #[test]
        fn waits_keep_their_bounds(throttled: bool, asked in proptest::option::of(0..200_000_000u64), attempt in 1..30u32, retries in 0..5u32, seed: u64) {
            let kind = if throttled { Kind::Throttled } else { Kind::Offline };
            match after(&failure(kind, asked), attempt, retries, NOW, &SeededDice::new(seed)) {
                TaskEnd::Again { failure, not_before, counted } => {
                    prop_assert_eq!((failure.as_str(), counted), ("why", !throttled));
                    prop_assert!(attempt < MOST_ATTEMPTS && (throttled || retries < MOST_RETRIES));
                    let asked = Duration::from_millis(asked.unwrap_or(0));
                    let wait = not_before.since(NOW);
                    let bound = BASE * (1 << if throttled { attempt - 1 } else { retries }.min(16));
                    prop_assert!(wait >= asked.min(LONGEST_WAIT) && wait <= (asked + bound.min(CAP)).min(LONGEST_WAIT));
                }
                TaskEnd::Failed { .. } => prop_assert!(attempt >= MOST_ATTEMPTS || (!throttled && retries >= MOST_RETRIES)),
                other => prop_assert!(false, "{other:?}"),
            }
        }
    }
}
