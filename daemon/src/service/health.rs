//! The standard health service (`grpc.health.v1.Health`): tells a daemon that lives from one whose tools can be called.
//!
//! Decision: nothing is remembered; each question is answered by asking the engine, through the store's thread. A daemon whose store hangs is not alive, and says so
//! by the deadline. One that is locked is alive and not ready: starting it anew would help nobody.

use std::{pin::Pin, sync::Arc, time::Duration};

use futures_util::{Stream, stream};
use m365_cached_proto::health::{HealthCheckRequest, HealthCheckResponse, LIVE, READY, ServingStatus, health_server};
use tonic::{Request, Response, Status};

use crate::daemon::Daemon;

/// An engine that has not answered within this is stuck: it answers in milliseconds.
const DEADLINE: Duration = Duration::from_secs(5);
/// How often is looked for those who watch.
const LOOK: Duration = Duration::from_secs(5);
/// The services that answer while the daemon is locked.
const ALWAYS: [&str; 3] = [LIVE, "m365.cached.v1.Admin", "m365.cached.v1.Keys"];
/// Those that need the engine.
const WITH_ENGINE: [&str; 3] = [READY, "m365.cached.v1.Mcp", "m365.cached.v1.Records"];

/// The service.
pub(super) struct Health {
    daemon: Arc<Daemon>,
}

impl Health {
    pub(super) fn new(daemon: Arc<Daemon>) -> Self {
        Self { daemon }
    }
}

/// How a service is now; `ServiceUnknown` for one that is none of ours.
async fn now(daemon: &Daemon, service: &str) -> ServingStatus {
    let serves = if ALWAYS.contains(&service) {
        tokio::time::timeout(DEADLINE, daemon.works()).await.is_ok()
    } else if WITH_ENGINE.contains(&service) {
        ready(daemon).await
    } else {
        return ServingStatus::ServiceUnknown;
    };
    if serves { ServingStatus::Serving } else { ServingStatus::NotServing }
}

/// Tools answer: there is an engine, its store does its work, and the end has not come.
async fn ready(daemon: &Daemon) -> bool {
    match daemon.core() {
        Ok(core) if !*daemon.draining().borrow() => {
            tokio::time::timeout(DEADLINE, core.status()).await.is_ok_and(|status| status.store.healthy)
        }
        _ => false,
    }
}

fn reply(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}

#[tonic::async_trait]
impl health_server::Health for Health {
    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        match now(&self.daemon, &request.get_ref().service).await {
            ServingStatus::ServiceUnknown => Err(Status::not_found("no such service")),
            status => Ok(Response::new(reply(status))),
        }
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    /// How it is, and from then on each change; ends with the daemon.
    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let service = request.into_inner().service;
        let daemon = Arc::clone(&self.daemon);
        let later = stream::unfold((daemon, service, None), async |(daemon, service, last)| {
            loop {
                let stops = *daemon.draining().borrow();
                let status = now(&daemon, &service).await;
                if last != Some(status) {
                    return Some((Ok(reply(status)), (daemon, service, Some(status))));
                }
                if stops {
                    return None;
                }
                tokio::select! {
                    () = tokio::time::sleep(LOOK) => {}
                    () = daemon.stopping() => {}
                }
            }
        });
        Ok(Response::new(Box::pin(later)))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use m365_cached_proto::endpoint::health_client;
    use tonic::Code;

    use super::*;
    use crate::{
        core::Core,
        testing::{FakeCore, Running, locked, soon},
    };

    fn of(service: &str) -> HealthCheckRequest {
        HealthCheckRequest { service: service.into() }
    }

    #[tokio::test]
    async fn a_locked_daemon_lives_and_is_not_ready() {
        for (core, ready) in
            [(Ok(Arc::new(FakeCore::default()) as Arc<dyn Core>), ServingStatus::Serving), (Err(locked()), ServingStatus::NotServing)]
        {
            let running = Running::start(core, Duration::from_secs(5)).await;
            let mut health = health_client(running.connect().await);
            for service in ALWAYS {
                assert_eq!(health.check(of(service)).await.unwrap().into_inner().status(), ServingStatus::Serving, "{service}");
            }
            for service in WITH_ENGINE {
                assert_eq!(health.check(of(service)).await.unwrap().into_inner().status(), ready, "{service}");
            }
            assert_eq!(health.check(of("m365.cached.v1.Nothing")).await.unwrap_err().code(), Code::NotFound);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_daemon_whose_store_hangs_is_not_alive() {
        let core = Arc::new(FakeCore::default());
        core.stuck.store(true, Ordering::SeqCst);
        let daemon = crate::testing::daemon(Ok(core as Arc<dyn Core>));
        assert_eq!(now(&daemon, LIVE).await, ServingStatus::NotServing);
        assert_eq!(now(&daemon, READY).await, ServingStatus::NotServing);
    }

    #[tokio::test]
    async fn whoever_watches_hears_of_the_end() {
        let running = Running::start(Ok(Arc::new(FakeCore::default())), Duration::from_secs(5)).await;
        let mut health = health_client(running.connect().await);
        let mut tools = health.watch(of(READY)).await.unwrap().into_inner();
        let mut all = health.watch(of(LIVE)).await.unwrap().into_inner();
        assert_eq!(soon(tools.message()).await.unwrap().unwrap().status(), ServingStatus::Serving);
        assert_eq!(soon(all.message()).await.unwrap().unwrap().status(), ServingStatus::Serving);
        running.signal.send(()).unwrap();
        assert_eq!(soon(tools.message()).await.unwrap().unwrap().status(), ServingStatus::NotServing);
        assert!(soon(tools.message()).await.unwrap().is_none() && soon(all.message()).await.unwrap().is_none());
        soon(running.task).await.unwrap();
    }
}
