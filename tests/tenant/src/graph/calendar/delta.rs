//! `calendarView/delta`: what changes inside a window that is fixed when the reader begins.
//!
//! The feed of a calendar names the events that changed. Each is told in full: the single event, or the series' master
//! and its days inside the window; and what of it has left the window since the reader last looked.

use std::collections::BTreeSet;

use http::{HeaderValue, StatusCode};
use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::calendars::find_calendar;
use super::read::{open, window};
use super::recur::{Occurrence, occurrences};
use crate::graph::call::Call;
use crate::graph::delta::{Token, seal, unseal};
use crate::graph::errors::Fault;
use crate::graph::odata::{Answer, EVENT, Selection};
use crate::graph::store::{Calendar, Entry, Event, Mailbox, State};
use crate::wire::Reply;

/// What a link says: a token as for other containers, its window, and how far a page came inside one event.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Place {
    #[serde(rename = "T")]
    token: Token,
    #[serde(rename = "w")]
    window: (Timestamp, Timestamp),
    /// Where this round began: what has left the window since then is told.
    #[serde(rename = "b")]
    since: u64,
    /// The change that was being told, and how many of its rows were.
    #[serde(rename = "i")]
    within: (u64, usize),
}

fn begin(call: &Call<'_>, mailbox: &Mailbox, calendar: &Calendar) -> Answer<Place> {
    let refused = ["orderby", "filter", "select", "expand", "search"];
    if refused.iter().any(|name| call.query.get(name).is_some()) {
        let message = "The following parameters are not supported with change tracking over the 'CalendarView' resource: '$orderby, $filter, $select, $expand, $search'.";
        return Err(Fault::new(StatusCode::BAD_REQUEST, "ErrorInvalidUrlQuery", message));
    }
    let window = window(call)?;
    let token = Token::begin(call, "view", mailbox, calendar.number, calendar.feed.last())?;
    Ok(Place { since: token.floor, token, window, within: (0, 0) })
}

fn resume(text: &str, mailbox: &Mailbox, calendar: u32) -> Answer<Place> {
    let place: Place = unseal(text).ok_or_else(|| Fault::sync_state_gone(mailbox.epoch))?;
    place.token.check("view", mailbox, calendar)?;
    Ok(place)
}

/// The days of an event in the window, `None` for a single event.
fn inside(event: &Event, window: (Timestamp, Timestamp)) -> Vec<Occurrence> {
    occurrences(event, window.0, window.1)
}

/// What the window held of an event at any time after `since`, and holds no more.
fn left(event: &Event, window: (Timestamp, Timestamp), since: u64, now: &BTreeSet<Option<Date>>) -> BTreeSet<Option<Date>> {
    let former = event.former.iter().filter(|(until, _)| *until > since);
    let mut out: BTreeSet<Option<Date>> = former
        .flat_map(|(_, before)| {
            let days = inside(before, window).into_iter().map(|o| o.day);
            let master = (before.recurrence.is_some() && !inside(before, window).is_empty()).then_some(None);
            days.chain(master).collect::<Vec<_>>()
        })
        .collect();
    out.retain(|day| !now.contains(day));
    out
}

struct Teller<'a> {
    call: &'a Call<'a>,
    mailbox: &'a Mailbox,
    window: (Timestamp, Timestamp),
    selection: Selection,
}

