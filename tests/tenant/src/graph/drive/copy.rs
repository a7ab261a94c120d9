//! Copies: begun at once, made a little later, and watched through a monitor that needs no token.

use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use super::names::{check_name, check_path, conflict};
use super::write::{parent_in, target};
use crate::graph::call::Call;
use crate::graph::empty;
use crate::graph::errors::Fault;
use crate::graph::odata::Answer;
use crate::graph::route::ItemAt;
use crate::graph::store::{Conflict, Copy, Copying, Late, State};
use crate::seed::prng::Prng;
use crate::wire::Reply;

/// Where monitors lie on the download port.
pub(super) const MONITORS: &str = "monitor/";

/// `POST …/copy`: 202 and the address of a monitor. Whether the name is taken turns out when the copy is made.
pub(crate) fn copy(state: &mut State, call: &Call<'_>, at: &ItemAt) -> Answer<Reply> {
    let number = target(state, call, at)?;
    let body = call.body()?;
    if let Some(other) = body.keys().find(|name| !name.starts_with('@') && !["name", "parentReference"].contains(&name.as_str())) {
        return Err(Fault::invalid_request(format!("The parameter '{other}' is not supported here.")));
    }
    let searchable = state.visible_from(call.now);
    let drive = &mut state.drives[call.owner];
    let source = drive.item(number).ok_or_else(Fault::item_not_found)?;
    let parent = parent_in(drive, &body)?.unwrap_or(source.parent);
    let name = body.get("name").and_then(Value::as_str).unwrap_or(&source.name).to_owned();
    check_name(&name)?;
    check_path(drive, parent, &name)?;
    if drive.is_within(parent, number) {
        return Err(Fault::invalid_request("A folder cannot be copied into itself."));
    }
    let conflict = conflict(call.query.get("@microsoft.graph.conflictBehavior"), Conflict::Fail)?;
    let item = drive.copy(number, parent, name, call.now, call.caller).ok_or_else(Fault::item_not_found)?;
    if let Some(item) = drive.items.get_mut(item as usize).and_then(Option::as_mut) {
        item.searchable = searchable;
    }
    let index = state.copies.len();
    let id = Prng::new(index as u64, &call.request.user).guid();
    let monitor = format!("{}/{MONITORS}{id}", call.request.downloads);
    state.copies.push(Copy::new(call.owner, item, conflict, id));
    state.defer(call.now, Late::Copy(index));
    let mut reply = empty(StatusCode::ACCEPTED);
    reply.headers.extend(HeaderValue::from_str(&monitor).ok().map(|monitor| (header::LOCATION, monitor)));
    Ok(reply)
}

/// What the monitor of this name says: 202 while the copy is being made, then 200.
pub(super) fn monitor(state: &State, id: &str) -> Option<(StatusCode, Value)> {
    let copy = state.copies.iter().find(|copy| copy.id == id)?;
    let body = |status: &str, percent: f64| json!({"operation": "ItemCopy", "percentageComplete": percent, "status": status});
    Some(match copy.ask() {
        Copying::Running => (StatusCode::ACCEPTED, body("inProgress", 27.8)),
        Copying::Done => {
            let mut out = body("completed", 100.0);
            out["resourceId"] = json!(state.drives[copy.drive].key.item(copy.item));
            (StatusCode::OK, out)
        }
        Copying::Failed(code) => {
            let mut out = body("failed", 0.0);
            let message = match code {
                "nameAlreadyExists" => "Name already exists",
                _ => "Item not found",
            };
            out["error"] = json!({"code": code, "message": message});
            out["statusDescription"] = json!(message);
            (StatusCode::OK, out)
        }
    })
}
