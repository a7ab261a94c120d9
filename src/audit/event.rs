//! What is recorded, before it is a record: who did what, through which client, and how it ended.

use crate::{clock::Timestamp, ids::AccountId};

/// What kind of thing happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// An account signed in.
    SignIn,
    /// An account signed out.
    SignOut,
    /// A key was made, rotated, exported, imported or destroyed.
    Key,
    /// A tool was called that changes something: before it was sent.
    Write,
    /// The same, once its outcome was known. It refers to the record from before.
    Written,
    /// A tool was called that reads.
    Read,
    /// Entries of the cache were removed on request.
    Invalidation,
    /// What is held on an account was exported.
    Export,
    /// What is held on an account was erased.
    Erasure,
    /// The original's cache was taken over, written out again or removed, or a sealed copy of it was removed.
    Import,
    /// Files of the profile were repaired, put aside or brought back while no daemon served it.
    Repair,
    /// Old records of this trail were dropped, as the settings say.
    Prune,
    /// A backup was put in the place of the database, or what a repair saved of one without the end of this trail.
    Restore,
    /// The trail was found not to go on where it had ended.
    Broken,
}

impl Kind {
    /// Every kind, in the order of the manual.
    pub const ALL: [Self; 14] = [
        Self::SignIn,
        Self::SignOut,
        Self::Key,
        Self::Write,
        Self::Written,
        Self::Read,
        Self::Invalidation,
        Self::Export,
        Self::Erasure,
        Self::Import,
        Self::Repair,
        Self::Prune,
        Self::Restore,
        Self::Broken,
    ];

    /// The word for it, in the store and for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SignIn => "sign_in",
            Self::SignOut => "sign_out",
            Self::Key => "key",
            Self::Write => "write",
            Self::Written => "written",
            Self::Read => "read",
            Self::Invalidation => "invalidation",
            Self::Export => "export",
            Self::Erasure => "erasure",
            Self::Import => "import",
            Self::Repair => "repair",
            Self::Prune => "prune",
            Self::Restore => "restore",
            Self::Broken => "broken",
        }
    }

    /// The kind of that word.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When; the first time of several.
    pub at: Timestamp,
    /// The last time of several alike.
    pub until: Timestamp,
    /// What kind of thing.
    pub kind: Kind,
    /// Whose data it was about.
    pub account: Option<AccountId>,
    /// The tool that was called; empty when it was none.
    pub tool: String,
    /// Who called, in the client's own words; `cachectl` for people, `worker` for the daemon's own work.
    pub client: String,
    /// How it ended, or what exactly it was. A literal, so that nothing of anybody's can be in it.
    pub outcome: &'static str,
    /// Ids of what it was about, as Microsoft spells them. Only their marks are kept.
    pub targets: Vec<String>,
    /// How often, or of how many things.
    pub times: u64,
    /// Number of the record it refers to; 0 for none.
    pub refers: u64,
}

impl Event {
    /// One event at `at`.
    pub fn new(kind: Kind, at: Timestamp) -> Self {
        Self {
            at,
            until: at,
            kind,
            account: None,
            tool: String::new(),
            client: String::new(),
            outcome: "",
            targets: Vec::new(),
            times: 1,
            refers: 0,
        }
    }

    /// About that account.
    #[must_use]
    pub fn of(mut self, account: &AccountId) -> Self {
        self.account = Some(account.clone());
        self
    }

    /// Asked for by that client.
    #[must_use]
    pub fn by(mut self, client: &str) -> Self {
        client.clone_into(&mut self.client);
        self
    }

    /// With that tool.
    #[must_use]
    pub fn with(mut self, tool: &str) -> Self {
        tool.clone_into(&mut self.tool);
        self
    }

    /// It ended so.
    #[must_use]
    pub fn ended(mut self, outcome: &'static str) -> Self {
        self.outcome = outcome;
        self
    }

    /// So often, or of so many things.
    #[must_use]
    pub fn times(mut self, times: u64) -> Self {
        self.times = times;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_word_of_its_own() {
        for kind in Kind::ALL {
            assert_eq!(Kind::of(kind.as_str()), Some(kind));
        }
        assert_eq!(Kind::of("content"), None);
    }
}
