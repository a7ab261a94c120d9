//! Packages: built by their scripts, twice the same; the Debian package installed, used and removed in a root of its own.
//!
//! These take minutes, want Debian's tools and fetch a small Debian: `.ci/run packages` installs the tools and runs them.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use m365_cached_checks::support::{
    bins::{Bins, For, bins},
    ctl,
    home::Home,
    mcp::{Era, Mcp},
    signin,
    world::ALEX,
};
use m365_cached_tenant::{Options, Tenant};
use serde_json::json;

/// Runs a command that must succeed; what it printed.
fn run(command: &mut Command) -> String {
    let done = command.output().unwrap();
    assert!(done.status.success(), "{command:?}: {}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap().trim().to_owned()
}

/// Builds a package from quick builds into `folder`; its path.
fn build(format: &str, folder: &Path) -> PathBuf {
    // The programs themselves are built as the tests build them.
    bins(For::Tests).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging").join(format).join("build");
    let mut command = m365_cached_checks::support::bins::cargo_command().unwrap();
    let environment: Vec<_> = command.get_envs().map(|(name, value)| (name.to_owned(), value.map(ToOwned::to_owned))).collect();
    command = Command::new(script);
    for (name, value) in environment {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let said = run(command.arg(folder).args(["--profile", "dev"]).env("SOURCE_DATE_EPOCH", "1700000000"));
    PathBuf::from(said.lines().last().unwrap())
}

#[test]
#[ignore = "builds packages: .ci/run packages"]
fn the_same_sources_give_the_same_packages() {
    for format in ["deb", "rpm", "tarball"] {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (first, second) = (build(format, one.path()), build(format, two.path()));
        assert_eq!(first.file_name(), second.file_name());
        assert!(fs::read(first).unwrap() == fs::read(second).unwrap(), "two builds of the {format} differ");
    }
}

#[test]
fn the_notes_of_a_release_are_its_section_of_the_changelog() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/notes");
    let changelog = fs::read_to_string(script.with_file_name("CHANGELOG.md")).unwrap();
    let notes = run(&mut Command::new(&script));
    assert!(notes.starts_with("The first version.") && changelog.contains(&notes) && !notes.contains("## "), "{notes}");
    assert_eq!(run(Command::new(&script).arg(env!("CARGO_PKG_VERSION"))), notes);
    let unknown = Command::new(&script).arg("9.9.9").output().unwrap();
    assert!(!unknown.status.success() && String::from_utf8_lossy(&unknown.stderr).contains("9.9.9"));
}

#[test]
#[ignore = "builds packages: .ci/run packages"]
fn an_archive_and_an_rpm_hold_programs_that_start() {
    let folder = tempfile::tempdir().unwrap();
    let archive = build("tarball", folder.path());
    run(Command::new("sha256sum").arg("--check").arg(archive.with_extension("gz.sha256")).current_dir(folder.path()));
    run(Command::new("tar").arg("--extract").arg("--file").arg(&archive).current_dir(folder.path()));
    let unpacked = archive.with_extension("").with_extension("");
    let rpm = build("rpm", folder.path());
    let root = folder.path().join("root");
    fs::create_dir(&root).unwrap();
    let unpack = format!("rpm2cpio '{}' | cpio --extract --make-directories --quiet", rpm.display());
    run(Command::new("sh").args(["-c", &unpack]).current_dir(&root));
    for bin in [unpacked.join("bin"), root.join("usr/bin")] {
        for name in ["m365-cached", "m365-mcp", "m365-cachectl"] {
            assert!(run(Command::new(bin.join(name)).arg("--version")).starts_with(&format!("{name} ")));
        }
    }
    for doc in [unpacked.join("share/doc/m365-cached"), root.join("usr/share/doc/m365-cached")] {
        for file in ["CHANGELOG.md", "m365-cached.cdx.json", "manual/errors.md", "manual/pictures/top.svg"] {
            assert!(doc.join(file).is_file(), "{} is missing", doc.join(file).display());
        }
    }
    let unit = fs::read_to_string(root.join("usr/lib/systemd/user/m365-cached.service")).unwrap();
    assert!(unit.contains("\nExecStart=/usr/bin/m365-cached\n"));

    // What is written for a release names the archives by their sums.
    let written = |format: &str| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging").join(format).join("build");
        let path = run(Command::new(script).arg(folder.path()).args(["--github", "owner/m365-cached"]));
        fs::read_to_string(path).unwrap()
    };
    let sum = fs::read_to_string(archive.with_extension("gz.sha256")).unwrap();
    assert!(written("homebrew").contains(sum.split(' ').next().unwrap()));
    let version = env!("CARGO_PKG_VERSION");
    fs::write(folder.path().join(format!("m365-cached-{version}-windows-x86_64.zip")), "two").unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&written("scoop")).unwrap();
    // printf two | sha256sum
    assert_eq!(manifest["architecture"]["64bit"]["hash"], "3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3");
}

