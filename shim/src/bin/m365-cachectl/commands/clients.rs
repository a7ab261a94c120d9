//! `clients`: who is attached to the daemon, and what each has called. The same as in `status`, in a table of its own.

use m365_cached_proto::v1::{Fault, StatusReply, StatusRequest};
use serde::Serialize;

use crate::context::{Context, promptly};
use crate::output::{Paint, View, seconds, table};
use crate::views::ClientView;

/// What stands below its flags.
pub(crate) const HELP: &str = "\
Examples:
  m365-cachectl clients
  m365-cachectl clients --json | jq -r '.clients[].name'

A client is named by itself; one that has called nothing yet may have no name. Exit code 8 when no daemon runs.

With --json: `clients`, a list of `session`, `pid` (of its m365-mcp), `name`, `version`, `protocol`, `era` (`legacy` or `modern`), `tools` (its profile),
`policy`, `connected_ms` (Unix time), `calls`, `under_way` and `shim_version`.";

/// See [`HELP`].
#[derive(Debug, Serialize)]
struct Clients {
    clients: Vec<ClientView>,
    /// The daemon's time, for the text.
    #[serde(skip)]
    now_ms: Option<u64>,
}

pub(super) async fn run(context: &Context) -> Result<(), Fault> {
    // Of calls only the daemon's time is wanted, by which its clients are as old as they are.
    let asked = StatusRequest { activity: true, after_call: u64::MAX };
    let reply = promptly(context.running().await?.status(asked)).await?;
    context.output.show(&Clients::from(reply));
    Ok(())
}

impl From<StatusReply> for Clients {
    fn from(reply: StatusReply) -> Self {
        let mut clients: Vec<ClientView> = reply.clients.into_iter().map(ClientView::from).collect();
        clients.sort_by_key(|client| client.session);
        Self { clients, now_ms: reply.activity.map(|activity| activity.now_ms) }
    }
}

impl View for Clients {
    fn text(&self, _paint: Paint) -> String {
        if self.clients.is_empty() {
            return "no client is attached\n".to_owned();
        }
        let unknown = || "-".to_owned();
        let row = |client: &ClientView| {
            let since = self.now_ms.map_or_else(unknown, |now| seconds(now.saturating_sub(client.connected_ms) / 1000));
            vec![
                client.name.clone().unwrap_or_else(|| "not named yet".to_owned()),
                client.version.clone().unwrap_or_else(unknown),
                client.protocol.clone().unwrap_or_else(unknown),
                client.tools.clone().unwrap_or_else(unknown),
                since,
                client.calls.to_string(),
                client.under_way.map_or_else(unknown, |count| count.to_string()),
                client.pid.to_string(),
                client.policy.clone().unwrap_or_default(),
            ]
        };
        let head = ["client", "version", "protocol", "tools", "since", "calls", "now", "pid", "policy"].map(str::to_owned).to_vec();
        table(&std::iter::once(head).chain(self.clients.iter().map(row)).collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use m365_cached_proto::v1::{Activity, Client};

    use super::*;

    #[test]
    fn clients_read_well() {
        let client = |session, name: &str, protocol: &str| Client {
            session,
            pid: 70 + u32::try_from(session).unwrap(),
            name: name.into(),
            version: if name.is_empty() { String::new() } else { "2.1.0".into() },
            protocol: protocol.into(),
            calls: session * 5,
            connected_ms: 1_790_000_000_000,
            shim_version: "0.1.0".into(),
            policy: if session == 1 { "default: read-only".into() } else { String::new() },
            tools: "essential".into(),
            under_way: (session < 3).then_some(session),
        };
        let clients = vec![client(3, "", ""), client(2, "vscode", "2025-11-25"), client(1, "claude-code", "2026-07-28")];
        let activity = Some(Activity { now_ms: 1_790_000_725_000, ..Activity::default() });
        let view = Clients::from(StatusReply { clients, activity, ..StatusReply::default() });
        insta::assert_snapshot!("clients_text", view.text(Paint::OFF));
        insta::assert_json_snapshot!("clients_json", view);
        assert_eq!(Clients::from(StatusReply::default()).text(Paint::OFF), "no client is attached\n");
    }
}
