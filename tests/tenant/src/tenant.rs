//! A running tenant: binds the ports, builds the state, serves until it is stopped or dropped.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::clock::Clock;
use crate::control::Control;
use crate::csdl::Judge;
use crate::door::{Door, Room};
use crate::faults::Faults;
use crate::front::slots::Slots;
use crate::graph::Graph;
use crate::identity::grants::Grants;
use crate::ids::Ids;
use crate::journal::Journal;
use crate::options::Options;
use crate::seed::{Kind, User};
use crate::state::{Settings, State};
use crate::stats::Counts;
use crate::tls;

/// The application that is registered in the tenant: what clients put into `client_id`.
pub const CLIENT_ID: &str = "5c0ffee5-0000-4000-a000-0000000365ca";

/// All registered applications. The second is what samples and other people's clients carry as a placeholder.
pub(crate) const REGISTERED: &[&str] = &[CLIENT_ID, "client-id"];

/// Where a tenant listens; each is `http://127.0.0.1:PORT` or `https://127.0.0.1:PORT`, without a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addresses {
    /// Sign-in, plain HTTP.
    pub identity: String,
    /// Sign-in, TLS.
    pub identity_tls: String,
    /// Graph, plain HTTP/1.1; requests go below `/v1.0`.
    pub graph: String,
    /// Graph, TLS with `h2` and `http/1.1`.
    pub graph_tls: String,
    /// Pre-authenticated downloads, plain HTTP.
    pub downloads: String,
    /// Pre-authenticated downloads, TLS.
    pub downloads_tls: String,
    /// The control port, plain HTTP.
    pub control: String,
}

/// An account that can sign in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The sign-in name, to be used as `login_hint`.
    pub username: String,
    /// `work` or `personal`.
    pub kind: String,
    /// Its tenant's id.
    pub tenant_id: String,
    /// Its object id.
    pub object_id: String,
    /// The name people see.
    pub display_name: String,
}

/// A running tenant. Dropping it cuts all its connections.
#[derive(Debug)]
pub struct Tenant {
    control: Control,
    addresses: Addresses,
    accounts: Vec<Account>,
    shared: Vec<String>,
    ca_pem: String,
    doors: JoinSet<()>,
}

impl Tenant {
    /// Starts a tenant inside the running tokio runtime and returns when all its ports accept connections.
    ///
    /// # Errors
    /// When a port cannot be bound or the certificate cannot be made.
    pub async fn start(options: Options) -> anyhow::Result<Self> {
        let tls = tls::generate().context("making the demo certificate")?;
        let ports = options.ports;
        let plan = [
            ("identity", Room::Identity, false, ports.identity),
            ("identity_tls", Room::Identity, true, ports.identity_tls),
            ("graph", Room::Graph, false, ports.graph),
            ("graph_tls", Room::Graph, true, ports.graph_tls),
            ("downloads", Room::Downloads, false, ports.downloads),
            ("downloads_tls", Room::Downloads, true, ports.downloads_tls),
            ("control", Room::Control, false, ports.control),
        ];
        let (mut doors, mut urls) = (Vec::new(), Vec::new());
        for (name, room, secure, port) in plan {
            let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
                .await
                .with_context(|| format!("listening on 127.0.0.1:{port} for {name}"))?;
            let scheme = if secure { "https" } else { "http" };
            urls.push(format!("{scheme}://{}", listener.local_addr()?));
            doors.push(Door { name, room, listener, tls: secure.then(|| tls.acceptor.clone()) });
        }
        let urls: [String; 7] = urls.try_into().map_err(|_| anyhow::anyhow!("seven ports"))?;
        let [identity, identity_tls, graph, graph_tls, downloads, downloads_tls, control] = urls;
        let addresses = Addresses { identity, identity_tls, graph, graph_tls, downloads, downloads_tls, control };

        let state = Arc::new(state(&options, addresses.clone()));
        let users = state.graph.users();
        let mut serving = JoinSet::new();
        for door in doors {
            serving.spawn(door.serve(Arc::clone(&state)));
        }
        Ok(Self {
            control: Control::new(state),
            addresses,
            accounts: users.iter().filter_map(account).collect(),
            shared: users.into_iter().filter(|user| user.kind == Kind::Shared).map(|user| user.username).collect(),
            ca_pem: tls.ca_pem,
            doors: serving,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// The accounts that can sign in.
    #[must_use]
    pub fn accounts(&self) -> &[Account] {
        &self.accounts
    }

    /// The addresses of mailboxes that several accounts share and nobody signs in to.
    #[must_use]
    pub fn shared_mailboxes(&self) -> &[String] {
        &self.shared
    }

    /// The certificate authority to trust for the TLS ports, as PEM.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// The handle on counters, clock, faults and data.
    #[must_use]
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// Waits until somebody stops it through the control port or [`Control::stop`], and all ports are closed.
    pub async fn stopped(&mut self) {
        while self.doors.join_next().await.is_some() {}
    }

    /// Stops it: returns when all ports are closed and all connections cut.
    pub async fn stop(mut self) {
        self.control.stop();
        self.stopped().await;
    }
}

fn state(options: &Options, addresses: Addresses) -> State {
    let clock = Arc::new(Clock::new(options.clock));
    let reader = Arc::clone(&clock);
    let graph = Graph::new(options.size, options.seed, options.more_accounts, Arc::new(move || reader.now()));
    graph.set_lag(options.lag);
    State {
        seed: options.seed,
        graph,
        clock,
        ids: Ids::new(options.seed),
        counts: Counts::new(),
        journal: Journal::default(),
        faults: Faults::default(),
        slots: Slots::default(),
        grants: Grants::default(),
        addresses,
        settings: Mutex::new(Settings {
            latency: options.latency,
            throttle: options.throttle,
            token_lifetime: options.token_lifetime,
            device_interval: options.device_interval,
        }),
        judge: options.check_csdl.then(Judge::default),
        stop: watch::Sender::new(false),
    }
}

fn account(user: &User) -> Option<Account> {
    let kind = match user.kind {
        Kind::Work => "work",
        Kind::Personal => "personal",
        Kind::Shared => return None,
    };
    Some(Account {
        username: user.username.clone(),
        kind: kind.to_owned(),
        tenant_id: user.tenant_id.clone(),
        object_id: user.id.clone(),
        display_name: user.display_name.clone(),
    })
}
