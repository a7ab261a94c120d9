//! How the delta feeds of a mailbox are walked from their beginning.
//!
//! A feed reports a change only of what was selected: without `isRead` in it, marking a message as read is not told (corso issue 1866). So
//! everything is selected that can change of a message and is shown anywhere, but for what cannot change without `lastModifiedDateTime`.

use super::{Args, mailbox::at};
use crate::{
    cache::{Feed, FeedKind},
    graph::GraphRequest,
};

const OF_A_MESSAGE: &str =
    "id,isRead,flag,categories,importance,inferenceClassification,hasAttachments,isDraft,subject,lastModifiedDateTime";
const OF_A_CONTACT: &str = "id,displayName,lastModifiedDateTime";

/// Lines on a page. Graph may give fewer.
const PAGE: &str = "odata.maxpagesize=500";

/// The first request of a walk of `feed`, in the mailbox that `args` are about; `None` for a feed that a tool walks.
pub fn walk_of(feed: &Feed, args: &Args) -> Option<GraphRequest> {
    let (path, fields) = match feed.of() {
        FeedKind::Drive => return None,
        FeedKind::Messages(folder) => (at(args, &["mailFolders", folder, "messages", "delta"]), OF_A_MESSAGE),
        FeedKind::Contacts(folder) => (at(args, &["contactFolders", folder, "contacts", "delta"]), OF_A_CONTACT),
    };
    Some(GraphRequest::get(&path).with("$select", fields).prefer(PAGE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::fake::args;
    use serde_json::json;

    #[test]
    fn a_walk_begins_in_the_mailbox_that_was_asked_about() {
        let own = args("email_list", json!({"account_id": "a"})).unwrap();
        let target = |feed: &Feed, args: &Args| walk_of(feed, args).map(|request| request.target());
        assert!(target(&Feed::messages("F="), &own).unwrap().starts_with("/me/mailFolders/F%3D/messages/delta?$select=id%2CisRead%2C"));
        assert!(target(&Feed::contacts("C"), &own).unwrap().starts_with("/me/contactFolders/C/contacts/delta?"));
        assert_eq!(target(&Feed::drive(), &own), None);
        let shared = args("email_list", json!({"account_id": "a", "mailbox": "team@contoso.example"})).unwrap();
        assert!(target(&Feed::messages("F"), &shared).unwrap().starts_with("/users/team%40contoso.example/mailFolders/F/messages/delta?"));
    }
}
