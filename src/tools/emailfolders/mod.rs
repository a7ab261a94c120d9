//! Mail folders: reading them, changing them, and doing one thing to all messages of one.

mod bulk;
mod change;
mod read;
mod tree;

pub(super) use bulk::TOOLS as BULK;
pub(super) use change::TOOLS as CHANGES;
pub(super) use read::TOOLS as READS;

use super::{Args, Param, ParamType, email::well_known};

/// What is shown of a folder.
const FIELDS: [&str; 7] = ["id", "displayName", "childFolderCount", "unreadItemCount", "totalItemCount", "parentFolderId", "isHidden"];

/// A folder by id, or by one of the names Graph knows.
const FOLDER: Param =
    Param::required("folder_id", ParamType::Id, "The folder's id, from emailfolders_list; or inbox, sent, drafts, deleted, junk, archive.");

/// A folder as Graph takes it: `sent` is spelled `sentitems` there, an id stays as it is.
fn as_graph_names_it(folder: &str) -> &str {
    well_known(folder).map_or(folder, |(_, graphs)| graphs)
}

/// One spelling for the names, so that they share a key.
fn one_folder(args: &mut Args) {
    if let Some((_, graphs)) = args.text("folder_id").and_then(well_known) {
        args.set("folder_id", graphs);
    }
}
