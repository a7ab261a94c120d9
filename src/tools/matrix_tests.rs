//! Which reads each write makes untrue: every write against every read of one small tenant, as a snapshot.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{
    Does,
    fake::{Fake, act, args, fetch, named},
    find,
};
use crate::cache::{Scope, Service, SourceId, Touch, Touched, spread};

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

const READS: [(&str, &str, &str); 14] = [
    ("inbox by name", "email_list", r#"{"account_id":"a"}"#),
    ("inbox by id", "email_list", r#"{"account_id":"a","folder_id":"INBOX-1"}"#),
    ("archive by name", "email_list", r#"{"account_id":"a","folder":"archive"}"#),
    ("archive by id", "email_list", r#"{"account_id":"a","folder_id":"ARCH-1"}"#),
    ("custom folder", "email_list", r#"{"account_id":"a","folder_id":"CUSTOM-1"}"#),
    ("message in1", "email_get", r#"{"account_id":"a","email_id":"in1"}"#),
    ("message in2", "email_get", r#"{"account_id":"a","email_id":"in2"}"#),
    ("message ar1", "email_get", r#"{"account_id":"a","email_id":"ar1"}"#),
    ("mail folders", "emailfolders_list", r#"{"account_id":"a"}"#),
    ("contacts", "contact_list", r#"{"account_id":"a"}"#),
    ("contact", "contact_get", r#"{"account_id":"a","contact_id":"c1"}"#),
    ("events", "calendar_list_events", r#"{"account_id":"a"}"#),
    ("files", "file_list", r#"{"account_id":"a","path":"/Docs"}"#),
    ("tree", "folder_get_tree", r#"{"account_id":"a"}"#),
];

const WRITES: [(&str, &str, &str); 6] = [
    ("mark in1 read", "email_mark_read", r#"{"account_id":"a","email_id":"in1"}"#),
    ("mark a message read that no answer showed", "email_mark_read", r#"{"account_id":"a","email_id":"unseen"}"#),
    ("move in1 to the archive by name", "email_move", r#"{"account_id":"a","email_id":"in1","destination_folder":"archive"}"#),
    ("move in1 to the archive by id", "email_move", r#"{"account_id":"a","email_id":"in1","destination_folder":"ARCH-1"}"#),
    ("move in1 to the custom folder", "email_move", r#"{"account_id":"a","email_id":"in1","destination_folder":"CUSTOM-1"}"#),
    ("move a message that no answer showed", "email_move", r#"{"account_id":"a","email_id":"unseen","destination_folder":"CUSTOM-1"}"#),
];

#[tokio::test]
async fn what_each_write_makes_untrue() {
    let tenant = tenant();
    let given = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let mut known: BTreeMap<String, BTreeSet<Scope>> = BTreeMap::new();
    let mut reads = Vec::new();
    for (label, tool, arguments) in READS {
        let fetched = fetch(&tenant, tool, given(arguments)).await.unwrap();
        for (item, containers) in fetched.shown {
            known.entry(item).or_default().extend(containers);
        }
        let service = match find(tool).unwrap().effect {
            super::Effect::Read { service, .. } => service,
            _ => unreachable!(),
        };
        let mut scopes: BTreeSet<Scope> = fetched.scopes.into_iter().collect();
        scopes.insert(Scope::all(service));
        reads.push((label, scopes));
    }

    let mut matrix = BTreeMap::new();
    for (label, tool, arguments) in WRITES {
        let Does::Write { touches, .. } = find(tool).unwrap().does else { unreachable!() };
        let before = touches(&args(tool, given(arguments)).unwrap());
        let written = act(&tenant, tool, given(arguments)).await.unwrap();
        let hit = |touches: Vec<Touch>| -> Vec<&str> {
            let source = SourceId::mailbox("c", "t", "m");
            let touched = Touched { source, service: Service::Mail, touches };
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
