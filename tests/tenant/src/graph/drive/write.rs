//! Changing files: folders, uploads in one piece, renames, moves, copies, deletions, sharing links.

use http::{HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};

use crate::graph::call::Call;
use super::read::{find, open};
use crate::graph::empty;
use crate::graph::errors::Fault;
use crate::graph::odata::{Answer, DRIVE_ITEM, Selection};
use crate::graph::route::ItemAt;
use crate::graph::store::{Content, Drive, Item, Late, ROOT, State};
use crate::seed::prng::mix;
use crate::wire::Reply;

/// Names that OneDrive refuses whole, and characters that it refuses anywhere.
const RESERVED: &[&str] = &[".lock", "con", "prn", "aux", "nul", "desktop.ini"];
const REFUSED: &[char] = &['"', '*', ':', '<', '>', '?', '/', '\\', '|'];
/// The longest name, in characters.
const LONGEST: usize = 255;

/// What to do when the name is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Conflict {
    Fail,
    Rename,
    Replace,
}

impl Conflict {
    fn read(text: Option<&str>, usual: Self) -> Answer<Self> {
        match text {
            None => Ok(usual),
            Some("fail") => Ok(Self::Fail),
            Some("rename") => Ok(Self::Rename),
            Some("replace") => Ok(Self::Replace),
            Some(other) => Err(Fault::invalid_request(format!("The conflict behavior '{other}' is not valid."))),
        }
    }
}

/// A name that OneDrive takes.
pub(crate) fn check_name(name: &str) -> Answer<()> {
    let bad = name.is_empty()
        || name.chars().count() > LONGEST
        || name.contains(REFUSED)
        || name.starts_with(' ')
        || name.ends_with([' ', '.'])
        || RESERVED.contains(&name.to_lowercase().as_str());
    if bad {
        Err(Fault::invalid_request("The provided name cannot contain some of its characters or is reserved or too long."))
    } else {
        Ok(())
    }
}

fn shown(state: &State, call: &Call<'_>, number: u32, status: StatusCode) -> Answer<Reply> {
    let item = call.drive(state).item(number).ok_or_else(Fault::item_not_found)?;
    let body = open(state, call, item).write(&Selection::from_text(None, &DRIVE_ITEM)?);
    Ok(call.json(status, &call.context("/drive/items/$entity"), body))
}

