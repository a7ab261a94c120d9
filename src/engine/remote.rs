//! The way out: a tool's steps, done by the Graph client for one account.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::Value;

use crate::{
    clock::{Clock, Timestamp},
    graph::{self, Content, GraphError, GraphReply, GraphRequest, Hurry, Upload},
    hint::Hint,
    ids::PERSONAL_TENANT,
    store::AccountRow,
    tools::{Files, INLINE, LocalFile, Page, Reply, Saved, StepError, Steps},
    transfer::{Opened, Transfer, TransferError},
};

/// Makes the steps of one call.
pub trait Remote: Send + Sync {
    /// Steps for `account`, to end by `deadline`; `now` is when the call began. `mailbox` is the id of the one they are about, when it is
    /// not the account's own: Microsoft counts requests by mailbox.
    fn steps(&self, account: &AccountRow, mailbox: Option<&str>, urgency: &Hurry, deadline: Timestamp, now: Timestamp) -> Box<dyn Steps>;
}

/// Steps through Microsoft Graph.
pub struct GraphRemote {
    client: Arc<graph::Client>,
    transfer: Arc<Transfer>,
    clock: Arc<dyn Clock>,
}

impl GraphRemote {
    /// Asks through `client`, moves files through `transfer`, which take their time by `clock`.
    pub fn new(client: Arc<graph::Client>, transfer: Arc<Transfer>, clock: Arc<dyn Clock>) -> Self {
        Self { client, transfer, clock }
    }
}

impl Remote for GraphRemote {
    fn steps(&self, account: &AccountRow, mailbox: Option<&str>, urgency: &Hurry, deadline: Timestamp, now: Timestamp) -> Box<dyn Steps> {
        let mailbox = mailbox.unwrap_or(&account.object_id).to_owned();
        let context = graph::Context { account: account.id.clone(), urgency: urgency.clone(), deadline, mailbox };
        Box::new(GraphSteps {
            client: self.client.clone(),
            transfer: self.transfer.clone(),
            clock: self.clock.clone(),
            context,
            moving: Mutex::default(),
            now,
            personal: account.tenant_id == PERSONAL_TENANT,
            opened: Mutex::default(),
        })
    }
}

struct GraphSteps {
    client: Arc<graph::Client>,
    transfer: Arc<Transfer>,
    clock: Arc<dyn Clock>,
    /// As the call began; requests take [`GraphSteps::context`].
    context: graph::Context,
    /// How long files have been on their way.
    moving: Mutex<Duration>,
    now: Timestamp,
    personal: bool,
    /// The local files that this call has opened.
    opened: Mutex<Vec<Opened>>,
}

impl GraphSteps {
    /// For the next request. Files have time of their own: what they took of it is not the call's, which may go on after them.
    fn context(&self) -> graph::Context {
        let moving = *self.moving.lock().unwrap_or_else(PoisonError::into_inner);
        graph::Context { deadline: self.context.deadline.plus(moving), ..self.context.clone() }
    }

    /// Awaits a transfer, and counts the time it takes.
    async fn timed<T>(&self, transfer: impl Future<Output = T>) -> T {
        let began = self.clock.now();
        let done = transfer.await;
        *self.moving.lock().unwrap_or_else(PoisonError::into_inner) += self.clock.now().since(began);
        done
    }

    /// Progress for the client, and for those who watch the log closely; counts only, no names.
    fn moved(&self, bytes: u64, of: Option<u64>) {
        tracing::trace!(bytes, of, "a file moves");
        if let Some(work) = self.context.urgency.work() {
            work.moves(bytes, of);
        }
    }

    fn opened(&self, file: &LocalFile) -> Result<Opened, StepError> {
        let opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        opened.get(file.number).cloned().ok_or_else(|| StepError::user("no_file", "the file is not open", "Report this as a mistake."))
    }
}

#[async_trait]
impl Steps for GraphSteps {
    async fn send(&self, request: GraphRequest) -> Result<Reply, StepError> {
        let reply = self.client.send(&self.context(), &request).await?;
        reply_of(&reply)
    }

