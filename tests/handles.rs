//! Handles from outside: short names that stay with their things, whatever happens to clients, the daemon and the things themselves.

use m365_cached_checks::support::{
    mcp::{ERAS, Era, Mcp},
    world::{ALEX, BEA, Setup, World},
};
use serde_json::{Value, json};

fn good(client: &mut Mcp, tool: &str, arguments: &Value) -> Value {
    client.call(tool, arguments).unwrap().json().unwrap()
}

fn code(client: &mut Mcp, tool: &str, arguments: &Value) -> String {
    client.call(tool, arguments).unwrap().fault().unwrap().0
}

/// A small letter and at least nine digits.
fn is_handle(name: &Value, letter: char) -> bool {
    name.as_str().is_some_and(|name| {
        name.starts_with(letter) && name.len() >= 10 && name.len() < 14 && name[1..].bytes().all(|digit| digit.is_ascii_digit())
    })
}

/// Handles and subjects of the newest messages.
fn messages(client: &mut Mcp, account: &str, more: &Value) -> Vec<(String, String)> {
    let mut arguments = json!({"account_id": account, "limit": 10, "include_body": false});
    arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let list = good(client, "email_list", &arguments);
    let text = |message: &Value, name: &str| message[name].as_str().unwrap().to_owned();
    list["messages"].as_array().unwrap().iter().map(|message| (text(message, "id"), text(message, "subject"))).collect()
}

fn truth(world: &World, user: &str) -> Vec<Value> {
    world.control().dump(Some(user), Some("messages")).unwrap()["users"][0]["messages"].as_array().unwrap().clone()
}

#[test]
fn every_kind_of_thing_has_a_handle_and_both_names_are_taken() {
    let world = World::start().unwrap();
    let id = &world.ids[0];
    let mut client = world.client(Era::Legacy).unwrap();
    for (tool, more, list, letter, get, argument) in [
        ("email_list", json!({}), "messages", 'm', "email_get", "email_id"),
        ("emailfolders_list", json!({}), "folders", 'b', "emailfolders_get", "folder_id"),
        ("calendar_list_events", json!({"days_ahead": 30}), "events", 'e', "calendar_get_event", "event_id"),
        ("contact_list", json!({}), "contacts", 'c', "contact_get", "contact_id"),
        ("folder_list", json!({}), "folders", 'f', "folder_get", "folder_id"),
        ("search_emails", json!({"query": "budget"}), "messages", 'm', "email_get", "email_id"),
        ("search_files", json!({"query": "a"}), "files", 'f', "", ""),
        ("calendar_list_calendars", json!({}), "calendars", 'k', "", ""),
    ] {
        let mut arguments = more;
        arguments["account_id"] = json!(id);
        let answer = good(&mut client, tool, &arguments);
        let rows = answer[list].as_array().unwrap_or_else(|| panic!("{tool}: {answer}"));
        assert!(!rows.is_empty() && rows.iter().all(|row| is_handle(&row["id"], letter)), "{tool}: {answer}");
        if !get.is_empty() {
            let got = good(&mut client, get, &json!({"account_id": id, argument: rows[0]["id"]}));
            assert_eq!(got["id"], rows[0]["id"], "{get}");
        }
    }
    // By Microsoft's id: the same answer out of the cache.
    let (handle, subject) = messages(&mut client, id, &json!({}))[0].clone();
    let there = truth(&world, ALEX);
    let real = there.iter().find(|message| message["subject"] == subject).unwrap()["immutableId"].clone();
    let by_handle = good(&mut client, "email_get", &json!({"account_id": id, "email_id": handle}));
    let asked = world.control().stats().requests;
    for era in ERAS {
        let by_id = good(&mut world.client(era).unwrap(), "email_get", &json!({"account_id": id, "email_id": real}));
        assert_eq!((&by_id["id"], &by_id["_cache_status"]), (&by_handle["id"], &json!("fresh")));
    }
    assert_eq!(world.control().stats().requests, asked);
    let address = format!("m365://{id}/messages/{handle}");
    let read = client.request("resources/read", json!({"uri": address})).unwrap();
    assert!(read["result"]["contents"][0]["text"].as_str().unwrap().contains(&handle), "{read}");
}

