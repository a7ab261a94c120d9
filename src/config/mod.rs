//! Config: defaults <- file <- environment <- flags. Unknown keys are refused, and `explain` says where each value came from.
//!
//! Reading is pure: text, variables and flags come in as values. No room imports this one: the daemon's `parts.rs` turns settings into
//! objects. Error texts never repeat a value, since what was put in the wrong place may be a secret.

mod accounts;
mod advice;
mod changes;
mod cloud;
mod edit;
mod error;
mod exclude;
mod fences;
mod keys;
mod nearest;
mod network;
mod old;
mod read;
mod settings;
mod template;
mod value;
mod warming;

use std::{collections::BTreeMap, fmt, net::SocketAddr, path::PathBuf, time::Duration};

pub use self::{
    accounts::AccountSettings,
    advice::{Advice, Surroundings},
    changes::{Changed, changes},
    edit::{Edited, set, unset},
    error::{ConfigError, Problem},
    fences::{DEFAULT_POLICY, LimitSettings, PolicySettings},
    network::{NetworkSettings, ProxySetting},
    read::{RESERVED, Sources, VARIABLE_PREFIX},
    settings::{Key, Takes, key_of, keys},
    template::template,
    warming::{WarmingOperation, WarmingSettings},
};
use crate::{cloud::Cloud, ids::ToolProfile};

/// Everything that can be set, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// `demo`: this profile belongs to the demo tenant on loopback and never meets Microsoft.
    pub demo: bool,
    /// `client_id`: the app registration to sign in with.
    pub client_id: Option<String>,
    /// `tenant`: the directory in the sign-in address; `None` lets the kind of account decide.
    pub tenant: Option<String>,
    /// `sign_in = "device"`: people sign in by a code that they enter on any device.
    pub device: bool,
    /// `compat`: answers, confirmations and words as the original had them.
    pub compat: bool,
    /// `ids`: whether answers show short handles in the place of Microsoft's ids.
    pub short_ids: bool,
    /// `confirm = "strict"`: consent is a token for the exact call, everywhere.
    pub strict: bool,
    /// `tools.profile`, where set; [`Config::tool_profile`] has what holds.
    pub tools: Option<ToolProfile>,
    /// `[cloud]`, resolved; its `ca_pem` is still empty (see [`Config::cloud_ca`]).
    pub cloud: Cloud,
    /// `cloud.ca`: file with an extra certificate authority in PEM; a relative path starts at the profile's folder.
    pub cloud_ca: Option<PathBuf>,
    /// `[network]`.
    pub network: NetworkSettings,
    /// `[keys]`.
    pub keys: KeySettings,
    /// `[cache]`.
    pub cache: CacheSettings,
    /// `[store]`.
    pub store: StoreSettings,
    /// `[warming]`.
    pub warming: WarmingSettings,
    /// `[audit]`.
    pub audit: AuditSettings,
    /// `[graph]`.
    pub graph: GraphSettings,
    /// `[files]`.
    pub files: FileSettings,
    /// `[limits]`.
    pub limits: LimitSettings,
    /// `[policy.<name>]`, by name in lower case.
    pub policies: BTreeMap<String, PolicySettings>,
    /// `[accounts]`.
    pub accounts: AccountSettings,
    /// `[log]`.
    pub log: LogSettings,
    /// `metrics.listen`: the loopback address on which figures for Prometheus are served; `None` serves none.
    pub metrics_listen: Option<SocketAddr>,
    /// `worker.count`: background tasks that run beside each other.
    pub workers: u32,
    /// `daemon.drain_s`: how long calls in flight may take to end after the daemon was asked to stop.
    pub drain: Duration,
    /// `daemon.idle_s`: a daemon that a client started ends after this long without one; zero to stay.
    pub idle: Duration,
    /// Names of the original that the environment still has, and our key for each; `None` when nothing needs it any more.
    pub old_names: Vec<(&'static str, Option<&'static str>)>,
    /// Where each value that is not a default came from, by key.
    origins: BTreeMap<String, Origin>,
    /// `[cloud]` as written.
    draft: cloud::Draft,
}

/// Where the master key comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeySource {
    /// Keyring, then environment, then file.
    Auto,
    /// The operating system's keyring and nothing else.
    Keyring,
    /// The environment variable and nothing else.
    Environment,
    /// The key file and nothing else.
    File,
}

/// `[keys]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySettings {
    /// `keys.source`.
    pub source: KeySource,
    /// `keys.file`: absolute path of the key file.
    pub file: Option<PathBuf>,
    /// `keys.rotate_every`: after so long the daemon makes a new master key by itself; `None` for never.
    pub rotate_every: Option<Duration>,
}

