//! Sends one request to Graph: the token, the budget, the breaker and the repeats around a pooled HTTP client.
//!
//! The bearer goes to this cloud's Graph and nowhere else: a whole address from a link is checked first, and no redirect is followed.
//! Logged are the method, the status and Microsoft's request id; a path carries ids and search words and is not.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use reqwest::{
    Url,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use serde::de::IgnoredAny;

use super::{
    BreakerState, Budget, Cause, GraphError, GraphReply, GraphRequest, Hurry, Method, Stream,
    breaker::Breaker,
    reply::{claims_challenge, is_answer},
    retry::{self, Decision, Outcome, Policy, Tries},
};
use crate::{
    auth::{Bearer, Http, Pause, Refused, Trouble, retry_after},
    chance::Dice,
    clock::{Clock, Timestamp},
    ids::{AccountId, Urgency},
    secret::Secret,
};

/// Ids that survive a move within the mailbox, on every request (Graph documentation, *Obtain immutable identifiers*).
const IMMUTABLE: &str = "IdType=\"ImmutableId\"";

/// Silence shorter than this does not count against Graph.
const TELLING: Duration = Duration::from_secs(5);

/// The largest answer that is read, in bytes.
const LARGEST: usize = 32 << 20;

/// How requests are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Longest time for one attempt, body included.
    pub request_timeout: Duration,
}

/// For whom and how urgently something is asked.
#[derive(Debug, Clone)]
pub struct Context {
    /// Whose token.
    pub account: AccountId,
    /// Whether somebody waits; may rise while it is asked.
    pub urgency: Hurry,
    /// When an answer is no longer of use.
    pub deadline: Timestamp,
    /// What Microsoft counts the request against: a mailbox or a drive. Shared ones are shared by accounts.
    pub mailbox: String,
}

/// Numbers for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientGauges {
    /// Requests sent, every attempt counted; a batch counts once.
    pub requests: u64,
    /// Attempts that brought no answer, or a failure of Graph's own.
    pub failures: u64,
    /// Answers that asked to slow down, those of a batch's items too.
    pub throttled: u64,
    /// Places taken, requests waiting.
    pub budget: super::Gauges,
    /// The circuit breaker.
    pub breaker: BreakerState,
}

/// Asks Graph.
pub struct Client {
    http: Arc<Http>,
    settings: Settings,
    tokens: Arc<dyn Bearer>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) dice: Arc<dyn Dice>,
    pub(super) budget: Arc<Budget>,
    breaker: Breaker,
    pub(super) policy: Policy,
    largest: usize,
    requests: AtomicU64,
    failures: AtomicU64,
    throttled: AtomicU64,
    /// What the last attempt that brought no answer failed of.
    trouble: Mutex<Option<Trouble>>,
}

/// A request ready to be sent any number of times.
struct Prepared<'a> {
    request: &'a GraphRequest,
    url: Url,
    headers: HeaderMap,
    /// Its type and itself.
    body: Option<(String, Bytes)>,
    /// Whether the answer is content rather than JSON.
    raw: bool,
    /// Whether content is handed on unread.
    streamed: bool,
}

/// What one attempt brought.
struct Attempt {
    outcome: Outcome,
    result: Result<GraphReply, GraphError>,
    /// Set when the token was not accepted: what to tell the keeper of tokens.
    refused: Option<Refused>,
    /// Content that was asked for as a stream.
    stream: Option<Stream>,
}

/// What is known of an attempt that brought no answer.
type Failed = (Outcome, Cause);

impl Client {
    /// A client for the cloud of `http`, with tokens from `tokens`; nothing is connected before the first request.
    pub fn new(
        http: Arc<Http>,
        tokens: Arc<dyn Bearer>,
        settings: Settings,
        budget: Arc<Budget>,
        clock: Arc<dyn Clock>,
        dice: Arc<dyn Dice>,
    ) -> Self {
        Self {
            http,
            settings,
            tokens,
            clock,
            dice,
            budget,
            breaker: Breaker::default(),
            policy: Policy::default(),
            largest: LARGEST,
            requests: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            throttled: AtomicU64::new(0),
            trouble: Mutex::default(),
        }
    }

    /// Numbers now.
    pub fn gauges(&self) -> ClientGauges {
        ClientGauges {
            requests: self.requests.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
            throttled: self.throttled.load(Ordering::Relaxed),
            budget: self.budget.gauges(),
            breaker: self.breaker.state(self.clock.now()),
        }
    }

