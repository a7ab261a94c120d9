//! What we remember: entries of the cache (swappable) and the local ledger. Knows no Graph, no tokens' meaning, no tools.
//!
//! [`Entries`] may be served by other backends later; the [`Ledger`] (scopes, writes, items, accounts, tokens, tasks, audit of
//! invalidations) always stays in the local SQLCipher file, beside the entries it judges.

mod copies;
mod delta;
mod disk;
mod doubt;
mod handles;
mod hot;
mod memory;
mod memory_handles;
mod memory_privacy;
mod memory_room;
mod memory_tasks;
mod memory_trail;
mod memory_writes;
mod privacy;
mod room;
mod rules;
pub mod statistics;
mod task;
mod trail;
mod uses;
mod volatile;

#[cfg(any(feature = "sqlcipher", feature = "system-openssl"))]
pub mod sqlcipher;

#[cfg(test)]
mod conformance_tests;
#[cfg(test)]
mod handles_tests;
#[cfg(test)]
mod queue_tests;
#[cfg(test)]
mod room_tests;
#[cfg(test)]
mod statistics_tests;
#[cfg(test)]
mod trail_tests;

use std::{collections::BTreeMap, path::Path};

use async_trait::async_trait;

pub use self::{
    copies::Copies,
    delta::{Based, Baseline, Changes, CheckNoted, Checked, DeltaToken, FeedKey},
    disk::{BALLAST_BYTES, Disk, DiskOf, Guard},
    doubt::DoubtMark,
    handles::{Handle, Handles, KEPT as KEPT_HANDLES, Thing},
    hot::HotTier,
    memory::Memory,
    privacy::{Erasure, Left, Privacy, Records},
    room::{Evicted, Room},
    statistics::{About, Counted, CountedIn, Counts, CountsQuery, Span, Times},
    task::{
        Beat, Cancelled, Claim, Claimed, KEPT_FOR, KEPT_TASKS, LONGEST_WAIT, Lease, MOST_ATTEMPTS, Progress, TaskCounts, TaskEnd, TaskKind,
        TaskQuery, TaskRow, TaskSeen, TaskState, TaskTimes,
    },
    trail::{Ends, Range, Trail},
    uses::Uses,
    volatile::Volatile,
};

use crate::{
    cache::{
        Bumped, Entry, EntryMeta, Keep, KeyHash, KeyPattern, Learned, Marks, Scope, Service, Shown, SourceId, SourceSize, SourceState,
        Touched,
    },
    clock::Timestamp,
    hint::{Hint, Kind},
    ids::AccountId,
    secret::{Key, Secret},
};

/// The two keys of a store, both made by the vault.
#[derive(Clone)]
pub struct StoreKeys {
    /// Encrypts the file.
    pub database: Key,
    /// Wraps each account's data key, which seals its answers and tokens inside the file.
    pub wrapping: Key,
}

/// What is in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contents {
    /// The version of its tables.
    pub schema: u32,
    /// Accounts that have signed in.
    pub accounts: u64,
    /// Answers kept.
    pub entries: u64,
}

/// What the keeper of the keys asks of a store whose rows are sealed under keys of its own.
#[async_trait]
pub trait Sealed: Send + Sync {
    /// Wraps every data key under `next`, in one transaction: the file opens with the old wrapping key or with the new one.
    async fn rewrap(&self, next: Key) -> Result<(), StoreError>;
    /// Begins to seal everything under new data keys; one that is under way goes on.
    async fn begin_reencryption(&self) -> Result<Reencryption, StoreError>;
    /// Seals some answers anew; at the end destroys the old keys. `None` when none is under way. After a failure it goes on where it was.
    async fn reencrypt_some(&self) -> Result<Option<Reencryption>, StoreError>;
    /// How far it is, when one is under way, and the generation of the data keys.
    async fn reencryption(&self) -> Result<(Option<Reencryption>, u64), StoreError>;
    /// Copies the store to `to`, where nothing may stand, and reads every page of the copy, which has the keys of the store. Blocks for about
    /// two seconds for 60 MB: not for an async thread. Nothing is left at `to` after a failure.
    fn copy_to(&self, to: &Path, keys: &StoreKeys) -> Result<Contents, StoreError>;
}

/// How far a re-encryption is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reencryption {
    /// Answers sealed under the new keys.
    pub done: u64,
    /// Of so many.
    pub total: u64,
    /// Nothing is left under the old ones, and they are destroyed.
    pub ended: bool,
}

