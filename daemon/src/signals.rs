//! When to stop: the signals and events that ask for it.

use std::io;

/// The signals that ask the daemon to stop.
#[derive(Debug)]
pub struct Signals {
    #[cfg(unix)]
    term: tokio::signal::unix::Signal,
    #[cfg(unix)]
    int: tokio::signal::unix::Signal,
    #[cfg(unix)]
    hup: tokio::signal::unix::Signal,
    #[cfg(windows)]
    ctrl_c: tokio::signal::windows::CtrlC,
    #[cfg(windows)]
    close: tokio::signal::windows::CtrlClose,
    #[cfg(windows)]
    shutdown: tokio::signal::windows::CtrlShutdown,
}

#[cfg(unix)]
impl Signals {
    /// From here on these signals no longer kill the process. Needs a tokio runtime.
    pub fn install() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { term: signal(SignalKind::terminate())?, int: signal(SignalKind::interrupt())?, hup: signal(SignalKind::hangup())? })
    }

    /// Ends when one of them comes, with its name.
    pub async fn stop(&mut self) -> &'static str {
        tokio::select! {
            _ = self.term.recv() => "SIGTERM",
            _ = self.int.recv() => "SIGINT",
            _ = self.hup.recv() => "SIGHUP",
        }
    }
}

#[cfg(windows)]
impl Signals {
    /// From here on these events no longer kill the process. Needs a tokio runtime.
    pub fn install() -> io::Result<Self> {
        use tokio::signal::windows;
        Ok(Self { ctrl_c: windows::ctrl_c()?, close: windows::ctrl_close()?, shutdown: windows::ctrl_shutdown()? })
    }

    /// Ends when one of them comes, with its name.
    pub async fn stop(&mut self) -> &'static str {
        tokio::select! {
            _ = self.ctrl_c.recv() => "Ctrl-C",
            _ = self.close.recv() => "close",
            _ = self.shutdown.recv() => "shutdown",
        }
    }
}
