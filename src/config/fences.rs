//! `[limits]`, `[policy.*]` and `confirm`: what clients may take of the daemon, what each of them may do, and how people agree.

use std::time::Duration;

use super::{
    Config,
    settings::{Setting, Takes, put, quoted, whole, word},
};

/// The policy of a client that no other is named for.
pub const DEFAULT_POLICY: &str = "default";

/// `[limits]`. Of those by minute, 0 stands for no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitSettings {
    /// `limits.frame_bytes`: one line of a client, and the arguments of one call.
    pub frame_bytes: u64,
    /// `limits.connections`: clients at a time.
    pub connections: u64,
    /// `limits.calls_per_connection`: calls under way of one connection.
    pub calls_per_connection: u64,
    /// `limits.calls_per_client`: calls under way of all connections of one client.
    pub calls_per_client: u64,
    /// `limits.calls`: calls under way in total.
    pub calls: u64,
    /// `limits.held_bytes_per_connection`: arguments of calls under way and answers not yet taken, of one connection.
    pub held_bytes_per_connection: u64,
    /// `limits.held_bytes`: the same in total.
    pub held_bytes: u64,
    /// `limits.idle_s`: a connection on which nothing has come for so long, not even the answer to a ping, is closed.
    pub idle: Duration,
    /// `limits.reads_per_minute`: calls of one client that change nothing.
    pub reads_per_minute: u64,
    /// `limits.writes_per_minute`: calls of one client that change something and reach nobody else.
    pub writes_per_minute: u64,
    /// `limits.sends_per_minute`: calls of one client that reach other people.
    pub sends_per_minute: u64,
}

impl Default for LimitSettings {
    /// Far above what a client with one model does, far below what two cores can do. Exchange Online itself takes 30 messages a minute
    /// (Exchange Online limits, *Sending limits*), and each is a call for the preview and one that sends.
    fn default() -> Self {
        Self {
            frame_bytes: FRAME,
            connections: 256,
            calls_per_connection: 128,
            calls_per_client: 512,
            calls: 1024,
            held_bytes_per_connection: 64 << 20,
            held_bytes: 512 << 20,
            idle: Duration::from_secs(300),
            reads_per_minute: 6000,
            writes_per_minute: 600,
            sends_per_minute: 60,
        }
    }
}

/// `[policy.<name>]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PolicySettings {
    /// `read_only`.
    pub read_only: bool,
    /// `no_send`.
    pub no_send: bool,
    /// `accounts`: ids and usernames in lower case; `None` for all.
    pub accounts: Option<Vec<String>>,
}

/// The largest line that is ever taken; a smaller one may be set.
const FRAME: u64 = 4 * 1024 * 1024;
/// Less than this would not hold the largest answer twice.
const LEAST_HELD: u64 = 40 << 20;
/// More than this is no limit.
const MOST: u64 = 1_000_000;

/// Whether consent is strict.
const CONFIRMS: [(&str, bool); 2] = [("usual", false), ("strict", true)];

fn policy<'a>(config: &'a mut Config, name: &str) -> &'a mut PolicySettings {
    config.policies.entry(name.to_lowercase()).or_default()
}

fn shown(config: &Config, name: &str, show: fn(&PolicySettings) -> String) -> String {
    config.policies.get(&name.to_lowercase()).map(show).unwrap_or_default()
}

/// A whole number of `[limits]`.
macro_rules! limit {
    ($key:literal, $field:ident, $least:expr, $most:expr, $meaning:literal) => {
        Setting {
            key: concat!("limits.", $key),
            meaning: $meaning,
            takes: Takes::Reload,
            set: |config, _, value| put(&mut config.limits.$field, value.whole($least, $most)),
            show: |config, _| config.limits.$field.to_string(),
        }
    };
}

