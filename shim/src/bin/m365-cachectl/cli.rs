//! The command line: every verb and flag, and the help a person reads.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use m365_cached_proto::TOOL_PROFILES;

use crate::commands::install;

/// What stands below the list of verbs.
const AFTER_HELP: &str = "\
Output:
  Text goes to stdout; `error:` and `hint:` lines go to stderr. Colours only on a terminal, without NO_COLOR.
  With --json stdout carries one JSON object on one line (`login`: a line for each event), and an error is
  {\"error\":{\"kind\":…,\"code\":…,\"message\":…,\"hint\":…}} there. `code` is stable; `hint` may be null.

Exit codes:
  0  done
  1  internal    our own mistake
  2  user        the request is wrong: an unknown verb, tool or argument
  3  sign_in     somebody has to sign in
  4  offline     Microsoft cannot be reached
  5  throttled   Microsoft asked us to slow down
  6  denied      Microsoft refused: rights, policy, a missing object
  7  config      the daemon's configuration, key or store needs attention (also: `status` of a locked daemon)
  8  no daemon   none is running (`status`), or none could be started (the other verbs start one)";

/// Look after m365-cached: sign in, see what it does, call its tools
#[derive(Debug, Parser)]
#[command(name = "m365-cachectl", version, after_help = AFTER_HELP, subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// Print JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Every file of the profile lies under DIR; as the variable M365_CACHED_DIR
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) profile: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// One verb each; its doing is the file of its name under `commands/`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Say whether the daemon runs and how it is; starts nothing
    Status,
    /// Sign in to a Microsoft account
    Login(Login),
    /// Forget the tokens and the data of an account
    Logout {
        /// Id or username, as `accounts` shows them
        account: String,
    },
    /// List the accounts
    Accounts,
    /// Call a tool and print its answer
    Call(Call),
    /// List the tools, or show one with its arguments
    Tools(Tools),
    /// Show what the cache has done and holds
    Stats(Stats),
    /// Delete entries from the cache
    Invalidate(Invalidate),
    /// List the background tasks, show one or cancel it
    Tasks(Tasks),
    /// Fetch the usual answers ahead of use, now
    Warm(Warm),
    /// Look after the master key: how it stands, a new one, a copy for the day it is lost
    #[command(subcommand)]
    Keys(Keys),
    /// Write everything to one encrypted file, while the daemon works
    Backup(Backup),
    /// Put a backup in the place of the data
    Restore(Restore),
    /// Look at the database, save what opens of a damaged one, put the rest aside
    Repair(Repair),
    /// Put data and keys aside and start afresh
    Reset(Reset),
    /// Take over the cache that m365-mcp left: sealed, compared, and removed only on request
    Import(Import),
    /// Show what was done, by whom and when; verify or export the audit trail
    Audit(Box<Audit>),
    /// Write everything that is held on an account into a file
    Export {
        /// Id or username, as `accounts` shows them
        account: String,
        /// A new file (0600), or a folder to put one into; one that is there is never overwritten
        #[arg(value_name = "FILE|DIR")]
        path: PathBuf,
    },
    /// Destroy everything that is held on an account, and say what is left
    Erase {
        /// Id or username; the id alone of an account that has signed out
        account: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Say which safeguards are configured and hold now
    Compliance,
    /// Set up a client of this machine, such as Claude Code, VS Code or Cursor, to start m365-mcp
    Install(Box<install::Install>),
    /// Take what `install` wrote out of a client's file again
    Uninstall(install::Uninstall),
    /// Let the daemon finish what is running and end
    Stop,
    /// Let the daemon finish and end, and start the installed one in its place; clients do not notice
    Restart,
}

/// How to sign in.
#[derive(Debug, Args)]
pub(crate) struct Login {
    /// Show a code to enter on any device in place of opening a browser here
    #[arg(long)]
    pub(crate) device: bool,
    /// A personal account (outlook.com, hotmail.com, live.com)
    #[arg(long)]
    pub(crate) personal: bool,
    /// The account to suggest to the sign-in page
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) username: Option<String>,
    /// Print the address without opening a browser
    #[arg(long)]
    pub(crate) no_browser: bool,
}

