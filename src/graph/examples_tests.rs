//! Microsoft's own examples are read without losing anything: lists, single things with properties that nobody here knows, refusals.

use bytes::Bytes;
use serde_json::Value;

use super::Page;
use crate::graph::{GraphError, GraphReply};

/// The examples of Microsoft's documentation, one JSON object a line; where they are from is told beside them.
const EXAMPLES: &str = include_str!("../../tests/checks/data/graph-examples.jsonl");

/// Method, address, status and body of each example that shows a JSON answer.
fn answers() -> Vec<(String, u16, Value)> {
    let example = |line: &str| -> Value { serde_json::from_str(line).unwrap() };
    let shown = EXAMPLES.lines().map(example).filter(|example| example["response"]["bodyKind"] == "json");
    shown
        .map(|example| {
            let status = example["response"]["status"].as_u64().and_then(|status| u16::try_from(status).ok()).unwrap_or(200);
            (format!("{} ({})", example["id"], example["request"]["url"]), status, example["response"]["body"].clone())
        })
        .collect()
}

fn reply(status: u16, body: &Value) -> GraphReply {
    let body = Bytes::from(body.to_string());
    GraphReply { status, etag: None, location: None, content_type: None, request_id: None, body }
}

#[test]
fn what_microsoft_shows_is_read_and_kept() {
    let (mut lists, mut things) = (0, 0);
    for (name, status, body) in answers().iter().filter(|(_, status, _)| *status < 400) {
        let reply = reply(*status, body);
        // Nothing is lost or changed on the way, whether anybody here knows the property or not.
        assert_eq!(reply.json().unwrap_or_else(|error| panic!("{name}: {error}")).to_string(), body.to_string(), "{name}");
        let Some(rows) = body["value"].as_array() else {
            things += 1;
            continue;
        };
        lists += 1;
        let page = Page::of(&reply).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(page.value, *rows, "{name}");
        assert_eq!(
            (page.next.as_deref(), page.delta.as_deref()),
            (body["@odata.nextLink"].as_str(), body["@odata.deltaLink"].as_str()),
            "{name}"
        );
    }
    assert!(lists >= 90 && things >= 150, "{lists} lists, {things} things");
}

#[test]
fn what_microsoft_refuses_is_named() {
    let mut refused = 0;
    for (name, status, body) in answers().iter().filter(|(_, status, _)| *status >= 400) {
        let error = GraphError::refused(*status, body.to_string().as_bytes(), None, None, None);
        assert_eq!(error.status(), Some(*status), "{name}");
        assert!(error.graph_code().is_some(), "{name}: {error}");
        refused += 1;
    }
    assert!(refused >= 3, "{refused}");
}
