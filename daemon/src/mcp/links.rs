//! `m365://` addresses: what one names, and which tool answers it. Pure.
//!
//! The account stands where a host would: its id, or its username with `@` written `%40`. Everything behind it is percent-encoded, because
//! Graph's ids may hold `/`, `+` and `=`.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::{Map, Value, json};

const SCHEME: &str = "m365://";
/// All but what RFC 3986 leaves unreserved: so does a client that fills in a template (RFC 6570, 3.2.2).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// Messages of the inbox that its resource shows.
const NEWEST: u32 = 25;

/// What an address names within its account.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Thing {
    /// The newest messages.
    Inbox,
    /// The events of the next week.
    Calendar,
    /// What lies in the drive's first folder.
    Drive,
    /// One message.
    Message(String),
    /// What is attached to a message: a list, no bytes.
    Attachments(String),
    /// One attachment of a message.
    Attachment(String, String),
    /// One event.
    Event(String),
    /// One file.
    File(String),
}

/// An address, taken apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Link {
    /// Id, username or alias.
    pub(super) account: String,
    /// What is named.
    pub(super) thing: Thing,
}

impl Link {
    /// Reads an address; `None` for one that names nothing of ours.
    pub(super) fn parse(address: &str) -> Option<Self> {
        let rest = address.strip_prefix(SCHEME)?;
        let parts: Vec<String> = rest.split('/').map(plain).collect::<Option<_>>()?;
        let (account, path) = parts.split_first()?;
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        if account.is_empty() || path.iter().any(|part| part.is_empty()) {
            return None;
        }
        let own = |text: &str| text.to_owned();
        let thing = match path.as_slice() {
            ["inbox"] => Thing::Inbox,
            ["calendar"] => Thing::Calendar,
            ["files"] => Thing::Drive,
            ["messages", id] => Thing::Message(own(id)),
            ["messages", id, "attachments"] => Thing::Attachments(own(id)),
            ["messages", id, "attachments", attachment] => Thing::Attachment(own(id), own(attachment)),
            ["events", id] => Thing::Event(own(id)),
            ["files", id] => Thing::File(own(id)),
            _ => return None,
        };
        Some(Self { account: account.clone(), thing })
    }

    /// The tool whose answer it is, and its arguments; `None` for what is bytes.
    pub(super) fn call(&self) -> Option<(&'static str, Map<String, Value>)> {
        let account = &self.account;
        let (tool, arguments) = match &self.thing {
            Thing::Inbox => ("email_list", json!({ "account_id": account, "include_body": false, "limit": NEWEST })),
            Thing::Calendar => ("calendar_list_events", json!({ "account_id": account })),
            Thing::Drive => ("file_list", json!({ "account_id": account })),
            Thing::Message(id) => ("email_get", json!({ "account_id": account, "email_id": id })),
            Thing::Attachments(id) => ("email_list_attachments", json!({ "account_id": account, "email_id": id })),
            Thing::Event(id) => ("calendar_get_event", json!({ "account_id": account, "event_id": id })),
            Thing::Attachment(..) | Thing::File(_) => return None,
        };
        match arguments {
            Value::Object(arguments) => Some((tool, arguments)),
            _ => None,
        }
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = |text| utf8_percent_encode(text, RESERVED);
        write!(f, "{SCHEME}{}/", part(&self.account))?;
        match &self.thing {
            Thing::Inbox => f.write_str("inbox"),
            Thing::Calendar => f.write_str("calendar"),
            Thing::Drive => f.write_str("files"),
            Thing::Message(id) => write!(f, "messages/{}", part(id)),
            Thing::Attachments(id) => write!(f, "messages/{}/attachments", part(id)),
            Thing::Attachment(id, attachment) => write!(f, "messages/{}/attachments/{}", part(id), part(attachment)),
            Thing::Event(id) => write!(f, "events/{}", part(id)),
            Thing::File(id) => write!(f, "files/{}", part(id)),
        }
    }
}

/// A part of an address without its encoding; `None` when it is no text.
fn plain(part: &str) -> Option<String> {
    percent_decode_str(part).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn things() -> impl Strategy<Value = Thing> {
        let id = "[ -~äß€]{1,30}";
        prop_oneof![
            Just(Thing::Inbox),
            Just(Thing::Calendar),
            Just(Thing::Drive),
            id.prop_map(Thing::Message),
            id.prop_map(Thing::Attachments),
            (id, id).prop_map(|(message, attachment)| Thing::Attachment(message, attachment)),
            id.prop_map(Thing::Event),
            id.prop_map(Thing::File),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(account in "[!-~]{1,40}", thing in things()) {
            let link = Link { account, thing };
            let address = link.to_string();
            prop_assert!(address.is_ascii() && !address.contains(' '));
            prop_assert_eq!(Link::parse(&address), Some(link));
        }

        #[test]
        fn no_address_makes_it_panic(address in ".{0,60}") {
            let _ = Link::parse(&address);
            let _ = Link::parse(&format!("{SCHEME}{address}"));
        }
    }

    #[test]
    fn an_address_names_one_thing_or_nothing() {
        let link = Link::parse("m365://alex%40contoso.example/messages/AA%2FB%3D/attachments").unwrap();
        assert_eq!((link.account.as_str(), &link.thing), ("alex@contoso.example", &Thing::Attachments("AA/B=".into())));
        let (tool, arguments) = link.call().unwrap();
        assert_eq!((tool, &arguments["email_id"]), ("email_list_attachments", &json!("AA/B=")));
        for nothing in
            ["m365://", "m365://a", "m365://a/", "m365:///inbox", "m365://a/messages/", "m365://a/inbox/x", "m366://a/inbox", "%ff"]
        {
            assert_eq!(Link::parse(nothing), None, "{nothing}");
        }
    }

    /// Every tool that an address stands for takes the arguments it is given.
    #[test]
    fn the_tools_take_these_arguments() {
        for thing in ["inbox", "calendar", "files", "messages/m", "messages/m/attachments", "events/e"] {
            let (name, arguments) = Link::parse(&format!("m365://a/{thing}")).unwrap().call().unwrap();
            let tool = m365_cached::tools::find(name).unwrap();
            m365_cached::tools::Args::check(tool, &arguments).unwrap_or_else(|error| panic!("{thing}: {error}"));
        }
    }
}
