//! Files and folders: one tree per user, what is in it, what is shared of it, and how bytes go in and out.

mod content;
mod copy;
mod names;
mod read;
mod row;
mod sharing;
mod write;

#[cfg(test)]
mod drive_tests;

use super::call::Call;
use super::errors::Fault;
use super::odata::Answer;
use super::route::{ItemAt, ItemPart};
use super::store::State;
use crate::wire::Reply;

pub(crate) use content::{Upload, finish as finish_upload};
pub(crate) use names::check_name;
pub(crate) use read::{drive, drives};
pub(crate) use row::{Download, ItemRow, download};
pub(crate) use sharing::{add_link, permissions_of};

/// Answers a `GET` of an item.
pub(crate) fn get(state: &State, call: &Call<'_>, at: &ItemAt, part: &ItemPart) -> Answer<Reply> {
    match part {
        ItemPart::Itself => read::item(state, call, at),
        ItemPart::Children => read::children(state, call, at),
        ItemPart::Content => read::content(state, call, at),
        ItemPart::Delta(token) => read::delta(state, call, at, token.as_deref()),
        ItemPart::Search(text) => read::search(state, call, at, text),
        ItemPart::Permissions => sharing::list(state, call, at),
        ItemPart::Permission(id) => sharing::get(state, call, at, id),
        _ => Err(Fault::method_not_allowed()),
    }
}

/// Answers everything else about an item.
pub(crate) fn change(state: &mut State, call: &Call<'_>, at: &ItemAt, part: &ItemPart) -> Answer<Reply> {
    match (call.request.method.as_str(), part) {
        ("POST", ItemPart::Children) => write::create_folder(state, call, at),
        ("PATCH", ItemPart::Itself) => write::update(state, call, at),
        ("DELETE", ItemPart::Itself) => write::delete(state, call, at),
        ("PUT", ItemPart::Content) => content::put(state, call, at),
        ("POST", ItemPart::Copy) => copy::copy(state, call, at),
        ("POST", ItemPart::CreateUploadSession) => content::begin(state, call, at),
        ("POST", ItemPart::Invite) => sharing::invite(state, call, at),
        ("DELETE", ItemPart::Permission(id)) => sharing::delete(state, call, at, id),
        ("POST", ItemPart::CreateLink) => sharing::create_link(state, call, at),
        _ => Err(Fault::method_not_allowed()),
    }
}
