//! A budget of tokens: a list or a body cut to what its reader can take, and read on from the cache.
//!
//! Decisions. A budget is a slice: it is no part of an answer's key, so all budgets share one stored answer, and what is left out is not fetched
//! again. A list is cut behind the last item that fits, by the places of its items, without parsing; it has at least one, so that reading on
//! gets somewhere. Its cursor names the next item of the list as it is kept (`held.rs`). A body is cut within its text and says where to read on
//! (`body_offset`), which is answered from the same stored answer; that one is parsed, at less than a millisecond for 50,000 characters.
//!
//! A tree or a search that has no cursor loses what does not fit, and says how much that was (`trim.rs`).
//!
//! Vocabularies differ and are too large to carry, so tokens are estimated from the bytes of escaped JSON: three to a token, and three to two
//! tokens in ids, which no vocabulary knows (`o200k_base` has 1.5 to 1.8 bytes a token in those of Exchange and OneDrive, 3.4 and more in all
//! else). An answer seldom comes to more than its budget: `tests/tokens.rs` holds it to a tenth more.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{Answer, CacheStatus, Call, Engine, answer::encode, cursor, trim};
use crate::{
    cache::{self, Body, Entry, Escaped},
    clock::Timestamp,
    tools::{MAX_TOKENS, cut_body},
};

/// Parts of a token, so that bytes are whole numbers of them.
const TOKEN: usize = 12;
/// What a byte comes to.
const BYTE: usize = TOKEN / 3;
/// What it comes to besides in an id.
const IN_ID: usize = BYTE;
/// So many letters, digits and the signs of ids in a row are an id.
const ID: usize = 20;
/// What stands in front of every answer, and the cursor and the fence behind, in tokens.
const FRAME: usize = 90;
/// Said of a cut answer that nobody keeps.
const NOT_KEPT: &str = "Cut to max_tokens, and not kept, so there is no cursor to read on: ask again with a smaller limit.";

impl Call {
    /// What its answer may come to, when it has a budget.
    fn room(&self) -> Option<usize> {
        let tokens = usize::try_from(self.args.number(MAX_TOKENS)?).ok()?;
        Some(tokens.saturating_sub(FRAME) * TOKEN)
    }

    /// The same, when `body` is over it.
    fn exceeded(&self, body: &Body) -> Option<usize> {
        self.room().filter(|room| cost(&body.text.0) > *room)
    }
}

impl Engine {
    /// `body`, which begins with the item `from` of the stored `list`, as far as the call's budget goes.
    pub(super) fn within_budget(&self, call: &Call, list: &Arc<Entry>, from: usize, body: &Body) -> Body {
        let Some(room) = call.exceeded(body) else { return body.clone() };
        if !call.takes(cursor::ARGUMENT) {
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
        let Some(room) = call.exceeded(body) else {
            return Answer::cached(status, at, body.text.clone(), problem);
        };
        if !call.takes(cursor::ARGUMENT) {
            let shorter = shorter(call, body, room);
            return Answer::cached(status, at, shorter.as_ref().unwrap_or(body).text.clone(), problem);
        }
        match cache::part(body, 0, fitting(body, room), |_| None) {
            Some(part) if part.items.len() < body.items.len() => Answer::cached(status, at, part.text, Some(problem.unwrap_or(NOT_KEPT))),
            _ => Answer::cached(status, at, body.text.clone(), problem),
        }
    }
}

/// Adds up what bytes come to.
#[derive(Default)]
struct Meter {
    parts: usize,
    /// Letters and signs of an id so far.
    run: usize,
}

impl Meter {
    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let of_an_id = byte.is_ascii_alphanumeric() || b"-_+/=".contains(byte);
            self.run = if of_an_id { self.run + 1 } else { 0 };
            self.parts += BYTE;
            // Known as one only here: the letters before cost as much.
            self.parts += match self.run {
                ID => ID * IN_ID,
                run if run > ID => IN_ID,
                _ => 0,
            };
        }
    }
}

/// What some bytes of escaped JSON come to, in parts of a token.
fn cost(bytes: &[u8]) -> usize {
    let mut meter = Meter::default();
    meter.add(bytes);
    meter.parts
}

/// How many items of a list go into the room; at least one.
fn fitting(body: &Body, room: usize) -> usize {
    let text = body.text.0.as_ref();
    let slice = |from: u32, to: u32| Some(cost(text.get(usize::try_from(from).ok()?..usize::try_from(to).ok()?)?));
    let (Some((first, _)), Some((_, last))) = (body.items.first(), body.items.last()) else { return 0 };
    // The list's name in front, and what else the answer says behind.
    let end = u32::try_from(text.len()).unwrap_or(u32::MAX);
    let mut left = room.saturating_sub(slice(0, *first).unwrap_or(0) + slice(*last, end).unwrap_or(0));
    let fits = body.items.iter().take_while(|(from, to)| {
        let item = slice(*from, *to).map(|cost| cost + BYTE);
        item.and_then(|cost| left.checked_sub(cost)).inspect(|rest| left = *rest).is_some()
    });
    fits.count().max(1)
}

/// An answer that cannot be read on, with as much of it as goes into the room; `None` when it has nothing to cut.
fn shorter(call: &Call, body: &Body, room: usize) -> Option<Body> {
    let answer: Map<String, Value> = serde_json::from_str(&format!("{{{}", body.text.to_text())).ok()?;
    if answer.contains_key("body") {
        return shorter_body(call, body, room);
    }
    trim::trimmed(&answer, |cut| cost(&encode(cut, None).text.0) <= room).map(|cut| encode(&cut, None))
}

/// An answer of one thing, with as much of its body as goes into the room; `None` when it has none to cut.
fn shorter_body(call: &Call, body: &Body, room: usize) -> Option<Body> {
    let mut answer: Map<String, Value> = serde_json::from_str(&format!("{{{}", body.text.to_text())).ok()?;
    let content = answer.get("body")?.get("content")?.as_str()?;
    // Each character as it stands in the escaped text, without the quotes around it, which are escaped too.
    let written = |text: &str| {
        let quoted = Escaped::from_text(&Value::from(text).to_string()).0;
        quoted.slice(2..quoted.len() - 2)
    };
    let left = room.saturating_sub(cost(&body.text.0).saturating_sub(cost(&written(content))));
    let (mut meter, mut buffer) = (Meter::default(), [0; 4]);
    let fits = content.chars().take_while(|letter| {
        meter.add(&written(letter.encode_utf8(&mut buffer)));
        meter.parts <= left
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
