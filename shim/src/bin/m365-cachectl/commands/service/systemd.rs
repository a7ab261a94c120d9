//! systemd's user manager: a socket unit and a service unit. The texts are those that packages bring, with the paths of this installation put in.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::files::{File, MARK};
use super::manager::{Call, Facts, Known, Manager};

/// What `Manager::kind` says of it.
pub(super) const KIND: &str = "systemd";
const SERVICE: &str = include_str!("../../../../../../packaging/systemd/m365-cached.service");
const SOCKET: &str = include_str!("../../../../../../packaging/systemd/m365-cached.socket");
const DROP_IN: &str = include_str!("../../../../../../packaging/systemd/no-user-namespaces.conf");
/// What the texts say, and what stands there in its place.
const NAME: &str = "m365-cached";
const PROGRAM: &str = "ExecStart=/usr/bin/m365-cached";
const LISTEN: &str = "ListenStream=%t/m365-cached/m365-cached.sock";
/// Where packages put units.
pub(super) const PACKAGES: &str = "/usr/lib/systemd/user";

/// How a start ends that the kernel lets not be confined: 217/USER, 218/CAPABILITIES, 226/NAMESPACE.
const UNCONFINABLE: [&str; 3] = ["217", "218", "226"];

/// How it is spoken to.
pub(super) fn manager(facts: &Facts) -> Manager {
    let (socket, service) = (format!("{}.socket", facts.name), format!("{}.service", facts.name));
    let call = |words: &[&str]| Call::new(&[&["systemctl", "--user"], words].concat());
    let show = |unit: &str| call(&["show", "--property=UnitFileState,ActiveState,MainPID,StatusText", unit]);
    let folder = &facts.units;
    let drop_in = folder.join(format!("{service}.d/no-user-namespaces.conf"));
    Manager {
        kind: KIND,
        name: facts.name.clone(),
        files: vec![
            File { path: folder.join(&socket), text: socket_unit(facts) },
            File { path: folder.join(&service), text: service_unit(facts) },
        ],
        hiding: Vec::new(),
        optional: vec![File { path: drop_in, text: marked(DROP_IN) }],
        ask: call(&["show", "--property=Version"]),
        begin: vec![call(&["daemon-reload"]), call(&["enable", "--now", &socket, &service])],
        halt: vec![call(&["stop", &socket, &service])],
        resume: vec![call(&["start", &socket])],
        end: vec![call(&["disable", "--now", &socket, &service])],
        release: vec![call(&["disable", &socket, &service])],
        forget: vec![call(&["daemon-reload"]), call(&["reset-failed", &socket, &service])],
        unconfinable: Some((call(&["show", "--property=ExecMainStatus", "--value", &service]), UNCONFINABLE)),
        state: vec![show(&socket), show(&service)],
        read,
        journal: Some(Call::new(&["journalctl", "--user-unit", &service, "--no-pager"])),
    }
}

/// Whether a package has brought units that start this very program for this very profile.
pub(super) fn packaged(facts: &Facts) -> bool {
    let same = format!("ExecStart={}", facts.program) == PROGRAM;
    let there = ["socket", "service"].iter().all(|kind| facts.packages.join(format!("{NAME}.{kind}")).is_file());
    facts.profile.is_none() && facts.places.is_empty() && same && there
}

/// Where the user manager looks for units of this user's. It has its own environment: a folder for settings that only a terminal names it does not know.
pub(super) fn units(env: &dyn Fn(&str) -> Option<OsString>, home: &Path) -> PathBuf {
    let told = Call::new(&["systemctl", "--user", "show", "--property=UnitPath", "--value"]).run().unwrap_or_default();
    units_among(&told, env, home)
}

