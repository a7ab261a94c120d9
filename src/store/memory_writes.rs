//! Our own writes in the store without a disk: how they settle, and how many are kept.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    NewWrite,
    memory::{Mark, State},
    rules::{KEPT_ROWS, set_back},
};
use crate::{
    cache::{Bumped, Scope, SourceId},
    chance::Dice,
    clock::Timestamp,
};

/// A write of ours.
pub(super) struct WriteRow {
    pub(super) write: NewWrite,
    /// Number of its record in the trail.
    pub(super) audited: u64,
    pub(super) open: bool,
    /// When it was closed, and until when what it touched is unsettled.
    pub(super) unsettled: Option<(Timestamp, Timestamp)>,
    pub(super) bumped: BTreeMap<SourceId, BTreeSet<Scope>>,
}

impl State {
    /// Keeps the latest closed rows of `writes`; open and unsettled ones stay.
    pub(super) fn prune_writes(&mut self) {
        let oldest = self.last_write - i64::try_from(KEPT_ROWS).unwrap_or(i64::MAX);
        self.writes.retain(|id, row| *id > oldest || row.open || row.unsettled.is_some());
    }

    /// Bumps again what was touched by the writes whose time has ended, and tells when the next one's ends.
    pub(super) fn settle(&mut self, now: Timestamp, dice: &dyn Dice) -> (Vec<Bumped>, Option<Timestamp>) {
        let mut due: BTreeMap<SourceId, BTreeSet<Scope>> = BTreeMap::new();
        // Until when what the others touched is unsettled, which a clock that was set back changes.
        let mut waiting: BTreeMap<(SourceId, Scope), Timestamp> = BTreeMap::new();
        let mut next = None;
        for row in self.writes.values_mut() {
            let Some((closed, until)) = &mut row.unsettled else { continue };
            if *closed > set_back(now) {
                (*closed, *until) = (now, now.plus(until.since(*closed)));
            }
            let until = *until;
            if until <= now {
                row.unsettled = None;
                for (source, scopes) in std::mem::take(&mut row.bumped) {
                    due.entry(source).or_default().extend(scopes);
                }
                continue;
            }
            next = next.into_iter().chain([until]).min();
            for (source, scope) in row.bumped.iter().flat_map(|(source, scopes)| scopes.iter().map(move |scope| (source, scope))) {
                let known = waiting.entry((source.clone(), scope.clone())).or_insert(until);
                *known = until.max(*known);
            }
        }
        let settled = due.iter().flat_map(|(source, scopes)| scopes.iter().map(move |scope| (source.clone(), scope.clone())));
        let settled: Vec<_> = settled.filter(|scope| !waiting.contains_key(scope)).map(|scope| (scope, None)).collect();
        for ((id, scope), until) in settled.into_iter().chain(waiting.into_iter().map(|(scope, until)| (scope, Some(until)))) {
            if let Some(marks) = self.sources.get_mut(&id).and_then(|source| source.scopes.get_mut(&scope)) {
                marks.unsettled_until = until;
            }
        }
        let bumped = self.bump(&due, Mark::Written { unsettled: None }, dice);
        (bumped, next)
    }
}
