//! Searching mail: what each property of a search looks into, for `$search` and for `/search/query`.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::super::call::Call;
use super::super::mail::MessageRow;
use super::super::odata::{Answer, Row as _};
use super::super::store::{Message, State};
use super::kql::{Document, Terms};
use super::{Found, Hit, Wish, summary};
use crate::seed::people::Address;

/// The properties that a search of mail may name.
pub(crate) const PROPERTIES: &[&str] = &[
    "from",
    "to",
    "cc",
    "bcc",
    "recipients",
    "participants",
    "subject",
    "body",
    "attachment",
    "hasattachment",
    "hasattachments",
    "received",
    "sent",
    "importance",
    "category",
    "isread",
    "kind",
];

/// What a hit shows of its message when no fields are named.
const USUAL: &[&str] = &[
    "createdDateTime",
    "lastModifiedDateTime",
    "receivedDateTime",
    "sentDateTime",
    "hasAttachments",
    "subject",
    "bodyPreview",
    "importance",
    "replyTo",
    "sender",
    "from",
    "isRead",
    "isDraft",
    "conversationId",
    "parentFolderId",
    "internetMessageId",
    "webLink",
];

impl Document for Message {
    fn texts(&self, property: Option<&str>) -> Option<Vec<String>> {
        let people = |lists: &[&[Address]]| {
            lists.iter().flat_map(|list| list.iter()).map(|a| format!("{} {}", a.name, a.address).to_lowercase()).collect::<Vec<_>>()
        };
        let from: &[Address] = self.from.as_slice();
        let files = || self.attachments.iter().map(|a| a.name.to_lowercase()).collect::<Vec<_>>();
        Some(match property {
            Some("from") => people(&[from]),
            Some("to") => people(&[&self.to]),
            Some("cc") => people(&[&self.cc]),
            Some("bcc") => people(&[&self.bcc]),
            Some("recipients") => people(&[&self.to, &self.cc, &self.bcc]),
            Some("participants") => people(&[from, &self.to, &self.cc, &self.bcc]),
            Some("subject") => vec![self.subject.to_lowercase()],
            Some("body") => vec![self.body.text().to_lowercase()],
            Some("attachment") => files(),
            Some("importance") => vec![self.importance.to_owned()],
            Some("category") => self.categories.iter().map(|c| c.to_lowercase()).collect(),
            Some("kind") => vec!["email".to_owned()],
            Some(_) => return None,
            None => {
                let mut out = people(&[from, &self.to, &self.cc]);
                out.push(self.subject.to_lowercase());
                out.extend(files());
                out.push(self.body.text().to_lowercase());
                out
            }
        })
    }

    fn instant(&self, property: &str) -> Option<Timestamp> {
        match property {
            "received" => Some(self.received),
            "sent" => Some(self.sent),
            _ => None,
        }
    }

    fn truth(&self, property: &str) -> Option<bool> {
        match property {
            "hasattachment" | "hasattachments" => Some(!self.attachments.is_empty()),
            "isread" => Some(self.read),
            _ => None,
        }
    }
}

/// Reads `$search`: a clause in quotes, in which quotes are escaped; a bare word also finds what begins with it.
pub(crate) fn clause(text: &str) -> Answer<Terms> {
    let text = text.trim();
    let inner = text.strip_prefix('"').and_then(|t| t.strip_suffix('"')).map_or_else(|| text.to_owned(), |t| t.replace("\\\"", "\""));
    Terms::parse(&inner, PROPERTIES, true)
}

/// What is found in the mailbox, newest first.
pub(crate) fn find(state: &State, call: &Call<'_>, wish: &Wish<'_>) -> Answer<Found> {
    let mailbox = call.mailbox(state);
    let words = wish.terms.words();
    let known = |message: &&Message| message.searchable <= call.now && wish.terms.find(*message);
    let found = mailbox.everything.iter().filter_map(|(_, number)| mailbox.message(*number)).filter(known);
    Ok(wish.page(found, |message| {
        let row = MessageRow { mailbox, message, immutable: call.view.immutable, text: true };
        let names = if wish.fields.is_empty() { USUAL } else { &wish.fields };
        let mut resource = Map::new();
        resource.insert("@odata.type".to_owned(), Value::from("#microsoft.graph.message"));
        resource.extend(names.iter().filter_map(|name| row.property(name).map(|value| ((*name).to_owned(), value))));
        Hit { id: row.id(), summary: summary(message.body.text().trim(), &words), resource }
    }))
}
