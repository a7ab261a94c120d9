//! `install` and `uninstall`: connects the clients of this machine, by the files in which they keep their lists of servers.
//!
//! `clients` knows the clients and where their files lie, `entry` what is written into them, `ours` whose program one starts, `jsonc` and `toml` how it is
//! written, `plan` decides for one file, `file` reads and replaces it, `change` shows the difference, `list` looks at all. No daemon is asked or started.

mod args;
mod change;
mod clients;
mod entry;
mod file;
mod jsonc;
mod list;
mod ours;
mod plan;
mod report;
mod toml;
mod trouble;

use std::path::{Path, PathBuf};

use m365_cached_proto::dirs::DIR_VARIABLE;
use m365_cached_proto::v1::{Fault, Kind};

pub(crate) use self::args::{Install, Uninstall};
pub(crate) use self::clients::Client;
use self::clients::{Machine, System};
use self::entry::Entry;
use self::plan::{Plan, Step, Wish};
use self::report::{Print, Printed, Report, Row};
use super::config;
use crate::agree::{DECLINED, agreed};
use crate::context::Context;

/// Sets clients up; the exit code.
pub(super) async fn install(context: &Context, args: &Install) -> Result<u8, Fault> {
    let env = |name: &str| std::env::var_os(name);
    let machine = machine(&env)?;
    if args.list {
        context.output.show(&list::List::whole(&machine, args.project.as_deref(), &args.name)?);
        return Ok(0);
    }
    let clients = chosen(&args.clients, args.all, &machine)?;
    let entry = launch(context, &args.words, &env)?;
    let warning = no_such_policy(context, &entry.args).await;
    if let Some(warning) = &warning {
        context.output.note(&format!("warning: {warning}"));
    }
    if args.print {
        let one = |client| file(client, args.project.as_deref(), &machine).and_then(|file| Printed::of(client, file, &args.name, &entry));
        let printed = Print { clients: clients.into_iter().map(one).collect::<Result<_, Fault>>()? };
        if !context.output.json {
            printed.clients.iter().for_each(|one| context.output.note(&one.remark()));
        }
        context.output.show(&printed);
        return Ok(0);
    }
    let wanted = clients.into_iter().map(|client| (client, args.name.clone())).collect();
    settled(context, &machine, args.project.as_deref(), wanted, Some(&entry), warning, Way { dry_run: args.dry_run, yes: args.yes })
}

/// Takes clients' entries out again; the exit code.
pub(super) fn uninstall(context: &Context, args: &Uninstall) -> Result<u8, Fault> {
    let env = |name: &str| std::env::var_os(name);
    let machine = machine(&env)?;
    let (project, name) = (args.project.as_deref(), args.name.as_deref().unwrap_or(args::NAME));
    let clients = chosen(&args.clients, args.all, &machine)?;
    // All that is ours, whatever it is called, where neither a client nor a name was said.
    let others = match args.all && args.name.is_none() {
        true => list::List::whole(&machine, project, name)?.others(name).filter(|(client, _)| clients.contains(client)).collect(),
        false => Vec::new(),
    };
    let mut unwanted: Vec<(Client, String)> = clients.iter().map(|client| (*client, name.to_owned())).chain(others).collect();
    unwanted.sort_by_key(|(client, _)| *client);
    settled(context, &machine, project, unwanted, None, None, Way { dry_run: args.dry_run, yes: args.yes })
}

/// How it is done.
#[derive(Debug, Clone, Copy)]
struct Way {
    dry_run: bool,
    yes: bool,
}

type Plans<'a> = Vec<(Client, Result<Plan<'a>, Fault>)>;

/// Plans for each client and name, and carries out.
fn settled(
    context: &Context,
    machine: &Machine<'_>,
    project: Option<&Path>,
    named: Vec<(Client, String)>,
    entry: Option<&Entry>,
    warning: Option<String>,
    way: Way,
) -> Result<u8, Fault> {
    let plan = |client, name| Plan::new(client, file(client, project, machine)?, name, entry.map_or(Wish::Gone, Wish::There));
    let plans = named.iter().map(|(client, name)| (*client, plan(*client, name)));
    carry_out(context, plans.collect(), warning, way)
}

