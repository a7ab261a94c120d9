//! What every store promises of handles.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{
    conformance_tests::{World, in_memory, volatile},
    *,
};

const DAY: i64 = 24 * 3600 * 1000;

fn things(ids: &[u32]) -> Vec<Thing> {
    ids.iter().map(|id| Thing { letter: 'm', id: format!("AAMkAGI1-{id}") }).collect()
}

fn account(name: &str) -> AccountId {
    AccountId::new(name)
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
}

async fn name(world: &World, whose: &str, ids: &[u32], now: i64) -> Vec<Handle> {
    world.store.name(&account(whose), things(ids), Timestamp(now)).await.unwrap()
}

/// What may happen to a store of handles.
#[derive(Debug, Clone)]
enum Step {
    Name(bool, Vec<u32>),
    Forget(bool, u64),
    Leave(bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let ids = proptest::collection::btree_set(0u32..40, 1..12).prop_map(|ids| ids.into_iter().collect::<Vec<_>>());
    let step = prop_oneof![
        6 => (any::<bool>(), ids).prop_map(|(whose, ids)| Step::Name(whose, ids)),
        1 => (any::<bool>(), 0u64..10).prop_map(|(whose, keep)| Step::Forget(whose, keep)),
        1 => any::<bool>().prop_map(Step::Leave),
    ];
    proptest::collection::vec(step, 1..30)
}

/// Against a model: a handle stays with its thing while that is kept, names nothing afterwards, and is never given to anything else.
async fn holds(world: &World, steps: &[Step]) {
    let whose = |first: bool| if first { "a.t" } else { "b.t" };
    let mut given: BTreeMap<Handle, (&str, u32)> = BTreeMap::new();
    let mut known: BTreeMap<(&str, u32), Handle> = BTreeMap::new();
    for (at, step) in steps.iter().enumerate() {
        match step {
            Step::Name(first, ids) => {
                let handles = name(world, whose(*first), ids, at as i64).await;
                for (id, handle) in ids.iter().zip(handles) {
                    let thing = (whose(*first), *id);
                    assert_eq!(*given.entry(handle).or_insert(thing), thing, "{handle} was given twice");
                    assert_eq!(*known.entry(thing).or_insert(handle), handle, "{thing:?} changed its handle");
                }
            }
            Step::Forget(first, keep) => {
                let held = known.keys().filter(|(account, _)| *account == whose(*first)).count();
                let gone = world.store.forget_handles(&account(whose(*first)), *keep, 3).await.unwrap();
                assert_eq!(gone, held.saturating_sub(*keep as usize).min(3));
            }
            Step::Leave(first) => drop(world.store.remove_account(&account(whose(*first))).await.unwrap()),
        }
        for (handle, (account, id)) in &given {
            match world.store.named(*handle).await.unwrap() {
                Some((whose, named)) => assert_eq!((whose.as_str(), named), (*account, format!("AAMkAGI1-{id}"))),
                None => known.retain(|thing, named| *thing != (*account, *id) || named != handle),
            }
        }
    }
}

proptest! {
    #![proptest_config(crate::chance::cases(64))]
    #[test]
    fn no_handle_is_ever_given_to_another_thing(steps in steps()) {
        run(holds(&in_memory(), &steps));
        run(holds(&volatile(), &steps));
    }
}

#[tokio::test]
async fn what_was_not_shown_for_longest_is_forgotten_first() {
    for world in worlds() {
        let first = name(&world, "a.t", &[1, 2, 3], 0).await;
        assert_eq!(name(&world, "a.t", &[1], 2 * DAY).await, first[..1]);
        assert_eq!(world.store.forget_handles(&account("a.t"), 1, 100).await.unwrap(), 2);
        let left: Vec<bool> = [
            world.store.named(first[0]).await.unwrap().is_some(),
            world.store.named(first[1]).await.unwrap().is_some(),
            world.store.named(first[2]).await.unwrap().is_some(),
        ]
        .into();
        assert_eq!(left, [true, false, false]);
        // The thing may have a new one; the old one stays dead.
        assert_ne!(name(&world, "a.t", &[2], 3 * DAY).await[0], first[1]);
        assert_eq!(world.store.named(first[1]).await.unwrap(), None);
        assert_eq!(world.store.named(Handle::new('e', first[0].number())).await.unwrap(), None, "another letter is another handle");
    }
}

#[tokio::test]
async fn what_stored_answers_show_is_remembered() {
    for world in worlds() {
        assert!(!world.store.show_handles(true).await.unwrap());
        assert!(world.store.show_handles(false).await.unwrap());
        assert!(!world.store.show_handles(false).await.unwrap());
    }
}

fn worlds() -> Vec<World> {
    vec![
        in_memory(),
        volatile(),
        #[cfg(any(feature = "sqlcipher", feature = "system-openssl"))]
        conformance_tests::in_a_file(),
    ]
}

#[cfg(any(feature = "sqlcipher", feature = "system-openssl"))]
mod in_a_file {
    use std::{collections::BTreeSet, sync::Arc};

