//! The entries of clients that start us.

use super::Check;
use crate::commands::install::{self, Entered};
use crate::commands::setup::DEMO_ENTRY;

/// One check for each client whose entry is not well; one for all when none is.
pub(super) fn checks() -> Vec<Check> {
    // A demo's entry goes with the demo: it is told, and not judged.
    let both = install::entered().and_then(|entered| Ok((entered, install::entered_as(DEMO_ENTRY)?)));
    match both {
        Ok((entered, demo)) => judged(&entered, &demo),
        Err(fault) => vec![Check::skipped("clients", fault.message)],
    }
}

fn judged(entered: &[Entered], demo: &[Entered]) -> Vec<Check> {
    let mut checks = Vec::new();
    for Entered { client, state, file, command, trouble } in entered {
        let file = file.display();
        let (code, message, hint) = match *state {
            "unreadable" => {
                let why = trouble.as_deref().unwrap_or_default();
                let hint = format!("correct it there; `m365-cachectl install {client} --print` shows our entry");
                ("client_file_unreadable", format!("The list of servers of {client}, `{file}`, cannot be read: {why}."), hint)
            }
            "gone" => {
                let command = command.as_deref().unwrap_or_default();
                (
                    "client_program_gone",
                    format!("{client} starts `{command}`, which is not there."),
                    format!("`m365-cachectl install {client}`"),
                )
            }
            "other_program" => {
                let command = command.as_deref().unwrap_or_default();
                let message = format!("{client} starts another program under our name: `{command}`.");
                ("client_other_program", message, format!("`m365-cachectl install {client}` puts ours in its place"))
            }
            _ => continue,
        };
        checks.push(Check::warning("clients", code, message, hint));
    }
    if checks.is_empty() {
        let installed =
            |entered: &[Entered]| -> Vec<&str> { entered.iter().filter(|one| one.state == "installed").map(|one| one.client).collect() };
        let mut message = match installed(entered).as_slice() {
            [] => "no client is set up yet: `m365-cachectl install --list`".to_owned(),
            ours => format!("set up: {}", ours.join(", ")),
        };
        if let demo @ [_, ..] = installed(demo).as_slice() {
            message.push_str(&format!("; for the demo (`{DEMO_ENTRY}`): {}", demo.join(", ")));
        }
        checks.push(Check::ok("clients", message));
    }
    checks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_client_is_told_and_nothing_else() {
        let entered =
            |state| Entered { client: "cursor", state, file: "/f".into(), command: Some("/x/m365-mcp".into()), trouble: Some("t".into()) };
        let code = |state| judged(&[entered(state)], &[])[0].code.clone();
        assert_eq!(code("unreadable").as_deref(), Some("client_file_unreadable"));
        assert_eq!(code("gone").as_deref(), Some("client_program_gone"));
        assert_eq!(code("other_program").as_deref(), Some("client_other_program"));
        assert_eq!(judged(&[entered("installed"), entered("not_installed")], &[]), [Check::ok("clients", "set up: cursor")]);
        assert_eq!(judged(&[], &[])[0].state, "ok");
        let told = judged(&[], &[entered("installed")]).remove(0).message;
        assert!(told.starts_with("no client is set up yet") && told.ends_with("; for the demo (`m365-demo`): cursor"), "{told}");
    }
}
