//! By which way hosts are reached: through the system's proxy, through a named one, or straight.
//!
//! Decided here:
//! - **`system`** is what every program of this session uses: `HTTPS_PROXY`, else `ALL_PROXY`, but not for the hosts of `NO_PROXY`; on macOS and
//!   Windows, where none of them is set, the system's own settings. Scripts that choose a proxy (PAC) are not run: what one would choose
//!   can be named. It is read when the first connection is made.
//! - **Only HTTPS goes through a proxy**, in a tunnel (`CONNECT`): a proxy learns the names of hosts, and never a token or an answer. Sign-in,
//!   Graph and files go the same way, for all of them come by [`super::Http`].
//! - **A demo tenant is on this machine**, where the system's proxy is left out; one that is named is used, and it is on this machine too.
//! - The name and the password (Basic, which is all there is between `CONNECT` and the first byte of TLS) are given to that proxy and shown
//!   nowhere. Through `http://` they go in clear text, as everywhere; a proxy may be `https://`.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hyper_util::client::proxy::matcher::Matcher;
use reqwest::{ClientBuilder, NoProxy, header::HeaderValue};
use url::Url;

use crate::secret::Secret;

/// By which way hosts are reached.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Proxy {
    /// As the system says.
    #[default]
    System,
    /// Straight.
    Off,
    /// Through this one.
    At {
        /// `http://` or `https://`, a host and a port, without a name or a password.
        url: Url,
        /// Hosts that are reached straight: names with all below them, addresses, networks, `*`.
        past: Vec<String>,
        /// With this name and password.
        auth: Option<ProxyAuth>,
    },
}

/// Name and password for a proxy, as they are sent. Shows neither.
#[derive(Clone, PartialEq, Eq)]
pub struct ProxyAuth(HeaderValue);

impl ProxyAuth {
    /// From `NAME:PASSWORD`; `None` when it is none: no colon, no name, or a line break.
    pub fn basic(both: &Secret<String>) -> Option<Self> {
        let both = both.expose();
        let named = both.split_once(':').is_some_and(|(name, _)| !name.is_empty());
        if !named || both.contains(char::is_control) {
            return None;
        }
        let mut header = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(both))).ok()?;
        header.set_sensitive(true);
        Some(Self(header))
    }
}

impl fmt::Debug for ProxyAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProxyAuth")
    }
}

impl Proxy {
    /// The client with this way. `local`: the cloud is a demo on this machine.
    pub(super) fn applied(&self, client: ClientBuilder, local: bool) -> reqwest::Result<ClientBuilder> {
        Ok(match self {
            Self::System if local => client.no_proxy(),
            Self::System => client,
            Self::Off => client.no_proxy(),
            Self::At { url, past, auth } => {
                let mut proxy = reqwest::Proxy::https(url.as_str())?.no_proxy(NoProxy::from_string(&past.join(",")));
                if let Some(ProxyAuth(header)) = auth {
                    proxy = proxy.custom_http_auth(header.clone());
                }
                client.proxy(proxy)
            }
        })
    }

    /// The proxy that a request to `url` goes through, as `host:port`: what the client asks as well.
    pub(super) fn server_for(&self, url: &Url, local: bool) -> Option<String> {
        let matcher = match self {
            Self::System if local => return None,
            Self::System => Matcher::from_system(),
            Self::Off => return None,
            Self::At { url, past, .. } => Matcher::builder().https(url.to_string()).no(past.join(",")).build(),
        };
        let found = matcher.intercept(&url.as_str().parse().ok()?)?;
        let proxy = found.uri();
        let usual = if proxy.scheme_str() == Some("https") { 443 } else { 80 };
        Some(format!("{}:{}", proxy.host()?, proxy.port_u16().unwrap_or(usual)))
    }
}

#[cfg(test)]
#[path = "proxy_tests.rs"]
mod tests;
