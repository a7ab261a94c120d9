//! Starts the daemon, detached, when it is not running.
//!
//! Two hundred clients that find no daemon would start two hundred; the daemon's own lock lets one live, and the lock taken here lets
//! one client try while the others wait for its socket. A daemon that cannot start is tried once in two seconds by all of them together: who
//! starts one leaves a mark in that file, which stands until the daemon answers or gives way to another. The daemon gets a process group of its own, so that neither Ctrl-C in a
//! terminal nor a client that ends its server's group ends the daemon of everybody else.

use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use m365_cached_proto::ALREADY_RUNNING;
use m365_cached_proto::dirs::{DIR_VARIABLE, Profile, private_dir};
use m365_cached_proto::logs::{LOG_MAX, put_aside};
use m365_cached_proto::turn::Turn;

use crate::apart::apart;

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
    /// The daemon that was started and has not answered, and the turn, which is held until then.
    awaited: Option<(Turn, Child)>,
    /// Those that were started before and may still run. One that has ended is nobody's until it is waited for.
    former: Vec<Child>,
    /// How the last process that was started ended, until a daemon answers.
    words: Option<String>,
}

impl Starter {
    /// A starter for `profile`; where the program lies is decided now, from the environment `env`.
    #[must_use]
    pub fn new(profile: Profile, env: &dyn Fn(&str) -> Option<OsString>) -> Self {
        Self { profile, program: daemon_program(env), awaited: None, former: Vec::new(), words: None }
    }

