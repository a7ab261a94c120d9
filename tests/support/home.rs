//! A temporary profile: a private directory, a key for its store, and the environment that leads programs to it.

use std::{
    io::Read as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::Context as _;
use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{
    PATIENCE,
    bins::Bins,
    process::{Running, spawn},
};

/// A temporary profile. Removed when dropped, unless it is kept.
#[derive(Debug)]
pub struct Home {
    dir: tempfile::TempDir,
    /// Value of `M365_MCP_CACHE_KEY`; `None` leaves the variable out.
    pub key: Option<String>,
    /// Let the daemon warm its cache. Most tests count requests, and nobody but them may make any.
    pub warming: bool,
    /// Hold clients to the usual limits by minute. Most tests ask in a hurry.
    pub rates: bool,
    /// Further variables.
    pub variables: Vec<(String, String)>,
}

impl Home {
    /// A new profile directory (0700) whose key is made from `seed`.
    ///
    /// # Errors
    /// When no directory can be made.
    pub fn new(seed: u8) -> anyhow::Result<Self> {
        let dir = tempfile::Builder::new().prefix("m365-").tempdir().context("making a temporary profile")?;
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o700))?;
        Ok(Self { dir, key: Some(key(seed)), warming: false, rates: false, variables: Vec::new() })
    }

    /// The profile directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The daemon's socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.path().join("m365-cached.sock")
    }

    /// What the daemon wrote to stderr.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.path().join("daemon.log")
    }

    /// The database.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.path().join("cache.db")
    }

    /// Adds lines to the settings.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn configure(&self, lines: &str) -> anyhow::Result<()> {
        let file = self.path().join("config.toml");
        let mut text = std::fs::read_to_string(&file).unwrap_or_default();
        text.push('\n');
        text.push_str(lines);
        std::fs::write(&file, text).with_context(|| format!("writing {}", file.display()))
    }

    /// Starts a daemon that must end at once, with the exit code for a configuration that needs attention and a hint; gives what it said.
    ///
    /// # Errors
    /// When it serves, or ends in another way.
    pub fn refusal(&self, bins: &Bins, words: &[&str]) -> anyhow::Result<String> {
        let mut command = self.command(bins, &bins.daemon);
        command.args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = spawn(&mut command)?;
        let mut stderr = child.stderr.take().context("its stderr")?;
        let status = Running::new("m365-cached", child).wait(PATIENCE)?;
        let mut said = String::new();
        stderr.read_to_string(&mut said)?;
        anyhow::ensure!(status.code() == Some(7) && said.contains("hint: "), "it ends with {status}: {said}");
        Ok(said)
    }

    /// A command in the environment of this profile and nothing else of ours: no keyring, no proxy, no home of a person.
    #[must_use]
    pub fn command(&self, bins: &Bins, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear();
        // The last says where a program of `cargo coverage` leaves its counts.
        for name in ["PATH", "LD_LIBRARY_PATH", "RUST_BACKTRACE", "LLVM_PROFILE_FILE"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command.env("HOME", self.path()).env("M365_CACHED_DIR", self.path()).env("M365_CACHED_DAEMON", &bins.daemon);
        if let Some(key) = &self.key {
            command.env("M365_MCP_CACHE_KEY", key);
        }
        if !self.warming {
            command.env("M365_CACHED_WARMING_ENABLED", "false");
        }
        if !self.rates {
            for class in ["READS", "WRITES", "SENDS"] {
                command.env(format!("M365_CACHED_LIMITS_{class}_PER_MINUTE"), "0");
            }
        }
        command.envs(self.variables.iter().cloned());
        command
    }

    /// Leaves the directory where it is; its path.
    #[must_use]
    pub fn keep(mut self) -> PathBuf {
        self.dir.disable_cleanup(true);
        self.path().to_owned()
    }

    /// Every file of the profile, sorted.
    ///
    /// # Errors
    /// When a directory cannot be read.
    pub fn files(&self) -> anyhow::Result<Vec<PathBuf>> {
        super::scan::files_under(self.path())
    }
}

/// A key as the environment carries it.
#[must_use]
pub fn key(seed: u8) -> String {
    let bytes: Vec<u8> = (0..32_u8).map(|at| at.wrapping_mul(29) ^ seed.wrapping_mul(71)).collect();
    STANDARD.encode(bytes)
}
