//! Connecting to the daemon of a profile: a Unix socket, or a named pipe on Windows.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use hyper_util::rt::TokioIo;
use tonic::transport::{Channel, Endpoint};

use crate::dirs::Profile;
use crate::health::HealthClient;
use crate::holder;
use crate::v1::admin_client::AdminClient;
use crate::v1::keys_client::KeysClient;
use crate::v1::mcp_client::McpClient;
use crate::v1::records_client::RecordsClient;
use crate::v1::tools_client::ToolsClient;
use crate::{HTTP2_CONNECTION_WINDOW, HTTP2_FRAME, HTTP2_STREAM_WINDOW, MAX_MESSAGE_IN, MAX_MESSAGE_OUT};

/// The daemon cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nobody listens there.
    #[error("no daemon is listening at `{socket}`")]
    NotRunning {
        /// The socket or pipe.
        socket: PathBuf,
    },
    /// Somebody listens, but not this user: nothing was sent.
    #[error("what listens at `{socket}` belongs to another user ({owner})")]
    Foreign {
        /// The socket or pipe.
        socket: PathBuf,
        /// Its owner as the system names one: a uid, a SID.
        owner: String,
    },
    /// The system refuses.
    #[error("cannot connect to `{socket}`: {source}")]
    Io {
        /// The socket or pipe.
        socket: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The connection was made and broke at once.
    #[error("the connection to `{socket}` broke: {source}")]
    Handshake {
        /// The socket or pipe.
        socket: PathBuf,
        /// What the transport says.
        source: tonic::transport::Error,
    },
}

impl ConnectError {
    /// True when starting the daemon is what helps.
    #[must_use]
    pub fn is_not_running(&self) -> bool {
        matches!(self, Self::NotRunning { .. })
    }
}

/// Connects once to the daemon of `profile`: where it belongs, or where the one that is there says that it listens. The channel does not reconnect:
/// when the daemon goes away every call on it fails, and the caller decides what that means.
///
/// # Errors
/// Says whether nobody listens, a stranger does, or the system refuses.
pub async fn connect(profile: &Profile) -> Result<Channel, ConnectError> {
    let error = match connect_to(profile.socket()).await {
        Err(error) if error.is_not_running() => error,
        settled => return settled,
    };
    match connect_elsewhere(profile).await {
        // One that has just gone is nobody there.
        Some(Err(other)) if !other.is_not_running() => Err(other),
        Some(Ok(channel)) => Ok(channel),
        _ => Err(error),
    }
}

/// As [`connect`], only to a daemon that listens elsewhere than clients with this environment look; `None` when there is none.
pub async fn connect_elsewhere(profile: &Profile) -> Option<Result<Channel, ConnectError>> {
    Some(connect_to(&holder::elsewhere(profile)?).await)
}

/// As [`connect`], to one socket.
async fn connect_to(socket: &Path) -> Result<Channel, ConnectError> {
    let stream = open(socket).await?;
    let once = Mutex::new(Some(TokioIo::new(stream)));
    let connector = tower::service_fn(move |_| {
        let stream = once.lock().ok().and_then(|mut slot| slot.take());
        std::future::ready(stream.ok_or_else(|| std::io::Error::from(std::io::ErrorKind::NotConnected)))
    });
    // The address is never resolved; HTTP/2 wants one for its `:authority`.
    Endpoint::from_static("http://m365-cached.invalid")
        .max_frame_size(HTTP2_FRAME)
        .initial_stream_window_size(HTTP2_STREAM_WINDOW)
        .initial_connection_window_size(HTTP2_CONNECTION_WINDOW)
        .connect_with_connector(connector)
        .await
        .map_err(|source| ConnectError::Handshake { socket: socket.to_owned(), source })
}

/// The MCP frame stream over `channel`, with the message limits both sides hold.
#[must_use]
pub fn mcp_client(channel: Channel) -> McpClient<Channel> {
    McpClient::new(channel).max_decoding_message_size(MAX_MESSAGE_OUT).max_encoding_message_size(MAX_MESSAGE_IN)
}

/// The catalogue over `channel`, with the message limits both sides hold.
#[must_use]
pub fn tools_client(channel: Channel) -> ToolsClient<Channel> {
    ToolsClient::new(channel).max_decoding_message_size(MAX_MESSAGE_OUT).max_encoding_message_size(MAX_MESSAGE_IN)
}

/// The administration verbs over `channel`, with the message limits both sides hold.
#[must_use]
pub fn admin_client(channel: Channel) -> AdminClient<Channel> {
    AdminClient::new(channel).max_decoding_message_size(MAX_MESSAGE_OUT).max_encoding_message_size(MAX_MESSAGE_IN)
}