/// These keys, in the order of the manual.
pub(super) const FENCES: &[Setting] = &[
    Setting {
        key: "confirm",
        meaning: "`strict` asks for consent with a token for the exact call, everywhere; `usual` where clients cannot ask a person.",
        takes: Takes::Reload,
        set: |config, _, value| put(&mut config.strict, value.choice(&CONFIRMS)),
        show: |config, _| word(&CONFIRMS, config.strict),
    },
    limit!("frame_bytes", frame_bytes, 64 << 10, FRAME, "The longest line of a client, and the arguments of one call, in bytes."),
    limit!("connections", connections, 1, 4096, "Clients at a time."),
    limit!("calls_per_connection", calls_per_connection, 1, MOST, "Calls under way of one connection."),
    limit!("calls_per_client", calls_per_client, 1, MOST, "Calls under way of all connections of one client."),
    limit!("calls", calls, 1, MOST, "Calls under way in total."),
    limit!(
        "held_bytes_per_connection",
        held_bytes_per_connection,
        LEAST_HELD,
        1 << 40,
        "Bytes of calls and of answers not yet taken, of one connection."
    ),
    limit!("held_bytes", held_bytes, LEAST_HELD, 1 << 40, "The same in total."),
    Setting {
        key: "limits.idle_s",
        meaning: "A connection that has been silent for so many seconds is closed.",
        takes: Takes::Restart,
        set: |config, _, value| put(&mut config.limits.idle, value.seconds(1, 24 * 3600)),
        show: |config, _| whole(config.limits.idle),
    },
    limit!("reads_per_minute", reads_per_minute, 0, MOST, "Calls of one client that change nothing; 0 for no limit."),
    limit!(
        "writes_per_minute",
        writes_per_minute,
        0,
        MOST,
        "Calls of one client that change something and reach nobody else; 0 for no limit."
    ),
    limit!("sends_per_minute", sends_per_minute, 0, MOST, "Calls of one client that reach other people; 0 for no limit."),
    Setting {
        key: "policy.*.read_only",
        meaning: "This client changes nothing. The name is the client's own; `default` is for all that have none.",
        takes: Takes::Reload,
        set: |config, name, value| put(&mut policy(config, name).read_only, value.bool()),
        show: |config, name| shown(config, name, |policy| policy.read_only.to_string()),
    },
    Setting {
        key: "policy.*.no_send",
        meaning: "This client reaches nobody else: no mail, no invitations, no sharing.",
        takes: Takes::Reload,
        set: |config, name, value| put(&mut policy(config, name).no_send, value.bool()),
        show: |config, name| shown(config, name, |policy| policy.no_send.to_string()),
    },
    Setting {
        key: "policy.*.accounts",
        meaning: "The accounts, by id, username or alias, that this client may use.",
        takes: Takes::Reload,
        set: |config, name, value| {
            let names = value.list().map(|names| Some(names.iter().map(|name| name.to_lowercase()).collect()));
            put(&mut policy(config, name).accounts, names)
        },
        show: |config, name| {
            shown(config, name, |policy| {
                let names: Vec<String> = policy.accounts.iter().flatten().map(|name| quoted(Some(name))).collect();
                format!("[{}]", names.join(", "))
            })
        },
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::read_file as read;

    #[test]
    fn every_limit_can_be_set_and_is_shown() {
        let names: Vec<&str> = FENCES.iter().filter_map(|setting| setting.key.strip_prefix("limits.")).collect();
        assert_eq!(names.len(), 11);
        let text = names.iter().fold("[limits]\n".to_owned(), |text, name| {
            let value = if name.starts_with("held") { 50_000_000 } else { 70_000 };
            let value = if *name == "connections" { 77 } else { value };
            format!("{text}{name} = {value}\n")
        });
        let config = read(&text).unwrap();
        let limits = config.limits;
        assert_eq!((limits.connections, limits.held_bytes, limits.idle.as_secs()), (77, 50_000_000, 70_000));
        for name in names {
            let line = config.explain().into_iter().find(|line| line.key == format!("limits.{name}")).unwrap();
            assert!(text.contains(&format!("{name} = {}\n", line.value)), "{name}");
        }
        assert!(read("[limits]\nframe_bytes = 5000000").unwrap_err().contains("limits.frame_bytes"));
    }

    #[test]
    fn policies_are_by_name_in_any_case() {
        let text = "confirm = \"strict\"\n[policy.default]\nread_only = true\n[policy.\"Claude-Code\"]\nno_send = true\naccounts = [\"Ada@Contoso.example\"]\n[policy.none]\naccounts = []";
        let config = read(text).unwrap();
        assert!(config.strict && config.policies[DEFAULT_POLICY].read_only);
        let named = &config.policies["claude-code"];
        assert_eq!(
            (named.no_send, named.read_only, named.accounts.as_deref()),
            (true, false, Some(&["ada@contoso.example".to_owned()][..]))
        );
        assert_eq!(config.policies["none"].accounts, Some(Vec::new()));
        let shown = config.explain().into_iter().find(|line| line.key == "policy.Claude-Code.accounts").unwrap();
        assert_eq!(shown.value, "[\"ada@contoso.example\"]");
        assert!(read("[policy.default]\nreadonly = true").unwrap_err().contains("read_only"), "a policy that is misspelled is none");
        assert!(read("confirm = \"yes\"").unwrap_err().contains("strict"));
    }
}
