//! What Graph is known to do, asked of ours.

use std::collections::HashSet;

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::testing::{BASE, DOWNLOADS, Tenant, path, rows, text};
use crate::seed::{CANARY, Kind, PERSONAL_TENANT, Size};

/// The beginning of the SHA-256 of each kind in the dump of `Size::Small` with seed 1. It changes when the seed's data of
/// that kind changes, and only then.
const SMALL_ONE: &[(&str, &str)] = &[
    ("messages", "60243b9995670cc2"),
    ("mailFolders", "7f4c8efbfa9eae65"),
    ("driveItems", "6daec809303f6520"),
    ("contacts", "2d13b35ab7e38b90"),
    ("calendars", "8bec7d61dd0ced15"),
    ("events", "f045402c0add783a"),
    ("uploadSessions", "340fc460a2fd77ef"),
    ("messageRules", "507a9cf7e5894a18"),
    ("masterCategories", "ed8130d661a936e5"),
    ("contactFolders", "f61739704ed7ebb3"),
    ("mailboxSettings", "fde6f1b210f3ce62"),
];

fn hashes(tenant: &Tenant) -> Vec<(&'static str, String)> {
    let of = |kind: &str| Sha256::digest(tenant.graph.dump(None, Some(kind)).to_string());
    SMALL_ONE.iter().map(|(kind, _)| (*kind, of(kind).iter().take(8).map(|byte| format!("{byte:02x}")).collect())).collect()
}

#[test]
fn one_seed_gives_one_tenant() {
    let tenant = Tenant::small();
    assert_eq!(hashes(&tenant), SMALL_ONE.iter().map(|(kind, hash)| (*kind, (*hash).to_owned())).collect::<Vec<_>>());
    let dump = tenant.graph.dump(Some("alex@contoso.example"), None);
    let kinds: Vec<&str> = dump["users"][0].as_object().unwrap().keys().map(String::as_str).skip(2).collect();
    assert_eq!(kinds, SMALL_ONE.iter().map(|(kind, _)| *kind).collect::<Vec<_>>());
    assert_ne!(hashes(&Tenant::new(Size::Small, 2)), hashes(&tenant));
}

#[test]
fn the_accounts_and_amounts_are_as_promised() {
    let tenant = Tenant::small();
    let users = tenant.graph.users();
    assert_eq!(users.iter().map(|u| u.kind).collect::<Vec<_>>(), [Kind::Work, Kind::Work, Kind::Personal, Kind::Shared]);
    assert_eq!(users[2].tenant_id, PERSONAL_TENANT);
    assert_eq!(users[0].tenant_id, users[1].tenant_id);
    let dump = tenant.graph.dump(Some("alex@contoso.example"), None);
    let of = |kind: &str| dump["users"][0][kind].as_array().map_or(0, Vec::len);
    assert_eq!([of("messages"), of("mailFolders"), of("driveItems"), of("contacts"), of("events")], [400, 31, 301, 120, 80]);
    for kind in ["messages", "mailFolders", "driveItems", "contacts", "events"] {
        assert!(dump["users"][0][kind].to_string().contains(CANARY) || kind == "events", "no canary in {kind}");
    }
    let deepest = dump["users"][0]["driveItems"].as_array().unwrap().iter().filter_map(|i| i["parentReference"]["path"].as_str());
    assert!(deepest.map(|p| p.matches('/').count()).max().unwrap() <= 9);
}

#[test]
fn the_large_tenant_has_its_amounts() {
    let tenant = Tenant::new(Size::Large, 1);
    let all = tenant.raw("GET", "/me/messages/$count", &[], Bytes::new());
    assert_eq!(&all.body[..], b"50000");
    assert_eq!(tenant.get("/me/contacts?$count=true&$top=1")["@odata.count"], 800);
    let folders = tenant.prefer("/me/mailFolders/delta", "odata.maxpagesize=1000");
    assert_eq!(rows(&folders).len(), 1_000);
    assert!(folders["@odata.nextLink"].is_string());
    let inbox = tenant.get("/me/mailFolders/inbox");
    assert!(inbox["totalItemCount"].as_u64().unwrap() > 18_000, "{inbox}");
}

