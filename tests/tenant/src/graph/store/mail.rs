//! Mail folders and messages: where each lies, in order, with its counts and its feed.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{Content, Feed, Gone, Mailbox, Notice, fold};
use crate::seed::ids::{IdKind, Named};
use crate::seed::people::Address;
use crate::seed::prose;

/// The folder above all others, "Top of Information Store".
pub(crate) const MAIL_ROOT: u32 = 0;

/// The names by which clients reach the usual folders, with what people see.
pub(crate) const WELL_KNOWN: &[(&str, &str)] = &[
    ("msgfolderroot", "Top of Information Store"),
    ("inbox", "Inbox"),
    ("sentitems", "Sent Items"),
    ("drafts", "Drafts"),
    ("deleteditems", "Deleted Items"),
    ("junkemail", "Junk Email"),
    ("archive", "Archive"),
    ("outbox", "Outbox"),
    ("conversationhistory", "Conversation History"),
];

/// A folder of messages.
#[derive(Debug)]
pub(crate) struct MailFolder {
    pub(crate) number: u32,
    pub(crate) name: String,
    pub(crate) parent: u32,
    pub(crate) hidden: bool,
    pub(crate) well_known: Option<&'static str>,
    /// Children by folded name.
    pub(crate) children: BTreeMap<Arc<str>, u32>,
    /// Messages, newest first: (minus the second of receipt, number).
    pub(crate) messages: Vec<(i64, u32)>,
    pub(crate) unread: u32,
    pub(crate) feed: Feed,
    /// What it looks for when it holds nothing itself.
    pub(crate) search: Option<Search>,
    sequence: u64,
}

/// What a search folder shows.
#[derive(Debug, Clone)]
pub(crate) struct Search {
    /// Whether the folders below the sources are searched, too.
    pub(crate) nested: bool,
    /// The folders that are searched.
    pub(crate) sources: Vec<u32>,
    /// A `$filter`, checked when it came.
    pub(crate) filter: String,
}

/// The text of a message.
#[derive(Debug, Clone)]
pub(crate) enum Body {
    /// About `target` bytes of prose, written anew each time.
    Seeded { seed: u64, target: u32, html: bool, canary: bool },
    /// As somebody wrote it.
    Given { html: bool, content: Arc<str> },
}

impl Body {
    /// Whether it is stored as HTML.
    pub(crate) fn is_html(&self) -> bool {
        match self {
            Self::Seeded { html, .. } | Self::Given { html, .. } => *html,
        }
    }

    /// As stored.
    pub(crate) fn stored(&self) -> String {
        match self {
            Self::Given { content, .. } => content.to_string(),
            Self::Seeded { seed, target, html, canary } => {
                let paragraphs = prose::paragraphs(*seed, *target as usize, *canary);
                if *html { prose::html(&paragraphs) } else { paragraphs.join("\r\n") }
            }
        }
    }

    /// As text.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Given { html: true, content } => prose::text_of(content).trim().to_owned(),
            Self::Given { content, .. } => content.to_string(),
            Self::Seeded { seed, target, canary, .. } => prose::paragraphs(*seed, *target as usize, *canary).join("\r\n"),
        }
    }

    /// The beginning of the text; short even when the body is long.
    pub(crate) fn preview(&self) -> String {
        match self {
            Self::Seeded { seed, target, canary, .. } if *target > 600 => {
                // The same generator, stopped early: the first paragraphs do not depend on the target.
                prose::preview(&prose::paragraphs(*seed, 600, *canary).join("\r\n"))
            }
            _ => prose::preview(&self.text()),
        }
    }
}

/// A file or an item on a message or an event.
#[derive(Debug, Clone)]
pub(crate) struct Attachment {
    /// Its place in the message's ids; never used twice in one message.
    pub(crate) index: u32,
    pub(crate) name: String,
    pub(crate) content_type: String,
    pub(crate) inline: bool,
    pub(crate) content_id: Option<String>,
    /// The file, what `$value` gives of the item, or the address of what is linked to.
    pub(crate) content: Content,
    pub(crate) kind: AttachmentKind,
}

