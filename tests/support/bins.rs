//! The product's programs, built once for each run through the Cargo that runs us; what lies in `target/` is never trusted.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
    sync::OnceLock,
};

use anyhow::{Context as _, bail};
use serde_json::Value;

/// Where the built programs are.
#[derive(Debug, Clone)]
pub struct Bins {
    /// `m365-cached`
    pub daemon: PathBuf,
    /// `m365-mcp`
    pub shim: PathBuf,
    /// `m365-cachectl`
    pub cachectl: PathBuf,
    /// `m365-tenant`
    pub tenant: PathBuf,
}

/// On whose behalf the programs are built: features of dependencies are chosen by what is built together, so naming the caller
/// makes Cargo find everything it has built for the caller already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum For {
    /// The integration binary, in the profile it was built in.
    Tests,
    /// A bench, by name, in release.
    Bench(&'static str),
    /// The demo, in release.
    Demo,
}

/// The programs, built at the first call of this process.
///
/// # Errors
/// When the build fails; the compiler's words are on stderr.
pub fn bins(whose: For) -> anyhow::Result<&'static Bins> {
    static BUILT: OnceLock<Result<Bins, String>> = OnceLock::new();
    let built = BUILT.get_or_init(|| build(whose).map_err(|error| format!("{error:#}")));
    built.as_ref().map_err(|error| anyhow::anyhow!("{error}"))
}

fn build(whose: For) -> anyhow::Result<Bins> {
    let mut words = vec!["--bins"];
    match whose {
        For::Tests => {
            words.extend(["--test", "main"]);
            if !cfg!(debug_assertions) {
                words.push("--release");
            }
        }
        For::Bench(name) => words.extend(["--bench", name, "--release"]),
        For::Demo => words.push("--release"),
    }
    let built = cargo(&words)?;
    let find = |name: &str| {
        built.iter().find(|(bin, _)| bin == name).map(|(_, path)| path.clone()).with_context(|| format!("Cargo built no {name}"))
    };
    Ok(Bins { daemon: find("m365-cached")?, shim: find("m365-mcp")?, cachectl: find("m365-cachectl")?, tenant: find("m365-tenant")? })
}

/// The shim as packages ship it: the smallest and quickest build of it.
///
/// # Errors
/// When the build fails.
pub fn packaged_shim() -> anyhow::Result<PathBuf> {
    let built = cargo(&["--profile", "shim", "--package", "m365-cached-shim", "--bin", "m365-mcp"])?;
    built.into_iter().find(|(name, _)| name == "m365-mcp").map(|(_, path)| path).context("Cargo built no m365-mcp")
}

/// Runs `cargo build` in the workspace; names and paths of the programs it made.
fn cargo(words: &[&str]) -> anyhow::Result<Vec<(String, PathBuf)>> {
    let mut command = cargo_command()?;
    command.args(["build", "--locked", "--quiet"]).args(words);
    let made = made(&mut command)?.into_iter().filter(|made| made.program);
    Ok(made.map(|made| (made.name, made.path)).collect())
}

/// What Cargo made that can be run.
struct Made {
    /// One of our programs, not a test of one.
    program: bool,
    name: String,
    path: PathBuf,
}

/// Runs a Cargo that builds; the programs and tests that it made or found made.
///
/// # Errors
/// When the build fails; the compiler's words are on stderr.
pub fn executables(command: &mut Command) -> anyhow::Result<Vec<PathBuf>> {
    Ok(made(command)?.into_iter().map(|made| made.path).collect())
}

fn made(command: &mut Command) -> anyhow::Result<Vec<Made>> {
    command.arg("--message-format=json-render-diagnostics");
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output().context("running Cargo")?;
    if !output.status.success() {
        let words: Vec<_> = command.get_args().map(|word| word.to_string_lossy()).collect();
        bail!("building the programs failed: cargo {}", words.join(" "));
    }
    let mut found = Vec::new();
    for line in String::from_utf8(output.stdout)?.lines() {
        let message: Value = serde_json::from_str(line).context("Cargo's message")?;
        if let (Some(name), Some(path)) = (message["target"]["name"].as_str(), message["executable"].as_str()) {
            let bin = message["target"]["kind"].as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind == "bin"));
            let program = bin && message["profile"]["test"] != true;
            found.push(Made { program, name: name.to_owned(), path: PathBuf::from(path) });
        }
    }
    Ok(found)
}

/// The folder of the workspace.
///
/// # Errors
/// Never in the workspace.
pub fn workspace() -> anyhow::Result<PathBuf> {
    // What the Cargo that runs us says: a target folder may have been copied from another checkout, whose programs we would judge.
    let here = std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    Ok(here.ancestors().nth(2).context("the workspace")?.to_owned())
}

/// Cargo in the workspace, as if nobody's Cargo had run us.
///
/// # Errors
/// Never in the workspace.
pub fn cargo_command() -> anyhow::Result<Command> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace()?);
    // What the Cargo that runs us says of our own package; build scripts that look at it would run again.
    let about_us = |name: &str| ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"].iter().any(|start| name.starts_with(start));
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(about_us) {
            command.env_remove(name);
        }
    }
    command.env_remove("CARGO_TARGET_TMPDIR").env_remove("CARGO_PRIMARY_PACKAGE").env_remove("OUT_DIR");
    Ok(command)
}
