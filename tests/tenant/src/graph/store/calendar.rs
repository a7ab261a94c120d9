//! Calendars and events as stored: singles, masters of series, and what differs on single days.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Weekday};
use serde_json::{Map, Value, json};

use super::{Attachment, Feed, Gone, Mailbox};
use crate::seed::ids::{IdKind, Named};
use crate::seed::people::Address;
use crate::seed::prng::mix;

/// A calendar; number 0 is the mailbox's own.
#[derive(Debug)]
pub(crate) struct Calendar {
    pub(crate) number: u32,
    pub(crate) name: String,
    pub(crate) color: &'static str,
    pub(crate) sequence: u64,
    /// Changes of its events.
    pub(crate) feed: Feed,
}

/// A wall-clock time in a zone (IANA or Windows name, as its author wrote it).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Moment {
    pub(crate) at: DateTime,
    pub(crate) zone: String,
}

/// How a series repeats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Pattern {
    Daily,
    Weekly {
        days: Vec<Weekday>,
        first: Weekday,
    },
    Monthly {
        day: i8,
    },
    Yearly {
        month: i8,
        day: i8,
    },
    /// On the first, second … or last of these weekdays of a month.
    RelativeMonthly {
        days: Vec<Weekday>,
        index: Index,
    },
    RelativeYearly {
        month: i8,
        days: Vec<Weekday>,
        index: Index,
    },
}

/// Which of a month's weekdays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Index {
    First,
    Second,
    Third,
    Fourth,
    Last,
}

/// When a series ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RecurrenceEnd {
    Never,
    On(Date),
    After(u32),
}

/// A series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Recurrence {
    pub(crate) pattern: Pattern,
    pub(crate) interval: i32,
    pub(crate) start: Date,
    pub(crate) end: RecurrenceEnd,
    pub(crate) zone: String,
}

/// What one day of a series has of its own.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Exception {
    pub(crate) start: Moment,
    pub(crate) end: Moment,
    /// Other properties that differ from the master's.
    pub(crate) data: Map<String, Value>,
}

/// An event as stored.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) number: u32,
    pub(crate) calendar: u32,
    pub(crate) start: Moment,
    pub(crate) end: Moment,
    pub(crate) recurrence: Option<Recurrence>,
    /// By the day on which the occurrence would have been.
    pub(crate) exceptions: BTreeMap<Date, Exception>,
    /// Days on which the series does not happen.
    pub(crate) cancelled: BTreeSet<Date>,
    /// The other properties as Graph shows them; the body always as HTML.
    pub(crate) data: Map<String, Value>,
    pub(crate) attachments: Vec<Attachment>,
    pub(crate) created: Timestamp,
    pub(crate) modified: Timestamp,
    /// When search knows of it.
    pub(crate) searchable: Timestamp,
    pub(crate) sequence: u64,
    /// What it was before each change of its times, and the number of that change: whoever follows a window must be
    /// told what has left it.
    pub(crate) former: Vec<(u64, Event)>,
}

impl Event {
    /// An event at a time, with nothing else to it yet.
    pub(crate) fn at(start: Moment, end: Moment, data: Map<String, Value>, now: Timestamp) -> Self {
        Self {
            number: 0,
            calendar: 0,
            start,
            end,
            recurrence: None,
            exceptions: BTreeMap::new(),
            cancelled: BTreeSet::new(),
            data,
            attachments: Vec::new(),
            created: now,
            modified: now,
            searchable: now,
            sequence: 0,
            former: Vec::new(),
        }
    }

    /// True when both happen at the same times.
    fn happens_like(&self, other: &Self) -> bool {
        let moved = |(a, b): (&Exception, &Exception)| a.start != b.start || a.end != b.end;
        self.start == other.start
            && self.end == other.end
            && self.recurrence == other.recurrence
            && self.cancelled == other.cancelled
            && self.exceptions.keys().eq(other.exceptions.keys())
            && !self.exceptions.values().zip(other.exceptions.values()).any(moved)
    }

    /// True when this is the organizer's own.
    pub(crate) fn is_organizers(&self) -> bool {
        self.data.get("isOrganizer").and_then(Value::as_bool).unwrap_or(false)
    }

    /// What all copies of one meeting have in common.
    pub(crate) fn uid(&self) -> &str {
        self.data.get("iCalUId").and_then(Value::as_str).unwrap_or("")
    }

    /// The organizer's address.
    pub(crate) fn organizer(&self) -> &str {
        address(self.data.get("organizer").unwrap_or(&Value::Null))
    }

    /// The attendees' addresses.
    pub(crate) fn attendees(&self) -> impl Iterator<Item = &str> {
        self.data.get("attendees").and_then(Value::as_array).into_iter().flatten().map(address)
    }

    /// The properties of an event about which nothing was said, organised by `organizer`.
    pub(crate) fn blank(organizer: &Address, mine: bool, number: u64) -> Map<String, Value> {
        let never = "0001-01-01T00:00:00Z";
        let organizer = json!({"emailAddress": {"name": &*organizer.name, "address": &*organizer.address}});
        let data = json!({
            "categories": [], "transactionId": null, "iCalUId": format!("040000008200E00074C5B7101A82E008{number:016X}{:016X}", mix(number)),
            "reminderMinutesBeforeStart": 15, "isReminderOn": true, "hasAttachments": false, "subject": "",
            "importance": "normal", "sensitivity": "normal", "isAllDay": false, "isCancelled": false, "isOrganizer": mine,
            "responseRequested": true, "showAs": "busy", "onlineMeetingUrl": null, "isOnlineMeeting": false,
            "onlineMeetingProvider": "unknown", "allowNewTimeProposals": true, "isDraft": false, "hideAttendees": false,
            "responseStatus": {"response": if mine { "organizer" } else { "accepted" }, "time": never},
            "body": {"contentType": "html", "content": ""},
            "location": {"displayName": "", "locationType": "default", "uniqueIdType": "unknown", "address": {}, "coordinates": {}},
            "locations": [], "attendees": [], "organizer": organizer, "onlineMeeting": null,
        });
        match data {
            Value::Object(data) => data,
            _ => Map::new(),
        }
    }
}

