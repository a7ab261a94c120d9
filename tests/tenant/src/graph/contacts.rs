//! Contacts: lists, changes, delta per folder.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::call::Call;
use super::delta::{Line, Token, page, reply};
use super::errors::Fault;
use super::marks;
use super::odata::{Answer, CONTACT, Expand, Limits, Row, Schema, Selection, Ty, encode, list as page_of};
use super::store::{Contact, Mailbox, Marked, State};
use crate::seed::ids::{IdKind, looks_like_exchange_id};
use crate::wire::Reply;

const LIMITS: Limits = Limits { usual: 10, most: 1_000, strict_order: false, falling: None };
/// The mailbox's own folder.
pub(crate) const OWN: u32 = 0;

/// A contact in the form that the caller wants.
pub(crate) struct ContactRow<'a> {
    pub(crate) mailbox: &'a Mailbox,
    pub(crate) contact: &'a Contact,
    pub(crate) immutable: bool,
}

impl Row for ContactRow<'_> {
    fn property(&self, name: &str) -> Option<Value> {
        let contact = self.contact;
        Some(match name {
            "id" => json!(self.mailbox.contact_id(contact, self.immutable)),
            "createdDateTime" => json!(contact.created.to_string()),
            "lastModifiedDateTime" => json!(contact.modified.to_string()),
            "changeKey" => json!(self.mailbox.key.change_key(contact.sequence)),
            "parentFolderId" => json!(self.mailbox.contact_folder_id(contact.folder)),
            _ => return contact.data.get(name).cloned(),
        })
    }
}

impl ContactRow<'_> {
    fn write(&self, selection: &Selection, expand: &Expand) -> Map<String, Value> {
        let mut out = Map::new();
        let tag = self.mailbox.key.change_key(self.contact.sequence);
        out.insert("@odata.etag".to_owned(), json!(format!("W/\"{tag}\"")));
        selection.write(self, &mut out);
        let place = format!("{}('{}')", expand.context, encode(&self.mailbox.contact_id(self.contact, self.immutable)));
        expand.marks.write(self.mailbox, Marked::Contact(self.contact.number), &place, &mut out);
        out
    }
}

/// The folder with this id, or the mailbox's own.
pub(crate) fn find_folder(mailbox: &Mailbox, id: Option<&str>) -> Answer<u32> {
    let Some(id) = id.filter(|id| !id.eq_ignore_ascii_case("contacts")) else {
        return Ok(OWN);
    };
    let Some(named) = mailbox.key.decode(id).filter(|named| named.kind == IdKind::ContactFolder) else {
        return Err(if looks_like_exchange_id(id) { Fault::folder_gone() } else { Fault::malformed_id() });
    };
    mailbox.contact_folder(named.number).map(|folder| folder.number).ok_or_else(Fault::folder_gone)
}

/// The contact with this id, in either form.
pub(crate) fn find<'a>(mailbox: &'a Mailbox, id: &str) -> Answer<&'a Contact> {
    let Some(named) = mailbox.key.decode(id).filter(|named| named.kind == IdKind::Contact) else {
        return Err(if looks_like_exchange_id(id) { Fault::item_gone() } else { Fault::malformed_id() });
    };
    mailbox.contact(named.number).ok_or_else(Fault::item_gone)
}

fn shown(state: &State, call: &Call<'_>, number: u32, status: StatusCode) -> Answer<Reply> {
    let mailbox = call.mailbox(state);
    let contact = mailbox.contact(number).ok_or_else(Fault::item_gone)?;
    let selection = Selection::parse(&call.query, &CONTACT)?;
    let expand = Expand::parse(&call.query, &CONTACT, call.context("/contacts"))?;
    let body = ContactRow { mailbox, contact, immutable: call.view.immutable }.write(&selection, &expand);
    Ok(call.json(status, &call.context(&format!("/contacts{}/$entity", selection.context())), body))
}

/// `GET …/contacts`, `GET …/contactFolders/{id}/contacts`
pub(crate) fn list(state: &State, call: &Call<'_>, folder: Option<&str>) -> Answer<Reply> {
    if call.query.get("search").is_some() {
        return Err(Fault::bad_request("The query parameter '$search' is not supported for contacts."));
    }
    let mailbox = call.mailbox(state);
    let number = find_folder(mailbox, folder)?;
    let numbers: Vec<u32> = mailbox.contact_folder(number).map_or_else(Vec::new, |f| f.contacts.iter().map(|(_, n)| *n).collect());
    let selection = Selection::parse(&call.query, &CONTACT)?;
    let row = |n: u32| mailbox.contact(n).map(|contact| ContactRow { mailbox, contact, immutable: call.view.immutable });
    let expand = Expand::parse(&call.query, &CONTACT, call.context("/contacts"))?;
    let write = |row: &ContactRow<'_>| Value::Object(row.write(&selection, &expand));
    let body = page_of(&numbers, &call.query, &CONTACT, LIMITS, &call.address(), row, write)?;
    let place = folder.map(|id| format!("/contactFolders('{}')", encode(id))).unwrap_or_default();
    Ok(call.json(StatusCode::OK, &call.context(&format!("{place}/contacts{}", selection.context())), body))
}

/// `GET …/contacts/{id}`
pub(crate) fn get(state: &State, call: &Call<'_>, id: &str) -> Answer<Reply> {
    shown(state, call, find(call.mailbox(state), id)?.number, StatusCode::OK)
}

