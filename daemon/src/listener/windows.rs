//! The named pipe: first of its name, local clients only, open to its owner only.

use std::{
    ffi::{OsStr, OsString, c_void},
    io,
    pin::Pin,
    ptr,
    sync::{Arc, atomic::AtomicU64},
    task::{Context, Poll},
};

use futures_util::{Stream, stream};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::windows::named_pipe::{NamedPipeServer, ServerOptions},
};
use tonic::transport::server::Connected;
use windows_sys::Win32::{
    Foundation::LocalFree,
    Security::{
        Authorization::{ConvertStringSecurityDescriptorToSecurityDescriptorW, SDDL_REVISION_1},
        PSECURITY_DESCRIPTOR, SECURITY_ATTRIBUTES,
    },
};

use crate::instance::Instance;

/// Full access for the owner, protected from inheritance, nothing for anybody else. The default would let everybody read.
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
        Ok(Self { name, next, refused: Arc::default() })
    }

    /// Always 0: the system turns other users away before we see them.
    pub fn refused(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.refused)
    }

    /// The connections of this user.
    pub fn incoming(self) -> impl Stream<Item = io::Result<Connection>> + Send {
        stream::unfold(self, async |mut listener| {
            let connection = listener.accept().await;
            Some((connection, listener))
        })
    }

    async fn accept(&mut self) -> io::Result<Connection> {
        self.next.connect().await?;
        let next = pipe(&self.name, false)?;
        Ok(Connection(std::mem::replace(&mut self.next, next)))
    }
}

/// One instance of the pipe; the first one fails when somebody else has taken the name.
#[expect(unsafe_code, reason = "only the raw call takes a security descriptor")]
fn pipe(name: &OsStr, first: bool) -> io::Result<NamedPipeServer> {
    let text: Vec<u16> = OWNER_ONLY.encode_utf16().chain([0]).collect();
    let mut descriptor: PSECURITY_DESCRIPTOR = ptr::null_mut();
    // SAFETY: `text` ends with a zero and `descriptor` is a place for one pointer; the size is not asked for.
    let made = unsafe {
        ConvertStringSecurityDescriptorToSecurityDescriptorW(text.as_ptr(), SDDL_REVISION_1, &raw mut descriptor, ptr::null_mut())
    };
    if made == 0 {
        return Err(io::Error::last_os_error());
    }
    let mut attributes = SECURITY_ATTRIBUTES {
        nLength: u32::try_from(size_of::<SECURITY_ATTRIBUTES>()).unwrap_or(0),
        lpSecurityDescriptor: descriptor,
        bInheritHandle: 0,
    };
    let mut options = ServerOptions::new();
    options.first_pipe_instance(first).reject_remote_clients(true);
    // SAFETY: `attributes` is a whole SECURITY_ATTRIBUTES whose descriptor lives until after the call, which copies it.
    let pipe = unsafe { options.create_with_security_attributes_raw(name, (&raw mut attributes).cast::<c_void>()) };
    // SAFETY: the descriptor was allocated by the conversion above, which says to free it so, and nothing uses it any more.
    unsafe { LocalFree(descriptor) };
    pipe
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
