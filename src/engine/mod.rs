//! What happens on a call. The only room that combines the others.
//!
//! A call reads top to bottom: [`Engine::call`] finds the tool, checks the arguments and the account, reads the clock once, and goes to
//! `read.rs`, `write.rs` or `local.rs`. A read judges what is stored; only `fetch.rs` asks Microsoft, one flight at a time for a key.

mod absence;
mod accounts;
mod answer;
mod background;
mod budget;
mod changes;
mod check;
mod confirm;
mod content;
mod cursor;
mod doubt;
mod erase;
mod error;
mod exclude;
mod export;
mod facts;
mod fence;
mod fetch;
mod forget;
mod habits;
mod handles;
mod held;
mod limits;
mod local;
mod pause;
mod probe;
mod queue;
mod read;
mod rehearsal;
mod remote;
mod round;
mod source;
mod stats;
mod status;
mod stop;
mod tasks;
mod trail;
mod trim;
mod truth;
mod turn;
mod untrusted;
mod walk;
mod warm;
mod warm_up;
mod watch;
mod write;

#[cfg(test)]
mod along_tests;
#[cfg(test)]
mod check_tests;
#[cfg(test)]
#[cfg(feature = "sqlcipher")]
mod crossing_tests;
#[cfg(test)]
mod faulty;
#[cfg(test)]
mod history_tests;
#[cfg(test)]
mod hurry_tests;
#[cfg(test)]
mod reading_on_tests;
#[cfg(test)]
mod reconfigure_tests;
#[cfg(test)]
mod rehearsal_tests;
#[cfg(test)]
mod testing;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, atomic::AtomicBool},
    time::Duration,
};

use serde_json::{Map, Value};
use tokio::sync::{Notify, RwLock};

use crate::{
    auth,
    cache::{Bounds, CacheKey, Mode, RoomLimits, Ttl},
    chance::Dice,
    clock::{Clock, Timestamp},
    graph,
    ids::{Caller, Urgency},
    live::Live,
    store::{AccountRow, Copies, DoubtMark, Entries, HotTier, Ledger, Records, Room, StoreError, Uses},
    tools::{self, ArgError, Args, Effect, Tool},
};

pub use accounts::{Account, AccountNames, LoginError, LoginFlow, LoginStart};
pub use answer::{Answer, CacheStatus};
pub use changes::Change;
pub use confirm::Consent;
pub use content::{Content, ContentOf, Wanted as WantedBytes};
pub use erase::Erased;
pub use error::CallError;
pub use exclude::Exclusions;
pub use export::Piece;
pub use limits::{Cleaned, RoomStatus};
pub use probe::Probed;
pub use queue::{Ask, Next, TaskRun};
pub use remote::{GraphRemote, Remote};
pub use stats::{Asked, Period, Point, Statistics, Stats};
pub use status::{Lane, Status};
pub use trail::{AuditPolicy, Shown, Wanted};
pub use warm::{Operation, Warming, WarmingNow};
pub use warm_up::WarmUp;

use fetch::Flights;
use stats::Counters;
use truth::Truth;

/// What a tool's configuration may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ToolPolicy {
    /// Whether its answers may be cached.
    pub caching: bool,
    /// Its times, in place of the catalogue's.
    pub ttl: Option<Ttl>,
}

/// Settings of the engine, as values.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Caching as a whole.
    pub caching: bool,
    /// By tool; tools that are not named follow the catalogue.
    pub tools: BTreeMap<String, ToolPolicy>,
    /// Usernames (lower case) or account ids for which nothing is cached.
    pub uncached_accounts: Vec<String>,
    /// How long one call may take, retries included.
    pub deadline: Duration,
    /// How long the scopes of a write stay unsettled when its outcome is unknown or shows late; those of searches do after any write.
    pub unsettled: Duration,
    /// How many scopes and items are remembered.
    pub bounds: Bounds,
    /// How many entries are kept.
    pub room: RoomLimits,
    /// Name of the cloud, part of every source's name.
    pub cloud: String,
    /// People sign in by a code that they enter on any device.
    pub device: bool,
    /// Answers and confirmations as the original had them.
    pub compat: bool,
    /// Answers show handles in the place of Microsoft's ids, unless they are as the original had them.
    pub short_ids: bool,
    /// Consent is a token, bound to the client and the exact call, everywhere.
    pub strict: bool,
    /// What is fetched ahead of use.
    pub warming: Warming,
    /// What is recorded, and for how long.
    pub audit: AuditPolicy,
    /// What is answered and never kept.
    pub exclude: Exclusions,
    /// What people have named of the accounts.
    pub accounts: AccountNames,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            caching: true,
            tools: BTreeMap::new(),
            uncached_accounts: Vec::new(),
            deadline: Duration::from_secs(120),
            unsettled: Duration::from_secs(60),
            bounds: Bounds::default(),
            room: RoomLimits::default(),
            cloud: "global".into(),
            device: false,
            compat: false,
            short_ids: true,
            strict: false,
            warming: Warming::default(),
            audit: AuditPolicy::default(),
            exclude: Exclusions::default(),
            accounts: AccountNames::default(),
        }
    }
}

