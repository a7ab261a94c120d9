//! Why there is no sign-in and no token, in the terms of who has to act.

use std::time::Duration;

use super::{HttpError, Reason, SignInProblem, Trouble};
use crate::hint::{Hint, Kind};

/// Why there is no sign-in and no token.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AuthError {
    /// No client id is configured.
    #[error("no application is configured to sign in with")]
    NotConfigured,
    /// The account's tokens can no longer be renewed: somebody has to sign in again.
    #[error("somebody has to sign in again: {0}")]
    SignInRequired(SignInProblem),
    /// The identity service refused a sign-in that somebody was doing.
    #[error("the sign-in failed: {0}")]
    Refused(SignInProblem),
    /// The identity service cannot be reached, or asks to wait. Passes by itself.
    #[error("Microsoft's sign-in service cannot be used at the moment: {reason}")]
    Unreachable {
        /// What happened, without addresses.
        reason: Trouble,
        /// How long it asked to wait.
        retry_after: Option<Duration>,
    },
    /// It answered with something that is not an answer.
    #[error("Microsoft's sign-in service sent an answer without {0}")]
    Unexpected(&'static str),
    /// There is no sign-in of that handle: it was cancelled, or ended too long ago.
    #[error("there is no such sign-in")]
    UnknownFlow,
    /// Nobody signed in in time.
    #[error("nobody signed in in time")]
    TooLate,
    /// The sign-in was cancelled.
    #[error("the sign-in was cancelled")]
    Cancelled,
    /// Too many sign-ins wait for somebody.
    #[error("{0} sign-ins are waiting already")]
    TooManyFlows(usize),
    /// No loopback address could be listened on.
    #[error("the browser's answer cannot be received: {0}")]
    Loopback(String),
    /// The store could not keep or give the tokens.
    #[error("tokens could not be {verb}: {reason}")]
    Store {
        /// `saved` or `loaded`.
        verb: &'static str,
        /// The store's words.
        reason: String,
    },
    /// No HTTPS client.
    #[error(transparent)]
    Http(#[from] HttpError),
}

impl AuthError {
    /// The store did not keep tokens or account.
    pub fn not_saved(error: &(impl std::fmt::Display + ?Sized)) -> Self {
        Self::Store { verb: "saved", reason: error.to_string() }
    }

    /// The store did not give the tokens.
    pub fn not_loaded(error: &(impl std::fmt::Display + ?Sized)) -> Self {
        Self::Store { verb: "loaded", reason: error.to_string() }
    }

    pub(crate) fn sign_in(reason: Reason) -> Self {
        Self::SignInRequired(SignInProblem::ours(reason))
    }

    /// Whether the same question may be answered a little later without anybody doing anything.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Unexpected(_))
    }
}

impl Hint for AuthError {
    fn kind(&self) -> Kind {
        match self {
            Self::Refused(problem) if problem.is_setup() => Kind::Config,
            Self::SignInRequired(_) | Self::Refused(_) | Self::TooLate | Self::Cancelled => Kind::SignIn,
            Self::Unreachable { .. } | Self::Unexpected(_) => Kind::Offline,
            Self::UnknownFlow | Self::TooManyFlows(_) => Kind::User,
            Self::NotConfigured | Self::Loopback(_) | Self::Store { .. } => Kind::Config,
            Self::Http(error) => error.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::NotConfigured => "no_client_id",
            Self::SignInRequired(_) => "sign_in_required",
            Self::Refused(problem) => problem.code(),
            Self::Unreachable { reason, .. } => reason.code().unwrap_or("identity_unreachable"),
            Self::Unexpected(_) => "identity_unexpected_reply",
            Self::UnknownFlow => "unknown_sign_in",
            Self::TooLate => "sign_in_too_late",
            Self::Cancelled => "sign_in_cancelled",
            Self::TooManyFlows(_) => "too_many_sign_ins",
            Self::Loopback(_) => "no_loopback",
            Self::Store { .. } => "tokens_not_kept",
            Self::Http(error) => error.code(),
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NotConfigured => {
                "Run `m365-cachectl setup`: it says how to register an application, and puts its `client_id` into the settings.".into()
            }
            Self::SignInRequired(problem) | Self::Refused(problem) => problem.hint(),
            Self::Unreachable { reason, .. } => reason.hint().unwrap_or("Check the network; it is tried again by itself.").into(),
            Self::Unexpected(_) => "Try again; check whether a proxy or a sign-in page of the network answers in Microsoft's place.".into(),
            Self::UnknownFlow => "Begin again with `m365-cachectl login`.".into(),
            Self::TooLate | Self::Cancelled => "Run `m365-cachectl login` again.".into(),
            Self::TooManyFlows(_) => "Finish one of the sign-ins that wait, or let them run out.".into(),
            Self::Loopback(_) => "Use `m365-cachectl login --device`.".into(),
            Self::Store { .. } => "Run `m365-cachectl status` to see what the store needs.".into(),
            Self::Http(error) => return error.hint(),
        })
    }
}
