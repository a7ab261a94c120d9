//! The lists of tools as clients get them, and what the dialects of the major hosts and models take of a schema.
//!
//! Sources of the rules: the design notes on schema portability; a host that refuses one tool may refuse the whole list, so every list is held
//! to all of them at once.

use std::collections::BTreeSet;

use m365_cached::ids::ToolProfile;
use m365_cached_proto::TOOL_PROFILES;
use serde_json::{Map, Value};

use super::*;

fn offer(profile: ToolProfile) -> Offer {
    Offer::new(profile, None)
}

/// What may stand in a schema: understood by every dialect, or at least passed over.
const WORDS: [&str; 13] = [
    "type",
    "properties",
    "required",
    "additionalProperties",
    "items",
    "enum",
    "description",
    "default",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
];
/// Objects within objects: strict modes stop at five levels.
const DEPTH: usize = 5;
/// Properties of one tool, all levels together: strict modes stop at a hundred.
const PROPERTIES: usize = 100;

const USUAL: Manner = Manner { strict: false, default_account: false };
const STRICT: Manner = Manner { strict: true, ..USUAL };
const DEFAULTED: Manner = Manner { default_account: true, ..USUAL };

#[test]
fn an_account_may_be_left_out_where_there_is_a_default_and_nobody_is_signed_out_by_guessing() {
    let demands = |manner, name: &str| {
        let tool = made(offer(ToolProfile::Full), manner).into_iter().find(|tool| tool.name == name).unwrap();
        let required = tool.input_schema.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
        required.iter().any(|name| name == tools::ACCOUNT_ID)
    };
    assert!(demands(USUAL, "email_list") && demands(USUAL, "email_send") && demands(USUAL, "account_remove"));
    assert!(!demands(DEFAULTED, "email_list") && !demands(DEFAULTED, "email_send"));
    assert!(demands(DEFAULTED, "account_remove"));
}

#[test]
fn every_row_is_a_tool() {
    let rows: Vec<&str> = tools::all().map(|row| row.name).collect();
    let (usual, strict) = (made(offer(ToolProfile::Full), USUAL), made(offer(ToolProfile::Full), STRICT));
    let listed: Vec<&str> = usual.iter().map(|tool| tool.name.as_ref()).collect();
    assert_eq!(listed, rows);
    let takes = |tool: &&Tool| tool.input_schema["properties"].get("confirm_token").is_some();
    let asking = tools::all().filter(|row| !matches!(row.asks, tools::Asks::Never)).count();
    assert_eq!((strict.len(), strict.iter().filter(takes).count()), (rows.len(), asking));
    assert!(usual.iter().filter(takes).count() < asking);
    for (_, profile) in ToolProfile::NAMES {
        assert_eq!(made(offer(profile), USUAL).len(), offer(profile).tools().count(), "{profile:?}: a row is no tool of MCP");
    }
}

#[test]
fn both_sides_know_the_same_profiles() {
    assert_eq!(ToolProfile::NAMES.map(|(name, _)| name), TOOL_PROFILES);
}

