//! The queue of every ledger: order, leases, waits, ends, and random histories held against what the rules say of each single task.

use std::{collections::BTreeMap, time::Duration};

use proptest::prelude::*;

#[cfg(any(feature = "sqlcipher", feature = "system-openssl"))]
use super::conformance_tests::in_a_file;
use super::{
    conformance_tests::{Backend, World, in_memory, volatile},
    *,
};

fn worlds() -> Vec<(&'static str, World)> {
    vec![
        ("memory", in_memory()),
        ("volatile", volatile()),
        #[cfg(any(feature = "sqlcipher", feature = "system-openssl"))]
        ("file", in_a_file()),
    ]
}

fn task(id: &str, account: &str, priority: u8) -> TaskRow {
    TaskRow {
        id: id.into(),
        account: AccountId::new(account),
        kind: TaskKind::Refresh,
        tool: "email_list".into(),
        args: "{}".into(),
        dedup: format!("key of {id}"),
        priority,
        created_at: Timestamp(1_000),
        not_before: Timestamp(0),
    }
}

const DONE: TaskEnd = TaskEnd::Completed { result: None, took: Duration::from_millis(500) };

fn failed(failure: &str) -> TaskEnd {
    TaskEnd::Failed { failure: failure.into() }
}

fn again(not_before: i64) -> TaskEnd {
    TaskEnd::Again { failure: "offline".into(), not_before: Timestamp(not_before), counted: true }
}

/// Takes one up at `now`, for ten seconds.
async fn take(store: &dyn Backend, now: i64) -> Claim {
    store.claim(Timestamp(now), Timestamp(now + 10_000), vec![]).await.unwrap()
}

async fn taken(store: &dyn Backend, now: i64) -> Claimed {
    match take(store, now).await {
        Claim::Task(claimed) => claimed,
        nothing => panic!("{nothing:?}"),
    }
}

async fn seen(store: &dyn Backend, id: &str) -> TaskSeen {
    store.tasks(TaskQuery { id: Some(id.into()), limit: 1, ..TaskQuery::default() }).await.unwrap().pop().unwrap()
}

async fn settle(store: &dyn Backend, claimed: &Claimed, end: TaskEnd, now: i64) -> bool {
    store.settle_task(claimed.lease.clone(), end, Timestamp(now)).await.unwrap()
}

#[tokio::test]
async fn the_most_urgent_goes_first_and_a_key_once() {
    for (name, world) in worlds() {
        let store = &*world.store;
        for (id, account, priority) in [("a", "x", 5), ("b", "y", 1), ("c", "y", 5), ("d", "x", 5)] {
            assert!(store.enqueue(task(id, account, priority)).await.unwrap());
        }
        let like_a = TaskRow { id: "e".into(), ..task("a", "x", 1) };
        assert!(!store.enqueue(like_a.clone()).await.unwrap(), "{name}: queued already");
        let b = taken(store, 2_000).await;
        assert_eq!((b.task.clone(), b.lease.attempt, b.retries), (task("b", "y", 1), 1, 0), "{name}");
        let a = taken(store, 2_000).await;
        assert_eq!(a.task.id, "a", "{name}: first queued");
        assert!(!store.enqueue(like_a.clone()).await.unwrap(), "{name}: running already");
        assert!(settle(store, &a, failed("refused"), 3_000).await);
        assert!(!settle(store, &a, DONE, 3_000).await, "{name}: it has ended");
        assert!(store.enqueue(like_a).await.unwrap(), "{name}: one that has ended may be asked for again");
        let held = store.claim(Timestamp(2_000), Timestamp(9_000), vec![AccountId::new("x")]).await.unwrap();
        assert!(matches!(&held, Claim::Task(claimed) if claimed.task.id == "c"), "{name}: {held:?}");
        let held = store.claim(Timestamp(2_000), Timestamp(9_000), vec![AccountId::new("x")]).await.unwrap();
        assert_eq!(held, Claim::Nothing(Some(Timestamp(9_000))), "{name}: the others are held; a lease ends first");
        assert_eq!((taken(store, 2_500).await.task.id, taken(store, 2_500).await.task.id), ("e".into(), "d".into()), "{name}");
        assert!(settle(store, &b, TaskEnd::Completed { result: Some("k".into()), took: Duration::from_secs(1) }, 4_000).await);
        let counts = TaskCounts { running: 3, completed: 1, failed: 1, ..TaskCounts::default() };
        assert_eq!(store.task_counts().await.unwrap(), counts, "{name}");
        let list = async |query: TaskQuery| {
            let tasks = store.tasks(TaskQuery { limit: 10, ..query }).await.unwrap();
            tasks.into_iter().map(|seen| seen.task.id).collect::<String>()
        };
        assert_eq!(list(TaskQuery::default()).await, "edcba", "{name}: the newest first");
        assert_eq!(list(TaskQuery { account: Some(AccountId::new("x")), ..TaskQuery::default() }).await, "eda", "{name}");
        assert_eq!(list(TaskQuery { state: Some(TaskState::Running), ..TaskQuery::default() }).await, "edc", "{name}");
        let both = TaskQuery { account: Some(AccountId::new("y")), state: Some(TaskState::Completed), ..TaskQuery::default() };
        assert_eq!(list(both).await, "b", "{name}");
        assert_eq!(store.tasks(TaskQuery { limit: 2, ..TaskQuery::default() }).await.unwrap().len(), 2, "{name}");
        let b = seen(store, "b").await;
        assert_eq!((b.state, b.result.as_deref(), b.changed_at), (TaskState::Completed, Some("k"), Timestamp(4_000)), "{name}");
        assert_eq!(seen(store, "a").await.failure, "refused", "{name}");
    }
}

