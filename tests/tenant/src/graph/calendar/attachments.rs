//! The attachments of events: listed, read, put on and taken off, in one request or in pieces.

use bytes::Bytes;
use http::StatusCode;
use jiff::Timestamp;

use super::row::find;
use super::write::{target, tell};
use crate::graph::attachment_write::{announced, created, read};
use crate::graph::attachments::{Holder, Upload};
use crate::graph::call::Call;
use crate::graph::empty;
use crate::graph::errors::Fault;
use crate::graph::odata::{Answer, encode};
use crate::graph::store::{Attachment, Event, Mailbox, State};
use crate::graph::uploads::{self, Session, Target};
use crate::wire::Reply;

/// The event as something with attachments.
pub(super) fn holder<'a>(call: &Call<'_>, mailbox: &'a Mailbox, event: &'a Event) -> Holder<'a> {
    let id = |immutable| mailbox.event_id(event, None, immutable);
    let (mine, other) = (id(call.view.immutable), id(!call.view.immutable));
    Holder { key: &mailbox.key, id: mine, other, since: event.modified, list: &event.attachments }
}

fn place(holder: &Holder<'_>) -> String {
    format!("/events('{}')", encode(&holder.id))
}

/// `GET …/events/{id}/attachments`
pub(crate) fn list(state: &State, call: &Call<'_>, id: &str) -> Answer<Reply> {
    let mailbox = call.mailbox(state);
    let holder = holder(call, mailbox, find(mailbox, id)?.0);
    holder.list(call, &place(&holder))
}

/// `GET …/events/{id}/attachments/{id}`
pub(crate) fn get(state: &State, call: &Call<'_>, id: &str, attachment: &str) -> Answer<Reply> {
    let mailbox = call.mailbox(state);
    let holder = holder(call, mailbox, find(mailbox, id)?.0);
    holder.one(call, &place(&holder), holder.find(attachment)?, StatusCode::OK)
}

/// `GET …/events/{id}/attachments/{id}/$value`
pub(crate) fn content(state: &State, call: &Call<'_>, id: &str, attachment: &str) -> Answer<Reply> {
    let mailbox = call.mailbox(state);
    let holder = holder(call, mailbox, find(mailbox, id)?.0);
    holder.content(call, holder.find(attachment)?)
}

/// Adds an attachment with an index that the event never had.
fn put(state: &mut State, owner: usize, number: u32, now: Timestamp, make: impl FnOnce(u32) -> Attachment) -> u32 {
    let mailbox = &mut state.mailboxes[owner];
    let index = u32::try_from(mailbox.tick()).unwrap_or(u32::MAX);
    mailbox.change_event(number, now, |event| event.attachments.push(make(index)));
    tell(state, owner, number, now);
    index
}

/// `POST …/events/{id}/attachments`
pub(crate) fn add(state: &mut State, call: &Call<'_>, id: &str) -> Answer<Reply> {
    let (number, _) = target(state, call, id)?;
    let attachment = read(&serde_json::Value::Object(call.body()?), 0, call.now)?;
    let index = put(state, call.owner, number, call.now, |index| Attachment { index, ..attachment });
    let mailbox = call.mailbox(state);
    let holder = holder(call, mailbox, mailbox.event(number).ok_or_else(Fault::item_gone)?);
    let made = holder.list.iter().find(|attachment| attachment.index == index).ok_or_else(Fault::item_gone)?;
    holder.one(call, &place(&holder), made, StatusCode::CREATED)
}

/// `DELETE …/events/{id}/attachments/{id}`
pub(crate) fn remove(state: &mut State, call: &Call<'_>, id: &str, attachment: &str) -> Answer<Reply> {
    let (number, _) = target(state, call, id)?;
    let mailbox = call.mailbox(state);
    let index = holder(call, mailbox, mailbox.event(number).ok_or_else(Fault::item_gone)?).find(attachment)?.index;
    state.mailboxes[call.owner].change_event(number, call.now, |event| event.attachments.retain(|a| a.index != index));
    tell(state, call.owner, number, call.now);
    Ok(empty(StatusCode::NO_CONTENT))
}

/// `POST …/events/{id}/attachments/createUploadSession`
pub(crate) fn begin(state: &mut State, call: &Call<'_>, id: &str) -> Answer<Reply> {
    let (number, _) = target(state, call, id)?;
    let (upload, size) = announced(&call.body()?, number)?;
    let session = state.uploads.begin(call, Target::Event(upload), uploads::ATTACHMENT, Some(size));
    Ok(call.json(StatusCode::CREATED, &call.plain_context("microsoft.graph.uploadSession"), session))
}

/// The last piece has come: the event has one attachment more.
pub(crate) fn finish(state: &mut State, session: &Session, upload: &Upload, content: Bytes, now: Timestamp) -> Answer<Reply> {
    state.mailboxes[session.owner].event(upload.item).ok_or_else(Fault::item_gone)?;
    let index = put(state, session.owner, upload.item, now, |index| upload.clone().into_attachment(index, content));
    let mailbox = &state.mailboxes[session.owner];
    let event = mailbox.event(upload.item).ok_or_else(Fault::item_gone)?;
    let id = mailbox.event_id(event, None, false);
    let (user, attachment) = (&state.users[session.owner].id, mailbox.key.attachment(&id, index));
    Ok(created(&format!("{}/users('{user}')/Events('{id}')/Attachments('{attachment}')", session.downloads)))
}
