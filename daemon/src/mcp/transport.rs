//! rmcp's transport over a session's frames: lines in, lines out, without a pipe in between.

use std::{convert::Infallible, future::Future, sync::Arc};

use bytes::Bytes;
use m365_cached_proto::MAX_LINE_OUT;
use rmcp::{
    RoleServer,
    model::{ClientJsonRpcMessage, ServerJsonRpcMessage},
    transport::Transport,
};
use tokio::sync::mpsc;

use super::{handler::Session, outlet::Outlet};

/// What rmcp reads from and writes to.
pub(super) struct Frames {
    incoming: mpsc::Receiver<ClientJsonRpcMessage>,
    outlet: Outlet,
    session: Arc<Session>,
}

impl Frames {
    pub(super) fn new(incoming: mpsc::Receiver<ClientJsonRpcMessage>, outlet: Outlet, session: Arc<Session>) -> Self {
        Self { incoming, outlet, session }
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
        self.incoming.recv().await
    }

    async fn close(&mut self) -> Result<(), Infallible> {
        self.incoming.close();
        Ok(())
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
