//! What is said about a meeting: accept, decline, tentatively accept, cancel, forward.

use http::StatusCode;
use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::{Map, Value, json};

use super::given::{attendee, check_times, moment, small_names};
use super::recur::instant;
use super::route::Action;
use super::write::{remove_event, target};
use crate::graph::call::Call;
use crate::graph::empty;
use crate::graph::errors::Fault;
use crate::graph::odata::Answer;
use crate::graph::store::{Event, Late, Response, State, Word, address, status};
use crate::wire::Reply;

fn refused(message: &str) -> Box<Fault> {
    Fault::new(StatusCode::BAD_REQUEST, "ErrorInvalidRequest", format!("Your request can't be completed. {message}"))
}

/// `POST …/events/{id}/{action}`
pub(crate) fn act(state: &mut State, call: &Call<'_>, id: &str, action: Action) -> Answer<Reply> {
    let (number, day) = target(state, call, id)?;
    match action {
        Action::Accept => answer(state, call, number, day, Word::Accepted)?,
        Action::TentativelyAccept => answer(state, call, number, day, Word::TentativelyAccepted)?,
        Action::Decline => answer(state, call, number, day, Word::Declined)?,
        Action::Cancel => {
            parameters(call, &["comment"])?;
            if !state.mailboxes[call.owner].event(number).is_some_and(Event::is_organizers) {
                return Err(refused("You need to be an organizer to cancel a meeting."));
            }
            remove_event(state, call.owner, number, day, call.now);
        }
        Action::Forward => forward(state, call, number)?,
        Action::DismissReminder => {
            parameters(call, &[])?;
            state.mailboxes[call.owner].change_event(number, call.now, |event| {
                event.data.insert("isReminderOn".to_owned(), json!(false));
            });
            return Ok(empty(StatusCode::OK));
        }
    }
    Ok(empty(StatusCode::ACCEPTED))
}

/// The parameters of an action: their names may begin with a capital, others are refused.
fn parameters(call: &Call<'_>, known: &[&str]) -> Answer<Map<String, Value>> {
    let Value::Object(given) = small_names(Value::Object(call.body()?)) else {
        return Err(Fault::bad_request("The body must be an object."));
    };
    match given.keys().find(|name| !name.starts_with('@') && !known.contains(&name.as_str())) {
        None => Ok(given),
        Some(unknown) => Err(Fault::bad_request(format!(
            "The parameter '{unknown}' in the request payload is not a valid parameter for the operation '{}'.",
            call.request.path.rsplit('/').next().unwrap_or_default()
        ))),
    }
}

/// A truth value, which clients also write as text.
fn truth(value: Option<&Value>, name: &str) -> Answer<Option<bool>> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(truth)) => Ok(Some(*truth)),
        Some(Value::String(text)) => match text.to_ascii_lowercase().as_str() {
            "true" => Ok(Some(true)),
            "false" => Ok(Some(false)),
            _ => Err(Fault::bad_request(format!("Cannot convert the literal '{text}' to the type 'Edm.Boolean' of '{name}'."))),
        },
        Some(_) => Err(Fault::bad_request(format!("Cannot convert the value of '{name}' to the type 'Edm.Boolean'."))),
    }
}

/// A `timeSlot` as it is shown to the organizer: in UTC.
fn slot(value: &Value) -> Answer<Value> {
    let missing = Value::Null;
    let part = |name: &str| moment(value.get(name).unwrap_or(&missing), name);
    let (start, end) = (part("start")?, part("end")?);
    check_times(&start, &end, false)?;
    let write = |at: Timestamp| json!({"dateTime": at.strftime("%Y-%m-%dT%H:%M:%S.0000000").to_string(), "timeZone": "UTC"});
    Ok(json!({"start": write(instant(&start)), "end": write(instant(&end))}))
}

