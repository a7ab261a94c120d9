//! The command line, and a help that teaches how to start tenant and daemon by hand.

use std::{net::SocketAddr, path::PathBuf};

use clap::Parser;
use m365_cached::hint::Kind;
use m365_cached_proto::dirs::Profile;

use crate::core::Problem;

const LONG_HELP: &str = "\
A demo by hand, without a Microsoft account:
  m365-tenant --profile /tmp/demo &        # prints one line when it is ready
  m365-cached --profile /tmp/demo          # in another terminal
  M365_CACHED_DIR=/tmp/demo m365-cachectl status
  M365_CACHED_DIR=/tmp/demo m365-cachectl login --device

The tenant writes `config.toml` into the profile: `demo = true` and addresses on
loopback, which no other profile may have. A machine without a keyring needs a
safe place for the master key, such as
  export M365_MCP_CACHE_KEY=\"$(openssl rand -base64 32)\"
in the terminal of the daemon, the same at every start.

Files: everything lies in --profile, or in M365_CACHED_DIR, or in the folders the
system has for settings, data and sockets. Log lines go to stderr.

Settings: defaults, then config.toml, then variables (`graph.http2` is
M365_CACHED_GRAPH_HTTP2), then --set. `--check` shows each with its origin.

Without a usable key or configuration the daemon runs locked: it creates nothing
and answers every call with the reason.

Exit codes:
  0  stopped as asked
  1  the socket or the server failed
  2  a flag is wrong
  7  the configuration (with --check), --clock-from or a folder's rights need attention
  9  another daemon serves this profile (0 with --if-not-running)";

/// Caches Microsoft 365 in an encrypted database and serves it to the MCP clients of one user.
#[derive(Debug, Parser)]
#[command(name = "m365-cached", version, after_long_help = LONG_HELP, after_help = "--help tells more.")]
pub struct Flags {
    /// Folder of the profile; else M365_CACHED_DIR, else the system's own places
    #[arg(long, value_name = "DIR")]
    pub profile: Option<PathBuf>,
    /// A setting, over file and environment; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = setting)]
    pub set: Vec<(String, String)>,
    /// Which log lines to show: `debug`, `warn,m365_cached=trace` (same as --set log.filter=…)
    #[arg(long, value_name = "FILTER")]
    pub log: Option<String>,
    /// Show the configuration with the origin of each value, and exit
    #[arg(long)]
    pub check: bool,
    /// Demo profiles only: take the time from a tenant's control port, such as `http://127.0.0.1:8080`
    #[arg(long, value_name = "ADDRESS", value_parser = control)]
    pub clock_from: Option<SocketAddr>,
    /// Demo profiles only: the tools, resources and prompts that the conformance suite of MCP calls by name
    #[arg(long, hide = true)]
    pub fixtures: bool,
    /// Exit with 0 and without a word when a daemon serves this profile already
    #[arg(long)]
    pub if_not_running: bool,
    /// A client starts it: end after `daemon.idle_s` without one
    #[arg(long)]
    pub on_demand: bool,
    /// Leave the session of the program that started it
    #[cfg(unix)]
    #[arg(long)]
    pub detach: bool,
    /// Serve nobody; do one thing to the files of the profile, say in JSON what came of it, and exit. `m365-cachectl` calls it so
    #[cfg(feature = "sqlcipher")]
    #[arg(long)]
    pub offline: bool,
    /// What to do with --offline
    #[cfg(feature = "sqlcipher")]
    #[command(subcommand)]
    pub verb: Option<Verb>,
}

