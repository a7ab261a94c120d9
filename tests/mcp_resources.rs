//! Resources, prompts and completion: read by address, answered as the tools answer, from the cache and without Graph where it holds.

use m365_cached_checks::support::{
    mcp::{ERAS, Era, Mcp},
    world::{ALEX, BEA, Setup, World},
};
use serde_json::{Value, json};

fn read(client: &mut Mcp, address: &str) -> Value {
    client.request("resources/read", json!({ "uri": address })).unwrap()
}

/// The one text of a resource.
fn text(reply: &Value) -> String {
    let contents = reply["result"]["contents"].as_array().unwrap_or_else(|| panic!("{reply}"));
    assert_eq!(contents.len(), 1, "{reply}");
    contents[0]["text"].as_str().unwrap_or_else(|| panic!("{reply}")).to_owned()
}

#[test]
fn every_account_has_its_mail_its_week_and_its_files_in_either_era() {
    let world = World::with(Setup { accounts: &[ALEX, BEA], ..Setup::default() }).unwrap();
    for era in ERAS {
        let mut client = world.client(era).unwrap();
        let listed = client.request("resources/list", json!({})).unwrap()["result"].clone();
        let uris: Vec<&str> = listed["resources"].as_array().unwrap().iter().map(|one| one["uri"].as_str().unwrap()).collect();
        let expected: Vec<String> =
            world.ids.iter().flat_map(|id| ["inbox", "calendar", "files"].map(|what| format!("m365://{id}/{what}"))).collect();
        let mut sorted = expected.clone();
        sorted.sort();
        let mut got: Vec<String> = uris.iter().map(|uri| (*uri).to_owned()).collect();
        got.sort();
        assert_eq!(got, sorted);
        if era == Era::Modern {
            assert_eq!((&listed["cacheScope"], listed["ttlMs"].as_u64().is_some()), (&json!("private"), true), "{listed}");
        }
        for uri in &expected {
            let answer: Value = serde_json::from_str(&text(&read(&mut client, uri))).unwrap();
            assert!(answer.as_object().unwrap().len() > 1, "{uri}");
        }
    }
}

#[test]
fn what_a_tool_has_read_is_read_again_without_graph() {
    let world = World::start().unwrap();
    let id = &world.ids[0];
    let mut client = world.client(Era::Modern).unwrap();
    let listed = client.call("email_list", &json!({ "account_id": id, "limit": 3 })).unwrap().json().unwrap();
    let message = listed["messages"][0]["id"].as_str().unwrap();
    let by_tool = client.call("email_get", &json!({ "account_id": id, "email_id": message })).unwrap().plain().unwrap();
    let before = world.control().stats().requests;
    // As a client fills in the template, with the username for the account.
    let address = format!("m365://{}/messages/{}", ALEX.replace('@', "%40"), message.replace('=', "%3D"));
    let reply = read(&mut client, &address);
    assert_eq!(reply["result"]["contents"][0]["uri"], address);
    let mut by_address: Value = serde_json::from_str(&text(&reply)).unwrap();
    by_address.as_object_mut().unwrap().retain(|name, _| !name.starts_with('_'));
    assert_eq!(by_address, by_tool);
    assert_eq!(world.control().stats().requests, before, "it was in the cache");
}

#[test]
fn what_is_not_there_is_said_in_the_words_of_the_era() {
    let world = World::start().unwrap();
    for (era, code) in [(Era::Legacy, -32002), (Era::Modern, -32602)] {
        let mut client = world.client(era).unwrap();
        for address in ["m365://nobody/inbox".to_owned(), "file:///etc/passwd".to_owned(), format!("m365://{}/messages/none", world.ids[0])]
        {
            let reply = read(&mut client, &address);
            assert_eq!((&reply["error"]["code"], &reply["error"]["data"]["uri"]), (&json!(code), &json!(address)), "{reply}");
        }
    }
}

