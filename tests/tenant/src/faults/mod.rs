//! Trouble on demand: which requests get it, and how often.
//!
//! A fault is added through the control port or [`Control::fault`](crate::Control::fault), matches requests on one
//! kind of port, lets the first `after` of them pass, and then strikes `count` times. The first fault that matches
//! wins. `effect.rs` says what each does to an answer.

mod effect;

use std::sync::Mutex;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

pub(crate) use self::effect::{batch_item, change, instead};
use crate::seed::User;
use crate::state::lock;

/// Which requests a fault meets, how often, and what it does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// The kind of port; Graph unless said otherwise.
    #[serde(default)]
    pub port: Port,
    /// A part of the route label (`GET /me/messages`, `POST token`) or of `METHOD /raw/path?query`; all requests
    /// when it is absent.
    #[serde(default)]
    pub route: Option<String>,
    /// Sign-in name or object id of the asking user (Graph only); everybody when it is absent.
    #[serde(default)]
    pub user: Option<String>,
    /// How often it strikes; until it is removed when absent.
    #[serde(default)]
    pub count: Option<u64>,
    /// How many matching requests pass before it strikes.
    #[serde(default)]
    pub after: u64,
    /// What happens.
    pub effect: Effect,
}

impl Fault {
    /// A fault that strikes the first request whose route contains `route`, once.
    #[must_use]
    pub fn once(route: &str, effect: Effect) -> Self {
        Self { count: Some(1), ..Self::always(route, effect) }
    }

    /// A fault that strikes every request whose route contains `route` until it is removed.
    #[must_use]
    pub fn always(route: &str, effect: Effect) -> Self {
        Self { port: Port::Graph, route: Some(route.to_owned()), user: None, count: None, after: 0, effect }
    }
}

/// The ports a fault can sit at, plain and TLS alike.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Port {
    /// Graph.
    #[default]
    Graph,
    /// Sign-in.
    Identity,
    /// Pre-authenticated downloads.
    Downloads,
}

/// What happens to a request that a fault strikes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Effect {
    /// An error answer; the request is not carried out. Also strikes single items inside a `$batch`.
    Status {
        /// HTTP status.
        status: u16,
        /// `error.code` of the body.
        code: String,
        /// `error.message`; a general one when absent.
        #[serde(default)]
        message: Option<String>,
        /// The `Retry-After` header; none when absent.
        #[serde(default)]
        retry_after: Option<RetryAfter>,
    },
    /// 401 `InvalidAuthenticationToken`, as for a token that Graph no longer likes. Also inside a `$batch`.
    Unauthorized,
    /// 401 with a continuous-access-evaluation claims challenge. Also inside a `$batch`.
    ClaimsChallenge,
    /// The real answer, damaged.
    Garbage {
        /// In which way.
        how: GarbageKind,
    },
    /// The connection is cut without an answer.
    Reset {
        /// `before`: nothing was done. `after`: it was done and the reply is lost.
        at: At,
    },
    /// The request waits this many real milliseconds and is then served.
    Hang {
        /// Milliseconds.
        ms: u64,
    },
    /// The real answer in pieces with pauses between them.
    SlowBody {
        /// How many pieces.
        pieces: usize,
        /// Real milliseconds before each.
        ms: u64,
    },
    /// The real status and headers, no body.
    EmptyBody,
    /// A gateway's HTML page.
    HtmlPage {
        /// Its status, 502 as a rule.
        status: u16,
    },
    /// The page's `@odata.nextLink` leads to the page itself.
    LoopNextLink,
    /// The page's `@odata.nextLink` leads to `https://evil.example`.
    ForeignNextLink,
    /// Every link of the answer (`@odata.nextLink`, `@microsoft.graph.downloadUrl`, `uploadUrl`) leads there.
    LinksTo {
        /// The address, as it is to be written.
        to: String,
    },
    /// A redirect instead of the answer.
    RedirectTo {
        /// The address, as it is to be written.
        to: String,
    },
    /// The request waits until it is released, or until the fault is removed.
    Hold {
        /// `before`: not yet carried out while it waits. `after`: carried out, the reply waits.
        at: At,
    },
}

/// In which way an answer is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GarbageKind {
    /// The body is not JSON at all.
    NotJson,
    /// The first half of the JSON, with a matching `Content-Length`.
    TruncatedJson,
    /// `Content-Length` promises more bytes than come.
    WrongLength,
}

/// Before or after the request is carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum At {
    /// Nothing has happened yet.
    Before,
    /// It has happened, the client does not know.
    After,
}

/// A `Retry-After` header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum RetryAfter {
    /// Seconds: `Retry-After: 3`.
    Seconds(u64),
    /// An HTTP date that many seconds ahead of the tenant's clock: `{"date_in_s": 30}`.
    DateIn {
        /// Seconds ahead.
        date_in_s: i64,
    },
    /// Any text, sent as it is.
    Text(String),
}

/// A fault and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultState {
    /// Its id, to remove or release it.
    pub id: u64,
    /// Requests that matched so far.
    pub seen: u64,
    /// How often it struck.
    pub struck: u64,
    /// The fault.
    pub fault: Fault,
}

struct Entry {
    state: FaultState,
    /// True from the release on: what is held goes on.
    released: watch::Sender<bool>,
}

/// A fault that strikes a request.
pub(crate) struct Strike {
    pub(crate) effect: Effect,
    released: watch::Receiver<bool>,
}

