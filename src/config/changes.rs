//! What differs between two readings of the settings, and what puts each difference into effect.

use std::collections::BTreeMap;

use super::{Config, Takes, settings};

/// One key that has another value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// The key, a family's with its name: `cache.tools.email_list.fresh`.
    pub key: String,
    /// The value before, as the file would spell it; empty when there was none.
    pub was: String,
    /// The value now.
    pub is: String,
    /// What puts it into effect.
    pub takes: Takes,
}

/// The keys whose values differ, in alphabetical order. Where a value came from makes no difference.
pub fn changes(before: &Config, now: &Config) -> Vec<Changed> {
    let (was, is) = (values(before), values(now));
    let keys: std::collections::BTreeSet<&String> = was.keys().chain(is.keys()).collect();
    let value = |of: &BTreeMap<String, String>, key: &str| of.get(key).cloned().unwrap_or_default();
    let differs = keys.into_iter().filter(|key| was.get(*key) != is.get(*key));
    differs
        .map(|key| {
            // A key without a row would be none that can be set.
            let takes = settings::key_of(key).map_or(Takes::Restart, |key| key.takes);
            Changed { key: key.clone(), was: value(&was, key), is: value(&is, key), takes }
        })
        .collect()
}

fn values(config: &Config) -> BTreeMap<String, String> {
    config.explain().into_iter().map(|line| (line.key, line.value)).collect()
}

#[cfg(test)]
mod tests {
    use super::{super::Sources, *};

    fn read(text: &str) -> Config {
        Config::read(&Sources { file: "f", text: Some(text), environment: &BTreeMap::new(), flags: &[], tools: &["email_list"] }).unwrap()
    }

    #[test]
    fn what_differs_is_named_with_what_it_takes() {
        let before = read("[graph]\nhttp2 = false\n[policy.desk]\nno_send = true\n[audit]\nreads = true");
        let now = read("[cache.tools.email_list]\nfresh = 7\n[policy.desk]\nno_send = false\n[log]\nfilter = \"debug\"");
        let told: Vec<String> = changes(&before, &now)
            .into_iter()
            .map(|Changed { key, was, is, takes }| format!("{key}: {was} -> {is} ({})", takes.as_str()))
            .collect();
        assert_eq!(
            told,
            [
                "cache.tools.email_list.fresh:  -> 7 (reload)",
                "graph.http2: false -> true (restart)",
                "log.filter: \"info,rmcp=error\" -> \"debug\" (reload)",
                "policy.desk.no_send: true -> false (reload)",
            ],
            "what is spelled out with its default has not changed"
        );
        assert_eq!(changes(&now, &now.clone()), []);
    }
}
