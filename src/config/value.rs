//! A value before its key has said what it must be.

use std::time::Duration;

use toml::{Spanned, de::DeValue};

/// From the file with its type, or from a variable or flag as mere text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// A string of the file.
    Text(String),
    /// A whole number of the file.
    Whole(i64),
    /// A truth value of the file.
    Bool(bool),
    /// A list of strings of the file.
    List(Vec<String>),
    /// Text that may mean any of these.
    Loose(String),
    /// Something of the file that no key takes.
    Other,
}

impl Value {
    /// From the file.
    pub(super) fn from_toml(value: &DeValue<'_>) -> Self {
        match value {
            DeValue::String(text) => Self::Text(text.to_string()),
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).map_or(Self::Other, Self::Whole),
            DeValue::Boolean(truth) => Self::Bool(*truth),
            DeValue::Array(items) => items
                .iter()
                .map(|item: &Spanned<DeValue<'_>>| item.get_ref().as_str().map(str::to_owned))
                .collect::<Option<Vec<_>>>()
                .map_or(Self::Other, Self::List),
            _ => Self::Other,
        }
    }

    pub(super) fn text(&self) -> Result<String, String> {
        match self {
            Self::Text(text) | Self::Loose(text) if !text.trim().is_empty() => Ok(text.trim().to_owned()),
            _ => Err("a text that is not empty".into()),
        }
    }

    pub(super) fn bool(&self) -> Result<bool, String> {
        match self {
            Self::Bool(truth) => Ok(*truth),
            Self::Loose(text) if text == "true" => Ok(true),
            Self::Loose(text) if text == "false" => Ok(false),
            _ => Err("`true` or `false`".into()),
        }
    }

    pub(super) fn whole(&self, least: u64, most: u64) -> Result<u64, String> {
        let number = match self {
            Self::Whole(number) => u64::try_from(*number).ok(),
            Self::Loose(text) => text.trim().parse().ok(),
            _ => None,
        };
        number.filter(|number| (least..=most).contains(number)).ok_or_else(|| format!("a whole number from {least} to {most}"))
    }

    pub(super) fn seconds(&self, least: u64, most: u64) -> Result<Duration, String> {
        let expected = |_| format!("a whole number of seconds from {least} to {most}");
        self.whole(least, most).map(Duration::from_secs).map_err(expected)
    }

    /// A number of days, as `30d`.
    pub(super) fn days(&self, least: u64, most: u64) -> Result<Duration, String> {
        let days = match self {
            Self::Text(text) | Self::Loose(text) => text.trim().strip_suffix('d').and_then(|days| days.parse::<u64>().ok()),
            _ => None,
        };
        let days = days.filter(|days| (least..=most).contains(days));
        days.map(|days| Duration::from_secs(days * 24 * 3600)).ok_or_else(|| format!("a number of days from `{least}d` to `{most}d`"))
    }

    pub(super) fn list(&self) -> Result<Vec<String>, String> {
        match self {
            Self::List(items) => Ok(items.clone()),
            Self::Loose(text) => Ok(text.split(',').map(|item| item.trim().to_owned()).collect()),
            _ => Err("a list of texts".into()),
        }
    }

    /// One of `words`, which carry what they mean.
    pub(super) fn choice<T: Copy>(&self, words: &[(&str, T)]) -> Result<T, String> {
        let given = match self {
            Self::Text(text) | Self::Loose(text) => text.as_str(),
            _ => "",
        };
        words.iter().find(|(word, _)| *word == given).map(|(_, meaning)| *meaning).ok_or_else(|| {
            let known: Vec<String> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
            format!("one of {}", known.join(", "))
        })
    }
}
