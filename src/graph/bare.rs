//! Asks the hosts of files, which take no sign-in: pre-authenticated downloads, upload sessions, the monitors of copies.
//!
//! It has connections of its own and no way to a token, so no bearer can reach another host than Graph. Addresses carry rights: none is
//! ever logged, and each is checked before it is asked, redirects included, which are followed by hand.

use reqwest::{Body, Method, Url, header::HeaderMap};

use super::Stream;
use crate::{
    auth::{Http, HttpError, Trouble, retry_after},
    clock::Timestamp,
};

/// The client without tokens.
pub struct Bare {
    http: Http,
}

/// Why there is no answer.
#[derive(Debug, Clone)]
pub(crate) enum BareError {
    /// The address is none of this cloud's hosts for files; nothing was sent.
    ForeignHost,
    /// No HTTPS client.
    Setup(HttpError),
    /// The connection failed or broke. Says what happened, without addresses.
    Broken(Trouble),
}

impl Bare {
    /// A client for the hosts of `http`'s cloud. `http` is to be its own, not the one that carries sign-ins.
    pub fn new(http: Http) -> Self {
        Self { http }
    }

    /// Sends one request; its answer is handed on before its body has come, whatever its status.
    pub(crate) async fn ask(&self, method: Method, url: &Url, headers: HeaderMap, body: Option<Body>) -> Result<Stream, BareError> {
        if !self.http.cloud().is_file_host(url) {
            return Err(BareError::ForeignHost);
        }
        let client = self.http.client().map_err(BareError::Setup)?;
        let mut sending = client.request(method, url.clone()).headers(headers);
        if let Some(body) = body {
            sending = sending.body(body);
        }
        let response = sending.send().await.map_err(|error| BareError::Broken(Trouble::of(&error)))?;
        Ok(Stream::new(response, None))
    }
}

impl Stream {
    /// How long the answer asks to wait.
    pub(crate) fn wait(&self, now: Timestamp) -> Option<std::time::Duration> {
        retry_after(self.header("retry-after"), self.header("date"), now)
    }
}
