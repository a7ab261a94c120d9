//! What the ledger is told of delta feeds: a walk that gives a token, and a check that uses it.

use crate::{
    cache::{Bumped, Check, Epoch, Feed, Found, Scope, Seq, SourceId},
    clock::Timestamp,
    ids::AccountId,
    secret::Secret,
};

/// Which feed of which source, as seen by which account.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FeedKey {
    /// Whose.
    pub account: AccountId,
    /// The mailbox or drive.
    pub source: SourceId,
    /// Which of its feeds.
    pub feed: Feed,
}

/// A kept token. Belongs to the account: sealed under its key, gone when it signs out.
#[derive(Clone)]
pub struct DeltaToken {
    /// The link to ask next.
    pub link: Secret<String>,
    /// Its baseline, which also tells tokens of one feed apart.
    pub from: Seq,
}

/// A whole walk of a feed that has ended with a token.
#[derive(Clone)]
pub struct Baseline {
    /// Which feed.
    pub feed: FeedKey,
    /// The source's epoch when the walk began.
    pub epoch: Epoch,
    /// Its `seq` then.
    pub read_seq: Seq,
    /// Everything the answer made from the walk depends on or shows.
    pub depends: Vec<Scope>,
    /// The link to ask next.
    pub link: Secret<String>,
    /// When the walk began.
    pub started: Timestamp,
}

/// What became of a baseline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Based {
    /// Not kept: there is a token already, or the source has begun anew.
    No,
    /// Kept.
    Yes {
        /// The source's `seq` after it, from which the token vouches.
        from: Seq,
        /// Nothing that the answer depends on was bumped during the walk or is unsettled: the answer is what the token's next changes build
        /// on, and may be stored as read at `from`.
        clean: bool,
    },
}

/// A check that has ended with an answer.
#[derive(Clone)]
pub struct Checked {
    /// Which feed.
    pub feed: FeedKey,
    /// The baseline of the token that was asked with; with another one in its place only the changes count.
    pub from: Seq,
    /// When it began.
    pub started: Timestamp,
    /// What has changed.
    pub changes: Changes,
    /// The link to ask next; `None` discards the token: Graph refused it (410), or it reported a removal, after which it may never report
    /// that the same thing has come back.
    pub next: Option<Secret<String>>,
}

/// What has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changes {
    /// These items, or none.
    Found(Vec<Found>),
    /// Too much to tell, or it was not told: anything.
    Unknown,
}

/// What a check did to the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckNoted {
    /// The scopes that were bumped as changed.
    pub bumped: Vec<Bumped>,
    /// The check as it now stands; `None` when the token was discarded or is another one by now.
    pub check: Option<Check>,
}