#[tokio::test]
async fn a_lease_that_ends_gives_the_task_to_the_next_and_its_run_counts_no_more() {
    for (name, world) in worlds() {
        let store = &*world.store;
        store.enqueue(task("a", "x", 5)).await.unwrap();
        let first = taken(store, 2_000).await;
        let progress = Some(Progress { done: 1, total: 3, message: "pages".into() });
        let beat = Beat { lease: first.lease.clone(), progress: progress.clone(), until: Timestamp(20_000) };
        assert!(store.beat(beat.clone(), Timestamp(9_000)).await.unwrap());
        let shown = seen(store, "a").await;
        assert_eq!((shown.progress, shown.started_at, shown.changed_at), (progress, Some(Timestamp(2_000)), Timestamp(9_000)), "{name}");
        assert_eq!(take(store, 19_999).await, Claim::Nothing(Some(Timestamp(20_000))), "{name}: the lease was renewed");
        let second = taken(store, 20_000).await;
        assert_eq!((second.lease.attempt, second.retries), (2, 0), "{name}: silence is no failure");
        assert_eq!(seen(store, "a").await.progress, None, "{name}: it begins anew");
        assert!(!store.beat(beat, Timestamp(20_001)).await.unwrap(), "{name}");
        assert!(!settle(store, &first, DONE, 20_002).await, "{name}");
        assert_eq!(seen(store, "a").await.state, TaskState::Running, "{name}");
        assert!(settle(store, &second, DONE, 20_003).await, "{name}");
        assert_eq!(store.task_times(&AccountId::new("x"), "email_list").await.unwrap().unwrap().runs, 1, "{name}");
        assert_eq!(store.task_times(&AccountId::new("y"), "email_list").await.unwrap(), None, "{name}: each account by itself");
    }
}

#[tokio::test]
async fn waits_are_kept_and_counted() {
    for (name, world) in worlds() {
        let store = &*world.store;
        store.enqueue(TaskRow { not_before: Timestamp(5_000), ..task("a", "x", 1) }).await.unwrap();
        assert_eq!(take(store, 4_999).await, Claim::Nothing(Some(Timestamp(5_000))), "{name}");
        let run = taken(store, 5_000).await;
        assert!(settle(store, &run, again(8_000), 5_100).await);
        store.enqueue(task("b", "x", 9)).await.unwrap();
        assert_eq!(taken(store, 6_000).await.task.id, "b", "{name}: the waiting one does not stand in the way");
        let run = taken(store, 8_000).await;
        assert_eq!((run.task.id.as_str(), run.retries), ("a", 1), "{name}");
        let throttled = TaskEnd::Again { failure: "throttled".into(), not_before: Timestamp(9_000), counted: false };
        assert!(settle(store, &run, throttled, 8_100).await);
        let shown = seen(store, "a").await;
        assert_eq!((shown.state, shown.retries, shown.failure.as_str()), (TaskState::Queued, 1, "throttled"), "{name}");
        assert_eq!(shown.task.not_before, Timestamp(9_000), "{name}");
        let run = taken(store, 9_000).await;
        assert!(settle(store, &run, TaskEnd::Released, 9_100).await);
        assert_eq!(taken(store, 9_100).await.lease.attempt, 4, "{name}: given back, it may go at once");
    }
}

