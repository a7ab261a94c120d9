//! The identity service's endpoints: where the browser goes, codes for tokens, tokens for newer ones, device codes.
//!
//! Source: Microsoft identity platform, *OAuth 2.0 authorization code flow* and *device authorization grant*.

use std::{sync::Arc, time::Duration};

use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use super::{
    AuthError, Http, SignInProblem, Trouble, login::CONSUMERS, permission, pkce::Proof, problem::classify, retry_after::retry_after,
};
use crate::{clock::Clock, secret::Secret};

/// The permissions of the tools there are, no more.
pub const DEFAULT_SCOPES: [&str; 15] = [
    "openid",
    "profile",
    "offline_access",
    "User.Read",
    "User.ReadBasic.All",
    "Mail.ReadWrite",
    "Mail.ReadWrite.Shared",
    "Mail.Send",
    "Mail.Send.Shared",
    "MailboxSettings.ReadWrite",
    "Calendars.ReadWrite",
    "Calendars.ReadWrite.Shared",
    "Contacts.ReadWrite",
    "Files.ReadWrite",
    "Files.Read.All",
];

/// Those of them that only mean something within an organization: a personal account is not asked for them.
pub(super) const ORGANIZATION_SCOPES: [&str; 5] =
    ["User.ReadBasic.All", "Mail.ReadWrite.Shared", "Mail.Send.Shared", "Calendars.ReadWrite.Shared", "Files.Read.All"];

/// The longest an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// The longest answer that is read, in bytes.
const MOST: usize = 1 << 20;

/// With which application to sign in, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentitySettings {
    /// Id of the app registration; nobody can sign in without.
    pub client_id: Option<String>,
    /// Tenant part of the address for sign-ins that are not said to be personal: `common`, `organizations` or a directory's id.
    pub tenant: String,
    /// Permissions to ask for.
    pub scopes: Vec<String>,
}

impl Default for IdentitySettings {
    fn default() -> Self {
        Self { client_id: None, tenant: "common".into(), scopes: DEFAULT_SCOPES.map(str::to_owned).to_vec() }
    }
}

/// The identity service of one cloud.
pub struct Identity {
    http: Arc<Http>,
    settings: IdentitySettings,
    clock: Arc<dyn Clock>,
}

/// What the token endpoint gave.
pub(super) struct TokenReply {
    pub(super) access: Secret<String>,
    pub(super) refresh: Option<Secret<String>>,
    pub(super) id_token: Option<Secret<String>>,
    pub(super) client_info: Option<String>,
    pub(super) expires_in: Duration,
    /// The permissions it granted, without their resource; `None` when it says nothing of them.
    pub(super) granted: Option<Vec<String>>,
}

/// What the device endpoint gave.
pub(super) struct DeviceStart {
    pub(super) device_code: Secret<String>,
    pub(super) user_code: String,
    pub(super) verification_uri: String,
    pub(super) message: String,
    pub(super) expires_in: Duration,
    pub(super) interval: Duration,
}

/// Why an endpoint gave nothing.
#[derive(Debug)]
pub(super) enum Failure {
    /// It answered with an OAuth error.
    Refused(Refusal),
    /// It did not answer, or not in OAuth's words.
    Broken(AuthError),
}

/// An OAuth error answer.
#[derive(Debug)]
pub(super) struct Refusal {
    status: u16,
    /// `invalid_grant`, `authorization_pending`…
    pub(super) error: String,
    numbers: Vec<u32>,
    correlation: Option<String>,
    retry_after: Option<Duration>,
    authority: String,
}

impl Refusal {
    /// `make` is what to call it when it does not pass by itself.
    fn judge(self, make: fn(SignInProblem) -> AuthError) -> AuthError {
        match classify(&self.error, &self.numbers, self.status, &self.authority) {
            Some(reason) => {
                make(SignInProblem { reason, aadsts: self.numbers.first().copied(), error: self.error, correlation: self.correlation })
            }
            None => {
                let reason = format!("it answered {} {}", self.status, self.error).into();
                AuthError::Unreachable { reason, retry_after: self.retry_after }
            }
        }
    }
}

