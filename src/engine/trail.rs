//! What is recorded of calls. Reads are gathered in memory, for a hit takes microseconds and a row tens of them; everything else is recorded
//! at once, writes in the transactions of their journal.
//!
//! Reads that are alike (account, tool, arguments, client, outcome) within [`GATHER`] are one record with the first and the last time and how
//! often. `kill -9` loses at most what was gathered since. What the store cannot take waits in memory; beyond [`WAITING`] events the oldest
//! go, and their number is recorded when the store works again. The more than two dozenth client of a run is called `other`, as in statistics.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use serde_json::Value;
use tokio::sync::{Notify, watch};

use super::{Answer, Call, CallError, Engine, stats::ClientPlace};
use crate::{
    audit::{Event, Filter, Kind, Point, Record, Report},
    cache::{CacheKey, KeyHash},
    clock::Timestamp,
    ids::{AccountId, Caller},
    store::{Ends, Range, Records},
};

/// How long reads are gathered.
const GATHER: Duration = Duration::from_secs(5);
/// Reads that differ and are gathered before they are written at once.
const FULL: usize = 4096;
/// Events of one transaction.
const TOGETHER: usize = 256;
/// Events that wait for a store that does not work.
const WAITING: usize = 65_536;
/// Records looked at in one step.
const PAGE: usize = 512;
/// Who the daemon is in its own records.
const DAEMON: &str = "m365-cached";
/// Arguments that name what a call is about and do not end in `_id`.
const NAMES_TOO: [&str; 1] = ["mailbox"];

/// What is recorded, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditPolicy {
    /// Reads too.
    pub reads: bool,
    /// How long records are kept.
    pub keep: Duration,
}

impl Default for AuditPolicy {
    /// Everything, for a year.
    fn default() -> Self {
        Self { reads: true, keep: Duration::from_secs(365 * 24 * 3600) }
    }
}

/// A record for people: with the account's name in the place of its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// The record.
    pub record: Record,
    /// The account's id, or `erased-<number>`; empty for none.
    pub account: String,
}

/// Which records are asked for.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Id or username of an account, also of one that has signed out; ids as the trail shows them.
    pub account: Option<String>,
    /// A message, file or other thing, by the id Microsoft gave it.
    pub target: Option<String>,
    /// Everything else.
    pub filter: Filter,
}

