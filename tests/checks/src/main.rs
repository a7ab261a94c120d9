//! `m365-checks`: judgement from outside, as one command: the demo, other people's programs against the demo tenant, long
//! fault runs, and what the tests run.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use m365_cached_checks::{answers, campaign, coverage, demo, outside, pictures, supply};

/// Judgement from outside: real processes, real clients, a demo tenant in place of Microsoft 365.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Shows the product at work: four MCP clients share one warm, encrypted cache.
    ///
    /// Builds the programs in release, starts a demo tenant with Microsoft's latencies and a daemon in a temporary profile, signs two
    /// accounts in without a browser, and lets four clients ask the same things at the same time. Progress goes to stderr, the result to
    /// stdout. Exits 1 when an answer differs between clients or contradicts a write, a cached answer made a Graph call, plain text was
    /// found in a file of the profile, or a cached tree, file list or mail list took over 100, 30 or 50 ms.
    Demo(demo::Options),
    /// Lets others judge: `graph` the demo tenant, by Microsoft's declarations and examples and Graph clients that we did not write; `mcp` the
    /// server, by the conformance suite of MCP and the clients in the field, through the real shim.
    ///
    /// Installs the clients (Python and Node) from their registries into a cache (`graph`: below `target/`, `mcp`: with the user's caches); a machine without Python or Node skips
    /// them and says so. Progress goes to stderr, the result to stdout. Exits 1 when an answer does not hold to Graph's declarations,
    /// less than nine in ten of the examples on served paths are answered alike, a client fails, or a scenario of the conformance suite does
    /// that its baseline does not name.
    Outside(outside::Options),
    /// What answers cost a model: ten questions, in bytes and tokens, beside the same answers in the shapes of the original.
    ///
    /// Takes what `cargo test` has built.
    Answers(answers::Options),
    /// Long runs of the real daemon under load and trouble.
    ///
    /// Progress goes to stderr, the result to stdout; Ctrl-C, and the end of its time, end one, and it prints what it has. Exits 0 when it
    /// came to its end and its figures are as they should be, 1 when one is not, 2 when it could not be carried through, and 3 when it was
    /// cut short and nothing was wrong until then.
    Campaign(campaign::Options),
    /// Which lines of the product its tests run, by folder.
    ///
    /// Needs LLVM's tools in the version of the compiler's LLVM. Progress and the tests' words go to stderr, the result to stdout. Exits 1
    /// when a test fails or under 95 % of the library's lines are run.
    Coverage(coverage::Options),
    /// Draws the pictures of the manual: `top`, `status` and `doctor` on a terminal, before a demo tenant and clients at work.
    ///
    /// Takes what `cargo test` has built. Progress goes to stderr.
    Pictures(pictures::Options),
    /// What a package is made of: the list of parts, their licences, and what is known against them.
    ///
    /// Read from `Cargo.lock`; asks no network. Exits 1 when a licence does not fit or something is known against a part.
    Supply(supply::Options),
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Demo(options) => demo::run(&options).map(judged),
        Command::Outside(options) => outside::run(&options).map(judged),
        Command::Answers(options) => answers::run(&options).map(judged),
        Command::Campaign(options) => campaign::run(&options),
        Command::Coverage(options) => coverage::run(&options).map(judged),
        Command::Pictures(options) => pictures::run(&options).map(|()| ExitCode::SUCCESS),
        Command::Supply(options) => supply::run(&options).map(judged),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            demo::say(&format!("error: {error:#}"));
            ExitCode::from(2)
        }
    }
}

fn judged(good: bool) -> ExitCode {
    if good { ExitCode::SUCCESS } else { ExitCode::from(1) }
}
