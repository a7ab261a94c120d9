//! What `--dry-run` shows is what is then sent: one write of each family by `m365-cachectl call`, once rehearsed and once done.

use m365_cached_checks::support::world::{ALEX, BEA, World};
use m365_cached_tenant::Asked;
use serde_json::{Value, json};

/// Members of bodies that are made anew for each call.
const FRESH: &[&str] = &["transactionId"];

fn world() -> (World, String) {
    let world = World::start().unwrap();
    std::fs::create_dir_all(world.home.path().join("downloads")).unwrap();
    let account = format!("account_id={ALEX}");
    (world, account)
}

/// What the tenant was asked to change since the last reset, each item of a `$batch` by itself, questions left out.
fn asked(world: &World) -> Vec<Value> {
    let question = |path: &str| path.ends_with("/search/query") || path.contains("/getSchedule");
    let mut all = Vec::new();
    for Asked { method, path, headers, body, bytes } in world.control().asked() {
        if path.ends_with("/$batch") {
            let items = body["requests"].as_array().unwrap().iter();
            all.extend(items.map(
                |item| json!({"method": item["method"], "path": item["url"], "headers": item["headers"], "body": item["body"], "bytes": 0}),
            ));
        } else if !question(&path) {
            all.push(json!({"method": method, "path": path, "headers": headers, "body": body, "bytes": bytes}));
        }
    }
    all.retain(|request| request["method"] != "GET");
    all
}

fn without_fresh(body: &Value) -> Value {
    let mut body = body.clone();
    if let Some(members) = body.as_object_mut() {
        for name in FRESH {
            if let Some(value) = members.get_mut(*name) {
                assert!(value.as_str().is_some_and(|text| !text.is_empty()));
                *value = "made anew".into();
            }
        }
    }
    body
}

/// The shown with the ids the tenant gave in place of those that were made up.
fn with_real_ids(shown: &[Value], real: &[(&str, String)]) -> Vec<Value> {
    let mut text = Value::from(shown.to_vec()).to_string();
    for (made_up, id) in real {
        // As in paths; bodies of these calls hold none.
        text = text.replace(made_up, id);
    }
    serde_json::from_str::<Value>(&text).unwrap().as_array().unwrap().clone()
}

