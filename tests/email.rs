//! Mail from outside: written, sent, answered, marked, taken away, with files; what one client did every client sees.

use m365_cached_checks::support::{
    mcp::{Era, Mcp},
    world::{ALEX, BEA, Setup, World},
};
use m365_cached_tenant::{At, Effect, Fault};
use serde_json::{Value, json};

/// Alex and Bea, with a client of each era.
fn two() -> (World, Mcp, Mcp) {
    let world = World::with(Setup { accounts: &[ALEX, BEA], ..Setup::default() }).unwrap();
    std::fs::create_dir_all(world.home.path().join("downloads")).unwrap();
    let (one, other) = (world.client(Era::Legacy).unwrap(), world.client(Era::Modern).unwrap());
    (world, one, other)
}

fn good(client: &mut Mcp, tool: &str, arguments: Value) -> Value {
    client.call(tool, &arguments).unwrap().json().unwrap()
}

fn fault(client: &mut Mcp, tool: &str, arguments: Value) -> (String, String) {
    let (code, message, _) = client.call(tool, &arguments).unwrap().fault().unwrap();
    (code, message)
}

fn list(client: &mut Mcp, account: &str, folder: &str) -> Vec<Value> {
    let answer = good(client, "email_list", json!({"account_id": account, "folder": folder, "limit": 20}));
    assert!(answer["_untrusted"].is_string());
    answer["messages"].as_array().unwrap().clone()
}

fn subject<'a>(list: &'a [Value], subject: &str) -> Option<&'a Value> {
    list.iter().find(|message| message["subject"] == subject)
}

fn id(message: &Value) -> &str {
    message["id"].as_str().unwrap()
}

#[test]
fn a_sent_message_is_among_the_sent_and_arrives() {
    let (world, mut one, mut other) = two();
    let (alex, bea) = (&world.ids[0], &world.ids[1]);
    list(&mut other, alex, "sent");
    let letter = json!({"account_id": alex, "to": [BEA], "subject": "Lunch <1>", "body": "At noon?\nOr one?", "cc": ALEX, "confirm": true});
    let mut unasked = letter.clone();
    unasked["confirm"] = json!(false);
    assert_eq!(fault(&mut one, "email_send", unasked).0, "confirmation_required");
    let mut nobody = letter.clone();
    nobody["to"] = json!([]);
    nobody["cc"] = Value::Null;
    assert_eq!(fault(&mut one, "email_send", nobody).0, "no_recipients");
    let mut wrong = letter.clone();
    wrong["to"] = json!("somebody");
    assert_eq!(fault(&mut one, "email_send", wrong).0, "invalid_argument");

    assert_eq!(good(&mut one, "email_send", letter)["status"], "sent");
    assert!(subject(&list(&mut other, alex, "sent"), "Lunch <1>").is_some());
    let arrived = list(&mut other, bea, "inbox");
    let arrived = subject(&arrived, "Lunch <1>").unwrap();
    let got = good(&mut other, "email_get", json!({"account_id": bea, "email_id": id(arrived)}));
    assert!(got["body"]["content"].as_str().unwrap().contains("Or one?"), "{got}");
    assert_eq!(got["ccRecipients"][0]["emailAddress"]["address"], ALEX);
}

