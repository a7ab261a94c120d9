//! Places in a drive, and the children found there: what the file and folder tools share.
//!
//! A read by path depends on more than the folder it ends in: on `structure`, for a rename or a move above it makes the path mean
//! another folder, and on the children of the folder's parent. So it asks for the folder beside its children, at the same time.
//!
//! What a write must touch for these reads: a new, renamed, moved or removed item its container's `children`; a folder also
//! `structure`; and since lists and trees show how many children a folder has, whatever adds or removes a child also
//! `Touch::Item(<parent>)` (which spreads to the parent's own container) and `structure`. Lists also show the size of a folder, which is that
//! of all below it: what changes a size is shown by every folder above, so it touches all of the drive.

use std::collections::BTreeSet;

use futures_util::future::try_join;
use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::{
    Args, StepError, Steps, Written,
    listing::{Listing, read_list},
    shape::{id, pick, text},
};
use crate::{
    cache::{Scope, Service},
    graph::{GraphRequest, drive_path, path},
};

/// Most items Graph returns on one page of children.
pub(super) const LARGEST_PAGE: usize = 999;

/// A folder of the drive, as it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place<'a> {
    /// The top.
    Root,
    /// By path: `/Documents`.
    Path(&'a str),
    /// By id.
    Id(&'a str),
}

/// One spelling of the place: an id makes the path beside it irrelevant, and the root's alias is the path `/`.
pub(super) fn one_place(args: &mut Args) {
    match args.text("folder_id") {
        Some("root") => {
            args.set("folder_id", Value::Null);
            args.set("path", "/");
        }
        Some(_) => args.set("path", "/"),
        None => {}
    }
}

impl<'a> Place<'a> {
    /// The place that `folder_id`, or else `path`, names.
    pub(super) fn of(args: &'a Args) -> Self {
        match (args.text("folder_id"), args.text("path")) {
            (Some(id), _) => Self::Id(id),
            (None, None | Some("/")) => Self::Root,
            (None, Some(path)) => Self::Path(path),
        }
    }

    fn base(self) -> String {
        match self {
            Self::Root => drive_path("/me/drive", "/"),
            Self::Path(at) => drive_path("/me/drive", at),
            Self::Id(id) => path(&["me", "drive", "items", id]),
        }
    }

    /// Asks for the folder itself.
    pub(super) fn item(self) -> GraphRequest {
        // The colon that ends a path stands only before a further segment.
        GraphRequest::get_path(self.base().trim_end_matches(':').to_owned())
    }

    /// Asks for its children.
    pub(super) fn children(self) -> GraphRequest {
        GraphRequest::get_path(format!("{}/children", self.base()))
    }
}

/// Children of one folder, with what the list depends on.
#[derive(Debug)]
pub(super) struct Children {
    pub(super) listing: Listing,
    pub(super) scopes: Vec<Scope>,
    /// The folder's own path, when it is known.
    pub(super) path: Option<String>,
}

/// Reads up to `limit` children that `keep` accepts. `select` has to name `id` and `parentReference`.
pub(super) async fn read_children(
    steps: &dyn Steps,
    place: Place<'_>,
    select: String,
    limit: usize,
    keep: Option<fn(&Value) -> bool>,
) -> Result<Children, StepError> {
    // With a filter most items of a page may be refused, so few large pages beat many small ones.
    let page = if keep.is_some() { limit.max(200) } else { limit };
    let request = place.children().with("$top", page.to_string()).with("$orderby", "name").with("$select", select);
    let filtered = keep.is_some();
    let list = read_list(steps, request, limit, keep.unwrap_or(super::listing::every));
    let ask_item = || steps.send(place.item().with("$select", "id,parentReference"));

    let mut containers = BTreeSet::new();
    let mut scopes = Vec::new();
    let (listing, path) = match place {
        Place::Path(path) => {
            let (item, listing) = try_join(ask_item(), list).await?;
            containers.insert(id(&item.body)?.to_owned());
            scopes.push(Scope::structure());
            scopes.extend(parent(&item.body).map(Scope::children));
            (listing, Some(path.to_owned()))
        }
        Place::Root => {
            let listing = list.await?;
            match listing.items.iter().find_map(parent) {
                Some(root) => containers.insert(root.to_owned()),
                None => containers.insert(id(&ask_item().await?.body)?.to_owned()),
            };
            (listing, Some("/".to_owned()))
        }
        Place::Id(id) => {
            containers.insert(id.to_owned());
            (list.await?, None)
        }
    };
    containers.extend(listing.items.iter().filter_map(parent).map(str::to_owned));
    scopes.extend(containers.iter().map(|container| Scope::children(container)));
    // What is left for a cursor may hold anything.
    if filtered || listing.several_pages || !listing.complete {
        scopes.push(Scope::moves(Service::Files));
    }
    if listing.items.iter().any(is_folder) || !listing.complete {
        scopes.push(Scope::totals());
    }
    Ok(Children { listing, scopes, path })
}

/// The items shown, each in its folder.
pub(super) fn shown(items: &[Value]) -> Result<Vec<(String, Vec<Scope>)>, StepError> {
    items.iter().map(|item| Ok((id(item)?.to_owned(), parent(item).map(Scope::children).into_iter().collect()))).collect()
}

/// The id of the folder an item is in.
pub(super) fn parent(item: &Value) -> Option<&str> {
    text(item.get("parentReference")?, "id")
}

/// `folder` or `file`, where Graph tells; of a shortcut, what it leads to. A notebook, a `package`, is neither, and what Microsoft Search finds
/// carries neither facet (Graph documentation, *search-concept-files*).
pub(super) fn kind(item: &Value) -> Option<&'static str> {
    let own_or_remote = [Some(item), item.get("remoteItem")];
    let has = |facet: &str| own_or_remote.iter().flatten().any(|item| item.get(facet).is_some_and(Value::is_object));
    ["folder", "file"].into_iter().find(|facet| has(facet))
}

