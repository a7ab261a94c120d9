//! An event as Graph shows it: single, master, occurrence or exception, its times in the zone asked for.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use super::recur::{Occurrence, days, instant};
use super::recurrence;
use crate::graph::errors::Fault;
use crate::graph::mail::item_body;
use crate::graph::odata::{Answer, Row, Selection, encode};
use crate::graph::store::{Event, Mailbox, Moment, day_of};
use crate::seed::ids::{IdKind, looks_like_exchange_id};
use crate::seed::prose;

/// An event in the form that the caller wants.
pub(crate) struct EventRow<'a> {
    pub(crate) mailbox: &'a Mailbox,
    pub(crate) event: &'a Event,
    /// Which happening of a series; `None` for the master or a single event.
    pub(crate) occurrence: Option<Occurrence>,
    pub(crate) immutable: bool,
    pub(crate) text: bool,
    pub(crate) zone: Option<&'a (String, TimeZone)>,
}

impl EventRow<'_> {
    fn day(&self) -> Option<Date> {
        self.occurrence.as_ref().and_then(|o| o.day)
    }

    /// The property as changed for this one day.
    fn own(&self, name: &str) -> Option<&Value> {
        self.day().and_then(|day| self.event.exceptions.get(&day)).and_then(|exception| exception.data.get(name))
    }

    /// A property as stored, as changed for this one day.
    pub(super) fn data(&self, name: &str) -> Option<&Value> {
        self.own(name).or_else(|| self.event.data.get(name))
    }

    fn content(&self) -> &str {
        self.data("body").and_then(|body| body.get("content")).and_then(Value::as_str).unwrap_or("")
    }

    /// Its id in the caller's form.
    pub(crate) fn id(&self) -> String {
        self.mailbox.event_id(self.event, self.day(), self.immutable)
    }

    /// A time as `dateTimeTimeZone` in the zone asked for.
    pub(crate) fn moment(&self, moment: &Moment) -> Value {
        let all_day = self.data("isAllDay").and_then(Value::as_bool).unwrap_or(false);
        let (name, at) = match self.zone {
            // Days have no zone: midnight stays midnight wherever one looks from.
            zone if all_day => (zone.map_or("UTC", |(name, _)| name.as_str()), moment.at),
            Some((name, zone)) => (name.as_str(), zone.to_datetime(instant(moment))),
            None => ("UTC", TimeZone::UTC.to_datetime(instant(moment))),
        };
        json!({"dateTime": at.strftime("%Y-%m-%dT%H:%M:%S.0000000").to_string(), "timeZone": name})
    }

    /// The whole object with its tag.
    pub(crate) fn write(&self, selection: &Selection) -> Map<String, Value> {
        let mut out = Map::new();
        out.insert("@odata.etag".to_owned(), json!(self.etag()));
        selection.write(self, &mut out);
        out
    }

    /// The tag, `W/"<changeKey>"`.
    pub(crate) fn etag(&self) -> String {
        format!("W/\"{}\"", self.mailbox.key.change_key(self.event.sequence))
    }
}

impl Row for EventRow<'_> {
    fn property(&self, name: &str) -> Option<Value> {
        let event = self.event;
        Some(match name {
            "id" => json!(self.id()),
            "createdDateTime" => json!(event.created.to_string()),
            "lastModifiedDateTime" => json!(event.modified.to_string()),
            "changeKey" => json!(self.mailbox.key.change_key(event.sequence)),
            "originalStartTimeZone" => json!(event.start.zone),
            "originalEndTimeZone" => json!(event.end.zone),
            "hasAttachments" => json!(!event.attachments.is_empty()),
            "bodyPreview" => json!(prose::preview(&prose::text_of(self.content()))),
            "body" if self.text => item_body(false, prose::text_of(self.content()).trim().to_owned()),
            "start" => self.moment(self.occurrence.as_ref().map_or(&event.start, |o| &o.start)),
            "end" => self.moment(self.occurrence.as_ref().map_or(&event.end, |o| &o.end)),
            "recurrence" => match (&event.recurrence, self.day()) {
                (Some(series), None) => recurrence::write(series),
                _ => Value::Null,
            },
            "seriesMasterId" => match self.day() {
                Some(_) => json!(self.mailbox.event_id(event, None, self.immutable)),
                None => Value::Null,
            },
            "type" => json!(match (self.day(), &event.recurrence) {
                (Some(day), _) if event.exceptions.contains_key(&day) => "exception",
                (Some(_), _) => "occurrence",
                (None, Some(_)) => "seriesMaster",
                (None, None) => "singleInstance",
            }),
            "originalStart" => match self.day() {
                Some(day) => {
                    let planned = Moment { at: day.to_datetime(event.start.at.time()), zone: event.start.zone.clone() };
                    json!(instant(&planned).to_string())
                }
                None => Value::Null,
            },
            "webLink" => json!(format!("https://outlook.office365.com/owa/?itemid={}&exvsurl=1&path=/calendar/item", encode(&self.id()))),
            _ => return self.data(name).cloned(),
        })
    }
}

/// What an event id names: the event and, for one happening of a series, its day.
pub(crate) fn find<'a>(mailbox: &'a Mailbox, id: &str) -> Answer<(&'a Event, Option<Date>)> {
    let named = mailbox.key.decode(id).filter(|named| matches!(named.kind, IdKind::Event | IdKind::Occurrence));
    let Some(named) = named else {
        return Err(if looks_like_exchange_id(id) { Fault::item_gone() } else { Fault::malformed_id() });
    };
    let event = mailbox.event(named.number).ok_or_else(Fault::item_gone)?;
    if named.kind == IdKind::Event {
        return Ok((event, None));
    }
    let day = day_of(named.place).ok_or_else(Fault::item_gone)?;
    let happens = event.recurrence.as_ref().is_some_and(|series| days(series, day).last() == Some(&day));
    if happens && !event.cancelled.contains(&day) { Ok((event, Some(day))) } else { Err(Fault::item_gone()) }
}
