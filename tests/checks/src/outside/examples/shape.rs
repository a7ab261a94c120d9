//! Whether an answer has the shape that an example shows: the members that it shows, with the same JSON types.

use serde_json::{Map, Value};

/// Members that depend on what a thing happens to be or who asks, not on the address. Each is the end of a place in the answer.
const BY_CHANCE: &[&str] = &[
    // Whether there are more pages.
    "@odata.nextLink",
    "@odata.deltaLink",
    // Links that only full metadata has, which nobody asks for.
    "@odata.id",
    // What kind of file it is, and what somebody did with it.
    "audio",
    "bundle",
    "deleted",
    "image",
    "location.altitude",
    "malware",
    "officeBundle",
    "package",
    "photo",
    "publication",
    "remoteItem",
    "searchResult",
    "shared",
    "specialFolder",
    "video",
    // Whether a program or a group did it.
    "createdBy.application",
    "lastModifiedBy.application",
    "link.application",
    "owner.group",
    // Whether an attendee proposed another time, and whether one can dial into a meeting.
    "proposedNewTime",
    "onlineMeeting.conferenceId",
    "onlineMeeting.tollNumber",
    // Whether a permission comes from a folder above, and from a SharePoint site.
    "inheritedFrom",
    "@deprecated.GrantedTo",
    "grantedToV2.siteUser",
    "parentReference.siteId",
    "parentReference.sharepointIds",
    // Whether somebody's automatic replies are for a time.
    "automaticReplies.messageLanguage",
    "automaticReplies.scheduledEndTime",
    "automaticReplies.scheduledStartTime",
    // Whether a message is about a meeting.
    "meetingMessageType",
    // Whether working hours are in a zone of one's own making.
    "timeZone.@odata.type",
    // What personal OneDrive adds to a search.
    "@search.approximateCount",
    // Headers of a batch's answers: of the servers that gave them.
    "headers",
];

fn by_chance(at: &str) -> bool {
    BY_CHANCE.iter().any(|chance| {
        at.strip_suffix(chance).is_some_and(|before| before.is_empty() || before.ends_with(['.', ']']) || chance.starts_with('@'))
    })
}

/// In what `ours` differs from what is `shown`. Places for which `expected` says no are left out, and those that depend on chance.
pub(super) fn differences(shown: &Value, ours: &Value, expected: &dyn Fn(&str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    compare(shown, ours, "", expected, &mut found);
    found
}

fn compare(shown: &Value, ours: &Value, at: &str, expected: &dyn Fn(&str) -> bool, found: &mut Vec<String>) {
    match (shown, ours) {
        // What is null here and not there says nothing of the type.
        (Value::Null, _) | (_, Value::Null) => {}
        // The documentation's way to show a member of an enumeration without choosing one.
        (Value::Object(shown), Value::String(_)) if shown.keys().all(|name| name == "@odata.type") => {}
        (Value::Object(shown), Value::Object(ours)) => {
            for (name, shown) in shown {
                let at = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
                if by_chance(&at) || !expected(&at) {
                    continue;
                }
                match ours.get(name) {
                    Some(ours) => compare(shown, ours, &at, expected, found),
                    None => found.push(format!("no {at}")),
                }
            }
        }
        (Value::Array(shown), Value::Array(ours)) => {
            // Rows differ in what they are; all of ours together must show what all of theirs show.
            let (Some(shown), Some(ours)) = (together(shown), together(ours)) else {
                if at == "value" && !shown.is_empty() {
                    found.push("no rows in value".to_owned());
                }
                return;
            };
            compare(&shown, &ours, &format!("{at}[]"), expected, found);
        }
        (shown, ours) if kind(shown) != kind(ours) => found.push(format!("{at} is {} instead of {}", kind(ours), kind(shown))),
        _ => {}
    }
}

/// All rows as one: objects with all their members. `None` when there are none.
fn together(rows: &[Value]) -> Option<Value> {
    rows.iter().cloned().reduce(merge)
}

fn merge(one: Value, other: Value) -> Value {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            let mut all: Map<String, Value> = one;
            for (name, value) in other {
                let merged = match all.remove(&name) {
                    Some(known) => merge(known, value),
                    None => value,
                };
                all.insert(name, merged);
            }
            Value::Object(all)
        }
        (Value::Array(mut one), Value::Array(other)) => {
            one.extend(other);
            Value::Array(one)
        }
        (Value::Null, other) => other,
        (one, _) => one,
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(shown: Value, ours: Value) -> Vec<String> {
        differences(&shown, &ours, &|at| at != "b.beta")
    }

    #[test]
    fn what_is_shown_must_be_there_with_its_type() {
        let shown = json!({"a": "x", "b": {"c": 1, "beta": 1}, "list": [{"d": true, "image": {}}, {"e": null}], "none": null});
        let ours = json!({"a": "y", "b": {"c": 2}, "list": [{"d": false, "e": "x"}], "more": 1, "none": []});
        assert_eq!(found(shown.clone(), ours), [""; 0]);
        assert_eq!(
            found(shown.clone(), json!({"a": 1, "b": {}, "list": {}, "none": 1})),
            ["a is a number instead of a text", "no b.c", "list is an object instead of a list"]
        );
        assert_eq!(
            found(shown, json!({"a": null, "b": {"c": "x"}, "list": [{"d": 1}]})),
            ["b.c is a text instead of a number", "list[].d is a number instead of a boolean", "no list[].e", "no none"]
        );
    }

    #[test]
    fn pages_must_have_rows_where_rows_are_shown() {
        assert_eq!(found(json!({"value": [{"a": 1}]}), json!({"value": []})), ["no rows in value"]);
        assert_eq!(found(json!({"value": []}), json!({"value": [1]})), [""; 0]);
        assert_eq!(found(json!({"categories": ["x"]}), json!({"categories": []})), [""; 0]);
    }
}
