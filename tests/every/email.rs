//! The email family, but for attachments saved to files, which `attachments.rs` looks at from all sides.

use m365_cached_checks::support::world::{ALEX, BEA};
use serde_json::{Value, json};

use super::{
    desk::{Desk, each, ids},
    row::{Fails, Row, Then, Trouble, try_all},
};

const GET: &str = "GET /me/messages/{id}";
const PATCH: &str = "PATCH /me/messages/{id}";
const MOVE: &str = "POST /me/messages/{id}/move";

const fn trouble(given: fn(&Desk) -> Value, route: &'static str, names: &'static str, then: Then) -> Fails {
    Fails::Graph(Trouble { given, route, names, then, looks: &[] })
}

fn the_message(desk: &Desk) -> Value {
    json!({"email_id": desk.kept("message")})
}

fn with(desk: &Desk, more: Value) -> Value {
    let mut given = the_message(desk);
    given.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    given
}

pub(super) const ROWS: &[Row] = &[
    Row {
        tool: "email_list",
        works: list,
        wrong: &[
            (r#"{"limit": 201}"#, "invalid_argument"),
            (r#"{"folder": "outbox"}"#, "invalid_argument"),
            (r#"{"max_age": -1}"#, "invalid_argument"),
            (r#"{"foldr": "inbox"}"#, "unknown_argument"),
        ],
        fails: trouble(|desk| json!({"folder_id": desk.kept("inbox")}), "GET /me/mailFolders/{id}/messages", "folder_id", Then::Again),
    },
    Row {
        tool: "email_get",
        works: get,
        wrong: &[("{}", "missing_argument"), (r#"{"email_id": "a b"}"#, "invalid_argument")],
        fails: trouble(the_message, GET, "email_id", Then::Again),
    },
    Row {
        tool: "email_list_attachments",
        works: list_attachments,
        wrong: &[("{}", "missing_argument")],
        fails: trouble(|desk| json!({"email_id": desk.kept("with files")}), "GET /me/messages/{id}/attachments", "email_id", Then::Again),
    },
    Row {
        tool: "email_get_attachment",
        works: get_attachment,
        wrong: &[
            (r#"{"email_id": "m", "attachment_id": "a"}"#, "missing_argument"),
            (r#"{"email_id": "m", "attachment_id": "a", "save_path": ""}"#, "invalid_argument"),
        ],
        fails: Fails::Graph(Trouble {
            given: |desk| json!({"email_id": desk.kept("with files"), "attachment_id": desk.kept("file"), "save_path": "again.bin"}),
            route: "/$value",
            names: "attachment_id",
            then: Then::Again,
            looks: &["GET /me/messages/{id}/attachments/{id}"],
        }),
    },
    Row {
        tool: "email_create_draft",
        works: create_draft,
        wrong: &[
            (r#"{"to": "bea@contoso.example", "subject": "s"}"#, "missing_argument"),
            (r#"{"to": "Bea", "subject": "s", "body": "b"}"#, "invalid_argument"),
            (r#"{"to": "bea@contoso.example", "subject": "s", "body": "b", "body_type": "rtf"}"#, "invalid_argument"),
        ],
        fails: trouble(|_| json!({"to": BEA, "subject": "Never", "body": "b"}), "POST /me/messages", "", Then::Unknown),
    },
    Row {
        tool: "email_send_draft",
        works: send_draft,
        wrong: &[("{}", "missing_argument"), (r#"{"draft_id": "d", "confirm": "yes"}"#, "invalid_argument")],
        fails: trouble(|desk| json!({"draft_id": desk.kept("draft two")}), "POST /me/messages/{id}/send", "draft_id", Then::Unknown),
    },
    Row {
        tool: "email_send",
        works: send,
        wrong: &[
            (r#"{"to": "bea@contoso.example", "subject": "s"}"#, "missing_argument"),
            (r#"{"to": ["bea"], "subject": "s", "body": "b", "confirm": true}"#, "invalid_argument"),
        ],
        fails: trouble(|_| json!({"to": BEA, "subject": "Never", "body": "b"}), "POST /me/sendMail", "", Then::Unknown),
    },
    Row {
        tool: "email_reply",
        works: |desk| answered(desk, "email_reply", "Only to you", &[BEA]),
        wrong: &[(r#"{"email_id": "m"}"#, "missing_argument"), (r#"{"email_id": "m", "body": " "}"#, "invalid_argument")],
        fails: trouble(
            |desk| json!({"email_id": desk.kept("from bea"), "body": "Never"}),
            "POST /me/messages/{id}/reply",
            "email_id",
            Then::Unknown,
        ),
    },
    Row {
        tool: "email_reply_all",
        works: |desk| answered(desk, "email_reply_all", "To all of you", &[BEA]),
        wrong: &[(r#"{"email_id": "m"}"#, "missing_argument"), (r#"{"email_id": "m", "body": ""}"#, "invalid_argument")],
        fails: trouble(
            |desk| json!({"email_id": desk.kept("from bea"), "body": "Never"}),
            "POST /me/messages/{id}/replyAll",
            "email_id",
            Then::Unknown,
        ),
    },
    Row {
        tool: "email_forward",
        works: forward,
        wrong: &[(r#"{"email_id": "m"}"#, "missing_argument"), (r#"{"email_id": "m", "to": "@"}"#, "invalid_argument")],
        fails: trouble(
            |desk| json!({"email_id": desk.kept("from bea"), "to": BEA}),
            "POST /me/messages/{id}/forward",
            "email_id",
            Then::Unknown,
        ),
    },
    Row {
        tool: "email_update",
        works: |desk| marked(desk, "email_update", json!({"updates": {"importance": "high"}}), |now| assert_eq!(now["importance"], "high")),
        wrong: &[
            (r#"{"email_id": "m", "updates": {}}"#, "invalid_argument"),
            (r#"{"email_id": "m", "updates": {"importance": "urgent"}}"#, "invalid_argument"),
            (r#"{"email_id": "m", "updates": {"body": "x"}}"#, "unknown_argument"),
        ],
        fails: trouble(|desk| with(desk, json!({"updates": {"importance": "low"}})), PATCH, "email_id", Then::Again),
    },
    Row {
        tool: "email_flag",
        works: |desk| marked(desk, "email_flag", json!({}), |now| assert_eq!(now["flag"]["flagStatus"], "flagged")),
        wrong: &[("{}", "missing_argument"), (r#"{"email_id": "m", "flag_status": "red"}"#, "invalid_argument")],
        fails: trouble(|desk| with(desk, json!({"flag_status": "complete"})), PATCH, "email_id", Then::Again),
    },
    Row {
        tool: "email_add_category",
        works: |desk| {
            marked(desk, "email_add_category", json!({"categories": "Garden"}), |now| {
                assert!(now["categories"].as_array().unwrap().contains(&json!("Garden")), "{now}");
            });
        },
        wrong: &[(r#"{"email_id": "m"}"#, "missing_argument"), (r#"{"email_id": "m", "categories": []}"#, "invalid_argument")],
        fails: Fails::Graph(Trouble {
            given: |desk| with(desk, json!({"categories": "Other"})),
            route: PATCH,
            names: "email_id",
            then: Then::Again,
            looks: &[GET],
        }),
    },
    Row {
        tool: "email_mark_read",
        works: |desk| {
            marked(desk, "email_mark_read", json!({"is_read": false}), |now| assert_eq!(now["isRead"], false));
            marked(desk, "email_mark_read", json!({}), |now| assert_eq!(now["isRead"], true));
        },
        wrong: &[("{}", "missing_argument"), (r#"{"email_id": "m", "is_read": "maybe"}"#, "invalid_argument")],
        fails: trouble(|desk| with(desk, json!({"is_read": false})), PATCH, "email_id", Then::Again),
    },
    Row {
        tool: "email_move",
        works: |desk| taken(desk, "email_move", json!({"destination_folder": "junk"}), "moved", "Junk Email"),
        wrong: &[
            (r#"{"email_id": "m"}"#, "missing_argument"),
            (r#"{"email_id": "m", "destination_folder": "two words"}"#, "invalid_argument"),
        ],
        fails: trouble(|desk| with(desk, json!({"destination_folder": "inbox"})), MOVE, "email_id", Then::Unknown),
    },
    Row {
        tool: "email_archive",
        works: |desk| taken(desk, "email_archive", json!({}), "archived", "Archive"),
        wrong: &[("{}", "missing_argument")],
        fails: trouble(the_message, MOVE, "email_id", Then::Unknown),
    },
    Row {
        tool: "email_delete",
        works: delete,
        wrong: &[("{}", "missing_argument"), (r#"{"email_id": "m", "confirm": 1}"#, "invalid_argument")],
        fails: trouble(the_message, "DELETE /me/messages/{id}", "email_id", Then::Unknown),
    },
];

#[test]
fn each_email_tool_works_refuses_and_fails_as_it_should() {
    try_all(&["messages"], ROWS);
}

fn list(desk: &mut Desk) {
    let inbox = desk.truth("mailFolders").into_iter().find(|folder| folder["displayName"] == "Inbox").unwrap();
    desk.keep("inbox", &inbox["id"]);
    let mut there: Vec<Value> = desk.truth("messages").into_iter().filter(|message| message["parentFolderId"] == inbox["id"]).collect();
    there.sort_by(|one, two| two["receivedDateTime"].as_str().cmp(&one["receivedDateTime"].as_str()));
    let answer = desk.done("email_list", json!({"limit": 7}));
    let shown = answer["messages"].as_array().unwrap();
    // By the clock of the mailbox, and the same moments.
    let moments = |rows: &[Value]| {
        rows.iter().map(|row| row["receivedDateTime"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(moments(shown), moments(&there[..7]));
    assert_eq!(each(shown, "subject"), each(&there[..7], "subject"));
    assert_eq!(answer["complete"], false);
    assert_eq!(ids(&desk.seen("email_list", json!({"limit": 7}))["messages"]), ids(&answer["messages"]));
    desk.keep("message", &shown[0]["id"]);
    desk.keep("second", &shown[1]["id"]);
}

fn get(desk: &mut Desk) {
    let id = desk.kept("message");
    let (got, truth) = (desk.done("email_get", json!({"email_id": id})), desk.one("messages", &id));
    let moment = |message: &Value| message["receivedDateTime"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    assert_eq!(moment(&got), moment(&truth));
    for member in ["subject", "from", "toRecipients", "internetMessageId", "isRead"] {
        assert_eq!(got[member], truth[member], "{member}");
    }
    assert!(got["body"]["content"].is_string() && got["body"]["contentType"] == "text", "{got}");
}

fn list_attachments(desk: &mut Desk) {
    let whole = |message: &Value| {
        let files = message["attachments"].as_array().unwrap();
        !files.is_empty() && files.iter().all(|file| file["isItem"] == false && file["length"].as_u64() > Some(0))
    };
    let message = desk.truth("messages").into_iter().find(whole).unwrap();
    let id = desk.keep("with files", &message["immutableId"]);
    let answer = desk.done("email_list_attachments", json!({"email_id": id}));
    let (shown, there) = (answer["attachments"].as_array().unwrap(), message["attachments"].as_array().unwrap());
    assert_eq!((each(shown, "name"), each(shown, "contentType")), (each(there, "name"), each(there, "contentType")));
    desk.keep("file", &shown[0]["id"]);
}

fn get_attachment(desk: &mut Desk) {
    let (message, file) = (desk.kept("with files"), desk.kept("file"));
    let there = desk.one("messages", &message)["attachments"][0].clone();
    let saved = desk.done("email_get_attachment", json!({"email_id": message, "attachment_id": file, "save_path": "first.bin"}));
    assert_eq!((&saved["name"], &saved["size"]), (&there["name"], &there["length"]));
    assert_eq!(std::fs::metadata(saved["saved_to"].as_str().unwrap()).unwrap().len(), there["length"].as_u64().unwrap());
}

fn create_draft(desk: &mut Desk) {
    for (word, subject) in [("draft", "A draft"), ("draft two", "A second draft")] {
        let draft = desk.done("email_create_draft", json!({"to": [BEA], "cc": ALEX, "subject": subject, "body": "b"}));
        let id = desk.keep(word, &draft["id"]);
        let there = desk.one("messages", &id);
        assert_eq!((&there["isDraft"], &there["subject"]), (&json!(true), &json!(subject)));
        assert_eq!(there["toRecipients"][0]["emailAddress"]["address"], BEA);
        assert_eq!(there["ccRecipients"][0]["emailAddress"]["address"], ALEX);
    }
    let drafts = desk.seen("email_list", json!({"folder": "drafts"}));
    assert!(ids(&drafts["messages"]).contains(&desk.kept("draft").as_str()));
}

/// Messages with that subject that somebody has.
fn with_subject(desk: &Desk, user: &str, subject: &str) -> Vec<Value> {
    desk.truth_of(user, "messages").into_iter().filter(|message| message["subject"] == subject).collect()
}

fn send_draft(desk: &mut Desk) {
    assert_eq!(desk.done("email_send_draft", json!({"draft_id": desk.kept("draft")}))["status"], "sent");
    assert_eq!(with_subject(desk, BEA, "A draft").len(), 1);
    assert!(with_subject(desk, ALEX, "A draft").iter().all(|message| message["isDraft"] == false));
}

fn send(desk: &mut Desk) {
    assert_eq!(desk.done("email_send", json!({"to": BEA, "subject": "A letter", "body": "b"}))["status"], "sent");
    let arrived = with_subject(desk, BEA, "A letter");
    assert_eq!((arrived.len(), &arrived[0]["from"]["emailAddress"]["address"]), (1, &json!(ALEX)));
    // And one from Bea, which later rows answer.
    let letter = json!({"account_id": desk.bea, "to": ALEX, "subject": "A question", "body": "Well?"});
    desk.done("email_send", letter);
    let arrived = with_subject(desk, ALEX, "A question");
    desk.keep("from bea", &arrived[0]["immutableId"]);
}

fn answered(desk: &mut Desk, tool: &'static str, body: &str, to: &[&str]) {
    let before = with_subject(desk, BEA, "RE: A question").len();
    assert_eq!(desk.done(tool, json!({"email_id": desk.kept("from bea"), "body": body}))["status"], "sent");
    let answers = with_subject(desk, BEA, "RE: A question");
    let new: Vec<&Value> = answers.iter().filter(|answer| answer["bodyPreview"].as_str().unwrap().contains(body)).collect();
    assert_eq!((answers.len(), new.len()), (before + 1, 1), "{answers:?}");
    let people = new[0]["toRecipients"].as_array().unwrap().iter().map(|one| one["emailAddress"]["address"].as_str().unwrap());
    assert_eq!(people.collect::<Vec<_>>(), to);
}

fn forward(desk: &mut Desk) {
    let given = json!({"email_id": desk.kept("from bea"), "to": BEA, "cc": ALEX, "body": "Look"});
    assert_eq!(desk.done("email_forward", given)["status"], "sent");
    for user in [ALEX, BEA] {
        let arrived = with_subject(desk, user, "FW: A question");
        let arrived = arrived.iter().find(|message| message["isDraft"] == false).unwrap();
        assert_eq!(arrived["ccRecipients"][0]["emailAddress"]["address"], ALEX);
    }
}

/// A mark on the message, at the tenant and for the other client.
fn marked(desk: &mut Desk, tool: &'static str, more: Value, holds: fn(&Value)) {
    let get = the_message(desk);
    desk.seen("email_get", get.clone());
    desk.done(tool, with(desk, more));
    holds(&desk.one("messages", &desk.kept("message")));
    holds(&desk.seen("email_get", get));
}

/// The message goes elsewhere, and is found there by everybody.
fn taken(desk: &mut Desk, tool: &'static str, more: Value, status: &str, folder: &str) {
    let old = desk.kept("message");
    let answer = desk.done(tool, with(desk, more));
    assert_eq!(answer["status"], status);
    let new = desk.keep("message", &answer["new_id"]);
    let goal = desk.truth("mailFolders").into_iter().find(|known| known["displayName"] == folder).unwrap();
    assert_eq!(desk.one("messages", &new)["parentFolderId"], goal["id"]);
    let inbox = desk.seen("email_list", json!({"limit": 20}));
    assert!(!ids(&inbox["messages"]).iter().any(|id| *id == old || *id == new));
}

fn delete(desk: &mut Desk) {
    let second = desk.kept("second");
    assert_eq!(desk.done("email_delete", json!({"email_id": second}))["status"], "deleted");
    let bin = desk.truth("mailFolders").into_iter().find(|known| known["displayName"] == "Deleted Items").unwrap();
    assert_eq!(desk.one("messages", &second)["parentFolderId"], bin["id"]);
    assert!(!ids(&desk.seen("email_list", json!({"limit": 20}))["messages"]).contains(&second.as_str()));
}