/// The trail as the engine holds it.
pub(super) struct Witness {
    records: Arc<dyn Records>,
    reads: Mutex<HashMap<(KeyHash, ClientPlace, &'static str), Seen>>,
    waiting: Mutex<Waiting>,
    /// Accounts that were erased since the start and have not signed in again.
    erased: Mutex<BTreeSet<AccountId>>,
    /// Something was gathered since the last flush.
    stirred: AtomicBool,
    gathered: Notify,
    full: Notify,
    flushing: tokio::sync::Mutex<()>,
    /// Held while the whole of it is gone through, and while some of it is dropped.
    whole: tokio::sync::Mutex<()>,
    /// The last record.
    grown: watch::Sender<u64>,
}

#[derive(Default)]
struct Waiting {
    events: Vec<Event>,
    lost: u64,
}

/// Reads that are alike.
struct Seen {
    account: AccountId,
    tool: &'static str,
    targets: Vec<String>,
    first: Timestamp,
    last: Timestamp,
    times: u64,
}

/// A read before its outcome is known.
pub(super) struct Sight {
    key: KeyHash,
    account: AccountId,
    tool: &'static str,
    client: ClientPlace,
    targets: Vec<String>,
    at: Timestamp,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Witness {
    pub(super) fn new(records: Arc<dyn Records>) -> Self {
        Self {
            records,
            reads: Mutex::default(),
            waiting: Mutex::default(),
            erased: Mutex::default(),
            stirred: AtomicBool::new(false),
            gathered: Notify::new(),
            full: Notify::new(),
            flushing: tokio::sync::Mutex::default(),
            whole: tokio::sync::Mutex::default(),
            grown: watch::Sender::default(),
        }
    }

    pub(super) fn records(&self) -> Arc<dyn Records> {
        self.records.clone()
    }

    fn read(&self, sight: Sight, how: &'static str) {
        let mut reads = locked(&self.reads);
        let Sight { key, account, tool, client, targets, at } = sight;
        let seen = reads.entry((key, client, how)).or_insert_with(|| Seen { account, tool, targets, first: at, last: at, times: 0 });
        seen.times += 1;
        seen.last = seen.last.max(at);
        let full = reads.len() == FULL;
        drop(reads);
        self.stir(full);
    }

    /// The same for one that was answered on the spot: nothing is made for a read that was seen before.
    fn read_again(&self, key: KeyHash, call: &Call, how: &'static str) -> bool {
        let mut reads = locked(&self.reads);
        let Some(seen) = reads.get_mut(&(key, call.who.client, how)) else { return false };
        seen.times += 1;
        seen.last = seen.last.max(call.now);
        true
    }

    fn stir(&self, full: bool) {
        if !self.stirred.swap(true, Relaxed) {
            self.gathered.notify_one();
        }
        if full {
            self.full.notify_one();
        }
    }

    fn later(&self, event: Event) {
        locked(&self.waiting).events.push(event);
        self.stir(false);
    }

    /// Everything that waits, in the order in which it happened as far as that is known.
    fn take(&self, name: impl Fn(ClientPlace) -> String, now: Timestamp) -> Vec<Event> {
        let reads = std::mem::take(&mut *locked(&self.reads));
        let mut waiting = std::mem::take(&mut *locked(&self.waiting));
        let mut gathered: Vec<Event> = reads
            .into_iter()
            .map(|((_, client, how), seen)| {
                let event = Event::new(Kind::Read, seen.first).of(&seen.account).with(seen.tool).by(&name(client)).ended(how);
                Event { until: seen.last, targets: seen.targets, times: seen.times, ..event }
            })
            .collect();
        gathered.sort_by(|one, other| (one.at, &one.tool, &one.client).cmp(&(other.at, &other.tool, &other.client)));
        if waiting.lost > 0 {
            gathered.push(Event::new(Kind::Read, now).by(DAEMON).ended("lost").times(waiting.lost));
        }
        gathered.append(&mut waiting.events);
        // Nobody who was erased comes back through what was gathered before.
        let erased = locked(&self.erased);
        for event in gathered.iter_mut().filter(|event| event.account.as_ref().is_some_and(|account| erased.contains(account))) {
            (event.account, event.targets) = (None, Vec::new());
        }
        gathered
    }

    /// What could not be written waits before what has come meanwhile.
    fn put_back(&self, mut events: Vec<Event>) {
        let mut waiting = locked(&self.waiting);
        events.append(&mut waiting.events);
        let beyond = events.len().saturating_sub(WAITING);
        waiting.lost += events.drain(..beyond).map(|event| event.times).sum::<u64>();
        waiting.events = events;
    }
}

/// Ids of what a call is about.
pub(super) fn targets(call: &Call) -> Vec<String> {
    let is_id = |name: &str| name != "account_id" && (name.ends_with("_id") || name.ends_with("_ids") || NAMES_TOO.contains(&name));
    let mut ids = Vec::new();
    for (name, value) in call.args.all() {
        match value {
            Value::String(id) if is_id(name) && !id.is_empty() => ids.push(id.clone()),
            Value::Array(all) if is_id(name) => ids.extend(all.iter().filter_map(Value::as_str).map(str::to_owned)),
            _ => {}
        }
    }
    ids
}

impl Engine {
    /// Notes a read whose outcome is not known yet; `None` when reads are not recorded.
    pub(super) fn sight(&self, call: &Call) -> Option<Sight> {
        self.policy().audit.reads.then(|| {
            let key = CacheKey::new(call.tool.name, call.account.id.clone(), call.args.shaping());
            Self::sight_of(call, key.hash)
        })
    }

    fn sight_of(call: &Call, key: KeyHash) -> Sight {
        let (account, tool, client) = (call.account.id.clone(), call.tool.name, call.who.client);
        Sight { key, account, tool, client, targets: targets(call), at: call.now }
    }

