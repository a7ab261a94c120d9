//! What a client is told without asking: changes of what it watches, progress of a call, and the end of one it gave up.

use std::time::Duration;

use m365_cached_checks::support::{
    PATIENCE,
    mcp::{ERAS, Era, Mcp},
    stopwatch,
    world::{ALEX, BEA, Setup, World},
};
use m365_cached_tenant::{At, Effect, Fault};
use serde_json::{Value, json};

const LIST: &str = "GET /me/mailFolders/{id}/messages";

/// The next message with this method.
fn until(client: &mut Mcp, method: &str) -> Value {
    loop {
        let message = client.message().unwrap();
        if message["method"] == method {
            return message;
        }
    }
}

fn meeting(account: &str) -> Value {
    json!({ "account_id": account, "subject": "Stand-up", "start": "2027-06-08T09:00Z", "end": "2027-06-08T09:30Z" })
}

#[test]
fn an_older_client_hears_of_what_it_watches() {
    let world = World::start().unwrap();
    let (mut watcher, mut writer) = (world.client(Era::Legacy).unwrap(), world.client(Era::Legacy).unwrap());
    let calendar = format!("m365://{}/calendar", world.ids[0]);
    assert_eq!(watcher.request("resources/subscribe", json!({ "uri": calendar })).unwrap()["result"], json!({}));
    let refused = watcher.request("resources/subscribe", json!({ "uri": "m365://nobody/inbox" })).unwrap();
    assert_eq!(refused["error"]["code"], -32002, "{refused}");
    writer.call("calendar_create_event", &meeting(&world.ids[0])).unwrap().json().unwrap();
    assert_eq!(until(&mut watcher, "notifications/resources/updated")["params"]["uri"], calendar);
    // Who is signed in changes the list.
    world.sign_in(BEA).unwrap();
    until(&mut watcher, "notifications/resources/list_changed");
    // No more after that: what comes next is the answer and not another update.
    watcher.request("resources/unsubscribe", json!({ "uri": calendar })).unwrap();
    writer.call("calendar_create_event", &meeting(&world.ids[0])).unwrap().json().unwrap();
    let (id, line) = watcher.line("ping", json!({}));
    watcher.send(&line).unwrap();
    assert_eq!(watcher.message().unwrap()["id"], id);
}

#[test]
fn an_older_client_watches_through_kills_of_the_daemon() {
    let mut world = World::start().unwrap();
    let (mut watcher, mut writer) = (world.client(Era::Legacy).unwrap(), world.client(Era::Legacy).unwrap());
    let account = world.ids[0].clone();
    let [calendar, inbox] = ["calendar", "inbox"].map(|thing| format!("m365://{account}/{thing}"));
    for uri in [&calendar, &inbox] {
        assert_eq!(watcher.request("resources/subscribe", json!({ "uri": uri })).unwrap()["result"], json!({}));
    }
    watcher.request("resources/unsubscribe", json!({ "uri": inbox })).unwrap();
    for _ in 0..2 {
        world.kill_daemon().unwrap();
        // The shim starts another one and asks it for the same; the client is told of new tools and of no second grant.
        let (asked, line) = watcher.line("tools/call", json!({ "name": "account_list", "arguments": {} }));
        watcher.send(&line).unwrap();
        let mut between = Vec::new();
        loop {
            let message = watcher.message().unwrap();
            if message["id"] == asked {
                break;
            }
            between.push(message["method"].clone());
        }
        assert!(between.iter().all(|method| *method == "notifications/tools/list_changed"), "{between:?}");
        let draft = json!({ "account_id": account, "to": [ALEX], "subject": "s", "body": "b" });
        writer.call("email_create_draft", &draft).unwrap().json().unwrap();
        writer.call("calendar_create_event", &meeting(&account)).unwrap().json().unwrap();
        let told = watcher.message().unwrap();
        assert_eq!((&told["method"], &told["params"]["uri"]), (&json!("notifications/resources/updated"), &json!(calendar)), "{told}");
    }
}

