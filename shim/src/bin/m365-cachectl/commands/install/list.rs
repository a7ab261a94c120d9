//! `install --list`: which clients are on this machine, and which of them start us. Changes nothing.

use std::path::{Path, PathBuf};

use m365_cached_proto::v1::Fault;
use serde::Serialize;
use serde_json::Value;

use super::clients::{Client, Machine};
use super::file::Held;
use super::ours::Starts;
use super::plan;
use crate::output::{Paint, View, table};

/// `{"clients":[…]}`
#[derive(Debug, Serialize)]
pub(super) struct List {
    clients: Vec<Row>,
}

/// One client, or one more entry of a client that starts us under another name, as the demo's. `state` is `installed`, `not_installed`, `other_program` (under our name), `gone` (the program it names is not there) or
/// `unreadable`.
#[derive(Debug, Serialize)]
struct Row {
    #[serde(skip)]
    named: Client,
    client: &'static str,
    /// What we are called there.
    entry: String,
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
        let row = |Row { named: _, client, entry, found: _, state, file, command, trouble }| super::Entered {
            client,
            entry,
            state,
            file,
            command,
            trouble,
        };
        self.clients.into_iter().map(row).collect()
    }

    /// Looks at every client, or at the files of `project`, for the entry `name` and for those that start us by other names.
    pub(super) fn whole(machine: &Machine<'_>, project: Option<&Path>, name: &str) -> Result<Self, Fault> {
        let mut clients = Vec::new();
        for row in Self::of(machine, project, name)?.clients {
            // One that cannot be read has said so.
            let others = Held::read(&row.file).ok().and_then(|held| plan::entries(row.named, held.text()).ok()).unwrap_or_default();
            let (named, found, file) = (row.named, row.found.clone(), row.file.clone());
            clients.push(row);
            let ours = others.into_iter().filter(|(entry, value)| entry != name && Starts::here(value).is_ours());
            clients.extend(ours.map(|(entry, value)| Row::of(named, entry, found.clone(), file.clone(), Ok(Some(value)))));
        }
        Ok(Self { clients })
    }

    /// The clients that have an entry of ours by another name than `name`, with that name.
    pub(super) fn others(self, name: &str) -> impl Iterator<Item = (Client, String)> {
        self.clients.into_iter().filter(move |row| row.entry != name).map(|row| (row.named, row.entry))
    }

    /// Looks at every client for the entry `name`; with `project` at the files of that project.
    fn of(machine: &Machine<'_>, project: Option<&Path>, name: &str) -> Result<Self, Fault> {
        let mut clients = Vec::new();
        for client in Client::ALL {
            let file = match project {
                Some(_) if client == Client::ClaudeDesktop => continue,
                project => super::file(client, project, machine)?,
            };
            let text = Held::read(&file).map_err(|error| error.to_string());
            let entry = text.and_then(|held| plan::found(client, held.text(), name).map_err(|trouble| trouble.to_string()));
            clients.push(Row::of(client, name.to_owned(), machine.trace(client), file, entry));
        }
        Ok(Self { clients })
    }
}

impl Row {
    fn of(client: Client, name: String, found: Option<PathBuf>, file: PathBuf, entry: Result<Option<Value>, String>) -> Self {
        let (state, command, trouble) = match entry {
            Err(trouble) => ("unreadable", None, Some(trouble)),
            Ok(None) => ("not_installed", None, None),
            Ok(Some(entry)) => {
                let command = entry["command"].as_str().map(str::to_owned);
                let state = match Starts::here(&entry) {
                    Starts::Another => "other_program",
                    Starts::Gone => "gone",
                    Starts::Ours => "installed",
                };
                (state, command, None)
            }
        };
        Self { named: client, client: client.facts().word, entry: name, found, state, file, command, trouble }
    }
}

impl View for List {
    fn text(&self, _paint: Paint) -> String {
        let mut rows = vec![["client", "found", "entry", "state", "starts", "file"].map(str::to_owned).to_vec()];
        for row in &self.clients {
            let file = row.file.display();
            rows.push(vec![
                row.client.to_owned(),
                if row.found.is_some() { "yes" } else { "no" }.to_owned(),
                row.entry.clone(),
                row.state.replace('_', " "),
                row.command.clone().unwrap_or_else(|| "-".to_owned()),
                row.trouble.as_ref().map_or_else(|| file.to_string(), |trouble| format!("{file}: {trouble}")),
            ]);
        }
        table(&rows)
    }
}
