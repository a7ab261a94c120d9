//! The library's engine as the services see it: built from settings, and translated into [`Core`]'s plain types.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use async_trait::async_trait;
use futures_util::{
    FutureExt, StreamExt as _,
    stream::{self, BoxStream},
};
use m365_cached::{
    audit::{Event, Kind as AuditKind, Point, Report},
    auth::{AuthError, Http, Identity, IdentitySettings, Keeper, Logins, TokenPort, TokenState},
    cache::{Bounds, RoomLimits},
    config::Config,
    engine::{
        self, AccountNames, AuditPolicy, Change, Content, ContentOf, Engine, Erased, Exclusions, GraphRemote, LoginStart, Operation, Piece,
        Policy, Stats, ToolPolicy, WantedBytes, Warming,
    },
    graph::{self, Budget},
    hint::Kind,
    ids::{AccountId, Caller},
    live::Live,
    secret::Secret,
    store::{Copies, DoubtMark, Entries, HotTier, Ledger, Records, Room},
    tools,
    transfer::{self, Transfer},
    worker,
};
use m365_cached_proto::fault::login_command;
use serde_json::{Map, Value};
use tokio::sync::broadcast;

use crate::{
    compliance::Facts,
    core::{
        AccountState, Answer, CacheStats, Consent, Core, CoreStatus, GraphState, Invalidate, LoginFlow, LoginOptions, LoginStep, Probed,
        Problem, QueueState, StatsQuestion, StoreState, WarmFlow, WarmState, WarmingState, Warning,
    },
    parts::Opened,
    records::{AuditQuestion, AuditStream},
    room,
};

/// A running engine with its background tasks.
pub(crate) struct Running {
    engine: Arc<Engine>,
    backend: &'static str,
    path: PathBuf,
    background: Vec<tokio::task::AbortHandle>,
    close: Box<dyn Fn() + Send + Sync>,
    facts: Live<Facts>,
    key: &'static str,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.background.iter().for_each(tokio::task::AbortHandle::abort);
    }
}

/// What the rest of the daemon calls the engine's errors.
fn problem(error: &engine::CallError) -> Problem {
    let consent = match error {
        engine::CallError::Unconfirmed(asked) => {
            Some(Box::new(Consent { preview: asked.preview.clone(), argument: asked.argument.into(), value: asked.value.clone() }))
        }
        _ => None,
    };
    Problem { consent, ..Problem::of(error) }
}

/// Tokens sleep in the ledger, sealed under their account's key.
struct LedgerTokens(Arc<dyn Ledger>);

#[async_trait]
impl TokenPort for LedgerTokens {
    async fn load(&self, account: &AccountId) -> Result<Option<Secret<Vec<u8>>>, AuthError> {
        self.0.tokens(account).await.map_err(|error| AuthError::not_loaded(&error))
    }

    async fn save(&self, account: &AccountId, record: Secret<Vec<u8>>) -> Result<(), AuthError> {
        self.0.save_tokens(account, record).await.map_err(|error| AuthError::not_saved(&error))
    }
}

/// An opened store.
pub(crate) struct Store {
    /// Where answers are kept.
    pub(crate) entries: Arc<dyn Entries>,
    /// The same, to be cleaned up.
    pub(crate) room: Arc<dyn Room>,
    /// What must be remembered exactly.
    pub(crate) ledger: Arc<dyn Ledger>,
    /// The audit trail and the rights of the person.
    pub(crate) records: Arc<dyn Records>,
    /// `sqlcipher` or `memory`.
    pub(crate) backend: &'static str,
    /// The file.
    pub(crate) path: PathBuf,
    /// The mark of writes that it could not record; none for a store that ends with the process.
    pub(crate) doubt: Option<DoubtMark>,
    /// Sealed copies of what was imported; none where nothing can be.
    pub(crate) copies: Option<Copies>,
    /// Closes it for good.
    pub(crate) close: Box<dyn Fn() + Send + Sync>,
}

