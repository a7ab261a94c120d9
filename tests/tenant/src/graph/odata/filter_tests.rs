//! Filters against a second, naive evaluator, and the sentences Graph's documentation shows.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::super::schema::MESSAGE;
use super::{Filter, Func, Literal, Op};

fn row(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("{other} is no object"),
    }
}

fn passes(filter: &str, value: Value) -> bool {
    Filter::parse(filter, &MESSAGE).unwrap_or_else(|fault| panic!("{filter}: {}", fault.message)).matches(&row(value))
}

#[test]
fn the_documented_forms_parse_and_decide() {
    let message = || {
        json!({"isRead": false, "subject": "Quarter's end", "receivedDateTime": "2026-11-20T08:00:00Z", "categories": ["Blue", "Late"],
            "from": {"emailAddress": {"address": "Ann@x.example", "name": "Ann O'Neill"}}, "importance": "high", "flag": null})
    };
    for (filter, expected) in [
        ("isRead eq false", true),
        ("isRead ne false", false),
        ("not (isRead eq true) and importance eq 'high'", true),
        ("receivedDateTime ge 2026-11-20T08:00:00Z", true),
        ("receivedDateTime gt 2026-11-20T09:00:00+01:00", false),
        ("receivedDateTime ge 2026-11-20", true),
        ("from/emailAddress/address eq 'ann@x.example'", true),
        ("startswith(subject,'quarter''s')", true),
        ("startsWith(subject, 'end')", false),
        ("endswith(subject,'end') or isRead", true),
        ("contains(subject,'TER')", true),
        ("contains(subject,'x') eq false", true),
        ("categories/any(c:c eq 'Late')", true),
        ("categories/any(c: startswith(c,'b') and c ne 'Blue')", false),
        ("categories/any()", true),
        ("flag eq null", true),
        ("subject ne null", true),
        ("isRead eq true or isRead eq false and subject eq 'no'", false),
    ] {
        assert_eq!(passes(filter, message()), expected, "{filter}");
    }
}

#[test]
fn what_is_not_a_filter_is_refused() {
    for filter in [
        "",
        "isRead",
        "isRead eq",
        "eq false",
        "isRead = false",
        "isRead eq false and",
        "(isRead eq false",
        "subject eq 'open",
        "isRead eq 'x'",
        "receivedDateTime ge yesterday",
        "nosuch eq 1",
        "startswith(subject)",
        "categories eq 'x'",
        "subject/any(c:c eq 'x')",
        "isRead eq false)",
        "not",
        "subject",
        "categories/any(c:d eq 'x')",
        "()",
    ] {
        if filter == "isRead" {
            assert!(Filter::parse(filter, &MESSAGE).is_ok(), "a boolean stands for itself");
            continue;
        }
        let fault = Filter::parse(filter, &MESSAGE).expect_err(filter);
        assert_eq!(fault.status.as_u16(), 400);
    }
    assert!(Filter::parse(&"not ".repeat(100_000), &MESSAGE).is_err(), "no stack is deep enough");
    assert!(Filter::parse(&"(".repeat(100_000), &MESSAGE).is_err());
}

/// Writes a filter as text, with every part in parentheses.
fn text(filter: &Filter) -> String {
    let path = |p: &[String]| p.join("/");
    match filter {
        Filter::And(a, b) => format!("({}) and ({})", text(a), text(b)),
        Filter::Or(a, b) => format!("({}) or ({})", text(a), text(b)),
        Filter::Not(a) => format!("not ({})", text(a)),
        Filter::Flag(p) => path(p),
        Filter::Compare { path: p, op, literal } => {
            let op = format!("{op:?}").to_lowercase();
            let literal = match literal {
                Literal::Null => "null".to_owned(),
                Literal::Bool(b) => b.to_string(),
                Literal::Number(n) => n.to_string(),
                Literal::Text(t) => format!("'{}'", t.replace('\'', "''")),
                Literal::Instant(t) => t.to_string(),
            };
            format!("{} {op} {literal}", path(p))
        }
        Filter::Call { func, path: p, text } => {
            format!("{}({},'{}')", format!("{func:?}").to_lowercase(), path(p), text.replace('\'', "''"))
        }
        Filter::Any { path: p, inner: None } => format!("{}/any()", path(p)),
        Filter::Any { path: p, inner: Some(_) } => format!("{}/any(v:v eq 'Blue')", path(p)),
    }
}

