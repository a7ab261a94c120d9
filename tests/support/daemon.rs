//! The real daemon as a process: started, known to be ready, stopped.

use std::{
    fs::OpenOptions,
    os::unix::net::UnixDatagram,
    path::PathBuf,
    process::{ExitStatus, Stdio},
};

use anyhow::{Context as _, bail};
use rustix::process::Signal;

use super::{
    PATIENCE,
    bins::Bins,
    home::Home,
    process::{Running, spawn},
};

/// A running daemon. Killed when dropped; [`Daemon::stop`] ends it properly.
#[derive(Debug)]
pub struct Daemon {
    process: Running,
    log: PathBuf,
    /// Where it says that it is ready, and later that it stops.
    _ear: (UnixDatagram, tempfile::TempDir),
}

impl Daemon {
    /// Starts it and returns when it says that it is ready, locked or not.
    ///
    /// # Errors
    /// When it ends or says nothing instead.
    pub fn start(bins: &Bins, home: &Home) -> anyhow::Result<Self> {
        Self::start_with(bins, home, &[])
    }

    /// The same with further words on its command line.
    ///
    /// # Errors
    /// When it ends or says nothing instead.
    pub fn start_with(bins: &Bins, home: &Home, words: &[&str]) -> anyhow::Result<Self> {
        let log = home.log();
        let out = OpenOptions::new().create(true).append(true).open(&log).context("opening the daemon's log")?;
        // Outside the profile, so that the profile holds only what the product puts there.
        let ear = tempfile::Builder::new().prefix("m365-ready-").tempdir()?;
        let ready = ear.path().join("ready");
        let socket = UnixDatagram::bind(&ready).context("listening for readiness")?;
        let mut command = home.command(bins, &bins.daemon);
        command.args(words).env("NOTIFY_SOCKET", &ready).stdin(Stdio::null()).stdout(Stdio::null()).stderr(out);
        let mut process = Running::new("m365-cached", spawn(&mut command)?);
        // A daemon that ends at once would leave us waiting: its own end is told through the same ear.
        let mut words = [0; 512];
        socket.set_read_timeout(Some(std::time::Duration::from_millis(500)))?;
        let deadline = super::stopwatch::now() + PATIENCE;
        loop {
            match socket.recv(&mut words) {
                Ok(length) if String::from_utf8_lossy(&words[..length]).contains("READY=1") => break,
                Ok(_) => {}
                Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
                    let text = std::fs::read_to_string(&log).unwrap_or_default();
                    if let Some(status) = process.ended() {
                        bail!("the daemon ended before it was ready ({status}):\n{text}");
                    }
                    if super::stopwatch::now() > deadline {
                        bail!("the daemon did not get ready within {PATIENCE:?}:\n{text}");
                    }
                }
                Err(error) => return Err(error).context("waiting for the daemon"),
            }
        }
        Ok(Self { process, log, _ear: (socket, ear) })
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// What it has logged so far.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn log(&self) -> anyhow::Result<String> {
        std::fs::read_to_string(&self.log).context("reading the daemon's log")
    }

    /// Whether it still runs.
    pub fn alive(&mut self) -> bool {
        self.process.ended().is_none()
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn signal(&mut self, signal: Signal) -> anyhow::Result<()> {
        self.process.signal(signal)
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it does not end in time.
    pub fn wait(&mut self) -> anyhow::Result<ExitStatus> {
        self.process.wait(PATIENCE)
    }

    /// Asks it to end, as a service manager would, and waits.
    ///
    /// # Errors
    /// When it does not end in time, or not with success.
    pub fn stop(mut self) -> anyhow::Result<()> {
        self.signal(Signal::TERM)?;
        let status = self.wait()?;
        if !status.success() {
            bail!("the daemon ended with {status}:\n{}", self.log()?);
        }
        Ok(())
    }
}
