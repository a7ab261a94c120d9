//! Tests of changes to a configuration file: what else stands there stays.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const FILE: &str = "# mine\ntenant = \"contoso.com\" # the one\n\n[graph]\n# quick\nhttp2 = true\n\n[log]\nfilter = \"info\"\n";

fn sources<'a>(text: &'a str, environment: &'a BTreeMap<String, String>) -> Sources<'a> {
    Sources { file: "config.toml", text: Some(text), environment, flags: &[], tools: &["email_list", "email_get"] }
}

fn set_in(text: &str, key: &str, value: &str) -> Result<Edited, String> {
    set(&sources(text, &BTreeMap::new()), key, value).map_err(|error| error.to_string())
}

fn unset_in(text: &str, key: &str) -> Result<Edited, String> {
    unset(&sources(text, &BTreeMap::new()), key).map_err(|error| error.to_string())
}

#[test]
fn one_value_changes_and_nothing_else() {
    let edited = set_in(FILE, "graph.http2", "false").unwrap();
    assert_eq!(edited.text, FILE.replace("http2 = true", "http2 = false"));
    assert_eq!((edited.was.as_deref(), edited.is.as_deref()), (Some("true"), Some("false")));
    let edited = set_in(FILE, "tenant", "consumers").unwrap();
    assert_eq!(edited.text, FILE.replace("\"contoso.com\" # the one", "\"consumers\" # the one"));
    assert_eq!(edited.is.as_deref(), Some("\"consumers\""));
}

#[test]
fn a_new_key_finds_its_section_or_makes_it() {
    let edited = set_in(FILE, "graph.concurrency", "2").unwrap();
    assert_eq!(edited.text, FILE.replace("http2 = true\n", "http2 = true\nconcurrency = 2\n"));
    assert_eq!(edited.was, None);
    assert_eq!(set_in("", "cache.tools.email_list.fresh", "7").unwrap().text, "[cache.tools.email_list]\nfresh = 7\n");
    let quoted = set_in("", "cache.accounts.\"ada@contoso.com\".enabled", "false").unwrap();
    assert_eq!(quoted.text, "[cache.accounts.\"ada@contoso.com\"]\nenabled = false\n");
    assert_eq!(set_in("graph = { http2 = true }\n", "graph.http2", "false").unwrap().text, "graph = { http2 = false }\n");
    assert_eq!(set_in("graph.http2 = true\n", "graph.http2", "false").unwrap().text, "graph.http2 = false\n");
}

#[test]
fn values_may_be_bare_or_spelled() {
    for (key, given, stands) in [
        ("log.filter", "debug", "\"debug\""),
        ("log.filter", "\"debug\"", "\"debug\""),
        ("log.filter", "true", "\"true\""),
        ("tenant", "123", "\"123\""),
        ("cache.hot_bytes", "1_000_000", "1_000_000"),
        ("cache.exclude_folders", "junkemail, drafts", "[\"junkemail\", \"drafts\"]"),
        ("cache.exclude_folders", "[\"junkemail\"]", "[\"junkemail\"]"),
        ("cache.exclude_folders", "", "[]"),
        ("keys.rotate_every", "never", "\"never\""),
        ("warming.operations.email_list.parameters", "{\"limit\": 5}", "'{\"limit\": 5}'"),
    ] {
        let edited = set_in("", key, given).unwrap_or_else(|error| panic!("{key} {given}: {error}"));
        assert_eq!(edited.is.as_deref(), Some(stands), "{key} {given}");
        let again = set_in(&edited.text, key, given).unwrap();
        assert_eq!((again.text, again.was), (edited.text, edited.is));
    }
}

#[test]
fn what_would_be_wrong_is_refused_without_the_value() {
    for (key, value, says) in [
        ("graph.htpt2", "true", "did you mean `graph.http2`"),
        ("graph.concurrency", "5", "from 1 to 4"),
        ("graph.http2", "hunter2", "`true` or `false`"),
        ("client_secret", "hunter2", "secret"),
        ("cache.tools.email_lst.fresh", "5", "did you mean `email_list`"),
        ("keys.source", "file", "needs `keys.file`"),
        ("graph", "3", "section"),
    ] {
        let error = set_in(FILE, key, value).unwrap_err();
        assert!(error.contains(says) && !error.contains("hunter2"), "{key}: {error}");
    }
    assert!(set_in("graph = [", "graph.http2", "false").unwrap_err().contains("line 1"));
}

