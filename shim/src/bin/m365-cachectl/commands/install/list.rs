//! `install --list`: which clients are on this machine, and which of them start us. Changes nothing.

use std::path::{Path, PathBuf};

use m365_cached_proto::v1::Fault;
use serde::Serialize;

use super::clients::{Client, Machine};
use super::entry::is_ours;
use super::file::Held;
use super::plan;
use crate::output::{Paint, View, table};

/// `{"clients":[…]}`
#[derive(Debug, Serialize)]
pub(super) struct List {
    clients: Vec<Row>,
}

/// One client. `state` is `installed`, `not_installed`, `other_program` (under our name), `gone` (the program it names is not there) or
/// `unreadable`.
#[derive(Debug, Serialize)]
struct Row {
    client: &'static str,
    /// What shows that it is on this machine.
    found: Option<PathBuf>,
    state: &'static str,
    file: PathBuf,
    /// What it starts.
    command: Option<String>,
    /// Why its file cannot be read.
    trouble: Option<String>,
}

impl List {
    /// For whoever judges them.
    pub(super) fn into_entered(self) -> Vec<super::Entered> {
        let row = |Row { client, found: _, state, file, command, trouble }| super::Entered { client, state, file, command, trouble };
        self.clients.into_iter().map(row).collect()
    }

    /// Looks at every client; with `project` at the files of that project.
    pub(super) fn of(machine: &Machine<'_>, project: Option<&Path>, name: &str) -> Result<Self, Fault> {
        let mut clients = Vec::new();
        for client in Client::ALL {
            let facts = client.facts();
            let file = match project {
                Some(_) if client == Client::ClaudeDesktop => continue,
                project => super::file(client, project, machine)?,
            };
            let text = Held::read(&file).map_err(|error| error.to_string());
            let entry = text.and_then(|held| plan::found(client, held.text(), name).map_err(|trouble| trouble.to_string()));
            let (state, command, trouble) = match entry {
                Err(trouble) => ("unreadable", None, Some(trouble)),
                Ok(None) => ("not_installed", None, None),
                Ok(Some(entry)) => {
                    let command = entry["command"].as_str().map(str::to_owned);
                    let there = command.as_deref().is_some_and(|command| Path::new(command).is_file());
                    let state = match (is_ours(&entry), there) {
                        (false, _) => "other_program",
                        (true, false) => "gone",
                        (true, true) => "installed",
                    };
                    (state, command, None)
                }
            };
            clients.push(Row { client: facts.word, found: machine.trace(client), state, file, command, trouble });
        }
        Ok(Self { clients })
    }
}

impl View for List {
    fn text(&self, _paint: Paint) -> String {
        let mut rows = vec![["client", "found", "state", "starts", "file"].map(str::to_owned).to_vec()];
        for row in &self.clients {
            let file = row.file.display();
            rows.push(vec![
                row.client.to_owned(),
                if row.found.is_some() { "yes" } else { "no" }.to_owned(),
                row.state.replace('_', " "),
                row.command.clone().unwrap_or_else(|| "-".to_owned()),
                row.trouble.as_ref().map_or_else(|| file.to_string(), |trouble| format!("{file}: {trouble}")),
            ]);
        }
        table(&rows)
    }
}
