//! stdin and stdout without a thread where the system allows it: nonblocking on pipes and sockets, a thread for files and terminals.
//!
//! A thread hop costs 20 to 60 % of a whole call, so it is taken only where nonblocking mode is impossible (regular files) or would
//! be felt by others (a terminal's mode belongs to every process on it). Whatever mode was set is put back at the end.

#[cfg(unix)]
mod nonblocking;
mod threaded;

use std::collections::VecDeque;
use std::io;

use bytes::{Bytes, BytesMut};

/// Where the client's lines come from.
#[derive(Debug)]
pub enum Input {
    /// A pipe or socket.
    #[cfg(unix)]
    Nonblocking(nonblocking::Reader),
    /// Anything else.
    Threaded(threaded::Reader),
}

impl Input {
    /// The standard input of this process.
    #[must_use]
    pub fn stdin() -> Self {
        #[cfg(unix)]
        {
            use std::os::fd::AsFd;
            if let Ok(Some(reader)) = io::stdin().as_fd().try_clone_to_owned().and_then(nonblocking::Reader::new) {
                return Self::Nonblocking(reader);
            }
        }
        Self::Threaded(threaded::Reader::new(io::stdin()))
    }

    /// Appends what is there to `buffer`, waiting until something is. 0 at the end. Loses nothing when dropped while waiting.
    ///
    /// # Errors
    /// As the system says.
    pub async fn read(&mut self, buffer: &mut BytesMut) -> io::Result<usize> {
        match self {
            #[cfg(unix)]
            Self::Nonblocking(reader) => reader.read(buffer).await,
            Self::Threaded(reader) => reader.read(buffer).await,
        }
    }
}

/// Where lines for the client go: a queue and the descriptor behind it.
#[derive(Debug)]
pub struct Output {
    queue: VecDeque<Bytes>,
    sink: Sink,
}

#[derive(Debug)]
enum Sink {
    #[cfg(unix)]
    Nonblocking(nonblocking::Writer),
    Threaded(threaded::Writer),
}

impl Output {
    /// The standard output of this process.
    #[must_use]
    pub fn stdout() -> Self {
        #[cfg(unix)]
        {
            use std::os::fd::AsFd;
            if let Ok(Some(writer)) = io::stdout().as_fd().try_clone_to_owned().and_then(nonblocking::Writer::new) {
                return Self { queue: VecDeque::new(), sink: Sink::Nonblocking(writer) };
            }
        }
        Self { queue: VecDeque::new(), sink: Sink::Threaded(threaded::Writer::new(io::stdout())) }
    }

    /// Queues a line.
    pub fn push(&mut self, line: Bytes) {
        self.queue.push_back(line);
    }

    /// True when everything queued has been written.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        let busy = match &self.sink {
            #[cfg(unix)]
            Sink::Nonblocking(_) => false,
            Sink::Threaded(writer) => writer.is_busy(),
        };
        self.queue.is_empty() && !busy
    }

    /// Writes what can be written without waiting.
    ///
    /// # Errors
    /// As the system says; `BrokenPipe` when the client has gone.
    pub fn try_flush(&mut self) -> io::Result<()> {
        match &mut self.sink {
            #[cfg(unix)]
            Sink::Nonblocking(writer) => {
                while !self.queue.is_empty() {
                    match writer.write(&self.queue) {
                        Ok(written) => advance(&mut self.queue, written),
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                        Err(error) => return Err(error),
                    }
                }
                Ok(())
            }
            Sink::Threaded(writer) => writer.hand_over(&mut self.queue),
        }
    }

    /// Writes everything queued, waiting as long as that takes. Loses nothing when dropped while waiting.
    ///
    /// # Errors
    /// As the system says; `BrokenPipe` when the client has gone.
    pub async fn flush(&mut self) -> io::Result<()> {
        loop {
            self.try_flush()?;
            if self.is_idle() {
                return Ok(());
            }
            match &mut self.sink {
                #[cfg(unix)]
                Sink::Nonblocking(writer) => writer.ready().await?,
                Sink::Threaded(writer) => writer.finished().await?,
            }
        }
    }
}

/// Removes the first `count` bytes.
#[cfg(unix)]
fn advance(queue: &mut VecDeque<Bytes>, mut count: usize) {
    while let Some(first) = queue.front_mut() {
        if count < first.len() {
            bytes::Buf::advance(first, count);
            return;
        }
        count -= first.len();
        queue.pop_front();
    }
}

#[cfg(unix)]
impl Input {
    /// Any pipe or socket as input.
    ///
    /// # Errors
    /// When it is neither, or the runtime cannot watch it.
    pub fn from_fd(fd: std::os::fd::OwnedFd) -> io::Result<Self> {
        nonblocking::Reader::new(fd)?.map(Self::Nonblocking).ok_or_else(|| io::ErrorKind::Unsupported.into())
    }
}

#[cfg(unix)]
impl Output {
    /// Any pipe or socket as output.
    ///
    /// # Errors
    /// When it is neither, or the runtime cannot watch it.
    pub fn from_fd(fd: std::os::fd::OwnedFd) -> io::Result<Self> {
        let writer = nonblocking::Writer::new(fd)?.ok_or(io::ErrorKind::Unsupported)?;
        Ok(Self { queue: VecDeque::new(), sink: Sink::Nonblocking(writer) })
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn advancing_leaves_the_rest(parts in proptest::collection::vec("[a-z]{0,6}", 0..8), count in 0_usize..50) {
            let whole = parts.concat();
            let count = count.min(whole.len());
            let mut queue: VecDeque<Bytes> = parts.into_iter().map(Bytes::from).collect();
            advance(&mut queue, count);
            let left: Vec<u8> = queue.iter().flatten().copied().collect();
            prop_assert_eq!(left, &whole.as_bytes()[count..]);
        }
    }
}