#[test]
fn shared_mailboxes_open_for_colleagues_only() {
    let mut tenant = Tenant::small();
    let shared = "/users/support@contoso.example/mailFolders/inbox/messages";
    assert!(!rows(&tenant.get(shared)).is_empty());
    tenant.user = 1;
    assert!(!rows(&tenant.get(shared)).is_empty());
    assert_eq!(tenant.refused("/users/alex@contoso.example/messages", 403), "ErrorAccessDenied");
    assert_eq!(tenant.get("/users/alex@contoso.example?$select=displayName")["displayName"], "Alex Wilber");
    tenant.user = 2;
    assert_eq!(tenant.refused(shared, 403), "ErrorAccessDenied");
    assert_eq!(tenant.refused("/users/nobody@contoso.example", 404), "Request_ResourceNotFound");
    let owner = |t: &Tenant, url: &str| t.graph.owner(&t.request("GET", url, &[], Bytes::new()));
    let users = tenant.graph.users();
    assert_eq!(owner(&tenant, shared), Some(format!("mailbox:{}", users[3].mailbox_id)));
    assert_eq!(owner(&tenant, "/me/drive/root/children"), Some(format!("drive:{}", users[2].drive_id)));
    assert_eq!(owner(&tenant, "/me"), None);
    assert_eq!(owner(&tenant, "/$batch"), None);
}

#[test]
fn lists_keep_to_their_options() {
    let tenant = Tenant::small();
    let page = tenant.get("/me/mailFolders/inbox/messages?$select=id,subject,isRead&$count=true");
    assert_eq!(rows(&page).len(), 10);
    let oid = &tenant.graph.users()[0].id;
    assert_eq!(page["@odata.context"], format!("{BASE}/$metadata#users('{oid}')/mailFolders('inbox')/messages(id,subject,isRead)"));
    let keys: Vec<&String> = page["value"][0].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["@odata.etag", "id", "subject", "isRead"]);
    assert!(text(&page, "@odata.nextLink").ends_with("%24skip=10"), "{page}");
    let newest = rows(&tenant.get("/me/messages?$top=50&$select=receivedDateTime"));
    assert!(newest.windows(2).all(|pair| text(&pair[0], "receivedDateTime") >= text(&pair[1], "receivedDateTime")));
    let oldest = rows(&tenant.get("/me/messages?$top=50&$orderby=receivedDateTime&$select=receivedDateTime"));
    assert!(oldest.windows(2).all(|pair| text(&pair[0], "receivedDateTime") <= text(&pair[1], "receivedDateTime")));
    let unread = tenant.all("/me/mailFolders/inbox/messages?$filter=isRead%20eq%20false&$top=7&$select=isRead");
    assert!(!unread.is_empty() && unread.iter().all(|m| m["isRead"] == false));
    assert_eq!(tenant.get("/me/mailFolders/inbox")["unreadItemCount"], unread.len());
    for (url, code) in [
        ("/me/messages?$top=1001", "BadRequest"),
        ("/me/messages?$top=-1", "BadRequest"),
        ("/me/messages?$select=nosuch", "RequestBroker--ParseUri"),
        ("/me/messages?$filter=isRead%20is%20false", "BadRequest"),
        ("/me/messages?$filter=isRead%20eq%20false&$orderby=receivedDateTime%20desc", "InefficientFilter"),
        ("/me/messages?$search=%22x%22&$filter=isRead%20eq%20false", "SearchWithFilter"),
        ("/me/messages?$search=%22x%22&$orderby=subject", "SearchWithOrderBy"),
        ("/me/messages?$filter=contains(bodyPreview,'x')", "ErrorInvalidProperty"),
        ("/me/mailFolders/inbox/messages/delta?changeType=created", "NotImplemented"),
        ("/me/messages/garbage", "ErrorInvalidIdMalformed"),
        ("/me/mailFolders/nosuchfolder", "ErrorInvalidIdMalformed"),
        ("/me/drive/root/children?$top=1000", "invalidRequest"),
        ("/me/drive/root/children?$top=0", "invalidRequest"),
        ("/me/drive/root/children?$select=nosuch", "BadRequest"),
        ("/me/calendarView", "ErrorInvalidParameter"),
        ("/me/nonsense", "BadRequest"),
    ] {
        assert_eq!(tenant.refused(url, 400), code, "{url}");
    }
    assert!(rows(&tenant.get("/me/messages?$top=0")).is_empty());
    let fits =
        "/me/messages?$filter=receivedDateTime%20ge%202026-11-01T00:00:00Z%20and%20isRead%20eq%20false&$orderby=receivedDateTime%20desc";
    assert!(!rows(&tenant.get(fits)).is_empty());
    let put = tenant.raw("PUT", "/me/messages", &[], Bytes::new());
    assert_eq!(put.status.as_u16(), 405);
}

#[test]
fn text_bodies_are_given_on_request() {
    let tenant = Tenant::small();
    let reply = tenant.raw("GET", "/me/messages?$top=40&$select=body", &[("prefer", "outlook.body-content-type=\"text\"")], Bytes::new());
    assert_eq!(reply.headers["preference-applied"], "outlook.body-content-type=\"text\"");
    let page: Value = serde_json::from_slice(&reply.body).unwrap();
    assert!(rows(&page).iter().all(|m| m["body"]["contentType"] == "text" && !text(&m["body"], "content").contains("<p>")));
    let stored = rows(&tenant.get("/me/messages?$top=40&$select=body"));
    assert!(stored.iter().filter(|m| m["body"]["contentType"] == "html").count() > 20);
    assert!(stored.iter().any(|m| text(&m["body"], "content").len() > 250_000), "the long table is among them");
}

