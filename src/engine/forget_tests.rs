//! Forgetting by its own trigger: thousands of items, a mailbox nobody reads any more, totals that were tampered with.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use serde_json::{Value, json};

use super::*;
use crate::{
    cache::{Bounds, Scope, SourceSize},
    chance::SeededDice,
    clock::{Clock as _, ManualClock},
    engine::testing::{self, Scripted, call, mailbox, reply},
    store::{Ledger as _, Limits, Memory},
};

const BOUNDS: Bounds = Bounds { per_source: 500, total: 600 };

/// A mailbox with as many folders and messages as are asked for; each list shows fifty.
fn graph() -> Arc<Scripted> {
    Scripted::new(|request| {
        let parts: Vec<&str> = request.path.trim_start_matches('/').split('/').collect();
        match parts.as_slice() {
            ["me", "mailFolders", folder, "messages"] => {
                let message = |nth| json!({ "id": format!("{folder}-{nth}"), "subject": "s", "isRead": false, "parentFolderId": folder });
                reply(json!({ "value": (0..50).map(message).collect::<Vec<Value>>() }))
            }
            ["me", "messages", id] => {
                let folder = id.split_once('-').unwrap().0;
                reply(json!({ "id": id, "subject": "s", "isRead": true, "parentFolderId": folder }))
            }
            other => panic!("{other:?}"),
        }
    })
}

async fn engine(memory: &Arc<Memory>, graph: &Arc<Scripted>, clock: &Arc<ManualClock>) -> Arc<Engine> {
    memory.save_account(testing::account()).await.unwrap();
    let dice = Arc::new(SeededDice::new(7));
    testing::engine_with(memory.clone(), memory.clone(), graph.remote(), clock.clone(), dice, |parts| parts.policy.bounds = BOUNDS).await
}

async fn size(memory: &Memory) -> SourceSize {
    memory.sources().await.unwrap().into_iter().find(|size| size.id == mailbox()).unwrap()
}

#[tokio::test]
async fn thousands_of_items_keep_table_and_memory_bounded_and_answers_true() {
    let memory = Arc::new(Memory::new(Arc::new(SeededDice::new(1)), Limits::default()));
    let clock = Arc::new(ManualClock::at(Timestamp(1_763_629_200_000)));
    let graph = graph();
    let engine = engine(&memory, &graph, &clock).await;
    // The worker's own loop, woken by what is stored.
    let tidying = tokio::spawn(crate::worker::tidy(engine.clone()));
    // What is unsettled is not forgotten, so it has to settle.
    let settling = tokio::spawn(engine.clone().settle_for_ever());
    let list = |folder: usize| call(&engine, "email_list", json!({ "folder_id": format!("F{folder}"), "include_body": false }));
    let (mut largest, mut needless) = (0, 0);
    for folder in 0..100 {
        list(folder).await.unwrap();
        for item in 0..10 {
            let args = json!({ "email_id": format!("F{folder}-{item}"), "is_read": true });
            call(&engine, "email_mark_read", args).await.unwrap();
        }
        list(folder).await.unwrap();
        // Of the latest folders nothing is forgotten.
        let before = graph.count();
        list(folder).await.unwrap();
        needless += graph.count() - before;
        clock.advance(Duration::from_secs(11));
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        let size = size(&memory).await;
        largest = largest.max(size.items).max(size.scopes);
        assert!(engine.truth.rows() as u64 <= BOUNDS.per_source, "{}", engine.truth.rows());
    }
    // A step of this test adds at most 50 items and 24 scopes between two looks.
    assert!((BOUNDS.per_source / 2..=BOUNDS.per_source).contains(&largest), "{largest}");
    assert_eq!(needless, 0);
    // A write by an id that is long forgotten overtakes what it may have been in.
    let before = graph.count();
    list(99).await.unwrap();
    assert_eq!(graph.count(), before);
    call(&engine, "email_mark_read", json!({ "email_id": "F0-0", "is_read": true })).await.unwrap();
    list(99).await.unwrap();
    assert_eq!(graph.count(), before + 2);
    tidying.abort();
    settling.abort();
}

