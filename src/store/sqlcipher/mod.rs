//! The store in an encrypted file: one SQLCipher database, one connection, one thread. Never awaits inside a transaction; holds all SQL.
//!
//! Why one connection for reads and writes: each connection has its own page cache and drops it when another one has written, and a
//! page that is not in it costs 15 µs to decrypt. Beside a second, writing connection reads were measured 17 to 29 times slower
//! (design: performance, 2b). `thread.rs` has the figures beside a pool.

mod accounts;
mod anchor;
mod audit;
pub mod codec;
mod copy;
mod db;
mod delta;
mod entries;
mod forget;
mod handles;
mod inspect;
mod invalidate;
mod items;
mod migrations;
mod open;
pub mod original;
mod pack;
mod privacy;
mod reencrypt;
mod room;
mod salvage;
mod scopes;
pub mod seal;
mod statistics;
mod stats;
mod tasks;
mod thread;
mod totals;
mod upgrade;
mod writes;

#[cfg(test)]
mod audit_tests;
#[cfg(test)]
mod damage_tests;
#[cfg(test)]
mod dict_tests;
#[cfg(test)]
mod figure_tests;
#[cfg(test)]
mod open_tests;
#[cfg(test)]
mod plan_tests;
#[cfg(test)]
mod reencrypt_tests;
#[cfg(test)]
mod salvage_tests;
#[cfg(test)]
mod space_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod thread_tests;

