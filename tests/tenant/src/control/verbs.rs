//! What can be said to the control port, as types.

use serde::{Deserialize, Serialize};

/// What a person does with a device's code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceAction {
    /// Signs the named account in.
    Approve,
    /// Declines.
    Decline,
    /// Makes the device's next poll answer `slow_down`.
    SlowDown,
}

/// What happens to an account's tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthAction {
    /// All its refresh tokens fail with AADSTS50173 from now on.
    Revoke,
    /// All its access tokens get 401 from now on; new ones are good.
    ExpireAccess,
    /// Its next refresh fails with `code`. Several of these queue up.
    FailRefresh {
        /// The number after `AADSTS`: one that the identity server knows.
        code: u32,
    },
    /// Tokens issued from now on are good for none of these permissions, whatever is asked for, until an administrator agrees.
    Withhold {
        /// Permissions without their resource: `Mail.Send`.
        scopes: Vec<String>,
    },
}

/// What to wait for. Both conditions hold at once when both are given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Wait {
    /// A part of the route label; empty means every route.
    pub route: String,
    /// At least so many requests and batch items since the last reset.
    pub count: u64,
    /// At least so many requests in flight.
    pub concurrent: u64,
    /// Real milliseconds after which the wait ends without success.
    pub timeout_ms: Option<u64>,
}

/// How a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waited {
    /// False when time ran out.
    pub reached: bool,
    /// Requests and batch items on the route at the end.
    pub count: u64,
    /// Requests in flight at the end.
    pub concurrent: u64,
}
