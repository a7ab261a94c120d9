//! Names for who and what: accounts, tenants, callers.

use std::{fmt, sync::Arc};

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The id spelled `text`.
            pub fn new(text: impl Into<Arc<str>>) -> Self {
                Self(text.into())
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id!(
    /// One signed-in user: `<object id>.<tenant id>`, which is MSAL's home account id.
    AccountId
);
text_id!(
    /// A directory of Microsoft Entra; `9188040d-6c67-4c5b-b112-36a304b66dad` for personal accounts.
    TenantId
);

/// The tenant of all personal Microsoft accounts.
pub const PERSONAL_TENANT: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";

/// Who asks: for statistics and the audit trail, never for authorisation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Caller {
    /// The client's own name for itself, `cachectl` for people, `worker` for background work.
    pub client: String,
    /// Number of the stream the call came in on; 0 outside any.
    pub session: u64,
}

/// How urgent a request to Graph is: background work waits while somebody is watching.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// A person or a model waits for the answer.
    Foreground,
    /// Refreshes and warming.
    Background,
}
