//! The audit trail of the store without a disk: as long as the process, and without an anchor.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;

use super::{
    Ends, Memory, Range, StoreError, Trail,
    trail::{Known, droppable, pseudonym, record},
};
use crate::{
    audit::{self, Event, Fault, Kind, Mark, Point, Record, Report, Verifier},
    chance::Dice,
    clock::Timestamp,
    ids::AccountId,
};

/// The records, and what their numbers stand for.
#[derive(Default)]
pub(super) struct Records {
    records: BTreeMap<u64, Record>,
    subjects: Vec<(Known, String)>,
    last_subject: i64,
    ends: Ends,
}

impl Records {
    fn subject(&mut self, account: &AccountId, dice: &dyn Dice) -> Known {
        if let Some((known, _)) = self.subjects.iter().find(|(_, name)| name == account.as_str()) {
            return known.clone();
        }
        self.last_subject += 1;
        let known = Known::new(self.last_subject, account, dice);
        self.subjects.push((known.clone(), account.as_str().to_owned()));
        known
    }

    /// Appends events. Returns the number of the last record.
    pub(super) fn append(&mut self, events: &[Event], dice: &dyn Dice) -> u64 {
        for event in events {
            let known = event.account.as_ref().map(|account| self.subject(account, dice));
            let made = record(event, self.ends.head.seq + 1, self.ends.head, known.as_ref());
            self.ends.head = made.point();
            self.records.insert(made.seq, made);
        }
        self.ends.head.seq
    }

    /// Puts a pseudonym in the place of an account.
    pub(super) fn forget_subject(&mut self, account: &AccountId) {
        if let Some((known, name)) = self.subjects.iter_mut().find(|(_, name)| name == account.as_str()) {
            *name = pseudonym(known.id);
            known.secret.clear();
        }
    }

    /// Whether it knows the account by its name.
    pub(super) fn knows(&self, account: &AccountId) -> bool {
        self.subjects.iter().any(|(_, name)| name == account.as_str())
    }

    fn verify(&self, noted: Option<Point>) -> Report {
        let mut verifier = Verifier::new(self.ends.floor);
        noted.into_iter().for_each(|point| verifier.through(point));
        for record in self.records.values() {
            let known = self.subjects.iter().find(|(known, _)| known.id == record.subject);
            verifier.push(record, known.map(|(known, _)| known.subject));
        }
        for (known, name) in &self.subjects {
            if !known.is(name) {
                verifier.fault(Fault::Subject { subject: known.id });
            }
        }
        verifier.finish(Some(self.ends.head))
    }

    fn prune(&mut self, before: Timestamp, now: Timestamp) -> u64 {
        let (upto, _) = droppable(self.records.values(), before, now);
        let mut dropped = 0;
        while let Some(first) = self.records.first_entry()
            && *first.key() <= upto
        {
            self.ends.floor = first.remove().point();
            dropped += 1;
        }
        let Self { records, subjects, .. } = self;
        subjects.retain(|(known, _)| records.values().any(|record| record.subject == known.id));
        dropped
    }
}

#[async_trait]
impl Trail for Memory {
    async fn resume(&self, _now: Timestamp) -> Result<(), StoreError> {
        Ok(())
    }

    async fn append(&self, events: Vec<Event>) -> Result<u64, StoreError> {
        Ok(self.with_trail(|trail, dice| trail.append(&events, dice)))
    }

    async fn records(&self, range: Range, most: usize) -> Result<Vec<Record>, StoreError> {
        Ok(self.with_trail(|trail, _| match range {
            Range::After(seq) => trail.records.range(seq.saturating_add(1)..).take(most).map(|(_, record)| record.clone()).collect(),
            Range::Before(seq) => {
                let mut records: Vec<Record> = trail.records.range(..seq).rev().take(most).map(|(_, record)| record.clone()).collect();
                records.reverse();
                records
            }
        }))
    }

    async fn subjects(&self) -> Result<BTreeMap<i64, String>, StoreError> {
        Ok(self.with_trail(|trail, _| trail.subjects.iter().map(|(known, name)| (known.id, name.clone())).collect()))
    }

    async fn marks(&self, target: &str) -> Result<BTreeSet<Mark>, StoreError> {
        Ok(self.with_trail(|trail, _| {
            let with_secret = trail.subjects.iter().filter(|(known, _)| !known.secret.is_empty());
            with_secret.map(|(known, _)| audit::mark(&known.secret, target)).collect()
        }))
    }

    async fn ends(&self) -> Result<Ends, StoreError> {
        Ok(self.with_trail(|trail, _| trail.ends))
    }

    async fn verify(&self, noted: Option<Point>) -> Result<Report, StoreError> {
        Ok(self.with_trail(|trail, _| trail.verify(noted)))
    }

    async fn prune(&self, before: Timestamp, now: Timestamp) -> Result<u64, StoreError> {
        Ok(self.with_trail(|trail, dice| {
            let dropped = trail.prune(before, now);
            if dropped > 0 {
                trail.append(&[Event::new(Kind::Prune, now).by("m365-cached").ended("expired").times(dropped)], dice);
            }
            dropped
        }))
    }
}
