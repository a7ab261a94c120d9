//! The catalogue as clients see it, and the rules every row keeps.

use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{
    Args, Asks, CACHE_CONTROLS, CONSENTS, Does, Effect, Param, ParamType, Risk, Tool, all, find,
    original_tests::{ORIGINAL, OURS},
};
use crate::{cache::Ttl, hint::Hint};

/// What a client sees of one tool.
fn shown(tool: &Tool) -> Value {
    let hints = tool.annotations();
    json!({
        "name": tool.name,
        "title": tool.title,
        "description": tool.description(),
        "inputSchema": tool.input_schema(),
        "annotations": {
            "readOnlyHint": hints.read_only,
            "destructiveHint": hints.destructive,
            "idempotentHint": hints.idempotent,
            "openWorldHint": hints.open_world,
        },
        "_meta": tool.meta(),
        "cache": match tool.effect {
            Effect::Read { ttl: Ok(ttl), .. } => json!([ttl.fresh.as_secs(), ttl.stale.as_secs()]),
            Effect::Read { ttl: Err(never), .. } => json!({ "never": never }),
            Effect::Write { .. } | Effect::Local => Value::Null,
        },
    })
}

#[test]
fn the_catalogue() {
    let mut families: Vec<&str> = all().map(Tool::category).collect();
    families.dedup();
    for family in families {
        insta::assert_json_snapshot!(
            format!("catalogue_{family}"),
            all().filter(|tool| tool.category() == family).map(shown).collect::<Vec<_>>()
        );
    }
}

/// Claude Code puts longer answers into a file, out of its model's sight, unless the tool says otherwise: up to 500,000 characters.
#[test]
fn what_may_be_long_says_so() {
    let mut long = 0;
    for tool in all() {
        let said = tool.meta().get("anthropic/maxResultSizeChars").and_then(Value::as_u64);
        let has_budget = tool.params.iter().any(|param| param.name == "max_tokens");
        assert_eq!(said.is_some(), has_budget, "{}", tool.name);
        assert!(said.is_none_or(|most| (50_000..=500_000).contains(&most)), "{}", tool.name);
        // Every list with a limit and every tree of a mailbox or drive has a budget.
        let listed = tool.params.iter().any(|param| ["limit", "max_depth"].contains(&param.name));
        let cached = matches!(tool.effect, Effect::Read { ttl: Ok(_), .. });
        assert!(has_budget || !(listed && cached), "{}", tool.name);
        long += usize::from(has_budget);
    }
    assert!(long >= 14, "{long}");
}

/// Names, parameters and their order as the original has them; saved calls and generated clients rely on them. What is ours comes after.
#[test]
fn names_and_parameter_orders_are_the_originals() {
    for tool in all() {
        let found: Vec<&str> = tool.params.iter().map(|param| param.name).collect();
        match ORIGINAL.iter().find(|(name, _)| *name == tool.name) {
            Some((_, params)) => {
                let params: Vec<&str> = params.split_whitespace().collect();
                assert!(found.starts_with(&params), "{}: {found:?} does not begin with {params:?}", tool.name);
                for ours in &tool.params[params.len()..] {
                    assert!(ours.default.is_some(), "{}: {} is ours, so it has to be optional", tool.name, ours.name);
                }
            }
            None => assert!(OURS.contains(&tool.name), "{} is neither the original's nor known as ours", tool.name),
        }
    }
}

