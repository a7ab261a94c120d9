//! `calendar_create_event` and `calendar_update_event`.
//!
//! A created event carries a `transactionId`, by which Exchange knows a repeated request for the same. A call has no dice, so it is made
//! of what the call says and the millisecond it began in: the same words at another time are another event.
//!
//! Whether an update reaches others shows only at Exchange: it is looked at first, and the update of a meeting with attendees asks.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::{
    EVENT_ID, PEOPLE, SUBJECT, UTC, attendees, calendar_of, event_id, event_touches, home, look, mail_goes_out,
    plan::{days, given, hours, in_order, known, moment},
    recipients, recurrence, says,
    shown::{Clocks, FIELDS, event},
};
use crate::{
    cache::{Scope, Service, Touch},
    clock::Timestamp,
    graph::GraphRequest,
    ids::ToolProfile::{Calendar, Essential},
    tools::{
        Args, Asks, Does, Effect, Param, ParamType, Risk, StepError, Steps, Tool, Written,
        mailbox::at,
        shape::{id, text, untrusted},
        time::{Given, in_zone, moment_of, wall_of},
        tool::{ACCOUNT, CONFIRM_TOKEN, MAILBOX},
        zone::Zone,
    },
};

pub(in crate::tools) const TOOLS: &[Tool] = &[
    Tool {
        name: "calendar_create_event",
        title: "Create an event",
        profiles: &[Essential, Calendar],
        help: "Puts an event into a calendar. With attendees, invitations are sent at once, so the user is asked first. Times with an \
               offset are that moment; others are in `timezone`. Returns the event without its body.",
        params: &[
            ACCOUNT,
            Param::required("subject", SUBJECT, "The subject."),
            Param::required("start", ParamType::Time, "ISO 8601, such as 2026-11-20T10:00 or 2026-11-20T10:00+01:00."),
            Param::required("end", ParamType::Time, "ISO 8601, later than start. All-day events end on the day after their last."),
            Param::optional("location", ParamType::Text { max: 1000 }, "null", "Where it takes place."),
            Param::optional("body", ParamType::Prose { max: 1_000_000 }, "null", "What it is about."),
            Param::optional("attendees", PEOPLE, "null", "Whom to invite."),
            Param::optional(
                "timezone",
                ParamType::Zone,
                "null",
                "IANA or Windows name of the zone it lives in; the mailbox's by default. A series keeps its hour there.",
            ),
            Param::optional("body_type", ParamType::Choice(&["text", "html"]), "\"text\"", "What body is.").rare(),
            Param::optional("is_all_day", ParamType::Bool, "false", "Whole days: start and end are dates."),
            Param::optional("is_online_meeting", ParamType::Bool, "false", "With a link to join online."),
            Param::optional("recurrence", ParamType::Object(recurrence::MEMBERS), "null", "How it recurs, from start on."),
            Param::optional("calendar_id", ParamType::Id, "null", "From calendar_list_calendars; the default one without it."),
            MAILBOX,
            CONFIRM_TOKEN,
        ],
        effect: Effect::Write { service: Service::Calendar },
        risk: Risk::Moderate,
        idempotent: false,
        asks: Asks::When(|args| !args.list("attendees").is_empty()),
        canonical: None,
        does: Does::Write { touches: create_touches, act: |steps, args| Box::pin(create(steps, args)) },
    },
    Tool {
        name: "calendar_update_event",
        title: "Update an event",
        profiles: &[Essential, Calendar],
        help: "Changes an event; an id of a series changes all of it, one of an occurrence only that day. What is not named stays. If \
               the event is a meeting of yours, its attendees get word, so the user is asked first. A new body replaces the whole old \
               one, the join link of an online meeting in it too.",
        params: &[
            EVENT_ID,
            Param::required("updates", ParamType::Object(UPDATES), "What is to change, at least one thing."),
            ACCOUNT,
            MAILBOX,
            CONFIRM_TOKEN,
        ],
        effect: Effect::Write { service: Service::Calendar },
        risk: Risk::Moderate,
        idempotent: true,
        asks: Asks::When(|args| args.object("updates").is_some_and(|updates| updates.contains_key("attendees"))),
        canonical: None,
        does: Does::Write { touches: event_touches, act: |steps, args| Box::pin(update(steps, args)) },
    },
];

