//! For tests: an engine that does as it is told, and a daemon on a real socket in a folder of its own.

use std::{
    future::Future,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use m365_cached::{
    cache::Escaped,
    clock::{ManualClock, Timestamp},
    config::Config,
    engine::{Change, Content, ContentOf, Stats, WantedBytes, WarmUp},
    hint::Kind,
    ids::{AccountId, Caller, ToolProfile},
    store::{Counts, GroupStats},
};
use m365_cached_proto::{
    PROTOCOL_VERSION,
    dirs::Profile,
    endpoint::mcp_client,
    v1::{ClientFrame, Hello, ServerFrame, client_frame, server_frame},
};
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use tokio::{
    sync::{Notify, mpsc, oneshot},
    task::JoinHandle,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Streaming, transport::Channel};

use crate::{
    core::*,
    daemon::Daemon,
    instance::Instance,
    listener::Listener,
    manager::Manager,
    parts::{Parts, ProfileInfo},
    run,
};

/// Longest that anything here may take: only a broken test waits for it.
const DEADLINE: Duration = Duration::from_secs(20);

/// Bytes of the answer that is stored for `large`.
pub(crate) const LARGE: usize = 10_000;

/// Waits for what must come.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, what).await {
        Ok(value) => value,
        Err(_) => panic!("it did not come within {DEADLINE:?}"),
    }
}

/// An engine that does as it is told.
#[derive(Default)]
pub(crate) struct FakeCore {
    /// Rings when a call of `hold`, or a look-up of `look` or `look_in_vain`, has begun.
    pub(crate) held: Notify,
    /// Lets one of them go.
    pub(crate) release: Notify,
    /// Rings when a sign-in was given up by its caller.
    pub(crate) given_up: Arc<Notify>,
    /// Lets a sign-in succeed.
    pub(crate) sign_in: Arc<Notify>,
    pub(crate) calls: AtomicU64,
    pub(crate) shut: AtomicBool,
    /// A write is under way.
    pub(crate) writing: AtomicBool,
    /// The store answers nobody any more.
    pub(crate) stuck: AtomicBool,
    /// The settings that a reload has brought.
    pub(crate) taken: Mutex<Option<Config>>,
    /// Where changes are told.
    pub(crate) changes: Changes,
}

/// A place where changes are told.
pub(crate) struct Changes(tokio::sync::broadcast::Sender<Change>);

impl Default for Changes {
    fn default() -> Self {
        Self(tokio::sync::broadcast::Sender::new(16))
    }
}

impl std::ops::Deref for Changes {
    type Target = tokio::sync::broadcast::Sender<Change>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

/// Rings when dropped.
struct Bell(Option<Arc<Notify>>);

impl Drop for Bell {
    fn drop(&mut self) {
        if let Some(bell) = &self.0 {
            bell.notify_one();
        }
    }
}

pub(crate) fn ada() -> AccountState {
    AccountState { id: "1.2".into(), username: "ada@contoso.example".into(), signed_in: true, caching: true, ..AccountState::default() }
}

#[async_trait]
impl crate::records::Records for FakeCore {
    async fn audit(&self, asked: crate::records::AuditQuestion) -> Result<crate::records::AuditStream, Problem> {
        use futures_util::StreamExt as _;
        let record = move |seq| Ok(json!({ "seq": seq, "kinds": asked.kinds }));
        let records = futures_util::stream::iter((1..=asked.limit.max(1)).map(record));
        Ok(if asked.follow { records.chain(futures_util::stream::pending()).boxed() } else { records.boxed() })
    }

    async fn verify_audit(&self, noted: Option<m365_cached::audit::Point>) -> Result<m365_cached::audit::Report, Problem> {
        Ok(m365_cached::audit::Report { head: noted.unwrap_or_default(), ..m365_cached::audit::Report::default() })
    }

    async fn export(
        &self,
        account: &str,
        _caller: &Caller,
    ) -> Result<futures_util::stream::BoxStream<'static, Result<m365_cached::engine::Piece, Problem>>, Problem> {
        let piece = m365_cached::engine::Piece { section: "account", value: account.into() };
        Ok(Box::pin(futures_util::stream::iter([Ok(piece)])))
    }

    async fn erase(&self, account: &str, _caller: &Caller) -> Result<m365_cached::engine::Erased, Problem> {
        let account = AccountId::new(account);
        Ok(m365_cached::engine::Erased { account, entries: 2, copies: 0, left: [("entries", 0)].into() })
    }

