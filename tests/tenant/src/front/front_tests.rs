//! Graph's door over HTTP: tokens, scopes, concurrency, batches, faults.

use std::time::Duration;

use http_body_util::BodyExt as _;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::testing::{ALEX, World};
use crate::{At, AuthAction, Effect, Fault, GarbageKind, RetryAfter, Throttle, Wait};

const LIST: &str = "GET /me/messages";

/// Starts a GET and leaves it running.
fn start(world: &World, path: &str, bearer: &str) -> tokio::task::JoinHandle<reqwest::Result<reqwest::Response>> {
    tokio::spawn(world.http.get(world.graph(path)).bearer_auth(bearer).send())
}

async fn in_flight(world: &World, route: &str, concurrent: u64) {
    let waited = world.control().wait(&Wait { route: route.to_owned(), concurrent, ..Wait::default() }).await;
    assert!(waited.reached, "{waited:?}");
}

#[tokio::test]
async fn tokens_are_judged() {
    let world = World::new().await;
    let answer = world.http.get(world.graph("/me")).header("client-request-id", "c-1").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert!(answer.headers()["www-authenticate"].to_str().unwrap().starts_with("Bearer realm"));
    assert_eq!(answer.headers()["client-request-id"], "c-1");
    let id = answer.headers()["request-id"].to_str().unwrap().to_owned();
    let body: Value = answer.json().await.unwrap();
    assert_eq!(body["error"]["code"], "InvalidAuthenticationToken");
    assert_eq!(body["error"]["innerError"]["request-id"], id.as_str());

    assert_eq!(world.get("/me", "made.up.token").await.status(), StatusCode::UNAUTHORIZED);
    let bearer = world.bearer().await;
    assert_eq!(world.get("/me", &bearer).await.status(), StatusCode::OK);
    world.control().auth(ALEX, AuthAction::ExpireAccess).unwrap();
    assert_eq!(world.get("/me", &bearer).await.status(), StatusCode::UNAUTHORIZED);
    let bearer = world.bearer().await;
    assert_eq!(world.get("/me", &bearer).await.status(), StatusCode::OK);
    world.control().advance(Duration::from_secs(3600));
    let late: Value = world.get("/me", &bearer).await.json().await.unwrap();
    assert_eq!(late["error"]["message"], "Lifetime validation failed, the token is expired.");
}

