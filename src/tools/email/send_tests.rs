use serde_json::Value;

use super::*;
use crate::tools::fake::{Fake, act, args, named, refusal};

fn letter(more: Value) -> Value {
    let mut given = json!({"account_id": "x", "to": "A@x.example, b@x.example", "subject": "s", "body": "text"});
    given.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    given
}

fn bodies(fake: &Fake) -> Vec<Value> {
    fake.requests().into_iter().map(|request| request.body.unwrap_or_default()).collect()
}

const DRAFT: &str = r#"{"id": "d", "parentFolderId": "DR", "subject": "s", "body": {"content": "text"}, "isDraft": true}"#;

/// Graph with a draft `d`; `broken` is refused.
fn graph(broken: &'static str, status: u16) -> Fake {
    Fake::new(move |request| {
        let name = named(request);
        if !broken.is_empty() && name.ends_with(broken) {
            return Some(Err(refusal(status, "broken")));
        }
        match name.as_str() {
            "POST /me/messages" => Some(Ok(serde_json::from_str(DRAFT).unwrap())),
            _ => Some(Ok(Value::Null)),
        }
    })
}

#[tokio::test]
async fn a_small_message_is_one_request_that_is_never_repeated() {
    let fake = graph("", 0).with_file("a.txt", "text/plain", "hello");
    let given = letter(json!({"cc": ["B@x.example", "c@x.example"], "bcc": "d@x.example", "attachments": "a.txt", "body_type": "html"}));
    let written = act(&fake, "email_send", given).await.unwrap();
    assert_eq!((written.answer, written.late), (json!({"status": "sent"}), true));
    assert_eq!(fake.log(), ["POST /me/sendMail"]);
    assert!(!fake.requests()[0].idempotent);
    let to = |address: &str| json!({"emailAddress": {"address": address}});
    assert_eq!(
        bodies(&fake)[0],
        json!({"message": {
            "subject": "s",
            "body": {"contentType": "html", "content": "text"},
            "toRecipients": [to("a@x.example"), to("b@x.example")],
            "ccRecipients": [to("c@x.example")],
            "bccRecipients": [to("d@x.example")],
            "attachments": [{"@odata.type": "#microsoft.graph.fileAttachment", "name": "a.txt", "contentType": "text/plain", "contentBytes": "aGVsbG8="}],
        }, "saveToSentItems": true})
    );
}

#[tokio::test]
async fn a_large_one_goes_through_a_draft() {
    let fake = graph("", 0).with_file("big", "x/y", vec![0; 4_000_000]).with_file("small", "x/y", vec![0; 10]);
    let written = act(&fake, "email_send", letter(json!({"attachments": ["big", "small"], "mailbox": null}))).await.unwrap();
    assert_eq!(
        fake.log(),
        [
            "POST /me/messages",
            "POST /me/messages/d/attachments/createUploadSession",
            "POST /me/messages/d/attachments",
            "POST /me/messages/d/send"
        ]
    );
    assert_eq!((written.touches, written.learned), (vec![Touch::Scope(Scope::item("d"))], vec![("d".into(), vec![])]));
    assert!(fake.requests()[3].body.is_none() && !fake.requests()[3].idempotent);
    // Two that are small each and too large together.
    let fake = graph("", 0).with_file("a", "x/y", vec![0; 2_000_000]).with_file("b", "x/y", vec![0; 2_000_000]);
    act(&fake, "email_send", letter(json!({"attachments": ["a", "b"]}))).await.unwrap();
    assert_eq!(fake.log().len(), 4);
}

/// Graph documentation, *Attach large files*: less than 3 MB in one request, of which the whole is less than 4 MB; more in a session.
#[tokio::test]
async fn a_file_takes_a_session_only_when_it_does_not_go_into_one_request() {
    for (size, one) in [(3_050_000, true), (3_145_500, true), (3_145_700, false), (3 << 20, false)] {
        let fake = graph("", 0).with_file("big", "x/y", vec![0; size]);
        act(&fake, "email_send", letter(json!({"attachments": ["big"]}))).await.unwrap();
        assert_eq!(fake.log()[1].ends_with("/attachments"), one, "{size}: {}", fake.log()[1]);
        let sent = fake.requests()[1].body.as_ref().unwrap().to_string();
        assert!(sent.len() < 4 << 20, "{size}: {}", sent.len());
    }
}

