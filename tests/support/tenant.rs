//! The demo tenant as a process of its own, spoken to through its control port.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
    sync::Once,
};

use anyhow::Context as _;
use m365_cached_tenant::{Account, Addresses, Stats};
use serde::Deserialize;
use serde_json::Value;

use super::{
    bins::Bins,
    process::{Running, spawn},
};

/// A tenant in its own process. Killed when dropped.
#[derive(Debug)]
pub struct TenantProcess {
    process: Running,
    http: reqwest::Client,
    /// What it said when it was ready.
    pub ready: Ready,
}

/// The line with which `m365-tenant` says that it is ready.
#[derive(Debug, Clone, Deserialize)]
pub struct Ready {
    /// Where it listens.
    #[serde(flatten)]
    pub addresses: Addresses,
    /// The registered application.
    pub client_id: String,
    /// Who can sign in.
    pub accounts: Vec<Account>,
}

impl TenantProcess {
    /// Starts it with these words, writing the profile `dir`; returns when it is ready.
    ///
    /// # Errors
    /// When it ends or says something else.
    pub fn start(bins: &Bins, dir: &Path, words: &[&str]) -> anyhow::Result<Self> {
        let mut command = Command::new(&bins.tenant);
        command.arg("--profile").arg(dir).args(words).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = spawn(&mut command)?;
        let stdout = child.stdout.take().context("stdout")?;
        let process = Running::new("m365-tenant", child);
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let ready = serde_json::from_str(&line).with_context(|| format!("the tenant's first line: {line}"))?;
        Ok(Self { process, http: http()?, ready })
    }

    /// Its counters.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn stats(&self) -> anyhow::Result<Stats> {
        Ok(self.http.get(format!("{}/stats", self.ready.addresses.control)).send().await?.error_for_status()?.json().await?)
    }

    /// Part of its data as JSON.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn dump(&self, user: &str, kind: &str) -> anyhow::Result<Value> {
        let request = self.http.get(format!("{}/dump", self.ready.addresses.control)).query(&[("user", user), ("kind", kind)]);
        Ok(request.send().await?.error_for_status()?.json().await?)
    }

    /// Waits for its end; for a demo that is kept.
    ///
    /// # Errors
    /// When it does not end in time.
    pub fn wait(&mut self, patience: std::time::Duration) -> anyhow::Result<()> {
        self.process.wait(patience).map(drop)
    }
}

/// A client for the ports of a tenant. Loopback only: proxies are left out.
///
/// # Errors
/// When it cannot be made.
pub fn http() -> anyhow::Result<reqwest::Client> {
    Ok(client().build()?)
}

/// The same, and it stays where it is: a redirect is the answer.
///
/// # Errors
/// When it cannot be made.
pub fn http_staying() -> anyhow::Result<reqwest::Client> {
    Ok(client().redirect(reqwest::redirect::Policy::none()).build()?)
}

/// The same for a tenant over TLS, whose authority is `pem` and no other.
///
/// # Errors
/// When it cannot be made.
pub fn http_trusting(pem: &[u8]) -> anyhow::Result<reqwest::Client> {
    Ok(client().tls_certs_only(reqwest::Certificate::from_pem_bundle(pem)?).build()?)
}

fn client() -> reqwest::ClientBuilder {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        // An error means that another one is there already.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
    reqwest::Client::builder().no_proxy()
}