/// Builds the engine over an opened store and starts its background tasks.
pub(crate) async fn start(opened: &Opened<'_>, store: Store) -> Result<Arc<dyn Core>, Problem> {
    let config = opened.config;
    let (clock, dice) = (Arc::clone(&opened.clock), Arc::clone(&opened.dice));
    let http = || Http::new(opened.network.cloud.clone(), opened.network.http.clone()).paused_by(Arc::clone(&opened.pause));
    let (http, files) = (Arc::new(http()), http());
    let identity = Arc::new(Identity::new(Arc::clone(&http), identity_settings(config), Arc::clone(&clock)));
    let tokens = Arc::new(LedgerTokens(Arc::clone(&store.ledger)));
    let keeper = Keeper::new(Arc::clone(&identity), tokens, Arc::clone(&clock), Arc::clone(&dice));
    let logins = Logins::new(identity, Arc::clone(&clock), Arc::clone(&dice));
    let concurrency = usize::try_from(config.graph.concurrency).unwrap_or(graph::OUTLOOK_LIMIT);
    let client = Arc::new(graph::Client::new(
        http,
        Arc::<Keeper>::clone(&keeper),
        graph::Settings { request_timeout: config.graph.request_timeout },
        Budget::new(Arc::clone(&clock), concurrency),
        Arc::clone(&clock),
        Arc::clone(&dice),
    ));
    // Hosts of files have a client of their own, which no token reaches.
    let bare = graph::Bare::new(files);
    let roots = transfer::Roots::new(crate::parts::allowed_roots(config, opened.profile), Arc::clone(&dice));
    let settings = transfer_settings(config);
    let transfer = Arc::new(Transfer::new(Arc::clone(&client), bare, roots, settings, Arc::clone(&clock), Arc::clone(&dice)));
    let parts = engine::Parts {
        entries: store.entries,
        room: Some(store.room),
        ledger: store.ledger,
        records: store.records,
        hot: HotTier::new(config.cache.hot_bytes),
        remote: Arc::new(GraphRemote::new(Arc::clone(&client), transfer, Arc::clone(&clock))),
        graph: Some(client),
        logins,
        keeper,
        clock,
        dice,
        doubt: store.doubt,
        copies: store.copies,
        policy: whole_policy(config)?,
    };
    let engine = Engine::start(parts).await.map_err(|error| problem(&error))?;
    #[cfg(feature = "sqlcipher")]
    crate::notes::take_in(&engine, &store.path).await;
    let mut background: Vec<_> = (0..config.workers).map(|_| tokio::spawn(worker::run(Arc::clone(&engine))).abort_handle()).collect();
    background.extend([
        tokio::spawn(worker::warm(Arc::clone(&engine))).abort_handle(),
        tokio::spawn(worker::flush(Arc::clone(&engine))).abort_handle(),
        tokio::spawn(worker::count(Arc::clone(&engine))).abort_handle(),
        tokio::spawn(worker::witness(Arc::clone(&engine))).abort_handle(),
        tokio::spawn(worker::tidy(Arc::clone(&engine))).abort_handle(),
        tokio::spawn(worker::clean(Arc::clone(&engine))).abort_handle(),
        tokio::spawn(worker::sweep(Arc::clone(&engine))).abort_handle(),
        tokio::spawn(Arc::clone(&engine).settle_for_ever()).abort_handle(),
    ]);
    let (facts, key) = (Live::new(Facts::of(config, opened.key)), opened.key);
    Ok(Arc::new(Running { engine, backend: store.backend, path: store.path, background, close: store.close, facts, key }))
}

pub(crate) fn transfer_settings(config: &Config) -> transfer::Settings {
    transfer::Settings { idle: config.files.idle, total: config.files.deadline, most: config.files.download_max_mb << 20 }
}

pub(crate) fn identity_settings(config: &Config) -> IdentitySettings {
    let usual = IdentitySettings::default();
    IdentitySettings { client_id: config.client_id.clone(), tenant: config.tenant.clone().unwrap_or(usual.tenant), scopes: usual.scopes }
}

/// Everything that the engine is told, checked.
pub(crate) fn whole_policy(config: &Config) -> Result<Policy, Problem> {
    Ok(Policy { warming: warming(config)?, ..policy(config) })
}

