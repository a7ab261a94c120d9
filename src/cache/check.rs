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
        if !matches!(kind, "structure" | "totals" | "children" | "item" | "messages" | "contacts" | "moves") {
            return None;
        }
        let of_a_drive = matches!(kind, "structure" | "totals" | "children" | "item") || *scope == Scope::moves(Service::Files);
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
    /// It is the top of the drive, which is in every answer and says nothing by itself.
    pub top: bool,
}

/// The scopes that the changes reported by `feed` in one answer may have changed; `containers_of` answers from the ledger's `items`.
///
/// A feed tells where a thing is now, not where it has been since its last word. Where it was shown, it was seen ([`Found`]'s containers);
/// but a folder that it passed through between two checks showed it only in its number of children and its size. So every change of a
/// drive overtakes all answers that show a folder's totals. Rejected: to follow the ways up from the places that are known, which keeps
/// lists of folders elsewhere true and is wrong for a thing that was moved twice between two checks (generated histories met it once in
/// thousands). That OneDrive reports every folder above a changed item "by design" (its team, onedrive-api-docs issue 295, about work
/// accounts) does not help with folders that it has left.
pub fn spread_found(feed: &Feed, found: &[Found], mut containers_of: impl FnMut(&str) -> Vec<Scope>) -> BTreeSet<Scope> {
    let service = feed.of().service();
    let mut scopes = BTreeSet::new();
    for one in found.iter().filter(|one| !one.top) {
        let known = containers_of(&one.item);
        scopes.insert(Scope::item(&one.item));
        scopes.extend(overtaken_searches(service));
        match feed.of() {
            FeedKind::Drive => {
                scopes.extend([Scope::structure(), Scope::totals()]);
                scopes.extend(one.parent.as_deref().map(Scope::children));
                // Never seen, so no answer shows it; a list that is not whole may have ended before it.
                if known.is_empty() {
                    scopes.insert(Scope::moves(service));
                }
            }
            // It was seen in other folders when it has been moved here. One that was not is in no answer about another folder.
            FeedKind::Messages(folder) => scopes.extend([Scope::messages(folder), Scope::folders()]),
            FeedKind::Contacts(folder) => scopes.extend([Scope::contacts(folder)]),
        }
        scopes.extend(known);
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

    /// Of this drive it was seen that `X` is in `A`.
    fn names(found: &[Found]) -> Vec<String> {
        let seen = |item: &str| if item == "X" { vec![Scope::children("A")] } else { vec![] };
        spread_found(&Feed::drive(), found, seen).iter().map(|scope| scope.as_str().to_owned()).collect()
    }

    fn changed(item: &str, parent: &str) -> Found {
        Found { item: item.into(), parent: Some(parent.into()), gone: false, top: false }
    }

    fn top() -> Found {
        Found { item: "R".into(), parent: None, gone: false, top: true }
    }

    #[test]
    fn a_reported_change_overtakes_where_it_was_seen_where_it_is_and_every_total() {
        assert_eq!(names(&[top(), changed("X", "A")]), ["any:files", "children:A", "item:X", "structure", "totals"]);
        assert_eq!(names(&[changed("X", "B")]), ["any:files", "children:A", "children:B", "item:X", "structure", "totals"]);
        assert_eq!(names(&[top()]), [""; 0], "the top alone");
    }

    #[test]
    fn a_change_of_a_mail_folder_overtakes_its_messages_and_the_counts_of_folders() {
        let scopes = spread_found(&Feed::messages("F"), &[changed("X", "F")], |_| vec![Scope::messages("G")]);
        let names: Vec<&str> = scopes.iter().map(Scope::as_str).collect();
        assert_eq!(names, ["any:mail", "folders", "found:mail", "item:X", "messages:F", "messages:G"]);
    }

    #[test]
    fn what_was_never_seen_overtakes_lists_that_are_not_whole() {
        assert_eq!(names(&[changed("N", "B")]), ["any:files", "children:B", "item:N", "moves:files", "structure", "totals"]);
        let unknown = Found { item: "N".into(), parent: None, gone: true, top: false };
        assert_eq!(names(&[top(), unknown]), ["any:files", "item:N", "moves:files", "structure", "totals"]);
    }
}
