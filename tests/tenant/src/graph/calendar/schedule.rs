//! Free and busy: whose time is taken when, and times at which several people are free.

use http::StatusCode;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::given::{moment, small_names, wrong};
use super::recur::{instant, occurrences};
use super::row::EventRow;
use crate::graph::call::{Call, find_user};
use crate::graph::errors::Fault;
use crate::graph::odata::Answer;
use crate::graph::store::{Moment, State, address};
use crate::graph::zones;
use crate::seed::Kind;
use crate::wire::Reply;

/// The most schedules and the longest window of one request.
const MOST: usize = 20;
const LONGEST_DAYS: i64 = 62;
/// What a free/busy status is in `availabilityView`, by its place here; of two the later one is shown.
const STATUSES: &[(&str, char)] = &[("free", '0'), ("workingElsewhere", '4'), ("tentative", '1'), ("busy", '2'), ("oof", '3')];

/// A time that is taken.
struct Taken {
    from: Timestamp,
    to: Timestamp,
    status: usize,
    item: Map<String, Value>,
}

fn refused(message: &str) -> Box<Fault> {
    Fault::new(StatusCode::BAD_REQUEST, "ErrorInvalidParameter", message)
}

/// Both are for work accounts only.
fn at_work(state: &State, call: &Call<'_>) -> Answer<()> {
    if state.users[call.caller].kind == Kind::Personal { Err(Fault::access_denied()) } else { Ok(()) }
}

fn body(call: &Call<'_>) -> Answer<Map<String, Value>> {
    match small_names(Value::Object(call.body()?)) {
        Value::Object(body) => Ok(body),
        _ => Err(refused("The body must be an object.")),
    }
}

/// What a person has planned between two instants; times that are free count for nothing. Only the person sees more than that.
fn taken(state: &State, call: &Call<'_>, user: usize, from: Timestamp, to: Timestamp) -> Vec<Taken> {
    let mailbox = &state.mailboxes[user];
    let mut out = Vec::new();
    for event in mailbox.events.iter().flatten() {
        for occurrence in occurrences(event, from, to) {
            let (start, end) = (instant(&occurrence.start), instant(&occurrence.end));
            let (first, last) = (occurrence.start.clone(), occurrence.end.clone());
            let happening = occurrence.day.is_some().then_some(occurrence);
            let row = EventRow { mailbox, event, occurrence: happening, immutable: false, text: false, zone: call.view.zone.as_ref() };
            let text = |name: &str| row.data(name).and_then(Value::as_str).unwrap_or("").to_owned();
            let shown = text("showAs");
            let status = STATUSES.iter().position(|(name, _)| *name == shown).unwrap_or(0);
            if status == 0 || row.data("isCancelled") == Some(&Value::Bool(true)) {
                continue;
            }
            let mut item = Map::new();
            if user == call.caller {
                let private = text("sensitivity") == "private";
                item.insert("isPrivate".to_owned(), json!(private));
                if !private {
                    item.insert("subject".to_owned(), json!(text("subject")));
                    item.insert("location".to_owned(), row.data("location").map(|l| l["displayName"].clone()).unwrap_or_default());
                }
            }
            item.insert("status".to_owned(), json!(STATUSES[status].0));
            item.insert("start".to_owned(), row.moment(&first));
            item.insert("end".to_owned(), row.moment(&last));
            out.push(Taken { from: start, to: end, status, item });
        }
    }
    out.sort_by_key(|taken| (taken.from, taken.to));
    out
}

fn view(taken: &[Taken], from: Timestamp, to: Timestamp, minutes: i64) -> String {
    let mut out = String::new();
    let mut at = from;
    while at < to {
        let next = at.saturating_add(SignedDuration::from_mins(minutes)).unwrap_or(to).min(to);
        let highest = taken.iter().filter(|taken| taken.from < next && taken.to > at).map(|taken| taken.status).max().unwrap_or(0);
        out.push(STATUSES[highest].1);
        at = next;
    }
    out
}

/// `POST …/calendar/getSchedule`
pub(crate) fn schedule(state: &State, call: &Call<'_>) -> Answer<Reply> {
    at_work(state, call)?;
    let body = body(call)?;
    let missing = Value::Null;
    let time = |name: &str| moment(body.get(name).unwrap_or(&missing), name).map(|moment| instant(&moment));
    let (from, to) = (time("startTime")?, time("endTime")?);
    if to <= from {
        return Err(refused("The end time must be later than the start time."));
    }
    if (to - from).get_seconds() > LONGEST_DAYS * 86_400 {
        return Err(refused("The requested time duration specified for FreeBusyViewOptions.TimeWindow is not within the allowed limits."));
    }
    let minutes = body.get("availabilityViewInterval").map_or(Some(30), Value::as_i64).filter(|minutes| (5..=1_440).contains(minutes));
    let minutes = minutes.ok_or_else(|| refused("The interval must be between 5 and 1440 minutes."))?;
    let names: Vec<&str> = body.get("schedules").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    if names.is_empty() || names.len() > MOST {
        return Err(refused("Between 1 and 20 schedules can be asked for at once."));
    }
    let colleague = |name: &str| find_user(state, name).filter(|user| state.users[*user].tenant_id == state.users[call.caller].tenant_id);
    let value = names.into_iter().map(|name| {
        let Some(user) = colleague(name) else {
            let message = format!("Unable to resolve e-mail address {name} to an Active Directory object.");
            return json!({"scheduleId": name, "availabilityView": "", "scheduleItems": [],
                "error": {"message": message, "responseCode": "ErrorMailRecipientNotFound"}});
        };
        let taken = taken(state, call, user, from, to);
        let zone = zones::windows_name(state.mailboxes[user].zone);
        let days = ["monday", "tuesday", "wednesday", "thursday", "friday"];
        json!({"scheduleId": name, "availabilityView": view(&taken, from, to, minutes),
            "scheduleItems": taken.into_iter().map(|taken| Value::Object(taken.item)).collect::<Vec<_>>(),
            "workingHours": {"daysOfWeek": days, "startTime": "08:00:00.0000000", "endTime": "17:00:00.0000000", "timeZone": {"name": zone}}})
    });
    let mut out = Map::new();
    out.insert("value".to_owned(), Value::Array(value.collect()));
    Ok(call.json(StatusCode::OK, &call.plain_context("Collection(microsoft.graph.scheduleInformation)"), out))
}

