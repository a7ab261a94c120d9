//! Replies and forwards, sent at once or left as drafts: who they go to, and the quote of what they answer.

use std::sync::Arc;

use http::StatusCode;
use serde_json::{Map, Value};

use super::call::Call;
use super::drafting::{Changes, addresses, blank};
use super::errors::Fault;
use super::mail::{find_folder, find_message};
use super::mail_write::shown;
use super::odata::Answer;
use super::sending::{check, dispatch};
use super::store::{Body, Message, State};
use crate::seed::people::Address;
use crate::wire::Reply;

/// To whom an answer goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answering {
    Sender,
    All,
    Others,
}

impl Answering {
    /// The action's name, for refusals.
    fn action(self, draft: bool) -> &'static str {
        match (self, draft) {
            (Self::Sender, false) => "reply",
            (Self::All, false) => "replyAll",
            (Self::Others, false) => "forward",
            (Self::Sender, true) => "createReply",
            (Self::All, true) => "createReplyAll",
            (Self::Others, true) => "createForward",
        }
    }
}

/// `POST …/messages/{id}/reply`, `replyAll`, `forward`: sent at once.
pub(crate) fn answer(state: &mut State, call: &Call<'_>, id: &str, kind: Answering) -> Answer<Reply> {
    let sent = find_folder(call.mailbox(state), "sentitems")?;
    let message = compose(state, call, id, kind, sent, false)?;
    check(state, call, &message)?;
    dispatch(state, call, message, true);
    Ok(super::empty(StatusCode::ACCEPTED))
}

/// `POST …/messages/{id}/createReply`, `createReplyAll`, `createForward`: a draft that keeps the quote.
pub(crate) fn draft(state: &mut State, call: &Call<'_>, id: &str, kind: Answering) -> Answer<Reply> {
    let drafts = find_folder(call.mailbox(state), "drafts")?;
    let mut message = compose(state, call, id, kind, drafts, true)?;
    message.searchable = state.visible_from(call.now);
    let mailbox = &mut state.mailboxes[call.owner];
    let number = mailbox.add_message(message);
    mailbox.place(number);
    shown(state, call, number, StatusCode::CREATED)
}

/// What the body of such a request says.
struct Said {
    comment: Option<String>,
    to: Option<Vec<Address>>,
    message: Map<String, Value>,
}

/// Reads the body. A comment and a body of the message exclude each other, as do the two places for `toRecipients`.
fn read(call: &Call<'_>, kind: Answering, draft: bool) -> Answer<Said> {
    let mut said = Said { comment: None, to: None, message: Map::new() };
    for (name, value) in call.body()? {
        match (name.to_ascii_lowercase().as_str(), value) {
            (_, Value::Null) => {}
            ("comment", Value::String(text)) => said.comment = Some(text),
            ("message", Value::Object(message)) => said.message = message,
            ("torecipients", list) if kind == Answering::Others => said.to = Some(addresses(&name, &list)?),
            ("comment" | "message", _) => {
                let message = format!("Cannot convert the value of parameter '{name}' to the type that the action expects.");
                return Err(Fault::bad_request(message));
            }
            _ => return Err(Fault::unknown_parameter(&name, kind.action(draft))),
        }
    }
    if said.comment.is_some() && said.message.contains_key("body") {
        let message = "The parameter 'Comment' and the property 'Body' of the parameter 'Message' can't be given at the same time.";
        return Err(Fault::new(StatusCode::BAD_REQUEST, "ErrorInvalidRequest", message));
    }
    if kind == Answering::Others && said.to.is_some() && said.message.contains_key("toRecipients") {
        let message =
            "The parameter 'ToRecipients' and the property 'ToRecipients' of the parameter 'Message' can't be given at the same time.";
        return Err(Fault::new(StatusCode::BAD_REQUEST, "ErrorInvalidRequest", message));
    }
    Ok(said)
}

