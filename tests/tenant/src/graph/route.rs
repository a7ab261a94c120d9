//! What a path names. Raw segments in, a resource out; knows the shape of Graph's addresses and none of its data.

use percent_encoding::percent_decode_str;

use super::calendar;
use super::errors::Fault;
use super::marks;
use super::odata::Answer;
use super::replying::Answering;
use crate::wire::unfolded;

/// Whose things a path is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Owner {
    /// `/me`
    Me,
    /// `/users/{id or userPrincipalName}`
    User(String),
    /// `/drives/{id}`
    Drive(String),
}

/// Where a drive item is to be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ItemAt {
    /// `None` is the root.
    pub(crate) id: Option<String>,
    /// Decoded names below it, separated by `/`.
    pub(crate) path: Option<String>,
}

/// What of a drive item is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ItemPart {
    Itself,
    Children,
    Content,
    /// The token when it came as a function's argument.
    Delta(Option<String>),
    Search(String),
    Copy,
    CreateLink,
    CreateUploadSession,
    Invite,
    Permissions,
    Permission(String),
}

/// The thing a path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Resource {
    User,
    SearchQuery,
    MailboxSettings(Option<String>),
    SendMail,
    MailFolders,
    MailFoldersDelta,
    MailFolder(String),
    ChildFolders(String),
    MailFolderAction(String, FolderAction),
    /// Of one folder, or of the whole mailbox.
    Messages(Option<String>),
    MessagesCount(Option<String>),
    MessagesDelta(String),
    Message(String),
    MessageMime(String),
    MessageAction(String, MessageAction),
    Attachments(String),
    AttachmentUpload(String),
    Attachment(String, String),
    AttachmentContent(String, String),
    /// The folder and, for one of them, its id.
    MessageRules(String),
    MessageRule(String, String),
    Categories,
    Category(String),
    MailTips,
    /// Of the mailbox, or below one folder.
    ContactFolders(Option<String>),
    ContactFoldersDelta,
    ContactFolder(String),
    Contacts(Option<String>),
    ContactsDelta(Option<String>),
    Contact(String),
    /// Open extensions of something, and one of them.
    Extensions(marks::On),
    Extension(marks::On, String),
    Calendar(calendar::Part),
    Drives,
    Drive,
    Item(ItemAt, ItemPart),
}

/// What can be done with a mail folder as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FolderAction {
    Move,
    Copy,
}

/// What can be done with a message as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MessageAction {
    Move,
    Copy,
    Send,
    PermanentDelete,
    /// Sent at once.
    Answer(Answering),
    /// Left as a draft.
    Draft(Answering),
}

/// One decoded step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Name(String),
    /// The part between two colons: `root:/a/b:`.
    Path(String),
}

fn decode(raw: &str) -> String {
    percent_decode_str(raw).decode_utf8_lossy().into_owned()
}

/// Cuts a raw path into decoded steps.
fn steps(path: &str) -> Vec<Step> {
    let mut out = Vec::new();
    let path = unfolded(path);
    let mut raw = path.split('/').filter(|part| !part.is_empty()).peekable();
    while let Some(part) = raw.next() {
        if let Some(head) = part.strip_suffix(':').filter(|head| !head.is_empty()) {
            out.push(Step::Name(decode(head)));
            let mut names = Vec::new();
            for part in raw.by_ref() {
                let (name, last) = part.strip_suffix(':').map_or((part, false), |name| (name, true));
                if !name.is_empty() {
                    names.push(decode(name));
                }
                if last {
                    break;
                }
            }
            out.push(Step::Path(names.join("/")));
            continue;
        }
        // `messages('id')` is another way to write `messages/id`; functions keep their argument.
        let text = decode(part);
        if let Some((name, key)) = text.strip_suffix("')").and_then(|t| t.split_once("('"))
            && name.chars().all(char::is_alphanumeric)
        {
            out.push(Step::Name(name.to_owned()));
            out.push(Step::Name(key.replace("''", "'")));
            continue;
        }
        out.push(Step::Name(text));
    }
    out
}

