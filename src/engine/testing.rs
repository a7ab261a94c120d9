//! What tests of the engine share: one account, and an engine without a network.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use serde_json::Value;
use tokio::sync::{Semaphore, watch};

use super::{CallError, Engine, Parts, Policy, Remote};
use crate::{
    auth::{AuthError, Http, HttpSettings, Identity, IdentitySettings, Keeper, Logins, TokenPort},
    cache::SourceId,
    chance::{Dice, SeededDice},
    clock::{Clock, Timestamp},
    cloud::Cloud,
    graph::{GraphRequest, Hurry},
    hint::Kind,
    ids::{AccountId, Caller},
    secret::Secret,
    store::{AccountRow, Entries, HotTier, Ledger, Limits, Memory},
    tools::{Files, Page, Reply, StepError, Steps},
};

/// Id of the one account.
pub(super) const ACCOUNT: &str = "oid.tid";

pub(super) fn account() -> AccountRow {
    AccountRow {
        id: AccountId::new(ACCOUNT),
        username: "Alex@contoso.example".into(),
        display_name: "Alex".into(),
        tenant_id: "tid".into(),
        object_id: "oid".into(),
        drive_id: None,
        added_at: Timestamp(0),
    }
}

/// A store that knows one account.
pub(super) async fn memory(account: AccountRow) -> Arc<Memory> {
    let memory = Arc::new(Memory::new(Arc::new(SeededDice::new(3)), Limits::default()));
    memory.save_account(account).await.unwrap();
    memory
}

/// The source of the account's mailbox.
pub(super) fn mailbox() -> SourceId {
    SourceId::mailbox("global", "tid", "oid")
}

pub(super) async fn engine(
    entries: Arc<dyn Entries>,
    ledger: Arc<dyn Ledger>,
    remote: Arc<dyn Remote>,
    clock: Arc<dyn Clock>,
    dice: Arc<dyn Dice>,
) -> Arc<Engine> {
    engine_with(entries, ledger, remote, clock, dice, |_| ()).await
}

/// The same, with parts changed.
pub(super) async fn engine_with(
    entries: Arc<dyn Entries>,
    ledger: Arc<dyn Ledger>,
    remote: Arc<dyn Remote>,
    clock: Arc<dyn Clock>,
    dice: Arc<dyn Dice>,
    change: impl FnOnce(&mut Parts),
) -> Arc<Engine> {
    let http = Arc::new(Http::new(Cloud::named("global").unwrap(), HttpSettings::default()));
    let identity = Arc::new(Identity::new(http, IdentitySettings::default(), clock.clone()));
    let keeper = Keeper::new(identity.clone(), Arc::new(NoTokens), clock.clone(), dice.clone());
    let logins = Logins::new(identity, clock.clone(), dice.clone());
    let mut parts = Parts {
        entries,
        room: None,
        ledger,
        records: Arc::new(Memory::new(dice.clone(), Limits::default())),
        hot: HotTier::new(1 << 20),
        remote,
        graph: None,
        logins,
        keeper,
        clock,
        dice,
        doubt: None,
        copies: None,
        policy: Policy::default(),
    };
    change(&mut parts);
    Engine::start(parts).await.unwrap()
}

/// Permits of [`Scripted::replies`]: whoever holds them all holds every reply back.
pub(super) const REPLIES: u32 = 1000;

type Answering = Box<dyn Fn(&GraphRequest) -> Result<Reply, StepError> + Send + Sync>;

/// Graph as a function. What it answers is settled when it is asked; the reply waits for [`Scripted::replies`]. That the mailbox has no time
/// zone it says by itself and does not count, unless it is made [`Scripted::with_zone`].
pub(super) struct Scripted {
    answer: Answering,
    asked: watch::Sender<Vec<GraphRequest>>,
    urgencies: Mutex<Vec<Hurry>>,
    zone: bool,
    /// How often one that knows no zone was asked for it.
    pub(super) zones: AtomicUsize,
    pub(super) replies: Semaphore,
    /// How the paths end whose replies wait for that; every path, unless one is told.
    pub(super) waiting: Mutex<&'static str>,
}

