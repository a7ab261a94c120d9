//! What is done while nobody waits: forgetting what is remembered beyond its bounds, and holding running totals against what they count.
//!
//! Woken by use and never by time alone, so that an idle daemon stays idle. Every step is a short transaction of its own, and the store
//! takes reads before it.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::sync::Notify;

use super::Engine;
use crate::{
    cache::{Keep, SourceId, trim},
    clock::Timestamp,
    store::{AccountRow, StoreError},
};

/// Rows of each kind dropped in one transaction.
const STEP: usize = 256;
/// A source that belongs to no account and was not used for this long is dropped: longer than an answer may stand in for a failed fetch.
const UNUSED: Duration = Duration::from_secs(8 * 24 * 3600);
/// How often totals are compared, at most.
const COMPARE: Duration = Duration::from_secs(3600);

/// What is due.
#[derive(Default)]
pub(super) struct Chores {
    stirred: Notify,
    /// Sources of accounts that have signed out.
    left: Mutex<BTreeSet<SourceId>>,
    compared: Mutex<Option<Timestamp>>,
    corrected: AtomicU64,
}

impl Chores {
    /// Something was stored or bumped.
    pub(super) fn stir(&self) {
        self.stirred.notify_one();
    }

    /// Groups of totals that were wrong and were corrected since the start.
    pub(super) fn corrected(&self) -> u64 {
        self.corrected.load(Relaxed)
    }
}

impl Engine {
    /// Waits until something was stored or changed, lets a while pass, then does what is due.
    pub async fn tidy_after(self: &Arc<Self>, quiet: Duration) {
        self.chores.stirred.notified().await;
        self.clock.sleep(quiet).await;
        self.tidy().await;
    }

    /// Does what is due.
    pub(super) async fn tidy(&self) {
        self.go_on_erasing().await;
        let done = async {
            self.forget_sources().await?;
            self.forget_rows().await?;
            self.forget_handles().await?;
            self.compare_totals().await
        };
        if let Err(error) = done.await {
            self.note_store(Some(&error));
        }
    }

    /// The mailbox and the drive of an account.
    pub(super) fn sources_of(&self, account: &AccountRow) -> Vec<SourceId> {
        let policy = self.policy();
        let cloud = &policy.cloud;
        let mailbox = SourceId::mailbox(cloud, &account.tenant_id, &account.object_id);
        let drive = account.drive_id.as_deref().map(|drive| SourceId::drive(cloud, &account.tenant_id, drive));
        std::iter::once(mailbox).chain(drive).collect()
    }

    /// An account has signed out: what was remembered of its mailbox and drive is dropped soon.
    pub(super) fn leave_sources(&self, account: &AccountRow) {
        self.truth.leave(&account.id);
        self.checks.leave(&account.id);
        self.walks.leave(&account.id);
        self.facts.leave(&account.id);
        self.folder_ids.leave(&account.id);
        self.names.leave(&account.id);
        self.warmth.leave(&account.id, self.clock.now());
        self.chores.left.lock().unwrap_or_else(PoisonError::into_inner).extend(self.sources_of(account));
        self.chores.stir();
    }

    /// Drops sources that no account uses any more. One that has unsettled scopes stays for now.
    async fn forget_sources(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        let left = std::mem::take(&mut *self.chores.left.lock().unwrap_or_else(PoisonError::into_inner));
        for size in self.ledger.sources().await? {
            // Asked anew each time: somebody may sign in meanwhile.
            let own = self.accounts().iter().any(|account| self.sources_of(&account.row).contains(&size.id));
            if own || !(left.contains(&size.id) || now.since(size.used) > UNUSED) {
                continue;
            }
            self.forget(&size.id, Keep::both(0)).await?;
            if self.ledger.drop_source(&size.id).await? {
                self.truth.unload(&size.id);
            } else {
                self.chores.left.lock().unwrap_or_else(PoisonError::into_inner).insert(size.id);
            }
        }
        Ok(())
    }

    async fn forget_rows(&self) -> Result<(), StoreError> {
        for (source, keep) in trim(&self.ledger.sources().await?, self.policy().bounds) {
            self.forget(&source, keep).await?;
        }
        Ok(())
    }

    /// Forgets what a source may not keep, a step at a time.
    async fn forget(&self, source: &SourceId, keep: Keep) -> Result<(), StoreError> {
        loop {
            let forgotten = self.ledger.forget(source, keep, STEP).await?;
            self.truth.forgotten(source, &forgotten);
            if !forgotten.more {
                return Ok(());
            }
        }
    }

    async fn compare_totals(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        {
            let mut compared = self.chores.compared.lock().unwrap_or_else(PoisonError::into_inner);
            if compared.is_some_and(|at| now >= at && now.since(at) < COMPARE) {
                return Ok(());
            }
            *compared = Some(now);
        }
        let mut step = self.entries.check_totals(None).await?;
        let mut corrected = 0;
        loop {
            corrected += u64::from(step.corrected);
            if step.next.is_none() {
                break;
            }
            step = self.entries.check_totals(step.next).await?;
        }
        if corrected > 0 {
            tracing::warn!(groups = corrected, "running totals did not match the entries they count; they were corrected");
            self.chores.corrected.fetch_add(corrected, Relaxed);
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "forget_tests.rs"]
mod tests;
