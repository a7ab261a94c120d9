//! The master key in a real gnome-keyring on a bus of its own: one that lost the key, has another one, stays locked, or is not there, never
//! makes the daemon take a new key.

use std::{
    collections::HashMap,
    fs,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Stdio},
};

use m365_cached_checks::support::{
    PATIENCE, figure,
    process::{Running, spawn},
    stopwatch,
    world::{Setup, World},
};
use rustix::process::Signal;
use zbus::{
    blocking::{Connection, connection::Builder},
    zvariant::{OwnedObjectPath, OwnedValue, Value},
};

use crate::locked::data;

const BUS_NAME: &str = "org.freedesktop.secrets";
const SERVICE: &str = "org.freedesktop.Secret.Service";

/// A bus with a gnome-keyring that can be started open, started locked, and stopped.
struct Gnome {
    address: String,
    keyring: Option<Running>,
    folder: tempfile::TempDir,
    _bus: Running,
}

impl Gnome {
    /// Starts bus and keyring; `None`, with the reason printed, on a machine without them.
    fn start() -> Option<Self> {
        for program in ["dbus-daemon", "gnome-keyring-daemon"] {
            if Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
                skipped(program);
                return None;
            }
        }
        let folder = tempfile::tempdir().unwrap();
        for name in ["data", "run"] {
            fs::create_dir(folder.path().join(name)).unwrap();
            fs::set_permissions(folder.path().join(name), fs::Permissions::from_mode(0o700)).unwrap();
        }
        let address = format!("unix:path={}", folder.path().join("bus").display());
        let mut command = Command::new("dbus-daemon");
        command.args(["--session", "--nofork", "--nopidfile", "--print-address=1"]).arg(format!("--address={address}"));
        // No service is started by the bus itself.
        command.env("XDG_DATA_DIRS", folder.path()).env("XDG_DATA_HOME", folder.path());
        let mut child = spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null())).unwrap();
        let stdout = child.stdout.take().unwrap();
        let bus = Running::new("dbus-daemon", child);
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        assert!(line.starts_with("unix:"), "the bus did not start: {line:?}");
        let mut gnome = Self { address, keyring: None, folder, _bus: bus };
        gnome.run(true);
        Some(gnome)
    }

    fn connection(&self) -> Connection {
        Builder::address(self.address.as_str()).and_then(Builder::build).unwrap()
    }

    fn is_there(bus: &Connection) -> bool {
        let asked = bus.call_method(Some("org.freedesktop.DBus"), "/", Some("org.freedesktop.DBus"), "NameHasOwner", &BUS_NAME);
        asked.unwrap().body().deserialize().unwrap()
    }

    /// Starts the keyring, with its password or without.
    fn run(&mut self, open: bool) {
        self.stop();
        let mut command = Command::new("gnome-keyring-daemon");
        command.args(["--foreground", "--components=secrets"]).args(open.then_some("--unlock"));
        command.env_clear().env("HOME", self.folder.path()).env("DBUS_SESSION_BUS_ADDRESS", &self.address);
        command.env("XDG_DATA_HOME", self.folder.path().join("data")).env("XDG_RUNTIME_DIR", self.folder.path().join("run"));
        let mut child = spawn(command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null())).unwrap();
        let mut password = child.stdin.take().unwrap();
        if open {
            password.write_all(b"open sesame\n").unwrap();
        }
        drop(password);
        self.keyring = Some(Running::new("gnome-keyring-daemon", child));
        let (bus, deadline) = (self.connection(), stopwatch::now() + PATIENCE);
        while !Self::is_there(&bus) {
            assert!(stopwatch::now() < deadline, "the keyring does not come to the bus");
        }
    }

    fn stop(&mut self) {
        if let Some(mut keyring) = self.keyring.take() {
            keyring.signal(Signal::TERM).unwrap();
            keyring.wait(PATIENCE).unwrap();
        }
    }

    /// Where it keeps its secrets.
    fn files(&self) -> std::path::PathBuf {
        self.folder.path().join("data/keyrings")
    }

    /// Every item it has, of an open keyring.
    fn items(&self, bus: &Connection) -> Vec<OwnedObjectPath> {
        let none: HashMap<&str, &str> = HashMap::new();
        let reply = bus.call_method(Some(BUS_NAME), "/org/freedesktop/secrets", Some(SERVICE), "SearchItems", &(none,)).unwrap();
        let (open, locked): (Vec<OwnedObjectPath>, Vec<OwnedObjectPath>) = reply.body().deserialize().unwrap();
        open.into_iter().chain(locked).collect()
    }

    fn count(&self) -> usize {
        self.items(&self.connection()).len()
    }

    /// Gives every item another secret of the same length.
    fn change(&self, filler: u8) {
        let bus = self.connection();
        let asked = ("plain", Value::from(""));
        let reply = bus.call_method(Some(BUS_NAME), "/org/freedesktop/secrets", Some(SERVICE), "OpenSession", &asked).unwrap();
        let (_, session): (OwnedValue, OwnedObjectPath) = reply.body().deserialize().unwrap();
        for item in self.items(&bus) {
            let secret = ((&session, Vec::<u8>::new(), vec![filler; 32], "application/octet-stream"),);
            bus.call_method(Some(BUS_NAME), &item, Some("org.freedesktop.Secret.Item"), "SetSecret", &secret).unwrap();
        }
    }
}