/// The objects an engine is made of.
pub struct Parts {
    /// Where answers are kept.
    pub entries: Arc<dyn Entries>,
    /// Their store again, to be cleaned up; `None` for one that nobody cleans up.
    pub room: Option<Arc<dyn Room>>,
    /// What must be remembered exactly.
    pub ledger: Arc<dyn Ledger>,
    /// The audit trail, and the rights of the person whose data it is.
    pub records: Arc<dyn Records>,
    /// Opened answers in memory.
    pub hot: HotTier,
    /// How Microsoft is asked.
    pub remote: Arc<dyn Remote>,
    /// The Graph client's gauges, when there is one.
    pub graph: Option<Arc<graph::Client>>,
    /// Sign-ins in progress.
    pub logins: Arc<auth::Logins>,
    /// The keeper of tokens.
    pub keeper: Arc<auth::Keeper>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub dice: Arc<dyn Dice>,
    /// The mark of writes that could not be recorded, where the store outlives the process.
    pub doubt: Option<DoubtMark>,
    /// Sealed copies of what was imported, where there can be any: an erasure removes them.
    pub copies: Option<Copies>,
    /// Settings.
    pub policy: Policy,
}

/// The engine. Shared by every stream; all its methods take `&self`.
pub struct Engine {
    entries: Arc<dyn Entries>,
    ledger: Arc<dyn Ledger>,
    hot: HotTier,
    uses: Uses,
    /// Stored lists that hold other answers.
    lists: held::Lists,
    remote: Arc<dyn Remote>,
    graph: Option<Arc<graph::Client>>,
    logins: Arc<auth::Logins>,
    keeper: Arc<auth::Keeper>,
    clock: Arc<dyn Clock>,
    dice: Arc<dyn Dice>,
    policy: Live<Policy>,
    truth: Truth,
    flights: Flights,
    counters: Counters,
    accounts: accounts::Accounts,
    /// Sources whose writes could not be recorded.
    doubts: doubt::Doubts,
    /// Delta feeds that are being asked.
    checks: check::Checks,
    /// What further tokens would have saved.
    walks: walk::Walks,
    facts: facts::Facts,
    /// What is fetched ahead of use.
    warmth: warm::Warmth,
    /// What is due in idle time.
    chores: forget::Chores,
    /// What may be kept.
    limits: limits::Limits,
    mailboxes: source::Mailboxes,
    folder_ids: exclude::FolderIds,
    /// Handles that are known without asking the store.
    names: handles::Names,
    consents: confirm::Consents,
    /// Tasks under way, and how workers are woken.
    queue: queue::Queue,
    /// Wakes the settler: scopes became unsettled.
    unsettled: Notify,
    /// Wakes the flusher: an entry was used.
    used: Notify,
    /// Acts on Microsoft under way; shutdown waits for them.
    acts: write::Acts,
    /// What is recorded of calls.
    witness: trail::Witness,
    /// One erasure or sign-out at a time, and no sign-in meanwhile.
    erasing: tokio::sync::Mutex<()>,
    /// An erasure has begun and is not known to be complete.
    unfinished: AtomicBool,
    copies: Option<Copies>,
    /// Held for reading while something of an account is stored, for writing while an account is forgotten.
    leaving: RwLock<()>,
    /// Why the store did not do its work, as last seen; cleared when it does.
    store_trouble: Mutex<Option<String>>,
}

