//! Changing items: new folders, renames, moves, deletions.

use http::StatusCode;
use serde_json::{Map, Value};

use super::names::{check_name, check_path, conflict};
use super::read::{find, open};
use crate::graph::call::Call;
use crate::graph::empty;
use crate::graph::errors::Fault;
use crate::graph::odata::{Answer, DRIVE_ITEM, Selection};
use crate::graph::route::ItemAt;
use crate::graph::store::{Conflict, Drive, Item, ROOT, State};
use crate::wire::Reply;

/// An item as the answer to a write.
pub(super) fn shown(state: &State, call: &Call<'_>, number: u32, status: StatusCode) -> Answer<Reply> {
    let item = call.drive(state).item(number).ok_or_else(Fault::item_not_found)?;
    let body = open(state, call, item).write(&Selection::from_text(None, &DRIVE_ITEM)?);
    Ok(call.json(status, &call.context("/drive/items/$entity"), body))
}

/// The item at an address; refused when `If-Match` names another version of it.
pub(super) fn target(state: &State, call: &Call<'_>, at: &ItemAt) -> Answer<u32> {
    let item = find(call.drive(state), at)?;
    let (tag, content_tag) = {
        let key = &call.drive(state).key;
        (key.etag(item.number, item.version), key.ctag(item.number, item.content_version))
    };
    if call.if_match().is_some_and(|wanted| wanted != tag && wanted != content_tag) {
        return Err(Fault::resource_modified());
    }
    Ok(item.number)
}

/// `POST …/children`: a folder.
pub(crate) fn create_folder(state: &mut State, call: &Call<'_>, at: &ItemAt) -> Answer<Reply> {
    let parent = find(call.drive(state), at)?;
    if !parent.is_folder() {
        return Err(Fault::invalid_request("The parent is not a folder."));
    }
    let parent = parent.number;
    let body = call.body()?;
    if !body.get("folder").is_some_and(Value::is_object) {
        return Err(Fault::invalid_request("The request must have a 'folder' facet."));
    }
    let name = body.get("name").and_then(Value::as_str).unwrap_or("").to_owned();
    check_name(&name)?;
    check_path(call.drive(state), parent, &name)?;
    let conflict = conflict(body.get("@microsoft.graph.conflictBehavior").and_then(Value::as_str), Conflict::Fail)?;
    let searchable = state.visible_from(call.now);
    let drive = &mut state.drives[call.owner];
    let name = match conflict {
        _ if !drive.taken(parent, &name, u32::MAX) => name,
        Conflict::Fail => return Err(Fault::name_taken()),
        Conflict::Rename => drive.free_name(parent, &name),
        Conflict::Replace => {
            let existing = drive.by_path(parent, &name).filter(|item| item.is_folder()).map(|item| item.number);
            return existing.map_or_else(|| Err(Fault::name_taken()), |number| shown(state, call, number, StatusCode::OK));
        }
    };
    let mut item = Item::new(name, parent, None, call.now, call.caller);
    item.searchable = searchable;
    let number = drive.add(item);
    drive.place(number);
    shown(state, call, number, StatusCode::CREATED)
}

/// The folder in a `parentReference`.
pub(super) fn parent_in(drive: &Drive, body: &Map<String, Value>) -> Answer<Option<u32>> {
    let Some(reference) = body.get("parentReference") else {
        return Ok(None);
    };
    if reference.get("driveId").and_then(Value::as_str).is_some_and(|id| !id.eq_ignore_ascii_case(&drive.key.id)) {
        return Err(Fault::invalid_request("Moving or copying between drives is not supported here."));
    }
    let item = match (reference.get("id").and_then(Value::as_str), reference.get("path").and_then(Value::as_str)) {
        (Some(id), _) => drive.by_id(id),
        (None, Some(path)) => {
            let below =
                path.split_once("root:").map(|(_, below)| percent_encoding::percent_decode_str(below).decode_utf8_lossy().into_owned());
            below.and_then(|below| drive.by_path(ROOT, &below))
        }
        (None, None) => {
            return Err(Fault::invalid_request("The 'parentReference' must have an 'id' or a 'path'."));
        }
    };
    let item = item.ok_or_else(Fault::item_not_found)?;
    if item.is_folder() { Ok(Some(item.number)) } else { Err(Fault::invalid_request("The destination is not a folder.")) }
}

/// `PATCH …/items/{id}`: another name, another parent, another description.
pub(crate) fn update(state: &mut State, call: &Call<'_>, at: &ItemAt) -> Answer<Reply> {
    let number = target(state, call, at)?;
    let body = call.body()?;
    if let Some(unknown) = body.keys().find(|name| !name.starts_with('@') && DRIVE_ITEM.kind(name).is_none()) {
        return Err(Fault::invalid_request(format!("The property '{unknown}' does not exist on type 'microsoft.graph.driveItem'.")));
    }
    let conflict = conflict(body.get("@microsoft.graph.conflictBehavior").and_then(Value::as_str), Conflict::Fail)?;
    let searchable = state.visible_from(call.now);
    let drive = &mut state.drives[call.owner];
    let item = drive.item(number).ok_or_else(Fault::item_not_found)?;
    let parent = parent_in(drive, &body)?.unwrap_or(item.parent);
    let mut name = body.get("name").and_then(Value::as_str).unwrap_or(&item.name).to_owned();
    let relocated = parent != item.parent || name != item.name;
    if relocated {
        if number == ROOT {
            return Err(Fault::new(StatusCode::FORBIDDEN, "notAllowed", "The root cannot be renamed or moved."));
        }
        check_name(&name)?;
        check_path(drive, parent, &name)?;
        if drive.is_within(parent, number) {
            return Err(Fault::invalid_request("A folder cannot be moved into itself."));
        }
        if drive.taken(parent, &name, number) {
            match conflict {
                Conflict::Fail => return Err(Fault::name_taken()),
                Conflict::Rename => name = drive.free_name(parent, &name),
                Conflict::Replace => {
                    let other = drive.by_path(parent, &name).map(|item| item.number);
                    other.into_iter().for_each(|other| drive.remove(other));
                }
            }
        }
        drive.relocate(number, parent, &name, call.now, call.caller).map_err(|_| Fault::name_taken())?;
        if let Some(item) = drive.items.get_mut(number as usize).and_then(Option::as_mut) {
            item.searchable = searchable;
        }
    }
    if let Some(description) = body.get("description") {
        drive.describe(number, description.as_str().map(str::to_owned), call.now);
    }
    shown(state, call, number, StatusCode::OK)
}

/// `DELETE …/items/{id}`
pub(crate) fn delete(state: &mut State, call: &Call<'_>, at: &ItemAt) -> Answer<Reply> {
    let number = target(state, call, at)?;
    if number == ROOT {
        return Err(Fault::new(StatusCode::FORBIDDEN, "notAllowed", "The root cannot be deleted."));
    }
    state.drives[call.owner].remove(number);
    Ok(empty(StatusCode::NO_CONTENT))
}
