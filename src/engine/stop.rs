//! How a run of a task is told to end: what it asks of Microsoft is cut short, what it stores is not.
//!
//! Only background work carries a [`Stop`], and all it asks for is reads. A request that is cut changes nothing.

use async_trait::async_trait;
use serde_json::Value;
use tokio::sync::watch;

use crate::{
    clock::Timestamp,
    graph::GraphRequest,
    hint::Kind,
    tools::{Files, Page, Reply, StepError, Steps},
};

/// Why a run is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// Somebody cancelled the task, or its account is gone.
    Cancelled,
    /// Its lease is lost: the task is somebody else's.
    Lost,
    /// The daemon stops.
    Stopping,
}

/// The switch of one run.
#[derive(Debug)]
pub(super) struct Stop(watch::Sender<Option<Why>>);

impl Stop {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(None))
    }

    /// Tells the run to end. The first reason stays.
    pub(super) fn tell(&self, why: Why) {
        self.0.send_if_modified(|told| told.is_none().then(|| *told = Some(why)).is_some());
    }

    /// What it was told.
    pub(super) fn told(&self) -> Option<Why> {
        *self.0.borrow()
    }

    /// Ends when it is told.
    pub(super) async fn wait(&self) {
        // The sender lives as long as `self`, so the channel is never closed here.
        let _ = self.0.subscribe().wait_for(Option::is_some).await;
    }
}

/// What a step that was cut gives.
const STOPPED: &str = "stopped";

/// Whether `error` comes of a [`Stop`].
pub(super) fn is_stopped(error: &StepError) -> bool {
    error.code == STOPPED
}

fn stopped() -> StepError {
    let hint = "Nothing to do: whoever needs the answer asks again.";
    StepError { kind: Kind::Offline, code: STOPPED, ..StepError::user(STOPPED, "the background task was stopped", hint) }
}

/// Steps that end when a run is told to.
pub(super) struct Stoppable {
    pub(super) inner: Box<dyn Steps>,
    pub(super) stop: std::sync::Arc<Stop>,
}

#[async_trait]
impl Steps for Stoppable {
    async fn send(&self, request: GraphRequest) -> Result<Reply, StepError> {
        tokio::select! {
            biased;
            () = self.stop.wait() => Err(stopped()),
            reply = self.inner.send(request) => reply,
        }
    }

    async fn pages(&self, request: GraphRequest, enough: &(dyn for<'a> Fn(&'a [Value]) -> bool + Send + Sync)) -> Result<Page, StepError> {
        tokio::select! {
            biased;
            () = self.stop.wait() => Err(stopped()),
            page = self.inner.pages(request, enough) => page,
        }
    }

    async fn batch(&self, requests: Vec<GraphRequest>) -> Result<Vec<Result<Reply, StepError>>, StepError> {
        tokio::select! {
            biased;
            () = self.stop.wait() => Err(stopped()),
            replies = self.inner.batch(requests) => replies,
        }
    }

    fn files(&self) -> &dyn Files {
        self.inner.files()
    }

    fn now(&self) -> Timestamp {
        self.inner.now()
    }

    fn personal(&self) -> bool {
        self.inner.personal()
    }
}
