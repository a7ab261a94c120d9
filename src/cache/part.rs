//! A part of a stored list: some of its items, or one of them, cut out by their places. Bytes are joined; nothing is parsed.
//!
//! A list's text is its name, its items, then `complete` and what else an answer says, and last a `next_cursor` where there is one. All of
//! that behind the items is written by us, so it is known byte for byte; whatever looks otherwise is no list that can be cut.

use std::ops::Range;

use bytes::Bytes;

use super::{Body, Escaped};

const COMPLETE: &[u8] = br#"],\"complete\":true"#;
const CUT: &[u8] = br#"],\"complete\":false"#;
const CURSOR: &[u8] = br#",\"next_cursor\":\""#;
const CURSOR_END: &[u8] = br#"\"}"#;

/// How much a stored list holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Items.
    pub items: usize,
    /// They are all there were.
    pub complete: bool,
}

impl Extent {
    /// Whether it holds what a call asks for that wants at most `limit` items.
    pub fn answers(self, limit: usize) -> bool {
        self.complete || self.items >= limit
    }
}

/// What follows a part of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follows<'a> {
    /// The stored list goes on with the item of this number.
    Item(usize),
    /// The part ends where the stored list does, which goes on with this cursor.
    Cursor(&'a str),
}

/// The end of a list's text, taken apart.
struct Tail<'a> {
    extent: Extent,
    /// Where the items end.
    at: usize,
    /// Members behind `complete`, each with the comma in front of it.
    members: &'a [u8],
    cursor: Option<&'a str>,
}

fn tail(body: &Body) -> Option<Tail<'_>> {
    let text = body.text.0.as_ref();
    let at = match body.items.last() {
        Some((_, end)) => usize::try_from(*end).ok()?,
        // An empty list: its bracket opens behind its name.
        None => {
            let bracket = text.iter().position(|byte| *byte == b'[')?;
            let name = text[..bracket].strip_prefix(br#"\""#)?.strip_suffix(br#"\":"#)?;
            name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').then_some(bracket + 1)?
        }
    };
    let behind = text.get(at..)?;
    let (complete, rest) = match (behind.strip_prefix(COMPLETE), behind.strip_prefix(CUT)) {
        (Some(rest), _) => (true, rest),
        (None, Some(rest)) => (false, rest),
        (None, None) => return None,
    };
    let (members, cursor) = match rest.strip_suffix(CURSOR_END).and_then(|rest| {
        let from = rest.len() - rest.iter().rev().position(|byte| !is_cursor(*byte))?;
        Some((rest[..from].strip_suffix(CURSOR)?, std::str::from_utf8(&rest[from..]).ok()?))
    }) {
        Some((members, cursor)) => (members, Some(cursor)),
        None => (rest.strip_suffix(b"}")?, None),
    };
    Some(Tail { extent: Extent { items: body.items.len(), complete }, at, members, cursor })
}

/// Letters that cursors are made of.
fn is_cursor(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-'
}

/// How much the list holds; `None` for what is no list.
pub fn extent(body: &Body) -> Option<Extent> {
    tail(body).map(|tail| tail.extent)
}

/// The items `from..from + limit` of a stored list as an answer of their own; its cursor, where it goes on, is what `cursor` makes of
/// [`Follows`]. `None` when the list does not hold them: [`Extent::answers`] tells that for `from == 0`.
pub fn part(body: &Body, from: usize, limit: usize, cursor: impl FnOnce(Follows<'_>) -> Option<String>) -> Option<Body> {
    let tail = tail(body)?;
    let held = tail.extent.items;
    if from == 0 && !tail.extent.answers(limit) || from > 0 && from >= held {
        return None;
    }
    let to = from.saturating_add(limit).min(held);
    if from == 0 && to == held && tail.cursor.is_none() {
        return Some(body.clone());
    }
    let cut = to < held;
    let next = if cut { Some(Follows::Item(to)) } else { tail.cursor.map(Follows::Cursor) };
    let next = next.and_then(cursor);

    let place =
        |number: usize| body.items.get(number).map(|(start, end)| Some((usize::try_from(*start).ok()?, usize::try_from(*end).ok()?)));
    let (first, _) = place(0)??;
    let Range { start, end } = (to > from).then(|| Some(place(from)??.0..place(to - 1)??.1)).flatten()?;
    let text = body.text.0.as_ref();
    let mut new = Vec::with_capacity(first + (end - start) + (text.len() - tail.at) + 64);
    new.extend_from_slice(text.get(..first)?);
    let shift = start - new.len();
    new.extend_from_slice(text.get(start..end)?);
    new.extend_from_slice(if tail.extent.complete && !cut { COMPLETE } else { CUT });
    new.extend_from_slice(tail.members);
    if let Some(next) = next {
        new.extend_from_slice(CURSOR);
        new.extend_from_slice(&Escaped::from_text(&next).0);
        new.extend_from_slice(br#"\""#);
    }
    new.push(b'}');
    let shift = u32::try_from(shift).ok()?;
    let items = body.items.get(from..to)?.iter().map(|(start, end)| (start - shift, end - shift)).collect();
    Some(Body { text: Escaped(Bytes::from(new)), items })
}

/// The item of a stored list whose first member is `"id"` with this value, as an answer of its own.
pub fn member(body: &Body, id: &str) -> Option<Body> {
    let opening = Escaped::from_text(&format!("{{\"id\":{}", serde_json::Value::from(id)));
    let of_place = |(start, end): &(u32, u32)| Some(usize::try_from(*start).ok()?..usize::try_from(*end).ok()?);
    let place = body.items.iter().filter_map(of_place).find(|place| {
        let item = body.text.0.get(place.clone());
        item.is_some_and(|item| item.starts_with(&opening.0))
    })?;
    Some(Body { text: Escaped(body.text.0.slice(place.start + 1..place.end)), items: Vec::new() })
}

#[cfg(test)]
#[path = "part_tests.rs"]
mod tests;