/// What a store will not take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one answer before compression.
    pub entry_bytes: usize,
}

impl Default for Limits {
    /// 10 MiB an entry.
    fn default() -> Self {
        Self { entry_bytes: 10 * 1024 * 1024 }
    }
}

/// What became of an attempt to store an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// It is stored; the number is its revision.
    Stored {
        /// Raised whenever the entry is replaced.
        revision: u64,
    },
    /// A write overtook it, or something it shows is unsettled: it was a true answer when asked and must not be kept.
    Overtaken,
    /// An answer that was asked for later is there, and stays.
    Older,
    /// Larger than one entry may be.
    TooLarge,
    /// There is too little room left on the disk for anything to grow.
    NoRoom,
}

/// Why entries are removed; kept in `cache_invalidation`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalidation {
    /// Which entries.
    pub pattern: KeyPattern,
    /// Only this account's; `None` for every account's.
    pub account: Option<AccountId>,
    /// In the words of who asked.
    pub reason: String,
    /// Who asked.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// One use of an entry, buffered in memory and written in batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryUse {
    /// Which entry.
    pub key: KeyHash,
    /// When it was last used.
    pub at: Timestamp,
    /// How often since the last flush.
    pub hits: u32,
}

/// Sizes and counts of what is stored.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StoreStats {
    /// Entries held.
    pub entries: u64,
    /// Bytes of their answers before compression.
    pub raw_bytes: u64,
    /// Bytes as stored: compressed and sealed.
    pub stored_bytes: u64,
    /// Recorded hits of the entries held.
    pub hits: u64,
    /// The same by tool.
    pub by_tool: Vec<(String, GroupStats)>,
    /// The same by account.
    pub by_account: Vec<(AccountId, GroupStats)>,
    /// The same by both.
    pub groups: Vec<(AccountId, String, GroupStats)>,
}

impl StoreStats {
    /// From the figures of each account's entries of each tool.
    pub fn of_groups(mut groups: Vec<(AccountId, String, GroupStats)>) -> Self {
        groups.sort_by(|(account, tool, _), (other, its, _)| (account, tool).cmp(&(other, its)));
        let (mut all, mut by_tool, mut by_account) = (GroupStats::default(), BTreeMap::new(), BTreeMap::new());
        for (account, tool, group) in &groups {
            all.add(group);
            by_tool.entry(tool.clone()).or_insert_with(GroupStats::default).add(group);
            by_account.entry(account.clone()).or_insert_with(GroupStats::default).add(group);
        }
        Self {
            entries: all.entries,
            raw_bytes: all.raw_bytes,
            stored_bytes: all.stored_bytes,
            hits: all.hits,
            by_tool: by_tool.into_iter().collect(),
            by_account: by_account.into_iter().collect(),
            groups,
        }
    }

    /// What of it is `account`'s; everything without one.
    #[must_use]
    pub fn of(self, account: Option<&AccountId>) -> Self {
        match account {
            None => self,
            Some(account) => Self::of_groups(self.groups.into_iter().filter(|(whose, ..)| whose == account).collect()),
        }
    }
}

/// One group of [`StoreStats`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GroupStats {
    /// Entries held.
    pub entries: u64,
    /// Bytes before compression.
    pub raw_bytes: u64,
    /// Bytes as stored.
    pub stored_bytes: u64,
    /// Recorded hits.
    pub hits: u64,
}

impl GroupStats {
    /// Adds `more`.
    pub fn add(&mut self, more: &Self) {
        self.entries += more.entries;
        self.raw_bytes += more.raw_bytes;
        self.stored_bytes += more.stored_bytes;
        self.hits += more.hits;
    }
}

/// Whether the store can be relied on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// It answers reads and takes writes.
    pub healthy: bool,
    /// What is wrong, without content.
    pub detail: Option<String>,
    /// Version of the schema; 0 for backends without one.
    pub schema: u32,
    /// Bytes of the files on disk; 0 for backends without any.
    pub file_bytes: u64,
    /// Rows found damaged since the start and treated as misses.
    pub damaged: u64,
    /// Bytes that may still be written to its disk, where that is known.
    pub free_bytes: Option<u64>,
    /// Too little room is left there for an entry to be stored.
    pub low_disk: bool,
}

/// One step of comparing running totals with the entries they count; see [`Entries::check_totals`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TotalsStep {
    /// Where to go on; `None` at the end.
    pub next: Option<TotalsAt>,
    /// The totals of this step's group were wrong, and are right now.
    pub corrected: bool,
}

