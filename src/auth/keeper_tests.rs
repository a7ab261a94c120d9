//! The keeper of tokens against a scripted identity service and a clock that stands still.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use tokio::sync::Semaphore;

use super::*;
use crate::{
    auth::{
        IdentitySettings,
        testing::{Act, MemoryPort, Seen, Server, reply, until, within},
        tokens::Issuer,
    },
    chance::SeededDice,
    clock::ManualClock,
};

const ISSUER: Issuer<'_> = Issuer { cloud: "demo", authority: "consumers", client_id: "app" };

struct World {
    server: Server,
    keeper: Arc<Keeper>,
    port: Arc<MemoryPort>,
    clock: Arc<ManualClock>,
    account: AccountId,
}

impl World {
    /// An account with the tokens `access-0` and `refresh-0`, good for an hour, and a service that does `handler`.
    async fn new<F: Future<Output = Act> + Send + 'static>(handler: impl Fn(usize, Seen) -> F + Send + Sync + 'static) -> Self {
        let server = Server::start(handler).await;
        let clock = Arc::new(ManualClock::at(Timestamp(1_000_000)));
        let settings = IdentitySettings { client_id: Some("app".into()), ..IdentitySettings::default() };
        let identity = Arc::new(Identity::new(server.http(), settings, clock.clone()));
        let port = Arc::new(MemoryPort::default());
        let keeper = Keeper::new(identity, port.clone(), clock.clone(), Arc::new(SeededDice::new(7)));
        let account = AccountId::new("oid.tid");
        let scopes = ["User.Read".to_owned()];
        let record = TokenRecord::first(&reply("access-0", Some("refresh-0")), ISSUER, &scopes, clock.now(), &SeededDice::new(1));
        keeper.adopt(&account, record.unwrap()).await.unwrap();
        Self { server, keeper, port, clock, account }
    }

    async fn bearer(&self) -> Result<String, AuthError> {
        within(self.keeper.bearer(&self.account, None)).await.map(|token| token.expose().clone())
    }

    async fn refuse(&self, token: &str, claims: Option<&str>) -> Result<String, AuthError> {
        let refused = Refused { token: Secret::new(token.into()), claims: claims.map(str::to_owned) };
        within(self.keeper.bearer(&self.account, Some(&refused))).await.map(|token| token.expose().clone())
    }

    fn minutes(&self, minutes: u64) {
        self.clock.advance(Duration::from_secs(60 * minutes));
    }
}

fn issue(number: usize) -> Act {
    let body = json!({
        "token_type": "Bearer", "expires_in": 3600,
        "access_token": format!("access-{}", number + 1), "refresh_token": format!("refresh-{}", number + 1),
    });
    Act::json(200, &body)
}

fn invalid_grant(number: u32) -> Act {
    Act::json(
        400,
        &json!({"error": "invalid_grant", "error_description": format!("AADSTS{number}: …"), "error_codes": [number], "correlation_id": "c-1"}),
    )
}

#[tokio::test]
async fn twenty_callers_share_one_refresh() {
    let gate = Arc::new(Semaphore::new(0));
    let hold = gate.clone();
    let world = World::new(move |number, _| {
        let hold = hold.clone();
        async move {
            hold.acquire().await.unwrap().forget();
            issue(number)
        }
    })
    .await;
    world.minutes(59);
    let callers: Vec<_> = (0..20)
        .map(|_| {
            let (keeper, account) = (world.keeper.clone(), world.account.clone());
            tokio::spawn(async move { keeper.bearer(&account, None).await.map(|token| token.expose().clone()) })
        })
        .collect();
    world.server.arrived(1).await;
    gate.add_permits(20);
    for caller in callers {
        assert_eq!(within(caller).await.unwrap().unwrap(), "access-1");
    }
    assert_eq!(world.server.count(), 1);
    let form = world.server.seen()[0].form();
    assert_eq!(world.server.seen()[0].target, "/consumers/oauth2/v2.0/token");
    assert_eq!(
        (form["grant_type"].as_str(), form["refresh_token"].as_str(), form["scope"].as_str()),
        ("refresh_token", "refresh-0", "User.Read")
    );
}