/// `[cache]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheSettings {
    /// `cache.enabled`: whether anything is cached at all.
    pub enabled: bool,
    /// `cache.hot_bytes`: bytes of opened answers kept in memory.
    pub hot_bytes: u64,
    /// `cache.unsettled_s`: after a write whose outcome is unknown or shows late, answers it touches are not kept for this long; after any
    /// write searches are not, for their index follows it.
    pub unsettled: Duration,
    /// `cache.rows_per_source`: scopes, and places of items, remembered of one mailbox or drive. Forgetting costs fetches, never truth.
    pub rows_per_source: u64,
    /// `cache.rows`: the same over all mailboxes and drives.
    pub rows: u64,
    /// `cache.max_bytes`: bytes of the database on the disk; soft, since a clean-up takes a while.
    pub max_bytes: u64,
    /// `cache.clean_from_percent`: share of `max_bytes` at which a clean-up begins.
    pub clean_from: u64,
    /// `cache.clean_to_percent`: share of `max_bytes` at which it ends.
    pub clean_to: u64,
    /// `cache.max_entries_per_account`: entries of one account.
    pub max_entries_per_account: u64,
    /// `cache.max_bytes_per_account`: bytes of one account's entries on the disk; 0 for no limit but that of all.
    pub max_bytes_per_account: u64,
    /// `cache.min_free_bytes`: while less is free on the disk, answers are given and not kept; 0 for no such floor.
    pub min_free_bytes: u64,
    /// `cache.exclude_folders`: mail folders, by well-known name (`junkemail`) or id, whose messages are answered and never kept.
    pub exclude_folders: Vec<String>,
    /// `cache.exclude_senders`: addresses, or domains as `@contoso.com`, whose messages are answered and never kept.
    pub exclude_senders: Vec<String>,
    /// `cache.accounts.<username>.enabled`, where set; names in lower case.
    pub accounts: BTreeMap<String, bool>,
    /// `cache.tools.<tool>.*`, where set.
    pub tools: BTreeMap<String, ToolCache>,
}

/// `[audit]`: writes, sign-ins, keys, exports and erasures are always recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditSettings {
    /// `audit.reads`: reads are recorded too.
    pub reads: bool,
    /// `audit.keep`: how long records are kept, in days: `365d`.
    pub keep: Duration,
}

/// What is set for one tool; `None` leaves its own value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ToolCache {
    /// Whether its answers are cached.
    pub enabled: Option<bool>,
    /// Age up to which an answer is served.
    pub fresh: Option<Duration>,
    /// Age up to which it is served and refreshed in the background.
    pub stale: Option<Duration>,
    /// Age up to which it is served when Graph cannot be asked.
    pub if_error: Option<Duration>,
}

/// Where answers are kept. Accounts, tokens, the queue and the history of writes stay in the encrypted file whatever this says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// In the encrypted file.
    Sqlcipher,
    /// In memory, until the daemon ends; nothing of an answer on the disk.
    Memory,
}

/// `[store]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreSettings {
    /// `store.backend`.
    pub backend: Backend,
    /// `store.memory_bytes`: bytes of answers that the backend `memory` keeps.
    pub memory_bytes: u64,
}

/// `[graph]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GraphSettings {
    /// `graph.connect_timeout_s`.
    pub connect_timeout: Duration,
    /// `graph.request_timeout_s`: one request, until its whole answer is there.
    pub request_timeout: Duration,
    /// `graph.call_deadline_s`: one tool call with all its requests, pages and retries.
    pub call_deadline: Duration,
    /// `graph.pool_idle_s`: how long an unused connection is kept.
    pub pool_idle: Duration,
    /// `graph.keepalive_s`: pause between HTTP/2 pings on an open connection.
    pub keepalive: Duration,
    /// `graph.http2`: use HTTP/2 where the server offers it.
    pub http2: bool,
    /// `graph.concurrency`: requests in flight for one mailbox; Microsoft allows 4.
    pub concurrency: u32,
}

/// `[files]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSettings {
    /// `files.allowed_roots`: the local folders that files may come from and go to; a relative path of a caller starts in the first. Empty
    /// means one folder of our own among the downloads.
    pub allowed_roots: Vec<PathBuf>,
    /// `files.download_max_mb`: the largest file that is fetched, in MiB.
    pub download_max_mb: u64,
    /// `files.idle_s`: a transfer is given up when no byte has moved for so long.
    pub idle: Duration,
    /// `files.deadline_s`: a transfer is given up when it has taken so long altogether.
    pub deadline: Duration,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One readable line an event.
    Text,
    /// One JSON object a line.
    Json,
}