    async fn record_key(&self, _outcome: &'static str) {}

    async fn compliance(&self) -> Result<Value, Problem> {
        Ok(json!({ "holds": true }))
    }
}

#[async_trait]
impl Core for FakeCore {
    fn peek(&self, _caller: &Caller, _tool: &str, _args: &Map<String, Value>) -> Option<Answer> {
        None
    }

    async fn lookup(&self, _caller: &Caller, tool: &str, _args: &Map<String, Value>) -> Option<Answer> {
        let text = match tool {
            "look" | "look_in_vain" => {
                self.held.notify_one();
                self.release.notified().await;
                (tool == "look").then(|| "{}".to_owned())
            }
            "large" => {
                tokio::task::yield_now().await;
                Some("x".repeat(LARGE))
            }
            _ => None,
        };
        text.map(|text| Answer { pieces: vec![Escaped::from_text(&text)], status: None })
    }

    async fn call(&self, caller: &Caller, tool: &str, args: &Map<String, Value>) -> Result<Answer, Problem> {
        assert!(!self.shut.load(Ordering::SeqCst), "a call came after the end");
        match tool {
            "hold" => {
                self.held.notify_one();
                self.release.notified().await;
            }
            "ask" if args.get("confirm").is_none_or(|given| *given != true) => {
                let preview = json!({ "tool": tool, "title": "Ask", "risk": "dangerous", "arguments": args });
                let consent = Consent { preview, argument: "confirm".into(), value: true.into() };
                let problem = Problem::new(Kind::User, "confirmation_required", "Somebody has to agree.", "Say confirm=true.");
                return Err(Problem { consent: Some(Box::new(consent)), ..problem });
            }
            "fail" => return Err(Problem::new(Kind::Throttled, "throttled", "Slow down.", "Wait.")),
            _ => {}
        }
        self.calls.fetch_add(1, Ordering::SeqCst);
        let text = json!({ "tool": tool, "args": args, "client": caller.client }).to_string();
        let (head, rest) = text.split_at(1);
        Ok(Answer { pieces: vec![Escaped::from_text(head), Escaped::from_text(rest)], status: None })
    }

    async fn content(&self, _caller: &Caller, account: &str, _of: &ContentOf, wanted: WantedBytes) -> Result<Content, Problem> {
        let bytes = (wanted.text > 3).then(|| "abc".into());
        Ok(Content { name: format!("{account}.txt"), content_type: "text/plain".into(), size: 3, bytes })
    }

    async fn graph_id(&self, _account: &str, text: &str) -> Result<String, Problem> {
        Ok(text.to_owned())
    }

    fn changes(&self) -> tokio::sync::broadcast::Receiver<Change> {
        self.changes.subscribe()
    }

    async fn rehearse(&self, tool: &str, _args: &Map<String, Value>) -> Result<Answer, Problem> {
        let text = json!({ "rehearsed": tool }).to_string();
        Ok(Answer { pieces: vec![Escaped::from_text(&text)], status: None })
    }

    async fn status(&self) -> CoreStatus {
        if self.stuck.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        CoreStatus {
            store: StoreState { backend: "memory".into(), entries: 3, healthy: true, ..StoreState::default() },
            accounts: vec![ada()],
            graph: GraphState { breaker: "closed".into(), requests: 7, ..GraphState::default() },
            queue: QueueState { queued: 1, running: 2, failed: 3 },
            warming: WarmingState { enabled: true, running: true, total: 6, done: 4, failed: 1 },
            warnings: vec![Warning { code: "w".into(), message: "m".into(), hint: "h".into() }],
        }
    }

    fn pause_changed(&self) {}

    async fn probe(&self) -> Vec<Probed> {
        let refused = Problem::new(Kind::Denied, "access_denied", "refused", "ask");
        vec![Probed { account: ada(), problem: None }, Probed { account: AccountState::default(), problem: Some(refused) }]
    }

    fn account_named(&self, name: &str) -> Option<AccountId> {
        (name == ada().username || name == ada().id).then(|| AccountId::new(ada().id))
    }

    async fn accounts(&self) -> Result<Vec<AccountState>, Problem> {
        Ok(vec![ada(), AccountState { personal: true, ..AccountState::default() }])
    }

