//! The service manager of this system: what it is given, what it is told, what it answers.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use m365_cached_proto::dirs::Profile;
use m365_cached_proto::v1::{Fault, Kind};

use super::args::Logs;
use super::files::{File, State};
use super::{launchd, systemd, tasks};

/// Variables that say where a profile lies that was not named, and what they stand for without being set, below the home.
const PLACES: [(&str, &str); 2] = [("XDG_CONFIG_HOME", ".config"), ("XDG_DATA_HOME", ".local/share")];

/// What units are made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    /// The daemon's program, as an absolute path.
    pub(super) program: String,
    /// The folder of a profile that was named; `None` for the one in the system's places.
    pub(super) profile: Option<String>,
    /// Where clients look.
    pub(super) socket: String,
    /// What that is called in the folder for run-time files, which the manager knows better than a session that lacks one.
    pub(super) socket_name: String,
    /// Where a daemon without a journal writes.
    pub(super) log: String,
    /// `m365-cached`, and for a profile that was named its folder's name and mark behind it.
    pub(super) name: String,
    /// Where the manager looks for units of this user's.
    pub(super) units: PathBuf,
    /// Where it looks for those that packages bring.
    pub(super) packages: PathBuf,
    /// Variables by which this environment names places that are not the usual ones, and which the manager's own lacks.
    pub(super) places: Vec<(&'static str, String)>,
    /// This user's home.
    pub(super) home: PathBuf,
}

impl Facts {
    /// Those of this environment, `env`, for the user whose home is `home`.
    pub(super) fn new(program: PathBuf, profile: &Profile, env: &dyn Fn(&str) -> Option<OsString>, home: PathBuf) -> Result<Self, Fault> {
        let text = |path: PathBuf| {
            let plain = path.to_str().filter(|text| !text.chars().any(char::is_control)).map(str::to_owned);
            plain.ok_or_else(|| {
                let message = format!("the path `{}` cannot be written into a unit", path.display());
                Fault::new(Kind::User, "strange_path", message, "Use a folder whose name is plain text.")
            })
        };
        let dir = profile.explicit.then(|| text(profile.dir.clone())).transpose()?;
        let name = dir.as_ref().map_or_else(|| "m365-cached".to_owned(), |dir| format!("m365-cached-{}-{:08x}", slug(dir), mark(dir)));
        let (socket, log) = (text(profile.socket().to_owned())?, text(profile.log_file())?);
        let mut places = Vec::new();
        for (variable, usual) in PLACES {
            let named = env(variable).map(PathBuf::from).filter(|dir| dir.is_absolute() && *dir != home.join(usual));
            // One profile in one folder has no other places.
            if let Some(named) = named.filter(|_| dir.is_none()) {
                places.push((variable, text(named)?));
            }
        }
        let units = if cfg!(target_os = "linux") { systemd::units(env, &home) } else { PathBuf::new() };
        Ok(Self {
            program: text(program)?,
            profile: dir,
            socket,
            socket_name: profile.socket_name(),
            log,
            name,
            units,
            packages: systemd::PACKAGES.into(),
            places,
            home,
        })
    }

    /// The daemon's command line.
    pub(super) fn words(&self) -> Vec<&str> {
        let mut words = vec![self.program.as_str()];
        if let Some(dir) = &self.profile {
            words.extend(["--profile", dir]);
        }
        words
    }
}

/// The last part of a folder's path, in letters that units may be called by.
fn slug(dir: &str) -> String {
    let last = dir.rsplit(['/', '\\']).find(|part| !part.is_empty()).unwrap_or_default();
    let mut slug: String = last.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).take(24).collect();
    slug.truncate(slug.trim_end_matches('-').len());
    let slug = slug.trim_start_matches('-');
    if slug.is_empty() { "profile".to_owned() } else { slug.to_owned() }
}