/// A place in the walk over the groups of [`StoreStats`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TotalsAt(pub i64, pub String);

/// Where answers are kept. Every implementation passes `store/conformance_tests.rs`.
#[async_trait]
pub trait Entries: Send + Sync {
    /// The entry named `key`, or `None` when there is none or its row is damaged (which is counted and removed).
    async fn get(&self, key: KeyHash) -> Result<Option<Entry>, StoreError>;
    /// Stores an answer unless a write has overtaken it: everything it shows is settled and not written since `read_seq`,
    /// checked in the transaction that stores it and adds `shown` to `items`. One that was asked for later stays in its place.
    async fn put(&self, entry: Entry, shown: Vec<Shown>, now: Timestamp) -> Result<Put, StoreError>;
    /// Removes what the pattern names, records who asked why, and tells how many there were.
    async fn invalidate(&self, what: Invalidation) -> Result<u64, StoreError>;
    /// Some of an account's entries, behind the place `after` (0 at the beginning); with the place to go on from, `None` at the end.
    async fn entries_of(&self, account: &AccountId, after: i64, most: usize) -> Result<(Vec<KeyHash>, Option<i64>), StoreError>;
    /// Adds buffered uses of entries.
    async fn touch(&self, uses: Vec<EntryUse>) -> Result<(), StoreError>;
    /// Sizes and counts.
    async fn stats(&self) -> Result<StoreStats, StoreError>;
    /// Compares the running totals of the group behind `after` (one account's answers of one tool) with its entries, and corrects them.
    /// One group at a time, so that reads come in between. A backend that keeps no totals is at the end at once.
    async fn check_totals(&self, after: Option<TotalsAt>) -> Result<TotalsStep, StoreError>;
    /// Whether the store can be relied on.
    async fn health_check(&self) -> Health;
}

/// Number of a row of `writes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct WriteId(pub i64);

/// A write about to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewWrite {
    /// Unique for the call: session and request id of the client, or random.
    pub call_key: String,
    /// Whose.
    pub account: AccountId,
    /// Which tool.
    pub tool: String,
    /// SHA-256 of the canonical arguments: content-free.
    pub args_hash: [u8; 32],
    /// What it will touch, as far as is known before.
    pub touched: Touched,
    /// When.
    pub at: Timestamp,
    /// Who asked, for the audit trail.
    pub client: String,
    /// Ids of what it is about, for the audit trail. Kept there alone, as marks: a row that is read back has none.
    pub targets: Vec<String>,
}

/// What became of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Graph said yes. `late` when effects show later (Sent Items, copies): its scopes stay unsettled. Those of searches do in any case, for
    /// their index follows every write.
    Done {
        /// Effects show later than the reply.
        late: bool,
    },
    /// Graph said no: nothing was changed.
    Refused,
    /// No answer: it may or may not have happened.
    Unknown,
}

/// A write that was open when the daemon stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenWrite {
    /// Its row.
    pub id: WriteId,
    /// As it was given.
    pub write: NewWrite,
}

/// An item that Microsoft says is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// Microsoft's id.
    pub id: String,
    /// Whether an answer that is kept shows it, though none may say where. Of others those are passed over of which no container is known.
    pub shown: bool,
}

/// What a step of forgetting did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Forgotten {
    /// The containers of dropped items, bumped as written.
    pub bumped: Vec<Bumped>,
    /// The source's floors afterwards.
    pub floors: Marks,
    /// Scopes without a row from now on.
    pub dropped: Vec<Scope>,
    /// There is more to drop than was allowed at once.
    pub more: bool,
}

/// An account as the ledger keeps it. Tokens are kept apart, sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountRow {
    /// `<object id>.<tenant id>`.
    pub id: AccountId,
    /// The name it signs in with.
    pub username: String,
    /// For people.
    pub display_name: String,
    /// The directory.
    pub tenant_id: String,
    /// Object id of the user in it.
    pub object_id: String,
    /// Id of the drive behind `/me/drive`, once known.
    pub drive_id: Option<String>,
    /// When it signed in first.
    pub added_at: Timestamp,
}

/// The local ledger: what must be remembered exactly. Transactions here are durable (`synchronous = FULL`) before a call returns.
#[async_trait]
pub trait Ledger: Handles + Send + Sync {
    /// For entries that are kept elsewhere: whether this answer may be kept, by the rule of [`Entries::put`]. When it may, `shown` is added
    /// to `items` in the transaction that judged it.
    async fn admit(&self, meta: EntryMeta, shown: Vec<Shown>, now: Timestamp) -> Result<bool, StoreError>;
    /// For entries that are kept elsewhere: records who had `removed` of them removed, and why.
    async fn record_invalidation(&self, what: Invalidation, removed: u64) -> Result<(), StoreError>;

