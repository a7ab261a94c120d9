//! `status`: whether the daemon runs and how it is. Exits 8 when it does not run and 7 when it is locked.

use std::fmt::Write;

use m365_cached_proto::dirs::Profile;
use m365_cached_proto::fault::NOT_RUNNING;
use m365_cached_proto::v1::{Fault, Kind, Room, StatusReply, StatusRequest, Warning};
use serde::Serialize;

use super::budget::{self, LaneView};
use super::stats::Hits;
use super::{accounts, pause};
use crate::context::{Context, promptly};
use crate::output::{Paint, View, bytes, counted, seconds, table};
use crate::views::{AccountView, ClientView, FaultView, known};

/// `{"state":"ready",…}`; `state` is `ready`, `locked`, `draining`, or `not_running`, and then only `profile` stands beside it.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Status {
    Running(Box<Running>),
    NotRunning { state: &'static str, profile: Place },
}

/// Where a daemon would be.
#[derive(Debug, Serialize)]
struct Place {
    dir: String,
    socket: String,
}

/// A running daemon. `locked` is `null` unless `state` is `locked`.
#[derive(Debug, Serialize)]
struct Running {
    state: String,
    version: String,
    pid: u32,
    instance: String,
    uptime_s: u64,
    /// False when caching is switched off by configuration.
    caching: bool,
    /// Set while the daemon does not ask Microsoft.
    paused: Option<PausedView>,
    locked: Option<FaultView>,
    profile: ProfileView,
    store: Option<StoreView>,
    key: Option<KeyView>,
    accounts: Vec<AccountView>,
    clients: Vec<ClientView>,
    /// How the last day went; `null` unless it is ready, and in the report of `doctor`, where it is not asked for.
    hits: Option<Hits>,
    /// `null` while locked.
    graph: Option<GraphView>,
    queue: QueueView,
    /// `null` while locked.
    warming: Option<WarmingView>,
    warnings: Vec<WarningView>,
}

/// `until_ms` is `null` when only `m365-cachectl resume` ends it.
#[derive(Debug, Serialize)]
struct PausedView {
    until_ms: Option<u64>,
}

#[derive(Debug, Serialize)]
struct ProfileView {
    dir: String,
    socket: String,
    demo: bool,
    cloud: String,
}

/// `raw_bytes` before compression, `stored_bytes` after, `file_bytes` on disk.
#[derive(Debug, Serialize)]
struct StoreView {
    backend: String,
    path: Option<String>,
    healthy: bool,
    schema: u32,
    entries: u64,
    raw_bytes: u64,
    stored_bytes: u64,
    file_bytes: u64,
    hot_entries: u64,
    hot_bytes: u64,
    /// `null` where the system does not tell.
    free_disk_bytes: Option<u64>,
    room: Option<RoomView>,
}

/// `bytes` are in use of `max_bytes`; `cleaned` is the last clean-up since the start, `null` when there was none.
#[derive(Debug, Serialize)]
struct RoomView {
    bytes: u64,
    max_bytes: u64,
    max_entries_per_account: u64,
    cleaned: Option<CleanedView>,
    swept: u64,
}

#[derive(Debug, Serialize)]
struct CleanedView {
    at_ms: u64,
    entries: u64,
    bytes: u64,
}

/// Where the key sleeps: `source` is `keyring`, `environment` or `file`.
#[derive(Debug, Serialize)]
struct KeyView {
    source: String,
    location: Option<String>,
}

/// The line to Microsoft; `breaker` is `closed` when all is well, `open` or `half_open`.
#[derive(Debug, Serialize)]
struct GraphView {
    breaker: String,
    requests: u64,
    failures: u64,
    throttled: u64,
    in_flight: u32,
    waiting: u32,
    /// Requests at a time for one mailbox or drive; `null` from a daemon that does not tell.
    per_mailbox: Option<u32>,
    /// Those that are asked now, or held back because Microsoft said so.
    lanes: Vec<LaneView>,
}

#[derive(Debug, Serialize)]
struct WarmingView {
    enabled: bool,
    running: bool,
    total: u64,
    done: u64,
    failed: u64,
}

impl From<m365_cached_proto::v1::Warming> for WarmingView {
    fn from(warming: m365_cached_proto::v1::Warming) -> Self {
        let m365_cached_proto::v1::Warming { enabled, running, total, done, failed } = warming;
        Self { enabled, running, total, done, failed }
    }
}

#[derive(Debug, Serialize)]
struct QueueView {
    queued: u64,
    running: u64,
    failed: u64,
}

#[derive(Debug, Serialize)]
struct WarningView {
    code: String,
    message: String,
    hint: Option<String>,
}

