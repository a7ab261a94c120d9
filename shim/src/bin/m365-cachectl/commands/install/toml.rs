//! Puts an entry into a TOML file that belongs to somebody else, and takes it out again, byte by byte.
//!
//! A new entry is a table of its own at the end of the file, where every TOML file takes one, and goes again with the empty line before it; `toml_edit`
//! only says where things are. It writes only when an entry that is there is changed, or one is taken out that is no table of its own: it adds
//! a line end to a file that ends without one.

use std::ops::Range;

use serde_json::{Map, Value};
use toml_edit::{Array, Document, DocumentMut, InlineTable, Item, Table, TableLike};

use super::trouble::Trouble;

/// The entry `name` of the table `section`; `None` without one.
///
/// # Errors
/// When the text is no TOML.
pub(super) fn get(text: &str, section: &str, name: &str) -> Result<Option<Value>, Trouble> {
    Ok(entries(text, section)?.remove(name))
}

/// All entries of the table `section`, by name.
///
/// # Errors
/// As [`get`].
pub(super) fn entries(text: &str, section: &str) -> Result<Map<String, Value>, Trouble> {
    let document = Document::parse(text).map_err(|error| trouble(text, &error))?;
    let Some(servers) = document.as_table().get(section) else { return Ok(Map::new()) };
    let Some(servers) = servers.as_table_like() else {
        let at = servers.span().unwrap_or_default().start;
        return Err(Trouble::new(&format!("`{section}` should be a table"), text, at));
    };
    Ok(servers.iter().map(|(name, entry)| (name.to_owned(), json(entry))).collect())
}

/// The text with `value` as the entry `name` of `section`.
///
/// # Errors
/// As [`get`], and when `section` is written in a way that takes no table.
pub(super) fn put(text: &str, section: &str, name: &str, value: &Map<String, Value>) -> Result<String, Trouble> {
    let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let kept = match remove(text, section, name)? {
        Some(without) => without,
        None => text.to_owned(),
    };
    let members = value.iter().map(|(key, value)| format!("{key} = {}", toml(value)));
    let block = [format!("[{section}.{name}]")].into_iter().chain(members).collect::<Vec<_>>().join(newline);
    let changed = match kept.as_str() {
        "" => format!("{block}{newline}"),
        kept if kept.ends_with('\n') => format!("{kept}{newline}{block}{newline}"),
        kept => format!("{kept}{newline}{newline}{block}"),
    };
    if get(&changed, section, name).is_ok_and(|found| found.as_ref() == Some(&Value::Object(value.clone()))) {
        return Ok(changed);
    }
    let document = Document::parse(text).map_err(|error| trouble(text, &error))?;
    let at = document.as_table().get(section).and_then(Item::span).unwrap_or_default().start;
    Err(Trouble::new(&format!("`{section}` is written in a way that takes no further table"), text, at))
}

/// The text with one more value, or another one, in the entry `name` of `section`; `at` leads to a table within it.
///
/// # Errors
/// As [`get`], and when there is no such table.
pub(super) fn set(text: &str, section: &str, name: &str, at: &[&str], key: &str, value: &Value) -> Result<String, Trouble> {
    let mut document: DocumentMut = text.parse().map_err(|error| trouble(text, &error))?;
    let inside = entry(text, &mut document, &[&[section, name], at].concat())?;
    match inside.get_mut(key).and_then(Item::as_value_mut) {
        Some(there) => {
            let decor = there.decor().clone();
            *there = edit(value);
            *there.decor_mut() = decor;
        }
        None => {
            inside.insert(key, Item::Value(edit(value)));
        }
    }
    Ok(ending_as(text, document.to_string()))
}

/// The text without the value `key` of that table.
///
/// # Errors
/// As [`set`].
pub(super) fn unset(text: &str, section: &str, name: &str, at: &[&str], key: &str) -> Result<String, Trouble> {
    let mut document: DocumentMut = text.parse().map_err(|error| trouble(text, &error))?;
    entry(text, &mut document, &[&[section, name], at].concat())?.remove(key);
    Ok(ending_as(text, document.to_string()))
}

fn entry<'a>(text: &str, document: &'a mut DocumentMut, path: &[&str]) -> Result<&'a mut dyn TableLike, Trouble> {
    let root: &mut dyn TableLike = document.as_table_mut();
    path.iter().try_fold(root, |inside, step| {
        inside.get_mut(step).and_then(Item::as_table_like_mut).ok_or_else(|| Trouble::new("there is no such entry", text, 0))
    })
}

/// The text without the entry `name` of `section`; `None` when there is none.
///
/// # Errors
/// As [`get`].
pub(super) fn remove(text: &str, section: &str, name: &str) -> Result<Option<String>, Trouble> {
    if get(text, section, name)?.is_none() {
        return Ok(None);
    }
    let document = Document::parse(text).map_err(|error| trouble(text, &error))?;
    let mut places = Vec::new();
    if let Some(Item::Table(entry)) = document.as_table().get(section).and_then(|servers| servers.get(name)) {
        tables(text, entry, &mut places);
    }
    places.sort_by_key(|place| std::cmp::Reverse(place.start));
    let cut = places.iter().fold(text.to_owned(), |text, place| format!("{}{}", &text[..place.start], &text[place.end..]));
    // The rest must be what it was.
    if !places.is_empty() && same_but(text, &cut, section, name) {
        return Ok(Some(cut));
    }
    let mut document: DocumentMut = text.parse().map_err(|error| trouble(text, &error))?;
    if let Some(servers) = document.get_mut(section).and_then(Item::as_table_like_mut) {
        servers.remove(name);
    }
    Ok(Some(ending_as(text, document.to_string())))
}

