//! Making room: what a store tells of its entries so that some can be chosen to go, and how they go. The choice is `cache::room`'s.
//!
//! Every step is small, so that reads come in between, and costs the same whatever the number of entries.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;

use super::StoreError;
use crate::{
    cache::{Group, Held, KeyHash, Order, Place, Share},
    clock::Timestamp,
    ids::AccountId,
};

/// What has gone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Evicted {
    /// The names of the entries, so that they can be dropped from memory, too.
    pub keys: Vec<KeyHash>,
    /// About the bytes on the disk that they took.
    pub bytes: u64,
    /// The same by account and tool.
    pub shares: BTreeMap<Group, Share>,
}

impl Evicted {
    /// One more has gone.
    pub(super) fn add(&mut self, key: KeyHash, group: Group, bytes: u64) {
        self.keys.push(key);
        self.bytes += bytes;
        let share = self.shares.entry(group).or_default();
        (share.entries, share.bytes) = (share.entries + 1, share.bytes + bytes);
    }
}

/// The side of a store that is cleaned up. Every implementation passes `store/room_tests.rs`.
#[async_trait]
pub trait Room: Send + Sync {
    /// What is held now.
    async fn held(&self) -> Result<Held, StoreError>;
    /// Every account and tool that has entries.
    async fn groups(&self) -> Result<Vec<Group>, StoreError>;
    /// When the first and the last fetch of a group's entries began; `None` when it has none.
    async fn fetched(&self, group: &Group) -> Result<Option<(Timestamp, Timestamp)>, StoreError>;
    /// The places of a group behind `after`, the earliest first, at most `most`.
    async fn places(&self, group: &Group, order: Order, after: Option<Place>, most: usize) -> Result<Vec<Place>, StoreError>;
    /// Removes entries that still have these places in `order`: one that was used or fetched again stays.
    async fn evict(&self, order: Order, places: Vec<Place>) -> Result<Evicted, StoreError>;
    /// Gives a little of the room of removed entries back to the file system; whether there is more.
    async fn give_back(&self) -> Result<bool, StoreError>;
}

/// An entry of a store in memory.
pub(super) struct Row {
    pub(super) key: KeyHash,
    pub(super) account: AccountId,
    pub(super) tool: String,
    pub(super) fetched: Timestamp,
    pub(super) used: Timestamp,
    pub(super) bytes: u64,
}

impl Row {
    /// A number as good as a name: half of the hash.
    fn id(&self) -> i64 {
        let (half, _) = self.key.0.split_first_chunk().unwrap_or((&[0; 8], &[]));
        i64::from_le_bytes(*half)
    }

    fn place(&self, order: Order) -> Place {
        let at = match order {
            Order::Fetched => self.fetched,
            Order::Used => self.used,
        };
        Place { at, id: self.id() }
    }
}

/// A store in memory: small enough that its entries are walked.
pub(super) trait Walked: Send + Sync {
    /// Every entry.
    fn rows(&self) -> Vec<Row>;
    /// Removes these.
    fn drop_rows(&self, keys: &[KeyHash]);
}

#[async_trait]
impl<T: Walked> Room for T {
    async fn held(&self) -> Result<Held, StoreError> {
        let mut held = Held::default();
        let mut shares: BTreeMap<AccountId, Share> = BTreeMap::new();
        for row in self.rows() {
            let share = shares.entry(row.account).or_default();
            share.entries += 1;
            share.bytes += row.bytes;
            held.bytes += row.bytes;
        }
        held.accounts = shares.into_iter().collect();
        Ok(held)
    }

    async fn groups(&self) -> Result<Vec<Group>, StoreError> {
        let groups: BTreeSet<Group> = self.rows().into_iter().map(|row| Group { account: row.account, tool: row.tool }).collect();
        Ok(groups.into_iter().collect())
    }

    async fn fetched(&self, group: &Group) -> Result<Option<(Timestamp, Timestamp)>, StoreError> {
        let times = of(self.rows(), group).map(|row| row.fetched);
        Ok(times
            .fold(None, |range, at| Some(range.map_or((at, at), |(first, last): (Timestamp, Timestamp)| (first.min(at), last.max(at))))))
    }

    async fn places(&self, group: &Group, order: Order, after: Option<Place>, most: usize) -> Result<Vec<Place>, StoreError> {
        let mut places: Vec<Place> =
            of(self.rows(), group).map(|row| row.place(order)).filter(|place| after.is_none_or(|after| *place > after)).collect();
        places.sort_unstable();
        places.truncate(most);
        Ok(places)
    }

    async fn evict(&self, order: Order, places: Vec<Place>) -> Result<Evicted, StoreError> {
        let mut evicted = Evicted::default();
        for row in self.rows().into_iter().filter(|row| places.contains(&row.place(order))) {
            evicted.add(row.key, Group { account: row.account, tool: row.tool }, row.bytes);
        }
        self.drop_rows(&evicted.keys);
        Ok(evicted)
    }

    async fn give_back(&self) -> Result<bool, StoreError> {
        Ok(false)
    }
}

fn of(rows: Vec<Row>, group: &Group) -> impl Iterator<Item = Row> {
    rows.into_iter().filter(|row| row.account == group.account && row.tool == group.tool)
}
