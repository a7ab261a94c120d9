//! Arguments: checked against a tool's parameters, defaults filled in, spelling normalised.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{
    Param, ParamType, Tool,
    tool::{ACCOUNT, CACHE_CONTROLS},
};
use crate::hint::{Hint, Kind};

/// Longest account name or id, in characters: a UPN has at most 64 + 1 + 255.
pub(super) const NAME_MAX: usize = 320;
/// Longest Graph id, in characters. Exchange's longest have some 200.
pub(super) const ID_MAX: usize = 1024;
/// Longest OneDrive path, in characters (Microsoft: restrictions on file names and path lengths).
pub(super) const DRIVE_PATH_MAX: usize = 400;

/// Checked arguments: every parameter of the tool is present.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Args(BTreeMap<String, Value>);

/// Why arguments cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArgError {
    /// There is no such parameter.
    #[error("`{tool}` has no argument `{name}`")]
    Unknown {
        /// Which tool.
        tool: &'static str,
        /// What was given.
        name: String,
        /// The parameter that was probably meant.
        nearest: Option<&'static str>,
    },
    /// A required one is missing.
    #[error("`{tool}` needs the argument `{name}`")]
    Missing {
        /// Which tool.
        tool: &'static str,
        /// Which parameter.
        name: &'static str,
    },
    /// Wrong type or outside the limits. The value itself is not repeated: it may be content.
    #[error("invalid {name}: {reason}")]
    Invalid {
        /// Which parameter.
        name: &'static str,
        /// What is wrong with it.
        reason: String,
        /// What would be right.
        expected: String,
    },
    /// The arguments are not a JSON object.
    #[error("the arguments are not a JSON object")]
    NotAnObject,
}

impl Hint for ArgError {
    fn kind(&self) -> Kind {
        Kind::User
    }
    fn code(&self) -> &'static str {
        match self {
            Self::Unknown { .. } => "unknown_argument",
            Self::Missing { .. } => "missing_argument",
            Self::Invalid { .. } | Self::NotAnObject => "invalid_argument",
        }
    }
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Unknown { nearest: Some(nearest), .. } => format!("Did you mean `{nearest}`?"),
            Self::Unknown { tool, .. } | Self::Missing { tool, .. } => format!("`m365-cachectl tools show {tool}` lists its arguments."),
            Self::Invalid { expected, .. } => format!("Expected: {expected}."),
            Self::NotAnObject => "Give an object such as {\"limit\": 10}.".into(),
        })
    }
}

impl Args {
    /// Checks `given` against the parameters of `tool` and fills in defaults.
    pub fn check(tool: &Tool, given: &Map<String, Value>) -> Result<Self, ArgError> {
        for name in given.keys() {
            if !tool.params.iter().any(|param| param.name == name) {
                return Err(ArgError::Unknown { tool: tool.name, name: name.chars().take(64).collect(), nearest: nearest(tool, name) });
            }
        }
        let mut args = BTreeMap::new();
        for param in tool.params {
            let value = match (given.get(param.name), param.default) {
                (None, None) => return Err(ArgError::Missing { tool: tool.name, name: param.name }),
                (None | Some(Value::Null), Some(default)) => serde_json::from_str(default).unwrap_or(Value::Null),
                (Some(value), _) => checked(param, value)?,
            };
            args.insert(param.name.to_owned(), value);
        }
        let mut args = Self(args);
        if let Some(canonical) = tool.canonical {
            canonical(&mut args);
        }
        Ok(args)
    }

    /// Canonical arguments of an earlier call, as a task keeps them.
    pub fn from_canonical(args: BTreeMap<String, Value>) -> Self {
        Self(args)
    }

    /// All of them, sorted by name.
    pub fn all(&self) -> &BTreeMap<String, Value> {
        &self.0
    }