#[tokio::test]
async fn a_failed_refresh_is_one_failure_for_all_who_waited() {
    let gate = Arc::new(Semaphore::new(0));
    let hold = gate.clone();
    let world = World::new(move |_, _| {
        let hold = hold.clone();
        async move {
            hold.acquire().await.unwrap().forget();
            Act::json(503, &json!({"error": "temporarily_unavailable"}))
        }
    })
    .await;
    world.minutes(61);
    let callers: Vec<_> = (0..10)
        .map(|_| {
            let (keeper, account) = (world.keeper.clone(), world.account.clone());
            tokio::spawn(async move { keeper.bearer(&account, None).await.map(drop) })
        })
        .collect();
    world.server.arrived(1).await;
    gate.add_permits(20);
    for caller in callers {
        assert!(within(caller).await.unwrap().unwrap_err().is_passing());
    }
    assert_eq!(world.server.count(), 1);
}

#[tokio::test]
async fn ahead_of_expiry_nobody_waits() {
    let gate = Arc::new(Semaphore::new(0));
    let hold = gate.clone();
    let world = World::new(move |number, _| {
        let hold = hold.clone();
        async move {
            hold.acquire().await.unwrap().forget();
            issue(number)
        }
    })
    .await;
    world.minutes(29);
    assert_eq!(world.bearer().await.unwrap(), "access-0");
    assert_eq!(world.server.count(), 0, "too early");
    world.minutes(17);
    // The service does not answer yet, and the caller has its token all the same.
    assert_eq!(world.bearer().await.unwrap(), "access-0");
    world.server.arrived(1).await;
    assert_eq!(world.bearer().await.unwrap(), "access-0");
    gate.add_permits(1);
    let renewed = |state| matches!(state, TokenState::Held { expires } if expires > Timestamp(1_000_000 + 3_600_000));
    until(|| renewed(world.keeper.state(&world.account))).await;
    assert_eq!(world.bearer().await.unwrap(), "access-1");
    assert_eq!(world.server.count(), 1);
}

#[tokio::test]
async fn new_tokens_are_saved_before_anybody_gets_them() {
    let world = World::new(|number, _| async move { issue(number) }).await;
    world.minutes(61);
    world.port.full.store(true, Ordering::SeqCst);
    let error = world.bearer().await.unwrap_err();
    assert_eq!(error.code(), "tokens_not_kept");
    assert!(world.port.text(&world.account).contains("refresh-0"), "the old record is untouched");
    world.port.full.store(false, Ordering::SeqCst);
    world.minutes(1);
    assert_eq!(world.bearer().await.unwrap(), "access-2");
    assert!(world.port.text(&world.account).contains("refresh-2"));
    assert_eq!(world.server.seen()[1].form()["refresh_token"], "refresh-0", "an unsaved refresh token is not used");
}

#[tokio::test]
async fn a_final_refusal_is_remembered_until_somebody_signs_in() {
    let world = World::new(|_, _| async { invalid_grant(50_173) }).await;
    world.minutes(61);
    for _ in 0..10 {
        let error = world.bearer().await.unwrap_err();
        assert_eq!((error.code(), error.hint().unwrap().contains("m365-cachectl login")), ("sign_in_required", true));
        assert!(!format!("{error:?} {error}").contains("refresh-0"));
    }
    assert_eq!(world.server.count(), 1, "the service is not asked again");
    let TokenState::SignInRequired(problem) = world.keeper.state(&world.account) else { panic!("not known") };
    assert_eq!((problem.reason, problem.aadsts), (Reason::Revoked, Some(50_173)));
    let record = TokenRecord::first(&reply("access-9", Some("refresh-9")), ISSUER, &[], world.clock.now(), &SeededDice::new(1));
    world.keeper.adopt(&world.account, record.unwrap()).await.unwrap();
    assert_eq!(world.bearer().await.unwrap(), "access-9");
    assert!(matches!(world.keeper.state(&world.account), TokenState::Held { .. }));
}

