//! Why Graph gave nothing, in the terms of who has to act. Never holds content, addresses or tokens.

use std::{fmt, time::Duration};

use serde_json::Value;

use crate::{
    auth::{AuthError, HttpError, Trouble},
    hint::{Hint, Kind},
};

/// Code of an answer that did not come in time.
pub(crate) const TIMEOUT: &str = "timeout";

/// What went wrong.
#[derive(Debug, Clone)]
pub enum Cause {
    /// The address is not Graph's: nothing was sent, no bearer least of all.
    ForeignHost,
    /// The path has a segment that would change its meaning, such as `..`.
    InvalidPath,
    /// The breaker is open: for this long nobody is let through.
    Unreachable {
        /// When to try again.
        retry_after: Duration,
        /// What opened it, as far as is known.
        trouble: Option<Trouble>,
    },
    /// The connection failed or broke, and repeating did not help. Says what happened, without addresses.
    Broken(Trouble),
    /// The call's time was up.
    Deadline,
    /// Microsoft asks to slow down, for longer than the call may take.
    Throttled {
        /// How long it asked to wait, when it said so.
        retry_after: Option<Duration>,
    },
    /// There is no token.
    SignIn(Box<AuthError>),
    /// Graph refused; status and codes say why.
    Refused,
    /// A delta token or link is no longer known: start over.
    Resync {
        /// Where to start over, when Graph said so.
        location: Option<String>,
    },
    /// An answer without what it must have.
    Garbage(&'static str),
    /// An answer larger than the limit, in bytes.
    TooLarge(usize),
    /// Pages that lead back to themselves, or more of them than anything has.
    Endless,
    /// No HTTPS client.
    Setup(HttpError),
}

/// Why Graph gave nothing.
#[derive(Debug, Clone)]
pub struct GraphError {
    /// What went wrong.
    pub cause: Cause,
    status: Option<u16>,
    /// Graph's error codes, the innermost first.
    codes: Vec<String>,
    request_id: Option<String>,
    unknown_outcome: bool,
    never_sent: bool,
}

impl GraphError {
    pub(super) fn new(cause: Cause) -> Self {
        Self { cause, status: None, codes: Vec::new(), request_id: None, unknown_outcome: false, never_sent: false }
    }

    pub(super) fn at(self, status: u16, request_id: Option<String>) -> Self {
        Self { status: Some(status), request_id, ..self }
    }

    pub(super) fn outcome(self, unknown_outcome: bool, never_sent: bool) -> Self {
        Self { unknown_outcome, never_sent: never_sent && !unknown_outcome, ..self }
    }

    /// A refusal, read from its body.
    pub fn refused(status: u16, body: &[u8], location: Option<String>, retry_after: Option<Duration>, request_id: Option<String>) -> Self {
        let said: Value = serde_json::from_slice(body).unwrap_or_default();
        let codes = codes(&said["error"]);
        let resync = |code: &String| matches!(row_of(code), Some(Row { code: "resync", .. }));
        let cause = match status {
            400 | 404 | 410 if codes.iter().any(resync) => Cause::Resync { location },
            410 if location.is_some() => Cause::Resync { location },
            429 => Cause::Throttled { retry_after },
            503 | 504 | 509 if retry_after.is_some() => Cause::Throttled { retry_after },
            _ => Cause::Refused,
        };
        let told = said["error"]["innerError"]["request-id"].as_str().or(said["error"]["innererror"]["request-id"].as_str());
        let request_id = request_id.or_else(|| told.map(harmless));
        Self { codes, ..Self::new(cause).at(status, request_id) }
    }

    /// HTTP status of Graph's answer.
    pub fn status(&self) -> Option<u16> {
        self.status
    }

    /// Graph's own error code: the innermost that we know, else the outermost.
    pub fn graph_code(&self) -> Option<&str> {
        self.codes.iter().find(|code| row_of(code).is_some()).or(self.codes.last()).map(String::as_str)
    }

