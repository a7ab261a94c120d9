//! Mail folders: lists, changes, moves, copies, and the delta of the whole tree.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::call::Call;
use super::delta::{Line, Token, page, reply};
use super::errors::Fault;
use super::mail::{FolderRow, find_folder};
use super::mail_write::destination;
use super::odata::{Answer, Limits, MAIL_FOLDER, Selection, encode, list as page_of};
use super::search_folders;
use super::store::{MAIL_ROOT, Mailbox, State, fold};
use crate::wire::Reply;

const LIMITS: Limits = Limits { usual: 10, most: 1_000, strict_order: false, falling: None };
/// The longest name that Exchange takes, in characters.
const LONGEST: usize = 255;

fn row<'a>(mailbox: &'a Mailbox, number: u32) -> Option<FolderRow<'a>> {
    mailbox.folder(number).map(|folder| FolderRow { mailbox, folder })
}

fn shown(state: &State, call: &Call<'_>, number: u32, status: StatusCode) -> Answer<Reply> {
    let selection = Selection::parse(&call.query, &MAIL_FOLDER)?;
    let row = row(call.mailbox(state), number).ok_or_else(Fault::folder_gone)?;
    Ok(call.json(status, &call.context(&format!("/mailFolders{}/$entity", selection.context())), row.write(&selection)))
}

/// `GET …/mailFolders`, `GET …/mailFolders/{id}/childFolders`
pub(crate) fn list(state: &State, call: &Call<'_>, parent: Option<&str>) -> Answer<Reply> {
    let mailbox = call.mailbox(state);
    let number = parent.map_or(Ok(MAIL_ROOT), |id| find_folder(mailbox, id))?;
    let hidden = call.query.flag("includeHiddenFolders");
    let numbers: Vec<u32> = mailbox.folder(number).map_or_else(Vec::new, |folder| {
        folder.children.values().copied().filter(|child| hidden || mailbox.folder(*child).is_some_and(|c| !c.hidden)).collect()
    });
    let selection = Selection::parse(&call.query, &MAIL_FOLDER)?;
    let write = |row: &FolderRow<'_>| Value::Object(row.write(&selection));
    let body = page_of(&numbers, &call.query, &MAIL_FOLDER, LIMITS, &call.address(), |n| row(mailbox, n), write)?;
    let place = parent.map(|id| format!("('{}')/childFolders", encode(id))).unwrap_or_default();
    Ok(call.json(StatusCode::OK, &call.context(&format!("/mailFolders{place}{}", selection.context())), body))
}

/// `GET …/mailFolders/{id}`
pub(crate) fn get(state: &State, call: &Call<'_>, id: &str) -> Answer<Reply> {
    shown(state, call, find_folder(call.mailbox(state), id)?, StatusCode::OK)
}

/// The name in the body, checked.
fn name_in(body: &Map<String, Value>) -> Answer<String> {
    let name = body.get("displayName").and_then(Value::as_str).map(str::trim).unwrap_or("");
    if name.is_empty() || name.chars().count() > LONGEST {
        let message = "The specified folder name is empty or too long., The value of DisplayName must have between 1 and 255 characters.";
        return Err(Fault::new(StatusCode::BAD_REQUEST, "ErrorInvalidRequest", message));
    }
    Ok(name.to_owned())
}

/// True when the folder has a child of this name other than `except`.
fn taken(mailbox: &Mailbox, parent: u32, name: &str, except: u32) -> bool {
    mailbox.folder(parent).and_then(|p| p.children.get(&fold(name))).is_some_and(|other| *other != except)
}

/// `POST …/mailFolders`, `POST …/mailFolders/{id}/childFolders`
pub(crate) fn create(state: &mut State, call: &Call<'_>, parent: Option<&str>) -> Answer<Reply> {
    let mailbox = &mut state.mailboxes[call.owner];
    let parent = parent.map_or(Ok(MAIL_ROOT), |id| find_folder(mailbox, id))?;
    let mut body = call.body()?;
    let search = if search_folders::is_one(&body) { Some(search_folders::take(mailbox, &mut body, None)?) } else { None };
    let name = name_in(&body)?;
    if taken(mailbox, parent, &name, u32::MAX) {
        return Err(Fault::folder_exists());
    }
    let hidden = body.get("isHidden").and_then(Value::as_bool).unwrap_or(false);
    let number = mailbox.add_folder(name, parent, hidden, None);
    if let Some(search) = search {
        mailbox.set_search(number, search);
    }
    shown(state, call, number, StatusCode::CREATED)
}

/// A folder that may be renamed, moved or deleted.
fn own(mailbox: &Mailbox, id: &str) -> Answer<u32> {
    let number = find_folder(mailbox, id)?;
    if mailbox.folder(number).is_some_and(|folder| folder.well_known.is_some()) {
        return Err(Fault::new(
            StatusCode::FORBIDDEN,
            "ErrorDeleteDistinguishedFolder",
            "The distinguished folder can't be changed in this way.",
        ));
    }
    Ok(number)
}