#[test]
fn search_finds_by_word_sender_and_subject() {
    let tenant = Tenant::small();
    let canary =
        tenant.all(&format!("/me/messages?$search=%22{CANARY}%22&$select=subject,body&$expand=attachments($select=name)&$top=100"));
    assert!(!canary.is_empty() && canary.iter().all(|m| m.to_string().contains(CANARY)));
    let from = rows(&tenant.get("/me/messages?$search=%22from:fabrikam%22&$top=100&$select=from"));
    assert!(!from.is_empty() && from.iter().all(|m| text(&m["from"]["emailAddress"], "address").contains("fabrikam")));
    let with =
        rows(&tenant.get("/me/messages?$search=%22hasattachment:true%22&$select=id&$expand=attachments($select=id,name,size,contentType)"));
    assert!(
        !with.is_empty() && with.iter().all(|m| m["attachments"][0]["size"].is_number() && m["attachments"][0]["contentBytes"].is_null())
    );
}

#[test]
fn reading_marks_change_tags_and_counts() {
    let tenant = Tenant::small();
    let message = rows(&tenant.get("/me/mailFolders/inbox/messages?$filter=isRead%20eq%20false&$top=1")).remove(0);
    let url = format!("/me/messages/{}", path(text(&message, "id")));
    let before = tenant.get("/me/mailFolders/inbox");
    tenant.advance(5);
    let after = tenant.ask("PATCH", &url, &[], json!({"isRead": true, "categories": ["Blue"]}), 200);
    assert_eq!((after["isRead"].clone(), after["categories"].clone()), (json!(true), json!(["Blue"])));
    assert_ne!(after["@odata.etag"], message["@odata.etag"]);
    assert_eq!(text(&after, "@odata.etag"), format!("W/\"{}\"", text(&after, "changeKey")));
    assert_eq!(after["id"], message["id"]);
    let folder = tenant.get("/me/mailFolders/inbox");
    assert_eq!(folder["unreadItemCount"].as_u64(), before["unreadItemCount"].as_u64().map(|n| n - 1));
    tenant.ask("PATCH", &url, &[("if-match", text(&message, "@odata.etag"))], json!({"isRead": false}), 412);
    tenant.ask("PATCH", &url, &[("if-match", text(&after, "@odata.etag"))], json!({"isRead": false}), 200);
    tenant.ask("PATCH", &url, &[], json!({"subject": "no draft"}), 403);
    tenant.ask("PATCH", &url, &[], json!({"nosuch": 1}), 400);
}

#[test]
fn moves_change_ordinary_ids_and_keep_immutable_ones() {
    let tenant = Tenant::small();
    let wish = [("prefer", "IdType=\"ImmutableId\"")];
    let message = rows(&tenant.get("/me/mailFolders/inbox/messages?$top=1")).remove(0);
    let old = text(&message, "id").to_owned();
    let immutable = tenant.ask("GET", &format!("/me/messages/{}", path(&old)), &wish, Value::Null, 200);
    let immutable = text(&immutable, "id").to_owned();
    assert_ne!(old, immutable);
    let moved = tenant.post(&format!("/me/messages/{}/move", path(&old)), json!({"destinationId": "archive"}), 201);
    assert_ne!(text(&moved, "id"), old);
    assert_eq!(moved["parentFolderId"], tenant.get("/me/mailFolders/archive")["id"]);
    assert_eq!(tenant.refused(&format!("/me/messages/{}", path(&old)), 404), "ErrorItemNotFound");
    assert_eq!(tenant.get(&format!("/me/messages/{}", path(&immutable)))["id"], moved["id"]);
    let back = tenant.ask("POST", &format!("/me/messages/{}/move", path(&immutable)), &wish, json!({"DestinationId": "inbox"}), 201);
    assert_eq!(text(&back, "id"), immutable);
    assert_eq!(tenant.refused(&format!("/me/messages/{}", path(text(&moved, "id"))), 404), "ErrorItemNotFound");
    // Deleting moves to Deleted Items first.
    tenant.ask("DELETE", &format!("/me/messages/{}", path(&immutable)), &[], Value::Null, 204);
    let bin = tenant.get("/me/mailFolders/deleteditems");
    assert_eq!(tenant.get(&format!("/me/messages/{}", path(&immutable)))["parentFolderId"], bin["id"]);
    tenant.ask("DELETE", &format!("/me/messages/{}", path(&immutable)), &[], Value::Null, 204);
    tenant.refused(&format!("/me/messages/{}", path(&immutable)), 404);
}