/// A small Debian in a folder. Programs in there see `/tmp` of this machine, so that profiles have one path on both sides.
struct Root(tempfile::TempDir);

impl Root {
    fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("m365-root-").tempdir_in("/var/tmp").unwrap();
        let release = fs::read_to_string("/etc/os-release").unwrap();
        let suite = release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME=")).unwrap().to_owned();
        // Ours is for root alone, and a Debian's root directory is for everybody.
        run(Command::new("mmdebstrap").args(["--variant=essential", "--include=ca-certificates", &suite]).arg(dir.path().join("debian")));
        Self(dir)
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("debian")
    }

    /// The words that run a program in there, in a mount namespace that ends with it.
    fn inside(&self) -> String {
        let root = self.path();
        let root = root.display();
        format!(
            "exec unshare --mount sh -c 'mount --bind /tmp {root}/tmp && mount -t proc proc {root}/proc && exec chroot {root} \"$@\"' sh"
        )
    }

    fn run(&self, words: &[&str]) -> String {
        run(Command::new("sh")
            .arg("-c")
            .arg(format!("{} \"$@\"", self.inside()))
            .arg("sh")
            .args(words)
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"))
    }

    /// A program of the package, to be started from outside.
    fn wrapper(&self, program: &str) -> PathBuf {
        let path = self.0.path().join(program);
        fs::write(&path, format!("#!/bin/sh\n{} /usr/bin/{program} \"$@\"\n", self.inside())).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// Every file and folder, but for what dpkg keeps of its own.
    fn files(&self) -> BTreeSet<PathBuf> {
        fn walk(folder: &Path, root: &Path, found: &mut BTreeSet<PathBuf>) {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let name = path.strip_prefix(root).unwrap();
                let dpkgs = ["var/lib/dpkg", "var/log", "var/cache", "proc", "tmp"].iter().any(|own| name.starts_with(own));
                if dpkgs {
                    continue;
                }
                found.insert(name.to_owned());
                if path.is_dir() && !path.is_symlink() {
                    walk(&path, root, found);
                }
            }
        }
        let mut found = BTreeSet::new();
        walk(&self.path(), &self.path(), &mut found);
        found
    }
}

#[test]
#[ignore = "fetches a small Debian: .ci/run packages"]
fn the_debian_package_is_installed_used_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let package = build("deb", folder.path());
    let root = Root::new();
    let before = root.files();
    root.run(&["dpkg", "--install", package.to_str().unwrap()]);
    let added: BTreeSet<PathBuf> = root.files().difference(&before).cloned().collect();
    for file in [
        "usr/bin/m365-cached",
        "usr/bin/m365-mcp",
        "usr/bin/m365-cachectl",
        "usr/lib/systemd/user/m365-cached.socket",
        "usr/share/man/man1/m365-cachectl.1.gz",
        "usr/share/bash-completion/completions/m365-cachectl",
    ] {
        assert!(added.contains(Path::new(file)), "{file} is missing: {added:?}");
    }
    for file in ["copyright", "changelog.gz", "changelog.Debian.gz", "manual/connect.md", "manual/json.md", "manual/pictures/doctor.svg"] {
        assert!(added.contains(&Path::new("usr/share/doc/m365-cached").join(file)), "{file} is missing: {added:?}");
    }

    // Used as by somebody who has nothing else: the tenant alone is ours.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let tenant = runtime.block_on(Tenant::start(Options::default())).unwrap();
    let home = Home::new(1).unwrap();
    m365_cached_tenant::profile::write(home.path(), &tenant, false).unwrap();
    let programs = Bins {
        daemon: "/usr/bin/m365-cached".into(),
        shim: root.wrapper("m365-mcp"),
        cachectl: root.wrapper("m365-cachectl"),
        tenant: PathBuf::new(),
    };
    let account = runtime.block_on(signin::sign_in(&programs, &home, ALEX)).unwrap();
    let mut client = Mcp::start(&programs, &home, Era::Modern).unwrap();
    let question = json!({"account_id": account["id"], "limit": 5});
    for expected in ["miss", "fresh"] {
        assert_eq!(client.call("email_list", &question).unwrap().cache_status().unwrap(), expected);
    }
    assert_eq!(ctl::run(&programs, &home, &["health"]).unwrap().code, Some(0));
    client.hang_up();
    client.wait(m365_cached_checks::support::PATIENCE).unwrap();
    ctl::run(&programs, &home, &["stop"]).unwrap().ok().unwrap();

    root.run(&["dpkg", "--purge", "m365-cached"]);
    assert_eq!(root.files().symmetric_difference(&before).collect::<Vec<_>>(), Vec::<&PathBuf>::new(), "something was left behind");
    assert!(home.database().exists(), "data is the user's");
    runtime.block_on(tenant.stop());
}