#[test]
fn a_modern_client_listens_through_a_restart_of_the_daemon() {
    let mut world = World::start().unwrap();
    let (mut listener, mut writer) = (world.client(Era::Modern).unwrap(), world.client(Era::Modern).unwrap());
    let account = world.ids[0].clone();
    let calendar = format!("m365://{account}/calendar");
    let filter =
        json!({ "notifications": { "resourcesListChanged": true, "promptsListChanged": true, "resourceSubscriptions": [calendar] } });
    let (id, line) = listener.line("subscriptions/listen", filter);
    listener.send(&line).unwrap();
    let first = listener.message().unwrap();
    assert_eq!(first["method"], "notifications/subscriptions/acknowledged", "{first}");
    assert_eq!(first["params"]["notifications"], json!({ "resourcesListChanged": true, "resourceSubscriptions": [calendar] }));
    let told = |listener: &mut Mcp, writer: &mut Mcp| {
        writer.call("calendar_create_event", &meeting(&account)).unwrap().json().unwrap();
        let told = listener.message().unwrap();
        let subscription = &told["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"];
        assert_eq!(
            (&told["method"], &told["params"]["uri"], subscription),
            (&json!("notifications/resources/updated"), &json!(calendar), &json!(id))
        );
    };
    told(&mut listener, &mut writer);
    let start = stopwatch::now();
    world.stop_daemon().unwrap();
    assert!(start.elapsed() < Duration::from_secs(5), "an open subscription does not hold the end up: {:?}", start.elapsed());
    // The shim starts another daemon and asks it for the same; the client sees nothing of it: no end, no second acknowledgement.
    let (asked, line) = listener.line("tools/call", json!({ "name": "account_list", "arguments": {} }));
    listener.send(&line).unwrap();
    assert_eq!(listener.message().unwrap()["id"], asked);
    told(&mut listener, &mut writer);
}

#[test]
fn a_long_call_tells_how_it_goes_when_that_was_asked_for() {
    let world = World::start().unwrap();
    for era in ERAS {
        let mut client = world.client(era).unwrap();
        let hold = world.control().fault(Fault::always(LIST, Effect::Hold { at: At::Before }));
        let ask = json!({ "account_id": world.ids[0], "force_refresh": true });
        let (id, line) = client.line("tools/call", json!({ "name": "email_list", "arguments": ask }));
        let mut request: Value = serde_json::from_str(&line).unwrap();
        request["params"]["_meta"]["progressToken"] = json!("how-far");
        client.send(&request.to_string()).unwrap();
        let mut numbers = Vec::new();
        loop {
            let message = client.message().unwrap();
            if numbers.len() == 1 {
                world.control().clear_faults(Some(hold));
                world.control().release(None);
            }
            if message["id"] == id {
                assert_eq!(message["result"]["isError"], false, "{message}");
                break;
            }
            assert_eq!((&message["method"], &message["params"]["progressToken"]), (&json!("notifications/progress"), &json!("how-far")));
            numbers.push(message["params"]["progress"].as_f64().unwrap());
        }
        assert!(numbers.len() >= 2 && numbers.windows(2).all(|two| two[0] < two[1]), "{numbers:?}");
    }
}

#[test]
fn a_cancelled_read_leaves_graph_alone() {
    let world = World::with(Setup { accounts: &[ALEX], ..Setup::default() }).unwrap();
    for (era, more) in ERAS.into_iter().zip([0, 4]) {
        let (mut client, mut other) = (world.client(era).unwrap(), world.client(era).unwrap());
        let running = || world.control().stats().concurrent(LIST);
        let begin = |client: &mut Mcp, limit: u64| {
            let ask = json!({ "account_id": world.ids[0], "limit": limit + more });
            let (id, line) = client.line("tools/call", json!({ "name": "email_list", "arguments": ask }));
            client.send(&line).unwrap();
            id
        };
        let wait = |until: u64| {
            let deadline = stopwatch::now() + PATIENCE;
            while running() != until {
                assert!(stopwatch::now() < deadline, "{} requests are under way instead of {until}", running());
            }
        };
        let cancel = |client: &mut Mcp, id: u64| {
            client
                .send(&json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": id } }).to_string())
                .unwrap();
        };
        let hold = world.control().fault(Fault::always(LIST, Effect::Hold { at: At::Before }));
        let id = begin(&mut client, 7);
        wait(1);
        cancel(&mut client, id);
        wait(0);
        // Two wait for one request: it goes on for the one who still does.
        let (first, second) = (begin(&mut client, 9), begin(&mut other, 9));
        wait(1);
        // Both have come to the daemon when it answers what was asked after them.
        other.call("account_list", &json!({})).unwrap();
        cancel(&mut client, first);
        client.call("account_list", &json!({})).unwrap();
        assert_eq!(running(), 1);
        world.control().clear_faults(Some(hold));
        world.control().release(None);
        assert_eq!(other.reply_to(second).unwrap()["result"]["isError"], false);
        // Nothing more is said of a cancelled call; the next answer is the next call's.
        let (id, line) = client.line("tools/call", json!({ "name": "account_list", "arguments": {} }));
        client.send(&line).unwrap();
        assert_eq!(client.message().unwrap()["id"], id);
    }
}