#[tokio::test]
async fn scopes_versions_and_sizes_are_judged() {
    let world = World::new().await;
    let bearer = world.bearer().await;
    let refused = world.get("/me/drive/root", &bearer).await;
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    assert_eq!(refused.json::<Value>().await.unwrap()["error"]["code"], "accessDenied");
    let beta = format!("{}/beta/me", world.tenant.addresses().graph);
    let answer = world.http.get(beta).bearer_auth(&bearer).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    let large = vec![b' '; 4 * 1024 * 1024 + 1];
    let answer = world.http.post(world.graph("/me/messages")).bearer_auth(&bearer).body(large).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn the_fifth_request_of_a_mailbox_is_refused() {
    let world = World::new().await;
    let bearer = world.bearer().await;
    let hold = world.control().fault(Fault { count: Some(4), ..Fault::always(LIST, Effect::Hold { at: At::Before }) });
    let held: Vec<_> = (0..4).map(|_| start(&world, "/me/messages", &bearer)).collect();
    in_flight(&world, LIST, 4).await;
    let fifth = world.get("/me/messages", &bearer).await;
    assert_eq!(fifth.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(fifth.headers()["retry-after"], "1");
    let body: Value = fifth.json().await.unwrap();
    assert_eq!(body["error"]["code"], "ApplicationThrottled");
    assert_eq!(world.control().release(Some(hold)), 1);
    for request in held {
        assert_eq!(request.await.unwrap().unwrap().status(), StatusCode::OK);
    }
    assert_eq!(world.get("/me/messages", &bearer).await.status(), StatusCode::OK);
    let stats = world.control().stats();
    assert_eq!((stats.throttled, stats.peak.values().max()), (1, Some(&5)));
    assert_eq!((stats.routes[LIST], stats.statuses[&429], stats.running.len()), (6, 1, 0));
}

#[tokio::test]
async fn a_client_that_goes_away_frees_its_place() {
    let world = World::new().await;
    let bearer = world.bearer().await;
    world.control().fault(Fault::always(LIST, Effect::Hold { at: At::Before }));
    let held: Vec<_> = (0..4).map(|_| start(&world, "/me/messages", &bearer)).collect();
    in_flight(&world, LIST, 4).await;
    held.iter().for_each(tokio::task::JoinHandle::abort);
    tokio::time::timeout(Duration::from_secs(10), async {
        for request in held {
            assert!(request.await.unwrap_err().is_cancelled());
        }
        while world.control().stats().concurrent(LIST) > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    world.control().clear_faults(None);
    assert_eq!(world.get("/me/messages", &bearer).await.status(), StatusCode::OK);
}

async fn batch(world: &World, bearer: &str, items: usize) -> Vec<u64> {
    let requests: Vec<Value> = (0..items).map(|n| json!({"id": n.to_string(), "method": "GET", "url": "/me/messages"})).collect();
    let request = world.http.post(world.graph("/$batch")).bearer_auth(bearer).json(&json!({"requests": requests}));
    let answer: Value = request.send().await.unwrap().json().await.unwrap();
    let mut statuses = vec![0; items];
    for item in answer["responses"].as_array().unwrap() {
        let id: usize = item["id"].as_str().unwrap().parse().unwrap();
        statuses[id] = item["status"].as_u64().unwrap();
    }
    statuses
}

#[tokio::test]
async fn a_batch_counts_its_items() {
    let world = World::new().await;
    let bearer = world.bearer().await;
    assert_eq!(batch(&world, &bearer, 6).await, [200; 6]);
    let hold = world.control().fault(Fault { count: Some(3), ..Fault::always(LIST, Effect::Hold { at: At::Before }) });
    let held: Vec<_> = (0..3).map(|_| start(&world, "/me/messages", &bearer)).collect();
    in_flight(&world, LIST, 3).await;
    assert_eq!(batch(&world, &bearer, 6).await, [200, 429, 429, 429, 200, 200]);
    world.control().release(Some(hold));
    for request in held {
        request.await.unwrap().unwrap();
    }
    world.control().set_throttle(Throttle { strict_batch: true, ..Throttle::default() });
    assert_eq!(batch(&world, &bearer, 6).await, [200, 200, 200, 200, 429, 429]);
    let effect = Effect::Status { status: 503, code: "x".to_owned(), message: None, retry_after: None };
    world.control().fault(Fault { after: 1, ..Fault::once(LIST, effect) });
    assert_eq!(batch(&world, &bearer, 3).await, [200, 503, 200]);
    let stats = world.control().stats();
    assert_eq!((stats.batched[LIST], stats.throttled, stats.routes["POST /$batch"]), (21, 5, 4));
}

#[tokio::test]
async fn a_lost_reply_has_happened_and_a_reset_before_has_not() {
    let world = World::new().await;
    let bearer = world.bearer().await;
    for (at, stored) in [(At::Before, 0), (At::After, 1)] {
        world.control().fault(Fault::once("POST /me/messages", Effect::Reset { at }));
        let post = world.http.post(world.graph("/me/messages")).bearer_auth(&bearer).json(&json!({"subject": "x"}));
        let before = subjects(&world, &bearer).await;
        let error = post.send().await.unwrap_err();
        assert!(error.is_request(), "{error:?}");
        assert_eq!(subjects(&world, &bearer).await - before, stored);
    }
    assert_eq!(world.control().stats().statuses[&0], 2);
}

async fn subjects(world: &World, bearer: &str) -> usize {
    let page: Value = world.get("/me/messages?$top=1000", bearer).await.json().await.unwrap();
    page["value"].as_array().unwrap().len()
}

#[tokio::test]
async fn each_effect_does_what_its_name_says() {
    let world = World::new().await;
    let bearer = world.bearer().await;
    let control = world.control();
    let once = |effect| control.fault(Fault::once(LIST, effect));
    let list = || world.get("/me/messages?$top=2", &bearer);

    once(Effect::Unauthorized);
    assert_eq!(list().await.status(), StatusCode::UNAUTHORIZED);
    once(Effect::ClaimsChallenge);
    let challenge = list().await.headers()["www-authenticate"].to_str().unwrap().to_owned();
    assert!(challenge.contains("error=\"insufficient_claims\", claims=\""), "{challenge}");
    once(Effect::HtmlPage { status: 502 });
    let page = list().await;
    assert_eq!((page.status().as_u16(), page.headers()["content-type"].to_str().unwrap()), (502, "text/html"));
    once(Effect::EmptyBody);
    assert_eq!(list().await.text().await.unwrap(), "");
    for how in [GarbageKind::NotJson, GarbageKind::TruncatedJson] {
        once(Effect::Garbage { how });
        assert!(list().await.json::<Value>().await.is_err(), "{how:?}");
    }
    once(Effect::Garbage { how: GarbageKind::WrongLength });
    assert!(list().await.bytes().await.is_err());
    once(Effect::LoopNextLink);
    let looped: Value = list().await.json().await.unwrap();
    assert_eq!(looped["@odata.nextLink"], world.graph("/me/messages?$top=2"));
    once(Effect::ForeignNextLink);
    let foreign: Value = list().await.json().await.unwrap();
    assert_eq!(foreign["@odata.nextLink"], "https://evil.example/v1.0/me/messages?$top=2");
    once(Effect::SlowBody { pieces: 4, ms: 1 });
    let slow = list().await;
    let body = http::Response::<reqwest::Body>::from(slow).into_body().collect().await.unwrap().to_bytes();
    assert!(serde_json::from_slice::<Value>(&body).is_ok());
    once(Effect::Hang { ms: 1 });
    assert_eq!(list().await.status(), StatusCode::OK);
    let retry_after = Some(RetryAfter::DateIn { date_in_s: 60 });
    control.set_clock(&crate::ClockSetting { set: "2026-11-20T09:00:00Z".parse().ok(), freeze: true, ..Default::default() });
    once(Effect::Status { status: 429, code: "TooManyRequests".to_owned(), message: None, retry_after });
    let busy = list().await;
    assert_eq!(busy.headers()["retry-after"], "Fri, 20 Nov 2026 09:01:00 GMT");
    assert_eq!(busy.headers()["date"], "Fri, 20 Nov 2026 09:00:00 GMT");
    assert_eq!(control.faults().iter().map(|fault| fault.struck).sum::<u64>(), 12);
    assert_eq!(list().await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_reply_can_be_held_after_the_deed() {
    let world = World::new().await;
    let bearer = world.bearer().await;
    let hold = world.control().fault(Fault::once("POST /me/messages", Effect::Hold { at: At::After }));
    let post = world.http.post(world.graph("/me/messages")).bearer_auth(&bearer).json(&json!({"subject": "held"}));
    let before = subjects(&world, &bearer).await;
    let post = tokio::spawn(post.send());
    in_flight(&world, "POST /me/messages", 1).await;
    let deadline = tokio::time::timeout(Duration::from_secs(10), async { while subjects(&world, &bearer).await == before {} });
    deadline.await.unwrap();
    assert!(!post.is_finished());
    world.control().release(Some(hold));
    assert_eq!(post.await.unwrap().unwrap().status(), StatusCode::CREATED);
}
