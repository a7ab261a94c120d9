//! Changing mail: drafts, updates, moves, copies, sending.

use std::sync::Arc;

use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::attachment_write;
use super::call::Call;
use super::errors::Fault;
use super::mail::{MessageRow, find_folder, find_message};
use super::odata::{Answer, Expand, MESSAGE, Selection};
use super::store::{Body, Late, Message, State};
use crate::seed::people::Address;
use crate::seed::prng::mix;
use crate::wire::Reply;

fn shown(state: &State, call: &Call<'_>, number: u32, status: StatusCode) -> Answer<Reply> {
    let mailbox = call.mailbox(state);
    let message = mailbox.message(number).ok_or_else(Fault::item_gone)?;
    let row = MessageRow { mailbox, message, immutable: call.view.immutable, text: call.view.text };
    let body = row.write(&Selection::from_text(None, &MESSAGE)?, &Expand { attachments: None });
    Ok(call.json(status, &call.context("/messages/$entity"), body))
}

/// The number of the message with this id; refused when `If-Match` names another version.
pub(crate) fn target(state: &State, call: &Call<'_>, id: &str) -> Answer<u32> {
    let mailbox = call.mailbox(state);
    let message = find_message(mailbox, id)?;
    let tag = format!("W/\"{}\"", mailbox.key.change_key(message.sequence));
    match call.if_match() {
        Some(wanted) if wanted != tag => Err(Fault::conflict()),
        _ => Ok(message.number),
    }
}

/// `PATCH …/messages/{id}`
pub(crate) fn update(state: &mut State, call: &Call<'_>, id: &str) -> Answer<Reply> {
    let number = target(state, call, id)?;
    let changes = Changes::parse(&call.body()?, false, call.now)?;
    let searchable = state.visible_from(call.now);
    let mailbox = &mut state.mailboxes[call.owner];
    if changes.only_for_drafts && mailbox.message(number).is_some_and(|m| !m.draft) {
        return Err(Fault::new(StatusCode::FORBIDDEN, "ErrorInvalidPropertySet", "Set action is invalid for property."));
    }
    mailbox.change_message(number, call.now, |message| {
        changes.put(message);
        message.searchable = searchable;
    });
    shown(state, call, number, StatusCode::OK)
}

/// `DELETE …/messages/{id}`: into Deleted Items; from there for good.
pub(crate) fn delete(state: &mut State, call: &Call<'_>, id: &str) -> Answer<Reply> {
    let number = target(state, call, id)?;
    let mailbox = &mut state.mailboxes[call.owner];
    let bin = find_folder(mailbox, "deleteditems")?;
    let inside = mailbox.message(number).is_some_and(|message| mailbox.folder_is_within(message.folder, bin));
    if inside {
        mailbox.remove_message(number);
    } else {
        mailbox.move_message(number, bin, call.now, true);
    }
    Ok(super::empty(StatusCode::NO_CONTENT))
}

/// The folder in `{"destinationId": …}`.
pub(crate) fn destination(state: &State, call: &Call<'_>) -> Answer<u32> {
    let body = call.body()?;
    let id =
        body.iter().find(|(name, _)| name.eq_ignore_ascii_case("destinationId")).and_then(|(_, value)| value.as_str()).ok_or_else(
            || Fault::new(StatusCode::BAD_REQUEST, "ErrorInvalidRequest", "The required parameter 'DestinationId' is missing."),
        )?;
    find_folder(call.mailbox(state), id)
}

/// `POST …/messages/{id}/move`
pub(crate) fn shift(state: &mut State, call: &Call<'_>, id: &str) -> Answer<Reply> {
    let number = target(state, call, id)?;
    let folder = destination(state, call)?;
    state.mailboxes[call.owner].move_message(number, folder, call.now, true);
    shown(state, call, number, StatusCode::CREATED)
}

