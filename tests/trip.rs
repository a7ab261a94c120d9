//! The whole trip of a call: shims, daemon, tenant. One fetch for many, nothing crossed, nothing lost at a restart.

use std::{collections::BTreeSet, sync::Barrier};

use m365_cached_checks::support::{
    mcp::{ERAS, Era, Mcp},
    process,
    world::{ALEX, BEA, Setup, World},
};
use m365_cached_tenant::{At, Effect, Fault, Wait};
use rustix::process::Signal;
use serde_json::{Value, json};

const LIST: &str = "GET /me/mailFolders/{id}/messages";

fn inbox(account: &str) -> Value {
    json!({"account_id": account, "folder": "inbox", "limit": 5})
}

#[test]
fn the_second_answer_is_the_first_one_without_graph() {
    let world = World::start().unwrap();
    let mut first = None;
    for era in ERAS {
        let mut client = world.client(era).unwrap();
        for (tool, arguments) in [
            ("email_list", inbox(&world.ids[0])),
            ("emailfolders_list", json!({"account_id": world.ids[0]})),
            ("file_list", json!({"account_id": world.ids[0]})),
            ("folder_get_tree", json!({"account_id": world.ids[0]})),
            ("contact_list", json!({"account_id": world.ids[0]})),
            ("calendar_list_events", json!({"account_id": world.ids[0], "days_ahead": 30})),
        ] {
            let asked = client.call(tool, &arguments).unwrap();
            let before = world.control().stats().requests;
            let again = client.call(tool, &arguments).unwrap();
            assert_eq!(again.plain().unwrap(), asked.plain().unwrap(), "{tool}");
            assert_eq!(again.cache_status().unwrap(), "fresh", "{tool}");
            assert_eq!(world.control().stats().requests, before, "{tool} asked Graph again");
        }
        let list = client.call("email_list", &inbox(&world.ids[0])).unwrap().plain().unwrap();
        assert_eq!(*first.get_or_insert(list.clone()), list, "both eras get the same");
    }
}

/// A hit is spliced by hand, everything else goes through the protocol library: nobody may be able to tell which it was.
#[test]
fn spliced_and_built_replies_are_the_same() {
    let world = World::start().unwrap();
    for era in ERAS {
        let mut client = world.client(era).unwrap();
        let arguments = json!({"account_id": world.ids[0], "folder": "inbox", "limit": if era == Era::Legacy { 3 } else { 4 }});
        let call = json!({"name": "email_list", "arguments": arguments});
        let built = client.request("tools/call", call.clone()).unwrap();
        let spliced = client.request("tools/call", call).unwrap();
        let (built, spliced) = (without_provenance(built), without_provenance(spliced));
        assert_eq!(built, spliced, "{era:?}");
    }
}

/// The reply with its text parsed, its id and the members about the cache taken out.
fn without_provenance(mut reply: Value) -> Value {
    let text: Value = serde_json::from_str(reply["result"]["content"][0]["text"].as_str().unwrap()).unwrap();
    let mut text = text.as_object().unwrap().clone();
    // The fence has a word of its own in each answer.
    text.retain(|name, _| !name.starts_with('_'));
    reply["result"]["content"][0]["text"] = json!(text);
    reply.as_object_mut().unwrap().remove("id").unwrap();
    reply
}

#[test]
fn many_equal_misses_are_one_fetch() {
    const CLIENTS: usize = 8;
    let world = World::start().unwrap();
    let mut clients: Vec<Mcp> = (0..CLIENTS).map(|nth| world.client(ERAS[nth % 2]).unwrap()).collect();
    let hold = world.control().fault(Fault::always(LIST, Effect::Hold { at: At::Before }));
    let before = world.control().stats().count(LIST);
    let call = json!({"name": "email_list", "arguments": inbox(&world.ids[0])});
    let mut asked = Vec::new();
    for client in &mut clients {
        let (id, line) = client.line("tools/call", call.clone());
        client.send(&line).unwrap();
        // The version is told by the daemon itself; when it is here, the call before it has arrived there.
        assert!(!client.call("server_get_version", &json!({})).unwrap().is_error);
        asked.push(id);
    }
    let held = world.block_on(world.control().wait(&Wait { route: LIST.into(), concurrent: 1, ..Wait::default() }));
    assert!(held.reached);
    world.control().release(Some(hold));
    let replies: Vec<Value> = clients.iter_mut().zip(asked).map(|(client, id)| client.reply_to(id).unwrap()).collect();
    let texts: BTreeSet<String> = replies
        .into_iter()
        .map(|reply| m365_cached_checks::support::answer::Answer::of_reply(&reply).unwrap().plain().unwrap().to_string())
        .collect();
    assert_eq!(texts.len(), 1, "all get the same answer");
    assert_eq!(world.control().stats().count(LIST) - before, 1, "one fetch for all");
    let stats = world.ctl_json(&["stats"]).unwrap();
    assert!(stats["coalesced"].as_u64().unwrap() >= 1, "{stats}");
}