pub(super) async fn run(context: &Context) -> Result<u8, Fault> {
    let mut admin = match context.running().await {
        Ok(admin) => admin,
        Err(fault) if fault.code == NOT_RUNNING => {
            context.output.show(&Status::not_running(&context.profile));
            return Ok(fault.exit_code());
        }
        Err(fault) => return Err(fault),
    };
    let reply = promptly(admin.status(StatusRequest::default())).await?;
    let locked = if reply.state == "locked" { Fault::new(Kind::Config, "locked", "", "").exit_code() } else { 0 };
    let mut running = Running::from(reply);
    if running.state == "ready" {
        match Hits::of_the_last_day(&mut admin).await {
            Ok(hits) => running.hits = Some(hits),
            Err(Fault { code, message, hint, .. }) => {
                running.warnings.push(WarningView { code, message: format!("the hit rate is not known: {message}"), hint: known(&hint) });
            }
        }
    }
    context.output.show(&Status::Running(Box::new(running)));
    Ok(locked)
}

/// The same as JSON, for a report.
pub(super) fn as_json(context: &Context, reply: Option<StatusReply>) -> serde_json::Value {
    let status = match reply {
        Some(reply) => Status::Running(Box::new(reply.into())),
        None => Status::not_running(&context.profile),
    };
    serde_json::to_value(status).unwrap_or_default()
}

impl Status {
    fn not_running(profile: &Profile) -> Self {
        let place = Place { dir: profile.dir.display().to_string(), socket: profile.socket().display().to_string() };
        Self::NotRunning { state: "not_running", profile: place }
    }
}

impl From<StatusReply> for Running {
    fn from(reply: StatusReply) -> Self {
        let profile = reply.profile.unwrap_or_default();
        let queue = reply.queue.unwrap_or_default();
        Self {
            state: reply.state,
            version: reply.version,
            pid: reply.pid,
            instance: reply.instance,
            uptime_s: reply.uptime_s,
            caching: reply.caching,
            paused: reply.paused.map(|paused| PausedView { until_ms: pause::end(&paused) }),
            locked: reply.locked.as_ref().map(FaultView::from),
            profile: ProfileView { dir: profile.dir, socket: profile.socket, demo: profile.demo, cloud: profile.cloud },
            store: reply.store.map(|store| StoreView {
                path: known(&store.path),
                backend: store.backend,
                healthy: store.healthy,
                schema: store.schema,
                entries: store.entries,
                raw_bytes: store.raw_bytes,
                stored_bytes: store.stored_bytes,
                file_bytes: store.file_bytes,
                hot_entries: store.hot_entries,
                hot_bytes: store.hot_bytes,
                free_disk_bytes: store.free_disk_bytes,
                room: store.room.map(RoomView::from),
            }),
            key: reply.key.filter(|key| !key.source.is_empty()).map(|key| KeyView { location: known(&key.location), source: key.source }),
            accounts: reply.accounts.into_iter().map(AccountView::from).collect(),
            clients: reply.clients.into_iter().map(ClientView::from).collect(),
            hits: None,
            graph: reply.graph.filter(|graph| !graph.breaker.is_empty()).map(|graph| GraphView {
                breaker: graph.breaker,
                requests: graph.requests,
                failures: graph.failures,
                throttled: graph.throttled,
                in_flight: graph.in_flight,
                waiting: graph.waiting,
                per_mailbox: (graph.per_mailbox > 0).then_some(graph.per_mailbox),
                lanes: graph.lanes.into_iter().map(LaneView::from).collect(),
            }),
            queue: QueueView { queued: queue.queued, running: queue.running, failed: queue.failed },
            warming: reply.warming.map(WarmingView::from),
            warnings: reply.warnings.into_iter().map(WarningView::from).collect(),
        }
    }
}

impl PausedView {
    fn text(&self) -> String {
        let end = self.until_ms.and_then(|end| jiff::Timestamp::from_millisecond(i64::try_from(end).ok()?).ok());
        match end {
            Some(end) => format!("Microsoft is not asked until {end:.0}; `m365-cachectl resume` ends it before"),
            None => "Microsoft is not asked until `m365-cachectl resume`".to_owned(),
        }
    }
}

impl From<Room> for RoomView {
    fn from(room: Room) -> Self {
        let cleaned = CleanedView { at_ms: room.cleaned_ms, entries: room.cleaned_entries, bytes: room.cleaned_bytes };
        Self {
            bytes: room.bytes,
            max_bytes: room.max_bytes,
            max_entries_per_account: room.max_entries_per_account,
            cleaned: (room.cleaned_ms > 0).then_some(cleaned),
            swept: room.swept,
        }
    }
}

