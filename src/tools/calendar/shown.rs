//! An event as answers show it: Graph's own members, and beside its UTC times the local ones, or its days.

use serde_json::{Map, Value, json};

use crate::tools::{
    shape::{cut, pick},
    time::{day_span, local, moment_of, wall_of},
    zone::Zone,
};

/// By which clocks local times are shown.
#[derive(Debug)]
pub(in crate::tools) struct Clocks {
    pub(super) zone: Zone,
    known: bool,
}

impl Clocks {
    /// Those of `zone`; UTC, and the answer says so, when it is not known.
    pub(super) fn of(zone: Option<Zone>) -> Self {
        let known = zone.is_some();
        Self { zone: zone.unwrap_or_else(Zone::utc), known }
    }

    /// Says in an answer whose clocks they are.
    pub(in crate::tools) fn sign(&self, answer: &mut Map<String, Value>) {
        answer.insert("timezone".into(), self.zone.name().into());
        if !self.known {
            answer.insert("timezone_note".into(), "The mailbox's own time zone is not known: give `timezone` for local times.".into());
        }
    }
}

/// All that Graph returns of an event by default, but for its body.
pub(super) const FIELDS: [&str; 39] = [
    "id",
    "createdDateTime",
    "lastModifiedDateTime",
    "changeKey",
    "categories",
    "transactionId",
    "originalStartTimeZone",
    "originalEndTimeZone",
    "iCalUId",
    "reminderMinutesBeforeStart",
    "isReminderOn",
    "hasAttachments",
    "subject",
    "bodyPreview",
    "importance",
    "sensitivity",
    "isAllDay",
    "isCancelled",
    "isOrganizer",
    "responseRequested",
    "seriesMasterId",
    "showAs",
    "type",
    "webLink",
    "onlineMeetingUrl",
    "isOnlineMeeting",
    "onlineMeetingProvider",
    "allowNewTimeProposals",
    "isDraft",
    "hideAttendees",
    "responseStatus",
    "start",
    "end",
    "location",
    "locations",
    "recurrence",
    "attendees",
    "organizer",
    "onlineMeeting",
];

/// The named members of an event, with its times by `clocks`.
pub(in crate::tools) fn event(event: &Value, fields: &[&str], clocks: &Clocks) -> Map<String, Value> {
    let mut shown = pick(event, fields);
    let all_day = shown.get("isAllDay").and_then(Value::as_bool).unwrap_or(false);
    if all_day && let Some(days) = shown.get("start").zip(shown.get("end")).and_then(|(start, end)| day_span(start, end)) {
        shown.insert("days".into(), days.into());
    }
    for name in ["start", "end"] {
        if let Some(time) = shown.get_mut(name) {
            show_time(time, all_day, &clocks.zone);
        }
    }
    shown
}

/// Adds `local` to a `dateTimeTimeZone`, or `date` to one that means a day. A time in a zone that only Exchange knows stays as it is.
pub(super) fn show_time(time: &mut Value, all_day: bool, zone: &Zone) {
    let added = match all_day {
        true => wall_of(time).map(|wall| ("date", wall.date().to_string())),
        false => moment_of(time).map(|moment| ("local", local(moment, zone))),
    };
    if let (Some(time), Some((name, value))) = (time.as_object_mut(), added) {
        time.insert(name.into(), value.into());
    }
}

/// Cuts the body at `max` characters and says so in it; tells whether anything was cut.
pub(super) fn shorten(event: &mut Map<String, Value>, max: usize) -> bool {
    let Some(body) = event.get_mut("body") else { return false };
    let Some((start, total)) = body.get("content").and_then(Value::as_str).and_then(|content| cut(content, max)) else { return false };
    let start = Value::from(start);
    body["content"] = start;
    body["truncated"] = json!(true);
    body["total_length"] = json!(total);
    true
}
