//! Every documented key makes a difference: set to something else, one of the objects that the daemon is made of comes out otherwise. Keys that
//! are handed on in the place where an object is made are looked for in that place.

use std::{fs, sync::Arc};

use futures_util::FutureExt as _;
use m365_cached::{
    clock::SystemClock,
    config::{Config, keys},
};
use m365_cached_proto::dirs::Profile;

use crate::{engine, gate::Policies, network::Network, parts};

const DEMO: &str = "demo = true\ncloud.identity = \"http://127.0.0.1:1\"\ncloud.graph = \"http://127.0.0.1:2\"\n";

/// Each key with another value than its default, as the file spells it; `*` is filled in.
pub(crate) const OTHERWISE: &[(&str, &str)] = &[
    ("client_id", "client_id = \"11111111-2222-3333-4444-555555555555\""),
    ("tenant", "tenant = \"consumers\""),
    ("sign_in", "sign_in = \"device\""),
    ("compat", "compat = \"m365-mcp\""),
    ("ids", "ids = \"graph\""),
    ("tools.profile", "tools.profile = \"full\""),
    ("cloud.name", "cloud.name = \"usgov\""),
    ("network.proxy", "network.proxy = \"none\""),
    ("network.no_proxy", "network.proxy = \"http://127.0.0.1:1\"\nnetwork.no_proxy = [\"graph.microsoft.com\"]"),
    ("network.proxy_auth", "network.proxy = \"http://127.0.0.1:1\"\nnetwork.proxy_auth = \"env:M365_TEST_NOBODY_HAS_THIS\""),
    ("network.ca", "network.ca = \"authority.pem\""),
    ("keys.source", "keys.source = \"environment\""),
    ("keys.file", "keys.file = \"/run/keys/m365\""),
    ("cache.enabled", "cache.enabled = false"),
    ("cache.unsettled_s", "cache.unsettled_s = 61"),
    ("cache.rows_per_source", "cache.rows_per_source = 20001"),
    ("cache.rows", "cache.rows = 100001"),
    ("cache.max_bytes", "cache.max_bytes = 2000000001"),
    ("cache.clean_from_percent", "cache.clean_from_percent = 81"),
    ("cache.clean_to_percent", "cache.clean_to_percent = 61"),
    ("cache.max_entries_per_account", "cache.max_entries_per_account = 10001"),
    ("cache.max_bytes_per_account", "cache.max_bytes_per_account = 1"),
    ("cache.exclude_folders", "cache.exclude_folders = [\"junkemail\"]"),
    ("cache.exclude_senders", "cache.exclude_senders = [\"@contoso.com\"]"),
    ("cache.accounts.*.enabled", "cache.accounts.ada.enabled = false"),
    ("cache.tools.*.enabled", "cache.tools.email_list.enabled = false"),
    ("cache.tools.*.fresh", "cache.tools.email_list.fresh = 1"),
    ("cache.tools.*.stale", "cache.tools.email_list.stale = 86401"),
    ("cache.tools.*.if_error", "cache.tools.email_list.if_error = 1"),
    ("warming.enabled", "warming.enabled = false"),
    ("warming.renewals_per_hour", "warming.renewals_per_hour = 61"),
    ("warming.operations.*.enabled", "warming.operations.email_list.enabled = false"),
    ("warming.operations.*.parameters", "warming.operations.email_list.parameters = '{\"limit\": 20}'"),
    ("warming.operations.*.priority", "warming.operations.email_list.priority = 9"),
    ("warming.operations.*.throttle_s", "warming.operations.email_list.throttle_s = 9"),
    ("audit.reads", "audit.reads = false"),
    ("audit.keep", "audit.keep = \"30d\""),
    ("graph.connect_timeout_s", "graph.connect_timeout_s = 11"),
    ("graph.call_deadline_s", "graph.call_deadline_s = 121"),
    ("graph.pool_idle_s", "graph.pool_idle_s = 91"),
    ("graph.keepalive_s", "graph.keepalive_s = 31"),
    ("graph.http2", "graph.http2 = false"),
    ("files.allowed_roots", "files.allowed_roots = [\"/srv\"]"),
    ("files.download_max_mb", "files.download_max_mb = 513"),
    ("files.idle_s", "files.idle_s = 61"),
    ("files.deadline_s", "files.deadline_s = 1801"),
    ("metrics.listen", "metrics.listen = \"127.0.0.1:9464\""),
    ("daemon.drain_s", "daemon.drain_s = 11"),
    ("confirm", "confirm = \"strict\""),
    ("limits.frame_bytes", "limits.frame_bytes = 70000"),
    ("limits.connections", "limits.connections = 1"),
    ("limits.calls_per_connection", "limits.calls_per_connection = 1"),
    ("limits.calls_per_client", "limits.calls_per_client = 1"),
    ("limits.calls", "limits.calls = 1"),
    ("limits.held_bytes_per_connection", "limits.held_bytes_per_connection = 50000000"),
    ("limits.held_bytes", "limits.held_bytes = 50000000"),
    ("limits.idle_s", "limits.idle_s = 1"),
    ("limits.reads_per_minute", "limits.reads_per_minute = 1"),
    ("limits.writes_per_minute", "limits.writes_per_minute = 1"),
    ("limits.sends_per_minute", "limits.sends_per_minute = 1"),
    ("policy.*.read_only", "policy.x.read_only = true"),
    ("policy.*.no_send", "policy.x.no_send = true"),
    ("policy.*.accounts", "policy.x.accounts = [\"ada\"]"),
    ("accounts.default", "accounts.default = \"work\""),
    ("accounts.*.alias", "accounts.\"ada@x.example\".alias = \"work\""),
];

