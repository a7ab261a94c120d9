//! `POST /search/query`: Microsoft Search, for work and school accounts.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::balanced;
use crate::{
    graph::GraphRequest,
    tools::{StepError, Steps, shape::text},
};

/// Most hits in one reply for messages and events (Graph documentation, *searchRequest*); files allow more.
const PAGE: usize = 25;
/// Most hits that are read: more cannot be looked at by anyone.
const MOST: usize = 1_000;

/// A hit: what it is, its id and a few words around what was found.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Hit {
    pub(super) id: String,
    pub(super) resource: Value,
    pub(super) summary: Option<String>,
}

/// Reads hits of one `kind` until `limit` of them are kept. Returns whether there were no more.
pub(super) async fn hits(
    steps: &dyn Steps,
    kind: &str,
    query: &str,
    limit: usize,
    keep: &(dyn Fn(&Hit) -> bool + Send + Sync),
) -> Result<(Vec<Hit>, bool), StepError> {
    let page = if kind == "driveItem" { limit.clamp(PAGE, 200) } else { PAGE };
    let (mut found, mut seen) = (Vec::new(), BTreeSet::new());
    let mut from = 0;
    loop {
        let body =
            json!({ "requests": [{ "entityTypes": [kind], "query": { "queryString": balanced(query) }, "from": from, "size": page }] });
        let reply = steps.send(GraphRequest::question(&["search", "query"], body)).await?.body;
        let Some(container) = reply.pointer("/value/0/hitsContainers/0") else { return Err(StepError::unexpected("a container of hits")) };
        // Without hits Graph leaves the member out.
        let hits = container.get("hits").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        for hit in hits {
            let id =
                text(hit, "hitId").or_else(|| text(hit.get("resource")?, "id")).ok_or_else(|| StepError::unexpected("the id of a hit"))?;
            let resource = hit.get("resource").cloned().unwrap_or_default();
            let hit = Hit { id: id.to_owned(), resource, summary: text(hit, "summary").map(plain) };
            if seen.insert(hit.id.clone()) && keep(&hit) {
                if found.len() == limit {
                    return Ok((found, false));
                }
                found.push(hit);
            }
        }
        let more = container.get("moreResultsAvailable").and_then(Value::as_bool).unwrap_or_default();
        if !more {
            return Ok((found, true));
        }
        // What the account may not see is left out of a page, which is short then, or empty. Whether such hits count is not said: as if they did
        // not, some come twice and none is missed.
        from += if hits.is_empty() { page } else { hits.len() };
        if from >= MOST {
            return Ok((found, false));
        }
    }
}

/// A summary without the marks Graph puts around hits (`<c0>`) and gaps (`<ddd/>`).
fn plain(summary: &str) -> String {
    let mut text = summary.replace("<ddd/>", "…");
    for mark in ["<c0>", "</c0>"] {
        text = text.replace(mark, "");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::fake::Fake;

    /// `count` hits in pages of what is asked for.
    fn fake(count: usize) -> Fake {
        Fake::new(move |request| {
            let asked = &request.body.as_ref()?["requests"][0];
            let (from, size) = (asked["from"].as_u64()? as usize, asked["size"].as_u64()? as usize);
            let to = (from + size).min(count);
            let hits: Vec<Value> =
                (from..to).map(|at| json!({"hitId": format!("h{at}"), "summary": "a <c0>b</c0><ddd/>", "resource": {"n": at}})).collect();
            let container = if hits.is_empty() {
                json!({"total": 0, "moreResultsAvailable": false})
            } else {
                json!({"hits": hits, "total": count, "moreResultsAvailable": to < count})
            };
            Some(Ok(json!({"value": [{"searchTerms": ["x"], "hitsContainers": [container]}]})))
        })
    }

    #[tokio::test]
    async fn pages_are_read_until_the_limit_of_kept_hits() {
        let even = |hit: &Hit| hit.resource["n"].as_u64().unwrap().is_multiple_of(2);
        for (count, limit, expected, complete) in
            [(60, 20, 20, false), (60, 30, 30, true), (60, 50, 30, true), (0, 5, 0, true), (25, 13, 13, true)]
        {
            let (found, whole) = hits(&fake(count), "event", "x", limit, &even).await.unwrap();
            assert_eq!((found.len(), whole), (expected, complete), "{count} {limit}");
        }
        let (found, _) = hits(&fake(3), "event", "x", 3, &even).await.unwrap();
        assert_eq!((found[0].id.as_str(), found[0].summary.as_deref()), ("h0", Some("a b…")));
    }

    /// Graph leaves out of a page what the account may not see: such a page is short, or empty, and not the last.
    #[tokio::test]
    async fn a_short_or_empty_page_is_not_the_end_and_nothing_comes_twice() {
        // Of the hits 0 to 89, those of the second page and some of the first are trimmed.
        let trimmed = |at: u64| (25..50).contains(&at) || [3, 7].contains(&at);
        let fake = Fake::new(move |request| {
            let asked = &request.body.as_ref()?["requests"][0];
            let (from, size) = (asked["from"].as_u64()?, asked["size"].as_u64()?);
            let hits: Vec<Value> = (from..(from + size).min(90))
                .filter(|at| !trimmed(*at))
                .map(|at| json!({"hitId": format!("h{at}"), "resource": {}}))
                .collect();
            let container = json!({"hits": hits, "total": 90, "moreResultsAvailable": from + size < 90});
            Some(Ok(json!({"value": [{"hitsContainers": [container]}]})))
        });
        let (found, whole) = hits(&fake, "event", "x", 500, &|_| true).await.unwrap();
        let expected: Vec<String> = (0..90).filter(|at| !trimmed(*at)).map(|at| format!("h{at}")).collect();
        assert_eq!((found.into_iter().map(|hit| hit.id).collect::<Vec<_>>(), whole), (expected, true));
        let endless = Fake::answering([("POST /search/query", json!({"value": [{"hitsContainers": [{"moreResultsAvailable": true}]}]}))]);
        let (found, whole) = hits(&endless, "driveItem", "x", 500, &|_| true).await.unwrap();
        assert_eq!((found.len(), whole, endless.requests().len()), (0, false, 5));
    }

    #[tokio::test]
    async fn it_may_be_repeated_and_quotes_are_closed() {
        let fake = fake(1);
        hits(&fake, "driveItem", r#"say "hi"#, 500, &|_| true).await.unwrap();
        let asked = &fake.requests()[0];
        assert!(asked.idempotent);
        assert_eq!(asked.body.as_ref().unwrap()["requests"][0]["query"]["queryString"], "say hi");
        assert_eq!(asked.body.as_ref().unwrap()["requests"][0]["size"], 200);
    }
}
