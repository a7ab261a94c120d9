//! `Memory`: the store without a disk and without C code, under one mutex. For tests, models and platforms that are only type-checked.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;

use super::{
    About, AccountRow, Based, Baseline, Beat, Cancelled, CheckNoted, Checked, Claim, Counted, CountedIn, Counts, CountsQuery, DeltaToken,
    Entries, EntryUse, Erasure, FeedKey, Forgotten, GroupStats, Health, Invalidation, Lease, Ledger, Limits, Missing, NewWrite, OpenWrite,
    Outcome, Put, Span, StoreError, StoreStats, TaskCounts, TaskEnd, TaskQuery, TaskRow, TaskSeen, TaskTimes, TotalsAt, TotalsStep,
    WriteId,
    memory_handles::Given,
    memory_privacy::about,
    memory_tasks::Tasks,
    memory_trail::Records,
    memory_writes::WriteRow,
    rules::{
        self, Absent, KEPT_ROWS, Known, SOURCE_USED_GRAIN_MS, USED_GRAIN_MS, Unsettled, any_of, may_store, spread_all, spread_changes,
        stays, unmoved,
    },
    trail,
};
use crate::{
    audit::Event,
    cache::{
        Bumped, Check, Entry, EntryMeta, Epoch, Keep, KeyHash, Learned, Marks, Scope, Service, Shown, SourceId, SourceSize, SourceState,
        Touched,
    },
    chance::Dice,
    clock::Timestamp,
    ids::AccountId,
    secret::Secret,
};

/// Everything in memory, lost at the end of the process.
pub struct Memory {
    state: Mutex<State>,
    pub(super) dice: Arc<dyn Dice>,
    limits: Limits,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) entries: HashMap<KeyHash, Held>,
    pub(super) invalidations: VecDeque<(Invalidation, u64)>,
    pub(super) sources: BTreeMap<SourceId, SourceState>,
    /// When each item was last shown in each of its containers.
    pub(super) items: BTreeMap<SourceId, BTreeMap<(String, Scope), Timestamp>>,
    /// When an answer of each source was last stored.
    pub(super) used: BTreeMap<SourceId, Timestamp>,
    pub(super) tokens_of_feeds: BTreeMap<FeedKey, DeltaToken>,
    pub(super) writes: BTreeMap<i64, WriteRow>,
    pub(super) last_write: i64,
    pub(super) accounts: BTreeMap<AccountId, AccountRow>,
    pub(super) tokens: BTreeMap<AccountId, Secret<Vec<u8>>>,
    pub(super) tasks: Tasks,
    pub(super) counts: BTreeMap<(Span, Timestamp, AccountId, About), Counts>,
    pub(super) trail: Records,
    pub(super) erasures: BTreeMap<AccountId, Erasure>,
    pub(super) handles: Given,
}

pub(super) struct Held {
    pub(super) entry: Entry,
    hits: u64,
    /// When it was last stored or used.
    pub(super) used: Timestamp,
}

/// Which of a scope's marks a bump raises.
#[derive(Clone, Copy)]
pub(super) enum Mark {
    Written { unsettled: Option<Unsettled> },
    Changed,
}

impl Memory {
    /// An empty store.
    pub fn new(dice: Arc<dyn Dice>, limits: Limits) -> Self {
        Self { state: Mutex::default(), dice, limits }
    }

    /// The latest invalidations, oldest first, with the number of entries each removed.
    pub fn invalidations(&self) -> Vec<(Invalidation, u64)> {
        self.lock().invalidations.iter().cloned().collect()
    }

