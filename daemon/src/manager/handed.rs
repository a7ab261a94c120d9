//! The socket that a service manager listens on for us, so that clients find it before we run and while we are replaced.
//!
//! systemd says so in `LISTEN_PID` and `LISTEN_FDS` and passes the socket as file descriptor 3 (sd_listen_fds(3)); launchd is asked. What is passed is looked at before
//! it is used: a socket elsewhere would leave the clients of this profile without a daemon.

use std::{
    ffi::OsString,
    io,
    os::{
        fd::{AsFd as _, FromRawFd as _, OwnedFd, RawFd},
        unix::net::UnixListener,
    },
    path::{Path, PathBuf},
    process::Command,
};

use m365_cached::hint::Kind;
use rustix::{
    io::{FdFlags, fcntl_setfd},
    net::{SocketType, sockopt},
};

use crate::core::Problem;

/// The first file descriptor that is passed.
const FIRST: RawFd = 3;

/// A socket that somebody else has made and keeps.
#[derive(Debug)]
pub struct Handed(UnixListener);

/// Why a socket that was passed cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HandedError {
    /// The manager passes none, or several.
    #[error("the service manager passes {0} sockets, and the daemon listens on one")]
    Count(String),
    /// It is something else.
    #[error("what the service manager passes is no Unix socket that is listened on")]
    NotListening,
    /// Clients would not find it.
    #[error("the service manager listens at `{given}`, and the clients of this profile look at `{}`", expected.display())]
    Elsewhere {
        /// Where it listens.
        given: String,
        /// Where it should.
        expected: PathBuf,
    },
    /// The system said no.
    #[error("the socket that the service manager passes cannot be used: {0}")]
    Io(#[from] io::Error),
}

impl Problem {
    /// Why the daemon that a manager started does not serve.
    #[must_use]
    pub fn of_handed(error: &HandedError) -> Self {
        let hint = "Write the units anew with `m365-cachectl service install`.";
        Self::new(Kind::Config, "unusable_socket", error.to_string(), hint)
    }
}

/// Whether connections are awaited on it. Apple's systems do not tell; there it shows with the first that comes.
fn accepts(given: &OwnedFd) -> bool {
    #[cfg(not(target_vendor = "apple"))]
    let accepts = sockopt::socket_acceptconn(given).is_ok_and(|accepts| accepts);
    #[cfg(target_vendor = "apple")]
    let (accepts, _) = (true, given);
    accepts
}

impl Handed {
    /// The socket passed to this process, when there is one. To be called once, before anything else is opened.
    ///
    /// # Errors
    /// When what is passed is not a socket on which this profile's clients are awaited (`expected`).
    pub fn take(expected: &Path) -> Result<Option<Self>, HandedError> {
        let pid = std::process::id();
        let given = if passed(&|name| std::env::var_os(name), pid)? {
            first()
        } else {
            #[cfg(target_os = "macos")]
            let given = super::launchd::socket()?;
            #[cfg(not(target_os = "macos"))]
            let given = None;
            match given {
                Some(given) => given,
                None => return Ok(None),
            }
        };
        Self::of(given, expected).map(Some)
    }

    fn of(given: OwnedFd, expected: &Path) -> Result<Self, HandedError> {
        if !sockopt::socket_type(&given).is_ok_and(|kind| kind == SocketType::STREAM) || !accepts(&given) {
            return Err(HandedError::NotListening);
        }
        // Not for the programs that we start.
        fcntl_setfd(&given, FdFlags::CLOEXEC).map_err(io::Error::from)?;
        let socket = UnixListener::from(given);
        // That of another family is no address to it.
        let address = socket.local_addr().map_err(|_| HandedError::NotListening)?;
        let same = address.as_pathname().is_some_and(|path| path == expected || resolved(path) == resolved(expected));
        if !same {
            let given = address.as_pathname().map_or_else(|| "no path".to_owned(), |path| path.display().to_string());
            return Err(HandedError::Elsewhere { given, expected: expected.to_owned() });
        }
        Ok(Self(socket))
    }

