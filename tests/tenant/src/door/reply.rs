//! Answers as hyper wants them, the odd ones included: dropped, slow, too short.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, Limited, StreamBody};
use hyper::body::{Body as _, Frame, Incoming};
use serde_json::Value;

/// A response body.
pub(crate) type Body = UnsyncBoxBody<Bytes, Dropped>;

/// An answer, or a cut connection.
pub(crate) type Outcome = Result<Response<Body>, Dropped>;

/// The connection (HTTP/1.1) or stream (HTTP/2) is cut here, on purpose.
#[derive(Debug)]
pub(crate) struct Dropped;

impl std::fmt::Display for Dropped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("dropped on purpose")
    }
}

impl std::error::Error for Dropped {}

/// How the bytes of a body reach the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// At once.
    Whole,
    /// In `pieces` equal parts with a pause before each.
    Slow { pieces: usize, pause: Duration },
    /// With a `Content-Length` that promises this many bytes more than come.
    Short { missing: u64 },
}

/// Makes a body of bytes.
pub(crate) fn body(bytes: Bytes, delivery: Delivery) -> Body {
    match delivery {
        Delivery::Whole => Full::new(bytes).map_err(|never: Infallible| match never {}).boxed_unsync(),
        // As a stream its length is unknown to hyper, which would refuse to send the wrong one otherwise.
        Delivery::Short { .. } => pieces(bytes, 1, Duration::ZERO),
        Delivery::Slow { pieces: count, pause } => pieces(bytes, count, pause),
    }
}

fn pieces(bytes: Bytes, count: usize, pause: Duration) -> Body {
    let size = bytes.len().div_ceil(count.max(1)).max(1);
    let stream = stream::unfold(bytes, move |mut left| async move {
        if left.is_empty() {
            // Lets hyper send what it has before it finds out that the body is too short.
            tokio::task::yield_now().await;
            return None;
        }
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
        let piece = left.split_to(size.min(left.len()));
        Some((Ok(Frame::data(piece)), left))
    });
    StreamBody::new(stream).boxed_unsync()
}

/// A JSON answer.
pub(crate) fn json(status: StatusCode, value: &Value) -> Response<Body> {
    of(status, "application/json; charset=utf-8", Bytes::from(value.to_string()))
}

/// An HTML answer.
pub(crate) fn html(status: StatusCode, page: String) -> Response<Body> {
    of(status, "text/html; charset=utf-8", Bytes::from(page))
}

/// Any answer with a body.
pub(crate) fn of(status: StatusCode, content_type: &str, bytes: Bytes) -> Response<Body> {
    let mut response = Response::new(body(bytes, Delivery::Whole));
    *response.status_mut() = status;
    set(&mut response, CONTENT_TYPE, content_type);
    response
}

/// Sets a header; a value that HTTP cannot carry is left out.
pub(crate) fn set(response: &mut Response<Body>, name: http::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// Promises more bytes than come, where `delivery` says so.
pub(crate) fn promise(response: &mut Response<Body>, delivery: Delivery, length: usize) {
    if let Delivery::Short { missing } = delivery {
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length as u64 + missing));
    }
}

/// Why a request's body could not be had.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unread {
    /// It is longer than allowed.
    TooLarge,
    /// The client went away.
    Gone,
}

/// Reads a request's whole body, up to `limit` bytes.
pub(crate) async fn read(request: Request<Incoming>, limit: usize) -> Result<(http::request::Parts, Bytes), Unread> {
    let (parts, incoming) = request.into_parts();
    if incoming.size_hint().lower() > limit as u64 {
        return Err(Unread::TooLarge);
    }
    match Limited::new(incoming, limit).collect().await {
        Ok(collected) => Ok((parts, collected.to_bytes())),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => Err(Unread::TooLarge),
        Err(_) => Err(Unread::Gone),
    }
}
