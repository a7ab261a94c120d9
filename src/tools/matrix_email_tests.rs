//! Which reads each write of mail makes untrue, beside `matrix_tests.rs`: as a snapshot, and the same when the reply is lost.

use serde_json::{Value, json};

use super::{
    fake::{Fake, named},
    matrix::{Asked, matrix},
};

/// Message `m` lies in the inbox (`IN`), draft `d` in Drafts (`DR`), `x` in the folder `CUSTOM`; the other folders are empty.
/// What is written there is the draft `new`.
fn tenant() -> Fake {
    Fake::new(|request| {
        let message = |id: &str, folder: &str| json!({"id": id, "parentFolderId": folder});
        let name = named(request);
        Some(Ok(match name.as_str() {
            "GET /me/mailFolders/inbox/messages" => json!({"value": [message("m", "IN")]}),
            "GET /me/mailFolders/drafts/messages" | "GET /me/mailFolders/DR/messages" => json!({"value": [message("d", "DR")]}),
            "GET /me/mailFolders/CUSTOM/messages" => json!({"value": [message("x", "CUSTOM")]}),
            "GET /me/messages/m" | "PATCH /me/messages/m" => message("m", "IN"),
            "GET /me/messages/d" => message("d", "DR"),
            "PATCH /me/messages/new" => message("new", "DR"),
            "GET /me/messages/x" => message("x", "CUSTOM"),
            "GET /me/messages" if request.query.iter().any(|(_, asked)| asked == "\"about m\"") => json!({"value": [message("m", "IN")]}),
            "GET /me/messages" => json!({"value": [message("x", "CUSTOM")]}),
            "GET /me/messages/m/attachments" => json!({"value": []}),
            "GET /me/mailFolders" => json!({"value": [{"id": "IN"}]}),
            "POST /me/messages" | "POST /me/messages/m/createReply" | "POST /me/messages/m/createReplyAll" => message("new", "DR"),
            "POST /me/messages/m/move" => message("m2", "AR"),
            name if name.starts_with("GET /me/mailFolders/") && name.ends_with("/messages") => json!({"value": []}),
            name if name.starts_with("GET /me/mailFolders/") => json!({"id": name.rsplit('/').next()?}),
            name if name.starts_with("POST ") || name.starts_with("DELETE ") => Value::Null,
            _ => return None,
        }))
    })
}

const READS: &[Asked] = &[
    ("inbox", "email_list", "{}"),
    ("sent", "email_list", r#"{"folder":"sent"}"#),
    ("drafts", "email_list", r#"{"folder":"drafts"}"#),
    ("drafts by id", "email_list", r#"{"folder_id":"DR"}"#),
    ("archive", "email_list", r#"{"folder":"archive"}"#),
    ("deleted", "email_list", r#"{"folder":"deleted"}"#),
    ("custom folder", "email_list", r#"{"folder_id":"CUSTOM"}"#),
    ("message m", "email_get", r#"{"email_id":"m"}"#),
    ("attachments of m", "email_list_attachments", r#"{"email_id":"m"}"#),
    ("draft d", "email_get", r#"{"email_id":"d"}"#),
    ("message x", "email_get", r#"{"email_id":"x"}"#),
    ("mail folders", "emailfolders_list", "{}"),
    ("search that shows m", "search_emails", r#"{"query":"about m"}"#),
    ("search that shows x", "search_emails", r#"{"query":"about x"}"#),
    ("search by read marks", "search_emails", r#"{"query":"about is:read"}"#),
];

const WRITES: &[Asked] = &[
    ("create a draft", "email_create_draft", r#"{"to":"b@c.d","subject":"","body":""}"#),
    ("send", "email_send", r#"{"to":"b@c.d","subject":"","body":""}"#),
    ("send draft d", "email_send_draft", r#"{"draft_id":"d"}"#),
    ("reply to m", "email_reply", r#"{"email_id":"m","body":"x"}"#),
    ("reply to m in html", "email_reply", r#"{"email_id":"m","body":"x","body_type":"html"}"#),
    ("reply to all of m", "email_reply_all", r#"{"email_id":"m","body":"x"}"#),
    ("flag m", "email_flag", r#"{"email_id":"m"}"#),
    ("give m a category", "email_add_category", r#"{"email_id":"m","categories":"c"}"#),
    ("update m as read", "email_update", r#"{"email_id":"m","updates":{"isRead":true}}"#),
    ("archive m", "email_archive", r#"{"email_id":"m"}"#),
    ("delete m", "email_delete", r#"{"email_id":"m"}"#),
    ("forward m", "email_forward", r#"{"email_id":"m","to":"b@c.d"}"#),
];

#[tokio::test]
async fn what_each_write_of_mail_makes_untrue() {
    insta::assert_json_snapshot!(matrix(&tenant(), READS, WRITES).await);
}
