//! Other people's programs: found, run with a time limit, heard to the end.

use std::{path::Path, process::Stdio, time::Duration};

use anyhow::Context as _;
use tokio::process::Command;

/// Settings of this machine's networks and certificates: right for registries, wrong for a tenant on loopback.
const OF_THE_NETWORK: &[&str] = &[
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NODE_EXTRA_CA_CERTS",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "PYTHONPATH",
    "NODE_OPTIONS",
];

/// What a program said.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) good: bool,
    pub(super) out: String,
    pub(super) err: String,
}

impl Said {
    /// The end of what it said, for an error.
    pub(super) fn tail(&self) -> String {
        let all = format!("{}\n{}", self.out.trim(), self.err.trim());
        let lines: Vec<&str> = all.lines().filter(|line| !line.trim().is_empty()).collect();
        lines[lines.len().saturating_sub(12)..].join("\n")
    }
}

/// A command that talks to loopback only.
pub(super) fn on_loopback(program: &Path) -> Command {
    let mut command = Command::new(program);
    for name in OF_THE_NETWORK {
        command.env_remove(name);
    }
    command.env("NO_PROXY", "127.0.0.1,localhost");
    command
}

/// Runs a command to its end, and ends it when it takes too long.
pub(super) async fn hear(command: &mut Command, patience: Duration) -> anyhow::Result<Said> {
    let name = command.as_std().get_program().display().to_string();
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn();
    let running = child.with_context(|| format!("starting {name}"))?.wait_with_output();
    let output = tokio::time::timeout(patience, running).await.with_context(|| format!("{name} did not end within {patience:?}"))??;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(Said { good: output.status.success(), out: text(&output.stdout), err: text(&output.stderr) })
}

/// Whether this program is there and does this with success.
pub(super) async fn can(program: &str, words: &[&str]) -> bool {
    hear(Command::new(program).args(words), Duration::from_secs(60)).await.is_ok_and(|said| said.good)
}
