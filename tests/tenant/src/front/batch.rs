//! What a `$batch` costs its mailboxes, and which of its items are refused.
//!
//! Graph runs a batch's items a few at a time, and each counts against its mailbox: a batch wants at most as many
//! places at once as the limit allows (all of them in strict mode). Items of the first wave that find no place get
//! 429; the later ones run in the places that the batch has. With no place at all every item gets 429.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::Method;
use serde_json::Value;

use super::bearer::Bearer;
use super::slots::{self, Held};
use super::{errors, raw, scopes};
use crate::faults::{self, Port, Sight};
use crate::state::{State, lock};
use crate::stats::add;
use crate::wire::{Reply, Request};

/// The places a batch holds while it runs.
pub(crate) struct Plan {
    shares: BTreeMap<String, Mutex<Share>>,
    /// By method and path. Looked up before Graph runs, because Graph may hold its lock while it asks the gate.
    items: BTreeMap<String, Item>,
    /// The items' routes, in order.
    pub(crate) routes: Vec<String>,
}

struct Item {
    route: String,
    owner: Option<String>,
}

struct Share {
    held: Held,
    wanted: u64,
    /// How many items have asked so far.
    asked: u64,
}

impl Plan {
    /// Looks into a `$batch` and takes its places; `None` for any other request.
    pub(crate) fn of(state: &Arc<State>, request: &Request) -> Option<Self> {
        if request.method != Method::POST || !request.path.eq_ignore_ascii_case("/$batch") {
            return None;
        }
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let mut wanted = BTreeMap::<String, u64>::new();
        let (mut items, mut routes) = (BTreeMap::new(), Vec::new());
        for item in body["requests"].as_array().into_iter().flatten().filter_map(|item| inner(request, item)) {
            let (route, owner) = (state.graph.route(&item), state.graph.owner(&item));
            routes.push(route.clone());
            if let Some(owner) = &owner {
                add(&mut wanted, owner.clone());
            }
            items.insert(key(&item), Item { route, owner });
        }
        let throttle = state.settings().throttle;
        let shares = wanted.into_iter().map(|(owner, items)| {
            let wanted = if throttle.strict_batch { items } else { items.min(throttle.limit) };
            let held = slots::take(state, owner.clone(), wanted);
            (owner, Mutex::new(Share { held, wanted, asked: 0 }))
        });
        Some(Self { shares: shares.collect(), items, routes })
    }

    /// Decides about one item: the answer to use instead of Graph's, if any.
    pub(crate) fn gate(&self, state: &State, item: &Request, bearer: &Bearer) -> Option<Reply> {
        let now = state.clock.now();
        let known = self.items.get(&key(item));
        let route = known.map_or_else(|| key(item), |known| known.route.clone());
        state.counts.change(|stats| add(&mut stats.batched, route.clone()));
        if let Some(refusal) = scopes::refusal(item, bearer, now) {
            return Some(refusal);
        }
        let owner = known.and_then(|known| known.owner.as_ref());
        if owner.and_then(|owner| self.shares.get(owner)).is_some_and(|share| lock(share).refuses()) {
            state.counts.change(|stats| stats.throttled += 1);
            return Some(errors::throttled(state.settings().throttle.retry_after, now));
        }
        let raw = raw(item);
        let sight = Sight { port: Port::Graph, route: &route, raw: &raw, user: Some(&bearer.user) };
        let strike = state.faults.strike(&sight, faults::batch_item)?;
        faults::instead(&strike.effect, now)
    }
}

impl Share {
    fn refuses(&mut self) -> bool {
        let nth = self.asked;
        self.asked += 1;
        self.held.granted == 0 || (self.held.granted..self.wanted).contains(&nth)
    }
}

fn key(item: &Request) -> String {
    format!("{} /{}", item.method, item.path.trim_start_matches('/'))
}

/// An item as a request, as far as route and owner need it.
fn inner(outer: &Request, item: &Value) -> Option<Request> {
    let url = item["url"].as_str()?;
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    Some(Request {
        method: item["method"].as_str()?.to_ascii_uppercase().parse().ok()?,
        path: format!("/{}", path.trim_start_matches('/')),
        query: query.to_owned(),
        body: Bytes::new(),
        ..outer.clone()
    })
}
