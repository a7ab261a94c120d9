//! The same as JSON: a line for each look, over the time since the look before.

use std::collections::BTreeMap;

use m365_cached_proto::v1::{Fault, RecentCall, StatusReply};
use serde::Serialize;

use super::Args;
use super::source::{Look, Source};
use super::watch::{ENDS, Moment, Times, Watch};
use crate::context::Context;
use crate::views::known;

/// A look. Without one before it (after a start of the daemon) nothing is known of rates: those are `null`.
#[derive(Debug, Serialize)]
struct Line {
    /// The daemon's time, Unix milliseconds.
    at_ms: Option<u64>,
    /// As in `status`; `not_running` while none answers.
    state: String,
    seconds: Option<f64>,
    calls_per_second: Option<BTreeMap<&'static str, f64>>,
    hit_rate: Option<f64>,
    latency_us: Option<Latency>,
    under_way: Option<u64>,
    clients: usize,
    queue: Option<Queue>,
    graph: Option<Graph>,
    accounts: Vec<Budget>,
    recent: Vec<Call>,
}

/// How long calls took that the cache answered, and the others.
#[derive(Debug, Serialize)]
struct Latency {
    cached: Took,
    other: Took,
}

/// So many microseconds half and 99 in 100 stayed below; `null` without calls, and past all bounds.
#[derive(Debug, Serialize)]
struct Took {
    count: u64,
    p50: Option<u64>,
    p99: Option<u64>,
}

#[derive(Debug, Serialize)]
struct Queue {
    queued: u64,
    running: u64,
    failed: u64,
}

#[derive(Debug, Serialize)]
struct Graph {
    breaker: String,
    in_flight: u32,
    waiting: u32,
}

/// What an account takes of its requests at a time; `id` is `null` for a shared mailbox.
#[derive(Debug, Serialize)]
struct Budget {
    id: Option<String>,
    used: u32,
    limit: u32,
    waiting: u32,
    paused_ms: u64,
}

#[derive(Debug, Serialize)]
struct Call {
    number: u64,
    at_ms: u64,
    tool: String,
    account: Option<String>,
    client: String,
    status: String,
    code: Option<String>,
    took_us: u64,
}

pub(super) async fn run(context: &Context, source: Source, args: &Args) -> Result<u8, Fault> {
    let (mut looks, mut watch, mut left) = (source.every(args.every), Watch::default(), args.samples);
    let mut first = true;
    while let Some(look) = looks.recv().await {
        let line = line(&mut watch, look);
        // The first look only says from where to count.
        if std::mem::take(&mut first) {
            continue;
        }
        if !context.output.tells(&line) {
            return Ok(0);
        }
        left = left.map(|left| left - 1);
        if left == Some(0) {
            return Ok(0);
        }
    }
    Ok(0)
}

fn line(watch: &mut Watch, look: Look) -> Line {
    let Ok(reply) = look.seen.clone() else {
        watch.take(look);
        return Line::of(None, &StatusReply { state: "not_running".into(), ..StatusReply::default() });
    };
    Line::of(watch.take(look).as_ref(), &reply)
}

impl Line {
    fn of(moment: Option<&Moment>, reply: &StatusReply) -> Self {
        let took = |times: &Times| Took { count: times.count(), p50: times.below(0.5), p99: times.below(0.99) };
        let (limit, lanes) = reply.graph.as_ref().map_or((0, Vec::new()), |graph| (graph.per_mailbox, graph.lanes.clone()));
        let lane = |id: &str| lanes.iter().find(|lane| lane.account == id).cloned().unwrap_or_default();
        let budget = |id: Option<String>, lane: m365_cached_proto::v1::Lane| {
            let (used, waiting, paused_ms) = (lane.used, lane.waiting, lane.paused_ms);
            Budget { id, used, limit, waiting, paused_ms }
        };
        let own = reply.accounts.iter().map(|account| budget(Some(account.id.clone()), lane(&account.id)));
        let shared = lanes.iter().filter(|lane| lane.account.is_empty()).map(|lane| budget(None, lane.clone()));
        let activity = reply.activity.as_ref();
        Self {
            at_ms: activity.map(|activity| activity.now_ms),
            state: reply.state.clone(),
            seconds: moment.map(|moment| rounded(moment.time.as_secs_f64())),
            calls_per_second: moment
                .and_then(Moment::rates)
                .map(|rates| ENDS.iter().zip(rates).map(|((word, _), rate)| (*word, rounded(rate))).collect()),
            hit_rate: moment.and_then(Moment::hit_rate).map(rounded),
            latency_us: moment.map(|moment| Latency { cached: took(&moment.cached), other: took(&moment.others) }),
            under_way: activity.map(|activity| activity.under_way),
            clients: reply.clients.len(),
            queue: reply.queue.as_ref().map(|queue| Queue { queued: queue.queued, running: queue.running, failed: queue.failed }),
            graph: reply.graph.as_ref().filter(|graph| !graph.breaker.is_empty()).map(|graph| Graph {
                breaker: graph.breaker.clone(),
                in_flight: graph.in_flight,
                waiting: graph.waiting,
            }),
            accounts: own.chain(shared).collect(),
            recent: activity.into_iter().flat_map(|activity| activity.recent.iter().map(Call::from)).collect(),
        }
    }
}

impl From<&RecentCall> for Call {
    fn from(call: &RecentCall) -> Self {
        Self {
            number: call.number,
            at_ms: call.at_ms,
            tool: call.tool.clone(),
            account: known(&call.account),
            client: call.client.clone(),
            status: call.status.clone(),
            code: known(&call.code),
            took_us: call.took_us,
        }
    }
}

/// To thousandths: what follows is noise.
fn rounded(figure: f64) -> f64 {
    (figure * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use m365_cached_proto::v1::Kind;

    use super::super::watch::tests::{look, reply};
    use super::*;

    #[test]
    fn a_line_tells_of_the_time_since_the_one_before() {
        let mut watch = Watch::default();
        line(&mut watch, look(0, reply("a", 100, 10)));
        insta::assert_json_snapshot!("top_line", line(&mut watch, look(2, reply("a", 130, 20))));
        let gone = Fault::new(Kind::Config, "daemon_not_running", "no daemon is running", "");
        let line = line(&mut watch, Look { at: Duration::from_secs(3), seen: Err(gone) });
        assert_eq!((line.state.as_str(), line.at_ms, line.calls_per_second), ("not_running", None, None));
    }
}
