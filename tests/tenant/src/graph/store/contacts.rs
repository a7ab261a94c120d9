//! Contact folders and contacts.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{Feed, Gone, Mailbox};
use crate::seed::ids::{IdKind, Named};

/// A folder of contacts; number 0 is the mailbox's own "Contacts".
#[derive(Debug)]
pub(crate) struct ContactFolder {
    pub(crate) number: u32,
    pub(crate) name: String,
    pub(crate) parent: Option<u32>,
    /// Contacts by folded display name, then number.
    pub(crate) contacts: BTreeSet<(String, u32)>,
    pub(crate) feed: Feed,
    /// Its place in the feed of folders.
    sequence: u64,
}

/// A contact: its properties as Graph shows them, all but ids and times.
#[derive(Debug)]
pub(crate) struct Contact {
    pub(crate) number: u32,
    pub(crate) folder: u32,
    pub(crate) data: Map<String, Value>,
    pub(crate) created: Timestamp,
    pub(crate) modified: Timestamp,
    pub(crate) sequence: u64,
}

impl Contact {
    /// The properties of a contact about whom nothing is known.
    pub(crate) fn blank() -> Map<String, Value> {
        let mut out = Map::new();
        for name in [
            "birthday",
            "fileAs",
            "displayName",
            "givenName",
            "initials",
            "middleName",
            "nickName",
            "surname",
            "title",
            "yomiGivenName",
            "yomiSurname",
            "yomiCompanyName",
            "generation",
            "jobTitle",
            "companyName",
            "department",
            "officeLocation",
            "profession",
            "businessHomePage",
            "assistantName",
            "manager",
            "mobilePhone",
            "spouseName",
            "personalNotes",
        ] {
            out.insert(name.to_owned(), Value::Null);
        }
        for name in ["categories", "imAddresses", "homePhones", "businessPhones", "children", "emailAddresses"] {
            out.insert(name.to_owned(), Value::Array(Vec::new()));
        }
        for name in ["homeAddress", "businessAddress", "otherAddress"] {
            out.insert(name.to_owned(), Value::Object(Map::new()));
        }
        out
    }

    fn key(&self) -> (String, u32) {
        (self.data.get("displayName").and_then(Value::as_str).unwrap_or("").to_lowercase(), self.number)
    }
}

impl Mailbox {
    /// A contact's id in either form.
    pub(crate) fn contact_id(&self, contact: &Contact, immutable: bool) -> String {
        let place = if immutable { 0 } else { contact.folder };
        self.key.encode(Named { kind: IdKind::Contact, immutable, number: contact.number, generation: 0, place })
    }

    /// A contact folder's id.
    pub(crate) fn contact_folder_id(&self, number: u32) -> String {
        self.key.encode(Named { kind: IdKind::ContactFolder, immutable: false, number, generation: 0, place: 0 })
    }

    /// The contact folder with this number.
    pub(crate) fn contact_folder(&self, number: u32) -> Option<&ContactFolder> {
        self.contact_folders.get(number as usize)?.as_ref()
    }

    /// The contact with this number.
    pub(crate) fn contact(&self, number: u32) -> Option<&Contact> {
        self.contacts.get(number as usize)?.as_ref()
    }

    /// Adds a contact folder.
    pub(crate) fn add_contact_folder(&mut self, name: String, parent: Option<u32>) -> u32 {
        let number = u32::try_from(self.contact_folders.len()).unwrap_or(u32::MAX);
        let (contacts, feed) = (BTreeSet::new(), Feed::default());
        // This feed counts by itself: nothing but it needs to know when a folder of contacts changed.
        let sequence = self.contact_folder_feed.last() + 1;
        if parent.is_some() {
            self.contact_folder_feed.touch(0, sequence, number);
        }
        self.contact_folders.push(Some(ContactFolder { number, name, parent, contacts, feed, sequence }));
        number
    }

    /// Gives a contact folder another name.
    pub(crate) fn rename_contact_folder(&mut self, number: u32, name: String) {
        let sequence = self.contact_folder_feed.last() + 1;
        if let Some(folder) = self.contact_folders.get_mut(number as usize).and_then(Option::as_mut) {
            folder.name = name;
            let old = std::mem::replace(&mut folder.sequence, sequence);
            self.contact_folder_feed.touch(old, sequence, number);
        }
    }

    /// Deletes a contact folder with all that is in it.
    pub(crate) fn remove_contact_folder(&mut self, number: u32) {
        let Some(folder) = self.contact_folder(number) else {
            return;
        };
        let (old, contacts): (u64, Vec<u32>) = (folder.sequence, folder.contacts.iter().map(|(_, contact)| *contact).collect());
        let children: Vec<u32> = self.contact_folders.iter().flatten().filter(|f| f.parent == Some(number)).map(|f| f.number).collect();
        for child in children {
            self.remove_contact_folder(child);
        }
        for contact in contacts {
            self.remove_contact(contact);
        }
        let id = self.contact_folder_id(number);
        let sequence = self.contact_folder_feed.last() + 1;
        self.contact_folder_feed.leave(old, sequence, Gone { number, immutable: id.clone(), id });
        if let Some(slot) = self.contact_folders.get_mut(number as usize) {
            *slot = None;
        }
    }

    /// Adds a contact.
    pub(crate) fn add_contact(&mut self, folder: u32, data: Map<String, Value>, now: Timestamp) -> u32 {
        let number = u32::try_from(self.contacts.len()).unwrap_or(u32::MAX);
        let sequence = self.tick();
        let contact = Contact { number, folder, data, created: now, modified: now, sequence };
        if let Some(folder) = self.contact_folders.get_mut(folder as usize).and_then(Option::as_mut) {
            folder.contacts.insert(contact.key());
            folder.feed.touch(0, sequence, number);
        }
        self.contacts.push(Some(contact));
        number
    }

    /// Replaces the given properties of a contact.
    pub(crate) fn change_contact(&mut self, number: u32, now: Timestamp, changes: Map<String, Value>) {
        let sequence = self.tick();
        let Some(contact) = self.contacts.get_mut(number as usize).and_then(Option::as_mut) else {
            return;
        };
        let (old_key, old) = (contact.key(), contact.sequence);
        for (name, value) in changes {
            contact.data.insert(name, value);
        }
        contact.modified = now;
        contact.sequence = sequence;
        if let Some(folder) = self.contact_folders.get_mut(contact.folder as usize).and_then(Option::as_mut) {
            folder.contacts.remove(&old_key);
            folder.contacts.insert(contact.key());
            folder.feed.touch(old, sequence, number);
        }
    }

    /// Deletes a contact.
    pub(crate) fn remove_contact(&mut self, number: u32) {
        let Some(contact) = self.contacts.get_mut(number as usize).and_then(Option::take) else {
            return;
        };
        let gone = Gone { number, id: self.contact_id(&contact, false), immutable: self.contact_id(&contact, true) };
        let sequence = self.tick();
        if let Some(folder) = self.contact_folders.get_mut(contact.folder as usize).and_then(Option::as_mut) {
            folder.contacts.remove(&contact.key());
            folder.feed.leave(contact.sequence, sequence, gone);
        }
    }
}
