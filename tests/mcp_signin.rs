//! A lost sign-in, as clients meet it: one prompt for an account however many clients there are, and tokens that last.

use std::time::Duration;

use m365_cached_checks::support::{
    mcp::{ERAS, Era, Mcp},
    tenant,
    world::{ALEX, Setup, World},
};
use m365_cached_tenant::{AuthAction, DeviceAction, Options};
use serde_json::{Value, json};

const CLIENTS: usize = 10;

/// A client that can put an address before its user.
fn showing(world: &World, era: Era) -> Mcp {
    Mcp::able(world.bins, &world.home, era, json!({ "elicitation": { "form": {}, "url": {} } })).unwrap()
}

/// A world in which Alex has to sign in again.
fn lost() -> World {
    let mut world = World::start().unwrap();
    world.expect_log("sign");
    lose(&world);
    world
}

fn lose(world: &World) {
    world.control().auth(ALEX, AuthAction::Revoke).unwrap();
    world.control().auth(ALEX, AuthAction::ExpireAccess).unwrap();
}

/// Opens the link as the user's browser would.
fn open(world: &World, url: &str) {
    let reply = world.block_on(async { tenant::http().unwrap().get(url).send().await.unwrap() });
    assert!(reply.status().is_success(), "{}", reply.status());
}

fn text(result: &Value) -> Value {
    serde_json::from_str(result["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{result}"))).unwrap()
}

fn ask(world: &World) -> Value {
    json!({ "name": "email_list", "arguments": { "account_id": world.ids[0] } })
}

#[test]
fn ten_clients_get_one_link_and_one_of_them_shows_it() {
    for era in ERAS {
        let world = lost();
        let mut clients: Vec<Mcp> = (0..CLIENTS).map(|_| showing(&world, era)).collect();
        let begun: Vec<u64> = clients
            .iter_mut()
            .map(|client| {
                let (id, line) = client.line("tools/call", ask(&world));
                client.send(&line).unwrap();
                id
            })
            .collect();
        let (mut links, mut shown) = (Vec::new(), None);
        for (at, (client, id)) in clients.iter_mut().zip(&begun).enumerate() {
            let message = client.message().unwrap();
            let link = if message["method"] == "elicitation/create" {
                assert_eq!(message["params"]["mode"], "url", "{message}");
                assert!(shown.replace((at, message["id"].clone(), Value::Null)).is_none(), "a second prompt");
                message["params"]["url"].clone()
            } else if message["result"]["resultType"] == "input_required" {
                let state = message["result"]["requestState"].clone();
                assert!(shown.replace((at, Value::Null, state)).is_none(), "a second prompt");
                message["result"]["inputRequests"]["sign_in"]["params"]["url"].clone()
            } else {
                assert_eq!((&message["id"], &message["result"]["isError"]), (&json!(id), &json!(true)), "{message}");
                let error = text(&message["result"])["error"].clone();
                assert_eq!(error["code"], "sign_in_required", "{error}");
                assert!(error["hint"].as_str().unwrap().contains("this link"), "{error}");
                error["sign_in"]["url"].clone()
            };
            links.push(link.as_str().unwrap().to_owned());
        }
        links.dedup();
        assert_eq!(links.len(), 1, "everybody gets the same link");
        let (at, question, state) = shown.expect("somebody shows it");
        // The user opens it and signs in; the client says only that it was opened.
        open(&world, &links[0]);
        let client = &mut clients[at];
        let result = if era == Era::Legacy {
            client.send(&json!({ "jsonrpc": "2.0", "id": question, "result": { "action": "accept" } }).to_string()).unwrap();
            client.reply_to(begun[at]).unwrap()["result"].clone()
        } else {
            let mut again = ask(&world);
            again["inputResponses"] = json!({ "sign_in": { "action": "accept" } });
            again["requestState"] = state;
            client.request("tools/call", again).unwrap()["result"].clone()
        };
        assert!(text(&result)["messages"].is_array(), "{result}");
        for client in &mut clients {
            client.call("email_list", &ask(&world)["arguments"]).unwrap().json().unwrap();
        }
    }
}

