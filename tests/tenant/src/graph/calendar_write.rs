//! Changing calendars: new events and series, updates of one or of a whole series, deletions.

use http::StatusCode;
use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Weekday};
use serde_json::{Map, Value, json};

use super::calendar::find_calendar;
use super::call::Call;
use super::contacts::writable;
use super::errors::Fault;
use super::events::{EventRow, WEEKDAYS, find};
use super::odata::{Answer, EVENT, Selection};
use super::recur::{instant, occurrence};
use super::store::{Event, Exception, Moment, Pattern, Recurrence, RecurrenceEnd, State};
use super::zones;
use crate::seed::people::Address;
use crate::seed::prng::mix;
use crate::wire::Reply;

const FIXED: &[&str] = &[
    "id",
    "createdDateTime",
    "lastModifiedDateTime",
    "changeKey",
    "iCalUId",
    "bodyPreview",
    "webLink",
    "seriesMasterId",
    "type",
    "isOrganizer",
    "responseStatus",
    "originalStartTimeZone",
    "originalEndTimeZone",
    "isCancelled",
    "onlineMeeting",
    "hasAttachments",
    "originalStart",
];

fn wrong(name: &str) -> Box<Fault> {
    let message = format!("The value of property '{name}' is missing or not valid.");
    Fault::new(StatusCode::BAD_REQUEST, "ErrorPropertyValidationFailure", message)
}

/// Reads a `dateTimeTimeZone`.
fn moment(value: &Value, name: &str) -> Answer<Moment> {
    let text = value.get("dateTime").and_then(Value::as_str).ok_or_else(|| wrong(name))?;
    let zone = value.get("timeZone").and_then(Value::as_str).unwrap_or("UTC");
    if zones::find(zone).is_none() {
        let message = format!("A valid TimeZone value must be specified. The following TimeZone value is not supported: '{zone}'.");
        return Err(Fault::new(StatusCode::BAD_REQUEST, "TimeZoneNotSupportedException", message));
    }
    let at = match text.parse::<Timestamp>() {
        // With an offset it is an instant, whatever the zone says.
        Ok(at) => zones::find(zone).unwrap_or(jiff::tz::TimeZone::UTC).to_datetime(at),
        Err(_) => text.parse::<DateTime>().map_err(|_| wrong(name))?,
    };
    Ok(Moment { at, zone: zone.to_owned() })
}

fn recurrence(value: &Value, start: &Moment) -> Answer<Option<Recurrence>> {
    if value.is_null() {
        return Ok(None);
    }
    let bad = || wrong("recurrence");
    let (pattern, range) = (value.get("pattern").ok_or_else(bad)?, value.get("range").ok_or_else(bad)?);
    let text = |from: &Value, name: &str| from.get(name).and_then(Value::as_str).map(str::to_owned);
    let number = |from: &Value, name: &str| from.get(name).and_then(Value::as_i64);
    let small = |name: &str| number(pattern, name).and_then(|n| i8::try_from(n).ok()).filter(|n| (1..=31).contains(n)).ok_or_else(bad);
    let day = |name: &str| text(range, name).and_then(|t| t.parse::<Date>().ok());
    let weekday = |name: &str| WEEKDAYS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, day)| *day);
    let pattern_kind = match text(pattern, "type").unwrap_or_default().to_ascii_lowercase().as_str() {
        "daily" => Pattern::Daily,
        "weekly" => {
            let names = pattern.get("daysOfWeek").and_then(Value::as_array).ok_or_else(bad)?;
            let days: Option<Vec<Weekday>> = names.iter().map(|name| weekday(name.as_str()?)).collect();
            let days = days.filter(|days| !days.is_empty()).ok_or_else(bad)?;
            let first = text(pattern, "firstDayOfWeek").and_then(|name| weekday(&name)).unwrap_or(Weekday::Sunday);
            Pattern::Weekly { days, first }
        }
        "absolutemonthly" => Pattern::Monthly { day: small("dayOfMonth")? },
        "absoluteyearly" => Pattern::Yearly { month: small("month").ok().filter(|m| *m <= 12).ok_or_else(bad)?, day: small("dayOfMonth")? },
        _ => return Err(bad()),
    };
    let end = match text(range, "type").unwrap_or_default().to_ascii_lowercase().as_str() {
        "noend" => RecurrenceEnd::Never,
        "enddate" => RecurrenceEnd::On(day("endDate").ok_or_else(bad)?),
        "numbered" => RecurrenceEnd::After(
            number(range, "numberOfOccurrences").and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0).ok_or_else(bad)?,
        ),
        _ => return Err(bad()),
    };
    Ok(Some(Recurrence {
        pattern: pattern_kind,
        interval: number(pattern, "interval").and_then(|n| i32::try_from(n).ok()).filter(|n| *n > 0).ok_or_else(bad)?,
        start: day("startDate").ok_or_else(bad)?,
        end,
        zone: text(range, "recurrenceTimeZone").filter(|zone| !zone.is_empty()).unwrap_or_else(|| start.zone.clone()),
    }))
}

