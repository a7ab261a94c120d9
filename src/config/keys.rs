//! The table of all keys but those of `network` and `fences`: what each is called, what it means, whether a reload or a restart puts it into effect, what it
//! takes, and how it is shown.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use super::{
    Backend, Config, KeySource, LogFormat, ToolCache, WarmingOperation, exclude,
    settings::{Setting, Takes, listed, put, quoted, whole, word},
    warming::parameters,
};
use crate::ids::ToolProfile;

/// A day: nobody waits longer.
const DAY: u64 = 24 * 3600;
/// Fewer remembered rows than a few answers show would have everything forgotten at once.
const LEAST_ROWS: u64 = 100;
/// Less than this would hold a few answers and be cleaned up all the time.
const LEAST_BYTES: u64 = 8_000_000;
/// Four years in seconds: more than any answer is kept.
const YEARS: u64 = 4 * 366 * DAY;

const SOURCES: [(&str, KeySource); 4] =
    [("auto", KeySource::Auto), ("keyring", KeySource::Keyring), ("environment", KeySource::Environment), ("file", KeySource::File)];
const BACKENDS: [(&str, Backend); 2] = [("sqlcipher", Backend::Sqlcipher), ("memory", Backend::Memory)];
const FORMATS: [(&str, LogFormat); 2] = [("text", LogFormat::Text), ("json", LogFormat::Json)];

/// Whose answers are given: ours, or those of the program whose tools these are.
const COMPAT: [(&str, bool); 2] = [("none", false), ("m365-mcp", true)];

/// Where people sign in.
const SIGN_IN: [(&str, bool); 2] = [("browser", false), ("device", true)];

/// How answers name things.
const IDS: [(&str, bool); 2] = [("short", true), ("graph", false)];

/// Which tools clients are shown.
const TOOLS: [(&str, ToolProfile); 6] = ToolProfile::NAMES;

