//! Asks one question: all clients at once while nothing is cached, then each again and again from the cache.

use std::{sync::Barrier, time::Duration};

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use super::{questions::Question, report::Row, stage::Stage};
use crate::support::{
    answer::Answer,
    mcp::Mcp,
    stopwatch::{self, micros, millis, percentile},
};

/// No tool takes longer than this in its cached rounds, whatever was asked for.
const ROUND: Duration = Duration::from_secs(2);

/// Measures one question.
pub(super) fn question(stage: &Stage, clients: &mut [Mcp], question: &Question, repeat: u32) -> anyhow::Result<Row> {
    let (graph, daemon) = (stage.graph()?, stage.counters()?);
    let first = at_once(clients, question)?;
    let (graph_after, daemon_after) = (stage.graph()?, stage.counters()?);
    let coalesced = counter(&daemon_after)?.saturating_sub(counter(&daemon)?);

    let (mut samples, mut bytes) = (Vec::new(), 0);
    let mut answers: Vec<Value> = Vec::new();
    for (_, answer) in &first {
        bytes = bytes.max(answer.text.len());
        answers.push(answer.plain()?);
    }
    for client in clients.iter_mut() {
        let (id, mut line) = client.line("tools/call", json!({"name": question.tool, "arguments": question.arguments}));
        line.push('\n');
        let (mut reply, start) = (Vec::new(), stopwatch::now());
        for nth in 0..repeat {
            samples.push(client.trip(&line, &mut reply)?);
            // The first and the last are read; in between only their length is looked at, so that nothing but the trip is timed.
            if nth == 0 {
                answers.push(cached(&reply, id)?.plain()?);
            }
            if nth >= 20 && start.elapsed() > ROUND {
                break;
            }
        }
        answers.push(cached(&reply, id)?.plain()?);
    }
    let graph_cached = stage.graph()?;

    let differ = answers.iter().filter(|answer| **answer != answers[0]).count();
    let first_ms = first.iter().map(|(took, _)| *took).max().unwrap_or_default();
    Ok(Row {
        name: question.tool.to_owned(),
        first_ms: millis(first_ms),
        cached_p50_us: micros(percentile(&mut samples, 0.5)),
        cached_p99_us: micros(percentile(&mut samples, 0.99)),
        cached_max_us: micros(percentile(&mut samples, 1.0)),
        graph_calls_first: graph_after.requests - graph.requests,
        graph_calls_cached: graph_cached.requests - graph_after.requests,
        coalesced,
        answer_bytes: bytes,
        repeats: samples.len(),
        differ,
        limit_ms: question.limit_ms,
    })
}

fn counter(stats: &Value) -> anyhow::Result<u64> {
    stats["coalesced"].as_u64().with_context(|| format!("no `coalesced` in {stats}"))
}

/// All clients ask at the same moment; what each waited, and what it got.
fn at_once(clients: &mut [Mcp], question: &Question) -> anyhow::Result<Vec<(Duration, Answer)>> {
    let start = Barrier::new(clients.len());
    std::thread::scope(|scope| {
        let asking: Vec<_> = clients
            .iter_mut()
            .map(|client| {
                let start = &start;
                scope.spawn(move || {
                    start.wait();
                    let (answer, took) = stopwatch::timed(|| client.call(question.tool, &question.arguments));
                    answer.map(|answer| (took, answer))
                })
            })
            .collect();
        asking.into_iter().map(|asked| asked.join().map_err(|_| anyhow::anyhow!("a client's thread panicked"))?).collect()
    })
}

/// The answer in a reply, which must come from the cache.
fn cached(reply: &[u8], id: u64) -> anyhow::Result<Answer> {
    let reply: Value = serde_json::from_slice(reply).context("the reply of a cached call")?;
    anyhow::ensure!(reply["id"] == id, "a reply to another request: {}", reply["id"]);
    let answer = Answer::of_reply(&reply)?;
    match answer.cache_status()?.as_str() {
        "fresh" => Ok(answer),
        other => bail!("a repeated question was answered with _cache_status \"{other}\""),
    }
}
