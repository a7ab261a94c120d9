//! `service`: has the system's service manager look after the daemon: systemd's user manager, launchd, or Windows' task scheduler.
//!
//! `systemd`, `launchd` and `tasks` say what each manager is given and told, as data; `files` writes and removes, and touches only what carries our mark;
//! `manager` talks; `report` shows. All of it is the user's own: nothing here needs rights, and nothing is done for other users.

mod args;
mod files;
mod launchd;
mod manager;
mod report;
mod systemd;
mod tasks;

use m365_cached_proto::dirs::Profile;
use m365_cached_proto::turn::Turn;
use m365_cached_proto::v1::{Fault, Kind, StatusRequest};
use m365_cached_shim::start::{DAEMON_VARIABLE, daemon_program};

pub(crate) use self::args::Verb;
use self::files::{File, State};
use self::manager::{Facts, Manager};
use self::report::{Installed, Printed, Removed, Status};
use super::stop;
use crate::context::{Context, promptly};

/// Does what was asked for and gives the exit code.
pub(super) async fn run(context: &Context, verb: Verb) -> Result<u8, Fault> {
    let facts = facts(&context.profile)?;
    let manager = Manager::here(&facts);
    match verb {
        Verb::Install(args) if args.print => {
            context.output.show(&Printed::of(&manager.settle(&facts)?));
            Ok(0)
        }
        Verb::Install(args) => {
            let (installed, code) = install(context, manager.settle(&facts)?, args.no_start).await?;
            context.output.show(&installed);
            Ok(code)
        }
        Verb::Uninstall => uninstall(context, &manager),
        Verb::Status => {
            let status = Status::of(&manager.settle(&facts)?);
            context.output.show(&status);
            Ok(if status.installed() { 0 } else { 8 })
        }
        Verb::Logs(args) => manager.logs(&args, &context.profile, context.output.json),
    }
}

/// What the manager is told for `profile`.
fn facts(profile: &Profile) -> Result<Facts, Fault> {
    let env = |name: &str| std::env::var_os(name);
    let program = daemon_program(&env).ok_or_else(|| {
        let message = "the program `m365-cached` was found neither beside this one nor on PATH";
        Fault::new(Kind::Config, "daemon_not_found", message, format!("Install it, or name it in {DAEMON_VARIABLE}."))
    })?;
    let home = std::env::home_dir()
        .filter(|home| home.is_absolute())
        .ok_or_else(|| Fault::new(Kind::User, "no_home", "the system names no home directory, where units belong", "Set HOME."))?;
    Facts::new(program, profile, &env, home)
}

/// The manager that `setup` would have look after the daemon: its name, and whether it does so already; an error says why none can.
pub(super) fn offered(context: &Context) -> Result<Result<(&'static str, bool), String>, Fault> {
    let facts = facts(&context.profile)?;
    let manager = Manager::here(&facts).settle(&facts)?;
    if let Err(why) = manager.answers() {
        return Ok(Err(why));
    }
    Ok(Ok((manager.kind, manager.runs() && manager.is_settled()?)))
}

/// As `service install`, for `setup`.
pub(super) async fn set_up(context: &Context) -> Result<(), Fault> {
    let facts = facts(&context.profile)?;
    let manager = Manager::here(&facts).settle(&facts)?;
    install(context, manager, false).await.map(drop)
}

/// Installs it; what came of it, and the exit code.
async fn install(context: &Context, mut manager: Manager, no_start: bool) -> Result<(Installed, u8), Fault> {
    let planned: Vec<State> = manager.files.iter().map(File::state).collect::<Result<_, _>>()?;
    if let Some((file, _)) = manager.files.iter().zip(&planned).find(|(_, state)| **state == State::Foreign) {
        return Err(file.foreign());
    }
    let changed = !manager.is_settled()?;
    let notes = unseen_variables();
    let new = !manager.known();
    if !no_start && !changed && manager.runs() {
        return Ok((Installed::unchanged(&manager, notes), 0));
    }
    manager.uncover()?;
    for file in &manager.files {
        file.write()?;
    }
    if no_start {
        return Ok((Installed::written(&manager, notes, None), 0));
    }
    if let Err(why) = manager.answers() {
        // The files are there for the day somebody logs in; what is left to type is said.
        return Ok((Installed::written(&manager, notes, Some(why)), 7));
    }
    // From here until the manager listens, no client starts a daemon of its own; those that are connected hold what comes.
    let turn = Turn::take(&context.profile).ok().flatten();
    manager.halt();
    stop::stopped(context).await?;
    let ran = match manager.begin() {
        Err(_) if manager.asks_too_much() => {
            let mut less = std::mem::take(&mut manager.optional);
            less.iter().try_for_each(File::write)?;
            manager.files.append(&mut less);
            manager.halt();
            manager.forget();
            manager.begin()?
        }
        begun => begun?,
    };
    drop(turn);
    let status = promptly(context.reached().await.map(m365_cached_proto::endpoint::admin_client)?.status(StatusRequest::default())).await?;
    Ok((Installed::started(&manager, new, notes, ran, status.pid, status.state), 0))
}

fn uninstall(context: &Context, manager: &Manager) -> Result<u8, Fault> {
    let mut ours = Vec::new();
    for file in manager.files.iter().chain(&manager.optional) {
        match file.state()? {
            State::Missing => {}
            State::Foreign => return Err(file.foreign()),
            State::Same | State::Ours | State::Hiding => ours.push(file),
        }
    }
    let known = manager.known();
    if ours.is_empty() && !known {
        context.output.show(&Removed::nothing(manager));
        return Ok(0);
    }
    let ran = manager.end();
    for file in &ours {
        file.remove()?;
    }
    manager.forget();
    context.output.show(&Removed::of(manager, &ours, ran));
    Ok(0)
}

/// What the environment here says and a service will not see.
pub(super) fn unseen_variables() -> Vec<String> {
    let mut names: Vec<String> = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).filter(|name| unseen(name)).collect();
    names.sort_unstable();
    names
}

/// Whether the daemon would read the variable: ours, a proxy in either spelling, and the authorities of OpenSSL.
fn unseen(name: &str) -> bool {
    // These say where things are, which the units say by themselves.
    const PLACES: [&str; 2] = [m365_cached_proto::dirs::DIR_VARIABLE, DAEMON_VARIABLE];
    let ours = name.starts_with("M365_") && !PLACES.contains(&name);
    ours || name.to_ascii_uppercase().ends_with("_PROXY") || ["SSL_CERT_FILE", "SSL_CERT_DIR"].contains(&name)
}

/// Takes the service out of the way for a verb that needs the profile for itself; what is given puts it back when dropped.
pub(crate) fn paused(context: &Context) -> Option<Paused> {
    let facts = facts(&context.profile).ok()?;
    let manager = Manager::here(&facts);
    manager.runs().then(|| {
        manager.halt();
        Paused(manager)
    })
}

/// A service that waits until its profile is free.
pub(crate) struct Paused(Manager);

impl Drop for Paused {
    fn drop(&mut self) {
        self.0.resume();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_sees_neither_spelling_of_a_proxy() {
        for name in ["HTTPS_PROXY", "https_proxy", "all_proxy", "no_proxy", "M365_MCP_CLIENT_ID", "M365_CACHED_LOG_FILTER", "SSL_CERT_FILE"]
        {
            assert!(unseen(name), "{name}");
        }
        for name in ["PATH", "HOME", "M365_CACHED_DIR", "M365_CACHED_DAEMON", "PROXY_AUTH"] {
            assert!(!unseen(name), "{name}");
        }
    }
}
