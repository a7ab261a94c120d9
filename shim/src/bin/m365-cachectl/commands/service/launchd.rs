//! launchd: an agent of this user, whose plist names the socket. Its texts are tested, and it has never been run on a Mac.

use super::files::{File, MARK};
use super::manager::{Call, Facts, Known, Manager};

const PLIST: &str = include_str!("../../../../../../packaging/launchd/m365-cached.plist");

/// How it is spoken to, by the user with this id.
pub(super) fn manager(facts: &Facts, uid: u32) -> Manager {
    let label = format!("io.github.{}", facts.name);
    let path = facts.home.join("Library/LaunchAgents").join(format!("{label}.plist"));
    let (domain, target) = (format!("gui/{uid}"), format!("gui/{uid}/{label}"));
    let call = |words: &[&str]| Call::new(&[&["launchctl"], words].concat());
    let file = path.display().to_string();
    Manager {
        kind: "launchd",
        files: vec![File { path, text: plist(facts, &label) }],
        hiding: Vec::new(),
        optional: Vec::new(),
        ask: call(&["print", &domain]),
        begin: vec![call(&["bootstrap", &domain, &file])],
        halt: vec![call(&["bootout", &target])],
        resume: vec![call(&["bootstrap", &domain, &file])],
        end: vec![call(&["bootout", &target])],
        release: Vec::new(),
        forget: Vec::new(),
        unconfinable: None,
        state: vec![call(&["print", &target])],
        read,
        journal: None,
        name: label,
    }
}

fn plist(facts: &Facts, label: &str) -> String {
    let words: Vec<String> = facts.words().into_iter().map(|word| format!("\t\t<string>{}</string>", escaped(word))).collect();
    let text = PLIST
        .replace("@LABEL@", &escaped(label))
        .replace("@WORDS@", &words.join("\n"))
        .replace("@SOCKET@", &escaped(&facts.socket))
        .replace("@LOG@", &escaped(&facts.log));
    // The XML declaration has to be the first line.
    text.replacen("?>\n", &format!("?>\n<!-- {MARK} -->\n"), 1)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn read(said: &[String]) -> Known {
    let text = said.first().map(String::as_str).unwrap_or_default();
    let field = |name: &str| text.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(" = "));
    let known = !text.is_empty();
    let pid = field("pid").and_then(|pid| pid.parse().ok());
    Known { enabled: known, listening: known, running: pid.is_some(), pid, says: None }
}

#[cfg(test)]
mod tests {
    use super::super::manager::facts;
    use super::*;

    #[test]
    fn the_agent_names_program_profile_and_socket() {
        let facts = facts(Some("/Users/ada/R&D"));
        let manager = manager(&facts, 501);
        let text = &manager.files[0].text;
        assert!(text.starts_with(&format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- {MARK} -->\n")));
        for part in ["<string>/opt/my apps/100%/m365-cached</string>", "<string>--profile</string>", "<string>/Users/ada/R&amp;D</string>"]
        {
            assert!(text.contains(part), "{text}");
        }
        assert!(text.contains("<string>/Users/ada/R&amp;D/m365-cached.sock</string>") && !text.contains('@'), "{text}");
        assert_eq!(manager.begin[0].0[..3], ["launchctl", "bootstrap", "gui/501"]);
    }

    #[test]
    fn what_it_says_is_read() {
        let text = "gui/501/io.github.m365-cached = {\n\tstate = running\n\tpid = 77\n}\n".to_owned();
        assert_eq!(read(&[text]), Known { enabled: true, listening: true, running: true, pid: Some(77), says: None });
        assert_eq!(read(&[String::new()]), Known::default());
    }
}
