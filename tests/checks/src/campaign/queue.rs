//! The queue under fire: tasks that survive kills of the daemon, calls that do not notice the tasks, many clients at once.
//!
//! Tasks are made as real ones are: each of so many searches is asked once, so that it is cached, and once more while it counts as stale,
//! which queues its refresh. The tenant holds the first refreshes back until all are queued. Afterwards every answer must be younger than
//! the planting: its task has run to its end. The tenant tells how many requests alike it had at once: one, or a task ran twice at a time.

use std::{collections::BTreeMap, time::Duration};

use anyhow::Context as _;
use m365_cached_tenant::{At, Effect, Fault};
use serde_json::{Value, json};

use super::Run;
use crate::{
    demo::say,
    support::{
        PATIENCE,
        mcp::{Era, Mcp},
        stopwatch::{self, millis, percentile},
        world::{ALEX, Setup, World},
    },
};

/// How much of everything.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Tasks.
    pub tasks: usize,
    /// Kills of the daemon while they run.
    pub kills: usize,
    /// Calls that are measured, idle and while tasks run.
    pub calls: usize,
    /// Clients at once.
    pub clients: usize,
}

/// What the requirement says.
pub const FULL: Size = Size { tasks: 10_000, kills: 30, calls: 2_000, clients: 200 };

/// How long it may take.
pub(super) const WHOLE: Duration = Duration::from_secs(3600);

/// How much slower the slowest hundredth of calls may be while tasks run.
const RATIO: f64 = 1.5;

/// Every search is stale at once and stays servable; nothing else is touched.
const CONFIG: &str = "[cache.tools.search_emails]\nfresh = 0\nstale = 86400\n";

/// What it can be asked for by name.
pub(super) const PARTS: &[&str] = &["kills", "foreground", "clients"];

/// Runs the parts that are wanted.
pub fn run(run: &mut Run, size: &Size) {
    run.part("kills", |run| kills(run, size));
    run.part("foreground", |run| foreground(run, size));
    run.part("clients", |run| clients(run, size));
}

fn world() -> anyhow::Result<World> {
    World::with(Setup { accounts: &[ALEX], config: CONFIG, ..Setup::default() })
}

/// Asks the search numbered `number`; when its answer was fetched.
pub(super) fn search(client: &mut Mcp, account: &str, number: usize) -> anyhow::Result<String> {
    let question = json!({ "account_id": account, "query": format!("subject:plan{number}"), "limit": 1 });
    let answer = client.call("search_emails", &question)?.json()?;
    Ok(answer["_cached_at"].as_str().with_context(|| format!("an answer without its time: {answer}"))?.to_owned())
}

/// Queues so many tasks, none of which has run when this returns. Gives when each answer was fetched, and the hold.
fn plant(run: &mut Run, world: &World, tasks: usize) -> anyhow::Result<(BTreeMap<usize, String>, u64)> {
    let account = &world.ids[0];
    let mut client = world.client(Era::Legacy)?;
    for number in 0..tasks {
        if run.leaves() {
            break;
        }
        search(&mut client, account, number)?;
        if number % 1000 == 999 {
            say(&format!("{} answers cached", number + 1));
        }
    }
    let hold = world.control().fault(Fault::always("GET /me/messages", Effect::Hold { at: At::Before }));
    let mut fetched = BTreeMap::new();
    for number in 0..tasks {
        if run.leaves() {
            break;
        }
        fetched.insert(number, search(&mut client, account, number)?);
    }
    let queued = fetched.len() as u64;
    world.until(|status| count(status, "queued") + count(status, "running") >= queued)?;
    say(&format!("{queued} tasks queued"));
    Ok((fetched, hold))
}

fn count(status: &Value, state: &str) -> u64 {
    status["queue"][state].as_u64().unwrap_or(0)
}

