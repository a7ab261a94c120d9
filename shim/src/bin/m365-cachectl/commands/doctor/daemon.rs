//! The links that only a running daemon knows: itself, versions, sign-ins, permissions, and what Microsoft answers.

use std::process::{Command, Stdio};

use m365_cached_proto::fault::NOT_RUNNING;
use m365_cached_proto::v1::{Fault, Kind, ProbeReply, ProbeRequest, StatusReply, StatusRequest};
use m365_cached_shim::start::daemon_program;

use super::Check;
use crate::commands::install;
use crate::context::{Context, answered, promptly};
use crate::views::AccountView;

/// This program's version.
const OURS: &str = env!("CARGO_PKG_VERSION");

/// What is known of the daemon.
pub(super) struct Seen {
    /// How it is, or why that is not known.
    pub(super) status: Result<StatusReply, Fault>,
    /// Why it was not started, in words.
    absent: Option<String>,
}

impl Seen {
    /// Asks the running one; starts nothing.
    pub(super) async fn running(context: &Context) -> Self {
        let status = match context.running().await {
            Ok(mut admin) => promptly(admin.status(StatusRequest::default())).await,
            Err(fault) => Err(fault),
        };
        Self { status, absent: None }
    }

    /// Whether it has keys and database open.
    pub(super) fn serves(&self) -> bool {
        self.status.as_ref().is_ok_and(|status| status.state != "locked")
    }

    /// Whether it has said anything, if only that it does not understand.
    pub(super) fn answered(&self) -> bool {
        !self.status.as_ref().is_err_and(|fault| fault.code == NOT_RUNNING)
    }

    /// Remembers why there is none.
    pub(super) fn not_started(&mut self, why: String) {
        self.absent = Some(why);
    }

    /// Starts it as a client would.
    pub(super) async fn start(&mut self, context: &Context) {
        self.status = match context.admin().await {
            Ok(mut admin) => promptly(admin.status(StatusRequest::default())).await,
            Err(fault) => Err(fault),
        };
    }

    /// Everything about it.
    pub(super) async fn checks(&self, context: &Context) -> Vec<Check> {
        let mut checks = vec![self.daemon()];
        checks.extend(self.warnings());
        checks.push(versions(self.status.as_ref().ok()));
        let ready = self.status.as_ref().ok().filter(|status| status.state == "ready");
        let Some(status) = ready else {
            let skipped = |check| Check::skipped(check, "no daemon is ready that could be asked");
            checks.extend(["sign_in", "scopes", "graph"].map(skipped));
            return checks;
        };
        if status.accounts.is_empty() {
            checks.push(Check::warning("sign_in", "no_account", "nobody has signed in yet", "Run `m365-cachectl login`."));
            checks.extend(["scopes", "graph"].map(|check| Check::skipped(check, "nobody has signed in yet")));
            return checks;
        }
        if status.paused.is_some() {
            let hint = "`m365-cachectl resume` ends it.";
            checks.push(Check::warning("graph", "paused", "Microsoft is not asked: somebody has paused it", hint));
            checks.extend(["sign_in", "scopes"].map(|check| Check::skipped(check, "Microsoft is not asked")));
            return checks;
        }
        let probed = match context.running().await {
            Ok(mut admin) => answered(admin.probe(ProbeRequest {}).await),
            Err(fault) => Err(fault),
        };
        match probed {
            Ok(probed) => checks.extend(asked(status, &probed)),
            Err(fault) => checks.push(Check::failure("graph", &fault)),
        }
        checks
    }

    fn daemon(&self) -> Check {
        match (&self.status, &self.absent) {
            (Err(_), Some(why)) => Check::ok("daemon", why),
            (Err(fault), None) => Check::failure("daemon", fault),
            (Ok(status), _) => match (&status.locked, status.state.as_str()) {
                (Some(locked), _) => Check::failure("daemon", locked),
                (None, "ready") => Check::ok("daemon", format!("it is ready (pid {})", status.pid)),
                (None, state) => Check::warning("daemon", "not_ready", format!("it is {state}"), "Run `m365-cachectl status`."),
            },
        }
    }

