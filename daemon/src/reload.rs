//! `reload`: reads the settings again and has those take effect that can, without a restart.
//!
//! Decided here: all or nothing. The new settings are read and judged as at a start; when anything is wrong with them, everything stays as it is
//! and the error says what and where. What a key needs stands in its row (`config::Takes`): a key of the second kind is kept as it was
//! until a restart and is named, so that nobody believes that it holds. The environment is that of the start.

use std::sync::{Arc, Mutex, PoisonError};

use m365_cached::config::{Changed, Config, Takes, changes};
use m365_cached_proto::dirs::Profile;

use crate::{core::Problem, daemon::Daemon, parts, signals::Hangups};

/// What the daemon was started with, and what it has taken since.
pub struct Settings {
    profile: Profile,
    flags: Vec<(String, String)>,
    started: Config,
    taken: Mutex<Config>,
}

/// What a reload came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reloaded {
    /// What holds from now on.
    pub changed: Vec<Changed>,
    /// What differs from what the daemon was started with, and waits for a restart.
    pub waiting: Vec<Changed>,
}

impl Settings {
    /// Those of a daemon that starts with `config`, read of `profile` with `flags` over it.
    pub fn new(profile: Profile, flags: Vec<(String, String)>, config: Config) -> Self {
        Self { profile, flags, taken: Mutex::new(config.clone()), started: config }
    }

    /// Reads them again, and has `daemon` take what it can.
    ///
    /// # Errors
    /// When the daemon could not start with them; nothing has changed then.
    pub(crate) fn reload(&self, daemon: &Daemon) -> Result<Reloaded, Problem> {
        // One at a time, from reading to taking.
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let config = parts::configuration(&self.profile, &self.flags).map_err(unchanged)?;
        if let Some(problem) = parts::unusable(&config, &self.profile).into_iter().next() {
            return Err(unchanged(problem));
        }
        let of = |takes: Takes, before: &Config| -> Vec<Changed> {
            changes(before, &config).into_iter().filter(|changed| changed.takes == takes).collect()
        };
        let reloaded = Reloaded { changed: of(Takes::Reload, &taken), waiting: of(Takes::Restart, &self.started) };
        if !reloaded.changed.is_empty() {
            daemon.take(&config)?;
        }
        *taken = config;
        tracing::info!(count = reloaded.changed.len(), entries = reloaded.waiting.len(), "the settings were read again");
        Ok(reloaded)
    }
}

fn unchanged(problem: Problem) -> Problem {
    let hint = "Correct it, then reload again; the daemon goes on as it was. `m365-cachectl config check` says the same of the file.";
    Problem { message: format!("nothing was changed: {}", problem.message), hint: hint.into(), ..problem }
}

/// Reloads at every hangup, for as long as the daemon serves.
pub(crate) async fn at_hangups(daemon: Arc<Daemon>, mut hangups: Hangups) {
    loop {
        hangups.next().await;
        // Its lines tell what came of it; nobody waits for an answer.
        let _ = reload(&daemon);
    }
}

/// Reloads, and leaves a line for what it came to.
pub(crate) fn reload(daemon: &Daemon) -> Result<Reloaded, Problem> {
    let done = daemon.reload();
    if let Err(problem) = &done {
        tracing::warn!(code = problem.code, reason = problem.message, hint = problem.hint, "the settings were not taken");
    }
    done
}

#[cfg(test)]
#[path = "reload_tests.rs"]
mod tests;
