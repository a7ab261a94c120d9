//! Between wire and library: the only file that knows both kinds of types.

use std::collections::BTreeMap;

use m365_cached::{
    auth::{Permissions, UNTIL_RESUMED},
    clock::Timestamp,
    config::Changed,
    engine::{Lane, Period, WarmUp},
    hint::Kind,
    ids::ToolProfile,
    store::{Times, statistics::ends_below},
    vault::Source,
};
use m365_cached_proto::v1;

use super::status::kind;
use crate::{
    activity::{Seen, Told},
    clients::ClientState,
    core::{
        AccountState, CacheStats, GraphState, LoginOptions, LoginStep, Problem, QueueState, RoomState, StatsQuestion, StatsRow, StoreState,
        ToolRow, WarmState, WarmingState, Warning,
    },
    parts::ProfileInfo,
    reload::Reloaded,
};

pub(super) fn tool(row: &ToolRow, profile: ToolProfile) -> v1::Tool {
    v1::Tool {
        name: row.name.clone(),
        title: row.title.clone(),
        description: row.description.clone(),
        input_schema: row.input_schema.in_profile(profile).clone(),
        read_only: row.read_only,
        category: row.category.clone(),
        safety_level: row.safety_level.clone(),
        asks: row.asks.clone(),
        idempotent: row.idempotent,
        effect: row.effect.clone(),
        profiles: row.profiles.iter().map(|name| (*name).to_owned()).collect(),
        tokens: *row.tokens.in_profile(profile),
    }
}

pub(super) fn account(account: AccountState) -> v1::Account {
    v1::Account {
        id: account.id,
        username: account.username,
        account_type: if account.personal { "personal" } else { "work_school" }.into(),
        tenant_id: account.tenant_id,
        display_name: account.display_name,
        state: if account.signed_in { "signed_in" } else { "sign_in_required" }.into(),
        access_token_expires_ms: account.access_token_expires_ms,
        caching: account.caching,
        alias: account.alias.unwrap_or_default(),
        is_default: account.default,
        permissions: account.permissions.map(permissions),
    }
}

fn permissions(permissions: Permissions) -> v1::Permissions {
    v1::Permissions {
        told: permissions.granted.is_some(),
        asked: permissions.asked,
        granted: permissions.granted.unwrap_or_default(),
        not_asked: permissions.not_asked,
        not_granted: permissions.not_granted,
        admin_consent_url: permissions.admin_consent.unwrap_or_default(),
    }
}

pub(super) fn accounts(list: Vec<AccountState>) -> Vec<v1::Account> {
    list.into_iter().map(account).collect()
}

pub(super) fn profile(profile: &ProfileInfo) -> v1::Profile {
    v1::Profile { dir: profile.dir.clone(), socket: profile.socket.clone(), demo: profile.demo, cloud: profile.cloud.clone() }
}

pub(super) fn key(source: Option<&Source>) -> v1::Key {
    source.map_or_else(v1::Key::default, |source| v1::Key { source: source.kind.as_str().into(), location: source.location.clone() })
}

pub(super) fn client((session, client): (u64, ClientState), under_way: &BTreeMap<u64, u64>) -> v1::Client {
    v1::Client {
        session,
        pid: client.pid,
        name: client.name,
        version: client.version,
        protocol: client.protocol,
        calls: client.calls,
        connected_ms: u64::try_from(client.connected_at.0).unwrap_or(0),
        shim_version: client.shim_version,
        policy: client.policy,
        tools: client.tools.as_str().into(),
        under_way: Some(under_way.get(&session).copied().unwrap_or(0)),
    }
}

/// The end of a pause, as the wire has it.
pub(super) fn paused(until: Timestamp) -> v1::Paused {
    let until_ms = if until == UNTIL_RESUMED { 0 } else { u64::try_from(until.0).unwrap_or(0) };
    v1::Paused { until_ms }
}

pub(super) fn warning(warning: Warning) -> v1::Warning {
    v1::Warning { code: warning.code, message: warning.message, hint: warning.hint }
}

pub(super) fn store(store: StoreState) -> v1::Store {
    v1::Store {
        backend: store.backend,
        path: store.path,
        healthy: store.healthy,
        schema: store.schema,
        entries: store.entries,
        raw_bytes: store.raw_bytes,
        stored_bytes: store.stored_bytes,
        file_bytes: store.file_bytes,
        hot_entries: store.hot_entries,
        hot_bytes: store.hot_bytes,
        free_disk_bytes: store.free_disk_bytes,
        room: store.room.map(room),
    }
}

fn room(room: RoomState) -> v1::Room {
    v1::Room {
        bytes: room.bytes,
        max_bytes: room.max_bytes,
        max_entries_per_account: room.max_entries_per_account,
        cleaned_ms: room.cleaned_ms,
        cleaned_entries: room.cleaned_entries,
        cleaned_bytes: room.cleaned_bytes,
        swept: room.swept,
    }
}

pub(super) fn graph(graph: GraphState) -> v1::GraphLink {
    v1::GraphLink {
        breaker: graph.breaker,
        requests: graph.requests,
        failures: graph.failures,
        throttled: graph.throttled,
        in_flight: graph.in_flight,
        waiting: graph.waiting,
        per_mailbox: graph.per_mailbox,
        lanes: graph.lanes.iter().map(lane).collect(),
    }
}

fn lane(lane: &Lane) -> v1::Lane {
    v1::Lane {
        account: lane.account.as_ref().map(ToString::to_string).unwrap_or_default(),
        used: u32::try_from(lane.used).unwrap_or(u32::MAX),
        waiting: u32::try_from(lane.waiting).unwrap_or(u32::MAX),
        paused_ms: u64::try_from(lane.paused.as_millis()).unwrap_or(u64::MAX),
    }
}