/// Reads a path. Names of collections and functions are compared without regard to case, ids exactly.
pub(crate) fn parse(path: &str) -> Answer<(Owner, Resource)> {
    let steps = steps(path);
    let name = |at: usize| match steps.get(at) {
        Some(Step::Name(name)) => Some(name.as_str()),
        _ => None,
    };
    let first = name(0).unwrap_or("");
    let (owner, rest) = match first.to_ascii_lowercase().as_str() {
        "me" => (Owner::Me, &steps[1..]),
        "users" => (Owner::User(name(1).ok_or_else(|| Fault::unknown_segment("users"))?.to_owned()), &steps[2..]),
        "drives" => (Owner::Drive(name(1).ok_or_else(|| Fault::unknown_segment("drives"))?.to_owned()), &steps[2..]),
        "drive" => (Owner::Me, &steps[..]),
        "search" if name(1).is_some_and(|n| n.eq_ignore_ascii_case("query")) && steps.len() == 2 => {
            return Ok((Owner::Me, Resource::SearchQuery));
        }
        _ => return Err(Fault::unknown_segment(first)),
    };
    if matches!(owner, Owner::Drive(_)) {
        return Ok((owner, drive(rest)?));
    }
    // A user's drive by its id is that drive, whoever asks.
    if let [Step::Name(drives), Step::Name(id), below @ ..] = rest
        && drives.eq_ignore_ascii_case("drives")
    {
        return Ok((Owner::Drive(id.clone()), drive(below)?));
    }
    Ok((owner, below_user(rest)?))
}

fn below_user(rest: &[Step]) -> Answer<Resource> {
    let names: Vec<&str> = rest
        .iter()
        .map(|step| match step {
            Step::Name(name) | Step::Path(name) => name.as_str(),
        })
        .collect();
    let lower: Vec<String> = names.iter().map(|name| name.to_ascii_lowercase()).collect();
    let lower: Vec<&str> = lower.iter().map(String::as_str).collect();
    let own = |at: usize| names[at].to_owned();
    if let Some(found) = extensions(&names, &lower) {
        return Ok(found);
    }
    Ok(match lower.as_slice() {
        [] => Resource::User,
        ["mailboxsettings"] => Resource::MailboxSettings(None),
        ["mailboxsettings", _] => Resource::MailboxSettings(Some(own(1))),
        ["sendmail"] => Resource::SendMail,
        ["mailfolders"] => Resource::MailFolders,
        ["mailfolders", "delta" | "delta()" | "microsoft.graph.delta()"] => Resource::MailFoldersDelta,
        ["mailfolders", _] => Resource::MailFolder(own(1)),
        ["mailfolders", _, "childfolders"] => Resource::ChildFolders(own(1)),
        ["mailfolders", _, "childfolders", _] => Resource::MailFolder(own(3)),
        ["mailfolders", _, "move"] => Resource::MailFolderAction(own(1), FolderAction::Move),
        ["mailfolders", _, "copy"] => Resource::MailFolderAction(own(1), FolderAction::Copy),
        ["mailfolders", _, "messages"] => Resource::Messages(Some(own(1))),
        ["mailfolders", _, "messages", "$count"] => Resource::MessagesCount(Some(own(1))),
        ["mailfolders", _, "messages", "delta" | "delta()" | "microsoft.graph.delta()"] => Resource::MessagesDelta(own(1)),
        ["mailfolders", _, "messages", ..] => message(&names[3..], &lower[3..])?,
        ["messages"] => Resource::Messages(None),
        ["messages", "$count"] => Resource::MessagesCount(None),
        ["messages", ..] => message(&names[1..], &lower[1..])?,
        ["mailfolders", _, "messagerules"] => Resource::MessageRules(own(1)),
        ["mailfolders", _, "messagerules", _] => Resource::MessageRule(own(1), own(3)),
        ["outlook", "mastercategories"] => Resource::Categories,
        ["outlook", "mastercategories", _] => Resource::Category(own(2)),
        ["getmailtips" | "microsoft.graph.getmailtips"] => Resource::MailTips,
        ["contactfolders"] => Resource::ContactFolders(None),
        ["contactfolders", "delta" | "delta()"] => Resource::ContactFoldersDelta,
        ["contactfolders", _, "childfolders"] => Resource::ContactFolders(Some(own(1))),
        ["contactfolders", _, "childfolders", _] => Resource::ContactFolder(own(3)),
        ["contactfolders", _] => Resource::ContactFolder(own(1)),
        ["contactfolders", _, "contacts"] => Resource::Contacts(Some(own(1))),
        ["contactfolders", _, "contacts", "delta" | "delta()"] => Resource::ContactsDelta(Some(own(1))),
        ["contactfolders", _, "contacts", _] => Resource::Contact(own(3)),
        ["contacts"] => Resource::Contacts(None),
        ["contacts", "delta" | "delta()"] => Resource::ContactsDelta(None),
        ["contacts", _] => Resource::Contact(own(1)),
        ["calendars" | "calendar" | "calendargroups" | "calendarview" | "events" | "findmeetingtimes", ..] => {
            Resource::Calendar(calendar::parse(&names, &lower)?)
        }
        ["drives"] => Resource::Drives,
        ["drive", ..] => drive(&rest[1..])?,
        _ => {
            return Err(Fault::unknown_segment(names.iter().zip(&lower).find(|(_, l)| !is_literal(l)).map_or(names[0], |(n, _)| n)));
        }
    })
}

