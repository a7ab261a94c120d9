//! The named pipe: first of its name, local clients only, open to its owner only.

use std::{
    ffi::{OsStr, OsString, c_void},
    io,
    pin::Pin,
    sync::{Arc, atomic::AtomicU64},
    task::{Context, Poll},
};

use futures_util::{Stream, stream};
use m365_cached_proto::owner;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::windows::named_pipe::{NamedPipeServer, ServerOptions},
};
use tonic::transport::server::Connected;
use windows_permissions::{LocalBox, SecurityDescriptor};
use windows_sys::Win32::Security::SECURITY_ATTRIBUTES;

use super::PAUSE;
use crate::instance::Instance;

/// Full access for the owner, protected from inheritance, nothing for anybody else. The default would let everybody read. The owner is
/// named in front of it, since clients look whose the pipe is, and an administrator's default owner is a group.
const OWNER_ONLY: &str = "D:P(A;;GA;;;OW)";

/// A bound pipe: its next instance always exists, so that a client never finds it missing.
#[derive(Debug)]
pub struct Listener {
    name: OsString,
    next: NamedPipeServer,
    refused: Arc<AtomicU64>,
}

impl Listener {
    /// Listens where `instance` may. Needs a tokio runtime.
    pub fn bind(instance: &Instance) -> io::Result<Self> {
        let name = instance.socket().as_os_str().to_owned();
        let next = pipe(&name, true)?;
        instance.listens();
        Ok(Self { name, next, refused: Arc::default() })
    }

    /// Always 0: the system turns other users away before we see them.
    pub fn refused(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.refused)
    }

    /// The connections of this user.
    pub fn incoming(self) -> impl Stream<Item = io::Result<Connection>> + Send {
        stream::unfold(self, async |mut listener| {
            let connection = listener.next().await;
            Some((Ok(connection), listener))
        })
    }

    async fn next(&mut self) -> Connection {
        loop {
            match self.accept().await {
                Ok(connection) => return connection,
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// The client of the present instance, once there is another instance after it: until then it keeps its client.
    async fn accept(&mut self) -> io::Result<Connection> {
        let connected = self.next.connect().await;
        // Also when it has failed: it would fail again.
        let instance = std::mem::replace(&mut self.next, pipe(&self.name, false)?);
        connected.map(|()| Connection(instance))
    }
}

/// One instance of the pipe; the first one fails when somebody else has taken the name.
#[expect(unsafe_code, reason = "only the raw call takes a security descriptor")]
fn pipe(name: &OsStr, first: bool) -> io::Result<NamedPipeServer> {
    let descriptor: LocalBox<SecurityDescriptor> = format!("O:{}{OWNER_ONLY}", owner::this_user()?).parse()?;
    let mut attributes = SECURITY_ATTRIBUTES {
        nLength: u32::try_from(size_of::<SECURITY_ATTRIBUTES>()).unwrap_or(0),
        lpSecurityDescriptor: descriptor.as_ptr().cast(),
        bInheritHandle: 0,
    };
    let mut options = ServerOptions::new();
    options.first_pipe_instance(first).reject_remote_clients(true);
    // SAFETY: `attributes` is a whole SECURITY_ATTRIBUTES whose descriptor lives until after the call, which copies it.
    unsafe { options.create_with_security_attributes_raw(name, (&raw mut attributes).cast::<c_void>()) }
}

/// A client of the same user.
#[derive(Debug)]
pub struct Connection(NamedPipeServer);

impl Connected for Connection {
    type ConnectInfo = ();

    fn connect_info(&self) -> Self::ConnectInfo {}
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
