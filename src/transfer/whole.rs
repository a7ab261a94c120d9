//! Short content into memory, for who reads it at once: no file, one attempt, at most so many bytes.

use reqwest::{Method, Url, header::HeaderMap};

use super::{
    Transfer,
    error::{Cause, TransferError},
    pace::Pulse,
};
use crate::graph::{Context, GraphRequest, Stream};

/// How many redirects are followed in a row: each to an allowed host and without a token, as in a download.
const REDIRECTS: usize = 3;

impl Transfer {
    /// The whole of what `request` leads to.
    ///
    /// # Errors
    ///
    /// When it has more than `most` bytes, or could not be fetched whole.
    pub async fn whole(&self, context: &Context, request: &GraphRequest, most: usize) -> Result<Vec<u8>, TransferError> {
        let stream = match self.graph.open(context, request).await? {
            (_, Some(stream)) => stream,
            (head, None) => {
                let to = head.location.ok_or(Cause::Garbage("content"))?;
                self.led_to(Url::parse(&to).map_err(|_| Cause::ForeignHost)?).await?
            }
        };
        self.taken(stream, most).await
    }

    /// The answer at the end of the redirects.
    async fn led_to(&self, mut address: Url) -> Result<Stream, TransferError> {
        for _ in 0..=REDIRECTS {
            let asked = self.bare.ask(Method::GET, &address, HeaderMap::new(), None);
            let stream = self.lively(&Pulse::new(), asked).await?.map_err(Cause::from)?;
            match stream.status() {
                200 => return Ok(stream),
                301 | 302 | 303 | 307 | 308 => {
                    let to = stream.header("location").ok_or(Cause::Garbage("an address"))?;
                    address = address.join(to).map_err(|_| Cause::ForeignHost)?;
                }
                status => return Err(Cause::Refused(status, None).into()),
            }
        }
        Err(Cause::Redirects.into())
    }

    async fn taken(&self, mut stream: Stream, most: usize) -> Result<Vec<u8>, TransferError> {
        let too_large = || Cause::TooLarge(most as u64);
        if stream.length().is_some_and(|length| length > most as u64) {
            return Err(too_large().into());
        }
        let mut bytes = Vec::new();
        while let Some(piece) = self.lively(&Pulse::new(), stream.next()).await?.map_err(Cause::Broken)? {
            if bytes.len() + piece.len() > most {
                return Err(too_large().into());
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes)
    }
}
