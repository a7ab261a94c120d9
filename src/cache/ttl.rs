//! How long we are willing not to ask.

use std::time::Duration;

/// The three ages at which the answer to "may this be served" changes (RFC 9111 freshness; RFC 5861 stale-while-revalidate and stale-if-error).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ttl {
    /// Up to this age an entry is served and nothing else happens.
    pub fresh: Duration,
    /// Up to this age it is served at once and refreshed in the background.
    pub stale: Duration,
    /// Up to this age it is served when the fetch fails, and the answer says so.
    pub if_error: Duration,
}

impl Ttl {
    /// How long an entry may stand in for a failed fetch unless configured otherwise.
    pub const IF_ERROR: Duration = Duration::from_secs(7 * 24 * 3600);

    /// Fresh and stale in seconds, with the usual `if_error`.
    pub const fn seconds(fresh: u64, stale: u64) -> Self {
        Self { fresh: Duration::from_secs(fresh), stale: Duration::from_secs(stale), if_error: Self::IF_ERROR }
    }
}
