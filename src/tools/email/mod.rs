//! Mail: reading messages, changing them, and sending.

mod answer;
mod attachments;
mod change;
mod compose;
mod marks;
mod read;
mod send;

pub(super) use answer::TOOLS as ANSWERS;
pub(super) use attachments::{LISTS as ATTACHMENTS, SAVES as ATTACHMENT_SAVES};
pub(super) use change::TOOLS as CHANGES;
pub(super) use marks::TOOLS as MARKS;
pub(super) use read::TOOLS as READS;
pub(super) use send::TOOLS as SENDS;

use super::{Args, StepError, Steps, mailbox::at, shape::id, tool::CONFIRM_TOKEN};
use crate::graph::GraphRequest;

/// The folder names clients use, and Graph's well-known names for them.
const FOLDERS: [(&str, &str); 6] = [
    ("inbox", "inbox"),
    ("sent", "sentitems"),
    ("drafts", "drafts"),
    ("deleted", "deleteditems"),
    ("junk", "junkemail"),
    ("archive", "archive"),
];

/// The first halves of [`FOLDERS`].
const FOLDER_NAMES: &[&str] = &["inbox", "sent", "drafts", "deleted", "junk", "archive"];

/// Our name and Graph's name of a well-known folder that is spelled either way; `None` when it is an id.
pub(super) fn well_known(folder: &str) -> Option<(&'static str, &'static str)> {
    let folder = folder.trim();
    FOLDERS.into_iter().find(|(ours, graphs)| ours.eq_ignore_ascii_case(folder) || graphs.eq_ignore_ascii_case(folder))
}

/// Whether it is one of Graph's names for folders, also of the rarer ones, such as `outbox`. Ids are longer.
fn is_name(folder: &str) -> bool {
    well_known(folder).is_some() || folder.len() < 40 && folder.bytes().all(|letter| letter.is_ascii_alphabetic())
}

/// Whether a move there is a deletion, by the folder's name: Deleted Items, or where Exchange keeps what was deleted from it.
pub(super) fn is_bin(folder: &str) -> bool {
    well_known(folder).is_some_and(|(ours, _)| ours == "deleted") || folder.trim().to_ascii_lowercase().starts_with("recoverableitems")
}

/// Asks, where nobody has agreed yet, when `folder` is Deleted Items by its id.
pub(super) async fn ask_if_bin(steps: &dyn Steps, args: &Args, folder: &str) -> Result<(), StepError> {
    if args.has(CONFIRM_TOKEN.name) || is_name(folder) {
        return Ok(());
    }
    let bin = GraphRequest::get(&at(args, &["mailFolders", "deleteditems"])).with("$select", "id");
    let bin = steps.send(bin).await.map_err(StepError::before)?.body;
    if id(&bin).map_err(StepError::before)? == folder { Err(StepError::unconfirmed()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_of_a_well_known_folder_are_known_and_an_id_is_none() {
        assert_eq!(FOLDERS.map(|(ours, _)| ours), FOLDER_NAMES);
        assert_eq!(well_known("Sent"), Some(("sent", "sentitems")));
        assert_eq!(well_known("sentItems"), Some(("sent", "sentitems")));
        assert_eq!(well_known("AQMkAD="), None);
    }
}
