//! Many requests in one: `$batch`, twenty at a time.
//!
//! The batch's own 200 says nothing of its items. Only the items that failed in passing are sent again, after the longest wait that
//! any of them was asked for (Graph documentation, *JSON batching*). Answers may come in any order; they go back in the order asked.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{
    Cause, Client, Context, GraphError, GraphReply, GraphRequest, Method,
    client::prefer,
    reply::is_answer,
    retry::{self, Decision, Outcome, Tries},
};
use crate::auth::retry_after;

/// The most items in one batch.
const MOST: usize = 20;

type Answer = Result<GraphReply, GraphError>;

impl Client {
    /// Sends `requests` through `$batch`. Each has its own outcome, in the order asked.
    ///
    /// # Errors
    ///
    /// When the first batch as a whole came to nothing. A later one's failure is the answer of each request that it leaves open.
    pub async fn batch(&self, context: &Context, requests: &[GraphRequest]) -> Result<Vec<Answer>, GraphError> {
        let mut answers: Vec<Answer> = Vec::with_capacity(requests.len());
        for chunk in requests.chunks(MOST) {
            match self.batch_of(context, chunk).await {
                Ok(more) => answers.extend(more),
                Err(error) if answers.is_empty() => return Err(error),
                Err(error) => {
                    let unsent = requests.len() - answers.len() - chunk.len();
                    answers.extend(chunk.iter().map(|request| Err(open(&error, request, false))));
                    answers.extend(vec![Err(error.outcome(false, true)); unsent]);
                    break;
                }
            }
        }
        Ok(answers)
    }

    async fn batch_of(&self, context: &Context, requests: &[GraphRequest]) -> Result<Vec<Answer>, GraphError> {
        let mut answers: Vec<Option<Answer>> = vec![None; requests.len()];
        // The batch's own token was accepted, so another one is no help to an item.
        let mut tries = vec![Tries { renewed: true, ..Tries::default() }; requests.len()];
        // What is known of all attempts at each.
        let mut happened = vec![false; requests.len()];
        let mut items = Vec::with_capacity(requests.len());
        for (at, request) in requests.iter().enumerate() {
            items.push(self.item(at, request).unwrap_or_else(|cause| {
                answers[at] = Some(Err(GraphError::new(cause).outcome(false, true)));
                Value::Null
            }));
        }
        loop {
            let pending: Vec<usize> = (0..requests.len()).filter(|at| answers[*at].is_none()).collect();
            if pending.is_empty() {
                return Ok(answers.into_iter().flatten().collect());
            }
            let body = json!({ "requests": pending.iter().map(|at| &items[*at]).collect::<Vec<_>>() });
            let mut outer = GraphRequest::post(&[], body);
            outer.path = "/$batch".into();
            outer.idempotent = pending.iter().all(|at| requests[*at].idempotent);
            let acts = pending.iter().any(|at| is_write(&requests[*at]));
            let places = self.budget.places(pending.len(), context.urgency.now());
            let reply = self.send_for(context, &outer, places, acts).await;
            let said = reply.and_then(|reply| Ok((Said::of(&reply).map_err(|error| error.outcome(acts, false))?, reply)));
            let (mut said, reply) = match said {
                Ok(said) => said,
                // What is known of some is not forgotten because the others could not be asked again.
                Err(error) if answers.iter().any(Option::is_some) || pending.iter().any(|at| happened[*at] && is_write(&requests[*at])) => {
                    for at in pending {
                        answers[at] = Some(Err(open(&error, &requests[at], happened[at])));
                    }
                    continue;
                }
                Err(error) => return Err(error),
            };
            let (mut sleep, mut asked, mut pause) = (Duration::ZERO, false, None);
            for at in pending {
                let request = &requests[at];
                let (outcome, answer) = self.read(said.take(at), request, &reply);
                happened[at] |= outcome.may_have_happened();
                if let Err(GraphError { cause: Cause::Throttled { retry_after }, .. }) = &answer {
                    self.count_throttled();
                    pause = pause.max(*retry_after);
                }
                let left = context.deadline.since(self.clock.now());
                match retry::decide(&self.policy, request.idempotent, &mut tries[at], outcome, left, self.dice.as_ref()) {
                    Decision::Done | Decision::GiveUp | Decision::Renew => {
                        answers[at] = Some(answer.map_err(|error| error.outcome(is_write(request) && happened[at], !happened[at])));
                    }
                    Decision::Pause(wait) => pause = pause.max(Some(wait)),
                    Decision::Again(wait) => {
                        sleep = sleep.max(wait);
                        asked |= outcome.asks();
                    }
                }
            }
            if let Some(wait) = pause {
                self.budget.pause(&context.mailbox, wait);
            }
            if !sleep.is_zero() {
                self.rest(context, sleep, asked).await;
            }
        }
    }

