//! Campaigns: long runs against real programs that ask whether a bound holds, each with its figures as one JSON object.

pub mod limit;

use clap::Subcommand;

/// Which.
#[derive(Debug, Subcommand)]
pub enum Campaign {
    /// Fills the cache past the size at which a clean-up begins, and watches it from outside.
    ///
    /// Exits 1 when the clean-up begins too early, ends too late or above its share, the file does not shrink, or calls from the cache
    /// become slower meanwhile than they may.
    Limit(limit::Options),
}

/// Runs one; whether everything was as it should be.
///
/// # Errors
/// When it could not be carried through.
pub fn run(campaign: &Campaign) -> anyhow::Result<bool> {
    match campaign {
        Campaign::Limit(options) => limit::run(options),
    }
}
