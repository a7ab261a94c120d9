//! Open extensions and extended properties: read from bodies, shown when `$expand` asks for them, and reached by their own addresses.

use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::call::Call;
use super::errors::Fault;
use super::mail::find_message;
use super::odata::{Answer, Query, encode};
use super::store::{Mailbox, Marked, Marks, State};
use super::{calendar, contacts, empty};
use crate::wire::Reply;

const SINGLE: &str = "singleValueExtendedProperties";
const MULTI: &str = "multiValueExtendedProperties";
const TYPE: &str = "microsoft.graph.openTypeExtension";
/// Before the name of an extension in its id, when it hangs on an item of a mailbox; older clients know the second one.
const PREFIXES: &[&str] = &["microsoft.graph.openTypeExtension.", "Microsoft.OutlookServices.OpenTypeExtension."];

/// What an address with extensions is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum On {
    Profile,
    Message(String),
    Event(String),
    Contact(String),
}

fn wrong(name: &str) -> Box<Fault> {
    Fault::bad_request(format!("Cannot convert the value of property '{name}' to the type that the resource expects."))
}

/// Takes the extensions and extended properties out of the body that makes or changes an item.
pub(crate) fn take(body: &mut Map<String, Value>) -> Answer<Marks> {
    let mut marks = Marks::default();
    for name in [SINGLE, MULTI] {
        let Some(given) = body.shift_remove(name) else { continue };
        for one in given.as_array().ok_or_else(|| wrong(name))? {
            let id = one.get("id").and_then(Value::as_str).ok_or_else(|| wrong(name))?;
            let value = one.get("value").filter(|value| if name == SINGLE { value.is_string() } else { value.is_array() });
            marks.properties.insert(id.to_owned(), value.ok_or_else(|| wrong(name))?.clone());
        }
    }
    if let Some(given) = body.shift_remove("extensions") {
        for one in given.as_array().ok_or_else(|| wrong("extensions"))? {
            let (name, members) = extension(one.as_object().ok_or_else(|| wrong("extensions"))?.clone())?;
            marks.extensions.insert(name, members);
        }
    }
    Ok(marks)
}

/// Hangs what a body said on the thing that it made or changed.
pub(crate) fn put(mailbox: &mut Mailbox, on: Marked, marks: Marks) {
    if !marks.is_empty() {
        mailbox.marks.entry(on).or_default().extend(marks);
    }
}

/// The name and the members of an extension.
fn extension(mut given: Map<String, Value>) -> Answer<(String, Map<String, Value>)> {
    let kind = given.get("@odata.type").and_then(Value::as_str).unwrap_or_default().trim_start_matches('#').to_ascii_lowercase();
    if !["microsoft.graph.opentypeextension", "microsoft.outlookservices.opentypeextension"].contains(&kind.as_str()) {
        return Err(Fault::bad_request("An extension must be of the type 'microsoft.graph.openTypeExtension'."));
    }
    let name = given.shift_remove("extensionName").and_then(|name| name.as_str().map(str::to_owned)).filter(|name| !name.is_empty());
    given.retain(|name, _| !name.starts_with('@') && name != "id");
    Ok((name.ok_or_else(|| wrong("extensionName"))?, given))
}

fn shown(on: Marked, name: &str, members: &Map<String, Value>) -> Map<String, Value> {
    let id = if on == Marked::Profile { name.to_owned() } else { format!("{}{name}", PREFIXES[0]) };
    let mut out = Map::new();
    out.insert("@odata.type".to_owned(), json!(format!("#{TYPE}")));
    out.insert("id".to_owned(), json!(id));
    out.insert("extensionName".to_owned(), json!(name));
    out.extend(members.clone());
    out
}

/// Which of an item's marks `$expand` asks for. `None` is not asked; an empty list asks for all.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    extensions: Option<Vec<String>>,
    single: Option<Vec<String>>,
    multi: Option<Vec<String>>,
}

impl Wanted {
    /// All that an item may show as the answer to a write of it.
    pub(crate) fn extensions() -> Self {
        Self { extensions: Some(Vec::new()), ..Self::default() }
    }

