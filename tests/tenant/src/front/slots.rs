//! How many requests each mailbox or drive is serving: measured always, limited for mailboxes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use crate::state::{State, lock};

/// Places in use by owner.
#[derive(Default)]
pub(crate) struct Slots {
    used: Mutex<BTreeMap<String, u64>>,
}

/// Places held until this is dropped.
pub(crate) struct Held {
    state: Arc<State>,
    owner: String,
    /// How many of the wanted places there were.
    pub(crate) granted: u64,
}

/// Takes up to `want` places of an owner. Drives have no limit here: theirs counts cost per minute, not concurrency.
pub(crate) fn take(state: &Arc<State>, owner: String, want: u64) -> Held {
    let throttle = state.settings().throttle;
    let limited = throttle.on && owner.starts_with("mailbox:");
    let (granted, peak) = {
        let mut used = lock(&state.slots.used);
        let used = used.entry(owner.clone()).or_default();
        let granted = if limited { want.min(throttle.limit.saturating_sub(*used)) } else { want };
        let peak = *used + want;
        *used += granted;
        (granted, peak)
    };
    state.counts.change(|stats| {
        let highest = stats.peak.entry(owner.clone()).or_default();
        *highest = peak.max(*highest);
    });
    Held { state: Arc::clone(state), owner, granted }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut used = lock(&self.state.slots.used);
        if let Some(left) = used.get_mut(&self.owner) {
            *left -= self.granted;
        }
    }
}
