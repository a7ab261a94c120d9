//! `m365-cachectl reload` and SIGHUP: what needs no restart holds at once, for clients that are connected too; what is wrong changes nothing.
//! That every key takes effect when its row says is shown by `reload::tests` of the daemon.

use std::time::Duration;

use m365_cached_checks::support::{
    PATIENCE,
    mcp::{Era, Mcp},
    stopwatch,
    world::{ALEX, BEA, Setup, World},
};
use serde_json::{Value, json};

fn set(world: &World, key: &str, value: &str) -> Value {
    let changed = world.ctl_json(&["config", "set", key, value]).unwrap();
    assert_eq!(changed["takes"], "reload", "{changed}");
    changed
}

fn reloaded(world: &World) -> Vec<String> {
    let said = world.ctl_json(&["reload"]).unwrap();
    assert_eq!((&said["running"], &said["waiting"]), (&json!(true), &json!([])), "{said}");
    said["changed"].as_array().unwrap().iter().map(|one| one["key"].as_str().unwrap().to_owned()).collect()
}

fn take(world: &World, key: &str, value: &str) {
    set(world, key, value);
    assert_eq!(reloaded(world), [key]);
}

fn take_back(world: &World, key: &str) {
    world.ctl_json(&["config", "unset", key]).unwrap();
    assert_eq!(reloaded(world), [key]);
}

fn code(client: &mut Mcp, tool: &str, arguments: &Value) -> String {
    let answer = client.call(tool, arguments).unwrap();
    if answer.is_error { answer.fault().unwrap().0 } else { "done".to_owned() }
}

fn status(client: &mut Mcp, arguments: &Value) -> String {
    client.call("email_list", arguments).unwrap().cache_status().unwrap()
}

#[test]
fn what_is_kept_and_for_how_long() {
    let world = World::with(Setup { accounts: &[ALEX], stopped_clock: true, ..Setup::default() }).unwrap();
    let pid = world.ctl_json(&["status"]).unwrap()["pid"].clone();
    let mut client = world.client(Era::Legacy).unwrap();
    let list = json!({"account_id": ALEX, "limit": 4});
    assert_eq!((status(&mut client, &list), status(&mut client, &list)), ("miss".into(), "fresh".into()));
    take(&world, "cache.enabled", "false");
    assert_eq!(status(&mut client, &list), "bypass");
    assert_eq!(world.ctl_json(&["status"]).unwrap()["caching"], false);
    take_back(&world, "cache.enabled");
    assert_eq!(status(&mut client, &list), "fresh", "what was kept is still there");
    take(&world, "cache.tools.email_list.enabled", "false");
    assert_eq!(status(&mut client, &list), "bypass");
    take_back(&world, "cache.tools.email_list.enabled");
    take(&world, "cache.accounts.\"alex@contoso.example\".enabled", "false");
    assert_eq!(status(&mut client, &list), "bypass");
    take_back(&world, "cache.accounts.\"alex@contoso.example\".enabled");
    take(&world, "cache.tools.email_list.fresh", "0");
    world.advance(Duration::from_secs(1)).unwrap();
    assert_eq!(status(&mut client, &list), "stale");
    world.until_idle().unwrap();
    take_back(&world, "cache.tools.email_list.fresh");
    // Room and bookkeeping.
    take(&world, "cache.max_bytes", "8000001");
    assert_eq!(world.ctl_json(&["status"]).unwrap()["store"]["room"]["max_bytes"], 8_000_001);
    take(&world, "cache.exclude_folders", "inbox");
    let other = json!({"account_id": ALEX, "limit": 5});
    assert_eq!(client.call("email_list", &other).unwrap().cache_status().unwrap(), "bypass", "it is answered and not kept");
    assert_eq!(world.ctl_json(&["status"]).unwrap()["pid"], pid, "it is the same daemon");
}

