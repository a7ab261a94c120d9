//! Tests of peeking: the scanner agrees with a full parser, and never panics.

use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-z\"\\\\{}\\[\\],: é]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec(("[a-z\"\\\\]{0,6}", inner), 0..4).prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Messages whose members stand in any order.
fn message() -> impl Strategy<Value = Value> {
    let id = prop_oneof![any::<i32>().prop_map(Value::from), "[a-z\"\\\\]{0,8}".prop_map(Value::from)];
    let members = (
        proptest::option::of(id),
        proptest::option::of("[a-z/]{1,12}"),
        proptest::option::of(json()),
        proptest::option::of(json()),
        json(),
    );
    members
        .prop_map(|(id, method, result, params, extra)| {
            let all = [
                ("jsonrpc", Some(Value::from("2.0"))),
                ("id", id),
                ("method", method.map(Value::from)),
                ("result", result),
                ("params", params),
                ("extra", Some(extra)),
            ];
            all.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect::<Vec<_>>()
        })
        .prop_shuffle()
        .prop_map(|members| Value::Object(members.into_iter().collect()))
}

proptest! {
    #[test]
    fn the_scanner_agrees_with_a_parser(message in message(), pretty in any::<bool>()) {
        let line = if pretty { serde_json::to_string_pretty(&message).unwrap() } else { message.to_string() };
        let head = head(line.as_bytes());
        let id = head.id.map(|span| serde_json::from_str::<Value>(&line[span]).unwrap());
        let method = head.method.map(|span| serde_json::from_str::<Value>(&line[span]).unwrap());
        // It may stop before a method that follows an id and a result; such a line is an answer either way.
        let both = message.get("id").is_some() && message.get("result").is_some() && message.get("method").is_some();
        if !both {
            prop_assert_eq!(id.as_ref(), message.get("id"));
            prop_assert_eq!(method.as_ref(), message.get("method"));
        }
    }

    #[test]
    fn no_bytes_make_it_panic(line in proptest::collection::vec(prop_oneof![4 => proptest::sample::select(b"{}[]\",:\\ id19".to_vec()), 1 => any::<u8>()], 0..60)) {
        let _ = head(&line);
        let _ = client_line(&line);
        let _ = id_of_oversize(&line, &line);
    }

    #[test]
    fn a_client_line_is_what_it_says(message in message()) {
        let line = message.to_string();
        let (id, method) = (message.get("id"), message.get("method"));
        match client_line(line.as_bytes()) {
            Ok(FromClient::Request { raw_id, method: got, .. }) => {
                prop_assert_eq!(Some(&serde_json::from_str::<Value>(raw_id).unwrap()), id);
                prop_assert_eq!(Some(&*got), method.and_then(Value::as_str));
            }
            Ok(FromClient::Notification { method: got, .. }) => {
                prop_assert_eq!((None, Some(&*got)), (id, method.and_then(Value::as_str)));
            }
            Ok(FromClient::Response { span, .. }) => {
                prop_assert_eq!(Some(&serde_json::from_str::<Value>(&line[span]).unwrap()), id);
                prop_assert_eq!(None, method);
            }
            Err(error) => prop_assert_eq!((error, id, method), (Unreadable::Shape(None), None, None)),
        }
    }
}

#[test]
fn broken_lines_are_told_apart() {
    assert_eq!(client_line(b"{nope").unwrap_err(), Unreadable::Json);
    assert_eq!(client_line(b"{\"id\":1,\"method\":\"\xff\"}").unwrap_err(), Unreadable::Json);
    assert_eq!(client_line(br#"[{"id":1,"method":"ping"}]"#).unwrap_err(), Unreadable::Shape(None));
    assert_eq!(client_line(br#"{"id":null,"method":"ping"}"#).unwrap_err(), Unreadable::Shape(None));
    assert_eq!(client_line(br#"{"id":7,"method":5}"#).unwrap_err(), Unreadable::Shape(Some("7".into())));
}

#[test]
fn one_id_has_many_spellings() {
    assert_eq!(Id::from_raw(r#""a""#), Id::from_raw(r#""\u0061""#));
    assert_ne!(Id::from_raw("1"), Id::from_raw(r#""1""#));
}

#[test]
fn an_answer_is_known_before_its_body() {
    let line = br#"{"jsonrpc":"2.0","id":"a,b","result":{"broken"#;
    assert_eq!(head(line).id, Some(22..27));
}

#[test]
fn the_id_of_a_huge_line_stands_at_either_end() {
    let find = |head: &str, tail: &str| id_of_oversize(head.as_bytes(), tail.as_bytes());
    assert_eq!(find(r#"{"id":5,"method":"m","params":{"x":"xx"#, "xx\"}}"), Some("5".into()));
    assert_eq!(find(r#"{"method":"m","params":{"x":"xx"#, r#"xx"},"jsonrpc":"2.0","id": "q" }"#), Some("\"q\"".into()));
    assert_eq!(find(r#"{"method":"m","params":{"x":"xx"#, r#"xx","id":9}}"#), None, "the id of something inside");
    assert_eq!(find("xxxx", "xxxx"), None);
}

#[test]
fn the_era_and_the_tool_are_seen() {
    let params = |text: &str| RawValue::from_string(text.to_owned()).unwrap();
    let modern = params(r#"{"name":"email_get","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"},"arguments":{"_meta":1}}"#);
    assert_eq!(tool_call(Some(&modern)), (Some("email_get".into()), true));
    assert_eq!(tool_call(Some(&params(r#"{"name":"a\u0062"}"#))), (Some("ab".into()), false));
    assert_eq!(tool_call(None), (None, false));
}