    /// The budget of every mailbox and drive.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// The switch that keeps everything from asking, where there is one.
    pub fn pause(&self) -> Option<&Arc<Pause>> {
        self.http.pause()
    }

    /// Sends one request. Idempotent ones are repeated after a passing failure; others only when they are known to have had no effect.
    ///
    /// # Errors
    ///
    /// When Graph refuses, cannot be reached in time, or sends what is not an answer.
    pub async fn send(&self, context: &Context, request: &GraphRequest) -> Result<GraphReply, GraphError> {
        self.send_for(context, request, 1, !request.only_asks).await
    }

    /// Asks for content that may be large: its answer is handed on before its body has come. A redirect has no stream.
    ///
    /// # Errors
    ///
    /// As [`Client::send`].
    pub(crate) async fn open(&self, context: &Context, request: &GraphRequest) -> Result<(GraphReply, Option<Stream>), GraphError> {
        self.deliver(context, request, 1, false, true).await
    }

    /// Sends a request that takes `places` of the budget. `acts` says whether it changes anything, so that it matters what became of it.
    pub(super) async fn send_for(
        &self,
        context: &Context,
        request: &GraphRequest,
        places: usize,
        acts: bool,
    ) -> Result<GraphReply, GraphError> {
        self.deliver(context, request, places, acts, false).await.map(|(reply, _)| reply)
    }

    async fn deliver(
        &self,
        context: &Context,
        request: &GraphRequest,
        places: usize,
        acts: bool,
        streamed: bool,
    ) -> Result<(GraphReply, Option<Stream>), GraphError> {
        let prepared = self.prepare(request).map_err(|cause| GraphError::new(cause).outcome(false, true))?;
        let prepared = Prepared { streamed, ..prepared };
        // What is known of all attempts: one may have taken effect even if the last one certainly did not.
        let mut happened = false;
        let (mut tries, mut refused) = (Tries::default(), None);
        loop {
            let attempt = match self.attempt(context, &prepared, places, refused.as_ref()).await {
                Ok(attempt) => attempt,
                Err(error) => {
                    // Too large an answer is one all the same; anything else is an attempt that did not come about.
                    let too_large = matches!(error.cause, Cause::TooLarge(_));
                    return Err(error.outcome(acts && (happened || too_large), !happened && !too_large));
                }
            };
            happened |= attempt.outcome.may_have_happened();
            if let (true, Some(work)) = (attempt.result.is_ok(), context.urgency.work()) {
                work.answered();
            }
            if let Err(GraphError { cause: Cause::Throttled { retry_after: Some(wait) }, .. }) = &attempt.result {
                // Whatever becomes of this request: nobody asks before that.
                self.budget.pause(&context.mailbox, *wait);
            }
            refused = attempt.refused.or(refused);
            let left = context.deadline.since(self.clock.now());
            match retry::decide(&self.policy, request.idempotent, &mut tries, attempt.outcome, left, self.dice.as_ref()) {
                Decision::Done | Decision::GiveUp => {
                    let stream = attempt.stream;
                    return attempt.result.map(|reply| (reply, stream)).map_err(|error| error.outcome(acts && happened, !happened));
                }
                Decision::Renew => {}
                Decision::Pause(wait) => self.budget.pause(&context.mailbox, wait),
                Decision::Again(wait) => self.rest(context, wait, attempt.outcome.asks()).await,
            }
        }
    }

    /// Waits before another attempt; no longer once somebody waits for it, unless Microsoft `asked` for the wait.
    pub(super) async fn rest(&self, context: &Context, wait: Duration, asked: bool) {
        let idle = !asked && context.urgency.now() == Urgency::Background;
        tokio::select! {
            () = self.clock.sleep(wait) => {}
            () = context.urgency.raised(), if idle => {}

        }
    }

