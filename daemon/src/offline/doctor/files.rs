//! Folders, settings, lock, socket and room on the disk.

use std::{
    fs::{File, TryLockError},
    io::{self, ErrorKind},
};

use m365_cached::{
    hint::Kind,
    store::{Disk as _, DiskOf},
};
use m365_cached_proto::dirs::private_dir;
#[cfg(unix)]
use m365_cached_proto::holder::{self, Held};

use super::{Bench, Found, settled};
use crate::{core::Problem, parts};

/// What the service managers call themselves that listen for us.
#[cfg(unix)]
const MANAGERS: [&str; 2] = ["systemd", "launchd"];

/// Every folder of the profile that is there is its owner's alone.
pub(super) fn directories(bench: &Bench) -> Found {
    let profile = &bench.profile;
    let mut missing = Vec::new();
    for dir in [&profile.dir, &profile.runtime] {
        match dir.symlink_metadata() {
            Err(error) if error.kind() == ErrorKind::NotFound => missing.push(dir.display().to_string()),
            Err(error) => return unreadable("folder_unreadable", &dir.display().to_string(), &error),
            Ok(_) => {
                if let Err(error) = private_dir(dir) {
                    return Found::of_problem(&Problem::of_folder("unusable_profile", &error));
                }
            }
        }
    }
    missing.dedup();
    match missing.as_slice() {
        [] if cfg!(unix) => Found::ok(format!("`{}` is for its owner alone", profile.dir.display())),
        [] => Found::ok(format!("`{}` is there, with the rights of the folder that it lies in", profile.dir.display())),
        missing => Found::ok(format!("not made yet: {}; the first start makes it", missing.join(", "))),
    }
}

/// The settings can be read and used, and nothing about them is unwise.
pub(super) fn configuration(bench: &Bench) -> Found {
    let config = match &bench.config {
        Ok(config) => config,
        Err(problem) => {
            let hint = "`m365-cachectl config check` lists all of it; correct it in the file or with `m365-cachectl config unset KEY`.";
            return Found::of_problem(&Problem { hint: hint.into(), ..problem.clone() });
        }
    };
    if let Some(problem) = parts::unusable(config, &bench.profile).first() {
        return Found::of_problem(problem);
    }
    let advice = config.advice(&parts::surroundings(config, &bench.profile));
    match advice.split_first() {
        Some((first, rest)) => {
            let more = if rest.is_empty() { String::new() } else { format!("; there are {} more", rest.len()) };
            Found::warning(first.code, format!("{}{more}", first.message), first.hint.clone())
        }
        None => {
            let set =
                bench.flags.len() + config.explain().iter().filter(|line| line.origin != m365_cached::config::Origin::Default).count();
            Found::ok(format!("`{}` can be used; {set} settings are not the default", bench.profile.config_file().display()))
        }
    }
}

/// Whether some process is the daemon of the profile, by the lock that it holds.
pub(super) fn lock(bench: &mut Bench) -> Found {
    let path = bench.profile.lock_file();
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Found::ok("no daemon has served this profile yet"),
        Err(error) => return unreadable("lock_unusable", &path.display().to_string(), &error),
    };
    match file.try_lock_shared() {
        Ok(()) => Found::ok("no process holds the profile"),
        Err(TryLockError::WouldBlock) => {
            bench.locked = true;
            Found::ok("a process holds the profile, as the daemon does")
        }
        Err(TryLockError::Error(error)) => unreadable("lock_unusable", &path.display().to_string(), &error),
    }
}

/// Where the daemon listens: a socket of its owner's, with a daemon behind it.
#[cfg(unix)]
pub(super) fn socket(bench: &Bench) -> Found {
    settled(unix_socket(bench))
}

/// Where the daemon listens; what is behind the pipe is seen when the daemon is asked.
#[cfg(not(unix))]
pub(super) fn socket(_: &Bench) -> Found {
    settled(Ok(Found::skipped("a pipe has no file to look at")))
}

