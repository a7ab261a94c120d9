//! Erasure: all of an account in every tier, completed after a crash, counted afterwards.
//!
//! The note that an erasure has begun comes first and goes last; between the two every step can be done again. Whoever is signed in is signed
//! out first, which destroys the account's data key: from there on what is left on the disk cannot be read, and the rest is removed row by row.

use std::{collections::BTreeSet, sync::Arc};

use super::{CallError, Engine};
use crate::{
    clock::Timestamp,
    ids::{AccountId, Caller},
    store::{AccountRow, Entries, Erasure, Ledger, Left, Records, StoreError},
};

/// Entries asked at a time for the mailboxes and drives they were drawn from.
const PAGE: usize = 256;

/// What an erasure came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erased {
    /// Whose data it was.
    pub account: AccountId,
    /// Entries that were removed.
    pub entries: u64,
    /// What is left, by what it is; all 0 when it is complete.
    pub left: Left,
}

impl Erased {
    /// Nothing is left.
    pub fn is_complete(&self) -> bool {
        self.left.values().all(|count| *count == 0)
    }
}

impl Engine {
    /// Erases everything that is held on an account: id or username of one that is signed in, or the id of one that was. It runs by itself:
    /// whoever asked may go away.
    ///
    /// # Errors
    ///
    /// When nothing is known of such an account, or the store cannot do it; then it is completed at the next start.
    pub async fn erase(self: &Arc<Self>, name: &str, caller: &Caller) -> Result<Erased, CallError> {
        let (engine, name, caller) = (self.clone(), name.trim().to_owned(), caller.clone());
        tokio::spawn(async move { engine.erase_now(&name, &caller).await }).await.map_err(|_| CallError::Broken)?
    }

    async fn erase_now(self: &Arc<Self>, name: &str, caller: &Caller) -> Result<Erased, CallError> {
        let _alone = self.erasing.lock().await;
        let records = self.records();
        let row = match self.accounts.find(name) {
            Ok(row) => Some(row),
            Err(unknown) => {
                let known = records.subjects().await?.into_values().any(|known| known == name && !known.starts_with("erased-"));
                if !known {
                    return Err(unknown);
                }
                None
            }
        };
        let account = row.as_ref().map_or_else(|| AccountId::new(name), |row| row.id.clone());
        let sources = match &row {
            Some(row) => self.sources_behind(row).await?,
            None => BTreeSet::new(),
        };
        let names = row.iter().flat_map(|row| [row.username.clone(), row.display_name.clone()]).collect();
        let at = self.clock.now();
        let erasure = Erasure { account: account.clone(), names, sources: sources.into_iter().collect(), by: caller.client.clone(), at };
        records.begin_erasure(erasure.clone()).await?;
        // What was read until now is recorded before the trail forgets whose it was.
        self.flush_trail().await;
        let entries = match row {
            Some(row) => self.sign_out(row, caller).await?.1,
            None => 0,
        };
        // Writes under way close their rows before these go.
        let drained = tokio::time::timeout(self.policy.deadline, self.acts.drain()).await;
        if drained.is_err() {
            tracing::warn!("writes are still under way while an account is erased; what they leave is erased at the next start");
        }
        self.flush_trail().await;
        self.forget_in_trail(&account);
        let left = erase_rest(&*self.ledger, &*self.entries, &*records, &erasure, self.clock.now()).await?;
        for source in &erasure.sources {
            self.truth.unload(source);
        }
        self.mailboxes.clear();
        self.accounts.forget_ends(&account);
        let erased = Erased { account, entries, left };
        if erased.is_complete() && drained.is_ok() {
            records.end_erasure(&erased.account).await?;
            tracing::info!("an account was erased");
        }
        Ok(erased)
    }

    /// The account's own mailbox and drive, and those of others that its answers were drawn from.
    async fn sources_behind(&self, row: &AccountRow) -> Result<BTreeSet<crate::cache::SourceId>, CallError> {
        let mut sources: BTreeSet<_> = self.sources_of(row).into_iter().collect();
        let mut after = Some(0);
        while let Some(from) = after {
            let (keys, next) = self.entries.entries_of(&row.id, from, PAGE).await?;
            for key in keys {
                if let Some(entry) = self.entries.get(key).await? {
                    sources.extend(entry.meta.readings.into_iter().map(|reading| reading.source));
                }
            }
            after = next;
        }
        Ok(sources)
    }

    /// What is known of accounts that have signed out and are erased by id.
    ///
    /// # Errors
    ///
    /// When the store cannot tell.
    pub async fn erasures_pending(&self) -> Result<usize, CallError> {
        Ok(self.records().erasures().await?.len())
    }
}

/// Removes everything, whatever an earlier attempt has removed already; tells what is left.
async fn erase_rest(
    ledger: &dyn Ledger,
    entries: &dyn Entries,
    records: &dyn Records,
    erasure: &Erasure,
    now: Timestamp,
) -> Result<Left, StoreError> {
    ledger.remove_account(&erasure.account).await?;
    records.erase(erasure, now).await?;
    let mut left = records.left(erasure).await?;
    // Entries may lie elsewhere than the ledger.
    let (held, _) = entries.entries_of(&erasure.account, 0, PAGE).await?;
    *left.entry("entries").or_default() += u64::try_from(held.len()).unwrap_or(u64::MAX);
    Ok(left)
}

/// At start: completes erasures that were cut short, before any account is served.
pub(super) async fn complete(ledger: &dyn Ledger, entries: &dyn Entries, records: &dyn Records, now: Timestamp) -> Result<(), StoreError> {
    for erasure in records.erasures().await? {
        let left = erase_rest(ledger, entries, records, &erasure, now).await?;
        if left.values().all(|count| *count == 0) {
            records.end_erasure(&erasure.account).await?;
            tracing::info!("an erasure that was cut short is complete");
        } else {
            tracing::warn!("an erasure could not be completed; the next start tries again");
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "erase_tests.rs"]
mod tests;
