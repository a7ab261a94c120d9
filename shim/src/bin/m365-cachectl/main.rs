//! `m365-cachectl`: the daemon's face for people and scripts. Parses, asks, prints; knows nothing of the daemon's inside.

mod agree;
mod cli;
mod commands;
mod context;
mod interrupt;
#[cfg(test)]
mod manual_tests;
mod offline;
mod output;
mod passphrase;
mod private;
mod views;

use std::process::ExitCode;

use clap::Parser;
use m365_cached_proto::v1::{Fault, Kind};

use crate::cli::Cli;
use crate::context::Context;
use crate::output::Output;

fn main() -> ExitCode {
    let mut cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return not_understood(&error),
    };
    if let Err(error) = cli.settle(&std::env::args_os().collect::<Vec<_>>()) {
        return not_understood(&error);
    }
    let output = Output::of_this_process(cli.json);
    let result = commands::alone(&cli.command, &output).unwrap_or_else(|| with_context(cli, output));
    let code = result.unwrap_or_else(|fault| {
        output.fault(&fault);
        fault.exit_code()
    });
    match output::lost() {
        Some(fault) => {
            // Stdout takes nothing any more.
            Output::of_this_process(false).fault(&fault);
            ExitCode::from(if code == 0 { fault.exit_code() } else { code })
        }
        None => ExitCode::from(code),
    }
}

fn with_context(cli: Cli, output: Output) -> Result<u8, Fault> {
    let context = Context::new(&cli, output)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| {
        Fault::new(
            Kind::Internal,
            "internal",
            format!("the runtime cannot be made: {error}"),
            "End other programs: the system is out of memory or threads.",
        )
    })?;
    runtime.block_on(interrupt::unless_told(commands::run(&context, cli.command))).unwrap_or_else(Ok)
}

/// A command line that says nothing we know. `--help` and `--version` arrive here too.
fn not_understood(error: &clap::Error) -> ExitCode {
    let json = std::env::args_os().any(|arg| arg == "--json");
    if error.use_stderr() && json {
        let text = error.to_string();
        let first = text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
        Output::of_this_process(true).fault(&Fault::new(Kind::User, "usage", first, "Run `m365-cachectl --help`."));
    } else {
        // With the stream gone there is nobody left to tell.
        let _ = error.print();
    }
    ExitCode::from(if error.use_stderr() { 2 } else { 0 })
}