#[test]
fn a_client_that_can_show_nothing_gets_the_link_and_succeeds_on_its_next_call() {
    let world = lost();
    for era in ERAS {
        let mut client = world.client(era).unwrap();
        let refused = client.call("email_list", &ask(&world)["arguments"]).unwrap();
        let (code, _, _) = refused.fault().unwrap();
        assert_eq!(code, "sign_in_required");
        let link = serde_json::from_str::<Value>(&refused.text).unwrap()["error"]["sign_in"]["url"].as_str().unwrap().to_owned();
        open(&world, &link);
        // The daemon keeps the tokens by itself; whoever asks when it has done so succeeds.
        world.until(|status| status["accounts"][0]["state"] == "signed_in").unwrap();
        client.call("email_list", &json!({ "account_id": world.ids[0], "limit": 3 })).unwrap().json().unwrap();
        lose(&world);
    }
}

/// Where no browser can reach the daemon (a machine that is reached by SSH, a container), a code is entered elsewhere.
#[test]
fn where_the_settings_say_device_everybody_gets_one_code_and_succeeds_after_it() {
    let tenant = Options { device_interval: Duration::from_millis(1), ..Options::default() };
    let mut world = World::with(Setup { accounts: &[ALEX], tenant, ..Setup::default() }).unwrap();
    world.expect_log("sign");
    world.ctl_json(&["config", "set", "sign_in", "device"]).unwrap();
    world.ctl_json(&["reload"]).unwrap();
    // What is kept needs nobody to sign in.
    let ask = json!({ "account_id": world.ids[0], "limit": 3, "force_refresh": true });
    for era in ERAS {
        lose(&world);
        let mut clients = [world.client(era).unwrap(), world.client(era).unwrap()];
        let mut codes = Vec::new();
        for client in &mut clients {
            let refused = client.call("email_list", &ask).unwrap();
            let (code, _, hint) = refused.fault().unwrap();
            assert_eq!(code, "sign_in_required");
            let sign_in = serde_json::from_str::<Value>(&refused.text).unwrap()["error"]["sign_in"].clone();
            let (url, code) = (sign_in["url"].as_str().unwrap(), sign_in["code"].as_str().unwrap().to_owned());
            assert!(url.starts_with("http") && !url.contains("redirect_uri"), "{url}");
            assert!(hint.contains(&code) && hint.contains("anywhere"), "{hint}");
            codes.push(code);
        }
        assert_eq!(codes[0], codes[1], "everybody gets the same code");
        world.control().device(&codes[0], Some(ALEX), DeviceAction::Approve).unwrap();
        // The daemon asks for the tokens by itself.
        world.until(|status| status["accounts"][0]["state"] == "signed_in").unwrap();
        for client in &mut clients {
            client.call("email_list", &ask).unwrap().json().unwrap();
        }
    }
    assert_eq!(world.control().stats().tokens.get("device_code"), Some(&2), "one sign-in for each time it was lost");
}

