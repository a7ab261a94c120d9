//! `restore`: a backup takes the place of the database. Its keys are sealed under a new master key, and no answer in it is served, since it
//! knows nothing of what was written after it was made (design: truth, Restores).

use std::{path::Path, sync::Arc};

use m365_cached::{
    clock::SystemClock,
    store::{StoreKeys, sqlcipher},
};
use serde_json::{Value, json};

use super::{Bench, aside, fitting, passphrase};
use crate::{backup, core::Problem, parts};

pub(super) async fn run(bench: &Bench, file: &Path) -> Result<Value, Problem> {
    let (head, mut reader) = backup::open(file)?;
    let keys = head.recovery.open(&passphrase()?).map_err(|locked| Problem::of(&locked))?;
    let draft = aside::draft(&bench.profile)?;
    let ready = backup::extract(&head, &mut reader, &draft).and_then(|()| {
        let (keys, contents) = fitting(&draft, keys)?;
        let store = StoreKeys { database: keys.database.clone(), wrapping: keys.wrapping.clone() };
        let renewed = sqlcipher::check_pages(&draft, &store.database).and_then(|()| sqlcipher::new_epochs(&draft, &store));
        renewed.map_err(|error| Problem::of(&error))?;
        Ok((keys, contents))
    });
    let (keys, contents) = ready.map_err(|problem| aside::give_up(&draft, problem))?;
    // Keys first: cut short here the daemon is locked and says why, and restoring again ends it.
    let vault = parts::vault(&bench.config, &bench.profile, Arc::new(SystemClock));
    let adopted = vault.adopt(&keys).await.map_err(|locked| Problem::of(&locked))?;
    let folder = aside::replace(&bench.profile, &draft)?;
    Ok(json!({
        "made_at": head.made_at,
        "accounts": contents.accounts,
        "entries": contents.entries,
        "source": adopted.source.kind.as_str(),
        "location": adopted.source.location,
        "set_aside": adopted.set_aside.map(|path| path.display().to_string()),
        "quarantine": folder.map(|folder| folder.display().to_string()),
    }))
}
