//! Which reads each write of contacts makes untrue, beside `matrix_tests.rs`.

use serde_json::{Value, json};

use super::{
    fake::{Fake, named},
    matrix::{Asked, matrix},
};

/// Contact `c1` lies in the default folder (`CF`), `v1` in the folder `VIP`.
fn mailbox() -> Fake {
    Fake::new(|request| {
        let contact = |id: &str, folder: &str| json!({"id": id, "displayName": id, "parentFolderId": folder});
        Some(Ok(match named(request).as_str() {
            "GET /me/contacts" => json!({"value": [contact("c1", "CF")]}),
            "GET /me/contactFolders/VIP/contacts" => json!({"value": [contact("v1", "VIP")]}),
            "GET /me/contacts/c1" | "PATCH /me/contacts/c1" => contact("c1", "CF"),
            "GET /me/contacts/v1" | "PATCH /me/contacts/v1" => contact("v1", "VIP"),
            "PATCH /me/contacts/unseen" => contact("unseen", "CF"),
            "POST /me/contacts" => contact("new", "CF"),
            "POST /me/contactFolders" => json!({"id": "NEW", "displayName": "n"}),
            "POST /me/contactFolders/VIP/contacts" => contact("copy", "VIP"),
            name if name.starts_with("DELETE ") => Value::Null,
            _ => return None,
        }))
    })
}

const READS: &[Asked] = &[
    ("contacts", "contact_list", "{}"),
    ("contacts of VIP", "contact_list", r#"{"folder_id":"VIP"}"#),
    ("contact c1", "contact_get", r#"{"contact_id":"c1"}"#),
    ("contact v1 of VIP", "contact_get", r#"{"contact_id":"v1"}"#),
];

const WRITES: &[Asked] = &[
    ("create", "contact_create", r#"{"given_name":"n"}"#),
    ("update c1", "contact_update", r#"{"contact_id":"c1","updates":{"surname":"s"}}"#),
    ("update v1 of VIP", "contact_update", r#"{"contact_id":"v1","updates":{"surname":"s"}}"#),
    ("update a contact that no answer showed", "contact_update", r#"{"contact_id":"unseen","updates":{"surname":"s"}}"#),
    ("delete c1", "contact_delete", r#"{"contact_id":"c1"}"#),
    ("new folder", "contact_create_list", r#"{"list_name":"n"}"#),
    ("copy c1 into VIP", "contact_add_to_list", r#"{"contact_id":"c1","list_id":"VIP"}"#),
];

#[tokio::test]
async fn what_each_write_of_contacts_makes_untrue() {
    insta::assert_json_snapshot!(matrix(&mailbox(), READS, WRITES).await);
}
