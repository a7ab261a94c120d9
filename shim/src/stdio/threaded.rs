//! Files, terminals and Windows handles: a thread of its own for each direction, since reading them can only be waited for.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};

use bytes::{Bytes, BytesMut};
use tokio::sync::mpsc;

const CHUNK: usize = 64 * 1024;

/// Reads on a thread that is at most two chunks ahead.
#[derive(Debug)]
pub struct Reader {
    chunks: mpsc::Receiver<io::Result<Vec<u8>>>,
}

impl Reader {
    pub(super) fn new(mut source: impl Read + Send + 'static) -> Self {
        let (to, chunks) = mpsc::channel(1);
        std::thread::spawn(move || {
            let mut chunk = vec![0; CHUNK];
            loop {
                let read = match source.read(&mut chunk) {
                    Ok(0) => return,
                    Ok(read) => Ok(chunk[..read].to_vec()),
                    Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                    Err(error) => Err(error),
                };
                let last = read.is_err();
                if to.blocking_send(read).is_err() || last {
                    return;
                }
            }
        });
        Self { chunks }
    }

    pub(super) async fn read(&mut self, buffer: &mut BytesMut) -> io::Result<usize> {
        let Some(chunk) = self.chunks.recv().await.transpose()? else { return Ok(0) };
        buffer.extend_from_slice(&chunk);
        Ok(chunk.len())
    }
}

/// Writes on a thread, one batch at a time.
#[derive(Debug)]
pub(super) struct Writer {
    batches: mpsc::Sender<VecDeque<Bytes>>,
    done: mpsc::Receiver<io::Result<()>>,
    busy: bool,
}

impl Writer {
    pub(super) fn new(mut sink: impl Write + Send + 'static) -> Self {
        let (batches, mut todo) = mpsc::channel::<VecDeque<Bytes>>(1);
        let (report, done) = mpsc::channel(1);
        std::thread::spawn(move || {
            while let Some(batch) = todo.blocking_recv() {
                let written = batch.iter().try_for_each(|line| sink.write_all(line)).and_then(|()| sink.flush());
                if report.blocking_send(written).is_err() {
                    return;
                }
            }
        });
        Self { batches, done, busy: false }
    }

    pub(super) fn is_busy(&self) -> bool {
        self.busy
    }

    /// Gives the queue to the thread unless that is still writing the last one.
    pub(super) fn hand_over(&mut self, queue: &mut VecDeque<Bytes>) -> io::Result<()> {
        if !self.busy && !queue.is_empty() {
            self.batches.try_send(std::mem::take(queue)).map_err(|_| ErrorKind::BrokenPipe)?;
            self.busy = true;
        }
        Ok(())
    }

    /// Waits until the thread has written what it was given.
    pub(super) async fn finished(&mut self) -> io::Result<()> {
        let result = self.done.recv().await.unwrap_or_else(|| Err(ErrorKind::BrokenPipe.into()));
        self.busy = false;
        result
    }
}
