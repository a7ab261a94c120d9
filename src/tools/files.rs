//! Local files as tools see them: what was saved, what was opened, and what can be asked for. Who does it is not known here.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::{Reply, StepError};
use crate::graph::{Content, GraphRequest, Upload};

/// The largest file that [`Files::read_local`] gives, in bytes: what goes into one request of Graph's, as base64 inside 4 MiB of JSON, is
/// smaller than this.
pub const INLINE: u64 = 3 << 20;

/// A new local file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    /// Where it lies, absolute.
    pub path: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its media type: `application/pdf`.
    pub content_type: String,
}

/// A local file that a call has opened; it stays the same file until the call ends, whatever becomes of its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalFile {
    /// Its name without folders.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its media type, by its name's ending.
    pub content_type: String,
    /// Which of the call's opened files it is, from 0.
    pub(crate) number: usize,
}

/// How files move; reached through [`super::Steps::files`]. Paths are as the caller gave them: which are allowed is decided there.
#[async_trait]
pub trait Files: Send + Sync {
    /// Fetches content into the new local file `to`, at most `most` bytes. Nothing is overwritten, and
    /// nothing is left when it fails.
    async fn save(&self, what: Content, to: &str, most: u64) -> Result<Saved, StepError>;
    /// Fetches content of at most `most` bytes, without a local file.
    async fn bytes(&self, what: GraphRequest, most: usize) -> Result<Vec<u8>, StepError>;
    /// Opens the local file `path`, of at most `most` bytes.
    async fn open_local(&self, path: &str, most: u64) -> Result<LocalFile, StepError>;
    /// The whole of an opened file of at most [`INLINE`] bytes.
    async fn read_local(&self, file: &LocalFile) -> Result<Bytes, StepError>;
    /// Sends an opened file, in one request or through a session. The reply is the new item, or has an attachment's address as `location`.
    /// Its last piece is sent at most once.
    async fn upload(&self, to: Upload, file: &LocalFile) -> Result<Reply, StepError>;
    /// Follows an operation by the monitor in an accepted reply's `location`, until it is over (status 200) or `patience` has passed
    /// (status 202: it goes on by itself). The body is the monitor's last answer: `status`, `percentageComplete`, `resourceId`.
    async fn follow(&self, monitor: &str, patience: Duration) -> Result<Reply, StepError>;
}