    /// The state of a source; its record, with a random epoch, is made when there is none.
    async fn source(&self, id: &SourceId) -> Result<SourceState, StoreError>;

    /// Journals a write before it is sent, and records it in the audit trail, in one transaction.
    async fn open_write(&self, write: NewWrite) -> Result<WriteId, StoreError>;
    /// Closes a write's row: bumps `touched` (computed again from `items`) and `extra` as written, resets `items` to what the reply
    /// taught, and leaves what [`Outcome`] says unsettled until `unsettled_until`; one transaction, one step of history for each source.
    /// A refused write bumps nothing. The audit trail has the outcome with it. Closing with [`Outcome::Unknown`] keeps the row as "outcome unknown".
    async fn close_write(
        &self,
        id: WriteId,
        outcome: Outcome,
        extra: Vec<Touched>,
        learned: Vec<Learned>,
        unsettled_until: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<Bumped>, StoreError>;
    /// At start: closes every open row as unknown, and returns them.
    async fn recover_writes(&self, unsettled_until: Timestamp, now: Timestamp) -> Result<Vec<OpenWrite>, StoreError>;
    /// Bumps again the scopes whose unsettled time has ended, and tells when the next one ends.
    async fn settle(&self, now: Timestamp) -> Result<(Vec<Bumped>, Option<Timestamp>), StoreError>;
    /// Marks scopes as changed by somebody else (what a fetch or a delta taught).
    async fn changed(&self, touched: Vec<Touched>, now: Timestamp) -> Result<Vec<Bumped>, StoreError>;
    /// Marks items that Microsoft says are not there: what depends on one by its id is never served again, as after a write of ours; what else
    /// may show it has changed. Where it was is forgotten, so that who asks for it again overtakes nothing more.
    async fn absent(&self, source: SourceId, service: Service, missing: Vec<Missing>) -> Result<Vec<Bumped>, StoreError>;
    /// Every source with what is remembered of it.
    async fn sources(&self) -> Result<Vec<SourceSize>, StoreError>;
    /// Drops rows of items and scopes that were not used for longest, beyond what `keep` allows, at most `most` of each: containers are
    /// bumped as written and floors raised first.
    async fn forget(&self, source: &SourceId, keep: Keep, most: usize) -> Result<Forgotten, StoreError>;
    /// Drops a source of which nothing is remembered, with its tokens; its next record has another epoch. Returns whether it is gone.
    async fn drop_source(&self, source: &SourceId) -> Result<bool, StoreError>;
    /// Gives a source a new epoch: nothing that was stored of it is ever served again.
    async fn renew(&self, source: &SourceId) -> Result<SourceState, StoreError>;

    /// The token kept for a feed.
    async fn delta_token(&self, feed: &FeedKey) -> Result<Option<DeltaToken>, StoreError>;
    /// Keeps a walk's token unless there is one, and raises the source's `seq` with it.
    async fn baseline(&self, baseline: Baseline) -> Result<Based, StoreError>;
    /// Records a check: its token or the end of it, its time, and what it found changed, in one transaction.
    async fn checked(&self, checked: Checked) -> Result<CheckNoted, StoreError>;

    /// Every account that is signed in.
    async fn accounts(&self) -> Result<Vec<AccountRow>, StoreError>;
    /// Adds or replaces an account.
    async fn save_account(&self, account: AccountRow) -> Result<(), StoreError>;
    /// Forgets an account: its entries, tokens, tasks, the records of invalidations that name it, and its data key, so that what is left on disk
    /// is unreadable. Returns the number of entries.
    async fn remove_account(&self, account: &AccountId) -> Result<u64, StoreError>;
    /// The account's token record, unsealed.
    async fn tokens(&self, account: &AccountId) -> Result<Option<Secret<Vec<u8>>>, StoreError>;
    /// Seals and keeps the account's token record; durable when this returns.
    async fn save_tokens(&self, account: &AccountId, record: Secret<Vec<u8>>) -> Result<(), StoreError>;

    /// Queues a task unless one with its `dedup` is queued or running. Returns whether it was queued. Durable when this returns.
    async fn enqueue(&self, task: TaskRow) -> Result<bool, StoreError>;
    /// Takes up the most urgent task that may run now and whose account is not in `held`; its lease holds until `until`. Runs whose
    /// lease has ended are queued again first, or given up after [`MOST_ATTEMPTS`].
    async fn claim(&self, now: Timestamp, until: Timestamp, held: Vec<AccountId>) -> Result<Claim, StoreError>;
    /// Renews the lease of a run and records how far it is. False when the lease is lost: the run must end, and nothing it says counts.
    async fn beat(&self, beat: Beat, now: Timestamp) -> Result<bool, StoreError>;
    /// Ends a run; false when its lease was lost, and nothing was changed. A run of a task that was told to stop is cancelled, unless
    /// it was done. Of tasks that have ended the latest are kept ([`KEPT_TASKS`], [`KEPT_FOR`]).
    async fn settle_task(&self, lease: Lease, end: TaskEnd, now: Timestamp) -> Result<bool, StoreError>;
    /// Cancels a queued task; marks a running one. Durable when this returns.
    async fn cancel_task(&self, id: &str, now: Timestamp) -> Result<Cancelled, StoreError>;
    /// Runs of an earlier process are queued again, or given up after [`MOST_ATTEMPTS`]: at start, whatever their leases say.
    async fn requeue(&self, now: Timestamp) -> Result<u64, StoreError>;
    /// Tasks as they stand, the newest first.
    async fn tasks(&self, query: TaskQuery) -> Result<Vec<TaskSeen>, StoreError>;
    /// How long the account's tasks of `tool` took; `None` when none was completed.
    async fn task_times(&self, account: &AccountId, tool: &str) -> Result<Option<TaskTimes>, StoreError>;
    /// Tasks by state.
    async fn task_counts(&self) -> Result<TaskCounts, StoreError>;

    /// Adds what was counted until `now` to the stretches it lies in, and drops some of what is too old. May be lost with the power.
    async fn add_counts(&self, counted: Vec<Counted>, now: Timestamp) -> Result<(), StoreError>;
    /// What was counted, stretch by stretch.
    async fn counts(&self, query: CountsQuery) -> Result<Vec<CountedIn>, StoreError>;
    /// When the first stretch of that length began of which anything is kept.
    async fn first_count(&self, span: Span) -> Result<Option<Timestamp>, StoreError>;
}

/// Why the store did not do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The file is not one of ours, or its key is another one.
    #[error("the database cannot be opened with this key: {0}")]
    WrongKey(String),
    /// A newer version of the program made it.
    #[error("the database has schema {found}, and this program knows up to {known}")]
    Newer {
        /// Version in the file.
        found: u32,
        /// Latest version known here.
        known: u32,
    },
    /// A write with that call key is in the journal already.
    #[error("a write of this call is in the journal already")]
    Journalled,
    /// The disk is full.
    #[error("the disk is full")]
    Full,
    /// The file is damaged.
    #[error("the database is damaged: {0}")]
    Damaged(String),
    /// Anything else the file system or SQLite said.
    #[error("the database failed: {0}")]
    Failed(String),
    /// The store has been closed.
    #[error("the database is closed")]
    Closed,
}

