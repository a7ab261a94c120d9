//! A real systemd user manager, where one can be had: as root, in a mount namespace of its own with an empty `/run`, for a user who is nobody else.
//!
//! No system manager is needed: a user manager wants to see that the machine was booted by systemd (a folder under `/run`), a runtime directory, and a control
//! group of its own. Processes of the user enter the namespace by `nsenter`; programs of ours are reached by wrappers that do so.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::Context as _;

use super::{
    PATIENCE,
    bins::Bins,
    process::{Running, spawn},
    stopwatch,
};

/// The user whose manager it is: one that no machine gives to a person.
pub const UID: u32 = 63_636;

/// What the namespace is made of; then the manager takes the place of the shell.
const SETUP: &str = r#"set -e
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/systemd/system $ROOM /run/user/$ID
chown $ID:$ID /run/user/$ID
chmod 700 /run/user/$ID
for group in $GROUPS_OF_OURS; do echo $$ > $group/cgroup.procs; done
cd "$HOME"
exec setpriv --reuid $ID --regid $ID --clear-groups env XDG_RUNTIME_DIR=/run/user/$ID SYSTEMD_LOG_TARGET=console /lib/systemd/systemd --user"#;

/// A running user manager. Ended when dropped.
#[derive(Debug)]
pub struct UserManager {
    process: Running,
    groups: Vec<PathBuf>,
    dir: tempfile::TempDir,
}

impl UserManager {
    /// Starts one whose user's home is `home`, and gives everything in there to that user. `Ok(Err)` says why this machine lets nobody have one.
    /// Without `namespaces` it cannot make any for its services: the folder is missing in which it sets them up.
    ///
    /// # Errors
    /// When it should have worked and did not.
    pub fn start(home: &Path, namespaces: bool) -> anyhow::Result<Result<Self, String>> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Err("only root makes such a namespace".into()));
        }
        for tool in ["/lib/systemd/systemd", "/usr/bin/nsenter", "/usr/bin/setpriv", "/usr/bin/unshare", "/usr/bin/systemctl"] {
            if !Path::new(tool).exists() {
                return Ok(Err(format!("{tool} is not installed")));
            }
        }
        let groups: Vec<PathBuf> = ["/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified", "/sys/fs/cgroup"]
            .into_iter()
            .map(Path::new)
            .filter(|group| group.join("cgroup.procs").exists())
            .map(|group| group.join(format!("m365-test-{}", std::process::id())))
            .collect();
        for group in &groups {
            if let Err(error) = fs::create_dir(group).or_else(|error| if group.exists() { Ok(()) } else { Err(error) }) {
                return Ok(Err(format!("no control group can be made: {error}")));
            }
            for file in ["", "cgroup.procs", "cgroup.threads", "cgroup.subtree_control"] {
                // Each kind of hierarchy has some of them.
                let _ = chown(group.join(file), Some(UID), Some(UID));
            }
        }
        give(home)?;
        let dir = tempfile::Builder::new().prefix("m365-user-").tempdir()?;
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755))?;
        let log = fs::File::create(dir.path().join("manager.log"))?;
        let names: Vec<&str> = groups.iter().filter_map(|group| group.to_str()).collect();
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", SETUP]).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", home);
        command.env("ID", UID.to_string()).env("GROUPS_OF_OURS", names.join(" "));
        command.env("ROOM", if namespaces { "/run/systemd/unit-root /run/systemd/inaccessible" } else { "" });
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let process = Running::new("systemd --user", spawn(&mut command)?);
        let mut manager = Self { process, groups, dir };
        let deadline = stopwatch::now() + PATIENCE;
        loop {
            let asked = manager.command("systemctl").args(["--user", "is-system-running"]).output()?;
            if asked.stdout.starts_with(b"running") || asked.stdout.starts_with(b"degraded") {
                return Ok(Ok(manager));
            }
            if manager.process.ended().is_some() || stopwatch::now() > deadline {
                return Ok(Err(format!("a user manager does not run here: {}", manager.log())));
            }
        }
    }

    /// What it and the daemons under it have said.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("manager.log")).unwrap_or_default()
    }

    fn words(&self) -> Vec<String> {
        let (pid, uid) = (self.process.pid().to_string(), UID.to_string());
        ["nsenter", "--target", &pid, "--mount", "--", "setpriv", "--reuid", &uid, "--regid", &uid, "--clear-groups", "env"]
            .into_iter()
            .map(str::to_owned)
            .chain([format!("XDG_RUNTIME_DIR=/run/user/{uid}")])
            .collect()
    }

    /// A command of the user, in this process's environment.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        let words = self.words();
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).arg(program);
        command
    }

    /// The programs as the user starts them: wrappers that enter the namespace. The daemon's is the program itself, since those who start it are there already.
    ///
    /// # Errors
    /// When they cannot be put where the user may read them.
    pub fn programs(&self, bins: &Bins) -> anyhow::Result<Bins> {
        let place = |name: &str, from: &Path| -> anyhow::Result<PathBuf> {
            let to = self.dir.path().join(name);
            fs::hard_link(from, &to).or_else(|_| fs::copy(from, &to).map(drop)).with_context(|| format!("copying {}", from.display()))?;
            Ok(to)
        };
        let wrapper = |name: &str, from: &Path| -> anyhow::Result<PathBuf> {
            let program = place(name, from)?;
            let path = self.dir.path().join(format!("{name}.sh"));
            fs::write(&path, format!("#!/bin/sh\nexec {} {} \"$@\"\n", self.words().join(" "), program.display()))?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
            Ok(path)
        };
        Ok(Bins {
            daemon: place("m365-cached", &bins.daemon)?,
            shim: wrapper("m365-mcp", &bins.shim)?,
            cachectl: wrapper("m365-cachectl", &bins.cachectl)?,
            tenant: bins.tenant.clone(),
        })
    }
}

/// Gives a folder and all that is in it to the user.
fn give(folder: &Path) -> anyhow::Result<()> {
    chown(folder, Some(UID), Some(UID))?;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            give(&path)?;
        } else {
            chown(&path, Some(UID), Some(UID))?;
        }
    }
    Ok(())
}

impl Drop for UserManager {
    fn drop(&mut self) {
        // It ends what it has started.
        let _ = self.process.signal(rustix::process::Signal::TERM);
        let _ = self.process.wait(PATIENCE);
        for group in &self.groups {
            let inner = fs::read_dir(group).into_iter().flatten().flatten().map(|entry| entry.path()).filter(|path| path.is_dir());
            for below in inner {
                let _ = fs::remove_dir(below);
            }
            let _ = fs::remove_dir(group);
        }
    }
}
