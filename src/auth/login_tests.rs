//! Sign-ins against a scripted identity service; the browser is a plain HTTP client.

use std::collections::BTreeMap as Map;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use url::Url;

use super::*;
use crate::{
    auth::{
        IdentitySettings,
        testing::{Act, Seen, Server, until, within},
    },
    chance::SeededDice,
    clock::ManualClock,
    ids::PERSONAL_TENANT,
};

const WORK: &str = "72f988bf-86f1-41af-91ab-2d7cd011db47";

struct World {
    server: Server,
    logins: Arc<Logins>,
    clock: Arc<ManualClock>,
}

impl World {
    async fn new<F: Future<Output = Act> + Send + 'static>(handler: impl Fn(usize, Seen) -> F + Send + Sync + 'static) -> Self {
        let server = Server::start(handler).await;
        let clock = Arc::new(ManualClock::at(Timestamp(1_000_000)));
        let settings = IdentitySettings { client_id: Some("app".into()), ..IdentitySettings::default() };
        let identity = Arc::new(Identity::new(server.http(), settings, clock.clone()));
        let logins = Logins::new(identity, clock.clone(), Arc::new(SeededDice::new(3)));
        Self { server, logins, clock }
    }

    fn waiting(&self, handle: &str) -> tokio::task::JoinHandle<Result<Finished, AuthError>> {
        let (logins, handle) = (self.logins.clone(), handle.to_owned());
        tokio::spawn(async move { logins.wait(&handle).await })
    }
}

fn tokens(number: usize, tenant: &str, nonce: Option<&str>) -> Act {
    let claims =
        json!({"aud": "app", "tid": tenant, "oid": "user-1", "nonce": nonce, "preferred_username": "ada@contoso.example", "name": "Ada"});
    let id_token = format!("e30.{}.s", URL_SAFE_NO_PAD.encode(claims.to_string()));
    Act::json(
        200,
        &json!({"access_token": format!("access-{number}"), "refresh_token": format!("refresh-{number}"), "expires_in": 3600, "id_token": id_token}),
    )
}

fn pending(error: &str) -> Act {
    Act::json(400, &json!({"error": error, "error_codes": [70016]}))
}

fn device_code() -> Act {
    let body = json!({"user_code": "ABCD", "device_code": "secret-device", "verification_uri": "https://microsoft.com/devicelogin", "expires_in": 900, "interval": 5, "message": "Open it."});
    Act::json(200, &body)
}

/// What the browser was sent to the sign-in page with.
fn asked(prompt: &BrowserPrompt) -> Map<String, String> {
    Url::parse(&prompt.url).unwrap().query_pairs().into_owned().collect()
}

async fn browse(redirect: &str, query: &[(&str, &str)]) -> (u16, String) {
    let mut url = Url::parse(redirect).unwrap();
    // The test's own client resolves no names: localhost is 127.0.0.1.
    url.set_host(Some("127.0.0.1")).unwrap();
    url.query_pairs_mut().extend_pairs(query);
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
    let reply = within(client.get(url).send()).await.unwrap();
    (reply.status().as_u16(), reply.text().await.unwrap())
}

#[tokio::test]
async fn the_browser_brings_the_code_and_the_code_brings_tokens() {
    let nonce = Arc::new(Mutex::new(String::new()));
    let said = nonce.clone();
    let world = World::new(move |number, _| {
        let nonce = said.lock().unwrap().clone();
        async move { tokens(number, WORK, Some(&nonce)) }
    })
    .await;
    let options = LoginOptions { login_hint: Some("ada@contoso.example".into()), ..LoginOptions::default() };
    let prompt = world.logins.start_browser(options.clone()).await.unwrap();
    assert_eq!(world.logins.start_browser(options).await.unwrap(), prompt, "one prompt, however many ask");
    let asked = asked(&prompt);
    assert_eq!(
        (asked["response_type"].as_str(), asked["code_challenge_method"].as_str(), asked["login_hint"].as_str()),
        ("code", "S256", "ada@contoso.example")
    );
    *nonce.lock().unwrap() = asked["nonce"].clone();
    let (waiting, another) = (world.waiting(&prompt.handle), world.waiting(&prompt.handle));
    tokio::task::yield_now().await;

    let redirect = asked["redirect_uri"].as_str();
    assert_eq!(browse(redirect, &[("code", "stolen"), ("state", "forged")]).await.0, 400);
    assert_eq!(world.server.count(), 0, "a code without our state goes nowhere");
    let (status, page) = browse(redirect, &[("code", "the-code"), ("state", &asked["state"])]).await;
    assert_eq!((status, page.contains("the-code")), (200, false));

    let finished = within(waiting).await.unwrap().unwrap();
    assert_eq!(finished.signed_in.account_id.as_str(), format!("user-1.{WORK}"));
    assert_eq!(finished.record.authority, WORK);
    let form = world.server.seen()[0].form();
    assert_eq!((form["code"].as_str(), form["redirect_uri"].as_str()), ("the-code", redirect));
    assert_eq!(world.server.seen()[0].target, "/common/oauth2/v2.0/token");
    assert_eq!(within(another).await.unwrap().unwrap().signed_in, finished.signed_in, "everybody who waited is told");
    assert_eq!(within(world.logins.wait(&prompt.handle)).await.unwrap_err().code(), "unknown_sign_in");
    assert!(!format!("{prompt:?}").contains(&asked["state"]));
    assert!(!format!("{finished:?}").contains("access-0") && !format!("{finished:?}").contains("refresh-0"));
}