    use super::*;
    use crate::chance::SeededDice;

    proptest! {
        #![proptest_config(crate::chance::cases(8))]
        #[test]
        fn no_handle_is_ever_given_to_another_thing(steps in steps()) {
            run(holds(&conformance_tests::in_a_file(), &steps));
        }
    }

    fn open(folder: &tempfile::TempDir, put_back: bool) -> sqlcipher::Sqlcipher {
        sqlcipher::Sqlcipher::open(sqlcipher::OpenOptions {
            path: folder.path().join("store.db"),
            keys: StoreKeys { database: Secret::new([1; 32]), wrapping: Secret::new([2; 32]) },
            dice: Arc::new(SeededDice::new(2)),
            new_epochs: put_back,
            limits: Limits::default(),
        })
        .unwrap()
    }

    #[tokio::test]
    async fn handles_outlive_the_process_and_numbers_go_on_behind_those_that_were_reserved() {
        let folder = tempfile::tempdir().unwrap();
        let (whose, now) = (account("a.t"), Timestamp(0));
        let store = open(&folder, false);
        // More than one block.
        let many: Vec<u32> = (0..2_500).collect();
        let first = store.name(&whose, things(&many), now).await.unwrap();
        assert_eq!(first.iter().collect::<BTreeSet<_>>().len(), 2_500);
        drop(store);
        let store = open(&folder, false);
        assert_eq!(store.name(&whose, things(&many), now).await.unwrap(), first);
        let next = store.name(&whose, things(&[9_999]), now).await.unwrap()[0];
        assert!(next.number() > first[2_499].number() && next.number() < first[0].number() + 4_000, "{next}");
        drop(store);
        // A copy that was put back knows nothing of what was given since.
        let store = open(&folder, true);
        let behind = store.name(&whose, things(&[8_888]), now).await.unwrap()[0];
        assert!(behind.number() > next.number() + 1_000, "{behind} {next}");
        assert_eq!(store.named(next).await.unwrap(), Some((whose, "AAMkAGI1-9999".into())));
    }

    #[tokio::test]
    async fn they_are_listed_for_the_person_and_gone_with_the_account() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(&folder, false);
        let whose = account("a.t");
        let handles = store.name(&whose, things(&[1, 2]), Timestamp(0)).await.unwrap();
        let held = store.held_beside(&whose, &[]).await.unwrap();
        assert_eq!(held["handles"][0]["handle"], handles[0].to_string());
        assert_eq!(held["handles"][0]["id"], "AAMkAGI1-1");
        let erasure = Erasure { account: whose.clone(), names: vec![], sources: vec![], by: "me".into(), at: Timestamp(0) };
        assert_eq!(store.left(&erasure).await.unwrap()["handles"], 2);
        store.remove_account(&whose).await.unwrap();
        assert_eq!(store.left(&erasure).await.unwrap()["handles"], 0);
        assert_eq!(store.named(handles[0]).await.unwrap(), None);
        assert!(store.name(&whose, things(&[1]), Timestamp(0)).await.unwrap()[0] > handles[1]);
    }
}