    /// Another handle of the socket, to accept with.
    ///
    /// # Errors
    /// When the system has none.
    pub fn listener(&self) -> io::Result<UnixListener> {
        let socket = self.0.try_clone()?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    }

    /// Leaves the socket to the program that takes the place of this process, in the way it was passed to us.
    ///
    /// # Errors
    /// When the system does not let it through.
    pub fn pass_on(&self, command: &mut Command) -> io::Result<()> {
        fcntl_setfd(self.0.as_fd(), FdFlags::empty())?;
        command.env("LISTEN_PID", std::process::id().to_string()).env("LISTEN_FDS", "1");
        Ok(())
    }
}

/// The path with its links followed; a socket's folder is what may be one.
fn resolved(path: &Path) -> Option<PathBuf> {
    Some(path.parent()?.canonicalize().ok()?.join(path.file_name()?))
}

/// Whether a socket was passed to the process `pid`, as `env` tells.
fn passed(env: &dyn Fn(&str) -> Option<OsString>, pid: u32) -> Result<bool, HandedError> {
    let text = |name| env(name).and_then(|value| value.into_string().ok());
    // What was passed to a parent of ours is not ours.
    if text("LISTEN_PID").is_none_or(|named| named != pid.to_string()) {
        return Ok(false);
    }
    match text("LISTEN_FDS").unwrap_or_default().as_str() {
        "1" => Ok(true),
        other => Err(HandedError::Count(if other.is_empty() { "no".into() } else { other.into() })),
    }
}

#[expect(unsafe_code, reason = "the protocol passes a number, and only unsafe code makes a handle of one")]
fn first() -> OwnedFd {
    // SAFETY: `LISTEN_PID` names this process, so that descriptor 3 was opened for it by its manager and is nobody else's here; this is called once.
    unsafe { OwnedFd::from_raw_fd(FIRST) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_passed_to_this_very_process_counts() {
        let look = |pairs: &[(&str, &str)]| {
            passed(&|name| pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into()), 42)
                .map_err(|error| error.to_string())
        };
        assert_eq!(look(&[]), Ok(false));
        assert_eq!(look(&[("LISTEN_PID", "41"), ("LISTEN_FDS", "1")]), Ok(false));
        assert_eq!(look(&[("LISTEN_PID", "42"), ("LISTEN_FDS", "1")]), Ok(true));
        for (count, said) in [("2", "2"), ("0", "0"), ("", "no")] {
            assert!(look(&[("LISTEN_PID", "42"), ("LISTEN_FDS", count)]).unwrap_err().contains(&format!("passes {said} sockets")));
        }
    }

    #[test]
    fn what_is_passed_must_be_where_the_clients_look() {
        let dir = tempfile::TempDir::new().unwrap();
        let (here, elsewhere) = (dir.path().join("s"), dir.path().join("t"));
        let bound = |path: &Path| OwnedFd::from(UnixListener::bind(path).unwrap());
        let handed = Handed::of(bound(&here), &here).unwrap();
        assert!(handed.listener().unwrap().accept().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock));
        let linked = dir.path().join("linked");
        std::os::unix::fs::symlink(dir.path(), &linked).unwrap();
        let again = dir.path().join("u");
        assert!(Handed::of(bound(&again), &linked.join("u")).is_ok(), "a link to the folder leads to the same socket");
        let error = Handed::of(bound(&elsewhere), &here).unwrap_err();
        assert!(matches!(&error, HandedError::Elsewhere { given, .. } if *given == elsewhere.display().to_string()), "{error}");
        assert_eq!(Problem::of_handed(&error).code, "unusable_socket");
    }

    #[test]
    fn what_is_no_listening_socket_is_refused() {
        let dir = tempfile::TempDir::new().unwrap();
        let path = dir.path().join("s");
        let file = OwnedFd::from(std::fs::File::create(dir.path().join("f")).unwrap());
        let (one, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        let datagrams = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
        for other in [file, one.into(), datagrams.into(), std::net::TcpListener::bind("127.0.0.1:0").unwrap().into()] {
            assert!(matches!(Handed::of(other, &path), Err(HandedError::NotListening)));
        }
    }
}
