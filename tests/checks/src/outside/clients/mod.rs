//! Other people's clients of Graph and its identity platform, each on a tenant of its own.

mod install;

use std::{
    collections::{BTreeMap, btree_map::Entry},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use serde::Deserialize;

use self::install::Installed;
use super::{Options, program, report::Report, stand::Stand};
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

/// Where the scripts are.
fn scripts(language: Language) -> PathBuf {
    let folder = match language {
        Language::Python => "python",
        Language::Node => "node",
    };
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients").join(folder)
}

/// Installs what the wanted clients need and lets each work.
pub(super) async fn run(options: &Options, report: &mut Report) -> anyhow::Result<()> {
    let mut installed = BTreeMap::<Language, Installed>::new();
    for client in CLIENTS.iter().filter(|client| options.wants("clients") || options.wants(client.name)) {
        let ready = match installed.entry(client.language) {
            Entry::Occupied(ready) => ready.into_mut(),
            Entry::Vacant(place) => place.insert(install::install(client.language).await?),
        };
        let how = match ready {
            Installed::Missing(why) => format!("skipped: {why}"),
            Installed::At(program) => {
                say(&format!("{} works on a tenant", client.name));
                let (how, steps) = work(client, program, report).await.with_context(|| client.name)?;
                report.steps += steps;
                how
            }
        };
        report.clients.insert(client.name.to_owned(), how);
    }
    Ok(())
}

/// Lets one client work on a tenant of its own; how it went, and how many steps it did.
async fn work(client: &Client, at: &install::Place, report: &mut Report) -> anyhow::Result<(String, usize)> {
    let stand = Stand::start().await?;
    let mut command = program::on_loopback(&at.program);
    command.current_dir(&at.scripts).arg(client.script).arg(stand.describe().to_string());
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
