//! A message as its author writes it: blank at first, then with the changes that a body asks for.

use std::sync::Arc;

use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::attachment_write;
use super::call::Call;
use super::errors::Fault;
use super::odata::{Answer, MESSAGE};
use super::store::{Body, Message, State};
use crate::seed::people::Address;
use crate::seed::prng::mix;

/// A new message by the owner of the mailbox, with nothing in it.
pub(crate) fn blank(state: &State, call: &Call<'_>, folder: u32) -> Message {
    let mailbox = call.mailbox(state);
    let user = &state.users[call.owner];
    new_message(folder, Address::new(&user.display_name, &user.username), call.now, mailbox.sequence)
}

/// A message with nothing in it; `stamp` makes its ids its own.
pub(crate) fn new_message(folder: u32, from: Address, now: Timestamp, stamp: u64) -> Message {
    let unique = mix(stamp ^ 0x5e17);
    // Exchange keeps whole seconds.
    let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
    Message {
        number: 0,
        generation: 0,
        folder,
        placed: false,
        sequence: 0,
        subject: String::new(),
        body: Body::Given { html: false, content: Arc::from("") },
        from: Some(from),
        to: Vec::new(),
        cc: Vec::new(),
        bcc: Vec::new(),
        reply_to: Vec::new(),
        created: now,
        modified: now,
        received: now,
        sent: now,
        read: true,
        draft: true,
        importance: "normal",
        categories: Vec::new(),
        flag: None,
        focused: true,
        conversation: mix(unique),
        internet_id: format!("<{unique:016X}@mail.contoso.example>"),
        headers: Vec::new(),
        delivery_receipt: false,
        read_receipt: false,
        attachments: Vec::new(),
        searchable: now,
        notice: None,
    }
}

/// What the service alone writes; in the body of a new message it changes nothing.
const SERVICE_ONLY: &[&str] =
    &["receivedDateTime", "sentDateTime", "createdDateTime", "lastModifiedDateTime", "hasAttachments", "bodyPreview"];

type Change = Box<dyn FnOnce(&mut Message)>;

/// The changes that a body asks for, checked before anything is touched.
pub(crate) struct Changes {
    list: Vec<Change>,
    /// Something that a message which is no draft refuses.
    pub(crate) only_for_drafts: bool,
}

fn wrong(name: &str) -> Box<Fault> {
    Fault::bad_request(format!("Cannot convert the value of property '{name}' to the type that the resource expects."))
}

/// A collection of `recipient`s.
pub(crate) fn addresses(name: &str, value: &Value) -> Answer<Vec<Address>> {
    value.as_array().ok_or_else(|| wrong(name))?.iter().map(|entry| address(name, entry)).collect()
}

fn address(name: &str, value: &Value) -> Answer<Address> {
    let email = value.get("emailAddress").ok_or_else(|| wrong(name))?;
    let text = email.get("address").and_then(Value::as_str).ok_or_else(|| wrong(name))?;
    Ok(Address::new(email.get("name").and_then(Value::as_str).unwrap_or(text), text))
}

