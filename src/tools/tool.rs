//! What a row of the catalogue is made of. A tool is data: one literal, followed by its functions and tests.

use futures_util::future::BoxFuture;
use serde_json::{Map, Value};

use super::{Args, StepError, Steps};
use crate::{
    cache::{Learned, Scope, Service, Shown, Touch, Ttl},
    ids::ToolProfile,
};

/// One tool. The single source of its name, help, parameters and their order, limits, schema, annotations, risk, key, TTL and touches.
#[derive(Debug, Clone, Copy)]
pub struct Tool {
    /// As clients call it: `email_list`.
    pub name: &'static str,
    /// For people.
    pub title: &'static str,
    /// Which lists of tools show it, besides `full`, which shows all, and `read-only`, which shows what changes nothing.
    pub profiles: &'static [ToolProfile],
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
    /// Whether a person is asked first.
    pub asks: Asks,
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

/// Whether a person is asked before a call is done.
#[derive(Debug, Clone, Copy)]
pub enum Asks {
    /// Nothing leaves the account and nothing is lost.
    Never,
    /// It reaches other people, or destroys.
    Always,
    /// Only with some arguments: an event with attendees, a rule that forwards. Looks at checked arguments.
    When(fn(&Args) -> bool),
}

/// How a tool is done.
#[derive(Debug, Clone, Copy)]
pub enum Does {
    /// A read: fetches from Graph and shapes the answer.
    Read(Read),
    /// A read of the row's service and of one in another source: mail, and files from the drive. What is read of the other service counts as
    /// all of it, as in a search.
    ReadAcross {
        /// The other service.
        also: Service,
        /// Fetches and shapes.
        fetch: Read,
    },
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

/// How a read is done.
pub type Read = for<'a> fn(&'a dyn Steps, &'a Args) -> BoxFuture<'a, Result<Fetched, StepError>>;

impl Does {
    /// How a read is done; `None` for what is none.
    pub fn fetch(&self) -> Option<Read> {
        match self {
            Self::Read(fetch) | Self::ReadAcross { fetch, .. } => Some(*fetch),
            Self::Write { .. } | Self::Local(_) => None,
        }
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
    /// `account_remove`.
    AccountRemove,
    /// `cache_task_get_status`.
    CacheTask,
    /// `cache_task_list`.
    CacheTasks,
    /// `cache_warming_status`.
    CacheWarming,
    /// `cache_get_stats`.
    CacheStats,
    /// `cache_invalidate`.
    CacheInvalidate,
    /// `server_get_version`.
    ServerVersion,
}

/// A parameter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Param {
    /// As clients spell it.
    pub name: &'static str,
    /// For models.
    pub help: &'static str,
    /// Type and limits.
    pub kind: ParamType,
    /// JSON text of the default; `None` for a required parameter. `"null"` for an optional one without default.
    pub default: Option<&'static str>,
    /// Seldom needed: left out of the short form of a schema, and taken all the same.
    pub rare: bool,
}

impl Param {
    /// One that has to be given.
    pub(super) const fn required(name: &'static str, kind: ParamType, help: &'static str) -> Self {
        Self { name, help, kind, default: None, rare: false }
    }

    /// A member of an object that may be left out, and may not be null. See [`ParamType::Object`].
    pub(super) const fn member(name: &'static str, kind: ParamType, help: &'static str) -> Self {
        Self { name, help, kind, default: Some(""), rare: false }
    }

    /// One that may be left out; `default` is JSON text.
    pub(super) const fn optional(name: &'static str, kind: ParamType, default: &'static str, help: &'static str) -> Self {
        Self { name, help, kind, default: Some(default), rare: false }
    }

