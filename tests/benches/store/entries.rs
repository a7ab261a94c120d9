//! Whole entries through the store itself: get and put, encrypted beside plain; and how opening depends on size.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use anyhow::Context as _;
use futures::join_all;
use m365_cached::{
    cache::{Body, CacheKey, Entry, EntryMeta, Escaped, KeyHash, Reading, Scope, Service, SourceId},
    chance::OsDice,
    clock::Timestamp,
    ids::AccountId,
    secret::Secret,
    store::{
        Entries as _, Ledger as _, Limits, Put, StoreKeys,
        sqlcipher::{OpenOptions, Sqlcipher},
    },
};
use m365_cached_checks::support::stopwatch::{micros, now, percentile};

use crate::{
    Figure,
    bodies::{SIZES, Writer},
};

mod futures {
    //! Waiting for many at once, without a crate for it.

    /// Runs all at once and waits for all.
    pub(super) async fn join_all<T: Send + 'static>(work: Vec<impl Future<Output = T> + Send + 'static>) -> anyhow::Result<Vec<T>> {
        let mut done = Vec::with_capacity(work.len());
        for task in work.into_iter().map(tokio::spawn).collect::<Vec<_>>() {
            done.push(task.await?);
        }
        Ok(done)
    }
}

fn options(path: &Path) -> OpenOptions {
    OpenOptions {
        path: path.to_owned(),
        keys: StoreKeys { database: Secret::new([1; 32]), wrapping: Secret::new([2; 32]) },
        dice: Arc::new(OsDice),
        new_epochs: false,
        limits: Limits::default(),
    }
}

fn open(path: &Path, cipher: bool) -> anyhow::Result<Sqlcipher> {
    Ok(if cipher { Sqlcipher::open(options(path))? } else { Sqlcipher::open_plain_for_bench(options(path))? })
}

/// Makes entries for one source.
struct Maker {
    reading: Reading,
}

impl Maker {
    async fn of(store: &Sqlcipher) -> anyhow::Result<Self> {
        let source = SourceId::mailbox("demo", "t1", "o1");
        let state = store.source(&source).await?;
        let reading = Reading { source, epoch: state.epoch, read_seq: state.seq, scopes: vec![Scope::all(Service::Mail)] };
        Ok(Self { reading })
    }

    fn entry(&self, number: usize, text: Escaped) -> Entry {
        let key = CacheKey::new("email_list", AccountId::new("o1.t1"), BTreeMap::from([("limit".to_owned(), number.into())]));
        let meta = EntryMeta { key, readings: vec![self.reading.clone()], fetch_started: Timestamp(1), etag: None, revision: 0 };
        Entry { meta, body: Body { text, items: vec![] } }
    }
}

/// Puts `count` entries one after the other; what each took, and their keys.
async fn fill(store: &Sqlcipher, first: usize, count: usize, texts: &[Escaped]) -> anyhow::Result<(Vec<Duration>, Vec<KeyHash>)> {
    let maker = Maker::of(store).await?;
    let (mut times, mut keys) = (Vec::new(), Vec::new());
    for number in first..first + count {
        let entry = maker.entry(number, texts[number % texts.len()].clone());
        keys.push(entry.meta.key.hash);
        let start = now();
        let put = store.put(entry, vec![], Timestamp(2)).await?;
        times.push(start.elapsed());
        anyhow::ensure!(matches!(put, Put::Stored { .. }), "not stored: {put:?}");
    }
    Ok((times, keys))
}

/// Gets every key once, in an order that is not that of the file; what each took.
async fn gets(store: &Sqlcipher, keys: &[KeyHash]) -> anyhow::Result<Vec<Duration>> {
    let mut times = Vec::with_capacity(keys.len());
    for at in 0..keys.len() {
        let key = keys[at * 7919 % keys.len()];
        let start = now();
        let entry = store.get(key).await?;
        times.push(start.elapsed());
        entry.context("an entry is missing")?;
    }
    Ok(times)
}

