//! `keys`: how the master key stands, a new one, and a copy for the day it is lost.

mod recovery;
mod rotate;
mod status;

use std::path::PathBuf;

use m365_cached_proto::v1::Fault;

use crate::context::Context;
use crate::passphrase;

/// What to do with the keys.
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "\
Examples:
  m365-cachectl keys status
  m365-cachectl keys export ~/m365.recovery         a copy for the day the master key is lost")]
pub(crate) enum Verb {
    /// Say where the master key is, how old it is and when the next rotation is due
    #[command(after_help = "\
Examples:
  m365-cachectl keys status
  m365-cachectl keys status --json")]
    Status,
    /// Put a new master key in the place of the old one, while calls go on
    Rotate(rotate::Args),
    /// Write a recovery file: the keys of the store, sealed under a passphrase
    #[command(after_help = format!(
        "Example:\n  m365-cachectl keys export ~/m365.recovery --passphrase-file ~/passphrase\n\n{}",
        passphrase::HELP
    ))]
    Export {
        /// The file; nothing may stand there
        file: PathBuf,
        /// Read the passphrase from the first line of this file
        #[arg(long, value_name = "FILE")]
        passphrase_file: Option<PathBuf>,
    },
    /// Read a recovery file and seal its keys under a new master key; for a master key that is lost
    #[command(after_help = IMPORT_HELP)]
    Import {
        /// The recovery file
        file: PathBuf,
        /// Read the passphrase from the first line of this file
        #[arg(long, value_name = "FILE")]
        passphrase_file: Option<PathBuf>,
    },
}

const IMPORT_HELP: &str = "\
Example:
  m365-cachectl keys import ~/m365.recovery --passphrase-file ~/passphrase

The daemon is stopped, the keys are held against the database, a new master key is made in the first place that is safe (`keys.source`),
and only then `cache.keys` is replaced; the old one stays beside it under a dated name. No key is overwritten: what the environment or the
key file holds is used as it is.

The passphrase is asked for on the terminal, or read from --passphrase-file or from the variable M365_MCP_PASSPHRASE.";

/// The exit code.
pub(super) async fn run(context: &Context, verb: Verb) -> Result<u8, Fault> {
    match verb {
        Verb::Status => status::run(context).await?,
        Verb::Rotate(args) => return rotate::run(context, args).await,
        Verb::Export { file, passphrase_file } => recovery::export(context, &file, passphrase_file.as_deref()).await?,
        Verb::Import { file, passphrase_file } => recovery::import(context, &file, passphrase_file.as_deref()).await?,
    }
    Ok(0)
}

/// `the keyring entry `default``: where a key is.
pub(super) fn place(source: &str, location: &str) -> String {
    match source {
        "keyring" => format!("the keyring entry `{location}`"),
        "environment" => format!("the variable `{location}`"),
        _ => format!("the file `{location}`"),
    }
}
