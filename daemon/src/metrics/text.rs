//! The text: every family with its help and type, labels from a bounded set alone.
//!
//! Labels are tools of the catalogue, words of ours, the kind of a client (`cachectl`, `worker`, `mcp`) and a hash in place of an account.
//! Counters begin at zero with the daemon, and again for an account that signs out.

use std::{collections::BTreeMap, fmt::Write as _, sync::Arc};

use m365_cached::{
    engine::Stats,
    store::{Counts, Times},
};
use sha2::{Digest, Sha256};

use crate::{
    core::CoreStatus,
    daemon::{Daemon, VERSION},
    gate::Usage,
};

/// Where the buckets of the histograms end, in microseconds: ends of our own buckets, four times as far each, from 16 µs to 67 s.
const ENDS: [u64; 12] = [1 << 4, 1 << 6, 1 << 8, 1 << 10, 1 << 12, 1 << 14, 1 << 16, 1 << 18, 1 << 20, 1 << 22, 1 << 24, 1 << 26];

/// What is shown.
pub(super) struct Figures {
    pub(super) started_s: f64,
    pub(super) clients: u64,
    pub(super) usage: Usage,
    /// The codes of what `m365-cachectl status` warns of.
    pub(super) warnings: Vec<String>,
    /// `None` while the daemon is locked.
    pub(super) engine: Option<(Stats, CoreStatus)>,
}

/// The text for `daemon` now.
pub(super) async fn of(daemon: &Arc<Daemon>) -> String {
    let engine = match daemon.core() {
        Ok(core) => Some((core.counters(), core.status().await)),
        Err(_) => None,
    };
    #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 stay far below 2^52")]
    let started_s = daemon.ready_at.0 as f64 / 1000.0;
    let clients = u64::try_from(daemon.clients.list().len()).unwrap_or(u64::MAX);
    let own = engine.iter().flat_map(|(_, status)| status.warnings.clone());
    let warnings = daemon.warnings().into_iter().chain(own).map(|warning| warning.code).collect();
    render(&Figures { started_s, clients, usage: daemon.gate.usage(), warnings, engine })
}

/// The text.
pub(super) fn render(figures: &Figures) -> String {
    let mut page = Page::default();
    page.family("build_info", "gauge", "Version of the daemon; always 1.").sample(&[("version", VERSION)], 1);
    page.family("start_time_seconds", "gauge", "When the daemon began to serve, in seconds since 1970.").float(&[], figures.started_s);
    page.family("locked", "gauge", "1 while the daemon has no usable key, store or configuration.")
        .sample(&[], u64::from(figures.engine.is_none()));
    page.family("clients", "gauge", "MCP clients that are connected.").sample(&[], figures.clients);
    limits(&mut page, &figures.usage);
    warnings(&mut page, &figures.warnings);
    if let Some((stats, status)) = &figures.engine {
        answers(&mut page, stats);
        groups(&mut page, stats);
        times(&mut page, stats);
        state(&mut page, status);
    }
    page.0
}

/// What there is to say, by its code; those of two accounts count as two.
fn warnings(page: &mut Page, codes: &[String]) {
    let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    page.family("warnings", "gauge", "Things `m365-cachectl status` has to say.").sample(&[], count(codes.len()));
    let mut family = page.family("warning", "gauge", "How many of them have this code.");
    let known: std::collections::BTreeSet<&String> = codes.iter().collect();
    for code in known {
        family.sample(&[("code", code)], count(codes.iter().filter(|one| *one == code).count()));
    }
}

/// What clients take of the daemon, and what they may.
fn limits(page: &mut Page, usage: &Usage) {
    page.family("calls", "gauge", "Calls of clients under way.").sample(&[], usage.calls);
    page.family("held_bytes", "gauge", "Bytes held for clients: arguments of calls under way, answers not yet taken.")
        .sample(&[], usage.held_bytes);
    let mut family = page.family("limit", "gauge", "Limits for clients by the setting in `[limits]`; 0 by minute is none.");
    for (name, value) in &usage.limits {
        family.sample(&[("limit", name)], *value);
    }
    let mut family = page.family("refused_total", "counter", "Calls, lines and clients refused by the limit that stood against them.");
    for (name, count) in &usage.refused {
        family.sample(&[("limit", name)], *count);
    }
}

