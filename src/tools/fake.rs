//! For tests: [`Steps`] that answer from JSON and record what was asked.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::Value;

use super::{ArgError, Args, Does, Fetched, Files, LocalFile, Page, Reply, Saved, StepError, Steps, Written, find};
use crate::{
    clock::Timestamp,
    graph::{Content, GraphRequest, Method, Upload},
    hint::Kind,
};

type Handler = Box<dyn Fn(&GraphRequest) -> Option<Result<Value, StepError>> + Send + Sync>;

/// Answers requests through a function; what that does not know is a 404, as Graph would say.
pub(super) struct Fake {
    handler: Handler,
    asked: Mutex<Vec<GraphRequest>>,
    aside: Mutex<Vec<GraphRequest>>,
    now: Timestamp,
    personal: bool,
    /// Path, media type and bytes of the local files that there are.
    local: Vec<(&'static str, &'static str, Vec<u8>)>,
}

impl Fake {
    /// Answers through `handler`; `None` is a 404.
    pub(super) fn new(handler: impl Fn(&GraphRequest) -> Option<Result<Value, StepError>> + Send + Sync + 'static) -> Self {
        Self {
            handler: Box::new(handler),
            asked: Mutex::default(),
            aside: Mutex::default(),
            now: Timestamp(1_795_165_200_000),
            personal: false,
            local: Vec::new(),
        }
    }

