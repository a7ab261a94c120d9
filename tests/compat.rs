//! `compat = "m365-mcp"`: a program written for the original finds its shapes, its words and its confirmations.

use m365_cached_checks::support::{
    mcp::{ERAS, Era, Mcp},
    world::{ALEX, World},
};
use serde_json::{Value, json};

fn like_the_original() -> World {
    let mut world = World::start().unwrap();
    world.stop_daemon().unwrap();
    let config = world.home.path().join("config.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("compat = \"m365-mcp\"\n{text}")).unwrap();
    world.start_daemon().unwrap();
    world
}

fn call(client: &mut Mcp, account: &str, tool: &str, more: Value) -> Value {
    let mut arguments = json!({"account_id": account});
    arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let answer = client.call(tool, &arguments).unwrap();
    assert!(!answer.is_error, "{tool}: {}", answer.text);
    serde_json::from_str(&answer.text).unwrap()
}

#[test]
fn lists_are_bare_and_say_in_each_item_where_they_come_from() {
    let world = like_the_original();
    let mut client = world.client(Era::Legacy).unwrap();
    for (tool, more, fetched) in [
        ("email_list", json!({"limit": 3}), "miss"),
        ("file_list", json!({}), "miss"),
        ("contact_list", json!({"limit": 3}), "fresh"),
        ("calendar_list_calendars", json!({}), "fresh"),
        ("search_emails", json!({"query": "a", "limit": 3}), "fresh"),
    ] {
        let list = call(&mut client, &world.ids[0], tool, more.clone());
        let item = &list.as_array().unwrap_or_else(|| panic!("{tool}: {list}"))[0];
        assert_eq!(item["_cache_status"], fetched, "{tool}: {item}");
        // From memory in both eras, and from the store.
        for era in ERAS {
            let again = call(&mut world.client(era).unwrap(), &world.ids[0], tool, more.clone());
            assert_eq!((&again[0]["_cache_status"], &again[0]["id"]), (&json!("fresh"), &item["id"]), "{tool}");
            assert!(again[0]["_cached_at"].is_string(), "{tool}");
        }
    }
    for (tool, more) in [
        ("calendar_list_events", json!({})),
        ("emailfolders_list", json!({})),
        ("emailrules_list", json!({})),
        ("search_contacts", json!({"query": "a"})),
        ("search_events", json!({"query": "a"})),
        ("search_files", json!({"query": "a"})),
    ] {
        let list = call(&mut client, &world.ids[0], tool, more);
        assert!(list.as_array().is_some_and(|items| !items.is_empty()), "{tool}: {list}");
    }
    // The original's default, which is twice ours.
    let (default, fifty) = (json!({"query": "the"}), json!({"query": "the", "limit": 50}));
    let found = call(&mut client, &world.ids[0], "search_emails", default);
    let as_many = call(&mut client, &world.ids[0], "search_emails", fifty);
    let many = |list: &Value| list.as_array().unwrap().len();
    assert!(many(&found) > 25 && many(&found) == many(&as_many), "{} and {}", many(&found), many(&as_many));
    let found = call(&mut client, &world.ids[0], "search_files", json!({"query": "a"}));
    assert_eq!(found[0].get("download_url"), Some(&Value::Null), "{}", found[0]);
    let both = call(&mut client, &world.ids[0], "search_unified", json!({"query": "a"}));
    assert!(both.as_object().unwrap().values().all(Value::is_array), "{both}");
    let tree = call(&mut client, &world.ids[0], "folder_get_tree", json!({}));
    assert_eq!((&tree["_cache_status"], tree.get("complete")), (&json!("miss"), None));
    let accounts: Value = serde_json::from_str(&client.call("account_list", &json!({})).unwrap().text).unwrap();
    assert_eq!(accounts[0]["username"], ALEX);
}

#[test]
fn it_asks_where_the_original_asked() {
    let world = like_the_original();
    let mut client = world.client(Era::Legacy).unwrap();
    let meeting =
        json!({"subject": "Stand-up", "start": "2027-06-08T09:00Z", "end": "2027-06-08T09:30Z", "attendees": "bea@contoso.example"});
    let made = call(&mut client, &world.ids[0], "calendar_create_event", meeting);
    assert_eq!(made["subject"], "Stand-up");
    let delete = json!({"account_id": world.ids[0], "event_id": made["id"]});
    assert_eq!(client.call("calendar_delete_event", &delete).unwrap().fault().unwrap().0, "confirmation_required");
    call(&mut client, &world.ids[0], "calendar_delete_event", json!({"event_id": made["id"], "confirm": true}));
}

/// Ours are by the clock of the owner (`times.rs`).
#[test]
fn times_are_graphs_in_reads_and_writes() {
    let world = like_the_original();
    let mut client = world.client(Era::Legacy).unwrap();
    let mut call = |tool: &str, more: Value| call(&mut client, &world.ids[0], tool, more);
    let utc = |time: &Value| assert!(time.as_str().unwrap().ends_with('Z'), "{time}");
    let message = call("email_list", json!({"limit": 1}))[0].clone();
    utc(&message["receivedDateTime"]);
    let written = call("email_mark_read", json!({"email_id": message["id"]}));
    assert_eq!(written["receivedDateTime"], message["receivedDateTime"]);
    utc(&call("file_list", json!({}))[0]["modified"]);
    utc(&call("folder_get_tree", json!({}))["folders"][0]["modified"]);
    utc(&call("folder_create", json!({"name": "As ever"}))["createdDateTime"]);
    let event = json!({"subject": "Stroll", "start": "2026-12-01T10:00:00", "end": "2026-12-01T11:00:00"});
    utc(&call("calendar_create_event", event)["createdDateTime"]);
}
