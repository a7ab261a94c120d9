//! Refresh: a stale answer is renewed once for everybody, and what has not changed costs one small request.

use std::time::Duration;

use m365_cached_checks::support::{
    PATIENCE,
    mcp::{ERAS, Era, Mcp},
    stopwatch,
    world::{ALEX, Setup, World},
};
use m365_cached_tenant::{At, Effect, Fault, Wait};
use serde_json::{Value, json};

const LIST: &str = "GET /me/mailFolders/{id}/messages";
const MAIL_DELTA: &str = "GET /me/mailFolders/{id}/messages/delta";
const CONTACT_DELTA: &str = "GET /me/contactFolders/{id}/contacts/delta";
const DRIVE_DELTA: &str = "GET /me/drive/root/delta";

fn stopped() -> World {
    World::with(Setup { accounts: &[ALEX], stopped_clock: true, graph_ids: true, ..Setup::default() }).unwrap()
}

/// Requests by route, but for the one that ends with `/delta` where its beginning has another route's name.
fn asked(world: &World, route: &str) -> u64 {
    world.control().stats().routes.get(route).copied().unwrap_or_default()
}

/// Asks until the answer is fresh: the refresh has been stored.
fn until_fresh(client: &mut Mcp, tool: &str, arguments: &Value) -> Value {
    let deadline = stopwatch::now() + PATIENCE;
    loop {
        let answer = client.call(tool, arguments).unwrap();
        if answer.cache_status().unwrap() == "fresh" {
            return answer.json().unwrap();
        }
        assert!(stopwatch::now() < deadline, "{tool} stays stale");
    }
}

#[test]
fn a_stale_answer_is_renewed_once_however_many_clients_ask() {
    let world = stopped();
    let question = json!({"account_id": world.ids[0], "folder": "inbox", "limit": 5});
    let mut clients: Vec<Mcp> = (0..6).map(|nth| world.client(ERAS[nth % 2]).unwrap()).collect();
    clients[0].call("email_list", &question).unwrap().json().unwrap();
    later(&world, 130);
    let hold = world.control().fault(Fault::always(LIST, Effect::Hold { at: At::Before }));
    // All get what there is, at once, while the one refresh is under way.
    for round in 0..3 {
        for client in &mut clients {
            assert_eq!(client.call("email_list", &question).unwrap().cache_status().unwrap(), "stale", "round {round}");
        }
    }
    assert!(world.block_on(world.control().wait(&Wait { route: LIST.into(), concurrent: 1, ..Wait::default() })).reached);
    world.control().release(Some(hold));
    for client in &mut clients {
        until_fresh(client, "email_list", &question);
    }
    assert_eq!(asked(&world, LIST), 2);
}

/// Moves the clock on when nothing is left to be done in the background.
fn later(world: &World, seconds: u64) {
    world.until_idle().unwrap();
    world.advance(Duration::from_secs(seconds)).unwrap();
}

/// Everything that shows a folder of mail: three lists and two messages.
fn folder_in_use(world: &World, client: &mut Mcp) -> Vec<(&'static str, Value)> {
    let account = &world.ids[0];
    // None of them holds another's answer.
    let list = |length: u64| ("email_list", json!({"account_id": account, "folder": "inbox", "limit": 10, "body_max_length": length}));
    let mut questions = vec![list(100), list(60), list(40)];
    let shown = client.call("email_list", &questions[0].1).unwrap().json().unwrap();
    for nth in [0, 1] {
        questions.push(("email_get", json!({"account_id": account, "email_id": shown["messages"][nth]["id"]})));
    }
    // Used for a quarter of an hour, after which a walk of the folder has proved worth its pages.
    for _ in 0..8 {
        for (tool, arguments) in &questions {
            until_fresh(client, tool, arguments);
        }
        later(world, 130);
    }
    // The messages were first read before the token; now they are read after it.
    later(world, 901);
    for (tool, arguments) in &questions {
        until_fresh(client, tool, arguments);
    }
    questions
}

#[test]
fn a_mail_folder_in_use_costs_one_small_request_while_nothing_changes() {
    let world = stopped();
    let mut client = world.client(Era::Legacy).unwrap();
    let questions = folder_in_use(&world, &mut client);
    let walks = asked(&world, MAIL_DELTA);
    assert!(walks >= 1, "no token was taken");
    // Later than any of them may be served without a word from Microsoft.
    for hours in 1..=3 {
        later(&world, 3700);
        let before = world.control().stats().requests;
        for (tool, arguments) in &questions {
            assert_eq!(client.call(tool, arguments).unwrap().cache_status().unwrap(), "fresh", "{tool} {arguments} after {hours} h");
        }
        assert_eq!(world.control().stats().requests - before, 1, "one for all of the folder");
        assert_eq!(asked(&world, MAIL_DELTA), walks + hours);
    }
    // Something comes: the lists are fetched again, the messages are as they were.
    world.control().change(&json!({"verb": "new_message", "subject": "just arrived"})).unwrap();
    later(&world, 3700);
    let before = world.control().stats().requests;
    let list = client.call("email_list", &questions[0].1).unwrap().json().unwrap();
    assert_eq!((&list["messages"][0]["subject"], &list["_cache_status"]), (&json!("just arrived"), &json!("miss")));
    for (tool, arguments) in &questions[3..] {
        assert_eq!(client.call(tool, arguments).unwrap().cache_status().unwrap(), "fresh");
    }
    assert_eq!(world.control().stats().requests - before, 3, "the check, the list and, once an hour, the zone of its times");
}

