//! Delta tokens and rounds: what a token remembers, and one page of a container's feed.
//!
//! A token holds the last sequence number its reader has seen; the next page is what comes after it. So nothing is
//! missed and nothing needs to be kept per reader. Query options of the first request travel in the token.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderValue, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::call::Call;
use super::errors::Fault;
use super::odata::Answer;
use super::store::{Entry, Feed, Gone, Mailbox};
use crate::seed::prng::mix;
use crate::wire::Reply;

/// What a delta token says. Opaque to clients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Token {
    /// What it is for: `messages`, `folders`, `contacts`, `view`, `drive`.
    #[serde(rename = "k")]
    pub(crate) kind: String,
    /// Whose: the mailbox's or drive's id.
    #[serde(rename = "o")]
    pub(crate) owner: String,
    #[serde(rename = "c")]
    pub(crate) container: u32,
    /// The last sequence number seen.
    #[serde(rename = "a")]
    pub(crate) after: u64,
    /// Removals up to here are none of the reader's business: it never saw those things.
    #[serde(rename = "f")]
    pub(crate) floor: u64,
    #[serde(rename = "e")]
    pub(crate) epoch: u32,
    /// `$select`, `$expand`, `$filter` of the first request.
    #[serde(rename = "s", default, skip_serializing_if = "Option::is_none")]
    pub(crate) select: Option<String>,
    #[serde(rename = "x", default, skip_serializing_if = "Option::is_none")]
    pub(crate) expand: Option<String>,
    #[serde(rename = "q", default, skip_serializing_if = "Option::is_none")]
    pub(crate) filter: Option<String>,
    /// `$top`.
    #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")]
    pub(crate) top: Option<usize>,
}

impl Token {
    /// The token of a new reader of an Exchange container whose last change was `last`.
    pub(crate) fn begin(call: &Call<'_>, kind: &str, mailbox: &Mailbox, container: u32, last: u64) -> Answer<Self> {
        let option = |name: &str| call.query.get(name).map(str::to_owned);
        Ok(Self {
            kind: kind.to_owned(),
            owner: mailbox.key.guid().to_owned(),
            container,
            after: 0,
            floor: last,
            epoch: mailbox.epoch,
            select: option("select"),
            expand: option("expand"),
            filter: option("filter"),
            top: call.query.number("top")?,
        })
    }

    /// A token from a link of an Exchange container. One that is damaged or of an older epoch is gone; one of another
    /// mailbox or container is invalid.
    pub(crate) fn resume(text: &str, kind: &str, mailbox: &Mailbox, container: u32) -> Answer<Self> {
        let token = Self::read(text).ok_or_else(|| Fault::sync_state_gone(mailbox.epoch))?;
        token.check(kind, mailbox, container)?;
        Ok(token)
    }

    /// Refuses a token of an older epoch, of another mailbox or of another container.
    pub(crate) fn check(&self, kind: &str, mailbox: &Mailbox, container: u32) -> Answer<()> {
        if self.kind != kind || self.owner != mailbox.key.guid() || self.container != container {
            let message = "The sync state is invalid for the requested resource.";
            return Err(Fault::new(StatusCode::BAD_REQUEST, "SyncStateInvalid", message));
        }
        if self.epoch == mailbox.epoch { Ok(()) } else { Err(Fault::sync_state_gone(mailbox.epoch)) }
    }

    /// As it stands in a link.
    pub(crate) fn write(&self) -> String {
        seal(self)
    }

    /// Read back; `None` for anything this tenant never wrote.
    pub(crate) fn read(text: &str) -> Option<Self> {
        unseal(text)
    }
}

/// Writes what a link has to remember, so that nobody else can.
pub(crate) fn seal(what: &impl Serialize) -> String {
    let text = serde_json::to_string(what).unwrap_or_default();
    format!("{}.{:08x}", URL_SAFE_NO_PAD.encode(&text), signature(&text))
}

/// Reads it back; `None` for anything this tenant never wrote.
pub(crate) fn unseal<T: DeserializeOwned>(text: &str) -> Option<T> {
    let (body, sign) = text.rsplit_once('.')?;
    let body = String::from_utf8(URL_SAFE_NO_PAD.decode(body).ok()?).ok()?;
    (format!("{:08x}", signature(&body)) == sign).then(|| serde_json::from_str(&body).ok())?
}

fn signature(text: &str) -> u32 {
    let folded = text.bytes().fold(0x00de_17a0, |state, byte| mix(state ^ u64::from(byte)));
    (folded >> 32) as u32
}

/// One line of a delta page.
pub(crate) enum Line<'a> {
    Changed(u32),
    Removed(&'a Gone),
}

/// One page: its lines, the token that follows it, and whether there is more now.
pub(crate) struct Page<'a> {
    pub(crate) lines: Vec<Line<'a>>,
    pub(crate) next: Token,
    pub(crate) more: bool,
}

/// Cuts a page of at most `size` lines. `keep` says whether a live thing is to be shown, `here` whether a removed one has
/// come back under the id in which the reader knows it.
pub(crate) fn page<'a>(feed: &'a Feed, token: &Token, size: usize, keep: impl Fn(u32) -> bool, here: impl Fn(&Gone) -> bool) -> Page<'a> {
    let mut lines = Vec::new();
    let mut next = token.clone();
    for (sequence, entry) in feed.after(token.after) {
        let line = match entry {
            Entry::Live(number) if keep(*number) => Some(Line::Changed(*number)),
            Entry::Gone(gone) if sequence > token.floor && !here(gone) => Some(Line::Removed(gone)),
            Entry::Live(_) | Entry::Gone(_) => None,
        };
        if let Some(line) = line {
            if lines.len() == size {
                return Page { lines, next, more: true };
            }
            lines.push(line);
        }
        next.after = sequence;
    }
    Page { lines, next, more: false }
}

/// A page of an Exchange container as a reply: rows, the link that follows, and which wishes were honoured. The first
/// one says that changes are tracked from here on.
pub(crate) fn reply(call: &Call<'_>, type_name: &str, value: Vec<Value>, page: &Page<'_>, first: bool) -> Reply {
    let mut body = Map::new();
    body.insert("value".to_owned(), Value::Array(value));
    let (name, option) = if page.more { ("@odata.nextLink", "$skiptoken") } else { ("@odata.deltaLink", "$deltatoken") };
    body.insert(name.to_owned(), json!(format!("{}?{option}={}", call.address(), page.next.write())));
    let context = call.plain_context(&format!("Collection({type_name})"));
    let mut reply = call.json(StatusCode::OK, &context, body);
    let mut applied = Vec::new();
    if first {
        applied.push("odata.track-changes".to_owned());
    }
    applied.extend(call.view.page.map(|size| format!("odata.maxpagesize={size}")));
    applied.extend(call.view.applied.iter().cloned());
    if let Ok(value) = HeaderValue::from_str(&applied.join(", "))
        && !applied.is_empty()
    {
        reply.headers.insert("preference-applied", value);
    }
    reply
}
