//! Items inside attachments: a message, an event or a contact that was put into another message.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::contacts::writable;
use super::drafting::{Changes, new_message};
use super::errors::Fault;
use super::mail::{item_body, recipients};
use super::mime::mime;
use super::odata::{Answer, CONTACT, EVENT};
use crate::seed::people::Address;

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
            out.insert("subject".to_owned(), json!(message.subject));
            out.insert("importance".to_owned(), json!(message.importance));
            out.insert("body".to_owned(), item_body(message.body.is_html(), message.body.stored()));
            out.insert("toRecipients".to_owned(), recipients(&message.to));
            out.insert("ccRecipients".to_owned(), recipients(&message.cc));
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
