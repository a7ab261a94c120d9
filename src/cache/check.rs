//! Checks: what a delta feed vouches for, and what the changes it reports overtake (`truth.md`, *Checks*).
//!
//! A feed with a token says what has changed since the token was given. When nothing has, every entry whose scopes the feed covers and that
//! was read after the feed's baseline is as true as at the start of the check. When something has, what it may have changed is bumped in
//! the transaction that keeps the new token, and the rest is as true as if nothing had: therefore [`spread_found`] has to name everything
//! that a stored answer can show of the change, and names too much where it cannot know.

use std::{borrow::Cow, collections::BTreeSet};

use super::{Scope, Seq, Service, SourceId};
use crate::clock::Timestamp;

/// A delta feed of a source, by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Feed(Cow<'static, str>);

impl Feed {
    /// Every item of a drive, as `/drive/root/delta` reports them.
    pub const fn drive() -> Self {
        Self(Cow::Borrowed("drive"))
    }
    /// A feed as it was spelled by [`Feed::as_str`].
    pub fn from_text(text: &str) -> Self {
        Self(Cow::Owned(text.to_owned()))
    }
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
    /// The feed that reports every change of `scope`; `None` when there is none. A feed is looked for in the scope's own source, so an
    /// item of a mailbox is not taken for one of a drive.
    pub fn covering(scope: &Scope) -> Option<Self> {
        let name = scope.as_str();
        (name == "structure" || name.starts_with("children:") || name.starts_with("item:")).then_some(Self::drive())
    }
}

/// What an account's last check of a feed found: nothing that is not marked had changed at `at`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Check {
    /// When the check began.
    pub at: Timestamp,
    /// The source's `seq` at the feed's baseline: the check vouches only for what was read from there on.
    pub from: Seq,
}

/// An item as a delta reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its id.
    pub item: String,
    /// Id of the folder it is in now, as far as it is told.
    pub parent: Option<String>,
    /// It was removed.
    pub gone: bool,
}

/// The scopes of a drive that a reported change may have changed; `containers_of` answers from the ledger's `items`.
///
/// The item and the folders it was seen in and is in; since answers show how many children a folder has, these folders themselves and where
/// they were seen; and the structure. An item that is not known may have come from anywhere, which overtakes all of the service.
pub fn spread_found(found: &Found, mut containers_of: impl FnMut(&str) -> Vec<Scope>) -> BTreeSet<Scope> {
    let known = containers_of(&found.item);
    let mut scopes = BTreeSet::from([Scope::item(&found.item), Scope::structure(), Scope::any(Service::Files)]);
    if known.is_empty() {
        scopes.insert(Scope::all(Service::Files));
    }
    let seen_in = known.iter().filter_map(|container| container.as_str().strip_prefix("children:").map(str::to_owned));
    let folders: BTreeSet<String> = seen_in.chain(found.parent.clone()).collect();
    scopes.extend(known);
    for folder in folders {
        scopes.insert(Scope::children(&folder));
        scopes.insert(Scope::item(&folder));
        scopes.extend(containers_of(&folder));
    }
    scopes
}

/// A feed that would have to be asked for an entry to be known true again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FeedOf {
    /// The mailbox or drive.
    pub source: SourceId,
    /// Which of its feeds.
    pub feed: Feed,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reported_change_overtakes_what_shows_it() {
        let places = |item: &str| match item {
            "X" => vec![Scope::children("A")],
            "A" => vec![Scope::children("P")],
            "B" => vec![Scope::children("Q")],
            _ => vec![],
        };
        let names = |found: &Found| -> Vec<String> { spread_found(found, places).iter().map(|scope| scope.as_str().to_owned()).collect() };
        let moved = Found { item: "X".into(), parent: Some("B".into()), gone: false };
        assert_eq!(
            names(&moved),
            ["any:files", "children:A", "children:B", "children:P", "children:Q", "item:A", "item:B", "item:X", "structure"]
        );
        let unknown = Found { item: "N".into(), parent: None, gone: true };
        assert_eq!(names(&unknown), ["all:files", "any:files", "item:N", "structure"]);
    }
}
