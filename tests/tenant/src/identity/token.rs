//! The token endpoint: three grants, one answer.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{Response, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::errors::{Refusal, refuse};
use super::grants::Grant;
use super::{Call, admits, jwt, known, scopes};
use crate::door::reply::{self, Body};
use crate::seed::User;
use crate::state::State;
use crate::stats::add;

/// `POST /{tenant}/oauth2/v2.0/token`.
pub(super) fn answer(state: &State, call: &Call) -> Response<Body> {
    if call.form.contains_key("claims") {
        state.counts.change(|stats| stats.claims_sent += 1);
    }
    match grant(state, call) {
        Ok((kind, grant)) => {
            state.counts.change(|stats| add(&mut stats.tokens, kind.to_owned()));
            reply::json(StatusCode::OK, &tokens(state, call, grant))
        }
        Err(refusal) => call.refusal(state, &refusal),
    }
}

fn grant(state: &State, call: &Call) -> Result<(&'static str, Grant), Refusal> {
    let client = call.field("client_id")?;
    known(state, client, &call.authority)?;
    if call.form.contains_key("client_secret") || call.form.contains_key("client_assertion") {
        return Err(refuse(700_025));
    }
    let now = state.clock.now();
    let (kind, mut grant) = match call.field("grant_type")? {
        "authorization_code" => {
            let (verifier, redirect) = (call.form.get("code_verifier"), call.field("redirect_uri")?);
            let grant = state.grants.redeem(call.field("code")?, now.as_second(), |code| {
                if code.grant.client_id != client {
                    return Err(refuse(70000).about("another application's code"));
                }
                if code.redirect_uri != redirect {
                    return Err(refuse(500_112));
                }
                let answer = verifier.map(|verifier| URL_SAFE_NO_PAD.encode(Sha256::digest(verifier)));
                if answer.as_ref() == Some(&code.challenge) { Ok(()) } else { Err(refuse(501_481)) }
            })?;
            ("authorization_code", grant)
        }
        "refresh_token" => {
            let mut grant = state.grants.refresh(call.field("refresh_token")?, client, now.as_second())?;
            if let Some(wanted) = call.form.get("scope") {
                grant.scopes = asked_again(state, &grant, &scopes(wanted)?)?;
            }
            grant.nonce = None;
            // The new token belongs to the authority it was asked of.
            grant.authority.clone_from(&call.authority);
            ("refresh_token", grant)
        }
        "urn:ietf:params:oauth:grant-type:device_code" | "device_code" => {
            let interval = i64::try_from(state.settings().device_interval.as_millis()).unwrap_or(i64::MAX);
            let code = call.field("device_code").or_else(|_| call.field("code"))?;
            ("device_code", state.grants.poll(code, client, now.as_millisecond(), interval)?)
        }
        _ => return Err(refuse(70003)),
    };
    admits(&call.authority, &grant.user)?;
    grant.scopes.dedup();
    Ok((kind, grant))
}

/// The scopes of a refresh: any the user has agreed to for this application. A refresh token gives the next one
/// even when `offline_access` is not named again.
fn asked_again(state: &State, grant: &Grant, wanted: &[String]) -> Result<Vec<String>, Refusal> {
    let sign_in = |scope: &str| ["openid", "profile", "email", "offline_access"].contains(&scope);
    let resources: Vec<String> = wanted.iter().filter(|scope| !sign_in(scope)).cloned().collect();
    if !state.grants.consented(&grant.user.id, &grant.client_id, &resources) {
        return Err(refuse(65001).about(&resources.join(" ")));
    }
    let mut scopes = wanted.to_vec();
    if !scopes.iter().any(|scope| scope == "offline_access") {
        scopes.push("offline_access".to_owned());
    }
    Ok(scopes)
}

/// The success body.
fn tokens(state: &State, call: &Call, grant: Grant) -> Value {
    let now = state.clock.seconds();
    let lifetime = i64::try_from(state.settings().token_lifetime.as_secs()).unwrap_or(i64::MAX);
    let (user, has) = (&grant.user, |name: &str| grant.scopes.iter().any(|scope| scope == name));
    let issuer = format!("{}/{}/v2.0", call.named(), user.tenant_id);
    let granted = state.grants.granted(&user.id, &grant.scopes);
    let said: Vec<&str> = granted.iter().map(String::as_str).filter(|scope| *scope != "offline_access").collect();
    let key = state.ids.signing_key();
    let access = json!({
        "aud": "https://graph.microsoft.com", "iss": issuer, "iat": now, "nbf": now, "exp": now.saturating_add(lifetime),
        "oid": user.id, "tid": user.tenant_id, "upn": user.username, "name": user.display_name,
        "appid": grant.client_id, "scp": said.join(" "), "ver": "1.0", "serial": state.ids.serial(),
    });
    let mut body = json!({
        "token_type": "Bearer",
        "scope": said.join(" "),
        "expires_in": lifetime,
        "ext_expires_in": lifetime,
        "access_token": jwt::sign(&key, &access),
    });
    if has("openid") {
        let mut id = json!({
            "aud": grant.client_id, "iss": issuer, "iat": now, "nbf": now, "exp": now.saturating_add(3600),
            "sub": user.id, "oid": user.id, "tid": user.tenant_id, "ver": "2.0",
            "preferred_username": user.username, "name": user.display_name,
        });
        if let Some(nonce) = &grant.nonce {
            id["nonce"] = Value::from(nonce.clone());
        }
        body["id_token"] = Value::from(jwt::sign(&key, &id));
    }
    if call.form.get("client_info").is_some_and(|wanted| wanted == "1") {
        body["client_info"] = Value::from(client_info(user));
    }
    if has("offline_access") {
        let token = state.ids.token("1.A");
        body["refresh_token"] = Value::from(token.clone());
        state.grants.keep_refresh(token, grant, now);
    }
    body
}

/// `client_info`: who the account is across tenants.
pub(super) fn client_info(user: &User) -> String {
    URL_SAFE_NO_PAD.encode(json!({"uid": user.id, "utid": user.tenant_id}).to_string())
}