/// `PATCH …/mailFolders/{id}`
pub(crate) fn rename(state: &mut State, call: &Call<'_>, id: &str) -> Answer<Reply> {
    let mailbox = &mut state.mailboxes[call.owner];
    let number = own(mailbox, id)?;
    let mut body = call.body()?;
    if let Some(known) = mailbox.folder(number).and_then(|folder| folder.search.clone()) {
        let search = search_folders::take(mailbox, &mut body, Some(known))?;
        mailbox.set_search(number, search);
        if !body.contains_key("displayName") {
            return shown(state, call, number, StatusCode::OK);
        }
    }
    if let Some(other) = body.keys().find(|name| !name.starts_with('@') && *name != "displayName") {
        let message = format!("Set action is invalid for property. Property '{other}'.");
        return Err(Fault::new(StatusCode::BAD_REQUEST, "ErrorInvalidPropertySet", message));
    }
    let name = name_in(&body)?;
    let parent = mailbox.folder(number).map_or(MAIL_ROOT, |folder| folder.parent);
    if taken(mailbox, parent, &name, number) {
        return Err(Fault::folder_exists());
    }
    mailbox.rename_folder(number, name);
    shown(state, call, number, StatusCode::OK)
}

/// `DELETE …/mailFolders/{id}`: into Deleted Items; from there for good.
pub(crate) fn delete(state: &mut State, call: &Call<'_>, id: &str) -> Answer<Reply> {
    let mailbox = &mut state.mailboxes[call.owner];
    let number = own(mailbox, id)?;
    let bin = find_folder(mailbox, "deleteditems")?;
    let name = mailbox.folder(number).map(|folder| folder.name.clone()).unwrap_or_default();
    if mailbox.folder_is_within(number, bin) || taken(mailbox, bin, &name, number) {
        mailbox.remove_folder(number);
    } else {
        mailbox.move_folder(number, bin);
    }
    Ok(super::empty(StatusCode::NO_CONTENT))
}

/// Where a folder is to go, which is not into itself and not beside a namesake.
fn target(state: &State, call: &Call<'_>, number: u32) -> Answer<u32> {
    let parent = destination(state, call)?;
    let mailbox = call.mailbox(state);
    if mailbox.folder_is_within(parent, number) {
        return Err(Fault::new(
            StatusCode::BAD_REQUEST,
            "ErrorMoveCopyFailed",
            "The folder can't be moved or copied into itself or one of its children.",
        ));
    }
    let name = mailbox.folder(number).map(|folder| folder.name.clone()).unwrap_or_default();
    if taken(mailbox, parent, &name, number) { Err(Fault::folder_exists()) } else { Ok(parent) }
}

/// `POST …/mailFolders/{id}/move`
pub(crate) fn shift(state: &mut State, call: &Call<'_>, id: &str) -> Answer<Reply> {
    let number = own(call.mailbox(state), id)?;
    let parent = target(state, call, number)?;
    state.mailboxes[call.owner].move_folder(number, parent);
    shown(state, call, number, StatusCode::OK)
}

/// `POST …/mailFolders/{id}/copy`, with all folders and messages in it.
pub(crate) fn copy(state: &mut State, call: &Call<'_>, id: &str) -> Answer<Reply> {
    let number = find_folder(call.mailbox(state), id)?;
    let parent = target(state, call, number)?;
    let name = call.mailbox(state).folder(number).map(|folder| folder.name.clone()).unwrap_or_default();
    // Beside itself the copy needs another name.
    let name = if taken(call.mailbox(state), parent, &name, u32::MAX) { format!("{name} - Copy") } else { name };
    let copy = duplicate(&mut state.mailboxes[call.owner], number, parent, name);
    shown(state, call, copy, StatusCode::OK)
}

fn duplicate(mailbox: &mut Mailbox, number: u32, parent: u32, name: String) -> u32 {
    let (children, messages): (Vec<u32>, Vec<u32>) = mailbox
        .folder(number)
        .map(|f| (f.children.values().copied().collect(), f.messages.iter().map(|(_, m)| *m).collect()))
        .unwrap_or_default();
    let copy = mailbox.add_folder(name, parent, false, None);
    for message in messages {
        if let Some(mut message) = mailbox.message(message).cloned() {
            message.folder = copy;
            message.generation = 0;
            let number = mailbox.add_message(message);
            mailbox.place(number);
        }
    }
    for child in children {
        let name = mailbox.folder(child).map(|folder| folder.name.clone()).unwrap_or_default();
        duplicate(mailbox, child, copy, name);
    }
    copy
}

/// `GET …/mailFolders/delta`: every folder of the mailbox, hidden ones too.
pub(crate) fn delta(state: &State, call: &Call<'_>) -> Answer<Reply> {
    let mailbox = call.mailbox(state);
    let resumed = call.query.get("skiptoken").or_else(|| call.query.get("deltatoken"));
    let token = match resumed {
        Some(text) => Token::resume(text, "folders", mailbox, MAIL_ROOT)?,
        None => Token::begin(call, "folders", mailbox, MAIL_ROOT, mailbox.folder_feed.last())?,
    };
    let selection = Selection::from_text(token.select.as_deref(), &MAIL_FOLDER)?;
    let size = call.view.page.or(token.top).unwrap_or(50).clamp(1, 1_000);
    let page = page(&mailbox.folder_feed, &token, size, |number| mailbox.folder(number).is_some(), |_| false);
    let value = page.lines.iter().filter_map(|line| match line {
        Line::Changed(number) => row(mailbox, *number).map(|row| Value::Object(row.write(&selection))),
        Line::Removed(gone) => Some(json!({"id": gone.id, "@removed": {"reason": "deleted"}})),
    });
    Ok(reply(call, "mailFolder", value.collect(), &page, resumed.is_none()))
}
