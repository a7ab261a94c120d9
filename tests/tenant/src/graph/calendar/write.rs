//! Changing events: new ones and series, updates of one or of a whole series, deletions.

use http::StatusCode;
use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::{Map, Value};

use super::calendars::find_calendar;
use super::given::{Given, check_times, wrong};
use super::read::open;
use super::recur::occurrence;
use super::recurrence;
use super::row::find;
use crate::graph::call::Call;
use crate::graph::empty;
use crate::graph::errors::Fault;
use crate::graph::marks;
use crate::graph::odata::{Answer, EVENT, Selection};
use crate::graph::store::{Event, Late, Marked, State, address, status};
use crate::seed::people::Address;
use crate::seed::prng::mix;
use crate::wire::Reply;

fn all_day(data: &Map<String, Value>) -> Option<bool> {
    data.get("isAllDay").and_then(Value::as_bool)
}

/// Lets the attendees know, when somebody is to know.
pub(super) fn tell(state: &mut State, owner: usize, number: u32, now: Timestamp) {
    state.defer(now, Late::Invitation { mailbox: owner, number, at: now });
}

/// Makes an event from a body; used by the route and by changes from outside.
pub(crate) fn new_event(state: &mut State, owner: usize, calendar: u32, body: Map<String, Value>, now: Timestamp) -> Answer<u32> {
    let given = Given::parse(body, now)?;
    let start = given.start.ok_or_else(|| wrong("start"))?;
    let end = given.end.ok_or_else(|| wrong("end"))?;
    check_times(&start, &end, all_day(&given.data).unwrap_or(false))?;
    let recurrence = given.recurrence.as_ref().map_or(Ok(None), |value| recurrence::read(value, &start))?;
    let searchable = state.visible_from(now);
    let user = &state.users[owner];
    let me = Address::new(&user.display_name, &user.username);
    let mailbox = &mut state.mailboxes[owner];
    // The same transaction id twice is the same event: a client that lost the first answer may ask again.
    if let Some(transaction) = given.data.get("transactionId").filter(|t| t.is_string())
        && let Some(known) = mailbox.events.iter().flatten().find(|event| event.data.get("transactionId") == Some(transaction))
    {
        return Ok(known.number);
    }
    let stamp = mailbox.key.guid().bytes().fold(mix(mailbox.sequence), |state, byte| mix(state ^ u64::from(byte)));
    let mut data = Event::blank(&me, true, stamp);
    data.extend(given.data);
    let mut event = Event::at(start, end, data, now);
    event.calendar = calendar;
    event.searchable = searchable;
    event.recurrence = recurrence;
    event.attachments = given.attachments;
    let number = mailbox.add_event(event);
    tell(state, owner, number, now);
    Ok(number)
}

/// An event as the answer to a write.
pub(crate) fn shown(state: &State, call: &Call<'_>, number: u32, day: Option<Date>, status: StatusCode) -> Answer<Reply> {
    let mailbox = call.mailbox(state);
    let event = mailbox.event(number).ok_or_else(Fault::item_gone)?;
    let row = open(call, mailbox, event, day.map(|day| occurrence(event, day)));
    Ok(call.json(status, &call.context("/events/$entity"), row.write(&Selection::from_text(None, &EVENT)?)))
}

/// `POST …/events`, into one calendar.
pub(crate) fn create(state: &mut State, call: &Call<'_>, calendar: Option<&str>) -> Answer<Reply> {
    let calendar = find_calendar(call.mailbox(state), calendar)?;
    let mut body = call.body()?;
    let marks = marks::take(&mut body)?;
    let number = new_event(state, call.owner, calendar, body, call.now)?;
    marks::put(&mut state.mailboxes[call.owner], Marked::Event(number), marks);
    shown(state, call, number, None, StatusCode::CREATED)
}

/// The event with this id; refused when `If-Match` names another version.
pub(crate) fn target(state: &State, call: &Call<'_>, id: &str) -> Answer<(u32, Option<Date>)> {
    let mailbox = call.mailbox(state);
    let (event, day) = find(mailbox, id)?;
    let tag = format!("W/\"{}\"", mailbox.key.change_key(event.sequence));
    if call.if_match().is_some_and(|wanted| wanted != tag) { Err(Fault::conflict()) } else { Ok((event.number, day)) }
}

/// `PATCH …/events/{id}`: an event, a whole series, or one day of it, which becomes an exception.
pub(crate) fn update(state: &mut State, call: &Call<'_>, id: &str) -> Answer<Reply> {
    let (number, day) = target(state, call, id)?;
    let mut body = call.body()?;
    let marks = marks::take(&mut body)?;
    update_event(state, call.owner, number, day, body, call.now)?;
    marks::put(&mut state.mailboxes[call.owner], Marked::Event(number), marks);
    shown(state, call, number, day, StatusCode::OK)
}

