//! What is put into a JSON file goes out again without a trace, and nothing else of the file is touched.

use proptest::prelude::*;
use serde_json::json;

use super::*;

const SECTION: &str = "mcpServers";

fn entry() -> Map<String, Value> {
    json!({"command": "/opt/m365-mcp", "args": ["--policy", "a\"b"], "env": {"M365_CACHED_DIR": "/p"}}).as_object().unwrap().clone()
}

fn command() -> Map<String, Value> {
    json!({"command": "/m365-mcp"}).as_object().unwrap().clone()
}

/// Blanks, line ends and remarks.
fn gap() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => Just(""), 4 => Just(" "), 3 => Just("\n"), 3 => Just("\n  "), 1 => Just("\n\t"), 1 => Just("\r\n    "), 1 => Just("\t"),
        1 => Just("/* , { */"), 1 => Just("// \"m365\": {}, \n"), 1 => Just("// }\r\n  "), 1 => Just("/*\n*/"),
    ];
    proptest::collection::vec(piece, 0..3).prop_map(|pieces| pieces.concat())
}

fn scalar() -> impl Strategy<Value = String> {
    prop_oneof![Just("1"), Just("-2.5e3"), Just("true"), Just("null"), Just(r#""a, }""#), Just(r#""// \" \\""#), Just("\"ä€\"")]
        .prop_map(str::to_owned)
}

/// Something between brackets, with or without a comma at its end.
fn between(open: char, close: char, items: impl Strategy<Value = Vec<String>>) -> impl Strategy<Value = String> {
    (items, proptest::collection::vec(gap(), 14), any::<bool>()).prop_map(move |(items, gaps, comma)| {
        let mut text = format!("{open}{}", gaps[0]);
        let last = items.len();
        for (at, item) in items.iter().enumerate() {
            text += item;
            text += &gaps[1 + 2 * at];
            if at + 1 < last || comma {
                text += ",";
                text += &gaps[2 + 2 * at];
            }
        }
        text.push(close);
        text
    })
}

fn members(values: impl Strategy<Value = String>, most: usize) -> impl Strategy<Value = Vec<String>> {
    proptest::collection::vec((values, gap(), gap()), 0..most).prop_map(|members| {
        let named = |(at, (value, before, after)): (usize, (String, String, String))| format!("\"k{at}\"{before}:{after}{value}");
        members.into_iter().enumerate().map(named).collect()
    })
}

fn value() -> impl Strategy<Value = String> {
    scalar().prop_recursive(3, 12, 4, |inner| {
        prop_oneof![between('[', ']', proptest::collection::vec(inner.clone(), 0..4)), between('{', '}', members(inner, 4))]
    })
}

/// A document; in half of them the section is there.
fn document() -> impl Strategy<Value = String> {
    let servers = (between('{', '}', members(value(), 4)), gap(), gap());
    let root = (members(value(), 4), proptest::option::of(servers), 0_usize..4);
    let root = root.prop_map(|(mut members, servers, at)| {
        if let Some((servers, before, after)) = servers {
            members.insert(at.min(members.len()), format!("\"{SECTION}\"{before}:{after}{servers}"));
        }
        members
    });
    (gap(), between('{', '}', root), gap()).prop_map(|(before, root, after)| format!("{before}{root}{after}"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn out_is_the_inverse_of_in(text in document()) {
        let with = put(&text, SECTION, "m365", &entry()).unwrap();
        prop_assert_eq!(get(&with, SECTION, "m365").unwrap(), Some(Value::Object(entry())));
        let without = remove(&with, SECTION, "m365").unwrap().unwrap();
        prop_assert_eq!(&without, &text, "{:?}", with);
    }

    #[test]
    fn nothing_else_changes_its_meaning(text in document()) {
        let whole = |text: &str| json(&Node::Object(root(text).unwrap().unwrap()));
        let (before, mut after) = (whole(&text), whole(&put(&text, SECTION, "m365", &entry()).unwrap()));
        after[SECTION].as_object_mut().unwrap().remove("m365");
        if before.get(SECTION).is_none() {
            after.as_object_mut().unwrap().remove(SECTION);
        }
        prop_assert_eq!(before, after);
    }

    #[test]
    fn any_member_is_taken_out_alone(text in document(), at in 0_usize..4) {
        let whole = |text: &str| json(&Node::Object(root(text).unwrap().unwrap()));
        let mut expected = whole(&text);
        let name = format!("k{at}");
        let Some(without) = remove(&text, SECTION, &name).unwrap() else { return Ok(()) };
        expected[SECTION].as_object_mut().unwrap().remove(&name);
        let mut found = whole(&without);
        if expected[SECTION] == json!({}) && found.get(SECTION).is_none() {
            found[SECTION] = json!({});
        }
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn any_text_is_changed_rightly_or_not_at_all(text in "[{}\\[\\]\":, \n/*a1]{0,24}") {
        if let Ok(with) = put(&text, SECTION, "m365", &command()) {
            prop_assert_eq!(get(&with, SECTION, "m365").unwrap(), Some(Value::Object(command())));
        }
        let _ = remove(&text, SECTION, "a");
    }
}

fn put_in(text: &str) -> String {
    let with = put(text, SECTION, "m365", &command()).unwrap();
    let again = if text.trim().is_empty() { "{}\n" } else { text };
    assert_eq!(remove(&with, SECTION, "m365").unwrap().unwrap(), again, "{with}");
    with
}

#[test]
fn files_keep_their_form() {
    let two = "{\n  \"mcpServers\": {\n    \"m365\": {\n      \"command\": \"/m365-mcp\"\n    }\n  }\n}";
    assert_eq!(put_in(""), format!("{two}\n"));
    assert_eq!(put_in("{}"), two);
    assert_eq!(put_in("{}\n"), format!("{two}\n"));
    assert_eq!(put_in("{\n    \"theme\": 1\n}"), two.replace("  ", "    ").replace("{\n    \"mcp", "{\n    \"theme\": 1,\n    \"mcp"));
    assert_eq!(put_in("{\r\n\t\"a\": 1\r\n}\r\n").matches("\r\n\t\t\"m365\": {\r\n\t\t\t").count(), 1);
    assert_eq!(put_in("{\"mcpServers\": {}}"), "{\"mcpServers\": { \"m365\": {\"command\": \"/m365-mcp\"} }}");
    assert_eq!(put_in("{\"a\": 1}"), "{\"a\": 1, \"mcpServers\": {\"m365\": {\"command\": \"/m365-mcp\"}}}");
    let commented = "// mine\n{\n  \"mcpServers\": {\n    // first\n    \"a\": {}, // the a\n    \"b\": {} // the b\n    // last\n  }\n}\n";
    let expected = commented.replace("{} // the b\n", "{}, // the b\n    \"m365\": {\n      \"command\": \"/m365-mcp\"\n    }\n");
    assert_eq!(put_in(commented), expected);
    let closed = "{\n  \"mcpServers\": {\n    \"a\": {}, // the a\n  },\n}\n";
    assert_eq!(put_in(closed), closed.replace("// the a\n", "// the a\n    \"m365\": {\n      \"command\": \"/m365-mcp\"\n    },\n"));
}

#[test]
fn what_others_wrote_around_it_stays() {
    let text = "{\"mcpServers\": {\"m365\": {\"command\": \"x\"}, \"b\": {}}}";
    assert_eq!(remove(text, SECTION, "m365").unwrap().unwrap(), "{\"mcpServers\": {\"b\": {}}}");
    let text = "{\n  \"mcpServers\": {\n    \"m365\": {\"command\": \"x\"},\n    \"b\": {}\n  }\n}";
    assert_eq!(remove(text, SECTION, "m365").unwrap().unwrap(), "{\n  \"mcpServers\": {\n    \"b\": {}\n  }\n}");
    let text = "{\n  \"a\": 1, // one\n  \"mcpServers\": {\"m365\": {\"command\": \"x\"}}}";
    assert_eq!(remove(text, SECTION, "m365").unwrap().unwrap(), "{\n  \"a\": 1, // one\n  \"mcpServers\": {}}");
    let text = "{\"mcpServers\":{\"a\":1,// one\n\"m365\":{}/*\n*/,}}";
    assert_eq!(remove(text, SECTION, "m365").unwrap().unwrap(), "{\"mcpServers\":{\"a\":1,// one\n/*\n*/}}");
    // The remark between it and its comma must not take the next one along.
    let text = "{\"mcpServers\":{\"m365\":1// mine\n,\"b\":1,\n}}";
    assert_eq!(remove(text, SECTION, "m365").unwrap().unwrap(), "{\"mcpServers\":{// mine\n\"b\":1,\n}}");
    assert_eq!(remove("{}", SECTION, "m365"), Ok(None));
    assert_eq!(remove("", SECTION, "m365"), Ok(None));
}

#[test]
fn what_cannot_be_read_is_left_and_its_place_told() {
    for (text, place) in [
        ("{\"a\": }", "line 1, column 7"),
        ("{\n  \"a\": 1\n  \"b\": 2\n}", "line 2, column 9: expected comma"),
        ("{\"mcpServers\": []}", "line 1, column 16: `mcpServers` should be an object"),
        ("{\"mcpServers\": {},\n \"mcpServers\": {}}", "line 2, column 2: `mcpServers` is there twice"),
        ("{\"mcpServers\": {\"m365\": 1, \"m365\": 2}}", "line 1, column 28: `m365` is there twice"),
        ("[1]", "line 1, column 1: it should hold an object"),
        ("{'a': 1}", "line 1, column 2"),
    ] {
        let trouble = put(text, SECTION, "m365", &command()).unwrap_err().to_string();
        assert!(trouble.starts_with(place), "{text}: {trouble}");
        assert!(remove(text, SECTION, "m365").is_err(), "{text}");
    }
}

#[test]
fn one_member_can_be_set() {
    let text = "{\n  \"mcpServers\": {\n    \"m365\": {\n      // ours\n      \"command\": \"x\" // here\n    }\n  }\n}";
    let setting = |key, value| set(text, SECTION, "m365", &[], key, &value).unwrap();
    assert_eq!(setting("command", json!("y")), text.replace("\"x\"", "\"y\""));
    let env = setting("env", json!({"A": "b"}));
    assert_eq!(env, text.replace("\"x\" // here", "\"x\", // here\n      \"env\": {\n        \"A\": \"b\"\n      }"));
    assert_eq!(set(&env, SECTION, "m365", &["env"], "A", &json!("c")).unwrap(), env.replace("\"b\"", "\"c\""));
    assert!(set(text, SECTION, "m365", &["none"], "A", &json!(1)).is_err());
}

/// Claude Code has written such a file: a text that was cut within a pair.
#[test]
fn half_a_pair_in_somebody_elses_text_is_in_nobodys_way() {
    let entry = Map::from_iter([("command".to_owned(), Value::from("/opt/m365-mcp"))]);
    for half in [r"\ud83d", r"\uDE00 \uD83D", r"\ud83d\ud83d\ude00", r"\\\ud83d\n", r"\ud83d\u0041"] {
        let text = format!("{{\n  \"history\": \"ok {half}\",\n  \"mcpServers\": {{}}\n}}\n");
        let put = put(&text, "mcpServers", "m365", &entry).unwrap_or_else(|trouble| panic!("{half}: {trouble}"));
        assert!(put.contains(half) && put.contains("/opt/m365-mcp"), "{put}");
        assert_eq!(get(&put, "mcpServers", "m365").unwrap(), Some(Value::Object(entry.clone())));
        assert_eq!(remove(&put, "mcpServers", "m365").unwrap().as_deref(), Some(text.as_str()));
    }
    assert_eq!(legible(r#""\ud83d\ude00 \\ud83d""#), r#""\ud83d\ude00 \\ud83d""#, "a pair, and a backslash before letters");
    assert!(put(r#"{"a": "\ud83"}"#, "mcpServers", "m365", &entry).is_err());
}
