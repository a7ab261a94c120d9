//! OneDrive files: listing, fetching, sending, moving about, sharing and deleting them.

mod change;
mod content;
mod list;
mod share;

pub(super) use change::TOOLS as CHANGES;
pub(super) use content::TOOLS as CONTENT;
pub(super) use list::TOOLS as LIST;
pub(super) use share::TOOLS as SHARE;

use super::{Args, Param, ParamType};

const FILE: Param = Param::required("file_id", ParamType::Id, "From file_list or search_files.");

fn file_id(args: &Args) -> &str {
    args.text("file_id").unwrap_or_default()
}
