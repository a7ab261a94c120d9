//! The only way out of a tool: what it may ask for, without knowing who does it.

use async_trait::async_trait;
use serde_json::Value;

use super::Files;
use crate::{
    clock::Timestamp,
    graph::GraphRequest,
    hint::{Hint, Kind},
};

/// A reply of Graph that was a success.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// HTTP status, 200 to 299 or 304.
    pub status: u16,
    /// The JSON body, `null` when there was none.
    pub body: Value,
    /// The `ETag` header.
    pub etag: Option<String>,
    /// The `Location` header, such as the monitor of a copy.
    pub location: Option<String>,
}

/// Pages of a collection, as far as they were read.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// The items of all pages read, in order.
    pub items: Vec<Value>,
    /// How many were shown before these, where a cursor is read on from.
    pub before: usize,
    /// Where the next page is, when there is one.
    pub next: Option<String>,
    /// The delta link, at the end of a delta walk.
    pub delta: Option<String>,
}

/// What a tool can do.
#[async_trait]
pub trait Steps: Send + Sync {
    /// Sends one request. Idempotent ones are repeated after a passing failure; others are sent at most once.
    async fn send(&self, request: GraphRequest) -> Result<Reply, StepError>;
    /// Asks for what an answer shows better with and is right without; `None` for any failure. For a call it is given up after a second at
    /// most, and not asked when it is known well enough.
    async fn aside(&self, request: GraphRequest) -> Option<Reply> {
        self.send(request).await.ok()
    }
    /// Reads pages until `enough` says so or there are no more. `enough` sees all items so far.
    async fn pages(&self, request: GraphRequest, enough: &(dyn for<'a> Fn(&'a [Value]) -> bool + Send + Sync)) -> Result<Page, StepError>;
    /// Sends many requests at once through `$batch`, 20 at a time; each has its own outcome, in the order asked. It fails as a whole only when
    /// nothing is known of any.
    async fn batch(&self, requests: Vec<GraphRequest>) -> Result<Vec<Result<Reply, StepError>>, StepError>;
    /// How files move to and from this machine.
    fn files(&self) -> &dyn Files;
    /// When this call began.
    fn now(&self) -> Timestamp;
    /// Whether the account is a personal one, which lacks parts of Graph.
    fn personal(&self) -> bool;
}

/// Why a step failed, in the terms that matter to a tool and its user.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct StepError {
    /// Who has to act.
    pub kind: Kind,
    /// Stable, snake case: Graph's own code in our spelling, or ours.
    pub code: &'static str,
    /// What happened and what it means, without content.
    pub message: String,
    /// One thing to do.
    pub hint: Option<String>,
    /// HTTP status of Graph's refusal.
    pub status: Option<u16>,
    /// Graph's own error code: `ErrorItemNotFound`.
    pub graph_code: Option<Box<str>>,
    /// The request may have taken effect: one of its attempts was sent and not answered. Never true for one that only asks.
    pub unknown_outcome: bool,
    /// The request certainly had no effect: it never left this machine, or was refused before it acted.
    pub never_sent: bool,
    /// How long Microsoft, or what keeps us from it, asks to wait.
    pub retry_after: Option<std::time::Duration>,
    /// What an earlier step of the call has left; boxed, for it is rare and every result has room for the error.
    pub left: Option<Box<Left>>,
}

/// What a call that failed half-way has left at Microsoft.
#[derive(Debug, Clone)]
pub struct Left {
    /// Microsoft's id of a draft, as the error's message names it: answers show a handle in its place.
    pub draft: String,
}

impl Hint for StepError {
    fn kind(&self) -> Kind {
        self.kind
    }
    fn code(&self) -> &'static str {
        self.code
    }
    fn hint(&self) -> Option<String> {
        self.hint.clone()
    }
}

const UNCONFIRMED: &str = "confirmation_required";
const PARTLY: &str = "partly_done";

impl StepError {
    /// An answer of Graph that does not have the shape it should have.
    pub fn unexpected(what: &str) -> Self {
        Self {
            kind: Kind::Offline,
            code: "unexpected_reply",
            message: format!("Microsoft Graph sent an answer without {what}"),
            hint: Some("Try again; if it stays, report it with the request id from the log.".into()),
            status: None,
            graph_code: None,
            unknown_outcome: false,
            never_sent: false,
            retry_after: None,
            left: None,
        }
    }

    /// Only now it shows that the call reaches others, and nobody has agreed to it: nothing was sent, and the engine asks. A tool that
    /// gives this has `confirm_token`, and takes one that is there as agreed: the engine has looked at it.
    pub fn unconfirmed() -> Self {
        Self::user(UNCONFIRMED, "this needs the user's consent; nothing was done", "Ask the user.")
    }

    /// Whether it is [`StepError::unconfirmed`].
    pub fn is_unconfirmed(&self) -> bool {
        self.code == UNCONFIRMED
    }

    /// An earlier step took effect and a later one certainly did not: `left` says what there is now, `hint` what to do with it. What the
    /// call touches counts as touched.
    pub fn partly(self, left: &str, hint: impl Into<String>) -> Self {
        let message = format!("{left}; then: {}", self.message);
        Self { code: PARTLY, message, hint: Some(hint.into()), unknown_outcome: true, never_sent: false, ..self }
    }

    /// The same where what there is now is a draft, and `message` names it by this id.
    #[must_use]
    pub fn about(self, draft: &str) -> Self {
        Self { left: Some(Box::new(Left { draft: draft.to_owned() })), ..self }
    }

    /// Whether it is [`StepError::partly`].
    pub fn is_partly(&self) -> bool {
        self.code == PARTLY
    }

    /// The same for a step that only looks before anything is changed: whatever became of it, nothing was done.
    #[must_use]
    pub fn before(self) -> Self {
        Self { never_sent: true, ..self }
    }

    /// The same after an earlier attempt at the same change that may have happened: whatever became of this one, nobody knows.
    #[must_use]
    pub fn after_doubt(self) -> Self {
        Self { unknown_outcome: true, never_sent: false, ..self }
    }

    /// Whether it is sure that the step changed nothing. In doubt it is not.
    pub fn is_refusal(&self) -> bool {
        let refused = matches!(self.status, Some(400..=499)) || matches!(self.kind, Kind::User | Kind::SignIn) || self.never_sent;
        refused && !self.unknown_outcome
    }

    /// A wrong argument that only shows once Graph was asked.
    pub fn user(code: &'static str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            kind: Kind::User,
            code,
            message: message.into(),
            hint: Some(hint.into()),
            status: None,
            graph_code: None,
            unknown_outcome: false,
            never_sent: true,
            retry_after: None,
            left: None,
        }
    }
}
