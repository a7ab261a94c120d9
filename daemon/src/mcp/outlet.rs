//! The way back to one client: lines in the order in which they are ready, bounded, so that a slow client slows its own session only.

use bytes::Bytes;
use m365_cached_proto::v1::{ServerFrame, server_frame::Frame};
use tokio::sync::mpsc;
use tonic::Status;

/// What a session's stream is fed from.
pub(crate) type Outgoing = Result<ServerFrame, Status>;

/// The sending side of a session's stream.
#[derive(Clone)]
pub(crate) struct Outlet(mpsc::Sender<Outgoing>);

impl Outlet {
    pub(crate) fn new(frames: mpsc::Sender<Outgoing>) -> Self {
        Self(frames)
    }

    /// Sends one line. A client that is gone takes it with it.
    pub(crate) async fn send(&self, line: Bytes) {
        self.frame(Frame::Line(line)).await;
    }

    /// Sends one frame.
    pub(crate) async fn frame(&self, frame: Frame) {
        // The only failure is that the client is gone, and the session ends by itself then.
        let _ = self.0.send(Ok(ServerFrame { frame: Some(frame) })).await;
    }
}
