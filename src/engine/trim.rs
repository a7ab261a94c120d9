//! A tree or a search that cannot be read on, within a budget of tokens: what does not fit is left out and counted.
//!
//! A tree loses its deepest level first, and the next, so that what is left is the whole of fewer levels; of one level folders go from its end.
//! Every folder still tells how many it holds, and a call for that folder shows them. A search with several lists keeps the beginning of each,
//! as many rows of each as go into the budget. `left_out` counts what is missing and `complete` is false; there is no cursor, because a narrower
//! question says more than the next piece of a tree or of rows ranked by somebody else. At least one folder and one row of each list stay.

use serde_json::{Map, Value};

/// The member that counts what was left out.
pub(super) const LEFT_OUT: &str = "left_out";
/// Where the folders within a folder stand.
const CHILDREN: &str = "children";

/// The answer with less in it, so that it `fits`; `None` for one that has nothing to leave out.
pub(super) fn trimmed(answer: &Map<String, Value>, fits: impl Fn(&Map<String, Value>) -> bool) -> Option<Map<String, Value>> {
    let lists: Vec<&str> = answer.iter().filter(|(_, value)| is_list(value)).map(|(name, _)| name.as_str()).collect();
    let longest = lists.iter().map(|list| rows(answer, list).len()).max()?;
    let deepest = lists.iter().map(|list| depth(rows(answer, list))).max()?;
    let least = |levels: usize, most: usize| cut(answer, &lists, levels, most);
    // The deepest that fits with all its folders; else as many as fit of one level.
    let whole = (1..deepest).rev().map(|levels| least(levels, longest)).find(|cut| fits(cut));
    whole.or_else(|| {
        let (mut good, mut bad) = (1, longest);
        while good + 1 < bad {
            let middle = usize::midpoint(good, bad);
            if fits(&least(1, middle)) { good = middle } else { bad = middle }
        }
        (deepest > 1 || longest > 1).then(|| least(1, good))
    })
}

/// Rows with ids: a list of things, not one of words.
fn is_list(value: &Value) -> bool {
    value.as_array().is_some_and(|rows| rows.iter().any(|row| row.get("id").is_some()))
}