    /// Does something with the audit trail.
    pub(super) fn with_trail<T>(&self, work: impl FnOnce(&mut Records, &dyn Dice) -> T) -> T {
        work(&mut self.lock().trail, &*self.dice)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known for State {
    fn epoch(&mut self, source: &SourceId) -> Result<Option<Epoch>, StoreError> {
        Ok(self.sources.get(source).map(|state| state.epoch))
    }

    fn marks(&mut self, source: &SourceId, scope: &Scope) -> Result<Marks, StoreError> {
        Ok(self.sources.get(source).map(|state| state.marks(scope)).unwrap_or_default())
    }
}

impl State {
    fn source(&mut self, id: &SourceId, dice: &dyn Dice) -> &mut SourceState {
        self.sources.entry(id.clone()).or_insert_with(|| SourceState::new(Epoch(dice.number())))
    }

    fn containers_of(&self, source: &SourceId, item: &str) -> Vec<Scope> {
        let rows = self.items.get(source).into_iter().flat_map(BTreeMap::keys);
        rows.filter(|(id, _)| id == item).map(|(_, container)| container.clone()).collect()
    }

    fn spread(&self, touched: &[Touched]) -> Result<BTreeMap<SourceId, BTreeSet<Scope>>, StoreError> {
        spread_all(touched, |source, item| Ok(self.containers_of(source, item)))
    }

    pub(super) fn bump(&mut self, by_source: &BTreeMap<SourceId, BTreeSet<Scope>>, mark: Mark, dice: &dyn Dice) -> Vec<Bumped> {
        let mut all = Vec::new();
        for (id, scopes) in by_source {
            let source = self.source(id, dice);
            source.seq += 1;
            let seq = source.seq;
            let mut marked = Vec::new();
            for scope in scopes {
                let mut marks = source.marks(scope);
                match mark {
                    Mark::Written { unsettled } => {
                        marks.written_at = seq;
                        marks.unsettled_until = marks.unsettled_until.max(unsettled.and_then(|unsettled| unsettled.until_of(scope)));
                    }
                    Mark::Changed => marks.changed_at = seq,
                }
                source.scopes.insert(scope.clone(), marks);
                marked.push((scope.clone(), marks));
            }
            all.push(Bumped { source: id.clone(), epoch: source.epoch, seq, scopes: marked });
        }
        all
    }

    /// Judges an answer; what one that may be kept shows is known from then on.
    fn admit(&mut self, meta: &EntryMeta, shown: Vec<Shown>, now: Timestamp, dice: &dyn Dice) -> Result<bool, StoreError> {
        if !may_store(meta, &shown, now, self)? {
            return Ok(false);
        }
        for reading in &meta.readings {
            let used = self.used.entry(reading.source.clone()).or_insert(Timestamp(0));
            if now.0.saturating_sub(used.0) > SOURCE_USED_GRAIN_MS {
                *used = now;
            }
        }
        for item in shown {
            self.source(&item.source, dice);
            let rows = self.items.entry(item.source).or_default();
            for container in item.containers {
                let used = rows.entry((item.item.clone(), container)).or_insert(now);
                if now.0.saturating_sub(used.0) > USED_GRAIN_MS {
                    *used = now;
                }
            }
        }
        Ok(true)
    }

    fn record(&mut self, what: Invalidation, removed: u64) {
        self.invalidations.push_back((what, removed));
        if self.invalidations.len() > KEPT_ROWS {
            self.invalidations.pop_front();
        }
    }

    pub(super) fn remove(&mut self, doomed: impl Fn(&Entry) -> bool) -> u64 {
        let before = self.entries.len();
        self.entries.retain(|_, held| !doomed(&held.entry));
        u64::try_from(before - self.entries.len()).unwrap_or(u64::MAX)
    }
}

#[async_trait]
impl Entries for Memory {
    async fn get(&self, key: KeyHash) -> Result<Option<Entry>, StoreError> {
        Ok(self.lock().entries.get(&key).map(|held| held.entry.clone()))
    }

    async fn put(&self, mut entry: Entry, shown: Vec<Shown>, now: Timestamp) -> Result<Put, StoreError> {
        if entry.body.text.0.len() > self.limits.entry_bytes {
            return Ok(Put::TooLarge);
        }
        let mut state = self.lock();
        if !state.admit(&entry.meta, shown, now, &*self.dice)? {
            return Ok(Put::Overtaken);
        }
        let key = entry.meta.key.hash;
        let old = state.entries.get(&key);
        if old.is_some_and(|old| stays(&old.entry.meta, &entry.meta, now)) {
            return Ok(Put::Older);
        }
        let (revision, hits) = old.map_or((1, 0), |old| (old.entry.meta.revision + 1, old.hits));
        entry.meta.revision = revision;
        state.entries.insert(key, Held { entry, hits, used: now });
        Ok(Put::Stored { revision })
    }

    async fn invalidate(&self, what: Invalidation) -> Result<u64, StoreError> {
        let mut state = self.lock();
        let removed = state.remove(|entry| rules::matches(&what.pattern, what.account.as_ref(), &entry.meta.key));
        state.record(what, removed);
        Ok(removed)
    }

    async fn entries_of(&self, account: &AccountId, after: i64, most: usize) -> Result<(Vec<KeyHash>, Option<i64>), StoreError> {
        let all = self
            .lock()
            .entries
            .values()
            .map(|held| &held.entry.meta.key)
            .filter(|key| key.account == *account)
            .map(|key| key.hash)
            .collect();
        Ok(rules::some_behind(all, after, most))
    }

    async fn touch(&self, uses: Vec<EntryUse>) -> Result<(), StoreError> {
        let mut state = self.lock();
        for one in uses {
            if let Some(held) = state.entries.get_mut(&one.key) {
                held.hits += u64::from(one.hits);
                held.used = one.at;
            }
        }
        Ok(())
    }

    async fn stats(&self) -> Result<StoreStats, StoreError> {
        let mut groups: BTreeMap<(AccountId, String), GroupStats> = BTreeMap::new();
        for held in self.lock().entries.values() {
            let bytes = u64::try_from(held.entry.body.text.0.len()).unwrap_or(u64::MAX);
            let key = &held.entry.meta.key;
            let one = GroupStats { entries: 1, raw_bytes: bytes, stored_bytes: bytes, hits: held.hits };
            groups.entry((key.account.clone(), key.tool.to_string())).or_default().add(&one);
        }
        Ok(StoreStats::of_groups(groups.into_iter().map(|((account, tool), group)| (account, tool, group)).collect()))
    }

    async fn check_totals(&self, _after: Option<TotalsAt>) -> Result<TotalsStep, StoreError> {
        Ok(TotalsStep::default())
    }

    async fn health_check(&self) -> Health {
        Health { healthy: true, detail: None, schema: 0, file_bytes: 0, damaged: 0, free_bytes: None, low_disk: false }
    }
}

#[async_trait]
impl Ledger for Memory {
    async fn admit(&self, meta: EntryMeta, shown: Vec<Shown>, now: Timestamp) -> Result<bool, StoreError> {
        self.lock().admit(&meta, shown, now, &*self.dice)
    }

    async fn record_invalidation(&self, what: Invalidation, removed: u64) -> Result<(), StoreError> {
        self.lock().record(what, removed);
        Ok(())
    }

    async fn source(&self, id: &SourceId) -> Result<SourceState, StoreError> {
        Ok(self.lock().source(id, &*self.dice).clone())
    }

    async fn open_write(&self, write: NewWrite) -> Result<WriteId, StoreError> {
        let mut state = self.lock();
        if state.writes.values().any(|row| row.write.call_key == write.call_key) {
            return Err(StoreError::Journalled);
        }
        state.last_write += 1;
        let id = state.last_write;
        let audited = state.trail.append(&[trail::begun(&write)], &*self.dice);
        // As the file would give it back.
        let write = NewWrite { targets: Vec::new(), ..write };
        state.writes.insert(id, WriteRow { write, audited, open: true, unsettled: None, bumped: BTreeMap::new() });
        state.prune_writes();
        Ok(WriteId(id))
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
        let mut state = self.lock();
        let (mut touched, ended) = match state.writes.get(&id.0) {
            Some(row) if row.open => {
                let NewWrite { account, tool, client, touched, .. } = &row.write;
                let ended = trail::ended(account, tool, client, &outcome, now);
                (vec![touched.clone()], Event { refers: row.audited, ..ended })
            }
            _ => return Err(StoreError::Failed("the write is not open".into())),
        };
        state.trail.append(&[ended], &*self.dice);
        touched.extend(extra);
        let unsettled = Unsettled::after(&outcome, unsettled_until);
        let scopes = if outcome == Outcome::Refused { BTreeMap::new() } else { state.spread(&touched)? };
        let bumped = state.bump(&scopes, Mark::Written { unsettled }, &*self.dice);
        if outcome != Outcome::Refused {
            for one in learned {
                state.source(&one.source, &*self.dice);
                let rows = state.items.entry(one.source).or_default();
                rows.retain(|(item, _), _| *item != one.item);
                rows.extend(one.containers.into_iter().map(|container| ((one.item.clone(), container), now)));
            }
        }
        if let Some(row) = state.writes.get_mut(&id.0) {
            row.open = false;
            row.unsettled = unsettled.map(|_| (now, unsettled_until));
            row.bumped = unsettled.map(|unsettled| unsettled.of(&scopes)).unwrap_or_default();
        }
        Ok(bumped)
    }

    async fn recover_writes(&self, unsettled_until: Timestamp, now: Timestamp) -> Result<Vec<OpenWrite>, StoreError> {
        let open: Vec<OpenWrite> = {
            let state = self.lock();
            let rows = state.writes.iter().filter(|(_, row)| row.open);
            rows.map(|(id, row)| OpenWrite { id: WriteId(*id), write: row.write.clone() }).collect()
        };
        for one in &open {
            self.close_write(one.id, Outcome::Unknown, vec![], vec![], unsettled_until, now).await?;
        }
        Ok(open)
    }

    async fn settle(&self, now: Timestamp) -> Result<(Vec<Bumped>, Option<Timestamp>), StoreError> {
        Ok(self.lock().settle(now, &*self.dice))
    }

    async fn changed(&self, touched: Vec<Touched>, _now: Timestamp) -> Result<Vec<Bumped>, StoreError> {
        let mut state = self.lock();
        let scopes = state.spread(&touched)?;
        Ok(state.bump(&scopes, Mark::Changed, &*self.dice))
    }

    async fn absent(&self, source: SourceId, service: Service, missing: Vec<Missing>) -> Result<Vec<Bumped>, StoreError> {
        let mut state = self.lock();
        let known = Absent::new(&source, service, &missing, |id| !state.containers_of(&source, id).is_empty());
        let Some(absent) = known else { return Ok(Vec::new()) };
        let scopes = state.spread(&[absent.touched])?;
        if let Some(rows) = state.items.get_mut(&source) {
            rows.retain(|(id, _), _| missing.iter().all(|one| one.id != *id));
        }
        let mut bumped = state.bump(&scopes, Mark::Changed, &*self.dice);
        bumped.extend(state.bump(&absent.themselves, Mark::Written { unsettled: None }, &*self.dice));
        Ok(bumped)
    }

    async fn sources(&self) -> Result<Vec<SourceSize>, StoreError> {
        let state = self.lock();
        let count = |rows: usize| u64::try_from(rows).unwrap_or(u64::MAX);
        let size = |(id, known): (&SourceId, &SourceState)| SourceSize {
            id: id.clone(),
            scopes: count(known.scopes.len()),
            items: count(state.items.get(id).map_or(0, BTreeMap::len)),
            used: state.used.get(id).copied().unwrap_or(Timestamp(0)),
        };
        Ok(state.sources.iter().map(size).collect())
    }

    async fn forget(&self, source: &SourceId, keep: Keep, most: usize) -> Result<Forgotten, StoreError> {
        let mut state = self.lock();
        if !state.sources.contains_key(source) {
            return Ok(Forgotten::default());
        }
        let excess = |rows: usize, keep: u64| rows.saturating_sub(usize::try_from(keep).unwrap_or(usize::MAX));
        let mut rows: Vec<(Timestamp, String, Scope)> = Vec::new();
        for ((item, container), used) in state.items.get(source).into_iter().flatten() {
            rows.push((*used, item.clone(), container.clone()));
        }
        rows.sort();
        let items_over = excess(rows.len(), keep.items);
        let mut containers = BTreeSet::new();
        for (_, item, container) in rows.into_iter().take(items_over.min(most)) {
            if let Some(items) = state.items.get_mut(source) {
                items.remove(&(item, container.clone()));
            }
            containers.extend(any_of(&container));
            containers.insert(container);
        }
        let due = if containers.is_empty() { BTreeMap::new() } else { BTreeMap::from([(source.clone(), containers)]) };
        let bumped = state.bump(&due, Mark::Written { unsettled: None }, &*self.dice);
        let known = state.source(source, &*self.dice);
        let scopes_over = excess(known.scopes.len(), keep.scopes);
        // An unsettled mark lives in its row alone, so that row stays.
        let settled = known.scopes.iter().filter(|(_, marks)| marks.unsettled_until.is_none());
        let mut scopes: Vec<(u64, Scope)> = settled.map(|(scope, marks)| (marks.written_at.max(marks.changed_at), scope.clone())).collect();
        scopes.sort();
        let dropped: Vec<Scope> = scopes.into_iter().take(scopes_over.min(most)).map(|(_, scope)| scope).collect();
        dropped.iter().for_each(|scope| known.forget(scope));
        let more = items_over > most || (scopes_over > most && dropped.len() == most);
        Ok(Forgotten { bumped, floors: known.floors, dropped, more })
    }

    async fn drop_source(&self, source: &SourceId) -> Result<bool, StoreError> {
        let mut state = self.lock();
        let empty =
            state.sources.get(source).is_none_or(|known| known.scopes.is_empty()) && state.items.get(source).is_none_or(BTreeMap::is_empty);
        if empty {
            state.sources.remove(source);
            state.items.remove(source);
            state.used.remove(source);
            state.tokens_of_feeds.retain(|feed, _| feed.source != *source);
        }
        Ok(empty)
    }

    async fn renew(&self, source: &SourceId) -> Result<SourceState, StoreError> {
        let epoch = Epoch(self.dice.number());
        let mut state = self.lock();
        let known = state.source(source, &*self.dice);
        known.epoch = epoch;
        Ok(known.clone())
    }

    async fn delta_token(&self, feed: &FeedKey) -> Result<Option<DeltaToken>, StoreError> {
        Ok(self.lock().tokens_of_feeds.get(feed).cloned())
    }

    async fn baseline(&self, new: Baseline) -> Result<Based, StoreError> {
        let mut state = self.lock();
        let known = match state.sources.get(&new.feed.source) {
            Some(known) if known.epoch == new.epoch && !state.tokens_of_feeds.contains_key(&new.feed) => known,
            _ => return Ok(Based::No),
        };
        let clean = new.depends.iter().all(|scope| unmoved(known.marks(scope), new.read_seq));
        let FeedKey { account, source, feed } = new.feed.clone();
        let known = state.source(&source, &*self.dice);
        known.seq += 1;
        let from = known.seq;
        known.checked.insert((account, feed), Check { at: new.started, from });
        state.tokens_of_feeds.insert(new.feed, DeltaToken { link: new.link, from });
        Ok(Based::Yes { from, clean })
    }

    async fn checked(&self, done: Checked) -> Result<CheckNoted, StoreError> {
        let mut state = self.lock();
        let FeedKey { account, source, feed } = done.feed.clone();
        let scopes = spread_changes(&done.feed.feed, &done.changes, |item| Ok(state.containers_of(&source, item)))?;
        let due = if scopes.is_empty() { BTreeMap::new() } else { BTreeMap::from([(source.clone(), scopes)]) };
        let bumped = state.bump(&due, Mark::Changed, &*self.dice);
        let same = state.tokens_of_feeds.get(&done.feed).is_some_and(|token| token.from == done.from);
        let check = match done.next.filter(|_| same) {
            Some(link) => {
                state.tokens_of_feeds.insert(done.feed, DeltaToken { link, from: done.from });
                Some(Check { at: done.started, from: done.from })
            }
            None => {
                if same {
                    state.tokens_of_feeds.remove(&done.feed);
                }
                None
            }
        };
        if same && let Some(known) = state.sources.get_mut(&source) {
            match check {
                Some(check) => known.checked.insert((account, feed), check),
                None => known.checked.remove(&(account, feed)),
            };
        }
        Ok(CheckNoted { bumped, check })
    }

    async fn accounts(&self) -> Result<Vec<AccountRow>, StoreError> {
        Ok(self.lock().accounts.values().cloned().collect())
    }

    async fn save_account(&self, account: AccountRow) -> Result<(), StoreError> {
        self.lock().accounts.insert(account.id.clone(), account);
        Ok(())
    }

    async fn remove_account(&self, account: &AccountId) -> Result<u64, StoreError> {
        let mut state = self.lock();
        let name = state.accounts.remove(account).map(|row| row.username);
        let named = Erasure::of_name(account, name);
        state.invalidations.retain(|row| !about(row, &named));
        state.tokens.remove(account);
        state.tasks.leave(account);
        state.handles.leave(account);
        state.counts.retain(|(_, _, whose, _), _| whose != account);
        state.tokens_of_feeds.retain(|feed, _| feed.account != *account);
        state.sources.values_mut().for_each(|known| known.checked.retain(|(whose, _), _| whose != account));
        Ok(state.remove(|entry| entry.meta.key.account == *account))
    }

    async fn tokens(&self, account: &AccountId) -> Result<Option<Secret<Vec<u8>>>, StoreError> {
        Ok(self.lock().tokens.get(account).cloned())
    }

    async fn save_tokens(&self, account: &AccountId, record: Secret<Vec<u8>>) -> Result<(), StoreError> {
        self.lock().tokens.insert(account.clone(), record);
        Ok(())
    }

    async fn enqueue(&self, task: TaskRow) -> Result<bool, StoreError> {
        Ok(self.lock().tasks.enqueue(task))
    }

    async fn claim(&self, now: Timestamp, until: Timestamp, held: Vec<AccountId>) -> Result<Claim, StoreError> {
        Ok(self.lock().tasks.claim(now, until, &held))
    }

    async fn beat(&self, beat: Beat, now: Timestamp) -> Result<bool, StoreError> {
        Ok(self.lock().tasks.beat(beat, now))
    }

    async fn settle_task(&self, lease: Lease, end: TaskEnd, now: Timestamp) -> Result<bool, StoreError> {
        Ok(self.lock().tasks.settle(&lease, end, now))
    }

    async fn cancel_task(&self, id: &str, now: Timestamp) -> Result<Cancelled, StoreError> {
        Ok(self.lock().tasks.cancel(id, now))
    }

    async fn requeue(&self, now: Timestamp) -> Result<u64, StoreError> {
        Ok(self.lock().tasks.requeue(now))
    }

    async fn tasks(&self, query: TaskQuery) -> Result<Vec<TaskSeen>, StoreError> {
        Ok(self.lock().tasks.seen(&query))
    }

    async fn task_times(&self, account: &AccountId, tool: &str) -> Result<Option<TaskTimes>, StoreError> {
        Ok(self.lock().tasks.times(account, tool))
    }

    async fn task_counts(&self) -> Result<TaskCounts, StoreError> {
        Ok(self.lock().tasks.counts())
    }

    async fn add_counts(&self, counted: Vec<Counted>, now: Timestamp) -> Result<(), StoreError> {
        let mut state = self.lock();
        for one in counted.iter().filter(|one| state.accounts.contains_key(&one.account)).collect::<Vec<_>>() {
            for span in Span::ALL {
                state.counts.entry((span, span.start(now), one.account.clone(), one.about.clone())).or_default().add(&one.counts);
            }
        }
        state.counts.retain(|(span, at, ..), _| *at >= span.oldest(now));
        Ok(())
    }

    async fn counts(&self, query: CountsQuery) -> Result<Vec<CountedIn>, StoreError> {
        let state = self.lock();
        let wanted = |(span, at, account, _): &&(Span, Timestamp, AccountId, About)| {
            *span == query.span && (query.from..query.until).contains(at) && query.account.as_ref().is_none_or(|wanted| wanted == account)
        };
        let row = |key: &(Span, Timestamp, AccountId, About)| {
            let counts = state.counts.get(key)?.clone();
            Some(CountedIn { at: key.1, counted: Counted { account: key.2.clone(), about: key.3.clone(), counts } })
        };
        Ok(state.counts.keys().filter(wanted).filter_map(row).collect())
    }

    async fn first_count(&self, span: Span) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.lock().counts.keys().find(|(kept, ..)| *kept == span).map(|(_, at, ..)| *at))
    }
}
