//! The frame stream of one shim, handed to the MCP side.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use futures_util::Stream;
use m365_cached_proto::{
    PROTOCOL_MIN, PROTOCOL_VERSION,
    v1::{ClientFrame, Drain, Hello, ServerFrame, Welcome, client_frame, mcp_server, server_frame::Frame},
};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::clients::{Attached, Clients};
use crate::mcp::{Calls, Conversation, Outgoing, Outlet, Session, read_only};

/// Frames a client may be behind by before its session waits for it.
const BACKLOG: usize = 32;
/// How long a new stream may take to say who it is.
const HELLO: Duration = Duration::from_secs(5);
/// How long calls in flight may take after the client has closed its side; the shim itself waits two seconds.
const FAREWELL: Duration = Duration::from_secs(10);

/// The `Mcp` service.
pub struct McpService {
    calls: Arc<dyn Calls>,
    clients: Arc<Clients>,
    instance: String,
    /// Set when the daemon begins to drain.
    draining: watch::Receiver<bool>,
    numbers: AtomicU64,
}

impl McpService {
    /// Serves `calls`; sessions are told when `draining` becomes true.
    pub fn new(calls: Arc<dyn Calls>, clients: Arc<Clients>, instance: String, draining: watch::Receiver<bool>) -> Self {
        Self { calls, clients, instance, draining, numbers: AtomicU64::new(1) }
    }

    fn welcome(&self) -> Frame {
        Frame::Welcome(Welcome {
            daemon_version: env!("CARGO_PKG_VERSION").into(),
            instance: self.instance.clone(),
            protocol_min: PROTOCOL_MIN,
            protocol_max: PROTOCOL_VERSION,
            read_only_tools: read_only(),
        })
    }
}

#[tonic::async_trait]
impl mcp_server::Mcp for McpService {
    type SessionStream = Pin<Box<dyn Stream<Item = Result<ServerFrame, Status>> + Send>>;

    async fn session(&self, request: Request<Streaming<ClientFrame>>) -> Result<Response<Self::SessionStream>, Status> {
        let mut incoming = request.into_inner();
        let (frames, outgoing) = mpsc::channel::<Outgoing>(BACKLOG);
        let outlet = Outlet::new(frames.clone());
        let number = self.numbers.fetch_add(1, Relaxed);
        let session = Arc::new(Session { number, ..Session::default() });
        let (calls, clients, draining, welcome) = (self.calls.clone(), self.clients.clone(), self.draining.clone(), self.welcome());
        tokio::spawn(async move {
            let hello = match tokio::time::timeout(HELLO, incoming.message()).await {
                Ok(Ok(Some(ClientFrame { frame: Some(client_frame::Frame::Hello(hello)) }))) => hello,
                Ok(Ok(Some(_))) => return refuse(&frames, "the first frame is not a hello").await,
                // Gone, or silent: nobody to tell.
                _ => return,
            };
            if !(PROTOCOL_MIN..=PROTOCOL_VERSION).contains(&hello.protocol) {
                return refuse(&frames, "this shim speaks another protocol: restart the client, so that it starts the installed m365-mcp").await;
            }
            drop(frames);
            outlet.frame(welcome).await;
            let attached = clients.attach(session.clone(), &hello);
            log_begin(number, &hello);
            drive(incoming, Conversation::begin(calls, session, outlet.clone()), outlet, draining, &attached).await;
            tracing::debug!(session = number, "a client left");
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(outgoing))))
    }
}

fn log_begin(session: u64, hello: &Hello) {
    tracing::debug!(session, pid = hello.pid, epoch = hello.epoch, "a client attached");
}

async fn refuse(frames: &mpsc::Sender<Outgoing>, why: &'static str) {
    // A client that is gone need not be told.
    let _ = frames.send(Err(Status::failed_precondition(why))).await;
}

/// Moves lines until the client ends, is gone, or the daemon drains.
async fn drive(
    mut incoming: Streaming<ClientFrame>,
    mut conversation: Conversation,
    outlet: Outlet,
    mut draining: watch::Receiver<bool>,
    attached: &Attached,
) {
    loop {
        tokio::select! {
            frame = incoming.message() => match frame {
                Ok(Some(ClientFrame { frame: Some(client_frame::Frame::Line(line)) })) => {
                    attached.called();
                    conversation.line(line).await;
                }
                Ok(Some(ClientFrame { frame: Some(client_frame::Frame::Eof(_)) })) => break,
                Ok(Some(_)) => {}
                // The client is gone: what it asked for is dropped with its conversation, writes go on by themselves.
                Ok(None) | Err(_) => return,
            },
            _ = draining.wait_for(|draining| *draining) => {
                outlet.frame(Frame::Drain(Drain { reason: "the daemon is stopping".into() })).await;
                break;
            }
        }
    }
    // Past the farewell whoever still waits is told by the end of the stream.
    let _ = tokio::time::timeout(FAREWELL, conversation.finish()).await;
}
