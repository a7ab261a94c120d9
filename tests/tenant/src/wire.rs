//! What passes between the HTTP side and the Graph side of the tenant: plain requests and replies, no sockets.
//!
//! `server.rs` turns HTTP into [`Request`], adds who is asking, and writes [`Reply`] back. `graph/` answers
//! requests and never sees a socket, so that `$batch` can call it twenty times and tests can call it directly.

use bytes::Bytes;

/// One request to Graph, already authenticated.
#[derive(Debug, Clone)]
pub struct Request {
    /// `GET`, `POST`, `PATCH`, `PUT` or `DELETE`.
    pub method: http::Method,
    /// Path below the version root, still percent-encoded: `/me/messages/AAMk%3D`.
    pub path: String,
    /// The raw query string without `?`, empty when there is none.
    pub query: String,
    /// Header names are lower case.
    pub headers: http::HeaderMap,
    /// The body, empty when there is none.
    pub body: Bytes,
    /// Object id of the signed-in user, the owner of `/me`.
    pub user: String,
    /// `scheme://host:port/v1.0` as the client wrote it: the prefix of every `@odata.nextLink`.
    pub base: String,
    /// `scheme://host:port` of the download port: the prefix of every pre-authenticated URL.
    pub downloads: String,
}

/// One answer from Graph.
#[derive(Debug, Clone)]
pub struct Reply {
    /// HTTP status.
    pub status: http::StatusCode,
    /// Headers beyond those that the server adds by itself (`content-length`, `date`, `request-id`).
    pub headers: http::HeaderMap,
    /// The body; `application/json` unless `headers` says otherwise.
    pub body: Bytes,
}
