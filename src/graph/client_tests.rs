//! The client against a scripted Graph.

use std::sync::{Mutex, atomic::AtomicUsize};

use async_trait::async_trait;
use serde_json::json;
use tokio::sync::Semaphore;

use super::*;
use crate::{
    auth::{
        AuthError, Reason,
        testing::{Act, Seen, Server, until, within},
    },
    chance::SeededDice,
    clock::{ManualClock, SystemClock},
    hint::{Hint, Kind},
};

/// Gives `token-0`, and the next one when that is refused.
#[derive(Default)]
pub(in crate::graph) struct Tokens {
    pub(in crate::graph) renewed: AtomicUsize,
    pub(in crate::graph) claims: Mutex<Vec<Option<String>>>,
    pub(in crate::graph) gone: std::sync::atomic::AtomicBool,
}

#[async_trait]
impl Bearer for Tokens {
    async fn bearer(&self, _: &AccountId, refused: Option<&Refused>) -> Result<Secret<String>, AuthError> {
        if self.gone.load(Ordering::SeqCst) {
            return Err(AuthError::sign_in(Reason::Revoked));
        }
        let now = self.renewed.load(Ordering::SeqCst);
        if let Some(refused) = refused
            && *refused.token.expose() == format!("token-{now}")
        {
            self.claims.lock().unwrap().push(refused.claims.clone());
            self.renewed.fetch_add(1, Ordering::SeqCst);
        }
        Ok(Secret::new(format!("token-{}", self.renewed.load(Ordering::SeqCst))))
    }
}

pub(in crate::graph) struct World {
    pub(in crate::graph) server: Server,
    pub(in crate::graph) client: Arc<Client>,
    pub(in crate::graph) tokens: Arc<Tokens>,
    pub(in crate::graph) clock: Arc<ManualClock>,
}

impl World {
    /// With waits of a millisecond or so on the real clock.
    pub(in crate::graph) async fn quick<F: Future<Output = Act> + Send + 'static>(
        handler: impl Fn(usize, Seen) -> F + Send + Sync + 'static,
    ) -> Self {
        Self::new(handler, Arc::new(SystemClock), Arc::new(ManualClock::at(Timestamp(0)))).await
    }

    /// On a clock that stands still.
    pub(in crate::graph) async fn still<F: Future<Output = Act> + Send + 'static>(
        handler: impl Fn(usize, Seen) -> F + Send + Sync + 'static,
    ) -> Self {
        let clock = Arc::new(ManualClock::at(Timestamp(1_000_000)));
        Self::new(handler, clock.clone(), clock).await
    }

    async fn new<F: Future<Output = Act> + Send + 'static>(
        handler: impl Fn(usize, Seen) -> F + Send + Sync + 'static,
        used: Arc<dyn Clock>,
        clock: Arc<ManualClock>,
    ) -> Self {
        let server = Server::start(handler).await;
        let tokens = Arc::new(Tokens::default());
        let settings = Settings { request_timeout: Duration::from_secs(60) };
        let budget = Budget::new(used.clone(), crate::graph::OUTLOOK_LIMIT);
        let mut client = Client::new(server.http(), tokens.clone(), settings, budget, used, Arc::new(SeededDice::new(5)));
        client.largest = 1 << 16;
        client.policy.base = Duration::from_millis(1);
        Self { server, client: Arc::new(client), tokens, clock }
    }

    pub(in crate::graph) fn context(&self, urgency: impl Into<Hurry>) -> Context {
        let deadline = self.client.clock.now().plus(Duration::from_secs(3600));
        Context { account: AccountId::new("oid.tid"), urgency: urgency.into(), deadline, mailbox: "mailbox:oid".into() }
    }

    async fn send(&self, request: &GraphRequest) -> Result<GraphReply, GraphError> {
        within(self.client.send(&self.context(Urgency::Foreground), request)).await
    }

    async fn get(&self) -> Result<GraphReply, GraphError> {
        self.send(&GraphRequest::get(&["me"])).await
    }

    fn spawn(&self, request: GraphRequest, urgency: impl Into<Hurry>) -> tokio::task::JoinHandle<Result<GraphReply, GraphError>> {
        let (client, context) = (self.client.clone(), self.context(urgency));
        tokio::spawn(async move { client.send(&context, &request).await })
    }
}