/// `…/extensions` and `…/extensions/{id}` of a profile, a message, an event or a contact, wherever that lies.
fn extensions(names: &[&str], lower: &[&str]) -> Option<Resource> {
    let at = lower.iter().rposition(|name| *name == "extensions").filter(|at| at + 2 >= lower.len())?;
    let holder = |back: usize| at.checked_sub(back).map(|at| lower[at]);
    let id = || names[at - 1].to_owned();
    let on = match holder(2) {
        None if at == 0 => marks::On::Profile,
        Some("messages") => marks::On::Message(id()),
        Some("events" | "calendarview" | "instances") => marks::On::Event(id()),
        Some("contacts") => marks::On::Contact(id()),
        _ => return None,
    };
    Some(match names.get(at + 1) {
        None => Resource::Extensions(on),
        Some(id) => Resource::Extension(on, (*id).to_owned()),
    })
}

fn message(names: &[&str], lower: &[&str]) -> Answer<Resource> {
    let own = |at: usize| names[at].to_owned();
    Ok(match lower {
        [_] => Resource::Message(own(0)),
        [_, "$value"] => Resource::MessageMime(own(0)),
        [_, "move"] => Resource::MessageAction(own(0), MessageAction::Move),
        [_, "copy"] => Resource::MessageAction(own(0), MessageAction::Copy),
        [_, "send"] => Resource::MessageAction(own(0), MessageAction::Send),
        [_, "permanentdelete"] => Resource::MessageAction(own(0), MessageAction::PermanentDelete),
        [_, "reply"] => Resource::MessageAction(own(0), MessageAction::Answer(Answering::Sender)),
        [_, "replyall"] => Resource::MessageAction(own(0), MessageAction::Answer(Answering::All)),
        [_, "forward"] => Resource::MessageAction(own(0), MessageAction::Answer(Answering::Others)),
        [_, "createreply"] => Resource::MessageAction(own(0), MessageAction::Draft(Answering::Sender)),
        [_, "createreplyall"] => Resource::MessageAction(own(0), MessageAction::Draft(Answering::All)),
        [_, "createforward"] => Resource::MessageAction(own(0), MessageAction::Draft(Answering::Others)),
        [_, "attachments"] => Resource::Attachments(own(0)),
        [_, "attachments", "createuploadsession"] => Resource::AttachmentUpload(own(0)),
        [_, "attachments", _] => Resource::Attachment(own(0), own(2)),
        [_, "attachments", _, "$value"] => Resource::AttachmentContent(own(0), own(2)),
        _ => return Err(Fault::unknown_segment(names.get(1).unwrap_or(&""))),
    })
}

