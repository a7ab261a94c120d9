//! Installs the clients from their registries into a cache below `target/`, once for each set of pinned versions.

use std::{
    fs,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use tokio::process::Command;

use super::{Language, scripts};
use crate::{demo::say, outside::program};

/// How long a registry may take.
const PATIENCE: Duration = Duration::from_secs(900);
/// Lies in a cache that is complete.
const COMPLETE: &str = "complete";

/// What a script is run with, and where it lies.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) program: PathBuf,
    pub(super) scripts: PathBuf,
}

/// Whether a language's clients can run.
#[derive(Debug)]
pub(super) enum Installed {
    /// They can.
    At(Place),
    /// This machine lacks what it takes: what.
    Missing(&'static str),
}

/// Installs a language's clients. Missing tools are a reason to skip; a registry that does not answer is an error.
pub(super) async fn install(language: Language) -> anyhow::Result<Installed> {
    match language {
        Language::Python => python().await,
        Language::Node => node().await,
    }
}

async fn python() -> anyhow::Result<Installed> {
    if !program::can("python3", &["--version"]).await {
        return Ok(Installed::Missing("no python3"));
    }
    if !program::can("python3", &["-c", "import ensurepip, venv"]).await {
        return Ok(Installed::Missing("python3 without venv (Debian: python3-venv)"));
    }
    let scripts = scripts(Language::Python);
    let requirements = scripts.join("requirements.txt");
    let cache = cache("python", &[&requirements], "python3").await?;
    let venv = cache.join("venv");
    if !cache.join(COMPLETE).exists() {
        say("installing Python clients");
        must("making a venv", Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv)).await?;
        let mut pip = Command::new(venv.join("bin/pip"));
        pip.args(["install", "--quiet", "--no-compile", "--disable-pip-version-check", "--requirement"]).arg(&requirements);
        must("installing with pip", &mut pip).await?;
        fs::write(cache.join(COMPLETE), "")?;
    }
    Ok(Installed::At(Place { program: venv.join("bin/python"), scripts }))
}

async fn node() -> anyhow::Result<Installed> {
    // `fetch` and `Request` are part of Node since 18.
    if !program::can("node", &["-e", "process.exit(typeof Request === 'function' ? 0 : 1)"]).await {
        return Ok(Installed::Missing("no node, or one before 18"));
    }
    if !program::can("npm", &["--version"]).await {
        return Ok(Installed::Missing("no npm"));
    }
    let scripts = scripts(Language::Node);
    let (manifest, lock) = (scripts.join("package.json"), scripts.join("package-lock.json"));
    let cache = cache("node", &[&manifest, &lock], "node").await?;
    if !cache.join(COMPLETE).exists() {
        say("installing Node clients");
        for file in [&manifest, &lock] {
            fs::copy(file, cache.join(file.file_name().context("a file's name")?))?;
        }
        must("installing with npm", Command::new("npm").args(["ci", "--no-audit", "--no-fund"]).current_dir(&cache)).await?;
        fs::write(cache.join(COMPLETE), "")?;
    }
    // Node looks for modules from where a script lies.
    for script in fs::read_dir(&scripts)? {
        let script = script?.path();
        if script.extension().is_some_and(|extension| extension == "js") {
            fs::copy(&script, cache.join(script.file_name().context("a script's name")?))?;
        }
    }
    Ok(Installed::At(Place { program: "node".into(), scripts: cache }))
}

/// The cache folder for these pinned versions and this version of the tool; made when it is not there.
async fn cache(name: &str, pins: &[&Path], tool: &str) -> anyhow::Result<PathBuf> {
    let mut hash = DefaultHasher::new();
    for pin in pins {
        fs::read(pin).with_context(|| format!("reading {}", pin.display()))?.hash(&mut hash);
    }
    program::hear(Command::new(tool).arg("--version"), PATIENCE).await?.out.hash(&mut hash);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).context("the workspace")?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let cache = target.join("outside").join(format!("{name}-{:016x}", hash.finish()));
    fs::create_dir_all(&cache).with_context(|| format!("making {}", cache.display()))?;
    Ok(cache)
}

/// Runs a command that must succeed.
async fn must(doing: &str, command: &mut Command) -> anyhow::Result<()> {
    let said = program::hear(command, PATIENCE).await.with_context(|| doing.to_owned())?;
    ensure!(said.good, "{doing} failed:\n{}", said.tail());
    Ok(())
}