#[test]
fn a_few_ids_have_slashes_and_work_when_encoded() {
    let tenant = Tenant::small();
    let odd: Vec<String> =
        tenant.all("/me/messages?$top=200&$select=id").iter().map(|m| text(m, "id").to_owned()).filter(|id| id.contains('/')).collect();
    assert!(!odd.is_empty());
    for id in odd {
        assert_eq!(tenant.get(&format!("/me/messages/{}?$select=id", path(&id)))["id"], id);
    }
}

#[test]
fn sent_mail_and_copies_come_when_the_lag_is_over() {
    let tenant = Tenant::small();
    tenant.graph.set_lag(std::time::Duration::from_secs(30));
    let count = |folder: &str| tenant.get(&format!("/me/mailFolders/{folder}"))["totalItemCount"].as_u64().unwrap();
    let (sent, archive) = (count("sentitems"), count("archive"));
    let message = json!({"subject": "lagging kingfisher", "body": {"contentType": "text", "content": "x"}, "toRecipients": [{"emailAddress": {"address": "a@b.example"}}]});
    tenant.post("/me/sendMail", json!({"message": message}), 202);
    tenant.post("/me/sendMail", json!({"message": message, "saveToSentItems": "false"}), 202);
    tenant.post("/me/sendMail", json!({"message": {"subject": "to nobody"}}), 400);
    let first = rows(&tenant.get("/me/messages?$top=1")).remove(0);
    let copy = tenant.post(&format!("/me/messages/{}/copy", path(text(&first, "id"))), json!({"destinationId": "archive"}), 201);
    let draft = tenant.ask("POST", "/me/messages", &[("prefer", "IdType=\"ImmutableId\"")], message, 201);
    let drafts = count("drafts");
    tenant.post(&format!("/me/messages/{}/send", path(text(&draft, "id"))), Value::Null, 202);
    assert_eq!((count("sentitems"), count("archive"), count("drafts")), (sent, archive, drafts - 1));
    assert_eq!(tenant.get(&format!("/me/messages/{}", path(text(&copy, "id"))))["subject"], first["subject"]);
    let found = || rows(&tenant.get("/me/messages?$search=%22kingfisher%22")).len();
    assert_eq!(found(), 0);
    tenant.advance(30);
    assert_eq!((count("sentitems"), count("archive")), (sent + 2, archive + 1));
    assert_eq!(found(), 2);
    assert_eq!(tenant.get(&format!("/me/messages/{}", path(text(&draft, "id"))))["isDraft"], false);
}

#[test]
fn folders_are_made_renamed_moved_copied_and_deleted() {
    let tenant = Tenant::small();
    let made = tenant.post("/me/mailFolders", json!({"displayName": "Kites"}), 201);
    tenant.post("/me/mailFolders", json!({"displayName": "KITES"}), 409);
    let url = format!("/me/mailFolders/{}", path(text(&made, "id")));
    let child = tenant.post(&format!("{url}/childFolders"), json!({"displayName": "Strings"}), 201);
    assert_eq!(child["parentFolderId"], made["id"]);
    assert_eq!(tenant.get(&url)["childFolderCount"], 1);
    tenant.apply(json!({"verb": "new_message", "folder": made["id"], "subject": "inside"}));
    assert_eq!(tenant.ask("PATCH", &url, &[], json!({"displayName": "Dragons"}), 200)["displayName"], "Dragons");
    let filter = rows(&tenant.get("/me/mailFolders?$filter=displayName%20eq%20'Dragons'"));
    assert_eq!(filter.len(), 1);
    let copy = tenant.post(&format!("{url}/copy"), json!({"destinationId": "archive"}), 200);
    assert_eq!((copy["totalItemCount"].clone(), copy["childFolderCount"].clone()), (json!(1), json!(1)));
    tenant.post(&format!("{url}/move"), json!({"destinationId": child["id"]}), 400);
    assert_eq!(tenant.post(&format!("{url}/move"), json!({"destinationId": "inbox"}), 200)["id"], made["id"]);
    tenant.ask("DELETE", &url, &[], Value::Null, 204);
    assert_eq!(tenant.get(&url)["parentFolderId"], tenant.get("/me/mailFolders/deleteditems")["id"]);
    tenant.ask("DELETE", &url, &[], Value::Null, 204);
    assert_eq!(tenant.refused(&url, 404), "ErrorItemNotFound");
    tenant.ask("DELETE", "/me/mailFolders/inbox", &[], Value::Null, 403);
    let hidden =
        |query: &str| rows(&tenant.get(&format!("/me/mailFolders?$top=100{query}"))).iter().filter(|f| f["isHidden"] == true).count();
    assert_eq!((hidden(""), hidden("&includeHiddenFolders=true")), (0, 1));
    assert_eq!(rows(&tenant.get("/me/mailFolders")).len(), 10);
}

