//! What each fault does to an answer.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::time::Duration;

use super::{Effect, GarbageKind, RetryAfter};
use crate::clock::http_date;
use crate::door::reply::Delivery;
use crate::front::errors;
use crate::wire::{Reply, Request};

/// Whether an effect can strike a single item of a `$batch`.
pub(crate) fn batch_item(effect: &Effect) -> bool {
    matches!(effect, Effect::Status { .. } | Effect::Unauthorized | Effect::ClaimsChallenge)
}

/// The answer given instead of carrying the request out, if the effect is of that kind.
pub(crate) fn instead(effect: &Effect, now: Timestamp) -> Option<Reply> {
    match effect {
        Effect::Status { status, code, message, retry_after } => {
            let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let message = message.as_deref().unwrap_or("The request could not be served at this time.");
            let mut reply = errors::reply(status, code, message, now);
            if let Some(value) = retry_after.as_ref().and_then(|after| header(after, now)) {
                reply.headers.insert(RETRY_AFTER, value);
            }
            Some(reply)
        }
        Effect::Unauthorized => Some(errors::unauthorized("Access token has expired or is not yet valid.", now)),
        Effect::ClaimsChallenge => Some(errors::claims_challenge(now)),
        Effect::HtmlPage { status } => {
            let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::BAD_GATEWAY);
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
            let page = format!(
                "<html>\r\n<head><title>{status}</title></head>\r\n<body>\r\n<center><h1>{status}</h1></center>\r\n</body>\r\n</html>\r\n"
            );
            Some(Reply { status, headers, body: Bytes::from(page) })
        }
        Effect::RedirectTo { to } => {
            let mut headers = HeaderMap::new();
            headers.insert(LOCATION, HeaderValue::from_bytes(to.as_bytes()).ok()?);
            Some(Reply { status: StatusCode::FOUND, headers, body: Bytes::new() })
        }
        _ => None,
    }
}

/// The real answer, changed.
pub(crate) fn change(effect: &Effect, request: &Request, mut reply: Reply) -> (Reply, Delivery) {
    let mut delivery = Delivery::Whole;
    match effect {
        Effect::EmptyBody => reply.body = Bytes::new(),
        Effect::Garbage { how: GarbageKind::NotJson } => {
            reply.body = Bytes::from_static(b"\x1f\x8b\x00<<< upstream says hello >>>\xff{");
        }
        Effect::Garbage { how: GarbageKind::TruncatedJson } => reply.body.truncate(reply.body.len() / 2),
        Effect::Garbage { how: GarbageKind::WrongLength } => delivery = Delivery::Short { missing: 1000 },
        Effect::SlowBody { pieces, ms } => {
            delivery = Delivery::Slow { pieces: *pieces, pause: Duration::from_millis(*ms) };
        }
        Effect::LoopNextLink => next_link(&mut reply, request, &request.base),
        Effect::ForeignNextLink => next_link(&mut reply, request, "https://evil.example/v1.0"),
        Effect::LinksTo { to } => links(&mut reply, to),
        _ => {}
    }
    (reply, delivery)
}

/// Points every link of the answer to `to`; a page that has no next one gets it.
fn links(reply: &mut Reply, to: &str) {
    fn turn(value: &mut Value, to: &str) {
        match value {
            Value::Array(items) => items.iter_mut().for_each(|item| turn(item, to)),
            Value::Object(members) => {
                for (name, value) in members {
                    if ["@microsoft.graph.downloadUrl", "@odata.nextLink", "uploadUrl"].contains(&name.as_str()) {
                        *value = to.into();
                    } else {
                        turn(value, to);
                    }
                }
            }
            _ => {}
        }
    }
    let Ok(mut page) = serde_json::from_slice::<Value>(&reply.body) else { return };
    turn(&mut page, to);
    if page.get("value").is_some_and(Value::is_array) {
        page["@odata.nextLink"] = to.into();
    }
    reply.body = Bytes::from(page.to_string());
}

/// Points the page's next link at the request itself, under `base`.
fn next_link(reply: &mut Reply, request: &Request, base: &str) {
    let Ok(Value::Object(mut page)) = serde_json::from_slice::<Value>(&reply.body) else {
        return;
    };
    let query = if request.query.is_empty() { String::new() } else { format!("?{}", request.query) };
    page.remove("@odata.deltaLink");
    page.insert("@odata.nextLink".to_owned(), Value::String(format!("{base}{}{query}", request.path)));
    reply.body = Bytes::from(Value::Object(page).to_string());
}

fn header(after: &RetryAfter, now: Timestamp) -> Option<HeaderValue> {
    match after {
        RetryAfter::Seconds(seconds) => Some(HeaderValue::from(*seconds)),
        RetryAfter::DateIn { date_in_s } => {
            let at = now.saturating_add(SignedDuration::from_secs(*date_in_s)).unwrap_or(now);
            HeaderValue::from_str(&http_date(at)).ok()
        }
        RetryAfter::Text(text) => HeaderValue::from_str(text).ok(),
    }
}
