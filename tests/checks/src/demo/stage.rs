//! Everything that runs during the demo: tenant, daemon, clients, in a temporary profile.

use std::time::Duration;

use anyhow::Context as _;
use m365_cached_tenant::Stats;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::{Options, report::Report, say};
use crate::support::{
    bins::{Bins, For, bins},
    ctl,
    daemon::Daemon,
    home::Home,
    mcp::{Era, Mcp},
    signin, stopwatch,
    tenant::TenantProcess,
    world::{ALEX, BEA},
};

/// What runs.
pub(super) struct Stage {
    pub(super) bins: &'static Bins,
    pub(super) home: Home,
    /// Ids of the signed-in accounts.
    pub(super) accounts: Vec<String>,
    tenant: TenantProcess,
    daemon: Option<Daemon>,
    runtime: Runtime,
}

impl Stage {
    /// Builds and starts everything.
    pub(super) fn set(options: &Options) -> anyhow::Result<Self> {
        say("building the programs in release");
        let bins = bins(For::Demo)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let home = Home::new(u8::try_from(std::process::id() & 0xff)?)?;
        say(&format!("starting the demo tenant ({}, with Microsoft's latencies)", options.size.word()));
        let words = ["--size", options.size.word(), "--seed", &options.seed.to_string(), "--latency", "real"];
        // A place in the tenant's runtime is where its HTTP client lives.
        let (tenant, took) = stopwatch::timed(|| runtime.block_on(async { TenantProcess::start(bins, home.path(), &words) }));
        let tenant = tenant?;
        say(&format!("the tenant took {} ms; starting the daemon", stopwatch::millis(took)));
        let (daemon, took) = stopwatch::timed(|| Daemon::start(bins, &home));
        let daemon = daemon?;
        say(&format!("the daemon was ready after {} ms", stopwatch::millis(took)));
        let mut accounts = Vec::new();
        for username in [ALEX, BEA] {
            say(&format!("signing {username} in"));
            let account = runtime.block_on(signin::sign_in(bins, &home, username))?;
            accounts.push(account["id"].as_str().with_context(|| format!("an account without id: {account}"))?.to_owned());
        }
        Ok(Self { bins, home, accounts, tenant, daemon: Some(daemon), runtime })
    }

    /// Shim processes that have greeted; every other one in the new era of the protocol.
    pub(super) fn clients(&self, count: usize) -> anyhow::Result<Vec<Mcp>> {
        let era = |index| if index % 2 == 0 { Era::Legacy } else { Era::Modern };
        (0..count).map(|index| Mcp::start(self.bins, &self.home, era(index))).collect()
    }

    /// The tenant's counters.
    pub(super) fn graph(&self) -> anyhow::Result<Stats> {
        self.runtime.block_on(self.tenant.stats())
    }

    /// What the daemon counts.
    pub(super) fn counters(&self) -> anyhow::Result<Value> {
        ctl::run(self.bins, &self.home, &["--json", "stats"])?.ok()?.json()
    }

    /// Texts of the accounts' data that must not stand in any file.
    pub(super) fn needles(&self) -> anyhow::Result<Vec<String>> {
        let mut texts = vec![m365_cached_tenant::seed::CANARY.to_owned(), ALEX.to_owned(), BEA.to_owned()];
        let messages = self.runtime.block_on(self.tenant.dump(ALEX, "messages"))?;
        collect(&messages, &["subject", "address"], &mut texts);
        texts.sort();
        texts.dedup();
        // Enough to prove the point and still quick: the canary is in every kind of text.
        let step = texts.len().div_ceil(2_000).max(1);
        let mut few: Vec<String> = texts.iter().step_by(step).cloned().collect();
        few.extend([m365_cached_tenant::seed::CANARY.to_owned(), ALEX.to_owned(), BEA.to_owned()]);
        few.sort();
        few.dedup();
        Ok(few)
    }

    /// Sizes for the report.
    pub(super) fn sizes(&self, report: &mut Report) -> anyhow::Result<()> {
        let counters = self.counters()?;
        let number = |name: &str| counters[name].as_u64().with_context(|| format!("no `{name}` in {counters}"));
        report.store_bytes = number("stored_bytes")?;
        report.raw_bytes = number("raw_bytes")?;
        report.entries = number("entries")?;
        for file in self.home.files()? {
            let store = file.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("cache.db"));
            if store {
                report.file_bytes += std::fs::metadata(&file).map_or(0, |meta| meta.len());
            }
        }
        Ok(())
    }

    /// Stops the daemon properly, so that what it leaves on disk can be looked at.
    pub(super) fn stop(&mut self) -> anyhow::Result<()> {
        self.daemon.take().map_or(Ok(()), Daemon::stop)
    }

    /// Leaves everything running until Ctrl-C, and says how to connect.
    pub(super) fn keep(&mut self) -> anyhow::Result<()> {
        let mut environment = json!({"M365_CACHED_DIR": self.home.path()});
        if let Some(key) = &self.home.key {
            environment["M365_MCP_CACHE_KEY"] = json!(key);
        }
        let server = json!({"command": self.bins.shim, "args": [], "env": environment});
        let config = serde_json::to_string_pretty(&json!({"mcpServers": {"m365": server}}))?;
        say("\nStill running. Paste this into the configuration of an MCP client:\n");
        say(&config);
        say(&format!("\nOr ask by hand: M365_CACHED_DIR={} {} status", self.home.path().display(), self.bins.cachectl.display()));
        say("Ctrl-C ends tenant and daemon.");
        self.runtime.block_on(tokio::signal::ctrl_c())?;
        // Ctrl-C reaches the whole process group, so the daemon is draining already.
        if let Some(mut daemon) = self.daemon.take() {
            daemon.signal(rustix::process::Signal::TERM)?;
            daemon.wait()?;
        }
        self.tenant.wait(Duration::from_secs(10))
    }
}

/// All texts of members with these names, at any depth.
fn collect(value: &Value, names: &[&str], into: &mut Vec<String>) {
    match value {
        Value::Array(list) => list.iter().for_each(|value| collect(value, names, into)),
        Value::Object(object) => {
            for (name, value) in object {
                match value {
                    Value::String(text) if names.contains(&name.as_str()) && text.len() >= 12 => into.push(text.clone()),
                    _ => collect(value, names, into),
                }
            }
        }
        _ => {}
    }
}