impl Failure {
    /// As seen by somebody who is signing in.
    pub(super) fn at_sign_in(self) -> AuthError {
        match self {
            Self::Refused(refusal) => refusal.judge(AuthError::Refused),
            Self::Broken(error) => error,
        }
    }

    /// As seen by the keeper of tokens.
    pub(super) fn at_refresh(self) -> AuthError {
        match self {
            Self::Refused(refusal) => refusal.judge(AuthError::SignInRequired),
            Self::Broken(error) => error,
        }
    }
}

impl Identity {
    /// The service that belongs to the cloud of `http`.
    pub fn new(http: Arc<Http>, settings: IdentitySettings, clock: Arc<dyn Clock>) -> Self {
        Self { http, settings, clock }
    }

    pub(super) fn settings(&self) -> &IdentitySettings {
        &self.settings
    }

    pub(super) fn client_id(&self) -> Result<&str, AuthError> {
        self.settings.client_id.as_deref().ok_or(AuthError::NotConfigured)
    }

    /// The permissions to ask `tenant` for.
    pub(super) fn scopes(&self, tenant: &str) -> Vec<String> {
        let fits = |scope: &&String| tenant != CONSUMERS || !ORGANIZATION_SCOPES.contains(&scope.as_str());
        self.settings.scopes.iter().filter(fits).cloned().collect()
    }

    fn scope(&self, tenant: &str) -> String {
        self.spelled(&self.scopes(tenant))
    }

    /// Permissions as this cloud's service takes them.
    fn spelled(&self, scopes: &[String]) -> String {
        let cloud = self.http.cloud();
        let spelled: Vec<String> = scopes.iter().map(|scope| cloud.scope(scope)).collect();
        spelled.join(" ")
    }

    /// Name of the cloud that it belongs to.
    pub(super) fn cloud(&self) -> &str {
        &self.http.cloud().name
    }

    /// Where an administrator of `tenant` agrees for everybody; `None` where there is none to ask, or no application that is asked for.
    pub(super) fn admin_consent(&self, tenant: &str) -> Option<Url> {
        permission::admin_consent(self.http.cloud(), self.settings.client_id.as_deref()?, Some(tenant))
    }

    /// Where the browser goes to sign in.
    pub(super) fn authorize_url(&self, tenant: &str, redirect: &str, proof: &Proof, login_hint: Option<&str>) -> Result<Url, AuthError> {
        let mut url = self.endpoint(tenant, "authorize")?;
        let (scope, claims) = (self.scope(tenant), claims(None));
        let mut query = url.query_pairs_mut();
        query.extend_pairs([
            ("client_id", self.client_id()?),
            ("response_type", "code"),
            ("redirect_uri", redirect),
            ("response_mode", "query"),
            ("scope", &scope),
            ("state", &proof.state),
            ("nonce", &proof.nonce),
            ("code_challenge", &proof.challenge),
            ("code_challenge_method", "S256"),
            ("client_info", "1"),
            ("claims", &claims),
        ]);
        match login_hint {
            Some(name) => query.append_pair("login_hint", name),
            None => query.append_pair("prompt", "select_account"),
        };
        drop(query);
        Ok(url)
    }