pub(crate) fn policy(config: &Config) -> Policy {
    let tools: BTreeMap<String, ToolPolicy> = config
        .cache
        .tools
        .iter()
        .map(|(name, given)| {
            let own = tools::find(name).ok().and_then(|tool| match tool.effect {
                tools::Effect::Read { ttl, .. } => ttl.ok(),
                _ => None,
            });
            let ttl = own.map(|mut ttl| {
                ttl.fresh = given.fresh.unwrap_or(ttl.fresh);
                // A longer fresh time than the stale one means that nothing is ever stale.
                ttl.stale = given.stale.unwrap_or(ttl.stale).max(ttl.fresh);
                ttl.if_error = given.if_error.unwrap_or(ttl.if_error);
                ttl
            });
            (name.clone(), ToolPolicy { caching: given.enabled.unwrap_or(true), ttl })
        })
        .collect();
    let uncached = config.cache.accounts.iter().filter(|(_, cached)| !**cached);
    let uncached_accounts = uncached.map(|(name, _)| config.accounts.behind(name).to_lowercase()).collect();
    Policy {
        caching: config.cache.enabled,
        tools,
        uncached_accounts,
        deadline: config.graph.call_deadline,
        unsettled: config.cache.unsettled,
        room: RoomLimits {
            bytes: config.cache.max_bytes,
            account_entries: config.cache.max_entries_per_account,
            account_bytes: (config.cache.max_bytes_per_account > 0).then_some(config.cache.max_bytes_per_account),
            clean_from: config.cache.clean_from,
            // One that ends above its beginning would never end.
            clean_to: config.cache.clean_to.min(config.cache.clean_from),
        },
        bounds: Bounds { per_source: config.cache.rows_per_source, total: config.cache.rows },
        cloud: config.cloud.name.clone(),
        device: config.device,
        compat: config.compat,
        short_ids: config.short_ids,
        strict: config.strict,
        warming: Warming::default(),
        exclude: Exclusions { folders: config.cache.exclude_folders.clone(), senders: config.cache.exclude_senders.clone() },
        audit: AuditPolicy { reads: config.audit.reads, keep: config.audit.keep },
        accounts: names(config),
    }
}

/// What people have named of the accounts.
fn names(config: &Config) -> AccountNames {
    AccountNames {
        aliases: config.accounts.aliases.iter().map(|(username, alias)| (alias.clone(), username.clone())).collect(),
        default: config.accounts.default.as_ref().map(|name| config.accounts.behind(name).to_owned()),
    }
}

/// What is to be called ahead of use, checked.
pub(crate) fn warming(config: &Config) -> Result<Warming, Problem> {
    let enabled = config.warming.operations.iter().filter(|(_, operation)| operation.enabled);
    let operations: Vec<Operation> = enabled
        .map(|(tool, given)| Operation {
            tool: tool.clone(),
            args: given.parameters.clone(),
            priority: given.priority,
            throttle: given.throttle,
        })
        .collect();
    for operation in &operations {
        operation.check().map_err(|why| {
            let message = format!("`warming.operations.{}` cannot be done: {why}", operation.tool);
            Problem::new(Kind::Config, "warming", message, "Correct its `parameters`, or set its `enabled` to false.")
        })?;
    }
    Ok(Warming { enabled: config.warming.enabled, operations, renewals: config.warming.renewals })
}

fn answer(answer: &engine::Answer) -> Answer {
    Answer { pieces: answer.pieces(), status: answer.status }
}

fn account(account: &engine::Account) -> AccountState {
    let (signed_in, expires) = match &account.token {
        TokenState::Unread => (true, 0),
        TokenState::Held { expires } => (true, u64::try_from(expires.0).unwrap_or(0)),
        TokenState::SignInRequired(_) => (false, 0),
    };
    AccountState {
        id: account.row.id.to_string(),
        username: account.row.username.clone(),
        display_name: account.row.display_name.clone(),
        tenant_id: account.row.tenant_id.clone(),
        personal: account.account_type() == "personal",
        signed_in,
        access_token_expires_ms: expires,
        caching: account.caching,
        alias: account.alias.clone(),
        default: account.default,
        permissions: None,
    }
}

/// The account, and what its sign-in has come to.
async fn with_permissions(engine: &Engine, known: &engine::Account) -> AccountState {
    AccountState { permissions: engine.permissions(&known.row.id).await, ..account(known) }
}

