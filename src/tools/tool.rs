//! What a row of the catalogue is made of. A tool is data: one literal, followed by its functions and tests.

use futures_util::future::BoxFuture;
use serde_json::Value;

use super::{Args, StepError, Steps};
use crate::cache::{Learned, Scope, Service, Shown, Touch, Ttl};

/// One tool. The single source of its name, help, parameters and their order, limits, schema, annotations, risk, key, TTL and touches.
#[derive(Debug, Clone, Copy)]
pub struct Tool {
    /// As clients call it: `email_list`.
    pub name: &'static str,
    /// For people.
    pub title: &'static str,
    /// For models: key facts first, under 2 KB.
    pub help: &'static str,
    /// In the order in which clients see them.
    pub params: &'static [Param],
    /// What it does to data.
    pub effect: Effect,
    /// How much harm it can do.
    pub risk: Risk,
    /// Whether doing it twice does what doing it once does.
    pub idempotent: bool,
    /// Brings arguments that ask for the same thing into one spelling, so that they share one key; applied after checking.
    /// Doing it twice does what doing it once does, and its result passes the check again.
    pub canonical: Option<fn(&mut Args)>,
    /// How it is done.
    pub does: Does,
}

/// What a tool does to data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Reads one service of a mailbox or drive. `ttl: None` means never cached, for the stated reason.
    Read {
        /// Which service; files come from the drive, all else from the mailbox.
        service: Service,
        /// How long its answers may stand.
        ttl: Result<Ttl, &'static str>,
    },
    /// Changes one service; what it touches stands in [`Does::Write`].
    Write {
        /// Which service.
        service: Service,
    },
    /// Touches nothing at Microsoft that is cached.
    Local,
}

/// How much harm a call can do; confirmation and annotations are derived from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Risk {
    /// Reads.
    Safe,
    /// Changes that can be undone.
    Moderate,
    /// Reaches other people.
    Dangerous,
    /// Destroys.
    Critical,
}

/// How a tool is done.
#[derive(Clone, Copy)]
pub enum Does {
    /// A read: fetches from Graph and shapes the answer.
    Read(for<'a> fn(&'a dyn Steps, &'a Args) -> BoxFuture<'a, Result<Fetched, StepError>>),
    /// A write: what it touches as known before, and the act itself, which sends each change once.
    Write {
        /// What it will touch, from the arguments alone.
        touches: Touches,
        /// Sends it.
        act: for<'a> fn(&'a dyn Steps, &'a Args) -> BoxFuture<'a, Result<Written, StepError>>,
    },
    /// Answered by the daemon itself.
    Local(Local),
}

impl std::fmt::Debug for Does {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Read(_) => "Read",
            Self::Write { .. } => "Write",
            Self::Local(_) => "Local",
        })
    }
}

/// What a write touches, computed from its arguments.
pub type Touches = fn(&Args) -> Vec<Touch>;

/// What the daemon answers by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Local {
    /// `account_list`.
    AccountList,
    /// `account_authenticate`.
    AccountAuthenticate,
    /// `account_complete_auth`.
    AccountCompleteAuth,
    /// `cache_get_stats`.
    CacheStats,
    /// `cache_invalidate`.
    CacheInvalidate,
    /// `server_get_version`.
    ServerVersion,
}

/// A parameter.
#[derive(Debug, Clone, Copy)]
pub struct Param {
    /// As clients spell it.
    pub name: &'static str,
    /// For models.
    pub help: &'static str,
    /// Type and limits.
    pub kind: ParamType,
    /// JSON text of the default; `None` for a required parameter. `"null"` for an optional one without default.
    pub default: Option<&'static str>,
}

impl Param {
    /// One that has to be given.
    pub(super) const fn required(name: &'static str, kind: ParamType, help: &'static str) -> Self {
        Self { name, help, kind, default: None }
    }

    /// One that may be left out; `default` is JSON text.
    pub(super) const fn optional(name: &'static str, kind: ParamType, default: &'static str, help: &'static str) -> Self {
        Self { name, help, kind, default: Some(default) }
    }
}

/// The account, as nearly every tool takes it.
pub(super) const ACCOUNT: Param =
    Param::required("account_id", ParamType::Account, "The account: its account_id or username as account_list shows it.");

/// First of the [`CACHE_CONTROLS`].
pub(super) const USE_CACHE: Param = Param::optional(
    "use_cache",
    ParamType::Bool,
    "true",
    "false asks Microsoft 365 and leaves the cache alone: nothing is read from it and nothing kept.",
);

/// Second of the [`CACHE_CONTROLS`].
pub(super) const FORCE_REFRESH: Param = Param::optional(
    "force_refresh",
    ParamType::Bool,
    "false",
    "true asks Microsoft 365 again and keeps the new answer. Rarely needed: writes through this server show at once.",
);

/// Parameters that say how the cache is used; the last ones of every cached read, and no part of its key.
pub const CACHE_CONTROLS: [&str; 2] = [USE_CACHE.name, FORCE_REFRESH.name];

/// Type and limits of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParamType {
    /// An account: id or username.
    Account,
    /// Text of 1 to `max` characters.
    Text {
        /// Longest.
        max: usize,
    },
    /// A Graph id: 1 to 1024 characters without control characters.
    Id,
    /// A OneDrive path that starts with `/`.
    DrivePath,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A whole number.
    Int {
        /// Least.
        min: i64,
        /// Most.
        max: i64,
    },
    /// True or false.
    Bool,
}

/// A fresh answer from Graph.
#[derive(Debug, Clone, PartialEq)]
pub struct Fetched {
    /// The answer, an object. Members in the order in which clients see them; `_cache_status` and `_cached_at` are put in front later.
    pub answer: Value,
    /// Name of the member of `answer` that holds the list, for byte offsets of its items.
    pub list: Option<&'static str>,
    /// What it depends on, beyond `all` of the service which is always added.
    pub scopes: Vec<Scope>,
    /// The items it shows and where: item id and scopes of its containers.
    pub shown: Vec<(String, Vec<Scope>)>,
    /// False when something is missing that should be there: such an answer is given, and never stored.
    pub whole: bool,
    /// Graph's tag of the answer.
    pub etag: Option<String>,
}

/// A write that Graph accepted.
#[derive(Debug, Clone, PartialEq)]
pub struct Written {
    /// The answer, an object.
    pub answer: Value,
    /// What it touched that was not known before.
    pub touches: Vec<Touch>,
    /// What the reply taught: item id and its containers now.
    pub learned: Vec<(String, Vec<Scope>)>,
    /// Effects show later than the reply (Sent Items, copies, the search index).
    pub late: bool,
}

impl Written {
    /// The learned pairs, placed in `source`.
    pub fn learned_in(&self, source: &crate::cache::SourceId) -> Vec<Learned> {
        self.learned
            .iter()
            .map(|(item, containers)| Learned { source: source.clone(), item: item.clone(), containers: containers.clone() })
            .collect()
    }
}

impl Fetched {
    /// The shown pairs, placed in `source`.
    pub fn shown_in(&self, source: &crate::cache::SourceId) -> Vec<Shown> {
        self.shown
            .iter()
            .map(|(item, containers)| Shown { source: source.clone(), item: item.clone(), containers: containers.clone() })
            .collect()
    }
}
