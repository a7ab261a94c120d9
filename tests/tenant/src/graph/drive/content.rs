//! Bytes into files: in one request, or in pieces by an upload session.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::names::{check_name, check_path, conflict};
use super::read::find;
use super::row::ItemRow;
use super::write::{shown, target};
use crate::graph::call::Call;
use crate::graph::errors::Fault;
use crate::graph::odata::{Answer, DRIVE_ITEM, Selection};
use crate::graph::route::ItemAt;
use crate::graph::store::{Conflict, Content, Drive, Item, State};
use crate::graph::uploads::{self, Session, Target};
use crate::wire::Reply;

/// Whose drive, who writes, and when.
struct Writer {
    owner: usize,
    by: usize,
    now: Timestamp,
    searchable: Timestamp,
}

/// Puts bytes at an address: into the file there, or into a new one at a path, its missing folders made on the way.
/// The file's number, and whether it is new.
fn put_at(drive: &mut Drive, at: &ItemAt, conflict: Conflict, content: Content, writer: &Writer) -> Answer<(u32, bool)> {
    let make = |drive: &mut Drive, parent: u32, name: String, content: Option<Content>| {
        let mut item = Item::new(name, parent, content, writer.now, writer.by);
        item.searchable = writer.searchable;
        let number = drive.add(item);
        drive.place(number);
        number
    };
    if let Ok(item) = find(drive, at) {
        if item.is_folder() {
            return Err(Fault::invalid_request("A folder has no content."));
        }
        let (number, parent) = (item.number, item.parent);
        return match conflict {
            Conflict::Fail => Err(Fault::name_taken()),
            Conflict::Replace => {
                drive.write(number, content, writer.now, writer.by);
                Ok((number, false))
            }
            Conflict::Rename => {
                let name = drive.free_name(parent, &item.name.clone());
                Ok((make(drive, parent, name, Some(content)), true))
            }
        };
    }
    // Nothing is there: only a path can name what is to be made.
    let path = at.path.clone().ok_or_else(Fault::item_not_found)?;
    let (folders, last) = split(&path)?;
    let mut parent = find(drive, &ItemAt { id: at.id.clone(), path: None })?.number;
    for name in folders {
        let existing = drive.by_path(parent, name).map(|item| (item.number, item.is_folder()));
        parent = match existing {
            Some((number, true)) => number,
            Some((_, false)) => return Err(Fault::name_taken()),
            None => {
                check_path(drive, parent, name)?;
                make(drive, parent, name.to_owned(), None)
            }
        };
    }
    check_path(drive, parent, last)?;
    Ok((make(drive, parent, last.to_owned(), Some(content)), true))
}

/// The folders of a path and its last name, all of them names that OneDrive takes.
fn split(path: &str) -> Answer<(Vec<&str>, &str)> {
    let mut names: Vec<&str> = path.split('/').filter(|name| !name.is_empty()).collect();
    names.iter().try_for_each(|name| check_name(name))?;
    let last = names.pop().ok_or_else(|| Fault::invalid_request("A name is missing."))?;
    Ok((names, last))
}

/// Refuses what `If-Match` rules out; without a file there is nothing that could match.
fn check_match(state: &State, call: &Call<'_>, at: &ItemAt) -> Answer<()> {
    match find(call.drive(state), at) {
        Ok(_) => target(state, call, at).map(drop),
        Err(_) if call.if_match().is_some() => Err(Fault::resource_modified()),
        Err(_) => Ok(()),
    }
}

/// `PUT …/content`
pub(crate) fn put(state: &mut State, call: &Call<'_>, at: &ItemAt) -> Answer<Reply> {
    let conflict = conflict(call.query.get("@microsoft.graph.conflictBehavior"), Conflict::Replace)?;
    check_match(state, call, at)?;
    let writer = Writer { owner: call.owner, by: call.caller, now: call.now, searchable: state.visible_from(call.now) };
    let content = Content::Given(call.request.body.clone());
    let (number, new) = put_at(&mut state.drives[writer.owner], at, conflict, content, &writer)?;
    shown(state, call, number, if new { StatusCode::CREATED } else { StatusCode::OK })
}

/// A file that comes in pieces: where it is to lie, and what to do when another one lies there.
#[derive(Debug, Clone)]
pub(crate) struct Upload {
    at: ItemAt,
    conflict: Conflict,
    description: Option<String>,
}

/// `POST …/createUploadSession`
pub(crate) fn begin(state: &mut State, call: &Call<'_>, at: &ItemAt) -> Answer<Reply> {
    let body = call.body()?;
    if body.get("deferCommit").is_some_and(|defer| defer != &Value::Bool(false)) {
        return Err(Fault::invalid_request("Deferred commits are not supported here."));
    }
    let none = Map::new();
    let item = body.get("item").and_then(Value::as_object).unwrap_or(&none);
    let text = |name: &str| item.get(name).and_then(Value::as_str);
    check_match(state, call, at)?;
    let drive = call.drive(state);
    // By its id an existing file gets new bytes; by a path it is a name that may be taken.
    let usual = if at.path.is_none() { Conflict::Replace } else { Conflict::Fail };
    let conflict = conflict(text("@microsoft.graph.conflictBehavior"), usual)?;
    let mut at = at.clone();
    match find(drive, &at) {
        Ok(item) if item.is_folder() => return Err(Fault::invalid_request("A folder has no content.")),
        Ok(_) if conflict == Conflict::Fail => return Err(Fault::name_taken()),
        Ok(_) => {}
        Err(fault) => {
            let Some(path) = at.path.as_mut() else {
                return Err(fault);
            };
            find(drive, &ItemAt { id: at.id.clone(), path: None })?;
            if let Some(name) = text("name") {
                let above = path.rsplit_once('/').map_or(String::new(), |(above, _)| format!("{above}/"));
                *path = format!("{above}{name}");
            }
            split(path)?;
        }
    }
    let upload = Upload { at, conflict, description: text("description").map(str::to_owned) };
    let total = item.get("fileSize").and_then(Value::as_u64);
    let session = state.uploads.begin(call, Target::File(upload), uploads::FILE, total);
    Ok(call.json(StatusCode::OK, &call.plain_context("microsoft.graph.uploadSession"), session))
}

/// The last piece has come: the drive has the file, unless its name was taken meanwhile.
pub(crate) fn finish(state: &mut State, session: &Session, upload: &Upload, content: Bytes, now: Timestamp) -> Answer<Reply> {
    let writer = Writer { owner: session.owner, by: session.caller, now, searchable: state.visible_from(now) };
    let drive = &mut state.drives[writer.owner];
    let (number, new) = put_at(drive, &upload.at, upload.conflict, Content::Given(content), &writer)?;
    if upload.description.is_some() {
        drive.describe(number, upload.description.clone(), now);
    }
    let drive = &state.drives[writer.owner];
    let item = drive.item(number).ok_or_else(Fault::item_not_found)?;
    let row = ItemRow { users: &state.users, drive, item, downloads: &session.downloads, now, paths: true, found: false };
    let body = row.write(&Selection::from_text(None, &DRIVE_ITEM)?);
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    let status = if new { StatusCode::CREATED } else { StatusCode::OK };
    Ok(Reply { status, headers, body: Bytes::from(Value::Object(body).to_string()) })
}
