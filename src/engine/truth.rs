//! What is known of scopes, in memory: loaded from the ledger by source, moved on by what its transactions bumped.
//!
//! Judging an entry is a few look-ups here and no SQL. The ledger commits first and this image follows; between the two an entry may
//! still be served, which is right, because the write that overtakes it has not been answered yet.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard},
};

use crate::{
    cache::{Bumped, Epoch, Marks, Reading, Scope, ScopeView, Seq, SourceId, SourceState},
    chance::Dice,
    clock::Timestamp,
    ids::AccountId,
    store::{Ledger, StoreError},
};

/// Scope states of every source that was asked about since the start.
pub(super) struct Truth {
    ledger: Arc<dyn Ledger>,
    dice: Arc<dyn Dice>,
    sources: RwLock<BTreeMap<SourceId, SourceState>>,
}

/// The states as they are at one moment; held only while judging, never across an await.
pub(super) struct View<'a>(RwLockReadGuard<'a, BTreeMap<SourceId, SourceState>>);

impl Truth {
    pub(super) fn new(ledger: Arc<dyn Ledger>, dice: Arc<dyn Dice>) -> Self {
        Self { ledger, dice, sources: RwLock::new(BTreeMap::new()) }
    }

    /// Makes sure that `source` is in memory.
    pub(super) async fn load(&self, source: &SourceId) -> Result<(), StoreError> {
        if self.view().knows(source) {
            return Ok(());
        }
        let state = self.ledger.source(source).await?;
        // A write may have bumped it between the ledger's answer and now: what is there already is newer.
        self.sources.write().unwrap_or_else(PoisonError::into_inner).entry(source.clone()).or_insert(state);
        Ok(())
    }

    /// Epoch and position of `source`, to be read before a fetch begins. `None` when it is not in memory.
    pub(super) fn position(&self, source: &SourceId) -> Option<(Epoch, Seq)> {
        self.view().0.get(source).map(|state| (state.epoch, state.seq))
    }

    /// The marks of one scope now.
    pub(super) fn marks(&self, source: &SourceId, scope: &Scope) -> Option<Marks> {
        self.view().0.get(source).map(|state| state.marks(scope))
    }

    /// Takes in what a transaction of the ledger bumped.
    ///
    /// A source that was not in memory is left to be loaded: a record made from the bumps alone would lack the scopes it does not name.
    pub(super) fn apply(&self, bumps: &[Bumped]) {
        let mut sources = self.sources.write().unwrap_or_else(PoisonError::into_inner);
        for bumped in bumps {
            if let Some(state) = sources.get_mut(&bumped.source) {
                state.apply(bumped);
            }
        }
    }

    /// Nothing stored of `source` may be served again before a restart: a write happened whose bump could not be committed.
    ///
    /// The open row of that write stays in the ledger, so that the next start bumps what it touched.
    pub(super) fn distrust(&self, source: &SourceId) {
        let mut sources = self.sources.write().unwrap_or_else(PoisonError::into_inner);
        sources.insert(source.clone(), SourceState::new(Epoch(self.dice.number())));
    }

    /// The states now.
    pub(super) fn view(&self) -> View<'_> {
        View(self.sources.read().unwrap_or_else(PoisonError::into_inner))
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
        let state = self.0.get(&reading.source)?;
        (state.epoch == reading.epoch).then(|| state.marks(scope))
    }

    fn checked(&self, reading: &Reading, account: &AccountId, scope: &Scope) -> Option<(Timestamp, Seq)> {
        self.0.get(&reading.source)?.checked.get(&(account.clone(), scope.clone())).copied()
    }
}
