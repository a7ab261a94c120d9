//! The command lines of `service`, and the help a person reads.

use clap::{Args, Subcommand};

/// What is to be done with the service.
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  m365-cachectl service install
  m365-cachectl service status")]
pub(crate) enum Verb {
    /// Have the service manager listen for clients and look after the daemon, from now on and from each login
    Install(Install),
    /// Take away what `install` wrote; clients start the daemon by themselves again
    #[command(after_help = "\
Examples:
  m365-cachectl service uninstall
  m365-cachectl --profile ~/work service uninstall

The daemon finishes its calls and ends. Only files that `install` wrote are removed; data, keys and settings
stay. A second run finds nothing to do.")]
    Uninstall,
    /// Say what the service manager knows of the daemon
    #[command(after_help = "\
Examples:
  m365-cachectl service status
  m365-cachectl service status --json

Exits 8 when no service is installed. How the daemon itself is says `m365-cachectl status`.

With --json: `manager`, `name`, `installed`, `answers` (whether the manager does), `enabled`, `listening`,
`running`, `pid`, `says` (the daemon's own words) and `files` with their `state`: `same`, `ours` (written by
another version or changed), `hiding` (ours, in front of a package's), `foreign` or `missing`.")]
    Status,
    /// Show what the daemon has logged under the service manager
    Logs(Logs),
}

/// How to install.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  m365-cachectl service install
  m365-cachectl service install --print
  m365-cachectl --profile ~/work service install

Linux: two units of systemd in ~/.config/systemd/user. systemd listens from the login on, starts the daemon
when a client comes, keeps the socket while it is replaced, and starts it anew when it gives no sign of
life. macOS: an agent of launchd. Windows: a task at logon. A daemon that a client has started hands over
without losing a call. A second run finds nothing to do.

A service does not see the variables of this terminal; XDG_CONFIG_HOME and XDG_DATA_HOME, which say where
the profile lies, are written into the unit. Settings belong into `config.toml`; the key into the keyring, or
into a file that `keys.file` names.

Without a login (a server): `loginctl enable-linger` keeps the user's services running.

With --json: `state` is `installed`, `updated`, `unchanged` or `written` (no manager answers; `next` is what
to type; exit 7).")]
pub(crate) struct Install {
    /// Print what would be written and run; does nothing
    #[arg(long, conflicts_with = "no_start")]
    pub(super) print: bool,
    /// Write the files and ask no service manager: for an image that is started later
    #[arg(long)]
    pub(super) no_start: bool,
}

/// Which lines.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  m365-cachectl service logs
  m365-cachectl service logs --lines 200
  m365-cachectl service logs --follow

systemd keeps them in its journal (`journalctl --user-unit m365-cached`); elsewhere, and without a service,
the last lines of the daemon's own log are shown, which `m365-cachectl logs` shows everywhere.")]
pub(crate) struct Logs {
    /// How many
    #[arg(long, short = 'n', default_value_t = 50)]
    pub(super) lines: usize,
    /// Go on with each new line; needs a journal
    #[arg(long, short)]
    pub(super) follow: bool,
}
