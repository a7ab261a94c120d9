//! Somebody who waits for an answer that the background has begun to fetch does not wait in its line.

use std::time::Duration;

use m365_cached_checks::support::{
    PATIENCE,
    mcp::{Era, Mcp},
    stopwatch,
    world::{ALEX, Setup, World},
};
use m365_cached_tenant::{At, Effect, Fault, Wait};
use serde_json::{Value, json};

const LIST: &str = "GET /me/mailFolders/{id}/messages";
const TREE: &str = "GET /me/drive/root/delta";
const CONTACTS: &str = "GET /me/contacts";

/// One request at a time, so that everything but one waits; a worker for each task.
const CONFIG: &str = "[graph]\nconcurrency = 1\n[worker]\ncount = 3\n\
    [cache.tools.email_list]\nfresh = 1\n[cache.tools.folder_get_tree]\nfresh = 1\n[cache.tools.contact_list]\nfresh = 1\n";

#[test]
fn a_call_that_joins_a_refresh_which_waits_for_its_place_is_next() {
    let world = World::with(Setup { accounts: &[ALEX], config: CONFIG, stopped_clock: true, ..Setup::default() }).unwrap();
    let mut client = world.client(Era::Legacy).unwrap();
    let question = json!({"account_id": world.ids[0]});
    for tool in ["email_list", "folder_get_tree", "contact_list"] {
        client.call(tool, &question).unwrap().json().unwrap();
    }
    // All are old now, and no time passes any more.
    world.advance(Duration::from_secs(2)).unwrap();
    for route in [LIST, TREE, CONTACTS] {
        world.control().fault(Fault::always(route, Effect::Hold { at: At::Before }));
    }
    let before = |route| world.control().stats().count(route);
    let (trees, contacts) = (before(TREE), before(CONTACTS));
    // The refresh of the list has the place; the tree's waits for it before that of the contacts.
    let mut stale = |tool: &str| assert_eq!(client.call(tool, &question).unwrap().cache_status().unwrap(), "stale");
    let arrives =
        |route: &str| world.block_on(world.control().wait(&Wait { route: route.into(), concurrent: 1, ..Wait::default() })).reached;
    stale("email_list");
    assert!(arrives(LIST));
    stale("folder_get_tree");
    world.until(|status| status["graph"]["waiting"] == 1).unwrap();
    stale("contact_list");
    world.until(|status| status["graph"]["waiting"] == 2).unwrap();

    let mut waits = world.client(Era::Modern).unwrap();
    let now = json!({"account_id": world.ids[0], "force_refresh": true});
    let (id, line) = waits.line("tools/call", json!({"name": "contact_list", "arguments": now}));
    waits.send(&line).unwrap();
    until_joined(&world);
    world.control().clear_faults(None);
    for route in [TREE, CONTACTS] {
        world.control().fault(Fault::always(route, Effect::Hold { at: At::Before }));
    }
    assert!(arrives(CONTACTS), "what somebody waits for is not next");
    assert_eq!((before(TREE) - trees, before(CONTACTS) - contacts), (0, 1), "it is one flight, and the tree waits on");
    world.control().clear_faults(None);
    answered(&mut waits, id);
    assert_eq!(before(CONTACTS) - contacts, 1);
    world.until(|status| status["graph"]["waiting"] == 0 && status["graph"]["in_flight"] == 0).unwrap();
}

fn until_joined(world: &World) {
    let deadline = stopwatch::now() + PATIENCE;
    while world.ctl_json(&["stats"]).unwrap()["coalesced"] == 0 {
        assert!(stopwatch::now() < deadline, "the call begins a fetch of its own");
    }
}

fn answered(client: &mut Mcp, id: u64) {
    let reply: Value = client.reply_to(id).unwrap();
    assert_eq!(reply["result"]["isError"], json!(false), "{reply}");
}