/// Whether an item is a folder of this drive. A notebook is a `package`, a shortcut to a folder of another drive a `remoteItem`: neither is.
pub(super) fn is_folder(item: &Value) -> bool {
    item.get("folder").is_some_and(Value::is_object)
}

/// How many children a folder has, files included.
pub(super) fn child_count(item: &Value) -> Option<u64> {
    item.get("folder")?.get("childCount")?.as_u64()
}

/// `/Documents/2026` from a folder's path and a name in it.
pub(super) fn join(folder: &str, name: &str) -> String {
    format!("{}/{name}", folder.trim_end_matches('/'))
}

/// The path of the folder an item is in, from Graph's `/drive/root:/Documents` or `/drives/<id>/root:/Documents`; `None` when the
/// item does not tell.
pub(super) fn parent_path(item: &Value) -> Option<String> {
    let (_, below) = text(item.get("parentReference")?, "path")?.split_once("root:")?;
    let decoded = percent_decode_str(below).decode_utf8_lossy();
    Some(if decoded.is_empty() { "/".to_owned() } else { decoded.into_owned() })
}

/// What is shown of an item that was just written.
const WRITTEN_FIELDS: [&str; 10] =
    ["id", "name", "size", "webUrl", "createdDateTime", "lastModifiedDateTime", "eTag", "parentReference", "file", "folder"];

/// An item as Graph has it after a write, and the folder it is in; where Graph said nothing, that the act was done.
pub(super) fn written(item: &Value, done: &str) -> Written {
    let mut answer = pick(item, &WRITTEN_FIELDS);
    let learned = match (id(item), parent(item)) {
        (Ok(id), Some(parent)) => vec![(id.to_owned(), vec![Scope::children(parent)])],
        _ => Vec::new(),
    };
    if answer.is_empty() {
        answer.insert("status".into(), done.into());
    }
    Written { answer: answer.into(), touches: Vec::new(), learned, late: false }
}

/// Sets properties of an item; doing it twice does what doing it once does.
pub(super) async fn change_item(steps: &dyn Steps, item: &str, change: Value, done: &str) -> Result<Written, StepError> {
    let request = GraphRequest::patch(&["me", "drive", "items", item], change).repeatable();
    let changed = steps.send(request).await.map_err(|error| match error.status {
        Some(409) => StepError { hint: Some("Something of that name is there already; choose another name or folder.".into()), ..error },
        _ => error,
    })?;
    Ok(written(&changed.body, done))
}

/// The id of a folder; where things are moved to Graph takes no alias for the top.
pub(super) async fn folder_by_id(steps: &dyn Steps, folder: &str) -> Result<String, StepError> {
    if folder != "root" {
        return Ok(folder.to_owned());
    }
    let request = GraphRequest::get(&["me", "drive", "root"]).with("$select", "id");
    let root = steps.send(request).await.map_err(StepError::before)?.body;
    Ok(id(&root).map_err(StepError::before)?.to_owned())
}

/// A name OneDrive takes for a file or folder (Microsoft: restrictions on file names).
pub(super) fn new_name<'a>(args: &'a Args, argument: &str) -> Result<&'a str, StepError> {
    let name = args.text(argument).unwrap_or_default().trim();
    let odd = |letter: char| letter.is_control() || "\"*:<>?/\\|".contains(letter);
    if name.is_empty() || name.chars().any(odd) || name.ends_with('.') {
        let what = format!("invalid {argument}: OneDrive takes no such name");
        return Err(StepError::user("invalid_argument", what, "Leave out \" * : < > ? / \\ | and a dot at the end."));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_place_has_its_two_addresses() {
        let address = |place: Place<'_>| (place.item().target(), place.children().target());
        assert_eq!(address(Place::Root), ("/me/drive/root".into(), "/me/drive/root/children".into()));
        assert_eq!(address(Place::Path("/a b/c")), ("/me/drive/root:/a%20b/c".into(), "/me/drive/root:/a%20b/c:/children".into()));
        assert_eq!(address(Place::Id("x/y")), ("/me/drive/items/x%2Fy".into(), "/me/drive/items/x%2Fy/children".into()));
    }

    #[test]
    fn paths_are_read_from_both_forms_of_a_drive() {
        let at = |path: &str| parent_path(&json!({"parentReference": {"path": path}}));
        assert_eq!(at("/drive/root:"), Some("/".into()));
        assert_eq!(at("/drives/b!x/root:/A%20B/c"), Some("/A B/c".into()));
        assert_eq!(at("/drive/items/x"), None);
        assert_eq!(join("/", "a"), "/a");
        assert_eq!(join("/a", "b"), "/a/b");
    }
}
