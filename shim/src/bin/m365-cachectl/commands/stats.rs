//! `stats`: what the cache did in a period, and what it holds now.

use std::io::IsTerminal as _;

use m365_cached_proto::v1::admin_client::AdminClient;
use m365_cached_proto::v1::{Fault, StatsReply, StatsRequest, StatsRow, StatsTimes};
use serde::Serialize;
use tonic::transport::Channel;

use crate::context::{Context, promptly};
use crate::output::{Paint, View, bytes, counted, table};

/// Which statistics to show.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  m365-cachectl stats
  m365-cachectl stats --period week --by client
  m365-cachectl stats --json | jq .hit_rate

`saved` counts the requests to Microsoft that answers from the cache did not make: each counts as many as fetches of its tool take in the mean.
`cache in` and `graph in` are the times that half of the answers from there took, inside the daemon.

With --json: `period`, `since_ms` (Unix time), then the totals `hits`, `stale_hits`, `misses`, `bypassed`, `coalesced`, `stale_if_error`,
`refreshes`, `graph_requests`, `saved_graph_calls`, `hit_rate` (0 to 1, or null), `evicted`, `evicted_bytes`; `entries`, `raw_bytes` and
`stored_bytes` as they are now; `hit_us` and `fetch_us` with `p50`, `p95`, `p99` in microseconds, or null; the lists `by_tool`, `by_account` and
`by_client` with the same names beside `name` (and `username`); `series` of `at_ms`, `hits`, `misses`.")]
pub(crate) struct Args {
    /// How far back
    #[arg(long, value_enum, default_value_t = Period::Day)]
    pub(crate) period: Period,
    /// Which table to show
    #[arg(long, value_enum, default_value_t = By::Tool)]
    pub(crate) by: By,
    /// Only of this account: id, username or alias
    #[arg(long)]
    pub(crate) account: Option<String>,
}

/// How far back.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum Period {
    Hour,
    Day,
    Week,
    /// Up to 400 days
    All,
}

impl Period {
    /// The word the daemon knows it by.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::All => "all",
        }
    }
}

/// Which table.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum By {
    Tool,
    Account,
    Client,
}

/// The whole answer; `--by` chooses only what the text shows. Totals stand at the top level.
#[derive(Debug, Serialize)]
struct Stats {
    /// `hour`, `day`, `week` or `all`.
    period: String,
    /// When the period begins, Unix milliseconds.
    since_ms: u64,
    #[serde(flatten)]
    total: Figures,
    by_tool: Vec<Row>,
    by_account: Vec<Row>,
    by_client: Vec<Row>,
    /// How it went, the oldest point first: an hour by 5 minutes, a day by the hour, a week by 6 hours, everything by the day (the last 30).
    series: Vec<Point>,
    #[serde(skip)]
    by: By,
    #[serde(skip)]
    terminal: bool,
}

/// Counts of the period; entries and bytes as they are now. Nothing is held by a client.
#[derive(Debug, Serialize)]
struct Figures {
    hits: u64,
    stale_hits: u64,
    misses: u64,
    bypassed: u64,
    coalesced: u64,
    stale_if_error: u64,
    refreshes: u64,
    graph_requests: u64,
    saved_graph_calls: u64,
    /// Share of cached calls answered without waiting for Microsoft, 0 to 1; `null` before the first.
    hit_rate: Option<f64>,
    evicted: u64,
    evicted_bytes: u64,
    entries: u64,
    raw_bytes: u64,
    stored_bytes: u64,
    /// How long answers from the cache took.
    hit_us: Times,
    /// How long answers from Microsoft took.
    fetch_us: Times,
}

/// So many microseconds half, 19 in 20 and 99 in 100 stayed below; `null` without calls.
#[derive(Debug, Serialize)]
struct Times {
    p50: Option<u64>,
    p95: Option<u64>,
    p99: Option<u64>,
}

#[derive(Debug, Serialize)]
struct Row {
    name: String,
    /// The username, of an account.
    #[serde(skip_serializing_if = "String::is_empty")]
    username: String,
    #[serde(flatten)]
    figures: Figures,
}

#[derive(Debug, Serialize)]
struct Point {
    at_ms: u64,
    hits: u64,
    misses: u64,
}

