//! `Volatile`: answers in bounded memory and nothing of them on the disk, beside a local ledger that judges them.
//!
//! The pattern for every backend that keeps entries elsewhere. [`Ledger::admit`] judges an answer and records what it shows in one
//! transaction of the ledger; only then is it kept here. A write that comes between the two bumps what the ledger knows the answer to
//! show, so that it is overtaken where it is judged for serving. Entries end with the process, before the ledger that knows of them does:
//! no start needs new epochs.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
};

use async_trait::async_trait;

use super::{
    AccountRow, Based, Baseline, Beat, Cancelled, CheckNoted, Checked, Claim, Counted, CountedIn, CountsQuery, DeltaToken, Entries,
    EntryUse, FeedKey, Forgotten, GroupStats, Handle, Handles, Health, Invalidation, Lease, Ledger, Limits, Missing, NewWrite, OpenWrite,
    Outcome, Put, Span, StoreError, StoreStats, TaskCounts, TaskEnd, TaskQuery, TaskRow, TaskSeen, TaskTimes, Thing, TotalsAt, TotalsStep,
    WriteId,
    hot::{Bounded, Weigh, bounded},
    room::{Row, Walked},
    rules,
};
use crate::{
    cache::{Bumped, Entry, EntryMeta, Keep, KeyHash, Learned, Service, Shown, SourceId, SourceSize, SourceState, Touched},
    clock::Timestamp,
    ids::AccountId,
    secret::Secret,
};

/// Entries in memory, everything else in the local store.
pub struct Volatile {
    held: Bounded<Held>,
    /// Taken while an entry is replaced, so that its revision rises and its hits are kept.
    replacing: Mutex<()>,
    largest: u64,
    limits: Limits,
    ledger: Arc<dyn Ledger>,
    file: Arc<dyn Entries>,
}

struct Held {
    entry: Entry,
    hits: AtomicU64,
    /// When it was last stored or used.
    used: AtomicI64,
}

impl Weigh for Held {
    fn weight(&self) -> u64 {
        self.entry.weight()
    }
}

impl Volatile {
    /// Keeps at most `bytes` of answers; one over an eighth of that is not taken in. `local` is the ledger, and its file's health is ours.
    pub fn new<L: Entries + Ledger + 'static>(local: Arc<L>, bytes: u64, limits: Limits) -> Self {
        let ledger: Arc<dyn Ledger> = local.clone();
        Self { held: bounded(bytes), replacing: Mutex::default(), largest: bytes / 8, limits, ledger, file: local }
    }

    fn remove(&self, doomed: impl Fn(&Entry) -> bool) -> u64 {
        let removed = AtomicU64::new(0);
        self.held.retain(|_, held| {
            let goes = doomed(&held.entry);
            removed.fetch_add(u64::from(goes), Ordering::Relaxed);
            !goes
        });
        removed.into_inner()
    }

    fn replace(&self, mut entry: Entry, now: Timestamp) -> Put {
        let _turn = self.replacing.lock().unwrap_or_else(PoisonError::into_inner);
        let key = entry.meta.key.hash;
        let old = self.held.peek(&key);
        if old.as_ref().is_some_and(|old| rules::stays(&old.entry.meta, &entry.meta, now)) {
            return Put::Older;
        }
        let (revision, hits) = old.map_or((1, 0), |old| (old.entry.meta.revision + 1, old.hits.load(Ordering::Relaxed)));
        entry.meta.revision = revision;
        self.held.insert(key, Arc::new(Held { entry, hits: AtomicU64::new(hits), used: AtomicI64::new(now.0) }));
        Put::Stored { revision }
    }
}

impl Walked for Volatile {
    fn rows(&self) -> Vec<Row> {
        let row = |held: Arc<Held>| Row {
            key: held.entry.meta.key.hash,
            account: held.entry.meta.key.account.clone(),
            tool: held.entry.meta.key.tool.to_string(),
            fetched: held.entry.meta.fetch_started,
            used: Timestamp(held.used.load(Ordering::Relaxed)),
            bytes: held.entry.weight(),
        };
        self.held.iter().map(|(_, held)| row(held)).collect()
    }

    fn drop_rows(&self, keys: &[KeyHash]) {
        keys.iter().for_each(|key| drop(self.held.remove(key)));
    }
}

#[async_trait]
impl Entries for Volatile {
    async fn get(&self, key: KeyHash) -> Result<Option<Entry>, StoreError> {
        Ok(self.held.get(&key).map(|held| held.entry.clone()))
    }

    async fn put(&self, entry: Entry, shown: Vec<Shown>, now: Timestamp) -> Result<Put, StoreError> {
        if entry.body.text.0.len() > self.limits.entry_bytes || entry.weight() > self.largest {
            return Ok(Put::TooLarge);
        }
        if !self.ledger.admit(entry.meta.clone(), shown, now).await? {
            return Ok(Put::Overtaken);
        }
        Ok(self.replace(entry, now))
    }

