//! The budget of requests: so many at once for each mailbox or drive, those that somebody waits for first.
//!
//! Microsoft allows four requests at once for each application and mailbox (Graph documentation, *Throttling limits*, Outlook). This
//! process is the only one on the machine that asks, so this is the machine's budget. Background work uses at most three of the four and
//! none while somebody waits. Within an urgency it is first come, first served; background work that somebody begins to wait for goes with
//! those who wait, from when it came. A `Retry-After` pauses the whole key, for everybody.
//! A `$batch` takes a place for each of its items, as far as there are places: Graph counts its items and runs a few at a time.
//! Content that is being read may hold its place for minutes; a batch does not wait for that, and takes the places that are left. It may then
//! meet a 429, which is waited for; before, one slow download let nobody of its mailbox through once a batch stood first.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::{Notify, oneshot};

use super::Hurry;
use crate::{
    clock::{Clock, Countdown, Timestamp},
    ids::Urgency,
};

/// Requests at a time for one mailbox (Graph's limit for Outlook).
pub const OUTLOOK_LIMIT: usize = 4;

/// The budget of every mailbox and drive.
pub struct Budget {
    /// Requests at a time for one key.
    limit: usize,
    clock: Arc<dyn Clock>,
    lanes: Mutex<BTreeMap<Arc<str>, Lane>>,
}

/// Numbers for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Gauges {
    /// Places in use now.
    pub in_flight: usize,
    /// Requests that wait for a place.
    pub waiting: usize,
    /// Mailboxes and drives that are pausing because Graph asked for it.
    pub paused: usize,
}

/// One mailbox or drive, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneGauges {
    /// What Microsoft counts the requests against.
    pub key: Arc<str>,
    /// Places in use now.
    pub used: usize,
    /// Requests that wait for a place.
    pub waiting: usize,
    /// How long nobody is let in.
    pub paused: Duration,
}

#[derive(Default)]
struct Lane {
    used: usize,
    used_background: usize,
    /// Of the places in use those whose content is being read.
    streaming: usize,
    /// In the order in which they came.
    waiting: VecDeque<Waiter>,
    pause: Countdown,
    /// Tells those who wait that the pause has changed.
    changed: Arc<Notify>,
}

struct Waiter {
    places: usize,
    urgency: Hurry,
    granted: oneshot::Sender<Permit>,
}

/// Places of one key, given back when dropped.
pub(super) struct Permit {
    budget: Arc<Budget>,
    key: Arc<str>,
    places: usize,
    urgency: Urgency,
    streaming: bool,
}

/// No place before the deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Full {
    /// How long the key is paused, when that is why.
    pub(super) paused: Option<Duration>,
}

impl Budget {
    /// A budget of `limit` requests at a time for each key; at least 1, at most [`OUTLOOK_LIMIT`].
    pub fn new(clock: Arc<dyn Clock>, limit: usize) -> Arc<Self> {
        Arc::new(Self { limit: limit.clamp(1, OUTLOOK_LIMIT), clock, lanes: Mutex::default() })
    }

    /// Places that one who asks may have: one is kept free of background work, unless there is only one.
    fn most(&self, urgency: Urgency) -> usize {
        if urgency == Urgency::Foreground { self.limit } else { self.limit.saturating_sub(1).max(1) }
    }

    /// How many places a batch of `items` takes.
    pub(super) fn places(&self, items: usize, urgency: Urgency) -> usize {
        items.clamp(1, self.most(urgency))
    }

    /// Waits for `places` of `key` until `deadline`. Fails at once when the key is paused beyond it.
    pub(super) async fn acquire(self: &Arc<Self>, key: &str, urgency: &Hurry, places: usize, deadline: Timestamp) -> Result<Permit, Full> {
        let key: Arc<str> = key.into();
        let (granted, mut permit) = oneshot::channel();
        let mut idle = urgency.now() == Urgency::Background;
        let changed = {
            let mut lanes = self.lock();
            let lane = lanes.entry(key.clone()).or_default();
            lane.waiting.push_back(Waiter { places: self.places(places, urgency.now()), urgency: urgency.clone(), granted });
            let changed = lane.changed.clone();
            self.pump(&mut lanes, &key);
            changed
        };
        loop {
            // Registered before the pause is read, so that no change is missed.
            let mut changes = std::pin::pin!(changed.notified());
            changes.as_mut().enable();
            let now = self.clock.now();
            let pause = self.lock().get_mut(&key).map_or(Duration::ZERO, |lane| lane.pause.left(now));
            let left = deadline.since(now);
            if let Ok(permit) = permit.try_recv() {
                return Ok(permit);
            }
            if pause >= left {
                // The place in the queue goes with the receiver.
                drop(permit);
                self.pump(&mut self.lock(), &key);
                return Err(Full { paused: (!pause.is_zero()).then_some(pause) });
            }
            let wait = if pause.is_zero() { left } else { pause };
            tokio::select! {
                biased;
                Ok(permit) = &mut permit => return Ok(permit),
                () = changes => {}
                // Whoever it goes before now may not be all that keeps it: a place is free that background work does not get.
                () = urgency.raised(), if idle => {
                    idle = false;
                    self.pump(&mut self.lock(), &key);
                }
                () = self.clock.sleep(wait) => self.pump(&mut self.lock(), &key),
            }
        }
    }

