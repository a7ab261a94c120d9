//! A drive: one tree of folders and files, names unique per folder without regard to case.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;

use super::shares::Share;
use super::{Content, Feed, Gone, fold};
use crate::seed::ids::DriveKey;

/// The number of a drive's root.
pub(crate) const ROOT: u32 = 0;

/// Another item of this name lies in the folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NameTaken;

/// A file or a folder.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) number: u32,
    pub(crate) parent: u32,
    pub(crate) name: String,
    /// `None` for a folder.
    pub(crate) content: Option<Content>,
    pub(crate) mime: &'static str,
    /// Bytes: of the file, or of everything under the folder.
    pub(crate) size: u64,
    pub(crate) created: Timestamp,
    pub(crate) modified: Timestamp,
    /// Which user made the last change.
    pub(crate) by: usize,
    pub(crate) version: u32,
    pub(crate) content_version: u32,
    pub(crate) special: Option<&'static str>,
    pub(crate) description: Option<String>,
    /// With whom it is shared, beside its owner.
    pub(crate) shares: Vec<Share>,
    /// Children by folded name.
    pub(crate) children: BTreeMap<Arc<str>, u32>,
    /// False while a copy is still being made.
    pub(crate) placed: bool,
    /// When search knows of it.
    pub(crate) searchable: Timestamp,
    pub(crate) sequence: u64,
    hash: OnceLock<String>,
}

impl Item {
    /// An item that lies nowhere yet.
    pub(crate) fn new(name: String, parent: u32, content: Option<Content>, now: Timestamp, by: usize) -> Self {
        let mime = content.as_ref().map_or("", |_| mime_of(&name));
        let size = content.as_ref().map_or(0, Content::len);
        Self {
            number: 0,
            parent,
            name,
            content,
            mime,
            size,
            created: now,
            modified: now,
            by,
            version: 1,
            content_version: 1,
            special: None,
            description: None,
            shares: Vec::new(),
            children: BTreeMap::new(),
            placed: false,
            searchable: now,
            sequence: 0,
            hash: OnceLock::new(),
        }
    }

    /// True for a folder.
    pub(crate) fn is_folder(&self) -> bool {
        self.content.is_none()
    }

    /// The `quickXorHash` of the content; empty for a folder. Computed once per content.
    pub(crate) fn quick_xor(&self) -> &str {
        self.hash.get_or_init(|| self.content.as_ref().map_or_else(String::new, Content::quick_xor))
    }

    /// Puts other bytes in place of the file's.
    fn replace(&mut self, content: Content) {
        self.size = content.len();
        self.content = Some(content);
        self.content_version += 1;
        self.hash = OnceLock::new();
    }
}

/// One user's files.
#[derive(Debug)]
pub(crate) struct Drive {
    pub(crate) key: DriveKey,
    pub(crate) personal: bool,
    pub(crate) owner: usize,
    pub(crate) items: Vec<Option<Item>>,
    pub(crate) feed: Feed,
    pub(crate) sequence: u64,
    pub(crate) epoch: u32,
    numbers: HashMap<String, u32>,
}

impl Drive {
    /// A drive with nothing but its root.
    pub(crate) fn new(key: DriveKey, personal: bool, owner: usize, now: Timestamp) -> Self {
        let (items, numbers) = (Vec::new(), HashMap::new());
        let mut drive = Self { key, personal, owner, items, feed: Feed::default(), sequence: 0, epoch: 0, numbers };
        let root = drive.add(Item::new("root".to_owned(), ROOT, None, now, owner));
        drive.place(root);
        drive
    }

    /// The item with this number.
    pub(crate) fn item(&self, number: u32) -> Option<&Item> {
        self.items.get(number as usize)?.as_ref()
    }

    /// The item with this id. OneDrive compares ids exactly.
    pub(crate) fn by_id(&self, id: &str) -> Option<&Item> {
        if id == "root" {
            return self.item(ROOT);
        }
        self.item(*self.numbers.get(id)?)
    }

