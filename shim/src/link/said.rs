//! The JSON-RPC lines the shim writes by itself, and the few it rewrites.

use std::ops::Range;

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

/// JSON-RPC: the line is no JSON.
pub const PARSE_ERROR: i32 = -32700;
/// JSON-RPC: the line is no message, or is too long to be one.
pub const INVALID_REQUEST: i32 = -32600;
/// Ours (outside the ranges of JSON-RPC and MCP): no daemon could be reached, nothing was done.
pub const UNREACHABLE: i32 = -31000;
/// Ours: the daemon or the client went away while the request was running, and it was not sent again.
pub const LOST: i32 = -31001;

/// What a model reads when a write was running as the daemon went away.
pub const UNKNOWN_OUTCOME: &str = "the daemon restarted while this was running; whether it took effect is unknown; check before retrying";
/// What is written for a read, or anything else that changes nothing, when its client has closed its side before the answer came.
pub const CUT_OFF: &str = "the client closed its side before this was answered";
/// The same for a write.
pub const CUT_OFF_UNKNOWN: &str =
    "the client closed its side while this was running; whether it took effect is unknown; check before retrying";

#[derive(Serialize)]
struct ErrorLine<'a> {
    jsonrpc: &'static str,
    id: &'a RawValue,
    error: ErrorBody<'a>,
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    code: i32,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Data<'a>>,
}

#[derive(Serialize)]
struct Data<'a> {
    hint: &'a str,
}

/// An error answer. `raw_id` as the client wrote it, `None` for null.
#[must_use]
pub fn error(raw_id: Option<&str>, code: i32, message: &str, hint: Option<&str>) -> Bytes {
    let id = raw_id.and_then(|raw| serde_json::from_str(raw).ok()).unwrap_or(RawValue::NULL);
    line(&ErrorLine { jsonrpc: "2.0", id, error: ErrorBody { code, message, data: hint.map(|hint| Data { hint }) } })
}

/// The answer to a tool call that got none, in `words` that need no escaping. `modern` clients want a `resultType`.
#[must_use]
pub fn unanswered(raw_id: &str, words: &str, modern: bool) -> Bytes {
    let kind = if modern { r#","resultType":"complete""# } else { "" };
    let text =
        format!(r#"{{"jsonrpc":"2.0","id":{raw_id},"result":{{"content":[{{"type":"text","text":"{words}"}}],"isError":true{kind}}}}}"#);
    Bytes::from(text + "\n")
}

/// Tells a legacy client to ask for the tools again.
#[must_use]
pub fn tools_changed() -> Bytes {
    Bytes::from_static(b"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}\n")
}

/// Withdraws a request of the daemon that nobody waits for any more.
#[must_use]
pub fn withdraw(raw_id: &str) -> Bytes {
    Bytes::from(format!(
        "{{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{{\"requestId\":{raw_id},\"reason\":\"the daemon restarted\"}}}}\n"
    ))
}

/// The id a client sees for the daemon's request `raw_id` of connection `epoch`: the daemon numbers from 0 on every connection.
#[must_use]
pub fn outward_id(epoch: u64, raw_id: &str) -> String {
    serde_json::Value::from(format!("{epoch}:{raw_id}")).to_string()
}

/// The daemon's own id in an id a client answered with; `None` when it belongs to another connection.
#[must_use]
pub fn inward_id(epoch: u64, text: &str) -> Option<&str> {
    let (of, raw) = text.split_once(':')?;
    (of.parse() == Ok(epoch)).then_some(raw)
}

/// `line` with the bytes at `span` replaced.
#[must_use]
pub fn replaced(line: &[u8], span: Range<usize>, with: &str) -> Bytes {
    let mut out = Vec::with_capacity(line.len() + with.len());
    out.extend_from_slice(&line[..span.start]);
    out.extend_from_slice(with.as_bytes());
    out.extend_from_slice(&line[span.end..]);
    out.into()
}

fn line(value: &impl Serialize) -> Bytes {
    // Serialising plain structs of strings into memory cannot fail.
    let mut bytes = serde_json::to_vec(value).unwrap_or_default();
    bytes.push(b'\n');
    bytes.into()
}
