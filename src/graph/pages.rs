//! Reads a collection page by page, following Graph's links as they are.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Client, Context, GraphError, GraphRequest};

/// Pages read of one collection at most: far beyond any limit of ours, short of for ever.
const MOST: usize = 2000;

/// What was read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Pages {
    /// The items of all pages read, in order.
    pub items: Vec<Value>,
    /// Where the next page is, when reading stopped before the end.
    pub next: Option<String>,
    /// The delta link, at the end of a delta walk.
    pub delta: Option<String>,
}

impl Client {
    /// Reads pages until `enough` says so or there are no more. `enough` sees all items so far, and is asked only when there is a next page.
    ///
    /// # Errors
    ///
    /// As [`Client::send`]; [`GraphError::ForeignHost`] for a link to elsewhere, [`GraphError::Resync`] for a delta token that is no longer good.
    pub async fn pages(
        &self,
        context: &Context,
        first: &GraphRequest,
        enough: &(dyn for<'a> Fn(&'a [Value]) -> bool + Send + Sync),
    ) -> Result<Pages, GraphError> {
        let is_delta = first.path.contains("/delta");
        let mut seen = BTreeSet::new();
        let mut pages = Pages::default();
        let mut request = first.clone();
        for _ in 0..MOST {
            let reply = self
                .send(context, &request)
                .await
                .map_err(|error| if is_delta && error.is_resync() { GraphError::Resync } else { error })?;
            let Value::Object(mut page) = reply.json()? else { return Err(garbled("it is not a collection")) };
            let Some(Value::Array(items)) = page.remove("value") else { return Err(garbled("it has no `value`")) };
            if pages.items.is_empty() {
                pages.items = items;
            } else {
                pages.items.extend(items);
            }
            let mut link = |name| page.remove(name).and_then(|link| link.as_str().map(str::to_owned));
            pages.delta = link("@odata.deltaLink");
            pages.next = link("@odata.nextLink");
            let Some(next) = &pages.next else { return Ok(pages) };
            if enough(&pages.items) {
                return Ok(pages);
            }
            if !seen.insert(next.clone()) {
                return Err(garbled("its pages lead back to themselves"));
            }
            // The link holds the query; preferences are not in it and have to be sent again.
            request = GraphRequest { path: next.clone(), query: Vec::new(), ..first.clone() };
        }
        Err(garbled("it has no last page"))
    }
}

fn garbled(reason: &str) -> GraphError {
    GraphError::Garbled { reason: reason.into(), unknown_outcome: false }
}