#[tokio::test]
async fn a_replayed_id_token_signs_nobody_in() {
    let world = World::new(|number, _| async move { tokens(number, WORK, Some("of another sign-in")) }).await;
    let prompt = world.logins.start_browser(LoginOptions::default()).await.unwrap();
    let asked = asked(&prompt);
    browse(&asked["redirect_uri"], &[("code", "c"), ("state", &asked["state"])]).await;
    assert_eq!(within(world.logins.wait(&prompt.handle)).await.unwrap_err().code(), "identity_unexpected_reply");
}

#[tokio::test]
async fn a_refusal_in_the_browser_says_why() {
    let world = World::new(|number, _| async move { tokens(number, WORK, None) }).await;
    let prompt = world.logins.start_browser(LoginOptions::default()).await.unwrap();
    let asked = asked(&prompt);
    let query = [("error", "access_denied"), ("error_description", "AADSTS65004: declined"), ("state", asked["state"].as_str())];
    browse(&asked["redirect_uri"], &query).await;
    let error = within(world.logins.wait(&prompt.handle)).await.unwrap_err();
    assert_eq!((error.code(), world.server.count()), ("sign_in_declined", 0));
}

#[tokio::test]
async fn a_personal_account_through_common_is_moved_to_consumers_at_once() {
    let (server, _, result) = polls_through("common", |number| tokens(number, PERSONAL_TENANT, None)).await;
    let finished = result.unwrap();
    assert!(finished.signed_in.personal);
    let targets: Vec<String> = server.seen().into_iter().map(|seen| seen.target).collect();
    assert_eq!(targets, ["/common/oauth2/v2.0/devicecode", "/common/oauth2/v2.0/token", "/consumers/oauth2/v2.0/token"]);
    assert_eq!(server.seen()[2].form()["refresh_token"], "refresh-0");
    assert_eq!((finished.record.authority.as_str(), finished.record.refresh.expose().as_str()), ("consumers", "refresh-1"));
}

/// A clock that jumps to the end of every wait but those for an answer, which never end.
struct Jumping(ManualClock);

impl Clock for Jumping {
    fn now(&self) -> Timestamp {
        self.0.now()
    }
    fn sleep(&self, wait: Duration) -> crate::clock::Sleep<'_> {
        if wait == Duration::from_secs(30) {
            return Box::pin(std::future::pending());
        }
        self.0.advance(wait);
        Box::pin(async {})
    }
}

/// The seconds at which the device asked, and how its sign-in ended.
async fn polls(answers: fn(usize) -> Act) -> (Vec<i64>, Result<Finished, AuthError>) {
    let (_, times, result) = polls_through("organizations", answers).await;
    (times, result)
}

async fn polls_through(tenant: &str, answers: fn(usize) -> Act) -> (Server, Vec<i64>, Result<Finished, AuthError>) {
    let clock = Arc::new(Jumping(ManualClock::at(Timestamp(0))));
    let times = Arc::new(Mutex::new(Vec::new()));
    let (watch, told) = (clock.clone(), times.clone());
    let server = Server::start(move |number, seen: Seen| {
        let act = if seen.target.contains("devicecode") {
            device_code()
        } else {
            told.lock().unwrap().push(watch.now().0 / 1000);
            answers(number - 1)
        };
        async move { act }
    })
    .await;
    let settings = IdentitySettings { client_id: Some("app".into()), tenant: tenant.into(), ..IdentitySettings::default() };
    let identity = Arc::new(Identity::new(server.http(), settings, clock.clone()));
    let logins = Logins::new(identity, clock, Arc::new(SeededDice::new(1)));
    let prompt = logins.start_device(LoginOptions::default()).await.unwrap();
    let result = within(logins.wait(&prompt.handle)).await;
    let times = times.lock().unwrap().clone();
    (server, times, result)
}

