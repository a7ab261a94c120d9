//! The fast answer to a cached `tools/call`: the stored body, already escaped, between two short pieces of JSON.
//!
//! Only for a session that rmcp has accepted (2025-11-25 and older), or for a request whose own `_meta` is complete and valid (2026-07-28).
//! Anything odd goes to rmcp, which then decides. A test holds both ways to the same JSON in both eras.
//!
//! Not one byte of the body is parsed or escaped here; it is copied once, into the frame.

use std::borrow::Cow;

use bytes::{BufMut, Bytes, BytesMut};
use rmcp::model::{ClientCapabilities, Implementation};
use serde::Deserialize;
use serde_json::{Map, Value, value::RawValue};

use super::{SERVER_INFO, handler::MODERN};
use crate::core::Answer;

/// How a result has to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Era {
    /// Sessions opened by `initialize`.
    Legacy,
    /// Requests that carry their own version and capabilities.
    Modern,
}

/// A `tools/call` in which nothing is odd.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    /// The request's id as the client wrote it.
    pub(crate) id: &'a str,
    /// The tool.
    pub(crate) name: String,
    /// Its arguments.
    pub(crate) arguments: Map<String, Value>,
    /// How the result has to look.
    pub(crate) era: Era,
    /// What the client calls itself, when the call says so.
    pub(crate) client: Option<String>,
    /// Its version, likewise.
    pub(crate) version: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope<'a> {
    #[serde(borrow)]
    jsonrpc: Cow<'a, str>,
    #[serde(borrow)]
    id: &'a RawValue,
    #[serde(borrow)]
    method: Cow<'a, str>,
    #[serde(borrow)]
    params: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Params {
    name: String,
    #[serde(default)]
    arguments: Map<String, Value>,
    #[serde(default, rename = "_meta")]
    meta: Map<String, Value>,
}

/// Key of the protocol version in a request's `_meta` (MCP 2026-07-28, *Lifecycle*).
const VERSION: &str = "io.modelcontextprotocol/protocolVersion";
/// Key of the client's capabilities.
const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
/// Key of the client's name, which may be missing.
const CLIENT: &str = "io.modelcontextprotocol/clientInfo";

/// Reads `line` when it is a plain `tools/call`. `accepted` says that rmcp has accepted the session's `initialize`.
pub(crate) fn read(line: &[u8], accepted: bool) -> Option<Call<'_>> {
    // Cheap and nearly always right: other methods are not parsed twice.
    let head = &line[..line.len().min(160)];
    if !head.windows(10).any(|window| window == b"tools/call") && line.len() <= 160 {
        return None;
    }
    let envelope: Envelope<'_> = serde_json::from_slice(line).ok()?;
    if envelope.jsonrpc != "2.0" || envelope.method != "tools/call" {
        return None;
    }
    let id = envelope.id.get();
    let integer = id.parse::<i64>().is_ok();
    if !integer && !id.starts_with('"') {
        return None;
    }
    let params: Params = serde_json::from_str(envelope.params.get()).ok()?;
    let era = era(&params.meta, accepted)?;
    let said = |what: &str| params.meta.get(CLIENT).and_then(|client| client.get(what)).and_then(Value::as_str).map(str::to_owned);
    let (client, version) = (said("name"), said("version"));
    Some(Call { id, name: params.name, arguments: params.arguments, era, client, version })
}

fn era(meta: &Map<String, Value>, accepted: bool) -> Option<Era> {
    match meta.get(VERSION) {
        None if meta.contains_key(CAPABILITIES) => None,
        None => accepted.then_some(Era::Legacy),
        // What rmcp would not read is rmcp's to refuse.
        Some(version) => {
            let capable = meta.get(CAPABILITIES).is_some_and(|given| ClientCapabilities::deserialize(given).is_ok());
            let named = meta.get(CLIENT).is_none_or(|given| Implementation::deserialize(given).is_ok());
            (version == MODERN && capable && named).then_some(Era::Modern)
        }
    }
}

/// The whole line of the result, newline included.
pub(crate) fn result(call: &Call<'_>, answer: &Answer) -> Bytes {
    let bytes: usize = answer.pieces.iter().map(|piece| piece.0.len()).sum();
    let mut line = BytesMut::with_capacity(call.id.len() + bytes + 256);
    line.put_slice(br#"{"jsonrpc":"2.0","id":"#);
    line.put_slice(call.id.as_bytes());
    line.put_slice(match call.era {
        Era::Legacy => br#","result":{"content":[{"type":"text","text":""#.as_slice(),
        Era::Modern => br#","result":{"resultType":"complete","content":[{"type":"text","text":""#.as_slice(),
    });
    for piece in &answer.pieces {
        line.put_slice(&piece.0);
    }
    line.put_slice(br#""}],"isError":false"#);
    if call.era == Era::Modern {
        line.put_slice(br#","_meta":{"io.modelcontextprotocol/serverInfo":"#);
        line.put_slice(SERVER_INFO.as_bytes());
        line.put_slice(b"}");
    }
    line.put_slice(b"}}\n");
    line.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn legacy(line: &str) -> Option<Call<'_>> {
        read(line.as_bytes(), true)
    }

    #[test]
    fn a_plain_call_is_read_and_an_odd_one_is_left_to_rmcp() {
        let call =
            legacy(r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"email_list","arguments":{"limit":5}}}"#).unwrap();
        assert_eq!((call.id, call.name.as_str(), call.era), ("7", "email_list", Era::Legacy));
        assert_eq!(call.arguments["limit"], 5);
        for odd in [
            r#"{"jsonrpc":"2.0","id":7.5,"method":"tools/call","params":{"name":"x"}}"#,
            r#"{"jsonrpc":"2.0","id":null,"method":"tools/call","params":{"name":"x"}}"#,
            r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"x","task":{}}}"#,
            r#"{"jsonrpc":"1.0","id":7,"method":"tools/call","params":{"name":"x"}}"#,
            r#"{"jsonrpc":"2.0","id":7,"method":"tools/list","params":{"name":"tools/call"}}"#,
            r#"{"jsonrpc":"2.0","id":7,"id":8,"method":"tools/call","params":{"name":"x"}}"#,
        ] {
            assert!(legacy(odd).is_none(), "{odd}");
        }
    }

    #[test]
    fn an_era_is_known_before_anything_is_spliced() {
        let plain = br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x"}}"#;
        assert!(read(plain, false).is_none(), "nobody has initialized");
        let modern = |version: &str, capabilities: &str| {
            format!(
                r#"{{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{{"name":"x","_meta":{{"{VERSION}":"{version}","{CAPABILITIES}":{capabilities}}}}}}}"#
            )
        };
        assert_eq!(read(modern("2026-07-28", "{}").as_bytes(), false).unwrap().era, Era::Modern);
        assert!(read(modern("2025-11-25", "{}").as_bytes(), true).is_none());
        assert!(read(modern("2099-01-01", "{}").as_bytes(), true).is_none());
        assert!(read(modern("2026-07-28", "[]").as_bytes(), true).is_none());
    }

    proptest! {
        #[test]
        fn no_line_makes_it_panic(line in proptest::collection::vec(any::<u8>(), 0..200), accepted: bool) {
            let _ = read(&line, accepted);
        }
    }
}
