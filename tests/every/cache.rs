//! The cache's own tools and the server's version. They ask nothing of Microsoft.

use std::time::Duration;

use m365_cached_checks::support::{
    mcp::Era,
    world::{ALEX, Setup, World},
};
use m365_cached_tenant::{At, Effect, Fault};
use serde_json::{Value, json};

use super::{
    desk::Desk,
    row::{Fails, Row, try_all},
};

pub(super) const ROWS: &[Row] = &[
    Row {
        tool: "cache_get_stats",
        works: stats,
        wrong: &[
            (r#"{"account_id": "x"}"#, "unknown_account"),
            (r#"{"period": "year"}"#, "invalid_argument"),
            (r#"{"perod": "day"}"#, "unknown_argument"),
        ],
        fails: Fails::Own(|desk| asks_nobody(desk, "cache_get_stats", &json!({}))),
    },
    Row {
        tool: "cache_invalidate",
        works: invalidate,
        wrong: &[
            ("{}", "missing_argument"),
            (r#"{"pattern": "a:b:c:d:e:f"}"#, "invalid_pattern"),
            (r#"{"pattern": "*", "account_id": "nobody@contoso.example"}"#, "unknown_account"),
        ],
        fails: Fails::Own(|desk| asks_nobody(desk, "cache_invalidate", &json!({"pattern": "email_list:*"}))),
    },
    Row {
        tool: "cache_task_list",
        works: tasks,
        wrong: &[
            (r#"{"status": "lost"}"#, "invalid_argument"),
            (r#"{"limit": 501}"#, "invalid_argument"),
            (r#"{"account_id": "nobody@contoso.example"}"#, "unknown_account"),
        ],
        fails: Fails::Own(|desk| asks_nobody(desk, "cache_task_list", &json!({}))),
    },
    Row {
        tool: "cache_task_get_status",
        // Beside its list, which names the task.
        works: tasks,
        wrong: &[("{}", "missing_argument"), (r#"{"task_id": "none"}"#, "unknown_task")],
        fails: Fails::Own(|desk| assert_eq!(desk.refused("cache_task_get_status", &json!({"task_id": ALEX})), "unknown_task")),
    },
    Row {
        tool: "cache_warming_status",
        works: |desk| {
            let status = desk.done("cache_warming_status", json!({}));
            assert!(status["is_warming"].is_boolean() && status["operations_total"].is_number(), "{status}");
        },
        wrong: &[(r#"{"x": 1}"#, "unknown_argument")],
        fails: Fails::Own(|desk| asks_nobody(desk, "cache_warming_status", &json!({}))),
    },
    Row {
        tool: "server_get_version",
        works: |desk| {
            let said = desk.done("server_get_version", json!({}));
            assert_eq!((&said["package"], &said["version"]), (&json!("m365-cached"), &json!(env!("CARGO_PKG_VERSION"))));
        },
        wrong: &[(r#"{"x": 1}"#, "unknown_argument")],
        fails: Fails::Own(|desk| asks_nobody(desk, "server_get_version", &json!({}))),
    },
];

#[test]
fn each_tool_of_the_cache_works_refuses_and_fails_as_it_should() {
    try_all(&[], ROWS);
}

/// It works although Graph refuses everything, and does not ask.
fn asks_nobody(desk: &mut Desk, tool: &str, given: &Value) {
    let before = desk.world.control().stats().requests;
    desk.world.control().fault(Fault::always("/", Effect::Reset { at: At::Before }));
    desk.done(tool, given.clone());
    desk.world.control().clear_faults(None);
    assert_eq!(desk.world.control().stats().requests, before, "{tool} asks Microsoft");
}

fn status(desk: &mut Desk, given: &Value) -> String {
    desk.call("email_list", given).cache_status().unwrap()
}

fn stats(desk: &mut Desk) {
    let count = |desk: &mut Desk| desk.done("cache_get_stats", json!({}));
    let before = count(desk);
    desk.done("email_list", json!({}));
    desk.seen("email_list", json!({}));
    let after = count(desk);
    let number = |stats: &Value, pointer: &str| stats.pointer(pointer).and_then(Value::as_u64).unwrap_or_default();
    for (pointer, more) in [("/by_resource/email_list/entry_count", 1), ("/hit_count", 1), ("/miss_count", 1)] {
        assert_eq!(number(&after, pointer), number(&before, pointer) + more, "{pointer}: {after}");
    }
    assert!(number(&after, "/total_bytes") > 0, "{after}");
}

fn invalidate(desk: &mut Desk) {
    let (one, two) = (json!({"folder": "archive"}), json!({"folder": "sent"}));
    for given in [&one, &two] {
        desk.done("email_list", given.clone());
        assert_eq!(status(desk, given), "fresh");
    }
    let gone = desk.done("cache_invalidate", json!({"pattern": "email_list:*:folder=archive", "account_id": ALEX, "reason": "a test"}));
    assert_eq!((&gone["entries_deleted"], &gone["reason"]), (&json!(2), &json!("a test")), "the list, and what it has left out");
    assert_eq!((status(desk, &one), status(desk, &two)), ("miss".into(), "fresh".into()));
}

/// A stale answer is renewed by a task, which the tools show with what was asked for and never with what was answered.
fn tasks(_: &mut Desk) {
    let world = World::with(Setup { accounts: &[ALEX], stopped_clock: true, ..Setup::default() }).unwrap();
    let mut client = world.client(Era::Legacy).unwrap();
    let mut ask = |tool: &str, given: Value| client.call(tool, &given).unwrap().json().unwrap();
    let list = json!({"account_id": world.ids[0], "limit": 3});
    ask("email_list", list.clone());
    assert_eq!(ask("cache_task_list", json!({}))["tasks"], json!([]));
    world.advance(Duration::from_secs(300)).unwrap();
    assert_eq!(ask("email_list", list)["_cache_status"], "stale");
    let reached = |ask: &mut dyn FnMut(&str, Value) -> Value, status: &str| {
        let tasks = ask("cache_task_list", json!({"account_id": ALEX, "status": status}));
        tasks["tasks"].as_array().unwrap().first().cloned()
    };
    let deadline = m365_cached_checks::support::stopwatch::now() + m365_cached_checks::support::PATIENCE;
    let task = loop {
        if let Some(task) = reached(&mut ask, "completed") {
            break task;
        }
        assert!(m365_cached_checks::support::stopwatch::now() < deadline, "no task was completed");
    };
    assert_eq!((&task["operation"], &task["parameters"]["limit"], &task["error"]), (&json!("email_list"), &json!(3), &Value::Null));
    let one = ask("cache_task_get_status", json!({"task_id": task["task_id"]}));
    assert_eq!(one, task);
    assert_eq!(ask("cache_task_list", json!({"status": "failed"}))["tasks"], json!([]));
}