    /// One attempt. An error is final: no time, no place, no sign-in, an open breaker.
    async fn attempt(
        &self,
        context: &Context,
        prepared: &Prepared<'_>,
        places: usize,
        refused: Option<&Refused>,
    ) -> Result<Attempt, GraphError> {
        let closed = |retry_after| GraphError::new(Cause::Unreachable { retry_after, trouble: self.last_trouble() });
        if let Some(left) = self.breaker.refuses(self.clock.now()) {
            return Err(closed(left));
        }
        let time_up = self.clock.sleep(context.deadline.since(self.clock.now()));
        let token = tokio::select! {
            biased;
            token = self.tokens.bearer(&context.account, refused) => token,
            () = time_up => return Err(GraphError::new(Cause::Deadline)),
        };
        let token = match token {
            Ok(token) => token,
            Err(error) if error.is_passing() => {
                return Ok(Attempt { outcome: Outcome::NeverSent, result: Err(error.into()), refused: None, stream: None });
            }
            Err(error) => return Err(error.into()),
        };
        let place = self.budget.acquire(&context.mailbox, &context.urgency, places, context.deadline).await;
        let place = place.map_err(|full| match full.paused {
            Some(wait) => GraphError::new(Cause::Throttled { retry_after: Some(wait) }),
            None => GraphError::new(Cause::Deadline),
        })?;
        let pass = self.breaker.pass(self.clock.now()).map_err(closed)?;
        let left = context.deadline.since(self.clock.now());
        if left.is_zero() {
            return Err(GraphError::new(Cause::Deadline));
        }
        self.requests.fetch_add(1, Ordering::Relaxed);
        let patience = left.min(self.settings.request_timeout);
        // The id of the client's line where there is one: the same in our log and in Microsoft's.
        let request_id = context.urgency.call().map_or_else(|| self.request_id(), |call| call.to_string());
        let exchanged = tokio::select! {
            biased;
            exchanged = self.exchange(prepared, &request_id, &token) => exchanged,
            () = self.clock.sleep(patience) => Err((Outcome::Lost, Cause::Deadline)),
        };
        match exchanged {
            Ok((reply, headers, content)) => {
                if reply.status >= 500 && !matches!(reply.status, 501 | 507) {
                    self.failures.fetch_add(1, Ordering::Relaxed);
                    self.note(None);
                    pass.failed(self.clock.now());
                } else {
                    pass.succeeded();
                }
                // A stream keeps its place in the budget until it has ended.
                let stream = content.map(|response| Stream::new(response, Some(place)));
                tracing::debug!(call = request_id.as_str(), method = ?prepared.request.method, status = reply.status, "Microsoft Graph answered");
                Ok(Attempt { stream, ..self.judge(prepared, reply, &headers, token) })
            }
            Err((outcome, cause)) => {
                // An answer that is too large came from a Graph that is there.
                if matches!(cause, Cause::TooLarge(_)) {
                    pass.succeeded();
                    return Err(GraphError::new(cause));
                }
                self.failures.fetch_add(1, Ordering::Relaxed);
                self.note(if let Cause::Broken(trouble) = &cause { Some(trouble) } else { None });
                // A caller in a hurry proves nothing about Graph.
                if !matches!(cause, Cause::Deadline) || patience >= TELLING {
                    pass.failed(self.clock.now());
                }
                tracing::debug!(call = request_id.as_str(), method = ?prepared.request.method, reason = ?outcome, "no answer from Microsoft Graph");
                Ok(Attempt { outcome, result: Err(GraphError::new(cause)), refused: None, stream: None })
            }
        }
    }

    /// The exchange itself: the whole answer, or how far it came. Content that is streamed comes last, unread.
    async fn exchange(
        &self,
        prepared: &Prepared<'_>,
        request_id: &str,
        token: &Secret<String>,
    ) -> Result<(GraphReply, HeaderMap, Option<reqwest::Response>), Failed> {
        let client = self.http.client().map_err(|error| (Outcome::NeverSent, Cause::Setup(error)))?;
        let mut sending = client
            .request(method(prepared.request.method), prepared.url.clone())
            .headers(prepared.headers.clone())
            .header("client-request-id", request_id)
            .bearer_auth(token.expose());
        if let Some((kind, body)) = &prepared.body {
            sending = sending.header("content-type", kind).body(body.clone());
        }
        let broken = |error: &reqwest::Error| {
            let outcome = if error.is_connect() || error.is_builder() { Outcome::NeverSent } else { Outcome::Lost };
            (outcome, Cause::Broken(Trouble::of(error)))
        };
        let mut reply = sending.send().await.map_err(|error| broken(&error))?;
        let (status, headers) = (reply.status().as_u16(), reply.headers().clone());
        let unread = prepared.streamed && matches!(status, 200 | 206);
        let body = if unread { Vec::new() } else { read_whole(&mut reply, self.largest).await? };
        let of = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let head = GraphReply {
            status,
            etag: of("etag"),
            location: of("location"),
            content_type: of("content-type"),
            request_id: of("request-id"),
            body: body.into(),
        };
        Ok((head, headers, unread.then_some(reply)))
    }

