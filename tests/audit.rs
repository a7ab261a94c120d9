//! The audit trail of a real daemon: what it has of real calls, that it is free of content, and that harm to its files is found.

use std::{fs, os::unix::fs::PermissionsExt as _};

use m365_cached_checks::support::{
    mcp::Era,
    world::{ALEX, BEA, Setup, World},
};
use serde_json::{Value, json};

/// Records as `m365-cachectl` prints them.
fn records(world: &World, words: &[&str]) -> Vec<Value> {
    let words: Vec<&str> = ["--json", "audit"].into_iter().chain(words.iter().copied()).collect();
    let said = world.ctl(&words).unwrap().ok().unwrap();
    said.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn verify(world: &World) -> Value {
    world.ctl(&["--json", "audit", "verify"]).unwrap().json().unwrap()
}

fn kinds(records: &[Value]) -> Vec<(&str, &str)> {
    records.iter().map(|record| (record["kind"].as_str().unwrap(), record["outcome"].as_str().unwrap_or_default())).collect()
}

#[test]
fn every_call_is_in_it_with_who_what_and_how() {
    let world = World::with(Setup { accounts: &[ALEX, BEA], ..Setup::default() }).unwrap();
    let mut client = world.client(Era::Legacy).unwrap();
    let list = client.call("email_list", &json!({"account_id": ALEX, "limit": 3})).unwrap().json().unwrap();
    for _ in 0..5 {
        client.call("email_list", &json!({"account_id": ALEX, "limit": 3})).unwrap();
    }
    let message = list["messages"][0]["id"].as_str().unwrap();
    client.call("email_get", &json!({"account_id": ALEX, "email_id": message})).unwrap();
    client.call("email_mark_read", &json!({"account_id": ALEX, "email_id": message})).unwrap();
    client.call("email_list", &json!({"account_id": BEA, "limit": 3})).unwrap();
    world.ctl_json(&["invalidate", "email_list*", "--account", BEA]).unwrap();

    let all = records(&world, &["-n", "0"]);
    assert_eq!(all.iter().map(|record| record["seq"].as_u64().unwrap()).collect::<Vec<_>>(), (1..=all.len() as u64).collect::<Vec<_>>());
    assert_eq!(kinds(&records(&world, &["--kind", "sign_in"])), [("sign_in", "signed_in"); 2]);
    let writes = records(&world, &["--kind", "write", "--kind", "written"]);
    assert_eq!(kinds(&writes), [("write", ""), ("written", "done")]);
    assert_eq!((&writes[1]["refers"], &writes[0]["tool"]), (&writes[0]["seq"], &json!("email_mark_read")));
    assert_eq!(writes[0]["account"], world.ids[0]);
    let hits = records(&world, &["--tool", "email_list", "--account", ALEX, "--kind", "read"]);
    let times = |outcome: &str| hits.iter().filter(|hit| hit["outcome"] == outcome).map(|hit| hit["times"].as_u64().unwrap()).sum::<u64>();
    assert_eq!((times("miss"), times("fresh")), (1, 5), "{hits:#?}");
    assert!(hits.iter().all(|hit| hit["client"] != "cachectl"), "{hits:#?}");
    // By the id of the message, which is nowhere in the trail.
    let mut touched = records(&world, &["--target", message]);
    // Reads are gathered, so that they may be recorded after a later write; their time tells, unless it is the same millisecond.
    touched.sort_by_key(|record| (record["at"].as_str().unwrap().to_owned(), record["kind"] != "read"));
    assert_eq!(touched.iter().map(|record| record["tool"].as_str().unwrap()).collect::<Vec<_>>(), ["email_get", "email_mark_read"]);
    let gone = records(&world, &["--kind", "invalidation"]);
    // The list, and what it has left out.
    assert_eq!((&gone[0]["account"], &gone[0]["times"], &gone[0]["client"]), (&json!(world.ids[1]), &json!(2), &json!("cachectl")));
    assert!(records(&world, &["--until", "1h"]).is_empty() && records(&world, &["--since", "1h", "-n", "2"]).len() == 2);

    let text = serde_json::to_string(&all).unwrap();
    for content in [ALEX, BEA, message, list["messages"][0]["subject"].as_str().unwrap()] {
        assert!(!text.contains(content), "{content} is in the trail");
    }
    let verified = verify(&world);
    assert_eq!((&verified["holds"], &verified["records"]), (&json!(true), &json!(all.len())), "{verified}");
    for (words, code) in [(["audit", "--kind", "secret"], "unknown_kind"), (["audit", "--since", "soon"], "malformed_time")] {
        let said = world.ctl(&[&["--json"], &words[..]].concat()).unwrap();
        assert_eq!((said.code, said.json().unwrap()["error"]["code"].as_str()), (Some(2), Some(code)));
    }
}

#[test]
fn it_outlives_a_kill_and_holds() {
    let mut world = World::start().unwrap();
    let mut noted = String::new();
    for round in 0..3 {
        let mut client = world.client(Era::Legacy).unwrap();
        for limit in 1..4 {
            client.call("email_list", &json!({"account_id": ALEX, "limit": limit + round * 10})).unwrap().json().unwrap();
        }
        let verified = verify(&world);
        assert_eq!(verified["holds"], true, "{verified}");
        noted = verified["head"].as_str().unwrap().to_owned();
        drop(client);
        world.kill_daemon().unwrap();
        world.start_daemon().unwrap();
    }
    assert_eq!(verify(&world)["holds"], true);
    let with_head = world.ctl_json(&["audit", "verify", "--head", &noted]).unwrap();
    assert_eq!(with_head["holds"], true, "what was verified before the kill is still there: {with_head}");
}

#[test]
fn a_profile_put_back_to_an_earlier_time_is_found() {
    let mut world = World::start().unwrap();
    world.expect_log("audit trail");
    world.client(Era::Legacy).unwrap().call("email_list", &json!({"account_id": ALEX, "limit": 3})).unwrap();
    world.stop_daemon().unwrap();
    let (database, anchor) = (world.home.database(), world.home.path().join("audit.head"));
    assert_eq!(fs::metadata(&anchor).unwrap().permissions().mode() & 0o777, 0o600);
    let old = [fs::read(&database).unwrap(), fs::read(&anchor).unwrap()];
    world.start_daemon().unwrap();
    world.client(Era::Legacy).unwrap().call("email_mark_read", &json!({"account_id": ALEX, "email_id": first(&world)})).unwrap();
    let noted = verify(&world)["head"].as_str().unwrap().to_owned();
    world.stop_daemon().unwrap();

    // The database alone: found by the copy of its end beside it, and not forgotten by what is recorded later.
    fs::write(&database, &old[0]).unwrap();
    world.start_daemon().unwrap();
    let said = world.ctl(&["--json", "audit", "verify"]).unwrap();
    let verified = said.json().unwrap();
    assert_eq!((said.code, &verified["holds"]), (Some(7), &json!(false)), "{verified}");
    let codes: Vec<&str> = verified["faults"].as_array().unwrap().iter().map(|fault| fault["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["missing", "broken"], "{verified}");
    assert_eq!(kinds(&records(&world, &["--kind", "broken"])), [("broken", "anchor_ahead")]);
    world.stop_daemon().unwrap();

    // Both: good in themselves, and found by a head that was noted elsewhere.
    fs::write(&database, &old[0]).unwrap();
    fs::write(&anchor, &old[1]).unwrap();
    world.start_daemon().unwrap();
    assert_eq!(verify(&world)["holds"], true);
    let said = world.ctl(&["--json", "audit", "verify", "--head", &noted]).unwrap();
    assert_eq!(said.json().unwrap()["faults"][0]["code"], "truncated");
}

/// The id of Alex's newest message.
fn first(world: &World) -> String {
    let list = world.client(Era::Legacy).unwrap().call("email_list", &json!({"account_id": ALEX, "limit": 1})).unwrap().json().unwrap();
    list["messages"][0]["id"].as_str().unwrap().to_owned()
}

#[test]
fn it_is_followed_and_exported() {
    let world = World::start().unwrap();
    let mut tail = m365_cached_checks::support::ctl::start(world.bins, &world.home, &["--json", "audit", "--follow"]).unwrap();
    assert_eq!(tail.event().unwrap().unwrap()["kind"], "sign_in");
    world.client(Era::Legacy).unwrap().call("email_list", &json!({"account_id": ALEX, "limit": 3})).unwrap();
    let seen = tail.event().unwrap().unwrap();
    assert_eq!((&seen["kind"], &seen["tool"], &seen["outcome"]), (&json!("read"), &json!("email_list"), &json!("miss")), "{seen}");

    let file = world.home.path().join("trail.jsonl");
    let path = file.to_str().unwrap();
    let exported = world.ctl_json(&["audit", "export", path]).unwrap();
    let text = fs::read_to_string(&file).unwrap();
    assert_eq!(exported["records"], text.lines().count());
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines, records(&world, &["-n", "0"])[..lines.len()]);
    let again = world.ctl(&["--json", "audit", "export", path]).unwrap();
    assert_eq!((again.code, again.json().unwrap()["error"]["code"].as_str()), (Some(2), Some("file_exists")));
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
    let said = world.ctl(&["audit", "export", "-", "--kind", "sign_in"]).unwrap().ok().unwrap();
    assert_eq!(said.stdout.lines().count(), 1);
}

#[test]
fn reads_are_left_out_where_the_settings_say_so() {
    let world = World::with(Setup { accounts: &[ALEX], config: "[audit]\nreads = false\nkeep = \"30d\"\n", ..Setup::default() }).unwrap();
    world.client(Era::Legacy).unwrap().call("email_list", &json!({"account_id": ALEX, "limit": 3})).unwrap();
    assert_eq!(kinds(&records(&world, &[])), [("sign_in", "signed_in")]);
    let report = world.ctl(&["--json", "compliance"]).unwrap();
    assert_eq!(report.code, Some(7), "a trail without reads is no full one: {report:?}");
    let report = report.json().unwrap();
    let audit = report["safeguards"].as_array().unwrap().iter().find(|one| one["safeguard"] == "audit_trail").unwrap().clone();
    assert_eq!((&audit["holds"], &audit["detail"]["reads"], &audit["detail"]["kept_days"]), (&json!(false), &json!(false), &json!(30)));
}

#[test]
fn what_is_done_while_no_daemon_runs_is_in_it_with_the_next_start() {
    let mut world = crate::import::beside_an_original();
    let pending = world.home.path().join("audit.pending");
    let done = |verb: &str, outcome: &str| (verb.to_owned(), outcome.to_owned());
    let noted = |world: &World| -> Vec<(String, String)> {
        let kinds = ["--kind", "import", "--kind", "repair", "--kind", "key"];
        let of = |record: &Value, name: &str| record[name].as_str().unwrap_or_default().to_owned();
        let all = records(world, &kinds);
        assert!(all.iter().all(|record| record["client"] == "cachectl"), "{all:#?}");
        all.iter().map(|record| (of(record, "tool"), of(record, "outcome"))).collect()
    };
    // Looking is not doing.
    world.ctl_json(&["import", "--dry-run"]).unwrap();
    assert!(!pending.exists());
    assert_eq!(world.ctl(&["import", "--remove", "--yes"]).unwrap().code, Some(2), "there is no copy yet");
    world.ctl_json(&["import"]).unwrap();
    world.ctl_json(&["import", "--remove", "--yes"]).unwrap();
    world.ctl_json(&["repair"]).unwrap();
    assert_eq!(fs::metadata(&pending).unwrap().permissions().mode() & 0o777, 0o600);
    let before = fs::read(&pending).unwrap();
    world.start_daemon().unwrap();
    let expected = [("import --remove", "failed"), ("import", "done"), ("import --remove", "done"), ("repair", "done")];
    let expected: Vec<_> = expected.iter().flat_map(|(verb, end)| [done(verb, "begun"), done(verb, end)]).collect();
    assert_eq!(noted(&world), expected);
    assert!(!pending.exists() && verify(&world)["holds"] == true);

    // Killed before the file was removed: nothing is there twice.
    world.stop_daemon().unwrap();
    fs::write(&pending, before).unwrap();
    world.start_daemon().unwrap();
    assert_eq!(noted(&world), expected);
    assert!(!pending.exists());

    // A new trail begins with what ended the old one.
    world.ctl_json(&["reset", "--yes"]).unwrap();
    world.start_daemon().unwrap();
    assert_eq!(noted(&world), [done("reset", "begun"), done("reset", "done")]);
    assert_eq!(verify(&world)["holds"], true);
}
