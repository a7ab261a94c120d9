//! Which delegated permission each part of Graph wants.

use http::{Method, StatusCode};
use jiff::Timestamp;
use percent_encoding::percent_decode_str;

use super::bearer::Bearer;
use super::errors;
use crate::seed::User;
use crate::wire::{Reply, Request};

/// What sends a message rather than changing one.
const SENDING: &[&str] = &["send", "reply", "replyall", "forward"];

/// What a path is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Area {
    Profile,
    Mail,
    Sending,
    Settings,
    Calendars,
    Contacts,
    Files,
}

/// The 403 for a token that lacks the permission; `None` when it has it, or when the path is not known here (Graph
/// answers those itself).
pub(crate) fn refusal(request: &Request, bearer: &Bearer, now: Timestamp) -> Option<Reply> {
    // Two questions are asked by POST, for the length of what they carry.
    let asks = ["/getschedule", "/findmeetingtimes"].iter().any(|question| request.path.to_lowercase().ends_with(question));
    let writes = !matches!(request.method, Method::GET | Method::HEAD) && !asks;
    let has = |area, writes, own| wanted(area, writes, own).iter().any(|scope| bearer.scopes.iter().any(|has| has == scope));
    if request.path.eq_ignore_ascii_case("/search/query") {
        let lacks = searched(&request.body).into_iter().any(|area| !has(area, false, true));
        let message = "Access to the searched content requires a permission that the token lacks.";
        return lacks.then(|| errors::reply(StatusCode::FORBIDDEN, "Forbidden", message, now));
    }
    let (area, own) = area(&request.path, &bearer.user)?;
    // Asking for tips changes nothing.
    let writes = writes && !request.path.to_ascii_lowercase().ends_with("/getmailtips");
    if has(area, writes, own) {
        return None;
    }
    let (code, message) = match area {
        Area::Profile => ("Authorization_RequestDenied", "Insufficient privileges to complete the operation."),
        Area::Files => ("accessDenied", "Access denied"),
        _ => ("ErrorAccessDenied", "Access is denied. Check credentials and try again."),
    };
    Some(errors::reply(StatusCode::FORBIDDEN, code, message, now))
}

/// What a search looks through, by its `entityTypes`.
fn searched(body: &[u8]) -> Vec<Area> {
    let body: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let kinds = body["requests"].as_array().into_iter().flatten().filter_map(|request| request["entityTypes"].as_array()).flatten();
    let area = |kind: &serde_json::Value| match kind.as_str()? {
        "message" => Some(Area::Mail),
        "event" => Some(Area::Calendars),
        "driveItem" | "drive" | "listItem" | "list" | "site" => Some(Area::Files),
        _ => None,
    };
    kinds.filter_map(area).collect()
}

/// What a path is about, and whether it is the asking user's own.
fn area(path: &str, user: &User) -> Option<(Area, bool)> {
    let decoded = percent_decode_str(path).decode_utf8_lossy().to_lowercase();
    // `root:/a/b:` and `users('x')` forms end the name at the mark.
    let mut parts = decoded.split('/').filter(|part| !part.is_empty());
    let name = |part: &str| part.split([':', '(']).next().unwrap_or_default().to_owned();
    let own = match name(parts.next()?).as_str() {
        "me" => true,
        "users" => {
            let who = parts.next().unwrap_or_default();
            who == user.id.to_lowercase() || who == user.username.to_lowercase()
        }
        "drives" | "shares" => return Some((Area::Files, true)),
        _ => return None,
    };
    let rest: Vec<String> = parts.map(name).collect();
    let area = match rest.first().map_or("", String::as_str) {
        "" | "extensions" => Area::Profile,
        _ if rest.iter().any(|part| part == "messagerules") => Area::Settings,
        "sendmail" => Area::Sending,
        "messages" | "mailfolders" if rest.last().is_some_and(|last| SENDING.contains(&last.as_str())) => Area::Sending,
        "getmailtips" => Area::Mail,
        "outlook" => Area::Settings,
        "messages" | "mailfolders" | "inferenceclassification" => Area::Mail,
        "mailboxsettings" => Area::Settings,
        "events" | "calendar" | "calendars" | "calendarview" | "calendargroups" | "findmeetingtimes" => Area::Calendars,
        "contacts" | "contactfolders" => Area::Contacts,
        "drive" | "drives" => Area::Files,
        _ => return None,
    };
    Some((area, own))
}

