//! Which permissions of Microsoft Graph a tool makes use of, of those that signing in asks for.
//!
//! Decision: by family, for a family asks one part of Graph. The unit tests hold it true: the fake that answers a tool in them refuses a request that the
//! tool's permissions do not cover.

use super::{Effect, Tool};

/// The argument that names another person's mailbox.
const MAILBOX: &str = "mailbox";
/// Tools of mail that show messages, and so their times.
const SHOWING: [&str; 7] =
    ["email_list", "email_get", "email_create_draft", "email_mark_read", "email_update", "email_flag", "email_add_category"];
/// Tools of files that show no times.
const TIMELESS: [&str; 5] = ["file_get", "file_download_url", "file_copy", "file_delete", "folder_delete"];
/// Tools of mail that have a message sent.
const SENDING: [&str; 5] = ["email_send", "email_send_draft", "email_reply", "email_reply_all", "email_forward"];

impl Tool {
    /// The delegated permissions it makes use of, each once. None for what the daemon answers by itself.
    pub fn scopes(&self) -> Vec<&'static str> {
        if let Effect::Local = self.effect {
            return Vec::new();
        }
        let shared = self.params.iter().any(|param| param.name == MAILBOX);
        let mut scopes = match (self.category(), self.name) {
            ("email", name) if SENDING.contains(&name) => vec!["Mail.ReadWrite", "Mail.Send"],
            // The settings tell the time zone in which times are shown and days are counted.
            ("email", name) if SHOWING.contains(&name) => vec!["Mail.ReadWrite", "MailboxSettings.ReadWrite"],
            (_, "search_emails") => vec!["Mail.ReadWrite", "MailboxSettings.ReadWrite"],
            ("email" | "emailfolders", _) => vec!["Mail.ReadWrite"],
            // Where a rule moves to is looked up among the folders.
            ("emailrules", "emailrules_create" | "emailrules_update") => vec!["MailboxSettings.ReadWrite", "Mail.ReadWrite"],
            ("emailrules", _) => vec!["MailboxSettings.ReadWrite"],
            ("calendar", _) | (_, "search_events") => vec!["MailboxSettings.ReadWrite", "Calendars.ReadWrite"],
            ("contact", "contact_list" | "contact_get") => vec!["Contacts.ReadWrite", "MailboxSettings.ReadWrite"],
            ("contact", _) | (_, "search_contacts") => vec!["Contacts.ReadWrite"],
            ("file" | "folder", name) if TIMELESS.contains(&name) => vec!["Files.ReadWrite"],
            ("file" | "folder", _) => vec!["Files.ReadWrite", "MailboxSettings.ReadWrite"],
            (_, "search_files") => vec!["Files.ReadWrite", "Files.Read.All", "MailboxSettings.ReadWrite"],
            (_, "search_unified") => {
                vec!["Mail.ReadWrite", "MailboxSettings.ReadWrite", "Calendars.ReadWrite", "Files.ReadWrite", "Files.Read.All"]
            }
            _ => Vec::new(),
        };
        if shared {
            // Whose mailbox an address is.
            scopes.push("User.ReadBasic.All");
            let of_others = |scope: &&str| match *scope {
                "Mail.ReadWrite" => Some("Mail.ReadWrite.Shared"),
                "Mail.Send" => Some("Mail.Send.Shared"),
                "Calendars.ReadWrite" => Some("Calendars.ReadWrite.Shared"),
                _ => None,
            };
            let more: Vec<&str> = scopes.iter().filter_map(of_others).collect();
            scopes.extend(more);
        }
        scopes
    }
}

/// Holds a request that a tool has made to the permissions of that tool.
#[cfg(test)]
pub(super) fn hold(tool: &Tool, request: &crate::graph::GraphRequest) {
    let wanted = tests::wanted(request);
    let scopes = tool.scopes();
    assert!(
        wanted.is_empty() || wanted.iter().any(|scope| scopes.contains(scope)),
        "{} asks for `{}`, which wants one of {wanted:?}; it is said to make use of {scopes:?}",
        tool.name,
        request.path
    );
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{
        graph::{GraphRequest, Method},
        tools::all,
    };

    /// Of which one is enough, by the reference of permissions in Graph's documentation; none for an address whose owner is not to be told from it.
    pub(in super::super) fn wanted(request: &GraphRequest) -> &'static [&'static str] {
        let parts: Vec<&str> = request.path.split(['/', '?']).filter(|part| !part.is_empty()).collect();
        let (own, rest) = match parts.as_slice() {
            ["me", rest @ ..] => (true, rest),
            ["users", _, rest @ ..] => (false, rest),
            ["search", "query"] => {
                let asked = request.body.as_ref().map(ToString::to_string).unwrap_or_default();
                return match asked {
                    asked if asked.contains("driveItem") => &["Files.Read.All"],
                    asked if asked.contains("\"event\"") => &["Calendars.ReadWrite"],
                    _ => &["Mail.ReadWrite"],
                };
            }
            ["drives" | "shares", ..] => return &["Files.ReadWrite"],
            _ => return &[],
        };
        let sends =
            request.method == Method::Post && matches!(rest.last(), Some(&("send" | "reply" | "replyAll" | "forward" | "sendMail")));
        let begins = |names: &[&str]| rest.first().is_some_and(|first| names.contains(&first.split(['(', ':']).next().unwrap_or(first)));
        if rest.contains(&"messageRules") || begins(&["mailboxSettings"]) {
            return &["MailboxSettings.ReadWrite"];
        }
        match own {
            true if begins(&["sendMail"]) || (sends && begins(&["messages"])) => &["Mail.Send"],
            false if begins(&["sendMail"]) || (sends && begins(&["messages"])) => &["Mail.Send.Shared"],
            true if begins(&["messages", "mailFolders"]) => &["Mail.ReadWrite"],
            false if begins(&["messages", "mailFolders"]) => &["Mail.ReadWrite.Shared"],
            true if begins(&["events", "calendar", "calendars", "calendarView"]) => &["Calendars.ReadWrite"],
            false if begins(&["events", "calendar", "calendars", "calendarView"]) => &["Calendars.ReadWrite.Shared"],
            _ if begins(&["contacts", "contactFolders"]) => &["Contacts.ReadWrite"],
            _ if begins(&["drive"]) => &["Files.ReadWrite"],
            _ => &[],
        }
    }

    #[test]
    fn whatever_asks_microsoft_needs_something_and_each_of_it_once() {
        for tool in all() {
            let scopes = tool.scopes();
            assert_eq!(scopes.len(), scopes.iter().collect::<BTreeSet<_>>().len(), "{}", tool.name);
            assert_eq!(scopes.is_empty(), matches!(tool.effect, Effect::Local), "{}", tool.name);
        }
    }
}