#[async_trait]
impl crate::records::Records for Running {
    async fn audit(&self, asked: AuditQuestion) -> Result<AuditStream, Problem> {
        crate::records::audit(&self.engine, asked).await
    }

    async fn verify_audit(&self, noted: Option<Point>) -> Result<Report, Problem> {
        self.engine.verify_trail(noted).await.map_err(|error| problem(&error))
    }

    async fn export(&self, account: &str, caller: &Caller) -> Result<BoxStream<'static, Result<Piece, Problem>>, Problem> {
        crate::records::export(&self.engine, account, caller).await
    }

    async fn erase(&self, account: &str, caller: &Caller) -> Result<Erased, Problem> {
        self.engine.erase(account, caller).await.map_err(|error| problem(&error))
    }

    async fn record_key(&self, outcome: &'static str) {
        self.engine.record(Event::new(AuditKind::Key, self.engine.now()).ended(outcome)).await;
    }

    async fn compliance(&self) -> Result<Value, Problem> {
        crate::compliance::report(&self.engine, &self.facts.get(), self.backend).await.map_err(|error| problem(&error))
    }
}

#[async_trait]
impl Core for Running {
    fn peek(&self, caller: &Caller, tool: &str, args: &Map<String, Value>) -> Option<Answer> {
        self.engine.peek(caller, tool, args).as_ref().map(answer)
    }

    async fn lookup(&self, caller: &Caller, tool: &str, args: &Map<String, Value>) -> Option<Answer> {
        self.engine.lookup(caller, tool, args).await.as_ref().map(answer)
    }

    async fn call(&self, caller: &Caller, tool: &str, args: &Map<String, Value>) -> Result<Answer, Problem> {
        self.engine.call(caller, tool, args).await.as_ref().map(answer).map_err(problem)
    }

    async fn content(&self, caller: &Caller, account: &str, of: &ContentOf, wanted: WantedBytes) -> Result<Content, Problem> {
        self.engine.content(caller, account, of, wanted).await.map_err(|error| problem(&error))
    }

    async fn graph_id(&self, account: &str, text: &str) -> Result<String, Problem> {
        self.engine.graph_id(account, text).await.map_err(|error| problem(&error))
    }

    fn changes(&self) -> broadcast::Receiver<Change> {
        self.engine.changes()
    }

    async fn rehearse(&self, tool: &str, args: &Map<String, Value>) -> Result<Answer, Problem> {
        self.engine.rehearse(tool, args).await.as_ref().map(answer).map_err(problem)
    }