/// Shows what would be done, asks, and does it. One client's trouble does not keep the others from being served.
fn carry_out(context: &Context, mut plans: Plans<'_>, warning: Option<String>, Way { dry_run, yes }: Way) -> Result<u8, Fault> {
    if plans.len() == 1 && plans[0].1.is_err() {
        return plans.remove(0).1.map(|_| 0);
    }
    let changes: Vec<&Plan<'_>> =
        plans.iter().filter_map(|(_, plan)| plan.as_ref().ok()).filter(|plan| plan.step != Step::Nothing).collect();
    let asked = !dry_run && !yes && !changes.is_empty();
    if asked {
        agreed(context, false, &report::question(&changes))?;
    }
    // Whoever was asked has seen the difference.
    let shown = !asked;
    let rows = plans.into_iter().map(|(client, plan)| match plan {
        Err(fault) => Row::failed(client, &fault),
        Ok(plan) if dry_run || plan.step == Step::Nothing => Row::planned(&plan, shown),
        Ok(plan) => {
            let row = Row::planned(&plan, shown);
            match plan.carry_out() {
                Ok(backup) => row.done(backup),
                Err(fault) => Row::failed(client, &fault),
            }
        }
    });
    let report = Report { clients: rows.collect(), warning };
    context.output.show(&report);
    Ok(report.exit_code())
}

/// What became of one client that `setup` goes through. `state` is `installed`, `updated`, `unchanged`, `would_install`, `would_update`, `uninstalled`,
/// `would_uninstall`, `not_installed` or `declined`.
#[derive(Debug)]
pub(super) struct SetUp {
    pub(super) client: &'static str,
    pub(super) title: &'static str,
    pub(super) state: &'static str,
    pub(super) file: PathBuf,
    /// What the person does next.
    pub(super) after: Option<&'static str>,
    /// The folder of the other profile to which the entry led until now.
    pub(super) led: Option<PathBuf>,
}

/// The clients that are on this machine.
pub(super) fn found() -> Result<Vec<Client>, Fault> {
    let env = |name: &str| std::env::var_os(name);
    let machine = machine(&env)?;
    Ok(Client::ALL.into_iter().filter(|client| machine.trace(*client).is_some()).collect())
}

/// Sets one client up under `name`, or takes out its entry when that leads to this profile; asks first unless `yes`.
pub(super) fn settle(context: &Context, client: Client, name: &str, wanted: bool, dry_run: bool, yes: bool) -> Result<SetUp, Fault> {
    let env = |name: &str| std::env::var_os(name);
    let file = machine(&env)?.file(client);
    let facts = client.facts();
    let entry = if wanted { Some(launch(context, &[], &env)?) } else { None };
    let plan = Plan::new(client, file.clone(), name, entry.as_ref().map_or(Wish::Gone, Wish::Led))?;
    let led = plan.led();
    let elsewhere = led.clone().filter(|_| plan.will_lead() != led);
    let said = |state, after| SetUp { client: facts.word, title: facts.title, state, file: file.clone(), after, led: elsewhere.clone() };
    if !wanted && led.as_deref() != Some(context.profile.dir.as_path()) {
        return Ok(said("not_installed", None));
    }
    let (would, done) = match (plan.step, wanted) {
        (Step::Nothing, true) => return Ok(said("unchanged", Some(facts.after))),
        (Step::Nothing, false) => return Ok(said("not_installed", None)),
        (Step::Install, _) => ("would_install", "installed"),
        (Step::Update, _) => ("would_update", "updated"),
        (Step::Uninstall, _) => ("would_uninstall", "uninstalled"),
    };
    if dry_run {
        return Ok(said(would, None));
    }
    match agreed(context, yes, &report::question(&[&plan])) {
        Err(fault) if fault.code == DECLINED => return Ok(said("declined", None)),
        agreed => agreed?,
    }
    plan.carry_out()?;
    Ok(said(done, wanted.then_some(facts.after)))
}

/// An entry of one client's file that is ours or has our name; `state` as in `install --list`.
#[derive(Debug)]
pub(super) struct Entered {
    pub(super) client: &'static str,
    /// What we are called there.
    pub(super) entry: String,
    pub(super) state: &'static str,
    pub(super) file: PathBuf,
    pub(super) command: Option<String>,
    pub(super) trouble: Option<String>,
}

impl Entered {
    /// Whether it has the name that `install` gives.
    pub(super) fn is_named_as_usual(&self) -> bool {
        self.entry == args::NAME
    }
}

/// The entries of every client that can be set up: the one of our name, and those of ours by other names.
pub(super) fn entered() -> Result<Vec<Entered>, Fault> {
    let env = |name: &str| std::env::var_os(name);
    Ok(list::List::whole(&machine(&env)?, None, args::NAME)?.into_entered())
}