/// Get and put, encrypted beside plain, in turn.
pub(crate) async fn run(quick: bool) -> anyhow::Result<Vec<Figure>> {
    let (rounds, mut figures) = (if quick { 3 } else { 7 }, Vec::new());
    for (bytes, at) in SIZES {
        let count = if bytes > 100_000 { 20 } else { 200 };
        let writer = Writer::new(bytes as u64);
        let texts: Vec<Escaped> = (0..20).map(|_| writer.list(bytes)).collect();
        let dir = tempfile::tempdir()?;
        let stores = [open(&dir.path().join("cipher.db"), true)?, open(&dir.path().join("plain.db"), false)?];
        let (mut put, mut get) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
        for round in 0..rounds {
            for (which, store) in stores.iter().enumerate() {
                let (mut puts, keys) = fill(store, round * count, count, &texts).await?;
                put[which].push(percentile(&mut puts, 0.5));
                // Once to warm the pager's cache, once to measure.
                gets(store, &keys).await?;
                get[which].push(percentile(&mut gets(store, &keys).await?, 0.5));
            }
        }
        for (name, times) in [("get", &mut get), ("put", &mut put)] {
            let middle = times.each_mut().map(|times| micros(percentile(times, 0.5)));
            figures.push(Figure::new(format!("{name} cipher"), at, middle[0], "us"));
            figures.push(Figure::new(format!("{name} plain"), at, middle[1], "us"));
            figures.push(Figure::new(format!("{name} cipher/plain"), at, middle[0] / middle[1].max(0.001), "times"));
        }
        stores.iter().for_each(Sqlcipher::close);
    }
    Ok(figures)
}

/// From opening the file to the first answer: a small store beside a large one.
pub(crate) async fn opening(quick: bool) -> anyhow::Result<Vec<Figure>> {
    let (small, large) = (1_000_000, if quick { 100_000_000 } else { 1_000_000_000 });
    let (times, mut middles, mut figures) = (if quick { 5 } else { 15 }, Vec::new(), Vec::new());
    let dir = tempfile::tempdir()?;
    let mut files = Vec::new();
    for (name, bytes) in [("small.db", small), ("large.db", large)] {
        let path = dir.path().join(name);
        let store = Arc::new(open(&path, true)?);
        let keys = bulk(&store, bytes).await?;
        store.close();
        files.push((path, keys));
    }
    let mut samples = vec![Vec::new(); files.len()];
    for nth in 0..times {
        for (which, (path, keys)) in files.iter().enumerate() {
            let start = now();
            let store = open(path, true)?;
            let entry = store.get(keys[nth * 31 % keys.len()]).await?;
            samples[which].push(start.elapsed());
            entry.context("an entry is missing")?;
            store.close();
        }
    }
    for ((path, _), times) in files.iter().zip(&mut samples) {
        let middle = percentile(times, 0.5).as_secs_f64() * 1000.0;
        let megabytes = std::fs::metadata(path)?.len() as f64 / 1e6;
        figures.push(Figure::new("open to first hit", format!("{megabytes:.0} MB file"), middle, "ms"));
        middles.push(middle);
    }
    figures.push(Figure::new("open to first hit, large/small", "", middles[1] / middles[0].max(0.001), "times"));
    Ok(figures)
}

/// Fills a store with about `bytes` on disk, many puts at once; the keys.
async fn bulk(store: &Arc<Sqlcipher>, bytes: usize) -> anyhow::Result<Vec<KeyHash>> {
    // Random letters hardly compress, so that the file gets its size with few entries.
    let size = 50_000;
    let mut random = vec![0; size];
    let maker = Arc::new(Maker::of(store).await?);
    let mut keys = Vec::new();
    for chunk in 0..(bytes * 4 / 3 / size).div_ceil(64).max(1) {
        let mut work = Vec::new();
        for nth in 0..64.min((bytes * 4 / 3 / size).max(1)) {
            m365_cached::chance::Dice::fill(&OsDice, &mut random);
            let text: Vec<u8> = random.iter().map(|byte| b'0' + byte % 64).map(|byte| if byte == b'\\' { b'_' } else { byte }).collect();
            let entry = maker.entry(chunk * 64 + nth, Escaped(text.into()));
            keys.push(entry.meta.key.hash);
            let store = Arc::clone(store);
            work.push(async move { store.put(entry, vec![], Timestamp(2)).await });
        }
        for put in join_all(work).await? {
            anyhow::ensure!(matches!(put?, Put::Stored { .. }), "not stored");
        }
    }
    Ok(keys)
}