pub(in crate::graph) fn fine() -> Act {
    Act::json(200, &json!({"id": "1"}))
}

fn refusal(status: u16, code: &str) -> Act {
    Act::json(status, &json!({"error": {"code": code, "message": "a secret subject"}}))
}

fn post() -> GraphRequest {
    GraphRequest::post(&["me", "sendMail"], json!({"message": {}}))
}

#[tokio::test]
async fn a_request_says_who_asks_and_how() {
    let world = World::quick(|_, _| async { fine().with("etag", "W/\"1\"").with("request-id", "r-1") }).await;
    let request = GraphRequest::get(&["me", "messages", "AA=/+"])
        .with("$select", "id")
        .prefer("outlook.body-content-type=\"text\"")
        .header("If-None-Match", "x");
    let reply = world.send(&request).await.unwrap();
    assert_eq!((reply.status, reply.etag.as_deref(), reply.request_id.as_deref()), (200, Some("W/\"1\""), Some("r-1")));
    assert_eq!(reply.json().unwrap(), json!({"id": "1"}));
    let seen = &world.server.seen()[0];
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("GET", "/v1.0/me/messages/AA%3D%2F%2B?$select=id"));
    assert_eq!(seen.header("authorization"), "Bearer token-0");
    assert_eq!(seen.header("prefer"), "IdType=\"ImmutableId\", outlook.body-content-type=\"text\"");
    assert_eq!((seen.header("if-none-match"), seen.header("consistencylevel")), ("x", ""));
    assert_eq!(seen.header("client-request-id").len(), 36);
}

