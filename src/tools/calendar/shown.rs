//! An event as answers show it: Graph's own members, and beside its UTC times the local ones, or its days.

use serde_json::{Map, Value};

use crate::tools::{
    local::members_to_zone,
    shape::pick,
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
    members_to_zone(&mut shown, &clocks.zone);
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

/// Leaves out of an event in a list what costs a model tokens and tells it nothing: what Exchange fills in by itself beside the name of a
/// place. `calendar_get_event` has all of it.
pub(in crate::tools) fn brief(event: &mut Map<String, Value>) {
    if let Some(place) = event.get_mut("location").and_then(Value::as_object_mut) {
        if place.get("uniqueIdType").and_then(Value::as_str).is_none_or(|kind| matches!(kind, "private" | "unknown")) {
            place.shift_remove("uniqueId");
            place.shift_remove("uniqueIdType");
        }
        if place.get("locationType").and_then(Value::as_str) == Some("default") {
            place.shift_remove("locationType");
        }
        // An address or coordinates that are not known come as empty objects.
        place.retain(|_, value| value.as_object().is_none_or(|members| !members.is_empty()));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_tells_nothing_is_left_out_in_lists() {
        let brief_of = |event: Value| {
            let mut event = event.as_object().unwrap().clone();
            brief(&mut event);
            Value::from(event)
        };
        let plain = json!({"subject": "s", "location": {"displayName": "Harbour room", "locationType": "default", "uniqueId": "Harbour room",
            "uniqueIdType": "private", "address": {}, "coordinates": {}}});
        assert_eq!(brief_of(plain), json!({"subject": "s", "location": {"displayName": "Harbour room"}}));
        let telling = json!({"location": {"displayName": "", "locationType": "conferenceRoom", "uniqueId": "room@x",
            "uniqueIdType": "directory", "address": {"city": "Kiel"}}});
        assert_eq!(brief_of(telling.clone()), telling);
        assert_eq!(brief_of(json!({"location": null})), json!({"location": null}));
    }
}