/// What an attachment is.
#[derive(Debug, Clone)]
pub(crate) enum AttachmentKind {
    File,
    /// An item, as Graph shows it.
    Item(Box<Map<String, Value>>),
    /// A link to a file or folder in a drive.
    Link,
}

impl AttachmentKind {
    /// The name of the entity type.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::File => "#microsoft.graph.fileAttachment",
            Self::Item(_) => "#microsoft.graph.itemAttachment",
            Self::Link => "#microsoft.graph.referenceAttachment",
        }
    }
}

/// A message.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) number: u32,
    /// How often it moved: part of its ordinary id.
    pub(crate) generation: u16,
    pub(crate) folder: u32,
    /// False while a copy or a sent message is not visible in its folder yet.
    pub(crate) placed: bool,
    /// Its place in the feed of its folder; also the version in its change key.
    pub(crate) sequence: u64,
    pub(crate) subject: String,
    pub(crate) body: Body,
    pub(crate) from: Option<Address>,
    pub(crate) to: Vec<Address>,
    pub(crate) cc: Vec<Address>,
    pub(crate) bcc: Vec<Address>,
    pub(crate) reply_to: Vec<Address>,
    pub(crate) created: Timestamp,
    pub(crate) modified: Timestamp,
    pub(crate) received: Timestamp,
    pub(crate) sent: Timestamp,
    pub(crate) read: bool,
    pub(crate) draft: bool,
    pub(crate) importance: &'static str,
    pub(crate) categories: Vec<String>,
    /// The whole `followupFlag`; `None` is not flagged.
    pub(crate) flag: Option<Value>,
    pub(crate) focused: bool,
    pub(crate) conversation: u64,
    pub(crate) internet_id: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) delivery_receipt: bool,
    pub(crate) read_receipt: bool,
    pub(crate) attachments: Vec<Attachment>,
    /// When search knows of it.
    pub(crate) searchable: Timestamp,
    /// What it says of a meeting, when it does.
    pub(crate) notice: Option<Box<Notice>>,
}

impl Message {
    fn key(&self) -> (i64, u32) {
        (-self.received.as_second(), self.number)
    }
}

impl Mailbox {
    /// A message's id in either form.
    pub(crate) fn message_id(&self, message: &Message, immutable: bool) -> String {
        self.key.encode(Named {
            kind: IdKind::Message,
            immutable,
            number: message.number,
            generation: if immutable { 0 } else { message.generation },
            place: if immutable { 0 } else { message.folder },
        })
    }

    /// A folder's id.
    pub(crate) fn folder_id(&self, number: u32) -> String {
        self.key.encode(Named { kind: IdKind::MailFolder, immutable: false, number, generation: 0, place: 0 })
    }

    /// The folder with this number.
    pub(crate) fn folder(&self, number: u32) -> Option<&MailFolder> {
        self.folders.get(number as usize)?.as_ref()
    }

    fn folder_mut(&mut self, number: u32) -> Option<&mut MailFolder> {
        self.folders.get_mut(number as usize)?.as_mut()
    }

    /// The folder with this well-known name.
    pub(crate) fn well_known(&self, name: &str) -> Option<u32> {
        // They are seeded first, in the order of the table.
        let name = name.to_ascii_lowercase();
        WELL_KNOWN.iter().position(|(known, _)| *known == name).and_then(|at| u32::try_from(at).ok())
    }

    /// The message with this number.
    pub(crate) fn message(&self, number: u32) -> Option<&Message> {
        self.messages.get(number as usize)?.as_deref()
    }

