//! Sign-in over HTTP: code + PKCE, device code, refresh, and how each fails.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::testing::{ALEX, CASEY, REDIRECT, SCOPES, VERIFIER, World, claims};
use crate::{AuthAction, CLIENT_ID, DeviceAction};

fn code_of(body: &Value) -> u64 {
    let code = body["error_codes"][0].as_u64().unwrap();
    assert!(body["error_description"].as_str().unwrap().starts_with(&format!("AADSTS{code}: ")), "{body}");
    for field in ["timestamp", "trace_id", "correlation_id", "error_uri"] {
        assert!(body[field].is_string(), "{field} in {body}");
    }
    code
}

#[tokio::test]
async fn code_with_pkce_gives_tokens_once() {
    let world = World::new().await;
    let back = world.authorize("common", &[("login_hint", ALEX), ("client_info", "1")]).await;
    assert_eq!(back["state"], "s&1");
    assert!(back.contains_key("client_info"));
    let (status, tokens) = world.redeem("common", &back["code"], VERIFIER).await;
    assert_eq!(status, StatusCode::OK, "{tokens}");
    assert_eq!((tokens["token_type"].as_str(), tokens["expires_in"].as_i64()), (Some("Bearer"), Some(3600)));
    assert_eq!(tokens["scope"], "openid profile Mail.ReadWrite User.Read");
    assert!(tokens["refresh_token"].is_string() && tokens["client_info"].is_string());
    let id = claims(&tokens["id_token"]);
    assert_eq!((id["nonce"].as_str(), id["preferred_username"].as_str()), (Some("n1"), Some(ALEX)));
    assert_eq!(id["aud"], CLIENT_ID);
    let me = world.get("/me", tokens["access_token"].as_str().unwrap()).await;
    assert_eq!(me.status(), StatusCode::OK);

    let (status, again) = world.redeem("common", &back["code"], VERIFIER).await;
    assert_eq!((status, code_of(&again)), (StatusCode::BAD_REQUEST, 54005));
    assert_eq!(world.control().stats().tokens["authorization_code"], 1);
}

#[tokio::test]
async fn a_wrong_verifier_or_late_code_gives_nothing() {
    let world = World::new().await;
    let back = world.authorize("common", &[("login_hint", ALEX)]).await;
    let (_, wrong) = world.redeem("common", &back["code"], "another-verifier").await;
    assert_eq!((wrong["error"].as_str(), code_of(&wrong)), (Some("invalid_grant"), 501_481));
    world.control().advance(Duration::from_secs(601));
    let (_, late) = world.redeem("common", &back["code"], VERIFIER).await;
    assert_eq!(code_of(&late), 70008);
}

#[tokio::test]
async fn authorize_refuses_by_redirect_unless_the_address_is_in_doubt() {
    let world = World::new().await;
    for (more, error) in [
        (("prompt", "deny"), "access_denied"),
        (("code_challenge_method", "plain"), "invalid_request"),
        (("login_hint", "nobody@contoso.example"), "invalid_grant"),
        (("scope", "Mail.Read <script>"), "invalid_scope"),
        (("response_type", "token"), "unsupported_response_type"),
    ] {
        let back = world.authorize("common", &[("login_hint", ALEX), more]).await;
        assert_eq!((back["error"].as_str(), back["state"].as_str()), (error, "s&1"), "{more:?}");
    }
    // A work account at `consumers`, a personal one at `organizations`.
    for (authority, username) in [("consumers", ALEX), ("organizations", CASEY)] {
        let back = world.authorize(authority, &[("login_hint", username)]).await;
        assert!(back["error_description"].starts_with("AADSTS50020"), "{back:?}");
    }
    let url = format!("{}/common/oauth2/v2.0/authorize", world.tenant.addresses().identity);
    for (client, redirect, code) in [(CLIENT_ID, "https://evil.example/", "AADSTS50011"), ("unknown", REDIRECT, "AADSTS700016")] {
        let query = [("client_id", client), ("redirect_uri", redirect), ("response_type", "code")];
        let response = world.http.get(&url).query(&query).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        assert!(response.text().await.unwrap().contains(code));
    }
}

