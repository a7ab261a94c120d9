//! For tests: [`Steps`] that answer from JSON and record what was asked.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use serde_json::Value;

use super::{ArgError, Args, Does, Fetched, Page, Reply, StepError, Steps, Written, find};
use crate::{
    clock::Timestamp,
    graph::{GraphRequest, Method},
    hint::Kind,
};

type Handler = Box<dyn Fn(&GraphRequest) -> Option<Result<Value, StepError>> + Send + Sync>;

/// Answers requests through a function; what that does not know is a 404, as Graph would say.
pub(super) struct Fake {
    handler: Handler,
    asked: Mutex<Vec<GraphRequest>>,
    now: Timestamp,
    personal: bool,
}

impl Fake {
    /// Answers through `handler`; `None` is a 404.
    pub(super) fn new(handler: impl Fn(&GraphRequest) -> Option<Result<Value, StepError>> + Send + Sync + 'static) -> Self {
        Self { handler: Box::new(handler), asked: Mutex::default(), now: Timestamp(1_795_165_200_000), personal: false }
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
    #[expect(dead_code, reason = "search differs for personal accounts")]
    pub(super) fn of_personal(mut self) -> Self {
        self.personal = true;
        self
    }

    /// What was asked, in order.
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
    }
}

#[async_trait]
impl Steps for Fake {
    async fn send(&self, request: GraphRequest) -> Result<Reply, StepError> {
        self.answer(request)
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
                next => return Ok(Page { items, next, delta }),
            }
        }
    }

    async fn batch(&self, requests: Vec<GraphRequest>) -> Result<Vec<Result<Reply, StepError>>, StepError> {
        Ok(requests.into_iter().map(|request| self.answer(request)).collect())
    }

    fn now(&self) -> Timestamp {
        self.now
    }

    fn personal(&self) -> bool {
        self.personal
    }
}

/// Checks `given` as a call of `tool` would.
pub(super) fn args(tool: &str, given: Value) -> Result<Args, ArgError> {
    Args::check(find(tool).unwrap(), given.as_object().unwrap())
}

/// Does a read.
pub(super) async fn fetch(steps: &Fake, tool: &str, given: Value) -> Result<Fetched, StepError> {
    let args = args(tool, given).unwrap();
    match find(tool).unwrap().does {
        Does::Read(read) => read(steps, &args).await,
        _ => panic!("{tool} is not a read"),
    }
}

/// Does a write.
pub(super) async fn act(steps: &Fake, tool: &str, given: Value) -> Result<Written, StepError> {
    let args = args(tool, given).unwrap();
    match find(tool).unwrap().does {
        Does::Write { act, .. } => act(steps, &args).await,
        _ => panic!("{tool} is not a write"),
    }
}
