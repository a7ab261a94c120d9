//! What calls came to since the start: a cell for each tool and each client of an account, counted with atomics alone.
//!
//! A hit adds to five numbers in each of two cells. No lock is taken and nothing is allocated, except when a cell is used for the first
//! time. Cells are found by a walk over the few accounts and clients there are, and by the tool's place in the catalogue.

use std::{
    collections::BTreeMap,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use crate::{
    ids::AccountId,
    store::{
        About, Counts, Times,
        statistics::{BUCKETS, bucket_of},
    },
};

/// Accounts with cells of their own; calls of further ones are not counted. Nobody signs in to so many.
const ACCOUNTS: usize = 128;
/// Clients with a cell of their own; further names are counted under [`OTHER`].
const CLIENTS: usize = 24;
/// Characters of a client's name.
const NAME: usize = 48;
/// The name of the clients that have no cell of their own.
pub(super) const OTHER: &str = "other";
/// The name of a client that gives none.
const UNNAMED: &str = "mcp";
/// The name under which background refreshes are counted.
const WORKER: &str = "worker";

/// A client, by its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::engine) struct ClientPlace(usize);

impl ClientPlace {
    /// That of clients without a cell of their own.
    pub(super) const OTHER: Self = Self(CLIENTS);
}

#[derive(Debug)]
struct TimeCells {
    buckets: [AtomicU64; BUCKETS],
    sum: AtomicU64,
}

impl Default for TimeCells {
    fn default() -> Self {
        Self { buckets: std::array::from_fn(|_| AtomicU64::new(0)), sum: AtomicU64::new(0) }
    }
}

impl TimeCells {
    fn note(&self, micros: u64) {
        if let Some(bucket) = self.buckets.get(bucket_of(micros)) {
            bucket.fetch_add(1, Relaxed);
        }
        self.sum.fetch_add(micros, Relaxed);
    }

    fn read(&self) -> Times {
        let counts = self.buckets.iter().map(|bucket| bucket.load(Relaxed)).enumerate();
        Times { buckets: counts.filter(|(_, count)| *count > 0).collect(), sum: self.sum.load(Relaxed) }
    }

    fn clear(&self) {
        self.buckets.iter().chain([&self.sum]).for_each(|number| number.store(0, Relaxed));
    }
}

/// The counts of one tool or client.
#[derive(Debug, Default)]
pub(super) struct Cell {
    pub(super) hits: AtomicU64,
    pub(super) stale_hits: AtomicU64,
    pub(super) misses: AtomicU64,
    pub(super) bypassed: AtomicU64,
    pub(super) coalesced: AtomicU64,
    pub(super) stale_if_error: AtomicU64,
    pub(super) refreshes: AtomicU64,
    pub(super) saved_milli: AtomicU64,
    pub(super) fetches: AtomicU64,
    pub(super) requests: AtomicU64,
    pub(super) checks: AtomicU64,
    pub(super) evicted: AtomicU64,
    pub(super) evicted_bytes: AtomicU64,
    hit_times: TimeCells,
    fetch_times: TimeCells,
    /// Requests a fetch took in the mean, in thousandths; 0 while none is known. Of tools alone.
    cost_milli: AtomicU64,
}

impl Cell {
    pub(super) fn hit_in(&self, micros: u64) {
        self.hit_times.note(micros);
    }

    pub(super) fn fetched_in(&self, micros: u64) {
        self.fetch_times.note(micros);
    }

    /// What one fetch takes, in thousandths of a request. A tool that was not fetched yet is taken to need one.
    pub(super) fn cost(&self) -> u64 {
        match self.cost_milli.load(Relaxed) {
            0 => 1000,
            known => known,
        }
    }

    /// A fetch took so many requests.
    pub(super) fn asked(&self, requests: u64) {
        self.fetches.fetch_add(1, Relaxed);
        self.requests.fetch_add(requests, Relaxed);
    }

    /// Counts the fetch into the mean: the latest weighs an eighth, so that it follows a mailbox that grows.
    pub(super) fn learn_cost(&self, requests: u64) {
        let now = requests.saturating_mul(1000);
        let known = self.cost_milli.load(Relaxed);
        let mean = if known == 0 { now } else { (known.saturating_mul(7).saturating_add(now)) / 8 };
        // Of two fetches that end at once one may be lost: it is a mean.
        self.cost_milli.store(mean, Relaxed);
    }

    /// The mean of an earlier run, unless one of this run is known.
    pub(super) fn remember_cost(&self, milli: u64) {
        // Somebody was faster: theirs is newer.
        let _ = self.cost_milli.compare_exchange(0, milli, Relaxed, Relaxed);
    }

    pub(super) fn read(&self) -> Counts {
        let read = |number: &AtomicU64| number.load(Relaxed);
        Counts {
            hits: read(&self.hits),
            stale_hits: read(&self.stale_hits),
            misses: read(&self.misses),
            bypassed: read(&self.bypassed),
            coalesced: read(&self.coalesced),
            stale_if_error: read(&self.stale_if_error),
            refreshes: read(&self.refreshes),
            saved_milli: read(&self.saved_milli),
            fetches: read(&self.fetches),
            requests: read(&self.requests),
            checks: read(&self.checks),
            evicted: read(&self.evicted),
            evicted_bytes: read(&self.evicted_bytes),
            hit_times: self.hit_times.read(),
            fetch_times: self.fetch_times.read(),
        }
    }

    fn clear(&self) {
        let numbers = [
            &self.hits,
            &self.stale_hits,
            &self.misses,
            &self.bypassed,
            &self.coalesced,
            &self.stale_if_error,
            &self.refreshes,
            &self.saved_milli,
            &self.fetches,
            &self.requests,
            &self.checks,
            &self.evicted,
            &self.evicted_bytes,
            &self.cost_milli,
        ];
        numbers.into_iter().for_each(|number| number.store(0, Relaxed));
        self.hit_times.clear();
        self.fetch_times.clear();
    }
}

type Lazy = OnceLock<Box<Cell>>;

/// The cells of one account.
struct AccountCells {
    account: AccountId,
    tools: Box<[Lazy]>,
    clients: [Lazy; CLIENTS + 1],
}

/// Every cell.
pub(super) struct Cells {
    /// Names in the catalogue, in order; a tool's place in it is its place in [`AccountCells::tools`].
    names: Box<[&'static str]>,
    accounts: Box<[OnceLock<AccountCells>]>,
    clients: [OnceLock<Box<str>>; CLIENTS],
}

impl Default for Cells {
    fn default() -> Self {
        let mut names: Vec<&'static str> = crate::tools::all().map(|tool| tool.name).collect();
        names.sort_unstable();
        Self {
            names: names.into(),
            accounts: std::iter::repeat_with(OnceLock::new).take(ACCOUNTS).collect(),
            clients: std::array::from_fn(|_| OnceLock::new()),
        }
    }
}

impl Cells {
    /// The place of a client that calls itself `name`.
    pub(super) fn client(&self, name: &str) -> ClientPlace {
        let known = |name: &str| self.clients.iter().map_while(OnceLock::get).position(|known| **known == *name);
        if let Some(place) = known(name) {
            return ClientPlace(place);
        }
        let cleaned: String = name.trim().chars().filter(|letter| !letter.is_control()).take(NAME).collect();
        let name = if cleaned.is_empty() { UNNAMED } else { &cleaned };
        for (place, slot) in self.clients.iter().enumerate() {
            // Two that come at once agree on whose the slot is, and the second goes on to the next.
            if **slot.get_or_init(|| name.into()) == *name {
                return ClientPlace(place);
            }
        }
        ClientPlace::OTHER
    }

    /// The name of the client at that place.
    pub(super) fn client_name(&self, place: ClientPlace) -> &str {
        self.clients.get(place.0).and_then(OnceLock::get).map_or(OTHER, |name| name)
    }

    /// The place of background refreshes.
    pub(super) fn worker(&self) -> ClientPlace {
        self.client(WORKER)
    }

    fn account(&self, account: &AccountId) -> Option<&AccountCells> {
        let new = || AccountCells {
            account: account.clone(),
            tools: std::iter::repeat_with(OnceLock::new).take(self.names.len()).collect(),
            clients: std::array::from_fn(|_| OnceLock::new()),
        };
        self.accounts.iter().map(|slot| slot.get_or_init(new)).find(|cells| cells.account == *account)
    }

    /// The cell of a tool of `account`; `None` for a name that is not in the catalogue or one account too many.
    pub(super) fn tool(&self, account: &AccountId, tool: &str) -> Option<&Cell> {
        let place = self.names.binary_search(&tool).ok()?;
        self.account(account)?.tools.get(place).map(|cell| &**cell.get_or_init(Box::default))
    }

    /// The cells of a call: its tool's and its client's.
    pub(super) fn of(&self, account: &AccountId, tool: &str, client: ClientPlace) -> Option<[&Cell; 2]> {
        let place = self.names.binary_search(&tool).ok()?;
        let cells = self.account(account)?;
        Some([cells.tools.get(place)?, cells.clients.get(client.0)?].map(|cell| &**cell.get_or_init(Box::default)))
    }

    /// Every cell that was used, with whose and what it counts.
    pub(super) fn read(&self) -> BTreeMap<(AccountId, About), Counts> {
        let mut all = BTreeMap::new();
        for cells in self.accounts.iter().map_while(OnceLock::get) {
            for (name, cell) in self.names.iter().zip(&cells.tools) {
                let Some(cell) = cell.get() else { continue };
                all.insert((cells.account.clone(), About::Tool((*name).to_owned())), cell.read());
            }
            let names = self.clients.iter().map(|slot| slot.get().map_or(OTHER, |name| name)).chain([OTHER]);
            for (name, cell) in names.zip(&cells.clients) {
                let Some(cell) = cell.get() else { continue };
                // One that calls itself `other` is counted with the others.
                all.entry((cells.account.clone(), About::Client(name.to_owned()))).or_insert_with(Counts::default).add(&cell.read());
            }
        }
        all
    }

    /// Forgets what was counted for an account.
    pub(super) fn clear(&self, account: &AccountId) {
        let cells = self.accounts.iter().map_while(OnceLock::get).find(|cells| cells.account == *account);
        let Some(cells) = cells else { return };
        cells.tools.iter().chain(&cells.clients).filter_map(OnceLock::get).for_each(|cell| cell.clear());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_have_places_as_long_as_there_are_any() {
        let cells = Cells::default();
        let first = cells.client("claude");
        assert_eq!((cells.client(" claude\n"), cells.client("claude")), (first, first));
        assert_eq!(cells.client(""), cells.client("\u{7}"), "one without a name");
        for number in 0..100 {
            cells.client(&format!("client {number}"));
        }
        assert_eq!(cells.client("one more"), ClientPlace(CLIENTS));
        assert_eq!(cells.client("claude"), first);
        let account = AccountId::new("a.t");
        for name in ["one more", "and another", OTHER] {
            let cell = cells.of(&account, "email_list", cells.client(name)).unwrap()[1];
            cell.hits.fetch_add(1, Relaxed);
        }
        assert_eq!(cells.read()[&(account, About::Client(OTHER.into()))].hits, 3);
    }

    #[test]
    fn accounts_do_not_meet_and_one_that_leaves_leaves_nothing() {
        let cells = Cells::default();
        let [a, b] = ["a.t", "b.t"].map(AccountId::new);
        cells.tool(&a, "email_list").unwrap().hits.fetch_add(2, Relaxed);
        cells.tool(&b, "email_list").unwrap().hits.fetch_add(3, Relaxed);
        cells.tool(&b, "email_list").unwrap().learn_cost(4);
        let tool = || About::Tool("email_list".into());
        assert_eq!((cells.read()[&(a.clone(), tool())].hits, cells.read()[&(b.clone(), tool())].hits), (2, 3));
        cells.clear(&b);
        assert_eq!((cells.read()[&(a.clone(), tool())].hits, cells.read()[&(b.clone(), tool())].hits), (2, 0));
        assert_eq!(cells.tool(&b, "email_list").unwrap().cost(), 1000);
        assert!(cells.tool(&a, "no such tool").is_none());
        for number in 0..ACCOUNTS {
            cells.tool(&AccountId::new(format!("{number}")), "email_list");
        }
        assert!(cells.tool(&AccountId::new("too many"), "email_list").is_none());
        assert!(cells.tool(&b, "email_list").is_some());
    }

    #[test]
    fn the_cost_of_a_fetch_is_a_mean_that_follows() {
        let cell = Cell::default();
        assert_eq!(cell.cost(), 1000, "at least one request");
        cell.remember_cost(4_000);
        assert_eq!(cell.cost(), 4000);
        cell.remember_cost(9_000);
        (0..40).for_each(|_| cell.learn_cost(2));
        assert!((2_000..2_100).contains(&cell.cost()), "{}", cell.cost());
    }
}
