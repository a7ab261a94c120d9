//! What the conformance suite calls by name is there only where it was asked for, and only in a demo profile.

use m365_cached_checks::support::{
    home::Home,
    mcp::{ERAS, Mcp},
    world::World,
};
use serde_json::{Value, json};

/// What a client is shown of fixtures: tools, resources, prompts, and whether logging is promised.
fn seen(client: &mut Mcp) -> usize {
    let mut seen = 0;
    for (method, list, name) in
        [("tools/list", "tools", "name"), ("resources/list", "resources", "uri"), ("prompts/list", "prompts", "name")]
    {
        let reply = client.request(method, json!({})).unwrap();
        let items = reply["result"][list].as_array().unwrap_or_else(|| panic!("{reply}")).clone();
        let fixture = |item: &&Value| item[name].as_str().is_some_and(|name| name.starts_with("test"));
        seen += items.iter().filter(fixture).count();
    }
    seen
}

#[test]
fn nobody_sees_them_who_did_not_ask() {
    let mut world = World::start().unwrap();
    for era in ERAS {
        let mut client = world.client(era).unwrap();
        assert_eq!(seen(&mut client), 0);
        let refused = client.request("tools/call", json!({ "name": "test_simple_text", "arguments": {} })).unwrap();
        assert_eq!(refused["error"]["code"], -32602, "{refused}");
        let missing = client.request("resources/read", json!({ "uri": "test://static-text" })).unwrap();
        assert!(missing["error"].is_object(), "{missing}");
    }
    world.stop_daemon().unwrap();
    world.words.push("--fixtures".into());
    world.start_daemon().unwrap();
    for era in ERAS {
        assert!(seen(&mut world.client(era).unwrap()) > 20);
    }
}

#[test]
fn only_a_demo_has_them() {
    let world = World::start().unwrap();
    let usual = Home::new(1).unwrap();
    let said = usual.refusal(world.bins, &["--fixtures"]).unwrap();
    assert!(said.contains("demo profiles only"), "{said}");
    assert!(!usual.database().exists());
}
