//! Installs clients and suite from their registries into a cache of the user's, once for each set of pinned versions.
//!
//! The suite and the Inspector want Node 22: it comes as a package of its own, so that any Node that runs npm will do.

use std::{
    fs,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use tokio::process::Command;

use crate::{demo::say, outside::program};

/// How long a registry may take.
const PATIENCE: Duration = Duration::from_secs(900);
/// Lies in a cache that is complete.
const COMPLETE: &str = "complete";

/// What something is run with, and where its files are.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// The interpreter.
    pub(super) program: PathBuf,
    /// Scripts, with what they import.
    pub(super) folder: PathBuf,
}

/// Whether something can run here: where, or what this machine lacks.
pub(super) type Installed = Result<Place, &'static str>;

/// Our own scripts.
pub(super) fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients").join("mcp")
}

/// A Python with what `requirements-NAME.txt` pins.
pub(super) async fn python(name: &str) -> anyhow::Result<Installed> {
    if !program::can("python3", &["--version"]).await {
        return Ok(Err("no python3"));
    }
    if !program::can("python3", &["-c", "import ensurepip, venv"]).await {
        return Ok(Err("python3 without venv (Debian: python3-venv)"));
    }
    let folder = scripts().join("python");
    let requirements = folder.join(format!("requirements-{name}.txt"));
    let cache = cache(&format!("python-{name}"), &[&requirements], "python3").await?;
    let venv = cache.join("venv");
    if !cache.join(COMPLETE).exists() {
        say(&format!("installing Python clients ({name})"));
        must("making a venv", Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv)).await?;
        let mut pip = Command::new(venv.join("bin/pip"));
        pip.args(["install", "--quiet", "--no-compile", "--disable-pip-version-check", "--requirement"]).arg(&requirements);
        must("installing with pip", &mut pip).await?;
        fs::write(cache.join(COMPLETE), "")?;
    }
    Ok(Ok(Place { program: venv.join("bin/python"), folder }))
}

/// Node 22 with what `package-lock.json` pins, and our scripts beside it.
pub(super) async fn node() -> anyhow::Result<Installed> {
    if !program::can("node", &["--version"]).await {
        return Ok(Err("no node"));
    }
    if !program::can("npm", &["--version"]).await {
        return Ok(Err("no npm"));
    }
    let own = scripts().join("node");
    let (manifest, lock) = (own.join("package.json"), own.join("package-lock.json"));
    let cache = cache("node", &[&manifest, &lock], "node").await?;
    if !cache.join(COMPLETE).exists() {
        say("installing Node clients and the conformance suite");
        for file in [&manifest, &lock] {
            fs::copy(file, cache.join(file.file_name().context("a file's name")?))?;
        }
        must("installing with npm", Command::new("npm").args(["ci", "--no-audit", "--no-fund"]).current_dir(&cache)).await?;
        fs::write(cache.join(COMPLETE), "")?;
    }
    // Node looks for modules from where a script lies.
    for script in fs::read_dir(&own)? {
        let script = script?.path();
        if script.extension().is_some_and(|extension| extension == "mjs") {
            fs::copy(&script, cache.join(script.file_name().context("a script's name")?))?;
        }
    }
    let program = cache.join("node_modules/node/bin/node");
    if !program::can(&program.to_string_lossy(), &["--version"]).await {
        return Ok(Err("npm did not install node 22 for this machine"));
    }
    Ok(Ok(Place { program, folder: cache }))
}

/// The cache folder for these pinned versions and this version of the tool; made when it is not there. It lies with the user's other caches:
/// several checkouts share it, and `cargo clean` leaves it.
async fn cache(name: &str, pins: &[&Path], tool: &str) -> anyhow::Result<PathBuf> {
    let mut hash = DefaultHasher::new();
    for pin in pins {
        fs::read(pin).with_context(|| format!("reading {}", pin.display()))?.hash(&mut hash);
    }
    program::hear(Command::new(tool).arg("--version"), PATIENCE).await?.out.hash(&mut hash);
    let home = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache"))).context("neither XDG_CACHE_HOME nor HOME")?;
    let cache = home.join("m365-cached-outside").join(format!("{name}-{:016x}", hash.finish()));
    fs::create_dir_all(&cache).with_context(|| format!("making {}", cache.display()))?;
    Ok(cache)
}

/// Runs a command that must succeed.
async fn must(doing: &str, command: &mut Command) -> anyhow::Result<()> {
    let said = program::hear(command, PATIENCE).await.with_context(|| doing.to_owned())?;
    ensure!(said.good, "{doing} failed:\n{}", said.tail());
    Ok(())
}
