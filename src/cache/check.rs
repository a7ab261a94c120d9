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

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{Reading, Scope, Seq, Service, SourceId, overtaken_searches};
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
    /// It is the top of the drive, which is in every answer and says nothing by itself but where the ways up end.
    pub top: bool,
}

/// The scopes that the changes reported by `feed` in one answer may have changed; `containers_of` answers from the ledger's `items`.
pub fn spread_found(feed: &Feed, found: &[Found], mut containers_of: impl FnMut(&str) -> Vec<Scope>) -> BTreeSet<Scope> {
    let service = feed.of().service();
    let (mut scopes, mut folders) = (BTreeSet::new(), BTreeSet::new());
    for one in found.iter().filter(|one| !one.top) {
        let known = containers_of(&one.item);
        scopes.insert(Scope::item(&one.item));
        scopes.extend(overtaken_searches(service));
        match feed.of() {
            FeedKind::Drive => {
                scopes.insert(Scope::structure());
                // It may have come from anywhere.
                if known.is_empty() {
                    scopes.insert(Scope::all(service));
                }
                folders.extend(folders_among(&known).chain(one.parent.clone()));
            }
            // It was seen in other folders when it has been moved here. One that was not is in no answer about another folder.
            FeedKind::Messages(folder) => scopes.extend([Scope::messages(folder), Scope::folders()]),
            FeedKind::Contacts(folder) => scopes.extend([Scope::contacts(folder)]),
        }
        scopes.extend(known);
    }
    scopes.extend(folders.iter().map(|folder| Scope::children(folder)));
    spread_up(folders, found, containers_of, &mut scopes);
    scopes
}

/// The folders of `scopes`, by id.
fn folders_among(scopes: &[Scope]) -> impl Iterator<Item = String> {
    scopes.iter().filter_map(|scope| scope.as_str().strip_prefix("children:").map(str::to_owned))
}

/// The folders that changed items of a drive were seen in or are in, and every folder above them, themselves and where they are shown: answers
/// show how many children a folder has, and the size of all below it.
///
/// OneDrive reports every folder above a changed item "by design" (its team, onedrive-api-docs issue 295, about work accounts). That is not
/// relied upon: the reference of `driveItem: delta` does not promise it, `Prefer: deltaExcludeParent` leaves them out, and nobody says so of
/// personal drives or of the folders that an item was moved out of. So the ways up are found here, by what was reported and by what was
/// seen. One that ends before the top of the drive overtakes all of it.
fn spread_up(folders: BTreeSet<String>, found: &[Found], mut containers_of: impl FnMut(&str) -> Vec<Scope>, scopes: &mut BTreeSet<Scope>) {
    let told: BTreeMap<&str, &Found> = found.iter().map(|one| (one.item.as_str(), one)).collect();
    let (mut left, mut seen) = (folders.into_iter().collect::<Vec<_>>(), BTreeSet::new());
    while let Some(folder) = left.pop() {
        if !seen.insert(folder.clone()) {
            continue;
        }
        let (known, told) = (containers_of(&folder), told.get(folder.as_str()));
        let parent = told.and_then(|told| told.parent.clone());
        if known.is_empty() && parent.is_none() && !told.is_some_and(|told| told.top) {
            scopes.insert(Scope::all(Service::Files));
        }
        left.extend(folders_among(&known).chain(parent));
        scopes.insert(Scope::item(&folder));
        scopes.extend(known);
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

    /// A drive of which some was seen: `X` in `A` in `P` in the top `R`, `B` in `Q`, whose place is not known.
    fn names(found: &[Found]) -> Vec<String> {
        let seen = |item: &str| match item {
            "X" => vec![Scope::children("A")],
            "A" => vec![Scope::children("P")],
            "B" => vec![Scope::children("Q")],
            "P" => vec![Scope::children("R")],
            _ => vec![],
        };
        spread_found(&Feed::drive(), found, seen).iter().map(|scope| scope.as_str().to_owned()).collect()
    }

    fn changed(item: &str, parent: &str) -> Found {
        Found { item: item.into(), parent: Some(parent.into()), gone: false, top: false }
    }

    fn top() -> Found {
        Found { item: "R".into(), parent: None, gone: false, top: true }
    }

    const UP_FROM_A: [&str; 9] =
        ["any:files", "children:A", "children:P", "children:R", "item:A", "item:P", "item:R", "item:X", "structure"];

    #[test]
    fn a_reported_change_overtakes_what_shows_it_and_every_folder_above() {
        assert_eq!(names(&[top(), changed("X", "A")]), UP_FROM_A);
        // Where the folders above are reported too, it comes to the same, but for what they hold besides.
        assert_eq!(names(&[changed("X", "A"), changed("A", "P"), changed("P", "R"), top()]), UP_FROM_A);
        assert_eq!(names(&[top()]), [""; 0], "the top alone");
    }

    #[test]
    fn where_the_way_up_or_the_item_is_not_known_all_is_overtaken() {
        let all = |found: &[Found]| names(found).contains(&"all:files".to_owned());
        assert!(!all(&[top(), changed("X", "A")]));
        assert!(all(&[changed("X", "A")]), "what has no place need not be the top");
        assert!(all(&[top(), changed("X", "B")]), "moved to where nobody looked");
        let unknown = Found { item: "N".into(), parent: None, gone: true, top: false };
        assert_eq!(names(&[top(), unknown]), ["all:files", "any:files", "item:N", "structure"]);
    }
}
