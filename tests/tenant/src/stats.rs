//! What happened so far, and waiting for it to happen.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::state::{State, lock};

/// Counts since the start or the last reset.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// HTTP requests on the Graph ports; a `$batch` is one.
    pub requests: u64,
    /// The same by route, e.g. `GET /me/messages`.
    pub routes: BTreeMap<String, u64>,
    /// Items inside `$batch` requests by route.
    pub batched: BTreeMap<String, u64>,
    /// Graph answers by HTTP status; the dropped ones (fault `reset`) are under 0.
    pub statuses: BTreeMap<u16, u64>,
    /// Requests and batch items that were refused for concurrency.
    pub throttled: u64,
    /// Graph requests that have not been answered yet, by route. Not touched by a reset.
    pub running: BTreeMap<String, u64>,
    /// The most requests one mailbox or drive was asked for at once, refused ones included, by `mailbox:<id>` or
    /// `drive:<id>`.
    pub peak: BTreeMap<String, u64>,
    /// The most requests that were alike to the last character and under way at once.
    #[serde(default)]
    pub alike: u64,
    /// TCP connections accepted by port name (`graph`, `graph_tls`, …).
    pub connections: BTreeMap<String, u64>,
    /// Requests on the download ports, pieces of uploads included.
    pub downloads: u64,
    /// Requests on the download ports that carried an `Authorization` header: always a client's mistake.
    pub bearer_on_downloads: u64,
    /// Requests on the identity ports by route, e.g. `POST token`.
    pub identity: BTreeMap<String, u64>,
    /// Successful token answers by grant (`authorization_code`, `refresh_token`, `device_code`).
    pub tokens: BTreeMap<String, u64>,
    /// Refused token requests by error (`invalid_grant`, `authorization_pending`, …).
    pub refused: BTreeMap<String, u64>,
    /// Token requests that carried a `claims` parameter, i.e. answered a claims challenge or declared `cp1`.
    pub claims_sent: u64,
}

impl Stats {
    /// Requests and batch items whose route contains `route`.
    #[must_use]
    pub fn count(&self, route: &str) -> u64 {
        sum(&self.routes, route) + sum(&self.batched, route)
    }

    /// Requests in flight whose route contains `route`.
    #[must_use]
    pub fn concurrent(&self, route: &str) -> u64 {
        sum(&self.running, route)
    }
}

fn sum(by_route: &BTreeMap<String, u64>, route: &str) -> u64 {
    by_route.iter().filter(|(name, _)| name.contains(route)).map(|(_, count)| count).sum()
}

/// The live counters.
pub(crate) struct Counts {
    stats: Mutex<Stats>,
    /// Requests under way, by user, method and address.
    alike: Mutex<BTreeMap<String, u64>>,
    changed: watch::Sender<()>,
}

impl Counts {
    pub(crate) fn new() -> Self {
        Self { stats: Mutex::default(), alike: Mutex::default(), changed: watch::Sender::new(()) }
    }

    /// Changes counters and wakes the waiters.
    pub(crate) fn change(&self, how: impl FnOnce(&mut Stats)) {
        how(&mut lock(&self.stats));
        self.changed.send_replace(());
    }

    pub(crate) fn read(&self) -> Stats {
        lock(&self.stats).clone()
    }

    /// How many requests a route has had.
    pub(crate) fn nth(&self, route: &str) -> u64 {
        lock(&self.stats).routes.get(route).copied().unwrap_or(0)
    }

    /// Starts all counts again; what is running stays.
    pub(crate) fn reset(&self) {
        self.change(|stats| {
            *stats = Stats { running: std::mem::take(&mut stats.running), ..Stats::default() };
        });
    }

    /// Waits until `enough` says so of the counters. No polling: it looks after each change.
    pub(crate) async fn wait(&self, enough: impl Fn(&Stats) -> bool) {
        let mut changes = self.changed.subscribe();
        while !enough(&lock(&self.stats)) {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }
}

/// Adds one under a name.
pub(crate) fn add<K: Ord>(counts: &mut BTreeMap<K, u64>, key: K) {
    *counts.entry(key).or_default() += 1;
}

/// A Graph request in flight; it is over when this is dropped, also when the client went away.
pub(crate) struct Running {
    state: Arc<State>,
    route: String,
    whole: String,
}

impl Running {
    /// Counts an arrival; `whole` is all that makes one request unlike another.
    pub(crate) fn begin(state: &Arc<State>, route: String, whole: String) -> Self {
        let alike = {
            let mut alike = lock(&state.counts.alike);
            add(&mut alike, whole.clone());
            alike.get(&whole).copied().unwrap_or(0)
        };
        state.counts.change(|stats| {
            stats.alike = stats.alike.max(alike);
            stats.requests += 1;
            add(&mut stats.routes, route.clone());
            add(&mut stats.running, route.clone());
        });
        Self { state: Arc::clone(state), route, whole }
    }

    pub(crate) fn route(&self) -> &str {
        &self.route
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut alike = lock(&self.state.counts.alike);
        if let Some(left) = alike.get_mut(&self.whole) {
            *left -= 1;
            if *left == 0 {
                alike.remove(&self.whole);
            }
        }
        drop(alike);
        self.state.counts.change(|stats| {
            if let Some(left) = stats.running.get_mut(&self.route) {
                *left -= 1;
                if *left == 0 {
                    stats.running.remove(&self.route);
                }
            }
        });
    }
}
