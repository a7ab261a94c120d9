//! The pooled HTTP client towards Microsoft, made on first use and shared by sign-in and Graph.
//!
//! After the machine has slept another one is made, so that no connection of before is used: it may have woken in another network, where
//! packets of the old one vanish without a word. A pool does not see it, for the time by which it drops what is idle, and HTTP/2 sends its
//! pings, stands still meanwhile. The price of one too many is a handshake.
//!
//! HTTP/2 pings go out while something is asked and not on idle connections (`http2_keep_alive_while_idle` is off): those TCP's keep-alive
//! probes, and after a sleep a ping would come no sooner than the first request.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use super::{Authorities, Pause, Proxy, resolve::Guarded, trouble::plain};
use crate::{
    clock::{Awake, Clock, SystemClock},
    cloud::Cloud,
    hint::{Hint, Kind},
};

/// A sleep longer than this makes connections doubtful; a clock that is only being corrected stays below it.
const DOZE: Duration = Duration::from_secs(10);

/// How connections are made and kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpSettings {
    /// Longest time to reach a host, TLS included.
    pub connect_timeout: Duration,
    /// How long an unused connection is kept.
    pub idle_timeout: Duration,
    /// How often a connection in use is probed (TCP keep-alive, HTTP/2 ping).
    pub keep_alive: Duration,
    /// HTTP/2 where the server offers it.
    pub http2: bool,
    /// How we introduce ourselves.
    pub user_agent: String,
    /// By which way hosts are reached.
    pub proxy: Proxy,
    /// Certificate authorities that are trusted beside the system's.
    pub authorities: Option<Authorities>,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(90),
            keep_alive: Duration::from_secs(30),
            http2: true,
            user_agent: concat!("m365-cached/", env!("CARGO_PKG_VERSION")).to_owned(),
            proxy: Proxy::System,
            authorities: None,
        }
    }
}

/// Why there is no HTTP client.
#[derive(Debug, Clone, thiserror::Error)]
pub enum HttpError {
    /// A certificate cannot be read, or there are none on this machine.
    #[error("the HTTPS client cannot be set up: {0}")]
    Setup(String),
    /// A person wants nothing to be asked.
    #[error("asking Microsoft is paused; nothing was sent")]
    Paused,
}

impl Hint for HttpError {
    fn kind(&self) -> Kind {
        match self {
            Self::Setup(_) => Kind::Config,
            Self::Paused => Kind::Offline,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Setup(_) => "no_https",
            Self::Paused => "paused",
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Setup(_) => "Install the system's CA certificates (package `ca-certificates`), then restart the daemon.".into(),
            Self::Paused => "The user set it so; `m365-cachectl resume` ends it.".into(),
        })
    }
}

/// One cloud and the connections to it.
///
/// The client is made on first use, because loading the machine's certificates takes milliseconds that a start does not have, and so
/// that a machine without certificates still has a daemon that can say so.
pub struct Http {
    cloud: Cloud,
    settings: HttpSettings,
    made: Mutex<Option<Made>>,
    /// The machine's own, whatever clock all else goes by: connections are real.
    clock: Arc<dyn Clock>,
    pause: Option<Arc<Pause>>,
}

/// A client and when it was last handed out.
struct Made {
    client: reqwest::Client,
    used: Awake,
}

impl Http {
    /// Connections to `cloud`, none of them open yet.
    pub fn new(cloud: Cloud, settings: HttpSettings) -> Self {
        Self { cloud, settings, made: Mutex::default(), clock: Arc::new(SystemClock), pause: None }
    }

    /// The same by another clock.
    #[cfg(test)]
    pub(crate) fn by(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    /// The same, with a switch that keeps everything from asking.
    #[must_use]
    pub fn paused_by(self, pause: Arc<Pause>) -> Self {
        Self { pause: Some(pause), ..self }
    }

    /// The switch that keeps everything from asking, where there is one.
    pub fn pause(&self) -> Option<&Arc<Pause>> {
        self.pause.as_ref()
    }

    /// The cloud that is talked to.
    pub fn cloud(&self) -> &Cloud {
        &self.cloud
    }

    /// The client: pooled, HTTP/2 where TLS negotiates it, following no redirect. For one request: what is kept longer outlives a sleep.
    ///
    /// # Errors
    ///
    /// When certificates cannot be read; while a person wants nothing to be asked.
    pub fn client(&self) -> Result<reqwest::Client, HttpError> {
        if self.pause.as_ref().is_some_and(|pause| pause.until().is_some()) {
            return Err(HttpError::Paused);
        }
        let now = self.clock.now();
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        // What is under way keeps its connection; it goes with the last answer.
        let awake = made.take().filter(|made| made.used.slept(now) <= DOZE);
        let client = awake.map_or_else(|| self.build(), |made| Ok(made.client))?;
        *made = Some(Made { client: client.clone(), used: Awake::at(now) });
        Ok(client)
    }

    fn build(&self) -> Result<reqwest::Client, HttpError> {
        // Whoever was first has chosen the process's provider; it is ring everywhere here.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let settings = &self.settings;
        let mut builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .dns_resolver(Arc::new(Guarded::new(self.cloud.clone())))
            .user_agent(&settings.user_agent)
            .connect_timeout(settings.connect_timeout)
            .pool_idle_timeout(settings.idle_timeout)
            .tcp_keepalive(settings.keep_alive)
            .http2_keep_alive_interval(settings.keep_alive)
            .http2_keep_alive_timeout(settings.connect_timeout);
        if !settings.http2 {
            builder = builder.http1_only();
        }
        let set_up = |error: &reqwest::Error| HttpError::Setup(plain(error));
        let roots = [&self.cloud.identity, &self.cloud.graph];
        let tls = roots.iter().any(|root| root.scheme() == "https");
        let more = settings.authorities.as_ref().map(Authorities::certificates).transpose().map_err(|error| set_up(&error))?;
        let more = more.unwrap_or_default();
        match &self.cloud.ca_pem {
            // A cloud with a certificate authority of its own is the demo tenant: that one is trusted, and what was named beside it.
            Some(pem) => {
                let own = Authorities::read(pem).map_err(|error| HttpError::Setup(error.to_string()))?;
                let own = own.certificates().map_err(|error| set_up(&error))?;
                builder = builder.tls_certs_only(own.into_iter().chain(more));
            }
            None if tls => {
                builder = builder.https_only(true);
                if !more.is_empty() {
                    builder = builder.tls_certs_merge(more);
                }
            }
            None => builder = builder.tls_certs_only([]),
        }
        let builder = settings.proxy.applied(builder, self.is_local()).map_err(|error| set_up(&error))?;
        builder.build().map_err(|error| set_up(&error))
    }

    /// The proxy that a request to `url` goes through, as `host:port`; `None` where it goes straight.
    pub fn proxy_for(&self, url: &url::Url) -> Option<String> {
        self.settings.proxy.server_for(url, self.is_local())
    }

    /// Whether the cloud is on this machine: the demo tenant.
    fn is_local(&self) -> bool {
        is_loopback(&self.cloud.identity) && is_loopback(&self.cloud.graph)
    }
}

fn is_loopback(url: &url::Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}
