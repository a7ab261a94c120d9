//! Sources, scopes and what a change touches: the pure half of the rule by which an entry is known to be true.
//!
//! A *source* is one mailbox or one drive on Microsoft's side; a *scope* is a piece of it that can change by itself. Every
//! change bumps the source's `seq` and marks its scopes with it; an entry remembers the `seq` that was read before its fetch
//! began. An entry whose scopes carry no later mark is true. A scope without a row counts as its source's floors, and a row
//! is dropped only after each floor was raised to the row's mark: forgetting errs towards asking again.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use sha2::{Digest, Sha256};

use super::{Check, Feed};
use crate::{clock::Timestamp, ids::AccountId};

/// One mailbox or one drive: `<cloud>/<tenant>/mailbox/<id>`. Two accounts that read one shared mailbox share it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(Arc<str>);

impl SourceId {
    /// The mailbox `id` of `tenant`: mail, calendars, contacts and rules.
    pub fn mailbox(cloud: &str, tenant: &str, id: &str) -> Self {
        Self(format!("{cloud}/{tenant}/mailbox/{id}").into())
    }

    /// The drive `id` of `tenant`.
    pub fn drive(cloud: &str, tenant: &str, id: &str) -> Self {
        Self(format!("{cloud}/{tenant}/drive/{id}").into())
    }

    /// A source as it was spelled by [`SourceId::as_str`].
    pub fn from_text(text: &str) -> Self {
        Self(text.into())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Made at random with a source's record; entries of another epoch are never served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Epoch(pub u64);

/// Position in a source's history: ever rising, persisted.
pub type Seq = u64;

/// Which of a source's services a scope belongs to. Searches depend on the whole of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// Messages and mail folders.
    Mail,
    /// Calendars and events.
    Calendar,
    /// Contacts and contact folders.
    Contacts,
    /// Inbox rules.
    Rules,
    /// Drive items.
    Files,
}

impl Service {
    /// The word used in scope names.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mail => "mail",
            Self::Calendar => "calendar",
            Self::Contacts => "contacts",
            Self::Rules => "rules",
            Self::Files => "files",
        }
    }
}

const FED: &str = "fed:";

/// A piece of a source that can change by itself, by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope(Arc<str>);