#[tokio::test]
async fn a_clock_that_was_set_back_holds_nothing_up() {
    const YEAR: i64 = 365 * 24 * 3_600_000;
    for (name, world) in worlds() {
        let store = &*world.store;
        for id in ["a", "b"] {
            store.enqueue(task(id, "x", 5)).await.unwrap();
        }
        let waits = taken(store, 2 * YEAR).await;
        settle(store, &waits, again(2 * YEAR + 60_000), 2 * YEAR).await;
        taken(store, 2 * YEAR).await;
        // Both are a year away now: one by its wait, one by its lease.
        let mut ids = [taken(store, YEAR).await.task.id, taken(store, YEAR).await.task.id];
        ids.sort();
        assert_eq!(ids, ["a", "b"], "{name}");
    }
}

#[tokio::test]
async fn cancelling_ends_a_queued_task_and_marks_a_running_one() {
    for (name, world) in worlds() {
        let store = &*world.store;
        for id in ["a", "b", "c", "d"] {
            store.enqueue(task(id, "x", 5)).await.unwrap();
        }
        let (a, b, c) = (taken(store, 2_000).await, taken(store, 2_000).await, taken(store, 2_000).await);
        let cancel = async |id: &str| store.cancel_task(id, Timestamp(3_000)).await.unwrap();
        assert_eq!(cancel("d").await, Cancelled::Ended, "{name}");
        assert_eq!(cancel("d").await, Cancelled::Already(TaskState::Cancelled), "{name}");
        assert_eq!(cancel("nobody").await, Cancelled::Unknown, "{name}");
        for id in ["a", "b", "c"] {
            assert_eq!(cancel(id).await, Cancelled::Running, "{name}");
            assert!(seen(store, id).await.cancelling, "{name}");
        }
        assert!(settle(store, &a, again(9_000), 3_100).await);
        assert!(settle(store, &b, DONE, 3_100).await);
        // The daemon is killed before the third has heard.
        assert_eq!(store.requeue(Timestamp(3_200)).await.unwrap(), 1, "{name}");
        assert!(!settle(store, &c, DONE, 3_300).await, "{name}");
        assert_eq!(take(store, 99_000).await, Claim::Nothing(None), "{name}: none runs again");
        let mut states = Vec::new();
        for id in ["a", "b", "c", "d"] {
            states.push(seen(store, id).await.state);
        }
        use TaskState::{Cancelled as Gone, Completed};
        assert_eq!(states, [Gone, Completed, Gone, Gone], "{name}: what was done is done");
    }
}

#[tokio::test]
async fn a_task_that_takes_the_daemon_down_is_given_up() {
    for (name, world) in worlds() {
        let store = &*world.store;
        store.enqueue(task("a", "x", 5)).await.unwrap();
        for _ in 0..MOST_ATTEMPTS {
            taken(store, 2_000).await;
            store.requeue(Timestamp(2_000)).await.unwrap();
        }
        let a = seen(store, "a").await;
        assert_eq!((a.state, a.failure.as_str(), a.attempt), (TaskState::Failed, "too_many_attempts", MOST_ATTEMPTS), "{name}");
    }
}

#[tokio::test]
async fn an_orderly_stop_costs_a_task_no_attempt() {
    for (name, world) in worlds() {
        let store = &*world.store;
        store.enqueue(task("a", "x", 5)).await.unwrap();
        for run in 1..=2 * MOST_ATTEMPTS {
            let claimed = taken(store, 2_000).await;
            assert_eq!((claimed.lease.attempt, claimed.tries, claimed.retries), (run, 1, 0), "{name}");
            assert!(settle(store, &claimed, TaskEnd::Released, 2_000).await);
            assert!(!settle(store, &claimed, DONE, 2_000).await, "{name}: a run that was given back says no more");
        }
        for _ in 0..MOST_ATTEMPTS {
            taken(store, 2_000).await;
            store.requeue(Timestamp(2_000)).await.unwrap();
        }
        let a = seen(store, "a").await;
        assert_eq!((a.state, a.attempt, a.given_back), (TaskState::Failed, 3 * MOST_ATTEMPTS, 2 * MOST_ATTEMPTS), "{name}");
    }
}

