//! Delta tokens and rounds: what a token remembers, and one page of a container's feed.
//!
//! A token holds the last sequence number its reader has seen; the next page is what comes after it. So nothing is
//! missed and nothing needs to be kept per reader. Query options of the first request travel in the token.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::store::{Entry, Feed, Gone};
use crate::seed::prng::mix;

/// What a delta token says. Opaque to clients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Token {
    /// What it is for: `messages`, `folders`, `contacts`, `drive`.
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
    /// As it stands in a link.
    pub(crate) fn write(&self) -> String {
        let text = serde_json::to_string(self).unwrap_or_default();
        format!("{}.{:08x}", URL_SAFE_NO_PAD.encode(&text), signature(&text))
    }

    /// Read back; `None` for anything this tenant never wrote.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let (body, sign) = text.rsplit_once('.')?;
        let body = String::from_utf8(URL_SAFE_NO_PAD.decode(body).ok()?).ok()?;
        (format!("{:08x}", signature(&body)) == sign).then(|| serde_json::from_str(&body).ok())?
    }
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
pub(crate) fn page<'a>(
    feed: &'a Feed,
    token: &Token,
    size: usize,
    keep: impl Fn(u32) -> bool,
    here: impl Fn(&Gone) -> bool,
) -> Page<'a> {
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
