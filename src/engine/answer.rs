//! An answer: what was stored, behind the few members that say how it came about.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::untrusted::Fence;
use crate::{
    cache::{Body, Escaped},
    clock::Timestamp,
};

/// How an answer came about. The words are HTTP caching's (RFC 9111, RFC 5861).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CacheStatus {
    /// From the cache, within its fresh time.
    Fresh,
    /// From the cache, past its fresh time; a refresh was started.
    Stale,
    /// From the cache because Microsoft could not be asked.
    StaleIfError,
    /// Asked from Microsoft just now.
    Miss,
    /// Asked from Microsoft just now and not kept: caching is off for this call, it is larger than an entry may
    /// be, the disk is nearly full, or the store cannot be used.
    Bypass,
}

impl CacheStatus {
    /// The word in `_cache_status`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Stale => "stale",
            Self::StaleIfError => "stale_if_error",
            Self::Miss => "miss",
            Self::Bypass => "bypass",
        }
    }
}

/// What a call came to: JSON text, in two pieces so that a stored body is never copied or parsed to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// How it came about; `None` for answers that are not cached reads.
    pub status: Option<CacheStatus>,
    /// Opening brace and the members in front, as plain JSON text: `{"_cache_status":"fresh","_cached_at":"…",`.
    prefix: String,
    /// The rest, escaped.
    body: Escaped,
    /// Around what others wrote, where it shows any.
    fence: Option<Fence>,
}

impl Answer {
    /// A stored or just fetched answer. `problem` says why an old one stands in for a new one.
    pub(super) fn cached(status: CacheStatus, true_at: Timestamp, body: Escaped, problem: Option<&str>) -> Self {
        let mut prefix = format!("{{\"_cache_status\":\"{}\",\"_cached_at\":\"{}\"", status.as_str(), true_at.rfc3339());
        if let Some(problem) = problem {
            let _ = write!(prefix, ",\"_warning\":{}", Value::from(problem));
        }
        // A body without members is the closing brace alone.
        if body.0.as_ref() != b"}" {
            prefix.push(',');
        }
        Self { status: Some(status), prefix, body, fence: None }
    }

    /// The answer of a write or of the daemon itself.
    pub(super) fn plain(answer: &Value) -> Self {
        Self { status: None, prefix: "{".into(), body: Escaped::from_text(&rest_of(&answer.to_string())), fence: None }
    }

    /// The same answer as the original shaped it.
    pub(super) fn as_original(&self, tool: &str) -> Self {
        let Ok(answer) = serde_json::from_str(&self.text()) else { return self.clone() };
        let text = crate::tools::original(tool, answer).to_string();
        // An object or a list: its first byte is a bracket.
        let (bracket, rest) = text.split_at(1);
        Self { status: self.status, prefix: bracket.to_owned(), body: Escaped::from_text(rest), fence: None }
    }

    /// The answer of a write that went past a store that does not do its work.
    pub(super) fn bypassed(answer: &Value) -> Self {
        let body = Escaped::from_text(&rest_of(&answer.to_string()));
        let comma = if body.0.as_ref() == b"}" { "" } else { "," };
        let status = CacheStatus::Bypass;
        Self { status: Some(status), prefix: format!("{{\"_cache_status\":\"{}\"{comma}", status.as_str()), body, fence: None }
    }

    /// The same with a fence around what others wrote, whose end is `word`.
    pub(super) fn fenced(mut self, word: impl FnOnce() -> String) -> Self {
        self.fence = Fence::around(&self.body, word);
        self
    }

    /// The whole answer as JSON text.
    pub fn text(&self) -> String {
        self.pieces().iter().map(Escaped::to_text).collect()
    }

    /// The answer in pieces that follow one another, escaped for the inside of a JSON string. Those of a stored body are shared with the cache,
    /// not copied.
    pub fn pieces(&self) -> Vec<Escaped> {
        match &self.fence {
            None => vec![Escaped::from_text(&self.prefix), self.body.clone()],
            Some(fence) => {
                let front = Escaped::from_text(&format!("{}{}", self.prefix, fence.opening()));
                [front].into_iter().chain(fence.closed(&self.body)).collect()
            }
        }
    }
}

