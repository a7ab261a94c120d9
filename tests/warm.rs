//! `m365-cachectl warm`: a person asks for the usual answers ahead of use.

use m365_cached_checks::support::{
    mcp::Era,
    world::{ALEX, BEA, Setup, World},
};
use m365_cached_tenant::{At, Effect, Fault, Wait};
use serde_json::json;

const TREE: &str = "GET /me/drive/root/delta";
const CONTACTS: &str = "GET /me/contacts";
const USUAL: [&str; 3] = ["folder_get_tree", "email_list", "contact_list"];

/// One whose cache is not warmed by itself.
fn world(accounts: &'static [&'static str]) -> World {
    World::with(Setup { accounts, ..Setup::default() }).unwrap()
}

#[test]
fn it_waits_until_the_usual_calls_are_fresh_and_leaves_fresh_ones_as_they_are() {
    let world = world(&[ALEX, BEA]);
    let mut client = world.client(Era::Modern).unwrap();
    client.call("email_list", &json!({"account_id": world.ids[0]})).unwrap().json().unwrap();
    let said = world.ctl(&["--json", "warm", ALEX, "--wait"]).unwrap().ok().unwrap();
    assert_eq!(said.json().unwrap(), json!({"accounts": 1, "asked": 2, "fresh": 1, "fetched": 2, "failed": 0, "ended": true}));
    assert!(said.stderr.contains("1 of 3 answers") && said.stderr.contains("3 of 3 answers"), "{said:?}");
    let before = world.control().stats().requests;
    for tool in USUAL {
        let answer = client.call(tool, &json!({"account_id": world.ids[0]})).unwrap();
        assert_eq!(answer.cache_status().unwrap(), "fresh", "{tool}");
    }
    assert_eq!(world.control().stats().requests, before);
    assert_eq!(client.call("contact_list", &json!({"account_id": world.ids[1]})).unwrap().cache_status().unwrap(), "miss");
    let said = world.ctl(&["warm", "--wait"]).unwrap().ok().unwrap();
    assert_eq!(said.stdout, "2 answers fetched, 4 fresh already (accounts: 2)\n");
    assert_eq!(world.ctl_json(&["status"]).unwrap()["warming"]["enabled"], false, "it goes on as it is set");
}

#[test]
fn without_waiting_it_tells_how_many_were_asked_for() {
    let world = world(&[ALEX]);
    let hold = world.control().fault(Fault::always(TREE, Effect::Hold { at: At::Before }));
    let begun = world.ctl_json(&["warm"]).unwrap();
    assert_eq!((&begun["asked"], &begun["fresh"], &begun["ended"]), (&json!(3), &json!(0), &json!(false)), "{begun}");
    assert!(world.block_on(world.control().wait(&Wait { route: TREE.into(), concurrent: 1, ..Wait::default() })).reached);
    let status = world.until(|status| status["warming"]["done"] == 2).unwrap();
    assert_eq!((&status["warming"]["running"], &status["warming"]["total"]), (&json!(true), &json!(3)), "{status}");
    world.control().release(Some(hold));
    world.until(|status| status["warming"]["running"] == false && status["warming"]["done"] == 3).unwrap();
}

#[test]
fn what_cannot_be_had_decides_the_exit_code() {
    let mut world = world(&[ALEX]);
    world.expect_log("Graph");
    let refused = Effect::Status { status: 403, code: "ErrorAccessDenied".into(), message: None, retry_after: None };
    world.control().fault(Fault::always(CONTACTS, refused));
    let said = world.ctl(&["warm", "--wait"]).unwrap();
    assert_eq!((said.code, said.stdout.lines().count()), (Some(6), 2), "{said:?}");
    assert!(said.stdout.contains("failed: 1;") && said.stderr.contains("1 failed"), "{said:?}");
    let said = world.ctl(&["--json", "warm", "--wait"]).unwrap();
    assert_eq!((said.code, &said.json().unwrap()["failed"]), (Some(6), &json!(1)), "{said:?}");
    assert_eq!(world.ctl(&["warm", "nobody"]).unwrap().code, Some(3));
}
