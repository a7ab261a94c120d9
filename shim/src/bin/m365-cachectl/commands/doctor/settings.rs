//! What a report for others tells of the settings.
//!
//! Decision: what may be told is listed. Before, what may not be told was, and each key that came later was told until somebody thought of it. A test
//! holds that every key of the manual is told or kept back on purpose.

use serde_json::{Value, json};

/// Keys whose values name nobody and no place.
const TOLD: &[&str] = &[
    "demo",
    "sign_in",
    "compat",
    "ids",
    "tools.profile",
    "cloud.name",
    "keys.source",
    "keys.rotate_every",
    "cache.enabled",
    "cache.hot_bytes",
    "cache.unsettled_s",
    "cache.rows_per_source",
    "cache.rows",
    "cache.max_bytes",
    "cache.clean_from_percent",
    "cache.clean_to_percent",
    "cache.max_entries_per_account",
    "cache.max_bytes_per_account",
    "cache.min_free_bytes",
    "cache.accounts.*.enabled",
    "cache.tools.*.enabled",
    "cache.tools.*.fresh",
    "cache.tools.*.stale",
    "cache.tools.*.if_error",
    "store.backend",
    "store.memory_bytes",
    "warming.enabled",
    "warming.renewals_per_hour",
    "warming.operations.*.enabled",
    "warming.operations.*.priority",
    "warming.operations.*.throttle_s",
    "audit.reads",
    "audit.keep",
    "graph.connect_timeout_s",
    "graph.request_timeout_s",
    "graph.call_deadline_s",
    "graph.pool_idle_s",
    "graph.keepalive_s",
    "graph.http2",
    "graph.concurrency",
    "files.download_max_mb",
    "files.idle_s",
    "files.deadline_s",
    "log.filter",
    "log.format",
    "worker.count",
    "daemon.drain_s",
    "daemon.idle_s",
    "confirm",
    "limits.frame_bytes",
    "limits.connections",
    "limits.calls_per_connection",
    "limits.calls_per_client",
    "limits.calls",
    "limits.held_bytes_per_connection",
    "limits.held_bytes",
    "limits.idle_s",
    "limits.reads_per_minute",
    "limits.writes_per_minute",
    "limits.sends_per_minute",
    "policy.*.read_only",
    "policy.*.no_send",
];
/// Words that are told of a value that is kept back otherwise.
const TOLD_WORDS: [(&str, &str); 2] = [("network.proxy", "system"), ("network.proxy", "none")];
/// Families that are named after an account or a client.
const OF_SOMEBODY: [&str; 3] = ["cache.accounts.", "policy.", "accounts."];
/// Families that are named after a tool.
const OF_TOOLS: [&str; 2] = ["cache.tools.", "warming.operations."];

/// One setting that is not a default, as `config show` tells it.
struct Setting<'a> {
    key: &'a str,
    /// What stands in the place of the `*`.
    name: Option<&'a str>,
    /// The key as the manual has it.
    row: String,
    value: &'a str,
    origin: &'a Value,
}

impl<'a> Setting<'a> {
    fn new(shown: &'a Value) -> Self {
        let key = shown["key"].as_str().unwrap_or_default();
        let member = OF_SOMEBODY.iter().chain(&OF_TOOLS).find_map(|family| {
            let (name, last) = key.strip_prefix(family)?.rsplit_once('.')?;
            Some((name.trim_matches('"'), format!("{family}*.{last}")))
        });
        let (name, row) = member.map_or_else(|| (None, key.to_owned()), |(name, row)| (Some(name), row));
        Self { key, name, row, value: shown["value"].as_str().unwrap_or_default(), origin: &shown["origin"] }
    }

    /// Who it is named after.
    fn somebody(&self) -> Option<&'a str> {
        self.name.filter(|_| OF_SOMEBODY.iter().any(|family| self.key.starts_with(family)))
    }

    fn is_told(&self) -> bool {
        TOLD.contains(&self.row.as_str()) || TOLD_WORDS.contains(&(self.row.as_str(), self.value.trim_matches('"')))
    }

    /// The texts in its value, which is spelled as in the file.
    fn texts(&self) -> Vec<String> {
        match serde_json::from_str(self.value) {
            Ok(Value::String(text)) => vec![text],
            Ok(Value::Array(texts)) => texts.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            Ok(_) => Vec::new(),
            // A spelling that is none of JSON's.
            Err(_) => self.value.split('"').map(str::to_owned).collect(),
        }
    }
}

/// Those of `config` (`config show`) that are not a default.
fn changed(config: &Value) -> impl Iterator<Item = Setting<'_>> {
    config["settings"].as_array().into_iter().flatten().filter(|shown| shown["origin"] != "default").map(Setting::new)
}

/// What is told of them: of some the value, of families of accounts and clients no names.
pub(super) fn told(config: &Value) -> Value {
    let told = changed(config).map(|setting| {
        let key = if setting.somebody().is_some() { &setting.row } else { setting.key };
        let value = if setting.is_told() { setting.value } else { "<left out>" };
        json!({ "key": key, "value": value, "origin": setting.origin })
    });
    json!({ "settings": told.collect::<Vec<_>>() })
}

