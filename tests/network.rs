//! The way to Microsoft: a proxy that is really asked, a private authority that is really needed, and what is said when one of them is missing.

use std::{fs, os::unix::fs::PermissionsExt as _, time::Duration};

use m365_cached_checks::{
    campaign::doctor::first,
    support::{
        ctl,
        mcp::Era,
        proxy::ConnectProxy,
        world::{ALEX, Setup, World},
    },
};
use m365_cached_tenant::{ClockSetting, ClockStart, Options};
use serde_json::{Value, json};

/// `ada:hunter2`.
const BASIC: &str = "Basic YWRhOmh1bnRlcjI=";

/// A tenant over TLS, and a daemon that goes by `network`; nobody is signed in. The machine's time, unless the clock is to be moved.
fn world(network: &str, moved_clock: bool) -> World {
    let clock = if moved_clock { ClockStart::Fixed } else { ClockStart::Now };
    let tenant = Options { clock, ..Options::default() };
    let mut world = World::with(Setup { tls: true, stopped_clock: moved_clock, tenant, ..Setup::default() }).unwrap();
    world.stop_daemon().unwrap();
    // What a broken way leaves in the log is its own.
    world.expect_log("");
    world.home.configure(&format!("[network]\n{network}\n")).unwrap();
    world.start_daemon().unwrap();
    if moved_clock {
        // Time goes on, for pauses before another attempt take some, and moves when it is told.
        world.control().set_clock(&ClockSetting { run: true, ..ClockSetting::default() });
    }
    world
}

fn port(url: &str) -> String {
    url.split("://").nth(1).unwrap().trim_end_matches('/').to_owned()
}

/// `host:port` of the tenant's sign-in service, its Graph and its files, as the daemon's settings have them.
fn hosts(world: &World) -> [String; 3] {
    let get = |key: &str| world.ctl_json(&["config", "get", key]).unwrap()["value"].as_str().unwrap().replace(['"', '[', ']'], "");
    [port(&get("cloud.identity")), port(&get("cloud.graph")), get("cloud.downloads")]
}

fn keep_secret(world: &World, text: &str) -> String {
    let file = world.home.path().join("proxy-auth");
    fs::write(&file, text).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    format!("file:{}", file.display())
}

/// The exit code and the error of a sign-in that cannot begin; one that waits for somebody is no such thing.
fn refused_login(world: &World) -> (Option<i32>, Value) {
    let mut talk = ctl::start(world.bins, &world.home, &["--json", "login", "--device"]).unwrap();
    let event = talk.event().unwrap().unwrap();
    assert!(event["error"].is_object(), "{event}");
    (talk.finish(String::new()).unwrap().code, event["error"].clone())
}

#[test]
fn sign_in_graph_and_files_go_through_the_proxy() {
    let proxy = ConnectProxy::start(None).unwrap();
    let world = world(&format!("proxy = \"{}\"", proxy.url()), false);
    let [identity, graph, files] = hosts(&world);
    let account = world.sign_in(ALEX).unwrap();
    assert!(proxy.hosts().contains(&identity), "{:?}", proxy.hosts());
    let mut client = world.client(Era::Legacy).unwrap();
    client.call("email_list", &json!({"account_id": account, "limit": 3})).unwrap().json().unwrap();
    assert!(proxy.hosts().contains(&graph), "{:?}", proxy.hosts());

    fs::create_dir_all(world.home.path().join("downloads")).unwrap();
    fs::write(world.home.path().join("downloads/note.txt"), "the first").unwrap();
    let made = client.call("file_create", &json!({"account_id": account, "onedrive_path": "/note.txt", "local_file_path": "note.txt"}));
    let id = made.unwrap().json().unwrap()["id"].clone();
    let get = json!({"account_id": account, "file_id": id, "download_path": "got.txt"});
    let got = client.call("file_get", &get).unwrap().json().unwrap();
    assert_eq!(fs::read_to_string(got["path"].as_str().unwrap()).unwrap(), "the first");
    assert!(proxy.hosts().contains(&files), "{:?}", proxy.hosts());
    assert_eq!(proxy.others(), Vec::<String>::new(), "nothing was put into its hands to be read");

    let report = world.ctl_json(&["doctor"]).unwrap();
    let check = |name: &str| report["checks"].as_array().unwrap().iter().find(|check| check["check"] == name).unwrap().clone();
    assert!(check("proxy")["state"] == "ok" && check("proxy")["message"].as_str().unwrap().contains("network.proxy"), "{report:#}");
    assert_eq!((check("reach")["state"].as_str(), check("names")["state"].as_str()), (Some("ok"), Some("skipped")), "{report:#}");
}

