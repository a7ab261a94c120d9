//! Replies and forwards: recipients, subject, quote, and what a request may not say.

use serde_json::{Value, json};

use crate::graph::testing::{Tenant, path, rows, text};

/// A message from Ann to Alex, Bob and Bea, with a copy to Carl.
fn original(tenant: &Tenant, body: Value) -> String {
    let people = |list: &[&str]| list.iter().map(|a| json!({"emailAddress": {"address": a}})).collect::<Vec<_>>();
    let message = json!({"subject": "Boats", "body": body, "from": people(&["ann@x.example"])[0],
        "toRecipients": people(&["alex@contoso.example", "bob@y.example", "ANN@x.example"]), "ccRecipients": people(&["carl@z.example", "bob@y.example"]),
        "attachments": [{"@odata.type": "#microsoft.graph.fileAttachment", "name": "a.txt", "contentBytes": "YWJj"},
            {"@odata.type": "#microsoft.graph.fileAttachment", "name": "i.png", "contentBytes": "YWJj", "isInline": true, "contentId": "i"}]});
    let made = tenant.post("/me/messages", message, 201);
    format!("/me/messages/{}", path(text(&made, "id")))
}

fn addresses(message: &Value, field: &str) -> Vec<String> {
    message[field].as_array().unwrap().iter().map(|r| text(&r["emailAddress"], "address").to_owned()).collect()
}

fn html() -> Value {
    json!({"contentType": "html", "content": "<html><BODY class=\"x\"><p>the original</p></BODY></html>"})
}

#[test]
fn drafts_of_answers_keep_the_quote() {
    let tenant = Tenant::small();
    let url = original(&tenant, html());
    let reply = tenant.post(&format!("{url}/createReply"), json!({"comment": "thanks,\n<b>Ann</b>"}), 201);
    assert_eq!(
        (text(&reply, "subject"), &reply["isDraft"], addresses(&reply, "toRecipients")),
        ("RE: Boats", &json!(true), vec!["ann@x.example".to_owned()])
    );
    let body = text(&reply["body"], "content");
    assert!(body.contains("thanks,\n<b>Ann</b>") && body.contains("<p>the original</p>") && body.contains("<b>From:</b>"), "{body}");
    assert_eq!(body.to_lowercase().matches("<body").count(), 1, "{body}");
    let all = tenant.post(&format!("{url}/createReplyAll"), Value::Null, 201);
    assert_eq!(addresses(&all, "toRecipients"), ["ann@x.example", "bob@y.example"]);
    assert_eq!(addresses(&all, "ccRecipients"), ["carl@z.example"]);
    let source = tenant.get(&url);
    assert_eq!(all["conversationId"], source["conversationId"]);
    let again = tenant.post(&format!("/me/messages/{}/createReply", path(text(&all, "id"))), json!({}), 201);
    assert_eq!(text(&again, "subject"), "RE: Boats", "one mark is enough");
    let to = json!([{"emailAddress": {"address": "dora@x.example"}}]);
    let forward = tenant.post(
        &format!("{url}/createForward"),
        json!({"toRecipients": to, "message": {"ccRecipients": to, "importance": "high"}}),
        201,
    );
    assert_eq!((text(&forward, "subject"), text(&forward, "importance")), ("FW: Boats", "high"));
    assert_eq!(
        (addresses(&forward, "toRecipients"), addresses(&forward, "ccRecipients")),
        (vec!["dora@x.example".to_owned()], vec!["dora@x.example".to_owned()])
    );
    let files = |message: &Value| rows(&tenant.get(&format!("/me/messages/{}/attachments?$select=name", path(text(message, "id"))))).len();
    assert_eq!((files(&forward), files(&reply)), (2, 1), "a forward takes all files, a reply what the quote shows");
    let plain = original(&tenant, json!({"contentType": "text", "content": "plain original"}));
    let reply =
        tenant.post(&format!("{plain}/createReply"), json!({"message": {"body": {"contentType": "text", "content": "only this"}}}), 201);
    assert_eq!(text(&reply["body"], "content"), "only this", "a body given replaces the quote");
    let reply = tenant.post(&format!("{plain}/createReply"), json!({"comment": "x"}), 201);
    assert!(text(&reply["body"], "content").contains("plain original") && reply["body"]["contentType"] == "text");
}

#[test]
fn answers_are_sent_with_the_quote_and_kept() {
    let tenant = Tenant::small();
    let url = original(&tenant, html());
    let newest = || rows(&tenant.get("/me/mailFolders/sentitems/messages?$top=1")).remove(0);
    tenant.post(&format!("{url}/reply"), json!({"comment": "first"}), 202);
    assert!(text(&newest()["body"], "content").contains("the original") && newest()["isDraft"] == false);
    tenant.advance(1);
    tenant.post(
        &format!("{url}/replyAll"),
        json!({"message": {"bccRecipients": [{"emailAddress": {"address": "e@x.example"}}]}, "comment": "second"}),
        202,
    );
    assert_eq!(
        (addresses(&newest(), "bccRecipients"), addresses(&newest(), "ccRecipients")),
        (vec!["e@x.example".to_owned()], vec!["carl@z.example".to_owned()])
    );
    tenant.advance(1);
    tenant.post(
        &format!("{url}/forward"),
        json!({"toRecipients": [{"emailAddress": {"address": "f@x.example"}}], "comment": "third"}),
        202,
    );
    assert_eq!(addresses(&newest(), "toRecipients"), ["f@x.example"]);
}

#[test]
fn what_an_action_does_not_take_is_refused() {
    let tenant = Tenant::small();
    let url = original(&tenant, html());
    let to = json!([{"emailAddress": {"address": "f@x.example"}}]);
    for (action, body, code) in [
        ("forward", json!({"comment": "to nobody"}), "ErrorInvalidRecipients"),
        ("forward", json!({"toRecipients": to, "ccRecipients": to}), "RequestBodyRead"),
        ("forward", json!({"toRecipients": to, "message": {"toRecipients": to}}), "ErrorInvalidRequest"),
        ("reply", json!({"toRecipients": to}), "RequestBodyRead"),
        ("reply", json!({"comment": "x", "message": {"body": {"contentType": "text", "content": "y"}}}), "ErrorInvalidRequest"),
        ("reply", json!({"comment": 7}), "BadRequest"),
        ("createReply", json!({"message": {"nosuch": 1}}), "RequestBodyRead"),
    ] {
        assert_eq!(tenant.post(&format!("{url}/{action}"), body.clone(), 400)["error"]["code"], code, "{action} {body}");
    }
    tenant.post(&format!("{url}/permanentDelete"), Value::Null, 204);
    assert_eq!(tenant.refused(&url, 404), "ErrorItemNotFound");
}
