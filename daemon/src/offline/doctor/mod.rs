//! `doctor`: looks at every link that needs no running daemon, one after the other, and changes nothing. What it says of each is JSON for
//! `m365-cachectl doctor`, which looks at the rest.
//!
//! Every check is a function in the table; one that cannot be made because an earlier link is broken says so and is skipped, so that the
//! first failure of the list is the cause and not one of its consequences.

mod files;
mod network;
mod store;

use futures_util::{FutureExt as _, future::BoxFuture};
use m365_cached::{
    auth::Http,
    config::Config,
    hint::{Hint, Kind},
    vault::Keys,
};
use m365_cached_proto::dirs::Profile;
use serde_json::{Value, json};

use super::failed;
use crate::{core::Problem, flags::Flags, parts, service};

/// How a link is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ok,
    Warning,
    Failure,
    Skipped,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failure => "failure",
            Self::Skipped => "skipped",
        }
    }
}

/// What a check found. Code and hint are empty when all is well.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Found {
    state: State,
    kind: Kind,
    code: String,
    message: String,
    hint: String,
}

impl Found {
    fn ok(message: impl Into<String>) -> Self {
        Self { state: State::Ok, kind: Kind::Config, code: String::new(), message: message.into(), hint: String::new() }
    }

    fn skipped(message: impl Into<String>) -> Self {
        Self { state: State::Skipped, ..Self::ok(message) }
    }

    fn failure(kind: Kind, code: &str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { state: State::Failure, kind, code: code.into(), message: message.into(), hint: hint.into() }
    }

    fn warning(code: &str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { state: State::Warning, ..Self::failure(Kind::Config, code, message, hint) }
    }

    fn of(error: &dyn Hint) -> Self {
        Self::of_problem(&Problem::of(error))
    }

    fn of_problem(problem: &Problem) -> Self {
        Self::failure(problem.kind, &problem.code, problem.message.clone(), problem.hint.clone())
    }
}

/// What the checks work on; each may leave something for the later ones.
struct Bench {
    profile: Profile,
    /// The settings, or why there are none.
    config: Result<Config, Problem>,
    flags: Vec<(String, String)>,
    /// A daemon has keys and database open.
    serving: bool,
    /// Some process holds the lock of the profile.
    locked: bool,
    keys: Option<Keys>,
    /// The way to the cloud, once it is known.
    http: Option<Http>,
    /// How far the hosts of the cloud could be reached.
    reached: Vec<network::Reached>,
}

type Check = for<'a> fn(&'a mut Bench) -> BoxFuture<'a, Found>;

/// All of them, in the order in which a start needs them.
const CHECKS: [(&str, Check); 11] = [
    ("directories", |bench| async { files::directories(bench) }.boxed()),
    ("configuration", |bench| async { files::configuration(bench) }.boxed()),
    ("lock", |bench| async { files::lock(bench) }.boxed()),
    ("socket", |bench| async { files::socket(bench) }.boxed()),
    ("disk", |bench| async { files::disk(bench) }.boxed()),
    ("keys", |bench| store::keys(bench).boxed()),
    ("database", |bench| async { store::database(bench) }.boxed()),
    ("proxy", |bench| network::proxy(bench).boxed()),
    ("names", |bench| network::names(bench).boxed()),
    ("reach", |bench| network::reach(bench).boxed()),
    ("clock", |bench| async { network::clock(bench) }.boxed()),
];

/// Makes every check: `{"checks":[{"check":"…","state":"…","kind":…,"code":…,"message":"…","hint":…}],"proxy":…}`. `proxy` is the `host:port` on the way
/// to Microsoft, which a report for others must not tell.
pub(super) fn run(flags: &Flags, serving: bool) -> Result<Value, Problem> {
    let profile = flags.profile()?;
    let config = parts::configuration(&profile, &flags.settings());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| failed(&error))?;
    let mut bench = Bench { profile, config, flags: flags.settings(), serving, locked: false, keys: None, http: None, reached: Vec::new() };
    let checks = runtime.block_on(async {
        let mut checks = Vec::new();
        for (name, check) in CHECKS {
            checks.push(said(name, &check(&mut bench).await));
        }
        checks
    });
    // A thread that a keyring or a name server holds up must not hold up the end.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    let proxy = bench.http.as_ref().and_then(|http| http.proxy_for(&http.cloud().graph));
    Ok(json!({ "checks": checks, "proxy": proxy }))
}

fn said(name: &str, found: &Found) -> Value {
    let Found { state, kind, code, message, hint } = found;
    let given = |text: &String| (!text.is_empty()).then(|| text.clone());
    let kind = (*state == State::Failure).then(|| service::kind(*kind).word());
    json!({ "check": name, "state": state.word(), "kind": kind, "code": given(code), "message": message, "hint": given(hint) })
}

impl Bench {
    /// The settings where they can be used.
    fn config(&self) -> Result<&Config, Found> {
        self.config.as_ref().map_err(|_| Found::skipped("the settings cannot be used"))
    }

    /// The way to the cloud where there is one.
    fn http(&self) -> Result<&Http, Found> {
        self.http.as_ref().ok_or_else(|| Found::skipped("there is no way to the cloud"))
    }
}

/// A check that ends early because something it needs is not there.
fn settled(found: Result<Found, Found>) -> Found {
    found.unwrap_or_else(|early| early)
}
