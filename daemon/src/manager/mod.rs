//! The service manager's side: what it is told of our state, the socket it hands over, the watchdog it keeps.
//!
//! What is spoken is systemd's protocol (sd_notify(3), sd_listen_fds(3)), which other managers and `systemd-socket-activate` speak as well; launchd hands its socket
//! over in a way of its own. Without a manager nothing is told and nothing is taken.

#[cfg(unix)]
mod handed;
#[cfg(target_os = "macos")]
mod launchd;
mod patience;
mod watchdog;

use std::{ffi::OsString, time::Duration};

#[cfg(unix)]
pub use self::handed::{Handed, HandedError};
pub(crate) use self::{patience::waiting_for, watchdog::watch};

/// No manager passes a pipe on Windows.
#[cfg(not(unix))]
#[derive(Debug)]
pub enum Handed {}

/// The manager that started this process, where there is one.
#[derive(Debug, Clone, Default)]
pub struct Manager {
    ear: Option<OsString>,
    watchdog: Option<Duration>,
    keeps_socket: bool,
}

impl Manager {
    /// The one that this process's environment tells of.
    #[must_use]
    pub fn of_this_process() -> Self {
        Self::told_by(&|name| std::env::var_os(name), std::process::id())
    }

    /// As `env` tells the process `pid`.
    #[must_use]
    pub fn told_by(env: &dyn Fn(&str) -> Option<OsString>, pid: u32) -> Self {
        let number = |name| env(name)?.to_str()?.parse::<u64>().ok();
        // One that a parent of ours was given is not ours.
        let ours = env("WATCHDOG_PID").is_none_or(|named| named.to_str().is_some_and(|named| named == pid.to_string()));
        let watchdog = number("WATCHDOG_USEC").filter(|micros| ours && *micros > 0).map(Duration::from_micros);
        Self { ear: env("NOTIFY_SOCKET").filter(|ear| !ear.is_empty()), watchdog, keeps_socket: false }
    }

    /// How long it waits for a sign of life before it starts the daemon anew; `None` when it does not wait for any.
    #[must_use]
    pub fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// The same, which has handed over the socket that it keeps.
    #[must_use]
    pub fn with_socket(self) -> Self {
        Self { keeps_socket: true, ..self }
    }

    /// Whether the socket is its own, and is there when the daemon has ended.
    #[must_use]
    pub fn keeps_socket(&self) -> bool {
        self.keeps_socket
    }

    /// Tells it `state` (`READY=1`, `STOPPING=1`), if it asked to be told: one datagram to the socket in `NOTIFY_SOCKET`.
    pub fn tell(&self, state: &str) {
        #[cfg(unix)]
        if let Some(ear) = &self.ear
            && let Err(error) = tell(ear, state)
        {
            tracing::warn!(%error, "the service manager could not be told");
        }
        #[cfg(not(unix))]
        let _ = (state, &self.ear);
    }
}

#[cfg(unix)]
fn tell(ear: &std::ffi::OsStr, state: &str) -> std::io::Result<()> {
    use std::os::unix::net::{SocketAddr, UnixDatagram};
    let address = match ear.as_encoded_bytes().strip_prefix(b"@") {
        #[cfg(target_os = "linux")]
        Some(name) => <SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(ear)?,
    };
    UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address).map(drop)
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use super::*;

    fn told_by(pairs: &[(&str, &str)]) -> Manager {
        Manager::told_by(&|name| pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into()), 42)
    }

    #[test]
    fn the_service_manager_is_told() {
        let dir = tempfile::TempDir::new().unwrap();
        let path = dir.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        told_by(&[("NOTIFY_SOCKET", path.to_str().unwrap())]).tell("READY=1");
        let mut buffer = [0; 64];
        let length = manager.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"READY=1");
        drop(manager);
        assert!(tell(path.as_os_str(), "READY=1").is_err());
        // Nobody to tell is no trouble.
        Manager::default().tell("READY=1");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn an_abstract_socket_too() {
        use std::os::{linux::net::SocketAddrExt, unix::net::SocketAddr};
        let name = format!("m365-cached-test-{}", std::process::id());
        let manager = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        told_by(&[("NOTIFY_SOCKET", &format!("@{name}"))]).tell("STOPPING=1");
        let mut buffer = [0; 64];
        let length = manager.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"STOPPING=1");
    }

    #[test]
    fn a_watchdog_is_kept_by_the_process_it_was_given_to() {
        let second = Some(Duration::from_secs(1));
        assert_eq!(told_by(&[("WATCHDOG_USEC", "1000000")]).watchdog(), second);
        assert_eq!(told_by(&[("WATCHDOG_USEC", "1000000"), ("WATCHDOG_PID", "42")]).watchdog(), second);
        for none in
            [&[][..], &[("WATCHDOG_USEC", "1000000"), ("WATCHDOG_PID", "41")], &[("WATCHDOG_USEC", "0")], &[("WATCHDOG_USEC", "soon")]]
        {
            assert_eq!(told_by(none).watchdog(), None, "{none:?}");
        }
    }
}