#[test]
fn a_host_that_is_named_goes_past_the_proxy() {
    let proxy = ConnectProxy::start(None).unwrap();
    let world = world(&format!("proxy = \"{}\"\nno_proxy = [\"127.0.0.0/8\"]", proxy.url()), false);
    world.sign_in(ALEX).unwrap();
    assert_eq!(proxy.hosts(), Vec::<String>::new());
}

#[test]
fn without_its_authority_a_front_is_not_trusted_and_with_it_it_is() {
    let mut world = world("proxy = \"none\"", false);
    let file = world.home.path().join("config.toml");
    let named = fs::read_to_string(&file).unwrap();
    // Nobody's authority but the system's.
    fs::write(&file, named.replace("ca = \"demo-ca.pem\"\n", "")).unwrap();
    world.stop_daemon().unwrap();
    world.start_daemon().unwrap();
    let (code, fault) = refused_login(&world);
    assert_eq!((code, fault["code"].as_str()), (Some(4), Some("tls_not_trusted")), "{fault}");
    assert!(fault["hint"].as_str().unwrap().contains("network.ca"), "{fault}");
    let report = world.ctl(&["--json", "doctor"]).unwrap().json().unwrap();
    assert_eq!(first(&report), Some(("reach".into(), "tls_not_trusted".into())), "{report:#}");
    assert_eq!(world.control().stats().requests, 0, "nothing was asked of somebody who is not trusted");
    // Beside those of the system.
    let more = named.replace("ca = \"demo-ca.pem\"\n", "").replace("proxy = \"none\"", "ca = \"demo-ca.pem\"");
    fs::write(&file, more).unwrap();
    world.stop_daemon().unwrap();
    world.start_daemon().unwrap();
    world.sign_in(ALEX).unwrap();
    let report = world.ctl_json(&["doctor"]).unwrap();
    assert!(report["healthy"] == true && !report.to_string().contains("tls_not_trusted"), "{report:#}");
}

#[test]
fn a_file_of_authorities_that_is_none_is_told_at_once() {
    let mut world = world("ca = \"company.pem\"", false);
    for (text, code) in [
        (None, "ca_unreadable"),
        (Some(""), "ca_unusable"),
        (Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), "ca_unusable"),
    ] {
        world.stop_daemon().unwrap();
        let _ = fs::remove_file(world.home.path().join("company.pem"));
        if let Some(text) = text {
            fs::write(world.home.path().join("company.pem"), text).unwrap();
        }
        world.start_daemon().unwrap();
        let status = world.ctl(&["--json", "status"]).unwrap();
        assert_eq!((status.code, status.json().unwrap()["locked"]["code"].as_str()), (Some(7), Some(code)), "{status:?}");
        let check = world.ctl(&["--json", "config", "check"]).unwrap();
        assert!(check.code == Some(7) && check.stdout.contains("company.pem"), "{check:?}");
        assert_eq!(first(&world.ctl(&["--json", "doctor"]).unwrap().json().unwrap()), Some(("configuration".into(), code.into())));
    }
}

#[test]
fn a_proxy_is_given_its_password_and_nobody_else_is() {
    let proxy = ConnectProxy::start(Some(BASIC)).unwrap();
    let mut world = world(&format!("proxy = \"{}\"", proxy.url()), false);
    let (code, fault) = refused_login(&world);
    assert_eq!((code, fault["code"].as_str()), (Some(4), Some("proxy_auth_required")), "{fault}");
    assert!(
        fault["message"].as_str().unwrap().contains("407") && fault["hint"].as_str().unwrap().contains("network.proxy_auth"),
        "{fault}"
    );
    let report = world.ctl(&["--json", "doctor"]).unwrap().json().unwrap();
    assert_eq!(first(&report), Some(("reach".into(), "proxy_auth_required".into())), "{report:#}");
    assert!(proxy.refused() > 0 && proxy.hosts().is_empty());

    let place = keep_secret(&world, "ada:hunter2\n");
    for literal in ["ada:hunter2", "hunter2"] {
        let said = world.ctl(&["config", "set", "network.proxy_auth", literal]).unwrap();
        assert!(said.code == Some(2) && !said.stderr.contains("hunter2"), "{said:?}");
    }
    world.ctl(&["config", "set", "network.proxy_auth", &place]).unwrap().ok().unwrap();
    world.stop_daemon().unwrap();
    world.words.extend(["--log".to_owned(), "trace".to_owned()]);
    world.start_daemon().unwrap();
    let account = world.sign_in(ALEX).unwrap();
    world.client(Era::Legacy).unwrap().call("email_list", &json!({"account_id": account})).unwrap().json().unwrap();
    assert!(!proxy.hosts().is_empty());
    let bundle = world.home.path().join("report.zip");
    world.ctl(&["doctor", "--bundle", bundle.to_str().unwrap()]).unwrap().ok().unwrap();
    let shown = world.ctl(&["config", "show"]).unwrap().stdout;
    let log = world.daemon().log().unwrap();
    for secret in ["hunter2", "YWRhOmh1bnRlcjI"] {
        assert!(!log.contains(secret) && !shown.contains(secret), "{secret} is shown");
    }

    // Another one than the proxy's: the same error, and still nothing of it is shown.
    keep_secret(&world, "ada:hunter3");
    world.stop_daemon().unwrap();
    world.start_daemon().unwrap();
    let fault = world.client(Era::Legacy).unwrap().call("contact_list", &json!({"account_id": account})).unwrap().fault().unwrap();
    assert_eq!(fault.0, "proxy_auth_required", "{fault:?}");
    assert!(!world.daemon().log().unwrap().contains("hunter3"));
    // Others may read it.
    fs::set_permissions(world.home.path().join("proxy-auth"), fs::Permissions::from_mode(0o644)).unwrap();
    world.stop_daemon().unwrap();
    world.start_daemon().unwrap();
    let status = world.ctl(&["--json", "status"]).unwrap();
    assert_eq!((status.code, status.json().unwrap()["locked"]["code"].as_str()), (Some(7), Some("insecure_secret_file")), "{status:?}");
}

