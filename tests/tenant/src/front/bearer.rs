//! Whether a request's access token is good, and whose it is.

use http::HeaderMap;
use http::header::AUTHORIZATION;

use super::errors;
use crate::identity::jwt;
use crate::seed::User;
use crate::state::State;
use crate::wire::Reply;

/// A good token's meaning.
pub(crate) struct Bearer {
    pub(crate) user: User,
    /// Lower case, without the resource prefix.
    pub(crate) scopes: Vec<String>,
}

/// Reads the `Authorization` header; a refusal is the 401 to send.
pub(crate) fn check(state: &State, headers: &HeaderMap) -> Result<Bearer, Box<Reply>> {
    let now = state.clock.now();
    let refuse = |message| Box::new(errors::unauthorized(message, now));
    let header = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let token = header.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, token)| token);
    let token = token.map(str::trim).filter(|token| !token.is_empty());
    let token = token.ok_or_else(|| refuse("Access token is empty."))?;
    let claims =
        jwt::verify(&state.ids.signing_key(), token).ok_or_else(|| refuse("CompactToken parsing failed with error code: 80049217"))?;
    let text = |name: &str| claims[name].as_str().unwrap_or_default().to_owned();
    let expired = claims["exp"].as_i64().is_none_or(|exp| exp <= now.as_second());
    let user = text("oid");
    if expired || state.grants.access_ended(&user, claims["serial"].as_u64().unwrap_or(0)) {
        return Err(refuse("Lifetime validation failed, the token is expired."));
    }
    let user = state.user(&user).ok_or_else(|| refuse("The user of this token is unknown."))?;
    Ok(Bearer { user, scopes: text("scp").to_lowercase().split(' ').map(str::to_owned).collect() })
}
