//! What is known of scopes, in memory: loaded from the ledger by source, moved on by what its transactions bumped.
//!
//! Judging an entry is a few look-ups here and no SQL. The ledger commits first and this image follows; between the two an entry may
//! still be served, which is right, because the write that overtakes it has not been answered yet.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{
    cache::{Bumped, Check, Epoch, Feed, Marks, Reading, Scope, ScopeView, Seq, SourceId, SourceState},
    chance::Dice,
    ids::AccountId,
    store::{CheckNoted, FeedKey, Forgotten, Ledger, StoreError},
};

/// Scope states of every source that was asked about since the start.
pub(super) struct Truth {
    ledger: Arc<dyn Ledger>,
    dice: Arc<dyn Dice>,
    sources: RwLock<BTreeMap<SourceId, Held>>,
    /// Counts what the ledger told of sources that were not in memory: a state that was read before that must not be taken in after it.
    missed: AtomicU64,
    /// Who wants to know of every bump.
    changes: super::changes::Changes,
}

/// A source in memory.
struct Held {
    state: SourceState,
    /// Its epoch is one that the ledger does not know: nothing stored matches it, and what the ledger tells does not change that.
    distrusted: bool,
}

/// The states as they are at one moment; held only while judging.
pub(super) struct View<'a>(RwLockReadGuard<'a, BTreeMap<SourceId, Held>>);

impl Truth {
    pub(super) fn new(ledger: Arc<dyn Ledger>, dice: Arc<dyn Dice>) -> Self {
        Self { ledger, dice, sources: RwLock::default(), missed: AtomicU64::new(0), changes: Default::default() }
    }

    /// Where its bumps are told.
    pub(super) fn changes(&self) -> &super::changes::Changes {
        &self.changes
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<SourceId, Held>> {
        self.sources.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes sure that `source` is in memory.
    pub(super) async fn load(&self, source: &SourceId) -> Result<(), StoreError> {
        while !self.look(|view| view.knows(source)) {
            let missed = self.missed.load(Ordering::SeqCst);
            let state = self.ledger.source(source).await?;
            let mut sources = self.write();
            // A write may have bumped it between the ledger's answer and now, and found nothing here to mark: then it is read again.
            if self.missed.load(Ordering::SeqCst) == missed {
                sources.entry(source.clone()).or_insert(Held { state, distrusted: false });
            }
        }
        Ok(())
    }

    /// Epoch and position of `source`, to be read before a fetch begins. `None` when it is not in memory.
    pub(super) fn position(&self, source: &SourceId) -> Option<(Epoch, Seq)> {
        self.look(|view| view.0.get(source).map(|held| (held.state.epoch, held.state.seq)))
    }

    /// The marks of one scope now.
    pub(super) fn marks(&self, source: &SourceId, scope: &Scope) -> Option<Marks> {
        self.look(|view| view.0.get(source).map(|held| held.state.marks(scope)))
    }

    /// Takes in what a transaction of the ledger bumped.
    ///
    /// A source that was not in memory is left to be loaded: a record made from the bumps alone would lack the scopes it does not name. So is
    /// one that the ledger has begun anew.
    pub(super) fn apply(&self, bumps: &[Bumped]) {
        let mut sources = self.write();
        for bumped in bumps {
            self.change(&mut sources, &bumped.source, Some(bumped.epoch), |state| state.apply(bumped));
        }
        drop(sources);
        self.changes.bumped(bumps);
    }

    /// Takes in what the ledger forgot of a source.
    pub(super) fn forgotten(&self, source: &SourceId, forgotten: &Forgotten) {
        let mut sources = self.write();
        for bumped in &forgotten.bumped {
            self.change(&mut sources, &bumped.source, Some(bumped.epoch), |state| state.apply(bumped));
        }
        self.change(&mut sources, source, None, |state| state.forgotten(forgotten.floors, &forgotten.dropped));
    }

    /// Takes in a check, or the baseline that checks begin with.
    pub(super) fn checked(&self, feed: &FeedKey, noted: &CheckNoted) {
        let mut sources = self.write();
        for bumped in &noted.bumped {
            self.change(&mut sources, &bumped.source, Some(bumped.epoch), |state| state.apply(bumped));
        }
        self.change(&mut sources, &feed.source, None, |state| {
            let key = (feed.account.clone(), feed.feed.clone());
            match noted.check {
                Some(check) => state.checked.insert(key, check),
                None => state.checked.remove(&key),
            };
        });
        drop(sources);
        self.changes.bumped(&noted.bumped);
    }

    fn change(
        &self,
        sources: &mut BTreeMap<SourceId, Held>,
        source: &SourceId,
        epoch: Option<Epoch>,
        change: impl FnOnce(&mut SourceState),
    ) {
        match sources.get_mut(source) {
            Some(held) if held.distrusted => {}
            Some(held) if epoch.is_none_or(|epoch| epoch == held.state.epoch) => change(&mut held.state),
            anew => {
                if anew.is_some() {
                    sources.remove(source);
                }
                self.missed.fetch_add(1, Ordering::SeqCst);
            }
        }
    }

    /// Nothing stored of `source` may be served or added before [`Truth::trust`]: a write happened, or is about to, whose bump cannot be
    /// committed.
    pub(super) fn distrust(&self, source: &SourceId) {
        let state = SourceState::new(Epoch(self.dice.number()));
        self.write().insert(source.clone(), Held { state, distrusted: true });
    }

    /// The ledger has begun `source` anew.
    pub(super) fn trust(&self, source: &SourceId, state: SourceState) {
        self.write().insert(source.clone(), Held { state, distrusted: false });
    }

    /// Leaves `source`, which the ledger has dropped, to be loaded again when it is asked for.
    pub(super) fn unload(&self, source: &SourceId) {
        let mut sources = self.write();
        if sources.get(source).is_some_and(|held| !held.distrusted) {
            sources.remove(source);
        }
        self.missed.fetch_add(1, Ordering::SeqCst);
    }

    /// Forgets the checks of an account that has signed out.
    pub(super) fn leave(&self, account: &AccountId) {
        let mut sources = self.write();
        sources.values_mut().for_each(|held| held.state.checked.retain(|(whose, _), _| whose != account));
        self.missed.fetch_add(1, Ordering::SeqCst);
    }

    /// Scopes in memory, over all sources.
    #[cfg(test)]
    pub(super) fn rows(&self) -> usize {
        self.look(|view| view.0.values().map(|held| held.state.scopes.len()).sum())
    }

    /// Judges by the states as they are at one moment. Nobody may look again meanwhile: a second look of the same thread waits for a change
    /// that waits for the first. So what is needed is taken out of `look`, and nothing is done in it.
    pub(super) fn look<T>(&self, look: impl FnOnce(&View<'_>) -> T) -> T {
        look(&View(self.sources.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl View<'_> {
    /// Whether `source` is in memory.
    pub(super) fn knows(&self, source: &SourceId) -> bool {
        self.0.contains_key(source)
    }
}

impl ScopeView for View<'_> {
    fn marks(&self, reading: &Reading, scope: &Scope) -> Option<Marks> {
        let state = &self.0.get(&reading.source)?.state;
        (state.epoch == reading.epoch).then(|| state.marks(scope))
    }

    fn checked(&self, reading: &Reading, account: &AccountId, feed: &Feed) -> Option<Check> {
        let checked = &self.0.get(&reading.source)?.state.checked;
        if checked.is_empty() {
            return None;
        }
        checked.get(&(account.clone(), feed.clone())).copied()
    }
}

#[cfg(test)]
#[path = "truth_tests.rs"]
mod tests;
