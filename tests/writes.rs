//! Writes: what one client changed no other client may see unchanged, whatever went wrong on the way.

use std::time::Duration;

use m365_cached_checks::support::{
    PATIENCE,
    mcp::{ERAS, Era},
    stopwatch,
    world::{ALEX, Setup, World},
};
use m365_cached_tenant::{At, Effect, Fault, Options, RetryAfter, Wait};
use serde_json::{Value, json};

const LIST: &str = "GET /me/mailFolders/{id}/messages";

fn inbox(account: &str) -> Value {
    json!({"account_id": account, "folder": "inbox", "limit": 20})
}

fn find<'a>(list: &'a Value, id: &str) -> Option<&'a Value> {
    list["messages"].as_array().unwrap().iter().find(|message| message["id"] == id)
}

#[test]
fn a_mark_read_is_seen_by_every_client_at_once() {
    let world = World::start().unwrap();
    let account = world.ids[0].clone();
    let mut writer = world.client(Era::Legacy).unwrap();
    let mut readers: Vec<_> = ERAS.map(|era| world.client(era).unwrap()).into();
    let message = writer.call("email_list", &inbox(&account)).unwrap().json().unwrap()["messages"][0].clone();
    let id = message["id"].as_str().unwrap();
    let mut is_read = message["isRead"].as_bool().unwrap();
    let get = json!({"account_id": account, "email_id": id});
    let folders = json!({"account_id": account});
    for _ in 0..4 {
        for reader in &mut readers {
            for (tool, arguments) in [("email_list", &inbox(&account)), ("email_get", &get), ("emailfolders_list", &folders)] {
                reader.call(tool, arguments).unwrap().json().unwrap();
            }
        }
        let unread = |client: &mut m365_cached_checks::support::mcp::Mcp| {
            let list = client.call("emailfolders_list", &folders).unwrap().json().unwrap();
            let all = list["folders"].as_array().unwrap().clone();
            all.iter().map(|folder| folder["unreadItemCount"].as_i64().unwrap()).sum::<i64>()
        };
        let before = unread(&mut writer);
        is_read = !is_read;
        writer.call("email_mark_read", &json!({"account_id": account, "email_id": id, "is_read": is_read})).unwrap().json().unwrap();
        for reader in &mut readers {
            let list = reader.call("email_list", &inbox(&account)).unwrap().json().unwrap();
            assert_eq!(find(&list, id).unwrap()["isRead"], is_read);
            let one = reader.call("email_get", &get).unwrap().json().unwrap();
            assert!(one.to_string().contains(&format!("\"isRead\":{is_read}")), "{one}");
        }
        assert_eq!(unread(&mut writer) - before, if is_read { -1 } else { 1 });
    }
}

#[test]
fn a_moved_message_is_gone_here_and_there_at_its_goal() {
    let world = World::start().unwrap();
    let account = world.ids[0].clone();
    let (mut one, mut two) = (world.client(Era::Legacy).unwrap(), world.client(Era::Modern).unwrap());
    let archive = json!({"account_id": account, "folder": "archive", "limit": 200});
    for client in [&mut one, &mut two] {
        client.call("email_list", &inbox(&account)).unwrap().json().unwrap();
        client.call("email_list", &archive).unwrap().json().unwrap();
    }
    let list = one.call("email_list", &inbox(&account)).unwrap().json().unwrap();
    let id = list["messages"][0]["id"].as_str().unwrap();
    let moved =
        one.call("email_move", &json!({"account_id": account, "email_id": id, "destination_folder": "archive"})).unwrap().json().unwrap();
    let new_id = moved["new_id"].as_str().unwrap();
    let here = two.call("email_list", &inbox(&account)).unwrap().json().unwrap();
    assert!(find(&here, id).is_none() && find(&here, new_id).is_none());
    let there = two.call("email_list", &archive).unwrap().json().unwrap();
    assert!(find(&there, new_id).is_some());
    // And back again, by the other client.
    let back =
        two.call("email_move", &json!({"account_id": account, "email_id": new_id, "destination_folder": "inbox"})).unwrap().json().unwrap();
    let here = one.call("email_list", &inbox(&account)).unwrap().json().unwrap();
    assert!(find(&here, back["new_id"].as_str().unwrap()).is_some());
}