/// What to call.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  m365-cachectl call email_list account_id=ada@contoso.com folder=inbox limit=5
  m365-cachectl call email_get '{\"account_id\":\"ada@contoso.com\",\"email_id\":\"AAMk…\"}'
  m365-cachectl call email_send account_id=ada@contoso.com to=bob@contoso.com subject=Hello body=@letter.txt --dry-run

A value is read as the type the tool declares: `limit=5` is a number where the tool wants one and text where it wants text; lists and
objects are JSON. `@FILE` stands for what is in the file, `@@` for an `@` at the beginning. `m365-cachectl tools TOOL` lists the arguments.

A tool that reaches other people or destroys asks on the terminal first. Without a terminal it is refused, unless --yes is given.")]
pub(crate) struct Call {
    /// The tool's name
    pub(crate) tool: String,
    /// Arguments, or all of them as one JSON object
    #[arg(value_name = "NAME=VALUE")]
    pub(crate) arguments: Vec<String>,
    /// One argument; as NAME=VALUE
    #[arg(long = "arg", value_name = "NAME=VALUE")]
    pub(crate) args: Vec<String>,
    /// Show the requests a write would make, and make none of them
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Agree to what the tool asks
    #[arg(long)]
    pub(crate) yes: bool,
}

/// Which statistics to show.
#[derive(Debug, Args)]
#[command(after_help = "\
`saved` counts the requests to Microsoft that answers from the cache did not make: each counts as many as fetches of its tool take in the mean.
`cache in` and `graph in` are the times that half of the answers from there took, inside the daemon.

With --json: `period`, `since_ms` (Unix time), then the totals `hits`, `stale_hits`, `misses`, `bypassed`, `coalesced`, `stale_if_error`,
`refreshes`, `graph_requests`, `saved_graph_calls`, `hit_rate` (0 to 1, or null), `evicted`, `evicted_bytes`; `entries`, `raw_bytes` and
`stored_bytes` as they are now; `hit_us` and `fetch_us` with `p50`, `p95`, `p99` in microseconds, or null; the lists `by_tool`, `by_account` and
`by_client` with the same names beside `name` (and `username`); `series` of `at_ms`, `hits`, `misses`.")]
pub(crate) struct Stats {
    /// How far back
    #[arg(long, value_enum, default_value_t = Period::Day)]
    pub(crate) period: Period,
    /// Which table to show
    #[arg(long, value_enum, default_value_t = By::Tool)]
    pub(crate) by: By,
    /// Only of this account: id or username
    #[arg(long)]
    pub(crate) account: Option<String>,
}

/// How far back.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Period {
    Hour,
    Day,
    Week,
    /// Up to 400 days
    All,
}

impl Period {
    /// The word the daemon knows it by.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::All => "all",
        }
    }
}

/// Which table.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum By {
    Tool,
    Account,
    Client,
}

/// Which background tasks.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  m365-cachectl tasks --status failed
  m365-cachectl tasks show 5f0c3c9e-7f7b-4f0e-a1d2-6a2d8a5b0c11
  m365-cachectl tasks cancel 5f0c3c9e-7f7b-4f0e-a1d2-6a2d8a5b0c11"
)]
pub(crate) struct Tasks {
    #[command(subcommand)]
    pub(crate) verb: Option<TasksVerb>,
    /// Only of this account: id or username
    #[arg(long)]
    pub(crate) account: Option<String>,
    /// Only those that are queued, running, completed, failed or cancelled
    #[arg(long)]
    pub(crate) status: Option<String>,
    /// Most tasks to list
    #[arg(long, default_value_t = 50)]
    pub(crate) limit: u32,
}

