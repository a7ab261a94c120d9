//! Checks: what a delta feed vouches for, and what the changes it reports overtake (`truth.md`, *Checks*).
//!
//! A feed with a token says what has changed since the token was given. When nothing has, every entry whose scopes the feed covers and that
//! was read after the feed's baseline is as true as at the start of the check. When something has, what it may have changed is bumped in
//! the transaction that keeps the new token, and the rest is as true as if nothing had: therefore [`spread_found`] has to name everything
//! that a stored answer can show of the change, and names too much where it cannot know.
//!
//! A drive has one feed, and its scopes tell that they belong to it. A mailbox has one for the messages of each folder and one for the
//! contacts of each contact folder; an answer names the one that reports every change of what it shows ([`Scope::fed`]), because neither
//! the id of a message nor the name of a folder tells. Rejected: `/mailFolders/delta` for the scope `folders`. It reports folders that come,
//! go and are renamed; that a count in one has changed it does not (Microsoft's word: microsoft-graph-docs issue 6576), and every answer
//! with that scope shows counts. Rejected too: `/calendarView/delta`, whose window stands still while "the next 7 days" move on.

use std::{borrow::Cow, collections::BTreeSet, time::Duration};

use super::{Reading, Scope, Seq, Service, SourceId};
use crate::clock::Timestamp;

/// How long after its fetch an answer may be called true on the word of feeds alone. A feed may lag or lose something; once a day the
/// answer itself is looked at.
pub const VOUCHED: Duration = Duration::from_secs(24 * 3600);

/// A delta feed of a source, by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Feed(Cow<'static, str>);

impl Feed {
    /// Every item of a drive, as `/drive/root/delta` reports them.
    pub const fn drive() -> Self {
        Self(Cow::Borrowed("drive"))
    }
    /// The messages of one mail folder, by the folder's own id.
    pub fn messages(folder: &str) -> Self {
        Self(Cow::Owned(format!("messages:{folder}")))
    }
    /// The contacts of one contact folder, by the folder's own id.
    pub fn contacts(folder: &str) -> Self {
        Self(Cow::Owned(format!("contacts:{folder}")))
    }
    /// A feed as it was spelled by [`Feed::as_str`].
    pub fn from_text(text: &str) -> Self {
        Self(Cow::Owned(text.to_owned()))
    }
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
    /// What it reports.
    pub fn of(&self) -> FeedKind<'_> {
        match self.0.split_once(':') {
            Some(("messages", folder)) => FeedKind::Messages(folder),
            Some(("contacts", folder)) => FeedKind::Contacts(folder),
            _ => FeedKind::Drive,
        }
    }
    /// The feed that reports every change of what `reading` shows of `scope`; `None` when there is none. A feed is looked for in the
    /// scope's own source, so an item of a mailbox is not taken for one of a drive.
    pub fn covering(reading: &Reading, scope: &Scope) -> Option<Self> {
        let kind = scope.as_str().split(':').next()?;
        // Whatever is moved or deleted is reported where it leaves and where it arrives.
        if !matches!(kind, "structure" | "children" | "item" | "messages" | "contacts" | "moves") {
            return None;
        }
        let of_a_drive = matches!(kind, "structure" | "children" | "item") || *scope == Scope::moves(Service::Files);
        Self::named_by(reading).or_else(|| of_a_drive.then(Self::drive))
    }
    /// The feed that an answer from a mailbox names.
    pub fn named_by(reading: &Reading) -> Option<Self> {
        reading.scopes.iter().find_map(Scope::feed).map(Self::from_text)
    }
}

/// What a feed reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeedKind<'a> {
    /// Every item of the drive.
    Drive,
    /// The messages of this mail folder.
    Messages(&'a str),
    /// The contacts of this contact folder.
    Contacts(&'a str),
}

impl FeedKind<'_> {
    /// The service that its changes belong to.
    pub fn service(self) -> Service {
        match self {
            Self::Drive => Service::Files,
            Self::Messages(_) => Service::Mail,
            Self::Contacts(_) => Service::Contacts,
        }
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

/// The scopes that a change reported by `feed` may have changed; `containers_of` answers from the ledger's `items`.
pub fn spread_found(feed: &Feed, found: &Found, mut containers_of: impl FnMut(&str) -> Vec<Scope>) -> BTreeSet<Scope> {
    let known = containers_of(&found.item);
    let service = feed.of().service();
    let mut scopes = BTreeSet::from([Scope::item(&found.item), Scope::any(service)]);
    match feed.of() {
        FeedKind::Drive => spread_drive(found, &known, containers_of, &mut scopes),
        // It was seen in other folders when it has been moved here. One that was not is in no answer about another folder.
        FeedKind::Messages(folder) => scopes.extend([Scope::messages(folder), Scope::folders()]),
        FeedKind::Contacts(folder) => scopes.extend([Scope::contacts(folder)]),
    }
    scopes.extend(known);
    scopes
}

/// The item's folders, where it was seen and where it is; since answers show how many children a folder has, these folders themselves and
/// where they were seen; and the structure. An item that is not known may have come from anywhere, which overtakes all of the service.
fn spread_drive(found: &Found, known: &[Scope], mut containers_of: impl FnMut(&str) -> Vec<Scope>, scopes: &mut BTreeSet<Scope>) {
    scopes.insert(Scope::structure());
    if known.is_empty() {
        scopes.insert(Scope::all(Service::Files));
    }
    let seen_in = known.iter().filter_map(|container| container.as_str().strip_prefix("children:").map(str::to_owned));
    let folders: BTreeSet<String> = seen_in.chain(found.parent.clone()).collect();
    for folder in folders {
        scopes.insert(Scope::children(&folder));
        scopes.insert(Scope::item(&folder));
        scopes.extend(containers_of(&folder));
    }
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
        let names = |found: &Found| -> Vec<String> {
            spread_found(&Feed::drive(), found, places).iter().map(|scope| scope.as_str().to_owned()).collect()
        };
        let moved = Found { item: "X".into(), parent: Some("B".into()), gone: false };
        assert_eq!(
            names(&moved),
            ["any:files", "children:A", "children:B", "children:P", "children:Q", "item:A", "item:B", "item:X", "structure"]
        );
        let unknown = Found { item: "N".into(), parent: None, gone: true };
        assert_eq!(names(&unknown), ["all:files", "any:files", "item:N", "structure"]);
    }
}
