//! Other people's clients of Graph and its identity platform, each on a tenant of its own.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    time::Duration,
};

use anyhow::Context as _;
use serde::Deserialize;

use super::{
    Options, program,
    registry::{self, Installed, Place},
    report::Report,
    stand::Stand,
};
use crate::demo::say;

/// How long one client's script may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// What a script runs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Language {
    Python,
    Node,
}

/// One client.
struct Client {
    name: &'static str,
    language: Language,
    script: &'static str,
}

const CLIENTS: &[Client] = &[
    Client { name: "msal", language: Language::Python, script: "msal_signin.py" },
    Client { name: "O365", language: Language::Python, script: "o365_mail.py" },
    Client { name: "Office365-REST-Python-Client", language: Language::Python, script: "office365_rest.py" },
    Client { name: "msgraph-sdk", language: Language::Python, script: "msgraph_sdk.py" },
    Client { name: "@microsoft/microsoft-graph-client", language: Language::Node, script: "graph_client.js" },
];

/// The line with which a script ends.
#[derive(Deserialize)]
struct Told {
    done: Vec<String>,
    failed: BTreeMap<String, String>,
}

/// Refuses parts that there are not.
pub(super) fn known(parts: &[String]) -> anyhow::Result<()> {
    let named = |part: &str| matches!(part, "examples" | "clients") || CLIENTS.iter().any(|client| client.name == part);
    match parts.iter().find(|part| !named(part)) {
        Some(part) => {
            let names: Vec<&str> = CLIENTS.iter().map(|client| client.name).collect();
            anyhow::bail!("there is no part \"{part}\"; say examples, clients, {}", names.join(", "))
        }
        None => Ok(()),
    }
}

impl Language {
    /// Installs its clients.
    async fn install(self) -> anyhow::Result<Installed> {
        match self {
            Self::Python => registry::python("graph-python", &registry::scripts("python").join("requirements.txt")).await,
            Self::Node => registry::node("graph-node", &registry::scripts("node")).await,
        }
    }
}

/// Installs what the wanted clients need and lets each work.
pub(super) async fn run(options: &Options, report: &mut Report) -> anyhow::Result<()> {
    let mut installed = BTreeMap::<Language, Installed>::new();
    for client in CLIENTS.iter().filter(|client| options.wants("clients") || options.wants(client.name)) {
        let ready = match installed.entry(client.language) {
            Entry::Occupied(ready) => ready.into_mut(),
            Entry::Vacant(place) => place.insert(client.language.install().await?),
        };
        let how = match ready {
            Err(why) => format!("skipped: {why}"),
            Ok(place) => {
                say(&format!("{} works on a tenant", client.name));
                let (how, steps) = work(client, place, report).await.with_context(|| client.name)?;
                report.steps += steps;
                how
            }
        };
        report.clients.insert(client.name.to_owned(), how);
    }
    Ok(())
}

/// Lets one client work on a tenant of its own; how it went, and how many steps it did.
async fn work(client: &Client, at: &Place, report: &mut Report) -> anyhow::Result<(String, usize)> {
    let stand = Stand::start().await?;
    let mut command = program::on_loopback(&at.program);
    command.current_dir(&at.folder).arg(client.script).arg(stand.describe().to_string());
    command.env("NODE_EXTRA_CA_CERTS", stand.ca()).env("PYTHONWARNINGS", "ignore").env("PYTHONDONTWRITEBYTECODE", "1");
    let said = program::hear(&mut command, PATIENCE).await;
    let leaked = stand.leaked();
    report.add(stand.stop().await?);
    // A script that hangs or says nothing that can be read has failed; the others still run.
    let said = match said {
        Ok(said) => said,
        Err(error) => return Ok((format!("failed: {error:#}"), 0)),
    };
    let last = said.out.lines().last().unwrap_or_default();
    let Ok(told) = serde_json::from_str::<Told>(last) else {
        return Ok((format!("failed: it did not say how it went: {}", said.tail()), 0));
    };
    let mut wrong: Vec<String> = told.failed.iter().map(|(step, why)| format!("{step}: {why}")).collect();
    if leaked > 0 {
        wrong.push(format!("{leaked} requests took a token to a pre-authenticated address"));
    }
    if wrong.is_empty() && (!said.good || told.done.is_empty()) {
        wrong.push(said.tail());
    }
    let how = if wrong.is_empty() { "ok".to_owned() } else { format!("failed: {}", wrong.join("; ")) };
    Ok((how, told.done.len()))
}
