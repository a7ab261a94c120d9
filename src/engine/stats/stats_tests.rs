//! What calls come to, over a store in memory and a Graph that is a function.

use std::{
    sync::{
        Arc,
        atomic::Ordering::{Relaxed, SeqCst},
    },
    time::Duration,
};

use serde_json::{Value, json};

use super::{super::faulty::Faulty, super::testing, *};
use crate::{
    chance::SeededDice,
    clock::{ManualClock, Timestamp},
    graph::GraphRequest,
    ids::Caller,
    store::{AccountRow, Ledger as _, Limits, Memory},
};

const HOUR: Duration = Duration::from_secs(3600);
/// 2026-11-20T09:00:00Z.
const START: Timestamp = Timestamp(1_795_165_200_000);

struct World {
    engine: Arc<Engine>,
    memory: Arc<Memory>,
    store: Arc<Faulty>,
    clock: Arc<ManualClock>,
}

fn bea() -> AccountRow {
    AccountRow { id: AccountId::new("bea.tid"), username: "bea@contoso.example".into(), object_id: "bea".into(), ..testing::account() }
}

fn graph(request: &GraphRequest) -> Result<crate::tools::Reply, crate::tools::StepError> {
    if request.path.contains("offline") {
        return Err(testing::failure(None, false));
    }
    testing::reply(json!({ "value": [{ "id": "m1", "parentFolderId": "f" }] }))
}

impl World {
    async fn new() -> Self {
        let memory = Arc::new(Memory::new(Arc::new(SeededDice::new(3)), Limits::default()));
        memory.save_account(testing::account()).await.unwrap();
        memory.save_account(bea()).await.unwrap();
        Self::over(memory, START).await
    }

    /// A daemon that starts anew over what an earlier one left.
    async fn over(memory: Arc<Memory>, at: Timestamp) -> Self {
        let (store, clock) = (Faulty::over(memory.clone()), Arc::new(ManualClock::at(at)));
        let remote = testing::Scripted::new(graph).remote();
        let engine = testing::engine(store.clone(), store.clone(), remote, clock.clone(), Arc::new(SeededDice::new(7))).await;
        Self { engine, memory, store, clock }
    }

    async fn call(&self, client: &str, tool: &str, args: Value) -> Value {
        let Value::Object(mut args) = args else { unreachable!() };
        if tool != "cache_get_stats" {
            args.entry("account_id").or_insert_with(|| testing::ACCOUNT.into());
        }
        let caller = Caller { client: client.into(), session: 1, ..Caller::default() };
        let answer = self.engine.call(&caller, tool, &args).await.unwrap();
        serde_json::from_str(&answer.text()).unwrap()
    }

    async fn read(&self, period: Period, account: Option<&str>) -> Statistics {
        self.engine.statistics(&Asked { period, account: account.map(AccountId::new) }).await.unwrap()
    }
}

/// Fresh hits, stale hits, misses, bypassed, refreshes.
fn figures(counts: &Counts) -> [u64; 5] {
    [counts.hits, counts.stale_hits, counts.misses, counts.bypassed, counts.refreshes]
}

#[tokio::test]
async fn calls_are_counted_by_tool_account_and_client() {
    let world = World::new().await;
    for client in ["claude", "claude", "cursor"] {
        world.call(client, "email_list", json!({})).await;
    }
    world.call("cursor", "email_list", json!({"use_cache": false})).await;
    world.call("cursor", "email_list", json!({"account_id": "bea.tid"})).await;
    world.clock.advance(Duration::from_secs(200));
    assert_eq!(world.call("claude", "email_list", json!({})).await["_cache_status"], "stale");
    testing::run_queue(&world.engine).await;

    let read = world.read(Period::Day, None).await;
    assert_eq!(figures(&read.stats.total), [2, 1, 2, 1, 1]);
    assert_eq!(figures(&read.stats.by_tool["email_list"]), [2, 1, 2, 1, 1]);
    assert_eq!(figures(&read.stats.by_account[&AccountId::new(testing::ACCOUNT)]), [2, 1, 1, 1, 1]);
    assert_eq!(figures(&read.stats.by_account[&AccountId::new("bea.tid")]), [0, 0, 1, 0, 0]);
    assert_eq!(figures(&read.stats.by_client["claude"]), [1, 1, 1, 0, 0]);
    assert_eq!(figures(&read.stats.by_client["cursor"]), [1, 0, 1, 1, 0]);
    assert_eq!(figures(&read.stats.by_client["worker"]), [0, 0, 0, 0, 1]);
    let total = &read.stats.total;
    assert_eq!((total.hit_times.count(), total.fetch_times.count()), (3, 3));
    assert_eq!((total.fetches, total.requests, total.saved_milli), (4, 4, 3000));
    // The zone of each mailbox, which the fetch past the cache asks anew: no stored answer saves that.
    assert_eq!(total.made(), 4 + 3);
    assert_eq!(read.stats, world.engine.stats(), "all of it is of this run");
    assert_eq!((read.series.len(), read.series.iter().map(|point| point.hits).sum::<u64>()), (25, 3));
    assert_eq!(read.series.last().unwrap().misses, 2);
}

