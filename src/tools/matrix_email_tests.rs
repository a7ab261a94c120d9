//! Which reads each write of mail makes untrue, beside `matrix_tests.rs`: as a snapshot, and the same when the reply is lost.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{
    Does,
    fake::{Fake, act, args, fetch, named},
    find,
};
use crate::cache::{Scope, Service, SourceId, Touch, Touched, spread};

/// Message `m` lies in the inbox (`IN`), draft `d` in Drafts (`DR`), `x` in the folder `CUSTOM`; the other folders are empty.
fn tenant() -> Fake {
    Fake::new(|request| {
        let message = |id: &str, folder: &str| json!({"id": id, "parentFolderId": folder});
        let name = named(request);
        Some(Ok(match name.as_str() {
            "GET /me/mailFolders/inbox/messages" => json!({"value": [message("m", "IN")]}),
            "GET /me/mailFolders/drafts/messages" | "GET /me/mailFolders/DR/messages" => json!({"value": [message("d", "DR")]}),
            "GET /me/mailFolders/CUSTOM/messages" => json!({"value": [message("x", "CUSTOM")]}),
            "GET /me/messages/m" | "PATCH /me/messages/m" => message("m", "IN"),
            "GET /me/messages/d" | "PATCH /me/messages/d" => message("d", "DR"),
            "GET /me/messages/x" => message("x", "CUSTOM"),
            "GET /me/messages/m/attachments" => json!({"value": []}),
            "GET /me/mailFolders" => json!({"value": [{"id": "IN"}]}),
            "POST /me/messages" | "POST /me/messages/m/createReply" => message("d", "DR"),
            "POST /me/messages/m/move" => message("m2", "AR"),
            name if name.starts_with("GET /me/mailFolders/") && name.ends_with("/messages") => json!({"value": []}),
            name if name.starts_with("GET /me/mailFolders/") => json!({"id": name.rsplit('/').next()?}),
            name if name.starts_with("POST ") || name.starts_with("DELETE ") => Value::Null,
            _ => return None,
        }))
    })
}

const READS: [(&str, &str, &str); 12] = [
    ("inbox", "email_list", r#"{"account_id":"a"}"#),
    ("sent", "email_list", r#"{"account_id":"a","folder":"sent"}"#),
    ("drafts", "email_list", r#"{"account_id":"a","folder":"drafts"}"#),
    ("drafts by id", "email_list", r#"{"account_id":"a","folder_id":"DR"}"#),
    ("archive", "email_list", r#"{"account_id":"a","folder":"archive"}"#),
    ("deleted", "email_list", r#"{"account_id":"a","folder":"deleted"}"#),
    ("custom folder", "email_list", r#"{"account_id":"a","folder_id":"CUSTOM"}"#),
    ("message m", "email_get", r#"{"account_id":"a","email_id":"m"}"#),
    ("attachments of m", "email_list_attachments", r#"{"account_id":"a","email_id":"m"}"#),
    ("draft d", "email_get", r#"{"account_id":"a","email_id":"d"}"#),
    ("message x", "email_get", r#"{"account_id":"a","email_id":"x"}"#),
    ("mail folders", "emailfolders_list", r#"{"account_id":"a"}"#),
];

const WRITES: [(&str, &str, &str); 10] = [
    ("create a draft", "email_create_draft", r#"{"account_id":"a","to":"b@c.d","subject":"","body":""}"#),
    ("send", "email_send", r#"{"account_id":"a","to":"b@c.d","subject":"","body":""}"#),
    ("send draft d", "email_send_draft", r#"{"account_id":"a","draft_id":"d"}"#),
    ("reply to m", "email_reply", r#"{"account_id":"a","email_id":"m","body":"x"}"#),
    ("reply to m in html", "email_reply", r#"{"account_id":"a","email_id":"m","body":"x","body_type":"html"}"#),
    ("flag m", "email_flag", r#"{"account_id":"a","email_id":"m"}"#),
    ("update m as read", "email_update", r#"{"account_id":"a","email_id":"m","updates":{"isRead":true}}"#),
    ("archive m", "email_archive", r#"{"account_id":"a","email_id":"m"}"#),
    ("delete m", "email_delete", r#"{"account_id":"a","email_id":"m"}"#),
    ("forward m", "email_forward", r#"{"account_id":"a","email_id":"m","to":"b@c.d"}"#),
];

#[tokio::test]
async fn what_each_write_of_mail_makes_untrue() {
    let tenant = tenant();
    let given = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let mut known: BTreeMap<String, BTreeSet<Scope>> = BTreeMap::new();
    let mut reads = Vec::new();
    for (label, tool, arguments) in READS {
        let fetched = fetch(&tenant, tool, given(arguments)).await.unwrap();
        for (item, containers) in fetched.shown {
            known.entry(item).or_default().extend(containers);
        }
        let scopes: BTreeSet<Scope> = fetched.scopes.into_iter().chain([Scope::all(Service::Mail)]).collect();
        reads.push((label, scopes));
    }
    let mut matrix = BTreeMap::new();
    for (label, tool, arguments) in WRITES {
        let Does::Write { touches, .. } = find(tool).unwrap().does else { unreachable!() };
        let before = touches(&args(tool, given(arguments)).unwrap());
        let written = act(&tenant, tool, given(arguments)).await.unwrap();
        let hit = |touches: Vec<Touch>| -> Vec<&str> {
            let touched = Touched { source: SourceId::mailbox("c", "t", "m"), service: Service::Mail, touches };
            let bumped = spread(&touched, |item| known.get(item).map(|containers| containers.iter().cloned().collect()));
            reads.iter().filter(|(_, scopes)| !scopes.is_disjoint(&bumped)).map(|(label, _)| *label).collect()
        };
        // When the reply is lost only what was known before is touched: it has to reach as far.
        let lost = hit(before.clone());
        let all = hit(before.into_iter().chain(written.touches).collect());
        assert_eq!(lost, all, "{label}");
        matrix.insert(label, all);
    }
    insta::assert_json_snapshot!(matrix);
}
