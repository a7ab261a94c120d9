//! A write with nothing sent: reads are asked for real, changes are written down and answered with made-up ids.
//!
//! Nothing is journalled, kept or bumped, and no consent is taken, since nothing happens. What follows a made-up answer is what the tool
//! would do after a plain success; Microsoft may of course answer otherwise.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{Answer, Call, CallError, Engine};
use crate::{
    clock::Timestamp,
    graph::{Content, GraphRequest, Method, Upload},
    tools::{CONSENTS, Does, Effect, Files, LocalFile, Page, Reply, Risk, Saved, StepError, Steps},
    transfer::SMALL,
};

/// Longest text of a body that is shown whole, in characters.
const SHOWN: usize = 2000;

impl Engine {
    /// What a call would send, in order. For a call that changes nothing there is nothing to show.
    ///
    /// # Errors
    ///
    /// As [`Engine::call`], up to the first change.
    pub async fn rehearse(self: &Arc<Self>, name: &str, given: &Map<String, Value>) -> Result<Answer, CallError> {
        let tool = super::find(name)?;
        let args = self.wanted(tool, given)?;
        let answer = |asks: bool, notes: Notes| {
            let mut answer = json!({ "dry_run": true, "tool": tool.name, "asks": asks, "requests": notes.requests });
            if !notes.local.is_empty() {
                answer["local_files"] = notes.local.into();
            }
            answer
        };
        // One that writes a local file reads as far as Microsoft is concerned.
        let quiet = matches!(tool.effect, Effect::Local) || tool.risk == Risk::Safe;
        if quiet {
            return Ok(Answer::plain(&answer(tool.asks_for(&args), Notes::default())));
        }
        let account = self.account_of(tool, given, &args)?;
        let args = self.resolved(tool, &account.id, args).await?;
        let mut call = self.begin(tool, args, account);
        let mut asks = tool.asks_for(&call.args);
        let (mut notes, mut end) = self.walk_through(&call).await?;
        // Some tools see only at Microsoft that they reach others, and go on when somebody has agreed.
        if end.as_ref().is_some_and(StepError::is_unconfirmed) {
            asks = true;
            call.args.set(CONSENTS[1], "rehearsed");
            (notes, end) = self.walk_through(&call).await?;
        }
        match end {
            Some(error) if notes.requests.is_empty() => Err(error.into()),
            Some(error) => {
                let mut answer = answer(asks, notes);
                // What comes next depends on a real answer.
                answer["then"] = error.message.into();
                Ok(Answer::plain(&answer))
            }
            None => Ok(Answer::plain(&answer(asks, notes))),
        }
    }

    /// Does everything but change, and tells how it ended.
    async fn walk_through(&self, call: &Call) -> Result<(Notes, Option<StepError>), CallError> {
        let steps = Rehearsal { real: self.steps(call), notes: Mutex::default() };
        let end = match call.tool.does {
            Does::Write { act, .. } => act(&steps, &call.args).await.err(),
            Does::Read(fetch) | Does::ReadAcross { fetch, .. } => fetch(&steps, &call.args).await.err(),
            Does::Local(_) => return Err(CallError::Broken),
        };
        Ok((steps.notes.into_inner().unwrap_or_else(PoisonError::into_inner), end))
    }
}

/// What would have been done.
#[derive(Default)]
struct Notes {
    requests: Vec<Value>,
    local: Vec<Value>,
}

/// Steps that let reads through.
struct Rehearsal {
    real: Box<dyn Steps>,
    notes: Mutex<Notes>,
}

impl Rehearsal {
    fn note(&self, request: Value) -> usize {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        notes.requests.push(request);
        notes.requests.len()
    }

    fn note_local(&self, what: Value) {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).local.push(what);
    }

    /// Writes a change down and answers as Graph answers a success: with what was sent, under an id.
    fn pretend(&self, request: &GraphRequest) -> Reply {
        let number = self.note(noted(request));
        let mut body = request.body.as_ref().and_then(Value::as_object).cloned().unwrap_or_default();
        // A change is answered with what was changed, under its own id.
        let changed = request.path.rsplit('/').next().filter(|_| request.method == Method::Patch);
        let id = changed.map_or_else(|| made_up(number), str::to_owned);
        body.insert("id".into(), id.into());
        let (status, body) = match request.method {
            Method::Delete => (204, Value::Null),
            Method::Post => (201, body.into()),
            _ => (200, body.into()),
        };
        Reply { status, body, etag: None, location: Some(format!("(monitor of request {number})")) }
    }
}

fn made_up(number: usize) -> String {
    format!("id-from-request-{number}")
}