    /// A read has ended.
    pub(super) fn saw(&self, sight: Option<Sight>, result: Result<&Answer, &CallError>) {
        let Some(sight) = sight else { return };
        let how = match result {
            Ok(answer) => answer.status.map_or("answered", super::CacheStatus::as_str),
            Err(_) => "failed",
        };
        self.witness.read(sight, how);
    }

    /// The bytes of something were asked for, past the cache.
    pub(super) fn saw_content(&self, sight: Option<Sight>, ok: bool) {
        if let Some(sight) = sight {
            self.witness.read(sight, if ok { "answered" } else { "failed" });
        }
    }

    /// A read was answered from the cache.
    pub(super) fn saw_hit(&self, call: &Call, key: &CacheKey, answer: &Answer) {
        let how = answer.status.map_or("answered", super::CacheStatus::as_str);
        if self.policy().audit.reads && !self.witness.read_again(key.hash, call, how) {
            self.witness.read(Self::sight_of(call, key.hash), how);
        }
    }

    /// The worker has asked for an answer that is kept.
    pub(super) fn saw_refresh(&self, call: &Call, key: &CacheKey, ok: bool) {
        if self.policy().audit.reads {
            self.witness.read(Self::sight_of(call, key.hash), if ok { "refreshed" } else { "failed" });
        }
    }

    /// Something that is recorded with the next flush.
    pub(super) fn record_later(&self, event: Event) {
        self.witness.later(event);
    }

    /// Records something now; on the disk when this returns, unless the store does not work: then it waits in memory.
    pub async fn record(&self, event: Event) {
        self.witness.later(event);
        self.flush_trail().await;
    }

    /// Records what was noted while no daemon ran, but for what the trail has already; on the disk when this returns.
    ///
    /// # Errors
    ///
    /// When the store cannot; then it can be tried again.
    pub async fn take_in(&self, noted: Vec<Event>) -> Result<(), CallError> {
        let last = self.witness.records.records(Range::Before(u64::MAX), PAGE).await?;
        let known = |event: &Event| {
            let is = |record: &Record| record.at == event.at && record.kind == event.kind.as_str() && record.tool == event.tool;
            last.iter().any(|record| is(record) && record.outcome == event.outcome)
        };
        let new: Vec<Event> = noted.into_iter().filter(|event| !known(event)).collect();
        for some in new.chunks(TOGETHER) {
            let end = self.witness.records.append(some.to_vec()).await?;
            self.witness.grown.send_replace(end);
        }
        Ok(())
    }

    /// What the clock shows.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// An event of the kind now.
    pub(super) fn event(&self, kind: Kind, caller: &Caller) -> Event {
        Event::new(kind, self.clock.now()).by(&caller.client)
    }

    /// Waits for the first read to be gathered, lets some time pass, then writes what was gathered.
    pub async fn witness_on(self: &Arc<Self>) {
        self.witness.gathered.notified().await;
        tokio::select! {
            () = self.clock.sleep(GATHER) => {}
            () = self.witness.full.notified() => {}
        }
        self.flush_trail().await;
    }

    /// Writes what was gathered.
    pub(super) async fn flush_trail(&self) {
        let witness = &self.witness;
        let _turn = witness.flushing.lock().await;
        witness.stirred.store(false, Relaxed);
        let mut events = witness.take(|place| self.counters.client_name(place), self.clock.now());
        while !events.is_empty() {
            let rest = events.split_off(events.len().min(TOGETHER));
            match witness.records.append(events.clone()).await {
                Ok(last) => _ = witness.grown.send_replace(last),
                Err(error) => {
                    self.note_store(Some(&error));
                    events.extend(rest);
                    witness.put_back(events);
                    witness.stir(false);
                    return;
                }
            }
            events = rest;
        }
    }

    /// An account was erased: nothing that is still under way for it names it in the trail.
    pub(super) fn forget_in_trail(&self, account: &AccountId) {
        locked(&self.witness.erased).insert(account.clone());
    }

    /// An account has signed in.
    pub(super) fn back_in_trail(&self, account: &AccountId) {
        locked(&self.witness.erased).remove(account);
    }

    /// Tells of every record that is appended by this daemon: the number of the last one. Writes are told with the next flush.
    pub fn trail_grows(&self) -> watch::Receiver<u64> {
        self.witness.grown.subscribe()
    }

