//! One daemon per profile: a lock held for life. Whoever holds it may remove a stale socket and listen; nobody else may.
//!
//! A socket that a service manager has handed over is the manager's: it is neither made nor removed here, and its daemon waits for the lock, since one that a client
//! had started gives way as soon as it sees that its socket lies there no more (`life.rs`). One that was started in a session with another place for sockets, or none, cannot
//! see that, and is asked to end ([`ask_to_go`]).

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::OnceLock,
    time::Duration,
};

use m365_cached::hint::Kind;
use m365_cached_proto::{
    dirs::{PrivateDirError, Profile, private_dir},
    endpoint::{admin_client, connect_elsewhere},
    holder::Holder,
    turn::{START_EVERY, Turn},
    v1::StopRequest,
};

use crate::{core::Problem, manager::Handed};

/// Takes the turn to start a daemon of `profile`, so that no client starts one between our end and the program that takes our place; with the mark that stays it has
/// two seconds. A client that has started one has it end first. `None` where somebody keeps the turn for long: whoever listens first then serves.
pub async fn turn_for_the_next(profile: &Profile) -> Option<Turn> {
    const LOOK: Duration = Duration::from_millis(5);
    let taken = async {
        loop {
            match Turn::take(profile) {
                Ok(Some(turn)) => return Some(turn),
                Ok(None) => tokio::time::sleep(LOOK).await,
                Err(_) => return None,
            }
        }
    };
    let turn = tokio::time::timeout(START_EVERY, taken).await.ok().flatten()?;
    turn.mark();
    Some(turn)
}

/// How long another daemon may take to say that it will end.
const PROMPT: Duration = Duration::from_secs(10);

/// The right to be the daemon of a profile. The kernel gives it back when the process ends, however it ends.
#[derive(Debug)]
pub struct Instance {
    socket: PathBuf,
    /// The manager's socket, which is listened on in place of one of ours.
    handed: Option<Handed>,
    /// Our own socket, once it is bound.
    own: OnceLock<Place>,
    /// Never unlinked: a lock on a file that has lost its name would keep nobody out.
    lock: File,
}

/// Why this process may not be the daemon.
#[derive(Debug, thiserror::Error)]
pub enum InstanceError {
    /// Another one is.
    #[error("another daemon serves the profile `{}`", dir.display())]
    Running {
        /// The profile.
        dir: PathBuf,
    },
    /// A service manager listens for this profile and starts the daemon itself.
    #[error("a service manager listens at `{}` and starts the daemon when a client comes", socket.display())]
    Managed {
        /// Its socket.
        socket: PathBuf,
    },
    /// A folder of the profile is not private.
    #[error(transparent)]
    Folder(#[from] PrivateDirError),
    /// The file system said no.
    #[error("`{}` cannot be used: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Its reason.
        source: io::Error,
    },
}

impl InstanceError {
    /// One thing to do.
    pub fn hint(&self) -> String {
        match self {
            Self::Running { .. } => "See it with `m365-cachectl status`, end it with `m365-cachectl stop`.".into(),
            Self::Managed { .. } => "See it with `m365-cachectl service status`; without it: `m365-cachectl service uninstall`.".into(),
            Self::Folder(error) => error.hint(),
            Self::Io { path, .. } => format!("Look at `{}` and its rights.", path.display()),
        }
    }
}

impl Problem {
    /// Why a folder that has to be private is not used, under the code of what needs it.
    pub fn of_folder(code: &str, error: &PrivateDirError) -> Self {
        Self::new(Kind::Config, code, error.to_string(), error.hint())
    }

    /// Why this process may not be the daemon, with a code to tell one that runs from a profile that cannot be used.
    pub fn of_instance(error: &InstanceError) -> Self {
        let (kind, code) = match error {
            InstanceError::Running { .. } | InstanceError::Managed { .. } => (Kind::User, "already_running"),
            _ => (Kind::Config, "unusable_profile"),
        };
        Self::new(kind, code, error.to_string(), error.hint())
    }
}

impl Instance {
    /// The right to listen on a socket of our own. Makes the profile's private folders where they are missing, takes the lock, and removes the socket that a
    /// killed daemon left behind.
    pub fn claim(profile: &Profile) -> Result<Self, InstanceError> {
        let claimed = Self::lock(profile, None)?;
        let socket = &claimed.socket;
        if somebody_listens(socket) {
            return Err(InstanceError::Managed { socket: socket.clone() });
        }
        remove_socket(socket).map_err(|source| InstanceError::Io { path: socket.clone(), source })?;
        Ok(claimed)
    }

