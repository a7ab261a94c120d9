//! What lies behind pre-authenticated URLs: bytes, in ranges, and uploads in pieces; never with a bearer token.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT_RANGES, AUTHORIZATION, CONTENT_RANGE, CONTENT_TYPE, RANGE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;

use crate::door::reply::{self, Body, Delivery, Dropped, Outcome, Unread};
use crate::faults::{self, At, Effect, Port, Sight};
use crate::front::errors;
use crate::state::State;
use crate::wire;

/// The longest piece of an upload that is read at all: 60 MiB and some.
const LARGEST_PIECE: usize = 64 << 20;
const PREAUTHENTICATED: &str = "This address is pre-authenticated: send no Authorization header.";

/// Answers a request on a download port.
pub(crate) async fn answer(state: &Arc<State>, request: Request<Incoming>) -> Outcome {
    let path = request.uri().path_and_query().map_or("/", |target| target.as_str()).to_owned();
    let bearer = is_foreign(&request);
    state.counts.change(|stats| {
        stats.downloads += 1;
        stats.bearer_on_downloads += u64::from(bearer);
    });
    let raw = format!("{} {path}", request.method());
    let sight = Sight { port: Port::Downloads, route: &raw, raw: &raw, user: None };
    let mut strike = state.faults.strike(&sight, |_| true);
    if let Some(strike) = &mut strike {
        strike.hold(At::Before).await;
        match strike.effect {
            Effect::Reset { at: At::Before } => return Err(Dropped),
            Effect::Hang { ms } => tokio::time::sleep(Duration::from_millis(ms)).await,
            _ => {}
        }
        if let Some(instead) = faults::instead(&strike.effect, state.clock.now()) {
            return Ok(send(instead, Delivery::Whole));
        }
    }
    let reply = match request.method() {
        &Method::GET | &Method::HEAD if !path.starts_with(crate::graph::UPLOADS) => {
            serve(state, request.method(), &path, request.headers(), bearer)
        }
        _ => upload(state, request, bearer).await?,
    };
    let Some(mut strike) = strike else {
        return Ok(send(reply, Delivery::Whole));
    };
    strike.hold(At::After).await;
    if strike.effect == (Effect::Reset { at: At::After }) {
        return Err(Dropped);
    }
    let (reply, delivery) = faults::change(&strike.effect, &wire::Request::nothing(), reply);
    Ok(send(reply, delivery))
}

/// Whether a request carries a token that is not the address's own. Outlook's addresses hold theirs as `authtoken`, and some clients
/// send that one as a bearer, too, which does no harm.
fn is_foreign<B>(request: &Request<B>) -> bool {
    let own = request.uri().query().and_then(|query| query.strip_prefix("authtoken="));
    let said = request.headers().get(AUTHORIZATION).map(|said| said.to_str().unwrap_or_default());
    said.is_some_and(|said| own.is_none_or(|own| said.strip_prefix("Bearer ") != Some(own)))
}

/// A piece of an upload session, or something that is not done here.
async fn upload(state: &State, request: Request<Incoming>, bearer: bool) -> Result<wire::Reply, Dropped> {
    let error = |status, code, message| Ok(errors::reply(status, code, message, state.clock.now()));
    let (parts, body) = match reply::read(request, LARGEST_PIECE).await {
        Ok(read) => read,
        Err(Unread::Gone) => return Err(Dropped),
        Err(Unread::TooLarge) => return error(StatusCode::PAYLOAD_TOO_LARGE, "invalidRequest", "The piece is too large."),
    };
    if bearer {
        return error(StatusCode::UNAUTHORIZED, "unauthenticated", PREAUTHENTICATED);
    }
    let request = wire::Request {
        method: parts.method,
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: parts.headers,
        body,
        ..wire::Request::nothing()
    };
    match state.graph.upload(&request) {
        Some(reply) => Ok(reply),
        None => error(StatusCode::METHOD_NOT_ALLOWED, "notAllowed", "Only GET."),
    }
}

