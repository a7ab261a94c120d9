//! Where a profile lives: every file of one installation, and the socket its daemon listens on.
//!
//! `M365_CACHED_DIR=<dir>` puts everything under one directory. Without it the places the system has for such things are
//! used. Both sides must arrive at the same socket from different environments (a desktop application often lacks
//! `XDG_RUNTIME_DIR`), so what the environment does not say is asked of the file system, never of `TMPDIR`. Where they do not (a session without a run-time
//! folder beside one with it), the client finds the daemon by what it has written into the profile's lock ([`crate::holder`]).
//!
//! Where a variable leads to another folder for data (`XDG_DATA_HOME`: an export in one shell, an application in a sandbox) there is another profile, with a daemon of its own;
//! both share the folder for run-time files. So there the socket of the usual place alone has the plain name, which the units of packages know, and every other
//! carries a mark of its data folder: one name for two profiles would lead a person's `backup` or `reset` to the wrong one. What a snap names for itself (VS Code hands
//! it on to the servers that it starts) is nobody's choice: these go to the profile of everybody else, or that editor alone would have a cache and a sign-in of its own.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Variable that puts every file of a profile under one directory.
pub const DIR_VARIABLE: &str = "M365_CACHED_DIR";
/// Name of our folders inside the system's own places.
const FOLDER: &str = "m365-cached";
/// Where a user's settings and data lie when no variable says otherwise (XDG Base Directory Specification).
const CONFIG: &str = ".config";
const DATA: &str = ".local/share";
/// Name of the socket file.
const SOCKET: &str = "m365-cached.sock";
/// Longest socket path the system takes, in bytes, without the closing zero: `sun_path` is 104 bytes on macOS and the BSDs, 108 on Linux.
#[cfg(any(target_os = "macos", target_os = "ios", target_os = "freebsd"))]
pub const SOCKET_PATH_MAX: usize = 103;
/// Longest socket path the system takes, in bytes, without the closing zero: `sun_path` is 104 bytes on macOS and the BSDs, 108 on Linux.
#[cfg(not(any(target_os = "macos", target_os = "ios", target_os = "freebsd")))]
pub const SOCKET_PATH_MAX: usize = 107;

/// One installation: its directories and the names of its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Where `config.toml` lies.
    pub config_dir: PathBuf,
    /// Where the database, its keys, the lock and the log lie.
    pub dir: PathBuf,
    /// The directory that holds the socket; owner only. It may equal `dir`.
    pub runtime: PathBuf,
    /// True when the directory was named by the caller rather than by the system.
    pub explicit: bool,
    /// True when it lies where the system's profile lies without a variable that says otherwise.
    usual: bool,
    socket: PathBuf,
}

/// What the system says of itself, so that finding a profile stays a pure function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// Our folder for settings.
    pub config: PathBuf,
    /// Our folder for data that stays on this machine.
    pub data: PathBuf,
    /// Whether that is the usual one, below the home, or a variable has led elsewhere.
    pub usual: bool,
    /// Our folder among the run-time files of this user, where the system has such a place.
    pub runtime: Option<PathBuf>,
    /// Our folder for sockets whose own path would be too long; its name carries the user's id.
    pub short: PathBuf,
}

/// No profile can be found.
#[derive(Debug, thiserror::Error)]
pub enum DirsError {
    /// The system names no home directory.
    #[error("there is no home directory to keep the profile in; set {DIR_VARIABLE} to a directory")]
    NoHome,
    /// The directory given is not usable as a path.
    #[error("the profile directory `{dir}` cannot be made absolute: {source}")]
    Directory {
        /// The directory as given.
        dir: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
}

impl Profile {
    /// The profile of this process: `M365_CACHED_DIR` when `env` has it (and it is not empty), else the system's places.
    ///
    /// # Errors
    /// When there is no home directory, or the given directory cannot be made absolute.
    pub fn find(env: &dyn Fn(&str) -> Option<OsString>) -> Result<Self, DirsError> {
        let given = env(DIR_VARIABLE).filter(|dir| !dir.is_empty());
        match given {
            Some(dir) => Self::at(Path::new(&dir)),
            None => Ok(Self::system(&Places::of_this_machine().ok_or(DirsError::NoHome)?)),
        }
    }

    /// The profile that lies wholly under `dir` (made absolute, so that a daemon started elsewhere finds the same one).
    ///
    /// # Errors
    /// When `dir` is relative and there is no current directory.
    pub fn at(dir: &Path) -> Result<Self, DirsError> {
        let absolute = std::path::absolute(dir).map_err(|source| DirsError::Directory { dir: dir.to_owned(), source })?;
        // `absolute` keeps a closing slash on Unix; two spellings of one directory must give one socket.
        let dir: PathBuf = absolute.components().collect();
        let places = Places::of_this_machine();
        Ok(Self::under(&dir, places.as_ref()))
    }

