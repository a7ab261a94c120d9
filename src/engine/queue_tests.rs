//! Workers on a real queue: lost leases, panics, stops, sign-outs.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use serde_json::json;
use tokio::task::JoinHandle;

use super::{
    super::testing::{self, ACCOUNT, REPLIES, Scripted, call, engine, reply},
    *,
};
use crate::{
    auth::testing::{until, within},
    chance::SeededDice,
    clock::{Clock as _, ManualClock},
    engine::faulty::Faulty,
    store::{Entries as _, Ledger, Limits, Memory, TaskQuery, TaskSeen, TaskState},
    worker,
};

struct World {
    engine: Arc<Engine>,
    clock: Arc<ManualClock>,
    graph: Arc<Scripted>,
    memory: Arc<Memory>,
}

/// A mailbox and a drive with nothing in them.
fn empty() -> Arc<Scripted> {
    Scripted::new(|request| match request.path.as_str() {
        "/me/drive" => reply(json!({ "id": "D" })),
        _ => reply(json!({ "id": "F", "value": [] })),
    })
}

impl World {
    async fn new(graph: Arc<Scripted>) -> Self {
        let (memory, clock) = (
            Arc::new(Memory::new(Arc::new(SeededDice::new(4)), Limits::default())),
            Arc::new(ManualClock::at(Timestamp(1_763_629_200_000))),
        );
        Ledger::save_account(&*memory, testing::account()).await.unwrap();
        let engine = start(&memory, &graph, &clock).await;
        Self { engine, clock, graph, memory }
    }

    /// Queues a task for the `limit` newest messages.
    async fn ask(&self, limit: usize) {
        let mut args = Map::new();
        args.insert("limit".into(), limit.into());
        let (account, tool) = (ACCOUNT.to_owned(), "email_list".to_owned());
        let ask = Ask { kind: TaskKind::Refresh, account, tool, args, priority: 5, not_before: None };
        assert!(self.engine.enqueue_task(ask).await.unwrap());
    }

    fn worker(&self) -> JoinHandle<()> {
        tokio::spawn(worker::run(self.engine.clone()))
    }

    /// Tasks, the oldest first.
    async fn tasks(&self) -> Vec<TaskSeen> {
        let mut tasks = self.memory.tasks(TaskQuery { limit: 100, ..TaskQuery::default() }).await.unwrap();
        tasks.reverse();
        tasks
    }

    async fn states(&self) -> Vec<TaskState> {
        self.tasks().await.into_iter().map(|seen| seen.state).collect()
    }

