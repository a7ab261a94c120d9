//! `setup`: leads from nothing to a cached answer. Six steps; each says what it does before it does it, finds out what stands already, and can be left out.
//!
//! Nothing here is a way of its own to do something: a step calls what the verb of its name does (`config`, `service install`, `login`, `install`, `call`), so
//! that whoever goes on by hand finds the same. A step that fails ends the run with its fault, and the next run goes on there.
//!
//! The demo (`demo.rs`) is the same six steps in a profile of its own with another first one: the tenant is started and writes the settings.

mod account;
mod args;
mod calls;
mod clients;
mod demo;
mod key;
mod loopback;
mod report;
mod settings;

use m365_cached_proto::v1::{Fault, Kind, StatusReply, StatusRequest};

pub(crate) use self::args::Args;
pub(super) use self::demo::ENTRY as DEMO_ENTRY;
use self::report::{Finished, Outcome, Part};
use super::service;
use crate::agree::{DECLINED, agreed};
use crate::context::{Context, promptly};

/// The name of the clients' entry that leads to a person's own profile, as `install` has it.
const ENTRY: &str = "m365";

/// Goes through the steps; the exit code.
pub(super) async fn run(context: &Context, args: Args) -> Result<u8, Fault> {
    if !args.demo {
        return Guide { context, args: &args, demo: None }.walk().await;
    }
    let own = Context { profile: demo::profile(context)?, output: context.output };
    if args.end {
        return demo::end(&own, args.dry_run, args.yes).await;
    }
    let tenant = demo::Tenant::find(&own, args.tenant_program.as_deref()).await?;
    Guide { context: &own, args: &args, demo: Some(tenant) }.walk().await
}

/// One run.
struct Guide<'a> {
    context: &'a Context,
    args: &'a Args,
    demo: Option<demo::Tenant>,
}

impl Guide<'_> {
    async fn walk(mut self) -> Result<u8, Fault> {
        let fresh = self.settings().await?;
        self.key().await?;
        self.service().await?;
        let account = self.sign_in(fresh).await?;
        let (clients, code) = self.clients()?;
        let times = self.call(account.as_deref()).await?;
        let setup = match (self.args.dry_run, times) {
            (true, _) => "dry_run",
            (false, Some(_)) if code == 0 => "complete",
            (false, _) => "incomplete",
        };
        let (asked_ms, cached_ms) = times.unzip();
        let profile = self.context.profile.dir.display().to_string();
        let next = self.next(account.is_some(), &profile);
        self.context.output.show(&Finished { setup, demo: self.demo.is_some(), profile, account, asked_ms, cached_ms, clients, next });
        Ok(code)
    }

    /// What to type afterwards.
    fn next(&self, signed_in: bool, profile: &str) -> Vec<String> {
        let named = if self.context.profile.explicit { format!(" --profile {}", quoted(profile)) } else { String::new() };
        let ctl = |verb: &str| format!("m365-cachectl{named} {verb}");
        let mut next = Vec::new();
        if !signed_in && !self.args.dry_run {
            next.push(ctl("login"));
        }
        next.push(ctl("status"));
        if self.demo.is_some() {
            next.push(ctl("setup --demo --end"));
        }
        next
    }

    /// Says what a step is about to do, does it, says what came of it.
    async fn step<T>(&self, part: Part, what: &str, work: impl Future<Output = Result<(Outcome, T), Fault>>) -> Result<T, Fault> {
        let output = self.context.output;
        report::begin(output, part, what);
        match work.await {
            Ok((outcome, result)) => {
                report::end(output, part, &outcome);
                Ok(result)
            }
            Err(fault) => {
                report::failed(output, part, &fault);
                Err(fault)
            }
        }
    }

    /// Whether a person agrees, or has agreed before. Without a terminal and without `--yes` nobody can.
    fn agrees(&self, question: &str) -> Result<bool, Fault> {
        match agreed(self.context, self.args.yes, question) {
            Ok(()) => Ok(true),
            Err(fault) if fault.code == DECLINED => Ok(false),
            Err(fault) => Err(fault),
        }
    }

    /// How the daemon is; starts it when it does not run.
    async fn status(&self) -> Result<StatusReply, Fault> {
        promptly(self.context.admin().await?.status(StatusRequest::default())).await
    }

    async fn service(&self) -> Result<(), Fault> {
        let work = async {
            if self.demo.is_some() {
                return Ok((Outcome::skipped("a demo has none: a client starts its daemon, and an hour without one ends it"), ()));
            }
            if self.args.no_service {
                return Ok((Outcome::skipped("--no-service: clients start the daemon by themselves"), ()));
            }
            let (manager, there) = match service::offered(self.context)? {
                Ok(offered) => offered,
                Err(why) => {
                    let message = format!("no service manager answers for this user ({why}); clients start the daemon by themselves");
                    return Ok((Outcome::skipped(message), ()));
                }
            };
            if there {
                return Ok((Outcome::unchanged(format!("{manager} looks after the daemon")).with(unseen()), ()));
            }
            // A service does not see this terminal's variables, and would stand there without its key.
            if !self.args.dry_run && self.status().await?.key.is_some_and(|key| key.source == "environment") {
                let message = "the key is in the environment, which a service does not see; clients start the daemon by themselves";
                return Ok((Outcome::skipped(message), ()));
            }
            if self.args.dry_run {
                return Ok((Outcome::would(format!("have {manager} look after the daemon")), ()));
            }
            if !self.agrees(&format!("Have {manager} listen for clients and look after the daemon, from each login on?"))? {
                return Ok((Outcome::skipped("clients start the daemon by themselves"), ()));
            }
            service::set_up(self.context).await?;
            locked(&self.status().await?)?;
            Ok((Outcome::done(format!("{manager} looks after the daemon; `m365-cachectl service uninstall` ends that")).with(unseen()), ()))
        };
        self.step(Part::Service, "who starts the daemon and keeps it running", work).await
    }
}

/// What of this terminal's environment a service does not see, in one line.
fn unseen() -> Vec<String> {
    let names = service::unseen_variables();
    if names.is_empty() {
        return Vec::new();
    }
    let names = names.join(", ");
    vec![format!(
        "it does not see these variables of this terminal: {names}; settings belong into `config.toml`, a proxy into `network.proxy`"
    )]
}

/// Why a daemon cannot do its work, when it cannot.
fn locked(status: &StatusReply) -> Result<(), Fault> {
    match &status.locked {
        Some(fault) => Err(fault.clone()),
        None if status.state == "locked" => {
            Err(Fault::new(Kind::Config, "locked", "the daemon is locked and does not say why", "Run `m365-cachectl doctor`."))
        }
        None => Ok(()),
    }
}

/// A path as a shell takes it.
fn quoted(path: &str) -> String {
    let plain = path.chars().all(|c| c.is_ascii_alphanumeric() || "-_./:@\\".contains(c));
    if plain { path.to_owned() } else { format!("'{path}'") }
}
