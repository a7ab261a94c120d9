//! What `setup` says: each step before it is done and when it is, and what there is at the end.

use std::fmt::Write as _;

use m365_cached_proto::v1::Fault;
use serde::Serialize;

use crate::output::{Output, Paint, View};

/// The steps, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Settings,
    Key,
    Service,
    SignIn,
    Clients,
    Call,
}

impl Part {
    const ALL: [(Self, &'static str); 6] = [
        (Self::Settings, "settings"),
        (Self::Key, "key"),
        (Self::Service, "service"),
        (Self::SignIn, "sign_in"),
        (Self::Clients, "clients"),
        (Self::Call, "call"),
    ];

    fn place(self) -> (usize, &'static str) {
        let at = Self::ALL.iter().position(|(part, _)| *part == self).unwrap_or_default();
        (at + 1, Self::ALL[at].1)
    }
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Done,
    /// It stood already.
    Unchanged,
    Skipped,
    /// With `--dry-run`.
    Would,
    Failed,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Unchanged => "unchanged",
            Self::Skipped => "skipped",
            Self::Would => "would",
            Self::Failed => "failed",
        }
    }
}

/// What came of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) state: State,
    pub(super) message: String,
    pub(super) details: Vec<String>,
}

impl Outcome {
    pub(super) fn new(state: State, message: impl Into<String>) -> Self {
        Self { state, message: message.into(), details: Vec::new() }
    }

    pub(super) fn done(message: impl Into<String>) -> Self {
        Self::new(State::Done, message)
    }

    pub(super) fn unchanged(message: impl Into<String>) -> Self {
        Self::new(State::Unchanged, message)
    }

    pub(super) fn skipped(message: impl Into<String>) -> Self {
        Self::new(State::Skipped, message)
    }

    pub(super) fn would(message: impl Into<String>) -> Self {
        Self::new(State::Would, message)
    }

    pub(super) fn with(self, details: Vec<String>) -> Self {
        Self { details, ..self }
    }
}

/// `{"step":"settings","number":1,"of":6,"state":"done","message":"…","details":["…"]}`.
#[derive(Debug, Serialize)]
struct Step<'a> {
    step: &'static str,
    number: usize,
    of: usize,
    state: &'static str,
    message: &'a str,
    details: &'a [String],
    #[serde(skip)]
    colour: State,
}

impl View for Step<'_> {
    fn text(&self, paint: Paint) -> String {
        let state = match self.colour {
            State::Done => paint.good(self.state),
            State::Failed => paint.bad(self.state),
            State::Unchanged => "stands already".to_owned(),
            State::Skipped => paint.warn(self.state),
            State::Would => self.state.to_owned(),
        };
        let mut text = format!("    {state}: {}\n", self.message);
        for line in self.details {
            let _ = writeln!(text, "    {line}");
        }
        text
    }
}

/// What a step is about to do. Only for people: programs read what came of it.
struct Heading<'a>(Part, &'a str);

impl Serialize for Heading<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_none()
    }
}

impl View for Heading<'_> {
    fn text(&self, paint: Paint) -> String {
        let (number, name) = self.0.place();
        format!("{} {}\n", paint.strong(&format!("{number}/{} {}:", Part::ALL.len(), name.replace('_', "-"))), self.1)
    }
}

/// Says what is about to be done.
pub(super) fn begin(output: Output, part: Part, what: &str) {
    if !output.json {
        output.show(&Heading(part, what));
    }
}

/// Says what came of it.
pub(super) fn end(output: Output, part: Part, outcome: &Outcome) {
    let (number, step) = part.place();
    let Outcome { state, message, details } = outcome;
    output.show(&Step { step, number, of: Part::ALL.len(), state: state.word(), message, details, colour: *state });
}

/// Says why it failed; the fault itself is told by who ends with it.
pub(super) fn failed(output: Output, part: Part, fault: &Fault) {
    if output.json {
        end(output, part, &Outcome::new(State::Failed, fault.message.clone()));
    }
}