#[tokio::test]
async fn a_failure_after_the_draft_names_it() {
    for broken in ["/createUploadSession", "/send"] {
        let fake = graph(broken, 403).with_file("big", "x/y", vec![0; 4_000_000]);
        let error = act(&fake, "email_send", letter(json!({"attachments": ["big"]}))).await.unwrap_err();
        assert!(error.is_partly() && !error.is_refusal() && error.message.contains("the draft d exists"), "{error:?}");
    }
    // Nobody knows whether it was sent.
    let fake = graph("/send", 504).with_file("big", "x/y", vec![0; 4_000_000]);
    let error = act(&fake, "email_send", letter(json!({"attachments": ["big"]}))).await.unwrap_err();
    assert!(!error.is_partly() && !error.is_refusal() && error.message.contains("the draft d"), "{error:?}");
    let fake = graph("/messages", 403).with_file("big", "x/y", vec![0; 4_000_000]);
    assert!(act(&fake, "email_send", letter(json!({"attachments": ["big"]}))).await.unwrap_err().is_refusal(), "there is no draft");
}

#[tokio::test]
async fn what_cannot_be_sent_is_refused_before_anything_is() {
    let fake = graph("", 0).with_file("huge", "x/y", vec![0; (25 << 20) + 1]);
    let code = async |more: Value| act(&fake, "email_send", letter(more)).await.unwrap_err().code;
    assert_eq!(code(json!({"to": []})).await, "no_recipients");
    assert_eq!(code(json!({"attachments": "nowhere"})).await, "no_file");
    assert_eq!(code(json!({"attachments": "huge"})).await, "file_too_large");
    assert_eq!(code(json!({"body": "€".repeat(1_000_000)})).await, "body_too_long");
    let many = |letter: char| (0..300).map(|nth| format!("{letter}{nth}@x.example")).collect::<Vec<_>>();
    assert_eq!(code(json!({"to": many('a'), "cc": many('b')})).await, "too_many_recipients");
    assert!(fake.requests().is_empty());
    for (name, wrong) in
        [("to", json!("nobody")), ("attachments", json!(vec!["a"; 11])), ("body_type", json!("rtf")), ("subject", Value::Null)]
    {
        assert!(args("email_send", letter(json!({name: wrong}))).is_err(), "{name}");
    }
}

#[tokio::test]
async fn a_draft_is_made_shown_and_sent() {
    let fake = graph("", 0).with_file("a.txt", "text/plain", "hello");
    let made = act(&fake, "email_create_draft", letter(json!({"attachments": ["a.txt"]}))).await.unwrap();
    assert_eq!((&made.answer["id"], made.answer.get("body"), made.late), (&json!("d"), None, false));
    assert_eq!(made.learned, [("d".into(), vec![Scope::messages("DR")])]);
    assert_eq!(made.touches, [Scope::messages("DR"), Scope::item("d")].map(Touch::Scope), "it was there before its files were");
    let sent = act(&fake, "email_send_draft", json!({"draft_id": "d", "account_id": "x"})).await.unwrap();
    assert_eq!((sent.answer, sent.late, sent.learned), (json!({"status": "sent"}), true, vec![("d".into(), vec![])]));
    assert_eq!(fake.log(), ["POST /me/messages", "POST /me/messages/d/send"]);
    let touched = send_draft_touches(&args("email_send_draft", json!({"draft_id": "d", "account_id": "x"})).unwrap());
    assert!(touched.contains(&Touch::Item("d".into())) && touched.contains(&Touch::Scope(crate::tools::named::mail_folder("sentitems"))));
}

#[tokio::test]
async fn another_mailbox_is_sent_from() {
    let fake = graph("", 0);
    act(&fake, "email_send", letter(json!({"mailbox": "Team@x.example"}))).await.unwrap();
    assert_eq!(fake.log(), ["POST /users/team%40x.example/sendMail"]);
}
