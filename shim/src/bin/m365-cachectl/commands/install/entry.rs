//! What is written for a client: how it starts `m365-mcp`, by which words and variables.

use std::ffi::OsString;
use std::path::PathBuf;

use m365_cached_proto::dirs::DIR_VARIABLE;
use m365_cached_proto::v1::{Fault, Kind};
use m365_cached_shim::start::program;
use serde_json::{Map, Value, json};

/// How a client starts us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Absolute: applications with windows have a bare PATH.
    pub(super) command: String,
    pub(super) args: Vec<String>,
    pub(super) env: Vec<(String, String)>,
}

impl Entry {
    /// The members of the entry, in the order in which clients write them; `typed` for clients that want to be told that it is stdio.
    pub(super) fn members(&self, typed: bool) -> Map<String, Value> {
        let mut members = Map::new();
        if typed {
            members.insert("type".into(), "stdio".into());
        }
        members.insert("command".into(), self.command.clone().into());
        if !self.args.is_empty() {
            members.insert("args".into(), json!(self.args));
        }
        if !self.env.is_empty() {
            members.insert("env".into(), self.env.iter().map(|(key, value)| (key.clone(), json!(value))).collect::<Map<_, _>>().into());
        }
        members
    }

    /// What is to be changed in an entry of ours that is there. What was not asked for stays as it is; with `led` it also comes to lead to our profile.
    pub(super) fn changes<'a>(&self, there: &Value, typed: bool, led: bool) -> Vec<Change<'a>> {
        let mut changes = Vec::new();
        for (key, value) in self.members(typed) {
            match (key.as_str(), &there[&key]) {
                ("env", Value::Object(variables)) => {
                    let other = self.env.iter().filter(|(key, value)| variables.get(key) != Some(&json!(value)));
                    changes.extend(other.map(|(key, value)| Change::Set(&["env"], key.clone(), json!(value))));
                }
                (_, found) if *found != value => changes.push(Change::Set(&[], key, value)),
                _ => {}
            }
        }
        let ours = self.env.iter().find(|(key, _)| key == DIR_VARIABLE).map(|(_, dir)| PathBuf::from(dir));
        if led && self.args.is_empty() && profile(there) != ours {
            changes.extend(self.lead(there));
        }
        changes
    }

    /// What has an entry that is there lead to no profile but ours.
    fn lead<'a>(&self, there: &Value) -> Vec<Change<'a>> {
        let mut changes = Vec::new();
        let words = words(there);
        let others = without_profile(&words);
        if others.len() < words.len() {
            changes.push(if others.is_empty() {
                Change::Unset(&[], "args".into())
            } else {
                Change::Set(&[], "args".into(), json!(others))
            });
        }
        if self.env.is_empty() && !there["env"][DIR_VARIABLE].is_null() {
            let alone = there["env"].as_object().is_some_and(|variables| variables.len() == 1);
            changes.push(if alone { Change::Unset(&[], "env".into()) } else { Change::Unset(&["env"], DIR_VARIABLE.into()) });
        }
        changes
    }
}

/// A change of a member of an entry; the words lead to the object within it that has the member.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change<'a> {
    Set(&'a [&'a str], String, Value),
    Unset(&'a [&'a str], String),
}

/// The folder of the profile to which an entry of ours leads; `None` for the one in the system's places.
pub(super) fn profile(entry: &Value) -> Option<PathBuf> {
    let words = words(entry);
    // A word goes over the variable.
    let named = words.iter().enumerate().find_map(|(at, word)| match word.strip_prefix("--profile=") {
        Some(dir) => Some(dir.to_owned()),
        None if word == "--profile" => words.get(at + 1).cloned(),
        None => None,
    });
    named.or_else(|| entry["env"][DIR_VARIABLE].as_str().map(str::to_owned)).filter(|dir| !dir.is_empty()).map(PathBuf::from)
}