    /// Filters by number and mark what was asked for by name.
    async fn filter(&self, wanted: &Wanted) -> Result<Filter, CallError> {
        let mut filter = wanted.filter.clone();
        if let Some(name) = &wanted.account {
            let known = self.accounts.find(name).map(|row| row.id.as_str().to_owned());
            let id = known.as_deref().unwrap_or(name.trim());
            let subjects = self.witness.records.subjects().await?;
            let numbers: BTreeSet<_> = subjects.into_iter().filter(|(_, known)| *known == id).map(|(number, _)| number).collect();
            // Nobody's name is told from somebody of whom there is nothing: the one is a slip of the pen.
            if numbers.is_empty() {
                known?;
            }
            filter.subjects = Some(numbers);
        }
        if let Some(target) = &wanted.target {
            filter.marks = Some(self.witness.records.marks(&self.id_of_anybody(target).await?).await?);
        }
        Ok(filter)
    }

    async fn named(&self, records: Vec<Record>) -> Result<Vec<Shown>, CallError> {
        let names = self.witness.records.subjects().await?;
        let account = |record: &Record| names.get(&record.subject).cloned().unwrap_or_default();
        Ok(records.into_iter().map(|record| Shown { account: account(&record), record }).collect())
    }

    /// The last `most` records that are asked for, oldest first.
    ///
    /// # Errors
    ///
    /// When the store cannot read them.
    pub async fn trail_tail(&self, wanted: &Wanted, most: usize) -> Result<Vec<Shown>, CallError> {
        self.flush_trail().await;
        let filter = self.filter(wanted).await?;
        let (mut found, mut before) = (Vec::new(), u64::MAX);
        while found.len() < most {
            let page = self.witness.records.records(Range::Before(before), PAGE).await?;
            let Some(first) = page.first() else { break };
            before = first.seq;
            // By the last time of what is long: only then nothing earlier can be asked for any more.
            let over = filter.since.is_some_and(|since| page.iter().all(|record| record.until < since));
            found.extend(page.into_iter().rev().filter(|record| filter.matches(record)));
            if over {
                break;
            }
        }
        found.truncate(most);
        found.reverse();
        self.named(found).await
    }

    /// Some of the records behind `after` that are asked for, and the number behind which to go on; `None` at the end.
    ///
    /// # Errors
    ///
    /// When the store cannot read them.
    pub async fn trail_after(&self, wanted: &Wanted, after: u64) -> Result<(Vec<Shown>, Option<u64>), CallError> {
        let filter = self.filter(wanted).await?;
        let page = self.witness.records.records(Range::After(after), PAGE).await?;
        let next = page.last().map(|last| last.seq);
        let shown = self.named(page.into_iter().filter(|record| filter.matches(record)).collect()).await?;
        Ok((shown, next))
    }

    /// Writes what was gathered, so that it can be read.
    pub async fn settle_trail(&self) {
        self.flush_trail().await;
    }

    /// Goes through the whole trail. `noted`: an end that was noted earlier.
    ///
    /// # Errors
    ///
    /// When the store cannot read it.
    pub async fn verify_trail(&self, noted: Option<Point>) -> Result<Report, CallError> {
        self.flush_trail().await;
        let _whole = self.witness.whole.lock().await;
        Ok(self.witness.records.verify(noted).await?)
    }

    /// Where the trail begins and ends.
    ///
    /// # Errors
    ///
    /// When the store cannot read it.
    pub async fn trail_ends(&self) -> Result<Ends, CallError> {
        Ok(self.witness.records.ends().await?)
    }

    /// Drops records that are older than they are kept; called when the clock can be believed.
    pub(super) async fn prune_trail(&self, now: Timestamp) {
        let _whole = self.witness.whole.lock().await;
        match self.witness.records.prune(now.minus(self.policy().audit.keep), now).await {
            Ok(0) => {}
            Ok(dropped) => tracing::info!(records = dropped, "records of the audit trail were dropped, as `audit.keep` says"),
            Err(error) => self.note_store(Some(&error)),
        }
    }
}

#[cfg(test)]
#[path = "trail_tests.rs"]
mod tests;
