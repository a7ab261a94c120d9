//! Writes that the ledger cannot record, and how what they touched is trusted again.
//!
//! A write is journalled before it is sent, so that a crash cannot hide that it happened. When the journal cannot be written, the choice is
//! to refuse the write or to send it without a row. It is sent (requirements, M24: an unusable store never stops a call), because the two
//! things that the row is for can be had in another way:
//!
//! * **While this daemon lives** nothing stored of the source is served or added: its image in memory has an epoch that no entry has.
//! * **After a crash** nothing stored of any source is served: a mark beside the database is on the disk before the write is sent, and a
//!   start that finds it gives every source a new epoch first. When the mark cannot be set, the write is refused.
//!
//! When the store works again the source gets a new epoch in the ledger, once the time has passed within which the write may still show its
//! effects, and is trusted from then on; when no source is left in doubt the mark is taken back. A write that was journalled and whose
//! closing failed is dealt with alike; its open row takes the place of the mark. What is lost with the row is its trace: after a crash
//! nobody is told that the outcome of such a write is unknown.

use std::{collections::BTreeMap, time::Duration};

use tokio::sync::Mutex;

use super::{CallError, Engine};
use crate::{
    cache::SourceId,
    clock::{Countdown, Timestamp},
    store::{DoubtMark, StoreError},
};

/// Sources in doubt.
#[derive(Default)]
pub(super) struct Doubts {
    /// `None` where nothing outlives the process.
    mark: Option<DoubtMark>,
    /// Held while the mark and what it stands for are changed together.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    marked: bool,
    sources: BTreeMap<SourceId, Doubt>,
}

struct Doubt {
    /// Unrecorded writes under way.
    sending: usize,
    /// While it runs the last of them may show effects.
    unsettled: Countdown,
}

impl State {
    fn doubt(&mut self, source: &SourceId) -> &mut Doubt {
        self.sources.entry(source.clone()).or_insert(Doubt { sending: 0, unsettled: Countdown::default() })
    }
}

/// Whether a journal that failed so may be gone without.
fn unusable(error: &StoreError) -> bool {
    match error {
        StoreError::Full | StoreError::Damaged(_) | StoreError::Failed(_) | StoreError::WrongKey(_) | StoreError::Newer { .. } => true,
        // The call was made before; or the daemon is on its way out.
        StoreError::Journalled | StoreError::Closed => false,
    }
}

impl Doubts {
    pub(super) fn new(mark: Option<DoubtMark>) -> Self {
        Self { mark, state: Mutex::default() }
    }

    async fn set(&self, raise: bool) -> std::io::Result<()> {
        let Some(mark) = self.mark.clone() else { return Ok(()) };
        let set = tokio::task::spawn_blocking(move || if raise { mark.raise() } else { mark.clear() });
        set.await.unwrap_or_else(|_| Err(std::io::Error::other("the mark was not set")))
    }
}

impl Engine {
    /// A write is about to be sent without a row in the journal, which failed with `error`.
    ///
    /// # Errors
    ///
    /// When it must not be sent: it was journalled before, the daemon stops, or a crash could hide it.
    pub(super) async fn send_unjournalled(&self, source: &SourceId, error: StoreError) -> Result<(), CallError> {
        if !unusable(&error) {
            return Err(CallError::NotJournalled(error));
        }
        let mut state = self.doubts.state.lock().await;
        self.truth.distrust(source);
        let doubt = state.doubt(source);
        doubt.sending += 1;
        if !state.marked {
            if let Err(failed) = self.doubts.set(true).await {
                tracing::warn!(kind = %failed.kind(), "a write was refused: neither the store nor a mark beside it could record it");
                state.doubt(source).sending -= 1;
                self.unsettled.notify_one();
                return Err(CallError::NotJournalled(error));
            }
            state.marked = true;
        }
        tracing::warn!("a write is sent without a record, because the store does not do its work");
        Ok(())
    }

    /// It was sent, whatever came of it. Until this has returned nobody is answered.
    pub(super) async fn sent_unjournalled(&self, source: &SourceId) {
        let mut state = self.doubts.state.lock().await;
        // Reads that began meanwhile must not be joined by later ones.
        self.truth.distrust(source);
        let doubt = state.doubt(source);
        doubt.sending = doubt.sending.saturating_sub(1);
        doubt.unsettled = Countdown::new(self.clock.now(), self.policy().unsettled);
        self.unsettled.notify_one();
    }

    /// The row of a write that was sent cannot be closed.
    pub(super) async fn left_open(&self, source: &SourceId) {
        let mut state = self.doubts.state.lock().await;
        self.truth.distrust(source);
        state.doubt(source).unsettled = Countdown::new(self.clock.now(), self.policy().unsettled);
        self.unsettled.notify_one();
    }

    /// Begins sources in doubt anew whose time has come, and tells when to look again.
    pub(super) async fn heal(&self, now: Timestamp) -> Option<Timestamp> {
        let mut state = self.doubts.state.lock().await;
        let ended = |doubt: &mut Doubt| doubt.sending == 0 && doubt.unsettled.left(now).is_zero();
        let due: Vec<SourceId> = state.sources.iter_mut().filter_map(|(source, doubt)| ended(doubt).then(|| source.clone())).collect();
        for source in due {
            match self.ledger.renew(&source).await {
                Ok(known) => {
                    self.truth.trust(&source, known);
                    state.sources.remove(&source);
                }
                Err(error) => {
                    self.note_store(Some(&error));
                    state.doubt(&source).unsettled = Countdown::new(now, RETRY);
                }
            }
        }
        if state.sources.is_empty() && state.marked {
            match self.doubts.set(false).await {
                Ok(()) => state.marked = false,
                Err(failed) => {
                    tracing::warn!(kind = %failed.kind(), "a mark could not be taken back; the next start begins with an empty cache")
                }
            }
        }
        let left = state.sources.values_mut().filter(|doubt| doubt.sending == 0).map(|doubt| doubt.unsettled.left(now)).min();
        left.map(|left| now.plus(left))
    }

    /// Sources of which nothing stored is served.
    pub(super) async fn in_doubt(&self) -> usize {
        self.doubts.state.lock().await.sources.len()
    }
}

/// At start: when a write was sent without a row, every source begins anew before anything is served.
///
/// # Errors
///
/// When the ledger cannot do it; then nothing may be served.
pub(super) async fn after_a_crash(ledger: &dyn crate::store::Ledger, mark: &DoubtMark) -> Result<(), CallError> {
    if mark.raised() {
        tracing::warn!("a write was sent without a record before the daemon stopped: nothing stored is served any more");
        for source in ledger.sources().await? {
            ledger.renew(&source.id).await?;
        }
    }
    // Cleared only now; and made while there is space for it.
    let kept = if mark.raised() { mark.clear() } else { mark.prepare() };
    if let Err(failed) = kept {
        tracing::warn!(kind = %failed.kind(), "the mark for writes without a record cannot be written beside the database");
    }
    Ok(())
}

/// How soon a store that could not begin a source anew is asked again.
const RETRY: Duration = Duration::from_secs(60);

#[cfg(test)]
#[path = "doubt_tests.rs"]
mod tests;
