//! `m365-tenant`: starts the demo tenant, says in one JSON line where it is, and runs until it is told to end.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Parser, ValueEnum};
use m365_cached_tenant::seed::Size;
use m365_cached_tenant::{CLIENT_ID, ClockStart, Latency, Options, Ports, Tenant, Throttle, profile};
use serde_json::json;

const TEACH: &str = "\
The tenant listens on 127.0.0.1 only, needs no network and no account, and forgets everything when it ends (SIGTERM,
SIGINT, or POST /stop on the control port). Its data is made from the seed and the same each time.

Start it and a daemon against each other by hand:

  m365-tenant --profile /tmp/demo > /tmp/tenant.json &
  export M365_CACHED_DIR=/tmp/demo
  m365-cached &
  m365-cachectl login --device       # shows a page and a code; or answer it from a script:
  curl \"$(jq -r .control /tmp/tenant.json)/device\" \\
       -d '{\"user_code\":\"CODE\",\"username\":\"alex@contoso.example\",\"action\":\"approve\"}'
  m365-cachectl call email_list

`--profile DIR` writes DIR/config.toml (marked `demo = true`, with this tenant's addresses) and DIR/demo-ca.pem.

The control port counts requests, injects faults, moves the clock and changes data behind the client's back:

  curl $CONTROL/                     # all verbs
  curl $CONTROL/stats
  curl $CONTROL/faults -d '{\"route\":\"GET /me/messages\",\"count\":1,\"effect\":{\"kind\":\"status\",\"status\":503,\"code\":\"x\"}}'
  curl $CONTROL/clock -d '{\"advance_ms\":3600000}'
";

/// The demo tenant: Microsoft Graph v1.0 and its identity server on loopback.
#[derive(Debug, Parser)]
#[command(name = "m365-tenant", version, after_long_help = TEACH)]
struct Args {
    /// How much data: `small` (some 400 messages) or `large` (50,000 messages, 5,000 mail folders, 10,000 drive items)
    #[arg(long, value_enum, default_value = "small")]
    size: SizeArg,
    /// The number all data, ids and latencies are made from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// So many work accounts beside the usual ones: `user1@contoso.example` and so on
    #[arg(long, value_name = "N", default_value_t = 0)]
    more_accounts: usize,
    /// `none` answers at once; `real` is as slow as the service (about 250 ms a list, 120 ms an item, 400 ms a write)
    #[arg(long, value_enum, default_value = "none")]
    latency: LatencyArg,
    /// Serve any number of requests per mailbox at once instead of four
    #[arg(long)]
    no_throttle: bool,
    /// Seconds in the Retry-After of a 429
    #[arg(long, value_name = "S", default_value_t = 1)]
    retry_after: u64,
    /// How late lists and searches show what a write did
    #[arg(long, value_name = "MS", default_value_t = 0)]
    lag: u64,
    /// How long access tokens live
    #[arg(long, value_name = "S", default_value_t = 3600)]
    token_lifetime: u64,
    /// How often a device may ask whether it was signed in
    #[arg(long, value_name = "S", default_value_t = 5)]
    device_interval: u64,
    /// Where the tenant's clock starts: an instant such as 2026-11-20T09:00:00Z (the default) or `now`
    #[arg(long, value_name = "TIME", value_parser = clock)]
    clock: Option<ClockStart>,
    /// Hold each answer of Graph to the declarations of v1.0; `GET /csdl` on the control port tells what was found
    #[arg(long)]
    check_csdl: bool,
    /// Port for sign-in (all ports: 0 lets the system choose)
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    identity_port: u16,
    /// Port for sign-in over TLS
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    identity_tls_port: u16,
    /// Port for Graph
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    graph_port: u16,
    /// Port for Graph over TLS
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    graph_tls_port: u16,
    /// Port for pre-authenticated downloads
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    downloads_port: u16,
    /// Port for pre-authenticated downloads over TLS
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    downloads_tls_port: u16,
    /// Port for the control API
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    control_port: u16,
    /// Write the certificate authority of the TLS ports to this file
    #[arg(long, value_name = "FILE")]
    ca_out: Option<PathBuf>,
    /// Write a daemon's demo profile into this directory
    #[arg(long, value_name = "DIR")]
    profile: Option<PathBuf>,
    /// Let the profile name the TLS ports
    #[arg(long, requires = "profile")]
    tls: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum SizeArg {
    Small,
    Large,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LatencyArg {
    None,
    Real,
}

fn clock(text: &str) -> Result<ClockStart, String> {
    match text {
        "now" => Ok(ClockStart::Now),
        instant => instant.parse().map(ClockStart::At).map_err(|error| format!("{error}")),
    }
}

impl Args {
    fn options(&self) -> Options {
        Options {
            size: match self.size {
                SizeArg::Small => Size::Small,
                SizeArg::Large => Size::Large,
            },
            seed: self.seed,
            more_accounts: self.more_accounts,
            latency: match self.latency {
                LatencyArg::None => Latency::None,
                LatencyArg::Real => Latency::Real,
            },
            throttle: Throttle { on: !self.no_throttle, retry_after: self.retry_after, ..Throttle::default() },
            lag: Duration::from_millis(self.lag),
            token_lifetime: Duration::from_secs(self.token_lifetime),
            device_interval: Duration::from_secs(self.device_interval),
            clock: self.clock.unwrap_or(ClockStart::Fixed),
            check_csdl: self.check_csdl,
            ports: Ports {
                identity: self.identity_port,
                identity_tls: self.identity_tls_port,
                graph: self.graph_port,
                graph_tls: self.graph_tls_port,
                downloads: self.downloads_port,
                downloads_tls: self.downloads_tls_port,
                control: self.control_port,
            },
        }
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    // Before anything is announced, so that a signal right after the ready line is not the default one.
    let mut told = Told::listen()?;
    let mut tenant = Tenant::start(args.options()).await?;

    let mut ca = None;
    if let Some(file) = &args.ca_out {
        std::fs::write(file, tenant.ca_pem()).with_context(|| format!("writing {}", file.display()))?;
        ca = Some(file.clone());
    }
    if let Some(dir) = &args.profile {
        let written = profile::write(dir, &tenant, args.tls)?;
        ca = ca.or(Some(written));
    }
    let mut ready = serde_json::to_value(tenant.addresses())?;
    ready["ca"] = json!(ca);
    ready["client_id"] = json!(CLIENT_ID);
    ready["accounts"] = json!(tenant.accounts());
    ready["shared_mailboxes"] = json!(tenant.shared_mailboxes());
    let mut out = std::io::stdout();
    writeln!(out, "{ready}")?;
    out.flush()?;

    tokio::select! {
        () = told.end() => {}
        () = tenant.stopped() => return Ok(()),
    }
    tenant.stop().await;
    Ok(())
}

/// The signals that end the program.
#[cfg(unix)]
struct Told {
    term: tokio::signal::unix::Signal,
    int: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Told {
    fn listen() -> anyhow::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { term: signal(SignalKind::terminate())?, int: signal(SignalKind::interrupt())? })
    }

    async fn end(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.int.recv() => {}
        }
    }
}

/// The signals that end the program.
#[cfg(windows)]
struct Told(tokio::signal::windows::CtrlC);

#[cfg(windows)]
impl Told {
    fn listen() -> anyhow::Result<Self> {
        Ok(Self(tokio::signal::windows::ctrl_c()?))
    }

    async fn end(&mut self) {
        self.0.recv().await;
    }
}