    /// As `at`, from an absolute directory and the system's places; pure.
    #[must_use]
    pub fn under(dir: &Path, places: Option<&Places>) -> Self {
        let socket = socket_for(dir, dir, places);
        Self { config_dir: dir.to_owned(), dir: dir.to_owned(), runtime: parent(&socket, dir), explicit: true, usual: false, socket }
    }

    /// The profile in the system's places; pure.
    #[must_use]
    pub fn system(places: &Places) -> Self {
        // As in `at`: one spelling.
        let dir: PathBuf = places.data.components().collect();
        let wanted = places.runtime.as_deref().unwrap_or(&dir);
        let socket = socket_for(&dir, wanted, Some(places));
        let runtime = parent(&socket, wanted);
        Self { config_dir: places.config.clone(), dir, runtime, explicit: false, usual: places.usual, socket }
    }

    /// What the socket is called in the folder for run-time files, where others of this user's profiles have theirs.
    #[must_use]
    pub fn socket_name(&self) -> String {
        if self.usual { SOCKET.to_owned() } else { marked(&self.dir) }
    }

    /// The settings file.
    #[must_use]
    pub fn config_file(&self) -> PathBuf {
        self.config_dir.join("config.toml")
    }

    /// Where files go that people ask for: `downloads` in a profile that lies under one directory, else a folder of ours among this user's
    /// downloads. `None` when the system names no home.
    #[must_use]
    pub fn downloads(&self) -> Option<PathBuf> {
        if self.explicit {
            return Some(self.dir.join("downloads"));
        }
        let dirs = directories::UserDirs::new()?;
        Some(dirs.download_dir().map_or_else(|| dirs.home_dir().join("Downloads"), Path::to_owned).join("m365"))
    }

    /// The encrypted database.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.dir.join("cache.db")
    }

    /// Where the sealed copies of what was imported lie.
    #[must_use]
    pub fn imported(&self) -> PathBuf {
        self.dir.join("imported")
    }

    /// The envelope that holds the sealed database keys.
    #[must_use]
    pub fn keys_file(&self) -> PathBuf {
        self.dir.join("cache.keys")
    }

    /// Held locked by the one daemon of this profile for its whole life.
    #[must_use]
    pub fn lock_file(&self) -> PathBuf {
        self.dir.join("m365-cached.lock")
    }

    /// Held locked by the one client that is starting the daemon.
    #[must_use]
    pub fn starter_file(&self) -> PathBuf {
        self.dir.join("m365-cached.starting")
    }

    /// Held locked by the one program that is changing the settings file.
    #[must_use]
    pub fn settings_turn_file(&self) -> PathBuf {
        self.dir.join("m365-cached.settings")
    }

    /// What the daemon logs, and what one that a client starts says before; see [`crate::logs`].
    #[must_use]
    pub fn log_file(&self) -> PathBuf {
        self.dir.join("m365-cached.log")
    }

    /// Where the daemon listens: a Unix socket, or on Windows the name of a pipe.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }
}

impl Places {
    /// The places of this machine and user, or `None` without a home directory.
    #[must_use]
    pub fn of_this_machine() -> Option<Self> {
        let dirs = directories::ProjectDirs::from("", "", FOLDER)?;
        let base = directories::BaseDirs::new()?;
        let home = base.home_dir();
        let data = no_snaps(dirs.data_local_dir(), home, DATA);
        Some(Self {
            usual: is_usual(&data, home),
            config: no_snaps(dirs.config_dir(), home, CONFIG),
            data,
            runtime: dirs.runtime_dir().filter(|dir| dir.parent().is_some_and(is_ours)).map(Path::to_owned).or_else(runtime_by_user),
            short: short_by_user(),
        })
    }
}

/// `dir`, or what it would be without a variable (`usual` below the home) where it lies among the folders of snaps.
fn no_snaps(dir: &Path, home: &Path, usual: &str) -> PathBuf {
    if cfg!(target_os = "linux") && dir.starts_with(home.join("snap")) { home.join(usual).join(FOLDER) } else { dir.to_owned() }
}

/// Whether `data` is where it lies for the user with that `home` when no variable says otherwise. Windows and macOS have no such variable.
fn is_usual(data: &Path, home: &Path) -> bool {
    cfg!(any(windows, target_vendor = "apple")) || data == home.join(DATA).join(FOLDER)
}

/// `/run/user/<uid>` is what `XDG_RUNTIME_DIR` would have said in a full session.
#[cfg(unix)]
fn runtime_by_user() -> Option<PathBuf> {
    let dir = PathBuf::from(format!("/run/user/{}", rustix::process::geteuid().as_raw()));
    is_ours(&dir).then(|| dir.join(FOLDER))
}

/// Whether it is there and belongs to this user: the variable may outlive the folder that it names (after a logout), or be another user's (`su`).
#[cfg(unix)]
fn is_ours(dir: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(dir).is_ok_and(|meta| meta.is_dir() && meta.uid() == rustix::process::geteuid().as_raw())
}

/// No such variable is looked at.
#[cfg(not(unix))]
fn is_ours(_dir: &Path) -> bool {
    true
}

#[cfg(not(unix))]
fn runtime_by_user() -> Option<PathBuf> {
    None
}

