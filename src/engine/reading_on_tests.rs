//! Cursors, `max_age` and `mailbox`, through a whole engine over a small mailbox.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::{CallError, Engine, Remote, testing};
use crate::{
    auth::testing::{until, within},
    cache::{Scope, Service, SourceId, Touch, Touched},
    chance::SeededDice,
    clock::{ManualClock, Timestamp},
    graph::{GraphRequest, Method},
    hint::Hint,
    ids::{AccountId, Caller, PERSONAL_TENANT},
    store::{AccountRow, Ledger, Limits, Memory},
    tools::{Files, Page, Reply, StepError, Steps},
};

/// Seven messages in one folder, in pages of `$top`; one shared mailbox under two addresses.
#[derive(Default)]
struct Graph {
    /// As many messages does a search of the mailbox find.
    found: AtomicUsize,
    asked: Mutex<Vec<(String, Option<String>)>>,
    /// What the next answer waits for.
    slow: Mutex<Option<oneshot::Receiver<()>>>,
}

impl Graph {
    fn body(&self, request: &GraphRequest) -> Result<Value, StepError> {
        let path = request.path.as_str();
        if request.method == Method::Patch {
            return Ok(json!({ "id": "m1", "isRead": true, "parentFolderId": "F" }));
        }
        if let Some(address) = path.strip_prefix("/users/").filter(|rest| !rest.contains('/')) {
            return match address {
                "team%40contoso.example" | "alias%40contoso.example" => Ok(json!({ "id": "TEAM" })),
                _ => Err(StepError { status: Some(404), never_sent: false, ..StepError::user("not_found", "no", "no") }),
            };
        }
        let hits = || json!({ "value": [{ "hitsContainers": [{ "hits": [], "moreResultsAvailable": false }] }] });
        match path {
            "/search/query" => return Ok(hits()),
            "/me/mailboxSettings/timeZone" => return Ok(json!({ "value": "UTC" })),
            "/me/drive" => return Ok(json!({ "id": "D" })),
            _ => {}
        }
        let option = |name: &str| request.query.iter().find(|(given, _)| *given == name).and_then(|(_, value)| value.parse::<usize>().ok());
        let (from, top) = match path.split_once("?next=") {
            Some((_, rest)) => rest.split_once(',').map(|(from, top)| (from.parse().unwrap(), top.parse().unwrap())).unwrap(),
            None => (0, option("$top").unwrap()),
        };
        let of = if path.starts_with("/me/messages") { self.found.load(Ordering::Relaxed) } else { 7 };
        let to = (from + top).min(of);
        let items: Vec<Value> = (from..to).map(|at| json!({ "id": format!("m{at}"), "parentFolderId": "F" })).collect();
        let base = path.split('?').next().unwrap();
        Ok(if to < of { json!({ "value": items, "next": format!("{base}?next={to},{top}") }) } else { json!({ "value": items }) })
    }
}

struct Way(Arc<Graph>, Option<String>, Timestamp);

#[async_trait]
impl Steps for Way {
    async fn send(&self, request: GraphRequest) -> Result<Reply, StepError> {
        self.0.asked.lock().unwrap().push((request.path.clone(), self.1.clone()));
        let slow = self.0.slow.lock().unwrap().take();
        if let Some(slow) = slow {
            slow.await.unwrap();
        }
        self.0.body(&request).map(|body| Reply { status: 200, body, etag: None, location: None })
    }
    async fn pages(&self, request: GraphRequest, enough: &(dyn for<'a> Fn(&'a [Value]) -> bool + Send + Sync)) -> Result<Page, StepError> {
        assert!(
            request.path.starts_with("/me/messages") || request.prefer.iter().any(|prefer| prefer.contains("text")),
            "preferences go with every page"
        );
        let (mut request, mut items) = (request, Vec::new());
        loop {
            let body = self.send(request.clone()).await?.body;
            items.extend(body["value"].as_array().unwrap().iter().cloned());
            let next = body["next"].as_str().map(str::to_owned);
            match next {
                Some(next) if !enough(&items) => request = GraphRequest { prefer: request.prefer, ..GraphRequest::get_path(next) },
                next => return Ok(Page { items, before: 0, next, delta: None }),
            }
        }
    }
    async fn batch(&self, _requests: Vec<GraphRequest>) -> Result<Vec<Result<Reply, StepError>>, StepError> {
        Ok(Vec::new())
    }
    fn files(&self) -> &dyn Files {
        unreachable!("no tool of this test moves files")
    }
    fn now(&self) -> Timestamp {
        self.2
    }
    fn personal(&self) -> bool {
        false
    }
}

struct Ways(Arc<Graph>);

