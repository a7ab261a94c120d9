//! What can be sent, what cannot, and where it arrives.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};

use super::is_address;
use crate::graph::testing::{Tenant, path, rows, text};

fn to(address: &str) -> Value {
    json!([{"emailAddress": {"address": address}}])
}

fn newest(tenant: &Tenant, folder: &str) -> Value {
    rows(&tenant.get(&format!("/me/mailFolders/{folder}/messages?$top=1"))).remove(0)
}

#[test]
fn mail_to_colleagues_arrives_without_its_blind_copies() {
    let mut tenant = Tenant::small();
    tenant.graph.set_lag(std::time::Duration::from_secs(10));
    let message = json!({"subject": "for Bea", "toRecipients": to("BEA@contoso.example"), "bccRecipients": to("casey@outlook.example"),
        "body": {"contentType": "html", "content": "<p>hi</p>"}, "internetMessageHeaders": [{"name": "x-tool", "value": "1"}]});
    tenant.post("/me/sendMail", json!({"message": message, "saveToSentItems": false}), 202);
    tenant.user = 1;
    assert_ne!(newest(&tenant, "inbox")["subject"], "for Bea");
    tenant.advance(10);
    for user in [1, 2] {
        tenant.user = user;
        let got = newest(&tenant, "inbox");
        assert_eq!((text(&got, "subject"), &got["isRead"], &got["isDraft"]), ("for Bea", &json!(false), &json!(false)));
        assert_eq!(
            (got["bccRecipients"].clone(), got["from"]["emailAddress"]["address"].clone()),
            (json!([]), json!("alex@contoso.example"))
        );
    }
    tenant.user = 0;
    assert_ne!(newest(&tenant, "sentitems")["subject"], "for Bea");
}

#[test]
fn what_cannot_be_sent_says_why() {
    let tenant = Tenant::small();
    let send = |message: Value, status: u16| tenant.post("/me/sendMail", json!({"message": message}), status)["error"]["code"].clone();
    assert_eq!(send(json!({"toRecipients": to("not an address")}), 400), "ErrorInvalidRecipients");
    assert_eq!(send(json!({"subject": "x"}), 400), "ErrorInvalidRecipients");
    assert_eq!(send(json!({"toRecipients": to("a@b.example"), "from": to("bea@contoso.example")[0]}), 403), "ErrorSendAsDenied");
    tenant.post("/me/sendMail", json!({"message": {"toRecipients": to("a@b.example"), "from": to("support@contoso.example")[0]}}), 202);
    assert_eq!(newest(&tenant, "sentitems")["from"]["emailAddress"]["address"], "support@contoso.example");
    let odd = tenant.post("/me/sendMail", json!({"message": {"toRecipients": to("a@b.example")}, "ccRecipients": []}), 400);
    assert_eq!(odd["error"]["code"], "RequestBodyRead");
    let many: Vec<Value> = (0..501).map(|n| to(&format!("p{n}@b.example"))[0].clone()).collect();
    assert_eq!(send(json!({"toRecipients": many}), 400), "ErrorRecipientLimitExceeded");
    let draft = tenant.post("/me/messages", json!({"toRecipients": to("nobody")}), 201);
    let url = format!("/me/messages/{}", path(text(&draft, "id")));
    tenant.post(&format!("{url}/send"), Value::Null, 400);
    tenant.ask("PATCH", &url, &[], json!({"toRecipients": to("a@b.example")}), 200);
    tenant.post(&format!("{url}/send"), Value::Null, 202);
    assert_eq!(tenant.refused(&url, 404), "ErrorItemNotFound", "a sent draft has another ordinary id");
    assert!(is_address("a@b.example") && !is_address("a@b") && !is_address("@b.c") && !is_address("a@b@c.d") && !is_address("a b@c.d"));
}

#[test]
fn mime_is_taken_too() {
    let tenant = Tenant::small();
    let mime = "From: Alex <alex@contoso.example>\r\nTo: =?utf-8?B?w4Ru?= <ann@x.example>,\r\n bob@y.example\r\nSubject: =?utf-8?B?w5xiZXI=?=\r\nContent-Type: multipart/alternative; boundary=\"b1\"\r\n\r\n--b1\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\nPGI+eDwvYj4=\r\n--b1--\r\n";
    let send = |url: &str, body: String| tenant.raw("POST", url, &[("content-type", "text/plain")], Bytes::from(body));
    assert_eq!(send("/me/sendMail", STANDARD.encode(mime)).status.as_u16(), 202);
    let sent = newest(&tenant, "sentitems");
    assert_eq!((text(&sent, "subject"), text(&sent["body"], "content")), ("Über", "<b>x</b>"));
    assert_eq!((text(&sent["toRecipients"][0]["emailAddress"], "name"), sent["toRecipients"].as_array().unwrap().len()), ("Än", 2));
    assert_eq!(send("/me/messages", STANDARD.encode(mime)).status.as_u16(), 201);
    assert_eq!(send("/me/sendMail", "!!".to_owned()).status.as_u16(), 400);
}