/// What is kept back, and the key of each: texts of values, and the names of accounts and clients.
pub(super) fn kept_back(config: &Value) -> Vec<(String, String)> {
    let mut kept = Vec::new();
    for setting in changed(config) {
        if let Some(name) = setting.somebody() {
            let family = setting.row.split('*').next().unwrap_or_default().trim_end_matches('.');
            kept.push((name.to_owned(), family.to_owned()));
        }
        if !setting.is_told() {
            kept.extend(setting.texts().into_iter().map(|text| (text, setting.row.clone())));
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Keys whose values name people, folders, hosts or files.
    const KEPT_BACK: [&str; 19] = [
        "client_id",
        "tenant",
        "cloud.identity",
        "cloud.graph",
        "cloud.downloads",
        "cloud.ca",
        "keys.file",
        "cache.exclude_folders",
        "cache.exclude_senders",
        "warming.operations.*.parameters",
        "files.allowed_roots",
        "metrics.listen",
        "network.proxy",
        "network.no_proxy",
        "network.proxy_auth",
        "network.ca",
        "policy.*.accounts",
        "accounts.default",
        "accounts.*.alias",
    ];

    #[test]
    fn every_key_is_told_or_kept_back_on_purpose() {
        let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/manual/configuration.md")).unwrap();
        let (_, table) = page.split_once("<!-- keys:").unwrap();
        let (table, _) = table.split_once("<!-- end of keys -->").unwrap();
        let rows: BTreeSet<&str> = table.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`')).map(|(key, _)| key).collect();
        let judged: Vec<&str> = TOLD.iter().chain(&KEPT_BACK).copied().collect();
        assert_eq!(judged.iter().copied().collect::<BTreeSet<_>>(), rows);
        assert_eq!(judged.len(), rows.len(), "a key is told and kept back");
    }

    fn shown(settings: &[(&str, &str, &str)]) -> Value {
        let settings: Vec<Value> =
            settings.iter().map(|(key, value, origin)| json!({ "key": key, "value": value, "origin": origin })).collect();
        json!({ "settings": settings })
    }

    #[test]
    fn settings_that_name_somebody_are_kept_back() {
        let config = shown(&[
            ("graph.http2", "false", "file"),
            ("cache.tools.email_list.fresh", "60", "file"),
            ("log.format", "\"text\"", "default"),
            ("tenant", "\"contoso.com\"", "environment"),
            ("policy.boss.accounts", "[\"ada\", \"bob\"]", "file"),
            ("policy.boss.no_send", "true", "file"),
            ("cache.accounts.\"ada@contoso.com\".enabled", "false", "file"),
            ("accounts.\"ada@contoso.com\".alias", "\"lovelace\"", "file"),
            ("accounts.default", "\"lovelace\"", "file"),
            ("network.proxy", "\"http://proxy.contoso.com:3128\"", "file"),
            ("network.no_proxy", "[\".contoso.com\"]", "file"),
            ("a.key.of.tomorrow", "\"hunter2\"", "file"),
        ]);
        let text = told(&config).to_string();
        for expected in [
            r#"{"key":"graph.http2","value":"false","origin":"file"}"#,
            r#"{"key":"cache.tools.email_list.fresh","value":"60","origin":"file"}"#,
            r#"{"key":"cache.accounts.*.enabled","value":"false","origin":"file"}"#,
            r#"{"key":"policy.*.no_send","value":"true","origin":"file"}"#,
            r#"{"key":"accounts.*.alias","value":"<left out>","origin":"file"}"#,
            r#"{"key":"network.proxy","value":"<left out>","origin":"file"}"#,
        ] {
            assert!(text.contains(expected), "{expected}: {text}");
        }
        for private in ["contoso", "ada", "bob", "boss", "lovelace", "hunter2", "log.format"] {
            assert!(!text.contains(private), "{private}: {text}");
        }
        let kept = kept_back(&config);
        let is = |text: &str, key: &str| kept.contains(&(text.to_owned(), key.to_owned()));
        assert!(is("boss", "policy") && is("ada", "policy.*.accounts") && is("bob", "policy.*.accounts"), "{kept:?}");
        assert!(is("lovelace", "accounts.*.alias") && is("http://proxy.contoso.com:3128", "network.proxy"), "{kept:?}");
        assert!(!kept.iter().any(|(text, _)| ["60", "false", "text"].contains(&text.as_str())), "{kept:?}");
    }

    #[test]
    fn that_there_is_no_proxy_of_its_own_is_told() {
        for word in ["system", "none"] {
            let config = shown(&[("network.proxy", &format!("{word:?}"), "file")]);
            assert!(told(&config).to_string().contains(word));
            assert_eq!(kept_back(&config), []);
        }
    }
}