    /// Answers each `METHOD /path` (without its query) with one body, however often it is asked.
    pub(super) fn answering<const N: usize>(answers: [(&'static str, Value); N]) -> Self {
        Self::new(move |request| answers.iter().find(|(name, _)| *name == named(request)).map(|(_, body)| Ok(body.clone())))
    }

    /// The same, at another time.
    pub(super) fn at(mut self, now: Timestamp) -> Self {
        self.now = now;
        self
    }

    /// The same, for a personal account.
    pub(super) fn of_personal(mut self) -> Self {
        self.personal = true;
        self
    }

    /// With a local file at `path`.
    pub(super) fn with_file(mut self, path: &'static str, content_type: &'static str, bytes: impl Into<Vec<u8>>) -> Self {
        self.local.push((path, content_type, bytes.into()));
        self
    }

    /// What was asked aside since this was asked last.
    fn asides(&self) -> Vec<GraphRequest> {
        std::mem::take(&mut self.aside.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What was asked, in order, but for what was asked aside.
    pub(super) fn requests(&self) -> Vec<GraphRequest> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What was asked as `METHOD target`.
    pub(super) fn log(&self) -> Vec<String> {
        self.requests().iter().map(|request| format!("{} {}", method(request), request.target())).collect()
    }

    fn answer(&self, request: GraphRequest) -> Result<Reply, StepError> {
        let answer = (self.handler)(&request).unwrap_or_else(|| Err(refusal(404, &named(&request))));
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(request);
        answer.map(|body| Reply { status: 200, body, etag: None, location: None })
    }
}

/// `METHOD /path`.
pub(super) fn named(request: &GraphRequest) -> String {
    format!("{} {}", method(request), request.path)
}

fn method(request: &GraphRequest) -> &'static str {
    match request.method {
        Method::Get => "GET",
        Method::Post => "POST",
        Method::Patch => "PATCH",
        Method::Put => "PUT",
        Method::Delete => "DELETE",
    }
}

/// Graph says no.
pub(super) fn refusal(status: u16, what: &str) -> StepError {
    StepError {
        kind: Kind::Denied,
        code: "refused",
        message: what.to_owned(),
        hint: None,
        status: Some(status),
        graph_code: None,
        unknown_outcome: false,
        never_sent: false,
        retry_after: None,
        left: None,
    }
}

#[async_trait]
impl Steps for Fake {
    async fn send(&self, request: GraphRequest) -> Result<Reply, StepError> {
        self.answer(request)
    }

    async fn aside(&self, request: GraphRequest) -> Option<Reply> {
        let body = (self.handler)(&request);
        self.aside.lock().unwrap_or_else(PoisonError::into_inner).push(request);
        Some(Reply { status: 200, body: body?.ok()?, etag: None, location: None })
    }

    async fn pages(&self, request: GraphRequest, enough: &(dyn for<'a> Fn(&'a [Value]) -> bool + Send + Sync)) -> Result<Page, StepError> {
        let prefer = request.prefer.clone();
        let mut request = request;
        let mut items = Vec::new();
        loop {
            let body = self.answer(request)?.body;
            items.extend(body["value"].as_array().ok_or_else(|| StepError::unexpected("a list"))?.iter().cloned());
            let link = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
            let (next, delta) = (link("@odata.nextLink"), link("@odata.deltaLink"));
            match next {
                Some(next) if !enough(&items) => request = GraphRequest { prefer: prefer.clone(), ..GraphRequest::get_path(next) },
                next => return Ok(Page { items, before: 0, next, delta }),
            }
        }
    }

    async fn batch(&self, requests: Vec<GraphRequest>) -> Result<Vec<Result<Reply, StepError>>, StepError> {
        Ok(requests.into_iter().map(|request| self.answer(request)).collect())
    }

    fn files(&self) -> &dyn Files {
        self
    }

    fn now(&self) -> Timestamp {
        self.now
    }

    fn personal(&self) -> bool {
        self.personal
    }
}

#[async_trait]
impl Files for Fake {
    /// Fetches what a request answers with (a JSON string is its text) and says where it would lie: below `/allowed`.
    async fn save(&self, what: Content, to: &str, most: u64) -> Result<Saved, StepError> {
        let request = match what {
            Content::Graph(request) => request,
            Content::Address(address) => GraphRequest::get_path(address),
        };
        if self.local.iter().any(|(path, ..)| *path == to) {
            return Err(StepError::user("file_exists", "there is a local file of that name already", "Choose another name."));
        }
        let body = self.answer(request)?.body;
        let size = body.as_str().map_or_else(|| body.to_string().len(), str::len) as u64;
        if size > most {
            return Err(StepError::user("file_too_large", "the file is too large", "Choose a smaller file."));
        }
        Ok(Saved { path: format!("/allowed/{to}"), size, content_type: "application/octet-stream".into() })
    }

    /// What a request answers with: a JSON string is its text.
    async fn bytes(&self, what: GraphRequest, most: usize) -> Result<Vec<u8>, StepError> {
        let body = self.answer(what)?.body;
        let bytes = body.as_str().map_or_else(|| body.to_string(), str::to_owned).into_bytes();
        if bytes.len() > most {
            return Err(StepError::user("file_too_large", "the file is too large", "Choose a smaller file."));
        }
        Ok(bytes)
    }

    async fn open_local(&self, path: &str, most: u64) -> Result<LocalFile, StepError> {
        let missing = || StepError::user("no_file", "there is no such local file", "Check the path.");
        let number = self.local.iter().position(|(known, ..)| *known == path).ok_or_else(missing)?;
        let (_, content_type, bytes) = &self.local[number];
        if bytes.len() as u64 > most {
            return Err(StepError::user("file_too_large", "the file is too large", "Choose a smaller file."));
        }
        let name = path.rsplit('/').next().unwrap_or(path).to_owned();
        Ok(LocalFile { name, size: bytes.len() as u64, content_type: (*content_type).into(), number })
    }

    async fn read_local(&self, file: &LocalFile) -> Result<Bytes, StepError> {
        assert!(file.size <= super::INLINE, "too large to be read at once");
        Ok(self.local[file.number].2.clone().into())
    }

    /// A file of up to 4 MiB is one request where that is possible; a larger one is its session's opening, which answers with the item.
    async fn upload(&self, to: Upload, file: &LocalFile) -> Result<Reply, StepError> {
        match to.whole {
            Some(mut whole) if file.size <= 4 << 20 => {
                whole.content = Some((file.content_type.clone(), self.local[file.number].2.clone().into()));
                self.answer(whole)
            }
            _ => self.answer(to.session),
        }
    }

    async fn follow(&self, monitor: &str, _patience: Duration) -> Result<Reply, StepError> {
        self.answer(GraphRequest::get_path(monitor.into()))
    }
}

/// Checks `given` as a call of `tool` would.
pub(super) fn args(tool: &str, given: Value) -> Result<Args, ArgError> {
    Args::check(find(tool).unwrap(), given.as_object().unwrap())
}

/// Does a read.
pub(super) async fn fetch(steps: &Fake, tool: &str, given: Value) -> Result<Fetched, StepError> {
    let args = args(tool, given).unwrap();
    let row = find(tool).unwrap();
    let asked = steps.requests().len();
    let fetched = match row.does.fetch() {
        Some(read) => read(steps, &args).await,
        None => panic!("{tool} is not a read"),
    };
    for request in steps.requests()[asked..].iter().chain(&steps.asides()) {
        super::scopes::hold(row, request);
        assert!(request.only_asks, "{tool} is a read and changes something: {request:?}");
    }
    fetched
}

/// Does a write.
pub(super) async fn act(steps: &Fake, tool: &str, given: Value) -> Result<Written, StepError> {
    let args = args(tool, given).unwrap();
    let row = find(tool).unwrap();
    let asked = steps.requests().len();
    let written = match row.does {
        Does::Write { act, .. } => act(steps, &args).await,
        _ => panic!("{tool} is not a write"),
    };
    steps.requests()[asked..].iter().chain(&steps.asides()).for_each(|request| super::scopes::hold(row, request));
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn local_files_of_the_fake_are_read_and_sent() {
        let answers = [("PUT /x/content", serde_json::json!({"id": "1"})), ("GET /x/content", serde_json::json!("hello"))];
        let fake = Fake::answering(answers).with_file("a/b.txt", "text/plain", "hello");
        let file = fake.open_local("a/b.txt", 5).await.unwrap();
        assert_eq!((file.name.as_str(), file.size), ("b.txt", 5));
        assert_eq!(fake.read_local(&file).await.unwrap(), "hello");
        assert_eq!(fake.open_local("a/b.txt", 4).await.unwrap_err().code, "file_too_large");
        assert_eq!(fake.open_local("c", 4).await.unwrap_err().code, "no_file");
        assert_eq!(fake.upload(Upload::to_drive("/x", crate::graph::Conflict::Fail), &file).await.unwrap().body["id"], "1");
        assert_eq!(fake.requests()[0].content, Some(("text/plain".into(), "hello".into())));
        let what = || Content::Graph(GraphRequest::get(&["x", "content"]));
        assert_eq!(fake.save(what(), "new", 5).await.unwrap().size, 5);
        assert_eq!(fake.save(what(), "a/b.txt", 5).await.unwrap_err().code, "file_exists");
    }
}
