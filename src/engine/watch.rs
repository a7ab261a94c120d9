//! Steps that are watched: a fetch leaves a delta token behind when it has walked a feed, and asks "only if it has changed" when it may.
//!
//! * A walk of a whole feed from its beginning gives a token. It is a baseline only when the walk was the first thing that the fetch asked
//!   for: what was read before it could be older than the token.
//! * `If-None-Match` goes with the first request when the entry to be replaced has a tag and the request is one for which Graph documents
//!   304: a drive item. A tool gives its answer a tag only when the tag stands for all of the answer.

use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use serde_json::Value;

use crate::{
    cache::Feed,
    clock::Timestamp,
    graph::{GraphRequest, Method},
    hint::Kind,
    secret::Secret,
    tools::{Files, Page, Reply, StepError, Steps},
};

/// What was seen.
#[derive(Default)]
pub(super) struct Seen {
    asked: usize,
    /// Graph requests made: each page is one, and so is each in a batch, as Microsoft counts them. Retries are not counted.
    pub(super) requests: u64,
    /// A feed that was walked whole, and the link that tells what changes from then on.
    pub(super) walk: Option<(Feed, Secret<String>)>,
    /// Graph says that what the tag stands for is unchanged; the fetch failed with that.
    pub(super) unchanged: bool,
}

/// Steps that are watched.
pub(super) struct Watch {
    steps: Box<dyn Steps>,
    etag: Option<String>,
    seen: Mutex<Seen>,
}

impl Watch {
    /// Watches `steps`; `etag` is the tag of the answer that is to be replaced.
    pub(super) fn new(steps: Box<dyn Steps>, etag: Option<String>) -> Self {
        Self { steps, etag, seen: Mutex::default() }
    }

    /// What was seen.
    pub(super) fn seen(self) -> Seen {
        self.seen.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a step of so many requests; true for the first one.
    fn first(&self, requests: usize) -> bool {
        let mut seen = self.note();
        seen.asked += 1;
        seen.requests += u64::try_from(requests).unwrap_or(u64::MAX);
        seen.asked == 1
    }
}

/// The feed that `request` walks from its beginning.
fn walked(request: &GraphRequest) -> Option<Feed> {
    (request.path == "/me/drive/root/delta" && request.query.iter().all(|(name, _)| *name != "token")).then(Feed::drive)
}

/// Whether `request` reads one drive item, for which Graph documents 304.
fn reads_drive_item(request: &GraphRequest) -> bool {
    let below = request.path.strip_prefix("/me/drive/");
    let item = below.is_some_and(|below| match below.split_once('/') {
        None => below == "root",
        Some(("items", id)) => !id.contains('/'),
        Some(("root:", path)) => !path.contains(':'),
        Some(_) => false,
    });
    item && request.method == Method::Get
}

#[async_trait]
impl Steps for Watch {
    async fn send(&self, request: GraphRequest) -> Result<Reply, StepError> {
        let first = self.first(1);
        let tag = self.etag.as_ref().filter(|_| first && reads_drive_item(&request));
        let request = match tag {
            Some(tag) => request.header("If-None-Match", tag),
            None => request,
        };
        let reply = self.steps.send(request).await?;
        if reply.status != 304 {
            return Ok(reply);
        }
        self.note().unchanged = true;
        Err(StepError {
            kind: Kind::Internal,
            code: "not_modified",
            message: "nothing has changed".into(),
            hint: Some("Nothing to do: what is kept is still so.".into()),
            status: Some(304),
            graph_code: None,
            unknown_outcome: false,
            never_sent: false,
            retry_after: None,
            left: None,
        })
    }

    async fn pages(&self, request: GraphRequest, enough: &(dyn for<'a> Fn(&'a [Value]) -> bool + Send + Sync)) -> Result<Page, StepError> {
        let first = self.first(1);
        let feed = walked(&request).filter(|_| first);
        // Asked between two pages: when it says no, the next one is read.
        let enough = |items: &[Value]| {
            let done = enough(items);
            self.note().requests += u64::from(!done);
            done
        };
        let page = self.steps.pages(request, &enough).await?;
        if let (Some(feed), None, Some(link)) = (feed, &page.next, &page.delta) {
            self.note().walk = Some((feed, Secret::new(link.clone())));
        }
        Ok(page)
    }

    async fn batch(&self, requests: Vec<GraphRequest>) -> Result<Vec<Result<Reply, StepError>>, StepError> {
        self.first(requests.len());
        self.steps.batch(requests).await
    }

    fn files(&self) -> &dyn Files {
        self.steps.files()
    }

    fn now(&self) -> Timestamp {
        self.steps.now()
    }

    fn personal(&self) -> bool {
        self.steps.personal()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::drive_path;

    #[test]
    fn only_single_drive_items_are_asked_conditionally() {
        let reads = |request: GraphRequest| reads_drive_item(&request);
        let by_path = |at: &str, more: &str| GraphRequest::get_path(format!("{}{more}", drive_path("/me/drive", at).trim_end_matches(':')));
        assert!(reads(GraphRequest::get(&["me", "drive", "root"])));
        assert!(reads(GraphRequest::get(&["me", "drive", "items", "a/b:c"])));
        assert!(reads(by_path("/a b/c", "")));
        assert!(!reads(by_path("/a b/c", ":/children")));
        assert!(!reads(GraphRequest::get(&["me", "drive", "items", "x", "children"])));
        assert!(!reads(GraphRequest::get(&["me", "drive", "root", "children"])));
        assert!(!reads(GraphRequest::get(&["me", "drive"])));
        assert!(!reads(GraphRequest::get(&["me", "messages", "x"])));
        assert!(!reads(GraphRequest::delete(&["me", "drive", "items", "x"])));
    }

    #[test]
    fn a_walk_begins_without_a_token() {
        let delta = || GraphRequest::get(&["me", "drive", "root", "delta"]);
        assert_eq!(walked(&delta().with("$top", "5")), Some(Feed::drive()));
        assert_eq!(walked(&delta().with("token", "latest")), None);
        assert_eq!(walked(&GraphRequest::get_path("https://graph/me/drive/root/delta?token=x".into())), None);
    }
}
