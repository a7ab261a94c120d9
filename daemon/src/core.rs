//! What the services ask of the engine, over plain types: one trait, so that they can be tested without one and answer while it is locked out.

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{future::BoxFuture, stream::BoxStream};
use m365_cached::{
    auth::Permissions,
    cache::Escaped,
    clock::Timestamp,
    config::Config,
    engine::{CacheStatus, Change, Content, ContentOf, Lane, Period, Point, Stats, WantedBytes, WarmUp},
    hint::{Hint, Kind},
    ids::{AccountId, Caller, ToolProfile},
    store::{Counts, GroupStats},
};
use serde_json::{Map, Value};
use tokio::sync::broadcast;

use crate::records::Records;

/// The engine as the services see it.
#[async_trait]
pub trait Core: Records {
    /// A cached answer from memory, fresh; does not wait for anything.
    fn peek(&self, caller: &Caller, tool: &str, args: &Map<String, Value>) -> Option<Answer>;
    /// A cached answer from memory or the store, without asking Microsoft.
    async fn lookup(&self, caller: &Caller, tool: &str, args: &Map<String, Value>) -> Option<Answer>;
    /// Runs one tool.
    async fn call(&self, caller: &Caller, tool: &str, args: &Map<String, Value>) -> Result<Answer, Problem>;
    /// What something of an account is, and its bytes where they are few enough.
    async fn content(&self, caller: &Caller, account: &str, of: &ContentOf, wanted: WantedBytes) -> Result<Content, Problem>;
    /// Microsoft's id of what a handle names for `account` (id, username or alias); anything else stays as it is.
    async fn graph_id(&self, account: &str, text: &str) -> Result<String, Problem>;
    /// What changes from now on.
    fn changes(&self) -> broadcast::Receiver<Change>;
    /// What one tool would send if it was called, with nothing sent.
    async fn rehearse(&self, tool: &str, args: &Map<String, Value>) -> Result<Answer, Problem>;
    /// How store, accounts, Graph and queue are doing. Never fails: what is unhealthy is said in it.
    async fn status(&self) -> CoreStatus;
    /// The account whose id or username that is; does not wait for anything.
    fn account_named(&self, name: &str) -> Option<AccountId>;
    /// Every account that has signed in.
    async fn accounts(&self) -> Result<Vec<AccountState>, Problem>;
    /// Begins a sign-in.
    async fn login(&self, options: LoginOptions) -> Result<LoginFlow, Problem>;
    /// Forgets the tokens and the data of `account` (id, username or alias); tells how many entries were deleted.
    async fn logout(&self, account: &str) -> Result<(AccountState, u64), Problem>;
    /// What a period came to.
    async fn stats(&self, asked: StatsQuestion) -> Result<CacheStats, Problem>;
    /// What calls came to since the start.
    fn counters(&self) -> Stats;
    /// Deletes entries by pattern and tells how many there were.
    async fn invalidate(&self, what: Invalidate) -> Result<u64, Problem>;
    /// Cancels a background task; gives the task as `cache_task_get_status` shows it.
    async fn cancel_task(&self, id: &str) -> Result<Answer, Problem>;
    /// Tells those who rest that the pause has begun or ended.
    fn pause_changed(&self);
    /// Asks Microsoft for every account, past every cache.
    async fn probe(&self) -> Vec<Probed>;
    /// Asks for the usual answers of `account` (id, username or alias), or of every account, ahead of use.
    async fn warm(&self, account: Option<&str>) -> Result<WarmFlow, Problem>;
    /// Takes other settings, as far as they take effect without a restart.
    ///
    /// # Errors
    /// When they cannot be used; nothing has changed then.
    fn reconfigure(&self, config: &Config) -> Result<(), Problem>;
    /// Whether a write is under way, also one that nobody waits for any more.
    fn is_writing(&self) -> bool;
    /// Gives background tasks back and begins no more, so that the last calls have Microsoft for themselves.
    async fn quiet(&self);
    /// Writes what is buffered and closes the store. Called once, after the last call.
    async fn shutdown(&self);
}

/// What a tool answered: JSON text, escaped for the inside of a JSON string, in pieces that follow one another.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answer {
    /// The pieces; none begins or ends inside an escape.
    pub pieces: Vec<Escaped>,
    /// How it came about; `None` for what is no cached read.
    pub status: Option<CacheStatus>,
}

impl Answer {
    /// The answer's JSON text.
    pub fn text(&self) -> String {
        self.pieces.iter().map(Escaped::to_text).collect()
    }
}

/// Why something was not done: an error with its hint, detached from its type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Who has to act.
    pub kind: Kind,
    /// Stable, snake case.
    pub code: String,
    /// What happened. No secrets, no content.
    pub message: String,
    /// One thing to do; empty when there is none.
    pub hint: String,
    /// What a person has to agree to, when that is all that is missing.
    pub consent: Option<Box<Consent>>,
    /// Which limit stood against it, when one did.
    pub busy: Option<Box<Busy>>,
    /// How to sign in, when that is all that is missing.
    pub sign_in: Option<Box<SignInLink>>,
}