    /// The same, left out where schemas are short.
    pub(super) const fn rare(self) -> Self {
        Self { rare: true, ..self }
    }
}

/// The name of the argument that says which account.
pub const ACCOUNT_ID: &str = "account_id";

impl Tool {
    /// Whether it asks for something of one account, and `given` does not say of which. The daemon's own tools are not meant: none of them is to
    /// guess whom it signs out.
    pub fn lacks_account(&self, given: &Map<String, Value>) -> bool {
        let needs =
            !matches!(self.effect, Effect::Local) && self.params.iter().any(|param| param.name == ACCOUNT_ID && param.default.is_none());
        needs && given.get(ACCOUNT_ID).is_none_or(Value::is_null)
    }
}

/// The account, as nearly every tool takes it.
pub(super) const ACCOUNT: Param = Param::required(ACCOUNT_ID, ParamType::Account, "From account_list.");

/// First of the [`CACHE_CONTROLS`].
pub(super) const USE_CACHE: Param = Param::optional(
    "use_cache",
    ParamType::Bool,
    "true",
    "false asks Microsoft 365 and leaves the cache alone: nothing is read from it and nothing kept.",
)
.rare();

/// Second of the [`CACHE_CONTROLS`].
pub(super) const FORCE_REFRESH: Param = Param::optional(
    "force_refresh",
    ParamType::Bool,
    "false",
    "true asks Microsoft 365 again and keeps the new answer. Rarely needed: writes through this server show at once.",
)
.rare();

/// Third of the [`CACHE_CONTROLS`], and the last parameter of every cached read: the original does not have it.
pub(super) const MAX_AGE: Param = Param::optional(
    "max_age",
    ParamType::Int { min: 0, max: 604_800 },
    "null",
    "Oldest answer that will do, in seconds; an older one is fetched again first.",
)
.rare();

/// Name of the third.
pub const MAX_AGE_NAME: &str = MAX_AGE.name;

/// Parameters that say how the cache is used, and are no part of an answer's key.
pub const CACHE_CONTROLS: [&str; 3] = [USE_CACHE.name, FORCE_REFRESH.name, MAX_AGE.name];

/// Another mailbox, on mail and calendar tools; before `max_age`.
pub(super) const MAILBOX: Param =
    Param::optional("mailbox", ParamType::Mailbox, "null", "Address of a shared or delegated mailbox, in place of the account's own.")
        .rare();

/// How much an answer may cost, on lists that can be read on and on bodies; before `max_age`. The engine cuts: see `engine/budget.rs`.
pub(super) const MAX_TOKENS: Param = Param::optional(
    "max_tokens",
    ParamType::Int { min: 500, max: 200_000 },
    "null",
    "About how many tokens the answer may have; next_cursor or body.next_offset reads on.",
)
.rare();

/// The same on trees and searches that cannot be read on.
pub(super) const MAX_TOKENS_ONCE: Param = Param {
    help: "About how many tokens the answer may have. left_out counts what does not fit: ask for less, or for one folder.",
    ..MAX_TOKENS
};

/// Its name. It is no part of an answer's key: the same answer is cut to any budget.
pub const MAX_TOKENS_NAME: &str = MAX_TOKENS.name;

/// Where to go on in a list; before `max_age`. The engine resolves it: see `engine/cursor.rs`.
pub(super) const CURSOR: Param =
    Param::optional("cursor", ParamType::Text { max: 64 }, "null", "next_cursor of the last answer, to read on.");

/// Consent, where the original asks for it.
pub(super) const CONFIRM: Param =
    Param::optional("confirm", ParamType::Bool, "false", "true only after the user has agreed to exactly this call.");

/// Consent, where the original did not ask; the last parameter.
pub(super) const CONFIRM_TOKEN: Param = Param::optional(
    "confirm_token",
    ParamType::Text { max: 64 },
    "null",
    "From the preview that a call without it returns, once the user has agreed to exactly that.",
);

/// Parameters that give consent, and are no part of what is agreed to.
pub const CONSENTS: [&str; 2] = [CONFIRM.name, CONFIRM_TOKEN.name];

/// Type and limits of a parameter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ParamType {
    /// An account: id, username or alias.
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
    /// Text of 0 to `max` characters, line breaks and all: a body, a comment.
    Prose {
        /// Longest.
        max: usize,
    },
    /// An e-mail address.
    Mailbox,
    /// E-mail addresses: one, several separated by commas, or a list. Checked, each once, in a list.
    Addresses {
        /// Most of them.
        max: usize,
    },
    /// People with or without a name: as [`ParamType::Addresses`], or objects `{address, name}`, bare or inside `emailAddress` as Graph has
    /// them. As a list of `{address, name}`, each address once.
    People {
        /// Most of them.
        max: usize,
    },
    /// Texts: one or a list; as a list.
    Texts {
        /// Fewest of them.
        least: usize,
        /// Most of them.
        most: usize,
        /// Longest, in characters.
        max: usize,
    },
    /// Some of these words: one or a list; as a list, each once, in the order of the row.
    Choices(&'static [&'static str]),
    /// A file on this machine. Where it may lie is decided when it is opened.
    LocalPath,
    /// An object with these members and no others. A member with the default `null` may be null, one without default has to be there, and
    /// one made by `Param::member` may be left out. What is left out stays out.
    Object(&'static [Param]),
    /// A list of objects with these members.
    Objects(&'static [Param]),
    /// A time in ISO 8601, with an offset or without, or a day. In one spelling; what it is without an offset is decided when it is used.
    Time,
    /// A day: `2026-11-20`.
    Date,
    /// A time zone by its IANA or Windows name; as the IANA name.
    Zone,
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
    /// What the list goes on with, when there is more.
    pub more: Option<More>,
    /// Graph's tag of the answer.
    pub etag: Option<String>,
    /// Answers to other calls that came with it, to be kept like those of a fetch of their own; each from one of the sources that were read.
    pub along: Vec<Along>,
}

/// The answer to another call, which came with what was read for this one.
#[derive(Debug, Clone, PartialEq)]
pub struct Along {
    /// The tool's name.
    pub tool: &'static str,
    /// The arguments of the call, as checked.
    pub args: Args,
    /// Its answer.
    pub fetched: Fetched,
}

/// The part of a collection that an answer left out.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct More {
    /// Items that were read and not shown, as Graph sent them.
    pub rest: Vec<Value>,
    /// Graph's `@odata.nextLink` behind them.
    pub link: Option<String>,
    /// How many were shown before them.
    pub before: usize,
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
