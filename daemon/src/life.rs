//! When the daemon ends by itself: nobody needs it any more, or another version of its program lies in its place.
//!
//! A daemon that a client started ends after `daemon.idle_s` without a client; one that a service manager or a person started stays. Either gives way to
//! another program: when the file it was started from has been replaced, the new one is tried (`--version`), and once no call has been under
//! way for a while, nor a sign-in, a backup or whatever else people wait for, the daemon drains and puts the new program in its own place, under the
//! same process id, so that a service manager sees none of it. Clients are connected again before anybody notices: the shim holds what comes meanwhile.
//!
//! A replacement is any other file, also an older one: whoever installs decides. One that does not start is told of and changes nothing. One of
//! which that cannot be said yet (somebody still has it open for writing, the machine is too busy to let it speak) is tried again for a while.
//!
//! A daemon also ends when its socket lies no more where clients look for it: a service manager has put its own there, or somebody has cleaned up. It would hold the
//! lock of the profile and be found by nobody.

use std::{
    ffi::OsString,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::{Duration, SystemTime},
};

use m365_cached::clock::Timestamp;

use crate::{
    core::Warning,
    daemon::{Daemon, End},
    instance::Place,
    manager::Handed,
};

/// How often is looked. A new file must be the same at two looks, so that one that is still being written is left alone.
pub const LOOK: Duration = Duration::from_secs(10);
/// A daemon that is never quiet gives way after this all the same, unless a write, a backup or a change of keys is under way: calls are finished while it
/// drains.
const PATIENCE: Duration = Duration::from_secs(600);
/// How long a program may take to tell its version.
const VERSION: Duration = Duration::from_secs(10);

/// What is said of another program in the place of ours, one that starts and one that does not.
const OTHER_INSTALLED: &str = "other_version_installed";
const OTHER_BROKEN: &str = "other_version_broken";

/// When a daemon ends by itself.
#[derive(Debug, Clone, Default)]
pub struct Life {
    /// Without a client for this long; `None` to stay.
    pub idle: Option<Duration>,
    /// The file it was started from; `None` where that is not known.
    pub program: Option<Program>,
    /// The socket it has bound itself; `None` for one that a service manager keeps.
    pub place: Option<Place>,
}

/// A program's file, and how to tell that it is another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    path: PathBuf,
    mark: Mark,
}

/// What changes when a file is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    length: u64,
    changed: Option<SystemTime>,
    /// Its number on its disk.
    number: u64,
}

impl Program {
    /// The file that this process was started from, by the name that was used: behind a link another version may come to lie.
    #[must_use]
    pub fn of_this_process(first_word: Option<OsString>) -> Option<Self> {
        let named = first_word.map(PathBuf::from).filter(|path| path.is_absolute());
        let path = named.or_else(|| std::env::current_exe().ok())?;
        Self::at(path)
    }

    fn at(path: PathBuf) -> Option<Self> {
        let mark = mark(&path)?;
        Some(Self { path, mark })
    }

    /// Where it lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn mark(path: &Path) -> Option<Mark> {
    let meta = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file)?;
    #[cfg(unix)]
    let number = std::os::unix::fs::MetadataExt::ino(&meta);
    #[cfg(not(unix))]
    let number = 0;
    Some(Mark { length: meta.len(), changed: meta.modified().ok(), number })
}

/// What was seen so far; pure but for `mark`.
#[derive(Debug)]
struct Watch {
    life: Life,
    /// When there was last a client, or a call.
    needed: Timestamp,
    /// Another file, since when it has been the same.
    other: Option<(Mark, Timestamp)>,
    /// It has been found to start.
    good: bool,
    /// It has been found not to.
    bad: Option<Mark>,
}

/// What is to be done after a look.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Wait,
    /// See whether the new program starts.
    Try,
    /// The file is again the one that this process was started from.
    Back,
    Idle,
    GiveWay,
}

