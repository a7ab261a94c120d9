//! Putting attachments on a message and taking them off: in one request, or by an upload session when they are large.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::attachments::Upload;
use super::call::Call;
use super::embedded;
use super::errors::Fault;
use super::mail::MessageRow;
use super::mail_write::target;
use super::messages::place_of;
use super::odata::Answer;
use super::store::{Attachment, AttachmentKind, Content, State};
use super::uploads::{self, Session, Target};
use crate::wire::Reply;

/// Smaller files go in one request.
const SMALLEST_UPLOAD: u64 = 3 << 20;

fn wrong(name: &str) -> Box<Fault> {
    Fault::bad_request(format!("Cannot convert the value of property '{name}' to the type that the resource expects."))
}

/// Reads a `fileAttachment`, an `itemAttachment` or a `referenceAttachment`.
pub(crate) fn read(value: &Value, index: u32, now: Timestamp) -> Answer<Attachment> {
    let text = |name: &str| value.get(name).and_then(Value::as_str);
    let name = text("name").ok_or_else(|| wrong("name"))?.to_owned();
    let inline = value.get("isInline").and_then(Value::as_bool).unwrap_or(false);
    match text("@odata.type").unwrap_or_default().trim_start_matches('#') {
        "microsoft.graph.fileAttachment" => {
            let bytes = STANDARD.decode(text("contentBytes").ok_or_else(|| wrong("contentBytes"))?).map_err(|_| wrong("contentBytes"))?;
            Ok(Attachment {
                index,
                content_type: text("contentType").map_or_else(|| content_type(&name).to_owned(), str::to_owned),
                name,
                inline,
                content_id: text("contentId").map(str::to_owned),
                content: Content::Given(Bytes::from(bytes)),
                kind: AttachmentKind::File,
            })
        }
        "microsoft.graph.itemAttachment" => {
            let (item, content) = embedded::read(value.get("item").unwrap_or(&Value::Null), now)?;
            let content = Content::Given(Bytes::from(content));
            let kind = AttachmentKind::Item(Box::new(item));
            Ok(Attachment { index, name, content_type: String::new(), inline, content_id: None, content, kind })
        }
        // v1.0 shows no more of a link than of any attachment; where it leads is kept as its content.
        "microsoft.graph.referenceAttachment" => Ok(Attachment {
            index,
            content_type: text("contentType").map_or_else(|| content_type(&name).to_owned(), str::to_owned),
            name,
            inline,
            content_id: None,
            content: Content::Given(Bytes::from(text("sourceUrl").ok_or_else(|| wrong("sourceUrl"))?.to_owned())),
            kind: AttachmentKind::Link,
        }),
        other => Err(Fault::bad_request(format!("An attachment of the type '{other}' cannot be made here."))),
    }
}

/// What Exchange makes of a name's ending when no type is given.
fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase()).as_deref() {
        Some("txt") => "text/plain",
        Some("csv") => "text/csv",
        Some("pdf") => "application/pdf",
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("html" | "htm") => "text/html",
        _ => "application/octet-stream",
    }
}

/// The number of the draft with this id: sent and received messages keep the attachments they have.
fn draft(state: &State, call: &Call<'_>, id: &str) -> Answer<u32> {
    let number = target(state, call, id)?;
    match call.mailbox(state).message(number) {
        Some(message) if message.draft => Ok(number),
        _ => Err(Fault::new(StatusCode::FORBIDDEN, "ErrorAccessDenied", "Attachments of a message that is no draft cannot be changed.")),
    }
}

/// Adds an attachment with an index that the message never had.
fn put(state: &mut State, owner: usize, number: u32, now: Timestamp, make: impl FnOnce(u32) -> Attachment) -> u32 {
    let mailbox = &mut state.mailboxes[owner];
    let index = u32::try_from(mailbox.tick()).unwrap_or(u32::MAX);
    mailbox.change_message(number, now, |message| message.attachments.push(make(index)));
    index
}

/// `POST …/messages/{id}/attachments`
pub(crate) fn add(state: &mut State, call: &Call<'_>, id: &str) -> Answer<Reply> {
    let number = draft(state, call, id)?;
    let attachment = read(&Value::Object(call.body()?), 0, call.now)?;
    let index = put(state, call.owner, number, call.now, |index| Attachment { index, ..attachment });
    let mailbox = call.mailbox(state);
    let message = mailbox.message(number).ok_or_else(Fault::item_gone)?;
    let row = MessageRow { mailbox, message, immutable: call.view.immutable, text: call.view.text };
    let holder = row.holder();
    let made = holder.list.iter().find(|a| a.index == index).ok_or_else(Fault::item_gone)?;
    holder.one(call, &place_of(&row), made, StatusCode::CREATED)
}