/// In the order of the manual.
pub(super) const KEYS: &[Setting] = &[
    Setting {
        key: "demo",
        meaning: "The profile belongs to the demo tenant on loopback and never meets Microsoft.",
        takes: Takes::Restart,
        set: |config, _, value| put(&mut config.demo, value.bool()),
        show: |config, _| config.demo.to_string(),
    },
    Setting {
        key: "client_id",
        meaning: "Id of the app registration to sign in with; without one nobody can sign in.",
        takes: Takes::Restart,
        set: |config, _, value| put(&mut config.client_id, value.text().and_then(id).map(Some)),
        show: |config, _| quoted(config.client_id.as_deref()),
    },
    Setting {
        key: "tenant",
        meaning: "Who may sign in: `organizations`, `consumers`, `common`, or a directory's id or domain. Not set: by the kind of account.",
        takes: Takes::Restart,
        set: |config, _, value| put(&mut config.tenant, value.text().and_then(tenant).map(Some)),
        show: |config, _| quoted(config.tenant.as_deref()),
    },
    Setting {
        key: "sign_in",
        meaning: "`browser`: by a link to open on this machine; `device`: by a code to enter anywhere, for a machine without a browser.",
        takes: Takes::Reload,
        set: |config, _, value| put(&mut config.device, value.choice(&SIGN_IN)),
        show: |config, _| word(&SIGN_IN, config.device),
    },
    Setting {
        key: "compat",
        meaning: "`m365-mcp` gives answers and asks for consent as the original did; `none` as this manual says.",
        takes: Takes::Restart,
        set: |config, _, value| put(&mut config.compat, value.choice(&COMPAT)),
        show: |config, _| word(&COMPAT, config.compat),
    },
    Setting {
        key: "ids",
        meaning: "`short`: answers show handles such as `m512345678`; `graph`: Microsoft's own ids. Both are accepted everywhere.",
        takes: Takes::Restart,
        set: |config, _, value| put(&mut config.short_ids, value.choice(&IDS)),
        show: |config, _| word(&IDS, config.short_ids && !config.compat),
    },
    Setting {
        key: "tools.profile",
        meaning: "The tools that clients are shown whose launch line names no others.",
        takes: Takes::Restart,
        set: |config, _, value| put(&mut config.tools, value.choice(&TOOLS).map(Some)),
        show: |config, _| word(&TOOLS, config.tool_profile()),
    },
    Setting {
        key: "cloud.name",
        meaning: "Which Microsoft: `global`, `usgov` (GCC High), `dod` or `china` (21Vianet).",
        takes: Takes::Restart,
        set: |config, _, value| put(&mut config.draft.name, value.text().map(Some)),
        show: |config, _| quoted(Some(&config.cloud.name)),
    },
    Setting {
        key: "cloud.identity",
        meaning: "Demo profiles only: where the tenant signs people in.",
        takes: Takes::Restart,
        set: |config, _, value| put(&mut config.draft.identity, value.text().map(Some)),
        show: |config, _| quoted(Some(config.cloud.identity.as_str())),
    },
    Setting {
        key: "cloud.graph",
        meaning: "Demo profiles only: where the tenant answers for Graph.",
        takes: Takes::Restart,
        set: |config, _, value| put(&mut config.draft.graph, value.text().map(Some)),
        show: |config, _| quoted(Some(config.cloud.graph.as_str())),
    },
    Setting {
        key: "cloud.downloads",
        meaning: "Demo profiles only: the hosts that the tenant's files come from.",
        takes: Takes::Restart,
        set: |config, _, value| put(&mut config.draft.downloads, value.list().map(Some)),
        show: |config, _| {
            let hosts: Vec<String> = config.cloud.downloads.iter().map(|host| quoted(Some(host))).collect();
            format!("[{}]", hosts.join(", "))
        },
    },
    Setting {
        key: "cloud.ca",
        meaning: "Demo profiles only: a file with the tenant's certificate authority; a relative path starts at this file's folder.",
        takes: Takes::Restart,
        set: |config, _, value| put(&mut config.cloud_ca, value.text().map(|path| Some(PathBuf::from(path)))),
        show: |config, _| quoted(config.cloud_ca.as_deref().and_then(|path| path.to_str())),
    },
    Setting {
        key: "keys.source",
        meaning: "Where the master key is kept: `keyring`, `environment`, `file`, or `auto` for the first of them that works.",
        takes: Takes::Restart,
        set: |config, _, value| put(&mut config.keys.source, value.choice(&SOURCES)),
        show: |config, _| word(&SOURCES, config.keys.source),
    },
    Setting {
        key: "keys.file",
        meaning: "Path of the key file. The key itself never stands in the configuration.",
        takes: Takes::Restart,
        set: |config, _, value| put(&mut config.keys.file, value.text().and_then(absolute).map(Some)),
        show: |config, _| quoted(config.keys.file.as_deref().and_then(|path| path.to_str())),
    },
    Setting {
        key: "keys.rotate_every",
        meaning: "After so long the daemon makes a new master key by itself: days (`90d`), hours (`12h`) or `never`.",
        takes: Takes::Restart,
        set: |config, _, value| put(&mut config.keys.rotate_every, value.text().and_then(|text| every(&text))),
        show: |config, _| quoted(Some(&config.keys.rotate_every.map_or("never".into(), spelled))),
    },
    Setting {
        key: "cache.enabled",
        meaning: "Whether anything is cached at all.",
        takes: Takes::Reload,
        set: |config, _, value| put(&mut config.cache.enabled, value.bool()),
        show: |config, _| config.cache.enabled.to_string(),
    },
    Setting {
        key: "cache.hot_bytes",
        meaning: "Bytes of opened answers that are kept in memory.",
        takes: Takes::Restart,
        set: |config, _, value| put(&mut config.cache.hot_bytes, value.whole(0, 1 << 40)),
        show: |config, _| config.cache.hot_bytes.to_string(),
    },
    Setting {
        key: "cache.unsettled_s",
        meaning: "Seconds for which answers are not kept after a write that shows late or whose outcome is unknown.",
        takes: Takes::Reload,
        set: |config, _, value| put(&mut config.cache.unsettled, value.seconds(1, DAY)),
        show: |config, _| whole(config.cache.unsettled),
    },
    Setting {
        key: "cache.rows_per_source",
        meaning: "Rows of bookkeeping for one mailbox or drive. Fewer cost fetches, never truth.",
        takes: Takes::Reload,
        set: |config, _, value| put(&mut config.cache.rows_per_source, value.whole(LEAST_ROWS, 1 << 32)),
        show: |config, _| config.cache.rows_per_source.to_string(),
    },
    Setting {
        key: "cache.rows",
        meaning: "The same for all mailboxes and drives together.",
        takes: Takes::Reload,
        set: |config, _, value| put(&mut config.cache.rows, value.whole(LEAST_ROWS, 1 << 32)),
        show: |config, _| config.cache.rows.to_string(),
    },
    Setting {
        key: "cache.max_bytes",
        meaning: "Bytes that the database may have on the disk.",
        takes: Takes::Reload,
        set: |config, _, value| put(&mut config.cache.max_bytes, value.whole(LEAST_BYTES, 1 << 40)),
        show: |config, _| config.cache.max_bytes.to_string(),
    },
    Setting {
        key: "cache.clean_from_percent",
        meaning: "Share of `cache.max_bytes` at which a clean-up begins.",
        takes: Takes::Reload,
        set: |config, _, value| put(&mut config.cache.clean_from, value.whole(1, 100)),
        show: |config, _| config.cache.clean_from.to_string(),
    },
    Setting {
        key: "cache.clean_to_percent",
        meaning: "Share of `cache.max_bytes` at which it ends.",
        takes: Takes::Reload,
        set: |config, _, value| put(&mut config.cache.clean_to, value.whole(1, 100)),
        show: |config, _| config.cache.clean_to.to_string(),
    },
    Setting {
        key: "cache.max_entries_per_account",
        meaning: "Answers that are kept of one account.",
        takes: Takes::Reload,
        set: |config, _, value| put(&mut config.cache.max_entries_per_account, value.whole(10, 1 << 32)),
        show: |config, _| config.cache.max_entries_per_account.to_string(),
    },
    Setting {
        key: "cache.max_bytes_per_account",
        meaning: "Bytes that are kept of one account; 0 for no limit of its own.",
        takes: Takes::Reload,
        set: |config, _, value| put(&mut config.cache.max_bytes_per_account, value.whole(0, 1 << 40)),
        show: |config, _| config.cache.max_bytes_per_account.to_string(),
    },
    Setting {
        key: "cache.min_free_bytes",
        meaning: "While less is free on the disk, answers are given and not kept; 0 for no such floor.",
        takes: Takes::Restart,
        set: |config, _, value| put(&mut config.cache.min_free_bytes, value.whole(0, 1 << 40)),
        show: |config, _| config.cache.min_free_bytes.to_string(),
    },
    Setting {
        key: "cache.exclude_folders",
        meaning: "Mail folders, by well-known name (`junkemail`), id or handle, whose messages are never kept.",
        takes: Takes::Reload,
        set: |config, _, value| put(&mut config.cache.exclude_folders, value.list().and_then(exclude::folders)),
        show: |config, _| listed(&config.cache.exclude_folders),
    },
    Setting {
        key: "cache.exclude_senders",
        meaning: "Addresses, or domains as `@contoso.com`, whose messages are never kept.",
        takes: Takes::Reload,
        set: |config, _, value| put(&mut config.cache.exclude_senders, value.list().and_then(exclude::senders)),
        show: |config, _| listed(&config.cache.exclude_senders),
    },
    Setting {
        key: "cache.accounts.*.enabled",
        meaning: "Whether anything of this account is cached; the name is its username or alias.",
        takes: Takes::Reload,
        set: |config, name, value| {
            let enabled = value.bool()?;
            config.cache.accounts.insert(name.to_lowercase(), enabled);
            Ok(())
        },
        show: |config, name| config.cache.accounts.get(&name.to_lowercase()).map_or(String::new(), bool::to_string),
    },
    Setting {
        key: "cache.tools.*.enabled",
        meaning: "Whether answers of this tool are cached.",
        takes: Takes::Reload,
        set: |config, name, value| put(&mut tool(config, name).enabled, value.bool().map(Some)),
        show: |config, name| shown(config, name, |tool| tool.enabled.map(|enabled| enabled.to_string())),
    },
    Setting {
        key: "cache.tools.*.fresh",
        meaning: "Seconds for which an answer of this tool is served as it is.",
        takes: Takes::Reload,
        set: |config, name, value| put(&mut tool(config, name).fresh, value.seconds(0, YEARS).map(Some)),
        show: |config, name| shown(config, name, |tool| tool.fresh.map(whole)),
    },
    Setting {
        key: "cache.tools.*.stale",
        meaning: "Seconds for which it is served and renewed in the background.",
        takes: Takes::Reload,
        set: |config, name, value| put(&mut tool(config, name).stale, value.seconds(0, YEARS).map(Some)),
        show: |config, name| shown(config, name, |tool| tool.stale.map(whole)),
    },
    Setting {
        key: "cache.tools.*.if_error",
        meaning: "Seconds for which it is served when Microsoft cannot be asked.",
        takes: Takes::Reload,
        set: |config, name, value| put(&mut tool(config, name).if_error, value.seconds(0, YEARS).map(Some)),
        show: |config, name| shown(config, name, |tool| tool.if_error.map(whole)),
    },
    Setting {
        key: "store.backend",
        meaning: "Where answers are kept: `sqlcipher` in the encrypted file, `memory` until the daemon ends.",
        takes: Takes::Restart,
        set: |config, _, value| put(&mut config.store.backend, value.choice(&BACKENDS)),
        show: |config, _| word(&BACKENDS, config.store.backend),
    },
    Setting {
        key: "store.memory_bytes",
        meaning: "Bytes of answers that `memory` keeps.",
        takes: Takes::Restart,
        // An answer takes at most an eighth of it, and most are under 100 KB.
        set: |config, _, value| put(&mut config.store.memory_bytes, value.whole(1 << 20, 1 << 40)),
        show: |config, _| config.store.memory_bytes.to_string(),
    },
    Setting {
        key: "warming.enabled",
        meaning: "Whether the usual answers are fetched ahead of use.",
        takes: Takes::Reload,
        set: |config, _, value| put(&mut config.warming.enabled, value.bool()),
        show: |config, _| config.warming.enabled.to_string(),
    },
    Setting {
        key: "warming.renewals_per_hour",
        meaning: "Answers in use that are renewed ahead of their next use, for each account; 0 for none.",
        takes: Takes::Reload,
        set: |config, _, value| put(&mut config.warming.renewals, value.whole(0, 1000)),
        show: |config, _| config.warming.renewals.to_string(),
    },
    Setting {
        key: "warming.operations.*.enabled",
        meaning: "Whether this tool is called ahead of use for every account.",
        takes: Takes::Reload,
        set: |config, name, value| put(&mut operation(config, name).enabled, value.bool()),
        show: |config, name| warmed(config, name, |operation| operation.enabled.to_string()),
    },
    Setting {
        key: "warming.operations.*.parameters",
        meaning: "Its arguments, as the text of a JSON object.",
        takes: Takes::Reload,
        set: |config, name, value| put(&mut operation(config, name).parameters, value.text().and_then(|text| parameters(&text))),
        show: |config, name| warmed(config, name, |operation| quoted(serde_json::to_string(&operation.parameters).as_deref().ok())),
    },
    Setting {
        key: "warming.operations.*.priority",
        meaning: "1 (first) to 10 (last).",
        takes: Takes::Reload,
        set: |config, name, value| {
            let priority = value.whole(1, 10).map(|number| u8::try_from(number).unwrap_or(10));
            put(&mut operation(config, name).priority, priority)
        },
        show: |config, name| warmed(config, name, |operation| operation.priority.to_string()),
    },
    Setting {
        key: "warming.operations.*.throttle_s",
        meaning: "Seconds between two accounts.",
        takes: Takes::Reload,
        set: |config, name, value| put(&mut operation(config, name).throttle, value.seconds(0, DAY)),
        show: |config, name| warmed(config, name, |operation| whole(operation.throttle)),
    },
    Setting {
        key: "audit.reads",
        meaning: "Whether reads are recorded in the audit trail too. Writes, sign-ins, keys, exports and erasures always are.",
        takes: Takes::Reload,
        set: |config, _, value| put(&mut config.audit.reads, value.bool()),
        show: |config, _| config.audit.reads.to_string(),
    },
    Setting {
        key: "audit.keep",
        meaning: "How long records are kept, in days.",
        takes: Takes::Reload,
        // Ten years: longer than any rule known to us asks for.
        set: |config, _, value| put(&mut config.audit.keep, value.days(1, 3660)),
        show: |config, _| format!("\"{}d\"", config.audit.keep.as_secs() / DAY),
    },
    Setting {
        key: "graph.connect_timeout_s",
        meaning: "Longest time to reach a host of Microsoft, in seconds.",
        takes: Takes::Restart,
        set: |config, _, value| put(&mut config.graph.connect_timeout, value.seconds(1, DAY)),
        show: |config, _| whole(config.graph.connect_timeout),
    },
    Setting {
        key: "graph.request_timeout_s",
        meaning: "Longest time of one request, in seconds.",
        takes: Takes::Restart,
        set: |config, _, value| put(&mut config.graph.request_timeout, value.seconds(1, DAY)),
        show: |config, _| whole(config.graph.request_timeout),
    },
    Setting {
        key: "graph.call_deadline_s",
        meaning: "Longest time of one call with all its requests, pages and retries, in seconds. Moving a file is not counted: see `files.deadline_s`.",
        takes: Takes::Reload,
        set: |config, _, value| put(&mut config.graph.call_deadline, value.seconds(1, DAY)),
        show: |config, _| whole(config.graph.call_deadline),
    },
    Setting {
        key: "graph.pool_idle_s",
        meaning: "How long an unused connection is kept, in seconds.",
        takes: Takes::Restart,
        set: |config, _, value| put(&mut config.graph.pool_idle, value.seconds(1, DAY)),
        show: |config, _| whole(config.graph.pool_idle),
    },
    Setting {
        key: "graph.keepalive_s",
        meaning: "Pause between two probes of an open connection, in seconds.",
        takes: Takes::Restart,
        set: |config, _, value| put(&mut config.graph.keepalive, value.seconds(1, DAY)),
        show: |config, _| whole(config.graph.keepalive),
    },
    Setting {
        key: "graph.http2",
        meaning: "Whether HTTP/2 is used where the server offers it.",
        takes: Takes::Restart,
        set: |config, _, value| put(&mut config.graph.http2, value.bool()),
        show: |config, _| config.graph.http2.to_string(),
    },
    Setting {
        key: "graph.concurrency",
        meaning: "Requests under way for one mailbox; Microsoft allows 4.",
        takes: Takes::Restart,
        set: |config, _, value| put(&mut config.graph.concurrency, value.whole(1, 4).map(|number| u32::try_from(number).unwrap_or(4))),
        show: |config, _| config.graph.concurrency.to_string(),
    },
    Setting {
        key: "files.allowed_roots",
        meaning: "Folders that files may come from and go to; empty for `m365` in your downloads, or `downloads` in a `--profile` or a demo.",
        takes: Takes::Restart,
        set: |config, _, value| put(&mut config.files.allowed_roots, value.list().and_then(folders)),
        show: |config, _| {
            let roots: Vec<String> = config.files.allowed_roots.iter().map(|root| quoted(root.to_str())).collect();
            format!("[{}]", roots.join(", "))
        },
    },
    Setting {
        key: "files.download_max_mb",
        meaning: "The largest file that is fetched, in MiB.",
        takes: Takes::Restart,
        set: |config, _, value| put(&mut config.files.download_max_mb, value.whole(1, 1 << 20)),
        show: |config, _| config.files.download_max_mb.to_string(),
    },
    Setting {
        key: "files.idle_s",
        meaning: "A transfer is given up when nothing has moved for so many seconds.",
        takes: Takes::Restart,
        set: |config, _, value| put(&mut config.files.idle, value.seconds(1, DAY)),
        show: |config, _| whole(config.files.idle),
    },
    Setting {
        key: "files.deadline_s",
        meaning: "A transfer is given up after so many seconds altogether.",
        takes: Takes::Restart,
        set: |config, _, value| put(&mut config.files.deadline, value.seconds(1, DAY)),
        show: |config, _| whole(config.files.deadline),
    },
    Setting {
        key: "log.filter",
        meaning: "Which events are logged, in the notation of `tracing`: `debug`, `warn,m365_cached=trace`.",
        takes: Takes::Reload,
        set: |config, _, value| put(&mut config.log.filter, value.text()),
        show: |config, _| quoted(Some(&config.log.filter)),
    },
    Setting {
        key: "log.format",
        meaning: "`text` for one readable line an event, `json` for one object a line.",
        takes: Takes::Restart,
        set: |config, _, value| put(&mut config.log.format, value.choice(&FORMATS)),
        show: |config, _| word(&FORMATS, config.log.format),
    },
    Setting {
        key: "metrics.listen",
        meaning: "Loopback address at which figures for Prometheus are served; not set: nowhere.",
        takes: Takes::Restart,
        set: |config, _, value| put(&mut config.metrics_listen, value.text().and_then(|text| loopback(&text)).map(Some)),
        show: |config, _| quoted(config.metrics_listen.map(|address| address.to_string()).as_deref()),
    },
    Setting {
        key: "worker.count",
        meaning: "Background tasks that run beside each other.",
        takes: Takes::Restart,
        set: |config, _, value| put(&mut config.workers, value.whole(1, 16).map(|number| u32::try_from(number).unwrap_or(16))),
        show: |config, _| config.workers.to_string(),
    },
    Setting {
        key: "daemon.drain_s",
        meaning: "How long calls under way may take to end when the daemon is stopped, in seconds.",
        takes: Takes::Restart,
        set: |config, _, value| put(&mut config.drain, value.seconds(0, DAY)),
        show: |config, _| whole(config.drain),
    },
    Setting {
        key: "daemon.idle_s",
        meaning: "A daemon that a client has started ends after so many seconds without one; 0 to stay.",
        takes: Takes::Restart,
        set: |config, _, value| put(&mut config.idle, value.seconds(0, 30 * DAY)),
        show: |config, _| whole(config.idle),
    },
];

