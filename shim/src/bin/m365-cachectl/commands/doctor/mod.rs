//! `doctor`: looks at each link from the files of the profile to an answer of Microsoft's, says how it is, why it matters and what to type.
//!
//! Links that need no daemon are looked at by the daemon's own program (`m365-cached --offline doctor`), which reads the settings as the daemon
//! does; the rest is asked of the running daemon, or looked at here. A daemon that does not run is started when nothing stands against it:
//! sign-ins and Graph can be tried in no other way.

mod bundle;
mod clients;
mod daemon;
mod redact;
mod settings;

use std::fmt::Write as _;
use std::path::PathBuf;

use m365_cached_proto::v1::{Fault, Kind};
use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::offline;
use crate::output::{Paint, View, counted};

/// How to look.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Every link is `ok`, a `warning`, a `failure`, or `skipped` because an earlier one is broken; the first failure is where to begin.
`keys`, `proxy`, `names` and `reach` are judged by the environment of this terminal, which a service does not see.
Nothing is changed. Microsoft is asked once for each account, without a word of content.

Examples:
  m365-cachectl doctor
  m365-cachectl doctor --json | jq '.checks[] | select(.state == \"failure\")'
  m365-cachectl doctor --bundle /tmp/report.zip

--bundle writes what a bug report needs into a new file (0600): these checks, status, settings, statistics, versions, and the end of the daemon's
log. Addresses, names, ids and whatever looks like a token are replaced; no answer of Microsoft's is in it. Read it before you send it.

Exit code: 0 also with warnings; else by the kind of the first failure, as for every verb.")]
pub(crate) struct Args {
    /// Write a redacted archive for a bug report
    #[arg(long, value_name = "FILE|DIR")]
    pub(crate) bundle: Option<PathBuf>,
    /// Start no daemon; what needs one is skipped when none runs
    #[arg(long)]
    pub(crate) no_start: bool,
}

/// What each link is for, in the order in which a call needs them.
const LINKS: [(&str, &str); 18] = [
    ("program", "clients start `m365-cached`, and these checks are its own"),
    ("directories", "others must not read what is kept, nor put something in its place"),
    ("configuration", "with a setting that cannot be read the daemon serves nobody"),
    ("lock", "one daemon serves a profile, so that two never write the same database"),
    ("socket", "clients reach the daemon here and nowhere else"),
    ("disk", "without room answers are fetched again and again"),
    ("keys", "without its key the database stays closed, and nothing is served"),
    ("database", "what is damaged is fetched anew, but accounts would have to sign in again"),
    ("proxy", "where one is set every request goes through it"),
    ("names", "without addresses nothing can be reached"),
    ("reach", "what is not cached comes from these hosts, over connections nobody else can read"),
    ("clock", "tokens and the age of answers are reckoned by it"),
    ("daemon", "it holds the cache and does the work"),
    ("versions", "programs of different versions may not understand each other"),
    ("sign_in", "each account has to have signed in once"),
    ("scopes", "a tool is refused whose permission nobody has agreed to"),
    ("graph", "this is what every call ends in that the cache cannot answer"),
    ("clients", "a client with a wrong entry only says that the server does not start"),
];

/// `{"healthy":true,"checks":[…],"bundle":null}`; `healthy` is false when there is a failure.
#[derive(Debug, Serialize)]
struct Report {
    healthy: bool,
    checks: Vec<Check>,
    /// The archive, when one was written.
    bundle: Option<String>,
}

/// One link. `state` is `ok`, `warning`, `failure` or `skipped`; `kind` (of a failure) is one of those of the exit codes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Check {
    check: String,
    state: String,
    kind: Option<String>,
    code: Option<String>,
    message: String,
    hint: Option<String>,
    #[serde(default)]
    why: String,
}

/// What the daemon's program says.
#[derive(Debug, Deserialize)]
struct Looked {
    checks: Vec<Check>,
    /// The proxy on the way to Microsoft, as `host:port`.
    #[serde(default)]
    proxy: Option<String>,
}

impl Check {
    fn new(check: &str, state: &str, message: impl Into<String>) -> Self {
        Self { check: check.into(), state: state.into(), kind: None, code: None, message: message.into(), hint: None, why: String::new() }
    }

    fn ok(check: &str, message: impl Into<String>) -> Self {
        Self::new(check, "ok", message)
    }

    fn skipped(check: &str, message: impl Into<String>) -> Self {
        Self::new(check, "skipped", message)
    }

    fn warning(check: &str, code: &str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { code: Some(code.into()), hint: Some(hint.into()), ..Self::new(check, "warning", message) }
    }

    fn failure(check: &str, fault: &Fault) -> Self {
        Self {
            kind: Some(fault.kind().word().into()),
            code: Some(fault.code.clone()),
            hint: crate::views::known(&fault.hint),
            ..Self::new(check, "failure", fault.message.clone())
        }
    }

