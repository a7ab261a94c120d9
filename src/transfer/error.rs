//! Why a file did not move, in the terms of who has to act. Never holds content or remote addresses.

use std::{fmt, time::Duration};

pub(super) use super::path::Fault;
use crate::{
    graph::{BareError, GraphError, HttpError, Trouble},
    hint::{Hint, Kind},
};

/// What went wrong.
#[derive(Debug, Clone)]
pub enum Cause {
    /// The path cannot be used; the folders that can.
    Path(Fault, Vec<String>),
    /// A folder on the way is missing, is a link or is no folder.
    NoFolder,
    /// There is a file of that name; it was left alone.
    Exists,
    /// There is no such file.
    NoFile,
    /// It is a link, a folder or a device.
    NotAFile,
    /// The local disk or its rights. Says what the system said.
    Disk(String),
    /// The local file became shorter while it was read.
    Changed,
    /// Larger than the limit, in bytes.
    TooLarge(u64),
    /// A link leads to a host that is none of Microsoft's for files; it was not followed.
    ForeignHost,
    /// Links that lead on and on.
    Redirects,
    /// No HTTPS client.
    Setup(HttpError),
    /// The connection failed or broke, and going on did not help.
    Broken(Trouble),
    /// No byte has moved for too long.
    Stalled(Duration),
    /// It took too long altogether.
    Deadline(Duration),
    /// The host refused: status, and its own error code.
    Refused(u16, Option<String>),
    /// An answer without what it must have.
    Garbage(&'static str),
    /// What came is not what was announced.
    Size,
    /// The upload session is gone.
    NoSession,
    /// Microsoft could not finish what it had begun: its own error code.
    Failed(Option<String>),
    /// Graph itself refused or failed.
    Graph(Box<GraphError>),
}

/// Why a file did not move.
#[derive(Debug, Clone)]
pub struct TransferError {
    /// What went wrong.
    pub cause: Cause,
    /// All of it may have arrived: its last piece was sent and not answered.
    pub unknown_outcome: bool,
}

impl TransferError {
    pub(super) fn new(cause: Cause) -> Self {
        Self { cause, unknown_outcome: false }
    }

    /// HTTP status of a refusal.
    pub fn status(&self) -> Option<u16> {
        match &self.cause {
            Cause::Refused(status, _) => Some(*status),
            Cause::Graph(error) => error.status(),
            _ => None,
        }
    }

    /// Microsoft's own error code.
    pub fn graph_code(&self) -> Option<&str> {
        match &self.cause {
            Cause::Refused(_, code) | Cause::Failed(code) => code.as_deref(),
            Cause::Graph(error) => error.graph_code(),
            _ => None,
        }
    }

    /// Nothing left this machine, or Graph refused it before it acted.
    pub fn never_sent(&self) -> bool {
        match &self.cause {
            Cause::Path(..) | Cause::NoFolder | Cause::Exists | Cause::NoFile | Cause::NotAFile => true,
            Cause::Graph(error) => error.never_sent(),
            _ => false,
        }
    }

    fn name_taken(&self) -> bool {
        self.graph_code().is_some_and(|code| code.eq_ignore_ascii_case("nameAlreadyExists"))
    }
}

impl From<Cause> for TransferError {
    fn from(cause: Cause) -> Self {
        Self::new(cause)
    }
}

impl From<GraphError> for TransferError {
    fn from(error: GraphError) -> Self {
        Self { unknown_outcome: error.unknown_outcome(), cause: Cause::Graph(Box::new(error)) }
    }
}

impl From<BareError> for Cause {
    fn from(error: BareError) -> Self {
        match error {
            BareError::ForeignHost => Self::ForeignHost,
            BareError::Setup(error) => Self::Setup(error),
            BareError::Broken(what) => Self::Broken(what),
        }
    }
}

impl fmt::Display for TransferError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            Cause::Path(fault, _) => f.write_str(match fault {
                Fault::NoName => "the local path names no file",
                Fault::Climbs => "a local path may not contain `..`",
                Fault::Outside => "the local path lies outside the folders that are allowed",
                Fault::Home => "a local path may not begin with `~`",
                Fault::Character => "the local path has a character that no file name should have",
                Fault::Special => "the local path means something other than a file on Windows",
            }),
            Cause::NoFolder => f.write_str("a folder of the local path does not exist, or is a link or a file"),
            Cause::Exists => f.write_str("there is a local file of that name already; it was left alone"),
            Cause::NoFile => f.write_str("there is no such local file"),
            Cause::NotAFile => f.write_str("the local path is a link, a folder or a device, not a file"),
            Cause::Disk(what) => write!(f, "the local file cannot be read or written: {what}"),
            Cause::Changed => f.write_str("the local file became shorter while it was read"),
            Cause::TooLarge(most) if *most < 1 << 20 => write!(f, "the file is larger than {most} bytes"),
            Cause::TooLarge(most) => write!(f, "the file is larger than {} MiB", most >> 20),
            Cause::ForeignHost => f.write_str("a link in Microsoft's answer leads to another host; it was not followed"),
            Cause::Redirects => f.write_str("the links to the file lead on and on"),
            Cause::Setup(error) => write!(f, "{error}"),
            Cause::Broken(what) => write!(f, "the connection to Microsoft's file host failed: {what}"),
            Cause::Stalled(idle) => write!(f, "no byte has moved for {} s", idle.as_secs()),
            Cause::Deadline(total) => write!(f, "the transfer was not done after {} s", total.as_secs()),
            Cause::Refused(status, Some(code)) => write!(f, "Microsoft's file host refused ({status} {code})"),
            Cause::Refused(status, None) => write!(f, "Microsoft's file host refused ({status})"),
            Cause::Garbage(what) => write!(f, "Microsoft sent an answer without {what}"),
            Cause::Size => f.write_str("the file came with another size than announced"),
            Cause::NoSession => f.write_str("Microsoft no longer knows the upload"),
            Cause::Failed(Some(code)) => write!(f, "Microsoft could not finish the operation ({code})"),
            Cause::Failed(None) => f.write_str("Microsoft could not finish the operation"),
            Cause::Graph(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for TransferError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        if let Cause::Graph(error) = &self.cause { Some(error.as_ref()) } else { None }
    }
}

