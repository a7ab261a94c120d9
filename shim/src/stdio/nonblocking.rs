//! Pipes and sockets, watched by the runtime.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::os::fd::OwnedFd;

use bytes::{Bytes, BytesMut};
use rustix::fs::{FileType, OFlags, fcntl_getfl, fcntl_setfl, fstat};
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::net::unix::pipe;

/// Room made for a read; a pipe holds no more.
const CHUNK: usize = 64 * 1024;
/// Room below which more is made.
const SCANT: usize = 4 * 1024;
/// What the pipe to the client is to hold: a long line then goes in at once instead of 64 KB at a time, each with a wait. 1 MiB is what
/// Linux allows everybody; it takes memory only while something is in it.
#[cfg(any(target_os = "linux", target_os = "android"))]
const PIPE: usize = 1024 * 1024;
/// Most lines written at once.
const SLICES: usize = 16;

/// Reads from a pipe or socket.
#[derive(Debug)]
pub struct Reader {
    source: Source,
    _mode: Mode,
}

#[derive(Debug)]
enum Source {
    Pipe(pipe::Receiver),
    Socket(UnixStream),
}

impl Reader {
    /// `None` unless `fd` is a pipe or a socket.
    pub(super) fn new(fd: OwnedFd) -> io::Result<Option<Self>> {
        let Some((kind, mode)) = Mode::set(&fd)? else { return Ok(None) };
        let source = match kind {
            Kind::Pipe => Source::Pipe(pipe::Receiver::from_owned_fd(fd)?),
            Kind::Socket => Source::Socket(UnixStream::from_std(fd.into())?),
        };
        Ok(Some(Self { source, _mode: mode }))
    }

    pub(super) async fn read(&mut self, buffer: &mut BytesMut) -> io::Result<usize> {
        if buffer.capacity() - buffer.len() < SCANT {
            buffer.reserve(CHUNK);
        }
        match &mut self.source {
            Source::Pipe(pipe) => pipe.read_buf(buffer).await,
            Source::Socket(socket) => socket.read_buf(buffer).await,
        }
    }
}

/// Writes to a pipe or socket.
#[derive(Debug)]
pub(super) struct Writer {
    target: Target,
    _mode: Mode,
}

#[derive(Debug)]
enum Target {
    Pipe(pipe::Sender),
    Socket(UnixStream),
}

impl Writer {
    /// `None` unless `fd` is a pipe or a socket.
    pub(super) fn new(fd: OwnedFd) -> io::Result<Option<Self>> {
        let Some((kind, mode)) = Mode::set(&fd)? else { return Ok(None) };
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if matches!(kind, Kind::Pipe) {
            // Refused to a user who has many pipes already; the usual size is only slower.
            let _ = rustix::pipe::fcntl_setpipe_size(&fd, PIPE);
        }
        let target = match kind {
            Kind::Pipe => Target::Pipe(pipe::Sender::from_owned_fd(fd)?),
            Kind::Socket => Target::Socket(UnixStream::from_std(fd.into())?),
        };
        Ok(Some(Self { target, _mode: mode }))
    }

    /// Writes once, from the lines as they lie in memory; `WouldBlock` when there is no room.
    pub(super) fn write(&self, queue: &VecDeque<Bytes>) -> io::Result<usize> {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let used = queue.len().min(SLICES);
        for (slice, line) in slices.iter_mut().zip(queue) {
            *slice = IoSlice::new(line);
        }
        match &self.target {
            Target::Pipe(pipe) => pipe.try_write_vectored(&slices[..used]),
            Target::Socket(socket) => socket.try_write_vectored(&slices[..used]),
        }
    }

    /// Waits until there may be room.
    pub(super) async fn ready(&self) -> io::Result<()> {
        match &self.target {
            Target::Pipe(pipe) => pipe.writable().await,
            Target::Socket(socket) => socket.writable().await,
        }
    }
}

enum Kind {
    Pipe,
    Socket,
}

/// The mode a descriptor had before it was made nonblocking; put back when dropped, since others may share it.
#[derive(Debug)]
struct Mode {
    fd: OwnedFd,
    before: OFlags,
}

impl Mode {
    fn set(fd: &OwnedFd) -> io::Result<Option<(Kind, Self)>> {
        let kind = match FileType::from_raw_mode(fstat(fd)?.st_mode) {
            FileType::Fifo => Kind::Pipe,
            FileType::Socket => Kind::Socket,
            _ => return Ok(None),
        };
        let mode = Self { fd: fd.try_clone()?, before: fcntl_getfl(fd)? };
        fcntl_setfl(fd, mode.before | OFlags::NONBLOCK)?;
        Ok(Some((kind, mode)))
    }
}

impl Drop for Mode {
    fn drop(&mut self) {
        if !self.before.contains(OFlags::NONBLOCK) {
            // At the end of the process there is nobody to tell.
            let _ = fcntl_setfl(&self.fd, self.before);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_mode_is_put_back() {
        let (reader, writer) = io::pipe().unwrap();
        let (ours, theirs): (OwnedFd, OwnedFd) = (reader.try_clone().unwrap().into(), writer.into());
        let watched = Reader::new(ours).unwrap().unwrap();
        assert!(fcntl_getfl(&reader).unwrap().contains(OFlags::NONBLOCK), "the mode belongs to the pipe, not to the descriptor");
        drop(watched);
        assert!(!fcntl_getfl(&reader).unwrap().contains(OFlags::NONBLOCK));
        drop(theirs);
    }

    #[tokio::test]
    async fn files_and_devices_are_left_alone() {
        let file = tempfile::tempfile().unwrap();
        assert!(Reader::new(file.into()).unwrap().is_none());
        assert!(Writer::new(std::fs::File::open("/dev/null").unwrap().into()).unwrap().is_none());
    }

    #[tokio::test]
    async fn a_full_pipe_blocks_and_loses_nothing() {
        let (reader, writer) = io::pipe().unwrap();
        let mut output = super::super::Output::from_fd(writer.into()).unwrap();
        let mut input = super::super::Input::from_fd(reader.into()).unwrap();
        let lines: Vec<Bytes> = (0..40_u8).map(|n| Bytes::from(vec![n; 10_007])).collect();
        lines.iter().for_each(|line| output.push(line.clone()));
        output.try_flush().unwrap();
        assert!(!output.is_idle(), "400 KB do not fit in a pipe");
        let mut got = BytesMut::new();
        let read = async {
            while got.len() < 400_280 {
                input.read(&mut got).await.unwrap();
            }
        };
        let (flushed, ()) = tokio::join!(output.flush(), read);
        flushed.unwrap();
        assert_eq!(got, lines.concat());
    }
}
