//! Who we are to Microsoft: loopback PKCE, device code, the keeper of tokens, accounts.
//!
//! Never imports `graph` or `store`: tokens reach the disk through the small [`TokenPort`], and Graph gets them through [`Bearer`].
//! No token, code, username or address is ever logged or part of an error.

mod accounts;
mod device;
mod error;
mod http;
mod identity;
mod keeper;
mod login;
mod look;
mod loopback;
mod original;
mod pause;
mod permission;
mod pkce;
mod port;
mod problem;
mod proxy;
mod resolve;
mod retry_after;
mod tokens;
mod trouble;
mod trust;

pub use accounts::SignedIn;
pub use error::AuthError;
pub use http::{Http, HttpError, HttpSettings};
pub use identity::{DEFAULT_SCOPES, Identity, IdentitySettings};
pub use keeper::{Keeper, Leaving, TokenState};
pub use login::{BrowserPrompt, DevicePrompt, Finished, LoginOptions, Logins};
pub use look::Link;
pub use original::OriginalAccount;
pub use pause::{Pause, UNTIL_RESUMED};
pub use permission::{PERMISSIONS, Permission, Permissions, admin_consent, portal};
pub use port::{Bearer, Refused, TokenPort};
pub use problem::{Reason, SignInProblem};
pub use proxy::{Proxy, ProxyAuth};
pub(crate) use retry_after::retry_after;
pub use tokens::TokenRecord;
pub use trouble::{Trouble, TroubleKind};
pub use trust::{Authorities, AuthoritiesError};

#[cfg(test)]
pub(crate) mod testing;
