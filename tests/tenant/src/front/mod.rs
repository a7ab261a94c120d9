//! Graph's front door: who asks, may they, is the mailbox busy, how slow is it today; then `graph/` answers.
//!
//! A request's walk: count it, check its token and scopes, take a place of its mailbox, let a fault strike, wait out
//! half of today's latency, have it answered, wait the other half, damage the answer if a fault says so.

pub(crate) mod batch;
pub(crate) mod bearer;
pub(crate) mod errors;
#[cfg(test)]
mod front_tests;
pub(crate) mod latency;
pub(crate) mod scopes;
pub(crate) mod slots;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, DATE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;

use crate::clock::http_date;
use crate::csdl::Exchange;
use crate::door::origin;
use crate::door::reply::{self, Body, Delivery, Dropped, Outcome, Unread};
use crate::faults::{self, At, Effect, Port, Sight, Strike};
use crate::state::State;
use crate::stats::{Running, add};
use crate::wire;

/// What Graph takes as a request's body.
const LARGEST_BODY: usize = 4 * 1024 * 1024;
/// What OneDrive takes as a file in one request.
const LARGEST_FILE: usize = 250 * 1024 * 1024;

/// Answers a request on a Graph port.
pub(crate) async fn answer(state: &Arc<State>, scheme: &'static str, request: Request<Incoming>) -> Outcome {
    let origin = origin(scheme, &request);
    let wanted_id = request.headers().get("client-request-id").cloned();
    let (path, query) = (request.uri().path().to_owned(), request.uri().query().unwrap_or("").to_owned());
    let secure = scheme == "https";
    let file = request.method() == Method::PUT && path.ends_with("/content");
    let largest = if file { LARGEST_FILE } else { LARGEST_BODY };
    let (parts, body) = match reply::read(request, largest).await {
        Ok(read) => read,
        Err(Unread::Gone) => return Err(Dropped),
        Err(Unread::TooLarge) => {
            let (code, message) = match file {
                true => ("invalidRequest", "Files of more than 250 MB are uploaded in a session."),
                false => ("BadRequest", "The maximum request length supported is 4MB."),
            };
            let reply = errors::reply(StatusCode::PAYLOAD_TOO_LARGE, code, message, state.clock.now());
            return Ok(finish(state, reply, Delivery::Whole, wanted_id));
        }
    };
    let downloads = if secure { &state.addresses.downloads_tls } else { &state.addresses.downloads };
    let outcome = match path.strip_prefix("/v1.0").filter(|rest| rest.is_empty() || rest.starts_with('/')) {
        Some(below) => {
            let request = wire::Request {
                method: parts.method,
                path: below.to_owned(),
                query,
                headers: parts.headers,
                body,
                user: String::new(),
                base: format!("{origin}/v1.0"),
                downloads: downloads.clone(),
            };
            respond(state, request).await
        }
        None => {
            let version = path.split('/').nth(1).unwrap_or_default();
            let message = format!("Invalid version: {version}");
            let reply = errors::reply(StatusCode::BAD_REQUEST, "BadRequest", &message, state.clock.now());
            Ok((reply, Delivery::Whole))
        }
    };
    match outcome {
        Ok((reply, delivery)) => Ok(finish(state, reply, delivery, wanted_id)),
        Err(Dropped) => {
            state.counts.change(|stats| add(&mut stats.statuses, 0));
            Err(Dropped)
        }
    }
}

