//! Campaigns: long runs of the real daemon under load and trouble, one file each, with a budget of time and figures as JSON. One that is
//! cut short prints what it has.

mod interrupt;
mod limit;
pub mod queue;
mod run;
mod soak;

use std::{io::Write as _, time::Duration};

use clap::{Args, Subcommand};
use serde::Serialize;

pub use run::Run;

use crate::demo::say;

/// What every campaign can be told.
#[derive(Debug, Args)]
pub struct Options {
    #[command(subcommand)]
    which: Which,
    /// Print the result as one JSON object.
    #[arg(long, global = true)]
    json: bool,
    /// Seconds it may take; without it the campaign's own measure.
    #[arg(long, global = true, value_name = "SECONDS")]
    budget_s: Option<u64>,
}

#[derive(Debug, Subcommand)]
enum Which {
    /// 10,000 queued tasks and 30 kills of the daemon; calls while tasks run; 200 clients at once.
    Queue {
        /// Only this part: kills, foreground or clients; may be given several times.
        #[arg(long, value_name = "PART")]
        only: Vec<String>,
    },
    /// Fills the cache past the size at which a clean-up begins, and watches it from outside.
    ///
    /// Exits 1 when the clean-up begins too early, ends too late or above its share, the file does not shrink, or calls from the cache
    /// become slower meanwhile than they may.
    Limit(limit::Options),
    /// Mixed load for half an hour: memory, file descriptors, threads and connections of the daemon stay as they are.
    Soak,
}

/// Runs a campaign; whether its figures are as they should be.
///
/// # Errors
/// When it could not be carried through.
pub fn run(options: &Options) -> anyhow::Result<bool> {
    let stop = interrupt::heard()?;
    let budget = options.budget_s.map(Duration::from_secs);
    match &options.which {
        Which::Queue { only } => {
            let mut run = Run::new(only, budget.unwrap_or(queue::WHOLE), stop);
            let done = queue::run(&mut run, &queue::FULL);
            let figures = run.end(done);
            told(options, &figures, &format!("{figures:#}"))?;
            for wrong in run.wrong() {
                say(&format!("not as it must be: {wrong}"));
            }
            Ok(run.wrong().is_empty())
        }
        Which::Limit(limit) => {
            let figures = limit::run(limit, budget.unwrap_or(limit::WHOLE), stop)?;
            told(options, &figures, &figures.table())?;
            Ok(figures.ok())
        }
        Which::Soak => {
            let figures = soak::run(budget.unwrap_or(soak::WHOLE), &stop)?;
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
