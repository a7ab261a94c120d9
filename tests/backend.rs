//! `store.backend`: where answers are kept is chosen; accounts and tokens stay in the encrypted file.

use m365_cached_checks::support::{
    PATIENCE,
    mcp::Era,
    stopwatch,
    world::{ALEX, World},
};
use serde_json::{Value, json};

/// Answers of different tools, and how each came.
fn ask(world: &World) -> Vec<(String, Value)> {
    let mut client = world.client(Era::Legacy).unwrap();
    let account = json!({"account_id": ALEX});
    ["email_list", "folder_get_tree", "contact_list", "file_list"]
        .map(|tool| client.call(tool, &account).unwrap())
        .map(|answer| (answer.cache_status().unwrap(), answer.plain().unwrap()))
        .to_vec()
}

fn all(answers: &[(String, Value)], status: &str) -> bool {
    answers.iter().all(|(known, _)| known == status)
}

fn restart(world: &mut World, backend: &str) {
    world.stop_daemon().unwrap();
    world.words = vec!["--set".into(), format!("store.backend={backend}")];
    world.start_daemon().unwrap();
}

fn store(world: &World) -> Value {
    world.ctl_json(&["status"]).unwrap()["store"].clone()
}

#[test]
fn in_memory_answers_end_with_the_daemon_and_never_reach_the_file() {
    let mut world = World::start().unwrap();
    restart(&mut world, "memory");
    let asked = ask(&world);
    assert!(all(&asked, "miss"));
    let before = world.control().stats().requests;
    let again = ask(&world);
    assert!(all(&again, "fresh"));
    assert_eq!(world.control().stats().requests, before);
    assert_eq!(asked.iter().map(|(_, answer)| answer).collect::<Vec<_>>(), again.iter().map(|(_, answer)| answer).collect::<Vec<_>>());
    let held = store(&world);
    assert_eq!((&held["backend"], held["healthy"].as_bool()), (&json!("memory"), Some(true)), "{held}");
    assert!(held["entries"].as_u64() >= Some(4), "an answer each, and what cursors need: {held}");
    assert!(held["path"].as_str().unwrap().ends_with("cache.db") && held["schema"].as_u64() > Some(0), "the ledger is in the file: {held}");

    // The same backend begins cold, and the account is signed in still.
    restart(&mut world, "memory");
    assert!(all(&ask(&world), "miss"));
    // The other one finds nothing in the file.
    restart(&mut world, "sqlcipher");
    assert_eq!(store(&world)["entries"], 0);
    assert!(all(&ask(&world), "miss"));
}

#[test]
fn answers_that_lie_in_the_file_are_removed_from_it() {
    let mut world = World::start().unwrap();
    ask(&world);
    assert!(store(&world)["entries"].as_u64() >= Some(4));
    restart(&mut world, "memory");
    let deadline = stopwatch::now() + PATIENCE;
    while !world.daemon().log().unwrap().contains("answers of the encrypted file were removed") {
        assert!(stopwatch::now() < deadline, "the file was not emptied");
        std::thread::yield_now();
    }
    restart(&mut world, "sqlcipher");
    assert_eq!(store(&world)["entries"], 0);
}

#[test]
fn in_memory_a_write_is_seen_and_an_account_is_forgotten() {
    let mut world = World::start().unwrap();
    restart(&mut world, "memory");
    let mut client = world.client(Era::Modern).unwrap();
    let inbox = json!({"account_id": ALEX, "folder": "inbox"});
    let list = client.call("email_list", &inbox).unwrap().json().unwrap();
    let message = list["messages"][0]["id"].as_str().unwrap();
    let arguments = json!({"account_id": ALEX, "email_id": message, "destination_folder": "archive"});
    client.call("email_move", &arguments).unwrap().json().unwrap();
    let list = client.call("email_list", &inbox).unwrap();
    assert_eq!(list.cache_status().unwrap(), "miss", "the write overtook it");
    assert!(!list.text.contains(message));
    assert_eq!(world.ctl_json(&["invalidate", "email_list"]).unwrap()["entries_deleted"], 2, "the list, and what it has left out");
    client.call("email_list", &inbox).unwrap();
    world.ctl(&["logout", ALEX, "--yes"]).unwrap().ok().unwrap();
    assert_eq!(store(&world)["entries"], 0);
    world.sign_in(ALEX).unwrap();
    assert_eq!(client.call("email_list", &inbox).unwrap().cache_status().unwrap(), "miss");
}
