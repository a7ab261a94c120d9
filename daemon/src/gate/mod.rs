//! What clients may take of the daemon: calls by minute, calls under way, bytes held for them. Who asks for more is told so at once.
//!
//! Decisions: a refusal costs little and says which limit, how many are left and when to come again. A client is known by the name it gives
//! itself, whatever number of connections it has; clients past the first `NAMES` names share one place, so that new names are no way
//! round a limit. After a refusal a connection's next line waits for `PENALTY`, so that asking in a loop takes nothing from the others.

mod gated;
mod held;
mod policies;
mod window;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicU64, atomic::Ordering::Relaxed},
    time::Duration,
};

use m365_cached::{
    clock::{Clock, Timestamp},
    config::LimitSettings,
    hint::Kind,
    ids::Caller,
    live::Live,
    tools::{self, Risk},
};
use serde_json::{Map, Value};

pub use policies::Policies;
pub(crate) use {gated::Gated, held::Held, policies::in_words};

use crate::core::{Busy, Problem};
use window::Window;

/// Clients that are told apart at a time.
const NAMES: usize = 256;
/// Characters of a client's name that tell it apart.
const NAME: usize = 100;
/// How long a connection's next line waits after a refusal.
pub(crate) const PENALTY: Duration = Duration::from_millis(5);

/// What a call does, as far as limits go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Changes nothing.
    Read,
    /// Changes something.
    Write,
    /// Reaches other people.
    Send,
}

impl Class {
    /// By the risk of the tool; a tool that does not exist reads.
    pub(crate) fn of(tool: &str) -> Self {
        match tools::find(tool).map(|tool| tool.risk) {
            Ok(Risk::Moderate | Risk::Critical) => Self::Write,
            Ok(Risk::Dangerous) => Self::Send,
            Ok(Risk::Safe) | Err(_) => Self::Read,
        }
    }

    fn setting(self) -> &'static str {
        match self {
            Self::Read => "limits.reads_per_minute",
            Self::Write => "limits.writes_per_minute",
            Self::Send => "limits.sends_per_minute",
        }
    }
}

/// The gate that every call passes.
pub(crate) struct Gate {
    limits: Live<LimitSettings>,
    clock: Arc<dyn Clock>,
    held: Arc<AtomicU64>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    calls: u64,
    sessions: BTreeMap<u64, Session>,
    clients: BTreeMap<String, Client>,
    refused: BTreeMap<&'static str, u64>,
}

struct Session {
    calls: u64,
    held: Arc<Held>,
    /// Refusals whose penalty is still to be served.
    penalties: u64,
}

#[derive(Default)]
struct Client {
    calls: u64,
    windows: [Window; 3],
}

