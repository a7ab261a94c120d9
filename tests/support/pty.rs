//! A program on a pseudo-terminal, as a person has it before them: it is told what they type, and what it says is waited for. One that draws a
//! screen is read through `terminal.rs`.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    os::fd::OwnedFd,
    process::{Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
};

use anyhow::{Context as _, bail};

use super::{
    PATIENCE,
    process::{Running, spawn},
    stopwatch,
    terminal::pair,
};

/// A program on a terminal of 80 columns and 24 rows. Killed when dropped.
#[derive(Debug)]
pub struct Pty {
    process: Running,
    keyboard: File,
    screen: Receiver<Vec<u8>>,
    said: String,
    seen: usize,
    /// Open as long as we are: a terminal that everybody has closed is gone.
    line: OwnedFd,
}

impl Pty {
    /// Starts `command` with the terminal as its stdin, stdout and stderr.
    ///
    /// # Errors
    /// When there is no pseudo-terminal, or the program cannot be started.
    pub fn spawn(mut command: Command) -> anyhow::Result<Self> {
        let (keyboard, line) = pair(80, 24)?;
        let end = || -> anyhow::Result<Stdio> { Ok(line.try_clone()?.into()) };
        command.stdin(end()?).stdout(end()?).stderr(end()?).env("TERM", "xterm-256color");
        let process = Running::new("a program on a terminal", spawn(&mut command)?);
        let mut reader = keyboard.try_clone()?;
        let (tell, screen) = channel();
        // Ends with the terminal, or with whoever listens.
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(length @ 1..) = reader.read(&mut bytes) {
                if tell.send(bytes[..length].to_vec()).is_err() {
                    break;
                }
            }
        });
        Ok(Self { process, keyboard, screen, said: String::new(), seen: 0, line })
    }

    /// Types `text` and the return key.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn type_line(&mut self, text: &str) -> anyhow::Result<()> {
        self.keyboard.write_all(format!("{text}\n").as_bytes()).context("typing")
    }

    /// Waits until `text` has been said, after what was waited for before; everything that was said in between.
    ///
    /// # Errors
    /// When it is not said in time; all that was said is in the error.
    pub fn until(&mut self, text: &str) -> anyhow::Result<String> {
        let deadline = stopwatch::now() + PATIENCE;
        loop {
            if let Some(at) = self.said[self.seen..].find(text) {
                let end = self.seen + at + text.len();
                let passage = self.said[self.seen..end].to_owned();
                self.seen = end;
                return Ok(passage);
            }
            match self.screen.recv_timeout(deadline.saturating_duration_since(stopwatch::now())) {
                Ok(bytes) => self.said.push_str(&String::from_utf8_lossy(&bytes)),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => bail!("`{text}` is not said:\n{}", self.said),
            }
        }
    }

    /// Waits for the program's end; how it ended and all it has said.
    ///
    /// # Errors
    /// When it does not end.
    pub fn finish(mut self) -> anyhow::Result<(ExitStatus, String)> {
        let status = self.process.wait(PATIENCE).with_context(|| self.said.clone())?;
        // With our end closed, too, the terminal is at its end once everything has been read.
        drop(self.line);
        let deadline = stopwatch::now() + PATIENCE;
        loop {
            match self.screen.recv_timeout(deadline.saturating_duration_since(stopwatch::now())) {
                Ok(bytes) => self.said.push_str(&String::from_utf8_lossy(&bytes)),
                Err(RecvTimeoutError::Disconnected) => return Ok((status, self.said)),
                Err(RecvTimeoutError::Timeout) => bail!("something keeps the terminal open:\n{}", self.said),
            }
        }
    }
}
