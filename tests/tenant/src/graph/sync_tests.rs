//! Delta: whoever follows the links holds what the tenant holds, whatever others do between two pages.

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::testing::{Tenant, path, rows, text};

/// A reader of one delta feed.
struct Reader {
    wish: &'static str,
    link: String,
    held: BTreeMap<String, Value>,
    /// Whether the last page was the end of a round.
    done: bool,
}

impl Reader {
    fn new(url: &str, wish: &'static str) -> Self {
        Self { wish, link: url.to_owned(), held: BTreeMap::new(), done: false }
    }

    /// Takes one page.
    fn page(&mut self, tenant: &Tenant) {
        let page = tenant.prefer(&self.link, self.wish);
        for row in rows(&page) {
            let id = text(&row, "id").to_owned();
            if row["@removed"].is_object() || row["deleted"].is_object() {
                self.held.remove(&id);
            } else {
                self.held.insert(id, row);
            }
        }
        self.done = page["@odata.deltaLink"].is_string();
        let name = if self.done { "@odata.deltaLink" } else { "@odata.nextLink" };
        self.link = text(&page, name).to_owned();
    }

    /// Reads to the end of a round, and what came meanwhile with another one.
    fn catch_up(&mut self, tenant: &Tenant) {
        for _ in 0..2 {
            loop {
                self.page(tenant);
                if self.done {
                    break;
                }
            }
        }
    }
}

fn dumped(tenant: &Tenant, kind: &str, key: &str, keep: impl Fn(&Value) -> bool) -> BTreeMap<String, Value> {
    let dump = tenant.graph.dump(Some("alex@contoso.example"), Some(kind));
    let all = dump["users"][0][kind].as_array().unwrap().clone();
    all.into_iter().filter(keep).map(|row| (text(&row, key).to_owned(), row)).collect()
}

