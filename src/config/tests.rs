//! Tests of the configuration: layers, origins, refusals.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::hint::Hint;

const TOOLS: [&str; 4] = ["email_list", "email_get", "folder_get_tree", "contact_list"];

fn read(text: &str, environment: &[(&str, &str)], flags: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let flags: Vec<_> = flags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Config::read(&Sources { file: "config.toml", text: Some(text), environment: &environment, flags: &flags, tools: &TOOLS })
}

/// The settings of a file that stands alone.
pub(super) fn read_file(text: &str) -> Result<Config, String> {
    read(text, &[], &[]).map_err(|error| error.to_string())
}

fn refused(text: &str) -> String {
    match read(text, &[], &[]) {
        Ok(_) => panic!("accepted: {text}"),
        Err(error) => error.to_string(),
    }
}

/// As the demo tenant writes it.
const DEMO: &str = r#"demo = true
client_id = "5a1b2c3d-0000-4000-8000-00000000d3e0"
[cloud]
name = "demo"
identity = "http://127.0.0.1:4001"
graph = "https://localhost:4002"
downloads = ["127.0.0.1:4003"]
ca = "demo-ca.pem"
"#;

#[test]
fn a_full_file_is_read() {
    let config = read(
        r#"
client_id = "5A1B2C3D-0000-4000-8000-00000000D3E0"
tenant = "contoso.onmicrosoft.com"
[cloud]
name = "usgov"
[keys]
source = "file"
file = "/run/keys/m365"
rotate_every = "12h"
[cache]
enabled = false
hot_bytes = 1_000_000
[cache.accounts."Ada.L@contoso.example"]
enabled = false
[cache.tools.email_list]
enabled = true
fresh = 5
stale = 50
if_error = 500
[store]
backend = "memory"
memory_bytes = 1_048_576
[warming]
renewals_per_hour = 7
[warming.operations.folder_get_tree]
enabled = false
[warming.operations.email_list]
parameters = '{"limit": 20, "folder": "sent"}'
priority = 9
throttle_s = 1
[audit]
reads = false
keep = "30d"
[graph]
connect_timeout_s = 1
request_timeout_s = 2
call_deadline_s = 3
pool_idle_s = 4
keepalive_s = 5
http2 = false
concurrency = 2
[log]
filter = "debug"
format = "json"
[files]
allowed_roots = ["/srv/a", "/srv/b"]
download_max_mb = 9
idle_s = 8
deadline_s = 7
[worker]
count = 3
[daemon]
drain_s = 0
"#,
        &[],
        &[],
    )
    .unwrap();
    let seconds = Duration::from_secs;
    assert_eq!(config.client_id.as_deref(), Some("5a1b2c3d-0000-4000-8000-00000000d3e0"));
    assert_eq!(config.cloud, Cloud::named("usgov").unwrap());
    assert_eq!(
        config.keys,
        KeySettings { source: KeySource::File, file: Some("/run/keys/m365".into()), rotate_every: Some(seconds(12 * 3600)) }
    );
    assert_eq!(read("[keys]\nrotate_every = \"never\"", &[], &[]).unwrap().keys.rotate_every, None);
    for bad in ["90", "0d", "d", "59m", "9999d", "-1d", "18446744073709551615d"] {
        assert!(refused(&format!("[keys]\nrotate_every = \"{bad}\"")).contains("`90d`"), "{bad}");
    }
    assert!(!config.cache.enabled && config.cache.hot_bytes == 1_000_000);
    assert!(!config.cache.accounts["ada.l@contoso.example"]);
    assert_eq!(
        config.cache.tools["email_list"],
        ToolCache { enabled: Some(true), fresh: Some(seconds(5)), stale: Some(seconds(50)), if_error: Some(seconds(500)) }
    );
    assert_eq!(config.store, StoreSettings { backend: Backend::Memory, memory_bytes: 1 << 20 });
    assert_eq!(
        config.graph,
        GraphSettings {
            connect_timeout: seconds(1),
            request_timeout: seconds(2),
            call_deadline: seconds(3),
            pool_idle: seconds(4),
            keepalive: seconds(5),
            http2: false,
            concurrency: 2
        }
    );
    assert_eq!(config.audit, AuditSettings { reads: false, keep: Duration::from_secs(30 * 24 * 3600) });
    assert!(config.warming.enabled && config.warming.renewals == 7);
    assert!(!config.warming.operations["folder_get_tree"].enabled && config.warming.operations["contact_list"].enabled);
    let list = &config.warming.operations["email_list"];
    assert_eq!((list.parameters["limit"].as_i64(), list.priority, list.throttle), (Some(20), 9, seconds(1)));
    assert_eq!(config.log, LogSettings { filter: "debug".into(), format: LogFormat::Json });
    assert_eq!(
        config.files,
        FileSettings { allowed_roots: vec!["/srv/a".into(), "/srv/b".into()], download_max_mb: 9, idle: seconds(8), deadline: seconds(7) }
    );
    assert_eq!((config.workers, config.drain), (3, Duration::ZERO));
}

