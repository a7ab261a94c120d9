//! Runs the contestants round by round, in turn, and takes the median of each one's medians.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Command, Stdio},
    sync::Barrier,
    time::Duration,
};

use anyhow::Context as _;
use m365_cached_checks::support::{
    mcp::{Era, open},
    process::{Running, memory, spawn},
    stopwatch::{self, micros, millis, percentile},
};
use serde_json::{Value, json};

use crate::{
    figures::{Crowd, Figures, Start, Trip},
    lanes::{Lane, PingPong, Piped, Product, Server, path},
    stage::{Question, Stage},
};

/// Sizes of the answers, in bytes.
const SIZES: [usize; 4] = [2_000, 20_000, 50_000, 500_000];
/// The size that most goals are stated for.
const USUAL: usize = 1;
/// Contestants of one size.
const LANES: usize = 5;
/// Trips of a new process that do not count.
const WARM_UP: usize = 30;
/// How many clients make a crowd.
const CROWD: usize = 8;

pub(crate) fn run(stage: &Stage, quick: bool) -> anyhow::Result<Figures> {
    let rounds = if quick { 5 } else { 25 };
    let questions = stage.questions(&SIZES)?;
    let mut trips = Vec::new();
    for (question, wanted) in questions.iter().zip(SIZES) {
        let samples = if wanted > 100_000 { 60 } else { 300 };
        trips.push(one_client(stage, question, rounds, samples)?);
    }
    let crowd = crowd(stage, &questions[USUAL], if quick { 1 } else { 3 })?;
    let start = starts(stage, &questions[USUAL], if quick { 10 } else { 40 })?;
    Ok(Figures { clients: CROWD, trips, crowd, start })
}

/// A raw daemon that serves what the product's answer would be: the same request line, the same bytes.
fn raw(stage: &Stage, question: &Question) -> anyhow::Result<(Server, String, Vec<u8>)> {
    let mut product = Product::on(stage, &stage.hot, question)?;
    product.trip()?;
    let (line, reply) = product.talk();
    let reply: Value = serde_json::from_slice(reply)?;
    let text = reply["result"]["content"][0]["text"].as_str().context("no tool result")?;
    let escaped = serde_json::to_string(text)?;
    let name = format!("{}", question.bytes);
    let body = stage.scratch.path().join(format!("{name}.body"));
    std::fs::write(&body, &escaped.as_bytes()[1..escaped.len() - 1])?;
    let socket = stage.scratch.path().join(format!("{name}-{}.sock", std::fs::read_dir(stage.scratch.path())?.count()));
    let server = Server::start(&["raw-daemon", path(&socket)?, path(&body)?])?;
    Ok((server, path(&socket)?.to_owned(), line.as_bytes().to_vec()))
}

fn one_client(stage: &Stage, question: &Question, rounds: usize, samples: usize) -> anyhow::Result<Trip> {
    let (_server, socket, line) = raw(stage, question)?;
    let mut echoed = vec![b'x'; question.bytes];
    echoed.push(b'\n');
    // New processes for every round: where the scheduler puts them holds for their lives and makes up to a half of the time.
    let lanes = |round: usize| -> anyhow::Result<[Box<dyn Lane>; LANES]> {
        let pong = stage.scratch.path().join(format!("{}-pong-{round}.sock", question.bytes));
        Ok([
            Box::new(Piped::role(&["echo"], echoed.clone())?),
            Box::new(PingPong::of(&pong, question.bytes)?),
            Box::new(Piped::role(&["raw-shim", &socket], line.clone())?),
            Box::new(Product::on(stage, &stage.hot, question)?),
            Box::new(Product::on(stage, &stage.cold, question)?),
        ])
    };
    let mut medians: [Vec<Duration>; LANES] = Default::default();
    let mut tails: [Vec<Duration>; LANES] = Default::default();
    for round in 0..rounds {
        for (at, mut lane) in lanes(round)?.into_iter().enumerate() {
            // The first trips only warm up.
            let times = (0..samples + WARM_UP).map(|_| lane.trip()).collect::<anyhow::Result<Vec<_>>>()?;
            let mut times = times[WARM_UP..].to_vec();
            medians[at].push(percentile(&mut times, 0.5));
            tails[at].push(percentile(&mut times, 0.99));
        }
    }
    let mut p50 = medians.iter_mut().map(|times| micros(percentile(times, 0.5)));
    let mut next = || p50.next().unwrap_or_default();
    let (echo, pong, raw, hot, cold) = (next(), next(), next(), next(), next());
    let mut p99 = tails.iter_mut().map(|times| micros(percentile(times, 0.5))).skip(3);
    let (hot_p99, cold_p99) = (p99.next().unwrap_or_default(), p99.next().unwrap_or_default());
    Ok(Trip::new(question.bytes, echo + pong, raw, [hot, hot_p99], [cold, cold_p99]))
}