    /// What it says of itself, as far as no other link does.
    fn warnings(&self) -> Vec<Check> {
        const ELSEWHERE: [&str; 2] = ["sign_in_required", "low_disk"];
        let warnings = self.status.iter().flat_map(|status| &status.warnings).filter(|warning| !ELSEWHERE.contains(&warning.code.as_str()));
        warnings.map(|warning| Check::warning("daemon", &warning.code, warning.message.clone(), warning.hint.clone())).collect()
    }
}

/// What asking Microsoft came to, for each account that is not well.
fn asked(status: &StatusReply, probed: &ProbeReply) -> Vec<Check> {
    let (mut checks, mut untold) = (Vec::new(), false);
    for one in &probed.accounts {
        let account = one.account.clone().map(AccountView::from);
        let name = account.as_ref().map(|account| account.username.clone()).unwrap_or_default();
        let about = |message: &str| format!("{name}: {message}");
        match &one.fault {
            Some(fault) if fault.kind() == Kind::SignIn => {
                let hint = format!("Run `m365-cachectl login --username {name}`.");
                checks.push(Check::failure("sign_in", &Fault { message: about(&fault.message), hint, ..fault.clone() }));
            }
            Some(fault) => checks.push(Check::failure("graph", &Fault { message: about(&fault.message), ..fault.clone() })),
            None => {}
        }
        let lacks = account.iter().flat_map(AccountView::lacks);
        checks.extend(lacks.map(|lack| Check::warning("scopes", lack.code, lack.message, lack.hint)));
        if account.is_none_or(|account| account.permissions.is_none_or(|known| known.granted.is_none())) {
            untold = true;
        }
    }
    let well = |check: &str| !checks.iter().any(|found| found.check == check);
    let count = probed.accounts.len();
    let mut all = Vec::new();
    if well("sign_in") {
        all.push(Check::ok("sign_in", format!("every account is signed in ({count})")));
    }
    if well("scopes") && untold {
        all.push(Check::skipped("scopes", "what was granted is told with the next token"));
    } else if well("scopes") {
        all.push(Check::ok("scopes", "every permission that is needed was granted"));
    }
    if well("graph") {
        all.push(graph(status, count));
    }
    checks.extend(all);
    checks
}

/// How the line to Graph has been since the daemon's start.
fn graph(status: &StatusReply, accounts: usize) -> Check {
    let gauges = status.graph.clone().unwrap_or_default();
    match gauges.breaker.as_str() {
        "open" => Check::warning(
            "graph",
            "breaker_open",
            "Graph failed again and again and is left alone for a while",
            "Run `m365-cachectl status`.",
        ),
        _ if gauges.throttled > 0 => {
            let message = format!("it answers, and has asked {} times to slow down since the daemon's start", gauges.throttled);
            Check::warning("graph", "throttled", message, "`m365-cachectl stats` shows which tools ask most.")
        }
        _ => Check::ok("graph", format!("it has answered for every account ({accounts})")),
    }
}

/// Whether all programs are of one version.
fn versions(status: Option<&StatusReply>) -> Check {
    let env = |name: &str| std::env::var_os(name);
    let mut others = Vec::new();
    if let Some(status) = status {
        others.push(("the running daemon".to_owned(), status.version.clone()));
        let old = status.clients.iter().filter(|client| client.shim_version != OURS && !client.shim_version.is_empty());
        others.extend(old.map(|client| (format!("`m365-mcp` of {} (pid {})", client.name, client.pid), client.shim_version.clone())));
    }
    let installed = [daemon_program(&env), install::shim_program()];
    for program in installed.into_iter().flatten() {
        if let Some(version) = version_of(&program) {
            others.push((format!("`{}`", program.display()), version));
        }
    }
    match others.iter().find(|(_, version)| version != OURS) {
        Some((which, version)) => {
            let message = format!("{which} is version {version}, and this program is {OURS}");
            Check::warning(
                "versions",
                "version_skew",
                message,
                "Run `m365-cachectl restart` after an upgrade; clients take the new one at their next start.",
            )
        }
        None => Check::ok("versions", format!("all programs are version {OURS}")),
    }
}