impl RoomView {
    fn text(&self, free: Option<u64>) -> String {
        let mut text = format!("{} of {} in use", bytes(self.bytes), bytes(self.max_bytes));
        if let Some(free) = free {
            let _ = write!(text, ", {} free on the disk", bytes(free));
        }
        match &self.cleaned {
            Some(cleaned) => {
                let _ = write!(text, ", the last clean-up removed {} ({})", counted(cleaned.entries, "entry"), bytes(cleaned.bytes));
            }
            None => text.push_str(", no clean-up since the start"),
        }
        text
    }
}

impl From<Warning> for WarningView {
    fn from(warning: Warning) -> Self {
        Self { hint: known(&warning.hint), code: warning.code, message: warning.message }
    }
}

impl View for Status {
    fn text(&self, paint: Paint) -> String {
        match self {
            Self::Running(running) => running.text(paint),
            Self::NotRunning { profile, .. } => {
                let rows = [("daemon", paint.warn("not running")), ("profile", profile.dir.clone()), ("socket", profile.socket.clone())];
                let hint = "the first client or call starts it; `m365-cachectl setup` leads from nothing to an answer";
                format!("{}{} {hint}\n", table(&rows.map(|(name, value)| vec![name.to_owned(), value])), paint.strong("hint:"))
            }
        }
    }
}