/// The same, from what the manager says of its folders; empty where it does not answer.
fn units_among(told: &str, env: &dyn Fn(&str) -> Option<OsString>, home: &Path) -> PathBuf {
    let usual = home.join(".config/systemd/user");
    let named = env("XDG_CONFIG_HOME").map(PathBuf::from).filter(|dir| dir.is_absolute()).map(|dir| dir.join("systemd/user"));
    let looks_in = |dir: &PathBuf| told.split_whitespace().any(|known| Path::new(known) == dir);
    match named {
        Some(named) if looks_in(&named) || !looks_in(&usual) => named,
        _ => usual,
    }
}

fn socket_unit(facts: &Facts) -> String {
    let listen = match facts.profile {
        None => LISTEN.replace("/m365-cached.sock", &format!("/{}", facts.socket_name)),
        Some(_) => format!("ListenStream={}", facts.socket.replace('%', "%%")),
    };
    marked(&SOCKET.replace(LISTEN, &listen))
}

fn service_unit(facts: &Facts) -> String {
    let words: Vec<String> = facts.words().into_iter().map(quoted).collect();
    let start = format!("ExecStart={}", words.join(" "));
    let places: String = facts.places.iter().map(|(name, dir)| format!("Environment=\"{name}={}\"\n", escaped(dir))).collect();
    let text = SERVICE.replace(PROGRAM, &format!("{places}{start}"));
    marked(
        &text
            .replace(&format!("{NAME}.socket"), &format!("{}.socket", facts.name))
            .replace(&format!("{NAME}.service"), &format!("{}.service", facts.name)),
    )
}

fn marked(text: &str) -> String {
    format!("# {MARK}\n{text}")
}

/// What may stand between quotation marks in a unit file: `%` is theirs.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%")
}

/// A word of a command line as unit files want it: `$` is theirs, too.
fn quoted(word: &str) -> String {
    let escaped = escaped(word).replace('$', "$$");
    let plain = word.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c));
    if plain { escaped } else { format!("\"{escaped}\"") }
}

