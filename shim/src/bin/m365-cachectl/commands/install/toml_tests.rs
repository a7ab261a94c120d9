//! What is put into a TOML file goes out again without a trace, and nothing else of the file is touched.

use proptest::prelude::*;
use serde_json::json;

use super::*;

const SECTION: &str = "mcp_servers";

fn entry() -> Map<String, Value> {
    json!({"command": "C:\\m365-mcp.exe", "args": ["--policy", "a\"b"], "env": {"M365_CACHED_DIR": "/p"}}).as_object().unwrap().clone()
}

fn line() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        Just(""),
        Just("# a remark"),
        Just("  # [mcp_servers.m365]"),
        Just("number = 1 # one"),
        Just("text = \"[mcp_servers.m365]\""),
        Just("long = \"\"\"\n[mcp_servers.m365]\n\"\"\""),
        Just("list = [\n  1, # one\n]"),
        Just("table = { a = 1 }"),
        Just("dotted.a = 1"),
    ]
}

/// Whole files: lines, then tables with lines, with any end.
fn document() -> impl Strategy<Value = String> {
    let lines = || proptest::collection::btree_set(line(), 0..5).prop_map(|lines| lines.into_iter().collect::<Vec<_>>());
    let header =
        prop_oneof![Just("[a]"), Just("[mcp_servers]"), Just("[mcp_servers.other]"), Just("[mcp_servers.other.env]"), Just(" [ 'b' . c ]")];
    let tables = proptest::collection::btree_set(header, 0..4).prop_flat_map(move |headers| {
        let bodies = proptest::collection::vec(lines(), headers.len());
        bodies.prop_map(move |bodies| {
            headers.iter().copied().zip(bodies).flat_map(|(header, body)| [vec![header], body].concat()).collect::<Vec<_>>()
        })
    });
    let newline = prop_oneof![3 => Just("\n"), 1 => Just("\r\n")];
    let lines = proptest::collection::btree_set(line(), 0..5).prop_map(|lines| lines.into_iter().collect::<Vec<_>>());
    (lines, tables, newline, 0_usize..3).prop_map(|(lines, tables, newline, ends)| {
        let text = [lines, tables].concat().join("\n").replace('\n', newline);
        if text.is_empty() { text } else { text + &newline.repeat(ends) }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn out_is_the_inverse_of_in(text in document()) {
        prop_assume!(Document::parse(text.as_str()).is_ok());
        let with = put(&text, SECTION, "m365", &entry()).unwrap();
        prop_assert!(with.starts_with(&text));
        prop_assert_eq!(get(&with, SECTION, "m365").unwrap(), Some(Value::Object(entry())));
        prop_assert_eq!(remove(&with, SECTION, "m365").unwrap().unwrap(), text);
    }

    #[test]
    fn what_comes_behind_it_stays(text in document(), ending in prop_oneof![Just(""), Just("\n")]) {
        prop_assume!(Document::parse(text.as_str()).is_ok());
        let with = put(&text, SECTION, "m365", &entry()).unwrap();
        let more = format!("\n\n# theirs\n[zzz]\na = 1{ending}");
        let without = remove(&format!("{with}{more}"), SECTION, "m365").unwrap().unwrap();
        prop_assert!(without.starts_with(&text) && without.ends_with(&more[1..]), "{}", without);
    }
}

#[test]
fn it_reads_well() {
    let with = put("model = \"x\"\n", SECTION, "m365", &entry()).unwrap();
    insta::assert_snapshot!(with, @r#"
    model = "x"

    [mcp_servers.m365]
    command = 'C:\m365-mcp.exe'
    args = ["--policy", 'a"b']
    env = { M365_CACHED_DIR = "/p" }
    "#);
}

#[test]
fn entries_of_every_form_are_taken_out() {
    for (text, without) in [
        ("[mcp_servers.m365]\ncommand = \"x\"\n\n[mcp_servers.m365.env]\nA = \"b\"\n\n[z]\n", "\n[z]\n"),
        ("mcp_servers.m365.command = \"x\"\na = 1\n", "a = 1\n"),
        ("[mcp_servers]\nm365 = { command = \"x\" }\nb = { command = \"y\" }\n", "[mcp_servers]\nb = { command = \"y\" }\n"),
        ("[mcp_servers]\nm365.command = \"x\"", "[mcp_servers]"),
        ("mcp_servers = { m365 = { command = \"x\" }, b = {} }\n", "mcp_servers = { b = {} }\n"),
    ] {
        let found = remove(text, SECTION, "m365").unwrap().unwrap();
        assert_eq!(get(&found, SECTION, "m365"), Ok(None), "{text}");
        assert_eq!(found.trim(), without.trim(), "{text}");
    }
    assert_eq!(remove("a = 1", SECTION, "m365"), Ok(None));
}

#[test]
fn what_cannot_be_read_or_extended_is_left_and_its_place_told() {
    let trouble = |text: &str| put(text, SECTION, "m365", &entry()).unwrap_err().to_string();
    assert!(trouble("a = 1\nb = \n").starts_with("line 2, column "), "{}", trouble("a = 1\nb = \n"));
    assert!(trouble("mcp_servers = 1").contains("should be a table"));
    assert_eq!(
        trouble("a = 1\nmcp_servers = { b = {} }"),
        "line 2, column 15: `mcp_servers` is written in a way that takes no further table"
    );
}

#[test]
fn one_value_can_be_set() {
    let text = "# top\n[mcp_servers.m365]\ncommand = \"x\" # here\n\n[z]\na = 1";
    let setting = |key, value| set(text, SECTION, "m365", &[], key, &value).unwrap();
    assert_eq!(setting("command", json!("y")), text.replace("\"x\"", "\"y\""));
    assert_eq!(setting("args", json!(["a"])), text.replace("# here\n", "# here\nargs = [\"a\"]\n"));
    assert!(set(text, SECTION, "m365", &["env"], "A", &json!("b")).is_err());
}
