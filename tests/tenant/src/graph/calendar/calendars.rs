//! Calendars themselves: lists, single ones, new names and colours, deletion, and the one group that they are in.

use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::graph::call::Call;
use crate::graph::contacts::writable;
use crate::graph::empty;
use crate::graph::errors::Fault;
use crate::graph::odata::{Answer, CALENDAR, CALENDAR_GROUP, Limits, Row, Selection, list as page_of};
use crate::graph::store::{Calendar, Mailbox, State};
use crate::seed::ids::{IdKind, Named, looks_like_exchange_id};
use crate::seed::{Kind, User};
use crate::wire::Reply;

pub(super) const LIMITS: Limits = Limits { usual: 10, most: 1_000, strict_order: false, falling: None };
/// Properties that Exchange alone writes.
const FIXED: &[&str] = &["id", "changeKey", "canShare", "canViewPrivateItems", "canEdit", "isTallyingResponses", "isRemovable", "owner"];
const COLOURS: &[&str] = &[
    "auto",
    "lightBlue",
    "lightGreen",
    "lightOrange",
    "lightGray",
    "lightYellow",
    "lightTeal",
    "lightPink",
    "lightBrown",
    "lightRed",
    "maxColor",
];
/// The mailbox's own calendar.
pub(crate) const OWN: u32 = 0;

/// A calendar as Graph shows it.
pub(crate) struct CalendarRow<'a> {
    pub(crate) mailbox: &'a Mailbox,
    pub(crate) calendar: &'a Calendar,
    pub(crate) owner: &'a User,
}

impl Row for CalendarRow<'_> {
    fn property(&self, name: &str) -> Option<Value> {
        let calendar = self.calendar;
        let own = calendar.number == OWN;
        let provider = if self.owner.kind == Kind::Personal { "skypeForConsumer" } else { "teamsForBusiness" };
        Some(match name {
            "id" => json!(self.mailbox.calendar_id(calendar.number)),
            "name" => json!(calendar.name),
            "color" => json!(calendar.color),
            "hexColor" => json!(""),
            "isDefaultCalendar" => json!(own),
            "changeKey" => json!(self.mailbox.key.change_key(calendar.sequence)),
            "canShare" | "canViewPrivateItems" | "canEdit" => json!(true),
            "allowedOnlineMeetingProviders" => json!([provider]),
            "defaultOnlineMeetingProvider" => json!(provider),
            "isTallyingResponses" => json!(own),
            "isRemovable" => json!(!own),
            "owner" => json!({"name": self.owner.display_name, "address": self.owner.username}),
            _ => return None,
        })
    }
}

/// The calendar with this id, or the mailbox's own.
pub(crate) fn find_calendar(mailbox: &Mailbox, id: Option<&str>) -> Answer<u32> {
    let Some(id) = id else { return Ok(OWN) };
    let Some(named) = mailbox.key.decode(id).filter(|named| named.kind == IdKind::Calendar) else {
        return Err(if looks_like_exchange_id(id) { Fault::item_gone() } else { Fault::malformed_id() });
    };
    mailbox.calendar(named.number).map(|calendar| calendar.number).ok_or_else(Fault::item_gone)
}

/// `GET …/calendars`, also of the group.
pub(crate) fn calendars(state: &State, call: &Call<'_>, group: Option<&str>) -> Answer<Reply> {
    let mailbox = call.mailbox(state);
    if let Some(group) = group {
        check_group(mailbox, group)?;
    }
    let owner = &state.users[call.owner];
    let numbers: Vec<u32> = mailbox.calendars.iter().flatten().map(|calendar| calendar.number).collect();
    let selection = Selection::parse(&call.query, &CALENDAR)?;
    let row = |n: u32| mailbox.calendar(n).map(|calendar| CalendarRow { mailbox, calendar, owner });
    let write = |row: &CalendarRow<'_>| {
        let mut out = Map::new();
        selection.write(row, &mut out);
        Value::Object(out)
    };
    let body = page_of(&numbers, &call.query, &CALENDAR, LIMITS, &call.address(), row, write)?;
    Ok(call.json(StatusCode::OK, &call.context(&format!("/calendars{}", selection.context())), body))
}

/// `GET …/calendar`, `GET …/calendars/{id}`
pub(crate) fn calendar(state: &State, call: &Call<'_>, id: Option<&str>) -> Answer<Reply> {
    let mailbox = call.mailbox(state);
    let number = find_calendar(mailbox, id)?;
    let calendar = mailbox.calendar(number).ok_or_else(Fault::item_gone)?;
    let selection = Selection::parse(&call.query, &CALENDAR)?;
    let mut out = Map::new();
    selection.write(&CalendarRow { mailbox, calendar, owner: &state.users[call.owner] }, &mut out);
    let place = if id.is_some() { "calendars" } else { "calendar" };
    Ok(call.json(StatusCode::OK, &call.context(&format!("/{place}{}/$entity", selection.context())), out))
}

fn colour(name: &str) -> Answer<&'static str> {
    let found = COLOURS.iter().find(|known| known.eq_ignore_ascii_case(name));
    found.copied().ok_or_else(|| Fault::bad_request(format!("Cannot convert the value '{name}' to the type 'calendarColor'.")))
}

/// What a body says of a calendar: its name and its colour.
fn given(mut body: Map<String, Value>) -> Answer<(Option<String>, Option<&'static str>)> {
    body.retain(|name, _| name != "isDefaultCalendar" && name != "hexColor");
    let data = writable(body, &CALENDAR, FIXED)?;
    let name = data.get("name").and_then(Value::as_str).map(str::trim).map(str::to_owned);
    if name.as_deref() == Some("") {
        return Err(Fault::new(StatusCode::BAD_REQUEST, "ErrorInvalidProperty", "The property 'name' must not be empty."));
    }
    Ok((name, data.get("color").and_then(Value::as_str).map(colour).transpose()?))
}

