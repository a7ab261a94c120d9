//! Reading the layers: file, environment, flags, each over the one before.

use std::{collections::BTreeMap, ops::Range};

use toml::de::{DeTable, DeValue};

use super::{
    Config, ConfigError, Origin, Problem, accounts, cloud,
    nearest::nearest,
    network,
    old::OLD,
    settings::{Setting, all},
    value::Value,
};

/// What every variable of ours begins with.
pub const VARIABLE_PREFIX: &str = "M365_CACHED_";
/// Variables with that beginning that are no settings: where the profile lies, and where the shim finds the daemon.
pub const RESERVED: [&str; 2] = ["M365_CACHED_DIR", "M365_CACHED_DAEMON"];

/// The layers.
#[derive(Debug, Clone, Copy)]
pub struct Sources<'a> {
    /// Name of the file, for messages.
    pub file: &'a str,
    /// Its text; `None` when there is no file.
    pub text: Option<&'a str>,
    /// The environment. Only names that begin with [`VARIABLE_PREFIX`], and those of the original, are looked at.
    pub environment: &'a BTreeMap<String, String>,
    /// `key` and value of each flag, in order.
    pub flags: &'a [(String, String)],
    /// The tools that may be named under `cache.tools` and `warming.operations`.
    pub tools: &'a [&'a str],
}

/// See [`Config::read`].
pub(super) fn read(sources: &Sources<'_>) -> Result<Config, ConfigError> {
    let Layers { mut config, mut problems, .. } = layers(sources);
    problems.extend(cloud::resolve(&mut config));
    problems.extend(network::together(&config));
    problems.extend(together(&config));
    problems.extend(accounts::doubled(&config));
    if problems.is_empty() { Ok(config) } else { Err(ConfigError { file: sources.file.into(), problems }) }
}

/// See [`Config::legible`].
pub(super) fn legible(sources: &Sources<'_>) -> Config {
    layers(sources).config
}

fn layers<'a>(sources: &Sources<'a>) -> Layers<'a> {
    let mut layers = Layers { config: Config::default(), problems: Vec::new(), tools: sources.tools };
    if let Some(text) = sources.text {
        layers.file(text);
    }
    layers.old_environment(sources.environment);
    layers.environment(sources.environment);
    layers.flags(sources.flags);
    layers
}

struct Layers<'a> {
    config: Config,
    problems: Vec<Problem>,
    tools: &'a [&'a str],
}

impl Layers<'_> {
    fn file(&mut self, text: &str) {
        match DeTable::parse(text) {
            Ok(table) => self.table(text, &mut Vec::new(), table.get_ref()),
            // Its `Display` would show the line, and with it the value.
            Err(error) => self.problem(at(text, error.span()), error.message().to_owned()),
        }
    }

    fn table(&mut self, text: &str, path: &mut Vec<String>, table: &DeTable<'_>) {
        for (key, value) in table {
            path.push(key.get_ref().to_string());
            let origin = at(text, Some(key.span()));
            match value.get_ref() {
                DeValue::Table(inner) if !inner.is_empty() || is_section(path) => self.table(text, path, inner),
                other => self.set(path, &Value::from_toml(other), origin),
            }
            path.pop();
        }
    }

    fn old_environment(&mut self, environment: &BTreeMap<String, String>) {
        for old in OLD {
            let Some(value) = environment.get(old.name) else { continue };
            self.config.old_names.push((old.name, old.key));
            if let Some(setting) = all().find(|setting| Some(setting.key) == old.key) {
                self.put(setting, setting.key, "", &(old.value)(value), Origin::Environment(old.name.into()));
            }
        }
    }

    fn environment(&mut self, environment: &BTreeMap<String, String>) {
        let ours = environment.iter().filter(|(name, _)| name.starts_with(VARIABLE_PREFIX) && !RESERVED.contains(&name.as_str()));
        for (name, value) in ours {
            let origin = Origin::Environment(name.clone());
            match all().find(|setting| setting.variable().as_ref() == Some(name)) {
                Some(setting) => self.put(setting, setting.key, "", &Value::Loose(value.clone()), origin),
                None => {
                    let known: Vec<String> = all().filter_map(Setting::variable).collect();
                    let message = match nearest(name, known.iter().map(String::as_str)) {
                        _ if is_secret(name) => "no setting takes a secret: see `keys.source` for where the key is kept".into(),
                        Some(meant) => format!("there is no such setting; did you mean `{meant}`?"),
                        None => "there is no such setting".into(),
                    };
                    self.problem(origin, message);
                }
            }
        }
    }

    fn flags(&mut self, flags: &[(String, String)]) {
        for (key, value) in flags {
            let path: Vec<String> = split(key);
            self.set(&path, &Value::Loose(value.clone()), Origin::Flag);
        }
    }

    fn set(&mut self, path: &[String], value: &Value, origin: Origin) {
        let key = spelled(path);
        let found = all().find_map(|setting| Some((setting, setting.matches(path)?)));
        match found {
            Some((setting, name)) => {
                let of_a_tool = setting.key.starts_with("cache.tools.") || setting.key.starts_with("warming.operations.");
                if of_a_tool && !self.tools.contains(&name) {
                    let message = match nearest(name, self.tools.iter().copied()) {
                        Some(meant) => format!("there is no tool `{name}`; did you mean `{meant}`?"),
                        None => format!("there is no tool `{name}`"),
                    };
                    return self.problem(origin, message);
                }
                self.put(setting, &key, name, value, origin);
            }
            None if is_section(path) => self.problem(origin, format!("`{key}` is a section: write `[{key}]` and its keys below")),
            None => self.problem(origin, unknown(path, &key)),
        }
    }

    fn put(&mut self, setting: &Setting, key: &str, name: &str, value: &Value, origin: Origin) {
        match (setting.set)(&mut self.config, name, value) {
            Ok(()) => {
                self.config.origins.insert(key.to_owned(), origin);
            }
            Err(expected) => self.problem(origin, format!("`{key}` must be {expected}")),
        }
    }

    fn problem(&mut self, at: Origin, message: String) {
        self.problems.push(Problem { at, message });
    }
}

