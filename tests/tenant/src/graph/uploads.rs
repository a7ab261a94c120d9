//! Upload sessions: the pieces of one file, PUT in order to a pre-authenticated address on the download port.
//!
//! What becomes of the whole file is the affair of its [`Target`], one arm of [`finish`] each.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::attachment_write;
use super::attachments;
use super::calendar;
use super::call::Call;
use super::drive;
use super::errors::Fault;
use super::odata::Answer;
use super::store::State;
use crate::seed::User;
use crate::seed::prng::Prng;
use crate::wire::{Reply, Request};

/// The path below the download port under which sessions are reached.
pub(crate) const PATH: &str = "/upload/";

/// How the pieces of one kind of session must be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    /// Every piece but the last is a multiple of this many bytes.
    pub(crate) multiple: u64,
    /// The longest piece, in bytes.
    pub(crate) longest: u64,
    /// The longest file, in bytes.
    pub(crate) largest: u64,
    /// The status of the answer to a piece that is not the last.
    pub(crate) going_on: StatusCode,
    /// The range still expected is written `7-99`, to the end of the file (OneDrive, issue 1273 of its documentation), or just `7`
    /// (Outlook); before the first piece both write `0-`.
    pub(crate) to_the_end: bool,
}

/// The rules of Outlook's attachments: 150 MB in pieces of at most 4 MiB.
pub(crate) const ATTACHMENT: Rules =
    Rules { multiple: 1, longest: 4 << 20, largest: 150 << 20, going_on: StatusCode::OK, to_the_end: false };

/// The rules of OneDrive's files: 250 GB in pieces of at most 60 MiB, each but the last a multiple of 320 KiB.
pub(crate) const FILE: Rules =
    Rules { multiple: 320 << 10, longest: (60 << 20) - 1, largest: 250_000_000_000, going_on: StatusCode::ACCEPTED, to_the_end: true };

/// How long a session can be used. It is not prolonged by its pieces.
const LIFE: SignedDuration = SignedDuration::from_hours(24);

/// What a session's file is for.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    /// A file on a message.
    Message(attachments::Upload),
    /// A file on an event.
    Event(attachments::Upload),
    /// A file in a drive.
    File(drive::Upload),
}

/// Makes of the whole file what it is for. A refusal keeps the session and all bytes but those of its last piece.
fn finish(state: &mut State, session: &Session, content: Bytes, now: Timestamp) -> Answer<Reply> {
    match &session.target {
        Target::Message(upload) => attachment_write::finish(state, session, upload, content, now),
        Target::Event(upload) => calendar::finish_attachment(state, session, upload, content, now),
        Target::File(upload) => drive::finish_upload(state, session, upload, content, now),
    }
}

/// A file on its way.
#[derive(Debug)]
pub(crate) struct Session {
    /// Its name in its address.
    pub(crate) id: String,
    /// What the address carries instead of a bearer token.
    token: String,
    /// Whose mailbox or drive it is for: an index into users, mailboxes and drives.
    pub(crate) owner: usize,
    /// Who began it: an index into users.
    pub(crate) caller: usize,
    /// `scheme://host:port/v1.0` and `scheme://host:port` of the download port, as in the request that began it.
    #[allow(dead_code, reason = "files of a drive are shown with it when they are whole")]
    pub(crate) base: String,
    pub(crate) downloads: String,
    target: Target,
    rules: Rules,
    /// The whole length: said at the beginning or by the first piece.
    total: Option<u64>,
    received: BytesMut,
    expires: Timestamp,
}

impl Session {
    /// What is still missing, as both services write it.
    fn expected(&self) -> Vec<String> {
        let at = self.received.len();
        vec![match (at, self.rules.to_the_end, self.total) {
            (0, ..) | (_, true, None) => format!("{at}-"),
            (_, true, Some(total)) => format!("{at}-{}", total - 1),
            (_, false, _) => at.to_string(),
        }]
    }

    fn progress(&self) -> Map<String, Value> {
        let mut out = Map::new();
        out.insert("expirationDateTime".to_owned(), json!(self.expires.to_string()));
        out.insert("nextExpectedRanges".to_owned(), json!(self.expected()));
        out
    }

    /// For the state dump.
    pub(crate) fn row(&self, users: &[User]) -> Value {
        let mut out = self.progress();
        out.insert("id".to_owned(), json!(self.id));
        out.insert("begunBy".to_owned(), json!(users[self.caller].username));
        out.insert("received".to_owned(), json!(self.received.len()));
        out.insert("total".to_owned(), json!(self.total));
        Value::Object(out)
    }
}

/// All sessions that are not finished, cancelled or expired.
#[derive(Debug, Default)]
pub(crate) struct Uploads {
    sessions: Vec<Session>,
    begun: u64,
}

impl Uploads {
    /// Begins a session; the `uploadSession` to answer with. `total` is the length when the client has said it.
    pub(crate) fn begin(&mut self, call: &Call<'_>, target: Target, rules: Rules, total: Option<u64>) -> Map<String, Value> {
        self.begun += 1;
        let mut prng = Prng::new(self.begun, &call.request.user);
        let session = Session {
            id: prng.guid(),
            token: prng.guid(),
            owner: call.owner,
            caller: call.caller,
            base: call.request.base.clone(),
            downloads: call.request.downloads.clone(),
            target,
            rules,
            total,
            received: BytesMut::new(),
            expires: call.now.saturating_add(LIFE).unwrap_or(call.now),
        };
        let mut out = session.progress();
        out.insert("uploadUrl".to_owned(), json!(format!("{}{PATH}{}?authtoken={}", session.downloads, session.id, session.token)));
        self.sessions.push(session);
        out
    }