/// Who has listed mail opens it without Microsoft, and sees what a get of its own would have brought.
#[test]
fn a_list_brings_its_messages_along() {
    let (world, mut one, mut other) = two();
    let account = &world.ids[0];
    let listed: Vec<String> = list(&mut one, account, "inbox").iter().map(|message| id(message).to_owned()).collect();
    let asked = world.control().stats().requests;
    let got: Vec<Value> = listed.iter().map(|id| good(&mut other, "email_get", json!({"account_id": account, "email_id": id}))).collect();
    assert_eq!(world.control().stats().requests, asked, "nothing was asked");
    assert!(got.len() > 10 && got.iter().any(|got| got["attachments"] != json!([])), "some have files");
    let bare = |mut got: Value| {
        got.as_object_mut().unwrap().retain(|name, _| !["_cache_status", "_cached_at", "_untrusted", "_end"].contains(&name.as_str()));
        got
    };
    for (id, got) in listed.iter().zip(got) {
        assert_eq!(got["_cache_status"], "fresh");
        let past = good(&mut other, "email_get", json!({"account_id": account, "email_id": id, "use_cache": false}));
        assert_eq!(bare(got), bare(past));
    }
    // A write overtakes what came along like anything else.
    let unread = !good(&mut other, "email_get", json!({"account_id": account, "email_id": listed[0]}))["isRead"].as_bool().unwrap();
    good(&mut one, "email_mark_read", json!({"account_id": account, "email_id": listed[0], "is_read": unread}));
    assert_eq!(good(&mut other, "email_get", json!({"account_id": account, "email_id": listed[0]}))["isRead"], unread);
}

/// The reply of `sendMail` is lost: it is told, and not sent again.
#[test]
fn a_lost_send_is_told_and_not_repeated() {
    let (world, mut one, _) = two();
    let route = "sendMail";
    world.control().fault(Fault { count: Some(1), ..Fault::always(route, Effect::Reset { at: At::After }) });
    let before = world.control().stats().count(route);
    let letter = json!({"account_id": world.ids[0], "to": BEA, "subject": "Once", "body": "", "confirm": true});
    assert_eq!(fault(&mut one, "email_send", letter).0, "outcome_unknown");
    assert_eq!(world.control().stats().count(route) - before, 1);
    let arrived = list(&mut one, &world.ids[1], "inbox");
    assert_eq!(arrived.iter().filter(|message| message["subject"] == "Once").count(), 1);
}

#[test]
fn a_draft_is_made_with_files_and_sent() {
    let (world, mut one, mut other) = two();
    let (alex, bea) = (&world.ids[0], &world.ids[1]);
    let downloads = world.home.path().join("downloads");
    let bytes = |count: u32| (0..count).map(|at| (at % 251) as u8).collect::<Vec<u8>>();
    let large = bytes(4_500_000);
    std::fs::write(downloads.join("large.bin"), &large).unwrap();
    // Too small for an upload session, and all but too large for one request.
    let medium = bytes(3_050_000);
    std::fs::write(downloads.join("medium.bin"), &medium).unwrap();
    std::fs::write(downloads.join("note.txt"), "hello").unwrap();
    list(&mut other, alex, "drafts");
    let letter = json!({"account_id": alex, "to": BEA, "subject": "With files", "body": "<p>See <b>both</b></p>", "body_type": "html",
        "attachments": ["large.bin", "medium.bin", "note.txt"]});
    let draft = good(&mut one, "email_create_draft", letter.clone());
    assert_eq!(draft["isDraft"], true);
    assert!(subject(&list(&mut other, alex, "drafts"), "With files").is_some());

    let mut outside = letter.clone();
    outside["attachments"] = json!(["/etc/hostname"]);
    assert_ne!(fault(&mut one, "email_create_draft", outside).0, "internal");

    let send = json!({"account_id": alex, "draft_id": id(&draft), "confirm": true});
    assert_eq!(fault(&mut one, "email_send_draft", json!({"account_id": alex, "draft_id": id(&draft)})).0, "confirmation_required");
    assert_eq!(good(&mut one, "email_send_draft", send.clone())["status"], "sent");
    assert!(subject(&list(&mut other, alex, "drafts"), "With files").is_none());
    assert!(subject(&list(&mut other, alex, "sent"), "With files").is_some());
    assert_ne!(fault(&mut one, "email_send_draft", send).0, "internal");

    let inbox = list(&mut other, bea, "inbox");
    let arrived = id(subject(&inbox, "With files").unwrap()).to_owned();
    let attachments = json!({"account_id": bea, "email_id": arrived});
    let files = good(&mut other, "email_list_attachments", attachments.clone());
    assert_eq!(other.call("email_list_attachments", &attachments).unwrap().cache_status().unwrap(), "fresh");
    let file = |name: &str| files["attachments"].as_array().unwrap().iter().find(|file| file["name"] == name).unwrap().clone();
    let save = |name: &str, to: &str| json!({"account_id": bea, "email_id": arrived, "attachment_id": id(&file(name)), "save_path": to});
    let saved = good(&mut other, "email_get_attachment", save("large.bin", "got.bin"));
    assert_eq!((&saved["name"], &saved["size"]), (&json!("large.bin"), &json!(large.len())));
    assert!(std::fs::read(saved["saved_to"].as_str().unwrap()).unwrap() == large);
    let saved = good(&mut other, "email_get_attachment", save("medium.bin", "medium-again.bin"));
    assert!(std::fs::read(saved["saved_to"].as_str().unwrap()).unwrap() == medium);
    good(&mut other, "email_get_attachment", save("note.txt", "got.txt"));
    assert_eq!(std::fs::read_to_string(downloads.join("got.txt")).unwrap(), "hello");
    for to in ["got.txt", "../out.txt", "/etc/out.txt"] {
        let (code, message) = fault(&mut other, "email_get_attachment", save("note.txt", to));
        assert!(code != "internal" && code != "outcome_unknown", "{to}: {code} {message}");
    }
    assert!(!world.home.path().join("out.txt").exists());
    let html = good(&mut other, "email_get", json!({"account_id": bea, "email_id": arrived, "body_format": "html"}));
    assert!(html["body"]["content"].as_str().unwrap().contains("See <b>both</b>"), "{html}");
    let missing = json!({"account_id": bea, "email_id": "AAMkNothing="});
    assert_ne!(fault(&mut other, "email_list_attachments", missing).0, "internal");
}

