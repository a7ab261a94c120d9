//! A whole world for one test: the demo tenant, the real daemon on a real socket, a temporary profile, clients on demand.
//!
//! When it ends it fails the test if the daemon logged a warning nobody expected or a process was left behind.

use std::time::Duration;

use anyhow::Context as _;
use m365_cached_tenant::{ClockSetting, Control, Options, Tenant};
use serde_json::Value;
use tokio::runtime::Runtime;

use super::{
    PATIENCE,
    bins::{Bins, For, bins},
    ctl::{self, Said},
    daemon::Daemon,
    home::Home,
    mcp::{Era, Mcp},
    process, signin, stopwatch,
};

/// The first work account of the demo tenant.
pub const ALEX: &str = "alex@contoso.example";
/// The second one.
pub const BEA: &str = "bea@contoso.example";
/// The personal one.
pub const CASEY: &str = "casey@outlook.example";

/// Lines of the daemon's log that are shown when a test fails.
const LAST_LINES: usize = 60;

/// How a world begins.
#[derive(Debug, Default)]
pub struct Setup {
    /// The tenant's options.
    pub tenant: Options,
    /// Further lines of the daemon's `config.toml`.
    pub config: &'static str,
    /// Speak TLS and HTTP/2 with the tenant.
    pub tls: bool,
    /// Who signs in at the beginning.
    pub accounts: &'static [&'static str],
    /// Leave the daemon without a key.
    pub keyless: bool,
    /// Let the daemon warm its cache.
    pub warming: bool,
    /// Let the daemon's time be the tenant's, which stands still: see [`World::advance`].
    pub stopped_clock: bool,
    /// Hold clients to the limits by minute.
    pub rates: bool,
    /// Let answers show Microsoft's ids, for tests that compare them with what the tenant has.
    pub graph_ids: bool,
}

impl Setup {
    /// As always, with the limits by minute in force.
    #[must_use]
    pub fn limited() -> Self {
        Self { rates: true, ..Self::default() }
    }
}

/// A running world.
#[derive(Debug)]
pub struct World {
    /// The programs.
    pub bins: &'static Bins,
    /// The profile.
    pub home: Home,
    /// Ids of the accounts that were signed in at the beginning, in that order.
    pub ids: Vec<String>,
    daemon: Option<Daemon>,
    tenant: Option<Tenant>,
    /// Further words on the daemon's command line, from its next start on.
    pub words: Vec<String>,
    runtime: Runtime,
    expected: Vec<String>,
}

impl World {
    /// A small tenant, one daemon, and Alex signed in.
    ///
    /// # Errors
    /// When something cannot be started.
    pub fn start() -> anyhow::Result<Self> {
        Self::with(Setup { accounts: &[ALEX], ..Setup::default() })
    }

    /// A world to order.
    ///
    /// # Errors
    /// When something cannot be started.
    pub fn with(setup: Setup) -> anyhow::Result<Self> {
        let bins = bins(For::Tests)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let tenant = runtime.block_on(Tenant::start(setup.tenant)).context("starting the tenant")?;
        let mut home = Home::new(1)?;
        if setup.keyless {
            home.key = None;
        }
        home.warming = setup.warming;
        home.rates = setup.rates;
        if setup.graph_ids {
            home.variables.push(("M365_CACHED_IDS".to_owned(), "graph".to_owned()));
        }
        m365_cached_tenant::profile::write(home.path(), &tenant, setup.tls)?;
        home.configure(setup.config)?;
        let mut words = Vec::new();
        if setup.stopped_clock {
            tenant.control().set_clock(&ClockSetting { freeze: true, ..ClockSetting::default() });
            words.extend(["--clock-from".to_owned(), tenant.addresses().control.clone()]);
        }
        let mut world = Self { bins, home, ids: Vec::new(), daemon: None, tenant: Some(tenant), runtime, expected: Vec::new(), words };
        world.start_daemon()?;
        for account in setup.accounts {
            let id = world.sign_in(account)?;
            world.ids.push(id);
        }
        Ok(world)
    }

