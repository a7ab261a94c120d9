//! Stand-in for the seeded data: its types and nobody's mail.

/// How much data is seeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// A few hundred messages.
    Small,
    /// 50,000 messages.
    Large,
}

/// What kind of account a user is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A work account.
    Work,
    /// A personal account.
    Personal,
    /// A shared mailbox nobody signs in to.
    Shared,
}

/// A user of the tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Object id.
    pub id: String,
    /// Tenant id.
    pub tenant_id: String,
    /// Sign-in name.
    pub username: String,
    /// The name people see.
    pub display_name: String,
    /// What kind of account.
    pub kind: Kind,
    /// Mailbox id.
    pub mailbox_id: String,
    /// Drive id.
    pub drive_id: String,
}
