//! A part of a stored list is what a fresh call would have answered.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// A list as it is stored: `items` of which some were left out unless `complete`.
fn stored(items: &[Value], complete: bool, others: &str, cursor: Option<&str>) -> Body {
    let mut text = Escaped::from_text("\"things\":[").0.to_vec();
    let mut places = Vec::new();
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            text.push(b',');
        }
        let from = text.len();
        text.extend_from_slice(&Escaped::from_text(&item.to_string()).0);
        places.push((u32::try_from(from).unwrap(), u32::try_from(text.len()).unwrap()));
    }
    let cursor = cursor.map(|cursor| format!(",\"next_cursor\":\"{cursor}\"")).unwrap_or_default();
    text.extend_from_slice(&Escaped::from_text(&format!("],\"complete\":{complete}{others}{cursor}}}")).0);
    Body { text: Escaped(text.into()), items: places }
}

fn read(body: &Body) -> Value {
    let text = format!("{{{}", body.text.to_text());
    let answer: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    // The places are those of the items.
    let items = answer["things"].as_array().unwrap();
    assert_eq!(items.len(), body.items.len());
    for (item, (start, end)) in items.iter().zip(&body.items) {
        let bytes = body.text.0.slice(*start as usize..*end as usize);
        assert_eq!(serde_json::from_str::<Value>(&Escaped(bytes).to_text()).unwrap(), *item);
    }
    answer
}

/// Names of cursors as the engine makes them.
fn named(next: Follows<'_>) -> Option<String> {
    Some(match next {
        Follows::Item(number) => format!("at-{number}"),
        Follows::Cursor(cursor) => format!("lent-{cursor}"),
    })
}

/// Items that try to look like the end of a list.
fn item() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        any::<String>(),
        Just("],\"complete\":true".to_owned()),
        Just("\"next_cursor\":\"x\"}".to_owned()),
        Just("[".to_owned())
    ];
    (any::<u32>(), text.clone(), prop::collection::vec(text, 0..3))
        .prop_map(|(id, subject, list)| json!({ "id": format!("{id}\"\\"), "subject": subject, "list": list }))
}

proptest! {
    /// For any collection, stored with any limit and asked for with any other: the answer of a fresh call, or none.
    #[test]
    fn a_part_is_what_a_fresh_call_answers(
        all in prop::collection::vec(item(), 0..12),
        kept in 1usize..14,
        limit in 1usize..14,
        others in prop_oneof![Just(""), Just(",\"_untrusted\":\"x\""), Just(",\"timezone\":\"a/b\",\"timezone_note\":\"give `x`\"")],
    ) {
        let of = |limit: usize, cursor: Option<&str>| stored(&all[..limit.min(all.len())], all.len() <= limit, others, cursor);
        let larger = of(kept, (all.len() > kept).then_some("7-8-ab"));
        let got = part(&larger, 0, limit, named);
        prop_assert_eq!(got.is_some(), extent(&larger).unwrap().answers(limit));
        prop_assert_eq!(got.is_some(), limit <= kept || all.len() <= kept);
        if let Some(got) = got {
            let next = (all.len() > limit).then(|| if limit == kept { "lent-7-8-ab".to_owned() } else { format!("at-{limit}") });
            prop_assert_eq!(read(&got), read(&of(limit, next.as_deref())));
            prop_assert_eq!(extent(&got), Some(Extent { items: limit.min(all.len()), complete: all.len() <= limit }));
        }
    }

    /// Reading on, part by part, shows each item once and ends with the stored list's own cursor.
    #[test]
    fn parts_that_follow_each_other_are_the_whole(all in prop::collection::vec(item(), 1..12), kept in 1usize..12, limit in 1usize..6) {
        let held = &all[..kept.min(all.len())];
        let complete = all.len() <= kept;
        let list = stored(held, complete, "", (!complete).then_some("c"));
        let (mut from, mut seen) = (0, Vec::new());
        if extent(&list).unwrap().answers(limit) {
            loop {
                let got = read(&part(&list, from, limit, named).unwrap());
                let items = got["things"].as_array().unwrap();
                prop_assert!(!items.is_empty() && items.len() <= limit);
                from += items.len();
                seen.extend(items.iter().cloned());
                prop_assert_eq!(&got["complete"], &json!(complete && from == held.len()));
                match got["next_cursor"].as_str() {
                    Some(next) if next.starts_with("at-") => prop_assert_eq!(next, format!("at-{from}")),
                    next => {
                        prop_assert_eq!(next, (!complete).then_some("lent-c"));
                        break;
                    }
                }
            }
            prop_assert_eq!(seen, held);
        }
        prop_assert_eq!(part(&list, held.len(), limit, named), None);
    }

    #[test]
    fn a_member_is_found_by_its_whole_id(items in prop::collection::vec(item(), 0..6), at in 0usize..6) {
        let list = stored(&items, true, "", None);
        if let Some(wanted) = items.get(at) {
            let id = wanted["id"].as_str().unwrap();
            let first = items.iter().find(|item| item["id"] == wanted["id"]).unwrap();
            let text = format!("{{{}", member(&list, id).unwrap().text.to_text());
            prop_assert_eq!(&serde_json::from_str::<Value>(&text).unwrap(), first);
            let shorter: String = id.chars().skip(1).collect();
            prop_assert!(items.iter().any(|item| item["id"] == shorter.as_str()) || member(&list, &shorter).is_none());
        }
    }
}

#[test]
fn what_is_no_list_has_no_part() {
    let text = |text: &str| Body { text: Escaped::from_text(text), items: Vec::new() };
    for no_list in ["}", "\"id\":\"x\",\"list\":[]}", "\"id\":[\"],\\\"complete\\\":true\"]}", "\"things\":[],\"more\":1}"] {
        assert_eq!(extent(&text(no_list)), None, "{no_list}");
    }
    assert_eq!(extent(&text("\"things\":[],\"complete\":true}")), Some(Extent { items: 0, complete: true }));
}

#[test]
fn a_part_without_a_cursor_of_its_own_has_none() {
    let list = stored(&[json!({ "id": "a" }), json!({ "id": "b" })], true, "", None);
    let got = read(&part(&list, 0, 1, |_| None).unwrap());
    assert_eq!(got, json!({ "things": [{ "id": "a" }], "complete": false }));
}