fn words(entry: &Value) -> Vec<String> {
    entry["args"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn without_profile(words: &[String]) -> Vec<&String> {
    let mut value = false;
    let kept = words.iter().filter(|word| {
        let goes = std::mem::replace(&mut value, *word == "--profile") || value || word.starts_with("--profile=");
        !goes
    });
    kept.collect()
}

/// The absolute path of `m365-mcp`.
pub(super) fn shim(env: &dyn Fn(&str) -> Option<OsString>) -> Result<String, Fault> {
    let found = program("m365-mcp", env).ok_or_else(|| {
        let message = "the program `m365-mcp` was found neither beside this one nor on PATH";
        Fault::new(Kind::Config, "shim_not_found", message, "Install `m365-mcp` beside `m365-cachectl`.")
    })?;
    found.into_os_string().into_string().map_err(|path| {
        let message = format!("the path `{}` is not text, and clients' files hold nothing else", path.display());
        Fault::new(Kind::User, "path_not_text", message, "Install `m365-mcp` where the path is text.")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        Entry {
            command: "/opt/m365-mcp".into(),
            args: vec!["--policy".into(), "mail".into()],
            env: vec![("M365_CACHED_DIR".into(), "/p".into())],
        }
    }

    #[test]
    fn it_has_no_member_that_says_nothing() {
        let plain = Entry { args: Vec::new(), env: Vec::new(), ..entry() };
        assert_eq!(Value::Object(plain.members(false)).to_string(), r#"{"command":"/opt/m365-mcp"}"#);
        let expected = r#"{"type":"stdio","command":"/opt/m365-mcp","args":["--policy","mail"],"env":{"M365_CACHED_DIR":"/p"}}"#;
        assert_eq!(Value::Object(entry().members(true)).to_string(), expected);
    }

    #[test]
    fn only_what_was_asked_for_is_changed() {
        let there =
            json!({"command": "/old/m365-mcp", "args": ["--policy", "mail"], "timeout": 5, "env": {"M365_CACHED_DIR": "/q", "A": "b"}});
        let changes = entry().changes(&there, false, false);
        let set = |at, key: &str, value: &str| Change::Set(at, key.into(), json!(value));
        assert_eq!(changes, [set(&[], "command", "/opt/m365-mcp"), set(&["env"], "M365_CACHED_DIR", "/p")]);
        let plain = Entry { args: Vec::new(), env: Vec::new(), ..entry() };
        assert_eq!(plain.changes(&json!({"command": "/opt/m365-mcp", "args": [], "env": {"A": "b"}}), false, true), []);
        assert_eq!(entry().changes(&json!({"command": "/opt/m365-mcp", "args": ["--policy", "mail"], "env": 7}), false, false).len(), 1);
    }

    #[test]
    fn an_entry_that_leads_elsewhere_is_led_back_where_that_is_wanted() {
        let plain = Entry { args: Vec::new(), env: Vec::new(), ..entry() };
        let to = |args: Value, env: Value| json!({"command": "/opt/m365-mcp", "args": args, "env": env});
        let unset = |at, key: &str| Change::Unset(at, key.into());
        let lead = |there: &Value| plain.changes(there, false, true);
        let by_variable = to(json!([]), json!({"M365_CACHED_DIR": "/q"}));
        assert_eq!((profile(&by_variable), lead(&by_variable)), (Some("/q".into()), vec![unset(&[], "env")]));
        assert_eq!(plain.changes(&by_variable, false, false), [], "what `install` was not asked for stays");
        assert_eq!(lead(&to(json!([]), json!({"M365_CACHED_DIR": "/q", "A": "b"}))), [unset(&["env"], "M365_CACHED_DIR")]);
        let by_word = to(json!(["--profile", "/r", "--tools", "mail"]), json!({"M365_CACHED_DIR": "/q"}));
        assert_eq!(profile(&by_word), Some("/r".into()));
        assert_eq!(lead(&by_word), [Change::Set(&[], "args".into(), json!(["--tools", "mail"])), unset(&[], "env")]);
        assert_eq!(lead(&to(json!(["--profile=/r"]), json!({}))), [unset(&[], "args")]);
    }
}