#[test]
fn what_a_client_may_do_and_take() {
    let world = World::with(Setup { accounts: &[ALEX], ..Setup::limited() }).unwrap();
    let mut client = world.client(Era::Legacy).unwrap();
    let draft = json!({"account_id": ALEX, "to": "bea@contoso.example", "subject": "s", "body": "b"});
    let list = json!({"account_id": ALEX, "limit": 3});
    assert_eq!(code(&mut client, "email_create_draft", &draft), "done");
    // The client stays connected and is held to it, and `status` says so before it asks for anything.
    take(&world, "policy.default.read_only", "true");
    world.until(|status| status["clients"][0]["policy"] == "default: read-only").unwrap();
    assert_eq!(code(&mut client, "email_create_draft", &draft), "policy");
    assert_eq!(code(&mut client, "email_list", &list), "done");
    take_back(&world, "policy.default.read_only");
    assert_eq!(code(&mut client, "email_create_draft", &draft), "done");
    take(&world, "policy.default.accounts", "nobody@contoso.example");
    assert_eq!(code(&mut client, "email_list", &list), "policy");
    take_back(&world, "policy.default.accounts");

    take(&world, "limits.reads_per_minute", "1");
    assert_eq!((code(&mut client, "email_list", &list), code(&mut client, "email_list", &list)), ("busy".into(), "busy".into()));
    take_back(&world, "limits.reads_per_minute");
    assert_eq!(code(&mut client, "email_list", &list), "done");
    take(&world, "limits.frame_bytes", "65536");
    let long = json!({"account_id": ALEX, "to": "bea@contoso.example", "subject": "s", "body": "b".repeat(70_000)});
    let refused = client.request("tools/call", json!({"name": "email_create_draft", "arguments": long}));
    assert!(refused.is_err() || refused.as_ref().unwrap()["error"].to_string().contains("limits.frame_bytes"), "{refused:?}");
    take_back(&world, "limits.frame_bytes");
    take(&world, "limits.connections", "1");
    assert!(world.client(Era::Legacy).is_err(), "one is connected already");
    take_back(&world, "limits.connections");
    assert!(world.client(Era::Legacy).is_ok());

    let mut send = draft.clone();
    send["confirm"] = true.into();
    take(&world, "confirm", "strict");
    let asked = client.call("email_send", &send).unwrap();
    assert!(asked.text.contains("confirm_token"), "{}", asked.text);
    assert_eq!(world.control().stats().count("POST /me/sendMail"), 0, "a word is no token");
    take_back(&world, "confirm");
    assert_eq!(code(&mut client, "email_send", &send), "done");
}

/// Strict consent gives tools one more argument.
#[test]
fn clients_hear_that_the_tools_are_listed_otherwise() {
    let world = World::start().unwrap();
    let (mut older, mut modern) = (world.client(Era::Legacy).unwrap(), world.client(Era::Modern).unwrap());
    let (_, line) = modern.line("subscriptions/listen", json!({"notifications": {"toolsListChanged": true}}));
    modern.send(&line).unwrap();
    assert_eq!(modern.message().unwrap()["method"], "notifications/subscriptions/acknowledged");
    take(&world, "confirm", "strict");
    for client in [&mut older, &mut modern] {
        assert_eq!(client.message().unwrap()["method"], "notifications/tools/list_changed");
    }
    let listed = older.request("tools/list", json!({})).unwrap().to_string();
    assert!(listed.contains("confirm_token"));
}

