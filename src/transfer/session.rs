//! What an answer of an upload session means: a pure rule (Graph documentation, *driveItem: createUploadSession* and *Attach large files*).

use serde_json::Value;

/// What was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    /// Bytes are missing, the first of them here.
    Next(u64),
    /// All bytes are there and the item is made.
    Done,
    /// The session is not known: expired, given up, or done.
    Gone,
    /// The session has these bytes already, or expects others.
    Held,
    /// Trouble that may pass.
    Trouble,
    /// No, with Microsoft's own code.
    Refused(Option<String>),
}

/// Reads an answer of the session to a PUT or a GET.
pub(super) fn said(status: u16, body: &[u8]) -> Said {
    match status {
        200..=202 => {
            let json: Value = serde_json::from_slice(body).unwrap_or_default();
            match next(&json) {
                Some(at) => Said::Next(at),
                // A drive answers with the item, Outlook with 201 alone.
                None if status == 201 || json["id"].is_string() => Said::Done,
                None => Said::Trouble,
            }
        }
        404 | 410 => Said::Gone,
        416 => Said::Held,
        501 | 507 => Said::Refused(error_code(body)),
        // No session redirects: somebody on the way has answered, and the session is asked what it has.
        300..=399 | 408 | 429 | 500.. => Said::Trouble,
        _ => Said::Refused(error_code(body)),
    }
}

/// The first missing byte. OneDrive writes `nextExpectedRanges: ["5-9"]` or `"5-"`, Outlook `NextExpectedRanges: ["5"]`.
pub(super) fn next(session: &Value) -> Option<u64> {
    let ranges = session.as_object()?.iter().find(|(name, _)| name.eq_ignore_ascii_case("nextExpectedRanges"))?.1.as_array()?;
    let first = |range: &Value| range.as_str()?.split('-').next()?.trim().parse().ok();
    ranges.iter().filter_map(first).min()
}

/// The code of an error body, the innermost; nothing else of it may be shown.
pub(super) fn error_code(body: &[u8]) -> Option<String> {
    let json: Value = serde_json::from_slice(body).unwrap_or_default();
    code_in(&json["error"])
}

/// The code of an error object, the innermost.
pub(super) fn code_in(error: &Value) -> Option<String> {
    let (mut at, mut code) = (error, None);
    for _ in 0..8 {
        code = at["code"].as_str().or(code);
        at = if at["innerError"].is_object() { &at["innerError"] } else { &at["innererror"] };
    }
    let harmless = |code: &str| code.chars().filter(|letter| letter.is_ascii_alphanumeric() || "._-".contains(*letter)).take(64).collect();
    code.map(harmless).filter(|code: &String| !code.is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn both_services_are_understood() {
        let of = |status, body: Value| said(status, body.to_string().as_bytes());
        assert_eq!(of(202, json!({"nextExpectedRanges": ["12345-55232", "77829-99375"]})), Said::Next(12345));
        assert_eq!(of(200, json!({"NextExpectedRanges": ["2097152"]})), Said::Next(2_097_152));
        assert_eq!(of(202, json!({"nextExpectedRanges": ["26-"]})), Said::Next(26));
        assert_eq!(of(200, json!({"id": "1", "size": 5})), Said::Done);
        assert_eq!(said(201, b""), Said::Done);
        assert_eq!(of(200, json!({"nextExpectedRanges": []})), Said::Trouble, "neither missing nor made");
        assert_eq!((said(404, b""), said(410, b""), said(416, b"")), (Said::Gone, Said::Gone, Said::Held));
        assert_eq!((said(429, b""), said(503, b"<html>")), (Said::Trouble, Said::Trouble));
        assert_eq!((said(302, b""), said(307, b"")), (Said::Trouble, Said::Trouble), "not of the session");
        let taken = json!({"error": {"code": "invalidRequest", "message": "secret", "innererror": {"code": "nameAlreadyExists"}}});
        assert_eq!(of(409, taken), Said::Refused(Some("nameAlreadyExists".into())));
        assert_eq!(said(507, b""), Said::Refused(None));
    }

    proptest! {
        #[test]
        fn no_answer_makes_it_panic(status: u16, body: Vec<u8>, range: String) {
            let _ = said(status, &body);
            let _ = next(&json!({"nextExpectedRanges": [range, 5, null]}));
        }
    }
}