    /// The hand in the tenant.
    ///
    /// # Panics
    /// After the tenant was stopped.
    #[must_use]
    pub fn control(&self) -> &Control {
        match &self.tenant {
            Some(tenant) => tenant.control(),
            None => panic!("the tenant was stopped"),
        }
    }

    /// The port of the tenant's Graph over plain HTTP.
    #[must_use]
    pub fn graph_port(&self) -> u16 {
        let address = self.tenant.as_ref().map(|tenant| tenant.addresses().graph.clone()).unwrap_or_default();
        address.trim_end_matches('/').rsplit(':').next().and_then(|port| port.parse().ok()).unwrap_or(0)
    }

    /// Waits for something of the tenant.
    pub fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// Moves the clock of tenant and daemon on, and returns when the daemon has seen it. Needs [`Setup::stopped_clock`].
    ///
    /// # Errors
    /// When the daemon does not look at the tenant's clock.
    pub fn advance(&self, by: Duration) -> anyhow::Result<()> {
        let revision = self.control().advance(by).revision;
        let seen = self.runtime.block_on(self.control().clock_followed(revision, PATIENCE));
        anyhow::ensure!(seen, "the daemon does not follow the tenant's clock");
        Ok(())
    }

    /// Takes the tenant away: from now on nobody answers on its ports.
    pub fn stop_tenant(&mut self) {
        if let Some(tenant) = self.tenant.take() {
            self.runtime.block_on(tenant.stop());
        }
    }

    /// The daemon.
    ///
    /// # Panics
    /// While it is stopped.
    pub fn daemon(&mut self) -> &mut Daemon {
        match &mut self.daemon {
            Some(daemon) => daemon,
            None => panic!("the daemon was stopped"),
        }
    }

    /// Stops the daemon properly.
    ///
    /// # Errors
    /// When it does not end with success.
    pub fn stop_daemon(&mut self) -> anyhow::Result<()> {
        self.daemon.take().map_or(Ok(()), Daemon::stop)
    }

    /// Starts the daemon again.
    ///
    /// # Errors
    /// When it does not get ready.
    pub fn start_daemon(&mut self) -> anyhow::Result<()> {
        let words: Vec<&str> = self.words.iter().map(String::as_str).collect();
        self.daemon = Some(Daemon::start_with(self.bins, &self.home, &words)?);
        Ok(())
    }

