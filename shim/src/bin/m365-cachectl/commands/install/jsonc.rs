//! Puts an entry into a JSON file that belongs to somebody else, and takes it out again, byte by byte.
//!
//! The text is parsed only to learn where things are; what is not ours is never written anew, so comments, order, indentation and line ends stay as
//! they are. Taking out is the exact inverse of putting in, without a record of what was there before: a new object is written over several
//! lines, while in an object that somebody wrote on one line everything stays on that line. So an object that we made can be told from one that was
//! there and empty, and goes again with our entry.
//!
//! A writer that keeps a syntax tree (`jsonc_parser::cst`) was left aside: it puts the tree into its own form around the place of the change, and what
//! it takes out leaves traces.

use std::borrow::Cow;

use jsonc_parser::ast::{Object, ObjectProp, Value as Node};
use jsonc_parser::common::Ranged as _;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};
use serde_json::{Map, Value};

use super::trouble::Trouble;

/// What is used where a file shows no habit of its own.
const INDENT: &str = "  ";
/// Comments and closing commas are what people write into such files; anything further no client reads.
const DIALECT: ParseOptions = ParseOptions {
    allow_comments: true,
    allow_loose_object_property_names: false,
    allow_trailing_commas: true,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

/// The entry `name` of the object `section`; `None` without one.
///
/// # Errors
/// When the text cannot be read as such a file.
pub(super) fn get(text: &str, section: &str, name: &str) -> Result<Option<Value>, Trouble> {
    let plain = legible(text);
    let Some(root) = root(&plain)? else { return Ok(None) };
    let Some(servers) = object(text, &root, section)? else { return Ok(None) };
    Ok(member(text, servers, name)?.map(|prop| json(&prop.value)))
}

/// All entries of the object `section`, by name.
///
/// # Errors
/// As [`get`].
pub(super) fn entries(text: &str, section: &str) -> Result<Map<String, Value>, Trouble> {
    let plain = legible(text);
    let Some(root) = root(&plain)? else { return Ok(Map::new()) };
    Ok(object(text, &root, section)?.map(members).unwrap_or_default())
}

/// The text with `value` as the entry `name` of `section`.
///
/// # Errors
/// As [`get`].
pub(super) fn put(text: &str, section: &str, name: &str, value: &Map<String, Value>) -> Result<String, Trouble> {
    let plain = legible(text);
    let Some(root) = root(&plain)? else { return Ok(fresh(text, section, name, value)) };
    let entry = Value::Object(value.clone());
    let mut wanted = Value::Object(members(&root));
    let changed = match object(text, &root, section)? {
        None => {
            let servers = Value::Object(Map::from_iter([(name.to_owned(), entry)]));
            wanted[section] = servers.clone();
            insert(text, &root, section, &servers)
        }
        Some(servers) => {
            wanted[section][name] = entry.clone();
            match member(text, servers, name)? {
                None => insert(text, servers, name, &entry),
                Some(prop) => replace(text, prop, &entry),
            }
        }
    };
    proved(changed, &wanted)
}

/// The text with one more member, or another value of it, in the object that is the entry `name` of `section`; `at` leads to an object within it.
///
/// # Errors
/// As [`get`], and when there is no such object.
pub(super) fn set(text: &str, section: &str, name: &str, at: &[&str], key: &str, value: &Value) -> Result<String, Trouble> {
    let plain = legible(text);
    let (root, path) = entry(&plain, section, name, at)?;
    let (inside, mut whole) = (within(text, &root, &path)?, Value::Object(members(&root)));
    path.iter().fold(&mut whole, |wanted, step| &mut wanted[*step])[key] = value.clone();
    let changed = match member(text, inside, key)? {
        None => insert(text, inside, key, value),
        Some(prop) => replace(text, prop, value),
    };
    proved(changed, &whole)
}

/// The text without the member `key` of that object.
///
/// # Errors
/// As [`set`].
pub(super) fn unset(text: &str, section: &str, name: &str, at: &[&str], key: &str) -> Result<String, Trouble> {
    let plain = legible(text);
    let (root, path) = entry(&plain, section, name, at)?;
    let (inside, mut whole) = (within(text, &root, &path)?, Value::Object(members(&root)));
    let Some(prop) = member(text, inside, key)? else { return Ok(text.to_owned()) };
    if let Some(wanted) = path.iter().fold(&mut whole, |wanted, step| &mut wanted[*step]).as_object_mut() {
        wanted.shift_remove(key);
    }
    cut(text, inside, prop, &whole)
}

/// The whole file, and the way to the object `at` within an entry.
fn entry<'a, 'b>(text: &'a str, section: &'b str, name: &'b str, at: &[&'b str]) -> Result<(Object<'a>, Vec<&'b str>), Trouble> {
    let root = root(text)?.ok_or_else(|| no_entry(text))?;
    Ok((root, [section, name].into_iter().chain(at.iter().copied()).collect()))
}

