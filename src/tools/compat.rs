//! Answers in the shapes of the original (`compat = "m365-mcp"`), for programs that were written for it. Pure: a row's answer in, the
//! original's out.
//!
//! The original wrote lists bare and put `_cache_status` and `_cached_at` into each of their items. Of a fetch it said `miss` in some tools
//! and `fresh` in others. Its times were Graph's, in UTC, in answers of writes as well. What it did not have (`complete`, `next_cursor`, `_warning`, `_untrusted`) is left out.

use serde_json::{Map, Value};

use super::{LIMIT, local::to_utc, shape::UNTRUSTED};

/// How the original shaped an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// The list in this member, bare; what it cached says so in each item.
    Bare(&'static str),
    /// An object.
    Whole,
    /// An object whose lists carry the words in each item.
    Lists,
    /// A background task, whose times are Unix times.
    Task,
    /// The list of those in this member, bare.
    Tasks(&'static str),
}

/// What the original said of an answer that it had just fetched; nothing where it did not cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fetched {
    Miss,
    Fresh,
    Unsaid,
}

/// Tools whose answers differ in shape. All others answer alike.
const ROWS: &[(&str, Shape, Fetched)] = &[
    ("account_list", Shape::Bare("accounts"), Fetched::Unsaid),
    ("email_list", Shape::Bare("messages"), Fetched::Miss),
    ("email_get", Shape::Whole, Fetched::Miss),
    ("emailfolders_list", Shape::Bare("folders"), Fetched::Unsaid),
    ("emailfolders_get", Shape::Whole, Fetched::Unsaid),
    ("emailfolders_get_tree", Shape::Whole, Fetched::Unsaid),
    ("emailrules_list", Shape::Bare("rules"), Fetched::Unsaid),
    ("emailrules_get", Shape::Whole, Fetched::Unsaid),
    ("calendar_list_events", Shape::Bare("events"), Fetched::Fresh),
    ("calendar_get_event", Shape::Whole, Fetched::Fresh),
    ("calendar_list_calendars", Shape::Bare("calendars"), Fetched::Fresh),
    ("contact_list", Shape::Bare("contacts"), Fetched::Fresh),
    ("contact_get", Shape::Whole, Fetched::Miss),
    ("file_list", Shape::Bare("items"), Fetched::Miss),
    ("folder_list", Shape::Whole, Fetched::Miss),
    ("folder_get", Shape::Whole, Fetched::Unsaid),
    ("folder_get_tree", Shape::Whole, Fetched::Miss),
    ("search_files", Shape::Bare("files"), Fetched::Fresh),
    ("search_emails", Shape::Bare("messages"), Fetched::Fresh),
    ("search_events", Shape::Bare("events"), Fetched::Fresh),
    ("search_contacts", Shape::Bare("contacts"), Fetched::Fresh),
    ("search_unified", Shape::Lists, Fetched::Fresh),
    ("calendar_check_availability", Shape::Whole, Fetched::Unsaid),
    ("calendar_get_free_busy", Shape::Whole, Fetched::Unsaid),
    ("cache_task_get_status", Shape::Task, Fetched::Unsaid),
    ("cache_task_list", Shape::Tasks("tasks"), Fetched::Unsaid),
];

const STATUS: &str = "_cache_status";
const AS_OF: &str = "_cached_at";
/// Members of ours that the original does not have.
const OURS: [&str; 9] =
    ["complete", "next_cursor", "left_out", "_warning", "errors", UNTRUSTED.0, "timezone", "timezone_note", "everyone_free"];
/// Times of a task.
const TIMES: [&str; 3] = ["created_at", "started_at", "completed_at"];

/// Defaults of `limit` that were larger than ours, whose lists keep within what a model can read.
const LIMITS: &[(&str, u64)] =
    &[("emailfolders_list", 100), ("calendar_list_events", 50), ("search_emails", 50), ("search_events", 50), ("search_unified", 50)];