fn taken(mailbox: &Mailbox, name: &str, except: u32) -> bool {
    mailbox.calendars.iter().flatten().any(|other| other.number != except && other.name.to_lowercase() == name.to_lowercase())
}

fn shown(state: &State, call: &Call<'_>, number: u32, status: StatusCode) -> Answer<Reply> {
    let mailbox = call.mailbox(state);
    let calendar = mailbox.calendar(number).ok_or_else(Fault::item_gone)?;
    let mut out = Map::new();
    let all = Selection::from_text(None, &CALENDAR)?;
    all.write(&CalendarRow { mailbox, calendar, owner: &state.users[call.owner] }, &mut out);
    Ok(call.json(status, &call.context("/calendars/$entity"), out))
}

/// Makes a calendar; used by the route and by changes from outside.
pub(crate) fn new_calendar(mailbox: &mut Mailbox, body: Map<String, Value>) -> Answer<u32> {
    let (name, colour) = given(body)?;
    let name =
        name.ok_or_else(|| Fault::new(StatusCode::BAD_REQUEST, "ErrorInvalidProperty", "The required property 'name' is missing."))?;
    if taken(mailbox, &name, u32::MAX) {
        return Err(Fault::folder_exists());
    }
    Ok(mailbox.add_calendar(name, colour.unwrap_or("auto")))
}

/// `POST …/calendars`
pub(crate) fn create(state: &mut State, call: &Call<'_>, group: Option<&str>) -> Answer<Reply> {
    if let Some(group) = group {
        check_group(call.mailbox(state), group)?;
    }
    let number = new_calendar(&mut state.mailboxes[call.owner], call.body()?)?;
    shown(state, call, number, StatusCode::CREATED)
}

/// Changes a calendar; used by the route and by changes from outside.
pub(crate) fn change_calendar(mailbox: &mut Mailbox, number: u32, body: Map<String, Value>) -> Answer<()> {
    let (name, colour) = given(body)?;
    if name.as_deref().is_some_and(|name| taken(mailbox, name, number)) {
        return Err(Fault::folder_exists());
    }
    mailbox.change_calendar(number, |calendar| {
        calendar.name = name.unwrap_or_else(|| calendar.name.clone());
        calendar.color = colour.unwrap_or(calendar.color);
    });
    Ok(())
}

/// `PATCH …/calendars/{id}`
pub(crate) fn update(state: &mut State, call: &Call<'_>, id: Option<&str>) -> Answer<Reply> {
    let number = find_calendar(call.mailbox(state), id)?;
    change_calendar(&mut state.mailboxes[call.owner], number, call.body()?)?;
    shown(state, call, number, StatusCode::OK)
}

/// Refused for the mailbox's own calendar.
pub(crate) fn remove_calendar(mailbox: &mut Mailbox, number: u32) -> Answer<()> {
    if number == OWN {
        let message = "The default calendar can't be deleted.";
        return Err(Fault::new(StatusCode::BAD_REQUEST, "ErrorDeleteDistinguishedFolder", message));
    }
    mailbox.remove_calendar(number);
    Ok(())
}

/// `DELETE …/calendars/{id}`, with everything in it.
pub(crate) fn delete(state: &mut State, call: &Call<'_>, id: Option<&str>) -> Answer<Reply> {
    let number = find_calendar(call.mailbox(state), id)?;
    remove_calendar(&mut state.mailboxes[call.owner], number)?;
    Ok(empty(StatusCode::NO_CONTENT))
}

/// The group that every mailbox has, and the only one here.
fn group_id(mailbox: &Mailbox) -> String {
    mailbox.key.encode(Named { kind: IdKind::CalendarGroup, immutable: false, number: 0, generation: 0, place: 0 })
}

fn check_group(mailbox: &Mailbox, id: &str) -> Answer<()> {
    match id == group_id(mailbox) {
        true => Ok(()),
        false if looks_like_exchange_id(id) => Err(Fault::item_gone()),
        false => Err(Fault::malformed_id()),
    }
}

fn group(mailbox: &Mailbox) -> Map<String, Value> {
    let mut out = Map::new();
    out.insert("id".to_owned(), json!(group_id(mailbox)));
    out.insert("name".to_owned(), json!("My Calendars"));
    out.insert("classId".to_owned(), json!("0006f0b7-0000-0000-c000-000000000046"));
    out.insert("changeKey".to_owned(), json!(mailbox.key.change_key(1)));
    out
}

fn write_group(mailbox: &Mailbox, selection: &Selection) -> Map<String, Value> {
    let mut out = Map::new();
    selection.write(&group(mailbox), &mut out);
    out
}

/// `GET …/calendarGroups`
pub(crate) fn groups(state: &State, call: &Call<'_>) -> Answer<Reply> {
    let selection = Selection::parse(&call.query, &CALENDAR_GROUP)?;
    let mut out = Map::new();
    out.insert("value".to_owned(), json!([write_group(call.mailbox(state), &selection)]));
    Ok(call.json(StatusCode::OK, &call.context(&format!("/calendarGroups{}", selection.context())), out))
}

/// `GET …/calendarGroups/{id}`
pub(crate) fn one_group(state: &State, call: &Call<'_>, id: &str) -> Answer<Reply> {
    let mailbox = call.mailbox(state);
    check_group(mailbox, id)?;
    let selection = Selection::parse(&call.query, &CALENDAR_GROUP)?;
    let context = call.context(&format!("/calendarGroups{}/$entity", selection.context()));
    Ok(call.json(StatusCode::OK, &context, write_group(mailbox, &selection)))
}
