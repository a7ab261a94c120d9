//! What Graph answered, and how to read its headers.

use base64::{Engine as _, engine::general_purpose};
use bytes::Bytes;
use serde_json::Value;

use super::{Cause, GraphError, GraphRequest, Method};

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

/// Whether Graph says yes to `request` by a status below 400. Of redirects it sends two, and to reads alone: to where content lies, and that
/// nothing has changed. Any other is of somebody on the way, such as a proxy that wants a sign-in of its own, and says nothing of what became
/// of the request.
pub(super) fn is_answer(status: u16, request: &GraphRequest) -> bool {
    match status {
        302 => request.is_for_content(),
        304 => request.method == Method::Get,
        _ => (200..300).contains(&status),
    }
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
        fn no_challenge_makes_it_panic(challenge: String) {
            let _ = claims_challenge(&format!("insufficient_claims claims=\"{challenge}"));
        }
    }
}
