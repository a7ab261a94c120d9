//! The audit trail as a backend keeps it: what it must be able to do, and how an event becomes a record.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use async_trait::async_trait;

use super::{NewWrite, Outcome, StoreError};
use crate::{
    audit::{Event, Kind, MOST_MARKS, Mark, Point, Record, Report, Subject, mark},
    chance::Dice,
    clock::Timestamp,
    ids::AccountId,
};

/// Bytes of an account's secret in the trail.
const SECRET_BYTES: usize = 32;

/// A record that was stamped so long after now was stamped by a wrong clock.
const AHEAD: Duration = Duration::from_secs(24 * 3600);

/// Which records are read; always in the order of their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Range {
    /// The first ones behind this number.
    After(u64),
    /// The last ones before this number.
    Before(u64),
}

/// Where the trail begins and ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ends {
    /// The last record.
    pub head: Point,
    /// The last record that was dropped.
    pub floor: Point,
}

/// Keeps the trail: append-only, but for the dropping of the oldest.
#[async_trait]
pub trait Trail: Send + Sync {
    /// At start, before anything else: looks whether the trail goes on where it had ended, and records it when it does not.
    async fn resume(&self, now: Timestamp) -> Result<(), StoreError>;
    /// Appends events in this order; durable when this returns. Returns the number of the last record.
    async fn append(&self, events: Vec<Event>) -> Result<u64, StoreError>;
    /// At most `most` records.
    async fn records(&self, range: Range, most: usize) -> Result<Vec<Record>, StoreError>;
    /// What the numbers of accounts stand for: an account's id, or `erased-<number>`.
    async fn subjects(&self) -> Result<BTreeMap<i64, String>, StoreError>;
    /// The marks of a target's id, one for each account that is not erased.
    async fn marks(&self, target: &str) -> Result<BTreeSet<Mark>, StoreError>;
    /// Where it begins and ends.
    async fn ends(&self) -> Result<Ends, StoreError>;
    /// Goes through all of it. `noted`: an end that was noted elsewhere, through which the chain must go. Nothing may be dropped meanwhile.
    async fn verify(&self, noted: Option<Point>) -> Result<Report, StoreError>;
    /// Drops the records from before `before`, and records how many there were. Returns that number. One that was stamped by a clock that was
    /// ahead goes with the first one behind it that is known to be old.
    async fn prune(&self, before: Timestamp, now: Timestamp) -> Result<u64, StoreError>;
}

/// An account as the trail knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    /// Its number.
    pub(super) id: i64,
    /// Its secret; empty once it is erased.
    pub(super) secret: Vec<u8>,
    /// Part of the hash of its records.
    pub(super) subject: Subject,
}

impl Known {
    /// A new one, with a secret of its own.
    pub(super) fn new(id: i64, account: &AccountId, dice: &dyn Dice) -> Self {
        let mut secret = vec![0; SECRET_BYTES];
        dice.fill(&mut secret);
        let subject = Subject::of(&secret, account.as_str());
        Self { id, secret, subject }
    }

    /// Whether `account` is what its seal was made of. One that was erased cannot tell any more.
    pub(super) fn is(&self, account: &str) -> bool {
        self.secret.is_empty() || Subject::of(&self.secret, account) == self.subject
    }
}

/// The number up to which records may go, as far as these tell, from the oldest on; and whether they tell all, since one of them has to stay.
/// Of one that a clock stamped that was ahead nobody knows the age: it is no younger than those behind it.
pub(super) fn droppable<'a>(records: impl IntoIterator<Item = &'a Record>, before: Timestamp, now: Timestamp) -> (u64, bool) {
    let mut upto = 0;
    for record in records.into_iter().filter(|record| record.until <= now.plus(AHEAD)) {
        if record.until >= before {
            return (upto, true);
        }
        upto = record.seq;
    }
    (upto, false)
}

/// The name of an erased account.
pub(super) fn pseudonym(id: i64) -> String {
    format!("erased-{id}")
}

/// The record that follows `before`.
pub(super) fn record(event: &Event, seq: u64, before: Point, known: Option<&Known>) -> Record {
    let secret = known.map(|known| known.secret.as_slice()).unwrap_or_default();
    // Without a secret a mark would name the id to whoever guesses it.
    let marks = if secret.is_empty() { Vec::new() } else { event.targets.iter().take(MOST_MARKS).map(|id| mark(secret, id)).collect() };
    let mut record = Record {
        seq,
        at: event.at,
        until: event.until,
        kind: event.kind.as_str().to_owned(),
        subject: known.map_or(0, |known| known.id),
        tool: event.tool.clone(),
        client: event.client.clone(),
        outcome: event.outcome.to_owned(),
        marks,
        targets: u64::try_from(event.targets.len()).unwrap_or(u64::MAX),
        times: event.times,
        refers: event.refers,
        hash: [0; 32],
    };
    record.hash = record.chained(before.hash, known.map(|known| known.subject));
    record
}

/// A write that is about to be sent.
pub(super) fn begun(write: &NewWrite) -> Event {
    let event = Event::new(Kind::Write, write.at).of(&write.account).with(&write.tool).by(&write.client);
    Event { targets: write.targets.clone(), ..event }
}

/// The same, once it is known what became of it.
pub(super) fn ended(account: &AccountId, tool: &str, client: &str, outcome: &Outcome, now: Timestamp) -> Event {
    let word = match outcome {
        Outcome::Done { .. } => "done",
        Outcome::Refused => "refused",
        Outcome::Unknown => "unknown",
    };
    Event::new(Kind::Written, now).of(account).with(tool).by(client).ended(word)
}
