//! The error bodies Graph's front door gives by itself.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::wire::Reply;

const REALM: &str = "Bearer realm=\"\", authorization_uri=\"https://login.microsoftonline.com/common/oauth2/authorize\", client_id=\"00000003-0000-0000-c000-000000000000\"";

/// An ordinary Graph error. The server fills the request ids in when it sends the reply.
pub(crate) fn reply(status: StatusCode, code: &str, message: &str, now: Timestamp) -> Reply {
    let date = now.strftime("%Y-%m-%dT%H:%M:%S").to_string();
    let body = json!({"error": {"code": code, "message": message, "innerError": {"date": date}}});
    Reply { status, headers: HeaderMap::new(), body: Bytes::from(body.to_string()) }
}

/// 401 for a token that is missing, foreign or expired.
pub(crate) fn unauthorized(message: &str, now: Timestamp) -> Reply {
    let mut reply = reply(StatusCode::UNAUTHORIZED, "InvalidAuthenticationToken", message, now);
    reply.headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(REALM));
    reply
}

/// 401 that asks for a token with further claims (continuous access evaluation).
pub(crate) fn claims_challenge(now: Timestamp) -> Reply {
    let claims = json!({"access_token": {"nbf": {"essential": true, "value": now.as_second().to_string()}}});
    let challenge = format!("{REALM}, error=\"insufficient_claims\", claims=\"{}\"", STANDARD.encode(claims.to_string()));
    let message = "Continuous access evaluation resulted in challenge with result: InteractionRequired and code: TokenIssuedBeforeRevocationTimestamp";
    let mut reply = reply(StatusCode::UNAUTHORIZED, "InvalidAuthenticationToken", message, now);
    if let Ok(value) = HeaderValue::from_str(&challenge) {
        reply.headers.insert(WWW_AUTHENTICATE, value);
    }
    reply
}

/// 429 for a mailbox that is asked too much at once.
pub(crate) fn throttled(retry_after: u64, now: Timestamp) -> Reply {
    let message = "Application is over its MailboxConcurrency limit.";
    let mut reply = reply(StatusCode::TOO_MANY_REQUESTS, "ApplicationThrottled", message, now);
    reply.headers.insert(RETRY_AFTER, HeaderValue::from(retry_after));
    reply
}

/// Puts the request's ids into an error's `innerError`, as Graph does.
pub(crate) fn identify(reply: &mut Reply, request_id: &str, client_request_id: &str) {
    let Ok(mut body) = serde_json::from_slice::<Value>(&reply.body) else {
        return;
    };
    let Some(Value::Object(error)) = body.get_mut("error") else {
        return;
    };
    let inner = error.entry("innerError").or_insert_with(|| json!({}));
    if let Value::Object(inner) = inner {
        inner.insert("request-id".to_owned(), Value::from(request_id));
        inner.insert("client-request-id".to_owned(), Value::from(client_request_id));
        reply.body = Bytes::from(body.to_string());
    }
}
