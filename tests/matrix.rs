//! Every write beside every kept read: what a write has changed no read may show unchanged, at once and when Graph's late effects are in.
//!
//! The truth a kept answer is held to is the same question asked past the cache (`use_cache=false`) at the same moment of a clock that stands
//! still. Graph shows some effects of a write late (Sent Items, copies, searches); the tenant is told to, and each pair is looked at three
//! times: before they show, after they show, and after the daemon takes the mailbox for settled again.

use std::{collections::BTreeSet, time::Duration};

use m365_cached_checks::support::{
    mcp::{Era, Mcp},
    world::{ALEX, BEA, Setup, World},
};
use m365_cached_tenant::Options;
use serde_json::{Map, Value, json};

/// How late the tenant shows effects; within the minute for which the daemon takes them to be open.
const LAG: Duration = Duration::from_secs(20);

/// Writes and reads by one account.
struct Desk {
    client: Mcp,
    account: String,
    /// Reads that are looked at after every write.
    reads: Vec<(&'static str, Value)>,
    pairs: usize,
    written: BTreeSet<String>,
    read: BTreeSet<String>,
}

impl Desk {
    fn raw(&mut self, tool: &str, given: &Value) -> Value {
        let mut given = given.clone();
        given["account_id"] = self.account.clone().into();
        let reply = self.client.request("tools/call", json!({"name": tool, "arguments": given})).unwrap();
        let text = reply.pointer("/result/content/0/text").and_then(Value::as_str).unwrap_or_else(|| panic!("{tool}: {reply}"));
        serde_json::from_str(text).unwrap()
    }

    /// A read that has to succeed.
    fn ask(&mut self, tool: &str, given: Value) -> Value {
        let answer = self.raw(tool, &given);
        assert!(answer.get("error").is_none(), "{tool} {given}: {answer}");
        answer
    }

    /// The id of the nth member of a list.
    fn nth(&mut self, tool: &str, given: Value, list: &str, at: usize) -> String {
        let answer = self.ask(tool, given);
        answer[list][at]["id"].as_str().unwrap_or_else(|| panic!("{tool}: {answer}")).to_owned()
    }

    /// Without what says how an answer came about.
    fn shown(&mut self, tool: &str, given: &Value) -> Value {
        let mut answer = self.raw(tool, given);
        if let Some(members) = answer.as_object_mut() {
            members.retain(|name, _| !["_cache_status", "_cached_at", "_warning", "next_cursor"].contains(&name.as_str()));
        }
        answer
    }

    fn compare(&mut self, write: &str, when: &str, also: &[(&'static str, Value)]) {
        for (tool, given) in self.reads.clone().into_iter().chain(also.iter().cloned()) {
            let kept = self.shown(tool, &given);
            let mut past = given.clone();
            past["use_cache"] = false.into();
            let truth = self.shown(tool, &past);
            assert!(kept == truth, "after {write}, {when}, {tool} {given} shows\n{kept}\nand the truth is\n{truth}");
            self.read.insert(tool.to_owned());
            self.pairs += 1;
        }
    }

    /// Reads everything, writes, and compares.
    fn write(&mut self, world: &World, tool: &'static str, given: Value, also: &[(&'static str, Value)]) -> Value {
        // As it is now: what others did since may be kept for as long as its time allows, and is not what is looked at here.
        for (tool, given) in self.reads.clone().iter().chain(also) {
            let mut given = given.clone();
            given["force_refresh"] = true.into();
            self.raw(tool, &given);
        }
        let answer = self.agreed(tool, &given);
        assert!(answer.get("error").is_none(), "{tool} {given}: {answer}");
        self.written.insert(tool.to_owned());
        self.compare(tool, "at once", also);
        world.advance(LAG + Duration::from_secs(1)).unwrap();
        self.compare(tool, "when late effects are in", also);
        world.advance(Duration::from_secs(61)).unwrap();
        self.compare(tool, "when all is settled", also);
        answer
    }

