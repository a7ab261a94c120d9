//! How much may be kept, and what goes first when it is more: past use, then expired, then least recently used.
//!
//! - *Past use*: fetched longer ago than it may stand in for a failed fetch. It is never served again, unless a check has kept it true so
//!   long; then it is fetched anew.
//! - *Expired*: neither fetched nor used within its stale time. It is good for nothing but standing in while Microsoft cannot be asked,
//!   so it goes after what is past use and before what is still served. A check renews an entry without touching it, which is why use counts.
//! - The rest goes by its last use, and so do the expired among themselves.
//!
//! Only answers go. The ledger (the audit trail, handles, ended tasks, statistics) takes of the same room and is bounded by time alone, so it
//! may come to take most of it. Held to what is left then, each answer would go as soon as it was stored, and nothing would be cached any more
//! without a word: answers keep a quarter of the room whatever the ledger takes, and a person is told.

use std::{collections::VecDeque, time::Duration};

use super::Ttl;
use crate::{clock::Timestamp, ids::AccountId};

/// What an account that has passed its limit keeps of it, in percent: low enough that it is not cut again at once.
const ACCOUNT_KEEPS: u64 = 90;
/// What is left to answers, whatever the ledger takes, in percent.
const ANSWERS_KEEP: u64 = 25;
/// More than this of the room, in percent, is much for a ledger.
const MUCH: u64 = 50;

/// How much may be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoomLimits {
    /// Bytes on the disk, of all accounts; soft: it may be passed for as long as a clean-up takes.
    pub bytes: u64,
    /// Entries of one account.
    pub account_entries: u64,
    /// Bytes of one account's entries, where limited.
    pub account_bytes: Option<u64>,
    /// Share of `bytes`, in percent, at which a clean-up begins.
    pub clean_from: u64,
    /// Share of `bytes`, in percent, at which it ends.
    pub clean_to: u64,
}

impl Default for RoomLimits {
    /// 2 GB, cleaned from 80 % to 60 %, and 10,000 entries an account.
    fn default() -> Self {
        Self { bytes: 2_000_000_000, account_entries: 10_000, account_bytes: None, clean_from: 80, clean_to: 60 }
    }
}

impl RoomLimits {
    /// Bytes that answers may take at `percent`, beside a ledger of so many.
    fn answers(&self, percent: u64, ledger: u64) -> u64 {
        part(self.bytes, percent).saturating_sub(ledger).max(part(part(self.bytes, ANSWERS_KEEP), percent))
    }
}

/// What is kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Held {
    /// Bytes on the disk.
    pub bytes: u64,
    /// By account.
    pub accounts: Vec<(AccountId, Share)>,
}

impl Held {
    /// Bytes of all answers, which are counted and not measured.
    fn answers(&self) -> u64 {
        self.accounts.iter().map(|(_, share)| share.bytes).sum::<u64>().min(self.bytes)
    }

    /// Bytes of everything else, which no clean-up removes.
    pub fn ledger(&self) -> u64 {
        self.bytes - self.answers()
    }

    /// Whether the ledger takes so much that few answers can be kept beside it.
    pub fn is_mostly_ledger(&self, limits: &RoomLimits) -> bool {
        self.ledger() > part(limits.bytes, MUCH)
    }

    /// Whether answers take more than they may at all.
    pub fn is_over(&self, limits: &RoomLimits) -> bool {
        self.answers() > limits.answers(100, self.ledger())
    }
}

/// Entries and their bytes on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Share {
    /// How many.
    pub entries: u64,
    /// What they take.
    pub bytes: u64,
}

/// What is too much.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excess {
    /// Whose entries; `None` for everybody's.
    pub account: Option<AccountId>,
    /// At least so much has to go, of each.
    pub over: Share,
}

/// What has to go for `held` to keep to `limits`, accounts first.
pub fn excess(held: &Held, limits: &RoomLimits) -> Vec<Excess> {
    let beyond = |used: u64, limit: u64| if used > limit { used - part(limit, ACCOUNT_KEEPS) } else { 0 };
    let mut all: Vec<Excess> = held
        .accounts
        .iter()
        .map(|(account, share)| {
            let bytes = limits.account_bytes.map_or(0, |limit| beyond(share.bytes, limit));
            Excess { account: Some(account.clone()), over: Share { entries: beyond(share.entries, limits.account_entries), bytes } }
        })
        .filter(|excess| excess.over != Share::default())
        .collect();
    let (answers, ledger) = (held.answers(), held.ledger());
    if answers > limits.answers(limits.clean_from, ledger) {
        let bytes = answers.saturating_sub(limits.answers(limits.clean_to, ledger));
        all.push(Excess { account: None, over: Share { entries: 0, bytes } });
    }
    all
}

/// `percent` of `whole`.
fn part(whole: u64, percent: u64) -> u64 {
    u64::try_from(u128::from(whole) * u128::from(percent) / 100).unwrap_or(u64::MAX)
}

/// How long after its fetch an entry is of any use.
pub fn of_use(ttl: Ttl) -> Duration {
    ttl.if_error.max(ttl.stale).max(ttl.fresh)
}

/// The answers of one tool for one account: they share their times.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Group {
    /// Whose.
    pub account: AccountId,
    /// Which tool's.
    pub tool: String,
}

/// By what the entries of a group are put in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// By when their fetch began.
    Fetched,
    /// By when they were last stored or used.
    Used,
}

/// An entry's place in such an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// When.
    pub at: Timestamp,
    /// The store's number of the entry.
    pub id: i64,
}

/// A group on its way out: its places by use, as far as they have been read.
#[derive(Debug, Clone)]
pub struct Lane {
    /// Which.
    pub group: Group,
    stale: Duration,
    heads: VecDeque<Place>,
    last: Option<Place>,
    all_read: bool,
}

impl Lane {
    /// Nothing read so far.
    pub fn new(group: Group, ttl: Ttl) -> Self {
        Self { group, stale: ttl.stale.max(ttl.fresh), heads: VecDeque::new(), last: None, all_read: false }
    }

    /// The last place that was read.
    pub fn read_to(&self) -> Option<Place> {
        self.last
    }

    /// Takes in the next places; fewer than were `asked` for are the last ones.
    pub fn extend(&mut self, places: &[Place], asked: usize) {
        self.last = places.last().copied().or(self.last);
        self.all_read = places.len() < asked;
        self.heads.extend(places);
    }

    /// Less goes earlier.
    fn rank(&self, place: Place, now: Timestamp) -> (bool, Timestamp) {
        (now.since(place.at) <= self.stale, place.at)
    }
}

/// What to do next to make room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// These go, the first first.
    Go(Vec<Place>),
    /// More of the lane with this number has to be read first.
    Read(usize),
    /// Nothing is left.
    Nothing,
}

/// The next at most `most` to go, over all lanes.
pub fn next(lanes: &mut [Lane], now: Timestamp, most: usize) -> Next {
    let mut going = Vec::new();
    while going.len() < most {
        if let Some(unread) = lanes.iter().position(|lane| lane.heads.is_empty() && !lane.all_read) {
            return if going.is_empty() { Next::Read(unread) } else { Next::Go(going) };
        }
        let first = lanes.iter_mut().filter_map(|lane| lane.heads.front().map(|head| lane.rank(*head, now)).map(|rank| (rank, lane)));
        let Some((_, lane)) = first.min_by_key(|(rank, _)| *rank) else { break };
        going.extend(lane.heads.pop_front());
    }
    if going.is_empty() { Next::Nothing } else { Next::Go(going) }
}

#[cfg(test)]
#[path = "room_tests.rs"]
mod tests;
