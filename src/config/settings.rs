//! What a key is, and the questions that its table answers: which key is meant, what all of them are set to, what they mean.

use std::time::Duration;

use super::{Config, Explained, Origin, accounts::ACCOUNTS, fences::FENCES, keys::KEYS, network::NETWORK, value::Value};

/// What puts a changed value into effect in a daemon that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// `m365-cachectl reload`.
    Reload,
    /// `m365-cachectl restart`.
    Restart,
}

impl Takes {
    /// As the manual and `--json` spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reload => "reload",
            Self::Restart => "restart",
        }
    }
}

/// One key, or with a `*` a family of keys.
pub(super) struct Setting {
    /// `graph.http2`, `cache.tools.*.fresh`.
    pub(super) key: &'static str,
    /// What it means, for people.
    pub(super) meaning: &'static str,
    /// What puts a change into effect.
    pub(super) takes: Takes,
    /// Puts a value in; the second argument is what stands for the `*`. An error says what the value must be.
    pub(super) set: fn(&mut Config, &str, &Value) -> Result<(), String>,
    /// The value as the file would spell it.
    pub(super) show: fn(&Config, &str) -> String,
}

/// All keys, in the order of the manual.
pub(super) fn all() -> impl Iterator<Item = &'static Setting> + Clone {
    KEYS.iter().chain(NETWORK).chain(FENCES).chain(ACCOUNTS)
}

impl Setting {
    /// What stands for the `*` when this is the key `path` belongs to; empty for a key without `*`.
    pub(super) fn matches<'a>(&self, path: &'a [String]) -> Option<&'a str> {
        let mut name = "";
        let mut given = path.iter();
        for expected in self.key.split('.') {
            let segment = given.next()?;
            if expected == "*" {
                name = segment;
            } else if expected != segment {
                return None;
            }
        }
        given.next().is_none().then_some(name)
    }

    /// The environment variable for this key; families have none.
    pub(super) fn variable(&self) -> Option<String> {
        let name = self.key.replace('.', "_").to_uppercase();
        (!self.key.contains('*')).then(|| format!("{}{name}", super::VARIABLE_PREFIX))
    }
}

/// See [`Config::explain`].
pub(super) fn explain(config: &Config) -> Vec<Explained> {
    let mut lines = Vec::new();
    for setting in all() {
        if let Some((before, after)) = setting.key.split_once('*') {
            for (key, origin) in &config.origins {
                let Some(name) = key.strip_prefix(before).and_then(|rest| rest.strip_suffix(after)) else { continue };
                let value = (setting.show)(config, name.trim_matches('"'));
                lines.push(Explained { key: key.clone(), value, origin: origin.clone() });
            }
        } else {
            let origin = config.origins.get(setting.key).cloned().unwrap_or(Origin::Default);
            lines.push(Explained { key: setting.key.into(), value: (setting.show)(config, ""), origin });
        }
    }
    lines
}

pub(super) fn put<T>(place: &mut T, value: Result<T, String>) -> Result<(), String> {
    *place = value?;
    Ok(())
}

pub(super) fn whole(time: Duration) -> String {
    time.as_secs().to_string()
}

pub(super) fn listed(texts: &[String]) -> String {
    let texts: Vec<String> = texts.iter().map(|text| quoted(Some(text))).collect();
    format!("[{}]", texts.join(", "))
}

pub(super) fn quoted(text: Option<&str>) -> String {
    text.map_or(String::new(), |text| format!("{text:?}"))
}

pub(super) fn word<T: PartialEq>(words: &[(&str, T)], meaning: T) -> String {
    quoted(words.iter().find(|(_, known)| *known == meaning).map(|(word, _)| *word))
}

/// One key, or with a `*` a family of keys, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// `graph.http2`, `cache.tools.*.fresh`.
    pub name: &'static str,
    /// What it means.
    pub meaning: &'static str,
    /// What puts a change into effect.
    pub takes: Takes,
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
    let default = if setting.key.contains('*') { String::new() } else { (setting.show)(usual, "") };
    Key { name: setting.key, meaning: setting.meaning, takes: setting.takes, default, variable: setting.variable() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_key_stands_once_and_has_its_meaning() {
        let keys: BTreeSet<&str> = all().map(|setting| setting.key).collect();
        assert_eq!(keys.len(), all().count());
        for Setting { key, meaning, .. } in all() {
            assert!(meaning.ends_with('.') && !meaning.contains('\n') && meaning.len() < 140, "{key}: {meaning}");
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