/// The scopes of which one is enough.
fn wanted(area: Area, writes: bool, own: bool) -> &'static [&'static str] {
    match (area, writes, own) {
        (Area::Profile, true, _) => &["user.readwrite", "user.readwrite.all"],
        (Area::Profile, false, _) => &["user.read", "user.readwrite", "user.readbasic.all", "user.read.all"],
        (Area::Mail, false, true) => &["mail.read", "mail.readwrite"],
        (Area::Mail, true, true) => &["mail.readwrite"],
        (Area::Mail, false, false) => &["mail.read.shared", "mail.readwrite.shared"],
        (Area::Mail, true, false) => &["mail.readwrite.shared"],
        (Area::Sending, _, true) => &["mail.send"],
        (Area::Sending, _, false) => &["mail.send.shared"],
        (Area::Settings, false, _) => &["mailboxsettings.read", "mailboxsettings.readwrite"],
        (Area::Settings, true, _) => &["mailboxsettings.readwrite"],
        (Area::Calendars, false, true) => &["calendars.read", "calendars.readwrite"],
        (Area::Calendars, true, true) => &["calendars.readwrite"],
        (Area::Calendars, false, false) => &["calendars.read.shared", "calendars.readwrite.shared"],
        (Area::Calendars, true, false) => &["calendars.readwrite.shared"],
        (Area::Contacts, false, true) => &["contacts.read", "contacts.readwrite"],
        (Area::Contacts, true, true) => &["contacts.readwrite"],
        (Area::Contacts, false, false) => &["contacts.read.shared", "contacts.readwrite.shared"],
        (Area::Contacts, true, false) => &["contacts.readwrite.shared"],
        (Area::Files, false, _) => {
            &["files.read", "files.readwrite", "files.read.all", "files.readwrite.all", "sites.read.all", "sites.readwrite.all"]
        }
        (Area::Files, true, _) => &["files.readwrite", "files.readwrite.all", "sites.readwrite.all"],
    }
}

/// Every scope a path may want, as a client asks for them with `.default`.
pub(crate) const ALL: &[&str] = &[
    "Calendars.ReadWrite",
    "Calendars.ReadWrite.Shared",
    "Contacts.ReadWrite",
    "Contacts.ReadWrite.Shared",
    "Files.ReadWrite.All",
    "Mail.ReadWrite",
    "Mail.ReadWrite.Shared",
    "Mail.Send",
    "Mail.Send.Shared",
    "MailboxSettings.ReadWrite",
    "User.Read",
    "User.ReadWrite",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Kind;

    fn user() -> User {
        let text = str::to_owned;
        User {
            id: text("U1"),
            tenant_id: text("T"),
            username: text("Alex@contoso.example"),
            display_name: text("Alex"),
            kind: Kind::Work,
            mailbox_id: text("m"),
            drive_id: text("d"),
        }
    }

    #[test]
    fn paths_want_what_the_permission_table_says() {
        for (path, writes, scope, enough) in [
            ("/me", false, "user.read", true),
            ("/me/messages", false, "mail.read", true),
            ("/me/messages", true, "mail.read", false),
            ("/me/messages/AA%2FB/send", true, "mail.readwrite", false),
            ("/me/messages/AA%2FB/send", true, "mail.send", true),
            ("/users/alex@contoso.example/mailFolders", false, "mail.read", true),
            ("/users/bea@contoso.example/mailFolders", false, "mail.read", false),
            ("/users/bea%40contoso.example/mailFolders", false, "mail.read.shared", true),
            ("/me/drive/root:/a/messages:/children", false, "files.read", true),
            ("/drives/d/items/1", true, "files.read", false),
            ("/me/calendarView", false, "calendars.read", true),
            ("/me/contacts", false, "mail.read", false),
            ("/me/messages/A/reply", true, "mail.readwrite", false),
            ("/me/messages/A/createReply", true, "mail.readwrite", true),
            ("/me/getMailTips", true, "mail.read", true),
            ("/me/outlook/masterCategories", true, "mail.readwrite", false),
            ("/search/query", true, "mail.read", false),
            ("/search/query", true, "calendars.read", true),
            ("/nonsense", false, "", true),
        ] {
            let headers = http::HeaderMap::new();
            let method = if writes { Method::POST } else { Method::GET };
            let text = String::new;
            let request = Request {
                method,
                path: path.to_owned(),
                query: text(),
                headers,
                body: bytes::Bytes::from_static(br#"{"requests":[{"entityTypes":["event"]}]}"#),
                user: text(),
                base: text(),
                downloads: text(),
            };
            let bearer = Bearer { user: user(), scopes: vec![scope.to_owned()] };
            let refused = refusal(&request, &bearer, Timestamp::UNIX_EPOCH).is_some();
            assert_eq!(!refused, enough, "{path} writes={writes} {scope}");
        }
    }

    #[test]
    fn the_whole_set_is_enough_for_everything() {
        let has: Vec<String> = ALL.iter().map(|scope| scope.to_lowercase()).collect();
        for area in [Area::Profile, Area::Mail, Area::Sending, Area::Settings, Area::Calendars, Area::Contacts, Area::Files] {
            for (writes, own) in [(false, false), (false, true), (true, false), (true, true)] {
                assert!(wanted(area, writes, own).iter().any(|scope| has.contains(&(*scope).to_owned())), "{area:?}");
            }
        }
    }
}
