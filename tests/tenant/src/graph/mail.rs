//! A message and a mail folder as Graph shows them, and how their ids are found.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::attachments::Holder;
use super::calendar::instant;
use super::errors::Fault;
use super::odata::{Answer, Expand, Row, Selection, encode};
use super::search_folders;
use super::store::{Event, MailFolder, Mailbox, Marked, Message, Notice};
use crate::seed::ids::{IdKind, looks_like_exchange_id};
use crate::seed::people::Address;
use crate::seed::prng::mix;

/// A message in the form that the caller wants.
pub(crate) struct MessageRow<'a> {
    pub(crate) mailbox: &'a Mailbox,
    pub(crate) message: &'a Message,
    pub(crate) immutable: bool,
    pub(crate) text: bool,
}

/// An address as `recipient`.
pub(crate) fn recipient(address: &Address) -> Value {
    let mut email = Map::with_capacity(2);
    email.insert("name".to_owned(), Value::from(&*address.name));
    email.insert("address".to_owned(), Value::from(&*address.address));
    let mut out = Map::with_capacity(1);
    out.insert("emailAddress".to_owned(), Value::Object(email));
    Value::Object(out)
}

/// Addresses as `recipient`s.
pub(crate) fn recipients(addresses: &[Address]) -> Value {
    Value::Array(addresses.iter().map(recipient).collect())
}

/// A body as `itemBody`.
pub(crate) fn item_body(html: bool, content: String) -> Value {
    let mut out = Map::with_capacity(2);
    out.insert("contentType".to_owned(), Value::from(if html { "html" } else { "text" }));
    out.insert("content".to_owned(), Value::String(content));
    Value::Object(out)
}

impl Row for MessageRow<'_> {
    fn property(&self, name: &str) -> Option<Value> {
        let message = self.message;
        Some(match name {
            "id" => Value::String(self.id()),
            "createdDateTime" => json!(message.created.to_string()),
            "lastModifiedDateTime" => json!(message.modified.to_string()),
            "changeKey" => json!(self.mailbox.key.change_key(message.sequence)),
            "categories" => json!(message.categories),
            "receivedDateTime" => json!(message.received.to_string()),
            "sentDateTime" => json!(message.sent.to_string()),
            "hasAttachments" => json!(message.attachments.iter().any(|a| !a.inline)),
            "internetMessageId" => json!(message.internet_id),
            "subject" => json!(message.subject),
            "bodyPreview" => json!(message.body.preview()),
            "importance" => json!(message.importance),
            "parentFolderId" => json!(self.mailbox.folder_id(message.folder)),
            "conversationId" => json!(self.mailbox.key.conversation(message.conversation)),
            "conversationIndex" => {
                let mut raw = vec![1, 0xd9];
                raw.extend_from_slice(&mix(message.conversation).to_be_bytes());
                raw.extend_from_slice(&mix(message.conversation ^ 7).to_be_bytes());
                json!(STANDARD.encode(raw))
            }
            "isDeliveryReceiptRequested" => json!(message.delivery_receipt),
            "isReadReceiptRequested" => json!(message.read_receipt),
            "isRead" => json!(message.read),
            "isDraft" => json!(message.draft),
            "webLink" => {
                let id = encode(&self.id());
                json!(format!("https://outlook.office365.com/owa/?ItemID={id}&exvsurl=1&viewmodel=ReadMessageItem"))
            }
            "inferenceClassification" => json!(if message.focused { "focused" } else { "other" }),
            "body" | "uniqueBody" => {
                let html = message.body.is_html() && !self.text;
                item_body(html, if html { message.body.stored() } else { message.body.text() })
            }
            "sender" | "from" => message.from.as_ref().map_or(Value::Null, recipient),
            "toRecipients" => recipients(&message.to),
            "ccRecipients" => recipients(&message.cc),
            "bccRecipients" => recipients(&message.bcc),
            "replyTo" => recipients(&message.reply_to),
            "flag" => message.flag.clone().unwrap_or_else(|| json!({"flagStatus": "notFlagged"})),
            "internetMessageHeaders" => {
                let given = message.headers.iter().map(|(name, value)| json!({"name": name, "value": value}));
                let usual =
                    [("MIME-Version", "1.0"), ("Content-Type", "multipart/alternative"), ("Message-ID", message.internet_id.as_str())];
                Value::Array(usual.iter().map(|(name, value)| json!({"name": name, "value": value})).chain(given).collect())
            }
            _ => return None,
        })
    }
}

impl<'a> MessageRow<'a> {
    /// The id in the caller's form.
    pub(crate) fn id(&self) -> String {
        self.mailbox.message_id(self.message, self.immutable)
    }

    /// The tag, `W/"<changeKey>"`.
    pub(crate) fn etag(&self) -> String {
        format!("W/\"{}\"", self.mailbox.key.change_key(self.message.sequence))
    }