#[tokio::test]
async fn one_account_s_figures_are_its_own() {
    let world = World::new().await;
    world.call("claude", "email_list", json!({})).await;
    for _ in 0..3 {
        world.call("cursor", "emailfolders_list", json!({"account_id": "bea.tid"})).await;
    }
    let read = world.read(Period::All, Some("bea.tid")).await.stats;
    assert_eq!((read.by_tool.len(), read.by_account.len(), read.by_client.len()), (1, 1, 1));
    assert_eq!(figures(&read.total), [2, 0, 1, 0, 0]);
    let told = world.call("any", "cache_get_stats", json!({"account_id": "bea@contoso.example"})).await;
    assert_eq!((&told["entry_count"], &told["hit_count"], &told["hit_rate"]), (&json!(1), &json!(2), &json!(0.667)));
    let text = told.to_string();
    assert!(!text.contains(testing::ACCOUNT) && !text.contains("email_list") && !text.contains("claude"), "{text}");
}

#[tokio::test]
async fn what_was_counted_outlives_the_daemon_and_is_counted_once() {
    let world = World::new().await;
    for _ in 0..3 {
        world.call("claude", "email_list", json!({})).await;
    }
    world.engine.shutdown().await;
    let again = World::over(world.memory, START).await;
    assert_eq!(again.engine.stats(), Stats::default());
    assert_eq!(again.call("claude", "email_list", json!({})).await["_cache_status"], "fresh");
    let read = again.read(Period::Hour, None).await;
    assert_eq!(figures(&read.stats.total), [3, 0, 1, 0, 0]);
    assert_eq!(again.read(Period::Hour, None).await, read, "reading counts nothing");
}

#[tokio::test]
async fn the_flusher_wakes_with_the_first_call_and_a_kill_loses_no_more_than_its_interval() {
    let world = World::new().await;
    let flusher = {
        let engine = world.engine.clone();
        tokio::spawn(async move { engine.count_on().await })
    };
    tokio::task::yield_now().await;
    world.call("claude", "email_list", json!({})).await;
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert!(!flusher.is_finished());
    world.clock.advance(FLUSH);
    flusher.await.unwrap();
    let killed = World::over(world.memory, START).await;
    assert_eq!(figures(&killed.read(Period::Day, None).await.stats.total), [0, 0, 1, 0, 0]);
}

#[tokio::test]
async fn what_the_ledger_does_not_take_is_kept_for_the_next_time() {
    let world = World::new().await;
    world.call("claude", "email_list", json!({})).await;
    *world.store.failing.lock().unwrap() = "add_counts";
    world.engine.flush_counts().await;
    assert!(world.engine.counters.stirred.load(SeqCst), "it is tried again");
    world.call("claude", "email_list", json!({})).await;
    *world.store.failing.lock().unwrap() = "";
    assert_eq!(figures(&world.read(Period::Day, None).await.stats.total), [1, 0, 1, 0, 0]);
}

#[tokio::test]
async fn a_period_ends_where_it_says_and_old_stretches_go() {
    let world = World::new().await;
    world.call("claude", "email_list", json!({})).await;
    for (later, periods) in [(HOUR / 2, [1, 1, 1, 1]), (2 * HOUR, [0, 1, 1, 1]), (30 * HOUR, [0, 0, 1, 1]), (200 * HOUR, [0, 0, 0, 1])] {
        world.clock.advance(later);
        for ((word, period), expected) in Period::WORDS.into_iter().zip(periods) {
            let read = world.read(period, None).await;
            assert_eq!(read.stats.total.misses, expected, "{word} after {later:?} more");
            assert_eq!(read.series.iter().map(|point| point.misses).sum::<u64>(), expected, "{word} after {later:?} more");
        }
    }
    assert_eq!(world.read(Period::All, None).await.since, Timestamp(START.0 - 9 * 3_600_000));
    world.clock.advance(400 * 24 * HOUR);
    world.call("claude", "emailfolders_list", json!({})).await;
    let read = world.read(Period::All, None).await;
    assert!(!read.stats.by_tool.contains_key("email_list"), "400 days are kept");
    assert_eq!(read.stats.by_tool["emailfolders_list"].misses, 1);
}