/// A call whose tool, arguments and account are known to be good.
#[derive(Clone)]
struct Call {
    tool: &'static Tool,
    args: Args,
    account: Arc<AccountRow>,
    /// Id of the mailbox it is about, once it was asked for; `None` for the account's own.
    mailbox: Option<Arc<str>>,
    now: Timestamp,
    /// Whether somebody waits; its flight may be joined by somebody who does.
    urgency: graph::Hurry,
    who: stats::Who,
    /// Graph requests it has made to learn whether a stored answer is still true.
    checks: u64,
    /// What ends it early: background work only.
    stop: Option<Arc<stop::Stop>>,
    /// Who asked, for calls that change something: what is agreed to is agreed to for one client.
    caller: Option<Arc<Caller>>,
}

impl Call {
    /// The same call, counted for `client`.
    fn by(mut self, client: stats::ClientPlace) -> Self {
        self.who.client = client;
        self
    }

    /// The same call, when its account is within the caller's fence.
    fn within(self, caller: &Caller) -> Option<Self> {
        let outside = caller.fence.as_ref().is_some_and(|fence| !fence.admits(&self.account.id, &self.account.username));
        (!outside).then_some(self)
    }

    /// The same call, asked for by `caller`.
    fn asked_by(mut self, caller: &Caller) -> Self {
        self.urgency = self.urgency.of(caller.call).counted(caller.work.clone());
        if !matches!(self.tool.effect, Effect::Read { .. }) {
            self.caller = Some(Arc::new(caller.clone()));
        }
        self
    }

    /// Whether the tool has a parameter of that name.
    fn takes(&self, name: &str) -> bool {
        self.tool.params.iter().any(|param| param.name == name)
    }
}

impl Engine {
    /// Builds the engine and closes what a crash left open: writes become "outcome unknown", running tasks go back to the queue.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read or written.
    pub async fn start(parts: Parts) -> Result<Arc<Self>, CallError> {
        if let Some(mark) = &parts.doubt {
            doubt::after_a_crash(&*parts.ledger, mark).await?;
        }
        let truth = Truth::new(parts.ledger.clone(), parts.dice.clone());
        let now = parts.clock.now();
        // Before anything is stamped by a clock that may be wrong.
        let stamped = limits::Stamped::before(parts.room.as_deref(), &*parts.records).await;
        parts.records.resume(now).await?;
        let open = parts.ledger.recover_writes(now.plus(parts.policy.unsettled), now).await?;
        for write in &open {
            tracing::warn!(tool = %write.write.tool, "a write was under way when the daemon stopped: its outcome is unknown");
        }
        parts.ledger.requeue(now).await?;
        let unfinished = erase::complete(&*parts.ledger, &*parts.entries, &*parts.records, parts.copies.as_ref(), now).await?;
        let accounts = accounts::Accounts::new(parts.ledger.accounts().await?, parts.policy.accounts.clone());
        let engine = Arc::new(Self {
            truth,
            accounts,
            entries: parts.entries,
            ledger: parts.ledger,
            hot: parts.hot,
            uses: Uses::default(),
            lists: held::Lists::default(),
            remote: parts.remote,
            graph: parts.graph,
            limits: limits::Limits::new(parts.room, stamped),
            logins: parts.logins,
            keeper: parts.keeper,
            clock: parts.clock,
            dice: parts.dice,
            policy: Live::new(parts.policy),
            flights: Flights::default(),
            mailboxes: source::Mailboxes::default(),
            folder_ids: exclude::FolderIds::default(),
            names: handles::Names::default(),
            consents: confirm::Consents::default(),
            counters: Counters::default(),
            doubts: doubt::Doubts::new(parts.doubt),
            checks: check::Checks::default(),
            walks: walk::Walks::default(),
            facts: facts::Facts::default(),
            warmth: warm::Warmth::default(),
            chores: forget::Chores::default(),
            queue: queue::Queue::default(),
            unsettled: Notify::new(),
            used: Notify::new(),
            acts: write::Acts::default(),
            witness: trail::Witness::new(parts.records),
            erasing: tokio::sync::Mutex::default(),
            unfinished: AtomicBool::new(unfinished),
            copies: parts.copies,
            leaving: RwLock::new(()),
            store_trouble: Mutex::new(None),
        });
        engine.settle_handles().await?;
        Ok(engine)
    }

    /// The settings as they are now.
    fn policy(&self) -> Arc<Policy> {
        self.policy.get()
    }

