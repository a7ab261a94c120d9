//! Why a request brought no answer, told apart by who has to act: the network, the proxy, or whoever gives out certificates.
//!
//! Texts carry no address: addresses carry ids and search words, and that of a proxy may carry a password.

use std::{error::Error, fmt, io};

use super::resolve::WrongNetwork;

/// How every error of a tunnel begins (`hyper_util::client::legacy::connect::proxy::Tunnel`, whose type is not public). A test asks a real
/// proxy, so a change of these words is noticed.
const TUNNEL: &str = "tunnel error: ";
const WANTS_A_NAME: &str = "proxy authorization required";
const SAYS_NO: &str = "unsuccessful";

/// Who has to act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TroubleKind {
    /// The name leads nowhere, or where Microsoft is not.
    NoName,
    /// The certificate is not trusted, or is none for this host.
    Untrusted,
    /// The proxy takes no connection, or broke it off.
    ProxyGone,
    /// The proxy wants a name and a password, or others than it was given (407).
    ProxyAuth,
    /// The proxy is there and does not connect to that host.
    ProxyRefuses,
    /// No connection, or none that lasted.
    Connection,
}

/// Why a request brought no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Who has to act.
    pub kind: TroubleKind,
    said: String,
}

impl Trouble {
    /// What an error of the client means.
    pub(crate) fn of(error: &reqwest::Error) -> Self {
        let tunnel = |cause: &(dyn Error + 'static)| cause.to_string().strip_prefix(TUNNEL).map(str::to_owned);
        let kind = match find(error, &tunnel).as_deref() {
            Some(WANTS_A_NAME) => TroubleKind::ProxyAuth,
            Some(SAYS_NO) => TroubleKind::ProxyRefuses,
            Some(_) => TroubleKind::ProxyGone,
            None if is(error, |cause| cause.is::<WrongNetwork>()) || error.is_dns() => TroubleKind::NoName,
            None if is(error, |cause| cause.is::<rustls::Error>()) => TroubleKind::Untrusted,
            None => TroubleKind::Connection,
        };
        let said = match kind {
            TroubleKind::ProxyAuth => "the proxy wants a name and a password that it accepts (407)".to_owned(),
            TroubleKind::ProxyRefuses => "the proxy does not connect to that host".to_owned(),
            TroubleKind::ProxyGone => format!("the proxy cannot be reached ({})", plain(error).trim_start_matches(TUNNEL)),
            TroubleKind::NoName | TroubleKind::Untrusted | TroubleKind::Connection => plain(error),
        };
        Self { kind, said }
    }

    /// Code of what somebody can do something about; the others have that of whoever asked.
    pub fn code(&self) -> Option<&'static str> {
        match self.kind {
            TroubleKind::Untrusted => Some("tls_not_trusted"),
            TroubleKind::ProxyGone => Some("proxy_unreachable"),
            TroubleKind::ProxyAuth => Some("proxy_auth_required"),
            TroubleKind::ProxyRefuses => Some("proxy_refused"),
            TroubleKind::NoName | TroubleKind::Connection => None,
        }
    }

    /// One thing to do, where the network itself is not to blame.
    pub fn hint(&self) -> Option<&'static str> {
        match self.kind {
            TroubleKind::Untrusted => {
                Some("Name the authority of your company's proxy in `network.ca`; `m365-cachectl doctor` says whose certificate fails.")
            }
            TroubleKind::ProxyGone => Some("Check that the proxy runs and that `network.proxy` names it; `m365-cachectl doctor` tries it."),
            TroubleKind::ProxyAuth => Some("Keep `NAME:PASSWORD` in the keyring or a file and name the place in `network.proxy_auth`."),
            TroubleKind::ProxyRefuses => Some("Have the proxy allow Microsoft's hosts, or send them past it with `network.no_proxy`."),
            TroubleKind::NoName | TroubleKind::Connection => None,
        }
    }
}

/// What happened otherwise.
impl From<String> for Trouble {
    fn from(said: String) -> Self {
        Self { kind: TroubleKind::Connection, said }
    }
}

impl From<&str> for Trouble {
    fn from(said: &str) -> Self {
        Self::from(said.to_owned())
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.said)
    }
}

fn is(error: &(dyn Error + 'static), holds: impl Fn(&(dyn Error + 'static)) -> bool) -> bool {
    find(error, &|cause| holds(cause).then_some(())).is_some()
}

/// What `look` finds in the error, its causes, or what an I/O error carries.
fn find<T>(error: &(dyn Error + 'static), look: &dyn Fn(&(dyn Error + 'static)) -> Option<T>) -> Option<T> {
    let carried = || error.downcast_ref::<io::Error>().and_then(io::Error::get_ref).and_then(|carried| find(carried, look));
    look(error).or_else(carried).or_else(|| error.source().and_then(|cause| find(cause, look)))
}

/// An error and its causes in one line, without any address.
pub(super) fn plain(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
        if cause.is::<WrongNetwork>() {
            return cause.to_string();
        }
    }
    if error.is_dns() {
        return "the name of the host cannot be resolved".into();
    }
    // reqwest's own outermost message may name the address; deeper ones come from rustls, hyper and the system and do not.
    if std::ptr::addr_eq(cause, std::ptr::from_ref(error)) { "the connection failed".into() } else { cause.to_string() }
}