use std::{
    path::PathBuf,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;

#[cfg(test)]
pub(super) use self::statistics::PRUNED_AT_ONCE;
use self::{db::Db, open::Place, thread::StoreThread};
pub use self::{
    inspect::{check_pages, inspect},
    salvage::{Salvaged, salvage},
    upgrade::{all_kept, kept, new_epochs},
};
use super::{
    AccountRow, Based, Baseline, Beat, Cancelled, CheckNoted, Checked, Claim, Counted, CountedIn, CountsQuery, DeltaToken, Entries,
    EntryUse, FeedKey, Forgotten, Guard, Health, Invalidation, Lease, Ledger, Limits, Missing, NewWrite, OpenWrite, Outcome, Put, Span,
    StoreError, StoreKeys, StoreStats, TaskCounts, TaskEnd, TaskQuery, TaskRow, TaskSeen, TaskTimes, TotalsAt, TotalsStep, WriteId,
};
use crate::{
    cache::{Bumped, Entry, EntryMeta, Keep, KeyHash, Learned, Service, Shown, SourceId, SourceSize, SourceState, Touched},
    chance::Dice,
    clock::Timestamp,
    ids::AccountId,
    secret::Secret,
};

/// Bytes that a step of a task writes, about.
const TASK: usize = 512;

/// How to open the store.
pub struct OpenOptions {
    /// The file, in a directory that only its owner may enter.
    pub path: PathBuf,
    /// Its keys.
    pub keys: StoreKeys,
    /// Where nonces, data keys and epochs come from.
    pub dice: Arc<dyn Dice>,
    /// Give every source a new epoch, so that no entry is served any more: after a restore.
    pub new_epochs: bool,
    /// What is not taken in.
    pub limits: Limits,
}

/// The store. Dropping it finishes what was asked, moves the log into the file and closes it.
pub struct Sqlcipher {
    thread: StoreThread,
    place: Place,
    limits: Limits,
    damaged: AtomicU64,
    reopened: Arc<AtomicU64>,
    guard: Arc<OnceLock<Guard>>,
}

impl Sqlcipher {
    /// Opens the file, or makes it when there is none. Blocks for some milliseconds whatever the file's size: nothing is scanned.
    ///
    /// # Errors
    /// [`StoreError::WrongKey`] for another key or a foreign file, [`StoreError::Newer`] for a newer program's file,
    /// [`StoreError::Damaged`] for an empty or unreadable one; all leave the file as it is.
    pub fn open(options: OpenOptions) -> Result<Self, StoreError> {
        let place = Place { path: options.path.clone(), key: Some(options.keys.database.clone()) };
        Self::open_at(place, &options)
    }

    /// The same without a database key, to compare with. For benchmarks alone: nothing else may call it.
    #[doc(hidden)]
    pub fn open_plain_for_bench(options: OpenOptions) -> Result<Self, StoreError> {
        let place = Place { path: options.path.clone(), key: None };
        Self::open_at(place, &options)
    }

    fn open_at(place: Place, options: &OpenOptions) -> Result<Self, StoreError> {
        let log = std::fs::metadata(place.beside("-wal")).is_ok_and(|facts| facts.len() > 0);
        let mut db = Db::new(place.open()?, place.clone(), &options.keys.wrapping, options.dice.clone());
        if log {
            db.found_log();
        }
        db.check_wrapping_key()?;
        if options.new_epochs {
            db.transact(true, |db| {
                scopes::renew_epochs(db)?;
                handles::pass_over(db)?;
                audit::put_back(db, audit::PutBack::Restored)
            })?;
        }
        let (reopened, guard) = (db.reopened(), db.guard());
        let thread = StoreThread::start(db)?;
        Ok(Self { thread, place, limits: options.limits, damaged: AtomicU64::new(0), reopened, guard })
    }

    /// From now on entries keep off the floor of the disk, and its ballast is dropped when the disk is full. To be called once.
    pub fn keep_room(&self, guard: Guard) {
        guard.hold();
        // A second one would be a fault of ours and changes nothing.
        let _ = self.guard.set(guard);
    }

    /// Finishes what was asked, moves the log into the file and closes it. Later calls are answered with [`StoreError::Closed`].
    /// Blocks until it is done.
    pub fn close(&self) {
        self.thread.close();
    }

    /// How often the connection was opened anew because it had seen a damaged page.
    pub fn reopened(&self) -> u64 {
        self.reopened.load(Ordering::Relaxed)
    }
}

/// Reads `bytes` as each packed form of a row; false when something that was read does not pack to what reads again. For the fuzz target
/// alone: nothing else may call it.
#[doc(hidden)]
pub fn unpack_for_fuzz(bytes: &[u8]) -> bool {
    let head = pack::Head::unpack(bytes)
        .is_none_or(|head| pack::Head::unpack(&pack::Head::pack(&head.args, head.etag.as_deref(), &head.readings)).is_some());
    let places = pack::unpack_places(bytes).is_none_or(|(places, length)| {
        length <= bytes.len() && pack::unpack_places(&pack::pack_places(&places)).is_some_and(|again| again.0 == places)
    });
    let touched = pack::unpack_touched(bytes).is_none_or(|touched| pack::unpack_touched(&pack::pack_touched(&touched)) == Some(touched));
    let counts = pack::unpack_counts(bytes).is_none_or(|counts| pack::unpack_counts(&pack::pack_counts(&counts)) == Some(counts));
    let scopes = pack::unpack_scopes(bytes).is_none_or(|scopes| pack::unpack_scopes(&pack::pack_scopes(&scopes)) == Some(scopes));
    // A number of a codec, a length, a body.
    let body = bytes.split_first_chunk::<3>().is_none_or(|([codec, length @ ..], body)| {
        let length = usize::from(u16::from_le_bytes(*length));
        let text = codec::Codec::from_number(*codec).and_then(|codec| codec::decompress(codec, body, length));
        text.is_none_or(|text| text.len() == length)
    });
    head && places && touched && scopes && counts && body
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode;
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(ErrorCode::DatabaseCorrupt) => Self::Damaged("a page is malformed".into()),
            Some(ErrorCode::NotADatabase) => Self::Damaged("a page does not open".into()),
            // What a connection that has seen a bad page says to every write.
            Some(ErrorCode::ReadOnly) => Self::Damaged("it cannot be written".into()),
            // Codes only: messages may quote what was stored.
            Some(code) => Self::Failed(format!("{code:?}")),
            None => match error {
                // A value of another type than its column's can only come from a damaged page.
                rusqlite::Error::FromSqlConversionFailure(..)
                | rusqlite::Error::IntegralValueOutOfRange(..)
                | rusqlite::Error::Utf8Error(..)
                | rusqlite::Error::InvalidColumnType(..) => Self::Damaged("a row does not read".into()),
                rusqlite::Error::QueryReturnedNoRows => Self::Damaged("a row is missing".into()),
                _ => Self::Failed("a statement could not be run".into()),
            },
        }
    }
}