/// What to do with one task.
#[derive(Debug, Subcommand)]
pub(crate) enum TasksVerb {
    /// Show one task
    Show {
        /// Its id, as the list shows it
        id: String,
    },
    /// Cancel a task: a queued one at once; one that runs is told to end
    Cancel {
        /// Its id, as the list shows it
        id: String,
    },
}

/// What to show of the audit trail.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  m365-cachectl audit --account ada@contoso.com --since 2h
  m365-cachectl audit --kind write --kind written --follow
  m365-cachectl audit --target AAMk… -n 0
  m365-cachectl audit verify --json
  m365-cachectl audit export trail.jsonl --since 2026-11-01

Kinds: sign_in, sign_out, key, write (before it is sent), written (its outcome), read, invalidation, export, erasure, import, repair, prune, restore,
broken.
Subjects, addresses, search words and texts are never in it; messages and files are marks (8 bytes of an HMAC), which --target computes
again from an id. Alike reads within 5 s are one record that says how often (x40).

`audit verify` holds every record against the one before it, and the trail against its sealed ends inside the database and beside it.
Exit code 7 when it does not hold. Note the `head` it prints somewhere else: `audit verify --head N:HASH` then also finds a profile that
was put back whole to an earlier time."
)]
pub(crate) struct Audit {
    #[command(subcommand)]
    pub(crate) verb: Option<AuditVerb>,
    #[command(flatten)]
    pub(crate) filter: AuditFilter,
    /// How many of the last records to show; 0 for all
    #[arg(short = 'n', long, default_value_t = 50, value_name = "N")]
    pub(crate) last: u64,
    /// Go on with every record that comes
    #[arg(short, long)]
    pub(crate) follow: bool,
}

/// Which records.
#[derive(Debug, Args)]
pub(crate) struct AuditFilter {
    /// Only of this account: id or username; the id alone of one that has signed out
    #[arg(long)]
    pub(crate) account: Option<String>,
    /// Only by this client, as `stats --by client` shows it
    #[arg(long)]
    pub(crate) client: Option<String>,
    /// Only of this tool; `email_*` for all that begin so
    #[arg(long)]
    pub(crate) tool: Option<String>,
    /// Only of this kind; may be given several times
    #[arg(long)]
    pub(crate) kind: Vec<String>,
    /// Only of this message, file or folder, by its id
    #[arg(long, value_name = "ID")]
    pub(crate) target: Option<String>,
    /// Only from then on: `15m`, `2h` or `7d` ago, a date, or a time such as 2026-11-21T08:00:00Z
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// Only before then
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<String>,
}

/// What to do with the audit trail.
#[derive(Debug, Subcommand)]
pub(crate) enum AuditVerb {
    /// Go through all of it: nothing changed, moved, added or missing
    Verify {
        /// An end that `audit verify` printed earlier, through which the trail must still go
        #[arg(long, value_name = "N:HASH")]
        head: Option<String>,
    },
    /// Write it as JSON lines into a new file (0600), or to stdout for `-`
    Export {
        /// The file
        file: PathBuf,
        #[command(flatten)]
        filter: AuditFilter,
    },
}

/// What to fetch ahead of use.
#[derive(Debug, Args)]
#[command(after_help = "\
Asks for the answers that `[warming.operations]` names, also where warming is switched off; those that are
fresh are left as they are. Without --wait it says how many it has asked for and ends: exit code 0. With
--wait the first answer that could not be had decides the exit code; `m365-cachectl tasks --status failed`
says why.

With --json: `accounts`, `asked` (not fresh), `fresh`, `fetched`, `failed`, and whether it has `ended`.
Progress goes to stderr.")]
pub(crate) struct Warm {
    /// Only of this account: id or username
    pub(crate) account: Option<String>,
    /// Wait until everything is fetched, and tell how far it is
    #[arg(long)]
    pub(crate) wait: bool,
}

