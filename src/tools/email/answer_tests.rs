use proptest::prelude::*;

use super::*;
use crate::tools::fake::{Fake, act as call, args, named, refusal};

/// Graph; the draft of an answer quotes in HTML.
fn graph(broken: &'static str) -> Fake {
    Fake::new(move |request| {
        let name = named(request);
        if !broken.is_empty() && name.ends_with(broken) {
            return Some(Err(refusal(403, "broken")));
        }
        let quote = "<html><BODY lang=\"de\"><hr>old</BODY></html>";
        Some(Ok(if name.contains("/create") { json!({"id": "d", "body": {"contentType": "html", "content": quote}}) } else { Value::Null }))
    })
}

fn given(more: Value) -> Value {
    let mut given = json!({"account_id": "x", "email_id": "a/b", "body": "Yes"});
    given.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    given
}

#[tokio::test]
async fn a_reply_in_text_is_a_comment_that_keeps_the_quote() {
    for (tool, action) in [("email_reply", "reply"), ("email_reply_all", "replyAll")] {
        let fake = graph("");
        let written = call(&fake, tool, given(json!({}))).await.unwrap();
        assert_eq!((written.answer, written.late), (json!({"status": "sent"}), true));
        assert_eq!(fake.log(), [format!("POST /me/messages/a%2Fb/{action}")]);
        assert_eq!(fake.requests()[0].body, Some(json!({"comment": "Yes"})));
        assert!(!fake.requests()[0].idempotent);
        assert!(args(tool, given(json!({"body": "  "}))).is_err());
    }
}

/// A `comment` is read as HTML: what such a reading would change of a text goes through the draft, in the draft's own form.
#[tokio::test]
async fn a_text_of_several_lines_or_with_markup_keeps_them() {
    let text = "Dear <Bob>,\r\n\n1 < 2 & 3\n  x  y\n";
    for (tool, create) in [("email_reply", "createReply"), ("email_reply_all", "createReplyAll"), ("email_forward", "createForward")] {
        let fake = graph("");
        let to = if create == "createForward" { json!({"body": text, "to": "a@x.example"}) } else { json!({ "body": text }) };
        call(&fake, tool, given(to)).await.unwrap();
        assert_eq!(
            fake.log(),
            [format!("POST /me/messages/a%2Fb/{create}"), "PATCH /me/messages/d".into(), "POST /me/messages/d/send".into()]
        );
        let content =
            "<html><BODY lang=\"de\"><div>Dear &lt;Bob&gt;,<br><br>1 &lt; 2 &amp; 3<br>&nbsp;&nbsp;x &nbsp;y</div><hr>old</BODY></html>";
        assert_eq!(fake.requests()[1].body.as_ref().unwrap()["body"], json!({"contentType": "html", "content": content}));
    }
    let plain = Fake::new(|request| {
        let draft = json!({"id": "d", "body": {"contentType": "text", "content": "________\r\nold"}});
        Some(Ok(if named(request).contains("/create") { draft } else { Value::Null }))
    });
    call(&plain, "email_reply", given(json!({"body": text}))).await.unwrap();
    let content = "Dear <Bob>,\r\n\n1 < 2 & 3\n  x  y\r\n\r\n________\r\nold";
    assert_eq!(plain.requests()[1].body, Some(json!({"body": {"contentType": "text", "content": content}})));
}

#[tokio::test]
async fn a_reply_in_html_stands_above_the_quote_of_a_draft() {
    let fake = graph("");
    let written = call(&fake, "email_reply_all", given(json!({"body": "<b>Yes</b>", "body_type": "html"}))).await.unwrap();
    assert_eq!(fake.log(), ["POST /me/messages/a%2Fb/createReplyAll", "PATCH /me/messages/d", "POST /me/messages/d/send"]);
    let content = "<html><BODY lang=\"de\"><b>Yes</b><hr>old</BODY></html>";
    assert_eq!(fake.requests()[1].body, Some(json!({"body": {"contentType": "html", "content": content}})));
    assert_eq!(written.learned, [("d".into(), vec![])]);
    for (broken, what) in [("/d", "without your text"), ("/send", "was not sent")] {
        let error = call(&graph(broken), "email_reply", given(json!({"body_type": "html"}))).await.unwrap_err();
        assert!(error.is_partly() && error.message.contains(what) && error.message.contains("draft d"), "{error:?}");
    }
    assert!(call(&graph("/createReply"), "email_reply", given(json!({"body_type": "html"}))).await.unwrap_err().is_refusal());
}

#[tokio::test]
async fn a_forward_names_everybody_inside_the_message() {
    let to = |address: &str| json!([{"emailAddress": {"address": address}}]);
    let fake = graph("");
    let people = json!({"to": "a@x.example", "cc": "b@x.example", "bcc": "c@x.example"});
    call(&fake, "email_forward", given(people.clone())).await.unwrap();
    let message = json!({"toRecipients": to("a@x.example"), "ccRecipients": to("b@x.example"), "bccRecipients": to("c@x.example")});
    assert_eq!(fake.requests()[0].body, Some(json!({"comment": "Yes", "message": message})));
    call(&fake, "email_forward", json!({"account_id": "x", "email_id": "m", "to": ["a@x.example"]})).await.unwrap();
    assert_eq!(fake.requests()[1].body, Some(json!({"message": {"toRecipients": to("a@x.example")}})));
    let html = graph("");
    let mut styled = given(people);
    styled["body_type"] = json!("html");
    call(&html, "email_forward", styled).await.unwrap();
    assert_eq!(html.log()[0], "POST /me/messages/a%2Fb/createForward");
    assert_eq!(html.requests()[1].body.as_ref().unwrap()["ccRecipients"], to("b@x.example"));
    let nobody = call(&fake, "email_forward", json!({"account_id": "x", "email_id": "m", "to": []})).await.unwrap_err();
    assert_eq!(nobody.code, "no_recipients");
}

#[test]
fn an_answer_touches_what_it_answers() {
    let touched = touches(&args("email_reply", given(json!({}))).unwrap());
    assert_eq!(touched[0], Touch::Item("a/b".into()));
    assert_eq!(touched[1..], sending());
}

proptest! {
    #[test]
    fn whatever_the_quote_is_nothing_of_it_is_lost(quote in any::<String>(), tag in "(<html>)?(<body[ a-z=]{0,5}>?)?", html in any::<bool>()) {
        let quote = format!("{tag}{quote}");
        let all = above("<i>new</i>", &json!({"contentType": if html { "HTML" } else { "text" }, "content": quote}));
        if html {
            prop_assert_eq!(all.replacen("<i>new</i>", "", 1), quote);
        } else {
            prop_assert!(all.starts_with("<i>new</i><br><pre>") && all.contains(&escaped(&quote)));
        }
    }
}
