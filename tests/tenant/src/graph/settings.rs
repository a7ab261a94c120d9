//! `mailboxSettings`: what every mailbox begins with, what its owner changed, and changing it.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::call::Call;
use super::errors::Fault;
use super::odata::{Answer, MAILBOX_SETTINGS, Row, Selection};
use super::store::{Mailbox, State};
use super::zones;
use crate::wire::Reply;

/// The settings of a mailbox as Graph shows them.
pub(crate) struct SettingsRow<'a>(pub(crate) &'a Mailbox);

impl Row for SettingsRow<'_> {
    fn property(&self, name: &str) -> Option<Value> {
        if let Some(changed) = self.0.settings.changed.get(name) {
            return Some(changed.clone());
        }
        let zone = zones::windows_name(self.0.zone);
        let moment = |at: &str| json!({"dateTime": at, "timeZone": "UTC"});
        Some(match name {
            "archiveFolder" => json!(self.0.well_known("archive").map(|number| self.0.folder_id(number))),
            "timeZone" => json!(zone),
            "delegateMeetingMessageDeliveryOptions" => json!("sendToDelegateOnly"),
            "dateFormat" => json!("yyyy-MM-dd"),
            "timeFormat" => json!("HH:mm"),
            "userPurpose" => json!("user"),
            "automaticRepliesSetting" => {
                json!({"status": "disabled", "externalAudience": "none", "internalReplyMessage": "", "externalReplyMessage": "",
                    "scheduledStartDateTime": moment("2026-11-21T09:00:00.0000000"), "scheduledEndDateTime": moment("2026-11-22T09:00:00.0000000")})
            }
            "language" => json!({"locale": "en-US", "displayName": "English (United States)"}),
            "workingHours" => {
                let days = ["monday", "tuesday", "wednesday", "thursday", "friday"];
                json!({"daysOfWeek": days, "startTime": "08:00:00.0000000", "endTime": "17:00:00.0000000", "timeZone": {"name": zone}})
            }
            _ => return None,
        })
    }
}

/// `GET …/mailboxSettings` and one of its properties.
pub(crate) fn get(state: &State, call: &Call<'_>, property: Option<&str>) -> Answer<Reply> {
    let settings = SettingsRow(call.mailbox(state));
    let mut out = Map::new();
    if let Some(name) = property {
        let value = settings.property(name).ok_or_else(|| Fault::unknown_segment(name))?;
        match value {
            Value::Object(fields) => out.extend(fields),
            value => {
                out.insert("value".to_owned(), value);
            }
        }
        return Ok(call.json(StatusCode::OK, &call.context(&format!("/mailboxSettings/{name}")), out));
    }
    let selection = Selection::parse(&call.query, &MAILBOX_SETTINGS)?;
    selection.write(&settings, &mut out);
    Ok(call.json(StatusCode::OK, &call.context("/mailboxSettings"), out))
}

/// `PATCH …/mailboxSettings`; the answer holds what was changed.
pub(crate) fn update(state: &mut State, call: &Call<'_>) -> Answer<Reply> {
    let mailbox = &mut state.mailboxes[call.owner];
    let changed = change(mailbox, &call.body()?)?;
    Ok(call.json(StatusCode::OK, &call.context("/mailboxSettings"), changed))
}

fn wrong(name: &str) -> Box<Fault> {
    Fault::bad_request(format!("Cannot convert the value of property '{name}' to the type that the resource expects."))
}