fn rows<'a>(answer: &'a Map<String, Value>, list: &str) -> &'a [Value] {
    answer.get(list).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn below(row: &Value) -> &[Value] {
    row.get(CHILDREN).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// Levels of a tree; 1 for a list.
fn depth(rows: &[Value]) -> usize {
    rows.iter().map(|row| 1 + depth(below(row))).max().unwrap_or(0)
}

fn count(rows: &[Value]) -> usize {
    rows.iter().map(|row| 1 + count(below(row))).sum()
}

/// Everything with at most so many levels and so many rows of each list.
fn cut(answer: &Map<String, Value>, lists: &[&str], levels: usize, most: usize) -> Map<String, Value> {
    let (mut cut, mut behind, mut missing) = (Map::new(), Map::new(), Map::new());
    for (name, value) in answer {
        // In front of `complete`: behind it there is at most the mark of what others wrote.
        let place = if name == "complete" || !behind.is_empty() { &mut behind } else { &mut cut };
        if !lists.contains(&name.as_str()) {
            place.insert(name.clone(), value.clone());
            continue;
        }
        let all = rows(answer, name);
        let kept: Vec<Value> = all.iter().take(most).map(|row| shallow(row, levels)).collect();
        let gone = count(all) - count(&kept);
        if gone > 0 {
            missing.insert(name.clone(), gone.into());
        }
        place.insert(name.clone(), kept.into());
    }
    cut.insert(LEFT_OUT.into(), missing.into());
    cut.extend(behind);
    cut.insert("complete".into(), false.into());
    cut
}

/// A folder with at most so many levels, its own the first.
fn shallow(row: &Value, levels: usize) -> Value {
    let Value::Object(members) = row else { return row.clone() };
    let member = |(name, value): (&String, &Value)| {
        let value = match value {
            Value::Array(children) if name == CHILDREN => {
                let kept = if levels > 1 { children.as_slice() } else { &[] };
                kept.iter().map(|child| shallow(child, levels - 1)).collect()
            }
            other => other.clone(),
        };
        (name.clone(), value)
    };
    members.iter().map(member).collect::<Map<_, _>>().into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn size(answer: &Map<String, Value>) -> usize {
        Value::from(answer.clone()).to_string().len()
    }

    fn tree() -> impl Strategy<Value = Value> {
        let leaf = "[a-z]{1,8}".prop_map(|name| json!({"id": name, "child_count": 0, "children": []}));
        leaf.prop_recursive(4, 40, 5, |inner| {
            proptest::collection::vec(inner, 1..5)
                .prop_map(|children| json!({"id": "folder", "child_count": children.len(), "children": children}))
        })
    }

    fn answer(value: Value) -> Map<String, Value> {
        let Value::Object(answer) = value else { unreachable!() };
        answer
    }

    proptest! {
        #[test]
        fn what_is_shown_and_what_is_left_out_come_to_everything(roots in proptest::collection::vec(tree(), 1..5), share in 0usize..1_000) {
            let whole = answer(json!({"root_folder_id": "r", "folders": roots, "complete": true, "_untrusted": "x"}));
            let room = size(&whole) * share / 1_000;
            match trimmed(&whole, |cut| size(cut) <= room) {
                None => prop_assert!(count(rows(&whole, "folders")) == 1, "one folder is not left out"),
                Some(cut) => {
                    let missing = cut[LEFT_OUT]["folders"].as_u64().unwrap_or(0) as usize;
                    prop_assert_eq!(count(rows(&cut, "folders")) + missing, count(rows(&whole, "folders")));
                    prop_assert!(missing > 0);
                    prop_assert!(size(&cut) <= room || count(rows(&cut, "folders")) == 1);
                    prop_assert_eq!(&cut["complete"], false);
                    prop_assert_eq!(cut.keys().next_back().map(String::as_str), Some("_untrusted"));
                }
            }
        }

        #[test]
        fn each_list_keeps_its_beginning(left in 0usize..30, right in 0usize..30, share in 0usize..1_000) {
            let list = |many: usize| (0..many).map(|at| json!({"id": format!("number {at}")})).collect::<Vec<_>>();
            let whole = answer(json!({"message": list(left), "event": list(right), "complete": false}));
            let room = size(&whole) * share / 1_000;
            if let Some(cut) = trimmed(&whole, |cut| size(cut) <= room) {
                for (name, many) in [("message", left), ("event", right)] {
                    let kept = rows(&cut, name);
                    prop_assert!(rows(&whole, name).starts_with(kept));
                    prop_assert!(many == 0 || !kept.is_empty());
                    prop_assert_eq!(kept.len() as u64 + cut[LEFT_OUT].get(name).and_then(Value::as_u64).unwrap_or(0), many as u64);
                }
                prop_assert!(size(&cut) <= room || rows(&cut, "message").len().max(rows(&cut, "event").len()) == 1);
            }
        }
    }

    #[test]
    fn the_deepest_level_goes_first() {
        let whole = answer(json!({"folders": [
            {"id": "a", "children": [{"id": "b", "children": [{"id": "c", "children": []}]}]},
            {"id": "d", "children": []},
        ], "complete": true}));
        let cut = trimmed(&whole, |cut| count(rows(cut, "folders")) <= 3).unwrap();
        assert_eq!(cut["folders"], json!([{"id": "a", "children": [{"id": "b", "children": []}]}, {"id": "d", "children": []}]));
        assert_eq!((&cut[LEFT_OUT], &cut["complete"]), (&json!({"folders": 1}), &json!(false)));
        let cut = trimmed(&whole, |cut| count(rows(cut, "folders")) <= 1).unwrap();
        assert_eq!((&cut["folders"], &cut[LEFT_OUT]), (&json!([{"id": "a", "children": []}]), &json!({"folders": 3})));
        assert_eq!(trimmed(&answer(json!({"id": "x", "words": ["a"]})), |_| false), None);
    }
}