fn within<'a, 'b>(text: &str, root: &'b Object<'a>, path: &[&str]) -> Result<&'b Object<'a>, Trouble> {
    path.iter().try_fold(root, |inside, step| object(text, inside, step)?.ok_or_else(|| no_entry(text)))
}

fn no_entry(text: &str) -> Trouble {
    Trouble::new("there is no such entry", text, 0)
}

/// The text without the entry `name` of `section`, and without `section` when only [`put`] can have made it; `None` when there is no entry.
///
/// # Errors
/// As [`get`].
pub(super) fn remove(text: &str, section: &str, name: &str) -> Result<Option<String>, Trouble> {
    let plain = legible(text);
    let Some(root) = root(&plain)? else { return Ok(None) };
    let Some(servers) = object(text, &root, section)? else { return Ok(None) };
    let Some(prop) = member(text, servers, name)? else { return Ok(None) };
    let mut wanted = Value::Object(members(&root));
    if let Some(servers) = wanted[section].as_object_mut() {
        servers.shift_remove(name);
    }
    let without = cut(text, servers, prop, &wanted)?;
    let Value::Object(entry) = json(&prop.value) else { return Ok(Some(without)) };
    Ok(Some(
        without_section(&without, section)?
            .filter(|bare| put(bare, section, name, &entry).is_ok_and(|again| again == text))
            .unwrap_or(without),
    ))
}

/// The text without an empty `section`.
fn without_section(text: &str, section: &str) -> Result<Option<String>, Trouble> {
    let plain = legible(text);
    let Some(root) = root(&plain)? else { return Ok(None) };
    let empty = object(text, &root, section)?.is_some_and(|servers| servers.properties.is_empty());
    match member(text, &root, section)?.filter(|_| empty) {
        None => Ok(None),
        Some(prop) => {
            let mut wanted = members(&root);
            wanted.shift_remove(section);
            cut(text, &root, prop, &Value::Object(wanted)).map(Some)
        }
    }
}

/// Holds all of what was written against what was wanted: a mistake of ours must not reach somebody's file.
fn proved(changed: String, wanted: &Value) -> Result<String, Trouble> {
    if means(&changed, wanted) { Ok(changed) } else { Err(Trouble::new("the change cannot be written into it", &changed, 0)) }
}

/// Whether the text says `wanted` and nothing else.
fn means(text: &str, wanted: &Value) -> bool {
    root(&legible(text)).is_ok_and(|root| root.is_some_and(|root| Value::Object(members(&root)) == *wanted))
}

/// The text with every half of a surrogate pair that stands alone written as the replacement character, in as many bytes, so that each place is the same.
///
/// Programs in JavaScript cut a text within such a pair and write what is left as `\ud83d`; Claude Code's own file has been seen with one. Every client reads
/// it, and our parser refuses the whole file for it. What is not ours is never written anew, so it stays as it is.
fn legible(text: &str) -> Cow<'_, str> {
    let escape = |at: usize| {
        let code = text.get(at..at + 6)?.strip_prefix("\\u")?;
        u16::from_str_radix(code, 16).ok()
    };
    let mut plain = Cow::Borrowed(text);
    let mut at = 0;
    while let Some(found) = text[at..].find('\\') {
        at += found;
        let code = escape(at);
        let low = |code: Option<u16>| code.is_some_and(|code| (0xdc00..0xe000).contains(&code));
        at += match code {
            Some(0xd800..0xdc00) if low(escape(at + 6)) => 12,
            Some(0xd800..0xe000) => {
                plain.to_mut().replace_range(at..at + 6, "\\ufffd");
                6
            }
            // What follows the backslash belongs to it.
            _ => 1 + text[at + 1..].chars().next().map_or(0, char::len_utf8),
        };
    }
    plain
}

fn root(text: &str) -> Result<Option<Object<'_>>, Trouble> {
    let parsed = parse_to_ast(text, &CollectOptions::default(), &DIALECT)
        .map_err(|error| Trouble::new(&lower(&error.kind().to_string()), text, error.range().start))?;
    match parsed.value {
        None => Ok(None),
        Some(Node::Object(root)) => Ok(Some(root)),
        Some(other) => Err(Trouble::new("it should hold an object", text, other.start())),
    }
}