    /// Microsoft's id of the request, for their support.
    pub fn request_id(&self) -> Option<&str> {
        self.request_id.as_deref()
    }

    /// The request may have taken effect: one of its attempts was sent and not answered. Never true for one that only asks.
    pub fn unknown_outcome(&self) -> bool {
        self.unknown_outcome
    }

    /// The request certainly had no effect: none of its attempts was sent, or each that was is known to have been refused before it acted.
    pub fn never_sent(&self) -> bool {
        self.never_sent
    }

    /// How long Graph asks to wait, or the breaker stays open.
    pub fn retry_after(&self) -> Option<Duration> {
        match &self.cause {
            Cause::Unreachable { retry_after, .. } => Some(*retry_after),
            Cause::Throttled { retry_after } => *retry_after,
            _ => None,
        }
    }

    /// Whether a delta has to start over.
    pub fn is_resync(&self) -> bool {
        matches!(self.cause, Cause::Resync { .. })
    }

    /// Why no connection came about.
    fn trouble(&self) -> Option<&Trouble> {
        match &self.cause {
            Cause::Broken(trouble) => Some(trouble),
            Cause::Unreachable { trouble, .. } => trouble.as_ref(),
            _ => None,
        }
    }

    /// The refusal in our words.
    fn row(&self) -> &'static Row {
        self.codes.iter().find_map(|code| row_of(code)).unwrap_or_else(|| row_of_status(self.status.unwrap_or(0)))
    }
}

impl From<AuthError> for GraphError {
    fn from(error: AuthError) -> Self {
        Self::new(Cause::SignIn(Box::new(error))).outcome(false, true)
    }
}

/// All codes of an error object, innermost first.
fn codes(error: &Value) -> Vec<String> {
    let mut codes = Vec::new();
    let mut at = error;
    // Graph nests two or three deep; anything deeper is not Graph.
    for _ in 0..8 {
        if let Some(code) = at["code"].as_str() {
            codes.push(harmless(code));
        }
        at = if at["innerError"].is_object() { &at["innerError"] } else { &at["innererror"] };
    }
    codes.reverse();
    codes
}

/// What may be shown and logged of something Graph sent.
fn harmless(text: &str) -> String {
    text.chars().filter(|letter| letter.is_ascii_alphanumeric() || "._-".contains(*letter)).take(64).collect()
}

/// A kind of refusal in our words.
struct Row {
    code: &'static str,
    kind: Kind,
    message: &'static str,
    hint: &'static str,
}

const NOT_FOUND: Row = Row {
    code: "not_found",
    kind: Kind::Denied,
    message: "Microsoft Graph has no such item",
    hint: "List again: it may have been moved or deleted. Ids are case-sensitive.",
};
const INVALID_ID: Row = Row {
    code: "invalid_id",
    kind: Kind::User,
    message: "Microsoft Graph cannot read the id",
    hint: "Take ids from a list's answer, unchanged.",
};
const INVALID_REQUEST: Row =
    Row { code: "bad_request", kind: Kind::User, message: "Microsoft Graph does not accept the request", hint: "Check the arguments." };
const EXISTS: Row =
    Row { code: "already_exists", kind: Kind::User, message: "something of that name exists already", hint: "Choose another name." };
const ACCESS_DENIED: Row = Row {
    code: "access_denied",
    kind: Kind::Denied,
    message: "Microsoft Graph denies access",
    hint: "The account lacks the right, or its sign-in the permission: `m365-cachectl permissions` tells what is granted, and what to do.",
};
const CONFLICT: Row =
    Row { code: "conflict", kind: Kind::Denied, message: "the item was changed meanwhile", hint: "Read the item again, then repeat." };
const LOCKED: Row =
    Row { code: "item_locked", kind: Kind::Denied, message: "the item is locked, as while somebody edits it", hint: "Try again later." };
