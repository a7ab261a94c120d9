//! Other people's judgement of the MCP server: clients that we did not write, and the protocol's own conformance suite, through the real shim.
//!
//! `registry` fetches them, `clients` lets each work on a tenant with somebody signed in, `conformance` runs what either revision requires
//! through a relay that puts the shim onto HTTP, `report` prints and judges.

mod clients;
mod conformance;
mod report;

use std::path::PathBuf;

use anyhow::Context as _;
use serde_json::{Value, json};

use self::report::Report;
use super::{
    Options,
    registry::{self, Installed},
};
use crate::{
    demo::say,
    support::world::{ALEX, Setup, World},
};

/// The revisions that are judged, newest first.
const REVISIONS: [&str; 2] = ["2026-07-28", "2025-11-25"];

/// Runs the check; whether everything was as it should be.
///
/// # Errors
/// When it could not be carried through: the daemon does not start, a registry is not reached.
pub(super) fn run(options: &Options) -> anyhow::Result<bool> {
    known(&options.only)?;
    let mut report = Report { no_skips: options.no_skips, ..Report::default() };
    let mut world = World::with(Setup { accounts: &[ALEX], ..Setup::default() }).context("starting a tenant and a daemon")?;
    clients::run(options, &world, &mut report)?;
    if options.wants("conformance") || REVISIONS.iter().any(|revision| options.wants(revision)) {
        world.stop_daemon()?;
        world.words.push("--fixtures".into());
        world.start_daemon()?;
        for revision in REVISIONS.into_iter().filter(|revision| options.wants("conformance") || options.wants(revision)) {
            say(&format!("the conformance suite asks what {revision} requires"));
            let how = conformance::run(&world, revision)?;
            report.conformance.insert(revision, how);
        }
    }
    drop(world);
    report.print(options.json)?;
    Ok(report.verdict().is_empty())
}

/// Refuses parts that there are not.
fn known(parts: &[String]) -> anyhow::Result<()> {
    let named = |part: &str| matches!(part, "conformance" | "clients") || REVISIONS.contains(&part) || clients::NAMES.contains(&part);
    match parts.iter().find(|part| !named(part)) {
        Some(part) => {
            anyhow::bail!("there is no part \"{part}\"; say conformance, {}, clients, {}", REVISIONS.join(", "), clients::NAMES.join(", "))
        }
        None => Ok(()),
    }
}

/// How a client starts the shim, and whose mail there is.
fn described(world: &World) -> anyhow::Result<Value> {
    let account = world.ids.first().context("nobody is signed in")?;
    let env: serde_json::Map<String, Value> = environment(world).into_iter().map(|(name, value)| (name, value.into())).collect();
    Ok(json!({ "command": world.bins.shim, "args": [], "env": env, "account": account, "username": ALEX }))
}

/// What a shim needs around it.
fn environment(world: &World) -> Vec<(String, String)> {
    let command = world.home.command(world.bins, &world.bins.shim);
    let text = |text: &std::ffi::OsStr| text.to_string_lossy().into_owned();
    command.get_envs().filter_map(|(name, value)| Some((text(name), text(value?)))).collect()
}

/// Our own scripts.
fn scripts() -> PathBuf {
    registry::scripts("mcp")
}

/// A Python with what `requirements-NAME.txt` pins.
async fn python(name: &str) -> anyhow::Result<Installed> {
    registry::python(&format!("python-{name}"), &scripts().join("python").join(format!("requirements-{name}.txt"))).await
}

/// Node 22, which the suite and the Inspector want: it comes as a package of its own, so that any Node that runs npm will do.
async fn node() -> anyhow::Result<Installed> {
    registry::node("node", &scripts().join("node")).await
}