const UPDATES: &[Param] = &[
    Param::member("subject", SUBJECT, "The subject."),
    Param::member("start", ParamType::Time, "ISO 8601; without an offset by the clocks of `timezone`. A date if all-day."),
    Param::member("end", ParamType::Time, "The same; all-day events end on the day after their last."),
    Param::member(
        "timezone",
        ParamType::Zone,
        "Zone of times without an offset, the mailbox's by default; one named here the event then lives in.",
    ),
    Param::member("location", ParamType::Prose { max: 1000 }, "Where it takes place; empty for nowhere."),
    Param::member("body", ParamType::Prose { max: 1_000_000 }, "What it is about, as text."),
    Param::member("attendees", PEOPLE, "Everybody invited from now on; an empty list for nobody."),
];

fn create_touches(args: &Args) -> Vec<Touch> {
    let mut touches = vec![Touch::Scope(calendar_of(args)), Touch::Scope(Scope::moves(Service::Calendar))];
    if args.has("attendees") {
        touches.extend(mail_goes_out());
    }
    touches
}

async fn create(steps: &dyn Steps, args: &Args) -> Result<Written, StepError> {
    let (Some(start), Some(end)) = (given(args, "start"), given(args, "end")) else {
        return Err(StepError::user("invalid_argument", "start or end is no time", "Give both in ISO 8601."));
    };
    let zone = home::zone(steps, args).await.map_err(StepError::before)?;
    let all_day = args.flag("is_all_day");
    let utc = Zone::utc();
    let (from, to) = match all_day {
        true => days(start, end, zone.as_ref().unwrap_or(&utc))?,
        false => hours(start, end, zone.as_ref())?,
    };
    let mut new = Map::new();
    new.insert("subject".into(), args.text("subject").into());
    new.insert("isAllDay".into(), all_day.into());
    if let Some(recurrence) = args.object("recurrence") {
        // Its days are those of the zone it lives in; where nobody knows that, it would wander by an hour twice a year.
        let zone = if all_day { zone.as_ref().unwrap_or(&utc) } else { known(zone.as_ref())? };
        let first = match start.day().filter(|_| all_day) {
            Some(day) => day,
            None => zone.rules().to_datetime(moment(start, Some(zone))?).date(),
        };
        new.insert("recurrence".into(), recurrence::patterned(recurrence, first, zone.exchange_name())?);
    }
    new.insert("start".into(), from);
    new.insert("end".into(), to);
    if let Some(location) = args.text("location") {
        new.insert("location".into(), json!({ "displayName": location }));
    }
    if let Some(body) = args.text("body") {
        new.insert("body".into(), json!({ "contentType": args.text("body_type"), "content": body }));
    }
    let invited = args.texts("attendees");
    if !invited.is_empty() {
        new.insert("attendees".into(), required(&invited, &Value::Null).into());
    }
    if args.flag("is_online_meeting") {
        new.insert("isOnlineMeeting".into(), true.into());
    }
    new.insert("transactionId".into(), transaction_id(args, steps.now()).into());

    let path = match args.text("calendar_id") {
        Some(calendar) => at(args, &["calendars", calendar, "events"]),
        None => at(args, &["events"]),
    };
    let made = steps.send(GraphRequest::post(&path, new.into()).prefer(UTC)).await?.body;
    let real = id(&made)?.to_owned();
    Ok(Written {
        answer: answer(&made, &Clocks::of(zone)),
        touches: vec![Touch::Scope(Scope::item(&real))],
        learned: vec![(real, vec![calendar_of(args)])],
        late: !invited.is_empty(),
    })
}

/// Attendees, each as required, unless `before` knows better.
fn required(invited: &[&str], before: &Value) -> Vec<Value> {
    let address = |attendee: &Value| attendee["emailAddress"]["address"].as_str().unwrap_or_default().to_lowercase();
    let known: BTreeMap<String, &str> =
        attendees(before).iter().filter_map(|attendee| Some((address(attendee), text(attendee, "type")?))).collect();
    let mut people = recipients(invited);
    for person in &mut people {
        person["type"] = known.get(&address(person)).copied().unwrap_or("required").into();
    }
    people
}