/// Where `table` and the tables in it stand that have a header: whole lines, and an empty one before.
fn tables(text: &str, table: &Table, places: &mut Vec<Range<usize>>) {
    if let Some(header) = table.span().filter(|_| !table.is_implicit() && !table.is_dotted()) {
        let last = table.iter().filter(|(_, item)| item.is_value() || dotted(item)).filter_map(|(_, item)| end(item)).max();
        let end = last.unwrap_or(header.end).max(header.end);
        let end = text[end..].find('\n').map_or(text.len(), |line| end + line + 1);
        let line = text[..header.start].rfind('\n').map_or(0, |line| line + 1);
        let mut start = line_end_before(&text[..line]).filter(|blank| text[..*blank].ends_with('\n')).unwrap_or(line);
        if end == text.len() && !text.ends_with('\n') {
            // The line end that divides it from what is before is ours as well.
            start = line_end_before(&text[..start]).unwrap_or(start);
        }
        places.push(start..end);
    }
    for (_, item) in table.iter() {
        match item {
            Item::Table(inner) => tables(text, inner, places),
            Item::ArrayOfTables(inner) => inner.iter().for_each(|inner| tables(text, inner, places)),
            Item::Value(_) | Item::None => {}
        }
    }
}

fn dotted(item: &Item) -> bool {
    item.as_table().is_some_and(Table::is_dotted)
}

/// The end of a value, or of the last one of a dotted table.
fn end(item: &Item) -> Option<usize> {
    match item {
        Item::Value(value) => value.span().map(|span| span.end),
        Item::Table(table) => table.iter().filter_map(|(_, item)| end(item)).max(),
        Item::ArrayOfTables(_) | Item::None => None,
    }
}

/// The place before the line end with which `text` closes.
fn line_end_before(text: &str) -> Option<usize> {
    text.strip_suffix("\r\n").or_else(|| text.strip_suffix('\n')).map(str::len)
}

/// Whether `changed` says what `text` says, without the entry.
fn same_but(text: &str, changed: &str, section: &str, name: &str) -> bool {
    let whole = |text: &str| Document::parse(text.to_owned()).ok().map(|document| json(document.as_item()));
    let (Some(mut before), Some(mut after)) = (whole(text), whole(changed)) else { return false };
    for side in [&mut before, &mut after] {
        let Some(root) = side.as_object_mut() else { return false };
        if let Some(servers) = root.get_mut(section).and_then(Value::as_object_mut) {
            servers.remove(name);
            if servers.is_empty() {
                root.remove(section);
            }
        }
    }
    before == after && get(changed, section, name).is_ok_and(|entry| entry.is_none())
}

/// `toml_edit` closes every file with a line end.
fn ending_as(text: &str, mut changed: String) -> String {
    if !text.ends_with('\n') && changed.ends_with('\n') {
        changed.truncate(line_end_before(&changed).unwrap_or_default());
    }
    changed
}

fn trouble(text: &str, error: &toml_edit::TomlError) -> Trouble {
    Trouble::new(error.message().lines().next().unwrap_or("it is no TOML"), text, error.span().unwrap_or_default().start)
}

fn json(item: &Item) -> Value {
    match item {
        Item::None => Value::Null,
        Item::Value(value) => json_value(value),
        Item::Table(table) => table.iter().map(|(key, item)| (key.to_owned(), json(item))).collect::<Map<_, _>>().into(),
        Item::ArrayOfTables(tables) => tables.iter().map(|table| json(&Item::Table(table.clone()))).collect(),
    }
}

fn json_value(value: &toml_edit::Value) -> Value {
    match value {
        toml_edit::Value::String(text) => text.value().as_str().into(),
        toml_edit::Value::Integer(number) => (*number.value()).into(),
        toml_edit::Value::Boolean(truth) => (*truth.value()).into(),
        toml_edit::Value::Array(array) => array.iter().map(json_value).collect(),
        toml_edit::Value::InlineTable(table) => {
            table.iter().map(|(key, value)| (key.to_owned(), json_value(value))).collect::<Map<_, _>>().into()
        }
        // JSON has no such thing; they are only compared with themselves.
        toml_edit::Value::Float(number) => number.value().to_string().into(),
        toml_edit::Value::Datetime(moment) => moment.value().to_string().into(),
    }
}

fn edit(value: &Value) -> toml_edit::Value {
    match value {
        Value::Array(items) => items.iter().map(edit).collect::<Array>().into(),
        Value::Object(members) => members.iter().map(|(key, value)| (key.as_str(), edit(value))).collect::<InlineTable>().into(),
        Value::Bool(truth) => (*truth).into(),
        Value::Number(number) => number.as_i64().unwrap_or_default().into(),
        Value::String(text) => text.as_str().into(),
        Value::Null => "".into(),
    }
}

/// A value as it is written behind `=`.
fn toml(value: &Value) -> String {
    edit(value).to_string().trim().to_owned()
}

#[cfg(test)]
#[path = "toml_tests.rs"]
mod tests;