    /// The sessions into this mailbox or drive.
    pub(crate) fn of(&self, owner: usize) -> impl Iterator<Item = &Session> {
        self.sessions.iter().filter(move |session| session.owner == owner)
    }
}

/// Answers a request to a session's address: `PUT` a piece, `GET` what is missing, `DELETE` to give up.
pub(crate) fn serve(state: &mut State, request: &Request, now: Timestamp) -> Answer<Reply> {
    state.uploads.sessions.retain(|session| session.expires > now);
    let id = request.path.strip_prefix(PATH).unwrap_or_default();
    let gone = || Fault::new(StatusCode::NOT_FOUND, "itemNotFound", "The upload session was not found or has expired.");
    let token = request.query.strip_prefix("authtoken=").unwrap_or_default();
    let at = state.uploads.sessions.iter().position(|session| session.id == id && session.token == token).ok_or_else(gone)?;
    match request.method {
        Method::GET => Ok(progress(StatusCode::OK, &state.uploads.sessions[at])),
        Method::DELETE => {
            state.uploads.sessions.remove(at);
            Ok(super::empty(StatusCode::NO_CONTENT))
        }
        Method::PUT => put(state, at, request, now),
        _ => Err(Fault::method_not_allowed()),
    }
}

fn put(state: &mut State, at: usize, request: &Request, now: Timestamp) -> Answer<Reply> {
    let session = &mut state.uploads.sessions[at];
    let range = request.headers.get(header::CONTENT_RANGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let piece = check(session, range, request.body.len() as u64)?;
    session.total = Some(piece.total);
    session.received.extend_from_slice(&request.body);
    if piece.last + 1 < piece.total {
        return Ok(progress(session.rules.going_on, session));
    }
    let mut session = state.uploads.sessions.remove(at);
    // A refusal may be mended and the last piece be sent again, so the bytes are not given away yet.
    let before = session.received.len() - request.body.len();
    let whole = std::mem::take(&mut session.received).freeze();
    let outcome = finish(state, &session, whole.clone(), now);
    if outcome.is_err() {
        session.received = BytesMut::from(&whole[..before]);
        state.uploads.sessions.insert(at, session);
    }
    outcome
}

/// A piece's place.
#[derive(Debug, PartialEq, Eq)]
struct Piece {
    first: u64,
    last: u64,
    total: u64,
}

/// Reads `bytes 0-9/100`.
fn parse(range: &str) -> Option<Piece> {
    let (ends, total) = range.trim().strip_prefix("bytes")?.trim_start().split_once('/')?;
    let (first, last) = ends.split_once('-')?;
    let piece = Piece { first: first.parse().ok()?, last: last.parse().ok()?, total: total.parse().ok()? };
    (piece.first <= piece.last && piece.last < piece.total).then_some(piece)
}

/// Holds a piece to the rules and to what has come already.
fn check(session: &Session, range: &str, length: u64) -> Answer<Piece> {
    let refused = |inner: &'static str, message: &str| {
        let mut fault = Fault::invalid_request(message);
        fault.inner = Some(inner);
        fault
    };
    let piece = parse(range).ok_or_else(|| refused("invalidRange", "The Content-Range header is missing or malformed."))?;
    if session.total.is_some_and(|total| total != piece.total) || piece.total > session.rules.largest {
        return Err(refused("invalidRange", "The total length differs from that of the session or is too large."));
    }
    if piece.last - piece.first + 1 != length {
        return Err(refused("fragmentLengthMismatch", "The declared range does not match the content length."));
    }
    if length > session.rules.longest {
        let message = "The fragment is larger than the service accepts.";
        return Err(Fault::new(StatusCode::PAYLOAD_TOO_LARGE, "invalidRequest", message));
    }
    if piece.last + 1 < piece.total && !length.is_multiple_of(session.rules.multiple) {
        let multiple = session.rules.multiple;
        return Err(refused("fragmentRowCountInvalid", &format!("The fragment's length must be a multiple of {multiple} bytes.")));
    }
    let at = session.received.len() as u64;
    if piece.first != at {
        let (inner, message) = if piece.first < at {
            ("fragmentOverlap", "The fragment overlaps with one that was received already.")
        } else {
            ("fragmentOutOfOrder", "The fragment comes before its turn.")
        };
        let mut fault = Fault::new(StatusCode::RANGE_NOT_SATISFIABLE, "invalidRange", message);
        fault.inner = Some(inner);
        return Err(fault);
    }
    Ok(piece)
}

fn progress(status: StatusCode, session: &Session) -> Reply {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    Reply { status, headers, body: Bytes::from(Value::Object(session.progress()).to_string()) }
}

#[cfg(test)]
mod tests {
    use super::{Piece, parse};

    #[test]
    fn ranges_are_read_strictly() {
        assert_eq!(parse("bytes 0-9/100"), Some(Piece { first: 0, last: 9, total: 100 }));
        for wrong in ["", "bytes 0-9/*", "bytes 9-0/100", "bytes 0-100/100", "0-9/100", "bytes=0-9"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