pub(super) async fn run(context: &Context, asked: Args) -> Result<(), Fault> {
    let request = StatsRequest { period: asked.period.as_str().into(), account: asked.account.unwrap_or_default() };
    let reply = promptly(context.admin().await?.stats(request)).await?;
    context.output.show(&Stats::new(reply, asked.by, std::io::stdout().is_terminal()));
    Ok(())
}

/// What the running daemon did in the last seven days, as JSON, for a report.
pub(super) async fn as_json(context: &Context) -> Result<serde_json::Value, Fault> {
    let request = StatsRequest { period: Period::Week.as_str().into(), account: String::new() };
    let reply = promptly(context.running().await?.stats(request)).await?;
    Ok(serde_json::to_value(Stats::new(reply, By::Tool, false)).unwrap_or_default())
}

/// The last day in short, for `status`.
#[derive(Debug, Serialize)]
pub(super) struct Hits {
    /// `day`.
    period: &'static str,
    /// As that of `stats`.
    hit_rate: Option<f64>,
    hits: u64,
    stale_hits: u64,
    misses: u64,
}

impl Hits {
    /// Asks the daemon.
    pub(super) async fn of_the_last_day(admin: &mut AdminClient<Channel>) -> Result<Self, Fault> {
        let request = StatsRequest { period: Period::Day.as_str().into(), account: String::new() };
        Ok(Self::from(promptly(admin.stats(request)).await?.total.unwrap_or_default()))
    }

    pub(super) fn text(&self) -> String {
        match share(self.hit_rate) {
            None => "no cached calls in the last 24 hours".to_owned(),
            Some(rate) => {
                let (quick, missed) = (self.hits + self.stale_hits, self.misses);
                format!("{rate} of the last 24 hours without waiting: {} from the cache, {missed} fetched", counted(quick, "answer"))
            }
        }
    }
}

impl From<StatsRow> for Hits {
    fn from(total: StatsRow) -> Self {
        let Figures { hit_rate, hits, stale_hits, misses, .. } = total.into();
        Self { period: Period::Day.as_str(), hit_rate, hits, stale_hits, misses }
    }
}

impl From<StatsRow> for Figures {
    fn from(row: StatsRow) -> Self {
        let quick = row.hits + row.stale_hits;
        let all = quick + row.misses;
        #[expect(clippy::cast_precision_loss, reason = "a share for people; counters stay far below 2^52")]
        let hit_rate = (all > 0).then(|| (quick as f64 / all as f64 * 1000.0).round() / 1000.0);
        Self {
            hits: row.hits,
            stale_hits: row.stale_hits,
            misses: row.misses,
            bypassed: row.bypassed,
            coalesced: row.coalesced,
            stale_if_error: row.stale_if_error,
            refreshes: row.refreshes,
            graph_requests: row.graph_requests,
            saved_graph_calls: row.saved_graph_calls,
            hit_rate,
            evicted: row.evicted,
            evicted_bytes: row.evicted_bytes,
            entries: row.entries,
            raw_bytes: row.raw_bytes,
            stored_bytes: row.stored_bytes,
            hit_us: row.hit_times.unwrap_or_default().into(),
            fetch_us: row.fetch_times.unwrap_or_default().into(),
        }
    }
}

impl From<StatsTimes> for Times {
    fn from(times: StatsTimes) -> Self {
        let known = |micros| (times.count > 0).then_some(micros);
        Self { p50: known(times.p50_us), p95: known(times.p95_us), p99: known(times.p99_us) }
    }
}

impl From<StatsRow> for Row {
    fn from(mut row: StatsRow) -> Self {
        let (name, username) = (std::mem::take(&mut row.name), std::mem::take(&mut row.label));
        Self { name, username, figures: row.into() }
    }
}

impl Stats {
    fn new(reply: StatsReply, by: By, terminal: bool) -> Self {
        let rows = |rows: Vec<StatsRow>| rows.into_iter().map(Row::from).collect();
        Self {
            period: reply.period,
            since_ms: reply.since_ms,
            total: reply.total.unwrap_or_default().into(),
            by_tool: rows(reply.by_tool),
            by_account: rows(reply.by_account),
            by_client: rows(reply.by_client),
            series: reply.series.into_iter().map(|point| Point { at_ms: point.at_ms, hits: point.hits, misses: point.misses }).collect(),
            by,
            terminal,
        }
    }