    async fn pages(&self, request: GraphRequest, enough: &(dyn for<'a> Fn(&'a [Value]) -> bool + Send + Sync)) -> Result<Page, StepError> {
        let pages = self.client.pages(&self.context(), &request, enough).await?;
        Ok(Page { items: pages.items, before: 0, next: pages.next, delta: pages.delta })
    }

    async fn batch(&self, requests: Vec<GraphRequest>) -> Result<Vec<Result<Reply, StepError>>, StepError> {
        let replies = self.client.batch(&self.context(), &requests).await?;
        Ok(replies.into_iter().map(|reply| reply.map_err(StepError::from).and_then(|reply| reply_of(&reply))).collect())
    }

    fn files(&self) -> &dyn Files {
        self
    }

    fn now(&self) -> Timestamp {
        self.now
    }

    fn personal(&self) -> bool {
        self.personal
    }
}

#[async_trait]
impl Files for GraphSteps {
    async fn save(&self, what: Content, to: &str, most: u64) -> Result<Saved, StepError> {
        let context = self.context();
        let saved = self.timed(self.transfer.save(&context, &what, to, most, &|bytes, of| self.moved(bytes, of))).await?;
        Ok(Saved { path: saved.path.to_string_lossy().into_owned(), size: saved.size, content_type: saved.content_type })
    }

    async fn bytes(&self, what: GraphRequest, most: usize) -> Result<Vec<u8>, StepError> {
        Ok(self.transfer.whole(&self.context(), &what, most).await?)
    }

    async fn open_local(&self, path: &str, most: u64) -> Result<LocalFile, StepError> {
        let file = self.transfer.open_local(path, most).await?;
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        let local = LocalFile { name: file.name.clone(), size: file.size, content_type: file.content_type.clone(), number: opened.len() };
        opened.push(file);
        Ok(local)
    }

    async fn read_local(&self, file: &LocalFile) -> Result<Bytes, StepError> {
        if file.size > INLINE {
            return Err(StepError::user("file_too_large", "the file is too large to go inline", "Choose a smaller file."));
        }
        Ok(self.opened(file)?.read(0, file.size).await?)
    }

    async fn upload(&self, to: Upload, file: &LocalFile) -> Result<Reply, StepError> {
        let file = self.opened(file)?;
        let context = self.context();
        let reply = self.timed(self.transfer.upload(&context, &to, &file, &|bytes, of| self.moved(bytes, of))).await?;
        reply_of(&reply)
    }

    async fn follow(&self, monitor: &str, patience: Duration) -> Result<Reply, StepError> {
        let job = self.transfer.follow(monitor, patience).await?;
        Ok(Reply { status: if job.done { 200 } else { 202 }, body: job.body, etag: None, location: job.location })
    }
}

fn reply_of(reply: &GraphReply) -> Result<Reply, StepError> {
    Ok(Reply { status: reply.status, body: reply.json()?, etag: reply.etag.clone(), location: reply.location.clone() })
}

impl From<GraphError> for StepError {
    fn from(error: GraphError) -> Self {
        Self {
            kind: error.kind(),
            code: error.code(),
            message: error.to_string(),
            hint: error.hint(),
            status: error.status(),
            graph_code: error.graph_code().map(Into::into),
            unknown_outcome: error.unknown_outcome(),
            never_sent: error.never_sent(),
            retry_after: error.retry_after(),
            left: None,
        }
    }
}

impl From<TransferError> for StepError {
    fn from(error: TransferError) -> Self {
        Self {
            kind: error.kind(),
            code: error.code(),
            message: error.to_string(),
            hint: error.hint(),
            status: error.status(),
            graph_code: error.graph_code().map(Into::into),
            unknown_outcome: error.unknown_outcome,
            never_sent: error.never_sent(),
            retry_after: None,
            left: None,
        }
    }
}

#[cfg(test)]
#[path = "remote_tests.rs"]
mod tests;
