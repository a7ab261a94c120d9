//! Answers out of other lists, through a whole engine over a small mailbox.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{
    chance::SeededDice,
    clock::{Clock, ManualClock, Timestamp},
    engine::{
        Engine,
        testing::{self, Scripted, call, reply, run_queue},
    },
    graph::{GraphRequest, Method},
    store::{Ledger, Limits, Memory},
    tools::Reply,
};

struct World {
    engine: Arc<Engine>,
    graph: Arc<Scripted>,
    clock: Arc<ManualClock>,
    /// Messages in the folder.
    held: Arc<AtomicUsize>,
}

fn mailbox(request: &GraphRequest, held: usize) -> Value {
    let path = request.path.as_str();
    if request.method == Method::Patch {
        return json!({ "id": "m1", "isRead": true, "parentFolderId": "F" });
    }
    if path.starts_with("/me/mailFolders/inbox/messageRules") {
        return json!({ "value": (0..held).map(|at| json!({ "id": format!("r{at}"), "displayName": "r", "sequence": at })).collect::<Vec<_>>() });
    }
    let folder = |at: usize| json!({ "id": format!("f{at}"), "displayName": format!("{held} of \"{at}\""), "childFolderCount": 0 });
    if let Some(at) = path.strip_prefix("/me/mailFolders/f").and_then(|at| at.parse().ok()) {
        return folder(at);
    }
    let (from, top) = match path.split_once("?next=").and_then(|(_, rest)| rest.split_once(',')) {
        Some((from, top)) => (from.parse().unwrap(), top.parse().unwrap()),
        None => (0, request.query.iter().find(|(name, _)| *name == "$top").map_or(1000, |(_, top)| top.parse().unwrap())),
    };
    let to = (from + top).min(held);
    let one = |at: usize| match path.contains("messages") {
        true => json!({ "id": format!("m{at}"), "subject": "], complete", "parentFolderId": "F" }),
        false => folder(at),
    };
    let mut page = json!({ "value": (from..to).map(one).collect::<Vec<_>>(), "id": "F" });
    if to < held {
        page["@odata.nextLink"] = format!("{}?next={to},{top}", path.split('?').next().unwrap()).into();
    }
    page
}

impl World {
    async fn new(held: usize) -> Self {
        let held = Arc::new(AtomicUsize::new(held));
        let now = held.clone();
        let graph = Scripted::new(move |request| reply(mailbox(request, now.load(Relaxed))) as Result<Reply, _>);
        let clock = Arc::new(ManualClock::at(Timestamp(1_000_000_000)));
        let memory = Arc::new(Memory::new(Arc::new(SeededDice::new(3)), Limits::default()));
        memory.save_account(testing::account()).await.unwrap();
        let engine = testing::engine(memory.clone(), memory, graph.remote(), clock.clone(), Arc::new(SeededDice::new(7))).await;
        Self { engine, graph, clock, held }
    }

    async fn list(&self, args: Value) -> Value {
        call(&self.engine, "email_list", args).await.unwrap()
    }
}

/// What an answer says, without how it came about.
fn content(mut answer: Value) -> Value {
    let members = answer.as_object_mut().unwrap();
    for name in ["_cache_status", "_cached_at", "next_cursor", "_untrusted", "_end"] {
        members.remove(name);
    }
    answer
}