impl Strike {
    /// Waits for the release, if this is a hold at that point.
    pub(crate) async fn hold(&mut self, point: At) {
        if self.effect == (Effect::Hold { at: point }) {
            // An error means that the fault was removed, which releases as well.
            let _ = self.released.wait_for(|released| *released).await;
        }
    }
}

/// What a fault looks at.
pub(crate) struct Sight<'a> {
    pub(crate) port: Port,
    pub(crate) route: &'a str,
    /// `METHOD /raw/path?query`.
    pub(crate) raw: &'a str,
    pub(crate) user: Option<&'a User>,
}

impl Fault {
    fn meets(&self, sight: &Sight<'_>) -> bool {
        let route = self.route.as_ref().is_none_or(|part| sight.route.contains(part) || sight.raw.contains(part));
        let user = self
            .user
            .as_ref()
            .is_none_or(|name| sight.user.is_some_and(|user| user.id == *name || user.username.eq_ignore_ascii_case(name)));
        self.port == sight.port && route && user
    }
}

/// All faults, in the order they were added.
#[derive(Default)]
pub(crate) struct Faults {
    list: Mutex<(u64, Vec<Entry>)>,
}

impl Faults {
    /// Adds a fault; the id it got.
    pub(crate) fn add(&self, fault: Fault) -> u64 {
        let mut list = lock(&self.list);
        list.0 += 1;
        let id = list.0;
        let state = FaultState { id, seen: 0, struck: 0, fault };
        list.1.push(Entry { state, released: watch::Sender::new(false) });
        id
    }

    /// All faults and how often each struck.
    pub(crate) fn list(&self) -> Vec<FaultState> {
        lock(&self.list).1.iter().map(|entry| entry.state.clone()).collect()
    }

    /// Removes one fault or all, and lets go what they hold; how many were removed.
    pub(crate) fn remove(&self, id: Option<u64>) -> usize {
        self.let_go(|state| id.is_none_or(|id| state.id == id))
    }

    /// Removes one hold or all holds, and lets go what they hold; how many were removed.
    pub(crate) fn release(&self, id: Option<u64>) -> usize {
        self.let_go(|state| matches!(state.fault.effect, Effect::Hold { .. }) && id.is_none_or(|id| state.id == id))
    }

    fn let_go(&self, which: impl Fn(&FaultState) -> bool) -> usize {
        let mut list = lock(&self.list);
        let before = list.1.len();
        list.1.retain(|entry| {
            let goes = which(&entry.state);
            if goes {
                entry.released.send_replace(true);
            }
            !goes
        });
        before - list.1.len()
    }

    /// The fault that strikes this request, if any; `fits` leaves out effects that cannot be had here.
    pub(crate) fn strike(&self, sight: &Sight<'_>, fits: impl Fn(&Effect) -> bool) -> Option<Strike> {
        let mut list = lock(&self.list);
        for entry in &mut list.1 {
            let state = &mut entry.state;
            if !state.fault.meets(sight) || !fits(&state.fault.effect) {
                continue;
            }
            state.seen += 1;
            if state.seen > state.fault.after && state.fault.count.is_none_or(|count| state.struck < count) {
                state.struck += 1;
                return Some(Strike { effect: state.fault.effect.clone(), released: entry.released.subscribe() });
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sight<'a>(route: &'a str, raw: &'a str) -> Sight<'a> {
        Sight { port: Port::Graph, route, raw, user: None }
    }

    #[test]
    fn strikes_after_some_and_only_so_often() {
        let faults = Faults::default();
        faults.add(Fault { after: 1, count: Some(2), ..Fault::always("messages", Effect::EmptyBody) });
        let struck = |route: &str| faults.strike(&sight(route, route), |_| true).is_some();
        assert!(!struck("GET /me/events"));
        let seen: Vec<bool> = (0..5).map(|_| struck("GET /me/messages")).collect();
        assert_eq!(seen, [false, true, true, false, false]);
        assert_eq!((faults.list()[0].seen, faults.list()[0].struck), (5, 2));
    }

    #[test]
    fn raw_paths_match_too_and_other_ports_do_not() {
        let faults = Faults::default();
        faults.add(Fault::always("/me/messages/AAMk1", Effect::EmptyBody));
        assert!(faults.strike(&sight("GET /me/messages/{id}", "GET /me/messages/AAMk1"), |_| true).is_some());
        assert!(faults.strike(&sight("GET /me/messages/{id}", "GET /me/messages/AAMk2"), |_| true).is_none());
        let download = Sight { port: Port::Downloads, ..sight("GET", "GET /me/messages/AAMk1") };
        assert!(faults.strike(&download, |_| true).is_none());
    }

    #[test]
    fn json_form_is_strict() {
        let fault: Fault = serde_json::from_str(
            r#"{"route":"GET /me","count":1,"effect":{"kind":"status","status":503,"code":"x","retry_after":{"date_in_s":9}}}"#,
        )
        .unwrap();
        let retry_after = Some(RetryAfter::DateIn { date_in_s: 9 });
        let effect = Effect::Status { status: 503, code: "x".to_owned(), message: None, retry_after };
        assert_eq!(fault, Fault::once("GET /me", effect));
        for wrong in [
            r#"{"rout":"GET /me","effect":{"kind":"empty_body"}}"#,
            r#"{"effect":{"kind":"hang","ms":1,"seconds":2}}"#,
            r#"{"effect":{"kind":"explode"}}"#,
        ] {
            assert!(serde_json::from_str::<Fault>(wrong).is_err(), "{wrong}");
        }
    }
}
