//! Meetings: one event in several mailboxes, the organizer's and a copy for each attendee who lives in this tenant.

use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::{Value, json};

use super::calendar::address;
use super::notice::News;
use super::{Event, Exception, State};

/// What an attendee says to an invitation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    Accepted,
    TentativelyAccepted,
    Declined,
}

impl Word {
    /// As `responseType` has it.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::TentativelyAccepted => "tentativelyAccepted",
            Self::Declined => "declined",
        }
    }
}

/// An answer on its way to the organizer.
#[derive(Debug, Clone)]
pub(crate) struct Response {
    pub(crate) uid: String,
    /// The organizer's address.
    pub(crate) organizer: String,
    /// The attendee's address.
    pub(crate) attendee: String,
    /// For one day of a series only.
    pub(crate) day: Option<Date>,
    pub(crate) word: Word,
    pub(crate) at: Timestamp,
    /// A `timeSlot`.
    pub(crate) proposal: Option<Value>,
}

/// What an attendee's copy takes over from the organizer's event.
const SHARED: &[&str] = &[
    "subject",
    "body",
    "importance",
    "sensitivity",
    "isAllDay",
    "location",
    "locations",
    "attendees",
    "organizer",
    "isOnlineMeeting",
    "onlineMeetingProvider",
    "onlineMeetingUrl",
    "onlineMeeting",
    "responseRequested",
    "allowNewTimeProposals",
    "hideAttendees",
];

/// A `responseStatus`.
pub(crate) fn status(response: &str, at: Option<Timestamp>) -> Value {
    json!({"response": response, "time": at.map_or_else(|| "0001-01-01T00:00:00Z".to_owned(), |at| at.to_string())})
}

impl State {
    /// Lets the attendees' copies follow the organizer's event: new ones appear, changed ones change, and where somebody
    /// is no longer invited or the event has gone, the copy stays as a cancelled one.
    pub(super) fn invite(&mut self, owner: usize, number: u32, now: Timestamp) {
        let mailbox = &self.mailboxes[owner];
        let alive = mailbox.event(number).filter(|event| event.data.get("isCancelled") != Some(&Value::Bool(true)));
        let Some(master) = alive.or_else(|| mailbox.gone_events.get(&number)).or_else(|| mailbox.event(number)) else {
            return;
        };
        let (happens, master) = (alive.is_some(), master.clone());
        for guest in (0..self.users.len()).filter(|guest| *guest != owner) {
            let name = &self.users[guest].username;
            let invited = happens && master.attendees().any(|address| address.eq_ignore_ascii_case(name));
            let mailbox = &mut self.mailboxes[guest];
            let copy = mailbox.events.iter().flatten().find(|event| event.uid() == master.uid());
            match (copy.map(|event| event.number), invited) {
                (None, false) => {}
                (None, true) => {
                    mailbox.add_event(copy_of(&master, now));
                    self.notify(guest, &master, News::Invited, None, now);
                }
                (Some(copy), true) => {
                    let before = mailbox.event(copy).filter(|copy| !same(copy, &master)).cloned();
                    if let Some(before) = before {
                        mailbox.change_event(copy, now, |copy| follow(copy, &master));
                        // What attendees answer is nobody's news but the organizer's.
                        let again = before.data.get("isCancelled") == Some(&Value::Bool(true));
                        if moved(&before, &master) || again {
                            self.notify(guest, &master, News::Moved, Some(&before), now);
                        } else if told(&before) != told(&master) {
                            self.notify(guest, &master, News::Changed, Some(&before), now);
                        }
                    }
                }
                (Some(copy), false) => {
                    let was = mailbox.event(copy).filter(|copy| copy.data.get("isCancelled") != Some(&Value::Bool(true))).cloned();
                    mailbox.change_event(copy, now, cancel);
                    if let Some(was) = was {
                        self.notify(guest, &was, News::Cancelled, None, now);
                    }
                }
            }
        }
    }

    /// Writes an answer into the organizer's event, when the organizer lives here and still has it.
    pub(super) fn hear(&mut self, response: &Response) {
        let Some(owner) = self.users.iter().position(|user| user.username.eq_ignore_ascii_case(&response.organizer)) else {
            return;
        };
        let mailbox = &mut self.mailboxes[owner];
        let event = mailbox.events.iter().flatten().find(|event| event.is_organizers() && event.uid() == response.uid);
        let Some(number) = event.map(|event| event.number) else {
            return;
        };
        let asked = mailbox.event(number).cloned();
        mailbox.change_event(number, response.at, |event| {
            let Some(day) = response.day else {
                answer(event.data.get_mut("attendees"), response);
                return;
            };
            let mut exception = event.exceptions.remove(&day).unwrap_or_else(|| event.planned(day));
            let usual = event.data.get("attendees").cloned().unwrap_or(Value::Null);
            answer(Some(exception.data.entry("attendees").or_insert(usual)), response);
            event.exceptions.insert(day, exception);
        });
        if let Some(event) = asked {
            self.report(owner, &event, response);
        }
    }
}