#[test]
fn the_originals_answers_are_given_on_demand() {
    assert!(!read("", &[], &[]).unwrap().compat);
    assert!(read("compat = \"m365-mcp\"", &[], &[]).unwrap().compat);
    assert!(read("", &[("M365_CACHED_COMPAT", "m365-mcp")], &[]).unwrap().compat);
    assert!(read("compat = \"other\"", &[], &[]).unwrap_err().to_string().contains("m365-mcp"));
}

#[cfg(unix)]
#[test]
fn names_of_the_original_are_read_below_ours_and_told() {
    let old = [
        ("M365_MCP_CLIENT_ID", "11111111-2222-3333-4444-555555555555"),
        ("M365_MCP_TENANT_ID", "contoso.example"),
        ("M365_MCP_CACHE_WARMING", "true"),
        ("MCP_FILE_ALLOWED_ROOTS", "/srv/a:/srv/b:"),
        ("MCP_FILE_DOWNLOAD_MAX_MB", "9"),
        ("MCP_FILE_DOWNLOAD_TIMEOUT", "8"),
        ("MCP_FILE_DOWNLOAD_CHUNK_SIZE", "65536"),
        ("M365_CACHED_FILES_IDLE_S", "5"),
    ];
    let config = read("[files]\ndownload_max_mb = 3", &old, &[]).unwrap();
    assert_eq!(config.files.allowed_roots, [PathBuf::from("/srv/a"), "/srv/b".into()]);
    assert_eq!((config.files.download_max_mb, config.files.idle), (9, Duration::from_secs(5)));
    assert_eq!(config.old_names.len(), 7);
    let signed = (config.client_id.as_deref(), config.tenant.as_deref());
    assert_eq!(signed, (Some("11111111-2222-3333-4444-555555555555"), Some("contoso.example")));
    let origin = |key: &str| config.explain().into_iter().find(|line| line.key == key).unwrap().origin.to_string();
    assert_eq!(origin("files.allowed_roots"), "environment, MCP_FILE_ALLOWED_ROOTS");
    let error = read("", &[("MCP_FILE_ALLOWED_ROOTS", "relative")], &[]).unwrap_err().to_string();
    assert!(error.contains("MCP_FILE_ALLOWED_ROOTS") && error.contains("absolute") && !error.contains("relative"), "{error}");
}

#[test]
fn nothing_given_is_the_default() {
    assert_eq!(read("", &[], &[]).unwrap(), Config::default());
    let none = Sources { file: "", text: None, environment: &BTreeMap::new(), flags: &[], tools: &[] };
    assert_eq!(Config::read(&none).unwrap(), Config::default());
}

