//! Mail that nobody here wrote: subjects, bodies and small attachments of other people's test messages.
//!
//! An excerpt of the messages that a parser of MIME is tested with; its licence lies beside the data.

use std::sync::{Arc, OnceLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;

use crate::graph::store::{Attachment, AttachmentKind, Body, Content};

#[derive(Deserialize)]
struct File {
    rows: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    subject: String,
    html: bool,
    body: String,
    attachments: Vec<Part>,
}

#[derive(Deserialize)]
struct Part {
    name: String,
    #[serde(rename = "type")]
    content_type: String,
    cid: Option<String>,
    content: String,
}

/// One message of the corpus. Cloning it copies no text.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) subject: String,
    pub(super) body: Body,
    pub(super) attachments: Vec<Attachment>,
}

/// All messages of the corpus; never none.
pub(super) fn messages() -> &'static [Found] {
    static CORPUS: OnceLock<Vec<Found>> = OnceLock::new();
    CORPUS.get_or_init(|| {
        let file: Result<File, _> = serde_json::from_str(include_str!("../../data/mail-corpus.json"));
        // The file is part of the program: a test reads it.
        file.map_or_else(|_| Vec::new(), |file| file.rows.into_iter().map(found).collect())
    })
}

fn found(row: Row) -> Found {
    let attachment = |(part, index): (Part, u32)| Attachment {
        index,
        name: part.name,
        content_type: part.content_type,
        inline: part.cid.is_some(),
        content_id: part.cid,
        content: Content::Given(Bytes::from(STANDARD.decode(part.content).unwrap_or_default())),
        kind: AttachmentKind::File,
    };
    Found {
        subject: row.subject.replace(['\r', '\n', '\t'], " ").trim().to_owned(),
        body: Body::Given { html: row.html, content: Arc::from(row.body) },
        attachments: row.attachments.into_iter().zip(0..).map(attachment).collect(),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_excerpt_is_read_whole() {
        let all = super::messages();
        assert!(all.len() > 50, "{}", all.len());
        assert!(all.iter().all(|m| !m.body.stored().is_empty() && m.attachments.iter().all(|a| a.content.len() > 0)));
        assert!(all.iter().any(|m| m.body.is_html()) && all.iter().any(|m| m.attachments.iter().any(|a| a.inline)));
    }
}