#[test]
fn attachments_are_listed_read_and_downloaded() {
    let tenant = Tenant::small();
    let message =
        rows(&tenant.get("/me/messages?$filter=hasAttachments%20eq%20true&$top=1&$expand=attachments($select=id,size)")).remove(0);
    let url = format!("/me/messages/{}/attachments", path(text(&message, "id")));
    let listed = rows(&tenant.get(&url)).remove(0);
    assert_eq!(listed["@odata.type"], "#microsoft.graph.fileAttachment");
    assert_eq!(listed["id"], message["attachments"][0]["id"]);
    let one = format!("{url}/{}", path(text(&listed, "id")));
    assert_eq!(tenant.get(&one)["contentBytes"], listed["contentBytes"]);
    let raw = tenant.raw("GET", &format!("{one}/$value"), &[], Bytes::new());
    use base64::Engine as _;
    assert_eq!(base64::engine::general_purpose::STANDARD.encode(&raw.body), text(&listed, "contentBytes"));
    let mime = tenant.raw("GET", &format!("/me/messages/{}/$value", path(text(&message, "id"))), &[], Bytes::new());
    assert!(String::from_utf8_lossy(&mime.body).contains("multipart/mixed"));
    assert_eq!(tenant.refused(&format!("{url}/AAAA"), 404), "ErrorItemNotFound");
}

#[test]
fn contacts_are_made_changed_filtered_and_deleted() {
    let tenant = Tenant::small();
    let made = tenant.post("/me/contacts", json!({"givenName": "Zoë", "surname": "O'Hara", "mobilePhone": "1"}), 201);
    assert_eq!((text(&made, "displayName"), text(&made, "fileAs")), ("Zoë O'Hara", "O'Hara, Zoë"));
    let url = format!("/me/contacts/{}", path(text(&made, "id")));
    let found = tenant.all("/me/contacts?$filter=startswith(surname,'O''Hara')%20or%20startswith(displayName,'nobody')");
    assert_eq!(found.len(), 1);
    let changed = tenant.ask("PATCH", &url, &[], json!({"mobilePhone": null, "companyName": "X"}), 200);
    assert_eq!((changed["mobilePhone"].clone(), changed["companyName"].clone()), (Value::Null, json!("X")));
    tenant.ask("PATCH", &url, &[], json!({"nosuch": 1}), 400);
    tenant.ask("DELETE", &url, &[], Value::Null, 204);
    assert_eq!(tenant.refused(&url, 404), "ErrorItemNotFound");
    let folder = rows(&tenant.get("/me/contactFolders")).remove(0);
    let inside = tenant.all(&format!("/me/contactFolders/{}/contacts", path(text(&folder, "id"))));
    assert_eq!(inside.len(), 24);
    assert!(inside.iter().all(|c| c["parentFolderId"] == folder["id"]));
    let mut names: Vec<String> = tenant.all("/me/contacts?$top=13").iter().map(|c| text(c, "displayName").to_lowercase()).collect();
    assert_eq!(names.len(), 96);
    assert!(names.is_sorted());
    names.dedup();
    assert!(names.len() > 90);
}

#[test]
fn a_series_keeps_its_wall_clock_over_the_end_of_summer_time() {
    let tenant = Tenant::small();
    let view = "/me/calendarView?startDateTime=2026-10-01T00:00:00Z&endDateTime=2026-12-01T00:00:00Z&$top=500&$select=subject,start,end,type,seriesMasterId";
    let of = |wish: &str| -> Vec<Value> {
        rows(&tenant.prefer(view, wish)).into_iter().filter(|e| text(e, "subject").starts_with("Weekly round Europe")).collect()
    };
    let starts = |events: &[Value]| -> Vec<String> { events.iter().map(|e| text(&e["start"], "dateTime").to_owned()).collect() };
    let utc = starts(&of("IdType=\"ImmutableId\""));
    assert_eq!(utc[..3], ["2026-10-05T07:00:00.0000000", "2026-10-12T07:00:00.0000000", "2026-10-26T08:00:00.0000000"]);
    assert_eq!(utc[3], "2026-11-02T08:00:00.0000000");
    // The ninth of November was cancelled.
    assert_eq!(utc[4], "2026-11-16T08:00:00.0000000");
    let local = of("outlook.timezone=\"W. Europe Standard Time\"");
    assert!(local.iter().all(|e| text(&e["start"], "dateTime").contains("T09:00") && e["start"]["timeZone"] == "W. Europe Standard Time"));
    let exception = rows(&tenant.get(view)).into_iter().find(|e| e["subject"] == "Weekly round, a day later").unwrap();
    assert_eq!((text(&exception, "type"), text(&exception["start"], "dateTime")), ("exception", "2026-10-20T12:00:00.0000000"));
    let master = tenant.get(&format!("/me/events/{}", path(text(&exception, "seriesMasterId"))));
    assert_eq!((text(&master, "type"), text(&master["recurrence"]["pattern"], "type")), ("seriesMaster", "weekly"));
    let own = tenant.get(&format!("/me/events/{}", path(text(&exception, "id"))));
    assert_eq!(own["start"], exception["start"]);
    // Deleting one day takes it out of the view and nothing else.
    let before = utc.len();
    let victim = &of("IdType=\"ImmutableId\"")[0];
    tenant.ask("DELETE", &format!("/me/events/{}", path(text(victim, "id"))), &[], Value::Null, 204);
    assert_eq!(of("IdType=\"ImmutableId\"").len(), before - 1);
    tenant.refused(&format!("/me/events/{}", path(text(victim, "id"))), 404);
    assert_eq!(
        tenant.ask("GET", view, &[("prefer", "outlook.timezone=\"Mars\"")], Value::Null, 400)["error"]["code"],
        "TimeZoneNotSupportedException"
    );
}