#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn skipped(program: &str) {
    eprintln!("skipped: there is no {program}; `apt-get install gnome-keyring dbus-daemon` brings what is missing");
}

fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    fs::create_dir(to).unwrap();
    fs::set_permissions(to, fs::Permissions::from_mode(0o700)).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// Starts the daemon `each` times with a keyring that lost the key, has another one, stays locked, or is not there.
fn starts(each: usize) {
    let Some(mut gnome) = Gnome::start() else { return };
    let mut world = World::with(Setup { keyless: true, ..Setup::default() }).unwrap();
    world.expect_log("locked");
    world.stop_daemon().unwrap();
    let session = ("DBUS_SESSION_BUS_ADDRESS".to_owned(), gnome.address.clone());
    world.home.variables.push(session.clone());
    world.start_daemon().unwrap();
    let status = world.ctl_json(&["status"]).unwrap();
    assert_eq!((&status["state"], &status["key"]["source"]), (&"ready".into(), &"keyring".into()), "{status}");
    world.stop_daemon().unwrap();
    assert_eq!(gnome.count(), 1);
    gnome.stop();
    let safe = gnome.folder.path().join("safe");
    copy(&gnome.files(), &safe);
    let before = data(&world);
    for start in 0..4 * each {
        let expected = match start % 4 {
            0 => {
                for file in fs::read_dir(gnome.files()).unwrap() {
                    fs::remove_file(file.unwrap().path()).unwrap();
                }
                gnome.run(true);
                "key_missing"
            }
            1 => {
                gnome.run(true);
                gnome.change(u8::try_from(start % 251).unwrap());
                "wrong_key"
            }
            2 => {
                gnome.run(false);
                "keyring_locked"
            }
            _ => {
                world.home.variables = vec![(session.0.clone(), "unix:path=/nonexistent/bus".to_owned())];
                "keyring_unavailable"
            }
        };
        world.start_daemon().unwrap();
        let status = world.ctl(&["--json", "status"]).unwrap().json().unwrap();
        assert_eq!(status["locked"]["code"], expected, "start {start}: {status}");
        world.stop_daemon().unwrap();
        assert_eq!(data(&world), before, "start {start}");
        if start % 4 < 2 {
            assert_eq!(gnome.count(), start % 4, "start {start}: a key was made anew");
        }
        gnome.stop();
        copy(&safe, &gnome.files());
        world.home.variables = vec![session.clone()];
        figure::tell("keyring", start + 1, 0);
    }
    gnome.run(true);
    assert_eq!(gnome.count(), 1);
    world.start_daemon().unwrap();
    assert_eq!(world.ctl_json(&["status"]).unwrap()["state"], "ready");
}

#[test]
fn a_real_keyring_that_does_not_help_is_given_no_other_key() {
    starts(1);
}

#[test]
#[ignore = "minutes: cargo campaign safety --only keys"]
fn a_hundred_starts_each_with_a_keyring_that_does_not_help() {
    starts(figure::size(100));
}
