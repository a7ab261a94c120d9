//! Which reads each write makes untrue: every write against every read of one small tenant, as a snapshot.

use serde_json::json;

use super::{
    fake::{Fake, named},
    matrix::{Asked, matrix},
};

/// Messages `in1` and `in2` lie in the inbox (`INBOX-1`), `ar1` in the archive (`ARCH-1`); the folder `CUSTOM-1` is empty.
fn tenant() -> Fake {
    Fake::new(|request| {
        let message = |id: &str, folder: &str| json!({"id": id, "parentFolderId": folder});
        let file = |id: &str| json!({"id": id, "name": id, "folder": {"childCount": 0}, "parentReference": {"id": "ROOT", "path": "/drive/root:"}});
        Some(Ok(match named(request).as_str() {
            "GET /me/mailFolders/inbox/messages" | "GET /me/mailFolders/INBOX-1/messages" => {
                json!({"value": [message("in1", "INBOX-1"), message("in2", "INBOX-1")]})
            }
            "GET /me/mailFolders/archive/messages" | "GET /me/mailFolders/ARCH-1/messages" => json!({"value": [message("ar1", "ARCH-1")]}),
            "GET /me/mailFolders/CUSTOM-1/messages" => json!({"value": []}),
            "GET /me/mailFolders/deleteditems" => json!({"id": "BIN-1"}),
            "GET /me/mailFolders/CUSTOM-1" => json!({"id": "CUSTOM-1"}),
            "GET /me/messages/in1" => message("in1", "INBOX-1"),
            "GET /me/messages/in2" => message("in2", "INBOX-1"),
            "GET /me/messages/ar1" => message("ar1", "ARCH-1"),
            "PATCH /me/messages/in1" | "PATCH /me/messages/unseen" => json!({"id": "in1", "isRead": true, "parentFolderId": "INBOX-1"}),
            "POST /me/messages/in1/move" | "POST /me/messages/unseen/move" => {
                let to = request.body.as_ref()?["destinationId"].as_str()?;
                message("in1-new", if to == "archive" { "ARCH-1" } else { to })
            }
            "GET /me/mailFolders" => json!({"value": [{"id": "INBOX-1"}]}),
            "GET /me/contacts" => json!({"value": [{"id": "c1", "parentFolderId": "CF"}]}),
            "GET /me/contacts/c1" => json!({"id": "c1", "parentFolderId": "CF"}),
            "GET /me/calendar" => json!({"id": "CAL"}),
            "GET /me/calendarView" => json!({"value": [{"id": "e1"}]}),
            "GET /me/drive/root/children" | "GET /me/drive/root:/Docs:/children" => json!({"value": [file("D")]}),
            "GET /me/drive/root:/Docs" => json!({"id": "D", "parentReference": {"id": "ROOT"}}),
            "GET /me/drive/root/delta" => json!({"value": [{"id": "ROOT", "root": {}}], "@odata.deltaLink": "d"}),
            _ => return None,
        }))
    })
}

const READS: &[Asked] = &[
    ("inbox by name", "email_list", "{}"),
    ("inbox by id", "email_list", r#"{"folder_id":"INBOX-1"}"#),
    ("archive by name", "email_list", r#"{"folder":"archive"}"#),
    ("archive by id", "email_list", r#"{"folder_id":"ARCH-1"}"#),
    ("custom folder", "email_list", r#"{"folder_id":"CUSTOM-1"}"#),
    ("message in1", "email_get", r#"{"email_id":"in1"}"#),
    ("message in2", "email_get", r#"{"email_id":"in2"}"#),
    ("message ar1", "email_get", r#"{"email_id":"ar1"}"#),
    ("mail folders", "emailfolders_list", "{}"),
    ("contacts", "contact_list", "{}"),
    ("contact", "contact_get", r#"{"contact_id":"c1"}"#),
    ("events", "calendar_list_events", "{}"),
    ("files", "file_list", r#"{"path":"/Docs"}"#),
    ("tree", "folder_get_tree", "{}"),
];

const WRITES: &[Asked] = &[
    ("mark in1 read", "email_mark_read", r#"{"email_id":"in1"}"#),
    ("mark a message read that no answer showed", "email_mark_read", r#"{"email_id":"unseen"}"#),
    ("move in1 to the archive by name", "email_move", r#"{"email_id":"in1","destination_folder":"archive"}"#),
    ("move in1 to the archive by id", "email_move", r#"{"email_id":"in1","destination_folder":"ARCH-1"}"#),
    ("move in1 to the custom folder", "email_move", r#"{"email_id":"in1","destination_folder":"CUSTOM-1"}"#),
    ("move a message that no answer showed", "email_move", r#"{"email_id":"unseen","destination_folder":"CUSTOM-1"}"#),
];

#[tokio::test]
async fn what_each_write_makes_untrue() {
    insta::assert_json_snapshot!(matrix(&tenant(), READS, WRITES).await);
}