/// What is in use, for metrics.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Calls under way.
    pub(crate) calls: u64,
    /// Bytes held.
    pub(crate) held_bytes: u64,
    /// Limits: the setting's name without its section, and its value.
    pub(crate) limits: Vec<(&'static str, u64)>,
    /// Refusals since the start, by the setting that stood against them.
    pub(crate) refused: Vec<(&'static str, u64)>,
}

impl Gate {
    /// A gate with these limits.
    pub(crate) fn new(limits: LimitSettings, clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self { limits: Live::new(limits), clock, held: Arc::default(), state: Mutex::default() })
    }

    /// What clients may take now.
    pub(crate) fn limits(&self) -> Arc<LimitSettings> {
        self.limits.get()
    }

    /// Holds to other limits from now on; how long a connection may be silent stays until a restart, for it is agreed with each connection.
    pub(crate) fn hold_to(&self, limits: LimitSettings) {
        let idle = self.limits().idle;
        self.limits.set(LimitSettings { idle, ..limits });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time now.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Calls under way, by session.
    pub(crate) fn under_way(&self) -> BTreeMap<u64, u64> {
        self.state().sessions.iter().map(|(number, session)| (*number, session.calls)).collect()
    }

    /// A place to count the bytes of a connection that has no session yet.
    pub(crate) fn held(&self) -> Arc<Held> {
        Arc::new(Held::new(Arc::clone(&self.held)))
    }

    /// A session begins, or the reason why it may not.
    pub(crate) fn join(&self, session: u64, held: Arc<Held>) {
        self.state().sessions.insert(session, Session { calls: 0, held, penalties: 0 });
    }

    /// A session has ended.
    pub(crate) fn leave(&self, session: u64) {
        self.state().sessions.remove(&session);
    }

    /// Whether there is room for one more session.
    pub(crate) fn room(&self) -> Result<(), Problem> {
        let sessions = u64::try_from(self.state().sessions.len()).unwrap_or(u64::MAX);
        let most = self.limits().connections;
        if sessions < most {
            return Ok(());
        }
        Err(self.busy("limits.connections", most, "clients are connected", None))
    }

    /// Whether a line of so many bytes may be taken.
    pub(crate) fn frame(&self, bytes: usize) -> Result<(), Problem> {
        let most = self.limits().frame_bytes;
        if u64::try_from(bytes).unwrap_or(u64::MAX) <= most {
            return Ok(());
        }
        let setting = "limits.frame_bytes";
        self.note(setting);
        let message = format!("this call has {bytes} bytes and may have {most}; it was not read");
        let busy = Busy { setting, limit: most, remaining: 0, reset: Duration::ZERO };
        let problem = Problem::new(Kind::User, "too_large", message, "Send less at a time; large content goes as a file.");
        Err(Problem { busy: Some(Box::new(busy)), ..problem })
    }

    /// Whether a penalty is to be served before the next line of a session; it is served by asking.
    pub(crate) fn penalty(&self, session: u64) -> bool {
        let mut state = self.state();
        let Some(session) = state.sessions.get_mut(&session) else { return false };
        let due = session.penalties > 0;
        session.penalties = session.penalties.saturating_sub(1);
        due
    }

    /// Whether one more call of this class would be let in by the rate, without counting it.
    pub(crate) fn would_admit(&self, caller: &Caller, class: Class) -> bool {
        let Some(limit) = self.by_minute(class) else { return true };
        let now = self.clock.now();
        let mut state = self.state();
        let place = state.place(name_of(caller));
        let known = state.clients.get_mut(place);
        known.is_none_or(|client| client.windows[class as usize].remaining(now, limit) > 0)
    }

    /// Counts a call that was answered at once.
    pub(crate) fn answered(&self, caller: &Caller, class: Class) {
        if self.by_minute(class).is_some() {
            let now = self.clock.now();
            self.state().client(name_of(caller), now).1.windows[class as usize].count(now);
        }
    }

    /// Lets a call in that holds so many bytes, or says why not.
    pub(crate) fn enter(self: &Arc<Self>, caller: &Caller, class: Class, bytes: u64) -> Result<Pass, Problem> {
        match self.judged(caller, class, bytes) {
            Ok((held, place)) => Ok(Pass { gate: Arc::clone(self), place, session: caller.session, bytes, held }),
            Err(Refused { setting, limit, what, reset }) => {
                if let Some(session) = self.state().sessions.get_mut(&caller.session) {
                    // No longer than a second in all, whatever it sends.
                    session.penalties = (session.penalties + 1).min(200);
                }
                Err(self.busy(setting, limit, what, reset))
            }
        }
    }

    fn judged(&self, caller: &Caller, class: Class, bytes: u64) -> Result<(Arc<Held>, String), Refused> {
        let (limits, now) = (self.limits(), self.clock.now());
        let total = self.held.load(Relaxed);
        let mut state = self.state();
        let State { calls, sessions, .. } = &mut *state;
        let full = |setting, limit, what| Refused { setting, limit, what, reset: None };
        if *calls >= limits.calls {
            return Err(full("limits.calls", limits.calls, UNDER_WAY));
        }
        if total.saturating_add(bytes) > limits.held_bytes {
            return Err(full("limits.held_bytes", limits.held_bytes, HELD));
        }
        let held = match sessions.get(&caller.session) {
            Some(session) if session.calls >= limits.calls_per_connection => {
                return Err(full("limits.calls_per_connection", limits.calls_per_connection, UNDER_WAY));
            }
            Some(session) if session.held.bytes().saturating_add(bytes) > limits.held_bytes_per_connection => {
                return Err(full("limits.held_bytes_per_connection", limits.held_bytes_per_connection, HELD));
            }
            Some(session) => Arc::clone(&session.held),
            None => self.held(),
        };
        let (place, client) = state.client(name_of(caller), now);
        let place = place.to_owned();
        if client.calls >= limits.calls_per_client {
            return Err(full("limits.calls_per_client", limits.calls_per_client, UNDER_WAY));
        }
        if let Some(limit) = self.by_minute(class) {
            let window = &mut client.windows[class as usize];
            if window.remaining(now, limit) == 0 {
                let reset = Some(window.reset(now, limit));
                return Err(Refused { setting: class.setting(), limit, what: BY_MINUTE, reset });
            }
            window.count(now);
        }
        client.calls += 1;
        state.calls += 1;
        if let Some(session) = state.sessions.get_mut(&caller.session) {
            session.calls += 1;
        }
        drop(state);
        held.add(bytes);
        Ok((held, place))
    }

    /// How many calls of a class a client may make in a minute; `None` for any number.
    fn by_minute(&self, class: Class) -> Option<u64> {
        let limits = self.limits();
        let limit = match class {
            Class::Read => limits.reads_per_minute,
            Class::Write => limits.writes_per_minute,
            Class::Send => limits.sends_per_minute,
        };
        (limit > 0).then_some(limit)
    }

    fn note(&self, setting: &'static str) {
        *self.state().refused.entry(setting).or_default() += 1;
    }

    fn busy(&self, setting: &'static str, limit: u64, what: &str, reset: Option<Duration>) -> Problem {
        self.note(setting);
        let busy = Busy { setting, limit, remaining: 0, reset: reset.unwrap_or(SOON) };
        let seconds = busy.reset.as_millis().div_ceil(1000);
        let message = format!("the limit `{setting}` is reached: {limit} {what}; nothing was done");
        let hint = format!("Wait {seconds} s, then try again.");
        Problem { busy: Some(Box::new(busy)), ..Problem::new(Kind::Throttled, "busy", message, hint) }
    }

    /// What is in use.
    pub(crate) fn usage(&self) -> Usage {
        let limits = self.limits();
        let limits = vec![
            ("frame_bytes", limits.frame_bytes),
            ("connections", limits.connections),
            ("calls_per_connection", limits.calls_per_connection),
            ("calls_per_client", limits.calls_per_client),
            ("calls", limits.calls),
            ("held_bytes_per_connection", limits.held_bytes_per_connection),
            ("held_bytes", limits.held_bytes),
            ("idle_s", limits.idle.as_secs()),
            ("reads_per_minute", limits.reads_per_minute),
            ("writes_per_minute", limits.writes_per_minute),
            ("sends_per_minute", limits.sends_per_minute),
        ];
        let state = self.state();
        let refused = limits
            .iter()
            .filter(|(name, _)| *name != "idle_s")
            .map(|(name, _)| {
                (*name, state.refused.iter().find(|(setting, _)| setting.ends_with(&format!(".{name}"))).map_or(0, |(_, count)| *count))
            })
            .collect();
        Usage { calls: state.calls, held_bytes: self.held.load(Relaxed), limits, refused }
    }
}

/// What a limit is about, as it stands behind its number.
const UNDER_WAY: &str = "calls are under way";
const HELD: &str = "bytes are held for calls and answers";
const BY_MINUTE: &str = "such calls of this client in a minute";
/// When to come again where that depends on others.
const SOON: Duration = Duration::from_secs(1);

struct Refused {
    setting: &'static str,
    limit: u64,
    what: &'static str,
    reset: Option<Duration>,
}

impl State {
    /// Where the client of that name is counted.
    fn place<'a>(&self, name: &'a str) -> &'a str {
        if self.clients.len() >= NAMES && !self.clients.contains_key(name) { SHARED } else { name }
    }

    /// The client of that name, and where it is counted. When there are too many, those with nothing to remember are forgotten, and further
    /// ones share a place.
    fn client<'a>(&mut self, name: &'a str, now: Timestamp) -> (&'a str, &mut Client) {
        if self.place(name) == SHARED {
            self.clients.retain(|_, client| client.calls > 0 || !client.windows.iter_mut().all(|window| window.is_empty(now)));
        }
        let place = self.place(name);
        (place, self.clients.entry(place.to_owned()).or_default())
    }
}