    /// The item at a path below `from`: decoded names, separated by `/`.
    pub(crate) fn by_path(&self, from: u32, path: &str) -> Option<&Item> {
        let mut at = self.item(from)?;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            at = self.item(*at.children.get(&fold(name))?)?;
        }
        Some(at)
    }

    /// The names from the root down to the item, the root's left out.
    pub(crate) fn path(&self, number: u32) -> Vec<&str> {
        let mut out = Vec::new();
        let mut at = number;
        while at != ROOT {
            let Some(item) = self.item(at) else { break };
            out.push(item.name.as_str());
            at = item.parent;
        }
        out.reverse();
        out
    }

    /// True when `number` is `above` or lies under it.
    pub(crate) fn is_within(&self, number: u32, above: u32) -> bool {
        let mut at = number;
        loop {
            match self.item(at) {
                _ if at == above => return true,
                Some(item) if at != ROOT => at = item.parent,
                _ => return false,
            }
        }
    }

    fn tick(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }

    /// Moves an item to the end of the feed.
    fn touch(&mut self, number: u32) {
        let sequence = self.tick();
        if let Some(item) = self.items.get_mut(number as usize).and_then(Option::as_mut) {
            let old = std::mem::replace(&mut item.sequence, sequence);
            self.feed.touch(old, sequence, number);
        }
    }

    /// The sizes of all folders from `number` up change by so much, and they are reported again.
    fn grow(&mut self, mut number: u32, bytes: i64) {
        loop {
            let Some(item) = self.items.get_mut(number as usize).and_then(Option::as_mut) else {
                return;
            };
            item.size = item.size.saturating_add_signed(bytes);
            item.content_version += 1;
            let parent = item.parent;
            self.touch(number);
            if number == ROOT {
                return;
            }
            number = parent;
        }
    }

    /// Keeps an item without showing it in its folder yet; gives its number.
    pub(crate) fn add(&mut self, mut item: Item) -> u32 {
        let number = u32::try_from(self.items.len()).unwrap_or(u32::MAX);
        item.number = number;
        self.numbers.insert(self.key.item(number), number);
        self.items.push(Some(item));
        number
    }

    /// Shows an item, and what hangs under it, in its folder. Names are the caller's concern, except for a late copy:
    /// a name taken in the meantime gets a number behind it.
    pub(crate) fn place(&mut self, number: u32) {
        let Some(item) = self.item(number).filter(|item| !item.placed) else {
            return;
        };
        let (parent, size, mut name) = (item.parent, item.size, item.name.clone());
        if number != ROOT && self.taken(parent, &name, number) {
            name = self.free_name(parent, &name);
        }
        if let Some(item) = self.items.get_mut(number as usize).and_then(Option::as_mut) {
            item.placed = true;
            item.name.clone_from(&name);
        }
        if number == ROOT {
            self.touch(number);
            return;
        }
        if let Some(above) = self.items.get_mut(parent as usize).and_then(Option::as_mut) {
            above.children.insert(fold(&name), number);
        }
        self.touch_tree(number);
        self.grow(parent, i64::try_from(size).unwrap_or(0));
    }

    /// Reports an item and all under it, parents first.
    fn touch_tree(&mut self, number: u32) {
        self.touch(number);
        let children: Vec<u32> = self.item(number).map_or_else(Vec::new, |item| item.children.values().copied().collect());
        for child in children {
            self.touch_tree(child);
        }
    }

    /// True when another item of the folder has this name.
    pub(crate) fn taken(&self, parent: u32, name: &str, except: u32) -> bool {
        self.item(parent).and_then(|p| p.children.get(&fold(name))).is_some_and(|other| *other != except)
    }

    /// `name`, or `stem 1.ext`, `stem 2.ext` … whichever is free first.
    pub(crate) fn free_name(&self, parent: u32, name: &str) -> String {
        let (stem, extension) = name.rsplit_once('.').map_or((name, String::new()), |(s, e)| (s, format!(".{e}")));
        (0..)
            .map(|n| if n == 0 { name.to_owned() } else { format!("{stem} {n}{extension}") })
            .find(|candidate| !self.taken(parent, candidate, u32::MAX))
            .unwrap_or_else(|| name.to_owned())
    }

    /// Renames or moves an item; both may stay as they are.
    pub(crate) fn relocate(&mut self, number: u32, parent: u32, name: &str, now: Timestamp, by: usize) -> Result<(), NameTaken> {
        if self.taken(parent, name, number) {
            return Err(NameTaken);
        }
        let Some(item) = self.items.get_mut(number as usize).and_then(Option::as_mut) else {
            return Ok(());
        };
        let old = (item.parent, fold(&item.name));
        name.clone_into(&mut item.name);
        item.parent = parent;
        item.modified = now;
        item.by = by;
        item.version += 1;
        if !item.is_folder() {
            item.mime = mime_of(name);
        }
        let size = i64::try_from(item.size).unwrap_or(0);
        if let Some(above) = self.items.get_mut(old.0 as usize).and_then(Option::as_mut) {
            above.children.remove(&old.1);
        }
        if let Some(above) = self.items.get_mut(parent as usize).and_then(Option::as_mut) {
            above.children.insert(fold(name), number);
        }
        self.touch(number);
        if old.0 != parent {
            self.grow(old.0, -size);
            self.grow(parent, size);
        }
        Ok(())
    }

    /// Puts other bytes in place of a file's.
    pub(crate) fn write(&mut self, number: u32, content: Content, now: Timestamp, by: usize) {
        let Some(item) = self.items.get_mut(number as usize).and_then(Option::as_mut) else {
            return;
        };
        let old = i64::try_from(item.size).unwrap_or(0);
        item.replace(content);
        item.version += 1;
        item.modified = now;
        item.by = by;
        let (parent, new) = (item.parent, i64::try_from(item.size).unwrap_or(0));
        self.touch(number);
        self.grow(parent, new - old);
    }

    /// Sets an item's description.
    pub(crate) fn describe(&mut self, number: u32, description: Option<String>, now: Timestamp) {
        if let Some(item) = self.items.get_mut(number as usize).and_then(Option::as_mut) {
            item.description = description;
            item.version += 1;
            item.modified = now;
            self.touch(number);
        }
    }

    /// Deletes an item and everything under it.
    pub(crate) fn remove(&mut self, number: u32) {
        if number == ROOT {
            return;
        }
        let Some(item) = self.item(number) else {
            return;
        };
        let (parent, name, size) = (item.parent, fold(&item.name), i64::try_from(item.size).unwrap_or(0));
        self.forget(number);
        if let Some(above) = self.items.get_mut(parent as usize).and_then(Option::as_mut) {
            above.children.remove(&name);
        }
        self.grow(parent, -size);
    }

    /// Drops an item that was never placed, with all under it.
    pub(crate) fn discard(&mut self, number: u32) {
        let Some(item) = self.items.get_mut(number as usize).and_then(Option::take) else {
            return;
        };
        self.numbers.remove(&self.key.item(number));
        item.children.values().for_each(|child| self.discard(*child));
    }

    /// Changes with whom an item is shared. It is reported again; its tags stay.
    pub(crate) fn share<T>(&mut self, number: u32, change: impl FnOnce(&mut Vec<Share>) -> T) -> Option<T> {
        let item = self.items.get_mut(number as usize).and_then(Option::as_mut)?;
        let out = change(&mut item.shares);
        self.touch(number);
        Some(out)
    }

    fn forget(&mut self, number: u32) {
        let Some(item) = self.items.get_mut(number as usize).and_then(Option::take) else {
            return;
        };
        for child in item.children.values() {
            self.forget(*child);
        }
        let id = self.key.item(number);
        self.numbers.remove(&id);
        let sequence = self.tick();
        self.feed.leave(item.sequence, sequence, Gone { number, immutable: id.clone(), id });
    }

    /// Copies an item with all under it below `parent`; the copy lies nowhere until [`Drive::place`].
    pub(crate) fn copy(&mut self, number: u32, parent: u32, name: String, now: Timestamp, by: usize) -> Option<u32> {
        let source = self.item(number)?;
        let children: Vec<u32> = source.children.values().copied().collect();
        let copy = self.add(Item::new(name, parent, source.content.clone(), now, by));
        for child in children {
            let name = self.item(child)?.name.clone();
            let inner = self.copy(child, copy, name.clone(), now, by)?;
            let size = self.item(inner)?.size;
            let item = self.items.get_mut(copy as usize).and_then(Option::as_mut)?;
            item.children.insert(fold(&name), inner);
            item.size += size;
            if let Some(inner) = self.items.get_mut(inner as usize).and_then(Option::as_mut) {
                inner.placed = true;
            }
        }
        Some(copy)
    }
}

/// The media type that OneDrive gives a file of this name.
pub(crate) fn mime_of(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, extension)| extension.to_lowercase()).as_deref() {
        Some("txt" | "log") => "text/plain",
        Some("md") => "text/markdown",
        Some("csv") => "text/csv",
        Some("json") => "application/json",
        Some("html") => "text/html",
        Some("pdf") => "application/pdf",
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("zip") => "application/zip",
        Some("docx") => "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        Some("xlsx") => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        Some("pptx") => "application/vnd.openxmlformats-officedocument.presentationml.presentation",
        _ => "application/octet-stream",
    }
}