#[async_trait]
impl Entries for Sqlcipher {
    async fn get(&self, key: KeyHash) -> Result<Option<Entry>, StoreError> {
        self.get_entry(key).await
    }

    async fn put(&self, entry: Entry, shown: Vec<Shown>, now: Timestamp) -> Result<Put, StoreError> {
        self.put_entry(entry, shown, now).await
    }

    async fn invalidate(&self, what: Invalidation) -> Result<u64, StoreError> {
        self.invalidate_entries(what).await
    }

    async fn entries_of(&self, account: &AccountId, after: i64, most: usize) -> Result<(Vec<KeyHash>, Option<i64>), StoreError> {
        self.held_entries(account, after, most).await
    }

    async fn touch(&self, uses: Vec<EntryUse>) -> Result<(), StoreError> {
        self.thread.cache(uses.len() * 64, move |db| stats::touch(db, &uses)).await
    }

    async fn stats(&self) -> Result<StoreStats, StoreError> {
        self.thread.read(stats::totals).await
    }

    async fn check_totals(&self, after: Option<TotalsAt>) -> Result<TotalsStep, StoreError> {
        self.thread.cache(0, move |db| totals::step(db, after.as_ref())).await
    }

    async fn health_check(&self) -> Health {
        self.look_at_health().await
    }
}

#[async_trait]
impl Ledger for Sqlcipher {
    async fn admit(&self, meta: EntryMeta, shown: Vec<Shown>, now: Timestamp) -> Result<bool, StoreError> {
        self.thread.cache(shown.len() * 64, move |db| entries::admit(db, &meta, &shown, now)).await
    }

    async fn record_invalidation(&self, what: Invalidation, removed: u64) -> Result<(), StoreError> {
        self.thread.cache(64, move |db| invalidate::record(db, &what, removed)).await
    }

    async fn source(&self, id: &SourceId) -> Result<SourceState, StoreError> {
        let id = id.clone();
        let wanted = id.clone();
        // Known sources need no transaction.
        if let Some(state) = self.thread.read(move |db| scopes::load(db, &wanted)).await? {
            return Ok(state);
        }
        self.thread.ledger(move |db| scopes::load_or_make(db, &id)).await
    }

    async fn open_write(&self, write: NewWrite) -> Result<WriteId, StoreError> {
        self.thread.ledger(move |db| writes::open(db, &write)).await
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
        let closing = writes::Closing { outcome, extra, learned, unsettled_until, now };
        self.thread.ledger(move |db| writes::close(db, id, &closing)).await
    }

    async fn recover_writes(&self, unsettled_until: Timestamp, now: Timestamp) -> Result<Vec<OpenWrite>, StoreError> {
        self.thread.ledger(move |db| writes::recover(db, unsettled_until, now)).await
    }

    async fn settle(&self, now: Timestamp) -> Result<(Vec<Bumped>, Option<Timestamp>), StoreError> {
        self.thread.ledger(move |db| writes::settle(db, now)).await
    }

    async fn changed(&self, touched: Vec<Touched>, _now: Timestamp) -> Result<Vec<Bumped>, StoreError> {
        self.thread.ledger(move |db| scopes::changed(db, &touched)).await
    }

    async fn absent(&self, source: SourceId, service: Service, missing: Vec<Missing>) -> Result<Vec<Bumped>, StoreError> {
        self.thread.ledger(move |db| scopes::absent(db, &source, service, &missing)).await
    }

    async fn sources(&self) -> Result<Vec<SourceSize>, StoreError> {
        self.thread.read(forget::sizes).await
    }

    async fn forget(&self, source: &SourceId, keep: Keep, most: usize) -> Result<Forgotten, StoreError> {
        let source = source.clone();
        self.thread.ledger(move |db| forget::step(db, &source, keep, most)).await
    }

