//! Sign-in: the part of Entra's v2.0 endpoint that public clients use.

mod adminconsent;
mod authorize;
pub(crate) mod device;
mod discovery;
pub(crate) mod errors;
pub(crate) mod grants;
#[cfg(test)]
mod identity_tests;
pub(crate) mod jwt;
mod pages;
mod token;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, DATE};
use http::{HeaderMap, HeaderName, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use serde_json::json;

use self::errors::{Refusal, refuse};
use crate::clock::http_date;
use crate::door::origin;
use crate::door::reply::{self, Body, Dropped, Outcome};
use crate::faults::{self, At, Effect, Port, Sight};
use crate::seed::{Kind, User};
use crate::state::State;
use crate::stats::add;
use crate::tenant::REGISTERED;
use crate::wire;

/// The tenant id of all personal accounts.
const PERSONAL: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";

/// A sign-in request taken apart.
struct Call {
    method: Method,
    /// The first path segment: `common`, `consumers`, `organizations`, a tenant id.
    authority: String,
    /// `http://host:port`.
    base: String,
    query: BTreeMap<String, String>,
    form: BTreeMap<String, String>,
    /// The client's `client-request-id`.
    correlation: Option<String>,
}

/// Answers a request on an identity port.
pub(crate) async fn answer(state: &Arc<State>, scheme: &'static str, request: Request<Incoming>) -> Outcome {
    let base = origin(scheme, &request);
    let Ok((parts, body)) = reply::read(request, 64 * 1024).await else {
        return Err(Dropped);
    };
    let path = parts.uri.path().trim_matches('/').to_owned();
    let query = parts.uri.query().unwrap_or_default();
    let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let call = Call {
        authority: path.split('/').next().unwrap_or_default().to_lowercase(),
        base,
        query: fields(query.as_bytes()),
        form: fields(&body),
        correlation: header("client-request-id"),
        method: parts.method,
    };
    let route = format!("{} {}", call.method, label(&path));
    state.counts.change(|stats| add(&mut stats.identity, route.clone()));

    let raw = format!("{} /{path}?{query}", call.method);
    let sight = Sight { port: Port::Identity, route: &route, raw: &raw, user: None };
    let mut strike = state.faults.strike(&sight, |_| true);
    if let Some(strike) = &mut strike {
        strike.hold(At::Before).await;
        match strike.effect {
            Effect::Reset { at: At::Before } => return Err(Dropped),
            Effect::Hang { ms } => tokio::time::sleep(Duration::from_millis(ms)).await,
            _ => {}
        }
        if let Some(instead) = faults::instead(&strike.effect, state.clock.now()) {
            return Ok(plain(instead, reply::Delivery::Whole));
        }
    }
    let mut response = respond(state, &call, &path);
    reply::set(&mut response, DATE, &http_date(state.clock.now()));
    reply::set(&mut response, CACHE_CONTROL, "no-store, no-cache");
    if let Some(correlation) = &call.correlation {
        reply::set(&mut response, HeaderName::from_static("client-request-id"), correlation);
    }
    let Some(mut strike) = strike else {
        return Ok(response);
    };
    strike.hold(At::After).await;
    if strike.effect == (Effect::Reset { at: At::After }) {
        return Err(Dropped);
    }
    damage(&strike.effect, response).await
}

/// Lets a fault change a finished answer.
async fn damage(effect: &Effect, response: Response<Body>) -> Outcome {
    use http_body_util::BodyExt as _;
    let (parts, body) = response.into_parts();
    let body = body.collect().await?.to_bytes();
    let answer = wire::Reply { status: parts.status, headers: parts.headers, body };
    let (answer, delivery) = faults::change(effect, &wire::Request::nothing(), answer);
    Ok(plain(answer, delivery))
}

fn plain(answer: wire::Reply, delivery: reply::Delivery) -> Response<Body> {
    let length = answer.body.len();
    let mut response = Response::new(reply::body(answer.body, delivery));
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    reply::promise(&mut response, delivery, length);
    response
}

/// The last words of a path, as routes are counted: `POST token`.
fn label(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

fn respond(state: &State, call: &Call, path: &str) -> Response<Body> {
    let below = path.split_once('/').map_or("", |(_, below)| below);
    match (call.method.as_str(), below) {
        ("GET", "v2.0/.well-known/openid-configuration" | ".well-known/openid-configuration") => discovery::document(state, call),
        ("GET", "discovery/instance") => discovery::instance(call),
        ("GET", "discovery/v2.0/keys" | "discovery/keys") => reply::json(StatusCode::OK, &json!({"keys": []})),
        ("GET", "oauth2/v2.0/authorize") => authorize::answer(state, call),
        ("GET", "v2.0/adminconsent") => adminconsent::answer(state, call),
        ("POST", "oauth2/v2.0/devicecode") => device::start(state, call),
        ("POST", "oauth2/v2.0/token") => token::answer(state, call),
        ("GET" | "POST", "oauth2/v2.0/logout") => authorize::logout(call),
        ("GET", "") if path == "devicelogin" => pages::device_form(state, ""),
        ("POST", "") if path == "devicelogin" => device::decide(state, call),
        _ => reply::html(StatusCode::NOT_FOUND, pages::page("Not found", "<p>No such page.</p>")),
    }
}

fn fields(text: &[u8]) -> BTreeMap<String, String> {
    url::form_urlencoded::parse(text).into_owned().collect()
}

impl Call {
    fn refusal(&self, state: &State, refusal: &Refusal) -> Response<Body> {
        state.counts.change(|stats| add(&mut stats.refused, refusal.error.to_owned()));
        reply::json(refusal.status, &refusal.body(state, self.correlation.as_deref(), &self.base))
    }

    /// The origin that documents and issuers name; `discovery.rs` says why.
    fn named(&self) -> &str {
        if self.base.starts_with("https:") { &self.base } else { "https://login.microsoftonline.com" }
    }

    /// A form field that must be there.
    fn field(&self, name: &str) -> Result<&str, Refusal> {
        let value = self.form.get(name).map(String::as_str).filter(|value| !value.is_empty());
        value.ok_or_else(|| refuse(90014).about(name))
    }
}

/// Refuses applications and authorities that do not exist.
fn known(state: &State, client_id: &str, authority: &str) -> Result<(), Refusal> {
    if !REGISTERED.contains(&client_id) {
        return Err(refuse(700_016).about(client_id));
    }
    let named = ["common", "organizations", "consumers", PERSONAL].contains(&authority);
    if named || state.graph.users().iter().any(|user| user.tenant_id == authority) {
        return Ok(());
    }
    Err(refuse(90002).about(authority))
}

/// Whether an account can sign in through an authority.
fn admits(authority: &str, user: &User) -> Result<(), Refusal> {
    let admitted = match (&user.kind, authority) {
        (Kind::Shared, _) => return Err(refuse(50057)),
        (_, "common") => true,
        (Kind::Personal, authority) => authority == "consumers" || authority == PERSONAL,
        (Kind::Work, authority) => authority == "organizations" || authority == user.tenant_id,
    };
    if admitted { Ok(()) } else { Err(refuse(50020).about(&user.username)) }
}

/// Splits and checks a scope parameter: names without the resource prefix, in the order asked for.
fn scopes(text: &str) -> Result<Vec<String>, Refusal> {
    let mut scopes = Vec::new();
    for word in text.split_ascii_whitespace() {
        let name = word.strip_prefix("https://graph.microsoft.com/").unwrap_or(word);
        let plain = name.chars().all(|letter| letter.is_ascii_alphanumeric() || "._-".contains(letter));
        if !plain || name.is_empty() {
            return Err(refuse(70011).about(word));
        }
        if name == ".default" {
            scopes.extend(crate::front::scopes::ALL.iter().map(|scope| (*scope).to_owned()));
        } else {
            scopes.push(name.to_owned());
        }
    }
    if scopes.is_empty() {
        return Err(refuse(70011).about("empty"));
    }
    Ok(scopes)
}

impl wire::Request {
    /// The request that faults look at on ports where there is none.
    pub(crate) fn nothing() -> Self {
        let text = String::new;
        Self {
            method: Method::GET,
            path: text(),
            query: text(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            user: text(),
            base: text(),
            downloads: text(),
        }
    }
}
