//! The way out: a tool's steps, done by the Graph client for one account.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;

use crate::{
    clock::Timestamp,
    graph::{self, GraphError, GraphReply, GraphRequest},
    hint::Hint,
    ids::{PERSONAL_TENANT, Urgency},
    store::AccountRow,
    tools::{Page, Reply, StepError, Steps},
};

/// Makes the steps of one call.
pub trait Remote: Send + Sync {
    /// Steps for `account`, to end by `deadline`; `now` is when the call began. `mailbox` is the id of the one they are about, when it is
    /// not the account's own: Microsoft counts requests by mailbox.
    fn steps(&self, account: &AccountRow, mailbox: Option<&str>, urgency: Urgency, deadline: Timestamp, now: Timestamp) -> Box<dyn Steps>;
}

/// Steps through Microsoft Graph.
pub struct GraphRemote {
    client: Arc<graph::Client>,
}

impl GraphRemote {
    /// Asks through `client`.
    pub fn new(client: Arc<graph::Client>) -> Self {
        Self { client }
    }
}

impl Remote for GraphRemote {
    fn steps(&self, account: &AccountRow, mailbox: Option<&str>, urgency: Urgency, deadline: Timestamp, now: Timestamp) -> Box<dyn Steps> {
        let mailbox = mailbox.unwrap_or(&account.object_id).to_owned();
        let context = graph::Context { account: account.id.clone(), urgency, deadline, mailbox };
        Box::new(GraphSteps { client: self.client.clone(), context, now, personal: account.tenant_id == PERSONAL_TENANT })
    }
}

struct GraphSteps {
    client: Arc<graph::Client>,
    context: graph::Context,
    now: Timestamp,
    personal: bool,
}

#[async_trait]
impl Steps for GraphSteps {
    async fn send(&self, request: GraphRequest) -> Result<Reply, StepError> {
        let reply = self.client.send(&self.context, &request).await?;
        reply_of(&reply)
    }

    async fn pages(&self, request: GraphRequest, enough: &(dyn for<'a> Fn(&'a [Value]) -> bool + Send + Sync)) -> Result<Page, StepError> {
        let pages = self.client.pages(&self.context, &request, enough).await?;
        Ok(Page { items: pages.items, next: pages.next, delta: pages.delta })
    }

    async fn batch(&self, requests: Vec<GraphRequest>) -> Result<Vec<Result<Reply, StepError>>, StepError> {
        let replies = self.client.batch(&self.context, &requests).await?;
        Ok(replies.into_iter().map(|reply| reply.map_err(StepError::from).and_then(|reply| reply_of(&reply))).collect())
    }

    fn now(&self) -> Timestamp {
        self.now
    }

    fn personal(&self) -> bool {
        self.personal
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
            graph_code: error.graph_code().map(str::to_owned),
            unknown_outcome: error.unknown_outcome(),
            never_sent: error.never_sent(),
        }
    }
}