    async fn login(&self, options: LoginOptions) -> Result<LoginFlow, Problem> {
        let step = if options.device {
            LoginStep::DeviceCode { user_code: "ABC".into(), verification_uri: "uri".into(), message: "go".into(), expires_in_s: 900 }
        } else {
            LoginStep::OpenUrl(format!("http://localhost/?hint={}", options.username.unwrap_or_default()))
        };
        let (bell, sign_in) = (Bell(Some(Arc::clone(&self.given_up))), Arc::clone(&self.sign_in));
        let done = Box::pin(async move {
            let mut bell = bell;
            sign_in.notified().await;
            bell.0 = None;
            Ok(ada())
        });
        Ok(LoginFlow { step, done })
    }

    async fn logout(&self, account: &str) -> Result<(AccountState, u64), Problem> {
        assert_eq!(account, ada().username);
        Ok((ada(), 5))
    }

    async fn stats(&self, asked: StatsQuestion) -> Result<CacheStats, Problem> {
        let counts = Counts { hits: 1, saved_milli: 2_900, ..Counts::default() };
        let row = |name: &str| StatsRow { name: name.into(), counts: counts.clone(), ..StatsRow::default() };
        Ok(CacheStats {
            period: asked.period,
            counts: counts.clone(),
            by_tool: vec![row("email_list")],
            by_account: vec![StatsRow { held: GroupStats { entries: 2, stored_bytes: 3, ..GroupStats::default() }, ..row("1.2") }],
            ..CacheStats::default()
        })
    }

    fn counters(&self) -> Stats {
        let counts = Counts { hits: 1, ..Counts::default() };
        Stats { total: counts.clone(), by_tool: [("email_list".to_owned(), counts)].into(), ..Stats::default() }
    }

    async fn invalidate(&self, what: Invalidate) -> Result<u64, Problem> {
        assert_eq!((what.account, what.caller.client.as_str()), (None, "cachectl"));
        Ok(u64::try_from(what.pattern.len()).unwrap())
    }

    async fn cancel_task(&self, id: &str) -> Result<Answer, Problem> {
        Ok(Answer { pieces: vec![Escaped::from_text(&format!("{{\"task_id\":\"{id}\"}}"))], status: None })
    }

    async fn warm(&self, account: Option<&str>) -> Result<WarmFlow, Problem> {
        assert_eq!(account, None);
        let up = WarmUp { accounts: 1, total: 3, fresh: 1, ..WarmUp::default() };
        let ended = WarmUp { fetched: 1, failed: 1, failure: Some(Kind::Denied), ..up };
        let later = futures_util::stream::iter([WarmState { up: ended, ended: true }]);
        Ok(WarmFlow { now: WarmState { up, ended: false }, later: Box::pin(later) })
    }

    fn reconfigure(&self, config: &Config) -> Result<(), Problem> {
        *self.taken.lock().unwrap() = Some(config.clone());
        Ok(())
    }

    fn is_writing(&self) -> bool {
        self.writing.load(Ordering::SeqCst)
    }

    async fn quiet(&self) {}

    async fn shutdown(&self) {
        assert!(!self.shut.swap(true, Ordering::SeqCst), "it was shut twice");
    }
}

/// What a daemon is made of, around `core`.
pub(crate) fn parts(core: Result<Arc<dyn Core>, Problem>, drain: Duration, clock: Arc<ManualClock>) -> Parts {
    Parts {
        profile: ProfileInfo { dir: "dir".into(), socket: "socket".into(), demo: true, cloud: "demo".into() },
        keys: None,
        shut: None,
        core,
        catalogue: vec![ToolRow {
            name: "email_list".into(),
            title: "List mail".into(),
            description: "Lists mail.".into(),
            input_schema: Listed { whole: "{}".into(), short: "{}".into() },
            tokens: Listed { whole: 20, short: 10 },
            profiles: vec!["essential", "full"],
            read_only: true,
            category: "email".into(),
            safety_level: "safe".into(),
            asks: "never".into(),
            idempotent: true,
            effect: "reads mail".into(),
        }],
        caching: true,
        warnings: Vec::new(),
        original: Default::default(),
        drain,
        life: Default::default(),
        manager: Default::default(),
        metrics: None,
        switch: Arc::new(crate::pause::Switch::of(std::path::Path::new("dir"), clock.clone())),
        clock,
        limits: Default::default(),
        policies: Default::default(),
        strict: false,
        default_account: false,
        tools: ToolProfile::Full,
        fixtures: false,
        settings: None,
        hangups: Default::default(),
    }
}

/// A daemon that serves nobody.
pub(crate) fn daemon(core: Result<Arc<dyn Core>, Problem>) -> Arc<Daemon> {
    daemon_of(parts(core, Duration::from_secs(5), Arc::new(ManualClock::at(Timestamp(1_000)))))
}

/// The same of these parts.
pub(crate) fn daemon_of(parts: Parts) -> Arc<Daemon> {
    Arc::new(Daemon::new(parts, Arc::new(AtomicU64::new(0)), &m365_cached::chance::SeededDice::new(1)))
}

/// A daemon that runs.
pub(crate) struct Running {
    pub(crate) profile: Profile,
    pub(crate) task: JoinHandle<()>,
    /// Sent or dropped: the daemon is asked to stop, as by a signal.
    pub(crate) signal: oneshot::Sender<()>,
    _dir: TempDir,
}

impl Running {
    /// Starts one on a socket of its own.
    pub(crate) async fn start(core: Result<Arc<dyn Core>, Problem>, drain: Duration) -> Self {
        Self::start_by(core, drain, Manager::default()).await
    }

