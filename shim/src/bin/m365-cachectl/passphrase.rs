//! Passphrases: from a file, a variable or the terminal, never from the command line.
//!
//! What seals and what opens get the same words, and they are made the same here: a line end behind them does not count, since `echo`, an editor
//! and a container's secret put it there unasked, and a daemon that is given them through a pipe reads one line. A variable of several lines is
//! refused rather than cut, which would seal under less than was given. Of a file the first line is promised, and taken.

use std::path::Path;

use m365_cached_proto::v1::{Fault, Kind};

/// What stands below each verb that takes a passphrase.
pub(crate) const HELP: &str = "\
The passphrase is asked for on the terminal. A script puts it into the first line of a file (--passphrase-file) or into the variable
M365_MCP_PASSPHRASE, which holds nothing else; a line end behind it does not count. It is never a word of the command line, which every user of
the machine can read.";

/// The variable that may hold one.
pub(crate) const VARIABLE: &str = "M365_MCP_PASSPHRASE";
/// A passphrase file is no longer.
const LONGEST: usize = 4096;

/// The passphrase. `twice` has a person type it again, where a slip would be found out too late.
pub(crate) fn read(file: Option<&Path>, twice: bool) -> Result<String, Fault> {
    if let Some(path) = file {
        return from_file(path);
    }
    if let Some(given) = std::env::var_os(VARIABLE).filter(|given| !given.is_empty()) {
        return one_line(given.to_str().unwrap_or_default()).ok_or_else(unusable);
    }
    let first = ask("Passphrase: ").ok_or_else(nobody)?;
    if twice && ask("The same again: ").ok_or_else(nobody)? != first {
        return Err(Fault::new(Kind::User, "passphrases_differ", "the two passphrases differ", "Try again."));
    }
    Ok(first)
}

fn from_file(path: &Path) -> Result<String, Fault> {
    let cannot = |why: String| {
        let message = format!("the passphrase file `{}` cannot be used: {why}", path.display());
        Fault::new(Kind::User, "passphrase_file", message, "Its first line is the passphrase, and only you may read it: `chmod 600`.")
    };
    let facts = std::fs::metadata(path).map_err(|error| cannot(error.to_string()))?;
    #[cfg(unix)]
    if facts.is_file() && std::os::unix::fs::PermissionsExt::mode(&facts.permissions()) & 0o077 != 0 {
        return Err(cannot("others may read or write it".into()));
    }
    if facts.len() > LONGEST as u64 {
        return Err(cannot("it is too long".into()));
    }
    let text = std::fs::read_to_string(path).map_err(|error| cannot(error.to_string()))?;
    let line = text.lines().next().and_then(one_line);
    line.ok_or_else(|| cannot("its first line is empty, or has another kind of line end in it".into()))
}

/// The words without the line end behind them; `None` when none are left, or more than one line.
fn one_line(text: &str) -> Option<String> {
    const ENDS: [char; 2] = ['\r', '\n'];
    let words = text.trim_end_matches(ENDS);
    (!words.is_empty() && !words.contains(ENDS)).then(|| words.to_owned())
}

fn unusable() -> Fault {
    let message = format!("the variable `{VARIABLE}` holds no passphrase: it is to be one line of text");
    Fault::new(
        Kind::User,
        "malformed_passphrase",
        message,
        "Give one line, or name a file whose first line it is: `--passphrase-file FILE`.",
    )
}

fn nobody() -> Fault {
    let hint = format!("Give `--passphrase-file FILE`, or the variable `{VARIABLE}`.");
    Fault::new(Kind::User, "no_passphrase", "a passphrase is needed, and there is no terminal to ask for it", hint)
}

/// Asks at the terminal without showing what is typed; `None` when nobody is there.
#[cfg(unix)]
fn ask(question: &str) -> Option<String> {
    use std::io::{IsTerminal as _, Write as _};

    use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

    let (stdin, mut stderr) = (std::io::stdin(), std::io::stderr());
    if !stdin.is_terminal() || !stderr.is_terminal() {
        return None;
    }
    let shown = tcgetattr(&stdin).ok()?;
    let mut hidden = shown.clone();
    hidden.local_modes.remove(LocalModes::ECHO);
    let before = shown.clone();
    let _asking = crate::interrupt::asking(move || {
        // Whoever types next must see it. A terminal that has gone shows nothing.
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Flush, &before);
    });
    // Hidden before it is asked for: somebody types at once.
    tcsetattr(&stdin, OptionalActions::Flush, &hidden).ok()?;
    let mut line = String::new();
    let read = stderr.write_all(question.as_bytes()).and_then(|()| stdin.read_line(&mut line));
    // Whatever was read, the terminal shows again what is typed.
    let _ = tcsetattr(&stdin, OptionalActions::Flush, &shown);
    let _ = stderr.write_all(b"\n");
    read.ok()?;
    one_line(&line)
}

/// Elsewhere it would be shown, so it is not asked for.
#[cfg(not(unix))]
fn ask(_question: &str) -> Option<String> {
    None
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_gives_its_first_line_to_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("words");
        std::fs::write(&path, "five words of no sense\nand more\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(read(Some(&path), true).unwrap(), "five words of no sense");
        for (text, words) in [
            ("words\r", Some("words")),
            ("words\r\nmore", Some("words")),
            (" words ", Some(" words ")),
            ("two\rlines\n", None),
            ("\n", None),
        ] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(read(Some(&path), true).ok().as_deref(), words, "{text:?}");
        }
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert_eq!(read(Some(&path), true).unwrap_err().code, "passphrase_file");
        assert_eq!(read(Some(&dir.path().join("none")), true).unwrap_err().code, "passphrase_file");
    }
}
