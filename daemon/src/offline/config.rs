//! `config`: shows the settings with their origins, checks them, and changes one key of the file. The daemon may run meanwhile: it reads the
//! file at its start and when it is told to reload.
//!
//! Of several changes at the same moment none is lost: each holds a lock of the profile from before it reads the file until its own has taken
//! the place. Editors know nothing of the lock, so the file is also read again right before that.

use std::{fs, io, path::Path, sync::mpsc, thread, time::Duration};

use m365_cached::{
    config::{self, Config, ConfigError, Edited, Explained, Origin},
    hint::Kind,
};
use m365_cached_proto::dirs::{Profile, private_dir};
use serde_json::{Value, json};

use super::failed;
use crate::{
    core::Problem,
    flags::{ConfigVerb, Flags},
    parts::{self, Layers},
};

/// How long a change waits for another one, which takes a moment.
const PATIENCE: Duration = Duration::from_secs(10);

/// Does what was asked for.
pub(super) fn run(flags: &Flags, verb: &ConfigVerb) -> Result<Value, Problem> {
    let profile = flags.profile()?;
    let changes = !matches!(verb, ConfigVerb::Show { .. } | ConfigVerb::Check);
    let _turn = changes.then(|| turn(&profile)).transpose()?;
    let layers = Layers::of(&profile)?;
    let flags = flags.settings();
    match verb {
        ConfigVerb::Show { key } => show(&profile, &layers, &flags, key.as_deref()),
        ConfigVerb::Check => Ok(check(&profile, &layers, &flags)),
        ConfigVerb::Set { key, value } => {
            let edited = layers.with(&[], |sources| config::set(sources, key, value)).map_err(|error| not_set(&error))?;
            write(&profile, &layers, &edited.text)?;
            Ok(changed(&profile, &edited))
        }
        ConfigVerb::Unset { key } => {
            let edited = layers.with(&[], |sources| config::unset(sources, key)).map_err(|error| not_set(&error))?;
            if edited.was.is_some() {
                write(&profile, &layers, &edited.text)?;
            }
            Ok(changed(&profile, &edited))
        }
        ConfigVerb::Init => init(&profile, &layers),
    }
}

fn show(profile: &Profile, layers: &Layers, flags: &[(String, String)], key: Option<&str>) -> Result<Value, Problem> {
    let config = layers.with(flags, Config::read).map_err(|error| Problem::of(&error))?;
    let mut lines = config.explain();
    if let Some(key) = key {
        lines.retain(|line| line.key == key);
        if lines.is_empty() {
            // A member of a family that nobody has set.
            let known = config::key_of(key).is_some();
            let unset = || Explained { key: key.to_owned(), value: String::new(), origin: Origin::Default };
            lines.push(known.then(unset).ok_or_else(|| unknown(layers, key))?);
        }
    }
    let settings: Vec<Value> = lines.iter().map(setting).collect();
    Ok(json!({ "file": file(profile), "exists": layers.text().is_some(), "settings": settings }))
}

fn setting(line: &Explained) -> Value {
    let key = config::key_of(&line.key);
    let (origin, at, variable) = match &line.origin {
        Origin::Default => ("default", None, None),
        Origin::File { line } => ("file", Some(*line), None),
        Origin::Environment(name) => ("environment", None, Some(name.as_str())),
        Origin::Flag => ("flag", None, None),
    };
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    json!({
        "key": line.key, "value": given(&line.value), "origin": origin, "line": at, "variable": variable,
        "default": key.as_ref().and_then(|key| given(&key.default)), "meaning": key.as_ref().map(|key| key.meaning),
        "takes": key.map(|key| key.takes.as_str()),
    })
}

fn check(profile: &Profile, layers: &Layers, flags: &[(String, String)]) -> Value {
    let (problems, warnings) = match layers.with(flags, Config::read) {
        Err(error) => (
            error.problems.iter().map(|problem| json!({ "where": problem.at.to_string(), "message": problem.message })).collect(),
            Vec::new(),
        ),
        Ok(config) => {
            let unusable = parts::unusable(&config, profile);
            let problems: Vec<Value> = unusable.iter().map(|problem| json!({ "where": null, "message": problem.message })).collect();
            let advice = config.advice(&parts::surroundings(&config, profile));
            (problems, advice.iter().map(|one| json!({ "code": one.code, "message": one.message, "hint": one.hint })).collect())
        }
    };
    json!({ "file": file(profile), "exists": layers.text().is_some(), "valid": problems.is_empty(), "problems": problems, "warnings": warnings })
}