impl Remote for Ways {
    fn steps(&self, _: &AccountRow, mailbox: Option<&str>, _: &crate::graph::Hurry, _: Timestamp, now: Timestamp) -> Box<dyn Steps> {
        Box::new(Way(self.0.clone(), mailbox.map(str::to_owned), now))
    }
}

struct World {
    engine: Arc<Engine>,
    graph: Arc<Graph>,
    clock: Arc<ManualClock>,
}

impl World {
    async fn new() -> Self {
        let (clock, graph, memory) = (
            Arc::new(ManualClock::at(Timestamp(1_000_000_000))),
            Arc::new(Graph::default()),
            Arc::new(Memory::new(Arc::new(SeededDice::new(3)), Limits::default())),
        );
        memory.save_account(testing::account()).await.unwrap();
        let personal = AccountRow {
            id: AccountId::new("p.p"),
            username: "p@outlook.example".into(),
            tenant_id: PERSONAL_TENANT.into(),
            ..testing::account()
        };
        memory.save_account(personal).await.unwrap();
        let engine =
            testing::engine(memory.clone(), memory, Arc::new(Ways(graph.clone())), clock.clone(), Arc::new(SeededDice::new(7))).await;
        Self { engine, graph, clock }
    }

    async fn call(&self, tool: &str, mut args: Value) -> Result<Value, CallError> {
        if args["account_id"].is_null() {
            args["account_id"] = testing::ACCOUNT.into();
        }
        let answer = self.engine.call(&Caller::default(), tool, args.as_object().unwrap()).await?;
        Ok(serde_json::from_str(&answer.text()).unwrap())
    }

    fn asked(&self) -> Vec<(String, Option<String>)> {
        std::mem::take(&mut self.graph.asked.lock().unwrap())
    }
}