/// A large message goes through a draft; when that cannot be sent, the error names it and it can be sent after all.
#[test]
fn a_large_message_that_fails_leaves_a_draft_that_is_named() {
    let (world, mut one, mut other) = two();
    let alex = &world.ids[0];
    std::fs::write(world.home.path().join("downloads/large.bin"), vec![7; 4_000_000]).unwrap();
    list(&mut other, alex, "drafts");
    let letter = json!({"account_id": alex, "to": BEA, "subject": "Large", "body": "x", "attachments": "large.bin", "confirm": true});
    let refuse = Effect::Status { status: 403, code: "ErrorSendAsDenied".into(), message: None, retry_after: None };
    world.control().fault(Fault { count: Some(1), ..Fault::always("/send", refuse) });
    let (code, message) = fault(&mut one, "email_send", letter.clone());
    assert_eq!(code, "partly_done", "{message}");
    let drafts = list(&mut other, alex, "drafts");
    let draft = id(subject(&drafts, "Large").unwrap());
    assert!(message.contains(&format!("the draft {draft} exists")), "named as lists name it: {message}");
    good(&mut one, "email_send_draft", json!({"account_id": alex, "draft_id": draft, "confirm": true}));
    assert!(subject(&list(&mut other, alex, "sent"), "Large").is_some());
    assert_eq!(good(&mut one, "email_send", letter)["status"], "sent");
    let arrived = list(&mut other, &world.ids[1], "inbox");
    assert_eq!(arrived.iter().filter(|message| message["subject"] == "Large").count(), 2);
}

