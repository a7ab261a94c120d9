//! The parts of a stored answer's way: sealing, compressing, the hot tier, tracking.

use std::{collections::BTreeMap, hint::black_box, sync::Arc, time::Duration};

use anyhow::Context as _;
use m365_cached::{
    cache::{Body, CacheKey, Entry, EntryMeta},
    chance::OsDice,
    clock::Timestamp,
    ids::AccountId,
    secret::Secret,
    store::{
        HotTier, Uses,
        sqlcipher::{
            codec::{compress, decompress},
            seal::SealKey,
        },
    },
};
use m365_cached_checks::support::stopwatch::{micros, percentile, timed};

use crate::{
    Figure,
    bodies::{SIZES, Writer},
};

pub(crate) fn run(quick: bool) -> anyhow::Result<Vec<Figure>> {
    let times = if quick { 50 } else { 400 };
    let writer = Writer::new(7);
    let key = SealKey::new(&Secret::new([9; 32]));
    let mut figures = Vec::new();
    for (bytes, at) in SIZES {
        let text = writer.list(bytes).0;
        let times = if bytes > 100_000 { times / 4 } else { times };
        let (codec, packed) = compress(&text);
        figures.push(Figure::new("zstd saved", at, 100.0 - packed.len() as f64 * 100.0 / text.len() as f64, "%"));
        figures.push(Figure::new("zstd compress", at, median(times, || drop(black_box(compress(&text)))), "us"));
        figures.push(Figure::new("zstd decompress", at, median(times, || drop(black_box(decompress(codec, &packed, text.len())))), "us"));
        let sealed = key.seal(&OsDice, b"aad", &[&packed]);
        figures.push(Figure::new("seal", at, median(times, || drop(black_box(key.seal(&OsDice, b"aad", &[&packed])))), "us"));
        // The copy that is opened in place is made outside the timing.
        let mut opened = (0..times).map(|_| {
            let mut copy = sealed.clone();
            timed(|| black_box(key.open(b"aad", &mut copy)).is_some())
        });
        let times: Vec<(bool, Duration)> = opened.by_ref().collect();
        anyhow::ensure!(times.iter().all(|(good, _)| *good), "what was sealed does not open");
        figures.push(Figure::new(
            "unseal",
            at,
            micros(percentile(&mut times.iter().map(|(_, took)| *took).collect::<Vec<_>>(), 0.5)),
            "us",
        ));
    }

    let hot = HotTier::new(64 << 20);
    let account = AccountId::new("o1.t1");
    let mut keys = Vec::new();
    for number in 0..1_000 {
        let key = CacheKey::new("email_list", account.clone(), BTreeMap::from([("limit".to_owned(), number.into())]));
        keys.push(key.hash);
        let meta = EntryMeta { key, readings: vec![], fetch_started: Timestamp(0), etag: None, revision: 1 };
        hot.insert(Arc::new(Entry { meta, body: Body { text: writer.list(2_000), items: vec![] } }), Timestamp(1));
    }
    let uses = Uses::default();
    let rounds = if quick { 20 } else { 200 };
    let get = each(rounds, keys.len(), || keys.iter().for_each(|key| drop(black_box(hot.get(*key)))));
    let both = each(rounds, keys.len(), || {
        for key in &keys {
            drop(black_box(hot.get(*key)));
            uses.record(*key, Timestamp(1));
        }
    });
    let kept = uses.drain().len();
    anyhow::ensure!(kept == keys.len(), "the buffer kept {kept} uses");
    figures.push(Figure::new("hot tier get", "1,000 keys", get, "ns"));
    figures.push(Figure::new("hot tier get, use recorded", "1,000 keys", both, "ns"));
    // A hit takes no less than this end to end (bench `trip`), so that is what tracking is a share of.
    figures.push(Figure::new("tracking as a share of a hit of 100 us", "1,000 keys", (both - get) / 1_000.0, "%"));
    figures.first().context("nothing was measured")?;
    Ok(figures)
}

/// Median of `times` runs, in microseconds.
fn median(times: usize, mut work: impl FnMut()) -> f64 {
    let mut samples: Vec<Duration> = (0..times).map(|_| timed(&mut work).1).collect();
    micros(percentile(&mut samples, 0.5))
}

/// Nanoseconds for one of `count` in a run, median of the runs.
fn each(rounds: usize, count: usize, mut work: impl FnMut()) -> f64 {
    let mut samples: Vec<Duration> = (0..rounds).map(|_| timed(&mut work).1).collect();
    percentile(&mut samples, 0.5).as_secs_f64() * 1e9 / count as f64
}
