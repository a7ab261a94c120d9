//! Campaigns: long runs of the real daemon under load and trouble, one file each, with a budget of time and figures as JSON. One that is
//! cut short prints what it has.

pub mod doctor;
mod interrupt;
mod limit;
pub mod queue;
mod run;
pub mod safety;
pub mod shim;
mod soak;

use std::{io::Write as _, process::ExitCode, time::Duration};

use clap::{Args, Subcommand};
use serde_json::Value;

pub use run::Run;

use crate::{
    demo::say,
    support::{
        bins::{For, bins},
        process,
    },
};

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
    /// Only this part; may be given several times. The parts stand in each campaign's own help.
    #[arg(long, global = true, value_name = "PART")]
    only: Vec<String>,
}

#[derive(Debug, Subcommand)]
enum Which {
    /// 10,000 queued tasks and 30 kills of the daemon; calls while tasks run; 200 clients at once.
    ///
    /// Parts: kills (every task runs to its end, none twice at once), foreground (what calls feel of running tasks), clients (200
    /// processes that ask at the same time).
    Queue,
    /// Breaks one link after the other and asks `m365-cachectl doctor`: the first thing it says must be that link, by its name.
    ///
    /// Parts are the faults; `--only` a wrong one lists them.
    Doctor,
    /// Fills the cache past its limits and watches the clean-up from outside.
    ///
    /// Parts: bytes (the clean-up begins past 80 % of `cache.max_bytes` and not before, ends at 60 % or below, the file shrinks, and calls
    /// from the cache are not slower meanwhile than they may be), entries (10,000 answers of one account, and no more).
    Limit(limit::Options),
    /// Mixed load for half an hour: memory, files, threads, tasks and connections of the daemon stay as they are.
    ///
    /// Parts are kinds of load, to find which of them makes something grow: reads, searches, refreshes, writes, changes (by others),
    /// clients (that come and go). Growth is judged in runs of ten minutes and more.
    Soak,
    /// Secrets and boundaries at full size: for each figure what was tried and what was found.
    ///
    /// Parts: strangers (connections of another user), starts (50 daemons at once), confirmations (altered, replayed, expired and foreign
    /// ones), urls (hostile addresses in Microsoft's answers), names (hostile paths for local files), frames (lines and bytes that are no
    /// messages), noisy (one client at 100 times its rate), canaries (planted texts in logs, files, metrics and processes), rows (changed
    /// and swapped ones), pages (flipped bits), files (500 damaged databases), keys (removed, changed, locked, no bus), kills (while answers
    /// are stored, schemas upgraded, keys changed, accounts erased, originals imported), `full_disk` (6 MB), crossings (a million operations over 20 accounts),
    /// trail (every kind of tampering), arguments (a million changed inputs of the parsers). The last nine are tests, run by Cargo;
    /// `M365_SIZE=N` makes each of them try N cases at most.
    Safety,
    /// 20 clients whose daemon is killed 50 times; 200 clients that find none.
    ///
    /// Parts: kills (nothing lost, nothing done twice, nobody disconnected, back within a second), restarts (in order, as an upgrade is: not even
    /// an unknown outcome), starts (one daemon, all served within 10 s), size (of the shim as it is packed, on the disk and in memory).
    Shim,
}

impl Which {
    fn name(&self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Doctor => "doctor",
            Self::Limit(_) => "limit",
            Self::Soak => "soak",
            Self::Safety => "safety",
            Self::Shim => "shim",
        }
    }

    fn parts(&self) -> &'static [&'static str] {
        match self {
            Self::Queue => queue::PARTS,
            Self::Doctor => doctor::PARTS,
            Self::Limit(_) => limit::PARTS,
            Self::Soak => soak::PARTS,
            Self::Safety => safety::PARTS,
            Self::Shim => shim::PARTS,
        }
    }

    fn budget(&self) -> Duration {
        match self {
            Self::Queue => queue::WHOLE,
            Self::Doctor => doctor::WHOLE,
            Self::Limit(_) => limit::WHOLE,
            Self::Soak => soak::WHOLE,
            Self::Safety => safety::WHOLE,
            Self::Shim => shim::WHOLE,
        }
    }
}

/// Runs a campaign: 0 when it came to its end and its figures are as they should be, 1 when they are not, 2 when it could not be carried
/// through, 3 when it was cut short and nothing was wrong until then.
///
/// # Errors
/// When it could not begin, or what it has cannot be printed.
pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let which = &options.which;
    for part in &options.only {
        anyhow::ensure!(which.parts().contains(&part.as_str()), "there is no part {part:?}; there are {}", which.parts().join(", "));
    }
    let stop = interrupt::heard()?;
    // Ctrl-C is for us: a daemon that ended with us could not be asked for what it has.
    process::keep_from_the_terminal();
    // In release, as `cargo campaign` is; its own test has built them already. Whoever asks for them later gets these.
    say("building the programs");
    bins(if cfg!(debug_assertions) { For::Tests } else { For::Demo })?;
    let budget = options.budget_s.map_or(which.budget(), Duration::from_secs);
    let mut run = Run::new(&options.only, budget, stop);
    match which {
        Which::Queue => queue::run(&mut run, &queue::FULL),
        Which::Doctor => doctor::run(&mut run),
        Which::Limit(limit) => limit::run(&mut run, limit),
        Which::Soak => soak::run(&mut run),
        Which::Safety => safety::run(&mut run, &safety::FULL),
        Which::Shim => shim::run(&mut run, &shim::FULL),
    }
    let ended = run.ended();
    let figures = run.end(which.name());
    let text = if options.json { serde_json::to_string(&figures)? } else { table(&figures) };
    writeln!(std::io::stdout(), "{text}")?;
    for wrong in run.wrong() {
        say(&format!("not as it must be: {wrong}"));
    }
    if ended.cut_short() {
        say(&format!("cut short ({}): the figures are what was known by then", ended.name()));
    }
    Ok(ExitCode::from(ended.code(!run.wrong().is_empty())))
}

/// For people: a line for each figure, what has parts on one line, lists of objects left out.
fn table(figures: &Value) -> String {
    let word = |value: &Value| value.as_f64().map_or_else(|| value.to_string(), |number| format!("{}", (number * 100.0).round() / 100.0));
    let mut lines = Vec::new();
    for (name, value) in figures.as_object().into_iter().flatten() {
        let text = match value {
            Value::Object(parts) => parts.iter().map(|(part, value)| format!("{part} {}", word(value))).collect::<Vec<_>>().join(", "),
            Value::Array(list) if list.iter().any(Value::is_object) => continue,
            value => word(value),
        };
        lines.push(format!("{name:<24} {text}"));
    }
    lines.join("\n")
}
