//! `keys-import`: the keys of a recovery file, held against the database and sealed under a new master key.

use std::{fs, path::Path, sync::Arc};

use m365_cached::{
    clock::SystemClock,
    hint::Kind,
    vault::{Keys, Recovery},
};
use serde_json::{Value, json};

use super::{Bench, fitting, passphrase};
use crate::{core::Problem, parts};

/// No recovery file is longer.
const LONGEST: u64 = 64 * 1024;

pub(super) async fn run(bench: &Bench, file: &Path) -> Result<Value, Problem> {
    let keys = opened(file)?;
    let keys = if bench.profile.database().symlink_metadata().is_ok() { fitting(&bench.profile.database(), keys)?.0 } else { keys };
    let vault = parts::vault(&bench.config, &bench.profile, Arc::new(SystemClock));
    let adopted = vault.adopt(&keys).await.map_err(|locked| Problem::of(&locked))?;
    Ok(json!({
        "source": adopted.source.kind.as_str(),
        "location": adopted.source.location,
        "set_aside": adopted.set_aside.map(|path| path.display().to_string()),
    }))
}

/// The keys inside, for the passphrase on stdin.
fn opened(file: &Path) -> Result<Keys, Problem> {
    let unreadable = |why: String| {
        let message = format!("the recovery file `{}` cannot be read: {why}", file.display());
        Problem::new(Kind::User, "no_recovery_file", message, "Name the file that `m365-cachectl keys export` has written.")
    };
    let facts = fs::metadata(file).map_err(|error| unreadable(error.to_string()))?;
    if facts.len() > LONGEST {
        return Err(unreadable("it is too long".into()));
    }
    let bytes = fs::read(file).map_err(|error| unreadable(error.to_string()))?;
    let recovery = Recovery::parse(&bytes).map_err(|locked| Problem::of(&locked))?;
    recovery.open(&passphrase()?).map_err(|locked| Problem::of(&locked))
}
