//! Which lines of the product its tests run: everything is built so that it counts, the tests are run, and the counts become a table.
//!
//! Decided here: the compiler's own counters (`-C instrument-coverage`), for the workspace's crates only, through Cargo's wrapper for a
//! workspace (`.ci/instrumented`): what they depend on stays as it is built already, and nobody else's lines are counted. Programs that a test
//! starts count too, when they end by themselves; one that is killed takes its counts with it. LLVM's two tools read the counts; `cargo
//! llvm-cov`, which asks for the same tools, knows no table by folder, and counts the tests as well. `cargo tarpaulin` brings a reader of its
//! own, which has to follow each version of LLVM.

mod lines;
mod llvm;
mod report;

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::Context as _;
use clap::Args;

use self::{llvm::Tools, report::Report};
use crate::{
    demo::say,
    support::bins::{executables, workspace},
};

/// How a line is counted.
#[derive(Debug, Args)]
pub struct Options {
    /// Print the result as one JSON object, with the lines of each file that nothing ran.
    #[arg(long)]
    json: bool,
    /// Only the tests inside the crates, without the ones that start programs.
    #[arg(long)]
    inside: bool,
    /// Name the lines that nothing ran, file by file.
    #[arg(long)]
    missed: bool,
}

/// The tests inside the crates, and the suite on real programs. No package is named: what is built together decides the features of what
/// all depend on, and these words find it built.
const RUNS: [&[&str]; 2] = [&["--lib", "--bins"], &["--test", "main"]];

/// Builds, runs, counts and prints; whether all tests passed and the library has its share.
///
/// # Errors
/// When LLVM's tools are missing, or something cannot be built.
pub fn run(options: &Options) -> anyhow::Result<bool> {
    let root = workspace()?;
    let tools = Tools::find(&root)?;
    let counts = root.join("target/coverage");
    let runs = if options.inside { &RUNS[..1] } else { &RUNS[..] };
    say("building everything so that it counts");
    let mut programs = Vec::new();
    for words in runs {
        programs.extend(executables(instrumented(&root, &counts, "test")?.arg("--no-run").args(*words))?);
    }
    if !options.inside {
        // What the suite starts; it asks Cargo with the same words.
        programs.extend(executables(instrumented(&root, &counts, "build")?.args(["--bins", "--test", "main"]))?);
    }
    // What was left by an earlier run, and by programs that ran for the build.
    clear(&counts)?;
    let mut good = true;
    for words in runs {
        say(&format!("running cargo test {}", words.join(" ")));
        let mut command = instrumented(&root, &counts, "test")?;
        command.args(["--quiet", "--no-fail-fast"]).args(*words).stdin(Stdio::null());
        // The result alone goes to stdout.
        let status = command.stdout(std::io::stderr()).status().context("running Cargo")?;
        good &= status.success();
    }
    say("counting");
    programs.sort();
    programs.dedup();
    let report = Report::new(lines::counted(&tools.lines(&counts, &programs)?, &root)?);
    let text = if options.json { report.json()? } else { report.table(options.missed)? };
    std::io::Write::write_all(&mut std::io::stdout(), text.as_bytes())?;
    if !good {
        say("error: a test failed, so some lines may not have been run that others reach");
    }
    Ok(good && report.enough())
}

/// Cargo, with a compiler that makes our own crates count.
fn instrumented(root: &Path, counts: &Path, verb: &str) -> anyhow::Result<Command> {
    let mut command = crate::support::bins::cargo_command()?;
    // Programs of one build add their counts up in four files, however many of them there are.
    let mut to = OsString::from(counts);
    to.push("/%4m.profraw");
    command.args([verb, "--locked"]).env("RUSTC_WORKSPACE_WRAPPER", root.join(".ci/instrumented")).env("LLVM_PROFILE_FILE", to);
    Ok(command)
}

fn clear(counts: &Path) -> anyhow::Result<()> {
    match fs::remove_dir_all(counts) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("clearing `{}`", counts.display()))
        }
        _ => Ok(()),
    }
}

/// The files in `counts` with the counts of programs.
fn raw(counts: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let found = fs::read_dir(counts).with_context(|| format!("no program left its counts in `{}`", counts.display()))?;
    let mut found = found.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    found.retain(|path| path.extension().is_some_and(|extension| extension == "profraw"));
    Ok(found)
}