#[test]
fn a_token_that_microsoft_has_forgotten_costs_one_request_and_no_answer() {
    let mut world = stopped();
    world.expect_log("Graph");
    let mut client = world.client(Era::Legacy).unwrap();
    let questions = folder_in_use(&world, &mut client);
    world.control().change(&json!({"verb": "expire_delta_tokens"})).unwrap();
    later(&world, 3700);
    let before = world.control().stats().requests;
    for (tool, arguments) in &questions {
        // The first list brings its messages along.
        let expected = if *tool == "email_list" { "miss" } else { "fresh" };
        assert_eq!(client.call(tool, arguments).unwrap().cache_status().unwrap(), expected, "{tool}");
    }
    assert_eq!(world.control().stats().requests - before, 1 + 3 + 1, "the refused check, three lists and, once an hour, the zone");
}

#[test]
fn a_contact_folder_in_use_costs_one_small_request_while_nothing_changes() {
    let world = stopped();
    let mut client = world.client(Era::Modern).unwrap();
    let account = &world.ids[0];
    // So long that it brings no contacts along.
    let list = ("contact_list", json!({"account_id": account, "limit": 60}));
    let shown = client.call(list.0, &list.1).unwrap().json().unwrap()["contacts"].clone();
    let contact = |nth: usize| ("contact_get", json!({"account_id": account, "contact_id": shown[nth]["id"]}));
    let questions = [list, contact(0), contact(1), contact(2)];
    // Each time they have all grown old together, which a token would have told of with one request.
    for _ in 0..4 {
        for (tool, arguments) in &questions {
            until_fresh(&mut client, tool, arguments);
        }
        later(&world, 1900);
    }
    for (tool, arguments) in &questions {
        until_fresh(&mut client, tool, arguments);
    }
    assert!(asked(&world, CONTACT_DELTA) >= 1, "no token was taken");
    let figures = |world: &World| {
        let stats = world.ctl_json(&["stats", "--period", "all"]).unwrap();
        ["graph_requests", "saved_graph_calls"].map(|name| stats[name].as_u64().unwrap())
    };
    // Asks all again, later than any of them may be served without a word from Microsoft; what it costs, and what it is said to.
    let mut all = |expected: [&str; 4]| {
        later(&world, 5 * 3600);
        let (before, [made, saved]) = (world.control().stats().requests, figures(&world));
        let answers: Vec<Value> = questions.iter().map(|(tool, arguments)| client.call(tool, arguments).unwrap().json().unwrap()).collect();
        let statuses: Vec<&str> = answers.iter().map(|answer| answer["_cache_status"].as_str().unwrap()).collect();
        assert_eq!(statuses, expected);
        let (cost, [made_then, saved_then]) = (world.control().stats().requests - before, figures(&world));
        assert_eq!(made_then - made, cost, "what is asked is counted");
        (cost, saved_then - saved, answers)
    };
    for _ in 0..2 {
        let (cost, saved, _) = all(["fresh"; 4]);
        assert_eq!((cost, saved), (1, 3), "four answers for one request");
    }
    // Somebody changes what no list shows, and somebody new comes.
    world.control().change(&json!({"verb": "update_contact", "id": shown[1]["id"], "jobTitle": "Head of Weather"})).unwrap();
    let (cost, _, answers) = all(["miss", "fresh", "miss", "fresh"]);
    // One check, two answers, and the clock of the mailbox's owner, by which a contact's times are shown.
    assert_eq!((cost, &answers[2]["jobTitle"]), (4, &json!("Head of Weather")));
    world.control().change(&json!({"verb": "new_contact", "displayName": "Aaron Aardvark"})).unwrap();
    let (cost, _, answers) = all(["miss", "fresh", "fresh", "fresh"]);
    assert_eq!((cost, &answers[0]["contacts"][0]["displayName"]), (3, &json!("Aaron Aardvark")));
}

#[test]
fn a_drive_in_use_costs_one_small_request_while_nothing_changes() {
    let world = stopped();
    let mut client = world.client(Era::Modern).unwrap();
    let account = &world.ids[0];
    let questions = [
        ("folder_get_tree", json!({"account_id": account})),
        ("file_list", json!({"account_id": account})),
        ("folder_list", json!({"account_id": account})),
    ];
    for (tool, arguments) in &questions {
        client.call(tool, arguments).unwrap().json().unwrap();
    }
    let walks = asked(&world, DRIVE_DELTA);
    for hours in [3, 30] {
        // More than a day after its fetch an answer is looked at itself.
        later(&world, hours * 3600);
        let before = world.control().stats().requests;
        let expected = if hours < 24 { "fresh" } else { "miss" };
        for (tool, arguments) in &questions {
            assert_eq!(client.call(tool, arguments).unwrap().cache_status().unwrap(), expected, "{tool} after {hours} h");
        }
        if hours < 24 {
            assert_eq!(world.control().stats().requests - before, 1);
            assert_eq!(asked(&world, DRIVE_DELTA), walks + 1);
        }
    }
}
