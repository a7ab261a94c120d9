//! One file for each verb: ask the daemon, make a view of the answer, show it.

pub(crate) mod accounts;
mod arguments;
pub(crate) mod audit;
pub(crate) mod backup;
pub(crate) mod bench;
mod budget;
pub(crate) mod call;
pub(crate) mod clients;
pub(crate) mod completions;
mod compliance;
pub(crate) mod config;
pub(crate) mod doctor;
mod erase;
mod export;
pub(crate) mod health;
pub(crate) mod import;
pub(crate) mod install;
pub(crate) mod invalidate;
pub(crate) mod keys;
pub(crate) mod login;
mod logout;
pub(crate) mod logs;
pub(crate) mod man;
pub(crate) mod pause;
pub(crate) mod permissions;
pub(crate) mod reload;
pub(crate) mod repair;
mod restart;
pub(crate) mod service;
pub(crate) mod setup;
pub(crate) mod stats;
mod status;
pub(crate) mod stop;
pub(crate) mod tasks;
mod tool_costs;
pub(crate) mod tools;
pub(crate) mod top;
pub(crate) mod version;
pub(crate) mod warm;

use m365_cached_proto::v1::Fault;

use crate::cli::Command;
use crate::context::Context;
use crate::output::Output;

/// Does what needs neither a profile nor a daemon, as in the building of a package; `None` for every other verb.
pub(crate) fn alone(command: &Command, output: &Output) -> Option<Result<u8, Fault>> {
    match command {
        Command::Completions(args) => Some(completions::run(args, output).map(|()| 0)),
        Command::Man(args) => Some(man::run(args, output).map(|()| 0)),
        _ => None,
    }
}

/// Does what was asked for and gives the exit code.
pub(crate) async fn run(context: &Context, command: Command) -> Result<u8, Fault> {
    match command {
        Command::Status => return status::run(context).await,
        Command::Login(args) => drop(login::run(context, args).await?),
        Command::Logout { account, yes } => logout::run(context, account, yes).await?,
        Command::Accounts(args) => accounts::run(context, args).await?,
        Command::Permissions(args) => permissions::run(context, &args).await?,
        Command::Setup(args) => return setup::run(context, *args).await,
        Command::Call(args) => call::run(context, args).await?,
        Command::Tools(args) => tools::run(context, args).await?,
        Command::Stats(args) => stats::run(context, args).await?,
        Command::Clients => clients::run(context).await?,
        Command::Logs(args) => logs::run(context, &args).await?,
        Command::Bench(args) => bench::run(context, &args).await?,
        Command::Top(args) => return top::run(context, &args).await,
        Command::Invalidate(args) => invalidate::run(context, args).await?,
        Command::Tasks(args) => tasks::run(context, args).await?,
        Command::Warm(args) => return warm::run(context, args).await,
        Command::Keys(verb) => return keys::run(context, verb).await,
        Command::Backup(args) => backup::backup(context, &args).await?,
        Command::Restore(args) => backup::restore(context, &args).await?,
        Command::Repair(args) => repair::repair(context, &args).await?,
        Command::Reset(args) => repair::reset(context, &args).await?,
        Command::Import(args) => import::run(context, &args).await?,
        Command::Audit(args) => return audit::run(context, *args).await,
        Command::Export { account, path } => export::run(context, account, &path).await?,
        Command::Erase { account, yes } => return erase::run(context, account, yes).await,
        Command::Compliance => return compliance::run(context).await,
        Command::Doctor(args) => return doctor::run(context, &args).await,
        Command::Config(verb) => return config::run(context, verb).await,
        Command::Install(args) => return install::install(context, &args).await,
        Command::Uninstall(args) => return install::uninstall(context, &args),
        Command::Service(verb) => return service::run(context, verb).await,
        Command::Health(args) => return health::run(context, &args).await,
        Command::Pause(args) => pause::pause(context, &args).await?,
        Command::Resume => pause::resume(context).await?,
        Command::Reload => reload::run(context).await?,
        Command::Stop => stop::run(context).await?,
        Command::Restart => restart::run(context).await?,
        Command::Version => version::run(context).await?,
        Command::Completions(args) => completions::run(&args, &context.output)?,
        Command::Man(args) => man::run(&args, &context.output)?,
    }
    Ok(0)
}