async fn respond(state: &Arc<State>, mut request: wire::Request) -> Result<(wire::Reply, Delivery), Dropped> {
    let running = Running::begin(state, state.graph.route(&request));
    state.journal.note(&request);
    let whole = |reply| Ok((reply, Delivery::Whole));
    let bearer = match bearer::check(state, &request.headers) {
        Ok(bearer) => bearer,
        Err(refusal) => return whole(*refusal),
    };
    request.user.clone_from(&bearer.user.id);
    if let Some(refusal) = scopes::refusal(&request, &bearer, state.clock.now()) {
        return whole(refusal);
    }

    let plan = batch::Plan::of(state, &request);
    let place = if plan.is_some() { None } else { state.graph.owner(&request) };
    let place = place.map(|owner| slots::take(state, owner, 1));
    if place.as_ref().is_some_and(|place| place.granted == 0) {
        state.counts.change(|stats| stats.throttled += 1);
        return whole(errors::throttled(state.settings().throttle.retry_after, state.clock.now()));
    }

    let mut strike = strike(state, &request, running.route(), &bearer);
    if let Some(strike) = &mut strike {
        strike.hold(At::Before).await;
        match strike.effect {
            Effect::Reset { at: At::Before } => return Err(Dropped),
            Effect::Hang { ms } => tokio::time::sleep(Duration::from_millis(ms)).await,
            _ => {}
        }
        if let Some(reply) = faults::instead(&strike.effect, state.clock.now()) {
            return whole(reply);
        }
    }

    let latency = latency::of(state, running.route(), plan.as_ref());
    latency.first_half().await;
    let reply = match &plan {
        Some(plan) => state.graph.handle(&request, &|item| plan.gate(state, item, &bearer)),
        None => state.graph.handle(&request, &|_| None),
    };
    judge(state, &request, running.route(), &reply);
    latency.second_half(&reply.body).await;
    drop((place, plan));

    let Some(mut strike) = strike else {
        return whole(reply);
    };
    strike.hold(At::After).await;
    if strike.effect == (Effect::Reset { at: At::After }) {
        return Err(Dropped);
    }
    Ok(faults::change(&strike.effect, &request, reply))
}

/// Holds what Graph answers to the declarations, before a fault damages it.
fn judge(state: &State, request: &wire::Request, route: &str, reply: &wire::Reply) {
    let Some(judge) = &state.judge else { return };
    let exchange = Exchange {
        method: request.method.as_str(),
        path: &request.path,
        request: &request.body,
        status: reply.status.as_u16(),
        content_type: reply.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default(),
        body: &reply.body,
    };
    judge.look(route, &exchange);
}

fn strike(state: &State, request: &wire::Request, route: &str, bearer: &bearer::Bearer) -> Option<Strike> {
    let raw = raw(request);
    let sight = Sight { port: Port::Graph, route, raw: &raw, user: Some(&bearer.user) };
    state.faults.strike(&sight, |_| true)
}

/// `METHOD /path?query`, what a fault's `route` may also match.
fn raw(request: &wire::Request) -> String {
    format!("{} {}?{}", request.method, request.path, request.query)
}

/// Adds what every answer of Graph carries.
fn finish(state: &State, mut answer: wire::Reply, delivery: Delivery, client_request_id: Option<HeaderValue>) -> Response<Body> {
    state.counts.change(|stats| add(&mut stats.statuses, answer.status.as_u16()));
    let request_id = state.ids.guid();
    let client_id = client_request_id.as_ref().and_then(|id| id.to_str().ok()).unwrap_or(&request_id).to_owned();
    if answer.status.is_client_error() || answer.status.is_server_error() {
        errors::identify(&mut answer, &request_id, &client_id);
    }
    let length = answer.body.len();
    let empty = answer.body.is_empty();
    let mut response = Response::new(reply::body(std::mem::replace(&mut answer.body, Bytes::new()), delivery));
    *response.status_mut() = answer.status;
    *response.headers_mut() = std::mem::replace(&mut answer.headers, HeaderMap::new());
    if !empty && !response.headers().contains_key(CONTENT_TYPE) {
        let json = "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8";
        reply::set(&mut response, CONTENT_TYPE, json);
    }
    reply::set(&mut response, DATE, &http_date(state.clock.now()));
    reply::set(&mut response, HeaderName::from_static("request-id"), &request_id);
    reply::set(&mut response, HeaderName::from_static("client-request-id"), &client_id);
    let diagnostic = r#"{"ServerInfo":{"DataCenter":"Loopback","Slice":"E","Ring":"0","ScaleUnit":"000","RoleInstance":"TENANT"}}"#;
    reply::set(&mut response, HeaderName::from_static("x-ms-ags-diagnostic"), diagnostic);
    reply::promise(&mut response, delivery, length);
    response
}