#[tokio::test]
async fn what_is_still_good_is_used_while_the_service_is_in_trouble() {
    let world = World::new(|_, _| async { Act::json(503, &json!({"error": "temporarily_unavailable"})).with("retry-after", "120") }).await;
    world.minutes(46);
    for _ in 0..5 {
        assert_eq!(world.bearer().await.unwrap(), "access-0");
        let keeper = world.keeper.clone();
        until(|| keeper.slot(&world.account).held(|held| held.pause.is_some())).await;
    }
    assert_eq!(world.server.count(), 1, "Retry-After is obeyed");
    world.minutes(1);
    assert_eq!(world.bearer().await.unwrap(), "access-0");
    assert_eq!(world.server.count(), 1);
    world.minutes(2);
    assert_eq!(world.bearer().await.unwrap(), "access-0");
    world.server.arrived(2).await;
}

/// The wait that the identity service asked for, as it is kept.
async fn wait_of(retry_after: &'static str) -> Duration {
    let world = World::new(move |_, _| async move {
        Act::json(503, &json!({"error": "temporarily_unavailable"}))
            .with("retry-after", retry_after)
            .with("date", "Sun, 06 Nov 1994 08:49:37 GMT")
    })
    .await;
    world.minutes(61);
    assert_eq!(world.bearer().await.unwrap_err().code(), "identity_unreachable");
    let now = world.clock.now();
    world.keeper.slot(&world.account).held(|held| held.pause.as_mut().unwrap().1.left(now))
}

#[tokio::test]
async fn the_service_may_ask_for_an_hour_at_most_in_seconds_or_by_a_date() {
    assert_eq!(wait_of("120").await, Duration::from_secs(120));
    assert_eq!(wait_of("999999").await, Duration::from_secs(3600));
    assert_eq!(wait_of("Sun, 06 Nov 1994 08:51:37 GMT").await, Duration::from_secs(120));
}

#[tokio::test]
async fn a_clock_set_back_does_not_keep_the_sign_in_shut() {
    let world = World::new(|number, _| async move {
        match number {
            0 => Act::json(503, &json!({"error": "temporarily_unavailable"})).with("retry-after", "120"),
            1 => invalid_grant(50_173),
            number => issue(number),
        }
    })
    .await;
    let years = 1_000_000;
    world.minutes(years);
    assert!(world.bearer().await.is_err());
    // The token's time is over only by the clock that was wrong: what Graph refuses has to be renewed.
    world.clock.set(Timestamp(1_000_000));
    assert_eq!(world.refuse("access-0", None).await.unwrap_err().code(), "identity_unreachable", "the pause has its length still");
    world.minutes(2);
    assert_eq!(world.refuse("access-0", None).await.unwrap_err().code(), "sign_in_required");
    assert_eq!(world.server.count(), 2);
    // The same for a refusal that is remembered.
    world.clock.set(Timestamp(0));
    assert!(world.refuse("access-0", None).await.is_err());
    world.minutes(60);
    assert_eq!(world.refuse("access-0", None).await.unwrap(), "access-3");
}

#[tokio::test]
async fn a_clock_set_back_does_not_count_refused_tokens_for_ever() {
    let world = World::new(|number, _| async move { issue(number) }).await;
    let mut token = "access-0".to_owned();
    for _ in 0..FORCED_MOST {
        token = world.refuse(&token, None).await.unwrap();
    }
    assert!(world.refuse(&token, None).await.is_err());
    world.clock.set(Timestamp(0));
    assert!(world.refuse(&token, None).await.is_ok());
}