/// The arguments of a call of `tool` with the original's default where it is another than ours; `None` where it is the same or given.
pub fn with_original_limit(tool: &str, given: &Map<String, Value>) -> Option<Map<String, Value>> {
    let (_, limit) = LIMITS.iter().find(|(name, _)| *name == tool)?;
    if given.contains_key(LIMIT) {
        return None;
    }
    let mut given = given.clone();
    given.insert(LIMIT.into(), (*limit).into());
    Some(given)
}

/// The answer of `tool` as the original shaped it.
pub fn original(tool: &str, mut answer: Value) -> Value {
    to_utc(&mut answer);
    let Some((_, shape, fetched)) = ROWS.iter().find(|(name, ..)| *name == tool) else { return answer };
    let Value::Object(mut members) = answer else { return answer };
    let words = words(&mut members, *fetched);
    members.retain(|name, _| !OURS.contains(&name.as_str()));
    match shape {
        Shape::Bare(list) => marked(members.remove(*list).unwrap_or_default(), &words),
        Shape::Whole => {
            members.extend(words);
            members.into()
        }
        Shape::Task => unix_times(members.into()),
        Shape::Tasks(list) => match members.remove(*list).unwrap_or_default() {
            Value::Array(tasks) => tasks.into_iter().map(unix_times).collect(),
            other => other,
        },
        Shape::Lists => members.into_iter().map(|(name, value)| (name, marked(value, &words))).collect::<Map<_, _>>().into(),
    }
}

/// A task with its times in seconds since 1970.
fn unix_times(mut task: Value) -> Value {
    for name in TIMES {
        if let Some(time) = task.get_mut(name)
            && let Some(at) = time.as_str().and_then(|at| at.parse::<jiff::Timestamp>().ok())
        {
            *time = at.as_duration().as_secs_f64().into();
        }
    }
    task
}

/// Takes our words out and gives the original's.
fn words(members: &mut Map<String, Value>, fetched: Fetched) -> Map<String, Value> {
    let (status, as_of) = (members.shift_remove(STATUS), members.shift_remove(AS_OF));
    let live = match fetched {
        Fetched::Unsaid => return Map::new(),
        Fetched::Miss => "miss",
        Fetched::Fresh => "fresh",
    };
    let word = match status.as_ref().and_then(Value::as_str) {
        Some("fresh") => "fresh",
        Some("stale" | "stale_if_error") => "stale",
        Some(_) => live,
        None => return Map::new(),
    };
    let mut words = Map::new();
    words.insert(STATUS.into(), word.into());
    words.insert(AS_OF.into(), as_of.unwrap_or_default());
    words
}