impl Hint for StoreError {
    fn kind(&self) -> Kind {
        match self {
            Self::Closed | Self::Journalled => Kind::Internal,
            _ => Kind::Config,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::WrongKey(_) => "wrong_key",
            Self::Newer { .. } => "newer_store",
            Self::Journalled => "journalled",
            Self::Full => "disk_full",
            Self::Damaged(_) => "damaged_store",
            Self::Failed(_) => "store_failed",
            Self::Closed => "store_closed",
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::WrongKey(_) => {
                "Give the daemon the keys this database was made with: a recovery file has them that was made after the last `m365-cachectl keys rotate --reencrypt`, a backup always. `m365-cachectl repair` puts a file that does not open aside.".into()
            }
            Self::Newer { .. } => "Start the newer version of m365-cached again; `m365-cachectl repair --rollback` goes back to the database of before the upgrade.".into(),
            Self::Full => "Free some space on the disk that holds the profile, shown by `m365-cachectl status`.".into(),
            Self::Damaged(_) => "Run `m365-cachectl repair`: it saves accounts and tokens that still open, and puts the file aside.".into(),
            Self::Failed(_) => "Look at the daemon's log; `m365-cachectl status` shows where the database is.".into(),
            Self::Journalled => "Read what it should have changed; it may have happened.".into(),
            Self::Closed => "Run the command again.".into(),
        })
    }
}