const RECIPIENTS: Row = Row {
    code: "invalid_recipients",
    kind: Kind::User,
    message: "Microsoft cannot deliver to one of the recipients",
    hint: "Check the addresses.",
};
const SEND_AS: Row = Row {
    code: "send_as_denied",
    kind: Kind::Denied,
    message: "the account may not send as that sender",
    hint: "Send as the account itself, or ask an administrator for the right.",
};
const QUOTA: Row = Row { code: "quota_exceeded", kind: Kind::Denied, message: "the mailbox or drive is full", hint: "Make room in it." };
const NO_MAILBOX: Row = Row {
    code: "no_mailbox",
    kind: Kind::Denied,
    message: "the account has no mailbox that Microsoft Graph can reach",
    hint: "Check the account's licence and that its mailbox is in the cloud.",
};
const NOT_SUPPORTED: Row = Row {
    code: "not_supported",
    kind: Kind::Denied,
    message: "Microsoft Graph does not do this for the account",
    hint: "Personal accounts and some clouds lack parts of Graph.",
};
const TOO_LARGE: Row = Row {
    code: "request_too_large",
    kind: Kind::User,
    message: "the request is larger than Microsoft accepts",
    hint: "Send less at once.",
};
const RESYNC: Row = Row {
    code: "resync",
    kind: Kind::Offline,
    message: "Microsoft no longer knows this state of the synchronisation",
    hint: "Nothing to do: it starts over.",
};
const THROTTLED: Row = Row {
    code: "throttled",
    kind: Kind::Throttled,
    message: "Microsoft asks to slow down",
    hint: "Wait a little; requests of this mailbox are held back until then.",
};
const UNAUTHENTICATED: Row = Row {
    code: "sign_in_required",
    kind: Kind::SignIn,
    message: "Microsoft Graph does not accept the sign-in",
    hint: "Sign in again with `m365-cachectl login`.",
};
const TROUBLE: Row = Row { code: "graph_failed", kind: Kind::Offline, message: "Microsoft Graph is in trouble", hint: "Try again later." };
const REFUSED: Row =
    Row { code: "refused", kind: Kind::Denied, message: "Microsoft Graph refused", hint: "Look its code up in the Graph documentation." };

/// The row of one of Graph's codes; its documentation asks to compare without regard to case and to expect unknown ones.
fn row_of(code: &str) -> Option<&'static Row> {
    Some(match code.to_ascii_lowercase().as_str() {
        "erroritemnotfound"
        | "itemnotfound"
        | "errorfoldernotfound"
        | "request_resourcenotfound"
        | "resourcenotfound"
        | "errorobjectnotfound" => &NOT_FOUND,
        "errorinvalididmalformed" | "errorinvalidid" | "errorinvalididempty" | "errorinvalididmonikertoolong" => &INVALID_ID,
        "namealreadyexists" | "errorfolderexists" => &EXISTS,
        "erroraccessdenied" | "accessdenied" | "authorization_requestdenied" | "forbidden" => &ACCESS_DENIED,
        "errorirresolvableconflict" | "resourcemodified" | "entitytagdoesnotmatch" | "errorchangekeyrequired" | "errorstaleobject" => {
            &CONFLICT
        }
        "resourcelocked" => &LOCKED,
        "errorinvalidrecipients" | "errorrecipientnotfound" => &RECIPIENTS,
        "errorsendasdenied" => &SEND_AS,
        "errorquotaexceeded" | "quotalimitreached" | "insufficientstorage" => &QUOTA,
        "mailboxnotenabledforrestapi" | "mailboxnotsupportedforrestapi" | "errornonexistentmailbox" => &NO_MAILBOX,
        "notsupported" | "notimplemented" | "notallowed" => &NOT_SUPPORTED,
        "errormessagesizeexceeded" | "errorattachmentsizelimitexceeded" | "requestentitytoolarge" => &TOO_LARGE,
        "syncstatenotfound"
        | "syncstateinvalid"
        | "resyncrequired"
        | "resyncchangesapplydifferences"
        | "resyncchangesuploaddifferences" => &RESYNC,
        "applicationthrottled" | "toomanyrequests" | "activitylimitreached" | "errorserverbusy" => &THROTTLED,
        "invalidauthenticationtoken" | "unauthenticated" | "tokenexpired" | "compacttoken" => &UNAUTHENTICATED,
        _ => return None,
    })
}

