//! What each key means, in a line: for `config show`, for the file that `config init` writes, and for the manual.
//!
//! The keys themselves stand in `settings`; a test holds the two tables together, so that no key is without a meaning.

use super::{
    Config,
    settings::{Setting, all},
};

/// One key, or with a `*` a family of keys, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// `graph.http2`, `cache.tools.*.fresh`.
    pub name: &'static str,
    /// What it means.
    pub meaning: &'static str,
    /// What holds when nobody sets it, as the file would spell it; empty when that is nothing, or differs from case to case.
    pub default: String,
    /// Its environment variable; families have none.
    pub variable: Option<String>,
}

/// All keys, in the order of the manual.
pub fn keys() -> Vec<Key> {
    let usual = Config::default();
    all().map(|setting| key(setting, &usual)).collect()
}

/// The key `name`, or the family it belongs to.
pub fn key_of(name: &str) -> Option<Key> {
    let path = super::read::split(name);
    let setting = all().find(|setting| setting.matches(&path).is_some())?;
    Some(key(setting, &Config::default()))
}

fn key(setting: &Setting, usual: &Config) -> Key {
    let meaning = MEANINGS.iter().find(|(name, _)| *name == setting.key).map_or("", |(_, meaning)| *meaning);
    let default = if setting.key.contains('*') { String::new() } else { (setting.show)(usual, "") };
    Key { name: setting.key, meaning, default, variable: setting.variable() }
}