fn compose(state: &State, call: &Call<'_>, id: &str, kind: Answering, folder: u32, draft: bool) -> Answer<Message> {
    let said = read(call, kind, draft)?;
    let changes = Changes::parse(&said.message, true, call.now)?;
    let original = find_message(call.mailbox(state), id)?;
    let mut out = blank(state, call, folder);
    out.conversation = original.conversation;
    out.importance = original.importance;
    out.headers = vec![("In-Reply-To".to_owned(), original.internet_id.clone()), ("References".to_owned(), original.internet_id.clone())];
    out.subject = prefixed(&original.subject, if kind == Answering::Others { "FW: " } else { "RE: " });
    out.body = quote(original, said.comment.as_deref().unwrap_or_default());
    let me = &state.users[call.owner].username;
    let others = |list: &[Address]| list.iter().filter(|a| !a.address.eq_ignore_ascii_case(me)).cloned().collect::<Vec<_>>();
    match kind {
        Answering::Others => {
            out.to = said.to.unwrap_or_default();
            out.attachments.clone_from(&original.attachments);
        }
        Answering::Sender | Answering::All => {
            out.to = if original.reply_to.is_empty() { original.from.iter().cloned().collect() } else { original.reply_to.clone() };
            // What the quote shows inside itself comes along.
            out.attachments = original.attachments.iter().filter(|a| a.inline).cloned().collect();
            if kind == Answering::All {
                let known = |list: &[Address], a: &Address| list.iter().any(|k| k.address.eq_ignore_ascii_case(&a.address));
                for address in others(&original.to) {
                    if !known(&out.to, &address) {
                        out.to.push(address);
                    }
                }
                out.cc = others(&original.cc).into_iter().filter(|a| !known(&out.to, a)).collect();
            }
        }
    }
    changes.put(&mut out);
    Ok(out)
}

/// The subject with the mark in front, once.
fn prefixed(subject: &str, mark: &str) -> String {
    let has = subject.get(..mark.len()).is_some_and(|start| start.eq_ignore_ascii_case(mark));
    if has { subject.to_owned() } else { format!("{mark}{subject}") }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// The comment with what it answers below it, in the form of the original. In HTML the comment is read as HTML: its lines run together, and its
/// elements are elements (openai/codex#34167).
fn quote(original: &Message, comment: &str) -> Body {
    let people = |list: &[Address]| list.iter().map(|a| format!("{} <{}>", a.name, a.address)).collect::<Vec<_>>().join("; ");
    let mut lines = vec![
        ("From", people(original.from.as_slice())),
        ("Sent", original.sent.strftime("%A, %B %-d, %Y %-I:%M %p").to_string()),
        ("To", people(&original.to)),
    ];
    if !original.cc.is_empty() {
        lines.push(("Cc", people(&original.cc)));
    }
    lines.push(("Subject", original.subject.clone()));
    if !original.body.is_html() {
        let head: String = lines.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let content = format!("{comment}\r\n\r\n________________________________\r\n{head}\r\n{}", original.body.stored());
        return Body::Given { html: false, content: Arc::from(content) };
    }
    let head: Vec<String> = lines.iter().map(|(name, value)| format!("<b>{name}:</b> {}", escape(value))).collect();
    let stored = original.body.stored();
    let content = format!(
        "<html><head>\r\n<meta http-equiv=\"Content-Type\" content=\"text/html; charset=utf-8\"></head><body>{comment}<hr tabindex=\"-1\" style=\"display:inline-block; width:98%\"><div id=\"divRplyFwdMsg\" dir=\"ltr\"><font face=\"Calibri, sans-serif\">{}</font><div>&nbsp;</div></div>{}</body></html>",
        head.join("<br>"),
        inner(&stored)
    );
    Body::Given { html: true, content: Arc::from(content) }
}

/// What stands between the `body` tags, or all of it.
fn inner(html: &str) -> &str {
    // ASCII folding keeps every byte in its place.
    let lower = html.to_ascii_lowercase();
    let start = lower.find("<body").and_then(|at| lower[at..].find('>').map(|end| at + end + 1)).unwrap_or(0);
    let end = lower.rfind("</body").filter(|end| *end >= start).unwrap_or(html.len());
    &html[start..end]
}

#[cfg(test)]
#[path = "replying_tests.rs"]
mod tests;