    /// Nobody gets a place of `key` for this long.
    pub(super) fn pause(&self, key: &str, wait: Duration) {
        let now = self.clock.now();
        let mut lanes = self.lock();
        let lane = lanes.entry(key.into()).or_default();
        if wait > lane.pause.left(now) {
            lane.pause = Countdown::new(now, wait);
        }
        lane.changed.notify_waiters();
    }

    /// Numbers now.
    pub fn gauges(&self) -> Gauges {
        self.lanes().iter().fold(Gauges::default(), |sum, lane| Gauges {
            in_flight: sum.in_flight + lane.used,
            waiting: sum.waiting + lane.waiting,
            paused: sum.paused + usize::from(!lane.paused.is_zero()),
        })
    }

    /// Every mailbox and drive that is asked, or pausing, now.
    pub fn lanes(&self) -> Vec<LaneGauges> {
        let now = self.clock.now();
        let waiting = |queue: &VecDeque<Waiter>| queue.iter().filter(|waiter| !waiter.granted.is_closed()).count();
        let gauges = |(key, lane): (&Arc<str>, &mut Lane)| LaneGauges {
            key: key.clone(),
            used: lane.used,
            waiting: waiting(&lane.waiting),
            paused: lane.pause.left(now),
        };
        self.lock().iter_mut().map(gauges).filter(|lane| lane.used > 0 || lane.waiting > 0 || !lane.paused.is_zero()).collect()
    }

    /// Requests at a time for one mailbox or drive.
    pub fn limit(&self) -> usize {
        self.limit
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Lane>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives free places to those who wait, and drops a lane that nobody needs.
    fn pump(self: &Arc<Self>, lanes: &mut BTreeMap<Arc<str>, Lane>, key: &Arc<str>) {
        let Some(lane) = lanes.get_mut(key) else { return };
        if lane.pause.left(self.clock.now()).is_zero() {
            while let Some((waiter, urgency)) = lane.next(self.limit, self.most(Urgency::Background)) {
                let permit = Permit { budget: self.clone(), key: key.clone(), places: waiter.places, urgency, streaming: false };
                lane.take(waiter.places, urgency);
                if let Err(permit) = waiter.granted.send(permit) {
                    // Its caller went away just now. Given back here, because its `Drop` would lock again.
                    lane.give(permit.places, permit.urgency);
                    permit.forget();
                }
            }
            if lane.used == 0 && lane.waiting.is_empty() {
                lanes.remove(key);
            }
        }
    }
}

impl Lane {
    /// The next one who may go now.
    fn next(&mut self, limit: usize, background: usize) -> Option<(Waiter, Urgency)> {
        self.waiting.retain(|waiter| !waiter.granted.is_closed());
        let urgent = self.waiting.iter().position(|waiter| waiter.urgency.now() == Urgency::Foreground);
        let free = limit.saturating_sub(self.used);
        let (at, urgency, free) = match urgent {
            Some(at) => (at, Urgency::Foreground, free),
            None => (0, Urgency::Background, free.min(background.saturating_sub(self.used_background))),
        };
        // Whoever is first in the queue is waited for, however many places it needs: others do not slip past.
        // Only who reads content on and on is not.
        let most = if urgency == Urgency::Foreground { limit } else { background };
        let soon = most.saturating_sub(self.streaming).max(1);
        let places = self.waiting.get(at)?.places.min(soon);
        if places > free {
            return None;
        }
        self.waiting.remove(at).map(|waiter| (Waiter { places, ..waiter }, urgency))
    }

    fn take(&mut self, places: usize, urgency: Urgency) {
        self.used += places;
        if urgency == Urgency::Background {
            self.used_background += places;
        }
    }

    fn give(&mut self, places: usize, urgency: Urgency) {
        self.used -= places;
        if urgency == Urgency::Background {
            self.used_background -= places;
        }
    }
}

impl Permit {
    /// The answer has begun, and its content is read from now on: for as long as that takes.
    pub(super) fn streams(mut self) -> Self {
        let mut lanes = self.budget.lock();
        if let Some(lane) = lanes.get_mut(&self.key) {
            lane.streaming += self.places;
            self.streaming = true;
        }
        self.budget.pump(&mut lanes, &self.key);
        drop(lanes);
        self
    }

    /// Ends it without giving its places back.
    fn forget(mut self) {
        self.places = 0;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.places == 0 {
            return;
        }
        let mut lanes = self.budget.lock();
        if let Some(lane) = lanes.get_mut(&self.key) {
            lane.give(self.places, self.urgency);
            if self.streaming {
                lane.streaming -= self.places;
            }
        }
        self.budget.pump(&mut lanes, &self.key);
    }
}

#[cfg(test)]
#[path = "throttle_tests.rs"]
mod tests;
