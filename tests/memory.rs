//! What another process of the same user sees of the daemon's insides: nothing. That keys stay out of the swap: `safekeeping`.
//!
//! A superuser may look at everything, so as root the daemon and whoever looks are nobody's.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::{
        fs::{MetadataExt as _, PermissionsExt as _, chown},
        process::CommandExt as _,
    },
    path::Path,
    process::{Child, Command, Stdio},
};

use m365_cached_checks::support::{
    PATIENCE,
    bins::{For, bins},
    home::Home,
    process::{Running, replace, spawn},
    stopwatch,
};
use rustix::process::geteuid;

/// Nobody's user and group.
const NOBODY: u32 = 65_534;

/// `command` as a user who is not the superuser.
fn as_a_user(command: &mut Command) -> &mut Command {
    if geteuid().is_root() { command.uid(NOBODY).gid(NOBODY) } else { command }
}

/// Whether a process of the same user may read the environment of `pid`. It is the kernel's question for all of a process's insides.
fn is_seen(pid: u32) -> bool {
    let mut look = Command::new("cat");
    as_a_user(look.arg(format!("/proc/{pid}/environ")).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()));
    look.status().unwrap().success()
}

/// Who owns what the system shows of a process: its user, or root for one that is not dumpable.
fn owner(pid: u32) -> u32 {
    fs::metadata(format!("/proc/{pid}/environ")).unwrap().uid()
}

/// A daemon in a folder of its own, once it is ready.
fn daemon(home: &Home, program: &Path) -> Running {
    let mut command = home.command(bins(For::Tests).unwrap(), program);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child: Child = spawn(as_a_user(&mut command)).unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let running = Running::new("m365-cached", child);
    let ready = lines.by_ref().map(Result::unwrap).find(|line| line.contains(" ready ") || line.contains(" locked "));
    assert!(ready.is_some_and(|line| line.contains(" ready ")), "it did not open its vault");
    // What it still says has a reader.
    std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
    running
}

#[test]
fn no_other_process_of_the_user_looks_into_the_daemon() {
    let home = Home::new(41).unwrap();
    // A copy that anybody may read: where the tests lie nobody may have a way to.
    let place = tempfile::Builder::new().prefix("m365-bin-").tempdir().unwrap();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = place.path().join("m365-cached");
    replace(&program, &bins(For::Tests).unwrap().daemon).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    if geteuid().is_root() {
        chown(home.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let daemon = daemon(&home, &program);

    // Any other program of that user is open to it: so it is the daemon that closes itself.
    let mut other = Command::new("cat");
    let mut child = spawn(as_a_user(other.stdin(Stdio::piped()).stdout(Stdio::null()))).unwrap();
    // It runs for as long as there may come something to read.
    let _input = child.stdin.take();
    let open = Running::new("cat", child);
    // The system opens it only some way into its start.
    let deadline = stopwatch::now() + PATIENCE;
    while !is_seen(open.pid()) || owner(open.pid()) == 0 {
        assert!(stopwatch::now() < deadline, "nothing is shown where nobody may look at anything");
    }
    assert!(!is_seen(daemon.pid()), "a process of the same user reads the daemon's environment");
    assert_eq!(owner(daemon.pid()), 0, "the system takes it for one that may be looked at");
}
