//! Stands in for a service manager: makes the socket, starts the daemon with it when a client comes, hears what it says. What is spoken is sd_listen_fds(3) and sd_notify(3).

use std::{
    fs::OpenOptions,
    os::{
        fd::OwnedFd,
        unix::net::{UnixDatagram, UnixListener},
    },
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context as _, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{
    PATIENCE,
    bins::Bins,
    home::Home,
    process::{Running, spawn},
};

/// The shell gives the daemon descriptor 3 and its own process id, as the protocol wants.
const HAND_OVER: &str = r#"exec 3<&0 0</dev/null; LISTEN_PID=$$; export LISTEN_PID; exec "$@""#;

/// A stand-in for a service manager that keeps one socket.
#[derive(Debug)]
pub struct Manager {
    socket: UnixListener,
    path: PathBuf,
    ear: UnixDatagram,
    dir: tempfile::TempDir,
    /// What it passes in `LISTEN_FDS`.
    pub count: &'static str,
    /// How long it waits for a sign of life.
    pub watchdog: Option<Duration>,
}

impl Manager {
    /// Listens where the clients of `home` look; what lies there goes, as with systemd.
    ///
    /// # Errors
    /// When it cannot listen.
    pub fn of(home: &Home) -> anyhow::Result<Self> {
        Self::at(&home.socket())
    }

    /// Listens at `path`.
    ///
    /// # Errors
    /// When it cannot listen.
    pub fn at(path: &Path) -> anyhow::Result<Self> {
        let dir = tempfile::Builder::new().prefix("m365-manager-").tempdir()?;
        // An error means that nothing lay there.
        let _ = std::fs::remove_file(path);
        let socket = UnixListener::bind(path).with_context(|| format!("listening at {}", path.display()))?;
        let ear = UnixDatagram::bind(dir.path().join("notify"))?;
        ear.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { socket, path: path.to_owned(), ear, dir, count: "1", watchdog: None })
    }

    /// Waits until a client knocks.
    ///
    /// # Errors
    /// When none does in time.
    pub fn knock(&self) -> anyhow::Result<()> {
        if !self.knocked(PATIENCE)? {
            bail!("no client came within {PATIENCE:?}");
        }
        Ok(())
    }

    /// Whether a client knocks within so long.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn knocked(&self, patience: Duration) -> anyhow::Result<bool> {
        let mut watched = [PollFd::new(&self.socket, PollFlags::IN)];
        Ok(poll(&mut watched, Some(&Timespec::try_from(patience)?))? > 0)
    }

    /// Starts the daemon of `home` with the socket.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(&self, bins: &Bins, home: &Home, words: &[String]) -> anyhow::Result<Running> {
        let log = OpenOptions::new().create(true).append(true).open(home.log()).context("opening the daemon's log")?;
        let mut command = home.command(bins, Path::new("/bin/sh"));
        command.args(["-c", HAND_OVER, "sh"]).arg(&bins.daemon).args(words);
        command.env("LISTEN_FDS", self.count).env("NOTIFY_SOCKET", self.dir.path().join("notify"));
        if let Some(watchdog) = self.watchdog {
            command.env("WATCHDOG_USEC", watchdog.as_micros().to_string());
        }
        command.stdin(OwnedFd::from(self.socket.try_clone()?)).stdout(Stdio::null()).stderr(log);
        Ok(Running::new("m365-cached", spawn(&mut command)?))
    }

    /// The next thing that the daemon says; `None` when it says nothing for so long.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn hear(&self, patience: Duration) -> anyhow::Result<Option<String>> {
        self.ear.set_read_timeout(Some(patience))?;
        let mut words = [0; 512];
        match self.ear.recv(&mut words) {
            Ok(length) => Ok(Some(String::from_utf8_lossy(&words[..length]).into_owned())),
            Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => Ok(None),
            Err(error) => Err(error).context("hearing the daemon"),
        }
    }

    /// Waits until it says something that begins so; what it was.
    ///
    /// # Errors
    /// When it does not in time.
    pub fn hear_of(&self, start: &str) -> anyhow::Result<String> {
        loop {
            match self.hear(PATIENCE)? {
                Some(said) if said.starts_with(start) => return Ok(said),
                Some(_) => {}
                None => bail!("the daemon does not say {start}"),
            }
        }
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        // As `RemoveOnStop=` has it; one that has gone already is no trouble.
        let _ = std::fs::remove_file(&self.path);
    }
}
