//! What we ask Graph: a request as plain data, made by tools, sent by `graph/client.rs`.

use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

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
    /// Content in place of a JSON body: its type and its bytes.
    pub content: Option<(String, Bytes)>,
    /// Whether sending it twice does what sending it once does. Only such requests are repeated.
    pub idempotent: bool,
    /// Whether it changes nothing, so that nobody has to care what became of one that was not answered. Every GET does not.
    pub only_asks: bool,
}

impl GraphRequest {
    fn new(method: Method, path: String) -> Self {
        let asks = method == Method::Get;
        let (query, prefer, headers) = (Vec::new(), Vec::new(), Vec::new());
        Self { method, path, query, prefer, headers, body: None, content: None, idempotent: asks, only_asks: asks }
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

    /// A question that Graph takes by POST, such as a search: it changes nothing.
    pub fn question(segments: &[&str], body: Value) -> Self {
        Self { idempotent: true, only_asks: true, ..Self::post(segments, body) }
    }

    /// An action or a creation at a path that is encoded already.
    pub fn post_path(path: String, body: Value) -> Self {
        Self { body: Some(body), ..Self::new(Method::Post, path) }
    }

    /// A replacement of content at a path that is encoded already; the content is given later.
    pub fn put_path(path: String) -> Self {
        Self::new(Method::Put, path)
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

    /// Whether it is answered with content rather than JSON. A PUT of content is answered with the item.
    pub(super) fn is_for_content(&self) -> bool {
        let path = self.path.split('?').next().unwrap_or_default();
        self.method == Method::Get && ["/$value", "/%24value", "/content"].iter().any(|end| path.ends_with(end))
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

/// Where content is that is to be fetched.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "a call has one of these, and a box would be in every row's way")]
pub enum Content {
    /// An answer of Graph that is the content, or leads to it: `/me/drive/items/{id}/content`, `…/attachments/{id}/$value`.
    Graph(GraphRequest),
    /// An address that needs no sign-in: `@microsoft.graph.downloadUrl`. Carries rights: never log it.
    Address(String),
}

/// Where a local file is to go.
#[derive(Debug, Clone, PartialEq)]
pub struct Upload {
    /// Takes the whole content of a small file; `None` when only a session does.
    pub whole: Option<GraphRequest>,
    /// Opens an upload session.
    pub session: GraphRequest,
    /// How much one request of the session carries, in bytes.
    pub piece: u64,
}

/// What happens when a drive has a file of that name already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conflict {
    /// The upload fails.
    Fail,
    /// The file gets the new content.
    Replace,
    /// The new file gets another name.
    Rename,
}

impl Conflict {
    fn word(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::Replace => "replace",
            Self::Rename => "rename",
        }
    }
}

/// What pieces of a drive's upload are multiples of (Graph documentation, *driveItem: createUploadSession*).
const UNIT: u64 = 320 * 1024;

impl Upload {
    /// To the drive item at `item`, a path that is encoded already: `/me/drive/items/{id}`, or [`drive_path`] of a file that is to be.
    pub fn to_drive(item: &str, conflict: Conflict) -> Self {
        const BEHAVIOUR: &str = "@microsoft.graph.conflictBehavior";
        let whole = GraphRequest::put_path(format!("{item}/content")).with(BEHAVIOUR, conflict.word());
        let session = GraphRequest::post_path(format!("{item}/createUploadSession"), json!({"item": {BEHAVIOUR: conflict.word()}}));
        // Done twice, a replacement is what it was done once; anything else would meet its own first result.
        let whole = if conflict == Conflict::Replace { whole.repeatable() } else { whole };
        Self { whole: Some(whole), session: session.repeatable(), piece: 32 * UNIT }
    }

    /// To a message or event at `segments`, as a file attachment of 3 MB or more; smaller ones go inline.
    pub fn to_attachment(segments: &[&str], name: &str, content_type: &str, size: u64) -> Self {
        let item = json!({"AttachmentItem": {"attachmentType": "file", "name": name, "size": size, "contentType": content_type}});
        let session = GraphRequest::post_path(format!("{}/attachments/createUploadSession", path(segments)), item);
        // Outlook takes less than 4 MB at once.
        Self { whole: None, session: session.repeatable(), piece: 12 * UNIT }
    }

    /// Only onto the version of this tag: anything else fails with a conflict.
    #[must_use]
    pub fn if_match(mut self, etag: &str) -> Self {
        self.whole = self.whole.map(|whole| whole.header("If-Match", etag));
        self.session = self.session.header("If-Match", etag);
        self
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

    #[test]
    fn what_only_asks_may_be_repeated() {
        let (get, post) = (GraphRequest::get(&["me"]), GraphRequest::post(&["me", "sendMail"], json!({})));
        let question = GraphRequest::question(&["search", "query"], json!({"requests": []}));
        assert_eq!(
            question,
            GraphRequest { only_asks: true, ..GraphRequest::post(&["search", "query"], json!({"requests": []})).repeatable() }
        );
        let marks = [&get, &question, &post, &post.clone().repeatable()].map(|request| (request.idempotent, request.only_asks));
        assert_eq!(marks, [(true, true), (true, true), (false, false), (true, false)]);
    }

    #[test]
    fn uploads_say_what_happens_to_what_is_there() {
        let upload = Upload::to_drive(&drive_path("/me/drive", "/a b.txt"), Conflict::Fail).if_match("\"e\"");
        let whole = upload.whole.unwrap();
        assert_eq!(whole.target(), "/me/drive/root:/a%20b.txt:/content?@microsoft.graph.conflictBehavior=fail");
        assert!(!whole.idempotent && whole.headers == [("If-Match", "\"e\"".into())]);
        assert_eq!(upload.session.target(), "/me/drive/root:/a%20b.txt:/createUploadSession");
        assert_eq!(upload.session.body, Some(json!({"item": {"@microsoft.graph.conflictBehavior": "fail"}})));
        assert!(upload.piece.is_multiple_of(UNIT) && upload.piece < 60 << 20);
        assert!(Upload::to_drive("/me/drive/items/1", Conflict::Replace).whole.unwrap().idempotent);
        let mail = Upload::to_attachment(&["me", "messages", "a/b"], "x.pdf", "application/pdf", 5_000_000);
        assert_eq!(mail.session.target(), "/me/messages/a%2Fb/attachments/createUploadSession");
        assert!(mail.whole.is_none() && mail.piece < 4_000_000);
    }
}
