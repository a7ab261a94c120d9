//! What is written for a client: how it starts `m365-mcp`, by which words and variables.

use std::ffi::OsString;

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

    /// What is to be set in an entry of ours that is there: where, which member, to what. What was not asked for stays as it is.
    pub(super) fn missing<'a>(&self, there: &Value, typed: bool) -> Vec<(&'a [&'a str], String, Value)> {
        let mut missing = Vec::new();
        for (key, value) in self.members(typed) {
            match (key.as_str(), &there[&key]) {
                ("env", Value::Object(variables)) => {
                    let other = self.env.iter().filter(|(key, value)| variables.get(key) != Some(&json!(value)));
                    missing.extend(other.map(|(key, value)| (["env"].as_slice(), key.clone(), json!(value))));
                }
                (_, found) if *found != value => missing.push(([].as_slice(), key, value)),
                _ => {}
            }
        }
        missing
    }
}

/// Whether an entry starts our program, wherever it lies.
pub(super) fn is_ours(entry: &Value) -> bool {
    // Both separators: a file may come from another system.
    let file = entry["command"].as_str().and_then(|command| command.rsplit(['/', '\\']).next());
    file.is_some_and(|file| file == "m365-mcp" || file.eq_ignore_ascii_case("m365-mcp.exe"))
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
        let missing = entry().missing(&there, false);
        assert_eq!(
            missing,
            [([].as_slice(), "command".into(), json!("/opt/m365-mcp")), (["env"].as_slice(), "M365_CACHED_DIR".into(), json!("/p"))]
        );
        let plain = Entry { args: Vec::new(), env: Vec::new(), ..entry() };
        assert_eq!(plain.missing(&json!({"command": "/opt/m365-mcp", "args": [], "env": {"A": "b"}}), false), []);
        assert_eq!(entry().missing(&json!({"command": "/opt/m365-mcp", "args": ["--policy", "mail"], "env": 7}), false).len(), 1);
    }

    #[test]
    fn ours_is_what_starts_our_program() {
        for command in ["m365-mcp", "/usr/bin/m365-mcp", r"C:\Programs\m365-mcp.EXE"] {
            assert!(is_ours(&json!({"command": command})), "{command}");
        }
        for other in
            [json!({"command": "uvx", "args": ["m365-mcp"]}), json!({"url": "https://example.com"}), json!(null), json!("m365-mcp")]
        {
            assert!(!is_ours(&other), "{other}");
        }
    }
}
