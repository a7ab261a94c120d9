//! `POST /search/query`: one search over one kind of thing; each kind is a row of [`SOURCES`] with a file of its own.

mod drive_item;
mod event;
pub(crate) mod kql;
pub(crate) mod message;

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::call::Call;
use super::errors::Fault;
use super::odata::Answer;
use super::store::State;
use crate::seed::Kind;
use crate::wire::Reply;
use kql::Terms;

/// A kind of thing that can be searched.
struct Source {
    /// Its member of `entityTypes`.
    entity: &'static str,
    /// The largest page.
    largest: usize,
    /// The properties that a search may name.
    properties: &'static [&'static str],
    /// One page of what is found, best first.
    find: fn(&State, &Call<'_>, &Wish<'_>) -> Answer<Found>,
}

const SOURCES: &[Source] = &[
    Source { entity: "message", largest: 25, properties: message::PROPERTIES, find: message::find },
    Source { entity: "event", largest: 25, properties: event::PROPERTIES, find: event::find },
    Source { entity: "driveItem", largest: 1_000, properties: drive_item::PROPERTIES, find: drive_item::find },
];

/// What is wanted of a source.
pub(crate) struct Wish<'a> {
    pub(crate) terms: Terms,
    /// The names in `fields`; empty: the usual ones.
    pub(crate) fields: Vec<&'a str>,
    from: usize,
    size: usize,
}

impl Wish<'_> {
    /// Counts all that was found and makes hits of those on the page.
    pub(crate) fn page<T>(&self, found: impl Iterator<Item = T>, hit: impl Fn(T) -> Hit) -> Found {
        let all: Vec<T> = found.collect();
        let total = all.len();
        Found { total, hits: all.into_iter().skip(self.from).take(self.size).map(hit).collect() }
    }
}

/// One page.
pub(crate) struct Found {
    total: usize,
    hits: Vec<Hit>,
}

/// One thing found.
pub(crate) struct Hit {
    pub(crate) id: String,
    /// Where the words stand, with marks around them.
    pub(crate) summary: String,
    /// The thing with its `@odata.type`.
    pub(crate) resource: Map<String, Value>,
}

fn refused(message: impl Into<String>) -> Box<Fault> {
    Fault::bad_request(message)
}

/// `POST /search/query`. One request a call, as the service has it; personal accounts have no search of this kind.
pub(crate) fn query(state: &State, call: &Call<'_>) -> Answer<Reply> {
    if state.users[call.caller].kind == Kind::Personal {
        return Err(refused("This API is not supported for MSA accounts (no addressUrl for Microsoft.MicrosoftSearch,False)."));
    }
    let body = call.body()?;
    let requests = body.get("requests").and_then(Value::as_array).ok_or_else(|| refused("The property 'requests' is required."))?;
    let [request] = requests.as_slice() else {
        return Err(refused("Exactly one search request is supported in 'requests'."));
    };
    let source = source(request)?;
    let number = |name: &str, usual: usize| match request.get(name) {
        None | Some(Value::Null) => Ok(usual),
        Some(value) => value.as_u64().and_then(|n| usize::try_from(n).ok()).ok_or_else(|| refused(format!("'{name}' is not valid."))),
    };
    let (from, size) = (number("from", 0)?, number("size", 25)?);
    if size == 0 || size > source.largest {
        let largest = source.largest;
        return Err(refused(format!("The page size {size} is not within the allowed range of 1 to {largest} for '{}'.", source.entity)));
    }
    let text = request["query"]["queryString"].as_str().ok_or_else(|| refused("The property 'queryString' is required."))?;
    let terms = Terms::parse(text, source.properties, false)?;
    let fields = request["fields"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let Found { total, hits } = (source.find)(state, call, &Wish { terms, fields, from, size })?;
    let hits: Vec<Value> = hits
        .into_iter()
        .zip(from + 1..)
        .map(|(hit, rank)| {
            json!({"@odata.type": "#microsoft.graph.searchHit", "hitId": hit.id, "rank": rank, "summary": hit.summary, "resource": hit.resource})
        })
        .collect();
    let container = json!({"@odata.type": "#microsoft.graph.searchHitsContainer", "hits": hits, "total": total,
        "moreResultsAvailable": from.saturating_add(size) < total});
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut out = Map::new();
    let response = json!({"@odata.type": "#microsoft.graph.searchResponse", "searchTerms": words, "hitsContainers": [container]});
    out.insert("value".to_owned(), json!([response]));
    Ok(call.json(StatusCode::OK, &call.plain_context("Collection(microsoft.graph.searchResponse)"), out))
}

/// The one kind that is asked for: kinds cannot be mixed.
fn source(request: &Value) -> Answer<&'static Source> {
    let kinds: Vec<&str> = request["entityTypes"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let known = |kind: &str| SOURCES.iter().find(|source| source.entity == kind);
    match kinds.as_slice() {
        [] => Err(refused("The property 'entityTypes' is required.")),
        [kind] => known(kind).ok_or_else(|| refused(format!("The entity type '{kind}' is not supported."))),
        several => Err(refused(format!("The combination of entity types '{}' is not supported in one request.", several.join(",")))),
    }
}

/// The text around the first of the words, with `<c0>` marks around each of them; without any, the beginning.
pub(crate) fn summary(text: &str, words: &[&str]) -> String {
    const BEFORE: usize = 40;
    const LENGTH: usize = 160;
    let lower = text.to_lowercase();
    // Lower case may have another length: then the places mean nothing in the original.
    let same = lower.len() == text.len();
    let first = words.iter().filter_map(|word| lower.find(word)).min().filter(|_| same).unwrap_or(0);
    let start = text[..first].char_indices().rev().nth(BEFORE).map_or(0, |(at, _)| at);
    let end = text[start..].char_indices().nth(LENGTH).map_or(text.len(), |(at, _)| start + at);
    let mut out = if start > 0 { "...".to_owned() } else { String::new() };
    let mut at = start;
    while at < end {
        let found = words.iter().find(|word| same && lower[at..end].starts_with(**word));
        match found {
            Some(word) => {
                out.push_str(&format!("<c0>{}</c0>", &text[at..at + word.len()]));
                at += word.len();
            }
            None => {
                let Some(character) = text[at..].chars().next() else {
                    break;
                };
                out.push(if character.is_control() { ' ' } else { character });
                at += character.len_utf8();
            }
        }
    }
    out.push_str(if end < text.len() { "<ddd/>" } else { "" });
    out
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