    /// Reads one part of an `$expand`; false when it is about something else.
    pub(crate) fn read(&mut self, name: &str, options: &Query) -> Answer<bool> {
        let ids = options.get("filter").map(ids).transpose()?;
        let slot = match name.to_ascii_lowercase().as_str() {
            "extensions" => {
                self.extensions = Some(ids.unwrap_or_default());
                return Ok(true);
            }
            "singlevalueextendedproperties" => &mut self.single,
            "multivalueextendedproperties" => &mut self.multi,
            _ => return Ok(false),
        };
        let missing = || Fault::bad_request("Extended properties can only be expanded with a filter that names them by their ids.");
        *slot = Some(ids.ok_or_else(missing)?);
        Ok(true)
    }

    /// Writes what is there of what is wanted; `place` is the item's context URL.
    pub(crate) fn write(&self, mailbox: &Mailbox, on: Marked, place: &str, out: &mut Map<String, Value>) {
        let nothing = Marks::default();
        let marks = mailbox.marks.get(&on).unwrap_or(&nothing);
        let mut add = |name: &str, rows: Vec<Value>| {
            if !rows.is_empty() {
                out.insert(format!("{name}@odata.context"), json!(format!("{place}/{name}")));
                out.insert(name.to_owned(), Value::Array(rows));
            }
        };
        if let Some(ids) = &self.extensions {
            let asked = |name: &&String| ids.is_empty() || ids.iter().any(|id| bare(id).eq_ignore_ascii_case(name));
            let rows = marks.extensions.iter().filter(|(name, _)| asked(name));
            add("extensions", rows.map(|(name, members)| Value::Object(shown(on, name, members))).collect());
        }
        for (name, wanted, many) in [(SINGLE, &self.single, false), (MULTI, &self.multi, true)] {
            let Some(ids) = wanted else { continue };
            let asked = |id: &str, value: &Value| value.is_array() == many && ids.iter().any(|wanted| wanted.eq_ignore_ascii_case(id));
            let rows = marks.properties.iter().filter(|(id, value)| asked(id, value));
            add(name, rows.map(|(id, value)| json!({"id": id, "value": value})).collect());
        }
    }
}

/// `id eq 'a' or id eq 'b'`
fn ids(filter: &str) -> Answer<Vec<String>> {
    let parts: Vec<&str> = filter.split('\'').collect();
    let between = parts.iter().step_by(2).map(|part| part.split_whitespace().collect::<Vec<_>>().join(" ").to_ascii_lowercase());
    let fits = parts.len() % 2 == 1
        && between.enumerate().all(|(at, text)| match at {
            0 => text == "id eq",
            at if at == parts.len() / 2 => text.is_empty(),
            _ => text == "or id eq",
        });
    if !fits || parts.len() < 3 {
        return Err(Fault::bad_request(format!("Invalid filter clause in $expand: '{filter}'.")));
    }
    Ok(parts.iter().skip(1).step_by(2).map(|id| (*id).to_owned()).collect())
}

/// An extension's id without what stands before its name.
fn bare(id: &str) -> &str {
    let strip = |prefix: &&str| id.get(..prefix.len()).filter(|start| start.eq_ignore_ascii_case(prefix)).map(|_| &id[prefix.len()..]);
    PREFIXES.iter().find_map(strip).unwrap_or(id)
}

/// The thing that an address names, and its place in a context URL.
fn find(state: &State, call: &Call<'_>, on: &On) -> Answer<(Marked, String)> {
    let mailbox = call.mailbox(state);
    Ok(match on {
        On::Profile => (Marked::Profile, call.context("")),
        On::Message(id) => (Marked::Message(find_message(mailbox, id)?.number), call.context(&format!("/messages('{}')", encode(id)))),
        On::Event(id) => (Marked::Event(calendar::find(mailbox, id)?.0.number), call.context(&format!("/events('{}')", encode(id)))),
        On::Contact(id) => (Marked::Contact(contacts::find(mailbox, id)?.number), call.context(&format!("/contacts('{}')", encode(id)))),
    })
}