#[tokio::test]
async fn without_a_hint_a_person_chooses_by_link() {
    let world = World::new().await;
    let base = &world.tenant.addresses().identity;
    let url = format!("{base}/common/oauth2/v2.0/authorize");
    let challenge = crate::testing::challenge(VERIFIER);
    let query = [
        ("client_id", CLIENT_ID),
        ("redirect_uri", REDIRECT),
        ("response_type", "code"),
        ("scope", SCOPES),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ];
    let page = world.http.get(url).query(&query).send().await.unwrap().text().await.unwrap();
    assert!(!page.contains("support@contoso.example"), "nobody signs in to a shared mailbox");
    let link = page.split("href=\"").find(|rest| rest.contains(ALEX)).unwrap().split('"').next().unwrap();
    let response = world.http.get(format!("{base}{}", link.replace("&amp;", "&"))).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::FOUND);
    assert!(response.headers()["location"].to_str().unwrap().contains("code="));
}

async fn device(world: &World) -> (String, String) {
    let url = format!("{}/common/oauth2/v2.0/devicecode", world.tenant.addresses().identity);
    let form = [("client_id", CLIENT_ID), ("scope", SCOPES)];
    let started: Value = world.http.post(url).form(&form).send().await.unwrap().json().await.unwrap();
    assert_eq!((started["interval"].as_u64(), started["expires_in"].as_u64()), (Some(5), Some(900)), "{started}");
    assert!(started["message"].as_str().unwrap().contains(started["user_code"].as_str().unwrap()));
    let text = |name: &str| started[name].as_str().unwrap().to_owned();
    (text("device_code"), text("user_code"))
}

async fn poll(world: &World, device_code: &str) -> Value {
    let grant = "urn:ietf:params:oauth:grant-type:device_code";
    world.token("common", &[("grant_type", grant), ("device_code", device_code)]).await.1
}

#[tokio::test]
async fn device_code_says_all_it_can_say() {
    let world = World::new().await;
    let (code, user_code) = device(&world).await;
    let pending = poll(&world, &code).await;
    assert_eq!((pending["error"].as_str(), code_of(&pending)), (Some("authorization_pending"), 70016));
    assert_eq!(poll(&world, &code).await["error"], "slow_down");
    world.control().advance(Duration::from_secs(5));
    assert_eq!(poll(&world, &code).await["error"], "authorization_pending");
    assert_eq!(poll(&world, "no such code").await["error"], "bad_verification_code");

    // As the page does it, sloppily typed.
    let typed = user_code.to_lowercase();
    let form = [("user_code", typed.as_str()), ("username", ALEX), ("action", "approve")];
    let page = format!("{}/devicelogin", world.tenant.addresses().identity);
    assert!(world.http.get(&page).send().await.unwrap().text().await.unwrap().contains(ALEX));
    let done = world.http.post(&page).form(&form).send().await.unwrap().text().await.unwrap();
    assert!(done.contains("Done"), "{done}");
    let tokens = poll(&world, &code).await;
    assert!(tokens["access_token"].is_string() && tokens["refresh_token"].is_string(), "{tokens}");
    assert_eq!(poll(&world, &code).await["error"], "bad_verification_code");

    let (code, user_code) = device(&world).await;
    world.control().device(&user_code, None, DeviceAction::Decline).unwrap();
    assert_eq!(poll(&world, &code).await["error"], "authorization_declined");
    assert!(world.control().device(&user_code, Some(ALEX), DeviceAction::Approve).is_err());

    let (code, _) = device(&world).await;
    world.control().advance(Duration::from_secs(901));
    let expired = poll(&world, &code).await;
    assert_eq!((expired["error"].as_str(), code_of(&expired)), (Some("expired_token"), 70019));

    let (code, user_code) = device(&world).await;
    world.control().device(&user_code, None, DeviceAction::SlowDown).unwrap();
    assert_eq!(poll(&world, &code).await["error"], "slow_down");
    assert_eq!(poll(&world, &code).await["error"], "slow_down", "the poll just before counts as well");
}