    /// The browser's code for tokens.
    pub(super) async fn redeem(&self, tenant: &str, code: &Secret<String>, redirect: &str, proof: &Proof) -> Result<TokenReply, Failure> {
        let (scope, claims) = (self.scope(tenant), claims(None));
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", code.expose().as_str()),
            ("redirect_uri", redirect),
            ("code_verifier", proof.verifier.expose()),
            ("scope", &scope),
            ("claims", &claims),
        ];
        self.token(tenant, self.client_id().map_err(Failure::Broken)?, &fields).await
    }

    /// A refresh token for newer tokens. `asked` are claims that Graph asked for.
    pub(super) async fn refresh(
        &self,
        authority: &str,
        client_id: &str,
        scopes: &[String],
        refresh: &Secret<String>,
        asked: Option<&str>,
    ) -> Result<TokenReply, Failure> {
        let (scope, claims) = (self.spelled(scopes), claims(asked));
        let fields =
            [("grant_type", "refresh_token"), ("refresh_token", refresh.expose().as_str()), ("scope", &scope), ("claims", &claims)];
        self.token(authority, client_id, &fields).await
    }

    /// Begins a device sign-in.
    pub(super) async fn device_start(&self, tenant: &str) -> Result<DeviceStart, Failure> {
        #[derive(Deserialize)]
        struct Started {
            device_code: String,
            user_code: String,
            verification_uri: String,
            #[serde(default)]
            message: String,
            expires_in: Seconds,
            #[serde(default)]
            interval: Option<Seconds>,
        }
        let scope = self.scope(tenant);
        let fields = [("client_id", self.client_id().map_err(Failure::Broken)?), ("scope", &scope)];
        let body = self.post(tenant, "devicecode", &fields).await?;
        let started: Started =
            serde_json::from_slice(body.expose()).map_err(|_| Failure::Broken(AuthError::Unexpected("a device code")))?;
        Ok(DeviceStart {
            device_code: Secret::new(started.device_code),
            user_code: started.user_code,
            verification_uri: started.verification_uri,
            message: started.message,
            expires_in: started.expires_in.duration(),
            // RFC 8628, 3.2: five seconds when nothing is said.
            interval: started.interval.map_or(Duration::from_secs(5), |interval| interval.duration()),
        })
    }

    /// Asks whether somebody has entered the device's code.
    pub(super) async fn device_poll(&self, tenant: &str, device_code: &Secret<String>) -> Result<TokenReply, Failure> {
        let claims = claims(None);
        let fields = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
            ("device_code", device_code.expose().as_str()),
            ("claims", &claims),
        ];
        self.token(tenant, self.client_id().map_err(Failure::Broken)?, &fields).await
    }

    async fn token(&self, tenant: &str, client_id: &str, fields: &[(&str, &str)]) -> Result<TokenReply, Failure> {
        #[derive(Deserialize)]
        struct Tokens {
            access_token: String,
            #[serde(default)]
            refresh_token: Option<String>,
            #[serde(default)]
            id_token: Option<String>,
            #[serde(default)]
            client_info: Option<String>,
            expires_in: Seconds,
            #[serde(default)]
            scope: Option<String>,
        }
        let mut fields = fields.to_vec();
        fields.extend([("client_id", client_id), ("client_info", "1")]);
        let body = self.post(tenant, "token", &fields).await?;
        let tokens: Tokens = serde_json::from_slice(body.expose()).map_err(|_| Failure::Broken(AuthError::Unexpected("tokens")))?;
        Ok(TokenReply {
            access: Secret::new(tokens.access_token),
            refresh: tokens.refresh_token.map(Secret::new),
            id_token: tokens.id_token.map(Secret::new),
            client_info: tokens.client_info,
            expires_in: tokens.expires_in.duration(),
            granted: tokens.scope.map(|said| said.split_whitespace().map(permission::plain).collect()),
        })
    }

    /// Posts a form and returns a success's body.
    async fn post(&self, tenant: &str, endpoint: &str, fields: &[(&str, &str)]) -> Result<Secret<Vec<u8>>, Failure> {
        let url = self.endpoint(tenant, endpoint).map_err(Failure::Broken)?;
        let client = self.http.client().map_err(|error| Failure::Broken(error.into()))?;
        let exchange = async {
            let mut reply = client.post(url).header("accept", "application/json").form(fields).send().await?;
            let status = reply.status().as_u16();
            let header = |name: &str| reply.headers().get(name).and_then(|value| value.to_str().ok());
            let wait = retry_after(header("retry-after"), header("date"), self.clock.now());
            let mut body = Vec::with_capacity(16 << 10);
            while let Some(piece) = reply.chunk().await? {
                if body.len() + piece.len() > MOST {
                    break;
                }
                body.extend_from_slice(&piece);
            }
            Ok::<_, reqwest::Error>((status, wait, Secret::new(body)))
        };
        let unreachable = |reason: Trouble| Failure::Broken(AuthError::Unreachable { reason, retry_after: None });
        let (status, wait, body) = tokio::select! {
            done = exchange => done.map_err(|error| unreachable(Trouble::of(&error)))?,
            () = self.clock.sleep(PATIENCE) => return Err(unreachable("no answer in time".into())),
        };
        if (200..300).contains(&status) {
            return Ok(body);
        }
        let refusal = refusal(status, body.expose(), wait, tenant);
        tracing::info!(
            endpoint,
            status,
            error = refusal.error,
            aadsts = refusal.numbers.first(),
            correlation = refusal.correlation,
            "refused by the identity service"
        );
        Err(Failure::Refused(refusal))
    }

    /// `{identity}/{tenant}/oauth2/v2.0/{endpoint}`.
    fn endpoint(&self, tenant: &str, endpoint: &str) -> Result<Url, AuthError> {
        let mut url = self.http.cloud().identity.clone();
        url.path_segments_mut()
            .map_err(|()| AuthError::Unexpected("a usable address"))?
            .pop_if_empty()
            .extend([tenant, "oauth2", "v2.0", endpoint]);
        Ok(url)
    }
}

