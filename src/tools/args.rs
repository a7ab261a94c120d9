//! Arguments: checked against a tool's parameters, defaults filled in, spelling normalised.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{
    Tool,
    check::checked,
    tool::{ACCOUNT, CACHE_CONTROLS, CONSENTS, MAX_TOKENS},
};
use crate::hint::{Hint, Kind};

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
        /// Which parameter, or which member of it: `updates.flag.flagStatus`.
        name: String,
    },
    /// Wrong type or outside the limits. The value itself is not repeated: it may be content.
    #[error("invalid {name}: {reason}")]
    Invalid {
        /// Which parameter, or which member of it.
        name: String,
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
            Self::Unknown { tool, .. } | Self::Missing { tool, .. } => format!("`m365-cachectl tools {tool}` lists its arguments."),
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
                (None, None) => return Err(ArgError::Missing { tool: tool.name, name: param.name.to_owned() }),
                (None | Some(Value::Null), Some(default)) => serde_json::from_str(default).unwrap_or(Value::Null),
                (Some(value), _) => checked(param.kind, value).map_err(|wrong| wrong.of(tool, param))?,
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
        let shapes =
            |name: &str| ![ACCOUNT.name, MAX_TOKENS.name].contains(&name) && !CACHE_CONTROLS.contains(&name) && !CONSENTS.contains(&name);
        self.0.iter().filter(|(name, _)| shapes(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    /// Replaces a value while arguments are brought into one spelling.
    pub(crate) fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.0.insert(name.to_owned(), value.into());
    }

    /// The value of a parameter, to be replaced in its place.
    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut Value> {
        self.0.get_mut(name)
    }

    /// A text argument, or `None` when it is null.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }

    /// A whole number; 0 when it is null.
    pub fn int(&self, name: &str) -> i64 {
        self.0.get(name).and_then(Value::as_i64).unwrap_or_default()
    }

    /// A whole number, or `None` when it is null.
    pub fn number(&self, name: &str) -> Option<i64> {
        self.0.get(name).and_then(Value::as_i64)
    }

    /// A list of texts; empty when it is null.
    pub fn texts(&self, name: &str) -> Vec<&str> {
        self.0.get(name).and_then(Value::as_array).map(|list| list.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
    }

    /// An object, or `None` when it is null.
    pub fn object(&self, name: &str) -> Option<&Map<String, Value>> {
        self.0.get(name).and_then(Value::as_object)
    }

    /// A list of values; empty when it is null.
    pub fn list(&self, name: &str) -> &[Value] {
        self.0.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
    }

    /// Whether it was given, or has a default that is not null.
    pub fn has(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|value| !value.is_null())
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
        .filter(|(distance, word)| {
            *distance <= 2 + word.len() / 4 || word.contains(name.as_str()) || name.contains(word) || is_within(word, &name)
        })
        .map(|(_, word)| word)
}

/// Whether a word of some length is left when letters of `name` are struck out: `senderContains` of `senderAddressContains`.
fn is_within(word: &str, name: &str) -> bool {
    let mut letters = name.chars();
    word.len() >= 8 && word.to_lowercase().chars().all(|letter| letters.any(|other| other == letter))
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