    async fn invalidate(&self, what: Invalidation) -> Result<u64, StoreError> {
        let removed = self.remove(|entry| rules::matches(&what.pattern, what.account.as_ref(), &entry.meta.key));
        self.ledger.record_invalidation(what, removed).await?;
        Ok(removed)
    }

    async fn entries_of(&self, account: &AccountId, after: i64, most: usize) -> Result<(Vec<KeyHash>, Option<i64>), StoreError> {
        let all = self
            .held
            .iter()
            .map(|(_, held)| held.entry.meta.key.clone())
            .filter(|key| key.account == *account)
            .map(|key| key.hash)
            .collect();
        Ok(rules::some_behind(all, after, most))
    }

    async fn touch(&self, uses: Vec<EntryUse>) -> Result<(), StoreError> {
        for one in uses {
            if let Some(held) = self.held.peek(&one.key) {
                held.hits.fetch_add(u64::from(one.hits), Ordering::Relaxed);
                held.used.store(one.at.0, Ordering::Relaxed);
            }
        }
        Ok(())
    }

    async fn stats(&self) -> Result<StoreStats, StoreError> {
        let mut groups: BTreeMap<(AccountId, String), GroupStats> = BTreeMap::new();
        for (_, held) in self.held.iter() {
            let bytes = u64::try_from(held.entry.body.text.0.len()).unwrap_or(u64::MAX);
            let key = &held.entry.meta.key;
            let hits = held.hits.load(Ordering::Relaxed);
            let one = GroupStats { entries: 1, raw_bytes: bytes, stored_bytes: bytes, hits };
            groups.entry((key.account.clone(), key.tool.to_string())).or_default().add(&one);
        }
        Ok(StoreStats::of_groups(groups.into_iter().map(|((account, tool), group)| (account, tool, group)).collect()))
    }

    async fn check_totals(&self, _after: Option<TotalsAt>) -> Result<TotalsStep, StoreError> {
        // Nothing is totalled: every figure is counted when it is asked for.
        Ok(TotalsStep::default())
    }

    async fn health_check(&self) -> Health {
        self.file.health_check().await
    }
}

#[async_trait]
impl Handles for Volatile {
    async fn name(&self, account: &AccountId, things: Vec<Thing>, now: Timestamp) -> Result<Vec<Handle>, StoreError> {
        self.ledger.name(account, things, now).await
    }

    async fn named(&self, handle: Handle) -> Result<Option<(AccountId, String)>, StoreError> {
        self.ledger.named(handle).await
    }

    async fn forget_handles(&self, account: &AccountId, keep: u64, most: usize) -> Result<usize, StoreError> {
        self.ledger.forget_handles(account, keep, most).await
    }

    async fn show_handles(&self, shows: bool) -> Result<bool, StoreError> {
        self.ledger.show_handles(shows).await
    }
}

/// Everything but entries is the local store's affair.
#[async_trait]
impl Ledger for Volatile {
    async fn admit(&self, meta: EntryMeta, shown: Vec<Shown>, now: Timestamp) -> Result<bool, StoreError> {
        self.ledger.admit(meta, shown, now).await
    }

    async fn record_invalidation(&self, what: Invalidation, removed: u64) -> Result<(), StoreError> {
        self.ledger.record_invalidation(what, removed).await
    }

    async fn source(&self, id: &SourceId) -> Result<SourceState, StoreError> {
        self.ledger.source(id).await
    }

    async fn open_write(&self, write: NewWrite) -> Result<WriteId, StoreError> {
        self.ledger.open_write(write).await
    }

