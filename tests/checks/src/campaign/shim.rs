//! `shim`: clients whose daemon is killed, replaced or not there at all. What they notice of it, and what the tenant does.
//!
//! Each client asks one thing after the other: reads from the cache, reads that Microsoft must answer, and writes whose names are never used
//! twice, so that the tenant's own data tell what happened. Nobody but the clients brings a killed daemon back. A kill comes whenever so many
//! answers have come since the last; the tenant is as slow as Microsoft is, so that it meets requests under way. Recovery is the time from a
//! kill to a client's next answer, whatever it had asked, and what undisturbed clients wait is told beside it. Two clients share an account:
//! with ten to a mailbox, of whose requests Microsoft takes four at a time, 99 in 100 waited up to 1.13 s undisturbed and 1.10 s after a
//! kill, which was a figure of Microsoft's, and fewer requests were under way.

use std::{
    collections::BTreeMap,
    sync::{
        Barrier,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use anyhow::Context as _;
use m365_cached_tenant::{Latency, Options};
use rustix::process::Signal;
use serde_json::{Value, json};

use super::Run;
use crate::{
    demo::say,
    support::{
        PATIENCE,
        bins::packaged_shim,
        mcp::{ERAS, Era, Mcp, open},
        process,
        stopwatch::{self, millis, percentile},
        world::{Setup, World},
    },
};

/// How much of everything.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Clients under load.
    pub shims: usize,
    /// Kills of their daemon.
    pub kills: usize,
    /// Orderly replacements of it.
    pub restarts: usize,
    /// Clients that find no daemon at the same moment.
    pub at_once: usize,
}

/// What the requirement says.
pub const FULL: Size = Size { shims: 20, kills: 50, restarts: 20, at_once: 200 };

/// How long it may take.
pub(super) const WHOLE: Duration = Duration::from_secs(1800);
/// What it can be asked for by name.
pub(super) const PARTS: &[&str] = &["kills", "restarts", "starts", "size"];

/// Answers of each client between two kills.
const BETWEEN: usize = 5;
/// Recovery of 99 in 100.
const RECOVERY: Duration = Duration::from_secs(1);
/// Until the last of those that came at once is served.
const SERVED: Duration = Duration::from_secs(10);
/// Bytes of the program as it is packed.
const LARGEST: u64 = 1_500_000;
/// KiB resident.
const MOST_RSS: u64 = 4 * 1024;
/// Of one account, one for each era.
const CLIENTS: usize = ERAS.len();

/// Runs the parts that are wanted.
pub fn run(run: &mut Run, size: &Size) {
    run.part("kills", |run| kills(run, size));
    run.part("restarts", |run| restarts(run, size));
    run.part("starts", |run| starts(run, size));
    run.part("size", self::size);
}

/// Whose accounts so many clients use.
fn users(shims: usize) -> impl Iterator<Item = String> {
    (1..=shims.div_ceil(CLIENTS)).map(|number| format!("user{number}@contoso.example"))
}

fn world(shims: usize) -> anyhow::Result<World> {
    let tenant = Options { latency: Latency::Real, more_accounts: users(shims).count(), ..Options::default() };
    let mut world = World::with(Setup { accounts: &[], tenant, ..Setup::default() })?;
    for user in users(shims) {
        let id = world.sign_in(&user)?;
        world.ids.push(id);
    }
    Ok(world)
}

/// What one client saw.
#[derive(Debug, Default)]
struct Seen {
    /// When each answer came.
    answers: Vec<Instant>,
    reads: usize,
    /// Reads without an answer that says what was asked.
    lost: usize,
    /// Names of the writes that it was told were done.
    done: Vec<String>,
    /// Those of which it was told that nobody knows.
    unknown: Vec<String>,
    /// Those of which it was told that they were not done.
    refused: Vec<String>,
    disconnected: bool,
    /// The first answers that were none.
    reasons: Vec<String>,
}

/// Asks until `stop`, and tells of every answer.
fn ask(client: &mut Mcp, account: &str, number: usize, stop: &AtomicBool, tell: &mpsc::Sender<usize>) -> Seen {
    let mut seen = Seen::default();
    for turn in 0.. {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let name = format!("w{number}x{turn}");
        let (tool, mut arguments) = match (turn * 3 + number) % 10 {
            0 | 5 => ("contact_create", json!({ "given_name": name })),
            3 | 8 => ("search_emails", json!({ "query": format!("subject:{name}"), "limit": 1 })),
            _ => ("email_list", json!({ "folder": "inbox", "limit": 10 })),
        };
        arguments["account_id"] = account.into();
        let write = tool == "contact_create";
        let reply = match client.request("tools/call", json!({ "name": tool, "arguments": arguments })) {
            Ok(reply) => reply,
            Err(error) => {
                seen.reasons.push(format!("{error:#}"));
                seen.disconnected = true;
                break;
            }
        };
        seen.answers.push(stopwatch::now());
        // Whoever listened has gone when it is over.
        let _ = tell.send(number);
        let good = reply["result"]["content"][0]["text"].is_string() && reply["result"]["isError"] != true;
        let text = reply.to_string();
        if !good {
            seen.reasons.push(format!("{tool}: {:.300}", text));
        }
        match (write, good) {
            (false, good) => {
                seen.reads += 1;
                seen.lost += usize::from(!good);
            }
            (true, true) => seen.done.push(name),
            (true, false) if text.contains("unknown") => seen.unknown.push(name),
            (true, false) => seen.refused.push(name),
        }
    }
    seen
}

/// Has clients ask while `trouble` happens, which hears of every answer; what they saw.
fn under_load(
    world: &World,
    shims: usize,
    trouble: impl FnOnce(&mpsc::Receiver<usize>) -> anyhow::Result<()>,
) -> anyhow::Result<Vec<Seen>> {
    let mut clients = Vec::new();
    for number in 0..shims {
        let mut client = world.client(ERAS[number % ERAS.len()])?;
        let account = &world.ids[number / CLIENTS];
        client.call("email_list", &json!({ "account_id": account, "folder": "inbox", "limit": 10 }))?.json()?;
        clients.push((client, account, number));
    }
    let stop = AtomicBool::new(false);
    let (tell, heard) = mpsc::channel();
    std::thread::scope(|scope| {
        let working: Vec<_> = clients
            .iter_mut()
            .map(|(client, account, number)| {
                let (tell, stop) = (tell.clone(), &stop);
                scope.spawn(move || ask(client, account, *number, stop, &tell))
            })
            .collect();
        drop(tell);
        let done = trouble(&heard);
        stop.store(true, Ordering::SeqCst);
        let seen: Vec<Seen> = working.into_iter().map(|client| client.join().unwrap_or_default()).collect();
        done.map(|()| seen)
    })
}

/// Waits for so many answers.
fn answers(heard: &mpsc::Receiver<usize>, count: usize) -> anyhow::Result<()> {
    // Those that came before do not count.
    while heard.try_recv().is_ok() {}
    for _ in 0..count {
        heard.recv_timeout(PATIENCE).context("no client gets an answer")?;
    }
    Ok(())
}

/// How often the tenant has each contact that a client made.
fn made(world: &World, shims: usize) -> anyhow::Result<BTreeMap<String, usize>> {
    let mut made = BTreeMap::new();
    for user in users(shims) {
        let dump = world.control().dump(Some(&user), Some("contacts"))?;
        let mut waiting = vec![&dump];
        while let Some(value) = waiting.pop() {
            match value {
                Value::Array(list) => waiting.extend(list),
                Value::Object(fields) => {
                    if let Some(name) = fields.get("givenName").and_then(Value::as_str) {
                        *made.entry(name.to_owned()).or_default() += 1;
                    }
                    waiting.extend(fields.values().filter(|value| value.is_array() || value.is_object()));
                }
                _ => {}
            }
        }
    }
    Ok(made)
}

/// The figures that both kinds of trouble have, under names that begin with `of`.
fn judged(run: &mut Run, world: &World, seen: &[Seen], of: &str) -> anyhow::Result<()> {
    let made = made(world, seen.len())?;
    let sum = |count: fn(&Seen) -> usize| seen.iter().map(count).sum::<usize>();
    let names = || seen.iter().flat_map(|seen| seen.done.iter().chain(&seen.unknown).chain(&seen.refused));
    let repeated = names().filter(|name| made.get(*name).is_some_and(|times| *times > 1)).count();
    let missing = seen.iter().flat_map(|seen| &seen.done).filter(|name| !made.contains_key(*name)).count();
    let contradicted = seen.iter().flat_map(|seen| &seen.refused).filter(|name| made.contains_key(*name)).count();
    let (lost, disconnects) = (sum(|seen| seen.lost), sum(|seen| usize::from(seen.disconnected)));
    run.figure(&format!("{of}answers"), sum(|seen| seen.answers.len()));
    run.figure(&format!("{of}reads"), sum(|seen| seen.reads));
    run.figure(&format!("{of}lost_answers"), lost);
    run.figure(&format!("{of}writes"), names().count());
    run.figure(&format!("{of}writes_of_unknown_outcome"), sum(|seen| seen.unknown.len()));
    run.figure(&format!("{of}writes_refused"), sum(|seen| seen.refused.len()));
    run.figure(&format!("{of}repeated_writes"), repeated);
    run.figure(&format!("{of}writes_claimed_and_missing"), missing);
    run.figure(&format!("{of}writes_denied_and_made"), contradicted);
    run.figure(&format!("{of}disconnects"), disconnects);
    for reason in seen.iter().flat_map(|seen| &seen.reasons).filter(|reason| !reason.contains("unknown")).take(3) {
        say(reason);
    }
    run.must(lost == 0, "reads were not answered");
    run.must(repeated == 0, "writes were done twice");
    run.must(missing == 0 && contradicted == 0, "clients were told of writes what is not so");
    run.must(disconnects == 0, "clients lost their server");
    Ok(())
}

/// How long each client had still to wait at each of `moments`.
fn until_the_next_answer(seen: &[Seen], moments: &[Instant]) -> Vec<Duration> {
    let next =
        |moment: Instant| seen.iter().filter_map(move |seen| seen.answers.iter().find_map(|answer| answer.checked_duration_since(moment)));
    moments.iter().flat_map(|moment| next(*moment)).collect()
}

/// The daemon is killed again and again.
fn kills(run: &mut Run, size: &Size) -> anyhow::Result<()> {
    let mut world = world(size.shims)?;
    world.expect_log("its outcome is unknown");
    // The first one is ours and would only be waited for; from now on clients start them.
    world.stop_daemon()?;
    let (mut undisturbed, mut moments) = (Vec::new(), Vec::new());
    let seen = under_load(&world, size.shims, |heard| {
        while undisturbed.len() < size.kills && !run.leaves() {
            answers(heard, size.shims)?;
            undisturbed.push(stopwatch::now());
        }
        while moments.len() < size.kills && !run.leaves() {
            answers(heard, BETWEEN * size.shims)?;
            let pid = world.until(|status| status["pid"].is_u64())?["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok());
            let pid = pid.context("a daemon without a pid")?;
            moments.push(stopwatch::now());
            process::send(pid, Signal::KILL)?;
            process::wait_for_stranger(pid, PATIENCE)?;
            if moments.len() % 10 == 0 {
                say(&format!("{} kills", moments.len()));
            }
        }
        answers(heard, BETWEEN * size.shims)
    })?;
    let mut recovery = until_the_next_answer(&seen, &moments);
    run.figure("shims", size.shims);
    run.figure("kills", moments.len());
    run.figure("undisturbed_p99_ms", millis(percentile(&mut until_the_next_answer(&seen, &undisturbed), 0.99)));
    run.figure("recovery_p50_ms", millis(percentile(&mut recovery, 0.5)));
    let p99 = percentile(&mut recovery, 0.99);
    run.figure("recovery_p99_ms", millis(p99));
    run.figure("recovery_most_ms", millis(percentile(&mut recovery, 1.0)));
    judged(run, &world, &seen, "")?;
    // What a debug build takes says nothing.
    run.must(p99 < RECOVERY || cfg!(debug_assertions), "recovery takes too long");
    Ok(())
}

/// The daemon is replaced in order, as an upgrade does it.
fn restarts(run: &mut Run, size: &Size) -> anyhow::Result<()> {
    let mut world = world(size.shims)?;
    world.stop_daemon()?;
    let mut restarts = 0;
    let seen = under_load(&world, size.shims, |heard| {
        while restarts < size.restarts && !run.leaves() {
            answers(heard, BETWEEN * size.shims)?;
            world.ctl(&["stop"])?.ok()?;
            restarts += 1;
        }
        answers(heard, BETWEEN * size.shims)
    })?;
    run.figure("restarts", restarts);
    judged(run, &world, &seen, "restart_")?;
    let unknown: usize = seen.iter().map(|seen| seen.unknown.len() + seen.refused.len()).sum();
    run.must(unknown == 0, "an orderly restart left writes undone or unknown");
    Ok(())
}

/// Many clients find no daemon at the same moment.
fn starts(run: &mut Run, size: &Size) -> anyhow::Result<()> {
    let mut world = World::start()?;
    let question = json!({ "account_id": world.ids[0], "folder": "inbox", "limit": 10 });
    world.client(Era::Legacy)?.call("email_list", &question)?.json()?;
    world.stop_daemon()?;
    let ready = || -> anyhow::Result<usize> {
        let log = std::fs::read_to_string(world.home.path().join("m365-cached.log")).context("reading the daemon's log")?;
        Ok(log.lines().filter(|line| line.contains(" ready ")).count())
    };
    let before = ready()?;
    let (gate, served) = (Barrier::new(size.at_once), AtomicUsize::new(0));
    let mut times: Vec<Duration> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..size.at_once)
            .map(|number| {
                let (bins, home, gate, served, question) = (world.bins, &world.home, &gate, &served, &question);
                scope.spawn(move || {
                    gate.wait();
                    let (answer, took) = stopwatch::timed(|| -> anyhow::Result<()> {
                        Mcp::start(bins, home, ERAS[number % ERAS.len()])?.call("email_list", question)?.json().map(drop)
                    });
                    match answer {
                        Ok(()) => _ = served.fetch_add(1, Ordering::SeqCst),
                        Err(error) => say(&format!("{error:#}")),
                    }
                    took
                })
            })
            .collect();
        clients.into_iter().map(|client| client.join().unwrap_or(PATIENCE)).collect()
    });
    let daemons = ready()? - before;
    let slowest = percentile(&mut times, 1.0);
    run.figure("at_once", size.at_once);
    run.figure("daemons", daemons);
    run.figure("served", served.load(Ordering::SeqCst));
    run.figure("served_p50_ms", millis(percentile(&mut times, 0.5)));
    run.figure("served_last_ms", millis(slowest));
    run.must(daemons == 1, "more or less than one daemon served");
    run.must(served.load(Ordering::SeqCst) == size.at_once, "clients were not served");
    run.must(slowest < SERVED || cfg!(debug_assertions), "the last was served too late");
    Ok(())
}

/// How large the program is on the disk and in memory.
fn size(run: &mut Run) -> anyhow::Result<()> {
    let shim = packaged_shim()?;
    let bytes = std::fs::metadata(&shim)?.len();
    let world = World::start()?;
    let mut client = open(world.bins, &world.home, &shim, Era::Modern)?;
    for _ in 0..200 {
        client.call("email_list", &json!({ "account_id": world.ids[0], "folder": "inbox", "limit": 10 }))?.json()?;
    }
    let (rss, _) = process::memory(client.pid())?;
    run.figure("shim_bytes", bytes);
    run.figure("shim_rss_kib", rss);
    run.must(bytes <= LARGEST, "the shim is too large");
    run.must(rss <= MOST_RSS, "the shim takes too much memory");
    Ok(())
}
