//! The engine behind the gate: every call passes it once, however it is answered, and is told of in the log by its id.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use m365_cached::{
    audit::{Point, Report},
    clock::Stopwatch,
    config::Config,
    engine::{Change, Content, ContentOf, Erased, Piece, Stats, WantedBytes},
    ids::Caller,
    tools,
};
use serde_json::{Map, Value};
use tokio::sync::broadcast;

use super::{Class, Gate, weight};
use crate::{
    core::{
        AccountState, Answer, CacheStats, Core, CoreStatus, Invalidate, LoginFlow, LoginOptions, Probed, Problem, StatsQuestion, WarmFlow,
    },
    records::{AuditQuestion, AuditStream, Records},
};

/// A core whose calls pass a gate. Everything else is a person's asking, and passes as it is.
pub(crate) struct Gated {
    core: Arc<dyn Core>,
    gate: Arc<Gate>,
}

impl Gated {
    /// `core` behind `gate`.
    pub(crate) fn new(core: Arc<dyn Core>, gate: Arc<Gate>) -> Self {
        Self { core, gate }
    }
}

/// Tells of a call that was answered: which, of whom, with what end, how long it took. Nothing of its content: a tool that does not exist is
/// not named, for its name is the client's text.
fn tell(caller: &Caller, tool: &str, outcome: &str, watch: Stopwatch) {
    if let (true, Some(call)) = (tracing::enabled!(tracing::Level::DEBUG), caller.call) {
        let tool = tools::find(tool).map_or("unknown", |tool| tool.name);
        tracing::debug!(call = %call, session = caller.session, tool, state = outcome, duration_ms = watch.micros() / 1000, "a call was answered");
    }
}

#[async_trait]
impl Core for Gated {
    fn peek(&self, caller: &Caller, tool: &str, args: &Map<String, Value>) -> Option<Answer> {
        // What is answered here is a read.
        if !self.gate.would_admit(caller, Class::Read) {
            return None;
        }
        let watch = Stopwatch::start();
        let answer = self.core.peek(caller, tool, args)?;
        self.gate.answered(caller, Class::Read);
        tell(caller, tool, "cached", watch);
        Some(answer)
    }

    async fn lookup(&self, caller: &Caller, tool: &str, args: &Map<String, Value>) -> Option<Answer> {
        if !self.gate.would_admit(caller, Class::Read) {
            return None;
        }
        let watch = Stopwatch::start();
        let answer = self.core.lookup(caller, tool, args).await?;
        self.gate.answered(caller, Class::Read);
        tell(caller, tool, "cached", watch);
        Some(answer)
    }

    async fn call(&self, caller: &Caller, tool: &str, args: &Map<String, Value>) -> Result<Answer, Problem> {
        let watch = Stopwatch::start();
        let called = match self.gate.enter(caller, Class::of(tool), weight(args)) {
            Ok(_pass) => self.core.call(caller, tool, args).await,
            Err(problem) => Err(problem),
        };
        tell(caller, tool, called.as_ref().map_or_else(|problem| problem.code.as_str(), |_| "done"), watch);
        called
    }

    async fn content(&self, caller: &Caller, account: &str, of: &ContentOf, wanted: WantedBytes) -> Result<Content, Problem> {
        let watch = Stopwatch::start();
        let read = match self.gate.enter(caller, Class::Read, 0) {
            Ok(_pass) => self.core.content(caller, account, of, wanted).await,
            Err(problem) => Err(problem),
        };
        if let (true, Some(call)) = (tracing::enabled!(tracing::Level::DEBUG), caller.call) {
            let state = read.as_ref().map_or_else(|problem| problem.code.as_str(), |_| "done");
            tracing::debug!(call = %call, session = caller.session, state, duration_ms = watch.micros() / 1000, "content was read");
        }
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

    async fn accounts(&self) -> Result<Vec<AccountState>, Problem> {
        self.core.accounts().await
    }

    async fn login(&self, options: LoginOptions) -> Result<LoginFlow, Problem> {
        self.core.login(options).await
    }

    async fn logout(&self, account: &str) -> Result<(AccountState, u64), Problem> {
        self.core.logout(account).await
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
        self.core.erase(account, caller).await
    }

    async fn record_key(&self, outcome: &'static str) {
        self.core.record_key(outcome).await;
    }

    async fn compliance(&self) -> Result<Value, Problem> {
        self.core.compliance().await
    }
}
