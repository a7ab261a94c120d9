//! With whom items are shared: links, invitations, and the list of permissions.

use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::read::find;
use super::row::{identity, reference_path};
use super::write::target;
use crate::graph::call::Call;
use crate::graph::empty;
use crate::graph::errors::Fault;
use crate::graph::odata::Answer;
use crate::graph::route::ItemAt;
use crate::graph::store::{Drive, Item, ROOT, Share, State, With};
use crate::seed::prng::mix;
use crate::wire::Reply;

const KINDS: &[&str] = &["view", "edit", "embed"];
const SCOPES: &[&str] = &["anonymous", "organization", "users"];
const LINK_PARAMETERS: &[&str] =
    &["type", "scope", "password", "expirationDateTime", "message", "retainInheritedPermissions", "sendNotification", "recipients"];

fn owner_id(drive: &Drive) -> String {
    format!("owner-{}", drive.key.guid(ROOT))
}

/// A permission as Graph shows it.
fn write(state: &State, drive: &Drive, share: &Share) -> Map<String, Value> {
    let mut out = Map::new();
    out.insert("id".to_owned(), json!(share.id));
    out.insert("roles".to_owned(), json!([share.role]));
    out.insert("shareId".to_owned(), json!(format!("u!{}", share.id)));
    out.insert("hasPassword".to_owned(), json!(share.password));
    if let Some(expires) = share.expires {
        out.insert("expirationDateTime".to_owned(), json!(expires.to_string()));
    }
    match &share.with {
        With::Link { kind, scope, url } => {
            let mut link = json!({"type": kind, "scope": scope, "webUrl": url, "preventsDownload": false});
            if *kind == "embed" {
                link["webHtml"] =
                    json!(format!("<iframe src=\"{url}\" width=\"98\" height=\"120\" frameborder=\"0\" scrolling=\"no\"></iframe>"));
            }
            out.insert("link".to_owned(), link);
        }
        With::Person { address } => {
            let known = state.users.iter().find(|user| user.username.eq_ignore_ascii_case(address));
            let who = known.map_or_else(|| json!({"user": {"displayName": address, "email": address}}), |user| identity(drive, user));
            out.insert("grantedTo".to_owned(), who.clone());
            out.insert("grantedToV2".to_owned(), who);
            out.insert("invitation".to_owned(), json!({"email": address, "signInRequired": true}));
        }
    }
    out
}

/// All permissions on an item: the owner's, its own, and those of the folders above it.
fn all(state: &State, drive: &Drive, item: &Item) -> Vec<Map<String, Value>> {
    let mut owner = Map::new();
    let user = identity(drive, &state.users[drive.owner]);
    owner.insert("id".to_owned(), json!(owner_id(drive)));
    owner.insert("roles".to_owned(), json!(["owner"]));
    owner.insert("grantedTo".to_owned(), user.clone());
    owner.insert("grantedToV2".to_owned(), user);
    let mut out = vec![owner];
    let mut at = item;
    loop {
        for share in &at.shares {
            let mut row = write(state, drive, share);
            if at.number != item.number {
                let path = reference_path(drive, at.number);
                row.insert("inheritedFrom".to_owned(), json!({"driveId": drive.key.id, "id": drive.key.item(at.number), "path": path}));
            }
            out.push(row);
        }
        match drive.item(at.parent).filter(|_| at.number != ROOT) {
            Some(parent) => at = parent,
            None => return out,
        }
    }
}

/// For the state dump.
pub(crate) fn permissions_of(state: &State, drive: &Drive, item: &Item) -> Value {
    item.shares.iter().map(|share| Value::Object(write(state, drive, share))).collect()
}

/// `GET …/permissions`
pub(crate) fn list(state: &State, call: &Call<'_>, at: &ItemAt) -> Answer<Reply> {
    let drive = call.drive(state);
    let mut out = Map::new();
    out.insert("value".to_owned(), all(state, drive, find(drive, at)?).into_iter().map(Value::Object).collect());
    Ok(call.json(StatusCode::OK, &call.plain_context("Collection(permission)"), out))
}

/// `GET …/permissions/{id}`
pub(crate) fn get(state: &State, call: &Call<'_>, at: &ItemAt, id: &str) -> Answer<Reply> {
    let drive = call.drive(state);
    let found = all(state, drive, find(drive, at)?).into_iter().find(|row| row.get("id").and_then(Value::as_str) == Some(id));
    Ok(call.json(StatusCode::OK, &call.plain_context("permission"), found.ok_or_else(Fault::item_not_found)?))
}

/// `DELETE …/permissions/{id}`: the item's own ones only.
pub(crate) fn delete(state: &mut State, call: &Call<'_>, at: &ItemAt, id: &str) -> Answer<Reply> {
    let number = find(call.drive(state), at)?.number;
    let drive = &mut state.drives[call.owner];
    if id == owner_id(drive) {
        return Err(Fault::invalid_request("The owner's permission cannot be removed."));
    }
    let own = drive.item(number).is_some_and(|item| item.shares.iter().any(|share| share.id == id));
    if !own {
        return Err(Fault::item_not_found());
    }
    drive.share(number, |shares| shares.retain(|share| share.id != id));
    Ok(empty(StatusCode::NO_CONTENT))
}

fn known<'k>(list: &[&'k str], name: &str) -> Option<&'k str> {
    list.iter().find(|known| known.eq_ignore_ascii_case(name)).copied()
}