/// Kinds of answers, as words of `_cache_status`, and how many there were.
fn results(counts: &Counts) -> [(&'static str, u64); 5] {
    [
        ("fresh", counts.hits),
        ("stale", counts.stale_hits),
        ("stale_if_error", counts.stale_if_error),
        // An old answer that stood in was looked for and not found first.
        ("miss", counts.misses.saturating_sub(counts.stale_if_error)),
        ("bypass", counts.bypassed),
    ]
}

fn answers(page: &mut Page, stats: &Stats) {
    let mut family = page.family("answers_total", "counter", "Reads by how they were answered; failed ones count as miss.");
    for (tool, counts) in &stats.by_tool {
        for (result, count) in results(counts) {
            family.sample(&[("tool", tool), ("result", result)], count);
        }
    }
    type Field = fn(&Counts) -> u64;
    let fields: [(&str, &str, Field); 7] = [
        ("coalesced_total", "Reads that shared the fetch of another.", |counts| counts.coalesced),
        ("refreshes_total", "Refreshes in the background.", |counts| counts.refreshes),
        ("fetches_total", "Fetches from Microsoft for reads and refreshes.", |counts| counts.fetches),
        ("read_requests_total", "Graph requests that those fetches made, without retries.", |counts| counts.requests),
        ("check_requests_total", "Graph requests that told what has changed or where to ask, without retries.", |counts| counts.checks),
        ("evicted_entries_total", "Entries thrown out to keep the cache within its limits.", |counts| counts.evicted),
        ("evicted_bytes_total", "Bytes of those entries as stored.", |counts| counts.evicted_bytes),
    ];
    for (name, help, field) in fields {
        let mut family = page.family(name, "counter", help);
        for (tool, counts) in &stats.by_tool {
            family.sample(&[("tool", tool)], field(counts));
        }
    }
    let mut family = page.family("saved_requests_total", "counter", "Graph requests that answers from the cache did not make.");
    for (tool, counts) in &stats.by_tool {
        family.float(&[("tool", tool)], thousandths(counts.saved_milli));
    }
    page.family("overtaken_total", "counter", "Answers that were not kept because a write had overtaken them.")
        .sample(&[], stats.overtaken);
}

/// By account, under a hash, and by kind of client.
fn groups(page: &mut Page, stats: &Stats) {
    let mut family =
        page.family("account_answers_total", "counter", "Reads by account, under a hash of its id, and by how they were answered.");
    for (account, counts) in &stats.by_account {
        let hash = hash_of(account.as_str());
        for (result, count) in results(counts) {
            family.sample(&[("account", &hash), ("result", result)], count);
        }
    }
    let mut kinds: BTreeMap<&str, Counts> = BTreeMap::new();
    for (client, counts) in &stats.by_client {
        kinds.entry(kind_of(client)).or_default().add(counts);
    }
    let mut family = page.family("client_answers_total", "counter", "Reads by kind of client and by how they were answered.");
    for (kind, counts) in &kinds {
        for (result, count) in results(counts) {
            family.sample(&[("client", kind), ("result", result)], count);
        }
    }
}

fn times(page: &mut Page, stats: &Stats) {
    let mut family =
        page.family("response_seconds", "histogram", "How long the daemon took to answer reads, from the cache or from Microsoft.");
    for (source, times) in [("cache", &stats.total.hit_times), ("graph", &stats.total.fetch_times)] {
        family.histogram(source, times);
    }
}

fn state(page: &mut Page, status: &CoreStatus) {
    let (store, graph) = (&status.store, &status.graph);
    let signed_out = status.accounts.iter().filter(|account| !account.signed_in).count();
    let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    for (name, help, value) in [
        ("store_healthy", "1 while the store does its work.", u64::from(store.healthy)),
        ("entries", "Answers kept.", store.entries),
        ("raw_bytes", "Bytes of the answers kept, before compression.", store.raw_bytes),
        ("stored_bytes", "Bytes of the answers kept, compressed and sealed.", store.stored_bytes),
        ("file_bytes", "Bytes of the database's files.", store.file_bytes),
        ("hot_entries", "Answers held open in memory.", store.hot_entries),
        ("hot_bytes", "Bytes of the answers held open in memory.", store.hot_bytes),
        ("accounts", "Accounts known.", count(status.accounts.len())),
        ("accounts_signed_out", "Accounts that have to sign in again.", count(signed_out)),
        ("graph_in_flight", "Requests to Graph under way.", u64::from(graph.in_flight)),
        ("graph_waiting", "Requests to Graph that wait for their turn.", u64::from(graph.waiting)),
        ("graph_breaker_open", "1 while no requests are sent because too many failed.", u64::from(graph.breaker != "closed")),
    ] {
        page.family(name, "gauge", help).sample(&[], value);
    }
    let mut family = page.family("tasks", "gauge", "Tasks of the background queue by state.");
    for (state, count) in [("queued", status.queue.queued), ("running", status.queue.running), ("failed", status.queue.failed)] {
        family.sample(&[("state", state)], count);
    }
    for (name, help, value) in [
        ("graph_requests_total", "Requests sent to Graph.", graph.requests),
        ("graph_failures_total", "Requests to Graph that failed.", graph.failures),
        ("graph_throttled_total", "Requests that Graph told to wait.", graph.throttled),
    ] {
        page.family(name, "counter", help).sample(&[], value);
    }
}

/// Clients choose their names, so only ours are told apart.
fn kind_of(client: &str) -> &'static str {
    match client {
        "cachectl" => "cachectl",
        "worker" => "worker",
        _ => "mcp",
    }
}