    fn when(&self) -> &'static str {
        match self.period.as_str() {
            "hour" => "the last hour",
            "day" => "the last 24 hours",
            "week" => "the last 7 days",
            _ => "all that is kept, up to 400 days",
        }
    }

    /// Reads, and the share of them that the cache answered, point by point: drawn on a terminal, as numbers elsewhere.
    fn trend(&self) -> Vec<Vec<String>> {
        let reads: Vec<u64> = self.series.iter().map(|point| point.hits + point.misses).collect();
        if reads.iter().all(|reads| *reads == 0) {
            return Vec::new();
        }
        if !self.terminal {
            return vec![vec!["trend".into(), reads.iter().map(u64::to_string).collect::<Vec<_>>().join(" ")]];
        }
        let most = reads.iter().copied().max().unwrap_or(1);
        let volume: String = reads.iter().map(|reads| spark(*reads, most)).collect();
        let share: String = self.series.iter().map(|point| spark(point.hits, point.hits + point.misses)).collect();
        vec![vec!["reads".into(), format!("{volume}  at most {most}")], vec!["hit rate".into(), share]]
    }
}

/// A bar for `part` of `whole`; nothing for none.
fn spark(part: u64, whole: u64) -> char {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    if part == 0 || whole == 0 {
        return ' ';
    }
    let step = usize::try_from((part.saturating_mul(8)).div_ceil(whole)).unwrap_or(8).clamp(1, 8);
    BARS[step - 1]
}

fn rate(figures: &Figures) -> String {
    share(figures.hit_rate).unwrap_or_else(|| "-".to_owned())
}

/// `95.0 %`.
fn share(rate: Option<f64>) -> Option<String> {
    rate.map(|rate| format!("{:.1} %", rate * 100.0))
}

/// `90 µs`, `4.1 ms`, `1.2 s`.
pub(super) fn time(micros: Option<u64>) -> String {
    match micros {
        None => "-".into(),
        Some(micros @ 0..1000) => format!("{micros} µs"),
        Some(micros @ 1000..1_000_000) => format!("{}.{} ms", micros / 1000, micros / 100 % 10),
        Some(micros) => format!("{}.{} s", micros / 1_000_000, micros / 100_000 % 10),
    }
}

fn times(times: &Times) -> String {
    format!("{} half, {} of 95 %, {} of 99 %", time(times.p50), time(times.p95), time(times.p99))
}

