//! Changes to calendars and events by other people. The verbs are documented at [`super::Graph::apply`].

use jiff::Timestamp;
use serde_json::json;

use super::apply::{Members, Outcome, said};
use super::calendar::{
    change_calendar, find, find_calendar, new_calendar, new_event, remove_calendar, remove_event, respond_to, update_event,
};
use super::store::{Late, Response, State, Word};

/// The verbs that are served here.
pub(super) const VERBS: &[&str] =
    &["new_event", "update_event", "delete_event", "respond_event", "new_calendar", "update_calendar", "delete_calendar"];

/// Makes one change.
pub(super) fn apply(state: &mut State, owner: usize, verb: &str, members: &Members<'_>, now: Timestamp) -> Outcome {
    match verb {
        "new_event" => {
            let calendar = find_calendar(&state.mailboxes[owner], members.text("calendar")).map_err(|f| said(&f))?;
            let number = new_event(state, owner, calendar, members.rest(&["calendar"]), now).map_err(|f| said(&f))?;
            let mailbox = &state.mailboxes[owner];
            Ok(json!({"id": mailbox.event(number).map(|event| mailbox.event_id(event, None, false))}))
        }
        "new_calendar" => {
            let mailbox = &mut state.mailboxes[owner];
            let number = new_calendar(mailbox, members.rest(&[])).map_err(|f| said(&f))?;
            Ok(json!({"id": mailbox.calendar_id(number)}))
        }
        "update_calendar" | "delete_calendar" => {
            let id = members.need("id")?;
            let mailbox = &mut state.mailboxes[owner];
            let number = find_calendar(mailbox, Some(id)).map_err(|f| said(&f))?;
            match verb {
                "update_calendar" => change_calendar(mailbox, number, members.rest(&["id"])),
                _ => remove_calendar(mailbox, number),
            }
            .map_err(|f| said(&f))?;
            Ok(json!({"id": id}))
        }
        _ => {
            let id = members.need("id")?;
            let (event, day) = find(&state.mailboxes[owner], id).map_err(|f| said(&f))?;
            let number = event.number;
            match verb {
                "update_event" => update_event(state, owner, number, day, members.rest(&["id"]), now).map_err(|f| said(&f))?,
                "delete_event" => remove_event(state, owner, number, day, now),
                _ => respond(state, owner, number, day, members, now)?,
            }
            Ok(json!({"id": id}))
        }
    }
}

fn respond(
    state: &mut State,
    owner: usize,
    number: u32,
    day: Option<jiff::civil::Date>,
    members: &Members<'_>,
    now: Timestamp,
) -> Result<(), String> {
    let said = members.need("response")?;
    let words = [Word::Accepted, Word::TentativelyAccepted, Word::Declined];
    let word = words.into_iter().find(|word| word.text() == said).ok_or_else(|| format!("'{said}' is no response"))?;
    let event = state.mailboxes[owner].event(number).ok_or("the event has gone")?;
    match (members.text("attendee"), event.is_organizers()) {
        (Some(attendee), true) => {
            if !event.attendees().any(|address| address.eq_ignore_ascii_case(attendee)) {
                return Err(format!("'{attendee}' is not invited"));
            }
            let (uid, organizer) = (event.uid().to_owned(), event.organizer().to_owned());
            let response = Response { uid, organizer, attendee: attendee.to_owned(), day, word, at: now, proposal: None };
            state.defer(now, Late::Response(Box::new(response)));
        }
        (None, false) => respond_to(state, owner, number, day, word, None, true, now),
        (Some(_), false) => return Err("only the organizer's event has answers of others".to_owned()),
        (None, true) => return Err("the organizer cannot answer; name an 'attendee'".to_owned()),
    }
    Ok(())
}