fn ids(answer: &Value) -> Vec<&str> {
    answer["messages"].as_array().unwrap().iter().map(|message| message["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_shorter_list_is_the_beginning_of_a_longer_one_and_as_old() {
    let world = World::new(7).await;
    let longer = world.list(json!({ "limit": 5 })).await;
    assert_eq!((ids(&longer).len(), world.graph.count()), (5, 1));
    world.clock.advance(Duration::from_secs(100));
    let shorter = world.list(json!({ "limit": 3 })).await;
    assert_eq!(world.graph.count(), 1, "nobody was asked");
    assert_eq!((ids(&shorter), &shorter["complete"]), (vec!["m0", "m1", "m2"], &json!(false)));
    assert_eq!((&shorter["_cache_status"], &shorter["_cached_at"]), (&json!("fresh"), &longer["_cached_at"]));
    let forced = world.list(json!({ "limit": 3, "use_cache": false })).await;
    assert_eq!(content(shorter), content(forced));
    assert_eq!(world.engine.stats().by_tool["email_list"].hits, 1);
    // One that wants more than there is of the longer one, of another question, or a newer one, is not held.
    assert_eq!(world.list(json!({ "limit": 6 })).await["_cache_status"], "miss");
    assert_eq!(world.list(json!({ "limit": 2, "include_body": false })).await["_cache_status"], "miss");
    world.clock.advance(Duration::from_secs(10));
    assert_eq!(world.list(json!({ "limit": 3, "max_age": 9 })).await["_cache_status"], "miss");
}

#[tokio::test]
async fn a_stale_one_is_served_and_the_longer_list_refreshed() {
    let world = World::new(7).await;
    world.list(json!({ "limit": 5 })).await;
    world.held.store(2, Relaxed);
    world.clock.advance(Duration::from_secs(121));
    let old = world.list(json!({ "limit": 3 })).await;
    assert_eq!((&old["_cache_status"], ids(&old).len()), (&json!("stale"), 3));
    run_queue(&world.engine).await;
    assert_eq!(world.graph.count(), 2);
    assert_eq!(world.graph.asked()[1].query.iter().find(|(name, _)| *name == "$top").unwrap().1, "5");
    let new = world.list(json!({ "limit": 3 })).await;
    assert_eq!((&new["_cache_status"], &new["complete"], ids(&new)), (&json!("fresh"), &json!(true), vec!["m0", "m1"]));
    // Complete, it answers more than was asked for, too.
    assert_eq!(content(world.list(json!({ "limit": 200 })).await), content(new));
    assert_eq!(world.graph.count(), 2);
    world.clock.advance(Duration::from_secs(601));
    assert_eq!(world.list(json!({ "limit": 3 })).await["_cache_status"], "miss", "too old to be served");
}

#[tokio::test]
async fn a_list_is_fetched_at_the_length_at_which_it_was_asked_for_lately() {
    let world = World::new(100).await;
    let tops = |world: &World| -> Vec<String> {
        let top = |request: &GraphRequest| request.query.iter().find(|(name, _)| *name == "$top").map(|(_, top)| top.to_string());
        world.graph.asked().iter().filter(|request| request.path.contains("messages")).filter_map(top).collect()
    };
    let long = world.list(json!({ "folder": "inbox", "limit": 25 })).await;
    world.clock.advance(Duration::from_secs(700));
    // Too old to be served: one request brings what both ask for.
    let short = world.list(json!({ "folder": "inbox", "limit": 5 })).await;
    assert_eq!((short["_cache_status"].as_str(), ids(&short)), (Some("miss"), ids(&long)[..5].to_vec()));
    let again = world.list(json!({ "folder": "inbox", "limit": 25 })).await;
    assert_eq!((again["_cache_status"].as_str(), ids(&again)), (Some("fresh"), ids(&long)));
    assert_eq!(tops(&world), ["25", "25"]);
    // A fetch that is asked for anew is the call's own.
    world.list(json!({ "folder": "inbox", "limit": 5, "force_refresh": true })).await;
    assert_eq!(tops(&world), ["25", "25", "5"]);
    // Its own answer is stale: what is refreshed for it is the longer one.
    world.clock.advance(Duration::from_secs(300));
    assert_eq!(world.list(json!({ "folder": "inbox", "limit": 5 })).await["_cache_status"], "stale");
    run_queue(&world.engine).await;
    assert_eq!(world.list(json!({ "folder": "inbox", "limit": 25 })).await["_cache_status"], "fresh");
    assert_eq!(tops(&world), ["25", "25", "5", "25"]);
    // Nobody has asked for that length for long.
    world.clock.advance(Duration::from_secs(16 * 60));
    assert_eq!(world.list(json!({ "folder": "inbox", "limit": 5 })).await["_cache_status"], "miss");
    assert_eq!(tops(&world).last().map(String::as_str), Some("5"));
}

#[tokio::test]
async fn a_list_of_more_than_one_request_is_not_fetched_for_a_short_one() {
    let world = World::new(200).await;
    world.list(json!({ "folder": "inbox", "limit": 120, "include_body": false })).await;
    world.clock.advance(Duration::from_secs(700));
    let before = world.graph.count();
    world.list(json!({ "folder": "inbox", "limit": 5, "include_body": false })).await;
    assert_eq!(world.graph.count(), before + 1);
}

#[tokio::test]
async fn a_refresh_asked_for_while_the_one_before_it_ends_asks_nobody() {
    let world = World::new(7).await;
    world.list(json!({ "limit": 5 })).await;
    world.clock.advance(Duration::from_secs(121));
    let Value::Object(given) = json!({ "account_id": testing::ACCOUNT, "limit": 5 }) else { unreachable!() };
    let call = world.engine.cached_read("email_list", &given).unwrap();
    let key = world.engine.key(&call).unwrap();
    // Both saw the old answer; the second is late.
    for _ in 0..2 {
        world.engine.enqueue_refresh(&call.args, &key, call.now);
        run_queue(&world.engine).await;
        assert_eq!(world.graph.count(), 2);
    }
    world.clock.advance(Duration::from_secs(121));
    world.engine.enqueue_refresh(&call.args, &key, world.clock.now());
    run_queue(&world.engine).await;
    assert_eq!(world.graph.count(), 3);
}

#[tokio::test]
async fn a_write_that_overtakes_the_longer_list_overtakes_all_it_holds() {
    let world = World::new(7).await;
    world.list(json!({ "limit": 5 })).await;
    let cut = world.list(json!({ "limit": 3 })).await;
    call(&world.engine, "email_mark_read", json!({ "email_id": "m1" })).await.unwrap();
    let before = world.graph.count();
    let error = call(&world.engine, "email_list", json!({ "limit": 3, "cursor": cut["next_cursor"] })).await.unwrap_err();
    assert_eq!(crate::hint::Hint::code(&error), "cursor_gone");
    assert_eq!(world.list(json!({ "limit": 3 })).await["_cache_status"], "miss");
    assert_eq!(world.graph.count(), before + 1);
}

#[tokio::test]
async fn a_cursor_into_a_list_outlives_its_refresh_and_goes_on_behind_it() {
    let world = World::new(7).await;
    world.list(json!({ "limit": 5 })).await;
    let cut = world.list(json!({ "limit": 3 })).await;
    let cursor = cut["next_cursor"].as_str().unwrap();
    // Refreshed, and something else by then; the refresh leaves its own cursor in a place of its own.
    world.clock.advance(Duration::from_secs(31));
    world.held.store(6, Relaxed);
    world.list(json!({ "limit": 5, "force_refresh": true })).await;
    let asked = world.graph.count();
    let second = world.list(json!({ "limit": 3, "cursor": cursor })).await;
    assert_eq!((ids(&second), &second["complete"], world.graph.count()), (vec!["m3", "m4"], &json!(false), asked));
    assert_eq!((&second["_cached_at"], &second["_cache_status"]), (&cut["_cached_at"], &json!("fresh")));
    // Behind the stored list it goes on with the cursor of that, in steps of the call's own limit.
    world.held.store(9, Relaxed);
    let third = world.list(json!({ "limit": 3, "cursor": second["next_cursor"] })).await;
    assert_eq!((ids(&third), &third["complete"]), (vec!["m5", "m6", "m7"], &json!(false)));
    let last = world.list(json!({ "limit": 3, "cursor": third["next_cursor"] })).await;
    assert_eq!((ids(&last), &last["complete"], last.get("next_cursor")), (vec!["m8"], &json!(true), None));
    // Out of memory, the list as it is now has other items: refused.
    world.engine.hot.clear();
    let gone = call(&world.engine, "email_list", json!({ "limit": 3, "cursor": cursor })).await.unwrap_err();
    assert_eq!(crate::hint::Hint::code(&gone), "cursor_gone");
}

#[tokio::test]
async fn one_folder_and_one_rule_are_found_in_their_lists() {
    let world = World::new(3).await;
    call(&world.engine, "emailfolders_list", json!({})).await.unwrap();
    let got = call(&world.engine, "emailfolders_get", json!({ "folder_id": "f1" })).await.unwrap();
    let fresh = call(&world.engine, "emailfolders_get", json!({ "folder_id": "f1", "use_cache": false })).await.unwrap();
    assert_eq!((&got["_cache_status"], content(got.clone())), (&json!("fresh"), content(fresh)));
    assert_eq!(world.graph.count(), 2);
    let unknown = call(&world.engine, "emailfolders_get", json!({ "folder_id": "f" })).await.unwrap();
    assert_eq!(unknown["_cache_status"], "miss", "no id that another begins with");

    call(&world.engine, "emailrules_list", json!({})).await.unwrap();
    let asked = world.graph.count();
    let rule = call(&world.engine, "emailrules_get", json!({ "rule_id": "r2" })).await.unwrap();
    assert_eq!((&rule["sequence"], world.graph.count()), (&json!(2), asked));
    world.clock.advance(Duration::from_secs(901));
    assert_eq!(call(&world.engine, "emailrules_get", json!({ "rule_id": "r2" })).await.unwrap()["_cache_status"], "stale");
    run_queue(&world.engine).await;
    assert_eq!(world.graph.count(), asked + 1);
    let of_list = world.graph.asked().last().unwrap().path.clone();
    assert!(of_list.ends_with("/messageRules"), "the list is refreshed: {of_list}");
    assert_eq!(call(&world.engine, "emailrules_get", json!({ "rule_id": "r0" })).await.unwrap()["_cache_status"], "fresh");
}

proptest! {
    #![proptest_config(crate::chance::cases(64))]

    /// Whatever was listed before, with whatever limits: each answer is what Microsoft would say at the time it claims, and reading it to its
    /// end shows every item once.
    #[test]
    fn answers_of_any_limits_are_those_of_fresh_calls(
        held in 0usize..12,
        calls in prop::collection::vec((1usize..12, 0u64..90, prop::option::of(0usize..12)), 1..14),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let world = World::new(held).await;
            let mut history = vec![(world.clock.now(), held)];
            for (limit, seconds, becomes) in calls {
                world.clock.advance(Duration::from_secs(seconds));
                if let Some(becomes) = becomes {
                    // At no moment of which there is an answer.
                    world.clock.advance(Duration::from_millis(1));
                    world.held.store(becomes, Relaxed);
                    history.push((world.clock.now(), becomes));
                    world.clock.advance(Duration::from_millis(1));
                }
                let mut answer = world.list(json!({ "limit": limit })).await;
                let at = answer["_cached_at"].as_str().unwrap().to_owned();
                let held = history.iter().rev().find(|(since, _)| since.rfc3339() <= at).unwrap().1;
                let all: Vec<String> = (0..held).map(|at| format!("m{at}")).collect();
                assert_eq!(ids(&answer), all[..limit.min(held)]);
                assert_eq!(answer["complete"], held <= limit);
                assert_eq!(answer.get("next_cursor").is_some(), held > limit);
                if held == history.last().unwrap().1 {
                    let mut seen: Vec<String> = ids(&answer).into_iter().map(str::to_owned).collect();
                    while let Some(cursor) = answer["next_cursor"].as_str() {
                        answer = world.list(json!({ "limit": limit, "cursor": cursor })).await;
                        assert!(ids(&answer).len() <= limit && !ids(&answer).is_empty());
                        seen.extend(ids(&answer).into_iter().map(str::to_owned));
                    }
                    assert_eq!((seen, &answer["complete"]), (all, &json!(true)));
                }
                run_queue(&world.engine).await;
            }
        });
    }
}
