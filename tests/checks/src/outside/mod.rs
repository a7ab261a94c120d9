//! Other people's judgement of the demo tenant: Microsoft's declarations, Microsoft's examples, and clients that we did not write. And of the
//! MCP server, in `mcp`: the protocol's conformance suite and the clients in the field.
//!
//! `stand` is a tenant with somebody signed in, `examples` asks it what Microsoft's documentation asks, `clients` lets other people's
//! programs work on it; every answer on the way is held to the declarations of Graph v1.0. `report` prints and judges.

mod clients;
mod examples;
mod mcp;
mod program;
mod registry;
mod report;
mod stand;

use clap::{Args, ValueEnum};

use self::report::Report;

/// What is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Suite {
    /// The demo tenant as Microsoft Graph and its identity platform.
    Graph,
    /// The shim and the daemon as a server of MCP, in both eras.
    Mcp,
}

/// What the check can be told.
#[derive(Debug, Args)]
pub struct Options {
    /// What is judged.
    #[arg(value_enum)]
    suite: Suite,
    /// Print the result as one JSON object.
    #[arg(long)]
    json: bool,
    /// A client that cannot run here is an error, too.
    #[arg(long)]
    no_skips: bool,
    /// Only this part; may be given several times: `examples`, `conformance`, a revision of MCP, `clients`, or a client's name.
    #[arg(long, value_name = "PART")]
    only: Vec<String>,
    /// Only examples whose id contains this.
    #[arg(long, value_name = "TEXT")]
    example: Option<String>,
}

impl Options {
    /// Whether this part is to run.
    fn wants(&self, part: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == part)
    }
}

/// Runs the check; whether everything was as it should be.
///
/// # Errors
/// When it could not be carried through: a tenant does not start, a registry is not reached.
pub fn run(options: &Options) -> anyhow::Result<bool> {
    if options.suite == Suite::Mcp {
        return mcp::run(options);
    }
    clients::known(&options.only)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let report = runtime.block_on(async {
        let mut report =
            Report { no_skips: options.no_skips, whole: options.only.is_empty() && options.example.is_none(), ..Report::default() };
        if options.wants("examples") {
            examples::run(options.example.as_deref(), &mut report).await?;
        }
        clients::run(options, &mut report).await?;
        anyhow::Ok(report)
    })?;
    report.print(options.json)?;
    Ok(report.verdict().is_empty())
}