#[cfg(unix)]
fn short_by_user() -> PathBuf {
    PathBuf::from(format!("/tmp/{FOLDER}-{}", rustix::process::geteuid().as_raw()))
}

#[cfg(not(unix))]
fn short_by_user() -> PathBuf {
    std::env::temp_dir().join(FOLDER)
}

/// The socket of the profile whose data lies in `identity`: in `wanted` when the path fits, else under a short name of its own. A folder that it shares with other
/// profiles has the plain name for the usual one alone.
#[cfg(unix)]
fn socket_for(identity: &Path, wanted: &Path, places: Option<&Places>) -> PathBuf {
    let plain = wanted.join(SOCKET);
    let alone = wanted == identity || places.is_none_or(|places| places.usual);
    if alone && fits(&plain) {
        return plain;
    }
    let name = marked(identity);
    let short = places.map_or_else(short_by_user, |places| places.short.clone());
    places
        .and_then(|places| places.runtime.as_ref())
        .map(|dir| dir.join(&name))
        .filter(|path| fits(path))
        .unwrap_or_else(|| short.join(name))
}

#[cfg(not(unix))]
fn socket_for(identity: &Path, _wanted: &Path, _places: Option<&Places>) -> PathBuf {
    pipe_for(identity)
}

/// Pipes have one flat name space for the whole machine, so the name carries the profile's directory. Windows does not tell `C:\Ada` from
/// `c:\ada`, and some clients write one and some the other: they must arrive at one pipe.
#[cfg(any(not(unix), test))]
fn pipe_for(identity: &Path) -> PathBuf {
    let folded = identity.to_string_lossy().to_lowercase();
    PathBuf::from(format!(r"\\.\pipe\{FOLDER}-{:016x}", fingerprint(Path::new(&folded))))
}

/// The name of a socket that says whose it is.
fn marked(identity: &Path) -> String {
    format!("{:016x}.sock", fingerprint(identity))
}

#[cfg(unix)]
fn fits(path: &Path) -> bool {
    path.as_os_str().len() <= SOCKET_PATH_MAX
}

/// FNV-1a: names a directory, keeps no secret, and must stay the same in every version.
fn fingerprint(path: &Path) -> u64 {
    path.as_os_str()
        .as_encoded_bytes()
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

fn parent(socket: &Path, otherwise: &Path) -> PathBuf {
    if cfg!(windows) { otherwise.to_owned() } else { socket.parent().unwrap_or(otherwise).to_owned() }
}

/// A directory that must be for the owner alone is not.
#[derive(Debug, thiserror::Error)]
pub enum PrivateDirError {
    /// It cannot be made or read.
    #[error("the directory `{dir}` cannot be used: {source}")]
    Io {
        /// The directory.
        dir: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// It belongs to somebody else, or is no directory at all (a symbolic link counts as none).
    #[error("`{dir}` is not a directory of this user")]
    Foreign {
        /// The directory.
        dir: PathBuf,
    },
    /// Others may look or write into it.
    #[error("the directory `{dir}` has mode {mode:04o}; others must have no access")]
    Open {
        /// The directory.
        dir: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
}

impl PrivateDirError {
    /// One thing to type or to check.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Io { dir, .. } => format!("Check that `{}` can be written by you.", dir.display()),
            Self::Foreign { dir } => format!("See who owns it: `ls -ld {}`.", dir.display()),
            Self::Open { dir, .. } => {
                format!("A profile wants a folder of its own. If this one holds nothing else: `chmod 700 {}`.", dir.display())
            }
        }
    }
}

/// Makes sure that `dir` exists and is for its owner alone: made with mode 0700 when missing, refused when it belongs to another
/// user or is open to others. On Windows a directory under the user's profile is private by inheritance and is only made.
///
/// # Errors
/// When it cannot be made, is foreign, or is open to others.
pub fn private_dir(dir: &Path) -> Result<(), PrivateDirError> {
    let io = |source| PrivateDirError::Io { dir: dir.to_owned(), source };
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        builder.mode(0o700);
    }
    builder.create(dir).map_err(io)?;
    is_private(dir)
}

/// Whether `dir` is there and is for its owner alone, as [`private_dir`] makes sure.
///
/// # Errors
/// When it is not there, is foreign, or is open to others.
pub fn is_private(dir: &Path) -> Result<(), PrivateDirError> {
    let meta = std::fs::symlink_metadata(dir).map_err(|source| PrivateDirError::Io { dir: dir.to_owned(), source })?;
    #[cfg(not(unix))]
    drop(meta);
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt, PermissionsExt};
        if !meta.is_dir() || meta.uid() != rustix::process::geteuid().as_raw() {
            return Err(PrivateDirError::Foreign { dir: dir.to_owned() });
        }
        let mode = meta.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(PrivateDirError::Open { dir: dir.to_owned(), mode });
        }
    }
    Ok(())
}

#[cfg(unix)]
#[cfg(test)]
#[path = "dirs_tests.rs"]
mod tests;
