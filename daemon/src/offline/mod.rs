//! `--offline`: what is done to the files of a profile while nobody serves it: the locked, the damaged and the restored. The lock of the
//! profile is held meanwhile, so no daemon starts in between.

mod aside;
mod config;
mod doctor;
mod import;
mod original;
mod permissions;
mod repair;
mod restore;

use std::{
    io::{self, BufRead, Write},
    process::ExitCode,
};

use m365_cached::{
    config::Config,
    hint::Kind,
    secret::Secret,
    store::{Contents, StoreKeys, sqlcipher},
    vault::Keys,
};
use m365_cached_proto::dirs::Profile;
use serde_json::{Value, json};
use zeroize::Zeroizing;

pub(crate) use self::aside::put_back;
use crate::{
    core::Problem,
    flags::{Flags, Verb},
    instance::Instance,
    notes::{self, Notes},
    parts, service,
};

/// What every verb works on.
struct Bench {
    config: Config,
    profile: Profile,
}

/// Does what `--offline` asks for; `None` when it does not.
pub fn run(flags: &Flags) -> Option<ExitCode> {
    let done = match (&flags.verb, flags.offline) {
        (None, false) => return None,
        (Some(Verb::Config(verb)), true) => config::run(flags, verb),
        (Some(Verb::Permissions), true) => permissions::run(flags),
        (Some(Verb::Doctor { serving }), true) => doctor::run(flags, *serving),
        (Some(verb), true) => with_profile(flags, verb),
        _ => Err(Problem::new(Kind::User, "usage", "`--offline` and a verb go together", "See `m365-cached --help`.")),
    };
    let (said, code) = match done {
        Ok(said) => (said, ExitCode::SUCCESS),
        Err(problem) => {
            let fault = service::fault(&problem);
            let hint = (!problem.hint.is_empty()).then_some(&problem.hint);
            let said = json!({ "error": { "kind": fault.kind().word(), "code": problem.code, "message": problem.message, "hint": hint } });
            (said, ExitCode::from(fault.exit_code()))
        }
    };
    // With a closed stdout there is nobody to tell; the exit code stays.
    let _ = writeln!(io::stdout().lock(), "{said}");
    Some(code)
}

fn with_profile(flags: &Flags, verb: &Verb) -> Result<Value, Problem> {
    let profile = flags.profile()?;
    let config = parts::configuration(&profile, &flags.settings())?;
    // Whoever only looks needs no lock, and leaves none behind.
    let looks = matches!(verb, Verb::Import { dry_run: true, .. });
    let claimed = (!looks).then(|| Instance::claim_files(&profile)).transpose();
    let _instance = claimed.map_err(|error| Problem::of_instance(&error))?;
    if !looks {
        put_back(&profile)?;
    }
    let notes = (!looks).then(|| Notes::beside(&profile.database()));
    if let Some(notes) = &notes {
        notes.add(name(verb), notes::BEGUN).map_err(|error| not_noted(&profile, &error))?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| failed(&error))?;
    let bench = Bench { config, profile };
    let done = runtime.block_on(async {
        match verb {
            Verb::Repair { rollback: false } => repair::run(&bench).await,
            Verb::Repair { rollback: true } => repair::rollback(&bench).await,
            Verb::Reset => aside::reset(&bench),
            Verb::Restore { file } => restore::run(&bench, file).await,
            Verb::KeysImport { file } => import::run(&bench, file).await,
            Verb::Import { put_back: Some(to), .. } => original::put_back(&bench, to).await,
            Verb::Import { remove: true, file, unsealed, .. } => original::remove(&bench, file.as_deref(), *unsealed).await,
            Verb::Import { file, dry_run, .. } => original::run(&bench, file.as_deref(), *dry_run).await,
            Verb::Config(_) | Verb::Doctor { .. } | Verb::Permissions => Err(failed(&io::Error::other("this needs no lock"))),
        }
    });
    // A thread that a keyring holds up must not hold up the end.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    if let Some(notes) = notes {
        // What was done is done: one that cannot be noted any more stands as begun.
        let _ = notes.add(name(verb), if done.is_ok() { notes::DONE } else { notes::FAILED });
    }
    done
}

/// What the audit trail calls a verb; `daemon/src/notes.rs` has the list.
fn name(verb: &Verb) -> &'static str {
    match verb {
        Verb::Repair { rollback: false } => "repair",
        Verb::Repair { rollback: true } => "repair --rollback",
        Verb::Reset => "reset",
        Verb::Restore { .. } => "restore",
        Verb::KeysImport { .. } => "keys import",
        Verb::Import { put_back: Some(_), .. } => "import --put-back",
        Verb::Import { remove: true, .. } => "import --remove",
        Verb::Import { .. } => "import",
        Verb::Config(_) => "config",
        Verb::Doctor { .. } => "doctor",
        Verb::Permissions => "permissions",
    }
}

fn not_noted(profile: &Profile, error: &io::Error) -> Problem {
    let message = format!("nothing was done: it cannot be noted for the audit trail in `{}`: {error}", profile.dir.display());
    Problem::new(Kind::Config, "not_noted", message, "Look at the rights of that folder and the space on its disk.")
}

/// The first line of stdin.
fn passphrase() -> Result<Secret<String>, Problem> {
    let mut line = Zeroizing::new(String::with_capacity(4096));
    io::stdin().lock().read_line(&mut line).map_err(|error| failed(&error))?;
    let given = line.trim_end_matches(['\r', '\n']).to_owned();
    if given.is_empty() {
        return Err(Problem::new(Kind::User, "no_passphrase", "no passphrase was given", "Write it to stdin, as one line."));
    }
    Ok(Secret::new(given))
}

fn failed(error: &dyn std::error::Error) -> Problem {
    Problem::new(Kind::Internal, "failed", error.to_string(), "Try again.")
}

/// `keys` with the wrapping key that the database at `path` is sealed under, and what is in it. Nothing is changed.
fn fitting(path: &std::path::Path, keys: Keys) -> Result<(Keys, Contents), Problem> {
    let Keys { database, wrapping, next_wrapping } = keys;
    let mut last = None;
    for wrapping in [Some(wrapping), next_wrapping].into_iter().flatten() {
        let store = StoreKeys { database: database.clone(), wrapping: wrapping.clone() };
        match sqlcipher::inspect(path, &store) {
            Ok(contents) => return Ok((Keys { database, wrapping, next_wrapping: None }, contents)),
            Err(error) => last = Some(error),
        }
    }
    Err(last.map_or_else(
        || Problem::new(Kind::Internal, "failed", "there is no key to try", "`m365-cachectl doctor` says where it looks for one."),
        |error| Problem::of(&error),
    ))
}
