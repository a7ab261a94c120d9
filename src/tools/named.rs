//! Scopes of containers that a call knows by name only: Sent Items, the default calendar, the default contact folder.
//!
//! A write such as "move to `archive`" or "send" names its destination; the folder's id is learnt from the reply, and never
//! when the reply is lost. So that even then nothing stale is served, a list carries more than the scope of its real container:
//!
//! * a list asked for by a folder's name carries that name's scope, which such a write touches before it is sent;
//! * a list asked for by a folder's id cannot know whether the folder has a name (Graph v1.0 does not tell), so it carries one
//!   scope for "by id", which such a write touches too.
//!
//! The price is that a write to a named folder also has lists of other folders *by id* fetched again. Asking Graph for the ids of
//! the six names at every fetch, or bumping all of the mailbox at every move, would cost more.
//!
//! Calendars and contact folders have one name each, the default. `/me/events` and `/me/contacts` mean it, and every tool of this
//! catalogue does; a tool for other calendars or contact folders adds the scope of the real id beside it.

use crate::cache::Scope;

/// The messages of a well-known mail folder, by the name Graph gives it: `sentitems`.
pub(super) fn mail_folder(name: &str) -> Scope {
    Scope::messages(&format!("name:{name}"))
}

/// The messages of any mail folder that was asked for by id.
pub(super) fn mail_folders_by_id() -> Scope {
    Scope::messages("by-id")
}

/// The events of the default calendar.
pub(super) fn default_calendar() -> Scope {
    Scope::calendar("default")
}

/// The contacts of any contact folder that was asked for by id.
pub(super) fn contact_folders_by_id() -> Scope {
    Scope::contacts("by-id")
}

/// The contacts of the default contact folder.
pub(super) fn default_contacts() -> Scope {
    Scope::contacts("default")
}
