//! What passes between the HTTP side and the Graph side of the tenant: plain requests and replies, no sockets.
//!
//! `server.rs` turns HTTP into [`Request`], adds who is asking, and writes [`Reply`] back. `graph/` answers
//! requests and never sees a socket, so that `$batch` can call it twenty times and tests can call it directly.

use std::borrow::Cow;

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

/// A path in which items of a drive are named as `root:/a/b:` also where a client encoded that as one segment
/// (`root%3A%2Fa%2Fb%3A`), as Microsoft's own SDKs do.
pub(crate) fn unfolded(path: &str) -> Cow<'_, str> {
    let folded = |part: &str| part.to_ascii_lowercase().contains("%3a%2f");
    if !path.split('/').any(folded) {
        return Cow::Borrowed(path);
    }
    let unfold = |part: &str| {
        if !folded(part) {
            return part.to_owned();
        }
        ["%3A", "%3a"].iter().fold(part.replace("%2F", "/").replace("%2f", "/"), |part, colon| part.replace(colon, ":"))
    };
    Cow::Owned(path.split('/').map(unfold).collect::<Vec<_>>().join("/"))
}

#[cfg(test)]
mod tests {
    use super::unfolded;

    #[test]
    fn encoded_item_paths_are_item_paths() {
        assert_eq!(unfolded("/drives/b%21x/items/root%3A%2Fa%20b%2fc.txt%3A/content"), "/drives/b%21x/items/root:/a%20b/c.txt:/content");
        assert_eq!(unfolded("/me/messages/AA%2FBB%3D/x%3Ay"), "/me/messages/AA%2FBB%3D/x%3Ay");
    }
}
