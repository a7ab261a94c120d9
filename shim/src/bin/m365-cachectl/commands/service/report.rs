//! What `service` shows: what was written and run, or what the manager knows.

use std::fmt::Write as _;
use std::io::Write as _;

use serde::Serialize;

use super::files::{File, State};
use super::manager::{Call, Manager};
use crate::output::{Paint, View};

/// `{"manager":"systemd","files":[{"path":…,"text":…}],"commands":["systemctl --user daemon-reload",…]}`.
#[derive(Debug, Serialize)]
pub(super) struct Printed {
    manager: &'static str,
    name: String,
    files: Vec<PrintedFile>,
    commands: Vec<String>,
}

#[derive(Debug, Serialize)]
struct PrintedFile {
    path: String,
    text: String,
}

impl Printed {
    pub(super) fn of(manager: &Manager) -> Self {
        let file = |file: &File| PrintedFile { path: file.path.display().to_string(), text: file.text.clone() };
        Self {
            manager: manager.kind,
            name: manager.name.clone(),
            files: manager.files.iter().map(file).collect(),
            commands: lines(&manager.begin),
        }
    }
}

impl View for Printed {
    fn text(&self, paint: Paint) -> String {
        let mut text = String::new();
        for file in &self.files {
            let _ = writeln!(text, "{}\n{}", paint.strong(&format!("# {}", file.path)), file.text);
        }
        let _ = writeln!(text, "{}", paint.strong("# Then:"));
        self.commands.iter().for_each(|command| text.push_str(&format!("{command}\n")));
        text
    }
}

/// `{"state":"installed","manager":"systemd","name":"m365-cached","files":[…],"removed":[],"ran":[…],"next":[],"pid":4242,"daemon":"ready","unseen":[]}`.
///
/// `state` is `installed`, `updated`, `unchanged` or `written`; `unseen` are variables of this environment that a service does not see.
#[derive(Debug, Serialize)]
pub(super) struct Installed {
    state: &'static str,
    manager: &'static str,
    name: String,
    files: Vec<String>,
    /// Files of an earlier installation that hid those of a package.
    removed: Vec<String>,
    ran: Vec<String>,
    next: Vec<String>,
    /// Why nothing was started.
    why: Option<String>,
    pid: Option<u32>,
    daemon: Option<String>,
    unseen: Vec<String>,
}

impl Installed {
    fn new(state: &'static str, manager: &Manager, unseen: Vec<String>) -> Self {
        Self {
            state,
            manager: manager.kind,
            name: manager.name.clone(),
            files: paths(&manager.files),
            removed: paths(&manager.hiding),
            ran: Vec::new(),
            next: Vec::new(),
            why: None,
            pid: None,
            daemon: None,
            unseen,
        }
    }

    pub(super) fn unchanged(manager: &Manager, unseen: Vec<String>) -> Self {
        Self { pid: manager.looks().pid, ..Self::new("unchanged", manager, unseen) }
    }

    pub(super) fn written(manager: &Manager, unseen: Vec<String>, why: Option<String>) -> Self {
        Self { next: lines(&manager.begin), why, ..Self::new("written", manager, unseen) }
    }

    pub(super) fn started(manager: &Manager, new: bool, unseen: Vec<String>, ran: Vec<String>, pid: u32, daemon: String) -> Self {
        let state = if new { "installed" } else { "updated" };
        Self { ran, pid: Some(pid), daemon: Some(daemon), ..Self::new(state, manager, unseen) }
    }
}

impl View for Installed {
    fn text(&self, paint: Paint) -> String {
        let mut text = String::new();
        for file in self.files.iter().filter(|_| self.state != "unchanged") {
            let _ = writeln!(text, "written   {file}");
        }
        for file in &self.removed {
            let _ = writeln!(text, "removed   {file}");
        }
        for command in &self.ran {
            let _ = writeln!(text, "ran       {command}");
        }
        if let Some(why) = &self.why {
            let _ = writeln!(text, "{} no service manager answers for this user: {why}", paint.warn("warning:"));
        }
        if !self.next.is_empty() {
            let _ = writeln!(text, "{} type this where one does:", paint.strong("hint:"));
            self.next.iter().for_each(|command| text.push_str(&format!("  {command}\n")));
        }
        if !self.unseen.is_empty() {
            let names = self.unseen.join(", ");
            let _ = writeln!(text, "{} the service does not see these variables of this terminal: {names}", paint.warn("warning:"));
        }
        let daemon = self.daemon.as_deref().unwrap_or("runs");
        match (self.state, self.pid) {
            ("written", _) => {}
            ("unchanged", _) => text.push_str(&format!("{} is installed and listens; nothing to do\n", self.name)),
            (_, Some(pid)) => text.push_str(&format!("{} looks after {}: the daemon is {daemon} (pid {pid})\n", self.manager, self.name)),
            _ => {}
        }
        text
    }
}