impl Scope {
    /// One message, event, contact or drive item.
    pub fn item(id: &str) -> Self {
        Self(format!("item:{id}").into())
    }
    /// The id of the item that it stands for, when it stands for one.
    pub fn item_id(&self) -> Option<&str> {
        self.0.strip_prefix("item:")
    }
    /// The messages of one mail folder.
    pub fn messages(folder: &str) -> Self {
        Self(format!("messages:{folder}").into())
    }
    /// The structure and the counts of the mail folders.
    pub fn folders() -> Self {
        Self("folders".into())
    }
    /// The children of one drive folder.
    pub fn children(folder: &str) -> Self {
        Self(format!("children:{folder}").into())
    }
    /// Drive folders and paths.
    pub fn structure() -> Self {
        Self("structure".into())
    }
    /// What drive folders show of all that is below them: how many children, how large. Every answer that shows a folder depends on it.
    pub fn totals() -> Self {
        Self("totals".into())
    }
    /// The events of one calendar.
    pub fn calendar(id: &str) -> Self {
        Self(format!("calendar:{id}").into())
    }
    /// Which calendars there are.
    pub fn calendars() -> Self {
        Self("calendars".into())
    }
    /// The contacts of one contact folder.
    pub fn contacts(folder: &str) -> Self {
        Self(format!("contacts:{folder}").into())
    }
    /// The inbox rules.
    pub fn rules() -> Self {
        Self("rules".into())
    }
    /// Our own deletes and moves in a service: filters, counts and further pages depend on it.
    pub fn moves(service: Service) -> Self {
        Self(format!("moves:{}", service.as_str()).into())
    }
    /// Anything at all in a service: searches depend on it, and every bump of the service bumps it.
    pub fn any(service: Service) -> Self {
        Self(format!("any:{}", service.as_str()).into())
    }
    /// Which messages there are and what can be searched of them: all of [`Scope::any`] but the marks that [`Touch::Mark`] names. Searches
    /// that do not ask by such a mark depend on it, and on the [`Scope::hit`] of each message they show.
    pub fn found() -> Self {
        Self("found:mail".into())
    }
    /// What a search shows of the marks of one message. By a hash of its id, for a search has many and ids are long: two ids that share one
    /// cost a fetch.
    pub fn hit(id: &str) -> Self {
        let digest = Sha256::digest(id.as_bytes());
        Self(digest.iter().take(8).fold("hit:".to_owned(), |name, byte| name + &format!("{byte:02x}")).into())
    }
    /// Whether it is one that only searches depend on. Their index follows every write some time later.
    pub fn is_of_searches(&self) -> bool {
        ["any:", "found:", "hit:"].iter().any(|kind| self.0.starts_with(kind))
    }
    /// Every entry of the service depends on it; bumped when an id or a container is unknown.
    pub fn all(service: Service) -> Self {
        Self(format!("all:{}", service.as_str()).into())
    }
    /// Not a piece of the source that changes, but the name of the feed that reports every change of the answer it stands in.
    pub fn fed(feed: &Feed) -> Self {
        Self(format!("{FED}{}", feed.as_str()).into())
    }
    /// The feed, when it is such a name.
    pub fn feed(&self) -> Option<&str> {
        self.0.strip_prefix(FED)
    }
    /// A scope as it was spelled by [`Scope::as_str`].
    pub fn from_text(text: &str) -> Self {
        Self(text.into())
    }
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The marks on one scope, or a source's floors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Marks {
    /// `seq` of our own last write to it.
    pub written_at: Seq,
    /// `seq` of somebody else's last change of it that we learnt of.
    pub changed_at: Seq,
    /// Until then the outcome of a write is unknown or shows late: reads are answered and not stored.
    pub unsettled_until: Option<Timestamp>,
}

impl Marks {
    /// Takes in marks learnt elsewhere: each rises, none falls; the unsettled time is replaced.
    pub fn merge(&mut self, other: Marks) {
        self.written_at = self.written_at.max(other.written_at);
        self.changed_at = self.changed_at.max(other.changed_at);
        self.unsettled_until = other.unsettled_until;
    }
}

/// What is known of one source, as the ledger holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceState {
    /// Entries of another epoch are never served.
    pub epoch: Epoch,
    /// Position in history.
    pub seq: Seq,
    /// What a scope without a row counts as.
    pub floors: Marks,
    /// Scopes with a row.
    pub scopes: BTreeMap<Scope, Marks>,
    /// The last check of each feed that an account has a token for.
    pub checked: BTreeMap<(AccountId, Feed), Check>,
}

impl SourceState {
    /// A source just met.
    pub fn new(epoch: Epoch) -> Self {
        Self { epoch, seq: 0, floors: Marks::default(), scopes: BTreeMap::new(), checked: BTreeMap::new() }
    }

    /// The marks of `scope`: its row's, or the floors.
    pub fn marks(&self, scope: &Scope) -> Marks {
        self.scopes.get(scope).copied().unwrap_or(Marks { unsettled_until: None, ..self.floors })
    }

    /// Takes in what a transaction of the ledger changed; of another epoch, nothing. Order does not matter: marks only rise.
    pub fn apply(&mut self, bumped: &Bumped) {
        if self.epoch != bumped.epoch {
            return;
        }
        self.seq = self.seq.max(bumped.seq);
        for (scope, marks) in &bumped.scopes {
            let floors = Marks { unsettled_until: None, ..self.floors };
            self.scopes.entry(scope.clone()).or_insert(floors).merge(*marks);
        }
    }

    /// Forgets the row of `scope`, first raising each floor to its mark.
    pub fn forget(&mut self, scope: &Scope) {
        if let Some(marks) = self.scopes.remove(scope) {
            self.floors.written_at = self.floors.written_at.max(marks.written_at);
            self.floors.changed_at = self.floors.changed_at.max(marks.changed_at);
        }
    }