#[tokio::test]
async fn connections_are_kept() {
    let world = World::quick(|_, _| async { fine() }).await;
    for _ in 0..50 {
        world.get().await.unwrap();
    }
    assert_eq!(world.server.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn what_is_asked_after_a_sleep_takes_no_connection_of_before() {
    let mut world = World::quick(|_, _| async { fine() }).await;
    // A clock that jumps while the timers do not is what a sleep looks like.
    let wall = Arc::new(ManualClock::at(Timestamp(1_000_000)));
    let http = Http::new(world.server.cloud(), crate::auth::HttpSettings::default()).by(wall.clone());
    Arc::get_mut(&mut world.client).unwrap().http = Arc::new(http);
    let connections = || world.server.connections.load(Ordering::SeqCst);
    world.get().await.unwrap();
    wall.advance(Duration::from_secs(5));
    world.get().await.unwrap();
    assert_eq!(connections(), 1, "a clock that was corrected");
    wall.advance(Duration::from_secs(60));
    world.send(&post()).await.unwrap();
    assert_eq!((connections(), world.server.count()), (2, 3));
    world.get().await.unwrap();
    wall.set(Timestamp(0));
    world.get().await.unwrap();
    assert_eq!((connections(), world.server.count()), (2, 5), "and the new one is kept");
}

#[tokio::test]
async fn a_read_is_repeated_until_it_is_answered() {
    let world = World::quick(|number, _| async move {
        match number {
            0 => refusal(503, "serviceNotAvailable"),
            1 => Act::Hangup,
            2 => Act::Truncate,
            _ => fine(),
        }
    })
    .await;
    assert!(world.get().await.is_ok());
    assert_eq!((world.server.count(), world.client.gauges().failures), (4, 3));
}

#[tokio::test]
async fn a_read_is_given_up_after_four_failures() {
    let world = World::quick(|_, _| async { refusal(500, "generalException") }).await;
    let error = world.get().await.unwrap_err();
    assert_eq!((world.server.count(), error.code(), error.kind(), error.status()), (4, "graph_failed", Kind::Offline, Some(500)));
    assert!(!error.unknown_outcome() && !error.never_sent());
    assert!(!format!("{error} {error:?}").contains("secret"));
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_is_never_repeated() {
    for act in [
        || Act::Hangup,
        || Act::Truncate,
        || refusal(500, "x"),
        || refusal(503, "x").with("retry-after", "0"),
        || Act::Reply(200, Vec::new(), b"<html>".to_vec()),
        // A proxy that wants a sign-in of its own.
        || Act::Reply(302, vec![("location", "https://proxy.example/".into())], Vec::new()),
        || Act::Reply(304, Vec::new(), Vec::new()),
        || Act::Reply(307, vec![("location", "https://proxy.example/".into())], Vec::new()),
    ] {
        let world = World::quick(move |_, _| async move { act() }).await;
        let error = world.send(&post()).await.unwrap_err();
        assert_eq!(world.server.count(), 1);
        assert!(error.unknown_outcome() && !error.never_sent(), "{error:?}");
        assert!(error.hint().unwrap().contains("before you repeat"));
    }
}

#[tokio::test]
async fn a_question_by_post_changes_nothing_whatever_becomes_of_it() {
    let search = GraphRequest::question(&["search", "query"], json!({"requests": []}));
    for act in [|| Act::Hangup, || refusal(503, "x").with("retry-after", "0"), || refusal(500, "x")] {
        let world = World::quick(move |_, _| async move { act() }).await;
        let error = world.send(&search).await.unwrap_err();
        assert!(world.server.count() > 1, "it is repeated");
        assert!(!error.unknown_outcome() && !error.hint().unwrap().contains("before you repeat"), "{error:?}");
    }
}

#[tokio::test]
async fn a_write_that_is_repeatable_is_repeated() {
    let world = World::quick(|number, _| async move { if number == 0 { Act::Hangup } else { fine() } }).await;
    let request = GraphRequest::patch(&["me", "messages", "1"], json!({"isRead": true})).repeatable();
    assert!(world.send(&request).await.is_ok());
    assert_eq!(world.server.count(), 2);
    assert_eq!(world.server.seen()[1].json(), json!({"isRead": true}));
}

#[tokio::test]
async fn a_repeated_write_that_stays_lost_may_have_happened_and_a_read_never() {
    let write = GraphRequest::delete(&["me", "messages", "1"]).repeatable();
    let world = World::quick(|_, _| async { Act::Hangup }).await;
    assert!(world.send(&write).await.unwrap_err().unknown_outcome());
    let world = World::quick(|number, _| async move { if number == 0 { Act::Hangup } else { refusal(404, "ErrorItemNotFound") } }).await;
    assert!(world.send(&write).await.unwrap_err().unknown_outcome(), "the lost attempt may be why there is nothing now");
    let world = World::quick(|_, _| async { refusal(404, "ErrorItemNotFound") }).await;
    assert!(!world.send(&write).await.unwrap_err().unknown_outcome());
    let world = World::quick(|_, _| async { Act::Hangup }).await;
    assert!(!world.get().await.unwrap_err().unknown_outcome());
}

#[tokio::test]
async fn a_write_that_never_left_is_known_not_to_have_happened() {
    let world = World::quick(|_, _| async { fine() }).await;
    let nobody = {
        // A port that was free a moment ago: nobody listens there.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}/", listener.local_addr().unwrap())
    };
    let mut cloud = world.server.cloud();
    cloud.graph = nobody.parse().unwrap();
    let http = Arc::new(Http::new(cloud, crate::auth::HttpSettings::default()));
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let settings = Settings { request_timeout: Duration::from_secs(60) };
    let budget = Budget::new(clock.clone(), crate::graph::OUTLOOK_LIMIT);
    let mut client = Client::new(http, world.tokens.clone(), settings, budget, clock, Arc::new(SeededDice::new(1)));
    client.policy.base = Duration::from_millis(1);
    let error = within(client.send(&world.context(Urgency::Foreground), &post())).await.unwrap_err();
    assert_eq!((error.code(), error.never_sent(), error.unknown_outcome()), ("unreachable", true, false));
    assert_eq!(client.gauges().requests, 4, "tried again: nothing was sent");
}

/// Answers the first request with 429 and is gone then.
async fn gone_after_a_429() -> (crate::cloud::Cloud, tokio::task::JoinHandle<()>) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let root = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    let cloud = crate::cloud::Cloud { name: "demo".into(), identity: root.clone(), graph: root, downloads: Vec::new(), ca_pem: None };
    let serving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        drop(listener);
        let mut request = Vec::new();
        while !request.windows(4).any(|end| end == b"\r\n\r\n") {
            assert!(stream.read_buf(&mut request).await.unwrap() > 0);
        }
        stream.write_all(b"HTTP/1.1 429 X\r\nretry-after: 0\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    });
    (cloud, serving)
}

#[tokio::test]
async fn a_write_that_was_only_throttled_is_known_not_to_have_happened() {
    let mut world = World::quick(|_, _| async { fine() }).await;
    let (cloud, serving) = gone_after_a_429().await;
    Arc::get_mut(&mut world.client).unwrap().http = Arc::new(Http::new(cloud, crate::auth::HttpSettings::default()));
    let request = GraphRequest::delete(&["me", "messages", "1"]);
    let error = world.send(&request).await.unwrap_err();
    assert_eq!((error.code(), error.never_sent(), error.unknown_outcome()), ("unreachable", true, false));
    assert_eq!((world.client.gauges().throttled, world.client.gauges().requests), (1, 5));
    within(serving).await.unwrap();

    // The same when another request's wait outlasts this one's time.
    let world = World::still(|_, _| async { refusal(429, "ApplicationThrottled").with("retry-after", "10") }).await;
    let write = world.spawn(post(), Urgency::Foreground);
    until(|| world.client.gauges().budget.waiting == 1).await;
    world.client.budget.pause("mailbox:oid", Duration::from_secs(7200));
    let error = within(write).await.unwrap().unwrap_err();
    assert_eq!((error.code(), error.never_sent(), error.unknown_outcome()), ("throttled", true, false));
    assert_eq!(world.server.count(), 1);
}

#[tokio::test]
async fn a_refused_token_is_renewed_once() {
    let world = World::quick(|_, seen| async move {
        if seen.header("authorization") == "Bearer token-0" { refusal(401, "InvalidAuthenticationToken") } else { fine() }
    })
    .await;
    assert!(world.send(&post()).await.is_ok(), "safe for writes too: refused before it acted");
    assert_eq!((world.server.count(), world.tokens.renewed.load(Ordering::SeqCst)), (2, 1));

    let world = World::quick(|_, _| async { refusal(401, "InvalidAuthenticationToken") }).await;
    let error = world.get().await.unwrap_err();
    assert_eq!((world.server.count(), error.kind()), (2, Kind::SignIn));
}

#[tokio::test]
async fn a_claims_challenge_reaches_the_keeper_of_tokens() {
    let world = World::quick(|number, _| async move {
        let challenge = "Bearer realm=\"\", error=\"insufficient_claims\", claims=\"eyJhIjoxfQ==\"";
        if number == 0 { refusal(403, "x").with("www-authenticate", challenge) } else { fine() }
    })
    .await;
    assert!(world.get().await.is_ok());
    assert_eq!(*world.tokens.claims.lock().unwrap(), [Some("{\"a\":1}".to_owned())]);
}

#[tokio::test]
async fn without_a_sign_in_nothing_is_sent() {
    let world = World::quick(|_, _| async { fine() }).await;
    world.tokens.gone.store(true, Ordering::SeqCst);
    let error = world.get().await.unwrap_err();
    assert_eq!((error.code(), error.kind(), error.never_sent(), world.server.count()), ("sign_in_required", Kind::SignIn, true, 0));
}

#[tokio::test]
async fn a_bearer_goes_to_graph_only() {
    let evil = Server::start(|_, _| async { fine() }).await;
    let world = World::quick(|_, _| async { fine() }).await;
    let port = world.server.root.port().unwrap();
    for link in [
        format!("{}v1.0/me", evil.root),
        format!("http://localhost:{port}/v1.0/me"),
        format!("http://user@127.0.0.1:{port}/v1.0/me"),
        format!("https://127.0.0.1:{port}/v1.0/me"),
        "https://graph.microsoft.com.evil.example/v1.0/me".into(),
        "//evil.example/me".into(),
        "http://[::1]/".into(),
        "file:///etc/passwd".into(),
        "nonsense".into(),
        String::new(),
    ] {
        let request = GraphRequest::get_path(link.clone());
        // `//evil.example` is a path below the root, and so is harmless.
        let outcome = world.send(&request).await;
        if link.starts_with("//") {
            assert!(world.server.seen().iter().all(|seen| seen.target.starts_with("/v1.0//evil")));
            continue;
        }
        let error = outcome.unwrap_err();
        assert_eq!((error.code(), error.never_sent()), ("foreign_host", true), "{link}");
    }
    assert_eq!(evil.count(), 0);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let evil = Server::start(|_, _| async { fine() }).await;
    let target = evil.root.to_string();
    let world = World::quick(move |_, _| {
        let target = target.clone();
        async move { Act::Reply(302, vec![("location", target)], Vec::new()) }
    })
    .await;
    let reply = world.send(&GraphRequest::get(&["me", "drive", "items", "1", "content"])).await.unwrap();
    assert_eq!((reply.status, reply.location.as_deref(), evil.count()), (302, Some(evil.root.as_str()), 0));
    // Graph redirects to content alone.
    assert_eq!((world.get().await.unwrap_err().code(), evil.count(), world.server.count()), ("unexpected_reply", 0, 2));
}

#[tokio::test]
async fn an_id_cannot_climb_out_of_its_place() {
    let world = World::quick(|_, _| async { fine() }).await;
    for id in ["..", ".", "%2e%2E"] {
        let result = world.send(&GraphRequest::get(&["me", "messages", id])).await;
        if id.starts_with('%') {
            // Encoded once more, it is a name like any other.
            assert!(result.is_ok());
        } else {
            assert_eq!(result.unwrap_err().code(), "invalid_id");
        }
    }
    assert_eq!(world.server.seen()[0].target, "/v1.0/me/messages/%252e%252E");
    let header = GraphRequest::get(&["me"]).header("If-Match", "a\r\nX-Evil: 1");
    assert_eq!(world.send(&header).await.unwrap_err().code(), "invalid_id");
    assert_eq!(world.server.count(), 1);
}

#[tokio::test]
async fn what_is_not_an_answer_is_an_error() {
    let html = || Act::Reply(200, vec![("content-type", "text/html".into())], b"<html>Sign in to the wifi</html>".to_vec());
    let world = World::quick(move |_, _| async move { html() }).await;
    assert_eq!((world.get().await.unwrap_err().code(), world.server.count()), ("unexpected_reply", 4));
    let content = world.send(&GraphRequest::get(&["me", "messages", "1", "$value"])).await;
    assert!(content.unwrap().body.starts_with(b"<html>"), "content may be anything");

    let world =
        World::quick(|_, _| async { Act::Reply(502, vec![("content-type", "text/html".into())], b"<html>Bad gateway</html>".to_vec()) })
            .await;
    assert_eq!(world.get().await.unwrap_err().code(), "graph_failed");

    let world = World::quick(|_, _| async { Act::Reply(200, Vec::new(), vec![b' '; 1 << 17]) }).await;
    assert_eq!((world.get().await.unwrap_err().code(), world.server.count()), ("reply_too_large", 1));
    assert!(world.send(&post()).await.unwrap_err().unknown_outcome());

    let world = World::quick(|_, _| async { Act::Reply(204, Vec::new(), Vec::new()) }).await;
    assert_eq!(world.get().await.unwrap().json().unwrap(), serde_json::Value::Null);
}

#[tokio::test]
async fn four_at_once_and_no_more() {
    let gate = Arc::new(Semaphore::new(0));
    let (hold, now, peak) = (gate.clone(), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let highest = peak.clone();
    let world = World::quick(move |_, _| {
        let (hold, now, peak) = (hold.clone(), now.clone(), peak.clone());
        async move {
            peak.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            hold.acquire().await.unwrap().forget();
            now.fetch_sub(1, Ordering::SeqCst);
            fine()
        }
    })
    .await;
    let calls: Vec<_> = (0..20).map(|_| world.spawn(GraphRequest::get(&["me"]), Urgency::Foreground)).collect();
    world.server.arrived(4).await;
    until(|| world.client.gauges().budget.waiting == 16).await;
    assert_eq!((world.server.count(), world.client.gauges().budget.in_flight), (4, 4));
    gate.add_permits(20);
    for call in calls {
        within(call).await.unwrap().unwrap();
    }
    assert_eq!(highest.load(Ordering::SeqCst), 4);
    assert_eq!(world.client.gauges().budget.in_flight, 0);
}

#[tokio::test]
async fn somebody_who_waits_overtakes_background_work() {
    let gate = Arc::new(Semaphore::new(0));
    let hold = gate.clone();
    let world = World::quick(move |_, _| {
        let hold = hold.clone();
        async move {
            hold.acquire().await.unwrap().forget();
            fine()
        }
    })
    .await;
    let mut calls: Vec<_> = (0..10).map(|_| world.spawn(GraphRequest::get(&["background"]), Urgency::Background)).collect();
    world.server.arrived(3).await;
    until(|| world.client.gauges().budget.waiting == 7).await;
    calls.extend((0..3).map(|_| world.spawn(GraphRequest::get(&["foreground"]), Urgency::Foreground)));
    world.server.arrived(4).await;
    until(|| world.client.gauges().budget.waiting == 9).await;
    gate.add_permits(13);
    for call in calls {
        within(call).await.unwrap().unwrap();
    }
    let order: Vec<String> = world.server.seen().into_iter().map(|seen| seen.target.replace("/v1.0/", "")).collect();
    assert!(order[..3].iter().all(|target| target == "background"), "{order:?}");
    assert!(order[3..6].iter().all(|target| target == "foreground"), "{order:?}");
}

#[tokio::test]
async fn who_begins_to_wait_does_not_wait_for_a_repeat_unless_microsoft_asked_for_it() {
    for asked in [false, true] {
        let mut world = World::still(move |number, _| async move {
            let refused = refusal(500, "generalException");
            match (number, asked) {
                (0, true) => refused.with("retry-after", "10"),
                (0, false) => refused,
                _ => fine(),
            }
        })
        .await;
        Arc::get_mut(&mut world.client).unwrap().policy.base = Duration::from_secs(100);
        let hurry = Hurry::from(Urgency::Background);
        let call = world.spawn(GraphRequest::get(&["me"]), hurry.clone());
        until(|| world.client.gauges().failures == 1).await;
        hurry.raise();
        if asked {
            tokio::task::yield_now().await;
            assert_eq!(world.server.count(), 1);
            world.clock.advance(Duration::from_secs(110));
        }
        within(call).await.unwrap().unwrap();
        assert_eq!(world.server.count(), 2);
    }
}

#[tokio::test]
async fn a_retry_after_holds_back_everybody_of_that_mailbox() {
    let world = World::still(|number, _| async move {
        if number == 0 { refusal(429, "ApplicationThrottled").with("retry-after", "10") } else { fine() }
    })
    .await;
    // A write too: it was refused before it acted.
    let first = world.spawn(post(), Urgency::Foreground);
    world.server.arrived(1).await;
    until(|| world.client.gauges().budget.waiting == 1).await;
    let second = world.spawn(GraphRequest::get(&["me"]), Urgency::Foreground);
    until(|| world.client.gauges().budget.waiting == 2).await;
    world.clock.advance(Duration::from_millis(9_999));
    tokio::task::yield_now().await;
    assert_eq!((world.server.count(), world.client.gauges().throttled), (1, 1));
    let other = Context { mailbox: "mailbox:other".into(), ..world.context(Urgency::Foreground) };
    within(world.client.send(&other, &GraphRequest::get(&["me"]))).await.unwrap();
    world.clock.advance(Duration::from_secs(1));
    within(first).await.unwrap().unwrap();
    within(second).await.unwrap().unwrap();
    assert_eq!(world.server.count(), 4);
}

#[tokio::test]
async fn a_wait_beyond_the_deadline_is_not_begun() {
    let world = World::still(|_, _| async { refusal(429, "TooManyRequests").with("retry-after", "120") }).await;
    let mut context = world.context(Urgency::Foreground);
    context.deadline = world.clock.now().plus(Duration::from_secs(60));
    let error = within(world.client.send(&context, &post())).await.unwrap_err();
    assert_eq!((error.code(), error.kind(), error.status(), error.unknown_outcome()), ("throttled", Kind::Throttled, Some(429), false));
    assert!(error.hint().unwrap().contains("120 s"));
    // The next one is told at once, without asking again.
    let error = within(world.client.send(&context, &post())).await.unwrap_err();
    assert_eq!((error.code(), error.never_sent(), world.server.count()), ("throttled", true, 1));
}

#[tokio::test]
async fn a_call_ends_at_its_deadline() {
    let world = World::still(|_, _| async { std::future::pending().await }).await;
    let read = world.spawn(GraphRequest::get(&["me"]), Urgency::Foreground);
    let write = world.spawn(post(), Urgency::Foreground);
    world.server.arrived(2).await;
    world.clock.advance(Duration::from_secs(3600));
    let (read, write) = (within(read).await.unwrap().unwrap_err(), within(write).await.unwrap().unwrap_err());
    assert_eq!((read.code(), read.unknown_outcome()), ("timeout", false));
    assert_eq!((write.code(), write.unknown_outcome()), ("timeout", true));
    assert_eq!(world.client.gauges().budget.in_flight, 0);
}

#[tokio::test]
async fn the_breaker_opens_probes_and_closes() {
    let down = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let is_down = down.clone();
    let world = World::still(move |_, _| {
        let down = is_down.load(Ordering::SeqCst);
        async move { if down { Act::Hangup } else { fine() } }
    })
    .await;
    // Writes are not repeated, so each is one failure.
    for _ in 0..5 {
        assert!(world.send(&post()).await.unwrap_err().unknown_outcome());
    }
    assert_eq!(world.client.gauges().breaker, BreakerState::Open);
    let error = world.send(&post()).await.unwrap_err();
    assert_eq!((error.code(), error.never_sent(), world.server.count()), ("unreachable", true, 5), "told at once");
    world.clock.advance(Duration::from_secs(5));
    assert!(world.send(&post()).await.is_err());
    assert_eq!((world.server.count(), world.client.gauges().breaker), (6, BreakerState::Open), "one probe");
    down.store(false, Ordering::SeqCst);
    world.clock.advance(Duration::from_secs(10));
    world.get().await.unwrap();
    assert_eq!(world.client.gauges().breaker, BreakerState::Closed);
}

#[tokio::test]
async fn a_caller_that_goes_away_gives_its_place_back() {
    let world = World::quick(|_, _| async { std::future::pending().await }).await;
    let calls: Vec<_> = (0..6).map(|_| world.spawn(GraphRequest::get(&["me"]), Urgency::Foreground)).collect();
    world.server.arrived(4).await;
    for call in &calls {
        call.abort();
    }
    until(|| calls.iter().all(|call| call.is_finished())).await;
    let gauges = world.client.gauges();
    assert_eq!((gauges.budget.in_flight, gauges.budget.waiting, gauges.breaker), (0, 0, BreakerState::Closed));
}

mod pages {
    use super::*;

    async fn pages(world: &World, enough: usize) -> Result<crate::graph::Pages, GraphError> {
        let context = world.context(Urgency::Foreground);
        let request = GraphRequest::get(&["me", "messages"]).with("$top", "2").prefer("odata.maxpagesize=2");
        within(world.client.pages(&context, &request, &move |items| items.len() >= enough)).await
    }

    async fn linked(links: &'static [&'static str]) -> World {
        let root = Arc::new(Mutex::new(String::new()));
        let said = root.clone();
        let world = World::quick(move |number, _| {
            let root = said.lock().unwrap().clone();
            async move {
                let mut body = json!({"value": if number == 1 { json!([]) } else { json!([{"n": number}]) }});
                if let Some(link) = links.get(number) {
                    let (kind, link) = if link.starts_with("delta") { ("@odata.deltaLink", *link) } else { ("@odata.nextLink", *link) };
                    body[kind] = if link.contains("://") { json!(link) } else { json!(format!("{root}v1.0/me/messages?$skip={link}")) };
                }
                Act::json(200, &body)
            }
        })
        .await;
        *root.lock().unwrap() = world.server.root.to_string();
        world
    }

    #[tokio::test]
    async fn links_are_followed_as_they_are_even_past_an_empty_page() {
        let world = linked(&["a%2Bb&x=$y", "c"]).await;
        let all = pages(&world, 100).await.unwrap();
        assert_eq!((all.items, all.next), (vec![json!({"n": 0}), json!({"n": 2})], None));
        let seen = world.server.seen();
        assert_eq!(seen[1].target, "/v1.0/me/messages?$skip=a%2Bb&x=$y");
        assert!(seen.iter().all(|seen| seen.header("prefer") == "IdType=\"ImmutableId\", odata.maxpagesize=2"));
    }

    #[tokio::test]
    async fn enough_is_enough() {
        let world = linked(&["a", "b", "c"]).await;
        let some = pages(&world, 1).await.unwrap();
        assert_eq!((some.items.len(), world.server.count()), (1, 1));
        assert!(some.next.unwrap().ends_with("$skip=a"));
    }

    #[tokio::test]
    async fn pages_that_lead_in_a_circle_have_an_end() {
        let world = linked(&["a", "b", "a", "b", "a"]).await;
        assert_eq!((pages(&world, 100).await.unwrap_err().code(), world.server.count()), ("endless_pages", 3));
    }

    #[tokio::test]
    async fn a_foreign_link_is_not_followed() {
        let world = linked(&["https://evil.example/v1.0/me/messages?$skip=1"]).await;
        assert_eq!((pages(&world, 100).await.unwrap_err().code(), world.server.count()), ("foreign_host", 1));
    }

    #[tokio::test]
    async fn a_delta_ends_with_its_link_or_starts_over() {
        let world = linked(&["a", "delta1"]).await;
        let context = world.context(Urgency::Background);
        let request = GraphRequest::get(&["me", "mailFolders", "delta"]);
        let (items, link) = within(world.client.delta(&context, &request)).await.unwrap();
        assert_eq!((items.len(), link.contains("delta1")), (1, true));

        let world = World::quick(|_, _| async { refusal(410, "SyncStateNotFound").with("location", "https://x/") }).await;
        let error = within(world.client.delta(&context, &request)).await.unwrap_err();
        assert!(matches!(error.cause, Cause::Resync { location: Some(_) }));

        let world = linked(&[]).await;
        assert_eq!(within(world.client.delta(&context, &request)).await.unwrap_err().code(), "unexpected_reply");
    }

    #[tokio::test]
    async fn a_page_without_a_list_is_an_error() {
        let world = World::quick(|_, _| async { Act::json(200, &json!({"value": {}})) }).await;
        assert_eq!(pages(&world, 1).await.unwrap_err().code(), "unexpected_reply");
    }
}
