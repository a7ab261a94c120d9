//! Every write beside every kept read: what a write has changed no read may show unchanged, at once and when Graph's late effects are in.
//!
//! The truth a kept answer is held to is the same question asked past the cache (`use_cache=false`) at the same moment of a clock that stands
//! still. Graph shows some effects of a write late (Sent Items, copies, searches); the tenant is told to, and each pair is looked at three
//! times: before they show, after they show, and after the daemon takes the mailbox for settled again.
//!
//! One test for each family of writes, each in a world of its own, against all kept reads. [`FAMILIES`] says which writes a family has: its
//! test holds itself to that row, and the last test holds the rows to the catalogue, so that nothing is left out.

use std::{collections::BTreeSet, sync::mpsc, time::Duration};

use m365_cached_checks::support::{
    mcp::{Era, Mcp},
    world::{ALEX, BEA, Setup, World},
};
use m365_cached_tenant::Options;
use serde_json::{Map, Value, json};

/// How late the tenant shows effects; within the time for which the daemon takes them to be open.
const LAG: Duration = Duration::from_secs(10);

/// So short that nothing grows stale (searches do after a minute) from one end of a write to the other: a refresh that is under way when
/// the clock jumps fails for lack of time, and waits to be repeated for a time that nobody moves.
const UNSETTLED: &str = "[cache]\nunsettled_s = 20\n";
const SETTLED: Duration = Duration::from_secs(21);

/// Which writes each family looks at.
const FAMILIES: [(&str, &[&str]); 8] = [
    (
        "mail folders",
        &[
            "emailfolders_create",
            "emailfolders_delete",
            "emailfolders_empty",
            "emailfolders_mark_all_as_read",
            "emailfolders_move",
            "emailfolders_rename",
        ],
    ),
    ("messages", &["email_add_category", "email_archive", "email_delete", "email_flag", "email_mark_read", "email_move", "email_update"]),
    ("letters", &["email_create_draft", "email_forward", "email_reply", "email_reply_all", "email_send", "email_send_draft"]),
    (
        "rules",
        &[
            "emailrules_create",
            "emailrules_delete",
            "emailrules_move_bottom",
            "emailrules_move_down",
            "emailrules_move_top",
            "emailrules_move_up",
            "emailrules_update",
        ],
    ),
    (
        "events",
        &[
            "calendar_create_calendar",
            "calendar_create_event",
            "calendar_delete_calendar",
            "calendar_delete_event",
            "calendar_forward_event",
            "calendar_propose_new_time",
            "calendar_respond_event",
            "calendar_update_event",
        ],
    ),
    ("contacts", &["contact_add_to_list", "contact_create", "contact_create_list", "contact_delete", "contact_update"]),
    ("files", &["file_copy", "file_create", "file_delete", "file_move", "file_rename", "file_share", "file_update"]),
    ("folders", &["folder_create", "folder_delete", "folder_move", "folder_rename"]),
];

/// Writes that change nothing of a mailbox or drive that an answer is kept of.
const ELSEWHERE: [&str; 6] =
    ["account_authenticate", "account_complete_auth", "account_remove", "cache_invalidate", "email_get_attachment", "file_get"];

/// Writes and reads by one account.
struct Desk {
    // Before the world, which waits for its clients' end.
    client: Mcp,
    world: World,
    account: String,
    /// Reads that are looked at after every write.
    reads: Vec<Read>,
    /// A mail folder and a drive folder to be filled, and the inbox.
    folder: String,
    docs: String,
    inbox: String,
    written: BTreeSet<String>,
    read: BTreeSet<String>,
}

