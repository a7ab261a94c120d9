//! One daemon per profile: a lock held for life. Whoever holds it may remove a stale socket and listen; nobody else may.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
};

use m365_cached::hint::Kind;
use m365_cached_proto::dirs::{PrivateDirError, Profile, private_dir};

use crate::core::Problem;

/// The right to be the daemon of a profile. The kernel gives it back when the process ends, however it ends.
#[derive(Debug)]
pub struct Instance {
    socket: PathBuf,
    /// Never unlinked: a lock on a file that has lost its name would keep nobody out.
    _lock: File,
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
            Self::Folder(error) => error.hint(),
            Self::Io { path, .. } => format!("Look at `{}` and its rights.", path.display()),
        }
    }
}

impl Problem {
    /// Why this process may not be the daemon, with a code to tell one that runs from a profile that cannot be used.
    pub fn of_instance(error: &InstanceError) -> Self {
        let (kind, code) = match error {
            InstanceError::Running { .. } => (Kind::User, "already_running"),
            _ => (Kind::Config, "unusable_profile"),
        };
        Self::new(kind, code, format!("{error}."), error.hint())
    }
}

impl Instance {
    /// Makes the profile's private folders where they are missing, takes the lock, and removes the socket that a killed daemon left behind.
    pub fn claim(profile: &Profile) -> Result<Self, InstanceError> {
        private_dir(&profile.dir)?;
        private_dir(&profile.runtime)?;
        let path = profile.lock_file();
        let io = |source| InstanceError::Io { path: path.clone(), source };
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let lock = options.open(&path).map_err(io)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(InstanceError::Running { dir: profile.dir.clone() }),
            Err(TryLockError::Error(source)) => return Err(io(source)),
        }
        let socket = profile.socket().to_owned();
        remove_socket(&socket).map_err(|source| InstanceError::Io { path: socket.clone(), source })?;
        Ok(Self { socket, _lock: lock })
    }

    /// Where to listen.
    pub fn socket(&self) -> &Path {
        &self.socket
    }
}

impl Drop for Instance {
    /// The socket goes while the lock still holds, so that it can only be our own.
    fn drop(&mut self) {
        // Left behind it does no harm: the next daemon removes it.
        let _ = remove_socket(&self.socket);
    }
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