#[test]
fn a_handle_outlives_refreshes_moves_and_the_daemon() {
    let mut world = World::start().unwrap();
    let id = world.ids[0].clone();
    let mut client = world.client(Era::Legacy).unwrap();
    let before = messages(&mut client, &id, &json!({}));
    assert_eq!(messages(&mut client, &id, &json!({"force_refresh": true})), before);
    let (handle, subject) = before[0].clone();
    let moved = good(&mut client, "email_move", &json!({"account_id": id, "email_id": handle, "destination_folder": "archive"}));
    assert_eq!(moved["new_id"], handle.as_str());
    assert!(messages(&mut client, &id, &json!({})).iter().all(|(name, _)| *name != handle));
    assert!(messages(&mut client, &id, &json!({"folder": "archive"})).contains(&before[0]));
    // The client's shim goes on with the next daemon, and so do the names the client knows.
    world.stop_daemon().unwrap();
    world.start_daemon().unwrap();
    let got = good(&mut client, "email_get", &json!({"account_id": id, "email_id": handle}));
    assert_eq!((&got["id"], &got["subject"]), (&json!(handle), &json!(subject)));
    world.kill_daemon().unwrap();
    world.start_daemon().unwrap();
    let marked = good(&mut client, "email_mark_read", &json!({"account_id": id, "email_id": before[1].0}));
    assert_eq!(marked["id"].as_str().unwrap_or(&before[1].0), before[1].0, "{marked}");
    let there = truth(&world, ALEX);
    assert_eq!(there.iter().find(|message| message["subject"] == before[1].1.as_str()).unwrap()["isRead"], true);
    // What is named now is none of what was named then.
    let more = messages(&mut client, &id, &json!({"limit": 40}));
    let new: Vec<&(String, String)> = more.iter().filter(|one| !before.contains(one)).collect();
    assert!(!new.is_empty() && new.iter().all(|(name, _)| before.iter().all(|(known, _)| known != name)));
    // By handle in the trail, too.
    let said = world.ctl(&["--json", "audit", "--target", &handle]).unwrap().ok().unwrap();
    assert!(said.stdout.contains("email_move"), "{}", said.stdout);
}

#[test]
fn a_handle_names_nothing_for_others_and_nothing_after_its_account_has_gone() {
    let world = World::with(Setup { accounts: &[ALEX, BEA], ..Setup::default() }).unwrap();
    let mut client = world.client(Era::Modern).unwrap();
    let of_alex = messages(&mut client, &world.ids[0], &json!({}));
    let of_bea = messages(&mut client, &world.ids[1], &json!({}));
    assert!(of_alex.iter().all(|(name, _)| of_bea.iter().all(|(other, _)| other != name)));
    let asked = world.control().stats().requests;
    for (account, name) in [(&world.ids[1], of_alex[0].0.as_str()), (&world.ids[0], of_bea[0].0.as_str()), (&world.ids[0], "m999999999")] {
        for tool in ["email_get", "email_mark_read", "email_delete"] {
            let arguments = json!({"account_id": account, "email_id": name});
            let arguments =
                if tool == "email_delete" { json!({"account_id": account, "email_id": name, "confirm": true}) } else { arguments };
            assert_eq!(code(&mut client, tool, &arguments), "unknown_handle", "{tool} {name}");
        }
    }
    assert_eq!(world.control().stats().requests, asked, "nothing is asked of Microsoft");
    world.ctl(&["logout", ALEX, "--yes"]).unwrap().ok().unwrap();
    world.sign_in(ALEX).unwrap();
    let gone = json!({"account_id": world.ids[0], "email_id": of_alex[0].0});
    assert_eq!(code(&mut client, "email_get", &gone), "unknown_handle");
    let again = messages(&mut client, &world.ids[0], &json!({}));
    assert!(again.iter().all(|(name, _)| of_alex.iter().all(|(old, _)| old != name)), "no name is given twice");
}

#[test]
fn who_wants_microsofts_ids_has_them() {
    let mut world = World::start().unwrap();
    let id = world.ids[0].clone();
    let mut client = world.client(Era::Legacy).unwrap();
    let short = messages(&mut client, &id, &json!({}));
    drop(client);
    world.stop_daemon().unwrap();
    world.words.extend(["--set".to_owned(), "ids=graph".to_owned()]);
    world.start_daemon().unwrap();
    let mut client = world.client(Era::Legacy).unwrap();
    let there = truth(&world, ALEX);
    for (name, subject) in messages(&mut client, &id, &json!({})) {
        assert!(there.iter().any(|message| message["immutableId"] == name && message["subject"] == subject), "{name}");
    }
    // And takes what was shown before.
    let got = good(&mut client, "email_get", &json!({"account_id": id, "email_id": short[0].0}));
    assert_eq!(got["subject"], short[0].1);
    assert!(there.iter().any(|message| message["immutableId"] == got["id"]));
}
