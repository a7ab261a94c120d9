//! The machine-wide budget of requests: at most so many at a time for each mailbox or drive, foreground before background.
//!
//! Outlook allows 4 concurrent requests for each application and mailbox; this daemon is the only one that asks, so holding the line here
//! holds it for every client. Background work uses at most one less than the limit and never while somebody waits. When Graph asks for a
//! pause (`Retry-After`), everybody who wants that mailbox pauses. A `$batch` takes as many slots as it has requests, at most all of them,
//! because its requests count one by one.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::Notify;

use crate::{
    clock::{Clock, Timestamp},
    ids::Urgency,
};

/// Requests at a time for one mailbox (Graph's limit for Outlook).
pub const OUTLOOK_LIMIT: usize = 4;

/// The budget of every mailbox and drive.
pub struct Budget {
    clock: Arc<dyn Clock>,
    limit: usize,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    tickets: u64,
    lanes: BTreeMap<String, Lane>,
}

/// One mailbox or drive. Kept only while it is in use or paused.
#[derive(Default)]
struct Lane {
    running: usize,
    background: usize,
    waiting: BTreeSet<(Urgency, u64)>,
    paused_until: Option<Timestamp>,
}

impl Lane {
    fn idle(&self, now: Timestamp) -> bool {
        self.running == 0 && self.waiting.is_empty() && self.paused_until.is_none_or(|until| until <= now)
    }
}

/// Numbers for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Gauges {
    /// Slots taken now.
    pub in_flight: usize,
    /// Requests that wait for a slot.
    pub waiting: usize,
    /// Mailboxes and drives that are pausing because Graph asked for it.
    pub paused: usize,
}

/// Slots taken; given back when dropped.
pub struct Permit {
    budget: Arc<Budget>,
    key: String,
    urgency: Urgency,
    slots: usize,
}

/// A place in the queue; given up when dropped.
struct Ticket<'a> {
    budget: &'a Budget,
    key: &'a str,
    place: (Urgency, u64),
}

enum Turn {
    Now,
    Later,
    At(Timestamp),
}

impl Budget {
    /// A budget of `limit` requests at a time for each key; at least 1, at most [`OUTLOOK_LIMIT`].
    pub fn new(clock: Arc<dyn Clock>, limit: usize) -> Arc<Self> {
        Arc::new(Self { clock, limit: limit.clamp(1, OUTLOOK_LIMIT), state: Mutex::default(), changed: Notify::new() })
    }

    /// Takes `slots` (at most all) for `key`, in turn.
    pub async fn take(self: &Arc<Self>, key: &str, urgency: Urgency, slots: usize) -> Permit {
        let slots = slots.clamp(1, self.most(urgency));
        let place = {
            let mut state = self.lock();
            state.tickets += 1;
            let place = (urgency, state.tickets);
            state.lanes.entry(key.to_owned()).or_default().waiting.insert(place);
            place
        };
        let ticket = Ticket { budget: self, key, place };
        loop {
            // Registered before the state is read, so that no change is missed.
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            match self.turn(key, place, slots) {
                Turn::Now => {
                    drop(ticket);
                    return Permit { budget: self.clone(), key: key.to_owned(), urgency, slots };
                }
                Turn::Later => changed.await,
                Turn::At(until) => {
                    tokio::select! {
                        () = changed => {}
                        () = self.clock.sleep(until.since(self.clock.now())) => {}
                    }
                }
            }
        }
    }

    /// Slots one taker may have: one is kept free of background work, unless there is only one.
    fn most(&self, urgency: Urgency) -> usize {
        match urgency {
            Urgency::Foreground => self.limit,
            Urgency::Background => self.limit.saturating_sub(1).max(1),
        }
    }

    fn turn(&self, key: &str, place: (Urgency, u64), slots: usize) -> Turn {
        let now = self.clock.now();
        let mut state = self.lock();
        let lane = state.lanes.entry(key.to_owned()).or_default();
        if let Some(until) = lane.paused_until {
            if until > now {
                return Turn::At(until);
            }
            lane.paused_until = None;
        }
        // Foreground sorts before background, and earlier before later.
        if lane.waiting.first() != Some(&place) || lane.running + slots > self.limit {
            return Turn::Later;
        }
        if place.0 == Urgency::Background {
            if lane.background + slots > self.most(Urgency::Background) {
                return Turn::Later;
            }
            lane.background += slots;
        }
        lane.running += slots;
        Turn::Now
    }

