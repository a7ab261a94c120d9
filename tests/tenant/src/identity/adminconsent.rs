//! The admin consent endpoint: an administrator agrees at once, for everybody of a directory.
//!
//! Source: *Admin consent on the Microsoft identity platform*: `tenant` is a directory's id or `organizations`, never `common`; `client_id`,
//! `redirect_uri` and `scope` are required; the browser goes back with `admin_consent`, `tenant`, `scope` and the `state` that was given.

use http::{Response, StatusCode};

use super::errors::{Refusal, refuse};
use super::{Call, authorize, known, pages, scopes};
use crate::door::reply::{self, Body};
use crate::seed::{Kind, User};
use crate::state::State;

/// `GET /{tenant}/v2.0/adminconsent`.
pub(super) fn answer(state: &State, call: &Call) -> Response<Body> {
    match agree(state, call) {
        Ok(target) => authorize::redirect(&target),
        Err(refusal) => {
            let text = format!("<p>{}</p>", pages::escape(&refusal.line()));
            reply::html(StatusCode::BAD_REQUEST, pages::page("Nothing was agreed to", &text))
        }
    }
}

/// Where the browser goes back to.
fn agree(state: &State, call: &Call) -> Result<String, Refusal> {
    let asked =
        |name: &str| call.query.get(name).map(String::as_str).filter(|value| !value.is_empty()).ok_or_else(|| refuse(90014).about(name));
    let redirect = asked("redirect_uri")?;
    known(state, asked("client_id")?, &call.authority)?;
    if !authorize::is_loopback(redirect) {
        return Err(refuse(50011));
    }
    // The administrator is one of the only directory that there is.
    let staff: Vec<User> = state.graph.users().iter().filter(|user| user.kind == Kind::Work).cloned().collect();
    let home = staff.first().map(|user| user.tenant_id.clone()).unwrap_or_default();
    if ![home.as_str(), "organizations"].contains(&call.authority.as_str()) {
        return Err(refuse(90002).about(&call.authority));
    }
    let scopes = scopes(asked("scope")?)?;
    state.grants.agree(&staff, &scopes);
    let mut target = url::Url::parse(redirect).map_err(|_| refuse(50011))?;
    let scope = scopes.join(" ");
    target.query_pairs_mut().extend_pairs([("admin_consent", "True"), ("tenant", home.as_str()), ("scope", scope.as_str())]);
    if let Some(given) = call.query.get("state") {
        target.query_pairs_mut().append_pair("state", given);
    }
    Ok(target.into())
}
