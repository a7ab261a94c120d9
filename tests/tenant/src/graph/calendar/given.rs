//! What a request's body says of an event: read, checked, and completed as Exchange completes it.

use http::StatusCode;
use jiff::Timestamp;
use jiff::civil::DateTime;
use serde_json::{Map, Value, json};

use super::recur::instant;
use crate::graph::attachment_write::read;
use crate::graph::contacts::writable;
use crate::graph::errors::Fault;
use crate::graph::odata::{Answer, EVENT};
use crate::graph::store::{Attachment, Moment, status};
use crate::graph::zones;
use crate::seed::prng::mix;

/// Properties that Exchange alone writes.
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
    "isCancelled",
    "onlineMeeting",
    "onlineMeetingUrl",
    "hasAttachments",
    "originalStart",
];
/// Properties that a body may carry, as one that was read before does, and that change nothing.
const IGNORED: &[&str] = &["originalStartTimeZone", "originalEndTimeZone", "responseStatus", "organizer"];

const CHOICES: &[(&str, &[&str])] = &[
    ("showAs", &["free", "tentative", "busy", "oof", "workingElsewhere", "unknown"]),
    ("importance", &["low", "normal", "high"]),
    ("sensitivity", &["normal", "personal", "private", "confidential"]),
    ("onlineMeetingProvider", &["unknown", "teamsForBusiness", "skypeForBusiness", "skypeForConsumer"]),
];
const ATTENDEE_TYPES: &[&str] = &["required", "optional", "resource"];

/// A property that is missing or holds what it must not.
pub(crate) fn wrong(name: &str) -> Box<Fault> {
    let message = format!("The value of property '{name}' is missing or not valid.");
    Fault::new(StatusCode::BAD_REQUEST, "ErrorPropertyValidationFailure", message)
}

fn invalid(message: &str) -> Box<Fault> {
    Fault::new(StatusCode::BAD_REQUEST, "ErrorPropertyValidationFailure", message)
}

/// Writes all names of members with a small first letter: actions take either.
pub(crate) fn small_names(value: Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .into_iter()
            .map(|(name, value)| {
                let mut letters = name.chars();
                let small = letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or(name);
                (small, small_names(value))
            })
            .collect(),
        Value::Array(list) => list.into_iter().map(small_names).collect(),
        other => other,
    }
}

/// Reads a `dateTimeTimeZone`.
pub(crate) fn moment(value: &Value, name: &str) -> Answer<Moment> {
    let text = value.get("dateTime").and_then(Value::as_str).ok_or_else(|| wrong(name))?;
    let zone = value.get("timeZone").and_then(Value::as_str).unwrap_or("UTC");
    let Some(found) = zones::find(zone) else {
        let message = format!("A valid TimeZone value must be specified. The following TimeZone value is not supported: '{zone}'.");
        return Err(Fault::new(StatusCode::BAD_REQUEST, "TimeZoneNotSupportedException", message));
    };
    let at = match text.parse::<Timestamp>() {
        // With an offset it is an instant, whatever the zone says.
        Ok(at) => found.to_datetime(at),
        Err(_) => text.parse::<DateTime>().map_err(|_| wrong(name))?,
    };
    Ok(Moment { at, zone: zone.to_owned() })
}

/// An event may not end before it starts; one that fills days must begin and end at midnight of the same zone.
pub(crate) fn check_times(start: &Moment, end: &Moment, all_day: bool) -> Answer<()> {
    if instant(end) < instant(start) {
        return Err(wrong("end"));
    }
    if !all_day {
        return Ok(());
    }
    let midnight = jiff::civil::Time::midnight();
    if start.at.time() != midnight {
        return Err(invalid("The Event.Start property for an all-day event needs to be set to midnight."));
    }
    if end.at.time() != midnight {
        return Err(invalid("The Event.End property for an all-day event needs to be set to midnight."));
    }
    if end.at <= start.at {
        return Err(invalid("The duration of an event marked as All day must be at least 24 hours."));
    }
    Ok(())
}

/// What a body says of an event, checked.
pub(crate) struct Given {
    pub(crate) start: Option<Moment>,
    pub(crate) end: Option<Moment>,
    /// Present when the body names it, null to end a series.
    pub(crate) recurrence: Option<Value>,
    pub(crate) attachments: Vec<Attachment>,
    pub(crate) data: Map<String, Value>,
}