/// A list with the words in each of its items.
fn marked(list: Value, words: &Map<String, Value>) -> Value {
    match list {
        Value::Array(mut items) => {
            for item in items.iter_mut().filter_map(Value::as_object_mut) {
                item.extend(words.clone());
            }
            items.into()
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::tools::{Args, Effect, find, original_tests::ORIGINAL};

    const AT: &str = "2026-11-20T10:00:00.000Z";

    fn cached(status: &str, more: Value) -> Value {
        let mut answer = json!({"_cache_status": status, "_cached_at": AT});
        answer.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        answer
    }

    #[test]
    fn limits_are_the_original_s_where_none_is_given() {
        for (tool, limit) in LIMITS {
            let row = find(tool).unwrap();
            let needed = if tool.starts_with("search") { json!({"account_id": "a", "query": "q"}) } else { json!({"account_id": "a"}) };
            let needed = needed.as_object().unwrap();
            let theirs = Args::check(row, &with_original_limit(tool, needed).unwrap()).unwrap().count(LIMIT);
            assert_eq!(theirs as u64, *limit, "{tool}");
            assert!(Args::check(row, needed).unwrap().count(LIMIT) < theirs, "{tool}: it is ours, too");
        }
        assert_eq!(with_original_limit("search_emails", json!({"limit": 3}).as_object().unwrap()), None);
        assert_eq!(with_original_limit("email_list", &Map::new()), None);
    }

    #[test]
    fn lists_are_bare_and_their_items_say_how_old_they_are() {
        let list = |status| cached(status, json!({"messages": [{"id": "a"}, {"id": "b"}], "complete": false, "next_cursor": "c"}));
        let item = |id: &str, word: &str| json!({"id": id, "_cache_status": word, "_cached_at": AT});
        for (ours, word) in [("miss", "miss"), ("bypass", "miss"), ("fresh", "fresh"), ("stale", "stale"), ("stale_if_error", "stale")] {
            assert_eq!(original("email_list", list(ours)), json!([item("a", word), item("b", word)]), "{ours}");
        }
        assert_eq!(original("search_emails", list("miss"))[0]["_cache_status"], "fresh", "the other word for it");
        assert_eq!(original("account_list", json!({"accounts": [{"username": "a"}], "complete": true})), json!([{"username": "a"}]));
        assert_eq!(original("emailrules_list", cached("fresh", json!({"rules": [{"id": "r"}], "complete": true}))), json!([{"id": "r"}]));
    }

    #[test]
    fn objects_keep_their_members() {
        let tree = cached("miss", json!({"root_folder_id": "r", "folders": [{"id": "f"}], "complete": true, "_warning": "old"}));
        let expected = json!({"root_folder_id": "r", "folders": [{"id": "f"}], "_cache_status": "miss", "_cached_at": AT});
        assert_eq!(original("folder_get_tree", tree), expected);
        assert_eq!(original("folder_get", cached("fresh", json!({"id": "f"}))), json!({"id": "f"}), "the original did not cache it");
        let all = cached("bypass", json!({"message": [{"id": "m"}], "event": [], "complete": true}));
        let item = json!({"id": "m", "_cache_status": "fresh", "_cached_at": AT});
        assert_eq!(original("search_unified", all), json!({"message": [item], "event": []}));
        let free = json!({"everyone_free": [], "value": [{"scheduleId": "a"}], "timezone": "UTC", "_untrusted": "x"});
        assert_eq!(original("calendar_get_free_busy", free), json!({"value": [{"scheduleId": "a"}]}));
        let same = json!({"status": "sent"});
        assert_eq!(original("email_send", same.clone()), same);
    }

    #[test]
    fn times_of_mail_are_graph_s() {
        let (ours, graphs) = ("2026-11-20T10:00:00+01:00", "2026-11-20T09:00:00Z");
        let list = json!({"messages": [{"id": "m", "receivedDateTime": ours}], "complete": true});
        assert_eq!(original("email_list", list), json!([{"id": "m", "receivedDateTime": graphs}]));
        assert_eq!(original("email_get", json!({"sentDateTime": ours, "subject": ours})), json!({"sentDateTime": graphs, "subject": ours}));
        assert_eq!(
            original("search_unified", json!({"message": [{"receivedDateTime": ours}]})),
            json!({"message": [{"receivedDateTime": graphs}]})
        );
    }

    #[test]
    fn times_of_tasks_are_unix_times() {
        let task = json!({"task_id": "t", "created_at": "1970-01-01T00:01:01.500Z", "started_at": null});
        let expected = json!({"task_id": "t", "created_at": 61.5, "started_at": null});
        assert_eq!(original("cache_task_get_status", task.clone()), expected);
        assert_eq!(original("cache_task_list", json!({"tasks": [task], "complete": true})), json!([expected]));
    }

    /// A read that is cached here and has no row would answer in our shape.
    #[test]
    fn every_cached_read_of_the_original_has_a_row() {
        for (name, _) in ORIGINAL {
            let Ok(tool) = find(name) else { continue };
            let cached = matches!(tool.effect, Effect::Read { ttl: Ok(_), .. });
            assert!(!cached || ROWS.iter().any(|(row, ..)| *row == name), "{name} has no row");
        }
        for (name, ..) in ROWS {
            assert!(find(name).is_ok(), "{name}");
        }
    }
}