/// FNV-1a: tells folders of one name apart, keeps no secret, and must stay the same in every version.
fn mark(dir: &str) -> u32 {
    dir.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// A command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Call(pub(super) Vec<String>);

impl Call {
    pub(super) fn new(words: &[&str]) -> Self {
        Self(words.iter().map(ToString::to_string).collect())
    }

    /// Runs it; what it printed, or why it failed.
    pub(super) fn run(&self) -> Result<String, String> {
        let (program, words) = self.0.split_first().ok_or("an empty command")?;
        let done = Command::new(program).args(words).stdin(Stdio::null()).output().map_err(|error| format!("`{program}`: {error}"))?;
        let said = String::from_utf8_lossy(&done.stdout).into_owned();
        if done.status.success() {
            return Ok(said);
        }
        let why = String::from_utf8_lossy(&done.stderr);
        Err(why.lines().chain(said.lines()).map(str::trim).find(|line| !line.is_empty()).unwrap_or("it does not say why").to_owned())
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = |word: &String| {
            let plain = word.chars().all(|c| c.is_ascii_alphanumeric() || "-_./:=@\\".contains(c));
            if plain { word.clone() } else { format!("'{word}'") }
        };
        f.write_str(&self.0.iter().map(quoted).collect::<Vec<_>>().join(" "))
    }
}

/// What a manager knows of the service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Known {
    /// It begins with each login.
    pub(super) enabled: bool,
    /// The manager keeps the socket.
    pub(super) listening: bool,
    pub(super) running: bool,
    pub(super) pid: Option<u32>,
    /// The daemon's own words.
    pub(super) says: Option<String>,
}

