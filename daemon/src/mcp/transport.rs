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
    model::{ClientJsonRpcMessage, ClientRequest, GetMeta as _, ProtocolVersion, ServerJsonRpcMessage},
    transport::Transport,
};
use tokio::sync::mpsc;

use super::{handler::Session, outlet::Outlet};

/// What rmcp reads from and writes to.
pub(super) struct Frames {
    incoming: mpsc::Receiver<ClientJsonRpcMessage>,
    outlet: Outlet,
    session: Arc<Session>,
    /// rmcp knows the era of the client.
    settled: bool,
}

impl Frames {
    pub(super) fn new(incoming: mpsc::Receiver<ClientJsonRpcMessage>, outlet: Outlet, session: Arc<Session>) -> Self {
        Self { incoming, outlet, session, settled: false }
    }
}

impl Transport<RoleServer> for Frames {
    type Error = Infallible;

    fn send(&mut self, message: ServerJsonRpcMessage) -> impl Future<Output = Result<(), Infallible>> + Send + 'static {
        let outlet = self.outlet.clone();
        let silent = matches!(&message, ServerJsonRpcMessage::Response(response) if self.session.is_silenced(&response.id));
        async move {
            if !silent {
                outlet.send(line_of(&message)).await;
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