fn row_of_status(status: u16) -> &'static Row {
    match status {
        400 | 405 | 406 | 411 | 415 | 416 | 422 => &INVALID_REQUEST,
        401 => &UNAUTHENTICATED,
        403 => &ACCESS_DENIED,
        404 | 410 => &NOT_FOUND,
        409 | 412 => &CONFLICT,
        413 => &TOO_LARGE,
        423 => &LOCKED,
        429 | 509 => &THROTTLED,
        501 => &NOT_SUPPORTED,
        507 => &QUOTA,
        500..=599 => &TROUBLE,
        _ => &REFUSED,
    }
}

impl fmt::Display for GraphError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            Cause::ForeignHost => f.write_str("a link in Microsoft's answer leads to another host; it was not followed")?,
            Cause::InvalidPath => f.write_str("an id or name cannot be part of an address")?,
            Cause::Unreachable { trouble: Some(trouble), .. } => write!(f, "Microsoft Graph cannot be reached at the moment: {trouble}")?,
            Cause::Unreachable { trouble: None, .. } => f.write_str("Microsoft Graph cannot be reached at the moment")?,
            Cause::Broken(what) => write!(f, "the connection to Microsoft Graph failed: {what}")?,
            Cause::Deadline => f.write_str("Microsoft Graph did not answer in time")?,
            Cause::Throttled { retry_after: Some(wait) } => write!(f, "Microsoft asks to wait {} s", wait.as_secs_f64().ceil())?,
            Cause::Throttled { retry_after: None } => f.write_str(THROTTLED.message)?,
            Cause::SignIn(error) => write!(f, "{error}")?,
            Cause::Resync { .. } => f.write_str(RESYNC.message)?,
            Cause::Garbage(what) => write!(f, "Microsoft Graph sent an answer without {what}")?,
            Cause::TooLarge(limit) => write!(f, "Microsoft Graph's answer is larger than {} MB", limit >> 20)?,
            Cause::Endless => f.write_str("Microsoft Graph's pages have no end")?,
            Cause::Setup(error) => write!(f, "{error}")?,
            Cause::Refused => f.write_str(self.row().message)?,
        }
        match (self.status, self.graph_code()) {
            (Some(status), Some(code)) => write!(f, " ({status} {code})"),
            (Some(status), None) => write!(f, " ({status})"),
            (None, _) => Ok(()),
        }
    }
}

impl std::error::Error for GraphError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.cause {
            Cause::SignIn(error) => Some(error.as_ref()),
            Cause::Setup(error) => Some(error),
            _ => None,
        }
    }
}

impl Hint for GraphError {
    fn kind(&self) -> Kind {
        match &self.cause {
            Cause::Unreachable { .. } | Cause::Broken(_) | Cause::Deadline | Cause::Garbage(_) | Cause::ForeignHost | Cause::Endless => {
                Kind::Offline
            }
            Cause::Throttled { .. } => Kind::Throttled,
            Cause::SignIn(error) => error.kind(),
            Cause::InvalidPath | Cause::TooLarge(_) => Kind::User,
            Cause::Setup(error) => error.kind(),
            Cause::Resync { .. } => RESYNC.kind,
            Cause::Refused => self.row().kind,
        }
    }

