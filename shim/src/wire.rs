//! One connection to the daemon: connect, open the frame stream, hand over frames. It never reconnects; `link` decides that.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;

use m365_cached_proto::dirs::Profile;
use m365_cached_proto::endpoint::{ConnectError, connect, mcp_client};
use m365_cached_proto::v1::client_frame::Frame;
use m365_cached_proto::v1::{ClientFrame, Fault, ServerFrame};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Response, Status, Streaming};

/// Frames on their way into the stream; more wait in `queue`.
const IN_STREAM: usize = 64;

type Connecting = Pin<Box<dyn Future<Output = Result<Channel, ConnectError>>>>;
type Opening = Pin<Box<dyn Future<Output = Result<Response<Streaming<ServerFrame>>, Status>>>>;

/// What the connection reports.
#[derive(Debug)]
pub(crate) enum Event {
    Connected,
    ConnectFailed(ConnectError),
    /// The stream is open; nothing to do but go on.
    Opened,
    Frame(ServerFrame),
    /// The connection is over, with the reason.
    Ended(String),
}

#[derive(Default)]
enum State {
    #[default]
    Idle,
    Connecting(Connecting),
    Opening(Opening, Channel),
    /// The channel is kept because its last handle closes the connection.
    Open {
        stream: Box<Streaming<ServerFrame>>,
        _channel: Channel,
    },
}

/// The connection, in whatever state it is.
#[derive(Default)]
pub(crate) struct Wire {
    state: State,
    to: Option<mpsc::Sender<ClientFrame>>,
    queue: VecDeque<ClientFrame>,
    half_close: bool,
}

impl Wire {
    /// Begins an attempt.
    pub(crate) fn dial(&mut self, profile: &Profile) {
        self.hang_up();
        let profile = profile.clone();
        self.state = State::Connecting(Box::pin(async move { connect(&profile).await }));
    }

    /// Drops the connection or the attempt, and what was to be sent on it.
    pub(crate) fn hang_up(&mut self) {
        *self = Self::default();
    }

    /// Queues a frame.
    pub(crate) fn push(&mut self, frame: Frame) {
        self.queue.push_back(ClientFrame { frame: Some(frame) });
    }

    /// Ends our side of the stream once everything queued has gone.
    pub(crate) fn half_close(&mut self) {
        self.half_close = true;
    }

    /// True while frames wait for room in the stream; input should wait too.
    pub(crate) fn is_full(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Moves queued frames into the stream as far as there is room.
    pub(crate) fn flush(&mut self) {
        let Some(to) = &self.to else { return };
        while let Some(frame) = self.queue.pop_front() {
            match to.try_send(frame) {
                Ok(()) => {}
                Err(mpsc::error::TrySendError::Full(frame)) => {
                    self.queue.push_front(frame);
                    return;
                }
                // The stream is over; its end is reported by `next`.
                Err(mpsc::error::TrySendError::Closed(_)) => self.queue.clear(),
            }
        }
        if self.half_close {
            self.to = None;
        }
    }

    /// Waits until the stream has room again; for ever when nothing waits for it.
    pub(crate) async fn room(to: Option<mpsc::Sender<ClientFrame>>) {
        match to {
            // Dropping the permit at once leaves the room to `flush`. A closed stream is reported by `next`.
            Some(to) if to.reserve().await.is_ok() => {}
            _ => std::future::pending().await,
        }
    }

    /// A handle for `room` when frames wait.
    pub(crate) fn waiting(&self) -> Option<mpsc::Sender<ClientFrame>> {
        self.to.as_ref().filter(|_| self.is_full()).cloned()
    }

    /// The next event. Loses nothing when dropped while waiting.
    pub(crate) async fn next(&mut self) -> Event {
        match &mut self.state {
            State::Idle => std::future::pending().await,
            State::Connecting(connecting) => match connecting.await {
                Ok(channel) => {
                    let (to, from) = mpsc::channel(IN_STREAM);
                    self.to = Some(to);
                    let mut client = mcp_client(channel.clone());
                    let opening = async move { client.session(ReceiverStream::new(from)).await };
                    self.state = State::Opening(Box::pin(opening), channel);
                    Event::Connected
                }
                Err(error) => {
                    self.state = State::Idle;
                    Event::ConnectFailed(error)
                }
            },
            State::Opening(opening, channel) => match opening.await {
                Ok(response) => {
                    self.state = State::Open { stream: Box::new(response.into_inner()), _channel: channel.clone() };
                    Event::Opened
                }
                Err(status) => self.ended(&status),
            },
            State::Open { stream, .. } => match stream.message().await {
                Ok(Some(frame)) => Event::Frame(frame),
                Ok(None) => {
                    self.hang_up();
                    Event::Ended("the daemon ended the connection".to_owned())
                }
                Err(status) => self.ended(&status),
            },
        }
    }

    fn ended(&mut self, status: &Status) -> Event {
        self.hang_up();
        Event::Ended(Fault::from_status(status).message)
    }
}
