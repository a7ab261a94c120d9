//! What `install` and `uninstall` say: the question, the outcome, the text to put in by hand.

use std::fmt::Write as _;
use std::path::PathBuf;

use m365_cached_proto::v1::{Fault, Kind};
use serde::Serialize;
use serde_json::Value;

use super::args::NAME;
use super::change::diff;
use super::clients::{Client, Format};
use super::entry::Entry;
use super::plan::{self, Plan, Step};
use crate::output::{Paint, View};
use crate::views::FaultView;

/// `{"clients":[…]}`
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) clients: Vec<Row>,
    /// What would keep the clients from being served.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) warning: Option<String>,
}

/// What became of one client. `diff` is empty when nothing was to be changed.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    client: &'static str,
    /// What we are called there.
    entry: Option<String>,
    state: &'static str,
    file: Option<PathBuf>,
    /// The folder of the profile to which the entry leads; `null` for the one in the system's places.
    profile: Option<PathBuf>,
    diff: String,
    backup: Option<PathBuf>,
    /// What the person does next.
    after: Option<&'static str>,
    note: Option<&'static str>,
    error: Option<FaultView>,
    #[serde(skip)]
    title: &'static str,
    #[serde(skip)]
    shown: bool,
    #[serde(skip)]
    exit_code: u8,
}

impl Row {
    /// A row that says what would be done; `shown` prints the difference, too.
    pub(super) fn planned(plan: &Plan<'_>, shown: bool) -> Self {
        let facts = plan.client.facts();
        let (old, new) = plan.texts();
        let change = plan.step != Step::Nothing;
        let state = match (plan.step, plan.is_wanted()) {
            (Step::Install, _) => "would_install",
            (Step::Update, _) => "would_update",
            (Step::Uninstall, _) => "would_uninstall",
            (Step::Nothing, true) => "unchanged",
            (Step::Nothing, false) => "not_installed",
        };
        Self {
            client: facts.word,
            entry: Some(plan.name.to_owned()),
            state,
            file: Some(plan.file.clone()),
            profile: plan.will_lead(),
            diff: if change { diff(old, new) } else { String::new() },
            backup: None,
            after: None,
            note: facts.note.filter(|_| change),
            error: None,
            title: facts.title,
            shown,
            exit_code: 0,
        }
    }

    /// The same, when it has been done.
    pub(super) fn done(self, backup: Option<PathBuf>) -> Self {
        let (state, after) = match self.state {
            "would_install" => ("installed", true),
            "would_update" => ("updated", true),
            _ => ("uninstalled", false),
        };
        let after = Client::ALL.into_iter().map(Client::facts).find(|facts| after && facts.word == self.client).map(|facts| facts.after);
        Self { state, backup, after, ..self }
    }

    /// A row for a client whose file stays as it is.
    pub(super) fn failed(client: Client, fault: &Fault) -> Self {
        let facts = client.facts();
        Self {
            client: facts.word,
            entry: None,
            state: "failed",
            file: None,
            profile: None,
            diff: String::new(),
            backup: None,
            after: None,
            note: None,
            error: Some(fault.into()),
            title: facts.title,
            shown: false,
            exit_code: fault.exit_code(),
        }
    }
}

impl Report {
    /// That of the first client whose file could not be changed.
    pub(super) fn exit_code(&self) -> u8 {
        self.clients.iter().map(|row| row.exit_code).find(|code| *code != 0).unwrap_or(0)
    }
}

impl View for Report {
    fn text(&self, paint: Paint) -> String {
        let mut text = String::new();
        for row in &self.clients {
            let state = row.state.replace('_', " ");
            let state = match row.state {
                "installed" | "updated" | "uninstalled" => paint.good(&state),
                "failed" => paint.bad(&state),
                "unchanged" => "nothing to do".to_owned(),
                _ => state,
            };
            let _ = write!(text, "{}: {state}", row.title);
            if let Some(entry) = row.entry.as_ref().filter(|entry| *entry != NAME) {
                let _ = write!(text, " (`{entry}`)");
            }
            if let Some(file) = &row.file {
                let _ = write!(text, "  `{}`", file.display());
            }
            text.push('\n');
            if let Some(error) = &row.error {
                let _ = writeln!(text, "  {}", error.message);
                if let Some(hint) = &error.hint {
                    let _ = writeln!(text, "  hint: {hint}");
                }
            }
            if row.shown {
                text += &indented(&row.diff, Some(paint));
            }
            if let Some(backup) = &row.backup {
                let _ = writeln!(text, "  as it was: `{}`", backup.display());
            }
            if let Some(profile) = &row.profile {
                let _ = writeln!(text, "  it leads to the profile `{}`", profile.display());
            }
            for line in row.after.iter().chain(&row.note) {
                let _ = writeln!(text, "  {line}");
            }
        }
        text
    }
}

fn indented(diff: &str, paint: Option<Paint>) -> String {
    let painted = |line: &str| match (line.as_bytes().first(), paint) {
        (Some(b'+'), Some(paint)) => paint.good(line),
        (Some(b'-'), Some(paint)) => paint.bad(line),
        _ => line.to_owned(),
    };
    diff.lines().map(|line| format!("  {}\n", painted(line))).collect()
}

/// What a person agrees to.
pub(super) fn question(changes: &[&Plan<'_>]) -> String {
    let mut text = String::new();
    for plan in changes {
        let (old, new) = plan.texts();
        let _ = writeln!(text, "{}  `{}`", plan.client.facts().title, plan.file.display());
        text += &indented(&diff(old, new), None);
        if let Some(note) = plan.client.facts().note {
            let _ = writeln!(text, "  {note}");
        }
    }
    text.trim_end().to_owned()
}

/// `{"clients":[…]}`: what is to be put in by hand.
#[derive(Debug, Serialize)]
pub(super) struct Print {
    pub(super) clients: Vec<Printed>,
}

/// The text for one client.
#[derive(Debug, Serialize)]
pub(super) struct Printed {
    client: &'static str,
    file: PathBuf,
    /// `json` or `toml`
    format: &'static str,
    snippet: String,
    /// The client's own command that does the same.
    command: Option<String>,
}

impl Printed {
    pub(super) fn of(client: Client, file: PathBuf, name: &str, entry: &Entry) -> Result<Self, Fault> {
        let facts = client.facts();
        let snippet = plan::snippet(client, name, entry)
            .map_err(|trouble| Fault::new(Kind::Internal, "no_snippet", format!("the entry cannot be written: {trouble}"), "Report it."))?;
        // Only of use at a shell, and for the user's own list.
        let own = client == Client::ClaudeCode && !file.ends_with(".mcp.json");
        let members = Value::Object(entry.members(facts.typed)).to_string();
        let command = own.then(|| format!("claude mcp add-json -s user {name} '{}'", members.replace('\'', r"'\''")));
        let format = if facts.format == Format::Toml { "toml" } else { "json" };
        Ok(Self { client: facts.word, file, format, snippet, command })
    }

    /// Where it goes, for whoever watches.
    pub(super) fn remark(&self) -> String {
        let command = self.command.as_ref().map_or_else(String::new, |command| format!(", or: {command}"));
        format!("for `{}`{command}", self.file.display())
    }
}

impl View for Print {
    fn text(&self, _paint: Paint) -> String {
        self.clients.iter().map(|one| one.snippet.as_str()).collect::<Vec<_>>().join("\n")
    }
}