    /// The whole object with its tag, and its attachments when they are wanted.
    pub(crate) fn write(&self, selection: &Selection, expand: &Expand) -> Map<String, Value> {
        let mut out = Map::new();
        let notice = self.message.notice.as_deref();
        out.extend(notice.map(|notice| ("@odata.type".to_owned(), json!(notice.type_name))));
        out.insert("@odata.etag".to_owned(), Value::String(self.etag()));
        selection.write(self, &mut out);
        if let Some(notice) = notice {
            let data = notice.data.iter().map(|(name, value)| (name.clone(), value.clone()));
            let dated = ("isOutOfDate".to_owned(), json!(self.is_out_of_date(notice)));
            out.extend(data.chain([dated]).filter(|(name, _)| selection.wants_derived(name)));
        }
        if let Some(attachments) = &expand.attachments {
            let holder = self.holder();
            let rows = holder.list.iter().map(|a| Value::Object(holder.write(a, attachments, None)));
            out.insert("attachments".to_owned(), Value::Array(rows.collect()));
        }
        let place = format!("{}('{}')", expand.context, encode(&self.id()));
        expand.marks.write(self.mailbox, Marked::Message(self.message.number), &place, &mut out);
        out
    }

    /// The event that the message is about, when this mailbox has it.
    pub(crate) fn event(&self) -> Option<&'a Event> {
        let uid = self.message.notice.as_deref()?.uid.as_str();
        self.mailbox.events.iter().flatten().find(|event| event.uid() == uid)
    }

    /// Whether the meeting has got another time since.
    fn is_out_of_date(&self, notice: &Notice) -> bool {
        self.event().is_some_and(|event| instant(&event.start) != notice.start)
    }

    /// The message as the holder of its attachments.
    pub(crate) fn holder(&self) -> Holder<'a> {
        Holder {
            key: &self.mailbox.key,
            id: self.id(),
            other: self.mailbox.message_id(self.message, !self.immutable),
            since: self.message.created,
            list: &self.message.attachments,
        }
    }
}

/// A mail folder as Graph shows it.
pub(crate) struct FolderRow<'a> {
    pub(crate) mailbox: &'a Mailbox,
    pub(crate) folder: &'a MailFolder,
}

impl FolderRow<'_> {
    /// The whole object; a search folder says that it is one.
    pub(crate) fn write(&self, selection: &Selection) -> Map<String, Value> {
        let mut out = Map::new();
        if self.folder.search.is_some() {
            out.insert("@odata.type".to_owned(), json!(search_folders::TYPE));
        }
        selection.write(self, &mut out);
        let own = search_folders::PROPERTIES.iter().filter(|_| !selection.is_explicit());
        out.extend(own.filter_map(|name| Some(((*name).to_owned(), self.property(name)?))));
        out
    }
}

impl Row for FolderRow<'_> {
    fn property(&self, name: &str) -> Option<Value> {
        let folder = self.folder;
        Some(match name {
            "id" => json!(self.mailbox.folder_id(folder.number)),
            "displayName" => json!(folder.name),
            "parentFolderId" => json!(self.mailbox.folder_id(folder.parent)),
            "childFolderCount" => json!(folder.children.len()),
            "unreadItemCount" if folder.search.is_some() => json!(search_folders::unread(self.mailbox, folder)),
            "unreadItemCount" => json!(folder.unread),
            "totalItemCount" if folder.search.is_some() => json!(search_folders::shown(self.mailbox, folder).len()),
            "totalItemCount" => json!(folder.messages.len()),
            "isHidden" => json!(folder.hidden),
            _ => return search_folders::property(self.mailbox, folder, name),
        })
    }
}

/// The message with this id, in either form; an ordinary id is good only where the message lay when it was given.
pub(crate) fn find_message<'a>(mailbox: &'a Mailbox, id: &str) -> Answer<&'a Message> {
    let Some(named) = mailbox.key.decode(id).filter(|named| named.kind == IdKind::Message) else {
        return Err(if looks_like_exchange_id(id) { Fault::item_gone() } else { Fault::malformed_id() });
    };
    let message = mailbox.message(named.number).ok_or_else(Fault::item_gone)?;
    if named.immutable || (named.generation == message.generation && named.place == message.folder) {
        Ok(message)
    } else {
        Err(Fault::item_gone())
    }
}

/// The number of the folder with this id or well-known name.
pub(crate) fn find_folder(mailbox: &Mailbox, id: &str) -> Answer<u32> {
    if let Some(number) = mailbox.well_known(id) {
        return Ok(number);
    }
    let Some(named) = mailbox.key.decode(id).filter(|named| named.kind == IdKind::MailFolder) else {
        return Err(if looks_like_exchange_id(id) { Fault::folder_gone() } else { Fault::malformed_id() });
    };
    mailbox.folder(named.number).map(|folder| folder.number).ok_or_else(Fault::folder_gone)
}
