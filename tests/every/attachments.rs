//! Attachments as local files: what is saved, and where nothing is ever saved.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use m365_cached_checks::support::world::ALEX;
use serde_json::{Value, json};

use super::desk::Desk;

/// A message somebody else sent with these attachments; its id and what `email_list_attachments` says of them.
fn arrived(desk: &mut Desk, attachments: &Value) -> (String, Vec<Value>) {
    let change = json!({"verb": "new_message", "user": ALEX, "subject": "Open me", "attachments": attachments});
    let id = desk.world.control().change(&change).unwrap()["immutableId"].as_str().unwrap().to_owned();
    let shown = desk.done("email_list_attachments", json!({"email_id": id}));
    (id, shown["attachments"].as_array().unwrap().clone())
}

fn file(name: &str, content: &[u8]) -> Value {
    json!({"@odata.type": "#microsoft.graph.fileAttachment", "name": name, "contentType": "text/plain", "contentBytes": STANDARD.encode(content)})
}

#[test]
fn files_and_attached_messages_are_saved_whole() {
    let mut desk = Desk::new(&[]);
    let inner = json!({"@odata.type": "#microsoft.graph.message", "subject": "Inside", "body": {"contentType": "text", "content": "The words inside."}});
    let item = json!({"@odata.type": "#microsoft.graph.itemAttachment", "name": "Inside", "item": inner});
    let link = json!({"@odata.type": "#microsoft.graph.referenceAttachment", "name": "A link", "sourceUrl": "https://files.example/x"});
    let (message, rows) = arrived(&mut desk, &json!([file("note.txt", b"the note"), item, link]));
    let kinds: Vec<&str> = rows.iter().map(|row| row["@odata.type"].as_str().unwrap().rsplit('.').next().unwrap()).collect();
    assert_eq!(kinds, ["fileAttachment", "itemAttachment", "referenceAttachment"]);
    let save = |at: usize, to: &str| json!({"email_id": message, "attachment_id": rows[at]["id"], "save_path": to});

    let saved = desk.done("email_get_attachment", save(0, "a note.txt"));
    assert_eq!((&saved["name"], &saved["size"], &saved["content_type"]), (&json!("note.txt"), &json!(8), &json!("text/plain")));
    assert_eq!(std::fs::read(saved["saved_to"].as_str().unwrap()).unwrap(), b"the note");
    let saved = desk.done("email_get_attachment", save(1, "letter.eml"));
    let text = std::fs::read_to_string(saved["saved_to"].as_str().unwrap()).unwrap();
    assert!(text.contains("Subject: Inside") && text.contains("\r\n\r\n"), "not a message: {text:.300}");
    assert_eq!(saved["size"], text.len());
    assert_eq!(desk.refused("email_get_attachment", &save(2, "link.bin")), "attachment_is_a_link");
    assert!(!desk.world.home.path().join("downloads/link.bin").exists());
}

/// Whatever the path, nothing is written outside the allowed folder, over another file, or through a link.
#[test]
fn no_path_leads_out_of_the_allowed_folder() {
    let mut desk = Desk::new(&[]);
    let (message, rows) = arrived(&mut desk, &json!([file("note.txt", b"the note")]));
    let file = rows[0].clone();
    let downloads = desk.world.home.path().join("downloads");
    let outside = desk.world.home.path().join("outside");
    std::fs::create_dir_all(&outside).unwrap();
    std::os::unix::fs::symlink(&outside, downloads.join("link")).unwrap();
    std::os::unix::fs::symlink(outside.join("new.bin"), downloads.join("link.bin")).unwrap();
    std::fs::write(downloads.join("there.bin"), "mine").unwrap();
    let absolute = outside.join("new.bin");
    let paths = [
        ("../outside/new.bin", "path_not_allowed"),
        ("sub/../../outside/new.bin", "path_not_allowed"),
        (absolute.to_str().unwrap(), "path_not_allowed"),
        ("/etc/new.bin", "path_not_allowed"),
        ("~/new.bin", "path_not_allowed"),
        ("..", "path_not_allowed"),
        (".", "path_not_allowed"),
        ("link/new.bin", "no_folder"),
        ("missing/new.bin", "no_folder"),
        ("link.bin", "file_exists"),
        ("there.bin", "file_exists"),
    ];
    for (path, expected) in paths {
        let given = json!({"email_id": message, "attachment_id": file["id"], "save_path": path});
        assert_eq!(desk.refused("email_get_attachment", &given), expected, "{path}");
    }
    assert_eq!(
        desk.call("email_get_attachment", &json!({"email_id": message, "attachment_id": file["id"], "save_path": "a\nb"}))
            .fault()
            .unwrap()
            .0,
        "invalid_argument"
    );
    assert!(std::fs::read_dir(&outside).unwrap().next().is_none(), "something was written outside");
    assert_eq!(std::fs::read_to_string(downloads.join("there.bin")).unwrap(), "mine");
    let mut left: Vec<_> = std::fs::read_dir(&downloads).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    left.sort();
    assert_eq!(left, ["link", "link.bin", "there.bin"], "a draft is left behind");
}

/// A sender chooses a file's name: it is shown as it is, and is no path.
#[test]
fn a_name_that_tries_to_escape_is_only_a_name() {
    let mut desk = Desk::new(&[]);
    let evil = "../../../evil\u{202e}txt.exe";
    let (message, rows) = arrived(&mut desk, &json!([file(evil, b"boo")]));
    assert_eq!(rows[0]["name"], evil);
    let saved = desk.done("email_get_attachment", json!({"email_id": message, "attachment_id": rows[0]["id"], "save_path": "safe.txt"}));
    assert_eq!(saved["saved_to"], desk.world.home.path().join("downloads/safe.txt").to_str().unwrap());
    assert_eq!(
        (&saved["name"], std::fs::read(desk.world.home.path().join("downloads/safe.txt")).unwrap().as_slice()),
        (&json!(evil), b"boo".as_slice())
    );
}
