//! The Unix socket: mode 0600 in a folder of mode 0700, and every peer's user checked besides.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use futures_util::{Stream, stream};
use rustix::net::sockopt;
use tokio::net::UnixListener;

use super::PAUSE;
use crate::instance::Instance;

/// A client of the same user.
pub type Connection = tokio::net::UnixStream;

/// Bytes on their way to a client before the daemon has to wait for it: a long answer goes out in one piece. 500 KB are 8 % faster
/// so (`bench trip`); Linux's own 208 KB make the daemon wait twice.
const SEND_BUFFER: usize = 1024 * 1024;

/// A bound socket.
#[derive(Debug)]
pub struct Listener {
    socket: UnixListener,
    ours: u32,
    refused: Arc<AtomicU64>,
}

impl Listener {
    /// Listens where `instance` may: on a socket of our own, or on the one that a service manager has handed over. Needs a tokio runtime.
    pub fn bind(instance: &Instance) -> io::Result<Self> {
        let socket = match instance.handed() {
            Some(handed) => UnixListener::from_std(handed.listener()?)?,
            None => UnixListener::bind(instance.socket())?,
        };
        instance.listens();
        // Until here only the folder's mode protects the socket, and `Instance` has checked it.
        fs::set_permissions(instance.socket(), fs::Permissions::from_mode(0o600))?;
        Ok(Self { socket, ours: rustix::process::geteuid().as_raw(), refused: Arc::default() })
    }

    /// How many connections of other users were turned away.
    pub fn refused(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.refused)
    }

    /// The connections of this user; others are closed before a byte is read.
    pub fn incoming(self) -> impl Stream<Item = io::Result<Connection>> + Send {
        stream::unfold(self, async |listener| {
            let connection = listener.next().await;
            Some((Ok(connection), listener))
        })
    }

    async fn next(&self) -> Connection {
        loop {
            match self.socket.accept().await {
                Ok((connection, _)) => {
                    // A peer that cannot be named is not let in.
                    match connection.peer_cred() {
                        Ok(peer) if peer.uid() == self.ours => {
                            // Smaller where the system allows less, and then only slower.
                            let _ = sockopt::set_socket_send_buffer_size(&connection, SEND_BUFFER);
                            return connection;
                        }
                        peer => {
                            let before = self.refused.fetch_add(1, Ordering::Relaxed);
                            // Each doubling is told, so that a stranger cannot fill the log.
                            if (before + 1).is_power_of_two() {
                                let uid = peer.ok().map(|peer| peer.uid());
                                tracing::warn!(uid, count = before + 1, "refused a connection of another user");
                            }
                        }
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::StreamExt;
    use m365_cached_proto::dirs::Profile;

    use super::*;

    #[tokio::test]
    async fn the_socket_is_private_and_only_our_user_gets_in() {
        let dir = tempfile::TempDir::new().unwrap();
        let profile = Profile::at(&dir.path().join("profile")).unwrap();
        let instance = Instance::claim(&profile).unwrap();
        let mut listener = Listener::bind(&instance).unwrap();
        assert_eq!(fs::metadata(profile.socket()).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(&profile.dir).unwrap().permissions().mode() & 0o777, 0o700);

        let _client = tokio::net::UnixStream::connect(profile.socket()).await.unwrap();
        let ours = listener.ours;
        listener.next().await;

        // Every peer is a stranger to somebody else.
        listener.ours = ours + 1;
        let refused = listener.refused();
        let mut client = tokio::net::UnixStream::connect(profile.socket()).await.unwrap();
        {
            let mut incoming = pin!(listener.incoming());
            let mut byte = [0];
            tokio::select! {
                _ = incoming.next() => panic!("a stranger was let in"),
                read = tokio::io::AsyncReadExt::read(&mut client, &mut byte) => assert_eq!(read.unwrap(), 0),
            }
        }
        assert_eq!(refused.load(Ordering::Relaxed), 1);
    }
}