fn serve(state: &State, method: &Method, path: &str, headers: &HeaderMap, bearer: bool) -> wire::Reply {
    let error = |status, code, message| errors::reply(status, code, message, state.clock.now());
    if bearer {
        return error(StatusCode::UNAUTHORIZED, "unauthenticated", PREAUTHENTICATED);
    }
    if method != Method::GET && method != Method::HEAD {
        return error(StatusCode::METHOD_NOT_ALLOWED, "notAllowed", "Only GET.");
    }
    let Some(found) = state.graph.download(path) else {
        return error(StatusCode::NOT_FOUND, "itemNotFound", "The resource could not be found.");
    };
    let length = found.content.len();
    let content = found.content;
    let mut headers_out = HeaderMap::new();
    headers_out.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    let kind = HeaderValue::from_str(&found.content_type).unwrap_or(HeaderValue::from_static("application/octet-stream"));
    headers_out.insert(CONTENT_TYPE, kind);
    let asked = headers.get(RANGE).and_then(|range| range.to_str().ok()).and_then(|range| range.strip_prefix("bytes="));
    let mut say = |range: String| headers_out.extend(HeaderValue::from_str(&range).ok().map(|range| (CONTENT_RANGE, range)));
    let (status, body) = match asked.map(|range| slice(range, length)) {
        None => (found.status, content.bytes()),
        Some(Some((from, to))) => {
            say(format!("bytes {from}-{}/{length}", to - 1));
            (StatusCode::PARTIAL_CONTENT, content.slice(from, to))
        }
        Some(None) => {
            say(format!("bytes */{length}"));
            (StatusCode::RANGE_NOT_SATISFIABLE, Bytes::new())
        }
    };
    wire::Reply { status, headers: headers_out, body }
}

/// The half-open slice a range asks for: `5-9`, `5-`, `-3`; `None` when it lies outside or makes no sense.
fn slice(range: &str, length: u64) -> Option<(u64, u64)> {
    let (first, last) = range.trim().split_once('-')?;
    let (from, to) = match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(from), Ok(last)) => (from, last.saturating_add(1).min(length)),
        (Ok(from), Err(_)) if last.is_empty() => (from, length),
        (Err(_), Ok(tail)) if first.is_empty() => (length.saturating_sub(tail), length),
        _ => return None,
    };
    (from < to).then_some((from, to))
}

fn send(answer: wire::Reply, delivery: Delivery) -> Response<Body> {
    let length = answer.body.len();
    let mut response = Response::new(reply::body(answer.body, delivery));
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    if length > 0 && !response.headers().contains_key(CONTENT_TYPE) {
        reply::set(&mut response, CONTENT_TYPE, "application/json");
    }
    reply::promise(&mut response, delivery, length);
    response
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::{is_foreign, slice};

    #[test]
    fn an_addresses_own_token_is_no_bearer() {
        let foreign = |uri: &str, said: Option<&str>| {
            let request = Request::builder().uri(uri);
            is_foreign(&said.map_or(Request::builder().uri(uri), |said| request.header("authorization", said)).body(()).unwrap())
        };
        assert!(!foreign("/upload/1?authtoken=abc", None) && !foreign("/upload/1?authtoken=abc", Some("Bearer abc")));
        assert!(foreign("/upload/1?authtoken=abc", Some("Bearer eyJ")) && foreign("/download/1", Some("Bearer eyJ")));
    }

    #[test]
    fn ranges_as_rfc_9110_has_them() {
        assert_eq!(slice("0-0", 10), Some((0, 1)));
        assert_eq!(slice("5-", 10), Some((5, 10)));
        assert_eq!(slice("-3", 10), Some((7, 10)));
        assert_eq!(slice("-30", 10), Some((0, 10)));
        assert_eq!(slice("8-99", 10), Some((8, 10)));
        for wrong in ["10-", "5-4", "-0", "-", "a-b", "x", "0-1,3-4"] {
            assert_eq!(slice(wrong, 10), None, "{wrong}");
        }
    }
}
