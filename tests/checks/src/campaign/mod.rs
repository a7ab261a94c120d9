//! Campaigns: long runs of the real daemon under load and trouble, each with a budget of time and figures as JSON.

mod interrupt;
mod limit;
mod soak;

use std::{io::Write as _, time::Duration};

use clap::{Args, Subcommand};
use serde::Serialize;

/// What every campaign can be told.
#[derive(Debug, Args)]
pub struct Options {
    #[command(subcommand)]
    which: Which,
    /// Print the result as one JSON object.
    #[arg(long, global = true)]
    json: bool,
    /// Seconds it may take; without it the campaign's own measure.
    #[arg(long, global = true)]
    budget_s: Option<u64>,
}

#[derive(Debug, Subcommand)]
enum Which {
    /// Fills the cache past the size at which a clean-up begins, and watches it from outside.
    ///
    /// Exits 1 when the clean-up begins too early, ends too late or above its share, the file does not shrink, or calls from the cache
    /// become slower meanwhile than they may.
    Limit(limit::Options),
    /// Mixed load for half an hour: memory, file descriptors, threads and connections of the daemon stay as they are.
    Soak,
}

/// Runs a campaign; whether its figures are as they should be. One that is interrupted prints what it has.
///
/// # Errors
/// When it could not be carried through.
pub fn run(options: &Options) -> anyhow::Result<bool> {
    let budget = options.budget_s.map(Duration::from_secs);
    match &options.which {
        Which::Limit(limit) => {
            let figures = limit::run(limit, budget.unwrap_or(limit::WHOLE))?;
            told(options, &figures, &figures.table())?;
            Ok(figures.ok())
        }
        Which::Soak => {
            let figures = soak::run(budget.unwrap_or(soak::WHOLE))?;
            told(options, &figures, &figures.table())?;
            Ok(figures.ok)
        }
    }
}

fn told(options: &Options, figures: &impl Serialize, table: &str) -> anyhow::Result<()> {
    let text = if options.json { serde_json::to_string(figures)? } else { table.to_owned() };
    writeln!(std::io::stdout(), "{text}")?;
    Ok(())
}
