//! Collections: pages followed to where they end, and deltas.
//!
//! Links are followed as they are, never read or built (Graph documentation, *Paging*), with the first request's preferences.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::Value;

use super::{Cause, Client, Context, GraphError, GraphReply, GraphRequest};

/// More pages than any collection has; with the smallest pages there are, a hundred thousand items.
const MOST: usize = 10_000;
/// The most bytes of pages that are held.
const MOST_BYTES: usize = 512 << 20;

/// Pages of a collection, as far as they were read.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Pages {
    /// The items of all pages read, in order.
    pub items: Vec<Value>,
    /// Where the next page is, when there is one.
    pub next: Option<String>,
    /// The delta link, at the end of a delta.
    pub delta: Option<String>,
}

#[derive(Deserialize)]
struct Page {
    value: Vec<Value>,
    #[serde(rename = "@odata.nextLink")]
    next: Option<String>,
    #[serde(rename = "@odata.deltaLink")]
    delta: Option<String>,
}

impl Page {
    fn of(reply: &GraphReply) -> Result<Self, GraphError> {
        serde_json::from_slice(&reply.body).map_err(|_| reply.without("a list"))
    }
}

impl Client {
    /// Reads pages until `enough` says so of all items so far, or there are no more. A page may be empty and have a next one.
    ///
    /// # Errors
    ///
    /// As [`Client::send`], for the page that failed; also when pages lead back to themselves.
    pub async fn pages(
        &self,
        context: &Context,
        request: &GraphRequest,
        enough: &(dyn for<'a> Fn(&'a [Value]) -> bool + Send + Sync),
    ) -> Result<Pages, GraphError> {
        let (mut all, mut seen, mut bytes) = (Pages::default(), BTreeSet::new(), 0);
        let mut request = request.clone();
        loop {
            let reply = self.send(context, &request).await?;
            bytes += reply.body.len();
            let page = Page::of(&reply)?;
            all.items.extend(page.value);
            (all.next, all.delta) = (page.next, page.delta);
            let Some(next) = &all.next else { return Ok(all) };
            if enough(&all.items) {
                return Ok(all);
            }
            if seen.len() >= MOST || !seen.insert(next.clone()) {
                return Err(GraphError::new(Cause::Endless));
            }
            if bytes > MOST_BYTES {
                return Err(GraphError::new(Cause::TooLarge(MOST_BYTES)));
            }
            (request.path, request.query) = (next.clone(), Vec::new());
        }
    }

    /// Walks a delta to its end: the items, some of them perhaps twice, and the link to ask for what comes after them.
    ///
    /// # Errors
    ///
    /// As [`Client::pages`]. [`Cause::Resync`] when the token is no longer known: forget it and start over.
    pub async fn delta(&self, context: &Context, request: &GraphRequest) -> Result<(Vec<Value>, String), GraphError> {
        let pages = self.pages(context, request, &|_| false).await?;
        let link = pages.delta.ok_or_else(|| GraphError::new(Cause::Garbage("a delta link")))?;
        Ok((pages.items, link))
    }
}

#[cfg(test)]
#[path = "examples_tests.rs"]
mod examples_tests;
