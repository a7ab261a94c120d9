//! One key of a configuration file set or taken out, with everything else of the file as it was: comments, order, spelling.
//!
//! Decision: the new text is read as the daemon would read it before anybody writes it. A change that brings a problem is refused; one that takes
//! problems away is not, whatever else is wrong with the file, since that is how a person repairs it.

use std::str::FromStr as _;

use toml_edit::{Array, DocumentMut, Item, Table, TableLike};

use super::{
    Config, ConfigError, Origin, Problem, Sources,
    read::{is_section, spelled, split, unknown},
    settings::{Setting, all},
    value::Value,
};

/// A changed file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edited {
    /// The key as the file spells it.
    pub key: String,
    /// The whole new text.
    pub text: String,
    /// The value that stood there before, as it was spelled.
    pub was: Option<String>,
    /// The value that stands there now; `None` when it was taken out.
    pub is: Option<String>,
}

/// The text of `sources` with `key` set to `value`, which may be spelled as in the file or bare: `debug`, `"debug"`, `a,b`, `["a", "b"]`.
///
/// # Errors
/// When there is no such key, the value is none for it, or the file would be wrong with it.
pub fn set(sources: &Sources<'_>, key: &str, value: &str) -> Result<Edited, ConfigError> {
    let path = split(key);
    let text = sources.text.unwrap_or_default();
    let item = typed(&path, value).map_err(|message| refused(sources, message))?;
    let mut document = parsed(sources)?;
    let was = at(&document, &path).map(shown);
    let place = put(document.as_table_mut(), &path, item.clone(), false)
        .ok_or_else(|| refused(sources, format!("`{}` cannot be put into this file", spelled(&path))))?;
    let text = match &was {
        Some(_) => document.to_string(),
        None => uncommented(text, &path, &place).unwrap_or_else(|| document.to_string()),
    };
    finish(sources, Edited { key: spelled(&path), text, was, is: Some(place) })
}

/// The text of `sources` without `key`; `was` is `None` when the file does not have it.
///
/// # Errors
/// When the file cannot be parsed, or would be wrong without the key.
pub fn unset(sources: &Sources<'_>, key: &str) -> Result<Edited, ConfigError> {
    let path = split(key);
    let mut document = parsed(sources)?;
    let was = at(&document, &path).map(shown);
    let known = all().any(|setting| setting.matches(&path).is_some());
    if was.is_none() && !known {
        return Err(refused(sources, unknown(&path, &spelled(&path))));
    }
    take(&mut document, &path);
    // A section that there is may stand empty; one that is somebody's mistake goes with the last of it.
    for length in (1..path.len()).rev() {
        let section = &path[..length];
        let empty = at(&document, section).and_then(Item::as_table_like).is_some_and(TableLike::is_empty);
        if empty && !is_section(section) {
            take(&mut document, section);
        }
    }
    finish(sources, Edited { key: spelled(&path), text: document.to_string(), was, is: None })
}

fn take(document: &mut DocumentMut, path: &[String]) {
    let Some((last, within)) = path.split_last() else { return };
    let mut table: Option<&mut dyn TableLike> = Some(document.as_table_mut());
    for segment in within {
        table = table.and_then(|table| table.get_mut(segment)).and_then(Item::as_table_like_mut);
    }
    table.and_then(|table| table.remove(last));
}

/// What is wrong with the file now and was not before.
fn finish(sources: &Sources<'_>, edited: Edited) -> Result<Edited, ConfigError> {
    let Err(after) = Config::read(&Sources { text: Some(&edited.text), ..*sources }) else { return Ok(edited) };
    let before = Config::read(sources).err().map(|error| error.problems).unwrap_or_default();
    let known = |problem: &Problem| before.iter().any(|old| old.message == problem.message);
    let problems: Vec<Problem> = after.problems.into_iter().filter(|problem| !known(problem)).collect();
    if problems.is_empty() { Ok(edited) } else { Err(ConfigError { file: after.file, problems }) }
}

/// The value as the key takes it: spelled as in the file where that fits, else as text, else as a list of texts.
fn typed(path: &[String], value: &str) -> Result<Item, String> {
    let key = spelled(path);
    let found = all().find_map(|setting| Some((setting, setting.matches(path)?)));
    let (setting, name) = found.ok_or_else(|| match is_section(path) {
        true => format!("`{key}` is a section: name one of its keys"),
        false => unknown(path, &key),
    })?;
    let takes = |value: &Value| (setting.set)(&mut Config::default(), name, value);
    if let Ok(spelled) = toml_edit::Value::from_str(value)
        && takes(&known(&spelled)).is_ok()
    {
        return Ok(Item::Value(spelled));
    }
    let text = value.trim().to_owned();
    if takes(&Value::Text(text.clone())).is_ok() {
        return Ok(toml_edit::value(text));
    }
    let list: Vec<String> = text.split(',').map(|item| item.trim().to_owned()).filter(|item| !item.is_empty()).collect();
    match takes(&Value::List(list.clone())) {
        Ok(()) => Ok(toml_edit::value(list.into_iter().collect::<Array>())),
        // What a bare word must be is what the other two say as well.
        Err(_) => Err(takes(&Value::Loose(text)).err().map_or_else(|| refusal(setting), |expected| format!("`{key}` must be {expected}"))),
    }
}