fn answer(state: &mut State, call: &Call<'_>, number: u32, day: Option<Date>, word: Word) -> Answer<()> {
    let known: &[&str] =
        if word == Word::Accepted { &["comment", "sendResponse"] } else { &["comment", "sendResponse", "proposedNewTime"] };
    let given = parameters(call, known)?;
    let send = truth(given.get("sendResponse"), "SendResponse")?.unwrap_or(true);
    let event = state.mailboxes[call.owner].event(number).ok_or_else(Fault::item_gone)?;
    if event.is_organizers() {
        return Err(refused("You can't respond to this meeting because you're the meeting organizer."));
    }
    let says = |name: &str| event.data.get(name).and_then(Value::as_bool).unwrap_or(true);
    let proposal = given.get("proposedNewTime").filter(|value| !value.is_null()).map(slot).transpose()?;
    if proposal.is_some() && !says("allowNewTimeProposals") {
        return Err(refused("The meeting organizer doesn't allow new time proposals."));
    }
    if proposal.is_some() && !send {
        return Err(refused("A new time can only be proposed with a response."));
    }
    if send && !says("responseRequested") {
        return Err(refused("The meeting organizer hasn't requested a response."));
    }
    respond_to(state, call.owner, number, day, word, proposal, send, call.now);
    Ok(())
}

/// Writes an attendee's answer into the own copy (a declined one goes), puts the invitation away unless only one day was answered, and lets
/// the organizer know when `send` says so.
#[expect(clippy::too_many_arguments, reason = "an answer has that many parts, and two callers")]
pub(crate) fn respond_to(
    state: &mut State,
    owner: usize,
    number: u32,
    day: Option<Date>,
    word: Word,
    proposal: Option<Value>,
    send: bool,
    now: Timestamp,
) {
    let Some(event) = state.mailboxes[owner].event(number) else {
        return;
    };
    let response = Response {
        uid: event.uid().to_owned(),
        organizer: event.organizer().to_owned(),
        attendee: state.users[owner].username.clone(),
        day,
        word,
        at: now,
        proposal,
    };
    if day.is_none() {
        state.put_away(owner, &response.uid, now);
    }
    if word == Word::Declined {
        remove_event(state, owner, number, day, now);
    } else {
        let answered = [
            ("responseStatus", status(word.text(), Some(now))),
            ("showAs", json!(if word == Word::Accepted { "busy" } else { "tentative" })),
        ];
        state.mailboxes[owner].change_event(number, now, |event| {
            let planned = day.map(|day| (day, event.exceptions.get(&day).cloned().unwrap_or_else(|| event.planned(day))));
            match planned {
                None => event.data.extend(answered.map(|(name, value)| (name.to_owned(), value))),
                Some((day, mut exception)) => {
                    exception.data.extend(answered.map(|(name, value)| (name.to_owned(), value)));
                    event.exceptions.insert(day, exception);
                }
            }
        });
    }
    if send {
        state.defer(now, Late::Response(Box::new(response)));
    }
}

/// Adds people to a meeting: in the organizer's own event, or through the organizer when an attendee forwards it.
fn forward(state: &mut State, call: &Call<'_>, number: u32) -> Answer<()> {
    let given = parameters(call, &["comment", "toRecipients"])?;
    let mut people = given.get("toRecipients").and_then(Value::as_array).cloned().unwrap_or_default();
    people.iter_mut().try_for_each(attendee)?;
    if people.is_empty() {
        return Err(Fault::new(StatusCode::BAD_REQUEST, "ErrorInvalidRecipients", "At least one recipient is needed."));
    }
    let event = state.mailboxes[call.owner].event(number).ok_or_else(Fault::item_gone)?;
    let (uid, organizer) = (event.uid().to_owned(), event.organizer().to_owned());
    // Where the organizer lives elsewhere, the forwarder's own copy is all that can be seen of it here.
    let home = state.users.iter().position(|user| user.username.eq_ignore_ascii_case(&organizer)).unwrap_or(call.owner);
    let event = state.mailboxes[home].events.iter().flatten().find(|event| event.uid() == uid);
    let Some(master) = event.map(|event| event.number) else {
        return Ok(());
    };
    state.mailboxes[home].change_event(master, call.now, |event| {
        let known: Vec<String> = event.attendees().map(str::to_lowercase).collect();
        let fresh = people.into_iter().filter(|person| !known.contains(&address(person).to_lowercase()));
        if let Some(list) = event.data.get_mut("attendees").and_then(Value::as_array_mut) {
            list.extend(fresh);
        }
    });
    state.defer(call.now, Late::Invitation { mailbox: home, number: master, at: call.now });
    Ok(())
}