fn expiry(body: &Map<String, Value>, now: Timestamp) -> Answer<Option<Timestamp>> {
    let Some(text) = body.get("expirationDateTime").filter(|value| !value.is_null()) else {
        return Ok(None);
    };
    let at = text.as_str().and_then(|text| text.parse::<Timestamp>().ok()).filter(|at| *at > now);
    at.map(Some).ok_or_else(|| Fault::invalid_request("The expirationDateTime must be an instant to come."))
}

fn stamp(drive: &Drive, number: u32, parts: &[&str]) -> String {
    let start = mix(drive.key.guid(number).bytes().fold(0, |state, byte| mix(state ^ u64::from(byte))));
    let stamp = parts.iter().flat_map(|part| part.bytes().chain([0])).fold(start, |state, byte| mix(state ^ u64::from(byte)));
    format!("{stamp:016x}")
}

/// Shares an item by a link, the same link for the same wish; whether it was there already. Used by the route and by
/// changes from outside.
pub(crate) fn add_link(
    state: &mut State,
    owner: usize,
    number: u32,
    kind: &str,
    scope: &str,
    password: bool,
    expires: Option<Timestamp>,
) -> Answer<(Share, bool)> {
    let drive = &mut state.drives[owner];
    let (Some(kind), Some(scope)) = (known(KINDS, kind), known(SCOPES, scope)) else {
        return Err(Fault::invalid_request("The link type or scope is not valid."));
    };
    if drive.personal && scope == "organization" {
        return Err(Fault::invalid_request("Organization links are not supported for personal accounts."));
    }
    if !drive.personal && kind == "embed" {
        return Err(Fault::invalid_request("Embed links are only supported for personal accounts."));
    }
    if scope == "anonymous" && !drive.personal && !state.anonymous_links {
        let message = "The organization's policy does not allow links that work for everybody.";
        let mut fault = Fault::new(StatusCode::FORBIDDEN, "accessDenied", message);
        fault.inner = Some("sharingDisabled");
        return Err(fault);
    }
    let id = stamp(drive, number, &[kind, scope, if password { "locked" } else { "" }]);
    let host = if drive.personal { "https://1drv.example/u/s!" } else { "https://contoso-my.sharepoint.example/:x:/g/" };
    let with = With::Link { kind, scope, url: format!("{host}{id}") };
    let share = Share { id, with, role: if kind == "edit" { "write" } else { "read" }, password, expires };
    let there = drive.item(number).is_some_and(|item| item.shares.iter().any(|other| other.id == share.id));
    drive.share(number, |shares| {
        shares.retain(|other| other.id != share.id);
        shares.push(share.clone());
    });
    Ok((share, there))
}

/// `POST …/createLink`: 201 for a new link, 200 for one that was there.
pub(crate) fn create_link(state: &mut State, call: &Call<'_>, at: &ItemAt) -> Answer<Reply> {
    let number = target(state, call, at)?;
    let body = call.body()?;
    if let Some(other) = body.keys().find(|name| !name.starts_with('@') && !LINK_PARAMETERS.contains(&name.as_str())) {
        return Err(Fault::invalid_request(format!("The parameter '{other}' does not exist on 'createLink'.")));
    }
    let usual = if call.drive(state).personal { "anonymous" } else { "organization" };
    let text = |name: &str, usual: &'static str| body.get(name).and_then(Value::as_str).unwrap_or(usual).to_owned();
    let password = body.get("password").is_some_and(Value::is_string);
    let expires = expiry(&body, call.now)?;
    let (share, there) = add_link(state, call.owner, number, &text("type", "view"), &text("scope", usual), password, expires)?;
    let status = if there { StatusCode::OK } else { StatusCode::CREATED };
    Ok(call.json(status, &call.plain_context("permission"), write(state, call.drive(state), &share)))
}

/// `POST …/invite`
pub(crate) fn invite(state: &mut State, call: &Call<'_>, at: &ItemAt) -> Answer<Reply> {
    let number = target(state, call, at)?;
    let body = call.body()?;
    let roles: Vec<&str> = body.get("roles").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    let [role] = roles.as_slice() else {
        return Err(Fault::invalid_request("One role is needed."));
    };
    let role = known(&["read", "write"], role).ok_or_else(|| Fault::invalid_request("The role is not valid."))?;
    let people: Option<Vec<&str>> =
        body.get("recipients").and_then(Value::as_array).and_then(|list| list.iter().map(|who| who["email"].as_str()).collect());
    let people = people.filter(|people| !people.is_empty() && people.iter().all(|who| who.contains('@')));
    let people = people.ok_or_else(|| Fault::invalid_request("At least one recipient with an email is needed."))?;
    let (password, expires) = (body.get("password").is_some_and(Value::is_string), expiry(&body, call.now)?);
    let drive = &mut state.drives[call.owner];
    let shares: Vec<Share> = people
        .into_iter()
        .map(|who| {
            let address = who.to_lowercase();
            Share { id: stamp(drive, number, &["person", &address]), with: With::Person { address }, role, password, expires }
        })
        .collect();
    drive.share(number, |list| {
        list.retain(|other| shares.iter().all(|share| share.id != other.id));
        list.extend(shares.iter().cloned());
    });
    let mut out = Map::new();
    out.insert("value".to_owned(), shares.iter().map(|share| Value::Object(write(state, call.drive(state), share))).collect());
    Ok(call.json(StatusCode::OK, &call.plain_context("Collection(permission)"), out))
}
