//! Signs an account of the demo tenant in without a browser: follows the address as a browser would.

use anyhow::{Context as _, bail};
use serde_json::Value;

use super::{bins::Bins, ctl, home::Home};

/// Signs in by the loopback flow; the account as `m365-cachectl` shows it.
///
/// # Errors
/// When the sign-in does not come to its end.
pub async fn sign_in(bins: &Bins, home: &Home, username: &str) -> anyhow::Result<Value> {
    let mut words = vec!["--json", "login", "--no-browser", "--username", username];
    if username.ends_with("@outlook.example") {
        words.push("--personal");
    }
    let mut talk = ctl::start(bins, home, &words)?;
    let mut seen = String::new();
    while let Some(event) = talk.event()? {
        seen.push_str(&format!("{event}\n"));
        match event["event"].as_str() {
            Some("open_url") => visit(home, event["url"].as_str().context("an address to open")?, username).await?,
            Some("signed_in") => {
                talk.finish(seen)?.ok()?;
                return Ok(event["account"].clone());
            }
            _ => {}
        }
    }
    bail!("no sign-in: {:?}", talk.finish(seen)?)
}

/// Opens the sign-in page as the browser of `username` would, one that trusts the tenant's certificates: the tenant approves at once and leads
/// back to the daemon.
async fn visit(home: &Home, url: &str, username: &str) -> anyhow::Result<()> {
    let hint = if url.contains("login_hint=") { String::new() } else { format!("&login_hint={}", username.replace('@', "%40")) };
    let browser = match std::fs::read(home.path().join("demo-ca.pem")) {
        Ok(pem) if url.starts_with("https://") => super::tenant::http_trusting(&pem)?,
        _ => super::tenant::http()?,
    };
    let reply = browser.get(format!("{url}{hint}")).send().await.context("opening the sign-in page")?;
    anyhow::ensure!(reply.status().is_success(), "the sign-in page answered {}: {}", reply.status(), reply.text().await?);
    Ok(())
}