    /// Starts one that a service manager is told of.
    pub(crate) async fn start_by(core: Result<Arc<dyn Core>, Problem>, drain: Duration, manager: Manager) -> Self {
        Self::start_of(Parts { manager, ..parts(core, drain, Arc::new(ManualClock::at(Timestamp(1_000)))) }).await
    }

    /// Starts one of these parts.
    pub(crate) async fn start_of(parts: Parts) -> Self {
        let dir = TempDir::new().unwrap();
        let profile = Profile::at(&dir.path().join("profile")).unwrap();
        let instance = Instance::claim(&profile).unwrap();
        let listener = Listener::bind(&instance).unwrap();
        let (signal, signalled) = oneshot::channel();
        let task = tokio::spawn(async move {
            let shutdown = async {
                let _ = signalled.await;
                "SIGTEST"
            };
            run(parts, listener, shutdown).await.unwrap();
            drop(instance);
        });
        Self { profile, task, signal, _dir: dir }
    }

    pub(crate) async fn connect(&self) -> Channel {
        m365_cached_proto::endpoint::connect(&self.profile).await.unwrap()
    }

    /// One client's stream of frames that has been welcomed.
    pub(crate) async fn attach(&self) -> Attached {
        let (to, from) = mpsc::channel(8);
        let mut client = mcp_client(self.connect().await);
        let stream = soon(client.session(ReceiverStream::new(from))).await.unwrap().into_inner();
        let mut attached = Attached { to, stream };
        attached.send(client_frame::Frame::Hello(Hello { protocol: PROTOCOL_VERSION, ..Hello::default() })).await;
        assert!(matches!(attached.next().await, Some(server_frame::Frame::Welcome(_))));
        attached
    }
}

/// A client's side of a stream of frames.
pub(crate) struct Attached {
    to: mpsc::Sender<ClientFrame>,
    stream: Streaming<ServerFrame>,
}

impl Attached {
    pub(crate) async fn send(&self, frame: client_frame::Frame) {
        self.to.send(ClientFrame { frame: Some(frame) }).await.unwrap();
    }

    pub(crate) async fn line(&self, line: &Value) {
        self.send(client_frame::Frame::Line(line.to_string().into())).await;
    }

    /// The next frame; `None` when the daemon has ended the stream.
    pub(crate) async fn next(&mut self) -> Option<server_frame::Frame> {
        soon(self.stream.message()).await.unwrap().and_then(|frame| frame.frame)
    }

    /// The next line.
    pub(crate) async fn message(&mut self) -> Value {
        match self.next().await {
            Some(server_frame::Frame::Line(line)) => serde_json::from_slice(&line).unwrap(),
            other => panic!("{other:?} is no line"),
        }
    }

    /// Opens the session as a client of 2025-11-25 does.
    pub(crate) async fn initialize(&mut self) {
        let opening = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
        self.line(&json!({"jsonrpc": "2.0", "id": "opening", "method": "initialize", "params": opening})).await;
        assert_eq!(self.message().await["id"], "opening");
        self.line(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await;
    }
}

/// Why a locked daemon is locked.
pub(crate) fn locked() -> Problem {
    Problem::new(Kind::Config, "keyring_locked", "The keyring is locked.", "Unlock it.")
}