/// See the head of this file. In the form of a UUID, as Exchange's own clients write them.
fn transaction_id(args: &Args, now: Timestamp) -> String {
    let said = json!(["calendar_create_event", args.all(), now.0]).to_string();
    let hex: String = Sha256::digest(said.as_bytes()).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

async fn update(steps: &dyn Steps, args: &Args) -> Result<Written, StepError> {
    let updates = args.object("updates").cloned().unwrap_or_default();
    let has = |name: &str| updates.contains_key(name);
    if has("timezone") && !has("start") && !has("end") {
        return Err(StepError::user("invalid_argument", "updates.timezone goes with start or end only", "Give start or end too."));
    }
    let now = look(steps, args, "id,start,end,isAllDay,isOrganizer,attendees,originalStartTimeZone").await?;
    let tells = says(&now, "isOrganizer", true) && (!attendees(&now).is_empty() || has("attendees"));
    if tells && !args.has(CONFIRM_TOKEN.name) {
        return Err(StepError::unconfirmed());
    }

    let mut change = Map::new();
    if let Some(subject) = updates.get("subject") {
        change.insert("subject".into(), subject.clone());
    }
    let named = updates.get("timezone").and_then(Value::as_str).and_then(Zone::find);
    let clocks = match &named {
        Some(zone) => Some(zone.clone()),
        None => home::zone(steps, args).await.map_err(StepError::before)?,
    };
    if has("start") || has("end") {
        change.extend(moved(&updates, &now, named.as_ref(), clocks.as_ref())?);
    }
    if let Some(location) = updates.get("location") {
        change.insert("location".into(), json!({ "displayName": location }));
    }
    if let Some(body) = updates.get("body") {
        change.insert("body".into(), json!({ "contentType": "text", "content": body }));
    }
    if let Some(people) = updates.get("attendees").and_then(Value::as_array) {
        let people: Vec<&str> = people.iter().filter_map(Value::as_str).collect();
        change.insert("attendees".into(), required(&people, &now).into());
    }
    let mut request = GraphRequest::patch(&at(args, &["events", event_id(args)]), change.into()).prefer(UTC);
    if !tells {
        // Nobody gets word twice.
        request = request.repeatable();
    }
    let changed = steps.send(request).await?.body;
    let answer = if changed.is_null() { json!({ "status": "updated" }) } else { answer(&changed, &Clocks::of(clocks)) };
    let series = text(&changed, "seriesMasterId").map(|series| Touch::Item(series.to_owned()));
    Ok(Written { answer, touches: series.into_iter().collect(), learned: Vec::new(), late: tells })
}

/// The new start and end: read by `clocks`, those of the zone that was named or of the mailbox; kept in the zone named or the event's own.
fn moved(updates: &Map<String, Value>, now: &Value, named: Option<&Zone>, clocks: Option<&Zone>) -> Result<Map<String, Value>, StepError> {
    let asked = |name: &str| updates.get(name).and_then(Value::as_str).and_then(Given::read);
    let (start, end) = (asked("start"), asked("end"));
    let own = named.cloned().or_else(|| text(now, "originalStartTimeZone").and_then(Zone::find));
    let unreadable = || StepError::unexpected("the event's own times");
    let mut change = Map::new();
    if says(now, "isAllDay", false) {
        let today = |name: &str| now.get(name).and_then(wall_of).map(|wall| Given::Day(wall.date())).ok_or_else(unreadable);
        // Both have to be in one zone, so both are sent.
        let (start, end) = (start.map_or_else(|| today("start"), Ok)?, end.map_or_else(|| today("end"), Ok)?);
        let (start, end) = days(start, end, &own.unwrap_or_else(Zone::utc))?;
        change.insert("start".into(), start);
        change.insert("end".into(), end);
        return Ok(change);
    }
    let current = |name: &str| now.get(name).and_then(moment_of).ok_or_else(unreadable);
    let read = |given: Option<Given>, name: &str| given.map_or_else(|| current(name), |given| moment(given, clocks));
    let (from, to) = in_order(read(start, "start")?, read(end, "end")?)?;
    let keep = own.or_else(|| clocks.cloned()).unwrap_or_else(Zone::utc);
    for (name, given, moment) in [("start", start, from), ("end", end, to)] {
        if given.is_some() {
            change.insert(name.into(), in_zone(moment, &keep));
        }
    }
    Ok(change)
}

fn answer(written: &Value, clocks: &Clocks) -> Value {
    let mut answer = event(written, &FIELDS, clocks);
    clocks.sign(&mut answer);
    untrusted(answer).into()
}

#[cfg(test)]
#[path = "change_tests.rs"]
mod tests;