/// The writable properties of a body, checked by kind.
pub(crate) fn writable(body: Map<String, Value>, schema: &Schema, fixed: &[&str]) -> Answer<Map<String, Value>> {
    let mut out = Map::new();
    for (name, value) in body {
        if name.starts_with('@') {
            continue;
        }
        let Some(kind) = schema.kind(&name) else {
            let message = format!(
                "The property '{name}' does not exist on type '{}'. Make sure to only use property names that are defined by the type.",
                schema.name
            );
            return Err(Fault::new(StatusCode::BAD_REQUEST, "RequestBodyRead", message));
        };
        if fixed.contains(&name.as_str()) {
            let message = format!("Set action is invalid for property. Property '{name}'.");
            return Err(Fault::new(StatusCode::BAD_REQUEST, "ErrorInvalidPropertySet", message));
        }
        let fits = match kind {
            Ty::Text | Ty::Date => value.is_string() || value.is_null(),
            Ty::Bool => value.is_boolean(),
            Ty::Number => value.is_number(),
            Ty::Complex => value.is_object() || value.is_null(),
            Ty::Many => value.is_array(),
        };
        if !fits {
            return Err(Fault::bad_request(format!(
                "Cannot convert the value of property '{name}' to the type that the resource expects."
            )));
        }
        out.insert(name, value);
    }
    Ok(out)
}

const FIXED: &[&str] = &["id", "createdDateTime", "lastModifiedDateTime", "changeKey", "parentFolderId"];

/// The properties of a new contact: those given, the name made of its parts, nothing for the rest.
pub(crate) fn complete(given: Map<String, Value>) -> Map<String, Value> {
    let mut data = Contact::blank();
    data.extend(given);
    let text = |name: &str| data.get(name).and_then(Value::as_str).unwrap_or("").to_owned();
    let whole = format!("{} {}", text("givenName"), text("surname")).trim().to_owned();
    if data.get("displayName").is_none_or(Value::is_null) {
        data.insert("displayName".to_owned(), json!(whole));
    }
    if data.get("fileAs").is_none_or(Value::is_null) {
        let file_as = format!(
            "{}, {}",
            data.get("surname").and_then(Value::as_str).unwrap_or(""),
            data.get("givenName").and_then(Value::as_str).unwrap_or("")
        );
        data.insert("fileAs".to_owned(), json!(file_as.trim_matches([',', ' '])));
    }
    data
}

/// `POST …/contacts`, `POST …/contactFolders/{id}/contacts`
pub(crate) fn create(state: &mut State, call: &Call<'_>, folder: Option<&str>) -> Answer<Reply> {
    let mailbox = &mut state.mailboxes[call.owner];
    let folder = find_folder(mailbox, folder)?;
    let mut body = call.body()?;
    let marks = marks::take(&mut body)?;
    // The address says where it goes.
    body.shift_remove("parentFolderId");
    let data = complete(writable(body, &CONTACT, FIXED)?);
    let number = mailbox.add_contact(folder, data, call.now);
    marks::put(mailbox, Marked::Contact(number), marks);
    shown(state, call, number, StatusCode::CREATED)
}

/// The number of the contact with this id; refused when `If-Match` names another version.
fn target(mailbox: &Mailbox, call: &Call<'_>, id: &str) -> Answer<u32> {
    let contact = find(mailbox, id)?;
    let tag = format!("W/\"{}\"", mailbox.key.change_key(contact.sequence));
    if call.if_match().is_some_and(|wanted| wanted != tag) { Err(Fault::conflict()) } else { Ok(contact.number) }
}

/// `PATCH …/contacts/{id}`
pub(crate) fn update(state: &mut State, call: &Call<'_>, id: &str) -> Answer<Reply> {
    let mailbox = &mut state.mailboxes[call.owner];
    let number = target(mailbox, call, id)?;
    let mut body = call.body()?;
    let marks = marks::take(&mut body)?;
    let changes = writable(body, &CONTACT, FIXED)?;
    mailbox.change_contact(number, call.now, changes);
    marks::put(mailbox, Marked::Contact(number), marks);
    shown(state, call, number, StatusCode::OK)
}

/// `DELETE …/contacts/{id}`
pub(crate) fn delete(state: &mut State, call: &Call<'_>, id: &str) -> Answer<Reply> {
    let mailbox = &mut state.mailboxes[call.owner];
    let number = target(mailbox, call, id)?;
    mailbox.remove_contact(number);
    Ok(super::empty(StatusCode::NO_CONTENT))
}

/// `GET …/contacts/delta`, `GET …/contactFolders/{id}/contacts/delta`
pub(crate) fn delta(state: &State, call: &Call<'_>, folder: Option<&str>) -> Answer<Reply> {
    let mailbox = call.mailbox(state);
    let number = find_folder(mailbox, folder)?;
    let folder = mailbox.contact_folder(number).ok_or_else(Fault::folder_gone)?;
    let resumed = call.query.get("skiptoken").or_else(|| call.query.get("deltatoken"));
    let token = match resumed {
        Some(text) => Token::resume(text, "contacts", mailbox, number)?,
        None => Token::begin(call, "contacts", mailbox, number, folder.feed.last())?,
    };
    let selection = Selection::from_text(token.select.as_deref(), &CONTACT)?;
    let size = call.view.page.or(token.top).unwrap_or(50).clamp(1, 1_000);
    let page = page(&folder.feed, &token, size, |n| mailbox.contact(n).is_some(), |_| false);
    let value = page.lines.iter().filter_map(|line| match line {
        Line::Changed(n) => mailbox.contact(*n).map(|contact| {
            Value::Object(ContactRow { mailbox, contact, immutable: call.view.immutable }.write(&selection, &Expand::default()))
        }),
        Line::Removed(gone) => {
            let id = if call.view.immutable { &gone.immutable } else { &gone.id };
            Some(json!({"id": id, "@removed": {"reason": "deleted"}}))
        }
    });
    Ok(reply(call, "contact", value.collect(), &page, resumed.is_none()))
}
