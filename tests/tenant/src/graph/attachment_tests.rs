//! Attachments put on, taken off and uploaded in pieces.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};

use crate::graph::testing::{DOWNLOADS, Tenant, path, rows, text};

fn draft(tenant: &Tenant) -> String {
    let made = tenant.post("/me/messages", json!({"subject": "with files"}), 201);
    format!("/me/messages/{}", path(text(&made, "id")))
}

#[test]
fn files_and_items_are_attached_and_taken_off() {
    let tenant = Tenant::small();
    let url = draft(&tenant);
    let before = tenant.get(&url);
    let file = json!({"@odata.type": "#microsoft.graph.fileAttachment", "name": "a.txt", "contentBytes": STANDARD.encode("hello")});
    let made = tenant.post(&format!("{url}/attachments"), file.clone(), 201);
    assert_eq!((text(&made, "contentType"), text(&made, "contentBytes")), ("text/plain", STANDARD.encode("hello").as_str()));
    let after = tenant.get(&url);
    assert_eq!((after["hasAttachments"].clone(), after["changeKey"] == before["changeKey"]), (json!(true), false));
    let item = json!({"@odata.type": "#microsoft.graph.itemAttachment", "name": "inner",
        "item": {"@odata.type": "#microsoft.graph.message", "subject": "inside", "body": {"contentType": "HTML", "content": "<p>x</p>"}}});
    let item = tenant.post(&format!("{url}/attachments"), item, 201);
    assert_eq!(text(&item, "@odata.type"), "#microsoft.graph.itemAttachment");
    let one = format!("{url}/attachments/{}", path(text(&item, "id")));
    assert!(tenant.get(&one)["item"].is_null());
    assert_eq!(tenant.get(&format!("{one}?$expand=microsoft.graph.itemAttachment/item"))["item"]["subject"], "inside");
    let mime = tenant.raw("GET", &format!("{one}/$value"), &[], Bytes::new());
    assert!(String::from_utf8_lossy(&mime.body).contains("Subject: inside"));
    let first = format!("{url}/attachments/{}", path(text(&made, "id")));
    assert_eq!(tenant.refused(&format!("{url}/attachments?$select=contentBytes"), 400), "RequestBroker--ParseUri");
    let cast = rows(&tenant.get(&format!("{url}/attachments?$select=name,microsoft.graph.fileAttachment/contentBytes")));
    assert_eq!((text(&cast[0], "contentBytes"), cast[1]["contentBytes"].clone()), (text(&made, "contentBytes"), Value::Null));
    tenant.ask("DELETE", &first, &[], Value::Null, 204);
    assert_eq!(tenant.refused(&first, 404), "ErrorItemNotFound");
    assert_eq!(rows(&tenant.get(&format!("{url}/attachments"))).len(), 1);
    let again = tenant.post(&format!("{url}/attachments"), file.clone(), 201);
    assert_ne!(again["id"], made["id"], "ids are not used twice");
    let received = rows(&tenant.get("/me/mailFolders/inbox/messages?$top=1&$select=id")).remove(0);
    tenant.post(&format!("/me/messages/{}/attachments", path(text(&received, "id"))), file, 403);
    tenant.post(&format!("{url}/attachments"), json!({"@odata.type": "#microsoft.graph.referenceAttachment", "name": "x"}), 400);
}

fn begin(tenant: &Tenant, url: &str, size: usize) -> (String, Value) {
    let body = json!({"AttachmentItem": {"attachmentType": "file", "name": "big.bin", "size": size}});
    let session = tenant.post(&format!("{url}/attachments/createUploadSession"), body, 201);
    (text(&session, "uploadUrl").strip_prefix(DOWNLOADS).unwrap().to_owned(), session)
}

#[test]
fn large_files_come_in_pieces() {
    let tenant = Tenant::small();
    let url = draft(&tenant);
    let whole: Vec<u8> = (0..5_000_000_u32).map(|n| (n % 251) as u8).collect();
    let (address, session) = begin(&tenant, &url, whole.len());
    assert_eq!(session["nextExpectedRanges"], json!(["0-"]));
    let put = |from: usize, to: usize, total: usize| {
        let range = format!("bytes {from}-{}/{total}", to - 1);
        tenant.upload("PUT", &address, &[("content-range", &range)], Bytes::copy_from_slice(&whole[from..to]))
    };
    let first = put(0, 3_000_000, whole.len());
    assert_eq!(first.status.as_u16(), 200);
    let progress: Value = serde_json::from_slice(&first.body).unwrap();
    assert_eq!(progress["nextExpectedRanges"], json!(["3000000"]));
    assert_eq!(put(0, 3_000_000, whole.len()).status.as_u16(), 416, "a piece that is there already");
    assert_eq!(put(4_000_000, 5_000_000, whole.len()).status.as_u16(), 416, "a piece before its turn");
    assert_eq!(put(3_000_000, 5_000_000, whole.len() + 1).status.as_u16(), 400, "another length");
    let asked = tenant.upload("GET", &address, &[], Bytes::new());
    assert_eq!(serde_json::from_slice::<Value>(&asked.body).unwrap()["nextExpectedRanges"], json!(["3000000"]));
    assert_eq!(tenant.upload("GET", address.split('?').next().unwrap(), &[], Bytes::new()).status.as_u16(), 404, "without its token");
    let last = put(3_000_000, 5_000_000, whole.len());
    assert_eq!((last.status.as_u16(), last.body.len()), (201, 0));
    let location = last.headers["location"].to_str().unwrap();
    let id = location.split("Attachments('").nth(1).unwrap().trim_end_matches("')");
    let raw = tenant.raw("GET", &format!("{url}/attachments/{}/$value", path(id)), &[], Bytes::new());
    assert!(raw.body == whole, "the bytes are as they were sent");
    assert_eq!(put(3_000_000, 5_000_000, whole.len()).status.as_u16(), 404, "the session is over");
}

#[test]
fn sessions_end_by_time_and_by_wish_and_small_files_need_none() {
    let tenant = Tenant::small();
    let url = draft(&tenant);
    let (address, _) = begin(&tenant, &url, 4_000_000);
    assert_eq!(tenant.upload("DELETE", &address, &[], Bytes::new()).status.as_u16(), 204);
    assert_eq!(tenant.upload("GET", &address, &[], Bytes::new()).status.as_u16(), 404);
    let (address, _) = begin(&tenant, &url, 4_000_000);
    assert_eq!(tenant.upload("GET", &address, &[], Bytes::new()).status.as_u16(), 200);
    tenant.advance(24 * 3_600);
    assert_eq!(tenant.upload("GET", &address, &[], Bytes::new()).status.as_u16(), 404);
    for (size, code) in [(1_000, "ErrorAttachmentSizeShouldNotBeLessThanMinimumSize"), (160 << 20, "ErrorAttachmentSizeLimitExceeded")] {
        let body = json!({"AttachmentItem": {"attachmentType": "file", "name": "x", "size": size}});
        assert_eq!(tenant.post(&format!("{url}/attachments/createUploadSession"), body, 400)["error"]["code"], code);
    }
}
