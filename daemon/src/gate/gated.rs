//! The engine behind the gate: every call passes it once, however it is answered, and is told of in the log by its id.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use m365_cached::{
    audit::{Point, Report},
    clock::Stopwatch,
    config::Config,
    engine::{Change, Content, ContentOf, Erased, Piece, Stats, WantedBytes},
    ids::{AccountId, Caller},
    tools,
};
use serde_json::{Map, Value};
use tokio::sync::broadcast;

use super::{Class, Gate, weight};
use crate::{
    activity::{Activity, Outcome, Seen},
    clients::Clients,
    core::{
        AccountState, Answer, CacheStats, Core, CoreStatus, Invalidate, LoginFlow, LoginOptions, Probed, Problem, StatsQuestion, WarmFlow,
    },
    records::{AuditQuestion, AuditStream, Records},
};

/// A core whose calls pass a gate, and are seen by who watches. Everything else is a person's asking, and passes as it is.
pub(crate) struct Gated {
    core: Arc<dyn Core>,
    gate: Arc<Gate>,
    activity: Arc<Activity>,
    clients: Clients,
}

/// A call that is to be told of: its tool, and the account it names.
struct Told<'a> {
    tool: &'a str,
    account: Option<&'a str>,
    watch: Stopwatch,
}

impl<'a> Told<'a> {
    fn of(tool: &'a str, args: &'a Map<String, Value>) -> Self {
        Self { tool, account: args.get("account_id").and_then(Value::as_str), watch: Stopwatch::start() }
    }
}

/// The tool whose reading of content is told of.
const CONTENT: &str = "content";

impl Gated {
    /// `core` behind `gate`, watched by `activity`; calls are counted for their `clients`.
    pub(crate) fn new(core: Arc<dyn Core>, gate: Arc<Gate>, activity: Arc<Activity>, clients: Clients) -> Self {
        Self { core, gate, activity, clients }
    }

    /// Tells of a call that was answered: which, of whom, with what end, how long it took. Nothing of its content: a tool that does not exist is
    /// not named, for its name is the client's text.
    fn tell(&self, caller: &Caller, told: &Told<'_>, outcome: Outcome, code: &str) {
        let micros = told.watch.micros();
        let tool = if told.tool == CONTENT { CONTENT } else { tools::find(told.tool).map_or("unknown", |tool| tool.name) };
        if let (true, Some(call)) = (tracing::enabled!(tracing::Level::DEBUG), caller.call) {
            let state = match outcome {
                Outcome::Failed => code,
                Outcome::Fresh | Outcome::Stale => "cached",
                _ => "done",
            };
            tracing::debug!(call = %call, session = caller.session, tool, state, duration_ms = micros / 1000, "a call was answered");
        }
        let account = told.account.and_then(|name| self.core.account_named(name));
        self.clients.called(caller.session);
        let (client, session, code) = (caller.client.as_str(), caller.session, code.to_owned());
        self.activity.note(Seen { at: self.gate.now(), tool, account, client: client.into(), session, outcome, code, micros });
    }

    /// The same of a call that has ended with an answer or without.
    fn ended<T>(&self, caller: &Caller, told: &Told<'_>, result: &Result<T, Problem>, outcome: impl FnOnce(&T) -> Outcome) {
        match result {
            Ok(value) => self.tell(caller, told, outcome(value), ""),
            Err(problem) => self.tell(caller, told, Outcome::Failed, &problem.code),
        }
    }
}

#[async_trait]
impl Core for Gated {
    fn peek(&self, caller: &Caller, tool: &str, args: &Map<String, Value>) -> Option<Answer> {
        // What is answered here is a read.
        if !self.gate.would_admit(caller, Class::Read) {
            return None;
        }
        let told = Told::of(tool, args);
        let answer = self.core.peek(caller, tool, args)?;
        self.gate.answered(caller, Class::Read);
        self.tell(caller, &told, Outcome::of(answer.status, false), "");
        Some(answer)
    }

    async fn lookup(&self, caller: &Caller, tool: &str, args: &Map<String, Value>) -> Option<Answer> {
        if !self.gate.would_admit(caller, Class::Read) {
            return None;
        }
        let told = Told::of(tool, args);
        let answer = self.core.lookup(caller, tool, args).await?;
        self.gate.answered(caller, Class::Read);
        self.tell(caller, &told, Outcome::of(answer.status, false), "");
        Some(answer)
    }

