//! Times by the clock of the owner, with its offset: of mail, of events and of files, in answers of reads and of writes.

use std::time::Duration;

use m365_cached_checks::support::{
    mcp::{Era, Mcp},
    tenant,
    world::{ALEX, Setup, World},
};
use m365_cached_tenant::{At, AuthAction, Effect, Fault, Wait};
use serde_json::{Value, json};

const ZONE: &str = "/me/mailboxSettings/";

fn good(client: &mut Mcp, tool: &str, arguments: Value) -> Value {
    client.call(tool, &arguments).unwrap().json().unwrap()
}

/// Alex lives in Berlin, whose offset is never UTC's.
#[track_caller]
fn is_of_berlin(time: &Value) {
    let at = time.as_str().unwrap();
    assert!(at.ends_with("+01:00") || at.ends_with("+02:00"), "{at}");
}

#[track_caller]
fn is_utc(time: &Value) {
    assert!(time.as_str().unwrap().ends_with('Z'), "{time}");
}

#[track_caller]
fn same_moment(one: &Value, other: &Value) {
    let moment = |time: &Value| time.as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    assert_eq!(moment(one), moment(other));
}

/// How often Alex's mailbox was asked for its zone.
fn zones(world: &World) -> u64 {
    world.control().stats().count(ZONE)
}

#[test]
fn of_mail_in_every_answer() {
    let world = World::start().unwrap();
    let (mut one, mut other) = (world.client(Era::Legacy).unwrap(), world.client(Era::Modern).unwrap());
    let alex = &world.ids[0];
    let listed = good(&mut one, "email_list", json!({"account_id": alex, "limit": 20}))["messages"][0].clone();
    is_of_berlin(&listed["receivedDateTime"]);
    let id = &listed["id"];
    let got = good(&mut other, "email_get", json!({"account_id": alex, "email_id": id}));
    assert_eq!(got["receivedDateTime"], listed["receivedDateTime"]);
    is_of_berlin(&got["sentDateTime"]);
    let word = listed["subject"].as_str().unwrap().split(|letter: char| !letter.is_alphanumeric()).max_by_key(|word| word.len()).unwrap();
    let found = good(&mut other, "search_emails", json!({"account_id": alex, "query": word, "limit": 50}));
    let found = found["messages"].as_array().unwrap().iter().find(|message| message["id"] == *id).unwrap();
    assert_eq!(found["receivedDateTime"], listed["receivedDateTime"]);
    for (tool, more) in [
        ("email_mark_read", json!({"is_read": true})),
        ("email_flag", json!({"flag_status": "flagged"})),
        ("email_update", json!({"updates": {"importance": "high"}})),
        ("email_add_category", json!({"categories": ["Red"]})),
    ] {
        let mut arguments = json!({"account_id": alex, "email_id": id});
        arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let written = good(&mut one, tool, arguments);
        assert_eq!(written["receivedDateTime"], listed["receivedDateTime"], "{tool}");
    }
    let draft = good(&mut one, "email_create_draft", json!({"account_id": alex, "to": [ALEX], "subject": "s", "body": "b"}));
    is_of_berlin(&draft["createdDateTime"]);
    is_of_berlin(&draft["lastModifiedDateTime"]);
    assert_eq!(zones(&world), 1, "the zone is asked once an hour");
}

#[test]
fn of_files_folders_and_contacts() {
    let world = World::start().unwrap();
    let mut client = world.client(Era::Modern).unwrap();
    let alex = &world.ids[0];
    let listed = good(&mut client, "file_list", json!({"account_id": alex, "path": "/"}))["items"][0].clone();
    is_of_berlin(&listed["modified"]);
    let folders = good(&mut client, "folder_list", json!({"account_id": alex}));
    let folder = &folders["folders"][0];
    is_of_berlin(&folder["modified"]);
    let got = good(&mut client, "folder_get", json!({"account_id": alex, "folder_id": folder["id"]}));
    assert_eq!(got["modified"], folder["modified"]);
    let tree = good(&mut client, "folder_get_tree", json!({"account_id": alex}));
    fn each(folders: &Value) -> usize {
        let folders = folders.as_array().unwrap();
        folders.iter().for_each(|folder| is_of_berlin(&folder["modified"]));
        folders.len() + folders.iter().map(|folder| each(&folder["children"])).sum::<usize>()
    }
    assert!(each(&tree["folders"]) > folders["folders"].as_array().unwrap().len(), "the tree has more than one level");
    let made = good(&mut client, "folder_create", json!({"account_id": alex, "name": "By the clock"}));
    is_of_berlin(&made["createdDateTime"]);
    let renamed = good(&mut client, "folder_rename", json!({"account_id": alex, "folder_id": made["id"], "new_name": "Of Berlin"}));
    is_of_berlin(&renamed["lastModifiedDateTime"]);
    let found = good(&mut client, "search_files", json!({"account_id": alex, "query": "a"}));
    is_of_berlin(&found["files"][0]["modified"]);
    let all = good(&mut client, "search_unified", json!({"account_id": alex, "query": "the"}));
    all["driveItem"].as_array().unwrap().iter().for_each(|item| is_of_berlin(&item["modified"]));
    all["message"].as_array().unwrap().iter().for_each(|item| is_of_berlin(&item["receivedDateTime"]));
    let contacts = good(&mut client, "contact_list", json!({"account_id": alex}));
    let contact = good(&mut client, "contact_get", json!({"account_id": alex, "contact_id": contacts["contacts"][0]["id"]}));
    is_of_berlin(&contact["lastModifiedDateTime"]);
    assert_eq!(zones(&world), 1, "the zone is asked once an hour");
}

