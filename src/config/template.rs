//! The file that `config init` writes: every key commented out, with what it means and its default, or an example where it has none. A line
//! that begins with `#` and no space is a setting to be uncommented.
//!
//! Decision: whoever takes one `#` away sets the key of that line and no other. So every section stands there live, and a key of a family is
//! spelled with dots in one line. (Families under headings of their own that are commented out too were rejected: without the heading, `enabled`
//! of an account is the `enabled` of the whole cache.)

use std::fmt::Write as _;

use super::settings::{Key, keys};

/// What a line ends in that shows no default.
const EXAMPLE: &str = " # example";

const HEAD: &str = "\
# Settings of m365-cached. A line that begins with `#` and no space is a key that is not set: take the `#` away to set it, each line by itself.
# It shows the default, which holds as it is. Where it ends in `# example`, nothing of the kind is set: put your own value there.
# The environment and the command line of the daemon go over this file. Secrets never stand here.
# `m365-cachectl config check` reads it as the daemon would; `m365-cachectl config set KEY VALUE` changes it and keeps what else stands here.
";

/// What stands for the `*` of a family.
const EXAMPLES: [(&str, &str); 5] = [
    ("cache.accounts", "\"ada@contoso.com\""),
    ("cache.tools", "email_list"),
    ("warming.operations", "email_list"),
    ("policy", "default"),
    ("accounts", "\"ada@contoso.com\""),
];
/// Examples of keys whose default is nothing, or differs from case to case.
const SHOWN: [(&str, &str); 20] = [
    ("client_id", "\"00000000-0000-0000-0000-000000000000\""),
    ("tenant", "\"organizations\""),
    ("keys.file", "\"/run/keys/m365\""),
    ("network.proxy_auth", "\"keyring:proxy\""),
    ("network.ca", "\"company-ca.pem\""),
    ("metrics.listen", "\"127.0.0.1:9464\""),
    ("cache.accounts.*.enabled", "false"),
    ("cache.tools.*.enabled", "true"),
    ("cache.tools.*.fresh", "60"),
    ("cache.tools.*.stale", "600"),
    ("cache.tools.*.if_error", "86400"),
    ("warming.operations.*.enabled", "true"),
    ("warming.operations.*.parameters", "'{\"limit\": 20}'"),
    ("warming.operations.*.priority", "5"),
    ("warming.operations.*.throttle_s", "5"),
    ("policy.*.read_only", "true"),
    ("policy.*.no_send", "true"),
    ("policy.*.accounts", "[\"ada@contoso.com\"]"),
    ("accounts.default", "\"ada@contoso.com\""),
    ("accounts.*.alias", "\"work\""),
];
/// Only the demo tenant writes these.
const OF_A_DEMO: [&str; 5] = ["demo", "cloud.identity", "cloud.graph", "cloud.downloads", "cloud.ca"];

/// The whole file.
pub fn template() -> String {
    let mut text = HEAD.to_owned();
    let usual: Vec<Key> = keys().into_iter().filter(|key| !OF_A_DEMO.contains(&key.name)).collect();
    // Keys of no section come first: below a section they would belong to it.
    let (root, within): (Vec<&Key>, Vec<&Key>) = usual.iter().partition(|key| !key.name.contains('.'));
    root.into_iter().for_each(|key| line(&mut text, key, key.name));
    let (mut section, mut family) = ("", "");
    for key in within {
        let (of, rest) = key.name.split_once('.').unwrap_or(("", key.name));
        if of != section {
            let _ = write!(text, "\n\n[{of}]");
            (section, family) = (of, "");
        }
        let Some((named, last)) = key.name.split_once(".*.") else {
            line(&mut text, key, rest);
            continue;
        };
        if named != family {
            text.push('\n');
            family = named;
        }
        let example = EXAMPLES.iter().find(|(known, _)| *known == named).map_or("name", |(_, example)| *example);
        let before = named.strip_prefix(of).unwrap_or(named).trim_start_matches('.');
        let dot = if before.is_empty() { "" } else { "." };
        line(&mut text, key, &format!("{before}{dot}{example}.{last}"));
    }
    text.push('\n');
    text
}

fn line(text: &mut String, key: &Key, name: &str) {
    let example = SHOWN.iter().find(|(known, _)| *known == key.name);
    let (value, mark) = example.map_or((key.default.as_str(), ""), |(_, value)| (*value, EXAMPLE));
    let _ = write!(text, "\n# {}\n#{name} = {value}{mark}", key.meaning);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::{Config, Sources};

    fn read(text: &str) -> Config {
        let tools = ["email_list"];
        Config::read(&Sources { file: "f", text: Some(text), environment: &BTreeMap::new(), flags: &[], tools: &tools })
            .unwrap_or_else(|error| panic!("{error}\n{text}"))
    }

    /// The lines to be uncommented, by their number, without their `#`.
    fn commented(text: &str) -> Vec<(usize, &str)> {
        text.lines()
            .enumerate()
            .filter_map(|(at, line)| Some((at, line.strip_prefix('#').filter(|line| !line.starts_with(' '))?)))
            .collect()
    }

    /// Every key that is set, with its value.
    fn set(config: &Config) -> Vec<(String, String)> {
        let lines = config.explain().into_iter().filter(|line| line.origin != crate::config::Origin::Default);
        lines.map(|line| (line.key, line.value)).collect()
    }

    #[test]
    fn it_sets_nothing_and_every_line_of_it_can_be_taken() {
        let text = template();
        assert_eq!(read(&text), Config::default());
        let uncommented: Vec<&str> =
            text.lines().map(|line| line.strip_prefix('#').filter(|line| !line.starts_with(' ')).unwrap_or(line)).collect();
        assert_eq!(set(&read(&uncommented.join("\n"))).len(), keys().len() - OF_A_DEMO.len(), "every key is there");
        assert!(text.lines().all(|line| line.len() < 160), "{text}");
    }

    #[test]
    fn a_line_taken_by_itself_sets_its_own_key_to_its_default_or_to_its_example() {
        let text = template();
        let usual: BTreeMap<String, String> = Config::default().explain().into_iter().map(|line| (line.key, line.value)).collect();
        let shown: Vec<String> = keys().into_iter().filter(|key| !OF_A_DEMO.contains(&key.name)).map(|key| key.name.to_owned()).collect();
        let lines = commented(&text);
        assert_eq!(lines.len(), shown.len());
        for (at, bare) in lines {
            let mut alone: Vec<&str> = text.lines().collect();
            alone[at] = bare;
            let set = set(&read(&alone.join("\n")));
            let [(key, value)] = set.as_slice() else { panic!("`{bare}` sets {set:?}") };
            // The meaning above the line is the one of the key that it sets.
            let meant = crate::config::key_of(key).unwrap_or_else(|| panic!("`{bare}` sets `{key}`"));
            assert_eq!(text.lines().nth(at - 1).and_then(|line| line.strip_prefix("# ")), Some(meant.meaning), "`{bare}` sets `{key}`");
            let default = usual.get(key).map_or("", String::as_str);
            assert_eq!(bare.ends_with(EXAMPLE), value != default, "`{bare}` sets `{value}`, the default is `{default}`");
        }
    }

    #[test]
    fn it_stays_as_it_is() {
        insta::assert_snapshot!(template());
    }
}
