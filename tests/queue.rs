//! The background queue through the real programs: kills, cancelling, sign-outs, throttling.

use std::{sync::Arc, time::Duration};

use m365_cached_checks::{
    campaign::{
        Run,
        queue::{self, Size},
    },
    support::{
        PATIENCE,
        mcp::Era,
        stopwatch,
        world::{ALEX, BEA, Setup, World},
    },
};
use m365_cached_tenant::{At, Effect, Fault, RetryAfter, Wait};
use serde_json::{Value, json};

const LIST: &str = "GET /me/mailFolders/{id}/messages";

/// The short version of `cargo campaign queue --only kills`.
#[test]
fn tasks_survive_kills_and_none_runs_twice_at_once() {
    let mut run = Run::new(&["kills".to_owned()], Duration::from_secs(3600), Arc::default());
    queue::run(&mut run, &Size { tasks: 300, kills: 3, calls: 0, clients: 0 });
    assert_eq!(run.wrong(), [""; 0]);
}

fn stale(stopped_clock: bool) -> World {
    let config = "[cache.tools.email_list]\nfresh = 0\nstale = 86400\n";
    World::with(Setup { accounts: &[ALEX], config, stopped_clock, ..Setup::default() }).unwrap()
}

/// The one task there is, once it is as it must become.
fn task(world: &World, becomes: impl Fn(&Value) -> bool) -> Value {
    let deadline = stopwatch::now() + PATIENCE;
    loop {
        let list = world.ctl_json(&["tasks"]).unwrap();
        if let Some(task) = list["tasks"].get(0)
            && becomes(task)
        {
            return task.clone();
        }
        assert!(stopwatch::now() < deadline, "it stays so: {list}");
    }
}

fn ask_twice(world: &World, between: impl FnOnce()) {
    let mut client = world.client(Era::Legacy).unwrap();
    let question = json!({"account_id": world.ids[0], "folder": "inbox", "limit": 5});
    assert_eq!(client.call("email_list", &question).unwrap().cache_status().unwrap(), "miss");
    between();
    assert_eq!(client.call("email_list", &question).unwrap().cache_status().unwrap(), "stale");
}

#[test]
fn a_running_task_is_cancelled_and_its_request_ends() {
    let world = stale(false);
    ask_twice(&world, || _ = world.control().fault(Fault::always(LIST, Effect::Hold { at: At::Before })));
    let arrived = world.block_on(world.control().wait(&Wait { route: LIST.into(), count: 2, ..Wait::default() }));
    assert!(arrived.reached, "no refresh was begun");
    let running = task(&world, |task| task["status"] == "running");
    let id = running["task_id"].as_str().unwrap();
    assert_eq!(world.ctl_json(&["tasks", "cancel", id]).unwrap()["task_id"], id);
    let ended = task(&world, |task| task["status"] == "cancelled");
    assert_eq!((&ended["retry_count"], &ended["result"]), (&json!(0), &Value::Null));
    let deadline = stopwatch::now() + PATIENCE;
    while world.control().stats().concurrent(LIST) > 0 {
        assert!(stopwatch::now() < deadline, "its request goes on");
    }
    let said = world.ctl(&["tasks", "cancel", id]).unwrap();
    assert_eq!(said.code, Some(2), "{said:?}");
    let said = world.ctl(&["tasks", "show", "nobody"]).unwrap();
    assert!(said.code == Some(2) && said.stderr.contains("there is no task of that id"), "{said:?}");
    assert_eq!(world.ctl_json(&["tasks", "show", id]).unwrap()["status"], "cancelled");
    world.control().clear_faults(None);
}

#[test]
fn a_running_task_tells_how_often_microsoft_has_answered() {
    let config = "[cache.tools.emailfolders_get_tree]\nfresh = 0\nstale = 86400\n";
    let world = World::with(Setup { accounts: &[ALEX], config, ..Setup::default() }).unwrap();
    let mut client = world.client(Era::Legacy).unwrap();
    let question = json!({"account_id": world.ids[0]});
    assert_eq!(client.call("emailfolders_get_tree", &question).unwrap().cache_status().unwrap(), "miss");
    // The first level is answered, the second is not.
    let hold = world.control().fault(Fault::always("POST /$batch", Effect::Hold { at: At::Before }));
    assert_eq!(client.call("emailfolders_get_tree", &question).unwrap().cache_status().unwrap(), "stale");
    let running = task(&world, |task| !task["progress"].is_null());
    let told = json!({"done": 1, "total": null, "percent": null, "message": "requests answered by Microsoft"});
    assert_eq!((&running["status"], &running["progress"]), (&json!("running"), &told));
    world.control().release(Some(hold));
    task(&world, |task| task["status"] == "completed");
}