    /// Starts the daemon unless another client is doing so.
    ///
    /// # Errors
    /// A sentence that says why it is impossible and what to do.
    pub fn start(&mut self) -> Result<Started, String> {
        // Another turn begins; the mark of the last one stays.
        self.former.extend(self.awaited.take().map(|(_, child)| child));
        self.reap();
        let Some(program) = &self.program else {
            return Err(format!(
                "the program `m365-cached` was found neither beside this one nor on PATH; install it there or name it in {DAEMON_VARIABLE}"
            ));
        };
        let dir = &self.profile.dir;
        // Nothing is written into a folder that the daemon will refuse: it may be anybody's.
        private_dir(dir).map_err(|error| format!("{error}; hint: {}", error.hint()))?;
        let turn =
            Turn::take(&self.profile).map_err(|error| format!("`{}` cannot be written: {error}", self.profile.starter_file().display()))?;
        let Some(turn) = turn.filter(|turn| !turn.is_marked()) else { return Ok(Started::BySomebodyElse) };
        let log = self.log().map_err(|error| format!("the log `{}` cannot be written: {error}", self.profile.log_file().display()))?;
        let mut command = Command::new(program);
        command.arg("--on-demand").stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).current_dir(dir);
        if self.profile.explicit {
            command.env(DIR_VARIABLE, dir);
        }
        apart(&mut command);
        let child = command.spawn().map_err(|error| format!("`{}` cannot be started: {error}", program.display()))?;
        turn.mark();
        self.awaited = Some((turn, child));
        Ok(Started::Now)
    }

    /// The daemon answered: the next client that finds none may start one.
    pub fn answered(&mut self) {
        if let Some((turn, child)) = self.awaited.take() {
            turn.clear();
            // One that has answered is over when it ends, however long after.
            self.former.push(child);
        }
        self.words = None;
        self.reap();
    }

    /// How the process that was started ended, when it has since the last look and without an answer: the turn is free again.
    pub fn look(&mut self) -> Option<End> {
        self.reap();
        let (_, child) = self.awaited.as_mut()?;
        let status = child.try_wait().ok().flatten()?;
        // The mark stays, unless the turn is freed.
        let (turn, _) = self.awaited.take()?;
        if status.success() || status.code() == Some(ALREADY_RUNNING.into()) {
            turn.clear();
            // One that has ended well has said nothing.
            self.words = (!status.success()).then(|| HELD.to_owned());
            return Some(End::GaveWay);
        }
        let log = self.profile.log_file();
        let words = last_words(&log).unwrap_or_default();
        self.words = Some(format!("`m365-cached` ended at once ({status}): {words} (log: `{}`)", log.display()));
        Some(End::Failed)
    }

    /// The status and the last words of the last process that did not end well; remembered until a daemon answers.
    #[must_use]
    pub fn words(&self) -> Option<&str> {
        self.words.as_deref()
    }

    /// Lets go of what has ended; it would stay in the list of processes.
    fn reap(&mut self) {
        self.former.retain_mut(|child| !matches!(child.try_wait(), Ok(Some(_))));
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

/// Where the daemon's program lies for a process with the environment `env`; `None` when it is nowhere.
#[must_use]
pub fn daemon_program(env: &dyn Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    if let Some(named) = env(DAEMON_VARIABLE).filter(|named| !named.is_empty()) {
        return std::path::absolute(named).ok();
    }
    program("m365-cached", env)
}

/// Where our program `name` lies for a process with the environment `env`: beside this one, else on the path; `None` when it is nowhere.
///
/// One beside this program is given the name under which this one was started, or under which the path has it: the system tells of a program where it
/// really lies, and an upgrade that exchanges what is behind a link (Homebrew, a folder for each version) takes that place away, from units, from clients'
/// entries, and from whoever is to notice that there is another version.
#[must_use]
pub fn program(name: &str, env: &dyn Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let folder = |file: PathBuf| file.parent().map(Path::to_owned);
    let started_as = std::env::args_os().next().map(PathBuf::from).filter(|file| file.is_absolute());
    find(name, env, std::env::current_exe().ok().and_then(folder).as_deref(), started_as.and_then(folder).as_deref())
}

fn find(name: &str, env: &dyn Fn(&str) -> Option<OsString>, beside: Option<&Path>, started_in: Option<&Path>) -> Option<PathBuf> {
    let name = format!("{name}{}", std::env::consts::EXE_SUFFIX);
    let path = env("PATH").unwrap_or_default();
    let there = |dir: PathBuf| Some(dir.join(OsStr::new(&name))).filter(|file| file.is_file());
    let on_path = || std::env::split_paths(&path).filter(|dir| dir.is_absolute()).filter_map(there);
    let Some(beside) = beside.map(Path::to_owned).and_then(there) else { return on_path().next() };
    let whole = beside.canonicalize().ok();
    let same = |file: &PathBuf| whole.is_some() && file.canonicalize().ok() == whole;
    started_in.map(Path::to_owned).and_then(there).into_iter().chain(on_path()).find(same).or(Some(beside))
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

    use m365_cached_proto::turn::START_EVERY;

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
        for child in starter.awaited.iter_mut().map(|(_, child)| child).chain(&mut starter.former) {
            child.wait().unwrap();
        }
    }

    #[test]
    fn a_program_lies_beside_this_one_or_on_the_path() {
        let home = tempfile::tempdir().unwrap();
        let (beside, path) = (home.path().join("a"), home.path().join("b"));
        for dir in [&beside, &path] {
            std::fs::create_dir(dir).unwrap();
        }
        let search = path.clone();
        let env = move |name: &str| (name == "PATH").then(|| search.clone().into_os_string());
        let find = || find("m365-cached", &env, Some(&beside), None);
        assert_eq!(find(), None);
        std::fs::write(path.join("m365-cached"), "").unwrap();
        assert_eq!(find(), Some(path.join("m365-cached")));
        std::fs::write(beside.join("m365-cached"), "").unwrap();
        assert_eq!(find(), Some(beside.join("m365-cached")));
        assert_eq!(daemon_program(&|name| (name == DAEMON_VARIABLE).then(|| "/x/y".into())), Some("/x/y".into()));
    }

    #[test]
    fn a_name_outlives_what_is_behind_it() {
        let home = tempfile::tempdir().unwrap();
        let (versioned, stable, other) = (home.path().join("1.2.3"), home.path().join("bin"), home.path().join("other"));
        for dir in [&versioned, &stable, &other] {
            std::fs::create_dir(dir).unwrap();
        }
        std::fs::write(versioned.join("m365-mcp"), "").unwrap();
        std::fs::write(other.join("m365-mcp"), "").unwrap();
        std::os::unix::fs::symlink(versioned.join("m365-mcp"), stable.join("m365-mcp")).unwrap();
        let path = |dirs: &[&Path]| std::env::join_paths(dirs).unwrap();
        let found = |dirs: &[&Path], beside: Option<&Path>, started_in: Option<&Path>| {
            find("m365-mcp", &|name| (name == "PATH").then(|| path(dirs)), beside, started_in)
        };
        assert_eq!(found(&[&other, &stable], Some(&versioned), None), Some(stable.join("m365-mcp")), "the path has a name for it");
        assert_eq!(
            found(&[&other], Some(&versioned), Some(&stable)),
            Some(stable.join("m365-mcp")),
            "an application with a bare path started it"
        );
        assert_eq!(found(&[&other], Some(&versioned), Some(&other)), Some(versioned.join("m365-mcp")), "another file is no name for it");
        assert_eq!(found(&[&other], Some(&versioned), None), Some(versioned.join("m365-mcp")));
        assert_eq!(found(&[&other], Some(home.path()), None), Some(other.join("m365-mcp")));
        assert_eq!(found(&[Path::new("other")], None, None), None);
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

    /// One that has ended and was not waited for would stay in the list of processes for as long as the client runs.
    #[test]
    fn a_daemon_that_has_served_and_ended_is_gone() {
        use rustix::process::{Pid, WaitId, WaitIdOptions, test_kill_process, waitid};
        let home = tempfile::tempdir().unwrap();
        let mut starter = starter(home.path(), "exec sleep 600");
        let serve_and_end = |starter: &mut Starter| {
            start(starter);
            starter.answered();
            let served = starter.former.last_mut().unwrap();
            let pid = Pid::from_child(served);
            served.kill().unwrap();
            // Its end is waited for, and left to be asked for.
            waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT).unwrap();
            assert_eq!(test_kill_process(pid), Ok(()), "nobody has asked yet");
            pid
        };
        let first = serve_and_end(&mut starter);
        assert_eq!(starter.look(), None);
        assert!(test_kill_process(first).is_err(), "it is there after a look");
        let second = serve_and_end(&mut starter);
        start(&mut starter);
        assert!(test_kill_process(second).is_err(), "it is there after another start");
        let (_, third) = starter.awaited.as_mut().unwrap();
        third.kill().unwrap();
        finish(&mut starter);
    }

    #[test]
    fn no_program_is_said_with_what_to_do() {
        let home = tempfile::tempdir().unwrap();
        let mut starter =
            Starter { profile: Profile::at(home.path()).unwrap(), program: None, awaited: None, former: Vec::new(), words: None };
        assert!(starter.start().unwrap_err().contains(DAEMON_VARIABLE));
    }
}
