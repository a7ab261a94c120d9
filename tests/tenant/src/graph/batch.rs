//! `$batch`: up to twenty requests in one, some of them waiting for others.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use serde_json::{Map, Value, json};

use super::Graph;
use super::errors::Fault;
use super::odata::Answer;
use crate::seed::prng::mix;
use crate::wire::{Reply, Request};

/// The most requests in one batch.
const MOST: usize = 20;

struct Inner {
    id: String,
    request: Request,
    depends_on: Vec<usize>,
}

fn refused(message: impl Into<String>) -> Box<Fault> {
    Fault::bad_request(message)
}

/// Answers a batch. The whole is refused when it is not well-formed; otherwise each request has its own answer. Answers
/// come in another order than the requests, as the service does not promise any.
pub(crate) fn run(graph: &Graph, outer: &Request, gate: &dyn Fn(&Request) -> Option<Reply>) -> Answer<Reply> {
    let body: Value = serde_json::from_slice(&outer.body).map_err(|_| refused("Invalid batch payload format."))?;
    let requests = body.get("requests").and_then(Value::as_array).ok_or_else(|| refused("Invalid batch payload format."))?;
    if requests.len() > MOST {
        let message = format!("Number of batch request steps exceeds the maximum value of {MOST}.");
        return Err(Fault::new(StatusCode::BAD_REQUEST, "MaximumValueExceeded", message));
    }
    if requests.is_empty() {
        return Err(refused("A batch must have at least one request."));
    }
    let inner = parse(outer, requests)?;
    let mut replies: Vec<Option<Reply>> = inner.iter().map(|_| None).collect();
    // A request depends only on earlier ones, so one pass in order is enough.
    for (index, item) in inner.iter().enumerate() {
        let failed = item.depends_on.iter().any(|parent| replies[*parent].as_ref().is_none_or(|r| !r.status.is_success()));
        replies[index] = Some(if failed {
            let message = "Failed dependency. A request on which this one depends has failed.";
            Fault::new(StatusCode::FAILED_DEPENDENCY, "FailedDependency", message).reply(&item.request, (graph.clock)())
        } else if item.request.path.trim_matches('/').eq_ignore_ascii_case("$batch") {
            refused("A batch cannot contain a batch.").reply(&item.request, (graph.clock)())
        } else {
            gate(&item.request).unwrap_or_else(|| graph.handle(&item.request, &|_| None))
        });
    }
    let mut answers: Vec<(u64, Value)> = inner
        .iter()
        .zip(replies)
        .filter_map(|(item, reply)| reply.map(|reply| (item.id.bytes().fold(0, |s, b| mix(s ^ u64::from(b))), answer(&item.id, &reply))))
        .collect();
    answers.sort_by_key(|(order, _)| *order);
    let responses: Vec<Value> = answers.into_iter().map(|(_, answer)| answer).collect();
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(Reply { status: StatusCode::OK, headers, body: Bytes::from(json!({"responses": responses}).to_string()) })
}

fn parse(outer: &Request, requests: &[Value]) -> Answer<Vec<Inner>> {
    let mut out: Vec<Inner> = Vec::with_capacity(requests.len());
    for item in requests {
        let id = match item.get("id") {
            Some(Value::String(id)) if !id.is_empty() => id.clone(),
            Some(Value::Number(id)) => id.to_string(),
            _ => return Err(refused("Every request of a batch must have an id.")),
        };
        if out.iter().any(|other| other.id.eq_ignore_ascii_case(&id)) {
            return Err(refused(format!("Request ids of a batch must be unique: '{id}' appears more than once.")));
        }
        let method = item.get("method").and_then(Value::as_str).unwrap_or("");
        let method = Method::from_bytes(method.to_ascii_uppercase().as_bytes()).ok().filter(|_| !method.is_empty());
        let method = method.ok_or_else(|| refused(format!("The request '{id}' has no valid method.")))?;
        let url = item.get("url").and_then(Value::as_str).ok_or_else(|| refused(format!("The request '{id}' has no url.")))?;
        if url.contains("://") {
            return Err(refused(format!("The url of request '{id}' must be relative to the version.")));
        }
        let (path, query) = url.split_once('?').unwrap_or((url, ""));
        let mut headers = HeaderMap::new();
        for (name, value) in item.get("headers").and_then(Value::as_object).into_iter().flatten() {
            let parsed = (HeaderName::from_bytes(name.as_bytes()), value.as_str().map(HeaderValue::from_str));
            if let (Ok(name), Some(Ok(value))) = parsed {
                headers.append(name, value);
            }
        }
        let body = inner_body(item, &headers, &id)?;
        let mut depends_on = Vec::new();
        for parent in item.get("dependsOn").and_then(Value::as_array).into_iter().flatten() {
            let wanted = parent.as_str().unwrap_or("");
            let index = out.iter().position(|other| other.id.eq_ignore_ascii_case(wanted));
            depends_on
                .push(index.ok_or_else(|| refused(format!("The request '{id}' depends on '{wanted}', which is no earlier request.")))?);
        }
        let request = Request {
            method,
            path: format!("/{}", path.trim_start_matches('/')),
            query: query.to_owned(),
            headers,
            body,
            user: outer.user.clone(),
            base: outer.base.clone(),
            downloads: outer.downloads.clone(),
        };
        out.push(Inner { id, request, depends_on });
    }
    Ok(out)
}

/// A JSON body stands in the batch as JSON, any other as base64 text.
fn inner_body(item: &Value, headers: &HeaderMap, id: &str) -> Answer<Bytes> {
    let Some(body) = item.get("body").filter(|body| !body.is_null()) else {
        return Ok(Bytes::new());
    };
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = kind.ok_or_else(|| refused(format!("The request '{id}' has a body but no Content-Type header.")))?;
    match body {
        Value::String(text) if !kind.to_ascii_lowercase().contains("json") => {
            STANDARD.decode(text).map(Bytes::from).map_err(|_| refused(format!("The body of request '{id}' is not base64.")))
        }
        body => Ok(Bytes::from(body.to_string())),
    }
}

fn answer(id: &str, reply: &Reply) -> Value {
    let mut headers = Map::new();
    for (name, value) in &reply.headers {
        if let Ok(value) = value.to_str() {
            // The service writes some of them in mixed case.
            let name = match name.as_str() {
                "content-type" => "Content-Type",
                "location" => "Location",
                "cache-control" => "Cache-Control",
                "retry-after" => "Retry-After",
                "preference-applied" => "Preference-Applied",
                other => other,
            };
            headers.insert(name.to_owned(), json!(value));
        }
    }
    let mut out = json!({"id": id, "status": reply.status.as_u16(), "headers": headers});
    if !reply.body.is_empty() {
        out["body"] = serde_json::from_slice(&reply.body).unwrap_or_else(|_| json!(STANDARD.encode(&reply.body)));
    }
    out
}