/// Where `m365-mcp` lies.
pub(super) fn shim_program() -> Option<PathBuf> {
    entry::shim(&|name| std::env::var_os(name)).ok().map(PathBuf::from)
}

fn machine(env: &dyn Fn(&str) -> Option<std::ffi::OsString>) -> Result<Machine<'_>, Fault> {
    let home = std::env::home_dir().filter(|home| home.is_absolute()).ok_or_else(|| {
        Fault::new(
            Kind::User,
            "no_home",
            "the system names no home directory, where clients keep their files",
            "Set HOME, or use --project DIR.",
        )
    })?;
    Ok(Machine { system: System::here(), env, home })
}

fn chosen(named: &[Client], all: bool, machine: &Machine<'_>) -> Result<Vec<Client>, Fault> {
    let mut clients =
        if all { Client::ALL.into_iter().filter(|client| machine.trace(*client).is_some()).collect() } else { named.to_vec() };
    clients.sort_unstable();
    clients.dedup();
    if clients.is_empty() {
        let known = Client::ALL.map(|client| client.facts().title).join(", ");
        return Err(Fault::new(
            Kind::User,
            "no_client_found",
            format!("none of {known} was found on this machine"),
            "Name one: `m365-cachectl install cursor`.",
        ));
    }
    Ok(clients)
}

fn file(client: Client, project: Option<&Path>, machine: &Machine<'_>) -> Result<PathBuf, Fault> {
    let Some(dir) = project else { return Ok(machine.file(client)) };
    let dir = std::path::absolute(dir).ok().filter(|dir| dir.is_dir()).ok_or_else(|| {
        Fault::new(Kind::User, "no_project", format!("`{}` is no folder", dir.display()), "Give the project's folder to --project.")
    })?;
    client.project_file(&dir).ok_or_else(|| {
        let facts = client.facts();
        let message = format!("{} keeps no list of servers in a project", facts.title);
        Fault::new(Kind::User, "no_project_scope", message, format!("`m365-cachectl install {}` without --project.", facts.word))
    })
}

/// How clients are to start us: the words are tried on `m365-mcp` first, since a client would only say that the server does not start.
fn launch(context: &Context, words: &[String], env: &dyn Fn(&str) -> Option<std::ffi::OsString>) -> Result<Entry, Fault> {
    let command = entry::shim(env)?;
    if !words.is_empty() {
        let tried = std::process::Command::new(&command).args(words).arg("--help").stdin(std::process::Stdio::null()).output();
        let tried = tried.map_err(|error| {
            Fault::new(Kind::Config, "shim_not_started", format!("`{command}` cannot be started: {error}"), "Install it anew.")
        })?;
        if !tried.status.success() {
            let said = String::from_utf8_lossy(&tried.stderr);
            let said = said.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
            return Err(Fault::new(
                Kind::User,
                "unknown_words",
                format!("`m365-mcp` does not take these words: {said}"),
                "Run `m365-mcp --help`.",
            ));
        }
    }
    let profile = context.profile.explicit.then(|| context.profile.dir.to_str().map(str::to_owned)).flatten();
    let env = profile.map(|dir| (DIR_VARIABLE.to_owned(), dir)).into_iter().collect();
    Ok(Entry { command, args: words.to_vec(), env })
}

/// A launch line that names a policy which the settings do not have would have the daemon refuse everything to that client. Settings that cannot be
/// read, or are another profile's, tell nothing.
async fn no_such_policy(context: &Context, words: &[String]) -> Option<String> {
    let name = words.iter().enumerate().find_map(|(at, word)| match word.strip_prefix("--policy=") {
        Some(name) => Some(name),
        None if word == "--policy" => words.get(at + 1).map(String::as_str),
        None => None,
    })?;
    if words.iter().any(|word| word == "--profile" || word.starts_with("--profile=")) {
        return None;
    }
    let known = config::keys(context).await.ok()?;
    let of = |key: &String| Some(key.strip_prefix("policy.")?.rsplit_once('.')?.0.trim_matches('"').to_owned());
    let there = known.iter().filter_map(of).any(|known| known.eq_ignore_ascii_case(name));
    let file = context.profile.config_file();
    (!there).then(|| {
        format!(
            "there is no `[policy.{name}]` in `{}`, so the daemon refuses everything to a client that is started so; add it there, or use `--tools`",
            file.display()
        )
    })
}
