//! When to stop: the signals and events that ask for it.

use std::io;
#[cfg(unix)]
use std::io::IsTerminal as _;

/// The signals that ask the daemon to stop.
#[derive(Debug)]
pub struct Signals {
    #[cfg(unix)]
    term: tokio::signal::unix::Signal,
    #[cfg(unix)]
    int: tokio::signal::unix::Signal,
    #[cfg(unix)]
    hup: Option<tokio::signal::unix::Signal>,
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
        Ok(Self { term: signal(SignalKind::terminate())?, int: signal(SignalKind::interrupt())?, hup: Some(signal(SignalKind::hangup())?) })
    }

    /// Ends when one of them comes, with its name.
    pub async fn stop(&mut self) -> &'static str {
        tokio::select! {
            _ = self.term.recv() => "SIGTERM",
            _ = self.int.recv() => "SIGINT",
            () = hung_up(self.hup.as_mut()) => "SIGHUP",
        }
    }

    /// From here on a hangup has the settings read again; not where it can be that of the terminal that the daemon was started in, with
    /// which it ends. One that came before is not lost.
    pub fn hangups(&mut self) -> Hangups {
        Hangups(if io::stderr().is_terminal() { None } else { self.hup.take() })
    }
}

/// Hangups, which ask for a reload. Windows has none.
#[derive(Debug, Default)]
pub struct Hangups(#[cfg(unix)] Option<tokio::signal::unix::Signal>);

impl Hangups {
    /// Ends at the next one.
    pub async fn next(&mut self) {
        #[cfg(unix)]
        hung_up(self.0.as_mut()).await;
        #[cfg(not(unix))]
        std::future::pending::<()>().await;
    }
}

#[cfg(unix)]
async fn hung_up(signal: Option<&mut tokio::signal::unix::Signal>) {
    if let Some(signal) = signal
        && signal.recv().await.is_some()
    {
        return;
    }
    std::future::pending().await
}

#[cfg(windows)]
impl Signals {
    /// There are none.
    pub fn hangups(&mut self) -> Hangups {
        Hangups()
    }

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
