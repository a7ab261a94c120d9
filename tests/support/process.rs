//! A process of ours that is waited for with a deadline and never outlives its owner.

use std::{
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, Command, ExitStatus},
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::Duration,
};

use anyhow::{Context as _, bail};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open},
};

/// Puts a copy of `source` in the place of `program` at one stroke. Another program makes it: if this process wrote it, whatever another test starts at that
/// moment would hold it open for writing for a while, and nobody could run it.
///
/// # Errors
/// When it cannot be copied or moved.
pub fn replace(program: &Path, source: &Path) -> anyhow::Result<()> {
    let new = program.with_extension("new");
    let copied = Command::new("cp").arg("-p").args([source, &new]).status().context("cp")?;
    anyhow::ensure!(copied.success(), "cp {} {}: {copied}", source.display(), new.display());
    std::fs::rename(&new, program).with_context(|| format!("replacing {}", program.display()))
}

/// A running child. Killed when dropped.
#[derive(Debug)]
pub struct Running {
    name: String,
    pid: u32,
    ended: mpsc::Receiver<std::io::Result<ExitStatus>>,
    status: Option<ExitStatus>,
}

impl Running {
    /// Takes over a child whose pipes have been taken from it already.
    #[must_use]
    pub fn new(name: &str, mut child: Child) -> Self {
        let (tell, ended) = mpsc::channel();
        let pid = child.id();
        // Ends with the child; nobody listening any more is no trouble.
        std::thread::spawn(move || tell.send(child.wait()).ok());
        Self { name: name.to_owned(), pid, ended, status: None }
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it has not ended in time.
    pub fn wait(&mut self, patience: Duration) -> anyhow::Result<ExitStatus> {
        if let Some(status) = self.status {
            return Ok(status);
        }
        let status = self.ended.recv_timeout(patience).with_context(|| format!("{} did not end within {patience:?}", self.name))??;
        self.status = Some(status);
        Ok(status)
    }

    /// Whether it has ended, and how.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() {
            self.status = self.ended.try_recv().ok().and_then(Result::ok);
        }
        self.status
    }

    /// Sends a signal, if it is still there.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn signal(&mut self, signal: Signal) -> anyhow::Result<()> {
        if self.ended().is_some() {
            return Ok(());
        }
        match kill_process(id(self.pid)?, signal) {
            // It has ended at this very moment, and we have not been told yet.
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(error).with_context(|| format!("signalling {}", self.name)),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.ended().is_none() {
            // It may end by itself at this very moment.
            let _ = send(self.pid, Signal::KILL);
            let _ = self.wait(super::PATIENCE);
        }
    }
}

fn id(pid: u32) -> anyhow::Result<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw).with_context(|| format!("no process id: {pid}"))
}

/// Sends a signal to a process.
///
/// # Errors
/// When the system refuses.
pub fn send(pid: u32, signal: Signal) -> anyhow::Result<()> {
    kill_process(id(pid)?, signal).with_context(|| format!("signalling process {pid}"))
}

/// Waits for the end of a process that is nobody's or somebody else's child.
///
/// # Errors
/// When it has not ended in time.
pub fn wait_for_stranger(pid: u32, patience: Duration) -> anyhow::Result<()> {
    let handle = match pidfd_open(id(pid)?, PidfdFlags::empty()) {
        Ok(handle) => handle,
        Err(rustix::io::Errno::SRCH) => return Ok(()),
        Err(error) => return Err(error).context("watching a process"),
    };
    let mut watched = [PollFd::new(&handle, PollFlags::IN)];
    let timeout = Timespec { tv_sec: i64::try_from(patience.as_secs())?, tv_nsec: patience.subsec_nanos().into() };
    if poll(&mut watched, Some(&timeout))? == 0 {
        bail!("process {pid} did not end within {patience:?}");
    }
    Ok(())
}

/// Processes, other than this one, whose environment names this profile directory: pid and command line.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn of_profile(dir: &Path) -> anyhow::Result<Vec<(u32, String)>> {
    let mark = format!("M365_CACHED_DIR={}", dir.display());
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").context("listing processes")? {
        let path = entry?.path();
        let Some(pid) = path.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok()) else { continue };
        // Processes end while we look; a daemon that is not dumpable hides its environment, then its command line tells.
        let environment = std::fs::read(path.join("environ")).unwrap_or_default();
        let command = std::fs::read(path.join("cmdline")).unwrap_or_default();
        let named = environment.split(|byte| *byte == 0).any(|one| one == mark.as_bytes());
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        if pid != std::process::id() && (named || command.contains(&dir.display().to_string())) {
            found.push((pid, command));
        }
    }
    Ok(found)
}

/// Peak and present memory of a process in KiB: resident, proportional.
///
/// # Errors
/// When `/proc` does not tell.
pub fn memory(pid: u32) -> anyhow::Result<(u64, u64)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).context("reading the memory of a process")?;
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    Ok((field("Rss:").context("Rss")?, field("Pss:").context("Pss")?))
}

/// Whether what is started from now on is kept from the terminal's signals.
static APART: AtomicBool = AtomicBool::new(false);

/// From now on Ctrl-C reaches this process and not the ones it starts: for who ends them itself, in its own time.
pub fn keep_from_the_terminal() {
    APART.store(true, Ordering::Relaxed);
}

/// Starts a command, with its name in the error.
///
/// # Errors
/// When it cannot be started.
pub fn spawn(command: &mut Command) -> anyhow::Result<Child> {
    if APART.load(Ordering::Relaxed) {
        command.process_group(0);
    }
    command.spawn().with_context(|| format!("starting {}", command.get_program().display()))
}