#[tokio::test]
async fn a_refused_token_is_renewed_once_however_many_were_refused() {
    let world = World::new(|number, _| async move { issue(number) }).await;
    for _ in 0..10 {
        assert_eq!(world.refuse("access-0", None).await.unwrap(), "access-1");
    }
    assert_eq!(world.server.count(), 1);
    let asked = r#"{"access_token":{"nbf":{"essential":true,"value":"1"}}}"#;
    assert_eq!(world.refuse("access-1", Some(asked)).await.unwrap(), "access-2");
    assert!(world.server.seen()[1].form()["claims"].contains("nbf"));
}

#[tokio::test]
async fn graph_that_refuses_every_new_token_does_not_make_us_hammer() {
    let world = World::new(|number, _| async move { issue(number) }).await;
    let mut token = "access-0".to_owned();
    let mut renewed = 0;
    let error = loop {
        match world.refuse(&token, None).await {
            Ok(next) => token = next,
            Err(error) => break error,
        }
        renewed += 1;
    };
    assert_eq!((renewed, error.code()), (FORCED_MOST, "sign_in_required"));
    world.minutes(2);
    assert!(world.refuse(&token, None).await.is_ok());
}

#[tokio::test]
async fn a_caller_that_goes_away_loses_nothing() {
    let gate = Arc::new(Semaphore::new(0));
    let hold = gate.clone();
    let world = World::new(move |number, _| {
        let hold = hold.clone();
        async move {
            hold.acquire().await.unwrap().forget();
            issue(number)
        }
    })
    .await;
    world.minutes(61);
    let (keeper, account) = (world.keeper.clone(), world.account.clone());
    let caller = tokio::spawn(async move { keeper.bearer(&account, None).await.map(drop) });
    world.server.arrived(1).await;
    caller.abort();
    gate.add_permits(1);
    until(|| world.port.text(&world.account).contains("refresh-1")).await;
    assert_eq!(world.bearer().await.unwrap(), "access-1");
}

#[tokio::test]
async fn signing_out_stops_a_refresh_from_saving() {
    let gate = Arc::new(Semaphore::new(0));
    let (hold, answered) = (gate.clone(), Arc::new(AtomicUsize::new(0)));
    let count = answered.clone();
    let world = World::new(move |number, _| {
        let (hold, count) = (hold.clone(), count.clone());
        async move {
            hold.acquire().await.unwrap().forget();
            count.fetch_add(1, Ordering::SeqCst);
            issue(number)
        }
    })
    .await;
    world.minutes(61);
    let saves = world.port.saves.load(Ordering::SeqCst);
    let (keeper, account) = (world.keeper.clone(), world.account.clone());
    let caller = tokio::spawn(async move { keeper.bearer(&account, None).await.map(drop) });
    world.server.arrived(1).await;
    // Does not wait for the service.
    let leaving = within(world.keeper.leave(&world.account)).await;
    assert_eq!(within(caller).await.unwrap().unwrap_err().code(), "sign_in_required");
    assert_eq!(world.bearer().await.unwrap_err().code(), "sign_in_required", "none is given while it leaves");
    leaving.done();
    gate.add_permits(1);
    assert_eq!(world.port.saves.load(Ordering::SeqCst), saves);
    assert_eq!(world.bearer().await.unwrap_err().code(), "sign_in_required", "the kept record is not loaded again");
    assert!(matches!(world.keeper.state(&world.account), TokenState::SignInRequired(_)));
    let record = TokenRecord::first(&reply("access-9", Some("refresh-9")), ISSUER, &[], world.clock.now(), &SeededDice::new(1));
    world.keeper.adopt(&world.account, record.unwrap()).await.unwrap();
    assert_eq!(world.bearer().await.unwrap(), "access-9");
}