/// `{"state":"uninstalled","manager":"systemd","name":"m365-cached","removed":[…],"ran":[…]}`; `state` may be `not_installed`.
#[derive(Debug, Serialize)]
pub(super) struct Removed {
    state: &'static str,
    manager: &'static str,
    name: String,
    removed: Vec<String>,
    ran: Vec<String>,
}

impl Removed {
    pub(super) fn nothing(manager: &Manager) -> Self {
        Self { state: "not_installed", manager: manager.kind, name: manager.name.clone(), removed: Vec::new(), ran: Vec::new() }
    }

    pub(super) fn of(manager: &Manager, files: &[&File], ran: Vec<String>) -> Self {
        let removed = files.iter().map(|file| file.path.display().to_string()).collect();
        Self { state: "uninstalled", removed, ran, ..Self::nothing(manager) }
    }
}

impl View for Removed {
    fn text(&self, _paint: Paint) -> String {
        let mut text = String::new();
        self.ran.iter().for_each(|command| text.push_str(&format!("ran       {command}\n")));
        self.removed.iter().for_each(|file| text.push_str(&format!("removed   {file}\n")));
        if self.state == "not_installed" {
            text.push_str(&format!("{} is not installed\n", self.name));
        } else {
            text.push_str("the next client starts the daemon by itself\n");
        }
        text
    }
}

/// What the manager knows; its shape stands in the verb's help.
#[derive(Debug, Serialize)]
pub(super) struct Status {
    manager: &'static str,
    name: String,
    installed: bool,
    answers: bool,
    enabled: bool,
    listening: bool,
    running: bool,
    pid: Option<u32>,
    says: Option<String>,
    files: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    path: String,
    state: State,
}

impl Status {
    pub(super) fn of(manager: &Manager) -> Self {
        let known = manager.looks();
        let row = |file: &File| file.state().ok().map(|state| Row { path: file.path.display().to_string(), state });
        // What is optional is told of where it is.
        let optional = manager.optional.iter().filter(|file| file.state().is_ok_and(|state| state != State::Missing));
        let hiding = manager.hiding.iter().map(|file| Row { path: file.path.display().to_string(), state: State::Hiding });
        let files: Vec<Row> = manager.files.iter().chain(optional).filter_map(row).chain(hiding).collect();
        Self {
            manager: manager.kind,
            name: manager.name.clone(),
            installed: known.enabled || files.iter().any(|row| row.state != State::Missing),
            answers: manager.answers().is_ok(),
            enabled: known.enabled,
            listening: known.listening,
            running: known.running,
            pid: known.pid,
            says: known.says,
            files,
        }
    }

    pub(super) fn installed(&self) -> bool {
        self.installed
    }
}

impl View for Status {
    fn text(&self, paint: Paint) -> String {
        if !self.installed {
            return format!("{} is not installed; `m365-cachectl service install` does it\n", self.name);
        }
        let yes = |yes: bool| if yes { paint.good("yes") } else { paint.warn("no") };
        let mut text = format!("service    {} ({})\n", self.name, self.manager);
        if !self.answers {
            let _ = writeln!(text, "{} {} does not answer for this user; nothing runs under it", paint.warn("warning:"), self.manager);
        }
        let _ = writeln!(text, "at login   {}\nlistening  {}", yes(self.enabled), yes(self.listening));
        match self.pid {
            Some(pid) => text.push_str(&format!("running    {} (pid {pid})\n", yes(self.running))),
            None => text.push_str(&format!("running    {}\n", yes(self.running))),
        }
        if let Some(says) = &self.says {
            let _ = writeln!(text, "it says    {says}");
        }
        for row in &self.files {
            let state = match row.state {
                State::Missing => "missing",
                State::Same => "as written",
                State::Ours => "other than `service install` would write it",
                State::Foreign => "not ours",
                State::Hiding => "hides the one of the package; `m365-cachectl service install` removes it",
            };
            let _ = writeln!(text, "file       {}: {state}", row.path);
        }
        text
    }
}

/// Prints the last lines of a log as they are.
pub(super) fn last_lines(text: &str, count: usize, json: bool) {
    let lines: Vec<&str> = text.lines().collect();
    let mut out = std::io::stdout().lock();
    for line in &lines[lines.len().saturating_sub(count)..] {
        let line = if json { serde_json::json!({ "line": line }).to_string() } else { (*line).to_owned() };
        // A reader that has gone (`| head`) wants no more.
        if writeln!(out, "{line}").is_err() {
            return;
        }
    }
}

fn lines(calls: &[Call]) -> Vec<String> {
    calls.iter().map(ToString::to_string).collect()
}

fn paths(files: &[File]) -> Vec<String> {
    files.iter().map(|file| file.path.display().to_string()).collect()
}