/// The same in a demo profile.
const IN_A_DEMO: &[(&str, &str)] = &[
    ("demo", DEMO),
    ("cloud.identity", "cloud.identity = \"http://127.0.0.1:3\""),
    ("cloud.graph", "cloud.graph = \"http://127.0.0.1:3\""),
    ("cloud.downloads", "cloud.downloads = [\"127.0.0.1:3\"]"),
    ("cloud.ca", "cloud.ca = \"ca.pem\""),
];

/// Keys that are handed on where an object is made: which source, and how it is spelled there.
const IN_PLACE: &[(&str, &str, &str)] = &[
    ("keys.rotate_every", include_str!("parts.rs"), "KeyKeeper::new(vault, config.keys.rotate_every"),
    ("cache.hot_bytes", include_str!("engine.rs"), "HotTier::new(config.cache.hot_bytes)"),
    ("cache.min_free_bytes", include_str!("parts.rs"), "opened.config.cache.min_free_bytes"),
    ("store.backend", include_str!("parts.rs"), "match opened.config.store.backend"),
    ("store.memory_bytes", include_str!("parts.rs"), "Volatile::new(file, opened.config.store.memory_bytes"),
    ("graph.request_timeout_s", include_str!("engine.rs"), "request_timeout: config.graph.request_timeout"),
    ("graph.concurrency", include_str!("engine.rs"), "config.graph.concurrency"),
    ("worker.count", include_str!("engine.rs"), "(0..config.workers)"),
    ("daemon.idle_s", include_str!("main.rs"), "|config| config.idle"),
    ("log.filter", include_str!("logging.rs"), "&settings.filter"),
    ("log.format", include_str!("logging.rs"), "settings.format == LogFormat::Json"),
];

/// Everything the daemon makes of settings, as text.
fn objects(config: &Config, profile: &Profile) -> String {
    let made = parts::Parts::without_engine(config, profile, Arc::new(SystemClock));
    let network = Network::of(config, profile).now_or_never();
    let engine = (engine::policy(config), engine::warming(config), network, engine::transfer_settings(config));
    let account = engine::identity_settings(config);
    let places = (parts::allowed_roots(config, profile), parts::key_settings(config, profile));
    format!(
        "{engine:?} {account:?} {places:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?}",
        made.caching,
        made.drain,
        made.metrics,
        made.limits,
        Policies::of(config),
        made.strict,
        made.tools,
        made.profile
    )
}

fn read(profile: &Profile, text: &str) -> Config {
    fs::write(profile.config_file(), text).unwrap();
    parts::configuration(profile, &[]).unwrap_or_else(|problem| panic!("{text}: {}", problem.message))
}

/// `packaging/manual/examples.md`, block by block.
#[test]
fn every_example_of_the_manual_is_read() {
    let page = include_str!("../../packaging/manual/examples.md");
    let blocks: Vec<&str> = page.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(blocks.len(), page.matches("\n## ").count(), "a block for each kind of machine");
    for block in blocks {
        let dir = tempfile::TempDir::new().unwrap();
        // The authority of a company, where an example names it.
        fs::write(dir.path().join("company-ca.pem"), include_str!("../../src/auth/authority_for_tests.pem")).unwrap();
        let profile = Profile::at(dir.path()).unwrap();
        let config = read(&profile, block);
        let advice = config.advice(&parts::surroundings(&config, &profile));
        // The file of this test is as the system makes files.
        let advice: Vec<_> = advice.into_iter().filter(|one| one.code != "config_writable").collect();
        assert_eq!(advice, [], "{block}");
        assert!(parts::unusable(&config, &profile).is_empty(), "{block}");
    }
}

#[test]
fn every_key_makes_a_difference() {
    let dir = tempfile::TempDir::new().unwrap();
    let profile = Profile::at(dir.path()).unwrap();
    for name in ["ca.pem", "authority.pem"] {
        fs::write(dir.path().join(name), include_str!("../../src/auth/authority_for_tests.pem")).unwrap();
    }
    let (plain, demo) = (objects(&read(&profile, ""), &profile), objects(&read(&profile, DEMO), &profile));
    for (key, text) in OTHERWISE {
        // What is needed beside it stands before it.
        let without = text.rsplit_once('\n').map_or(plain.clone(), |(before, _)| objects(&read(&profile, before), &profile));
        assert_ne!(objects(&read(&profile, text), &profile), without, "`{key}` changes nothing");
    }
    assert_ne!(demo, plain, "`demo` changes nothing");
    for (key, text) in &IN_A_DEMO[1..] {
        let (name, _) = text.split_once(" =").unwrap();
        let without: String = DEMO.lines().filter(|line| !line.starts_with(name)).map(|line| format!("{line}\n")).collect();
        assert_ne!(objects(&read(&profile, &format!("{without}{text}")), &profile), demo, "`{key}` changes nothing");
    }
    for (key, source, spelled) in IN_PLACE {
        assert!(source.contains(spelled), "`{key}` is handed on nowhere");
    }
    let tried = OTHERWISE.iter().chain(IN_A_DEMO).map(|(key, _)| *key).chain(IN_PLACE.iter().map(|(key, _, _)| *key));
    let mut tried: Vec<&str> = tried.collect();
    let mut documented: Vec<&str> = keys().into_iter().map(|key| key.name).collect();
    tried.sort_unstable();
    documented.sort_unstable();
    assert_eq!(tried, documented, "left: what is tried; right: what is documented");
}