#[tokio::test]
async fn a_sign_out_that_is_taken_back_leaves_the_tokens_as_they_were() {
    let gate = Arc::new(Semaphore::new(0));
    let hold = gate.clone();
    let world = World::new(move |number, _| {
        let hold = hold.clone();
        async move {
            hold.acquire().await.unwrap().forget();
            issue(number)
        }
    })
    .await;
    let before = world.keeper.state(&world.account);
    drop(within(world.keeper.leave(&world.account)).await);
    assert_eq!((world.keeper.state(&world.account), world.bearer().await.unwrap().as_str()), (before, "access-0"));
    // Also when a refresh was given up for it.
    world.minutes(61);
    let (keeper, account) = (world.keeper.clone(), world.account.clone());
    let caller = tokio::spawn(async move { keeper.bearer(&account, None).await.map(drop) });
    world.server.arrived(1).await;
    drop(within(world.keeper.leave(&world.account)).await);
    within(caller).await.unwrap().unwrap_err();
    gate.add_permits(2);
    assert_eq!(world.bearer().await.unwrap(), "access-2");
    // And when it is cut short while it waits for its turn.
    let slot = world.keeper.slot(&world.account);
    let turn = slot.turn.clone().lock_owned().await;
    let (keeper, account) = (world.keeper.clone(), world.account.clone());
    let leaving = tokio::spawn(async move { keeper.leave(&account).await });
    until(|| *slot.gone.borrow()).await;
    leaving.abort();
    assert!(within(leaving).await.is_err());
    drop(turn);
    assert_eq!(world.bearer().await.unwrap(), "access-2");
}

#[tokio::test]
async fn after_a_restart_the_kept_record_is_used() {
    let world = World::new(|number, _| async move { issue(number) }).await;
    let parts = &world.keeper.parts;
    let again = Keeper::new(parts.identity.clone(), world.port.clone(), world.clock.clone(), parts.dice.clone());
    assert_eq!(again.bearer(&world.account, None).await.unwrap().expose(), "access-0");
    let stranger = again.bearer(&AccountId::new("other.tid"), None).await.map(drop).unwrap_err();
    assert_eq!(stranger.code(), "sign_in_required");
    assert_eq!(world.server.count(), 0);
}

#[tokio::test]
async fn tokens_of_one_cloud_are_shown_to_no_other() {
    let world = World::new(|number, _| async move { issue(number) }).await;
    let elsewhere = AccountId::new("oid2.tid");
    let issuer = Issuer { cloud: "usgov", ..ISSUER };
    let record = TokenRecord::first(&reply("access-9", Some("refresh-9")), issuer, &[], world.clock.now(), &SeededDice::new(1)).unwrap();
    world.port.save(&elsewhere, record.to_bytes()).await.unwrap();
    let error = within(world.keeper.bearer(&elsewhere, None)).await.map(drop).unwrap_err();
    let AuthError::SignInRequired(problem) = &error else { panic!("{error:?}") };
    assert_eq!(problem.reason, Reason::OtherCloud);
    assert!(error.hint().unwrap().contains("cloud.name"), "{error:?}");
    // Past its end it would be renewed.
    world.minutes(61);
    assert!(within(world.keeper.bearer(&elsewhere, None)).await.is_err());
    assert_eq!(world.server.count(), 0, "nobody was asked");
}

#[tokio::test]
async fn a_sign_in_that_cannot_be_saved_fails_and_leaves_the_account_as_it_was() {
    let world = World::new(async |number, _| issue(number)).await;
    world.port.full.store(true, Ordering::SeqCst);
    let record = TokenRecord::first(&reply("access-9", Some("refresh-9")), ISSUER, &[], world.clock.now(), &SeededDice::new(1));
    assert!(world.keeper.adopt(&world.account, record.unwrap()).await.is_err());
    assert_eq!(world.bearer().await.unwrap(), "access-0");
    assert!(!world.port.text(&world.account).contains("refresh-9"));
}