#[test]
fn each_row_keeps_the_rules() {
    let mut names = Vec::new();
    for tool in all() {
        let name = tool.name;
        assert!(!names.contains(&name), "{name} is there twice");
        names.push(name);
        // mcp.md 5.2: clients cut or refuse longer ones.
        assert!(name.len() <= 37 && name.bytes().all(|letter| letter.is_ascii_lowercase() || letter == b'_'), "{name}");
        assert!(tool.description().len() < 2048 && !tool.help.contains("  ") && tool.help.ends_with('.'), "{name}: its help");
        assert!(!tool.title.is_empty() && tool.title.len() <= 64, "{name}: its title");
        let mut optional = false;
        for (at, param) in tool.params.iter().enumerate() {
            let what = format!("{name}.{}", param.name);
            assert!((1..=64).contains(&param.name.len()) && !param.help.is_empty() && !param.help.contains("  "), "{what}");
            assert!(tool.params[..at].iter().all(|other| other.name != param.name), "{what} is there twice");
            assert!(param.default.is_some() || !optional || param.name == "account_id", "{what} is required after an optional one");
            optional |= param.default.is_some();
            if let Some(default) = param.default {
                let value: Value = serde_json::from_str(default).unwrap_or_else(|_| panic!("{what}: its default is no JSON"));
                assert!(value.is_null() || passes(param, &value), "{what}: its own default is refused");
            }
        }
        let names: Vec<&str> = tool.params.iter().map(|param| param.name).collect();
        let controls: Vec<&str> = names.iter().copied().filter(|name| CACHE_CONTROLS.contains(name)).collect();
        match (tool.effect, tool.does) {
            (Effect::Read { ttl, .. }, Does::Read(_) | Does::ReadAcross { .. }) => {
                // One that writes a local file reads for the cache's purposes and is not safe to repeat.
                assert!(tool.risk == Risk::Safe && tool.idempotent || ttl.is_err() && tool.risk == Risk::Moderate, "{name}");
                if ttl.is_ok() {
                    assert_eq!(controls, CACHE_CONTROLS, "{name}: the cache controls and their order");
                    assert_eq!(names.last(), Some(&CACHE_CONTROLS[2]), "{name}: max_age comes last");
                } else {
                    assert!(controls.is_empty(), "{name} is never cached");
                }
            }
            (Effect::Write { .. }, Does::Write { .. }) => assert!(tool.risk > Risk::Safe && controls.is_empty(), "{name}"),
            (Effect::Local, Does::Local(_)) => assert!(controls.is_empty(), "{name}"),
            _ => panic!("{name}: what it does is not what its effect says"),
        }
        // What reaches others or destroys asks; and who is asked needs a way to agree.
        assert!(tool.risk < Risk::Dangerous || !matches!(tool.asks, Asks::Never), "{name} does harm and does not ask");
        let [flag, token] = CONSENTS;
        assert_eq!(names.contains(&flag) || names.contains(&token), !matches!(tool.asks, Asks::Never), "{name}: how consent is given");
        assert!(
            !names.contains(&flag)
                || ORIGINAL.iter().any(|(known, params)| *known == name && params.contains(flag))
                || OURS.contains(&name),
            "{name}"
        );
        assert!(!names.contains(&token) || names.last() == Some(&token), "{name}: the token comes last");
    }
}

fn passes(param: &Param, value: &Value) -> bool {
    let params: &'static [Param] = Box::leak(Box::new([*param]));
    let tool = Tool { params, canonical: None, ..*find("server_get_version").unwrap() };
    Args::check(&tool, &Map::from_iter([(param.name.to_owned(), value.clone())])).is_ok()
}

/// The table of requirements, M12.
#[test]
fn each_read_has_the_ttl_of_the_table() {
    let table = |name: &str| match name {
        "folder_get_tree" => Some((1800, 7200)),
        "folder_list" => Some((900, 3600)),
        "email_list" => Some((120, 600)),
        "email_get" => Some((900, 3600)),
        "file_list" => Some((600, 3600)),
        "contact_list" => Some((1200, 7200)),
        "contact_get" => Some((1800, 14_400)),
        "calendar_list_events" => Some((300, 1800)),
        "emailfolders_list" | "emailfolders_get" | "emailfolders_get_tree" => Some((900, 3600)),
        "emailrules_list" | "emailrules_get" | "folder_get" | "calendar_list_calendars" => Some((900, 3600)),
        "calendar_get_event" => Some((600, 3600)),
        "search_emails" | "search_files" | "search_events" | "search_contacts" | "search_unified" => Some((60, 300)),
        // Not in the table, and read with its message.
        "email_list_attachments" => Some((900, 3600)),
        _ => None,
    };
    for tool in all() {
        if let Effect::Read { ttl, .. } = tool.effect {
            match (ttl, table(tool.name)) {
                (Ok(ttl), Some((fresh, stale))) => {
                    assert_eq!((ttl.fresh, ttl.stale), (Duration::from_secs(fresh), Duration::from_secs(stale)), "{}", tool.name);
                    assert_eq!(ttl.if_error, Ttl::IF_ERROR, "{}", tool.name);
                }
                (Err(reason), None) => assert!(!reason.is_empty(), "{}", tool.name),
                _ => panic!("{}: the row and the table disagree on whether it is cached", tool.name),
            }
        }
    }
}

