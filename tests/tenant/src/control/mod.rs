//! The tests' hand in the machine: the same verbs as methods here and as JSON over HTTP in `http.rs`.

pub(crate) mod http;
pub(crate) mod verbs;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::Value;

use self::verbs::{AuthAction, DeviceAction, Wait, Waited};
use crate::clock::{ClockReading, ClockSetting};
use crate::csdl;
use crate::faults::{Fault, FaultState};
use crate::identity;
use crate::journal::Asked;
use crate::options::{Latency, Throttle};
use crate::state::{State, lock};
use crate::stats::Stats;

/// How long a wait takes at most when nothing else is said.
const PATIENCE: Duration = Duration::from_secs(30);

/// A handle on a running tenant. Cheap to clone; keeps the tenant's state (not its ports) alive.
#[derive(Clone)]
pub struct Control {
    state: Arc<State>,
}

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Control").finish_non_exhaustive()
    }
}

impl Control {
    pub(crate) fn new(state: Arc<State>) -> Self {
        Self { state }
    }

    /// Counts since the start or the last reset.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.state.counts.read()
    }

    /// How the answers so far hold to the declarations of v1.0.
    ///
    /// # Errors
    /// When the tenant was started without checking them.
    pub fn csdl(&self) -> anyhow::Result<csdl::Report> {
        Ok(self.state.judge.as_ref().context("this tenant does not check its answers")?.report())
    }

    /// Starts all counts again, and forgets what was asked.
    pub fn reset_stats(&self) {
        self.state.counts.reset();
        self.state.journal.clear();
    }

    /// What Graph was asked since the start or the last reset, word for word: the last thousand requests that were no GET, a `$batch` as one.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.state.journal.read()
    }

    /// Adds a fault; its id.
    pub fn fault(&self, fault: Fault) -> u64 {
        self.state.faults.add(fault)
    }

    /// All faults and how often each struck.
    #[must_use]
    pub fn faults(&self) -> Vec<FaultState> {
        self.state.faults.list()
    }

    /// Removes one fault or all; what they hold goes on. How many were removed.
    pub fn clear_faults(&self, id: Option<u64>) -> usize {
        self.state.faults.remove(id)
    }

    /// Removes one hold or all holds; what they hold goes on. How many were removed.
    pub fn release(&self, id: Option<u64>) -> usize {
        self.state.faults.release(id)
    }

    /// The tenant's clock.
    #[must_use]
    pub fn clock(&self) -> ClockReading {
        self.state.clock.reading()
    }

    /// Sets, moves, stops or starts the clock; what it shows then.
    pub fn set_clock(&self, setting: &ClockSetting) -> ClockReading {
        self.state.clock.apply(setting);
        self.clock()
    }

    /// Moves the clock on.
    pub fn advance(&self, by: Duration) -> ClockReading {
        let ms = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.set_clock(&ClockSetting { advance_ms: Some(ms), ..ClockSetting::default() })
    }

    /// Waits until the clock was set more often than `revision` says, or time is up; what it shows then.
    pub async fn clock_after(&self, revision: u64, timeout: Duration) -> ClockReading {
        // Running out of time is not an error: the reading's revision tells.
        let _ = tokio::time::timeout(timeout, self.state.clock.changed_after(revision)).await;
        self.clock()
    }

    /// Waits until a follower of the clock, such as a daemon with `--clock-from`, has seen it as it is since `revision`; false when time
    /// is up.
    pub async fn clock_followed(&self, revision: u64, timeout: Duration) -> bool {
        tokio::time::timeout(timeout, self.state.clock.followed_to(revision)).await.is_ok()
    }

    /// Applies a change by another person or program; what changed.
    ///
    /// # Errors
    /// When the change is not understood or names something that is not there.
    pub fn change(&self, change: &Value) -> anyhow::Result<Value> {
        self.state.graph.apply(change).map_err(anyhow::Error::msg)
    }

    /// The whole state, or one user's, or one kind, as deterministic JSON. The user may be given by name.
    ///
    /// # Errors
    /// When there is no such user.
    pub fn dump(&self, user: Option<&str>, kind: Option<&str>) -> anyhow::Result<Value> {
        let user = user.map(|name| self.user(name)).transpose()?;
        Ok(self.state.graph.dump(user.as_deref(), kind))
    }

    /// From now on lists and searches show what a write did so long after its reply.
    pub fn set_lag(&self, lag: Duration) {
        self.state.graph.set_lag(lag);
    }

    /// Sets how slow Graph is.
    pub fn set_latency(&self, latency: Latency) {
        lock(&self.state.settings).latency = latency;
    }

    /// Sets how many requests a mailbox takes at once.
    pub fn set_throttle(&self, throttle: Throttle) {
        lock(&self.state.settings).throttle = throttle;
    }

    /// Sets how long access tokens issued from now on live.
    pub fn set_token_lifetime(&self, lifetime: Duration) {
        lock(&self.state.settings).token_lifetime = lifetime;
    }

    /// Answers a device's code as a person would. `username` is needed to approve.
    ///
    /// # Errors
    /// When no device waits for the code, or the account does not exist or may not sign in there.
    pub fn device(&self, user_code: &str, username: Option<&str>, action: DeviceAction) -> anyhow::Result<()> {
        let answered = match action {
            DeviceAction::Approve => {
                let username = username.context("approving needs a username")?;
                identity::device::answer(&self.state, user_code, Some(username))
            }
            DeviceAction::Decline => identity::device::answer(&self.state, user_code, None),
            DeviceAction::SlowDown => {
                let now = self.state.clock.now().as_millisecond();
                let found = self.state.grants.hurry(user_code, now);
                if found { Ok(()) } else { Err("No device waits for that code.".to_owned()) }
            }
        };
        answered.map_err(anyhow::Error::msg)
    }

    /// Does something to an account's tokens.
    ///
    /// # Errors
    /// When there is no such account, or the AADSTS code is not known.
    pub fn auth(&self, username: &str, action: AuthAction) -> anyhow::Result<()> {
        let user = self.user(username)?;
        match action {
            AuthAction::Revoke => {
                self.state.grants.revoke(&user);
            }
            AuthAction::ExpireAccess => self.state.grants.end_access(&user, self.state.ids.serial()),
            AuthAction::FailRefresh { code } => {
                if identity::errors::by_code(code).is_none() {
                    bail!("AADSTS{code} is not a code this tenant knows");
                }
                self.state.grants.fail_refresh(&user, code);
            }
            AuthAction::Withhold { scopes } => self.state.grants.withhold(&user, &scopes),
        }
        Ok(())
    }

    /// Waits for requests to have come or to be in flight.
    pub async fn wait(&self, wait: &Wait) -> Waited {
        let timeout = wait.timeout_ms.map_or(PATIENCE, Duration::from_millis);
        let enough = |stats: &Stats| stats.count(&wait.route) >= wait.count && stats.concurrent(&wait.route) >= wait.concurrent;
        let reached = tokio::time::timeout(timeout, self.state.counts.wait(enough)).await.is_ok();
        let stats = self.stats();
        Waited { reached, count: stats.count(&wait.route), concurrent: stats.concurrent(&wait.route) }
    }

    /// Tells the tenant to end. Returns at once; [`Tenant::stopped`](crate::Tenant::stopped) says when it has.
    pub fn stop(&self) {
        self.state.stop.send_replace(true);
    }

    fn user(&self, name: &str) -> anyhow::Result<String> {
        let user = self.state.user(name).with_context(|| format!("no such account: {name}"))?;
        Ok(user.id)
    }
}
