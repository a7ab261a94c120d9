//! The file that `config init` writes: every key commented out, with its default and what it means. A line that begins with `#` and no space is
//! a setting to be uncommented.

use std::fmt::Write as _;

use super::settings::{Key, keys};

const HEAD: &str = "\
# Settings of m365-cached. A line that begins with `#` and no space shows a default: take the `#` away to set the key.
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
/// Values that show how a key is spelled whose default is nothing.
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
    let mut section = "";
    for key in within {
        let (of, last) = key.name.rsplit_once('.').unwrap_or(("", key.name));
        if of != section {
            section = of;
            match of.split_once(".*") {
                Some((family, _)) => {
                    let example = EXAMPLES.iter().find(|(known, _)| *known == family).map_or("name", |(_, example)| *example);
                    let _ = write!(text, "\n\n#[{family}.{example}]");
                }
                None => {
                    let _ = write!(text, "\n\n[{of}]");
                }
            }
        }
        line(&mut text, key, last);
    }
    text.push('\n');
    text
}

fn line(text: &mut String, key: &Key, name: &str) {
    let shown = SHOWN.iter().find(|(known, _)| *known == key.name);
    let value = shown.map_or(key.default.as_str(), |(_, value)| *value);
    let _ = write!(text, "\n# {}\n#{name} = {value}", key.meaning);
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

    #[test]
    fn it_sets_nothing_and_every_line_of_it_can_be_taken() {
        let text = template();
        assert_eq!(read(&text), Config::default());
        let uncommented: Vec<&str> = text
            .lines()
            .map(|line| match line.strip_prefix('#') {
                Some(setting) if !setting.starts_with(' ') => setting,
                _ => line,
            })
            .collect();
        let config = read(&uncommented.join("\n"));
        let set = config.explain().iter().filter(|line| line.origin != crate::config::Origin::Default).count();
        assert_eq!(set, keys().len() - OF_A_DEMO.len(), "every key is there");
        assert!(text.lines().all(|line| line.len() < 160), "{text}");
    }

    #[test]
    fn it_stays_as_it_is() {
        insta::assert_snapshot!(template());
    }
}
