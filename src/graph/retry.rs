//! Whether a request is sent again, and when: a pure rule.
//!
//! Decided here: only what is known not to have taken effect is repeated for everybody (never sent, 401, 429); what may have taken
//! effect is repeated only for idempotent requests. Graph has no idempotency keys, so a lost answer to anything else stays lost, 5xx
//! included. Waits are full jitter on a doubling bound; a wait that would outlast the call's deadline is not begun.
//! Sources: Graph documentation, *Throttling guidance*; requirement W40.

use std::time::Duration;

use crate::chance::Dice;

/// How often and how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Policy {
    /// How often a request may fail before it is given up.
    pub(super) most_failures: u32,
    /// How often it may be refused for throttling before it is given up.
    pub(super) most_refusals: u32,
    /// The bound of the first wait; it doubles.
    pub(super) base: Duration,
    /// The bound of any wait.
    pub(super) cap: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self { most_failures: 4, most_refusals: 8, base: Duration::from_millis(500), cap: Duration::from_secs(16) }
    }
}

/// What came of one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// An answer of this status, and how long it asked to wait.
    Status(u16, Option<Duration>),
    /// Nothing was sent: no connection, no token.
    NeverSent,
    /// Something may have been sent, and no whole answer came back.
    Lost,
}

/// What has happened to a request so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tries {
    pub(super) failures: u32,
    pub(super) refusals: u32,
    pub(super) renewed: bool,
}

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    /// It is an answer, good or bad.
    Done,
    /// Send again with a new token.
    Renew,
    /// Send again after the wait.
    Again(Duration),
    /// The whole throttle key waits, then send again.
    Pause(Duration),
    /// No more attempts.
    GiveUp,
}

impl Outcome {
    /// Whether the request may have taken effect without our knowing: no whole answer came, or one that says neither yes nor no.
    pub(super) fn may_have_happened(self) -> bool {
        match self {
            Self::NeverSent => false,
            Self::Lost => true,
            Self::Status(status, _) => matches!(status, 300..=399 | 408) || (status >= 500 && !matches!(status, 501 | 507)),
        }
    }

    /// Whether Microsoft said how long to wait.
    pub(super) fn asks(self) -> bool {
        matches!(self, Self::Status(_, Some(_)))
    }

    /// Whether the outcome is one of Microsoft's passing troubles.
    fn passes(self) -> bool {
        matches!(self, Self::NeverSent | Self::Lost | Self::Status(408 | 429 | 500 | 502 | 503 | 504 | 509, _))
    }
}

/// Decides what to do after `outcome`. `tries` counts what happened before it, `left` is the time to the deadline.
pub(super) fn decide(policy: &Policy, idempotent: bool, tries: &mut Tries, outcome: Outcome, left: Duration, dice: &dyn Dice) -> Decision {
    if let Outcome::Status(401, _) = outcome
        && !std::mem::replace(&mut tries.renewed, true)
    {
        return Decision::Renew;
    }
    if !outcome.passes() {
        return Decision::Done;
    }
    let throttled = matches!(outcome, Outcome::Status(429, _) | Outcome::Status(503 | 504 | 509, Some(_)));
    let (count, most) = if throttled { (&mut tries.refusals, policy.most_refusals) } else { (&mut tries.failures, policy.most_failures) };
    *count += 1;
    if (!idempotent && outcome.may_have_happened()) || *count >= most {
        return Decision::GiveUp;
    }
    let bound = policy.base.saturating_mul(1 << (*count - 1).min(16)).min(policy.cap);
    let asked = if let Outcome::Status(_, asked) = outcome { asked } else { None };
    // What Microsoft asked for is waited in full, and a little more, so that not everybody comes back at once.
    let wait = match asked {
        Some(asked) => asked + dice.jitter(policy.base),
        None => dice.jitter(bound),
    };
    match wait {
        wait if wait >= left => Decision::GiveUp,
        wait if throttled => Decision::Pause(wait),
        wait => Decision::Again(wait),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::chance::SeededDice;

    const LONG: Duration = Duration::from_secs(3600);

    fn first(idempotent: bool, outcome: Outcome) -> Decision {
        decide(&Policy::default(), idempotent, &mut Tries::default(), outcome, LONG, &SeededDice::new(1))
    }

    #[test]
    fn what_may_have_taken_effect_is_not_sent_twice() {
        for outcome in [Outcome::Lost, Outcome::Status(500, None), Outcome::Status(503, Some(Duration::ZERO)), Outcome::Status(504, None)] {
            assert_eq!(first(false, outcome), Decision::GiveUp, "{outcome:?}");
            assert!(matches!(first(true, outcome), Decision::Again(_) | Decision::Pause(_)), "{outcome:?}");
        }
    }

    #[test]
    fn a_redirect_says_neither_yes_nor_no_and_is_not_asked_for_again() {
        for status in [301, 302, 304, 307] {
            let outcome = Outcome::Status(status, None);
            assert!(outcome.may_have_happened());
            assert_eq!((first(true, outcome), first(false, outcome)), (Decision::Done, Decision::Done), "{status}");
        }
    }

    #[test]
    fn what_was_refused_before_it_acted_is_sent_again() {
        assert!(
            matches!(first(false, Outcome::Status(429, Some(Duration::from_secs(7)))), Decision::Pause(wait) if wait >= Duration::from_secs(7))
        );
        assert!(matches!(first(false, Outcome::NeverSent), Decision::Again(_)));
        assert_eq!(first(false, Outcome::Status(401, None)), Decision::Renew);
    }

    #[test]
    fn a_token_is_renewed_once() {
        let mut tries = Tries::default();
        let mut next = || decide(&Policy::default(), true, &mut tries, Outcome::Status(401, None), LONG, &SeededDice::new(1));
        assert_eq!((next(), next()), (Decision::Renew, Decision::Done));
    }

    #[test]
    fn answers_are_answers() {
        for status in [200, 204, 302, 304, 400, 403, 404, 409, 410, 412, 501, 507] {
            assert_eq!(first(true, Outcome::Status(status, None)), Decision::Done, "{status}");
        }
    }

    fn outcomes() -> impl Strategy<Value = Outcome> {
        let asked = proptest::option::of((0u64..600_000).prop_map(Duration::from_millis));
        prop_oneof![
            (100u16..600, asked).prop_map(|(status, asked)| Outcome::Status(status, asked)),
            Just(Outcome::NeverSent),
            Just(Outcome::Lost)
        ]
    }

    proptest! {
        #[test]
        fn every_history_ends_and_keeps_the_rules(idempotent: bool, seed: u64, left in 0u64..120_000, history in proptest::collection::vec(outcomes(), 0..40)) {
            let (policy, dice, left) = (Policy::default(), SeededDice::new(seed), Duration::from_millis(left));
            let (mut tries, mut sent) = (Tries::default(), 0);
            for outcome in history {
                sent += 1;
                let decision = decide(&policy, idempotent, &mut tries, outcome, left, &dice);
                let again = matches!(decision, Decision::Renew | Decision::Again(_) | Decision::Pause(_));
                prop_assert!(!again || idempotent || !outcome.may_have_happened(), "{outcome:?} sent again");
                if let Decision::Again(wait) | Decision::Pause(wait) = decision {
                    prop_assert!(wait < left);
                    if let Outcome::Status(_, Some(asked)) = outcome {
                        prop_assert!(wait >= asked);
                    } else {
                        prop_assert!(wait <= policy.cap);
                    }
                }
                if !again {
                    break;
                }
            }
            prop_assert!(sent <= 1 + policy.most_failures + policy.most_refusals);
        }
    }
}