    /// Adds a folder; the caller has looked for a namesake.
    pub(crate) fn add_folder(&mut self, name: String, parent: u32, hidden: bool, well_known: Option<&'static str>) -> u32 {
        let number = u32::try_from(self.folders.len()).unwrap_or(u32::MAX);
        let sequence = self.tick();
        if number != parent
            && let Some(above) = self.folder_mut(parent)
        {
            above.children.insert(fold(&name), number);
        }
        self.folders.push(Some(MailFolder {
            number,
            name,
            parent,
            hidden,
            well_known,
            children: BTreeMap::new(),
            messages: Vec::new(),
            unread: 0,
            feed: Feed::default(),
            search: None,
            sequence,
        }));
        if number != MAIL_ROOT {
            self.folder_feed.touch(0, sequence, number);
            self.touch_folder(parent);
        }
        number
    }

    /// A folder's name, place or counts changed.
    fn touch_folder(&mut self, number: u32) {
        if number == MAIL_ROOT {
            return;
        }
        let sequence = self.tick();
        if let Some(folder) = self.folder_mut(number) {
            let old = std::mem::replace(&mut folder.sequence, sequence);
            self.folder_feed.touch(old, sequence, number);
        }
    }

    /// Makes a folder one that shows what a search finds.
    pub(crate) fn set_search(&mut self, number: u32, search: Search) {
        if let Some(folder) = self.folder_mut(number) {
            folder.search = Some(search);
        }
        self.touch_folder(number);
    }

    /// Gives a folder another name.
    pub(crate) fn rename_folder(&mut self, number: u32, name: String) {
        let Some(folder) = self.folder_mut(number) else {
            return;
        };
        let old = fold(&std::mem::replace(&mut folder.name, name.clone()));
        let parent = folder.parent;
        if let Some(above) = self.folder_mut(parent) {
            above.children.remove(&old);
            above.children.insert(fold(&name), number);
        }
        self.touch_folder(number);
    }

    /// Puts a folder under another one.
    pub(crate) fn move_folder(&mut self, number: u32, parent: u32) {
        let Some(folder) = self.folder_mut(number) else {
            return;
        };
        let old = std::mem::replace(&mut folder.parent, parent);
        let name = fold(&folder.name);
        if let Some(above) = self.folder_mut(old) {
            above.children.remove(&name);
        }
        if let Some(above) = self.folder_mut(parent) {
            above.children.insert(name, number);
        }
        self.touch_folder(old);
        self.touch_folder(parent);
        self.touch_folder(number);
    }

    /// True when `number` is `above` or lies under it.
    pub(crate) fn folder_is_within(&self, number: u32, above: u32) -> bool {
        let mut at = number;
        loop {
            if at == above {
                return true;
            }
            match self.folder(at) {
                Some(folder) if folder.parent != at => at = folder.parent,
                _ => return false,
            }
        }
    }

    /// Deletes a folder with all that is in it, for good.
    pub(crate) fn remove_folder(&mut self, number: u32) {
        let Some(folder) = self.folder(number) else {
            return;
        };
        let children: Vec<u32> = folder.children.values().copied().collect();
        let messages: Vec<u32> = folder.messages.iter().map(|(_, message)| *message).collect();
        for child in children {
            self.remove_folder(child);
        }
        for message in messages {
            self.remove_message(message);
        }
        let id = self.folder_id(number);
        let sequence = self.tick();
        if let Some(folder) = self.folders.get_mut(number as usize).and_then(Option::take) {
            self.folder_feed.leave(folder.sequence, sequence, Gone { number, immutable: id.clone(), id });
            if let Some(above) = self.folder_mut(folder.parent) {
                above.children.remove(&fold(&folder.name));
            }
            self.touch_folder(folder.parent);
        }
    }

    /// Adds a message that is not in its folder yet; gives its number. Call [`Mailbox::place`] to show it.
    pub(crate) fn add_message(&mut self, mut message: Message) -> u32 {
        let number = u32::try_from(self.messages.len()).unwrap_or(u32::MAX);
        message.number = number;
        message.placed = false;
        message.sequence = self.tick();
        self.messages.push(Some(Box::new(message)));
        number
    }