/// mcp.md 5.4: what some client or model refuses anywhere in a schema.
#[test]
fn schemas_are_flat_and_plain() {
    fn plain(value: &Value, path: &str) {
        if let Value::Object(members) = value {
            for (name, value) in members {
                assert!(!["$ref", "$defs", "oneOf", "anyOf", "allOf", "not", "nullable", "if"].contains(&name.as_str()), "{path}.{name}");
                if name == "type" && !path.ends_with(".properties") {
                    assert!(value.is_string(), "{path}.{name} is a union");
                }
                plain(value, &format!("{path}.{name}"));
            }
        }
    }
    for tool in all() {
        let schema = Value::Object(tool.input_schema());
        assert_eq!(schema["type"], "object");
        assert_eq!(schema["additionalProperties"], false);
        plain(&schema, tool.name);
        let order: Vec<&String> = schema["properties"].as_object().unwrap().keys().collect();
        assert_eq!(order, tool.params.iter().map(|param| param.name).collect::<Vec<_>>());
    }
}

#[test]
fn an_unknown_tool_names_the_nearest() {
    let hint = |name: &str| find(name).unwrap_err().hint().unwrap();
    assert_eq!(hint("email_lst"), "Did you mean `email_list`?");
    assert_eq!(hint("emailList"), "Did you mean `email_list`?");
    assert_eq!(hint("EMAIL_GET"), "Did you mean `email_get`?");
    assert_eq!(hint("xyzzy-plugh-nothing"), "`m365-cachectl tools` lists them.");
    assert_eq!(find(&"x".repeat(500)).unwrap_err().name.len(), 64);
}

/// Values that may be right or wrong for some parameter.
fn values() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (-3i64..600).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "/?[a-z./ ]{0,12}".prop_map(Value::from),
        prop_oneof![Just("inbox"), Just("Sent"), Just("files"), Just("root"), Just("msgfolderroot"), Just("a@b.c")].prop_map(Value::from),
        Just(json!([1])),
        Just(json!({"a": 1})),
    ]
}