    async fn drop_source(&self, source: &SourceId) -> Result<bool, StoreError> {
        let source = source.clone();
        self.thread.ledger(move |db| forget::drop_source(db, &source)).await
    }

    async fn renew(&self, source: &SourceId) -> Result<SourceState, StoreError> {
        let source = source.clone();
        self.thread.ledger(move |db| scopes::renew(db, &source)).await
    }

    async fn delta_token(&self, feed: &FeedKey) -> Result<Option<DeltaToken>, StoreError> {
        let feed = feed.clone();
        self.thread.read(move |db| delta::token(db, &feed)).await
    }

    async fn baseline(&self, baseline: Baseline) -> Result<Based, StoreError> {
        self.thread.ledger(move |db| delta::base(db, &baseline)).await
    }

    async fn checked(&self, checked: Checked) -> Result<CheckNoted, StoreError> {
        self.thread.ledger(move |db| delta::check(db, &checked)).await
    }

    async fn accounts(&self) -> Result<Vec<AccountRow>, StoreError> {
        self.thread.read(accounts::list).await
    }

    async fn save_account(&self, account: AccountRow) -> Result<(), StoreError> {
        self.thread.ledger(move |db| accounts::save(db, &account)).await
    }

    async fn remove_account(&self, account: &AccountId) -> Result<u64, StoreError> {
        self.forget_account(account).await
    }

    async fn tokens(&self, account: &AccountId) -> Result<Option<Secret<Vec<u8>>>, StoreError> {
        let account = account.clone();
        self.thread.read(move |db| accounts::tokens(db, &account)).await
    }

    async fn save_tokens(&self, account: &AccountId, record: Secret<Vec<u8>>) -> Result<(), StoreError> {
        let account = account.clone();
        self.thread.ledger(move |db| accounts::save_tokens(db, &account, &record)).await
    }

    async fn enqueue(&self, task: TaskRow) -> Result<bool, StoreError> {
        self.thread.ledger(move |db| tasks::enqueue(db, &task)).await
    }

    async fn claim(&self, now: Timestamp, until: Timestamp, held: Vec<AccountId>) -> Result<Claim, StoreError> {
        self.thread.cache(TASK, move |db| tasks::claim(db, now, until, &held)).await
    }

    async fn beat(&self, beat: Beat, now: Timestamp) -> Result<bool, StoreError> {
        self.thread.cache(TASK, move |db| tasks::beat(db, &beat, now)).await
    }

    async fn settle_task(&self, lease: Lease, end: TaskEnd, now: Timestamp) -> Result<bool, StoreError> {
        self.thread.cache(TASK, move |db| tasks::settle(db, &lease, &end, now)).await
    }

    async fn cancel_task(&self, id: &str, now: Timestamp) -> Result<Cancelled, StoreError> {
        let id = id.to_owned();
        self.thread.ledger(move |db| tasks::cancel(db, &id, now)).await
    }

    async fn requeue(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.thread.cache(TASK, move |db| tasks::requeue(db, now)).await
    }

    async fn tasks(&self, query: TaskQuery) -> Result<Vec<TaskSeen>, StoreError> {
        self.thread.read(move |db| tasks::seen(db, &query)).await
    }

    async fn task_times(&self, account: &AccountId, tool: &str) -> Result<Option<TaskTimes>, StoreError> {
        let (account, tool) = (account.clone(), tool.to_owned());
        self.thread.read(move |db| tasks::times(db, &account, &tool)).await
    }

    async fn task_counts(&self) -> Result<TaskCounts, StoreError> {
        self.thread.read(tasks::counts).await
    }

    async fn add_counts(&self, counted: Vec<Counted>, now: Timestamp) -> Result<(), StoreError> {
        self.thread.cache(counted.len() * 512, move |db| statistics::add(db, now, &counted)).await
    }

    async fn counts(&self, query: CountsQuery) -> Result<Vec<CountedIn>, StoreError> {
        self.thread.read(move |db| statistics::read(db, &query)).await
    }

    async fn first_count(&self, span: Span) -> Result<Option<Timestamp>, StoreError> {
        self.thread.read(move |db| statistics::first(db, span)).await
    }
}