    async fn status(&self) -> CoreStatus {
        let status = self.engine.status().await;
        let sizes = status.store.unwrap_or_default();
        let mut warnings = Vec::new();
        if let Some(trouble) = status.store_trouble.or_else(|| status.health.detail.clone()) {
            warnings.push(Warning {
                code: "store_unusable".into(),
                message: format!("the store does not do its work: {trouble}; answers are fetched and not kept"),
                hint: "Look at the disk that holds the profile, and at the daemon's log.".into(),
            });
        }
        if status.health.damaged > 0 {
            warnings.push(Warning {
                code: "damaged_entries".into(),
                message: format!("{} stored answers were damaged; they were dropped and fetched again", status.health.damaged),
                hint: "Check the disk; nothing wrong was served.".into(),
            });
        }
        if status.health.low_disk {
            let free = status.health.free_bytes.unwrap_or_default() >> 20;
            warnings.push(Warning {
                code: "low_disk".into(),
                message: format!("only {free} MB are free on the disk that holds the profile: answers are fetched and not kept"),
                hint: "Free some space on that disk, or set a smaller `cache.min_free_bytes`.".into(),
            });
        }
        warnings.extend(status.room.as_ref().and_then(room::warning));
        if status.totals_corrected > 0 {
            warnings.push(Warning {
                code: "totals_corrected".into(),
                message: format!("{} running totals of the store did not match and were corrected", status.totals_corrected),
                hint: "Check the disk if it happens again.".into(),
            });
        }
        if status.in_doubt > 0 {
            warnings.push(Warning {
                code: "writes_unrecorded".into(),
                message: "a write could not be recorded, so nothing stored of its mailbox or drive is served for now".into(),
                hint: "Look at the disk that holds the profile, and at the daemon's log.".into(),
            });
        }
        let accounts: Vec<AccountState> = self.engine.accounts().iter().map(account).collect();
        for lost in accounts.iter().filter(|account| !account.signed_in) {
            warnings.push(Warning {
                code: "sign_in_required".into(),
                message: format!("the account {} has to sign in again", lost.username),
                hint: format!("Run `{}`.", login_command(&lost.username, lost.personal)),
            });
        }
        if self.engine.lacks_default() {
            warnings.push(Warning {
                code: "default_account".into(),
                message: "the account that `accounts.default` names is not signed in, or not alone under that name: calls that name none are refused"
                    .into(),
                hint: "Sign in to it, or `m365-cachectl accounts default NAME`; `m365-cachectl accounts` shows who is there.".into(),
            });
        }
        for folder in self.engine.unknown_exclusions().await {
            warnings.push(Warning {
                code: "excluded_folder_unknown".into(),
                message: format!(
                    "`cache.exclude_folders` names {folder}, and no folder is known by that handle (any more): no mail is kept"
                ),
                hint: "Name it as `emailfolders_list` shows it now, or by its well-known name.".into(),
            });
        }
        let graph = status.graph.map(|gauges| GraphState {
            breaker: gauges.breaker.as_str().into(),
            requests: gauges.requests,
            failures: gauges.failures,
            throttled: gauges.throttled,
            in_flight: u32::try_from(gauges.budget.in_flight).unwrap_or(u32::MAX),
            waiting: u32::try_from(gauges.budget.waiting).unwrap_or(u32::MAX),
            per_mailbox: u32::try_from(status.per_mailbox).unwrap_or(u32::MAX),
            lanes: status.lanes,
        });
        CoreStatus {
            store: StoreState {
                backend: self.backend.into(),
                path: self.path.display().to_string(),
                healthy: status.health.healthy,
                schema: status.health.schema,
                entries: sizes.entries,
                raw_bytes: sizes.raw_bytes,
                stored_bytes: sizes.stored_bytes,
                file_bytes: status.health.file_bytes,
                hot_entries: u64::try_from(status.hot_entries).unwrap_or(u64::MAX),
                hot_bytes: status.hot_bytes,
                free_disk_bytes: status.health.free_bytes,
                room: status.room.as_ref().map(room::state),
            },
            accounts,
            graph: graph.unwrap_or_default(),
            warming: WarmingState {
                enabled: status.warming.enabled,
                running: status.warming.running,
                total: status.warming.total,
                done: status.warming.done,
                failed: status.warming.failed,
            },
            queue: QueueState { queued: status.tasks.queued, running: status.tasks.running, failed: status.tasks.failed },
            warnings,
        }
    }

    fn account_named(&self, name: &str) -> Option<AccountId> {
        self.engine.account_id(name).ok()
    }

    async fn accounts(&self) -> Result<Vec<AccountState>, Problem> {
        let mut all = Vec::new();
        for one in self.engine.accounts() {
            all.push(with_permissions(&self.engine, &one).await);
        }
        Ok(all)
    }

    async fn login(&self, options: LoginOptions) -> Result<LoginFlow, Problem> {
        // The sign-in page knows no alias of ours.
        let known =
            |name: &String| self.engine.accounts().into_iter().find(|account| account.alias.as_deref() == Some(&name.to_lowercase()));
        let username = options.username.map(|name| known(&name).map_or(name, |account| account.row.username.clone()));
        let start = LoginStart { device: options.device, personal: options.personal, username };
        let flow = self.engine.login(start).await.map_err(|error| Problem::of(&error))?;
        let step = match (flow.device, flow.url) {
            (Some(device), _) => LoginStep::DeviceCode {
                user_code: device.user_code,
                verification_uri: device.verification_uri,
                message: device.message,
                expires_in_s: device.expires_in.as_secs(),
            },
            (None, Some(url)) => LoginStep::OpenUrl(url),
            (None, None) => {
                return Err(Problem::new(
                    Kind::Internal,
                    "no_prompt",
                    "the sign-in has nothing to show",
                    "Run `m365-cachectl login` again; if it stays, report it.",
                ));
            }
        };
        let cancel = Cancel { engine: Arc::clone(&self.engine), handle: flow.handle };
        let done = async move {
            let row = cancel.engine.wait_login(&cancel.handle).await.map_err(|error| Problem::of(&error))?;
            let known = cancel.engine.accounts();
            let known = known.iter().find(|known| known.row.id == row.id);
            let known = known
                .ok_or_else(|| Problem::new(Kind::SignIn, "signed_out", "the account was signed out again meanwhile", "Sign in again."))?;
            Ok(with_permissions(&cancel.engine, known).await)
        };
        Ok(LoginFlow { step, done: done.boxed() })
    }

