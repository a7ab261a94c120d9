//! Searching files and folders of the caller's own drive, by name.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::super::call::Call;
use super::super::drive::ItemRow;
use super::super::odata::{Answer, Row as _};
use super::super::store::{Drive, Item, ROOT, State};
use super::kql::Document;
use super::{Found, Hit, Wish, summary};

/// The properties that a search of files may name.
pub(crate) const PROPERTIES: &[&str] =
    &["filename", "filetype", "title", "path", "isdocument", "iscontainer", "lastmodifiedtime", "created"];

/// What a hit shows of its item when no fields are named: in all of Microsoft's examples neither `file` nor `folder`.
const USUAL: &[&str] = &[
    "id",
    "createdDateTime",
    "lastModifiedDateTime",
    "name",
    "webUrl",
    "size",
    "createdBy",
    "lastModifiedBy",
    "parentReference",
    "fileSystemInfo",
];

struct File<'a> {
    drive: &'a Drive,
    item: &'a Item,
}

impl Document for File<'_> {
    fn texts(&self, property: Option<&str>) -> Option<Vec<String>> {
        let name = self.item.name.to_lowercase();
        Some(match property {
            Some("filename" | "title") | None => vec![name],
            Some("filetype") => vec![name.rsplit_once('.').map(|(_, ending)| ending.to_owned()).unwrap_or_default()],
            Some("path") => vec![self.drive.path(self.item.number).join("/").to_lowercase()],
            Some(_) => return None,
        })
    }

    fn instant(&self, property: &str) -> Option<Timestamp> {
        match property {
            "lastmodifiedtime" => Some(self.item.modified),
            "created" => Some(self.item.created),
            _ => None,
        }
    }

    fn truth(&self, property: &str) -> Option<bool> {
        match property {
            "isdocument" => Some(!self.item.is_folder()),
            "iscontainer" => Some(self.item.is_folder()),
            _ => None,
        }
    }
}

/// What is found in the drive, the latest change first.
pub(crate) fn find(state: &State, call: &Call<'_>, wish: &Wish<'_>) -> Answer<Found> {
    let drive = call.drive(state);
    let words = wish.terms.words();
    let known = |item: &&Item| {
        let there = item.placed && item.sequence > 0 && item.number != ROOT && item.searchable <= call.now;
        there && wish.terms.find(&File { drive, item })
    };
    let mut found: Vec<&Item> = drive.items.iter().flatten().filter(known).collect();
    found.sort_by_key(|item| (std::cmp::Reverse(item.modified), item.number));
    Ok(wish.page(found.into_iter(), |item| {
        let row =
            ItemRow { users: &state.users, drive, item, downloads: &call.request.downloads, now: call.now, paths: true, found: false };
        let names = if wish.fields.is_empty() { USUAL } else { &wish.fields };
        let mut resource = Map::new();
        resource.insert("@odata.type".to_owned(), Value::from("#microsoft.graph.driveItem"));
        resource.extend(names.iter().filter_map(|name| row.property(name).map(|value| ((*name).to_owned(), value))));
        Hit { id: drive.key.item(item.number), summary: summary(&item.name, &words), resource }
    }))
}