/// The place of clients past the first names. No client is called so: a name has no line break.
const SHARED: &str = "\n";

fn name_of(caller: &Caller) -> &str {
    let end = caller.client.char_indices().nth(NAME).map_or(caller.client.len(), |(at, _)| at);
    &caller.client[..end]
}

/// A call that was let in; it is out again when this is dropped.
pub(crate) struct Pass {
    gate: Arc<Gate>,
    place: String,
    session: u64,
    bytes: u64,
    held: Arc<Held>,
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.held.take(self.bytes);
        let mut state = self.gate.state();
        state.calls = state.calls.saturating_sub(1);
        if let Some(client) = state.clients.get_mut(&self.place) {
            client.calls = client.calls.saturating_sub(1);
        }
        if let Some(session) = state.sessions.get_mut(&self.session) {
            session.calls = session.calls.saturating_sub(1);
        }
    }
}

/// About how many bytes arguments take.
pub(crate) fn weight(arguments: &Map<String, Value>) -> u64 {
    fn of(value: &Value) -> usize {
        match value {
            Value::String(text) => text.len(),
            Value::Array(items) => items.iter().map(|item| 16 + of(item)).sum(),
            Value::Object(members) => members.iter().map(|(name, value)| 32 + name.len() + of(value)).sum(),
            _ => 16,
        }
    }
    u64::try_from(arguments.iter().map(|(name, value)| 32 + name.len() + of(value)).sum::<usize>()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[path = "gate_tests.rs"]
mod tests;