#[tokio::test]
async fn slow_down_makes_the_device_ask_less_often() {
    let (times, result) = polls(|number| match number {
        0 => pending("authorization_pending"),
        1 => pending("slow_down"),
        2 => pending("authorization_pending"),
        _ => tokens(number, WORK, None),
    })
    .await;
    assert_eq!(times, [5, 10, 20, 30]);
    assert_eq!(result.unwrap().signed_in.tenant_id, WORK);
}

#[tokio::test]
async fn trouble_of_the_service_never_makes_the_device_ask_more_often() {
    fn trouble() -> Act {
        Act::json(503, &json!({"error": "temporarily_unavailable"}))
    }
    let (times, result) = polls(|number| match number {
        0 => trouble().with("retry-after", "60"),
        1 => pending("slow_down"),
        2 => trouble(),
        3 => trouble().with("retry-after", "600"),
        _ => tokens(number, WORK, None),
    })
    .await;
    assert_eq!(times, [5, 65, 130, 195, 260]);
    assert_eq!(result.unwrap().signed_in.tenant_id, WORK);
}

#[tokio::test]
async fn a_device_code_ends_in_each_of_its_ways() {
    assert_eq!(polls(|_| pending("authorization_declined")).await.1.unwrap_err().code(), "sign_in_declined");
    assert_eq!(polls(|_| pending("expired_token")).await.1.unwrap_err().code(), "sign_in_too_late");
    let blocked = |_| Act::json(400, &json!({"error": "invalid_grant", "error_codes": [530_036]}));
    assert_eq!(polls(blocked).await.1.unwrap_err().code(), "device_code_blocked");
    let (times, result) = polls(|_| pending("authorization_pending")).await;
    assert_eq!((times.last(), result.unwrap_err().code()), (Some(&895), "sign_in_too_late"));
}

#[tokio::test]
async fn a_wrong_setup_is_said_at_once() {
    let refusal: Value = json!({"error": "unauthorized_client", "error_codes": [700_016], "error_description": "AADSTS700016: Application with identifier 'x' was not found"});
    let world = World::new(move |_, _| {
        let refusal = refusal.clone();
        async move { Act::json(400, &refusal) }
    })
    .await;
    let error = world.logins.start_device(LoginOptions::default()).await.unwrap_err();
    assert_eq!((error.code(), error.kind()), ("unknown_app", crate::hint::Kind::Config));
    assert!(error.hint().unwrap().contains("client_id"));
}

#[tokio::test]
async fn cancelled_late_and_unknown_are_told_apart() {
    let world = World::new(|_, _| async { device_code() }).await;
    let logins = &world.logins;
    let prompt = logins.start_browser(LoginOptions::default()).await.unwrap();
    let waiting = world.waiting(&prompt.handle);
    until(|| logins.flows()[&prompt.handle].outcome.has_changed().is_ok()).await;
    tokio::task::yield_now().await;
    logins.cancel(&prompt.handle);
    let code = within(waiting).await.unwrap().unwrap_err().code();
    assert!(["sign_in_cancelled", "unknown_sign_in"].contains(&code), "{code}");
    assert_eq!(within(logins.wait(&prompt.handle)).await.unwrap_err().code(), "unknown_sign_in");

    let prompt = logins.start_browser(LoginOptions::default()).await.unwrap();
    tokio::task::yield_now().await;
    world.clock.advance(BROWSER_LIFE);
    assert_eq!(within(logins.wait(&prompt.handle)).await.unwrap_err().code(), "sign_in_too_late");
    world.clock.advance(KEPT);
    let fresh = logins.start_browser(LoginOptions::default()).await.unwrap();
    assert_ne!(fresh.handle, prompt.handle);
    assert_eq!(logins.wait(&prompt.handle).await.unwrap_err().code(), "unknown_sign_in");
    assert_eq!(logins.wait("nonsense").await.unwrap_err().code(), "unknown_sign_in");
}

#[tokio::test]
async fn one_of_two_who_have_begun_it_does_not_give_it_up_for_the_other() {
    let world = World::new(|_, _| async { device_code() }).await;
    let logins = &world.logins;
    let first = logins.start_browser(LoginOptions::default()).await.unwrap();
    let second = logins.start_browser(LoginOptions::default()).await.unwrap();
    assert_eq!(first.handle, second.handle);
    logins.cancel(&first.handle);
    assert!(logins.flows()[&second.handle].waits());
    logins.cancel(&second.handle);
    assert!(!logins.flows().contains_key(&second.handle));
}

#[tokio::test]
async fn only_so_many_wait_at_once() {
    let world = World::new(|_, _| async { device_code() }).await;
    for number in 0..MOST {
        let options = LoginOptions { login_hint: Some(format!("user-{number}")), ..LoginOptions::default() };
        world.logins.start_browser(options).await.unwrap();
    }
    let one_more = world.logins.start_browser(LoginOptions::default()).await.unwrap_err();
    assert_eq!(one_more.code(), "too_many_sign_ins");
}