    /// Waits until so many tasks stand there.
    async fn until(&self, state: TaskState, count: usize) {
        within(async {
            while self.states().await.iter().filter(|one| **one == state).count() != count {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

async fn start(memory: &Arc<Memory>, graph: &Arc<Scripted>, clock: &Arc<ManualClock>) -> Arc<Engine> {
    engine(memory.clone(), memory.clone(), graph.remote(), clock.clone(), Arc::new(SeededDice::new(5))).await
}

#[tokio::test]
async fn a_worker_that_lost_its_lease_records_nothing_over_the_other() {
    let world = World::new(empty()).await;
    world.ask(5).await;
    let Next::Run(lost) = world.engine.next_task().await else { panic!("no task") };
    // No sign of life: another worker takes the task, as soon as this one is out of the way.
    world.clock.advance(LEASE);
    let other = tokio::spawn({
        let engine = world.engine.clone();
        async move { engine.next_task().await }
    });
    within(lost.stop.wait()).await;
    assert!(!other.is_finished(), "a task ran twice at once");
    world.engine.settle(lost, Ok(Some("of the lost run".into()))).await;
    let Next::Run(run) = within(other).await.unwrap() else { panic!("nobody runs it") };
    let [task] = &world.tasks().await[..] else { panic!("not one task") };
    assert_eq!((task.state, task.attempt, task.result.as_deref()), (TaskState::Running, 2, None), "the lost run ended it");
    world.engine.settle(run, Ok(Some("of the other".into()))).await;
    let [task] = &world.tasks().await[..] else { panic!("not one task") };
    assert_eq!((task.state, task.result.as_deref(), task.retries), (TaskState::Completed, Some("of the other"), 0));
}

#[tokio::test]
async fn what_a_run_with_a_lost_lease_asks_is_cut_and_the_task_is_done_by_the_next() {
    let world = World::new(empty()).await;
    let held = world.graph.replies.acquire_many(REPLIES).await.unwrap();
    world.ask(5).await;
    let Next::Run(lost) = world.engine.next_task().await else { panic!("no task") };
    let engine = world.engine.clone();
    let silent = tokio::spawn(async move {
        let result = engine.refresh(&lost).await;
        engine.settle(lost, result).await;
    });
    world.graph.until_asked(1).await;
    world.clock.advance(LEASE);
    let workers = [world.worker(), world.worker()];
    within(silent).await.unwrap();
    world.until(TaskState::Running, 1).await;
    drop(held);
    world.until(TaskState::Completed, 1).await;
    let [task] = &world.tasks().await[..] else { panic!("not one task") };
    assert_eq!((task.attempt, task.retries, task.failure.as_str()), (2, 0, ""));
    within(world.engine.release_tasks()).await;
    for worker in workers {
        within(worker).await.unwrap();
    }
}

#[tokio::test]
async fn a_run_learns_from_its_next_sign_of_life_that_its_lease_is_lost() {
    let world = World::new(empty()).await;
    world.ask(5).await;
    let Next::Run(run) = world.engine.next_task().await else { panic!("no task") };
    // Another daemon on the same queue takes it, as after a clock that was set.
    let later = world.clock.now().plus(LEASE);
    let Claim::Task(_) = world.memory.claim(later, later.plus(LEASE), Vec::new()).await.unwrap() else { panic!("it is not to be had") };
    let passing = async {
        loop {
            world.clock.advance(queue::BEAT);
            tokio::task::yield_now().await;
        }
    };
    within(async {
        tokio::select! {
            never = world.engine.attend(&run) => match never {},
            () = run.stop.wait() => {}
            () = passing => {}
        }
    })
    .await;
    assert!(matches!(run.stop.told(), Some(Why::Lost)));
}

#[tokio::test]
async fn progress_is_all_that_was_answered_so_far() {
    let world = World::new(empty()).await;
    world.ask(5).await;
    let Next::Run(run) = world.engine.next_task().await else { panic!("no task") };
    let told = async {
        for done in [2, 3, 7] {
            while run.work().answers() < done {
                run.work().answered();
            }
            loop {
                world.clock.advance(queue::TELL);
                tokio::task::yield_now().await;
                let told = world.tasks().await[0].progress.as_ref().map(|progress| (progress.done, progress.total));
                if told == Some((done, 0)) {
                    break;
                }
            }
        }
    };
    within(async {
        tokio::select! {
            never = world.engine.attend(&run) => match never {},
            () = told => {}
        }
    })
    .await;
}

#[tokio::test]
async fn a_store_that_fails_for_a_while_costs_no_task() {
    let memory = testing::memory(testing::account()).await;
    let (store, graph) = (Faulty::over(memory.clone()), empty());
    let clock = Arc::new(ManualClock::at(Timestamp(1_763_629_200_000)));
    let engine = engine(store.clone(), store.clone(), graph.remote(), clock.clone(), Arc::new(SeededDice::new(5))).await;
    let world = World { engine, clock, graph, memory };
    let failing = |name| *store.failing.lock().unwrap() = name;

    world.ask(5).await;
    failing("claim");
    assert!(matches!(world.engine.next_task().await, Next::Wait(None)), "a worker goes on, and waits to be woken");
    failing("");
    let Next::Run(run) = world.engine.next_task().await else { panic!("no task") };
    // The end cannot be written down: the task is still somebody's, until the lease is over.
    failing("settle_task");
    world.engine.settle(run, Ok(None)).await;
    failing("");
    assert_eq!(world.states().await, [TaskState::Running]);
    world.clock.advance(LEASE);
    let Next::Run(run) = world.engine.next_task().await else { panic!("it is lost") };
    world.engine.settle(run, Ok(None)).await;
    assert_eq!(world.states().await, [TaskState::Completed]);

    // A refresh that could not be queued is queued by the next stale answer; so it is when a warm-up of the same answer could not be.
    call(&world.engine, "email_list", json!({})).await.unwrap();
    world.clock.advance(Duration::from_secs(5 * 60));
    failing("enqueue");
    let (account, tool) = (ACCOUNT.to_owned(), "email_list".to_owned());
    let warm = Ask { kind: TaskKind::Warm, account, tool, args: Map::new(), priority: 5, not_before: None };
    assert!(world.engine.enqueue_task(warm).await.is_err());
    for (name, queued) in [("enqueue", 1), ("", 2)] {
        failing(name);
        assert_eq!(call(&world.engine, "email_list", json!({})).await.unwrap()["_cache_status"], "stale");
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        assert_eq!(world.states().await.len(), queued, "while {name:?} fails");
    }
}

#[tokio::test]
async fn a_task_that_panics_fails_and_its_worker_goes_on() {
    let (calls, panics) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(true)));
    let (count, now) = (calls.clone(), panics.clone());
    let graph = Scripted::new(move |_| {
        count.fetch_add(1, SeqCst);
        assert!(!now.load(SeqCst), "as the test asked for");
        reply(json!({ "id": "F", "value": [] }))
    });
    let world = World::new(graph).await;
    let worker = world.worker();
    // Within the flight, which is a task of its own.
    world.ask(1).await;
    world.until(TaskState::Failed, 1).await;
    panics.store(false, SeqCst);
    world.ask(2).await;
    world.until(TaskState::Completed, 1).await;
    // Within the run itself: the drive is asked for before the flight begins.
    panics.store(true, SeqCst);
    let (account, tool) = (ACCOUNT.to_owned(), "folder_get_tree".to_owned());
    let ask = Ask { kind: TaskKind::Warm, account, tool, args: Map::new(), priority: 5, not_before: None };
    assert!(world.engine.enqueue_task(ask).await.unwrap());
    world.until(TaskState::Failed, 2).await;
    panics.store(false, SeqCst);
    world.ask(1).await;
    world.until(TaskState::Completed, 2).await;
    let tasks = world.tasks().await;
    let told: Vec<(&str, u32)> = tasks.iter().map(|task| (task.failure.as_str(), task.attempt)).collect();
    assert_eq!(told, [("internal", 1), ("", 1), ("panicked", 1), ("", 1)], "a mistake of ours is not tried again");
    assert!(!worker.is_finished());
    worker.abort();
}

#[tokio::test]
async fn a_stop_gives_running_tasks_back_and_the_next_start_takes_them_at_once() {
    let world = World::new(empty()).await;
    let held = world.graph.replies.acquire_many(REPLIES).await.unwrap();
    for limit in 1..=3 {
        world.ask(limit).await;
    }
    let workers = [world.worker(), world.worker()];
    world.until(TaskState::Running, 2).await;
    within(world.engine.shutdown()).await;
    for worker in workers {
        within(worker).await.unwrap();
    }
    assert_eq!(world.states().await, [TaskState::Queued; 3]);
    drop(held);
    let next = start(&world.memory, &world.graph, &world.clock).await;
    let mut tries = Vec::new();
    for _ in 0..3 {
        let Next::Run(run) = next.next_task().await else { panic!("it is not taken at once") };
        tries.push((run.task().args.clone(), (run.claimed.tries, run.claimed.retries)));
        next.settle(run, Ok(None)).await;
    }
    assert!(tries.iter().all(|(_, (tries, retries))| (*tries, *retries) == (1, 0)), "a stop is no attempt: {tries:?}");
    assert_eq!(world.states().await, [TaskState::Completed; 3]);
}

#[tokio::test]
async fn workers_share_the_tasks_and_none_runs_twice() {
    let world = World::new(empty()).await;
    for limit in 1..=9 {
        world.ask(limit).await;
    }
    let held = world.graph.replies.acquire_many(REPLIES).await.unwrap();
    let workers = [world.worker(), world.worker(), world.worker()];
    world.until(TaskState::Running, 3).await;
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.states().await.iter().filter(|state| **state == TaskState::Running).count(), 3, "one for each worker");
    drop(held);
    world.until(TaskState::Completed, 9).await;
    assert!(world.tasks().await.iter().all(|task| task.attempt == 1));
    let mut asked: Vec<String> =
        world.graph.asked().iter().map(crate::graph::GraphRequest::target).filter(|at| at.contains("top")).collect();
    asked.sort();
    let before = asked.len();
    asked.dedup();
    assert_eq!((asked.len(), before), (9, 9), "each is asked for once: {asked:?}");
    within(world.engine.release_tasks()).await;
    for worker in workers {
        within(worker).await.unwrap();
    }
}

#[tokio::test]
async fn an_account_that_signs_out_ends_its_tasks_and_nothing_of_it_is_written_afterwards() {
    let world = World::new(empty()).await;
    call(&world.engine, "email_list", json!({})).await.unwrap();
    let listed = world.engine.cached_read("email_list", json!({ "account_id": ACCOUNT }).as_object().unwrap()).unwrap();
    let before = world.graph.count();
    let held = world.graph.replies.acquire_many(REPLIES).await.unwrap();
    for limit in 1..=4 {
        world.ask(limit).await;
    }
    let workers = [world.worker(), world.worker()];
    world.until(TaskState::Running, 2).await;
    // A call too, which does not know the drive yet.
    let engine = world.engine.clone();
    let asking = tokio::spawn(async move { call(&engine, "folder_get_tree", json!({})).await });
    within(world.graph.until_asked(before + 3)).await;
    within(world.engine.logout(ACCOUNT, &crate::ids::Caller::default())).await.unwrap();
    assert_eq!(world.states().await, []);
    // A stale hit that was being served when the account left.
    let key = world.engine.key(&listed).unwrap();
    world.engine.enqueue_refresh(&listed.args, &key, world.clock.now());
    drop(held);
    assert!(within(asking).await.unwrap().is_err());
    until(|| world.engine.queue.runs().is_empty()).await;
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    world.engine.flush_uses().await;
    world.engine.flush_counts().await;
    assert_eq!(world.memory.accounts().await.unwrap(), [], "it is back");
    assert_eq!(world.states().await, [], "it has a task");
    assert_eq!(world.memory.get(key.hash).await.unwrap(), None);
    assert!(matches!(world.memory.claim(world.clock.now(), world.clock.now(), vec![]).await.unwrap(), Claim::Nothing(None)));
    within(world.engine.release_tasks()).await;
    for worker in workers {
        within(worker).await.unwrap();
    }
}

/// The data key of an account goes with its sign-out; an answer that comes later must not have another one made.
#[tokio::test]
async fn an_answer_that_comes_after_its_account_has_signed_out_is_not_kept() {
    let world = World::new(empty()).await;
    let given = json!({ "account_id": ACCOUNT, "limit": 9 });
    let key = world.engine.key(&world.engine.cached_read("email_list", given.as_object().unwrap()).unwrap()).unwrap();
    let held = world.graph.replies.acquire_many(REPLIES).await.unwrap();
    let engine = world.engine.clone();
    let asking = tokio::spawn(async move { call(&engine, "email_list", json!({ "limit": 9 })).await });
    within(world.graph.until_asked(1)).await;
    within(world.engine.logout(ACCOUNT, &crate::ids::Caller::default())).await.unwrap();
    drop(held);
    within(asking).await.unwrap().ok();
    assert_eq!(world.memory.get(key.hash).await.unwrap(), None);
    assert!(world.engine.hot.get(key.hash).is_none());
}

/// So must what a list left out, which is kept for whoever reads on.
#[tokio::test]
async fn what_a_list_left_out_is_not_kept_either_once_its_account_has_signed_out() {
    let messages = |count: usize| (0..count).map(|at| json!({ "id": format!("m{at}"), "parentFolderId": "F" })).collect::<Vec<_>>();
    let world = World::new(Scripted::new(move |_| reply(json!({ "id": "F", "value": messages(3) })))).await;
    call(&world.engine, "email_list", json!({ "limit": 1 })).await.unwrap();
    assert_eq!(world.memory.stats().await.unwrap().entries, 3, "the list, its message and what it left out, as long as the account stays");
    world.engine.logout(ACCOUNT, &crate::ids::Caller::default()).await.unwrap();

    let world = World::new(Scripted::new(move |_| reply(json!({ "id": "F", "value": messages(3) })))).await;
    let held = world.graph.replies.acquire_many(REPLIES).await.unwrap();
    let engine = world.engine.clone();
    let asking = tokio::spawn(async move { call(&engine, "email_list", json!({ "limit": 1 })).await });
    within(world.graph.until_asked(1)).await;
    within(world.engine.logout(ACCOUNT, &crate::ids::Caller::default())).await.unwrap();
    drop(held);
    within(asking).await.unwrap().ok();
    assert_eq!(world.memory.stats().await.unwrap().entries, 0);
}