    async fn close_write(
        &self,
        id: WriteId,
        outcome: Outcome,
        extra: Vec<Touched>,
        learned: Vec<Learned>,
        unsettled_until: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<Bumped>, StoreError> {
        self.ledger.close_write(id, outcome, extra, learned, unsettled_until, now).await
    }

    async fn recover_writes(&self, unsettled_until: Timestamp, now: Timestamp) -> Result<Vec<OpenWrite>, StoreError> {
        self.ledger.recover_writes(unsettled_until, now).await
    }

    async fn settle(&self, now: Timestamp) -> Result<(Vec<Bumped>, Option<Timestamp>), StoreError> {
        self.ledger.settle(now).await
    }

    async fn changed(&self, touched: Vec<Touched>, now: Timestamp) -> Result<Vec<Bumped>, StoreError> {
        self.ledger.changed(touched, now).await
    }

    async fn absent(&self, source: SourceId, service: Service, missing: Vec<Missing>) -> Result<Vec<Bumped>, StoreError> {
        self.ledger.absent(source, service, missing).await
    }

    async fn sources(&self) -> Result<Vec<SourceSize>, StoreError> {
        self.ledger.sources().await
    }

    async fn forget(&self, source: &SourceId, keep: Keep, most: usize) -> Result<Forgotten, StoreError> {
        self.ledger.forget(source, keep, most).await
    }

    async fn drop_source(&self, source: &SourceId) -> Result<bool, StoreError> {
        self.ledger.drop_source(source).await
    }

    async fn renew(&self, source: &SourceId) -> Result<SourceState, StoreError> {
        self.ledger.renew(source).await
    }

    async fn delta_token(&self, feed: &FeedKey) -> Result<Option<DeltaToken>, StoreError> {
        self.ledger.delta_token(feed).await
    }

    async fn baseline(&self, baseline: Baseline) -> Result<Based, StoreError> {
        self.ledger.baseline(baseline).await
    }

    async fn checked(&self, checked: Checked) -> Result<CheckNoted, StoreError> {
        self.ledger.checked(checked).await
    }

    async fn accounts(&self) -> Result<Vec<AccountRow>, StoreError> {
        self.ledger.accounts().await
    }

    async fn save_account(&self, account: AccountRow) -> Result<(), StoreError> {
        self.ledger.save_account(account).await
    }

    async fn remove_account(&self, account: &AccountId) -> Result<u64, StoreError> {
        let removed = self.remove(|entry| entry.meta.key.account == *account);
        Ok(removed + self.ledger.remove_account(account).await?)
    }

    async fn tokens(&self, account: &AccountId) -> Result<Option<Secret<Vec<u8>>>, StoreError> {
        self.ledger.tokens(account).await
    }

    async fn save_tokens(&self, account: &AccountId, record: Secret<Vec<u8>>) -> Result<(), StoreError> {
        self.ledger.save_tokens(account, record).await
    }

    async fn enqueue(&self, task: TaskRow) -> Result<bool, StoreError> {
        self.ledger.enqueue(task).await
    }

    async fn claim(&self, now: Timestamp, until: Timestamp, held: Vec<AccountId>) -> Result<Claim, StoreError> {
        self.ledger.claim(now, until, held).await
    }

    async fn beat(&self, beat: Beat, now: Timestamp) -> Result<bool, StoreError> {
        self.ledger.beat(beat, now).await
    }

    async fn settle_task(&self, lease: Lease, end: TaskEnd, now: Timestamp) -> Result<bool, StoreError> {
        self.ledger.settle_task(lease, end, now).await
    }

    async fn cancel_task(&self, id: &str, now: Timestamp) -> Result<Cancelled, StoreError> {
        self.ledger.cancel_task(id, now).await
    }

    async fn requeue(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.ledger.requeue(now).await
    }

    async fn tasks(&self, query: TaskQuery) -> Result<Vec<TaskSeen>, StoreError> {
        self.ledger.tasks(query).await
    }

    async fn task_times(&self, account: &AccountId, tool: &str) -> Result<Option<TaskTimes>, StoreError> {
        self.ledger.task_times(account, tool).await
    }

    async fn task_counts(&self) -> Result<TaskCounts, StoreError> {
        self.ledger.task_counts().await
    }

    async fn add_counts(&self, counted: Vec<Counted>, now: Timestamp) -> Result<(), StoreError> {
        self.ledger.add_counts(counted, now).await
    }

    async fn counts(&self, query: CountsQuery) -> Result<Vec<CountedIn>, StoreError> {
        self.ledger.counts(query).await
    }

    async fn first_count(&self, span: Span) -> Result<Option<Timestamp>, StoreError> {
        self.ledger.first_count(span).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cache::{Body, CacheKey, Escaped},
        chance::SeededDice,
        store::Memory,
    };

    fn entry(number: u64, bytes: usize) -> Entry {
        let key = CacheKey::new("email_list", AccountId::new("o.t"), BTreeMap::from([("n".to_owned(), number.into())]));
        let meta = EntryMeta { key, readings: vec![], fetch_started: Timestamp(0), etag: None, revision: 0 };
        Entry { meta, body: Body { text: Escaped(vec![b'x'; bytes].into()), items: vec![] } }
    }

    #[tokio::test]
    async fn it_never_holds_more_than_its_bytes_nor_an_answer_too_large_for_them() {
        let store = Volatile::new(Arc::new(Memory::new(Arc::new(SeededDice::new(1)), Limits::default())), 1 << 20, Limits::default());
        for number in 0..500 {
            assert_eq!(store.put(entry(number, 10_000), vec![], Timestamp(1)).await.unwrap(), Put::Stored { revision: 1 });
            assert!(store.held.weight() <= 1 << 20);
        }
        let stats = store.stats().await.unwrap();
        assert!((50..105).contains(&stats.entries), "{}", stats.entries);
        assert_eq!(stats.raw_bytes, stats.entries * 10_000);
        assert_eq!(store.put(entry(1000, 200_000), vec![], Timestamp(1)).await.unwrap(), Put::TooLarge);
    }
}