/// Changes an event or one day of it; used by the route and by changes from outside.
pub(crate) fn update_event(
    state: &mut State,
    owner: usize,
    number: u32,
    day: Option<Date>,
    body: Map<String, Value>,
    now: Timestamp,
) -> Answer<()> {
    let mut given = Given::parse(body, now)?;
    if !given.attachments.is_empty() {
        let message = "Set action is invalid for property. Property 'attachments'.";
        return Err(Fault::new(StatusCode::BAD_REQUEST, "ErrorInvalidPropertySet", message));
    }
    let event = state.mailboxes[owner].event(number).ok_or_else(Fault::item_gone)?;
    keep_answers(event, &mut given.data);
    let searchable = state.visible_from(now);
    let usually_all_day = all_day(&event.data).unwrap_or(false);
    match day {
        Some(day) => {
            if given.recurrence.is_some_and(|value| !value.is_null()) {
                return Err(wrong("recurrence"));
            }
            let mut exception = event.exceptions.get(&day).cloned().unwrap_or_else(|| event.planned(day));
            exception.start = given.start.unwrap_or(exception.start);
            exception.end = given.end.unwrap_or(exception.end);
            let whole = all_day(&given.data).or_else(|| all_day(&exception.data)).unwrap_or(usually_all_day);
            check_times(&exception.start, &exception.end, whole)?;
            exception.data.extend(given.data);
            state.mailboxes[owner].change_event(number, now, |event| {
                event.exceptions.insert(day, exception);
            });
        }
        None => {
            let start = given.start.unwrap_or_else(|| event.start.clone());
            let end = given.end.unwrap_or_else(|| event.end.clone());
            check_times(&start, &end, all_day(&given.data).unwrap_or(usually_all_day))?;
            let series = match &given.recurrence {
                Some(value) => recurrence::read(value, &start)?,
                None => event.recurrence.clone(),
            };
            state.mailboxes[owner].change_event(number, now, |event| {
                let moved = event.recurrence != series || event.start != start;
                let again = moved || event.end != end;
                if moved {
                    // A series that is put elsewhere forgets what was special about its days.
                    event.exceptions.clear();
                    event.cancelled.clear();
                }
                event.searchable = searchable;
                event.start = start;
                event.end = end;
                event.recurrence = series;
                event.data.extend(given.data);
                if again && event.is_organizers() {
                    ask_again(event);
                }
            });
        }
    }
    if state.mailboxes[owner].event(number).is_some_and(Event::is_organizers) {
        tell(state, owner, number, now);
    }
    Ok(())
}

/// Who was invited before keeps the answer that was given.
fn keep_answers(event: &Event, given: &mut Map<String, Value>) {
    let known = event.data.get("attendees").and_then(Value::as_array);
    for attendee in given.get_mut("attendees").and_then(Value::as_array_mut).into_iter().flatten() {
        let who = address(attendee).to_owned();
        let same = |other: &&Value| address(other).eq_ignore_ascii_case(&who);
        if let Some(before) = known.and_then(|known| known.iter().find(same)) {
            for name in ["status", "proposedNewTime"] {
                if let Some(value) = before.get(name) {
                    attendee[name] = value.clone();
                }
            }
        }
    }
}

/// A meeting at another time wants new answers.
fn ask_again(event: &mut Event) {
    for attendee in event.data.get_mut("attendees").and_then(Value::as_array_mut).into_iter().flatten() {
        attendee["status"] = status("none", None);
        if let Some(fields) = attendee.as_object_mut() {
            fields.remove("proposedNewTime");
        }
    }
}

/// `DELETE …/events/{id}`: an event, a whole series, or one day of it. The attendees of an organizer's event get word.
pub(crate) fn delete(state: &mut State, call: &Call<'_>, id: &str) -> Answer<Reply> {
    let (number, day) = target(state, call, id)?;
    remove_event(state, call.owner, number, day, call.now);
    Ok(empty(StatusCode::NO_CONTENT))
}

/// Deletes an event or one day of it; used by the routes and by changes from outside.
pub(crate) fn remove_event(state: &mut State, owner: usize, number: u32, day: Option<Date>, now: Timestamp) {
    let mailbox = &mut state.mailboxes[owner];
    let organizers = mailbox.event(number).is_some_and(Event::is_organizers);
    match day {
        Some(day) => mailbox.change_event(number, now, |event| {
            event.exceptions.remove(&day);
            event.cancelled.insert(day);
        }),
        None => mailbox.remove_event(number),
    }
    if organizers {
        tell(state, owner, number, now);
    }
}