fn lower(sentence: &str) -> String {
    let mut chars = sentence.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

/// The one member of that name. Two of them are refused: which of them a client reads is its own affair.
fn member<'a, 'b>(text: &str, of: &'b Object<'a>, name: &str) -> Result<Option<&'b ObjectProp<'a>>, Trouble> {
    let mut named = of.properties.iter().filter(|prop| prop.name.as_str() == name);
    let first = named.next();
    match named.next() {
        Some(second) => Err(Trouble::new(&format!("`{name}` is there twice"), text, second.start())),
        None => Ok(first),
    }
}

fn object<'a, 'b>(text: &str, of: &'b Object<'a>, name: &str) -> Result<Option<&'b Object<'a>>, Trouble> {
    match member(text, of, name)?.map(|prop| &prop.value) {
        None => Ok(None),
        Some(Node::Object(object)) => Ok(Some(object)),
        Some(other) => Err(Trouble::new(&format!("`{name}` should be an object"), text, other.start())),
    }
}

fn json(node: &Node<'_>) -> Value {
    match node {
        Node::StringLit(text) => Value::String(text.value.to_string()),
        Node::NumberLit(number) => serde_json::from_str(number.value).unwrap_or(Value::Null),
        Node::BooleanLit(truth) => Value::Bool(truth.value),
        Node::NullKeyword(_) => Value::Null,
        Node::Array(array) => array.elements.iter().map(json).collect(),
        Node::Object(object) => Value::Object(members(object)),
    }
}

fn members(object: &Object<'_>) -> Map<String, Value> {
    object.properties.iter().map(|prop| (prop.name.as_str().to_owned(), json(&prop.value))).collect()
}

/// A file that says nothing yet: its comments stay on top.
fn fresh(text: &str, section: &str, name: &str, value: &Map<String, Value>) -> String {
    let newline = newline(text);
    let gap = if text.is_empty() || text.ends_with('\n') { "" } else { newline };
    let whole = Map::from_iter([(section.to_owned(), Value::Object(Map::from_iter([(name.to_owned(), Value::Object(value.clone()))])))]);
    format!("{text}{gap}{}{newline}", block(&Value::Object(whole), "", INDENT, newline))
}

/// One more member behind the others.
fn insert(text: &str, into: &Object<'_>, key: &str, value: &Value) -> String {
    let newline = newline(text);
    let (open, close) = (into.start() + 1, into.end() - 1);
    let unit = unit(text);
    let Some(last) = into.properties.last() else {
        let inside = &text[open..close];
        let untouched = inside.is_empty() && past_remarks(text, 0) == into.start();
        if !inside.contains('\n') && !untouched {
            // The blanks tell it from an object that we made.
            return spliced(text, close, close, &format!(" {}: {} ", Value::from(key), line(value)));
        }
        let outer = indent_at(text, into.start());
        let inner = format!("{outer}{unit}");
        let entry = format!("{newline}{inner}{}: {}{newline}{outer}", Value::from(key), block(value, &inner, &unit, newline));
        return spliced(text, close, close, &entry);
    };
    let first = into.properties.first().map_or(close, |prop| prop.start());
    let comma = comma_after(text, last.end());
    let after = comma.map_or(last.end(), |comma| comma + 1);
    if !text[open..first].contains('\n') {
        let entry = format!("{}: {}", Value::from(key), line(value));
        let entry = if comma.is_some() { format!(" {entry},") } else { format!(", {entry}") };
        return spliced(text, after, after, &entry);
    }
    let inner = indent_at(text, last.start());
    let entry = format!("{newline}{inner}{}: {}", Value::from(key), block(value, &inner, &unit, newline));
    let end = end_of_remarks(text, after);
    match comma {
        Some(_) => spliced(text, end, end, &format!("{entry},")),
        None => spliced(&spliced(text, end, end, &entry), after, after, ","),
    }
}

fn replace(text: &str, prop: &ObjectProp<'_>, value: &Value) -> String {
    let range = prop.value.range();
    let before = text[..prop.start()].trim_end_matches([' ', '\t']);
    let rendered =
        if before.ends_with('\n') { block(value, &indent_at(text, prop.start()), &unit(text), newline(text)) } else { line(value) };
    spliced(text, range.start, range.end, &rendered)
}

/// The inverse of [`insert`]; for members that somebody else wrote, as near to it as can be. The text then says `wanted`.
fn cut(text: &str, from: &Object<'_>, prop: &ObjectProp<'_>, wanted: &Value) -> Result<String, Trouble> {
    let close = from.end() - 1;
    let at = from.properties.iter().position(|other| other.start() == prop.start()).unwrap_or_default();
    let previous = at.checked_sub(1).map(|at| &from.properties[at]);
    let alone = from.properties.len() == 1;
    let comma = comma_after(text, prop.end());
    let end = comma.map_or(prop.end(), |comma| comma + 1);
    let blank = text[..prop.start()].trim_end_matches([' ', '\t']).len();
    let behind = &text[end..close];
    let (start, end) = if text[..blank].ends_with('\n') {
        // A line of its own goes with the line end before it, and what stood alone there with the line of the closing brace.
        let last = alone && behind.contains('\n') && behind.trim_matches([' ', '\t', '\r', '\n']).is_empty();
        (line_end_before(text, blank), if last { close } else { end })
    } else if alone {
        let hugged = behind == " " && text[..prop.start()].ends_with(' ');
        if hugged { (prop.start() - 1, close) } else { (prop.start(), end) }
    } else if previous.is_some() {
        (blank, end)
    } else {
        (prop.start(), end + behind.len() - behind.trim_start_matches([' ', '\t']).len())
    };
    // A remark between the entry and its comma is somebody's.
    let kept = comma.map_or("", |comma| text[prop.end()..comma].trim());
    // A remark to the end of its line must not swallow what follows, be that the rest of the object or a remark that is kept.
    let newline = newline(text);
    let ways = ["", newline].into_iter().flat_map(|before| ["", newline].map(|after| format!("{before}{kept}{after}")));
    let mut out = String::new();
    for way in ways {
        out = spliced(text, start, end, &way);
        if let (None, Some(previous)) = (comma, previous)
            && let Some(comma) = comma_after(text, previous.end())
        {
            out = spliced(&out, comma, comma + 1, "");
        }
        if means(&out, wanted) {
            return Ok(out);
        }
    }
    proved(out, wanted)
}

fn spliced(text: &str, start: usize, end: usize, with: &str) -> String {
    format!("{}{with}{}", &text[..start], &text[end..])
}

/// Where the comma behind `at` stands, past blanks and remarks.
fn comma_after(text: &str, at: usize) -> Option<usize> {
    let next = past_remarks(text, at);
    text[next..].starts_with(',').then_some(next)
}

/// The next place that is neither blank nor a remark.
fn past_remarks(text: &str, mut at: usize) -> usize {
    loop {
        let rest = &text[at..];
        let trimmed = rest.trim_start_matches([' ', '\t', '\r', '\n']);
        at += rest.len() - trimmed.len();
        match remark(trimmed) {
            Some(length) => at += length,
            None => return at,
        }
    }
}

/// The end of the last remark that stands behind `at` on the same line.
fn end_of_remarks(text: &str, at: usize) -> usize {
    let (mut end, mut look) = (at, at);
    loop {
        let rest = &text[look..];
        look += rest.len() - rest.trim_start_matches([' ', '\t']).len();
        match remark(&text[look..]) {
            Some(length) if !text[look..look + length].contains('\n') => {
                look += length;
                end = look;
            }
            _ => return end,
        }
    }
}

/// The length of the remark at the beginning of `text`, without the end of its line.
fn remark(text: &str) -> Option<usize> {
    if text.starts_with("//") {
        let line = &text[..text.find('\n').unwrap_or(text.len())];
        return Some(line.trim_end_matches('\r').len());
    }
    text.strip_prefix("/*").map(|rest| rest.find("*/").map_or(text.len(), |end| end + 4))
}

/// The place before the line end with which `text[..end]` closes.
fn line_end_before(text: &str, end: usize) -> usize {
    let text = &text[..end];
    text.strip_suffix("\r\n").or_else(|| text.strip_suffix('\n')).unwrap_or(text).len()
}

/// The line end of the file.
fn newline(text: &str) -> &'static str {
    match text.find('\n') {
        Some(at) if text[..at].ends_with('\r') => "\r\n",
        _ => "\n",
    }
}

