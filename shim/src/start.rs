//! Starts the daemon, detached, when it is not running.
//!
//! Two hundred clients that find no daemon would start two hundred; the daemon's own lock lets one live, and the lock taken here lets
//! one client try while the others wait for its socket. A daemon that cannot start is tried once in two seconds by all of them together: who
//! starts one leaves a mark in that file, which stands until the daemon answers or gives way to another. The daemon gets a process group of its own, so that neither Ctrl-C in a
//! terminal nor a client that ends its server's group ends the daemon of everybody else.

use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use m365_cached_proto::ALREADY_RUNNING;
use m365_cached_proto::dirs::{DIR_VARIABLE, Profile, private_dir};
use m365_cached_proto::logs::{LOG_MAX, put_aside};

use crate::apart::apart;
use crate::retry::START_EVERY;

/// Variable that names the daemon's program.
pub const DAEMON_VARIABLE: &str = "M365_CACHED_DAEMON";

/// Why a daemon that was started found the profile taken, and nobody listens.
const HELD: &str = "another process holds the profile and takes no connections: a daemon that finishes its last calls before it ends, or a verb that works on its files";

/// What came of an attempt to start the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Started {
    /// A process was started; it listens within milliseconds or ends.
    Now,
    /// Another client is starting one at this moment, or has just failed to.
    BySomebodyElse,
}