#[tokio::test]
async fn a_mailbox_that_nobody_reads_any_more_is_dropped_when_its_answers_are_past_use() {
    let memory = Arc::new(Memory::new(Arc::new(SeededDice::new(1)), Limits::default()));
    let clock = Arc::new(ManualClock::at(Timestamp(1_763_629_200_000)));
    let engine = engine(&memory, &graph(), &clock).await;
    let shared = SourceId::mailbox("global", "tid", "shared");
    let names = async || -> BTreeSet<SourceId> { memory.sources().await.unwrap().into_iter().map(|size| size.id).collect() };
    call(&engine, "email_list", json!({ "folder_id": "F0", "include_body": false })).await.unwrap();
    engine.truth.load(&shared).await.unwrap();
    let mut entry = {
        let call = engine.cached_read(
            "email_list",
            json!({ "account_id": testing::ACCOUNT, "folder_id": "F0", "include_body": false }).as_object().unwrap(),
        );
        let key = engine.key(&call.unwrap()).unwrap();
        engine.entry(&key).await.unwrap().as_ref().clone()
    };
    let (epoch, read_seq) = engine.truth.position(&shared).unwrap();
    entry.meta.readings = vec![crate::cache::Reading { source: shared.clone(), epoch, read_seq, scopes: vec![Scope::messages("F0")] }];
    use crate::store::Entries as _;
    memory.put(entry, vec![], clock.now()).await.unwrap();
    clock.advance(UNUSED);
    engine.tidy().await;
    assert!(names().await.contains(&shared), "not yet");
    clock.advance(Duration::from_secs(1));
    engine.tidy().await;
    assert_eq!(names().await, BTreeSet::from([mailbox()]), "one's own mailbox stays");
    assert_eq!(engine.truth.position(&shared), None);
}

/// Entries whose totals are found wrong, once.
struct Wrong(Memory, std::sync::atomic::AtomicUsize);

#[async_trait::async_trait]
impl crate::store::Entries for Wrong {
    async fn get(&self, key: crate::cache::KeyHash) -> Result<Option<crate::cache::Entry>, StoreError> {
        self.0.get(key).await
    }
    async fn put(
        &self,
        entry: crate::cache::Entry,
        shown: Vec<crate::cache::Shown>,
        now: Timestamp,
    ) -> Result<crate::store::Put, StoreError> {
        self.0.put(entry, shown, now).await
    }
    async fn invalidate(&self, what: crate::store::Invalidation) -> Result<u64, StoreError> {
        self.0.invalidate(what).await
    }
    async fn touch(&self, uses: Vec<crate::store::EntryUse>) -> Result<(), StoreError> {
        self.0.touch(uses).await
    }
    async fn entries_of(
        &self,
        _: &crate::ids::AccountId,
        _: i64,
        _: usize,
    ) -> Result<(Vec<crate::cache::KeyHash>, Option<i64>), StoreError> {
        unreachable!()
    }
    async fn stats(&self) -> Result<crate::store::StoreStats, StoreError> {
        self.0.stats().await
    }
    async fn check_totals(&self, after: Option<crate::store::TotalsAt>) -> Result<crate::store::TotalsStep, StoreError> {
        let walk = self.1.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let next = after.map_or(Some(crate::store::TotalsAt(1, "a".into())), |_| None);
        Ok(crate::store::TotalsStep { next, corrected: walk == 1 })
    }
    async fn health_check(&self) -> crate::store::Health {
        self.0.health_check().await
    }
}

#[tokio::test]
async fn totals_are_compared_at_most_every_hour_and_corrections_are_told() {
    let memory = || Memory::new(Arc::new(SeededDice::new(1)), Limits::default());
    let (ledger, wrong) = (Arc::new(memory()), Arc::new(Wrong(memory(), Default::default())));
    let clock = Arc::new(ManualClock::at(Timestamp(1_763_629_200_000)));
    let engine = testing::engine(wrong.clone(), ledger, graph().remote(), clock.clone(), Arc::new(SeededDice::new(7))).await;
    let steps = || wrong.1.load(std::sync::atomic::Ordering::SeqCst);
    assert_eq!(engine.status().await.totals_corrected, 0);
    engine.tidy().await;
    engine.tidy().await;
    assert_eq!((steps(), engine.status().await.totals_corrected), (2, 1));
    clock.advance(COMPARE);
    engine.tidy().await;
    assert_eq!((steps(), engine.status().await.totals_corrected), (4, 1));
}