/// Reads an error answer. One that is not in OAuth's words has an empty `error`.
fn refusal(status: u16, body: &[u8], retry_after: Option<Duration>, authority: &str) -> Refusal {
    #[derive(Deserialize, Default)]
    struct Said {
        #[serde(default)]
        error: String,
        #[serde(default)]
        error_codes: Vec<u32>,
        #[serde(default)]
        error_description: String,
        #[serde(default)]
        correlation_id: Option<String>,
    }
    let said: Said = serde_json::from_slice(body).unwrap_or_default();
    let mut numbers = said.error_codes;
    if numbers.is_empty() {
        // Some refusals carry the number in the text only.
        let text = said.error_description.split("AADSTS").nth(1).unwrap_or_default();
        let digits = &text[..text.bytes().take_while(u8::is_ascii_digit).count()];
        numbers.extend(digits.parse::<u32>());
    }
    let harmless = |text: String| text.chars().filter(|letter| letter.is_ascii_alphanumeric() || "_-".contains(*letter)).take(64).collect();
    Refusal {
        status,
        error: harmless(said.error),
        numbers,
        correlation: said.correlation_id.map(harmless),
        retry_after,
        authority: authority.to_owned(),
    }
}

/// The `claims` parameter: that we understand claims challenges (`cp1`), and what a challenge asked for.
fn claims(asked: Option<&str>) -> String {
    let mut claims = asked.and_then(|text| serde_json::from_str::<Value>(text).ok()).filter(Value::is_object).unwrap_or_else(|| json!({}));
    if !claims["access_token"].is_object() {
        claims["access_token"] = json!({});
    }
    claims["access_token"]["xms_cc"] = json!({"values": ["cp1"]});
    claims.to_string()
}

/// Seconds as a number, or as a string of one, as older endpoints send them.
#[derive(Deserialize)]
#[serde(untagged)]
enum Seconds {
    Number(u32),
    Text(String),
}

impl Seconds {
    fn duration(self) -> Duration {
        Duration::from_secs(match self {
            Self::Number(seconds) => u64::from(seconds),
            Self::Text(text) => text.parse::<u32>().map_or(0, u64::from),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_is_joined_with_what_we_can_do() {
        let plain: Value = serde_json::from_str(&claims(None)).unwrap();
        assert_eq!(plain, json!({"access_token": {"xms_cc": {"values": ["cp1"]}}}));
        let asked: Value =
            serde_json::from_str(&claims(Some(r#"{"access_token":{"nbf":{"essential":true,"value":"1604106651"}}}"#))).unwrap();
        assert_eq!(asked["access_token"]["nbf"]["value"], "1604106651");
        assert_eq!(asked["access_token"]["xms_cc"]["values"][0], "cp1");
        assert_eq!(claims(Some("not json")), claims(None));
    }

    #[test]
    fn the_number_is_found_in_the_text_when_it_is_nowhere_else() {
        let body = br#"{"error":"invalid_grant","error_description":"AADSTS70000: The user could not be authenticated. Trace ID: x"}"#;
        let refusal = refusal(400, body, None, "consumers");
        assert_eq!(refusal.numbers, [70_000]);
        assert_eq!(super::refusal(502, b"<html>", None, "common").error, "");
    }
}
