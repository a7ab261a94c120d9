//! Installs other people's programs from their registries into a cache of the user's, once for each set of pinned versions. Tools that this
//! machine lacks are a reason to skip; a registry that does not answer is an error.

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

/// Our own scripts for them.
pub(super) fn scripts(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients").join(folder)
}

/// A Python with what `requirements` pins, and the scripts beside that file. `name` tells its cache from others.
pub(super) async fn python(name: &str, requirements: &Path) -> anyhow::Result<Installed> {
    if !program::can("python3", &["--version"]).await {
        return Ok(Err("no python3"));
    }
    if !program::can("python3", &["-c", "import ensurepip, venv"]).await {
        return Ok(Err("python3 without venv (Debian: python3-venv)"));
    }
    let cache = cache(name, &[requirements], "python3").await?;
    let venv = cache.join("venv");
    if !cache.join(COMPLETE).exists() {
        say(&format!("installing Python clients ({name})"));
        must("making a venv", Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv)).await?;
        let mut pip = Command::new(venv.join("bin/pip"));
        pip.args(["install", "--quiet", "--no-compile", "--disable-pip-version-check", "--requirement"]).arg(requirements);
        must("installing with pip", &mut pip).await?;
        fs::write(cache.join(COMPLETE), "")?;
    }
    Ok(Ok(Place { program: venv.join("bin/python"), folder: requirements.with_file_name("") }))
}

/// Node with what the `package-lock.json` in `own` pins, and the scripts of that folder in the cache, because Node looks for modules from where
/// a script lies. A Node that npm installed there goes before that of the machine.
pub(super) async fn node(name: &str, own: &Path) -> anyhow::Result<Installed> {
    // `fetch` and `Request` are part of Node since 18.
    if !program::can("node", &["-e", "process.exit(typeof Request === 'function' ? 0 : 1)"]).await {
        return Ok(Err("no node, or one before 18"));
    }
    if !program::can("npm", &["--version"]).await {
        return Ok(Err("no npm"));
    }
    let (manifest, lock) = (own.join("package.json"), own.join("package-lock.json"));
    let cache = cache(name, &[&manifest, &lock], "node").await?;
    if !cache.join(COMPLETE).exists() {
        say(&format!("installing Node clients ({name})"));
        for file in [&manifest, &lock] {
            fs::copy(file, cache.join(file.file_name().context("a file's name")?))?;
        }
        must("installing with npm", Command::new("npm").args(["ci", "--no-audit", "--no-fund"]).current_dir(&cache)).await?;
        fs::write(cache.join(COMPLETE), "")?;
    }
    for script in fs::read_dir(own)? {
        let script = script?.path();
        if script.extension().is_some_and(|extension| extension == "js" || extension == "mjs") {
            fs::copy(&script, cache.join(script.file_name().context("a script's name")?))?;
        }
    }
    let installed = cache.join("node_modules/node/bin/node");
    let program = if installed.exists() { installed } else { "node".into() };
    if !program::can(&program.to_string_lossy(), &["--version"]).await {
        return Ok(Err("npm did not install a Node for this machine"));
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