/// What stands below each verb that takes a passphrase.
pub(crate) const PASSPHRASE_HELP: &str = "\
The passphrase is asked for on the terminal. A script puts it into the first line of a file (--passphrase-file) or into the variable
M365_MCP_PASSPHRASE; it is never a word of the command line, which every user of the machine can read.";

/// What to do with the keys.
#[derive(Debug, Subcommand)]
pub(crate) enum Keys {
    /// Say where the master key is, how old it is and when the next rotation is due
    Status,
    /// Put a new master key in the place of the old one, while calls go on
    Rotate(RotateKeys),
    /// Write a recovery file: the keys of the store, sealed under a passphrase
    #[command(after_help = PASSPHRASE_HELP)]
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
The daemon is stopped, the keys are held against the database, a new master key is made in the first place that is safe (`keys.source`),
and only then `cache.keys` is replaced; the old one stays beside it under a dated name. No key is overwritten.

The passphrase is asked for on the terminal, or read from --passphrase-file or from the variable M365_MCP_PASSPHRASE.";

/// How to rotate.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  m365-cachectl keys rotate
  m365-cachectl keys rotate --to keyring

The new key is made where the old one is, or in the place that --to names: the keyring, or the file that `keys.file` names. Envelope and key
are read back from their places before the old key is deleted, and a rotation that is cut short is finished or undone by the next start.

A key of the environment is changed by its owner:
  export M365_MCP_CACHE_KEY_NEW=\"$(openssl rand -base64 32)\"
  m365-cachectl keys rotate --to environment
then start the daemon with that key as M365_MCP_CACHE_KEY. The old one opens nothing from then on.

The database is not touched: its own keys lie inside `cache.keys` and stay the same. --reencrypt gives each account a new data key, under which its
tokens are sealed at once and its answers some at a time; `keys status` tells how far that is, and a restart goes on with it. When it ends the
old data keys are destroyed, and with them the file that `repair --rollback` would restore.")]
pub(crate) struct RotateKeys {
    /// Where the new key goes; else the kind of place the old one is in
    #[arg(long, value_enum)]
    pub(crate) to: Option<Place>,
    /// Seal all answers and tokens under new data keys, too, in the background
    #[arg(long)]
    pub(crate) reencrypt: bool,
    /// With --reencrypt: wait until the old data keys are destroyed, and tell how far it is
    #[arg(long, requires = "reencrypt")]
    pub(crate) wait: bool,
}

/// Where to back up to.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  m365-cachectl backup /mnt/disk/m365.backup --passphrase-file ~/passphrase

The file holds the database as encrypted as it is, and its keys sealed under the passphrase (Argon2id, 64 MiB). With the passphrase it opens on
any machine, without it nowhere. Every page of it is read again before it counts as written.

The passphrase is asked for on the terminal, or read from --passphrase-file or from the variable M365_MCP_PASSPHRASE.")]
pub(crate) struct Backup {
    /// The file; nothing may stand there
    pub(crate) file: PathBuf,
    /// Read the passphrase from the first line of this file
    #[arg(long, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
}

/// What to restore.
#[derive(Debug, Args)]
#[command(after_help = "\
The daemon is stopped, the backup is opened and every page of it read; then its keys are sealed under a new master key and it takes the place of
the database, which stays under `quarantine/` in a folder named by the date. Accounts are as they were; answers are asked for anew, since the
backup knows nothing of what was written after it was made.

The passphrase is asked for on the terminal, or read from --passphrase-file or from the variable M365_MCP_PASSPHRASE.")]
pub(crate) struct Restore {
    /// The backup
    pub(crate) file: PathBuf,
    /// Read the passphrase from the first line of this file
    #[arg(long, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Agree that the data of today is put aside
    #[arg(long)]
    pub(crate) yes: bool,
}

/// How to repair.
#[derive(Debug, Args)]
#[command(after_help = "\
The daemon is stopped and every page of the database is read. If all is well, nothing is changed. From a damaged one accounts, tokens, statistics and
the record of writes are saved as far as they open; answers are fetched again. The damaged file stays under `quarantine/` in a folder named by
the date. A lost or wrong key is none of its affairs: see `keys import`, `restore` and `reset`.

With --json `state` is `whole`, `repaired`, `set_aside` (its first page does not open, so nothing was found) or `rolled_back`.")]
pub(crate) struct Repair {
    /// Put back the database as it was before the last upgrade of its tables
    #[arg(long)]
    pub(crate) rollback: bool,
}

/// How to start afresh.
#[derive(Debug, Args)]
#[command(after_help = "\
Database and keys go to `quarantine/` in a folder named by the date; a master key in a keyring or a file stays where it is. The next start makes
new ones, and everybody signs in again.")]
pub(crate) struct Reset {
    /// Agree to it
    #[arg(long)]
    pub(crate) yes: bool,
}

/// What to take over.
#[derive(Debug, Args)]
#[command(after_help = "\
Every row of the cache that m365-mcp kept (plain or encrypted) is copied into a sealed file under `imported/`, read again and compared: counts and
SHA-256 of both sides are equal, or nothing is kept. The accounts of its token file are listed; each signs in again, since the tokens have lain
in clear text. The original is only read. Stop m365-mcp first.

None of its answers is served: its file does not hold the arguments they were asked with, nor whether they are still true. They are counted by type
and asked of Microsoft anew.

An encrypted one opens with M365_MCP_CACHE_KEY or with the key that m365-mcp keeps in the keyring (`m365-mcp-cache`).

--remove deletes the original, its logs, its clear-text tokens and its list of accounts, once the sealed copy has been read to the end. Deleting is not
erasing: on flash what was in them may be found for a while, so sign out everywhere at https://mysignins.microsoft.com when that matters.

With --json `state` is `would_import`, `imported`, `already_imported`, `removed`, `nothing_there` or `put_back`; progress goes to stderr.")]
pub(crate) struct Import {
    /// The cache; else M365_MCP_CACHE_DB_PATH, else `~/.m365_mcp_cache.db`
    pub(crate) file: Option<PathBuf>,
    /// Say what would be taken over, and write nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Delete the original and its clear-text tokens
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) remove: bool,
    /// With --remove: keep no sealed copy
    #[arg(long, requires = "remove")]
    pub(crate) unsealed: bool,
    /// Write the latest sealed copy to a new file, as plain SQLite
    #[arg(long, value_name = "FILE", conflicts_with_all = ["file", "dry_run", "remove"])]
    pub(crate) put_back: Option<PathBuf>,
    /// Agree to --remove
    #[arg(long, requires = "remove")]
    pub(crate) yes: bool,
}