fn changed(profile: &Profile, edited: &Edited) -> Value {
    let key = config::key_of(&edited.key);
    let takes = key.as_ref().map(|key| key.takes.as_str());
    let variable = key.and_then(|key| key.variable).filter(|name| std::env::var_os(name).is_some());
    json!({
        "file": file(profile), "key": edited.key, "was": edited.was, "is": edited.is, "changed": edited.was != edited.is,
        "overridden_by": variable, "takes": takes,
    })
}

fn init(profile: &Profile, layers: &Layers) -> Result<Value, Problem> {
    if layers.text().is_some() {
        let message = format!("there is a configuration already: `{}`; it stays as it is", file(profile));
        return Err(Problem::new(Kind::User, "config_exists", message, "`m365-cachectl config show` shows every key with its meaning."));
    }
    write(profile, layers, &config::template())?;
    Ok(json!({ "file": file(profile), "keys": config::keys().len() }))
}

/// The right to change the file, as long as what is returned is held.
fn turn(profile: &Profile) -> Result<fs::File, Problem> {
    private_dir(&profile.dir).map_err(|error| not_written(profile, &error))?;
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let lock = options.open(profile.settings_turn_file()).map_err(|error| not_written(profile, &error))?;
    let (tell, told) = mpsc::channel();
    // Left waiting when it takes too long: this program ends soon.
    thread::spawn(move || tell.send(lock.lock().map(|()| lock)));
    match told.recv_timeout(PATIENCE) {
        Ok(turn) => turn.map_err(|error| not_written(profile, &error)),
        Err(_) => {
            let message =
                format!("another program has been changing the configuration `{}` for {PATIENCE:?}; it stays as it is", file(profile));
            Err(Problem::new(Kind::User, "config_busy", message, "Look for an `m365-cachectl` that hangs, and run the same command again."))
        }
    }
}

/// Puts `text` in the place of the file, whole or not at all. Where the file is a link, what it leads to is replaced.
fn write(profile: &Profile, layers: &Layers, text: &str) -> Result<(), Problem> {
    if layers.text().is_none() {
        private_dir(&profile.config_dir).map_err(|error| not_written(profile, &error))?;
    }
    let path = fs::canonicalize(profile.config_file()).unwrap_or_else(|_| profile.config_file());
    // Of its own, since two profiles may lead to the same file.
    let beside = path.with_extension(format!("toml.{}.new", std::process::id()));
    let done = write_beside(&path, &beside, text.as_bytes()).map_err(|error| not_written(profile, &error)).and_then(|()| {
        // Somebody who has saved it in an editor meanwhile keeps what they wrote.
        if Layers::of(profile)?.text() != layers.text() {
            let message = format!("the configuration `{}` was changed by somebody else at this moment; it stays as it is", file(profile));
            return Err(Problem::new(Kind::User, "config_changed", message, "Run the same command again."));
        }
        fs::rename(&beside, &path).map_err(|error| not_written(profile, &error))
    });
    if done.is_err() {
        // Half a file helps nobody.
        let _ = fs::remove_file(&beside);
    }
    done
}

/// On the disk when this returns; with the rights of `path`, or for its owner alone.
fn write_beside(path: &Path, beside: &Path, bytes: &[u8]) -> io::Result<()> {
    use io::Write as _;
    match fs::remove_file(beside) {
        // What a crash left behind was never used.
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(beside)?;
    file.write_all(bytes)?;
    if let Ok(facts) = fs::metadata(path) {
        file.set_permissions(facts.permissions())?;
    }
    file.sync_all()
}

fn not_written(profile: &Profile, error: &dyn std::error::Error) -> Problem {
    let message = format!("the configuration `{}` stays as it is: {error}", file(profile));
    let hint = "Look at the rights of that file and its folder, and the space on the disk.";
    Problem::new(Kind::Config, "config_not_written", message, hint)
}

fn file(profile: &Profile) -> String {
    profile.config_file().display().to_string()
}

fn unknown(layers: &Layers, key: &str) -> Problem {
    // Taking out what is not there says which key was meant.
    match layers.with(&[], |sources| config::unset(&config::Sources { text: None, ..*sources }, key)) {
        Err(error) => not_set(&error),
        Ok(_) => failed(&io::Error::other("the key is known and has no value")),
    }
}

/// A change that is refused is a matter of what was typed: the file is as it was.
fn not_set(error: &ConfigError) -> Problem {
    let told: Vec<String> = error
        .problems
        .iter()
        .map(|problem| match &problem.at {
            Origin::File { line } => format!("line {line}: {}", problem.message),
            _ => problem.message.clone(),
        })
        .collect();
    let hint = "`m365-cachectl config show` lists every key with its meaning; nothing was changed.";
    Problem::new(Kind::User, "not_set", told.join("; "), hint)
}
