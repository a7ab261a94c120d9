//! Whose turn it is to ask a feed: one at a time, and nobody who is waited for waits behind background work.
//!
//! A check is one small request: whoever is waited for gets in line, and the checks ahead become as urgent. A walk may be hundreds of pages:
//! it begins only when nobody is in line, and whoever is waited for does without a check while it lasts.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::{graph::Hurry, ids::Urgency};

/// The turn of one feed.
pub(super) struct Turn {
    line: Mutex<Line>,
    turn: tokio::sync::Mutex<()>,
}

struct Line {
    /// Shared by the background checks that stand in line since somebody who is waited for got in line.
    background: Hurry,
    /// Checks in line, the one under way included.
    checks: usize,
    walking: bool,
}

/// The turn, given up when dropped.
pub(super) struct Taken<'a> {
    // Given up in this order: who finds nobody in line can take it.
    _turn: tokio::sync::MutexGuard<'a, ()>,
    _place: Place<'a>,
    /// How urgent a check is.
    pub(super) urgency: Hurry,
}

/// A place in line.
struct Place<'a> {
    turn: &'a Turn,
    walks: bool,
}

impl Default for Turn {
    fn default() -> Self {
        let line = Line { background: Urgency::Background.into(), checks: 0, walking: false };
        Self { line: Mutex::new(line), turn: tokio::sync::Mutex::default() }
    }
}

impl Turn {
    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the turn to check; `None` for somebody who is waited for while the feed is walked.
    pub(super) async fn check(&self, urgency: Urgency) -> Option<Taken<'_>> {
        let urgency = {
            let mut line = self.line();
            let urgency = match urgency {
                Urgency::Background => line.background.clone(),
                Urgency::Foreground if line.walking => return None,
                Urgency::Foreground => {
                    std::mem::replace(&mut line.background, Urgency::Background.into()).raise();
                    urgency.into()
                }
            };
            line.checks += 1;
            urgency
        };
        let place = Place { turn: self, walks: false };
        Some(Taken { _turn: self.turn.lock().await, _place: place, urgency })
    }

    /// The turn to walk, when nobody is in line.
    pub(super) fn walk(&self) -> Option<Taken<'_>> {
        let mut line = self.line();
        let turn = (line.checks == 0 && !line.walking).then(|| self.turn.try_lock().ok())??;
        line.walking = true;
        Some(Taken { _turn: turn, _place: Place { turn: self, walks: true }, urgency: Urgency::Background.into() })
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut line = self.turn.line();
        if self.walks {
            line.walking = false;
        } else {
            line.checks -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn checks_ahead_of_somebody_who_waits_become_urgent_and_later_ones_do_not() {
        let turn = Turn::default();
        let first = turn.check(Urgency::Background).await.unwrap();
        let mut second = Box::pin(turn.check(Urgency::Background));
        assert!(second.as_mut().now_or_never().is_none());
        assert_eq!(first.urgency.now(), Urgency::Background);
        let mut waited_for = Box::pin(turn.check(Urgency::Foreground));
        assert!(waited_for.as_mut().now_or_never().is_none());
        assert_eq!(first.urgency.now(), Urgency::Foreground);
        let mut third = Box::pin(turn.check(Urgency::Background));
        assert!(third.as_mut().now_or_never().is_none());
        drop(first);
        let second = second.await.unwrap();
        assert_eq!(second.urgency.now(), Urgency::Foreground, "it was ahead too");
        drop(second);
        assert_eq!(waited_for.await.unwrap().urgency.now(), Urgency::Foreground);
        assert_eq!(third.await.unwrap().urgency.now(), Urgency::Background);
    }

    #[tokio::test]
    async fn nobody_who_is_waited_for_waits_behind_a_walk() {
        let turn = Turn::default();
        let walk = turn.walk().unwrap();
        assert!(turn.walk().is_none(), "one at a time");
        let mut behind = Box::pin(turn.check(Urgency::Background));
        assert!(behind.as_mut().now_or_never().is_none());
        assert!(turn.check(Urgency::Foreground).now_or_never().unwrap().is_none());
        drop(walk);
        assert!(turn.walk().is_none(), "a check is in line");
        drop(behind.await);
        assert!(turn.walk().is_some());
        let mut gone = Box::pin(turn.check(Urgency::Foreground));
        assert!(gone.as_mut().now_or_never().unwrap().is_some());
        drop(gone);
        let check = turn.check(Urgency::Foreground).await;
        assert!(turn.walk().is_none());
        drop(check);
        let unpolled = turn.check(Urgency::Foreground);
        drop(unpolled);
        assert!(turn.walk().is_some(), "who goes away leaves the line");
    }
}
