//! `noisy`: one client asks at a hundred times what it may, and more; what another one feels of it.

use std::time::Duration;

use anyhow::Context as _;
use serde_json::json;

use super::Run;
use crate::support::{
    mcp::Mcp,
    stopwatch::{self, micros, percentile},
    world::{ALEX, Setup, World},
};

/// What each client may ask by minute: small, so that a hundred times of it is a load that one client can make.
const RATE: usize = 6_000;
/// How much slower the slowest hundredth of the quiet client's calls may be.
const RATIO: f64 = 2.0;
/// Below this nobody feels a ratio.
const FLOOR: Duration = Duration::from_millis(2);

pub(super) fn run(run: &mut Run, calls: usize) -> anyhow::Result<()> {
    // The quiet client stays within its rate, three measures and a first call in one minute: its calls are measured in all.
    let calls = calls.min(RATE / 4);
    let world = World::with(Setup { accounts: &[ALEX], config: "[limits]\nreads_per_minute = 6000\n", ..Setup::limited() })?;
    let mut quiet = Mcp::named(world.bins, &world.home, "quiet", &[])?;
    let question = json!({ "account_id": world.ids[0], "limit": 5 });
    quiet.call("email_list", &question)?.json()?;
    let mut measure = |run: &mut Run| -> anyhow::Result<Vec<Duration>> {
        let mut times = Vec::with_capacity(calls);
        for _ in 0..calls {
            if run.leaves() {
                break;
            }
            let begun = stopwatch::now();
            let answer = quiet.call("email_list", &question)?;
            times.push(begun.elapsed());
            anyhow::ensure!(!answer.is_error, "the quiet client is refused: {:.300}", answer.text);
        }
        Ok(times)
    };
    measure(run)?;
    let mut alone = measure(run)?;

    let mut noisy = Mcp::named(world.bins, &world.home, "noisy", &[])?;
    let (id, first) = noisy.line("tools/call", json!({ "name": "email_list", "arguments": question }));
    noisy.send(&first)?;
    noisy.reply_to(id)?;
    let flood = Flood::begin(noisy, &world.ids[0])?;
    // Until it has used up what it may.
    let refused = flood.until_refused();
    let begun = stopwatch::now();
    let beside = refused.and_then(|()| measure(run));
    let took = begun.elapsed();
    // Whatever came of it: its client must not outlive the world.
    let told = flood.end()?;
    let mut beside = beside?;
    if run.leaves() {
        return Ok(());
    }
    let (before, after) = (percentile(&mut alone, 0.99), percentile(&mut beside, 0.99));
    let ratio = after.max(FLOOR).as_secs_f64() / before.max(FLOOR).as_secs_f64();
    let figure = json!({
        "tried": told.asked, "answered": told.answered, "busy": told.busy, "seconds": took.as_secs_f64(),
        "quiet_p50_alone_us": micros(percentile(&mut alone, 0.5)), "quiet_p99_alone_us": micros(before),
        "quiet_p50_beside_us": micros(percentile(&mut beside, 0.5)), "quiet_p99_beside_us": micros(after), "p99_ratio": ratio,
    });
    run.figure("noisy", figure);
    run.must(told.answered <= RATE + 1, "the noisy client was answered more often than it may ask");
    run.must(told.busy > 0 && told.typed, "the noisy client was not told that it is too fast");
    run.must(ratio <= RATIO, &format!("the quiet client's slowest calls are {ratio:.2} times as slow"));
    Ok(())
}

/// What came of the flood.
#[derive(Debug, Default)]
struct Told {
    asked: usize,
    answered: usize,
    busy: usize,
    /// Each refusal named the limit, what is left and when to come again.
    typed: bool,
}

/// A client that sends without waiting, as fast as it is let.
struct Flood {
    end: std::sync::Arc<std::sync::atomic::AtomicBool>,
    refused: std::sync::mpsc::Receiver<()>,
    thread: std::thread::JoinHandle<anyhow::Result<Told>>,
}

/// Calls on their way at a time.
const AHEAD: usize = 64;

impl Flood {
    fn begin(mut client: Mcp, account: &str) -> anyhow::Result<Self> {
        let end = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let (tell, refused) = std::sync::mpsc::channel();
        let (stop, account) = (end.clone(), account.to_owned());
        let thread = std::thread::spawn(move || {
            let mut told = Told { answered: 1, typed: true, ..Told::default() };
            let arguments = json!({ "name": "email_list", "arguments": { "account_id": account, "limit": 5 } });
            let mut under_way = 0;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) || under_way > 0 {
                if under_way < AHEAD && !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    let (_, line) = client.line("tools/call", arguments.clone());
                    client.send(&line)?;
                    told.asked += 1;
                    under_way += 1;
                    continue;
                }
                let reply = String::from_utf8(client.receive()?)?;
                under_way -= 1;
                if reply.contains("\\\"busy\\\"") {
                    told.busy += 1;
                    told.typed &= ["limits.reads_per_minute", "remaining", "reset_s"].iter().all(|word| reply.contains(word));
                    // Nobody may listen any more.
                    let _ = tell.send(());
                } else {
                    told.answered += 1;
                }
            }
            Ok(told)
        });
        Ok(Self { end, refused, thread })
    }

    fn until_refused(&self) -> anyhow::Result<()> {
        self.refused.recv_timeout(crate::support::PATIENCE).context("the noisy client is never refused")
    }

    fn end(self) -> anyhow::Result<Told> {
        self.end.store(true, std::sync::atomic::Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow::anyhow!("the noisy client's thread broke"))?
    }
}
