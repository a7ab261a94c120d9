//! Why a call came to nothing, in the words a person or a model can act on.

use super::Consent;
use crate::{
    hint::{Hint, Kind},
    ids::AccountId,
    store::StoreError,
    tools::{ArgError, StepError, UnknownTool},
};

/// Why a call came to nothing.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CallError {
    /// There is no such tool.
    #[error(transparent)]
    UnknownTool(#[from] UnknownTool),
    /// The arguments cannot be used.
    #[error(transparent)]
    Arguments(#[from] ArgError),
    /// No account of that id or name is signed in. The name is not repeated: it is an address.
    #[error("{}", if *any { "no account with that id, username or alias is signed in" } else { "nobody is signed in" })]
    UnknownAccount {
        /// Whether any account is signed in at all.
        any: bool,
    },
    /// More than one account that is signed in has that username: their ids, and `personal` or `work_school`.
    #[error("{} accounts that are signed in have that name", .0.len())]
    AmbiguousAccount(Vec<(AccountId, &'static str)>),
    /// The call names no account, and the one that is configured for such calls is not signed in.
    #[error("the call names no account, and the one that `accounts.default` names is not signed in")]
    UnknownDefault,
    /// Microsoft refused, failed or could not be asked.
    #[error(transparent)]
    Step(#[from] StepError),
    /// A write was not sent because it could not be journalled first.
    #[error("nothing was sent: the write could not be recorded first ({0})")]
    NotJournalled(StoreError),
    /// The store failed where there is no way round it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An erasure has begun and could not be completed.
    #[error("the account is signed out and its erasure has begun, but it is not complete ({0})")]
    Erasing(StoreError),
    /// Somebody has to agree first. Nothing was done.
    #[error("this needs the user's consent; nothing was done")]
    Unconfirmed(Box<Consent>),
    /// A policy keeps this client from it. Nothing was done.
    #[error("{what} is kept from this client by {policy}; nothing was done")]
    Fenced {
        /// What is kept from it.
        what: &'static str,
        /// The names of the policies: "the policy `default`".
        policy: String,
        /// The setting that says so.
        setting: &'static str,
    },
    /// Its tools are the read-only ones. Nothing was done.
    #[error("this changes something, and the tools of this client are those of the profile `read-only`; nothing was done")]
    ReadOnly,
    /// A write was sent and no answer came.
    #[error("it is unknown whether this took effect: {0}")]
    UnknownOutcome(StepError),
    /// A person wants Microsoft not to be asked. Nothing was done.
    #[error("asking Microsoft is paused, and a write is never kept for later; nothing was done")]
    Paused,
    /// The daemon is on its way out.
    #[error("the daemon is stopping")]
    Stopping,
    /// Something of ours broke.
    #[error("the call broke off inside the daemon")]
    Broken,
}

impl Hint for CallError {
    fn kind(&self) -> Kind {
        match self {
            Self::UnknownTool(error) => error.kind(),
            Self::Arguments(error) => error.kind(),
            Self::UnknownAccount { .. } | Self::UnknownDefault => Kind::SignIn,
            Self::Step(error) | Self::UnknownOutcome(error) => error.kind(),
            Self::NotJournalled(error) | Self::Erasing(error) | Self::Store(error) => error.kind(),
            Self::Unconfirmed(_) | Self::AmbiguousAccount(_) => Kind::User,
            Self::Fenced { .. } | Self::ReadOnly => Kind::Denied,
            Self::Stopping | Self::Paused => Kind::Offline,
            Self::Broken => Kind::Internal,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::UnknownTool(error) => error.code(),
            Self::Arguments(error) => error.code(),
            Self::UnknownAccount { any: true } | Self::UnknownDefault => "unknown_account",
            Self::AmbiguousAccount(_) => "ambiguous_account",
            // As for a sign-in that is lost: the same is to be done.
            Self::UnknownAccount { any: false } => "sign_in_required",
            Self::Step(error) => error.code(),
            Self::NotJournalled(_) => "not_journalled",
            Self::Erasing(_) => "erasure_incomplete",
            Self::Store(error) => error.code(),
            Self::UnknownOutcome(_) => "outcome_unknown",
            Self::Unconfirmed(_) => "confirmation_required",
            Self::Fenced { .. } => "policy",
            Self::ReadOnly => "read_only",
            Self::Paused => "paused",
            Self::Stopping => "stopping",
            Self::Broken => "internal",
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownTool(error) => error.hint(),
            Self::Arguments(error) => error.hint(),
            Self::UnknownAccount { any: true } => Some("`account_list`, at the shell `m365-cachectl accounts`, gives the accounts that are signed in.".into()),
            Self::UnknownAccount { any: false } => Some("Sign in with `m365-cachectl login`.".into()),
            Self::AmbiguousAccount(all) => {
                let each: Vec<String> = all.iter().map(|(id, kind)| format!("{} ({})", id.as_str(), kind.replace('_', "/"))).collect();
                Some(format!("Name one of them by its id: {}. `m365-cachectl accounts alias ID NAME` gives it a short name.", each.join(", ")))
            }
            Self::UnknownDefault => Some(
                "Name an account: `account_list` gives those that are signed in. `m365-cachectl accounts default NAME` sets another default."
                    .into(),
            ),
            Self::Step(error) => error.hint(),
            Self::NotJournalled(error) | Self::Store(error) => error.hint(),
            Self::Erasing(_) => {
                Some("It goes on by itself once the store works, also after a restart; the same command goes on at once.".into())
            }
            Self::UnknownOutcome(_) => Some("Read the item again before you repeat this.".into()),
            Self::Unconfirmed(consent) => Some(format!(
                "Show the user what would be done; once they agree, call again with {}={} and the same arguments.",
                consent.argument, consent.value
            )),
            Self::Fenced { setting, .. } => {
                Some(format!("Do not try another way: the user set it so. They can change `{setting}` of that policy in `config.toml`."))
            }
            Self::ReadOnly => Some(
                "Do not try another way: the user set it so. They can change `tools.profile` in `config.toml`, or `--tools` in the client's launch line."
                    .into(),
            ),
            Self::Paused => Some("Do not try another way: the user set it so; `m365-cachectl resume` ends it.".into()),
            Self::Stopping => Some("Try again in a moment.".into()),
            Self::Broken => Some("Try again; if it stays, look at the daemon's log.".into()),
        }
    }
}
