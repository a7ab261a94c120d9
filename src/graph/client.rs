//! Sends requests: one attempt after another, each in its turn, with a bearer that goes to Graph and nowhere else.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use serde_json::Value;
use url::Url;

use super::{
    BreakerState, Budget, GraphError, GraphRequest, Method,
    breaker::Breaker,
    error::code_of,
    retry::{self, Failed},
};
use crate::{
    auth::{Bearer, Http, Refused},
    chance::Dice,
    clock::{Clock, Timestamp},
    ids::{AccountId, Urgency},
    secret::Secret,
};

/// Largest answer that is read.
const LARGEST: usize = 32 * 1024 * 1024;

/// What a request is sent for.
#[derive(Debug, Clone)]
pub struct Context {
    /// Whose token.
    pub account: AccountId,
    /// Who waits.
    pub urgency: Urgency,
    /// When the whole call has to end.
    pub deadline: Timestamp,
    /// The mailbox or drive that Graph counts the request against.
    pub mailbox: String,
}

/// An answer of Graph that was a success.
#[derive(Debug, Clone)]
pub struct GraphReply {
    /// HTTP status, 200 to 299 or 304.
    pub status: u16,
    /// The `ETag` header.
    pub etag: Option<String>,
    /// The `Location` header.
    pub location: Option<String>,
    /// The body.
    pub body: Bytes,
    /// The request was one whose outcome matters.
    pub(super) acts: bool,
}

impl GraphReply {
    /// The body as JSON; `null` when there is none.
    ///
    /// # Errors
    ///
    /// When it is not JSON.
    pub fn json(&self) -> Result<Value, GraphError> {
        if self.body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&self.body).map_err(|_| GraphError::Garbled { reason: "it is not JSON".into(), unknown_outcome: self.acts })
    }
}

/// How requests are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Longest time for one attempt, body included.
    pub request_timeout: Duration,
}

/// Numbers for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientGauges {
    /// Requests sent, every attempt counted.
    pub requests: u64,
    /// Attempts that brought no answer, or a failure of Graph's own.
    pub failures: u64,
    /// Answers 429.
    pub throttled: u64,
    /// Slots taken, requests waiting.
    pub budget: super::Gauges,
    /// The circuit breaker.
    pub breaker: BreakerState,
}

/// The client, shared by everybody who asks Graph.
pub struct Client {
    http: Arc<Http>,
    bearer: Arc<dyn Bearer>,
    settings: Settings,
    clock: Arc<dyn Clock>,
    dice: Arc<dyn Dice>,
    budget: Arc<Budget>,
    breaker: Breaker,
    requests: AtomicU64,
    failures: AtomicU64,
    throttled: AtomicU64,
}

/// How one attempt ended.
enum Attempt {
    Answered(GraphReply),
    /// 401, with the claims Graph asked for.
    Unauthorized(Option<String>),
    Failed(Failed, GraphError),
}

impl Client {
    /// A client; nothing is connected before the first request.
    pub fn new(
        http: Arc<Http>,
        bearer: Arc<dyn Bearer>,
        settings: Settings,
        budget: Arc<Budget>,
        clock: Arc<dyn Clock>,
        dice: Arc<dyn Dice>,
    ) -> Self {
        Self {
            http,
            bearer,
            settings,
            clock,
            dice,
            budget,
            breaker: Breaker::new(),
            requests: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            throttled: AtomicU64::new(0),
        }
    }

    /// Numbers now.
    pub fn gauges(&self) -> ClientGauges {
        ClientGauges {
            requests: self.requests.load(Relaxed),
            failures: self.failures.load(Relaxed),
            throttled: self.throttled.load(Relaxed),
            budget: self.budget.gauges(),
            breaker: self.breaker.state(self.clock.now()),
        }
    }

    /// Sends `request` until it has an answer, the policy says no, or the deadline is there.
    ///
    /// # Errors
    ///
    /// See [`GraphError`]; `unknown_outcome` is set when an attempt may have taken effect.
    pub async fn send(&self, context: &Context, request: &GraphRequest) -> Result<GraphReply, GraphError> {
        self.send_slots(context, request, 1).await
    }