fn ids(answer: &Value) -> Vec<String> {
    answer["messages"].as_array().unwrap().iter().map(|message| message["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn reading_on_shows_each_item_once_and_ends() {
    let world = World::new().await;
    for limit in 1..8 {
        let mut answer = world.call("email_list", json!({ "limit": limit })).await.unwrap();
        let mut seen = ids(&answer);
        while let Some(cursor) = answer["next_cursor"].as_str() {
            assert_eq!(answer["complete"], false);
            answer = world.call("email_list", json!({ "limit": limit, "cursor": cursor })).await.unwrap();
            assert!(ids(&answer).len() <= limit && !ids(&answer).is_empty(), "{answer}");
            seen.extend(ids(&answer));
        }
        assert_eq!((seen, &answer["complete"]), ((0..7).map(|at| format!("m{at}")).collect::<Vec<_>>(), &json!(true)), "limit {limit}");
    }
    // A cached answer keeps its cursor.
    let again = world.call("email_list", json!({ "limit": 3 })).await.unwrap();
    assert_eq!(again["_cache_status"], "fresh");
    let cursor = again["next_cursor"].as_str().unwrap();
    assert_eq!(ids(&world.call("email_list", json!({ "limit": 3, "cursor": cursor })).await.unwrap()), ["m3", "m4", "m5"]);
}

/// Graph ends a search there and says nothing of what is behind, however many pages of ours it takes to get there.
#[tokio::test]
async fn a_search_that_ends_where_graph_ends_searches_is_not_complete_on_its_last_page_either() {
    let world = World::new().await;
    for (found, complete) in [(250, false), (900, true), (1_000, false)] {
        world.graph.found.store(found, Ordering::Relaxed);
        let call = |cursor: Value| {
            world.call("search_emails", json!({ "query": format!("plan{found}"), "limit": 200, "max_tokens": 200_000, "cursor": cursor }))
        };
        let mut answer = call(Value::Null).await.unwrap();
        let mut seen = ids(&answer).len();
        while !answer["next_cursor"].is_null() {
            answer = call(answer["next_cursor"].clone()).await.unwrap();
            seen += ids(&answer).len();
        }
        assert_eq!((seen, &answer["complete"]), (found, &json!(complete)));
    }
}

#[tokio::test]
async fn an_older_list_that_lands_later_takes_the_place_of_none_and_can_be_read_on_in() {
    let world = World::new().await;
    // What is asked once is known.
    world.call("email_list", json!({ "limit": 2 })).await.unwrap();
    world.asked();
    let (release, slow) = oneshot::channel();
    *world.graph.slow.lock().unwrap() = Some(slow);
    let engine = world.engine.clone();
    let older = tokio::spawn(async move { testing::call(&engine, "email_list", json!({ "limit": 3 })).await });
    until(|| world.graph.slow.lock().unwrap().is_none()).await;
    world.clock.advance(Duration::from_secs(1));
    let newer = within(world.call("email_list", json!({ "limit": 3, "force_refresh": true }))).await.unwrap();
    release.send(()).unwrap();
    let older = within(older).await.unwrap().unwrap();
    assert_ne!(older["_cached_at"], newer["_cached_at"]);

    world.engine.hot.clear();
    let kept = world.call("email_list", json!({ "limit": 3 })).await.unwrap();
    assert_eq!((&kept["_cached_at"], &kept["_cache_status"]), (&newer["_cached_at"], &json!("fresh")));
    for list in [older, newer, kept] {
        assert_eq!(ids(&list), ["m0", "m1", "m2"]);
        let on = world.call("email_list", json!({ "limit": 3, "cursor": list["next_cursor"] })).await.unwrap();
        assert_eq!(ids(&on), ["m3", "m4", "m5"], "{list}");
    }
}

#[tokio::test]
async fn a_cursor_that_would_show_something_else_is_refused_with_a_way_to_go_on() {
    let world = World::new().await;
    let first = world.call("email_list", json!({ "limit": 3 })).await.unwrap();
    let cursor = first["next_cursor"].as_str().unwrap();
    let other = world.call("email_list", json!({ "limit": 4, "cursor": cursor })).await.unwrap_err();
    assert_eq!(other.code(), "cursor_gone", "other arguments");
    assert!(other.hint().unwrap().contains("without cursor"), "{other:?}");
    for wrong in ["x", "1-2", "-", "99999999999999999999-1"] {
        assert_eq!(world.call("email_list", json!({ "limit": 3, "cursor": wrong })).await.unwrap_err().code(), "cursor_gone", "{wrong}");
    }
    assert!(world.call("email_list", json!({ "limit": 3, "cursor": cursor })).await.is_ok());
    world.call("email_mark_read", json!({ "email_id": "m1" })).await.unwrap();
    assert_eq!(
        world.call("email_list", json!({ "limit": 3, "cursor": cursor })).await.unwrap_err().code(),
        "cursor_gone",
        "overtaken by a write"
    );
    let fresh = world.call("email_list", json!({ "limit": 3 })).await.unwrap();
    world.clock.advance(Duration::from_secs(86_401));
    let late = world.call("email_list", json!({ "limit": 3, "cursor": fresh["next_cursor"] })).await.unwrap_err();
    assert_eq!(late.code(), "cursor_gone", "too old");
}

#[tokio::test]
async fn an_answer_older_than_max_age_is_fetched_again() {
    let world = World::new().await;
    let status = |answer: Value| answer["_cache_status"].as_str().unwrap().to_owned();
    assert_eq!(status(world.call("email_list", json!({})).await.unwrap()), "miss");
    world.clock.advance(Duration::from_secs(60));
    assert_eq!(status(world.call("email_list", json!({ "max_age": 60 })).await.unwrap()), "fresh");
    assert_eq!(status(world.call("email_list", json!({ "max_age": 59 })).await.unwrap()), "miss");
    assert_eq!(status(world.call("email_list", json!({ "max_age": 0 })).await.unwrap()), "fresh", "as of this very moment");
}

#[tokio::test]
async fn a_mailbox_under_two_addresses_is_one_source_and_the_own_one_needs_no_name() {
    let world = World::new().await;
    world.call("email_list", json!({})).await.unwrap();
    let own = world.call("email_list", json!({ "mailbox": "ALEX@contoso.example" })).await.unwrap();
    assert_eq!(own["_cache_status"], "fresh");
    world.asked();

    world.call("email_list", json!({ "mailbox": "team@contoso.example" })).await.unwrap();
    let asked = world.asked();
    assert_eq!(asked[0], ("/users/team%40contoso.example".into(), None));
    assert_eq!(
        asked[1],
        ("/users/team%40contoso.example/mailFolders/inbox/messages".into(), Some("TEAM".into())),
        "throttled as its own mailbox"
    );
    world.call("email_mark_read", json!({ "email_id": "m1", "mailbox": "alias@contoso.example" })).await.unwrap();
    let after = world.call("email_list", json!({ "mailbox": "team@contoso.example" })).await.unwrap();
    assert_eq!(after["_cache_status"], "miss", "a write through its other address shows");
    let own: BTreeMap<String, Value> = serde_json::from_value(world.call("email_list", json!({})).await.unwrap()).unwrap();
    assert_eq!(own["_cache_status"], "fresh", "the own mailbox was not touched");

    let nobody = world.call("email_list", json!({ "mailbox": "nobody@contoso.example" })).await.unwrap_err();
    assert_eq!(nobody.code(), "unknown_mailbox");
    let personal = world.call("email_list", json!({ "account_id": "p.p", "mailbox": "team@contoso.example" })).await.unwrap_err();
    assert_eq!(personal.code(), "no_shared_mailboxes");
}

#[tokio::test]
async fn an_answer_from_mailbox_and_drive_depends_on_both() {
    let world = World::new().await;
    let status = |answer: Value| answer["_cache_status"].as_str().unwrap().to_owned();
    let search = || world.call("search_unified", json!({ "query": "plan" }));
    assert_eq!(status(search().await.unwrap()), "miss");
    assert_eq!(status(search().await.unwrap()), "fresh");
    world.call("email_update", json!({ "email_id": "m1", "updates": { "categories": ["red"] } })).await.unwrap();
    assert_eq!(status(search().await.unwrap()), "miss", "a message was changed");
    assert_eq!(status(search().await.unwrap()), "miss", "and the index follows only later");
    world.clock.advance(Duration::from_secs(61));
    assert_eq!(status(search().await.unwrap()), "miss");
    assert_eq!(status(search().await.unwrap()), "fresh");
    let drive = Touched {
        source: SourceId::drive("global", "tid", "D"),
        service: Service::Files,
        touches: vec![Touch::Scope(Scope::children("somewhere"))],
    };
    let bumps = world.engine.ledger.changed(vec![drive], Timestamp(1_000_000_000)).await.unwrap();
    world.engine.truth.apply(&bumps);
    assert_eq!(status(search().await.unwrap()), "miss", "a file was changed");
    assert_eq!(status(search().await.unwrap()), "fresh");
}

/// An engine over three messages, which come in one page, or each in one of its own.
async fn three(paged: bool, change: impl FnOnce(&mut super::Parts)) -> (Arc<Engine>, Arc<ManualClock>) {
    let message = |at: usize| {
        let from = json!({ "emailAddress": { "address": format!("sender{at}@contoso.example") } });
        json!({ "id": format!("m{at}"), "parentFolderId": "F", "subject": "s", "from": from })
    };
    let graph = testing::Scripted::new(move |request| {
        let at = request.path.split_once("?next=").map_or(0, |(_, at)| at.parse().unwrap());
        testing::reply(match paged {
            false => json!({ "value": (0..3).map(message).collect::<Vec<_>>() }),
            true if at < 2 => {
                json!({ "value": [message(at)], "@odata.nextLink": format!("/me/mailFolders/inbox/messages?next={}", at + 1) })
            }
            true => json!({ "value": [message(at)] }),
        })
    });
    let clock = Arc::new(ManualClock::at(Timestamp(1_763_629_200_000)));
    let store = testing::memory(testing::account()).await;
    let engine = testing::engine_with(store.clone(), store, graph.remote(), clock.clone(), Arc::new(SeededDice::new(7)), change).await;
    (engine, clock)
}

#[tokio::test]
async fn what_was_read_with_the_list_is_as_old_as_the_list_on_every_page() {
    let (engine, clock) = three(false, |_| ()).await;
    let mut answer = testing::call(&engine, "email_list", json!({ "limit": 1 })).await.unwrap();
    let since = answer["_cached_at"].clone();
    for _ in 0..2 {
        clock.advance(Duration::from_secs(600));
        answer = testing::call(&engine, "email_list", json!({ "limit": 1, "cursor": answer["next_cursor"] })).await.unwrap();
        assert_eq!(answer["_cached_at"], since, "{answer}");
    }
    assert_eq!((ids(&answer), &answer["complete"]), (vec!["m2".to_owned()], &json!(true)));
}

#[tokio::test]
async fn a_page_that_shows_what_is_never_kept_is_kept_nowhere() {
    let (engine, _) = three(true, |parts| parts.policy.exclude.senders = vec!["sender1@contoso.example".into()]).await;
    let first = testing::call(&engine, "email_list", json!({ "limit": 1 })).await.unwrap();
    let second = testing::call(&engine, "email_list", json!({ "limit": 1, "cursor": first["next_cursor"] })).await.unwrap();
    assert_eq!((ids(&second), &second["_cache_status"]), (vec!["m1".to_owned()], &json!("bypass")), "{second}");
    let third = testing::call(&engine, "email_list", json!({ "limit": 1, "cursor": second["next_cursor"] })).await.unwrap();
    assert_eq!(ids(&third), ["m2"], "one can read on past it");
    let touched = Touched { source: testing::mailbox(), service: Service::Mail, touches: vec![Touch::Item("m1".into())] };
    let bumped = engine.ledger.changed(vec![touched], Timestamp(0)).await.unwrap();
    let scopes: Vec<&str> = bumped.iter().flat_map(|one| &one.scopes).map(|(scope, _)| scope.as_str()).collect();
    assert!(scopes.contains(&"all:mail"), "nothing is known of where it is: {scopes:?}");
}