/// How one manager is spoken to.
#[derive(Debug, Clone)]
pub(super) struct Manager {
    /// `systemd`, `launchd`, `task scheduler`.
    pub(super) kind: &'static str,
    /// What it calls the service.
    pub(super) name: String,
    pub(super) files: Vec<File>,
    /// Files of ours that hide what a package brings; they go.
    pub(super) hiding: Vec<File>,
    /// What is written only where a start without it fails.
    pub(super) optional: Vec<File>,
    /// Whether it answers at all.
    pub(super) ask: Call,
    /// Makes it read the files and starts the service, now and at each login.
    pub(super) begin: Vec<Call>,
    /// Ends the service until it is started again; none of these has to succeed.
    pub(super) halt: Vec<Call>,
    /// Starts again what was halted.
    pub(super) resume: Vec<Call>,
    /// Ends it for good, before the files go.
    pub(super) end: Vec<Call>,
    /// Has it no longer begin with each login.
    pub(super) release: Vec<Call>,
    /// Makes the manager forget it, once they have gone.
    pub(super) forget: Vec<Call>,
    /// Prints how the last start ended, and the codes that say that the system does not grant what the files ask for.
    pub(super) unconfinable: Option<(Call, [&'static str; 3])>,
    /// Prints its state.
    pub(super) state: Vec<Call>,
    /// Reads what `state` has printed, one text for each call; an empty one where it failed.
    pub(super) read: fn(&[String]) -> Known,
    /// What its log is read with; `None` for a file.
    pub(super) journal: Option<Call>,
}

impl Manager {
    /// The one of this system.
    pub(super) fn here(facts: &Facts) -> Self {
        if cfg!(target_os = "macos") {
            launchd::manager(facts, uid())
        } else if cfg!(windows) {
            tasks::manager(facts, &tasks::user(&|name| std::env::var_os(name)))
        } else {
            systemd::manager(facts)
        }
    }

    /// Leaves the files to the package that has brought them. Those that an earlier `install` wrote would hide them for ever.
    pub(super) fn settle(mut self, facts: &Facts) -> Result<Self, Fault> {
        if self.kind == systemd::KIND && systemd::packaged(facts) {
            for file in std::mem::take(&mut self.files) {
                if matches!(file.state()?, State::Same | State::Ours) {
                    self.hiding.push(file);
                }
            }
        }
        Ok(self)
    }

    /// What it should have been given.
    pub(super) fn is_settled(&self) -> Result<bool, Fault> {
        let states: Vec<State> = self.files.iter().map(File::state).collect::<Result<_, _>>()?;
        Ok(self.hiding.is_empty() && states.iter().all(|state| *state == State::Same))
    }

    /// Removes what hides a package's files.
    pub(super) fn uncover(&self) -> Result<(), Fault> {
        if self.hiding.is_empty() {
            return Ok(());
        }
        for call in &self.release {
            // Links to what goes would be in the way of those to what comes.
            let _ = call.run();
        }
        self.hiding.iter().try_for_each(File::remove)
    }

    /// Whether the last start failed because the system does not grant what the files ask for, and the optional ones ask for less.
    pub(super) fn asks_too_much(&self) -> bool {
        let Some((call, codes)) = &self.unconfinable else { return false };
        call.run().is_ok_and(|code| codes.contains(&code.trim()))
    }

    /// Whether it does its work for this user; why not.
    pub(super) fn answers(&self) -> Result<(), String> {
        self.ask.run().map(drop)
    }

    pub(super) fn known(&self) -> bool {
        let known = self.looks();
        known.enabled || known.listening || known.running
    }

    pub(super) fn runs(&self) -> bool {
        let known = self.looks();
        known.listening || known.running
    }

    /// What it knows now.
    pub(super) fn looks(&self) -> Known {
        let said: Vec<String> = self.state.iter().map(|call| call.run().unwrap_or_default()).collect();
        (self.read)(&said)
    }

    pub(super) fn halt(&self) {
        for call in &self.halt {
            // One that does not run need not be ended.
            let _ = call.run();
        }
    }

    pub(super) fn resume(&self) {
        for call in &self.resume {
            // Whoever connects next sees that it is not there, and starts a daemon without it.
            let _ = call.run();
        }
    }

    /// Starts it; the commands that did.
    pub(super) fn begin(&self) -> Result<Vec<String>, Fault> {
        for call in &self.begin {
            call.run().map_err(|why| {
                let message = format!("`{call}` failed: {why}");
                Fault::new(Kind::Config, "manager_refused", message, "`m365-cachectl service logs` shows what the daemon said.")
            })?;
        }
        Ok(self.begin.iter().map(ToString::to_string).collect())
    }

    /// Ends it; the commands that did.
    pub(super) fn end(&self) -> Vec<String> {
        // A manager that does not answer runs nothing; the files go all the same.
        self.end.iter().filter(|call| call.run().is_ok()).map(ToString::to_string).collect()
    }

    pub(super) fn forget(&self) {
        for call in &self.forget {
            let _ = call.run();
        }
    }

    /// Shows the log; the exit code.
    pub(super) fn logs(&self, args: &Logs, profile: &Profile, json: bool) -> Result<u8, Fault> {
        let lines = args.lines.to_string();
        if let Some(journal) = self.journal.as_ref().filter(|_| self.known()) {
            let (program, words) = journal.0.split_first().map_or(("journalctl", &[][..]), |(program, words)| (program.as_str(), words));
            let mut command = Command::new(program);
            command.args(words).args(["--lines", &lines]);
            if args.follow {
                command.arg("--follow");
            }
            if json {
                command.args(["--output", "json"]);
            }
            let done = command.status().map_err(|error| {
                let message = format!("the journal cannot be read: `{program}`: {error}");
                Fault::new(Kind::Config, "no_journal", message, format!("Run `{journal}`."))
            })?;
            return Ok(u8::from(!done.success()));
        }
        if args.follow {
            let message = "there is no journal of a service to follow here";
            return Err(Fault::new(Kind::User, "no_journal", message, "`m365-cachectl logs -f` follows the daemon's own log."));
        }
        let file = profile.log_file();
        let text = std::fs::read_to_string(&file).map_err(|error| {
            let message = format!("there is no log of the daemon: `{}`: {error}", file.display());
            Fault::new(Kind::Config, "no_log", message, "`m365-cachectl service status` says whether a service is installed.")
        })?;
        super::report::last_lines(&text, args.lines, json);
        Ok(0)
    }
}

#[cfg(unix)]
fn uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

#[cfg(not(unix))]
fn uid() -> u32 {
    0
}

#[cfg(test)]
pub(super) fn facts(profile: Option<&str>) -> Facts {
    let name = profile.map_or_else(|| "m365-cached".to_owned(), |dir| format!("m365-cached-{}-{:08x}", slug(dir), mark(dir)));
    Facts {
        program: "/opt/my apps/100%/m365-cached".into(),
        profile: profile.map(str::to_owned),
        socket: profile.map_or_else(|| "/run/user/1000/m365-cached/m365-cached.sock".into(), |dir| format!("{dir}/m365-cached.sock")),
        socket_name: "m365-cached.sock".into(),
        log: "/home/ada/.local/share/m365-cached/m365-cached.log".into(),
        name,
        units: "/home/ada/.config/systemd/user".into(),
        packages: "/nonexistent".into(),
        places: Vec::new(),
        home: "/home/ada".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_has_a_service_of_its_own() {
        assert_eq!(facts(None).name, "m365-cached");
        let (one, other) = (facts(Some("/home/ada/work")).name, facts(Some("/srv/work")).name);
        assert!(one.starts_with("m365-cached-work-") && other.starts_with("m365-cached-work-") && one != other, "{one} {other}");
        assert_eq!(slug("/home/ada/My Work (2)/"), "my-work--2");
        assert_eq!(slug("/---"), "profile");
        assert_eq!(slug(r"C:\Users\ada\Mail"), "mail");
        assert!(one.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'));
    }

    #[test]
    fn a_path_that_would_break_a_unit_is_refused() {
        let profile = Profile::at(std::path::Path::new("/tmp/x")).unwrap();
        let made = Facts::new("/opt/a\nExecStartPre=/bin/rm".into(), &profile, &|_| None, "/h".into());
        assert_eq!(made.unwrap_err().code, "strange_path");
    }

    #[test]
    fn places_that_only_this_environment_names_are_told() {
        let folder = |name: &str| PathBuf::from(name);
        let places = |data: &str, usual| m365_cached_proto::dirs::Places {
            config: folder("/c"),
            data: folder(data),
            usual,
            runtime: None,
            short: folder("/s"),
        };
        let elsewhere = Profile::system(&places("/data of mine/m365-cached", false));
        let (plain, named) = (Profile::system(&places("/d", true)), Profile::at(std::path::Path::new("/tmp/x")).unwrap());
        let env = |name: &str| match name {
            "XDG_DATA_HOME" => Some("/data of mine".into()),
            "XDG_CONFIG_HOME" => Some("/h/.config".into()),
            _ => None,
        };
        let places =
            |profile: &Profile, env: &dyn Fn(&str) -> Option<OsString>| Facts::new("/p".into(), profile, env, "/h".into()).unwrap().places;
        assert_eq!(places(&plain, &env), [("XDG_DATA_HOME", "/data of mine".to_owned())], "the usual place needs no word");
        assert_eq!(places(&named, &env), []);
        let name = |profile: &Profile| Facts::new("/p".into(), profile, &env, "/h".into()).unwrap().socket_name;
        assert_eq!(name(&plain), "m365-cached.sock");
        assert_eq!(name(&elsewhere), elsewhere.socket_name());
        assert_eq!(places(&plain, &|name| (name == "XDG_DATA_HOME").then(|| "relative".into())), [], "the daemon does not take it either");
    }

    #[test]
    fn commands_can_be_typed_as_they_are_shown() {
        assert_eq!(Call::new(&["systemctl", "--user", "stop", "a.socket"]).to_string(), "systemctl --user stop a.socket");
        assert_eq!(Call::new(&["x", "a b"]).to_string(), "x 'a b'");
        assert!(Call::new(&["/nonexistent/program"]).run().unwrap_err().contains("/nonexistent/program"));
    }
}