/// What a person opens to sign in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignInLink {
    /// The address.
    pub url: String,
    /// What to enter there; without one it is opened in a browser on this machine.
    pub code: Option<String>,
}

/// A limit that is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Busy {
    /// Its setting: `limits.calls`.
    pub setting: &'static str,
    /// What it is set to.
    pub limit: u64,
    /// How much of it is left.
    pub remaining: u64,
    /// When to come again.
    pub reset: std::time::Duration,
}

/// What a person is asked to agree to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consent {
    /// What would be done: `tool`, `title`, `risk` and `arguments`.
    pub preview: Value,
    /// The argument that gives consent.
    pub argument: String,
    /// What to put there.
    pub value: Value,
}

impl Problem {
    /// A problem from its parts.
    pub fn new(kind: Kind, code: &str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { kind, code: code.into(), message: message.into(), hint: hint.into(), consent: None, busy: None, sign_in: None }
    }

    /// The problem that an error of the library tells of.
    pub fn of(error: &dyn Hint) -> Self {
        Self::new(error.kind(), error.code(), error.to_string(), error.hint().unwrap_or_default())
    }
}

/// One row of the catalogue, for `ListTools`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolRow {
    /// `email_list`.
    pub name: String,
    /// For people.
    pub title: String,
    /// For models.
    pub description: String,
    /// JSON Schema of the arguments, whole and as short lists have it.
    pub input_schema: Listed<Bytes>,
    /// What it costs a model in either form, in tokens.
    pub tokens: Listed<u32>,
    /// Names of the profiles that show it.
    pub profiles: Vec<&'static str>,
    /// Whether it changes nothing.
    pub read_only: bool,
    /// The family.
    pub category: String,
    /// `safe`, `moderate`, `dangerous` or `critical`.
    pub safety_level: String,
    /// Whether a person is asked: `never`, `sometimes` or `always`.
    pub asks: String,
    /// Whether doing it twice does what doing it once does.
    pub idempotent: bool,
    /// What it reads or changes, and how long its answers are kept, in words.
    pub effect: String,
}

/// The two forms in which a tool is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Listed<T> {
    /// In `full`.
    pub whole: T,
    /// In every other profile.
    pub short: T,
}

impl<T> Listed<T> {
    /// As that profile lists it.
    pub fn in_profile(&self, profile: ToolProfile) -> &T {
        if profile == ToolProfile::Full { &self.whole } else { &self.short }
    }
}

/// An account.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AccountState {
    /// `<object id>.<tenant id>`.
    pub id: String,
    /// The name it signs in with.
    pub username: String,
    /// For people.
    pub display_name: String,
    /// The directory.
    pub tenant_id: String,
    /// A personal account rather than one of work or school.
    pub personal: bool,
    /// Whether there is a token that works as far as is known.
    pub signed_in: bool,
    /// When the access token ends, Unix milliseconds; 0 without one.
    pub access_token_expires_ms: u64,
    /// Whether its answers are cached.
    pub caching: bool,
    /// The short name that people gave it.
    pub alias: Option<String>,
    /// Whether it is meant where a call names none.
    pub default: bool,
    /// What its sign-in asked for and was granted; `None` where that was not asked, or cannot be read.
    pub permissions: Option<Permissions>,
}

impl AccountState {
    /// Whether `name` is its id, its username or its alias.
    pub fn is_called(&self, name: &str) -> bool {
        let name = name.trim();
        let spelled = |known: &str| known.eq_ignore_ascii_case(name);
        self.id == name || spelled(&self.username) || self.alias.as_deref().is_some_and(spelled)
    }
}

/// What came of asking Microsoft for an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probed {
    /// The account.
    pub account: AccountState,
    /// Why it could not be asked for.
    pub problem: Option<Problem>,
}

/// What the engine says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CoreStatus {
    /// The store.
    pub store: StoreState,
    /// Every account.
    pub accounts: Vec<AccountState>,
    /// The link to Graph.
    pub graph: GraphState,
    /// The background queue.
    pub queue: QueueState,
    /// What is fetched ahead of use.
    pub warming: WarmingState,
    /// What a person should know.
    pub warnings: Vec<Warning>,
}

