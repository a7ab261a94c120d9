//! While asking Microsoft is paused: what is stored is served however old it is, nothing is fetched ahead or behind, and no write is begun.

use std::time::Duration;

use super::Engine;
use crate::{auth::UNTIL_RESUMED, cache::Ttl, clock::Timestamp};

/// The longest time between two looks at a pause that a person ends.
const LOOK: Duration = Duration::from_secs(3600);

impl Engine {
    /// Until when Microsoft is not asked; `None` when it may be.
    pub(super) fn paused(&self) -> Option<Timestamp> {
        self.graph.as_ref().and_then(|client| client.pause()).and_then(|pause| pause.until())
    }

    /// How long tasks have to wait, while it is paused.
    pub(super) fn rest(&self, now: Timestamp) -> Option<Duration> {
        self.paused().map(|until| if until == UNTIL_RESUMED { LOOK } else { until.since(now) })
    }

    /// Wakes those who rest: the pause has begun or ended.
    pub fn pause_changed(&self) {
        self.queue.wake_all();
        self.warmth.stir();
    }

    /// The times by which a stored answer stands in for one that cannot be had: nobody who has paused asks for what is newer.
    pub(super) fn standing_in(&self, ttl: Ttl) -> Ttl {
        if self.paused().is_some() { Ttl { if_error: Duration::MAX, ..ttl } } else { ttl }
    }
}