#[test]
fn text_comes_as_text_and_bytes_only_when_they_are_asked_for() {
    let world = World::start().unwrap();
    let id = &world.ids[0];
    let mut client = world.client(Era::Legacy).unwrap();
    let given = world.home.path().join("downloads");
    std::fs::create_dir_all(&given).unwrap();
    std::fs::write(given.join("notes.txt"), "three words here").unwrap();
    std::fs::write(given.join("picture.png"), [137, 80, 78, 71, 0, 1]).unwrap();
    let mut upload = |name: &str| {
        let ask = json!({ "account_id": id, "onedrive_path": format!("/{name}"), "local_file_path": name });
        client.call("file_create", &ask).unwrap().json().unwrap()["id"].as_str().unwrap().to_owned()
    };
    let (notes, picture) = (upload("notes.txt"), upload("picture.png"));
    let file = |file: &str| format!("m365://{id}/files/{}", file.replace('!', "%21"));
    assert_eq!(text(&read(&mut client, &file(&notes))), "three words here");
    let about: Value = serde_json::from_str(&text(&read(&mut client, &file(&picture)))).unwrap();
    assert_eq!((&about["name"], &about["size"]), (&json!("picture.png"), &json!(6)), "{about}");
    assert!(about.to_string().len() < 600, "no bytes: {about}");
    // The call it names saves the file.
    let (tool, mut arguments) = (about["save_with"]["tool"].as_str().unwrap(), about["save_with"]["arguments"].clone());
    arguments["download_path"] = json!("again.png");
    client.call(tool, &arguments).unwrap().json().unwrap();
    assert_eq!(std::fs::read(given.join("again.png")).unwrap(), [137, 80, 78, 71, 0, 1]);
    let asked = read(&mut client, &format!("{}?encoding=base64", file(&picture)));
    assert_eq!(asked["result"]["contents"][0]["blob"], "iVBORwAB", "{asked}");
}

#[test]
fn a_prompt_holds_what_it_needs_and_asks_graph_once() {
    let world = World::start().unwrap();
    for era in ERAS {
        let mut client = world.client(era).unwrap();
        let listed = client.request("prompts/list", json!({})).unwrap();
        let names: Vec<&str> = listed["result"]["prompts"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["morning_brief", "catch_up", "thread_summary", "meeting_prep", "find"]);
        // One account is signed in, so it need not be named.
        let get = |client: &mut Mcp| client.request("prompts/get", json!({ "name": "morning_brief", "arguments": {} })).unwrap();
        let first = get(&mut client);
        let messages = first["result"]["messages"].as_array().unwrap_or_else(|| panic!("{first}"));
        assert_eq!(messages.len(), 3, "{first}");
        let before = world.control().stats().requests;
        assert_eq!(get(&mut client)["result"]["messages"].as_array().unwrap().len(), 3);
        assert_eq!(world.control().stats().requests, before, "the second one is the cache's");
        let missing = client.request("prompts/get", json!({ "name": "find", "arguments": {} })).unwrap();
        assert_eq!(missing["error"]["code"], -32602, "{missing}");
    }
}

#[test]
fn a_policy_holds_for_addresses_too() {
    let config = "[policy.default]\naccounts = [\"bea@contoso.example\"]\n";
    let world = World::with(Setup { accounts: &[ALEX, BEA], config, ..Setup::default() }).unwrap();
    let mut client = world.client(Era::Legacy).unwrap();
    let listed = client.request("resources/list", json!({})).unwrap().to_string();
    assert!(listed.contains(&world.ids[1]) && !listed.contains(&world.ids[0]) && !listed.contains(ALEX), "{listed}");
    for what in ["inbox", "files/x", "messages/x/attachments/y"] {
        let reply = read(&mut client, &format!("m365://{}/{what}", world.ids[0]));
        assert_eq!(reply["error"]["data"]["code"], "policy", "{what}: {reply}");
    }
    let ask = json!({ "ref": { "type": "ref/resource", "uri": "m365://{account}/inbox" }, "argument": { "name": "account", "value": "" } });
    let completed = client.request("completion/complete", ask).unwrap();
    assert_eq!(completed["result"]["completion"]["values"], json!([BEA]), "{completed}");
}

#[test]
fn completion_is_the_caches_and_asks_only_when_nothing_is_there() {
    let world = World::start().unwrap();
    let mut client = world.client(Era::Legacy).unwrap();
    let complete = |client: &mut Mcp, typed: &str| {
        let ask = json!({ "ref": { "type": "ref/prompt", "name": "find" }, "argument": { "name": "topic", "value": typed } });
        let reply = client.request("completion/complete", ask).unwrap();
        reply["result"]["completion"]["values"].as_array().unwrap_or_else(|| panic!("{reply}")).clone()
    };
    let all = complete(&mut client, "");
    assert!(!all.is_empty());
    let before = world.control().stats().requests;
    let some = complete(&mut client, "in");
    assert!(some.iter().any(|value| value == "Inbox"), "{some:?}");
    assert_eq!(world.control().stats().requests, before);
}