/// `{"setup":"complete","demo":false,"profile":"…","account":"…","asked_ms":412.3,"cached_ms":1.1,"clients":["cursor"],"next":["…"]}`; `setup` is
/// `complete`, `incomplete` (a step was skipped that a cached answer needs) or `dry_run`. Times are `null` without a call.
#[derive(Debug, Serialize)]
pub(super) struct Finished {
    pub(super) setup: &'static str,
    pub(super) demo: bool,
    pub(super) profile: String,
    pub(super) account: Option<String>,
    pub(super) asked_ms: Option<f64>,
    pub(super) cached_ms: Option<f64>,
    /// The clients that start us now.
    pub(super) clients: Vec<&'static str>,
    /// What to type next.
    pub(super) next: Vec<String>,
}

impl View for Finished {
    fn text(&self, paint: Paint) -> String {
        let mut text = String::from("\n");
        let _ = match (self.setup, &self.account, self.asked_ms, self.cached_ms) {
            ("complete", Some(account), Some(asked), Some(cached)) => {
                let head = paint.good("ready:");
                writeln!(text, "{head} {account}; an answer took {asked:.0} ms from Microsoft and {cached:.1} ms from the cache")
            }
            ("dry_run", ..) => writeln!(text, "nothing was changed"),
            _ => writeln!(text, "{} something is left to do", paint.warn("not complete:")),
        };
        for line in &self.next {
            let _ = writeln!(text, "  {line}");
        }
        text
    }
}

/// `{"demo":"ended","profile":"…","removed":["…"],"clients":["cursor"],"tenant":true,"daemon":4242}`; `demo` is `ended`, `none` (there was none) or `would_end`.
#[derive(Debug, Serialize)]
pub(super) struct Ended {
    pub(super) demo: &'static str,
    pub(super) profile: String,
    pub(super) removed: Vec<String>,
    /// Clients whose entry was taken out.
    pub(super) clients: Vec<&'static str>,
    /// Whether the tenant was running.
    pub(super) tenant: bool,
    /// The daemon that was stopped.
    pub(super) daemon: Option<u32>,
}

impl View for Ended {
    fn text(&self, _paint: Paint) -> String {
        if self.demo == "none" {
            return format!("there is no demo in `{}`\n", self.profile);
        }
        let (did, verb) = if self.demo == "ended" { ("", "removed") } else { ("would be ", "removed") };
        let mut text = String::new();
        for client in &self.clients {
            let _ = writeln!(text, "the entry `{}` of {client} {did}{verb}", super::demo::ENTRY);
        }
        for path in &self.removed {
            let _ = writeln!(text, "`{path}` {did}{verb}");
        }
        if self.demo == "ended" {
            text.push_str("the demo has ended\n");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_well() {
        let step = |part: Part, outcome: Outcome| {
            let (number, step) = part.place();
            let Outcome { state, message, details } = outcome;
            Step { step, number, of: 6, state: state.word(), message: &message, details: &details, colour: state }.text(Paint::OFF)
        };
        let mut text = Heading(Part::Settings, "`/home/ada/.config/m365-cached/config.toml`").text(Paint::OFF);
        text += &step(Part::Settings, Outcome::done("every key stands in it, commented out; `client_id` is set"));
        text += &Heading(Part::SignIn, "in the browser").text(Paint::OFF);
        text += &step(Part::SignIn, Outcome::unchanged("ada@contoso.example"));
        text += &step(Part::Clients, Outcome::done("1 of 2").with(vec!["Cursor: installed".into(), "Codex: declined".into()]));
        text += &step(Part::Service, Outcome::skipped("--no-service"));
        text += &step(Part::Key, Outcome::would("have the daemon make a key"));
        let finished = Finished {
            setup: "complete",
            demo: false,
            profile: "/p".into(),
            account: Some("ada@contoso.example".into()),
            asked_ms: Some(412.34),
            cached_ms: Some(1.06),
            clients: vec!["cursor"],
            next: vec!["m365-cachectl status".into()],
        };
        text += &finished.text(Paint::OFF);
        text += &Finished { setup: "incomplete", account: None, asked_ms: None, cached_ms: None, ..finished }.text(Paint::OFF);
        insta::assert_snapshot!("setup_text", text);
    }

    #[test]
    fn an_end_reads_well() {
        let ended = |demo| Ended {
            demo,
            profile: "/p/demo".into(),
            removed: vec!["/p/demo".into(), "/p/demo.key".into()],
            clients: vec!["cursor"],
            tenant: true,
            daemon: Some(7),
        };
        let text = ["ended", "would_end", "none"].map(|word| ended(word).text(Paint::OFF)).join("--\n");
        insta::assert_snapshot!("setup_end_text", text);
    }
}
