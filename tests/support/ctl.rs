//! Runs `m365-cachectl` as a person's script would, in a cleared environment.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    process::{ChildStdout, Stdio},
};

use anyhow::Context as _;
use serde_json::Value;

use super::{
    PATIENCE,
    bins::Bins,
    home::Home,
    process::{Running, spawn},
};

/// What a run of `m365-cachectl` gave.
#[derive(Debug, Clone)]
pub struct Said {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to stdout.
    pub stdout: String,
    /// What it wrote to stderr.
    pub stderr: String,
}

impl Said {
    /// Its stdout as one JSON value.
    ///
    /// # Errors
    /// When it is none; the whole output is in the error.
    pub fn json(&self) -> anyhow::Result<Value> {
        serde_json::from_str(&self.stdout).with_context(|| format!("no JSON: {self:?}"))
    }

    /// Itself, if it succeeded.
    ///
    /// # Errors
    /// When the exit code is not 0.
    pub fn ok(self) -> anyhow::Result<Self> {
        anyhow::ensure!(self.code == Some(0), "m365-cachectl failed: {self:?}");
        Ok(self)
    }
}

/// Runs it to its end.
///
/// # Errors
/// When it cannot be started or does not end.
pub fn run(bins: &Bins, home: &Home, words: &[&str]) -> anyhow::Result<Said> {
    let mut talk = start(bins, home, words)?;
    let mut stdout = String::new();
    talk.lines.read_to_string(&mut stdout)?;
    talk.finish(stdout)
}

/// A run that is still going on.
#[derive(Debug)]
pub struct Talk {
    process: Running,
    /// Its stdout.
    pub lines: BufReader<ChildStdout>,
    stderr: std::thread::JoinHandle<String>,
}

/// Starts it.
///
/// # Errors
/// When it cannot be started.
pub fn start(bins: &Bins, home: &Home, words: &[&str]) -> anyhow::Result<Talk> {
    let mut command = home.command(bins, &bins.cachectl);
    command.args(words).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = spawn(&mut command)?;
    let stdout = child.stdout.take().context("stdout")?;
    let mut stderr = child.stderr.take().context("stderr")?;
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        // What could be read is what there is to show.
        let _ = stderr.read_to_string(&mut text);
        text
    });
    Ok(Talk { process: Running::new("m365-cachectl", child), lines: BufReader::new(stdout), stderr: reader })
}

impl Talk {
    /// Its next line as JSON; `None` at its end.
    ///
    /// # Errors
    /// When the line is not JSON.
    pub fn event(&mut self) -> anyhow::Result<Option<Value>> {
        let mut line = String::new();
        if self.lines.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        serde_json::from_str(&line).map(Some).with_context(|| format!("no JSON: {line}"))
    }

    /// Reads no more of it and waits for its end.
    ///
    /// # Errors
    /// When it does not end.
    pub fn hang_up(self) -> anyhow::Result<Said> {
        let Self { mut process, lines, stderr } = self;
        drop(lines);
        let status = process.wait(PATIENCE)?;
        let stderr = stderr.join().map_err(|_| anyhow::anyhow!("reading stderr"))?;
        Ok(Said { code: status.code(), stdout: String::new(), stderr })
    }

    /// Waits for its end; `stdout` is what was read before.
    ///
    /// # Errors
    /// When it does not end.
    pub fn finish(mut self, stdout: String) -> anyhow::Result<Said> {
        let status = self.process.wait(PATIENCE)?;
        let stderr = self.stderr.join().map_err(|_| anyhow::anyhow!("reading stderr"))?;
        Ok(Said { code: status.code(), stdout, stderr })
    }
}