/// `POST …/messages/{id}/copy`: the copy is there at once, but lists and search may learn of it later.
pub(crate) fn copy(state: &mut State, call: &Call<'_>, id: &str) -> Answer<Reply> {
    let number = target(state, call, id)?;
    let folder = destination(state, call)?;
    let searchable = state.visible_from(call.now);
    let mailbox = &mut state.mailboxes[call.owner];
    let mut message = mailbox.message(number).ok_or_else(Fault::item_gone)?.clone();
    message.folder = folder;
    message.generation = 0;
    message.created = call.now;
    message.modified = call.now;
    message.searchable = searchable;
    let copy = mailbox.add_message(message);
    state.defer(call.now, Late::Message { mailbox: call.owner, number: copy });
    shown(state, call, copy, StatusCode::CREATED)
}

/// `POST …/messages`: a draft; `POST …/mailFolders/{id}/messages`: one in that folder.
pub(crate) fn draft(state: &mut State, call: &Call<'_>, folder: Option<&str>) -> Answer<Reply> {
    let folder = find_folder(call.mailbox(state), folder.unwrap_or("drafts"))?;
    let changes = Changes::parse(&call.body()?, true, call.now)?;
    let searchable = state.visible_from(call.now);
    let mut message = blank(state, call, folder);
    message.searchable = searchable;
    changes.put(&mut message);
    let mailbox = &mut state.mailboxes[call.owner];
    let number = mailbox.add_message(message);
    mailbox.place(number);
    shown(state, call, number, StatusCode::CREATED)
}

/// `POST …/messages/{id}/send`: the draft goes; the copy in Sent Items, which keeps its immutable id, may come later.
pub(crate) fn send(state: &mut State, call: &Call<'_>, id: &str) -> Answer<Reply> {
    let number = target(state, call, id)?;
    let message = call.mailbox(state).message(number).ok_or_else(Fault::item_gone)?;
    if !message.draft {
        return Err(Fault::new(StatusCode::BAD_REQUEST, "ErrorInvalidOperation", "The message is not a draft."));
    }
    if message.to.is_empty() && message.cc.is_empty() && message.bcc.is_empty() {
        return Err(no_recipients());
    }
    let searchable = state.visible_from(call.now);
    let mailbox = &mut state.mailboxes[call.owner];
    let sent = find_folder(mailbox, "sentitems")?;
    mailbox.move_message(number, sent, call.now, false);
    mailbox.change_message(number, call.now, |message| {
        message.draft = false;
        message.sent = call.now;
        message.received = call.now;
        message.searchable = searchable;
    });
    state.defer(call.now, Late::Message { mailbox: call.owner, number });
    Ok(super::empty(StatusCode::ACCEPTED))
}

/// `POST …/sendMail`
pub(crate) fn send_mail(state: &mut State, call: &Call<'_>) -> Answer<Reply> {
    let body = call.body()?;
    let member = |wanted: &str| body.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value);
    let Some(Value::Object(given)) = member("message") else {
        return Err(Fault::new(StatusCode::BAD_REQUEST, "ErrorInvalidRequest", "The required parameter 'Message' is missing."));
    };
    let changes = Changes::parse(given, true, call.now)?;
    let sent = find_folder(call.mailbox(state), "sentitems")?;
    let searchable = state.visible_from(call.now);
    let mut message = blank(state, call, sent);
    message.searchable = searchable;
    message.draft = false;
    changes.put(&mut message);
    if message.to.is_empty() && message.cc.is_empty() && message.bcc.is_empty() {
        return Err(no_recipients());
    }
    // Some clients send the text "false".
    let keep =
        !member("saveToSentItems").is_some_and(|v| *v == json!(false) || v.as_str().is_some_and(|t| t.eq_ignore_ascii_case("false")));
    if keep {
        let number = state.mailboxes[call.owner].add_message(message);
        state.defer(call.now, Late::Message { mailbox: call.owner, number });
    }
    Ok(super::empty(StatusCode::ACCEPTED))
}

fn no_recipients() -> Box<Fault> {
    Fault::new(
        StatusCode::BAD_REQUEST,
        "ErrorInvalidRecipients",
        "At least one recipient isn't valid., A message can't be sent because it contains no recipients.",
    )
}

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
    }
}

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

fn addresses(name: &str, value: &Value) -> Answer<Vec<Address>> {
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