/// What is done without serving. A passphrase is the first line of stdin.
#[cfg(feature = "sqlcipher")]
#[derive(Debug, Clone, PartialEq, Eq, clap::Subcommand)]
pub enum Verb {
    /// Save what opens of a damaged database, and put it aside
    Repair {
        /// Put back the database as it was before the last upgrade of its tables
        #[arg(long)]
        rollback: bool,
    },
    /// Put database and keys aside; the next start makes new ones
    Reset,
    /// Put a backup in the place of the database
    Restore {
        /// The backup
        file: PathBuf,
    },
    /// Take over the cache that m365-mcp left
    Import {
        /// Its file; else M365_MCP_CACHE_DB_PATH, else its usual place
        file: Option<PathBuf>,
        /// Say what would be taken over, and write nothing
        #[arg(long)]
        dry_run: bool,
        /// Remove the original and its clear-text tokens, once there is a sealed copy
        #[arg(long, conflicts_with = "dry_run")]
        remove: bool,
        /// With --remove: there need be no copy
        #[arg(long, requires = "remove")]
        unsealed: bool,
        /// Write the latest sealed copy to this file, as plain SQLite
        #[arg(long, value_name = "FILE", conflicts_with_all = ["file", "dry_run", "remove"])]
        put_back: Option<PathBuf>,
    },
    /// Seal the keys of a recovery file under a new master key
    KeysImport {
        /// The recovery file
        file: PathBuf,
    },
    /// Look at every link that needs no daemon, and change nothing; one may run meanwhile
    Doctor {
        /// A daemon has keys and database open
        #[arg(long)]
        serving: bool,
    },
    /// Say which permissions signing in asks for, and where an administrator agrees to them
    Permissions,
    /// Look at the settings or change the file; the daemon may run meanwhile
    #[command(subcommand)]
    Config(ConfigVerb),
}

/// What is done with the settings.
#[cfg(feature = "sqlcipher")]
#[derive(Debug, Clone, PartialEq, Eq, clap::Subcommand)]
pub enum ConfigVerb {
    /// Every key with its value, its default and where it came from
    Show {
        /// This key alone
        key: Option<String>,
    },
    /// Read everything as the daemon would and say what is wrong or unwise
    Check,
    /// Put a value into the file
    Set {
        /// `graph.http2`
        key: String,
        /// As the file would spell it, or bare
        #[arg(allow_hyphen_values = true)]
        value: String,
    },
    /// Take a key out of the file
    Unset {
        /// `graph.http2`
        key: String,
    },
    /// Write a file with every key, commented out
    Init,
}

impl Flags {
    /// The profile to serve.
    ///
    /// # Errors
    /// When there is no place for one.
    pub fn profile(&self) -> Result<Profile, Problem> {
        let profile = match &self.profile {
            Some(dir) => Profile::at(dir),
            None => Profile::find(&|name| std::env::var_os(name)),
        };
        profile.map_err(|error| Problem::new(Kind::Config, "no_profile", error.to_string(), "Give one with `--profile DIR`."))
    }

    /// The settings given as flags, in order.
    pub fn settings(&self) -> Vec<(String, String)> {
        let log = self.log.iter().map(|filter| ("log.filter".to_owned(), filter.clone()));
        self.set.iter().cloned().chain(log).collect()
    }
}

fn setting(text: &str) -> Result<(String, String), &'static str> {
    let (key, value) = text.split_once('=').ok_or("a setting is KEY=VALUE, such as `graph.http2=false`")?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}

/// Loopback only: what moves a daemon's clock decides how long it serves an answer.
fn control(text: &str) -> Result<SocketAddr, &'static str> {
    let address = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/').parse().ok();
    address
        .filter(|address: &SocketAddr| address.ip().is_loopback())
        .ok_or("a control port is an address on loopback, such as `http://127.0.0.1:8080`")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    #[cfg(unix)]
    fn the_help_stays_as_it_is() {
        Flags::command().debug_assert();
        insta::assert_snapshot!(Flags::command().term_width(100).render_long_help().to_string());
    }

    #[test]
    fn settings_keep_their_order_and_their_signs() {
        let flags = Flags::try_parse_from(["m365-cached", "--log", "debug", "--set", "tenant=a=b", "--set", "demo = true"]).unwrap();
        let pairs = [("tenant", "a=b"), ("demo", "true"), ("log.filter", "debug")];
        assert_eq!(flags.settings(), pairs.map(|(key, value)| (key.to_owned(), value.to_owned())));
        assert!(Flags::try_parse_from(["m365-cached", "--set", "demo"]).is_err());
    }

    #[test]
    fn time_is_taken_from_loopback_alone() {
        let given = |text| Flags::try_parse_from(["m365-cached", "--clock-from", text]).map(|flags| flags.clock_from.unwrap().to_string());
        assert_eq!(given("http://127.0.0.1:8080/").unwrap(), "127.0.0.1:8080");
        assert_eq!(given("[::1]:1").unwrap(), "[::1]:1");
        for elsewhere in ["http://192.0.2.1:80", "https://127.0.0.1:80", "localhost:80", "127.0.0.1", "127.0.0.1:80/clock"] {
            given(elsewhere).unwrap_err();
        }
    }
}