/// A client that can show an address shows the code beside it, once, and its own call goes on.
#[test]
fn a_code_is_shown_by_a_client_that_can_and_its_call_goes_on() {
    let tenant = Options { device_interval: Duration::from_millis(1), ..Options::default() };
    let mut world = World::with(Setup { accounts: &[ALEX], tenant, ..Setup::default() }).unwrap();
    world.expect_log("sign");
    world.ctl_json(&["config", "set", "sign_in", "device"]).unwrap();
    world.ctl_json(&["reload"]).unwrap();
    lose(&world);
    let mut client = showing(&world, Era::Legacy);
    let (id, line) = client.line("tools/call", ask(&world));
    client.send(&line).unwrap();
    let shown = client.message().unwrap();
    assert_eq!((&shown["method"], &shown["params"]["mode"]), (&json!("elicitation/create"), &json!("url")), "{shown}");
    let message = shown["params"]["message"].as_str().unwrap();
    let code = message.split("the code ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
    world.control().device(code, Some(ALEX), DeviceAction::Approve).unwrap();
    client.send(&json!({ "jsonrpc": "2.0", "id": shown["id"], "result": { "action": "accept" } }).to_string()).unwrap();
    let result = client.reply_to(id).unwrap()["result"].clone();
    assert!(text(&result)["messages"].is_array(), "{result}");
}

/// Nobody has ever signed in: the first call gets the typed answer with the link, another one the same link, and the next call succeeds.
#[test]
fn where_nobody_has_ever_signed_in_every_call_gives_the_one_link() {
    for era in ERAS {
        let world = World::with(Setup::default()).unwrap();
        let (mut first, mut second) = (world.client(era).unwrap(), world.client(era).unwrap());
        // A model cannot name an account that there is none of, and one that guesses is told no other thing.
        let mut links: Vec<String> = [json!({ "limit": 3 }), json!({ "account_id": "me" })]
            .iter()
            .flat_map(|arguments| [first.call("email_list", arguments).unwrap(), second.call("email_list", arguments).unwrap()])
            .map(|refused| {
                let (code, message, hint) = refused.fault().unwrap();
                assert_eq!((code.as_str(), message.as_str()), ("sign_in_required", "nobody is signed in"));
                assert!(hint.contains("this link") && hint.contains("m365-cachectl login"), "{hint}");
                serde_json::from_str::<Value>(&refused.text).unwrap()["error"]["sign_in"]["url"].as_str().unwrap().to_owned()
            })
            .collect();
        links.dedup();
        assert_eq!(links.len(), 1, "everybody gets the same link");
        // Its page lets the user choose an account.
        open(&world, &format!("{}&login_hint=alex%40contoso.example", links[0]));
        let status = world.until(|status| status["accounts"][0]["state"] == "signed_in").unwrap();
        first.call("email_list", &json!({ "account_id": status["accounts"][0]["id"] })).unwrap().json().unwrap();
        let unknown = second.call("email_list", &json!({ "account_id": "me" })).unwrap();
        assert_eq!(unknown.fault().unwrap().0, "unknown_account");
    }
}

/// The same before a user whose client can show it: one prompt, and what was asked is answered once somebody has signed in.
#[test]
fn where_nobody_has_ever_signed_in_a_client_shows_the_link_and_goes_on() {
    for era in ERAS {
        let world = World::with(Setup::default()).unwrap();
        let mut client = showing(&world, era);
        let call = json!({ "name": "email_list", "arguments": { "account_id": ALEX } });
        let (id, line) = client.line("tools/call", call.clone());
        client.send(&line).unwrap();
        let message = client.message().unwrap();
        let shown =
            if era == Era::Legacy { message["params"].clone() } else { message["result"]["inputRequests"]["sign_in"]["params"].clone() };
        assert_eq!(shown["message"], "Sign in to Microsoft 365 in a browser on this machine.", "{message}");
        open(&world, &format!("{}&login_hint=alex%40contoso.example", shown["url"].as_str().unwrap()));
        let result = if era == Era::Legacy {
            client.send(&json!({ "jsonrpc": "2.0", "id": message["id"], "result": { "action": "accept" } }).to_string()).unwrap();
            client.reply_to(id).unwrap()["result"].clone()
        } else {
            let mut again = call;
            again["inputResponses"] = json!({ "sign_in": { "action": "accept" } });
            again["requestState"] = message["result"]["requestState"].clone();
            client.request("tools/call", again).unwrap()["result"].clone()
        };
        assert!(text(&result)["messages"].is_array(), "{result}");
    }
}

/// Without an application nobody can sign in: the hint says what comes first.
#[test]
fn without_an_application_the_hint_says_so() {
    let mut world = World::with(Setup::default()).unwrap();
    world.stop_daemon().unwrap();
    let file = world.home.path().join("config.toml");
    let settings = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, settings.lines().filter(|line| !line.starts_with("client_id")).collect::<Vec<_>>().join("\n")).unwrap();
    world.start_daemon().unwrap();
    let refused = world.client(Era::Legacy).unwrap().call("email_list", &json!({})).unwrap();
    let (code, _, hint) = refused.fault().unwrap();
    assert!(code == "sign_in_required" && hint.contains("m365-cachectl setup"), "{hint}");
}

/// A day of tokens that live for ten minutes, with a call every four: each is renewed in time, none is used twice.
#[test]
fn a_day_of_short_tokens_has_no_invalid_grant_of_our_own_making() {
    let world = World::with(Setup { accounts: &[], stopped_clock: true, ..Setup::default() }).unwrap();
    world.control().set_token_lifetime(Duration::from_secs(600));
    let id = world.sign_in(ALEX).unwrap();
    let mut clients: Vec<Mcp> = ERAS.into_iter().map(|era| world.client(era).unwrap()).collect();
    for step in 0..360 {
        world.advance(Duration::from_secs(240)).unwrap();
        let ask = json!({ "account_id": id, "limit": 2, "force_refresh": true });
        clients[step % 2].call("email_list", &ask).unwrap().json().unwrap_or_else(|error| panic!("after {step} steps: {error}"));
    }
    let stats = world.control().stats();
    assert_eq!(stats.refused.get("invalid_grant"), None, "{:?}", stats.refused);
    let renewed = stats.tokens.get("refresh_token").copied().unwrap_or(0);
    assert!((100..=360).contains(&renewed), "{renewed} renewals in a day of ten-minute tokens");
}
