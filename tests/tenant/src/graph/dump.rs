//! The whole state as JSON: the oracle to which caches and replays of delta are compared.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::calendar::{CalendarRow, EventRow, occurrence};
use super::call::find_user;
use super::categories::CategoryRow;
use super::contact_folders;
use super::contacts::ContactRow;
use super::drive::{ItemRow, permissions_of};
use super::mail::{FolderRow, MessageRow};
use super::odata::{
    CALENDAR, CATEGORY, CONTACT, CONTACT_FOLDER, DRIVE_ITEM, EVENT, MAIL_FOLDER, MAILBOX_SETTINGS, MESSAGE, MESSAGE_RULE, Row, Schema,
};
use super::rules::RuleRow;
use super::settings::SettingsRow;
use super::store::{AttachmentKind, State};

/// Properties that are not dumped: bodies for their size, addresses that hold the time of asking.
const LEFT_OUT: &[&str] = &["body", "uniqueBody", "@microsoft.graph.downloadUrl"];

fn whole(row: &dyn Row, schema: &Schema, immutable: Option<String>) -> Value {
    let mut out = Map::new();
    for (name, _) in schema.properties.iter().filter(|(name, _)| !LEFT_OUT.contains(name)) {
        if let Some(value) = row.property(name) {
            out.insert((*name).to_owned(), value);
        }
    }
    if let Some(immutable) = immutable {
        out.insert("immutableId".to_owned(), json!(immutable));
    }
    Value::Object(out)
}

/// Everything, of one user or all, of one kind or all. A user or kind that does not exist gives nothing.
pub(crate) fn dump(state: &State, user: Option<&str>, kind: Option<&str>, now: Timestamp) -> Value {
    let wanted = user.map(|id| find_user(state, id));
    let users = (0..state.users.len()).filter(|index| wanted.is_none_or(|w| w == Some(*index)));
    let list: Vec<Value> = users
        .map(|index| {
            let user = &state.users[index];
            let mut out = Map::new();
            out.insert("username".to_owned(), json!(user.username));
            out.insert("id".to_owned(), json!(user.id));
            for (name, rows) in KINDS {
                if kind.is_none_or(|k| k == *name) {
                    out.insert((*name).to_owned(), Value::Array(rows(state, index, now)));
                }
            }
            Value::Object(out)
        })
        .collect();
    json!({"users": list})
}

type Rows = fn(&State, usize, Timestamp) -> Vec<Value>;

const KINDS: &[(&str, Rows)] = &[
    ("messages", messages),
    ("mailFolders", mail_folders),
    ("driveItems", drive_items),
    ("contacts", contacts),
    ("calendars", calendars),
    ("events", events),
    ("uploadSessions", upload_sessions),
    ("messageRules", message_rules),
    ("masterCategories", categories),
    ("contactFolders", contact_folders),
    ("mailboxSettings", mailbox_settings),
];

fn messages(state: &State, index: usize, _: Timestamp) -> Vec<Value> {
    let mailbox = &state.mailboxes[index];
    let placed = mailbox.everything.iter().filter_map(|(_, number)| mailbox.message(*number));
    let row = |message| MessageRow { mailbox, message, immutable: false, text: false };
    placed
        .map(|message| {
            let row = row(message);
            let mut out = whole(&row, &MESSAGE, Some(mailbox.message_id(message, true)));
            let holder = row.holder();
            let files = holder.list.iter().map(|a| {
                json!({"id": holder.key.attachment(&holder.id, a.index), "name": a.name, "contentType": a.content_type,
                    "length": a.content.len(), "isInline": a.inline, "isItem": matches!(a.kind, AttachmentKind::Item(_))})
            });
            out["attachments"] = Value::Array(files.collect());
            out
        })
        .collect()
}

fn mail_folders(state: &State, index: usize, _: Timestamp) -> Vec<Value> {
    let mailbox = &state.mailboxes[index];
    mailbox.folders.iter().flatten().map(|folder| whole(&FolderRow { mailbox, folder }, &MAIL_FOLDER, None)).collect()
}

fn drive_items(state: &State, index: usize, now: Timestamp) -> Vec<Value> {
    let drive = &state.drives[index];
    let row = |item| ItemRow { users: &state.users, drive, item, downloads: "", now, paths: true, found: false };
    let reachable = drive.items.iter().flatten().filter(|item| item.placed && item.sequence > 0);
    reachable
        .map(|item| {
            let mut out = whole(&row(item), &DRIVE_ITEM, None);
            if !item.shares.is_empty() {
                out["permissions"] = permissions_of(state, drive, item);
            }
            out
        })
        .collect()
}

fn message_rules(state: &State, index: usize, _: Timestamp) -> Vec<Value> {
    state.mailboxes[index].settings.running_order().into_iter().map(|rule| whole(&RuleRow(rule), &MESSAGE_RULE, None)).collect()
}

fn categories(state: &State, index: usize, _: Timestamp) -> Vec<Value> {
    state.mailboxes[index].settings.categories.iter().map(|category| whole(&CategoryRow(category), &CATEGORY, None)).collect()
}

fn contact_folders(state: &State, index: usize, _: Timestamp) -> Vec<Value> {
    let mailbox = &state.mailboxes[index];
    let row = |folder| contact_folders::FolderRow { mailbox, folder };
    mailbox.contact_folders.iter().flatten().map(|folder| whole(&row(folder), &CONTACT_FOLDER, None)).collect()
}

fn mailbox_settings(state: &State, index: usize, _: Timestamp) -> Vec<Value> {
    vec![whole(&SettingsRow(&state.mailboxes[index]), &MAILBOX_SETTINGS, None)]
}

fn contacts(state: &State, index: usize, _: Timestamp) -> Vec<Value> {
    let mailbox = &state.mailboxes[index];
    let row = |contact| ContactRow { mailbox, contact, immutable: false };
    mailbox.contacts.iter().flatten().map(|c| whole(&row(c), &CONTACT, Some(mailbox.contact_id(c, true)))).collect()
}

fn calendars(state: &State, index: usize, _: Timestamp) -> Vec<Value> {
    let (mailbox, owner) = (&state.mailboxes[index], &state.users[index]);
    mailbox.calendars.iter().flatten().map(|calendar| whole(&CalendarRow { mailbox, calendar, owner }, &CALENDAR, None)).collect()
}

/// Singles and masters, with the calendar they are in, the days on which a series differs, those on which it does not
/// happen, and the names of what is attached.
fn events(state: &State, index: usize, _: Timestamp) -> Vec<Value> {
    let mailbox = &state.mailboxes[index];
    let row = |event, occurrence| EventRow { mailbox, event, occurrence, immutable: false, text: false, zone: None };
    let mut out = Vec::new();
    for event in mailbox.events.iter().flatten() {
        let mut one = whole(&row(event, None), &EVENT, Some(mailbox.event_id(event, None, true)));
        one["calendar"] = json!(mailbox.calendar_id(event.calendar));
        let days = event
            .exceptions
            .keys()
            .map(|day| whole(&row(event, Some(occurrence(event, *day))), &EVENT, Some(mailbox.event_id(event, Some(*day), true))));
        one["exceptionOccurrences"] = Value::Array(days.collect());
        one["cancelledDays"] = event.cancelled.iter().map(ToString::to_string).collect();
        one["attachments"] = event.attachments.iter().map(|file| file.name.as_str()).collect();
        out.push(one);
    }
    out
}

fn upload_sessions(state: &State, index: usize, _: Timestamp) -> Vec<Value> {
    state.uploads.of(index).map(|session| session.row(&state.users)).collect()
}
