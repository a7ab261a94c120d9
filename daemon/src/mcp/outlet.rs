//! The way back to one client: lines in the order in which they are ready, bounded, so that a slow client slows its own session only.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

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
    closed: Arc<AtomicBool>,
}

impl Outlet {
    /// Into `frames`; what waits there counts as `held`, until [`left`] is told that it has gone.
    pub(crate) fn new(frames: mpsc::Sender<Outgoing>, held: Arc<Held>) -> Self {
        Self { frames, held, closed: Arc::default() }
    }

    /// Sends one line. A client that is gone takes it with it.
    pub(crate) async fn send(&self, line: Bytes) {
        self.frame(Frame::Line(line)).await;
    }

    /// Bytes that are held for the client: of answers it has not taken, and of calls under way.
    pub(super) fn holds(&self) -> u64 {
        self.held.bytes()
    }

    /// Ends when nobody takes frames any more.
    pub(crate) async fn unheard(&self) {
        self.frames.closed().await;
    }

    /// Sends nothing more: what is given up at the end is told to nobody, for the next daemon is asked the same.
    pub(crate) fn close(&self) {
        self.closed.store(true, Relaxed);
    }

    /// Sends one frame.
    pub(crate) async fn frame(&self, frame: Frame) {
        if self.closed.load(Relaxed) {
            return;
        }
        let frame = Ok(ServerFrame { frame: Some(frame) });
        let waiting = Waiting::for_room(&self.held, weight(&frame));
        // The only failure is that the client is gone; the session ends by itself then.
        if let Ok(room) = self.frames.reserve().await {
            waiting.goes();
            room.send(frame);
        }
    }
}

/// A frame for which there is no room yet. Whoever sends it may be given up meanwhile, and it is not held then.
struct Waiting<'a> {
    held: &'a Held,
    bytes: u64,
}

impl<'a> Waiting<'a> {
    fn for_room(held: &'a Held, bytes: u64) -> Self {
        held.add(bytes);
        Self { held, bytes }
    }

    /// It is on its way, and held until [`left`] is told.
    fn goes(mut self) {
        self.bytes = 0;
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.held.take(self.bytes);
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