    /// As [`Client::send`], counting as `slots` requests.
    pub(super) async fn send_slots(&self, context: &Context, request: &GraphRequest, slots: usize) -> Result<GraphReply, GraphError> {
        let url = self.url(request)?;
        let acts = request.method != Method::Get;
        let mut happened = false;
        let mut token_renewed = false;
        let mut attempt = 1;
        let mut token = self.bearer.bearer(&context.account, None).await?;
        loop {
            let remaining = self.remaining(context);
            if remaining.is_zero() {
                return Err(GraphError::Unreachable {
                    reason: "no answer in time".into(),
                    unknown_outcome: happened && acts,
                    never_sent: attempt == 1,
                });
            }
            if !self.breaker.admits(self.clock.now()) {
                let reason = "it did not answer several times; it is tried again shortly".to_owned();
                return Err(GraphError::Unreachable { reason, unknown_outcome: happened && acts, never_sent: attempt == 1 });
            }
            match self.attempt(context, request, &url, &token, slots, remaining).await {
                Attempt::Answered(reply) => return Ok(reply),
                // A 401 is said before anything is done, so even a write may be sent again, once.
                Attempt::Unauthorized(claims) if !token_renewed => {
                    token_renewed = true;
                    token = self.bearer.bearer(&context.account, Some(&Refused { token, claims })).await?;
                }
                Attempt::Unauthorized(_) => {
                    return Err(GraphError::Refused { status: 401, code: None, request_id: None, unknown_outcome: happened && acts });
                }
                Attempt::Failed(failed, error) => {
                    happened |= retry::may_have_happened(failed);
                    let remaining = self.remaining(context);
                    match retry::wait(request.idempotent, failed, attempt, remaining, self.dice.as_ref()) {
                        Some(wait) => self.clock.sleep(wait).await,
                        None => return Err(with_outcome(error, happened && acts)),
                    }
                    attempt += 1;
                }
            }
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(super) fn dice(&self) -> &dyn Dice {
        self.dice.as_ref()
    }

    pub(super) async fn wait(&self, wait: Duration) {
        self.clock.sleep(wait).await;
    }

    fn remaining(&self, context: &Context) -> Duration {
        context.deadline.since(self.clock.now())
    }

    /// Where the request goes. A link that Graph gave is followed only to Graph itself: the bearer goes with it.
    fn url(&self, request: &GraphRequest) -> Result<Url, GraphError> {
        let cloud = self.http.cloud();
        let target = request.target();
        let url = if target.starts_with('/') {
            Url::parse(&format!("{}/v1.0{target}", cloud.graph.as_str().trim_end_matches('/')))
        } else {
            Url::parse(&target)
        };
        url.ok().filter(|url| cloud.is_graph(url)).ok_or(GraphError::ForeignHost)
    }

    async fn attempt(
        &self,
        context: &Context,
        request: &GraphRequest,
        url: &Url,
        token: &Secret<String>,
        slots: usize,
        remaining: Duration,
    ) -> Attempt {
        // Waiting for a turn counts against the deadline too.
        let permit = tokio::select! {
            permit = self.budget.take(&context.mailbox, context.urgency, slots) => permit,
            () = self.clock.sleep(remaining) => return failed(Failed::NeverSent, "no turn in time"),
        };
        let client = match self.http.client() {
            Ok(client) => client,
            Err(error) => return failed(Failed::NeverSent, &error.to_string()),
        };
        let headers = match headers(request, token) {
            Ok(headers) => headers,
            Err(error) => return Attempt::Failed(Failed::Status { status: 400, retry_after: None }, error),
        };
        let mut outgoing = client.request(method(request.method), url.clone()).headers(headers);
        if let Some(body) = &request.body {
            outgoing = outgoing.json(body);
        } else if !matches!(request.method, Method::Get | Method::Delete) {
            outgoing = outgoing.body(Vec::new());
        }
        self.requests.fetch_add(1, Relaxed);
        let timeout = self.settings.request_timeout.min(remaining);
        let exchanged = tokio::select! {
            exchanged = exchange(outgoing) => exchanged,
            () = self.clock.sleep(timeout) => Err((Failed::Lost, "no answer in time".to_owned())),
        };
        drop(permit);
        match exchanged {
            Ok((status, headers, body)) => self.judge(context, request, status, &headers, body),
            Err((how, reason)) => {
                self.failures.fetch_add(1, Relaxed);
                self.breaker.failed(self.clock.now());
                tracing::debug!(%reason, "a request to Graph failed");
                failed(how, &reason)
            }
        }
    }

    fn judge(&self, context: &Context, request: &GraphRequest, status: u16, headers: &HeaderMap, body: Bytes) -> Attempt {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        if status >= 500 {
            self.failures.fetch_add(1, Relaxed);
            self.breaker.failed(self.clock.now());
        } else {
            self.breaker.answered();
        }
        if (200..300).contains(&status) || status == 304 {
            return Attempt::Answered(GraphReply {
                status,
                etag: text("etag"),
                location: text("location"),
                body,
                acts: request.method != Method::Get,
            });
        }
        if status == 401 {
            return Attempt::Unauthorized(text(WWW_AUTHENTICATE.as_str()).as_deref().and_then(claims));
        }
        let now = self.clock.now().0 / 1000;
        let retry_after = text(RETRY_AFTER.as_str()).and_then(|value| retry::retry_after(&value, now));
        let request_id = text("request-id");
        let code = serde_json::from_slice::<Value>(&body).ok().as_ref().and_then(code_of);
        tracing::debug!(status, code, request_id, "Graph refused a request");
        if status == 429 {
            self.throttled.fetch_add(1, Relaxed);
            // Everybody who wants this mailbox waits, not only this call.
            self.budget.pause(&context.mailbox, retry_after.unwrap_or(Duration::from_secs(1)));
            let error = GraphError::Throttled { retry_after_s: retry_after.map(|wait| wait.as_secs()), unknown_outcome: false };
            return Attempt::Failed(Failed::Status { status, retry_after }, error);
        }
        Attempt::Failed(Failed::Status { status, retry_after }, GraphError::Refused { status, code, request_id, unknown_outcome: false })
    }
}

fn failed(how: Failed, reason: &str) -> Attempt {
    let never_sent = how == Failed::NeverSent;
    Attempt::Failed(how, GraphError::Unreachable { reason: reason.to_owned(), unknown_outcome: false, never_sent })
}

/// The error with what is known of all attempts: one of them may have taken effect, even if the last one certainly did not.
fn with_outcome(mut error: GraphError, happened: bool) -> GraphError {
    match &mut error {
        GraphError::Refused { unknown_outcome, .. }
        | GraphError::Throttled { unknown_outcome, .. }
        | GraphError::Garbled { unknown_outcome, .. } => {
            *unknown_outcome = happened;
        }
        GraphError::Unreachable { unknown_outcome, never_sent, .. } => {
            *unknown_outcome = happened;
            *never_sent = *never_sent && !happened;
        }
        GraphError::ForeignHost | GraphError::Resync | GraphError::Auth(_) => {}
    }
    error
}

/// Sends and reads the whole answer, up to [`LARGEST`] bytes.
async fn exchange(request: reqwest::RequestBuilder) -> Result<(u16, HeaderMap, Bytes), (Failed, String)> {
    let mut response = request.send().await.map_err(|error| {
        let how = if error.is_connect() { Failed::NeverSent } else { Failed::Lost };
        // Without the address: it can hold a search.
        (how, cause(&error.without_url()))
    })?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let mut body = BytesMut::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() <= LARGEST => body.extend_from_slice(&chunk),
            Ok(Some(_)) => return Err((Failed::Lost, "the answer is too large".into())),
            Ok(None) => return Ok((status, headers, body.freeze())),
            Err(error) => return Err((Failed::Lost, cause(&error.without_url()))),
        }
    }
}

