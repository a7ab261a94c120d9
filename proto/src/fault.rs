//! How a fault looks: encoded in the details of a gRPC status on the wire, an exit code at the shell.

use prost::Message;
use tonic::{Code, Status};

use crate::v1::{Fault, Kind};

/// Code of the fault that no daemon is running; the one fault a client makes by itself.
pub const NOT_RUNNING: &str = "daemon_not_running";
/// Code of the fault that daemon and client are of versions that do not understand each other.
pub const VERSION_SKEW: &str = "version_skew";
/// Code of the fault that the connection broke while a call was running.
pub const CONNECTION_LOST: &str = "connection_lost";

/// What a person types to sign in to an account again. One that is personal is sought among the personal ones alone: the page for work and school
/// does not know it.
#[must_use]
pub fn login_command(username: &str, personal: bool) -> String {
    let personal = if personal { "--personal " } else { "" };
    format!("m365-cachectl login {personal}--username {username}")
}

impl Fault {
    /// A fault from its parts.
    #[must_use]
    pub fn new(kind: Kind, code: &str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { kind: kind as i32, code: code.to_owned(), message: message.into(), hint: hint.into(), consent: None, busy: None }
    }

    /// The gRPC status that carries this fault: a code for tools that know only gRPC, the fault itself in the details.
    #[must_use]
    pub fn to_status(&self) -> Status {
        let code = match self.kind() {
            Kind::User => Code::InvalidArgument,
            Kind::SignIn => Code::Unauthenticated,
            Kind::Offline => Code::Unavailable,
            Kind::Throttled => Code::ResourceExhausted,
            Kind::Denied => Code::PermissionDenied,
            Kind::Config => Code::FailedPrecondition,
            Kind::Internal | Kind::Unspecified => Code::Internal,
        };
        Status::with_details(code, self.message.clone(), self.encode_to_vec().into())
    }

    /// The fault in a status; for one that gRPC itself made (a lost connection, an unknown method) the fault that says so.
    #[must_use]
    pub fn from_status(status: &Status) -> Self {
        if let Ok(fault) = Self::decode(status.details())
            && !fault.code.is_empty()
        {
            return fault;
        }
        match status.code() {
            Code::Unimplemented => Self::new(
                Kind::Config,
                VERSION_SKEW,
                "the running daemon does not know this request: it is of another version",
                "Run `m365-cachectl stop`, then try again: the installed daemon is started.",
            ),
            Code::Unavailable | Code::Cancelled | Code::Unknown => Self::new(
                Kind::Internal,
                CONNECTION_LOST,
                format!("the connection to the daemon broke while the request was running: {}", trimmed(status.message())),
                "Run `m365-cachectl status`.",
            ),
            code => {
                let hint = "Try again; if it stays, look at the daemon's log: `m365-cachectl logs`.";
                Self::new(Kind::Internal, "internal", format!("{code}: {}", trimmed(status.message())), hint)
            }
        }
    }

    /// What `m365-cachectl` exits with; the table stands in its `--help`.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        if self.code == NOT_RUNNING {
            return 8;
        }
        match self.kind() {
            Kind::Internal | Kind::Unspecified => 1,
            Kind::User => 2,
            Kind::SignIn => 3,
            Kind::Offline => 4,
            Kind::Throttled => 5,
            Kind::Denied => 6,
            Kind::Config => 7,
        }
    }
}

impl Kind {
    /// The word for it in JSON output: `user`, `sign_in`, `offline`, `throttled`, `denied`, `config`, `internal`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::SignIn => "sign_in",
            Self::Offline => "offline",
            Self::Throttled => "throttled",
            Self::Denied => "denied",
            Self::Config => "config",
            Self::Internal | Self::Unspecified => "internal",
        }
    }
}

fn trimmed(message: &str) -> &str {
    message.trim_end_matches('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [Kind; 7] = [Kind::User, Kind::SignIn, Kind::Offline, Kind::Throttled, Kind::Denied, Kind::Config, Kind::Internal];

    #[test]
    fn every_fault_survives_the_wire() {
        for kind in KINDS {
            let fault = Fault::new(kind, "some_code", "What happened.", "what to do");
            assert_eq!(Fault::from_status(&fault.to_status()), fault);
        }
    }

    #[test]
    fn a_personal_account_is_sought_where_it_is() {
        assert_eq!(login_command("ada@contoso.com", false), "m365-cachectl login --username ada@contoso.com");
        assert_eq!(login_command("bob@live.com", true), "m365-cachectl login --personal --username bob@live.com");
    }

    #[test]
    fn every_kind_has_its_own_exit_code() {
        let codes: Vec<u8> = KINDS.iter().map(|kind| Fault::new(*kind, "x", "", "").exit_code()).collect();
        assert_eq!(codes, [2, 3, 4, 5, 6, 7, 1]);
        assert_eq!(Fault::new(Kind::Config, NOT_RUNNING, "", "").exit_code(), 8);
    }

    #[test]
    fn a_status_without_a_fault_still_says_what_to_do() {
        let skew = Fault::from_status(&Status::unimplemented(""));
        assert_eq!((skew.code.as_str(), skew.exit_code()), (VERSION_SKEW, 7));
        assert!(!skew.hint.is_empty());
        assert_eq!(Fault::from_status(&Status::unavailable("gone")).code, CONNECTION_LOST);
        let garbage = Status::with_details(Code::Internal, "odd", bytes::Bytes::from_static(b"\xff\xff"));
        assert_eq!(Fault::from_status(&garbage).exit_code(), 1);
    }
}