/// How a process ended that was started and did not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Another daemon was faster, or had not quite ended.
    GaveWay,
    /// It cannot start.
    Failed,
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
        // Nothing is written into a folder that the daemon will refuse: it may be anybody's.
        private_dir(dir).map_err(|error| format!("{error}; hint: {}", error.hint()))?;
        self.turn = None;
        let turn = private_file(&self.profile.starter_file(), OpenOptions::new().write(true))
            .map_err(|error| format!("`{}` cannot be written: {error}", self.profile.starter_file().display()))?;
        if turn.try_lock().is_err() || is_marked(&turn) {
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
        mark(&turn);
        self.turn = Some(turn);
        Ok(Started::Now)
    }

    /// The daemon answered: the next client that finds none may start one.
    pub fn answered(&mut self) {
        self.free();
        self.words = None;
        self.reap();
    }

    /// How the process that was started ended, when it has since the last look and without an answer: the turn is free again.
    pub fn look(&mut self) -> Option<End> {
        // One that answered is over when it ends, however long after.
        self.turn.as_ref()?;
        let status = self.child.as_mut()?.try_wait().ok().flatten()?;
        self.child = None;
        if status.success() || status.code() == Some(ALREADY_RUNNING.into()) {
            self.free();
            // One that has ended well has said nothing.
            self.words = (!status.success()).then(|| HELD.to_owned());
            return Some(End::GaveWay);
        }
        let log = self.profile.log_file();
        let words = last_words(&log).unwrap_or_default();
        self.words = Some(format!("`m365-cached` ended at once ({status}): {words} (log: `{}`)", log.display()));
        // The mark stays.
        self.turn = None;
        Some(End::Failed)
    }

    /// The status and the last words of the last process that did not end well; remembered until a daemon answers.
    #[must_use]
    pub fn words(&self) -> Option<&str> {
        self.words.as_deref()
    }

    /// Gives the turn back, without a mark.
    fn free(&mut self) {
        if let Some(turn) = self.turn.take() {
            // One that cannot be removed keeps others waiting for two seconds.
            let _ = turn.set_len(0);
        }
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

/// Marks the turn as one in which a daemon was started. On a full disk there is no mark, and each client is held back by itself alone.
fn mark(mut turn: &File) {
    let _ = turn.write_all(b".");
}

/// Whether a daemon was started within the last two seconds that has neither answered nor given way. A mark of the future, left by a clock that
/// was set back since, is none.
fn is_marked(turn: &File) -> bool {
    let Ok(facts) = turn.metadata() else { return false };
    facts.len() > 0 && facts.modified().is_ok_and(|at| at.elapsed().is_ok_and(|age| age < START_EVERY))
}

/// Keeps clients from starting the daemon of `profile` as long as the returned file is held; `None` while one is starting it at this moment.
///
/// # Errors
/// When the profile's directory cannot be written.
pub fn hold(profile: &Profile) -> io::Result<Option<File>> {
    private_dir(&profile.dir).map_err(io::Error::other)?;
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

fn private_file(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options.create(true).open(path)
}

/// What a program said at its end: its last error with the hint below it, else the last line that is not blank.
fn last_words(path: &Path) -> Option<String> {
    const ENOUGH: u64 = 2048;
    let mut file = File::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(ENOUGH))).ok()?;
    let mut end = Vec::new();
    file.read_to_end(&mut end).ok()?;
    let end = String::from_utf8_lossy(&end);
    let lines: Vec<&str> = end.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    match lines.as_slice() {
        [.., error, hint] if error.starts_with("error: ") && hint.starts_with("hint: ") => {
            Some(format!("{}; {hint}", error.trim_start_matches("error: ")))
        }
        lines => lines.last().map(|line| (*line).to_owned()),
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::time::Duration;

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
        assert_eq!((starter.look(), starter.look()), (Some(End::Failed), None));
        let words = starter.words().unwrap();
        assert!(words.contains("the key is gone") && words.contains('7'), "{words}");
        let log = std::fs::read_to_string(starter.profile.log_file()).unwrap();
        assert!(log.contains(starter.profile.dir.to_str().unwrap()));
        let mode = std::fs::metadata(starter.profile.log_file()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn what_it_ended_of_is_told_with_its_hint() {
        let home = tempfile::tempdir().unwrap();
        let mut starter =
            starter(home.path(), "echo 'a line' >&2; echo 'error: the folder is open' >&2; echo 'hint: Close it.' >&2; exit 7");
        start(&mut starter);
        finish(&mut starter);
        assert_eq!(starter.look(), Some(End::Failed));
        let words = starter.words().unwrap();
        assert!(words.contains(": the folder is open; hint: Close it. (log"), "{words}");
    }

    #[test]
    fn losing_the_race_frees_the_turn() {
        for code in [0, ALREADY_RUNNING] {
            let home = tempfile::tempdir().unwrap();
            let mut first = starter(home.path(), &format!("exit {code}"));
            start(&mut first);
            finish(&mut first);
            assert_eq!((first.look(), first.look()), (Some(End::GaveWay), None), "{code}");
            // One that holds the profile and does not listen is worth telling of.
            assert_eq!(first.words().is_some(), code == ALREADY_RUNNING);
            start(&mut starter(home.path(), "exit 0"));
        }
    }

    #[test]
    fn a_daemon_that_cannot_start_is_started_once_in_two_seconds_by_all_clients() {
        let home = tempfile::tempdir().unwrap();
        let mut first = starter(home.path(), "exit 7");
        start(&mut first);
        finish(&mut first);
        assert_eq!(first.look(), Some(End::Failed));
        let mut second = starter(home.path(), "exit 7");
        for client in [&mut first, &mut second] {
            assert_eq!(client.start(), Ok(Started::BySomebodyElse));
        }
        let aged = |age: Duration| {
            let file = OpenOptions::new().write(true).open(second.profile.starter_file()).unwrap();
            let at = file.metadata().unwrap().modified().unwrap();
            file.set_modified(at - age).unwrap();
        };
        aged(START_EVERY);
        start(&mut first);
        finish(&mut first);
        first.look();
        let ahead = OpenOptions::new().write(true).open(first.profile.starter_file()).unwrap();
        ahead.set_modified(ahead.metadata().unwrap().modified().unwrap() + Duration::from_secs(3600)).unwrap();
        drop(ahead);
        start(&mut starter(home.path(), "exit 7"));
    }

    #[test]
    fn a_daemon_that_has_served_and_ended_is_no_failure() {
        let home = tempfile::tempdir().unwrap();
        let mut starter = starter(home.path(), "read word; exit 7");
        start(&mut starter);
        starter.answered();
        finish(&mut starter);
        assert_eq!((starter.look(), starter.words()), (None, None));
        start(&mut starter);
    }

    #[test]
    fn no_program_is_said_with_what_to_do() {
        let home = tempfile::tempdir().unwrap();
        let mut starter = Starter { profile: Profile::at(home.path()).unwrap(), program: None, turn: None, child: None, words: None };
        assert!(starter.start().unwrap_err().contains(DAEMON_VARIABLE));
    }
}