fn one_of(name: &str, value: &Value, known: &[&'static str]) -> Answer<&'static str> {
    let text = value.as_str().ok_or_else(|| wrong(name))?;
    known
        .iter()
        .find(|k| k.eq_ignore_ascii_case(text))
        .copied()
        .ok_or_else(|| Fault::bad_request(format!("Requested value '{text}' was not found. Property '{name}'.")))
}

fn text(name: &str, value: &Value) -> Answer<String> {
    if value.is_null() { Ok(String::new()) } else { value.as_str().map(str::to_owned).ok_or_else(|| wrong(name)) }
}

impl Changes {
    /// Reads a body. `fresh` is a message being made, to which more may be said.
    pub(crate) fn parse(body: &Map<String, Value>, fresh: bool, now: Timestamp) -> Answer<Self> {
        let mut out = Self { list: Vec::new(), only_for_drafts: false };
        for (name, value) in body {
            let flag = || value.as_bool().ok_or_else(|| wrong(name));
            let (change, drafts): (Change, bool) = match name.as_str() {
                _ if name.starts_with('@') => continue,
                "subject" => {
                    let subject = text(name, value)?;
                    (Box::new(move |m| m.subject = subject), true)
                }
                "body" => {
                    let content = text(name, value.get("content").unwrap_or(&Value::Null))?;
                    let kind = value.get("contentType").map_or(Ok("text"), |kind| one_of(name, kind, &["html", "text"]))?;
                    let body = Body::Given { html: kind == "html", content: Arc::from(content) };
                    (Box::new(move |m| m.body = body), true)
                }
                "toRecipients" => {
                    let list = addresses(name, value)?;
                    (Box::new(move |m| m.to = list), true)
                }
                "ccRecipients" => {
                    let list = addresses(name, value)?;
                    (Box::new(move |m| m.cc = list), true)
                }
                "bccRecipients" => {
                    let list = addresses(name, value)?;
                    (Box::new(move |m| m.bcc = list), true)
                }
                "replyTo" => {
                    let list = addresses(name, value)?;
                    (Box::new(move |m| m.reply_to = list), true)
                }
                "from" | "sender" => {
                    let from = address(name, value)?;
                    (Box::new(move |m| m.from = Some(from)), true)
                }
                "isRead" => {
                    let read = flag()?;
                    (Box::new(move |m| m.read = read), false)
                }
                "isDeliveryReceiptRequested" => {
                    let wanted = flag()?;
                    (Box::new(move |m| m.delivery_receipt = wanted), true)
                }
                "isReadReceiptRequested" => {
                    let wanted = flag()?;
                    (Box::new(move |m| m.read_receipt = wanted), true)
                }
                "importance" => {
                    let importance = one_of(name, value, &["low", "normal", "high"])?;
                    (Box::new(move |m| m.importance = importance), false)
                }
                "inferenceClassification" => {
                    let kind = one_of(name, value, &["focused", "other"])?;
                    (Box::new(move |m| m.focused = kind == "focused"), false)
                }
                "categories" => {
                    let list: Option<Vec<String>> =
                        value.as_array().and_then(|l| l.iter().map(|c| c.as_str().map(str::to_owned)).collect());
                    let list = list.ok_or_else(|| wrong(name))?;
                    (Box::new(move |m| m.categories = list), false)
                }
                "flag" => {
                    let status = value.get("flagStatus").ok_or_else(|| wrong(name))?;
                    let status = one_of(name, status, &["notFlagged", "complete", "flagged"])?;
                    let mut flag = Map::new();
                    flag.insert("flagStatus".to_owned(), json!(status));
                    for part in ["startDateTime", "dueDateTime", "completedDateTime"] {
                        if let Some(moment) = value.get(part).filter(|m| m.get("dateTime").is_some_and(Value::is_string)) {
                            flag.insert(part.to_owned(), moment.clone());
                        }
                    }
                    let flag = (status != "notFlagged").then_some(Value::Object(flag));
                    (Box::new(move |m| m.flag = flag), false)
                }
                "internetMessageHeaders" if fresh => {
                    let list = value.as_array().ok_or_else(|| wrong(name))?;
                    let headers: Option<Vec<(String, String)>> =
                        list.iter().map(|h| Some((h.get("name")?.as_str()?.to_owned(), h.get("value")?.as_str()?.to_owned()))).collect();
                    let headers = headers.ok_or_else(|| wrong(name))?;
                    (Box::new(move |m| m.headers = headers), true)
                }
                "attachments" if fresh => {
                    let list = value.as_array().ok_or_else(|| wrong(name))?;
                    let files =
                        list.iter().zip(0..).map(|(file, index)| attachment_write::read(file, index, now)).collect::<Answer<Vec<_>>>()?;
                    (Box::new(move |m| m.attachments = files), true)
                }
                // A new message has them from the service, whatever its author says.
                known if fresh && SERVICE_ONLY.contains(&known) => continue,
                known if MESSAGE.kind(known).is_some() => {
                    return Err(Fault::new(
                        StatusCode::BAD_REQUEST,
                        "ErrorInvalidPropertySet",
                        format!("Set action is invalid for property. Property '{known}'."),
                    ));
                }
                unknown => {
                    return Err(Fault::new(
                        StatusCode::BAD_REQUEST,
                        "RequestBodyRead",
                        format!(
                            "The property '{unknown}' does not exist on type 'microsoft.graph.message'. Make sure to only use property names that are defined by the type."
                        ),
                    ));
                }
            };
            out.only_for_drafts |= drafts;
            out.list.push(change);
        }
        Ok(out)
    }

    /// Makes them.
    pub(crate) fn put(self, message: &mut Message) {
        for change in self.list {
            change(message);
        }
    }
}
