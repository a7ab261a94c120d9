//! rmcp's transport over a session's frames: lines in, lines out, without a pipe in between.
//!
//! rmcp takes whatever is no request for the end of the session, until a request has told it the era of its client. A client of 2026-07-28 may have
//! said much by then that rmcp has not heard of, such as calls that were answered from the cache, and takes one of them back: so what is no request
//! is kept from rmcp until then. It could only be about something that rmcp does not know.

use std::{convert::Infallible, future::Future, sync::Arc};

use bytes::Bytes;
use m365_cached_proto::MAX_LINE_OUT;
use rmcp::{
    RoleServer,
    model::{
        ClientJsonRpcMessage, ClientNotification, ClientRequest, GetMeta as _, JsonRpcNotification, ProtocolVersion, RequestId,
        ServerJsonRpcMessage,
    },
    transport::Transport,
};
use tokio::sync::{
    mpsc::{self, error::SendError},
    watch,
};

use super::{handler::Session, outlet::Outlet};

/// Messages rmcp may be behind by before a client has to wait.
const BACKLOG: usize = 64;

/// What rmcp reads from and writes to.
pub(super) struct Frames {
    incoming: mpsc::Receiver<ClientJsonRpcMessage>,
    outlet: Outlet,
    session: Arc<Session>,
    unanswered: Arc<Unanswered>,
    /// rmcp knows the era of the client.
    settled: bool,
}

/// The way to rmcp. rmcp's input ends when the last of them is dropped.
#[derive(Clone)]
pub(super) struct ToRmcp {
    messages: mpsc::Sender<ClientJsonRpcMessage>,
    unanswered: Arc<Unanswered>,
}

/// Requests that rmcp has and has not answered. It gives calls under way five seconds once its input has ended (3.9, `service.rs`), so that its input is
/// to be kept open until there are none.
#[derive(Default)]
pub(super) struct Unanswered(watch::Sender<Vec<RequestId>>);

impl Unanswered {
    fn asked(&self, id: RequestId) {
        self.0.send_modify(|ids| ids.push(id));
    }

    /// One has been answered, or never will be: its client has taken it back.
    fn done(&self, id: &RequestId) {
        self.0.send_modify(|ids| {
            if let Some(at) = ids.iter().position(|open| open == id) {
                ids.swap_remove(at);
            }
        });
    }

    /// Ends when there are none.
    pub(super) async fn none(&self) {
        // The sender lives as long as `self`, so the wait cannot fail.
        let _ = self.0.subscribe().wait_for(Vec::is_empty).await;
    }
}

/// Both ends of the way to rmcp, and what it has not answered.
pub(super) fn channel(outlet: Outlet, session: Arc<Session>) -> (ToRmcp, Frames, Arc<Unanswered>) {
    let (messages, incoming) = mpsc::channel(BACKLOG);
    let unanswered = Arc::<Unanswered>::default();
    let frames = Frames { incoming, outlet, session, unanswered: Arc::clone(&unanswered), settled: false };
    (ToRmcp { messages, unanswered: Arc::clone(&unanswered) }, frames, unanswered)
}

impl ToRmcp {
    /// Hands a message over. When rmcp has ended, whoever waits is told so.
    pub(super) async fn pass(&self, message: ClientJsonRpcMessage, outlet: &Outlet) {
        match (&message, taken_back(&message)) {
            (ClientJsonRpcMessage::Request(request), _) => self.unanswered.asked(request.id.clone()),
            (_, Some(id)) => self.unanswered.done(id),
            _ => {}
        }
        // rmcp ends before its input only when it could not begin.
        if let Err(SendError(ClientJsonRpcMessage::Request(request))) = self.messages.send(message).await {
            self.unanswered.done(&request.id);
            let id = serde_json::to_string(&request.id).unwrap_or_else(|_| "null".into());
            outlet.send(super::error_line(&id, -32603, "this session has ended and nothing was done: restart the client")).await;
        }
    }
}

/// The request that a message takes back.
pub(super) fn taken_back(message: &ClientJsonRpcMessage) -> Option<&RequestId> {
    match message {
        ClientJsonRpcMessage::Notification(JsonRpcNotification {
            notification: ClientNotification::CancelledNotification(cancelled),
            ..
        }) => cancelled.params.request_id.as_ref(),
        _ => None,
    }
}

impl Transport<RoleServer> for Frames {
    type Error = Infallible;

    fn send(&mut self, message: ServerJsonRpcMessage) -> impl Future<Output = Result<(), Infallible>> + Send + 'static {
        let outlet = self.outlet.clone();
        let unanswered = Arc::clone(&self.unanswered);
        let silent = matches!(&message, ServerJsonRpcMessage::Response(response) if self.session.is_silenced(&response.id));
        async move {
            if !silent {
                outlet.send(line_of(&message)).await;
            }
            match &message {
                ServerJsonRpcMessage::Response(response) => unanswered.done(&response.id),
                ServerJsonRpcMessage::Error(error) => error.id.iter().for_each(|id| unanswered.done(id)),
                _ => {}
            }
            Ok(())
        }
    }

    async fn receive(&mut self) -> Option<ClientJsonRpcMessage> {
        loop {
            let message = self.incoming.recv().await?;
            match &message {
                ClientJsonRpcMessage::Request(asked) => self.settled |= settles(&asked.request),
                _ if self.settled => {}
                _ => continue,
            }
            return Some(message);
        }
    }

    async fn close(&mut self) -> Result<(), Infallible> {
        self.incoming.close();
        Ok(())
    }
}

/// Whether a request tells rmcp the era of its client; the same rule as in rmcp's own opening (3.9, `service/server.rs`).
fn settles(request: &ClientRequest) -> bool {
    match request {
        ClientRequest::InitializeRequest(_) => true,
        ClientRequest::PingRequest(_) | ClientRequest::DiscoverRequest(_) => false,
        request => {
            let meta = request.get_meta();
            let known = meta.protocol_version().is_some_and(|version| ProtocolVersion::KNOWN_VERSIONS.contains(&version));
            known && meta.missing_required_keys(&ProtocolVersion::V_2026_07_28).is_empty()
        }
    }
}

/// One message as a line, newline included. A message that cannot be sent becomes an error its client can read.
fn line_of(message: &ServerJsonRpcMessage) -> Bytes {
    match serde_json::to_vec(message) {
        Ok(mut line) if line.len() < MAX_LINE_OUT => {
            line.push(b'\n');
            line.into()
        }
        Ok(line) => {
            let id = match message {
                ServerJsonRpcMessage::Response(response) => serde_json::to_value(&response.id).unwrap_or_default(),
                _ => serde_json::Value::Null,
            };
            super::too_large(&id.to_string(), line.len())
        }
        Err(_) => super::error_line("null", -32603, "the answer could not be written as JSON"),
    }
}
