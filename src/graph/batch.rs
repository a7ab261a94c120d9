//! `$batch`: up to 20 reads in one request, each with an outcome of its own (Graph documentation, *Combine multiple HTTP requests using JSON batching*).
//!
//! A batch that says 200 says nothing of its items: each can be throttled alone. Those are sent again after the longest wait that was asked
//! for, the others are kept.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use super::{
    Client, Context, GraphError, GraphReply, GraphRequest, Method,
    client::preferences,
    error::code_of,
    retry::{self, Failed},
};

/// Requests in one batch.
const MOST: usize = 20;

impl Client {
    /// Sends `requests` through `$batch`, 20 at a time; the outcomes come in the order asked.
    ///
    /// # Errors
    ///
    /// When a whole batch fails. The failure of one request is its own outcome.
    pub async fn batch(&self, context: &Context, requests: &[GraphRequest]) -> Result<Vec<Result<GraphReply, GraphError>>, GraphError> {
        let mut outcomes = Vec::with_capacity(requests.len());
        for some in requests.chunks(MOST) {
            outcomes.extend(self.batch_of(context, some).await?);
        }
        Ok(outcomes)
    }

    async fn batch_of(&self, context: &Context, requests: &[GraphRequest]) -> Result<Vec<Result<GraphReply, GraphError>>, GraphError> {
        let mut outcomes: Vec<Option<Result<GraphReply, GraphError>>> = requests.iter().map(|_| None).collect();
        let mut left: Vec<usize> = (0..requests.len()).collect();
        let mut attempt = 1;
        while !left.is_empty() {
            let envelope = GraphRequest {
                // Repeating a batch of reads repeats reads.
                idempotent: left.iter().all(|at| requests[*at].idempotent),
                ..GraphRequest::post(
                    &["$batch"],
                    json!({ "requests": left.iter().map(|at| item(*at, &requests[*at])).collect::<Vec<_>>() }),
                )
            };
            let reply = self.send_slots(context, &envelope, left.len()).await?.json()?;
            let responses = reply.get("responses").and_then(Value::as_array).ok_or_else(|| garbled("a batch without `responses`"))?;
            let mut again = Vec::new();
            let mut longest = Duration::ZERO;
            for at in left {
                let id = at.to_string();
                let response = responses.iter().find(|response| response.get("id").and_then(Value::as_str) == Some(&id));
                let request = &requests[at];
                let (failed, outcome) = self.outcome(request, response);
                let remaining = context.deadline.since(self.now());
                match failed.and_then(|failed| retry::wait(request.idempotent, failed, attempt, remaining, self.dice())) {
                    Some(wait) => {
                        longest = longest.max(wait);
                        again.push(at);
                    }
                    None => outcomes[at] = Some(outcome),
                }
            }
            left = again;
            if !left.is_empty() {
                self.wait(longest).await;
                attempt += 1;
            }
        }
        Ok(outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(|| Err(garbled("a batch that lost a request")))).collect())
    }

    fn outcome(&self, request: &GraphRequest, response: Option<&Value>) -> (Option<Failed>, Result<GraphReply, GraphError>) {
        let Some(response) = response else {
            return (Some(Failed::Lost), Err(garbled("a batch without an answer to one of its requests")));
        };
        let status = response.get("status").and_then(Value::as_u64).and_then(|status| u16::try_from(status).ok()).unwrap_or(500);
        let header = |name: &str| {
            let headers = response.get("headers").and_then(Value::as_object)?;
            headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).and_then(|(_, value)| value.as_str()).map(str::to_owned)
        };
        let body = response.get("body").unwrap_or(&Value::Null);
        if (200..300).contains(&status) || status == 304 {
            let body = if body.is_null() { Bytes::new() } else { body.to_string().into() };
            let acts = request.method != Method::Get;
            return (None, Ok(GraphReply { status, etag: header("etag"), location: header("location"), body, acts }));
        }
        let retry_after = header("retry-after").and_then(|value| retry::retry_after(&value, self.now().0 / 1000));
        let error = if status == 429 {
            GraphError::Throttled { retry_after_s: retry_after.map(|wait| wait.as_secs()), unknown_outcome: false }
        } else {
            let acts = request.method != Method::Get && status >= 500;
            GraphError::Refused { status, code: code_of(body), request_id: None, unknown_outcome: acts }
        };
        (Some(Failed::Status { status, retry_after }), Err(error))
    }
}

/// One request of a batch. The version root is not part of its `url`.
fn item(at: usize, request: &GraphRequest) -> Value {
    let method = match request.method {
        Method::Get => "GET",
        Method::Post => "POST",
        Method::Patch => "PATCH",
        Method::Put => "PUT",
        Method::Delete => "DELETE",
    };
    let mut item =
        json!({ "id": at.to_string(), "method": method, "url": request.target(), "headers": { "Prefer": preferences(request) } });
    for (name, value) in &request.headers {
        item["headers"][*name] = value.as_str().into();
    }
    if let Some(body) = &request.body {
        item["headers"]["Content-Type"] = "application/json".into();
        item["body"] = body.clone();
    }
    item
}

fn garbled(reason: &str) -> GraphError {
    GraphError::Garbled { reason: reason.into(), unknown_outcome: false }
}