/// Graph reads a comment as HTML, in which lines run together and what looks like an element is one.
#[test]
fn an_answer_arrives_with_the_lines_and_signs_it_was_written_with() {
    let (world, mut one, mut other) = two();
    let (alex, bea) = (&world.ids[0], &world.ids[1]);
    let text = "Yes & <no>,\n\n  two";
    for (body_type, shown) in [("text", text), ("html", "<div>Yes &amp; &lt;no&gt;,<br><br>\u{a0}\u{a0}two</div>")] {
        let subject_line = format!("Lines {body_type}");
        let letter = json!({"account_id": alex, "to": BEA, "subject": subject_line, "body": "<p>old words</p>", "body_type": body_type, "confirm": true});
        good(&mut one, "email_send", letter);
        let letter = id(subject(&list(&mut other, bea, "inbox"), &subject_line).unwrap()).to_owned();
        let answer = json!({"account_id": bea, "email_id": letter, "body": text, "confirm": true});
        assert_eq!(good(&mut other, "email_reply", answer)["status"], "sent");
        let inbox = list(&mut one, alex, "inbox");
        let got =
            json!({"account_id": alex, "email_id": id(subject(&inbox, &format!("RE: {subject_line}")).unwrap()), "body_format": "html"});
        let body = good(&mut one, "email_get", got)["body"].clone();
        let content = body["content"].as_str().unwrap().replace("\r\n", "\n");
        assert!(content.starts_with(shown) && content.contains("old words") && body["contentType"] == body_type, "{body}");
    }
}

#[test]
fn answers_keep_the_quote_and_go_to_the_right_people() {
    let (world, mut one, mut other) = two();
    let (alex, bea) = (&world.ids[0], &world.ids[1]);
    let letter = json!({"account_id": alex, "to": BEA, "subject": "Plan", "body": "The old words", "confirm": true});
    good(&mut one, "email_send", letter);
    let inbox = list(&mut other, bea, "inbox");
    let plan = id(subject(&inbox, "Plan").unwrap()).to_owned();
    for (tool, body_type) in [("email_reply", "text"), ("email_reply_all", "html")] {
        let answer =
            json!({"account_id": bea, "email_id": plan, "body": format!("New by {tool}"), "body_type": body_type, "confirm": true});
        assert_eq!(good(&mut other, tool, answer)["status"], "sent");
        let inbox = list(&mut one, alex, "inbox");
        let bodies: Vec<String> = inbox
            .iter()
            .filter(|message| message["subject"] == "RE: Plan")
            .map(|message| good(&mut one, "email_get", json!({"account_id": alex, "email_id": id(message)}))["body"]["content"].to_string())
            .collect();
        let new = bodies.iter().find(|body| body.contains(&format!("New by {tool}"))).unwrap();
        assert!(new.contains("The old words"), "{new}");
    }
    for body_type in ["text", "html"] {
        let forward = json!({"account_id": bea, "email_id": plan, "to": BEA, "cc": ALEX, "body": format!("Look, {body_type}"), "body_type": body_type, "confirm": true});
        assert_eq!(good(&mut other, "email_forward", forward)["status"], "sent");
        let inbox = list(&mut one, alex, "inbox");
        assert!(
            inbox.iter().any(|message| message["subject"] == "FW: Plan"
                && message["body"]["content"].to_string().contains(&format!("Look, {body_type}"))),
            "cc got it"
        );
    }
    let (code, _) = fault(&mut other, "email_reply", json!({"account_id": bea, "email_id": "AAMkNothing=", "body": "x", "confirm": true}));
    assert!(code != "internal" && code != "outcome_unknown", "{code}");
    for tool in ["email_reply", "email_reply_all"] {
        assert_eq!(fault(&mut other, tool, json!({"account_id": bea, "email_id": plan, "body": " "})).0, "invalid_argument");
        assert_eq!(fault(&mut other, tool, json!({"account_id": bea, "email_id": plan, "body": "x"})).0, "confirmation_required");
    }
    assert_eq!(fault(&mut other, "email_forward", json!({"account_id": bea, "email_id": plan, "to": ALEX})).0, "confirmation_required");
    assert_ne!(fault(&mut other, "email_forward", json!({"account_id": bea, "email_id": plan, "to": "x"})).0, "internal");
}

