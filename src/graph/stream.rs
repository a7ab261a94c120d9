//! Content on its way: an answer whose body is read piece by piece.

use bytes::Bytes;
use reqwest::Response;

use super::throttle::Permit;
use crate::auth::Trouble;

/// An answer of 200 or 206 (from [`super::Bare`], of any status) and its body, not read yet.
pub(crate) struct Stream {
    response: Response,
    /// The mailbox's place that this takes until it has ended; hosts outside Graph have none.
    _place: Option<Permit>,
}

impl Stream {
    pub(super) fn new(response: Response, place: Option<Permit>) -> Self {
        Self { response, _place: place.map(Permit::streams) }
    }

    /// HTTP status.
    pub(crate) fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    /// A header, when it is there and plain text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.response.headers().get(name)?.to_str().ok()
    }

    /// How many bytes the body has, when the server said so.
    pub(crate) fn length(&self) -> Option<u64> {
        self.response.content_length()
    }

    /// The next piece; `None` at the end. An error says why the connection broke, without addresses.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Trouble> {
        self.response.chunk().await.map_err(|error| Trouble::of(&error))
    }

    /// The whole body of a short answer: what comes beyond `most` bytes is left out.
    pub(crate) async fn text(&mut self, most: usize) -> Result<Vec<u8>, Trouble> {
        let mut body = Vec::new();
        while let Some(piece) = self.next().await? {
            body.extend_from_slice(&piece[..piece.len().min(most - body.len())]);
            if body.len() == most {
                break;
            }
        }
        Ok(body)
    }
}
