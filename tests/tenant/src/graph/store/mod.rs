//! What the tenant holds: mailboxes and drives in memory, and the few ways in which they change.
//!
//! Every change takes the next number of its mailbox's or drive's sequence and moves the thing to the end of its
//! container's [`Feed`], which is all that delta needs. Knows nothing of requests, JSON options or replies.

mod calendar;
mod contacts;
mod content;
mod copies;
mod drive;
mod feed;
mod hash;
mod mail;
mod marks;
mod meeting;
mod notice;
mod settings;
mod shares;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

pub(crate) use calendar::{Calendar, Event, Exception, Index, Moment, Pattern, Recurrence, RecurrenceEnd, address, day_of};
pub(crate) use contacts::{Contact, ContactFolder};
pub(crate) use content::Content;
pub(crate) use copies::{Conflict, Copy, Copying};
pub(crate) use drive::{Drive, Item, ROOT};
pub(crate) use feed::{Entry, Feed, Gone};
pub(crate) use mail::{Attachment, AttachmentKind, Body, MAIL_ROOT, MailFolder, Message, Search, WELL_KNOWN};
pub(crate) use marks::{Marked, Marks};
pub(crate) use meeting::{Response, Word, status};
pub(crate) use notice::Notice;
pub(crate) use settings::{Category, Rule, Settings};
pub(crate) use shares::{Share, With};

use super::uploads::Uploads;
use crate::seed::User;
use crate::seed::ids::MailboxKey;

/// One user's mail, contacts and calendars.
#[derive(Debug)]
pub(crate) struct Mailbox {
    pub(crate) key: MailboxKey,
    /// The last number handed out to a change.
    pub(crate) sequence: u64,
    /// IANA name of the owner's time zone.
    pub(crate) zone: &'static str,
    /// Delta tokens of an older epoch are gone.
    pub(crate) epoch: u32,
    pub(crate) folders: Vec<Option<MailFolder>>,
    pub(crate) messages: Vec<Option<Box<Message>>>,
    /// All placed messages, newest first.
    pub(crate) everything: Vec<(i64, u32)>,
    pub(crate) folder_feed: Feed,
    pub(crate) contact_folders: Vec<Option<ContactFolder>>,
    pub(crate) contact_folder_feed: Feed,
    pub(crate) contacts: Vec<Option<Contact>>,
    pub(crate) calendars: Vec<Option<Calendar>>,
    pub(crate) events: Vec<Option<Event>>,
    /// Deleted events as they were last: their copies and those who follow a window must still hear of them.
    pub(crate) gone_events: BTreeMap<u32, Event>,
    pub(crate) settings: Settings,
    /// What programs hung on things here.
    pub(crate) marks: BTreeMap<Marked, Marks>,
}

impl Mailbox {
    pub(crate) fn new(key: MailboxKey, zone: &'static str) -> Self {
        Self {
            key,
            sequence: 0,
            zone,
            epoch: 0,
            folders: Vec::new(),
            messages: Vec::new(),
            everything: Vec::new(),
            folder_feed: Feed::default(),
            contact_folders: Vec::new(),
            contact_folder_feed: Feed::default(),
            settings: Settings::default(),
            contacts: Vec::new(),
            calendars: Vec::new(),
            events: Vec::new(),
            gone_events: BTreeMap::new(),
            marks: BTreeMap::new(),
        }
    }

    /// Takes the next change number.
    pub(crate) fn tick(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }
}

/// An effect that becomes visible later than the reply to its cause.
#[derive(Debug, Clone)]
pub(crate) enum Late {
    /// A message enters the folder it names: a copy, or what was sent.
    Message { mailbox: usize, number: u32 },
    /// A copy of drive items enters the folder it names, or fails to: a place among the copies.
    Copy(usize),
    /// The attendees' copies follow the organizer's event.
    Invitation { mailbox: usize, number: u32, at: Timestamp },
    /// The organizer's event shows what an attendee answered.
    Response(Box<Response>),
}

/// The whole data of the tenant. User `n` owns mailbox `n` and drive `n`.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) users: Vec<User>,
    pub(crate) mailboxes: Vec<Mailbox>,
    pub(crate) drives: Vec<Drive>,
    /// Late effects, by when they are due.
    pub(crate) late: Vec<(Timestamp, Late)>,
    pub(crate) uploads: Uploads,
    /// All copies of drive items that were ever begun.
    pub(crate) copies: Vec<Copy>,
    /// Whether the organisation lets files be shared with everybody who has the link.
    pub(crate) anonymous_links: bool,
    pub(crate) lag: std::time::Duration,
}

impl State {
    /// Lets the effects that are due become visible.
    pub(crate) fn settle(&mut self, now: Timestamp) {
        let (due, rest): (Vec<_>, Vec<_>) = self.late.drain(..).partition(|(at, _)| *at <= now);
        self.late = rest;
        for (_, late) in due {
            self.perform(late);
        }
    }

    /// Makes an effect visible now or after the lag; says when.
    pub(crate) fn defer(&mut self, now: Timestamp, late: Late) -> Timestamp {
        let due = self.visible_from(now);
        if self.lag.is_zero() {
            self.perform(late);
        } else {
            self.late.push((due, late));
        }
        due
    }

    /// When a change made now shows in search.
    pub(crate) fn visible_from(&self, now: Timestamp) -> Timestamp {
        now.checked_add(self.lag).unwrap_or(now)
    }

    fn perform(&mut self, late: Late) {
        match late {
            Late::Message { mailbox, number } => self.mailboxes[mailbox].place(number),
            Late::Copy(index) => self.finish_copy(index),
            Late::Invitation { mailbox, number, at } => self.invite(mailbox, number, at),
            Late::Response(response) => self.hear(&response),
        }
    }
}

/// A name compared as folders and drives compare it: without regard to case.
pub(crate) fn fold(name: &str) -> Arc<str> {
    Arc::from(name.to_lowercase())
}
