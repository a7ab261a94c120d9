//! A terminal that a program runs on: a real pseudo-terminal, and a screen behind it that can be read.
//!
//! The program gets it as its controlling terminal (`setsid --ctty`), so that a change of size and its end reach it as they do at a person's desk.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    num::NonZeroU16,
    os::fd::OwnedFd,
    path::Path,
    process::{ExitStatus, Stdio},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::Context as _;
use rustix::{
    fs::{Mode, OFlags},
    process::Signal,
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize},
};
use vt100::Parser;

use super::{
    PATIENCE,
    bins::Bins,
    home::Home,
    process::{Running, spawn},
    stopwatch,
};

/// Longest wait for a bell that may have rung already.
const MOMENT: Duration = Duration::from_millis(20);

/// What is on the screen, and a bell for each change.
type Shown = Arc<(Mutex<Parser>, Condvar)>;

/// A terminal with a program on it. The program is killed when this is dropped.
pub struct Terminal {
    process: Running,
    shown: Shown,
    master: File,
    /// Kept open: what the terminal is set to can be read after the program's end.
    slave: OwnedFd,
}

impl Terminal {
    /// Runs `program` on a terminal of `columns` and `rows`, in the environment of `home`.
    ///
    /// # Errors
    /// When there is no pseudo-terminal or the program cannot be started.
    pub fn start(bins: &Bins, home: &Home, program: &Path, words: &[&str], (columns, rows): (u16, u16)) -> anyhow::Result<Self> {
        let (master, slave) = pair(columns, rows)?;
        let mut command = home.command(bins, Path::new("setsid"));
        command.arg("--ctty").arg(program).args(words).env("TERM", "xterm-256color").env("LANG", "C.UTF-8");
        let end = || -> anyhow::Result<Stdio> { Ok(slave.try_clone()?.into()) };
        command.stdin(end()?).stdout(end()?).stderr(end()?);
        let process = Running::new("a program on a terminal", spawn(&mut command)?);
        let parser = Parser::new(number(rows), number(columns), 0);
        let shown = Shown::new((Mutex::new(parser), Condvar::new()));
        let (mut reader, screen) = (master.try_clone()?, Arc::clone(&shown));
        // Ends with the terminal.
        std::thread::spawn(move || {
            let mut bytes = [0; 16 * 1024];
            while let Ok(length @ 1..) = reader.read(&mut bytes) {
                screen.0.lock().unwrap_or_else(PoisonError::into_inner).process(&bytes[..length]);
                screen.1.notify_all();
            }
        });
        Ok(Self { process, shown, master, slave })
    }

    /// Types.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn press(&mut self, keys: &str) -> anyhow::Result<()> {
        self.master.write_all(keys.as_bytes()).context("typing")
    }

    /// Makes the window another size, as a person does.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn resize(&mut self, (columns, rows): (u16, u16)) -> anyhow::Result<()> {
        self.screen().set_size(number(rows), number(columns));
        tcsetwinsize(&self.master, size(columns, rows)).context("resizing")
    }

    /// Waits until the screen's text is as it must become; that text.
    ///
    /// # Errors
    /// When it does not become so in time; the screen is in the error.
    pub fn until(&self, becomes: impl Fn(&str) -> bool) -> anyhow::Result<String> {
        let deadline = stopwatch::now() + PATIENCE;
        let mut screen = self.screen();
        loop {
            let text = screen.screen().contents();
            if becomes(&text) {
                return Ok(text);
            }
            let left = deadline.saturating_duration_since(stopwatch::now());
            anyhow::ensure!(!left.is_zero(), "the screen stays so:\n{text}");
            screen = self.shown.1.wait_timeout(screen, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// What is on the screen, with its colours.
    #[must_use]
    pub fn picture(&self) -> vt100::Screen {
        self.screen().screen().clone()
    }

    /// Sends the program a signal.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn signal(&mut self, signal: Signal) -> anyhow::Result<()> {
        self.process.signal(signal)
    }

    /// Waits for the program's end.
    ///
    /// # Errors
    /// When it does not end.
    pub fn wait(&mut self) -> anyhow::Result<ExitStatus> {
        self.process.wait(PATIENCE)
    }

    /// Whether the terminal is as a shell wants it: it shows what is typed, line by line, with a cursor, on its usual screen.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn is_given_back(&self) -> anyhow::Result<bool> {
        let cooked = tcgetattr(&self.slave)?.local_modes.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG);
        let screen = self.screen();
        Ok(cooked && !screen.screen().alternate_screen() && !screen.screen().hide_cursor())
    }

    /// Waits until it is so: the last words of the program may still be on their way.
    ///
    /// # Errors
    /// When it does not become so.
    pub fn until_given_back(&self) -> anyhow::Result<()> {
        let deadline = stopwatch::now() + PATIENCE;
        while !self.is_given_back()? {
            let left = deadline.saturating_duration_since(stopwatch::now());
            anyhow::ensure!(!left.is_zero(), "the terminal is left raw, on another screen or without a cursor");
            // A change rings; one that came before we listen is seen a moment later.
            drop(self.shown.1.wait_timeout(self.screen(), left.min(MOMENT)));
        }
        Ok(())
    }

    fn screen(&self) -> MutexGuard<'_, Parser> {
        self.shown.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn number(count: u16) -> NonZeroU16 {
    NonZeroU16::new(count).unwrap_or(NonZeroU16::MIN)
}

/// Both ends of a pseudo-terminal: a person's, and the program's. Neither is for the program's own children: one that outlives it would keep the
/// terminal open.
///
/// # Errors
/// When there is none.
pub(super) fn pair(columns: u16, rows: u16) -> anyhow::Result<(File, OwnedFd)> {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).context("opening a pseudo-terminal")?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let slave = rustix::fs::open(ptsname(&master, Vec::new())?, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
    tcsetwinsize(&slave, size(columns, rows))?;
    Ok((File::from(master), slave))
}

fn size(columns: u16, rows: u16) -> Winsize {
    Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}