#[test]
fn a_wrong_file_can_be_repaired_key_by_key() {
    let wrong = "grahp = 1\nclient_secret = \"hunter2\"\n";
    assert!(set_in(wrong, "log.filter", "debug").is_ok(), "what was wrong before does not stand against it");
    let once = unset_in(wrong, "grahp").unwrap();
    assert_eq!(once.was.as_deref(), Some("1"));
    assert_eq!(unset_in(&once.text, "client_secret").unwrap().text, "");
    assert_eq!(unset_in("[grahp]\nhttp2 = true\n[log]\n", "grahp.http2").unwrap().text, "[log]\n");
    assert!(unset_in("", "grahp.http2").unwrap_err().contains("graph.http2"));
    assert_eq!(unset_in("", "graph.http2").unwrap().was, None);
}

#[test]
fn the_line_of_the_template_becomes_the_setting() {
    let template = crate::config::template();
    let edited = set_in(&template, "graph.http2", "false").unwrap();
    assert_eq!(edited.text, template.replace("#http2 = true", "http2 = false"));
    let edited = set_in(&template, "confirm", "strict").unwrap();
    assert_eq!(edited.text, template.replace("#confirm = \"usual\"", "confirm = \"strict\""));
    // `enabled` stands in several sections.
    let edited = set_in(&template, "warming.enabled", "false").unwrap();
    assert!(edited.text.contains("[warming]\n# Whether the usual answers are fetched ahead of use.\nenabled = false\n"), "{}", edited.text);
    // Of a family that line alone which shows this very name; no heading comes between a section and its commented lines.
    let edited = set_in(&template, "policy.default.read_only", "true").unwrap();
    assert_eq!(edited.text, template.replace("#default.read_only = true # example", "default.read_only = true"));
    let edited = set_in(&template, "cache.tools.email_get.fresh", "7").unwrap();
    assert_eq!(edited.text, template.replace("[cache]\n", "[cache]\ntools.email_get.fresh = 7\n"));
    let edited = set_in(&edited.text, "cache.tools.email_get.stale", "9").unwrap();
    assert!(edited.text.contains("[cache]\ntools.email_get.fresh = 7\ntools.email_get.stale = 9\n# Whether"), "{}", edited.text);
    let edited = set_in(&edited.text, "cache.tools.email_list.fresh", "8").unwrap();
    assert!(edited.text.contains("\ntools.email_list.fresh = 8\n# Seconds"), "{}", edited.text);
    let older = "[cache]\n#enabled = true\n\n#[cache.tools.email_list]\n#fresh = 60\n\n[cache.tools.email_get]\nfresh = 1\n";
    let edited = set_in(older, "cache.tools.email_list.fresh", "8").unwrap();
    assert!(
        edited.text.contains("[cache.tools.email_list]\nfresh = 8\n") && edited.text.starts_with("[cache]\n#enabled = true\n"),
        "{}",
        edited.text
    );
    let text = "[log]\nfilter = '''\n#format = \"text\"\n'''\n";
    assert!(set_in(text, "log.format", "json").unwrap().text.ends_with("'''\nformat = \"json\"\n"));
}

proptest! {
    #[test]
    fn whatever_is_set_is_read_again(seconds in 1u64..86_400, number in 1u64..=4, truth in any::<bool>(), cut in 0usize..FILE.len()) {
        let text = FILE.get(..cut).unwrap_or_default();
        let values = [("graph.pool_idle_s", seconds.to_string()), ("graph.concurrency", number.to_string()), ("graph.http2", truth.to_string())];
        let Ok(_) = Config::read(&sources(text, &BTreeMap::new())) else { return Ok(()) };
        let mut text = text.to_owned();
        for (key, value) in &values {
            text = set_in(&text, key, value).map_err(TestCaseError::fail)?.text;
        }
        let config = Config::read(&sources(&text, &BTreeMap::new())).unwrap();
        let lines = config.explain();
        for (key, value) in &values {
            prop_assert_eq!(&lines.iter().find(|line| line.key == *key).unwrap().value, value);
        }
        for (key, _) in &values {
            text = unset_in(&text, key).map_err(TestCaseError::fail)?.text;
            prop_assert!(!text.contains(key.rsplit('.').next().unwrap()));
        }
    }

    #[test]
    fn no_text_makes_the_editor_panic(text in any::<String>(), key in any::<String>(), value in any::<String>()) {
        let _ = set_in(&text, &key, &value);
        let _ = set_in(&text, "log.filter", &value);
        let _ = unset_in(&text, &key);
    }
}
