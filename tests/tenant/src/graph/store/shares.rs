//! With whom a drive item is shared: links, and people by name.

use jiff::Timestamp;

/// Who may do something with an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum With {
    /// Everybody with the link whom its scope admits.
    Link { kind: &'static str, scope: &'static str, url: String },
    /// One person, by mail address.
    Person { address: String },
}

/// One permission beside the owner's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) id: String,
    pub(crate) with: With,
    /// `read` or `write`.
    pub(crate) role: &'static str,
    pub(crate) password: bool,
    pub(crate) expires: Option<Timestamp>,
}
