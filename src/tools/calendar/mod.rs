//! Calendars: what is planned, planning it, answering invitations, and when people are free.
//!
//! Times are asked for in UTC and answered in UTC and by the clocks of the account's owner (`home.rs`, `shown.rs`). What is sent is
//! brought into one form first (`plan.rs`): a moment in the zone the event lives in, so that a series keeps its hour over the changes of
//! the clocks, or a day, which has no zone.
//!
//! **Scopes.** An event does not tell its calendar. A list knows which calendar it is of, so it places what it shows; an event that only
//! `calendar_get_event` has shown has no known place, and a write to it touches the whole service. A list of the default calendar carries
//! its name and its id, and so does one that asks for it by id; so a write that knows only one of the two reaches both. Days of a series
//! lie in their series as in a container: what is done to one day makes the others, and the series, untrue too.

mod calendars;
mod change;
mod delete;
mod events;
mod home;
mod invite;
mod plan;
mod recurrence;
mod schedule;
mod shown;
mod today;

pub(super) use calendars::TOOLS as CALENDARS;
pub(super) use change::TOOLS as CHANGES;
pub(super) use delete::TOOLS as DELETES;
pub(super) use events::TOOLS as EVENTS;
pub(super) use home::clocks;
pub(super) use invite::TOOLS as INVITES;
pub(super) use schedule::TOOLS as SCHEDULE;
pub(super) use shown::{Clocks, brief, event as shown_event};

use serde_json::{Map, Value, json};

use super::{Args, Param, ParamType, StepError, Steps, mailbox::at, named};
use crate::{
    cache::{Scope, Service, Touch, overtaken_searches},
    graph::GraphRequest,
};

/// Times in answers are UTC whatever the mailbox says.
const UTC: &str = "outlook.timezone=\"UTC\"";

/// Longest subject, in characters (Exchange: PidTagSubject).
const SUBJECT: ParamType = ParamType::Text { max: 255 };
/// Longest comment to other people, in characters.
const COMMENT: ParamType = ParamType::Prose { max: 10_000 };
/// Most people of one meeting (Exchange Online limits).
const PEOPLE: ParamType = ParamType::Addresses { max: 500 };

const EVENT_ID: Param = Param::required("event_id", ParamType::Id, "From calendar_list_events.");
const TIMEZONE: Param = Param::optional(
    "timezone",
    ParamType::Zone,
    "null",
    "IANA or Windows name, for times without an offset and local times in the answer; the mailbox's by default.",
);

fn event_id(args: &Args) -> &str {
    args.text("event_id").unwrap_or_default()
}

/// Scopes of the calendar a call names: the one with `calendar_id`, else the default one.
fn calendar_of(args: &Args) -> Scope {
    args.text("calendar_id").map_or_else(named::default_calendar, Scope::calendar)
}

/// What a write to an event touches, from its arguments: the event where it is, and the mail that goes out with it.
fn event_touches(args: &Args) -> Vec<Touch> {
    [Touch::Item(event_id(args).to_owned()), Touch::Scope(Scope::moves(Service::Calendar))].into_iter().chain(mail_goes_out()).collect()
}

/// What answering an invitation touches: Exchange puts the message that brought it into Deleted Items (microsoft-graph-docs#9756). Which
/// message that is, and when it goes, nobody tells.
fn answer_touches(args: &Args) -> Vec<Touch> {
    event_touches(args).into_iter().chain([Touch::Scope(Scope::all(Service::Mail))]).collect()
}

/// Invitations, answers and cancellations leave a copy in Sent Items, some time after the reply.
fn mail_goes_out() -> impl Iterator<Item = Touch> {
    let lists = [named::mail_folder("sentitems"), named::mail_folders_by_id(), Scope::folders()];
    lists.into_iter().chain(overtaken_searches(Service::Mail)).map(Touch::Scope)
}

/// Some properties of the event a call is about, read now.
async fn look(steps: &dyn Steps, args: &Args, fields: &str) -> Result<Value, StepError> {
    let request = GraphRequest::get(&at(args, &["events", event_id(args)])).with("$select", fields).prefer(UTC);
    Ok(steps.send(request).await.map_err(StepError::before)?.body)
}

/// A flag of an event; `usually` when Graph does not tell.
pub(super) fn says(event: &Value, name: &str, usually: bool) -> bool {
    event.get(name).and_then(Value::as_bool).unwrap_or(usually)
}

/// Who is invited.
fn attendees(event: &Value) -> &[Value] {
    event.get("attendees").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// People as `recipient`s.
fn recipients(people: &[&str]) -> Vec<Value> {
    people.iter().map(|address| json!({ "emailAddress": { "address": address } })).collect()
}

/// Adds the comment of a call to the parameters of an action.
fn comment(args: &Args, parameters: &mut Map<String, Value>) {
    if let Some(message) = args.text("message").filter(|message| !message.is_empty()) {
        parameters.insert("comment".into(), message.into());
    }
}
