//! What we ask Graph: a request as plain data, made by tools, sent by `graph/client.rs`.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

/// What may stand unescaped in a path segment or a query value (RFC 3986, *unreserved*).
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The methods Graph uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Changes nothing; may be repeated.
    Get,
    /// Creates or acts; never repeated after an unknown outcome.
    Post,
    /// Sets properties.
    Patch,
    /// Replaces content.
    Put,
    /// Removes.
    Delete,
}

/// One request, below the version root.
#[derive(Debug, Clone, PartialEq)]
pub struct GraphRequest {
    /// The method.
    pub method: Method,
    /// Path with every segment percent-encoded: `/me/messages/AAMk%3D`. Or, from a `nextLink`, a whole URL.
    pub path: String,
    /// Query options, names as Graph spells them, values not yet encoded.
    pub query: Vec<(&'static str, String)>,
    /// Values of the `Prefer` header; `IdType="ImmutableId"` is added to every request by the client.
    pub prefer: Vec<String>,
    /// Further headers, such as `If-None-Match`.
    pub headers: Vec<(&'static str, String)>,
    /// JSON body.
    pub body: Option<Value>,
    /// Whether sending it twice does what sending it once does. Only such requests are repeated.
    pub idempotent: bool,
}

impl GraphRequest {
    fn new(method: Method, path: String) -> Self {
        let idempotent = method == Method::Get;
        Self { method, path, query: Vec::new(), prefer: Vec::new(), headers: Vec::new(), body: None, idempotent }
    }

    /// A read of `segments`, each percent-encoded: `["me", "messages", id]`.
    pub fn get(segments: &[&str]) -> Self {
        Self::new(Method::Get, path(segments))
    }

    /// A read of a path that is encoded already (see [`path`] and [`drive_path`]).
    pub fn get_path(path: String) -> Self {
        Self::new(Method::Get, path)
    }

    /// An action or a creation.
    pub fn post(segments: &[&str], body: Value) -> Self {
        Self { body: Some(body), ..Self::new(Method::Post, path(segments)) }
    }

    /// A change of properties.
    pub fn patch(segments: &[&str], body: Value) -> Self {
        Self { body: Some(body), ..Self::new(Method::Patch, path(segments)) }
    }

    /// A removal.
    pub fn delete(segments: &[&str]) -> Self {
        Self::new(Method::Delete, path(segments))
    }

    /// Adds a query option.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self
    }

    /// Adds a preference.
    #[must_use]
    pub fn prefer(mut self, value: impl Into<String>) -> Self {
        self.prefer.push(value.into());
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Says that sending it twice does what sending it once does.
    #[must_use]
    pub fn repeatable(mut self) -> Self {
        self.idempotent = true;
        self
    }

    /// Path and query as they go behind the version root.
    pub fn target(&self) -> String {
        let mut target = self.path.clone();
        for (at, (name, value)) in self.query.iter().enumerate() {
            target.push(if at == 0 && !target.contains('?') { '?' } else { '&' });
            target.push_str(name);
            target.push('=');
            target.extend(utf8_percent_encode(value, UNRESERVED));
        }
        target
    }
}

/// Joins segments, each percent-encoded, so that an id with `/` or `..` stays one segment.
pub fn path(segments: &[&str]) -> String {
    let mut path = String::new();
    for segment in segments {
        path.push('/');
        path.push_str(&encode(segment));
    }
    path
}

/// `/me/drive/root:/a/b:` for a OneDrive path that starts with `/`; `/me/drive/root` for `/`.
pub fn drive_path(drive: &str, at: &str) -> String {
    let segments: Vec<String> = at.split('/').filter(|segment| !segment.is_empty()).map(encode).collect();
    if segments.is_empty() { format!("{drive}/root") } else { format!("{drive}/root:/{}:", segments.join("/")) }
}

/// `/me/drive/root/search(q='words')`: an OData literal, so a quote inside is doubled before all is percent-encoded.
pub fn drive_search_path(drive: &str, words: &str) -> String {
    format!("{drive}/root/search(q='{}')", utf8_percent_encode(&words.replace('\'', "''"), UNRESERVED))
}

/// One segment, percent-encoded. A lone `.` or `..` would be resolved by an HTTP client, so its dots are encoded too.
fn encode(segment: &str) -> String {
    match segment {
        "." => "%2E".into(),
        ".." => "%2E%2E".into(),
        other => utf8_percent_encode(other, UNRESERVED).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_stays_one_segment_whatever_it_holds() {
        let request = GraphRequest::get(&["me", "messages", "../users/x?y=AA=/+"]).with("$select", "id,subject");
        assert_eq!(request.target(), "/me/messages/..%2Fusers%2Fx%3Fy%3DAA%3D%2F%2B?$select=id%2Csubject");
        assert_eq!(path(&["me", ".."]), "/me/%2E%2E");
        assert_eq!(drive_path("/me/drive", "/a b/c#d"), "/me/drive/root:/a%20b/c%23d:");
        assert_eq!(drive_path("/me/drive", "/"), "/me/drive/root");
    }
}