#[test]
fn events_are_made_once_changed_and_deleted() {
    let tenant = Tenant::small();
    let body = json!({"subject": "Walk", "transactionId": "t-1", "start": {"dateTime": "2026-12-24T10:00:00", "timeZone": "Europe/Berlin"},
        "end": {"dateTime": "2026-12-24T11:00:00", "timeZone": "Europe/Berlin"}});
    let made = tenant.post("/me/calendar/events", body.clone(), 201);
    assert_eq!(made["start"], json!({"dateTime": "2026-12-24T09:00:00.0000000", "timeZone": "UTC"}));
    assert_eq!(tenant.post("/me/events", body, 201)["id"], made["id"]);
    let url = format!("/me/events/{}", path(text(&made, "id")));
    let changed =
        tenant.ask("PATCH", &url, &[], json!({"subject": "Long walk", "end": {"dateTime": "2026-12-24T12:00:00", "timeZone": "UTC"}}), 200);
    assert_eq!((text(&changed, "subject"), text(&changed["end"], "dateTime")), ("Long walk", "2026-12-24T12:00:00.0000000"));
    assert_ne!(changed["changeKey"], made["changeKey"]);
    tenant.ask("PATCH", &url, &[("if-match", text(&made, "@odata.etag"))], json!({"subject": "x"}), 412);
    tenant.ask("PATCH", &url, &[], json!({"end": {"dateTime": "2026-12-01T12:00:00", "timeZone": "UTC"}}), 400);
    tenant.post("/me/events", json!({"subject": "no time"}), 400);
    let range = "/me/calendar/events?$filter=start/dateTime%20ge%20'2026-12-24T00:00:00Z'%20and%20start/dateTime%20le%20'2026-12-25'&$orderby=start/dateTime&$select=subject,start";
    assert!(rows(&tenant.get(range)).iter().any(|e| e["subject"] == "Long walk"));
    tenant.ask("DELETE", &url, &[], Value::Null, 204);
    assert_eq!(tenant.refused(&url, 404), "ErrorItemNotFound");
}

#[test]
fn odd_names_are_found_by_path_and_id() {
    let tenant = Tenant::small();
    let mut odd = 0;
    for (parent, folder) in [("/me/drive/root:/Documents:/children?$top=500", "Documents")] {
        for item in tenant.all(parent) {
            let name = text(&item, "name");
            odd += usize::from(!name.is_ascii() || name.contains(['%', '#', '\'', '&', '+', ';']));
            let by_path = tenant.get(&format!("/me/drive/root:/{folder}/{}", path(name)));
            assert_eq!(by_path["id"], item["id"], "{name}");
            let upper = tenant.get(&format!("/me/drive/root:/{folder}/{}:", path(&name.to_uppercase())));
            assert_eq!(upper["id"], item["id"], "names have no case");
            assert_eq!(item["parentReference"]["path"], format!("/drives/{}/root:/Documents", tenant.graph.users()[0].drive_id));
        }
    }
    assert!(odd >= 10, "{odd}");
    assert_eq!(tenant.refused("/me/drive/root:/no/such", 404), "itemNotFound");
    assert_eq!(tenant.refused("/me/drive/items/01NOSUCH", 404), "itemNotFound");
    let id = tenant.graph.users()[0].drive_id.clone();
    assert_eq!(tenant.get(&format!("/drives/{id}/root"))["id"], tenant.get("/me/drive/root")["id"]);
}