#[tokio::test]
async fn what_has_ended_is_kept_for_a_week_and_dropped_a_few_at_a_time() {
    let week = i64::try_from(KEPT_FOR.as_millis()).unwrap();
    for (name, world) in worlds() {
        let store = &*world.store;
        for number in 0..10 {
            store.enqueue(task(&format!("old {number}"), "x", 5)).await.unwrap();
            let run = taken(store, 2_000).await;
            settle(store, &run, if number % 2 == 0 { DONE } else { failed("no") }, 2_000).await;
        }
        let left = async || {
            let counts = store.task_counts().await.unwrap();
            (counts.completed, counts.failed)
        };
        assert_eq!(left().await, (5, 5), "{name}");
        for (number, expected) in [(0, (2, 1)), (1, (2, 0)), (2, (3, 0))] {
            store.enqueue(task(&format!("new {number}"), "x", 5)).await.unwrap();
            let run = taken(store, 2_000 + week).await;
            settle(store, &run, DONE, 2_000 + week).await;
            assert_eq!(left().await, expected, "{name}: step {number}");
        }
    }
}

#[tokio::test]
async fn an_accounts_tasks_go_with_it() {
    for (name, world) in worlds() {
        let store = &*world.store;
        for (id, account) in [("a", "x"), ("b", "x"), ("c", "y")] {
            store.enqueue(task(id, account, 5)).await.unwrap();
        }
        let a = taken(store, 2_000).await;
        settle(store, &a, DONE, 2_000).await;
        let b = taken(store, 2_000).await;
        store.remove_account(&AccountId::new("x")).await.unwrap();
        assert!(!settle(store, &b, DONE, 3_000).await, "{name}: it is none's business any more");
        assert_eq!(store.task_times(&AccountId::new("x"), "email_list").await.unwrap(), None, "{name}");
        assert_eq!(store.task_counts().await.unwrap(), TaskCounts { queued: 1, ..TaskCounts::default() }, "{name}");
    }
}

/// What may happen to a queue. Small ranges, so that things meet.
#[derive(Debug, Clone)]
enum Op {
    Enqueue { key: u8, account: u8, priority: u8, wait: u16 },
    Claim { held: Option<u8> },
    Beat { run: usize, progress: u8 },
    Settle { run: usize, end: u8, wait: u16 },
    Cancel { task: usize },
    Crash,
    Leave { account: u8 },
    Wait { ms: u16 },
    SetBack { days: u8 },
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (0..6u8, 0..2u8, 1..=10u8, 0..20_000u16).prop_map(|(key, account, priority, wait)| Op::Enqueue { key, account, priority, wait }),
        8 => prop::option::weighted(0.2, 0..2u8).prop_map(|held| Op::Claim { held }),
        2 => (any::<usize>(), 0..3u8).prop_map(|(run, progress)| Op::Beat { run, progress }),
        6 => (any::<usize>(), 0..5u8, 0..20_000u16).prop_map(|(run, end, wait)| Op::Settle { run, end, wait }),
        1 => any::<usize>().prop_map(|task| Op::Cancel { task }),
        1 => Just(Op::Crash),
        1 => (0..2u8).prop_map(|account| Op::Leave { account }),
        4 => (0..15_000u16).prop_map(|ms| Op::Wait { ms }),
        1 => (1..9u8).prop_map(|days| Op::SetBack { days }),
    ]
}

/// What must hold of a run that was begun: who holds the lease, and whether it was ever settled.
#[derive(Default)]
struct Book {
    /// Leases that were given out, in order.
    leases: Vec<Lease>,
    /// The attempt that holds each task; none when nobody does.
    holds: BTreeMap<String, u32>,
    ids: Vec<String>,
    ended: BTreeMap<String, TaskState>,
}