/// In the order of `settings`.
const MEANINGS: &[(&str, &str)] = &[
    ("demo", "The profile belongs to the demo tenant on loopback and never meets Microsoft."),
    ("client_id", "Id of the app registration to sign in with; without one nobody can sign in."),
    ("tenant", "Who may sign in: `organizations`, `consumers`, `common`, or a directory's id or domain. Not set: by the kind of account."),
    ("compat", "`m365-mcp` gives answers and asks for consent as the original did; `none` as this manual says."),
    ("ids", "`short`: answers show handles such as `m512345678`; `graph`: Microsoft's own ids. Both are accepted everywhere."),
    ("tools.profile", "The tools that clients are shown whose launch line names no others."),
    ("cloud.name", "Which Microsoft: `global`, `usgov` (GCC High), `dod` or `china` (21Vianet)."),
    ("cloud.identity", "Demo profiles only: where the tenant signs people in."),
    ("cloud.graph", "Demo profiles only: where the tenant answers for Graph."),
    ("cloud.downloads", "Demo profiles only: the hosts that the tenant's files come from."),
    ("cloud.ca", "Demo profiles only: a file with the tenant's certificate authority; a relative path starts at this file's folder."),
    ("keys.source", "Where the master key is kept: `keyring`, `environment`, `file`, or `auto` for the first of them that works."),
    ("keys.file", "Path of the key file. The key itself never stands in the configuration."),
    ("keys.rotate_every", "After so long the daemon makes a new master key by itself: days (`90d`), hours (`12h`) or `never`."),
    ("cache.enabled", "Whether anything is cached at all."),
    ("cache.hot_bytes", "Bytes of opened answers that are kept in memory."),
    ("cache.unsettled_s", "Seconds for which answers are not kept after a write that shows late or whose outcome is unknown."),
    ("cache.rows_per_source", "Rows of bookkeeping for one mailbox or drive. Fewer cost fetches, never truth."),
    ("cache.rows", "The same for all mailboxes and drives together."),
    ("cache.max_bytes", "Bytes that the database may have on the disk."),
    ("cache.clean_from_percent", "Share of `cache.max_bytes` at which a clean-up begins."),
    ("cache.clean_to_percent", "Share of `cache.max_bytes` at which it ends."),
    ("cache.max_entries_per_account", "Answers that are kept of one account."),
    ("cache.max_bytes_per_account", "Bytes that are kept of one account; 0 for no limit of its own."),
    ("cache.min_free_bytes", "While less is free on the disk, answers are given and not kept; 0 for no such floor."),
    ("cache.exclude_folders", "Mail folders, by well-known name (`junkemail`) or id, whose messages are never kept."),
    ("cache.exclude_senders", "Addresses, or domains as `@contoso.com`, whose messages are never kept."),
    ("cache.accounts.*.enabled", "Whether anything of this account is cached; the name is its username or alias."),
    ("cache.tools.*.enabled", "Whether answers of this tool are cached."),
    ("cache.tools.*.fresh", "Seconds for which an answer of this tool is served as it is."),
    ("cache.tools.*.stale", "Seconds for which it is served and renewed in the background."),
    ("cache.tools.*.if_error", "Seconds for which it is served when Microsoft cannot be asked."),
    ("store.backend", "Where answers are kept: `sqlcipher` in the encrypted file, `memory` until the daemon ends."),
    ("store.memory_bytes", "Bytes of answers that `memory` keeps."),
    ("warming.enabled", "Whether the usual answers are fetched ahead of use."),
    ("warming.renewals_per_hour", "Answers in use that are renewed ahead of their next use, for each account; 0 for none."),
    ("warming.operations.*.enabled", "Whether this tool is called ahead of use for every account."),
    ("warming.operations.*.parameters", "Its arguments, as the text of a JSON object."),
    ("warming.operations.*.priority", "1 (first) to 10 (last)."),
    ("warming.operations.*.throttle_s", "Seconds between two accounts."),
    ("audit.reads", "Whether reads are recorded in the audit trail too. Writes, sign-ins, keys, exports and erasures always are."),
    ("audit.keep", "How long records are kept, in days."),
    ("graph.connect_timeout_s", "Longest time to reach a host of Microsoft, in seconds."),
    ("graph.request_timeout_s", "Longest time of one request, in seconds."),
    ("graph.call_deadline_s", "Longest time of one call with all its requests, pages and retries, in seconds."),
    ("graph.pool_idle_s", "How long an unused connection is kept, in seconds."),
    ("graph.keepalive_s", "Pause between two probes of an open connection, in seconds."),
    ("graph.http2", "Whether HTTP/2 is used where the server offers it."),
    ("graph.concurrency", "Requests under way for one mailbox; Microsoft allows 4."),
    ("files.allowed_roots", "The local folders that files may come from and go to; empty for a folder of ours among the downloads."),
    ("files.download_max_mb", "The largest file that is fetched, in MiB."),
    ("files.idle_s", "A transfer is given up when nothing has moved for so many seconds."),
    ("files.deadline_s", "A transfer is given up after so many seconds altogether."),
    ("log.filter", "Which events are logged, in the notation of `tracing`: `debug`, `warn,m365_cached=trace`."),
    ("log.format", "`text` for one readable line an event, `json` for one object a line."),
    ("metrics.listen", "Loopback address at which figures for Prometheus are served; not set: nowhere."),
    ("worker.count", "Background tasks that run beside each other."),
    ("daemon.drain_s", "How long calls under way may take to end when the daemon is stopped, in seconds."),
    ("daemon.idle_s", "A daemon that a client has started ends after so many seconds without one; 0 to stay."),
    ("confirm", "`strict` asks for consent with a token for the exact call, everywhere; `usual` where clients cannot ask a person."),
    ("limits.frame_bytes", "The longest line of a client, and the arguments of one call, in bytes."),
    ("limits.connections", "Clients at a time."),
    ("limits.calls_per_connection", "Calls under way of one connection."),
    ("limits.calls_per_client", "Calls under way of all connections of one client."),
    ("limits.calls", "Calls under way in total."),
    ("limits.held_bytes_per_connection", "Bytes of calls and of answers not yet taken, of one connection."),
    ("limits.held_bytes", "The same in total."),
    ("limits.idle_s", "A connection that has been silent for so many seconds is closed."),
    ("limits.reads_per_minute", "Calls of one client that change nothing; 0 for no limit."),
    ("limits.writes_per_minute", "Calls of one client that change something and reach nobody else; 0 for no limit."),
    ("limits.sends_per_minute", "Calls of one client that reach other people; 0 for no limit."),
    ("policy.*.read_only", "This client changes nothing. The name is the client's own; `default` is for all that have none."),
    ("policy.*.no_send", "This client reaches nobody else: no mail, no invitations, no sharing."),
    ("policy.*.accounts", "The accounts, by id, username or alias, that this client may use."),
    ("accounts.default", "The account, by username, id or alias, that is meant where a call names none; not set: such a call is refused."),
    (
        "accounts.*.alias",
        "A short name for this account, such as `work`, to be used wherever an account is named. The name is its username.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_its_meaning_and_nothing_else_has() {
        let named: Vec<&str> = MEANINGS.iter().map(|(name, _)| *name).collect();
        let keys: Vec<&str> = all().map(|setting| setting.key).collect();
        assert_eq!(named, keys, "left: the meanings; right: the settings");
        for (name, meaning) in MEANINGS {
            assert!(meaning.ends_with('.') && !meaning.contains('\n') && meaning.len() < 140, "{name}: {meaning}");
        }
    }

    #[test]
    fn a_name_of_a_family_finds_its_key() {
        assert_eq!(key_of("graph.http2").unwrap().default, "true");
        assert_eq!(key_of("cache.accounts.\"ada@contoso.com\".enabled").unwrap().name, "cache.accounts.*.enabled");
        assert_eq!(key_of("graph.http2").unwrap().variable.as_deref(), Some("M365_CACHED_GRAPH_HTTP2"));
        assert!(key_of("graph").is_none() && key_of("").is_none() && key_of("graph.http2.more").is_none());
    }
}
