//! Changing mail: drafts, updates, moves, copies, sending.

use http::StatusCode;

use super::call::Call;
use super::drafting::{Changes, blank};
use super::errors::Fault;
use super::mail::{MessageRow, find_folder, find_message};
use super::marks::{self, Wanted};
use super::mime_read;
use super::odata::{Answer, Expand, MESSAGE, Selection};
use super::search_folders;
use super::store::{Late, Marked, Marks, State};
use crate::wire::Reply;

/// A message as the answer to a change of it.
pub(crate) fn shown(state: &State, call: &Call<'_>, number: u32, status: StatusCode) -> Answer<Reply> {
    let mailbox = call.mailbox(state);
    let message = mailbox.message(number).ok_or_else(Fault::item_gone)?;
    let row = MessageRow { mailbox, message, immutable: call.view.immutable, text: call.view.text };
    // What programs hung on it they are shown with the answer.
    let expand = Expand { marks: Wanted::extensions(), context: call.context("/messages"), ..Expand::default() };
    let body = row.write(&Selection::from_text(None, &MESSAGE)?, &expand);
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
    let mut body = call.body()?;
    let marks = marks::take(&mut body)?;
    let changes = Changes::parse(&body, false, call.now)?;
    let searchable = state.visible_from(call.now);
    let mailbox = &mut state.mailboxes[call.owner];
    if changes.only_for_drafts && mailbox.message(number).is_some_and(|m| !m.draft) {
        return Err(Fault::new(StatusCode::FORBIDDEN, "ErrorInvalidPropertySet", "Set action is invalid for property."));
    }
    mailbox.change_message(number, call.now, |message| {
        changes.put(message);
        message.searchable = searchable;
    });
    marks::put(mailbox, Marked::Message(number), marks);
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

/// `POST …/messages/{id}/permanentDelete`
pub(crate) fn purge(state: &mut State, call: &Call<'_>, id: &str) -> Answer<Reply> {
    let number = target(state, call, id)?;
    state.mailboxes[call.owner].remove_message(number);
    Ok(super::empty(StatusCode::NO_CONTENT))
}

/// The folder in `{"destinationId": …}`.
pub(crate) fn destination(state: &State, call: &Call<'_>) -> Answer<u32> {
    let body = call.body()?;
    let id =
        body.iter().find(|(name, _)| name.eq_ignore_ascii_case("destinationId")).and_then(|(_, value)| value.as_str()).ok_or_else(
            || Fault::new(StatusCode::BAD_REQUEST, "ErrorInvalidRequest", "The required parameter 'DestinationId' is missing."),
        )?;
    let mailbox = call.mailbox(state);
    search_folders::refuse(call, mailbox, find_folder(mailbox, id)?)
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
    let marks = mailbox.marks.get(&Marked::Message(number)).cloned().unwrap_or_default();
    marks::put(mailbox, Marked::Message(copy), marks);
    state.defer(call.now, Late::Message { mailbox: call.owner, number: copy });
    shown(state, call, copy, StatusCode::CREATED)
}

/// `POST …/messages`: a draft; `POST …/mailFolders/{id}/messages`: one in that folder.
pub(crate) fn draft(state: &mut State, call: &Call<'_>, folder: Option<&str>) -> Answer<Reply> {
    let mailbox = call.mailbox(state);
    let folder = search_folders::refuse(call, mailbox, find_folder(mailbox, folder.unwrap_or("drafts"))?)?;
    let mut message = blank(state, call, folder);
    message.searchable = state.visible_from(call.now);
    let mut marks = Marks::default();
    if call.header("content-type").is_some_and(|kind| kind.to_ascii_lowercase().starts_with("text/plain")) {
        mime_read::into(&call.request.body, &mut message)?;
    } else {
        let mut body = call.body()?;
        marks = marks::take(&mut body)?;
        Changes::parse(&body, true, call.now)?.put(&mut message);
    }
    let mailbox = &mut state.mailboxes[call.owner];
    let number = mailbox.add_message(message);
    mailbox.place(number);
    marks::put(mailbox, Marked::Message(number), marks);
    shown(state, call, number, StatusCode::CREATED)
}
