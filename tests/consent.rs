//! Consent: what destroys or reaches others is done after somebody has agreed, whatever the client can and cannot do.

use m365_cached_checks::support::{
    mcp::{ERAS, Era, Mcp},
    world::{ALEX, World},
};
use serde_json::{Value, json};

/// A client whose user can be asked.
fn asking(world: &World, era: Era) -> Mcp {
    Mcp::able(world.bins, &world.home, era, json!({"elicitation": {"form": {}}})).unwrap()
}

/// Calls in the older era and answers the question that comes; the question and the tool's result.
fn answered(client: &mut Mcp, tool: &str, arguments: &Value, answer: Value) -> (Value, Value) {
    let (id, line) = client.line("tools/call", json!({"name": tool, "arguments": arguments}));
    client.send(&line).unwrap();
    let question = client.message().unwrap();
    assert_eq!(question["method"], "elicitation/create", "{question}");
    client.send(&json!({"jsonrpc": "2.0", "id": question["id"], "result": answer}).to_string()).unwrap();
    (question, client.reply_to(id).unwrap()["result"].clone())
}

fn text(result: &Value) -> Value {
    serde_json::from_str(result["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{result}"))).unwrap()
}

fn accounts(client: &mut Mcp) -> usize {
    client.call("account_list", &json!({})).unwrap().json().unwrap()["accounts"].as_array().unwrap().len()
}

fn yes() -> Value {
    json!({"action": "accept", "content": {"agree": true}})
}

/// An event that tells somebody else.
fn meeting(account: &str) -> Value {
    json!({"account_id": account, "subject": "Stand-up", "start": "2027-06-08T09:00Z", "end": "2027-06-08T09:30Z",
           "attendees": "bea@contoso.example"})
}

#[test]
fn the_user_is_asked_by_a_client_of_the_older_era() {
    let world = World::start().unwrap();
    let mut client = asking(&world, Era::Legacy);
    let remove = json!({"account_id": ALEX});
    let (question, result) = answered(&mut client, "account_remove", &remove, json!({"action": "decline"}));
    let message = question["params"]["message"].as_str().unwrap();
    assert!(message.starts_with("Sign out of an account (account_remove, critical)?") && message.contains(ALEX), "{message}");
    assert_eq!((&result["isError"], &text(&result)["error"]["code"]), (&json!(true), &json!("declined")));
    let posts = world.control().stats().count("POST /me/events");
    let (_, result) = answered(&mut client, "calendar_create_event", &meeting(&world.ids[0]), json!({"action": "decline"}));
    assert_eq!((&text(&result)["error"]["code"], world.control().stats().count("POST /me/events")), (&json!("declined"), posts));
    let (_, result) = answered(&mut client, "calendar_create_event", &meeting(&world.ids[0]), yes());
    assert_eq!(text(&result)["subject"], "Stand-up", "{result}");
    assert_eq!(accounts(&mut client), 1);
    let (_, result) = answered(&mut client, "account_remove", &remove, yes());
    assert_eq!((&text(&result)["status"], accounts(&mut client)), (&json!("removed"), 0), "{result}");
}

#[test]
fn the_user_is_asked_by_a_client_of_the_modern_era() {
    let world = World::start().unwrap();
    let mut client = asking(&world, Era::Modern);
    let ask = |client: &mut Mcp, tool: &str, arguments: &Value, more: Value| {
        let mut params = json!({"name": tool, "arguments": arguments});
        params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        client.request("tools/call", params).unwrap()["result"].clone()
    };
    for (tool, arguments) in [("calendar_create_event", meeting(&world.ids[0])), ("account_remove", json!({"account_id": ALEX}))] {
        let asked = ask(&mut client, tool, &arguments, json!({}));
        assert_eq!(asked["resultType"], "input_required", "{asked}");
        let said = |answer: Value| json!({"inputResponses": {"agree": answer}, "requestState": asked["requestState"]});
        let declined = ask(&mut client, tool, &arguments, said(json!({"action": "decline"})));
        assert_eq!(text(&declined)["error"]["code"], "declined");
        let asked = ask(&mut client, tool, &arguments, json!({}));
        let more = json!({"inputResponses": {"agree": yes()}, "requestState": asked["requestState"]});
        let done = ask(&mut client, tool, &arguments, more);
        assert_eq!((&done["resultType"], &done["isError"]), (&json!("complete"), &json!(false)), "{done}");
    }
    assert_eq!(accounts(&mut client), 0);
}

#[test]
fn a_client_that_cannot_ask_gets_a_preview_and_how_to_agree() {
    for era in ERAS {
        let world = World::start().unwrap();
        let mut client = world.client(era).unwrap();
        let asked = client.call("calendar_create_event", &meeting(&world.ids[0])).unwrap().json().unwrap();
        assert_eq!((&asked["status"], &asked["preview"]["tool"]), (&json!("confirmation_required"), &json!("calendar_create_event")));
        assert!(asked["hint"].as_str().unwrap().contains("confirm_token"), "{asked}");
        let mut agreed = meeting(&world.ids[0]);
        agreed["confirm_token"] = asked["confirm_token"].clone();
        assert_eq!(client.call("calendar_create_event", &agreed).unwrap().json().unwrap()["subject"], "Stand-up");

        let refused = client.call("account_remove", &json!({"account_id": ALEX})).unwrap();
        let (code, _, hint) = refused.fault().unwrap();
        assert!(code == "confirmation_required" && hint.contains("confirm=true"), "{code} {hint}");
        assert_eq!(serde_json::from_str::<Value>(&refused.text).unwrap()["error"]["preview"]["risk"], "critical");
        assert_eq!(accounts(&mut client), 1);
        let gone = client.call("account_remove", &json!({"account_id": ALEX, "confirm": true})).unwrap().json().unwrap();
        assert_eq!((&gone["status"], accounts(&mut client)), (&json!("removed"), 0));
    }
}

#[test]
fn at_the_shell_yes_is_a_word_of_its_own() {
    let world = World::start().unwrap();
    let name = format!("account_id={ALEX}");
    let said = world.ctl(&["call", "account_remove", &name]).unwrap();
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(said.stderr.contains("Sign out of an account") && said.stderr.contains("--yes"), "{said:?}");
    let meeting = meeting(&world.ids[0]).to_string();
    let made = world.ctl_json(&["call", "calendar_create_event", &meeting, "--yes"]).unwrap();
    assert_eq!(made["subject"], "Stand-up");
    assert_eq!(world.ctl_json(&["call", "account_remove", &name, "--yes"]).unwrap()["status"], "removed");
    assert_eq!(world.ctl_json(&["accounts"]).unwrap()["accounts"], json!([]));
}