    /// The right to listen on the manager's socket; waits for it.
    pub fn claim_handed(profile: &Profile, handed: Handed) -> Result<Self, InstanceError> {
        Self::lock(profile, Some(handed))
    }

    /// The right to the profile's files, without listening at all.
    pub fn claim_files(profile: &Profile) -> Result<Self, InstanceError> {
        Self::lock(profile, None)
    }

    fn lock(profile: &Profile, handed: Option<Handed>) -> Result<Self, InstanceError> {
        private_dir(&profile.dir)?;
        private_dir(&profile.runtime)?;
        let path = profile.lock_file();
        let io = |source| InstanceError::Io { path: path.clone(), source };
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let lock = options.open(&path).map_err(io)?;
        if handed.is_some() {
            // Its clients wait in the manager's queue; the manager says how long that may take.
            lock.lock().map_err(io)?;
        } else {
            match lock.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(InstanceError::Running { dir: profile.dir.clone() }),
                Err(TryLockError::Error(source)) => return Err(io(source)),
            }
        }
        let instance = Self { socket: profile.socket().to_owned(), handed, own: OnceLock::new(), lock };
        instance.says(None);
        Ok(instance)
    }

    /// Lets others see who holds the lock, and where it listens. On a disk without room they see that somebody does.
    fn says(&self, socket: Option<&Path>) {
        let _ = Holder { pid: std::process::id(), socket: socket.map(Path::to_owned) }.write(&self.lock);
    }

    /// Where to listen.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// The manager's socket, when there is one.
    pub fn handed(&self) -> Option<&Handed> {
        self.handed.as_ref()
    }

    /// Gives the right back and keeps the manager's socket, for the program that takes our place.
    pub fn give_back(mut self) -> Option<Handed> {
        self.handed.take()
    }

    /// From here on clients are listened to; on a socket that was bound for it, or on the manager's.
    pub(crate) fn listens(&self) {
        // Ours alone is ever removed at our end; it is bound once.
        if let Some(place) = Place::of(&self.socket).filter(|_| self.handed.is_none()) {
            let _ = self.own.set(place);
        }
        self.says(Some(&self.socket));
    }

    /// Where our own socket lies; `None` for the manager's.
    pub fn place(&self) -> Option<Place> {
        self.own.get().cloned()
    }
}

impl Drop for Instance {
    /// The socket goes while the lock still holds, and only when it is our own: a manager may have put its own there.
    fn drop(&mut self) {
        if self.own.get().is_some_and(Place::still_there) {
            // Left behind it does no harm: the next daemon removes it.
            let _ = remove_socket(&self.socket);
        }
    }
}

/// Asks a daemon to end that serves `profile` elsewhere than the clients of this process's manager look. Whether it does is seen by its lock.
pub fn ask_to_go(profile: &Profile) {
    let asked = async {
        if let Some(Ok(channel)) = connect_elsewhere(profile).await {
            let _ = admin_client(channel).stop(StopRequest {}).await;
        }
    };
    // Where there is no runtime for this, there will be none for the rest, which says so.
    if let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() {
        let _ = runtime.block_on(async { tokio::time::timeout(PROMPT, asked).await });
    }
}

/// A socket that was bound: which file it is, to tell when another one lies there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    path: PathBuf,
    /// Its disk and its number there.
    file: (u64, u64),
}

impl Place {
    /// The socket at `path` as it is now; `None` where there is none, and for a pipe, which nobody can put aside.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        Some(Self { path: path.to_owned(), file: number(path)? })
    }

    /// Whether clients that look at the path still find this socket.
    #[must_use]
    pub fn still_there(&self) -> bool {
        number(&self.path) == Some(self.file)
    }
}

#[cfg(unix)]
fn number(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    std::fs::symlink_metadata(path).ok().map(|meta| (meta.dev(), meta.ino()))
}

#[cfg(not(unix))]
fn number(_: &Path) -> Option<(u64, u64)> {
    None
}

/// Whether a connection is taken there although no daemon holds the lock: by a manager.
#[cfg(unix)]
fn somebody_listens(path: &Path) -> bool {
    std::os::unix::net::UnixStream::connect(path).is_ok()
}

/// Pipes are not handed over.
#[cfg(not(unix))]
fn somebody_listens(_: &Path) -> bool {
    false
}