#[test]
fn marks_are_seen_by_every_client() {
    let (world, mut one, mut other) = two();
    let alex = &world.ids[0];
    let inbox = list(&mut one, alex, "inbox");
    let message = id(&inbox[0]);
    let get = json!({"account_id": alex, "email_id": message});
    let seen = |client: &mut Mcp| good(client, "email_get", get.clone());
    seen(&mut other);
    let with = |more: Value| {
        let mut given = get.clone();
        given.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        given
    };
    let flag = json!({"flagStatus": "flagged", "startDateTime": {"dateTime": "2026-11-23", "timeZone": "Europe/Berlin"},
        "dueDateTime": {"dateTime": "2026-11-24T12:00", "timeZone": "Europe/Berlin"}});
    let updates = json!({"categories": ["Red"], "importance": "high", "flag": flag, "inferenceClassification": "other"});
    let updated = good(&mut one, "email_update", with(json!({"updates": updates})));
    assert_eq!(updated["importance"], "high");
    let now = seen(&mut other);
    assert_eq!(
        (&now["categories"], &now["importance"], &now["inferenceClassification"]),
        (&json!(["Red"]), &json!("high"), &json!("other"))
    );
    assert_eq!((&now["flag"]["flagStatus"], now["flag"]["dueDateTime"].is_object()), (&json!("flagged"), true));

    good(&mut other, "email_add_category", with(json!({"categories": ["Blue", "red"]})));
    assert_eq!(seen(&mut one)["categories"], json!(["Red", "Blue"]));
    good(&mut one, "email_flag", with(json!({"flag_status": "complete"})));
    assert_eq!(seen(&mut other)["flag"]["flagStatus"], "complete");

    assert_eq!(fault(&mut one, "email_update", with(json!({"updates": {}}))).0, "invalid_argument");
    assert_eq!(fault(&mut one, "email_update", with(json!({"updates": {"subject": "x"}}))).0, "unknown_argument");
    assert_eq!(fault(&mut one, "email_flag", with(json!({"flag_status": "maybe"}))).0, "invalid_argument");
    for (tool, more) in [
        ("email_update", json!({"updates": {"isRead": true}})),
        ("email_flag", json!({})),
        ("email_add_category", json!({"categories": "x"})),
    ] {
        let mut given = with(more);
        given["email_id"] = json!("AAMkNothing=");
        let (code, _) = fault(&mut one, tool, given);
        assert!(code != "internal" && code != "outcome_unknown", "{tool}: {code}");
    }
    assert_eq!(other.call("email_get", &get).unwrap().cache_status().unwrap(), "fresh", "a refusal makes nothing untrue");
}

#[test]
fn what_is_archived_or_deleted_is_elsewhere() {
    let (world, mut one, mut other) = two();
    let alex = &world.ids[0];
    let inbox = list(&mut other, alex, "inbox");
    list(&mut other, alex, "archive");
    list(&mut other, alex, "deleted");
    let (first, second) = (id(&inbox[0]), id(&inbox[1]));
    let archived = good(&mut one, "email_archive", json!({"account_id": alex, "email_id": first}));
    assert_eq!(archived["status"], "archived");
    let there = good(&mut other, "email_list", json!({"account_id": alex, "folder": "archive", "limit": 200, "include_body": false}));
    assert!(there["messages"].as_array().unwrap().iter().any(|message| message["id"] == archived["new_id"]));

    let delete = json!({"account_id": alex, "email_id": second, "confirm": true});
    assert_eq!(fault(&mut one, "email_delete", json!({"account_id": alex, "email_id": second})).0, "confirmation_required");
    assert_eq!(good(&mut one, "email_delete", delete)["status"], "deleted");
    let left = list(&mut other, alex, "inbox");
    assert!(left.iter().all(|message| id(message) != first && id(message) != second));
    let bin = good(&mut other, "email_list", json!({"account_id": alex, "folder": "deleted", "limit": 200, "include_body": false}));
    let was = &inbox[1]["subject"];
    assert!(bin["messages"].as_array().unwrap().iter().any(|message| message["subject"] == *was));
    for (tool, more) in [("email_archive", json!({})), ("email_delete", json!({"confirm": true}))] {
        let mut given = json!({"account_id": alex, "email_id": "AAMkNothing="});
        given.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let (code, _) = fault(&mut one, tool, given);
        assert!(code != "internal" && code != "no_archive" && code != "outcome_unknown", "{tool}: {code}");
    }
}
