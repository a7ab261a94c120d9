//! `m365-cached`: flags, configuration, parts, listener, run, exit code.

use std::{
    io::{self, Write},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use clap::Parser;
use m365_cached::{clock::SystemClock, config::Config, hint::Kind};
use m365_cached_daemon::{
    core::Problem,
    daemon::End,
    flags::Flags,
    harden::harden,
    instance::{Instance, InstanceError, ask_to_go, turn_for_the_next},
    life::{Life, Program, become_other},
    listener::Listener,
    logfile::LogFile,
    logging,
    manager::{Handed, Manager},
    parts::{self, Parts},
    reload::Settings,
    run, service,
    signals::Signals,
    tenant_clock,
};
use m365_cached_proto::{ALREADY_RUNNING, dirs::Profile};

/// Clients wait on a few connections, the store and Graph have threads of their own.
const WORKERS: usize = 2;

fn main() -> ExitCode {
    let missing = harden();
    let flags = Flags::parse();
    #[cfg(feature = "sqlcipher")]
    if let Some(code) = m365_cached_daemon::offline::run(&flags) {
        return code;
    }
    match start(&flags, &missing) {
        Ok(code) => code,
        Err(problem) => {
            let mut stderr = io::stderr().lock();
            // With a closed stderr there is nobody to tell.
            let _ = writeln!(stderr, "error: {}", problem.message);
            if !problem.hint.is_empty() {
                let _ = writeln!(stderr, "hint: {}", problem.hint);
            }
            ExitCode::from(if problem.code == "already_running" { ALREADY_RUNNING } else { service::fault(&problem).exit_code() })
        }
    }
}

fn start(flags: &Flags, missing: &[&str]) -> Result<ExitCode, Problem> {
    let profile = flags.profile()?;
    let config = parts::configuration(&profile, &flags.settings());
    if flags.check {
        return check(&config?);
    }
    #[cfg(unix)]
    if flags.detach {
        detach();
    }
    let mut manager = Manager::of_this_process();
    let instance = match handed(&profile)? {
        Some(handed) => {
            manager = manager.with_socket();
            manager.tell("STATUS=waiting for the right to serve the profile");
            ask_to_go(&profile);
            Instance::claim_handed(&profile, handed)
        }
        None => Instance::claim(&profile),
    };
    let instance = match instance {
        Err(InstanceError::Running { .. } | InstanceError::Managed { .. }) if flags.if_not_running => return Ok(ExitCode::SUCCESS),
        claimed => claimed.map_err(|error| Problem::of_instance(&error))?,
    };
    let config = start_logging(config, &profile)?;
    if !missing.is_empty() {
        tracing::warn!(reason = ?missing, "the system did not grant every protection");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build().map_err(failed)?;
    let program = Program::of_this_process(std::env::args_os().next());
    let served = runtime.block_on(serve(config, &profile, &instance, flags, program.clone(), manager));
    let goes_on = matches!(served, Ok(End::Replaced | End::Unlocked));
    let _turn = goes_on.then(|| runtime.block_on(turn_for_the_next(&profile)));
    // A thread that a keyring or a file system holds up must not hold up the end.
    runtime.shutdown_timeout(Duration::from_secs(1));
    match (served?, program) {
        (End::Replaced | End::Unlocked, Some(program)) => {
            // The next one takes the profile.
            let handed = instance.give_back();
            Err(failed(become_other(&program, handed.as_ref())))
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}

async fn serve(
    config: Result<Config, Problem>,
    profile: &Profile,
    instance: &Instance,
    flags: &Flags,
    program: Option<Program>,
    manager: Manager,
) -> Result<End, Problem> {
    let mut signals = Signals::install().map_err(failed)?;
    // Bound before the vault is opened: clients that come early wait, rather than find nobody.
    let listener = Listener::bind(instance).map_err(failed)?;
    let idle = config.as_ref().map_or_else(|_| Config::default().idle, |config| config.idle);
    let life = Life { idle: Some(idle).filter(|idle| flags.on_demand && !idle.is_zero()), program, place: instance.place() };
    let parts = match config {
        Ok(config) => tokio::select! {
            parts = open(&config, profile, flags) => parts?,
            _ = signals.stop() => return Ok(End::Stopped),
        },
        Err(problem) => Parts::misconfigured(profile, &flags.settings(), problem),
    };
    let parts = Parts { life, manager, hangups: signals.hangups(), ..parts };
    run(parts, listener, async { signals.stop().await }).await.map_err(failed)
}

/// The socket that a service manager has made for us.
fn handed(profile: &Profile) -> Result<Option<Handed>, Problem> {
    #[cfg(unix)]
    let handed = Handed::take(profile.socket()).map_err(|error| Problem::of_handed(&error));
    #[cfg(not(unix))]
    let handed = {
        let _ = profile;
        Ok(None)
    };
    handed
}

async fn open(config: &Config, profile: &Profile, flags: &Flags) -> Result<Parts, Problem> {
    let clock = match flags.clock_from {
        Some(control) => tenant_clock::follow(config, control).await?,
        None => Arc::new(SystemClock),
    };
    if flags.fixtures && !config.demo {
        let message = "`--fixtures` is for demo profiles only, which say `demo = true`";
        return Err(Problem::new(Kind::Config, "fixtures", message, "Start the daemon without `--fixtures`."));
    }
    let settings = Some(Settings::new(profile.clone(), flags.settings(), config.clone()));
    Ok(Parts { fixtures: flags.fixtures, settings, ..Parts::real(config, profile, clock).await })
}

/// Logs as configured; with a configuration that cannot be used, as without one. A log file that cannot be had is told and no more: stderr is there.
fn start_logging(config: Result<Config, Problem>, profile: &Profile) -> Result<Result<Config, Problem>, Problem> {
    let opened = LogFile::open(&profile.log_file());
    let (file, trouble) = match opened {
        Ok(file) => (Some(file), None),
        Err(error) => (None, Some(error.kind())),
    };
    let config = match config {
        Ok(config) => match logging::start(&config.log, file.clone()) {
            Ok(()) => Ok(config),
            Err(error) => {
                logging::start(&Config::default().log, file).map_err(failed)?;
                Err(Problem::new(Kind::Config, "bad_config", error.to_string(), "Correct `log.filter`, then restart the daemon."))
            }
        },
        Err(problem) => {
            logging::start(&Config::default().log, file).map_err(failed)?;
            Err(problem)
        }
    };
    if let Some(kind) = trouble {
        tracing::warn!(%kind, "the log file of the profile cannot be written; the log goes to stderr alone");
    }
    Ok(config)
}

/// Shows every setting with its origin.
fn check(config: &Config) -> Result<ExitCode, Problem> {
    let mut stdout = io::stdout().lock();
    for line in config.explain() {
        let value = if line.value.is_empty() { "(not set)" } else { &line.value };
        writeln!(stdout, "{} = {value}  # {}", line.key, line.origin).map_err(failed)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Leaves the terminal and the folder of whoever started us. A process that leads its group already has left.
#[cfg(unix)]
fn detach() {
    let _ = rustix::process::setsid();
    let _ = std::env::set_current_dir("/");
}

fn failed(error: impl std::error::Error) -> Problem {
    Problem::new(Kind::Internal, "failed", error.to_string(), "Look at the lines above, then start the daemon again.")
}
