//! Reading events: single ones, singles and masters, instances, and the view of a window.

use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::attachments::holder;
use super::calendars::{LIMITS, find_calendar};
use super::recur::{LONGEST_WINDOW_DAYS, Occurrence, instant, occurrence, occurrences};
use super::row::{EventRow, find};
use crate::graph::call::Call;
use crate::graph::errors::Fault;
use crate::graph::odata::{Answer, EVENT, Expand, Selection, encode, filter::instant as read_instant, list as page_of};
use crate::graph::store::{Event, Mailbox, Marked, State};
use crate::wire::Reply;

/// An event as the caller wants to see it.
pub(crate) fn open<'a>(call: &'a Call<'_>, mailbox: &'a Mailbox, event: &'a Event, occurrence: Option<Occurrence>) -> EventRow<'a> {
    let (immutable, text, zone) = (call.view.immutable, call.view.text, call.view.zone.as_ref());
    EventRow { mailbox, event, occurrence, immutable, text, zone }
}

pub(super) fn place(calendar: Option<&str>) -> String {
    calendar.map(|id| format!("/calendars('{}')", encode(id))).unwrap_or_default()
}

/// A row with what `$expand` wants of it.
fn write(call: &Call<'_>, row: &EventRow<'_>, selection: &Selection, expand: &Expand) -> Map<String, Value> {
    let mut out = row.write(selection);
    if let Some(selection) = &expand.attachments {
        let holder = holder(call, row.mailbox, row.event);
        let list = holder.list.iter().map(|file| Value::Object(holder.write(file, selection, None)));
        out.insert("attachments".to_owned(), list.collect());
    }
    let place = format!("{}('{}')", expand.context, encode(&row.id()));
    expand.marks.write(row.mailbox, Marked::Event(row.event.number), &place, &mut out);
    out
}

/// `GET …/events`, of one calendar: singles and masters.
pub(crate) fn events(state: &State, call: &Call<'_>, calendar: Option<&str>) -> Answer<Reply> {
    let mailbox = call.mailbox(state);
    let number = find_calendar(mailbox, calendar)?;
    let numbers: Vec<u32> = mailbox.events.iter().flatten().filter(|event| event.calendar == number).map(|event| event.number).collect();
    let selection = Selection::parse(&call.query, &EVENT)?;
    let row = |n: u32| mailbox.event(n).map(|event| open(call, mailbox, event, None));
    let expand = Expand::parse(&call.query, &EVENT, call.context("/events"))?;
    let write = |row: &EventRow<'_>| Value::Object(write(call, row, &selection, &expand));
    let body = page_of(&numbers, &call.query, &EVENT, LIMITS, &call.address(), row, write)?;
    Ok(call.json(StatusCode::OK, &call.context(&format!("{}/events{}", place(calendar), selection.context())), body))
}

/// `GET …/events/{id}`, of a single, a master, an occurrence or an exception.
pub(crate) fn event(state: &State, call: &Call<'_>, id: &str) -> Answer<Reply> {
    let mailbox = call.mailbox(state);
    let (event, day) = find(mailbox, id)?;
    let row = open(call, mailbox, event, day.map(|day| occurrence(event, day)));
    let selection = Selection::parse(&call.query, &EVENT)?;
    let body = write(call, &row, &selection, &Expand::parse(&call.query, &EVENT, call.context("/events"))?);
    Ok(call.json(StatusCode::OK, &call.context(&format!("/events{}/$entity", selection.context())), body))
}

/// The window in `startDateTime` and `endDateTime`; without an offset they are UTC.
pub(super) fn window(call: &Call<'_>) -> Answer<(Timestamp, Timestamp)> {
    let (Some(from), Some(to)) = (call.query.get("startDateTime"), call.query.get("endDateTime")) else {
        let message = "This request requires a time window specified by the query string parameters StartDateTime and EndDateTime.";
        return Err(Fault::new(StatusCode::BAD_REQUEST, "ErrorInvalidParameter", message));
    };
    // A `+` of an offset that was not encoded has become a space on the way.
    let read = |text: &str, name: &str| {
        read_instant(&text.replace(' ', "+")).ok_or_else(|| {
            Fault::new(StatusCode::BAD_REQUEST, "ErrorInvalidParameter", format!("The value '{text}' of parameter '{name}' is invalid."))
        })
    };
    let (from, to) = (read(from, "StartDateTime")?, read(to, "EndDateTime")?);
    if to < from {
        return Err(Fault::new(StatusCode::BAD_REQUEST, "ErrorInvalidParameter", "EndDateTime must be later than StartDateTime."));
    }
    if (to - from).get_seconds() > LONGEST_WINDOW_DAYS * 86_400 {
        let message = format!(
            "Your request can't be completed. The range between the start and end dates is greater than the allowed range. Maximum number of days: {LONGEST_WINDOW_DAYS}"
        );
        return Err(Fault::new(StatusCode::BAD_REQUEST, "ErrorCalendarViewRangeTooBig", message));
    }
    Ok((from, to))
}

/// Pages through happenings, in the order of their starts unless another one is asked for.
fn happenings(call: &Call<'_>, mailbox: &Mailbox, mut found: Vec<(&Event, Occurrence)>, context: &str) -> Answer<Reply> {
    let selection = Selection::parse(&call.query, &EVENT)?;
    found.sort_by_cached_key(|(event, o)| (instant(&o.start), event.number));
    let indexes: Vec<usize> = (0..found.len()).collect();
    let row = |index: usize| found.get(index).map(|(event, o)| open(call, mailbox, event, o.day.is_some().then(|| o.clone())));
    let expand = Expand::parse(&call.query, &EVENT, call.context("/events"))?;
    let write = |row: &EventRow<'_>| Value::Object(write(call, row, &selection, &expand));
    let body = page_of(&indexes, &call.query, &EVENT, LIMITS, &call.address(), row, write)?;
    Ok(call.json(StatusCode::OK, &call.context(&format!("{context}{}", selection.context())), body))
}

/// `GET …/calendarView`, of one calendar: everything that happens in a window, series expanded.
pub(crate) fn view(state: &State, call: &Call<'_>, calendar: Option<&str>) -> Answer<Reply> {
    let mailbox = call.mailbox(state);
    let number = find_calendar(mailbox, calendar)?;
    let (from, to) = window(call)?;
    let found = mailbox
        .events
        .iter()
        .flatten()
        .filter(|event| event.calendar == number)
        .flat_map(|event| occurrences(event, from, to).into_iter().map(move |o| (event, o)))
        .collect();
    happenings(call, mailbox, found, &format!("{}/calendarView", place(calendar)))
}

/// `GET …/events/{id}/instances`
pub(crate) fn instances(state: &State, call: &Call<'_>, id: &str) -> Answer<Reply> {
    let mailbox = call.mailbox(state);
    let (event, _) = find(mailbox, id)?;
    let (from, to) = window(call)?;
    let found = occurrences(event, from, to).into_iter().filter(|o| o.day.is_some()).map(|o| (event, o)).collect();
    happenings(call, mailbox, found, &format!("/events('{}')/instances", encode(id)))
}