/// Checks and makes changes; the changed properties as they are then.
pub(crate) fn change(mailbox: &mut Mailbox, body: &Map<String, Value>) -> Answer<Map<String, Value>> {
    let mut out = Map::new();
    for (name, value) in body.iter().filter(|(name, _)| !name.starts_with('@')) {
        let text = || value.as_str().map(str::to_owned).ok_or_else(|| wrong(name));
        let new = match name.as_str() {
            "timeZone" => {
                let zone = text()?;
                zones::find(&zone).ok_or_else(|| {
                    let message = format!("The time zone '{zone}' is not supported.");
                    Fault::new(StatusCode::BAD_REQUEST, "ErrorInvalidTimeZone", message)
                })?;
                json!(zone)
            }
            "dateFormat" | "timeFormat" => json!(text()?),
            "delegateMeetingMessageDeliveryOptions" => {
                member(name, value, &["sendToDelegateAndInformationToPrincipal", "sendToDelegateAndPrincipal", "sendToDelegateOnly"])?
            }
            "language" => {
                let locale = value.get("locale").and_then(Value::as_str).ok_or_else(|| wrong(name))?;
                json!({"locale": locale, "displayName": locale})
            }
            "workingHours" => merged(mailbox, name, value, working_hours)?,
            "automaticRepliesSetting" => merged(mailbox, name, value, automatic_replies)?,
            "archiveFolder" | "userPurpose" => {
                let message = format!("Set action is invalid for property. Property '{name}'.");
                return Err(Fault::new(StatusCode::BAD_REQUEST, "ErrorInvalidPropertySet", message));
            }
            other => return Err(Fault::unknown_property(other, MAILBOX_SETTINGS.name)),
        };
        out.insert(name.clone(), new);
    }
    mailbox.settings.changed.extend(out.clone());
    Ok(out)
}

fn member(name: &str, value: &Value, known: &[&str]) -> Answer<Value> {
    let text = value.as_str().ok_or_else(|| wrong(name))?;
    let found = known.iter().find(|k| k.eq_ignore_ascii_case(text));
    found.map(|found| json!(found)).ok_or_else(|| Fault::bad_request(format!("Requested value '{text}' was not found.")))
}

/// A structure with the given members replaced; `check` gives each new member its form.
fn merged(mailbox: &Mailbox, name: &str, value: &Value, check: fn(&str, &Value) -> Answer<Value>) -> Answer<Value> {
    let given = value.as_object().ok_or_else(|| wrong(name))?;
    let Some(Value::Object(mut now)) = SettingsRow(mailbox).property(name) else {
        return Err(wrong(name));
    };
    for (part, value) in given.iter().filter(|(part, _)| !part.starts_with('@')) {
        now.insert(part.clone(), check(part, value)?);
    }
    Ok(Value::Object(now))
}

fn automatic_replies(name: &str, value: &Value) -> Answer<Value> {
    match name {
        "status" => member(name, value, &["disabled", "alwaysEnabled", "scheduled"]),
        "externalAudience" => member(name, value, &["none", "contactsOnly", "all"]),
        "internalReplyMessage" | "externalReplyMessage" => value.as_str().map(|text| json!(text)).ok_or_else(|| wrong(name)),
        "scheduledStartDateTime" | "scheduledEndDateTime" => {
            let part = |part: &str| value.get(part).and_then(Value::as_str).ok_or_else(|| wrong(name));
            let zone = part("timeZone")?;
            let civil: jiff::civil::DateTime = part("dateTime")?.trim_end_matches('Z').parse().map_err(|_| wrong(name))?;
            zones::find(zone).ok_or_else(|| wrong(name))?;
            Ok(json!({"dateTime": civil.strftime("%Y-%m-%dT%H:%M:%S.0000000").to_string(), "timeZone": zone}))
        }
        other => Err(Fault::unknown_property(other, "microsoft.graph.automaticRepliesSetting")),
    }
}

fn working_hours(name: &str, value: &Value) -> Answer<Value> {
    const DAYS: &[&str] = &["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
    match name {
        "daysOfWeek" => {
            let list = value.as_array().ok_or_else(|| wrong(name))?;
            Ok(Value::Array(list.iter().map(|day| member(name, day, DAYS)).collect::<Answer<Vec<_>>>()?))
        }
        "startTime" | "endTime" => {
            let time: jiff::civil::Time = value.as_str().and_then(|text| text.parse().ok()).ok_or_else(|| wrong(name))?;
            Ok(json!(time.strftime("%H:%M:%S.0000000").to_string()))
        }
        "timeZone" => {
            let zone = value.get("name").and_then(Value::as_str).ok_or_else(|| wrong(name))?;
            Ok(json!({"name": zone}))
        }
        other => Err(Fault::unknown_property(other, "microsoft.graph.workingHours")),
    }
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