/// Kills the daemon again and again while it works the tasks off.
fn kills(run: &mut Run, size: &Size) -> anyhow::Result<()> {
    let mut world = world()?;
    let (fetched, hold) = plant(run, &world, size.tasks)?;
    run.figure("tasks", fetched.len());
    if run.leaves() {
        world.control().release(Some(hold));
        world.control().clear_faults(None);
        return Ok(());
    }
    world.kill_daemon()?;
    world.control().clear_faults(None);
    world.control().reset_stats();
    world.start_daemon()?;
    let mut killed = 1;
    let share = fetched.len() as u64 / (size.kills as u64).max(1);
    while killed < size.kills && !run.leaves() {
        let left = fetched.len() as u64 - share * killed as u64;
        worked_off(&world, left, run)?;
        world.kill_daemon()?;
        killed += 1;
        run.figure("kills", killed);
        say(&format!("kill {killed}"));
        world.start_daemon()?;
    }
    worked_off(&world, 0, run)?;
    let status = world.ctl_json(&["status"])?;
    let stats = world.control().stats();
    let mut client = world.client(Era::Legacy)?;
    let mut lost = 0u64;
    for (number, before) in &fetched {
        if run.leaves() {
            break;
        }
        lost += u64::from(search(&mut client, &world.ids[0], *number)? <= *before);
    }
    run.figure("kills", killed);
    run.figure("failed", count(&status, "failed"));
    run.figure("most_alike_at_once", stats.alike);
    run.figure("requests", stats.count("GET /me/messages"));
    run.must(count(&status, "failed") == 0, "tasks failed");
    run.must(stats.alike <= 1, "a task ran twice at once");
    // Those that are still to be done when it is cut short are not lost.
    if !run.leaves() {
        run.figure("lost", lost);
        run.must(fetched.len() == size.tasks && killed == size.kills, "fewer tasks or kills than asked for");
        run.must(lost == 0, "tasks were lost");
    }
    Ok(())
}

/// Waits until no more than `left` tasks are to be done.
fn worked_off(world: &World, left: u64, run: &mut Run) -> anyhow::Result<()> {
    let mut best = u64::MAX;
    let mut deadline = stopwatch::now() + PATIENCE;
    loop {
        let status = world.ctl_json(&["status"])?;
        let open = count(&status, "queued") + count(&status, "running");
        if open <= left || run.leaves() {
            return Ok(());
        }
        if open < best {
            (best, deadline) = (open, stopwatch::now() + PATIENCE);
        }
        anyhow::ensure!(stopwatch::now() < deadline, "{open} tasks are left and none is done");
    }
}

/// Cached calls while nothing runs, and while tasks do.
fn foreground(run: &mut Run, size: &Size) -> anyhow::Result<()> {
    let world = world()?;
    let (_, hold) = plant(run, &world, size.tasks)?;
    let mut client = world.client(Era::Legacy)?;
    let question = json!({ "account_id": world.ids[0], "folder": "inbox", "limit": 10 });
    client.call("email_list", &question)?;
    let mut ask = |run: &mut Run| -> anyhow::Result<Duration> {
        let mut times = Vec::with_capacity(size.calls);
        for _ in 0..size.calls {
            if run.leaves() {
                break;
            }
            let (answer, took) = stopwatch::timed(|| client.call("email_list", &question));
            answer?.json()?;
            times.push(took);
        }
        Ok(percentile(&mut times, 0.99))
    };
    let idle = ask(run)?;
    world.control().release(Some(hold));
    let busy = ask(run)?;
    let left = count(&world.ctl_json(&["status"])?, "queued");
    world.control().clear_faults(None);
    if run.leaves() {
        return Ok(());
    }
    let ratio = busy.as_secs_f64() / idle.as_secs_f64().max(f64::EPSILON);
    run.figure("p99_idle_ms", millis(idle));
    run.figure("p99_busy_ms", millis(busy));
    run.figure("p99_ratio", ratio);
    run.figure("queued_after_measuring", left);
    run.must(ratio <= RATIO, "calls are slower while tasks run");
    run.must(left > 0, "the tasks were done before the measurement was");
    Ok(())
}

/// Many clients ask at the same time, while refreshes are queued by what they ask.
fn clients(run: &mut Run, size: &Size) -> anyhow::Result<()> {
    let world = world()?;
    let account = world.ids[0].clone();
    let mut clients: Vec<Mcp> = Vec::with_capacity(size.clients);
    for _ in 0..size.clients {
        if run.leaves() {
            return Ok(());
        }
        clients.push(world.client(Era::Legacy)?);
    }
    say(&format!("{} clients", clients.len()));
    let errors: usize = std::thread::scope(|scope| {
        let asking: Vec<_> = clients
            .iter_mut()
            .enumerate()
            .map(|(number, client)| {
                let account = account.clone();
                scope.spawn(move || (0..5).filter(|turn| search(client, &account, (number + turn) % 40).is_err()).count())
            })
            .collect();
        asking.into_iter().map(|client| client.join().unwrap_or(5)).sum()
    });
    run.figure("clients", size.clients);
    run.figure("client_calls", size.clients * 5);
    run.figure("client_errors", errors);
    run.must(errors == 0, "calls failed");
    worked_off(&world, 0, run)
}
