//! `version`: what is installed and what runs. Programs of different versions meet while one of them has been replaced and the other still runs.

use m365_cached_proto::fault::NOT_RUNNING;
use m365_cached_proto::v1::{Fault, StatusRequest};
use m365_cached_proto::{PROTOCOL_MIN, PROTOCOL_VERSION};
use serde::Serialize;

use crate::context::{Context, promptly};
use crate::output::{Paint, View};

/// What stands below its flags.
pub(crate) const HELP: &str = "\
Example:
  m365-cachectl version --json

With --json: `version` of this program, the `protocol` between shims and daemon that it speaks, the oldest one it understands
(`protocol_min`), `platform`, and `daemon`: `version`, `pid`, `schema` (of its database, `null` while locked) and `clients`, the versions of the
shims that are attached; `null` when none runs.";

/// See [`HELP`].
#[derive(Debug, Serialize)]
struct Versions {
    version: &'static str,
    protocol: u32,
    protocol_min: u32,
    platform: String,
    daemon: Option<Running>,
}

#[derive(Debug, Serialize)]
struct Running {
    version: String,
    pid: u32,
    schema: Option<u32>,
    clients: Vec<String>,
}

pub(super) async fn run(context: &Context) -> Result<(), Fault> {
    let daemon = match context.running().await {
        Ok(mut admin) => {
            let status = promptly(admin.status(StatusRequest::default())).await?;
            let clients = status.clients.into_iter().map(|client| client.shim_version).collect();
            Some(Running { version: status.version, pid: status.pid, schema: status.store.map(|store| store.schema), clients })
        }
        Err(fault) if fault.code == NOT_RUNNING => None,
        Err(fault) => return Err(fault),
    };
    let platform = format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH);
    let version = env!("CARGO_PKG_VERSION");
    context.output.show(&Versions { version, protocol: PROTOCOL_VERSION, protocol_min: PROTOCOL_MIN, platform, daemon });
    Ok(())
}

impl View for Versions {
    fn text(&self, _paint: Paint) -> String {
        let mut text = format!("m365-cachectl {} ({}, protocol {})\n", self.version, self.platform, self.protocol);
        let Some(daemon) = &self.daemon else { return text + "no daemon runs\n" };
        let schema = daemon.schema.map(|schema| format!(", schema {schema}")).unwrap_or_default();
        text += &format!("m365-cached   {} runs (pid {}{schema})\n", daemon.version, daemon.pid);
        if daemon.version != self.version {
            text += "They differ: `m365-cachectl restart` starts the installed one.\n";
        }
        let others = daemon.clients.iter().filter(|version| **version != daemon.version).count();
        if others > 0 {
            text += &format!("{others} of {} clients run a shim of another version: restart those clients.\n", daemon.clients.len());
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_runs_and_what_differs() {
        let mut versions = Versions { version: "0.2.0", protocol: 1, protocol_min: 1, platform: "linux-x86_64".into(), daemon: None };
        assert_eq!(versions.text(Paint::OFF), "m365-cachectl 0.2.0 (linux-x86_64, protocol 1)\nno daemon runs\n");
        let clients = vec!["0.1.0".to_owned(), "0.0.9".to_owned()];
        versions.daemon = Some(Running { version: "0.1.0".into(), pid: 7, schema: Some(9), clients });
        insta::assert_snapshot!(versions.text(Paint::OFF), @"
        m365-cachectl 0.2.0 (linux-x86_64, protocol 1)
        m365-cached   0.1.0 runs (pid 7, schema 9)
        They differ: `m365-cachectl restart` starts the installed one.
        1 of 2 clients run a shim of another version: restart those clients.
        ");
    }
}