/// Aliases and the default: for a client that is connected, and within the policy that names an alias.
#[test]
fn accounts_are_called_otherwise_at_once() {
    let config = "[accounts.\"alex@contoso.example\"]\nalias = \"home\"\n[policy.default]\naccounts = [\"desk\", \"home\"]\n";
    let mut world = World::with(Setup { accounts: &[ALEX, BEA], config, ..Setup::default() }).unwrap();
    let pid = world.ctl_json(&["status"]).unwrap()["pid"].clone();
    let mut client = world.client(Era::Legacy).unwrap();
    let list = |account: &str| json!({"account_id": account, "limit": 3});
    let first = |client: &mut Mcp, arguments: &Value| client.call("email_list", arguments).unwrap().json().unwrap()["messages"].clone();
    let alex = first(&mut client, &list("home"));
    assert_eq!(code(&mut client, "email_list", &list("desk")), "policy", "nobody is called so");
    assert_eq!(code(&mut client, "email_list", &list(BEA)), "policy");

    // The verb has the daemon read it; the policy that names the alias lets its account in.
    let said = world.ctl_json(&["accounts", "alias", BEA, "desk"]).unwrap();
    assert_eq!((&said["changed"], &said["taken"], &said["takes"]), (&json!(true), &json!(true), &json!("reload")), "{said}");
    let bea = first(&mut client, &list("desk"));
    assert!(bea != alex && bea == first(&mut client, &list(BEA)));

    // An alias goes over to another account: with it goes what the policy admits, and what is cached of each stays its own.
    world.ctl_json(&["accounts", "alias", BEA, "--unset"]).unwrap();
    world.ctl_json(&["accounts", "alias", ALEX, "desk"]).unwrap();
    assert_eq!(first(&mut client, &list("desk")), alex);
    assert_eq!(code(&mut client, "email_list", &list("home")), "policy", "it has one alias");
    assert_eq!(code(&mut client, "email_list", &list(BEA)), "policy");

    // The default, by the file and a hangup of the daemon; the client hears that the argument may be left out.
    assert_eq!(code(&mut client, "email_list", &json!({"limit": 3})), "missing_argument");
    set(&world, "accounts.default", "desk");
    world.daemon().signal(rustix::process::Signal::HUP).unwrap();
    assert_eq!(client.message().unwrap()["method"], "notifications/tools/list_changed");
    assert_eq!(first(&mut client, &json!({"limit": 3})), alex);
    let unset = world.ctl_json(&["accounts", "default", "--unset"]).unwrap();
    assert_eq!(unset["taken"], true, "{unset}");
    assert_eq!(client.message().unwrap()["method"], "notifications/tools/list_changed");
    assert_eq!(code(&mut client, "email_list", &json!({"limit": 3})), "missing_argument");
    assert_eq!(world.ctl_json(&["status"]).unwrap()["pid"], pid, "it is the same daemon");
}

/// A launch line that names a policy asks for bounds; they must not fall when the policy goes.
#[test]
fn a_policy_that_is_taken_away_leaves_its_clients_with_nothing() {
    let world = World::with(Setup { accounts: &[ALEX], config: "[policy.desk]\nno_send = true\n", ..Setup::default() }).unwrap();
    let mut client = Mcp::named(world.bins, &world.home, "some client", &["--policy", "desk"]).unwrap();
    let list = json!({"account_id": ALEX, "limit": 3});
    assert_eq!(code(&mut client, "email_list", &list), "done");
    take_back(&world, "policy.desk.no_send");
    assert_eq!(code(&mut client, "email_list", &list), "policy");
}

#[test]
fn what_is_logged_recorded_and_fetched_ahead() {
    let mut world =
        World::with(Setup { accounts: &[ALEX], warming: true, config: "[audit]\nreads = false\n", ..Setup::default() }).unwrap();
    let mut client = world.client(Era::Legacy).unwrap();
    let list = json!({"account_id": ALEX, "limit": 3});
    world.until_idle().unwrap();
    let debug = |world: &mut World| world.daemon().log().unwrap().matches("DEBUG").count();
    client.call("email_list", &list).unwrap().json().unwrap();
    assert_eq!(debug(&mut world), 0);
    take(&world, "log.filter", "debug");
    client.call("email_list", &list).unwrap().json().unwrap();
    assert!(debug(&mut world) > 0);
    take_back(&world, "log.filter");
    let told = debug(&mut world);
    client.call("email_list", &list).unwrap().json().unwrap();
    assert_eq!(debug(&mut world), told);

    let reads = |world: &World| world.ctl(&["audit", "--json", "--kind", "read"]).unwrap().stdout.lines().count();
    let before = reads(&world);
    take(&world, "audit.reads", "true");
    client.call("email_list", &json!({"account_id": ALEX, "limit": 7})).unwrap().json().unwrap();
    assert!(reads(&world) > before);

    assert_eq!(world.ctl_json(&["status"]).unwrap()["warming"]["enabled"], true);
    take(&world, "warming.enabled", "false");
    assert_eq!(world.ctl_json(&["status"]).unwrap()["warming"]["enabled"], false);
}

