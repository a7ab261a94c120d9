//! The attachments of one item, whatever it is: how they are shown, found and listed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::call::Call;
use super::errors::Fault;
use super::odata::{ATTACHMENT, Answer, Row, Selection, encode};
use super::store::{Attachment, AttachmentKind};
use crate::seed::ids::MailboxKey;
use crate::wire::Reply;

/// Exchange counts some overhead for each attachment.
const OVERHEAD: u64 = 178;

/// An item with attachments.
pub(crate) struct Holder<'a> {
    pub(crate) key: &'a MailboxKey,
    /// The item's id in the caller's form.
    pub(crate) id: String,
    /// The item's id in the other form: attachment ids made from it are good too.
    pub(crate) other: String,
    /// When they were attached.
    pub(crate) since: Timestamp,
    pub(crate) list: &'a [Attachment],
}

impl<'a> Holder<'a> {
    /// One attachment with its type in front, with the item inside it when there is a context URL for items.
    pub(crate) fn write(&self, attachment: &Attachment, selection: &Selection, items: Option<&str>) -> Map<String, Value> {
        let mut out = Map::new();
        out.insert("@odata.type".to_owned(), Value::from(attachment.kind.type_name()));
        if matches!(attachment.kind, AttachmentKind::File) {
            out.insert("@odata.mediaContentType".to_owned(), Value::from(attachment.content_type.as_str()));
        }
        selection.write(&AttachmentRow { holder: self, attachment }, &mut out);
        if let (AttachmentKind::Item(inner), Some(items)) = (&attachment.kind, items) {
            let id = encode(&self.key.attachment(&self.id, attachment.index));
            let context = format!("{items}('{id}')/microsoft.graph.itemAttachment/item");
            out.insert("item@odata.context".to_owned(), json!(format!("{context}/$entity")));
            out.insert("item".to_owned(), Value::Object(with_context(inner, &context)));
        }
        out
    }

    /// The attachment with this id.
    pub(crate) fn find(&self, id: &str) -> Answer<&'a Attachment> {
        let same = |a: &&Attachment| self.key.attachment(&self.id, a.index) == id || self.key.attachment(&self.other, a.index) == id;
        self.list.iter().find(same).ok_or_else(Fault::item_gone)
    }

    /// `GET …/attachments`; `place` is the item in a context URL: `/messages('…')`.
    pub(crate) fn list(&self, call: &Call<'_>, place: &str) -> Answer<Reply> {
        let selection = Selection::parse(&call.query, &ATTACHMENT)?;
        let items = expands_item(call)?.then(|| call.context(&format!("{place}/attachments")));
        let mut body = Map::new();
        let value = self.list.iter().map(|a| Value::Object(self.write(a, &selection, items.as_deref()))).collect();
        body.insert("value".to_owned(), Value::Array(value));
        Ok(call.json(StatusCode::OK, &call.context(&format!("{place}/attachments{}", selection.context())), body))
    }

    /// `GET …/attachments/{id}`, and the answer to making one.
    pub(crate) fn one(&self, call: &Call<'_>, place: &str, attachment: &Attachment, status: StatusCode) -> Answer<Reply> {
        let selection = Selection::parse(&call.query, &ATTACHMENT)?;
        let context = call.context(&format!("{place}/attachments{}/$entity", selection.context()));
        let items = expands_item(call)?.then(|| call.context(&format!("{place}/attachments")));
        Ok(call.json(status, &context, self.write(attachment, &selection, items.as_deref())))
    }

    /// `GET …/attachments/{id}/$value`
    pub(crate) fn content(&self, call: &Call<'_>, attachment: &Attachment) -> Answer<Reply> {
        let kind = match attachment.kind {
            AttachmentKind::File => &attachment.content_type,
            AttachmentKind::Item(_) => "text/plain",
            AttachmentKind::Link => return Err(Fault::bad_request("The content of an attachment that is a link can't be read here.")),
        };
        Ok(call.reply(StatusCode::OK, attachment.content.bytes(), kind))
    }
}

/// An item with the context of the attachments that it has itself.
fn with_context(item: &Map<String, Value>, context: &str) -> Map<String, Value> {
    let mut out = Map::new();
    for (name, value) in item {
        if name == "attachments" {
            out.insert("attachments@odata.context".to_owned(), json!(format!("{context}/microsoft.graph.message/attachments")));
        }
        out.insert(name.clone(), value.clone());
    }
    out
}

/// Whether `$expand=microsoft.graph.itemAttachment/item` was asked for; nothing else can be expanded.
fn expands_item(call: &Call<'_>) -> Answer<bool> {
    match call.query.get("expand").map(str::trim) {
        None | Some("") => Ok(false),
        Some(text) if text.to_ascii_lowercase().starts_with("microsoft.graph.itemattachment/item") => Ok(true),
        Some(text) => Err(Fault::unknown_property(text.split(['(', ',']).next().unwrap_or(text), "microsoft.graph.attachment")),
    }
}

struct AttachmentRow<'a, 'b> {
    holder: &'b Holder<'a>,
    attachment: &'b Attachment,
}

impl Row for AttachmentRow<'_, '_> {
    fn property(&self, name: &str) -> Option<Value> {
        let attachment = self.attachment;
        Some(match name {
            "id" => json!(self.holder.key.attachment(&self.holder.id, attachment.index)),
            "lastModifiedDateTime" => json!(self.holder.since.to_string()),
            "name" => json!(attachment.name),
            "contentType" if matches!(attachment.kind, AttachmentKind::Item(_)) => Value::Null,
            "contentType" => json!(attachment.content_type),
            "size" => json!(attachment.content.len() + OVERHEAD),
            "isInline" => json!(attachment.inline),
            _ if !matches!(attachment.kind, AttachmentKind::File) => return None,
            "contentId" => json!(attachment.content_id),
            "contentLocation" => Value::Null,
            "contentBytes" => json!(STANDARD.encode(attachment.content.bytes())),
            _ => return None,
        })
    }
}

/// A file that is being uploaded to an item in pieces.
#[derive(Debug, Clone)]
pub(crate) struct Upload {
    /// The item's number in its mailbox.
    pub(crate) item: u32,
    pub(crate) name: String,
    pub(crate) content_type: String,
    pub(crate) inline: bool,
    pub(crate) content_id: Option<String>,
}

impl Upload {
    /// The whole file as an attachment.
    pub(crate) fn into_attachment(self, index: u32, content: Bytes) -> Attachment {
        Attachment {
            index,
            name: self.name,
            content_type: self.content_type,
            inline: self.inline,
            content_id: self.content_id,
            content: super::store::Content::Given(content),
            kind: AttachmentKind::File,
        }
    }
}