type Read = (&'static str, Value);

impl Desk {
    /// A world whose clock stands still, with something of everything in it.
    fn new() -> Self {
        let tenant = Options { lag: LAG, ..Options::default() };
        let world =
            World::with(Setup { tenant, config: UNSETTLED, accounts: &[ALEX, BEA], stopped_clock: true, ..Setup::default() }).unwrap();
        let client = world.client_of(Era::Legacy, "full").unwrap();
        let account = world.ids[0].clone();
        let mut desk = Self {
            client,
            world,
            account,
            reads: Vec::new(),
            folder: String::new(),
            docs: String::new(),
            inbox: String::new(),
            written: BTreeSet::new(),
            read: BTreeSet::new(),
        };
        desk.inbox = desk.ask("emailfolders_get", json!({"folder_id": "inbox"}))["id"].as_str().unwrap().to_owned();
        desk.folder = desk.made("emailfolders_create", &json!({"display_name": "Matrix"}));
        desk.docs = desk.made("folder_create", &json!({"name": "Matrix"}));
        let rule = json!({"display_name": "Before", "conditions": {"subjectContains": ["before"]}, "actions": {"markAsRead": true}});
        let rule = desk.made("emailrules_create", &rule);
        let event = desk.made(
            "calendar_create_event",
            &json!({"subject": "Before the matrix", "start": "2027-06-07T09:00:00Z", "end": "2027-06-07T10:00:00Z"}),
        );
        let message = desk.nth("email_list", json!({"folder": "inbox", "limit": 20}), "messages", 4);
        let contact = desk.nth("contact_list", json!({"limit": 500}), "contacts", 0);
        // What was just made has settled before anything is looked at.
        desk.settle();
        desk.reads = reads(&desk.inbox, &desk.folder, &desk.docs);
        desk.reads.extend([
            ("email_get", json!({"email_id": message})),
            ("email_list_attachments", json!({"email_id": message})),
            ("emailrules_get", json!({"rule_id": rule})),
            ("calendar_get_event", json!({"event_id": event})),
            ("contact_get", json!({"contact_id": contact})),
        ]);
        desk
    }

    fn settle(&self) {
        self.world.advance(LAG + SETTLED).unwrap();
    }

    /// Something new; its id.
    fn made(&mut self, tool: &str, given: &Value) -> String {
        let answer = self.agreed(tool, given);
        id(&answer)
    }

    /// The nth message of the inbox.
    fn message(&mut self, at: usize) -> String {
        self.nth("email_list", json!({"folder": "inbox", "limit": 20}), "messages", at)
    }

    /// Every write of the family was looked at beside every kept read.
    fn done(mut self, family: &str) {
        let (_, writes) = FAMILIES.iter().find(|(name, _)| *name == family).unwrap();
        assert_eq!(self.written.iter().map(String::as_str).collect::<Vec<_>>(), *writes);
        let (kept, _) = catalogue(&mut self.client);
        assert_eq!(self.read, kept);
    }

    fn raw(&mut self, tool: &str, given: &Value) -> Value {
        let line = json!({"name": tool, "arguments": self.given(given)});
        answer_in(tool, &self.client.request("tools/call", line).unwrap())
    }

    fn given(&self, given: &Value) -> Value {
        let mut given = given.clone();
        given["account_id"] = self.account.clone().into();
        given
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
        assert_ne!(answer["_cache_status"], "stale", "{tool} {given}: it is renewed while the clock may be moved");
        if let Some(members) = answer.as_object_mut() {
            members.retain(|name, _| {
                !["_cache_status", "_cached_at", "_warning", "next_cursor", "_untrusted", "_end"].contains(&name.as_str())
            });
        }
        answer
    }

    /// What each read shows past the cache.
    fn truth(&mut self, also: &[Read]) -> Vec<(Read, Value)> {
        let mut truth = Vec::new();
        for (tool, given) in self.reads.iter().chain(also).cloned().collect::<Vec<_>>() {
            let mut past = given.clone();
            past["use_cache"] = false.into();
            truth.push(((tool, given), self.shown(tool, &past)));
        }
        truth
    }

    fn compare(&mut self, write: &str, when: &str, truth: &[(Read, Value)]) {
        for ((tool, given), truth) in truth {
            let kept = self.shown(tool, given);
            assert!(kept == *truth, "after {write}, {when}, {tool} {given} shows\n{kept}\nand the truth is\n{truth}");
            self.read.insert((*tool).to_owned());
        }
    }

    /// Reads everything, writes, and compares.
    fn write(&mut self, tool: &str, given: Value, also: &[Read]) -> Value {
        // As it is now: what others did since may be kept for as long as its time allows, and is not what is looked at here.
        for (tool, given) in self.reads.clone().iter().chain(also) {
            let mut given = given.clone();
            given["force_refresh"] = true.into();
            self.raw(tool, &given);
        }
        let answer = self.agreed(tool, &given);
        assert!(answer.get("error").is_none(), "{tool} {given}: {answer}");
        self.written.insert(tool.to_owned());
        let truth = self.truth(also);
        self.compare(tool, "at once", &truth);
        self.world.advance(LAG + Duration::from_secs(1)).unwrap();
        let truth = self.truth(also);
        self.compare(tool, "when late effects are in", &truth);
        self.world.advance(SETTLED).unwrap();
        // From here on nothing happens in the tenant.
        self.compare(tool, "when all is settled", &truth);
        answer
    }

    /// A call that waits for something: the clock moves on until its answer is here.
    fn waited(&mut self, tool: &str, given: &Value) -> Value {
        let (answered, answer) = mpsc::channel();
        let line = json!({"name": tool, "arguments": self.given(given)});
        std::thread::scope(|scope| {
            let client = &mut self.client;
            scope.spawn(move || answered.send(client.request("tools/call", line).unwrap()).unwrap());
            loop {
                match answer.recv_timeout(Duration::from_millis(250)) {
                    Ok(reply) => return answer_in(tool, &reply),
                    Err(mpsc::RecvTimeoutError::Timeout) => self.world.advance(Duration::from_secs(1)).unwrap(),
                    Err(mpsc::RecvTimeoutError::Disconnected) => panic!("{tool}: no answer"),
                }
            }
        })
    }

    /// A write, with consent where it is asked for.
    fn agreed(&mut self, tool: &str, given: &Value) -> Value {
        if tool == "file_copy" {
            return self.waited(tool, given);
        }
        let answer = self.raw(tool, given);
        let asked = answer["status"] == "confirmation_required" || answer["error"]["code"] == "confirmation_required";
        if !asked {
            return answer;
        }
        let mut given = given.clone();
        let text = answer.to_string();
        match text.split("confirm_token").nth(1).and_then(|rest| rest.split('"').find(|part| part.trim_matches('\\').len() >= 36)) {
            Some(token) => given["confirm_token"] = token.trim_matches('\\').into(),
            None => given["confirm"] = true.into(),
        }
        self.raw(tool, &given)
    }
}

/// Kept reads and writes, as the catalogue has them.
fn catalogue(client: &mut Mcp) -> (BTreeSet<String>, BTreeSet<String>) {
    let listed = client.request("tools/list", json!({})).unwrap();
    let (mut kept, mut writes) = (BTreeSet::new(), BTreeSet::new());
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
    (kept, writes)
}

fn answer_in(tool: &str, reply: &Value) -> Value {
    let text = reply.pointer("/result/content/0/text").and_then(Value::as_str).unwrap_or_else(|| panic!("{tool}: {reply}"));
    serde_json::from_str(text).unwrap()
}

fn id(answer: &Value) -> String {
    answer["id"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

fn reads(inbox: &str, folder: &str, docs: &str) -> Vec<Read> {
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

fn of_folder(folder: &str) -> Vec<Read> {
    vec![("emailfolders_get", json!({"folder_id": folder})), ("email_list", json!({"folder_id": folder}))]
}

fn of_message(id: &str) -> Vec<Read> {
    vec![
        ("email_get", json!({"email_id": id})),
        ("email_list_attachments", json!({"email_id": id})),
        ("email_get", json!({"email_id": id, "include_body": false})),
    ]
}

fn of_drive_folder(folder: &str) -> Vec<Read> {
    vec![("file_list", json!({"folder_id": folder})), ("folder_get", json!({"folder_id": folder}))]
}

#[test]
fn mail_folders() {
    let mut desk = Desk::new();
    let (folder, inbox) = (desk.folder.clone(), desk.inbox.clone());
    let below = id(&desk.write("emailfolders_create", json!({"display_name": "Below", "parent_folder_id": folder}), &[]));
    desk.write("emailfolders_rename", json!({"folder_id": below, "new_display_name": "Renamed"}), &of_folder(&below));
    desk.write("emailfolders_move", json!({"folder_id": below, "destination_folder_id": "msgfolderroot"}), &of_folder(&below));
    desk.write("emailfolders_mark_all_as_read", json!({"folder_id": "inbox"}), &of_folder(&inbox));
    let third = desk.message(2);
    desk.agreed("email_move", &json!({"email_id": third, "destination_folder": folder}));
    desk.write("emailfolders_empty", json!({"folder_id": folder}), &of_message(&third));
    desk.write("emailfolders_delete", json!({"folder_id": below}), &of_folder(&below));
    desk.done("mail folders");
}

#[test]
fn messages() {
    let mut desk = Desk::new();
    let folder = desk.folder.clone();
    let first = desk.message(0);
    let one = of_message(&first);
    desk.write("email_mark_read", json!({"email_id": first, "is_read": false}), &one);
    desk.write("email_flag", json!({"email_id": first}), &one);
    desk.write("email_add_category", json!({"email_id": first, "categories": ["Matrix"]}), &one);
    desk.write("email_update", json!({"email_id": first, "updates": {"importance": "high"}}), &one);
    let moved = desk.write("email_move", json!({"email_id": first, "destination_folder": folder}), &one);
    let there = moved["new_id"].as_str().unwrap().to_owned();
    desk.write("email_archive", json!({"email_id": there}), &of_message(&there));
    let second = desk.message(1);
    desk.write("email_delete", json!({"email_id": second}), &of_message(&second));
    desk.done("messages");
}

#[test]
fn letters() {
    let mut desk = Desk::new();
    let first = desk.message(0);
    let one = of_message(&first);
    desk.write("email_reply", json!({"email_id": first, "body": "matrix reply"}), &one);
    desk.write("email_reply_all", json!({"email_id": first, "body": "matrix reply to all"}), &one);
    desk.write("email_forward", json!({"email_id": first, "to": [BEA], "body": "matrix forward"}), &one);
    let draft = id(&desk.write("email_create_draft", json!({"to": [BEA], "subject": "the matrix draft", "body": "b"}), &[]));
    desk.write("email_send_draft", json!({"draft_id": draft}), &of_message(&draft));
    desk.write("email_send", json!({"to": [BEA, ALEX], "subject": "the matrix mail", "body": "b"}), &[]);
    desk.done("letters");
}

#[test]
fn rules() {
    let mut desk = Desk::new();
    let rule =
        json!({"display_name": "Matrix", "conditions": {"subjectContains": ["matrix"]}, "actions": {"markAsRead": true}, "sequence": 2});
    let rule = id(&desk.write("emailrules_create", rule, &[]));
    let one = [("emailrules_get", json!({"rule_id": rule}))];
    desk.write("emailrules_update", json!({"rule_id": rule, "is_enabled": false}), &one);
    for order in ["emailrules_move_top", "emailrules_move_bottom", "emailrules_move_up", "emailrules_move_down"] {
        desk.write(order, json!({"rule_id": rule}), &one);
    }
    desk.write("emailrules_delete", json!({"rule_id": rule}), &one);
    desk.done("rules");
}

#[test]
fn events() {
    let mut desk = Desk::new();
    let event = json!({"subject": "Matrix", "start": "2027-06-08T09:00:00Z", "end": "2027-06-08T10:00:00Z", "attendees": [BEA]});
    let event = id(&desk.write("calendar_create_event", event, &[]));
    let one = [("calendar_get_event", json!({"event_id": event}))];
    desk.write("calendar_update_event", json!({"event_id": event, "updates": {"subject": "Matrix two"}}), &one);
    desk.write("calendar_forward_event", json!({"event_id": event, "to": ["dora@elsewhere.example"]}), &one);
    desk.write("calendar_delete_event", json!({"event_id": event}), &one);
    for (answer, mut given) in [
        ("calendar_respond_event", json!({"response": "accept"})),
        ("calendar_propose_new_time", json!({"proposed_start": "2027-06-09T12:00:00Z", "proposed_end": "2027-06-09T13:00:00Z"})),
    ] {
        // Bea invites, Alex answers.
        desk.account.clone_from(&desk.world.ids[1]);
        let meeting =
            json!({"subject": "Matrix of Bea", "start": "2027-06-09T09:00:00Z", "end": "2027-06-09T10:00:00Z", "attendees": [ALEX]});
        desk.made("calendar_create_event", &meeting);
        desk.account.clone_from(&desk.world.ids[0]);
        desk.settle();
        let list = desk.ask("calendar_list_events", json!({"start": "2027-06-09", "end": "2027-06-09", "limit": 200, "use_cache": false}));
        let mine = list["events"].as_array().unwrap().iter().find(|event| event["subject"] == "Matrix of Bea");
        let mine = id(mine.unwrap_or_else(|| panic!("{list}")));
        given["event_id"] = mine.clone().into();
        desk.write(answer, given, &[("calendar_get_event", json!({"event_id": mine}))]);
        desk.agreed("calendar_delete_event", &json!({"event_id": mine, "confirm": true}));
    }
    let calendar = id(&desk.write("calendar_create_calendar", json!({"name": "Matrix"}), &[]));
    desk.write("calendar_delete_calendar", json!({"calendar_id": calendar}), &[]);
    desk.done("events");
}

#[test]
fn contacts() {
    let mut desk = Desk::new();
    let contact = id(&desk.write("contact_create", json!({"given_name": "Aamatrix", "email_addresses": ["m@matrix.example"]}), &[]));
    let one = vec![("contact_get", json!({"contact_id": contact}))];
    desk.write("contact_update", json!({"contact_id": contact, "updates": {"companyName": "Matrix"}}), &one);
    let list = id(&desk.write("contact_create_list", json!({"list_name": "Matrix"}), &[]));
    let in_list = [one, vec![("contact_list", json!({"folder_id": list}))]].concat();
    desk.write("contact_add_to_list", json!({"contact_id": contact, "list_id": list}), &in_list);
    desk.write("contact_delete", json!({"contact_id": contact}), &in_list);
    desk.done("contacts");
}

#[test]
fn files() {
    let mut desk = Desk::new();
    let docs = desk.docs.clone();
    let downloads = desk.world.home.path().join("downloads");
    std::fs::create_dir_all(&downloads).unwrap();
    let local = downloads.join("matrix.txt");
    std::fs::write(&local, "matrix").unwrap();
    let inner = desk.made("folder_create", &json!({"name": "Inner", "parent_folder_id": docs}));
    let inside = of_drive_folder(&inner);
    let file = json!({"onedrive_path": "/Matrix/Inner/matrix.txt", "local_file_path": local});
    let file = id(&desk.write("file_create", file, &inside));
    std::fs::write(&local, "matrix, longer").unwrap();
    desk.write("file_update", json!({"file_id": file, "local_file_path": local}), &inside);
    desk.write("file_rename", json!({"file_id": file, "new_name": "matrix two.txt"}), &inside);
    desk.write("file_copy", json!({"file_id": file, "destination_folder_id": docs, "new_name": "matrix copy.txt"}), &inside);
    desk.write("file_move", json!({"file_id": file, "destination_folder_id": docs}), &inside);
    desk.write("file_share", json!({"file_id": file}), &inside);
    desk.write("file_delete", json!({"file_id": file}), &inside);
    desk.done("files");
}

#[test]
fn folders() {
    let mut desk = Desk::new();
    let docs = desk.docs.clone();
    let inner = id(&desk.write("folder_create", json!({"name": "Inner", "parent_folder_id": docs}), &[]));
    let deep = desk.made("folder_create", &json!({"name": "Deep", "parent_folder_id": inner}));
    let inside = [of_drive_folder(&inner), of_drive_folder(&deep), vec![("folder_list", json!({"folder_id": inner}))]].concat();
    desk.write("folder_rename", json!({"folder_id": inner, "new_name": "Inner two"}), &inside);
    desk.write("folder_move", json!({"folder_id": inner, "destination_folder_id": "root"}), &inside);
    desk.write("folder_delete", json!({"folder_id": inner}), &inside);
    desk.done("folders");
}

#[test]
fn every_write_is_of_one_family() {
    let world = World::with(Setup::default()).unwrap();
    let (_, mut writes) = catalogue(&mut world.client_of(Era::Legacy, "full").unwrap());
    for name in FAMILIES.iter().flat_map(|(_, writes)| *writes).chain(&ELSEWHERE) {
        assert!(writes.remove(*name), "{name} is no write, or is named twice");
    }
    assert_eq!(writes, BTreeSet::new(), "no family looks at these");
}