/// What is going on at one moment.
#[derive(Debug, Clone, Copy, Default)]
struct Scene {
    /// Clients that are connected.
    clients: usize,
    /// Calls under way, questions before a user, sign-ins that wait for one, and what else people wait for.
    calls: u64,
    /// A write, a backup or a change of keys is under way, though nobody may wait for it any more.
    writing: bool,
    /// Background tasks that run.
    tasks: u64,
    /// Calls since the start.
    asked: u64,
}

impl Watch {
    fn new(life: Life, now: Timestamp) -> Self {
        Self { life, needed: now, other: None, good: false, bad: None }
    }

    fn look(&mut self, now: Timestamp, scene: Scene, last: Scene, mark: Option<Mark>) -> Next {
        let quiet = scene.calls == 0 && !scene.writing && scene.asked == last.asked;
        if scene.clients > 0 || !quiet || scene.tasks > 0 {
            self.needed = now;
        }
        let replaced = self.life.program.as_ref().zip(mark).filter(|(program, mark)| program.mark != *mark).map(|(_, mark)| mark);
        // A file that is gone is no other file: one that is being replaced is gone for a moment.
        match (replaced, self.other) {
            (Some(mark), Some((before, since))) if mark == before => {
                // What is written goes on by itself until its end, and while this daemon waits for that it serves nobody.
                if self.good && (quiet || !scene.writing && now.since(since) >= PATIENCE) {
                    return Next::GiveWay;
                }
                if !self.good && self.bad != Some(mark) {
                    return Next::Try;
                }
            }
            (Some(mark), _) => (self.other, self.good) = (Some((mark, now)), false),
            (None, Some(_)) if mark.is_some() => {
                (self.other, self.good, self.bad) = (None, false, None);
                return Next::Back;
            }
            (None, _) => {}
        }
        match self.life.idle {
            Some(idle) if now.since(self.needed) >= idle => Next::Idle,
            _ => Next::Wait,
        }
    }

    /// Takes in how a trial came out; `false` when nothing is known yet.
    fn tried(&mut self, trial: Trial, now: Timestamp) -> bool {
        let known = trial != Trial::NotNow || self.other.is_none_or(|(_, since)| now.since(since) >= PATIENCE);
        self.good = trial == Trial::Starts;
        self.bad = self.other.map(|(mark, _)| mark).filter(|_| known && !self.good);
        known
    }
}

/// What a trial of the new program has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trial {
    Starts,
    Fails,
    /// It could not be run, for a reason that may pass.
    NotNow,
}

/// Ends when the daemon should, with the reason for people. Never, for one that stays and whose file nobody replaces.
pub(crate) async fn end_of(daemon: Arc<Daemon>, life: Life) -> (End, &'static str) {
    let path = life.program.as_ref().map(|program| program.path.clone());
    let on_demand = life.idle.is_some();
    let place = life.place.clone();
    if !on_demand && path.is_none() && place.is_none() {
        return std::future::pending().await;
    }
    let mut watch = Watch::new(life, daemon.now());
    let mut last = scene(&daemon, on_demand).await;
    loop {
        daemon.sleep(LOOK).await;
        if place.as_ref().is_some_and(|place| !place.still_there()) {
            return (End::Stopped, "clients do not find its socket any more");
        }
        let now = scene(&daemon, on_demand).await;
        match watch.look(daemon.now(), now, last, path.as_deref().and_then(mark)) {
            Next::Wait => {}
            Next::Back => daemon.unwarn(&[OTHER_INSTALLED, OTHER_BROKEN]),
            Next::Idle => return (End::Stopped, "no client for a long time"),
            Next::GiveWay => return (End::Replaced, "another version is installed"),
            Next::Try => {
                let trial = match &path {
                    Some(path) => try_out(path).await,
                    None => Trial::Fails,
                };
                if watch.tried(trial, daemon.now()) {
                    // There may have been another one before.
                    daemon.unwarn(&[OTHER_INSTALLED, OTHER_BROKEN]);
                    daemon.warn(if trial == Trial::Starts { waiting() } else { does_not_start() });
                }
            }
        }
        last = now;
    }
}