fn drive(rest: &[Step]) -> Answer<Resource> {
    let (mut at, rest) = match rest {
        [] => return Ok(Resource::Drive),
        [Step::Name(root), rest @ ..] if root.eq_ignore_ascii_case("root") => (ItemAt { id: None, path: None }, rest),
        // `items/root` is an alias that Microsoft's SDKs use.
        [Step::Name(items), Step::Name(root), rest @ ..] if items.eq_ignore_ascii_case("items") && root == "root" => {
            (ItemAt { id: None, path: None }, rest)
        }
        [Step::Name(items), Step::Name(id), rest @ ..] if items.eq_ignore_ascii_case("items") => {
            (ItemAt { id: Some(id.clone()), path: None }, rest)
        }
        [Step::Name(function)] if function.to_ascii_lowercase().starts_with("search(") => (ItemAt { id: None, path: None }, rest),
        [Step::Name(other), ..] | [Step::Path(other), ..] => {
            return Err(Fault::unknown_segment(other));
        }
    };
    let rest = match rest {
        [Step::Path(path), rest @ ..] => {
            at.path = Some(path.clone());
            rest
        }
        rest => rest,
    };
    let part = match rest {
        [] => ItemPart::Itself,
        [Step::Name(name)] => {
            let lower = name.to_ascii_lowercase();
            match lower.as_str() {
                "children" => ItemPart::Children,
                "content" => ItemPart::Content,
                "delta" | "delta()" | "microsoft.graph.delta()" => ItemPart::Delta(None),
                "copy" | "microsoft.graph.copy" => ItemPart::Copy,
                "createlink" | "microsoft.graph.createlink" => ItemPart::CreateLink,
                "createuploadsession" | "microsoft.graph.createuploadsession" => ItemPart::CreateUploadSession,
                "invite" | "microsoft.graph.invite" => ItemPart::Invite,
                "permissions" => ItemPart::Permissions,
                _ => match argument(name) {
                    Some((function, value)) if function == "search" => ItemPart::Search(value),
                    Some((function, value)) if function == "delta" => ItemPart::Delta(Some(value)),
                    _ => return Err(Fault::unknown_segment(name)),
                },
            }
        }
        [Step::Name(name), Step::Name(id)] if name.eq_ignore_ascii_case("permissions") => ItemPart::Permission(id.clone()),
        // `search('x')` and the like were cut in two by the key syntax; Graph refuses them too.
        [Step::Name(name), ..] | [Step::Path(name), ..] => {
            return Err(Fault::unknown_segment(name));
        }
    };
    Ok(Resource::Item(at, part))
}

/// `search(q='it''s')` gives `search` and `it's`.
fn argument(text: &str) -> Option<(String, String)> {
    let (function, rest) = text.split_once('(')?;
    let value = rest.strip_suffix(')')?.split_once('=')?.1.trim();
    let value = value.strip_prefix('\'')?.strip_suffix('\'')?;
    Some((function.to_ascii_lowercase(), value.replace("''", "'")))
}

/// The names that are never ids, in the spelling of the documentation.
const LITERALS: &[&str] = &[
    "me",
    "users",
    "drives",
    "drive",
    "mailFolders",
    "messages",
    "childFolders",
    "attachments",
    "contacts",
    "contactFolders",
    "calendars",
    "calendar",
    "events",
    "calendarView",
    "instances",
    "items",
    "root",
    "children",
    "content",
    "delta",
    "copy",
    "move",
    "send",
    "sendMail",
    "createLink",
    "mailboxSettings",
    "$count",
    "$value",
    "$batch",
    "permissions",
    "search",
    "query",
    "people",
    "photo",
    "messageRules",
    "outlook",
    "masterCategories",
    "getMailTips",
    "createUploadSession",
    "subscriptions",
    "reply",
    "replyAll",
    "forward",
    "createReply",
    "createReplyAll",
    "createForward",
    "permanentDelete",
    "getSchedule",
    "calendarGroups",
    "findMeetingTimes",
    "accept",
    "decline",
    "tentativelyAccept",
    "cancel",
    "dismissReminder",
    "invite",
    "extensions",
];
/// Behind these comes an id.
const KEYED: &[&str] = &[
    "users",
    "drives",
    "mailfolders",
    "messages",
    "childfolders",
    "messagerules",
    "mastercategories",
    "attachments",
    "contacts",
    "contactfolders",
    "calendars",
    "calendargroups",
    "events",
    "items",
    "instances",
    "permissions",
    "extensions",
];

fn is_literal(lower: &str) -> bool {
    LITERALS.iter().any(|known| known.eq_ignore_ascii_case(lower))
}