/// `DELETE …/messages/{id}/attachments/{id}`
pub(crate) fn remove(state: &mut State, call: &Call<'_>, id: &str, attachment: &str) -> Answer<Reply> {
    let number = draft(state, call, id)?;
    let mailbox = &mut state.mailboxes[call.owner];
    let message = mailbox.message(number).ok_or_else(Fault::item_gone)?;
    let index = MessageRow { mailbox, message, immutable: call.view.immutable, text: false }.holder().find(attachment)?.index;
    mailbox.change_message(number, call.now, |message| message.attachments.retain(|a| a.index != index));
    Ok(super::empty(StatusCode::NO_CONTENT))
}

/// What a body says of a file to be uploaded to item `number`, and its length.
pub(crate) fn announced(body: &Map<String, Value>, number: u32) -> Answer<(Upload, u64)> {
    let given = body.iter().find(|(name, _)| name.eq_ignore_ascii_case("AttachmentItem")).map(|(_, value)| value);
    let missing = || Fault::new(StatusCode::BAD_REQUEST, "ErrorInvalidRequest", "The required parameter 'AttachmentItem' is missing.");
    let given = given.and_then(Value::as_object).ok_or_else(missing)?;
    let text = |name: &str| given.get(name).and_then(Value::as_str);
    if !text("attachmentType").unwrap_or_default().eq_ignore_ascii_case("file") {
        return Err(wrong("attachmentType"));
    }
    let name = text("name").ok_or_else(|| wrong("name"))?.to_owned();
    let size = given.get("size").and_then(Value::as_u64).ok_or_else(|| wrong("size"))?;
    if size < SMALLEST_UPLOAD {
        let message = "The attachment is too small for an upload session. Attach it in one request.";
        return Err(Fault::new(StatusCode::BAD_REQUEST, "ErrorAttachmentSizeShouldNotBeLessThanMinimumSize", message));
    }
    if size > uploads::ATTACHMENT.largest {
        let message = "The attachment size exceeds the allowable limit of 150 MB.";
        return Err(Fault::new(StatusCode::BAD_REQUEST, "ErrorAttachmentSizeLimitExceeded", message));
    }
    let kind = text("contentType").map_or_else(|| content_type(&name).to_owned(), str::to_owned);
    let inline = given.get("isInline").and_then(Value::as_bool).unwrap_or(false);
    Ok((Upload { item: number, name, content_type: kind, inline, content_id: text("contentId").map(str::to_owned) }, size))
}

/// `POST …/messages/{id}/attachments/createUploadSession`
pub(crate) fn begin(state: &mut State, call: &Call<'_>, id: &str) -> Answer<Reply> {
    let number = draft(state, call, id)?;
    let (upload, size) = announced(&call.body()?, number)?;
    let session = state.uploads.begin(call, Target::Message(upload), uploads::ATTACHMENT, Some(size));
    Ok(call.json(StatusCode::CREATED, &call.plain_context("microsoft.graph.uploadSession"), session))
}

/// The last piece has come: the message has one attachment more.
pub(crate) fn finish(state: &mut State, session: &Session, upload: &Upload, content: Bytes, now: Timestamp) -> Answer<Reply> {
    let message = state.mailboxes[session.owner].message(upload.item).ok_or_else(Fault::item_gone)?;
    if !message.draft {
        return Err(Fault::item_gone());
    }
    let index = put(state, session.owner, upload.item, now, |index| upload.clone().into_attachment(index, content));
    let mailbox = &state.mailboxes[session.owner];
    let message = mailbox.message(upload.item).ok_or_else(Fault::item_gone)?;
    let item = mailbox.message_id(message, false);
    let user = &state.users[session.owner].id;
    let attachment = mailbox.key.attachment(&item, index);
    Ok(created(&format!("{}/users('{user}')/Messages('{item}')/Attachments('{attachment}')", session.downloads)))
}

/// 201 with the address of what was made and no body, as Outlook answers the last piece.
pub(crate) fn created(location: &str) -> Reply {
    let mut headers = HeaderMap::new();
    headers.extend(HeaderValue::from_str(location).ok().map(|location| (header::LOCATION, location)));
    Reply { status: StatusCode::CREATED, headers, body: Bytes::new() }
}

#[cfg(test)]
#[path = "attachment_tests.rs"]
mod tests;
