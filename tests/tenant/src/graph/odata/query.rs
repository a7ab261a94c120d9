//! The query string of a request, decoded, and written again with another page.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::Answer;
use crate::graph::errors::Fault;

const UNRESERVED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b',').remove(b'\'').remove(b'(').remove(b')').remove(b':');

/// Percent-encodes one part of a query string or path.
pub(crate) fn encode(text: &str) -> String {
    utf8_percent_encode(text, UNRESERVED).to_string()
}

/// The options of a request in the order in which they came.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    /// Takes a raw query string apart. `+` means a space, as in forms.
    pub(crate) fn parse(raw: &str) -> Self {
        let decode = |part: &str| percent_decode_str(&part.replace('+', " ")).decode_utf8_lossy().into_owned();
        let pairs = raw
            .split('&')
            .filter(|part| !part.is_empty())
            .map(|part| part.split_once('=').map_or_else(|| (decode(part), String::new()), |(k, v)| (decode(k), decode(v))))
            .collect();
        Self { pairs }
    }

    /// The option of this name, which is written without its `$`; Graph takes it either way and in any case.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let same = |key: &str| key.strip_prefix('$').unwrap_or(key).eq_ignore_ascii_case(name);
        self.pairs.iter().find(|(key, _)| same(key)).map(|(_, value)| value.as_str())
    }

    /// A count: `$top`, `$skip`.
    pub(crate) fn number(&self, name: &str) -> Answer<Option<usize>> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        let found = || {
            Fault::bad_request(format!(
                "Invalid value '{text}' for ${name} query option found. The ${name} query option requires a non-negative integer value."
            ))
        };
        text.trim().parse().map(Some).map_err(|_| found())
    }

    /// True for `$count=true` and the like.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// The same query with one option replaced, encoded as Graph writes it into a nextLink.
    pub(crate) fn with(&self, name: &str, value: &str) -> String {
        let same = |key: &str| key.strip_prefix('$').unwrap_or(key).eq_ignore_ascii_case(name.trim_start_matches('$'));
        let mut parts: Vec<String> =
            self.pairs.iter().filter(|(key, _)| !same(key)).map(|(k, v)| format!("{}={}", encode(k), encode(v))).collect();
        parts.push(format!("{}={}", encode(name), encode(value)));
        parts.join("&")
    }
}