fn tool<'a>(config: &'a mut Config, name: &str) -> &'a mut ToolCache {
    config.cache.tools.entry(name.to_owned()).or_default()
}

fn shown(config: &Config, name: &str, show: fn(&ToolCache) -> Option<String>) -> String {
    config.cache.tools.get(name).and_then(show).unwrap_or_default()
}

fn operation<'a>(config: &'a mut Config, name: &str) -> &'a mut WarmingOperation {
    config.warming.operations.entry(name.to_owned()).or_default()
}

fn warmed(config: &Config, name: &str, show: fn(&WarmingOperation) -> String) -> String {
    config.warming.operations.get(name).map(show).unwrap_or_default()
}

/// From an hour to ten years, or never.
fn every(text: &str) -> Result<Option<Duration>, String> {
    let expected = || "a number of days or hours, such as `90d` or `12h`, or `never`".to_owned();
    if text == "never" {
        return Ok(None);
    }
    let (number, unit) = match (text.strip_suffix('d'), text.strip_suffix('h')) {
        (Some(number), _) => (number, DAY),
        (_, Some(number)) => (number, 3600),
        _ => return Err(expected()),
    };
    let number: u64 = number.trim().parse().map_err(|_| expected())?;
    let seconds = number.checked_mul(unit).filter(|seconds| (3600..=3650 * DAY).contains(seconds)).ok_or_else(expected)?;
    Ok(Some(Duration::from_secs(seconds)))
}

