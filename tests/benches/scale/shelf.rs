//! A store of one size, and what is measured in it.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use anyhow::Context as _;
use m365_cached::{
    cache::{Body, CacheKey, Entry, EntryMeta, Escaped, KeyHash, Lane, Next, Order, Reading, Scope, Service, SourceId, Ttl, next},
    chance::OsDice,
    clock::Timestamp,
    ids::AccountId,
    secret::Secret,
    store::{
        Entries as _, EntryUse, Ledger as _, Limits, Put, Room as _, StoreKeys,
        sqlcipher::{OpenOptions, Sqlcipher},
    },
};
use m365_cached_checks::support::stopwatch::{now, percentile};

use crate::bodies::Writer;

/// Bytes of an answer before compression.
const BYTES: usize = 900;
/// Puts that are under way together while a store is filled.
const TOGETHER: usize = 256;
/// Accounts, and tools of each, that the entries are of.
const ACCOUNTS: usize = 4;
const TOOLS: usize = 10;
/// Entries in use.
const WORKING_SET: usize = 200;
/// Puts and removals in a round.
const CHANGED: usize = 320;
/// Removed in one step, and places read at a time: the engine's.
const STEP: usize = 16;
const READ: usize = 128;

/// A store that holds `entries` entries.
pub(crate) struct Shelf {
    pub(crate) entries: usize,
    folder: tempfile::TempDir,
    store: Arc<Sqlcipher>,
    maker: Maker,
    /// The number of the next entry.
    next: usize,
    /// Entries that are read and never removed, since they were used last.
    used: Vec<KeyHash>,
}

#[derive(Clone)]
struct Maker {
    reading: Reading,
    texts: Arc<Vec<Escaped>>,
}

impl Maker {
    fn entry(&self, number: usize) -> Entry {
        let account = AccountId::new(format!("o{}.t1", number % ACCOUNTS));
        let tool = format!("tool_{}", number / ACCOUNTS % TOOLS);
        let key = CacheKey::new(tool, account, BTreeMap::from([("limit".to_owned(), number.into())]));
        let meta = EntryMeta { key, readings: vec![self.reading.clone()], fetch_started: at(number), etag: None, revision: 0 };
        Entry { meta, body: Body { text: self.texts[number % self.texts.len()].clone(), items: vec![] } }
    }
}

/// Later entries are younger.
fn at(number: usize) -> Timestamp {
    Timestamp(1_000_000 + number as i64)
}

fn open(path: &Path) -> anyhow::Result<Sqlcipher> {
    Ok(Sqlcipher::open(OpenOptions {
        path: path.to_owned(),
        keys: StoreKeys { database: Secret::new([1; 32]), wrapping: Secret::new([2; 32]) },
        dice: Arc::new(OsDice),
        new_epochs: false,
        limits: Limits::default(),
    })?)
}

impl Shelf {
    /// Fills a new store through its own door, many puts at once.
    pub(crate) async fn fill(entries: usize) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let store = Arc::new(open(&folder.path().join("store.db"))?);
        let source = SourceId::mailbox("demo", "t1", "o1");
        let state = store.source(&source).await?;
        let reading = Reading { source, epoch: state.epoch, read_seq: state.seq, scopes: vec![Scope::all(Service::Mail)] };
        let writer = Writer::new(11);
        let texts = Arc::new((0..50).map(|_| writer.list(BYTES)).collect());
        let maker = Maker { reading, texts };
        for first in (0..entries).step_by(TOGETHER) {
            let work: Vec<_> = (first..(first + TOGETHER).min(entries))
                .map(|number| {
                    let (store, entry) = (Arc::clone(&store), maker.entry(number));
                    tokio::spawn(async move { store.put(entry, vec![], at(number)).await })
                })
                .collect();
            for put in work {
                anyhow::ensure!(matches!(put.await??, Put::Stored { .. }), "not stored");
            }
        }
        let used = (0..WORKING_SET).map(|nth| maker.entry(entries - 1 - nth * (entries / 2 / WORKING_SET)).meta.key.hash).collect();
        Ok(Self { entries, folder, store, maker, next: entries, used })
    }

    /// Bytes of the file.
    pub(crate) fn file_bytes(&self) -> anyhow::Result<u64> {
        Ok(std::fs::metadata(self.folder.path().join("store.db"))?.len())
    }

    /// Medians of get, put, evict and open.
    pub(crate) async fn round(&mut self) -> anyhow::Result<[Duration; 4]> {
        let uses = self.used.iter().map(|key| EntryUse { key: *key, at: at(self.next + 1_000_000), hits: 1 }).collect();
        self.store.touch(uses).await?;
        let mut gets = Vec::new();
        // Once to warm the pager's cache, then to measure.
        for measured in [false, true, true, true] {
            for key in &self.used {
                let start = now();
                let entry = self.store.get(*key).await?;
                if measured {
                    gets.push(start.elapsed());
                }
                entry.context("an entry is missing")?;
            }
        }
        let mut puts = Vec::new();
        for number in self.next..self.next + CHANGED {
            let entry = self.maker.entry(number);
            let start = now();
            let put = self.store.put(entry, vec![], at(number)).await?;
            puts.push(start.elapsed());
            anyhow::ensure!(matches!(put, Put::Stored { .. }), "not stored");
        }
        self.next += CHANGED;
        let evict = self.evict().await?;
        Ok([percentile(&mut gets, 0.5), percentile(&mut puts, 0.5), evict, self.reopen().await?])
    }

    /// Removes as many as were put, the longest unused first, as a clean-up does; what one took, choosing included.
    async fn evict(&self) -> anyhow::Result<Duration> {
        let start = now();
        let groups = self.store.groups().await?;
        let mut lanes: Vec<Lane> = groups.into_iter().map(|group| Lane::new(group, Ttl::seconds(0, 0))).collect();
        let mut gone = 0;
        while gone < CHANGED {
            match next(&mut lanes, at(self.next), STEP) {
                Next::Go(places) => gone += self.store.evict(Order::Used, places).await?.keys.len(),
                Next::Read(nth) => {
                    let lane = &mut lanes[nth];
                    let places = self.store.places(&lane.group, Order::Used, lane.read_to(), READ).await?;
                    lane.extend(&places, READ);
                }
                Next::Nothing => anyhow::bail!("nothing is left to remove"),
            }
        }
        Ok(start.elapsed() / CHANGED as u32)
    }

    /// Closes the file, opens it and reads one entry.
    async fn reopen(&mut self) -> anyhow::Result<Duration> {
        self.store.close();
        let start = now();
        let store = Arc::new(open(&self.folder.path().join("store.db"))?);
        let entry = store.get(self.used[0]).await?;
        let took = start.elapsed();
        entry.context("an entry is missing")?;
        self.store = store;
        Ok(took)
    }
}