    /// A write, with consent where it is asked for.
    fn agreed(&mut self, tool: &str, given: &Value) -> Value {
        let answer = self.raw(tool, given);
        let asked = answer["status"] == "confirmation_required" || answer["error"]["code"] == "confirmation_required";
        if !asked {
            return answer;
        }
        let mut given = given.clone();
        let text = answer.to_string();
        match text.split("confirm_token").nth(1).and_then(|rest| rest.split('"').find(|part| part.trim_matches('\\').len() == 36)) {
            Some(token) => given["confirm_token"] = token.trim_matches('\\').into(),
            None => given["confirm"] = true.into(),
        }
        self.raw(tool, &given)
    }
}

fn reads(inbox: &str, folder: &str, docs: &str) -> Vec<(&'static str, Value)> {
    let window = json!({"start": "2027-06-07", "end": "2027-06-20", "limit": 200});
    vec![
        ("email_list", json!({"folder": "inbox", "limit": 20})),
        ("email_list", json!({"folder_id": inbox, "limit": 20, "include_body": false})),
        ("email_list", json!({"folder": "archive"})),
        ("email_list", json!({"folder": "sent"})),
        ("email_list", json!({"folder": "drafts"})),
        ("email_list", json!({"folder": "deleted"})),
        ("email_list", json!({"folder_id": folder})),
        ("emailfolders_list", json!({})),
        ("emailfolders_get", json!({"folder_id": "inbox"})),
        ("emailfolders_get", json!({"folder_id": folder})),
        ("emailfolders_get_tree", json!({})),
        ("emailrules_list", json!({})),
        ("calendar_list_events", window),
        ("calendar_list_calendars", json!({})),
        ("contact_list", json!({"limit": 500})),
        ("file_list", json!({})),
        ("file_list", json!({"folder_id": docs})),
        ("folder_list", json!({})),
        ("folder_get", json!({"folder_id": docs})),
        ("folder_get", json!({"path": "/"})),
        ("folder_get_tree", json!({})),
        ("search_emails", json!({"query": "the"})),
        ("search_events", json!({"query": "matrix", "days_ahead": 730, "days_back": 0})),
        ("search_contacts", json!({"query": "a"})),
        ("search_files", json!({"query": "matrix"})),
        ("search_unified", json!({"query": "matrix"})),
    ]
}

#[test]
#[ignore = "stops with no reply after the stopped clock has moved about 35 minutes: cargo test -p m365-cached-checks --test main matrix -- --ignored"]
fn no_kept_read_survives_a_write_that_makes_it_untrue() {
    let tenant = Options { lag: LAG, ..Options::default() };
    let world = World::with(Setup { tenant, accounts: &[ALEX, BEA], stopped_clock: true, ..Setup::default() }).unwrap();
    let downloads = world.home.path().join("downloads");
    std::fs::create_dir_all(&downloads).unwrap();
    std::fs::write(downloads.join("matrix.txt"), "matrix").unwrap();
    let local = || Value::from(downloads.join("matrix.txt").to_str().unwrap());

    let mut client = world.client(Era::Legacy).unwrap();
    let listed = client.request("tools/list", json!({})).unwrap();
    let mut desk =
        Desk { client, account: world.ids[0].clone(), reads: Vec::new(), pairs: 0, written: BTreeSet::new(), read: BTreeSet::new() };
    let inbox = desk.ask("emailfolders_get", json!({"folder_id": "inbox"}))["id"].as_str().unwrap().to_owned();
    let made = desk.agreed("emailfolders_create", &json!({"display_name": "Matrix"}));
    let folder = made["id"].as_str().unwrap_or_else(|| panic!("{made}")).to_owned();
    let docs = desk.agreed("folder_create", &json!({"name": "Matrix"}))["id"].as_str().unwrap().to_owned();
    desk.reads = reads(&inbox, &folder, &docs);
    let id = |answer: &Value| answer["id"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();

    // Mail folders.
    let made = desk.write(&world, "emailfolders_create", json!({"display_name": "Below", "parent_folder_id": folder}), &[]);
    let below = id(&made);
    let of = |folder: &str| vec![("emailfolders_get", json!({"folder_id": folder})), ("email_list", json!({"folder_id": folder}))];
    desk.write(&world, "emailfolders_rename", json!({"folder_id": below, "new_display_name": "Renamed"}), &of(&below));
    desk.write(&world, "emailfolders_move", json!({"folder_id": below, "destination_folder_id": "msgfolderroot"}), &of(&below));
    desk.write(&world, "emailfolders_mark_all_as_read", json!({"folder_id": "inbox"}), &of(&inbox));

    // Messages.
    let message = |desk: &mut Desk, at: usize| desk.nth("email_list", json!({"folder": "inbox", "limit": 20}), "messages", at);
    let one = |id: &str| {
        vec![
            ("email_get", json!({"email_id": id})),
            ("email_list_attachments", json!({"email_id": id})),
            ("email_get", json!({"email_id": id, "include_body": false})),
        ]
    };
    let first = message(&mut desk, 0);
    desk.write(&world, "email_mark_read", json!({"email_id": first, "is_read": false}), &one(&first));
    desk.write(&world, "email_flag", json!({"email_id": first}), &one(&first));
    desk.write(&world, "email_add_category", json!({"email_id": first, "categories": ["Matrix"]}), &one(&first));
    desk.write(&world, "email_update", json!({"email_id": first, "updates": {"importance": "high"}}), &one(&first));
    desk.write(&world, "email_reply", json!({"email_id": first, "body": "matrix reply"}), &one(&first));
    desk.write(&world, "email_reply_all", json!({"email_id": first, "body": "matrix reply to all"}), &one(&first));
    desk.write(&world, "email_forward", json!({"email_id": first, "to": [BEA], "body": "matrix forward"}), &one(&first));
    let moved = desk.write(&world, "email_move", json!({"email_id": first, "destination_folder": folder}), &one(&first));
    let there = moved["new_id"].as_str().unwrap().to_owned();
    desk.write(&world, "email_archive", json!({"email_id": there}), &one(&there));
    let second = message(&mut desk, 1);
    desk.write(&world, "email_delete", json!({"email_id": second}), &one(&second));
    let draft = desk.write(&world, "email_create_draft", json!({"to": [BEA], "subject": "the matrix draft", "body": "b"}), &[]);
    let draft = id(&draft);
    desk.write(&world, "email_send_draft", json!({"draft_id": draft}), &one(&draft));
    desk.write(&world, "email_send", json!({"to": [BEA, ALEX], "subject": "the matrix mail", "body": "b"}), &[]);
    let third = message(&mut desk, 2);
    desk.agreed("email_move", &json!({"email_id": third, "destination_folder": folder}));
    desk.write(&world, "emailfolders_empty", json!({"folder_id": folder}), &one(&third));
    desk.write(&world, "emailfolders_delete", json!({"folder_id": below}), &of(&below));

    // Rules.
    let rule =
        json!({"display_name": "Matrix", "conditions": {"subjectContains": ["matrix"]}, "actions": {"markAsRead": true}, "sequence": 2});
    let rule = id(&desk.write(&world, "emailrules_create", rule, &[]));
    let rules = vec![("emailrules_get", json!({"rule_id": rule}))];
    desk.write(&world, "emailrules_update", json!({"rule_id": rule, "is_enabled": false}), &rules);
    for order in ["emailrules_move_top", "emailrules_move_bottom", "emailrules_move_up", "emailrules_move_down"] {
        desk.write(&world, order, json!({"rule_id": rule}), &rules);
    }
    desk.write(&world, "emailrules_delete", json!({"rule_id": rule}), &rules);

    // Calendar.
    let event = json!({"subject": "Matrix", "start": "2027-06-08T09:00:00Z", "end": "2027-06-08T10:00:00Z", "attendees": [BEA]});
    let event = id(&desk.write(&world, "calendar_create_event", event, &[]));
    let events = vec![("calendar_get_event", json!({"event_id": event}))];
    desk.write(&world, "calendar_update_event", json!({"event_id": event, "updates": {"subject": "Matrix two"}}), &events);
    desk.write(&world, "calendar_forward_event", json!({"event_id": event, "to": ["dora@elsewhere.example"]}), &events);
    desk.write(&world, "calendar_delete_event", json!({"event_id": event}), &events);
    for (answer, given) in [
        ("calendar_respond_event", json!({"response": "accept"})),
        ("calendar_propose_new_time", json!({"proposed_start": "2027-06-09T12:00:00Z", "proposed_end": "2027-06-09T13:00:00Z"})),
    ] {
        // Bea invites, Alex answers.
        desk.account.clone_from(&world.ids[1]);
        let meeting =
            json!({"subject": "Matrix of Bea", "start": "2027-06-09T09:00:00Z", "end": "2027-06-09T10:00:00Z", "attendees": [ALEX]});
        let invited = desk.agreed("calendar_create_event", &meeting);
        assert!(invited.get("error").is_none(), "{invited}");
        desk.account.clone_from(&world.ids[0]);
        world.advance(LAG + Duration::from_secs(61)).unwrap();
        let list = desk.ask("calendar_list_events", json!({"start": "2027-06-09", "end": "2027-06-09", "limit": 200, "use_cache": false}));
        let mine =
            list["events"].as_array().unwrap().iter().find(|event| event["subject"] == "Matrix of Bea").unwrap_or_else(|| panic!("{list}"));
        let mine = id(mine);
        let mut given = given;
        given["event_id"] = mine.clone().into();
        desk.write(&world, answer, given, &[("calendar_get_event", json!({"event_id": mine}))]);
        desk.agreed("calendar_delete_event", &json!({"event_id": mine, "confirm": true}));
    }
    let calendar = id(&desk.write(&world, "calendar_create_calendar", json!({"name": "Matrix"}), &[]));
    desk.write(&world, "calendar_delete_calendar", json!({"calendar_id": calendar}), &[]);

    // Contacts.
    let contact =
        id(&desk.write(&world, "contact_create", json!({"given_name": "Aamatrix", "email_addresses": ["m@matrix.example"]}), &[]));
    let contacts = vec![("contact_get", json!({"contact_id": contact}))];
    desk.write(&world, "contact_update", json!({"contact_id": contact, "updates": {"companyName": "Matrix"}}), &contacts);
    let list = id(&desk.write(&world, "contact_create_list", json!({"list_name": "Matrix"}), &[]));
    let in_list = [contacts.clone(), vec![("contact_list", json!({"folder_id": list}))]].concat();
    desk.write(&world, "contact_add_to_list", json!({"contact_id": contact, "list_id": list}), &in_list);
    desk.write(&world, "contact_delete", json!({"contact_id": contact}), &in_list);

    // Files.
    let file = json!({"onedrive_path": "/Matrix/matrix.txt", "local_file_path": local()});
    let file = id(&desk.write(&world, "file_create", file, &[]));
    std::fs::write(downloads.join("matrix.txt"), "matrix, longer").unwrap();
    desk.write(&world, "file_update", json!({"file_id": file, "local_file_path": local()}), &[]);
    desk.write(&world, "file_rename", json!({"file_id": file, "new_name": "matrix two.txt"}), &[]);
    desk.write(&world, "file_copy", json!({"file_id": file, "destination_folder_id": docs, "new_name": "matrix copy.txt"}), &[]);
    let inner = id(&desk.write(&world, "folder_create", json!({"name": "Inner", "parent_folder_id": docs}), &[]));
    let inside = |folder: &str| vec![("file_list", json!({"folder_id": folder})), ("folder_get", json!({"folder_id": folder}))];
    desk.write(&world, "file_move", json!({"file_id": file, "destination_folder_id": inner}), &inside(&inner));
    desk.write(&world, "file_share", json!({"file_id": file}), &inside(&inner));
    desk.write(&world, "folder_rename", json!({"folder_id": inner, "new_name": "Inner two"}), &inside(&inner));
    desk.write(&world, "folder_move", json!({"folder_id": inner, "destination_folder_id": "root"}), &inside(&inner));
    desk.write(&world, "file_delete", json!({"file_id": file}), &inside(&inner));
    desk.write(&world, "folder_delete", json!({"folder_id": inner}), &inside(&inner));

    // Nothing was left out.
    let mut kept = BTreeSet::new();
    let mut writes = BTreeSet::new();
    for tool in listed["result"]["tools"].as_array().unwrap() {
        let name = tool["name"].as_str().unwrap().to_owned();
        let takes = |param: &str| {
            tool["inputSchema"]["properties"].as_object().is_some_and(|params: &Map<String, Value>| params.contains_key(param))
        };
        if takes("max_age") {
            kept.insert(name);
        } else if tool["annotations"]["readOnlyHint"] == false {
            writes.insert(name);
        }
    }
    // They write to this machine, or to nothing that is kept of a mailbox or drive.
    let local = ["account_authenticate", "account_complete_auth", "account_remove", "cache_invalidate", "email_get_attachment", "file_get"];
    writes.retain(|name| !local.contains(&name.as_str()));
    assert_eq!(desk.written, writes);
    assert_eq!(desk.read, kept);
    assert!(desk.pairs >= 3 * desk.written.len() * desk.read.len(), "{} pairs were looked at", desk.pairs);
}
