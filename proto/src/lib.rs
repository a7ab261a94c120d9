//! What both sides agreed: messages, protocol version, where the socket is, how to connect, how a fault looks.

pub mod dirs;
pub mod endpoint;
pub mod fault;
pub mod frames;
pub mod holder;
pub mod logs;
#[cfg(windows)]
pub mod owner;
pub mod turn;

/// The generated messages and services of package `m365.cached.v1`.
#[allow(missing_docs, unused_qualifications, clippy::all, clippy::allow_attributes_without_reason, reason = "generated code")]
pub mod v1 {
    tonic::include_proto!("m365.cached.v1");
}

/// The standard health service, `grpc.health.v1.Health`, beside ours on the same socket.
pub mod health {
    pub use tonic_health::pb::{
        HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus, health_client::HealthClient, health_server,
    };

    /// The service to ask for whether the daemon is alive: the overall one, as probes ask without a name.
    pub const LIVE: &str = "";
    /// The service to ask for whether tools can be called.
    pub const READY: &str = "m365.cached.v1.Tools";
}

#[cfg(test)]
mod skew_tests;

/// Version of the frames of `mcp.proto`; raised when an old peer could misread a new one.
///
/// Programs of different versions meet whenever one of them has been replaced while the other runs. A message may gain fields and frames at any time: who does not
/// know them passes over them, who misses them takes them as empty. That is no new protocol. A daemon speaks the protocol before its own as well
/// ([`PROTOCOL_MIN`] is one less, once there are two), so that shims which clients started before an upgrade go on; a shim speaks one. A shim that
/// is older than that is told to restart its client; one that is newer than the daemon, to run `m365-cachectl restart`, which the daemon does by itself
/// once its own program has been replaced.
pub const PROTOCOL_VERSION: u32 = 1;
/// Oldest frame protocol this build still speaks.
pub const PROTOCOL_MIN: u32 = 1;

/// Exit code of a daemon that found another serving its profile.
pub const ALREADY_RUNNING: u8 = 9;

/// The profiles of tools: which of them a client is shown.
pub const TOOL_PROFILES: [&str; 6] = ["essential", "mail", "calendar", "files", "read-only", "full"];

/// Largest JSON-RPC line accepted from a client, in bytes.
pub const MAX_LINE_IN: usize = 4 * 1024 * 1024;
/// Largest JSON-RPC line sent to a client, in bytes.
pub const MAX_LINE_OUT: usize = 16 * 1024 * 1024;
/// Largest gRPC message from a client: a full line and its envelope.
pub const MAX_MESSAGE_IN: usize = MAX_LINE_IN + 64 * 1024;
/// Largest gRPC message to a client: a full line and its envelope.
pub const MAX_MESSAGE_OUT: usize = MAX_LINE_OUT + 64 * 1024;
/// HTTP/2 frame size on both sides. 64 KiB to 256 KiB halve the time of a 100 KB reply; 1 MiB makes 1 MB replies slower.
pub const HTTP2_FRAME: u32 = 256 * 1024;
/// HTTP/2 stream window: a whole reply fits.
pub const HTTP2_STREAM_WINDOW: u32 = 4 * 1024 * 1024;
/// HTTP/2 connection window.
pub const HTTP2_CONNECTION_WINDOW: u32 = 8 * 1024 * 1024;
