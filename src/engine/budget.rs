//! A budget of tokens: a list or a body cut to what its reader can take, and read on from the cache.
//!
//! Decisions. A budget is a slice: it is no part of an answer's key, so all budgets share one stored answer, and what is left out is not fetched
//! again. A list is cut behind the last item that fits, by the places of its items, without parsing; it has at least one, so that reading on
//! gets somewhere. Its cursor names the next item of the list as it is kept (`held.rs`). A body is cut within its text and says where to read on
//! (`body_offset`), which is answered from the same stored answer; that one is parsed, at less than a millisecond for 50,000 characters.
//!
//! Vocabularies differ and are too large to carry, so tokens are estimated: [`BYTES`] bytes of escaped JSON each. Lists of mail, events and files
//! have 3.0 to 3.6 bytes a token of `o200k_base` (ids are dear), prose 4 and more: an answer seldom comes to more than its budget, and
//! `tests/tokens.rs` holds it to a tenth more.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{Answer, CacheStatus, Call, Engine, answer::encode, cursor};
use crate::{
    cache::{self, Body, Entry, Escaped},
    clock::Timestamp,
    tools::{MAX_TOKENS, cut_body},
};

/// What a token comes to, in bytes of escaped JSON.
const BYTES: usize = 3;
/// What stands in front of every answer, and the cursor and the fence behind, in bytes.
const FRAME: usize = 240;
/// Said of a cut answer that nobody keeps.
const NOT_KEPT: &str = "Cut to max_tokens, and not kept, so there is no cursor to read on: ask again with a smaller limit.";

impl Call {
    /// Bytes that its answer may have, when it has a budget.
    fn room(&self) -> Option<usize> {
        let tokens = usize::try_from(self.args.number(MAX_TOKENS)?).ok()?;
        Some(tokens.saturating_mul(BYTES).saturating_sub(FRAME))
    }
}

impl Engine {
    /// `body`, which begins with the item `from` of the stored `list`, as far as the call's budget goes.
    pub(super) fn within_budget(&self, call: &Call, list: &Arc<Entry>, from: usize, body: &Body) -> Body {
        let Some(room) = call.room().filter(|room| body.text.0.len() > *room) else { return body.clone() };
        if body.items.is_empty() {
            return shorter(call, body, room).unwrap_or_else(|| body.clone());
        }
        let fits = fitting(body, room);
        let limit = list.meta.key.args.get(crate::tools::LIMIT).and_then(Value::as_u64).and_then(|limit| usize::try_from(limit).ok());
        let cursor = |_: cache::Follows<'_>| {
            let limit = limit.filter(|_| call.takes(cursor::ARGUMENT))?;
            Some(self.cursor_into(list, limit, cache::Follows::Item(from + fits)))
        };
        cache::part(body, 0, fits, cursor).filter(|_| fits < body.items.len()).unwrap_or_else(|| body.clone())
    }

    /// The same for an answer that nobody keeps: there is nothing to read on in. `problem` is what there is to say of it otherwise.
    pub(super) fn unkept(call: &Call, status: CacheStatus, at: Timestamp, body: &Body, problem: Option<&str>) -> Answer {
        let Some(room) = call.room().filter(|room| body.text.0.len() > *room) else {
            return Answer::cached(status, at, body.text.clone(), problem);
        };
        if body.items.is_empty() {
            let body = shorter(call, body, room);
            return Answer::cached(status, at, body.unwrap_or_default().text, problem);
        }
        match cache::part(body, 0, fitting(body, room), |_| None) {
            Some(part) if part.items.len() < body.items.len() => Answer::cached(status, at, part.text, Some(problem.unwrap_or(NOT_KEPT))),
            _ => Answer::cached(status, at, body.text.clone(), problem),
        }
    }
}

/// How many items of a list go into so many bytes; at least one.
fn fitting(body: &Body, room: usize) -> usize {
    let at = |place: u32| usize::try_from(place).unwrap_or(usize::MAX);
    let (Some((first, _)), Some((_, last))) = (body.items.first(), body.items.last()) else { return 0 };
    // The list's name in front, and what else the answer says behind.
    let around = at(*first) + body.text.0.len().saturating_sub(at(*last));
    let items = room.saturating_sub(around).saturating_add(at(*first));
    body.items.partition_point(|(_, end)| at(*end) <= items).max(1)
}

/// An answer of one thing, with as much of its body as goes into so many bytes; `None` when it has none to cut.
fn shorter(call: &Call, body: &Body, room: usize) -> Option<Body> {
    let mut answer: Map<String, Value> = serde_json::from_str(&format!("{{{}", body.text.to_text())).ok()?;
    let content = answer.get("body")?.get("content")?.as_str()?;
    // Each character as it stands in the escaped text, so that what is left fits.
    let written = |text: &str| Escaped::from_text(&Value::from(text).to_string()).0.len();
    let mut left = room.saturating_sub(body.text.0.len().saturating_sub(written(content)));
    let mut buffer = [0; 4];
    let fits = content.chars().take_while(|letter| {
        // Without the quotes around it, which are escaped too.
        let width = written(letter.encode_utf8(&mut buffer)) - 4;
        left.checked_sub(width).inspect(|rest| left = *rest).is_some()
    });
    // A budget smaller than everything else still gets somewhere.
    let most = fits.count().max(200);
    cut_body(&mut answer, call.args.count(crate::tools::OFFSET), most).then(|| encode(&answer, None))
}

/// A stored answer's body from `from` on, when it holds that; at most `most` characters.
pub(super) fn body_from(body: &Body, from: usize, most: usize) -> Option<Body> {
    let mut answer: Map<String, Value> = serde_json::from_str(&format!("{{{}", body.text.to_text())).ok()?;
    crate::tools::skip_body(&mut answer, from, most).then(|| encode(&answer, None))
}

#[cfg(test)]
#[path = "budget_tests.rs"]
mod tests;
