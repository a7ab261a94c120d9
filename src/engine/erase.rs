//! Erasure: all of an account in every tier, completed after a crash, counted afterwards.
//!
//! The note that an erasure has begun comes first and goes last; between the two every step can be done again. Whoever is signed in is signed
//! out first, which destroys the account's data key: from there on what is left on the disk cannot be read, and the rest is removed row by row.
//! One that fails half way leaves the account signed out: the rest is done while nobody waits, before the same account signs in again, or at the
//! next start, whichever comes first.

use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use super::{CallError, Engine, accounts::Failed};
use crate::{
    audit::{Event, Kind},
    cache::SourceId,
    clock::Timestamp,
    ids::{AccountId, Caller},
    store::{AccountRow, Copies, Entries, Erasure, Ledger, Left, Records, StoreError},
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
    /// Sealed copies of an import that were removed with it: nothing can be taken out of one.
    pub copies: u64,
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
    /// When nothing is known of such an account, or the store cannot note that it begins. [`CallError::Erasing`] once it has begun: the account
    /// is signed out, and the rest follows when the store works, or at the next start.
    pub async fn erase(self: &Arc<Self>, name: &str, caller: &Caller) -> Result<Erased, CallError> {
        let (engine, name, caller) = (self.clone(), name.trim().to_owned(), caller.clone());
        tokio::spawn(async move { engine.erase_now(&name, &caller).await }).await.map_err(|_| CallError::Broken)?
    }

    async fn erase_now(self: &Arc<Self>, name: &str, caller: &Caller) -> Result<Erased, CallError> {
        let _alone = self.erasing.lock().await;
        let (row, erasure) = self.note_erasure(name, caller).await?;
        let account = erasure.account.clone();
        // Completed behind this, or taken up again by whoever tidies.
        self.unfinished.store(true, Relaxed);
        let done = self.erase_begun(row, erasure, caller).await;
        self.forget_in_trail(&account);
        let erased = done.map_err(|error| {
            tracing::warn!("an account is signed out, and its erasure could not be completed; it is tried again");
            self.chores.stir();
            match error {
                CallError::Store(error) => CallError::Erasing(error),
                other => other,
            }
        })?;
        if self.unfinished.load(Relaxed) {
            self.chores.stir();
        }
        if erased.is_complete() {
            tracing::info!("an account was erased");
        }
        Ok(erased)
    }

    /// Finds out who is meant, and notes that the erasure begins; one that has begun goes on.
    async fn note_erasure(&self, name: &str, caller: &Caller) -> Result<(Option<Arc<AccountRow>>, Erasure), CallError> {
        let records = self.records();
        let row = match self.accounts.find(name) {
            Ok(row) => Some(row),
            Err(ambiguous @ CallError::AmbiguousAccount(_)) => return Err(ambiguous),
            Err(unknown) => {
                let named = |begun: &Erasure| {
                    begun.account.as_str() == name || begun.names.first().is_some_and(|known| known.eq_ignore_ascii_case(name))
                };
                if let Some(begun) = records.erasures().await?.into_iter().find(named) {
                    return Ok((None, begun));
                }
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
            None => self.sources_of_nobody(&account).await?,
        };
        let names = row.iter().flat_map(|row| [row.username.clone(), row.display_name.clone()]).collect();
        let at = self.clock.now();
        let erasure = Erasure { account, names, sources: sources.into_iter().collect(), by: caller.client.clone(), at };
        records.begin_erasure(erasure.clone()).await?;
        Ok((row, erasure))
    }

    /// Everything behind the note. Whatever fails here leaves the account signed out.
    async fn erase_begun(&self, row: Option<Arc<AccountRow>>, erasure: Erasure, caller: &Caller) -> Result<Erased, CallError> {
        // What was read until now is recorded before the trail forgets whose it was.
        self.flush_trail().await;
        let entries = match row {
            Some(row) => self.sign_out(row, caller, Failed::SignedOut).await?.1,
            None => 0,
        };
        // Writes under way close their rows before these go.
        let drained = tokio::time::timeout(self.policy().deadline, self.acts.drain()).await;
        if drained.is_err() {
            tracing::warn!("writes are still under way while an account is erased; what they leave is erased later");
        }
        self.flush_trail().await;
        self.forget_in_trail(&erasure.account);
        let (left, copies) = self.erase_rest(&erasure).await?;
        let erased = Erased { account: erasure.account, entries, copies, left };
        if erased.is_complete() && drained.is_ok() {
            self.records().end_erasure(&erased.account).await?;
            // Another account's may wait still.
            self.unfinished.store(!self.records().erasures().await?.is_empty(), Relaxed);
        }
        Ok(erased)
    }

    async fn erase_rest(&self, erasure: &Erasure) -> Result<(Left, u64), StoreError> {
        let records = self.records();
        let tiers = Tiers { ledger: &*self.ledger, entries: &*self.entries, records: &*records, copies: self.copies.as_ref() };
        let done = tiers.erase(erasure, self.clock.now()).await?;
        for source in &erasure.sources {
            self.truth.unload(source);
        }
        self.mailboxes.clear();
        self.accounts.forget_ends(&erasure.account);
        Ok(done)
    }

    /// Goes on with erasures that have begun; called while nobody waits.
    pub(super) async fn go_on_erasing(&self) {
        if !self.unfinished.load(Relaxed) {
            return;
        }
        let _alone = self.erasing.lock().await;
        if let Err(error) = self.complete_erasures().await {
            self.note_store(Some(&error));
            self.chores.stir();
        }
    }

    /// The same, for one who holds `erasing`: whoever signs in again must not be erased afterwards.
    ///
    /// # Errors
    ///
    /// When the store cannot do it yet.
    pub(super) async fn complete_erasures(&self) -> Result<(), StoreError> {
        if !self.unfinished.load(Relaxed) {
            return Ok(());
        }
        if tokio::time::timeout(self.policy().deadline, self.acts.drain()).await.is_err() {
            return Err(StoreError::Failed("writes are under way that an erasure waits for".into()));
        }
        for erasure in self.records().erasures().await? {
            let (left, _) = self.erase_rest(&erasure).await?;
            ended(&*self.records(), &erasure, &left).await?;
        }
        self.unfinished.store(false, Relaxed);
        Ok(())
    }

    /// The mailbox of an account that has signed out, and every mailbox and drive that nobody has an answer of who is signed in: some of them
    /// were read for that account, and nobody knows any more which.
    async fn sources_of_nobody(&self, account: &AccountId) -> Result<BTreeSet<SourceId>, CallError> {
        let mut used = BTreeSet::new();
        for row in self.accounts.all() {
            used.extend(self.sources_behind(&row).await?);
        }
        let known = self.ledger.sources().await?.into_iter().map(|size| size.id);
        let own = account.as_str().split_once('.').map(|(object, tenant)| SourceId::mailbox(&self.policy().cloud, tenant, object));
        Ok(known.filter(|source| !used.contains(source)).chain(own).collect())
    }

    /// The account's own mailbox and drive, and those of others that its answers were drawn from.
    async fn sources_behind(&self, row: &AccountRow) -> Result<BTreeSet<SourceId>, CallError> {
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

/// Everywhere something of an account may lie.
struct Tiers<'a> {
    ledger: &'a dyn Ledger,
    entries: &'a dyn Entries,
    records: &'a dyn Records,
    copies: Option<&'a Copies>,
}

impl Tiers<'_> {
    /// Removes everything, whatever an earlier attempt has removed already; tells what is left, and how many sealed copies there were.
    async fn erase(&self, erasure: &Erasure, now: Timestamp) -> Result<(Left, u64), StoreError> {
        self.ledger.remove_account(&erasure.account).await?;
        let copies = self.copies.map_or(Ok(0), Copies::count)?;
        if copies > 0 {
            // Before they go: cut short in between it is recorded again, and not lost.
            let event = Event::new(Kind::Import, now).by(&erasure.by).ended("copies_removed").times(copies);
            self.records.append(vec![event]).await?;
        }
        let removed = self.copies.map_or(Ok(0), Copies::remove)?;
        self.records.erase(erasure, now).await?;
        let mut left = self.records.left(erasure).await?;
        // Entries may lie elsewhere than the ledger.
        let (held, _) = self.entries.entries_of(&erasure.account, 0, PAGE).await?;
        *left.entry("entries").or_default() += u64::try_from(held.len()).unwrap_or(u64::MAX);
        left.insert("imported_copies", self.copies.map_or(Ok(0), Copies::count)?);
        Ok((left, removed))
    }
}

/// Takes the note of an erasure away when nothing is left.
async fn ended(records: &dyn Records, erasure: &Erasure, left: &Left) -> Result<(), StoreError> {
    if left.values().any(|count| *count > 0) {
        return Err(StoreError::Failed("something of an account that is erased is left".into()));
    }
    records.end_erasure(&erasure.account).await?;
    tracing::info!("an erasure that was cut short is complete");
    Ok(())
}

/// At start: completes erasures that were cut short, before any account is served. Whether something of them is left.
pub(super) async fn complete(
    ledger: &dyn Ledger,
    entries: &dyn Entries,
    records: &dyn Records,
    copies: Option<&Copies>,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let mut unfinished = false;
    for erasure in records.erasures().await? {
        let (left, _) = Tiers { ledger, entries, records, copies }.erase(&erasure, now).await?;
        if ended(records, &erasure, &left).await.is_err() {
            tracing::warn!("an erasure could not be completed; it is tried again");
            unfinished = true;
        }
    }
    Ok(unfinished)
}

#[cfg(test)]
#[path = "erase_tests.rs"]
mod tests;