#[tokio::test]
async fn a_clock_that_goes_wrong_loses_nothing() {
    let world = World::new().await;
    world.call("claude", "email_list", json!({})).await;
    assert_eq!(world.read(Period::All, None).await.stats.total.misses, 1);
    world.clock.set(START.minus(400 * 24 * HOUR));
    let read = world.read(Period::All, None).await;
    assert_eq!((read.stats.total.misses, read.series.len()), (0, 1), "its time has not come");
    world.clock.set(START);
    assert_eq!(world.read(Period::All, None).await.stats.total.misses, 1);
}

#[tokio::test]
async fn an_account_that_leaves_takes_its_figures_along() {
    let world = World::new().await;
    for account in [testing::ACCOUNT, "bea.tid"] {
        world.call("claude", "email_list", json!({"account_id": account})).await;
    }
    world.engine.flush_counts().await;
    world.call("claude", "email_list", json!({"account_id": "bea.tid"})).await;
    world.engine.logout("bea.tid", &Caller::default()).await.unwrap();
    for stats in [world.read(Period::All, None).await.stats, world.engine.stats()] {
        assert_eq!(figures(&stats.total), [0, 0, 1, 0, 0]);
        assert!(!stats.by_account.contains_key(&AccountId::new("bea.tid")), "{stats:?}");
    }
    // One that comes back begins anew.
    world.memory.save_account(bea()).await.unwrap();
    let again = World::over(world.memory, START).await;
    assert_eq!(again.read(Period::All, Some("bea.tid")).await.stats, Stats::default());
}

#[tokio::test]
async fn hits_are_worth_what_fetches_of_their_tool_cost_also_after_a_restart() {
    let world = World::new().await;
    world.call("claude", "email_list", json!({})).await;
    let account = AccountId::new(testing::ACCOUNT);
    let cell = world.engine.counters.cells.tool(&account, "email_list").unwrap();
    // As if the list had taken nine requests.
    cell.requests.fetch_add(8, Relaxed);
    world.engine.shutdown().await;
    let again = World::over(world.memory, START.plus(HOUR / 60)).await;
    again.engine.recall_costs().await;
    assert_eq!(again.call("claude", "email_list", json!({})).await["_cache_status"], "fresh");
    assert_eq!(again.engine.stats().total.saved_milli, 9000);
}

#[tokio::test]
async fn evictions_are_counted_and_told() {
    let world = World::new().await;
    let account = AccountId::new(testing::ACCOUNT);
    world.engine.counters.evicted(&account, "email_list", 3, 1_200);
    world.engine.counters.evicted(&account, "no such tool", 3, 1_200);
    let told = world.call("any", "cache_get_stats", json!({"period": "all"})).await;
    assert_eq!((&told["evicted_count"], &told["evicted_bytes"]), (&json!(3), &json!(1200)));
}

#[tokio::test]
async fn tables_are_short_and_name_the_rest() {
    let world = World::new().await;
    for client in 0..20 {
        world.call(&format!("client {client}"), "email_list", json!({})).await;
    }
    let told = world.call("any", "cache_get_stats", json!({})).await;
    let clients = told["by_client"].as_object().unwrap();
    assert_eq!((clients.len(), &clients["other"]["hits"]), (13, &json!(8)));
    assert_eq!((&told["period"], &told["saved_graph_calls"]), (&json!("day"), &json!(19)));
    assert!(told.to_string().len() < 3_000, "{}", told.to_string().len());
}

/// What counting adds to a hot hit. `cargo test --release -p m365-cached --lib what_counting_costs -- --ignored --nocapture`
#[tokio::test]
#[ignore = "a measurement of an optimised build: cargo test --release -p m365-cached --lib what_counting_costs -- --ignored --nocapture"]
async fn what_counting_costs() {
    const TIMES: u32 = 200_000;
    let world = World::new().await;
    world.call("claude", "email_list", json!({})).await;
    let (caller, args) = (Caller { client: "claude".into(), session: 1, ..Caller::default() }, json!({"account_id": testing::ACCOUNT}));
    let args = args.as_object().unwrap();
    let each = |work: &dyn Fn()| {
        let best = (0..7).map(|_| {
            let watch = Stopwatch::start();
            (0..TIMES).for_each(|_| work());
            watch.micros() * 1000 / u64::from(TIMES)
        });
        best.min().unwrap()
    };
    let hit = each(&|| drop(std::hint::black_box(world.engine.peek(&caller, "email_list", args).unwrap())));
    let call = world.engine.cached_read("email_list", args).unwrap();
    let counting = each(&|| {
        let client = world.engine.counters.client(&caller.client);
        let who = Who { client, ..std::hint::black_box(Who::nobody()) };
        std::hint::black_box(who.watch.micros());
        world.engine.counters.hit(&call);
    });
    let _ = std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("a hot hit {hit} ns, of which counting {counting} ns\n"));
}