#[test]
fn two_accounts_never_cross() {
    let world = World::with(Setup { accounts: &[ALEX, BEA], ..Setup::default() }).unwrap();
    let mut clients: Vec<Mcp> = (0..4).map(|_| world.client(Era::Legacy).unwrap()).collect();
    let start = Barrier::new(clients.len());
    let ids = &world.ids;
    let seen: Vec<BTreeSet<String>> = std::thread::scope(|scope| {
        let running: Vec<_> = clients
            .iter_mut()
            .enumerate()
            .map(|(nth, client)| {
                let start = &start;
                scope.spawn(move || {
                    start.wait();
                    let mut seen = BTreeSet::new();
                    for _ in 0..10 {
                        let list = client.call("email_list", &inbox(&ids[nth % 2])).unwrap().json().unwrap();
                        seen.extend(list["messages"].as_array().unwrap().iter().map(|message| message["id"].as_str().unwrap().to_owned()));
                    }
                    seen
                })
            })
            .collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(seen[0], seen[2]);
    assert_eq!(seen[1], seen[3]);
    assert!(seen[0].is_disjoint(&seen[1]), "one account was shown the other's mail");
    assert!(!seen[0].is_empty());
}

#[test]
fn a_restart_keeps_the_cache_and_the_clients() {
    let mut world = World::start().unwrap();
    for era in ERAS {
        let mut client = world.client(era).unwrap();
        let asked = client.call("email_list", &inbox(&world.ids[0])).unwrap();
        world.stop_daemon().unwrap();
        world.start_daemon().unwrap();
        let before = world.control().stats().requests;
        let again = client.call("email_list", &inbox(&world.ids[0])).unwrap();
        assert_eq!(again.plain().unwrap(), asked.plain().unwrap());
        assert_eq!(again.cache_status().unwrap(), "fresh");
        assert_eq!(world.control().stats().requests, before);
    }
}

#[test]
fn asked_for_anew_means_asked_for_anew() {
    let world = World::start().unwrap();
    let mut client = world.client(Era::Modern).unwrap();
    let mut arguments = inbox(&world.ids[0]);
    client.call("email_list", &arguments).unwrap().json().unwrap();
    let before = world.control().stats().count(LIST);
    arguments["force_refresh"] = json!(true);
    assert_eq!(client.call("email_list", &arguments).unwrap().cache_status().unwrap(), "miss");
    assert_eq!(world.control().stats().count(LIST), before + 1);
    arguments["force_refresh"] = json!(false);
    arguments["use_cache"] = json!(false);
    assert_eq!(client.call("email_list", &arguments).unwrap().cache_status().unwrap(), "bypass");
    assert_eq!(world.control().stats().count(LIST), before + 2);
}

#[test]
fn a_stopping_daemon_finishes_what_it_was_asked() {
    let mut world = World::start().unwrap();
    let mut client = world.client(Era::Legacy).unwrap();
    let hold = world.control().fault(Fault::always(LIST, Effect::Hold { at: At::Before }));
    let (id, line) = client.line("tools/call", json!({"name": "email_list", "arguments": inbox(&world.ids[0])}));
    client.send(&line).unwrap();
    assert!(world.block_on(world.control().wait(&Wait { route: LIST.into(), concurrent: 1, ..Wait::default() })).reached);
    world.daemon().signal(Signal::TERM).unwrap();
    world.control().release(Some(hold));
    let reply = client.reply_to(id).unwrap();
    assert!(reply["result"]["isError"] != true, "{reply}");
    assert!(world.daemon().wait().unwrap().success());
    assert_eq!(world.control().stats().count(LIST), 1, "asked once, not again after a reconnect");
}

#[test]
fn a_client_that_dies_in_the_middle_hurts_nobody() {
    let mut world = World::start().unwrap();
    let mut dying = world.client(Era::Legacy).unwrap();
    let mut other = world.client(Era::Legacy).unwrap();
    let hold = world.control().fault(Fault::always(LIST, Effect::Hold { at: At::Before }));
    let call = json!({"name": "email_list", "arguments": inbox(&world.ids[0])});
    let (_, line) = dying.line("tools/call", call.clone());
    dying.send(&line).unwrap();
    assert!(world.block_on(world.control().wait(&Wait { route: LIST.into(), concurrent: 1, ..Wait::default() })).reached);
    let (id, line) = other.line("tools/call", call);
    other.send(&line).unwrap();
    dying.signal(Signal::KILL).unwrap();
    dying.wait(m365_cached_checks::support::PATIENCE).unwrap();
    world.control().release(Some(hold));
    assert!(other.reply_to(id).unwrap()["result"]["isError"] != true);
    assert!(world.daemon().alive());
}

#[test]
fn many_shims_without_a_daemon_start_one() {
    let mut world = World::start().unwrap();
    world.stop_daemon().unwrap();
    let start = Barrier::new(20);
    let clients: Vec<Mcp> = std::thread::scope(|scope| {
        // Not the world itself: its daemon belongs to one thread.
        let (bins, home, start) = (world.bins, &world.home, &start);
        let running: Vec<_> = (0..20)
            .map(|nth| {
                scope.spawn(move || {
                    start.wait();
                    let mut client = Mcp::start(bins, home, ERAS[nth % 2]).unwrap();
                    assert!(!client.call("server_get_version", &json!({})).unwrap().is_error);
                    client
                })
            })
            .collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let name = world.bins.daemon.to_str().unwrap().to_owned();
    let daemons: Vec<_> =
        process::of_profile(world.home.path()).unwrap().into_iter().filter(|(_, command)| command.starts_with(&name)).collect();
    assert_eq!(daemons.len(), 1, "{daemons:?}");
    assert_eq!(clients.len(), 20);
}
