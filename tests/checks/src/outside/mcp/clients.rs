//! Clients that we did not write: the official SDKs of both eras, fastmcp, and the Inspector at the command line.

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;
use serde_json::Value;

use super::{described, environment, node, python, report::Report};
use crate::{
    demo::say,
    outside::{Options, program, registry::Place},
    support::world::World,
};

/// How long one client may take.
const PATIENCE: Duration = Duration::from_secs(300);
/// Calls of the Inspector's load test, and how many at once.
const LOAD: (&str, &str) = ("2000", "8");

/// The clients by name.
pub(super) const NAMES: [&str; 6] = ["python-2", "python-1", "fastmcp", "typescript-1", "typescript-2", "inspector"];

/// The line with which a script ends.
#[derive(Deserialize)]
struct Told {
    done: Vec<String>,
    failed: BTreeMap<String, String>,
}

/// Installs what the wanted clients need and lets each work.
pub(super) fn run(options: &Options, world: &World, report: &mut Report) -> anyhow::Result<()> {
    for name in NAMES.into_iter().filter(|name| options.wants("clients") || options.wants(name)) {
        let place = world.block_on(async {
            match name {
                "python-2" | "fastmcp" => python("current").await,
                "python-1" => python("legacy").await,
                _ => node().await,
            }
        })?;
        let how = match place {
            Err(why) => format!("skipped: {why}"),
            Ok(place) => {
                say(&format!("{name} talks to the shim"));
                let worked = if name == "inspector" { inspector(world, &place) } else { script(world, &place, name) };
                match worked {
                    Ok(steps) => {
                        report.steps += steps;
                        "ok".to_owned()
                    }
                    Err(error) => format!("failed: {error:#}"),
                }
            }
        };
        report.clients.insert(name, how);
    }
    Ok(())
}

/// Lets a script of ours ask through one client; how many steps it did.
fn script(world: &World, place: &Place, name: &str) -> anyhow::Result<usize> {
    let file = match name {
        "python-2" => "current.py",
        "python-1" => "legacy.py",
        "fastmcp" => "fast.py",
        "typescript-1" => "sdk1.mjs",
        _ => "client2.mjs",
    };
    let mut command = program::on_loopback(&place.program);
    command.current_dir(&place.folder).arg(file).arg(described(world)?.to_string());
    command.env("PYTHONWARNINGS", "ignore").env("PYTHONDONTWRITEBYTECODE", "1");
    let said = world.block_on(program::hear(&mut command, PATIENCE))?;
    let last = said.out.lines().last().unwrap_or_default();
    let Ok(told) = serde_json::from_str::<Told>(last) else { anyhow::bail!("it did not say how it went: {}", said.tail()) };
    let wrong: Vec<String> = told.failed.iter().map(|(step, why)| format!("{step}: {why}")).collect();
    anyhow::ensure!(wrong.is_empty(), "{}", wrong.join("; "));
    anyhow::ensure!(said.good && !told.done.is_empty(), "{}", said.tail());
    Ok(told.done.len())
}

/// The Inspector: schemas as strict hosts want them, a call in either era, and a load.
fn inspector(world: &World, place: &Place) -> anyhow::Result<usize> {
    let ask = |words: &[&str]| -> anyhow::Result<program::Said> {
        let mut command = program::on_loopback(&place.program);
        command.current_dir(&place.folder).arg("node_modules/.bin/mcp-inspector").arg("--cli").arg(&world.bins.shim);
        for (name, value) in environment(world) {
            command.arg("-e").arg(format!("{name}={value}"));
        }
        command.args(words);
        let said = world.block_on(program::hear(&mut command, PATIENCE))?;
        anyhow::ensure!(said.good, "{}: {}", words.join(" "), said.tail());
        Ok(said)
    };
    let account = format!("account_id={}", world.ids.first().map_or("", String::as_str));
    let call = ["--method", "tools/call", "--tool-name", "email_list", "--tool-arg", &account];
    for era in ["legacy", "modern"] {
        let listed: Value = serde_json::from_str(&ask(&["--method", "tools/list", "--protocol-era", era, "--strict"])?.out)?;
        anyhow::ensure!(listed["tools"].as_array().is_some_and(|tools| tools.len() > 5), "few tools in the {era} era");
        let called = ask(&[&call[..], &["--protocol-era", era]].concat())?.out;
        anyhow::ensure!(called.contains("_cache_status"), "no answer in the {era} era: {called:.300}");
        ask(&["--method", "resources/list", "--protocol-era", era])?;
        ask(&["--method", "prompts/list", "--protocol-era", era])?;
    }
    let load = ask(&[&call[..], &["--load", "--load-requests", LOAD.0, "--load-concurrency", LOAD.1]].concat())?;
    anyhow::ensure!(load.out.contains(LOAD.0), "no summary of the load: {}", load.tail());
    Ok(9)
}