#[test]
fn later_layers_win_and_origins_are_told() {
    let config = read(
        "[graph]\nhttp2 = false\nconcurrency = 1\n\n[log]\nfilter = \"warn\"\n[cache.tools.email_get]\nfresh = 7\n[cache.accounts.\"a@b.example\"]\nenabled = false",
        &[("M365_CACHED_GRAPH_CONCURRENCY", "2"), ("M365_CACHED_LOG_FILTER", "info"), ("M365_CACHED_DIR", "/x"), ("PATH", "/bin")],
        &[("log.filter", "debug"), ("cache.accounts.\"c@d.example\".enabled", "false")],
    )
    .unwrap();
    assert_eq!((config.graph.http2, config.graph.concurrency, config.log.filter.as_str()), (false, 2, "debug"));
    let lines: Vec<String> = config.explain().iter().map(|line| format!("{} = {}  # {}", line.key, line.value, line.origin)).collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn a_demo_profile_has_its_own_cloud() {
    let config = read(DEMO, &[], &[]).unwrap();
    assert!(config.demo);
    assert_eq!(config.cloud.name, "demo");
    assert_eq!(config.cloud.identity.as_str(), "http://127.0.0.1:4001/");
    assert_eq!(config.cloud.graph.as_str(), "https://localhost:4002/");
    assert_eq!(config.cloud.downloads, ["127.0.0.1:4003"]);
    assert_eq!(config.cloud_ca, Some("demo-ca.pem".into()));
}

#[test]
fn refusals_name_the_place_and_the_way_out() {
    let demo = |from: &str, to: &str| {
        assert!(DEMO.contains(from));
        DEMO.replace(from, to)
    };
    let cases = [
        "[grahp]\nhttp2 = true".to_owned(),
        "\n[graph]\nhtttp2 = true".into(),
        "[cache.tools.email_list]\nfrsh = 3".into(),
        "[cache.tools.email_lst]\nfresh = 3".into(),
        "[warming.operations.email_lst]\npriority = 3".into(),
        "[warming.operations.email_list]\npriority = 11".into(),
        "[warming.operations.email_list]\nparameters = \"limit=20\"".into(),
        "completely = \"different\"".into(),
        "[unheard_of]".into(),
        "graph = 3".into(),
        "demo = \"yes\"".into(),
        "[graph]\nconcurrency = 5".into(),
        "[graph]\nconnect_timeout_s = -1".into(),
        "[graph]\nconnect_timeout_s = 1.5".into(),
        "[log]\nformat = \"xml\"".into(),
        "client_id = \"my app\"".into(),
        "client_secret = \"hunter2\"".into(),
        "client_certificate = \"hunter2\"".into(),
        "[keys]\ncache_key = \"hunter2\"".into(),
        "tenant = \"../evil\"".into(),
        "[keys]\nsource = \"file\"".into(),
        "[keys]\nfile = \"c2VjcmV0\"".into(),
        "[cache.tools.email_list]\nfresh = 30\nstale = 20".into(),
        "demo = true\ndemo = true".into(),
        "[graph\n".into(),
        "name = hunter2".into(),
        "[cloud]\nname = \"mars\"".into(),
        "[cloud]\nname = \"demo\"".into(),
        "[cloud]\ngraph = \"https://graph.example/\"".into(),
        "[metrics]\nlisten = \"0.0.0.0:9464\"".into(),
        "[metrics]\nlisten = \"localhost:9464\"".into(),
        demo("demo = true\n", ""),
        demo("name = \"demo\"", "name = \"global\""),
        demo("http://127.0.0.1:4001", "https://login.microsoftonline.com"),
        demo("https://localhost:4002", "https://localhost.evil.example:4002"),
        demo("https://localhost:4002", "https://user@localhost:4002"),
        demo("127.0.0.1:4003", "files.example"),
        "demo = true".into(),
    ];
    let told: Vec<String> = cases.iter().map(|text| format!("{}\n=> {}", text.trim(), refused(text).replace('\n', "\n=> "))).collect();
    insta::assert_snapshot!(told.join("\n\n"));
    for told in cases.iter().map(|text| refused(text)) {
        assert!(!told.contains("hunter2") && !told.contains("c2VjcmV0"), "a value was repeated: {told}");
    }
}

#[test]
fn figures_are_served_on_loopback_or_not_at_all() {
    for good in ["127.0.0.1:9464", "127.9.9.9:1", "[::1]:9464"] {
        let config = read(&format!("[metrics]\nlisten = \"{good}\""), &[], &[]).unwrap();
        assert_eq!(config.metrics_listen.unwrap().to_string(), good);
    }
    for bad in ["127.0.0.1", "127.0.0.1:0", "0.0.0.0:9464", "[::]:9464", "192.168.1.2:9464", "[::ffff:127.0.0.1]:9464", ":9464"] {
        assert!(read(&format!("[metrics]\nlisten = \"{bad}\""), &[], &[]).is_err(), "{bad}");
    }
    assert_eq!(read("", &[("M365_CACHED_METRICS_LISTEN", "127.0.0.1:9")], &[]).unwrap().metrics_listen.unwrap().port(), 9);
}

#[test]
fn what_is_right_by_itself_can_be_read_of_a_broken_file() {
    let none = BTreeMap::new();
    let of = |text| {
        Config::legible(&Sources { file: "config.toml", text: Some(text), environment: &none, flags: &[], tools: &[] }).metrics_listen
    };
    assert_eq!(of("nonsense = 1\n[metrics]\nlisten = \"127.0.0.1:9464\"").unwrap().port(), 9464);
    assert_eq!((of("[metrics]\nlisten = \"0.0.0.0:9464\""), of("[metrics\nlisten = \"127.0.0.1:9464\"")), (None, None));
}

#[test]
fn variables_and_flags_are_checked_too() {
    let error = read(
        "",
        &[
            ("M365_CACHED_GRAPH_HTTP", "true"),
            ("M365_CACHED_DAEMON_DRAIN_S", "soon"),
            ("M365_CACHED_CLIENT_SECRET", "hunter2"),
            ("M365_CACHED_XYZZY_PLUGH_FOO_BAR", ""),
        ],
        &[("graph.htp2", "true"), ("demo", "maybe")],
    )
    .unwrap_err();
    assert_eq!(error.kind(), crate::hint::Kind::Config);
    insta::assert_snapshot!(error);
}

#[test]
fn no_two_keys_share_a_variable_and_every_default_passes_its_own_check() {
    let variables: Vec<String> = settings::all().filter_map(settings::Setting::variable).collect();
    assert_eq!(variables.iter().collect::<BTreeSet<_>>().len(), variables.len());
    assert!(variables.iter().all(|name| !RESERVED.contains(&name.as_str())));
    for line in Config::default().explain() {
        // Addresses may be given in a demo profile only.
        if !line.value.is_empty() && !["cloud.identity", "cloud.graph", "cloud.downloads"].contains(&line.key.as_str()) {
            let text = format!("{} = {}", line.key, line.value);
            let again = read(&text, &[], &[]).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(again.explain().iter().find(|other| other.key == line.key).unwrap().value, line.value);
        }
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in any::<String>(), key in any::<String>(), value in any::<String>()) {
        let name = format!("{VARIABLE_PREFIX}{key}");
        let _ = read(&text, &[(&name, &value)], &[(&key, &value)]);
    }

    #[test]
    fn near_misses_of_real_files_do_not_either(cut in any::<prop::sample::Index>(), byte in any::<char>()) {
        let mut letters: Vec<char> = DEMO.chars().collect();
        let at = cut.index(letters.len());
        letters[at] = byte;
        if let Err(error) = read(&letters.into_iter().collect::<String>(), &[], &[]) {
            prop_assert!(!error.problems.is_empty() && !error.to_string().is_empty());
        }
    }
}

#[test]
fn only_a_backend_there_is_with_some_room_is_taken() {
    assert!(refused("[store]\nbackend = \"memory\"\nmemory_bytes = 5").contains("from 1048576"));
    assert!(refused("[store]\nbackend = \"redis\"").contains("one of `sqlcipher`, `memory`"));
}
