//! Connections under watch: no more than there may be, and none on which nothing ever comes.
//!
//! A client of ours answers pings (HTTP/2), so silence means that nobody is there, or somebody who does not speak our protocol. A connection
//! is closed after one to two times the idle time: looking at the clock at every read would cost more than it is worth.
//!
//! At its end only our half is closed, until the client has closed the other: while it reads, it writes (that it has room again), and an HTTP/2
//! client whose write fails drops what it has not read yet. Measured with an answer of 20 MB at the end of a daemon: its last 64 KB were lost.

use std::{
    future::Future as _,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_util::{Stream, StreamExt as _};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};
use tonic::transport::server::Connected;

/// Connections besides those of clients: people with `m365-cachectl`, and clients that have to be told that there are too many.
const SPARE: u64 = 64;

/// So long a client may take to read what was written and close its half. A pipe of Windows has no halves.
const LINGER: Duration = if cfg!(unix) { Duration::from_secs(2) } else { Duration::ZERO };

/// Those of `incoming` for which there is room, each under watch. Further ones are closed at once.
pub fn watched<C>(
    incoming: impl Stream<Item = io::Result<C>> + Send,
    clients: impl Fn() -> u64 + Send,
    idle: Duration,
) -> impl Stream<Item = io::Result<Watched<C>>> + Send
where
    C: Send,
{
    let open = Arc::new(AtomicU64::new(0));
    let mut turned_away = 0_u64;
    incoming.filter_map(move |connection| {
        let watched = match connection {
            Ok(connection) if open.load(Relaxed) < clients() + SPARE => Some(Ok(Watched::new(connection, &open, idle))),
            Ok(_) => {
                turned_away += 1;
                // Each doubling is told, so that it cannot fill the log.
                if turned_away.is_power_of_two() {
                    tracing::warn!(count = turned_away, "too many connections: one was closed");
                }
                None
            }
            Err(error) => Some(Err(error)),
        };
        std::future::ready(watched)
    })
}

/// A connection under watch.
#[derive(Debug)]
pub struct Watched<C> {
    connection: C,
    idle: Duration,
    /// Something has come since the watch was set.
    heard: bool,
    watch: Pin<Box<Sleep>>,
    /// Our half is closed, and it is read until then.
    lingers: Option<Pin<Box<Sleep>>>,
    _place: Place,
}

/// A place among the connections; free again when dropped.
#[derive(Debug)]
struct Place(Arc<AtomicU64>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl<C> Watched<C> {
    fn new(connection: C, open: &Arc<AtomicU64>, idle: Duration) -> Self {
        open.fetch_add(1, Relaxed);
        Self { connection, idle, heard: false, watch: Box::pin(sleep(idle)), lingers: None, _place: Place(Arc::clone(open)) }
    }

    /// An error once nothing has come for too long.
    fn look(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        loop {
            ready!(self.watch.as_mut().poll(context));
            if !std::mem::take(&mut self.heard) {
                return Poll::Ready(io::Error::new(io::ErrorKind::TimedOut, "nothing has come for too long"));
            }
            let next = self.watch.deadline() + self.idle;
            self.watch.as_mut().reset(next.max(Instant::now()));
        }
    }
}

impl<C: Connected> Connected for Watched<C> {
    type ConnectInfo = C::ConnectInfo;

    fn connect_info(&self) -> Self::ConnectInfo {
        self.connection.connect_info()
    }
}

impl<C: AsyncRead + Unpin> AsyncRead for Watched<C> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.connection).poll_read(context, buffer);
        if read.is_pending() {
            return self.look(context).map(Err);
        }
        self.heard |= buffer.filled().len() > before;
        read
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Watched<C> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.connection).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { connection, lingers, .. } = &mut *self;
        if lingers.is_none() {
            ready!(Pin::new(&mut *connection).poll_shutdown(context))?;
        }
        let lingers = lingers.get_or_insert_with(|| Box::pin(sleep(LINGER)));
        let mut unread = [0; 1024];
        while lingers.as_mut().poll(context).is_pending() {
            let mut buffer = ReadBuf::new(&mut unread);
            let read = ready!(Pin::new(&mut *connection).poll_read(context, &mut buffer));
            if read.is_err() || buffer.filled().is_empty() {
                break;
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, slices: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.connection).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.connection.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    #[tokio::test]
    async fn who_speaks_is_kept_for_the_idle_time_and_then_closed() {
        let idle = Duration::from_millis(80);
        let (mut client, server) = duplex(64);
        let open = Arc::new(AtomicU64::new(0));
        let began = Instant::now();
        let mut watched = Watched::new(server, &open, idle);
        let mut buffer = [0; 8];
        client.write_all(b"ping").await.unwrap();
        assert_eq!(watched.read(&mut buffer).await.unwrap(), 4);
        assert_eq!(watched.read(&mut buffer).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(began.elapsed() >= idle * 2, "what was heard in the first time keeps it for a second one: {:?}", began.elapsed());
        assert_eq!(open.load(Relaxed), 1);
        drop(watched);
        assert_eq!(open.load(Relaxed), 0);

        let began = Instant::now();
        let (_silent, server) = duplex(64);
        let error = Watched::new(server, &open, idle).read(&mut buffer).await.unwrap_err();
        assert!(error.kind() == io::ErrorKind::TimedOut && began.elapsed() >= idle);
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn who_reads_to_the_end_may_write_until_then() {
        let (mut client, server) = duplex(64);
        let mut watched = Watched::new(server, &Arc::default(), Duration::from_secs(60));
        watched.write_all(b"the last words").await.unwrap();
        let end = tokio::spawn(async move { watched.shutdown().await });
        let mut said = String::new();
        client.read_to_string(&mut said).await.unwrap();
        assert_eq!(said, "the last words");
        client.write_all(b"there is room again").await.unwrap();
        assert!(!end.is_finished());
        drop(client);
        end.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn there_are_no_more_than_there_may_be() {
        let many = stream::iter((0..SPARE + 10).map(|_| Ok(duplex(1).0)));
        let kept: Vec<_> = watched(many, || 3, Duration::from_secs(1)).collect().await;
        assert_eq!(kept.len(), usize::try_from(SPARE + 3).unwrap());
    }
}
