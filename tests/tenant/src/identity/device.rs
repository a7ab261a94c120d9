//! The device-code flow's two ends that are not the token endpoint: starting it, and the person's answer.

use http::{Response, StatusCode};
use serde_json::json;

use super::errors::Refusal;
use super::grants::{Answer, DEVICE_LIFE, Device};
use super::{Call, admits, known, pages, scopes};
use crate::door::reply::{self, Body};
use crate::state::State;

/// `POST /{tenant}/oauth2/v2.0/devicecode`.
pub(super) fn start(state: &State, call: &Call) -> Response<Body> {
    let started = || -> Result<Response<Body>, Refusal> {
        let client_id = call.field("client_id")?;
        known(state, client_id, &call.authority)?;
        let scopes = scopes(call.field("scope")?)?;
        let (device_code, user_code) = (state.ids.token("D"), state.ids.user_code());
        let uri = format!("{}/devicelogin", call.base);
        let device = Device {
            user_code: user_code.clone(),
            client_id: client_id.to_owned(),
            scopes,
            authority: call.authority.clone(),
            expires: state.clock.seconds() + DEVICE_LIFE,
            answer: Answer::Pending,
            polled: None,
        };
        state.grants.keep_device(device_code.clone(), device);
        Ok(reply::json(
            StatusCode::OK,
            &json!({
                "user_code": user_code,
                "device_code": device_code,
                "verification_uri": uri,
                "expires_in": DEVICE_LIFE,
                "interval": state.settings().device_interval.as_secs(),
                "message": format!("To sign in, use a web browser to open the page {uri} and enter the code {user_code} to authenticate."),
            }),
        ))
    };
    started().unwrap_or_else(|refusal| call.refusal(state, &refusal))
}

/// `POST /devicelogin`: the person's answer.
pub(super) fn decide(state: &State, call: &Call) -> Response<Body> {
    let text = |name: &str| call.form.get(name).map_or("", String::as_str);
    let username = (text("action") != "decline").then(|| text("username"));
    match answer(state, text("user_code"), username) {
        Ok(()) => {
            let done = "<p>You may close this window and go back to your device.</p>";
            reply::html(StatusCode::OK, pages::page("Done", done))
        }
        Err(problem) => pages::device_form(state, &problem),
    }
}

/// Answers a device's code: signs that account in, or declines when it is `None`. The error is a sentence for people.
pub(crate) fn answer(state: &State, user_code: &str, username: Option<&str>) -> Result<(), String> {
    let authority = state.grants.authority_of(user_code).ok_or("No device waits for that code.")?;
    let user = match username {
        None => None,
        Some(name) => {
            let user = state.user(name).ok_or_else(|| format!("No such account: {name}"))?;
            admits(&authority, &user).map_err(|refusal| refusal.line())?;
            Some(user)
        }
    };
    if state.grants.decide(user_code, user) { Ok(()) } else { Err("That code was answered already.".to_owned()) }
}
