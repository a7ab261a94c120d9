//! The entries of clients that start us.

use super::Check;
use crate::commands::install::{self, Entered};
use crate::commands::setup::DEMO_ENTRY;

/// One check for each entry that is not well; one for all when none is.
pub(super) fn checks() -> Vec<Check> {
    match install::entered() {
        Ok(entered) => judged(&entered),
        Err(fault) => vec![Check::skipped("clients", fault.message)],
    }
}

fn judged(entered: &[Entered]) -> Vec<Check> {
    // A demo's entry goes with the demo: it is told, and not judged.
    let (demo, own): (Vec<&Entered>, Vec<&Entered>) = entered.iter().partition(|one| one.entry == DEMO_ENTRY);
    let mut checks = Vec::new();
    for one in &own {
        let Entered { client, entry, state, file, command, trouble } = one;
        let file = file.display();
        let named = if one.is_named_as_usual() { String::new() } else { format!(" --name {entry}") };
        let (code, message, hint) = match *state {
            "unreadable" => {
                let why = trouble.as_deref().unwrap_or_default();
                let hint = format!("Correct it there; `m365-cachectl install {client} --print` shows our entry.");
                ("client_file_unreadable", format!("the list of servers of {client}, `{file}`, cannot be read: {why}"), hint)
            }
            "gone" => {
                let command = command.as_deref().unwrap_or_default();
                let message = format!("{client} starts `{command}`, which is not there, by its entry `{entry}`");
                ("client_program_gone", message, format!("Run `m365-cachectl install {client}{named}`."))
            }
            "other_program" => {
                let command = command.as_deref().unwrap_or_default();
                let message = format!("{client} starts another program under our name: `{command}`");
                ("client_other_program", message, format!("`m365-cachectl install {client}` puts ours in its place."))
            }
            _ => continue,
        };
        checks.push(Check::warning("clients", code, message, hint));
    }
    if checks.is_empty() {
        let mut message = match installed(&own).as_slice() {
            [] => "no client is set up yet: `m365-cachectl install --list`".to_owned(),
            ours => format!("set up: {}", ours.join(", ")),
        };
        if let demo @ [_, ..] = installed(&demo).as_slice() {
            message.push_str(&format!("; for the demo (`{DEMO_ENTRY}`): {}", demo.join(", ")));
        }
        checks.push(Check::ok("clients", message));
    }
    checks
}

fn installed(entered: &[&Entered]) -> Vec<String> {
    let told = |one: &&Entered| match one.is_named_as_usual() || one.entry == DEMO_ENTRY {
        true => one.client.to_owned(),
        false => format!("{} (as `{}`)", one.client, one.entry),
    };
    entered.iter().filter(|one| one.state == "installed").map(told).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entered(entry: &str, state: &'static str) -> Entered {
        let (file, command) = ("/f".into(), Some("/x/m365-mcp".into()));
        Entered { client: "cursor", entry: entry.into(), state, file, command, trouble: Some("t".into()) }
    }

    #[test]
    fn what_is_wrong_with_a_client_is_told_and_nothing_else() {
        let code = |state| judged(&[entered("m365", state)])[0].code.clone();
        assert_eq!(code("unreadable").as_deref(), Some("client_file_unreadable"));
        assert_eq!(code("gone").as_deref(), Some("client_program_gone"));
        assert_eq!(code("other_program").as_deref(), Some("client_other_program"));
        assert_eq!(judged(&[entered("m365", "installed"), entered("m365", "not_installed")]), [Check::ok("clients", "set up: cursor")]);
        assert_eq!(judged(&[])[0].state, "ok");
        let told = judged(&[entered("m365-demo", "installed")]).remove(0).message;
        assert!(told.starts_with("no client is set up yet") && told.ends_with("; for the demo (`m365-demo`): cursor"), "{told}");
    }

    #[test]
    fn an_entry_by_another_name_counts_and_is_told_when_its_program_is_gone() {
        let both = [entered("m365", "not_installed"), entered("microsoft", "installed")];
        assert_eq!(judged(&both), [Check::ok("clients", "set up: cursor (as `microsoft`)")]);
        let gone = judged(&[entered("m365", "installed"), entered("microsoft", "gone")]).remove(0);
        assert_eq!(gone.code.as_deref(), Some("client_program_gone"));
        assert_eq!(gone.hint.as_deref(), Some("Run `m365-cachectl install cursor --name microsoft`."));
    }
}
