//! The way back to one client: lines in the order in which they are ready, bounded, so that a slow client slows its own session only.

use std::sync::Arc;

use bytes::Bytes;
use m365_cached_proto::v1::{ServerFrame, server_frame::Frame};
use tokio::sync::mpsc;
use tonic::Status;

use crate::gate::Held;

/// What a session's stream is fed from.
pub(crate) type Outgoing = Result<ServerFrame, Status>;

/// The sending side of a session's stream.
#[derive(Clone)]
pub(crate) struct Outlet {
    frames: mpsc::Sender<Outgoing>,
    held: Arc<Held>,
}

impl Outlet {
    /// Into `frames`; what waits there counts as `held`, until [`left`] is told that it has gone.
    pub(crate) fn new(frames: mpsc::Sender<Outgoing>, held: Arc<Held>) -> Self {
        Self { frames, held }
    }

    /// Sends one line. A client that is gone takes it with it.
    pub(crate) async fn send(&self, line: Bytes) {
        self.frame(Frame::Line(line)).await;
    }

    /// Sends one frame.
    pub(crate) async fn frame(&self, frame: Frame) {
        let frame = Ok(ServerFrame { frame: Some(frame) });
        self.held.add(weight(&frame));
        // The only failure is that the client is gone; the session ends by itself then, and what it held with it.
        let _ = self.frames.send(frame).await;
    }
}

/// A frame is on its way to the client.
pub(crate) fn left(held: &Held, frame: &Outgoing) {
    held.take(weight(frame));
}

fn weight(frame: &Outgoing) -> u64 {
    match frame {
        Ok(ServerFrame { frame: Some(Frame::Line(line)) }) => u64::try_from(line.len()).unwrap_or(u64::MAX),
        _ => 0,
    }
}
