//! Searching events: singles and series, by what they are called, where they are and who comes.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::super::calendar::{EventRow, instant};
use super::super::call::Call;
use super::super::odata::{Answer, Row as _};
use super::super::store::{Event, State};
use super::kql::Document;
use super::{Found, Hit, Wish, summary};
use crate::seed::prose;

/// The properties that a search of events may name.
pub(crate) const PROPERTIES: &[&str] =
    &["subject", "body", "location", "organizer", "attendees", "participants", "start", "end", "isallday"];

/// What a hit shows of its event when no fields are named.
const USUAL: &[&str] =
    &["end", "hasAttachments", "iCalUId", "isAllDay", "sensitivity", "start", "subject", "type", "location", "organizer", "webLink"];

impl Document for Event {
    fn texts(&self, property: Option<&str>) -> Option<Vec<String>> {
        let at = |path: &[&str]| {
            let found = path.iter().skip(1).fold(self.data.get(path[0]), |value, name| value.and_then(|value| value.get(name)));
            found.and_then(Value::as_str).unwrap_or("").to_lowercase()
        };
        let body = || prose::text_of(&at(&["body", "content"]));
        let person = |value: &Value| {
            let part = |name: &str| value["emailAddress"][name].as_str().unwrap_or("").to_lowercase();
            format!("{} {}", part("name"), part("address"))
        };
        let organizer = || person(self.data.get("organizer").unwrap_or(&Value::Null));
        let attendees = || self.data.get("attendees").and_then(Value::as_array).into_iter().flatten().map(person);
        Some(match property {
            Some("subject") => vec![at(&["subject"])],
            Some("body") => vec![body()],
            Some("location") => vec![at(&["location", "displayName"])],
            Some("organizer") => vec![organizer()],
            Some("attendees") => attendees().collect(),
            Some("participants") => attendees().chain([organizer()]).collect(),
            Some(_) => return None,
            None => attendees().chain([at(&["subject"]), at(&["location", "displayName"]), organizer(), body()]).collect(),
        })
    }

    fn instant(&self, property: &str) -> Option<Timestamp> {
        match property {
            "start" => Some(instant(&self.start)),
            "end" => Some(instant(&self.end)),
            _ => None,
        }
    }

    fn truth(&self, property: &str) -> Option<bool> {
        (property == "isallday").then(|| self.data.get("isAllDay").and_then(Value::as_bool).unwrap_or(false))
    }
}

/// What is found in all calendars of the mailbox, the latest first.
pub(crate) fn find(state: &State, call: &Call<'_>, wish: &Wish<'_>) -> Answer<Found> {
    let mailbox = call.mailbox(state);
    let words = wish.terms.words();
    let mut found: Vec<&Event> =
        mailbox.events.iter().flatten().filter(|event| event.searchable <= call.now && wish.terms.find(*event)).collect();
    found.sort_by_key(|event| (std::cmp::Reverse(instant(&event.start)), event.number));
    Ok(wish.page(found.into_iter(), |event| {
        let row = EventRow { mailbox, event, occurrence: None, immutable: call.view.immutable, text: true, zone: call.view.zone.as_ref() };
        let names = if wish.fields.is_empty() { USUAL } else { &wish.fields };
        let mut resource = Map::new();
        resource.insert("@odata.type".to_owned(), Value::from("#microsoft.graph.event"));
        resource.extend(names.iter().filter_map(|name| row.property(name).map(|value| ((*name).to_owned(), value))));
        let text = row.property("bodyPreview").and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default();
        Hit { id: row.id(), summary: summary(&text, &words), resource }
    }))
}