/// Background tasks are only counted where they decide something: the store is asked for them.
async fn scene(daemon: &Daemon, on_demand: bool) -> Scene {
    let clients = daemon.clients.list().len();
    let tasks = match daemon.core() {
        Ok(core) if on_demand && clients == 0 => core.status().await.queue.running,
        _ => 0,
    };
    let writing = daemon.core().is_ok_and(|core| core.is_writing()) || daemon.keys.as_ref().is_some_and(|keys| keys.is_at_work());
    let calls = daemon.gate.usage().calls + daemon.questions.open() + daemon.sign_ins.waiting() + daemon.in_flight.count();
    Scene { clients, calls, writing, tasks, asked: daemon.asked() }
}

fn waiting() -> Warning {
    Warning {
        code: OTHER_INSTALLED.into(),
        message: "another version of the daemon is installed; this one gives way as soon as no call is under way".into(),
        hint: "To have it now: `m365-cachectl restart`.".into(),
    }
}

fn does_not_start() -> Warning {
    Warning {
        code: OTHER_BROKEN.into(),
        message: "another version of the daemon is installed, and it does not start; this one goes on".into(),
        hint: "See what `m365-cached --version` says, and install it again.".into(),
    }
}

/// Whether the program tells its version as ours do.
async fn try_out(path: &Path) -> Trial {
    let mut command = tokio::process::Command::new(path);
    command.arg("--version").stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    match tokio::time::timeout(VERSION, command.output()).await {
        Ok(Ok(said)) if said.status.success() && said.stdout.starts_with(b"m365-cached ") => Trial::Starts,
        Ok(Ok(_)) => Trial::Fails,
        Ok(Err(error)) => cannot_run(&error),
        Err(_) => Trial::NotNow,
    }
}

/// A file of no program, or one that may not be run, stays so; that somebody writes to it and that the system is short of something passes.
fn cannot_run(error: &io::Error) -> Trial {
    tracing::warn!(%error, "the program that lies in the place of this one cannot be run");
    match error.kind() {
        ErrorKind::ExecutableFileBusy | ErrorKind::WouldBlock | ErrorKind::OutOfMemory | ErrorKind::Interrupted => Trial::NotNow,
        _ => Trial::Fails,
    }
}

/// Puts `program` in the place of this process, with the words it was started with and the manager's socket. Returns only when that fails.
#[cfg(unix)]
pub fn become_other(program: &Program, handed: Option<&Handed>) -> io::Error {
    let mut command = std::process::Command::new(&program.path);
    command.args(std::env::args_os().skip(1));
    match handed.map(|handed| handed.pass_on(&mut command)) {
        Some(Err(error)) => error,
        _ => std::os::unix::process::CommandExt::exec(&mut command),
    }
}