impl Hint for TransferError {
    fn kind(&self) -> Kind {
        match &self.cause {
            Cause::Path(..) | Cause::NoFolder | Cause::Exists | Cause::NoFile | Cause::NotAFile | Cause::Changed | Cause::TooLarge(_) => {
                Kind::User
            }
            Cause::Refused(..) | Cause::Failed(_) if self.name_taken() => Kind::User,
            Cause::Refused(429, _) => Kind::Throttled,
            Cause::Refused(500.., _) => Kind::Offline,
            Cause::Refused(..) | Cause::Failed(_) => Kind::Denied,
            Cause::Disk(_) => Kind::Config,
            Cause::Setup(error) => error.kind(),
            Cause::ForeignHost
            | Cause::Redirects
            | Cause::Broken(_)
            | Cause::Stalled(_)
            | Cause::Deadline(_)
            | Cause::Garbage(_)
            | Cause::Size
            | Cause::NoSession => Kind::Offline,
            Cause::Graph(error) => error.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match &self.cause {
            Cause::Path(..) => "path_not_allowed",
            Cause::NoFolder => "no_folder",
            Cause::Exists => "file_exists",
            Cause::NoFile => "no_file",
            Cause::NotAFile => "not_a_file",
            Cause::Disk(_) => "disk",
            Cause::Changed => "file_changed",
            Cause::TooLarge(_) => "file_too_large",
            Cause::ForeignHost => "foreign_host",
            Cause::Redirects => "too_many_redirects",
            Cause::Setup(error) => error.code(),
            Cause::Broken(trouble) => trouble.code().unwrap_or("unreachable"),
            Cause::Stalled(_) | Cause::Deadline(_) => "timeout",
            Cause::Refused(..) | Cause::Failed(_) if self.name_taken() => "already_exists",
            Cause::Refused(..) => "refused",
            Cause::Garbage(_) => "unexpected_reply",
            Cause::Size => "wrong_size",
            Cause::NoSession => "upload_lost",
            Cause::Failed(_) => "not_finished",
            Cause::Graph(error) => error.code(),
        }
    }

    fn hint(&self) -> Option<String> {
        if self.unknown_outcome {
            return Some("Read the item again before you repeat this: it may have happened.".into());
        }
        Some(match &self.cause {
            Cause::Path(Fault::NoName, _) => "Give the name of a file, such as `report.pdf`.".into(),
            Cause::Path(_, roots) if roots.is_empty() => "Name the folders that may be used in `files.allowed_roots`.".into(),
            Cause::Path(_, roots) => {
                let roots: Vec<String> = roots.iter().map(|root| format!("`{root}`")).collect();
                format!("Give a name or a path under {}; `files.allowed_roots` allows further folders.", roots.join(" or "))
            }
            Cause::NoFolder => "Use a folder that exists; links are not followed.".into(),
            Cause::Exists => "Choose another name.".into(),
            Cause::NoFile => "Check the path.".into(),
            Cause::NotAFile => "Give the file itself; links are not followed.".into(),
            Cause::Disk(_) => "Check free space and the rights of the folder.".into(),
            Cause::Changed => "Try again when nothing writes to it.".into(),
            Cause::TooLarge(_) => "Choose a smaller file; `files.download_max_mb` is the limit of downloads.".into(),
            Cause::ForeignHost | Cause::Redirects | Cause::Garbage(_) => {
                "Try again; if it stays, check whether a proxy answers in Microsoft's place.".into()
            }
            Cause::Setup(error) => return error.hint(),
            Cause::Broken(trouble) => trouble.hint().unwrap_or("Check the network, then try again.").into(),
            Cause::Size | Cause::NoSession => "Check the network, then try again.".into(),
            Cause::Stalled(_) => "Check the network, then try again; `files.idle_s` is the limit.".into(),
            Cause::Deadline(_) => "Try again, or raise `files.deadline_s`.".into(),
            Cause::Refused(..) | Cause::Failed(_) if self.name_taken() => "Choose another name.".into(),
            Cause::Refused(..) => "Try again later.".into(),
            Cause::Failed(_) => "Look at the destination: part of it may be there.".into(),
            Cause::Graph(error) => return error.hint(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(cause: Cause) -> TransferError {
        TransferError::new(cause)
    }

    #[test]
    fn each_cause_says_who_has_to_do_what() {
        let roots = || vec!["/home/a/Downloads".to_owned(), "/srv/files".to_owned()];
        for (cause, kind, code, to_do) in [
            (Cause::Path(Fault::NoName, roots()), Kind::User, "path_not_allowed", "such as `report.pdf`"),
            (Cause::Path(Fault::Climbs, roots()), Kind::User, "path_not_allowed", "under `/home/a/Downloads` or `/srv/files`"),
            (Cause::Path(Fault::Outside, Vec::new()), Kind::User, "path_not_allowed", "Name the folders"),
            (Cause::NoFolder, Kind::User, "no_folder", "a folder that exists"),
            (Cause::Exists, Kind::User, "file_exists", "another name"),
            (Cause::NoFile, Kind::User, "no_file", "Check the path"),
            (Cause::NotAFile, Kind::User, "not_a_file", "links are not followed"),
            (Cause::Disk("no space".into()), Kind::Config, "disk", "free space"),
            (Cause::Changed, Kind::User, "file_changed", "nothing writes to it"),
            (Cause::TooLarge(1 << 30), Kind::User, "file_too_large", "`files.download_max_mb`"),
            (Cause::ForeignHost, Kind::Offline, "foreign_host", "a proxy answers in Microsoft's place"),
            (Cause::Redirects, Kind::Offline, "too_many_redirects", "a proxy answers in Microsoft's place"),
            (Cause::Setup(HttpError::Paused), Kind::Offline, "paused", "`m365-cachectl resume`"),
            (Cause::Broken("reset".into()), Kind::Offline, "unreachable", "Check the network"),
            (Cause::Stalled(Duration::from_secs(60)), Kind::Offline, "timeout", "`files.idle_s`"),
            (Cause::Deadline(Duration::from_secs(3600)), Kind::Offline, "timeout", "`files.deadline_s`"),
            (Cause::Refused(403, None), Kind::Denied, "refused", "later"),
            (Cause::Refused(429, None), Kind::Throttled, "refused", "later"),
            (Cause::Refused(503, None), Kind::Offline, "refused", "later"),
            // The one refusal that the caller can mend; Graph's documentation asks to compare codes without regard to case.
            (Cause::Refused(409, Some("NameAlreadyExists".into())), Kind::User, "already_exists", "another name"),
            (Cause::Failed(Some("nameAlreadyExists".into())), Kind::User, "already_exists", "another name"),
            (Cause::Failed(None), Kind::Denied, "not_finished", "part of it may be there"),
            (Cause::Garbage("content"), Kind::Offline, "unexpected_reply", "a proxy answers in Microsoft's place"),
            (Cause::Size, Kind::Offline, "wrong_size", "Check the network"),
            (Cause::NoSession, Kind::Offline, "upload_lost", "Check the network"),
        ] {
            let error = of(cause);
            assert_eq!((error.kind(), error.code()), (kind, code), "{error}");
            let hint = error.hint().unwrap();
            assert!(hint.contains(to_do), "{code}: {hint}");
        }
    }

    #[test]
    fn only_what_the_local_file_stopped_was_never_sent() {
        for cause in [Cause::Path(Fault::Home, Vec::new()), Cause::NoFolder, Cause::Exists, Cause::NoFile, Cause::NotAFile] {
            assert!(of(cause.clone()).never_sent(), "{cause:?}");
        }
        for cause in [Cause::Changed, Cause::Broken("reset".into()), Cause::Refused(500, None), Cause::Deadline(Duration::from_secs(1))] {
            assert!(!of(cause.clone()).never_sent(), "{cause:?}");
        }
    }

    #[test]
    fn an_unknown_outcome_asks_to_look_before_anything_is_repeated() {
        let error = TransferError { unknown_outcome: true, ..of(Cause::Broken("reset".into())) };
        assert!(error.hint().unwrap().starts_with("Read the item again before you repeat this"));
    }

    #[test]
    fn limits_and_refusals_are_told_with_their_numbers_and_without_addresses() {
        for (cause, said) in [
            (Cause::TooLarge(1000), "the file is larger than 1000 bytes"),
            (Cause::TooLarge(250 << 20), "the file is larger than 250 MiB"),
            (Cause::Stalled(Duration::from_secs(60)), "no byte has moved for 60 s"),
            (Cause::Deadline(Duration::from_secs(90)), "the transfer was not done after 90 s"),
            (Cause::Refused(507, Some("quotaLimitReached".into())), "Microsoft's file host refused (507 quotaLimitReached)"),
            (Cause::Refused(404, None), "Microsoft's file host refused (404)"),
            (Cause::Failed(Some("generalException".into())), "Microsoft could not finish the operation (generalException)"),
        ] {
            assert_eq!(of(cause).to_string(), said);
        }
    }
}
