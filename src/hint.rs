//! What every error that a person can see carries: who has to act, and one thing to do.

/// Who has to act. `m365-cachectl` derives its exit code from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The request is wrong: an unknown tool, a bad argument.
    User,
    /// Somebody has to sign in.
    SignIn,
    /// Microsoft cannot be reached.
    Offline,
    /// Microsoft asked us to slow down.
    Throttled,
    /// Microsoft refused: rights, policy, a missing object.
    Denied,
    /// The daemon's configuration, key or store needs attention.
    Config,
    /// Our own mistake.
    Internal,
}

/// An error that says what to do about it.
pub trait Hint: std::error::Error {
    /// Who has to act.
    fn kind(&self) -> Kind;
    /// Stable and machine readable, snake case: `unknown_tool`.
    fn code(&self) -> &'static str;
    /// One thing to type or to check.
    fn hint(&self) -> Option<String>;
}
