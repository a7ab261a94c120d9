//! Fences from outside: policies by client, limits and how they are told, strict consent at the shell, one id from the line to Microsoft.

use m365_cached_checks::support::{
    mcp::{Era, Mcp},
    world::{ALEX, BEA, Setup, World},
};
use serde_json::{Value, json};

const POLICIES: &str =
    "[policy.default]\nread_only = true\n[policy.writer]\nno_send = true\n[policy.Desk]\naccounts = [\"alex@contoso.example\"]\n";

fn named(world: &World, name: &str, words: &[&str]) -> Mcp {
    Mcp::named(world.bins, &world.home, name, words).unwrap()
}

fn code(client: &mut Mcp, tool: &str, arguments: &Value) -> String {
    let answer = client.call(tool, arguments).unwrap();
    if answer.is_error { answer.fault().unwrap().0 } else { "done".to_owned() }
}

fn draft(account: &str) -> Value {
    json!({"account_id": account, "to": "bea@contoso.example", "subject": "s", "body": "b"})
}

#[test]
fn each_client_is_kept_within_its_policy() {
    let world = World::with(Setup { accounts: &[ALEX, BEA], config: POLICIES, ..Setup::default() }).unwrap();
    let (alex, bea) = (world.ids[0].as_str(), world.ids[1].as_str());
    let list = |account: &str| json!({"account_id": account, "limit": 3});

    let mut anybody = named(&world, "some client", &[]);
    assert_eq!(code(&mut anybody, "email_list", &list(alex)), "done");
    assert_eq!(code(&mut anybody, "email_create_draft", &draft(alex)), "policy");
    let mut claims = named(&world, "cachectl", &[]);
    assert_eq!(code(&mut claims, "email_create_draft", &draft(alex)), "policy", "a name of ours is no way out");

    let mut writer = named(&world, "writer", &[]);
    assert_eq!(code(&mut writer, "email_create_draft", &draft(alex)), "done");
    let mut send = draft(alex);
    send["confirm"] = true.into();
    assert_eq!(code(&mut writer, "email_send", &send), "policy");
    assert_eq!(world.control().stats().count("POST /me/sendMail"), 0);

    // The launch line and the name hold together.
    let mut both = named(&world, "writer", &["--policy", "desk"]);
    assert_eq!(code(&mut both, "email_list", &list(alex)), "done");
    // What another client has in the cache is as closed as what it has not.
    assert_eq!(code(&mut writer, "email_list", &list(bea)), "done");
    assert_eq!((code(&mut both, "email_list", &list(bea)), code(&mut both, "email_list", &list(BEA))), ("policy".into(), "policy".into()));
    assert_eq!(code(&mut both, "email_send", &send), "policy");
    let seen = both.call("account_list", &json!({})).unwrap().text;
    assert!(seen.contains(ALEX) && !seen.contains(BEA), "{seen}");
    assert_eq!(code(&mut both, "cache_get_stats", &json!({})), "policy");

    let status = world.ctl_json(&["status"]).unwrap();
    let policy = |name: &str| {
        let clients = status["clients"].as_array().unwrap();
        clients
            .iter()
            .filter(|client| client["name"] == name)
            .map(|client| client["policy"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(policy("some client"), ["default: read-only"]);
    assert_eq!(policy("writer"), ["writer: no sending", "desk and writer: no sending, 1 account"]);
    // People at the shell are not kept from anything.
    let made = world.ctl_json(&["call", "email_create_draft", &draft(alex).to_string()]).unwrap();
    assert!(made["id"].is_string(), "{made}");
}

#[test]
fn a_launch_line_that_names_no_policy_does_nothing() {
    let mut world = World::with(Setup { accounts: &[ALEX], config: POLICIES, ..Setup::default() }).unwrap();
    world.expect_log("a client names a policy that is not configured");
    let refused = Mcp::named(world.bins, &world.home, "x", &["--policy", "dsek"]).unwrap_err().to_string();
    assert!(refused.contains("names the policy `dsek`"), "{refused}");
}

#[test]
fn limits_are_told_with_what_is_left_and_when_to_come_again() {
    let config = "[limits]\nreads_per_minute = 3\nframe_bytes = 70000\nconnections = 2\n";
    let world = World::with(Setup { accounts: &[ALEX], config, stopped_clock: true, rates: true, ..Setup::default() }).unwrap();
    let mut client = named(&world, "a", &[]);
    let list = json!({"account_id": world.ids[0]});
    (0..3).for_each(|_| assert_eq!(code(&mut client, "email_list", &list), "done"));
    let refused = client.call("email_list", &list).unwrap();
    let told: Value = serde_json::from_str(&refused.text).unwrap();
    let busy = &told["error"]["busy"];
    assert_eq!(
        (&told["error"]["code"], &busy["setting"], &busy["limit"], &busy["remaining"]),
        (&"busy".into(), &"limits.reads_per_minute".into(), &3.into(), &0.into()),
        "{told}"
    );
    // Where no tool is called, the error of the protocol carries the same.
    let listed = client.request("tools/list", json!({})).unwrap();
    let data = &listed["error"]["data"];
    assert_eq!((&listed["error"]["code"], &data["busy"], &data["code"]), (&json!(-32000), busy, &json!("busy")), "{listed}");
    let reset = busy["reset_s"].as_u64().unwrap();
    assert!((60..=61).contains(&reset), "{told}");
    // Another client has a rate of its own, and the shell another.
    assert_eq!(code(&mut named(&world, "b", &[]), "email_list", &list), "done");
    assert_eq!(world.ctl(&["call", "email_list", &list.to_string()]).unwrap().code, Some(0));
    world.advance(std::time::Duration::from_secs(reset)).unwrap();
    assert_eq!(code(&mut client, "email_list", &list), "done");

    // A line that is too long is answered by its own id, and the connection goes on.
    let (id, line) =
        client.line("tools/call", json!({"name": "search_emails", "arguments": {"account_id": world.ids[0], "query": "x".repeat(70_000)}}));
    client.send(&line).unwrap();
    let reply = client.reply_to(id).unwrap();
    assert!(reply["error"]["message"].as_str().unwrap().contains("may have 70000"), "{reply}");
    let expected = json!({"setting": "limits.frame_bytes", "limit": 70_000, "remaining": 0, "reset_s": 0});
    assert_eq!((&reply["error"]["data"]["busy"], &reply["error"]["data"]["code"]), (&expected, &json!("too_large")), "{reply}");
    let long = json!({"account_id": world.ids[0], "query": "x".repeat(70_000)}).to_string();
    let file = world.home.path().join("long.json");
    std::fs::write(&file, long).unwrap();
    assert_eq!(code(&mut client, "server_get_version", &json!({})), "done");
}

#[test]
fn there_are_no_more_clients_than_there_may_be() {
    let world = World::with(Setup { config: "[limits]\nconnections = 2\n", ..Setup::default() }).unwrap();
    let (_one, two) = (named(&world, "one", &[]), named(&world, "two", &[]));
    let refused = Mcp::named(world.bins, &world.home, "three", &[]).unwrap_err().to_string();
    assert!(refused.contains("limits.connections"), "{refused}");
    // People can still look, and a place that is free can be taken.
    drop(two);
    world.until(|status| status["clients"].as_array().is_some_and(|clients| clients.len() == 1)).unwrap();
    named(&world, "four", &[]);
}

#[test]
fn strict_consent_at_the_shell_is_asked_and_given_in_one_go() {
    let mut world = World::start().unwrap();
    world.stop_daemon().unwrap();
    world.words = vec!["--set".into(), "confirm=strict".into()];
    world.start_daemon().unwrap();
    let name = format!("account_id={ALEX}");
    let claimed = world.ctl(&["call", "account_remove", &name, "confirm=true"]).unwrap();
    assert_eq!(claimed.code, Some(2), "{claimed:?}");
    let mut client = world.client_of(Era::Legacy, "full").unwrap();
    let listed = client.request("tools/list", json!({})).unwrap();
    let tool = listed["result"]["tools"].as_array().unwrap().iter().find(|tool| tool["name"] == "account_remove").unwrap().clone();
    assert!(tool["inputSchema"]["properties"]["confirm_token"].is_object(), "{tool}");
    assert_eq!(world.ctl_json(&["call", "account_remove", &name, "--yes"]).unwrap()["status"], "removed");
}

#[test]
fn one_id_leads_from_the_line_to_microsoft() {
    let config = "[log]\nfilter = \"info,m365_cached=debug,m365_cached_daemon=debug,rmcp=error\"\nformat = \"json\"\n";
    let mut world = World::with(Setup { accounts: &[ALEX], config, ..Setup::default() }).unwrap();
    let mut client = world.client(Era::Legacy).unwrap();
    client.call("email_list", &json!({"account_id": world.ids[0]})).unwrap().json().unwrap();
    world.control().reset_stats();
    client.call("email_create_draft", &draft(&world.ids[0])).unwrap().json().unwrap();
    let asked = world.control().asked();
    let id = asked[0].headers["client-request-id"].as_str().unwrap().to_owned();
    let log = world.daemon().log().unwrap();
    let lines: Vec<Value> = log.lines().filter(|line| line.contains(&id)).map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |message: &str| lines.iter().filter(|line| line["message"].as_str().unwrap().contains(message)).count();
    assert!(of("Microsoft Graph answered") >= 1 && of("a call was answered") == 1, "{lines:#?}");
    let call = lines.iter().find(|line| line["message"] == "a call was answered").unwrap();
    assert_eq!((&call["tool"], &call["state"]), (&"email_create_draft".into(), &"done".into()));
    // The number of the line on its connection: greeting, greeted, list, draft.
    assert!(id.ends_with("0000000004"), "{id}");
    // The call before has another.
    let listed = log.lines().find(|line| line.contains("\"email_list\"")).unwrap();
    assert!(!listed.contains(&id));
}
