//! Reading calendars: masters and singles, single events, instances, and the view of a window.

use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::call::Call;
use super::errors::Fault;
use super::events::{EventRow, find};
use super::odata::{Answer, CALENDAR, EVENT, Limits, Row, Selection, encode, filter::instant as read_instant, list as page_of};
use super::recur::{LONGEST_WINDOW_DAYS, Occurrence, occurrence, occurrences};
use super::store::{Calendar, Event, Mailbox, State};
use crate::seed::ids::{IdKind, looks_like_exchange_id};
use crate::seed::{Kind, User};
use crate::wire::Reply;

const LIMITS: Limits = Limits { usual: 10, most: 1_000, strict_order: false, falling: None };
/// The mailbox's own calendar.
const OWN: u32 = 0;

struct CalendarRow<'a> {
    mailbox: &'a Mailbox,
    calendar: &'a Calendar,
    owner: &'a User,
}

impl Row for CalendarRow<'_> {
    fn property(&self, name: &str) -> Option<Value> {
        let calendar = self.calendar;
        let own = calendar.number == OWN;
        let provider = if self.owner.kind == Kind::Personal { "skypeForConsumer" } else { "teamsForBusiness" };
        Some(match name {
            "id" => json!(self.mailbox.calendar_id(calendar.number)),
            "name" => json!(calendar.name),
            "color" => json!(calendar.color),
            "hexColor" => json!(""),
            "isDefaultCalendar" => json!(own),
            "changeKey" => json!(self.mailbox.key.change_key(calendar.sequence)),
            "canShare" | "canViewPrivateItems" | "canEdit" => json!(true),
            "allowedOnlineMeetingProviders" => json!([provider]),
            "defaultOnlineMeetingProvider" => json!(provider),
            "isTallyingResponses" => json!(own),
            "isRemovable" => json!(!own),
            "owner" => json!({"name": self.owner.display_name, "address": self.owner.username}),
            _ => return None,
        })
    }
}

/// The calendar with this id, or the mailbox's own.
pub(crate) fn find_calendar(mailbox: &Mailbox, id: Option<&str>) -> Answer<u32> {
    let Some(id) = id else { return Ok(OWN) };
    let Some(named) = mailbox.key.decode(id).filter(|named| named.kind == IdKind::Calendar) else {
        return Err(if looks_like_exchange_id(id) { Fault::item_gone() } else { Fault::malformed_id() });
    };
    mailbox.calendar(named.number).map(|calendar| calendar.number).ok_or_else(Fault::item_gone)
}

/// `GET …/calendars`
pub(crate) fn calendars(state: &State, call: &Call<'_>) -> Answer<Reply> {
    let mailbox = call.mailbox(state);
    let owner = &state.users[call.owner];
    let numbers: Vec<u32> = mailbox.calendars.iter().flatten().map(|calendar| calendar.number).collect();
    let selection = Selection::parse(&call.query, &CALENDAR)?;
    let row = |n: u32| mailbox.calendar(n).map(|calendar| CalendarRow { mailbox, calendar, owner });
    let write = |row: &CalendarRow<'_>| {
        let mut out = Map::new();
        selection.write(row, &mut out);
        Value::Object(out)
    };
    let body = page_of(&numbers, &call.query, &CALENDAR, LIMITS, &call.address(), row, write)?;
    Ok(call.json(StatusCode::OK, &call.context(&format!("/calendars{}", selection.context())), body))
}

/// `GET …/calendar`, `GET …/calendars/{id}`
pub(crate) fn calendar(state: &State, call: &Call<'_>, id: Option<&str>) -> Answer<Reply> {
    let mailbox = call.mailbox(state);
    let number = find_calendar(mailbox, id)?;
    let calendar = mailbox.calendar(number).ok_or_else(Fault::item_gone)?;
    let selection = Selection::parse(&call.query, &CALENDAR)?;
    let mut out = Map::new();
    selection.write(&CalendarRow { mailbox, calendar, owner: &state.users[call.owner] }, &mut out);
    let place = if id.is_some() { "calendars" } else { "calendar" };
    Ok(call.json(StatusCode::OK, &call.context(&format!("/{place}{}/$entity", selection.context())), out))
}

fn open<'a>(call: &'a Call<'_>, mailbox: &'a Mailbox, event: &'a Event, occurrence: Option<Occurrence>) -> EventRow<'a> {
    let (immutable, text, zone) = (call.view.immutable, call.view.text, call.view.zone.as_ref());
    EventRow { mailbox, event, occurrence, immutable, text, zone }
}

fn place(calendar: Option<&str>) -> String {
    calendar.map(|id| format!("/calendars('{}')", encode(id))).unwrap_or_default()
}

/// `GET …/events`, of one calendar: singles and masters.
pub(crate) fn events(state: &State, call: &Call<'_>, calendar: Option<&str>) -> Answer<Reply> {
    let mailbox = call.mailbox(state);
    let number = find_calendar(mailbox, calendar)?;
    let numbers: Vec<u32> = mailbox.events.iter().flatten().filter(|event| event.calendar == number).map(|event| event.number).collect();
    let selection = Selection::parse(&call.query, &EVENT)?;
    let row = |n: u32| mailbox.event(n).map(|event| open(call, mailbox, event, None));
    let write = |row: &EventRow<'_>| Value::Object(row.write(&selection));
    let body = page_of(&numbers, &call.query, &EVENT, LIMITS, &call.address(), row, write)?;
    Ok(call.json(StatusCode::OK, &call.context(&format!("{}/events{}", place(calendar), selection.context())), body))
}

/// `GET …/events/{id}`, of a single, a master, an occurrence or an exception.
pub(crate) fn event(state: &State, call: &Call<'_>, id: &str) -> Answer<Reply> {
    let mailbox = call.mailbox(state);
    let (event, day) = find(mailbox, id)?;
    let row = open(call, mailbox, event, day.map(|day| occurrence(event, day)));
    let selection = Selection::parse(&call.query, &EVENT)?;
    Ok(call.json(StatusCode::OK, &call.context(&format!("/events{}/$entity", selection.context())), row.write(&selection)))
}

/// The window in `startDateTime` and `endDateTime`; without an offset they are UTC.
fn window(call: &Call<'_>) -> Answer<(Timestamp, Timestamp)> {
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
    found.sort_by_cached_key(|(event, o)| (super::recur::instant(&o.start), event.number));
    let indexes: Vec<usize> = (0..found.len()).collect();
    let row = |index: usize| found.get(index).map(|(event, o)| open(call, mailbox, event, o.day.is_some().then(|| o.clone())));
    let write = |row: &EventRow<'_>| Value::Object(row.write(&selection));
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