/// The innermost cause, which says more than "error sending request".
fn cause(error: &reqwest::Error) -> String {
    let mut deepest: &dyn std::error::Error = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}

fn method(method: Method) -> reqwest::Method {
    match method {
        Method::Get => reqwest::Method::GET,
        Method::Post => reqwest::Method::POST,
        Method::Patch => reqwest::Method::PATCH,
        Method::Put => reqwest::Method::PUT,
        Method::Delete => reqwest::Method::DELETE,
    }
}

fn headers(request: &GraphRequest, token: &Secret<String>) -> Result<HeaderMap, GraphError> {
    let unusable = |what: &str| GraphError::Garbled { reason: format!("{what} cannot be sent in a header"), unknown_outcome: false };
    let mut headers = HeaderMap::new();
    let mut bearer = HeaderValue::try_from(format!("Bearer {}", token.expose())).map_err(|_| unusable("the token"))?;
    bearer.set_sensitive(true);
    headers.insert(reqwest::header::AUTHORIZATION, bearer);
    headers.insert(HeaderName::from_static("prefer"), HeaderValue::try_from(preferences(request)).map_err(|_| unusable("a preference"))?);
    for (name, value) in &request.headers {
        let name = HeaderName::try_from(*name).map_err(|_| unusable("a name"))?;
        headers.insert(name, HeaderValue::try_from(value.as_str()).map_err(|_| unusable("a value"))?);
    }
    Ok(headers)
}

/// `Prefer`, with immutable ids on every request: without them an id changes when its item moves.
pub(super) fn preferences(request: &GraphRequest) -> String {
    let mut preferences = String::from("IdType=\"ImmutableId\"");
    for preference in &request.prefer {
        preferences.push_str(", ");
        preferences.push_str(preference);
    }
    preferences
}

/// The claims of a continuous access evaluation challenge, decoded: `WWW-Authenticate: Bearer …, error="insufficient_claims", claims="<base64>"`.
fn claims(challenge: &str) -> Option<String> {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    if !challenge.contains("insufficient_claims") {
        return None;
    }
    let encoded = challenge.split("claims=\"").nth(1)?.split('"').next()?;
    String::from_utf8(STANDARD.decode(encoded).ok()?).ok()
}
