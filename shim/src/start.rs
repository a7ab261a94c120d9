//! Starts the daemon, detached, when it is not running.
//!
//! Two hundred clients that find no daemon would start two hundred; the daemon's own lock lets one live, and the lock taken here lets
//! one client try while the others wait for its socket. The daemon gets a process group of its own, so that neither Ctrl-C in a
//! terminal nor a client that ends its server's group ends the daemon of everybody else.

use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use m365_cached_proto::dirs::{DIR_VARIABLE, Profile};
use m365_cached_proto::logs::{LOG_MAX, put_aside};

use crate::apart::apart;

/// Variable that names the daemon's program.
pub const DAEMON_VARIABLE: &str = "M365_CACHED_DAEMON";

/// What came of an attempt to start the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Started {
    /// A process was started; it listens within milliseconds or ends.
    Now,
    /// Another client is starting one at this moment.
    BySomebodyElse,
}

/// Starts the daemon of one profile.
#[derive(Debug)]
pub struct Starter {
    profile: Profile,
    program: Option<PathBuf>,
    /// Held from the start of the daemon until it answers.
    turn: Option<File>,
    child: Option<Child>,
    /// How the last process that was started ended, until a daemon answers.
    words: Option<String>,
}

impl Starter {
    /// A starter for `profile`; where the program lies is decided now, from the environment `env`.
    #[must_use]
    pub fn new(profile: Profile, env: &dyn Fn(&str) -> Option<OsString>) -> Self {
        Self { profile, program: daemon_program(env), turn: None, child: None, words: None }
    }

    /// Starts the daemon unless another client is doing so.
    ///
    /// # Errors
    /// A sentence that says why it is impossible and what to do.
    pub fn start(&mut self) -> Result<Started, String> {
        let Some(program) = &self.program else {
            return Err(format!(
                "the program `m365-cached` was found neither beside this one nor on PATH; install it there or name it in {DAEMON_VARIABLE}"
            ));
        };
        let dir = &self.profile.dir;
        make_dir(dir).map_err(|error| format!("the profile directory `{}` cannot be made: {error}", dir.display()))?;
        self.turn = None;
        let turn = private_file(&self.profile.starter_file(), OpenOptions::new().write(true))
            .map_err(|error| format!("`{}` cannot be written: {error}", self.profile.starter_file().display()))?;
        if turn.try_lock().is_err() {
            return Ok(Started::BySomebodyElse);
        }
        let log = self.log().map_err(|error| format!("the log `{}` cannot be written: {error}", self.profile.log_file().display()))?;
        let mut command = Command::new(program);
        command.arg("--on-demand").stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).current_dir(dir);
        if self.profile.explicit {
            command.env(DIR_VARIABLE, dir);
        }
        apart(&mut command);
        let child = command.spawn().map_err(|error| format!("`{}` cannot be started: {error}", program.display()))?;
        self.child = Some(child);
        self.turn = Some(turn);
        Ok(Started::Now)
    }

    /// The daemon answered: the next client that finds none may start one.
    pub fn answered(&mut self) {
        self.turn = None;
        self.words = None;
        self.reap();
    }

    /// What became of the process that was started, when it has failed: its status and its last words. Remembered until a daemon answers.
    pub fn obituary(&mut self) -> Option<String> {
        if let Some(status) = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten()) {
            self.child = None;
            self.turn = None;
            // Ending well means that another daemon was faster.
            if !status.success() {
                let words = last_line(&self.profile.log_file()).unwrap_or_default();
                self.words =
                    Some(format!("`m365-cached` ended at once ({status}): {words} (log: `{}`)", self.profile.log_file().display()));
            }
        }
        self.words.clone()
    }

    fn reap(&mut self) {
        if self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(Some(_)))) {
            self.child = None;
        }
    }

    /// The log, opened for appending; a big one is put aside first.
    fn log(&self) -> io::Result<File> {
        let path = self.profile.log_file();
        if std::fs::metadata(&path).is_ok_and(|meta| meta.len() > LOG_MAX) {
            put_aside(&path)?;
        }
        private_file(&path, OpenOptions::new().append(true))
    }
}

/// Keeps clients from starting the daemon of `profile` as long as the returned file is held; `None` while one is starting it at this moment.
///
/// # Errors
/// When the profile's directory cannot be written.
pub fn hold(profile: &Profile) -> io::Result<Option<File>> {
    make_dir(&profile.dir)?;
    let turn = private_file(&profile.starter_file(), OpenOptions::new().write(true))?;
    Ok(turn.try_lock().is_ok().then_some(turn))
}

/// Where the daemon's program lies for a process with the environment `env`; `None` when it is nowhere.
#[must_use]
pub fn daemon_program(env: &dyn Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let beside = std::env::current_exe().ok().and_then(|exe| exe.parent().map(Path::to_owned));
    program(env, beside.as_deref())
}