#[test]
fn of_events_by_the_zone_that_the_answer_names() {
    let world = World::start().unwrap();
    let mut client = world.client(Era::Modern).unwrap();
    let alex = &world.ids[0];
    let event = json!({"account_id": alex, "subject": "Stroll", "start": "2026-12-01T10:00:00", "end": "2026-12-01T11:00:00"});
    let made = good(&mut client, "calendar_create_event", event);
    assert_eq!(made["timezone"], "Europe/Berlin");
    is_of_berlin(&made["createdDateTime"]);
    let get = |zone: Value| json!({"account_id": alex, "event_id": made["id"], "timezone": zone});
    let got = good(&mut client, "calendar_get_event", get(Value::Null));
    assert_eq!(got["createdDateTime"], made["createdDateTime"]);
    assert_eq!(got["start"]["timeZone"], "UTC", "what is written with its zone stays");
    let there = good(&mut client, "calendar_get_event", get("Asia/Tokyo".into()));
    assert!(there["createdDateTime"].as_str().unwrap().ends_with("+09:00"), "{there}");
    same_moment(&there["createdDateTime"], &made["createdDateTime"]);
}

/// A read that is to see what is true now asks anew, and a write asks for what it has to know; nothing outlives the account's sign-in.
#[test]
fn a_zone_that_is_known_is_asked_for_again_where_an_older_one_would_be_wrong() {
    let world = World::start().unwrap();
    let mut client = world.client(Era::Modern).unwrap();
    let alex = &world.ids[0];
    let event = json!({"account_id": alex, "subject": "Stroll", "start": "2026-12-01T10:00:00", "end": "2026-12-01T11:00:00"});
    for (tool, arguments, asked) in [
        ("email_list", json!({"account_id": alex, "limit": 3}), 1),
        ("email_list", json!({"account_id": alex, "limit": 7}), 1),
        ("email_list", json!({"account_id": alex, "limit": 7, "force_refresh": true}), 2),
        ("email_list", json!({"account_id": alex, "limit": 7, "use_cache": false}), 3),
        ("calendar_create_event", event, 4),
    ] {
        good(&mut client, tool, arguments.clone());
        assert_eq!(zones(&world), asked, "{tool} {arguments}");
    }
    world.ctl_json(&["logout", ALEX, "--yes"]).unwrap();
    world.sign_in(ALEX).unwrap();
    good(&mut client, "email_list", json!({"account_id": alex, "limit": 3}));
    assert_eq!(zones(&world), 5);
}

/// A refusal stands for minutes; whoever is told to sign in again for it must not wait for them.
#[test]
fn a_zone_that_was_refused_is_asked_again_after_the_next_sign_in() {
    let world = World::with(Setup::default()).unwrap();
    world.control().auth(ALEX, AuthAction::Withhold { scopes: vec!["MailboxSettings.ReadWrite".into()] }).unwrap();
    let alex = world.sign_in(ALEX).unwrap();
    let mut client = world.client(Era::Modern).unwrap();
    // Longer each time, so that each is asked for.
    let mut shown = |limit: u32| good(&mut client, "email_list", json!({"account_id": alex, "limit": limit}))["messages"][0].clone();
    for limit in [3, 4] {
        is_utc(&shown(limit)["receivedDateTime"]);
    }
    assert_eq!(zones(&world), 1);
    // An administrator agrees.
    let accounts = world.ctl_json(&["accounts"]).unwrap();
    let url = accounts["accounts"][0]["permissions"]["admin_consent_url"].as_str().unwrap();
    world.block_on(async { tenant::http_staying().unwrap().get(url).send().await }).unwrap();
    assert_eq!(world.sign_in(ALEX).unwrap(), alex);
    is_of_berlin(&shown(5)["receivedDateTime"]);
}

/// What is only shown is not waited for: a write is done and says so, in UTC.
#[test]
fn a_zone_that_does_not_come_holds_no_call_up_for_long() {
    let world = World::with(Setup { accounts: &[ALEX], stopped_clock: true, ..Setup::default() }).unwrap();
    let mut client = world.client(Era::Modern).unwrap();
    let alex = &world.ids[0];
    world.control().fault(Fault::always(ZONE, Effect::Hold { at: At::Before }));
    for (tool, arguments, time) in [
        ("folder_create", json!({"account_id": alex, "name": "Soon"}), "/createdDateTime"),
        ("file_list", json!({"account_id": alex}), "/items/0/modified"),
        ("email_create_draft", json!({"account_id": alex, "to": [ALEX], "subject": "s", "body": "b"}), "/createdDateTime"),
    ] {
        let count = zones(&world) + 1;
        let (asked, line) = client.line("tools/call", json!({"name": tool, "arguments": arguments}));
        client.send(&line).unwrap();
        assert!(world.block_on(world.control().wait(&Wait { route: ZONE.into(), count, ..Wait::default() })).reached, "{tool}");
        world.advance(Duration::from_secs(1)).unwrap();
        let reply = client.reply_to(asked).unwrap();
        let answer = m365_cached_checks::support::answer::Answer::of_reply(&reply).unwrap().json().unwrap();
        is_utc(answer.pointer(time).unwrap_or_else(|| panic!("{tool}: {answer}")));
    }
}