#[test]
fn while_the_proxy_is_gone_the_last_answers_are_served_with_their_age() {
    let mut proxy = ConnectProxy::start(None).unwrap();
    let world = world(&format!("proxy = \"{}\"", proxy.url()), true);
    let account = world.sign_in(ALEX).unwrap();
    let list = json!({"account_id": account, "limit": 4});
    let mut client = world.client(Era::Legacy).unwrap();
    let first_answer = client.call("email_list", &list).unwrap();
    assert_eq!(first_answer.cache_status().unwrap(), "miss");
    proxy.stop();
    // Graph cannot be reached.
    let forced = client.call("email_list", &json!({"account_id": account, "limit": 4, "force_refresh": true})).unwrap();
    assert_eq!(forced.cache_status().unwrap(), "stale_if_error", "{}", forced.text);
    // Nor the sign-in service, for a new token. Past its stale time, not past what stands in.
    world.advance(Duration::from_secs(24 * 3600)).unwrap();
    let asked = |world: &World| world.control().stats().requests;
    let before = asked(&world);
    let answer = client.call("email_list", &list).unwrap();
    assert_eq!(answer.cache_status().unwrap(), "stale_if_error", "{}", answer.text);
    let told = answer.json().unwrap();
    assert_eq!(told["_cached_at"], first_answer.json().unwrap()["_cached_at"], "it says how old it is");
    assert!(told["_warning"].as_str().unwrap().contains("proxy"), "{told}");
    let fault = client.call("contact_list", &json!({"account_id": account})).unwrap().fault().unwrap();
    assert!(fault.0 == "proxy_unreachable" && fault.2.contains("network.proxy"), "{fault:?}");
    assert_eq!(asked(&world), before, "nobody was asked past it");
    let report = world.ctl(&["--json", "doctor"]).unwrap();
    assert_eq!((report.code, first(&report.json().unwrap())), (Some(4), Some(("proxy".into(), "proxy_unreachable".into()))));
    proxy.start_again().unwrap();
    // The breaker tries again by itself.
    world.advance(Duration::from_secs(120)).unwrap();
    let again = client.call("email_list", &list).unwrap();
    assert_ne!(again.cache_status().unwrap(), "stale_if_error", "{}", again.text);
}

#[test]
fn the_systems_proxy_is_not_for_a_demo_and_one_that_is_named_is_never_left_out() {
    let mut world = world("", false);
    world.stop_daemon().unwrap();
    world.home.variables.push(("HTTPS_PROXY".into(), "http://127.0.0.1:1".into()));
    world.start_daemon().unwrap();
    world.sign_in(ALEX).unwrap();
    let elsewhere = world.ctl(&["config", "set", "network.proxy", "http://proxy.example:8080"]).unwrap();
    assert!(elsewhere.code == Some(2) && elsewhere.stderr.contains("loopback"), "{elsewhere:?}");
    let plain = World::with(Setup::default()).unwrap();
    let read_by_it = plain.ctl(&["config", "set", "network.proxy", "http://127.0.0.1:8080"]).unwrap();
    assert!(read_by_it.code == Some(2) && read_by_it.stderr.contains("HTTPS"), "{read_by_it:?}");
}