/// The mail address in a `recipient`.
pub(crate) fn address(recipient: &Value) -> &str {
    recipient.get("emailAddress").and_then(|email| email.get("address")).and_then(Value::as_str).unwrap_or("")
}

impl Mailbox {
    /// An event's id; with a day, that of the occurrence on this day.
    pub(crate) fn event_id(&self, event: &Event, day: Option<Date>, immutable: bool) -> String {
        let (kind, place) = match day {
            Some(day) => (IdKind::Occurrence, day_number(day)),
            None => (IdKind::Event, if immutable { 0 } else { event.calendar }),
        };
        self.key.encode(Named { kind, immutable, number: event.number, generation: 0, place })
    }

    /// A calendar's id.
    pub(crate) fn calendar_id(&self, number: u32) -> String {
        self.key.encode(Named { kind: IdKind::Calendar, immutable: false, number, generation: 0, place: 0 })
    }

    /// The calendar with this number.
    pub(crate) fn calendar(&self, number: u32) -> Option<&Calendar> {
        self.calendars.get(number as usize)?.as_ref()
    }

    /// The event with this number.
    pub(crate) fn event(&self, number: u32) -> Option<&Event> {
        self.events.get(number as usize)?.as_ref()
    }

    /// Adds a calendar.
    pub(crate) fn add_calendar(&mut self, name: String, color: &'static str) -> u32 {
        let number = u32::try_from(self.calendars.len()).unwrap_or(u32::MAX);
        let sequence = self.tick();
        self.calendars.push(Some(Calendar { number, name, color, sequence, feed: Feed::default() }));
        number
    }

    /// Changes a calendar itself.
    pub(crate) fn change_calendar(&mut self, number: u32, change: impl FnOnce(&mut Calendar)) {
        let sequence = self.tick();
        if let Some(calendar) = self.calendars.get_mut(number as usize).and_then(Option::as_mut) {
            change(calendar);
            calendar.sequence = sequence;
        }
    }

    /// Deletes a calendar with all its events.
    pub(crate) fn remove_calendar(&mut self, number: u32) {
        let inside: Vec<u32> = self.events.iter().flatten().filter(|event| event.calendar == number).map(|event| event.number).collect();
        inside.into_iter().for_each(|event| self.remove_event(event));
        if let Some(slot) = self.calendars.get_mut(number as usize) {
            *slot = None;
        }
    }

    /// The feed of a calendar.
    fn event_feed(&mut self, calendar: u32) -> Option<&mut Feed> {
        self.calendars.get_mut(calendar as usize)?.as_mut().map(|calendar| &mut calendar.feed)
    }

    /// Adds an event.
    pub(crate) fn add_event(&mut self, mut event: Event) -> u32 {
        let number = u32::try_from(self.events.len()).unwrap_or(u32::MAX);
        let sequence = self.tick();
        (event.number, event.sequence) = (number, sequence);
        if let Some(feed) = self.event_feed(event.calendar) {
            feed.touch(0, sequence, number);
        }
        self.events.push(Some(event));
        number
    }

    /// Changes an event.
    pub(crate) fn change_event(&mut self, number: u32, now: Timestamp, change: impl FnOnce(&mut Event)) {
        let sequence = self.tick();
        let Some(event) = self.events.get_mut(number as usize).and_then(Option::as_mut) else {
            return;
        };
        let before = Event { former: Vec::new(), ..event.clone() };
        change(event);
        event.modified = now;
        event.sequence = sequence;
        let (old, calendar) = (before.sequence, event.calendar);
        if !before.happens_like(event) {
            event.former.push((sequence, before));
        }
        if let Some(feed) = self.event_feed(calendar) {
            feed.touch(old, sequence, number);
        }
    }

    /// Deletes an event, a series as a whole.
    pub(crate) fn remove_event(&mut self, number: u32) {
        let sequence = self.tick();
        let Some(event) = self.events.get_mut(number as usize).and_then(Option::take) else {
            return;
        };
        let gone = Gone { number, id: self.event_id(&event, None, false), immutable: self.event_id(&event, None, true) };
        if let Some(feed) = self.event_feed(event.calendar) {
            feed.leave(event.sequence, sequence, gone);
        }
        self.gone_events.insert(number, event);
    }
}

/// Days since 1970-01-01, for ids.
fn day_number(day: Date) -> u32 {
    let days = day.to_datetime(jiff::civil::Time::midnight()).to_zoned(jiff::tz::TimeZone::UTC);
    days.map_or(0, |zoned| u32::try_from(zoned.timestamp().as_second() / 86_400).unwrap_or(0))
}

/// The day with this number.
pub(crate) fn day_of(number: u32) -> Option<Date> {
    let second = i64::from(number) * 86_400;
    Timestamp::from_second(second).ok().map(|at| at.to_zoned(jiff::tz::TimeZone::UTC).date())
}