/// A number, which clients also write as text.
fn number(value: Option<&Value>, usual: f64) -> Option<f64> {
    match value {
        None | Some(Value::Null) => Some(usual),
        Some(Value::String(text)) => text.parse().ok(),
        Some(value) => value.as_f64(),
    }
}

/// Working hours are from eight to five on weekdays.
fn within_work(start: Timestamp, end: Timestamp, zone: &TimeZone) -> bool {
    let (start, end) = (start.to_zoned(zone.clone()), end.to_zoned(zone.clone()));
    let weekday = start.weekday().to_monday_zero_offset() < 5;
    let late = end.hour() > 17 || (end.hour() == 17 && end.minute() > 0);
    weekday && start.date() == end.date() && start.hour() >= 8 && !late
}

/// `POST …/findMeetingTimes`: every half hour of the windows in which enough people are free, the surest first.
pub(crate) fn meeting_times(state: &State, call: &Call<'_>) -> Answer<Reply> {
    at_work(state, call)?;
    let body = body(call)?;
    let length = match body.get("meetingDuration") {
        None | Some(Value::Null) => SignedDuration::from_mins(30),
        Some(text) => {
            let length = text.as_str().and_then(|text| text.parse::<SignedDuration>().ok()).filter(SignedDuration::is_positive);
            length.ok_or_else(|| wrong("meetingDuration"))?
        }
    };
    let least = number(body.get("minimumAttendeePercentage"), 50.0).ok_or_else(|| wrong("minimumAttendeePercentage"))?;
    let most = number(body.get("maxCandidates"), 20.0).filter(|most| *most >= 1.0).ok_or_else(|| wrong("maxCandidates"))? as usize;
    let constraint = body.get("timeConstraint").unwrap_or(&Value::Null);
    let work = constraint.get("activityDomain").and_then(Value::as_str).is_none_or(|domain| domain.eq_ignore_ascii_case("work"));
    let mut windows: Vec<(Moment, Moment)> = Vec::new();
    for slot in constraint.get("timeSlots").and_then(Value::as_array).into_iter().flatten() {
        windows
            .push((moment(slot.get("start").unwrap_or(&Value::Null), "start")?, moment(slot.get("end").unwrap_or(&Value::Null), "end")?));
    }
    let attendees: Vec<&str> = body.get("attendees").and_then(Value::as_array).into_iter().flatten().map(address).collect();
    let mut found = Vec::new();
    for (from, to) in &windows {
        let zone = zones::find(&from.zone).unwrap_or(TimeZone::UTC);
        let (from, to) = (instant(from), instant(to));
        let people: Vec<Option<Vec<Taken>>> =
            attendees.iter().map(|name| find_user(state, name).map(|user| taken(state, call, user, from, to))).collect();
        let mine = taken(state, call, call.owner, from, to);
        let mut start = from;
        while let Some(end) = start.checked_add(length).ok().filter(|end| *end <= to) {
            let status = |taken: &[Taken]| taken.iter().filter(|t| t.from < end && t.to > start).map(|t| t.status).max().unwrap_or(0);
            let known: Vec<Option<usize>> = people.iter().map(|taken| taken.as_deref().map(status)).collect();
            let free = known.iter().filter(|status| **status == Some(0)).count();
            let confidence = if known.is_empty() { 100.0 } else { 100.0 * free as f64 / known.len() as f64 };
            if confidence >= least && status(&mine) == 0 && (!work || within_work(start, end, &zone)) {
                found.push((confidence, start, end, known));
            }
            start = start.saturating_add(SignedDuration::from_mins(30)).unwrap_or(to);
        }
    }
    found.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    found.truncate(most);
    let (zone_name, zone) = call.view.zone.clone().unwrap_or(("UTC".to_owned(), TimeZone::UTC));
    let write = |at: Timestamp| {
        let text = zone.to_datetime(at).strftime("%Y-%m-%dT%H:%M:%S.0000000").to_string();
        json!({"dateTime": text, "timeZone": zone_name})
    };
    let suggestions = found.iter().zip(1..).map(|((confidence, start, end, known), order)| {
        let availability = attendees.iter().zip(known).map(|(name, status)| {
            let status = status.map_or("unknown", |status| STATUSES[status].0);
            json!({"availability": status, "attendee": {"emailAddress": {"address": name}}})
        });
        json!({"confidence": confidence, "order": order, "organizerAvailability": "free",
            "suggestionReason": "Suggested because it is one of the nearest times when all attendees are available.",
            "attendeeAvailability": availability.collect::<Vec<_>>(), "locations": [],
            "meetingTimeSlot": {"start": write(*start), "end": write(*end)}})
    });
    let mut out = Map::new();
    out.insert("emptySuggestionsReason".to_owned(), json!(if found.is_empty() { "AttendeesUnavailable" } else { "" }));
    out.insert("meetingTimeSuggestions".to_owned(), Value::Array(suggestions.collect()));
    Ok(call.json(StatusCode::OK, &call.plain_context("microsoft.graph.meetingTimeSuggestionsResult"), out))
}
