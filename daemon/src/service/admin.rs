//! What people ask of the daemon.

use std::{pin::Pin, sync::Arc, time::Duration};

use futures_util::{Stream, StreamExt, stream};
use m365_cached::{auth::UNTIL_RESUMED, hint::Kind};
use m365_cached_proto::v1;
use tonic::{Request, Response, Status};

use super::{convert, fault, refusal, tools::caller};
use crate::{
    core::{Core, Invalidate, Problem},
    daemon::{Daemon, End, VERSION},
    reload,
};

/// The service.
pub(crate) struct Admin {
    daemon: Arc<Daemon>,
}

impl Admin {
    pub(crate) fn new(daemon: Arc<Daemon>) -> Self {
        Self { daemon }
    }

    /// The engine, or the fault that says why the daemon is locked.
    fn core(&self) -> Result<&Arc<dyn Core>, Status> {
        self.daemon.core().map_err(refusal)
    }
}

#[tonic::async_trait]
impl v1::admin_server::Admin for Admin {
    async fn status(&self, request: Request<v1::StatusRequest>) -> Result<Response<v1::StatusReply>, Status> {
        let daemon = &self.daemon;
        let v1::StatusRequest { activity, after_call } = request.into_inner();
        let under_way = daemon.gate.under_way();
        let draining = *daemon.draining().borrow();
        let mut reply = v1::StatusReply {
            version: VERSION.into(),
            pid: std::process::id(),
            instance: daemon.instance.clone(),
            uptime_s: daemon.now().since(daemon.ready_at).as_secs(),
            state: if draining { "draining" } else { "ready" }.into(),
            profile: Some(convert::profile(&daemon.profile)),
            key: Some(convert::key(daemon.keys.as_ref().and_then(|keys| keys.source()).as_ref())),
            clients: daemon.clients.list().into_iter().map(|client| convert::client(client, &under_way)).collect(),
            warnings: daemon.warnings().into_iter().map(convert::warning).collect(),
            caching: daemon.caching(),
            paused: daemon.switch.until().map(convert::paused),
            activity: activity.then(|| convert::activity(daemon.activity.told(after_call), daemon.now(), daemon.gate.usage().calls)),
            ..v1::StatusReply::default()
        };
        match daemon.core() {
            Ok(core) => {
                let status = core.status().await;
                reply.store = Some(convert::store(status.store));
                reply.accounts = convert::accounts(status.accounts);
                reply.graph = Some(convert::graph(status.graph));
                reply.queue = Some(convert::queue(status.queue));
                reply.warming = Some(convert::warming(status.warming));
                reply.warnings.extend(status.warnings.into_iter().map(convert::warning));
            }
            Err(locked) => {
                reply.locked = Some(fault(locked));
                if !draining {
                    reply.state = "locked".into();
                }
            }
        }
        Ok(Response::new(reply))
    }

    async fn accounts(&self, _: Request<v1::AccountsRequest>) -> Result<Response<v1::AccountsReply>, Status> {
        let accounts = self.core()?.accounts().await.map_err(|problem| refusal(&problem))?;
        Ok(Response::new(v1::AccountsReply { accounts: convert::accounts(accounts) }))
    }

    type LoginStream = Pin<Box<dyn Stream<Item = Result<v1::LoginEvent, Status>> + Send>>;

    async fn login(&self, request: Request<v1::LoginRequest>) -> Result<Response<Self::LoginStream>, Status> {
        let options = convert::login_options(request.into_inner());
        let flight = self.daemon.in_flight.begin();
        let flow = self.core()?.login(options).await.map_err(|problem| refusal(&problem))?;
        let daemon = Arc::clone(&self.daemon);
        let outcome = async move {
            // A person may take minutes, and the end of the daemon does not wait for them.
            let done = tokio::select! {
                done = flow.done => done,
                () = daemon.stopping() => Err(stopped()),
            };
            done.map(convert::signed_in).map_err(|problem| refusal(&problem))
        };
        let events = stream::iter([Ok(convert::login_step(flow.step))]).chain(stream::once(outcome));
        Ok(Response::new(Box::pin(flight.of(events))))
    }

    async fn logout(&self, request: Request<v1::LogoutRequest>) -> Result<Response<v1::LogoutReply>, Status> {
        let _flight = self.daemon.in_flight.begin();
        let (account, entries_deleted) = self.core()?.logout(&request.into_inner().account).await.map_err(|problem| refusal(&problem))?;
        Ok(Response::new(v1::LogoutReply { account: Some(convert::account(account)), entries_deleted }))
    }