impl View for Stats {
    fn text(&self, paint: Paint) -> String {
        let total = &self.total;
        let quick = match total.hit_rate {
            None => "no cached calls yet".to_owned(),
            Some(_) => format!("{} without waiting", rate(total)),
        };
        let (fresh, stale, missed, coalesced) = (total.hits, total.stale_hits, total.misses, total.coalesced);
        let mut rows = vec![
            vec!["period".to_owned(), self.when().to_owned()],
            vec!["answers".to_owned(), quick],
            vec![
                String::new(),
                format!("{fresh} fresh, {stale} stale, {missed} fetched, {coalesced} shared a fetch, {} bypassed", total.bypassed),
            ],
        ];
        rows.extend(self.trend());
        rows.push(vec![
            "graph".to_owned(),
            format!(
                "{} saved, {} made, {}",
                counted(total.saved_graph_calls, "request"),
                total.graph_requests,
                counted(total.refreshes, "refresh")
            ),
        ]);
        if total.stale_if_error > 0 {
            rows.push(vec![String::new(), paint.warn(&format!("{} answered stale because Microsoft failed", total.stale_if_error))]);
        }
        if total.hit_us.p50.is_some() {
            rows.push(vec!["cache in".to_owned(), times(&total.hit_us)]);
        }
        if total.fetch_us.p50.is_some() {
            rows.push(vec!["graph in".to_owned(), times(&total.fetch_us)]);
        }
        rows.push(vec![
            "holds".to_owned(),
            format!("{}, {} stored in {}", counted(total.entries, "entry"), bytes(total.raw_bytes), bytes(total.stored_bytes)),
        ]);
        if total.evicted > 0 {
            rows.push(vec![
                String::new(),
                format!("{} of {} thrown out for room", counted(total.evicted, "entry"), bytes(total.evicted_bytes)),
            ]);
        }
        let (name, rows_by, holds) = match self.by {
            By::Tool => ("tool", &self.by_tool, true),
            By::Account => ("account", &self.by_account, true),
            By::Client => ("client", &self.by_client, false),
        };
        let mut text = table(&rows);
        if !rows_by.is_empty() {
            let mut header =
                vec![name.to_owned(), "hits".into(), "misses".into(), "rate".into(), "saved".into(), "cache in".into(), "graph in".into()];
            if holds {
                header.extend(["entries".into(), "stored".into()]);
            }
            let row = |row: &Row| {
                let figures = &row.figures;
                let shown = if row.username.is_empty() { &row.name } else { &row.username };
                let mut cells = vec![
                    shown.clone(),
                    (figures.hits + figures.stale_hits).to_string(),
                    figures.misses.to_string(),
                    rate(figures),
                    figures.saved_graph_calls.to_string(),
                    time(figures.hit_us.p50),
                    time(figures.fetch_us.p50),
                ];
                if holds {
                    cells.extend([figures.entries.to_string(), bytes(figures.stored_bytes)]);
                }
                cells
            };
            text.push('\n');
            text.push_str(&table(&std::iter::once(header).chain(rows_by.iter().map(row)).collect::<Vec<_>>()));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use m365_cached_proto::v1::StatsPoint;

    use super::*;

    fn row(name: &str) -> StatsRow {
        let times = |p50_us| Some(StatsTimes { count: 9, p50_us, p95_us: p50_us * 4, p99_us: p50_us * 12 });
        StatsRow {
            name: name.into(),
            hits: 900,
            stale_hits: 50,
            misses: 50,
            bypassed: 2,
            coalesced: 7,
            stale_if_error: 1,
            refreshes: 40,
            graph_requests: 133,
            saved_graph_calls: 1_204,
            evicted: 3,
            evicted_bytes: 40_000,
            entries: 120,
            raw_bytes: 2_400_000,
            stored_bytes: 610_000,
            hit_times: times(96),
            fetch_times: times(163_840),
            ..StatsRow::default()
        }
    }

    fn reply() -> StatsReply {
        let point = |hour: u64| StatsPoint { at_ms: 1_795_165_200_000 + hour * 3_600_000, hits: hour * hour * 3, misses: hour % 3 };
        StatsReply {
            period: "day".into(),
            since_ms: 1_795_165_200_000,
            total: Some(row("")),
            by_tool: vec![row("email_list"), StatsRow { name: "email_get".into(), entries: 4, ..StatsRow::default() }],
            by_account: vec![StatsRow { label: "ada@contoso.example".into(), ..row("1.2") }],
            by_client: vec![row("claude-code"), row("other")],
            series: (0..9).map(point).collect(),
        }
    }

    #[test]
    fn stats_read_well() {
        let view = Stats::new(reply(), By::Tool, false);
        insta::assert_snapshot!("stats_text", view.text(Paint::OFF));
        insta::assert_json_snapshot!("stats_json", view);
    }

    #[test]
    fn tables_and_a_terminal_read_well() {
        let text = |by| Stats::new(reply(), by, true).text(Paint::OFF);
        insta::assert_snapshot!("stats_terminal_text", format!("{}\n{}", text(By::Account), text(By::Client)));
    }

    #[test]
    fn a_new_cache_has_no_rate() {
        let view = Stats::new(StatsReply::default(), By::Tool, true);
        assert_eq!(view.total.hit_rate, None);
        assert!(view.text(Paint::OFF).contains("no cached calls yet"));
    }

    #[test]
    fn a_day_is_told_in_short() {
        let text = |row: StatsRow| Hits::from(row).text();
        assert_eq!(text(row("")), "95.0 % of the last 24 hours without waiting: 950 answers from the cache, 50 fetched");
        assert_eq!(text(StatsRow::default()), "no cached calls in the last 24 hours");
    }

    #[test]
    fn bars_and_times_read_well() {
        let bars: String = (0..=8).map(|part| spark(part, 8)).collect();
        assert_eq!((bars.as_str(), spark(1, 1_000), spark(7, 7), spark(0, 0)), (" ▁▂▃▄▅▆▇█", '▁', '█', ' '));
        assert_eq!([Some(7), Some(4_160), Some(1_250_000), None].map(time), ["7 µs", "4.1 ms", "1.2 s", "-"]);
    }
}
