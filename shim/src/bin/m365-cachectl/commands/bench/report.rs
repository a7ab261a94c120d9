//! What was measured, and what is to be thought of it.

use std::time::Duration;

use serde::Serialize;

use super::session::Answered;
use crate::commands::stats::time;
use crate::output::{Paint, View, bytes, table};

/// Up to so many times the time of an empty question a call is good.
const GOOD: f64 = 3.0;
/// Up to so many it is fair.
const FAIR: f64 = 8.0;

/// See the help of `bench`.
#[derive(Debug, Serialize)]
pub(super) struct Measured {
    tool: String,
    answer_bytes: usize,
    cache: Option<String>,
    asked_microsoft: u64,
    connect_us: Spread,
    ping_us: Spread,
    one: Figures,
    eight: Figures,
    ratio: f64,
    verdict: &'static str,
}

/// So many microseconds half and 99 in 100 took at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Spread {
    p50: u64,
    p99: u64,
}

/// Calls over a number of connections.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Figures {
    calls: usize,
    p50_us: u64,
    p99_us: u64,
    per_second: f64,
}

impl Spread {
    pub(super) fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let below = |hundredths: usize| {
            // The nearest rank: of one time it is that time.
            let rank = (times.len() * hundredths).div_ceil(100).max(1);
            times.get(rank - 1).map_or(0, |time| u64::try_from(time.as_micros()).unwrap_or(u64::MAX))
        };
        Self { p50: below(50), p99: below(99) }
    }
}

impl Figures {
    pub(super) fn of(times: Vec<Duration>, all: Duration) -> Self {
        let calls = times.len();
        let Spread { p50, p99 } = Spread::of(times);
        #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
        let per_second = calls as f64 / all.as_secs_f64().max(1e-9);
        Self { calls, p50_us: p50, p99_us: p99, per_second: per_second.round() }
    }
}

impl Measured {
    pub(super) fn new(
        tool: String,
        answer: &Answered,
        asked_microsoft: u64,
        connect_us: Spread,
        ping_us: Spread,
        one: Figures,
        eight: Figures,
    ) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "microseconds of a call")]
        let ratio = one.p50_us as f64 / ping_us.p50.max(1) as f64;
        let ratio = (ratio * 100.0).round() / 100.0;
        let verdict = if ratio <= GOOD {
            "good"
        } else if ratio <= FAIR {
            "fair"
        } else {
            "slow"
        };
        let (answer_bytes, cache) = (answer.bytes, answer.status.clone());
        Self { tool, answer_bytes, cache, asked_microsoft, connect_us, ping_us, one, eight, ratio, verdict }
    }
}

impl View for Measured {
    fn text(&self, paint: Paint) -> String {
        let size = bytes(u64::try_from(self.answer_bytes).unwrap_or(u64::MAX));
        let from = match &self.cache {
            Some(status) => format!("from the cache ({status})"),
            None => "by the daemon itself".to_owned(),
        };
        let asked = match self.asked_microsoft {
            0 => "Microsoft was not asked".to_owned(),
            1 => paint.warn("Microsoft was asked once"),
            count => paint.warn(&format!("Microsoft was asked {count} times")),
        };
        let spread = |spread: &Spread| vec![time(Some(spread.p50)), time(Some(spread.p99)), String::new()];
        let figures =
            |figures: &Figures| vec![time(Some(figures.p50_us)), time(Some(figures.p99_us)), format!("{:.0}", figures.per_second)];
        let row = |name: &str, cells: Vec<String>| std::iter::once(name.to_owned()).chain(cells).collect::<Vec<_>>();
        let rows = [
            row("", ["half", "99 %", "calls/s"].map(str::to_owned).to_vec()),
            row("connect and greet", spread(&self.connect_us)),
            row("ping", spread(&self.ping_us)),
            row("call, 1 connection", figures(&self.one)),
            row("call, 8 connections", figures(&self.eight)),
        ];
        let verdict = match self.verdict {
            "good" => paint.good("good"),
            "fair" => paint.warn("fair"),
            _ => paint.bad("slow"),
        };
        let end = format!("{verdict}: a call takes {:.2} times as long as a ping\n", self.ratio);
        format!("`{}`, {size}, answered {from}; {asked}\n{}{end}", self.tool, table(&rows))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(call_us: u64, cache: Option<&str>, asked_microsoft: u64) -> Measured {
        let answer = Answered { bytes: 20_480, status: cache.map(str::to_owned) };
        let figures = |per_second| Figures { calls: 1000, p50_us: call_us, p99_us: call_us * 3, per_second };
        let (connect, ping) = (Spread { p50: 900, p99: 2_400 }, Spread { p50: 60, p99: 140 });
        Measured::new("email_list".into(), &answer, asked_microsoft, connect, ping, figures(7_142.0), figures(12_000.0))
    }

    #[test]
    fn figures_read_well() {
        insta::assert_snapshot!("bench_text", measured(130, Some("fresh"), 1).text(Paint::OFF));
        insta::assert_json_snapshot!("bench_json", measured(130, Some("fresh"), 1));
        assert!(measured(130, None, 0).text(Paint::OFF).contains("answered by the daemon itself; Microsoft was not asked"));
    }

    #[test]
    fn a_call_is_judged_beside_a_ping() {
        let verdict = |micros| measured(micros, None, 0).verdict;
        assert_eq!([60, 180, 181, 480, 490].map(verdict), ["good", "good", "fair", "fair", "slow"]);
    }

    #[test]
    fn spreads_are_ranks() {
        let of = |count: u64| Spread::of((1..=count).rev().map(Duration::from_micros).collect());
        assert_eq!([of(0), of(1), of(100), of(1000)], [(0, 0), (1, 1), (50, 99), (500, 990)].map(|(p50, p99)| Spread { p50, p99 }));
        let figures = Figures::of(vec![Duration::from_micros(10); 50], Duration::from_millis(10));
        assert_eq!((figures.calls, figures.per_second), (50, 5_000.0));
    }
}