#[tokio::test]
async fn refresh_rotates_and_the_old_token_stays_good() {
    let world = World::new().await;
    let tokens = world.sign_in("common", ALEX).await;
    let first = tokens["refresh_token"].as_str().unwrap();
    let (_, next) = world.refresh("common", first).await;
    let second = next["refresh_token"].as_str().unwrap();
    assert_ne!(first, second);
    assert_ne!(tokens["access_token"], next["access_token"]);
    for token in [first, second] {
        assert_eq!(world.refresh("common", token).await.0, StatusCode::OK);
    }
    let form = [("grant_type", "refresh_token"), ("refresh_token", first), ("scope", "Files.Read")];
    let (_, more) = world.token("common", &form).await;
    assert_eq!((code_of(&more), more["suberror"].as_str()), (65001, Some("consent_required")));
    let (_, secret) = world.token("common", &[("grant_type", "refresh_token"), ("refresh_token", first), ("client_secret", "x")]).await;
    assert_eq!(secret["error"], "invalid_client");
    let (_, foreign) = world.refresh("common", "made up").await;
    assert_eq!(code_of(&foreign), 70000);
    let (_, stranger) = world.refresh("22222222-0000-4000-a000-000000000000", first).await;
    assert_eq!(code_of(&stranger), 90002);
}

#[tokio::test]
async fn refresh_fails_as_it_is_told() {
    let world = World::new().await;
    let tokens = world.sign_in("organizations", ALEX).await;
    let token = tokens["refresh_token"].as_str().unwrap();
    for (code, error) in [(50076, "interaction_required"), (53003, "invalid_grant"), (90033, "temporarily_unavailable")] {
        world.control().auth(ALEX, AuthAction::FailRefresh { code }).unwrap();
        let (status, body) = world.refresh("organizations", token).await;
        assert_eq!((body["error"].as_str(), code_of(&body)), (Some(error), u64::from(code)));
        assert_eq!(status.is_server_error(), code == 90033);
    }
    assert!(world.control().auth(ALEX, AuthAction::FailRefresh { code: 1 }).is_err());
    assert_eq!(world.refresh("organizations", token).await.0, StatusCode::OK, "each failure is for one refresh");

    let revoke = json!({"username": ALEX, "action": "revoke"});
    assert_eq!(world.post_control("/auth", &revoke).await.0, StatusCode::OK);
    let (_, revoked) = world.refresh("organizations", token).await;
    assert_eq!(code_of(&revoked), 50173);
    let fresh = world.sign_in("organizations", ALEX).await;
    let token = fresh["refresh_token"].as_str().unwrap();
    assert_eq!(world.refresh("organizations", token).await.0, StatusCode::OK);
    world.control().advance(Duration::from_secs(91 * 24 * 3600));
    assert_eq!(code_of(&world.refresh("organizations", token).await.1), 700_082);
}

#[tokio::test]
async fn a_personal_token_from_common_dies_after_an_hour() {
    let world = World::new().await;
    let (common, consumers) = (world.sign_in("common", CASEY).await, world.sign_in("consumers", CASEY).await);
    let text = |tokens: &Value| tokens["refresh_token"].as_str().unwrap().to_owned();
    let (common, consumers) = (text(&common), text(&consumers));
    assert_eq!(world.refresh("common", &common).await.0, StatusCode::OK);
    world.control().advance(Duration::from_secs(3601));
    assert_eq!(code_of(&world.refresh("common", &common).await.1), 70000);
    assert_eq!(world.refresh("consumers", &consumers).await.0, StatusCode::OK);
}

#[tokio::test]
async fn discovery_names_every_endpoint() {
    let world = World::new().await;
    let base = &world.tenant.addresses().identity;
    let url = format!("{base}/common/v2.0/.well-known/openid-configuration");
    let document = world.http.get(url).send().await.unwrap();
    let document: Value = document.json().await.unwrap();
    // Over plain HTTP as Microsoft writes it; the TLS port's document is looked at where TLS is.
    let named = "https://login.microsoftonline.com/common/oauth2/v2.0/";
    let endpoint = |name: &str| document[name].as_str().unwrap().to_owned();
    assert!(endpoint("authorization_endpoint").starts_with(named));
    assert!(endpoint("device_authorization_endpoint").starts_with(named));
    assert_eq!(endpoint("token_endpoint"), format!("{named}token"));
    let unknown = format!("{base}/22222222-0000-4000-a000-000000000000/v2.0/.well-known/openid-configuration");
    assert_eq!(world.http.get(unknown).send().await.unwrap().status(), StatusCode::BAD_REQUEST);
}
