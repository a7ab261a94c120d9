//! The entries of clients that start us.

use super::Check;
use crate::commands::install::{self, Entered};

/// One check for each client whose entry is not well; one for all when none is.
pub(super) fn checks() -> Vec<Check> {
    match install::entered() {
        Ok(entered) => judged(&entered),
        Err(fault) => vec![Check::skipped("clients", fault.message)],
    }
}

fn judged(entered: &[Entered]) -> Vec<Check> {
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
        let ours: Vec<&str> = entered.iter().filter(|one| one.state == "installed").map(|one| one.client).collect();
        checks.push(match ours.as_slice() {
            [] => Check::ok("clients", "no client is set up yet: `m365-cachectl install --list`"),
            ours => Check::ok("clients", format!("set up: {}", ours.join(", "))),
        });
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
        let code = |state| judged(&[entered(state)])[0].code.clone();
        assert_eq!(code("unreadable").as_deref(), Some("client_file_unreadable"));
        assert_eq!(code("gone").as_deref(), Some("client_program_gone"));
        assert_eq!(code("other_program").as_deref(), Some("client_other_program"));
        assert_eq!(judged(&[entered("installed"), entered("not_installed")]), [Check::ok("clients", "set up: cursor")]);
        assert_eq!(judged(&[])[0].state, "ok");
    }
}
