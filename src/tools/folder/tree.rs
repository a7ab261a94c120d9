//! `folder_get_tree`: the folders of a drive, or below one of its folders.
//!
//! Two ways lead to a tree, and each is used where it is the quicker one.
//!
//! * **Whole drive: delta.** `/me/drive/root/delta` returns every item of the drive in pages of up to 999, so 10,000 items
//!   in 2,000 folders take 11 requests, where asking folder by folder takes 2,000 (100 batches).
//! * **Below a folder: level by level.** On OneDrive for Business delta begins at the root only, so it would read all of the drive
//!   for a part of it. The children of all folders of one level are asked for together, 20 in a `$batch`; a folder that
//!   says it is empty is not asked.
//!
//! The second way is also taken for the whole drive when Graph refuses delta, or when its pages do not add up to one tree
//! (somebody moves folders meanwhile). A branch that cannot be read fails the call: a partial tree is never an answer.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::try_join_all;
use serde_json::{Map, Value};

use crate::{
    cache::Scope,
    graph::GraphRequest,
    tools::{
        Args, Fetched, StepError, Steps,
        drive::{LARGEST_PAGE, Place, child_count, is_folder, join, parent, parent_path},
        shape::{id, text, untrusted},
    },
};

/// A folder as it was found, not yet in its place.
#[derive(Debug, Clone)]
struct Folder {
    id: String,
    name: String,
    parent: String,
    child_count: Option<u64>,
    modified: Value,
}

/// What was found below a folder.
#[derive(Debug)]
struct Found {
    root: String,
    root_path: Option<String>,
    folders: Vec<Folder>,
    /// Some folders at the last level may hold more.
    cut: bool,
}

pub(super) async fn fetch(steps: &dyn Steps, args: &Args) -> Result<Fetched, StepError> {
    let place = Place::of(args);
    let max_depth = args.count("max_depth");
    let by_delta = if place == Place::Root { whole_drive(steps).await? } else { None };
    let found = match by_delta {
        Some(found) => found,
        None => walk(steps, place, max_depth).await?,
    };

    let mut grower = Grower::new(found.folders);
    let folders = grower.grow(&found.root, found.root_path.as_deref(), max_depth);
    let mut answer = Map::new();
    answer.insert("root_folder_id".into(), found.root.into());
    answer.insert("root_path".into(), found.root_path.into());
    answer.insert("max_depth".into(), max_depth.into());
    answer.insert("folders".into(), folders.into());
    answer.insert("complete".into(), (!found.cut && !grower.cut).into());
    Ok(Fetched {
        answer: untrusted(answer).into(),
        list: Some("folders"),
        scopes: vec![Scope::structure()],
        shown: grower.shown,
        whole: true,
        more: None,
        etag: None,
        along: Vec::new(),
    })
}

/// Every folder of the drive by delta; `None` when delta cannot tell.
async fn whole_drive(steps: &dyn Steps) -> Result<Option<Found>, StepError> {
    let request = GraphRequest::get(&["me", "drive", "root", "delta"])
        .with("$top", LARGEST_PAGE.to_string())
        .with("$select", "id,name,folder,parentReference,lastModifiedDateTime,deleted,root");
    let page = match steps.pages(request, &|_| false).await {
        Ok(page) => page,
        // Signed out and throttled are no reason to ask in another way; anything else Graph says no to is.
        Err(error) if matches!(error.status, Some(400..=499)) && !matches!(error.status, Some(401 | 429)) => return Ok(None),
        Err(error) => return Err(error),
    };
    if page.delta.is_none() {
        return Ok(None);
    }
    let mut root = None;
    let mut folders = BTreeMap::new();
    for item in &page.items {
        let id = id(item)?;
        // An item may come more than once; the last one counts.
        if item.get("deleted").is_some() || item.get("@removed").is_some() {
            folders.remove(id);
        } else if item.get("root").is_some() {
            root = Some(id.to_owned());
        } else if is_folder(item) {
            let Some(parent) = parent(item) else { return Ok(None) };
            folders.insert(id.to_owned(), folder(item, parent)?);
        }
    }
    let folders: Vec<Folder> = folders.into_values().collect();
    Ok(root.filter(|root| is_one_tree(root, &folders)).map(|root| Found { root, root_path: Some("/".into()), folders, cut: false }))
}

fn folder(item: &Value, parent: &str) -> Result<Folder, StepError> {
    Ok(Folder {
        id: id(item)?.to_owned(),
        name: text(item, "name").ok_or_else(|| StepError::unexpected("a folder's name"))?.to_owned(),
        parent: parent.to_owned(),
        child_count: child_count(item),
        modified: item.get("lastModifiedDateTime").cloned().unwrap_or_default(),
    })
}

