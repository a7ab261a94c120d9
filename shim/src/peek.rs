//! Looks at the few members of a JSON-RPC line that a pipe must know: id, method, the tool's name. Nothing else is read.
//!
//! Client lines are small and are checked whole, so that a broken one is answered here. Daemon lines can be megabytes and are
//! ours, so only their beginning is scanned: an answer is known after its id, some forty bytes in.

use std::borrow::Cow;
use std::ops::Range;

use serde::Deserialize;
use serde_json::value::RawValue;

/// A JSON-RPC id, compared by value and not by spelling.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Id {
    /// A number, in one spelling: the daemon answers `1e2` and `1.0` with 100 and 1.
    Number(Box<str>),
    /// A string, decoded.
    Text(Box<str>),
}

/// From here on not every whole number is an `i64`: 2^63.
const MOST_WHOLE: f64 = 9_223_372_036_854_775_808.0;

impl Id {
    /// The id that `raw` JSON spells, unless that is neither a number nor a string.
    #[must_use]
    pub fn from_raw(raw: &str) -> Option<Self> {
        match raw.as_bytes().first()? {
            b'"' => serde_json::from_str::<String>(raw).ok().map(|text| Self::Text(text.into())),
            b'-' | b'0'..=b'9' => {
                let number: serde_json::Number = serde_json::from_str(raw).ok()?;
                let whole = number.as_f64().filter(|value| number.is_f64() && value.fract() == 0.0 && value.abs() < MOST_WHOLE);
                #[expect(clippy::cast_possible_truncation, reason = "it has no fraction and fits")]
                Some(Self::Number(whole.map_or_else(|| number.to_string(), |value| (value as i64).to_string()).into()))
            }
            _ => None,
        }
    }
}

/// What a client wrote.
#[derive(Debug)]
pub enum FromClient<'a> {
    /// Wants an answer.
    Request {
        /// The id as written.
        raw_id: &'a str,
        /// Its value.
        id: Id,
        /// The method.
        method: Cow<'a, str>,
        /// `params`, unread.
        params: Option<&'a RawValue>,
    },
    /// Wants none.
    Notification {
        /// The method.
        method: Cow<'a, str>,
        /// `params`, unread.
        params: Option<&'a RawValue>,
    },
    /// Answers a request of the daemon.
    Response {
        /// Where the id stands in the line.
        span: Range<usize>,
        /// Its value.
        id: Id,
    },
}

/// A line that is no JSON-RPC message.
#[derive(Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// No JSON.
    Json,
    /// JSON, but not a message; with the id as written when it has a usable one.
    Shape(Option<Box<str>>),
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    method: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    params: Option<&'a RawValue>,
}

/// Keeps `null` apart from a member that is missing.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// Reads a client's line.
///
/// # Errors
/// When it is not JSON, or JSON that is no message.
pub fn client_line(line: &[u8]) -> Result<FromClient<'_>, Unreadable> {
    // Of members that are not read it would not be looked at.
    let text = std::str::from_utf8(line).map_err(|_| Unreadable::Json)?;
    let envelope: Envelope<'_> = match line.iter().find(|byte| !byte.is_ascii_whitespace()) {
        // An array would be taken for a struct by position.
        Some(b'{') => serde_json::from_str(text).map_err(|_| unreadable(line))?,
        _ => return Err(unreadable(line)),
    };
    let id = envelope.id.map(|raw| (raw, Id::from_raw(raw.get())));
    let method = envelope.method.map(|raw| string(raw.get()));
    match (id, method) {
        (Some((raw, Some(id))), Some(Some(method))) => Ok(FromClient::Request { raw_id: raw.get(), id, method, params: envelope.params }),
        (None, Some(Some(method))) => Ok(FromClient::Notification { method, params: envelope.params }),
        (Some((raw, Some(id))), None) => Ok(FromClient::Response { span: span(line, raw.get()), id }),
        (Some((raw, Some(_))), Some(None)) => Err(Unreadable::Shape(Some(raw.get().into()))),
        _ => Err(Unreadable::Shape(None)),
    }
}

fn unreadable(line: &[u8]) -> Unreadable {
    match serde_json::from_slice::<serde::de::IgnoredAny>(line) {
        Ok(_) if std::str::from_utf8(line).is_ok() => Unreadable::Shape(None),
        _ => Unreadable::Json,
    }
}

/// What `tools/call` names, and whether the client speaks the stateless protocol.
#[must_use]
pub fn tool_call(params: Option<&RawValue>) -> (Option<String>, bool) {
    #[derive(Deserialize)]
    struct Params<'a> {
        #[serde(borrow, default)]
        name: Option<Cow<'a, str>>,
        #[serde(borrow, default, rename = "_meta")]
        meta: Option<&'a RawValue>,
    }
    let Some(Ok(params)) = params.map(|raw| serde_json::from_str::<Params<'_>>(raw.get())) else { return (None, false) };
    let modern = params.meta.is_some_and(|meta| meta.get().contains("io.modelcontextprotocol/protocolVersion"));
    (params.name.map(Cow::into_owned), modern)
}

/// The `requestId` in the `params` of a `notifications/cancelled`: as written, and its value.
#[must_use]
pub fn cancelled(params: Option<&RawValue>) -> Option<(&str, Id)> {
    #[derive(Deserialize)]
    struct Params<'a> {
        #[serde(borrow, rename = "requestId")]
        request_id: &'a RawValue,
    }
    let params: Params<'_> = serde_json::from_str(params?.get()).ok()?;
    let raw = params.request_id.get();
    Id::from_raw(raw).map(|id| (raw, id))
}