    async fn stats(&self, request: Request<v1::StatsRequest>) -> Result<Response<v1::StatsReply>, Status> {
        let question = convert::stats_question(request.into_inner()).map_err(|problem| refusal(&problem))?;
        let stats = self.core()?.stats(question).await.map_err(|problem| refusal(&problem))?;
        Ok(Response::new(convert::stats(stats)))
    }

    async fn invalidate(&self, request: Request<v1::InvalidateRequest>) -> Result<Response<v1::InvalidateReply>, Status> {
        let request = request.into_inner();
        let pattern = request.pattern.clone();
        let what = Invalidate {
            pattern: request.pattern,
            account: convert::given(request.account),
            reason: request.reason,
            caller: caller(&self.daemon),
        };
        let entries_deleted = self.core()?.invalidate(what).await.map_err(|problem| refusal(&problem))?;
        Ok(Response::new(v1::InvalidateReply { entries_deleted, pattern }))
    }

    async fn cancel_task(&self, request: Request<v1::CancelTaskRequest>) -> Result<Response<v1::CancelTaskReply>, Status> {
        let task = self.core()?.cancel_task(&request.into_inner().task_id).await.map_err(|problem| refusal(&problem))?;
        Ok(Response::new(v1::CancelTaskReply { task: task.text().into() }))
    }

    type WarmStream = Pin<Box<dyn Stream<Item = Result<v1::WarmEvent, Status>> + Send>>;

    async fn warm(&self, request: Request<v1::WarmRequest>) -> Result<Response<Self::WarmStream>, Status> {
        let v1::WarmRequest { account, wait } = request.into_inner();
        let flow = self.core()?.warm(convert::given(account).as_deref()).await.map_err(|problem| refusal(&problem))?;
        let now = stream::once(async move { Ok(convert::warm(flow.now)) });
        if !wait {
            return Ok(Response::new(Box::pin(now)));
        }
        let daemon = Arc::clone(&self.daemon);
        // The end of the daemon does not wait for it.
        let later = flow.later.map(|state| Ok(convert::warm(state))).take_until(async move { daemon.stopping().await });
        Ok(Response::new(Box::pin(self.daemon.in_flight.begin().of(now.chain(later)))))
    }

    async fn pause(&self, request: Request<v1::PauseRequest>) -> Result<Response<v1::PauseReply>, Status> {
        let v1::PauseRequest { resume, for_ms } = request.into_inner();
        let until = match (resume, for_ms) {
            (true, _) => None,
            (false, 0) => Some(UNTIL_RESUMED),
            (false, ms) => Some(self.daemon.now().plus(Duration::from_millis(ms))),
        };
        self.daemon.switch.set(until).map_err(|problem| refusal(&problem))?;
        tracing::info!(state = if resume { "resumed" } else { "paused" }, "a person has thrown the switch");
        if let Ok(core) = self.daemon.core() {
            core.pause_changed();
        }
        Ok(Response::new(v1::PauseReply { paused: self.daemon.switch.until().map(convert::paused) }))
    }

    async fn reload(&self, _: Request<v1::ReloadRequest>) -> Result<Response<v1::ReloadReply>, Status> {
        let reloaded = reload::reload(&self.daemon).map_err(|problem| refusal(&problem))?;
        Ok(Response::new(convert::reloaded(reloaded)))
    }

    async fn probe(&self, _: Request<v1::ProbeRequest>) -> Result<Response<v1::ProbeReply>, Status> {
        let _flight = self.daemon.in_flight.begin();
        let probed = self
            .core()?
            .probe()
            .await
            .into_iter()
            .map(|one| v1::Probed { account: Some(convert::account(one.account)), fault: one.problem.as_ref().map(fault) });
        Ok(Response::new(v1::ProbeReply { accounts: probed.collect() }))
    }

    async fn stop(&self, _: Request<v1::StopRequest>) -> Result<Response<v1::StopReply>, Status> {
        self.daemon.stop(End::Stopped, "asked to stop by `m365-cachectl`");
        Ok(Response::new(v1::StopReply { pid: std::process::id(), socket_stays: self.daemon.socket_stays }))
    }
}

fn stopped() -> Problem {
    Problem::new(Kind::Config, "draining", "the daemon is stopping, and the sign-in was given up", "Run `m365-cachectl login` again.")
}
