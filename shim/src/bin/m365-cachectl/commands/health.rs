//! `health`: whether the daemon lives, and whether tools can be called. The exit code says it, for monitors and for scripts that wait.

use std::time::Duration;

use m365_cached_proto::endpoint::{admin_client, health_client};
use m365_cached_proto::health::{HealthCheckRequest, LIVE, READY, ServingStatus};
use m365_cached_proto::v1::{Fault, Kind, StatusRequest};
use serde::Serialize;
use tonic::transport::Channel;

use crate::context::{Context, answered, promptly};
use crate::output::{Paint, View};
use crate::views::FaultView;

/// A daemon that has not answered within this is stuck; its own deadline is shorter.
const PROMPT: Duration = Duration::from_secs(10);
/// Between two looks while waiting.
const LOOK: Duration = Duration::from_millis(100);

/// What is asked for.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  m365-cachectl health                     exits 0 when tools can be called
  m365-cachectl health --live              exits 0 when the daemon does its work, also while it is locked
  m365-cachectl health --wait 30           waits until then
  m365-cachectl health --json | jq .reason.code

Else it exits with the code of the reason: 8 when no daemon runs, 7 when it is locked or stopping, 1 when
it is stuck. The same is told by the standard gRPC service `grpc.health.v1.Health` on the daemon's socket:
the overall service (no name) is whether it lives, `m365.cached.v1.Tools` whether tools can be called.

With --json: `live`, `ready`, and `reason`, which is null when it is ready.")]
pub(crate) struct Args {
    /// Tools can be called (default)
    #[arg(long, conflicts_with = "live")]
    ready: bool,
    /// The daemon does its work; a locked one does
    #[arg(long)]
    live: bool,
    /// Wait for it as long as this
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    wait: u64,
}

/// `{"live":true,"ready":false,"reason":{"kind":"config",…}}`; `reason` is `null` when it is ready.
#[derive(Debug, Serialize)]
struct Health {
    live: bool,
    ready: bool,
    reason: Option<FaultView>,
}

/// How it is, and why not better.
struct Found {
    live: bool,
    reason: Option<Fault>,
}

/// Says it, and gives the exit code.
pub(super) async fn run(context: &Context, args: &Args) -> Result<u8, Fault> {
    let good = |found: &Found| if args.live { found.live } else { found.reason.is_none() };
    let until = tokio::time::Instant::now() + Duration::from_secs(args.wait);
    let mut found = look(context).await;
    while !good(&found) && tokio::time::Instant::now() < until {
        tokio::time::sleep(LOOK).await;
        found = look(context).await;
    }
    let code = if good(&found) { 0 } else { found.reason.as_ref().map_or(1, Fault::exit_code) };
    context.output.show(&Health { live: found.live, ready: found.reason.is_none(), reason: found.reason.as_ref().map(FaultView::from) });
    Ok(code)
}

async fn look(context: &Context) -> Found {
    let channel = match context.reached().await {
        Ok(channel) => channel,
        Err(reason) => return Found { live: false, reason: Some(reason) },
    };
    match serves(&channel, LIVE).await {
        Ok(true) => {}
        Ok(false) => return Found { live: false, reason: Some(stuck()) },
        Err(reason) => return Found { live: false, reason: Some(reason) },
    }
    let reason = match serves(&channel, READY).await {
        Ok(true) => None,
        Ok(false) => Some(why(channel).await),
        Err(reason) => Some(reason),
    };
    Found { live: true, reason }
}

async fn serves(channel: &Channel, service: &str) -> Result<bool, Fault> {
    let mut client = health_client(channel.clone());
    let asked = client.check(HealthCheckRequest { service: service.to_owned() });
    match tokio::time::timeout(PROMPT, asked).await {
        Ok(answer) => answered(answer).map(|reply| reply.status() == ServingStatus::Serving),
        Err(_) => Err(stuck()),
    }
}

/// Why a daemon that lives is not ready.
async fn why(channel: Channel) -> Fault {
    let status = match promptly(admin_client(channel).status(StatusRequest::default())).await {
        Ok(status) => status,
        Err(fault) => return fault,
    };
    match status.locked {
        Some(locked) if status.state != "draining" => locked,
        _ if status.state == "draining" => Fault::new(
            Kind::Config,
            "draining",
            "the daemon is finishing its calls and ends",
            "Wait for the next one: `m365-cachectl health --wait 30`.",
        ),
        _ => Fault::new(
            Kind::Config,
            "store_unusable",
            "the store does not do its work; answers are fetched and not kept",
            "See the warnings of `m365-cachectl status`.",
        ),
    }
}

fn stuck() -> Fault {
    Fault::new(
        Kind::Internal,
        "daemon_stuck",
        "the daemon runs and does not do its work: its store does not answer",
        "End the process `m365-cached`; the next client starts another.",
    )
}

impl View for Health {
    fn text(&self, paint: Paint) -> String {
        match &self.reason {
            None => format!("{}\n", paint.good("ready")),
            Some(reason) => {
                let state = if self.live { paint.warn("live, not ready:") } else { paint.bad("not live:") };
                let hint = reason.hint.as_ref().map_or_else(String::new, |hint| format!("{} {hint}\n", paint.strong("hint:")));
                format!("{state} {}\n{hint}", reason.message)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_well() {
        let health = |live, reason: Option<Fault>| Health { live, ready: reason.is_none(), reason: reason.as_ref().map(FaultView::from) };
        assert_eq!(health(true, None).text(Paint::OFF), "ready\n");
        assert_eq!(serde_json::to_string(&health(true, None)).unwrap(), r#"{"live":true,"ready":true,"reason":null}"#);
        let locked = || Fault::new(Kind::Config, "keyring_locked", "The keyring is locked.", "unlock it");
        assert_eq!(health(true, Some(locked())).text(Paint::OFF), "live, not ready: The keyring is locked.\nhint: unlock it\n");
        assert!(health(false, Some(stuck())).text(Paint::OFF).starts_with("not live: the daemon runs and does not"));
    }
}