impl Scripted {
    pub(super) fn new(answer: impl Fn(&GraphRequest) -> Result<Reply, StepError> + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self::of(answer, false))
    }

    /// One that is asked for the time zone like for anything else.
    pub(super) fn with_zone(answer: impl Fn(&GraphRequest) -> Result<Reply, StepError> + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self::of(answer, true))
    }

    fn of(answer: impl Fn(&GraphRequest) -> Result<Reply, StepError> + Send + Sync + 'static, zone: bool) -> Self {
        Self {
            answer: Box::new(answer),
            asked: watch::Sender::default(),
            urgencies: Mutex::default(),
            zone,
            zones: AtomicUsize::new(0),
            replies: Semaphore::new(REPLIES as usize),
            waiting: Mutex::default(),
        }
    }

    /// What was asked, in order.
    pub(super) fn asked(&self) -> Vec<GraphRequest> {
        self.asked.borrow().clone()
    }

    /// The urgency of a request, by its place in that order.
    pub(super) fn urgency(&self, number: usize) -> Hurry {
        self.urgencies.lock().unwrap()[number].clone()
    }

    pub(super) fn count(&self) -> usize {
        self.asked.borrow().len()
    }

    /// Waits until `count` requests have been made in all.
    pub(super) async fn until_asked(&self, count: usize) {
        self.asked.subscribe().wait_for(|asked| asked.len() >= count).await.unwrap();
    }

    pub(super) fn remote(self: &Arc<Self>) -> Arc<dyn Remote> {
        Arc::new(ScriptedRemote(self.clone()))
    }
}

struct ScriptedRemote(Arc<Scripted>);

impl Remote for ScriptedRemote {
    fn steps(
        &self,
        _account: &AccountRow,
        _mailbox: Option<&str>,
        urgency: &Hurry,
        _deadline: Timestamp,
        now: Timestamp,
    ) -> Box<dyn Steps> {
        Box::new(ScriptedSteps(self.0.clone(), now, urgency.clone()))
    }
}

struct ScriptedSteps(Arc<Scripted>, Timestamp, Hurry);

#[async_trait::async_trait]
impl Steps for ScriptedSteps {
    async fn send(&self, request: GraphRequest) -> Result<Reply, StepError> {
        if !self.0.zone && request.path == "/me/mailboxSettings/timeZone" {
            self.0.zones.fetch_add(1, SeqCst);
            return Err(failure(Some(404), false));
        }
        let answer = (self.0.answer)(&request);
        self.0.urgencies.lock().unwrap().push(self.2.clone());
        let waits = request.path.ends_with(*self.0.waiting.lock().unwrap());
        self.0.asked.send_modify(|asked| asked.push(request));
        if waits {
            drop(self.0.replies.acquire().await.unwrap());
        }
        answer
    }

    async fn pages(&self, request: GraphRequest, _enough: &(dyn for<'a> Fn(&'a [Value]) -> bool + Send + Sync)) -> Result<Page, StepError> {
        let body = self.send(request).await?.body;
        let link = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
        Ok(Page {
            items: body["value"].as_array().unwrap().clone(),
            before: 0,
            next: link("@odata.nextLink"),
            delta: link("@odata.deltaLink"),
        })
    }

    async fn batch(&self, requests: Vec<GraphRequest>) -> Result<Vec<Result<Reply, StepError>>, StepError> {
        let mut replies = Vec::new();
        for request in requests {
            replies.push(self.send(request).await);
        }
        Ok(replies)
    }

    fn files(&self) -> &dyn Files {
        unreachable!("no tool of these tests moves files")
    }

    fn now(&self) -> Timestamp {
        self.1
    }

    fn personal(&self) -> bool {
        false
    }
}

/// A success with this body.
pub(super) fn reply(body: Value) -> Result<Reply, StepError> {
    Ok(Reply { status: 200, body, etag: None, location: None })
}

/// Graph says no, or (without a status) was not reached.
pub(super) fn failure(status: Option<u16>, unknown_outcome: bool) -> StepError {
    StepError {
        kind: if status.is_some() { Kind::Denied } else { Kind::Offline },
        code: "test",
        message: "as the test asked for".into(),
        hint: None,
        status,
        graph_code: None,
        unknown_outcome,
        never_sent: false,
        retry_after: None,
        left: None,
    }
}

/// Calls a tool for the one account, and reads its answer.
pub(super) async fn call(engine: &Arc<Engine>, tool: &str, args: Value) -> Result<Value, CallError> {
    let Value::Object(mut args) = args else { unreachable!() };
    args.entry("account_id").or_insert_with(|| ACCOUNT.into());
    let answer = engine.call(&Caller::default(), tool, &args).await?;
    Ok(serde_json::from_str(&answer.text()).unwrap())
}

/// Runs what stale hits have queued. On a runtime of one thread.
pub(super) async fn run_queue(engine: &Arc<Engine>) {
    // The tasks that put it into the queue were spawned before: each has its turn now.
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    while let super::Next::Run(run) = engine.next_task().await {
        let result = engine.refresh(&run).await;
        engine.settle(run, result).await;
    }
}

/// These tests ask nobody for tokens.
struct NoTokens;

#[async_trait::async_trait]
impl TokenPort for NoTokens {
    async fn load(&self, _account: &AccountId) -> Result<Option<Secret<Vec<u8>>>, AuthError> {
        Ok(None)
    }

    async fn save(&self, _account: &AccountId, _record: Secret<Vec<u8>>) -> Result<(), AuthError> {
        Ok(())
    }
}
