//! Whose program an entry starts: ours, or that of the project whose tools these are, which is called `m365-mcp` as well.
//!
//! The name of the file is not enough: what is taken for ours is taken out by `uninstall`, and keeps its arguments at `install`. So the file itself is
//! looked at, and only where it says nothing is the program asked for its version, within a moment. The original knows no `--version` and ends at once.

use std::ffi::OsString;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::entry;

/// Somebody else's program takes as long as it likes; Python starts within this.
const PATIENCE: Duration = Duration::from_secs(3);
/// The words that `m365-mcp` takes, each with a value.
const WORDS: [&str; 3] = ["--profile", "--tools", "--policy"];

/// What an entry starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Starts {
    Ours,
    /// Ours by name and words; the program is not there.
    Gone,
    Another,
}

impl Starts {
    /// What `entry` starts, by the environment `env`.
    pub(super) fn of(entry: &Value, env: &dyn Fn(&str) -> Option<OsString>) -> Self {
        let Some(command) = entry["command"].as_str().filter(|command| named(command)) else { return Self::Another };
        let Some(file) = found(command, env) else {
            return if own_words(entry) { Self::Gone } else { Self::Another };
        };
        match ours(&file, env) || says_so(&file) {
            true => Self::Ours,
            false => Self::Another,
        }
    }

    /// As [`Starts::of`], by the environment of this program.
    pub(super) fn here(entry: &Value) -> Self {
        Self::of(entry, &|name| std::env::var_os(name))
    }

    /// Whether the entry is ours to change and to take out.
    pub(super) fn is_ours(self) -> bool {
        self != Self::Another
    }
}

/// Both separators: a file may come from another system.
fn named(command: &str) -> bool {
    let file = command.rsplit(['/', '\\']).next().unwrap_or_default();
    file == "m365-mcp" || file.eq_ignore_ascii_case("m365-mcp.exe")
}

/// The file that is started; a bare name is looked for on PATH, as a client does.
fn found(command: &str, env: &dyn Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let path = Path::new(command);
    if path.components().count() > 1 {
        return path.is_file().then(|| path.to_owned());
    }
    let dirs = env("PATH").unwrap_or_default();
    std::env::split_paths(&dirs).filter(|dir| dir.is_absolute()).map(|dir| dir.join(path)).find(|file| file.is_file())
}

/// Whether it is the file of our program, or has our daemon beside it.
fn ours(file: &Path, env: &dyn Fn(&str) -> Option<OsString>) -> bool {
    let whole = file.canonicalize().ok();
    let daemon = format!("m365-cached{}", std::env::consts::EXE_SUFFIX);
    let beside = |file: &Path| file.with_file_name(&daemon).is_file();
    let same = || entry::shim(env).ok().and_then(|shim| Path::new(&shim).canonicalize().ok()) == whole;
    whole.as_deref().is_some_and(beside) || beside(file) || (whole.is_some() && same())
}

/// Whether every word is one that ours takes.
fn own_words(entry: &Value) -> bool {
    let Some(words) = entry["args"].as_array() else { return entry["args"].is_null() };
    let mut words = words.iter().map(|word| word.as_str().unwrap_or_default());
    while let Some(word) = words.next() {
        let known = match word.split_once('=') {
            Some((name, _)) => WORDS.contains(&name),
            None => WORDS.contains(&word) && words.next().is_some(),
        };
        if !known {
            return false;
        }
    }
    true
}

/// Whether the program says `m365-mcp 1.2.3` when it is asked for its version.
fn says_so(file: &Path) -> bool {
    let child = Command::new(file).arg("--version").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let Ok(mut child) = child else { return false };
    let Some(stdout) = child.stdout.take() else { return false };
    let (tell, told) = mpsc::channel();
    // Left reading where a child of the child holds the pipe open: this program ends soon.
    thread::spawn(move || {
        let mut said = String::new();
        // What is no text is not ours.
        let _ = stdout.take(256).read_to_string(&mut said);
        tell.send(said)
    });
    let said = told.recv_timeout(PATIENCE).unwrap_or_default();
    // One that has ended is not there to be killed.
    let _ = child.kill();
    let _ = child.wait();
    said.strip_prefix("m365-mcp ").is_some_and(|version| version.starts_with(|first: char| first.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn none(_: &str) -> Option<OsString> {
        None
    }

    #[test]
    fn what_is_not_called_so_is_another() {
        for other in
            [json!({"command": "uvx", "args": ["m365-mcp"]}), json!({"url": "https://example.com"}), json!(null), json!("m365-mcp")]
        {
            assert_eq!(Starts::of(&other, &none), Starts::Another, "{other}");
        }
    }

    #[test]
    fn a_program_that_is_gone_was_ours_by_its_words() {
        let gone = |args: Value| Starts::of(&json!({"command": "/nonexistent/m365-mcp", "args": args}), &none);
        for args in [json!(null), json!([]), json!(["--tools", "mail"]), json!(["--policy=a", "--profile", "/p"])] {
            assert_eq!(gone(args.clone()), Starts::Gone, "{args}");
        }
        for args in [json!(["--env-file", "/home/ada/.env"]), json!(["--tools"]), json!("--tools mail"), json!([7])] {
            assert_eq!(gone(args.clone()), Starts::Another, "{args}");
        }
        for command in ["m365-mcp", r"C:\Programs\m365-mcp.EXE"] {
            assert_eq!(Starts::of(&json!({"command": command}), &none), Starts::Gone, "{command}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_program_of_our_name_is_looked_at_and_asked() {
        use std::os::unix::fs::PermissionsExt as _;
        let home = tempfile::tempdir().unwrap();
        let program = |folder: &str, text: &str| {
            let file = home.path().join(folder).join("m365-mcp");
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(&file, text).unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
            file
        };
        let starts = |file: &Path| Starts::of(&json!({"command": file}), &none);
        let another = program("pipx", "#!/bin/sh\necho 'error: unrecognized arguments: --version' >&2\nexit 2\n");
        assert_eq!(starts(&another), Starts::Another);
        assert_eq!(starts(&program("own", "#!/bin/sh\necho m365-mcp 9.9.9\n")), Starts::Ours);
        assert_eq!(starts(&program("server", "#!/bin/sh\necho m365-mcp server ready\n")), Starts::Another);
        std::fs::write(another.with_file_name("m365-cached"), "").unwrap();
        assert_eq!(starts(&another), Starts::Ours, "our daemon lies beside it");
        let link = home.path().join("m365-mcp");
        std::os::unix::fs::symlink(&another, &link).unwrap();
        assert_eq!(starts(&link), Starts::Ours);
        let path = home.path().join("own").into_os_string();
        assert_eq!(Starts::of(&json!({"command": "m365-mcp"}), &|name| (name == "PATH").then(|| path.clone())), Starts::Ours);
    }
}
