//! Which reads each write of mail folders and inbox rules makes untrue, beside `matrix_tests.rs`.

use serde_json::{Value, json};

use super::{
    fake::{Fake, named},
    matrix::{Asked, matrix},
};

/// The folder `A` has the folder `B` in it; message `m` lies in `A`, `i` in the inbox (`IN`). Rule `r1` runs before `r2`.
fn mailbox() -> Fake {
    Fake::new(|request| {
        let message = |id: &str, folder: &str| json!({"id": id, "parentFolderId": folder});
        let folder = |id: &str, parent: &str, children: u8| json!({"id": id, "displayName": id, "parentFolderId": parent, "childFolderCount": children});
        let rule = |id: &str, sequence: u8| json!({"id": id, "displayName": id, "sequence": sequence});
        let name = named(request);
        Some(Ok(match name.as_str() {
            "GET /me/mailFolders" => json!({"value": [folder("IN", "TOP", 0), folder("A", "TOP", 1)]}),
            "GET /me/mailFolders/A/childFolders" => json!({"value": [folder("B", "A", 0)]}),
            "GET /me/mailFolders/A" => folder("A", "TOP", 1),
            "GET /me/mailFolders/B" => folder("B", "A", 0),
            "GET /me/mailFolders/inbox/messages" => json!({"value": [message("i", "IN")]}),
            "GET /me/mailFolders/A/messages" => json!({"value": [message("m", "A")]}),
            "GET /me/messages/m" | "PATCH /me/messages/m" => message("m", "A"),
            "GET /me/messages/i" => message("i", "IN"),
            "GET /me/mailFolders/inbox/messageRules" => json!({"value": [rule("r1", 1), rule("r2", 2)]}),
            "GET /me/mailFolders/inbox/messageRules/r2" => rule("r2", 2),
            "POST /me/mailFolders/inbox/messageRules" => rule("new", 3),
            name if name.contains("/messageRules/") && name.starts_with("PATCH ") => rule(name.rsplit('/').next()?, 1),
            "POST /me/mailFolders" => folder("NEW", "TOP", 0),
            name if name.contains("/mailFolders/") && !name.starts_with("GET ") && !name.starts_with("DELETE ") => folder("B", "TOP", 0),
            name if name.starts_with("DELETE ") => Value::Null,
            _ => return None,
        }))
    })
}

const READS: &[Asked] = &[
    ("mail folders", "emailfolders_list", "{}"),
    ("folders in A", "emailfolders_list", r#"{"parent_folder_id":"A"}"#),
    ("folder A", "emailfolders_get", r#"{"folder_id":"A"}"#),
    ("folder B in A", "emailfolders_get", r#"{"folder_id":"B"}"#),
    ("tree of mail folders", "emailfolders_get_tree", "{}"),
    ("inbox", "email_list", "{}"),
    ("messages of A", "email_list", r#"{"folder_id":"A"}"#),
    ("message m of A", "email_get", r#"{"email_id":"m"}"#),
    ("message i of the inbox", "email_get", r#"{"email_id":"i"}"#),
    ("rules", "emailrules_list", "{}"),
    ("rule r2", "emailrules_get", r#"{"rule_id":"r2"}"#),
];

const WRITES: &[Asked] = &[
    ("create", "emailfolders_create", r#"{"display_name":"n"}"#),
    ("rename B", "emailfolders_rename", r#"{"folder_id":"B","new_display_name":"n"}"#),
    ("move B to the top", "emailfolders_move", r#"{"folder_id":"B","destination_folder_id":"msgfolderroot"}"#),
    ("delete B", "emailfolders_delete", r#"{"folder_id":"B"}"#),
    ("mark A as read", "emailfolders_mark_all_as_read", r#"{"folder_id":"A"}"#),
    ("empty A", "emailfolders_empty", r#"{"folder_id":"A"}"#),
    ("create", "emailrules_create", r#"{"display_name":"n","conditions":{"subjectContains":["x"]},"actions":{"markAsRead":true}}"#),
    ("update r2", "emailrules_update", r#"{"rule_id":"r2","is_enabled":false}"#),
    ("delete r2", "emailrules_delete", r#"{"rule_id":"r2"}"#),
    ("r2", "emailrules_move_top", r#"{"rule_id":"r2"}"#),
    ("r1", "emailrules_move_bottom", r#"{"rule_id":"r1"}"#),
    ("r2", "emailrules_move_up", r#"{"rule_id":"r2"}"#),
    ("r1", "emailrules_move_down", r#"{"rule_id":"r1"}"#),
];

#[tokio::test]
async fn what_each_write_of_mail_folders_and_rules_makes_untrue() {
    insta::assert_json_snapshot!(matrix(&mailbox(), READS, WRITES).await);
}
