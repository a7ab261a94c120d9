//! What all ports share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::clock::Clock;
use crate::csdl::Judge;
use crate::faults::Faults;
use crate::front::slots::Slots;
use crate::graph::Graph;
use crate::identity::grants::Grants;
use crate::ids::Ids;
use crate::journal::Journal;
use crate::options::{Latency, Throttle};
use crate::seed::User;
use crate::stats::Counts;
use crate::tenant::Addresses;

/// Settings that the control port may change while the tenant runs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) latency: Latency,
    pub(crate) throttle: Throttle,
    pub(crate) token_lifetime: Duration,
    pub(crate) device_interval: Duration,
}

/// What all ports share.
pub(crate) struct State {
    pub(crate) seed: u64,
    pub(crate) graph: Graph,
    pub(crate) clock: Arc<Clock>,
    pub(crate) ids: Ids,
    pub(crate) counts: Counts,
    pub(crate) journal: Journal,
    pub(crate) faults: Faults,
    pub(crate) slots: Slots,
    pub(crate) grants: Grants,
    pub(crate) addresses: Addresses,
    pub(crate) settings: Mutex<Settings>,
    /// There when answers are held to the declarations.
    pub(crate) judge: Option<Judge>,
    /// Becomes true when the tenant is to end.
    pub(crate) stop: watch::Sender<bool>,
}

impl State {
    pub(crate) fn settings(&self) -> Settings {
        *lock(&self.settings)
    }

    /// The user with this sign-in name (any case) or object id.
    pub(crate) fn user(&self, name: &str) -> Option<User> {
        self.graph.users().into_iter().find(|user| user.id == name || user.username.eq_ignore_ascii_case(name))
    }
}

/// Locks, also after a panic elsewhere: the tenant's tables are never left half-changed.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