/// Starts `program` with the words that this process was started with.
#[cfg(not(unix))]
pub fn become_other(program: &Program, _: Option<&Handed>) -> io::Error {
    match std::process::Command::new(&program.path).args(std::env::args_os().skip(1)).spawn() {
        Ok(_) => std::process::exit(0),
        Err(error) => error,
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;
    use m365_cached_proto::v1::{self, admin_server::Admin as _};
    use tonic::Request;

    use super::*;
    use crate::{
        core::Core,
        service::Admin,
        testing::{FakeCore, ada, daemon},
    };

    const OLD: Mark = Mark { length: 1, changed: None, number: 1 };
    const NEW: Mark = Mark { length: 2, changed: None, number: 1 };
    const IDLE: Duration = Duration::from_secs(60);

    fn at(seconds: i64) -> Timestamp {
        Timestamp(seconds * 1000)
    }

    fn watch(idle: Option<Duration>) -> Watch {
        Watch::new(Life { idle, program: Some(Program { path: "/p".into(), mark: OLD }), place: None }, at(0))
    }

    #[test]
    fn one_that_nobody_needs_ends_and_one_that_stays_does_not() {
        let none = Scene::default();
        let mut on_demand = watch(Some(IDLE));
        for busy in [
            Scene { clients: 1, ..none },
            Scene { calls: 1, ..none },
            Scene { tasks: 1, ..none },
            Scene { writing: true, ..none },
            Scene { asked: 1, ..none },
        ] {
            assert_eq!(on_demand.look(at(100), busy, none, Some(OLD)), Next::Wait, "{busy:?}");
        }
        assert_eq!(on_demand.look(at(159), none, none, Some(OLD)), Next::Wait);
        assert_eq!(on_demand.look(at(160), none, none, Some(OLD)), Next::Idle);
        assert_eq!(watch(None).look(at(1_000_000), none, none, Some(OLD)), Next::Wait);
    }

    #[test]
    fn it_gives_way_to_a_file_that_has_settled_and_starts_when_it_is_quiet() {
        let (none, busy) = (Scene { clients: 3, ..Scene::default() }, Scene { clients: 3, calls: 1, ..Scene::default() });
        let mut watch = watch(None);
        assert_eq!(watch.look(at(10), none, none, Some(NEW)), Next::Wait, "it may still be written");
        let newer = Mark { length: 3, ..NEW };
        assert_eq!(watch.look(at(20), none, none, Some(newer)), Next::Wait, "it was");
        assert_eq!(watch.look(at(25), none, none, None), Next::Wait, "gone for a moment");
        assert_eq!(watch.look(at(30), none, none, Some(newer)), Next::Try);
        watch.tried(Trial::Starts, at(30));
        assert_eq!(watch.look(at(40), busy, none, Some(newer)), Next::Wait);
        assert_eq!(watch.look(at(50), none, busy, Some(newer)), Next::GiveWay);
        let writing = Scene { writing: true, ..none };
        assert_eq!(watch.look(at(20 + 599), writing, writing, Some(newer)), Next::Wait);
        assert_eq!(watch.look(at(20 + 6000), writing, writing, Some(newer)), Next::Wait, "nobody would be served until it ends");
        assert_eq!(watch.look(at(20 + 600), busy, busy, Some(newer)), Next::GiveWay, "one that is never quiet, too");
    }

    #[test]
    fn one_that_does_not_start_is_tried_once() {
        let none = Scene::default();
        let mut watch = watch(None);
        watch.look(at(10), none, none, Some(NEW));
        assert_eq!(watch.look(at(20), none, none, Some(NEW)), Next::Try);
        assert!(watch.tried(Trial::Fails, at(20)));
        assert_eq!(watch.look(at(30), none, none, Some(NEW)), Next::Wait);
        let mended = Mark { length: 9, ..NEW };
        assert_eq!(watch.look(at(40), none, none, Some(mended)), Next::Wait);
        assert_eq!(watch.look(at(50), none, none, Some(mended)), Next::Try);
        // And one that is put back as it was is none.
        assert_eq!(watch.look(at(60), none, none, Some(OLD)), Next::Back);
        assert_eq!(watch.look(at(70), none, none, Some(OLD)), Next::Wait);
    }

    #[test]
    fn one_that_cannot_be_run_yet_is_tried_again_for_a_while() {
        let none = Scene::default();
        let mut watch = watch(None);
        watch.look(at(10), none, none, Some(NEW));
        for seconds in [20, 30, 609] {
            assert_eq!(watch.look(at(seconds), none, none, Some(NEW)), Next::Try);
            assert!(!watch.tried(Trial::NotNow, at(seconds)), "nothing is told of it");
        }
        assert_eq!(watch.look(at(610), none, none, Some(NEW)), Next::Try);
        assert!(watch.tried(Trial::NotNow, at(610)));
        assert_eq!(watch.look(at(620), none, none, Some(NEW)), Next::Wait);
    }

    #[tokio::test]
    async fn what_goes_on_without_a_call_is_seen() {
        let core = Arc::new(FakeCore::default());
        let daemon = daemon(Ok(Arc::clone(&core) as Arc<dyn Core>));
        let seen = scene(&daemon, false).await;
        assert_eq!((seen.calls, seen.writing), (0, false));
        {
            let _question = daemon.questions.ask();
            assert_eq!(scene(&daemon, false).await.calls, 1, "somebody is asked");
        }
        daemon.sign_ins.link(daemon.core().unwrap(), &ada()).await.unwrap();
        assert_eq!(scene(&daemon, false).await.calls, 1, "somebody is to sign in");
        core.writing.store(true, std::sync::atomic::Ordering::SeqCst);
        assert!(scene(&daemon, false).await.writing);
    }

    /// At its next look it gives way, when it is quiet.
    fn about_to_give_way() -> Watch {
        let (none, mut watch) = (Scene::default(), watch(Some(IDLE)));
        watch.look(at(10), none, none, Some(NEW));
        assert_eq!(watch.look(at(20), none, none, Some(NEW)), Next::Try);
        watch.tried(Trial::Starts, at(20));
        watch
    }

    #[tokio::test]
    async fn a_sign_in_of_a_person_is_waited_for() {
        let daemon = daemon(Ok(Arc::new(FakeCore::default()) as Arc<dyn Core>));
        let admin = Admin::new(Arc::clone(&daemon));
        let mut events = admin.login(Request::new(v1::LoginRequest::default())).await.unwrap().into_inner();
        assert!(events.next().await.is_some());
        let (mut watch, busy) = (about_to_give_way(), scene(&daemon, true).await);
        for seconds in [30, 40, 500] {
            assert_eq!(watch.look(at(seconds), busy, busy, Some(NEW)), Next::Wait, "the person is in the browser");
        }
        // Whoever has asked has gone, or has signed in.
        drop(events);
        assert_eq!(watch.look(at(510), scene(&daemon, true).await, busy, Some(NEW)), Next::GiveWay);
    }

    #[cfg(feature = "sqlcipher")]
    #[tokio::test]
    async fn a_backup_is_waited_for_however_long_it_takes() {
        use crate::{
            keys_tests::Kept,
            testing::{daemon_of, parts, soon},
        };
        let kept = Kept::new().await;
        let clock = Arc::new(m365_cached::clock::ManualClock::at(at(0)));
        let parts = parts(Ok(Arc::new(FakeCore::default()) as Arc<dyn Core>), Duration::ZERO, clock);
        let daemon = daemon_of(crate::parts::Parts { keys: Some(Arc::clone(&kept.keeper)), ..parts });
        let asked = kept.back_up();
        kept.copying().await;
        asked.abort();
        let (mut watch, busy) = (about_to_give_way(), scene(&daemon, true).await);
        for seconds in [30, 40, 4000] {
            assert_eq!(watch.look(at(seconds), busy, busy, Some(NEW)), Next::Wait, "half a backup would be left");
        }
        kept.release();
        soon(kept.keeper.at_rest()).await;
        assert_eq!(watch.look(at(4010), scene(&daemon, true).await, busy, Some(NEW)), Next::GiveWay);
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_program_is_known_by_what_it_says() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m365-cached");
        let write = |text: &str| {
            let new = dir.path().join("new");
            std::fs::write(&new, text).unwrap();
            std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o700)).unwrap();
            std::fs::rename(&new, &path).unwrap();
        };
        write("#!/bin/sh\necho m365-cached 9.9.9\n");
        let program = Program::at(path.clone()).unwrap();
        assert_eq!(try_out(&path).await, Trial::Starts);
        write("#!/bin/sh\necho m365-cached 9.9.9; exit 1\n");
        assert_eq!(try_out(&path).await, Trial::Fails);
        assert_ne!(mark(&path), Some(program.mark));
        write("#!/bin/sh\necho something else\n");
        assert_eq!(try_out(&path).await, Trial::Fails);
        std::fs::remove_file(&path).unwrap();
        assert_eq!((try_out(&path).await, mark(&path)), (Trial::Fails, None));
    }

    /// What execve(2) says of a file that somebody has open for writing, and of a system that cannot start anything more.
    #[test]
    fn what_passes_is_told_from_what_stays() {
        for (error, trial) in [
            (ErrorKind::ExecutableFileBusy, Trial::NotNow),
            (ErrorKind::WouldBlock, Trial::NotNow),
            (ErrorKind::OutOfMemory, Trial::NotNow),
            (ErrorKind::NotFound, Trial::Fails),
            (ErrorKind::PermissionDenied, Trial::Fails),
            (ErrorKind::InvalidInput, Trial::Fails),
        ] {
            assert_eq!(cannot_run(&error.into()), trial, "{error}");
        }
    }
}
