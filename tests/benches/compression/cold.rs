//! Reading what is not in memory: compressed beside not, in two encrypted stores that differ in nothing else.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use anyhow::Context as _;
use m365_cached::{
    cache::{Body, CacheKey, Entry, EntryMeta, Escaped, KeyHash, Reading, Scope, Service, SourceId},
    chance::{Dice as _, OsDice},
    clock::Timestamp,
    ids::AccountId,
    secret::Secret,
    store::{
        Entries as _, Ledger as _, Limits, Put, StoreKeys,
        sqlcipher::{OpenOptions, Sqlcipher},
    },
};
use m365_cached_checks::support::stopwatch::{now, percentile};

use serde::Serialize;

use crate::{answers::Answer, round};

/// Microseconds to read an answer, on average over the answers of the medians of the rounds: compressed, and one as long that is not.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Reads {
    pub(crate) packed_us: f64,
    pub(crate) plain_us: f64,
    pub(crate) ratio: f64,
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

/// Reads every answer in both stores in turn: right after opening, and from the connection's page cache.
pub(crate) async fn compare(answers: &[&Answer], rounds: usize) -> anyhow::Result<[Reads; 2]> {
    let dir = tempfile::tempdir()?;
    let paths = [dir.path().join("packed.db"), dir.path().join("plain.db")];
    let mut keys = Vec::new();
    for (which, path) in paths.iter().enumerate() {
        let store = open(path)?;
        keys = fill(&store, answers, which == 1).await?;
        store.close();
    }
    // After opening or from the page cache; which store; which answer; the rounds.
    let mut times = vec![vec![vec![Vec::new(); keys.len()]; 2]; 2];
    for _ in 0..rounds {
        for (which, path) in paths.iter().enumerate() {
            let store = open(path)?;
            for again in &mut times {
                read(&store, &keys, &mut again[which]).await?;
            }
            store.close();
        }
    }
    let mean = |times: &mut Vec<Vec<Duration>>| {
        let all: f64 = times.iter_mut().map(|times| percentile(times, 0.5).as_secs_f64() * 1e6).sum();
        all / keys.len() as f64
    };
    let mut reads = times.iter_mut().map(|stores| {
        let (packed, plain) = (mean(&mut stores[0]), mean(&mut stores[1]));
        Reads { packed_us: round(packed), plain_us: round(plain), ratio: round(packed / plain.max(1e-3)) }
    });
    Ok([reads.next().context("after opening")?, reads.next().context("from the page cache")?])
}

/// Reads each answer, in an order that is not that of the file, and adds what it took.
async fn read(store: &Sqlcipher, keys: &[KeyHash], times: &mut [Vec<Duration>]) -> anyhow::Result<()> {
    for at in 0..keys.len() {
        let nth = at * 7919 % keys.len();
        let start = now();
        let entry = store.get(keys[nth]).await?;
        times[nth].push(start.elapsed());
        entry.context("an entry is missing")?;
    }
    Ok(())
}

async fn fill(store: &Sqlcipher, answers: &[&Answer], random: bool) -> anyhow::Result<Vec<KeyHash>> {
    let source = SourceId::mailbox("demo", "t1", "o1");
    let state = store.source(&source).await?;
    let reading = Reading { source, epoch: state.epoch, read_seq: state.seq, scopes: vec![Scope::all(Service::Mail)] };
    let mut keys = Vec::new();
    for (number, answer) in answers.iter().enumerate() {
        let text = if random {
            let mut bytes = vec![0; answer.text.0.len()];
            OsDice.fill(&mut bytes);
            Escaped(bytes.into())
        } else {
            answer.text.clone()
        };
        let key = CacheKey::new(answer.tool, AccountId::new("o1.t1"), BTreeMap::from([("limit".to_owned(), number.into())]));
        keys.push(key.hash);
        let meta = EntryMeta { key, readings: vec![reading.clone()], fetch_started: Timestamp(1), etag: None, revision: 0 };
        let put = store.put(Entry { meta, body: Body { text, items: vec![] } }, vec![], Timestamp(2)).await?;
        anyhow::ensure!(matches!(put, Put::Stored { .. }), "not stored: {put:?}");
    }
    Ok(keys)
}