/// What stands before the first word of the line on which `at` lies.
fn indent_at(text: &str, at: usize) -> String {
    let line = text[..at].rsplit('\n').next().unwrap_or_default();
    line[..line.len() - line.trim_start_matches([' ', '\t']).len()].to_owned()
}

/// How this file indents: as its first indented name does.
fn unit(text: &str) -> String {
    let indented = |line: &&str| line.starts_with([' ', '\t']) && line.trim_start_matches([' ', '\t']).starts_with('"');
    text.lines().find(indented).map_or_else(|| INDENT.to_owned(), |line| indent_at(line, line.len()))
}

/// A value on one line.
fn line(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let members: Vec<String> =
                members.iter().map(|(key, value)| format!("{}: {}", Value::from(key.as_str()), line(value))).collect();
            format!("{{{}}}", members.join(", "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(line).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}

/// A value whose objects are written over several lines, of which all but the first begin with `indent`.
pub(super) fn block(value: &Value, indent: &str, unit: &str, newline: &str) -> String {
    match value {
        Value::Object(members) if !members.is_empty() => {
            let inner = format!("{indent}{unit}");
            let members: Vec<String> = members
                .iter()
                .map(|(key, value)| format!("{inner}{}: {}", Value::from(key.as_str()), block(value, &inner, unit, newline)))
                .collect();
            format!("{{{newline}{}{newline}{indent}}}", members.join(&format!(",{newline}")))
        }
        other => line(other),
    }
}

#[cfg(test)]
#[path = "jsonc_tests.rs"]
mod tests;