#[test]
fn what_is_wrong_changes_nothing_and_what_waits_is_named() {
    let mut world = World::start().unwrap();
    world.expect_log("the settings were not taken");
    world.home.configure("[cache]\nenabled = false\n[grahp]\nhttp2 = true\n").unwrap();
    let said = world.ctl(&["reload"]).unwrap();
    assert_eq!(said.code, Some(7), "{said:?}");
    assert!(said.stderr.contains("nothing was changed") && said.stderr.contains("graph.http2"), "{said:?}");
    assert_eq!(world.ctl_json(&["status"]).unwrap()["caching"], true);
    world.ctl(&["config", "unset", "grahp.http2"]).unwrap().ok().unwrap();
    let changed = world.ctl_json(&["config", "set", "graph.http2", "false"]).unwrap();
    assert_eq!(changed["takes"], "restart");
    let said = world.ctl_json(&["reload"]).unwrap();
    let expected = json!({
        "running": true,
        "changed": [{"key": "cache.enabled", "was": "true", "is": "false"}],
        "waiting": [{"key": "graph.http2", "was": "true", "is": "false"}],
    });
    assert_eq!(said, expected);
    let again = world.ctl_json(&["reload"]).unwrap();
    assert_eq!((again["changed"].as_array().unwrap().len(), again["waiting"].as_array().unwrap().len()), (0, 1), "it waits until it holds");
    world.stop_daemon().unwrap();
    let nobody = world.ctl_json(&["reload"]).unwrap();
    assert_eq!(nobody, json!({"running": false, "changed": [], "waiting": []}));
    world.start_daemon().unwrap();
    assert_eq!(world.ctl_json(&["reload"]).unwrap()["waiting"], json!([]));
}

#[test]
fn a_hangup_reloads_and_does_not_end_it() {
    let mut world = World::start().unwrap();
    world.expect_log("the settings were not taken");
    let pid = world.daemon().pid();
    world.home.configure("[cache]\nenabled = false\n").unwrap();
    world.daemon().signal(rustix::process::Signal::HUP).unwrap();
    let status = world.until(|status| status["caching"] == false).unwrap();
    assert_eq!(status["pid"], pid);
    world.home.configure("[grahp]\n").unwrap();
    world.daemon().signal(rustix::process::Signal::HUP).unwrap();
    let deadline = stopwatch::now() + PATIENCE;
    while !world.daemon().log().unwrap().contains("the settings were not taken") {
        assert!(stopwatch::now() < deadline, "{}", world.daemon().log().unwrap());
        world.ctl_json(&["status"]).unwrap();
    }
    assert!(world.daemon().alive());
}

#[test]
fn a_daemon_that_started_without_settings_needs_a_restart() {
    let mut world = World::start().unwrap();
    world.expect_log("");
    world.stop_daemon().unwrap();
    world.home.configure("[grahp]\nhttp2 = true\n").unwrap();
    world.start_daemon().unwrap();
    let said = world.ctl(&["--json", "reload"]).unwrap();
    assert_eq!((said.code, said.json().unwrap()["error"]["code"].as_str()), (Some(7), Some("not_reloadable")), "{said:?}");
}