    /// Takes in what the ledger forgot. A row that was bumped again meanwhile stays.
    pub fn forgotten(&mut self, floors: Marks, dropped: &[Scope]) {
        self.floors.written_at = self.floors.written_at.max(floors.written_at);
        self.floors.changed_at = self.floors.changed_at.max(floors.changed_at);
        for scope in dropped {
            let counted = |marks: &Marks| {
                marks.written_at <= floors.written_at && marks.changed_at <= floors.changed_at && marks.unsettled_until.is_none()
            };
            if self.scopes.get(scope).is_some_and(counted) {
                self.scopes.remove(scope);
            }
        }
    }
}

/// What one transaction of the ledger did to a source's scopes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bumped {
    /// The source.
    pub source: SourceId,
    /// Its epoch.
    pub epoch: Epoch,
    /// Its `seq` after the transaction.
    pub seq: Seq,
    /// The new marks of every scope that was bumped.
    pub scopes: Vec<(Scope, Marks)>,
}

/// One thing a write changes, before ids are looked up in the ledger's `items`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Touch {
    /// The item and every container it is known to be in; all of the service when none is known.
    Item(String),
    /// The same for a mark of a message that no words in it tell and no list is ordered by: whether it was read, its flag, its importance.
    /// Searches that do not ask by it find what they found.
    Mark(String),
    /// A scope by name in which only such a mark is shown otherwise.
    Marked(Scope),
    /// One scope by name.
    Scope(Scope),
    /// Everything of the service.
    All,
}

/// What a write touches: the things, and the service they belong to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Touched {
    /// The mailbox or drive.
    pub source: SourceId,
    /// Which of its services.
    pub service: Service,
    /// The things.
    pub touches: Vec<Touch>,
}

/// An item that an answer shows, with the containers the answer places it in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// The mailbox or drive.
    pub source: SourceId,
    /// Graph's id of the item.
    pub item: String,
    /// Scopes of its containers, such as `messages:<folder>`; may be empty when the answer does not tell.
    pub containers: Vec<Scope>,
}

/// What the reply to our own write taught of an item: it is now in exactly these containers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Learned {
    /// The mailbox or drive.
    pub source: SourceId,
    /// Graph's id of the item.
    pub item: String,
    /// Its containers from now on; empty when it is gone.
    pub containers: Vec<Scope>,
}

/// The scopes that `touched` bumps. `containers_of` answers from the ledger's `items`; `None` means that the id is not known.
///
/// Too much may be bumped only within the containers touched; too little, never: an unknown item bumps all of its service.
pub fn spread(touched: &Touched, mut containers_of: impl FnMut(&str) -> Option<Vec<Scope>>) -> BTreeSet<Scope> {
    let mut scopes = BTreeSet::new();
    let marks_alone = touched.touches.iter().all(|touch| matches!(touch, Touch::Mark(_) | Touch::Marked(_)));
    for touch in &touched.touches {
        match touch {
            Touch::Item(id) | Touch::Mark(id) => {
                scopes.insert(Scope::item(id));
                if matches!(touch, Touch::Mark(_)) {
                    scopes.insert(Scope::hit(id));
                }
                match containers_of(id) {
                    Some(containers) if !containers.is_empty() => scopes.extend(containers),
                    _ => {
                        scopes.insert(Scope::all(touched.service));
                    }
                }
            }
            Touch::Scope(scope) | Touch::Marked(scope) => {
                scopes.insert(scope.clone());
            }
            Touch::All => {
                scopes.insert(Scope::all(touched.service));
            }
        }
    }
    if !scopes.is_empty() {
        scopes.extend(overtaken_searches(touched.service).filter(|scope| !marks_alone || *scope != Scope::found()));
    }
    scopes
}

/// What is bumped with anything in a service, so that its searches are.
pub fn overtaken_searches(service: Service) -> impl Iterator<Item = Scope> {
    std::iter::once(Scope::any(service)).chain((service == Service::Mail).then(Scope::found))
}
