//! Damaged files: no wrong byte is ever served, nothing panics, and the store goes on with what is whole.

use std::collections::BTreeSet;

use super::{
    tests::{Profile, account, entry, put},
    *,
};
use crate::chance::{Dice, SeededDice};

const PAGE: usize = 4096;

/// Bodies from half a page to many pages, of bytes that do not compress.
async fn fill(store: &Sqlcipher, count: usize) -> Vec<Entry> {
    let dice = SeededDice::new(5);
    let mut all = Vec::new();
    for number in 0..count {
        let text = format!("\"noise\":\"{}\"}}", dice.hex(1000 + (number % 7) * 4000));
        let kept = entry(store, &account("a"), number, &text).await;
        put(store, &kept).await;
        all.push(kept);
    }
    all
}

#[tokio::test]
async fn one_flipped_bit_anywhere_never_serves_a_wrong_byte() {
    flips(60, 60).await;
}

#[tokio::test]
#[ignore = "minutes: cargo campaign safety --only pages"]
async fn flipped_bits_in_five_hundred_pages() {
    let count = crate::figure::size(500);
    flips(count, 250).await;
    crate::figure::tell("pages", count, 0);
}

/// Flips a bit in each of so many pages of a store with so many answers, one after the other.
async fn flips(count: usize, answers: usize) {
    let profile = Profile::new();
    let store = profile.open().unwrap();
    let all = fill(&store, answers).await;
    drop(store);
    let whole = std::fs::read(profile.path()).unwrap();
    let pages = whole.len() / PAGE;
    assert!(pages > count, "{pages}");
    let dice = SeededDice::new(6);
    let below = |most: usize| usize::try_from(dice.number()).unwrap() % most;
    let mut chosen = BTreeSet::from([0]);
    while chosen.len() < count {
        chosen.insert(below(pages));
    }
    let mut refused = BTreeSet::new();
    let (mut hits, mut misses, mut unopened, mut reopened) = (0, 0, 0, 0);
    for (tried, page) in chosen.into_iter().enumerate() {
        if tried % 20 == 19 {
            crate::figure::tell("pages", tried, 0);
        }
        let mut bytes = whole.clone();
        bytes[page * PAGE + below(PAGE)] ^= 1 << below(8);
        std::fs::write(profile.path(), &bytes).unwrap();
        let store = match profile.open() {
            Ok(store) => store,
            // The first page, or one every opening needs: refused, not guessed at.
            Err(StoreError::WrongKey(_) | StoreError::Damaged(_)) => {
                unopened += 1;
                assert!(std::fs::read(profile.path()).unwrap() == bytes, "a file that does not open is not changed");
                continue;
            }
            Err(other) => panic!("page {page}: {other}"),
        };
        let mut lost = 0;
        for kept in &all {
            match store.get(kept.meta.key.hash).await.unwrap() {
                Some(seen) => assert!(seen == *kept, "page {page}: a wrong answer"),
                None => lost += 1,
            }
        }
        hits += all.len() - lost;
        misses += lost;
        reopened += store.reopened();
        // What was lost is stored again, or the damage is reported; either way what is whole is still served.
        for kept in &all {
            match store.put(kept.clone(), vec![], Timestamp(10)).await {
                Ok(stored) => assert!(matches!(stored, Put::Stored { .. })),
                Err(error) => {
                    refused.insert(page);
                    assert!(matches!(error, StoreError::Damaged(_)), "page {page}: {error}");
                }
            }
            if let Some(seen) = store.get(kept.meta.key.hash).await.unwrap() {
                assert!(seen.body == kept.body, "page {page}: a wrong answer");
            }
        }
        drop(store);
        let _ = std::fs::remove_file(profile.place().beside("-wal"));
        let _ = std::fs::remove_file(profile.place().beside("-shm"));
    }
    // What is left are pages every store must pass: the only ones of small tables, inner ones of an index, and the last one.
    assert!(refused.len() * 12 <= count, "no answer could be stored with these pages damaged: {refused:?}");
    assert!(
        hits * 2 > count * answers && misses > 0 && reopened > 0,
        "hits {hits}, misses {misses}, not opened {unopened}, reopened {reopened}"
    );
}

#[tokio::test]
async fn a_file_cut_off_serves_nothing_wrong() {
    let profile = Profile::new();
    let store = profile.open().unwrap();
    let all = fill(&store, 20).await;
    drop(store);
    let whole = std::fs::read(profile.path()).unwrap();
    for part in 1..8 {
        std::fs::write(profile.path(), &whole[..whole.len() * part / 8]).unwrap();
        let Ok(store) = profile.open() else { continue };
        for kept in &all {
            if let Some(seen) = store.get(kept.meta.key.hash).await.unwrap() {
                assert!(seen == *kept, "{part}/8");
            }
        }
        drop(store);
        let _ = std::fs::remove_file(profile.place().beside("-wal"));
        let _ = std::fs::remove_file(profile.place().beside("-shm"));
    }
}

#[tokio::test]
async fn damage_while_the_store_is_open_is_a_miss_and_it_goes_on() {
    let profile = Profile::new();
    let store = profile.open().unwrap();
    let all = fill(&store, 40).await;
    store.close();
    drop(store);
    // Pages of bodies, but the last one: what is stored next goes there.
    let pages: Vec<usize> = {
        let conn = profile.place().open().unwrap();
        let mut named =
            conn.prepare("SELECT pageno FROM dbstat WHERE name = 'cache_bodies' AND pagetype <> 'internal' ORDER BY path").unwrap();
        let pages = named.query_map([], |row| row.get::<_, i64>(0)).unwrap();
        pages.map(|page| usize::try_from(page.unwrap() - 1).unwrap()).collect()
    };
    let store = profile.open().unwrap();
    let mut bytes = std::fs::read(profile.path()).unwrap();
    for page in pages[..pages.len() - 1].iter().step_by(9) {
        bytes[page * PAGE + 77] ^= 4;
    }
    std::fs::write(profile.path(), bytes).unwrap();
    let mut lost = 0;
    for kept in &all {
        match store.get(kept.meta.key.hash).await.unwrap() {
            Some(seen) => assert!(seen == *kept),
            None => lost += 1,
        }
    }
    assert!(lost > 0 && lost < all.len(), "lost {lost}");
    let health = store.health_check().await;
    assert_eq!(health.damaged, u64::try_from(lost).unwrap());
    assert!(store.reopened() > 0);
    let more = entry(&store, &account("a"), 1000, "\"a\":1}").await;
    put(&store, &more).await;
    assert_eq!(store.get(more.meta.key.hash).await.unwrap(), Some(more), "it stores and serves again");
}