/// The second opinion: plain nested matches on the JSON, sharing nothing with the evaluator.
fn naive(filter: &Filter, message: &Value) -> bool {
    let at = |p: &[String]| message.pointer(&format!("/{}", p.join("/"))).cloned().unwrap_or(Value::Null);
    match filter {
        Filter::And(a, b) => naive(a, message) & naive(b, message),
        Filter::Or(a, b) => naive(a, message) | naive(b, message),
        Filter::Not(a) => !naive(a, message),
        Filter::Flag(p) => at(p).as_bool() == Some(true),
        Filter::Call { func, path, text } => {
            let (value, text) = (at(path).as_str().unwrap_or("").to_lowercase(), text.to_lowercase());
            let positions: Vec<usize> = value.match_indices(text.as_str()).map(|(at, _)| at).collect();
            match func {
                Func::StartsWith => positions.contains(&0),
                Func::Contains => !positions.is_empty(),
                Func::EndsWith => value.len() >= text.len() && value.get(value.len() - text.len()..) == Some(text.as_str()),
            }
        }
        Filter::Any { path, .. } => at(path).as_array().is_some_and(|list| list.iter().any(|v| v == "Blue")),
        Filter::Compare { path, op, literal } => {
            let value = at(path);
            let less = match literal {
                Literal::Text(t) => value.as_str().unwrap_or("").to_lowercase() < t.to_lowercase(),
                Literal::Bool(b) => !value.as_bool().unwrap_or(true) && *b,
                Literal::Instant(t) => value.as_str().unwrap_or("") < t.to_string().as_str(),
                Literal::Null | Literal::Number(_) => false,
            };
            let equal = match literal {
                Literal::Null => value.is_null(),
                Literal::Text(t) => value.as_str().unwrap_or("").to_lowercase() == t.to_lowercase(),
                Literal::Bool(b) => value == json!(b),
                Literal::Instant(t) => value == json!(t.to_string()),
                Literal::Number(_) => false,
            };
            match (op, literal) {
                (Op::Eq, _) => equal,
                (Op::Ne, _) => !equal,
                (_, Literal::Null) => false,
                (Op::Lt, _) => less,
                (Op::Le, _) => less || equal,
                (Op::Gt, _) => !less && !equal,
                (Op::Ge, _) => !less,
            }
        }
    }
}

fn filters() -> impl Strategy<Value = Filter> {
    let path = |names: &str| names.split('/').map(str::to_owned).collect::<Vec<_>>();
    let op = prop::sample::select(vec![Op::Eq, Op::Ne, Op::Gt, Op::Ge, Op::Lt, Op::Le]);
    let words = prop::sample::select(vec!["", "a", "B", "it's", "ab", "(x)", "and", "\u{e9}"]);
    let second = prop::sample::select(vec![0_i64, 86_400, 172_800]);
    let leaf = prop_oneof![
        (op.clone(), words.clone()).prop_map(move |(op, t)| Filter::Compare {
            path: path("subject"),
            op,
            literal: Literal::Text(t.to_owned())
        }),
        (op.clone(), words.clone()).prop_map(move |(op, t)| Filter::Compare {
            path: path("from/emailAddress/name"),
            op,
            literal: Literal::Text(t.to_owned())
        }),
        (op.clone(), any::<bool>()).prop_map(move |(op, b)| Filter::Compare { path: path("isRead"), op, literal: Literal::Bool(b) }),
        (op.clone(), second).prop_map(move |(op, s)| Filter::Compare {
            path: path("receivedDateTime"),
            op,
            literal: Literal::Instant(jiff::Timestamp::from_second(s).unwrap())
        }),
        Just(Filter::Flag(path("hasAttachments"))),
        (prop::sample::select(vec![Func::StartsWith, Func::EndsWith, Func::Contains]), words).prop_map(move |(func, t)| Filter::Call {
            func,
            path: path("subject"),
            text: t.to_owned()
        }),
        Just(Filter::Any {
            path: path("categories"),
            inner: Some(Box::new(Filter::Compare { path: vec![String::new()], op: Op::Eq, literal: Literal::Text("Blue".to_owned()) }))
        }),
        prop::sample::select(vec![Op::Eq, Op::Ne]).prop_map(move |op| Filter::Compare {
            path: path("importance"),
            op,
            literal: Literal::Null
        }),
    ];
    leaf.prop_recursive(4, 24, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| Filter::And(Box::new(a), Box::new(b))),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| Filter::Or(Box::new(a), Box::new(b))),
            inner.prop_map(|a| Filter::Not(Box::new(a))),
        ]
    })
}

proptest! {
    #[test]
    fn text_parses_back_and_both_evaluators_agree(
        filter in filters(),
        subject in prop::sample::select(vec!["", "a", "AB", "it's", "(x) b", "\u{c9}and"]),
        name in prop::sample::select(vec!["b", "Ab", ""]),
        second in prop::sample::select(vec![0_i64, 86_400, 172_800]),
        read in any::<bool>(), attached in any::<bool>(), blue in any::<bool>(), importance in any::<bool>(),
    ) {
        let parsed = Filter::parse(&text(&filter), &MESSAGE).expect("parses back");
        prop_assert_eq!(&parsed, &filter);
        let message = json!({
            "subject": subject, "from": {"emailAddress": {"name": name}}, "isRead": read, "hasAttachments": attached,
            "receivedDateTime": jiff::Timestamp::from_second(second).unwrap().to_string(),
            "categories": if blue { json!(["Red", "Blue"]) } else { json!([]) },
            "importance": if importance { json!("high") } else { Value::Null },
        });
        prop_assert_eq!(parsed.matches(&row(message.clone())), naive(&filter, &message), "{}", text(&filter));
    }
}