/// Rehearses a call, does it, and compares. Returns what it answered.
fn compare(world: &World, words: &[&str], requests: usize, ids: &dyn Fn() -> Vec<(&'static str, String)>) -> Value {
    world.control().reset_stats();
    let before = world.control().dump(Some(ALEX), None).unwrap();
    let mut rehearsed = vec!["call"];
    rehearsed.extend(words);
    let mut real = rehearsed.clone();
    rehearsed.push("--dry-run");
    real.push("--yes");
    let shown = world.ctl_json(&rehearsed).unwrap();
    assert!(shown["dry_run"] == true && shown.get("then").is_none(), "{words:?}: {shown}");
    assert_eq!(asked(world), Vec::<Value>::new(), "{words:?}: the rehearsal changed something");
    assert!(world.control().dump(Some(ALEX), None).unwrap() == before, "{words:?}");
    let answer = world.ctl_json(&real).unwrap();
    let (shown, sent) = (with_real_ids(shown["requests"].as_array().unwrap(), &ids()), asked(world));
    assert_eq!(shown.len(), requests, "{words:?}: {shown:#?}");
    assert_eq!(sent.len(), requests, "{words:?}: {sent:#?}");
    for (shown, sent) in shown.iter().zip(&sent) {
        assert_eq!((&shown["method"], &shown["path"]), (&sent["method"], &sent["path"]), "{words:?}");
        match shown.get("content") {
            // The bytes of a file: its size is shown, and it goes to the upload's own address when it is large.
            Some(content) if shown.get("pieces").is_none() => assert_eq!(content["bytes"], sent["bytes"], "{words:?}"),
            _ => assert_eq!(without_fresh(&shown["body"]), without_fresh(&sent["body"]), "{words:?}"),
        }
        for (name, value) in shown["headers"].as_object().into_iter().flatten() {
            let header = sent["headers"].as_object().unwrap().iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
            let (_, header) = header.unwrap_or_else(|| panic!("{words:?}: {name} is shown and not sent: {sent}"));
            assert!(header.as_str().unwrap().contains(value.as_str().unwrap()), "{words:?}: {name} is {header}, shown {value}");
        }
    }
    answer
}

fn none() -> Vec<(&'static str, String)> {
    Vec::new()
}

fn id(word: &str, answer: &Value) -> String {
    format!("{word}={}", answer["id"].as_str().unwrap_or_else(|| panic!("no id: {answer}")))
}

#[test]
fn writes_of_mail_are_sent_as_they_were_shown() {
    let (world, account) = world();
    let list = world.ctl_json(&["call", "email_list", &account, "limit=1"]).unwrap();
    let message = id("email_id", &list["messages"][0]);
    compare(&world, &["email_mark_read", &account, &message, "is_read=false"], 1, &none);
    compare(&world, &["email_add_category", &account, &message, r#"categories=["Garden"]"#], 1, &none);
    let to = format!("to={BEA}");
    compare(&world, &["email_send", &account, &to, "subject=S", "body=Two\nlines"], 1, &none);
    compare(&world, &["email_reply", &account, &message, "body=Yes"], 1, &none);
    let newest = |subject: &str| {
        let all = world.control().dump(Some(ALEX), Some("messages")).unwrap();
        let found = all["users"][0]["messages"].as_array().unwrap().iter().find(|message| message["subject"] == subject).cloned();
        found.unwrap_or_else(|| panic!("no {subject}"))["immutableId"].as_str().unwrap().to_owned()
    };
    // A file that is too large for one request: a draft, an upload, the sending.
    let large = world.home.path().join("downloads/large.bin");
    std::fs::write(&large, vec![7; 4_000_000]).unwrap();
    let file = format!("attachments={}", large.display());
    let escaped = |id: String| id.replace('=', "%3D");
    compare(&world, &["email_send", &account, &to, "subject=Large", "body=b", &file], 3, &|| {
        vec![("id-from-request-1", escaped(newest("Large")))]
    });
    compare(&world, &["email_move", &account, &message, "destination_folder=archive"], 1, &none);

    let folder = id("folder_id", &compare(&world, &["emailfolders_create", &account, "display_name=Garden"], 1, &none));
    for at in 0..2 {
        let list = world.ctl_json(&["call", "email_list", &account, "limit=2", "use_cache=false"]).unwrap();
        let goal = format!("destination_folder={}", folder.trim_start_matches("folder_id="));
        world.ctl_json(&["call", "email_move", &account, &id("email_id", &list["messages"][at]), &goal]).unwrap();
    }
    compare(&world, &["emailfolders_empty", &account, &folder], 2, &none);
    compare(&world, &["emailfolders_delete", &account, &folder], 1, &none);
    let rule = [
        "emailrules_create",
        &account,
        "display_name=G",
        r#"conditions={"subjectContains":["x"]}"#,
        r#"actions={"moveToFolder":"archive"}"#,
        "sequence=9",
    ];
    let rule = id("rule_id", &compare(&world, &rule, 1, &none));
    compare(&world, &["emailrules_move_up", &account, &rule], 2, &none);
}

#[test]
fn writes_of_calendar_contacts_and_files_are_sent_as_they_were_shown() {
    let (world, account) = world();
    let event =
        ["calendar_create_event", &account, "subject=S", "start=2027-06-08T09:00", "end=2027-06-08T09:30", "attendees=bea@contoso.example"];
    let event = id("event_id", &compare(&world, &event, 1, &none));
    compare(&world, &["calendar_update_event", &account, &event, r#"updates={"subject":"T"}"#], 1, &none);
    compare(&world, &["calendar_delete_event", &account, &event], 1, &none);
    let contact = ["contact_create", &account, "given_name=Ida", "email_addresses=ida@fabrikam.example"];
    let contact = id("contact_id", &compare(&world, &contact, 1, &none));
    let list = id("list_id", &compare(&world, &["contact_create_list", &account, "list_name=L"], 1, &none));
    compare(&world, &["contact_add_to_list", &account, &contact, &list], 1, &none);

    let local = world.home.path().join("downloads/note.txt");
    std::fs::write(&local, "a note").unwrap();
    let local = format!("local_file_path={}", local.display());
    let file = id("file_id", &compare(&world, &["file_create", &account, "onedrive_path=/100% note #1.txt", &local], 1, &none));
    let folder = id("folder_id", &compare(&world, &["folder_create", &account, "name=Garden"], 1, &none));
    let goal = folder.replace("folder_id", "destination_folder_id");
    compare(&world, &["file_move", &account, &file, &goal], 1, &none);
    compare(&world, &["file_share", &account, &file], 1, &none);
    compare(&world, &["folder_rename", &account, &folder, "new_name=Orchard"], 1, &none);
    compare(&world, &["folder_delete", &account, &folder], 1, &none);
}