/// The address of the resource that a request of the client names.
#[must_use]
pub fn address(params: Option<&RawValue>) -> Option<String> {
    #[derive(Deserialize)]
    struct Params {
        uri: String,
    }
    serde_json::from_str::<Params>(params?.get()).ok().map(|params| params.uri)
}

/// The subscription that a notification of the daemon belongs to.
#[must_use]
pub fn subscription(params: Option<&RawValue>) -> Option<Id> {
    #[derive(Deserialize)]
    struct Params<'a> {
        #[serde(borrow, rename = "_meta")]
        meta: Meta<'a>,
    }
    #[derive(Deserialize)]
    struct Meta<'a> {
        #[serde(borrow, rename = "io.modelcontextprotocol/subscriptionId")]
        id: &'a RawValue,
    }
    let params: Params<'_> = serde_json::from_str(params?.get()).ok()?;
    Id::from_raw(params.meta.id.get())
}

/// True when the answer to `initialize` promises `notifications/tools/list_changed`.
#[must_use]
pub fn promises_list_changed(answer: &[u8]) -> bool {
    #[derive(Deserialize, Default)]
    struct Answer {
        #[serde(default)]
        result: Outcome,
    }
    #[derive(Deserialize, Default)]
    struct Outcome {
        #[serde(default)]
        capabilities: Capabilities,
    }
    #[derive(Deserialize, Default)]
    struct Capabilities {
        #[serde(default)]
        tools: Tools,
    }
    #[derive(Deserialize, Default)]
    struct Tools {
        #[serde(default, rename = "listChanged")]
        list_changed: bool,
    }
    serde_json::from_slice::<Answer>(answer).is_ok_and(|answer| answer.result.capabilities.tools.list_changed)
}

/// What the beginning of a daemon's line says.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Where the id stands.
    pub id: Option<Range<usize>>,
    /// Where the method stands, quotes included.
    pub method: Option<Range<usize>>,
    /// It answers with an error.
    pub error: bool,
}

/// Scans the beginning of `line` until it is known what it is: an answer, a request or a notification.
#[must_use]
pub fn head(line: &[u8]) -> Head {
    let mut found = Head::default();
    let mut scan = Scan { line, at: 0 };
    scan.blank();
    if !scan.take(b'{') {
        return found;
    }
    let mut outcome = false;
    loop {
        scan.blank();
        let Some(key) = scan.value() else { return found };
        scan.blank();
        if !scan.take(b':') {
            return found;
        }
        scan.blank();
        let key = &line[key];
        if key == b"\"result\"" || key == b"\"error\"" {
            outcome = true;
            found.error = key == b"\"error\"";
            if found.id.is_some() {
                return found;
            }
        }
        let Some(value) = scan.value() else { return found };
        match key {
            b"\"id\"" => found.id = Some(value),
            b"\"method\"" => found.method = Some(value),
            _ => {}
        }
        if found.id.is_some() && (outcome || found.method.is_some()) {
            return found;
        }
        scan.blank();
        if !scan.take(b',') {
            return found;
        }
    }
}

/// The id of a line of which only the beginning and the end are known, as written.
#[must_use]
pub fn id_of_oversize(beginning: &[u8], end: &[u8]) -> Option<String> {
    let at_start = head(beginning).id.map(|span| &beginning[span]);
    // Written last, it is followed by exactly the brace that closes the message.
    let at_end = || {
        let inner = end.trim_ascii_end().strip_suffix(b"}")?;
        let key = inner.windows(4).rposition(|window| window == b"\"id\"")?;
        let value = inner[key + 4..].trim_ascii_start().strip_prefix(b":")?;
        Some(value.trim_ascii())
    };
    let raw = std::str::from_utf8(at_start.or_else(at_end)?).ok()?;
    let valid = serde_json::from_str::<&RawValue>(raw).is_ok() && Id::from_raw(raw).is_some();
    valid.then(|| raw.to_owned())
}

/// Where `part`, a slice of `line`, stands in it.
fn span(line: &[u8], part: &str) -> Range<usize> {
    let start = part.as_ptr() as usize - line.as_ptr() as usize;
    start..start + part.len()
}

/// The string that `raw` JSON spells.
pub(crate) fn string(raw: &str) -> Option<Cow<'_, str>> {
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    if !inner.contains('\\') {
        return Some(Cow::Borrowed(inner));
    }
    serde_json::from_str::<String>(raw).ok().map(Cow::Owned)
}

struct Scan<'a> {
    line: &'a [u8],
    at: usize,
}

impl Scan<'_> {
    fn blank(&mut self) {
        while self.line.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        let there = self.line.get(self.at) == Some(&byte);
        self.at += usize::from(there);
        there
    }

    /// Steps over one value and says where it stood; `None` when the line ends inside it.
    fn value(&mut self) -> Option<Range<usize>> {
        let start = self.at;
        match self.line.get(start)? {
            b'"' => self.text()?,
            b'{' | b'[' => self.nested()?,
            _ => {
                let ends = |byte: &u8| matches!(byte, b',' | b'}' | b']') || byte.is_ascii_whitespace();
                self.at += self.line[start..].iter().position(ends)?;
            }
        }
        (self.at > start).then_some(start..self.at)
    }

    fn text(&mut self) -> Option<()> {
        self.at += 1;
        loop {
            match self.line.get(self.at)? {
                b'"' => break,
                b'\\' => self.at += 2,
                _ => self.at += 1,
            }
        }
        self.at += 1;
        Some(())
    }

    fn nested(&mut self) -> Option<()> {
        let mut depth = 0_usize;
        loop {
            match self.line.get(self.at)? {
                b'"' => {
                    self.text()?;
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return Some(());
            }
        }
    }
}

#[cfg(test)]
#[path = "peek_tests.rs"]
mod tests;