/// A kind of place for the master key.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Place {
    Keyring,
    Environment,
    File,
}

impl Place {
    /// The word the daemon knows it by.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Keyring => "keyring",
            Self::Environment => "environment",
            Self::File => "file",
        }
    }
}

/// Which tools to list.
#[derive(Debug, Args)]
#[command(after_help = "\
Profiles:
  `--profile PROFILE` lists what clients of a profile of tools are shown, and with which schemas: essential,
  mail, calendar, files, read-only or full. Any other value is a folder as above; both can be given.
  `tools.profile` of `config.toml`, or `m365-mcp --tools PROFILE` in a client's launch line, says which
  profile a client has.

Examples:
  m365-cachectl tools
  m365-cachectl tools email_list
  m365-cachectl tools --profile essential
  m365-cachectl tools --profile essential --tokens
  m365-cachectl tools --tokens --json")]
pub(crate) struct Tools {
    /// The tool's name
    pub(crate) tool: Option<String>,
    /// Count what the list costs a model, in tokens of o200k_base
    #[arg(long, conflicts_with = "tool")]
    pub(crate) tokens: bool,
    /// The profile of tools that `--profile` named: see [`Cli::settle`].
    #[arg(skip)]
    pub(crate) profile: Option<String>,
}

impl Cli {
    /// Tells the two meanings of `--profile` apart: the name of a profile of tools, where tools are listed, and a folder everywhere else.
    /// Clap keeps one of the two when both are given, so `words`, the command line, is looked at for them.
    pub(crate) fn settle(&mut self, words: &[OsString]) {
        let Command::Tools(tools) = &mut self.command else { return };
        let mut given = Vec::new();
        for (at, word) in words.iter().enumerate() {
            if word == "--profile" {
                given.extend(words.get(at + 1).cloned());
            } else if let Some(value) = word.to_str().and_then(|word| word.strip_prefix("--profile=")) {
                given.push(value.into());
            }
        }
        let named = |word: &OsString| word.to_str().is_some_and(|word| TOOL_PROFILES.contains(&word));
        if let Some(at) = given.iter().rposition(named) {
            tools.profile = given.remove(at).into_string().ok();
            self.profile = given.pop().map(PathBuf::from);
        }
    }
}