/// Eight clients at once: calls a second, the product beside the raw frames.
fn crowd(stage: &Stage, question: &Question, rounds: usize) -> anyhow::Result<Crowd> {
    let (_server, socket, line) = raw(stage, question)?;
    let raw = || -> anyhow::Result<Box<dyn Lane>> { Ok(Box::new(Piped::role(&["raw-shim", &socket], line.clone())?)) };
    let hot = || -> anyhow::Result<Box<dyn Lane>> { Ok(Box::new(Product::on(stage, &stage.hot, question)?)) };
    let cold = || -> anyhow::Result<Box<dyn Lane>> { Ok(Box::new(Product::on(stage, &stage.cold, question)?)) };
    let makers: [&dyn Fn() -> anyhow::Result<Box<dyn Lane>>; 3] = [&raw, &hot, &cold];
    let mut crowds = makers.iter().map(|make| (0..CROWD).map(|_| make()).collect()).collect::<anyhow::Result<Vec<Vec<_>>>>()?;
    let mut rates: Vec<Vec<f64>> = vec![Vec::new(); crowds.len()];
    for _ in 0..rounds {
        for (at, lanes) in crowds.iter_mut().enumerate() {
            rates[at].push(rate(lanes)?);
        }
    }
    let mut middle = rates.into_iter().map(|mut rates| {
        rates.sort_by(f64::total_cmp);
        rates[rates.len() / 2].round()
    });
    let mut next = || middle.next().unwrap_or_default();
    Ok(Crowd::new(next(), next(), next()))
}

/// Calls a second of all lanes together, over about a second.
fn rate(lanes: &mut [Box<dyn Lane>]) -> anyhow::Result<f64> {
    let start = Barrier::new(lanes.len());
    let span = Duration::from_secs(1);
    let counts: Vec<anyhow::Result<(u32, Duration)>> = std::thread::scope(|scope| {
        let running: Vec<_> = lanes
            .iter_mut()
            .map(|lane| {
                let start = &start;
                scope.spawn(move || {
                    start.wait();
                    let (mut calls, began) = (0, stopwatch::now());
                    while began.elapsed() < span {
                        lane.trip()?;
                        calls += 1;
                    }
                    Ok((calls, began.elapsed()))
                })
            })
            .collect();
        running.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err(anyhow::anyhow!("a client panicked")))).collect()
    });
    let mut sum = 0.0;
    for count in counts {
        let (calls, took) = count?;
        sum += f64::from(calls) / took.as_secs_f64();
    }
    Ok(sum)
}

/// From the spawn of a shim to its first cached answer, beside the spawn of `cat` to its first line.
fn starts(stage: &Stage, question: &Question, times: usize) -> anyhow::Result<Start> {
    let (mut trivial, mut shim) = (Vec::new(), Vec::new());
    for _ in 0..times {
        trivial.push(stopwatch::timed(cat));
        shim.push(stopwatch::timed(|| first_answer(stage, question)));
    }
    let middle = |times: Vec<(anyhow::Result<()>, Duration)>| -> anyhow::Result<f64> {
        let mut good = times.into_iter().map(|(result, took)| result.map(|()| took)).collect::<anyhow::Result<Vec<_>>>()?;
        Ok(millis(percentile(&mut good, 0.5)).max(0.1))
    };
    let (trivial, shim) = (middle(trivial)?, middle(shim)?);
    let mut lane = Product::on(stage, &stage.hot, question)?;
    for _ in 0..100 {
        lane.trip()?;
    }
    let (rss_kb, pss_kb) = memory(lane.pid())?;
    let daemon = memory(stage.hot.daemon.pid());
    Ok(Start {
        trivial_ms: trivial,
        shim_ms: shim,
        ratio: (shim / trivial * 100.0).round() / 100.0,
        shim_bytes: std::fs::metadata(&stage.shim)?.len(),
        shim_rss_kb: rss_kb,
        shim_pss_kb: pss_kb,
        daemon_rss_kb: daemon.ok().map(|(rss, _)| rss),
    })
}

fn cat() -> anyhow::Result<()> {
    let mut child = spawn(Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()))?;
    let (stdin, stdout) = (child.stdin.take().context("stdin")?, child.stdout.take().context("stdout")?);
    let _process = Running::new("cat", child);
    (&stdin).write_all(b"hello\n")?;
    BufReader::new(stdout).read_line(&mut String::new())?;
    Ok(())
}

fn first_answer(stage: &Stage, question: &Question) -> anyhow::Result<()> {
    let mut client = open(stage.bins, &stage.hot.home, &stage.shim, Era::Legacy)?;
    client.greet()?;
    let line = client.line("tools/call", json!({"name": "email_list", "arguments": stage.hot.ask(question)})).1;
    client.send(&line)?;
    client.receive().map(drop)
}