impl Running {
    fn text(&self, paint: Paint) -> String {
        let state = match self.state.as_str() {
            "ready" => paint.good("ready"),
            "locked" => paint.bad("locked"),
            other => paint.warn(other),
        };
        let uptime = seconds(self.uptime_s);
        let cloud = if self.profile.demo { "demo".to_owned() } else { format!("cloud {}", self.profile.cloud) };
        let mut rows = vec![
            ("daemon", format!("{state}, version {}, pid {}, up {uptime}", self.version, self.pid)),
            ("profile", format!("{} ({cloud})", self.profile.dir)),
        ];
        if let Some(key) = &self.key {
            let location = key.location.as_ref().map_or_else(String::new, |location| format!(" ({location})"));
            rows.push(("key", format!("{}{location}", key.source)));
        }
        if let Some(store) = &self.store {
            let health = if store.healthy { paint.good("healthy") } else { paint.bad("broken") };
            let (entries, raw, stored) = (counted(store.entries, "entry"), bytes(store.raw_bytes), bytes(store.stored_bytes));
            rows.push(("store", format!("{}, {health}, {entries}, {raw} stored in {stored}", store.backend)));
            if let Some(room) = &store.room {
                rows.push(("room", room.text(store.free_disk_bytes)));
            }
        }
        if !self.caching {
            rows.push(("caching", paint.warn("off")));
        }
        if let Some(paused) = &self.paused {
            rows.push(("paused", paint.warn(&paused.text())));
        }
        if let Some(hits) = &self.hits {
            rows.push(("hits", hits.text()));
        }
        if let Some(GraphView { breaker, requests, failures, throttled, per_mailbox, lanes, .. }) = &self.graph {
            rows.push(("graph", format!("breaker {breaker}, {}, {failures} failed, {throttled} throttled", counted(*requests, "request"))));
            if let Some(places) = per_mailbox {
                rows.push(("budget", budget::text(*places, lanes, &self.accounts)));
            }
        }
        rows.push(("queue", format!("{} queued, {} running, {} failed", self.queue.queued, self.queue.running, self.queue.failed)));
        if let Some(WarmingView { enabled, running, total, done, failed }) = &self.warming {
            let text = match (enabled, running) {
                (false, _) => "off".to_owned(),
                (true, true) => format!("{done} of {total} usual answers are there, {failed} failed"),
                (true, false) => format!("done: {done} of {total} usual answers, {failed} failed"),
            };
            rows.push(("warming", text));
        }
        rows.push(("clients", self.clients.len().to_string()));
        for client in &self.clients {
            let who = format!("{}, pid {}", client.name.as_deref().unwrap_or("not named yet"), client.pid);
            if let Some(tools) = &client.tools {
                rows.push(("tools", format!("{tools} ({who})")));
            }
            if let Some(policy) = &client.policy {
                rows.push(("policy", format!("{policy} ({who})")));
            }
        }
        rows.push(("accounts", self.accounts.len().to_string()));
        let mut text = table(&rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect::<Vec<_>>());
        for line in accounts::list(&self.accounts).lines() {
            let _ = writeln!(text, "  {line}");
        }
        let trouble = self.locked.iter().map(|fault| (&fault.message, &fault.hint));
        for (message, hint) in trouble.chain(self.warnings.iter().map(|warning| (&warning.message, &warning.hint))) {
            let _ = writeln!(text, "{} {message}", paint.warn("warning:"));
            if let Some(hint) = hint {
                let _ = writeln!(text, "{} {hint}", paint.strong("hint:"));
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use m365_cached_proto::v1::{Client, GraphLink, Key, Lane, Paused, Queue, StatsRow, Store};

    use super::*;

    fn reply() -> StatusReply {
        StatusReply {
            version: "0.1.0".into(),
            pid: 4242,
            instance: "f00d".into(),
            uptime_s: 11_520,
            state: "ready".into(),
            profile: Some(m365_cached_proto::v1::Profile {
                dir: "/srv/demo".into(),
                socket: "/srv/demo/m365-cached.sock".into(),
                demo: true,
                cloud: "demo".into(),
            }),
            store: Some(Store {
                backend: "sqlcipher".into(),
                path: "/srv/demo/cache.db".into(),
                healthy: true,
                schema: 1,
                entries: 120,
                raw_bytes: 2_400_000,
                stored_bytes: 610_000,
                file_bytes: 700_416,
                hot_entries: 12,
                hot_bytes: 240_000,
                free_disk_bytes: Some(5_000_000_000),
                room: Some(Room {
                    bytes: 696_320,
                    max_bytes: 2_000_000_000,
                    max_entries_per_account: 10_000,
                    cleaned_ms: 1_790_000_000_000,
                    cleaned_entries: 17,
                    cleaned_bytes: 400_000,
                    swept: 3,
                }),
            }),
            key: Some(Key { source: "file".into(), location: "/srv/demo/key".into() }),
            accounts: accounts::tests::two(),
            clients: vec![Client {
                session: 1,
                pid: 77,
                name: "claude-code".into(),
                calls: 5,
                connected_ms: 1_790_000_000_000,
                shim_version: "0.1.0".into(),
                policy: "default: read-only".into(),
                tools: "essential".into(),
                ..Client::default()
            }],
            graph: Some(GraphLink {
                breaker: "closed".into(),
                requests: 40,
                in_flight: 3,
                waiting: 1,
                per_mailbox: 4,
                lanes: vec![Lane { account: "work-1".into(), used: 3, waiting: 1, paused_ms: 12_000 }],
                ..GraphLink::default()
            }),
            queue: Some(Queue::default()),
            warming: Some(m365_cached_proto::v1::Warming { enabled: true, running: true, total: 6, done: 4, failed: 1 }),
            warnings: vec![Warning { code: "clock".into(), message: "The clock jumped.".into(), hint: "check the time".into() }],
            caching: true,
            paused: None,
            locked: None,
            activity: None,
        }
    }

    #[test]
    fn a_running_daemon_reads_well() {
        let hits = Hits::from(StatsRow { hits: 900, stale_hits: 50, misses: 50, ..StatsRow::default() });
        let view = Status::Running(Box::new(Running { hits: Some(hits), ..reply().into() }));
        insta::assert_snapshot!("status_text", view.text(Paint::OFF));
        insta::assert_json_snapshot!("status_json", view);
    }

    #[test]
    fn a_pause_says_until_when() {
        let text = |until_ms| Running::from(StatusReply { paused: Some(Paused { until_ms }), ..reply() }).text(Paint::OFF);
        assert!(text(0).contains("\npaused    Microsoft is not asked until `m365-cachectl resume`\n"), "{}", text(0));
        let until = "\npaused    Microsoft is not asked until 2026-09-21T14:13:20Z; `m365-cachectl resume` ends it before\n";
        assert!(text(1_790_000_000_000).contains(until), "{}", text(1_790_000_000_000));
    }

    #[test]
    fn a_locked_daemon_says_why() {
        let locked = Fault::new(Kind::Config, "keyring_locked", "The keyring is locked.", "unlock it and restart the daemon");
        let reply = StatusReply {
            state: "locked".into(),
            locked: Some(locked),
            store: None,
            key: None,
            graph: None,
            warming: None,
            accounts: vec![],
            warnings: vec![],
            ..reply()
        };
        let view = Status::Running(Box::new(reply.into()));
        insta::assert_snapshot!("status_locked_text", view.text(Paint::OFF));
    }

    #[test]
    fn no_daemon_reads_well() {
        let profile = Profile::at(std::path::Path::new("/srv/demo")).unwrap();
        let view = Status::not_running(&profile);
        insta::assert_snapshot!("status_not_running_text", view.text(Paint::OFF));
        insta::assert_json_snapshot!("status_not_running_json", view);
    }
}