fn read(said: &[String]) -> Known {
    let field = |at: usize, name: &str| {
        said.get(at)
            .and_then(|text| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')))
            .unwrap_or_default()
            .to_owned()
    };
    Known {
        enabled: field(0, "UnitFileState") == "enabled",
        listening: field(0, "ActiveState") == "active",
        running: field(1, "ActiveState") == "active",
        pid: field(1, "MainPID").parse().ok().filter(|pid| *pid != 0),
        says: Some(field(1, "StatusText")).filter(|words| !words.is_empty()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::manager::facts;
    use super::*;

    #[test]
    fn the_units_of_packages_have_the_places_that_are_put_in() {
        assert_eq!((SERVICE.matches(PROGRAM).count(), SOCKET.matches(LISTEN).count()), (1, 1));
    }

    #[test]
    fn units_name_this_program_and_this_profile() {
        let usual = manager(&facts(None));
        assert_eq!(usual.files[0].path, Path::new("/home/ada/.config/systemd/user/m365-cached.socket"));
        assert!(usual.files[0].text.contains("\nListenStream=%t/m365-cached/m365-cached.sock\n"));
        assert!(usual.files[1].text.contains("\nExecStart=\"/opt/my apps/100%%/m365-cached\"\n"), "{}", usual.files[1].text);
        let other = facts(Some("/home/ada/$x"));
        let work = manager(&other);
        assert!(work.files[0].text.contains("\nListenStream=/home/ada/$x/m365-cached.sock\n"));
        let service = &work.files[1].text;
        assert!(service.contains("\nExecStart=\"/opt/my apps/100%%/m365-cached\" --profile \"/home/ada/$$x\"\n"), "{service}");
        for line in ["Requires", "After", "Also"] {
            assert!(service.contains(&format!("\n{line}={}.socket\n", other.name)), "{service}");
        }
        assert!(work.files.iter().all(|file| file.text.starts_with(&format!("# {MARK}\n"))));
    }

    #[test]
    fn places_that_only_a_terminal_names_are_told_to_the_service() {
        let places = vec![("XDG_DATA_HOME", "/srv/50% \"of\" $it".to_owned())];
        let text = service_unit(&Facts { places, ..facts(None) });
        assert!(text.contains("\nEnvironment=\"XDG_DATA_HOME=/srv/50%% \\\"of\\\" $it\"\nExecStart="), "{text}");
        assert!(!service_unit(&facts(None)).contains("\nEnvironment="));
        let text = socket_unit(&Facts { socket_name: "0123456789abcdef.sock".into(), ..facts(None) });
        assert!(text.contains("\nListenStream=%t/m365-cached/0123456789abcdef.sock\n"), "where that profile's clients look: {text}");
    }

    #[test]
    fn units_lie_where_the_manager_looks() {
        let env = |name: &str| (name == "XDG_CONFIG_HOME").then(|| OsString::from("/mine"));
        let (usual, mine) = (PathBuf::from("/home/ada/.config/systemd/user"), PathBuf::from("/mine/systemd/user"));
        let units = |told: &str, env: &dyn Fn(&str) -> Option<OsString>| units_among(told, env, Path::new("/home/ada"));
        let told = "/run/user/1000/systemd/user.control /home/ada/.config/systemd/user /etc/systemd/user";
        assert_eq!(units(told, &env), usual, "the manager does not know of that folder");
        assert_eq!(units("/mine/systemd/user /etc/systemd/user", &env), mine);
        assert_eq!(units("", &env), mine, "nobody says otherwise");
        for told in [told, ""] {
            assert_eq!(units(told, &|_| None), usual);
        }
    }

    /// After an archive a package: what the archive's `install` wrote would start a program that is gone, for ever.
    #[test]
    fn what_hides_a_package_is_told_of_and_goes() {
        let home = tempfile::tempdir().unwrap();
        let (units, packages) = (home.path().join("units"), home.path().join("packages"));
        std::fs::create_dir(&packages).unwrap();
        let facts = Facts { program: "/usr/bin/m365-cached".into(), units, packages: packages.clone(), ..facts(None) };
        let settled = || manager(&facts).settle(&facts).unwrap();
        assert_eq!((settled().files.len(), settled().hiding.len()), (2, 0), "no package has brought any");
        for kind in ["socket", "service"] {
            std::fs::write(packages.join(format!("m365-cached.{kind}")), "").unwrap();
        }
        assert_eq!((settled().files.len(), settled().is_settled().unwrap()), (0, true), "the package's suffice");
        let [socket, service] = <[File; 2]>::try_from(manager(&facts).files).unwrap();
        socket.write().unwrap();
        File { text: format!("# {MARK}\nExecStart=/opt/old"), ..service.clone() }.write().unwrap();
        let hidden = settled();
        assert_eq!((hidden.files.len(), hidden.hiding.len(), hidden.is_settled().unwrap()), (0, 2, false));
        let text = crate::output::View::text(&super::super::report::Status::of(&hidden), crate::output::Paint::OFF);
        assert!(text.contains("hides the one of the package") && !text.contains("missing"), "{text}");
        hidden.uncover().unwrap();
        assert!(!socket.path.exists() && !service.path.exists() && settled().is_settled().unwrap());
        // Somebody's own unit is meant to stand before the package's.
        std::fs::write(&service.path, "[Service]\n").unwrap();
        assert!(settled().is_settled().unwrap() && service.path.exists());
    }

    #[test]
    fn what_it_says_is_read() {
        let socket = "UnitFileState=enabled\nActiveState=active\n".to_owned();
        let service = "ActiveState=active\nMainPID=42\nStatusText=locked: no key\n".to_owned();
        let known = Known { enabled: true, listening: true, running: true, pid: Some(42), says: Some("locked: no key".into()) };
        assert_eq!(read(&[socket, service]), known);
        assert_eq!(read(&[String::new(), "ActiveState=inactive\nMainPID=0\nStatusText=\n".into()]), Known::default());
    }
}