#[test]
fn as_many_tasks_run_as_there_are_workers() {
    const FOLDERS: [&str; 3] = ["inbox", "sent", "archive"];
    let config = "[worker]\ncount = 3\n[cache.tools.email_list]\nfresh = 0\nstale = 86400\n";
    // Of two mailboxes, so that it is the workers and not a mailbox's budget that bound them.
    let world = World::with(Setup { accounts: &[ALEX, BEA], config, ..Setup::default() }).unwrap();
    let mut client = world.client(Era::Legacy).unwrap();
    // And of different folders: the lengths of one question are refreshed at once.
    let question = |nth: usize| json!({"account_id": world.ids[nth % 2], "folder": FOLDERS[nth / 2]});
    let questions: Vec<Value> = (0..6).map(question).collect();
    let mut ask = |status: &str| {
        for question in &questions {
            assert_eq!(client.call("email_list", question).unwrap().cache_status().unwrap(), status, "{question}");
        }
    };
    ask("miss");
    let hold = world.control().fault(Fault::always(LIST, Effect::Hold { at: At::Before }));
    ask("stale");
    assert!(world.block_on(world.control().wait(&Wait { route: LIST.into(), concurrent: 3, ..Wait::default() })).reached);
    let status = world.until(|status| status["queue"]["queued"] == 3).unwrap();
    assert_eq!(status["queue"]["running"], 3, "{status}");
    assert_eq!(world.control().stats().concurrent(LIST), 3);
    world.control().release(Some(hold));
    world.until_idle().unwrap();
    assert_eq!(world.control().stats().count(LIST), 12, "each of them once");
}

#[test]
fn an_account_that_signs_out_takes_its_tasks_along() {
    let world = stale(false);
    ask_twice(&world, || _ = world.control().fault(Fault::always(LIST, Effect::Hold { at: At::Before })));
    task(&world, |task| task["status"] == "running");
    world.ctl_json(&["logout", ALEX, "--yes"]).unwrap();
    assert_eq!(world.ctl_json(&["tasks"]).unwrap()["tasks"], json!([]));
    let deadline = stopwatch::now() + PATIENCE;
    while world.control().stats().concurrent(LIST) > 0 {
        assert!(stopwatch::now() < deadline, "its request goes on");
    }
    world.control().clear_faults(None);
}

#[test]
fn a_task_waits_as_long_as_microsoft_asks_and_counts_that_as_no_retry() {
    let world = stale(true);
    let retry_after = Some(RetryAfter::Seconds(600));
    let throttled = Effect::Status { status: 429, code: "TooManyRequests".into(), message: None, retry_after };
    ask_twice(&world, || {
        world.control().fault(Fault::once(LIST, throttled));
        world.advance(Duration::from_secs(1)).unwrap();
    });
    let waits = task(&world, |task| task["status"] == "queued" && task["error"] == "throttled");
    assert_eq!(waits["retry_count"], 0, "{waits}");
    assert!(waits["not_before"].is_string(), "{waits}");
    // What was asked for, and at most the jitter of a first wait.
    world.advance(Duration::from_secs(599)).unwrap();
    assert_eq!(task(&world, |_| true)["status"], "queued");
    world.advance(Duration::from_secs(12)).unwrap();
    let done = task(&world, |task| task["status"] == "completed");
    assert_eq!(done["retry_count"], 0, "{done}");
}

#[test]
fn trouble_is_tried_three_times_more_and_then_given_up() {
    let mut world = stale(true);
    world.expect_log("Microsoft Graph does not answer");
    let trouble = Effect::Status { status: 500, code: "generalException".into(), message: None, retry_after: None };
    ask_twice(&world, || {
        world.control().fault(Fault::always(LIST, trouble));
        world.advance(Duration::from_secs(1)).unwrap();
    });
    let deadline = stopwatch::now() + PATIENCE;
    let failed = loop {
        let task = task(&world, |_| true);
        if task["status"] == "failed" {
            break task;
        }
        assert!(stopwatch::now() < deadline, "{task}");
        world.advance(Duration::from_secs(20)).unwrap();
    };
    assert_eq!(failed["retry_count"], 3, "{failed}");
    assert!(failed["error"].is_string(), "{failed}");
}
