//! What every store promises of making room: groups, orders, and that only what still has its place goes.

use std::{collections::BTreeMap, sync::Arc};

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{
    cache::{Body, CacheKey, Escaped, Group, Held, Order, Place, Reading, Scope, Service},
    chance::SeededDice,
};

trait Cleaned: Entries + Ledger + Room {}
impl<T: Entries + Ledger + Room> Cleaned for T {}

struct World {
    store: Arc<dyn Cleaned>,
    _folder: Option<tempfile::TempDir>,
}

fn worlds() -> Vec<(&'static str, World)> {
    let memory = || Memory::new(Arc::new(SeededDice::new(1)), Limits::default());
    let volatile = Volatile::new(Arc::new(memory()), 1 << 30, Limits::default());
    vec![
        ("memory", World { store: Arc::new(memory()), _folder: None }),
        ("volatile", World { store: Arc::new(volatile), _folder: None }),
        #[cfg(any(feature = "sqlcipher", feature = "system-openssl"))]
        ("file", {
            let folder = tempfile::tempdir().unwrap();
            let store = sqlcipher::Sqlcipher::open(sqlcipher::OpenOptions {
                path: folder.path().join("store.db"),
                keys: StoreKeys { database: Secret::new([1; 32]), wrapping: Secret::new([2; 32]) },
                dice: Arc::new(SeededDice::new(2)),
                new_epochs: false,
                limits: Limits::default(),
            });
            World { store: Arc::new(store.unwrap()), _folder: Some(folder) }
        }),
    ]
}

fn account(nth: u8) -> AccountId {
    AccountId::new(format!("o{nth}.t"))
}

fn group(nth: u8, tool: &str) -> Group {
    Group { account: account(nth), tool: tool.into() }
}

async fn put(store: &dyn Cleaned, group: &Group, number: usize, fetched: i64, at: i64) -> KeyHash {
    let source = SourceId::mailbox("global", "t", "o");
    let state = store.source(&source).await.unwrap();
    let reading = Reading { source, epoch: state.epoch, read_seq: state.seq, scopes: vec![Scope::all(Service::Mail)] };
    let key = CacheKey::new(&*group.tool, group.account.clone(), BTreeMap::from([("n".to_owned(), json!(number))]));
    let hash = key.hash;
    let meta = EntryMeta { key, readings: vec![reading], fetch_started: Timestamp(fetched), etag: None, revision: 0 };
    let body = Body { text: Escaped::from_text("\"a\":1}"), items: vec![] };
    assert!(matches!(store.put(Entry { meta, body }, vec![], Timestamp(at)).await.unwrap(), Put::Stored { .. }));
    hash
}

async fn all(store: &dyn Cleaned, group: &Group, order: Order) -> Vec<Place> {
    store.places(group, order, None, usize::MAX >> 1).await.unwrap()
}

fn times(places: &[Place]) -> Vec<i64> {
    places.iter().map(|place| place.at.0).collect()
}

#[tokio::test]
async fn groups_places_and_shares_are_told_and_only_what_kept_its_place_goes() {
    for (name, world) in worlds() {
        let store = &*world.store;
        assert_eq!((store.groups().await.unwrap(), store.fetched(&group(1, "a")).await.unwrap()), (vec![], None), "{name}");
        let (mail, files, other) = (group(1, "email_list"), group(1, "file_list"), group(2, "email_list"));
        let first = put(store, &mail, 1, 30, 100).await;
        let second = put(store, &mail, 2, 10, 300).await;
        put(store, &mail, 3, 20, 200).await;
        put(store, &files, 1, 5, 5).await;
        put(store, &other, 1, 7, 7).await;
        let mut groups = store.groups().await.unwrap();
        groups.sort();
        assert_eq!(groups, [mail.clone(), files.clone(), other.clone()], "{name}");
        assert_eq!(store.fetched(&mail).await.unwrap(), Some((Timestamp(10), Timestamp(30))), "{name}");
        assert_eq!(times(&all(store, &mail, Order::Fetched).await), [10, 20, 30], "{name}");
        assert_eq!(times(&all(store, &mail, Order::Used).await), [100, 200, 300], "{name}");
        let held = store.held().await.unwrap();
        let entries: Vec<_> = held.accounts.iter().map(|(account, share)| (account.clone(), share.entries)).collect();
        assert_eq!(entries, [(account(1), 4), (account(2), 1)], "{name}");
        assert!(held.bytes > 0 && held.accounts.iter().all(|(_, share)| share.bytes > 0), "{name}");

        // Used, fetched again, and left alone.
        let places = all(store, &mail, Order::Used).await;
        store.touch(vec![EntryUse { key: first, at: Timestamp(400), hits: 1 }]).await.unwrap();
        let evicted = store.evict(Order::Used, places).await.unwrap();
        assert_eq!(evicted.keys.len(), 2, "{name}");
        assert!(evicted.keys.contains(&second) && evicted.bytes > 0, "{name}");
        assert_eq!(times(&all(store, &mail, Order::Used).await), [400], "{name}");
        let places = all(store, &mail, Order::Fetched).await;
        put(store, &mail, 1, 31, 350).await;
        assert_eq!(store.evict(Order::Fetched, places).await.unwrap(), Evicted::default(), "{name}");
        assert_eq!(times(&all(store, &mail, Order::Used).await), [350], "{name}: a clock set back is followed");
        assert_eq!(store.stats().await.unwrap().entries, 3, "{name}");
        assert!(store.get(second).await.unwrap().is_none() && store.get(first).await.unwrap().is_some(), "{name}");
        while store.give_back().await.unwrap() {}
        assert!(store.evict(Order::Used, vec![]).await.unwrap().keys.is_empty());
        let share = |held: Held| held.accounts.into_iter().map(|(_, share)| share.entries).sum::<u64>();
        assert_eq!(share(store.held().await.unwrap()), 3, "{name}");
    }
}

proptest! {
    #![proptest_config(crate::chance::cases(24))]
    /// Read in pieces of any size, the places of a group are its entries in order, each once.
    #[test]
    fn places_are_read_in_pieces(entries in prop::collection::vec((0..3_u8, 0..5_i64, 0..5_i64), 0..40), piece in 1..7_usize) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            for (name, world) in worlds() {
                let store = &*world.store;
                for (number, (who, fetched, used)) in entries.iter().enumerate() {
                    put(store, &group(*who, "email_list"), number, *fetched, *used).await;
                }
                for who in 0..3 {
                    for order in [Order::Fetched, Order::Used] {
                        let of = entries.iter().filter(|(one, ..)| *one == who);
                        let mut expected: Vec<i64> = of.map(|(_, fetched, used)| if order == Order::Used { *used } else { *fetched }).collect();
                        expected.sort_unstable();
                        let (mut read, mut after) = (Vec::new(), None);
                        loop {
                            let places = store.places(&group(who, "email_list"), order, after, piece).await.unwrap();
                            after = places.last().copied().or(after);
                            read.extend(places.iter().copied());
                            if places.len() < piece {
                                break;
                            }
                        }
                        assert!(read.windows(2).all(|two| two[0] < two[1]), "{name}");
                        assert_eq!(times(&read), expected, "{name}");
                    }
                }
            }
        });
    }
}