/// What to delete.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  m365-cachectl invalidate 'email_list*'
  m365-cachectl invalidate 'folder_get_tree' --account ada@contoso.com")]
pub(crate) struct Invalidate {
    /// `type[:account][:name=value]`, with `*`
    pub(crate) pattern: String,
    /// Only of this account: id or username
    #[arg(long)]
    pub(crate) account: Option<String>,
    /// Why, for the record
    #[arg(long)]
    pub(crate) reason: Option<String>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn help(path: &[&str]) -> String {
        let mut command = Cli::command().term_width(110);
        command.build();
        let command = path.iter().fold(&mut command, |command, name| command.find_subcommand_mut(name).unwrap());
        command.render_long_help().to_string()
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_profile_of_tools_is_told_from_a_folder() {
        let read = |line: &str| {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            let mut cli = Cli::try_parse_from(&words).unwrap();
            cli.settle(&words);
            let Command::Tools(tools) = cli.command else { return (cli.profile, None) };
            (cli.profile, tools.profile)
        };
        let (folder, name) = (|text: &str| Some(PathBuf::from(text)), |text: &str| Some(text.to_owned()));
        assert_eq!(read("c tools"), (None, None));
        assert_eq!(read("c tools --profile essential --tokens"), (None, name("essential")));
        assert_eq!(read("c tools --profile=read-only"), (None, name("read-only")));
        assert_eq!(read("c tools --profile /tmp/x email_list"), (folder("/tmp/x"), None));
        assert_eq!(read("c --profile /tmp/x tools --profile mail"), (folder("/tmp/x"), name("mail")));
        assert_eq!(read("c --profile ./mail tools"), (folder("./mail"), None));
        assert_eq!(read("c --profile mail status"), (folder("mail"), None));
        assert!(Cli::try_parse_from(["c", "tools", "email_list", "--tokens"]).is_err());
    }

    #[test]
    fn help_reads_well() {
        insta::assert_snapshot!("help", help(&[]));
        insta::assert_snapshot!("help_call", help(&["call"]));
        insta::assert_snapshot!("help_login", help(&["login"]));
        insta::assert_snapshot!("help_tools", help(&["tools"]));
        insta::assert_snapshot!("help_stats", help(&["stats"]));
        insta::assert_snapshot!("help_warm", help(&["warm"]));
        insta::assert_snapshot!("help_keys_rotate", help(&["keys", "rotate"]));
        insta::assert_snapshot!("help_backup", help(&["backup"]));
        insta::assert_snapshot!("help_restore", help(&["restore"]));
        insta::assert_snapshot!("help_import", help(&["import"]));
        insta::assert_snapshot!("help_repair", help(&["repair"]));
        insta::assert_snapshot!("help_reset", help(&["reset"]));
        insta::assert_snapshot!("help_keys_import", help(&["keys", "import"]));
        insta::assert_snapshot!("help_audit", help(&["audit"]));
        insta::assert_snapshot!("help_install", help(&["install"]));
        insta::assert_snapshot!("help_uninstall", help(&["uninstall"]));
    }
}