/// Rules about several values together.
fn together(config: &Config) -> Vec<Problem> {
    let origin = |key: &str| config.origins.get(key).cloned().unwrap_or(Origin::Default);
    let mut problems = Vec::new();
    if config.keys.source == super::KeySource::File && config.keys.file.is_none() {
        problems.push(Problem { at: origin("keys.source"), message: "`keys.source = \"file\"` needs `keys.file`".into() });
    }
    for (name, tool) in &config.cache.tools {
        if let (Some(fresh), Some(stale)) = (tool.fresh, tool.stale)
            && stale < fresh
        {
            let key = format!("cache.tools.{name}.stale");
            problems.push(Problem { at: origin(&key), message: format!("`{key}` must not be less than `cache.tools.{name}.fresh`") });
        }
    }
    problems
}

/// Whether people would put a secret under this name.
fn is_secret(name: &str) -> bool {
    let words = ["secret", "password", "token", "passphrase", "credential", "certificate", "private_key", "api_key", "apikey", "cache_key"];
    let name = name.to_lowercase().replace('-', "_");
    words.iter().any(|word| name.contains(word))
}

pub(super) fn unknown(path: &[String], key: &str) -> String {
    if path.last().is_some_and(|last| is_secret(last)) {
        return format!(
            "`{key}`: secrets never stand in the configuration; see `keys.source` for where the key is kept, and an app registration needs none"
        );
    }
    // Families take whatever name was given.
    let known: Vec<String> = all()
        .map(|setting| {
            let parts: Vec<&str> = setting.key.split('.').collect();
            let filled = parts.iter().enumerate().map(|(at, part)| match path.get(at) {
                Some(given) if *part == "*" => given.clone(),
                _ => (*part).to_owned(),
            });
            spelled(&filled.collect::<Vec<_>>())
        })
        .collect();
    match nearest(key, known.iter().map(String::as_str)) {
        Some(meant) => format!("there is no setting `{key}`; did you mean `{meant}`?"),
        None => format!("there is no setting `{key}`"),
    }
}

/// Whether `path` is the beginning of some key.
pub(super) fn is_section(path: &[String]) -> bool {
    all().any(|setting| {
        let parts: Vec<&str> = setting.key.split('.').collect();
        parts.len() > path.len() && parts.iter().zip(path).all(|(part, given)| *part == "*" || part == given)
    })
}

/// The segments of a key as a flag spells it; those with dots stand in quotes.
pub(super) fn split(key: &str) -> Vec<String> {
    let mut quoted = false;
    key.split(|letter| {
        quoted ^= letter == '"';
        letter == '.' && !quoted
    })
    .map(|segment| segment.trim_matches('"').to_owned())
    .collect()
}

/// The key as the file spells it.
pub(super) fn spelled(path: &[String]) -> String {
    let bare = |segment: &String| !segment.is_empty() && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    let segments: Vec<String> = path.iter().map(|segment| if bare(segment) { segment.clone() } else { format!("{segment:?}") }).collect();
    segments.join(".")
}

/// The line of a place in `text`.
fn at(text: &str, span: Option<Range<usize>>) -> Origin {
    let end = span.map_or(0, |span| span.start).min(text.len());
    Origin::File { line: 1 + text.as_bytes()[..end].iter().filter(|byte| **byte == b'\n').count() }
}