/// What a body says of an event, checked.
struct Given {
    start: Option<Moment>,
    end: Option<Moment>,
    /// Present when the body names it, `Some(None)` to end a series.
    recurrence: Option<Value>,
    data: Map<String, Value>,
}

impl Given {
    fn parse(body: Map<String, Value>) -> Answer<Self> {
        let mut data = writable(body, &EVENT, FIXED)?;
        let start = data.shift_remove("start").map(|value| moment(&value, "start")).transpose()?;
        let end = data.shift_remove("end").map(|value| moment(&value, "end")).transpose()?;
        let recurrence = data.shift_remove("recurrence");
        if let Some(body) = data.get("body") {
            let content = body.get("content").and_then(Value::as_str).unwrap_or("");
            let html = body.get("contentType").and_then(Value::as_str).is_some_and(|kind| kind.eq_ignore_ascii_case("html"));
            // Exchange keeps event bodies as HTML.
            let content =
                if html { content.to_owned() } else { crate::seed::prose::html(&content.lines().map(str::to_owned).collect::<Vec<_>>()) };
            data.insert("body".to_owned(), json!({"contentType": "html", "content": content}));
        }
        if let Some(Value::Array(attendees)) = data.get_mut("attendees") {
            for attendee in attendees {
                let Some(fields) = attendee.as_object_mut() else {
                    return Err(wrong("attendees"));
                };
                if fields.get("emailAddress").and_then(|e| e.get("address")).is_none_or(|a| !a.is_string()) {
                    return Err(wrong("attendees"));
                }
                fields.entry("type").or_insert_with(|| json!("required"));
                fields.entry("status").or_insert_with(|| json!({"response": "none", "time": "0001-01-01T00:00:00Z"}));
            }
        }
        if let Some(location) = data.get("location").filter(|l| l.is_object()).cloned() {
            data.entry("locations").or_insert_with(|| json!([location]));
        }
        Ok(Self { start, end, recurrence, data })
    }
}

fn check_order(start: &Moment, end: &Moment) -> Answer<()> {
    if instant(end) < instant(start) { Err(wrong("end")) } else { Ok(()) }
}

/// Makes an event from a body; used by the route and by changes from outside.
pub(crate) fn new_event(state: &mut State, owner: usize, calendar: u32, body: Map<String, Value>, now: Timestamp) -> Answer<u32> {
    let given = Given::parse(body)?;
    let start = given.start.ok_or_else(|| wrong("start"))?;
    let end = given.end.ok_or_else(|| wrong("end"))?;
    check_order(&start, &end)?;
    let recurrence = given.recurrence.as_ref().map_or(Ok(None), |value| recurrence(value, &start))?;
    let user = &state.users[owner];
    let me = Address::new(&user.display_name, &user.username);
    let mailbox = &mut state.mailboxes[owner];
    // The same transaction id twice is the same event: a client that lost the first answer may ask again.
    if let Some(transaction) = given.data.get("transactionId").filter(|t| t.is_string())
        && let Some(known) = mailbox.events.iter().flatten().find(|event| event.data.get("transactionId") == Some(transaction))
    {
        return Ok(known.number);
    }
    let mut data = Event::blank(&me, true, mix(mailbox.sequence));
    data.extend(given.data);
    Ok(mailbox.add_event(Event {
        number: 0,
        calendar,
        start,
        end,
        recurrence,
        exceptions: std::collections::BTreeMap::new(),
        cancelled: std::collections::BTreeSet::new(),
        data,
        created: now,
        modified: now,
        sequence: 0,
    }))
}

