//! Reading a list: page after page until the limit is reached, filtering on the way.

use std::{collections::BTreeSet, sync::OnceLock};

use serde_json::Value;

use super::{More, StepError, Steps, shape::text};
use crate::graph::GraphRequest;

/// A list as far as it was asked for.
#[derive(Debug)]
pub(super) struct Listing {
    /// At most `limit` items, each once.
    pub(super) items: Vec<Value>,
    /// How many of the list have been shown, these among them.
    pub(super) shown: usize,
    /// Nothing was left out but what the filter refused.
    pub(super) complete: bool,
    /// What was left out, when something was.
    pub(super) more: Option<More>,
    /// It was put together from more than one page, so that it also depends on what moved between them.
    pub(super) several_pages: bool,
}

/// Reads until `limit` items are found that `keep` accepts, or there are no more. A limit is on items kept, not on items read:
/// fifty files before the first folder must not hide the folder.
pub(super) async fn read_list(
    steps: &dyn Steps,
    request: GraphRequest,
    limit: usize,
    keep: fn(&Value) -> bool,
) -> Result<Listing, StepError> {
    let first_page = OnceLock::new();
    let enough = |items: &[Value]| {
        let _ = first_page.set(items.len());
        items.iter().filter(|item| keep(item)).count() >= limit
    };
    let page = steps.pages(request, &enough).await?;
    let several_pages = first_page.get().is_some_and(|length| page.items.len() > *length);
    // Something new at the top pushes an item from one page on to the next, where it comes a second time.
    let mut seen = BTreeSet::new();
    let mut items: Vec<Value> =
        page.items.into_iter().filter(|item| keep(item) && text(item, "id").is_none_or(|id| seen.insert(id.to_owned()))).collect();
    let complete = page.next.is_none() && items.len() <= limit;
    let rest = items.split_off(limit.min(items.len()));
    let shown = page.before + items.len();
    let more = (!complete).then_some(More { rest, link: page.next, before: shown });
    Ok(Listing { items, shown, complete, more, several_pages })
}

/// Keeps all.
pub(super) fn every(_: &Value) -> bool {
    true
}