/// `GET …/extensions`
pub(crate) fn list(state: &State, call: &Call<'_>, on: &On) -> Answer<Reply> {
    let (at, place) = find(state, call, on)?;
    let marks = call.mailbox(state).marks.get(&at);
    let rows = marks.into_iter().flat_map(|marks| &marks.extensions).map(|(name, members)| Value::Object(shown(at, name, members)));
    let mut body = Map::new();
    body.insert("value".to_owned(), rows.collect());
    Ok(call.json(StatusCode::OK, &format!("{place}/extensions"), body))
}

fn one(state: &State, call: &Call<'_>, on: &On, id: &str, status: StatusCode) -> Answer<Reply> {
    let (at, place) = find(state, call, on)?;
    let marks = call.mailbox(state).marks.get(&at);
    let found = marks.and_then(|marks| marks.extensions.iter().find(|(name, _)| bare(id).eq_ignore_ascii_case(name)));
    let (name, members) = found.ok_or_else(Fault::item_gone)?;
    Ok(call.json(status, &format!("{place}/extensions/$entity"), shown(at, name, members)))
}

/// `GET …/extensions/{id}`
pub(crate) fn get(state: &State, call: &Call<'_>, on: &On, id: &str) -> Answer<Reply> {
    one(state, call, on, id, StatusCode::OK)
}

/// What hangs on an item is a part of it: the item has changed.
fn touch(mailbox: &mut Mailbox, on: Marked, now: Timestamp) {
    match on {
        Marked::Profile => {}
        Marked::Message(number) => mailbox.change_message(number, now, |_| {}),
        Marked::Event(number) => mailbox.change_event(number, now, |_| {}),
        Marked::Contact(number) => mailbox.change_contact(number, now, Map::new()),
    }
}

/// `POST …/extensions`
pub(crate) fn create(state: &mut State, call: &Call<'_>, on: &On) -> Answer<Reply> {
    let (at, _) = find(state, call, on)?;
    let (name, members) = extension(call.body()?)?;
    let extensions = &mut state.mailboxes[call.owner].marks.entry(at).or_default().extensions;
    if at == Marked::Profile && extensions.keys().any(|known| known.eq_ignore_ascii_case(&name)) {
        return Err(Fault::new(StatusCode::CONFLICT, "Request_ResourceExists", "An extension already exists with given id."));
    }
    extensions.insert(name.clone(), members);
    touch(&mut state.mailboxes[call.owner], at, call.now);
    one(state, call, on, &name, StatusCode::CREATED)
}

/// `PATCH …/extensions/{id}`: the members given replace those of the same names.
pub(crate) fn update(state: &mut State, call: &Call<'_>, on: &On, id: &str) -> Answer<Reply> {
    let (at, _) = find(state, call, on)?;
    let mut given = call.body()?;
    given.retain(|name, _| !name.starts_with('@') && name != "id" && name != "extensionName");
    let marks = state.mailboxes[call.owner].marks.entry(at).or_default();
    let known = marks.extensions.iter_mut().find(|(name, _)| bare(id).eq_ignore_ascii_case(name));
    known.ok_or_else(Fault::item_gone)?.1.extend(given);
    touch(&mut state.mailboxes[call.owner], at, call.now);
    if at == Marked::Profile { Ok(empty(StatusCode::NO_CONTENT)) } else { one(state, call, on, id, StatusCode::OK) }
}

/// `DELETE …/extensions/{id}`
pub(crate) fn delete(state: &mut State, call: &Call<'_>, on: &On, id: &str) -> Answer<Reply> {
    let (at, _) = find(state, call, on)?;
    let marks = state.mailboxes[call.owner].marks.entry(at).or_default();
    let before = marks.extensions.len();
    marks.extensions.retain(|name, _| !bare(id).eq_ignore_ascii_case(name));
    if marks.extensions.len() == before {
        return Err(Fault::item_gone());
    }
    touch(&mut state.mailboxes[call.owner], at, call.now);
    Ok(empty(StatusCode::NO_CONTENT))
}

#[cfg(test)]
#[path = "marks_tests.rs"]
mod tests;