/// The text of an object without its opening brace.
fn rest_of(text: &str) -> String {
    text.strip_prefix('{').unwrap_or(text).to_owned()
}

/// Turns a fetched answer into what is stored: the text without its opening brace, escaped once, and where the items of its list lie.
///
/// Members are written one by one rather than through one `to_string`, because the places of the items are only known while writing.
pub(super) fn encode(answer: &Map<String, Value>, list: Option<&str>) -> Body {
    let mut text: Vec<u8> = Vec::new();
    let mut items = Vec::new();
    let offset = |text: &[u8]| u32::try_from(text.len()).unwrap_or(u32::MAX);
    for (at, (name, value)) in answer.iter().enumerate() {
        let comma = if at == 0 { "" } else { "," };
        let member = format!("{comma}{}:", Value::from(name.as_str()));
        text.extend_from_slice(&Escaped::from_text(&member).0);
        match value {
            Value::Array(elements) if list == Some(name.as_str()) => {
                text.push(b'[');
                for (nth, element) in elements.iter().enumerate() {
                    if nth > 0 {
                        text.push(b',');
                    }
                    let from = offset(&text);
                    text.extend_from_slice(&Escaped::from_text(&element.to_string()).0);
                    items.push((from, offset(&text)));
                }
                text.push(b']');
            }
            other => text.extend_from_slice(&Escaped::from_text(&other.to_string()).0),
        }
    }
    text.push(b'}');
    Body { text: Escaped(text.into()), items }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_answer_is_one_json_object_with_its_provenance_in_front() {
        let fetched = json!({ "messages": [{ "id": "a\"b" }, { "id": "c\\d" }], "complete": true });
        let body = encode(fetched.as_object().unwrap(), Some("messages"));
        let answer = Answer::cached(CacheStatus::Stale, Timestamp(0), body.text.clone(), Some("Graph is \"gone\""));
        let read: Value = serde_json::from_str(&answer.text()).unwrap();
        assert_eq!(read["_cache_status"], "stale");
        assert_eq!(read["_cached_at"], "1970-01-01T00:00:00.000Z");
        assert_eq!(read["messages"], fetched["messages"]);
        assert_eq!(read.as_object().unwrap().keys().next().unwrap(), "_cache_status");
        // Each recorded place holds exactly its item.
        for (nth, (from, to)) in body.items.iter().enumerate() {
            let slice = body.text.0.slice(*from as usize..*to as usize);
            assert_eq!(serde_json::from_str::<Value>(&Escaped(slice).to_text()).unwrap(), fetched["messages"][nth]);
        }
    }

    #[test]
    fn the_originals_shape_is_made_of_the_whole_answer() {
        let fetched = json!({ "messages": [{ "id": "a\"b" }], "complete": true });
        let body = encode(fetched.as_object().unwrap(), Some("messages"));
        let answer = Answer::cached(CacheStatus::Stale, Timestamp(0), body.text, None).as_original("email_list");
        let read: Value = serde_json::from_str(&answer.text()).unwrap();
        assert_eq!(read, json!([{ "id": "a\"b", "_cache_status": "stale", "_cached_at": "1970-01-01T00:00:00.000Z" }]));
        assert_eq!(answer.status, Some(CacheStatus::Stale));
    }

    #[test]
    fn an_answer_without_members_is_still_json() {
        let body = encode(json!({}).as_object().unwrap(), None);
        let text = Answer::cached(CacheStatus::Miss, Timestamp(0), body.text, None).text();
        assert!(serde_json::from_str::<Value>(&text).unwrap().is_object(), "{text}");
        assert_eq!(Answer::plain(&json!({})).text(), "{}");
        assert_eq!(Answer::bypassed(&json!({})).text(), "{\"_cache_status\":\"bypass\"}");
        assert_eq!(Answer::bypassed(&json!({ "status": "moved" })).text(), "{\"_cache_status\":\"bypass\",\"status\":\"moved\"}");
    }
}