impl Given {
    /// Reads a body. `now` is when things in it were made.
    pub(crate) fn parse(mut body: Map<String, Value>, now: Timestamp) -> Answer<Self> {
        body.retain(|name, _| !IGNORED.contains(&name.as_str()));
        let attachments = attachments(body.shift_remove("attachments"), now)?;
        let mut data = writable(body, &EVENT, FIXED)?;
        let start = data.shift_remove("start").map(|value| moment(&value, "start")).transpose()?;
        let end = data.shift_remove("end").map(|value| moment(&value, "end")).transpose()?;
        let recurrence = data.shift_remove("recurrence");
        for (name, choices) in CHOICES {
            if let Some(value) = data.get_mut(*name) {
                *value = choice(value, choices).ok_or_else(|| wrong(name))?;
            }
        }
        if let Some(body) = data.get_mut("body") {
            *body = html(body)?;
        }
        if let Some(Value::Array(list)) = data.get_mut("attendees") {
            list.iter_mut().try_for_each(attendee)?;
        }
        if let Some(location) = data.get_mut("location").filter(|location| location.is_object()) {
            complete(location);
            let location = location.clone();
            data.entry("locations").or_insert_with(|| json!([location]));
        } else if let Some(first) = data.get("locations").and_then(|list| list.get(0)).cloned() {
            data.insert("location".to_owned(), first);
        }
        if let Some(Value::Array(list)) = data.get_mut("locations") {
            list.iter_mut().for_each(complete);
            if let Some(first) = list.first().cloned() {
                data.insert("location".to_owned(), first);
            }
        }
        if data.get("isOnlineMeeting") == Some(&json!(true)) {
            online(&mut data);
        }
        Ok(Self { start, end, recurrence, attachments, data })
    }
}

fn attachments(list: Option<Value>, now: Timestamp) -> Answer<Vec<Attachment>> {
    let list = match list {
        None => return Ok(Vec::new()),
        Some(list) => list,
    };
    list.as_array().ok_or_else(|| wrong("attachments"))?.iter().zip(0..).map(|(one, index)| read(one, index, now)).collect()
}

fn choice(value: &Value, choices: &[&str]) -> Option<Value> {
    let text = value.as_str()?;
    choices.iter().find(|known| known.eq_ignore_ascii_case(text)).map(|known| json!(known))
}

/// Exchange keeps event bodies as HTML.
fn html(body: &Value) -> Answer<Value> {
    let content = body.get("content").and_then(Value::as_str).unwrap_or("");
    let kind = body.get("contentType").map_or(Some(json!("text")), |kind| choice(kind, &["text", "html"])).ok_or_else(|| wrong("body"))?;
    let content =
        if kind == "html" { content.to_owned() } else { crate::seed::prose::html(&content.lines().map(str::to_owned).collect::<Vec<_>>()) };
    Ok(json!({"contentType": "html", "content": content}))
}

/// Checks an attendee and completes it; nobody has answered yet.
pub(crate) fn attendee(value: &mut Value) -> Answer<()> {
    let fields = value.as_object_mut().ok_or_else(|| wrong("attendees"))?;
    fields.retain(|name, _| ["emailAddress", "type"].contains(&name.as_str()));
    let address = fields.get("emailAddress").and_then(|email| email.get("address")).and_then(Value::as_str).unwrap_or("").to_owned();
    if !address.contains('@') {
        return Err(Fault::new(StatusCode::BAD_REQUEST, "ErrorInvalidRecipients", "At least one recipient is not valid."));
    }
    let name = fields.get("emailAddress").and_then(|email| email.get("name")).and_then(Value::as_str).unwrap_or(&address).to_owned();
    fields.insert("emailAddress".to_owned(), json!({"name": name, "address": address}));
    let kind = fields.get("type").map_or(Some(json!("required")), |kind| choice(kind, ATTENDEE_TYPES)).ok_or_else(|| wrong("attendees"))?;
    fields.insert("type".to_owned(), kind);
    // Only answers set it.
    fields.insert("status".to_owned(), status("none", None));
    Ok(())
}

fn complete(location: &mut Value) {
    if let Some(fields) = location.as_object_mut() {
        let name = fields.entry("displayName").or_insert_with(|| json!("")).clone();
        fields.entry("locationType").or_insert_with(|| json!("default"));
        fields.entry("uniqueIdType").or_insert_with(|| json!("private"));
        fields.entry("uniqueId").or_insert(name);
    }
}

fn online(data: &mut Map<String, Value>) {
    if data.get("onlineMeetingProvider").is_none_or(|provider| provider == "unknown") {
        data.insert("onlineMeetingProvider".to_owned(), json!("teamsForBusiness"));
    }
    let stamp = data.get("subject").and_then(Value::as_str).unwrap_or("").bytes().fold(7, |state, byte| mix(state ^ u64::from(byte)));
    let url = format!("https://teams.microsoft.com/l/meetup-join/19%3ameeting_{stamp:016x}%40thread.v2/0");
    data.insert("onlineMeeting".to_owned(), json!({"joinUrl": url}));
}
