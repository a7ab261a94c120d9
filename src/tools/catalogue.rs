//! The one list of tools, and how one is found.

use super::{Tool, account, args::nearest_of, cache, calendar, contact, email, emailfolders, emailrules, file, folder, search, server};
use crate::hint::{Hint, Kind};

/// Every tool there is, by family, in the order in which clients see them.
pub const CATALOGUE: &[&[Tool]] = &[
    account::TOOLS,
    email::READS,
    email::ATTACHMENTS,
    email::SENDS,
    email::ANSWERS,
    email::MARKS,
    email::CHANGES,
    email::ATTACHMENT_SAVES,
    emailfolders::READS,
    emailfolders::CHANGES,
    emailfolders::BULK,
    emailrules::READS,
    emailrules::CHANGES,
    emailrules::ORDER,
    calendar::EVENTS,
    calendar::CHANGES,
    calendar::DELETES,
    calendar::INVITES,
    calendar::SCHEDULE,
    calendar::CALENDARS,
    contact::READS,
    contact::CHANGES,
    contact::EXPORT,
    file::LIST,
    file::CONTENT,
    file::CHANGES,
    file::SHARE,
    folder::TOOLS,
    folder::CHANGES,
    search::FILES,
    search::EMAILS,
    search::EVENTS,
    search::CONTACTS,
    search::UNIFIED,
    cache::TOOLS,
    server::TOOLS,
];

/// Every tool there is, one after the other.
pub fn all() -> impl Iterator<Item = &'static Tool> {
    CATALOGUE.iter().copied().flatten()
}

/// The tool called `name`. Case matters, as it does in MCP.
pub fn find(name: &str) -> Result<&'static Tool, UnknownTool> {
    all()
        .find(|tool| tool.name == name)
        .ok_or_else(|| UnknownTool { name: name.chars().take(64).collect(), nearest: nearest_of(all().map(|tool| tool.name), name) })
}

/// There is no tool of that name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no tool `{name}`")]
pub struct UnknownTool {
    /// What was asked for, cut at 64 characters.
    pub name: String,
    /// The tool that was probably meant.
    pub nearest: Option<&'static str>,
}

impl Hint for UnknownTool {
    fn kind(&self) -> Kind {
        Kind::User
    }
    fn code(&self) -> &'static str {
        "unknown_tool"
    }
    fn hint(&self) -> Option<String> {
        Some(match self.nearest {
            Some(nearest) => format!("Did you mean `{nearest}`?"),
            None => "`m365-cachectl tools` lists them.".into(),
        })
    }
}