    /// Kills the daemon as the system would when memory runs out.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub fn kill_daemon(&mut self) -> anyhow::Result<()> {
        if let Some(mut daemon) = self.daemon.take() {
            daemon.signal(rustix::process::Signal::KILL)?;
            daemon.wait()?;
        }
        Ok(())
    }

    /// Signs an account in without a browser; its id.
    ///
    /// # Errors
    /// When the sign-in fails.
    pub fn sign_in(&self, username: &str) -> anyhow::Result<String> {
        let account = self.runtime.block_on(signin::sign_in(self.bins, &self.home, username))?;
        Ok(account["id"].as_str().with_context(|| format!("an account without id: {account}"))?.to_owned())
    }

    /// A new client that has greeted.
    ///
    /// # Errors
    /// When the shim cannot be started or the greeting is refused.
    pub fn client(&self, era: Era) -> anyhow::Result<Mcp> {
        Mcp::start(self.bins, &self.home, era)
    }

    /// The same, whose launch line names a profile of tools.
    ///
    /// # Errors
    /// As [`World::client`].
    pub fn client_of(&self, era: Era, tools: &str) -> anyhow::Result<Mcp> {
        Mcp::launched(self.bins, &self.home, era, &["--tools", tools])
    }

    /// Runs `m365-cachectl`.
    ///
    /// # Errors
    /// When it cannot be started or does not end.
    pub fn ctl(&self, words: &[&str]) -> anyhow::Result<Said> {
        ctl::run(self.bins, &self.home, words)
    }

    /// Runs `m365-cachectl --json` and reads what it says.
    ///
    /// # Errors
    /// When it fails or says no JSON.
    pub fn ctl_json(&self, words: &[&str]) -> anyhow::Result<Value> {
        let words: Vec<&str> = ["--json"].into_iter().chain(words.iter().copied()).collect();
        self.ctl(&words)?.ok()?.json()
    }

    /// Asks for the status until it is as it must become.
    ///
    /// # Errors
    /// When it does not become so in time; the last status is in the error.
    pub fn until(&self, becomes: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
        let deadline = stopwatch::now() + PATIENCE;
        loop {
            let status = self.ctl_json(&["status"])?;
            if becomes(&status) {
                return Ok(status);
            }
            anyhow::ensure!(stopwatch::now() < deadline, "it stays so: {status}");
        }
    }

    /// Waits until no task is queued or running. One that is left over when the clock is moved asks in the midst of what comes next, and one
    /// that runs over a jump of minutes loses its lease.
    ///
    /// # Errors
    /// When there still is one when it should have ended.
    pub fn until_idle(&self) -> anyhow::Result<()> {
        self.until(|status| status["queue"]["queued"] == 0 && status["queue"]["running"] == 0).map(drop)
    }

    /// Log lines at `warn` or `error` that contain this are part of the test.
    pub fn expect_log(&mut self, part: &str) {
        self.expected.push(part.to_owned());
    }

    /// What is known of a world in which a test failed: the end of the daemon's log, and what it was asking Graph.
    #[expect(clippy::print_stderr, reason = "it belongs to the failure's message")]
    fn tell(&self) {
        let log = std::fs::read_to_string(self.home.log()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let last = lines.len().saturating_sub(LAST_LINES);
        eprintln!("the end of the daemon's log:\n{}", lines[last..].join("\n"));
        if let Some(tenant) = &self.tenant {
            eprintln!("requests under way: {:?}", tenant.control().stats().running);
        }
    }

    fn end(&mut self) -> anyhow::Result<()> {
        self.stop_daemon()?;
        // One that somebody else has started may be locked, too.
        if let Ok(status) = ctl::run(self.bins, &self.home, &["--json", "status"])
            && matches!(status.code, Some(0 | 7))
        {
            ctl::run(self.bins, &self.home, &["stop"])?.ok()?;
        }
        if let Some(tenant) = &self.tenant {
            let bearers = tenant.control().stats().bearer_on_downloads;
            anyhow::ensure!(bearers == 0, "{bearers} requests took a bearer token to the download port");
            let csdl = tenant.control().csdl()?;
            anyhow::ensure!(csdl.unknown == 0, "the tenant's answers do not hold to Graph's declarations: {:#?}", csdl.offences);
        }
        let mut left = Vec::new();
        for (pid, command) in process::of_profile(self.home.path())? {
            if process::wait_for_stranger(pid, PATIENCE).is_err() {
                process::send(pid, rustix::process::Signal::KILL)?;
                left.push(command);
            }
        }
        anyhow::ensure!(left.is_empty(), "left behind: {left:?}");
        for log in [self.home.log(), self.home.path().join("m365-cached.log")] {
            let text = std::fs::read_to_string(log).unwrap_or_default();
            let loud = |line: &&str| line.contains(" WARN ") || line.contains("ERROR ") || line.contains("panicked");
            let strange: Vec<&str> =
                text.lines().filter(loud).filter(|line| !self.expected.iter().any(|part| line.contains(part))).collect();
            anyhow::ensure!(strange.is_empty(), "the daemon logged:\n{}", strange.join("\n"));
        }
        Ok(())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.tell();
        }
        let ended = self.end();
        if let Err(error) = ended
            && !std::thread::panicking()
        {
            panic!("the world did not end well: {error:#}");
        }
    }
}