/// What is wrong with one property or root, as `place: reason`.
fn faults(schema: &Map<String, Value>, place: &str, depth: usize, properties: &mut usize, found: &mut Vec<String>) {
    let mut say = |what: String| found.push(format!("{place}: {what}"));
    for word in schema.keys().filter(|word| !WORDS.contains(&word.as_str()) && *word != "maxItems") {
        say(format!("`{word}` is not understood everywhere"));
    }
    let Some(kind) = schema.get("type").and_then(Value::as_str) else { return say("its type is not one word".into()) };
    if depth > DEPTH {
        say("it lies too deep".into());
    }
    match (kind, schema.get("enum").map(|words| words.as_array())) {
        ("string", Some(Some(words))) => {
            let distinct: BTreeSet<&str> = words.iter().filter_map(Value::as_str).filter(|word| !word.is_empty()).collect();
            if distinct.is_empty() || distinct.len() != words.len() {
                say("its words are not distinct texts".into());
            }
            if schema.get("default").is_some_and(|default| !words.contains(default)) {
                say("its default is none of its words".into());
            }
        }
        (_, Some(_)) => say("an enum of something but texts".into()),
        (_, None) => {}
    }
    let fits = |value: &Value| match kind {
        "string" => value.is_string(),
        "integer" => value.is_i64(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    };
    if !["string", "integer", "boolean", "array", "object"].contains(&kind) {
        say(format!("`{kind}` is no type of ours"));
    } else if schema.get("default").is_some_and(|default| !fits(default)) {
        say("its default is of another type".into());
    }
    if let (Some(least), Some(most)) = (schema.get("minimum").and_then(Value::as_i64), schema.get("maximum").and_then(Value::as_i64))
        && least > most
    {
        say("its limits exclude each other".into());
    }
    match (kind, schema.get("items").and_then(Value::as_object)) {
        ("array", Some(items)) => faults(items, &format!("{place}[]"), depth, properties, found),
        ("array", None) => say("a list of what?".into()),
        (_, Some(_)) => say("items of no list".into()),
        (_, None) => {}
    }
    let Some(members) = schema.get("properties").and_then(Value::as_object) else {
        if kind == "object" {
            found.push(format!("{place}: an object without properties"));
        }
        return;
    };
    *properties += members.len();
    let required = schema.get("required").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    for name in required.iter().filter(|name| !name.as_str().is_some_and(|name| members.contains_key(name))) {
        found.push(format!("{place}: {name} is required and not there"));
    }
    if schema.get("required").is_some() && required.is_empty() {
        found.push(format!("{place}: an empty `required`, which draft 4 forbids"));
    }
    for (name, member) in members {
        let place = format!("{place}.{name}");
        let plain = (1..=64).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
        if !plain {
            found.push(format!("{place}: its name is not taken everywhere"));
        }
        let Some(member) = member.as_object() else {
            found.push(format!("{place}: no object"));
            continue;
        };
        if member.get("description").and_then(Value::as_str).is_none_or(|text| text.trim().is_empty() || text.len() > 1024) {
            found.push(format!("{place}: it is not described, or at too much length"));
        }
        faults(member, &place, depth + 1, properties, found);
    }
}

fn faults_of(tool: &Value) -> Vec<String> {
    let name = tool["name"].as_str().unwrap_or_default();
    let mut found = Vec::new();
    if name.is_empty() || name.len() > 37 || !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') {
        found.push(format!("{name}: clients put a server's name before it and cut at 60 or 64; APIs take no dots"));
    }
    let description = tool["description"].as_str().unwrap_or_default();
    if description.is_empty() || description.len() >= 2048 {
        found.push(format!("{name}: its description has {} bytes, and hosts cut at 2 KB", description.len()));
    }
    let mut properties = 0;
    match tool["inputSchema"].as_object() {
        Some(schema) if schema.get("type") == Some(&Value::from("object")) => faults(schema, name, 0, &mut properties, &mut found),
        _ => found.push(format!("{name}: the root is no plain object")),
    }
    if properties > PROPERTIES {
        found.push(format!("{name}: {properties} properties"));
    }
    if tool.get("outputSchema").is_some() {
        found.push(format!("{name}: a schema of answers obliges to structured content, which costs a model twice"));
    }
    found
}

#[test]
fn every_list_is_taken_by_the_strict_dialects() {
    let mut found = Vec::new();
    for (profile, manner) in
        ToolProfile::NAMES.into_iter().flat_map(|(_, profile)| [(profile, USUAL), (profile, STRICT), (profile, DEFAULTED)])
    {
        for tool in list(offer(profile), manner).tools {
            found.extend(faults_of(&serde_json::to_value(&tool).unwrap()));
        }
    }
    found.sort();
    found.dedup();
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn the_lint_finds_what_hosts_refuse() {
    let good = json!({"name": "a_b", "description": "d", "inputSchema": {"type": "object", "properties": {
        "l": {"type": "array", "items": {"type": "string"}, "description": "d"}, "n": {"type": "integer", "default": 1, "description": "d"}}}});
    assert_eq!(faults_of(&good), Vec::<String>::new());
    let with = |path: &str, value: Value| {
        let mut tool = good.clone();
        let (parent, last) = path.rsplit_once('/').unwrap();
        tool.pointer_mut(parent).unwrap()[last] = value;
        tool
    };
    for (path, value) in [
        ("/name", json!("a.b")),
        ("/name", json!("a".repeat(38))),
        ("/description", json!("d".repeat(2048))),
        ("/outputSchema", json!({"type": "object"})),
        ("/inputSchema/type", json!(["object", "null"])),
        ("/inputSchema/anyOf", json!([])),
        ("/inputSchema/$defs", json!({})),
        ("/inputSchema/required", json!(["missing"])),
        ("/inputSchema/required", json!([])),
        ("/inputSchema/properties/n/$ref", json!("#/x")),
        ("/inputSchema/properties/n/type", json!(["integer", "null"])),
        ("/inputSchema/properties/n/format", json!("date")),
        ("/inputSchema/properties/n/default", json!("1")),
        ("/inputSchema/properties/n/enum", json!([1])),
        ("/inputSchema/properties/n/description", json!("")),
        ("/inputSchema/properties/l/items", Value::Null),
        ("/inputSchema/properties/l/items", json!({"type": "object"})),
        ("/inputSchema/properties/a b", json!({"type": "string", "description": "d"})),
        ("/inputSchema/properties/x", json!({"type": "string"})),
        ("/inputSchema/properties/x", json!({"type": "string", "enum": ["a", "a"], "description": "d"})),
        ("/inputSchema/properties/x", json!({"type": "string", "enum": ["a"], "default": "b", "description": "d"})),
    ] {
        assert!(!faults_of(&with(path, value.clone())).is_empty(), "{path} {value}");
    }
}