/// What calls come to, for who watches.
pub(super) fn activity(told: Told, now: Timestamp, under_way: u64) -> v1::Activity {
    v1::Activity {
        now_ms: millis(now),
        counts: told.counts.into_iter().map(|(status, count)| v1::CallCount { status: status.into(), count }).collect(),
        cached_times: buckets(&told.cached),
        other_times: buckets(&told.others),
        under_way,
        last_call: told.last,
        recent: told.recent.into_iter().map(recent).collect(),
    }
}

fn buckets(times: &Times) -> Vec<v1::TimeBucket> {
    let bucket = |(bucket, count): (&usize, &u64)| v1::TimeBucket { below_us: ends_below(*bucket).unwrap_or(0), count: *count };
    times.buckets.iter().map(bucket).collect()
}

fn recent((number, seen): (u64, Seen)) -> v1::RecentCall {
    v1::RecentCall {
        number,
        at_ms: millis(seen.at),
        tool: seen.tool.into(),
        account: seen.account.map(|account| account.to_string()).unwrap_or_default(),
        client: seen.client,
        session: seen.session,
        status: seen.outcome.as_str().into(),
        code: seen.code,
        took_us: seen.micros,
    }
}

pub(super) fn warming(warming: WarmingState) -> v1::Warming {
    let WarmingState { enabled, running, total, done, failed } = warming;
    v1::Warming { enabled, running, total, done, failed }
}

pub(super) fn warm(state: WarmState) -> v1::WarmEvent {
    let WarmUp { accounts, total, fetched, fresh, failed, failure } = state.up;
    let failure = failure.map_or(v1::Kind::Unspecified, kind) as i32;
    v1::WarmEvent { accounts, total, fetched, fresh, failed, failure, ended: state.ended }
}

pub(super) fn queue(queue: QueueState) -> v1::Queue {
    v1::Queue { queued: queue.queued, running: queue.running, failed: queue.failed }
}

pub(super) fn stats_question(request: v1::StatsRequest) -> Result<StatsQuestion, Problem> {
    let period = match request.period.as_str() {
        "" => Period::default(),
        word => Period::named(word).ok_or_else(|| {
            let message = "there is no such period";
            Problem::new(Kind::User, "unknown_period", message, "Ask for `hour`, `day`, `week` or `all`.")
        })?,
    };
    Ok(StatsQuestion { period, account: given(request.account) })
}

pub(super) fn stats(stats: CacheStats) -> v1::StatsReply {
    let rows = |rows: Vec<StatsRow>| rows.into_iter().map(stats_row).collect();
    v1::StatsReply {
        period: stats.period.as_str().into(),
        since_ms: millis(stats.since),
        total: Some(stats_row(StatsRow { counts: stats.counts, held: stats.held, ..StatsRow::default() })),
        by_tool: rows(stats.by_tool),
        by_account: rows(stats.by_account),
        by_client: rows(stats.by_client),
        series: stats
            .series
            .into_iter()
            .map(|point| v1::StatsPoint { at_ms: millis(point.at), hits: point.hits, misses: point.misses })
            .collect(),
    }
}

fn stats_row(row: StatsRow) -> v1::StatsRow {
    let (counts, held) = (row.counts, row.held);
    v1::StatsRow {
        name: row.name,
        label: row.label,
        hits: counts.hits,
        stale_hits: counts.stale_hits,
        misses: counts.misses,
        bypassed: counts.bypassed,
        coalesced: counts.coalesced,
        stale_if_error: counts.stale_if_error,
        refreshes: counts.refreshes,
        graph_requests: counts.made(),
        saved_graph_calls: counts.saved_milli / 1000,
        evicted: counts.evicted,
        evicted_bytes: counts.evicted_bytes,
        entries: held.entries,
        raw_bytes: held.raw_bytes,
        stored_bytes: held.stored_bytes,
        hit_times: Some(stats_times(&counts.hit_times)),
        fetch_times: Some(stats_times(&counts.fetch_times)),
    }
}

fn stats_times(times: &Times) -> v1::StatsTimes {
    let below = |share| times.quantile(share).unwrap_or(0);
    v1::StatsTimes { count: times.count(), p50_us: below(0.5), p95_us: below(0.95), p99_us: below(0.99) }
}

fn millis(at: Timestamp) -> u64 {
    u64::try_from(at.0).unwrap_or(0)
}

pub(super) fn login_options(request: v1::LoginRequest) -> LoginOptions {
    LoginOptions { device: request.device, username: given(request.username), personal: request.personal }
}

pub(super) fn login_step(step: LoginStep) -> v1::LoginEvent {
    use v1::login_event::Event;
    let event = match step {
        LoginStep::OpenUrl(url) => Event::OpenUrl(v1::OpenUrl { url }),
        LoginStep::DeviceCode { user_code, verification_uri, message, expires_in_s } => {
            Event::DeviceCode(v1::DeviceCode { user_code, verification_uri, message, expires_in_s })
        }
    };
    v1::LoginEvent { event: Some(event) }
}

pub(super) fn signed_in(state: AccountState) -> v1::LoginEvent {
    v1::LoginEvent { event: Some(v1::login_event::Event::SignedIn(account(state))) }
}

/// Proto3 has no absent text; the empty one stands for it.
pub(super) fn given(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

pub(super) fn reloaded(reloaded: Reloaded) -> v1::ReloadReply {
    let given = |text: String| (!text.is_empty()).then_some(text);
    let setting = |one: Changed| v1::ChangedSetting { key: one.key, was: given(one.was), is: given(one.is) };
    let all = |changed: Vec<Changed>| changed.into_iter().map(setting).collect();
    v1::ReloadReply { changed: all(reloaded.changed), waiting: all(reloaded.waiting) }
}
