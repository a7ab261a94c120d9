//! Profiles of tools: which are shown to whom, that the others can be called all the same, and that read-only refuses what changes something.

use std::process::Command;

use m365_cached_checks::support::{
    mcp::{ERAS, Era, Mcp},
    world::{ALEX, Setup, World},
};
use serde_json::{Value, json};

fn listed(client: &mut Mcp) -> Vec<Value> {
    client.request("tools/list", json!({})).unwrap()["result"]["tools"].as_array().unwrap().clone()
}

fn names(client: &mut Mcp) -> Vec<String> {
    listed(client).iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
}

fn with(config: &'static str) -> World {
    World::with(Setup { accounts: &[ALEX], config, ..Setup::default() }).unwrap()
}

#[test]
fn the_launch_line_says_which_tools_a_client_is_shown() {
    let world = World::start().unwrap();
    let [usual, modern] = ERAS.map(|era| listed(&mut world.client(era).unwrap()));
    assert_eq!(usual, modern, "the same in both eras");
    let essential = names(&mut world.client_of(Era::Legacy, "essential").unwrap());
    assert_eq!(usual.iter().map(|tool| tool["name"].as_str().unwrap()).collect::<Vec<_>>(), essential);
    assert!((20..=35).contains(&essential.len()), "{essential:?}");
    let full = listed(&mut world.client_of(Era::Modern, "full").unwrap());
    assert!(full.len() >= 85);
    // Short schemas: seldom needed arguments are left out, and taken all the same.
    let of = |list: &[Value]| list.iter().find(|tool| tool["name"] == "email_list").unwrap()["inputSchema"].clone();
    assert!(of(&full)["properties"]["force_refresh"].is_object() && of(&usual)["properties"]["force_refresh"].is_null());
    assert_eq!((&of(&full)["additionalProperties"], &of(&usual)["additionalProperties"]), (&json!(false), &Value::Null));
    let mut client = world.client(Era::Legacy).unwrap();
    let account = json!({"account_id": world.ids[0], "force_refresh": true});
    assert_eq!(client.call("email_list", &account).unwrap().cache_status().unwrap(), "miss");
    // So are tools that are not shown.
    assert!(!essential.contains(&"cache_get_stats".to_owned()));
    client.call("cache_get_stats", &json!({})).unwrap().json().unwrap();
    let mut second = world.client_of(Era::Legacy, "mail").unwrap();
    let mail = names(&mut second);
    let status = world.until(|status| status["clients"].as_array().is_some_and(|clients| clients.len() == 2)).unwrap();
    let mut shown: Vec<&str> = status["clients"].as_array().unwrap().iter().map(|client| client["tools"].as_str().unwrap()).collect();
    shown.sort_unstable();
    assert_eq!(shown, ["essential", "mail"], "{status}");
    drop(second);
    assert!(mail.contains(&"emailfolders_create".to_owned()) && !mail.contains(&"file_list".to_owned()), "{mail:?}");
}

/// What happens to a write of a client, and to a read.
fn write_and_read(world: &World, client: &mut Mcp) -> (Result<Value, String>, bool) {
    let draft = json!({"account_id": world.ids[0], "to": [ALEX], "subject": "s", "body": "b"});
    let written = client.call("email_create_draft", &draft).unwrap();
    let written = written.json().map_err(|_| written.fault().unwrap().0);
    (written, client.call("email_list", &json!({"account_id": world.ids[0]})).unwrap().is_error)
}

#[test]
fn read_only_refuses_what_changes_something_whatever_else_is_said() {
    let world = World::start().unwrap();
    let mut client = world.client_of(Era::Legacy, "read-only").unwrap();
    assert!(listed(&mut client).iter().all(|tool| tool["annotations"]["readOnlyHint"] == true));
    world.control().reset_stats();
    assert_eq!(write_and_read(&world, &mut client), (Err("read_only".into()), false));
    assert!(world.control().asked().iter().all(|request| request.method == "GET"), "nothing was sent");
    let (mut usual, account) = (world.client(Era::Modern).unwrap(), &world.ids[0]);
    assert!(write_and_read(&world, &mut usual).0.is_ok(), "it is this client's alone");
    drop((client, usual, account.clone()));

    let world = with("[tools]\nprofile = \"read-only\"\n");
    for (era, tools) in [(Era::Modern, "full"), (Era::Legacy, "mail"), (Era::Legacy, "read-only")] {
        let mut client = world.client_of(era, tools).unwrap();
        assert_eq!(write_and_read(&world, &mut client), (Err("read_only".into()), false), "{tools}: a launch line does not loosen it");
        assert!(listed(&mut client).iter().all(|tool| tool["annotations"]["readOnlyHint"] == true), "{tools}");
    }
}

#[test]
fn the_configuration_says_it_for_those_whose_launch_line_does_not() {
    let world = with("[tools]\nprofile = \"calendar\"\n");
    let calendar = names(&mut world.client(Era::Legacy).unwrap());
    assert!(calendar.contains(&"calendar_create_calendar".to_owned()) && !calendar.contains(&"email_list".to_owned()), "{calendar:?}");
    assert_eq!(world.ctl_json(&["tools", "--tokens"]).unwrap()["configured"], "calendar");
    let shown = world.ctl_json(&["tools", "--profile", "calendar"]).unwrap();
    let shown: Vec<&str> = shown["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    assert_eq!(shown, calendar);

    // A program that was written for the original finds all of its tools.
    let mut world = World::with(Setup::default()).unwrap();
    world.stop_daemon().unwrap();
    world.words = vec!["--set".into(), "compat=m365-mcp".into()];
    world.start_daemon().unwrap();
    assert!(names(&mut world.client(Era::Legacy).unwrap()).len() >= 85);
}

#[test]
fn a_profile_that_does_not_exist_is_refused_at_once() {
    let world = World::with(Setup::default()).unwrap();
    for words in [&["--tools", "everything"][..], &["--tools"], &["--tools="]] {
        let said = Command::new(&world.bins.shim).args(words).output().unwrap();
        let text = String::from_utf8_lossy(&said.stderr);
        assert_eq!(said.status.code(), Some(2), "{text}");
        assert!(text.contains("essential, mail, calendar, files, read-only, full"), "{text}");
    }
}