#[cfg(unix)]
fn unix_socket(bench: &Bench) -> Result<Found, Found> {
    use std::os::unix::{
        fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
        net::UnixStream,
    };
    // A daemon of a session with another place for sockets is found there by clients, too.
    let elsewhere = holder::elsewhere(&bench.profile);
    let path = elsewhere.as_deref().unwrap_or(bench.profile.socket());
    let shown = path.display();
    let metadata = match path.symlink_metadata() {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound && bench.locked => {
            let message =
                format!("a process holds the profile and `{shown}` is not there: its socket was removed, or it hangs at its start");
            return Err(Found::failure(
                Kind::Config,
                "daemon_stuck",
                message,
                "`m365-cachectl stop` waits for its end. If that does not come, end the process; the next call starts it anew.",
            ));
        }
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Found::ok("no daemon listens, and none has left its socket")),
        Err(error) => return Err(unreadable("socket_unreadable", &shown.to_string(), &error)),
    };
    if !metadata.file_type().is_socket() {
        let message =
            format!("`{shown}` is no socket: something else stands where the daemon would listen, and it removes nothing it has not made");
        return Err(Found::failure(
            Kind::Config,
            "not_a_socket",
            message,
            format!("Look at it, then move it away: `mv {shown} {shown}.old`."),
        ));
    }
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        let message = format!("`{shown}` belongs to another user; nothing is ever sent to it");
        return Err(Found::failure(Kind::Config, "foreign_socket", message, format!("See who owns it: `ls -l {shown}`.")));
    }
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        let message = format!("`{shown}` has mode {mode:04o}: others may connect, and are refused only by their user id");
        return Err(Found::warning("open_socket", message, format!("`chmod 600 {shown}`, or `m365-cachectl restart`.")));
    }
    match (UnixStream::connect(path), bench.locked) {
        (Ok(_), true) => Ok(Found::ok(format!("a daemon listens at `{shown}`"))),
        (Ok(there), false) => Err(without_daemon(&shown.to_string(), who(&there))),
        (Err(_), true) => {
            let process = match holder::look(&bench.profile) {
                Ok(Held::By(Some(holder))) => format!("the process {}", holder.pid),
                _ => "a process".to_owned(),
            };
            let message = format!(
                "{process} holds the profile and does not listen at `{shown}`: it finishes a last write before it ends, starts at this moment, or hangs"
            );
            let hint = "`m365-cachectl stop` waits for its end. If that does not come, end the process; the next call starts it anew.";
            Err(Found::failure(Kind::Config, "daemon_stuck", message, hint))
        }
        (Err(_), false) => {
            let message = format!("a daemon was killed and has left `{shown}` behind; the next start removes it, and nothing is lost");
            Err(Found::warning("stale_socket", message, "Nothing to do; look in the daemon's log why it ended, if nobody killed it."))
        }
    }
}

/// Who listens at the other end of `there`: its process id, and what the program calls itself. Only Linux tells both.
#[cfg(unix)]
fn who(there: &std::os::unix::net::UnixStream) -> Option<(i32, String)> {
    #[cfg(target_os = "linux")]
    {
        let pid = rustix::net::sockopt::socket_peercred(there).ok()?.pid.as_raw_nonzero().get();
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
        Some((pid, name.trim_end().to_owned()))
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = there;
        None
    }
}

/// Somebody listens, and no daemon runs: a service manager whose daemon does not come up, for whoever asks for these checks has knocked there before; or a
/// stranger.
#[cfg(unix)]
fn without_daemon(socket: &str, who: Option<(i32, String)>) -> Found {
    let status = "`m365-cachectl service status` and `m365-cachectl service logs`";
    let failure = |code, message: String, hint: String| Found::failure(Kind::Config, code, message, hint);
    match who {
        Some((_, name)) if MANAGERS.contains(&name.as_str()) => failure(
            "daemon_down",
            format!("{name} listens at `{socket}`, and the daemon that it starts for that does not come up"),
            format!("{status} say why."),
        ),
        Some((pid, name)) => failure(
            "foreign_listener",
            format!("`{name}` (pid {pid}) listens at `{socket}` and does not hold the profile: it is no daemon of ours"),
            format!("See what it is with `ps -fp {pid}`, and end it."),
        ),
        None => failure(
            "foreign_listener",
            format!(
                "something listens at `{socket}` that does not hold the profile: a service manager whose daemon does not come up, or a stranger"
            ),
            format!("{status} tell of the first; a stranger is found with `lsof -U` and has to be ended."),
        ),
    }
}

/// Enough room that answers are kept.
pub(super) fn disk(bench: &Bench) -> Found {
    settled(room(bench))
}

fn room(bench: &Bench) -> Result<Found, Found> {
    let config = bench.config()?;
    let there = bench.profile.dir.ancestors().find(|dir| dir.is_dir()).unwrap_or(&bench.profile.dir);
    let Some(free) = DiskOf(there.to_owned()).free() else { return Err(Found::skipped("the system does not say how much is free")) };
    let (free_mb, floor) = (free >> 20, config.cache.min_free_bytes);
    if free < floor {
        let message = format!(
            "only {free_mb} MB are free on the disk that holds the profile, less than `cache.min_free_bytes` ({} MB): answers are fetched and not kept",
            floor >> 20
        );
        return Err(Found::warning("low_disk", message, "Free some space on that disk, or set a smaller `cache.min_free_bytes`."));
    }
    Ok(Found::ok(format!("{free_mb} MB are free on the disk that holds the profile")))
}

fn unreadable(code: &str, path: &str, error: &io::Error) -> Found {
    Found::failure(Kind::Config, code, format!("`{path}` cannot be used: {error}"), format!("Look at its rights: `ls -ld {path}`."))
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_manager_is_no_stranger_to_be_ended() {
        let managed = without_daemon("/s", Some((7, "systemd".into())));
        assert_eq!(managed.code, "daemon_down");
        assert!(managed.hint.contains("service logs") && !managed.hint.contains("end it"), "{managed:?}");
        let stranger = without_daemon("/s", Some((7, "nc".into())));
        assert!(stranger.code == "foreign_listener" && stranger.hint.contains("ps -fp 7"), "{stranger:?}");
        assert!(without_daemon("/s", None).hint.contains("service status"));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn who_listens_is_known() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let (pid, name) = who(&std::os::unix::net::UnixStream::connect(&path).unwrap()).unwrap();
        assert!(pid.unsigned_abs() == std::process::id() && !name.is_empty());
    }
}
