//! What the tests of this crate share: a running tenant, a client, and signing in.

use std::collections::BTreeMap;
use std::sync::Once;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{CLIENT_ID, Control, Options, Tenant};

pub(crate) const ALEX: &str = "alex@contoso.example";
pub(crate) const CASEY: &str = "casey@outlook.example";
pub(crate) const REDIRECT: &str = "http://localhost:4321/back";
pub(crate) const SCOPES: &str = "openid profile offline_access Mail.ReadWrite User.Read";
pub(crate) const VERIFIER: &str = "a-code-verifier-of-at-least-forty-three-characters";

/// A tenant with a client that follows no redirects.
pub(crate) struct World {
    pub(crate) tenant: Tenant,
    pub(crate) http: Client,
}

/// Sets what TLS is made of; once per process.
pub(crate) fn provider() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Somebody else in this process may have done it: just as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

pub(crate) fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier))
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(Options::default()).await
    }

    pub(crate) async fn with(options: Options) -> Self {
        provider();
        let tenant = Tenant::start(options).await.unwrap();
        let http = Client::builder().redirect(Policy::none()).no_proxy().build().unwrap();
        Self { tenant, http }
    }

    pub(crate) fn control(&self) -> &Control {
        self.tenant.control()
    }

    pub(crate) fn graph(&self, path: &str) -> String {
        format!("{}/v1.0{path}", self.tenant.addresses().graph)
    }

    /// Runs the authorize endpoint; what it sent back to the redirect address.
    pub(crate) async fn authorize(&self, authority: &str, more: &[(&str, &str)]) -> BTreeMap<String, String> {
        let url = format!("{}/{authority}/oauth2/v2.0/authorize", self.tenant.addresses().identity);
        let challenge = challenge(VERIFIER);
        let mut query: BTreeMap<&str, &str> = BTreeMap::from([
            ("client_id", CLIENT_ID),
            ("response_type", "code"),
            ("redirect_uri", REDIRECT),
            ("scope", SCOPES),
            ("state", "s&1"),
            ("nonce", "n1"),
            ("code_challenge", challenge.as_str()),
            ("code_challenge_method", "S256"),
        ]);
        query.extend(more.iter().copied());
        let response = self.http.get(url).query(&query).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::FOUND, "{}", response.text().await.unwrap());
        let target = response.headers()["location"].to_str().unwrap().to_owned();
        assert!(target.starts_with(REDIRECT), "{target}");
        url::Url::parse(&target).unwrap().query_pairs().into_owned().collect()
    }

    /// Asks the token endpoint.
    pub(crate) async fn token(&self, authority: &str, form: &[(&str, &str)]) -> (StatusCode, Value) {
        let url = format!("{}/{authority}/oauth2/v2.0/token", self.tenant.addresses().identity);
        let mut fields: BTreeMap<&str, &str> = BTreeMap::from([("client_id", CLIENT_ID)]);
        fields.extend(form.iter().copied());
        let response = self.http.post(url).form(&fields).send().await.unwrap();
        (response.status(), response.json().await.unwrap())
    }

    /// Redeems a code.
    pub(crate) async fn redeem(&self, authority: &str, code: &str, verifier: &str) -> (StatusCode, Value) {
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", REDIRECT),
            ("code_verifier", verifier),
            ("client_info", "1"),
        ];
        self.token(authority, &form).await
    }

    /// Uses a refresh token.
    pub(crate) async fn refresh(&self, authority: &str, token: &str) -> (StatusCode, Value) {
        self.token(authority, &[("grant_type", "refresh_token"), ("refresh_token", token)]).await
    }

    /// Signs in; the whole token answer.
    pub(crate) async fn sign_in(&self, authority: &str, username: &str) -> Value {
        let back = self.authorize(authority, &[("login_hint", username)]).await;
        let (status, tokens) = self.redeem(authority, &back["code"], VERIFIER).await;
        assert_eq!(status, StatusCode::OK, "{tokens}");
        tokens
    }

    /// Signs in; the access token.
    pub(crate) async fn bearer(&self) -> String {
        self.sign_in("organizations", ALEX).await["access_token"].as_str().unwrap().to_owned()
    }

    /// GETs below `/v1.0`.
    pub(crate) async fn get(&self, path: &str, bearer: &str) -> reqwest::Response {
        self.http.get(self.graph(path)).bearer_auth(bearer).send().await.unwrap()
    }

    /// Says something to the control port.
    pub(crate) async fn post_control(&self, verb: &str, body: &Value) -> (StatusCode, Value) {
        let url = format!("{}{verb}", self.tenant.addresses().control);
        let response = self.http.post(url).json(body).send().await.unwrap();
        (response.status(), response.json().await.unwrap())
    }
}

/// The claims of a token, unchecked, as a client reads them.
pub(crate) fn claims(token: &Value) -> Value {
    let part = token.as_str().unwrap().split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}