    /// What an answer means.
    fn judge(&self, prepared: &Prepared<'_>, reply: GraphReply, headers: &HeaderMap, token: Secret<String>) -> Attempt {
        let of = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let status = reply.status;
        if (200..400).contains(&status) {
            let whole = prepared.raw || reply.body.is_empty() || serde_json::from_slice::<IgnoredAny>(&reply.body).is_ok();
            let (outcome, result) = match (is_answer(status, prepared.request), whole) {
                (true, true) => (Outcome::Status(status, None), Ok(reply)),
                // A body that is not JSON was cut short or is somebody else's: as good as lost.
                (true, false) => (Outcome::Lost, Err(reply.without("JSON"))),
                (false, _) => (Outcome::Status(status, None), Err(reply.without("a result"))),
            };
            return Attempt { outcome, result, refused: None, stream: None };
        }
        let wait = retry_after(of("retry-after"), of("date"), self.clock.now());
        let claims = of("www-authenticate").and_then(claims_challenge);
        let error = GraphError::refused(status, &reply.body, reply.location, wait, reply.request_id);
        tracing::debug!(status, code = error.graph_code(), request_id = error.request_id(), "refused by Microsoft Graph");
        if matches!(error.cause, Cause::Throttled { .. }) {
            self.count_throttled();
        }
        // A claims challenge is a question for another token, whatever its status.
        let outcome = Outcome::Status(if claims.is_some() { 401 } else { status }, wait);
        let refused = (outcome == Outcome::Status(401, wait)).then_some(Refused { token, claims });
        Attempt { outcome, result: Err(error), refused, stream: None }
    }

    fn note(&self, trouble: Option<&Trouble>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble.cloned();
    }

    /// What an open breaker tells of: whoever is refused by it should not have to guess.
    fn last_trouble(&self) -> Option<Trouble> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn count_throttled(&self) {
        self.throttled.fetch_add(1, Ordering::Relaxed);
    }

    /// The version root, without a slash at the end.
    pub(super) fn root(&self) -> String {
        format!("{}/v1.0", self.http.cloud().graph.as_str().trim_end_matches('/'))
    }

    /// The address of a request, when a bearer may go there.
    pub(super) fn url(&self, request: &GraphRequest) -> Result<Url, Cause> {
        let target = request.target();
        let url = if target.starts_with('/') {
            let path = target.split('?').next().unwrap_or_default();
            // An address is resolved once more on its way: `%2E%2E` would take its parent's place.
            let dots = |segment: &str| matches!(segment.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..");
            if path.split(['/', '\\']).any(dots) {
                return Err(Cause::InvalidPath);
            }
            Url::parse(&format!("{}{target}", self.root()))
        } else {
            Url::parse(&target)
        };
        url.ok().filter(|url| self.http.cloud().is_graph(url)).ok_or(Cause::ForeignHost)
    }

    fn prepare<'a>(&self, request: &'a GraphRequest) -> Result<Prepared<'a>, Cause> {
        self.http.client().map_err(Cause::Setup)?;
        let url = self.url(request)?;
        let mut headers = HeaderMap::new();
        headers.insert("prefer", HeaderValue::from_str(&prefer(request)).map_err(|_| Cause::InvalidPath)?);
        for (name, value) in &request.headers {
            let value = HeaderValue::from_str(value).map_err(|_| Cause::InvalidPath)?;
            headers.insert(HeaderName::from_bytes(name.as_bytes()).map_err(|_| Cause::InvalidPath)?, value);
        }
        let raw = request.is_for_content();
        let json = |body: &serde_json::Value| ("application/json".to_owned(), Bytes::from(body.to_string()));
        let body = request.content.clone().or_else(|| request.body.as_ref().map(json));
        Ok(Prepared { request, url, headers, body, raw, streamed: false })
    }

    /// A GUID for Microsoft's logs.
    fn request_id(&self) -> String {
        let hex = self.dice.hex(16);
        format!("{}-{}-4{}-a{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..])
    }
}

async fn read_whole(reply: &mut reqwest::Response, most: usize) -> Result<Vec<u8>, Failed> {
    let mut body = Vec::with_capacity(usize::try_from(reply.content_length().unwrap_or(0)).unwrap_or(0).min(most));
    while let Some(piece) = reply.chunk().await.map_err(|error| (Outcome::Lost, Cause::Broken(Trouble::of(&error))))? {
        if body.len() + piece.len() > most {
            return Err((Outcome::Lost, Cause::TooLarge(most)));
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

/// All preferences of a request in one header.
pub(super) fn prefer(request: &GraphRequest) -> String {
    request.prefer.iter().fold(IMMUTABLE.to_owned(), |joined, one| joined + ", " + one)
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

#[cfg(test)]
#[path = "client_tests.rs"]
pub(in crate::graph) mod tests;