/// The verbs of the vault over `channel`, with the message limits both sides hold.
#[must_use]
pub fn keys_client(channel: Channel) -> KeysClient<Channel> {
    KeysClient::new(channel).max_decoding_message_size(MAX_MESSAGE_OUT).max_encoding_message_size(MAX_MESSAGE_IN)
}

/// The audit trail and the rights of the person over `channel`, with the message limits both sides hold.
#[must_use]
pub fn records_client(channel: Channel) -> RecordsClient<Channel> {
    RecordsClient::new(channel).max_decoding_message_size(MAX_MESSAGE_OUT).max_encoding_message_size(MAX_MESSAGE_IN)
}

/// The standard health service over `channel`.
#[must_use]
pub fn health_client(channel: Channel) -> HealthClient<Channel> {
    HealthClient::new(channel)
}

#[cfg(unix)]
async fn open(socket: &Path) -> Result<tokio::net::UnixStream, ConnectError> {
    use std::io::ErrorKind;
    let stream = tokio::net::UnixStream::connect(socket).await.map_err(|source| match source.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => ConnectError::NotRunning { socket: socket.to_owned() },
        _ => ConnectError::Io { socket: socket.to_owned(), source },
    })?;
    // A short socket lies in a directory anybody may have made first: what answers must be ours before it hears a word.
    let uid = stream.peer_cred().map_err(|source| ConnectError::Io { socket: socket.to_owned(), source })?.uid();
    if uid != rustix::process::geteuid().as_raw() {
        return Err(ConnectError::Foreign { socket: socket.to_owned(), owner: format!("uid {uid}") });
    }
    Ok(stream)
}

#[cfg(windows)]
async fn open(pipe: &Path) -> Result<tokio::net::windows::named_pipe::NamedPipeClient, ConnectError> {
    use std::time::Duration;
    use tokio::net::windows::named_pipe::ClientOptions;
    /// All instances of the pipe are taken; the server makes the next one in a moment.
    const ERROR_PIPE_BUSY: i32 = 231;
    const TRIES: u32 = 200;
    let refused = |source| ConnectError::Io { socket: pipe.to_owned(), source };
    let mut tries = 0;
    let client = loop {
        // Opened so that the server may learn who we are and not act as us: tokio's default.
        match ClientOptions::new().open(pipe) {
            Ok(client) => break client,
            Err(error) if error.raw_os_error() == Some(ERROR_PIPE_BUSY) && tries < TRIES => {
                tries += 1;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(ConnectError::NotRunning { socket: pipe.to_owned() });
            }
            Err(source) => return Err(refused(source)),
        }
    };
    // Anybody may have taken the name first: what answers must be ours before it hears a word.
    match crate::owner::stranger(&client).map_err(refused)? {
        None => Ok(client),
        Some(owner) => Err(ConnectError::Foreign { socket: pipe.to_owned(), owner }),
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
    }

    #[test]
    fn nobody_there_and_a_stale_socket_are_both_not_running() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("s");
        runtime().block_on(async {
            assert!(connect_to(&socket).await.unwrap_err().is_not_running());
            drop(tokio::net::UnixListener::bind(&socket).unwrap());
            assert!(socket.exists());
            assert!(connect_to(&socket).await.unwrap_err().is_not_running());
        });
    }

    #[test]
    fn a_listener_of_this_user_is_accepted() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("s");
        runtime().block_on(async {
            let _listener = tokio::net::UnixListener::bind(&socket).unwrap();
            connect_to(&socket).await.unwrap();
        });
    }

    /// A daemon that was started in a session with another place for sockets, or none.
    #[test]
    fn one_that_listens_elsewhere_is_found_there() {
        let home = tempfile::tempdir().unwrap();
        let profile = Profile::at(&home.path().join("profile")).unwrap();
        let other = home.path().join("run");
        for dir in [&profile.dir, &other] {
            crate::dirs::private_dir(dir).unwrap();
        }
        runtime().block_on(async {
            let listener = tokio::net::UnixListener::bind(other.join("s")).unwrap();
            let lock = std::fs::File::create(profile.lock_file()).unwrap();
            holder::Holder { pid: 7, socket: Some(other.join("s")) }.write(&lock).unwrap();
            assert!(connect(&profile).await.unwrap_err().is_not_running(), "nobody holds the profile");
            lock.lock().unwrap();
            connect(&profile).await.unwrap();
            drop(listener);
            let error = connect(&profile).await.unwrap_err();
            assert!(matches!(error, ConnectError::NotRunning { socket } if socket == profile.socket()));
        });
    }
}
