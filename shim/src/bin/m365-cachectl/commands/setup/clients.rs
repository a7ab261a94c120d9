//! The fifth step: the clients of this machine. Each file is changed as `install` would change it: shown, asked for, with a copy of what it was.

use m365_cached_proto::v1::Fault;

use super::report::{self, Outcome, Part, State};
use super::{ENTRY, Guide, demo};
use crate::agree::UNCONFIRMED;
use crate::commands::install::{self, Client};

impl Guide<'_> {
    /// The clients that start us now, and the exit code: that of the first that could not be set up.
    pub(super) fn clients(&self) -> Result<(Vec<&'static str>, u8), Fault> {
        let name = if self.demo.is_some() { demo::ENTRY } else { ENTRY };
        let output = self.context.output;
        report::begin(output, Part::Clients, &format!("the entry `{name}` in the file in which each client keeps its servers"));
        match self.set_up(name) {
            Ok((outcome, clients, code)) => {
                report::end(output, Part::Clients, &outcome);
                Ok((clients, code))
            }
            Err(fault) => {
                report::failed(output, Part::Clients, &fault);
                Err(fault)
            }
        }
    }

    fn set_up(&self, name: &str) -> Result<(Outcome, Vec<&'static str>, u8), Fault> {
        let args = self.args;
        if args.no_clients {
            return Ok((Outcome::skipped("--no-clients: `m365-cachectl install CLIENT` sets one up"), Vec::new(), 0));
        }
        let chosen: Vec<Client> = if args.client.is_empty() { install::found()? } else { args.client.clone() };
        if chosen.is_empty() {
            let message = "no client was found on this machine: `m365-cachectl install CLIENT` sets one up all the same";
            return Ok((Outcome::skipped(message), Vec::new(), 0));
        }
        // Whoever has named a client has said what is to be done.
        let yes = args.yes || args.all_clients || !args.client.is_empty();
        let (mut details, mut clients, mut changed, mut code) = (Vec::new(), Vec::new(), false, 0);
        for client in chosen {
            match install::settle(self.context, client, name, true, args.dry_run, yes) {
                Ok(done) => {
                    let after = done.after.map(|after| format!("; {after}")).unwrap_or_default();
                    let led = done.led.map(|dir| format!(", which led to the profile `{}`", dir.display())).unwrap_or_default();
                    details.push(format!("{}: {} in `{}`{led}{after}", done.title, done.state.replace('_', " "), done.file.display()));
                    changed |= matches!(done.state, "installed" | "updated");
                    if matches!(done.state, "installed" | "updated" | "unchanged") {
                        clients.push(done.client);
                    }
                }
                // Nobody is there to agree: the others would end so, too.
                Err(fault) if fault.code == UNCONFIRMED => {
                    let hint = "`--yes` agrees, `--client NAME` names one, `--no-clients` leaves them alone";
                    return Err(Fault { hint: hint.into(), ..fault });
                }
                // One client's trouble does not keep the others from being served.
                Err(fault) => {
                    details.push(format!("{}: failed: {}. {}", client.title(), fault.message, fault.hint));
                    code = if code == 0 { fault.exit_code() } else { code };
                }
            }
        }
        let state = match (args.dry_run, changed, clients.is_empty()) {
            _ if code != 0 => State::Failed,
            (true, ..) => State::Would,
            (false, true, _) => State::Done,
            (false, false, false) => State::Unchanged,
            (false, false, true) => State::Skipped,
        };
        let message = if args.dry_run { "set up".to_owned() } else { format!("{} of {} start m365-mcp", clients.len(), details.len()) };
        Ok((Outcome::new(state, message).with(details), clients, code))
    }
}
