//! Calendars and events: what a mailbox has planned, with whom, and when by the clock of which zone.

mod attachments;
mod calendars;
mod delta;
mod given;
mod read;
pub(crate) mod recur;
mod recurrence;
mod respond;
mod route;
mod row;
mod schedule;
mod write;

#[cfg(test)]
mod calendar_tests;
#[cfg(test)]
mod delta_tests;

use super::call::Call;
use super::errors::Fault;
use super::odata::Answer;
use super::store::State;
use crate::wire::Reply;

pub(crate) use attachments::finish as finish_attachment;
pub(crate) use calendars::{CalendarRow, change_calendar, find_calendar, new_calendar, remove_calendar};
pub(crate) use read::open;
pub(crate) use recur::{instant, occurrence};
pub(crate) use recurrence::write as write_recurrence;
pub(crate) use respond::respond_to;
pub(crate) use route::{Part, parse};
pub(crate) use row::{EventRow, find};
pub(crate) use write::{new_event, remove_event, update_event};

/// Answers a `GET`.
pub(crate) fn get(state: &State, call: &Call<'_>, part: &Part) -> Answer<Reply> {
    match part {
        Part::Groups => calendars::groups(state, call),
        Part::Group(id) => calendars::one_group(state, call, id),
        Part::Calendars(group) => calendars::calendars(state, call, group.as_deref()),
        Part::Calendar(id) => calendars::calendar(state, call, id.as_deref()),
        Part::Events(calendar) => read::events(state, call, calendar.as_deref()),
        Part::View(calendar) => read::view(state, call, calendar.as_deref()),
        Part::ViewDelta(calendar) => delta::view(state, call, calendar.as_deref()),
        Part::Event(id) => read::event(state, call, id),
        Part::Instances(id) => read::instances(state, call, id),
        Part::Attachments(id) => attachments::list(state, call, id),
        Part::Attachment(id, attachment) => attachments::get(state, call, id, attachment),
        Part::AttachmentContent(id, attachment) => attachments::content(state, call, id, attachment),
        _ => Err(Fault::method_not_allowed()),
    }
}

/// Answers everything else.
pub(crate) fn change(state: &mut State, call: &Call<'_>, part: &Part) -> Answer<Reply> {
    match (call.request.method.as_str(), part) {
        ("POST", Part::Calendars(group)) => calendars::create(state, call, group.as_deref()),
        ("PATCH", Part::Calendar(id)) => calendars::update(state, call, id.as_deref()),
        ("DELETE", Part::Calendar(id)) => calendars::delete(state, call, id.as_deref()),
        ("POST", Part::Events(calendar)) => write::create(state, call, calendar.as_deref()),
        ("PATCH", Part::Event(id)) => write::update(state, call, id),
        ("DELETE", Part::Event(id)) => write::delete(state, call, id),
        ("POST", Part::Action(id, action)) => respond::act(state, call, id, *action),
        ("POST", Part::Attachments(id)) => attachments::add(state, call, id),
        ("DELETE", Part::Attachment(id, attachment)) => attachments::remove(state, call, id, attachment),
        ("POST", Part::AttachmentUpload(id)) => attachments::begin(state, call, id),
        ("POST", Part::Schedule) => schedule::schedule(state, call),
        ("POST", Part::MeetingTimes) => schedule::meeting_times(state, call),
        _ => Err(Fault::method_not_allowed()),
    }
}