fn answer(attendees: Option<&mut Value>, response: &Response) {
    let attendees = attendees.and_then(Value::as_array_mut).into_iter().flatten();
    for attendee in attendees.filter(|attendee| address(attendee).eq_ignore_ascii_case(&response.attendee)) {
        attendee["status"] = status(response.word.text(), Some(response.at));
        if let Some(fields) = attendee.as_object_mut() {
            match &response.proposal {
                Some(proposal) => fields.insert("proposedNewTime".to_owned(), proposal.clone()),
                None => fields.remove("proposedNewTime"),
            };
        }
    }
}

fn copy_of(master: &Event, now: Timestamp) -> Event {
    let mut data = master.data.clone();
    for (name, value) in [
        ("isOrganizer", json!(false)),
        ("responseStatus", status("notResponded", None)),
        ("showAs", json!("tentative")),
        ("categories", json!([])),
        ("transactionId", Value::Null),
    ] {
        data.insert(name.to_owned(), value);
    }
    let mut copy = Event::at(master.start.clone(), master.end.clone(), data, now);
    copy.recurrence.clone_from(&master.recurrence);
    copy.exceptions.clone_from(&master.exceptions);
    copy.cancelled.clone_from(&master.cancelled);
    copy.attachments.clone_from(&master.attachments);
    copy
}

fn same(copy: &Event, master: &Event) -> bool {
    SHARED.iter().all(|name| copy.data.get(*name) == master.data.get(*name))
        && copy.start == master.start
        && copy.end == master.end
        && copy.recurrence == master.recurrence
        && copy.exceptions == master.exceptions
        && copy.cancelled == master.cancelled
        && copy.attachments.iter().map(|file| file.index).eq(master.attachments.iter().map(|file| file.index))
}

/// True when the meeting is at other times.
fn moved(copy: &Event, master: &Event) -> bool {
    copy.start != master.start || copy.end != master.end || copy.recurrence != master.recurrence
}

/// What attendees are told of when it changes.
fn told(event: &Event) -> Vec<Option<&Value>> {
    SHARED.iter().filter(|name| **name != "attendees").map(|name| event.data.get(*name)).collect()
}

fn follow(copy: &mut Event, master: &Event) {
    let moved = moved(copy, master);
    for name in SHARED {
        if let Some(value) = master.data.get(*name) {
            copy.data.insert((*name).to_owned(), value.clone());
        }
    }
    copy.data.insert("isCancelled".to_owned(), json!(false));
    if moved {
        copy.data.insert("responseStatus".to_owned(), status("notResponded", None));
        copy.data.insert("showAs".to_owned(), json!("tentative"));
    }
    copy.start.clone_from(&master.start);
    copy.end.clone_from(&master.end);
    copy.recurrence.clone_from(&master.recurrence);
    copy.exceptions.clone_from(&master.exceptions);
    copy.cancelled.clone_from(&master.cancelled);
    copy.attachments.clone_from(&master.attachments);
}

fn cancel(copy: &mut Event) {
    let subject = copy.data.get("subject").and_then(Value::as_str).unwrap_or("").to_owned();
    if copy.data.insert("isCancelled".to_owned(), json!(true)) != Some(json!(true)) {
        copy.data.insert("subject".to_owned(), json!(format!("Canceled: {subject}")));
    }
    copy.data.insert("showAs".to_owned(), json!("free"));
}

impl Event {
    /// The happening on this day of a series as an exception that differs in nothing yet.
    pub(crate) fn planned(&self, day: Date) -> Exception {
        let start = day.to_datetime(self.start.at.time());
        let length = self.start.at.until(self.end.at).unwrap_or_default();
        let end = start.checked_add(length).unwrap_or(start);
        let moment = |at, zone: &str| super::Moment { at, zone: zone.to_owned() };
        Exception { start: moment(start, &self.start.zone), end: moment(end, &self.end.zone), data: serde_json::Map::new() }
    }
}
