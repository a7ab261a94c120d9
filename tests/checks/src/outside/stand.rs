//! A tenant of its own for one part of the check, with somebody signed in.

use std::time::Duration;

use anyhow::{Context as _, bail};
use m365_cached_tenant::{CLIENT_ID, DeviceAction, Options, Tenant, csdl};
use reqwest::redirect::Policy;
use serde_json::{Value, json};

use crate::support::world::{ALEX, CASEY};

/// Everything that a client may ask for.
const SCOPES: &str = "openid profile offline_access Calendars.ReadWrite Calendars.ReadWrite.Shared Contacts.ReadWrite Contacts.ReadWrite.Shared \
    Files.ReadWrite.All Mail.ReadWrite Mail.ReadWrite.Shared Mail.Send Mail.Send.Shared MailboxSettings.ReadWrite User.Read User.ReadWrite";

/// A running tenant and a token for its first account.
pub(super) struct Stand {
    tenant: Tenant,
    token: String,
    /// The personal account's.
    personal: String,
    pub(super) http: reqwest::Client,
    dir: tempfile::TempDir,
}

impl Stand {
    /// Starts a small tenant and signs the first account in.
    pub(super) async fn start() -> anyhow::Result<Self> {
        crate::support::tenant::http()?; // chooses what TLS is made of
        let http = reqwest::Client::builder().no_proxy().redirect(Policy::none()).timeout(Duration::from_secs(60)).build()?;
        let options = Options { device_interval: Duration::from_secs(1), ..Options::default() };
        let tenant = Tenant::start(options).await.context("starting a tenant")?;
        let token = sign_in(&tenant, &http, "organizations", ALEX).await?;
        let personal = sign_in(&tenant, &http, "consumers", CASEY).await?;
        let dir = tempfile::tempdir()?;
        std::fs::write(dir.path().join("ca.pem"), tenant.ca_pem())?;
        Ok(Self { tenant, token, personal, http, dir })
    }

    /// Where Graph is, with the version.
    pub(super) fn graph(&self) -> String {
        format!("{}/v1.0", self.tenant.addresses().graph)
    }

    /// The access token of the account at work, or of the personal one.
    pub(super) fn token(&self, personal: bool) -> &str {
        if personal { &self.personal } else { &self.token }
    }

    /// Lets somebody else of the tenant do something.
    pub(super) fn apply(&self, change: &Value) -> anyhow::Result<Value> {
        self.tenant.control().change(change)
    }

    /// The file with the certificate authority of the TLS ports.
    pub(super) fn ca(&self) -> std::path::PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// What a client's script is told.
    pub(super) fn describe(&self) -> Value {
        let at = self.tenant.addresses();
        json!({
            "graph": self.graph(),
            "graph_tls": format!("{}/v1.0", at.graph_tls),
            "identity_tls": at.identity_tls,
            "control": at.control,
            "ca": self.ca(),
            "client_id": CLIENT_ID,
            "username": ALEX,
            "token": self.token,
        })
    }

    /// How many requests took a token to a pre-authenticated address.
    pub(super) fn leaked(&self) -> u64 {
        self.tenant.control().stats().bearer_on_downloads
    }

    /// Ends the tenant; what its answers were like.
    pub(super) async fn stop(self) -> anyhow::Result<csdl::Report> {
        let report = self.tenant.control().csdl()?;
        self.tenant.stop().await;
        Ok(report)
    }
}

/// Signs in by a device code, answering it as a person would.
async fn sign_in(tenant: &Tenant, http: &reqwest::Client, authority: &str, username: &str) -> anyhow::Result<String> {
    let base = format!("{}/{authority}/oauth2/v2.0", tenant.addresses().identity);
    let post = async |path: &str, form: &[(&str, &str)]| -> anyhow::Result<Value> {
        Ok(http.post(format!("{base}/{path}")).form(form).send().await?.json().await?)
    };
    let device = post("devicecode", &[("client_id", CLIENT_ID), ("scope", SCOPES)]).await?;
    let (Some(user_code), Some(device_code)) = (device["user_code"].as_str(), device["device_code"].as_str()) else {
        bail!("no device code for {username}: {device}");
    };
    tenant.control().device(user_code, Some(username), DeviceAction::Approve)?;
    let grant = "urn:ietf:params:oauth:grant-type:device_code";
    let tokens = post("token", &[("client_id", CLIENT_ID), ("grant_type", grant), ("device_code", device_code)]).await?;
    Ok(tokens["access_token"].as_str().with_context(|| format!("no token for {username}: {tokens}"))?.to_owned())
}