/// Whether every folder can be reached from the root.
fn is_one_tree(root: &str, folders: &[Folder]) -> bool {
    let mut below: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for folder in folders {
        below.entry(&folder.parent).or_default().push(&folder.id);
    }
    let mut reached = 0;
    let mut open = vec![root];
    while let Some(id) = open.pop() {
        // Taken out, so that a circle ends.
        let children = below.remove(id).unwrap_or_default();
        reached += children.len();
        open.extend(children);
    }
    reached == folders.len()
}

/// The folders below `place` down to `max_depth` levels, a level at a time.
async fn walk(steps: &dyn Steps, place: Place<'_>, max_depth: usize) -> Result<Found, StepError> {
    let start = steps.send(place.item().with("$select", "id,name,folder,parentReference,root")).await?.body;
    let is_root = start.get("root").is_some();
    if !is_folder(&start) && !is_root {
        return Err(StepError::user("not_a_folder", "that item is a file, not a folder", "`folder_list` shows folders and their ids."));
    }
    let root = id(&start)?.to_owned();
    let root_path = match place {
        Place::Root => Some("/".to_owned()),
        Place::Path(path) => Some(path.to_owned()),
        Place::Id(_) if is_root => Some("/".to_owned()),
        Place::Id(_) => parent_path(&start).zip(text(&start, "name")).map(|(within, name)| join(&within, name)),
    };

    let mut seen = BTreeSet::from([root.clone()]);
    let mut folders: Vec<Folder> = Vec::new();
    let mut level = vec![root.clone()];
    for _ in 0..max_depth {
        let mut below = Vec::new();
        for (parent, children) in level.iter().zip(children_of(steps, &level).await?) {
            for item in children.iter().filter(|item| is_folder(item)) {
                // One that was moved meanwhile may come twice.
                if seen.insert(id(item)?.to_owned()) {
                    folders.push(folder(item, parent)?);
                    if child_count(item) != Some(0) {
                        below.push(id(item)?.to_owned());
                    }
                }
            }
        }
        level = below;
        if level.is_empty() {
            break;
        }
    }
    Ok(Found { root, root_path, folders, cut: !level.is_empty() })
}

/// The children of each folder, all pages of them.
async fn children_of(steps: &dyn Steps, folders: &[String]) -> Result<Vec<Vec<Value>>, StepError> {
    let ask = |folder: &String| {
        let select = "id,name,folder,parentReference,lastModifiedDateTime";
        Place::Id(folder).children().with("$top", LARGEST_PAGE.to_string()).with("$select", select)
    };
    let replies = steps.batch(folders.iter().map(ask).collect()).await?;
    if replies.len() != folders.len() {
        return Err(StepError::unexpected("a part for each request of a batch"));
    }
    try_join_all(replies.into_iter().map(|reply| async move {
        let mut body = reply?.body;
        let Some(Value::Array(mut items)) = body.get_mut("value").map(Value::take) else {
            return Err(StepError::unexpected("a list of children"));
        };
        if let Some(next) = text(&body, "@odata.nextLink") {
            let rest = steps.pages(GraphRequest::get_path(next.to_owned()), &|_| false).await?;
            if rest.next.is_some() {
                return Err(StepError::unexpected("an end to a folder's children"));
            }
            items.extend(rest.items);
        }
        Ok(items)
    }))
    .await
}

/// Puts folders in their places.
struct Grower {
    below: BTreeMap<String, Vec<Folder>>,
    shown: Vec<(String, Vec<Scope>)>,
    cut: bool,
}

impl Grower {
    fn new(folders: Vec<Folder>) -> Self {
        let mut below: BTreeMap<String, Vec<Folder>> = BTreeMap::new();
        for folder in folders {
            below.entry(folder.parent.clone()).or_default().push(folder);
        }
        for siblings in below.values_mut() {
            siblings.sort_by_cached_key(|folder| (folder.name.to_lowercase(), folder.id.clone()));
        }
        Self { below, shown: Vec::new(), cut: false }
    }

    /// The nodes below `parent`, `levels` deep.
    fn grow(&mut self, parent: &str, path: Option<&str>, levels: usize) -> Vec<Value> {
        if levels == 0 {
            self.cut |= self.below.contains_key(parent);
            return Vec::new();
        }
        let folders = self.below.remove(parent).unwrap_or_default();
        folders
            .into_iter()
            .map(|folder| {
                self.shown.push((folder.id.clone(), vec![Scope::children(parent)]));
                let path = path.map(|path| join(path, &folder.name));
                let children = self.grow(&folder.id, path.as_deref(), levels - 1);
                let mut node = Map::new();
                node.insert("id".into(), folder.id.into());
                node.insert("name".into(), folder.name.into());
                node.insert("childCount".into(), folder.child_count.into());
                node.insert("path".into(), path.into());
                node.insert("parentId".into(), parent.into());
                node.insert("modified".into(), folder.modified);
                node.insert("children".into(), children.into());
                node.into()
            })
            .collect()
    }
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
