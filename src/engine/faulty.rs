//! For tests: a store over memory that can be broken, and that can be held at one call.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
};

use async_trait::async_trait;
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::{
    audit::{Event, Mark, Point, Record, Report},
    cache::*,
    clock::Timestamp,
    ids::AccountId,
    secret::Secret,
    store::*,
};

/// A store that fails on demand.
pub(super) struct Faulty {
    pub(super) inner: Arc<Memory>,
    /// Every call fails.
    pub(super) broken: AtomicBool,
    /// Calls of this name fail.
    pub(super) failing: Mutex<&'static str>,
    /// Answers of calls of this name wait for [`Faulty::gate`], after the store has done its part.
    pub(super) held: Mutex<&'static str>,
    pub(super) gate: Semaphore,
    /// How many answers were held.
    pub(super) waiting: tokio::sync::watch::Sender<usize>,
}

impl Faulty {
    pub(super) fn over(inner: Arc<Memory>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            broken: AtomicBool::new(false),
            failing: Mutex::new(""),
            held: Mutex::new(""),
            gate: Semaphore::new(0),
            waiting: tokio::sync::watch::Sender::new(0),
        })
    }

    fn check(&self, name: &str) -> Result<(), StoreError> {
        if self.broken.load(SeqCst) || *self.failing.lock().unwrap() == name {
            return Err(StoreError::Failed("as the test asked for".into()));
        }
        Ok(())
    }

    async fn hold(&self, name: &str) {
        if *self.held.lock().unwrap() == name {
            self.waiting.send_modify(|waiting| *waiting += 1);
            self.gate.acquire().await.unwrap().forget();
        }
    }
}

macro_rules! through {
    ($of:ident { $($name:ident($($arg:ident: $ty:ty),*) -> $ret:ty;)* } $($rest:tt)*) => {
        #[async_trait]
        impl $of for Faulty {
            $(async fn $name(&self, $($arg: $ty),*) -> Result<$ret, StoreError> {
                self.check(stringify!($name))?;
                let done = self.inner.$name($($arg),*).await;
                self.hold(stringify!($name)).await;
                done
            })*
            $($rest)*
        }
    };
}

through!(Handles {
    name(account: &AccountId, things: Vec<Thing>, now: Timestamp) -> Vec<Handle>;
    named(handle: Handle) -> Option<(AccountId, String)>;
    forget_handles(account: &AccountId, keep: u64, most: usize) -> usize;
    show_handles(shows: bool) -> bool;
});

through!(Entries {
    get(key: KeyHash) -> Option<Entry>;
    put(entry: Entry, shown: Vec<Shown>, now: Timestamp) -> Put;
    invalidate(what: Invalidation) -> u64;
    touch(uses: Vec<EntryUse>) -> ();
    entries_of(account: &AccountId, after: i64, most: usize) -> (Vec<KeyHash>, Option<i64>);
    stats() -> StoreStats;
    check_totals(after: Option<TotalsAt>) -> TotalsStep;
}
    async fn health_check(&self) -> Health {
        self.inner.health_check().await
    }
);

through!(Ledger {
    admit(meta: EntryMeta, shown: Vec<Shown>, now: Timestamp) -> bool;
    record_invalidation(what: Invalidation, removed: u64) -> ();
    source(id: &SourceId) -> SourceState;
    open_write(write: NewWrite) -> WriteId;
    close_write(
        id: WriteId, outcome: Outcome, extra: Vec<Touched>, learned: Vec<Learned>, unsettled_until: Timestamp, now: Timestamp
    ) -> Vec<Bumped>;
    recover_writes(unsettled_until: Timestamp, now: Timestamp) -> Vec<OpenWrite>;
    settle(now: Timestamp) -> (Vec<Bumped>, Option<Timestamp>);
    changed(touched: Vec<Touched>, now: Timestamp) -> Vec<Bumped>;
    absent(source: SourceId, service: Service, missing: Vec<Missing>) -> Vec<Bumped>;
    sources() -> Vec<SourceSize>;
    forget(source: &SourceId, keep: Keep, most: usize) -> Forgotten;
    drop_source(source: &SourceId) -> bool;
    renew(source: &SourceId) -> SourceState;
    delta_token(feed: &FeedKey) -> Option<DeltaToken>;
    baseline(baseline: Baseline) -> Based;
    checked(checked: Checked) -> CheckNoted;
    accounts() -> Vec<AccountRow>;
    save_account(account: AccountRow) -> ();
    remove_account(account: &AccountId) -> u64;
    tokens(account: &AccountId) -> Option<Secret<Vec<u8>>>;
    save_tokens(account: &AccountId, record: Secret<Vec<u8>>) -> ();
    enqueue(task: TaskRow) -> bool;
    claim(now: Timestamp, until: Timestamp, held: Vec<AccountId>) -> Claim;
    beat(beat: Beat, now: Timestamp) -> bool;
    settle_task(lease: Lease, end: TaskEnd, now: Timestamp) -> bool;
    cancel_task(id: &str, now: Timestamp) -> Cancelled;
    requeue(now: Timestamp) -> u64;
    task_times(account: &AccountId, tool: &str) -> Option<TaskTimes>;
    tasks(query: TaskQuery) -> Vec<TaskSeen>;
    task_counts() -> TaskCounts;
    add_counts(counted: Vec<Counted>, now: Timestamp) -> ();
    counts(query: CountsQuery) -> Vec<CountedIn>;
    first_count(span: Span) -> Option<Timestamp>;
});

through!(Trail {
    resume(now: Timestamp) -> ();
    append(events: Vec<Event>) -> u64;
    records(range: Range, most: usize) -> Vec<Record>;
    subjects() -> BTreeMap<i64, String>;
    marks(target: &str) -> BTreeSet<Mark>;
    ends() -> Ends;
    verify(noted: Option<Point>) -> Report;
    prune(before: Timestamp, now: Timestamp) -> u64;
});

through!(Privacy {
    held_beside(account: &AccountId, sources: &[SourceId]) -> BTreeMap<&'static str, Vec<Value>>;
    begin_erasure(erasure: Erasure) -> ();
    erasures() -> Vec<Erasure>;
    erase(erasure: &Erasure, now: Timestamp) -> ();
    left(erasure: &Erasure) -> Left;
    end_erasure(account: &AccountId) -> ();
});
