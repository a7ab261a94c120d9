//! The demo: one command that shows four MCP clients sharing one warm, encrypted cache, and judges what it sees.
//!
//! `stage` starts everything, `questions` says what is asked, `measure` asks it cold and cached, `writes` changes something through
//! one client and looks through another, `report` prints and judges.

mod measure;
mod questions;
mod report;
mod stage;
mod writes;

use std::io::Write as _;

use clap::{Args, ValueEnum};

use self::{report::Report, stage::Stage};
use crate::support::scan::Needles;

/// How many MCP clients ask.
const CLIENTS: usize = 4;

/// What the demo can be told.
#[derive(Debug, Args)]
pub struct Options {
    /// Print the result as one JSON object.
    #[arg(long)]
    json: bool,
    /// Leave everything running at the end and print the configuration for an MCP client; ends with Ctrl-C.
    #[arg(long)]
    keep: bool,
    /// How much data the tenant holds.
    #[arg(long, value_enum, default_value_t = Size::Large)]
    size: Size,
    /// Where the tenant's data begins: another number, other data.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many times each client repeats a cached question, at most.
    #[arg(long, default_value_t = 400, value_parser = clap::value_parser!(u32).range(10..=100_000))]
    repeat: u32,
}

/// How much data the tenant holds.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Size {
    /// Some 400 messages and 300 files.
    Small,
    /// 50,000 messages, 5,000 mail folders, 10,000 files and folders.
    Large,
}

impl Size {
    fn word(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Large => "large",
        }
    }
}

/// Writes a line for people to stderr.
pub fn say(line: &str) {
    // Nobody reads it any more: the result counts.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Runs the demo; whether everything was as it should be.
///
/// # Errors
/// When it could not be carried through.
pub fn run(options: &Options) -> anyhow::Result<bool> {
    let mut stage = Stage::set(options)?;
    let mut clients = stage.clients(CLIENTS)?;
    let (alex, bea) = (stage.accounts[0].clone(), stage.accounts[1].clone());

    let mut report = Report { clients: CLIENTS, ..Report::default() };
    for question in questions::all(&mut clients[0], &alex, &bea)? {
        say(&format!("asking {}: {CLIENTS} clients at once, then {} times each from the cache", question.tool, options.repeat));
        report.tools.push(measure::question(&stage, &mut clients, &question, options.repeat)?);
    }
    say("writing through one client, reading through another");
    report.contradictions = writes::check(&mut clients, &alex)?;

    say("looking for plain text in the files of the profile");
    let needles = stage.needles()?;
    let needles = Needles::new(needles.iter().map(String::as_str));
    let running = needles.scan(stage.home.path())?;
    stage.sizes(&mut report)?;
    if !options.keep {
        drop(clients);
        stage.stop()?;
        let stopped = needles.scan(stage.home.path())?;
        report.scanned_bytes = stopped.1;
        report.plaintext.extend(stopped.0);
    }
    report.needles = needles.len();
    report.scanned_bytes += running.1;
    report.plaintext.extend(running.0);
    report.print(options.json)?;
    let good = report.verdict().is_empty();
    if options.keep {
        stage.keep()?;
    }
    Ok(good)
}