/// The store.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StoreState {
    /// `sqlcipher` or `memory`.
    pub backend: String,
    /// The database file; empty in memory.
    pub path: String,
    /// Whether it can be relied on.
    pub healthy: bool,
    /// Version of its tables.
    pub schema: u32,
    /// Answers kept.
    pub entries: u64,
    /// Their bytes before compression.
    pub raw_bytes: u64,
    /// Their bytes as stored.
    pub stored_bytes: u64,
    /// Bytes of the file.
    pub file_bytes: u64,
    /// Answers held open in memory.
    pub hot_entries: u64,
    /// Their bytes.
    pub hot_bytes: u64,
    /// Bytes that may still be written to its disk, where that is known.
    pub free_disk_bytes: Option<u64>,
    /// What is kept and what may be.
    pub room: Option<RoomState>,
}

/// What is kept, what may be, and what was done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RoomState {
    /// Bytes in use.
    pub bytes: u64,
    /// Bytes that may be in use.
    pub max_bytes: u64,
    /// Entries that one account may have.
    pub max_entries_per_account: u64,
    /// When the last clean-up since the start ended, Unix milliseconds; 0 when there was none.
    pub cleaned_ms: u64,
    /// Entries that it removed.
    pub cleaned_entries: u64,
    /// About their bytes.
    pub cleaned_bytes: u64,
    /// Entries removed past their use since the start.
    pub swept: u64,
}

/// The link to Graph.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GraphState {
    /// `closed`, `open` or `half_open`.
    pub breaker: String,
    /// Requests sent since the start.
    pub requests: u64,
    /// Requests that failed.
    pub failures: u64,
    /// Requests that were told to wait.
    pub throttled: u64,
    /// Requests under way.
    pub in_flight: u32,
    /// Requests that wait for their turn.
    pub waiting: u32,
    /// Requests at a time for one mailbox or drive.
    pub per_mailbox: u32,
    /// Mailboxes and drives that are asked now.
    pub lanes: Vec<Lane>,
}

/// What is fetched ahead of use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WarmingState {
    /// Whether anything is.
    pub enabled: bool,
    /// The usual answers of each account are being fetched.
    pub running: bool,
    /// So many of them.
    pub total: u64,
    /// Fetched, or found fresh.
    pub done: u64,
    /// Not to be had.
    pub failed: u64,
}

/// The background queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QueueState {
    /// Waiting.
    pub queued: u64,
    /// Being worked on.
    pub running: u64,
    /// Given up.
    pub failed: u64,
}

/// What a person should know now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Stable, snake case.
    pub code: String,
    /// What is so.
    pub message: String,
    /// One thing to do.
    pub hint: String,
}

/// How to sign in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LoginOptions {
    /// By device code, in place of a browser on this machine.
    pub device: bool,
    /// Name to suggest to the sign-in page.
    pub username: Option<String>,
    /// A personal account.
    pub personal: bool,
}

/// A sign-in under way.
pub struct LoginFlow {
    /// What the person has to do.
    pub step: LoginStep,
    /// Ends when they have done it. Dropping it cancels the sign-in.
    pub done: BoxFuture<'static, Result<AccountState, Problem>>,
}

/// What the person has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoginStep {
    /// Open this address in a browser.
    OpenUrl(String),
    /// Enter a code at an address.
    DeviceCode {
        /// The code.
        user_code: String,
        /// The address.
        verification_uri: String,
        /// The identity service's own words.
        message: String,
        /// How long the code is good, in seconds.
        expires_in_s: u64,
    },
}

/// A warm-up that somebody has asked for. It goes on when this is dropped.
pub struct WarmFlow {
    /// How it stands now.
    pub now: WarmState,
    /// How it stands each time something has changed, until it has ended.
    pub later: BoxStream<'static, WarmState>,
}

/// How a warm-up stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WarmState {
    /// Its answers.
    pub up: WarmUp,
    /// Nothing is left to do.
    pub ended: bool,
}

/// What to delete, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalidate {
    /// `type[:account][:name=value]` with `*`.
    pub pattern: String,
    /// Id, username or alias; `None` for every account.
    pub account: Option<String>,
    /// For the audit trail.
    pub reason: String,
    /// Who asks.
    pub caller: Caller,
}

/// Which statistics are asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StatsQuestion {
    /// How far back.
    pub period: Period,
    /// Id, username or alias; `None` for every account.
    pub account: Option<String>,
}

/// What a period came to, and what is held now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CacheStats {
    /// How far back.
    pub period: Period,
    /// Since when.
    pub since: Timestamp,
    /// What calls came to.
    pub counts: Counts,
    /// What is held.
    pub held: GroupStats,
    /// By tool.
    pub by_tool: Vec<StatsRow>,
    /// By account.
    pub by_account: Vec<StatsRow>,
    /// By client; these hold nothing.
    pub by_client: Vec<StatsRow>,
    /// How it went.
    pub series: Vec<Point>,
}

/// One row of a table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StatsRow {
    /// A tool, the id of an account, or what a client calls itself.
    pub name: String,
    /// The username, of an account.
    pub label: String,
    /// What calls came to.
    pub counts: Counts,
    /// What is held.
    pub held: GroupStats,
}
