//! Reads on the spot: only while nobody else works, and nobody is forgotten over them.

use std::{
    sync::{
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    time::Duration,
};

use super::{
    entries::{Found, SMALL, fetch},
    tests::{Profile, account, entry, put},
    *,
};

/// No wait here takes this long but for a fault.
const DEADLINE: Duration = Duration::from_secs(20);

/// A read on the spot that has the database until it is told to end.
fn busy(store: &Arc<Sqlcipher>) -> (mpsc::Sender<()>, tokio::task::JoinHandle<Option<Result<(), StoreError>>>) {
    let ((begun, has_begun), (release, held)) = (mpsc::channel(), mpsc::channel::<()>());
    let reader = store.clone();
    let reading = tokio::task::spawn_blocking(move || {
        reader.thread.read_now(|_| {
            begun.send(()).unwrap();
            held.recv_timeout(DEADLINE).map_err(|_| StoreError::Closed)
        })
    });
    has_begun.recv_timeout(DEADLINE).unwrap();
    (release, reading)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_on_the_spot_keeps_out_of_the_threads_way_and_wakes_it_afterwards() {
    let profile = Profile::new();
    let store = Arc::new(profile.open().unwrap());
    let (release, reading) = busy(&store);
    assert!(store.thread.read_now(|_| Ok(())).is_none(), "somebody else has the database");
    let mut writing = Box::pin(store.thread.cache(1, |db| db.run("INSERT INTO meta (name, value) VALUES ('x', x'')", ())));
    // Once polled it is in the queue.
    assert!(std::future::poll_fn(|context| std::task::Poll::Ready(writing.as_mut().poll(context))).await.is_pending());
    release.send(()).unwrap();
    assert!(reading.await.unwrap().unwrap().is_ok());
    assert_eq!(tokio::time::timeout(DEADLINE, writing).await.expect("the thread was not woken").unwrap(), 1);
}

#[tokio::test]
async fn a_read_on_the_spot_that_panics_gives_the_database_back() {
    let profile = Profile::new();
    let store = profile.open().unwrap();
    let panics = || store.thread.read_now(|_| -> Result<(), StoreError> { panic!("on purpose") });
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(panics)).is_err());
    assert_eq!(store.thread.read_now(|_| Ok(7)).unwrap().unwrap(), 7);
    assert!(store.health_check().await.healthy);
}

#[tokio::test]
async fn a_read_on_the_spot_that_met_damage_is_run_once_more_on_a_new_connection() {
    let profile = Profile::new();
    let store = profile.open().unwrap();
    let mut first = true;
    let fails_once = |_: &mut Db| if std::mem::take(&mut first) { Err(StoreError::Damaged("test".into())) } else { Ok(7) };
    assert_eq!(store.thread.read_now(fails_once).unwrap().unwrap(), 7);
    assert_eq!(store.reopened(), 1);
}

#[tokio::test]
async fn a_closed_store_reads_nothing_on_the_spot() {
    let profile = Profile::new();
    let store = profile.open().unwrap();
    store.close();
    assert!(store.thread.read_now(|_| Ok(())).is_none());
    assert!(matches!(store.thread.read(|_| Ok(())).await, Err(StoreError::Closed)));
}

#[tokio::test]
async fn large_bodies_are_left_to_the_thread_and_come_back_whole() {
    let profile = Profile::new();
    let store = profile.open().unwrap();
    let mut noise = vec![0; 100_000];
    Dice::fill(&crate::chance::SeededDice::new(4), &mut noise);
    let letters: String =
        noise.iter().map(|byte| char::from(b'A' + byte % 26)).chain(noise.iter().map(|byte| char::from(b'a' + byte % 26))).collect();
    let (large, small) = (entry(&store, &account("a"), 1, &letters).await, entry(&store, &account("a"), 2, "\"a\":1}").await);
    put(&store, &large).await;
    put(&store, &small).await;
    for (kept, on_the_spot) in [(large, false), (small, true)] {
        let key = kept.meta.key.hash;
        let found = store.thread.read(move |db| fetch(db, key, SMALL)).await.unwrap();
        assert_eq!(matches!(found, Found::Row(_)), on_the_spot);
        assert_eq!(matches!(found, Found::Larger), !on_the_spot);
        assert_eq!(store.get(key).await.unwrap(), Some(kept));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_of_the_ledger_that_wait_together_share_a_commit_and_not_a_failure() {
    let profile = Profile::new();
    let store = Arc::new(profile.open().unwrap());
    let (release, reading) = busy(&store);
    let runs = Arc::new(AtomicU32::new(0));
    let add = |name: &'static str, good: bool| {
        let runs = runs.clone();
        let job = move |db: &mut Db| {
            runs.fetch_add(1, Ordering::Relaxed);
            db.run("INSERT INTO meta (name, value) VALUES (?1, x'')", [name])?;
            if good { Ok(()) } else { Err(StoreError::Failed("on purpose".into())) }
        };
        Box::pin(store.thread.ledger(job))
    };
    let mut jobs = [add("a", true), add("b", false), add("c", true)];
    for job in &mut jobs {
        // Once polled it is in the queue.
        assert!(std::future::poll_fn(|context| std::task::Poll::Ready(job.as_mut().poll(context))).await.is_pending());
    }
    release.send(()).unwrap();
    assert!(reading.await.unwrap().unwrap().is_ok());
    let mut outcomes = Vec::new();
    for job in jobs {
        outcomes.push(tokio::time::timeout(DEADLINE, job).await.expect("the thread was not woken").is_ok());
    }
    assert_eq!(outcomes, [true, false, true]);
    // The first and the second together, then each of the three by itself.
    assert_eq!(runs.load(Ordering::Relaxed), 5);
    let kept = store
        .thread
        .read(|db| db.all("SELECT name FROM meta WHERE name IN ('a', 'b', 'c') ORDER BY name", (), |row| row.get::<_, String>(0)))
        .await;
    assert_eq!(kept.unwrap(), ["a".to_owned(), "c".to_owned()]);
}