/// Plays a history, holds each answer against the book, and writes down all that can be seen.
async fn play(store: &dyn Backend, ops: &[Op]) -> Vec<String> {
    let (mut book, mut trace, mut now) = (Book::default(), Vec::new(), 40_000_000_000i64);
    let account = |number: u8| AccountId::new(["x", "y"][usize::from(number)]);
    for (at, op) in ops.iter().enumerate() {
        let said = match op {
            Op::Enqueue { key, account, priority, wait } => {
                let (created_at, not_before) = (Timestamp(now), Timestamp(now + i64::from(*wait) - 10_000));
                let id = format!("t{at}");
                let row =
                    TaskRow { dedup: format!("k{key}"), created_at, not_before, ..task(&id, ["x", "y"][usize::from(*account)], *priority) };
                let queued = store.enqueue(row).await.unwrap();
                if queued {
                    book.ids.push(id);
                }
                queued.to_string()
            }
            Op::Claim { held } => {
                let held: Vec<AccountId> = held.iter().map(|number| account(*number)).collect();
                let claim = store.claim(Timestamp(now), Timestamp(now + 10_000), held.clone()).await.unwrap();
                if let Claim::Task(claimed) = &claim {
                    let Lease { id, attempt } = claimed.lease.clone();
                    assert!(!held.contains(&claimed.task.account) && !book.ended.contains_key(&id));
                    let before = book.leases.iter().filter(|lease| lease.id == id).map(|lease| lease.attempt).max().unwrap_or(0);
                    assert_eq!(attempt, before + 1, "each run has a number of its own");
                    book.holds.insert(id, attempt);
                    book.leases.push(claimed.lease.clone());
                }
                format!("{claim:?}")
            }
            Op::Beat { run, progress } if !book.leases.is_empty() => {
                let lease = book.leases[run % book.leases.len()].clone();
                let progress = (*progress > 0).then(|| Progress { done: u64::from(*progress) - 1, total: 0, message: String::new() });
                let beat = Beat { lease: lease.clone(), progress, until: Timestamp(now + 10_000) };
                let held = store.beat(beat, Timestamp(now)).await.unwrap();
                assert!(!held || book.holds.get(&lease.id) == Some(&lease.attempt), "a lost lease was renewed");
                held.to_string()
            }
            Op::Settle { run, end, wait } if !book.leases.is_empty() => {
                let lease = book.leases[run % book.leases.len()].clone();
                let end = match end {
                    0 => DONE,
                    1 => failed("no"),
                    2 => again(now + i64::from(*wait)),
                    3 => TaskEnd::Cancelled { failure: "sign_in_required".into() },
                    _ => TaskEnd::Released,
                };
                let counted = store.settle_task(lease.clone(), end, Timestamp(now)).await.unwrap();
                assert!(!counted || book.holds.get(&lease.id) == Some(&lease.attempt), "a lost lease was settled");
                if counted {
                    book.holds.remove(&lease.id);
                }
                counted.to_string()
            }
            Op::Cancel { task } if !book.ids.is_empty() => {
                let id = book.ids[task % book.ids.len()].clone();
                format!("{:?}", store.cancel_task(&id, Timestamp(now)).await.unwrap())
            }
            Op::Crash => {
                let requeued = store.requeue(Timestamp(now)).await.unwrap();
                book.holds.clear();
                requeued.to_string()
            }
            Op::Leave { account: number } => {
                store.remove_account(&account(*number)).await.unwrap();
                String::new()
            }
            Op::Wait { ms } => {
                now += i64::from(*ms);
                String::new()
            }
            Op::SetBack { days } => {
                now -= i64::from(*days) * 86_400_000;
                String::new()
            }
            _ => String::new(),
        };
        let all = store.tasks(TaskQuery { limit: 1_000, ..TaskQuery::default() }).await.unwrap();
        let mut counts = TaskCounts::default();
        for seen in &all {
            *match seen.state {
                TaskState::Queued => &mut counts.queued,
                TaskState::Running => &mut counts.running,
                TaskState::Completed => &mut counts.completed,
                TaskState::Failed => &mut counts.failed,
                TaskState::Cancelled => &mut counts.cancelled,
            } += 1;
            if seen.state == TaskState::Running {
                assert_eq!(book.holds.get(&seen.task.id), Some(&seen.attempt), "somebody holds it");
            }
            if let Some(before) = book.ended.get(&seen.task.id) {
                assert_eq!(*before, seen.state, "what has ended stays so");
            } else if seen.state.ended() {
                book.ended.insert(seen.task.id.clone(), seen.state);
            }
            let alike = all.iter().filter(|other| other.task.dedup == seen.task.dedup && !other.state.ended()).count();
            assert!(alike <= 1, "one task for a key");
        }
        assert_eq!(store.task_counts().await.unwrap(), counts);
        trace.push(format!("{said} {all:?}"));
    }
    trace
}

proptest! {
    #![proptest_config(crate::chance::cases(64))]

    #[test]
    fn any_history_keeps_the_rules_and_looks_the_same_in_every_ledger(ops in prop::collection::vec(op(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut traces = Vec::new();
        for (_, world) in worlds() {
            traces.push(runtime.block_on(play(&*world.store, &ops)));
        }
        for other in &traces[1..] {
            prop_assert_eq!(&traces[0], other);
        }
    }
}