    /// Graph asked to wait: nobody asks for `key` until then.
    pub fn pause(&self, key: &str, wait: Duration) {
        let until = self.clock.now().plus(wait);
        let mut state = self.lock();
        let lane = state.lanes.entry(key.to_owned()).or_default();
        lane.paused_until = Some(lane.paused_until.map_or(until, |known| known.max(until)));
    }

    /// Numbers now.
    pub fn gauges(&self) -> Gauges {
        let now = self.clock.now();
        self.lock().lanes.values().fold(Gauges::default(), |sum, lane| Gauges {
            in_flight: sum.in_flight + lane.running,
            waiting: sum.waiting + lane.waiting.len(),
            paused: sum.paused + usize::from(lane.paused_until.is_some_and(|until| until > now)),
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes a lane, forgets it when nothing is left of it, and wakes who waits.
    fn change(&self, key: &str, change: impl FnOnce(&mut Lane)) {
        let now = self.clock.now();
        let mut state = self.lock();
        if let Some(lane) = state.lanes.get_mut(key) {
            change(lane);
            if lane.idle(now) {
                state.lanes.remove(key);
            }
        }
        drop(state);
        self.changed.notify_waiters();
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.budget.change(self.key, |lane| {
            lane.waiting.remove(&self.place);
        });
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.budget.change(&self.key, |lane| {
            lane.running = lane.running.saturating_sub(self.slots);
            if self.urgency == Urgency::Background {
                lane.background = lane.background.saturating_sub(self.slots);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use futures_util::FutureExt as _;

    fn budget() -> (Arc<Budget>, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::at(Timestamp(0)));
        (Budget::new(clock.clone(), 4), clock)
    }

    #[test]
    fn a_mailbox_has_four_places_and_another_has_its_own() {
        let (budget, _) = budget();
        let held: Vec<_> = (0..4).map(|_| budget.take("a", Urgency::Foreground, 1).now_or_never().unwrap()).collect();
        let mut fifth = Box::pin(budget.take("a", Urgency::Foreground, 1));
        assert!(fifth.as_mut().now_or_never().is_none());
        assert!(budget.take("b", Urgency::Foreground, 1).now_or_never().is_some());
        drop(held);
        assert!(fifth.now_or_never().is_some());
    }

    #[test]
    fn background_leaves_a_place_and_lets_others_pass() {
        let (budget, _) = budget();
        let held: Vec<_> = (0..3).map(|_| budget.take("a", Urgency::Background, 1).now_or_never().unwrap()).collect();
        let mut fourth = Box::pin(budget.take("a", Urgency::Background, 1));
        assert!(fourth.as_mut().now_or_never().is_none(), "one place stays free of background work");
        let one = budget.take("a", Urgency::Foreground, 1).now_or_never().unwrap();
        let mut person = Box::pin(budget.take("a", Urgency::Foreground, 1));
        assert!(person.as_mut().now_or_never().is_none());
        drop(held);
        assert!(person.as_mut().now_or_never().is_some(), "who came later but is waited for goes first");
        drop(one);
        assert!(fourth.now_or_never().is_some());
    }

    #[test]
    fn a_pause_is_everybodys_and_ends() {
        let (budget, clock) = budget();
        budget.pause("a", Duration::from_secs(3));
        let mut first = Box::pin(budget.take("a", Urgency::Foreground, 1));
        assert!(first.as_mut().now_or_never().is_none());
        assert_eq!(budget.gauges().paused, 1);
        clock.advance(Duration::from_secs(3));
        assert!(first.now_or_never().is_some());
    }

    #[test]
    fn who_gives_up_is_not_waited_for_and_nothing_is_left_behind() {
        let (budget, _) = budget();
        let all = budget.take("a", Urgency::Foreground, 20).now_or_never().unwrap();
        let mut gone = Box::pin(budget.take("a", Urgency::Foreground, 1));
        assert!(gone.as_mut().now_or_never().is_none());
        drop(gone);
        let mut next = Box::pin(budget.take("a", Urgency::Foreground, 1));
        assert!(next.as_mut().now_or_never().is_none());
        drop(all);
        drop(next.now_or_never().unwrap());
        assert!(budget.lock().lanes.is_empty());
    }
}
