//! Folders of contacts: lists, changes, and the delta of all of them.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::call::Call;
use super::contacts::{OWN, find_folder};
use super::delta::{Line, Token, page, reply};
use super::errors::Fault;
use super::odata::{Answer, CONTACT_FOLDER, Limits, Row, Selection, encode, list as page_of};
use super::store::{ContactFolder, Mailbox, State};
use crate::wire::Reply;

const LIMITS: Limits = Limits { usual: 10, most: 1_000, strict_order: false, falling: None };

/// A folder of contacts as Graph shows it.
pub(crate) struct FolderRow<'a> {
    pub(crate) mailbox: &'a Mailbox,
    pub(crate) folder: &'a ContactFolder,
}

impl Row for FolderRow<'_> {
    fn property(&self, name: &str) -> Option<Value> {
        Some(match name {
            "id" => json!(self.mailbox.contact_folder_id(self.folder.number)),
            "parentFolderId" => json!(self.mailbox.contact_folder_id(self.folder.parent.unwrap_or(OWN))),
            "displayName" => json!(self.folder.name),
            _ => return None,
        })
    }
}

fn row<'a>(mailbox: &'a Mailbox, number: u32) -> Option<FolderRow<'a>> {
    mailbox.contact_folder(number).map(|folder| FolderRow { mailbox, folder })
}

/// `GET …/contactFolders`: all below the mailbox's own folder; `GET …/contactFolders/{id}/childFolders`: all below that.
pub(crate) fn list(state: &State, call: &Call<'_>, parent: Option<&str>) -> Answer<Reply> {
    let mailbox = call.mailbox(state);
    let above = find_folder(mailbox, parent)?;
    let numbers: Vec<u32> = mailbox.contact_folders.iter().flatten().filter(|f| f.parent == Some(above)).map(|f| f.number).collect();
    let selection = Selection::parse(&call.query, &CONTACT_FOLDER)?;
    let write = |row: &FolderRow<'_>| {
        let mut out = Map::new();
        selection.write(row, &mut out);
        Value::Object(out)
    };
    let body = page_of(&numbers, &call.query, &CONTACT_FOLDER, LIMITS, &call.address(), |n| row(mailbox, n), write)?;
    let place = parent.map(|id| format!("('{}')/childFolders", encode(id))).unwrap_or_default();
    Ok(call.json(StatusCode::OK, &call.context(&format!("/contactFolders{place}{}", selection.context())), body))
}

fn shown(state: &State, call: &Call<'_>, number: u32, status: StatusCode) -> Answer<Reply> {
    let selection = Selection::parse(&call.query, &CONTACT_FOLDER)?;
    let mut out = Map::new();
    selection.write(&row(call.mailbox(state), number).ok_or_else(Fault::folder_gone)?, &mut out);
    Ok(call.json(status, &call.context(&format!("/contactFolders{}/$entity", selection.context())), out))
}

/// `GET …/contactFolders/{id}`
pub(crate) fn get(state: &State, call: &Call<'_>, id: &str) -> Answer<Reply> {
    shown(state, call, find_folder(call.mailbox(state), Some(id))?, StatusCode::OK)
}

/// The name in the body, which no other folder of the same parent has.
fn name_in(mailbox: &Mailbox, body: &Map<String, Value>, parent: u32, except: Option<u32>) -> Answer<String> {
    let name = body.get("displayName").and_then(Value::as_str).unwrap_or_default().trim().to_owned();
    if name.is_empty() {
        return Err(Fault::new(StatusCode::BAD_REQUEST, "ErrorInvalidRequest", "The value of DisplayName must not be empty."));
    }
    let same = |f: &&ContactFolder| f.parent == Some(parent) && Some(f.number) != except && f.name.to_lowercase() == name.to_lowercase();
    if mailbox.contact_folders.iter().flatten().any(|f| same(&f)) { Err(Fault::folder_exists()) } else { Ok(name) }
}

/// `POST …/contactFolders`, `POST …/contactFolders/{id}/childFolders`
pub(crate) fn create(state: &mut State, call: &Call<'_>, parent: Option<&str>) -> Answer<Reply> {
    let mailbox = &mut state.mailboxes[call.owner];
    let parent = find_folder(mailbox, parent)?;
    let name = name_in(mailbox, &call.body()?, parent, None)?;
    let number = mailbox.add_contact_folder(name, Some(parent));
    shown(state, call, number, StatusCode::CREATED)
}

/// A folder that may be renamed or deleted: not the mailbox's own.
pub(crate) fn own(mailbox: &Mailbox, id: &str) -> Answer<u32> {
    match find_folder(mailbox, Some(id))? {
        OWN => Err(Fault::new(
            StatusCode::FORBIDDEN,
            "ErrorDeleteDistinguishedFolder",
            "The distinguished folder can't be changed in this way.",
        )),
        number => Ok(number),
    }
}

/// `PATCH …/contactFolders/{id}`
pub(crate) fn rename(state: &mut State, call: &Call<'_>, id: &str) -> Answer<Reply> {
    let mailbox = &mut state.mailboxes[call.owner];
    let number = own(mailbox, id)?;
    let parent = mailbox.contact_folder(number).and_then(|folder| folder.parent).unwrap_or(OWN);
    let name = name_in(mailbox, &call.body()?, parent, Some(number))?;
    mailbox.rename_contact_folder(number, name);
    shown(state, call, number, StatusCode::OK)
}

/// `DELETE …/contactFolders/{id}`, with the contacts and folders in it.
pub(crate) fn delete(state: &mut State, call: &Call<'_>, id: &str) -> Answer<Reply> {
    let mailbox = &mut state.mailboxes[call.owner];
    let number = own(mailbox, id)?;
    mailbox.remove_contact_folder(number);
    Ok(super::empty(StatusCode::NO_CONTENT))
}

/// `GET …/contactFolders/delta`
pub(crate) fn delta(state: &State, call: &Call<'_>) -> Answer<Reply> {
    let mailbox = call.mailbox(state);
    let resumed = call.query.get("skiptoken").or_else(|| call.query.get("deltatoken"));
    let feed = &mailbox.contact_folder_feed;
    let token = match resumed {
        Some(text) => Token::resume(text, "contactFolders", mailbox, OWN)?,
        None => Token::begin(call, "contactFolders", mailbox, OWN, feed.last())?,
    };
    let selection = Selection::from_text(token.select.as_deref(), &CONTACT_FOLDER)?;
    let size = call.view.page.or(token.top).unwrap_or(50).clamp(1, 1_000);
    let page = page(feed, &token, size, |number| mailbox.contact_folder(number).is_some(), |_| false);
    let value = page.lines.iter().filter_map(|line| match line {
        Line::Changed(number) => row(mailbox, *number).map(|row| {
            let mut out = Map::new();
            selection.write(&row, &mut out);
            Value::Object(out)
        }),
        Line::Removed(gone) => Some(json!({"id": gone.id, "@removed": {"reason": "deleted"}})),
    });
    Ok(reply(call, "contactFolder", value.collect(), &page, resumed.is_none()))
}

#[cfg(test)]
#[path = "contact_folders_tests.rs"]
mod tests;