    async fn logout(&self, name: &str) -> Result<(AccountState, u64), Problem> {
        let before = self.engine.accounts();
        let (row, entries) = self.engine.logout(name, &crate::service::person()).await.map_err(|error| problem(&error))?;
        let gone = before.iter().find(|known| known.row.id == row.id).map(account).unwrap_or_default();
        Ok((AccountState { signed_in: false, access_token_expires_ms: 0, ..gone }, entries))
    }

    async fn stats(&self, asked: StatsQuestion) -> Result<CacheStats, Problem> {
        crate::statistics::read(&self.engine, asked).await.map_err(|error| problem(&error))
    }

    fn counters(&self) -> Stats {
        self.engine.stats()
    }

    async fn invalidate(&self, what: Invalidate) -> Result<u64, Problem> {
        let account = match &what.account {
            None => None,
            Some(name) => Some(self.engine.account_id(name).map_err(|error| problem(&error))?),
        };
        let invalidated = self.engine.invalidate(&what.pattern, account, what.reason, &what.caller).await;
        invalidated.map(|(_, deleted)| deleted).map_err(|error| problem(&error))
    }

    async fn cancel_task(&self, id: &str) -> Result<Answer, Problem> {
        self.engine.cancel_task(id).await.as_ref().map(answer).map_err(problem)
    }

    async fn warm(&self, account: Option<&str>) -> Result<WarmFlow, Problem> {
        // From before it begins, so that no change is missed.
        let mut moves = self.engine.warming_moves();
        let accounts = self.engine.warm_up(account).await.map_err(|error| problem(&error))?;
        moves.mark_unchanged();
        let (engine, up) = (Arc::clone(&self.engine), self.engine.warmed_up(&accounts));
        let now = WarmState { up, ended: up.ended() };
        let later = stream::unfold((now, moves), move |(last, mut moves)| {
            let (engine, accounts) = (Arc::clone(&engine), accounts.clone());
            async move {
                if last.ended || moves.changed().await.is_err() {
                    return None;
                }
                let up = engine.warmed_up(&accounts);
                // All of them have signed out.
                let next = if up.total == 0 { WarmState { ended: true, ..last } } else { WarmState { up, ended: up.ended() } };
                Some((next, (next, moves)))
            }
        });
        Ok(WarmFlow { now, later: later.boxed() })
    }

    fn pause_changed(&self) {
        self.engine.pause_changed();
    }

    fn reconfigure(&self, config: &Config) -> Result<(), Problem> {
        self.engine.reconfigure(whole_policy(config)?);
        self.facts.set(Facts::of(config, self.key));
        Ok(())
    }

    async fn probe(&self) -> Vec<Probed> {
        let probed = self.engine.probe().await.into_iter().map(|one| Probed {
            account: AccountState { permissions: one.permissions, ..account(&one.account) },
            problem: one.error.map(|error| Problem::of(&error)),
        });
        probed.collect()
    }

    fn is_writing(&self) -> bool {
        self.engine.is_writing()
    }

    async fn quiet(&self) {
        self.engine.release_tasks().await;
    }

    async fn shutdown(&self) {
        self.engine.shutdown().await;
        self.background.iter().for_each(tokio::task::AbortHandle::abort);
        (self.close)();
    }
}

/// Gives a sign-in up for the one who has begun it and does not wait any more.
struct Cancel {
    engine: Arc<Engine>,
    handle: String,
}

impl Drop for Cancel {
    fn drop(&mut self) {
        self.engine.cancel_login(&self.handle);
    }
}