/// Where the daemon's program lies: named by the environment, beside this program, or on the path.
fn program(env: &dyn Fn(&str) -> Option<OsString>, beside: Option<&Path>) -> Option<PathBuf> {
    if let Some(named) = env(DAEMON_VARIABLE).filter(|named| !named.is_empty()) {
        return std::path::absolute(named).ok();
    }
    let name = format!("m365-cached{}", std::env::consts::EXE_SUFFIX);
    let path = env("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).filter(|dir| dir.is_absolute());
    beside.map(Path::to_owned).into_iter().chain(on_path).map(|dir| dir.join(OsStr::new(&name))).find(|file| file.is_file())
}

fn make_dir(dir: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}

fn private_file(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options.create(true).open(path)
}

/// The last line of a file that is not blank.
fn last_line(path: &Path) -> Option<String> {
    const ENOUGH: u64 = 2048;
    let mut file = File::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(ENOUGH))).ok()?;
    let mut end = Vec::new();
    file.read_to_end(&mut end).ok()?;
    String::from_utf8_lossy(&end).lines().map(str::trim).rfind(|line| !line.is_empty()).map(str::to_owned)
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn starter(dir: &Path, script: &str) -> Starter {
        let program = dir.join("daemon.sh");
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
        let profile = Profile::at(&dir.join("profile")).unwrap();
        Starter::new(profile, &move |name| (name == DAEMON_VARIABLE).then(|| program.clone().into_os_string()))
    }

    /// Waits for the child itself, which is the event; there is none any more when it has been reaped.
    fn finish(starter: &mut Starter) {
        if let Some(child) = &mut starter.child {
            child.wait().unwrap();
        }
    }

    #[test]
    fn the_program_is_named_beside_or_on_the_path() {
        let home = tempfile::tempdir().unwrap();
        let (beside, path) = (home.path().join("a"), home.path().join("b"));
        for dir in [&beside, &path] {
            std::fs::create_dir(dir).unwrap();
        }
        let search = path.clone();
        let env = move |name: &str| (name == "PATH").then(|| search.clone().into_os_string());
        assert_eq!(program(&env, Some(&beside)), None);
        std::fs::write(path.join("m365-cached"), "").unwrap();
        assert_eq!(program(&env, Some(&beside)), Some(path.join("m365-cached")));
        std::fs::write(beside.join("m365-cached"), "").unwrap();
        assert_eq!(program(&env, Some(&beside)), Some(beside.join("m365-cached")));
        assert_eq!(program(&|name| (name == DAEMON_VARIABLE).then(|| "/x/y".into()), Some(&beside)), Some("/x/y".into()));
    }

    /// Starts for certain. Another test that forks at this moment holds copies of our open files until it has become its program:
    /// of the script (which then is busy) and of a lock (which then is held); both pass.
    fn start(starter: &mut Starter) {
        for _ in 0..10_000 {
            if starter.start() == Ok(Started::Now) {
                return;
            }
            std::thread::yield_now();
        }
        panic!("{:?}", starter.start());
    }

    #[test]
    fn one_client_starts_while_the_others_wait() {
        let home = tempfile::tempdir().unwrap();
        let mut first = starter(home.path(), "exit 0");
        let mut second = starter(home.path(), "exit 0");
        start(&mut first);
        assert_eq!(second.start(), Ok(Started::BySomebodyElse));
        first.answered();
        start(&mut second);
        finish(&mut first);
        finish(&mut second);
    }

    #[test]
    fn the_daemon_runs_in_its_profile_and_its_last_words_are_kept() {
        let home = tempfile::tempdir().unwrap();
        let mut starter = starter(home.path(), "echo \"$M365_CACHED_DIR\" >&2; echo 'the key is gone' >&2; exit 7");
        start(&mut starter);
        finish(&mut starter);
        let words = starter.obituary().unwrap();
        assert!(words.contains("the key is gone") && words.contains('7'), "{words}");
        let log = std::fs::read_to_string(starter.profile.log_file()).unwrap();
        assert!(log.contains(starter.profile.dir.to_str().unwrap()));
        let mode = std::fs::metadata(starter.profile.log_file()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn losing_the_race_is_no_trouble() {
        let home = tempfile::tempdir().unwrap();
        let mut starter = starter(home.path(), "exit 0");
        start(&mut starter);
        finish(&mut starter);
        assert_eq!(starter.obituary(), None);
    }

    #[test]
    fn no_program_is_said_with_what_to_do() {
        let home = tempfile::tempdir().unwrap();
        let mut starter = Starter { profile: Profile::at(home.path()).unwrap(), program: None, turn: None, child: None, words: None };
        assert!(starter.start().unwrap_err().contains(DAEMON_VARIABLE));
    }
}