    /// Takes other settings. What answers are made of stays until a restart: the cloud, the original's shapes, the kind of ids. Calls under way
    /// end as they have begun.
    pub fn reconfigure(&self, policy: Policy) {
        let now = self.policy();
        let anew = policy.warming.operations != now.warming.operations;
        self.policy.set(Policy { cloud: now.cloud.clone(), compat: now.compat, short_ids: now.short_ids, ..policy });
        self.accounts.name(self.policy().accounts.clone());
        self.warming_changed(anew);
        self.limits.changed();
    }

    /// Answers one call.
    ///
    /// # Errors
    ///
    /// Every error says who has to act and what to do: see [`CallError`].
    pub async fn call(self: &Arc<Self>, caller: &Caller, name: &str, given: &Map<String, Value>) -> Result<Answer, CallError> {
        self.answered(caller, name, given).await.map(|answer| self.shaped(name, answer))
    }

    /// The answer in the shape that was configured: ours with a fence around what others wrote.
    fn shaped(&self, name: &str, answer: Answer) -> Answer {
        if self.policy().compat { answer.as_original(name) } else { answer.fenced(|| self.dice.hex(3)) }
    }

    /// The arguments of a call, checked, with the defaults that were configured.
    fn arguments(&self, tool: &'static Tool, given: &Map<String, Value>) -> Result<Args, ArgError> {
        let original = if self.policy().compat { tools::with_original_limit(tool.name, given) } else { None };
        let given = original.as_ref().unwrap_or(given);
        match self.accounts.default().filter(|_| tool.lacks_account(given)) {
            Some(default) => {
                let mut meant = given.clone();
                meant.insert(tools::ACCOUNT_ID.into(), default.into());
                self.checked(tool, &meant)
            }
            None => self.checked(tool, given),
        }
    }

    /// The same for a call that is about to be made: where nobody is signed in, that is what stands against it, and no argument would help.
    fn wanted(&self, tool: &'static Tool, given: &Map<String, Value>) -> Result<Args, CallError> {
        if tool.lacks_account(given) && self.accounts.is_empty() {
            return Err(CallError::UnknownAccount { any: false });
        }
        Ok(self.arguments(tool, given)?)
    }

    /// The account of a call.
    fn account_of(&self, tool: &Tool, given: &Map<String, Value>, args: &Args) -> Result<Arc<AccountRow>, CallError> {
        self.accounts.find(args.text(tools::ACCOUNT_ID).unwrap_or_default()).map_err(|error| match error {
            CallError::UnknownAccount { any: true } if tool.lacks_account(given) => CallError::UnknownDefault,
            error => error,
        })
    }

    async fn answered(self: &Arc<Self>, caller: &Caller, name: &str, given: &Map<String, Value>) -> Result<Answer, CallError> {
        let tool = find(name)?;
        let mut args = self.wanted(tool, given)?;
        self.fenced(caller, tool, &mut args)?;
        if let Effect::Local = tool.effect {
            return self.local(caller, tool, args).await;
        }
        let account = self.account_of(tool, given, &args)?;
        let args = self.resolved(tool, &account.id, args).await?;
        let call = self.begin(tool, args, account).by(self.counters.client(&caller.client)).asked_by(caller);
        match tool.effect {
            Effect::Read { .. } => {
                let sight = self.sight(&call);
                let result = self.read(call).await;
                self.saw(sight, result.as_ref());
                result
            }
            Effect::Write { .. } if self.paused().is_some() => Err(CallError::Paused),
            Effect::Write { .. } => self.write(caller, call).await,
            Effect::Local => Err(CallError::Broken),
        }
    }

    /// The answer to a cached read from memory, when it is there and fresh. Does not wait for anything.
    pub fn peek(&self, caller: &Caller, name: &str, given: &Map<String, Value>) -> Option<Answer> {
        let call = self.cached_read(name, given)?.within(caller)?.by(self.counters.client(&caller.client));
        let key = self.key(&call)?;
        let answer = self.peek_hot(&call, &key)?;
        self.saw_hit(&call, &key, &answer);
        Some(self.shaped(name, answer))
    }

    /// The answer to a cached read from memory or the store, fresh or stale, without asking Microsoft; a stale one is refreshed afterwards.
    pub async fn lookup(self: &Arc<Self>, caller: &Caller, name: &str, given: &Map<String, Value>) -> Option<Answer> {
        let call = self.cached_read(name, given)?.within(caller)?.by(self.counters.client(&caller.client)).asked_by(caller);
        let key = self.key(&call)?;
        let answer = self.stored(&call, &key).await?;
        self.saw_hit(&call, &key, &answer);
        Some(self.shaped(name, answer))
    }