fn word(method: Method) -> &'static str {
    match method {
        Method::Get => "GET",
        Method::Post => "POST",
        Method::Patch => "PATCH",
        Method::Put => "PUT",
        Method::Delete => "DELETE",
    }
}

/// A request as it is shown. Tokens are not part of one: the client puts them on.
fn noted(request: &GraphRequest) -> Value {
    let mut note = json!({ "method": word(request.method), "path": request.target() });
    let mut headers: Map<String, Value> = request.headers.iter().map(|(name, value)| ((*name).to_owned(), value.as_str().into())).collect();
    if !request.prefer.is_empty() {
        headers.insert("Prefer".into(), request.prefer.join(", ").into());
    }
    if !headers.is_empty() {
        note["headers"] = headers.into();
    }
    if let Some(body) = &request.body {
        note["body"] = shortened(body);
    }
    if let Some((content_type, bytes)) = &request.content {
        note["content"] = json!({ "content_type": content_type, "bytes": bytes.len() });
    }
    note
}

/// A body without the bulk of its texts.
fn shortened(value: &Value) -> Value {
    match value {
        Value::String(text) => {
            let count = text.chars().count();
            if count <= SHOWN {
                value.clone()
            } else {
                format!("{}… ({count} characters)", text.chars().take(200).collect::<String>()).into()
            }
        }
        Value::Array(items) => items.iter().map(shortened).collect(),
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), shortened(value))).collect::<Map<_, _>>().into(),
        other => other.clone(),
    }
}

#[async_trait]
impl Steps for Rehearsal {
    async fn send(&self, request: GraphRequest) -> Result<Reply, StepError> {
        if request.only_asks { self.real.send(request).await } else { Ok(self.pretend(&request)) }
    }

    /// No answer is shown.
    async fn aside(&self, _request: GraphRequest) -> Option<Reply> {
        None
    }

    async fn pages(&self, request: GraphRequest, enough: &(dyn for<'a> Fn(&'a [Value]) -> bool + Send + Sync)) -> Result<Page, StepError> {
        self.real.pages(request, enough).await
    }

    async fn batch(&self, requests: Vec<GraphRequest>) -> Result<Vec<Result<Reply, StepError>>, StepError> {
        if requests.iter().all(|request| request.only_asks) {
            return self.real.batch(requests).await;
        }
        let mut replies = Vec::with_capacity(requests.len());
        for request in requests {
            replies.push(self.send(request).await);
        }
        Ok(replies)
    }

    fn files(&self) -> &dyn Files {
        self
    }

    fn now(&self) -> Timestamp {
        self.real.now()
    }

    fn personal(&self) -> bool {
        self.real.personal()
    }
}

#[async_trait]
impl Files for Rehearsal {
    async fn save(&self, what: Content, to: &str, most: u64) -> Result<Saved, StepError> {
        // An address carries rights and is not shown.
        let from = match &what {
            Content::Graph(request) => request.target(),
            Content::Address(_) => "(a download address)".into(),
        };
        self.note_local(json!({ "save": to, "from": from, "at_most_bytes": most }));
        Ok(Saved { path: to.to_owned(), size: 0, content_type: String::new() })
    }

    async fn bytes(&self, what: GraphRequest, most: usize) -> Result<Vec<u8>, StepError> {
        self.real.files().bytes(what, most).await
    }

    async fn open_local(&self, path: &str, most: u64) -> Result<LocalFile, StepError> {
        let file = self.real.files().open_local(path, most).await?;
        self.note_local(json!({ "read": path, "bytes": file.size, "content_type": file.content_type }));
        Ok(file)
    }

    async fn read_local(&self, file: &LocalFile) -> Result<Bytes, StepError> {
        self.real.files().read_local(file).await
    }

    async fn upload(&self, to: Upload, file: &LocalFile) -> Result<Reply, StepError> {
        let whole = to.whole.as_ref().filter(|_| file.size <= SMALL);
        let mut note = noted(whole.unwrap_or(&to.session));
        note["content"] = json!({ "file": file.name, "bytes": file.size });
        if whole.is_none() {
            note["pieces"] = file.size.div_ceil(to.piece.max(1)).into();
        }
        let number = self.note(note);
        let body = json!({ "id": made_up(number), "name": file.name, "size": file.size });
        Ok(Reply { status: 201, body, etag: None, location: Some(format!("(address from request {number})")) })
    }

    async fn follow(&self, _monitor: &str, _patience: Duration) -> Result<Reply, StepError> {
        Ok(Reply { status: 202, body: json!({ "status": "notStarted" }), etag: None, location: None })
    }
}