    fn code(&self) -> &'static str {
        match &self.cause {
            Cause::ForeignHost => "foreign_host",
            Cause::InvalidPath => INVALID_ID.code,
            Cause::Unreachable { .. } | Cause::Broken(_) => self.trouble().and_then(Trouble::code).unwrap_or("unreachable"),
            Cause::Deadline => TIMEOUT,
            Cause::Throttled { .. } => THROTTLED.code,
            Cause::SignIn(error) => error.code(),
            Cause::Resync { .. } => RESYNC.code,
            Cause::Garbage(_) => "unexpected_reply",
            Cause::TooLarge(_) => "reply_too_large",
            Cause::Endless => "endless_pages",
            Cause::Setup(error) => error.code(),
            Cause::Refused => self.row().code,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match &self.cause {
            _ if self.unknown_outcome => "Read the item again before you repeat this: it may have happened.".into(),
            Cause::ForeignHost | Cause::Endless => "Try again; if it stays, report it with the request id from the daemon's log.".into(),
            Cause::InvalidPath => INVALID_ID.hint.into(),
            Cause::Unreachable { .. } | Cause::Broken(_) => {
                let network = "Check the network; `m365-cachectl status` shows when Graph answers again.";
                self.trouble().and_then(Trouble::hint).unwrap_or(network).into()
            }
            Cause::Deadline => "Try again, or ask for less at once.".into(),
            Cause::Throttled { retry_after: Some(wait) } => format!("Try again in {} s.", wait.as_secs_f64().ceil()),
            Cause::Throttled { retry_after: None } => THROTTLED.hint.into(),
            Cause::SignIn(error) => return error.hint(),
            Cause::Resync { .. } => RESYNC.hint.into(),
            Cause::Garbage(_) => "Try again; check whether a proxy answers in Microsoft's place.".into(),
            Cause::TooLarge(_) => "Ask for less at once.".into(),
            Cause::Setup(error) => return error.hint(),
            Cause::Refused => self.row().hint.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn refused(status: u16, body: &Value) -> GraphError {
        GraphError::refused(status, body.to_string().as_bytes(), None, None, None)
    }

    #[test]
    fn the_innermost_code_we_know_decides() {
        let body = json!({"error": {"code": "invalidRequest", "message": "secret subject", "innererror": {"code": "nameAlreadyExists", "request-id": "r-1", "innerError": {"code": "somethingNew"}}}});
        let error = refused(409, &body);
        assert_eq!((error.code(), error.graph_code(), error.request_id()), ("already_exists", Some("nameAlreadyExists"), Some("r-1")));
        assert!(!format!("{error} {error:?} {:?}", error.hint()).contains("secret"));
    }

    #[test]
    fn what_users_have_seen_is_understood() {
        let of = |status, code: &str| {
            let error = refused(status, &json!({"error": {"code": code, "message": "m"}}));
            (error.code(), error.kind())
        };
        assert_eq!(of(404, "ErrorItemNotFound"), ("not_found", Kind::Denied));
        assert_eq!(of(400, "ErrorInvalidIdMalformed"), ("invalid_id", Kind::User));
        assert_eq!(of(429, "ApplicationThrottled"), ("throttled", Kind::Throttled));
        assert_eq!(of(412, "ErrorIrresolvableConflict"), ("conflict", Kind::Denied));
        assert_eq!(of(404, "MailboxNotEnabledForRESTAPI"), ("no_mailbox", Kind::Denied));
        assert_eq!(of(501, "NotImplemented"), ("not_supported", Kind::Denied));
        assert_eq!(of(401, "InvalidAuthenticationToken"), ("sign_in_required", Kind::SignIn));
        assert_eq!(of(418, "Teapot"), ("refused", Kind::Denied));
        assert_eq!(of(502, ""), ("graph_failed", Kind::Offline));
    }

    #[test]
    fn a_status_alone_is_understood_too() {
        for (status, code, kind) in [
            (400, "bad_request", Kind::User),
            (403, "access_denied", Kind::Denied),
            (404, "not_found", Kind::Denied),
            (409, "conflict", Kind::Denied),
            (413, "request_too_large", Kind::User),
            (423, "item_locked", Kind::Denied),
            (509, "throttled", Kind::Throttled),
            (507, "quota_exceeded", Kind::Denied),
            (504, "graph_failed", Kind::Offline),
        ] {
            let error = GraphError::refused(status, b"<html>", None, None, None);
            assert_eq!((error.code(), error.kind()), (code, kind), "{status}");
            assert!(error.to_string().ends_with(&format!(" ({status})")), "{error}");
        }
    }

    #[test]
    fn what_has_no_status_says_who_has_to_do_what() {
        let wait = Duration::from_millis(12_300);
        for (cause, kind, code, to_do) in [
            (Cause::ForeignHost, Kind::Offline, "foreign_host", "the request id"),
            (Cause::InvalidPath, Kind::User, "invalid_id", "unchanged"),
            (Cause::Unreachable { retry_after: wait, trouble: None }, Kind::Offline, "unreachable", "shows when Graph answers again"),
            (Cause::Broken("reset".into()), Kind::Offline, "unreachable", "Check the network"),
            (Cause::Deadline, Kind::Offline, "timeout", "ask for less at once"),
            (Cause::Throttled { retry_after: Some(wait) }, Kind::Throttled, "throttled", "Try again in 13 s."),
            (Cause::Throttled { retry_after: None }, Kind::Throttled, "throttled", "are held back until then"),
            (Cause::Garbage("a body"), Kind::Offline, "unexpected_reply", "a proxy answers"),
            (Cause::TooLarge(8 << 20), Kind::User, "reply_too_large", "less at once"),
            (Cause::Endless, Kind::Offline, "endless_pages", "the request id"),
            (Cause::Setup(HttpError::Setup("no roots".into())), Kind::Config, "no_https", "`ca-certificates`"),
        ] {
            let error = GraphError::new(cause);
            assert_eq!((error.kind(), error.code()), (kind, code), "{error}");
            let hint = error.hint().unwrap();
            assert!(hint.contains(to_do), "{code}: {hint}");
        }
        assert!(GraphError::new(Cause::TooLarge(8 << 20)).to_string().contains("larger than 8 MB"));
    }

    #[test]
    fn a_wait_is_told_only_where_graph_or_the_breaker_names_one() {
        let wait = Duration::from_secs(7);
        assert_eq!(GraphError::new(Cause::Throttled { retry_after: Some(wait) }).retry_after(), Some(wait));
        assert_eq!(GraphError::new(Cause::Unreachable { retry_after: wait, trouble: None }).retry_after(), Some(wait));
        assert_eq!(GraphError::new(Cause::Deadline).retry_after(), None);
    }

    #[test]
    fn what_may_have_happened_was_sent_and_asks_to_look_first() {
        let error = GraphError::new(Cause::Deadline).outcome(true, true);
        assert!(error.unknown_outcome() && !error.never_sent());
        assert!(error.hint().unwrap().starts_with("Read the item again before you repeat this"));
    }

    #[test]
    fn a_lost_delta_state_is_told_by_code_whatever_its_case_and_status() {
        for (status, code) in
            [(410, "SyncStateNotFound"), (400, "syncstatenotfound"), (404, "resyncRequired"), (410, "resyncChangesApplyDifferences")]
        {
            assert!(refused(status, &json!({"error": {"code": code}})).is_resync(), "{status} {code}");
        }
        assert!(!refused(404, &json!({"error": {"code": "itemNotFound"}})).is_resync());
        let moved = GraphError::refused(410, b"", Some("https://graph.microsoft.com/v1.0/me/drive/root/delta?token=".into()), None, None);
        assert!(moved.is_resync());
    }

    proptest! {
        #[test]
        fn any_body_becomes_an_error_with_a_hint(status in 400u16..600, body: Vec<u8>) {
            let error = GraphError::refused(status, &body, None, None, None);
            prop_assert!(error.hint().is_some() && !error.code().is_empty());
        }
    }
}