/// The version that a program says it has.
fn version_of(program: &std::path::Path) -> Option<String> {
    let said = Command::new(program).arg("--version").stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let said = String::from_utf8(said.stdout).ok()?;
    said.split_whitespace().nth(1).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use m365_cached_proto::v1::{Account, GraphLink, Permissions, Probed, Warning};

    use super::*;

    fn probed(fault: Option<Fault>, not_asked: &[&str], not_granted: &[&str]) -> ProbeReply {
        let list = |scopes: &[&str]| scopes.iter().map(|scope| (*scope).to_owned()).collect();
        let permissions = Permissions { told: true, not_asked: list(not_asked), not_granted: list(not_granted), ..Permissions::default() };
        let account = Account { username: "ada@contoso.com".into(), permissions: Some(permissions), ..Account::default() };
        ProbeReply { accounts: vec![Probed { account: Some(account), fault }] }
    }

    fn states(status: &StatusReply, probed: &ProbeReply) -> Vec<(String, String, Option<String>)> {
        let mut found: Vec<_> = asked(status, probed).into_iter().map(|check| (check.check, check.state, check.code)).collect();
        found.sort();
        found
    }

    fn found(check: &str, state: &str, code: Option<&str>) -> (String, String, Option<String>) {
        (check.into(), state.into(), code.map(str::to_owned))
    }

    #[test]
    fn each_trouble_is_told_at_its_link() {
        let status = StatusReply::default();
        let lost = Fault::new(Kind::SignIn, "sign_in_required", "The sign-in is lost.", "");
        let refused = Fault::new(Kind::Denied, "access_denied", "Microsoft Graph denies access.", "h");
        let ok = |check| found(check, "ok", None);
        assert_eq!(states(&status, &probed(None, &[], &[])), [ok("graph"), ok("scopes"), ok("sign_in")]);
        assert_eq!(
            states(&status, &probed(Some(lost), &[], &[])),
            [ok("graph"), ok("scopes"), found("sign_in", "failure", Some("sign_in_required"))]
        );
        assert_eq!(
            states(&status, &probed(Some(refused), &["Mail.Send"], &["Contacts.ReadWrite"])),
            [
                found("graph", "failure", Some("access_denied")),
                found("scopes", "warning", Some("scopes_missing")),
                found("scopes", "warning", Some("scopes_not_granted")),
                ok("sign_in")
            ]
        );
        let mut before = probed(None, &[], &[]);
        if let Some(permissions) = before.accounts.iter_mut().find_map(|one| one.account.as_mut()?.permissions.as_mut()) {
            permissions.told = false;
        }
        assert_eq!(states(&status, &before)[1], found("scopes", "skipped", None), "nothing is claimed of what is not known");
        let throttled = StatusReply { graph: Some(GraphLink { throttled: 3, ..GraphLink::default() }), ..status };
        assert_eq!(states(&throttled, &probed(None, &[], &[]))[0], found("graph", "warning", Some("throttled")));
    }

    #[test]
    fn a_daemon_says_what_no_other_link_does() {
        let warning = |code: &str| Warning { code: code.into(), message: "m".into(), hint: "h".into() };
        let status =
            StatusReply { state: "ready".into(), warnings: vec![warning("low_disk"), warning("old_name")], ..StatusReply::default() };
        let seen = Seen { status: Ok(status), absent: None };
        assert_eq!(seen.warnings().iter().map(|check| check.code.as_deref()).collect::<Vec<_>>(), [Some("old_name")]);
        assert!(seen.serves() && seen.answered());
        let none = Seen { status: Err(Fault::new(Kind::Config, NOT_RUNNING, "", "")), absent: Some("none runs".into()) };
        assert!(!none.serves() && !none.answered());
        assert_eq!(none.daemon(), Check::ok("daemon", "none runs"));
    }
}