/// Removes a socket, and nothing that is none.
#[cfg(unix)]
fn remove_socket(path: &Path) -> io::Result<()> {
    use std::{fs, os::unix::fs::FileTypeExt};
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.file_type().is_socket() => fs::remove_file(path),
        Ok(_) => Err(io::Error::new(io::ErrorKind::AlreadyExists, "something that is no socket stands where the socket belongs")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// A pipe ends with the process that made it.
#[cfg(not(unix))]
fn remove_socket(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::{fs::PermissionsExt, net::UnixListener},
        sync::{Arc, Barrier},
    };

    use super::*;

    fn profile() -> (tempfile::TempDir, Profile) {
        let dir = tempfile::TempDir::new().unwrap();
        let profile = Profile::at(&dir.path().join("profile")).unwrap();
        (dir, profile)
    }

    #[test]
    fn twenty_starts_at_once_give_one_daemon() {
        for _ in 0..20 {
            let (_dir, profile) = profile();
            let start = Arc::new(Barrier::new(20));
            let claims: Vec<_> = (0..20)
                .map(|_| {
                    let (start, profile) = (Arc::clone(&start), profile.clone());
                    std::thread::spawn(move || {
                        start.wait();
                        Instance::claim(&profile)
                    })
                })
                .collect::<Vec<_>>()
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect();
            assert_eq!(claims.iter().filter(|claim| claim.is_ok()).count(), 1);
            let refused = claims.iter().filter(|claim| matches!(claim, Err(InstanceError::Running { .. }))).count();
            assert_eq!(refused, 19, "every other start said why");
        }
    }

    #[test]
    fn a_stale_socket_goes_and_a_live_one_stays() {
        let (_dir, profile) = profile();
        let first = Instance::claim(&profile).unwrap();
        let socket = UnixListener::bind(first.socket()).unwrap();
        first.listens();
        assert!(matches!(Instance::claim(&profile), Err(InstanceError::Running { .. })));
        assert!(profile.socket().exists(), "a second start must not touch the first one's socket");
        drop(first);
        assert!(!profile.socket().exists());
        drop(socket);

        // As after a kill: the socket is there, the lock is free.
        drop(UnixListener::bind(profile.socket()).unwrap());
        assert!(profile.socket().exists());
        let again = Instance::claim(&profile).unwrap();
        assert!(!again.socket().exists());
    }

    #[test]
    fn a_managers_socket_is_neither_taken_nor_removed() {
        let (_dir, profile) = profile();
        let first = Instance::claim(&profile).unwrap();
        let ours = UnixListener::bind(first.socket()).unwrap();
        first.listens();
        let place = first.place().unwrap();
        assert!(place.still_there());
        // As systemd does when something lies where its socket belongs.
        fs::remove_file(profile.socket()).unwrap();
        let managers = UnixListener::bind(profile.socket()).unwrap();
        assert!(!place.still_there());
        drop((first, ours));
        assert!(profile.socket().exists(), "our end took the manager's socket with it");
        assert!(matches!(Instance::claim(&profile), Err(InstanceError::Managed { .. })));
        drop(Instance::claim_files(&profile).unwrap());
        assert!(profile.socket().exists());
        drop(managers);
        Instance::claim(&profile).unwrap();
        assert!(!profile.socket().exists(), "what nobody listens on is stale");
    }

    #[test]
    fn what_is_no_socket_is_not_removed() {
        let (_dir, profile) = profile();
        drop(Instance::claim(&profile).unwrap());
        fs::write(profile.socket(), "precious").unwrap();
        assert!(matches!(Instance::claim(&profile), Err(InstanceError::Io { .. })));
        assert_eq!(fs::read_to_string(profile.socket()).unwrap(), "precious");
    }

    #[test]
    fn a_folder_that_others_may_enter_is_refused() {
        let (_dir, profile) = profile();
        fs::create_dir(&profile.dir).unwrap();
        for mode in [0o755, 0o770, 0o701] {
            fs::set_permissions(&profile.dir, fs::Permissions::from_mode(mode)).unwrap();
            assert!(matches!(Instance::claim(&profile), Err(InstanceError::Folder(_))), "{mode:o}");
            assert!(!profile.lock_file().exists());
        }
        fs::set_permissions(&profile.dir, fs::Permissions::from_mode(0o700)).unwrap();
        Instance::claim(&profile).unwrap();
        assert_eq!(fs::metadata(profile.lock_file()).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