/// Every property that both sides show must be equal, but for addresses: renaming a folder does not report what is in it.
fn same(held: &BTreeMap<String, Value>, truth: &BTreeMap<String, Value>, what: &str) {
    assert_eq!(held.keys().collect::<Vec<_>>(), truth.keys().collect::<Vec<_>>(), "{what}: not the same things");
    for (id, row) in held {
        for (name, value) in row.as_object().unwrap() {
            if let Some(true_value) =
                truth[id].get(name).filter(|_| !["id", "parentReference", "webLink", "webUrl"].contains(&name.as_str()))
            {
                assert_eq!(value, true_value, "{what} {id}: {name}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10))]
    #[test]
    fn replaying_delta_gives_what_the_tenant_holds(seed in any::<u64>(), rounds in 1_u64..5, per_round in 1_u64..60, size in prop::sample::select(vec!["odata.maxpagesize=7", "odata.maxpagesize=40"])) {
        let tenant = Tenant::small();
        let inbox = text(&tenant.get("/me/mailFolders/inbox"), "id").to_owned();
        let immutable: &'static str = if size.ends_with("=7") { "odata.maxpagesize=7, IdType=\"ImmutableId\"" } else { "odata.maxpagesize=40, IdType=\"ImmutableId\"" };
        let mut readers = [
            Reader::new("/me/mailFolders/inbox/messages/delta", size),
            Reader::new("/me/mailFolders/inbox/messages/delta", immutable),
            Reader::new("/me/mailFolders/delta", size),
            Reader::new("/me/drive/root/delta", size),
            Reader::new("/me/contacts/delta", size),
            Reader::new("/me/contactFolders/delta", size),
        ];
        for round in 0..rounds {
            // Changes fall between the pages of one round and between rounds.
            for reader in &mut readers {
                reader.page(&tenant);
            }
            tenant.advance(7);
            tenant.apply(json!({"verb": "churn", "count": per_round, "seed": seed.wrapping_add(round)}));
        }
        for reader in &mut readers {
            reader.catch_up(&tenant);
        }
        let in_inbox = |row: &Value| row["parentFolderId"] == inbox;
        same(&readers[0].held, &dumped(&tenant, "messages", "id", in_inbox), "inbox");
        same(&readers[1].held, &dumped(&tenant, "messages", "immutableId", in_inbox), "inbox, immutable");
        let folders = dumped(&tenant, "mailFolders", "id", |row| row["displayName"] != "Top of Information Store");
        same(&readers[2].held, &folders, "folders");
        same(&readers[3].held, &dumped(&tenant, "driveItems", "id", |_| true), "drive");
        let own = tenant.get("/me/contacts?$top=1&$select=parentFolderId")["value"][0]["parentFolderId"].clone();
        same(&readers[4].held, &dumped(&tenant, "contacts", "id", |row| row["parentFolderId"] == own), "contacts");
        let own = own.as_str().unwrap_or_default();
        same(&readers[5].held, &dumped(&tenant, "contactFolders", "id", |row| row["id"] != own), "contact folders");
        counts_agree(&tenant);
    }
}

/// Counts that are kept must be those that can be counted.
fn counts_agree(tenant: &Tenant) {
    let messages = dumped(tenant, "messages", "id", |_| true);
    let folders = dumped(tenant, "mailFolders", "id", |_| true);
    for (id, folder) in &folders {
        let inside = messages.values().filter(|m| m["parentFolderId"] == *id);
        let unread = inside.clone().filter(|m| m["isRead"] == false).count();
        let children = folders.iter().filter(|(other, f)| f["parentFolderId"] == *id && *other != id).count();
        assert_eq!(
            (folder["totalItemCount"].clone(), folder["unreadItemCount"].clone(), folder["childFolderCount"].clone()),
            (json!(inside.count()), json!(unread), json!(children)),
            "{folder}"
        );
    }
    let items = dumped(tenant, "driveItems", "id", |_| true);
    for (id, folder) in items.iter().filter(|(_, item)| item["folder"].is_object()) {
        let inside: Vec<&Value> = items.values().filter(|i| i["parentReference"]["id"] == *id).collect();
        assert_eq!(folder["folder"]["childCount"], inside.len(), "{folder}");
        assert_eq!(folder["size"].as_u64(), Some(inside.iter().filter_map(|i| i["size"].as_u64()).sum()), "{folder}");
    }
}

#[test]
fn the_first_round_says_that_changes_are_tracked_and_links_keep_the_selection() {
    let tenant = Tenant::small();
    let url = "/me/mailFolders/inbox/messages/delta?$select=subject&$filter=receivedDateTime%20ge%202026-11-01T00:00:00Z";
    let reply = tenant.raw("GET", url, &[("prefer", "odata.maxpagesize=2")], Bytes::new());
    assert_eq!(reply.headers["preference-applied"], "odata.track-changes, odata.maxpagesize=2");
    let first: Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(rows(&first).len(), 2);
    let next = text(&first, "@odata.nextLink");
    assert!(next.contains("$skiptoken=") && !next.contains("select"));
    let second = tenant.prefer(next, "odata.maxpagesize=500");
    assert!(
        rows(&second).iter().all(|m| { m.as_object().unwrap().keys().all(|k| ["@odata.etag", "id", "subject"].contains(&k.as_str())) })
    );
    assert!(text(&second, "@odata.deltaLink").contains("$deltatoken="));
    for bad in ["$filter=isRead%20eq%20true", "$orderby=subject", "$search=%22x%22"] {
        tenant.refused(&format!("/me/mailFolders/inbox/messages/delta?{bad}"), 400);
    }
}

#[test]
fn a_moved_message_leaves_one_folder_and_comes_to_the_other() {
    let tenant = Tenant::small();
    let mut inbox = Reader::new("/me/mailFolders/inbox/messages/delta", "odata.maxpagesize=500");
    let mut archive = Reader::new("/me/mailFolders/archive/messages/delta", "odata.maxpagesize=500");
    inbox.page(&tenant);
    archive.page(&tenant);
    let id = inbox.held.keys().next().unwrap().clone();
    let moved = tenant.post(&format!("/me/messages/{}/move", path(&id)), json!({"destinationId": "archive"}), 201);
    let changes = tenant.get(&inbox.link);
    assert_eq!(rows(&changes), [json!({"@odata.type": "#microsoft.graph.message", "id": id, "@removed": {"reason": "deleted"}})]);
    archive.page(&tenant);
    assert!(archive.held.contains_key(text(&moved, "id")));
}

#[test]
fn tokens_expire_and_strange_ones_are_refused() {
    let tenant = Tenant::small();
    let links: Vec<String> =
        ["/me/mailFolders/inbox/messages/delta", "/me/mailFolders/delta", "/me/contacts/delta", "/me/drive/root/delta"]
            .iter()
            .map(|url| {
                let mut reader = Reader::new(url, "odata.maxpagesize=9");
                reader.catch_up(&tenant);
                reader.link
            })
            .collect();
    assert_eq!(tenant.refused("/me/mailFolders/inbox/messages/delta?$deltatoken=nonsense", 410), "SyncStateNotFound");
    assert_eq!(tenant.refused(&links[0].replace("inbox", "archive"), 400), "SyncStateInvalid");
    tenant.apply(json!({"verb": "expire_delta_tokens"}));
    for link in &links[..3] {
        assert_eq!(tenant.refused(link, 410), "SyncStateNotFound");
    }
    let reply = tenant.raw("GET", &links[3], &[], Bytes::new());
    assert_eq!(reply.status.as_u16(), 410);
    let start = reply.headers["location"].to_str().unwrap().to_owned();
    assert!(!rows(&tenant.get(&start)).is_empty(), "the way to start anew works");
    assert_eq!(tenant.refused("/me/drive/root/delta?token=nonsense", 410), "resyncRequired");
}

#[test]
fn latest_gives_a_link_and_nothing_else() {
    let tenant = Tenant::small();
    let latest = tenant.get("/me/drive/root/delta?token=latest");
    assert!(rows(&latest).is_empty());
    let file = tenant.apply(json!({"verb": "new_file", "name": "later.txt", "content": "abc"}));
    let changes = rows(&tenant.get(text(&latest, "@odata.deltaLink")));
    let ids: Vec<&str> = changes.iter().map(|item| text(item, "id")).collect();
    assert!(ids.contains(&text(&file, "id")) && changes.iter().any(|item| item["root"].is_object()), "{changes:?}");
    assert!(changes.iter().all(|item| item["parentReference"]["path"].is_null()));
}

#[test]
fn changes_from_outside_name_what_is_wrong_with_them() {
    let tenant = Tenant::small();
    for (change, part) in [
        (json!({}), "'verb' is missing"),
        (json!({"verb": "frob"}), "no verb 'frob'"),
        (json!({"verb": "new_message", "user": "nobody"}), "no user 'nobody'"),
        (json!({"verb": "delete_message"}), "'id' is missing"),
        (json!({"verb": "move_message", "id": "x", "folder": "inbox"}), "ErrorInvalidIdMalformed"),
        (json!({"verb": "rename_item", "id": "x", "name": "y"}), "no item 'x'"),
        (json!({"verb": "churn", "seed": 1}), "'count' is missing"),
        (json!({"verb": "new_contact", "nosuch": 1}), "nosuch"),
        (json!({"verb": "new_rule", "displayName": "x"}), "'actions' is required"),
        (json!({"verb": "delete_rule", "id": "x"}), "nothing with the id"),
        (json!({"verb": "move_mail_folder", "id": "inbox", "parent": "archive"}), "well-known"),
        (json!({"verb": "request", "method": "GET"}), "'path' is missing"),
    ] {
        let error = tenant.graph.apply(&change).expect_err(part);
        assert!(error.contains(part), "{change}: {error}");
    }
    let id = tenant.apply(json!({"verb": "new_event", "user": "bea@contoso.example", "subject": "From outside",
        "start": {"dateTime": "2026-12-01T10:00:00", "timeZone": "UTC"}, "end": {"dateTime": "2026-12-01T11:00:00", "timeZone": "UTC"}}));
    tenant.apply(json!({"verb": "delete_event", "user": "bea@contoso.example", "id": id["id"]}));
    let log = tenant.apply(json!({"verb": "churn", "count": 30, "seed": 5}));
    let again = Tenant::small();
    again.apply(json!({"verb": "new_event", "user": "bea@contoso.example", "subject": "From outside",
        "start": {"dateTime": "2026-12-01T10:00:00", "timeZone": "UTC"}, "end": {"dateTime": "2026-12-01T11:00:00", "timeZone": "UTC"}}));
    again.apply(json!({"verb": "delete_event", "user": "bea@contoso.example", "id": id["id"]}));
    assert_eq!(log, again.apply(json!({"verb": "churn", "count": 30, "seed": 5})), "churn is repeatable");
}

#[test]
fn others_change_what_is_no_mail_too() {
    let tenant = Tenant::small();
    let kind = |kind: &str| tenant.graph.dump(Some("alex@contoso.example"), Some(kind))["users"][0][kind].clone();
    let rule = tenant.apply(json!({"verb": "new_rule", "displayName": "theirs", "sequence": 1, "actions": {"markAsRead": true}}));
    tenant.apply(json!({"verb": "update_rule", "id": rule["id"], "sequence": 9}));
    assert!(kind("messageRules").as_array().unwrap().iter().any(|r| r["id"] == rule["id"] && r["sequence"] == 9));
    tenant.apply(json!({"verb": "delete_rule", "id": rule["id"]}));
    assert!(!kind("messageRules").to_string().contains("theirs"));
    let folder = tenant.apply(json!({"verb": "new_contact_folder", "name": "Theirs"}));
    let contact = tenant.apply(json!({"verb": "new_contact", "folder": folder["id"], "givenName": "Ann"}));
    tenant.apply(json!({"verb": "update_contact", "id": contact["id"], "jobTitle": "Diver"}));
    assert!(kind("contacts").to_string().contains("Diver"));
    tenant.apply(json!({"verb": "rename_contact_folder", "id": folder["id"], "name": "Others"}));
    assert!(kind("contactFolders").to_string().contains("Others"));
    tenant.apply(json!({"verb": "delete_contact", "id": contact["id"]}));
    tenant.apply(json!({"verb": "delete_contact_folder", "id": folder["id"]}));
    assert!(!kind("contactFolders").to_string().contains("Others"));
    let category = tenant.apply(json!({"verb": "new_category", "name": "Kites"}));
    tenant.apply(json!({"verb": "delete_category", "id": category["id"]}));
    tenant.apply(json!({"verb": "change_settings", "timeFormat": "h:mm tt"}));
    assert_eq!(kind("mailboxSettings")[0]["timeFormat"], "h:mm tt");
    let made = tenant.apply(json!({"verb": "new_mail_folder", "name": "Kites"}));
    tenant.apply(json!({"verb": "move_mail_folder", "id": made["id"], "parent": "archive"}));
    assert_eq!(
        tenant.get(&format!("/me/mailFolders/{}", path(text(&made, "id"))))["parentFolderId"],
        tenant.get("/me/mailFolders/archive")["id"]
    );
    tenant.apply(json!({"verb": "delete_mail_folder", "id": made["id"]}));
    let asked = tenant.apply(json!({"verb": "request", "user": "bea@contoso.example", "method": "post", "path": "/me/mailFolders", "body": {"displayName": "Hers"}}));
    assert_eq!((&asked["status"], &asked["body"]["displayName"]), (&json!(201), &json!("Hers")));
}
