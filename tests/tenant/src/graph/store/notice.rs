//! Mail about meetings: invitations, updates and cancellations for those who are invited, their answers for the organizer.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use super::{Body, Event, Moment, Response, State, Word};
use crate::graph::calendar::{instant, write_recurrence};
use crate::graph::drafting::new_message;
use crate::seed::people::Address;

/// The entity type of invitations, updates among them.
const REQUEST: &str = "#microsoft.graph.eventMessageRequest";

/// What a message says of a meeting.
#[derive(Debug, Clone)]
pub(crate) struct Notice {
    /// The name of the message's entity type.
    pub(crate) type_name: &'static str,
    /// What all copies of the meeting have in common.
    pub(crate) uid: String,
    /// When the meeting was to begin, as the message has it.
    pub(crate) start: Timestamp,
    /// What such a message has beside what every message has.
    pub(crate) data: Map<String, Value>,
}

/// What the organizer has to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum News {
    Invited,
    /// At another time.
    Moved,
    /// Something else is different.
    Changed,
    Cancelled,
}

fn utc(moment: &Moment) -> Value {
    let at = TimeZone::UTC.to_datetime(instant(moment));
    json!({"dateTime": at.strftime("%Y-%m-%dT%H:%M:%S.0000000").to_string(), "timeZone": "UTC"})
}

impl Notice {
    fn of(event: &Event, type_name: &'static str, kind: &str) -> Self {
        let said = |name: &str| event.data.get(name).cloned().unwrap_or(Value::Null);
        let series = event.recurrence.as_ref();
        let data = [
            ("meetingMessageType", json!(kind)),
            ("type", json!(if series.is_some() { "seriesMaster" } else { "singleInstance" })),
            ("isDelegated", json!(false)),
            ("isAllDay", said("isAllDay")),
            ("startDateTime", utc(&event.start)),
            ("endDateTime", utc(&event.end)),
            ("location", said("location")),
            ("recurrence", series.map_or(Value::Null, write_recurrence)),
        ];
        let data = data.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Self { type_name, uid: event.uid().to_owned(), start: instant(&event.start), data }
    }

    fn by_organizer(event: &Event, news: News, before: Option<&Event>) -> Self {
        if news == News::Cancelled {
            return Self::of(event, "#microsoft.graph.eventMessage", "meetingCancelled");
        }
        let mut out = Self::of(event, REQUEST, "meetingRequest");
        let request = match news {
            News::Invited => "newMeetingRequest",
            News::Moved => "fullUpdate",
            News::Changed | News::Cancelled => "informationalUpdate",
        };
        let said = |event: &Event, name: &str| event.data.get(name).cloned().unwrap_or(Value::Null);
        for (name, value) in [
            ("meetingRequestType", json!(request)),
            ("responseRequested", said(event, "responseRequested")),
            ("allowNewTimeProposals", said(event, "allowNewTimeProposals")),
            ("previousStartDateTime", before.map_or(Value::Null, |before| utc(&before.start))),
            ("previousEndDateTime", before.map_or(Value::Null, |before| utc(&before.end))),
            ("previousLocation", before.map_or(Value::Null, |before| said(before, "location"))),
        ] {
            out.data.insert(name.to_owned(), value);
        }
        out
    }

    fn by_attendee(event: &Event, response: &Response) -> Self {
        let kind = match response.word {
            Word::Accepted => "meetingAccepted",
            // The declarations spell it so.
            Word::TentativelyAccepted => "meetingTenativelyAccepted",
            Word::Declined => "meetingDeclined",
        };
        let mut out = Self::of(event, "#microsoft.graph.eventMessageResponse", kind);
        out.data.insert("responseType".to_owned(), json!(response.word.text()));
        out.data.insert("proposedNewTime".to_owned(), response.proposal.clone().unwrap_or(Value::Null));
        out
    }
}

impl State {
    /// Tells an attendee who lives here what the organizer has to say; `before` is the attendee's copy as it was.
    pub(super) fn notify(&mut self, guest: usize, event: &Event, news: News, before: Option<&Event>, now: Timestamp) {
        let organizer = event.data.get("organizer").unwrap_or(&Value::Null);
        let from = person(organizer);
        let to = event.data.get("attendees").and_then(Value::as_array).into_iter().flatten().map(person).collect();
        let subject = event.data.get("subject").and_then(Value::as_str).unwrap_or_default();
        let subject = if news == News::Cancelled { format!("Canceled: {}", bare(subject)) } else { subject.to_owned() };
        let content = event.data.get("body").and_then(|body| body.get("content")).and_then(Value::as_str).unwrap_or_default();
        let body = Body::Given { html: true, content: Arc::from(content) };
        self.post(guest, from, to, subject, body, Notice::by_organizer(event, news, before), now);
    }

    /// Tells the organizer, who lives here, what an attendee answers.
    pub(super) fn report(&mut self, owner: usize, event: &Event, response: &Response) {
        let attendees = event.data.get("attendees").and_then(Value::as_array).into_iter().flatten().map(person);
        let from = attendees.into_iter().find(|one| one.address.eq_ignore_ascii_case(&response.attendee));
        let from = from.unwrap_or_else(|| Address::new(&response.attendee, &response.attendee));
        let to = vec![person(event.data.get("organizer").unwrap_or(&Value::Null))];
        let subject = event.data.get("subject").and_then(Value::as_str).unwrap_or_default();
        let mark = match response.word {
            Word::Accepted => "Accepted",
            Word::TentativelyAccepted => "Tentative",
            Word::Declined => "Declined",
        };
        let body = Body::Given { html: true, content: Arc::from("") };
        self.post(owner, from, to, format!("{mark}: {subject}"), body, Notice::by_attendee(event, response), response.at);
    }

    /// Puts the invitations to a meeting into Deleted Items, as Exchange does when the meeting is answered.
    pub(crate) fn put_away(&mut self, reader: usize, uid: &str, now: Timestamp) {
        let mailbox = &mut self.mailboxes[reader];
        let Some(bin) = mailbox.well_known("deleteditems") else {
            return;
        };
        let invites = |notice: &Notice| notice.type_name == REQUEST && notice.uid == uid;
        let requests = mailbox.messages.iter().flatten().filter(|message| message.notice.as_deref().is_some_and(invites));
        let requests: Vec<u32> =
            requests.filter(|message| !mailbox.folder_is_within(message.folder, bin)).map(|message| message.number).collect();
        for number in requests {
            mailbox.move_message(number, bin, now, true);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "a message has that many parts")]
    fn post(&mut self, reader: usize, from: Address, to: Vec<Address>, subject: String, body: Body, notice: Notice, now: Timestamp) {
        let searchable = self.visible_from(now);
        let mailbox = &mut self.mailboxes[reader];
        let Some(inbox) = mailbox.well_known("inbox") else {
            return;
        };
        let mut message = new_message(inbox, from, now, mailbox.sequence);
        message.to = to;
        message.subject = subject;
        message.body = body;
        message.read = false;
        message.draft = false;
        message.searchable = searchable;
        message.notice = Some(Box::new(notice));
        let number = mailbox.add_message(message);
        mailbox.place(number);
    }
}

/// The subject without what a cancellation puts in front of it.
fn bare(subject: &str) -> &str {
    subject.strip_prefix("Canceled: ").unwrap_or(subject)
}

/// The person in a `recipient` or an `attendee`.
fn person(value: &Value) -> Address {
    let text = |name: &str| value.get("emailAddress").and_then(|email| email.get(name)).and_then(Value::as_str).unwrap_or_default();
    Address::new(text("name"), text("address"))
}