/// The same, as the file spells it.
fn spelled(time: Duration) -> String {
    let seconds = time.as_secs();
    if seconds.is_multiple_of(DAY) { format!("{}d", seconds / DAY) } else { format!("{}h", seconds / 3600) }
}

/// Ids of app registrations are GUIDs.
fn id(text: String) -> Result<String, String> {
    let groups: Vec<usize> = text.split('-').map(str::len).collect();
    let hexadecimal = text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit());
    if hexadecimal && groups == [8, 4, 4, 4, 12] {
        Ok(text.to_lowercase())
    } else {
        Err("the application (client) id of the app registration, such as `00000000-0000-0000-0000-000000000000`".into())
    }
}

/// The directory is a segment of the sign-in address.
fn tenant(text: String) -> Result<String, String> {
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.');
    if plain && text.len() <= 253 && !text.starts_with('.') {
        Ok(text)
    } else {
        Err("`organizations`, `consumers`, `common`, a directory id or one of its domains".into())
    }
}

/// Figures never leave the machine by themselves.
fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address = text.parse::<SocketAddr>().ok().filter(|address| address.ip().is_loopback() && address.port() > 0);
    address.ok_or_else(|| {
        "a loopback address with a port, such as `127.0.0.1:9464`; to collect from elsewhere, run the collector's agent on this machine"
            .into()
    })
}

fn absolute(text: String) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if path.is_absolute() { Ok(path) } else { Err("the absolute path of a file; the key itself never stands in the configuration".into()) }
}

fn folders(given: Vec<String>) -> Result<Vec<PathBuf>, String> {
    let folders: Vec<PathBuf> = given.into_iter().map(PathBuf::from).collect();
    if folders.iter().all(|folder| folder.is_absolute()) { Ok(folders) } else { Err("a list of absolute paths of folders".into()) }
}