/// `[log]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// `log.filter`: which events are shown, in the notation of `tracing`.
    pub filter: String,
    /// `log.format`.
    pub format: LogFormat,
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// The configuration file, at this line.
    File {
        /// Counted from 1.
        line: usize,
    },
    /// An environment variable.
    Environment(String),
    /// A flag of the command line.
    Flag,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { line } => write!(f, "file, line {line}"),
            Self::Environment(name) => write!(f, "environment, {name}"),
            Self::Flag => f.write_str("flag"),
        }
    }
}

/// One line of [`Config::explain`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    /// The key: `graph.http2`.
    pub key: String,
    /// Its value as the file would spell it; empty when it is not set.
    pub value: String,
    /// Where it came from.
    pub origin: Origin,
}

/// 256 MiB: some ten thousand answers.
const DEFAULT_MEMORY: u64 = 256 * 1024 * 1024;

impl Default for Config {
    fn default() -> Self {
        Self {
            demo: false,
            client_id: None,
            tenant: None,
            device: false,
            compat: false,
            short_ids: true,
            strict: false,
            tools: None,
            cloud: cloud::global(),
            cloud_ca: None,
            network: NetworkSettings::default(),
            keys: KeySettings { source: KeySource::Auto, file: None, rotate_every: Some(Duration::from_secs(90 * 24 * 3600)) },
            cache: CacheSettings {
                enabled: true,
                hot_bytes: 64 * 1024 * 1024,
                unsettled: Duration::from_secs(60),
                rows_per_source: 20_000,
                rows: 100_000,
                max_bytes: 2_000_000_000,
                clean_from: 80,
                clean_to: 60,
                max_entries_per_account: 10_000,
                max_bytes_per_account: 0,
                min_free_bytes: 200_000_000,
                exclude_folders: Vec::new(),
                exclude_senders: Vec::new(),
                accounts: BTreeMap::new(),
                tools: BTreeMap::new(),
            },
            store: StoreSettings { backend: Backend::Sqlcipher, memory_bytes: DEFAULT_MEMORY },
            warming: WarmingSettings::default(),
            audit: AuditSettings { reads: true, keep: Duration::from_secs(365 * 24 * 3600) },
            graph: GraphSettings {
                connect_timeout: Duration::from_secs(10),
                request_timeout: Duration::from_secs(60),
                call_deadline: Duration::from_secs(120),
                pool_idle: Duration::from_secs(90),
                keepalive: Duration::from_secs(30),
                http2: true,
                concurrency: 4,
            },
            files: FileSettings {
                allowed_roots: Vec::new(),
                download_max_mb: 512,
                idle: Duration::from_secs(60),
                deadline: Duration::from_secs(1800),
            },
            limits: LimitSettings::default(),
            policies: BTreeMap::new(),
            accounts: AccountSettings::default(),
            // rmcp warns of every call it answers with an error, which is a client's affair.
            log: LogSettings { filter: "info,rmcp=error".into(), format: LogFormat::Text },
            metrics_listen: None,
            workers: 2,
            drain: Duration::from_secs(10),
            idle: Duration::from_secs(3600),
            old_names: Vec::new(),
            origins: BTreeMap::new(),
            draft: cloud::Draft::default(),
        }
    }
}

impl Config {
    /// Reads all layers. Every problem is reported at once.
    pub fn read(sources: &Sources<'_>) -> Result<Self, ConfigError> {
        read::read(sources)
    }

    /// What can be read of layers that are wrong elsewhere: each key that is right by itself, and the default for the rest. For a daemon that says
    /// what is wrong, and for nothing else: rules about several keys are not held.
    pub fn legible(sources: &Sources<'_>) -> Self {
        read::legible(sources)
    }

    /// The tools that clients are shown whose launch line names no others: the essential ones, and all of them to programs that were written
    /// for the original.
    pub fn tool_profile(&self) -> ToolProfile {
        self.tools.unwrap_or(if self.compat { ToolProfile::Full } else { ToolProfile::Essential })
    }

    /// Every key with its value and where it came from, in the order of the manual. Values of the families under `cache.accounts`,
    /// `cache.tools`, `warming.operations`, `policy` and `accounts` are shown where set.
    pub fn explain(&self) -> Vec<Explained> {
        settings::explain(self)
    }
}

#[cfg(test)]
mod documents_tests;
#[cfg(test)]
mod tests;
