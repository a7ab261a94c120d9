//! What Graph answered, and how to read its headers.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose};
use bytes::Bytes;
use serde_json::Value;

use super::{Cause, GraphError};
use crate::clock::Timestamp;

/// The longest wait that a `Retry-After` can ask of us.
const LONGEST: Duration = Duration::from_secs(3600);

/// An answer of Graph that is not a refusal: 2xx, 302 for content that lies elsewhere, 304.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GraphReply {
    /// HTTP status.
    pub status: u16,
    /// The `ETag` header.
    pub etag: Option<String>,
    /// The `Location` header: the monitor of a copy, the pre-authenticated address of content. Carries rights: never log it.
    pub location: Option<String>,
    /// The `Content-Type` header.
    pub content_type: Option<String>,
    /// Microsoft's id of the request, for their support.
    pub request_id: Option<String>,
    /// The body as it came.
    pub body: Bytes,
}

impl GraphReply {
    /// The body as JSON; `null` when there is none.
    ///
    /// # Errors
    ///
    /// When it is not JSON.
    pub fn json(&self) -> Result<Value, GraphError> {
        if self.body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&self.body).map_err(|_| self.without("JSON"))
    }

    /// An error that this answer lacks `what`.
    pub(super) fn without(&self, what: &'static str) -> GraphError {
        GraphError::new(Cause::Garbage(what)).at(self.status, self.request_id.clone())
    }
}

/// How long `Retry-After` asks to wait: seconds, or a date, counted from the answer's own `Date` so that clocks need not agree.
pub(super) fn retry_after(value: Option<&str>, date: Option<&str>, now: Timestamp) -> Option<Duration> {
    let value = value?.trim();
    if let Ok(seconds) = value.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok().map(|wait| wait.min(LONGEST));
    }
    let at = http_date(value)?;
    let from = date.and_then(http_date).unwrap_or(now);
    Some(at.since(from).min(LONGEST))
}

/// A date of RFC 9110, 5.6.7, in the form that is sent today.
fn http_date(text: &str) -> Option<Timestamp> {
    let zoned = jiff::fmt::rfc2822::parse(text.trim()).ok()?;
    Some(Timestamp(zoned.timestamp().as_millisecond()))
}

/// The claims that a challenge asks for, as JSON text: `WWW-Authenticate: Bearer …, error="insufficient_claims", claims="<base64>"`.
pub(super) fn claims_challenge(header: &str) -> Option<String> {
    if !header.contains("insufficient_claims") {
        return None;
    }
    let (_, rest) = header.split_once("claims=\"")?;
    let (encoded, _) = rest.split_once('"')?;
    let encoded = encoded.trim_end_matches('=');
    let bytes = general_purpose::STANDARD_NO_PAD.decode(encoded).or_else(|_| general_purpose::URL_SAFE_NO_PAD.decode(encoded)).ok()?;
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp(784_111_777_000); // Sun, 06 Nov 1994 08:49:37 GMT

    #[test]
    fn both_forms_of_retry_after_are_read() {
        let of = |value| retry_after(Some(value), None, NOW);
        assert_eq!(of("10"), Some(Duration::from_secs(10)));
        assert_eq!(of(" 0 "), Some(Duration::ZERO));
        assert_eq!(of("1.5"), Some(Duration::from_millis(1500)));
        assert_eq!(of("Sun, 06 Nov 1994 08:49:57 GMT"), Some(Duration::from_secs(20)));
        assert_eq!(of("Sun, 06 Nov 1994 08:00:00 GMT"), Some(Duration::ZERO), "in the past");
        assert_eq!(of("999999999"), Some(LONGEST));
        assert_eq!(of("soon"), None);
        assert_eq!(of("-5"), None);
        let date = Some("Mon, 07 Nov 1994 08:49:37 GMT");
        assert_eq!(retry_after(Some("Mon, 07 Nov 1994 08:49:40 GMT"), date, NOW), Some(Duration::from_secs(3)), "whatever our clock says");
    }

    #[test]
    fn a_claims_challenge_is_decoded() {
        let header = |claims: &str| {
            format!("Bearer realm=\"\", authorization_uri=\"https://x/authorize\", error=\"insufficient_claims\", claims=\"{claims}\"")
        };
        let wanted = r#"{"access_token":{"nbf":{"essential":true, "value":"1604106651"}}}"#;
        assert_eq!(claims_challenge(&header(&general_purpose::STANDARD.encode(wanted))).as_deref(), Some(wanted));
        assert_eq!(claims_challenge(&header(&general_purpose::URL_SAFE_NO_PAD.encode(wanted))).as_deref(), Some(wanted));
        assert_eq!(claims_challenge("Bearer error=\"invalid_token\""), None);
        assert_eq!(claims_challenge(&header("***")), None);
    }

    proptest! {
        #[test]
        fn no_header_makes_it_panic(value: String, date: String, challenge: String) {
            let _ = retry_after(Some(&value), Some(&date), NOW);
            let _ = claims_challenge(&format!("insufficient_claims claims=\"{challenge}"));
        }
    }
}