/// The item at an address; refused when `If-Match` names another version of it.
fn target(state: &State, call: &Call<'_>, at: &ItemAt) -> Answer<u32> {
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
    let conflict = Conflict::read(body.get("@microsoft.graph.conflictBehavior").and_then(Value::as_str), Conflict::Fail)?;
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
fn parent_in(drive: &Drive, body: &Map<String, Value>) -> Answer<Option<u32>> {
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
    let conflict = Conflict::read(body.get("@microsoft.graph.conflictBehavior").and_then(Value::as_str), Conflict::Fail)?;
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

/// `PUT …/content`: other bytes for a file, or a new file at a path, its missing folders made on the way.
pub(crate) fn put(state: &mut State, call: &Call<'_>, at: &ItemAt) -> Answer<Reply> {
    let usual = Conflict::Replace;
    let conflict = Conflict::read(call.query.get("@microsoft.graph.conflictBehavior"), usual)?;
    let content = Content::Given(call.request.body.clone());
    let searchable = state.visible_from(call.now);
    if let Ok(item) = find(call.drive(state), at) {
        if item.is_folder() {
            return Err(Fault::invalid_request("A folder has no content."));
        }
        let (parent, name) = (item.parent, item.name.clone());
        match conflict {
            Conflict::Fail => return Err(Fault::name_taken()),
            Conflict::Replace => {
                let number = target(state, call, at)?;
                state.drives[call.owner].write(number, content, call.now, call.caller);
                return shown(state, call, number, StatusCode::OK);
            }
            Conflict::Rename => {
                let drive = &mut state.drives[call.owner];
                let mut item = Item::new(drive.free_name(parent, &name), parent, Some(content), call.now, call.caller);
                item.searchable = searchable;
                let number = drive.add(item);
                drive.place(number);
                return shown(state, call, number, StatusCode::CREATED);
            }
        }
    }
    // Nothing is there: only a path can name what is to be made.
    let path = at.path.clone().ok_or_else(Fault::item_not_found)?;
    if call.if_match().is_some() {
        return Err(Fault::resource_modified());
    }
    let mut parent = find(call.drive(state), &ItemAt { id: at.id.clone(), path: None })?.number;
    let names: Vec<&str> = path.split('/').filter(|name| !name.is_empty()).collect();
    let (last, folders) = names.split_last().ok_or_else(|| Fault::invalid_request("A name is missing."))?;
    for name in &names {
        check_name(name)?;
    }
    let drive = &mut state.drives[call.owner];
    for name in folders {
        let existing = drive.by_path(parent, name).map(|item| (item.number, item.is_folder()));
        parent = match existing {
            Some((number, true)) => number,
            Some((_, false)) => return Err(Fault::name_taken()),
            None => {
                let number = drive.add(Item::new((*name).to_owned(), parent, None, call.now, call.caller));
                drive.place(number);
                number
            }
        };
    }
    let mut item = Item::new((*last).to_owned(), parent, Some(content), call.now, call.caller);
    item.searchable = searchable;
    let number = drive.add(item);
    drive.place(number);
    shown(state, call, number, StatusCode::CREATED)
}

/// `POST …/copy`: 202 and the address of a monitor; the copy appears when the lag has passed.
pub(crate) fn copy(state: &mut State, call: &Call<'_>, at: &ItemAt) -> Answer<Reply> {
    let number = target(state, call, at)?;
    let body = call.body()?;
    let searchable = state.visible_from(call.now);
    let drive = &mut state.drives[call.owner];
    let source = drive.item(number).ok_or_else(Fault::item_not_found)?;
    let parent = parent_in(drive, &body)?.unwrap_or(source.parent);
    let name = body.get("name").and_then(Value::as_str).unwrap_or(&source.name).to_owned();
    check_name(&name)?;
    if number == ROOT || drive.is_within(parent, number) {
        return Err(Fault::invalid_request("A folder cannot be copied into itself."));
    }
    let conflict = Conflict::read(call.query.get("@microsoft.graph.conflictBehavior"), Conflict::Fail)?;
    let name = match conflict {
        _ if !drive.taken(parent, &name, u32::MAX) => name,
        Conflict::Fail => return Err(Fault::name_taken()),
        Conflict::Rename | Conflict::Replace => drive.free_name(parent, &name),
    };
    let copy = drive.copy(number, parent, name, call.now, call.caller).ok_or_else(Fault::item_not_found)?;
    if let Some(item) = drive.items.get_mut(copy as usize).and_then(Option::as_mut) {
        item.searchable = searchable;
    }
    let monitor = format!("{}/monitor/{}/{}", call.request.downloads, call.owner, drive.key.guid(copy));
    state.defer(call.now, Late::Item { drive: call.owner, number: copy });
    let mut reply = empty(StatusCode::ACCEPTED);
    if let Ok(value) = HeaderValue::from_str(&monitor) {
        reply.headers.insert(header::LOCATION, value);
    }
    Ok(reply)
}

/// `POST …/createLink`: the same link again for the same wish.
pub(crate) fn create_link(state: &mut State, call: &Call<'_>, at: &ItemAt) -> Answer<Reply> {
    let number = target(state, call, at)?;
    let drive = call.drive(state);
    let body = call.body()?;
    let kind = body.get("type").and_then(Value::as_str).unwrap_or("view");
    let scope = body.get("scope").and_then(Value::as_str).unwrap_or("anonymous");
    if !matches!(kind, "view" | "edit" | "embed") || !matches!(scope, "anonymous" | "organization" | "users") {
        return Err(Fault::invalid_request("The link type or scope is not valid."));
    }
    if drive.personal && scope == "organization" {
        return Err(Fault::invalid_request("Organization links are not supported for personal accounts."));
    }
    let stamp = format!("{kind}{scope}").bytes().fold(u64::from(number), |state, byte| mix(state ^ u64::from(byte)));
    let host = if drive.personal { "https://1drv.example/u/s!" } else { "https://contoso-my.sharepoint.example/:x:/g/" };
    let role = if kind == "edit" { "write" } else { "read" };
    let link = json!({"type": kind, "scope": scope, "webUrl": format!("{host}{stamp:016x}"), "preventsDownload": false});
    let mut out = Map::new();
    out.insert("id".to_owned(), json!(format!("{:016x}", mix(stamp))));
    out.insert("roles".to_owned(), json!([role]));
    out.insert("shareId".to_owned(), json!(format!("u!{stamp:016x}")));
    out.insert("hasPassword".to_owned(), json!(body.get("password").is_some_and(Value::is_string)));
    out.insert("link".to_owned(), link);
    Ok(call.json(StatusCode::CREATED, &call.plain_context("permission"), out))
}
