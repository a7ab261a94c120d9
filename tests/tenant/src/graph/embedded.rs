//! Items inside attachments: a message, an event or a contact that was put into another message.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::contacts::writable;
use super::drafting::{Changes, new_message};
use super::errors::Fault;
use super::mail::{item_body, recipient, recipients};
use super::mime::mime;
use super::odata::{Answer, CONTACT, EVENT};
use super::store::{Attachment, AttachmentKind, Message};
use crate::seed::people::Address;
use crate::seed::prng::mix;

/// A message as far as it is shown inside another one: in no folder, and without an id.
fn put_message(message: &Message, out: &mut Map<String, Value>) {
    let thread = mix(message.conversation).to_be_bytes();
    let headers: Vec<Value> = message.headers.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
    for (name, value) in [
        ("receivedDateTime", json!(message.received.to_string())),
        ("sentDateTime", json!(message.sent.to_string())),
        ("hasAttachments", json!(message.attachments.iter().any(|a| !a.inline))),
        ("internetMessageId", json!(message.internet_id)),
        ("subject", json!(message.subject)),
        ("bodyPreview", json!(message.body.preview())),
        ("importance", json!(message.importance)),
        ("conversationId", json!(format!("AAQk{}", URL_SAFE.encode([thread, thread].concat())))),
        ("conversationIndex", json!(STANDARD.encode([&[1, 0xd9][..], &thread, &thread].concat()))),
        ("isDeliveryReceiptRequested", json!(message.delivery_receipt)),
        ("isReadReceiptRequested", json!(message.read_receipt)),
        ("isRead", json!(message.read)),
        ("isDraft", json!(message.draft)),
        ("webLink", json!("https://outlook.office365.com/owa/?viewmodel=ReadMessageItem")),
        ("internetMessageHeaders", json!(headers)),
        ("body", item_body(message.body.is_html(), message.body.stored())),
        ("sender", message.from.as_ref().map_or(Value::Null, recipient)),
        ("from", message.from.as_ref().map_or(Value::Null, recipient)),
        ("toRecipients", recipients(&message.to)),
        ("ccRecipients", recipients(&message.cc)),
        ("flag", message.flag.clone().unwrap_or_else(|| json!({"flagStatus": "notFlagged"}))),
    ] {
        out.insert(name.to_owned(), value);
    }
    if !message.attachments.is_empty() {
        out.insert("attachments".to_owned(), message.attachments.iter().map(|file| inner(file, message)).collect());
    }
}

/// An attachment of a message that is an attachment itself.
fn inner(attachment: &Attachment, message: &Message) -> Value {
    let mut out = json!({"@odata.type": attachment.kind.type_name(), "id": "", "lastModifiedDateTime": message.modified.to_string(),
        "name": attachment.name, "contentType": attachment.content_type, "size": attachment.content.len(), "isInline": attachment.inline});
    if matches!(attachment.kind, AttachmentKind::File) {
        out["@odata.mediaContentType"] = json!(attachment.content_type);
        out["contentId"] = json!(attachment.content_id);
        out["contentLocation"] = Value::Null;
        out["contentBytes"] = json!(STANDARD.encode(attachment.content.bytes()));
    }
    out
}

/// Reads the `item` of an `itemAttachment`: the item as Graph shows it, and what `$value` gives of it.
pub(crate) fn read(item: &Value, now: Timestamp) -> Answer<(Map<String, Value>, String)> {
    let given = item.as_object().ok_or_else(|| Fault::bad_request("An itemAttachment needs an item."))?;
    let kind = given.get("@odata.type").and_then(Value::as_str).unwrap_or_default().trim_start_matches('#').to_owned();
    let mut out = Map::new();
    out.insert("@odata.type".to_owned(), json!(format!("#{kind}")));
    out.insert("id".to_owned(), json!(""));
    for name in ["createdDateTime", "lastModifiedDateTime"] {
        out.insert(name.to_owned(), json!(now.to_string()));
    }
    let text = match kind.as_str() {
        "microsoft.graph.message" => {
            let mut message = new_message(0, Address::new("", ""), now, now.as_second().unsigned_abs());
            message.from = None;
            Changes::parse(given, true, now)?.put(&mut message);
            put_message(&message, &mut out);
            mime(&message)
        }
        "microsoft.graph.event" => {
            let given = writable(given.clone(), &EVENT, &["id"])?;
            let stamp = |name: &str| given.get(name).and_then(|m| m.get("dateTime")).and_then(Value::as_str).unwrap_or_default().to_owned();
            let subject = given.get("subject").and_then(Value::as_str).unwrap_or_default();
            let (start, end) = (stamp("start"), stamp("end"));
            let text = format!(
                "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nSUMMARY:{subject}\r\nDTSTART:{start}\r\nDTEND:{end}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
            );
            for name in ["subject", "start", "end"] {
                out.extend(given.get(name).map(|value| (name.to_owned(), value.clone())));
            }
            text
        }
        "microsoft.graph.contact" => {
            let given = writable(given.clone(), &CONTACT, &["id"])?;
            let name = given.get("displayName").and_then(Value::as_str).unwrap_or_default();
            let text = format!("BEGIN:VCARD\r\nVERSION:3.0\r\nFN:{name}\r\nEND:VCARD\r\n");
            out.extend(given);
            text
        }
        other => return Err(Fault::bad_request(format!("An item of the type '{other}' cannot be attached."))),
    };
    Ok((out, text))
}