fn shown(state: &State, call: &Call<'_>, number: u32, day: Option<Date>, status: StatusCode) -> Answer<Reply> {
    let mailbox = call.mailbox(state);
    let event = mailbox.event(number).ok_or_else(Fault::item_gone)?;
    let row = EventRow {
        mailbox,
        event,
        occurrence: day.map(|day| occurrence(event, day)),
        immutable: call.view.immutable,
        text: call.view.text,
        zone: call.view.zone.as_ref(),
    };
    Ok(call.json(status, &call.context("/events/$entity"), row.write(&Selection::from_text(None, &EVENT)?)))
}

/// `POST …/events`, into one calendar.
pub(crate) fn create(state: &mut State, call: &Call<'_>, calendar: Option<&str>) -> Answer<Reply> {
    let calendar = find_calendar(call.mailbox(state), calendar)?;
    let number = new_event(state, call.owner, calendar, call.body()?, call.now)?;
    shown(state, call, number, None, StatusCode::CREATED)
}

/// The event with this id; refused when `If-Match` names another version.
fn target(state: &State, call: &Call<'_>, id: &str) -> Answer<(u32, Option<Date>)> {
    let mailbox = call.mailbox(state);
    let (event, day) = find(mailbox, id)?;
    let tag = format!("W/\"{}\"", mailbox.key.change_key(event.sequence));
    if call.if_match().is_some_and(|wanted| wanted != tag) { Err(Fault::conflict()) } else { Ok((event.number, day)) }
}

/// `PATCH …/events/{id}`: an event, a whole series, or one day of it, which becomes an exception.
pub(crate) fn update(state: &mut State, call: &Call<'_>, id: &str) -> Answer<Reply> {
    let (number, day) = target(state, call, id)?;
    let given = Given::parse(call.body()?)?;
    let mailbox = &mut state.mailboxes[call.owner];
    let event = mailbox.event(number).ok_or_else(Fault::item_gone)?;
    if let Some(day) = day {
        let planned = occurrence(event, day);
        let mut exception =
            event.exceptions.get(&day).cloned().unwrap_or(Exception { start: planned.start, end: planned.end, data: Map::new() });
        exception.start = given.start.unwrap_or(exception.start);
        exception.end = given.end.unwrap_or(exception.end);
        check_order(&exception.start, &exception.end)?;
        exception.data.extend(given.data);
        mailbox.change_event(number, call.now, |event| {
            event.exceptions.insert(day, exception);
        });
        return shown(state, call, number, Some(day), StatusCode::OK);
    }
    let start = given.start.unwrap_or_else(|| event.start.clone());
    let end = given.end.unwrap_or_else(|| event.end.clone());
    check_order(&start, &end)?;
    let series = match &given.recurrence {
        Some(value) => recurrence(value, &start)?,
        None => event.recurrence.clone(),
    };
    mailbox.change_event(number, call.now, |event| {
        if event.recurrence != series || event.start != start {
            // A series that is put elsewhere forgets what was special about its days.
            event.exceptions.clear();
            event.cancelled.clear();
        }
        event.start = start;
        event.end = end;
        event.recurrence = series;
        event.data.extend(given.data);
    });
    shown(state, call, number, None, StatusCode::OK)
}

/// `DELETE …/events/{id}`: an event, a whole series, or one day of it.
pub(crate) fn delete(state: &mut State, call: &Call<'_>, id: &str) -> Answer<Reply> {
    let (number, day) = target(state, call, id)?;
    let mailbox = &mut state.mailboxes[call.owner];
    match day {
        Some(day) => mailbox.change_event(number, call.now, |event| {
            event.exceptions.remove(&day);
            event.cancelled.insert(day);
        }),
        None => mailbox.remove_event(number),
    }
    Ok(super::empty(StatusCode::NO_CONTENT))
}