    /// A call that may be answered from the cache; everything else, errors too, takes the long way.
    fn cached_read(&self, name: &str, given: &Map<String, Value>) -> Option<Call> {
        let tool = find(name).ok()?;
        let Effect::Read { ttl: Ok(_), .. } = tool.effect else { return None };
        let args = self.arguments(tool, given).ok()?;
        if !args.flag("use_cache") || args.flag("force_refresh") || args.text(cursor::ARGUMENT).is_some() {
            return None;
        }
        let account = self.accounts.find(args.text("account_id")?).ok()?;
        let args = self.resolved_now(tool, &account.id, args)?;
        self.caching(tool, &account).then(|| self.begin(tool, args, account))
    }

    /// A call that somebody waits for. The clock is read here, once.
    fn begin(&self, tool: &'static Tool, args: Args, account: Arc<AccountRow>) -> Call {
        let who = stats::Who::nobody();
        let (now, urgency) = (self.clock.now(), Urgency::Foreground.into());
        let mut call = Call { tool, args, account, mailbox: None, now, urgency, who, checks: 0, stop: None, caller: None };
        Self::own_mailbox(&mut call);
        call
    }

    /// Whether answers of `tool` for `account` may be read from and written to the cache.
    fn caching(&self, tool: &Tool, account: &AccountRow) -> bool {
        let policy = self.policy();
        let by_tool = policy.tools.get(tool.name).is_none_or(|policy| policy.caching);
        let named = |name: &String| *name == account.username.to_lowercase() || name == account.id.as_str();
        policy.caching && by_tool && !policy.uncached_accounts.iter().any(named)
    }

    /// The times of `tool`: configured, or the catalogue's.
    fn ttl(&self, tool: &Tool) -> Option<Ttl> {
        let Effect::Read { ttl, .. } = tool.effect else { return None };
        let ttl = ttl.ok()?;
        Some(self.policy().tools.get(tool.name).and_then(|policy| policy.ttl).unwrap_or(ttl))
    }

    /// The times of `call`: those of its tool, within the age it asked for.
    fn ttl_for(&self, call: &Call) -> Option<Ttl> {
        let ttl = self.ttl(call.tool)?;
        let within = call.args.number(tools::MAX_AGE).and_then(|seconds| u64::try_from(seconds).ok()).map(Duration::from_secs);
        Some(match within {
            Some(age) => Ttl { fresh: ttl.fresh.min(age), stale: ttl.stale.min(age), ..ttl },
            None => ttl,
        })
    }

    /// The name of the entry that answers `call`.
    fn key(&self, call: &Call) -> Option<CacheKey> {
        matches!(call.tool.effect, Effect::Read { ttl: Ok(_), .. })
            .then(|| CacheKey::new(call.tool.name, call.account.id.clone(), call.args.shaping()))
    }

    fn mode(call: &Call) -> Mode {
        if call.args.flag("force_refresh") { Mode::ForceRefresh } else { Mode::Normal }
    }

    /// Remembers whether the store does its work, for status; a change is logged once.
    fn note_store(&self, trouble: Option<&StoreError>) {
        if matches!(trouble, Some(StoreError::Closed)) {
            // The daemon is on its way out.
            return;
        }
        let trouble = trouble.map(ToString::to_string);
        let mut known = self.store_trouble.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if *known != trouble {
            match &trouble {
                Some(trouble) => tracing::warn!(%trouble, "the store does not do its work: answers are fetched and not kept"),
                None => tracing::info!("the store works again"),
            }
            *known = trouble;
        }
    }

    /// Whether a write is under way, also one that nobody waits for any more.
    pub fn is_writing(&self) -> bool {
        self.acts.is_one_running()
    }

    /// Gives running tasks back, lets acts under way finish and writes buffered uses, counts and records; afterwards nothing of the engine runs.
    pub async fn shutdown(&self) {
        self.release_tasks().await;
        self.acts.drain().await;
        self.flush_uses().await;
        self.flush_counts().await;
        self.flush_trail().await;
    }

    /// The audit trail, and the rights of the person whose data it is.
    fn records(&self) -> Arc<dyn Records> {
        self.witness.records()
    }
}

fn find(name: &str) -> Result<&'static Tool, CallError> {
    Ok(tools::find(name)?)
}
