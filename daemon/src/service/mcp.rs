//! The frame stream of one shim, handed to the MCP side.

use std::{
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use m365_cached::{hint::Kind, tools::Offer};
use m365_cached_proto::{
    PROTOCOL_MIN, PROTOCOL_VERSION,
    v1::{ClientFrame, Drain, Hello, ServerFrame, Welcome, client_frame, mcp_server, server_frame::Frame},
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::tools::tool_profile;
use crate::{
    clients::ClientState,
    core::Problem,
    daemon::{Daemon, End, VERSION},
    gate::PENALTY,
    mcp::{Conversation, Origin, Outgoing, Outlet, Session, left, read_only},
};

/// Frames a client may be behind by before its session waits for it.
const BACKLOG: usize = 32;
/// How long a new stream may take to say who it is.
const HELLO: Duration = Duration::from_secs(5);
/// How long a client that is told of the end may take to hear it. One that says so ends the wait; older ones do not know that they should.
const HEARD: Duration = Duration::from_secs(1);
/// How long calls in flight may take after the client has closed its side; the shim itself waits two seconds.
const FAREWELL: Duration = Duration::from_secs(10);

/// The `Mcp` service.
pub(super) struct McpService {
    daemon: Arc<Daemon>,
}

impl McpService {
    pub(super) fn new(daemon: Arc<Daemon>) -> Self {
        Self { daemon }
    }
}

fn welcome(daemon: &Daemon) -> Frame {
    Frame::Welcome(Welcome {
        daemon_version: VERSION.into(),
        instance: daemon.instance.clone(),
        protocol_min: PROTOCOL_MIN,
        protocol_max: PROTOCOL_VERSION,
        read_only_tools: read_only(),
    })
}

fn introduced(hello: &Hello, offer: Offer, daemon: &Daemon) -> ClientState {
    ClientState {
        pid: hello.pid,
        shim_version: hello.shim_version.clone(),
        connected_at: daemon.now(),
        tools: offer.profile,
        ..ClientState::default()
    }
}

#[tonic::async_trait]
impl mcp_server::Mcp for McpService {
    type SessionStream = Pin<Box<dyn Stream<Item = Result<ServerFrame, Status>> + Send>>;

    async fn session(&self, request: Request<Streaming<ClientFrame>>) -> Result<Response<Self::SessionStream>, Status> {
        let mut incoming = request.into_inner();
        let (frames, outgoing) = mpsc::channel::<Outgoing>(BACKLOG);
        let held = self.daemon.gate.held();
        let outlet = Outlet::new(frames.clone(), Arc::clone(&held));
        let sent = Arc::clone(&held);
        let daemon = Arc::clone(&self.daemon);
        tokio::spawn(async move {
            let hello = match tokio::time::timeout(HELLO, incoming.message()).await {
                Ok(Ok(Some(ClientFrame { frame: Some(client_frame::Frame::Hello(hello)) }))) => hello,
                Ok(Ok(Some(_))) => return refuse(&frames, "the first frame is not a hello").await,
                // Gone, or silent: nobody to tell.
                _ => return,
            };
            if !(PROTOCOL_MIN..=PROTOCOL_VERSION).contains(&hello.protocol) {
                return refuse(&frames, skewed(hello.protocol)).await;
            }
            let origin = Origin {
                policies: Arc::clone(&daemon.policies),
                launch: Some(hello.policy.clone()).filter(|name| !name.is_empty()),
                run: hello.run,
                connection: hello.epoch,
            };
            if let Some(name) = origin.launch.as_deref().filter(|name| !daemon.policies.get().has(name)) {
                tracing::warn!(pid = hello.pid, "a client names a policy that is not configured");
                return refuse_with(&frames, &no_such_policy(name)).await;
            }
            let offer = match tool_profile(&hello.tools) {
                Ok(launch) => Offer::new(daemon.tools, launch),
                Err(problem) => return refuse_with(&frames, &problem).await,
            };
            if let Err(problem) = daemon.gate.room() {
                return refuse_with(&frames, &problem).await;
            }
            drop(frames);
            outlet.frame(welcome(&daemon)).await;
            let seat = daemon.clients.join(introduced(&hello, offer, &daemon));
            let number = seat.session();
            daemon.gate.join(number, held);
            tracing::debug!(session = number, pid = hello.pid, epoch = hello.epoch, "a client attached");
            let session = Arc::new(Session::new(seat, origin, offer));
            let conversation = Conversation::begin(Arc::clone(&daemon), Arc::clone(&session), outlet.clone());
            drive(incoming, conversation, outlet, &daemon, &session).await;
            daemon.gate.leave(number);
            tracing::debug!(session = number, "a client left");
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(outgoing).inspect(move |frame| left(&sent, frame)))))
    }
}

/// What to do with a shim whose protocol this daemon does not speak: whichever is older is to be replaced.
fn skewed(theirs: u32) -> &'static str {
    if theirs > PROTOCOL_VERSION {
        "this daemon is older than the m365-mcp that asks: `m365-cachectl restart`, so that the installed m365-cached runs"
    } else {
        "this m365-mcp is older than the daemon: restart the client, so that it starts the installed m365-mcp"
    }
}