    /// The ones that shape the answer: without the account and the cache controls, which have places of their own in a key.
    pub fn shaping(&self) -> BTreeMap<String, Value> {
        let shapes = |name: &str| name != ACCOUNT.name && !CACHE_CONTROLS.contains(&name);
        self.0.iter().filter(|(name, _)| shapes(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    /// Replaces a value while arguments are brought into one spelling.
    pub(super) fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.0.insert(name.to_owned(), value.into());
    }

    /// A text argument, or `None` when it is null.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }

    /// A whole number; 0 when it is null.
    pub fn int(&self, name: &str) -> i64 {
        self.0.get(name).and_then(Value::as_i64).unwrap_or_default()
    }

    /// A whole number as a count; 0 when it is null or negative.
    pub fn count(&self, name: &str) -> usize {
        usize::try_from(self.int(name)).unwrap_or_default()
    }

    /// A flag; false when it is null.
    pub fn flag(&self, name: &str) -> bool {
        self.0.get(name).and_then(Value::as_bool).unwrap_or_default()
    }
}

fn invalid(param: &Param, reason: impl Into<String>, expected: impl Into<String>) -> ArgError {
    ArgError::Invalid { name: param.name, reason: reason.into(), expected: expected.into() }
}

fn checked(param: &Param, value: &Value) -> Result<Value, ArgError> {
    match param.kind {
        ParamType::Bool => match value {
            Value::Bool(_) => Ok(value.clone()),
            _ => Err(invalid(param, "it is not true or false", "true or false")),
        },
        ParamType::Int { min, max } => {
            let expected = || format!("a whole number from {min} to {max}");
            // 10.0 is how some clients write 10.
            let number = value.as_i64().or_else(|| value.as_f64().filter(|f| f.fract() == 0.0 && f.abs() < 9e15).map(|f| f as i64));
            match number {
                None => Err(invalid(param, "it is not a whole number", expected())),
                Some(number) if !(min..=max).contains(&number) => Err(invalid(param, "it is out of range", expected())),
                Some(number) => Ok(number.into()),
            }
        }
        ParamType::Choice(words) => {
            let expected = || format!("one of {}", words.join(", "));
            let word = value.as_str().ok_or_else(|| invalid(param, "it is not text", expected()))?;
            let word = words.iter().find(|known| known.eq_ignore_ascii_case(word.trim()));
            word.map(|word| Value::from(*word)).ok_or_else(|| invalid(param, "it is not one of the words", expected()))
        }
        ParamType::Account => {
            let text = text_of(param, value, 1, NAME_MAX)?.trim().to_owned();
            Ok(text.into())
        }
        ParamType::Text { max } => Ok(text_of(param, value, 1, max)?.into()),
        ParamType::Id => {
            let text = text_of(param, value, 1, ID_MAX)?;
            if text.chars().any(|letter| letter.is_control() || letter.is_whitespace()) {
                return Err(invalid(param, "it holds white space or control characters", "an id as an earlier answer gave it"));
            }
            Ok(text.into())
        }
        ParamType::DrivePath => drive_path(param, value),
    }
}

/// A OneDrive path, normalised: no trailing or doubled slash, so that one folder has one key.
fn drive_path(param: &Param, value: &Value) -> Result<Value, ArgError> {
    let expected = "a path such as /Documents/2026";
    let text = text_of(param, value, 1, DRIVE_PATH_MAX)?;
    if !text.starts_with('/') {
        return Err(invalid(param, "it does not start with /", expected));
    }
    if text.chars().any(|letter| letter.is_control() || "<>:\"|?*".contains(letter)) {
        return Err(invalid(param, "it holds a character that OneDrive does not allow", expected));
    }
    let segments: Vec<&str> = text.split('/').filter(|segment| !segment.is_empty()).collect();
    if segments.iter().any(|segment| matches!(*segment, "." | "..")) {
        return Err(invalid(param, "it holds a . or .. segment", expected));
    }
    Ok(format!("/{}", segments.join("/")).into())
}

fn text_of<'a>(param: &Param, value: &'a Value, min: usize, max: usize) -> Result<&'a str, ArgError> {
    let expected = || format!("text of {min} to {max} characters");
    let text = value.as_str().ok_or_else(|| invalid(param, "it is not text", expected()))?;
    let length = text.trim().chars().count();
    if length < min {
        return Err(invalid(param, "it is empty", expected()));
    }
    if text.chars().count() > max {
        return Err(invalid(param, format!("it has more than {max} characters"), expected()));
    }
    Ok(text)
}

/// The parameter whose name is nearest to `name`, when one is near enough to be meant.
fn nearest(tool: &Tool, name: &str) -> Option<&'static str> {
    nearest_of(tool.params.iter().map(|param| param.name), name)
}

/// The word nearest to `name` by edit distance, when one is near enough to be meant.
pub(super) fn nearest_of(words: impl Iterator<Item = &'static str>, name: &str) -> Option<&'static str> {
    let name: String = name.chars().take(64).collect::<String>().to_lowercase();
    words
        .map(|word| (distance(word, &name), word))
        .min()
        .filter(|(distance, word)| *distance <= 2 + word.len() / 4 || word.contains(name.as_str()) || name.contains(word))
        .map(|(_, word)| word)
}

/// Levenshtein distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, right) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(left != *right);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