/// Right values, often enough to reach the canonical form.
fn right(kind: ParamType) -> BoxedStrategy<Value> {
    let text = || "[a-z*:]{1,12}".prop_map(Value::from).boxed();
    let many = |strategy: BoxedStrategy<Value>| proptest::collection::vec(strategy, 1..3).prop_map(Value::from).boxed();
    match kind {
        ParamType::Account | ParamType::Mailbox => "[a-z]{1,8}@[a-z]{1,8}".prop_map(Value::from).boxed(),
        ParamType::Text { .. } | ParamType::Prose { .. } | ParamType::LocalPath => text(),
        ParamType::Id => {
            prop_oneof!["[A-Za-z0-9=_-]{1,20}", Just("root".to_owned()), Just("SentItems".to_owned()), Just("MSGFOLDERROOT".to_owned())]
                .prop_map(Value::from)
                .boxed()
        }
        ParamType::DrivePath => "/{1,2}([A-Za-z ]{0,5}/){0,3}".prop_map(Value::from).boxed(),
        ParamType::Choice(words) => prop::sample::select(words).prop_map(|word| Value::from(word.to_uppercase())).boxed(),
        ParamType::Choices(words) => many(right(ParamType::Choice(&words[..1]))),
        ParamType::Int { min, max } => (min..=max).prop_map(Value::from).boxed(),
        ParamType::Bool => any::<bool>().prop_map(Value::from).boxed(),
        ParamType::Addresses { .. } | ParamType::People { .. } => many(right(ParamType::Mailbox)),
        ParamType::Time => "20[0-9]{2}-(0[1-9]|1[0-2])-(1[0-9]|2[0-8])([T ][01][0-9]:[0-5][0-9](:[0-5][0-9])?(Z|[+-]0[0-9]:[034]0)?)?"
            .prop_map(Value::from)
            .boxed(),
        ParamType::Date => "20[0-9]{2}-(0[1-9]|1[0-2])-(1[0-9]|2[0-8])".prop_map(Value::from).boxed(),
        ParamType::Zone => prop::sample::select(vec!["europe/berlin", "Pacific Standard Time", "utc"]).prop_map(Value::from).boxed(),
        ParamType::Texts { .. } => prop_oneof![text(), many(text())].boxed(),
        ParamType::Objects(members) => many(right(ParamType::Object(members))),
        ParamType::Object(members) => {
            let each: Vec<_> = members.iter().map(|member| right(member.kind)).collect();
            each.prop_map(move |values| {
                members.iter().zip(values).map(|(member, value)| (member.name.to_owned(), value)).collect::<Map<_, _>>().into()
            })
            .boxed()
        }
    }
}

fn right_args(tool: &'static Tool) -> impl Strategy<Value = Map<String, Value>> {
    let each: Vec<_> = tool
        .params
        .iter()
        .map(|param| {
            let given = right(param.kind).prop_map(Some);
            if param.default.is_some() { prop_oneof![given, Just(None)].boxed() } else { given.boxed() }
        })
        .collect();
    each.prop_map(|values| {
        let named = tool.params.iter().zip(values);
        named.filter_map(|(param, value)| value.map(|value| (param.name.to_owned(), value))).collect()
    })
}

proptest! {
    #[test]
    fn checking_never_panics_and_never_repeats_the_value(
        tool in prop::sample::select(all().collect::<Vec<_>>()),
        extra in any::<String>(),
        drawn in proptest::collection::vec(values(), 8),
        unknown in any::<bool>(),
    ) {
        let mut given: Map<String, Value> = tool.params.iter().zip(drawn).map(|(param, value)| (param.name.to_owned(), value)).collect();
        if unknown {
            given.insert(extra, Value::Null);
        }
        if let Err(error) = Args::check(tool, &given) {
            prop_assert!(error.hint().is_some());
            let text = error.to_string();
            for value in given.values().filter_map(Value::as_str).filter(|value| value.len() > 12) {
                prop_assert!(!text.contains(value), "{} repeats {}", text, value);
            }
        }
    }

    #[test]
    fn right_arguments_pass_and_their_canonical_form_stays_as_it_is(
        (tool, given) in prop::sample::select(all().collect::<Vec<_>>()).prop_flat_map(|tool| (Just(tool), right_args(tool)))
    ) {
        let once = Args::check(tool, &given).unwrap();
        prop_assert_eq!(once.all().len(), tool.params.len());
        let again: Map<String, Value> = once.all().clone().into_iter().collect();
        prop_assert_eq!(Args::check(tool, &again).unwrap(), once);
    }

    #[test]
    fn a_misspelt_parameter_names_the_right_one(tool in prop::sample::select(all().filter(|tool| !tool.params.is_empty()).collect::<Vec<_>>()), at in any::<prop::sample::Index>(), cut in any::<prop::sample::Index>()) {
        let param = tool.params[at.index(tool.params.len())].name;
        let mut wrong = param.to_owned();
        wrong.remove(cut.index(param.len()));
        if tool.params.iter().all(|param| param.name != wrong) {
            let error = Args::check(tool, &Map::from_iter([(wrong.clone(), Value::Null)])).unwrap_err();
            prop_assert!(error.hint().unwrap().contains("Did you mean"), "{} -> {:?}", wrong, error);
        }
    }
}