/// The label of a route for counting: `GET /me/mailFolders/{id}/messages`.
pub(crate) fn label(method: &http::Method, path: &str) -> String {
    let mut out = format!("{method} ");
    let mut keyed = false;
    for step in steps(path) {
        match step {
            Step::Path(_) => out.push_str(":/{path}:"),
            Step::Name(name) => {
                let bare = name.split('(').next().unwrap_or("").to_owned();
                let known = LITERALS.iter().find(|known| known.eq_ignore_ascii_case(&bare));
                let operation = matches!(bare.to_ascii_lowercase().as_str(), "delta" | "$count" | "createuploadsession");
                out.push('/');
                match known {
                    Some(known) if !keyed || operation => {
                        out.push_str(known);
                        keyed = KEYED.contains(&known.to_ascii_lowercase().as_str());
                    }
                    _ => {
                        out.push_str("{id}");
                        keyed = false;
                    }
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(path: &str) -> (Owner, Resource) {
        parse(path).unwrap_or_else(|fault| panic!("{path}: {}", fault.message))
    }

    fn item(id: Option<&str>, path: Option<&str>, part: ItemPart) -> Resource {
        Resource::Item(ItemAt { id: id.map(str::to_owned), path: path.map(str::to_owned) }, part)
    }

    #[test]
    fn addresses_are_read_as_graph_writes_them() {
        assert_eq!(named("/me/messages/AA%2FBB%3D").1, Resource::Message("AA/BB=".to_owned()));
        assert_eq!(named("/me/mailfolders('inbox')/messages").1, Resource::Messages(Some("inbox".to_owned())));
        assert_eq!(named("/users/bea@contoso.example/mailFolders/inbox/messages/delta").0, Owner::User("bea@contoso.example".to_owned()));
        assert_eq!(named("/me/mailFolders/x/messages/y/attachments/z/$value").1, Resource::AttachmentContent("y".into(), "z".into()));
        assert_eq!(named("/me/drive/root:/a%25/b%20c:/children").1, item(None, Some("a%/b c"), ItemPart::Children));
        assert_eq!(named("/me/drive/root:/a/b.txt").1, item(None, Some("a/b.txt"), ItemPart::Itself));
        assert_eq!(named("/me/drive/root:/a/b.txt:").1, item(None, Some("a/b.txt"), ItemPart::Itself));
        assert_eq!(named("/drives/b!x/items/01ABC:/new.txt:/content").1, item(Some("01ABC"), Some("new.txt"), ItemPart::Content));
        assert_eq!(named("/me/drive/root/search(q='it''s%20me')").1, item(None, None, ItemPart::Search("it's me".to_owned())));
        assert_eq!(named("/me/drive/root/delta(token='abc')").1, item(None, None, ItemPart::Delta(Some("abc".to_owned()))));
        let encoded = named("/drives/b!x/items/01ABC%3A%2Fa%20b%2Fnew.txt%3A/content").1;
        assert_eq!(encoded, item(Some("01ABC"), Some("a b/new.txt"), ItemPart::Content));
        assert_eq!(named("/drives/b!x/items/root%3A%2Fnew.txt%3A").1, item(None, Some("new.txt"), ItemPart::Itself));
        assert_eq!(named("/me/drives/b!x/root/children"), (Owner::Drive("b!x".to_owned()), item(None, None, ItemPart::Children)));
        assert_eq!(named("/drive/items/A!1/content").1, item(Some("A!1"), None, ItemPart::Content));
    }

    #[test]
    fn what_graph_does_not_know_is_named() {
        for (path, segment) in
            [("/me/nonsense", "nonsense"), ("/nothing", "nothing"), ("/me/messages/x/frob", "frob"), ("/me/drive/bin", "bin")]
        {
            let fault = parse(path).expect_err(path);
            assert_eq!(fault.message, format!("Resource not found for the segment '{segment}'."));
        }
    }

    #[test]
    fn labels_hide_ids_and_paths() {
        let get = http::Method::GET;
        assert_eq!(label(&get, "/me/mailFolders/AAMk%3D/messages"), "GET /me/mailFolders/{id}/messages");
        assert_eq!(label(&get, "/me/mailfolders/delta"), "GET /me/mailFolders/delta");
        assert_eq!(label(&get, "/me/drive/root:/a/b:/children"), "GET /me/drive/root:/{path}:/children");
        assert_eq!(label(&get, "/users/x@y/messages/1/attachments/2/$value"), "GET /users/{id}/messages/{id}/attachments/{id}/$value");
        assert_eq!(label(&get, "/me/drive/root/search(q='x')"), "GET /me/drive/root/search");
    }
}
