//! The command lines of `install` and `uninstall`, and the help a person reads.

use std::path::PathBuf;

use clap::Args;

use super::clients::Client;

/// Which client to set up, and how.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  m365-cachectl install cursor
  m365-cachectl install --all --dry-run
  m365-cachectl install vscode --project .
  m365-cachectl install claude-desktop -- --tools read-only
  m365-cachectl install codex --print
  m365-cachectl install --list

The change is shown before it is made. Only the entry of `--name` is written: comments, order and form of
the rest stay, byte by byte, and so do members of the entry that are not ours (a `timeout`, further
variables). The file as it was is kept beside it under a dated name. A second run finds nothing to do;
`uninstall` takes the entry out again.

What is written is the whole path of `m365-mcp`, the words behind `--`, and M365_CACHED_DIR when a profile
is given with --profile or by that variable; without one an entry goes on leading to the profile that it
names, which is told.

With --json `clients` has a row for each: `state` is `installed`, `updated`, `unchanged`, `would_install`,
`would_update` or `failed`, `profile` the folder to which the entry leads; `warning` tells of a policy
that nobody has configured.")]
pub(crate) struct Install {
    /// The clients to set up
    #[arg(value_enum, required_unless_present_any = ["all", "list"], value_name = "CLIENT")]
    pub(super) clients: Vec<Client>,
    /// Every client that is found on this machine
    #[arg(long, conflicts_with_all = ["clients", "project"])]
    pub(super) all: bool,
    /// Show which clients are here and which are set up; changes nothing
    #[arg(long, conflicts_with_all = ["clients", "all", "print", "dry_run", "yes", "words"])]
    pub(super) list: bool,
    /// For the project in DIR alone, by the file that the client keeps there
    #[arg(long, value_name = "DIR")]
    pub(super) project: Option<PathBuf>,
    /// The name of the entry; its tools are shown under it
    #[arg(long, default_value = "m365", value_parser = name)]
    pub(super) name: String,
    /// Print what a new file would hold, to be put in by hand; writes nothing
    #[arg(long, conflicts_with_all = ["dry_run", "yes"])]
    pub(super) print: bool,
    /// Show the change and write nothing
    #[arg(long, conflicts_with = "yes")]
    pub(super) dry_run: bool,
    /// Do not ask
    #[arg(long)]
    pub(super) yes: bool,
    /// Words for `m365-mcp`, which `m365-mcp --help` tells
    #[arg(last = true, value_name = "WORDS")]
    pub(super) words: Vec<String>,
}

/// Which client no longer to serve.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  m365-cachectl uninstall cursor
  m365-cachectl uninstall --all

Takes out the entry of `--name` when it starts our `m365-mcp`, and nothing else; with --all and no
--name every entry that does, also the demo's. Another program that is called so as well stays. A file that
`install` has changed and nobody since is again what it was, byte by byte. The file as it was is kept
beside it under a dated name.

With --json `clients` has a row for each: `state` is `uninstalled`, `not_installed`, `would_uninstall` or
`failed`.")]
pub(crate) struct Uninstall {
    /// The clients
    #[arg(value_enum, required_unless_present = "all", value_name = "CLIENT")]
    pub(super) clients: Vec<Client>,
    /// Every client that is found on this machine
    #[arg(long, conflicts_with_all = ["clients", "project"])]
    pub(super) all: bool,
    /// From the project in DIR
    #[arg(long, value_name = "DIR")]
    pub(super) project: Option<PathBuf>,
    /// The name of the entry; otherwise `m365`
    #[arg(long, value_parser = name)]
    pub(super) name: Option<String>,
    /// Show the change and write nothing
    #[arg(long, conflicts_with = "yes")]
    pub(super) dry_run: bool,
    /// Do not ask
    #[arg(long)]
    pub(super) yes: bool,
}

/// The name of the entry unless another is given.
pub(super) const NAME: &str = "m365";
/// Longest name: Cursor counts it together with the tool's, up to 60.
const NAME_MAX: usize = 20;

fn name(text: &str) -> Result<String, String> {
    let good = (1..=NAME_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if good { Ok(text.to_owned()) } else { Err(format!("letters, digits, `-` and `_`, at most {NAME_MAX} of them")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_such_as_every_client_takes() {
        assert!(["m365", "work-mail_2"].into_iter().all(|text| name(text).is_ok()));
        assert!(["", "a b", "a.b", "ä", "a]b", &"a".repeat(21)].into_iter().all(|text| name(text).is_err()));
    }
}