/// The reply of a move is lost: it is not sent twice, the caller is told that nobody knows, and the old list is not served any more.
#[test]
fn a_lost_reply_is_told_and_the_truth_is_asked_for() {
    let world = World::start().unwrap();
    let account = world.ids[0].clone();
    let mut client = world.client(Era::Legacy).unwrap();
    let list = client.call("email_list", &inbox(&account)).unwrap().json().unwrap();
    let id = list["messages"][0]["id"].as_str().unwrap();
    let route = "/move";
    let fault = Fault { count: Some(1), ..Fault::always(route, Effect::Reset { at: At::After }) };
    world.control().fault(fault);
    let before = world.control().stats().count(route);
    let answer = client.call("email_move", &json!({"account_id": account, "email_id": id, "destination_folder": "archive"})).unwrap();
    let (code, message, _) = answer.fault().unwrap();
    assert_eq!(code, "outcome_unknown", "{message}");
    assert_eq!(world.control().stats().count(route) - before, 1, "a move is never sent twice");
    let asked = world.control().stats().count(LIST);
    let list = client.call("email_list", &inbox(&account)).unwrap().json().unwrap();
    assert!(find(&list, id).is_none(), "the old list was served after a write that may have taken effect");
    assert!(world.control().stats().count(LIST) > asked);
}

/// Somebody on the way, such as a proxy that wants a sign-in of its own, answers in Microsoft's place: that is no success.
#[test]
fn a_write_that_is_answered_with_a_redirect_is_not_told_as_done() {
    let world = World::start().unwrap();
    let account = world.ids[0].clone();
    let mut client = world.client(Era::Legacy).unwrap();
    let list = client.call("email_list", &inbox(&account)).unwrap().json().unwrap();
    let id = list["messages"][0]["id"].as_str().unwrap();
    let letter = json!({"account_id": account, "to": ALEX, "subject": "s", "body": "b", "confirm": true});
    for (route, tool, given) in [
        ("/move", "email_move", json!({"account_id": account, "email_id": id, "destination_folder": "archive"})),
        ("DELETE /me/messages/{id}", "email_delete", json!({"account_id": account, "email_id": id, "confirm": true})),
        ("sendMail", "email_send", letter),
    ] {
        world.control().fault(Fault::always(route, Effect::RedirectTo { to: "https://proxy.example/sign-in".into() }));
        let before = world.control().stats().count(route);
        let answer = client.call(tool, &given).unwrap();
        let (code, message, _) = answer.fault().unwrap();
        assert_eq!(code, "outcome_unknown", "{tool}: {message}");
        assert_eq!(world.control().stats().count(route) - before, 1, "{tool} is never sent twice");
        world.control().clear_faults(None);
    }
    let asked = world.control().stats().count(LIST);
    let list = client.call("email_list", &inbox(&account)).unwrap().json().unwrap();
    assert!(find(&list, id).is_some() && world.control().stats().count(LIST) > asked, "it is asked what became of them");
}

/// A folder is emptied in one `$batch`; one of its deletions is asked to wait, and the `$batch` that sends it again is refused. What was
/// deleted before is told, and is not shown any more.
#[test]
fn what_a_batch_did_before_it_was_refused_is_told_and_seen() {
    let world = World::start().unwrap();
    let account = world.ids[0].clone();
    let mut client = world.client(Era::Legacy).unwrap();
    let mut call = |tool: &str, mut given: Value| {
        given["account_id"] = account.clone().into();
        client.call(tool, &given).unwrap().json().unwrap_or_else(|error| panic!("{tool} {given}: {error}"))
    };
    let folder = call("emailfolders_create", json!({"display_name": "Emptied in part"}))["id"].clone();
    let inbox = call("email_list", json!({"folder": "inbox", "limit": 4}));
    for message in inbox["messages"].as_array().unwrap() {
        call("email_move", json!({"email_id": message["id"], "destination_folder": folder}));
    }
    let list = json!({"folder_id": folder});
    assert_eq!(call("email_list", list.clone())["messages"].as_array().unwrap().len(), 4);
    assert_eq!(call("email_list", list.clone())["_cache_status"], "fresh");
    let status = |status, code: &str, retry_after| Effect::Status { status, code: code.into(), message: None, retry_after };
    world.control().fault(Fault::once("DELETE /me/messages/{id}", status(429, "ApplicationThrottled", Some(RetryAfter::Seconds(0)))));
    let refused = status(403, "ErrorAccessDenied", None);
    world.control().fault(Fault { after: 1, ..Fault::once("POST /$batch", refused) });
    let emptied = call("emailfolders_empty", json!({"folder_id": folder, "confirm": true}));
    assert_eq!((&emptied["status"], &emptied["messages_deleted"], &emptied["failed_count"]), (&json!("partial"), &json!(3), &json!(1)));
    assert_eq!(emptied["failed"][0]["code"], "access_denied");
    let left = call("email_list", list);
    assert_eq!((left["_cache_status"].as_str(), left["messages"].as_array().unwrap().len()), (Some("miss"), 1), "{left}");
}