#[test]
fn files_are_uploaded_downloaded_and_guarded_by_tags() {
    let tenant = Tenant::small();
    let put = |url: &str, headers: &[(&str, &str)], body: &'static [u8]| tenant.raw("PUT", url, headers, Bytes::from_static(body));
    let made = put("/me/drive/root:/New/Deep/hello.txt:/content", &[("content-type", "text/plain")], b"hello");
    assert_eq!(made.status.as_u16(), 201);
    let made: Value = serde_json::from_slice(&made.body).unwrap();
    assert_eq!((made["size"].clone(), made["file"]["mimeType"].clone()), (json!(5), json!("text/plain")));
    let url = format!("/me/drive/items/{}", text(&made, "id"));
    let download = text(&made, "@microsoft.graph.downloadUrl").strip_prefix(DOWNLOADS).unwrap().to_owned();
    assert_eq!(tenant.download(&download).unwrap(), ("text/plain".to_owned(), Bytes::from_static(b"hello")));
    let redirect = tenant.raw("GET", &format!("{url}/content"), &[], Bytes::new());
    assert_eq!((redirect.status.as_u16(), redirect.headers["location"].to_str().unwrap().starts_with(DOWNLOADS)), (302, true));
    let fresh = tenant.raw("GET", &url, &[("if-none-match", text(&made, "eTag"))], Bytes::new());
    assert_eq!(fresh.status.as_u16(), 304);
    assert_eq!(put(&format!("{url}/content"), &[("if-match", "\"{X},9\"")], b"other").status.as_u16(), 412);
    assert_eq!(put(&format!("{url}/content"), &[("if-match", text(&made, "eTag"))], b"other!").status.as_u16(), 200);
    let after = tenant.get(&url);
    assert!(after["eTag"] != made["eTag"] && after["cTag"] != made["cTag"] && after["file"]["hashes"] != made["file"]["hashes"]);
    assert!(tenant.download(&download).is_none(), "the address of an older content is void");
    let renamed = tenant.ask("PATCH", &url, &[], json!({"name": "bye.txt"}), 200);
    assert!(renamed["cTag"] == after["cTag"] && renamed["eTag"] != after["eTag"]);
    tenant.ask("PATCH", &url, &[("if-match", text(&made, "eTag"))], json!({"name": "x.txt"}), 412);
    tenant.ask("PATCH", &url, &[], json!({"name": "a:b"}), 400);
    let late = text(&tenant.get(&url), "@microsoft.graph.downloadUrl").strip_prefix(DOWNLOADS).unwrap().to_owned();
    tenant.advance(3_601);
    assert!(tenant.download(&late).is_none(), "an hour is its life");
    assert!(tenant.download("/nothing?x=y").is_none());
    tenant.ask("DELETE", &url, &[], Value::Null, 204);
    assert_eq!(tenant.refused(&url, 404), "itemNotFound");
}

#[test]
fn folders_of_files_conflict_rename_move_and_count() {
    let tenant = Tenant::small();
    let make = |name: &str, behaviour: &str, status: u16| {
        let body = json!({"name": name, "folder": {}, "@microsoft.graph.conflictBehavior": behaviour});
        tenant.post("/me/drive/root/children", body, status)
    };
    let one = make("Boats", "fail", 201);
    assert_eq!(make("boats", "fail", 409)["error"]["code"], "nameAlreadyExists");
    let two = make("Boats", "rename", 201);
    assert_eq!(two["name"], "Boats 1");
    let url = |item: &Value| format!("/me/drive/items/{}", text(item, "id"));
    let moved = tenant.ask("PATCH", &url(&two), &[], json!({"parentReference": {"id": one["id"]}, "name": "Inner"}), 200);
    assert_eq!(moved["parentReference"]["id"], one["id"]);
    tenant.ask("PATCH", &url(&one), &[], json!({"parentReference": {"id": two["id"]}}), 400);
    tenant.raw("PUT", "/me/drive/root:/Boats/Inner/f.bin:/content", &[], Bytes::from_static(b"1234567"));
    let outer = tenant.get(&url(&one));
    assert_eq!((outer["folder"]["childCount"].clone(), outer["size"].clone()), (json!(1), json!(7)));
    let reply = tenant.raw("POST", &format!("{}/copy", url(&one)), &[], Bytes::from(json!({"name": "Boats copy"}).to_string()));
    assert_eq!(reply.status.as_u16(), 202);
    let monitor = reply.headers["location"].to_str().unwrap().strip_prefix(DOWNLOADS).unwrap().to_owned();
    let said = || String::from_utf8_lossy(&tenant.download(&monitor).unwrap().1).into_owned();
    assert!(said().contains("inProgress") && said().contains("inProgress") && said().contains("completed"));
    assert_eq!(tenant.get("/me/drive/root:/Boats%20copy/Inner/f.bin")["size"], 7);
    tenant.ask("DELETE", &url(&one), &[], Value::Null, 204);
    tenant.refused("/me/drive/root:/Boats/Inner/f.bin", 404);
    tenant.refused(&url(&two), 404);
}