fn refusal(setting: &Setting) -> String {
    format!("`{}` does not take that", setting.key)
}

/// The value before its key has said what it must be.
fn known(value: &toml_edit::Value) -> Value {
    match value {
        toml_edit::Value::String(text) => Value::Text(text.value().clone()),
        toml_edit::Value::Integer(number) => Value::Whole(*number.value()),
        toml_edit::Value::Boolean(truth) => Value::Bool(*truth.value()),
        toml_edit::Value::Array(items) => {
            items.iter().map(|item| item.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>().map_or(Value::Other, Value::List)
        }
        _ => Value::Other,
    }
}

fn parsed(sources: &Sources<'_>) -> Result<DocumentMut, ConfigError> {
    let text = sources.text.unwrap_or_default();
    text.parse().map_err(|error: toml_edit::TomlError| {
        let end = error.span().map_or(0, |span| span.start).min(text.len());
        let line = 1 + text.as_bytes()[..end].iter().filter(|byte| **byte == b'\n').count();
        // Its `Display` would show the line, and with it the value.
        let problem = Problem { at: Origin::File { line }, message: error.message().to_owned() };
        ConfigError { file: sources.file.into(), problems: vec![problem] }
    })
}

fn at<'a>(document: &'a DocumentMut, path: &[String]) -> Option<&'a Item> {
    path.iter().try_fold(document.as_item(), |item, segment| item.as_table_like()?.get(segment))
}

fn shown(item: &Item) -> String {
    item.to_string().trim().to_owned()
}

/// Puts the value in its place, with what stands around the old one kept; how it is spelled there. Below a heading of the file (`headed`) it is
/// spelled with dots: a heading of its own would take the lines of the section that are commented out away from it.
fn put(table: &mut dyn TableLike, path: &[String], mut item: Item, headed: bool) -> Option<String> {
    let (first, rest) = path.split_first()?;
    if !rest.is_empty() {
        if !table.contains_key(first) {
            let mut section = Table::new();
            section.set_implicit(true);
            section.set_dotted(headed);
            table.insert(first, Item::Table(section));
        }
        let within = table.get_mut(first)?;
        let headed = within.as_table().is_some_and(|table| table.is_dotted() || !table.is_implicit());
        return put(within.as_table_like_mut()?, rest, item, headed);
    }
    if let (Some(old), Some(new)) = (table.get(first).and_then(Item::as_value), item.as_value_mut()) {
        *new.decor_mut() = old.decor().clone();
    }
    let spelled = shown_value(&item);
    match table.get_mut(first) {
        Some(place) => *place = item,
        None => {
            table.insert(first, item);
        }
    }
    Some(spelled)
}

/// The value alone, without the comment that may follow it.
fn shown_value(item: &Item) -> String {
    let mut bare = item.clone();
    if let Some(value) = bare.as_value_mut() {
        value.decor_mut().clear();
    }
    bare.to_string().trim().to_owned()
}

/// The text with the line that shows the key, as `config init` has written it, made the setting. `None` without such a line.
fn uncommented(text: &str, path: &[String], value: &str) -> Option<String> {
    let mut section: Option<Vec<String>> = Some(Vec::new());
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let bare = line.trim();
        // The spelling of the key below the heading it stands under.
        let name = section.as_ref().and_then(|section| path.strip_prefix(section.as_slice())).map(spelled);
        if bare.starts_with("#[") {
            section = None;
        } else if let Some(name) = bare.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
            section = Some(split(name));
        } else if let Some(name) = name.filter(|name| line.strip_prefix('#').is_some_and(|line| line.starts_with(&format!("{name} = ")))) {
            let ending = if line.ends_with("\r\n") {
                "\r\n"
            } else if line.ends_with('\n') {
                "\n"
            } else {
                ""
            };
            let changed = format!("{}{name} = {value}{ending}{}", &text[..at], &text[at + line.len()..]);
            // A line of a text over several lines only looks like one.
            let document: DocumentMut = changed.parse().ok()?;
            return (self::at(&document, path).map(shown_value).as_deref() == Some(value)).then_some(changed);
        }
        at += line.len();
    }
    None
}

fn refused(sources: &Sources<'_>, message: String) -> ConfigError {
    ConfigError { file: sources.file.into(), problems: vec![Problem { at: Origin::Default, message }] }
}

#[cfg(test)]
#[path = "edit_tests.rs"]
mod tests;