async fn refuse(frames: &mpsc::Sender<Outgoing>, why: &'static str) {
    // A client that is gone need not be told.
    let _ = frames.send(Err(Status::failed_precondition(why))).await;
}

async fn refuse_with(frames: &mpsc::Sender<Outgoing>, problem: &Problem) {
    let _ = frames.send(Err(super::refusal(problem))).await;
}

/// A launch line that names a policy must not run without it.
fn no_such_policy(name: &str) -> Problem {
    let name: String = name.chars().filter(|letter| !letter.is_control()).take(64).collect();
    let message = format!("the launch line names the policy `{name}`, and there is no `[policy.{name}]`; nothing is done for this client");
    Problem::new(
        Kind::Config,
        "unknown_policy",
        message,
        "Add that policy to `config.toml` and run `m365-cachectl reload`, or change the launch line.",
    )
}

/// Moves lines until the client ends, is gone, or the daemon drains.
async fn drive(mut incoming: Streaming<ClientFrame>, mut conversation: Conversation, outlet: Outlet, daemon: &Daemon, session: &Session) {
    let stopping = daemon.stopping();
    tokio::pin!(stopping);
    let mut fences = daemon.fence_changes();
    let farewell = loop {
        tokio::select! {
            frame = incoming.message() => match frame {
                Ok(Some(ClientFrame { frame: Some(client_frame::Frame::Line(line)) })) => take(line, &mut conversation, daemon, session).await,
                Ok(Some(ClientFrame { frame: Some(client_frame::Frame::Eof(_)) })) => break FAREWELL,
                Ok(Some(_)) => {}
                // The client is gone: what it asked for is dropped with its conversation, writes go on by themselves.
                Ok(None) | Err(_) => {
                    session.leaves();
                    return;
                }
            },
            // So that `status` shows the bounds of one that says nothing, too.
            Ok(()) = fences.changed() => drop(session.caller()),
            () = &mut stopping => {
                outlet.frame(Frame::Drain(drain(daemon))).await;
                let _ = tokio::time::timeout(HEARD, last_lines(&mut incoming, &mut conversation, daemon, session)).await;
                break daemon.drain;
            }
        }
    };
    session.leaves();
    // Past the farewell whoever still waits is told by the end of the stream.
    let finished = pin!(conversation.finish());
    tokio::select! {
        ended = tokio::time::timeout(farewell, finished) => if ended.is_err() {
            outlet.close();
        },
        // The client is gone, too: its seat is free.
        () = outlet.unheard() => {}
    }
}

/// What a client is told of the end.
fn drain(daemon: &Daemon) -> Drain {
    let pid = if daemon.end() == End::Stopped { std::process::id() } else { 0 };
    Drain { reason: "the daemon is stopping".into(), pid, socket_stays: daemon.socket_stays }
}

async fn take(line: Bytes, conversation: &mut Conversation, daemon: &Daemon, session: &Session) {
    session.seat.asked();
    if daemon.gate.penalty(session.seat.session()) {
        tokio::time::sleep(PENALTY).await;
    }
    conversation.line(line).await;
}

/// Takes the lines that were on their way when the client was told of the end. Left unread, a write among them would have an outcome that
/// nobody knows.
async fn last_lines(incoming: &mut Streaming<ClientFrame>, conversation: &mut Conversation, daemon: &Daemon, session: &Session) {
    while let Ok(Some(ClientFrame { frame })) = incoming.message().await {
        match frame {
            Some(client_frame::Frame::Line(line)) => take(line, conversation, daemon, session).await,
            Some(client_frame::Frame::Eof(_)) => return,
            _ => {}
        }
    }
}