    /// Shows a message in its folder: list, counts and feed.
    pub(crate) fn place(&mut self, number: u32) {
        let sequence = self.tick();
        let Some(message) = self.messages.get_mut(number as usize).and_then(Option::as_mut) else {
            return;
        };
        if message.placed {
            return;
        }
        message.placed = true;
        message.sequence = sequence;
        let (key, folder, unread) = (message.key(), message.folder, u32::from(!message.read));
        insert_sorted(&mut self.everything, key);
        if let Some(folder) = self.folders.get_mut(folder as usize).and_then(Option::as_mut) {
            insert_sorted(&mut folder.messages, key);
            folder.unread += unread;
            folder.feed.touch(0, sequence, number);
        }
        self.touch_folder(folder);
    }

    /// Takes a message out of its folder; it stays in the mailbox.
    fn displace(&mut self, number: u32) {
        let Some(message) = self.message(number).filter(|message| message.placed) else {
            return;
        };
        let gone = Gone { number, id: self.message_id(message, false), immutable: self.message_id(message, true) };
        let (key, place, unread, old) = (message.key(), message.folder, u32::from(!message.read), message.sequence);
        let sequence = self.tick();
        remove_sorted(&mut self.everything, key);
        if let Some(folder) = self.folder_mut(place) {
            remove_sorted(&mut folder.messages, key);
            folder.unread -= unread;
            folder.feed.leave(old, sequence, gone);
        }
        if let Some(message) = self.messages.get_mut(number as usize).and_then(Option::as_mut) {
            message.placed = false;
        }
        self.touch_folder(place);
    }

    /// Changes a message where it lies; its change key and feed place move on.
    pub(crate) fn change_message(&mut self, number: u32, now: Timestamp, change: impl FnOnce(&mut Message)) {
        let sequence = self.tick();
        let Some(message) = self.messages.get_mut(number as usize).and_then(Option::as_mut) else {
            return;
        };
        let (old_key, old_sequence, was_read) = (message.key(), message.sequence, message.read);
        change(message);
        message.modified = now;
        message.sequence = sequence;
        let (key, place, read, placed) = (message.key(), message.folder, message.read, message.placed);
        if !placed {
            return;
        }
        if key != old_key {
            remove_sorted(&mut self.everything, old_key);
            insert_sorted(&mut self.everything, key);
        }
        if let Some(folder) = self.folder_mut(place) {
            if key != old_key {
                remove_sorted(&mut folder.messages, old_key);
                insert_sorted(&mut folder.messages, key);
            }
            folder.feed.touch(old_sequence, sequence, number);
            folder.unread = folder.unread + u32::from(!read) - u32::from(!was_read);
        }
        if read != was_read {
            self.touch_folder(place);
        }
    }

    /// Moves a message, which gives it another ordinary id; visible at once unless `place` is left to the caller.
    pub(crate) fn move_message(&mut self, number: u32, folder: u32, now: Timestamp, visible: bool) {
        self.displace(number);
        if let Some(message) = self.messages.get_mut(number as usize).and_then(Option::as_mut) {
            message.folder = folder;
            message.generation = message.generation.wrapping_add(1);
            message.modified = now;
        }
        if visible {
            self.place(number);
        }
    }

    /// Deletes a message for good.
    pub(crate) fn remove_message(&mut self, number: u32) {
        self.displace(number);
        if let Some(slot) = self.messages.get_mut(number as usize) {
            *slot = None;
        }
    }
}

fn insert_sorted(list: &mut Vec<(i64, u32)>, key: (i64, u32)) {
    let at = list.partition_point(|other| *other < key);
    list.insert(at, key);
}

fn remove_sorted(list: &mut Vec<(i64, u32)>, key: (i64, u32)) {
    if let Ok(at) = list.binary_search(&key) {
        list.remove(at);
    }
}