impl Teller<'_> {
    fn removed(&self, event: &Event, day: Option<Date>) -> Value {
        let id = self.mailbox.event_id(event, day, self.call.view.immutable);
        json!({"@odata.type": "#microsoft.graph.event", "id": id, "@removed": {"reason": "deleted"}})
    }

    fn whole(&self, event: &Event, occurrence: Option<Occurrence>) -> Value {
        let mut out = Map::new();
        out.insert("@odata.type".to_owned(), json!("#microsoft.graph.event"));
        out.extend(open(self.call, self.mailbox, event, occurrence).write(&self.selection));
        Value::Object(out)
    }

    /// A day that differs from its series in nothing but its time carries nothing but its time.
    fn thin(&self, event: &Event, occurrence: Occurrence) -> Value {
        let mut whole = self.whole(event, Some(occurrence));
        if let Some(fields) = whole.as_object_mut().filter(|fields| fields.get("type") == Some(&json!("occurrence"))) {
            fields.retain(|name, _| name.starts_with('@') || ["id", "seriesMasterId", "type", "start", "end"].contains(&name.as_str()));
        }
        whole
    }

    /// Everything to be told of one event that is there.
    fn changed(&self, event: &Event, since: u64) -> Vec<Value> {
        let here = inside(event, self.window);
        let mut days: BTreeSet<Option<Date>> = here.iter().map(|o| o.day).collect();
        let mut out = Vec::new();
        if event.recurrence.is_some() && !here.is_empty() {
            out.push(self.whole(event, None));
            days.insert(None);
        }
        let left = left(event, self.window, since, &days);
        for occurrence in here {
            out.push(if occurrence.day.is_some() { self.thin(event, occurrence) } else { self.whole(event, None) });
        }
        out.extend(left.into_iter().map(|day| self.removed(event, day)));
        out
    }

    /// Everything to be told of one event that has gone: as far as the reader may have seen it.
    fn gone(&self, event: &Event, since: u64) -> Vec<Value> {
        let mut days: BTreeSet<Option<Date>> = inside(event, self.window).into_iter().map(|o| o.day).collect();
        if event.recurrence.is_some() && !days.is_empty() {
            days.insert(None);
        }
        days.extend(left(event, self.window, since, &BTreeSet::new()));
        days.into_iter().map(|day| self.removed(event, day)).collect()
    }
}

/// `GET …/calendarView/delta`, first and later rounds, of one calendar.
pub(crate) fn view(state: &State, call: &Call<'_>, calendar: Option<&str>) -> Answer<Reply> {
    let mailbox = call.mailbox(state);
    let calendar = mailbox.calendar(find_calendar(mailbox, calendar)?).ok_or_else(Fault::item_gone)?;
    let resumed = call.query.get("skiptoken").or_else(|| call.query.get("deltatoken"));
    let mut place = match resumed {
        Some(text) => resume(text, mailbox, calendar.number)?,
        None => begin(call, mailbox, calendar)?,
    };
    let size = call.view.page.or(place.token.top).unwrap_or(50).clamp(1, 1_000);
    let teller = Teller { call, mailbox, window: place.window, selection: Selection::from_text(None, &EVENT)? };
    let (mut rows, mut more) = (Vec::new(), false);
    for (sequence, entry) in calendar.feed.after(place.token.after) {
        let told = match entry {
            Entry::Live(number) => mailbox.event(*number).map_or_else(Vec::new, |event| teller.changed(event, place.since)),
            Entry::Gone(gone) if sequence > place.token.floor => {
                mailbox.gone_events.get(&gone.number).map_or_else(Vec::new, |event| teller.gone(event, place.since))
            }
            Entry::Gone(_) => Vec::new(),
        };
        let skip = if place.within.0 == sequence { place.within.1 } else { 0 };
        let room = size - rows.len();
        let left = told.len().saturating_sub(skip);
        rows.extend(told.into_iter().skip(skip).take(room));
        if left > room {
            place.within = (sequence, skip + room);
            more = true;
            break;
        }
        place.token.after = sequence;
    }
    if !more {
        place.since = place.token.after;
    }
    let mut body = Map::new();
    body.insert("value".to_owned(), Value::Array(rows));
    let (name, option) = if more { ("@odata.nextLink", "$skiptoken") } else { ("@odata.deltaLink", "$deltatoken") };
    body.insert(name.to_owned(), json!(format!("{}?{option}={}", call.address(), seal(&place))));
    let mut reply = call.json(StatusCode::OK, &call.plain_context("Collection(event)"), body);
    let first = resumed.is_none().then(|| "odata.track-changes".to_owned());
    let size = call.view.page.map(|size| format!("odata.maxpagesize={size}"));
    let applied: Vec<String> = first.into_iter().chain(size).chain(call.view.applied.iter().cloned()).collect();
    if let Ok(value) = HeaderValue::from_str(&applied.join(", "))
        && !applied.is_empty()
    {
        reply.headers.insert("preference-applied", value);
    }
    Ok(reply)
}