#[test]
fn the_selected_download_url_is_given_and_folders_have_none() {
    let tenant = Tenant::small();
    let listed =
        tenant.all("/me/drive/root/children?$select=id,name,size,lastModifiedDateTime,folder,file,@microsoft.graph.downloadUrl&$top=3");
    assert!(listed.len() >= 4);
    for item in &listed {
        assert_ne!(item["folder"].is_object(), item["file"].is_object(), "{item}");
        assert_eq!(item["file"].is_object(), item["@microsoft.graph.downloadUrl"].is_string());
    }
    let total = tenant.get("/me/drive/root?$select=folder,size");
    assert_eq!(total["folder"]["childCount"], listed.len());
}

#[test]
fn batches_follow_their_rules() {
    let tenant = Tenant::small();
    let batch = |requests: Value, status: u16| tenant.post("/$batch", json!({"requests": requests}), status);
    let made = batch(
        json!([
            {"id": "a", "method": "GET", "url": "/me?$select=displayName"},
            {"id": "B", "method": "POST", "url": "/me/mailFolders", "headers": {"Content-Type": "application/json"}, "body": {"displayName": "From batch"}},
            {"id": "c", "method": "GET", "url": "me/messages/garbage"},
            {"id": "d", "method": "GET", "url": "/me", "dependsOn": ["c"]},
            {"id": "e", "method": "GET", "url": "/me", "dependsOn": ["b"]},
            {"id": "f", "method": "PUT", "url": "/me/drive/root:/b.bin:/content", "headers": {"Content-Type": "application/octet-stream"}, "body": "AAEC"},
            {"id": "g", "method": "GET", "url": "/me/messages/$count"},
            {"id": "h", "method": "POST", "url": "/$batch", "headers": {"content-type": "application/json"}, "body": {}},
        ]),
        200,
    );
    let answer = |id: &str| made["responses"].as_array().unwrap().iter().find(|r| r["id"] == id).unwrap().clone();
    let statuses: Vec<u64> = ["a", "B", "c", "d", "e", "f", "g", "h"].iter().map(|id| answer(id)["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [200, 201, 400, 424, 200, 201, 200, 400]);
    assert_eq!(answer("a")["body"]["displayName"], "Alex Wilber");
    assert_eq!(answer("f")["body"]["size"], 3);
    assert_eq!(
        batch(json!([{"id": "1", "method": "GET", "url": "/me"}, {"id": "1", "method": "GET", "url": "/me"}]), 400)["error"]["code"],
        "BadRequest"
    );
    batch(json!([{"id": "x", "method": "GET", "url": "/me"}, {"id": "X", "method": "GET", "url": "/me"}]), 400);
    batch(json!([{"method": "GET", "url": "/me"}]), 400);
    batch(json!([{"id": "1", "method": "GET", "url": "/me", "dependsOn": ["nobody"]}]), 400);
    batch(json!([]), 400);
    let many: Vec<Value> = (0..21).map(|n| json!({"id": n.to_string(), "method": "GET", "url": "/me"})).collect();
    batch(json!(many), 400);
    let seen = std::cell::Cell::new(0);
    let gate = |_: &crate::wire::Request| {
        seen.set(seen.get() + 1);
        (seen.get() == 2).then(|| super::empty(http::StatusCode::TOO_MANY_REQUESTS))
    };
    let body = json!({"requests": many[..3]}).to_string();
    let reply = tenant.graph.handle(&tenant.request("POST", "/$batch", &[], Bytes::from(body)), &gate);
    let reply: Value = serde_json::from_slice(&reply.body).unwrap();
    let throttled = reply["responses"].as_array().unwrap().iter().filter(|r| r["status"] == 429).count();
    assert_eq!((seen.get(), throttled), (3, 1));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn pages_visit_everything_once(top in 1_usize..120) {
        let tenant = tenant();
        for (url, most) in [("/me/messages?$select=id", 400), ("/me/contacts?$select=id", 96), ("/me/drive/root:/Documents:/children?$select=id", 400),
            ("/me/calendarView?startDateTime=2026-11-01T00:00:00Z&endDateTime=2026-12-31T00:00:00Z&$select=id", 600), ("/me/drive/root/search(q='e')?$select=id", 400),
            ("/me/messages?$select=id&$filter=importance%20eq%20'normal'", 400), ("/me/drive/root:/Documents:/children?$select=id&$orderby=size%20desc", 400)] {
            let separator = if url.contains('?') { '&' } else { '?' };
            let whole: Vec<Value> = tenant.all(&format!("{url}{separator}$top=900"));
            let paged = tenant.all(&format!("{url}{separator}$top={top}"));
            prop_assert!(!whole.is_empty() && whole.len() <= most);
            let ids: HashSet<&str> = paged.iter().map(|row| text(row, "id")).collect();
            prop_assert_eq!(ids.len(), paged.len());
            prop_assert_eq!(&paged, &whole);
        }
    }
}

/// One tenant for tests that only read.
fn tenant() -> &'static Tenant {
    static TENANT: std::sync::OnceLock<Tenant> = std::sync::OnceLock::new();
    TENANT.get_or_init(Tenant::small)
}