    fn failed(&self) -> bool {
        self.state == "failure"
    }
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<u8, Fault> {
    let mut seen = daemon::Seen::running(context).await;
    let Looked { mut checks, proxy } = look(context, seen.serves()).await;
    if !seen.answered() {
        let broken = checks.iter().find(|check| check.failed() && stands_against_a_start(&check.check));
        match broken {
            Some(check) => seen.not_started(format!("it was not started: see `{}` above", check.check)),
            None if args.no_start => seen.not_started("none runs; the next call of a client starts it".into()),
            None => seen.start(context).await,
        }
    }
    checks.extend(seen.checks(context).await);
    checks.extend(clients::checks());
    put_in_order(&mut checks);
    let bundle = match &args.bundle {
        Some(path) => Some(bundle::write(context, path, &checks, proxy.as_deref(), &seen).await?),
        None => None,
    };
    let report = Report { healthy: !checks.iter().any(Check::failed), checks, bundle };
    context.output.show(&report);
    Ok(report.exit_code())
}

/// The links that need no daemon.
async fn look(context: &Context, serving: bool) -> Looked {
    let words: &[&str] = if serving { &["doctor", "--serving"] } else { &["doctor"] };
    let looked = offline::look::<Looked>(context, words);
    match context.output.meanwhile("looking at files, keys, database and network", looked).await {
        Ok(mut looked) => {
            looked.checks.push(Check::ok("program", "`m365-cached` is installed"));
            looked
        }
        Err(fault) => {
            let hint = "Install `m365-cached` beside `m365-cachectl`, or name it in M365_CACHED_DAEMON.".into();
            Looked { checks: vec![Check::failure("program", &Fault { hint, ..fault })], proxy: None }
        }
    }
}

/// What a daemon could not start over, or would only be locked by.
fn stands_against_a_start(check: &str) -> bool {
    ["program", "directories", "configuration", "lock", "socket", "keys", "database"].contains(&check)
}

/// In the order of the links; those nobody could look at are skipped.
fn put_in_order(checks: &mut Vec<Check>) {
    for (link, _) in LINKS {
        if !checks.iter().any(|check| check.check == link) {
            checks.push(Check::skipped(link, "it could not be looked at: see the failures"));
        }
    }
    let place = |check: &Check| LINKS.iter().position(|(link, _)| *link == check.check).unwrap_or(LINKS.len());
    checks.sort_by_key(place);
    for check in checks {
        check.why = LINKS.iter().find(|(link, _)| *link == check.check).map_or_else(String::new, |(_, why)| (*why).to_owned());
    }
}

impl Report {
    fn exit_code(&self) -> u8 {
        let Some(first) = self.checks.iter().find(|check| check.failed()) else { return 0 };
        let kinds = [Kind::User, Kind::SignIn, Kind::Offline, Kind::Throttled, Kind::Denied, Kind::Config];
        let kind = kinds.into_iter().find(|kind| Some(kind.word()) == first.kind.as_deref()).unwrap_or(Kind::Internal);
        Fault::new(kind, "", "", "").exit_code()
    }
}

impl View for Report {
    fn text(&self, paint: Paint) -> String {
        let mut text = String::new();
        for check in &self.checks {
            let state = format!("{:<8}", check.state);
            let state = match check.state.as_str() {
                "ok" => paint.good(&state),
                "warning" => paint.warn(&state),
                "failure" => paint.bad(&state),
                _ => state,
            };
            let _ = writeln!(text, "{state} {:<14} {}", check.check, check.message);
            if ["warning", "failure"].contains(&check.state.as_str()) {
                let _ = writeln!(text, "{:24}{} {}", "", paint.strong("why:"), check.why);
                if let Some(hint) = &check.hint {
                    let _ = writeln!(text, "{:24}{} {hint}", "", paint.strong("do:"));
                }
            }
        }
        let count = |state: &str| self.checks.iter().filter(|check| check.state == state).count();
        let (failures, warnings) = (count("failure"), count("warning"));
        let end = match (failures, warnings) {
            (0, 0) => paint.good("all is well"),
            (0, _) => paint.warn(&format!("it works, with {}", counted(warnings as u64, "warning"))),
            _ => paint.bad(&format!(
                "{}, {}; begin with the first failure",
                counted(failures as u64, "failure"),
                counted(warnings as u64, "warning")
            )),
        };
        let _ = writeln!(text, "{end}");
        if let Some(bundle) = &self.bundle {
            let _ = writeln!(text, "`{bundle}` is for a bug report; read it before you send it");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(mut checks: Vec<Check>) -> Report {
        put_in_order(&mut checks);
        Report { healthy: !checks.iter().any(Check::failed), checks, bundle: None }
    }

    #[test]
    fn links_stand_in_order_and_the_first_failure_decides() {
        let denied = Fault::new(Kind::Denied, "access_denied", "Microsoft refuses", "Ask for the right.");
        let locked = Fault::new(Kind::Config, "key_missing", "there is no key", "Give it the key.");
        let report = report(vec![Check::failure("graph", &denied), Check::ok("socket", "it listens"), Check::failure("keys", &locked)]);
        assert_eq!(report.exit_code(), 7);
        assert!(report.checks.iter().map(|check| check.check.as_str()).eq(LINKS.iter().map(|(link, _)| *link)));
        assert_eq!(report.checks.iter().filter(|check| check.state == "skipped").count(), LINKS.len() - 3);
        insta::assert_snapshot!("doctor_text", report.text(Paint::OFF));
    }

    #[test]
    fn warnings_alone_are_no_failure() {
        let report = report(vec![Check::warning("disk", "low_disk", "little room", "Make some.")]);
        assert_eq!((report.exit_code(), report.healthy), (0, true));
        assert!(report.text(Paint::OFF).ends_with("it works, with 1 warning\n"));
    }
}
