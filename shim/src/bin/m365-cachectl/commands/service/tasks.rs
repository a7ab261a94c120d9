//! Windows: a task of this user that runs at logon. Its texts are tested, and it has never been run on Windows.
//!
//! Decision: no service of the service control manager. Such a service needs an administrator, and runs as an account that has neither this user's keys
//! nor files; the daemon belongs to one user, and so does a task. A pipe cannot be kept by anybody but its daemon, so there is no socket to hand over.
//!
//! The task is described in XML (Microsoft's Task Scheduler schema, version 1.2), since the flags of `schtasks /Create` cannot say what is needed: they end a
//! task after 72 hours, neither start nor keep it on batteries, and start it for whoever logs on. `conhost.exe --headless` gives the daemon a console
//! without a window, which nobody can close; without it the scheduler opens one. Rejected: PowerShell with a hidden window, which is shown for a
//! moment and by Windows Terminal for good; and a logon of the type S4U, which has no window and cannot read the user's keys.

use std::path::Path;

use super::files::{File, MARK};
use super::manager::{Call, Facts, Known, Manager};

const TASK: &str = include_str!("../../../../../../packaging/windows/m365-cached.xml");

/// How the scheduler is spoken to, for the user called `user`.
pub(super) fn manager(facts: &Facts, user: &str) -> Manager {
    let call = |words: &[&str]| Call::new(&[&["schtasks"], words].concat());
    let path = Path::new(&facts.log).with_file_name(format!("{}.xml", facts.name));
    let file = path.display().to_string();
    let name = facts.name.as_str();
    let run = call(&["/Run", "/TN", name]);
    Manager {
        kind: "task scheduler",
        name: name.to_owned(),
        files: vec![File { path, text: task(facts, user) }],
        hiding: Vec::new(),
        optional: Vec::new(),
        ask: call(&["/Query", "/FO", "LIST"]),
        begin: vec![call(&["/Create", "/TN", name, "/XML", &file, "/F"]), run.clone()],
        halt: vec![call(&["/End", "/TN", name])],
        resume: vec![run],
        end: vec![call(&["/End", "/TN", name]), call(&["/Delete", "/TN", name, "/F"])],
        release: Vec::new(),
        forget: Vec::new(),
        unconfinable: None,
        state: vec![call(&["/Query", "/TN", name, "/FO", "CSV", "/NH"])],
        read,
        journal: None,
    }
}

/// This user as the scheduler knows it: `DOMAIN\name`.
pub(super) fn user(env: &dyn Fn(&str) -> Option<std::ffi::OsString>) -> String {
    let said = |name: &str| env(name).and_then(|value| value.into_string().ok()).filter(|value| !value.is_empty());
    let name = said("USERNAME").unwrap_or_default();
    said("USERDOMAIN").map_or_else(|| name.clone(), |domain| format!("{domain}\\{name}"))
}

fn task(facts: &Facts, user: &str) -> String {
    let words: Vec<String> = facts.words().into_iter().map(quoted).collect();
    let text = TASK.replace("@USER@", &escaped(user)).replace("@WORDS@", &escaped(&words.join(" ")));
    // The XML declaration has to be the first line.
    text.replacen("?>\n", &format!("?>\n<!-- {MARK} -->\n"), 1)
}

/// A word as Windows' programs take their command line apart: what ends in `\` would swallow the quote.
fn quoted(word: &str) -> String {
    let slashes = word.len() - word.trim_end_matches('\\').len();
    format!("\"{word}{}\"", "\\".repeat(slashes))
}

/// In ASCII alone: then it is the same text in every encoding that `schtasks` may take the file for.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            letter if letter.is_ascii() => out.push(letter),
            letter => out.push_str(&format!("&#x{:x};", u32::from(letter))),
        }
    }
    out
}

/// `"\m365-cached","N/A","Running"`: the words are the system's language, so that only English ones tell whether it runs.
fn read(said: &[String]) -> Known {
    let text = said.first().map(|text| text.trim()).unwrap_or_default();
    Known { enabled: !text.is_empty(), running: text.ends_with("\"Running\""), ..Known::default() }
}

#[cfg(test)]
mod tests {
    use super::super::manager::facts;
    use super::*;

    #[test]
    fn the_task_starts_this_program_for_this_profile_and_this_user() {
        let manager = manager(&facts(Some(r"C:\Users\ada\Mail & Mehr\")), "CONTOSO\\ad\u{e4}");
        let text = &manager.files[0].text;
        let words = r#"--headless "/opt/my apps/100%/m365-cached" "--profile" "C:\Users\ada\Mail &amp; Mehr\\""#;
        assert!(text.contains(&format!("<Arguments>{words}</Arguments>")), "{text}");
        assert!(text.is_ascii() && text.starts_with("<?xml") && text.contains(MARK) && !text.contains('@'), "{text}");
        let create = manager.begin[0].to_string();
        assert!(create.starts_with("schtasks /Create /TN m365-cached-") && create.contains("/XML"), "{create}");
        let known = Known { enabled: true, running: true, ..Known::default() };
        assert_eq!(read(&["\"\\m365-cached\",\"N/A\",\"Running\"\r\n".into()]), known);
        assert_eq!(read(&[String::new()]), Known::default());
    }

    /// What a plain `schtasks /Create` would have otherwise.
    #[test]
    fn it_is_this_users_alone_and_goes_on_for_as_long_as_it_likes() {
        let env = |name: &str| {
            [("USERNAME", "ad\u{e4}"), ("USERDOMAIN", "CONTOSO")].iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
        };
        let text = task(&facts(None), &user(&env));
        assert_eq!(text.matches(r"<UserId>CONTOSO\ad&#xe4;</UserId>").count(), 2, "the trigger's and the principal's: {text}");
        for line in [
            "<ExecutionTimeLimit>PT0S</ExecutionTimeLimit>",
            "<DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>",
            "<StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>",
            "<RunLevel>LeastPrivilege</RunLevel>",
            "<LogonType>InteractiveToken</LogonType>",
            r"<Command>%SystemRoot%\System32\conhost.exe</Command>",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
        assert_eq!(user(&|name| (name == "USERNAME").then(|| "ada".into())), "ada");
    }
}