/// The same for the same account on every machine, and nothing that tells who it is.
fn hash_of(account: &str) -> String {
    let hash = Sha256::new().chain_update(b"m365-cached account label\0").chain_update(account.as_bytes()).finalize();
    hash.iter().take(6).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn thousandths(milli: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a figure for charts")]
    let whole = milli as f64;
    whole / 1000.0
}

#[expect(clippy::cast_precision_loss, reason = "a figure for charts")]
fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}

#[derive(Default)]
struct Page(String);

/// One family: its samples follow its head.
struct Family<'a> {
    page: &'a mut Page,
    name: &'static str,
}

impl Page {
    fn family(&mut self, name: &'static str, kind: &str, help: &str) -> Family<'_> {
        let _ = writeln!(self.0, "# HELP m365_cached_{name} {help}\n# TYPE m365_cached_{name} {kind}");
        Family { page: self, name }
    }
}

impl Family<'_> {
    fn sample(&mut self, labels: &[(&str, &str)], value: u64) {
        self.line("", labels, &value.to_string());
    }

    fn float(&mut self, labels: &[(&str, &str)], value: f64) {
        self.line("", labels, &value.to_string());
    }

    fn histogram(&mut self, source: &str, times: &Times) {
        for end in ENDS {
            let le = seconds(end).to_string();
            self.line("_bucket", &[("source", source), ("le", &le)], &times.below(end).to_string());
        }
        self.line("_bucket", &[("source", source), ("le", "+Inf")], &times.count().to_string());
        self.line("_sum", &[("source", source)], &seconds(times.sum).to_string());
        self.line("_count", &[("source", source)], &times.count().to_string());
    }

    fn line(&mut self, suffix: &str, labels: &[(&str, &str)], value: &str) {
        let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(self.page.0, "m365_cached_{}{suffix}{labels} {value}", self.name);
    }
}

/// A label's value (Prometheus, *Exposition formats*). All of ours are plain; this holds if one ever is not.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;