/// A list was fetched before a write and arrives after it: it may be given to who asked before, and never kept.
#[test]
fn a_slow_read_that_a_write_overtook_is_not_kept() {
    let world = World::start().unwrap();
    let account = world.ids[0].clone();
    let (mut slow, mut quick) = (world.client(Era::Legacy).unwrap(), world.client(Era::Legacy).unwrap());
    let seen = quick.call("email_list", &json!({"account_id": account, "folder": "inbox", "limit": 19})).unwrap().json().unwrap();
    let message = &seen["messages"][0];
    let (id, was) = (message["id"].as_str().unwrap(), message["isRead"].as_bool().unwrap());
    let hold = world.control().fault(Fault { count: Some(1), ..Fault::always(LIST, Effect::Hold { at: At::After }) });
    let (asked, line) = slow.line("tools/call", json!({"name": "email_list", "arguments": inbox(&account)}));
    slow.send(&line).unwrap();
    assert!(world.block_on(world.control().wait(&Wait { route: LIST.into(), concurrent: 1, ..Wait::default() })).reached);
    quick.call("email_mark_read", &json!({"account_id": account, "email_id": id, "is_read": !was})).unwrap().json().unwrap();
    // Asked after the write: it may not join the flight that began before it.
    let list = quick.call("email_list", &inbox(&account)).unwrap().json().unwrap();
    assert_eq!(find(&list, id).unwrap()["isRead"], !was);
    world.control().release(Some(hold));
    slow.reply_to(asked).unwrap();
    for client in [&mut slow, &mut quick] {
        let list = client.call("email_list", &inbox(&account)).unwrap().json().unwrap();
        assert_eq!(find(&list, id).unwrap()["isRead"], !was, "the overtaken list was kept");
    }
}

#[test]
fn a_write_that_graph_refuses_changes_nothing_and_says_why() {
    let world = World::start().unwrap();
    let account = world.ids[0].clone();
    let mut client = world.client(Era::Modern).unwrap();
    client.call("email_list", &inbox(&account)).unwrap().json().unwrap();
    let (code, ..) = client
        .call("email_move", &json!({"account_id": account, "email_id": "AAMkADoesNotExist=", "destination_folder": "archive"}))
        .unwrap()
        .fault()
        .unwrap();
    assert_ne!(code, "internal");
    assert_eq!(client.call("email_list", &inbox(&account)).unwrap().cache_status().unwrap(), "fresh");
}

/// Microsoft's search index follows a write only later. What it said meanwhile is kept by no daemon, not even by the next one.
#[test]
fn a_search_behind_a_write_is_not_kept_over_a_kill() {
    const LAG: Duration = Duration::from_secs(20);
    let tenant = Options { lag: LAG, ..Options::default() };
    let mut world = World::with(Setup { tenant, accounts: &[ALEX], stopped_clock: true, ..Setup::default() }).unwrap();
    let account = world.ids[0].clone();
    let search = |world: &World| {
        let mut client = world.client(Era::Legacy).unwrap();
        let answer = client.call("search_emails", &json!({"account_id": account, "query": "wrenlate"})).unwrap().json().unwrap();
        (answer["_cache_status"].as_str().unwrap().to_owned(), answer["messages"].as_array().unwrap().len())
    };
    assert_eq!(search(&world), ("miss".to_owned(), 0));
    assert_eq!(search(&world), ("fresh".to_owned(), 0));
    let draft = json!({"account_id": account, "to": ["a@b.example"], "subject": "wrenlate", "body": "b"});
    world.client(Era::Legacy).unwrap().call("email_create_draft", &draft).unwrap().json().unwrap();
    assert_eq!(search(&world), ("miss".to_owned(), 0), "the index is behind");
    world.kill_daemon().unwrap();
    world.start_daemon().unwrap();
    assert_eq!(search(&world), ("miss".to_owned(), 0), "and still is");
    world.advance(LAG + Duration::from_secs(1)).unwrap();
    assert_eq!(search(&world), ("miss".to_owned(), 1), "what the index said before was kept");
    // A minute after the write searches are kept again, as soon as the daemon has been woken by the clock.
    world.advance(Duration::from_secs(40)).unwrap();
    let deadline = stopwatch::now() + PATIENCE;
    let mut seen = search(&world);
    while seen.0 != "fresh" && stopwatch::now() < deadline {
        seen = search(&world);
    }
    assert_eq!(seen, ("fresh".to_owned(), 1));
}