    /// A request as an item of a batch.
    fn item(&self, at: usize, request: &GraphRequest) -> Result<Value, Cause> {
        // The same checks as for a request of its own; an item's address is relative to the version root.
        let url = self.url(request)?;
        let target = request.target();
        let relative = if target.starts_with('/') {
            target
        } else {
            url.as_str().strip_prefix(&self.root()).filter(|rest| rest.starts_with('/')).ok_or(Cause::ForeignHost)?.to_owned()
        };
        let mut headers = Map::new();
        headers.insert("Prefer".into(), prefer(request).into());
        for (name, value) in &request.headers {
            headers.insert((*name).to_owned(), value.as_str().into());
        }
        let method = match request.method {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Patch => "PATCH",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
        };
        let mut item = json!({ "id": id(at), "method": method, "url": relative });
        if let Some(body) = &request.body {
            headers.insert("Content-Type".into(), "application/json".into());
            item["body"] = body.clone();
        }
        item["headers"] = headers.into();
        Ok(item)
    }

    /// What came of one item.
    fn read(&self, said: Option<Value>, request: &GraphRequest, reply: &GraphReply) -> (Outcome, Answer) {
        let status = said.as_ref().and_then(|said| said["status"].as_u64()).and_then(|status| u16::try_from(status).ok());
        let (Some(mut said), Some(status)) = (said, status) else {
            return (Outcome::Lost, Err(reply.without("each item's answer")));
        };
        let header = |name: &str| {
            let headers = said["headers"].as_object()?;
            headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).and_then(|(_, value)| value.as_str()).map(str::to_owned)
        };
        let wait = retry_after(header("retry-after").as_deref(), None, self.clock.now());
        let (etag, location, content_type) = (header("etag"), header("location"), header("content-type"));
        let request_id = header("request-id").or_else(|| reply.request_id.clone());
        let json = content_type.as_ref().is_none_or(|kind| kind.contains("json"));
        let body = match said["body"].take() {
            Value::Null => Bytes::new(),
            // Anything but JSON comes as base64.
            Value::String(text) if !json => match STANDARD.decode(&text) {
                Ok(bytes) => bytes.into(),
                Err(_) => return (Outcome::Lost, Err(reply.without("readable content"))),
            },
            value => Bytes::from(value.to_string()),
        };
        if (200..400).contains(&status) {
            let reply = GraphReply { status, etag, location, content_type, request_id, body };
            let answer = if is_answer(status, request) { Ok(reply) } else { Err(reply.without("a result")) };
            return (Outcome::Status(status, wait), answer);
        }
        let error = GraphError::refused(status, &body, location, wait, request_id);
        tracing::debug!(method = ?request.method, status, code = error.graph_code(), request_id = error.request_id(), "an item was refused by Microsoft Graph");
        (Outcome::Status(status, wait), Err(error))
    }
}

/// Whether a request changes anything, so that it matters what became of it.
fn is_write(request: &GraphRequest) -> bool {
    !request.only_asks
}

/// What the failure of a whole batch means for a request in it that may have `happened` before.
fn open(error: &GraphError, request: &GraphRequest, happened: bool) -> GraphError {
    error.clone().outcome(is_write(request) && (happened || error.unknown_outcome()), !happened && error.never_sent())
}

/// The answers of a batch.
struct Said(Vec<Value>);

impl Said {
    fn of(reply: &GraphReply) -> Result<Self, GraphError> {
        match reply.json()?["responses"].take() {
            Value::Array(responses) => Ok(Self(responses)),
            _ => Err(reply.without("its items' answers")),
        }
    }

    fn take(&mut self, at: usize) -> Option<Value> {
        let id = id(at);
        let found = self.0.iter().position(|said| said["id"] == id.as_str())?;
        Some(self.0.swap_remove(found))
    }
}

fn id(at: usize) -> String {
    (at + 1).to_string()
}

#[cfg(test)]
#[path = "batch_tests.rs"]
mod tests;