    async fn call(&self, caller: &Caller, tool: &str, args: &Map<String, Value>) -> Result<Answer, Problem> {
        let told = Told::of(tool, args);
        // Where it is noted that it shares another's fetch.
        let work = caller.work.clone().unwrap_or_default();
        let called = match self.gate.enter(caller, Class::of(tool), weight(args)) {
            Ok(_pass) => self.core.call(&Caller { work: Some(work.clone()), ..caller.clone() }, tool, args).await,
            Err(problem) => Err(problem),
        };
        self.ended(caller, &told, &called, |answer| Outcome::of(answer.status, work.is_shared()));
        called
    }

    async fn content(&self, caller: &Caller, account: &str, of: &ContentOf, wanted: WantedBytes) -> Result<Content, Problem> {
        let told = Told { tool: CONTENT, account: Some(account), watch: Stopwatch::start() };
        let read = match self.gate.enter(caller, Class::Read, 0) {
            Ok(_pass) => self.core.content(caller, account, of, wanted).await,
            Err(problem) => Err(problem),
        };
        self.ended(caller, &told, &read, |_| Outcome::Done);
        read
    }

    async fn graph_id(&self, account: &str, text: &str) -> Result<String, Problem> {
        self.core.graph_id(account, text).await
    }

    fn changes(&self) -> broadcast::Receiver<Change> {
        self.core.changes()
    }

    async fn rehearse(&self, tool: &str, args: &Map<String, Value>) -> Result<Answer, Problem> {
        // People rehearse, at the shell; what a rehearsal asks of Microsoft is read.
        let _pass = self.gate.enter(&crate::service::person(), Class::Read, weight(args))?;
        self.core.rehearse(tool, args).await
    }

    async fn status(&self) -> CoreStatus {
        self.core.status().await
    }

    fn reconfigure(&self, config: &Config) -> Result<(), Problem> {
        self.core.reconfigure(config)
    }

    fn pause_changed(&self) {
        self.core.pause_changed();
    }

    async fn probe(&self) -> Vec<Probed> {
        self.core.probe().await
    }

    fn account_named(&self, name: &str) -> Option<AccountId> {
        self.core.account_named(name)
    }

    async fn accounts(&self) -> Result<Vec<AccountState>, Problem> {
        self.core.accounts().await
    }

    async fn login(&self, options: LoginOptions) -> Result<LoginFlow, Problem> {
        self.core.login(options).await
    }

    async fn logout(&self, account: &str) -> Result<(AccountState, u64), Problem> {
        let gone = self.core.logout(account).await;
        if let Ok((account, _)) = &gone {
            self.activity.forget(&account.id);
        }
        gone
    }

    async fn stats(&self, asked: StatsQuestion) -> Result<CacheStats, Problem> {
        self.core.stats(asked).await
    }

    fn counters(&self) -> Stats {
        self.core.counters()
    }

    async fn invalidate(&self, what: Invalidate) -> Result<u64, Problem> {
        self.core.invalidate(what).await
    }

    async fn cancel_task(&self, id: &str) -> Result<Answer, Problem> {
        self.core.cancel_task(id).await
    }

    async fn warm(&self, account: Option<&str>) -> Result<WarmFlow, Problem> {
        self.core.warm(account).await
    }

    fn is_writing(&self) -> bool {
        self.core.is_writing()
    }

    async fn quiet(&self) {
        self.core.quiet().await;
    }

    async fn shutdown(&self) {
        self.core.shutdown().await;
    }
}

#[async_trait]
impl Records for Gated {
    async fn audit(&self, asked: AuditQuestion) -> Result<AuditStream, Problem> {
        self.core.audit(asked).await
    }

    async fn verify_audit(&self, noted: Option<Point>) -> Result<Report, Problem> {
        self.core.verify_audit(noted).await
    }

    async fn export(&self, account: &str, caller: &Caller) -> Result<BoxStream<'static, Result<Piece, Problem>>, Problem> {
        self.core.export(account, caller).await
    }

    async fn erase(&self, account: &str, caller: &Caller) -> Result<Erased, Problem> {
        let erased = self.core.erase(account, caller).await;
        if let Ok(erased) = &erased {
            self.activity.forget(erased.account.as_str());
        }
        erased
    }

    async fn record_key(&self, outcome: &'static str) {
        self.core.record_key(outcome).await;
    }

    async fn compliance(&self) -> Result<Value, Problem> {
        self.core.compliance().await
    }
}
