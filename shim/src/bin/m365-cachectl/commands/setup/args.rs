//! The command line of `setup`, and the help a person reads.

use std::path::PathBuf;

use clap::Args as ClapArgs;

use crate::commands::install::Client;

/// Which way to go.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Six steps, each said before it is done: the settings with the registered application, the key store, the service, the sign-in, the clients, and
a real call twice, once from Microsoft and once from the cache. What stands already is left as it is, so it can be run again at any time.

In a terminal it asks for what it needs and before it writes into files of others. `--yes` agrees to all of that; what cannot be guessed is a
flag. Nothing but --yes makes it do what it would have asked for, so a script without a terminal names what it wants or says --yes.

--demo needs no Microsoft account: `m365-tenant`, a made-up Microsoft 365, runs on this machine until `setup --demo --end`. All of it lies in a
profile of its own (--profile DIR, otherwise beside your own), clients get an entry of its own (`m365-demo`), and your own profile is not touched.

Examples:
  m365-cachectl setup
  m365-cachectl setup --client-id 00000000-0000-0000-0000-000000000000 --yes
  m365-cachectl setup --client-id 00000000-0000-0000-0000-000000000000 --device --no-service --no-clients
  m365-cachectl setup --dry-run
  m365-cachectl setup --demo --yes
  m365-cachectl setup --demo --end --yes

With --json a line for each step, `{\"step\":…,\"number\":1,\"of\":6,\"state\":…,\"message\":…,\"details\":[…]}` with the state `done`, `unchanged`,
`skipped`, `would` or `failed`, the lines of `login` between them, and at the end
`{\"setup\":\"complete\",\"demo\":…,\"profile\":…,\"account\":…,\"asked_ms\":…,\"cached_ms\":…,\"clients\":[…],\"next\":[…]}` (or `incomplete`, `dry_run`).
--end says `{\"demo\":\"ended\",\"profile\":…,\"removed\":[…],\"clients\":[…],\"tenant\":…,\"daemon\":…}` (or `none`, `would_end`).")]
pub(crate) struct Args {
    /// A made-up Microsoft 365 on this machine in place of the real one
    #[arg(long, conflicts_with_all = ["client_id", "tenant", "no_login", "device", "personal", "username", "no_browser", "key_source"])]
    pub(super) demo: bool,
    /// End the demo: its entries in clients, its daemon, its tenant and its folder
    #[arg(long, requires = "demo", conflicts_with_all = ["tenant_program", "client", "all_clients", "no_clients"])]
    pub(super) end: bool,
    /// The program `m365-tenant`; otherwise the one beside this program or on PATH
    #[arg(long, value_name = "FILE", requires = "demo")]
    pub(super) tenant_program: Option<PathBuf>,
    /// The application (client) id of your registration
    #[arg(long, value_name = "ID")]
    pub(super) client_id: Option<String>,
    /// Who may sign in: `organizations`, `consumers`, `common`, or a directory's id or domain
    #[arg(long, value_name = "TENANT")]
    pub(super) tenant: Option<String>,
    /// Where the master key is kept: `auto`, `keyring`, `environment` or `file`; one that works elsewhere is rotated to there
    #[arg(long, value_name = "SOURCE", value_parser = ["auto", "keyring", "environment", "file"])]
    pub(super) key_source: Option<String>,
    /// The key file; one that is not there yet is made
    #[arg(long, value_name = "FILE", conflicts_with = "demo")]
    pub(super) key_file: Option<PathBuf>,
    /// Leave the service manager alone; clients start the daemon by themselves
    #[arg(long)]
    pub(super) no_service: bool,
    /// Sign nobody in
    #[arg(long)]
    pub(super) no_login: bool,
    /// Sign in by a code that is entered on any device
    #[arg(long, conflicts_with = "no_login")]
    pub(super) device: bool,
    /// Sign in to a personal account (outlook.com, hotmail.com, live.com)
    #[arg(long, conflicts_with = "no_login")]
    pub(super) personal: bool,
    /// The account: one that is signed in already is taken; else the name is suggested to the sign-in page, where another may be chosen
    #[arg(long, value_name = "ADDRESS", conflicts_with = "no_login")]
    pub(super) username: Option<String>,
    /// Print the address of the sign-in without opening a browser
    #[arg(long, conflicts_with = "no_login")]
    pub(super) no_browser: bool,
    /// Set this client up; may be repeated
    #[arg(long, value_enum, value_name = "CLIENT")]
    pub(super) client: Vec<Client>,
    /// Set up every client that is found on this machine
    #[arg(long, conflicts_with = "client")]
    pub(super) all_clients: bool,
    /// Set up no client
    #[arg(long, conflicts_with_all = ["client", "all_clients"])]
    pub(super) no_clients: bool,
    /// Agree to everything that would be asked
    #[arg(long)]
    pub(super) yes: bool,
    /// Say what would be done and change nothing
    #[arg(long, conflicts_with = "yes")]
    pub(super) dry_run: bool,
}
